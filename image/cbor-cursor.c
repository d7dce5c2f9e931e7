/* SPDX-License-Identifier: Apache-2.0 */
#include "cbor-cursor.h"

#include <cbor.h>
#include <inttypes.h>

enum item_type {
        ITEM_NONE,
        ITEM_UNSIGNED,
        ITEM_NEGATIVE,
        ITEM_BYTES,
        ITEM_TEXT,
        ITEM_ARRAY,
        ITEM_MAP,
        ITEM_TAG,
        ITEM_OTHER,
        ITEM_INDEFINITE,
};

static const char *const item_names[] = {
        [ITEM_NONE] = "nothing",
        [ITEM_UNSIGNED] = "an unsigned integer",
        [ITEM_NEGATIVE] = "a negative integer",
        [ITEM_BYTES] = "a byte string",
        [ITEM_TEXT] = "a text string",
        [ITEM_ARRAY] = "an array",
        [ITEM_MAP] = "a map",
        [ITEM_TAG] = "a tag",
        [ITEM_OTHER] = "a simple value or float",
        [ITEM_INDEFINITE] = "an item of indefinite length",
};

struct item {
        enum item_type type;
        uint64_t value; /* integer, number of elements, or size of a string */
        const uint8_t *data;
};

static void set(void *item, enum item_type type, uint64_t value) {
        *(struct item *) item = (struct item) { .type = type, .value = value };
}

static void on_u8(void *i, uint8_t v) { set(i, ITEM_UNSIGNED, v); }
static void on_u16(void *i, uint16_t v) { set(i, ITEM_UNSIGNED, v); }
static void on_u32(void *i, uint32_t v) { set(i, ITEM_UNSIGNED, v); }
static void on_u64(void *i, uint64_t v) { set(i, ITEM_UNSIGNED, v); }
static void on_n8(void *i, uint8_t v) { set(i, ITEM_NEGATIVE, v); }
static void on_n16(void *i, uint16_t v) { set(i, ITEM_NEGATIVE, v); }
static void on_n32(void *i, uint32_t v) { set(i, ITEM_NEGATIVE, v); }
static void on_n64(void *i, uint64_t v) { set(i, ITEM_NEGATIVE, v); }
static void on_array(void *i, uint64_t n) { set(i, ITEM_ARRAY, n); }
static void on_map(void *i, uint64_t n) { set(i, ITEM_MAP, n); }
static void on_tag(void *i, uint64_t v) { set(i, ITEM_TAG, v); }
static void on_indefinite(void *i) { set(i, ITEM_INDEFINITE, 0); }
static void on_simple(void *i) { set(i, ITEM_OTHER, 0); }
static void on_bool(void *i, bool v _unused_) { set(i, ITEM_OTHER, 0); }
static void on_float(void *i, float v _unused_) { set(i, ITEM_OTHER, 0); }
static void on_double(void *i, double v _unused_) { set(i, ITEM_OTHER, 0); }

static void on_bytes(void *i, cbor_data data, uint64_t size) {
        *(struct item *) i = (struct item) { .type = ITEM_BYTES, .value = size, .data = data };
}

static void on_text(void *i, cbor_data data, uint64_t size) {
        *(struct item *) i = (struct item) { .type = ITEM_TEXT, .value = size, .data = data };
}

static const struct cbor_callbacks callbacks = {
        .uint8 = on_u8,
        .uint16 = on_u16,
        .uint32 = on_u32,
        .uint64 = on_u64,
        .negint8 = on_n8,
        .negint16 = on_n16,
        .negint32 = on_n32,
        .negint64 = on_n64,
        .byte_string_start = on_indefinite,
        .byte_string = on_bytes,
        .string = on_text,
        .string_start = on_indefinite,
        .indef_array_start = on_indefinite,
        .array_start = on_array,
        .indef_map_start = on_indefinite,
        .map_start = on_map,
        .tag = on_tag,
        .float2 = on_float,
        .float4 = on_float,
        .float8 = on_double,
        .undefined = on_simple,
        .null = on_simple,
        .boolean = on_bool,
        .indef_break = on_indefinite,
};

