/* SPDX-License-Identifier: Apache-2.0 */
/* REC_ENTER and the exits. */
#include "util.h"

static void first_run(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	assert_int_equal(rec_word(r.rec[0], "running", 0), 1);
	assert_false(sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_IRQ);
	assert_int_equal(run_get(&r, EXIT_ESR), 0);
	for (unsigned i = 0; i < 31; i++)
		assert_int_equal(run_get(&r, EXIT_GPR(i)), 0);
	assert_int_equal(rec_word(r.rec[0], "running", 0), 0);
	rec_go(&r, 0);
	assert_false(sim_trap(r.rec[0], TRAP_FIQ, 0, 0, 0));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_FIQ);
	realm_teardown(&r);
}

static void enter_errors(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	rec_make(&r, true);
	rec_make(&r, false);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_ENTER, r.rec[0], r.run + 8);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_ENTER, r.rec[0], r.rd);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_ENTER, r.rec[0], SIM_DRAM);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_ENTER, r.rd, r.run);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_ENTER, 0, r.run);
	run_put(&r, RUN_HCR, 1); /* realm errors outrank REC errors */
	EXPECT(REALM_ERROR(0), RMI_REC_ENTER, r.rec[0], r.run);
	realm_run(&r);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_HCR, 0);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[1], r.run); /* not runnable */
	run_put(&r, RUN_FLAGS, REC_ENTRY_INJECT_SEA);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_FLAGS, REC_ENTRY_EMUL_MMIO);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_FLAGS, 0);
	rec_go(&r, 0);
	sim_set_cpu(1);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], page());
	/* while it runs, the run page is not to be taken */
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, r.run);
	sim_set_cpu(0);
	sim_check();
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, r.run);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_ENTER, r.rec[0], r.run);
}

static void enter_order_of_realm_states(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	rec_make(&r, true);
	rec_make(&r, false);
	realm_run(&r);
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, PSCI_SYSTEM_OFF, 0, 0, 0, 0));
	EXPECT(REALM_ERROR(1), RMI_REC_ENTER, r.rec[0], r.run);
	EXPECT(REALM_ERROR(1), RMI_REC_ENTER, r.rec[1], r.run);
	realm_teardown(&r);
}

/* A data abort; leaves, or not. */
static bool dabt(struct realm *r, uint64_t iss, uint64_t ipa)
{
	return sim_trap(r->rec[0], TRAP_SYNC, ESR(0x24, iss), 0xffff000012345000UL | (ipa & 0xfff), HPFAR(ipa));
}

#define ISV (1UL << 24)
#define SAS(n) ((uint64_t)(n) << 22)
#define SSE (1UL << 21)
#define SRT(n) ((uint64_t)(n) << 16)
#define SF (1UL << 15)
#define WNR (1UL << 6)
#define TRANSLATION 7UL

static void mmio_write(void **state)
{
	struct realm r;
	uint64_t pc;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	rec_poke(r.rec[0], "gpr", 5, 0x1122334455667788UL);
	pc = rec_word(r.rec[0], "pc", 0);
	assert_false(dabt(&r, ISV | SAS(1) | SRT(5) | SF | WNR | TRANSLATION, HALF + 0x9000018));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_ESR), 0x24UL << 26 | ISV | SAS(1) | SF | WNR | TRANSLATION);
	assert_int_equal(run_get(&r, EXIT_FAR), 0x018);
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(HALF + 0x9000000));
	assert_int_equal(run_get(&r, EXIT_GPR(0)), 0x7788);
	for (unsigned i = 1; i < 31; i++)
		assert_int_equal(run_get(&r, EXIT_GPR(i)), 0);
	run_put(&r, RUN_FLAGS, REC_ENTRY_EMUL_MMIO);
	rec_go(&r, 0);
	assert_int_equal(rec_word(r.rec[0], "pc", 0), pc + 4);
	assert_int_equal(rec_word(r.rec[0], "gpr", 5), 0x1122334455667788UL);
	/* from the zero register */
	assert_false(dabt(&r, ISV | SAS(3) | SRT(31) | SF | WNR | TRANSLATION, HALF));
	assert_int_equal(run_get(&r, EXIT_GPR(0)), 0);
	/* not emulated: the same instruction again, and the permission is gone */
	run_put(&r, RUN_FLAGS, 0);
	rec_go(&r, 0);
	assert_int_equal(rec_word(r.rec[0], "pc", 0), pc + 4);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	run_put(&r, RUN_FLAGS, REC_ENTRY_EMUL_MMIO);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
}

