/* SPDX-License-Identifier: Apache-2.0 */
/* DATA_CREATE, DATA_CREATE_UNKNOWN, DATA_DESTROY, RTT_INIT_RIPAS, RTT_SET_RIPAS. */
#include "util.h"

#define MB2 (1UL << 21)
#define GB (1UL << 30)

static void ripas_is(struct realm *r, uint64_t ipa, uint64_t state, uint64_t ripas)
{
	struct smc_result e = CALL(RMI_RTT_READ_ENTRY, r->rd, ipa, 3);

	assert_int_equal(e.x2, state);
	assert_int_equal(e.x4, ripas);
}

static void create(void **state)
{
	struct realm r;
	uint64_t pa, src = page();

	(void)state;
	realm_make(&r);
	pa = dpage();
	sim_write(src, 0, 0xabcdef);
	/* errors in order */
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, pa, 0, src, 2);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, pa, 0, src, ALL_ONES);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, pa, 0, pa, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, pa, 0, src + 8, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, pa, 0, 0, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, pa, 0, SIM_DRAM, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, page(), 0, src, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, src, 0, src, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, r.rd, 0, src, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.base, pa, 0, src, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, pa, HALF, src, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, pa, 8, src, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, pa, ALL_ONES << 12, src, 0);
	EXPECT(LEVEL_ERROR(1), RMI_DATA_CREATE, r.rd, pa, 0, src, 0);
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, dpage(), 0, 2);
	EXPECT(LEVEL_ERROR(2), RMI_DATA_CREATE, r.rd, pa, 0, src, 0);
	assert_true(sim_is_zero(pa));
	realm_tables(&r, 0);
	/* RIPAS EMPTY is accepted and becomes RAM */
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE, r.rd, pa, 0, src, 0);
	assert_int_equal(sim_read(pa, 0), 0xabcdef);
	assert_int_equal(sim_state(pa), GS_DATA);
	ripas_is(&r, 0, RMI_ASSIGNED, RMI_RIPAS_RAM);
	assert_int_equal(sim_realm_page(r.rd, 0), pa);
	EXPECT(LEVEL_ERROR(3), RMI_DATA_CREATE, r.rd, dpage(), 0, src, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, r.rd, pa, 0x1000, src, 0); /* twice into a realm */
	/* not once the realm runs */
	realm_run(&r);
	EXPECT(REALM_ERROR(0), RMI_DATA_CREATE, r.rd, dpage(), 0x1000, src, 0);
	EXPECT(REALM_ERROR(0), RMI_DATA_CREATE, r.rd, dpage(), HALF, src, 0);
	realm_teardown(&r);
}

static void two_realms(void **state)
{
	struct realm a, b;
	uint64_t pa, src = page();

	(void)state;
	realm_make(&a);
	realm_make(&b);
	realm_tables(&a, 0);
	realm_tables(&b, 0);
	realm_tables(&b, HALF);
	pa = realm_page(&a, 0x2000);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE, b.rd, pa, 0, src, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE_UNKNOWN, b.rd, pa, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, b.rd, HALF, 3, pa | 0xd8);
	realm_teardown(&a);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, pa);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, b.rd, pa, 0);
	assert_true(sim_is_zero(pa));
}

static void create_unknown(void **state)
{
	struct realm r;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = dpage();
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE_UNKNOWN, r.rd, page(), 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE_UNKNOWN, r.base, pa, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, HALF);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 8);
	EXPECT(LEVEL_ERROR(1), RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0);
	realm_tables(&r, 0);
	realm_run(&r);
	/* keeps the RIPAS: EMPTY is there, but the realm cannot reach it */
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0);
	ripas_is(&r, 0, RMI_ASSIGNED, RMI_RIPAS_EMPTY);
	assert_int_equal(sim_realm_page(r.rd, 0), ALL_ONES);
	EXPECT(LEVEL_ERROR(3), RMI_DATA_CREATE_UNKNOWN, r.rd, dpage(), 0);
	realm_teardown(&r);
}

