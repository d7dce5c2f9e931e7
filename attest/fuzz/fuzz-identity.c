/* SPDX-License-Identifier: Apache-2.0 */
/* Identity documents. */
#include "kcore-attest.h"

#include "mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct kcore_attest_detail detail;
        struct kcore_identity *id;

        if (kcore_identity_parse(data, size, &id, &detail) != KCORE_ATTEST_OK)
                return 0;
        (void) kcore_identity_verify(id, &detail);
        kcore_identity_free(id);
        return 0;
}
