/* SPDX-License-Identifier: Apache-2.0 */
/* Identity documents: { 1: DICE chain, 2: certificate of the platform key, 3: of the sealing key, 4: lifecycle }.
 * The chain is that of the Open Profile for DICE: a COSE_Key (UDS), then COSE_Sign1 entries, each signed by the
 * subject of the one before; both certificates are signed by the last subject, KCore's DICE key. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detail.h"
#include "sign1.h"
#include "text.h"

#define ENTRIES_MAX 16

#define DOCUMENT_CHAIN INT64_C(1)
#define DOCUMENT_PLATFORM INT64_C(2)
#define DOCUMENT_SEALING INT64_C(3)
#define DOCUMENT_LIFECYCLE INT64_C(4)

#define CWT_ISSUER INT64_C(1)
#define CWT_SUBJECT INT64_C(2)
#define DICE_CODE_HASH INT64_C(-4670545)
#define DICE_CONFIGURATION INT64_C(-4670548)
#define DICE_MODE INT64_C(-4670551)
#define DICE_SUBJECT_KEY INT64_C(-4670552)
#define DICE_KEY_USAGE INT64_C(-4670553)
#define CONFIGURATION_NAME INT64_C(-70002)

/* Bits of the key usage extension of X.509, from the lowest on. */
#define USAGE_SIGNATURE 0x01
#define USAGE_AGREEMENT 0x10
#define USAGE_CERTIFICATE 0x20

#define MODE_NORMAL 1

/* Of Arm's states those that a KCore has, docs/abi.md */
#define LIFECYCLE_UNKNOWN 0x0000
#define LIFECYCLE_SECURED 0x3000
#define LIFECYCLE_DEBUG 0x4000

struct certificate {
        struct sign1 sign1;
        char issuer[KCORE_TEXT_MAX + 1], subject[KCORE_TEXT_MAX + 1];
        struct kcore_key *key;
        uint8_t usage;
        bool normal;
};

struct kcore_identity {
        uint8_t *data;
        struct kcore_key *root;
        size_t n_entries;
        struct certificate entries[ENTRIES_MAX];
        struct certificate platform, sealing;
        struct kcore_identity_claims claims;
};

/* ---- Certificates --------------------------------------------------------------------------------------- */

struct place {
        char part[56];
        struct kcore_attest_detail *detail;
};

/* A claim that must be there, of this type. */
static enum kcore_attest_error need(
                const struct place *at, const struct item *map, int64_t key, const char *name, enum item_kind kind,
                struct item *ret) {

        if (!cbor_find(map, key, ret))
                return fail_claim(at->detail, KCORE_ATTEST_MISSING_CLAIM, at->part, key, name);
        if (ret->kind != kind)
                return fail_claim(at->detail, KCORE_ATTEST_WRONG_TYPE, at->part, key, name);
        return KCORE_ATTEST_OK;
}

static enum kcore_attest_error need_text(
                const struct place *at, const struct item *map, int64_t key, const char *name, char ret[KCORE_TEXT_MAX + 1]) {

        enum kcore_attest_error e;
        struct item item;

        e = need(at, map, key, name, ITEM_TEXT, &item);
        if (e != KCORE_ATTEST_OK)
                return e;
        e = text_copy(&item, ret);
        return e == KCORE_ATTEST_OK ? e : fail_claim(at->detail, e, at->part, key, name);
}

static enum kcore_attest_error need_byte(
                const struct place *at, const struct item *map, int64_t key, const char *name, uint8_t *ret) {

        enum kcore_attest_error e;
        struct item item;

        e = need(at, map, key, name, ITEM_BYTES, &item);
        if (e != KCORE_ATTEST_OK)
                return e;
        if (item.size != 1)
                return fail_claim(at->detail, KCORE_ATTEST_WRONG_SIZE, at->part, key, name);
        *ret = item.data[0];
        return KCORE_ATTEST_OK;
}

