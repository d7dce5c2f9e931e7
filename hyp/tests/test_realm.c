/* SPDX-License-Identifier: Apache-2.0 */
/* REALM_CREATE, ACTIVATE, DESTROY, REC_AUX_COUNT. */
#include "util.h"

static void create_and_destroy(void **state)
{
	uint64_t params = page(), rd = dpage(), base = dpage();

	(void)state;
	realm_params(params, base);
	EXPECT(RMI_SUCCESS, RMI_REALM_CREATE, rd, params);
	assert_int_equal(sim_state(rd), GS_RD);
	assert_int_equal(sim_state(base), GS_RTT);
	assert_int_equal(rd_word(rd, "state", 0), REALM_NEW);
	assert_int_equal(rd_word(rd, "ipa_size", 0), 1UL << 33);
	assert_int_equal(rd_word(rd, "rpv", 7), 0x8888);
	assert_int_equal(CALL(RMI_RTT_READ_ENTRY, rd, 0, 1).x2, RMI_UNASSIGNED);
	assert_int_equal(sim_count(GS_RD), 1);
	sim_check();
	EXPECT(RMI_SUCCESS, RMI_REALM_DESTROY, rd);
	assert_int_equal(sim_count(GS_RD), 0);
	assert_true(sim_is_zero(rd));
	assert_true(sim_is_zero(base));
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_DESTROY, rd);
	/* the VMID is free again */
	EXPECT(RMI_SUCCESS, RMI_REALM_CREATE, rd, params);
}

static void try(uint64_t status, uint64_t offset, uint64_t value)
{
	static uint64_t params, rd, base;

	if (offset == ALL_ONES) {
		params = page();
		rd = dpage();
		base = dpage();
		return;
	}
	realm_params(params, base);
	sim_write(params, offset, value);
	EXPECT(status, RMI_REALM_CREATE, rd, params);
	if (status == RMI_SUCCESS)
		EXPECT(RMI_SUCCESS, RMI_REALM_DESTROY, rd);
	else
		assert_int_equal(sim_state(rd), GS_DELEGATED);
	sim_check();
}

static void bad_parameters(void **state)
{
	(void)state;
	try(0, ALL_ONES, 0);
	try(RMI_SUCCESS, REALM_PARAMS_RPV, 7);
	for (unsigned bit = 0; bit < 64; bit++)
		try(RMI_ERROR_INPUT, REALM_PARAMS_FLAGS, 1UL << bit);
	try(RMI_ERROR_INPUT, REALM_PARAMS_S2SZ, 0);
	try(RMI_ERROR_INPUT, REALM_PARAMS_S2SZ, 31);
	try(RMI_SUCCESS, REALM_PARAMS_S2SZ, 32);
	try(RMI_SUCCESS, REALM_PARAMS_S2SZ, 39);
	try(RMI_ERROR_INPUT, REALM_PARAMS_S2SZ, 40); /* needs two tables */
	try(RMI_ERROR_INPUT, REALM_PARAMS_S2SZ, 49);
	try(RMI_ERROR_INPUT, REALM_PARAMS_S2SZ, 0x100000021UL - 0x21); /* only 32 bits count */
	try(RMI_ERROR_INPUT, REALM_PARAMS_NUM_BPS, 0);
	try(RMI_ERROR_INPUT, REALM_PARAMS_NUM_BPS, 2);
	try(RMI_ERROR_INPUT, REALM_PARAMS_NUM_WPS, 0);
	try(RMI_ERROR_INPUT, REALM_PARAMS_NUM_WPS, 2);
	try(RMI_SUCCESS, REALM_PARAMS_SVE_VL, 3);
	try(RMI_SUCCESS, REALM_PARAMS_PMU_NUM_CTRS, 3);
	try(RMI_SUCCESS, REALM_PARAMS_HASH_ALGO, 1);
	try(RMI_ERROR_INPUT, REALM_PARAMS_HASH_ALGO, 2);
	try(RMI_SUCCESS, REALM_PARAMS_VMID, 0);
	try(RMI_ERROR_INPUT, REALM_PARAMS_VMID, 255);
	try(RMI_ERROR_INPUT, REALM_PARAMS_VMID, 256);
	try(RMI_ERROR_INPUT, REALM_PARAMS_RTT_LEVEL_START, 0);
	try(RMI_ERROR_INPUT, REALM_PARAMS_RTT_LEVEL_START, 2); /* needs eight tables */
	try(RMI_ERROR_INPUT, REALM_PARAMS_RTT_LEVEL_START, 3);
	try(RMI_ERROR_INPUT, REALM_PARAMS_RTT_LEVEL_START, ALL_ONES);
	try(RMI_ERROR_INPUT, REALM_PARAMS_RTT_NUM_START, 0);
	try(RMI_ERROR_INPUT, REALM_PARAMS_RTT_NUM_START, 2);
	try(RMI_ERROR_INPUT, REALM_PARAMS_RTT_BASE, 0);
	try(RMI_ERROR_INPUT, REALM_PARAMS_RTT_BASE, ALL_ONES);
	try(RMI_ERROR_INPUT, REALM_PARAMS_RTT_BASE, page());
	try(RMI_ERROR_INPUT, REALM_PARAMS_RTT_BASE, SIM_DRAM);
}

