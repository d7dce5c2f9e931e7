/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"
#include "../crypto/crypto.h"
#include "../include/kcore.h"
#include "cose.h"
#include "dice.h"

#define NAME_LEN 40u /* hexadecimal digits */

static struct {
	uint8_t realm_key[48];
	uint8_t sealing_key[32];
	uint8_t realm_public[COSE_KEY_P384_SIZE];
	uint8_t document[IDENTITY_MAX];
	uint32_t document_len;
	uint8_t platform_token[PLATFORM_TOKEN_MAX];
	uint32_t platform_token_len;
	uint32_t lifecycle;
} identity;

/* Private keys that only the boot needs. */
struct boot_keys {
	uint8_t dice[32];
	uint8_t platform[48];
};

/* What certificates and platform token say. */
struct facts {
	char name[DICE_MAX_NAME + 1]; /* of the DICE key */
	uint8_t platform_public[COSE_KEY_P384_SIZE];
	uint8_t sealing_public[48];
	uint32_t sealing_public_len;
	uint8_t code_hash[64];
	uint8_t signer[32]; /* digest of the UDS key */
	uint64_t config;
};

static void derive(uint8_t *out, uint32_t len, const uint8_t *secret, uint32_t secret_len, const char *salt,
		   const char *info)
{
	uint8_t prk[64];

	hkdf_extract(SHA512, prk, salt, (uint32_t)__builtin_strlen(salt), secret, secret_len);
	hkdf_expand(SHA512, out, len, prk, sizeof(prk), info, (uint32_t)__builtin_strlen(info));
	wipe(prk, sizeof(prk));
}

static void derive_p384(uint8_t private[48], const uint8_t secret[32], const char *info)
{
	uint8_t random[64];

	derive(random, sizeof(random), secret, 32, "kcore", info);
	p384_private(private, random);
	wipe(random, sizeof(random));
}

static void derive_keys(struct boot_keys *keys, const uint8_t cdi_attest[32], const uint8_t cdi_seal[32])
{
	derive(keys->dice, 32, cdi_attest, 32, "kcore dice", "kcore dice key pair ed25519");
	derive_p384(keys->platform, cdi_attest, "kcore platform key p384");
	derive_p384(identity.realm_key, cdi_attest, "kcore realm key p384");
	derive(identity.sealing_key, 32, cdi_seal, 32, "kcore", "kcore sealing key x25519");
}