/* What all certificates have; *ret_map: the other claims. */
static enum kcore_attest_error certificate_parse(
                const struct place *at, const struct item *item, enum kcore_key_type type, struct certificate *ret,
                struct item *ret_map) {

        enum kcore_attest_error e;
        struct item key, key_map;

        e = sign1_parse(item, false, &ret->sign1);
        if (e == KCORE_ATTEST_OK)
                e = cbor_check(ret->sign1.payload, ret->sign1.payload_size);
        if (e != KCORE_ATTEST_OK)
                return fail(at->detail, e, "%s, COSE_Sign1", at->part);
        cbor_item(ret->sign1.payload, ret->sign1.payload_size, ret_map);

        e = need_text(at, ret_map, CWT_ISSUER, "issuer", ret->issuer);
        if (e == KCORE_ATTEST_OK)
                e = need_text(at, ret_map, CWT_SUBJECT, "subject", ret->subject);
        if (e == KCORE_ATTEST_OK)
                e = need_byte(at, ret_map, DICE_KEY_USAGE, "key usage", &ret->usage);
        if (e == KCORE_ATTEST_OK)
                e = need(at, ret_map, DICE_SUBJECT_KEY, "subject's key", ITEM_BYTES, &key);
        if (e != KCORE_ATTEST_OK)
                return e;

        e = cbor_check(key.data, key.size);
        if (e == KCORE_ATTEST_OK) {
                cbor_item(key.data, key.size, &key_map);
                e = key_from_cose(&key_map, &ret->key);
        }
        if (e == KCORE_ATTEST_OK && kcore_key_type(ret->key) != type)
                e = KCORE_ATTEST_BAD_KEY;
        if (e != KCORE_ATTEST_OK)
                return fail_claim(at->detail, e, at->part, DICE_SUBJECT_KEY, "subject's key");
        return KCORE_ATTEST_OK;
}

/* An entry of the chain says what was started, and how, too. */
static enum kcore_attest_error entry_parse(struct kcore_identity *id, const struct place *at, const struct item *item) {
        struct certificate *c = &id->entries[id->n_entries];
        struct item map, hash, descriptor, configuration, name;
        enum kcore_attest_error e;
        uint8_t mode;

        id->n_entries++; /* from here on its key is freed with the others */
        e = certificate_parse(at, item, KCORE_KEY_ED25519, c, &map);
        if (e == KCORE_ATTEST_OK)
                e = need_byte(at, &map, DICE_MODE, "mode", &mode);
        if (e == KCORE_ATTEST_OK)
                e = need(at, &map, DICE_CODE_HASH, "code hash", ITEM_BYTES, &hash);
        if (e != KCORE_ATTEST_OK)
                return e;
        c->normal = mode == MODE_NORMAL;
        if (hash.size != sizeof(id->claims.code_hash))
                return fail_claim(at->detail, KCORE_ATTEST_WRONG_SIZE, at->part, DICE_CODE_HASH, "code hash");
        memcpy(id->claims.code_hash, hash.data, hash.size);

        id->claims.component[0] = 0;
        if (!cbor_find(&map, DICE_CONFIGURATION, &descriptor))
                return KCORE_ATTEST_OK;
        e = descriptor.kind == ITEM_BYTES ? cbor_check(descriptor.data, descriptor.size) : KCORE_ATTEST_WRONG_TYPE;
        if (e == KCORE_ATTEST_OK) {
                cbor_item(descriptor.data, descriptor.size, &configuration);
                if (cbor_find(&configuration, CONFIGURATION_NAME, &name))
                        e = text_copy(&name, id->claims.component);
        }
        if (e != KCORE_ATTEST_OK)
                return fail_claim(at->detail, e, at->part, DICE_CONFIGURATION, "configuration");
        return KCORE_ATTEST_OK;
}

/* ---- The document --------------------------------------------------------------------------------------- */

