// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint64_t x, uint32_t y, bool b)
{
	(void)x; (void)y; (void)b;
	x = b; // [cast]
	return x;
}
