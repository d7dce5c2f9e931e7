// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint64_t x)
{
	uint64_t r = 0;
	if (x == 0) {
		return r;
	}
	r = f(x - 1); // [order]
	return r;
}
