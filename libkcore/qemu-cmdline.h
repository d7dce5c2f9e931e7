/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The command line of stock QEMU for a realm. QEMU loads nothing into the guest and opens nothing by path:
 * what it may use it inherits as descriptors. */

#include "guest-config.h"
#include "layout.h"

/* Numbers that the descriptors will have in the QEMU process. */
struct qemu_fds {
        int kcore;   /* the launch, /dev/kcore O_RDWR */
        int qmp;     /* listening unix socket */
        int console; /* listening unix socket */
        int agent;   /* listening unix socket: the port on which the guest answers requests for tokens */
        int tap;     /* -EBADF unless network is tap */
        int disks[GUEST_DISKS_MAX];
        bool disk_is_block[GUEST_DISKS_MAX]; /* block device, not regular file */
};

/* Set ids: above what a management layer hands out by itself. */
#define QEMU_FDSET_KCORE 4096
#define QEMU_FDSET_DISK(i) (4100 + (int) (i))

/* argv, NULL-terminated. */
int qemu_cmdline_build(
                const char *qemu,
                const struct guest_config *config,
                const struct guest_layout *layout,
                const struct qemu_fds *fds,
                char ***ret);

/* "QEMU emulator version 10.0.13 (Debian ...)" to 100013 (major * 10000 + minor * 100 + micro). */
int qemu_version_parse(const char *s, unsigned *ret);
#define QEMU_VERSION_MIN 80200 /* first with "-accel kvm,device=" */

void qemu_mac_address(sd_id128_t uuid, char buf[static 18]);
