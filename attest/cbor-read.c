/* SPDX-License-Identifier: Apache-2.0 */
#include "cbor-read.h"

#include <cbor.h>
#include <string.h>

/* ---- One head ------------------------------------------------------------------------------------------- */

/* What the decoder's callbacks saw. */
struct head {
        enum item_kind kind;
        uint64_t value;
        const uint8_t *string;
        bool refused; /* a float, an indefinite length, or the end of one */
};

static void seen(void *context, enum item_kind kind, uint64_t value) {
        struct head *h = context;

        h->kind = kind;
        h->value = value;
}

static void seen_string(void *context, enum item_kind kind, const uint8_t *data, uint64_t size) {
        struct head *h = context;

        seen(context, kind, size);
        h->string = data;
}

static void on_uint8(void *c, uint8_t v) { seen(c, ITEM_UNSIGNED, v); }
static void on_uint16(void *c, uint16_t v) { seen(c, ITEM_UNSIGNED, v); }
static void on_uint32(void *c, uint32_t v) { seen(c, ITEM_UNSIGNED, v); }
static void on_uint64(void *c, uint64_t v) { seen(c, ITEM_UNSIGNED, v); }
static void on_negint8(void *c, uint8_t v) { seen(c, ITEM_NEGATIVE, v); }
static void on_negint16(void *c, uint16_t v) { seen(c, ITEM_NEGATIVE, v); }
static void on_negint32(void *c, uint32_t v) { seen(c, ITEM_NEGATIVE, v); }
static void on_negint64(void *c, uint64_t v) { seen(c, ITEM_NEGATIVE, v); }
static void on_bytes(void *c, cbor_data d, uint64_t n) { seen_string(c, ITEM_BYTES, d, n); }
static void on_text(void *c, cbor_data d, uint64_t n) { seen_string(c, ITEM_TEXT, d, n); }
static void on_array(void *c, uint64_t n) { seen(c, ITEM_ARRAY, n); }
static void on_map(void *c, uint64_t n) { seen(c, ITEM_MAP, n); }
static void on_tag(void *c, uint64_t v) { seen(c, ITEM_TAG, v); }
static void on_simple(void *c) { seen(c, ITEM_SIMPLE, 0); }
static void on_bool(void *c, bool v) { seen(c, ITEM_SIMPLE, v); }
static void on_refused(void *c) { ((struct head *) c)->refused = true; }
static void on_float(void *c, float v) { (void) v; on_refused(c); }
static void on_double(void *c, double v) { (void) v; on_refused(c); }

static const struct cbor_callbacks callbacks = {
        .uint8 = on_uint8,
        .uint16 = on_uint16,
        .uint32 = on_uint32,
        .uint64 = on_uint64,
        .negint8 = on_negint8,
        .negint16 = on_negint16,
        .negint32 = on_negint32,
        .negint64 = on_negint64,
        .byte_string = on_bytes,
        .byte_string_start = on_refused,
        .string = on_text,
        .string_start = on_refused,
        .array_start = on_array,
        .indef_array_start = on_refused,
        .map_start = on_map,
        .indef_map_start = on_refused,
        .indef_break = on_refused,
        .tag = on_tag,
        .float2 = on_float,
        .float4 = on_float,
        .float8 = on_double,
        .undefined = on_simple,
        .null = on_simple,
        .boolean = on_bool,
};

/* Would the argument of this head have fitted into a shorter one? */
static bool is_shortest(uint8_t first, uint64_t value) {
        switch (first & 0x1f) {
        case 24:
                return value > 23;
        case 25:
                return value > UINT8_MAX;
        case 26:
                return value > UINT16_MAX;
        case 27:
                return value > UINT32_MAX;
        }
        return true;
}

/* Reads a head, with the contents if it is a string's. */
static enum kcore_attest_error read_head(const uint8_t *data, size_t size, struct item *ret) {
        struct head h = {};
        struct cbor_decoder_result r;

        if (size == 0)
                return KCORE_ATTEST_TRUNCATED;
        /* libcbor (0.10) refuses the tags 6 to 20, COSE_Sign1's 18 among them. */
        if (data[0] >= 0xc0 && data[0] <= 0xd7) {
                *ret = (struct item) {
                        .kind = ITEM_TAG,
                        .value = data[0] & 0x1f,
                        .data = data + 1,
                        .encoded = data,
                        .encoded_size = 1,
                };
                return KCORE_ATTEST_OK;
        }
        r = cbor_stream_decode(data, size, &callbacks, &h);
        if (r.status == CBOR_DECODER_NEDATA)
                return KCORE_ATTEST_TRUNCATED;
        if (r.status != CBOR_DECODER_FINISHED || r.read == 0 || r.read > size)
                return KCORE_ATTEST_MALFORMED;
        if (h.refused || !is_shortest(data[0], h.value))
                return KCORE_ATTEST_NOT_CANONICAL;

        *ret = (struct item) {
                .kind = h.kind,
                .value = h.value,
                .data = h.string ?: data + r.read,
                .size = h.string ? (size_t) h.value : 0,
                .encoded = data,
                .encoded_size = r.read,
        };
        return KCORE_ATTEST_OK;
}

