/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkcore-attest: what a relying party needs to know what runs in a realm.
 *
 *   measurement   the realm initial measurement (RIM) of a launch, computed offline
 *
 * Functions return KCORE_ATTEST_OK or one of the errors below, and write their results only on success.
 * Nothing is logged, no state is global, every function may be called from any thread on objects of its own.
 *
 * Specifications: Arm DEN0137 1.0 (RMM), docs/abi.md of KCore.
 */
#ifndef KCORE_ATTEST_H
#define KCORE_ATTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KCORE_ATTEST_PUBLIC __attribute__((visibility("default")))
#else
#define KCORE_ATTEST_PUBLIC
#endif

enum kcore_attest_error {
        KCORE_ATTEST_OK = 0,

        /* Anywhere. */
        KCORE_ATTEST_NO_MEMORY = 1,
        KCORE_ATTEST_CRYPTO_FAILED = 2, /* OpenSSL refused an operation that can not be refused */

        /* Measurement. */
        KCORE_ATTEST_BAD_WIDTH = 16,    /* s2sz not in 32..48 */
        KCORE_ATTEST_BAD_HASH = 17,     /* hash algorithm neither SHA-256 nor SHA-512 */
        KCORE_ATTEST_BAD_RAM = 18,      /* RAM not in blocks of 2 MiB, empty, at 0, or beyond the protected half */
        KCORE_ATTEST_BAD_VCPUS = 19,    /* number of vCPUs not in 1..512 */
        KCORE_ATTEST_BAD_ENTRY = 20,    /* entry point outside RAM */
        KCORE_ATTEST_BAD_SEGMENT = 21,  /* segment empty, not on a page boundary, outside RAM, or more than 32 */
        KCORE_ATTEST_SEGMENT_OVERLAP = 22,
        KCORE_ATTEST_BAD_ADDRESS = 23,  /* IPA not on a granule boundary or beyond the protected half */
        KCORE_ATTEST_BAD_POLICY = 24,   /* launch block malformed */
        KCORE_ATTEST_POLICY_LATE = 25,  /* launch policy after something else was measured */
};

/* The text of an error, for people: a static string, never NULL. */
KCORE_ATTEST_PUBLIC const char *kcore_attest_strerror(enum kcore_attest_error error);

/* ---- Measurement ----------------------------------------------------------------------------------------
 *
 * A RIM is a chain of hashes over the steps by which a realm is made, in their order (DEN0137, "Realm
 * measurement"). Either describe a whole launch to kcore_measure_launch(), which takes the steps in the
 * order of /dev/kcore, or take them one by one.
 */

#define KCORE_MEASURE_SHA256 0u /* RmiHashAlgorithm */
#define KCORE_MEASURE_SHA512 1u

/* Of the larger hash. A SHA-256 measurement fills the first 32 bytes, the rest is zero. */
#define KCORE_MEASUREMENT_MAX 64u

#define KCORE_MEASURE_GRANULE 4096u
#define KCORE_MEASURE_MAX_SEGMENTS 32u
#define KCORE_MEASURE_MAX_VCPUS 512u

/* The launch block: one page of the image, of which these many bytes are used. docs/abi.md has its fields. */
#define KCORE_LAUNCH_BLOCK_SIZE 0x130u
#define KCORE_LAUNCH_BLOCK_MAGIC UINT64_C(0x31434B4C45524F43) /* "CORELKC1", little endian */
#define KCORE_LAUNCH_BLOCK_VERSION UINT64_C(1)
/* Bytes of the block that are the policy: measured, and claim -75100 of the realm's token. */
#define KCORE_LAUNCH_POLICY_SIZE 0x90u
/* Where the block has the expected RIM, the signer's Ed25519 public key and the signature. */
#define KCORE_LAUNCH_BLOCK_RIM 0x090u
#define KCORE_LAUNCH_BLOCK_SIGNER 0x0D0u
#define KCORE_LAUNCH_BLOCK_SIGNATURE 0x0F0u

#define KCORE_LAUNCH_FLAG_DEBUG UINT64_C(1)     /* debugging of the realm is allowed */
#define KCORE_LAUNCH_FLAG_SNAPSHOTS UINT64_C(2) /* the host may take snapshots */

