/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated machine with a recorder: everything that goes between the core and its machine, in both
 * directions, goes to the file that KCORE_TRACE names. proofs/diff/replay.ml reads it.
 *
 * The core that is linked with this is compiled with the names of trace_names.h (trace_prims.py), and of the simulated
 * machine three functions with other names (meson.build), because those of their own name are here. Words are of 64
 * bits, in this machine's order:
 *
 *   MAGIC n_prims names.. n_entries names..    a name is eight words, padded with 0
 *   RESET    constants, see put_reset()
 *   POKE     pa index value                    a host or realm writes memory
 *   SYSREG   cpu index value                   a realm writes its register while it runs
 *   CALL     cpu entry n args..
 *   PRIM     number locks released n args.. n results.. n_pages {pa 512 words}.. {digest}
 *   RETURN   n results.. differences..         see put_differences()
 *   WHOLE    {pa index value}.. ~0             changes of memory that no primitive named: there must be none
 *   END
 *
 * With KCORE_TRACE_CALLS=1 there are no PRIMs, and after a call only the differences of pages and granule words:
 * what the caller can see or not, without how it came about.
 *
 * Between a CALL and its RETURN stand its PRIMs in order; and before the PRIM of a lock, what other CPUs do
 * while this one waits for it. If the model can not know what a primitive does (cryptography, tokens, the log), its PRIM
 * brings the pages that it names, as they are after it; if it hashes, the eight words of the digest.
 */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x31656361727463UL
enum { RESET = 1, POKE, SYSREG, CALL, PRIM, RETURN, WHOLE, END };
#define WHOLE_EVERY 500 /* calls from one comparison of all memory to the next */
#define PAGES (SIM_GRANULES + NUM_TABLES)

/* sim_reset(), sim_write() and rec_set_sysreg() of the simulated machine. */
void machine_reset(void);
void machine_write(uint64_t pa, uint64_t offset, uint64_t value);
void machine_set_sysreg(uint64_t rec, uint64_t index, uint64_t value);

static void trace_call(unsigned entry, unsigned n, const uint64_t *args);
static void trace_return(unsigned n, const uint64_t *results);
static void trace_prim(unsigned number, unsigned n, const uint64_t *args, unsigned nr, const uint64_t *results);

/* The core calls this one by a name of its own, so that what a realm does is told apart. */
void traced_rec_set_sysreg(uint64_t rec, uint64_t index, uint64_t value);
#define rec_set_sysreg machine_set_sysreg
#include "trace_prims.h"
#undef rec_set_sysreg

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static FILE *out;
static bool fresh;                 /* a new machine: RESET comes before the next call */
static unsigned depth;             /* calls that have begun and not ended */
static uint64_t calls;
static bool opaque[COUNT(trace_names)];
static bool calls_only;

/* What the reader knows, so that only differences are told. */
static struct {
	uint64_t pages[PAGES][512];
	uint64_t granules[SIM_GRANULES][3];
	uint64_t holes[NUM_REGIONS], counters[KCORE_NUM_COUNTERS];
	bool vmids[VMIDS];
	struct cpu cpus[SIM_CPUS];
} known;
/* Pages that a primitive has named since. */
static unsigned named[PAGES], num_named;
static bool is_named[PAGES];

static void put(uint64_t v)
{
	if (fwrite(&v, 8, 1, out) != 1)
		abort();
}

static void put_list(unsigned n, const uint64_t *values)
{
	put(n);
	for (unsigned i = 0; i < n; i++)
		put(values[i]);
}

static void put_names(size_t n, const char *const *names)
{
	put(n);
	for (size_t i = 0; i < n; i++) {
		uint64_t words[8] = { 0 };

		memcpy(words, names[i], strlen(names[i]));
		for (unsigned w = 0; w < 8; w++)
			put(words[w]);
	}
}

static void close_trace(void)
{
	put(END);
	if (fclose(out) != 0)
		abort();
}

