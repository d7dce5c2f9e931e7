/* SPDX-License-Identifier: Apache-2.0 */
/* KCORE_LAUNCH_POLICY, KCORE_LAUNCH_KEY, KCORE_DATA_CREATE_SEALED, the limits of a policy, the expected RIM. */
#include <openssl/evp.h>

#include "tenant.h"
#include "util.h"

static const uint8_t content[32] = "the content key of these images", other[32] = "the content key of other images";

/* ---- Nothing has changed ------------------------------------------------------------------------------ */

static uint64_t before[512];

static void remember(uint64_t pa)
{
	for (unsigned i = 0; i < 512; i++)
		before[i] = sim_read(pa, 8 * i);
}

static bool unchanged(uint64_t pa)
{
	for (unsigned i = 0; i < 512; i++)
		if (before[i] != sim_read(pa, 8 * i))
			return false;
	return true;
}

/* A call on the realm that is refused with this status, and changes nothing of it. */
#define REFUSED(status, rd, ...)                                                               \
	do {                                                                                   \
		remember(rd);                                                                  \
		EXPECT(status, __VA_ARGS__);                                                   \
		assert_true(unchanged(rd));                                                    \
	} while (0)

/* ---- Policies ----------------------------------------------------------------------------------------- */

static uint64_t signed_block(uint64_t image)
{
	uint64_t block = page();

	tenant_block(block, image);
	tenant_sign(block, 1);
	return block;
}

/* Sign a block again after one of its words has changed. */
static void sign_with(uint64_t block, uint64_t offset, uint64_t value)
{
	tenant_block(block, 7);
	sim_write(block, offset, value);
	tenant_sign(block, 1);
}

static void policy(void **state)
{
	uint64_t block = signed_block(7);
	struct realm r;

	(void)state;
	realm_make(&r);
	assert_int_equal(rd_word(r.rd, "has_policy", 0), 0);
	assert_int_equal(rd_word(r.rd, "max_vcpus", 0), RMI_MAX_RECS);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r.rd, block);
	assert_int_equal(rd_word(r.rd, "has_policy", 0), 1);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(rd_word(r.rd, "policy", i), sim_read(block, 8 * i));
	assert_int_equal(rd_word(r.rd, "max_vcpus", 0), LAUNCH_VCPUS_LIMIT);
	assert_int_equal(rd_word(r.rd, "max_private", 0), ~0UL);
	assert_int_equal(rd_word(r.rd, "max_shared", 0), ~0UL);
	assert_int_equal(rd_word(r.rd, "has_key", 0), 0);
	assert_int_equal(sim_refs(block), 0);
	realm_teardown(&r);
}

