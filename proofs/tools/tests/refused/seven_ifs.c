// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint64_t x)
{
	if (x == 0) {
		x = 9;
	}
	if (x == 1) {
		x = 10;
	}
	if (x == 2) {
		x = 11;
	}
	if (x == 3) {
		x = 12;
	}
	if (x == 4) {
		x = 13;
	}
	if (x == 5) {
		x = 14;
	}
	if (x == 6) { // [ifs]
		x = 15;
	}
	return x;
}
