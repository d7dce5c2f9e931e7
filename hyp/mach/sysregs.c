/* SPDX-License-Identifier: Apache-2.0 */
/* EL1 registers: save, load, and one at a time. The list is REC_SYSREGS of fields.h. */
#include "sysregs.h"

#include "arch.h"
#include "cpu.h"

/* Names that the assembler only knows with an extension, by encoding. */
#define ENC_DISR_EL1 S3_0_C12_C1_1
#define ENC_VSESR_EL2 S3_4_C5_C2_3
#define ENC_APIAKEYLO_EL1 S3_0_C2_C1_0
#define ENC_APIAKEYHI_EL1 S3_0_C2_C1_1
#define ENC_APIBKEYLO_EL1 S3_0_C2_C1_2
#define ENC_APIBKEYHI_EL1 S3_0_C2_C1_3
#define ENC_APDAKEYLO_EL1 S3_0_C2_C2_0
#define ENC_APDAKEYHI_EL1 S3_0_C2_C2_1
#define ENC_APDBKEYLO_EL1 S3_0_C2_C2_2
#define ENC_APDBKEYHI_EL1 S3_0_C2_C2_3
#define ENC_APGAKEYLO_EL1 S3_0_C2_C3_0
#define ENC_APGAKEYHI_EL1 S3_0_C2_C3_1

#define ALWAYS(X)                                                              \
	X(SCTLR_EL1, SCTLR_EL1) X(ACTLR_EL1, ACTLR_EL1) X(CPACR_EL1, CPACR_EL1) \
	X(TTBR0_EL1, TTBR0_EL1) X(TTBR1_EL1, TTBR1_EL1) X(TCR_EL1, TCR_EL1)    \
	X(ESR_EL1, ESR_EL1) X(AFSR0_EL1, AFSR0_EL1) X(AFSR1_EL1, AFSR1_EL1)    \
	X(FAR_EL1, FAR_EL1) X(MAIR_EL1, MAIR_EL1) X(AMAIR_EL1, AMAIR_EL1)      \
	X(VBAR_EL1, VBAR_EL1) X(CONTEXTIDR_EL1, CONTEXTIDR_EL1)                \
	X(TPIDR_EL1, TPIDR_EL1) X(TPIDR_EL0, TPIDR_EL0)                        \
	X(TPIDRRO_EL0, TPIDRRO_EL0) X(CNTKCTL_EL1, CNTKCTL_EL1)                \
	X(PAR_EL1, PAR_EL1) X(ELR_EL1, ELR_EL1) X(SPSR_EL1, SPSR_EL1)          \
	X(SP_EL0, SP_EL0) X(SP_EL1, SP_EL1) X(MDSCR_EL1, MDSCR_EL1)            \
	X(CSSELR_EL1, CSSELR_EL1) X(VMPIDR_EL2, VMPIDR_EL2)                    \
	X(CNTV_CVAL_EL0, CNTV_CVAL_EL0) X(CNTV_CTL_EL0, CNTV_CTL_EL0)
#define RAS(X) X(DISR_EL1, ENC_DISR_EL1) X(VSESR_EL2, ENC_VSESR_EL2)
#define PAUTH(X)                                                                         \
	X(APIAKEYLO_EL1, ENC_APIAKEYLO_EL1) X(APIAKEYHI_EL1, ENC_APIAKEYHI_EL1)          \
	X(APIBKEYLO_EL1, ENC_APIBKEYLO_EL1) X(APIBKEYHI_EL1, ENC_APIBKEYHI_EL1)          \
	X(APDAKEYLO_EL1, ENC_APDAKEYLO_EL1) X(APDAKEYHI_EL1, ENC_APDAKEYHI_EL1)          \
	X(APDBKEYLO_EL1, ENC_APDBKEYLO_EL1) X(APDBKEYHI_EL1, ENC_APDBKEYHI_EL1)          \
	X(APGAKEYLO_EL1, ENC_APGAKEYLO_EL1) X(APGAKEYHI_EL1, ENC_APGAKEYHI_EL1)

#define SAVE(name, reg) to[SYS_##name] = read_sysreg(reg);
#define LOAD(name, reg)                         \
	if (from[SYS_##name] != now[SYS_##name]) \
		write_sysreg(reg, from[SYS_##name]);

void sysregs_save(uint64_t *to)
{
	ALWAYS(SAVE)
	if (features.ras) {
		RAS(SAVE)
	}
	if (features.pauth) {
		PAUTH(SAVE)
	}
}

/* Many are equal on both sides, and a write costs more than a comparison. */
void sysregs_load(const uint64_t *from, const uint64_t *now)
{
	ALWAYS(LOAD)
	if (features.ras) {
		RAS(LOAD)
	}
	if (features.pauth) {
		PAUTH(LOAD)
	}
}

#define GET(name, reg) \
	case SYS_##name: return read_sysreg(reg);
#define SET(name, reg)                   \
	case SYS_##name:                 \
		write_sysreg(reg, value); \
		break;

static uint64_t live_get(uint64_t index)
{
	switch (index) {
		ALWAYS(GET)
	}
	if (features.ras) {
		switch (index) {
			RAS(GET)
		}
	}
	if (features.pauth) {
		switch (index) {
			PAUTH(GET)
		}
	}
	return 0;
}

static void live_set(uint64_t index, uint64_t value)
{
	switch (index) {
		ALWAYS(SET)
	}
	if (features.ras) {
		switch (index) {
			RAS(SET)
		}
	}
	if (features.pauth) {
		switch (index) {
			PAUTH(SET)
		}
	}
}

uint64_t rec_sysreg(uint64_t rec, uint64_t index)
{
	if (this_cpu()->rec == rec)
		return live_get(index);
	return rec_get_el1(rec, index);
}

void rec_set_sysreg(uint64_t rec, uint64_t index, uint64_t value)
{
	if (this_cpu()->rec == rec)
		live_set(index, value);
	else
		rec_set_el1(rec, index, value);
}
