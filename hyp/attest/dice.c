/* SPDX-License-Identifier: Apache-2.0 */
#include "dice.h"

#define COSE_KTY 1
#define COSE_CRV (-1)
#define COSE_X (-2)
#define COSE_KTY_OKP 1
#define COSE_CRV_ED25519 6

static bool take_fixed(struct cbor_in *in, uint32_t len, struct cbor_in *content)
{
	return cbor_take_string(in, CBOR_BYTES, content) && content->left == len;
}

static bool take_name(struct cbor_in *in, struct cbor_in *content)
{
	return cbor_take_string(in, CBOR_TEXT, content) && content->left <= DICE_MAX_NAME;
}

static bool take_this(struct cbor_in *in, int64_t want)
{
	int64_t v;

	return cbor_take_int(in, &v) && v == want;
}

/* A COSE_Key, OKP, Ed25519, and nothing after it. Keys that mean nothing here are passed over. */
static bool read_key(struct cbor_in in, struct cbor_in *x)
{
	enum { KTY = 1, CRV = 2, X = 4 };
	uint32_t seen = 0;
	uint64_t n;

	if (!cbor_take_head(&in, CBOR_MAP, &n))
		return false;
	for (; n > 0; n--) {
		struct cbor_in skipped;
		uint32_t bit = 0;
		int64_t key;
		bool ok;

		if (!cbor_take_int(&in, &key))
			return false;
		if (key == COSE_KTY) {
			bit = KTY;
			ok = take_this(&in, COSE_KTY_OKP);
		} else if (key == COSE_CRV) {
			bit = CRV;
			ok = take_this(&in, COSE_CRV_ED25519);
		} else if (key == COSE_X) {
			bit = X;
			ok = take_fixed(&in, 32, x);
		} else {
			ok = cbor_take_item(&in, &skipped);
		}
		if (!ok || (seen & bit) != 0)
			return false;
		seen |= bit;
	}
	return in.left == 0 && seen == (KTY | CRV | X);
}

static bool read_payload(struct dice *d, struct cbor_in in)
{
	enum { ISSUER = 1, SUBJECT = 2, CODE = 4, MODE = 8, KEY = 16 };
	uint32_t seen = 0;
	uint64_t n;

	if (!cbor_take_head(&in, CBOR_MAP, &n))
		return false;
	for (; n > 0; n--) {
		struct cbor_in value;
		uint32_t bit = 0;
		int64_t key;
		bool ok;

		if (!cbor_take_int(&in, &key))
			return false;
		if (key == DICE_ISSUER) {
			bit = ISSUER;
			ok = take_name(&in, &value);
		} else if (key == DICE_SUBJECT) {
			bit = SUBJECT;
			ok = take_name(&in, &d->subject);
		} else if (key == DICE_CODE_HASH) {
			bit = CODE;
			ok = take_fixed(&in, 64, &d->code_hash);
		} else if (key == DICE_MODE) {
			bit = MODE;
			ok = take_fixed(&in, 1, &value);
			d->normal = d->normal && ok && value.p[0] == DICE_MODE_NORMAL;
		} else if (key == DICE_SUBJECT_KEY) {
			bit = KEY;
			ok = cbor_take_string(&in, CBOR_BYTES, &value) && read_key(value, &d->public_key);
		} else {
			ok = cbor_take_item(&in, &value);
		}
		if (!ok || (seen & bit) != 0)
			return false;
		seen |= bit;
	}
	return in.left == 0 && seen == (ISSUER | SUBJECT | CODE | MODE | KEY);
}

/* COSE_Sign1, not tagged. */
static bool read_entry(struct dice *d, struct cbor_in *in)
{
	struct cbor_in protected, unprotected, payload, signature;
	uint64_t n;

	return cbor_take_head(in, CBOR_ARRAY, &n) && n == 4 && cbor_take_string(in, CBOR_BYTES, &protected) &&
	       cbor_take_item(in, &unprotected) && cbor_take_string(in, CBOR_BYTES, &payload) &&
	       take_fixed(in, 64, &signature) && read_payload(d, payload);
}

static bool read_chain(struct dice *d)
{
	struct cbor_in in = d->chain, x;
	uint64_t n;

	if (!cbor_take_head(&in, CBOR_ARRAY, &n) || n < 2 || n > 1 + DICE_MAX_ENTRIES)
		return false;
	if (!cbor_take_item(&in, &d->uds_key) || !read_key(d->uds_key, &x))
		return false;
	d->normal = true;
	for (; n > 1; n--) {
		if (!read_entry(d, &in))
			return false;
	}
	return in.left == 0;
}

bool dice_read(struct dice *d, const void *region, uint32_t size)
{
	struct cbor_in in = { region, size };
	uint64_t n;

	return cbor_take_head(&in, CBOR_MAP, &n) && n == 3 && take_this(&in, 1) &&
	       take_fixed(&in, 32, &d->cdi_attest) && take_this(&in, 2) && take_fixed(&in, 32, &d->cdi_seal) &&
	       take_this(&in, 3) && cbor_take_item(&in, &d->chain) && d->chain.left <= DICE_MAX_CHAIN &&
	       read_chain(d);
}
