/* SPDX-License-Identifier: Apache-2.0 */
/* RDs and RECs, and RECs that are loaded. */
#include "machine.h"

#include <string.h>

static struct rd_layout *rd_fields(uint64_t rd)
{
	struct granule *g = granule(rd);

	GUARD(g->state == GS_RD ? realm_held(rd) || claimed(g) : g->state == GS_DELEGATED && claimed(g),
	      "realm %#lx is not locked", rd);
	return (struct rd_layout *)(void *)dram[number(rd)];
}

/* Inline, so that the names are compared at compile time. */
static inline __attribute__((always_inline)) struct rec_layout *rec_fields(uint64_t rec, const char *field)
{
	struct granule *g = granule(rec);
	int runner = rec_runner[number(rec)];
	bool shared = strcmp(field, "running") == 0 || strcmp(field, "runnable") == 0 ||
		      strcmp(field, "index") == 0 || strcmp(field, "rd") == 0;

	GUARD(g->state == GS_REC, "%#lx is no REC", rec);
	GUARD(runner == me() || (realm_held(g->owner) && (runner == NOBODY || shared)),
	      "field %s of REC %#lx: not locked, or another CPU runs it", field, rec);
	return (struct rec_layout *)(void *)dram[number(rec)];
}

#define RD_GET_F(name)                                                                         \
	uint64_t rd_get_##name(uint64_t rd)                                                    \
	{                                                                                      \
		return rd_fields(rd)->name;                                                    \
	}                                                                                      \
	void rd_set_##name(uint64_t rd, uint64_t v)                                            \
	{                                                                                      \
		changes++;                                                                     \
		rd_fields(rd)->name = v;                                                       \
	}
#define RD_GET_A(name, n)                                                                      \
	uint64_t rd_get_##name(uint64_t rd, uint64_t i)                                        \
	{                                                                                      \
		GUARD(i < (n), #name " %lu", i);                                               \
		return rd_fields(rd)->name[i];                                                 \
	}                                                                                      \
	void rd_set_##name(uint64_t rd, uint64_t i, uint64_t v)                                \
	{                                                                                      \
		GUARD(i < (n), #name " %lu", i);                                               \
		rd_fields(rd)->name[i] = v;                                                    \
	}
RD_FIELDS(RD_GET_F, RD_GET_A)

static inline __attribute__((always_inline)) void rec_written(uint64_t rec, const char *field, uint64_t v)
{
	if (strcmp(field, "running") == 0) {
		GUARD(realm_held(granule(rec)->owner), "running changes without the realm's lock");
		changes++;
		rec_runner[number(rec)] = v == 1 ? me() : NOBODY;
	}
	if (strcmp(field, "runnable") == 0)
		GUARD(realm_held(granule(rec)->owner), "runnable changes without the realm's lock");
}

#define REC_GET_F(name)                                                                        \
	uint64_t rec_get_##name(uint64_t rec)                                                  \
	{                                                                                      \
		return rec_fields(rec, #name)->name;                                           \
	}                                                                                      \
	void rec_set_##name(uint64_t rec, uint64_t v)                                          \
	{                                                                                      \
		rec_fields(rec, #name)->name = v;                                              \
		rec_written(rec, #name, v);                                                    \
	}
#define REC_GET_A(name, n)                                                                     \
	uint64_t rec_get_##name(uint64_t rec, uint64_t i)                                      \
	{                                                                                      \
		GUARD(i < (n), #name " %lu", i);                                               \
		if (strncmp(#name, "ich", 3) == 0 || strcmp(#name, "el1") == 0)                \
			GUARD(self()->loaded != rec, #name " of a loaded REC");                \
		return rec_fields(rec, #name)->name[i];                                        \
	}                                                                                      \
	void rec_set_##name(uint64_t rec, uint64_t i, uint64_t v)                              \
	{                                                                                      \
		GUARD(i < (n), #name " %lu", i);                                               \
		rec_fields(rec, #name)->name[i] = v;                                           \
	}
REC_FIELDS(REC_GET_F, REC_GET_A)

uint64_t rec_sysreg(uint64_t rec, uint64_t index)
{
	GUARD(index < SYS_COUNT, "system register %lu", index);
	if (self()->loaded == rec)
		return self()->live[index];
	return rec_fields(rec, "el1")->el1[index];
}

void rec_set_sysreg(uint64_t rec, uint64_t index, uint64_t value)
{
	GUARD(index < SYS_COUNT, "system register %lu", index);
	if (self()->loaded == rec)
		self()->live[index] = value;
	else
		rec_fields(rec, "el1")->el1[index] = value;
}

void rec_load(uint64_t rec)
{
	struct rec_layout *r = rec_fields(rec, "load");

	GUARD(self()->loaded == 0, "a REC is loaded over another");
	GUARD(rec_runner[number(rec)] == me(), "a REC is loaded that this CPU does not run");
	GUARD(self()->locks == 0, "a REC is loaded under locks");
	memcpy(self()->live, r->el1, sizeof(self()->live));
	memset(r->el1, 0xAA, sizeof(r->el1));
	self()->loaded = rec;
	for (unsigned i = 0; i < SIM_GRANULES; i++) {
		if (granules[i].state != GS_RTT || granules[i].owner != r->rd)
			continue;
		granules[i].cached = (unsigned)r->vmid + 1;
		for (unsigned slot = 0; slot < 512; slot++)
			if (!is_table(granules[i].level, dram[i][slot]))
				realm_entry(SIM_G(i), slot);
	}
}

void rec_unload(uint64_t rec)
{
	GUARD(self()->loaded == rec, "another REC is loaded");
	self()->loaded = 0;
	memcpy(rec_fields(rec, "load")->el1, self()->live, sizeof(self()->live));
	memset(self()->live, 0xAA, sizeof(self()->live));
}
