/* SPDX-License-Identifier: Apache-2.0 */
/* Cryptography, by libcrypto. */
#include "machine.h"

#include <openssl/evp.h>
#include <openssl/hpke.h>
#include <openssl/sha.h>
#include <string.h>

const uint8_t sim_sealing_key[32] = "the sealing key of the simulator";

void hash_clear(void)
{
	memset(self()->hash, 0, sizeof(self()->hash));
}

void hash_put(uint64_t index, uint64_t value)
{
	GUARD(index < 512, "hash word %lu", index);
	self()->hash[index] = value;
}

static void hash_bytes(uint64_t alg, const void *bytes, uint64_t len)
{
	GUARD(alg <= RMI_HASH_SHA512 && len <= 4096, "hash of %lu bytes, algorithm %lu", len, alg);
	memset(self()->digest, 0, sizeof(self()->digest));
	if (alg == RMI_HASH_SHA256)
		SHA256(bytes, len, (unsigned char *)self()->digest);
	else
		SHA512(bytes, len, (unsigned char *)self()->digest);
}

void hash_buffer(uint64_t alg, uint64_t len)
{
	hash_bytes(alg, self()->hash, len);
}

void hash_granule(uint64_t alg, uint64_t pa)
{
	word_guard(pa);
	hash_bytes(alg, dram[number(pa)], 4096);
}

uint64_t hash_word(uint64_t index)
{
	GUARD(index < 8, "digest word %lu", index);
	return self()->digest[index];
}

bool params_signed(uint64_t len, uint64_t key, uint64_t sig)
{
	const uint8_t *page = (const uint8_t *)self()->params;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY *k;
	bool ok;

	GUARD(len <= 4096 && key <= 4096 - 32 && sig <= 4096 - 64 && (len | key | sig) % 8 == 0, "signature");
	k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, page + key, 32);
	ok = k != NULL && EVP_DigestVerifyInit(c, NULL, NULL, NULL, k) == 1 &&
	     EVP_DigestVerify(c, page + sig, 64, page, len) == 1;
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(k);
	return ok;
}

/* ChaCha20-Poly1305 of a page in place. */
static bool aead_open(uint8_t *page, const uint8_t key[32], const uint8_t nonce[12], const uint8_t aad[40],
		      const uint8_t tag[16])
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0;
	bool ok = EVP_DecryptInit_ex(c, EVP_chacha20_poly1305(), NULL, key, nonce) == 1 &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, (void *)(uintptr_t)tag) == 1 &&
		  EVP_DecryptUpdate(c, NULL, &n, aad, 40) == 1 && EVP_DecryptUpdate(c, page, &n, page, 4096) == 1 &&
		  EVP_DecryptFinal_ex(c, page + n, &n) == 1;

	EVP_CIPHER_CTX_free(c);
	return ok;
}

bool open_granule(uint64_t rd, uint64_t dst, uint64_t ipa, uint64_t src, uint64_t tag)
{
	uint64_t aad[5], key[4], nonce[2] = { 0, ipa };
	uint8_t page[4096], *tags = (uint8_t *)dram[number(tag & ~0xFFFUL)];

	GUARD(claimed(granule(dst)) && granule(dst)->state == GS_DELEGATED, "open to %#lx", dst);
	GUARD(pinned(src) && pinned(tag & ~0xFFFUL) && tag % 16 == 0, "open from %#lx, tag %#lx", src, tag);
	GUARD(rd_get_has_key(rd) == 1, "no key");
	unreachable_guard(dst, "open to");
	for (unsigned i = 0; i < 4; i++) {
		aad[i] = rd_get_policy(rd, LAUNCH_IMAGE_ID / 8 + i);
		key[i] = rd_get_content_key(rd, i);
	}
	aad[4] = ipa;
	memcpy(page, dram[number(src)], 4096);
	if (!aead_open(page, (uint8_t *)key, (uint8_t *)nonce + 4, (uint8_t *)aad, tags + (tag & 0xFFF)))
		return false;
	memcpy(dram[number(dst)], page, 4096);
	return true;
}

bool open_content_key(uint64_t rd)
{
	static const OSSL_HPKE_SUITE suite = { OSSL_HPKE_KEM_ID_X25519, OSSL_HPKE_KDF_ID_HKDF_SHA256,
					       OSSL_HPKE_AEAD_ID_CHACHA_POLY1305 };
	OSSL_HPKE_CTX *c = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_BASE, suite, OSSL_HPKE_ROLE_RECEIVER, NULL, NULL);
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, sim_sealing_key, 32);
	const uint8_t *page = (const uint8_t *)self()->params;
	uint8_t policy[LAUNCH_SIGNATURE], info[17 + 32];
	uint64_t key[6];
	size_t size = sizeof(key);
	bool ok;

	for (unsigned i = 0; i < sizeof(policy) / 8; i++)
		memcpy(policy + 8 * i, &(uint64_t){ rd_get_policy(rd, i) }, 8);
	memcpy(info, "kcore image key 1", 17);
	memcpy(info + 17, policy + LAUNCH_IMAGE_ID, 32);
	ok = OSSL_HPKE_decap(c, page + LAUNCH_KEY_ENC, 32, k, info, sizeof(info)) == 1 &&
	     OSSL_HPKE_open(c, (uint8_t *)key, &size, policy, sizeof(policy), page + LAUNCH_KEY_CT, 48) == 1;
	for (unsigned i = 0; ok && i < 4; i++)
		rd_set_content_key(rd, i, key[i]);
	OSSL_HPKE_CTX_free(c);
	EVP_PKEY_free(k);
	return ok;
}
