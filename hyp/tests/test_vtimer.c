/* SPDX-License-Identifier: Apache-2.0 */
/* The realm's timers. */
#include "util.h"

static void set(struct realm *r, uint64_t ctl, uint64_t cval)
{
	rec_set_sysreg(r->rec[0], SYS_CNTV_CTL_EL0, ctl);
	rec_set_sysreg(r->rec[0], SYS_CNTV_CVAL_EL0, cval);
}

static void reported(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	set(&r, 1, sim_now + 500);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	assert_int_equal(run_get(&r, EXIT_CNTV_CTL), 1);
	assert_int_equal(run_get(&r, EXIT_CNTV_CVAL), sim_now + 500);
	assert_int_equal(run_get(&r, EXIT_CNTP_CTL), 0);
}

static void line_rises(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	assert_false(sim_timer_masked[0]);
	set(&r, 1, sim_now + 500);
	/* an exit that would not leave, before and after its time */
	assert_true(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x19, 0), 0, 0));
	sim_now += 500;
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x19, 0), 0, 0));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_IRQ);
	assert_int_equal(run_get(&r, EXIT_CNTV_CTL), 5);
	/* the host knows: the guest runs, and its interrupt is masked at the CPU */
	rec_go(&r, 0);
	assert_true(sim_timer_masked[0]);
	assert_true(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x19, 0), 0, 0));
	/* the guest masks it: the line falls, the host is told */
	set(&r, 3, sim_now);
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x19, 0), 0, 0));
	assert_int_equal(run_get(&r, EXIT_CNTV_CTL), 7);
	rec_go(&r, 0);
	assert_false(sim_timer_masked[0]);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

/* Its time comes while the REC does not run: told before it runs again. */
static void line_rises_outside(void **state)
{
	struct realm r;
	struct smc_result s;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	set(&r, 1, sim_now + 500);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	sim_now += 1000;
	s = CALL(RMI_REC_ENTER, r.rec[0], r.run);
	assert_int_equal(s.x0, RMI_SUCCESS);
	assert_int_equal(s.rec, 0);
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_IRQ);
	assert_int_equal(run_get(&r, EXIT_CNTV_CTL), 5);
	assert_int_equal(rec_word(r.rec[0], "running", 0), 0);
	sim_check();
	rec_go(&r, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

#define CNTP(op2, rt, read) ESR(0x18, 3UL << 20 | (uint64_t)(op2) << 17 | 3UL << 14 | 14UL << 10 | (rt) << 5 | 2UL << 1 | (read))

static void physical_write(struct realm *r, unsigned op2, uint64_t value)
{
	rec_go(r, 0);
	rec_poke(r->rec[0], "gpr", 4, value);
	assert_false(sim_trap(r->rec[0], TRAP_SYNC, CNTP(op2, 4UL, 0), 0, 0));
	assert_int_equal(run_get(r, EXIT_REASON), REC_EXIT_IRQ);
}

static uint64_t physical_read(struct realm *r, unsigned op2)
{
	bool again = sim_trap(r->rec[0], TRAP_SYNC, CNTP(op2, 4UL, 1), 0, 0);

	assert_true(again);
	return rec_word(r->rec[0], "gpr", 4);
}

static void physical_timer(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	physical_write(&r, 2, sim_now + 300);
	physical_write(&r, 1, 0xff);
	assert_int_equal(run_get(&r, EXIT_CNTP_CTL), 3);
	assert_int_equal(run_get(&r, EXIT_CNTP_CVAL), sim_now + 300);
	physical_write(&r, 1, 1);
	assert_int_equal(run_get(&r, EXIT_CNTP_CTL), 1);
	rec_go(&r, 0);
	assert_int_equal(physical_read(&r, 1), 1);
	assert_int_equal(physical_read(&r, 2), sim_now + 300);
	assert_int_equal(physical_read(&r, 0), 300);
	sim_now += 300;
	assert_false(sim_trap(r.rec[0], TRAP_SYNC, ESR(0x19, 0), 0, 0));
	assert_int_equal(run_get(&r, EXIT_CNTP_CTL), 5);
	rec_go(&r, 0);
	assert_int_equal(physical_read(&r, 1), 5);
	sim_now += 1;
	assert_int_equal(physical_read(&r, 0), 0xffffffff);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	/* a timer value is signed */
	physical_write(&r, 0, 0xfffffff0);
	assert_int_equal(run_get(&r, EXIT_CNTP_CVAL), sim_now - 16);
	physical_write(&r, 0, 0xabc00000010UL);
	assert_int_equal(run_get(&r, EXIT_CNTP_CVAL), sim_now + 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(reported), TEST(line_rises), TEST(line_rises_outside), TEST(physical_timer) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
