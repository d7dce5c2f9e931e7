/* SPDX-License-Identifier: Apache-2.0 */
/* Granules and the host's stage 2: delegate, undelegate, their ranges, aborts. */
#include "util.h"

static void delegate(void **state)
{
	uint64_t pa = page();

	(void)state;
	sim_write(pa, 8, 42);
	assert_true(sim_host_reaches(pa));
	EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, pa);
	assert_false(sim_host_reaches(pa));
	assert_false(sim_smmu_reaches(pa));
	assert_true(sim_host_reaches(pa + 4096));
	assert_true(sim_is_zero(pa));
	assert_int_equal(sim_state(pa), GS_DELEGATED);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, pa);
	assert_true(sim_host_reaches(pa));
	assert_true(sim_smmu_reaches(pa));
	assert_true(sim_is_zero(pa));
}

static void refused(void **state)
{
	uint64_t pa = dpage();
	const uint64_t bad[] = { pa, page() + 8, 0, SIM_DRAM, SIM_G(SIM_CORE - 1), SIM_G(SIM_HOLE), SIM_G(SIM_GRANULES),
				 SIM_DEVICE, ALL_ONES, ALL_ONES << 12, 1UL << 52 };

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, bad[i]);
	for (unsigned i = 1; i < sizeof(bad) / sizeof(*bad); i++)
		EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, bad[i]);
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, page());
	EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, pa);
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, pa);
}

static void used_granule_stays(void **state)
{
	struct realm r;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0);
	rec_make(&r, true);
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, pa);
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, r.rd);
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, r.rec[0]);
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, r.base);
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, pa);
}

static void mapped_by_realm(void **state)
{
	struct realm r;
	uint64_t pa = page();

	(void)state;
	realm_make(&r);
	realm_tables(&r, HALF);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, pa | 0xd8);
	EXPECT(RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, pa);
	EXPECT(RMI_SUCCESS, RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF, 3);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, pa);
}

static void split_and_fold(void **state)
{
	uint64_t base = block();

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 512; i++)
			EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, base + 4096 * i);
		sim_check();
		for (unsigned i = 0; i < 512; i++)
			EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, base + 4096 * ((i * 37) & 511));
		sim_check();
	}
}

static void ranges(void **state)
{
	uint64_t base = block(), kept = base + 5 * 4096;
	struct smc_result r;

	(void)state;
	r = CALL(KCORE_DELEGATE_RANGE, base, 512);
	assert_int_equal(r.x0, RMI_SUCCESS);
	assert_int_equal(r.x1, 512);
	EXPECT(RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, kept);
	r = CALL(KCORE_UNDELEGATE_RANGE, base, 512);
	assert_int_equal(r.x0, RMI_SUCCESS);
	assert_int_equal(r.x1, 5);
	r = CALL(KCORE_UNDELEGATE_RANGE, base + 5 * 4096, 10);
	assert_int_equal(r.x0, RMI_ERROR_INPUT);
	assert_int_equal(r.x1, 0);
	r = CALL(KCORE_DELEGATE_RANGE, base, 512);
	assert_int_equal(r.x1, 6);
	EXPECT(RMI_ERROR_INPUT, KCORE_DELEGATE_RANGE, base, 0);
	EXPECT(RMI_ERROR_INPUT, KCORE_DELEGATE_RANGE, base, 513);
	EXPECT(RMI_ERROR_INPUT, KCORE_UNDELEGATE_RANGE, base, 0);
	EXPECT(RMI_ERROR_INPUT, KCORE_UNDELEGATE_RANGE, base, 513);
	EXPECT(RMI_ERROR_INPUT, KCORE_DELEGATE_RANGE, ALL_ONES << 12, 2);
}

static void host_aborts(void **state)
{
	uint64_t pa = dpage(), mine = page();

	(void)state;
	assert_int_equal(sim_host_fault(ESR(0x24, 7), HPFAR(pa), pa), HOST_INJECT);
	assert_int_equal(sim_host_fault(ESR(0x24, 7), HPFAR(mine), mine), HOST_RETRY);
	assert_int_equal(sim_host_fault(ESR(0x24, 0xf), HPFAR(mine), mine), HOST_INJECT);
	assert_int_equal(sim_host_fault(ESR(0x24, 7), HPFAR(SIM_DRAM), 8), HOST_INJECT);
	assert_int_equal(sim_host_fault(ESR(0x24, 6), HPFAR(0x8000000UL), 8), HOST_DEVICE);
	assert_int_equal(sim_host_fault(ESR(0x24, 4), HPFAR(1UL << 39), 8), HOST_DEVICE);
	assert_int_equal(sim_host_fault(ESR(0x24, 7), HPFAR(SIM_DEVICE), 8), HOST_RETRY);
	assert_int_equal(sim_host_fault(ESR(0x24, 6), HPFAR(0x10000000UL), 8), HOST_RETRY);
	assert_int_equal(CALL(KCORE_COUNTER_READ, KCORE_CTR_HOST_ABORT).x1, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(delegate),	      TEST(refused), TEST(used_granule_stays), TEST(mapped_by_realm),
		TEST(split_and_fold), TEST(ranges),  TEST(host_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
