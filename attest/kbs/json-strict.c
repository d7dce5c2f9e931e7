/* SPDX-License-Identifier: Apache-2.0 */
#include "json-strict.h"

/* Before the parser sees it: what the parser would accept although it is no JSON (comments), and what would
 * make it work hard (depth). */
static int check_text(const char *text, size_t size, const char **ret_reason) {
        bool string = false, escaped = false;
        size_t depth = 0;

        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char) text[i];

                if (c == 0) {
                        *ret_reason = "no JSON: a zero byte";
                        return -EBADMSG;
                }
                if (string) {
                        if (escaped)
                                escaped = false;
                        else if (c == '\\')
                                escaped = true;
                        else if (c == '"')
                                string = false;
                        else if (c < 0x20) {
                                *ret_reason = "no JSON: a control character in a string";
                                return -EBADMSG;
                        }
                        continue;
                }
                switch (c) {
                case '"':
                        string = true;
                        break;
                case '{':
                case '[':
                        if (++depth > JSON_DEPTH_MAX) {
                                *ret_reason = "JSON nested too deeply";
                                return -ELOOP;
                        }
                        break;
                case '}':
                case ']':
                        if (depth-- == 0) {
                                *ret_reason = "no JSON: a bracket closes what was not opened";
                                return -EBADMSG;
                        }
                        break;
                case ' ':
                case '\t':
                case '\r':
                case '\n':
                case ':':
                case ',':
                case '+':
                case '-':
                case '.':
                case '0' ... '9':
                case 'a' ... 'z':
                case 'E':
                        break;
                default:
                        *ret_reason = "no JSON: a character that has no place in it";
                        return -EBADMSG;
                }
        }
        if (string || depth != 0) {
                *ret_reason = "JSON ends too early";
                return -EBADMSG;
        }
        return 0;
}

/* Recursion is bounded by JSON_DEPTH_MAX. */
static int check_keys(sd_json_variant *v, const char **ret_reason) {
        size_t n = sd_json_variant_elements(v);
        bool object = sd_json_variant_is_object(v);
        int r;

        if (!object && !sd_json_variant_is_array(v))
                return 0;
        if (object && n / 2 > JSON_KEYS_MAX) {
                *ret_reason = "a JSON object has too many keys";
                return -E2BIG;
        }
        for (size_t i = 0; i < n; i++) {
                sd_json_variant *e = sd_json_variant_by_index(v, i);

                if (object && i % 2 == 0) {
                        for (size_t j = 0; j < i; j += 2)
                                if (streq(sd_json_variant_string(e),
                                          sd_json_variant_string(sd_json_variant_by_index(v, j)))) {
                                        *ret_reason = "a JSON object has a key twice";
                                        return -EEXIST;
                                }
                        continue;
                }
                r = check_keys(e, ret_reason);
                if (r < 0)
                        return r;
        }
        return 0;
}

int json_parse_strict(const char *text, size_t size, size_t max, sd_json_variant **ret, const char **ret_reason) {
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *copy = NULL;
        int r;

        if (size > max) {
                *ret_reason = "JSON is too long";
                return -EMSGSIZE;
        }
        r = check_text(text, size, ret_reason);
        if (r < 0)
                return r;
        copy = strndup(text, size);
        if (!copy) {
                *ret_reason = "out of memory";
                return -ENOMEM;
        }
        r = sd_json_parse(copy, 0, &v, NULL, NULL);
        if (r < 0) {
                *ret_reason = r == -ENOMEM ? "out of memory" : "no JSON";
                return r == -ENOMEM ? r : -EBADMSG;
        }
        r = check_keys(v, ret_reason);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

const char *json_string(sd_json_variant *object, const char *key) {
        sd_json_variant *v = sd_json_variant_by_key(object, key);

        return v && sd_json_variant_is_string(v) ? sd_json_variant_string(v) : NULL;
}
