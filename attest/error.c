/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of errors. They follow the place: "realm token, claim 10 (challenge): has the wrong size". */
#include "detail.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
        enum kcore_attest_error error;
        const char *name, *text;
} errors[] = {
        { KCORE_ATTEST_OK, "ok", "no error" },
        { KCORE_ATTEST_NO_MEMORY, "no-memory", "out of memory" },
        { KCORE_ATTEST_CRYPTO_FAILED, "crypto-failed", "the crypto library failed" },
        { KCORE_ATTEST_TOO_LARGE, "too-large", "is larger than anything that is accepted here" },
        { KCORE_ATTEST_TRUNCATED, "truncated", "ends in the middle of a CBOR item" },
        { KCORE_ATTEST_TRAILING_BYTES, "trailing-bytes", "has bytes after its end" },
        { KCORE_ATTEST_MALFORMED, "malformed", "is not CBOR" },
        { KCORE_ATTEST_NOT_CANONICAL, "not-canonical", "is not in the shortest CBOR encoding of definite length" },
        { KCORE_ATTEST_TOO_DEEP, "too-deep", "has CBOR items nested too deeply" },
        { KCORE_ATTEST_TOO_MANY, "too-many", "has too many entries" },
        { KCORE_ATTEST_BAD_MAP_KEY, "bad-map-key", "has a map key that is neither an integer nor a text" },
        { KCORE_ATTEST_DUPLICATE_KEY, "duplicate-key", "has a map key twice" },
        { KCORE_ATTEST_UNSUPPORTED_TAG, "unsupported-tag", "does not have the CBOR tag expected" },
        { KCORE_ATTEST_UNSUPPORTED_ALGORITHM, "unsupported-algorithm", "is signed with an algorithm that is not supported" },
        { KCORE_ATTEST_UNSUPPORTED_HEADER, "unsupported-header", "has a COSE header that is not supported" },
        { KCORE_ATTEST_UNSUPPORTED_PROFILE, "unsupported-profile", "has a profile that is not supported" },
        { KCORE_ATTEST_UNSUPPORTED_HASH, "unsupported-hash", "names a hash algorithm that is not supported" },
        { KCORE_ATTEST_MISSING_CLAIM, "missing-claim", "is missing" },
        { KCORE_ATTEST_WRONG_TYPE, "wrong-type", "has the wrong type" },
        { KCORE_ATTEST_WRONG_SIZE, "wrong-size", "has the wrong size" },
        { KCORE_ATTEST_WRONG_VALUE, "wrong-value", "has a value that is not allowed" },
        { KCORE_ATTEST_BAD_TEXT, "bad-text", "is not printable text in UTF-8" },
        { KCORE_ATTEST_BAD_KEY, "bad-key", "is not a public key of a supported kind" },
        { KCORE_ATTEST_KEY_MISMATCH, "key-mismatch", "is signed with an algorithm that is not that of the key" },
        { KCORE_ATTEST_BAD_SIGNATURE, "bad-signature", "the signature is wrong" },
        { KCORE_ATTEST_BAD_BINDING, "bad-binding", "the platform token does not vouch for this realm's key" },
        { KCORE_ATTEST_BAD_ISSUER, "bad-issuer", "the issuer is not the subject of the certificate before" },
        { KCORE_ATTEST_BAD_USAGE, "bad-usage", "the key is not meant to sign certificates" },
        { KCORE_ATTEST_NOT_NORMAL, "not-normal", "the certified stage did not run in normal mode" },
        { KCORE_ATTEST_NO_CHAIN, "no-chain", "nobody vouches for this identity: the platform had no DICE hand-over" },
        { KCORE_ATTEST_NOT_JSON, "not-json", "is not JSON" },
        { KCORE_ATTEST_UNKNOWN_FIELD, "unknown-field", "is not a field of reference values" },
        { KCORE_ATTEST_MISSING_FIELD, "missing-field", "is missing from the reference values" },
        { KCORE_ATTEST_BAD_FIELD, "bad-field", "does not have the form of a reference value" },
        { KCORE_ATTEST_BAD_WIDTH, "bad-width", "the IPA width is not between 32 and 48 bits" },
        { KCORE_ATTEST_BAD_HASH, "bad-hash", "the hash algorithm is neither SHA-256 nor SHA-512" },
        { KCORE_ATTEST_BAD_RAM, "bad-ram", "RAM is empty, not in blocks of 2 MiB, or outside the protected address space" },
        { KCORE_ATTEST_BAD_VCPUS, "bad-vcpus", "the number of vCPUs is not between 1 and 512" },
        { KCORE_ATTEST_BAD_ENTRY, "bad-entry", "the entry point is outside RAM" },
        { KCORE_ATTEST_BAD_SEGMENT, "bad-segment", "a segment is empty, not on a page boundary or outside RAM, or there are more than 32" },
        { KCORE_ATTEST_SEGMENT_OVERLAP, "segment-overlap", "two segments overlap" },
        { KCORE_ATTEST_BAD_ADDRESS, "bad-address", "an address is not on a page boundary or outside the protected address space" },
        { KCORE_ATTEST_BAD_POLICY, "bad-policy", "the launch policy is malformed" },
        { KCORE_ATTEST_POLICY_LATE, "policy-late", "the launch policy must be the first step" },
};

const char *kcore_attest_error_name(enum kcore_attest_error error) {
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
                if (errors[i].error == error)
                        return errors[i].name;
        return "unknown";
}

const char *kcore_attest_strerror(enum kcore_attest_error error) {
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
                if (errors[i].error == error)
                        return errors[i].text;
        return "unknown error";
}

enum kcore_attest_error fail(
                struct kcore_attest_detail *detail, enum kcore_attest_error error, const char *format, ...) {
        va_list ap;

        if (!detail)
                return error;
        detail->claim = 0;
        va_start(ap, format);
        (void) vsnprintf(detail->where, sizeof(detail->where), format, ap);
        va_end(ap);
        return error;
}

enum kcore_attest_error fail_claim(
                struct kcore_attest_detail *detail,
                enum kcore_attest_error error,
                const char *part,
                int64_t claim,
                const char *name) {

        (void) fail(detail, error, "%s, claim %" PRIi64 " (%s)", part, claim, name);
        if (detail)
                detail->claim = claim;
        return error;
}
