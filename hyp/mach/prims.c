/* SPDX-License-Identifier: Apache-2.0 */
/* Primitives of mach.h: memory, scratch pages, object fields, hashing, counters. */
#include "../attest/prims.h"
#include "../crypto/crypto.h"
#include "../include/kcore.h"
#include "../include/rmi.h"
#include "cpu.h"
#include "mach.h"

/* ---- memory ---- */

#define CTR_DIC (1UL << 29)
#define CTR_PIPT (3UL << 14)

/* Instructions that the page's last owner left in instruction caches must not run for the next one. */
static void forget_code(uint64_t pa)
{
	uint64_t ctr = read_sysreg(ctr_el0);
	uint64_t line = 4UL << (ctr & 0xf);

	if ((ctr & CTR_DIC) != 0)
		return;
	if ((ctr & CTR_PIPT) == CTR_PIPT) {
		for (uint64_t a = pa; a < pa + GRANULE_SIZE; a += line)
			__asm__ volatile("ic ivau, %0" : : "r"(a) : "memory");
	} else {
		__asm__ volatile("ic ialluis" : : : "memory");
	}
	dsb(ish);
}

void zero_granule(uint64_t pa)
{
	uint64_t dczid = read_sysreg(dczid_el0);
	uint64_t line = 4UL << ((read_sysreg(ctr_el0) >> 16) & 0xf);

	if ((dczid & 0x10) == 0) {
		uint64_t block = 4UL << (dczid & 0xf);

		for (uint64_t a = pa; a < pa + GRANULE_SIZE; a += block)
			__asm__ volatile("dc zva, %0" : : "r"(a) : "memory");
	} else {
		__builtin_memset((void *)pa, 0, GRANULE_SIZE);
	}
	/* The next owner may look past the caches: leave the zeroes, and nothing older, in memory. */
	dsb(ish);
	for (uint64_t a = pa; a < pa + GRANULE_SIZE; a += line)
		__asm__ volatile("dc civac, %0" : : "r"(a) : "memory");
	dsb(ish);
	forget_code(pa);
}

/* The destination is a realm's, which may start with its caches off: clean to the point of coherency. */
void copy_granule(uint64_t dst, uint64_t src)
{
	uint64_t line = 4UL << ((read_sysreg(ctr_el0) >> 16) & 0xf);

	__builtin_memcpy((void *)dst, (const void *)src, GRANULE_SIZE);
	dsb(ish);
	for (uint64_t a = dst; a < dst + GRANULE_SIZE; a += line)
		__asm__ volatile("dc civac, %0" : : "r"(a) : "memory");
	dsb(ish);
}

uint64_t data_read(uint64_t pa, uint64_t index)
{
	return __atomic_load_n((uint64_t *)pa + index, __ATOMIC_RELAXED);
}

void data_write(uint64_t pa, uint64_t index, uint64_t value)
{
	__atomic_store_n((uint64_t *)pa + index, value, __ATOMIC_RELAXED);
}

void page_put(uint64_t pa, uint64_t offset, const void *from, uint64_t len)
{
	__builtin_memcpy((void *)(pa + offset), from, len);
}

/* ---- scratch pages ---- */

