// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
int f(uint64_t x) // [type]
{
	return 1;
}
