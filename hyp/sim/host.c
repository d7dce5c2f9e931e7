/* SPDX-License-Identifier: Apache-2.0 */
/* The host's tables and the SMMU's; what is in their TLBs. */
#include "machine.h"

uint64_t host_table(uint64_t level, uint64_t ipa)
{
	unsigned region;

	GUARD(level >= 1 && level <= 3, "host table of level %lu", level);
	if (ipa >> 40 != 0)
		return 0;
	if (level == 1)
		return table_pa(T_L1);
	if (ipa < 0x40000000UL) {
		if (level == 2)
			return table_pa(T_DEV2);
		return ipa >> 21 == SIM_DEVICE >> 21 ? table_pa(T_DEV3) : 0;
	}
	if (ipa >> 30 != SIM_DRAM >> 30)
		return 0;
	if (level == 2)
		return table_pa(T_L2);
	return host_region(ipa, &region) ? table_pa(T_L3 + region) : 0;
}

uint64_t smmu_table(uint64_t level, uint64_t ipa)
{
	unsigned region;

	GUARD(level >= 1 && level <= 2, "SMMU table of level %lu", level);
	if (!host_region(ipa, &region))
		return 0;
	return table_pa(level == 1 ? T_SMMU1 : T_SMMU2);
}

void host_lock(void)
{
	let_others();
	GUARD(host_holder == NOBODY, "deadlock on the host's tables");
	took();
	host_holder = me();
}

void host_unlock(void)
{
	GUARD(host_holder == me(), "the host's tables are not locked");
	host_holder = NOBODY;
	gave();
}

static uint64_t *holes_of(uint64_t ipa)
{
	unsigned region = 0;

	GUARD(host_holder == me(), "holes without host_lock");
	GUARD(host_region(ipa, &region), "holes of %#lx", ipa);
	return &holes[region];
}

uint64_t host_holes(uint64_t ipa)
{
	return *holes_of(ipa);
}

void host_set_holes(uint64_t ipa, uint64_t n)
{
	GUARD(n <= 512, "%lu holes", n);
	changes++;
	*holes_of(ipa) = n;
}

/* How the host's CPUs reach page i of a region by the tables: 0 not, 1 by a page, 2 by a block. */
static uint8_t host_way(unsigned region, unsigned i)
{
	uint64_t l2 = tables[T_L2][region];

	if ((tables[T_L1][SIM_DRAM >> 30] & 1) == 0 || (l2 & 1) == 0)
		return 0;
	if ((l2 & 3) == 1)
		return 2;
	return (tables[T_L3 + region][i] & 1) != 0;
}

bool smmu_linked(unsigned region)
{
	return (tables[T_SMMU1][SIM_DRAM >> 30] & 1) != 0 && (tables[T_SMMU2][region] & 3) == 3;
}

static bool smmu_way(unsigned region, unsigned i)
{
	return smmu_linked(region) && (tables[T_L3 + region][i] & 1) != 0;
}

/* What the tables translate may be in TLBs. */
void host_fill(unsigned region)
{
	for (unsigned i = 0; i < 512; i++) {
		struct granule *g = &granules[region * 512 + i];
		uint8_t way = host_way(region, i);

		GUARD(way == 0 || g->host == 0 || g->host == way, "TLB conflict of the host at %#x", i);
		if (way != 0)
			g->host = way;
		if (smmu_way(region, i))
			g->smmu = true;
	}
}

void tlbi_host(uint64_t ipa)
{
	unsigned region = 0, n = (unsigned)((ipa - SIM_DRAM) >> 12);

	GUARD(host_region(ipa, &region), "host TLBI of %#lx", ipa);
	if (granules[n].host == 2) {
		for (unsigned i = 0; i < 512; i++)
			granules[region * 512 + i].host = 0;
	}
	granules[n].host = 0;
	changes++;
	host_fill(region);
}

void tlbi_host_2m(uint64_t ipa)
{
	unsigned region = 0;

	GUARD(host_region(ipa, &region), "host TLBI of %#lx", ipa);
	for (unsigned i = 0; i < 512; i++)
		granules[region * 512 + i].host = 0;
	host_fill(region);
}

void smmu_tlbi(uint64_t ipa)
{
	unsigned region = 0;

	GUARD(host_region(ipa, &region), "SMMU TLBI of %#lx", ipa);
	granules[(ipa - SIM_DRAM) >> 12].smmu = false;
	host_fill(region);
}

bool sim_host_reaches(uint64_t ipa)
{
	unsigned region = 0;

	if (!host_region(ipa, &region))
		return false;
	return host_way(region, (ipa >> 12) & 511) != 0 || granules[(ipa - SIM_DRAM) >> 12].host != 0;
}

bool sim_smmu_reaches(uint64_t ipa)
{
	unsigned region = 0;

	if (!host_region(ipa, &region))
		return false;
	return smmu_way(region, (ipa >> 12) & 511) || granules[(ipa - SIM_DRAM) >> 12].smmu;
}
