/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launch: what the tenant decided about a realm, and the key of its sealed pages.
 *
 * The launch policy comes first, right after REALM_CREATE: the block is signed by the tenant, becomes part of
 * the RIM, and limits what the host can do to the realm from then on. The content key is given away only to a
 * realm whose RIM the tenant has fixed, and is gone before that realm runs.
 */
#include "core.h"

#define POLICY_WORDS 30UL
#define KEY_WORDS 4UL

/* Is the parameter page zero from byte offset first up to end? Both are multiples of 8. */
static bool params_zero(uint64_t first, uint64_t end)
{
	uint64_t bits = 0;

	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		if (i >= first >> 3 && i < end >> 3) {
			uint64_t word = params_word(i << 3);

			bits = bits | word;
		}
	}
	return bits == 0;
}

/* Is the parameter page a launch block? */
static bool launch_block_ok(void)
{
	uint64_t magic = params_word(LAUNCH_MAGIC);
	uint64_t version = params_word(LAUNCH_VERSION);
	uint64_t flags = params_word(LAUNCH_FLAGS);
	uint64_t vcpus = params_word(LAUNCH_MAX_VCPUS);
	bool reserved = params_zero(LAUNCH_RESERVED, LAUNCH_RIM);
	bool end = params_zero(LAUNCH_END, GRANULE_SIZE);

	if (magic != LAUNCH_MAGIC_VALUE || version != LAUNCH_VERSION_VALUE) {
		return false;
	}
	if ((flags & ~(LAUNCH_FLAG_DEBUG | LAUNCH_FLAG_SNAPSHOT)) != 0) {
		return false;
	}
	if (vcpus == 0 || vcpus > LAUNCH_VCPUS_LIMIT) {
		return false;
	}
	return reserved && end;
}

/* Can the block in the parameter page be any realm's policy here? The status that says why not. */
static uint64_t launch_block_check(void)
{
	uint64_t min_version = params_word(LAUNCH_MIN_VERSION);

	bool ok = launch_block_ok();
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	if (min_version > KCORE_ABI_VERSION) {
		return KCORE_ERROR_POLICY;
	}
	ok = params_signed(LAUNCH_SIGNATURE, LAUNCH_SIGNER, LAUNCH_SIGNATURE);
	if (!ok) {
		return KCORE_ERROR_SIGNATURE;
	}
	return RMI_SUCCESS;
}

/* Is the realm as REALM_CREATE left it, but for RIPAS and tables? */
static bool launch_untouched(uint64_t rd)
{
	uint64_t state = rd_get_state(rd);
	uint64_t has_policy = rd_get_has_policy(rd);
	uint64_t recs = rd_get_rec_index(rd);
	uint64_t private = rd_get_pages_private(rd);
	uint64_t shared = rd_get_pages_shared(rd);

	return state == REALM_NEW && has_policy == 0 && recs == 0 && private == 0 && shared == 0;
}

static uint64_t launch_policy_locked(uint64_t rd)
{
	bool ok = launch_untouched(rd);
	if (!ok) {
		uint64_t error = error_realm(0);
		return error;
	}

	uint64_t max_vcpus = params_word(LAUNCH_MAX_VCPUS);
	uint64_t max_private = params_word(LAUNCH_MAX_PRIVATE);
	uint64_t max_shared = params_word(LAUNCH_MAX_SHARED);
	for (uint64_t i = 0; i < POLICY_WORDS; i++) {
		uint64_t word = params_word(i << 3);

		rd_set_policy(rd, i, word);
	}
	rd_set_has_policy(rd, 1);
	rd_set_max_vcpus(rd, max_vcpus);
	rd_set_max_private(rd, max_private);
	rd_set_max_shared(rd, max_shared);
	measure_policy(rd);
	return RMI_SUCCESS;
}

static uint64_t launch_policy_pinned(uint64_t rd)
{
	uint64_t status = launch_block_check();
	if (status != RMI_SUCCESS) {
		return status;
	}
	bool ok = realm_lock(rd);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	status = launch_policy_locked(rd);
	realm_unlock(rd);
	return status;
}

/* KCORE_LAUNCH_POLICY */
uint64_t launch_policy(uint64_t rd, uint64_t block)
{
	bool ok = ns_get(block);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	params_load(block);
	uint64_t status = launch_policy_pinned(rd);
	ns_put(block);
	return status;
}

/* Does the policy expect a RIM? */
static bool launch_expects_rim(uint64_t rd)
{
	uint64_t bits = 0;

	for (uint64_t i = 0; i < MEAS_WORDS; i++) {
		uint64_t word = rd_get_policy(rd, (LAUNCH_RIM >> 3) + i);

		bits = bits | word;
	}
	return bits != 0;
}

/* Is the RIM what the policy expects, if it expects one? */
bool launch_rim_ok(uint64_t rd)
{
	bool expects = launch_expects_rim(rd);
	uint64_t differ = 0;

	for (uint64_t i = 0; i < MEAS_WORDS; i++) {
		uint64_t want = rd_get_policy(rd, (LAUNCH_RIM >> 3) + i);
		uint64_t have = rd_get_meas(rd, i);

		differ = differ | (want ^ have);
	}
	return !expects || differ == 0;
}

static uint64_t launch_key_locked(uint64_t rd)
{
	uint64_t state = rd_get_state(rd);
	uint64_t has_key = rd_get_has_key(rd);

	/* Is the realm still being built, and has it none yet? */
	if (state != REALM_NEW || has_key != 0) {
		uint64_t error = error_realm(0);
		return error;
	}
	/* A realm that can be anything gets no key. */
	bool ok = launch_expects_rim(rd);
	if (!ok) {
		return KCORE_ERROR_POLICY;
	}
	/* Is it sealed to this KCore, for this policy? */
	ok = open_content_key(rd);
	if (!ok) {
		return KCORE_ERROR_SEAL;
	}

	rd_set_has_key(rd, 1);
	return RMI_SUCCESS;
}

static uint64_t launch_key_pinned(uint64_t rd)
{
	bool ok = params_zero(LAUNCH_KEY_END, GRANULE_SIZE);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	ok = realm_lock(rd);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	uint64_t status = launch_key_locked(rd);
	realm_unlock(rd);
	return status;
}

/* KCORE_LAUNCH_KEY */
uint64_t launch_key(uint64_t rd, uint64_t page)
{
	bool ok = ns_get(page);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	params_load(page);
	uint64_t status = launch_key_pinned(rd);
	ns_put(page);
	return status;
}

/* Nothing more will be unsealed for this realm. */
void launch_forget_key(uint64_t rd)
{
	for (uint64_t i = 0; i < KEY_WORDS; i++) {
		rd_set_content_key(rd, i, 0);
	}
	rd_set_has_key(rd, 0);
}