static void mmio_read(void **state)
{
	static const struct {
		uint64_t iss, data, want;
	} t[] = {
		{ SAS(0) | SF, 0xffffffffffffff80UL, 0x80 },
		{ SAS(1) | SF, 0xffffffffffff8001UL, 0x8001 },
		{ SAS(2) | SF, 0xffffffff80000001UL, 0x80000001 },
		{ SAS(3) | SF, 0x8123456789abcdefUL, 0x8123456789abcdefUL },
		{ SAS(0) | SSE | SF, 0x80, 0xffffffffffffff80UL },
		{ SAS(0) | SSE, 0x80, 0xffffff80 },
		{ SAS(1) | SSE, 0x7fff, 0x7fff },
		{ SAS(1) | SSE | SF, 0x8000, 0xffffffffffff8000UL },
		{ SAS(2) | SSE | SF, 0x80000000, 0xffffffff80000000UL },
	};
	struct realm r;

	(void)state;
	realm_simple(&r);
	for (unsigned i = 0; i < sizeof(t) / sizeof(*t); i++) {
		uint64_t pc;

		rec_go(&r, 0);
		pc = rec_word(r.rec[0], "pc", 0);
		rec_poke(r.rec[0], "gpr", 3, 0x77);
		assert_false(dabt(&r, ISV | SRT(3) | t[i].iss | TRANSLATION, HALF + 0x1000));
		assert_int_equal(run_get(&r, EXIT_GPR(0)), 0);
		run_put(&r, RUN_FLAGS, REC_ENTRY_EMUL_MMIO);
		run_put(&r, RUN_GPR(0), t[i].data);
		rec_go(&r, 0);
		assert_int_equal(rec_word(r.rec[0], "gpr", 3), t[i].want);
		assert_int_equal(rec_word(r.rec[0], "pc", 0), pc + 4);
		sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
		run_put(&r, RUN_FLAGS, 0);
	}
}

static void inject_sea(void **state)
{
	struct realm r;
	uint64_t pc, far = 0xffff000012345008UL;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	pc = rec_word(r.rec[0], "pc", 0);
	assert_false(dabt(&r, ISV | SAS(2) | SRT(3) | WNR | TRANSLATION, HALF + 0x1008));
	run_put(&r, RUN_FLAGS, REC_ENTRY_INJECT_SEA | REC_ENTRY_EMUL_MMIO);
	rec_go(&r, 0);
	assert_int_equal(rec_word(r.rec[0], "pc", 0), 0x200);
	assert_int_equal(rec_sysreg(r.rec[0], SYS_ELR_EL1), pc);
	assert_int_equal(rec_sysreg(r.rec[0], SYS_FAR_EL1), far);
	assert_int_equal(rec_sysreg(r.rec[0], SYS_ESR_EL1),
			 0x25UL << 26 | 1UL << 25 | ISV | SAS(2) | SRT(3) | WNR | 1UL << 9 | 0x10);
	/* not emulatable, but still a fault of the unprotected half */
	rec_poke(r.rec[0], "pstate", 0, 0);
	assert_false(dabt(&r, TRANSLATION, HALF + 0x1008));
	assert_int_equal(run_get(&r, EXIT_FAR), 0);
	run_put(&r, RUN_FLAGS, REC_ENTRY_EMUL_MMIO);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_FLAGS, REC_ENTRY_INJECT_SEA);
	rec_go(&r, 0);
	assert_int_equal(rec_word(r.rec[0], "pc", 0), 0x400);
	assert_int_equal(rec_sysreg(r.rec[0], SYS_ESR_EL1) >> 26, 0x24);
	/* no longer than that */
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
}