static void malformed(void **state)
{
	static const struct {
		uint64_t offset, value;
	} bad[] = {
		{ LAUNCH_MAGIC, 0 }, { LAUNCH_MAGIC, LAUNCH_MAGIC_VALUE ^ 1 }, { LAUNCH_MAGIC, LAUNCH_MAGIC_VALUE ^ 1UL << 63 },
		{ LAUNCH_VERSION, 0 }, { LAUNCH_VERSION, 2 }, { LAUNCH_VERSION, 1UL << 32 | 1 },
		{ LAUNCH_FLAGS, 4 }, { LAUNCH_FLAGS, 1UL << 63 }, { LAUNCH_FLAGS, 7 },
		{ LAUNCH_MAX_VCPUS, 0 }, { LAUNCH_MAX_VCPUS, 513 }, { LAUNCH_MAX_VCPUS, ~0UL },
	};
	static const struct {
		uint64_t offset, value;
	} good[] = {
		{ LAUNCH_FLAGS, 1 }, { LAUNCH_FLAGS, 2 }, { LAUNCH_FLAGS, 3 }, { LAUNCH_MAX_VCPUS, 1 },
		{ LAUNCH_MAX_VCPUS, 512 }, { LAUNCH_MAX_PRIVATE, 0 }, { LAUNCH_MAX_SHARED, 0 },
		{ LAUNCH_MIN_VERSION, 0 }, { LAUNCH_MIN_VERSION, KCORE_ABI_VERSION },
	};
	uint64_t block = page();
	struct realm r;

	(void)state;
	realm_make(&r);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		sign_with(block, bad[i].offset, bad[i].value);
		REFUSED(RMI_ERROR_INPUT, r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	}
	/* what has no meaning is zero: before the RIM, and after the signature */
	for (uint64_t at = LAUNCH_RESERVED; at < LAUNCH_RIM; at += 8) {
		sign_with(block, at, 1UL << 63);
		REFUSED(RMI_ERROR_INPUT, r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	}
	for (uint64_t at = LAUNCH_END; at < 4096; at += 8) {
		sign_with(block, at, 1);
		REFUSED(RMI_ERROR_INPUT, r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	}
	sign_with(block, LAUNCH_MIN_VERSION, KCORE_ABI_VERSION + 1);
	REFUSED(KCORE_ERROR_POLICY, r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	sign_with(block, LAUNCH_MIN_VERSION, ~0UL);
	REFUSED(KCORE_ERROR_POLICY, r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	assert_int_equal(sim_refs(block), 0);
	realm_teardown(&r);
	for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++) {
		realm_make(&r);
		sign_with(block, good[i].offset, good[i].value);
		EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r.rd, block);
		realm_teardown(&r);
	}
}

static void bad_signature(void **state)
{
	/* bits that leave the block well formed */
	static const struct {
		uint64_t offset, bits;
	} altered[] = {
		{ LAUNCH_FLAGS, 1 }, { LAUNCH_MAX_VCPUS, 0x201 }, { LAUNCH_MAX_PRIVATE, 1 }, { LAUNCH_MAX_SHARED, 1 },
		{ LAUNCH_MIN_VERSION, KCORE_ABI_VERSION }, { LAUNCH_IMAGE_ID, 1 }, { LAUNCH_IMAGE_ID + 24, 1UL << 63 },
		{ LAUNCH_RIM, 1 }, { LAUNCH_RIM + 56, 1UL << 63 }, { LAUNCH_SIGNER, 1 }, { LAUNCH_SIGNER + 24, 1 },
	};
	uint64_t block = signed_block(7), words[8];
	struct realm r;

	(void)state;
	realm_make(&r);
	for (unsigned i = 0; i < sizeof(altered) / sizeof(*altered); i++) {
		uint64_t word = sim_read(block, altered[i].offset);

		sim_write(block, altered[i].offset, word ^ altered[i].bits);
		REFUSED(KCORE_ERROR_SIGNATURE, r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
		sim_write(block, altered[i].offset, word);
	}
	for (unsigned i = 0; i < 8; i++) {
		words[i] = sim_read(block, LAUNCH_SIGNATURE + 8 * i);
		sim_write(block, LAUNCH_SIGNATURE + 8 * i, words[i] ^ 1UL << 40);
		REFUSED(KCORE_ERROR_SIGNATURE, r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
		sim_write(block, LAUNCH_SIGNATURE + 8 * i, words[i]);
	}
	/* another signer's signature of the same block, none at all */
	tenant_sign(block, 2);
	for (unsigned i = 0; i < 8; i++)
		sim_write(block, LAUNCH_SIGNATURE + 8 * i, words[i]);
	REFUSED(KCORE_ERROR_SIGNATURE, r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	for (unsigned i = 0; i < 8; i++)
		sim_write(block, LAUNCH_SIGNATURE + 8 * i, 0);
	REFUSED(KCORE_ERROR_SIGNATURE, r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	tenant_sign(block, 2);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r.rd, block);
	realm_teardown(&r);
}

/* What is checked first decides. */
static void policy_order(void **state)
{
	uint64_t block = page();
	struct realm r;

	(void)state;
	realm_make(&r);
	tenant_block(block, 7);
	/* no page; malformed; version; signature; no realm; state */
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_POLICY, r.rd, 0);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_POLICY, r.rd, block + 8);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_POLICY, r.rd, dpage());
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_POLICY, r.rd, SIM_DRAM);
	sim_write(block, LAUNCH_MIN_VERSION, ~0UL);
	sim_write(block, LAUNCH_FLAGS, 4);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_POLICY, r.rd, block);
	sim_write(block, LAUNCH_FLAGS, 0);
	EXPECT(KCORE_ERROR_POLICY, KCORE_LAUNCH_POLICY, r.base, block);
	sim_write(block, LAUNCH_MIN_VERSION, 0);
	EXPECT(KCORE_ERROR_SIGNATURE, KCORE_LAUNCH_POLICY, r.base, block);
	tenant_sign(block, 1);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_POLICY, r.base, block);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_POLICY, 0, block);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_POLICY, block, block);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r.rd, block);
	REFUSED(REALM_ERROR(0), r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	realm_teardown(&r);
}

