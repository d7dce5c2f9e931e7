// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint64_t a)
{
	uint64_t x = gr_read(a);
	x = gr_read(x + 1);
	gr_write(a, x);
	(void)gr_read(a);
	return x;
}