static void destroy(void **state)
{
	struct realm r;
	struct smc_result d;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x4000);
	d = CALL(RMI_DATA_DESTROY, r.base, 0x4000);
	assert_int_equal(d.x0, RMI_ERROR_INPUT);
	assert_int_equal(d.x2, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_DESTROY, r.rd, 0x4008);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_DESTROY, r.rd, HALF);
	d = CALL(RMI_DATA_DESTROY, r.rd, GB);
	assert_int_equal(d.x0, LEVEL_ERROR(1));
	assert_int_equal(d.x2, 512 * GB);
	d = CALL(RMI_DATA_DESTROY, r.rd, MB2);
	assert_int_equal(d.x0, LEVEL_ERROR(2));
	assert_int_equal(d.x2, GB);
	d = CALL(RMI_DATA_DESTROY, r.rd, 0);
	assert_int_equal(d.x0, LEVEL_ERROR(3));
	assert_int_equal(d.x2, 0x4000);
	d = CALL(RMI_DATA_DESTROY, r.rd, 0x4000);
	assert_int_equal(d.x0, RMI_SUCCESS);
	assert_int_equal(d.x1, pa);
	assert_int_equal(d.x2, MB2);
	assert_true(sim_is_zero(pa));
	ripas_is(&r, 0x4000, RMI_UNASSIGNED, RMI_RIPAS_DESTROYED);
	/* DESTROYED stays DESTROYED, EMPTY stays EMPTY */
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0x4000);
	ripas_is(&r, 0x4000, RMI_ASSIGNED, RMI_RIPAS_DESTROYED);
	assert_int_equal(CALL(RMI_RTT_READ_ENTRY, r.rd, 0x4000, 3).x3, pa);
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0x4000);
	ripas_is(&r, 0x4000, RMI_UNASSIGNED, RMI_RIPAS_DESTROYED);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0x5000);
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0x5000);
	ripas_is(&r, 0x5000, RMI_UNASSIGNED, RMI_RIPAS_EMPTY);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, pa);
}

static void init_ripas(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_INIT_RIPAS, r.rd, 0x1000, 0x1000);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_INIT_RIPAS, r.rd, 0x2000, 0x1000);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_INIT_RIPAS, r.base, 0, GB);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_INIT_RIPAS, r.rd, 8, GB);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_INIT_RIPAS, r.rd, 0, GB + 8);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_INIT_RIPAS, r.rd, HALF - GB, HALF + 4096);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_INIT_RIPAS, r.rd, HALF, HALF + GB);
	EXPECT(LEVEL_ERROR(1), RMI_RTT_INIT_RIPAS, r.rd, 0x1000, GB);
	EXPECT(LEVEL_ERROR(1), RMI_RTT_INIT_RIPAS, r.rd, 0, GB - 4096); /* the entry ends past top */
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0, 2 * GB + 4096).x1, 2 * GB);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0, GB).x1, GB); /* RAM stays RAM */
	ripas_is(&r, GB, RMI_UNASSIGNED, RMI_RIPAS_RAM);
	/* stops before a table, then goes on inside it */
	realm_tables(&r, 3 * GB);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 2 * GB, HALF).x1, 3 * GB);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 3 * GB, HALF).x1, 3 * GB + MB2);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 3 * GB + MB2, HALF).x1, HALF);
	/* not over pages */
	realm_page(&r, 3 * GB);
	EXPECT(LEVEL_ERROR(3), RMI_RTT_INIT_RIPAS, r.rd, 3 * GB, HALF);
	realm_run(&r);
	EXPECT(REALM_ERROR(0), RMI_RTT_INIT_RIPAS, r.rd, 0, GB);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_INIT_RIPAS, r.rd, HALF, HALF + GB);
}

/* The realm asks for a change; the host serves it. */
static void ask(struct realm *r, uint64_t base, uint64_t top, uint64_t ripas, uint64_t flags)
{
	rec_go(r, 0);
	assert_false(rec_smc(r, 0, RSI_IPA_STATE_SET, base, top, ripas, flags));
	assert_int_equal(run_get(r, EXIT_REASON), REC_EXIT_RIPAS_CHANGE);
	assert_int_equal(run_get(r, EXIT_RIPAS_BASE), base);
	assert_int_equal(run_get(r, EXIT_RIPAS_TOP), top);
	assert_int_equal(run_get(r, EXIT_RIPAS_VALUE), ripas);
}

static void answer(struct realm *r, uint64_t next, uint64_t response)
{
	rec_go(r, 0);
	assert_int_equal(rec_word(r->rec[0], "gpr", 0), RSI_SUCCESS);
	assert_int_equal(rec_word(r->rec[0], "gpr", 1), next);
	assert_int_equal(rec_word(r->rec[0], "gpr", 2), response);
	sim_trap(r->rec[0], TRAP_IRQ, 0, 0, 0);
}

