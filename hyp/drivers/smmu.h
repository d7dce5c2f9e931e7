/* SPDX-License-Identifier: Apache-2.0 */
/* SMMUv3: every described stream through the host's memory, every other one aborted. */
#ifndef KCORE_SMMU_H
#define KCORE_SMMU_H

#include "../mach/arch.h"

/* False, with a line in the log, if DMA can not be checked on this machine. */
bool smmu_init(void);
bool smmu_active(void);

/* Move what the event queue holds into the log. */
void smmu_events(void);

#endif
