/* SPDX-License-Identifier: Apache-2.0 */
#include "failure.h"

#include "../libkcore/io.kcore.Manager.h"

void failure_done(struct failure *f) {
        sd_json_variant_unref(f->parameters);
        *f = (struct failure) {};
}

const char *failure_class_to_string(FailureClass c) {
        static const char *const table[_FAILURE_CLASS_MAX] = {
                [FAILURE_REQUEST] = "request",
                [FAILURE_CHECK] = "check",
                [FAILURE_SYSTEM] = "system",
                [FAILURE_QEMU] = "qemu",
                [FAILURE_MEMORY] = "memory",
                [FAILURE_TIMEOUT] = "timeout",
                [FAILURE_KERNEL] = "kernel",
                [FAILURE_POLICY] = "policy",
                [FAILURE_SIGNATURE] = "signature",
                [FAILURE_SEAL] = "seal",
                [FAILURE_MEASUREMENT] = "measurement",
        };

        return table[c];
}

FailureClass failure_class_of_error(const char *error_id) {
        if (!error_id || streq(error_id, ERROR_LAUNCH_FAILED))
                return FAILURE_SYSTEM;
        return streq(error_id, ERROR_CHECK_FAILED) ? FAILURE_CHECK : FAILURE_REQUEST;
}

FailureClass failure_class_of_launch(const struct kcore_launch_status *s) {
        switch (kcore_launch_refused(s)) {
        case KCORE_REFUSED_POLICY:
                return FAILURE_POLICY;
        case KCORE_REFUSED_SIGNATURE:
                return FAILURE_SIGNATURE;
        case KCORE_REFUSED_SEAL:
                return FAILURE_SEAL;
        case KCORE_REFUSED_RIM:
                return FAILURE_MEASUREMENT;
        default:
                return s->error == -ENOMEM ? FAILURE_MEMORY : FAILURE_KERNEL;
        }
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
