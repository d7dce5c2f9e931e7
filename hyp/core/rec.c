/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RECs: the virtual CPUs of a realm. Creating and destroying them, and changing what the guest sees in its
 * registers.
 *
 * A REC that runs belongs to the CPU that runs it, except that rd, index, running and runnable are read by
 * others under the realm lock; so the first three are changed under that lock only, and runnable too.
 */
#include "core.h"

/* MPIDR as RMI has it: Aff3 to Aff0 in bits 31:0, of Aff0 only four bits. */
#define RMI_MPIDR_MASK 0xFFFFFF0FUL
#define VMPIDR_RES1 (1UL << 31)
#define MDSCR_TDCC (1UL << 12)

#define PSTATE_MODE_MASK 0x1FUL
#define PSTATE_EL0_64 0x00UL
#define PSTATE_EL1T 0x04UL
#define PSTATE_EL1H 0x05UL
#define PSTATE_AARCH32 0x10UL
#define PSTATE_KEEP 0xF1400000UL /* NZCV, DIT, PAN survive an exception */
#define PSTATE_DAIF 0x3C0UL
#define PSTATE_PAN (1UL << 22)
#define PSTATE_SSBS (1UL << 12)
#define SCTLR_SPAN (1UL << 23)
#define SCTLR_DSSBS (1UL << 44)

#define SEA_CLEAR 0x4BFUL  /* FnV, S1PTW and FSC go */
#define SEA_SET 0x210UL    /* EA, FSC: synchronous external abort */

/* A REC's RMI MPIDR to its index. */
static uint64_t rec_mpidr_index(uint64_t mpidr)
{
	return (mpidr & 0xF) | ((mpidr >> 4) & 0xFFFFFF0UL);
}

/* A REC's RMI MPIDR as the guest reads it. */
static uint64_t rec_vmpidr(uint64_t mpidr)
{
	return (mpidr & 0xFFFFFFUL) | ((mpidr & 0xFF000000UL) << 8) | VMPIDR_RES1;
}

static void rec_fill(uint64_t rd, uint64_t rec, uint64_t index, uint64_t flags)
{
	uint64_t s2sz = rd_get_s2sz(rd);
	uint64_t start_level = rd_get_start_level(rd);
	uint64_t rtt_base = rd_get_rtt_base(rd);
	uint64_t vmid = rd_get_vmid(rd);
	uint64_t mpidr = params_word(REC_PARAMS_MPIDR);
	uint64_t vmpidr = rec_vmpidr(mpidr);
	uint64_t pc = params_word(REC_PARAMS_PC);

	rec_set_rd(rec, rd);
	rec_set_index(rec, index);
	rec_set_runnable(rec, flags & REC_PARAMS_FLAG_RUNNABLE);
	rec_set_s2sz(rec, s2sz);
	rec_set_start_level(rec, start_level);
	rec_set_rtt_base(rec, rtt_base);
	rec_set_vmid(rec, vmid);
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t value = params_word(REC_PARAMS_GPRS + (i << 3));

		rec_set_gpr(rec, i, value);
	}
	rec_set_pc(rec, pc);
	rec_set_pstate(rec, PSTATE_RESET);
	rec_set_sysreg(rec, SYS_SCTLR_EL1, SCTLR_RESET);
	rec_set_sysreg(rec, SYS_MDSCR_EL1, MDSCR_TDCC);
	rec_set_sysreg(rec, SYS_VMPIDR_EL2, vmpidr);
}

static uint64_t rec_create_locked(uint64_t rd, uint64_t rec)
{
	uint64_t state = rd_get_state(rd);
	uint64_t count = rd_get_rec_count(rd);
	uint64_t index = rd_get_rec_index(rd);
	uint64_t flags = params_word(REC_PARAMS_FLAGS);
	uint64_t mpidr = params_word(REC_PARAMS_MPIDR);

	/* May the realm have one more? */
	if (count >= RMI_MAX_RECS || state != REALM_NEW) {
		uint64_t error = error_realm(0);
		return error;
	}
	uint64_t max = rd_get_max_vcpus(rd);
	if (index >= max) {
		return KCORE_ERROR_POLICY;
	}
	/* Is it the next in order? */
	uint64_t want = rec_mpidr_index(mpidr);
	if ((mpidr & ~RMI_MPIDR_MASK) != 0 || want != index) {
		return RMI_ERROR_INPUT;
	}

	granule_set(rec, GS_REC, rd);
	rec_fill(rd, rec, index, flags);
	rd_set_rec_count(rd, count + 1);
	rd_set_rec_index(rd, index + 1);
	if ((flags & REC_PARAMS_FLAG_RUNNABLE) != 0) {
		measure_rec(rd);
	}
	return RMI_SUCCESS;
}

static uint64_t rec_create_params(uint64_t rd, uint64_t rec)
{
	uint64_t aux = params_word(REC_PARAMS_NUM_AUX);
	uint64_t status = RMI_ERROR_INPUT;

	if (aux != RMI_REC_AUX_COUNT_VALUE) {
		return status;
	}
	bool ok = realm_lock(rd);
	if (!ok) {
		return status;
	}
	ok = granule_claim(rec, GS_DELEGATED);
	if (ok) {
		status = rec_create_locked(rd, rec);
		granule_release(rec);
	}
	realm_unlock(rd);
	return status;
}

