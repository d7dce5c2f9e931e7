// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
static uint64_t f(uint64_t x) // [name]
{
	return x;
}
uint64_t h(uint64_t x)
{
	uint64_t r = f(x);
	return r;
}
