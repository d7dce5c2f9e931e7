/* SPDX-License-Identifier: Apache-2.0 */
/* Per-CPU state of KCore. TPIDR_EL2 points to it; its first part is the CPU's stack. */
#ifndef KCORE_CPU_H
#define KCORE_CPU_H

#include "arch.h"
#include "offsets.h"
#include "sysregs.h"

/* Life of a CPU as PSCI sees it. */
enum cpu_state { CPU_OFF, CPU_PENDING, CPU_ON };

/* What of the host is set aside while a REC is loaded. */
struct host_state {
	uint64_t sysreg[SYS_SLOTS];
	uint64_t fp[66];
	uint64_t pmcr;
	uint64_t sre;
};

struct percpu {
	uint8_t stack[PERCPU_STACK_SIZE];
	uint64_t *guest;    /* general registers, pc and pstate of the REC being run */
	uint64_t rec;       /* loaded REC, or 0 */
	uint64_t mpidr;     /* affinity fields only */
	uint64_t gicr;      /* RD frame of this CPU's redistributor */
	uint64_t last_rec;  /* REC whose translations this CPU's TLB may hold */
	uint64_t entry;     /* where EL1 starts, and its x0 */
	uint64_t context;
	uint32_t state;     /* enum cpu_state, atomic */
	uint32_t index;
	struct host_state host;
	uint64_t params[512] __attribute__((aligned(64)));
	uint64_t run[512];
	uint64_t hash[512];
	uint64_t digest[8];
};

extern struct percpu *percpus;
extern uint32_t percpu_count;

static inline struct percpu *this_cpu(void)
{
	struct percpu *p;

	__asm__("mrs %0, tpidr_el2" : "=r"(p));
	return p;
}

#define MPIDR_AFF 0x000000ff00ffffffUL

/* The CPU with this affinity, or a null pointer. */
struct percpu *cpu_find(uint64_t mpidr);

/* cpu.c: EL2 registers of this CPU, and the features all CPUs share. */
void cpu_init(struct percpu *p);
void cpu_detect(void);
void cpu_vectors(void);

struct cpu_features {
	bool pauth;
	bool ras;
	bool vmid16;
	bool trf;
	bool mpam;
	bool hcx;
	bool fgt;
	bool amu;
	uint64_t pmu;      /* version, 0: none or not the architecture's */
	uint64_t ich_vtr;
	uint64_t mdcr;     /* MDCR_EL2 while the host runs */
	uint64_t pa_range; /* ID_AA64MMFR0_EL1.PARange, at most 5 (48 bits) */
};
extern struct cpu_features features;

/* For ever at EL1, with x0 = context. */
_Noreturn void host_enter(uint64_t entry, uint64_t context, struct percpu *p);

#endif
