/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A mutator that knows that tokens are CBOR in byte strings in CBOR: it changes the contents of one string, at any
 * depth, and sets the lengths of those around it right again. Otherwise hardly any input would get past the outer
 * layers. */

#include <stdlib.h>
#include <string.h>

#include "../cbor-read.h"

#define MUTATE_DEPTH 5
#define MUTATE_STRINGS 64

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* The byte strings in one item, containers entered but not strings. */
static inline size_t mutate_strings(const uint8_t *data, size_t size, struct item ret[MUTATE_STRINGS]) {
        size_t n = 0;

        while (size > 0 && n < MUTATE_STRINGS) {
                struct item item;
                size_t used;

                cbor_item(data, size, &item);
                if (item.encoded_size == 0)
                        break;
                if (item.kind == ITEM_BYTES)
                        ret[n++] = item;
                used = item.kind == ITEM_BYTES || item.kind == ITEM_TEXT ? item.encoded_size :
                                                                          (size_t) (item.data - item.encoded);
                data += used;
                size -= used;
        }
        return n;
}

static inline size_t mutate_head(uint8_t *p, size_t size) {
        if (size < 24) {
                p[0] = (uint8_t) (0x40 | size);
                return 1;
        }
        if (size < 256) {
                p[0] = 0x58;
                p[1] = (uint8_t) size;
                return 2;
        }
        p[0] = 0x59;
        p[1] = (uint8_t) (size >> 8);
        p[2] = (uint8_t) size;
        return 3;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
        struct item path[MUTATE_DEPTH];
        size_t depth = 0, n, content;
        const uint8_t *at = data;
        size_t left = size;
        uint8_t *work;

        while (depth < MUTATE_DEPTH && cbor_check(at, left) == KCORE_ATTEST_OK) {
                struct item strings[MUTATE_STRINGS];

                n = mutate_strings(at, left, strings);
                if (n == 0 || seed % 4 == 0) /* a quarter of the changes at each level */
                        break;
                path[depth] = strings[(seed / 4) % n];
                seed = seed / 4 / (unsigned) n * 2654435761u + 1;
                at = path[depth].data;
                left = path[depth].size;
                depth++;
        }
        if (depth == 0 || max_size < size + 16 || max_size > 60000)
                return LLVMFuzzerMutate(data, size, max_size);

        /* The new contents, then everything around them from the inside out. */
        work = malloc(2 * max_size + 64);
        if (!work)
                abort();
        content = left;
        memcpy(work, at, content);
        content = LLVMFuzzerMutate(work, content, left + (max_size - size) - 3 * depth);
        while (depth-- > 0) {
                const uint8_t *start = depth > 0 ? path[depth - 1].data : data;
                size_t whole = depth > 0 ? path[depth - 1].size : size;
                size_t before = (size_t) (path[depth].encoded - start);
                size_t after = whole - before - path[depth].encoded_size;
                uint8_t head[3];
                size_t h = mutate_head(head, content);

                memmove(work + before + h, work, content);
                memcpy(work, start, before);
                memcpy(work + before, head, h);
                memcpy(work + before + h + content, start + before + path[depth].encoded_size, after);
                content = before + h + content + after;
        }
        if (content <= max_size) {
                memcpy(data, work, content);
                size = content;
        }
        free(work);
        return size;
}
