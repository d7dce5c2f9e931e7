/* SPDX-License-Identifier: Apache-2.0 */
/* TLBs and walk caches of realms: saturated, with whatever the tables have translated. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

static void tlb_count(const struct tlb_entry *e, int n)
{
	for (uint64_t o = 0; o < e->size; o += 4096)
		if (in_dram(e->pa + o))
			granule(e->pa + o)->tlb += (unsigned)n;
}

static void tlb_add(uint64_t vmid, uint64_t ipa, uint64_t pa, uint64_t size)
{
	struct tlb_entry e = { vmid, ipa, pa, size };

	for (unsigned i = 0; i < tlb_size; i++) {
		if (tlb[i].vmid != vmid || ipa >= tlb[i].ipa + tlb[i].size || tlb[i].ipa >= ipa + size)
			continue;
		GUARD(memcmp(&tlb[i], &e, sizeof(e)) == 0, "TLB conflict at VMID %lu ipa %#lx", vmid, ipa);
		return;
	}
	if (tlb_size == tlb_room) {
		tlb_room = tlb_room == 0 ? 1024 : 2 * tlb_room;
		tlb = realloc(tlb, tlb_room * sizeof(*tlb));
	}
	tlb[tlb_size++] = e;
	tlb_count(&e, 1);
}

/* A field of an RD, past its guard. */
#define RD_PEEK(rd, name) (((struct rd_layout *)(void *)dram[number(rd)])->name)

static uint64_t realm_vmid(uint64_t rd)
{
	return RD_PEEK(rd, vmid);
}

/* A table has become reachable. */
static void table_link(uint64_t table, uint64_t level, uint64_t base)
{
	struct granule *g = granule(table);

	g->linked = true;
	g->level = level;
	g->base = base;
	for (unsigned i = 0; i < 512; i++)
		realm_entry(table, i);
}

/* What an entry of a reachable table translates may be in TLBs from now on. */
void realm_entry(uint64_t table, uint64_t slot)
{
	struct granule *g = granule(table);
	uint64_t desc = dram[number(table)][slot];
	uint64_t size = entry_size(g->level);
	uint64_t vmid;

	if ((desc & 1) == 0)
		return;
	vmid = realm_vmid(g->owner);
	if (is_table(g->level, desc)) {
		struct granule *child = granule(desc_pa(desc));

		child->cached = (unsigned)vmid + 1;
		child->owner = g->owner; /* the core says so a moment later */
		table_link(desc_pa(desc), g->level + 1, g->base + slot * size);
	} else {
		tlb_add(vmid, g->base + slot * size, desc_pa(desc), size);
	}
}

static uint64_t realm_walk(uint64_t rd, uint64_t ipa, uint64_t *size)
{
	uint64_t level = RD_PEEK(rd, start_level), base = RD_PEEK(rd, rtt_base), desc, slot;

	if (ipa >> RD_PEEK(rd, s2sz) != 0)
		return 0;
	slot = ipa >> (39 - 9 * level);
	base += (slot >> 9) << 12;
	for (;; level++) {
		desc = dram[number(base)][(ipa >> (39 - 9 * level)) & 511];
		*size = entry_size(level);
		if (!is_table(level, desc))
			return desc;
		base = desc_pa(desc);
	}
}

uint64_t sim_realm_page(uint64_t rd, uint64_t ipa)
{
	uint64_t size = 0, desc = realm_walk(rd, ipa, &size);

	if ((desc & 1) == 0)
		return ~0UL;
	return (desc_pa(desc) + (ipa & (size - 1))) & ~0xFFFUL;
}

/*
 * Drop realm TLB entries that no table supports: all of a VMID, or those at an ipa. Nothing fills the TLB for a
 * realm without RECs; rec_load() does for one that has.
 */
static void tlb_drop(uint64_t rd, uint64_t vmid, bool all, uint64_t ipa)
{
	bool idle = all && rd_get_rec_count(rd) == 0;
	unsigned kept = 0;

	for (unsigned i = 0; i < tlb_size; i++) {
		struct tlb_entry e = tlb[i];
		uint64_t size = 0, desc = 0;
		bool hit = e.vmid == vmid && (all || (ipa >= e.ipa && ipa < e.ipa + e.size));

		if (hit) {
			desc = idle ? 0 : realm_walk(rd, e.ipa, &size);
			if ((desc & 1) == 0 || size != e.size || desc_pa(desc) != e.pa) {
				tlb_count(&e, -1);
				continue;
			}
		}
		tlb[kept++] = e;
	}
	tlb_size = kept;
}

static uint64_t tlbi_realm_guard(uint64_t vmid)
{
	GUARD(vmid < HOST_VMID && vmids[vmid], "TLBI of VMID %lu", vmid);
	return self()->realm;
}

void tlbi_realm(uint64_t vmid, uint64_t ipa)
{
	uint64_t rd = tlbi_realm_guard(vmid);

	GUARD(rd != 0 && rd_get_vmid(rd) == vmid, "TLBI of another realm");
	tlb_drop(rd, vmid, false, ipa);
}

void tlbi_realm_all(uint64_t vmid)
{
	uint64_t rd = tlbi_realm_guard(vmid);

	if (rd == 0) /* a realm about to be */
		return;
	tlb_drop(rd, vmid, true, 0);
	for (unsigned i = 0; i < SIM_GRANULES; i++) {
		struct granule *g = &granules[i];
		bool start = g->state == GS_RTT && g->owner == rd && g->level == rd_get_start_level(rd);

		if (g->cached == vmid + 1 && (!g->linked || (start && rd_get_rec_count(rd) == 0)))
			g->cached = 0;
	}
}
