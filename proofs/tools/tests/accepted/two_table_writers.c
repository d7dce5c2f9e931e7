// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
void map(uint64_t t, uint64_t s)
{
	pt_write(t, s, 3);
}
void unmap(uint64_t t, uint64_t s)
{
	pt_write(t, s, 0);
}
