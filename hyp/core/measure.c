/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measurements: the realm initial measurement (RIM, slot 0) and the extensible ones (REM, slots 1 to 4).
 * Each is eight words, zero past the size of the hash. Descriptors are hashed in the layout of DEN0137;
 * offsets below are in words of 8 bytes.
 */
#include "core.h"

#define DESC_WORDS 32UL /* 0x100 bytes */
#define DESC_SIZE 0x100UL
#define DESC_TYPE 0UL
#define DESC_LENGTH 1UL
#define DESC_RIM 2UL
#define DESC_BODY 10UL

#define DESC_TYPE_DATA 0UL
#define DESC_TYPE_REC 1UL
#define DESC_TYPE_RIPAS 2UL
#define DESC_TYPE_POLICY 0x4BUL /* KCore's own */

#define POLICY_MEASURED 18UL /* words of the launch block, besides the signer's key */
#define SIGNER_WORDS 4UL

/* Store the digest just made as measurement slot. */
static void measure_store(uint64_t rd, uint64_t slot)
{
	for (uint64_t i = 0; i < MEAS_WORDS; i++) {
		uint64_t word = hash_word(i);

		rd_set_meas(rd, (slot << 3) + i, word);
	}
}

/* Start a descriptor in the hash buffer: type, length and the present RIM. */
static void measure_begin(uint64_t rd, uint64_t type)
{
	hash_clear();
	hash_put(DESC_TYPE, type);
	hash_put(DESC_LENGTH, DESC_SIZE);
	for (uint64_t i = 0; i < MEAS_WORDS; i++) {
		uint64_t word = rd_get_meas(rd, i);

		hash_put(DESC_RIM + i, word);
	}
}

/* The descriptor is complete: its hash is the new RIM. */
static void measure_end(uint64_t rd)
{
	uint64_t alg = rd_get_hash_algo(rd);

	hash_buffer(alg, DESC_SIZE);
	measure_store(rd, 0);
}

static void measure_copy_param(uint64_t offset, uint64_t mask)
{
	uint64_t word = params_word(offset);

	hash_put(offset >> 3, word & mask);
}

/* RIM of a fresh realm: the parameters that shape it, in their places in an otherwise zero page. */
void measure_realm_params(uint64_t rd)
{
	uint64_t alg = rd_get_hash_algo(rd);

	hash_clear();
	measure_copy_param(REALM_PARAMS_FLAGS, ~0UL);
	measure_copy_param(REALM_PARAMS_S2SZ, 0xFFFFFFFFUL);
	measure_copy_param(REALM_PARAMS_SVE_VL, 0xFFFFFFFFUL);
	measure_copy_param(REALM_PARAMS_NUM_BPS, 0xFFFFFFFFUL);
	measure_copy_param(REALM_PARAMS_NUM_WPS, 0xFFFFFFFFUL);
	measure_copy_param(REALM_PARAMS_PMU_NUM_CTRS, 0xFFFFFFFFUL);
	measure_copy_param(REALM_PARAMS_HASH_ALGO, 0xFFUL);
	hash_buffer(alg, GRANULE_SIZE);
	measure_store(rd, 0);
}

/* LAUNCH_POLICY: the digest of a page with the measured part of the launch block, and the signer's key. */
void measure_policy(uint64_t rd)
{
	uint64_t alg = rd_get_hash_algo(rd);

	hash_clear();
	for (uint64_t i = 0; i < POLICY_MEASURED; i++) {
		uint64_t word = rd_get_policy(rd, i);

		hash_put(i, word);
	}
	hash_buffer(alg, GRANULE_SIZE);
	/* the digest stays readable while the buffer is filled anew */
	measure_begin(rd, DESC_TYPE_POLICY);
	for (uint64_t i = 0; i < MEAS_WORDS; i++) {
		uint64_t word = hash_word(i);

		hash_put(DESC_BODY + i, word);
	}
	for (uint64_t i = 0; i < SIGNER_WORDS; i++) {
		uint64_t word = rd_get_policy(rd, (LAUNCH_SIGNER >> 3) + i);

		hash_put(DESC_BODY + MEAS_WORDS + i, word);
	}
	measure_end(rd);
}

/* DATA_CREATE: the page pa at ipa; its content too if flags say so. */
void measure_data(uint64_t rd, uint64_t ipa, uint64_t flags, uint64_t pa)
{
	uint64_t alg = rd_get_hash_algo(rd);

	measure_begin(rd, DESC_TYPE_DATA);
	hash_put(DESC_BODY, ipa);
	hash_put(DESC_BODY + 1, flags);
	if (flags == RMI_DATA_MEASURED) {
		hash_granule(alg, pa);
		for (uint64_t i = 0; i < MEAS_WORDS; i++) {
			uint64_t word = hash_word(i);

			hash_put(DESC_BODY + 2 + i, word);
		}
	}
	measure_end(rd);
}

/* REC_CREATE of a runnable REC: flags, pc and registers of its parameters. */
void measure_rec(uint64_t rd)
{
	uint64_t alg = rd_get_hash_algo(rd);

	hash_clear();
	measure_copy_param(REC_PARAMS_FLAGS, ~0UL);
	measure_copy_param(REC_PARAMS_PC, ~0UL);
	for (uint64_t i = 0; i < 8; i++) {
		measure_copy_param(REC_PARAMS_GPRS + (i << 3), ~0UL);
	}
	hash_buffer(alg, GRANULE_SIZE);
	/* the digest stays readable while the buffer is filled anew */
	measure_begin(rd, DESC_TYPE_REC);
	for (uint64_t i = 0; i < MEAS_WORDS; i++) {
		uint64_t word = hash_word(i);

		hash_put(DESC_BODY + i, word);
	}
	measure_end(rd);
}

/* INIT_RIPAS: one entry became (or was) RAM. */
void measure_ripas(uint64_t rd, uint64_t base, uint64_t top)
{
	measure_begin(rd, DESC_TYPE_RIPAS);
	hash_put(DESC_BODY, base);
	hash_put(DESC_BODY + 1, top);
	measure_end(rd);
}

/* REM slot := H(REM || the first size bytes of the caller's x3 to x10). slot 1 to 4, size at most 64. */
void measure_extend(uint64_t rd, uint64_t rec, uint64_t slot, uint64_t size)
{
	uint64_t alg = rd_get_hash_algo(rd);
	uint64_t words = 4;

	if (alg == RMI_HASH_SHA512) {
		words = 8;
	}
	hash_clear();
	for (uint64_t i = 0; i < MEAS_WORDS; i++) {
		if (i < words) {
			uint64_t word = rd_get_meas(rd, (slot << 3) + i);

			hash_put(i, word);
		}
	}
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t word = rec_get_gpr(rec, 3 + i);

		hash_put(words + i, word);
	}
	hash_buffer(alg, (words << 3) + size);
	measure_store(rd, slot);
}
