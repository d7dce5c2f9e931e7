/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "sign1.h"

struct kcore_token {
        size_t size;
        uint8_t *data; /* the copy that the pointers below lead into */

        struct sign1 platform_sign1, realm_sign1;
        const uint8_t *realm_key_bytes; /* the claim, as the platform token's challenge has its hash */
        size_t realm_key_size;
        struct kcore_key *realm_key;

        struct kcore_platform_claims platform;
        struct kcore_realm_claims realm;
};
