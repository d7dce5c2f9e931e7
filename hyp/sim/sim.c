/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"
#include "../attest/identity.h"
#include "../attest/prims.h"
#include "../attest/token.h"

#include <openssl/evp.h>
#include <openssl/hpke.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static struct granule granules[SIM_GRANULES];
static uint64_t dram[SIM_GRANULES][512];
static uint64_t tables[NUM_TABLES][512];
static uint64_t holes[NUM_REGIONS];
static struct cpu cpus[SIM_CPUS];
static int host_holder;
static int rec_runner[SIM_GRANULES];
static bool vmids[VMIDS];
static struct tlb_entry *tlb;
static unsigned tlb_size, tlb_room;
static uint64_t counters[KCORE_NUM_COUNTERS];
static unsigned now_cpu;
/* What sim_check() depends on: changes made, and sums over what is held and pinned just now. */
static uint64_t changes, checked, held_sum, pin_sum;

jmp_buf *sim_catch;
void (*sim_while_waiting)(void);
uint64_t sim_now, sim_vtr, sim_width, sim_id[16][8], sim_events[16];
bool sim_timer_masked[SIM_CPUS];

void sim_violation(const char *format, ...)
{
	va_list args;

	if (sim_catch != NULL)
		longjmp(*sim_catch, 1);
	fprintf(stderr, "violation on CPU %u: ", now_cpu);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

#define GUARD(condition, ...)                                                                  \
	do {                                                                                   \
		if (!(condition))                                                              \
			sim_violation(__VA_ARGS__);                                            \
	} while (0)

static struct cpu *self(void)
{
	return &cpus[now_cpu];
}

static int me(void)
{
	return (int)now_cpu;
}

static bool in_dram(uint64_t pa)
{
	return (pa & 0xFFF) == 0 && pa >= SIM_DRAM && pa < SIM_G(SIM_HOLE);
}

static unsigned number(uint64_t pa)
{
	GUARD(in_dram(pa), "%#lx is no granule", pa);
	return (unsigned)((pa - SIM_DRAM) >> 12);
}

static struct granule *granule(uint64_t pa)
{
	return &granules[number(pa)];
}

/* ---- Locks ------------------------------------------------------------------------------------------ */

static void took(void)
{
	GUARD(!self()->released, "a lock is taken after one was released");
	self()->locks++;
}

static void gave(void)
{
	GUARD(self()->locks > 0, "a lock is released that is not held");
	self()->locks--;
	self()->released = self()->locks > 0;
}

static bool claimed(const struct granule *g)
{
	return g->holder == me();
}

static bool realm_held(uint64_t rd)
{
	return rd != 0 && self()->realm == rd;
}

/* A CPU is about to wait for a lock: others act. */
static void let_others(void)
{
	void (*others)(void) = sim_while_waiting;
	unsigned cpu = now_cpu;

	if (others == NULL)
		return;
	sim_while_waiting = NULL;
	others();
	sim_while_waiting = others;
	now_cpu = cpu;
}

bool granule_tracked(uint64_t pa)
{
	return in_dram(pa);
}

bool granule_claim(uint64_t pa, uint64_t state)
{
	GUARD(state == GS_NS || state == GS_DELEGATED, "claim of state %lu", state);
	if (!in_dram(pa))
		return false;
	if (granule(pa)->state != state || granule(pa)->holder != NOBODY)
		return false;
	took();
	held_sum += pa;
	granule(pa)->holder = me();
	return true;
}

void granule_release(uint64_t pa)
{
	GUARD(claimed(granule(pa)), "release of %#lx, which is not claimed", pa);
	held_sum -= pa;
	granule(pa)->holder = NOBODY;
	gave();
}

static void word_guard(uint64_t pa)
{
	GUARD(claimed(granule(pa)) || realm_held(granule(pa)->owner), "granule word %#lx is not held", pa);
}

uint64_t granule_state(uint64_t pa)
{
	word_guard(pa);
	return granule(pa)->state;
}

static void unreachable_guard(uint64_t pa, const char *what)
{
	const struct granule *g = granule(pa);

	GUARD(g->host == 0, "%s %#lx: still in a TLB of the host", what, pa);
	GUARD(!g->smmu, "%s %#lx: still in the SMMU's TLB", what, pa);
	GUARD(g->tlb == 0, "%s %#lx: still in a TLB of a realm", what, pa);
	GUARD(g->cached == 0, "%s %#lx: still in a walk cache", what, pa);
}

void granule_set(uint64_t pa, uint64_t state, uint64_t owner)
{
	struct granule *g = granule(pa);

	word_guard(pa);
	GUARD(g->state != GS_CORE && state != GS_CORE, "state of KCore's %#lx changes", pa);
	GUARD((owner != 0) == (state == GS_REC || state == GS_RTT || state == GS_DATA), "owner of state %lu",
	      state);
	if (state == GS_DELEGATED) {
		unreachable_guard(pa, "set DELEGATED");
		GUARD(g->refs == 0, "%#lx becomes DELEGATED with references", pa);
		GUARD(sim_is_zero(pa), "%#lx becomes DELEGATED but is not zero", pa);
	} else {
		GUARD(g->state == GS_DELEGATED, "%#lx goes from %lu to %lu", pa, g->state, state);
	}
	changes++;
	g->state = state;
	g->owner = owner;
	if (state == GS_RTT && pa >= rd_get_rtt_base(owner) &&
	    pa < rd_get_rtt_base(owner) + (rd_get_num_start(owner) << 12)) {
		uint64_t i = (pa - rd_get_rtt_base(owner)) >> 12;

		g->level = rd_get_start_level(owner);
		g->base = (i * 512) << (39 - 9 * g->level);
		g->linked = true;
	}
}

uint64_t granule_refs(uint64_t pa)
{
	word_guard(pa);
	return granule(pa)->refs;
}

void granule_set_refs(uint64_t pa, uint64_t refs)
{
	word_guard(pa);
	GUARD(granule(pa)->state != GS_NS, "pins are counted by ns_get and ns_put");
	GUARD(refs <= 512, "%lu references of %#lx", refs, pa);
	changes++;
	granule(pa)->refs = refs;
}

uint64_t granule_owner(uint64_t pa, uint64_t state)
{
	if (!in_dram(pa) || granule(pa)->state != state)
		return 0;
	return granule(pa)->owner;
}

bool ns_get(uint64_t pa)
{
	if (!in_dram(pa) || granule(pa)->state != GS_NS || granule(pa)->holder != NOBODY)
		return false;
	granule(pa)->refs++;
	pin_sum += pa;
	return true;
}

void ns_put(uint64_t pa)
{
	GUARD(granule(pa)->state == GS_NS && granule(pa)->refs > 0, "ns_put of %#lx, which is not pinned", pa);
	granule(pa)->refs--;
	pin_sum -= pa;
	GUARD(granule(pa)->refs > 0 || granule(pa)->tlb == 0, "%#lx unpinned while in a realm's TLB", pa);
}

static bool pinned(uint64_t pa)
{
	return in_dram(pa) && granule(pa)->state == GS_NS && granule(pa)->refs > 0;
}

bool realm_lock(uint64_t rd)
{
	GUARD(self()->realm == 0, "a second realm is locked");
	GUARD(self()->locks == 0, "a realm is locked after a claim");
	let_others();
	if (!in_dram(rd) || granule(rd)->state != GS_RD)
		return false;
	GUARD(granule(rd)->holder == NOBODY, "deadlock on realm %#lx", rd);
	took();
	held_sum += rd;
	granule(rd)->holder = me();
	self()->realm = rd;
	return true;
}

void realm_unlock(uint64_t rd)
{
	GUARD(realm_held(rd), "realm %#lx is not locked", rd);
	held_sum -= rd;
	granule(rd)->holder = NOBODY;
	self()->realm = 0;
	gave();
}

bool vmid_claim(uint64_t vmid)
{
	if (vmid >= HOST_VMID || vmids[vmid])
		return false;
	for (unsigned i = 0; i < tlb_size; i++)
		GUARD(tlb[i].vmid != vmid, "VMID %lu is given out with TLB entries left", vmid);
	changes++;
	vmids[vmid] = true;
	return true;
}

void vmid_release(uint64_t vmid)
{
	GUARD(vmid < HOST_VMID && vmids[vmid], "VMID %lu is not taken", vmid);
	changes++;
	vmids[vmid] = false;
}

/* ---- Memory ----------------------------------------------------------------------------------------- */

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

/* ChaCha20-Poly1305 of a page in place. */
static bool aead_open(uint8_t *page, const uint8_t key[32], const uint8_t nonce[12], const uint8_t aad[40],
		      const uint8_t tag[16])
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0;
	bool ok = EVP_DecryptInit_ex(c, EVP_chacha20_poly1305(), NULL, key, nonce) == 1 &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, (void *)(uintptr_t)tag) == 1 &&
		  EVP_DecryptUpdate(c, NULL, &n, aad, 40) == 1 && EVP_DecryptUpdate(c, page, &n, page, 4096) == 1 &&
		  EVP_DecryptFinal_ex(c, page + n, &n) == 1;

	EVP_CIPHER_CTX_free(c);
	return ok;
}

