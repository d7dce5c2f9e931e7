/* SPDX-License-Identifier: Apache-2.0 */
/* EL2 control registers of a CPU, feature detection, ID registers, PSCI-independent per-CPU state. */
#include "cpu.h"

#include "../drivers/gic.h"
#include "../drivers/log.h"
#include "hostmap.h"
#include "mach.h"
#include "trap.h"

struct percpu *percpus;
uint32_t percpu_count;
struct cpu_features features;

#define ID_CASE(m, n)                                                  \
	case (m) * 8 + (n): return read_sysreg(S3_0_C0_C##m##_##n);
#define ID_ROW(m)                                                      \
	ID_CASE(m, 0) ID_CASE(m, 1) ID_CASE(m, 2) ID_CASE(m, 3)        \
	ID_CASE(m, 4) ID_CASE(m, 5) ID_CASE(m, 6) ID_CASE(m, 7)

/* Raw ID register S3_0_C0_C<crm>_<op2>. All of this space reads, unallocated ones as zero. */
uint64_t id_reg(uint64_t crm, uint64_t op2)
{
	switch (crm * 8 + op2) {
	ID_ROW(1) ID_ROW(2) ID_ROW(3) ID_ROW(4) ID_ROW(5) ID_ROW(6) ID_ROW(7)
	default: return 0;
	}
}

void cpu_detect(void)
{
	uint64_t isar1 = id_reg(6, 1), isar2 = id_reg(6, 2), pfr0 = id_reg(4, 0);
	uint64_t mmfr0 = id_reg(7, 0), mmfr1 = id_reg(7, 1), dfr0 = id_reg(5, 0);

	features.pa_range = id_field(mmfr0, 0) < 5 ? id_field(mmfr0, 0) : 5;
	if (features.pa_range < 2)
		panic("the CPU has fewer than 40 physical address bits");
	if (id_field(pfr0, 24) == 0)
		panic("the CPU has no GICv3 system register interface");
	features.pauth = (isar1 & 0xff000ff0UL) != 0 || (isar2 & 0xf000UL) != 0;
	features.ras = id_field(pfr0, 28) != 0;
	features.vmid16 = id_field(mmfr1, 4) == 2;
	features.pmu = id_field(dfr0, 8) == 0xf ? 0 : id_field(dfr0, 8);
	features.trf = id_field(dfr0, 40) != 0;
	features.mpam = id_field(pfr0, 40) != 0 || id_field(id_reg(4, 1), 16) != 0;
	features.hcx = id_field(mmfr1, 40) != 0;
	features.fgt = id_field(mmfr0, 56) != 0;
	write_sysreg(ICC_SRE_EL2, 0xf); /* or there is no ICH_VTR_EL2 */
	isb();
	features.ich_vtr = read_sysreg(ICH_VTR_EL2);
	features.mdcr = mdcr_detect();
	features.amu = id_field(pfr0, 44) != 0;
}

uint64_t s2_width(void)
{
	static const uint8_t bits[] = { 32, 36, 40, 42, 44, 48 };

	return bits[features.pa_range];
}

bool has_level0(void)
{
	return features.pa_range >= 4;
}

void cpu_vectors(void)
{
	write_sysreg(vbar_el2, host_vectors);
	isb();
}

/* Everything EL2 that is the same whether the host or a realm runs. The rest is HCR_EL2 and friends. */
void cpu_init(struct percpu *p)
{
	cpu_vectors();
	write_sysreg(tpidr_el2, p);
	write_sysreg(hcr_el2, HCR_HOST);
	write_sysreg(vtcr_el2, HOST_VTCR | (features.vmid16 ? 1UL << 19 : 0));
	write_sysreg(vttbr_el2, host_vttbr());
	write_sysreg(cptr_el2, CPTR_CLOSED);
	write_sysreg(mdcr_el2, features.mdcr);
	write_sysreg(hstr_el2, 0);
	write_sysreg(actlr_el2, 0);
	write_sysreg(cnthctl_el2, 3);
	write_sysreg(cntvoff_el2, 0);
	write_sysreg(vpidr_el2, read_sysreg(midr_el1));
	write_sysreg(vmpidr_el2, read_sysreg(mpidr_el1));
	if (features.hcx)
		write_sysreg(S3_4_C1_C2_2, 0); /* HCRX_EL2 */
	if (features.mpam)
		write_sysreg(S3_4_C10_C5_0, 3UL << 48); /* MPAM2_EL2: EL1 is trapped */
	if (features.fgt) {
		write_sysreg(S3_4_C1_C1_4, 0); /* HFGRTR_EL2 */
		write_sysreg(S3_4_C1_C1_5, 0); /* HFGWTR_EL2 */
		write_sysreg(S3_4_C1_C1_6, 0); /* HFGITR_EL2 */
		write_sysreg(S3_4_C3_C1_4, 0); /* HDFGRTR_EL2 */
		write_sysreg(S3_4_C3_C1_5, 0); /* HDFGWTR_EL2 */
		if (features.amu)
			write_sysreg(S3_4_C3_C1_6, 0); /* HAFGRTR_EL2 */
	}
	write_sysreg(ICC_SRE_EL2, 0xf);
	isb();
	write_sysreg(ICH_HCR_EL2, 0);
	isb();
	__asm__ volatile("tlbi alle1");
	dsb(nsh);
	isb();
	gic_cpu_init(p);
}

struct percpu *cpu_find(uint64_t mpidr)
{
	for (uint32_t i = 0; i < percpu_count; i++) {
		if (percpus[i].mpidr == mpidr)
			return &percpus[i];
	}
	return NULL;
}

void host_enter(uint64_t entry, uint64_t context, struct percpu *p)
{
	write_sysreg(sctlr_el1, SCTLR_EL1_RESET);
	write_sysreg(cpacr_el1, 0);
	write_sysreg(mdscr_el1, 0);
	write_sysreg(cntkctl_el1, 0);
	write_sysreg(cntv_ctl_el0, 0);
	write_sysreg(cntp_ctl_el0, 0);
	write_sysreg(spsr_el2, PSTATE_EL1H_DAIF);
	write_sysreg(elr_el2, entry);
	__atomic_store_n(&p->state, CPU_ON, __ATOMIC_RELEASE);
	isb();
	host_eret(context, (uint64_t)p + PERCPU_STACK_END);
}
