/* SPDX-License-Identifier: Apache-2.0 */
/* PSCI for realms, PSCI_COMPLETE. */
#include "util.h"

static uint64_t gpr(struct realm *r, unsigned n, unsigned i)
{
	return rec_word(r->rec[n], "gpr", i);
}

static void answered(void **state)
{
	static const struct {
		uint64_t fid, x1, want;
	} t[] = {
		{ SMCCC_VERSION, 0, 0x10002 },
		{ PSCI_VERSION, 0, 0x10001 },
		{ 0x80000001, 0, ALL_ONES },		/* ARCH_FEATURES */
		{ 0x84000050, 0, ALL_ONES },		/* TRNG */
		{ 0x8600ff01, 0, ALL_ONES },		/* vendor UID */
		{ KCORE_VERSION, 0, ALL_ONES },		/* the host's calls are not the realm's */
		{ RMI_GRANULE_DELEGATE, 0, ALL_ONES },
		{ PSCI_MIGRATE_INFO_TYPE, 0, ALL_ONES },
		{ 0x84000015, 0, ALL_ONES },
		{ 0, 0, ALL_ONES },
		{ 0xffffffff, 0, ALL_ONES },
		{ PSCI_FEATURES, SMCCC_VERSION, 0 },
		{ PSCI_FEATURES, PSCI_CPU_ON_64, 0 },
		{ PSCI_FEATURES, PSCI_CPU_ON_32, 0 },
		{ PSCI_FEATURES, PSCI_CPU_OFF, 0 },
		{ PSCI_FEATURES, PSCI_CPU_SUSPEND_32, 0 },
		{ PSCI_FEATURES, PSCI_CPU_SUSPEND_64, 0 },
		{ PSCI_FEATURES, PSCI_AFFINITY_INFO_32, 0 },
		{ PSCI_FEATURES, PSCI_AFFINITY_INFO_64, 0 },
		{ PSCI_FEATURES, PSCI_SYSTEM_OFF, 0 },
		{ PSCI_FEATURES, PSCI_SYSTEM_RESET, 0 },
		{ PSCI_FEATURES, PSCI_FEATURES, 0 },
		{ PSCI_FEATURES, PSCI_VERSION, ALL_ONES },
		{ PSCI_FEATURES, PSCI_MIGRATE_INFO_TYPE, ALL_ONES },
		{ PSCI_FEATURES, 0xC4000190, ALL_ONES },
	};
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	for (unsigned i = 0; i < sizeof(t) / sizeof(*t); i++) {
		uint64_t pc = rec_word(r.rec[0], "pc", 0);

		assert_true(rec_smc(&r, 0, t[i].fid, t[i].x1, 7, 8, 9));
		assert_int_equal(gpr(&r, 0, 0), t[i].want);
		assert_int_equal(gpr(&r, 0, 1), 0);
		assert_int_equal(gpr(&r, 0, 2), 0);
		assert_int_equal(gpr(&r, 0, 3), 0);
		assert_int_equal(gpr(&r, 0, 4), 9);
		assert_int_equal(rec_word(r.rec[0], "pc", 0), pc + 4);
	}
	/* the hint about SVE is no part of the id */
	assert_true(rec_smc(&r, 0, PSCI_VERSION | 0x10000, 0, 0, 0, 0));
	assert_int_equal(gpr(&r, 0, 0), 0x10001);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void two(struct realm *r)
{
	realm_make(r);
	rec_make(r, true);
	rec_make(r, false);
	realm_run(r);
	rec_go(r, 0);
}

static void cpu_on_errors(void **state)
{
	struct realm r;

	(void)state;
	two(&r);
	assert_true(rec_smc(&r, 0, PSCI_CPU_ON_64, 9, HALF, 3, 0)); /* entry point first */
	assert_int_equal(gpr(&r, 0, 0), PSCI_INVALID_ADDRESS);
	assert_true(rec_smc(&r, 0, PSCI_CPU_ON_64, 2, 0x1000, 3, 0));
	assert_int_equal(gpr(&r, 0, 0), PSCI_INVALID_PARAMETERS);
	assert_true(rec_smc(&r, 0, PSCI_CPU_ON_64, 0x11, 0x1000, 3, 0));
	assert_int_equal(gpr(&r, 0, 0), PSCI_INVALID_PARAMETERS);
	assert_true(rec_smc(&r, 0, PSCI_CPU_ON_64, 1UL << 32, 0x1000, 3, 0));
	assert_int_equal(gpr(&r, 0, 0), PSCI_INVALID_PARAMETERS);
	assert_true(rec_smc(&r, 0, PSCI_CPU_ON_64, 0, 0x1000, 3, 0));
	assert_int_equal(gpr(&r, 0, 0), PSCI_ALREADY_ON);
	assert_true(rec_smc(&r, 0, PSCI_AFFINITY_INFO_64, 1, 1, 0, 0));
	assert_int_equal(gpr(&r, 0, 0), PSCI_INVALID_PARAMETERS);
	assert_true(rec_smc(&r, 0, PSCI_AFFINITY_INFO_64, 2, 0, 0, 0));
	assert_int_equal(gpr(&r, 0, 0), PSCI_INVALID_PARAMETERS);
	assert_true(rec_smc(&r, 0, PSCI_AFFINITY_INFO_64, 0, 0, 0, 0));
	assert_int_equal(gpr(&r, 0, 0), PSCI_AFFINITY_ON);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void asked(struct realm *r, uint64_t fid)
{
	assert_int_equal(run_get(r, EXIT_REASON), REC_EXIT_PSCI);
	assert_int_equal(run_get(r, EXIT_GPR(0)), fid);
	assert_int_equal(run_get(r, EXIT_GPR(1)), 1);
	for (unsigned i = 2; i < 31; i++)
		assert_int_equal(run_get(r, EXIT_GPR(i)), 0);
	/* not before it is completed */
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r->rec[0], r->run);
}

static void cpu_on(void **state)
{
	struct realm r, other;

	(void)state;
	realm_make(&other);
	rec_make(&other, true);
	rec_make(&other, true);
	two(&r);
	rec_set_sysreg(r.rec[0], SYS_SCTLR_EL1, 1UL << 25);
	assert_false(rec_smc(&r, 0, PSCI_CPU_ON_64, 1, 0x5000, 0xc0de, 0));
	asked(&r, PSCI_CPU_ON_64);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[1], r.run);
	/* errors in order */
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0] + 8, r.rec[1], 0);
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1] + 8, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], r.rec[0], 0);
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], r.rd, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rd, r.rec[1], 0);
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[1], r.rec[0], 0); /* nothing pending */
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], other.rec[1], 0);
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], 1);
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], PSCI_ALREADY_ON);
	EXPECT(RMI_SUCCESS, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], 0);
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], 0);
	assert_int_equal(gpr(&r, 0, 0), PSCI_SUCCESS);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(gpr(&r, 0, i), 0);
	assert_int_equal(rec_word(r.rec[1], "pc", 0), 0x5000);
	assert_int_equal(rec_word(r.rec[1], "pstate", 0), 0x3c5);
	assert_int_equal(rec_word(r.rec[1], "el1", SYS_SCTLR_EL1), 0x32d50878);
	assert_int_equal(gpr(&r, 1, 0), 0xc0de);
	rec_go(&r, 1);
	sim_trap(r.rec[1], TRAP_IRQ, 0, 0, 0);
	/* on already */
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, PSCI_CPU_ON_32, 0xf00000001UL, 0xf00005000UL, 1, 0));
	asked(&r, PSCI_CPU_ON_32);
	EXPECT(RMI_SUCCESS, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], 0);
	assert_int_equal(gpr(&r, 0, 0), PSCI_ALREADY_ON);
	/* on already, and the host would deny: the realm is told the truth */
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, PSCI_CPU_ON_64, 1, 0x5000, 1, 0));
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], PSCI_DENIED);
	assert_int_equal(gpr(&r, 0, 0), PSCI_ALREADY_ON);
	rec_go(&r, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void cpu_on_denied_and_off(void **state)
{
	struct realm r;

	(void)state;
	two(&r);
	assert_false(rec_smc(&r, 0, PSCI_CPU_ON_64, 1, 0x5000, 1, 0));
	EXPECT(RMI_SUCCESS, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], PSCI_DENIED);
	assert_int_equal(gpr(&r, 0, 0), PSCI_DENIED);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[1], r.run);
	/* affinity: off, then on, then off again by CPU_OFF */
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, PSCI_AFFINITY_INFO_64, 1, 0, 0, 0));
	asked(&r, PSCI_AFFINITY_INFO_64);
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], PSCI_DENIED);
	EXPECT(RMI_SUCCESS, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], 0);
	assert_int_equal(gpr(&r, 0, 0), PSCI_AFFINITY_OFF);
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, PSCI_CPU_ON_64, 1, 0x5000, 1, 0));
	EXPECT(RMI_SUCCESS, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], 0);
	/* while the target runs */
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, PSCI_AFFINITY_INFO_64, 1, 0, 0, 0));
	sim_set_cpu(1);
	rec_go(&r, 1);
	sim_set_cpu(0);
	EXPECT(RMI_SUCCESS, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], 0);
	assert_int_equal(gpr(&r, 0, 0), PSCI_AFFINITY_ON);
	sim_set_cpu(1);
	assert_false(rec_smc(&r, 1, PSCI_CPU_OFF, 0, 0, 0, 0));
	assert_int_equal(run_get(&r, EXIT_GPR(0)), PSCI_CPU_OFF);
	assert_int_equal(rec_word(r.rec[1], "runnable", 0), 0);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[1], r.run);
	/* and on once more: registers of before are kept, x0 is the context */
	sim_set_cpu(0);
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, PSCI_CPU_ON_64, 1, 0x6000, 0x77, 0));
	EXPECT(RMI_SUCCESS, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], 0);
	assert_int_equal(gpr(&r, 1, 0), 0x77);
	rec_go(&r, 1);
	sim_trap(r.rec[1], TRAP_IRQ, 0, 0, 0);
	realm_teardown(&r);
}

