/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A resource on its way to the guest: JSON Web Encryption (RFC 7516), flattened serialization, algorithm
 * ECDH-ES+A256KW (RFC 7518 section 4.6) on P-256, content A256GCM. No other algorithm is spoken. */

#include "protocol.h"
#include "secret.h"

/* Encrypts n bytes to the owner of public. *ret_json is to be freed. -EBADMSG if public is no point of the
 * curve. */
int jwe_seal(const struct p256_public *public, const void *plain, size_t n, char **ret_json);

/* Opens what jwe_seal or Trustee made. On failure *ret_reason (a literal) says why; -EBADMSG for what is
 * malformed, -EOPNOTSUPP for another algorithm, -EKEYREJECTED if it does not open with this key. */
int jwe_open(EVP_PKEY *key, const char *json, size_t size, struct secret *ret, const char **ret_reason);
