/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the simulated machine know of each other: its state, and who may touch it. Not for tests. */
#ifndef KCORE_SIM_MACHINE_H
#define KCORE_SIM_MACHINE_H

#include "sim.h"

#define NOBODY (-1)
#define TABLE_BASE 0x10000000UL /* host tables live here, outside of DRAM */
#define NUM_REGIONS (SIM_GRANULES / 512)
#define VMIDS 256u
#define HOST_VMID 255u

/* Pages of TABLE_BASE: CPU level 1, 2; SMMU level 1, 2; device level 2, 3; level 3 per region. */
enum { T_L1, T_L2, T_SMMU1, T_SMMU2, T_DEV2, T_DEV3, T_L3, NUM_TABLES = T_L3 + NUM_REGIONS };

struct granule {
	uint64_t state, owner, refs;
	int holder;      /* CPU that claimed it, or locks its realm */
	uint8_t host;    /* TLBs of the host's CPUs: 0 none, 1 page, 2 block */
	bool smmu;       /* TLB of the SMMU */
	unsigned tlb;    /* realm TLB entries that reach it */
	/* as a realm's table */
	bool linked;     /* reachable from start tables */
	unsigned cached; /* VMID + 1 whose walk caches may hold it */
	uint64_t level, base;
};

struct tlb_entry {
	uint64_t vmid, ipa, pa, size;
};

struct cpu {
	uint64_t params[512];
	uint8_t run[4096];
	uint64_t hash[512];
	uint64_t digest[8];
	uint64_t loaded; /* REC */
	uint64_t live[SYS_COUNT];
	unsigned locks;  /* claims and locks held now */
	bool released;   /* one was let go since the first was taken */
	uint64_t realm;  /* locked realm */
};

struct rd_layout {
#define LAYOUT_F(name) uint64_t name;
#define LAYOUT_A(name, n) uint64_t name[n];
	RD_FIELDS(LAYOUT_F, LAYOUT_A)
};
struct rec_layout {
	REC_FIELDS(LAYOUT_F, LAYOUT_A)
};
_Static_assert(sizeof(struct rd_layout) <= 4096 && sizeof(struct rec_layout) <= 4096, "one granule each");

extern struct granule granules[SIM_GRANULES];
extern uint64_t dram[SIM_GRANULES][512];
extern uint64_t tables[NUM_TABLES][512];
extern uint64_t holes[NUM_REGIONS];
extern struct cpu cpus[SIM_CPUS];
extern int host_holder;              /* CPU that holds host_lock() */
extern int rec_runner[SIM_GRANULES]; /* CPU that runs the REC */
extern bool vmids[VMIDS];
extern struct tlb_entry *tlb;
extern unsigned tlb_size, tlb_room;
extern uint64_t counters[KCORE_NUM_COUNTERS];
extern unsigned now_cpu;
/* What sim_check() depends on: changes made, and sums over what is held and pinned just now. */
extern uint64_t changes, checked, held_sum, pin_sum;

/* What every primitive's contract asks of its caller. */
#define GUARD(condition, ...)                                                                  \
	do {                                                                                   \
		if (!(condition))                                                              \
			sim_violation(__VA_ARGS__);                                            \
	} while (0)

static inline struct cpu *self(void)
{
	return &cpus[now_cpu];
}

static inline int me(void)
{
	return (int)now_cpu;
}

static inline bool in_dram(uint64_t pa)
{
	return (pa & 0xFFF) == 0 && pa >= SIM_DRAM && pa < SIM_G(SIM_HOLE);
}

static inline unsigned number(uint64_t pa)
{
	GUARD(in_dram(pa), "%#lx is no granule", pa);
	return (unsigned)((pa - SIM_DRAM) >> 12);
}

static inline struct granule *granule(uint64_t pa)
{
	return &granules[number(pa)];
}

static inline bool claimed(const struct granule *g)
{
	return g->holder == me();
}

static inline bool realm_held(uint64_t rd)
{
	return rd != 0 && self()->realm == rd;
}

static inline bool pinned(uint64_t pa)
{
	return in_dram(pa) && granule(pa)->state == GS_NS && granule(pa)->refs > 0;
}

static inline bool is_table(uint64_t level, uint64_t desc)
{
	return level < 3 && (desc & 3) == 3;
}

static inline uint64_t desc_pa(uint64_t desc)
{
	return desc & 0x0000FFFFFFFFF000UL;
}

static inline uint64_t entry_size(uint64_t level)
{
	return 1UL << (39 - 9 * level);
}

static inline uint64_t table_pa(unsigned n)
{
	return TABLE_BASE + ((uint64_t)n << 12);
}

static inline bool host_region(uint64_t ipa, unsigned *region)
{
	if (ipa < SIM_DRAM || ipa >= SIM_G(SIM_GRANULES))
		return false;
	*region = (unsigned)((ipa - SIM_DRAM) >> 21);
	return true;
}

/* locks.c: a lock was taken, or given back; one is about to be waited for. */
void took(void);
void gave(void);
void let_others(void);
/* May this CPU look at the granule's word? Is the granule in no TLB? */
void word_guard(uint64_t pa);
void unreachable_guard(uint64_t pa, const char *what);

/* tlb.c: what an entry of a reachable table translates may be in TLBs from now on. */
void realm_entry(uint64_t table, uint64_t slot);

/* host.c: does the SMMU's table lead to the region's level 3? What the tables of a region translate may be in TLBs. */
bool smmu_linked(unsigned region);
void host_fill(unsigned region);

#endif
