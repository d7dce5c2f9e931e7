// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
bool f(uint64_t x)
{
	return x & 1; // [bool]
}