static enum kcore_attest_error chain_parse(
                struct kcore_identity *id, const struct item *chain, struct kcore_attest_detail *detail) {

        struct place at = { "identity, chain", detail };
        enum kcore_attest_error e;
        struct kcore_digest root;
        struct item item;

        if (chain->kind != ITEM_ARRAY)
                return fail_claim(detail, KCORE_ATTEST_WRONG_TYPE, "identity", DOCUMENT_CHAIN, "chain");
        if (chain->value == 0)
                return KCORE_ATTEST_OK;
        /* A root that certifies nothing is no chain. */
        if (chain->value < 2)
                return fail_claim(detail, KCORE_ATTEST_WRONG_SIZE, "identity", DOCUMENT_CHAIN, "chain");
        if (chain->value - 1 > ENTRIES_MAX)
                return fail_claim(detail, KCORE_ATTEST_TOO_MANY, "identity", DOCUMENT_CHAIN, "chain");

        cbor_entry(chain, 0, &item);
        e = key_from_cose(&item, &id->root);
        if (e == KCORE_ATTEST_OK && kcore_key_type(id->root) != KCORE_KEY_ED25519)
                e = KCORE_ATTEST_BAD_KEY;
        if (e == KCORE_ATTEST_OK)
                e = hash_bytes("sha-256", item.encoded, item.encoded_size, &root);
        if (e != KCORE_ATTEST_OK)
                return fail(detail, e, "%s, root", at.part);
        memcpy(id->claims.root, root.data, sizeof(id->claims.root));

        for (uint64_t i = 1; i < chain->value; i++) {
                (void) snprintf(at.part, sizeof(at.part), "identity, chain, certificate %" PRIu64, i);
                cbor_entry(chain, i, &item);
                e = entry_parse(id, &at, &item);
                if (e != KCORE_ATTEST_OK)
                        return e;
        }
        id->claims.n_entries = id->n_entries;
        return KCORE_ATTEST_OK;
}

/* What follows from the chain, which is signed. */
static uint16_t chain_lifecycle(const struct kcore_identity *id) {
        for (size_t i = 0; i < id->n_entries; i++)
                if (!id->entries[i].normal)
                        return LIFECYCLE_DEBUG;
        return id->n_entries > 0 ? LIFECYCLE_SECURED : LIFECYCLE_UNKNOWN;
}

static enum kcore_attest_error document_parse(
                struct kcore_identity *id, size_t size, struct kcore_attest_detail *detail) {

        struct place at = { "identity", detail };
        struct item map, chain, platform, sealing, lifecycle, ignored;
        struct kcore_digest digest;
        enum kcore_attest_error e;

        e = cbor_check(id->data, size);
        if (e != KCORE_ATTEST_OK)
                return fail(detail, e, "identity");
        cbor_item(id->data, size, &map);
        if (map.kind != ITEM_MAP)
                return fail(detail, KCORE_ATTEST_WRONG_TYPE, "identity");

        e = need(&at, &map, DOCUMENT_LIFECYCLE, "lifecycle", ITEM_UNSIGNED, &lifecycle);
        if (e == KCORE_ATTEST_OK)
                e = need(&at, &map, DOCUMENT_CHAIN, "chain", ITEM_ARRAY, &chain);
        if (e == KCORE_ATTEST_OK)
                e = chain_parse(id, &chain, detail);
        if (e != KCORE_ATTEST_OK)
                return e;
        /* Nobody signed it, so it is no more than a copy. */
        id->claims.lifecycle = chain_lifecycle(id);
        if (lifecycle.value != id->claims.lifecycle)
                return fail_claim(detail, KCORE_ATTEST_WRONG_VALUE, at.part, DOCUMENT_LIFECYCLE, "lifecycle");

        if (!cbor_find(&map, DOCUMENT_PLATFORM, &platform))
                return fail_claim(detail, KCORE_ATTEST_MISSING_CLAIM, at.part, DOCUMENT_PLATFORM, "platform key");
        if (!cbor_find(&map, DOCUMENT_SEALING, &sealing))
                return fail_claim(detail, KCORE_ATTEST_MISSING_CLAIM, at.part, DOCUMENT_SEALING, "sealing key");
        (void) snprintf(at.part, sizeof(at.part), "identity, platform key");
        e = certificate_parse(&at, &platform, KCORE_KEY_P384, &id->platform, &ignored);
        if (e != KCORE_ATTEST_OK)
                return e;
        (void) snprintf(at.part, sizeof(at.part), "identity, sealing key");
        e = certificate_parse(&at, &sealing, KCORE_KEY_X25519, &id->sealing, &ignored);
        if (e != KCORE_ATTEST_OK)
                return e;

        e = key_raw(id->sealing.key, id->claims.sealing_key);
        if (e == KCORE_ATTEST_OK)
                e = hash_bytes("sha-256", id->claims.sealing_key, sizeof(id->claims.sealing_key), &digest);
        if (e != KCORE_ATTEST_OK)
                return fail(detail, e, "%s", at.part);
        memcpy(id->claims.sealing_key_hash, digest.data, sizeof(id->claims.sealing_key_hash));
        return KCORE_ATTEST_OK;
}

