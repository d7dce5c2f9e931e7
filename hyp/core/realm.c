/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Realms: create, activate, destroy. States: NEW (being built, RIM open), ACTIVE (runs, RIM frozen),
 * SYSTEM_OFF (never runs again).
 */
#include "core.h"

/* A realm's parameters, each read once from this CPU's parameter page. */
struct realm_params {
	uint64_t flags;
	uint64_t s2sz;
	uint64_t num_bps;
	uint64_t num_wps;
	uint64_t hash_algo;
	uint64_t vmid;
	uint64_t rtt_base;
	uint64_t start_level;
	uint64_t num_start;
};

static struct realm_params realm_params_read(void)
{
	uint64_t flags = params_word(REALM_PARAMS_FLAGS);
	uint64_t s2sz = params_word(REALM_PARAMS_S2SZ);
	uint64_t num_bps = params_word(REALM_PARAMS_NUM_BPS);
	uint64_t num_wps = params_word(REALM_PARAMS_NUM_WPS);
	uint64_t hash_algo = params_word(REALM_PARAMS_HASH_ALGO);
	uint64_t vmid = params_word(REALM_PARAMS_VMID);
	uint64_t rtt_base = params_word(REALM_PARAMS_RTT_BASE);
	uint64_t start_level = params_word(REALM_PARAMS_RTT_LEVEL_START);
	uint64_t num_start = params_word(REALM_PARAMS_RTT_NUM_START);

	return (struct realm_params){ flags,
				      s2sz & 0xFFFFFFFFUL,
				      num_bps & 0xFFFFFFFFUL,
				      num_wps & 0xFFFFFFFFUL,
				      hash_algo & 0xFF,
				      vmid & 0xFFFF,
				      rtt_base,
				      start_level,
				      num_start & 0xFFFFFFFFUL };
}

/* 2^s2sz, for s2sz at most 48. */
static uint64_t realm_ipa_size(uint64_t s2sz)
{
	uint64_t size = 1;

	for (uint64_t i = 0; i < 48; i++) {
		if (i < s2sz) {
			size = size << 1;
		}
	}
	return size;
}

/* Start tables that a start level needs, at least 1 (DEN0137; 0: the level cannot start the walk). */
static uint64_t realm_num_start(uint64_t level, uint64_t s2sz)
{
	uint64_t size = realm_ipa_size(s2sz);
	bool level0 = has_level0();
	uint64_t index = s2_index(level, size);
	uint64_t tables = index >> 9;

	if (level > 2) {
		return 0;
	}
	if (level == 0 && (!level0 || s2sz < 40)) {
		return 0;
	}
	if (tables > MAX_START_TABLES) {
		return 0;
	}
	if (tables == 0) {
		return 1;
	}
	return tables;
}

/* Are the parameters such as this machine can make a realm of? */
static bool realm_params_ok(struct realm_params p)
{
	uint64_t width = s2_width();

	/* No feature of flags is on offer: LPA2, SVE, PMU. */
	if (p.flags != 0) {
		return false;
	}
	if (p.s2sz < 32 || p.s2sz > width) {
		return false;
	}
	if (p.num_bps < 1 || p.num_bps > RMI_NUM_BPS || p.num_wps < 1 || p.num_wps > RMI_NUM_WPS) {
		return false;
	}
	uint64_t tables = realm_num_start(p.start_level, p.s2sz);
	if (tables == 0 || p.num_start != tables) {
		return false;
	}
	if (p.hash_algo != RMI_HASH_SHA256 && p.hash_algo != RMI_HASH_SHA512) {
		return false;
	}
	/* The walker needs concatenated tables aligned to their whole size, a power of two. */
	if ((p.rtt_base & ((tables << 12) - 1)) != 0) {
		return false;
	}
	return true;
}

static void realm_fill(uint64_t rd, struct realm_params p)
{
	uint64_t size = realm_ipa_size(p.s2sz);

	rd_set_state(rd, REALM_NEW);
	rd_set_s2sz(rd, p.s2sz);
	rd_set_ipa_size(rd, size);
	rd_set_start_level(rd, p.start_level);
	rd_set_num_start(rd, p.num_start);
	rd_set_rtt_base(rd, p.rtt_base);
	rd_set_vmid(rd, p.vmid);
	rd_set_hash_algo(rd, p.hash_algo);
	rd_set_rec_index(rd, 0);
	rd_set_rec_count(rd, 0);
	rd_set_max_vcpus(rd, RMI_MAX_RECS);
	rd_set_max_private(rd, ~0UL);
	rd_set_max_shared(rd, ~0UL);
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t word = params_word(REALM_PARAMS_RPV + (i << 3));

		rd_set_rpv(rd, i, word);
	}
	measure_realm_params(rd);
}

