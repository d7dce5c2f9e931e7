/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkcore-attest: what a relying party needs to know what runs in a realm.
 *
 *   keys          public keys that sign tokens
 *   tokens        CCA attestation tokens: parsing, then verification under a platform's key
 *   identity      a KCore's identity document: its DICE chain, platform key and sealing key
 *   appraisal     a verified token against reference values, claim by claim
 *   measurement   the realm initial measurement (RIM) of a launch, computed offline
 *
 * Parsers take hostile input: sizes are capped before anything is allocated, nothing recurses on input.
 *
 * Functions return KCORE_ATTEST_OK or one of the errors below, and write their results only on success.
 * Nothing is logged, no state is global, every function may be called from any thread on objects of its own.
 *
 * Specifications: Arm DEN0137 1.0 (RMM); draft-ffm-rats-cca-token (EAT profiles "tag:arm.com,2023:..#1.0.0");
 * RFC 8949 (CBOR), 9052 and 9053 (COSE), 9711 (EAT); Open Profile for DICE 2.5; docs/abi.md and
 * docs/attestation.md of KCore.
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

        /* CBOR. */
        KCORE_ATTEST_TOO_LARGE = 32,     /* more bytes than are ever looked at */
        KCORE_ATTEST_TRUNCATED = 33,     /* ends within an item */
        KCORE_ATTEST_TRAILING_BYTES = 34,
        KCORE_ATTEST_MALFORMED = 35,     /* a byte that begins no item */
        KCORE_ATTEST_NOT_CANONICAL = 36, /* not the shortest encoding, indefinite length, or a float */
        KCORE_ATTEST_TOO_DEEP = 37,
        KCORE_ATTEST_TOO_MANY = 38,      /* entries of an array or map */
        KCORE_ATTEST_BAD_MAP_KEY = 39,   /* neither an integer nor a text */
        KCORE_ATTEST_DUPLICATE_KEY = 40,

        /* Structure and claims. */
        KCORE_ATTEST_UNSUPPORTED_TAG = 48,
        KCORE_ATTEST_UNSUPPORTED_ALGORITHM = 49,
        KCORE_ATTEST_UNSUPPORTED_HEADER = 50, /* COSE header that must be understood, or in the wrong place */
        KCORE_ATTEST_UNSUPPORTED_PROFILE = 51,
        KCORE_ATTEST_UNSUPPORTED_HASH = 52,
        KCORE_ATTEST_MISSING_CLAIM = 53,
        KCORE_ATTEST_WRONG_TYPE = 54,
        KCORE_ATTEST_WRONG_SIZE = 55,
        KCORE_ATTEST_WRONG_VALUE = 56,
        KCORE_ATTEST_BAD_TEXT = 57, /* not UTF-8, or with control characters */
        KCORE_ATTEST_BAD_KEY = 58,  /* no public key of a kind that is supported, or not on its curve */

        /* Verification. */
        KCORE_ATTEST_KEY_MISMATCH = 64, /* the key is not of the algorithm's kind */
        KCORE_ATTEST_BAD_SIGNATURE = 65,
        KCORE_ATTEST_BAD_BINDING = 66,  /* the platform does not vouch for this realm key */
        KCORE_ATTEST_BAD_ISSUER = 67,   /* a certificate's issuer is not the subject of the one before */
        KCORE_ATTEST_BAD_USAGE = 68,    /* a certificate's key may not sign certificates */
        KCORE_ATTEST_NOT_NORMAL = 69,   /* a certificate of a stage that was not in normal mode */
        KCORE_ATTEST_NO_CHAIN = 70,     /* an identity nobody vouches for: no DICE hand-over */

        /* Reference values. */
        KCORE_ATTEST_NOT_JSON = 80,
        KCORE_ATTEST_UNKNOWN_FIELD = 81,
        KCORE_ATTEST_MISSING_FIELD = 82,
        KCORE_ATTEST_BAD_FIELD = 83, /* not of the form that the schema has for it */

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
/* Its name, for programs: "duplicate-key". */
KCORE_ATTEST_PUBLIC const char *kcore_attest_error_name(enum kcore_attest_error error);

