// SPDX-License-Identifier: Apache-2.0
#include "tenant.h"

#include <openssl/evp.h>
#include <openssl/hpke.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../attest/include/kcore-attest.h"

static const uint8_t content_key[32] = "the content key of this image!!";
static const uint8_t signer_seed[32] = "the key with which it is signed";

static void must(int ok, const char *what)
{
	if (ok == 1)
		return;
	printf("tenant: %s\n", what);
	_Exit(1);
}

void image_put(struct image *m, unsigned int offset, uint64_t value)
{
	memcpy(m->block + offset, &value, sizeof(value));
}

void image_encrypt(struct image *m)
{
	for (size_t i = 0; i < m->pages; i++) {
		uint64_t ipa = m->config.ram_base + i * 4096;
		uint8_t aad[40], nonce[12] = { 0 }, *at = m->sealed + i * 4096;
		EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
		int n;

		memcpy(aad, m->block + BLOCK_IMAGE_ID, 32);
		memcpy(aad + 32, &ipa, 8);
		memcpy(nonce + 4, &ipa, 8);
		must(EVP_EncryptInit_ex(c, EVP_chacha20_poly1305(), NULL, content_key, nonce), "AEAD");
		must(EVP_EncryptUpdate(c, NULL, &n, aad, sizeof(aad)), "AEAD");
		must(EVP_EncryptUpdate(c, at, &n, m->plain + i * 4096, 4096), "AEAD");
		must(EVP_EncryptFinal_ex(c, at + n, &n), "AEAD");
		must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, IMAGE_TAGS(m) + 16 * i), "AEAD");
		EVP_CIPHER_CTX_free(c);
	}
}

void image_measure(struct image *m)
{
	struct kcore_measure_segment segment = {
		.ipa = m->config.ram_base, .data = m->plain, .length = 4096 * m->pages, .measured = true,
	};
	struct kcore_measure_launch launch = {
		.s2sz = m->config.s2sz, .hash = m->config.hash_algo, .ram_base = m->config.ram_base,
		.ram_size = m->config.ram_size, .vcpus = m->config.vcpus, .entry_pc = m->config.entry_pc,
		.block = m->block, .segments = &segment, .n_segments = 1,
	};

	memcpy(launch.entry_regs, m->config.entry_regs, sizeof(launch.entry_regs));
	must(kcore_measure_launch(&launch, m->block + BLOCK_RIM, NULL) == 0, "measurement");
}

static EVP_PKEY *signer(uint8_t public[32])
{
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, signer_seed, 32);
	size_t size = 32;

	must(EVP_PKEY_get_raw_public_key(k, public, &size), "Ed25519");
	return k;
}

void image_sign(struct image *m)
{
	EVP_PKEY *k = signer(m->block + BLOCK_SIGNER);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t size = 64;

	must(EVP_DigestSignInit(c, NULL, NULL, NULL, k), "Ed25519");
	must(EVP_DigestSign(c, m->block + BLOCK_SIGNATURE, &size, m->block, BLOCK_SIGNATURE), "Ed25519");
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(k);
}

void image_wrap(struct image *m)
{
	static const OSSL_HPKE_SUITE suite = { OSSL_HPKE_KEM_ID_X25519, OSSL_HPKE_KDF_ID_HKDF_SHA256,
					       OSSL_HPKE_AEAD_ID_CHACHA_POLY1305 };
	OSSL_HPKE_CTX *c = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_BASE, suite, OSSL_HPKE_ROLE_SENDER, NULL, NULL);
	size_t enc_size = sizeof(m->key.enc), ct_size = sizeof(m->key.ct);
	uint8_t info[17 + 32];

	memcpy(info, "kcore image key 1", 17);
	memcpy(info + 17, m->block + BLOCK_IMAGE_ID, 32);
	must(OSSL_HPKE_encap(c, m->key.enc, &enc_size, m->platform, 32, info, sizeof(info)), "HPKE");
	must(OSSL_HPKE_seal(c, m->key.ct, &ct_size, m->block, BLOCK_SIGNATURE, content_key, 32), "HPKE");
	OSSL_HPKE_CTX_free(c);
}

void image_make(struct image *m, const struct kcore_launch_config *config, const uint8_t *plain, size_t size,
		const uint8_t platform[32])
{
	memset(m, 0, sizeof(*m));
	m->config = *config;
	m->plain = plain;
	m->pages = size / 4096;
	m->sealed = malloc(m->pages * (4096 + 16));
	must(m->sealed != NULL, "memory");
	memcpy(m->platform, platform, 32);
	image_put(m, BLOCK_MAGIC, 0x31434B4C45524F43);
	image_put(m, BLOCK_VERSION, 1);
	image_put(m, BLOCK_MAX_VCPUS, config->vcpus);
	image_put(m, BLOCK_MAX_PRIVATE, config->ram_size / 4096);
	image_put(m, BLOCK_MAX_SHARED, 513);
	memset(m->block + BLOCK_IMAGE_ID, 0x1d, 32);
	EVP_PKEY_free(signer(m->block + BLOCK_SIGNER));
	image_encrypt(m);
	image_measure(m);
	image_sign(m);
	image_wrap(m);
}
