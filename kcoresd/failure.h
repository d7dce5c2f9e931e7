/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Why a request was not carried out: the error that goes over the wire. */

#include <systemd/sd-json.h>

#include "../libkcore/util.h"

struct failure {
        const char *error_id;
        sd_json_variant *parameters;
};

void failure_done(struct failure *f);

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
