/* SPDX-License-Identifier: Apache-2.0 */
#include "util.h"

static unsigned next_page, next_block;

int machine(void **state)
{
	(void)state;
	sim_reset();
	next_page = 512; /* pages from region 1 on, blocks are regions 2 and on */
	next_block = 1024;
	sim_check();
	return 0;
}

int machine_end(void **state)
{
	(void)state;
	sim_check();
	return 0;
}

uint64_t page(void)
{
	assert_true(next_page < 1024);
	return SIM_G(next_page++);
}

uint64_t dpage(void)
{
	uint64_t pa = page();

	EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, pa);
	return pa;
}

uint64_t block(void)
{
	uint64_t pa = SIM_G(next_block);

	assert_true(next_block < 1536);
	next_block += 512;
	return pa;
}

void realm_params(uint64_t params, uint64_t base)
{
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(params, i, 0);
	sim_write(params, REALM_PARAMS_S2SZ, 33);
	sim_write(params, REALM_PARAMS_NUM_BPS, 1);
	sim_write(params, REALM_PARAMS_NUM_WPS, 1);
	sim_write(params, REALM_PARAMS_HASH_ALGO, RMI_HASH_SHA256);
	for (unsigned i = 0; i < 8; i++)
		sim_write(params, REALM_PARAMS_RPV + 8 * i, 0x1111 * (i + 1));
	sim_write(params, REALM_PARAMS_VMID, 1);
	sim_write(params, REALM_PARAMS_RTT_BASE, base);
	sim_write(params, REALM_PARAMS_RTT_LEVEL_START, 1);
	sim_write(params, REALM_PARAMS_RTT_NUM_START, 1);
}

void realm_make(struct realm *r)
{
	uint64_t params = page();
	static uint64_t vmid = 10;

	memset(r, 0, sizeof(*r));
	r->rd = dpage();
	r->base = dpage();
	r->run = page();
	run_clear(r);
	realm_params(params, r->base);
	vmid = vmid == 200 ? 10 : vmid + 1;
	sim_write(params, REALM_PARAMS_VMID, vmid);
	EXPECT(RMI_SUCCESS, RMI_REALM_CREATE, r->rd, params);
}

uint64_t rec_make(struct realm *r, bool runnable)
{
	uint64_t params = page(), rec = dpage();

	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(params, i, 0);
	sim_write(params, REC_PARAMS_FLAGS, runnable ? REC_PARAMS_FLAG_RUNNABLE : 0);
	sim_write(params, REC_PARAMS_MPIDR, (r->recs & 15) | (uint64_t)(r->recs >> 4) << 8);
	sim_write(params, REC_PARAMS_PC, 0x1000);
	for (unsigned i = 0; i < 8; i++)
		sim_write(params, REC_PARAMS_GPRS + 8 * i, 100 + i);
	EXPECT(RMI_SUCCESS, RMI_REC_CREATE, r->rd, rec, params);
	r->rec[r->recs++] = rec;
	return rec;
}

void realm_run(struct realm *r)
{
	EXPECT(RMI_SUCCESS, RMI_REALM_ACTIVATE, r->rd);
}

void realm_tables(struct realm *r, uint64_t ipa)
{
	for (uint64_t level = 2; level <= 3; level++) {
		uint64_t up = ipa & ~((1UL << (39 - 9 * (level - 1))) - 1);

		if (CALL(RMI_RTT_READ_ENTRY, r->rd, up, level - 1).x2 != RMI_TABLE)
			EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r->rd, dpage(), up, level);
	}
}

uint64_t realm_page(struct realm *r, uint64_t ipa)
{
	uint64_t pa = dpage(), src = page();

	realm_tables(r, ipa);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE, r->rd, pa, ipa, src, 0);
	return pa;
}

void realm_simple(struct realm *r)
{
	realm_make(r);
	realm_page(r, 0);
	rec_make(r, true);
	realm_run(r);
}