/* Not once the realm has anything. */
static void policy_late(void **state)
{
	uint64_t block = signed_block(7), src = page();
	struct realm r;

	(void)state;
	realm_make(&r);
	rec_make(&r, false);
	REFUSED(REALM_ERROR(0), r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	EXPECT(RMI_SUCCESS, RMI_REC_DESTROY, r.rec[0]);
	REFUSED(REALM_ERROR(0), r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	r.recs = 0;
	realm_teardown(&r);

	realm_make(&r);
	realm_tables(&r, 0);
	realm_tables(&r, HALF);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, dpage(), 0);
	REFUSED(REALM_ERROR(0), r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, src | 0xd8);
	REFUSED(REALM_ERROR(0), r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	EXPECT(RMI_SUCCESS, RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF, 3);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r.rd, block);
	realm_teardown(&r);

	realm_make(&r);
	realm_run(&r);
	REFUSED(REALM_ERROR(0), r.rd, KCORE_LAUNCH_POLICY, r.rd, block);
	realm_teardown(&r);
}

/* ---- Limits ------------------------------------------------------------------------------------------- */

static void limited(struct realm *r, uint64_t vcpus, uint64_t private, uint64_t shared)
{
	uint64_t block = page();

	realm_make(r);
	tenant_block(block, 7);
	sim_write(block, LAUNCH_MAX_VCPUS, vcpus);
	sim_write(block, LAUNCH_MAX_PRIVATE, private);
	sim_write(block, LAUNCH_MAX_SHARED, shared);
	tenant_sign(block, 1);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r->rd, block);
}

static void max_vcpus(void **state)
{
	uint64_t params = page(), rec = dpage();
	struct realm r;

	(void)state;
	limited(&r, 2, 0, 0);
	rec_make(&r, true);
	rec_make(&r, false);
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(params, i, 0);
	sim_write(params, REC_PARAMS_MPIDR, 2);
	REFUSED(KCORE_ERROR_POLICY, r.rd, RMI_REC_CREATE, r.rd, rec, params);
	assert_int_equal(sim_state(rec), GS_DELEGATED);
	/* before the order of RECs is looked at, after the realm's state; what is gone counts */
	sim_write(params, REC_PARAMS_MPIDR, 7);
	REFUSED(KCORE_ERROR_POLICY, r.rd, RMI_REC_CREATE, r.rd, rec, params);
	EXPECT(RMI_SUCCESS, RMI_REC_DESTROY, r.rec[1]);
	r.recs = 1;
	sim_write(params, REC_PARAMS_MPIDR, 2);
	REFUSED(KCORE_ERROR_POLICY, r.rd, RMI_REC_CREATE, r.rd, rec, params);
	realm_run(&r);
	REFUSED(REALM_ERROR(0), r.rd, RMI_REC_CREATE, r.rd, rec, params);
	realm_teardown(&r);
}