static void protected_faults(void **state)
{
	struct realm r;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x3000);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0, 0x3000).x1, 0x3000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	/* RAM without a page: the address, and nothing of the access */
	rec_poke(r.rec[0], "gpr", 5, 0x5ec3e7);
	assert_false(dabt(&r, ISV | SAS(2) | SRT(5) | WNR | TRANSLATION, 0x1008));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_ESR), 0x24UL << 26 | TRANSLATION);
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(0x1000));
	assert_int_equal(run_get(&r, EXIT_FAR), 0);
	assert_int_equal(run_get(&r, EXIT_GPR(0)), 0);
	/* the host cannot pass it off as a device */
	run_put(&r, RUN_FLAGS, REC_ENTRY_EMUL_MMIO);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_FLAGS, REC_ENTRY_INJECT_SEA);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_FLAGS, 0);
	/* EMPTY: an external abort inside */
	rec_go(&r, 0);
	assert_true(dabt(&r, ISV | TRANSLATION, 0x8000));
	assert_int_equal(rec_sysreg(r.rec[0], SYS_ESR_EL1) & 0x3f, 0x10);
	assert_true(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x20, TRANSLATION), 0, HPFAR(0x8000)));
	assert_int_equal(rec_sysreg(r.rec[0], SYS_ESR_EL1) >> 26, 0x21);
	/* beyond the address space */
	assert_true(dabt(&r, ISV | TRANSLATION, 2 * HALF));
	assert_true(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x20, TRANSLATION), 0, HPFAR(2 * HALF)));
	/* a page that is there: the fault was of the moment */
	assert_true(dabt(&r, ISV | TRANSLATION, 0x3000));
	/* fetches: RAM to the host, unprotected never */
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x20, TRANSLATION), 0x1234, HPFAR(0x1000)));
	assert_int_equal(run_get(&r, EXIT_ESR), 0x20UL << 26 | TRANSLATION);
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(0x1000));
	rec_go(&r, 0);
	assert_true(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x20, TRANSLATION), 0x1234, HPFAR(HALF)));
	/* a fetch that fails otherwise */
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x20, 0xf), 0x1234, HPFAR(0x1000)));
	assert_int_equal(run_get(&r, EXIT_ESR), 0);
	/* destroyed: the host hears of it, and cannot heal it */
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0x3000);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0x3000);
	rec_go(&r, 0);
	assert_false(dabt(&r, ISV | TRANSLATION, 0x3000));
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(0x3000));
	realm_teardown(&r);
}

/* A mapped unprotected page: races go on, permissions are the host's to see. */
static void unprotected_faults(void **state)
{
	struct realm r;
	uint64_t pa = page();

	(void)state;
	realm_simple(&r);
	realm_tables(&r, HALF);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, pa | 0x58); /* read only */
	rec_go(&r, 0);
	assert_true(dabt(&r, ISV | TRANSLATION, HALF));
	assert_false(dabt(&r, ISV | WNR | 0xf, HALF));
	assert_int_equal(run_get(&r, EXIT_ESR) & 0x3f, 0xf);
	/* AArch32 cannot be emulated */
	rec_go(&r, 0);
	rec_poke(r.rec[0], "pstate", 0, 0x10);
	assert_false(dabt(&r, ISV | TRANSLATION, HALF + 0x1000));
	assert_int_equal(run_get(&r, EXIT_ESR), 0x24UL << 26 | TRANSLATION);
	run_put(&r, RUN_FLAGS, REC_ENTRY_EMUL_MMIO);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
}

