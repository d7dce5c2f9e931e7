/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the kernel says of a launch, as the interface has it and as people read it. */

#include <systemd/sd-json.h>

#include "../libkcore/device.h"

/* An object of type Realm. */
int launch_status_to_json(const struct kcore_launch_status *s, sd_json_variant **ret);

/* Why the realm could not be made or run, of a status with an error; page: at which page, for people, or "". NULL if there
 * is no memory. */
void launch_failure_describe(const struct kcore_launch_status *s, const char *page, char **ret);
