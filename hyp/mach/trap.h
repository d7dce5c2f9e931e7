/* SPDX-License-Identifier: Apache-2.0 */
/* Traps from EL1: registers of the host as the vectors save them, and the control values of both sides. */
#ifndef KCORE_TRAP_H
#define KCORE_TRAP_H

#include "cpu.h"

struct frame {
	uint64_t x[31];
	uint64_t elr;
	uint64_t spsr;
	uint64_t pad;
};

/* vectors.S */
extern char host_vectors[], guest_vectors[];
_Noreturn void host_eret(uint64_t x0, uint64_t sp);
/* Enter the loaded REC, whose general registers these are; returns TRAP_*. */
uint64_t guest_enter(uint64_t *guest);

/*
 * The host: stage 2 on, SMC and ID registers trapped, implementation-defined registers and ACTLR closed, no
 * trap of interrupts, no stage 1 tables in device memory.
 */
#define HCR_HOST \
	(HCR_RW | HCR_VM | HCR_PTW | HCR_SWIO | HCR_TSC | HCR_TID3 | HCR_TIDCP | HCR_TACR | HCR_API | HCR_APK)
/* SVE, SME, trace and AMU closed; FP open. */
#define CPTR_CLOSED (0x33ffUL | 1UL << 20 | 1UL << 30)

/* MDCR_EL2 while the host runs. */
uint64_t mdcr_detect(void);

#endif
