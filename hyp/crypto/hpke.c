/* SPDX-License-Identifier: Apache-2.0 */
/* HPKE (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, the receiver's first message. */
#include "crypto.h"

#define SIZE 32U /* of keys, shared secrets and digests of SHA-256 */

/* Suite identifiers: of the KEM (0x0020), and of KEM, KDF (0x0001) and AEAD (0x0003). */
static const uint8_t kem_id[] = { 'K', 'E', 'M', 0x00, 0x20 };
static const uint8_t hpke_id[] = { 'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, 0x03 };

struct piece {
	const void *bytes;
	uint32_t len;
};

#define PIECE(array) ((struct piece){ (array), sizeof(array) })
#define TEXT(string) ((struct piece){ (string), sizeof(string) - 1 })
#define NOTHING ((struct piece){ "", 0 })

static void add(struct hmac *m, struct piece p)
{
	hmac_add(m, p.bytes, p.len);
}

static void labeled_extract(uint8_t prk[SIZE], struct piece salt, struct piece suite, struct piece label,
			    struct piece ikm)
{
	struct hmac m;

	hmac_begin(&m, SHA256, salt.bytes, salt.len);
	add(&m, TEXT("HPKE-v1"));
	add(&m, suite);
	add(&m, label);
	add(&m, ikm);
	hmac_end(&m, prk);
}

/* len is at most one digest, which makes HKDF's expansion one HMAC. */
static void labeled_expand(uint8_t *out, uint8_t len, const uint8_t prk[SIZE], struct piece suite, struct piece label,
			   struct piece context)
{
	const uint8_t size[] = { 0, len }, count[] = { 1 };
	uint8_t block[SIZE];
	struct hmac m;

	hmac_begin(&m, SHA256, prk, SIZE);
	add(&m, PIECE(size));
	add(&m, TEXT("HPKE-v1"));
	add(&m, suite);
	add(&m, label);
	add(&m, context);
	add(&m, PIECE(count));
	hmac_end(&m, block);
	__builtin_memcpy(out, block, len);
	wipe(block, sizeof(block));
}

/* Decap(), section 4.1. */
static bool decapsulate(uint8_t shared[SIZE], const uint8_t secret[32], const uint8_t enc[32])
{
	uint8_t context[64], dh[32], prk[SIZE];
	bool ok;

	__builtin_memcpy(context, enc, 32);
	x25519_public(context + 32, secret);
	ok = x25519(dh, secret, enc);
	labeled_extract(prk, NOTHING, PIECE(kem_id), TEXT("eae_prk"), PIECE(dh));
	labeled_expand(shared, SIZE, prk, PIECE(kem_id), TEXT("shared_secret"), PIECE(context));
	wipe(dh, sizeof(dh));
	wipe(prk, sizeof(prk));
	return ok;
}

bool hpke_open(uint8_t *out, const uint8_t secret[32], const uint8_t enc[32], const void *info, uint32_t info_len,
	       const void *aad, uint32_t aad_len, const uint8_t *ct, uint32_t len)
{
	const struct piece suite = PIECE(hpke_id), given = { info, info_len };
	uint8_t shared[SIZE], prk[SIZE], key[32], nonce[12], context[1 + 2 * SIZE];
	bool ok;

	ok = decapsulate(shared, secret, enc);
	/* KeySchedule(), section 5.1: mode 0, no pre-shared key */
	context[0] = 0;
	labeled_extract(context + 1, NOTHING, suite, TEXT("psk_id_hash"), NOTHING);
	labeled_extract(context + 1 + SIZE, NOTHING, suite, TEXT("info_hash"), given);
	labeled_extract(prk, PIECE(shared), suite, TEXT("secret"), NOTHING);
	labeled_expand(key, sizeof(key), prk, suite, TEXT("key"), PIECE(context));
	labeled_expand(nonce, sizeof(nonce), prk, suite, TEXT("base_nonce"), PIECE(context));
	ok = ok && aead_open(out, key, nonce, aad, aad_len, ct, len, ct + len);
	wipe(shared, sizeof(shared));
	wipe(prk, sizeof(prk));
	wipe(key, sizeof(key));
	wipe(nonce, sizeof(nonce));
	return ok;
}
