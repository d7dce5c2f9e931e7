/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attestation token of a realm, in the format of Arm CCA: { 44234: platform token, 44241: realm token }, each a
 * COSE_Sign1 with ES384. Outer tag 399, or 907 (a CMW collection, each token with its content format) when the
 * boot option "token=cmw" asks for it.
 *
 * The realm token belongs to a REC; the rest is the same for all of them.
 */
#ifndef KCORE_ATTEST_TOKEN_H
#define KCORE_ATTEST_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_MAX 4096u       /* bytes of a whole token, at most */
#define REALM_TOKEN_MAX 1024u /* of its realm token, with the head of its string */

#define TOKEN_POLICY_SIZE 0x90u

/* What a realm token says: values at RSI_ATTEST_TOKEN_INIT. */
struct realm_claims {
	bool sha512;             /* the realm's measurements, all 64 bytes; otherwise SHA-256, 32 */
	uint8_t challenge[64];
	uint8_t rpv[64];
	uint8_t meas[5][64];     /* RIM, REMs */
	bool has_policy;
	uint8_t policy[TOKEN_POLICY_SIZE]; /* measured part of the launch block */
	uint8_t signer[32];                /* Ed25519 public key that signed it; the claim is its digest */
};

/* The part of all tokens before the realm token. Once, after identity_make(). */
void token_make_head(bool cmw);

/* The claims as CBOR, for token_sign_realm(); returns their size. */
uint32_t token_claims(uint8_t out[REALM_TOKEN_MAX], const struct realm_claims *claims);

/* Turn the len bytes of claims into the signed realm token, in place; returns its size, 0 if signing failed. */
uint32_t token_sign_realm(uint8_t token[REALM_TOKEN_MAX], uint32_t len);

/* Size of the whole token with a realm token of this size; copy size bytes of it, from offset from. */
uint32_t token_size(uint32_t realm_len);
void token_copy(uint8_t *to, const uint8_t *realm, uint32_t from, uint32_t size);

#endif