static void external_aborts(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	rec_poke(r.rec[0], "pc", 0, 0x4000);
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x24, 0x10), 0x99, HPFAR(0x1000)));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_ESR), 0x24UL << 26 | 0x10);
	assert_int_equal(run_get(&r, EXIT_HPFAR), 0);
	assert_int_equal(rec_word(r.rec[0], "pc", 0), 0x200);
	rec_go(&r, 0);
	rec_poke(r.rec[0], "pc", 0, 0x4000);
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x24, 3UL << 11 | 0x15), 0x99, HPFAR(0x1000)));
	assert_int_equal(rec_word(r.rec[0], "pc", 0), 0x4000); /* restartable */
	/* uncontainable is no reason to stop the machine */
	rec_go(&r, 0);
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x20, 2UL << 11 | 0x10), 0x99, HPFAR(0x1000)));
	assert_int_equal(rec_word(r.rec[0], "pc", 0), 0x200);
}

static void serrors(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	assert_false(sim_trap(r.rec[0], TRAP_SERROR, ESR(0x2f, 2UL << 10 | 0x11), 0, 0));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SERROR);
	assert_int_equal(run_get(&r, EXIT_ESR), 2UL << 10 | 0x11);
	assert_int_equal(rec_word(r.rec[0], "vse", 0), 0);
	for (unsigned aet = 0; aet < 8; aet++) {
		if (aet == 2 || aet == 6)
			continue;
		rec_go(&r, 0);
		assert_false(sim_trap(r.rec[0], TRAP_SERROR, ESR(0x2f, (uint64_t)aet << 10 | 0x11), 0, 0));
		assert_int_equal(rec_word(r.rec[0], "vse", 0), 1);
		rec_poke(r.rec[0], "vse", 0, 0);
	}
	rec_go(&r, 0);
	assert_false(sim_trap(r.rec[0], TRAP_SERROR, ESR(0x2f, 1UL << 24 | 6UL << 10 | 0x11), 0, 0));
	assert_int_equal(rec_word(r.rec[0], "vse", 0), 1);
	assert_int_equal(rec_word(r.rec[0], "el1", SYS_VSESR_EL2), 1UL << 24 | 6UL << 10 | 0x11);
}

static void wait_instructions(void **state)
{
	struct realm r;
	uint64_t pc;

	(void)state;
	realm_simple(&r);
	run_put(&r, RUN_FLAGS, REC_ENTRY_TRAP_WFI);
	rec_go(&r, 0);
	assert_int_equal(rec_word(r.rec[0], "trap_wfi", 0), 1);
	assert_int_equal(rec_word(r.rec[0], "trap_wfe", 0), 0);
	pc = rec_word(r.rec[0], "pc", 0);
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x01, 0x1e00000), 0, 0));
	assert_int_equal(run_get(&r, EXIT_ESR), 1UL << 26);
	assert_int_equal(rec_word(r.rec[0], "pc", 0), pc + 4);
	run_put(&r, RUN_FLAGS, REC_ENTRY_TRAP_WFE);
	rec_go(&r, 0);
	assert_int_equal(rec_word(r.rec[0], "trap_wfi", 0), 0);
	assert_int_equal(rec_word(r.rec[0], "trap_wfe", 0), 1);
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x01, 1), 0, 0));
	assert_int_equal(run_get(&r, EXIT_ESR), 1UL << 26 | 1);
}

#define SYSREG(op0, op1, crn, crm, op2)                                                        \
	((uint64_t)(op0) << 20 | (uint64_t)(op2) << 17 | (uint64_t)(op1) << 14 | (uint64_t)(crn) << 10 | (uint64_t)(crm) << 1)

