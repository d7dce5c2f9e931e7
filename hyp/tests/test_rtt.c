/* SPDX-License-Identifier: Apache-2.0 */
/* RTT_CREATE, DESTROY, FOLD, MAP_UNPROTECTED, UNMAP_UNPROTECTED, READ_ENTRY. */
#include "util.h"

#define GB (1UL << 30)
#define MB2 (1UL << 21)
#define NS_NORMAL 0xd8UL /* write-back, read and write */

static void entry(uint64_t rd, uint64_t ipa, uint64_t level, uint64_t at, uint64_t state, uint64_t desc, uint64_t ripas)
{
	struct smc_result e = CALL(RMI_RTT_READ_ENTRY, rd, ipa, level);

	assert_int_equal(e.x0, RMI_SUCCESS);
	assert_int_equal(e.x1, at);
	assert_int_equal(e.x2, state);
	assert_int_equal(e.x3, desc);
	assert_int_equal(e.x4, ripas);
}

static void create(void **state)
{
	struct realm r;
	uint64_t a, b;

	(void)state;
	realm_make(&r);
	a = dpage();
	b = dpage();
	/* errors in order: addresses, level, alignment, walk */
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.base, a, 0, 2);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.rd, page(), 0, 2);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.rd, r.rd, 0, 2);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.rd, a + 1, 0, 2);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.rd, a, 0, 1);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.rd, a, 0, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.rd, a, 0, 4);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.rd, a, 0, ALL_ONES);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.rd, a, MB2, 2);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.rd, a, 4096, 3);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_CREATE, r.rd, a, 2 * HALF, 2);
	EXPECT(LEVEL_ERROR(1), RMI_RTT_CREATE, r.rd, a, 0, 3);
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, a, 0, 2);
	EXPECT(LEVEL_ERROR(1), RMI_RTT_CREATE, r.rd, b, 0, 2);
	entry(r.rd, 0, 1, 1, RMI_TABLE, a, 0);
	entry(r.rd, 0, 2, 2, RMI_UNASSIGNED, 0, RMI_RIPAS_EMPTY);
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, b, 0, 3);
	entry(r.rd, 0, 3, 3, RMI_UNASSIGNED, 0, RMI_RIPAS_EMPTY);
	assert_int_equal(sim_refs(r.base), 1);
	assert_int_equal(sim_refs(a), 1);
	assert_int_equal(sim_refs(b), 0);
	/* a table in the other half */
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, dpage(), HALF, 2);
	entry(r.rd, HALF, 3, 2, RMI_UNASSIGNED, 0, 0);
	realm_teardown(&r);
}

static void read_entry(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_READ_ENTRY, r.base, 0, 1);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_READ_ENTRY, r.rd, 0, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_READ_ENTRY, r.rd, 0, 4);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_READ_ENTRY, r.rd, 0, ALL_ONES);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_READ_ENTRY, r.rd, 4096, 2);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_READ_ENTRY, r.rd, 2 * HALF, 1);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_READ_ENTRY, r.rd, ALL_ONES << 12, 3);
	entry(r.rd, 4096, 3, 1, RMI_UNASSIGNED, 0, RMI_RIPAS_EMPTY);
	/* x4 is an argument that others keep */
	assert_int_equal(CALL(RMI_RTT_READ_ENTRY, 1, 2, 3, 77).x4, 0);
	assert_int_equal(CALL(RMI_REALM_DESTROY, 1, 2, 3, 77).x4, 77);
}

