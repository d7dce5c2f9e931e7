/* SPDX-License-Identifier: Apache-2.0 */
/* Reference values, and a token against them. Input: size of the token (two bytes, little endian), token, JSON. */
#include "fuzz-key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct kcore_reference *reference = NULL;
        struct kcore_attest_detail detail;
        struct kcore_token *token = NULL;
        struct kcore_report *report;
        size_t n;

        if (size < 2)
                return 0;
        n = data[0] | (size_t) data[1] << 8;
        data += 2;
        size -= 2;
        if (n > size)
                return 0;
        if (kcore_reference_parse((const char *) data + n, size - n, &reference, &detail) == KCORE_ATTEST_OK &&
            kcore_token_parse(data, n, &token, &detail) == KCORE_ATTEST_OK) {
                const struct kcore_appraisal appraisal = {
                        .token = token,
                        .platform_key = fuzz_key(),
                        .reference = reference,
                        .nonce = data,
                        .nonce_size = n < 64 ? n : 64,
                };
                char *json;

                if (kcore_appraise(&appraisal, &report) == KCORE_ATTEST_OK) {
                        if (kcore_report_to_json(report, &json) == KCORE_ATTEST_OK)
                                free(json);
                        kcore_report_free(report);
                }
        }
        kcore_token_free(token);
        kcore_reference_free(reference);
        return 0;
}
