/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: parse, and verify under a key that no input knows. */
#include "kcore-attest.h"

#include "fuzz-key.h"
#include "mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct kcore_attest_detail detail;
        struct kcore_token *token;

        if (kcore_token_parse(data, size, &token, &detail) != KCORE_ATTEST_OK)
                return 0;
        (void) kcore_token_verify(token, fuzz_key(), &detail);
        kcore_token_free(token);
        return 0;
}