/* RMI_REC_CREATE */
uint64_t rec_create(uint64_t rd, uint64_t rec, uint64_t params)
{
	bool ok = ns_get(params);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	params_load(params);
	uint64_t status = rec_create_params(rd, rec);
	ns_put(params);
	return status;
}

/* Lock the realm of a REC: the RD, or 0 if rec is none. */
uint64_t rec_lock_owner(uint64_t rec)
{
	uint64_t rd = granule_owner(rec, GS_REC);
	if (rd == 0) {
		return 0;
	}
	bool ok = realm_lock(rd);
	if (!ok) {
		return 0;
	}
	/* it may have gone before we had the lock */
	uint64_t owner = granule_owner(rec, GS_REC);
	if (owner != rd) {
		realm_unlock(rd);
		return 0;
	}
	return rd;
}

/* Lock the realm of the REC that this CPU runs: it exists as long as the REC does. */
uint64_t rec_lock_realm(uint64_t rec)
{
	uint64_t rd = rec_get_rd(rec);

	(void)realm_lock(rd);
	return rd;
}

/* RMI_REC_DESTROY */
uint64_t rec_destroy(uint64_t rec)
{
	uint64_t rd = rec_lock_owner(rec);
	if (rd == 0) {
		return RMI_ERROR_INPUT;
	}
	uint64_t running = rec_get_running(rec);
	if (running != 0) {
		realm_unlock(rd);
		return RMI_ERROR_REC;
	}

	uint64_t count = rd_get_rec_count(rd);
	rd_set_rec_count(rd, count - 1);
	granule_scrub(rec);
	realm_unlock(rd);
	return RMI_SUCCESS;
}

/* ---- What the guest sees -------------------------------------------------------------------------- */

/* General register n as an instruction names it: 31 is zero. */
uint64_t rec_reg(uint64_t rec, uint64_t n)
{
	uint64_t value = 0;

	if (n < NUM_GPRS) {
		value = rec_get_gpr(rec, n);
	}
	return value;
}

void rec_set_reg(uint64_t rec, uint64_t n, uint64_t value)
{
	if (n < NUM_GPRS) {
		rec_set_gpr(rec, n, value);
	}
}

/* Step over the instruction that trapped. */
void rec_skip(uint64_t rec)
{
	uint64_t pc = rec_get_pc(rec);

	rec_set_pc(rec, pc + 4);
}

/* Answer an SMC. */
void rec_return(uint64_t rec, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
	rec_set_gpr(rec, 0, x0);
	rec_set_gpr(rec, 1, x1);
	rec_set_gpr(rec, 2, x2);
	rec_set_gpr(rec, 3, x3);
	rec_skip(rec);
}

/* ---- ID registers -------------------------------------------------------------------------------- */

/*
 * What a realm may know of the CPU: features that work under this core. Hidden: AArch32, RAS, SVE, SME, MTE,
 * MPAM, AMU, PMU, trace, branch records, statistical profiling, nested virtualisation, LPA2, ECV, LORegions,
 * and whatever needs HCRX_EL2 or a register that is not switched. Fields that are not named are kept.
 */
#define ID_PFR0_KEEP 0x0F0F00000FFF0000UL   /* CSV2, DIT, GIC, AdvSIMD, FP; CSV3 is kept apart */
#define ID_PFR0_CSV3 0xF000000000000000UL
#define ID_PFR0_CSV2 0x0F00000000000000UL
#define ID_PFR0_CSV2_1 0x0100000000000000UL
#define ID_PFR0_EL0_EL1 0x11UL              /* AArch64 only */
#define ID_PFR1_KEEP 0xFFUL                 /* SSBS, BT */
#define ID_DFR0_VALUE 0x101006UL            /* Armv8.0 debug, two breakpoints, two watchpoints that do nothing */
#define ID_ISAR0_KEEP (~0x0F000000UL)       /* without TME */
#define ID_ISAR1_KEEP 0x00FFFFFFFFFFFFFFUL  /* without LS64, XS */
#define ID_MMFR0_KEEP 0x00000000FFFFFFF0UL  /* without ECV, FGT, ExS and the stage 2 granules; PARange apart */
#define ID_MMFR0_TGRAN4 0xF0000000UL
#define ID_MMFR0_TGRAN16 0x00F00000UL
#define ID_MMFR1_KEEP 0xF000F0F000F0F000UL  /* ECBHB, AFP, ETS, PAN, HPDS; HAFDBS apart */
#define ID_MMFR2_KEEP 0xF0FF000FF0F00FFFUL  /* E0PD, BBM, TTL, AT, ST, CCIDX, LSM, UAO, CnP */

static uint64_t rec_id_pfr0(uint64_t raw)
{
	uint64_t kept = raw & (ID_PFR0_KEEP | ID_PFR0_CSV3);

	if ((kept & ID_PFR0_CSV2) > ID_PFR0_CSV2_1) {
		kept = (kept & ~ID_PFR0_CSV2) | ID_PFR0_CSV2_1;
	}
	return kept | ID_PFR0_EL0_EL1;
}

