/* SPDX-License-Identifier: Apache-2.0 */
#include "failure.h"

#include "../libkcore/io.kcore.Manager.h"

void failure_done(struct failure *f) {
        sd_json_variant_unref(f->parameters);
        *f = (struct failure) {};
}

int fail_invalid(struct failure *f, const char *field, const char *message) {
        return FAIL(f, ERROR_INVALID_GUEST, SD_JSON_BUILD_PAIR_STRING("field", field), SD_JSON_BUILD_PAIR_STRING("message", message));
}

int fail_launch(struct failure *f, const char *name, const char *what, int error) {
        _cleanup_free_ char *message = NULL;

        if (asprintf(&message, "%s: %s", what, strerror(-error)) < 0)
                return -ENOMEM;
        return FAIL(f, ERROR_LAUNCH_FAILED, SD_JSON_BUILD_PAIR_STRING("name", name), SD_JSON_BUILD_PAIR_STRING("message", message));
}
