/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-2, whole and in pieces: HACL*'s blocks, our buffering. */
#include "crypto.h"
#include "hacl.h"

#include "internal/Hacl_Hash_SHA2.h"

void wipe(void *p, size_t len)
{
	__builtin_memset(p, 0, len);
	__asm__ volatile("" : : "r"(p) : "memory");
}

bool same_bytes(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;
	uint8_t differ = 0;

	for (size_t i = 0; i < len; i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}

void sha256(uint8_t out[32], const void *in, uint32_t len)
{
	Hacl_Hash_SHA2_hash_256(out, input(in), len);
}

void sha384(uint8_t out[48], const void *in, uint32_t len)
{
	Hacl_Hash_SHA2_hash_384(out, input(in), len);
}

void sha512(uint8_t out[64], const void *in, uint32_t len)
{
	Hacl_Hash_SHA2_hash_512(out, input(in), len);
}

uint32_t sha2_size(enum sha2_alg alg)
{
	switch (alg) {
	case SHA256:
		return 32;
	case SHA384:
		return 48;
	default:
		return 64;
	}
}

static uint32_t block_size(enum sha2_alg alg)
{
	return alg == SHA256 ? 64 : 128;
}

/* SHA-256 works on words of 32 bits. */
static uint32_t *state32(struct sha2 *s)
{
	return (uint32_t *)s->state;
}

void sha2_begin(struct sha2 *s, enum sha2_alg alg)
{
	__builtin_memset(s, 0, sizeof(*s));
	s->alg = alg;
	if (alg == SHA256)
		Hacl_Hash_SHA2_sha256_init(state32(s));
	else if (alg == SHA384)
		Hacl_Hash_SHA2_sha384_init(s->state);
	else
		Hacl_Hash_SHA2_sha512_init(s->state);
}

/* Whole blocks. */
static void blocks(struct sha2 *s, const uint8_t *in, uint32_t len)
{
	if (s->alg == SHA256)
		Hacl_Hash_SHA2_sha256_update_nblocks(len, input(in), state32(s));
	else if (s->alg == SHA384)
		Hacl_Hash_SHA2_sha384_update_nblocks(len, input(in), s->state);
	else
		Hacl_Hash_SHA2_sha512_update_nblocks(len, input(in), s->state);
}

void sha2_add(struct sha2 *s, const void *in, uint32_t len)
{
	const uint8_t *from = in;
	uint32_t size = block_size(s->alg), whole;

	s->total += len;
	while (len != 0 && s->used != 0) {
		s->block[s->used++] = *from++;
		len--;
		if (s->used == size) {
			blocks(s, s->block, size);
			s->used = 0;
		}
	}
	whole = len - len % size;
	if (whole != 0)
		blocks(s, from, whole);
	for (; whole < len; whole++)
		s->block[s->used++] = from[whole];
}

void sha2_end(struct sha2 *s, uint8_t *out)
{
	FStar_UInt128_uint128 total = { .low = s->total, .high = 0 };

	if (s->alg == SHA256) {
		Hacl_Hash_SHA2_sha256_update_last(s->total, s->used, s->block, state32(s));
		Hacl_Hash_SHA2_sha256_finish(state32(s), out);
	} else if (s->alg == SHA384) {
		Hacl_Hash_SHA2_sha384_update_last(total, s->used, s->block, s->state);
		Hacl_Hash_SHA2_sha384_finish(s->state, out);
	} else {
		Hacl_Hash_SHA2_sha512_update_last(total, s->used, s->block, s->state);
		Hacl_Hash_SHA2_sha512_finish(s->state, out);
	}
	wipe(s, sizeof(*s));
}
