/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cryptography of KCore. All of it is HACL*'s, whose names and types stop in this directory; what is
 * written here is the glue between its pieces: HMAC and HKDF over its hashes, keys and nonces for its P-384.
 *
 * No function keeps state, allocates, or fails but as it says. Nothing branches or indexes on secrets.
 * Lengths are in bytes; out never overlaps an input unless a function allows it.
 */
#ifndef KCORE_CRYPTO_H
#define KCORE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Overwrite a secret; the compiler does not drop it. */
void wipe(void *p, size_t len);

/* Equal? In time that depends on len only. */
bool same_bytes(const void *a, const void *b, size_t len);

/* ---- SHA-2 (FIPS 180-4), sha2.c ---- */

#define SHA2_MAX_SIZE 64

enum sha2_alg { SHA256, SHA384, SHA512 };

/* Size of a digest: 32, 48 or 64. */
uint32_t sha2_size(enum sha2_alg alg);

void sha256(uint8_t out[32], const void *in, uint32_t len);
void sha384(uint8_t out[48], const void *in, uint32_t len);
void sha512(uint8_t out[64], const void *in, uint32_t len);

/* In pieces: begin, add as often as needed, end. end wipes the state. */
struct sha2 {
	uint64_t state[8];
	uint64_t total;
	enum sha2_alg alg;
	uint32_t used;
	uint8_t block[128];
};
void sha2_begin(struct sha2 *s, enum sha2_alg alg);
void sha2_add(struct sha2 *s, const void *in, uint32_t len);
void sha2_end(struct sha2 *s, uint8_t *out);

/* ---- HMAC (RFC 2104) and HKDF (RFC 5869), hkdf.c ---- */

struct hmac {
	struct sha2 inner;
	uint8_t key[128];
};
void hmac_begin(struct hmac *m, enum sha2_alg alg, const void *key, uint32_t len);
void hmac_add(struct hmac *m, const void *in, uint32_t len);
void hmac_end(struct hmac *m, uint8_t *out);

/* prk: sha2_size(alg) bytes. */
void hkdf_extract(enum sha2_alg alg, uint8_t *prk, const void *salt, uint32_t salt_len, const void *ikm,
		  uint32_t ikm_len);
/* len: at most 255 digests; prk: prk_len bytes, at least a digest. */
void hkdf_expand(enum sha2_alg alg, uint8_t *out, uint32_t len, const void *prk, uint32_t prk_len,
		 const void *info, uint32_t info_len);

/* ---- Ed25519 (RFC 8032), X25519 (RFC 7748), curve25519.c ---- */

void ed25519_public(uint8_t public[32], const uint8_t seed[32]);
void ed25519_sign(uint8_t signature[64], const uint8_t seed[32], const void *msg, uint32_t len);
bool ed25519_verify(const uint8_t public[32], const void *msg, uint32_t len, const uint8_t signature[64]);

void x25519_public(uint8_t public[32], const uint8_t secret[32]);
/* false: their key is of small order (the shared secret would be zero). */
bool x25519(uint8_t shared[32], const uint8_t secret[32], const uint8_t theirs[32]);

/* ---- ChaCha20-Poly1305 (RFC 8439), aead.c ---- */

/* out: len bytes, may be in. */
void aead_seal(uint8_t *out, uint8_t tag[16], const uint8_t key[32], const uint8_t nonce[12], const void *aad,
	       uint32_t aad_len, const void *in, uint32_t len);
/* false: the tag is wrong, and out is as it was. */
bool aead_open(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const void *aad, uint32_t aad_len,
	       const void *in, uint32_t len, const uint8_t tag[16]);

/* ---- HPKE (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305; base mode, hpke.c ---- */

/*
 * Open the first message of a sender: ct is len bytes and the tag of 16, out len bytes. false: it was not sealed to
 * this secret key with this enc, info and aad, and out is as it was.
 */
bool hpke_open(uint8_t *out, const uint8_t secret[32], const uint8_t enc[32], const void *info, uint32_t info_len,
	       const void *aad, uint32_t aad_len, const uint8_t *ct, uint32_t len);

/* ---- ECDSA on P-384 with SHA-384 (FIPS 186-5), p384.c. Numbers are big endian; public: x, y; signature: r, s. ---- */

/* A private key from 64 random bytes, by modular reduction: FIPS 186-5, A.2.1. */
void p384_private(uint8_t private[48], const uint8_t random[64]);
/* false: the private key is not in [1, n - 1]. */
bool p384_public(uint8_t public[96], const uint8_t private[48]);
/* Deterministic: RFC 6979. false: the private key is not in [1, n - 1]. */
bool p384_sign(uint8_t signature[96], const uint8_t private[48], const void *msg, uint32_t len);
bool p384_verify(const uint8_t public[96], const void *msg, uint32_t len, const uint8_t signature[96]);

#endif
