/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traps of the host, and faults of KCore itself. Whatever the host does ends in an answer or in an exception
 * in its own EL1; only an exception taken from EL2 stops the machine.
 */
#include "trap.h"

#include "../drivers/gic.h"
#include "../drivers/log.h"
#include "../drivers/smmu.h"
#include "../include/kcore.h"
#include "../include/rmi.h"
#include "../include/smccc.h"
#include "mach.h"
#include "relay.h"
#include "world.h"

_Noreturn void el2_fault(uint64_t esr, uint64_t elr, uint64_t far, uint64_t spsr, uint64_t lr);
void host_trap(struct frame *f, uint64_t esr);
void host_other_trap(struct frame *f);

_Static_assert(offsetof(struct frame, elr) == FRAME_ELR && offsetof(struct frame, spsr) == FRAME_SPSR &&
		       sizeof(struct frame) == FRAME_SIZE, "vectors.S");

static void host_smc(struct frame *f)
{
	uint64_t fid = (uint32_t)f->x[0] & ~SMCCC_SVE_HINT;
	struct smc_result r;

	f->elr += 4;
	if (relay_call(f))
		return;
	/* Realms need a checked bus: without an SMMU their memory is not safe from devices. */
	if (fid == RMI_REALM_CREATE && !smmu_active()) {
		f->x[0] = RMI_ERROR_INPUT;
		return;
	}
	if (fid == KCORE_LOG_READ)
		smmu_events();
	r = core_host_smc(fid, f->x[1], f->x[2], f->x[3], f->x[4], f->x[5]);
	if (fid == KCORE_VERSION && smmu_active())
		r.x2 |= KCORE_VERSION_DMA;
	if (r.rec != 0) {
		realm_run(r.rec);
		f->x[0] = RMI_SUCCESS;
		f->x[1] = 0;
		f->x[2] = 0;
		f->x[3] = 0;
		return;
	}
	f->x[0] = r.x0;
	f->x[1] = r.x1;
	f->x[2] = r.x2;
	f->x[3] = r.x3;
	f->x[4] = r.x4;
}

/*
 * Take an exception in the host's EL1, as the hardware would: from the trapped instruction, to the vector for
 * where it came from.
 */
static void inject(struct frame *f, uint64_t esr)
{
	uint64_t from = f->spsr & 0x1f; /* bit 4: AArch32 */
	uint64_t vector = read_sysreg(vbar_el1);
	uint64_t pstate = PSTATE_EL1H_DAIF;

	if ((from & 0x10) != 0)
		vector += 0x600;
	else if ((from & 0xc) == 0)
		vector += 0x400;
	else if (from == 5)
		vector += 0x200;
	if (id_field(id_reg(7, 1), 20) != 0) {
		/* PAN: set on entry unless SCTLR_EL1.SPAN, otherwise as it was */
		pstate |= (read_sysreg(sctlr_el1) & (1UL << 23)) == 0 ? 1UL << 22 : f->spsr & (1UL << 22);
	}
	write_sysreg(esr_el1, esr);
	write_sysreg(elr_el1, f->elr);
	write_sysreg(spsr_el1, f->spsr);
	f->elr = vector;
	f->spsr = pstate;
}

static void inject_undef(struct frame *f)
{
	inject(f, 1UL << 25);
}

/* Synchronous external abort, at the address that the host used. */
static void inject_sea(struct frame *f, uint64_t esr, uint64_t far)
{
	uint64_t ec = ESR_EC(esr);
	bool from_el1 = (f->spsr & 0x1c) == 4;
	uint64_t fsc = 0x10;

	if ((esr & (1 << 7)) != 0)
		fsc = 0x14 | (esr & 3); /* on a stage 1 walk of that level */
	if (from_el1)
		ec |= 1;
	write_sysreg(far_el1, far);
	inject(f, ec << 26 | 1UL << 25 | (ec >= EC_DABT_LOW ? esr & (1 << 6) : 0) | fsc);
}

/* An access to a mediated device, if this is one that can be emulated. */
static bool device_access(struct frame *f, uint64_t esr, uint64_t ipa)
{
	uint64_t rt = (esr >> 16) & 0x1f;
	uint64_t size = 1UL << ((esr >> 22) & 3);

	if (ESR_EC(esr) != EC_DABT_LOW || (esr & (1 << 24)) == 0 || !gic_mediates(ipa))
		return false;
	if ((esr & (1 << 6)) != 0) {
		gic_write(ipa, size, rt == 31 ? 0 : f->x[rt]);
	} else {
		uint64_t v = gic_read(ipa, size);

		if (rt != 31)
			f->x[rt] = v;
	}
	f->elr += 4;
	return true;
}