/* Everything below one entry. */
static void teardown(struct realm *r, uint64_t ipa, uint64_t level)
{
	struct smc_result e = CALL(RMI_RTT_READ_ENTRY, r->rd, ipa, level);
	uint64_t size = 1UL << (39 - 9 * level);

	assert_int_equal(e.x0, RMI_SUCCESS);
	assert_int_equal(e.x1, level);
	if (e.x2 == RMI_TABLE) {
		struct smc_result d;

		for (uint64_t i = 0; i < 512; i++)
			teardown(r, ipa + i * (size >> 9), level + 1);
		d = CALL(RMI_RTT_DESTROY, r->rd, ipa, level + 1);
		assert_int_equal(d.x0, RMI_SUCCESS);
		EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, d.x1);
	} else if (e.x2 == RMI_ASSIGNED && ipa >= HALF) {
		EXPECT(RMI_SUCCESS, RMI_RTT_UNMAP_UNPROTECTED, r->rd, ipa, level);
	} else if (e.x2 == RMI_ASSIGNED && level == 3) {
		EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r->rd, ipa);
		EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, e.x3);
		assert_true(sim_is_zero(e.x3));
	} else if (e.x2 == RMI_ASSIGNED) {
		uint64_t rtt = dpage();

		EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r->rd, rtt, ipa, level + 1);
		teardown(r, ipa, level);
	}
}

void realm_teardown(struct realm *r)
{
	for (unsigned i = 0; i < r->recs; i++) {
		EXPECT(RMI_SUCCESS, RMI_REC_DESTROY, r->rec[i]);
		EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, r->rec[i]);
		assert_true(sim_is_zero(r->rec[i]));
	}
	for (uint64_t ipa = 0; ipa < 2 * HALF; ipa += 1UL << 30)
		teardown(r, ipa, 1);
	EXPECT(RMI_SUCCESS, RMI_REALM_DESTROY, r->rd);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, r->base);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, r->rd);
	assert_true(sim_is_zero(r->rd));
	assert_true(sim_is_zero(r->base));
}

/* ---- Fields, past all locks: for the test's eye ---------------------------------------------------- */

static unsigned rd_offset(const char *field)
{
	unsigned at = 0;

#define FIND_F(name)                                                                           \
	if (strcmp(field, #name) == 0)                                                         \
		return at;                                                                     \
	at++;
#define FIND_A(name, n)                                                                        \
	if (strcmp(field, #name) == 0)                                                         \
		return at;                                                                     \
	at += (n);
	RD_FIELDS(FIND_F, FIND_A)
	fail_msg("no field %s", field);
	return at;
}

static unsigned rec_offset(const char *field)
{
	unsigned at = 0;

	REC_FIELDS(FIND_F, FIND_A)
	fail_msg("no field %s", field);
	return at;
}

uint64_t rd_word(uint64_t rd, const char *field, unsigned i)
{
	return sim_read(rd, 8 * (rd_offset(field) + i));
}

uint64_t rec_word(uint64_t rec, const char *field, unsigned i)
{
	return sim_read(rec, 8 * (rec_offset(field) + i));
}

void rec_poke(uint64_t rec, const char *field, unsigned i, uint64_t value)
{
	sim_write(rec, 8 * (rec_offset(field) + i), value);
}

void run_clear(struct realm *r)
{
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(r->run, i, 0);
}

void run_put(struct realm *r, uint64_t offset, uint64_t value)
{
	sim_write(r->run, offset, value);
}

uint64_t run_get(struct realm *r, uint64_t offset)
{
	return sim_read(r->run, offset);
}

void rec_go(struct realm *r, unsigned n)
{
	struct smc_result s = CALL(RMI_REC_ENTER, r->rec[n], r->run);

	assert_int_equal(s.x0, RMI_SUCCESS);
	assert_int_equal(s.rec, r->rec[n]);
}

bool rec_smc(struct realm *r, unsigned n, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4)
{
	rec_poke(r->rec[n], "gpr", 0, x0);
	rec_poke(r->rec[n], "gpr", 1, x1);
	rec_poke(r->rec[n], "gpr", 2, x2);
	rec_poke(r->rec[n], "gpr", 3, x3);
	rec_poke(r->rec[n], "gpr", 4, x4);
	return sim_trap(r->rec[n], TRAP_SYNC, ESR(0x17, 0), 0, 0);
}