static void system_registers(void **state)
{
	static const uint64_t host[] = { SYSREG(3, 0, 12, 11, 5), SYSREG(3, 0, 12, 11, 6), SYSREG(3, 0, 12, 11, 7),
					 SYSREG(3, 0, 12, 11, 1) };
	struct realm r;
	uint64_t pc;

	(void)state;
	realm_simple(&r);
	for (unsigned i = 0; i < 4; i++) {
		rec_go(&r, 0);
		pc = rec_word(r.rec[0], "pc", 0);
		rec_poke(r.rec[0], "gpr", 7, 0x1234567);
		assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x18, host[i] | 7 << 5), 0, 0));
		assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
		assert_int_equal(run_get(&r, EXIT_ESR), ESR(0x18, host[i] | 7 << 5));
		assert_int_equal(run_get(&r, EXIT_GPR(0)), 0x1234567);
		assert_int_equal(rec_word(r.rec[0], "pc", 0), pc + 4);
	}
	rec_go(&r, 0);
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x18, host[0] | 31 << 5), 0, 0));
	assert_int_equal(run_get(&r, EXIT_GPR(0)), 0);
	/* any other: reads as zero, ignores writes */
	rec_go(&r, 0);
	rec_poke(r.rec[0], "gpr", 7, 0x1234567);
	assert_true(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x18, SYSREG(3, 3, 9, 12, 0) | 7 << 5), 0, 0));
	assert_int_equal(rec_word(r.rec[0], "gpr", 7), 0x1234567);
	assert_true(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x18, SYSREG(3, 3, 9, 12, 0) | 7 << 5 | 1), 0, 0));
	assert_int_equal(rec_word(r.rec[0], "gpr", 7), 0);
	assert_true(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x18, SYSREG(3, 3, 9, 12, 0) | 31 << 5 | 1), 0, 0));
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void other_classes(void **state)
{
	static const uint64_t undef[] = { 0x03, 0x04, 0x05, 0x06, 0x08, 0x0c, 0x16, 0x19, 0x1d };
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	for (unsigned i = 0; i < sizeof(undef) / sizeof(*undef); i++)
		assert_true(sim_trap(r.rec[0], TRAP_SYNC, ESR(undef[i], 0), 0, 0));
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x3c, 0x1234), 0x77, 0x88));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_ESR), 0);
	assert_int_equal(run_get(&r, EXIT_FAR), 0);
	assert_int_equal(run_get(&r, EXIT_HPFAR), 0);
}

/* Eight RECs on four CPUs at a time. */
static void many_recs(void **state)
{
	struct realm r;
	uint64_t run[4];

	(void)state;
	realm_make(&r);
	for (unsigned i = 0; i < 8; i++)
		rec_make(&r, true);
	realm_run(&r);
	for (unsigned cpu = 0; cpu < 4; cpu++)
		run[cpu] = page();
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned cpu = 0; cpu < 4; cpu++) {
			sim_set_cpu(cpu);
			for (unsigned i = 0; i < 0x800; i += 8)
				sim_write(run[cpu], i, 0);
			assert_int_equal(CALL(RMI_REC_ENTER, r.rec[(round + cpu) & 7], run[cpu]).rec, r.rec[(round + cpu) & 7]);
		}
		sim_check();
		for (unsigned cpu = 0; cpu < 4; cpu++) {
			sim_set_cpu(cpu);
			assert_false(sim_trap(r.rec[(round + cpu) & 7], TRAP_IRQ, 0, 0, 0));
			assert_int_equal(sim_read(run[cpu], EXIT_REASON), REC_EXIT_IRQ);
		}
	}
	sim_set_cpu(0);
	realm_teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_run),	 TEST(enter_errors),	 TEST(enter_order_of_realm_states),
		TEST(mmio_write),	 TEST(mmio_read),	 TEST(inject_sea),
		TEST(protected_faults),	 TEST(unprotected_faults), TEST(external_aborts),
		TEST(serrors),		 TEST(wait_instructions), TEST(system_registers),
		TEST(other_classes),	 TEST(many_recs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
