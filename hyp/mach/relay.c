/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSCI, SMCCC architecture and TRNG calls of the host. What is not named here is refused. Power-up always
 * starts in KCore: the firmware gets KCore's entry and this CPU's block, the host's entry waits there.
 */
#include "relay.h"

#include "../boot/boot.h"
#include "../drivers/log.h"
#include "../include/psci.h"
#include "../include/smccc.h"

#define SMCCC_ARCH_FEATURES 0x80000001UL
#define ARCH_WORKAROUND_1 0x80008000UL
#define ARCH_WORKAROUND_2 0x80007FFFUL
#define ARCH_WORKAROUND_3 0x80003FFFUL
#define TRNG_VERSION 0x84000050UL
#define TRNG_GET_UUID 0x84000052UL
#define TRNG_RND_32 0x84000053UL
#define TRNG_RND_64 0xC4000053UL

#define NOT_SUPPORTED SMCCC_NOT_SUPPORTED

extern void secondary_entry(void);

struct smc_out firmware_call(uint64_t fid, uint64_t a1, uint64_t a2, uint64_t a3)
{
	register uint64_t x0 __asm__("x0") = fid;
	register uint64_t x1 __asm__("x1") = a1;
	register uint64_t x2 __asm__("x2") = a2;
	register uint64_t x3 __asm__("x3") = a3;

	/* An EL2 without EL3 below it has no conduit but SMC: fdt_read() refuses other machines. */
	__asm__ volatile("smc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
			   "x16", "x17", "memory");
	return (struct smc_out){ { x0, x1, x2, x3 } };
}

static uint64_t sign_extend(uint64_t v)
{
	return (uint64_t)(int64_t)(int32_t)v;
}

/* CPU_ON. Two CPUs may race for the same target: the state decides, before anything is written. */
static uint64_t cpu_on(uint64_t target, uint64_t entry, uint64_t context)
{
	struct percpu *p = cpu_find(target);
	uint32_t off = CPU_OFF;
	uint64_t r;

	if (p == NULL)
		return PSCI_INVALID_PARAMETERS;
	if (!__atomic_compare_exchange_n(&p->state, &off, CPU_PENDING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return PSCI_ALREADY_ON;
	p->entry = entry;
	p->context = context;
	r = sign_extend(firmware_call(PSCI_CPU_ON_64, target, (uint64_t)secondary_entry, (uint64_t)p).x[0]);
	if (r != PSCI_SUCCESS)
		__atomic_store_n(&p->state, CPU_OFF, __ATOMIC_RELEASE);
	return r;
}

static uint64_t cpu_off(void)
{
	struct percpu *p = this_cpu();
	uint64_t r;

	__atomic_store_n(&p->state, CPU_OFF, __ATOMIC_RELEASE);
	r = sign_extend(firmware_call(PSCI_CPU_OFF, 0, 0, 0).x[0]);
	__atomic_store_n(&p->state, CPU_ON, __ATOMIC_RELEASE);
	return r;
}

/* Any state, also one that would lose context, may be answered by standing by: PSCI allows the early return. */
static uint64_t cpu_suspend(void)
{
	dsb(sy);
	wfi();
	return PSCI_SUCCESS;
}

static uint64_t psci_features(uint64_t fid)
{
	switch (fid) {
	case SMCCC_VERSION:
		return 0;
	case PSCI_CPU_SUSPEND_32:
	case PSCI_CPU_SUSPEND_64:
	case PSCI_CPU_OFF:
	case PSCI_CPU_ON_32:
	case PSCI_CPU_ON_64:
	case PSCI_AFFINITY_INFO_32:
	case PSCI_AFFINITY_INFO_64:
	case PSCI_MIGRATE_INFO_TYPE:
	case PSCI_SYSTEM_OFF:
	case PSCI_SYSTEM_RESET:
	case PSCI_FEATURES:
		return sign_extend(firmware_call(PSCI_FEATURES, fid, 0, 0).x[0]);
	default:
		return NOT_SUPPORTED;
	}
}

/* The firmware's SMCCC >= 1.1, and this call of it: then it may be passed on. */
static uint64_t arch_features(uint64_t fid)
{
	switch (fid) {
	case SMCCC_VERSION:
	case SMCCC_ARCH_FEATURES:
		return 0;
	case ARCH_WORKAROUND_1:
	case ARCH_WORKAROUND_2:
	case ARCH_WORKAROUND_3:
		return sign_extend(firmware_call(SMCCC_ARCH_FEATURES, fid, 0, 0).x[0]);
	default:
		return NOT_SUPPORTED;
	}
}

bool relay_call(struct frame *f)
{
	uint64_t fid = (uint32_t)f->x[0] & ~SMCCC_SVE_HINT;
	struct smc_out out = { { 0, f->x[1], f->x[2], f->x[3] } };

	switch (fid) {
	case SMCCC_VERSION:
		out.x[0] = SMCCC_VERSION_1_2 - 1; /* 1.1: no SOC_ID */
		break;
	case SMCCC_ARCH_FEATURES:
		out.x[0] = arch_features((uint32_t)f->x[1]);
		break;
	case ARCH_WORKAROUND_1:
	case ARCH_WORKAROUND_2:
	case ARCH_WORKAROUND_3:
		if (arch_features(fid) != 0)
			out.x[0] = NOT_SUPPORTED;
		else
			out = firmware_call(fid, f->x[1], 0, 0);
		break;
	case PSCI_VERSION:
	case PSCI_MIGRATE_INFO_TYPE:
		out.x[0] = sign_extend(firmware_call(fid, 0, 0, 0).x[0]);
		break;
	case PSCI_FEATURES:
		out.x[0] = psci_features((uint32_t)f->x[1]);
		break;
	case PSCI_CPU_ON_32:
		out.x[0] = cpu_on((uint32_t)f->x[1], (uint32_t)f->x[2], (uint32_t)f->x[3]);
		break;
	case PSCI_CPU_ON_64:
		out.x[0] = cpu_on(f->x[1], f->x[2], f->x[3]);
		break;
	case PSCI_CPU_OFF:
		out.x[0] = cpu_off();
		break;
	case PSCI_CPU_SUSPEND_32:
	case PSCI_CPU_SUSPEND_64:
		out.x[0] = cpu_suspend();
		break;
	case PSCI_AFFINITY_INFO_32:
		out.x[0] = sign_extend(firmware_call(fid, (uint32_t)f->x[1], (uint32_t)f->x[2], 0).x[0]);
		break;
	case PSCI_AFFINITY_INFO_64:
		out.x[0] = sign_extend(firmware_call(fid, f->x[1], f->x[2], 0).x[0]);
		break;
	case PSCI_SYSTEM_OFF:
	case PSCI_SYSTEM_RESET:
		log_line("host: %s", fid == PSCI_SYSTEM_OFF ? "power off" : "reset");
		firmware_call(fid, 0, 0, 0);
		out.x[0] = NOT_SUPPORTED;
		break;
	case TRNG_VERSION:
	case TRNG_VERSION + 1: /* FEATURES */
	case TRNG_GET_UUID:
	case TRNG_RND_32:
	case TRNG_RND_64:
		out = firmware_call(fid, f->x[1], 0, 0);
		out.x[0] = fid == TRNG_GET_UUID ? (uint32_t)out.x[0] : sign_extend(out.x[0]);
		break;
	default:
		return false;
	}
	for (int i = 0; i < 4; i++)
		f->x[i] = out.x[i];
	return true;
}
