/* SPDX-License-Identifier: Apache-2.0 */
/* RSI calls. */
#include "util.h"

#define MB2 (1UL << 21)
#define GB (1UL << 30)

static uint64_t gpr(struct realm *r, unsigned i)
{
	return rec_word(r->rec[0], "gpr", i);
}

/* An answered call: x0 to x2. */
static void rsi(struct realm *r, uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, uint64_t status,
		uint64_t o1, uint64_t o2)
{
	uint64_t pc = rec_word(r->rec[0], "pc", 0);

	assert_true(rec_smc(r, 0, fid, x1, x2, x3, x4));
	assert_int_equal(gpr(r, 0), status);
	assert_int_equal(gpr(r, 1), o1);
	assert_int_equal(gpr(r, 2), o2);
	assert_int_equal(gpr(r, 3), 0);
	assert_int_equal(rec_word(r->rec[0], "pc", 0), pc + 4);
}

static void simple(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_VERSION, 0x10000, 1, 2, 3, RSI_SUCCESS, 0x10000, 0x10000);
	rsi(&r, RSI_VERSION, 0x10001, 1, 2, 3, RSI_ERROR_INPUT, 0x10000, 0x10000);
	rsi(&r, RSI_VERSION, 0, 1, 2, 3, RSI_ERROR_INPUT, 0x10000, 0x10000);
	rsi(&r, RSI_FEATURES, 0, 1, 2, 3, RSI_SUCCESS, 0, 0);
	rsi(&r, RSI_FEATURES, 7, 1, 2, 3, RSI_SUCCESS, 0, 0);
	rsi(&r, RSI_ATTEST_TOKEN_INIT, 7, 1, 2, 3, ALL_ONES, 0, 0);
	rsi(&r, RSI_ATTEST_TOKEN_CONTINUE, 7, 1, 2, 3, ALL_ONES, 0, 0);
	rsi(&r, RSI_FID_LAST, 7, 1, 2, 3, ALL_ONES, 0, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void config(void **state)
{
	struct realm r;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x2000);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0x3000, 0x4000).x1, 0x4000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_REALM_CONFIG, 0x2008, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_REALM_CONFIG, HALF, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_REALM_CONFIG, ALL_ONES << 12, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_REALM_CONFIG, 0x8000, 0, 0, 0, RSI_ERROR_INPUT, 0, 0); /* EMPTY */
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(pa, i, 0x99);
	rsi(&r, RSI_REALM_CONFIG, 0x2000, 0, 0, 0, RSI_SUCCESS, 0, 0);
	assert_int_equal(sim_read(pa, 0), 33);
	assert_int_equal(sim_read(pa, 8), RMI_HASH_SHA256);
	assert_int_equal(sim_read(pa, 0x200), 0x1111);
	assert_int_equal(sim_read(pa, 0x238), 0x8888);
	/* RAM without a page: the host brings one, the call is repeated */
	assert_false(rec_smc(&r, 0, RSI_REALM_CONFIG, 0x3000, 0, 0, 0));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_ESR), 0x24UL << 26 | 7);
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(0x3000));
	assert_int_equal(gpr(&r, 0), RSI_REALM_CONFIG);
	run_put(&r, RUN_FLAGS, REC_ENTRY_EMUL_MMIO);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_FLAGS, REC_ENTRY_INJECT_SEA);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_FLAGS, 0);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, dpage(), 0x3000);
	rec_go(&r, 0);
	rsi(&r, RSI_REALM_CONFIG, 0x3000, 0, 0, 0, RSI_SUCCESS, 0, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

/* The page of a call may lie in a 2 MiB block. */
static void config_in_block(void **state)
{
	struct realm r;
	uint64_t big = block();

	(void)state;
	realm_make(&r);
	realm_tables(&r, 0);
	assert_int_equal(CALL(KCORE_DELEGATE_RANGE, big, 512).x1, 512);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0, MB2).x1, MB2);
	for (uint64_t i = 0; i < 512; i++)
		EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, big + 4096 * i, 4096 * i);
	EXPECT(RMI_SUCCESS, RMI_RTT_FOLD, r.rd, 0, 3);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_REALM_CONFIG, 0x7000, 0, 0, 0, RSI_SUCCESS, 0, 0);
	assert_int_equal(sim_read(big + 0x7000, 0), 33);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void ipa_state_get(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	realm_tables(&r, 0);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0x2000, 0x5000).x1, 0x5000);
	realm_page(&r, 0x5000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_IPA_STATE_GET, 8, 0x1000, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0, 0x1008, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0x1000, 0x1000, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0x2000, 0x1000, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0, HALF + 0x1000, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, HALF, HALF + 0x1000, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, ALL_ONES << 12, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0, HALF, 0, 0, RSI_SUCCESS, 0x2000, RMI_RIPAS_EMPTY);
	rsi(&r, RSI_IPA_STATE_GET, 0x2000, HALF, 0, 0, RSI_SUCCESS, 0x6000, RMI_RIPAS_RAM);
	rsi(&r, RSI_IPA_STATE_GET, 0x3000, 0x4000, 0, 0, RSI_SUCCESS, 0x4000, RMI_RIPAS_RAM);
	rsi(&r, RSI_IPA_STATE_GET, 0x6000, HALF, 0, 0, RSI_SUCCESS, MB2, RMI_RIPAS_EMPTY);
	rsi(&r, RSI_IPA_STATE_GET, GB + 0x1000, HALF, 0, 0, RSI_SUCCESS, HALF, RMI_RIPAS_EMPTY);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0x5000);
	rec_go(&r, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0x5000, HALF, 0, 0, RSI_SUCCESS, 0x6000, RMI_RIPAS_DESTROYED);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void ipa_state_set_errors(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0, 0x1000, 2, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0, 0x1000, ALL_ONES, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 8, 0x1000, 1, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0, 0x1008, 1, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0x1000, 0x1000, 1, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0x1000, 0, 1, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0, HALF + 0x1000, 1, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, HALF, HALF + 0x1000, 1, 0, RSI_ERROR_INPUT, 0, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void host_call(void **state)
{
	struct realm r;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x2000);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0x3000, 0x4000).x1, 0x4000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_HOST_CALL, 0x2080, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_HOST_CALL, HALF, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_HOST_CALL, 0x8000, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	sim_write(pa, 0x300, 0xabcd00001234UL);
	for (unsigned i = 0; i < 31; i++)
		sim_write(pa, 0x308 + 8 * i, 0x100 + i);
	assert_false(rec_smc(&r, 0, RSI_HOST_CALL, 0x2300, 5, 6, 7));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_HOST_CALL);
	assert_int_equal(run_get(&r, EXIT_IMM), 0x1234);
	for (unsigned i = 0; i < 31; i++) {
		assert_int_equal(run_get(&r, EXIT_GPR(i)), 0x100 + i);
		run_put(&r, RUN_GPR(i), 0x200 + i);
	}
	rec_go(&r, 0);
	assert_int_equal(gpr(&r, 0), RSI_SUCCESS);
	assert_int_equal(gpr(&r, 1), 0);
	for (unsigned i = 0; i < 31; i++)
		assert_int_equal(sim_read(pa, 0x308 + 8 * i), 0x200 + i);
	/* only once */
	sim_write(pa, 0x308, 0x55);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	rec_go(&r, 0);
	assert_int_equal(sim_read(pa, 0x308), 0x55);
	/* no page */
	assert_false(rec_smc(&r, 0, RSI_HOST_CALL, 0x3300, 5, 6, 7));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(0x3000));
	assert_int_equal(rec_word(r.rec[0], "host_call", 0), 0);
}

