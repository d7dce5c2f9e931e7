// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
uint64_t f(uint64_t level, uint64_t ipa)
{
	if (level == 1) {
		return (ipa >> 30) & 511;
	} else if (level == 2) {
		return (ipa >> 21) & 511;
	}
	return (ipa >> 12) & 511;
}
