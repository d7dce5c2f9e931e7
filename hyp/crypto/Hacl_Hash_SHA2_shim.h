/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HACL*'s Ed25519 as NSS has it takes SHA-512 from a file of this name, one directory up from its own: here it
 * gets HACL*'s.
 */
#include "crypto.h"

static inline void sha512_pre_pre2_msg(uint8_t *hash, uint8_t *prefix, uint8_t *prefix2, uint32_t len,
				       uint8_t *input)
{
	struct sha2 s;

	sha2_begin(&s, SHA512);
	sha2_add(&s, prefix, 32);
	if (prefix2 != NULL)
		sha2_add(&s, prefix2, 32);
	sha2_add(&s, input, len);
	sha2_end(&s, hash);
}

static inline void sha512_pre_msg(uint8_t *hash, uint8_t *prefix, uint32_t len, uint8_t *input)
{
	sha512_pre_pre2_msg(hash, prefix, NULL, len, input);
}

static inline void Hacl_Streaming_SHA2_hash_512(uint8_t *secret, uint32_t len, uint8_t *expanded)
{
	sha512(expanded, secret, len);
}