bool open_granule(uint64_t rd, uint64_t dst, uint64_t ipa, uint64_t src, uint64_t tag)
{
	uint64_t aad[5], key[4], nonce[2] = { 0, ipa };
	uint8_t page[4096], *tags = (uint8_t *)dram[number(tag & ~0xFFFUL)];

	GUARD(claimed(granule(dst)) && granule(dst)->state == GS_DELEGATED, "open to %#lx", dst);
	GUARD(pinned(src) && pinned(tag & ~0xFFFUL) && tag % 16 == 0, "open from %#lx, tag %#lx", src, tag);
	GUARD(rd_get_has_key(rd) == 1, "no key");
	unreachable_guard(dst, "open to");
	for (unsigned i = 0; i < 4; i++) {
		aad[i] = rd_get_policy(rd, LAUNCH_IMAGE_ID / 8 + i);
		key[i] = rd_get_content_key(rd, i);
	}
	aad[4] = ipa;
	memcpy(page, dram[number(src)], 4096);
	if (!aead_open(page, (uint8_t *)key, (uint8_t *)nonce + 4, (uint8_t *)aad, tags + (tag & 0xFFF)))
		return false;
	memcpy(dram[number(dst)], page, 4096);
	return true;
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

/* ---- Realm TLBs ------------------------------------------------------------------------------------- */

static bool is_table(uint64_t level, uint64_t desc)
{
	return level < 3 && (desc & 3) == 3;
}

static uint64_t desc_pa(uint64_t desc)
{
	return desc & 0x0000FFFFFFFFF000UL;
}

static uint64_t entry_size(uint64_t level)
{
	return 1UL << (39 - 9 * level);
}

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

static void realm_entry(uint64_t table, uint64_t slot);

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
static void realm_entry(uint64_t table, uint64_t slot)
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

/* ---- Host tables ------------------------------------------------------------------------------------ */

static uint64_t table_pa(unsigned n)
{
	return TABLE_BASE + ((uint64_t)n << 12);
}

static bool host_region(uint64_t ipa, unsigned *region)
{
	if (ipa < SIM_DRAM || ipa >= SIM_G(SIM_GRANULES))
		return false;
	*region = (unsigned)((ipa - SIM_DRAM) >> 21);
	return true;
}

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

static bool smmu_linked(unsigned region)
{
	return (tables[T_SMMU1][SIM_DRAM >> 30] & 1) != 0 && (tables[T_SMMU2][region] & 3) == 3;
}

static bool smmu_way(unsigned region, unsigned i)
{
	return smmu_linked(region) && (tables[T_L3 + region][i] & 1) != 0;
}

/* What the tables translate may be in TLBs. */
static void host_fill(unsigned region)
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

/* ---- Tables ----------------------------------------------------------------------------------------- */

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

/* ---- Scratch pages ---------------------------------------------------------------------------------- */

void params_load(uint64_t ns)
{
	GUARD(pinned(ns), "parameters at %#lx are not pinned", ns);
	memcpy(self()->params, dram[number(ns)], 4096);
}

uint64_t params_word(uint64_t offset)
{
	GUARD(offset < 4096 && offset % 8 == 0, "parameter at %#lx", offset);
	return self()->params[offset / 8];
}

bool params_signed(uint64_t len, uint64_t key, uint64_t sig)
{
	const uint8_t *page = (const uint8_t *)self()->params;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY *k;
	bool ok;

	GUARD(len <= 4096 && key <= 4096 - 32 && sig <= 4096 - 64 && (len | key | sig) % 8 == 0, "signature");
	k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, page + key, 32);
	ok = k != NULL && EVP_DigestVerifyInit(c, NULL, NULL, NULL, k) == 1 &&
	     EVP_DigestVerify(c, page + sig, 64, page, len) == 1;
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(k);
	return ok;
}

