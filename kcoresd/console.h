/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The serial console of one guest. The daemon is QEMU's only client: it always drains what the guest writes
 * to a log of bounded size, and copies it to whoever is attached. Nobody who reads slowly holds up a guest. */

#include <systemd/sd-event.h>

#include "../libkcore/util.h"

#define CONSOLE_LOG_MAX (512 * KIB) /* then the older half is dropped */
#define CONSOLE_CLIENTS_MAX 16
#define CONSOLE_REPLAY (16 * KIB) /* what a new client sees of the past */

typedef struct Console Console;

/* Connects to QEMU's console socket and appends to the log file. */
int console_new(sd_event *event, const char *socket_path, const char *log_path, Console **ret);
Console *console_free(Console *c);

/* A new attachment: returns the other end of a stream socket, which the caller hands out; once
 * QEMU has closed the console it brings the past only and ends. -EBUSY if there are too many. */
int console_attach(Console *c);

/* Types a few characters on behalf of the daemon. */
int console_type(Console *c, const char *text);

/* Takes in what QEMU wrote before it ended. */
void console_drain(Console *c);

size_t console_clients(const Console *c);
