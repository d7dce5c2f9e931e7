/* SPDX-License-Identifier: Apache-2.0 */
/* REC_CREATE, REC_DESTROY, ID registers, exceptions into the guest. */
#include "util.h"

static uint64_t params_new(uint64_t mpidr)
{
	uint64_t params = page();

	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(params, i, 0);
	sim_write(params, REC_PARAMS_FLAGS, 1);
	sim_write(params, REC_PARAMS_MPIDR, mpidr);
	return params;
}

static void create(void **state)
{
	struct realm r;
	uint64_t params, rec;

	(void)state;
	realm_make(&r);
	rec = dpage();
	params = params_new(0);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_CREATE, r.rd, rec, params + 8);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_CREATE, r.rd, rec, rec);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_CREATE, r.rd, page(), params);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_CREATE, r.rd, r.rd, params);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_CREATE, r.base, rec, params);
	sim_write(params, REC_PARAMS_NUM_AUX, 1);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_CREATE, r.rd, rec, params);
	sim_write(params, REC_PARAMS_NUM_AUX, 0);
	for (unsigned bit = 0; bit < 64; bit++) {
		sim_write(params, REC_PARAMS_MPIDR, 1UL << bit);
		EXPECT(RMI_ERROR_INPUT, RMI_REC_CREATE, r.rd, rec, params);
	}
	assert_int_equal(sim_state(rec), GS_DELEGATED);
	rec = rec_make(&r, true);
	assert_int_equal(rec_word(rec, "pc", 0), 0x1000);
	assert_int_equal(rec_word(rec, "gpr", 7), 107);
	assert_int_equal(rec_word(rec, "gpr", 8), 0);
	assert_int_equal(rec_word(rec, "pstate", 0), 0x3c5);
	assert_int_equal(rec_word(rec, "runnable", 0), 1);
	assert_int_equal(rec_word(rec, "el1", SYS_VMPIDR_EL2), 1UL << 31);
	assert_int_equal(rec_word(rec, "s2sz", 0), 33);
	for (unsigned i = 1; i < 18; i++) {
		params = params_new((i & 15) | (i >> 4) << 8);
		EXPECT(RMI_SUCCESS, RMI_REC_CREATE, r.rd, rec = dpage(), params);
	}
	assert_int_equal(rec_word(rec, "el1", SYS_VMPIDR_EL2), 1UL << 31 | 0x101);
	assert_int_equal(rec_word(rec, "index", 0), 17);
	/* no more once it runs */
	realm_run(&r);
	EXPECT(REALM_ERROR(0), RMI_REC_CREATE, r.rd, dpage(), params_new(2 | 1 << 8));
	EXPECT(REALM_ERROR(0), RMI_REC_CREATE, r.rd, dpage(), params_new(ALL_ONES));
}

static void destroy(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_DESTROY, r.rd);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_DESTROY, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_DESTROY, r.rec[0] + 8);
	rec_go(&r, 0);
	sim_set_cpu(1);
	EXPECT(RMI_ERROR_REC, RMI_REC_DESTROY, r.rec[0]);
	sim_set_cpu(0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	EXPECT(RMI_SUCCESS, RMI_REC_DESTROY, r.rec[0]);
	assert_true(sim_is_zero(r.rec[0]));
	EXPECT(RMI_ERROR_INPUT, RMI_REC_DESTROY, r.rec[0]);
	EXPECT(RMI_ERROR_INPUT, RMI_REC_ENTER, r.rec[0], r.run);
}

/* MRS of an ID register into x9, as the trap tells it. */
static uint64_t read_id(struct realm *r, uint64_t crm, uint64_t op2)
{
	uint64_t pc = rec_word(r->rec[0], "pc", 0);

	rec_poke(r->rec[0], "gpr", 9, 0x123);
	assert_true(sim_trap(r->rec[0], TRAP_SYNC, ESR(0x18, 3UL << 20 | op2 << 17 | 9 << 5 | crm << 1 | 1), 0, 0));
	assert_int_equal(rec_word(r->rec[0], "pc", 0), pc + 4);
	return rec_word(r->rec[0], "gpr", 9);
}