/* Where an error is. Optional wherever it is taken; filled on failure only. */
struct kcore_attest_detail {
        int64_t claim;   /* key of the claim, 0 if it is not in one */
        char where[120]; /* for people: "realm token, claim 44238 (initial measurement)" */
};

struct kcore_digest {
        size_t size; /* 32, 48 or 64; 0: none */
        uint8_t data[64];
};

/* ---- Keys ----------------------------------------------------------------------------------------------- */

#define KCORE_KEY_FILE_MAX 16384u /* bytes */

enum kcore_key_type {
        KCORE_KEY_P256,
        KCORE_KEY_P384,
        KCORE_KEY_P521,
        KCORE_KEY_ED25519,
        KCORE_KEY_X25519,
};

struct kcore_key;

/* A public key: PEM ("PUBLIC KEY"), a JWK, or a COSE_Key, recognized by how it begins. BAD_KEY: another kind
 * of file or key, a private key, a point that is not on the curve; or an error of CBOR. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_key_parse(
                const uint8_t *data, size_t size, struct kcore_key **ret);
KCORE_ATTEST_PUBLIC void kcore_key_free(struct kcore_key *key); /* NULL does nothing */
KCORE_ATTEST_PUBLIC enum kcore_key_type kcore_key_type(const struct kcore_key *key);
KCORE_ATTEST_PUBLIC const char *kcore_key_type_name(const struct kcore_key *key); /* "P-384" */
/* SHA-256 of the key as a COSE_Key of its required parameters (RFC 9679). */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_key_thumbprint(const struct kcore_key *key, uint8_t ret[32]);

/* ---- Tokens --------------------------------------------------------------------------------------------- */

#define KCORE_TOKEN_MAX 65536u /* bytes */
#define KCORE_TEXT_MAX 255u
#define KCORE_CONFIGURATION_MAX 1024u
#define KCORE_COMPONENTS_MAX 32u
#define KCORE_REMS 4u

#define KCORE_PROFILE_PLATFORM "tag:arm.com,2023:cca_platform#1.0.0"
#define KCORE_PROFILE_PLATFORM_LEGACY "http://arm.com/CCA-SSD/1.0.0"
#define KCORE_PROFILE_REALM "tag:arm.com,2023:realm#1.0.0"

/* KCore's implementation id: SHA-256("KCore on Armv8 without RME"). */
KCORE_ATTEST_PUBLIC const uint8_t *kcore_implementation_id(void); /* 32 bytes */

/* Texts are UTF-8 without control characters, NUL-terminated; "" if the claim is absent. */
struct kcore_software_component {
        char type[KCORE_TEXT_MAX + 1];
        char version[KCORE_TEXT_MAX + 1];
        char hash[KCORE_TEXT_MAX + 1]; /* algorithm of the measurement */
        struct kcore_digest measurement;
        struct kcore_digest signer;
};

struct kcore_platform_claims {
        char profile[KCORE_TEXT_MAX + 1];  /* 265 */
        struct kcore_digest challenge;     /* 10: hash of the realm's key */
        uint8_t implementation_id[32];     /* 2396 */
        uint8_t instance_id[33];           /* 256: 0x01, then 32 bytes */
        size_t configuration_size;
        uint8_t configuration[KCORE_CONFIGURATION_MAX]; /* 2401 */
        uint16_t lifecycle;                /* 2395 */
        char hash[KCORE_TEXT_MAX + 1];     /* 2402: default for components that name none */
        char service[KCORE_TEXT_MAX + 1];  /* 2400 */
        size_t n_components;               /* at least 1 */
        struct kcore_software_component components[KCORE_COMPONENTS_MAX]; /* 2399 */
        size_t n_unknown;                  /* claims that were not looked at */
};

