// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint64_t x, uint32_t y)
{
	x |= 1;
	x <<= 3;
	x += (uint64_t)y;
	x /= 8;
	return x;
}
