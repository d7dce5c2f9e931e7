/* SPDX-License-Identifier: Apache-2.0 */
/* List registers and ICH_HCR that the host gives and gets. */
#include "util.h"

#define PENDING (1UL << 62)
#define LR(intid) (PENDING | 1UL << 60 | 0xa0UL << 48 | (intid))

static void lr_is(struct realm *r, unsigned n, uint64_t lr, bool ok)
{
	run_clear(r);
	run_put(r, RUN_LR(n), lr);
	if (ok) {
		rec_go(r, 0);
		assert_int_equal(rec_word(r->rec[0], "ich_lr", n), lr);
		sim_trap(r->rec[0], TRAP_IRQ, 0, 0, 0);
		assert_int_equal(run_get(r, EXIT_LR(n)), lr);
	} else {
		EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r->rec[0], r->run);
	}
}

static void list_registers(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	lr_is(&r, 0, LR(27), true);
	lr_is(&r, 3, LR(1019), true);
	lr_is(&r, 0, LR(1020), false);
	lr_is(&r, 0, LR(8191), false);
	lr_is(&r, 0, LR(8192), true);
	lr_is(&r, 0, LR(0xffffff), true);
	lr_is(&r, 0, LR(0x1000000), false);
	lr_is(&r, 0, LR(1056), false); /* extended ranges are not on offer */
	lr_is(&r, 0, LR(40) | 1UL << 61, false); /* a physical interrupt */
	lr_is(&r, 0, LR(40) | 1UL << 41, true);	 /* EOI maintenance */
	for (unsigned bit = 32; bit < 45; bit++)
		lr_is(&r, 0, LR(40) | 1UL << bit, bit == 41);
	lr_is(&r, 0, LR(40) | 1UL << 50, false); /* five bits of priority */
	lr_is(&r, 0, LR(40) | 1UL << 51, true);
	/* an empty one may hold anything, one that does not exist too */
	lr_is(&r, 1, 0x3fffffffffffffffUL, true);
	run_clear(&r);
	run_put(&r, RUN_LR(4), LR(40) | 1UL << 61);
	rec_go(&r, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	assert_int_equal(run_get(&r, EXIT_LR(4)), 0);
	/* the same interrupt twice */
	run_clear(&r);
	run_put(&r, RUN_LR(0), LR(40));
	run_put(&r, RUN_LR(3), LR(40) | 1UL << 63);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_LR(3), 40);
	rec_go(&r, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	/* 16 bits of interrupt number; sixteen registers, eight bits of priority */
	sim_vtr = 0xe000000f;
	lr_is(&r, 15, LR(0xffff) | 1UL << 48, true);
	lr_is(&r, 15, LR(0x10000), false);
	sim_vtr = 0x6000001f; /* 4 bits; more registers than the run page has */
	lr_is(&r, 15, LR(40) | 1UL << 51, false);
	sim_vtr = 0xa0000003;
	lr_is(&r, 0, LR(40) | 3UL << 48, false);
	lr_is(&r, 0, LR(40) | 1UL << 50, true);
	sim_vtr = 0xc0000003;
	lr_is(&r, 0, LR(40) | 1UL << 48, false);
}

static void control(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool ok = (0x40feUL >> bit & 1) != 0;

		run_clear(&r);
		run_put(&r, RUN_HCR, 1UL << bit);
		if (!ok) {
			EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
			continue;
		}
		rec_go(&r, 0);
		assert_int_equal(rec_word(r.rec[0], "ich_hcr", 0), 1UL << bit | 1);
		sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
		assert_int_equal(run_get(&r, EXIT_HCR), 1UL << bit);
	}
	/* EOIcount is kept and shown; other state too */
	run_clear(&r);
	rec_go(&r, 0);
	rec_poke(r.rec[0], "ich_hcr", 0, 1 | 3UL << 27);
	rec_poke(r.rec[0], "ich_vmcr", 0, 0xff00000b);
	rec_poke(r.rec[0], "ich_misr", 0, 0x5);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	assert_int_equal(run_get(&r, EXIT_HCR), 3UL << 27);
	assert_int_equal(run_get(&r, EXIT_VMCR), 0xff00000b);
	assert_int_equal(run_get(&r, EXIT_MISR), 5);
	rec_go(&r, 0);
	assert_int_equal(rec_word(r.rec[0], "ich_hcr", 0), 1 | 3UL << 27);
	assert_int_equal(rec_word(r.rec[0], "ich_vmcr", 0), 0xff00000b);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(list_registers), TEST(control) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
