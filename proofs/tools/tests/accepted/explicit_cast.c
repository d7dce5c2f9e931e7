// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint32_t a, uint64_t b, bool c)
{
	uint32_t lo = (uint32_t)b;
	uint64_t t = (uint64_t)(b == 3);
	bool q = (bool)b;
	if (q) {
		return t;
	}
	return (uint64_t)a + (uint64_t)c + (uint64_t)lo + (uint64_t)-1;
}
