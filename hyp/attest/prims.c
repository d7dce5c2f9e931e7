/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Primitives of mach.h for tokens and identity, on the accessors of RD and REC: the same file for the hardware and
 * for the simulator.
 */
#include "../include/kcore.h"
#include "../include/rmi.h"
#include "../mach/mach.h"
#include "identity.h"
#include "prims.h"
#include "token.h"

#define TOKEN_WORDS (REALM_TOKEN_MAX / 8)

static void put_word(uint8_t *to, uint64_t i, uint64_t value)
{
	__builtin_memcpy(to + 8 * i, &value, 8);
}

static void buffer_load(uint8_t token[REALM_TOKEN_MAX], uint64_t rec)
{
	for (uint64_t i = 0; i < TOKEN_WORDS; i++)
		put_word(token, i, rec_get_token(rec, i));
}

static void buffer_store(uint64_t rec, const uint8_t token[REALM_TOKEN_MAX], uint32_t len)
{
	for (uint64_t i = 0; i < TOKEN_WORDS; i++) {
		uint64_t word;

		__builtin_memcpy(&word, token + 8 * i, 8);
		rec_set_token(rec, i, word);
	}
	rec_set_token_len(rec, len);
}

void token_claim(uint64_t rec, uint64_t rd)
{
	uint8_t token[REALM_TOKEN_MAX] = { 0 };
	struct realm_claims claims = { .sha512 = rd_get_hash_algo(rd) == RMI_HASH_SHA512 };

	for (uint64_t i = 0; i < 8; i++) {
		put_word(claims.challenge, i, rec_get_gpr(rec, 1 + i));
		put_word(claims.rpv, i, rd_get_rpv(rd, i));
	}
	for (uint64_t i = 0; i < 40; i++)
		put_word(claims.meas[0], i, rd_get_meas(rd, i));
	claims.has_policy = rd_get_has_policy(rd) == 1;
	for (uint64_t i = 0; claims.has_policy && i < TOKEN_POLICY_SIZE / 8; i++)
		put_word(claims.policy, i, rd_get_policy(rd, i));
	for (uint64_t i = 0; claims.has_policy && i < 4; i++)
		put_word(claims.signer, i, rd_get_policy(rd, LAUNCH_SIGNER / 8 + i));
	buffer_store(rec, token, token_claims(token, &claims));
}

bool token_sign(uint64_t rec)
{
	uint8_t token[REALM_TOKEN_MAX];
	uint32_t len;

	buffer_load(token, rec);
	len = token_sign_realm(token, (uint32_t)rec_get_token_len(rec));
	buffer_store(rec, token, len);
	return len != 0;
}

uint64_t token_bytes(uint64_t rec)
{
	return token_size((uint32_t)rec_get_token_len(rec));
}

void token_read(uint64_t rec, uint64_t from, uint64_t size, uint64_t pa, uint64_t offset)
{
	uint8_t token[REALM_TOKEN_MAX], piece[256];

	buffer_load(token, rec);
	while (size > 0) {
		uint32_t n = size < sizeof(piece) ? (uint32_t)size : sizeof(piece);

		token_copy(piece, token, (uint32_t)from, n);
		page_put(pa, offset, piece, n);
		from += n;
		offset += n;
		size -= n;
	}
}

struct identity_read_result identity_read(uint64_t ns, uint64_t offset)
{
	struct identity_read_result r = { 0, 0 };
	const uint8_t *document;
	uint32_t total;

	document = identity_document(&total);
	r.total = total;
	if (offset < total) {
		r.bytes = total - offset < GRANULE_SIZE ? total - offset : GRANULE_SIZE;
		page_put(ns, 0, document + offset, r.bytes);
	}
	return r;
}
