/* SPDX-License-Identifier: Apache-2.0 */
/* CBOR and the reader of the firmware's hand-over: what is right, and everything that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../attest/cbor.h"
#include "../attest/cose.h"
#include "../attest/dice.h"
#include "../attest/identity.h"
#include "crypto.h"

/* A hand-over by the book; what a test wants otherwise. */
struct options {
	unsigned entries;
	uint8_t mode;
	bool other_key;      /* the last certificate is for a key that the CDI does not give */
	bool hash_twice;     /* duplicate key in a payload */
	uint32_t hash_size;
	uint32_t name_size;
	int64_t curve;
	uint32_t extra;      /* bytes of a claim that nobody knows */
	bool other_first;    /* the map begins with CDI_Seal */
};

static const struct options plain = { .entries = 1, .mode = 1, .hash_size = 64, .name_size = 40, .curve = 6 };

static const uint8_t cdi_attest[32] = "CDI_Attest for tests, 32 bytes.", cdi_seal[32] = "CDI_Seal for tests, 32 bytes..";
static uint8_t buffer[16384];

static void dice_public(uint8_t public[32])
{
	uint8_t prk[64], seed[32];

	hkdf_extract(SHA512, prk, "kcore dice", 10, cdi_attest, 32);
	hkdf_expand(SHA512, seed, 32, prk, 64, "kcore dice key pair ed25519", 27);
	ed25519_public(public, seed);
}

static void put_key(struct cbor_out *out, const struct options *o, const uint8_t public[32])
{
	cbor_head(out, CBOR_MAP, 3);
	cbor_int(out, 1);
	cbor_int(out, 1);
	cbor_int(out, -1);
	cbor_int(out, o->curve);
	cbor_int(out, -2);
	cbor_bytes(out, public, 32);
}

static void put_entry(struct cbor_out *out, const struct options *o, const uint8_t public[32])
{
	static const uint8_t seed[32] = "somebody who issues certificates";
	static const uint8_t zeroes[8192];
	uint8_t text[9000], key[64];
	struct cbor_out c, k;
	char name[200];

	memset(name, 'a', sizeof(name));
	name[o->name_size] = 0;
	cbor_start(&k, key, sizeof(key));
	put_key(&k, o, public);
	cbor_start(&c, text, sizeof(text));
	cbor_head(&c, CBOR_MAP, 6 + o->hash_twice + (o->extra != 0));
	cbor_int(&c, 1);
	cbor_text(&c, name);
	cbor_int(&c, 2);
	cbor_text(&c, name);
	for (unsigned i = 0; i < 1u + o->hash_twice; i++) {
		cbor_int(&c, DICE_CODE_HASH);
		cbor_bytes(&c, zeroes, o->hash_size);
	}
	cbor_int(&c, DICE_MODE);
	cbor_bytes(&c, &o->mode, 1);
	cbor_int(&c, DICE_SUBJECT_KEY);
	cbor_bytes(&c, key, k.len);
	cbor_int(&c, DICE_KEY_USAGE);
	cbor_bytes(&c, "\x20", 1);
	if (o->extra != 0) {
		cbor_int(&c, -1000000);
		cbor_bytes(&c, zeroes, o->extra);
	}
	if (!cose_sign_ed25519(out, seed, text, c.len)) {
		/* Longer than KCore itself ever signs: no signature, the reader looks at none. */
		cbor_head(out, CBOR_ARRAY, 4);
		cbor_bytes(out, "", 0);
		cbor_head(out, CBOR_MAP, 0);
		cbor_bytes(out, text, c.len);
		cbor_bytes(out, zeroes, 64);
	}
}

static uint32_t make(const struct options *o)
{
	uint8_t public[32];
	struct cbor_out out;

	cbor_start(&out, buffer, sizeof(buffer));
	cbor_head(&out, CBOR_MAP, 3);
	cbor_int(&out, o->other_first ? 2 : 1);
	cbor_bytes(&out, cdi_attest, 32);
	cbor_int(&out, o->other_first ? 1 : 2);
	cbor_bytes(&out, cdi_seal, 32);
	cbor_int(&out, 3);
	cbor_head(&out, CBOR_ARRAY, 1 + o->entries);
	dice_public(public);
	put_key(&out, o, public);
	if (o->other_key)
		public[0] ^= 1;
	for (unsigned i = 0; i < o->entries; i++)
		put_entry(&out, o, public);
	assert_false(out.full);
	return out.len;
}

