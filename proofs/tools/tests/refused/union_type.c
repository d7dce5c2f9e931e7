// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
union u { uint64_t a; uint32_t b; }; // [type]
uint64_t f(uint64_t x, uint32_t y, bool b)
{
	(void)x; (void)y; (void)b;
	return x;
}
