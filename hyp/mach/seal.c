/* SPDX-License-Identifier: Apache-2.0 */
/* Primitives of mach.h for launching what a tenant signed and sealed. */
#include "../attest/identity.h"
#include "../crypto/crypto.h"
#include "../include/kcore.h"
#include "arch.h"
#include "cpu.h"
#include "mach.h"

#define POLICY_SIZE LAUNCH_SIGNATURE
#define IMAGE_ID_SIZE 32U
#define KEY_SIZE 32U
#define TAG_SIZE 16U

static const char key_label[] = "kcore image key 1";

bool params_signed(uint64_t len, uint64_t key, uint64_t sig)
{
	const uint8_t *page = (const uint8_t *)this_cpu()->params;

	return ed25519_verify(page + key, page, (uint32_t)len, page + sig);
}

bool open_content_key(uint64_t rd)
{
	const uint8_t *page = (const uint8_t *)this_cpu()->params;
	uint64_t policy[POLICY_SIZE / 8], key[KEY_SIZE / 8];
	uint8_t info[sizeof(key_label) - 1 + IMAGE_ID_SIZE];
	bool ok;

	for (uint64_t i = 0; i < POLICY_SIZE / 8; i++)
		policy[i] = rd_get_policy(rd, i);
	__builtin_memcpy(info, key_label, sizeof(key_label) - 1);
	__builtin_memcpy(info + sizeof(key_label) - 1, (const uint8_t *)policy + LAUNCH_IMAGE_ID, IMAGE_ID_SIZE);
	ok = hpke_open((uint8_t *)key, identity_sealing_key(), page + LAUNCH_KEY_ENC, info, sizeof(info), policy, POLICY_SIZE,
		       page + LAUNCH_KEY_CT, KEY_SIZE);
	for (uint64_t i = 0; ok && i < KEY_SIZE / 8; i++)
		rd_set_content_key(rd, i, key[i]);
	wipe(key, sizeof(key));
	return ok;
}

bool open_granule(uint64_t rd, uint64_t dst, uint64_t ipa, uint64_t src, uint64_t tag)
{
	uint64_t line = 4UL << ((read_sysreg(ctr_el0) >> 16) & 0xf);
	uint64_t aad[IMAGE_ID_SIZE / 8 + 1], key[KEY_SIZE / 8], expected[TAG_SIZE / 8];
	uint8_t nonce[12] = { 0 };
	bool ok;

	for (uint64_t i = 0; i < IMAGE_ID_SIZE / 8; i++)
		aad[i] = rd_get_policy(rd, LAUNCH_IMAGE_ID / 8 + i);
	aad[IMAGE_ID_SIZE / 8] = ipa;
	for (uint64_t i = 0; i < KEY_SIZE / 8; i++)
		key[i] = rd_get_content_key(rd, i);
	__builtin_memcpy(nonce + 4, &ipa, 8);
	for (uint64_t i = 0; i < TAG_SIZE / 8; i++)
		expected[i] = __atomic_load_n((const uint64_t *)tag + i, __ATOMIC_RELAXED);

	/* The host may write to src all the time: what is checked and decrypted is a copy that it cannot reach. */
	__builtin_memcpy((void *)dst, (const void *)src, GRANULE_SIZE);
	ok = aead_open((uint8_t *)dst, (const uint8_t *)key, nonce, aad, sizeof(aad), (const void *)dst, GRANULE_SIZE,
		       (const uint8_t *)expected);
	wipe(key, sizeof(key));
	if (!ok) {
		zero_granule(dst);
		return false;
	}
	/* The realm may start with its caches off: clean to the point of coherency. */
	dsb(ish);
	for (uint64_t a = dst; a < dst + GRANULE_SIZE; a += line)
		__asm__ volatile("dc civac, %0" : : "r"(a) : "memory");
	dsb(ish);
	return true;
}