static void open_trace(void)
{
	static const char *const unknown[] = { "hash_buffer", "hash_granule", "open_granule", "open_content_key",
					       "token_claim", "token_sign", "token_read", "identity_read", "log_read" };
	const char *path = getenv("KCORE_TRACE"), *only = getenv("KCORE_TRACE_CALLS");

	calls_only = only != NULL && strcmp(only, "1") == 0;
	out = path != NULL ? fopen(path, "wb") : NULL;
	if (out == NULL) {
		fprintf(stderr, "KCORE_TRACE names no file that can be written\n");
		exit(2);
	}
	setvbuf(out, NULL, _IOFBF, 1 << 20);
	put(MAGIC);
	put_names(COUNT(trace_names), trace_names);
	put_names(COUNT(trace_entries), trace_entries);
	for (unsigned i = 0; i < COUNT(trace_names); i++)
		for (unsigned k = 0; k < COUNT(unknown); k++)
			opaque[i] |= strcmp(trace_names[i], unknown[k]) == 0;
	(void)atexit(close_trace);
}

/* ---- Pages: DRAM, then the host's tables ------------------------------------------------------------ */

static uint64_t *page_words(unsigned p)
{
	return p < SIM_GRANULES ? dram[p] : tables[p - SIM_GRANULES];
}

static uint64_t page_address(unsigned p)
{
	return p < SIM_GRANULES ? SIM_G(p) : table_pa(p - SIM_GRANULES);
}

static bool page_number(uint64_t address, unsigned *p)
{
	if (address >= SIM_DRAM && address < SIM_G(SIM_GRANULES))
		*p = (unsigned)((address - SIM_DRAM) >> 12);
	else if (address >= TABLE_BASE && address < table_pa(NUM_TABLES))
		*p = SIM_GRANULES + (unsigned)((address - TABLE_BASE) >> 12);
	else
		return false;
	return true;
}

static void name_page(uint64_t address)
{
	unsigned p = 0;

	if (page_number(address, &p) && !is_named[p]) {
		is_named[p] = true;
		named[num_named++] = p;
	}
}

/* ---- Differences: each list is of pairs or more, and ends with ~0 ------------------------------------ */

static void page_differences(unsigned p)
{
	const uint64_t *words = page_words(p);

	if (memcmp(words, known.pages[p], 4096) == 0)
		return;
	for (unsigned i = 0; i < 512; i++) {
		if (words[i] == known.pages[p][i])
			continue;
		put(page_address(p));
		put(i);
		put(words[i]);
		known.pages[p][i] = words[i];
	}
}

static void word_differences(unsigned n, const void *now, void *then)
{
	const uint64_t *a = now;
	uint64_t *b = then;

	for (unsigned i = 0; i < n; i++) {
		if (a[i] == b[i])
			continue;
		put(i);
		put(a[i]);
		b[i] = a[i];
	}
	put(~0UL);
}

/*
 * {pa index value}..; {pa state owner refs}..; {region holes}..; {vmid used}..; {counter value}..; and of this CPU
 * {index value}.. of parameter page, run page, hash page, digest; REC loaded, and {index value}.. of its EL1
 * registers; timer masked; locks held; locked realm.
 */
static void put_differences(void)
{
	struct cpu *then = &known.cpus[now_cpu];

	for (unsigned i = 0; i < num_named; i++) {
		page_differences(named[i]);
		is_named[named[i]] = false;
	}
	num_named = 0;
	put(~0UL);
	for (unsigned i = 0; i < SIM_HOLE; i++) {
		const uint64_t words[3] = { granules[i].state, granules[i].owner, granules[i].refs };

		if (memcmp(words, known.granules[i], sizeof(words)) == 0)
			continue;
		memcpy(known.granules[i], words, sizeof(words));
		put(SIM_G(i));
		for (unsigned w = 0; w < 3; w++)
			put(words[w]);
	}
	put(~0UL);
	if (calls_only)
		return;
	word_differences(NUM_REGIONS, holes, known.holes);
	for (unsigned i = 0; i < VMIDS; i++) {
		if (vmids[i] == known.vmids[i])
			continue;
		put(i);
		put(vmids[i]);
		known.vmids[i] = vmids[i];
	}
	put(~0UL);
	word_differences(KCORE_NUM_COUNTERS, counters, known.counters);
	word_differences(512, self()->params, then->params);
	word_differences(512, self()->run, then->run);
	word_differences(512, self()->hash, then->hash);
	word_differences(8, self()->digest, then->digest);
	put(self()->loaded);
	word_differences(SYS_COUNT, self()->live, then->live);
	put(sim_timer_masked[now_cpu]);
	put(self()->locks);
	put(self()->realm);
}

