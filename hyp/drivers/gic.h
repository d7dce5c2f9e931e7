/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GICv3: KCore drives only the redistributor's mask of the virtual timer interrupt, and keeps the host's hands
 * off the redistributor registers that make the GIC write to memory (LPIs).
 */
#ifndef KCORE_GIC_H
#define KCORE_GIC_H

#include "../mach/cpu.h"

void gic_cpu_init(struct percpu *p);

/* Does any redistributor have LPIs? Then their RD frames are mediated. */
bool gic_has_lpis(void);

/* Is this address in a mediated frame? */
bool gic_mediates(uint64_t ipa);

/* An access of the host to a mediated frame; a refused write does nothing. */
uint64_t gic_read(uint64_t ipa, uint64_t size);
void gic_write(uint64_t ipa, uint64_t size, uint64_t v);

/* Calls back for each 4 KiB page of the redistributors that the host may have as it is. */
void gic_host_pages(void (*page)(uint64_t pa));

#endif