static void host_abort(struct frame *f, uint64_t esr)
{
	uint64_t far = read_sysreg(far_el2);
	uint64_t hpfar, action;

	if (!trap_hpfar(esr, far, &hpfar))
		return;
	action = core_host_abort(esr, hpfar, far);
	if (action == HOST_RETRY)
		return;
	if (action == HOST_DEVICE) {
		uint64_t ipa = hpfar << 8 | (far & 0xfff);

		if (device_access(f, esr, ipa))
			return;
		/* a device that is not the host's: recorded like memory that is not */
		counter_add(KCORE_CTR_HOST_ABORT, 1);
		log_event(LOG_HOST_ABORT, ipa, esr);
	}
	inject_sea(f, esr, far);
}

/* What the host's CPU does not offer under KCore, because its state is not switched or its use not checked. */
static uint64_t host_id_reg(uint64_t crm, uint64_t op2)
{
	uint64_t v = id_reg(crm, op2);

#define HIDE(lsb) (0xfUL << (lsb))
	switch (crm * 8 + op2) {
	case 4 * 8 + 0: /* PFR0: SVE, MPAM, AMU, RME */
		return v & ~(HIDE(32) | HIDE(40) | HIDE(44) | HIDE(52));
	case 4 * 8 + 1: /* PFR1: MTE beyond EL0's, RAS_frac stays; MPAM_frac, SME, NMI, GCS, THE, DF2 */
		return v & ~(HIDE(16) | HIDE(24) | HIDE(36) | HIDE(44) | HIDE(48) | HIDE(56));
	case 4 * 8 + 2: /* PFR2 */
	case 4 * 8 + 4: /* ZFR0 */
	case 4 * 8 + 5: /* SMFR0 */
	case 4 * 8 + 7: /* FPFR0 */
		return 0;
	case 5 * 8 + 0: /* DFR0: SPE, trace, trace filter, trace buffer, branch records */
		return v & ~(HIDE(4) | HIDE(32) | HIDE(40) | HIDE(44) | HIDE(52));
	case 6 * 8 + 1: /* ISAR1: LS64 */
		return v & ~HIDE(60);
	case 6 * 8 + 2: /* ISAR2: MOPS, 128-bit registers */
		return v & ~(HIDE(16) | HIDE(32) | HIDE(36));
	case 6 * 8 + 3: /* ISAR3 */
		return 0;
	case 7 * 8 + 0: /* MMFR0: fine-grained traps */
		return v & ~HIDE(56);
	case 7 * 8 + 2: /* MMFR2: nested virtualization */
		return v & ~HIDE(24);
	case 7 * 8 + 3: /* MMFR3, MMFR4: TCR2, permission indirection, SCTLR2 */
	case 7 * 8 + 4:
		return 0;
	default:
		return v;
	}
#undef HIDE
}

/* System registers: ID registers read as above; what KCore keeps closed reads 0 and ignores writes. */
static void host_sysreg(struct frame *f, uint64_t esr)
{
	uint64_t op0 = (esr >> 20) & 3, op2 = (esr >> 17) & 7, op1 = (esr >> 14) & 7;
	uint64_t crn = (esr >> 10) & 0xf, rt = (esr >> 5) & 0x1f, crm = (esr >> 1) & 0xf;
	bool read = (esr & 1) != 0;

	if (op0 == 3 && op1 == 0 && crn == 0 && read) {
		if (rt != 31)
			f->x[rt] = host_id_reg(crm, op2);
	} else if (op0 == 3 && (crn == 11 || crn == 15 || (op1 == 0 && crn == 1 && crm == 0 && op2 == 1))) {
		/* implementation defined, and ACTLR_EL1 */
		if (read && rt != 31)
			f->x[rt] = 0;
	} else if (op0 == 2) {
		/* trace */
		if (read && rt != 31)
			f->x[rt] = 0;
	} else {
		inject_undef(f);
		return;
	}
	f->elr += 4;
}

void host_trap(struct frame *f, uint64_t esr)
{
	switch (ESR_EC(esr)) {
	case EC_SMC64:
		host_smc(f);
		break;
	case EC_HVC64:
		f->x[0] = SMCCC_NOT_SUPPORTED;
		break;
	case EC_IABT_LOW:
	case EC_DABT_LOW:
		host_abort(f, esr);
		break;
	case EC_SYSREG:
		host_sysreg(f, esr);
		break;
	case EC_WFX:
		f->elr += 4;
		break;
	default:
		/* SVE, SME, AArch32 system registers and whatever else is closed */
		inject_undef(f);
		break;
	}
}

/* Nothing is routed here while the host runs; an implementation may still deliver a late SError. */
void host_other_trap(struct frame *f)
{
	static struct log_rate rate;

	if (log_allow(&rate))
		log_line("host: unexpected exception at EL2, pc 0x%lx", f->elr);
}

void el2_fault(uint64_t esr, uint64_t elr, uint64_t far, uint64_t spsr, uint64_t lr)
{
	panic("bug: exception in the core: esr 0x%lx elr 0x%lx (image + 0x%lx) far 0x%lx spsr 0x%lx lr 0x%lx", esr,
	      elr, elr - (uint64_t)host_vectors, far, spsr, lr);
}
