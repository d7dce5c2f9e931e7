/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the verbs share that judge a token: verify, and whoever gets a token otherwise. */

#include <kcore-attest.h>

#include "kcorectl.h"

/* Exit codes of these verbs, documented in kcorectl(1). */
enum {
        VERIFY_ACCEPTED = 0,
        VERIFY_REJECTED = 1,
        VERIFY_UNSUPPORTED = 2, /* tag, algorithm, profile or hash of the token */
        VERIFY_INSECURE = 3,    /* would not tell an attack; --insecure insists */
        VERIFY_BAD_CONFIG = 4,  /* command line, reference values, key or identity */
        VERIFY_BAD_STATE = 5,   /* there is no token to be had now */
        VERIFY_INTERNAL = 6,
};

struct verify_arguments {
        const char *reference, *platform, *platform_key; /* paths */
        uint8_t nonce[64];
        size_t nonce_size; /* 0: none given; what follows it is zero */
        bool agent;        /* kcore-agent got the token: the challenge is made of the nonce */
        bool insecure;
};

/* Hexadecimal digits of 1 to 64 bytes. -EINVAL. */
int verify_parse_nonce(struct verify_arguments *a, const char *hex);

/* Is there enough to judge a token at all? 0, or an exit code after telling what is missing. */
int verify_check_arguments(const char *verb, const struct verify_arguments *a);

/* Parses, verifies and appraises a token, prints the report, returns an exit code. */
int verify_token(const struct verify_arguments *a, const uint8_t *token, size_t size);
