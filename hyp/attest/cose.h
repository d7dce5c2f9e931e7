/* SPDX-License-Identifier: Apache-2.0 */
/* COSE (RFC 9052): keys and single-signer messages, in deterministic CBOR. */
#ifndef KCORE_ATTEST_COSE_H
#define KCORE_ATTEST_COSE_H

#include "cbor.h"

/* public: x and y of P-384; 32 bytes of Ed25519 or X25519. */
void cose_key_p384(struct cbor_out *out, const uint8_t public[96]);
void cose_key_ed25519(struct cbor_out *out, const uint8_t public[32]);
void cose_key_x25519(struct cbor_out *out, const uint8_t public[32]);

/*
 * COSE_Sign1 [protected {alg}, {}, payload, signature], not tagged. An EdDSA or ES384 signature by the private key
 * over the Sig_structure with empty external data. false: it does not fit, or the key is no key.
 */
#define COSE_SIGN1_TAG 18

bool cose_sign_ed25519(struct cbor_out *out, const uint8_t seed[32], const void *payload, uint32_t len);
bool cose_sign_p384(struct cbor_out *out, const uint8_t private[48], const void *payload, uint32_t len);

#endif