/* The policy, decoded. */
struct kcore_launch_policy {
        uint64_t flags;       /* KCORE_LAUNCH_FLAG_* */
        uint64_t max_vcpus;   /* 1..512 */
        uint64_t max_private; /* granules of protected memory that the realm may hold */
        uint64_t max_shared;  /* granules of host pages that it may map */
        uint64_t min_version; /* version of KCore's ABI, at least */
        uint8_t image_id[32];
};

/* Decodes the KCORE_LAUNCH_POLICY_SIZE bytes of a policy. BAD_POLICY: wrong magic or version, unknown flag,
 * max_vcpus out of range, or reserved bytes that are not zero. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_launch_policy_parse(
                const uint8_t policy[KCORE_LAUNCH_POLICY_SIZE],
                struct kcore_launch_policy *ret);

/* A realm's RIM as far as it has got. */
struct kcore_measure;

/* REALM_CREATE with the parameters that KServ uses: no flags, no SVE, no PMU, two breakpoints and two
 * watchpoints. s2sz: IPA width in bits, 32..48 (BAD_WIDTH). hash: KCORE_MEASURE_SHA256 or _SHA512
 * (BAD_HASH). Free the result with kcore_measure_free(). */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_measure_new(
                unsigned s2sz, unsigned hash, struct kcore_measure **ret);
KCORE_ATTEST_PUBLIC void kcore_measure_free(struct kcore_measure *m); /* NULL does nothing */

/* KCORE_LAUNCH_POLICY. Of the block only the policy and the signer's key count, so that the RIM is known
 * before the block is complete. BAD_POLICY: as kcore_launch_policy_parse(). POLICY_LATE: not the first step. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_measure_policy(
                struct kcore_measure *m, const uint8_t block[KCORE_LAUNCH_BLOCK_SIZE]);

/* RTT_INIT_RIPAS over [base, top), in the steps of a host that makes no translation table before it needs it
 * and starts with the lowest level at which tables can be concatenated: each step is the largest entry that
 * is aligned and fits. This holds for one range per realm, before any page. BAD_ADDRESS: not on granule
 * boundaries, empty, or beyond the protected half. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_measure_init_ripas(
                struct kcore_measure *m, uint64_t base, uint64_t top);

/* DATA_CREATE, or KCORE_DATA_CREATE_SEALED of what decrypts to the page: one granule at ipa. page is NULL for
 * one whose content is not measured. BAD_ADDRESS as above. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_measure_data(
                struct kcore_measure *m, uint64_t ipa, const uint8_t *page);

/* REC_CREATE of a runnable REC. Others are not measured. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_measure_rec(
                struct kcore_measure *m, uint64_t pc, const uint64_t gprs[8]);

/* The RIM at this point. *ret_size (may be NULL): bytes of it that are the hash, 32 or 64. */
KCORE_ATTEST_PUBLIC void kcore_measure_rim(
                const struct kcore_measure *m, uint8_t ret[KCORE_MEASUREMENT_MAX], size_t *ret_size);

/* A piece of payload: length bytes at data go to ipa on; the rest of the last page is zero. */
struct kcore_measure_segment {
        uint64_t ipa;     /* multiple of 4096 */
        const void *data; /* may be NULL if the content is not measured */
        uint64_t length;  /* bytes, not 0 */
        bool measured;    /* the content; the address always is */
};

/* What /dev/kcore is told of a launch (kvm-patches/uapi/kcore.h). */
struct kcore_measure_launch {
        unsigned s2sz; /* 32..48; 0: the smallest from 33 on with RAM in its lower half */
        unsigned hash; /* KCORE_MEASURE_* */
        uint64_t ram_base, ram_size; /* multiples of 2 MiB, not 0 */
        unsigned vcpus;              /* 1..512 */
        uint64_t entry_pc;           /* in RAM */
        uint64_t entry_regs[8];      /* x0..x7 of vCPU 0 */
        const uint8_t *block;        /* KCORE_LAUNCH_BLOCK_SIZE bytes, or NULL without a policy */
        const struct kcore_measure_segment *segments; /* in the order of loading; none may overlap */
        size_t n_segments;                            /* at most KCORE_MEASURE_MAX_SEGMENTS */
};

/* The RIM of a launch: REALM_CREATE, policy, RIPAS of RAM, segments in order, REC of vCPU 0. Errors as the
 * fields say; the same launches are refused as by the kernel. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_measure_launch(
                const struct kcore_measure_launch *launch,
                uint8_t ret[KCORE_MEASUREMENT_MAX],
                size_t *ret_size);

#ifdef __cplusplus
}
#endif

#endif