/* Only the CPU that was asked about will do. */
static void wrong_target(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	rec_make(&r, true);
	rec_make(&r, false);
	rec_make(&r, false);
	realm_run(&r);
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, PSCI_CPU_ON_64, 1, 0x5000, 1, 0));
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], r.rec[2], 0);
	assert_int_equal(rec_word(r.rec[2], "runnable", 0), 0);
	EXPECT(RMI_SUCCESS, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], 0);
}

static void completion_while_running(void **state)
{
	struct realm r;

	(void)state;
	two(&r);
	assert_false(rec_smc(&r, 0, PSCI_CPU_ON_64, 1, 0x5000, 1, 0));
	rec_poke(r.rec[0], "psci_pending", 0, 0);
	rec_go(&r, 0);
	sim_set_cpu(1);
	EXPECT(RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, r.rec[0], r.rec[1], 0);
	sim_set_cpu(0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void system_calls(void **state)
{
	static const uint64_t fids[] = { PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET };
	struct realm r;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		realm_simple(&r);
		rec_go(&r, 0);
		assert_false(rec_smc(&r, 0, fids[i], 1, 2, 3, 4));
		assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_PSCI);
		assert_int_equal(run_get(&r, EXIT_GPR(0)), fids[i]);
		assert_int_equal(run_get(&r, EXIT_GPR(1)), 0);
		assert_int_equal(rd_word(r.rd, "state", 0), REALM_SYSTEM_OFF);
		EXPECT(REALM_ERROR(1), RMI_REC_ENTER, r.rec[0], r.run);
		realm_teardown(&r);
	}
	realm_simple(&r);
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, PSCI_CPU_SUSPEND_64, 1, 2, 3, 4));
	assert_int_equal(run_get(&r, EXIT_GPR(0)), PSCI_CPU_SUSPEND_64);
	assert_int_equal(run_get(&r, EXIT_GPR(1)), 0);
	rec_go(&r, 0);
	assert_int_equal(gpr(&r, 0, 0), 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answered), TEST(cpu_on_errors),		TEST(cpu_on), TEST(cpu_on_denied_and_off), TEST(wrong_target),
		TEST(completion_while_running), TEST(system_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