void run_load(uint64_t ns)
{
	GUARD(pinned(ns), "run page %#lx is not pinned", ns);
	memcpy(self()->run, dram[number(ns)], 0x800);
	memset(self()->run + 0x800, 0, 0x800);
}

void run_store(uint64_t ns)
{
	GUARD(pinned(ns), "run page %#lx is not pinned", ns);
	memcpy((uint8_t *)dram[number(ns)] + 0x800, self()->run + 0x800, 0x800);
}

static uint64_t *run_word(uint64_t offset)
{
	return (uint64_t *)(void *)(self()->run + offset);
}

#define RUN_GET_F(name, off)                                                                   \
	uint64_t run_in_##name(void)                                                           \
	{                                                                                      \
		return *run_word(off);                                                         \
	}
#define RUN_GET_A(name, off, n)                                                                \
	uint64_t run_in_##name(uint64_t i)                                                     \
	{                                                                                      \
		GUARD(i < (n), "run page " #name " %lu", i);                                   \
		return *run_word((off) + 8 * i);                                               \
	}
RUN_ENTRY_FIELDS(RUN_GET_F, RUN_GET_A)
#define RUN_PUT_F(name, off)                                                                   \
	void run_out_##name(uint64_t v)                                                        \
	{                                                                                      \
		*run_word(off) = v;                                                            \
	}
#define RUN_PUT_A(name, off, n)                                                                \
	void run_out_##name(uint64_t i, uint64_t v)                                            \
	{                                                                                      \
		GUARD(i < (n), "run page " #name " %lu", i);                                   \
		*run_word((off) + 8 * i) = v;                                                  \
	}
RUN_EXIT_FIELDS(RUN_PUT_F, RUN_PUT_A)

void hash_clear(void)
{
	memset(self()->hash, 0, sizeof(self()->hash));
}

void hash_put(uint64_t index, uint64_t value)
{
	GUARD(index < 512, "hash word %lu", index);
	self()->hash[index] = value;
}

static void hash_bytes(uint64_t alg, const void *bytes, uint64_t len)
{
	GUARD(alg <= RMI_HASH_SHA512 && len <= 4096, "hash of %lu bytes, algorithm %lu", len, alg);
	memset(self()->digest, 0, sizeof(self()->digest));
	if (alg == RMI_HASH_SHA256)
		SHA256(bytes, len, (unsigned char *)self()->digest);
	else
		SHA512(bytes, len, (unsigned char *)self()->digest);
}

void hash_buffer(uint64_t alg, uint64_t len)
{
	hash_bytes(alg, self()->hash, len);
}

void hash_granule(uint64_t alg, uint64_t pa)
{
	word_guard(pa);
	hash_bytes(alg, dram[number(pa)], 4096);
}

uint64_t hash_word(uint64_t index)
{
	GUARD(index < 8, "digest word %lu", index);
	return self()->digest[index];
}

/* ---- Objects ---------------------------------------------------------------------------------------- */

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

const uint8_t sim_sealing_key[32] = "the sealing key of the simulator";

bool open_content_key(uint64_t rd)
{
	static const OSSL_HPKE_SUITE suite = { OSSL_HPKE_KEM_ID_X25519, OSSL_HPKE_KDF_ID_HKDF_SHA256,
					       OSSL_HPKE_AEAD_ID_CHACHA_POLY1305 };
	OSSL_HPKE_CTX *c = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_BASE, suite, OSSL_HPKE_ROLE_RECEIVER, NULL, NULL);
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, sim_sealing_key, 32);
	const uint8_t *page = (const uint8_t *)self()->params;
	uint8_t policy[LAUNCH_SIGNATURE], info[17 + 32];
	uint64_t key[6];
	size_t size = sizeof(key);
	bool ok;

	for (unsigned i = 0; i < sizeof(policy) / 8; i++)
		memcpy(policy + 8 * i, &(uint64_t){ rd_get_policy(rd, i) }, 8);
	memcpy(info, "kcore image key 1", 17);
	memcpy(info + 17, policy + LAUNCH_IMAGE_ID, 32);
	ok = OSSL_HPKE_decap(c, page + LAUNCH_KEY_ENC, 32, k, info, sizeof(info)) == 1 &&
	     OSSL_HPKE_open(c, (uint8_t *)key, &size, policy, sizeof(policy), page + LAUNCH_KEY_CT, 48) == 1;
	for (unsigned i = 0; ok && i < 4; i++)
		rd_set_content_key(rd, i, key[i]);
	OSSL_HPKE_CTX_free(c);
	EVP_PKEY_free(k);
	return ok;
}

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

