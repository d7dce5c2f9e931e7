/* SPDX-License-Identifier: Apache-2.0 */
/* The host's PSCI, SMCCC architecture and TRNG calls: an allow-list in front of the firmware. */
#ifndef KCORE_RELAY_H
#define KCORE_RELAY_H

#include "trap.h"

struct smc_out {
	uint64_t x[4];
};

/* SMC or HVC to the firmware, whichever the device tree says. */
struct smc_out firmware_call(uint64_t fid, uint64_t a1, uint64_t a2, uint64_t a3);

/* Answer a call of the host, if it is one of these: x0 to x3 of the frame change. */
bool relay_call(struct frame *f);

#endif