static void destroy(void **state)
{
	struct realm r;
	struct smc_result d;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, MB2 + 0x3000);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_DESTROY, r.base, 0, 3);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_DESTROY, r.rd, 0, 1);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_DESTROY, r.rd, 0, 4);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_DESTROY, r.rd, 4096, 3);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_DESTROY, r.rd, 2 * HALF, 3);
	/* no table there: the next live entry is at 2 MiB */
	d = CALL(RMI_RTT_DESTROY, r.rd, 0, 3);
	assert_int_equal(d.x0, LEVEL_ERROR(2));
	assert_int_equal(d.x1, 0);
	assert_int_equal(d.x2, MB2);
	/* nothing after: the end of the table */
	d = CALL(RMI_RTT_DESTROY, r.rd, 4 * MB2, 3);
	assert_int_equal(d.x0, LEVEL_ERROR(2));
	assert_int_equal(d.x2, GB);
	d = CALL(RMI_RTT_DESTROY, r.rd, GB, 3);
	assert_int_equal(d.x0, LEVEL_ERROR(1));
	assert_int_equal(d.x2, 512 * GB);
	/* live entries */
	d = CALL(RMI_RTT_DESTROY, r.rd, MB2, 3);
	assert_int_equal(d.x0, LEVEL_ERROR(3));
	assert_int_equal(d.x2, MB2);
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, MB2 + 0x3000);
	d = CALL(RMI_RTT_DESTROY, r.rd, MB2, 3);
	assert_int_equal(d.x0, RMI_SUCCESS);
	assert_int_equal(d.x2, GB);
	assert_true(sim_is_zero(d.x1));
	entry(r.rd, MB2, 2, 2, RMI_UNASSIGNED, 0, RMI_RIPAS_DESTROYED);
	(void)pa;
	realm_teardown(&r);
}

static void destroy_unprotected_drops_pages(void **state)
{
	struct realm r;
	uint64_t pa = page();

	(void)state;
	realm_make(&r);
	realm_tables(&r, HALF);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF + 4096, 3, pa | NS_NORMAL);
	assert_int_equal(sim_realm_page(r.rd, HALF + 4096), pa);
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, pa);
	EXPECT(RMI_SUCCESS, RMI_RTT_DESTROY, r.rd, HALF, 3);
	entry(r.rd, HALF, 2, 2, RMI_UNASSIGNED, 0, 0);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, pa);
}

static void map_unprotected(void **state)
{
	struct realm r;
	uint64_t pa = page();

	(void)state;
	realm_make(&r);
	/* errors in order */
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 0, pa | NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 1, NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 4, pa | NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.base, HALF, 3, pa | NS_NORMAL);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool hosts = (bit >= 2 && bit <= 4) || bit == 6 || bit == 7 || (bit >= 12 && bit <= 47);

		if (!hosts)
			EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, pa | NS_NORMAL | 1UL << bit);
	}
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, pa | 0xd0); /* reserved type */
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 2, page() | NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF + 1, 3, pa | NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, 2 * HALF, 3, pa | NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF - 4096, 3, pa | NS_NORMAL);
	EXPECT(LEVEL_ERROR(1), RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, pa | NS_NORMAL);
	realm_tables(&r, HALF);
	EXPECT(LEVEL_ERROR(2), RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 2, SIM_G(1024) | NS_NORMAL); /* a table is there */
	/* what is not the host's */
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, SIM_DRAM | NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, r.rd | NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, dpage() | NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, SIM_DEVICE | NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, SIM_G(SIM_HOLE) | NS_NORMAL);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, pa | NS_NORMAL);
	EXPECT(LEVEL_ERROR(3), RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, pa | NS_NORMAL);
	/* the same page twice is fine: it is the host's */
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF + 4096, 3, pa | 0x54);
	entry(r.rd, HALF, 3, 3, RMI_ASSIGNED, pa | NS_NORMAL, 0);
	entry(r.rd, HALF + 4096, 3, 3, RMI_ASSIGNED, pa | 0x54, 0);
	assert_int_equal(sim_refs(pa), 2);
	/* never executable */
	{
		uint64_t l2 = CALL(RMI_RTT_READ_ENTRY, r.rd, HALF, 1).x3, l3 = CALL(RMI_RTT_READ_ENTRY, r.rd, HALF, 2).x3;

		(void)l2;
		assert_int_equal(sim_read(l3, 0) >> 53 & 3, 2);
		assert_int_equal(sim_read(l3, 0) >> 2 & 15, 15);
		assert_int_equal(sim_read(l3, 8) >> 2 & 15, 5);
	}
	realm_teardown(&r);
	assert_int_equal(sim_refs(pa), 0);
}