struct kcore_realm_claims {
        char profile[KCORE_TEXT_MAX + 1];  /* 265; "" for tokens before profile 1.0.0 */
        uint8_t challenge[64];             /* 10: the verifier's nonce */
        uint8_t personalization[64];       /* 44235 */
        char hash[KCORE_TEXT_MAX + 1];     /* 44236: of the measurements, whose size fits it */
        char key_hash[KCORE_TEXT_MAX + 1]; /* 44240: binds the realm's key, 44237 */
        struct kcore_digest rim;           /* 44238 */
        struct kcore_digest rem[KCORE_REMS]; /* 44239 */
        bool has_policy;                   /* KCore's own, both or none: */
        uint8_t policy_bytes[0x90];        /* -75100 */
        uint8_t policy_signer[32];         /* -75101: SHA-256 of the signer's Ed25519 public key */
        size_t n_unknown;
};

/* A parsed token. Nothing in it may be believed before kcore_token_verify(). */
struct kcore_token;

/* Parses a token: tag 399, or 907 (CMW collection), of a platform and a realm token, both COSE_Sign1 (tag 18)
 * with ES256, ES384 or ES512. The realm's key is a COSE_Key, or the bare point if the token has no profile
 * claim. Any of the errors of CBOR, structure and claims. The token keeps a copy of data. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_token_parse(
                const uint8_t *data, size_t size, struct kcore_token **ret, struct kcore_attest_detail *detail);
KCORE_ATTEST_PUBLIC void kcore_token_free(struct kcore_token *token); /* NULL does nothing */

/* Owned by the token. */
KCORE_ATTEST_PUBLIC const struct kcore_platform_claims *kcore_token_platform(const struct kcore_token *token);
KCORE_ATTEST_PUBLIC const struct kcore_realm_claims *kcore_token_realm(const struct kcore_token *token);
KCORE_ATTEST_PUBLIC const struct kcore_key *kcore_token_realm_key(const struct kcore_token *token);

/* Does the platform's key sign the platform token (BAD_SIGNATURE, KEY_MISMATCH, WRONG_SIZE), does that name the
 * hash of the realm's key (BAD_BINDING), and does the realm's key sign the realm token (as above)? */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_token_verify(
                const struct kcore_token *token,
                const struct kcore_key *platform_key,
                struct kcore_attest_detail *detail);

/* The name of a lifecycle state's range, "secured"; "invalid" for others. */
KCORE_ATTEST_PUBLIC const char *kcore_lifecycle_name(uint16_t lifecycle);

/* ---- Identity ------------------------------------------------------------------------------------------- */

#define KCORE_IDENTITY_MAX 8192u /* bytes */

/* What an identity document (KCORE_IDENTITY_READ, files *.kplat) says. */
struct kcore_identity_claims {
        size_t n_entries;       /* certificates of the chain; 0: nobody vouches for this identity */
        uint16_t lifecycle;     /* that of the platform token; it follows from the modes of the chain's certificates */
        uint8_t root[32];       /* SHA-256 of the encoded COSE_Key at the root of the chain (UDS) */
        uint8_t code_hash[64];  /* SHA-512 of kcore.bin, from the last certificate */
        uint8_t sealing_key[32]; /* X25519: images are sealed to it */
        uint8_t sealing_key_hash[32]; /* SHA-256 of it: how an image names its recipients */
        char component[KCORE_TEXT_MAX + 1]; /* name of the last certificate's configuration; "" if it has none */
};

struct kcore_identity;

/* Parses an identity document. Nothing in it may be believed before kcore_identity_verify(). */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_identity_parse(
                const uint8_t *data, size_t size, struct kcore_identity **ret, struct kcore_attest_detail *detail);
KCORE_ATTEST_PUBLIC void kcore_identity_free(struct kcore_identity *id); /* NULL does nothing */

