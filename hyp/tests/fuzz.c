/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random hosts and realms against the core, seeded.
 *
 * usage: fuzz [CALLS [SEED [host]]]
 *
 * Every step is one host call, or one trap of a running REC, on one of four CPUs, with arguments that are
 * sometimes sensible and sometimes wild; while it waits for a lock, another CPU may make a call. After each, all
 * invariants of the simulated machine are checked, and pages that return to the host must be zero. Then the same
 * steps run again with other secrets in the realms' registers and pages: the host must see the very same answers and
 * run pages (noninterference). At the end everything is torn down and every granule accounted for. Any violation
 * aborts.
 *
 * host: only what a host can do as well on another machine, where it can say what its own CPUs do and when, and
 * no more: calls, one at a time, and writes to its own pages. An interrupt of the host's is pending whenever a REC
 * is entered, so that realms never come to execute an instruction. tests/attack/test_traces.py repeats such runs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "sim.h"
#include "tenant.h"

#define FIRST 512u /* pages that take part: region 1, partly, and the block of region 2 */
#define LAST 704u
#define BLOCK 1024u
#define MB2 (1UL << 21)
#define GB (1UL << 30)

static uint64_t rng_state, secret;
static uint64_t running[SIM_CPUS], run_page[SIM_CPUS];
static uint64_t seen; /* what the host has observed in this step */
static uint64_t tried[64], done[64];
static bool check, host_only;
static unsigned acting;
static uint64_t raced;

static uint64_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static uint64_t below(uint64_t n)
{
	return rnd() % n;
}

static bool chance(unsigned percent)
{
	return below(100) < percent;
}

static void observe(uint64_t v)
{
	seen = (seen ^ v) * 0x9e3779b97f4a7c15UL;
	seen ^= seen >> 29;
}

/* ---- What the test knows of objects ------------------------------------------------------------------- */