/* Reads a copy that ends where it says: the sanitizer sees a byte too many. */
static bool reads(const uint8_t *p, uint32_t len)
{
	uint8_t *copy = malloc(len + (len == 0));
	struct dice d;
	bool ok;

	memcpy(copy, p, len);
	ok = dice_read(&d, copy, len);
	free(copy);
	return ok;
}

static void cbor(void **state)
{
	static const struct {
		int64_t v;
		const char *want;
		uint32_t len;
	} ints[] = {
		{ 0, "\x00", 1 },	  { 23, "\x17", 1 },	     { 24, "\x18\x18", 2 },
		{ 255, "\x18\xff", 2 },	  { 256, "\x19\x01\x00", 3 }, { 65536, "\x1a\x00\x01\x00\x00", 5 },
		{ -1, "\x20", 1 },	  { -24, "\x37", 1 },	     { -25, "\x38\x18", 2 },
		{ -75100, "\x3a\x00\x01\x25\x5b", 5 },
		{ INT64_MAX, "\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", 9 },
		{ INT64_MIN, "\x3b\x7f\xff\xff\xff\xff\xff\xff\xff", 9 },
	};
	static const struct {
		const char *p;
		uint32_t len;
	} bad[] = {
		{ "\x18\x17", 2 }, { "\x19\x00\xff", 3 }, { "\x1a\x00\x00\xff\xff", 5 }, /* not the shortest */
		{ "\x1b\x00\x00\x00\x00\xff\xff\xff\xff", 9 }, { "\x18", 1 }, { "\x19\x01", 2 }, { "", 0 },
		{ "\x1c", 1 }, { "\x1f", 1 }, { "\x5f\x41\x61\xff", 4 }, { "\x9f\x00\xff", 3 }, /* indefinite */
		{ "\xff", 1 }, { "\x42\x00", 2 }, { "\x82\x00", 2 }, { "\xa1\x00", 2 }, { "\xc1", 1 },
		{ "\x5b\xff\xff\xff\xff\xff\xff\xff\xff", 9 }, { "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
		{ "\xbb\x80\x00\x00\x00\x00\x00\x00\x00", 9 }, { "\xba\x80\x00\x00\x00\x00\x00\x00", 8 },
		{ "\xf9\x00\x00", 3 },
	};
	uint8_t deep[4096];
	struct cbor_out out;
	struct cbor_in in, item;
	int64_t v;

	(void)state;
	for (unsigned i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
		cbor_start(&out, buffer, sizeof(buffer));
		cbor_int(&out, ints[i].v);
		assert_int_equal(out.len, ints[i].len);
		assert_memory_equal(buffer, ints[i].want, out.len);
		in = (struct cbor_in){ buffer, out.len };
		assert_true(cbor_take_int(&in, &v));
		assert_true(v == ints[i].v && in.left == 0);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		in = (struct cbor_in){ (const uint8_t *)bad[i].p, bad[i].len };
		assert_false(cbor_take_item(&in, &item));
		assert_int_equal(in.left, bad[i].len);
	}
	/* Deep nesting costs nothing but its length. */
	memset(deep, 0x81, sizeof(deep));
	in = (struct cbor_in){ deep, sizeof(deep) };
	assert_false(cbor_take_item(&in, &item));
	deep[sizeof(deep) - 1] = 0;
	assert_true(cbor_take_item(&in, &item));
	assert_int_equal(item.left, sizeof(deep));
	/* What does not fit is not written. */
	cbor_start(&out, deep, 10);
	cbor_bytes(&out, buffer, 9);
	assert_false(out.full);
	memset(deep, 0, sizeof(deep));
	cbor_start(&out, deep, 9);
	cbor_bytes(&out, buffer, 9);
	assert_true(out.full);
	cbor_int(&out, 1);
	assert_int_equal(out.len, 1);
	assert_int_equal(deep[1], 0);
}

static void dice_good(void **state)
{
	struct options o = plain;
	uint32_t len = make(&o);
	struct dice d;

	(void)state;
	assert_true(dice_read(&d, buffer, len));
	assert_memory_equal(d.cdi_attest.p, cdi_attest, 32);
	assert_memory_equal(d.cdi_seal.p, cdi_seal, 32);
	assert_int_equal(d.subject.left, 40);
	assert_true(d.normal);
	assert_ptr_equal(d.chain.p + d.chain.left, buffer + len);
	/* Zeroes behind it are the rest of the region. */
	memset(buffer + len, 0, 100);
	assert_true(dice_read(&d, buffer, len + 100));
	o.mode = 2;
	assert_true(dice_read(&d, buffer, make(&o)));
	assert_false(d.normal);
	o = plain;
	o.entries = 8;
	o.extra = 300;
	assert_true(dice_read(&d, buffer, make(&o)));
}

static void dice_bad(void **state)
{
	struct options o[12];
	unsigned n = 0;
	uint32_t len;

	(void)state;
	for (unsigned i = 0; i < 12; i++)
		o[i] = plain;
	o[n++].entries = 0;
	o[n++].entries = 9;
	o[n++].hash_twice = true;
	o[n++].hash_size = 32;
	o[n++].hash_size = 65;
	o[n++].name_size = 65;
	o[n++].curve = 4;
	o[n++].extra = 7000; /* the chain is too long */
	o[n++].other_first = true;
	for (unsigned i = 0; i < n; i++) {
		len = make(&o[i]);
		assert_false(reads(buffer, len));
	}
	len = make(&plain);
	for (uint32_t i = 0; i < len; i++)
		assert_false(reads(buffer, i));
}

/* Anything else: the reader says no, or yes, and stays inside. */
static void dice_fuzz(void **state)
{
	uint32_t len = make(&plain), seed = 1, yes = 0;
	uint8_t copy[2048];

	(void)state;
	assert_true(len <= sizeof(copy));
	for (unsigned round = 0; round < 100000; round++) {
		uint32_t changes, size = len;

		memcpy(copy, buffer, len);
		seed = seed * 1664525 + 1013904223;
		changes = 1 + (seed >> 24) % 4;
		for (uint32_t i = 0; i < changes; i++) {
			uint32_t at;

			seed = seed * 1664525 + 1013904223;
			at = (seed >> 8) % len;
			seed = seed * 1664525 + 1013904223;
			if ((seed >> 28) == 0)
				size = at;
			else
				copy[at] = (uint8_t)(seed >> 16);
		}
		yes += reads(copy, size);
	}
	/* Most bytes are those of hashes and keys. */
	assert_true(yes > 1000 && yes < 99000);
}

static void identity(void **state)
{
	static const uint8_t seed[64] = "entropy of a machine without a hand-over, sixty-four bytes long";
	static uint8_t first[IDENTITY_MAX], sealing[32];
	struct options o = plain;
	const uint8_t *document;
	uint32_t len, n;

	(void)state;
	len = make(&o);
	assert_true(identity_make(buffer, len, seed, 1));
	assert_int_equal(identity_lifecycle(), 0x3000);
	document = identity_document(&n);
	memcpy(first, document, n);
	memcpy(sealing, identity_sealing_key(), 32);
	/* The same again. */
	assert_true(identity_make(buffer, len, seed, 1));
	assert_memory_equal(identity_document(&len), first, n);
	assert_int_equal(len, n);
	/* The longest chain has room. */
	o.entries = 8;
	o.extra = 350;
	len = make(&o);
	assert_true(len > 5000);
	assert_true(identity_make(buffer, len, seed, 1));
	o = plain;
	o.mode = 4;
	len = make(&o);
	assert_true(identity_make(buffer, len, seed, 1));
	assert_int_equal(identity_lifecycle(), 0x4000);
	/* A chain to a key that is not KCore's, and no chain: neither is secured, nor has it those keys. */
	o = plain;
	o.other_key = true;
	len = make(&o);
	assert_false(identity_make(buffer, len, seed, 1));
	assert_int_equal(identity_lifecycle(), 0);
	assert_memory_not_equal(identity_sealing_key(), sealing, 32);
	document = identity_document(&n);
	assert_memory_equal(document, "\xa4\x01\x80\x02", 4);
	memcpy(first, document, n);
	assert_true(identity_make(NULL, 0, seed, 1));
	assert_memory_equal(identity_document(&len), first, n);
	assert_int_equal(identity_lifecycle(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cbor),	     cmocka_unit_test(dice_good), cmocka_unit_test(dice_bad),
		cmocka_unit_test(dice_fuzz), cmocka_unit_test(identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
