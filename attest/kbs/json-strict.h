/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON from somebody who may be an enemy: bounded in size, depth and number of keys, no comments, no
 * duplicate keys, nothing behind the value. */

#include <systemd/sd-json.h>

#include "../../libkcore/util.h"

#define JSON_DEPTH_MAX 8
#define JSON_KEYS_MAX 64 /* of one object */

/* Parses size bytes of text, which need not be NUL-terminated.
 *
 * On failure *ret_reason (a literal) says why:
 *   -EMSGSIZE  longer than max bytes
 *   -ELOOP     nested deeper than JSON_DEPTH_MAX
 *   -EEXIST    an object has a key twice
 *   -E2BIG     an object has more than JSON_KEYS_MAX keys
 *   -EBADMSG   no JSON
 *   -ENOMEM */
int json_parse_strict(const char *text, size_t size, size_t max, sd_json_variant **ret, const char **ret_reason);

/* The string that object has under key; NULL if there is none or it is no string. Not to be freed. */
const char *json_string(sd_json_variant *object, const char *key);

static inline void json_unrefp(sd_json_variant **v) {
        sd_json_variant_unref(*v);
}
#define _cleanup_json_ _cleanup_(json_unrefp)
