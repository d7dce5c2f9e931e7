/* SPDX-License-Identifier: Apache-2.0 */
#include "tenant.h"

#include <openssl/evp.h>
#include <openssl/hpke.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "OpenSSL: %s\n", what);
		abort();
	}
}

static void get(uint64_t pa, void *to, size_t len)
{
	uint8_t *bytes = to;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(sim_read(pa & ~0xFFFUL, ((pa & 0xFFF) + i) & ~7UL) >> (8 * ((pa + i) % 8)));
}

static void put(uint64_t pa, const void *from, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t word;

		memcpy(&word, (const uint8_t *)from + i, 8);
		sim_write(pa & ~0xFFFUL, (pa & 0xFFF) + i, word);
	}
}

void tenant_block(uint64_t block, uint64_t image)
{
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(block, i, 0);
	sim_write(block, LAUNCH_MAGIC, LAUNCH_MAGIC_VALUE);
	sim_write(block, LAUNCH_VERSION, LAUNCH_VERSION_VALUE);
	sim_write(block, LAUNCH_MAX_VCPUS, LAUNCH_VCPUS_LIMIT);
	sim_write(block, LAUNCH_MAX_PRIVATE, ~0UL);
	sim_write(block, LAUNCH_MAX_SHARED, ~0UL);
	sim_write(block, LAUNCH_MIN_VERSION, KCORE_ABI_VERSION);
	for (unsigned i = 0; i < 32; i += 8)
		sim_write(block, LAUNCH_IMAGE_ID + i, image + i);
}

void tenant_sign(uint64_t block, uint8_t signer)
{
	uint8_t seed[32], bytes[LAUNCH_SIGNATURE], key[32], signature[64];
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t key_size = 32, size = 64;
	EVP_PKEY *k;

	memset(seed, signer, sizeof(seed));
	k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	must(EVP_PKEY_get_raw_public_key(k, key, &key_size) == 1, "public key");
	put(block + LAUNCH_SIGNER, key, 32);
	get(block, bytes, sizeof(bytes));
	must(EVP_DigestSignInit(c, NULL, NULL, NULL, k) == 1 &&
	     EVP_DigestSign(c, signature, &size, bytes, sizeof(bytes)) == 1, "signature");
	put(block + LAUNCH_SIGNATURE, signature, 64);
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(k);
}

void tenant_wrap(uint64_t page, uint64_t block, const uint8_t content_key[32], const uint8_t *to)
{
	static const OSSL_HPKE_SUITE suite = { OSSL_HPKE_KEM_ID_X25519, OSSL_HPKE_KDF_ID_HKDF_SHA256,
					       OSSL_HPKE_AEAD_ID_CHACHA_POLY1305 };
	OSSL_HPKE_CTX *c = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_BASE, suite, OSSL_HPKE_ROLE_SENDER, NULL, NULL);
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, sim_sealing_key, 32);
	uint8_t public[32], aad[LAUNCH_SIGNATURE], info[17 + 32], enc[32], ct[48];
	size_t public_size = 32, enc_size = 32, ct_size = 48;

	must(EVP_PKEY_get_raw_public_key(k, public, &public_size) == 1, "public key");
	if (to != NULL)
		memcpy(public, to, 32);
	get(block, aad, sizeof(aad));
	memcpy(info, "kcore image key 1", 17);
	memcpy(info + 17, aad + LAUNCH_IMAGE_ID, 32);
	must(OSSL_HPKE_encap(c, enc, &enc_size, public, 32, info, sizeof(info)) == 1 &&
	     OSSL_HPKE_seal(c, ct, &ct_size, aad, sizeof(aad), content_key, 32) == 1, "HPKE");
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(page, i, 0);
	put(page + LAUNCH_KEY_ENC, enc, 32);
	put(page + LAUNCH_KEY_CT, ct, 48);
	OSSL_HPKE_CTX_free(c);
	EVP_PKEY_free(k);
}

void tenant_seal(uint64_t page, uint64_t tag, uint64_t ipa, uint64_t block, const uint8_t content_key[32])
{
	uint8_t bytes[4096], aad[40], nonce[12] = { 0 }, t[16];
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0;

	get(page, bytes, 4096);
	get(block + LAUNCH_IMAGE_ID, aad, 32);
	memcpy(aad + 32, &ipa, 8);
	memcpy(nonce + 4, &ipa, 8);
	must(EVP_EncryptInit_ex(c, EVP_chacha20_poly1305(), NULL, content_key, nonce) == 1 &&
	     EVP_EncryptUpdate(c, NULL, &n, aad, sizeof(aad)) == 1 &&
	     EVP_EncryptUpdate(c, bytes, &n, bytes, 4096) == 1 && EVP_EncryptFinal_ex(c, bytes + n, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, t) == 1, "ChaCha20-Poly1305");
	put(page, bytes, 4096);
	put(tag, t, 16);
	EVP_CIPHER_CTX_free(c);
}
