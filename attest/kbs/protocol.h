/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What both sides of the key broker protocol share: version 0.4.0 of Trustee's KBS attestation protocol
 * (request, challenge, attestation, response), for TEE "cca". docs/key-broker.md describes it. */

#include <openssl/evp.h>

#include "../../libkcore/util.h"
#include "base64url.h"

#define KBS_VERSION "0.4.0"
#define KBS_TEE "cca"
#define KBS_PREFIX "/kbs/v0/"
#define KBS_COOKIE "kbs-session-id"
#define KBS_ERROR_PREFIX "https://github.com/confidential-containers/kbs/errors/"

#define KBS_BODY_MAX (64 * 1024)   /* bytes of any request or response */
#define KBS_EVIDENCE_MAX 8192      /* bytes of a token */
#define KBS_NONCE_MAX 128          /* characters */
#define KBS_SESSION_MAX 128        /* characters */
#define KBS_NAME_MAX 64            /* characters of each part of a resource's name */
#define KBS_RESOURCE_MAX 16384     /* bytes of a resource */
#define KBS_CHALLENGE_SIZE 64      /* bytes of the challenge claim of a realm token */

#define P256_SIZE 32

/* A public key of the curve P-256. */
struct p256_public {
        uint8_t x[P256_SIZE], y[P256_SIZE];
};

static inline void pkey_freep(EVP_PKEY **k) {
        EVP_PKEY_free(*k);
}
#define _cleanup_pkey_ _cleanup_(pkey_freep)

int p256_generate(EVP_PKEY **ret);
int p256_export(EVP_PKEY *key, struct p256_public *ret);
/* -EBADMSG if that is no point of the curve. */
int p256_import(const struct p256_public *public, EVP_PKEY **ret);

/* {"alg":"ECDH-ES+A256KW","crv":"P-256","kty":"EC","x":"...","y":"..."}: RFC 7517 in canonical form (RFC
 * 8785). NULL without memory. To be freed. */
char *kbs_public_key_json(const struct p256_public *public);

/* The challenge that the token must carry: SHA-384 of the canonical JSON of
 * {"additional-evidence": ..., "nonce": ..., "tee-pubkey": ...}, then zeroes.
 *
 * -EINVAL unless nonce and additional (the text of tee-evidence.additional_evidence; "" or "{}" for us) are
 * printable ASCII without quotes and backslashes, which is how they stay the same in any JSON writer. */
int kbs_challenge(
                const char *nonce,
                const char *additional,
                const struct p256_public *public,
                uint8_t ret[static KBS_CHALLENGE_SIZE]);

/* Is s made of 1 to KBS_NAME_MAX of A-Z a-z 0-9 . _ - and does not begin with a dot? */
bool kbs_name_is_valid(const char *s);
