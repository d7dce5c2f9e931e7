// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
void f(uint64_t x)
{
	if (x == 0) {
		return;
	}
	gr_write(x, x);
}
