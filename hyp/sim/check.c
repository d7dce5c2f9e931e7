/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants of the whole machine. */
#include "machine.h"

#include <string.h>

static uint64_t check_pins[SIM_GRANULES];
static uint8_t check_seen[SIM_GRANULES];

static uint64_t check_recs[SIM_GRANULES];
static uint64_t check_private, check_shared; /* pages of the realm that is looked at */

static void check_table(uint64_t rd, uint64_t table, uint64_t level, uint64_t base, uint64_t half)
{
	struct granule *g = granule(table);
	const uint64_t *words = dram[number(table)];
	uint64_t live = 0, size = entry_size(level);

	GUARD(g->state == GS_RTT && g->owner == rd, "table %#lx is not its realm's", table);
	GUARD(g->level == level && g->base == base && g->linked, "table %#lx is not where it should be", table);
	GUARD(check_seen[number(table)]++ == 0, "table %#lx is linked twice", table);
	for (unsigned i = 0; i < 512; i++) {
		uint64_t desc = words[i], ipa = base + i * size;
		bool ns = (desc >> 55) & 1;

		if (desc == 0 || (desc == 1UL << 55 && ipa >= half))
			continue;
		if (is_table(level, desc)) {
			live++;
			check_table(rd, desc_pa(desc), level + 1, ipa, half);
		} else if (ns) {
			GUARD(ipa >= half, "host page in the protected half, ipa %#lx", ipa);
			for (uint64_t o = 0; (desc & 1) != 0 && o < size; o += 4096, check_shared++)
				check_pins[number(desc_pa(desc) + o)]++;
		} else if ((desc & 5) != 0) {
			live++;
			GUARD(ipa < half, "protected page in the unprotected half, ipa %#lx", ipa);
			for (uint64_t o = 0; o < size; o += 4096, check_private++) {
				uint64_t pa = desc_pa(desc) + o;

				GUARD(granule(pa)->state == GS_DATA && granule(pa)->owner == rd,
				      "page %#lx is not its realm's", pa);
				GUARD(check_seen[number(pa)]++ == 0, "page %#lx is mapped twice", pa);
			}
		}
	}
	GUARD(live == g->refs, "table %#lx has %lu live entries, counts %lu", table, live, g->refs);
}

static void check_realm(uint64_t rd)
{
	struct rd_layout *r = (struct rd_layout *)(void *)dram[number(rd)];

	uint64_t expects = 0, key = 0;

	GUARD(vmids[r->vmid], "realm without its VMID");
	check_private = check_shared = 0;
	for (uint64_t i = 0; i < r->num_start; i++)
		check_table(rd, r->rtt_base + (i << 12), r->start_level,
			    (i * 512) * entry_size(r->start_level), r->ipa_size / 2);
	GUARD(check_private == r->pages_private && check_shared == r->pages_shared,
	      "realm %#lx has %lu pages and %lu of the host, counts %lu and %lu", rd, check_private, check_shared,
	      r->pages_private, r->pages_shared);
	GUARD(r->pages_private <= r->max_private && r->pages_shared <= r->max_shared && r->rec_index <= r->max_vcpus,
	      "realm %#lx has more than its policy allows", rd);
	for (unsigned i = 0; i < 8; i++)
		expects |= r->policy[LAUNCH_RIM / 8 + i];
	for (unsigned i = 0; i < 4; i++)
		key |= r->content_key[i];
	GUARD(r->has_key == 0 ? key == 0 : expects != 0 && r->state == REALM_NEW, "realm %#lx has a key", rd);
	for (unsigned i = 0; expects != 0 && r->state != REALM_NEW && i < 8; i++)
		GUARD(r->meas[i] == r->policy[LAUNCH_RIM / 8 + i], "realm %#lx runs with another RIM", rd);
}

