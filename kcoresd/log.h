/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the daemon says of a guest: to the journal with fields to filter by (KCORE_GUEST, KCORE_GUEST_UUID,
 * KCORE_GUEST_STATUS; see kcoresd(8)), to standard error where there is no journal. */

#include <syslog.h>

#include "../libkcore/guest-state.h"

/* priority: LOG_ERR and so on. */
void log_guest(const struct guest_state *s, int priority, const char *format, ...) _printf_(3, 4);
