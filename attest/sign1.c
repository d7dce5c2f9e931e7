/* SPDX-License-Identifier: Apache-2.0 */
#include "sign1.h"

#include <stdlib.h>
#include <string.h>

#define TAG_SIGN1 18

#define HEADER_ALG INT64_C(1)
#define HEADER_CRIT INT64_C(2)

static enum kcore_attest_error protected_parse(const struct item *bytes, struct sign1 *s) {
        struct item map, alg, crit;
        enum kcore_attest_error e;

        if (bytes->size == 0) /* stands for an empty map */
                return KCORE_ATTEST_MISSING_CLAIM;
        e = cbor_check(bytes->data, bytes->size);
        if (e != KCORE_ATTEST_OK)
                return e;
        cbor_item(bytes->data, bytes->size, &map);
        if (map.kind != ITEM_MAP)
                return KCORE_ATTEST_WRONG_TYPE;
        if (cbor_find(&map, HEADER_CRIT, &crit))
                return KCORE_ATTEST_UNSUPPORTED_HEADER;
        if (!cbor_find(&map, HEADER_ALG, &alg))
                return KCORE_ATTEST_MISSING_CLAIM;
        if (alg.kind != ITEM_NEGATIVE || alg.value > 0xffff || !algorithm_name(-1 - (int64_t) alg.value))
                return KCORE_ATTEST_UNSUPPORTED_ALGORITHM;
        s->algorithm = -1 - (int64_t) alg.value;
        s->protected = bytes->data;
        s->protected_size = bytes->size;
        return KCORE_ATTEST_OK;
}

enum kcore_attest_error sign1_parse(const struct item *item, bool tagged, struct sign1 *ret) {
        struct item array = *item, protected, unprotected, payload, signature, other;
        struct sign1 s = {};
        enum kcore_attest_error e;

        if (item->kind == ITEM_TAG) {
                if (item->value != TAG_SIGN1)
                        return KCORE_ATTEST_UNSUPPORTED_TAG;
                cbor_entry(item, 0, &array);
        } else if (tagged)
                return KCORE_ATTEST_UNSUPPORTED_TAG;
        if (array.kind != ITEM_ARRAY || array.value != 4)
                return KCORE_ATTEST_WRONG_TYPE;

        cbor_entry(&array, 0, &protected);
        cbor_entry(&array, 1, &unprotected);
        cbor_entry(&array, 2, &payload);
        cbor_entry(&array, 3, &signature);
        if (protected.kind != ITEM_BYTES || unprotected.kind != ITEM_MAP || payload.kind != ITEM_BYTES ||
            signature.kind != ITEM_BYTES)
                return KCORE_ATTEST_WRONG_TYPE;
        e = protected_parse(&protected, &s);
        if (e != KCORE_ATTEST_OK)
                return e;
        if (cbor_find(&unprotected, HEADER_ALG, &other) || cbor_find(&unprotected, HEADER_CRIT, &other))
                return KCORE_ATTEST_UNSUPPORTED_HEADER;

        s.payload = payload.data;
        s.payload_size = payload.size;
        s.signature = signature.data;
        s.signature_size = signature.size;
        *ret = s;
        return KCORE_ATTEST_OK;
}

static uint8_t *put_bytes(uint8_t *p, const uint8_t *data, size_t size) {
        if (size < 24)
                *p++ = (uint8_t) (0x40 | size);
        else if (size <= UINT8_MAX) {
                *p++ = 0x58;
                *p++ = (uint8_t) size;
        } else {
                *p++ = size <= UINT16_MAX ? 0x59 : 0x5a;
                if (size > UINT16_MAX) {
                        *p++ = (uint8_t) (size >> 24);
                        *p++ = (uint8_t) (size >> 16);
                }
                *p++ = (uint8_t) (size >> 8);
                *p++ = (uint8_t) size;
        }
        return (uint8_t *) memcpy(p, data, size) + size;
}

/* What is signed: ["Signature1", protected, external (empty), payload]. */
enum kcore_attest_error sign1_verify(const struct sign1 *s, const struct kcore_key *key) {
        static const uint8_t context[] = "\x84\x6aSignature1";
        uint8_t *message, *p;
        enum kcore_attest_error e;

        message = malloc(sizeof(context) + 16 + s->protected_size + s->payload_size);
        if (!message)
                return KCORE_ATTEST_NO_MEMORY;
        p = (uint8_t *) memcpy(message, context, sizeof(context) - 1) + sizeof(context) - 1;
        p = put_bytes(p, s->protected, s->protected_size);
        *p++ = 0x40;
        p = put_bytes(p, s->payload, s->payload_size);
        e = key_verify(key, s->algorithm, message, (size_t) (p - message), s->signature, s->signature_size);
        free(message);
        return e;
}