/*
 * Of the new machine: dram, granules, tracked ones, KCore's own, tables' base, regions, cpus, device, host's VMID, ich_vtr,
 * s2_width, has_level0, log_size, ID registers by crm and op2; the word of which all DRAM is full.
 */
static void put_reset(void)
{
	put(RESET);
	put(SIM_DRAM);
	put(SIM_GRANULES);
	put(SIM_HOLE);
	put(SIM_CORE);
	put(TABLE_BASE);
	put(NUM_REGIONS);
	put(SIM_CPUS);
	put(SIM_DEVICE);
	put(HOST_VMID);
	put(sim_vtr);
	put(sim_width);
	put(has_level0());
	put(log_size());
	for (unsigned crm = 0; crm < 16; crm++)
		for (unsigned op2 = 0; op2 < 8; op2++)
			put(sim_id[crm][op2]);
	put(dram[0][0]);
	memset(&known, 0, sizeof(known));
	memcpy(known.pages, dram, sizeof(dram));
	for (unsigned i = 0; i < SIM_CORE; i++)
		known.granules[i][0] = GS_CORE;
}

/* ---- What happens ------------------------------------------------------------------------------------- */

void sim_reset(void)
{
	if (out == NULL)
		open_trace();
	fresh = true;
	machine_reset();
}

void sim_write(uint64_t pa, uint64_t offset, uint64_t value)
{
	unsigned p = number(pa);

	if (sim_read(pa, offset) == value)
		return;
	machine_write(pa, offset, value);
	put(POKE);
	put(SIM_G(p));
	put(offset / 8);
	put(value);
	known.pages[p][offset / 8] = value;
}

/* By the tests, as a realm that runs. */
void rec_set_sysreg(uint64_t rec, uint64_t index, uint64_t value)
{
	machine_set_sysreg(rec, index, value);
	GUARD(self()->loaded == rec, "a realm that does not run writes a register");
	put(SYSREG);
	put(now_cpu);
	put(index);
	put(value);
	known.cpus[now_cpu].live[index] = value;
}

static void trace_call(unsigned entry, unsigned n, const uint64_t *args)
{
	if (fresh)
		put_reset();
	fresh = false;
	if (depth == 0 && ++calls % WHOLE_EVERY == 0) {
		put(WHOLE);
		for (unsigned p = 0; p < PAGES; p++)
			page_differences(p);
		put(~0UL);
	}
	depth++;
	put(CALL);
	put(now_cpu);
	put(entry);
	put_list(n, args);
}

static void trace_return(unsigned n, const uint64_t *results)
{
	depth--;
	put(RETURN);
	put_list(n, results);
	put_differences();
}

static void trace_prim(unsigned number, unsigned n, const uint64_t *args, unsigned nr, const uint64_t *results)
{
	unsigned pages = 0, p = 0;

	for (unsigned i = 0; i < n; i++)
		name_page(args[i]);
	if (calls_only)
		return;
	put(PRIM);
	put(number);
	put(self()->locks);
	put(self()->released);
	put_list(n, args);
	put_list(nr, results);
	for (unsigned i = 0; opaque[number] && i < n; i++)
		pages += page_number(args[i], &p) && p < SIM_HOLE;
	put(pages);
	for (unsigned i = 0; opaque[number] && i < n; i++) {
		if (!page_number(args[i], &p) || p >= SIM_HOLE)
			continue;
		put(page_address(p));
		for (unsigned w = 0; w < 512; w++)
			put(dram[p][w]);
	}
	if (strncmp(trace_names[number], "hash_", 5) == 0 && opaque[number])
		for (unsigned w = 0; w < 8; w++)
			put(self()->digest[w]);
}