/* ---- CPU, log, counters ----------------------------------------------------------------------------- */

uint64_t counter_now(void)
{
	return sim_now;
}

void vtimer_mask(bool masked)
{
	sim_timer_masked[now_cpu] = masked;
}

uint64_t ich_vtr(void)
{
	return sim_vtr;
}

uint64_t s2_width(void)
{
	return sim_width;
}

bool has_level0(void)
{
	return sim_width >= 44;
}

uint64_t id_reg(uint64_t crm, uint64_t op2)
{
	GUARD(crm < 16 && op2 < 8, "ID register %lu %lu", crm, op2);
	return sim_id[crm][op2];
}

void log_event(uint64_t code, uint64_t a, uint64_t b)
{
	(void)a;
	(void)b;
	GUARD(code < 16, "event %lu", code);
	sim_events[code]++;
}

struct log_read_result log_read(uint64_t ns, uint64_t seq)
{
	GUARD(pinned(ns), "log page %#lx is not pinned", ns);
	memcpy(dram[number(ns)], "log\n", 4);
	return (struct log_read_result){ 4, seq + 4 };
}

uint64_t log_size(void)
{
	return 65536;
}

uint64_t tracked_granules(void)
{
	return SIM_HOLE;
}

void counter_add(uint64_t index, uint64_t n)
{
	GUARD(index < KCORE_NUM_COUNTERS, "counter %lu", index);
	changes += index == KCORE_CTR_DELEGATED || index == KCORE_CTR_REALMS;
	counters[index] += n;
}

