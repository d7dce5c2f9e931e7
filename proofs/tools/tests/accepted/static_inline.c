// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
static inline bool aligned(uint64_t x)
{
	return (x & 4095) == 0;
}
bool f(uint64_t x)
{
	bool ok = aligned(x);
	return ok;
}