static void max_private(void **state)
{
	uint64_t src = page(), pa;
	struct realm r;

	(void)state;
	limited(&r, 1, 2, 0);
	realm_tables(&r, 0);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE, r.rd, dpage(), 0, src, 1);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, dpage(), 0x1000);
	pa = dpage();
	REFUSED(KCORE_ERROR_POLICY, r.rd, RMI_DATA_CREATE, r.rd, pa, 0x2000, src, 1);
	REFUSED(KCORE_ERROR_POLICY, r.rd, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0x2000);
	assert_true(sim_is_zero(pa));
	assert_int_equal(sim_state(pa), GS_DELEGATED);
	/* the walk is looked at first */
	EXPECT(LEVEL_ERROR(3), RMI_DATA_CREATE, r.rd, pa, 0x1000, src, 1);
	EXPECT(LEVEL_ERROR(3), RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0x1000);
	/* a page less is room for a page, also once it runs */
	realm_run(&r);
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0x1000);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0x2000);
	REFUSED(KCORE_ERROR_POLICY, r.rd, RMI_DATA_CREATE_UNKNOWN, r.rd, dpage(), 0x3000);
	realm_teardown(&r);
}

static void max_shared(void **state)
{
	uint64_t src = page(), large = block();
	struct realm r;

	(void)state;
	limited(&r, 1, 0, 513);
	realm_tables(&r, HALF);
	realm_tables(&r, HALF + (1UL << 30));
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, dpage(), HALF + (2UL << 30), 2);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, src | 0xd8);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF + 0x1000, 3, src | 0xd8);
	/* 514 are too many, 513 are not */
	REFUSED(KCORE_ERROR_POLICY, r.rd, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF + (2UL << 30), 2, large | 0xd8);
	assert_int_equal(sim_refs(large), 0);
	EXPECT(RMI_SUCCESS, RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF, 3);
	EXPECT(RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF + (2UL << 30), 2, large | 0xd8);
	REFUSED(KCORE_ERROR_POLICY, r.rd, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, src | 0xd8);
	/* walk, then limit, then the host's page */
	EXPECT(LEVEL_ERROR(3), RMI_RTT_MAP_UNPROTECTED, r.rd, HALF + 0x1000, 3, src | 0xd8);
	EXPECT(KCORE_ERROR_POLICY, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, r.rd | 0xd8);
	/* split, folded again, unmapped by entry and with the table: the count is right (sim_check) */
	EXPECT(RMI_SUCCESS, RMI_RTT_CREATE, r.rd, dpage(), HALF + (2UL << 30), 3);
	REFUSED(KCORE_ERROR_POLICY, r.rd, RMI_RTT_MAP_UNPROTECTED, r.rd, HALF, 3, src | 0xd8);
	EXPECT(RMI_SUCCESS, RMI_RTT_FOLD, r.rd, HALF + (2UL << 30), 3);
	EXPECT(RMI_SUCCESS, RMI_RTT_UNMAP_UNPROTECTED, r.rd, HALF + (2UL << 30), 2);
	EXPECT(RMI_SUCCESS, RMI_RTT_DESTROY, r.rd, HALF, 3);
	assert_int_equal(rd_word(r.rd, "pages_shared", 0), 0);
	realm_teardown(&r);
}

/* ---- Keys and sealed pages ---------------------------------------------------------------------------- */

/* A sealed image of one page at this address: ciphertext, tag, key and block for the realm that it makes. */
struct image {
	uint64_t block, key, src, tag, plain;
};

#define SEALED_IPA 0x3000UL

/* The RIM of a realm of this block with the plain page there. */
static void rim_of(uint64_t block, uint64_t src, uint64_t rim[8])
{
	struct realm r;

	realm_make(&r);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r.rd, block);
	realm_tables(&r, SEALED_IPA);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE, r.rd, dpage(), SEALED_IPA, src, 1);
	for (unsigned i = 0; i < 8; i++)
		rim[i] = rd_word(r.rd, "meas", i);
	realm_teardown(&r);
}

static struct image image_make(uint64_t id, const uint8_t *key)
{
	struct image m = { signed_block(id), page(), page(), page() + 0x20, page() };
	uint64_t rim[8];

