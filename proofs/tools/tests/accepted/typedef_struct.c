// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
typedef struct { uint64_t a; uint32_t b; } two;
two f(uint64_t x)
{
	two r = { x, 0 };
	return r;
}
