/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the PCI devices of a protected domain are: on the root complex itself, bus 0. libvirt would put each behind a PCIe
 * port; QEMU's ports need MSI, and a realm has none (its interrupt controller has no ITS). On bus 0 the devices have wires. */

#include <libxml/tree.h>

/* Slots of bus 0 that a domain's devices may have; those above are kcore-qemu's. */
#define DOMAIN_PCI_FIRST 1u
#define DOMAIN_PCI_LAST 28u

/* Moves all devices there that are elsewhere, removes what would be empty, and says what libvirt would otherwise add by itself,
 * behind a port. Those that have a good address keep it. -EINVAL with *ret_error if there are more than slots. */
int domain_pci_place(xmlNodePtr devices, char **ret_error);