enum kcore_attest_error kcore_identity_parse(
                const uint8_t *data, size_t size, struct kcore_identity **ret, struct kcore_attest_detail *detail) {

        struct kcore_identity *id;
        enum kcore_attest_error e;

        if (size > KCORE_IDENTITY_MAX)
                return fail(detail, KCORE_ATTEST_TOO_LARGE, "identity");
        id = calloc(1, sizeof(*id));
        if (!id)
                return fail(detail, KCORE_ATTEST_NO_MEMORY, "identity");
        id->data = malloc(size > 0 ? size : 1);
        if (!id->data) {
                kcore_identity_free(id);
                return fail(detail, KCORE_ATTEST_NO_MEMORY, "identity");
        }
        if (size > 0)
                memcpy(id->data, data, size);
        e = document_parse(id, size, detail);
        if (e != KCORE_ATTEST_OK) {
                kcore_identity_free(id);
                return e;
        }
        *ret = id;
        return KCORE_ATTEST_OK;
}

void kcore_identity_free(struct kcore_identity *id) {
        if (!id)
                return;
        kcore_key_free(id->root);
        for (size_t i = 0; i < id->n_entries; i++)
                kcore_key_free(id->entries[i].key);
        kcore_key_free(id->platform.key);
        kcore_key_free(id->sealing.key);
        free(id->data);
        free(id);
}

const struct kcore_identity_claims *kcore_identity_claims(const struct kcore_identity *id) {
        return &id->claims;
}

const struct kcore_key *kcore_identity_platform_key(const struct kcore_identity *id) {
        return id->platform.key;
}

/* ---- Verification --------------------------------------------------------------------------------------- */

static enum kcore_attest_error certificate_verify(
                const struct certificate *c, const struct kcore_key *issuer_key, const char *issuer, uint8_t usage) {

        enum kcore_attest_error e;

        e = sign1_verify(&c->sign1, issuer_key);
        if (e != KCORE_ATTEST_OK)
                return e;
        /* The root has a key but no name. */
        if (issuer && strcmp(c->issuer, issuer) != 0)
                return KCORE_ATTEST_BAD_ISSUER;
        return (c->usage & usage) != 0 ? KCORE_ATTEST_OK : KCORE_ATTEST_BAD_USAGE;
}

enum kcore_attest_error kcore_identity_verify(
                const struct kcore_identity *id, struct kcore_attest_detail *detail) {

        const struct kcore_key *key = id->root;
        const char *name = NULL;
        enum kcore_attest_error e;

        if (id->n_entries == 0)
                return fail(detail, KCORE_ATTEST_NO_CHAIN, "identity");
        for (size_t i = 0; i < id->n_entries; i++) {
                const struct certificate *c = &id->entries[i];

                e = certificate_verify(c, key, name, USAGE_CERTIFICATE);
                if (e == KCORE_ATTEST_OK && !c->normal)
                        e = KCORE_ATTEST_NOT_NORMAL;
                if (e != KCORE_ATTEST_OK)
                        return fail(detail, e, "identity, chain, certificate %zu", i + 1);
                key = c->key;
                name = c->subject;
        }
        e = certificate_verify(&id->platform, key, name, USAGE_SIGNATURE);
        if (e != KCORE_ATTEST_OK)
                return fail(detail, e, "identity, platform key");
        e = certificate_verify(&id->sealing, key, name, USAGE_AGREEMENT);
        if (e != KCORE_ATTEST_OK)
                return fail(detail, e, "identity, sealing key");
        return KCORE_ATTEST_OK;
}
