/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where granule words and the tables of the host's stage 2 lie.
 *
 * Banks of DRAM are numbered through: granule g of bank b has word first_granule(b) + g, and 2 MiB chunk c
 * has level 3 table first_chunk(b) + c. A bank's chunks start at its first address rounded down to 2 MiB, so
 * two banks never share a chunk (fdt_read() sees to that).
 *
 * A granule word: 3:0 state, 4 lock, 47:12 owner (the RD's address), 63:48 references.
 */
#include "hostmap.h"

#include "../boot/boot.h"
#include "../drivers/log.h"
#include "cpu.h"
#include "mach.h"
#include "spin.h"

#define W_STATE 0xfUL
#define W_LOCK (1UL << 4)
#define W_OWNER 0x0000fffffffff000UL
#define W_REFS 48
#define REFS_MAX 0xffffUL

#define GIBS (1UL << (HOST_IPA_BITS - 30))
#define DEVICE_L3 64

struct bank {
	uint64_t base, end;   /* whole granules */
	uint64_t first_granule;
	uint64_t chunk_base;  /* base, rounded down to 2 MiB */
	uint64_t first_chunk;
};

static struct bank bank[MAX_BANKS];
static uint32_t banks;
static uint64_t granules, chunks;

static uint64_t *words;
static uint64_t *holes;
static uint64_t l3_pool;
uint64_t host_l1, smmu_l1;
static uint64_t empty_l1;
static uint64_t host_l2[GIBS], smmu_l2[GIBS];
static uint64_t device_ipa[DEVICE_L3], device_l3[DEVICE_L3];
static uint32_t device_l3s;
static struct spin host_spin;

static void count(void)
{
	granules = 0;
	chunks = 0;
	banks = machine.drams;
	for (uint32_t i = 0; i < banks; i++) {
		bank[i].base = machine.dram[i].base;
		bank[i].end = bank[i].base + machine.dram[i].size;
		bank[i].first_granule = granules;
		bank[i].chunk_base = align_down(bank[i].base, SZ_2M);
		bank[i].first_chunk = chunks;
		granules += machine.dram[i].size / SZ_4K;
		chunks += (align_up(bank[i].end, SZ_2M) - bank[i].chunk_base) / SZ_2M;
	}
}

uint64_t hostmap_size(void)
{
	uint64_t n;

	count();
	n = granules * 8 + chunks * (SZ_4K + 8) + 6 * SZ_4K;
	n += 2 * (chunks / 512 + 2 * banks) * SZ_4K;        /* level 2, DRAM */
	n += (DEVICE_L3 + 64) * SZ_4K;                      /* devices */
	return n;
}

static const struct bank *bank_of(uint64_t pa)
{
	for (uint32_t i = 0; i < banks; i++) {
		if (pa >= bank[i].base && pa < bank[i].end)
			return &bank[i];
	}
	return NULL;
}

static uint64_t *word_of(uint64_t pa)
{
	const struct bank *b = bank_of(pa);

	if (b == NULL)
		panic("no granule word for 0x%lx", pa);
	return &words[b->first_granule + (pa - b->base) / SZ_4K];
}

/* Number of the 2 MiB chunk, or all ones. */
static uint64_t chunk_of(uint64_t ipa)
{
	for (uint32_t i = 0; i < banks; i++) {
		if (ipa >= bank[i].chunk_base && ipa < align_up(bank[i].end, SZ_2M))
			return bank[i].first_chunk + (ipa - bank[i].chunk_base) / SZ_2M;
	}
	return ~0UL;
}

void hostmap_init(void)
{
	words = (uint64_t *)pool_alloc(granules * 8, SZ_4K);
	holes = (uint64_t *)pool_alloc(chunks * 8, SZ_4K);
	l3_pool = pool_alloc(chunks * SZ_4K, SZ_4K);
	host_l1 = pool_alloc(2 * SZ_4K, 2 * SZ_4K);
	smmu_l1 = pool_alloc(2 * SZ_4K, 2 * SZ_4K);
	empty_l1 = pool_alloc(2 * SZ_4K, 2 * SZ_4K);
	for (uint32_t i = 0; i < banks; i++) {
		for (uint64_t a = align_down(bank[i].base, SZ_1G); a < bank[i].end; a += SZ_1G) {
			uint64_t gib = a >> 30;

			if (gib >= GIBS)
				panic("DRAM at 0x%lx is beyond 40 bits", a);
			if (host_l2[gib] == 0) {
				host_l2[gib] = pool_alloc(SZ_4K, SZ_4K);
				smmu_l2[gib] = pool_alloc(SZ_4K, SZ_4K);
			}
		}
	}
	for (uint32_t i = 0; i < 2; i++)
		hostmap_mark_core(machine.core[i].base, machine.core[i].size);
}

void hostmap_device_table(uint64_t level, uint64_t ipa)
{
	uint64_t gib = ipa >> 30;

	if (gib >= GIBS)
		panic("device at 0x%lx is beyond 40 bits", ipa);
	if (host_l2[gib] == 0)
		host_l2[gib] = pool_alloc(SZ_4K, SZ_4K);
	if (level < 3 || host_table(3, ipa) != 0)
		return;
	if (device_l3s == DEVICE_L3)
		panic("too many devices");
	device_ipa[device_l3s] = align_down(ipa, SZ_2M);
	device_l3[device_l3s] = pool_alloc(SZ_4K, SZ_4K);
	device_l3s++;
}

void hostmap_mark_core(uint64_t pa, uint64_t size)
{
	for (uint64_t a = pa; a < pa + size; a += SZ_4K) {
		if (granule_tracked(a))
			*word_of(a) = GS_CORE;
	}
}

uint64_t host_vmid(void)
{
	return features.vmid16 ? 0xffff : 0xff;
}

uint64_t host_vttbr(void)
{
	return host_vmid() << 48 | host_l1;
}

/* ---- granule words (mach.h) ---- */

bool granule_tracked(uint64_t pa)
{
	return pa != 0 && (pa & (GRANULE_SIZE - 1)) == 0 && bank_of(pa) != NULL;
}

uint64_t tracked_granules(void)
{
	return granules;
}

static bool word_cas(uint64_t *w, uint64_t *old, uint64_t new)
{
	return __atomic_compare_exchange_n(w, old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

bool granule_claim(uint64_t pa, uint64_t state)
{
	uint64_t *w, old;

	if (!granule_tracked(pa))
		return false;
	w = word_of(pa);
	old = __atomic_load_n(w, __ATOMIC_ACQUIRE);
	do {
		if ((old & (W_STATE | W_LOCK)) != state)
			return false;
	} while (!word_cas(w, &old, old | W_LOCK));
	return true;
}

void granule_release(uint64_t pa)
{
	__atomic_fetch_and(word_of(pa), ~W_LOCK, __ATOMIC_RELEASE);
}

uint64_t granule_state(uint64_t pa)
{
	return __atomic_load_n(word_of(pa), __ATOMIC_ACQUIRE) & W_STATE;
}

/* Only the holder changes state and owner; ns_get and ns_put change the rest of an NS word at any time. */
void granule_set(uint64_t pa, uint64_t state, uint64_t owner)
{
	uint64_t *w = word_of(pa);
	uint64_t old = __atomic_load_n(w, __ATOMIC_RELAXED);

	while (!word_cas(w, &old, (old & ~(W_STATE | W_OWNER)) | state | (owner & W_OWNER)))
		;
}

uint64_t granule_refs(uint64_t pa)
{
	return __atomic_load_n(word_of(pa), __ATOMIC_ACQUIRE) >> W_REFS;
}

void granule_set_refs(uint64_t pa, uint64_t refs)
{
	uint64_t *w = word_of(pa);
	uint64_t old = __atomic_load_n(w, __ATOMIC_RELAXED);

	while (!word_cas(w, &old, (old & ~(REFS_MAX << W_REFS)) | refs << W_REFS))
		;
}

uint64_t granule_owner(uint64_t pa, uint64_t state)
{
	uint64_t w;

	if (!granule_tracked(pa))
		return 0;
	w = __atomic_load_n(word_of(pa), __ATOMIC_ACQUIRE);
	return (w & W_STATE) == state ? w & W_OWNER : 0;
}

bool ns_get(uint64_t pa)
{
	uint64_t *w, old;

	if (!granule_tracked(pa))
		return false;
	w = word_of(pa);
	old = __atomic_load_n(w, __ATOMIC_ACQUIRE);
	do {
		if ((old & (W_STATE | W_LOCK)) != GS_NS || old >> W_REFS == REFS_MAX)
			return false;
	} while (!word_cas(w, &old, old + (1UL << W_REFS)));
	return true;
}

void ns_put(uint64_t pa)
{
	__atomic_fetch_sub(word_of(pa), 1UL << W_REFS, __ATOMIC_RELEASE);
}

bool realm_lock(uint64_t rd)
{
	uint64_t *w, old;

	if (!granule_tracked(rd))
		return false;
	w = word_of(rd);
	old = __atomic_load_n(w, __ATOMIC_ACQUIRE);
	for (;;) {
		if ((old & W_STATE) != GS_RD)
			return false;
		if ((old & W_LOCK) != 0) {
			__asm__ volatile("yield");
			old = __atomic_load_n(w, __ATOMIC_ACQUIRE);
		} else if (word_cas(w, &old, old | W_LOCK)) {
			return true;
		}
	}
}

void realm_unlock(uint64_t rd)
{
	granule_release(rd);
}

/* ---- tables (mach.h) ---- */

uint64_t pt_read(uint64_t table, uint64_t slot)
{
	return __atomic_load_n((uint64_t *)table + slot, __ATOMIC_RELAXED);
}

void pt_write(uint64_t table, uint64_t slot, uint64_t desc)
{
	__atomic_store_n((uint64_t *)table + slot, desc, __ATOMIC_RELEASE);
	dsb(ishst); /* this CPU's own EL1 is behind an eret, which synchronises */
}

void host_lock(void)
{
	spin_lock(&host_spin);
}

void host_unlock(void)
{
	spin_unlock(&host_spin);
}

static uint64_t level1(uint64_t l1, uint64_t ipa)
{
	return l1 + ((ipa >> 39) & 1) * SZ_4K;
}

uint64_t host_table(uint64_t level, uint64_t ipa)
{
	uint64_t chunk;

	if (ipa >> HOST_IPA_BITS != 0)
		return 0;
	if (level == 1)
		return level1(host_l1, ipa);
	if (level == 2)
		return host_l2[ipa >> 30];
	chunk = chunk_of(ipa);
	if (chunk != ~0UL)
		return l3_pool + chunk * SZ_4K;
	for (uint32_t i = 0; i < device_l3s; i++) {
		if (device_ipa[i] == align_down(ipa, SZ_2M))
			return device_l3[i];
	}
	return 0;
}

uint64_t smmu_table(uint64_t level, uint64_t ipa)
{
	if (ipa >> HOST_IPA_BITS != 0)
		return 0;
	return level == 1 ? level1(smmu_l1, ipa) : smmu_l2[ipa >> 30];
}

uint64_t host_holes(uint64_t ipa)
{
	return holes[chunk_of(ipa)];
}

void host_set_holes(uint64_t ipa, uint64_t n)
{
	holes[chunk_of(ipa)] = n;
}

/* ---- TLB (mach.h) ---- */

/*
 * Invalidation goes by the VMID in VTTBR_EL2. The tables beside a VMID that is only there for that are empty: if
 * the CPU walks out of turn meanwhile, with the host's EL1 registers, it finds nothing that it could keep under the
 * VMID. The host's VTCR_EL2 is in force: no call comes while a REC is loaded.
 */
static uint64_t vmid_enter(uint64_t vmid)
{
	uint64_t old = read_sysreg(vttbr_el2);

	dsb(ish);
	if (old >> 48 != vmid) {
		write_sysreg(vttbr_el2, vmid << 48 | empty_l1);
		isb();
	}
	return old;
}

static void vmid_leave(uint64_t vmid, uint64_t old)
{
	isb();
	if (old >> 48 != vmid) {
		write_sysreg(vttbr_el2, old);
		isb();
	}
}

static void tlbi_ipa(uint64_t vmid, uint64_t ipa)
{
	uint64_t old = vmid_enter(vmid);

	__asm__ volatile("tlbi ipas2e1is, %0" : : "r"((ipa & 0x0000fffffffff000UL) >> 12));
	dsb(ish);
	__asm__ volatile("tlbi vmalle1is");
	dsb(ish);
	vmid_leave(vmid, old);
}

static void tlbi_all(uint64_t vmid)
{
	uint64_t old = vmid_enter(vmid);

	__asm__ volatile("tlbi vmalls12e1is");
	dsb(ish);
	vmid_leave(vmid, old);
}

void tlbi_host(uint64_t ipa)
{
	tlbi_ipa(host_vmid(), ipa);
}

void tlbi_host_2m(uint64_t ipa)
{
	(void)ipa; /* no instruction takes a range on every CPU: all of the host's */
	tlbi_all(host_vmid());
}

void tlbi_realm(uint64_t vmid, uint64_t ipa)
{
	tlbi_ipa(vmid, ipa);
}

void tlbi_realm_all(uint64_t vmid)
{
	tlbi_all(vmid);
}

/* ---- VMIDs (mach.h) ---- */

static uint64_t vmid_used[65536 / 64];

bool vmid_claim(uint64_t vmid)
{
	uint64_t bit;

	if (vmid >= host_vmid())
		return false;
	bit = 1UL << (vmid % 64);
	return (__atomic_fetch_or(&vmid_used[vmid / 64], bit, __ATOMIC_ACQ_REL) & bit) == 0;
}

void vmid_release(uint64_t vmid)
{
	__atomic_fetch_and(&vmid_used[vmid / 64], ~(1UL << (vmid % 64)), __ATOMIC_RELEASE);
}
