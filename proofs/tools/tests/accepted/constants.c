// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
#define SZ (1 << 12)
#define MASK (~UINT64_C(0) >> (64 - 12))
_Static_assert(SZ == 4096, "page");
uint64_t f(uint64_t x)
{
	const uint64_t y = x & ~MASK;
	return y / SZ + (x % 512) * 8 + UINT64_C(7);
}
