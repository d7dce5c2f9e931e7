/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC (RFC 2104) and HKDF (RFC 5869). */
#include "crypto.h"

static uint32_t hash_block(enum sha2_alg alg)
{
	return alg == SHA256 ? 64 : 128;
}

void hmac_begin(struct hmac *m, enum sha2_alg alg, const void *key, uint32_t len)
{
	__builtin_memset(m->key, 0, sizeof(m->key));
	if (len > hash_block(alg)) {
		sha2_begin(&m->inner, alg);
		sha2_add(&m->inner, key, len);
		sha2_end(&m->inner, m->key);
	} else if (len != 0) {
		__builtin_memcpy(m->key, key, len);
	}
	for (uint32_t i = 0; i < hash_block(alg); i++)
		m->key[i] ^= 0x36;
	sha2_begin(&m->inner, alg);
	sha2_add(&m->inner, m->key, hash_block(alg));
}

void hmac_add(struct hmac *m, const void *in, uint32_t len)
{
	sha2_add(&m->inner, in, len);
}

void hmac_end(struct hmac *m, uint8_t *out)
{
	enum sha2_alg alg = m->inner.alg;
	uint8_t digest[SHA2_MAX_SIZE];

	sha2_end(&m->inner, digest);
	for (uint32_t i = 0; i < hash_block(alg); i++)
		m->key[i] ^= 0x36 ^ 0x5c;
	sha2_begin(&m->inner, alg);
	sha2_add(&m->inner, m->key, hash_block(alg));
	sha2_add(&m->inner, digest, sha2_size(alg));
	sha2_end(&m->inner, out);
	wipe(digest, sizeof(digest));
	wipe(m, sizeof(*m));
}

void hkdf_extract(enum sha2_alg alg, uint8_t *prk, const void *salt, uint32_t salt_len, const void *ikm,
		  uint32_t ikm_len)
{
	struct hmac m;

	hmac_begin(&m, alg, salt, salt_len);
	hmac_add(&m, ikm, ikm_len);
	hmac_end(&m, prk);
}

void hkdf_expand(enum sha2_alg alg, uint8_t *out, uint32_t len, const void *prk, uint32_t prk_len,
		 const void *info, uint32_t info_len)
{
	uint8_t block[SHA2_MAX_SIZE];
	uint32_t size = sha2_size(alg), n;
	struct hmac m;
	uint8_t count = 0;

	for (uint32_t done = 0; done < len; done += n) {
		hmac_begin(&m, alg, prk, prk_len);
		if (count++ != 0)
			hmac_add(&m, block, size);
		hmac_add(&m, info, info_len);
		hmac_add(&m, &count, 1);
		hmac_end(&m, block);
		n = len - done < size ? len - done : size;
		__builtin_memcpy(out + done, block, n);
	}
	wipe(block, sizeof(block));
}