/* The page goes away between call and answer. */
static void host_call_page_lost(void **state)
{
	struct realm r;
	struct smc_result s;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x2000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, RSI_HOST_CALL, 0x2300, 5, 6, 7));
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0x2000);
	run_put(&r, RUN_LR(0), 1UL << 62 | 40);
	s = CALL(RMI_REC_ENTER, r.rec[0], r.run);
	assert_int_equal(s.x0, RMI_SUCCESS);
	assert_int_equal(s.rec, 0);
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_ESR), 0x24UL << 26 | 7);
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(0x2000));
	assert_int_equal(run_get(&r, EXIT_LR(0)), 1UL << 62 | 40);
	sim_check();
	/* DESTROYED for ever: still pending; the REC itself may be destroyed */
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0x2000);
	assert_int_equal(CALL(RMI_REC_ENTER, r.rec[0], r.run).rec, 0);
	realm_teardown(&r);
}

/* The page has become EMPTY by the request of another REC: no copy, an error for the caller. */
static void host_call_page_empty(void **state)
{
	struct realm r;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x2000);
	rec_make(&r, true);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	sim_write(pa, 0x308, 0x55);
	assert_false(rec_smc(&r, 0, RSI_HOST_CALL, 0x2300, 5, 6, 7));
	rec_go(&r, 1);
	assert_false(rec_smc(&r, 1, RSI_IPA_STATE_SET, 0x2000, 0x3000, 0, 0));
	EXPECT(RMI_SUCCESS, RMI_RTT_SET_RIPAS, r.rd, r.rec[1], 0x2000, 0x3000);
	run_put(&r, RUN_GPR(0), 0x66);
	rec_go(&r, 0);
	assert_int_equal(gpr(&r, 0), RSI_ERROR_INPUT);
	assert_int_equal(sim_read(pa, 0x308), 0x55);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(simple),		    TEST(config),    TEST(config_in_block),	TEST(ipa_state_get),
		TEST(ipa_state_set_errors), TEST(host_call), TEST(host_call_page_lost), TEST(host_call_page_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
