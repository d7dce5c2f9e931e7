// SPDX-License-Identifier: Apache-2.0
#include "mach/mach.h"
bool f(bool a, bool b)
{
	bool c = a != b;
	if (a == true) {
		return !c && b;
	}
	return c;
}
