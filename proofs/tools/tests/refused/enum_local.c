// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
enum e { A };
uint64_t f(uint64_t x, uint32_t y, bool b)
{
	(void)x; (void)y; (void)b;
	enum e z = A; // [type]
	return x;
}