static void set_ripas(void **state)
{
	struct realm r, other;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	realm_make(&other);
	pa = realm_page(&r, 0x1000);
	rec_make(&r, true);
	rec_make(&other, true);
	realm_run(&r);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0, 0x1000); /* nothing asked */
	ask(&r, 0x1000, 0x3000, RMI_RIPAS_EMPTY, 0);
	/* errors in order */
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x1000, 0x1000);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x1000, 0x2008);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, r.base, r.rec[0], 0x1000, 0x3000);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, r.rd, pa, 0x1000, 0x3000);
	EXPECT(RMI_ERROR_REC, RMI_RTT_SET_RIPAS, r.rd, other.rec[0], 0x1000, 0x3000);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0, 0x3000);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x2000, 0x3000);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x1000, 0x4000);
	/* in two steps */
	assert_int_equal(CALL(RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x1000, 0x2000).x1, 0x2000);
	ripas_is(&r, 0x1000, RMI_ASSIGNED, RMI_RIPAS_EMPTY);
	assert_int_equal(sim_realm_page(r.rd, 0x1000), ALL_ONES);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x1000, 0x3000);
	assert_int_equal(CALL(RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x2000, 0x3000).x1, 0x3000);
	answer(&r, 0x3000, RSI_ACCEPT);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x3000, 0x4000);
	/* back to RAM: the page's content is there again */
	ask(&r, 0x1000, 0x2000, RMI_RIPAS_RAM, 0);
	EXPECT(RMI_SUCCESS, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x1000, 0x2000);
	assert_int_equal(sim_realm_page(r.rd, 0x1000), pa);
	answer(&r, 0x2000, RSI_ACCEPT);
	/* DESTROYED changes only if the realm says so */
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0x1000);
	ask(&r, 0x1000, 0x2000, RMI_RIPAS_RAM, 0);
	EXPECT(LEVEL_ERROR(3), RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x1000, 0x2000);
	run_put(&r, RUN_FLAGS, REC_ENTRY_RIPAS_REJECT);
	answer(&r, 0x1000, RSI_REJECT);
	run_put(&r, RUN_FLAGS, 0);
	ask(&r, 0x1000, 0x2000, RMI_RIPAS_EMPTY, RSI_CHANGE_DESTROYED);
	EXPECT(RMI_SUCCESS, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], 0x1000, 0x2000);
	ripas_is(&r, 0x1000, RMI_UNASSIGNED, RMI_RIPAS_EMPTY);
	answer(&r, 0x2000, RSI_ACCEPT);
	/* a host that does nothing: no progress, not rejected */
	ask(&r, 0x1000, 0x2000, RMI_RIPAS_RAM, 0);
	answer(&r, 0x1000, RSI_ACCEPT);
	/* an EMPTY request is never seen as rejected */
	ask(&r, 0x1000, 0x2000, RMI_RIPAS_EMPTY, 0);
	run_put(&r, RUN_FLAGS, REC_ENTRY_RIPAS_REJECT);
	answer(&r, 0x1000, RSI_ACCEPT);
	run_put(&r, RUN_FLAGS, 0);
	/* entries bigger than the request */
	ask(&r, MB2, MB2 + 0x1000, RMI_RIPAS_RAM, 0);
	EXPECT(LEVEL_ERROR(2), RMI_RTT_SET_RIPAS, r.rd, r.rec[0], MB2, MB2 + 0x1000);
	answer(&r, MB2, RSI_ACCEPT);
	ask(&r, MB2 + 0x1000, 3 * MB2, RMI_RIPAS_RAM, 0);
	EXPECT(LEVEL_ERROR(2), RMI_RTT_SET_RIPAS, r.rd, r.rec[0], MB2 + 0x1000, 3 * MB2);
	/* not while the REC runs */
	rec_go(&r, 0);
	sim_set_cpu(1);
	EXPECT(RMI_ERROR_REC, RMI_RTT_SET_RIPAS, r.rd, r.rec[0], MB2 + 0x1000, 3 * MB2);
	sim_set_cpu(0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	realm_teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(create), TEST(two_realms), TEST(create_unknown), TEST(destroy), TEST(init_ripas), TEST(set_ripas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
