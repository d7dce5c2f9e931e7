/* SPDX-License-Identifier: Apache-2.0 */
/* The memory behind granule words and the host's stage 2: made at boot, sized from DRAM. */
#ifndef KCORE_HOSTMAP_H
#define KCORE_HOSTMAP_H

#include "arch.h"

/* The host's IPA space: 40 bits, two concatenated level 1 tables. */
#define HOST_IPA_BITS 40
#define HOST_VTCR 0x80023558UL

uint64_t hostmap_size(void);
void hostmap_init(void);

/* Level 1 tables for VTTBR_EL2 and for the SMMU's stream table entries. */
extern uint64_t host_l1, smmu_l1;

/* Boot: make the host's table of this level for a device address. */
void hostmap_device_table(uint64_t level, uint64_t ipa);

/* Granules from pa on become the core's own, for ever. */
void hostmap_mark_core(uint64_t pa, uint64_t size);

/* VMID of the host: the highest one, so that realms may use 0 and up. */
uint64_t host_vmid(void);
uint64_t host_vttbr(void);

#endif
