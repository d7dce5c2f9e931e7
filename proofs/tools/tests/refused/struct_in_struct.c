// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
struct s { uint64_t a; };
struct t {
	struct s s; // [type]
};
uint64_t f(uint64_t x, uint32_t y, bool b)
{
	(void)x; (void)y; (void)b;
	return x;
}
