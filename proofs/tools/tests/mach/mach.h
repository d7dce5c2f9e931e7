// SPDX-License-Identifier: Apache-2.0
// Primitives for the test files; the last three are ones that core must not use.
#pragma once
#include <stdbool.h>
#include <stdint.h>

uint64_t gr_read(uint64_t pa);
void gr_write(uint64_t pa, uint64_t value);
void takes_bool(bool b);
void pt_write(uint64_t table, uint64_t slot, uint64_t entry);

extern uint64_t mach_global;
void mach_pointer(void *p);
static inline uint64_t mach_inline(uint64_t x)
{
	return x;
}