static void id_registers(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	for (unsigned crm = 1; crm < 8; crm++)
		for (unsigned op2 = 0; op2 < 8; op2++)
			sim_id[crm][op2] = ALL_ONES;
	sim_id[7][0] = 0x1111111111221126UL; /* 52 bits, LPA2, ECV, FGT */
	sim_id[7][1] = 0xf000f0f0f0f1f1f4UL;
	sim_id[6][1] = 0x0000000001200000UL;
	rec_go(&r, 0);
	assert_int_equal(read_id(&r, 4, 0), 0xf10f00000fff0011UL);
	assert_int_equal(read_id(&r, 4, 1), 0xff);
	assert_int_equal(read_id(&r, 5, 0), 0x101006);
	assert_int_equal(read_id(&r, 6, 0), ~0x0f000000UL);
	assert_int_equal(read_id(&r, 6, 1), 0x01200000); /* pointer authentication as it is */
	assert_int_equal(read_id(&r, 7, 0), 0x01121125UL);
	assert_int_equal(read_id(&r, 7, 1), 0xf000f0f000f0f002UL);
	assert_int_equal(read_id(&r, 7, 2), 0xf0ff000ff0f00fffUL);
	/* SVE, SME, memory tagging and the rest are not there */
	assert_int_equal(read_id(&r, 4, 4), 0);
	assert_int_equal(read_id(&r, 4, 5), 0);
	assert_int_equal(read_id(&r, 4, 2), 0);
	assert_int_equal(read_id(&r, 5, 1), 0);
	assert_int_equal(read_id(&r, 6, 2), 0);
	assert_int_equal(read_id(&r, 6, 3), 0);
	assert_int_equal(read_id(&r, 7, 3), 0);
	assert_int_equal(read_id(&r, 7, 4), 0);
	for (unsigned crm = 1; crm < 4; crm++)
		for (unsigned op2 = 0; op2 < 8; op2++)
			assert_int_equal(read_id(&r, crm, op2), 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

/* Cause an UNDEF from a mode and look where it went. */
static void undef_from(struct realm *r, uint64_t pstate, uint64_t vector)
{
	uint64_t rec = r->rec[0];

	rec_poke(rec, "pc", 0, 0x8000);
	rec_poke(rec, "pstate", 0, pstate);
	rec_set_sysreg(rec, SYS_VBAR_EL1, 0x10000);
	assert_true(sim_trap(rec, TRAP_SYNC, ESR(0x19, 0), 0, 0));
	assert_int_equal(rec_word(rec, "pc", 0), 0x10000 + vector);
	assert_int_equal(rec_sysreg(rec, SYS_ELR_EL1), 0x8000);
	assert_int_equal(rec_sysreg(rec, SYS_SPSR_EL1), pstate);
	assert_int_equal(rec_sysreg(rec, SYS_ESR_EL1), 1UL << 25);
}

static void exceptions(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	undef_from(&r, 0x3c4, 0);
	undef_from(&r, 0x3c5, 0x200);
	undef_from(&r, 0x80000000, 0x400);
	/* flags survive, interrupts off, EL1h; SPAN is set at reset, so PAN stays as it was */
	assert_int_equal(rec_word(r.rec[0], "pstate", 0), 0x800003c5);
	undef_from(&r, 0x600001d0, 0x600);
	rec_set_sysreg(r.rec[0], SYS_SCTLR_EL1, 1UL << 44);
	undef_from(&r, 0x20000c00, 0x400);
	assert_int_equal(rec_word(r.rec[0], "pstate", 0), 0x200003c5 | 1UL << 22 | 1UL << 12);
	/* HVC: undefined at the instruction itself */
	rec_poke(r.rec[0], "pc", 0, 0x8004);
	assert_true(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x16, 0), 0, 0));
	assert_int_equal(rec_sysreg(r.rec[0], SYS_ELR_EL1), 0x8000);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

/* While REC_ENTER waits for the realm, another CPU takes REC and realm away. */
static struct realm victim, successor;
static unsigned step;

static void take_away(void)
{
	sim_set_cpu(1);
	EXPECT(RMI_SUCCESS, RMI_REC_DESTROY, victim.rec[0]);
	if (step >= 1) {
		/* its granule becomes a REC of another realm */
		uint64_t params = params_new(0);

		EXPECT(RMI_SUCCESS, RMI_REC_CREATE, successor.rd, victim.rec[0], params);
	}
	if (step >= 2)
		EXPECT(RMI_SUCCESS, RMI_REALM_DESTROY, victim.rd);
}

static void lost_race(void **state)
{
	(void)state;
	for (step = 0; step < 3; step++) {
		sim_reset();
		machine(NULL);
		realm_make(&victim);
		realm_make(&successor);
		rec_make(&victim, true);
		realm_run(&victim);
		sim_while_waiting = take_away;
		EXPECT(RMI_ERROR_INPUT, step == 1 ? RMI_REC_DESTROY : RMI_REC_ENTER, victim.rec[0], victim.run);
		sim_while_waiting = NULL;
		sim_check();
	}
}

/* Two CPUs delegate the same page, then give it back. */
static uint64_t contested;

static void same_page(void)
{
	sim_set_cpu(1);
	EXPECT(RMI_ERROR_INPUT, step == 0 ? RMI_GRANULE_DELEGATE : RMI_GRANULE_UNDELEGATE, contested);
	EXPECT(RMI_ERROR_INPUT, RMI_DATA_CREATE_UNKNOWN, victim.rd, contested, 0);
}

static void contested_page(void **state)
{
	(void)state;
	realm_make(&victim);
	realm_tables(&victim, 0);
	contested = page();
	sim_while_waiting = same_page;
	for (step = 0; step < 2; step++)
		EXPECT(RMI_SUCCESS, step == 0 ? RMI_GRANULE_DELEGATE : RMI_GRANULE_UNDELEGATE, contested);
	sim_while_waiting = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(create), TEST(destroy), TEST(id_registers), TEST(exceptions),
					     TEST(lost_race), TEST(contested_page) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
