// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
struct pair { uint64_t a; bool b; };
static struct pair mk(uint64_t x, bool q)
{
	struct pair v = { .a = x };
	v.b = q && x == 3;
	return v;
}
uint64_t f(uint64_t x)
{
	struct pair w = mk(x, x != 0);
	if (!w.b) {
		w = (struct pair){ 1, false };
	}
	struct pair z = w;
	return z.a;
}
