/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dispatch of the host's calls: RMI and KCORE_*.
 */
#include "core.h"

/* ---- RMI ------------------------------------------------------------------------------------------ */

static struct rmi_result rmi_status(uint64_t status)
{
	return (struct rmi_result){ status, 0, 0, 0, 0 };
}

static struct rmi_result rmi_version(uint64_t asked)
{
	if (asked == RMI_ABI_VERSION) {
		return (struct rmi_result){ RMI_SUCCESS, RMI_ABI_VERSION, RMI_ABI_VERSION, 0, 0 };
	}
	return (struct rmi_result){ RMI_ERROR_INPUT, RMI_ABI_VERSION, RMI_ABI_VERSION, 0, 0 };
}

static struct rmi_result rmi_features(uint64_t index)
{
	uint64_t width = s2_width();
	uint64_t vtr = ich_vtr();
	uint64_t value = width | RMI_FEATURE_SHA256 | RMI_FEATURE_SHA512;

	if (index != 0) {
		return (struct rmi_result){ RMI_SUCCESS, 0, 0, 0, 0 };
	}
	value = value | (RMI_NUM_BPS << RMI_FEATURE_NUM_BPS_SHIFT);
	value = value | (RMI_NUM_WPS << RMI_FEATURE_NUM_WPS_SHIFT);
	value = value | ((vtr & 0xF) << RMI_FEATURE_NUM_LRS_SHIFT);
	value = value | (RMI_MAX_RECS_ORDER << RMI_FEATURE_MAX_RECS_SHIFT);
	return (struct rmi_result){ RMI_SUCCESS, value, 0, 0, 0 };
}

/* Commands that answer with a status only; -1 for none of them. */
static uint64_t rmi_simple(uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5)
{
	uint64_t status = SMCCC_NOT_SUPPORTED;

	if (fid == RMI_GRANULE_DELEGATE) {
		status = granule_delegate(x1);
		return status;
	}
	if (fid == RMI_GRANULE_UNDELEGATE) {
		status = granule_undelegate(x1);
		return status;
	}
	if (fid == RMI_DATA_CREATE) {
		status = data_create(x1, x2, x3, x4, x5);
		return status;
	}
	if (fid == RMI_DATA_CREATE_UNKNOWN) {
		status = data_create_unknown(x1, x2, x3);
		return status;
	}
	if (fid == RMI_REALM_CREATE) {
		status = realm_create(x1, x2);
		return status;
	}
	if (fid == RMI_REALM_ACTIVATE) {
		status = realm_activate(x1);
		return status;
	}
	if (fid == RMI_REALM_DESTROY) {
		status = realm_destroy(x1);
		return status;
	}
	if (fid == RMI_REC_CREATE) {
		status = rec_create(x1, x2, x3);
		return status;
	}
	if (fid == RMI_REC_DESTROY) {
		status = rec_destroy(x1);
		return status;
	}
	if (fid == RMI_RTT_CREATE) {
		status = rtt_create(x1, x2, x3, x4);
		return status;
	}
	if (fid == RMI_RTT_MAP_UNPROTECTED) {
		status = rtt_map_unprotected(x1, x2, x3, x4);
		return status;
	}
	if (fid == RMI_PSCI_COMPLETE) {
		status = psci_complete(x1, x2, x3);
		return status;
	}
	return status;
}

/* Commands with results. */
static struct rmi_result rmi_call(uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5)
{
	struct rmi_result r = { SMCCC_NOT_SUPPORTED, 0, 0, 0, 0 };

	if (fid == RMI_VERSION) {
		r = rmi_version(x1);
		return r;
	}
	if (fid == RMI_FEATURES) {
		r = rmi_features(x1);
		return r;
	}
	if (fid == RMI_DATA_DESTROY) {
		r = data_destroy(x1, x2);
		return r;
	}
	if (fid == RMI_RTT_DESTROY) {
		r = rtt_destroy(x1, x2, x3);
		return r;
	}
	if (fid == RMI_RTT_FOLD) {
		r = rtt_fold(x1, x2, x3);
		return r;
	}
	if (fid == RMI_RTT_UNMAP_UNPROTECTED) {
		r = rtt_unmap_unprotected(x1, x2, x3);
		return r;
	}
	if (fid == RMI_REC_AUX_COUNT) {
		r = realm_aux_count(x1);
		return r;
	}
	if (fid == RMI_RTT_INIT_RIPAS) {
		r = rtt_init_ripas(x1, x2, x3);
		return r;
	}
	if (fid == RMI_RTT_SET_RIPAS) {
		r = rtt_set_ripas(x1, x2, x3, x4);
		return r;
	}
	uint64_t status = rmi_simple(fid, x1, x2, x3, x4, x5);
	r = rmi_status(status);
	return r;
}

/* ---- KCORE_* -------------------------------------------------------------------------------------- */

static struct rmi_result kcore_features(uint64_t index)
{
	uint64_t value = 0;

