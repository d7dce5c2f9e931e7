/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The broker's attestation result: a JSON Web Token signed with ES256 (RFC 7519, RFC 7518 section 3.4). */

#include "protocol.h"

/* The signing key in directory dir_fd: token-key.pem (mode 0600), made if there is none, with its public part
 * in token-key.pub.pem. -EBADMSG if the file holds no P-256 key; -EPERM if others may read it. */
int jwt_key_load(int dir_fd, EVP_PKEY **ret);

/* Signs claims (a JSON object as text). *ret is to be freed. */
int jwt_sign(EVP_PKEY *key, const char *claims, char **ret);
