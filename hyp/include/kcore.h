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

/* (ns_pa, offset) -> x1 bytes of the identity document written to the page, x2 size of the document */
#define KCORE_IDENTITY_READ 0xC6004B06UL
/* (rd, ns_pa of a launch block); see LAUNCH_* below */
#define KCORE_LAUNCH_POLICY 0xC6004B07UL
/* (rd, ns_pa): content key of sealed pages, encrypted to this KCore's sealing key; see LAUNCH_KEY_* below */
#define KCORE_LAUNCH_KEY 0xC6004B08UL
/* (rd, data, ipa, src, tag): DATA_CREATE of a sealed page */
#define KCORE_DATA_CREATE_SEALED 0xC6004B09UL

#define KCORE_FID_FIRST 0xC6004B00UL
#define KCORE_FID_LAST 0xC6004BFFUL

#define KCORE_ABI_VERSION 0x00010001UL
#define KCORE_ABI_FEATURES 0UL
#define KCORE_RANGE_MAX 512UL

/* Statuses of KCore's own, beside those of rmi.h. RMI commands on a realm with a launch policy have them, too. */
#define KCORE_ERROR_POLICY 16UL    /* the launch policy forbids it */
#define KCORE_ERROR_SIGNATURE 17UL /* the launch block is not signed by the key that it names */
#define KCORE_ERROR_SEAL 18UL      /* a key or page was not sealed for this, or was altered */
#define KCORE_ERROR_RIM 19UL       /* the RIM is not the one that the launch block expects */

/*
 * Launch block: byte offsets in its page. Its first 0xF0 bytes are signed; bytes 0 to 0x8F and the signer's key
 * are measured.
 */
#define LAUNCH_MAGIC 0x000UL
#define LAUNCH_VERSION 0x008UL
#define LAUNCH_FLAGS 0x010UL
#define LAUNCH_MAX_VCPUS 0x018UL   /* RECs, 1 to LAUNCH_VCPUS_LIMIT */
#define LAUNCH_MAX_PRIVATE 0x020UL /* granules of protected memory */
#define LAUNCH_MAX_SHARED 0x028UL  /* granules of the host mapped into the unprotected half */
#define LAUNCH_MIN_VERSION 0x030UL /* least KCORE_ABI_VERSION */
#define LAUNCH_IMAGE_ID 0x038UL    /* 32 bytes */
#define LAUNCH_RESERVED 0x058UL    /* zero */
#define LAUNCH_RIM 0x090UL         /* expected RIM, 64 bytes; zero: any */
#define LAUNCH_SIGNER 0x0D0UL      /* Ed25519 public key, 32 bytes */
#define LAUNCH_SIGNATURE 0x0F0UL   /* Ed25519, 64 bytes */
#define LAUNCH_END 0x130UL         /* zero from here on */

#define LAUNCH_MAGIC_VALUE 0x31434B4C45524F43UL
#define LAUNCH_VERSION_VALUE 1UL
#define LAUNCH_FLAG_DEBUG (1UL << 0)    /* the host may debug the realm */
#define LAUNCH_FLAG_SNAPSHOT (1UL << 1) /* the host may take snapshots of it */
#define LAUNCH_VCPUS_LIMIT 512UL

/* Page of LAUNCH_KEY: byte offsets. HPKE (RFC 9180) enc and ct of the 32 byte content key; the rest is zero. */
#define LAUNCH_KEY_ENC 0x000UL /* 32 bytes */
#define LAUNCH_KEY_CT 0x020UL  /* 48 bytes */
#define LAUNCH_KEY_END 0x050UL

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
