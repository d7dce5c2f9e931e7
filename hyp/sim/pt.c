/* SPDX-License-Identifier: Apache-2.0 */
/* Words of tables, the host's and realms'. */
#include "machine.h"

static uint64_t *table_words(uint64_t table, uint64_t slot)
{
	GUARD(slot < 512, "slot %lu", slot);
	if (table >= TABLE_BASE && table < table_pa(NUM_TABLES)) {
		GUARD(host_holder == me(), "host table without host_lock");
		return tables[(table - TABLE_BASE) >> 12];
	}
	if (granule(table)->state == GS_RTT)
		GUARD(realm_held(granule(table)->owner) || claimed(granule(table)), "RTT %#lx without its realm's lock",
		      table);
	else
		GUARD(granule(table)->state == GS_DELEGATED && claimed(granule(table)), "%#lx is no table", table);
	return dram[number(table)];
}

uint64_t pt_read(uint64_t table, uint64_t slot)
{
	return table_words(table, slot)[slot];
}

void pt_write(uint64_t table, uint64_t slot, uint64_t desc)
{
	uint64_t *words = table_words(table, slot);
	uint64_t old = words[slot];

	GUARD((old & 1) == 0 || (desc & 1) == 0 || old == desc, "no break before make: %#lx over %#lx", desc, old);
	changes++;
	words[slot] = desc;
	if (table >= TABLE_BASE && table < table_pa(NUM_TABLES)) {
		for (unsigned region = 0; region < NUM_REGIONS; region++)
			if (table != table_pa(T_L2) || slot == region)
				if (table < table_pa(T_L3) || table == table_pa(T_L3 + region))
					host_fill(region);
		return;
	}
	if (!granule(table)->linked)
		return;
	if (is_table(granule(table)->level, old))
		granule(desc_pa(old))->linked = false;
	realm_entry(table, slot);
}
