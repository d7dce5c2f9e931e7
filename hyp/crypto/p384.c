/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and nonces for HACL*'s ECDSA on P-384. */
#include "crypto.h"
#include "hacl.h"

#include "Hacl_P384.h"

#define WORDS 6

/* The order of the base point, n, least significant word first; n - 1 differs in the last digit. */
static const uint64_t order[WORDS] = {
	0xecec196accc52973, 0x581a0db248b0a77a, 0xc7634d81f4372ddf,
	0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff,
};

/* r - m, if that is not negative; otherwise r. carry: a bit above r. */
static void subtract_once(uint64_t r[WORDS], uint64_t carry, const uint64_t m[WORDS])
{
	uint64_t d[WORDS], borrow = 0, keep;

	for (int i = 0; i < WORDS; i++) {
		unsigned __int128 t = (unsigned __int128)r[i] - m[i] - borrow;

		d[i] = (uint64_t)t;
		borrow = (uint64_t)(t >> 64) & 1;
	}
	keep = -(borrow & (carry ^ 1));
	for (int i = 0; i < WORDS; i++)
		r[i] = (r[i] & keep) | (d[i] & ~keep);
}

static void load(uint64_t r[WORDS], const uint8_t in[48])
{
	for (int i = 0; i < WORDS; i++) {
		r[i] = 0;
		for (int j = 0; j < 8; j++)
			r[i] = r[i] << 8 | in[8 * (WORDS - 1 - i) + j];
	}
}

static void store(uint8_t out[48], const uint64_t r[WORDS])
{
	for (int i = 0; i < 48; i++)
		out[47 - i] = (uint8_t)(r[i / 8] >> (8 * (i % 8)));
}

/* d = (c mod (n - 1)) + 1, bit by bit; c has 128 bits more than n. */
void p384_private(uint8_t private[48], const uint8_t random[64])
{
	uint64_t r[WORDS] = { 0 }, m[WORDS], carry;

	__builtin_memcpy(m, order, sizeof(m));
	m[0]--;
	for (int bit = 0; bit < 512; bit++) {
		uint64_t in = random[bit / 8] >> (7 - bit % 8) & 1;

		for (int i = 0; i < WORDS; i++) {
			carry = r[i] >> 63;
			r[i] = r[i] << 1 | in;
			in = carry;
		}
		subtract_once(r, carry, m);
	}
	carry = 1;
	for (int i = 0; i < WORDS; i++) {
		r[i] += carry;
		carry &= r[i] == 0;
	}
	store(private, r);
	wipe(r, sizeof(r));
}

bool p384_public(uint8_t public[96], const uint8_t private[48])
{
	return Hacl_P384_dh_initiator(public, input(private));
}

/* RFC 6979, 3.2: HMAC_DRBG over private key and digest. */
struct drbg {
	uint8_t k[48], v[48];
};

/* K = HMAC(K, V || mark || key || digest), V = HMAC(K, V); without key and digest if they are null. */
static void drbg_update(struct drbg *d, uint8_t mark, const uint8_t *key, const uint8_t *digest)
{
	struct hmac m;

	hmac_begin(&m, SHA384, d->k, 48);
	hmac_add(&m, d->v, 48);
	hmac_add(&m, &mark, 1);
	if (key != NULL) {
		hmac_add(&m, key, 48);
		hmac_add(&m, digest, 48);
	}
	hmac_end(&m, d->k);
	hmac_begin(&m, SHA384, d->k, 48);
	hmac_add(&m, d->v, 48);
	hmac_end(&m, d->v);
}

/*
 * The next candidate is V itself: hash and order have the same length. HACL* refuses a nonce out of range; that
 * happens about once in 2^190 tries, so four are enough.
 */
bool p384_sign(uint8_t signature[96], const uint8_t private[48], const void *msg, uint32_t len)
{
	uint8_t digest[48], reduced[48];
	uint64_t r[WORDS];
	struct drbg d;
	struct hmac m;
	bool done = false;

	if (!Hacl_P384_validate_private_key(input(private)))
		return false;
	sha384(digest, msg, len);
	load(r, digest);
	subtract_once(r, 0, order);
	store(reduced, r);
	__builtin_memset(d.k, 0, sizeof(d.k));
	__builtin_memset(d.v, 1, sizeof(d.v));
	drbg_update(&d, 0, private, reduced);
	drbg_update(&d, 1, private, reduced);
	for (int i = 0; i < 4 && !done; i++) {
		if (i != 0)
			drbg_update(&d, 0, NULL, NULL);
		hmac_begin(&m, SHA384, d.k, 48);
		hmac_add(&m, d.v, 48);
		hmac_end(&m, d.v);
		done = Hacl_P384_ecdsa_sign_p384_without_hash(signature, 48, digest, input(private), d.v);
	}
	wipe(&d, sizeof(d));
	return done;
}

bool p384_verify(const uint8_t public[96], const void *msg, uint32_t len, const uint8_t signature[96])
{
	uint8_t digest[48];

	sha384(digest, msg, len);
	return Hacl_P384_ecdsa_verif_without_hash(48, digest, input(public), input(signature),
						  input(signature) + 48);
}
