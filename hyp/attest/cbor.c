/* SPDX-License-Identifier: Apache-2.0 */
#include "cbor.h"

/* ---- writing ---- */

void cbor_start(struct cbor_out *out, void *p, uint32_t size)
{
	out->p = p;
	out->size = size;
	out->len = 0;
	out->full = false;
}

void cbor_raw(struct cbor_out *out, const void *p, uint32_t len)
{
	if (out->full || len > out->size - out->len) {
		out->full = true;
		return;
	}
	if (len != 0)
		__builtin_memcpy(out->p + out->len, p, len);
	out->len += len;
}

void cbor_head(struct cbor_out *out, uint32_t major, uint64_t arg)
{
	uint8_t head[9];
	uint32_t n = arg < 24 ? 0 : arg <= 0xff ? 1 : arg <= 0xffff ? 2 : arg <= 0xffffffff ? 4 : 8;
	static const uint8_t info[9] = { [1] = 24, [2] = 25, [4] = 26, [8] = 27 };

	head[0] = (uint8_t)(major << 5 | (n == 0 ? arg : info[n]));
	for (uint32_t i = 0; i < n; i++)
		head[1 + i] = (uint8_t)(arg >> (8 * (n - 1 - i)));
	cbor_raw(out, head, 1 + n);
}

void cbor_int(struct cbor_out *out, int64_t v)
{
	if (v < 0)
		cbor_head(out, CBOR_NINT, ~(uint64_t)v);
	else
		cbor_head(out, CBOR_UINT, (uint64_t)v);
}

void cbor_bytes(struct cbor_out *out, const void *p, uint32_t len)
{
	cbor_head(out, CBOR_BYTES, len);
	cbor_raw(out, p, len);
}

void cbor_text(struct cbor_out *out, const char *s)
{
	uint32_t len = (uint32_t)__builtin_strlen(s);

	cbor_head(out, CBOR_TEXT, len);
	cbor_raw(out, s, len);
}

/* ---- reading ---- */

static bool take(struct cbor_in *in, uint32_t len, struct cbor_in *part)
{
	if (len > in->left)
		return false;
	part->p = in->p;
	part->left = len;
	in->p += len;
	in->left -= len;
	return true;
}

static bool any_head(struct cbor_in *in, uint32_t *major, uint64_t *arg)
{
	struct cbor_in first, rest;
	uint32_t info, n;

	if (!take(in, 1, &first))
		return false;
	*major = first.p[0] >> 5;
	info = first.p[0] & 31;
	*arg = info;
	if (info < 24)
		return true;
	if (info > 27)
		return false; /* reserved, or an indefinite length */
	n = 1u << (info - 24);
	if (!take(in, n, &rest))
		return false;
	*arg = 0;
	for (uint32_t i = 0; i < n; i++)
		*arg = *arg << 8 | rest.p[i];
	/* Could it have been shorter? Floating point numbers could not, and mean nothing here. */
	return *major != CBOR_SIMPLE && *arg >= (n == 1 ? 24 : 1UL << (4 * n));
}

bool cbor_take_head(struct cbor_in *in, uint32_t major, uint64_t *arg)
{
	struct cbor_in at = *in;
	uint32_t found;

	if (!any_head(&at, &found, arg) || found != major)
		return false;
	*in = at;
	return true;
}

bool cbor_take_int(struct cbor_in *in, int64_t *v)
{
	uint64_t arg;

	if (cbor_take_head(in, CBOR_UINT, &arg) && arg <= INT64_MAX)
		*v = (int64_t)arg;
	else if (cbor_take_head(in, CBOR_NINT, &arg) && arg <= INT64_MAX)
		*v = -1 - (int64_t)arg;
	else
		return false;
	return true;
}

bool cbor_take_string(struct cbor_in *in, uint32_t major, struct cbor_in *content)
{
	struct cbor_in at = *in;
	uint64_t len;

	if (!cbor_take_head(&at, major, &len) || len > at.left || !take(&at, (uint32_t)len, content))
		return false;
	*in = at;
	return true;
}

bool cbor_take_item(struct cbor_in *in, struct cbor_in *item)
{
	struct cbor_in at = *in, content;
	uint64_t todo = 1, arg;
	uint32_t major;

	while (todo > 0) {
		if (!any_head(&at, &major, &arg))
			return false;
		todo--;
		if (major == CBOR_BYTES || major == CBOR_TEXT) {
			if (arg > at.left || !take(&at, (uint32_t)arg, &content))
				return false;
		} else if (major == CBOR_ARRAY || major == CBOR_MAP) {
			/* Every item takes a byte at least. */
			if (arg > at.left)
				return false;
			todo += major == CBOR_MAP ? 2 * arg : arg;
		} else if (major == CBOR_TAG) {
			todo++;
		}
		if (todo > at.left)
			return false;
	}
	item->p = in->p;
	item->left = in->left - at.left;
	*in = at;
	return true;
}