static size_t head_size(uint64_t value) {
        return value < 24 ? 1 : value <= UINT8_MAX ? 2 : value <= UINT16_MAX ? 3 : value <= UINT32_MAX ? 5 : 9;
}

static int next(struct cbor_cursor *c, enum item_type type, struct item *ret) {
        struct cbor_decoder_result r;
        struct item i = {};
        size_t head;

        /* libcbor 0.10 refuses the small tags that were not assigned when it was written, 18 among them. */
        if (c->left > 0 && c->p[0] >= 0xC0 && c->p[0] < 0xC0 + 24) {
                set(&i, ITEM_TAG, c->p[0] - 0xC0u);
                r = (struct cbor_decoder_result) { .read = 1, .status = CBOR_DECODER_FINISHED };
        } else
                r = cbor_stream_decode(c->p, c->left, &callbacks, &i);
        if (r.status == CBOR_DECODER_NEDATA)
                return kci_fail(c->e, KCI_ERROR_CBOR, "%s: the CBOR ends in the middle of an item", c->what);
        if (r.status != CBOR_DECODER_FINISHED || r.read > c->left)
                return kci_fail(c->e, KCI_ERROR_CBOR, "%s: the CBOR is malformed", c->what);
        if (i.type == ITEM_INDEFINITE)
                return kci_fail(c->e, KCI_ERROR_CANONICAL, "%s: an item has an indefinite length", c->what);
        if (i.type != type)
                return kci_fail(c->e, KCI_ERROR_TYPE, "%s: %s where %s must be", c->what, item_names[i.type], item_names[type]);
        head = r.read - (type == ITEM_BYTES || type == ITEM_TEXT ? (size_t) i.value : 0);
        if (head != head_size(i.value))
                return kci_fail(c->e, KCI_ERROR_CANONICAL, "%s: an integer or a length is not in its shortest form", c->what);
        c->p += r.read;
        c->left -= r.read;
        *ret = i;
        return 0;
}

int cbor_get_unsigned(struct cbor_cursor *c, uint64_t *ret) {
        struct item i;
        int r = next(c, ITEM_UNSIGNED, &i);

        if (r >= 0)
                *ret = i.value;
        return r;
}

int cbor_get_tag(struct cbor_cursor *c, uint64_t *ret) {
        struct item i;
        int r = next(c, ITEM_TAG, &i);

        if (r >= 0)
                *ret = i.value;
        return r;
}

int cbor_get_bytes(struct cbor_cursor *c, const uint8_t **ret, size_t *ret_size) {
        struct item i;
        int r = next(c, ITEM_BYTES, &i);

        if (r >= 0) {
                *ret = i.data;
                *ret_size = (size_t) i.value;
        }
        return r;
}

int cbor_get_text(struct cbor_cursor *c, const char **ret, size_t *ret_size) {
        struct item i;
        int r = next(c, ITEM_TEXT, &i);

        if (r >= 0) {
                *ret = (const char *) i.data;
                *ret_size = (size_t) i.value;
        }
        return r;
}

int cbor_get_bytes_exact(struct cbor_cursor *c, uint8_t *ret, size_t size) {
        const uint8_t *data;
        size_t n;
        int r;

        r = cbor_get_bytes(c, &data, &n);
        if (r < 0)
                return r;
        if (n != size)
                return kci_fail(c->e, KCI_ERROR_VALUE, "%s: a byte string has %zu bytes instead of %zu", c->what, n, size);
        memcpy(ret, data, size);
        return 0;
}

int cbor_get_array(struct cbor_cursor *c, uint64_t *ret_n) {
        struct item i;
        int r = next(c, ITEM_ARRAY, &i);

        if (r >= 0)
                *ret_n = i.value;
        return r;
}

int cbor_get_map(struct cbor_cursor *c, uint64_t *ret_n) {
        struct item i;
        int r = next(c, ITEM_MAP, &i);

        if (r >= 0)
                *ret_n = i.value;
        return r;
}

