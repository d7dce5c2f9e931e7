/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of errors. They follow the name of what was looked at: "the launch: ...". */
#include "kcore-attest.h"

const char *kcore_attest_strerror(enum kcore_attest_error error) {
        switch (error) {
        case KCORE_ATTEST_OK:
                return "no error";
        case KCORE_ATTEST_NO_MEMORY:
                return "out of memory";
        case KCORE_ATTEST_CRYPTO_FAILED:
                return "the crypto library failed";
        case KCORE_ATTEST_BAD_WIDTH:
                return "the IPA width is not between 32 and 48 bits";
        case KCORE_ATTEST_BAD_HASH:
                return "the hash algorithm is neither SHA-256 nor SHA-512";
        case KCORE_ATTEST_BAD_RAM:
                return "RAM is empty, not in blocks of 2 MiB, or outside the protected address space";
        case KCORE_ATTEST_BAD_VCPUS:
                return "the number of vCPUs is not between 1 and 512";
        case KCORE_ATTEST_BAD_ENTRY:
                return "the entry point is outside RAM";
        case KCORE_ATTEST_BAD_SEGMENT:
                return "a segment is empty, not on a page boundary or outside RAM, or there are more than 32";
        case KCORE_ATTEST_SEGMENT_OVERLAP:
                return "two segments overlap";
        case KCORE_ATTEST_BAD_ADDRESS:
                return "an address is not on a page boundary or outside the protected address space";
        case KCORE_ATTEST_BAD_POLICY:
                return "the launch policy is malformed";
        case KCORE_ATTEST_POLICY_LATE:
                return "the launch policy must be the first step";
        }
        return "unknown error";
}
