// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint64_t x)
{
	for (uint64_t i = 0; i < 4; i++) {
		x ^= i << 3;
		for (uint32_t j = 1; j < 2 + 3; ++j)
			gr_write(i, x);
	}
	return x;
}
