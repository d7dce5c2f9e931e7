/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading CBOR that may be hostile: one pass checks a whole item, then its parts are looked up in place.
 * Nothing is allocated and nothing recurses; libcbor's streaming decoder reads the heads. */

#include "kcore-attest.h"

#define CBOR_DEPTH_MAX 8    /* containers and tags in each other */
#define CBOR_ENTRIES_MAX 64 /* of one array or map */

enum item_kind {
        ITEM_UNSIGNED, /* value */
        ITEM_NEGATIVE, /* -1 - value */
        ITEM_BYTES,    /* data, size */
        ITEM_TEXT,     /* data, size; not checked for UTF-8 */
        ITEM_ARRAY,    /* value entries */
        ITEM_MAP,      /* value pairs */
        ITEM_TAG,      /* value; the tagged item follows the head */
        ITEM_SIMPLE,   /* false, true, null, undefined: of no use in a token, and skipped */
};

struct item {
        enum item_kind kind;
        uint64_t value;
        const uint8_t *data; /* contents: of a string, or what follows the head */
        size_t size;
        const uint8_t *encoded; /* the whole item */
        size_t encoded_size;
};

/* Is data exactly one item that is well formed, in the shortest encoding, of definite length, within the limits
 * above, without floats, and with maps whose keys are different integers or texts? The other functions are for
 * what has passed this. */
enum kcore_attest_error cbor_check(const uint8_t *data, size_t size);

/* The item at data. */
void cbor_item(const uint8_t *data, size_t size, struct item *ret);

/* The entry i < value of an array; the item that a tag is for (i = 0). */
void cbor_entry(const struct item *container, uint64_t i, struct item *ret);
/* The pair i < value of a map. */
void cbor_pair(const struct item *map, uint64_t i, struct item *ret_key, struct item *ret_value);
/* The value at an integer key of a map. */
bool cbor_find(const struct item *map, int64_t key, struct item *ret);

/* Is it the integer? */
bool item_is_integer(const struct item *item, int64_t value);
/* Is it a text that equals s? */
bool item_is_text(const struct item *item, const char *s);
