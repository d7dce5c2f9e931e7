/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a launch stands, without waiting for it: the kernel may answer KCORE_LAUNCH_STATUS only after it has
 * made the realm, which takes seconds, and the daemon has other guests. A thread asks; the event loop gets
 * the answer. At most one question is under way for a guest. */

#include <systemd/sd-event.h>

#include "ops.h"

typedef struct LaunchWatch LaunchWatch;

/* fd stays the caller's. */
int launch_watch_new(sd_event *event, const struct manager_ops *ops, int fd, LaunchWatch **ret);
LaunchWatch *launch_watch_free(LaunchWatch *w);

/* Asks, waits at most so long for the answer to a question of this call, and returns the newest answer that
 * there is: 1 with *ret set, 0 if there was never one, or the negative errno of the last question. */
int launch_watch_get(LaunchWatch *w, uint64_t wait_usec, struct kcore_launch_status *ret);