int cbor_get_array_exact(struct cbor_cursor *c, uint64_t n) {
        uint64_t k;
        int r;

        r = cbor_get_array(c, &k);
        if (r < 0)
                return r;
        return k == n ? 0 : kci_fail(c->e, KCI_ERROR_VALUE, "%s: an array has %" PRIu64 " elements instead of %" PRIu64, c->what, k, n);
}

int cbor_map_begin(struct cbor_cursor *c, struct cbor_map *m) {
        *m = (struct cbor_map) {};
        return cbor_get_map(c, &m->left);
}

/* Reads the next key unless that was done. */
static int peek_key(struct cbor_cursor *c, struct cbor_map *m) {
        int r;

        if (m->have || m->left == 0)
                return 0;
        r = cbor_get_unsigned(c, &m->key);
        if (r < 0)
                return r;
        m->left--;
        if (m->any && m->key == m->last)
                return kci_fail(c->e, KCI_ERROR_DUPLICATE, "%s: key %" PRIu64 " is there twice", c->what, m->key);
        if (m->any && m->key < m->last)
                return kci_fail(c->e, KCI_ERROR_CANONICAL, "%s: key %" PRIu64 " comes after key %" PRIu64, c->what, m->key, m->last);
        m->have = m->any = true;
        m->last = m->key;
        return 0;
}

int cbor_map_optional(struct cbor_cursor *c, struct cbor_map *m, uint64_t key) {
        int r;

        r = peek_key(c, m);
        if (r < 0)
                return r;
        if (!m->have || m->key > key)
                return 0;
        if (m->key < key)
                return kci_fail(c->e, KCI_ERROR_FIELD, "%s: unknown key %" PRIu64, c->what, m->key);
        m->have = false;
        return 1;
}

int cbor_map_require(struct cbor_cursor *c, struct cbor_map *m, uint64_t key) {
        int r;

        r = cbor_map_optional(c, m, key);
        if (r == 0)
                return kci_fail(c->e, KCI_ERROR_FIELD, "%s: key %" PRIu64 " is missing", c->what, key);
        return r < 0 ? r : 0;
}

int cbor_map_end(struct cbor_cursor *c, struct cbor_map *m) {
        int r;

        r = peek_key(c, m);
        if (r < 0)
                return r;
        return m->have ? kci_fail(c->e, KCI_ERROR_FIELD, "%s: unknown key %" PRIu64, c->what, m->key) : 0;
}

int cbor_end(struct cbor_cursor *c) {
        return c->left == 0 ? 0 : kci_fail(c->e, KCI_ERROR_SIZE, "%s: %zu bytes follow its end", c->what, c->left);
}

/* --- writing --- */

static void advance(struct cbor_buffer *b, size_t written) {
        b->overflow |= written == 0;
        b->n += written;
}

static void put_raw(struct cbor_buffer *b, const void *data, size_t size) {
        if (b->overflow || size > b->size - b->n) {
                b->overflow = true;
                return;
        }
        if (size > 0)
                memcpy(b->data + b->n, data, size);
        b->n += size;
}

void cbor_put_unsigned(struct cbor_buffer *b, uint64_t v) {
        advance(b, cbor_encode_uint(v, b->data + b->n, b->size - b->n));
}

void cbor_put_bytes(struct cbor_buffer *b, const void *data, size_t size) {
        advance(b, cbor_encode_bytestring_start(size, b->data + b->n, b->size - b->n));
        put_raw(b, data, size);
}

void cbor_put_text(struct cbor_buffer *b, const char *s) {
        advance(b, cbor_encode_string_start(strlen(s), b->data + b->n, b->size - b->n));
        put_raw(b, s, strlen(s));
}

void cbor_put_array(struct cbor_buffer *b, size_t n) {
        advance(b, cbor_encode_array_start(n, b->data + b->n, b->size - b->n));
}

void cbor_put_map(struct cbor_buffer *b, size_t n) {
        advance(b, cbor_encode_map_start(n, b->data + b->n, b->size - b->n));
}

void cbor_put_tag(struct cbor_buffer *b, uint64_t tag) {
        advance(b, cbor_encode_tag(tag, b->data + b->n, b->size - b->n));
}
