/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated machine finds what it is there to find: each contract, broken on purpose. */
#include "util.h"

#define BROKEN(action)                                                                         \
	do {                                                                                   \
		jmp_buf caught;                                                                \
		volatile bool found = false;                                                   \
		sim_reset();                                                                   \
		sim_catch = &caught;                                                           \
		if (setjmp(caught) == 0) {                                                     \
			action;                                                                \
		} else {                                                                       \
			found = true;                                                          \
		}                                                                              \
		sim_catch = NULL;                                                              \
		if (!found)                                                                    \
			fail_msg("not found: %s", #action);                                    \
	} while (0)

#define PA SIM_G(600)

static void locks(void **state)
{
	(void)state;
	BROKEN(granule_release(PA));
	BROKEN({
		granule_claim(PA, GS_NS);
		granule_claim(PA + 4096, GS_NS);
		granule_release(PA);
		granule_claim(PA + 8192, GS_NS);
	});
	BROKEN({
		host_lock();
		host_lock();
	});
	BROKEN({
		granule_claim(PA, GS_NS);
		realm_lock(PA + 4096);
	});
	BROKEN(granule_set(PA, GS_DELEGATED, 0));
	BROKEN(granule_refs(PA));
	BROKEN(ns_put(PA));
	BROKEN(pt_read(host_table(2, PA), 0));
	BROKEN(rd_get_state(PA));
	BROKEN(rec_get_pc(PA));
	BROKEN(host_set_holes(PA, 1));
	BROKEN(params_load(PA));
}

/* What GRANULE_DELEGATE does, with one step left out. */
static void delegate_without(unsigned step)
{
	granule_claim(PA, GS_NS);
	host_lock();
	pt_write(host_table(2, PA), 1, 0);
	if (step != 0)
		tlbi_host(PA);
	pt_write(host_table(3, PA), 88, 0);
	pt_write(host_table(2, PA), 1, host_table(3, PA) | 3);
	if (step != 1)
		smmu_tlbi(PA);
	host_set_holes(PA, 1);
	host_unlock();
	if (step != 2)
		zero_granule(PA);
	granule_set(PA, GS_DELEGATED, 0);
	counter_add(KCORE_CTR_DELEGATED, step != 3);
	granule_release(PA);
	sim_check();
}

static void hand_over(void **state)
{
	(void)state;
	BROKEN(delegate_without(0));
	BROKEN(delegate_without(1));
	BROKEN(delegate_without(2));
	BROKEN(delegate_without(3));
	sim_reset();
	delegate_without(4);
}

static void break_before_make(void **state)
{
	(void)state;
	BROKEN({
		host_lock();
		pt_write(host_table(2, PA), 1, host_table(3, PA) | 3);
	});
	BROKEN({
		/* a table over a block whose TLB entries are still there */
		host_lock();
		pt_write(host_table(2, PA), 1, 0);
		pt_write(host_table(2, PA), 1, host_table(3, PA) | 3);
	});
}

static void invariants(void **state)
{
	(void)state;
	BROKEN({
		host_lock();
		pt_write(host_table(3, PA), 88, 0);
		host_unlock();
		sim_check();
	});
	BROKEN({
		ns_get(PA);
		sim_check();
	});
	BROKEN({
		granule_claim(PA, GS_NS);
		sim_check();
	});
	BROKEN({
		vmid_claim(3);
		sim_check();
	});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locks), cmocka_unit_test(hand_over), cmocka_unit_test(break_before_make),
		cmocka_unit_test(invariants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
