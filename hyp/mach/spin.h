/* SPDX-License-Identifier: Apache-2.0 */
/* A spin lock. KCore runs with interrupts masked, so a holder always makes progress. */
#ifndef KCORE_SPIN_H
#define KCORE_SPIN_H

#include "arch.h"

struct spin {
	uint32_t held;
};

static inline void spin_lock(struct spin *l)
{
	while (__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE) != 0)
		__asm__ volatile("yield");
}

static inline void spin_unlock(struct spin *l)
{
	__atomic_store_n(&l->held, 0, __ATOMIC_RELEASE);
}

#endif