/* The start tables are this realm's from now on. They are claimed. */
static void realm_own_start(uint64_t rd, uint64_t base, uint64_t num)
{
	for (uint64_t t = 0; t < MAX_START_TABLES; t++) {
		if (t < num) {
			granule_set(base + (t << 12), GS_RTT, rd);
		}
	}
}

/* rd is claimed, the VMID is this realm's. */
static uint64_t realm_create_claimed(uint64_t rd, struct realm_params p)
{
	bool ok = granules_claim(p.rtt_base, p.num_start);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}

	realm_fill(rd, p);
	rtt_init_start(rd);
	realm_own_start(rd, p.rtt_base, p.num_start);
	granules_release(p.rtt_base, p.num_start);
	tlbi_realm_all(p.vmid);
	granule_set(rd, GS_RD, 0);
	counter_add(KCORE_CTR_REALMS, 1);
	log_event(LOG_REALM_CREATE, rd, p.vmid);
	return RMI_SUCCESS;
}

static uint64_t realm_create_params(uint64_t rd)
{
	struct realm_params p = realm_params_read();

	/* Is what the host wants possible? */
	bool ok = realm_params_ok(p);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	/* Is the VMID free? */
	ok = vmid_claim(p.vmid);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	/* Are rd and all start tables delegated, and all different? */
	uint64_t status = RMI_ERROR_INPUT;
	ok = granule_claim(rd, GS_DELEGATED);
	if (ok) {
		status = realm_create_claimed(rd, p);
		granule_release(rd);
	}
	if (status != RMI_SUCCESS) {
		vmid_release(p.vmid);
	}
	return status;
}

/* RMI_REALM_CREATE */
uint64_t realm_create(uint64_t rd, uint64_t params)
{
	bool ok = ns_get(params);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	params_load(params);
	uint64_t status = realm_create_params(rd);
	ns_put(params);
	return status;
}

static uint64_t realm_activate_locked(uint64_t rd)
{
	uint64_t state = rd_get_state(rd);
	uint64_t rim = rd_get_meas(rd, 0);

	if (state != REALM_NEW) {
		uint64_t error = error_realm(0);
		return error;
	}
	/* Is it what its tenant wants to run? */
	bool ok = launch_rim_ok(rd);
	if (!ok) {
		return KCORE_ERROR_RIM;
	}

	launch_forget_key(rd);
	rd_set_state(rd, REALM_ACTIVE);
	log_event(LOG_REALM_ACTIVATE, rd, rim);
	return RMI_SUCCESS;
}

/* RMI_REALM_ACTIVATE */
uint64_t realm_activate(uint64_t rd)
{
	bool ok = realm_lock(rd);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	uint64_t status = realm_activate_locked(rd);
	realm_unlock(rd);
	return status;
}

/* RMI_REALM_DESTROY */
uint64_t realm_destroy(uint64_t rd)
{
	bool ok = realm_lock(rd);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	/* Is it empty: no REC, no table, no page? */
	uint64_t recs = rd_get_rec_count(rd);
	bool unused = rtt_start_unused(rd);
	if (recs != 0 || !unused) {
		uint64_t status = error_realm(0);
		realm_unlock(rd);
		return status;
	}

	uint64_t vmid = rd_get_vmid(rd);
	tlbi_realm_all(vmid);
	rtt_free_start(rd);
	vmid_release(vmid);
	counter_add(KCORE_CTR_REALMS, ~0UL);
	log_event(LOG_REALM_DESTROY, rd, vmid);
	granule_scrub(rd);
	realm_unlock(rd);
	return RMI_SUCCESS;
}

/* RMI_REC_AUX_COUNT: x1 the number. */
struct rmi_result realm_aux_count(uint64_t rd)
{
	bool ok = realm_lock(rd);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	realm_unlock(rd);
	return (struct rmi_result){ RMI_SUCCESS, RMI_REC_AUX_COUNT_VALUE, 0, 0, 0 };
}