static void unmap_unprotected(void **state)
{
	struct realm r;
	struct smc_result u;
	uint64_t pa = page();

	(void)state;
	realm_make(&r);
	realm_tables(&r, HALF);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF + 0x5000, 3, pa | NS_NORMAL);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF, 0);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF, 4);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_UNMAP_UNPROTECTED, r.base, HALF, 3);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF + 1, 3);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_UNMAP_UNPROTECTED, r.rd, 0, 3);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_UNMAP_UNPROTECTED, r.rd, 2 * HALF, 3);
	u = CALL(RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF, 1);
	assert_int_equal(u.x0, LEVEL_ERROR(1));
	assert_int_equal(u.x1, HALF); /* a table: go down */
	u = CALL(RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF, 3);
	assert_int_equal(u.x0, LEVEL_ERROR(3));
	assert_int_equal(u.x1, HALF + 0x5000);
	u = CALL(RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF + 0x5000, 3);
	assert_int_equal(u.x0, RMI_SUCCESS);
	assert_int_equal(u.x1, HALF + MB2);
	u = CALL(RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF + 0x5000, 3);
	assert_int_equal(u.x0, LEVEL_ERROR(3));
	assert_int_equal(sim_refs(pa), 0);
}

/* 2 MiB of the host's: as a block, as pages, folded and split. */
static void unprotected_block(void **state)
{
	struct realm r;
	uint64_t big = block(), rtt = dpage();
	struct smc_result u;

	(void)state;
	realm_make(&r);
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, dpage(), HALF, 2);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 2, big | NS_NORMAL);
	assert_int_equal(sim_realm_page(r.rd, HALF + 0x7000), big + 0x7000);
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, big + 0x7000);
	u = CALL(RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF, 3);
	assert_int_equal(u.x0, LEVEL_ERROR(2));
	assert_int_equal(u.x1, HALF);
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, rtt, HALF, 3);
	assert_int_equal(sim_refs(rtt), 0);
	entry(r.rd, HALF + 0x7000, 3, 3, RMI_ASSIGNED, (big + 0x7000) | NS_NORMAL, 0);
	u = CALL(RMI_RTT_FOLD, r.rd, HALF, 3);
	assert_int_equal(u.x0, RMI_SUCCESS);
	assert_int_equal(u.x1, rtt);
	entry(r.rd, HALF + 0x7000, 3, 2, RMI_ASSIGNED, big | NS_NORMAL, 0);
	EXPECT(RMI_SUCCESS, RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF, 2);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, big + 0x7000);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 2, big | NS_NORMAL);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(sim_refs(big + 4096 * i), 0);
}

static void fold_unassigned(void **state)
{
	struct realm r;
	uint64_t l2, l3;

	(void)state;
	realm_make(&r);
	l2 = dpage();
	l3 = dpage();
	EXPECT(LEVEL_ERROR(1), RMI_RTT_FOLD, r.rd, 0, 2);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_FOLD, r.rd, 0, 1);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_FOLD, r.rd, 0, 4);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_FOLD, r.rd, 4096, 3);
	EXPECT(RMI_ERROR_INPUT, RMI_RTT_FOLD, r.base, 0, 2);
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, l2, 0, 2);
	EXPECT(LEVEL_ERROR(2), RMI_RTT_FOLD, r.rd, 0, 3);
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, l3, 0, 3);
	/* the child holds a table */
	EXPECT(LEVEL_ERROR(2), RMI_RTT_FOLD, r.rd, 0, 2);
	/* not uniform */
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0, 0x3000).x1, 0x3000);
	EXPECT(LEVEL_ERROR(3), RMI_RTT_FOLD, r.rd, 0, 3);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0x3000, MB2).x1, MB2);
	assert_int_equal(CALL(RMI_RTT_FOLD, r.rd, 0, 3).x1, l3);
	assert_true(sim_is_zero(l3));
	entry(r.rd, 0, 3, 2, RMI_UNASSIGNED, 0, RMI_RIPAS_RAM);
	assert_int_equal(sim_refs(l2), 0);
	EXPECT(LEVEL_ERROR(2), RMI_RTT_FOLD, r.rd, 0, 2);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, MB2, GB).x1, GB);
	EXPECT(RMI_SUCCESS, RMI_RTT_FOLD, r.rd, 0, 2);
	entry(r.rd, 0, 3, 1, RMI_UNASSIGNED, 0, RMI_RIPAS_RAM);
	/* and unfolded again, RAM everywhere */
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, l2, 0, 2);
	entry(r.rd, 77 * MB2, 2, 2, RMI_UNASSIGNED, 0, RMI_RIPAS_RAM);
	/* the unprotected half */
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, l3, HALF, 2);
	EXPECT(RMI_SUCCESS, RMI_RTT_FOLD, r.rd, HALF, 2);
	entry(r.rd, HALF, 3, 1, RMI_UNASSIGNED, 0, 0);
}