#define FIND_F(name)                                                                           \
	if (strcmp(field, #name) == 0)                                                         \
		return at;                                                                     \
	at++;
#define FIND_A(name, n)                                                                        \
	if (strcmp(field, #name) == 0)                                                         \
		return at;                                                                     \
	at += (n);

static inline __attribute__((always_inline)) unsigned rec_word(const char *field)
{
	unsigned at = 0;

	REC_FIELDS(FIND_F, FIND_A)
	abort();
}

static inline __attribute__((always_inline)) unsigned rd_word(const char *field)
{
	unsigned at = 0;

	RD_FIELDS(FIND_F, FIND_A)
	abort();
}

static bool is_object(uint64_t pa, uint64_t state)
{
	return granule_tracked(pa) && sim_state(pa) == state;
}

static inline __attribute__((always_inline)) uint64_t rec_field(uint64_t rec, const char *field)
{
	return is_object(rec, GS_REC) ? sim_read(rec, 8 * rec_word(field)) : 0;
}

static inline __attribute__((always_inline)) uint64_t rd_field(uint64_t rd, const char *field)
{
	return is_object(rd, GS_RD) ? sim_read(rd, 8 * rd_word(field)) : 0;
}

/* ---- Arguments -------------------------------------------------------------------------------------- */

static uint64_t wild(void)
{
	static const uint64_t odd[] = { 0, 1, 8, 0xfff, 0x1000, SIM_DEVICE, 1UL << 33, 1UL << 47, 1UL << 48, 1UL << 52,
					1UL << 63, ~0UL, ~0UL << 12 };

	switch (below(5)) {
	case 0:
		return odd[below(sizeof(odd) / sizeof(*odd))];
	case 1:
		return SIM_G(below(SIM_GRANULES));
	case 2:
		return SIM_G(below(SIM_GRANULES)) + below(4096);
	case 3:
		return 1UL << below(64);
	default:
		return rnd();
	}
}

static uint64_t any_page(void)
{
	return SIM_G(FIRST + below(LAST - FIRST));
}

/* Some granule of a state; any if there is none. */
static uint64_t granule_in(uint64_t state)
{
	unsigned n = LAST - FIRST, at = (unsigned)below(n);

	if (chance(4))
		return wild();
	for (unsigned i = 0; i < n; i++)
		if (sim_state(SIM_G(FIRST + (at + i) % n)) == state)
			return SIM_G(FIRST + (at + i) % n);
	return any_page();
}

static uint64_t block_page(void)
{
	return SIM_G(BLOCK + below(512));
}

static uint64_t ns_page(void)
{
	for (unsigned i = 0; i < 8; i++) {
		uint64_t pa = granule_in(GS_NS);

		if (pa != run_page[0] && pa != run_page[1] && pa != run_page[2] && pa != run_page[3])
			return pa;
	}
	return wild();
}

/* An address in the space of small realms: mostly a few pages, sometimes a boundary. */
static uint64_t ipa(void)
{
	uint64_t half = 1UL << (chance(90) ? 32 : 31 + below(3)), a;

	if (chance(3))
		return wild();
	switch (below(8)) {
	case 0:
		a = below(3) * MB2;
		break;
	case 1:
		a = below(2) * GB;
		break;
	default:
		a = below(2) * MB2 + below(12) * 4096;
		break;
	}
	return chance(40) ? half + a : a;
}

static uint64_t level(void)
{
	return chance(3) ? wild() : 1 + below(3);
}

static uint64_t aligned(uint64_t a, uint64_t l)
{
	if (chance(5) || l > 3)
		return a;
	return a & ~((1UL << (39 - 9 * l)) - 1);
}

static void fill_realm_params(uint64_t pa)
{
	unsigned kind = (unsigned)below(8);

	if (sim_state(pa) != GS_NS)
		return;
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(pa, i, 0);
	sim_write(pa, REALM_PARAMS_S2SZ, chance(90) ? 33 : 32 + below(3));
	sim_write(pa, REALM_PARAMS_NUM_BPS, 1);
	sim_write(pa, REALM_PARAMS_NUM_WPS, 1);
	sim_write(pa, REALM_PARAMS_HASH_ALGO, below(2));
	sim_write(pa, REALM_PARAMS_VMID, below(12));
	sim_write(pa, REALM_PARAMS_RTT_BASE, granule_in(GS_DELEGATED));
	sim_write(pa, REALM_PARAMS_RTT_LEVEL_START, 1);
	sim_write(pa, REALM_PARAMS_RTT_NUM_START, 1);
	if (kind == 0) {
		sim_write(pa, REALM_PARAMS_RTT_LEVEL_START, 2);
		sim_write(pa, REALM_PARAMS_S2SZ, 32);
		sim_write(pa, REALM_PARAMS_RTT_NUM_START, 4);
		sim_write(pa, REALM_PARAMS_RTT_BASE, granule_in(GS_DELEGATED) & ~0x3fffUL);
	}
	if (chance(5))
		sim_write(pa, below(512) * 8, wild());
}

static void fill_rec_params(uint64_t pa, uint64_t index)
{
	if (sim_state(pa) != GS_NS)
		return;
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(pa, i, 0);
	sim_write(pa, REC_PARAMS_FLAGS, chance(70));
	sim_write(pa, REC_PARAMS_MPIDR, chance(90) ? index : below(4));
	for (unsigned i = 0; i < 8; i++)
		sim_write(pa, REC_PARAMS_GPRS + 8 * i, rnd());
	if (chance(5))
		sim_write(pa, below(512) * 8, wild());
}

static void fill_run(uint64_t pa)
{
	if (sim_state(pa) != GS_NS)
		return;
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(pa, i, 0);
	if (chance(30))
		sim_write(pa, 0, below(32));
	if (chance(10))
		sim_write(pa, 0x300, rnd() & 0x40fe);
	for (unsigned i = 0; i < 4; i++)
		if (chance(10))
			sim_write(pa, 0x308 + 8 * i, below(4) << 62 | 0xa0UL << 48 | below(48));
	for (unsigned i = 0; i < 31; i++)
		sim_write(pa, 0x200 + 8 * i, i + 1);
	if (chance(3))
		sim_write(pa, below(512) * 8, wild());
}

/* ---- What tenants made -------------------------------------------------------------------------------- */

#define IMAGES 6u
#define SEALED 4u /* pages of an image, from address 0 on */

static struct image {
	uint64_t block[512], key[512], page[SEALED][512], tag[SEALED][2];
} images[IMAGES];

static void page_get(uint64_t pa, uint64_t words[512])
{
	for (unsigned i = 0; i < 512; i++)
		words[i] = sim_read(pa, 8 * i);
}

static void page_put(uint64_t pa, const uint64_t words[512])
{
	for (unsigned i = 0; i < 512; i++)
		sim_write(pa, 8 * i, words[i]);
}

/* Without limits and with tight ones, for any RIM and for one: such realms get keys. */
static void make_images(void)
{
	uint64_t block = SIM_G(FIRST), work = SIM_G(FIRST + 1), tag = SIM_G(FIRST + 2);

	sim_reset();
	for (unsigned n = 0; n < IMAGES; n++) {
		uint8_t key[32];

		memset(key, (int)(7 + n / 2), sizeof(key));
		tenant_block(block, n);
		if (n % 3 == 1) {
			sim_write(block, LAUNCH_MAX_VCPUS, 1 + n / 3);
			sim_write(block, LAUNCH_MAX_PRIVATE, 3 + n);
			sim_write(block, LAUNCH_MAX_SHARED, n < 3 ? 2 : 514);
		}
		sim_write(block, LAUNCH_RIM, n != 0);
		tenant_sign(block, (uint8_t)n);
		page_get(block, images[n].block);
		tenant_wrap(work, block, key, NULL);
		page_get(work, images[n].key);
		for (unsigned i = 0; i < SEALED; i++) {
			tenant_seal(work, tag, i * 4096, block, key);
			page_get(work, images[n].page[i]);
			images[n].tag[i][0] = sim_read(tag, 0);
			images[n].tag[i][1] = sim_read(tag, 8);
		}
	}
}

/* ---- Steps ------------------------------------------------------------------------------------------ */

static struct smc_result call(unsigned slot, uint64_t fid, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	struct smc_result r = sim_smc(fid, a, b, c, d, e);

	tried[slot]++;
	done[slot] += r.x0 == RMI_SUCCESS;
	observe(r.x0);
	observe(r.x1);
	observe(r.x2);
	observe(r.x3);
	observe(r.x4);
	if (fid == RMI_GRANULE_UNDELEGATE && r.x0 == RMI_SUCCESS && !sim_is_zero(a))
		sim_violation("a page came back with content");
	return r;
}

static void observe_run(uint64_t pa)
{
	for (unsigned i = 0x800; i < 4096; i += 8)
		observe(sim_read(pa, i));
}

static void enter(unsigned cpu)
{
	uint64_t rec = granule_in(GS_REC), run = ns_page();
	struct smc_result r;

	for (unsigned i = 0; i < 6; i++)
		if (rec_field(rec, "runnable") == 0 || rec_field(rec, "psci_pending") != 0 ||
		    rd_field(granule_owner(rec, GS_REC), "state") != REALM_ACTIVE)
			rec = granule_in(GS_REC);

	if ((run & 0xfff) == 0 && run >= SIM_G(FIRST) && run < SIM_G(LAST))
		fill_run(run);
	r = call(0, RMI_REC_ENTER, rec, run, 0, 0, 0);
	if (r.rec != 0 && host_only) {
		tried[25]++;
		done[25] += !sim_trap(rec, TRAP_IRQ, 0, 0, 0);
	} else if (r.rec != 0) {
		running[cpu] = rec;
		run_page[cpu] = run;
	} else if (r.x0 == RMI_SUCCESS) {
		observe_run(run);
	}
}

static uint64_t params_page(void)
{
	uint64_t pa = ns_page();

	return pa >= SIM_G(FIRST) && pa < SIM_G(LAST) && (pa & 0xfff) == 0 ? pa : 0;
}

/* A realm that is being built and, if there is one, as far as that. */
static uint64_t new_realm(bool has_policy, bool has_key)
{
	uint64_t rd = granule_in(GS_RD);

	for (unsigned i = 0; i < 12; i++) {
		bool fits = rd_field(rd, "state") == REALM_NEW && (rd_field(rd, "has_policy") != 0) == has_policy &&
			    (rd_field(rd, "has_key") != 0) == has_key;

		if (is_object(rd, GS_RD) && fits && (has_policy || rd_field(rd, "rec_index") == 0))
			break;
		rd = granule_in(GS_RD);
	}
	return rd;
}

/* The image of a realm; any if it has none, and sometimes. */
static const struct image *image_of(uint64_t rd)
{
	if (is_object(rd, GS_RD) && chance(90))
		for (unsigned n = 0; n < IMAGES; n++)
			if (images[n].block[LAUNCH_IMAGE_ID / 8] == sim_read(rd, 8 * (rd_word("policy") + LAUNCH_IMAGE_ID / 8)))
				return &images[n];
	return &images[below(IMAGES)];
}

static void launch_page(unsigned slot, uint64_t fid, uint64_t rd, const uint64_t *words)
{
	uint64_t p = params_page();

	if (p != 0 && sim_state(p) == GS_NS) {
		page_put(p, words);
		if (chance(10))
			sim_write(p, below(chance(80) ? 40 : 512) * 8, wild());
	}
	call(slot, fid, rd, p, 0, 0, 0);
}

static void create_realm(void)
{
	uint64_t p = params_page();

	if (p != 0)
		fill_realm_params(p);
	call(3, RMI_REALM_CREATE, granule_in(GS_DELEGATED), p, 0, 0, 0);
}

static void create_rec(uint64_t rd, uint64_t params)
{
	if (params != 0)
		fill_rec_params(params, rd_field(rd, "rec_index"));
	call(6, RMI_REC_CREATE, rd, granule_in(GS_DELEGATED), params, 0, 0);
}

static void create_sealed(void)
{
	uint64_t rd = new_realm(true, true), src = params_page(), tags = params_page();
	const struct image *m = image_of(rd);
	unsigned n = (unsigned)below(SEALED), at = 16 * (unsigned)below(256);

	if (src != 0 && sim_state(src) == GS_NS)
		page_put(src, m->page[n]);
	if (tags != 0 && sim_state(tags) == GS_NS)
		for (unsigned i = 0; i < 2; i++)
			sim_write(tags, at + 8 * i, m->tag[n][i]);
	call(28, KCORE_DATA_CREATE_SEALED, rd, granule_in(GS_DELEGATED), (chance(90) ? n : below(8)) * 4096, src,
	     tags + (chance(95) ? at : below(4096)));
}

/* Tenants know the RIM of what they want to run: sometimes this is it. */
static void expect_rim(uint64_t rd)
{
	if (host_only || !is_object(rd, GS_RD) || rd_field(rd, "has_policy") == 0 || chance(30))
		return;
	for (unsigned i = 0; i < 8; i++)
		sim_write(rd, 8 * (rd_word("policy") + LAUNCH_RIM / 8 + i), sim_read(rd, 8 * (rd_word("meas") + i)));
}

static void host_step(unsigned cpu)
{
	uint64_t a = ipa(), l = level(), p, rd, rec, base;

	switch (below(39)) {
	case 0:
	case 1:
	case 2:
	case 3:
		call(1, RMI_GRANULE_DELEGATE, granule_in(GS_NS), 0, 0, 0, 0);
		break;
	case 4:
		if (chance(70))
			call(2, RMI_GRANULE_UNDELEGATE, granule_in(GS_DELEGATED), 0, 0, 0, 0);
		break;
	case 5:
		create_realm();
		break;
	case 6:
		if (chance(15)) {
			rd = granule_in(GS_RD);
			if (rd_field(rd, "state") == REALM_NEW)
				expect_rim(rd);
			call(4, RMI_REALM_ACTIVATE, rd, 0, 0, 0, 0);
		}
		break;
	case 7:
		if (chance(10))
			call(5, RMI_REALM_DESTROY, granule_in(GS_RD), 0, 0, 0, 0);
		break;
	case 8:
		p = params_page();
		create_rec(granule_in(GS_RD), p);
		break;
	case 9:
		if (chance(8))
			call(7, RMI_REC_DESTROY, granule_in(GS_REC), 0, 0, 0, 0);
		break;
	case 10:
		call(8, RMI_DATA_CREATE, granule_in(GS_RD), granule_in(GS_DELEGATED), a, ns_page(), below(2));
		break;
	case 11:
		call(9, RMI_DATA_CREATE_UNKNOWN, granule_in(GS_RD), granule_in(GS_DELEGATED), a, 0, 0);
		break;
	case 12:
		if (chance(50))
			call(10, RMI_DATA_DESTROY, granule_in(GS_RD), a, 0, 0, 0);
		break;
	case 13:
	case 14:
	case 15:
		call(11, RMI_RTT_CREATE, granule_in(GS_RD), granule_in(GS_DELEGATED), aligned(a, l - 1), l, 0);
		break;
	case 16:
		if (chance(40))
			call(12, RMI_RTT_DESTROY, granule_in(GS_RD), aligned(a, l - 1), l, 0, 0);
		break;
	case 17:
		call(13, RMI_RTT_FOLD, granule_in(GS_RD), aligned(a, l - 1), l, 0, 0);
		break;
	case 18:
		call(14, RMI_RTT_MAP_UNPROTECTED, granule_in(GS_RD), aligned(a, l), l,
		     (l == 2 ? SIM_G(BLOCK) : ns_page()) | (chance(90) ? 0xd8 : rnd()), 0);
		break;
	case 19:
		call(15, RMI_RTT_UNMAP_UNPROTECTED, granule_in(GS_RD), aligned(a, l), l, 0, 0);
		break;
	case 20:
		call(16, RMI_RTT_READ_ENTRY, granule_in(GS_RD), aligned(a, l), l, 0, 0);
		break;
	case 21:
		call(17, RMI_RTT_INIT_RIPAS, granule_in(GS_RD), aligned(a, l), a + (1 + below(40)) * 4096, 0, 0);
		break;
	case 22:
		rec = granule_in(GS_REC);
		rd = chance(90) ? granule_owner(rec, GS_REC) : granule_in(GS_RD);
		base = chance(90) ? rec_field(rec, "ripas_base") : a;
		call(18, RMI_RTT_SET_RIPAS, rd, rec, base, chance(70) ? rec_field(rec, "ripas_top") : base + (1 + below(4)) * 4096, 0);
		break;
	case 23:
		rec = granule_in(GS_REC);
		base = granule_in(GS_REC);
		for (unsigned i = 0; i < 8 && rec_field(rec, "psci_pending") == 0; i++)
			rec = granule_in(GS_REC);
		for (unsigned i = 0; i < 8 && (granule_owner(base, GS_REC) != granule_owner(rec, GS_REC) || base == rec); i++)
			base = granule_in(GS_REC);
		call(19, RMI_PSCI_COMPLETE, rec, base, chance(80) ? 0 : PSCI_DENIED, 0, 0);
		break;
	case 24:
		call(20, RMI_REC_AUX_COUNT, granule_in(GS_RD), 0, 0, 0, 0);
		break;
	case 25:
		if (chance(50))
			call(21, KCORE_DELEGATE_RANGE, chance(50) ? any_page() : block_page(), below(24), 0, 0, 0);
		else
			call(22, KCORE_UNDELEGATE_RANGE, chance(50) ? any_page() : block_page(), below(514), 0, 0, 0);
		break;
	case 26:
		call(23, KCORE_VERSION + below(12), wild(), wild(), wild(), wild(), wild());
		break;
	case 27:
		call(24, RMI_FID_FIRST + below(40), wild(), wild(), wild(), wild(), wild());
		break;
	case 28:
		if (!host_only)
			observe(sim_host_fault(rnd(), rnd() & 0xfffffffffff0UL, rnd()));
		break;
	case 29:
		if (chance(30)) {
			rd = new_realm(false, false);
			launch_page(26, KCORE_LAUNCH_POLICY, rd, images[below(IMAGES)].block);
		}
		break;
	case 30:
		if (chance(30)) {
			rd = new_realm(true, false);
			launch_page(27, KCORE_LAUNCH_KEY, rd, image_of(rd)->key);
		}
		break;
	case 31:
		create_sealed();
		break;
	default:
		enter(cpu);
		break;
	}
}

/* A host that looks at what is at some address of a realm, and does what fits. */
static void fitting_memory(uint64_t rd)
{
	uint64_t a = ipa() & ~0xfffUL;
	struct smc_result e = call(16, RMI_RTT_READ_ENTRY, rd, a, 3, 0, 0);
	bool shared = a >= rd_field(rd, "ipa_size") / 2;
	uint64_t l = e.x1;

	if (e.x0 != RMI_SUCCESS)
		return;
	if (l == 3 && chance(10)) {
		bool fold = chance(70);

		call(fold ? 13 : 12, fold ? RMI_RTT_FOLD : RMI_RTT_DESTROY, rd, a & ~(MB2 - 1), 3, 0, 0);
	} else if (e.x2 == RMI_ASSIGNED && shared) {
		call(15, RMI_RTT_UNMAP_UNPROTECTED, rd, aligned(a, l), l, 0, 0);
	} else if (e.x2 == RMI_ASSIGNED) {
		call(10, RMI_DATA_DESTROY, rd, a, 0, 0, 0);
	} else if (l < 2 || (l == 2 && (!shared || chance(50)))) {
		call(11, RMI_RTT_CREATE, rd, granule_in(GS_DELEGATED), aligned(a, l), l + 1, 0);
	} else if (shared) {
		call(14, RMI_RTT_MAP_UNPROTECTED, rd, aligned(a, l), l, (l == 2 ? SIM_G(BLOCK) : ns_page()) | 0xd8, 0);
	} else if (chance(30)) {
		call(17, RMI_RTT_INIT_RIPAS, rd, a, a + (1 + below(40)) * 4096, 0, 0);
	} else if (chance(60)) {
		call(8, RMI_DATA_CREATE, rd, granule_in(GS_DELEGATED), a, ns_page(), below(2));
	} else {
		call(9, RMI_DATA_CREATE_UNKNOWN, rd, granule_in(GS_DELEGATED), a, 0, 0);
	}
}

/* A host that takes a realm from one step of its launch to the next. */
static void fitting_launch(uint64_t rd)
{
	bool has_policy = rd_field(rd, "has_policy") != 0, has_key = rd_field(rd, "has_key") != 0;
	bool empty = rd_field(rd, "pages_private") == 0 && rd_field(rd, "pages_shared") == 0;

	if (!is_object(rd, GS_RD) || rd_field(rd, "state") != REALM_NEW) {
		if (chance(20))
			create_realm();
	} else if (!has_policy && empty && rd_field(rd, "rec_index") == 0 && chance(80)) {
		launch_page(26, KCORE_LAUNCH_POLICY, rd, images[below(IMAGES)].block);
	} else if (has_policy && !has_key && chance(50)) {
		launch_page(27, KCORE_LAUNCH_KEY, rd, image_of(rd)->key);
	} else if (has_key && chance(80)) {
		struct smc_result e = call(16, RMI_RTT_READ_ENTRY, rd, 0, 3, 0, 0);

		if (e.x1 == 3)
			create_sealed();
		else
			call(11, RMI_RTT_CREATE, rd, granule_in(GS_DELEGATED), 0, e.x1 + 1, 0);
	} else if (rd_field(rd, "rec_count") == 0 || chance(30)) {
		create_rec(rd, params_page());
	} else if (chance(50)) {
		call(4, RMI_REALM_ACTIVATE, rd, 0, 0, 0, 0);
	}
}

static void fitting_range(void)
{
	bool back = chance(40);
	uint64_t state = back ? GS_DELEGATED : GS_NS, pa = granule_in(state), n = 0, most = 1 + below(16);

	while (n < most && is_object(pa + (n << 12), state))
		n++;
	call(back ? 22 : 21, back ? KCORE_UNDELEGATE_RANGE : KCORE_DELEGATE_RANGE, pa, n + chance(20), 0, 0, 0);
}

/* A host that asks what there is, sometimes further than that. */
static void fitting_question(void)
{
	switch (below(7)) {
	case 0:
		call(24, RMI_VERSION, RMI_ABI_VERSION + chance(30), 0, 0, 0, 0);
		break;
	case 1:
		call(24, RMI_FEATURES, below(2), 0, 0, 0, 0);
		break;
	case 2:
		call(23, KCORE_VERSION, 0, 0, 0, 0, 0);
		break;
	case 3:
		call(23, KCORE_FEATURES, below(KCORE_FEATURE_COUNTERS + 4), 0, 0, 0, 0);
		break;
	case 4:
		call(23, KCORE_COUNTER_READ, below(KCORE_NUM_COUNTERS + 4), 0, 0, 0, 0);
		break;
	case 5:
		call(23, KCORE_LOG_READ, granule_in(chance(70) ? GS_NS : GS_DELEGATED), 0, 0, 0, 0);
		break;
	default:
		call(23, KCORE_IDENTITY_READ, granule_in(chance(70) ? GS_NS : GS_DELEGATED), chance(50) ? 0 : below(8192), 0, 0, 0);
		break;
	}
}

/* What a host does that means well: most of it succeeds. */
static void fitting_step(void)
{
	switch (below(16)) {
	case 0:
		fitting_range();
		break;
	case 1:
	case 2:
		fitting_question();
		break;
	case 3:
		if (chance(20))
			call(7, RMI_REC_DESTROY, granule_in(chance(60) ? GS_REC : GS_RD), 0, 0, 0, 0);
		else if (chance(20))
			call(5, RMI_REALM_DESTROY, granule_in(GS_RD), 0, 0, 0, 0);
		break;
	case 4:
	case 5:
	case 6:
		fitting_launch(granule_in(GS_RD));
		break;
	default:
		fitting_memory(granule_in(GS_RD));
		break;
	}
}

/* ---- Steps of a realm ------------------------------------------------------------------------------- */

static void put_reg(uint64_t rec, unsigned n, uint64_t value)
{
	sim_write(rec, 8 * (rec_word("gpr") + n), value);
}

/* The realm computes with its secrets: registers that no call shows, and its pages. */
static void use_secrets(uint64_t rec, uint64_t rd)
{
	for (unsigned i = 12; i < 31; i++)
		put_reg(rec, i, secret * (i + 3));
	sim_write(rec, 8 * rec_word("fp"), secret);
	rec_set_sysreg(rec, SYS_TTBR0_EL1, secret);
	rec_set_sysreg(rec, SYS_TPIDR_EL1, secret + 1);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t pa = sim_realm_page(rd, i * 4096);

		if (pa != ~0UL && sim_state(pa) == GS_DATA)
			sim_write(pa, 0xff8, secret);
	}
}

/* The structure of a host call is the realm's message to the host: the same whatever the secrets. */
static void host_call_message(uint64_t rd, uint64_t at)
{
	uint64_t pa = sim_realm_page(rd, at);

	for (unsigned i = 0; pa != ~0UL && i < 32; i++)
		if (sim_state(pa) == GS_DATA && (at & 0xfff) + 8 * i < 4096)
			sim_write(pa, (at & 0xff8) + 8 * i, i);
}

static void realm_smc(uint64_t rec, uint64_t rd)
{
	static const uint64_t psci[] = { PSCI_VERSION, PSCI_CPU_SUSPEND_64, PSCI_CPU_OFF, PSCI_CPU_ON_64, PSCI_CPU_ON_32,
					 PSCI_AFFINITY_INFO_64, PSCI_AFFINITY_INFO_32, PSCI_SYSTEM_OFF, PSCI_FEATURES,
					 SMCCC_VERSION, PSCI_MIGRATE_INFO_TYPE };
	uint64_t fid = RSI_VERSION + below(10), base = ipa() & ~(1UL << 32), x1 = base;

	if (chance(30))
		fid = psci[below(sizeof(psci) / sizeof(*psci))];
	if ((fid == PSCI_SYSTEM_OFF && chance(97)) || (fid == PSCI_CPU_OFF && chance(70)))
		fid = RSI_IPA_STATE_SET;
	if (chance(4))
		fid = rnd();
	if (fid == PSCI_CPU_ON_64 || fid == PSCI_CPU_ON_32 || fid == PSCI_AFFINITY_INFO_64 || fid == PSCI_AFFINITY_INFO_32 ||
	    fid == RSI_MEASUREMENT_EXTEND || fid == RSI_MEASUREMENT_READ)
		x1 = below(6);
	if (fid == RSI_VERSION)
		x1 = 0x10000;
	put_reg(rec, 0, fid);
	put_reg(rec, 1, chance(4) ? wild() : x1);
	put_reg(rec, 2, chance(4) ? wild() : fid == RSI_IPA_STATE_SET || fid == RSI_IPA_STATE_GET ? base + 4096 * below(6) :
								   below(80));
	put_reg(rec, 3, fid == RSI_ATTEST_TOKEN_CONTINUE && chance(90) ? below(4096) : below(3));
	put_reg(rec, 4, below(2));
	if (fid == RSI_HOST_CALL)
		host_call_message(rd, x1);
}

static void realm_step(unsigned cpu)
{
	uint64_t rec = running[cpu], rd = granule_owner(rec, GS_REC), where = ipa();
	uint64_t trap = TRAP_SYNC, esr = 0, far = rnd();
	static const uint64_t regs[] = { 3UL << 20, 3UL << 20 | 3 << 14 | 14 << 10 | 2 << 1, 3UL << 20 | 12 << 10 | 11 << 1 };

	use_secrets(rec, rd);
	switch (below(10)) {
	case 0:
		trap = TRAP_IRQ;
		break;
	case 1:
		esr = rnd();
		/* a write shows one register: let it be one that holds no secret */
		esr = (esr & ~(31UL << 16) & ~(31UL << 5)) | below(12) << 16 | below(12) << 5;
		trap = chance(80) ? TRAP_SYNC : below(6);
		break;
	case 2:
		esr = 0x24UL << 26 | below(2) << 24 | below(4) << 22 | below(2) << 21 | below(12) << 16 | below(2) << 15 |
		      below(2) << 6 | (4 + below(4));
		break;
	case 3:
		esr = 0x20UL << 26 | (4 + below(12));
		break;
	case 4:
		esr = 0x18UL << 26 | regs[below(3)] | below(8) << 17 | below(12) << 5 | below(8) << 1 | below(2);
		break;
	case 5:
		rec_set_sysreg(rec, SYS_CNTV_CTL_EL0, below(4));
		rec_set_sysreg(rec, SYS_CNTV_CVAL_EL0, sim_now + below(40));
		esr = 0x19UL << 26;
		break;
	default:
		realm_smc(rec, rd);
		esr = 0x17UL << 26;
		break;
	}
	tried[25]++;
	if (!sim_trap(rec, trap, esr, far, where >> 12 << 4)) {
		observe_run(run_page[cpu]);
		running[cpu] = 0;
		run_page[cpu] = 0;
		done[25]++;
	}
}

/* While a CPU waits for a lock, another one sometimes makes a call. */
static void race(void)
{
	unsigned cpu = (unsigned)below(SIM_CPUS);

	if (!chance(10) || running[cpu] != 0 || cpu == acting)
		return;
	raced++;
	sim_set_cpu(cpu);
	host_step(cpu);
}

/* ---- Runs ------------------------------------------------------------------------------------------- */

#define HOST(...) HOST_(__VA_ARGS__, 0, 0, 0, 0, 0)
#define HOST_(fid, a, b, c, d, e, ...) sim_smc(fid, a, b, c, d, e)

/* Free a table and what it holds, as a host does that knows only what the calls tell it. */
static void free_below(uint64_t rd, uint64_t a, uint64_t l)
{
	uint64_t size = 1UL << (39 - 9 * l);

	for (uint64_t i = 0; i < 512; i++) {
		uint64_t at = a + i * size;
		struct smc_result e = HOST(RMI_RTT_READ_ENTRY, rd, at, l);

		if (e.x0 != RMI_SUCCESS)
			return;
		if (e.x2 == RMI_TABLE) {
			free_below(rd, at, l + 1);
			if (HOST(RMI_RTT_DESTROY, rd, at, l + 1).x0 != 0)
				sim_violation("table at %#lx does not go", at);
		} else if (e.x2 == RMI_ASSIGNED) {
			if (HOST(RMI_RTT_UNMAP_UNPROTECTED, rd, at, l).x0 != 0 &&
			    HOST(RMI_DATA_DESTROY, rd, at).x0 != 0)
				sim_violation("page at %#lx does not go", at);
		} else if (host_only) {
			/* what can not be destroyed says where there is something: fewer calls to record */
			uint64_t top = l < 3 ? HOST(RMI_RTT_DESTROY, rd, at, l + 1).x2 :
				       at < rd_field(rd, "ipa_size") / 2 ? HOST(RMI_DATA_DESTROY, rd, at).x2 :
									   HOST(RMI_RTT_UNMAP_UNPROTECTED, rd, at, l).x1;

			if (top > at)
				i = (top - a) / size - 1;
		}
	}
}

static void tear_down(void)
{
	for (unsigned cpu = 0; cpu < SIM_CPUS; cpu++) {
		sim_set_cpu(cpu);
		if (running[cpu] != 0)
			sim_trap(running[cpu], TRAP_IRQ, 0, 0, 0);
	}
	for (unsigned i = SIM_CORE; i < SIM_HOLE; i++)
		if (sim_state(SIM_G(i)) == GS_REC && HOST(RMI_REC_DESTROY, SIM_G(i)).x0 != 0)
			sim_violation("REC %u does not go", i);
	for (unsigned i = SIM_CORE; i < SIM_HOLE; i++) {
		if (sim_state(SIM_G(i)) != GS_RD)
			continue;
		for (uint64_t a = 0; a < 1UL << 34; a += GB)
			if (HOST(RMI_RTT_READ_ENTRY, SIM_G(i), a, 1).x0 == 0)
				free_below(SIM_G(i), a & ~(512 * GB - 1), 1), a = 1UL << 34;
			else
				free_below(SIM_G(i), a, 2);
		if (HOST(RMI_REALM_DESTROY, SIM_G(i)).x0 != 0)
			sim_violation("realm %u does not go", i);
	}
	for (unsigned i = SIM_CORE; i < SIM_HOLE; i++)
		if (sim_state(SIM_G(i)) == GS_DELEGATED && HOST(RMI_GRANULE_UNDELEGATE, SIM_G(i)).x0 != 0)
			sim_violation("granule %u does not come back", i);
	sim_check();
	if (sim_count(GS_NS) != SIM_HOLE - SIM_CORE)
		sim_violation("granules are missing");
}

static void run(uint64_t calls, uint64_t seed, uint64_t with, uint64_t *record, bool compare)
{
	rng_state = seed * 2654435761u + 88172645463325252UL;
	secret = with;
	check = !compare;
	memset(running, 0, sizeof(running));
	memset(run_page, 0, sizeof(run_page));
	sim_reset();
	for (uint64_t i = 0; i < calls; i++) {
		unsigned cpu = host_only && chance(95) ? acting : (unsigned)below(SIM_CPUS);

		seen = 0;
		acting = cpu;
		sim_set_cpu(cpu);
		sim_now += below(5);
		sim_while_waiting = host_only ? NULL : race;
		if (running[cpu] != 0)
			realm_step(cpu);
		else if (host_only && chance(60))
			fitting_step();
		else
			host_step(cpu);
		sim_while_waiting = NULL;
		if (check)
			sim_check();
		if (!compare)
			record[i] = seen;
		else if (record[i] != seen)
			sim_violation("step %" PRIu64 ": the host sees a realm's secret", i);
	}
	tear_down();
}

int main(int argc, char **argv)
{
	static const char *const names[] = {
		"REC_ENTER", "GRANULE_DELEGATE", "GRANULE_UNDELEGATE", "REALM_CREATE", "REALM_ACTIVATE", "REALM_DESTROY",
		"REC_CREATE", "REC_DESTROY", "DATA_CREATE", "DATA_CREATE_UNKNOWN", "DATA_DESTROY", "RTT_CREATE",
		"RTT_DESTROY", "RTT_FOLD", "RTT_MAP_UNPROTECTED", "RTT_UNMAP_UNPROTECTED", "RTT_READ_ENTRY",
		"RTT_INIT_RIPAS", "RTT_SET_RIPAS", "PSCI_COMPLETE", "REC_AUX_COUNT", "KCORE_DELEGATE_RANGE",
		"KCORE_UNDELEGATE_RANGE", "KCORE_*", "other RMI", "traps (exits)", "KCORE_LAUNCH_POLICY", "KCORE_LAUNCH_KEY", "KCORE_DATA_CREATE_SEALED",
	};
	uint64_t calls = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000000;
	uint64_t seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
	/* a fresh machine from time to time, so that all of a realm's life is seen often */
	uint64_t piece = argc > 3 ? 500 : 20000, *record = malloc(piece * sizeof(*record));
	int idle = 0;

	host_only = argc > 3;
	if (record == NULL || (host_only && strcmp(argv[3], "host") != 0)) {
		fputs("usage: fuzz [CALLS [SEED [host]]]\n", stderr);
		free(record);
		return 2;
	}
	make_images();
	printf("fuzz: %" PRIu64 " calls, seed %" PRIu64 "\n", calls, seed);
	for (uint64_t at = 0; at < calls; at += piece) {
		uint64_t n = calls - at < piece ? calls - at : piece;

		run(n, seed + at, 0x1111111111111111UL, record, false);
		if (!host_only)
			run(n, seed + at, 0xa7b8c9d0e1f20314UL, record, true);
	}
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		printf("%-24s %9" PRIu64 " of %9" PRIu64 " succeeded\n", names[i], done[i], tried[i]);
		idle += done[i] == 0;
	}
	printf("%" PRIu64 " calls were made while another CPU waited for a lock\n", raced);
	free(record);
	if (idle != 0 && calls >= 100000) {
		printf("%d commands never succeeded: the fuzz does not reach them\n", idle);
		return 1;
	}
	return 0;
}
