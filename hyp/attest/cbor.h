/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CBOR (RFC 8949) as identity and tokens need it: a writer into a buffer, and a reader of what the firmware hands
 * over. Both know definite lengths and the shortest form of a head only; the reader refuses the rest.
 */
#ifndef KCORE_ATTEST_CBOR_H
#define KCORE_ATTEST_CBOR_H

#include <stdbool.h>
#include <stdint.h>

/* Major types. */
#define CBOR_UINT 0u
#define CBOR_NINT 1u
#define CBOR_BYTES 2u
#define CBOR_TEXT 3u
#define CBOR_ARRAY 4u
#define CBOR_MAP 5u
#define CBOR_TAG 6u
#define CBOR_SIMPLE 7u

/* What does not fit is dropped and sets full; look at it once, at the end. */
struct cbor_out {
	uint8_t *p;
	uint32_t size;
	uint32_t len;
	bool full;
};

void cbor_start(struct cbor_out *out, void *p, uint32_t size);
void cbor_head(struct cbor_out *out, uint32_t major, uint64_t arg);
void cbor_int(struct cbor_out *out, int64_t v);
void cbor_bytes(struct cbor_out *out, const void *p, uint32_t len);
void cbor_text(struct cbor_out *out, const char *s);
void cbor_raw(struct cbor_out *out, const void *p, uint32_t len);

/* What is left to read. */
struct cbor_in {
	const uint8_t *p;
	uint32_t left;
};

/* Each takes one thing off; false: that is not what comes next, or it is malformed. */
bool cbor_take_head(struct cbor_in *in, uint32_t major, uint64_t *arg);
bool cbor_take_int(struct cbor_in *in, int64_t *v);
/* major: CBOR_BYTES or CBOR_TEXT; *content points into the input. */
bool cbor_take_string(struct cbor_in *in, uint32_t major, struct cbor_in *content);
/* One item with all that is in it. No recursion; time linear in its size. */
bool cbor_take_item(struct cbor_in *in, struct cbor_in *item);

#endif
