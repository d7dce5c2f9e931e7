/* SPDX-License-Identifier: Apache-2.0 */
#include "sha2.h"

#include "Hacl_Hash_SHA2.h"

/* HACL* takes its input without const; it does not write to it. */
static uint8_t *input(const void *in)
{
	return (uint8_t *)(uintptr_t)in;
}

void sha256(uint8_t out[32], const void *in, uint32_t len)
{
	Hacl_Hash_SHA2_hash_256(out, input(in), len);
}

void sha512(uint8_t out[64], const void *in, uint32_t len)
{
	Hacl_Hash_SHA2_hash_512(out, input(in), len);
}
