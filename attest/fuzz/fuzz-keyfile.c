/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: PEM, JWK, COSE_Key. */
#include <stdlib.h>

#include "kcore-attest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t thumbprint[32];
        struct kcore_key *key;

        if (kcore_key_parse(data, size, &key) != KCORE_ATTEST_OK)
                return 0;
        /* A key that was accepted is complete. */
        if (kcore_key_thumbprint(key, thumbprint) != KCORE_ATTEST_OK)
                abort();
        kcore_key_free(key);
        return 0;
}