/* One read of each word of a page that the host may be writing. */
static inline void copy_words(uint64_t *to, const uint64_t *from, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		to[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
}

void params_load(uint64_t ns)
{
	copy_words(this_cpu()->params, (const uint64_t *)ns, 512);
}

uint64_t params_word(uint64_t offset)
{
	return this_cpu()->params[offset / 8];
}

#define RUN_EXIT 0x800UL

/* Of the entry half only the words that have a name: nothing reads the others. The exit half's others are always zero. */
void run_load(uint64_t ns)
{
	const uint64_t *from = (const uint64_t *)ns;
	uint64_t *run = this_cpu()->run;

#define RUN_COPY_F(name, off) copy_words(run + off / 8, from + off / 8, 1);
#define RUN_COPY_A(name, off, n) copy_words(run + off / 8, from + off / 8, n);
	RUN_ENTRY_FIELDS(RUN_COPY_F, RUN_COPY_A)
#define RUN_ZERO_F(name, off) run[off / 8] = 0;
#define RUN_ZERO_A(name, off, n)           \
	for (uint64_t i = 0; i < n; i++)   \
		run[off / 8 + i] = 0;
	RUN_EXIT_FIELDS(RUN_ZERO_F, RUN_ZERO_A)
}

void run_store(uint64_t ns)
{
	uint64_t *to = (uint64_t *)ns;
	const uint64_t *run = this_cpu()->run;

	for (uint64_t i = RUN_EXIT / 8; i < 512; i++)
		to[i] = run[i];
}

#define RUN_IN_DEF_F(name, off)                  \
	uint64_t run_in_##name(void)             \
	{                                        \
		return this_cpu()->run[off / 8]; \
	}
#define RUN_IN_DEF_A(name, off, n)                   \
	uint64_t run_in_##name(uint64_t i)           \
	{                                            \
		return this_cpu()->run[off / 8 + i]; \
	}
RUN_ENTRY_FIELDS(RUN_IN_DEF_F, RUN_IN_DEF_A)

#define RUN_OUT_DEF_F(name, off)              \
	void run_out_##name(uint64_t v)       \
	{                                     \
		this_cpu()->run[off / 8] = v; \
	}
#define RUN_OUT_DEF_A(name, off, n)               \
	void run_out_##name(uint64_t i, uint64_t v) \
	{                                         \
		this_cpu()->run[off / 8 + i] = v; \
	}
RUN_EXIT_FIELDS(RUN_OUT_DEF_F, RUN_OUT_DEF_A)

/* ---- object fields ---- */

#define DEF_F(name) uint64_t name;
#define DEF_A(name, n) uint64_t name[n];
struct rd_layout {
	RD_FIELDS(DEF_F, DEF_A)
};
struct rec_layout {
	REC_FIELDS(DEF_F, DEF_A)
};
_Static_assert(sizeof(struct rd_layout) <= GRANULE_SIZE, "an RD is one granule");
_Static_assert(sizeof(struct rec_layout) <= GRANULE_SIZE, "a REC is one granule");
_Static_assert(offsetof(struct rec_layout, pc) - offsetof(struct rec_layout, gpr) == GUEST_PC, "vectors.S");
_Static_assert(offsetof(struct rec_layout, pstate) - offsetof(struct rec_layout, gpr) == GUEST_PSTATE, "vectors.S");
_Static_assert(offsetof(struct percpu, guest) == PERCPU_GUEST, "vectors.S");

#define RD_DEF_F(name)                                   \
	uint64_t rd_get_##name(uint64_t rd)              \
	{                                                \
		return ((struct rd_layout *)rd)->name;   \
	}                                                \
	void rd_set_##name(uint64_t rd, uint64_t v)      \
	{                                                \
		((struct rd_layout *)rd)->name = v;      \
	}
#define RD_DEF_A(name, n)                                       \
	uint64_t rd_get_##name(uint64_t rd, uint64_t i)         \
	{                                                       \
		return ((struct rd_layout *)rd)->name[i];       \
	}                                                       \
	void rd_set_##name(uint64_t rd, uint64_t i, uint64_t v) \
	{                                                       \
		((struct rd_layout *)rd)->name[i] = v;          \
	}
RD_FIELDS(RD_DEF_F, RD_DEF_A)

#define REC_DEF_F(name)                                   \
	uint64_t rec_get_##name(uint64_t rec)             \
	{                                                 \
		return ((struct rec_layout *)rec)->name;  \
	}                                                 \
	void rec_set_##name(uint64_t rec, uint64_t v)     \
	{                                                 \
		((struct rec_layout *)rec)->name = v;     \
	}
#define REC_DEF_A(name, n)                                        \
	uint64_t rec_get_##name(uint64_t rec, uint64_t i)         \
	{                                                         \
		return ((struct rec_layout *)rec)->name[i];       \
	}                                                         \
	void rec_set_##name(uint64_t rec, uint64_t i, uint64_t v) \
	{                                                         \
		((struct rec_layout *)rec)->name[i] = v;          \
	}
REC_FIELDS(REC_DEF_F, REC_DEF_A)

uint64_t *rec_guest_of(uint64_t rec)
{
	return ((struct rec_layout *)rec)->gpr;
}

uint64_t *rec_sysregs_of(uint64_t rec)
{
	return ((struct rec_layout *)rec)->el1;
}

uint64_t *rec_fp_of(uint64_t rec)
{
	return ((struct rec_layout *)rec)->fp;
}

/* ---- hashing ---- */

void hash_clear(void)
{
	__builtin_memset(this_cpu()->hash, 0, GRANULE_SIZE);
}

void hash_put(uint64_t index, uint64_t value)
{
	this_cpu()->hash[index] = value;
}

static void digest(uint64_t alg, const void *from, uint64_t len)
{
	uint64_t *d = this_cpu()->digest;

	__builtin_memset(d, 0, 64);
	if (alg == RMI_HASH_SHA256)
		sha256((uint8_t *)d, from, (uint32_t)len);
	else
		sha512((uint8_t *)d, from, (uint32_t)len);
}

void hash_buffer(uint64_t alg, uint64_t len)
{
	digest(alg, this_cpu()->hash, len);
}

void hash_granule(uint64_t alg, uint64_t pa)
{
	digest(alg, (const void *)pa, GRANULE_SIZE);
}

uint64_t hash_word(uint64_t index)
{
	return this_cpu()->digest[index];
}

/* ---- counters ---- */

static uint64_t counter[KCORE_NUM_COUNTERS];

void counter_add(uint64_t index, uint64_t n)
{
	__atomic_fetch_add(&counter[index], n, __ATOMIC_RELAXED);
}

uint64_t counter_read(uint64_t index)
{
	return __atomic_load_n(&counter[index], __ATOMIC_RELAXED);
}
