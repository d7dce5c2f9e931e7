// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
enum state { NS = 0, DELEGATED, BIG = 0x800000000 };
bool f(uint64_t s)
{
	uint64_t want = DELEGATED;
	return s == want || s == NS || s > BIG;
}
