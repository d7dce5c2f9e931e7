/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world switch: everything of a REC but its general registers on and off this CPU (mach.h), and the loop
 * that runs it. The host's state waits in this CPU's block meanwhile.
 */
#include "../drivers/gic.h"
#include "hostmap.h"
#include "mach.h"
#include "trap.h"

#define HCR_REALM                                                                                    \
	(HCR_RW | HCR_VM | HCR_SWIO | HCR_PTW | HCR_FMO | HCR_IMO | HCR_AMO | HCR_FB | HCR_BSU_IS |  \
	 HCR_TID3 | HCR_TSC | HCR_TIDCP | HCR_TACR | HCR_API | HCR_APK)

#define MDCR_TPMCR (1UL << 5)
#define MDCR_TPM (1UL << 6)
#define MDCR_TDA (1UL << 9)
#define MDCR_TDOSA (1UL << 10)
#define MDCR_TDRA (1UL << 11)
#define MDCR_HPMD (1UL << 17)
#define MDCR_TTRF (1UL << 19)
#define MDCR_HCCD (1UL << 23)
#define MDCR_REALM (MDCR_TPMCR | MDCR_TPM | MDCR_TDA | MDCR_TDOSA | MDCR_TDRA)
#define PMCR_E 1UL

/*
 * Counters all belong to EL1, and stand still in EL2 where the CPU can do that; profiling and trace buffers belong
 * to nobody (E2PB, E2TB = 0, and no access), trace filters are closed.
 */
uint64_t mdcr_detect(void)
{
	uint64_t v = 0;

	if (features.pmu != 0)
		v |= (read_sysreg(pmcr_el0) >> 11) & 0x1f;
	if (features.pmu >= 4)
		v |= MDCR_HPMD;
	if (features.pmu >= 6)
		v |= MDCR_HCCD;
	if (features.trf)
		v |= MDCR_TTRF;
	return v;
}

/* ---- virtual GIC interface ---- */

uint64_t ich_vtr(void)
{
	return features.ich_vtr;
}

static uint64_t lr_count(void)
{
	return (ich_vtr() & 0x1f) + 1;
}

/* Active priority registers of each group: 1, 2 or 4. */
static uint64_t apr_count(void)
{
	uint64_t bits = ((ich_vtr() >> 26) & 7) + 1;

	return bits >= 7 ? 4 : bits == 6 ? 2 : 1;
}

/* A write costs more than a read and a comparison. Nothing but a REC uses these, and only when it is loaded. */
#define CHANGE(reg, v)                        \
	do {                                  \
		uint64_t new_ = (v);          \
                                              \
		if (read_sysreg(reg) != new_) \
			write_sysreg(reg, new_); \
	} while (0)

#define LR_CASES(OP)                                                                           \
	OP(15) OP(14) OP(13) OP(12) OP(11) OP(10) OP(9) OP(8) OP(7) OP(6) OP(5) OP(4) OP(3)    \
	OP(2) OP(1) OP(0)
