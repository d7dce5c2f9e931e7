/* SPDX-License-Identifier: Apache-2.0 */
#include "cose.h"
#include "../crypto/crypto.h"

#define COSE_KTY 1
#define COSE_CRV (-1)
#define COSE_X (-2)
#define COSE_Y (-3)
#define COSE_KTY_OKP 1
#define COSE_KTY_EC2 2
#define COSE_CRV_P384 2
#define COSE_CRV_X25519 4
#define COSE_CRV_ED25519 6

#define COSE_ALG 1
#define COSE_EDDSA (-8)
#define COSE_ES384 (-35)

void cose_key_p384(struct cbor_out *out, const uint8_t public[96])
{
	cbor_head(out, CBOR_MAP, 4);
	cbor_int(out, COSE_KTY);
	cbor_int(out, COSE_KTY_EC2);
	cbor_int(out, COSE_CRV);
	cbor_int(out, COSE_CRV_P384);
	cbor_int(out, COSE_X);
	cbor_bytes(out, public, 48);
	cbor_int(out, COSE_Y);
	cbor_bytes(out, public + 48, 48);
}

static void okp(struct cbor_out *out, int64_t curve, const uint8_t public[32])
{
	cbor_head(out, CBOR_MAP, 3);
	cbor_int(out, COSE_KTY);
	cbor_int(out, COSE_KTY_OKP);
	cbor_int(out, COSE_CRV);
	cbor_int(out, curve);
	cbor_int(out, COSE_X);
	cbor_bytes(out, public, 32);
}

void cose_key_ed25519(struct cbor_out *out, const uint8_t public[32])
{
	okp(out, COSE_CRV_ED25519, public);
}

void cose_key_x25519(struct cbor_out *out, const uint8_t public[32])
{
	okp(out, COSE_CRV_X25519, public);
}

static void protected_header(struct cbor_out *out, int64_t alg)
{
	uint8_t buf[16];
	struct cbor_out map;

	cbor_start(&map, buf, sizeof(buf));
	cbor_head(&map, CBOR_MAP, 1);
	cbor_int(&map, COSE_ALG);
	cbor_int(&map, alg);
	cbor_bytes(out, buf, map.len);
}

/* Sig_structure: ["Signature1", protected, external data, payload]. */
static void sig_structure(struct cbor_out *out, int64_t alg, const void *payload, uint32_t len)
{
	cbor_head(out, CBOR_ARRAY, 4);
	cbor_text(out, "Signature1");
	protected_header(out, alg);
	cbor_bytes(out, NULL, 0);
	cbor_bytes(out, payload, len);
}

static void sign1(struct cbor_out *out, int64_t alg, const void *payload, uint32_t len, const uint8_t *signature,
		  uint32_t signature_len)
{
	cbor_head(out, CBOR_ARRAY, 4);
	protected_header(out, alg);
	cbor_head(out, CBOR_MAP, 0);
	cbor_bytes(out, payload, len);
	cbor_bytes(out, signature, signature_len);
}

#define MAX_PAYLOAD 1024

bool cose_sign_ed25519(struct cbor_out *out, const uint8_t seed[32], const void *payload, uint32_t len)
{
	uint8_t buf[MAX_PAYLOAD + 64], signature[64];
	struct cbor_out tbs;

	cbor_start(&tbs, buf, sizeof(buf));
	sig_structure(&tbs, COSE_EDDSA, payload, len);
	if (tbs.full)
		return false;
	ed25519_sign(signature, seed, buf, tbs.len);
	sign1(out, COSE_EDDSA, payload, len, signature, sizeof(signature));
	return !out->full;
}

bool cose_sign_p384(struct cbor_out *out, const uint8_t private[48], const void *payload, uint32_t len)
{
	uint8_t buf[MAX_PAYLOAD + 64], signature[96];
	struct cbor_out tbs;

	cbor_start(&tbs, buf, sizeof(buf));
	sig_structure(&tbs, COSE_ES384, payload, len);
	if (tbs.full || !p384_sign(signature, private, buf, tbs.len))
		return false;
	sign1(out, COSE_ES384, payload, len, signature, sizeof(signature));
	return !out->full;
}
