/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Is a process the QEMU that libvirt started for a domain? Before it starts QEMU, libvirt puts the process into a
 * scope of systemd named after the domain, and into an AppArmor profile named after its UUID. Neither can be
 * left or taken on by the process itself. */

#include <systemd/sd-id128.h>

#include "../libkcore/util.h"

/* profile: /proc/PID/attr/current, NULL or "" on a machine without AppArmor; cgroup: /proc/PID/cgroup. Where there is a
 * profile it decides, since it has the whole UUID; the scope decides where there is none. Both must be libvirt's. */
bool domain_peer_matches(const char *profile, const char *cgroup, sd_id128_t uuid, const char *name);

/* The name of the scope: a unit of systemd. */
bool domain_peer_scope(const char *cgroup, char buf[static 256]);

/* The name of the scope without number ("qemu-NUMBER-NAME"): NAME as libvirt makes it of a domain's name. */
void domain_machine_name(const char *name, unsigned prefix, char buf[static 65]);
