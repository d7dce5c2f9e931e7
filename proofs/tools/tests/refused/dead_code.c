// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint64_t x)
{
	return 1;
	gr_write(x, 1); // [return]
}