	for (unsigned i = 0; i < 512; i++) {
		sim_write(m.src, 8 * i, id * 1000 + i);
		sim_write(m.plain, 8 * i, id * 1000 + i);
	}
	rim_of(m.block, m.plain, rim);
	for (unsigned i = 0; i < 8; i++)
		sim_write(m.block, LAUNCH_RIM + 8 * i, rim[i]);
	tenant_sign(m.block, 1);
	tenant_wrap(m.key, m.block, key, NULL);
	tenant_seal(m.src, m.tag, SEALED_IPA, m.block, key);
	return m;
}

/* A realm of the image, with tables, that is to be given key and page. */
static void image_realm(struct realm *r, const struct image *m)
{
	realm_make(r);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r->rd, m->block);
	realm_tables(r, SEALED_IPA);
}

static void key_bad(struct realm *r, uint64_t key, uint64_t offset, uint64_t bits, uint64_t status)
{
	uint64_t word = sim_read(key, offset);

	sim_write(key, offset, word ^ bits);
	REFUSED(status, r->rd, KCORE_LAUNCH_KEY, r->rd, key);
	sim_write(key, offset, word);
}

static void keys(void **state)
{
	struct image m = image_make(7, content), n = image_make(8, content);
	uint64_t open = signed_block(7), zero = page(), wrapped = page();
	uint8_t stranger[32] = { 9 };
	struct realm r, any;

	(void)state;
	/* no policy, and one that any realm can meet */
	realm_make(&any);
	REFUSED(KCORE_ERROR_POLICY, any.rd, KCORE_LAUNCH_KEY, any.rd, m.key);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, any.rd, open);
	tenant_wrap(wrapped, open, content, NULL);
	REFUSED(KCORE_ERROR_POLICY, any.rd, KCORE_LAUNCH_KEY, any.rd, wrapped);
	realm_teardown(&any);

	image_realm(&r, &m);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_KEY, r.rd, 0);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_KEY, r.rd, m.key + 8);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_KEY, r.rd, r.rd);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_KEY, r.base, m.key);
	EXPECT(RMI_ERROR_INPUT, KCORE_LAUNCH_KEY, 0, m.key);
	for (uint64_t at = 0; at < LAUNCH_KEY_END; at += 8)
		key_bad(&r, m.key, at, 1, KCORE_ERROR_SEAL);
	for (uint64_t at = LAUNCH_KEY_END; at < 4096; at += 8)
		key_bad(&r, m.key, at, 1UL << 63, RMI_ERROR_INPUT);
	/* another image's key; one for another machine; one whose exchange gives zero */
	REFUSED(KCORE_ERROR_SEAL, r.rd, KCORE_LAUNCH_KEY, r.rd, n.key);
	tenant_wrap(wrapped, m.block, content, stranger);
	REFUSED(KCORE_ERROR_SEAL, r.rd, KCORE_LAUNCH_KEY, r.rd, wrapped);
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(zero, i, 0);
	REFUSED(KCORE_ERROR_SEAL, r.rd, KCORE_LAUNCH_KEY, r.rd, zero);
	/* the same image with another policy: the key is for that one only */
	sim_write(n.block, LAUNCH_IMAGE_ID, sim_read(m.block, LAUNCH_IMAGE_ID));
	for (unsigned i = 0; i < 4; i++)
		sim_write(n.block, LAUNCH_IMAGE_ID + 8 * i, sim_read(m.block, LAUNCH_IMAGE_ID + 8 * i));
	tenant_wrap(wrapped, n.block, content, NULL);
	REFUSED(KCORE_ERROR_SEAL, r.rd, KCORE_LAUNCH_KEY, r.rd, wrapped);

	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_KEY, r.rd, m.key);
	assert_int_equal(rd_word(r.rd, "has_key", 0), 1);
	assert_int_equal(rd_word(r.rd, "content_key", 0), *(const uint64_t *)(const void *)content);
	REFUSED(REALM_ERROR(0), r.rd, KCORE_LAUNCH_KEY, r.rd, m.key);
	assert_int_equal(sim_refs(m.key), 0);
	/* a realm that ends takes it along */
	realm_teardown(&r);
}

