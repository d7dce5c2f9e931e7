// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint64_t x, uint64_t unused)
{
	(void)unused;
	return x;
}
