/* SPDX-License-Identifier: Apache-2.0 */
/* Dispatch: versions, features, unknown calls, the vendor calls. */
#include "util.h"

static void version(void **state)
{
	struct smc_result r = CALL(RMI_VERSION, 0x10000, 5, 6, 7);

	(void)state;
	assert_int_equal(r.x0, RMI_SUCCESS);
	assert_int_equal(r.x1, 0x10000);
	assert_int_equal(r.x2, 0x10000);
	assert_int_equal(r.x3, 0);
	assert_int_equal(r.x4, 7);
	r = CALL(RMI_VERSION, 0x10001);
	assert_int_equal(r.x0, RMI_ERROR_INPUT);
	assert_int_equal(r.x1, 0x10000);
	EXPECT(RMI_ERROR_INPUT, RMI_VERSION, 0x80010000);
	EXPECT(RMI_SUCCESS, RMI_VERSION | 0x10000, 0x10000);
	EXPECT(RMI_SUCCESS, RMI_VERSION | 0xabcUL << 32, 0x10000);
}

static void features(void **state)
{
	struct smc_result r = CALL(RMI_FEATURES, 0);
	uint64_t want = 48 | 1UL << 14 | 1UL << 20 | 3UL << 32 | 3UL << 34 | 10UL << 38;

	(void)state;
	assert_int_equal(r.x0, RMI_SUCCESS);
	assert_int_equal(r.x1, want);
	r = CALL(RMI_FEATURES, 1);
	assert_int_equal(r.x0, RMI_SUCCESS);
	assert_int_equal(r.x1, 0);
}

static void unknown(void **state)
{
	static const uint64_t bad[] = { 0xC4000156, 0xC4000160, 0xC4000163, 0xC400016A, RMI_FID_LAST, RMI_FID_LAST + 1,
					RMI_FID_FIRST - 1, RSI_VERSION, 0x84000150, 0, 0xffffffff, KCORE_FID_LAST,
					0x8600ff02, 0xC6004B0A, 0x86004B00 };

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct smc_result r = CALL(bad[i], 1, 2, 3, 4, 5);

		assert_int_equal(r.x0, ALL_ONES);
		assert_int_equal(r.x1, 0);
		assert_int_equal(r.x2, 0);
		assert_int_equal(r.x3, 0);
		assert_int_equal(r.x4, 4);
	}
}

static void vendor(void **state)
{
	struct smc_result r = CALL(KCORE_VENDOR_UID);
	static const uint8_t uid[16] = { 0xb1, 0xc0, 0xa0, 0xe4, 0x5d, 0x43, 0x4f, 0x7a,
					 0x9a, 0x51, 0x4b, 0x43, 0x6f, 0x72, 0x65, 0x01 };
	uint64_t x[4] = { r.x0, r.x1, r.x2, r.x3 };
	uint64_t ns = page(), total;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(x[i / 4] >> (i % 4 * 8) & 0xff, uid[i]);
	assert_int_equal(CALL(KCORE_VERSION).x1, 0x10001);
	assert_int_equal(CALL(KCORE_FEATURES, KCORE_FEATURE_ICH_VTR).x1, sim_vtr);
	assert_int_equal(CALL(KCORE_FEATURES, KCORE_FEATURE_TRACKED).x1, SIM_HOLE);
	assert_int_equal(CALL(KCORE_FEATURES, KCORE_FEATURE_DELEGATED).x1, 0);
	dpage();
	assert_int_equal(CALL(KCORE_FEATURES, KCORE_FEATURE_DELEGATED).x1, 1);
	assert_int_equal(CALL(KCORE_FEATURES, KCORE_FEATURE_REALMS).x1, 0);
	assert_int_equal(CALL(KCORE_FEATURES, KCORE_FEATURE_COUNTERS).x1, KCORE_NUM_COUNTERS);
	assert_true(CALL(KCORE_FEATURES, KCORE_FEATURE_LOG_SIZE).x1 > 0);
	EXPECT(RMI_ERROR_INPUT, KCORE_FEATURES, ALL_ONES);
	EXPECT(RMI_ERROR_INPUT, KCORE_COUNTER_READ, KCORE_NUM_COUNTERS);
	EXPECT(RMI_SUCCESS, KCORE_COUNTER_READ, KCORE_NUM_COUNTERS - 1);
	EXPECT(RMI_ERROR_INPUT, KCORE_LOG_READ, SIM_DRAM, 0);
	EXPECT(RMI_ERROR_INPUT, KCORE_LOG_READ, ns + 8, 0);
	EXPECT(RMI_ERROR_INPUT, KCORE_LOG_READ, dpage(), 0);
	r = CALL(KCORE_LOG_READ, ns, 100);
	assert_int_equal(r.x0, RMI_SUCCESS);
	assert_int_equal(r.x1, 4);
	assert_int_equal(r.x2, 104);

	EXPECT(RMI_ERROR_INPUT, KCORE_IDENTITY_READ, SIM_DRAM, 0);
	EXPECT(RMI_ERROR_INPUT, KCORE_IDENTITY_READ, ns + 8, 0);
	EXPECT(RMI_ERROR_INPUT, KCORE_IDENTITY_READ, dpage(), 0);
	r = CALL(KCORE_IDENTITY_READ, ns, 0);
	assert_int_equal(r.x0, RMI_SUCCESS);
	assert_true(r.x2 > 300 && r.x2 <= 8192 && r.x1 == (r.x2 < 4096 ? r.x2 : 4096));
	total = r.x2;
	sim_write(ns, 0, 0x55);
	for (uint64_t past = total; past != 0; past = past == total ? total + 1 : past == total + 1 ? ALL_ONES : 0) {
		r = CALL(KCORE_IDENTITY_READ, ns, past);
		assert_int_equal(r.x0, RMI_SUCCESS);
		assert_int_equal(r.x1, 0);
		assert_int_equal(r.x2, total);
	}
	assert_int_equal(sim_read(ns, 0), 0x55);
	r = CALL(KCORE_IDENTITY_READ, ns, total - 3);
	assert_int_equal(r.x1, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(version), TEST(features), TEST(unknown), TEST(vendor) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
