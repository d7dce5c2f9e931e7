// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(int x) // [type]
{
	return 1;
}
