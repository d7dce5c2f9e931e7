/* SPDX-License-Identifier: Apache-2.0 */
/* The offline measurement against the core's: the launches below are made on the simulated machine with the
 * calls that KServ makes, and the RIM of the realm descriptor is compared. */
#include "../../hyp/tests/tenant.h"
#include "../../hyp/tests/util.h"

#include "kcore-attest.h"

#define RAM 0x40000000UL
#define PAGES_MAX 8

static uint64_t level_size(unsigned level)
{
	return 1UL << (39 - 9 * level);
}

/* KServ's choice of start tables. */
static unsigned choose_start(unsigned s2sz, uint64_t *tables)
{
	unsigned level = 4 - (s2sz - 12 - 4 + 8) / 9;

	*tables = level > 0 && s2sz > 39 - 9 * (level - 1) ? 1UL << (s2sz - (39 - 9 * (level - 1))) : 1;
	return level;
}

struct launch {
	unsigned s2sz;
	uint64_t start;
	uint64_t rd;
};

static void make(struct launch *l, unsigned hash)
{
	uint64_t params = page(), tables, base = block();

	l->start = choose_start(l->s2sz, &tables);
	for (uint64_t i = 0; i < tables; i++)
		EXPECT(RMI_SUCCESS, RMI_GRANULE_DELEGATE, base + (i << 12));
	l->rd = dpage();
	realm_params(params, base);
	sim_write(params, REALM_PARAMS_S2SZ, l->s2sz);
	sim_write(params, REALM_PARAMS_HASH_ALGO, hash);
	sim_write(params, REALM_PARAMS_RTT_LEVEL_START, l->start);
	sim_write(params, REALM_PARAMS_RTT_NUM_START, tables);
	EXPECT(RMI_SUCCESS, RMI_REALM_CREATE, l->rd, params);
}

static void table(struct launch *l, uint64_t ipa, unsigned level)
{
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, l->rd, dpage(), ipa & ~(level_size(level - 1) - 1), level);
}

/* A table wherever the walk ended, as KServ does. */
static void init_ripas(struct launch *l, uint64_t base, uint64_t top)
{
	while (base < top) {
		struct smc_result r = CALL(RMI_RTT_INIT_RIPAS, l->rd, base, top);

		if (r.x0 == RMI_SUCCESS) {
			base = r.x1;
			continue;
		}
		assert_int_equal(r.x0 & 0xff, RMI_ERROR_RTT);
		table(l, base, (unsigned)(r.x0 >> 8) + 1);
	}
}

static void load(struct launch *l, uint64_t ipa, const uint8_t *data, bool measured)
{
	uint64_t src = page();

	for (unsigned i = 0; i < 512; i++) {
		uint64_t word = 0;

		if (measured)
			memcpy(&word, data + 8 * i, 8);
		sim_write(src, 8 * i, word);
	}
	for (;;) {
		uint64_t data_pa = dpage();
		struct smc_result r = CALL(RMI_DATA_CREATE, l->rd, data_pa, ipa, src, measured);

		if (r.x0 == RMI_SUCCESS)
			return;
		assert_int_equal(r.x0 & 0xff, RMI_ERROR_RTT);
		table(l, ipa, (unsigned)(r.x0 >> 8) + 1);
	}
}

static void recs(struct launch *l, unsigned vcpus, uint64_t pc, const uint64_t *regs)
{
	for (unsigned n = 0; n < vcpus; n++) {
		uint64_t params = page();

		for (unsigned i = 0; i < 4096; i += 8)
			sim_write(params, i, 0);
		sim_write(params, REC_PARAMS_MPIDR, (n & 15) | (uint64_t)(n >> 4) << 8);
		if (n == 0) {
			sim_write(params, REC_PARAMS_FLAGS, REC_PARAMS_FLAG_RUNNABLE);
			sim_write(params, REC_PARAMS_PC, pc);
			for (unsigned i = 0; i < 8; i++)
				sim_write(params, REC_PARAMS_GPRS + 8 * i, regs[i]);
		}
		EXPECT(RMI_SUCCESS, RMI_REC_CREATE, l->rd, dpage(), params);
	}
}

