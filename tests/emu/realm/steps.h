/* SPDX-License-Identifier: Apache-2.0 */
/* What guest.c and vmm.c agree on. */
#ifndef STEPS_H
#define STEPS_H

#define RAM_BASE 0x40000000UL
#define SHARED_PAGE 0x812000UL		/* in RAM */
#define SHARED_BLOCK 0x2000000UL

#define DEVICE_STEP 0x10000000UL	/* store: a step is done; the value was stored before */
#define DEVICE_VALUE 0x10000008UL
#define DEVICE_STORE 0x10000010UL	/* store of 0x89ABCDEF, 32 bits */
#define DEVICE_PATTERN 0x10000018UL	/* loads see 0x8182838485868788 */

enum {
	STEP_CONFIG = 1,
	STEP_MEMORY,
	STEP_SHARED,
	STEP_UNSHARED,
	STEP_DEVICE,
	STEP_TIMERS,
	STEP_VCPUS,
	STEP_DONE,
	STEP_FAILED = 0xBAD,
	STEP_EXCEPTION,
};

#endif