static void check_rec(unsigned i)
{
	struct rec_layout *rec = (struct rec_layout *)(void *)dram[i];
	struct rd_layout *r = (struct rd_layout *)(void *)dram[number(granules[i].owner)];

	GUARD(granule(granules[i].owner)->state == GS_RD, "REC without a realm");
	check_recs[number(granules[i].owner)]++;
	check_seen[i]++;
	GUARD(rec->rd == granules[i].owner && rec->rtt_base == r->rtt_base && rec->vmid == r->vmid,
	      "REC is not its realm's");
	GUARD((rec->running != 0) == (rec_runner[i] != NOBODY), "runner of a REC");
	if (rec->running != 0)
		check_pins[number(rec->run_page)]++;
}

/* The granules of a region, and how the host sees them; how many are delegated? */
static uint64_t check_region(unsigned region)
{
	const uint64_t *l3 = tables[T_L3 + region];
	uint64_t delegated = 0, n = 0;
	bool smmu = smmu_linked(region);

	for (unsigned k = 0; k < 512; k++) {
		unsigned i = region * 512 + k;
		const struct granule *g = &granules[i];
		bool hosts = i < SIM_HOLE && g->state == GS_NS;

		GUARD(g->holder == NOBODY, "granule %u is held", i);
		GUARD((l3[k] & 1) == hosts, "granule %u of state %lu: the host's table says %#lx", i, g->state, l3[k]);
		if (hosts) {
			GUARD(desc_pa(l3[k]) == SIM_G(i), "no identity at %u", i);
			GUARD(smmu, "granule %u: the SMMU's view differs", i);
			GUARD(g->refs == check_pins[i], "granule %u: %lu pins, counts %lu", i, check_pins[i], g->refs);
			GUARD(check_seen[i] == 0, "granule %u is the host's and a realm's", i);
			continue;
		}
		n++;
		GUARD(g->host == 0 && !g->smmu, "granule %u: lost by the host, but in a TLB", i);
		if (i >= SIM_HOLE)
			continue;
		delegated += g->state != GS_CORE;
		GUARD(check_pins[i] == 0, "granule %u is pinned but not the host's", i);
		GUARD((check_seen[i] != 0) == (g->state >= GS_RD && g->state <= GS_DATA),
		      "granule %u of state %lu is lost", i, g->state);
		GUARD(g->state != GS_DELEGATED || (g->tlb == 0 && g->cached == 0), "granule %u: free but cached", i);
		GUARD(g->state != GS_RD || ((struct rd_layout *)(void *)dram[i])->rec_count == check_recs[i],
		      "realm %u has %lu RECs, counts otherwise", i, check_recs[i]);
	}
	GUARD(n == holes[region], "region %u has %lu holes, counts %lu", region, n, holes[region]);
	GUARD(((tables[T_L2][region] & 3) == 1) == (n == 0), "region %u: block or not", region);
	GUARD((tables[T_L1][SIM_DRAM >> 30] & 3) == 3, "level 1 of the host");
	return delegated;
}

void sim_check(void)
{
	uint64_t realms = 0, delegated = 0, owned = 0, key = changes * 31 + held_sum * 37 + pin_sum;

	if (key == checked)
		return;

	memset(check_pins, 0, sizeof(check_pins));
	memset(check_seen, 0, sizeof(check_seen));
	memset(check_recs, 0, sizeof(check_recs));
	for (unsigned i = 0; i < SIM_HOLE; i++) {
		if (granules[i].state == GS_RD) {
			realms++;
			check_seen[i]++;
			check_realm(SIM_G(i));
		} else if (granules[i].state == GS_REC) {
			check_rec(i);
		}
	}
	for (unsigned i = 0; i < VMIDS; i++)
		owned += vmids[i];
	GUARD(owned == realms, "%lu VMIDs taken, %lu realms", owned, realms);
	for (unsigned region = 0; region < NUM_REGIONS; region++)
		delegated += check_region(region);
	for (unsigned i = 0; i < tlb_size; i++)
		GUARD(vmids[tlb[i].vmid], "TLB entry of a VMID that is gone");
	GUARD(counters[KCORE_CTR_REALMS] == realms, "realm counter");
	GUARD(counters[KCORE_CTR_DELEGATED] == delegated, "granule counter");
	checked = key;
}