static void check(const struct kcore_measure_launch *k)
{
	uint8_t expected[KCORE_MEASUREMENT_MAX], padded[PAGES_MAX * 4096] = { 0 };
	struct launch l = { .s2sz = k->s2sz };
	size_t size;
	uint64_t policy_page;

	if (l.s2sz == 0)
		for (l.s2sz = 33; k->ram_base + k->ram_size > 1UL << (l.s2sz - 1);)
			l.s2sz++;
	make(&l, k->hash);
	if (k->block) {
		policy_page = page();
		for (unsigned i = 0; i < 4096; i += 8) {
			uint64_t word = 0;

			if (i < KCORE_LAUNCH_BLOCK_SIZE)
				memcpy(&word, k->block + i, 8);
			sim_write(policy_page, i, word);
		}
		EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, l.rd, policy_page);
	}
	init_ripas(&l, k->ram_base, k->ram_base + k->ram_size);
	for (size_t i = 0; i < k->n_segments; i++) {
		const struct kcore_measure_segment *s = &k->segments[i];

		memset(padded, 0, sizeof(padded));
		if (s->data)
			memcpy(padded, s->data, s->length);
		for (uint64_t at = 0; at < s->length; at += 4096)
			load(&l, s->ipa + at, padded + at, s->measured);
	}
	recs(&l, k->vcpus, k->entry_pc, k->entry_regs);
	EXPECT(RMI_SUCCESS, RMI_REALM_ACTIVATE, l.rd);

	assert_int_equal(kcore_measure_launch(k, expected, &size), KCORE_ATTEST_OK);
	assert_int_equal(size, k->hash ? 64 : 32);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t word;

		memcpy(&word, expected + 8 * i, 8);
		assert_int_equal(word, rd_word(l.rd, "meas", i));
	}
}

static void fill(uint8_t *p, size_t n, uint8_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed + 31 * i + (i >> 8));
}

/* A launch block as a tenant signs it. */
static void signed_block(uint8_t *block, unsigned image)
{
	uint64_t pa = page();

	tenant_block(pa, image);
	tenant_sign(pa, (uint8_t)image);
	for (unsigned i = 0; i < KCORE_LAUNCH_BLOCK_SIZE; i += 8) {
		uint64_t word = sim_read(pa, i);

		memcpy(block + i, &word, 8);
	}
}

/* One, two and eight vCPUs, several sizes of memory, both hashes, with and without a policy: as kcoresd lays guests
 * out. */
static void test_launches(void **state)
{
	static const unsigned vcpus[] = { 1, 2, 8 };
	static const uint64_t sizes[] = { 64UL << 20, 512UL << 20, 1UL << 30, 3UL << 30, 5UL << 30, 40UL << 30 };
	static uint8_t kernel[3 * 4096], initrd[4096 + 17], dtb[700];
	uint8_t block[KCORE_LAUNCH_BLOCK_SIZE];

	(void)state;
	fill(kernel, sizeof(kernel), 1);
	fill(initrd, sizeof(initrd), 2);
	for (unsigned v = 0; v < 3; v++)
		for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (unsigned hash = 0; hash < 2; hash++) {
				struct kcore_measure_segment segments[] = {
					{ RAM + 0x200000, kernel, sizeof(kernel), true },
					{ RAM + 0x400000, initrd, sizeof(initrd), true },
					{ RAM + 0x600000, dtb, sizeof(dtb), true },
				};

				machine(NULL);
				fill(dtb, sizeof(dtb), (uint8_t)vcpus[v]);
				signed_block(block, vcpus[v]);
				check(&(struct kcore_measure_launch){
					.block = s % 2 ? block : NULL,
					.hash = hash,
					.ram_base = RAM,
					.ram_size = sizes[s],
					.vcpus = vcpus[v],
					.entry_pc = RAM + 0x200000,
					.entry_regs = { RAM + 0x600000, 1, 2, 3, 4, 5, 6, ~0UL },
					.segments = segments,
					.n_segments = 3,
				});
			}
}

/* Every width, with RAM that starts and ends in odd places and reaches over large blocks. */
static void test_widths(void **state)
{
	static const struct {
		uint64_t base, size;
	} ram[] = {
		{ 2UL << 20, 6UL << 20 },
		{ 0x3fe00000UL, (1UL << 30) + (6UL << 20) },
		{ (512UL << 30) - (4UL << 20), (513UL << 30) + (2UL << 20) },
	};
	static uint8_t data[4096];

	(void)state;
	for (unsigned s2sz = 32; s2sz <= 48; s2sz++)
		for (unsigned r = 0; r < 3; r++) {
			struct kcore_measure_segment segments[] = {
				{ ram[r].base, data, 100, true },
				{ ram[r].base + ram[r].size - 4096, NULL, 1, false },
			};

			if (ram[r].base + ram[r].size > 1UL << (s2sz - 1))
				continue;
			machine(NULL);
			fill(data, sizeof(data), (uint8_t)s2sz);
			check(&(struct kcore_measure_launch){
				.s2sz = s2sz,
				.ram_base = ram[r].base,
				.ram_size = ram[r].size,
				.vcpus = 1,
				.entry_pc = ram[r].base,
				.segments = segments,
				.n_segments = 2,
			});
		}
}

/* ---- What is refused ------------------------------------------------------------------------------- */