/* Does each certificate come from the one before, and do the last one's subject and key vouch for platform and
 * sealing key? BAD_SIGNATURE, KEY_MISMATCH, BAD_ISSUER, BAD_USAGE, NOT_NORMAL, NO_CHAIN. That the root is the
 * machine's is for the caller to know: compare kcore_identity_claims.root. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_identity_verify(
                const struct kcore_identity *id, struct kcore_attest_detail *detail);

/* Owned by the identity. The platform's key is what kcore_token_verify() takes. */
KCORE_ATTEST_PUBLIC const struct kcore_identity_claims *kcore_identity_claims(const struct kcore_identity *id);
KCORE_ATTEST_PUBLIC const struct kcore_key *kcore_identity_platform_key(const struct kcore_identity *id);

/* ---- Appraisal ------------------------------------------------------------------------------------------ */

#define KCORE_REFERENCE_MAX (1u << 20) /* bytes */

/* Reference values: what a relying party expects. */
struct kcore_reference;

/* From JSON of docs/reference-values.schema.json. NOT_JSON, UNKNOWN_FIELD, MISSING_FIELD (of the frame: a missing
 * reference value is no error here, but rejects the claim), DUPLICATE_KEY, BAD_FIELD, TOO_LARGE. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_reference_parse(
                const char *json, size_t size, struct kcore_reference **ret, struct kcore_attest_detail *detail);
KCORE_ATTEST_PUBLIC void kcore_reference_free(struct kcore_reference *reference); /* NULL does nothing */

enum kcore_verdict {
        KCORE_VERDICT_ACCEPTED,
        KCORE_VERDICT_REJECTED,
        KCORE_VERDICT_NOT_JUDGED,  /* nothing vouches for the claim, so it was not compared: as bad as rejected */
        KCORE_VERDICT_INFORMATION, /* nothing depends on it */
};
KCORE_ATTEST_PUBLIC const char *kcore_verdict_name(enum kcore_verdict verdict); /* "accepted" */

/* One claim. Strings are never NULL; "" in expected if there is nothing to expect. */
struct kcore_report_row {
        const char *section; /* "identity", "platform", "realm" */
        const char *claim;   /* its name, as in the reference values: "initialMeasurement" */
        char *expected, *actual;
        enum kcore_verdict verdict;
        char *reason;
};

struct kcore_report {
        bool accepted; /* no claim is rejected or not judged */
        size_t n_rows;
        struct kcore_report_row *rows;
};

struct kcore_appraisal {
        const struct kcore_token *token;
        /* Who vouches for the platform: a key that the caller trusts, or an identity, whose root must then be in
         * the reference values. Exactly one of them. */
        const struct kcore_key *platform_key;
        const struct kcore_identity *identity;
        const struct kcore_reference *reference;
        /* What the challenge must be: at most 64 bytes, zeroes follow. NULL rejects, */
        const uint8_t *nonce;
        size_t nonce_size;
        bool any_nonce;    /* unless this is set: a recorded token is as good then. Insecure */
        bool any_identity; /* take an identity without a chain. Insecure */
};

/* Verifies the token and compares each claim with its reference value. A claim without a reference value is
 * rejected, a reference value without its claim too. Fails only for NO_MEMORY, CRYPTO_FAILED or WRONG_VALUE (nonce
 * too long, not exactly one of key and identity); all else is in the report. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_appraise(
                const struct kcore_appraisal *appraisal, struct kcore_report **ret);
KCORE_ATTEST_PUBLIC void kcore_report_free(struct kcore_report *report); /* NULL does nothing */

/* { "verdict": "accepted", "claims": [ { "section", "claim", "expected", "actual", "verdict", "reason" } ] } as a
 * string, to be freed. */
KCORE_ATTEST_PUBLIC enum kcore_attest_error kcore_report_to_json(const struct kcore_report *report, char **ret);

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
