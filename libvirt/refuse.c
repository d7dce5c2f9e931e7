/* SPDX-License-Identifier: Apache-2.0 */

#include "refuse.h"

#include <stdarg.h>

int refuse(char **ret_error, const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(ret_error, format, ap);
        va_end(ap);
        if (n < 0) {
                *ret_error = NULL;
                return -ENOMEM;
        }
        return -EINVAL;
}

const char *reply_text(sd_json_variant *reply, const char *field) {
        sd_json_variant *v = reply ? sd_json_variant_by_key(reply, field) : NULL;

        return v && sd_json_variant_is_string(v) ? sd_json_variant_string(v) : "";
}
