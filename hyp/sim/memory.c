/* SPDX-License-Identifier: Apache-2.0 */
/* What is in granules. */
#include "../attest/prims.h"
#include "machine.h"

#include <string.h>

bool sim_is_zero(uint64_t pa)
{
	static const uint64_t zero[512];

	return memcmp(dram[number(pa)], zero, sizeof(zero)) == 0;
}

void zero_granule(uint64_t pa)
{
	word_guard(pa);
	GUARD(granule(pa)->state != GS_NS || claimed(granule(pa)), "wiping the host's %#lx", pa);
	unreachable_guard(pa, "zero");
	memset(dram[number(pa)], 0, 4096);
}

void copy_granule(uint64_t dst, uint64_t src)
{
	GUARD(claimed(granule(dst)) && granule(dst)->state == GS_DELEGATED, "copy to %#lx", dst);
	GUARD(pinned(src), "copy from %#lx, which is not pinned", src);
	unreachable_guard(dst, "copy to");
	memcpy(dram[number(dst)], dram[number(src)], 4096);
}

static void data_guard(uint64_t pa, uint64_t index)
{
	GUARD(granule(pa)->state == GS_DATA && realm_held(granule(pa)->owner), "%#lx is no page of a locked realm",
	      pa);
	GUARD(index < 512, "word %lu of a page", index);
}

uint64_t data_read(uint64_t pa, uint64_t index)
{
	data_guard(pa, index);
	return dram[number(pa)][index];
}

void data_write(uint64_t pa, uint64_t index, uint64_t value)
{
	data_guard(pa, index);
	dram[number(pa)][index] = value;
}

void page_put(uint64_t pa, uint64_t offset, const void *from, uint64_t len)
{
	GUARD(pinned(pa) || (granule(pa)->state == GS_DATA && realm_held(granule(pa)->owner)),
	      "%#lx is neither a pinned host page nor one of a locked realm", pa);
	GUARD(offset <= 4096 && len <= 4096 - offset, "%lu bytes at %#lx of a page", len, offset);
	memcpy((uint8_t *)dram[number(pa)] + offset, from, len);
}
