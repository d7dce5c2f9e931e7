/* SPDX-License-Identifier: Apache-2.0 */
/* Test vectors of the standards for hyp/crypto. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto.h"

/* Bytes of a string of hexadecimal digits, in a buffer of exactly that size: the sanitizer sees its ends. */
struct bytes {
	uint8_t *p;
	uint32_t len;
};

static struct bytes pool[64];
static unsigned pooled;

static struct bytes hex(const char *s)
{
	struct bytes b = { malloc(strlen(s) / 2 + (*s == 0)), (uint32_t)strlen(s) / 2 };

	for (uint32_t i = 0; i < b.len; i++) {
		char digits[3] = { s[2 * i], s[2 * i + 1], 0 };

		b.p[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	assert_true(pooled < 64);
	pool[pooled++] = b;
	return b;
}

static int release(void **state)
{
	(void)state;
	while (pooled > 0)
		free(pool[--pooled].p);
	return 0;
}

static void check(const uint8_t *got, const char *want)
{
	struct bytes b = hex(want);

	assert_memory_equal(got, b.p, b.len);
}

static void test_sha2(void **state)
{
	/* FIPS 180-4: "abc", and all ways to cut a message of three blocks. */
	uint8_t out[64], whole[64], msg[300];
	struct sha2 s;

	(void)state;
	sha256(out, "abc", 3);
	check(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha384(out, "abc", 3);
	check(out, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
		   "8086072ba1e7cc2358baeca134c825a7");
	sha512(out, "abc", 3);
	check(out, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		   "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
	for (unsigned i = 0; i < sizeof(msg); i++)
		msg[i] = (uint8_t)i;
	for (enum sha2_alg alg = SHA256; alg <= SHA512; alg++) {
		for (uint32_t len = 0; len <= sizeof(msg); len += 7) {
			(alg == SHA256 ? sha256 : alg == SHA384 ? sha384 : sha512)(whole, msg, len);
			for (uint32_t cut = 0; cut <= len; cut++) {
				sha2_begin(&s, alg);
				sha2_add(&s, msg, cut);
				sha2_add(&s, msg + cut, len - cut);
				sha2_end(&s, out);
				assert_memory_equal(out, whole, sha2_size(alg));
			}
		}
	}
}

static void test_hmac(void **state)
{
	/* RFC 4231, cases 2 and 6 (a key longer than any block). */
	uint8_t out[64], key[131];
	struct hmac m;

	(void)state;
	hmac_begin(&m, SHA256, "Jefe", 4);
	hmac_add(&m, "what do ya want ", 16);
	hmac_add(&m, "for nothing?", 12);
	hmac_end(&m, out);
	check(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	hmac_begin(&m, SHA384, "Jefe", 4);
	hmac_add(&m, "what do ya want for nothing?", 28);
	hmac_end(&m, out);
	check(out, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
		   "8e2240ca5e69e2c78b3239ecfab21649");
	memset(key, 0xaa, sizeof(key));
	hmac_begin(&m, SHA512, key, sizeof(key));
	hmac_add(&m, "Test Using Larger Than Block-Size Key - Hash Key First", 54);
	hmac_end(&m, out);
	check(out, "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
		   "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
}

static void hkdf_case(const char *ikm_hex, const char *salt_hex, const char *info_hex, const char *prk_hex,
		      const char *okm_hex)
{
	struct bytes ikm = hex(ikm_hex), salt = hex(salt_hex), info = hex(info_hex);
	uint8_t prk[64], okm[128];

	hkdf_extract(SHA256, prk, salt.p, salt.len, ikm.p, ikm.len);
	check(prk, prk_hex);
	hkdf_expand(SHA256, okm, (uint32_t)strlen(okm_hex) / 2, prk, 32, info.p, info.len);
	check(okm, okm_hex);
}

static void test_hkdf(void **state)
{
	/* RFC 5869, A.1 to A.3. */
	(void)state;
	hkdf_case("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
		  "f0f1f2f3f4f5f6f7f8f9", "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
		  "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
	hkdf_case("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
		  "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
		  "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f"
		  "909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
		  "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
		  "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
		  "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
		  "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
		  "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
	hkdf_case("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
		  "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
		  "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

static void ed25519_case(const char *seed_hex, const char *public_hex, const char *msg_hex, const char *sig_hex)
{
	struct bytes seed = hex(seed_hex), msg = hex(msg_hex);
	uint8_t public[32], sig[64];

	ed25519_public(public, seed.p);
	check(public, public_hex);
	ed25519_sign(sig, seed.p, msg.p, msg.len);
	check(sig, sig_hex);
	assert_true(ed25519_verify(public, msg.p, msg.len, sig));
	for (unsigned i = 0; i < 64; i += 5) {
		sig[i] ^= 0x10;
		assert_false(ed25519_verify(public, msg.p, msg.len, sig));
		sig[i] ^= 0x10;
	}
	if (msg.len > 0) {
		msg.p[0] ^= 1;
		assert_false(ed25519_verify(public, msg.p, msg.len, sig));
	}
}

static void test_ed25519(void **state)
{
	/* RFC 8032, 7.1: tests 1 to 3. */
	(void)state;
	ed25519_case("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
		     "d25bf5f0595bbe24655141438e7a100b");
	ed25519_case("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
		     "387b2eaeb4302aeeb00d291612bb0c00");
	ed25519_case("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
		     "4a7c15e9716ed28dc027beceea1ec40a");
}

static void test_x25519(void **state)
{
	/* RFC 7748, 6.1. */
	struct bytes a = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	struct bytes b = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
	uint8_t pa[32], pb[32], shared[32], zero[32] = { 0 };

	(void)state;
	x25519_public(pa, a.p);
	check(pa, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	x25519_public(pb, b.p);
	check(pb, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	assert_true(x25519(shared, a.p, pb));
	check(shared, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
	assert_true(x25519(shared, b.p, pa));
	check(shared, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
	assert_false(x25519(shared, a.p, zero));
	zero[0] = 1;
	assert_false(x25519(shared, a.p, zero));
}

static void test_aead(void **state)
{
	/* RFC 8439, 2.8.2. */
	static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for "
				   "the future, sunscreen would be it.";
	struct bytes key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
	struct bytes nonce = hex("070000004041424344454647"), aad = hex("50515253c0c1c2c3c4c5c6c7");
	uint8_t out[sizeof(text) - 1], back[sizeof(text) - 1], tag[16];

	(void)state;
	aead_seal(out, tag, key.p, nonce.p, aad.p, aad.len, text, sizeof(out));
	check(out, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
		   "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
		   "3ff4def08e4b7a9de576d26586cec64b6116");
	check(tag, "1ae10b594f09e26a7e902ecbd0600691");
	assert_true(aead_open(back, key.p, nonce.p, aad.p, aad.len, out, sizeof(out), tag));
	assert_memory_equal(back, text, sizeof(back));
	memset(back, 0x5a, sizeof(back));
	for (unsigned i = 0; i < 16; i++) {
		tag[i] ^= 0x80;
		assert_false(aead_open(back, key.p, nonce.p, aad.p, aad.len, out, sizeof(out), tag));
		tag[i] ^= 0x80;
	}
	assert_false(aead_open(back, key.p, nonce.p, aad.p, aad.len - 1, out, sizeof(out), tag));
	for (unsigned i = 0; i < sizeof(back); i++)
		assert_int_equal(back[i], 0x5a);
	/* In place. */
	assert_true(aead_open(out, key.p, nonce.p, aad.p, aad.len, out, sizeof(out), tag));
	assert_memory_equal(out, text, sizeof(out));
}

static void test_p384_sign(void **state)
{
	/* RFC 6979, A.2.6, with SHA-384. */
	struct bytes key = hex("6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d8"
			       "96d5724e4c70a825f872c9ea60d2edf5");
	uint8_t public[96], sig[96], bad[48];

	(void)state;
	assert_true(p384_public(public, key.p));
	check(public, "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13"
		      "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720");
	assert_true(p384_sign(sig, key.p, "sample", 6));
	check(sig, "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46"
		   "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8");
	assert_true(p384_verify(public, "sample", 6, sig));
	assert_false(p384_verify(public, "Sample", 6, sig));
	sig[95] ^= 1;
	assert_false(p384_verify(public, "sample", 6, sig));
	assert_true(p384_sign(sig, key.p, "test", 4));
	check(sig, "8203b63d3c853e8d77227fb377bcf7b7b772e97892a80f36ab775d509d7a5feb0542a7f0812998da8f1dd3ca3cf023db"
		   "ddd0760448d42d8a43af45af836fce4de8be06b485e9b61b827c2f13173923e06a739f040649a667bf3b828246baa5a5");
	/* Private keys out of range: 0, and the order. */
	memset(bad, 0, sizeof(bad));
	assert_false(p384_sign(sig, bad, "test", 4));
	assert_false(p384_public(public, bad));
	memcpy(bad, hex("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973").p, 48);
	assert_false(p384_sign(sig, bad, "test", 4));
}

static void test_p384_private(void **state)
{
	/* (c mod (n - 1)) + 1, by Python's integers. */
	static const struct {
		const char *random, *private;
	} cases[] = {
		{ "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
		  "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001" },
		{ "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		  "0000000000000000389cb27e0bc8d220a7e5f24db74f58851313e695333ad68e00000000000000000000000000000000" },
		{ "00000000000000000000000000000000ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52972",
		  "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001" },
		{ "00000000000000000000000000000000ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52971",
		  "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52972" },
		{ "00000000000000000000000000000000ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
		  "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000002" },
		{ "80000000000000000000000000003038ffffffffffffffffe3b1a6c0fa1b96efac0d06d9245849137a1aac6f1f45abf8805e7a534ebc56cb0555af2c8fab9a61",
		  "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52972" },
		{ "9e88e2ba6f72bde3e62eae183ae8bfc3e12d127cb27936c2cdc618637c11f50b3bdc0adbfb86c717a884d248cb8f0c6d3fed4acceaa838b67dde93445e8e68f8",
		  "e12d127cb27936c2f0d513efaa607091171c6a8a48bf9d185674234213fc21c13f9d2f6ee44be9a590beeb61e723c923" },
	};
	uint8_t private[48];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p384_private(private, hex(cases[i].random).p);
		check(private, cases[i].private);
	}
}

static bool open_as(const struct bytes *secret, const struct bytes *enc, const struct bytes *info, const struct bytes *aad,
		    const struct bytes *ct, uint8_t *out)
{
	return hpke_open(out, secret->p, enc->p, info->p, info->len, aad->p, aad->len, ct->p, ct->len - 16);
}

static void test_hpke(void **state)
{
	/* RFC 9180, A.2.1: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, sequence number 0. */
	struct bytes secret = hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb"),
		     enc = hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"),
		     info = hex("4f6465206f6e2061204772656369616e2055726e"), aad = hex("436f756e742d30"),
		     ct = hex("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"),
		     zero = hex("0000000000000000000000000000000000000000000000000000000000000000");
	const struct bytes *inputs[] = { &secret, &enc, &info, &aad, &ct };
	uint8_t out[29], old[29];

	(void)state;
	memset(out, 0x5a, sizeof(out));
	memset(old, 0x5a, sizeof(old));
	assert_true(open_as(&secret, &enc, &info, &aad, &ct, out));
	check(out, "4265617574792069732074727574682c20747275746820626561757479");
	/* One bit of any of them: it does not open, and nothing is written. (X25519 ignores three bits of a key.) */
	for (unsigned i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
		for (uint32_t k = 0; k < inputs[i]->len; k++) {
			inputs[i]->p[k] ^= 0x08;
			memcpy(out, old, sizeof(out));
			assert_false(open_as(&secret, &enc, &info, &aad, &ct, out));
			assert_memory_equal(out, old, sizeof(out));
			inputs[i]->p[k] ^= 0x08;
		}
	}
	/* A key of small order. */
	assert_false(open_as(&secret, &zero, &info, &aad, &ct, out));
	assert_true(open_as(&secret, &enc, &info, &aad, &ct, out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_sha2, release),	     cmocka_unit_test_teardown(test_hmac, release),
		cmocka_unit_test_teardown(test_hkdf, release),	     cmocka_unit_test_teardown(test_ed25519, release),
		cmocka_unit_test_teardown(test_x25519, release),     cmocka_unit_test_teardown(test_aead, release),
		cmocka_unit_test_teardown(test_p384_sign, release), cmocka_unit_test_teardown(test_p384_private, release),
		cmocka_unit_test_teardown(test_hpke, release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
