/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSCI 1.1 for realms, and every other SMC that is not RSI. CPU_ON and AFFINITY_INFO need the host: it gives
 * the target REC with RMI_PSCI_COMPLETE before the caller may run again.
 */
#include "core.h"

#define PSCI_MPIDR_MASK 0xFF00FFFF0FUL

/* Index of an MPIDR as the guest knows it. */
static uint64_t psci_index(uint64_t mpidr)
{
	return (mpidr & 0xF) | ((mpidr >> 4) & 0xFFFF0UL) | ((mpidr >> 12) & 0xFF00000UL);
}

/* ---- RMI_PSCI_COMPLETE --------------------------------------------------------------------------- */

static void psci_finish(uint64_t caller, uint64_t result)
{
	rec_set_gpr(caller, 0, result);
	rec_set_gpr(caller, 1, 0);
	rec_set_gpr(caller, 2, 0);
	rec_set_gpr(caller, 3, 0);
	rec_set_psci_pending(caller, 0);
}

/* Start a target that is off, as the caller asked in x2 and x3. */
static void psci_turn_on(uint64_t caller, uint64_t target)
{
	uint64_t entry = rec_get_gpr(caller, 2);
	uint64_t context = rec_get_gpr(caller, 3);
	uint64_t sctlr = rec_sysreg(caller, SYS_SCTLR_EL1);

	rec_set_pstate(target, PSTATE_RESET);
	rec_set_sysreg(target, SYS_SCTLR_EL1, SCTLR_RESET | (sctlr & SCTLR_EE));
	rec_set_gpr(target, 0, context);
	rec_set_pc(target, entry);
	rec_set_runnable(target, 1);
}

static uint64_t psci_complete_on(uint64_t caller, uint64_t target, bool on, uint64_t status)
{
	if (status != PSCI_SUCCESS && status != PSCI_DENIED) {
		return RMI_ERROR_INPUT;
	}
	if (on) {
		psci_finish(caller, PSCI_ALREADY_ON);
		/* The realm gets its answer, but the host could not rightly deny this. */
		if (status == PSCI_DENIED) {
			return RMI_ERROR_INPUT;
		}
		return RMI_SUCCESS;
	}
	if (status == PSCI_SUCCESS) {
		psci_turn_on(caller, target);
	}
	psci_finish(caller, status);
	return RMI_SUCCESS;
}

static uint64_t psci_complete_affinity(uint64_t caller, bool on, uint64_t status)
{
	if (status != PSCI_SUCCESS) {
		return RMI_ERROR_INPUT;
	}
	if (on) {
		psci_finish(caller, PSCI_AFFINITY_ON);
	} else {
		psci_finish(caller, PSCI_AFFINITY_OFF);
	}
	return RMI_SUCCESS;
}

static uint64_t psci_complete_locked(uint64_t caller, uint64_t target, uint64_t status)
{
	uint64_t busy = rec_get_running(caller);
	uint64_t running = rec_get_running(target);
	uint64_t runnable = rec_get_runnable(target);
	uint64_t index = rec_get_index(target);

	/* Does the caller wait for an answer about this target? */
	if (busy != 0) {
		return RMI_ERROR_INPUT;
	}
	uint64_t pending = rec_get_psci_pending(caller);
	uint64_t fid = rec_get_gpr(caller, 0);
	uint64_t mpidr = rec_get_gpr(caller, 1);
	uint64_t want = psci_index(mpidr);
	if (pending == 0 || want != index) {
		return RMI_ERROR_INPUT;
	}

	bool on = running != 0 || runnable != 0;
	uint64_t result = RMI_ERROR_INPUT;
	if (fid == PSCI_CPU_ON_32 || fid == PSCI_CPU_ON_64) {
		result = psci_complete_on(caller, target, on, status);
	} else {
		result = psci_complete_affinity(caller, on, status);
	}
	return result;
}

/* RMI_PSCI_COMPLETE */
uint64_t psci_complete(uint64_t caller, uint64_t target, uint64_t status)
{
	uint64_t result = RMI_ERROR_INPUT;

	if (caller == target) {
		return result;
	}
	uint64_t rd = rec_lock_owner(caller);
	if (rd == 0) {
		return result;
	}
	uint64_t owner = granule_owner(target, GS_REC);
	if (owner == rd) {
		result = psci_complete_locked(caller, target, status);
	}
	realm_unlock(rd);
	return result;
}

/* ---- Calls of the guest -------------------------------------------------------------------------- */

/* Answer at once and go on. */
static bool psci_answer(uint64_t rec, uint64_t result)
{
	rec_return(rec, result, 0, 0, 0);
	return false;
}

/* Tell the host. */
static bool psci_notify(uint64_t fid, uint64_t mpidr)
{
	run_out_reason(REC_EXIT_PSCI);
	run_out_gpr(0, fid);
	run_out_gpr(1, mpidr);
	counter_add(KCORE_CTR_EXIT_PSCI, 1);
	return true;
}

/* The host has to name the target: x0 to x3 stay for PSCI_COMPLETE. */
static bool psci_ask(uint64_t rec, uint64_t fid, uint64_t mpidr)
{
	rec_set_gpr(rec, 0, fid);
	rec_set_psci_pending(rec, 1);
	rec_skip(rec);
	bool leave = psci_notify(fid, mpidr);
	return leave;
}

/* Is there a REC with this MPIDR? */
static bool psci_target_ok(uint64_t rd, uint64_t mpidr)
{
	uint64_t index = psci_index(mpidr);
	uint64_t created = rd_get_rec_index(rd);

	return (mpidr & ~PSCI_MPIDR_MASK) == 0 && index < created;
}