static const struct kcore_measure_segment good_segments[] = {
	{ RAM, "k", 1, true },
	{ RAM + 0x1000, "i", 1, true },
};
static const struct kcore_measure_launch good = {
	.ram_base = RAM,
	.ram_size = 64UL << 20,
	.vcpus = 1,
	.entry_pc = RAM,
	.segments = good_segments,
	.n_segments = 2,
};

#define REFUSED(error, field, value)                                                                   \
	do {                                                                                           \
		struct kcore_measure_launch k = good;                                                  \
		uint8_t rim[64];                                                                       \
		k.field = (value);                                                                     \
		assert_int_equal(kcore_measure_launch(&k, rim, NULL), error);                          \
	} while (0)

static void test_bad_launches(void **state)
{
	uint8_t rim[64];

	(void)state;
	assert_int_equal(kcore_measure_launch(&good, rim, NULL), KCORE_ATTEST_OK);
	REFUSED(KCORE_ATTEST_BAD_WIDTH, s2sz, 31);
	REFUSED(KCORE_ATTEST_BAD_WIDTH, s2sz, 49);
	REFUSED(KCORE_ATTEST_BAD_HASH, hash, 2);
	REFUSED(KCORE_ATTEST_BAD_RAM, ram_base, 0);
	REFUSED(KCORE_ATTEST_BAD_RAM, ram_base, RAM + 4096);
	REFUSED(KCORE_ATTEST_BAD_RAM, ram_base, 1UL << 47);
	REFUSED(KCORE_ATTEST_BAD_RAM, ram_size, 0);
	REFUSED(KCORE_ATTEST_BAD_RAM, ram_size, 4096);
	REFUSED(KCORE_ATTEST_BAD_RAM, ram_size, ~0UL << 21);
	REFUSED(KCORE_ATTEST_BAD_VCPUS, vcpus, 0);
	REFUSED(KCORE_ATTEST_BAD_VCPUS, vcpus, 513);
	REFUSED(KCORE_ATTEST_BAD_ENTRY, entry_pc, RAM - 4);
	REFUSED(KCORE_ATTEST_BAD_ENTRY, entry_pc, RAM + (64UL << 20));
	REFUSED(KCORE_ATTEST_BAD_SEGMENT, n_segments, 33);
}

#define REFUSED_SEGMENT(error, ...)                                                                    \
	do {                                                                                           \
		struct kcore_measure_segment s[] = { { RAM, "k", 1, true }, { __VA_ARGS__ } };         \
		struct kcore_measure_launch k = good;                                                  \
		uint8_t rim[64];                                                                       \
		k.segments = s;                                                                        \
		assert_int_equal(kcore_measure_launch(&k, rim, NULL), error);                          \
	} while (0)

static void test_bad_segments(void **state)
{
	(void)state;
	REFUSED_SEGMENT(KCORE_ATTEST_BAD_SEGMENT, RAM + 0x1000, "i", 0, true);
	REFUSED_SEGMENT(KCORE_ATTEST_BAD_SEGMENT, RAM + 0x1001, "i", 1, true);
	REFUSED_SEGMENT(KCORE_ATTEST_BAD_SEGMENT, RAM + 0x1000, NULL, 1, true);
	REFUSED_SEGMENT(KCORE_ATTEST_BAD_SEGMENT, RAM - 0x1000, "i", 1, true);
	REFUSED_SEGMENT(KCORE_ATTEST_BAD_SEGMENT, RAM + (64UL << 20), "i", 1, true);
	REFUSED_SEGMENT(KCORE_ATTEST_BAD_SEGMENT, RAM + 0x1000, "i", 64UL << 20, true);
	REFUSED_SEGMENT(KCORE_ATTEST_BAD_SEGMENT, RAM + 0x1000, "i", ~0UL, true);
	REFUSED_SEGMENT(KCORE_ATTEST_SEGMENT_OVERLAP, RAM, NULL, 1, false);
	/* up to the last byte of RAM */
	REFUSED_SEGMENT(KCORE_ATTEST_OK, RAM + 0x1000, NULL, (64UL << 20) - 0x1000, false);
}

/* ---- The launch block ------------------------------------------------------------------------------ */

static void block_make(uint8_t *b)
{
	static const uint64_t words[] = { KCORE_LAUNCH_BLOCK_MAGIC, 1, 3, 2, 1 << 20, 1 << 10, 0x10000 };

	memset(b, 0, KCORE_LAUNCH_BLOCK_SIZE);
	memcpy(b, words, sizeof(words));
	fill(b + 0x38, 32, 5);
	fill(b + KCORE_LAUNCH_BLOCK_SIGNER, 32, 6);
}