static void key_gone(struct realm *r)
{
	assert_int_equal(rd_word(r->rd, "has_key", 0), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(rd_word(r->rd, "content_key", i), 0);
}

static void sealed(void **state)
{
	struct image m = image_make(7, content);
	struct realm r;
	uint64_t pa;

	(void)state;
	image_realm(&r, &m);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_KEY, r.rd, m.key);
	pa = dpage();
	EXPECT(RMI_SUCCESS, KCORE_DATA_CREATE_SEALED, r.rd, pa, SEALED_IPA, m.src, m.tag);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(sim_read(pa, 8 * i), sim_read(m.plain, 8 * i));
	assert_int_equal(sim_state(pa), GS_DATA);
	assert_int_equal(sim_realm_page(r.rd, SEALED_IPA), pa);
	assert_int_equal(sim_refs(m.src), 0);
	assert_int_equal(sim_refs(m.tag & ~0xfffUL), 0);
	/* measured as the plain page would be: the RIM is the one that the tenant expects */
	realm_run(&r);
	key_gone(&r);
	REFUSED(REALM_ERROR(0), r.rd, KCORE_LAUNCH_KEY, r.rd, m.key);
	REFUSED(REALM_ERROR(0), r.rd, KCORE_DATA_CREATE_SEALED, r.rd, dpage(), 0x4000, m.src, m.tag);
	realm_teardown(&r);
}

#define SEALED_REFUSED(status, pa, ...)                                                        \
	do {                                                                                   \
		REFUSED(status, __VA_ARGS__);                                                  \
		assert_true(sim_is_zero(pa));                                                  \
		assert_int_equal(sim_state(pa), GS_DELEGATED);                                 \
	} while (0)

static void sealed_refused(void **state)
{
	struct image m = image_make(7, content);
	uint64_t pa, tags = m.tag & ~0xfffUL;
	struct realm r;

	(void)state;
	image_realm(&r, &m);
	pa = dpage();
	/* without a key */
	SEALED_REFUSED(REALM_ERROR(0), pa, r.rd, KCORE_DATA_CREATE_SEALED, r.rd, pa, SEALED_IPA, m.src, m.tag);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_KEY, r.rd, m.key);
#define BAD(status, ...) SEALED_REFUSED(status, pa, r.rd, KCORE_DATA_CREATE_SEALED, __VA_ARGS__)
	for (unsigned i = 1; i < 16; i++)
		BAD(RMI_ERROR_INPUT, r.rd, pa, SEALED_IPA, m.src, m.tag + i);
	BAD(RMI_ERROR_INPUT, r.rd, pa, SEALED_IPA, m.src, 0);
	BAD(RMI_ERROR_INPUT, r.rd, pa, SEALED_IPA, m.src, r.rd);
	BAD(RMI_ERROR_INPUT, r.rd, pa, SEALED_IPA, m.src, SIM_DRAM);
	BAD(RMI_ERROR_INPUT, r.rd, pa, SEALED_IPA, 0, m.tag);
	BAD(RMI_ERROR_INPUT, r.rd, pa, SEALED_IPA, pa, m.tag);
	BAD(RMI_ERROR_INPUT, r.rd, pa, SEALED_IPA, m.src + 8, m.tag);
	BAD(RMI_ERROR_INPUT, r.base, pa, SEALED_IPA, m.src, m.tag);
	BAD(RMI_ERROR_INPUT, r.rd, r.rd, SEALED_IPA, m.src, m.tag);
	BAD(RMI_ERROR_INPUT, r.rd, m.plain, SEALED_IPA, m.src, m.tag);
	BAD(RMI_ERROR_INPUT, r.rd, pa, SEALED_IPA + 8, m.src, m.tag);
	BAD(RMI_ERROR_INPUT, r.rd, pa, HALF, m.src, m.tag);
	BAD(LEVEL_ERROR(1), r.rd, pa, 1UL << 30, m.src, m.tag);
	BAD(LEVEL_ERROR(2), r.rd, pa, 1UL << 21, m.src, m.tag);
	/* another place, another tag, another bit */
	BAD(KCORE_ERROR_SEAL, r.rd, pa, SEALED_IPA + 0x1000, m.src, m.tag);
	BAD(KCORE_ERROR_SEAL, r.rd, pa, 0, m.src, m.tag);
	BAD(KCORE_ERROR_SEAL, r.rd, pa, SEALED_IPA, m.src, m.tag + 16);
	BAD(KCORE_ERROR_SEAL, r.rd, pa, SEALED_IPA, m.plain, m.tag);
	for (unsigned i = 0; i < 2; i++) {
		sim_write(tags, 0x20 + 8 * i, sim_read(tags, 0x20 + 8 * i) ^ 1);
		BAD(KCORE_ERROR_SEAL, r.rd, pa, SEALED_IPA, m.src, m.tag);
		sim_write(tags, 0x20 + 8 * i, sim_read(tags, 0x20 + 8 * i) ^ 1);
	}
	for (unsigned i = 0; i < 4096; i += 8 * 73) {
		sim_write(m.src, i, sim_read(m.src, i) ^ 1UL << 63);
		BAD(KCORE_ERROR_SEAL, r.rd, pa, SEALED_IPA, m.src, m.tag);
		sim_write(m.src, i, sim_read(m.src, i) ^ 1UL << 63);
	}
	EXPECT(RMI_SUCCESS, KCORE_DATA_CREATE_SEALED, r.rd, pa, SEALED_IPA, m.src, m.tag);
	pa = dpage();
	BAD(LEVEL_ERROR(3), r.rd, pa, SEALED_IPA, m.src, m.tag);
	realm_run(&r);
	realm_teardown(&r);
