/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Why a request was not carried out: the error that goes over the wire. */

#include <systemd/sd-json.h>

#include "../libkcore/device.h"
#include "../libkcore/util.h"

struct failure {
        const char *error_id;
        sd_json_variant *parameters;
};

void failure_done(struct failure *f);

/* Launches that fail are counted by class. */
typedef enum FailureClass {
        FAILURE_REQUEST,     /* the description, or a descriptor, can not be used */
        FAILURE_CHECK,       /* the machine can not run realms */
        FAILURE_SYSTEM,      /* systemd, a file or a socket */
        FAILURE_QEMU,        /* QEMU ended by itself */
        FAILURE_MEMORY,      /* too little of it, or of what may be locked */
        FAILURE_TIMEOUT,
        FAILURE_KERNEL,      /* the kernel could not make the realm, or KCore refused it for another reason than these: */
        FAILURE_POLICY,
        FAILURE_SIGNATURE,
        FAILURE_SEAL,
        FAILURE_MEASUREMENT,
        _FAILURE_CLASS_MAX,
} FailureClass;

const char *failure_class_to_string(FailureClass c);
/* Of a refused request, by the error that it got (NULL: none of the interface), and of a launch that the kernel
 * reports as failed. */
FailureClass failure_class_of_error(const char *error_id);
FailureClass failure_class_of_launch(const struct kcore_launch_status *s);

#define FAIL(f, id, ...)                                                        \
        ({                                                                      \
                (f)->error_id = (id);                                           \
                int _r = sd_json_buildo(&(f)->parameters, __VA_ARGS__);         \
                _r < 0 ? _r : -EINVAL;                                          \
        })

/* InvalidGuest: the field of the description that is wrong, and why. */
int fail_invalid(struct failure *f, const char *field, const char *message);
/* LaunchFailed: what could not be done, and a negative errno. */
int fail_launch(struct failure *f, const char *name, const char *what, int error);