static void test_policy(void **state)
{
	uint8_t block[KCORE_LAUNCH_BLOCK_SIZE], bad[KCORE_LAUNCH_BLOCK_SIZE], rim[64], other[64];
	struct kcore_launch_policy p;
	struct kcore_measure *m;

	(void)state;
	block_make(block);
	assert_int_equal(kcore_launch_policy_parse(block, &p), KCORE_ATTEST_OK);
	assert_int_equal(p.flags, KCORE_LAUNCH_FLAG_DEBUG | KCORE_LAUNCH_FLAG_SNAPSHOTS);
	assert_int_equal(p.max_vcpus, 2);
	assert_int_equal(p.max_private, 1 << 20);
	assert_int_equal(p.max_shared, 1 << 10);
	assert_int_equal(p.min_version, 0x10000);
	assert_memory_equal(p.image_id, block + 0x38, 32);

	/* Every byte that is fixed. */
	for (unsigned i = 0; i < KCORE_LAUNCH_POLICY_SIZE; i++) {
		memcpy(bad, block, sizeof(bad));
		bad[i] ^= 0x80;
		if (i < 0x10 || (i >= 0x10 && i < 0x18) || (i >= 0x19 && i < 0x20) || i >= 0x58)
			assert_int_equal(kcore_launch_policy_parse(bad, &p), KCORE_ATTEST_BAD_POLICY);
		else
			assert_int_equal(kcore_launch_policy_parse(bad, &p), KCORE_ATTEST_OK);
	}
	memcpy(bad, block, sizeof(bad));
	bad[0x18] = 0;
	assert_int_equal(kcore_launch_policy_parse(bad, &p), KCORE_ATTEST_BAD_POLICY);
	bad[0x18] = 1;
	bad[0x19] = 2;
	assert_int_equal(kcore_launch_policy_parse(bad, &p), KCORE_ATTEST_BAD_POLICY);

	/* Policy and signer are measured; expected RIM and signature are not. */
	assert_int_equal(kcore_measure_new(33, 0, &m), KCORE_ATTEST_OK);
	assert_int_equal(kcore_measure_policy(m, block), KCORE_ATTEST_OK);
	kcore_measure_rim(m, rim, NULL);
	assert_int_equal(kcore_measure_policy(m, block), KCORE_ATTEST_POLICY_LATE);
	kcore_measure_free(m);
	for (unsigned i = 0; i < KCORE_LAUNCH_BLOCK_SIZE; i++) {
		bool measured = i < KCORE_LAUNCH_POLICY_SIZE || (i >= 0xd0 && i < 0xf0);

		memcpy(bad, block, sizeof(bad));
		bad[i] ^= 0x80;
		assert_int_equal(kcore_measure_new(33, 0, &m), KCORE_ATTEST_OK);
		if (kcore_measure_policy(m, bad) == KCORE_ATTEST_OK) {
			kcore_measure_rim(m, other, NULL);
			assert_int_equal(memcmp(rim, other, 32) != 0, measured);
		} else
			assert_true(i < KCORE_LAUNCH_POLICY_SIZE);
		kcore_measure_free(m);
	}
}

static void test_steps(void **state)
{
	static const uint8_t zero[4096];
	struct kcore_measure *m;
	uint64_t half = 1UL << 32;

	(void)state;
	assert_int_equal(kcore_measure_new(31, 0, &m), KCORE_ATTEST_BAD_WIDTH);
	assert_int_equal(kcore_measure_new(33, 2, &m), KCORE_ATTEST_BAD_HASH);
	assert_int_equal(kcore_measure_new(33, 0, &m), KCORE_ATTEST_OK);
	assert_int_equal(kcore_measure_data(m, half - 4096, zero), KCORE_ATTEST_OK);
	assert_int_equal(kcore_measure_data(m, half, zero), KCORE_ATTEST_BAD_ADDRESS);
	assert_int_equal(kcore_measure_data(m, 8, zero), KCORE_ATTEST_BAD_ADDRESS);
	assert_int_equal(kcore_measure_data(m, ~0UL << 12, zero), KCORE_ATTEST_BAD_ADDRESS);
	assert_int_equal(kcore_measure_init_ripas(m, 0, half), KCORE_ATTEST_OK);
	assert_int_equal(kcore_measure_init_ripas(m, 0, half + 4096), KCORE_ATTEST_BAD_ADDRESS);
	assert_int_equal(kcore_measure_init_ripas(m, 4096, 4096), KCORE_ATTEST_BAD_ADDRESS);
	assert_int_equal(kcore_measure_init_ripas(m, 8192, 4096), KCORE_ATTEST_BAD_ADDRESS);
	assert_int_equal(kcore_measure_init_ripas(m, 1, 4096), KCORE_ATTEST_BAD_ADDRESS);
	kcore_measure_free(m);
	kcore_measure_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_launches),
		TEST(test_widths),
		cmocka_unit_test(test_bad_launches),
		cmocka_unit_test(test_bad_segments),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
