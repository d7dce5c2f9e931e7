// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
struct s { uint64_t a; };
static struct s mk(uint64_t x)
{
	struct s r = { x };
	return r;
}
uint64_t f(uint64_t x, uint32_t y, bool b)
{
	(void)x; (void)y; (void)b;
	x = mk(x).a; // [ast]
	return x;
}
