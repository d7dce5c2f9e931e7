/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"
#include "../crypto/crypto.h"
#include "cose.h"
#include "identity.h"

#define TAG_CCA 399
#define TAG_CMW 907
#define PLATFORM_TOKEN 44234
#define REALM_TOKEN 44241
#define CONTENT_EAT_CWT 263 /* CoAP content format application/eat+cwt */

#define CCA_CHALLENGE 10
#define CCA_PROFILE 265
#define CCA_RPV 44235
#define CCA_REALM_HASH 44236
#define CCA_REALM_KEY 44237
#define CCA_RIM 44238
#define CCA_REMS 44239
#define CCA_REALM_KEY_HASH 44240
#define KCORE_POLICY (-75100)
#define KCORE_SIGNER (-75101)

static uint8_t head[PLATFORM_TOKEN_MAX + 64];
static uint32_t head_len;
static bool wrapped; /* CMW: each token is [content format, token] */

static void begin_token(struct cbor_out *out, uint64_t key)
{
	cbor_head(out, CBOR_UINT, key);
	if (wrapped) {
		cbor_head(out, CBOR_ARRAY, 2);
		cbor_head(out, CBOR_UINT, CONTENT_EAT_CWT);
	}
}

void token_make_head(bool cmw)
{
	struct cbor_out out;
	const uint8_t *platform;
	uint32_t len;

	wrapped = cmw;
	platform = identity_platform_token(&len);
	cbor_start(&out, head, sizeof(head));
	cbor_head(&out, CBOR_TAG, cmw ? TAG_CMW : TAG_CCA);
	cbor_head(&out, CBOR_MAP, 2);
	begin_token(&out, PLATFORM_TOKEN);
	cbor_bytes(&out, platform, len);
	begin_token(&out, REALM_TOKEN);
	head_len = out.len;
}

uint32_t token_claims(uint8_t out[REALM_TOKEN_MAX], const struct realm_claims *claims)
{
	uint32_t size = claims->sha512 ? 64 : 32;
	struct cbor_out c;
	uint8_t digest[32];

	cbor_start(&c, out, REALM_TOKEN_MAX);
	cbor_head(&c, CBOR_MAP, claims->has_policy ? 10 : 8);
	cbor_int(&c, CCA_CHALLENGE);
	cbor_bytes(&c, claims->challenge, 64);
	cbor_int(&c, CCA_PROFILE);
	cbor_text(&c, "tag:arm.com,2023:realm#1.0.0");
	cbor_int(&c, CCA_RPV);
	cbor_bytes(&c, claims->rpv, 64);
	cbor_int(&c, CCA_REALM_HASH);
	cbor_text(&c, claims->sha512 ? "sha-512" : "sha-256");
	cbor_int(&c, CCA_REALM_KEY);
	cbor_bytes(&c, identity_realm_public(), COSE_KEY_P384_SIZE);
	cbor_int(&c, CCA_RIM);
	cbor_bytes(&c, claims->meas[0], size);
	cbor_int(&c, CCA_REMS);
	cbor_head(&c, CBOR_ARRAY, 4);
	for (uint32_t i = 1; i < 5; i++)
		cbor_bytes(&c, claims->meas[i], size);
	cbor_int(&c, CCA_REALM_KEY_HASH);
	cbor_text(&c, "sha-256");
	if (claims->has_policy) {
		cbor_int(&c, KCORE_POLICY);
		cbor_bytes(&c, claims->policy, TOKEN_POLICY_SIZE);
		cbor_int(&c, KCORE_SIGNER);
		sha256(digest, claims->signer, 32);
		cbor_bytes(&c, digest, 32);
	}
	return c.len;
}

uint32_t token_sign_realm(uint8_t token[REALM_TOKEN_MAX], uint32_t len)
{
	uint8_t message[REALM_TOKEN_MAX];
	struct cbor_out m, out;

	cbor_start(&m, message, sizeof(message));
	cbor_head(&m, CBOR_TAG, COSE_SIGN1_TAG);
	if (!cose_sign_p384(&m, identity_realm_key(), token, len))
		return 0;
	cbor_start(&out, token, REALM_TOKEN_MAX);
	cbor_bytes(&out, message, m.len);
	return out.full ? 0 : out.len;
}

uint32_t token_size(uint32_t realm_len)
{
	return head_len + realm_len;
}

void token_copy(uint8_t *to, const uint8_t *realm, uint32_t from, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		to[i] = from + i < head_len ? head[from + i] : realm[from + i - head_len];
}
