/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* CBOR in deterministic encoding (RFC 8949, 4.2.1), item by item, on top of libcbor's streaming decoder. The
 * caller says what must come next: there is no tree, no allocation, no recursion; an input can be as deep
 * as the caller's code is. */

#include "kci.h"

struct cbor_cursor {
        const uint8_t *p;
        size_t left;
        const char *what; /* what is being read, for messages */
        struct kci_error *e;
};

int cbor_get_unsigned(struct cbor_cursor *c, uint64_t *ret);
int cbor_get_bytes(struct cbor_cursor *c, const uint8_t **ret, size_t *ret_size);
int cbor_get_text(struct cbor_cursor *c, const char **ret, size_t *ret_size); /* not NUL-terminated */
int cbor_get_array(struct cbor_cursor *c, uint64_t *ret_n);
int cbor_get_map(struct cbor_cursor *c, uint64_t *ret_n);
int cbor_get_tag(struct cbor_cursor *c, uint64_t *ret);

/* A byte string of exactly this size. */
int cbor_get_bytes_exact(struct cbor_cursor *c, uint8_t *ret, size_t size);
int cbor_get_array_exact(struct cbor_cursor *c, uint64_t n);

/* A map with unsigned keys, in their order: initialise with cbor_get_map(), then ask for each key. Keys that
 * are there twice, out of order or unknown are errors. */
struct cbor_map {
        uint64_t left, last, key;
        bool any, have; /* a key was read; a key is read but not used */
};

int cbor_map_begin(struct cbor_cursor *c, struct cbor_map *m);
/* Must be there. */
int cbor_map_require(struct cbor_cursor *c, struct cbor_map *m, uint64_t key);
/* > 0 if it is there: its value is next. */
int cbor_map_optional(struct cbor_cursor *c, struct cbor_map *m, uint64_t key);
int cbor_map_end(struct cbor_cursor *c, struct cbor_map *m);

/* Nothing may be left. */
int cbor_end(struct cbor_cursor *c);

/* Writing: stops at the end of the buffer and remembers. */
struct cbor_buffer {
        uint8_t *data;
        size_t size, n;
        bool overflow;
};

void cbor_put_unsigned(struct cbor_buffer *b, uint64_t v);
void cbor_put_bytes(struct cbor_buffer *b, const void *data, size_t size);
void cbor_put_text(struct cbor_buffer *b, const char *s);
void cbor_put_array(struct cbor_buffer *b, size_t n);
void cbor_put_map(struct cbor_buffer *b, size_t n);
void cbor_put_tag(struct cbor_buffer *b, uint64_t tag);