/* How many items follow the head and belong to it. */
static uint64_t children(const struct item *item) {
        switch (item->kind) {
        case ITEM_ARRAY:
                return item->value;
        case ITEM_MAP:
                return 2 * item->value;
        case ITEM_TAG:
                return 1;
        default:
                return 0;
        }
}

/* ---- The check ------------------------------------------------------------------------------------------ */

/* A container that is being read. */
struct frame {
        uint64_t left; /* items */
        bool map;
        size_t keys;
        struct {
                const uint8_t *data;
                size_t size;
        } key[CBOR_ENTRIES_MAX];
};

static enum kcore_attest_error check_key(struct frame *f, const struct item *item) {
        if (item->kind != ITEM_UNSIGNED && item->kind != ITEM_NEGATIVE && item->kind != ITEM_TEXT)
                return KCORE_ATTEST_BAD_MAP_KEY;
        /* The shortest encoding was checked: equal keys have equal bytes. */
        for (size_t i = 0; i < f->keys; i++)
                if (f->key[i].size == item->encoded_size &&
                    memcmp(f->key[i].data, item->encoded, item->encoded_size) == 0)
                        return KCORE_ATTEST_DUPLICATE_KEY;
        f->key[f->keys].data = item->encoded;
        f->key[f->keys++].size = item->encoded_size;
        return KCORE_ATTEST_OK;
}

enum kcore_attest_error cbor_check(const uint8_t *data, size_t size) {
        struct frame frames[CBOR_DEPTH_MAX];
        size_t depth = 0;

        for (;;) {
                struct item item;
                enum kcore_attest_error e;

                e = read_head(data, size, &item);
                if (e != KCORE_ATTEST_OK)
                        return e;
                data += item.encoded_size;
                size -= item.encoded_size;

                if (depth > 0) {
                        struct frame *f = &frames[depth - 1];

                        if (f->map && f->left % 2 == 0) {
                                e = check_key(f, &item);
                                if (e != KCORE_ATTEST_OK)
                                        return e;
                        }
                        f->left--;
                }

                if (item.kind == ITEM_ARRAY || item.kind == ITEM_MAP || item.kind == ITEM_TAG) {
                        if (item.kind != ITEM_TAG && item.value > CBOR_ENTRIES_MAX)
                                return KCORE_ATTEST_TOO_MANY;
                        if (depth == CBOR_DEPTH_MAX)
                                return KCORE_ATTEST_TOO_DEEP;
                        frames[depth].left = children(&item);
                        frames[depth].map = item.kind == ITEM_MAP;
                        frames[depth].keys = 0;
                        depth++;
                }
                while (depth > 0 && frames[depth - 1].left == 0)
                        depth--;
                if (depth == 0)
                        return size == 0 ? KCORE_ATTEST_OK : KCORE_ATTEST_TRAILING_BYTES;
        }
}

/* ---- Looking things up ---------------------------------------------------------------------------------- */

void cbor_item(const uint8_t *data, size_t size, struct item *ret) {
        const uint8_t *at = data;
        uint64_t left = 1;
        struct item item;

        *ret = (struct item) { .kind = ITEM_SIMPLE };
        for (bool first = true; left > 0; first = false) {
                if (read_head(at, size, &item) != KCORE_ATTEST_OK)
                        return; /* not checked before: nothing is found */
                at += item.encoded_size;
                size -= item.encoded_size;
                left = left - 1 + children(&item);
                if (first)
                        *ret = item;
        }
        ret->encoded_size = (size_t) (at - data);
        if (ret->kind != ITEM_BYTES && ret->kind != ITEM_TEXT)
                ret->size = (size_t) (at - ret->data);
}

void cbor_entry(const struct item *container, uint64_t i, struct item *ret) {
        const uint8_t *at = container->data, *end = at + container->size;

        do {
                cbor_item(at, (size_t) (end - at), ret);
                at += ret->encoded_size;
        } while (i-- > 0);
}

void cbor_pair(const struct item *map, uint64_t i, struct item *ret_key, struct item *ret_value) {
        cbor_entry(map, 2 * i, ret_key);
        cbor_entry(map, 2 * i + 1, ret_value);
}

bool cbor_find(const struct item *map, int64_t key, struct item *ret) {
        const uint8_t *at = map->data, *end = at + map->size;

        if (map->kind != ITEM_MAP)
                return false;
        for (uint64_t i = 0; i < map->value; i++) {
                struct item k, v;

                cbor_item(at, (size_t) (end - at), &k);
                at += k.encoded_size;
                cbor_item(at, (size_t) (end - at), &v);
                at += v.encoded_size;
                if (item_is_integer(&k, key)) {
                        *ret = v;
                        return true;
                }
        }
        return false;
}

bool item_is_integer(const struct item *item, int64_t value) {
        if (value >= 0)
                return item->kind == ITEM_UNSIGNED && item->value == (uint64_t) value;
        return item->kind == ITEM_NEGATIVE && item->value == (uint64_t) (-1 - value);
}

bool item_is_text(const struct item *item, const char *s) {
        return item->kind == ITEM_TEXT && item->size == strlen(s) && memcmp(item->data, s, item->size) == 0;
}