uint64_t counter_read(uint64_t index)
{
	GUARD(index < KCORE_NUM_COUNTERS, "counter %lu", index);
	return counters[index];
}

/* ---- The test's side -------------------------------------------------------------------------------- */

static void idle_check(void)
{
	GUARD(self()->locks == 0 && self()->realm == 0, "a handler ends with locks held");
	self()->released = false;
}

struct smc_result sim_smc(uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5)
{
	GUARD(self()->loaded == 0, "a host call while a REC runs here");
	struct smc_result r = core_host_smc(fid, x1, x2, x3, x4, x5);

	idle_check();
	GUARD(r.rec == self()->loaded, "REC to run is %#lx, loaded is %#lx", r.rec, self()->loaded);
	return r;
}

bool sim_trap(uint64_t rec, uint64_t trap, uint64_t esr, uint64_t far, uint64_t hpfar)
{
	GUARD(self()->loaded == rec, "a trap of a REC that does not run");
	bool again = core_rec_exit(rec, trap, esr, far, hpfar);

	idle_check();
	GUARD(again == (self()->loaded == rec), "a REC left loaded, or unloaded and resumed");
	return again;
}

uint64_t sim_host_fault(uint64_t esr, uint64_t hpfar, uint64_t far)
{
	uint64_t action = core_host_abort(esr, hpfar, far);

	idle_check();
	return action;
}

uint64_t sim_read(uint64_t pa, uint64_t offset)
{
	return dram[number(pa)][offset / 8];
}

void sim_write(uint64_t pa, uint64_t offset, uint64_t value)
{
	dram[number(pa)][offset / 8] = value;
}

uint64_t sim_state(uint64_t pa)
{
	return granule(pa)->state;
}

uint64_t sim_refs(uint64_t pa)
{
	return granule(pa)->refs;
}

uint64_t sim_count(uint64_t state)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < SIM_HOLE; i++)
		n += granules[i].state == state;
	return n;
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

void sim_set_cpu(unsigned cpu)
{
	now_cpu = cpu;
}

void sim_reset(void)
{
	static const uint8_t seed[64] = "the simulated machine has no firmware that hands anything over";
	static bool booted;

	/* One identity for all machines: it takes long to make. */
	if (!booted) {
		(void)identity_make(NULL, 0, seed, 0);
		token_make_head(false);
		booted = true;
	}
	memset(granules, 0, sizeof(granules));
	memset(tables, 0, sizeof(tables));
	memset(holes, 0, sizeof(holes));
	memset(cpus, 0, sizeof(cpus));
	memset(vmids, 0, sizeof(vmids));
	memset(counters, 0, sizeof(counters));
	memset(sim_events, 0, sizeof(sim_events));
	memset(sim_timer_masked, 0, sizeof(sim_timer_masked));
	memset(sim_id, 0, sizeof(sim_id));
	memset(dram, 0x5A, sizeof(dram));
	tlb_size = 0;
	changes = 1;
	checked = held_sum = pin_sum = 0;
	host_holder = NOBODY;
	now_cpu = 0;
	sim_catch = NULL;
	sim_while_waiting = NULL;
	sim_now = 1000;
	sim_vtr = 0x90b80003; /* four list registers, 5 bits of priority, 24 bits of id */
	sim_width = 48;
	for (unsigned i = 0; i < SIM_GRANULES; i++) {
		granules[i].holder = NOBODY;
		rec_runner[i] = NOBODY;
		if (i < SIM_CORE)
			granules[i].state = GS_CORE;
	}
	for (unsigned region = 0; region < NUM_REGIONS; region++)
		core_boot_dram(SIM_DRAM + ((uint64_t)region << 21));
	core_boot_device(SIM_DEVICE, 3);
	core_boot_device(0x10000000UL, 2);
	idle_check();
}

/* ---- Invariants ------------------------------------------------------------------------------------- */

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
