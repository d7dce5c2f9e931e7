/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto.h"
#include "hacl.h"

#include "Hacl_Chacha20Poly1305_32.h"

void aead_seal(uint8_t *out, uint8_t tag[16], const uint8_t key[32], const uint8_t nonce[12], const void *aad,
	       uint32_t aad_len, const void *in, uint32_t len)
{
	Hacl_Chacha20Poly1305_32_aead_encrypt(input(key), input(nonce), aad_len, input(aad), len, input(in), out,
					      tag);
}

bool aead_open(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const void *aad, uint32_t aad_len,
	       const void *in, uint32_t len, const uint8_t tag[16])
{
	return Hacl_Chacha20Poly1305_32_aead_decrypt(input(key), input(nonce), aad_len, input(aad), len, out,
						     input(in), input(tag)) == 0;
}