static void bad_addresses(void **state)
{
	uint64_t params = page(), rd = dpage(), base = dpage();

	(void)state;
	realm_params(params, base);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, rd, params + 8);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, rd, rd);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, rd, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, rd, SIM_DRAM);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, base, params); /* rd is a start table */
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, page(), params);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, rd + 8, params);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, 0, params);
	/* nothing was kept */
	EXPECT(RMI_SUCCESS, RMI_REALM_CREATE, rd, params);
	/* a realm cannot be made of another's granules, nor with its VMID */
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, rd, params);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, dpage(), params);
	realm_params(params, dpage());
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, dpage(), params);
	sim_write(params, REALM_PARAMS_VMID, 2);
	EXPECT(RMI_SUCCESS, RMI_REALM_CREATE, dpage(), params);
}

static void geometries(void **state)
{
	static const struct {
		unsigned s2sz, level, num;
	} g[] = { { 32, 2, 4 }, { 33, 2, 8 }, { 34, 2, 16 }, { 32, 1, 1 },  { 39, 1, 1 },
		  { 40, 1, 2 }, { 41, 1, 4 }, { 42, 1, 8 },  { 43, 1, 16 }, { 40, 0, 1 }, { 48, 0, 1 } };
	uint64_t tables = block(), params = page(), rd = dpage();

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, tables + 4096 * i);
	for (unsigned i = 0; i < sizeof(g) / sizeof(*g); i++) {
		uint64_t half = 1UL << (g[i].s2sz - 1), rtt = dpage();
		struct smc_result e;

		realm_params(params, tables);
		sim_write(params, REALM_PARAMS_S2SZ, g[i].s2sz);
		sim_write(params, REALM_PARAMS_RTT_LEVEL_START, g[i].level);
		sim_write(params, REALM_PARAMS_RTT_NUM_START, g[i].num);
		EXPECT(RMI_SUCCESS, RMI_REALM_CREATE, rd, params);
		assert_int_equal(sim_count(GS_RTT), g[i].num);
		/* the last protected entry and the first unprotected one */
		e = CALL(RMI_RTT_READ_ENTRY, rd, half - 4096, 3);
		assert_int_equal(e.x0, RMI_SUCCESS);
		assert_int_equal(e.x1, g[i].level);
		e = CALL(RMI_RTT_CREATE, rd, rtt, half, g[i].level + 1);
		assert_int_equal(e.x0, RMI_SUCCESS);
		e = CALL(RMI_RTT_READ_ENTRY, rd, half, g[i].level + 1);
		assert_int_equal(e.x1, g[i].level + 1);
		EXPECT(RMI_ERROR_INPUT, RMI_RTT_READ_ENTRY, rd, 2 * half, g[i].level);
		EXPECT(REALM_ERROR(0), RMI_REALM_DESTROY, rd);
		EXPECT(RMI_SUCCESS, RMI_RTT_DESTROY, rd, half, g[i].level + 1);
		sim_check();
		EXPECT(RMI_SUCCESS, RMI_REALM_DESTROY, rd);
	}
	/* concatenated tables must be aligned to their whole size */
	realm_params(params, tables + 4096);
	sim_write(params, REALM_PARAMS_S2SZ, 40);
	sim_write(params, REALM_PARAMS_RTT_NUM_START, 2);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, rd, params);
	/* one of several tables is not delegated: the others stay as they were */
	EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, tables + 4096 * 5);
	realm_params(params, tables);
	sim_write(params, REALM_PARAMS_S2SZ, 43);
	sim_write(params, REALM_PARAMS_RTT_NUM_START, 16);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, rd, params);
	/* rd inside the tables */
	realm_params(params, tables);
	sim_write(params, REALM_PARAMS_S2SZ, 42);
	sim_write(params, REALM_PARAMS_RTT_NUM_START, 8);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, tables + 4096 * 2, params);
}