static bool psci_cpu_on(uint64_t rec, uint64_t fid)
{
	uint64_t mpidr = rec_get_gpr(rec, 1);
	uint64_t entry = rec_get_gpr(rec, 2);
	uint64_t index = psci_index(mpidr);
	uint64_t self = rec_get_index(rec);

	uint64_t rd = rec_lock_realm(rec);
	bool entry_ok = ipa_in_par(rd, entry);
	bool target_ok = psci_target_ok(rd, mpidr);
	realm_unlock(rd);
	bool leave = false;
	if (!entry_ok) {
		leave = psci_answer(rec, PSCI_INVALID_ADDRESS);
	} else if (!target_ok) {
		leave = psci_answer(rec, PSCI_INVALID_PARAMETERS);
	} else if (index == self) {
		leave = psci_answer(rec, PSCI_ALREADY_ON);
	} else {
		leave = psci_ask(rec, fid, mpidr);
	}
	return leave;
}

static bool psci_affinity_info(uint64_t rec, uint64_t fid)
{
	uint64_t mpidr = rec_get_gpr(rec, 1);
	uint64_t lowest = rec_get_gpr(rec, 2);
	uint64_t index = psci_index(mpidr);
	uint64_t self = rec_get_index(rec);

	uint64_t rd = rec_lock_realm(rec);
	bool target_ok = psci_target_ok(rd, mpidr);
	realm_unlock(rd);
	bool leave = false;
	if (lowest != 0 || !target_ok) {
		leave = psci_answer(rec, PSCI_INVALID_PARAMETERS);
	} else if (index == self) {
		leave = psci_answer(rec, PSCI_AFFINITY_ON);
	} else {
		leave = psci_ask(rec, fid, mpidr);
	}
	return leave;
}

static bool psci_cpu_off(uint64_t rec)
{
	uint64_t rd = rec_lock_realm(rec);
	rec_set_runnable(rec, 0);
	realm_unlock(rd);
	rec_skip(rec);
	bool leave = psci_notify(PSCI_CPU_OFF, 0);
	return leave;
}

static bool psci_system_off(uint64_t rec, uint64_t fid)
{
	uint64_t rd = rec_lock_realm(rec);
	rd_set_state(rd, REALM_SYSTEM_OFF);
	realm_unlock(rd);
	log_event(LOG_REALM_OFF, rd, fid);
	rec_skip(rec);
	bool leave = psci_notify(fid, 0);
	return leave;
}

static bool psci_suspend(uint64_t rec, uint64_t fid)
{
	rec_return(rec, PSCI_SUCCESS, 0, 0, 0);
	bool leave = psci_notify(fid, 0);
	return leave;
}

static uint64_t psci_features(uint64_t fid)
{
	if (fid == PSCI_CPU_SUSPEND_32 || fid == PSCI_CPU_SUSPEND_64 || fid == PSCI_CPU_OFF) {
		return PSCI_SUCCESS;
	}
	if (fid == PSCI_CPU_ON_32 || fid == PSCI_CPU_ON_64) {
		return PSCI_SUCCESS;
	}
	if (fid == PSCI_AFFINITY_INFO_32 || fid == PSCI_AFFINITY_INFO_64) {
		return PSCI_SUCCESS;
	}
	if (fid == PSCI_SYSTEM_OFF || fid == PSCI_SYSTEM_RESET) {
		return PSCI_SUCCESS;
	}
	if (fid == PSCI_FEATURES || fid == SMCCC_VERSION) {
		return PSCI_SUCCESS;
	}
	return PSCI_NOT_SUPPORTED;
}

/* Calls that the core answers alone; unknown ones are NOT_SUPPORTED. */
static bool psci_simple(uint64_t rec, uint64_t fid)
{
	uint64_t x1 = rec_get_gpr(rec, 1);
	uint64_t result = PSCI_NOT_SUPPORTED;

	if (fid == SMCCC_VERSION) {
		result = SMCCC_VERSION_1_2;
	} else if (fid == PSCI_VERSION) {
		result = PSCI_VERSION_1_1;
	} else if (fid == PSCI_FEATURES) {
		result = psci_features(x1 & 0xFFFFFFFFUL);
	}
	bool leave = psci_answer(rec, result);
	return leave;
}

/* The arguments of a 32-bit call are 32 bits wide. */
static void psci_narrow(uint64_t rec)
{
	for (uint64_t i = 1; i < 4; i++) {
		uint64_t x = rec_get_gpr(rec, i);

		rec_set_gpr(rec, i, x & 0xFFFFFFFFUL);
	}
}

/* An SMC that is not RSI. true: leave to the host. */
bool psci_call(uint64_t rec, uint64_t fid)
{
	bool leave = false;

	if (fid == PSCI_CPU_ON_32 || fid == PSCI_AFFINITY_INFO_32) {
		psci_narrow(rec);
	}
	if (fid == PSCI_CPU_ON_32 || fid == PSCI_CPU_ON_64) {
		leave = psci_cpu_on(rec, fid);
	} else if (fid == PSCI_AFFINITY_INFO_32 || fid == PSCI_AFFINITY_INFO_64) {
		leave = psci_affinity_info(rec, fid);
	} else if (fid == PSCI_CPU_OFF) {
		leave = psci_cpu_off(rec);
	} else if (fid == PSCI_SYSTEM_OFF || fid == PSCI_SYSTEM_RESET) {
		leave = psci_system_off(rec, fid);
	} else if (fid == PSCI_CPU_SUSPEND_32 || fid == PSCI_CPU_SUSPEND_64) {
		leave = psci_suspend(rec, fid);
	} else {
		leave = psci_simple(rec, fid);
	}
	return leave;
}
