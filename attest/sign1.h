/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* COSE_Sign1 (RFC 9052 4.2), as far as tokens and certificates use it. */

#include "key.h"

/* Pointers into what was parsed. */
struct sign1 {
        int64_t algorithm; /* supported by key_verify() */
        const uint8_t *protected, *payload, *signature;
        size_t protected_size, payload_size, signature_size;
};

/* item: passed cbor_check(); with tag 18 or, unless the tag is required, without. UNSUPPORTED_TAG, WRONG_TYPE
 * (not the four elements; detached payload), UNSUPPORTED_ALGORITHM, UNSUPPORTED_HEADER (critical headers, or an
 * algorithm outside the protected header), MISSING_CLAIM (no algorithm), or an error of CBOR in the protected
 * header. */
enum kcore_attest_error sign1_parse(const struct item *item, bool tagged, struct sign1 *ret);

/* As key_verify(). */
enum kcore_attest_error sign1_verify(const struct sign1 *s, const struct kcore_key *key);
