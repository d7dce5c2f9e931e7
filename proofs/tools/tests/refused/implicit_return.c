// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint32_t x)
{
	return x; // [cast]
}