#undef BAD
}

/* A page of another image, under the same key and at the same place; a page under another key. */
static void sealed_elsewhere(void **state)
{
	struct image m = image_make(7, content), n = image_make(8, content), o = image_make(7, other);
	struct realm r;
	uint64_t pa;

	(void)state;
	image_realm(&r, &m);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_KEY, r.rd, m.key);
	pa = dpage();
	SEALED_REFUSED(KCORE_ERROR_SEAL, pa, r.rd, KCORE_DATA_CREATE_SEALED, r.rd, pa, SEALED_IPA, n.src, n.tag);
	SEALED_REFUSED(KCORE_ERROR_SEAL, pa, r.rd, KCORE_DATA_CREATE_SEALED, r.rd, pa, SEALED_IPA, o.src, o.tag);
	EXPECT(RMI_SUCCESS, KCORE_DATA_CREATE_SEALED, r.rd, pa, SEALED_IPA, m.src, m.tag);
	realm_teardown(&r);
}

static void sealed_limit(void **state)
{
	struct image m = { signed_block(7), page(), page(), page(), 0 };
	struct realm r;
	uint64_t pa;

	(void)state;
	sim_write(m.block, LAUNCH_MAX_PRIVATE, 0);
	sim_write(m.block, LAUNCH_RIM, 1);
	tenant_sign(m.block, 1);
	tenant_wrap(m.key, m.block, content, NULL);
	image_realm(&r, &m);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_KEY, r.rd, m.key);
	pa = dpage();
	/* before the page is looked at */
	SEALED_REFUSED(KCORE_ERROR_POLICY, pa, r.rd, KCORE_DATA_CREATE_SEALED, r.rd, pa, SEALED_IPA, m.src, m.tag);
	realm_teardown(&r);
}

/* ---- The RIM ------------------------------------------------------------------------------------------ */