static void narrow_cpu(void **state)
{
	uint64_t params = page(), rd = dpage(), base = dpage();

	(void)state;
	sim_width = 40;
	realm_params(params, base);
	sim_write(params, REALM_PARAMS_S2SZ, 41);
	sim_write(params, REALM_PARAMS_RTT_NUM_START, 4);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, rd, params);
	/* no walk from level 0 */
	realm_params(params, base);
	sim_write(params, REALM_PARAMS_S2SZ, 40);
	sim_write(params, REALM_PARAMS_RTT_LEVEL_START, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_CREATE, rd, params);
	assert_int_equal(CALL(RMI_FEATURES, 0).x1 & 0xff, 40);
}

static void activate(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_ACTIVATE, r.base);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_ACTIVATE, 0);
	EXPECT(RMI_SUCCESS, RMI_REALM_ACTIVATE, r.rd);
	assert_int_equal(rd_word(r.rd, "state", 0), REALM_ACTIVE);
	EXPECT(REALM_ERROR(0), RMI_REALM_ACTIVATE, r.rd);
	EXPECT(RMI_SUCCESS, RMI_REALM_DESTROY, r.rd);
}

static void destroy_needs_empty(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	rec_make(&r, true);
	EXPECT(REALM_ERROR(0), RMI_REALM_DESTROY, r.rd);
	EXPECT(RMI_SUCCESS, RMI_REC_DESTROY, r.rec[0]);
	realm_page(&r, 0x5000);
	EXPECT(REALM_ERROR(0), RMI_REALM_DESTROY, r.rd);
	EXPECT(RMI_ERROR_INPUT, RMI_REALM_DESTROY, r.base);
	r.recs = 0;
	realm_teardown(&r);
}

/* NS blocks in the start tables do not hold a realm, and their pins go with it. */
static void destroy_drops_host_blocks(void **state)
{
	uint64_t tables = block(), big = SIM_G(512 * 3), params = page(), rd = dpage();

	(void)state;
	(void)big;
	for (unsigned i = 0; i < 4; i++)
		EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, tables + 4096 * i);
	realm_params(params, tables);
	sim_write(params, REALM_PARAMS_S2SZ, 32);
	sim_write(params, REALM_PARAMS_RTT_LEVEL_START, 2);
	sim_write(params, REALM_PARAMS_RTT_NUM_START, 4);
	EXPECT(RMI_SUCCESS, RMI_REALM_CREATE, rd, params);
	/* a block must be the host's to the last granule: region 0 has KCore in it, region 2 tables */
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, rd, 1UL << 31, 2, SIM_DRAM | 0xd8);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, rd, 1UL << 31, 2, tables | 0xd8);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, rd, 1UL << 31, 2, big | 0xd8);
	for (unsigned i = 0; i < 4; i++)
		sim_check();
	EXPECT(RMI_SUCCESS, RMI_REALM_DESTROY, rd);
	for (unsigned i = 0; i < 4; i++)
		EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, tables + 4096 * i);
	/* now with a block that is the host's */
	for (unsigned i = 0; i < 4; i++)
		EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, SIM_G(128 + i));
	realm_params(params, SIM_G(128));
	sim_write(params, REALM_PARAMS_S2SZ, 32);
	sim_write(params, REALM_PARAMS_RTT_LEVEL_START, 2);
	sim_write(params, REALM_PARAMS_RTT_NUM_START, 4);
	EXPECT(RMI_SUCCESS, RMI_REALM_CREATE, rd, params);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, rd, 1UL << 31, 2, tables | 0xd8);
	sim_check();
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, tables + 4096 * 511);
	EXPECT(RMI_SUCCESS, RMI_REALM_DESTROY, rd);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, tables + 4096 * 511);
}

static void aux_count(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	assert_int_equal(CALL(RMI_REC_AUX_COUNT, r.rd).x0, RMI_SUCCESS);
	assert_int_equal(CALL(RMI_REC_AUX_COUNT, r.rd).x1, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_AUX_COUNT, r.base);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_AUX_COUNT, r.rd + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(create_and_destroy), TEST(bad_parameters), TEST(bad_addresses),
		TEST(geometries),	  TEST(narrow_cpu),	TEST(activate),
		TEST(destroy_needs_empty), TEST(destroy_drops_host_blocks), TEST(aux_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
