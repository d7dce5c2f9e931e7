/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent reads of a key broker before it trusts anything: a challenge, a cookie. */
#include <stdlib.h>

#include "../kbs-client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char nonce[KBS_NONCE_MAX + 1], session[KBS_SESSION_MAX + 1];
        uint8_t challenge[KBS_CHALLENGE_SIZE];
        const struct p256_public public = {};
        const char *reason = NULL;

        if (kbs_parse_challenge((const char *) data, size, nonce, &reason) == 0) {
                if (kbs_challenge(nonce, "", &public, challenge) < 0)
                        abort(); /* a nonce that was taken can be used */
        } else if (!reason)
                abort();
        if (kbs_parse_cookie((const char *) data, size, session) == 0)
                for (const char *p = session; *p; p++)
                        if (*p <= 0x20 || *p > 0x7e || strchr("\";,\\", *p))
                                abort();
        return 0;
}
