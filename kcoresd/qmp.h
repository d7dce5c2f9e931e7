/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A client of QEMU's control socket (QMP). QEMU is not trusted: what it sends is bounded and may be wrong. */

#include <systemd/sd-event.h>
#include <systemd/sd-json.h>

#include "../libkcore/util.h"

typedef struct Qmp Qmp;

/* Handlers run inside the processing of a message: they must not free the Qmp. */

struct qmp_handlers {
        void (*ready)(void *userdata);                         /* greeted, commands are accepted */
        void (*event)(const char *name, sd_json_variant *data, void *userdata); /* data may be NULL */
        void (*closed)(void *userdata);                        /* QEMU is gone, or talks nonsense; once */
};

typedef void (*qmp_reply_t)(sd_json_variant *result, void *userdata); /* result NULL: an error */

/* Connects; -ENOENT or -ECONNREFUSED if nobody listens. */
int qmp_new(sd_event *event, const char *path, const struct qmp_handlers *handlers, void *userdata, Qmp **ret);
/* No handler is called any more. */
Qmp *qmp_free(Qmp *q);

bool qmp_is_ready(const Qmp *q);

/* Handles what QEMU has sent until now, without waiting. q may be NULL. */
void qmp_drain(Qmp *q);

/* Sends a command. arguments: a JSON object as text, or NULL; reply may be NULL. -ENOBUFS if too many are
 * pending. */
int qmp_command(Qmp *q, const char *command, const char *arguments, qmp_reply_t reply);

/* Presses the power key of QEMU's keyboard: Debian's cloud kernels have no driver for the power button. */
int qmp_press_power_key(Qmp *q);

/* What the event SHUTDOWN says, in words, or NULL; *ret_by_guest: whether the guest itself asked for it. data
 * may be NULL. */
const char *qmp_shutdown_to_string(sd_json_variant *data, bool *ret_by_guest);
