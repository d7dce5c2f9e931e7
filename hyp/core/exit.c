/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run of a REC: REC_ENTER, its traps, and what the host learns at its end.
 *
 * The host gets the run page's exit half, which is zero but for what a handler here, in psci.c and in rsi.c
 * writes, and the GIC and timer state. A handler of a trap returns true to leave to the host.
 */
#include "core.h"

/* What the host sees of an abort's syndrome. */
#define ESR_SHOW 0xFC001E3FUL              /* EC, SET, FnV, EA, FSC */
#define ESR_SHOW_MMIO 0xFDC09E7FUL         /* and ISV, SAS, SF, WnR */
#define ESR_SHOW_SERROR 0x1001E3FUL        /* IDS, AET, EA, DFSC */
#define ESR_SHOW_WFX 0xFC000001UL          /* EC, TI */
#define ESR_ISV (1UL << 24)
#define ESR_SSE (1UL << 21)
#define ESR_SF (1UL << 15)
#define ESR_WNR (1UL << 6)
#define ESR_ISS 0x1FFFFFFUL

#define SERROR_IDS (1UL << 24)
#define SERROR_DFSC 0x11UL
#define SERROR_UEO 2UL
#define SERROR_CE 6UL

#define PSTATE_AARCH32 0x10UL

/* Trapped system registers, as the syndrome names them. */
#define SYSREG(op0, op1, crn, crm, op2)                                                        \
	((op0##UL << 20) | (op2##UL << 17) | (op1##UL << 14) | (crn##UL << 10) | (crm##UL << 1))
#define SYSREG_MASK 0x3FFC1EUL
#define SYSREG_ICC_SGI1R SYSREG(3, 0, 12, 11, 5)
#define SYSREG_ICC_ASGI1R SYSREG(3, 0, 12, 11, 6)
#define SYSREG_ICC_SGI0R SYSREG(3, 0, 12, 11, 7)
#define SYSREG_ICC_DIR SYSREG(3, 0, 12, 11, 1)
#define SYSREG_CNTP_TVAL SYSREG(3, 3, 14, 2, 0)
#define SYSREG_CNTP_CTL SYSREG(3, 3, 14, 2, 1)
#define SYSREG_CNTP_CVAL SYSREG(3, 3, 14, 2, 2)
#define SYSREG_ID SYSREG(3, 0, 0, 0, 0)
#define SYSREG_ID_MASK SYSREG(3, 7, 15, 0, 0)

/* ---- REC_ENTER ------------------------------------------------------------------------------------ */

/* Was the last exit an abort of the data side in the unprotected half? */
static bool enter_sea_ok(uint64_t rec, uint64_t rd)
{
	uint64_t esr = rec_get_last_esr(rec);
	uint64_t hpfar = rec_get_last_hpfar(rec);
	uint64_t ec = ESR_EC(esr);
	bool protected = ipa_in_par(rd, (hpfar & HPFAR_IPA_MASK) << 8);

	return ec == ESR_EC_DABT && !protected;
}

/* Was the last exit an access that the host can emulate? */
static bool enter_mmio_ok(uint64_t rec)
{
	uint64_t esr = rec_get_last_esr(rec);
	uint64_t ec = ESR_EC(esr);

	return ec == ESR_EC_DABT && (esr & ESR_ISV) != 0;
}

/* May the host enter this REC, with what its run page says? The realm is locked, the run page loaded. */
static uint64_t enter_check(uint64_t rec, uint64_t rd)
{
	uint64_t flags = run_in_flags();
	uint64_t state = rd_get_state(rd);
	uint64_t runnable = rec_get_runnable(rec);
	uint64_t pending = rec_get_psci_pending(rec);

	if (state == REALM_NEW) {
		uint64_t error = error_realm(RMI_INDEX_REALM_NEW);
		return error;
	}
	if (state == REALM_SYSTEM_OFF) {
		uint64_t error = error_realm(RMI_INDEX_REALM_OFF);
		return error;
	}
	if (runnable == 0 || pending != 0) {
		return RMI_ERROR_REC;
	}
	bool gic = vgic_entry_ok();
	if (!gic) {
		return RMI_ERROR_REC;
	}
	bool sea = (flags & REC_ENTRY_INJECT_SEA) != 0;
	bool mmio = (flags & REC_ENTRY_EMUL_MMIO) != 0;
	bool sea_ok = enter_sea_ok(rec, rd);
	bool mmio_ok = enter_mmio_ok(rec);
	if (sea && !sea_ok) {
		return RMI_ERROR_REC;
	}
	if (mmio && !sea && !mmio_ok) {
		return RMI_ERROR_REC;
	}
	return RMI_SUCCESS;
}

/* The data that an access of this size moves. */
static uint64_t mmio_mask(uint64_t esr, uint64_t value)
{
	uint64_t size = (esr >> 22) & 3;

	if (size == 0) {
		return value & 0xFFUL;
	}
	if (size == 1) {
		return value & 0xFFFFUL;
	}
	if (size == 2) {
		return value & 0xFFFFFFFFUL;
	}
	return value;
}

/* Extend the sign of data of an access's size. */
static uint64_t mmio_sign(uint64_t esr, uint64_t value)
{
	uint64_t size = (esr >> 22) & 3;

	if (size == 0 && (value & 0x80UL) != 0) {
		return value | ~0xFFUL;
	}
	if (size == 1 && (value & 0x8000UL) != 0) {
		return value | ~0xFFFFUL;
	}
	if (size == 2 && (value & 0x80000000UL) != 0) {
		return value | ~0xFFFFFFFFUL;
	}
	return value;
}

/* The host has emulated the last exit's access. */
static void enter_mmio(uint64_t rec)
{
	uint64_t esr = rec_get_last_esr(rec);
	uint64_t rt = (esr >> 16) & 31;
	uint64_t data = run_in_gpr(0);

	if ((esr & ESR_WNR) == 0) {
		data = mmio_mask(esr, data);
		if ((esr & ESR_SSE) != 0) {
			data = mmio_sign(esr, data);
			if ((esr & ESR_SF) == 0) {
				data = data & 0xFFFFFFFFUL;
			}
		}
		rec_set_reg(rec, rt, data);
	}
	rec_skip(rec);
}

/* Finish what the last exit asked of the host; forget that exit. */
static void enter_finish(uint64_t rec)
{
	uint64_t flags = run_in_flags();
	uint64_t esr = rec_get_last_esr(rec);
	uint64_t far = rec_get_last_far(rec);

	if ((flags & REC_ENTRY_INJECT_SEA) != 0) {
		rec_inject_sea(rec, esr, far);
	} else if ((flags & REC_ENTRY_EMUL_MMIO) != 0) {
		enter_mmio(rec);
	}
	rsi_ripas_complete(rec, (flags & REC_ENTRY_RIPAS_REJECT) != 0);
	rec_set_trap_wfi(rec, (flags & REC_ENTRY_TRAP_WFI) >> 2);
	rec_set_trap_wfe(rec, (flags & REC_ENTRY_TRAP_WFE) >> 3);
	rec_set_last_esr(rec, 0);
	rec_set_last_far(rec, 0);
	rec_set_last_hpfar(rec, 0);
}

/*
 * The checks are done: make the REC ready. false: it shall not run, and the run page says why. The realm is
 * locked.
 */
static bool enter_prepare(uint64_t rec, uint64_t rd)
{
	counter_add(KCORE_CTR_REC_ENTER, 1);
	vgic_enter(rec);
	enter_finish(rec);
	bool ready = rsi_host_call_complete(rec, rd);
	bool changed = vtimer_changed(rec);
	if (!ready || changed) {
		if (ready) {
			run_out_reason(REC_EXIT_IRQ);
		}
		vgic_report(rec);
		vtimer_report(rec);
		return false;
	}
	return true;
}

/* The realm is locked, the run page pinned and loaded. */
static struct smc_result enter_locked(uint64_t rec, uint64_t rd, uint64_t run)
{
	uint64_t status = enter_check(rec, rd);
	if (status != RMI_SUCCESS) {
		realm_unlock(rd);
		ns_put(run);
		return (struct smc_result){ status, 0, 0, 0, 0, 0 };
	}

	bool go = enter_prepare(rec, rd);
	if (!go) {
		run_store(run);
		realm_unlock(rd);
		ns_put(run);
		return (struct smc_result){ RMI_SUCCESS, 0, 0, 0, 0, 0 };
	}
	rec_set_running(rec, 1);
	rec_set_run_page(rec, run);
	realm_unlock(rd);
	rec_load(rec);
	vtimer_enter(rec);
	return (struct smc_result){ RMI_SUCCESS, 0, 0, 0, 0, rec };
}

/* RMI_REC_ENTER: rec in the result is not 0 if it shall run. */
struct smc_result rec_enter(uint64_t rec, uint64_t run)
{
	bool ok = ns_get(run);
	if (!ok) {
		return (struct smc_result){ RMI_ERROR_INPUT, 0, 0, 0, 0, 0 };
	}
	uint64_t rd = rec_lock_owner(rec);
	if (rd == 0) {
		ns_put(run);
		return (struct smc_result){ RMI_ERROR_INPUT, 0, 0, 0, 0, 0 };
	}
	/* Does another CPU run it? */
	uint64_t running = rec_get_running(rec);
	if (running != 0) {
		realm_unlock(rd);
		ns_put(run);
		return (struct smc_result){ RMI_ERROR_REC, 0, 0, 0, 0, 0 };
	}
	run_load(run);
	struct smc_result r = enter_locked(rec, rd, run);
	return r;
}

/* ---- Exits ---------------------------------------------------------------------------------------- */

/* The run is over: give the host the run page. */
static void exit_leave(uint64_t rec)
{
	uint64_t run = rec_get_run_page(rec);

	rec_unload(rec);
	vgic_report(rec);
	vtimer_report(rec);
	uint64_t rd = rec_lock_realm(rec);
	run_store(run);
	rec_set_run_page(rec, 0);
	rec_set_running(rec, 0);
	realm_unlock(rd);
	ns_put(run);
}

/* Leave with nothing but a reason. */
static bool exit_plain(uint64_t reason, uint64_t counter)
{
	run_out_reason(reason);
	counter_add(counter, 1);
	return true;
}

static bool exit_wfx(uint64_t rec, uint64_t esr)
{
	rec_skip(rec);
	run_out_reason(REC_EXIT_SYNC);
	run_out_esr(esr & ESR_SHOW_WFX);
	counter_add(KCORE_CTR_EXIT_WFX, 1);
	return true;
}

static bool exit_smc(uint64_t rec)
{
	uint64_t x0 = rec_get_gpr(rec, 0);
	uint64_t fid = x0 & 0xFFFFFFFFUL & ~SMCCC_SVE_HINT;
	bool leave = false;

	if (fid >= RSI_FID_FIRST && fid <= RSI_FID_LAST) {
		leave = rsi_call(rec, fid);
	} else {
		leave = psci_call(rec, fid);
	}
	return leave;
}

/* ---- System registers */

static bool exit_sysreg_read(uint64_t rec, uint64_t esr)
{
	uint64_t rt = (esr >> 5) & 31;
	uint64_t reg = esr & SYSREG_MASK;
	uint64_t crm = (esr >> 1) & 15;
	uint64_t op2 = (esr >> 17) & 7;
	uint64_t value = 0;

	if ((reg & SYSREG_ID_MASK) == SYSREG_ID) {
		value = rec_id_reg(crm, op2);
	} else if (reg == SYSREG_CNTP_TVAL || reg == SYSREG_CNTP_CTL || reg == SYSREG_CNTP_CVAL) {
		value = vtimer_read_cntp(rec, op2);
	}
	rec_set_reg(rec, rt, value);
	rec_skip(rec);
	return false;
}

/* The host emulates what raises interrupts at other virtual CPUs, and deactivation. */
static bool exit_sysreg_host(uint64_t esr, uint64_t value)
{
	run_out_reason(REC_EXIT_SYNC);
	run_out_esr(esr);
	run_out_gpr(0, value);
	counter_add(KCORE_CTR_EXIT_SYSREG, 1);
	return true;
}

static bool exit_sysreg_write(uint64_t rec, uint64_t esr)
{
	uint64_t rt = (esr >> 5) & 31;
	uint64_t reg = esr & SYSREG_MASK;
	uint64_t op2 = (esr >> 17) & 7;
	uint64_t value = rec_reg(rec, rt);
	bool leave = false;

	if (reg == SYSREG_ICC_SGI1R || reg == SYSREG_ICC_ASGI1R || reg == SYSREG_ICC_SGI0R ||
	    reg == SYSREG_ICC_DIR) {
		leave = exit_sysreg_host(esr, value);
	} else if (reg == SYSREG_CNTP_TVAL || reg == SYSREG_CNTP_CTL || reg == SYSREG_CNTP_CVAL) {
		/* the host arms a timer from what it is told */
		vtimer_write_cntp(rec, op2, value);
		leave = exit_plain(REC_EXIT_IRQ, KCORE_CTR_EXIT_IRQ);
	}
	rec_skip(rec);
	return leave;
}

static bool exit_sysreg(uint64_t rec, uint64_t esr)
{
	bool leave = false;

	if ((esr & 1) != 0) {
		leave = exit_sysreg_read(rec, esr);
	} else {
		leave = exit_sysreg_write(rec, esr);
	}
	return leave;
}

/* ---- Aborts */

/* Does the syndrome say external abort? */
static bool abort_external(uint64_t fsc)
{
	return fsc == ESR_FSC_SEA || (fsc >= 0x13 && fsc <= 0x17);
}

/*
 * Memory itself failed. Restartable: the realm tries again after the exit; anything worse it is told as an
 * external abort.
 */
static bool exit_external(uint64_t rec, uint64_t esr, uint64_t far)
{
	uint64_t set = (esr >> 11) & 3;

	if (set != 3) {
		rec_inject_sea(rec, esr, far);
	}
	run_out_reason(REC_EXIT_SYNC);
	run_out_esr(esr & ESR_SHOW);
	counter_add(KCORE_CTR_EXIT_OTHER, 1);
	return true;
}

/* A protected page is not there: the host gets the page's address, nothing of the access. */
static bool exit_fault(uint64_t rec, uint64_t esr, uint64_t hpfar)
{
	run_out_reason(REC_EXIT_SYNC);
	run_out_esr(esr & ESR_SHOW);
	run_out_hpfar(hpfar & HPFAR_IPA_MASK);
	rec_set_last_esr(rec, esr & ESR_SHOW);
	rec_set_last_hpfar(rec, hpfar);
	counter_add(KCORE_CTR_EXIT_FAULT, 1);
	return true;
}

/* An access to the unprotected half that the host may emulate. */
static bool exit_mmio(uint64_t rec, uint64_t esr, uint64_t far, uint64_t hpfar)
{
	uint64_t rt = (esr >> 16) & 31;
	uint64_t value = 0;

	if ((esr & ESR_WNR) != 0) {
		value = rec_reg(rec, rt);
		value = mmio_mask(esr, value);
	}
	run_out_reason(REC_EXIT_SYNC);
	run_out_esr(esr & ESR_SHOW_MMIO);
	run_out_far(far & (GRANULE_SIZE - 1));
	run_out_hpfar(hpfar & HPFAR_IPA_MASK);
	run_out_gpr(0, value);
	rec_set_last_esr(rec, esr);
	rec_set_last_far(rec, far);
	rec_set_last_hpfar(rec, hpfar);
	counter_add(KCORE_CTR_EXIT_MMIO, 1);
	return true;
}

static bool exit_sea(uint64_t rec, uint64_t esr, uint64_t far)
{
	rec_inject_sea(rec, esr, far);
	return false;
}

/* What a realm's stage 2 abort is about. */
#define ABORT_RETRY 0UL       /* the entry is there by now */
#define ABORT_SEA 1UL         /* nothing there for the realm */
#define ABORT_PROTECTED 2UL   /* the host has to bring a page */
#define ABORT_UNPROTECTED 3UL /* the host's half */

static uint64_t abort_entry(uint64_t rd, uint64_t ipa, bool translation)
{
	bool bounded = ipa_in_bounds(rd, ipa);
	bool protected = ipa_in_par(rd, ipa);

	if (!bounded) {
		return ABORT_SEA;
	}
	struct rtt_walk w = rtt_walk(rd, ipa, 3);
	uint64_t ripas = s2_ripas(w.desc);
	bool valid = s2_is_valid(w.desc);
	/* Met while a table was folded or split, or while another CPU brought the page? */
	if (valid && translation && w.kind != S2K_TABLE) {
		return ABORT_RETRY;
	}
	if (!protected) {
		return ABORT_UNPROTECTED;
	}
	if (ripas == RMI_RIPAS_EMPTY) {
		return ABORT_SEA;
	}
	return ABORT_PROTECTED;
}

static uint64_t abort_class(uint64_t rec, uint64_t esr, uint64_t hpfar)
{
	uint64_t ipa = (hpfar & HPFAR_IPA_MASK) << 8;
	bool translation = (esr & ESR_FSC_TYPE_MASK) == ESR_FSC_TRANSLATION;

	uint64_t rd = rec_lock_realm(rec);
	uint64_t class = abort_entry(rd, ipa, translation);
	realm_unlock(rd);
	return class;
}

static bool exit_data_abort(uint64_t rec, uint64_t esr, uint64_t far, uint64_t hpfar)
{
	uint64_t pstate = rec_get_pstate(rec);
	bool external = abort_external(esr & ESR_FSC_MASK);
	bool emulatable = (esr & ESR_ISV) != 0 && (pstate & PSTATE_AARCH32) == 0;
	bool leave = false;

	if (external) {
		leave = exit_external(rec, esr, far);
		return leave;
	}
	uint64_t class = abort_class(rec, esr, hpfar);
	if (class == ABORT_RETRY) {
		return false;
	}
	if (class == ABORT_SEA) {
		leave = exit_sea(rec, esr, far);
	} else if (class == ABORT_UNPROTECTED && emulatable) {
		leave = exit_mmio(rec, esr, far, hpfar);
	} else {
		leave = exit_fault(rec, esr, hpfar);
		rec_set_last_far(rec, far);
	}
	return leave;
}

static bool exit_instruction_abort(uint64_t rec, uint64_t esr, uint64_t far, uint64_t hpfar)
{
	bool external = abort_external(esr & ESR_FSC_MASK);
	bool translation = (esr & ESR_FSC_TYPE_MASK) == ESR_FSC_TRANSLATION;
	bool leave = false;

	if (external) {
		leave = exit_external(rec, esr, far);
		return leave;
	}
	uint64_t class = abort_class(rec, esr, hpfar);
	if (class == ABORT_RETRY) {
		return false;
	}
	if (class == ABORT_PROTECTED && translation) {
		leave = exit_fault(rec, esr, hpfar);
	} else if (class == ABORT_PROTECTED) {
		leave = exit_plain(REC_EXIT_SYNC, KCORE_CTR_EXIT_OTHER);
	} else {
		leave = exit_sea(rec, esr, far);
	}
	return leave;
}

/* ---- The rest */

/* Nobody can help with this one: the host is told, and the realm stays where it is. */
static bool exit_stuck(uint64_t rec, uint64_t esr)
{
	log_event(LOG_REC_STUCK, rec, esr);
	bool leave = exit_plain(REC_EXIT_SYNC, KCORE_CTR_EXIT_OTHER);
	return leave;
}

static bool exit_undef(uint64_t rec, uint64_t back)
{
	uint64_t pc = rec_get_pc(rec);

	rec_inject_undef(rec, pc - back);
	return false;
}

/* Of a class that a realm has no use for: features it was not shown, AArch32 coprocessors. */
static bool exit_is_undef(uint64_t ec)
{
	if (ec == ESR_EC_SVE || ec == ESR_EC_SME) {
		return true;
	}
	return ec == ESR_EC_CP15_32 || ec == ESR_EC_CP15_64 || ec == ESR_EC_CP14_32 || ec == ESR_EC_CP14_LS ||
	       ec == ESR_EC_CP10 || ec == ESR_EC_CP14_64;
}

static bool exit_sync_other(uint64_t rec, uint64_t esr)
{
	uint64_t ec = ESR_EC(esr);
	bool undef = exit_is_undef(ec);
	bool leave = false;

	if (ec == ESR_EC_HVC) {
		/* the preferred return address is after the HVC */
		leave = exit_undef(rec, 4);
	} else if (undef) {
		leave = exit_undef(rec, 0);
	} else {
		leave = exit_stuck(rec, esr);
	}
	return leave;
}

static bool exit_sync(uint64_t rec, uint64_t esr, uint64_t far, uint64_t hpfar)
{
	uint64_t ec = ESR_EC(esr);
	bool leave = false;

	if (ec == ESR_EC_DABT) {
		leave = exit_data_abort(rec, esr, far, hpfar);
	} else if (ec == ESR_EC_SYSREG) {
		leave = exit_sysreg(rec, esr);
	} else if (ec == ESR_EC_SMC) {
		leave = exit_smc(rec);
	} else if (ec == ESR_EC_WFX) {
		leave = exit_wfx(rec, esr);
	} else if (ec == ESR_EC_IABT) {
		leave = exit_instruction_abort(rec, esr, far, hpfar);
	} else {
		leave = exit_sync_other(rec, esr);
	}
	return leave;
}

/* Restartable or corrected errors pass; all others are the realm's to handle. KCore never stops for one. */
static bool exit_serror(uint64_t rec, uint64_t esr)
{
	uint64_t aet = (esr >> 10) & 7;
	bool known = (esr & SERROR_IDS) == 0 && (esr & ESR_FSC_MASK) == SERROR_DFSC;

	if (!known || (aet != SERROR_UEO && aet != SERROR_CE)) {
		rec_set_vse(rec, 1);
		rec_set_sysreg(rec, SYS_VSESR_EL2, esr & ESR_ISS);
	}
	run_out_reason(REC_EXIT_SERROR);
	run_out_esr(esr & ESR_SHOW_SERROR);
	counter_add(KCORE_CTR_EXIT_OTHER, 1);
	return true;
}

static bool exit_trap(uint64_t rec, uint64_t trap, uint64_t esr, uint64_t far, uint64_t hpfar)
{
	bool leave = false;

	if (trap == TRAP_SYNC) {
		leave = exit_sync(rec, esr, far, hpfar);
	} else if (trap == TRAP_IRQ) {
		leave = exit_plain(REC_EXIT_IRQ, KCORE_CTR_EXIT_IRQ);
	} else if (trap == TRAP_FIQ) {
		leave = exit_plain(REC_EXIT_FIQ, KCORE_CTR_EXIT_IRQ);
	} else {
		leave = exit_serror(rec, esr);
	}
	return leave;
}

bool core_rec_exit(uint64_t rec, uint64_t trap, uint64_t esr, uint64_t far, uint64_t hpfar)
{
	bool leave = exit_trap(rec, trap, esr, far, hpfar);
	bool changed = vtimer_changed(rec);

	if (!leave && !changed) {
		return true;
	}
	if (!leave) {
		/* a timer line has changed: the host must hear of it */
		run_out_reason(REC_EXIT_IRQ);
	}
	exit_leave(rec);
	return false;
}
