/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KCore's vendor calls (SMCCC vendor-hypervisor range, SMC64 fast calls from EL1 of the host).
 * x0 of the answer is a status as in rmi.h, or -1 for an unknown call. See docs/abi.md.
 */
#ifndef KCORE_KCORE_H
#define KCORE_KCORE_H

/* Vendor hypervisor UID: b1c0a0e4-5d43-4f7a-9a51-4b436f726501, four little-endian words in x0-x3. */
#define KCORE_VENDOR_UID 0x8600FF01UL
#define KCORE_UID_0 0xE4A0C0B1UL
#define KCORE_UID_1 0x7A4F435DUL
#define KCORE_UID_2 0x434B519AUL
#define KCORE_UID_3 0x0165726FUL

/* () -> x1 major << 16 | minor, x2 feature bits */
#define KCORE_VERSION 0xC6004B00UL
/* feature bit: devices are confined by an SMMU. Without it REALM_CREATE answers ERROR_INPUT. */
#define KCORE_VERSION_DMA (1UL << 0)
/* (index) -> x1 value */
#define KCORE_FEATURES 0xC6004B01UL
/* (pa, count <= 512) -> x1 granules done; stops at the first failure */
#define KCORE_DELEGATE_RANGE 0xC6004B02UL
#define KCORE_UNDELEGATE_RANGE 0xC6004B03UL
/* (ns_pa, seq) -> x1 bytes written to the page, x2 next seq */
#define KCORE_LOG_READ 0xC6004B04UL
/* (index) -> x1 value */
#define KCORE_COUNTER_READ 0xC6004B05UL

#define KCORE_FID_FIRST 0xC6004B00UL
#define KCORE_FID_LAST 0xC6004BFFUL

#define KCORE_ABI_VERSION 0x00010000UL
#define KCORE_ABI_FEATURES 0UL
#define KCORE_RANGE_MAX 512UL

#define KCORE_FEATURE_ICH_VTR 0UL
#define KCORE_FEATURE_TRACKED 1UL
#define KCORE_FEATURE_DELEGATED 2UL
#define KCORE_FEATURE_REALMS 3UL
#define KCORE_FEATURE_LOG_SIZE 4UL
#define KCORE_FEATURE_COUNTERS 5UL

/*
 * Counters. The first group counts uses of declassification channels (what a realm lets the host see),
 * one per channel; the second is bookkeeping.
 */
#define KCORE_CTR_EXIT_MMIO 0UL       /* unprotected data abort: syndrome and one register */
#define KCORE_CTR_EXIT_FAULT 1UL      /* protected abort: page address */
#define KCORE_CTR_EXIT_SYSREG 2UL     /* ICC_SGI1R and the like: value written */
#define KCORE_CTR_EXIT_WFX 3UL
#define KCORE_CTR_EXIT_IRQ 4UL
#define KCORE_CTR_EXIT_PSCI 5UL
#define KCORE_CTR_EXIT_RIPAS 6UL      /* share or unshare request: range */
#define KCORE_CTR_EXIT_HOST_CALL 7UL  /* 31 registers chosen by the realm */
#define KCORE_CTR_EXIT_OTHER 8UL      /* reason only */
#define KCORE_CTR_HOST_ABORT 9UL      /* host touched what it does not own */
#define KCORE_CTR_REC_ENTER 10UL
#define KCORE_CTR_DELEGATED 11UL      /* granules delegated now */
#define KCORE_CTR_REALMS 12UL         /* realms now */
#define KCORE_NUM_COUNTERS 13UL

/* Log events: code and two values; the text is made by the log (hyp/mach). */
#define LOG_HOST_ABORT 1UL      /* ipa, esr */
#define LOG_REALM_CREATE 2UL    /* rd, vmid */
#define LOG_REALM_DESTROY 3UL   /* rd, vmid */
#define LOG_REALM_ACTIVATE 4UL  /* rd, RIM word 0 */
#define LOG_REALM_OFF 5UL       /* rd, PSCI function */
#define LOG_REC_STUCK 6UL       /* rec, esr: an exit nobody can handle */

#endif
