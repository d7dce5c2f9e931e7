// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
__attribute__((noreturn)) void f(uint64_t x) // [ast]
{
	gr_write(x, 1);
}