/* A key's name: the first 160 bits of its digest. */
static void name_of(char name[NAME_LEN + 1], const void *key, uint32_t len)
{
	static const char digit[] = "0123456789abcdef";
	uint8_t digest[32];

	sha256(digest, key, len);
	for (uint32_t i = 0; i < NAME_LEN; i++)
		name[i] = digit[digest[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
	name[NAME_LEN] = 0;
}

/* usage: KeyUsage of X.509, bit 0 in bit 0. */
#define USE_SIGNATURE 0x01
#define USE_AGREEMENT 0x10

static bool certificate(struct cbor_out *out, const struct boot_keys *keys, const struct facts *facts,
			const uint8_t *key, uint32_t key_len, uint8_t usage)
{
	char subject[NAME_LEN + 1];
	uint8_t buf[512];
	struct cbor_out claims;

	name_of(subject, key, key_len);
	cbor_start(&claims, buf, sizeof(buf));
	cbor_head(&claims, CBOR_MAP, 4);
	cbor_int(&claims, DICE_ISSUER);
	cbor_text(&claims, facts->name);
	cbor_int(&claims, DICE_SUBJECT);
	cbor_text(&claims, subject);
	cbor_int(&claims, DICE_SUBJECT_KEY);
	cbor_bytes(&claims, key, key_len);
	cbor_int(&claims, DICE_KEY_USAGE);
	cbor_bytes(&claims, &usage, 1);
	return !claims.full && cose_sign_ed25519(out, keys->dice, buf, claims.len);
}

static bool make_document(const struct boot_keys *keys, const struct facts *facts, const struct cbor_in *chain)
{
	struct cbor_out out;

	cbor_start(&out, identity.document, sizeof(identity.document));
	cbor_head(&out, CBOR_MAP, 4);
	cbor_int(&out, 1);
	if (chain != NULL)
		cbor_raw(&out, chain->p, chain->left);
	else
		cbor_head(&out, CBOR_ARRAY, 0);
	cbor_int(&out, 2);
	if (!certificate(&out, keys, facts, facts->platform_public, COSE_KEY_P384_SIZE, USE_SIGNATURE))
		return false;
	cbor_int(&out, 3);
	if (!certificate(&out, keys, facts, facts->sealing_public, facts->sealing_public_len, USE_AGREEMENT))
		return false;
	cbor_int(&out, 4);
	cbor_int(&out, identity.lifecycle);
	identity.document_len = out.len;
	return !out.full;
}

/* ---- platform token ---- */

#define CCA_NONCE 10
#define CCA_INSTANCE_ID 256
#define CCA_PROFILE 265
#define CCA_LIFECYCLE 2395
#define CCA_IMPLEMENTATION_ID 2396
#define CCA_COMPONENTS 2399
#define CCA_CONFIG 2401
#define CCA_HASH 2402

#define COMPONENT_TYPE 1
#define COMPONENT_MEASUREMENT 2
#define COMPONENT_VERSION 4
#define COMPONENT_SIGNER 5
#define COMPONENT_HASH 6

/* KCore's version as the token says it: that of its ABI, "major.minor". */
#define MAJOR (KCORE_ABI_VERSION >> 16)
#define MINOR (KCORE_ABI_VERSION & 0xffff)
_Static_assert(MAJOR < 10 && MINOR < 10, "one digit each");
static const char version[] = { '0' + MAJOR, '.', '0' + MINOR, 0 };

static void platform_claims(struct cbor_out *out, const struct facts *facts)
{
	static const char kind[] = "KCore on Armv8 without RME";
	uint8_t digest[33];

	cbor_head(out, CBOR_MAP, 8);
	cbor_int(out, CCA_NONCE);
	sha256(digest, identity.realm_public, COSE_KEY_P384_SIZE);
	cbor_bytes(out, digest, 32);
	cbor_int(out, CCA_INSTANCE_ID);
	digest[0] = 1; /* UEID: a random number, here a key's digest */
	sha256(digest + 1, facts->platform_public, COSE_KEY_P384_SIZE);
	cbor_bytes(out, digest, 33);
	cbor_int(out, CCA_PROFILE);
	cbor_text(out, "tag:arm.com,2023:cca_platform#1.0.0");
	cbor_int(out, CCA_LIFECYCLE);
	cbor_int(out, identity.lifecycle);
	cbor_int(out, CCA_IMPLEMENTATION_ID);
	sha256(digest, kind, sizeof(kind) - 1);
	cbor_bytes(out, digest, 32);
	cbor_int(out, CCA_COMPONENTS);
	cbor_head(out, CBOR_ARRAY, 1);
	cbor_head(out, CBOR_MAP, 5);
	cbor_int(out, COMPONENT_TYPE);
	cbor_text(out, "KCore");
	cbor_int(out, COMPONENT_MEASUREMENT);
	cbor_bytes(out, facts->code_hash, 64);
	cbor_int(out, COMPONENT_VERSION);
	cbor_text(out, version);
	cbor_int(out, COMPONENT_SIGNER);
	cbor_bytes(out, facts->signer, 32);
	cbor_int(out, COMPONENT_HASH);
	cbor_text(out, "sha-512");
	cbor_int(out, CCA_CONFIG);
	cbor_bytes(out, &facts->config, 8);
	cbor_int(out, CCA_HASH);
	cbor_text(out, "sha-256");
}

static bool make_platform_token(const struct boot_keys *keys, const struct facts *facts)
{
	uint8_t buf[768];
	struct cbor_out claims, out;

	cbor_start(&claims, buf, sizeof(buf));
	platform_claims(&claims, facts);
	cbor_start(&out, identity.platform_token, sizeof(identity.platform_token));
	cbor_head(&out, CBOR_TAG, COSE_SIGN1_TAG);
	if (claims.full || !cose_sign_p384(&out, keys->platform, buf, claims.len))
		return false;
	identity.platform_token_len = out.len;
	return true;
}

/* ---- all of it ---- */

static void public_keys(const struct boot_keys *keys, struct facts *facts)
{
	uint8_t public[96];
	struct cbor_out out;

	(void)p384_public(public, keys->platform);
	cbor_start(&out, facts->platform_public, sizeof(facts->platform_public));
	cose_key_p384(&out, public);
	(void)p384_public(public, identity.realm_key);
	cbor_start(&out, identity.realm_public, sizeof(identity.realm_public));
	cose_key_p384(&out, public);
	x25519_public(public, identity.sealing_key);
	cbor_start(&out, facts->sealing_public, sizeof(facts->sealing_public));
	cose_key_x25519(&out, public);
	facts->sealing_public_len = out.len;
}

bool identity_make(const void *handover, uint32_t size, const uint8_t seed[64], uint64_t config)
{
	struct facts facts = { .config = config };
	struct boot_keys keys;
	struct dice dice;
	uint8_t public[32];
	bool given = false, wellformed = true;

	if (handover != NULL) {
		given = dice_read(&dice, handover, size);
		if (given) {
			derive_keys(&keys, dice.cdi_attest.p, dice.cdi_seal.p);
			ed25519_public(public, keys.dice);
			/* The chain must lead to the key that this CDI gives. */
			given = same_bytes(public, dice.public_key.p, 32);
		}
		wellformed = given;
	}
	if (given) {
		identity.lifecycle = dice.normal ? LIFECYCLE_SECURED : LIFECYCLE_DEBUG;
		__builtin_memcpy(facts.name, dice.subject.p, dice.subject.left);
		__builtin_memcpy(facts.code_hash, dice.code_hash.p, 64);
		sha256(facts.signer, dice.uds_key.p, dice.uds_key.left);
	} else {
		identity.lifecycle = LIFECYCLE_UNKNOWN;
		derive_keys(&keys, seed, seed + 32);
		ed25519_public(public, keys.dice);
		name_of(facts.name, public, sizeof(public));
	}
	public_keys(&keys, &facts);
	if (!make_document(&keys, &facts, given ? &dice.chain : NULL) || !make_platform_token(&keys, &facts))
		__builtin_trap(); /* buffers are sized for the largest */
	wipe(&keys, sizeof(keys));
	return wellformed;
}

uint32_t identity_lifecycle(void)
{
	return identity.lifecycle;
}

const uint8_t *identity_document(uint32_t *len)
{
	*len = identity.document_len;
	return identity.document;
}

const uint8_t *identity_platform_token(uint32_t *len)
{
	*len = identity.platform_token_len;
	return identity.platform_token;
}

const uint8_t *identity_realm_key(void)
{
	return identity.realm_key;
}

const uint8_t *identity_sealing_key(void)
{
	return identity.sealing_key;
}

const uint8_t *identity_realm_public(void)
{
	return identity.realm_public;
}
