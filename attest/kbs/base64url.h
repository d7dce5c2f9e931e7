/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Base64url without padding (RFC 4648 section 5, RFC 7515 section 2). */

#include "../../libkcore/util.h"

#define BASE64URL_SIZE(n) (((n) * 4 + 2) / 3 + 1) /* characters for n bytes, and the NUL */

/* out has room for BASE64URL_SIZE(n) characters. Returns out. */
char *base64url_encode(const void *data, size_t n, char *out);

/* Decodes the characters of s, at most max bytes. -EBADMSG for anything but the one canonical encoding,
 * -EMSGSIZE if there are more than max bytes. */
int base64url_decode(const char *s, size_t length, void *out, size_t max, size_t *ret_size);