static uint64_t rec_id_mmfr0(uint64_t raw)
{
	uint64_t range = raw & 0xF;
	uint64_t kept = raw & ID_MMFR0_KEEP;

	if (range > 5) {
		range = 5;
	}
	if ((raw & ID_MMFR0_TGRAN4) == 0x10000000UL) {
		kept = kept & ~ID_MMFR0_TGRAN4;
	}
	if ((raw & ID_MMFR0_TGRAN16) == 0x00200000UL) {
		kept = (kept & ~ID_MMFR0_TGRAN16) | 0x00100000UL;
	}
	return kept | range;
}

static uint64_t rec_id_mmfr1(uint64_t raw)
{
	uint64_t hafdbs = raw & 0xF;

	if (hafdbs > 2) {
		hafdbs = 2;
	}
	return (raw & ID_MMFR1_KEEP) | hafdbs;
}

/* ID register S3_0_C0_C<crm>_<op2> as a realm reads it; those not listed read 0. */
uint64_t rec_id_reg(uint64_t crm, uint64_t op2)
{
	uint64_t raw = id_reg(crm, op2);
	uint64_t pfr0 = rec_id_pfr0(raw);
	uint64_t mmfr0 = rec_id_mmfr0(raw);
	uint64_t mmfr1 = rec_id_mmfr1(raw);

	if (crm == 4 && op2 == 0) {
		return pfr0;
	}
	if (crm == 4 && op2 == 1) {
		return raw & ID_PFR1_KEEP;
	}
	if (crm == 5 && op2 == 0) {
		return ID_DFR0_VALUE;
	}
	if (crm == 6 && op2 == 0) {
		return raw & ID_ISAR0_KEEP;
	}
	if (crm == 6 && op2 == 1) {
		return raw & ID_ISAR1_KEEP;
	}
	if (crm == 7 && op2 == 0) {
		return mmfr0;
	}
	if (crm == 7 && op2 == 1) {
		return mmfr1;
	}
	if (crm == 7 && op2 == 2) {
		return raw & ID_MMFR2_KEEP;
	}
	return 0;
}

/* ---- Exceptions into the guest ------------------------------------------------------------------- */

/* Offset of the vector for an exception to EL1 from this state. */
static uint64_t rec_vector(uint64_t pstate)
{
	uint64_t mode = pstate & PSTATE_MODE_MASK;

	if ((mode & PSTATE_AARCH32) != 0) {
		return 0x600UL;
	}
	if (mode == PSTATE_EL0_64) {
		return 0x400UL;
	}
	if (mode == PSTATE_EL1T) {
		return 0;
	}
	return 0x200UL;
}

/* PSTATE in the handler. */
static uint64_t rec_handler_pstate(uint64_t pstate, uint64_t sctlr)
{
	uint64_t next = (pstate & PSTATE_KEEP) | PSTATE_DAIF | PSTATE_EL1H;

	if ((sctlr & SCTLR_SPAN) == 0) {
		next = next | PSTATE_PAN;
	}
	if ((sctlr & SCTLR_DSSBS) != 0) {
		next = next | PSTATE_SSBS;
	}
	return next;
}

/* A synchronous exception to the guest's EL1, as if the instruction at pc had caused it. */
void rec_inject(uint64_t rec, uint64_t esr, uint64_t pc)
{
	uint64_t pstate = rec_get_pstate(rec);
	uint64_t vbar = rec_sysreg(rec, SYS_VBAR_EL1);
	uint64_t sctlr = rec_sysreg(rec, SYS_SCTLR_EL1);
	uint64_t vector = rec_vector(pstate);
	uint64_t next = rec_handler_pstate(pstate, sctlr);

	rec_set_sysreg(rec, SYS_ELR_EL1, pc);
	rec_set_sysreg(rec, SYS_SPSR_EL1, pstate);
	rec_set_sysreg(rec, SYS_ESR_EL1, esr);
	rec_set_pc(rec, vbar + vector);
	rec_set_pstate(rec, next);
}

void rec_inject_undef(uint64_t rec, uint64_t pc)
{
	rec_inject(rec, ESR_IL, pc);
}

/* A synchronous external abort, for the stage 2 abort esr and far that the guest caused. */
void rec_inject_sea(uint64_t rec, uint64_t esr, uint64_t far)
{
	uint64_t pc = rec_get_pc(rec);
	uint64_t pstate = rec_get_pstate(rec);
	uint64_t mode = pstate & PSTATE_MODE_MASK;
	uint64_t syndrome = (esr & ~SEA_CLEAR) | SEA_SET;

	if (mode == PSTATE_EL1T || mode == PSTATE_EL1H) {
		/* from EL1: the next exception class */
		syndrome = syndrome + (1UL << ESR_EC_SHIFT);
	}
	rec_set_sysreg(rec, SYS_FAR_EL1, far);
	rec_inject(rec, syndrome, pc);
}
