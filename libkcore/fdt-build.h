/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The device tree of a realm: QEMU's machine "virt" as far as a realm uses it, PSCI by SMC, no secrets and
 * nothing that differs between two launches of the same guest, so that it can be measured. */

#include "layout.h"

#define GUEST_DTB_MAX (64 * KIB)

struct fdt_input {
        const struct guest_layout *layout;
        unsigned vcpus;
        const char *bootargs; /* may be NULL; swiotlb= is put before them, from the memory size, if it is not there */
        bool earlycon;        /* put earlycon= before all, at the UART's unprotected alias */
};

/* Allocates the blob. -ENOSPC if it would exceed GUEST_DTB_MAX; -E2BIG if the command line is longer than
 * GUEST_APPEND_MAX with what is added to it: GUEST_APPEND_TOO_LONG says so. */
int guest_fdt_build(const struct fdt_input *in, void **ret, size_t *ret_size);