/* 2 MiB of pages folded to a block, split again, and freed. */
static void fold_pages(void **state)
{
	struct realm r;
	uint64_t big = block(), l3 = 0;
	struct smc_result d;

	(void)state;
	realm_make(&r);
	realm_tables(&r, 0);
	assert_int_equal(CALL(KCORE_DELEGATE_RANGE, big, 512).x1, 512);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0, MB2).x1, MB2);
	for (uint64_t i = 0; i < 512; i++)
		EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, big + 4096 * i, 4096 * i);
	l3 = CALL(RMI_RTT_READ_ENTRY, r.rd, 0, 2).x3;
	assert_int_equal(sim_refs(l3), 512);
	d = CALL(RMI_RTT_FOLD, r.rd, 0, 3);
	assert_int_equal(d.x0, RMI_SUCCESS);
	assert_int_equal(d.x1, l3);
	sim_check();
	entry(r.rd, 0x9000, 3, 2, RMI_ASSIGNED, big, RMI_RIPAS_RAM);
	assert_int_equal(sim_realm_page(r.rd, 0x9000), big + 0x9000);
	/* a page of a block is not to be destroyed alone */
	d = CALL(RMI_DATA_DESTROY, r.rd, 0x9000);
	assert_int_equal(d.x0, LEVEL_ERROR(2));
	assert_int_equal(d.x2, 0x9000);
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, l3, 0, 3);
	assert_int_equal(sim_refs(l3), 512);
	sim_check();
	d = CALL(RMI_DATA_DESTROY, r.rd, 0x9000);
	assert_int_equal(d.x0, RMI_SUCCESS);
	assert_int_equal(d.x1, big + 0x9000);
	assert_int_equal(d.x2, 0xa000);
	/* 511 pages: no fold; all but in wrong order: none either */
	EXPECT(LEVEL_ERROR(3), RMI_RTT_FOLD, r.rd, 0, 3);
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0xa000);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, big + 0xa000, 0x9000);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, big + 0x9000, 0xa000);
	EXPECT(LEVEL_ERROR(3), RMI_RTT_FOLD, r.rd, 0, 3);
	realm_teardown(&r);
}

static void fold_unaligned(void **state)
{
	struct realm r;
	uint64_t big = block();

	(void)state;
	realm_make(&r);
	realm_tables(&r, 0);
	/* contiguous, but not from a 2 MiB boundary: regions 1 and 2 are neighbours */
	assert_int_equal(CALL(KCORE_DELEGATE_RANGE, big - 4096, 512).x1, 512);
	for (uint64_t i = 0; i < 512; i++)
		EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, big - 4096 + 4096 * i, 4096 * i);
	EXPECT(LEVEL_ERROR(3), RMI_RTT_FOLD, r.rd, 0, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(create),
		TEST(read_entry),
		TEST(destroy),
		TEST(destroy_unprotected_drops_pages),
		TEST(map_unprotected),
		TEST(unmap_unprotected),
		TEST(unprotected_block),
		TEST(fold_unassigned),
		TEST(fold_pages),
		TEST(fold_unaligned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
