/* SPDX-License-Identifier: Apache-2.0 */
/* A key broker's answer, as the guest opens it. The first byte chooses: the input as it is, or one that opens,
 * changed at one place. */
#include <stdlib.h>

#include "../jwe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static EVP_PKEY *key;
        static struct p256_public public;
        _cleanup_secret_ struct secret s = {};
        _cleanup_free_ char *good = NULL;
        const char *reason = NULL;
        size_t n, at;

        if (!key && (p256_generate(&key) < 0 || p256_export(key, &public) < 0))
                abort();
        if (size < 1)
                return 0;
        if (data[0] & 1) {
                if (jwe_open(key, (const char *) data + 1, size - 1, &s, &reason) == 0 || !reason)
                        abort(); /* nobody knows the key */
                return 0;
        }
        if (size < 4)
                return 0;
        if (jwe_seal(&public, data + 4, size - 4, &good) < 0)
                return size - 4 > KBS_RESOURCE_MAX ? 0 : (abort(), 0);
        n = strlen(good);
        at = (size_t) (data[1] << 8 | data[2]) % n;
        good[at] = (char) (good[at] ^ data[3]);
        if (jwe_open(key, good, n, &s, &reason) == 0) {
                /* Not changed, or where nothing depends on it: in the case of a letter of an escape, for instance. */
                if (s.size != size - 4 || memcmp(s.data, data + 4, s.size) != 0)
                        abort();
        } else if (data[3] == 0)
                abort();
        return 0;
}
