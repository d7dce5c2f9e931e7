/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From the command line that libvirt made for an ordinary domain to the one of a realm. What is not understood, or
 * would make another machine than the image was made for, is refused: nothing is left out silently. */

#include <systemd/sd-id128.h>

#include "../libkcore/util.h"

/* What an armed launch demands, and the numbers of its descriptors in this process. */
struct qemu_launch {
        int launch_fd, agent_fd, monitor_fd;
        uint64_t memory; /* bytes, of QEMU */
        uint32_t vcpus;
};

/* Asks libvirt what this emulator can do? Then there is no guest, and nothing to protect. */
bool qemu_argv_is_probe(char *const *argv);

/* The domain's UUID. -EINVAL with *ret_error (for people) if there is none, or not one. */
int qemu_argv_uuid(char *const *argv, sd_id128_t *ret, char **ret_error);

/* *ret: the new command line, whose first word is qemu. -EINVAL with *ret_error, or -ENOMEM. */
int qemu_argv_protect(char *const *argv, const char *qemu, const struct qemu_launch *l, char ***ret, char **ret_error);