#define LR_SAVE(i)                                                 \
	case (i) + 1:                                              \
		rec_set_ich_lr(rec, i, read_sysreg(ICH_LR##i##_EL2)); \
		__attribute__((fallthrough));
#define LR_LOAD(i)                                                    \
	case (i) + 1:                                                 \
		CHANGE(ICH_LR##i##_EL2, rec_get_ich_lr(rec, i)); \
		__attribute__((fallthrough));
#define AP_SAVE(i)                                                        \
	case (i) + 1:                                                     \
		rec_set_ich_ap0r(rec, i, read_sysreg(ICH_AP0R##i##_EL2)); \
		rec_set_ich_ap1r(rec, i, read_sysreg(ICH_AP1R##i##_EL2)); \
		__attribute__((fallthrough));
#define AP_LOAD(i)                                                         \
	case (i) + 1:                                                      \
		CHANGE(ICH_AP0R##i##_EL2, rec_get_ich_ap0r(rec, i)); \
		CHANGE(ICH_AP1R##i##_EL2, rec_get_ich_ap1r(rec, i)); \
		__attribute__((fallthrough));

static void vgic_save(uint64_t rec)
{
	dsb(st);
	isb();
	rec_set_ich_misr(rec, read_sysreg(ICH_MISR_EL2));
	rec_set_ich_hcr(rec, read_sysreg(ICH_HCR_EL2));
	rec_set_ich_vmcr(rec, read_sysreg(ICH_VMCR_EL2));
	switch (lr_count()) {
		LR_CASES(LR_SAVE)
	default:
		break;
	}
	switch (apr_count()) {
		AP_SAVE(3) AP_SAVE(2) AP_SAVE(1) AP_SAVE(0)
	default:
		break;
	}
	write_sysreg(ICH_HCR_EL2, 0);
	isb();
}

static void vgic_load(uint64_t rec)
{
	CHANGE(ICH_VMCR_EL2, rec_get_ich_vmcr(rec));
	switch (apr_count()) {
		AP_LOAD(3) AP_LOAD(2) AP_LOAD(1) AP_LOAD(0)
	default:
		break;
	}
	switch (lr_count()) {
		LR_CASES(LR_LOAD)
	default:
		break;
	}
	write_sysreg(ICH_HCR_EL2, rec_get_ich_hcr(rec));
}

/* ---- the switch ---- */

static uint64_t vtcr_of(uint64_t rec)
{
	uint64_t level = rec_get_start_level(rec);
	uint64_t sl0 = level == 0 ? 2 : level == 1 ? 1 : 0;

	return 1UL << 31 | (features.vmid16 ? 1UL << 19 : 0) | features.pa_range << 16 | 0x3500 |
	       sl0 << 6 | (64 - rec_get_s2sz(rec));
}

void rec_load(uint64_t rec)
{
	struct percpu *p = this_cpu();

	sysregs_save(p->host.sysreg);
	fp_save(p->host.fp);
	if (features.pmu != 0) {
		p->host.pmcr = read_sysreg(pmcr_el0);
		CHANGE(pmcr_el0, p->host.pmcr & ~PMCR_E);
	}
	p->host.sre = read_sysreg(ICC_SRE_EL1); /* the one GIC register that has no virtual twin */
	p->rec = rec;
	p->guest = rec_guest_of(rec);
	sysregs_load(rec_sysregs_of(rec), p->host.sysreg);
	fp_load(rec_fp_of(rec));
	CHANGE(ICC_SRE_EL1, 7);
	vgic_load(rec);
	write_sysreg(cnthctl_el2, 1); /* counters free, physical timer trapped */
	write_sysreg(mdcr_el2, features.mdcr | MDCR_REALM);
	CHANGE(vtcr_el2, vtcr_of(rec));
	write_sysreg(vttbr_el2, rec_get_vmid(rec) << 48 | rec_get_rtt_base(rec));
	isb();
	/* RECs of a realm share a VMID, but what one of them left in this CPU's TLB is not for another. */
	if (p->last_rec != rec) {
		p->last_rec = rec;
		__asm__ volatile("tlbi vmalle1");
		dsb(nsh);
		isb();
	}
}

void rec_unload(uint64_t rec)
{
	struct percpu *p = this_cpu();

	vgic_save(rec);
	fp_save(rec_fp_of(rec));
	sysregs_save(rec_sysregs_of(rec));
	p->rec = 0;
	write_sysreg(hcr_el2, HCR_HOST);
	CHANGE(vtcr_el2, HOST_VTCR | (features.vmid16 ? 1UL << 19 : 0));
	write_sysreg(vttbr_el2, host_vttbr());
	write_sysreg(mdcr_el2, features.mdcr);
	write_sysreg(cnthctl_el2, 3);
	isb();
	fp_load(p->host.fp);
	sysregs_load(p->host.sysreg, rec_sysregs_of(rec));
	CHANGE(ICC_SRE_EL1, p->host.sre);
	if (features.pmu != 0)
		CHANGE(pmcr_el0, p->host.pmcr);
	isb();
}

uint64_t counter_now(void)
{
	isb();
	return read_sysreg(cntpct_el0);
}

/* A permission fault leaves HPFAR_EL2 unknown unless it was on a stage 1 walk: ask the hardware again. */
static bool fault_ipa(uint64_t esr, uint64_t far, uint64_t *hpfar)
{
	uint64_t ec = ESR_EC(esr), par, old;

	if ((ec != EC_IABT_LOW && ec != EC_DABT_LOW) || (esr & 0x3c) != 0x0c || (esr & (1 << 7)) != 0)
		return true;
	old = read_sysreg(par_el1);
	__asm__ volatile("at s1e1r, %0" : : "r"(far));
	isb();
	par = read_sysreg(par_el1);
	write_sysreg(par_el1, old);
	if ((par & 1) != 0)
		return false; /* the tables changed meanwhile */
	*hpfar = (par & 0x000ffffffffff000UL) >> 8;
	return true;
}

bool trap_hpfar(uint64_t esr, uint64_t far, uint64_t *hpfar)
{
	*hpfar = read_sysreg(hpfar_el2) & ((1UL << 44) - 1);
	return fault_ipa(esr, far, hpfar);
}

void realm_run(uint64_t rec)
{
	bool again = true;

	while (again) {
		uint64_t hcr = HCR_REALM | (features.ras ? HCR_TEA | HCR_TERR : 0);
		uint64_t trap, esr, far, hpfar;

		if (rec_get_trap_wfi(rec) != 0)
			hcr |= HCR_TWI;
		if (rec_get_trap_wfe(rec) != 0)
			hcr |= HCR_TWE;
		if (rec_get_vse(rec) != 0)
			hcr |= HCR_VSE;
		CHANGE(hcr_el2, hcr);
		trap = guest_enter(this_cpu()->guest);
		esr = read_sysreg(esr_el2);
		far = read_sysreg(far_el2);
		if ((read_sysreg(hcr_el2) & HCR_VSE) == 0)
			rec_set_vse(rec, 0);
		if (trap == TRAP_SYNC) {
			if (!trap_hpfar(esr, far, &hpfar))
				continue;
		} else {
			hpfar = 0;
		}
		again = core_rec_exit(rec, trap, esr, far, hpfar);
	}
}