static void wrong_rim(void **state)
{
	struct image m = image_make(7, content);
	struct realm r;

	(void)state;
	/* nothing loaded; the page loaded unmeasured; one REC more; each word of the RIM altered */
	image_realm(&r, &m);
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_KEY, r.rd, m.key);
	REFUSED(KCORE_ERROR_RIM, r.rd, RMI_REALM_ACTIVATE, r.rd);
	assert_int_equal(rd_word(r.rd, "state", 0), REALM_NEW);
	assert_int_equal(rd_word(r.rd, "has_key", 0), 1);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE, r.rd, dpage(), SEALED_IPA, m.plain, 0);
	REFUSED(KCORE_ERROR_RIM, r.rd, RMI_REALM_ACTIVATE, r.rd);
	realm_teardown(&r);

	image_realm(&r, &m);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE, r.rd, dpage(), SEALED_IPA, m.plain, 1);
	rec_make(&r, true);
	REFUSED(KCORE_ERROR_RIM, r.rd, RMI_REALM_ACTIVATE, r.rd);
	realm_teardown(&r);

	for (unsigned i = 0; i < 8; i++) {
		sim_write(m.block, LAUNCH_RIM + 8 * i, sim_read(m.block, LAUNCH_RIM + 8 * i) ^ 1);
		tenant_sign(m.block, 1);
		image_realm(&r, &m);
		EXPECT(RMI_SUCCESS, RMI_DATA_CREATE, r.rd, dpage(), SEALED_IPA, m.plain, 1);
		REFUSED(KCORE_ERROR_RIM, r.rd, RMI_REALM_ACTIVATE, r.rd);
		realm_teardown(&r);
		sim_write(m.block, LAUNCH_RIM + 8 * i, sim_read(m.block, LAUNCH_RIM + 8 * i) ^ 1);
	}
	/* a plain page is as good as a sealed one: what counts is what is measured */
	tenant_sign(m.block, 1);
	image_realm(&r, &m);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE, r.rd, dpage(), SEALED_IPA, m.plain, 1);
	realm_run(&r);
	realm_teardown(&r);
}

/* Policy, signer, and the order of steps make the RIM. */
static void rim_depends(void **state)
{
	uint64_t rim[6], src = page(), block = page();
	struct realm r;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		tenant_block(block, 7);
		sim_write(block, LAUNCH_FLAGS, i == 1);
		sim_write(block, LAUNCH_IMAGE_ID + 24, i == 2);
		sim_write(block, LAUNCH_RIM, i == 4);
		tenant_sign(block, i == 3 ? 2 : 1);
		realm_make(&r);
		if (i == 5)
			EXPECT(RMI_SUCCESS, RMI_RTT_INIT_RIPAS, r.rd, 0, 1UL << 30);
		EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r.rd, block);
		if (i != 5)
			EXPECT(RMI_SUCCESS, RMI_RTT_INIT_RIPAS, r.rd, 0, 1UL << 30);
		realm_tables(&r, 0);
		EXPECT(RMI_SUCCESS, RMI_DATA_CREATE, r.rd, dpage(), 0, src, 1);
		rim[i] = rd_word(r.rd, "meas", 0);
		realm_teardown(&r);
	}
	/* the RIM that is expected is no part of it */
	assert_int_equal(rim[0], rim[4]);
	for (unsigned i = 0; i < 6; i++)
		for (unsigned k = i + 1; k < 6; k++)
			assert_true(rim[i] != rim[k] || (i == 0 && k == 4));
}

/* The host may write while KCore reads: a block is taken once. */
static uint64_t changing;

static void change_block(void)
{
	sim_write(changing, LAUNCH_MAX_VCPUS, 400);
	sim_write(changing, LAUNCH_FLAGS, 0xff);
}

static void block_read_once(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	changing = signed_block(7);
	sim_while_waiting = change_block; /* after the checks, before the realm's lock */
	EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r.rd, changing);
	sim_while_waiting = NULL;
	assert_int_equal(rd_word(r.rd, "max_vcpus", 0), 512);
	assert_int_equal(rd_word(r.rd, "policy", LAUNCH_FLAGS / 8), 0);
	realm_teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(policy), TEST(malformed), TEST(bad_signature), TEST(policy_order), TEST(policy_late),
		TEST(max_vcpus), TEST(max_private), TEST(max_shared), TEST(keys), TEST(sealed), TEST(sealed_refused),
		TEST(sealed_elsewhere), TEST(sealed_limit), TEST(wrong_rim), TEST(rim_depends), TEST(block_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
