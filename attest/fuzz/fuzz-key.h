/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "kcore-attest.h"

/* The platform key of the corpus (fuzz/corpus.py), made once. */
static inline const struct kcore_key *fuzz_key(void) {
        static const char pem[] =
                "-----BEGIN PUBLIC KEY-----\n"
                "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEQa1EI+4UdKtav0X1zu9QORyoB5m/KNyV\n"
                "PhekKbXtft3A1RqCWTtHO9G8oUkMqifk0DkgYTT5w61GwZwhMFCtQAA66m/j0n73\n"
                "aQBji7dMvkyT+wTjhVsv50r8Ms9ihTqg\n"
                "-----END PUBLIC KEY-----\n";
        static struct kcore_key *key;

        if (!key && kcore_key_parse((const uint8_t *) pem, strlen(pem), &key) != KCORE_ATTEST_OK)
                abort();
        return key;
}