	if (index == KCORE_FEATURE_ICH_VTR) {
		value = ich_vtr();
	} else if (index == KCORE_FEATURE_TRACKED) {
		value = tracked_granules();
	} else if (index == KCORE_FEATURE_DELEGATED) {
		value = counter_read(KCORE_CTR_DELEGATED);
	} else if (index == KCORE_FEATURE_REALMS) {
		value = counter_read(KCORE_CTR_REALMS);
	} else if (index == KCORE_FEATURE_LOG_SIZE) {
		value = log_size();
	} else if (index == KCORE_FEATURE_COUNTERS) {
		value = KCORE_NUM_COUNTERS;
	} else {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	return (struct rmi_result){ RMI_SUCCESS, value, 0, 0, 0 };
}

static struct rmi_result kcore_log_read(uint64_t ns, uint64_t seq)
{
	bool ok = ns_get(ns);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct log_read_result read = log_read(ns, seq);
	ns_put(ns);
	return (struct rmi_result){ RMI_SUCCESS, read.bytes, read.next, 0, 0 };
}

static struct rmi_result kcore_identity_read(uint64_t ns, uint64_t offset)
{
	bool ok = ns_get(ns);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct identity_read_result read = identity_read(ns, offset);
	ns_put(ns);
	return (struct rmi_result){ RMI_SUCCESS, read.bytes, read.total, 0, 0 };
}

static struct rmi_result kcore_counter_read(uint64_t index)
{
	if (index >= KCORE_NUM_COUNTERS) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	uint64_t value = counter_read(index);
	return (struct rmi_result){ RMI_SUCCESS, value, 0, 0, 0 };
}

static struct rmi_result kcore_delegate_range(uint64_t pa, uint64_t count)
{
	struct range_result range = granule_delegate_range(pa, count);

	return (struct rmi_result){ range.status, range.done, 0, 0, 0 };
}

static struct rmi_result kcore_undelegate_range(uint64_t pa, uint64_t count)
{
	struct range_result range = granule_undelegate_range(pa, count);

	return (struct rmi_result){ range.status, range.done, 0, 0, 0 };
}

/* Calls on a realm that is being launched, which answer with a status only; -1 for none of them. */
static uint64_t kcore_launch(uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5)
{
	uint64_t status = SMCCC_NOT_SUPPORTED;

	if (fid == KCORE_LAUNCH_POLICY) {
		status = launch_policy(x1, x2);
		return status;
	}
	if (fid == KCORE_LAUNCH_KEY) {
		status = launch_key(x1, x2);
		return status;
	}
	if (fid == KCORE_DATA_CREATE_SEALED) {
		status = data_create_sealed(x1, x2, x3, x4, x5);
		return status;
	}
	return status;
}

static struct rmi_result kcore_call(uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5)
{
	struct rmi_result r = { SMCCC_NOT_SUPPORTED, 0, 0, 0, 0 };

	if (fid == KCORE_VENDOR_UID) {
		return (struct rmi_result){ KCORE_UID_0, KCORE_UID_1, KCORE_UID_2, KCORE_UID_3, 0 };
	}
	if (fid == KCORE_VERSION) {
		return (struct rmi_result){ RMI_SUCCESS, KCORE_ABI_VERSION, KCORE_ABI_FEATURES, 0, 0 };
	}
	if (fid == KCORE_FEATURES) {
		r = kcore_features(x1);
		return r;
	}
	if (fid == KCORE_DELEGATE_RANGE) {
		r = kcore_delegate_range(x1, x2);
		return r;
	}
	if (fid == KCORE_UNDELEGATE_RANGE) {
		r = kcore_undelegate_range(x1, x2);
		return r;
	}
	if (fid == KCORE_LOG_READ) {
		r = kcore_log_read(x1, x2);
		return r;
	}
	if (fid == KCORE_IDENTITY_READ) {
		r = kcore_identity_read(x1, x2);
		return r;
	}
	if (fid == KCORE_COUNTER_READ) {
		r = kcore_counter_read(x1);
		return r;
	}
	uint64_t status = kcore_launch(fid, x1, x2, x3, x4, x5);
	r = rmi_status(status);
	return r;
}

/* ---- Entry ---------------------------------------------------------------------------------------- */

struct smc_result core_host_smc(uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4,
				uint64_t x5)
{
	uint64_t id = fid & 0xFFFFFFFFUL & ~SMCCC_SVE_HINT;
	struct rmi_result r = { SMCCC_NOT_SUPPORTED, 0, 0, 0, 0 };
	uint64_t out4 = x4;

	if (id == RMI_REC_ENTER) {
		struct smc_result run = rec_enter(x1, x2);
		run.x4 = x4;
		return run;
	}
	if (id == RMI_RTT_READ_ENTRY) {
		r = rtt_read_entry(x1, x2, x3);
		out4 = r.x4;
	} else if (id >= RMI_FID_FIRST && id <= RMI_FID_LAST) {
		r = rmi_call(id, x1, x2, x3, x4, x5);
	} else {
		r = kcore_call(id, x1, x2, x3, x4, x5);
	}
	return (struct smc_result){ r.status, r.x1, r.x2, r.x3, out4, 0 };
}
