/* SPDX-License-Identifier: Apache-2.0 */
/* CCA attestation tokens: what the bytes are, and whether platform and realm key vouch for them. */
#include "token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "detail.h"
#include "text.h"

#define TAG_TOKEN 399 /* collection of two byte strings */
#define TAG_CMW 907   /* CMW collection of two records [content format, byte string] */

#define KEY_PLATFORM INT64_C(44234)
#define KEY_REALM INT64_C(44241)
#define CONTENT_FORMAT_EAT_CWT INT64_C(263)

#define PLATFORM "platform token"
#define REALM "realm token"

const uint8_t *kcore_implementation_id(void) {
        static const uint8_t id[32] = {
                0xaf, 0xf9, 0xba, 0x72, 0xd1, 0x63, 0xd4, 0x5a,
                0x18, 0x23, 0xc7, 0x43, 0xa8, 0x96, 0x2a, 0xcd,
                0x81, 0xfe, 0xb0, 0x1d, 0xd6, 0x2d, 0x44, 0xbc,
                0x71, 0x18, 0x79, 0xb3, 0xf1, 0x96, 0xae, 0x25,
        };

        return id;
}

/* ---- Claims --------------------------------------------------------------------------------------------- */

/* What a claim must be. */
struct rule {
        int64_t key;
        const char *name;
        enum item_kind kind;
        size_t min, max; /* bytes, entries, or value; digests: see digest_copy() */
        bool optional;
};

enum {
        P_PROFILE,
        P_CHALLENGE,
        P_IMPLEMENTATION,
        P_INSTANCE,
        P_CONFIGURATION,
        P_LIFECYCLE,
        P_HASH,
        P_SERVICE,
        P_COMPONENTS,
        _P_MAX,
};
static const struct rule platform_rules[_P_MAX] = {
        [P_PROFILE] = { 265, "profile", ITEM_TEXT, 1, KCORE_TEXT_MAX },
        [P_CHALLENGE] = { 10, "challenge", ITEM_BYTES, 32, 64 },
        [P_IMPLEMENTATION] = { 2396, "implementation id", ITEM_BYTES, 32, 32 },
        [P_INSTANCE] = { 256, "instance id", ITEM_BYTES, 33, 33 },
        [P_CONFIGURATION] = { 2401, "configuration", ITEM_BYTES, 0, KCORE_CONFIGURATION_MAX },
        [P_LIFECYCLE] = { 2395, "lifecycle", ITEM_UNSIGNED, 0, UINT16_MAX },
        [P_HASH] = { 2402, "hash algorithm", ITEM_TEXT, 1, KCORE_TEXT_MAX },
        [P_SERVICE] = { 2400, "verification service", ITEM_TEXT, 1, KCORE_TEXT_MAX, true },
        [P_COMPONENTS] = { 2399, "software components", ITEM_ARRAY, 1, KCORE_COMPONENTS_MAX },
};

enum {
        C_TYPE,
        C_MEASUREMENT,
        C_VERSION,
        C_SIGNER,
        C_HASH,
        _C_MAX,
};
static const struct rule component_rules[_C_MAX] = {
        [C_TYPE] = { 1, "type", ITEM_TEXT, 1, KCORE_TEXT_MAX, true },
        [C_MEASUREMENT] = { 2, "measurement", ITEM_BYTES, 32, 64 },
        [C_VERSION] = { 4, "version", ITEM_TEXT, 1, KCORE_TEXT_MAX, true },
        [C_SIGNER] = { 5, "signer id", ITEM_BYTES, 32, 64 },
        [C_HASH] = { 6, "hash algorithm", ITEM_TEXT, 1, KCORE_TEXT_MAX, true },
};

enum {
        R_CHALLENGE,
        R_PERSONALIZATION,
        R_KEY,
        R_HASH,
        R_KEY_HASH,
        R_PROFILE,
        R_RIM,
        R_REMS,
        R_POLICY,
        R_SIGNER,
        _R_MAX,
};
static const struct rule realm_rules[_R_MAX] = {
        [R_CHALLENGE] = { 10, "challenge", ITEM_BYTES, 64, 64 },
        [R_PERSONALIZATION] = { 44235, "personalization value", ITEM_BYTES, 64, 64 },
        [R_KEY] = { 44237, "realm key", ITEM_BYTES, 1, 512 },
        [R_HASH] = { 44236, "hash algorithm", ITEM_TEXT, 1, KCORE_TEXT_MAX },
        [R_KEY_HASH] = { 44240, "key hash algorithm", ITEM_TEXT, 1, KCORE_TEXT_MAX },
        [R_PROFILE] = { 265, "profile", ITEM_TEXT, 1, KCORE_TEXT_MAX, true },
        [R_RIM] = { 44238, "initial measurement", ITEM_BYTES, 32, 64 },
        [R_REMS] = { 44239, "extensible measurements", ITEM_ARRAY, KCORE_REMS, KCORE_REMS },
        [R_POLICY] = { -75100, "launch policy", ITEM_BYTES, KCORE_LAUNCH_POLICY_SIZE, KCORE_LAUNCH_POLICY_SIZE, true },
        [R_SIGNER] = { -75101, "policy signer", ITEM_BYTES, 32, 32, true },
};

/* Looks up and checks the claims of a map. Those that are absent have no span. */
static enum kcore_attest_error claims_read(
                const struct item *map,
                const struct rule *rules,
                size_t n,
                const char *part,
                struct item *ret,
                size_t *ret_unknown,
                struct kcore_attest_detail *detail) {

        size_t found = 0;

        if (map->kind != ITEM_MAP)
                return fail(detail, KCORE_ATTEST_WRONG_TYPE, "%s", part);
        for (size_t i = 0; i < n; i++) {
                const struct rule *r = &rules[i];
                enum kcore_attest_error e = KCORE_ATTEST_OK;
                uint64_t size;

                ret[i] = (struct item) {};
                if (!cbor_find(map, r->key, &ret[i])) {
                        if (!r->optional)
                                return fail_claim(detail, KCORE_ATTEST_MISSING_CLAIM, part, r->key, r->name);
                        continue;
                }
                found++;
                size = r->kind == ITEM_BYTES || r->kind == ITEM_TEXT ? ret[i].size : ret[i].value;
                if (ret[i].kind != r->kind)
                        e = KCORE_ATTEST_WRONG_TYPE;
                else if (size < r->min || size > r->max)
                        e = r->kind == ITEM_UNSIGNED ? KCORE_ATTEST_WRONG_VALUE : KCORE_ATTEST_WRONG_SIZE;
                if (e != KCORE_ATTEST_OK)
                        return fail_claim(detail, e, part, r->key, r->name);
        }
        *ret_unknown = (size_t) map->value - found;
        return KCORE_ATTEST_OK;
}

static bool present(const struct item *item) {
        return item->encoded_size > 0;
}

/* The texts among the claims, each to its place: "" if absent. */
struct text_field {
        size_t claim;
        char *to;
};
static enum kcore_attest_error texts_copy(
                const struct item *items,
                const struct rule *rules,
                const struct text_field *fields,
                size_t n,
                const char *part,
                struct kcore_attest_detail *detail) {

        for (size_t i = 0; i < n; i++) {
                const struct rule *r = &rules[fields[i].claim];
                enum kcore_attest_error e;

                if (!present(&items[fields[i].claim]))
                        continue;
                e = text_copy(&items[fields[i].claim], fields[i].to);
                if (e != KCORE_ATTEST_OK)
                        return fail_claim(detail, e, part, r->key, r->name);
        }
        return KCORE_ATTEST_OK;
}

/* A digest of any of the hashes; of exactly `want` bytes if that is not 0. */
static enum kcore_attest_error digest_copy(const struct item *item, size_t want, struct kcore_digest *ret) {
        if (item->kind != ITEM_BYTES)
                return KCORE_ATTEST_WRONG_TYPE;
        if (want ? item->size != want : item->size != 32 && item->size != 48 && item->size != 64)
                return KCORE_ATTEST_WRONG_SIZE;
        ret->size = item->size;
        memcpy(ret->data, item->data, item->size);
        return KCORE_ATTEST_OK;
}

/* ---- Platform token ------------------------------------------------------------------------------------- */

static enum kcore_attest_error component_parse(
                const struct item *map,
                size_t index,
                const char *default_hash,
                struct kcore_software_component *ret,
                struct kcore_attest_detail *detail) {

        struct item items[_C_MAX];
        const struct text_field texts[] = {
                { C_TYPE, ret->type }, { C_VERSION, ret->version }, { C_HASH, ret->hash },
        };
        enum kcore_attest_error e;
        size_t unknown, size;
        char part[64];

        (void) snprintf(part, sizeof(part), PLATFORM ", software component %zu", index + 1);
        e = claims_read(map, component_rules, _C_MAX, part, items, &unknown, detail);
        if (e != KCORE_ATTEST_OK)
                return e;
        e = texts_copy(items, component_rules, texts, sizeof(texts) / sizeof(texts[0]), part, detail);
        if (e != KCORE_ATTEST_OK)
                return e;
        if (!*ret->hash)
                memcpy(ret->hash, default_hash, sizeof(ret->hash));
        if (!hash_name_to_openssl(ret->hash, &size))
                return fail_claim(detail, KCORE_ATTEST_UNSUPPORTED_HASH, part, component_rules[C_HASH].key,
                                  component_rules[C_HASH].name);
        e = digest_copy(&items[C_MEASUREMENT], size, &ret->measurement);
        if (e != KCORE_ATTEST_OK)
                return fail_claim(detail, e, part, component_rules[C_MEASUREMENT].key, component_rules[C_MEASUREMENT].name);
        e = digest_copy(&items[C_SIGNER], 0, &ret->signer);
        if (e != KCORE_ATTEST_OK)
                return fail_claim(detail, e, part, component_rules[C_SIGNER].key, component_rules[C_SIGNER].name);
        return KCORE_ATTEST_OK;
}

static enum kcore_attest_error platform_parse(
                const struct sign1 *s, struct kcore_platform_claims *p, struct kcore_attest_detail *detail) {

        struct item map, items[_P_MAX];
        const struct text_field texts[] = {
                { P_PROFILE, p->profile }, { P_HASH, p->hash }, { P_SERVICE, p->service },
        };
        enum kcore_attest_error e;
        size_t size;

        e = cbor_check(s->payload, s->payload_size);
        if (e != KCORE_ATTEST_OK)
                return fail(detail, e, PLATFORM);
        cbor_item(s->payload, s->payload_size, &map);
        e = claims_read(&map, platform_rules, _P_MAX, PLATFORM, items, &p->n_unknown, detail);
        if (e != KCORE_ATTEST_OK)
                return e;
        e = texts_copy(items, platform_rules, texts, sizeof(texts) / sizeof(texts[0]), PLATFORM, detail);
        if (e != KCORE_ATTEST_OK)
                return e;

#define FAIL(error, claim) \
        return fail_claim(detail, (error), PLATFORM, platform_rules[claim].key, platform_rules[claim].name)
        if (strcmp(p->profile, KCORE_PROFILE_PLATFORM) != 0 && strcmp(p->profile, KCORE_PROFILE_PLATFORM_LEGACY) != 0)
                FAIL(KCORE_ATTEST_UNSUPPORTED_PROFILE, P_PROFILE);
        if (!hash_name_to_openssl(p->hash, &size))
                FAIL(KCORE_ATTEST_UNSUPPORTED_HASH, P_HASH);
        e = digest_copy(&items[P_CHALLENGE], 0, &p->challenge);
        if (e != KCORE_ATTEST_OK)
                FAIL(e, P_CHALLENGE);
        if (items[P_INSTANCE].data[0] != 0x01)
                FAIL(KCORE_ATTEST_WRONG_VALUE, P_INSTANCE);
#undef FAIL

        memcpy(p->implementation_id, items[P_IMPLEMENTATION].data, sizeof(p->implementation_id));
        memcpy(p->instance_id, items[P_INSTANCE].data, sizeof(p->instance_id));
        memcpy(p->configuration, items[P_CONFIGURATION].data, items[P_CONFIGURATION].size);
        p->configuration_size = items[P_CONFIGURATION].size;
        p->lifecycle = (uint16_t) items[P_LIFECYCLE].value;
        for (; p->n_components < items[P_COMPONENTS].value; p->n_components++) {
                struct item component;

                cbor_entry(&items[P_COMPONENTS], p->n_components, &component);
                e = component_parse(&component, p->n_components, p->hash, &p->components[p->n_components], detail);
                if (e != KCORE_ATTEST_OK)
                        return e;
        }
        return KCORE_ATTEST_OK;
}

/* ---- Realm token ---------------------------------------------------------------------------------------- */

/* With a profile claim a COSE_Key, before that the bare point. */
static enum kcore_attest_error realm_key_parse(struct kcore_token *t, const struct item *claim) {
        enum kcore_attest_error e;
        struct item map;

        t->realm_key_bytes = claim->data;
        t->realm_key_size = claim->size;
        if (!*t->realm.profile)
                return key_from_p384_point(claim->data, claim->size, &t->realm_key);
        e = cbor_check(claim->data, claim->size);
        if (e != KCORE_ATTEST_OK)
                return e;
        cbor_item(claim->data, claim->size, &map);
        return key_from_cose(&map, &t->realm_key);
}

static enum kcore_attest_error realm_parse(struct kcore_token *t, struct kcore_attest_detail *detail) {
        struct kcore_realm_claims *r = &t->realm;
        struct item map, items[_R_MAX];
        const struct text_field texts[] = {
                { R_PROFILE, r->profile }, { R_HASH, r->hash }, { R_KEY_HASH, r->key_hash },
        };
        struct kcore_launch_policy policy;
        enum kcore_attest_error e;
        size_t size, ignored;

        e = cbor_check(t->realm_sign1.payload, t->realm_sign1.payload_size);
        if (e != KCORE_ATTEST_OK)
                return fail(detail, e, REALM);
        cbor_item(t->realm_sign1.payload, t->realm_sign1.payload_size, &map);
        e = claims_read(&map, realm_rules, _R_MAX, REALM, items, &r->n_unknown, detail);
        if (e != KCORE_ATTEST_OK)
                return e;
        e = texts_copy(items, realm_rules, texts, sizeof(texts) / sizeof(texts[0]), REALM, detail);
        if (e != KCORE_ATTEST_OK)
                return e;

#define FAIL(error, claim) \
        return fail_claim(detail, (error), REALM, realm_rules[claim].key, realm_rules[claim].name)
        if (*r->profile && strcmp(r->profile, KCORE_PROFILE_REALM) != 0)
                FAIL(KCORE_ATTEST_UNSUPPORTED_PROFILE, R_PROFILE);
        if (!hash_name_to_openssl(r->hash, &size))
                FAIL(KCORE_ATTEST_UNSUPPORTED_HASH, R_HASH);
        if (!hash_name_to_openssl(r->key_hash, &ignored))
                FAIL(KCORE_ATTEST_UNSUPPORTED_HASH, R_KEY_HASH);
        e = digest_copy(&items[R_RIM], size, &r->rim);
        if (e != KCORE_ATTEST_OK)
                FAIL(e, R_RIM);
        for (size_t i = 0; i < KCORE_REMS; i++) {
                struct item rem;

                cbor_entry(&items[R_REMS], i, &rem);
                e = digest_copy(&rem, size, &r->rem[i]);
                if (e != KCORE_ATTEST_OK)
                        FAIL(e, R_REMS);
        }
        r->has_policy = present(&items[R_POLICY]);
        if (present(&items[R_SIGNER]) != r->has_policy)
                FAIL(KCORE_ATTEST_MISSING_CLAIM, r->has_policy ? R_SIGNER : R_POLICY);
        if (r->has_policy) {
                e = kcore_launch_policy_parse(items[R_POLICY].data, &policy);
                if (e != KCORE_ATTEST_OK)
                        FAIL(e, R_POLICY);
                memcpy(r->policy_bytes, items[R_POLICY].data, sizeof(r->policy_bytes));
                memcpy(r->policy_signer, items[R_SIGNER].data, sizeof(r->policy_signer));
        }
        e = realm_key_parse(t, &items[R_KEY]);
        if (e != KCORE_ATTEST_OK)
                FAIL(e, R_KEY);
#undef FAIL

        memcpy(r->challenge, items[R_CHALLENGE].data, sizeof(r->challenge));
        memcpy(r->personalization, items[R_PERSONALIZATION].data, sizeof(r->personalization));
        return KCORE_ATTEST_OK;
}

/* ---- The token ------------------------------------------------------------------------------------------ */

/* One of the two tokens in a collection: a byte string, or a CMW record with one. */
static enum kcore_attest_error member_parse(
                const struct item *collection, bool cmw, int64_t key, const char *part, struct sign1 *ret,
                struct kcore_attest_detail *detail) {

        struct item bytes, record, format, sign1;
        enum kcore_attest_error e;

        if (!cbor_find(collection, key, &bytes))
                return fail(detail, KCORE_ATTEST_MISSING_CLAIM, "%s", part);
        if (cmw) {
                record = bytes;
                if (record.kind != ITEM_ARRAY || record.value < 2 || record.value > 3)
                        return fail(detail, KCORE_ATTEST_WRONG_TYPE, "%s", part);
                cbor_entry(&record, 0, &format);
                cbor_entry(&record, 1, &bytes);
                if (!item_is_integer(&format, CONTENT_FORMAT_EAT_CWT))
                        return fail(detail, KCORE_ATTEST_WRONG_VALUE, "%s, content format", part);
        }
        if (bytes.kind != ITEM_BYTES)
                return fail(detail, KCORE_ATTEST_WRONG_TYPE, "%s", part);
        e = cbor_check(bytes.data, bytes.size);
        if (e == KCORE_ATTEST_OK) {
                cbor_item(bytes.data, bytes.size, &sign1);
                e = sign1_parse(&sign1, true, ret);
        }
        return e == KCORE_ATTEST_OK ? e : fail(detail, e, "%s, COSE_Sign1", part);
}

static enum kcore_attest_error collection_parse(struct kcore_token *t, struct kcore_attest_detail *detail) {
        enum kcore_attest_error e;
        struct item tag, map;
        bool cmw;

        e = cbor_check(t->data, t->size);
        if (e != KCORE_ATTEST_OK)
                return fail(detail, e, "token");
        cbor_item(t->data, t->size, &tag);
        if (tag.kind != ITEM_TAG || (tag.value != TAG_TOKEN && tag.value != TAG_CMW))
                return fail(detail, KCORE_ATTEST_UNSUPPORTED_TAG, "token");
        cmw = tag.value == TAG_CMW;
        cbor_entry(&tag, 0, &map);
        if (map.kind != ITEM_MAP)
                return fail(detail, KCORE_ATTEST_WRONG_TYPE, "token");
        e = member_parse(&map, cmw, KEY_PLATFORM, PLATFORM, &t->platform_sign1, detail);
        if (e != KCORE_ATTEST_OK)
                return e;
        return member_parse(&map, cmw, KEY_REALM, REALM, &t->realm_sign1, detail);
}

enum kcore_attest_error kcore_token_parse(
                const uint8_t *data, size_t size, struct kcore_token **ret, struct kcore_attest_detail *detail) {

        struct kcore_token *t;
        enum kcore_attest_error e;

        if (size > KCORE_TOKEN_MAX)
                return fail(detail, KCORE_ATTEST_TOO_LARGE, "token");
        t = calloc(1, sizeof(*t));
        if (!t)
                return fail(detail, KCORE_ATTEST_NO_MEMORY, "token");
        t->size = size;
        t->data = malloc(size > 0 ? size : 1);
        if (!t->data) {
                kcore_token_free(t);
                return fail(detail, KCORE_ATTEST_NO_MEMORY, "token");
        }
        if (size > 0)
                memcpy(t->data, data, size);

        e = collection_parse(t, detail);
        if (e == KCORE_ATTEST_OK)
                e = platform_parse(&t->platform_sign1, &t->platform, detail);
        if (e == KCORE_ATTEST_OK)
                e = realm_parse(t, detail);
        if (e != KCORE_ATTEST_OK) {
                kcore_token_free(t);
                return e;
        }
        *ret = t;
        return KCORE_ATTEST_OK;
}

void kcore_token_free(struct kcore_token *token) {
        if (!token)
                return;
        kcore_key_free(token->realm_key);
        free(token->data);
        free(token);
}

const struct kcore_platform_claims *kcore_token_platform(const struct kcore_token *token) {
        return &token->platform;
}

const struct kcore_realm_claims *kcore_token_realm(const struct kcore_token *token) {
        return &token->realm;
}

const struct kcore_key *kcore_token_realm_key(const struct kcore_token *token) {
        return token->realm_key;
}

/* ---- Verification --------------------------------------------------------------------------------------- */

static enum kcore_attest_error binding_check(const struct kcore_token *t) {
        struct kcore_digest digest;
        enum kcore_attest_error e;

        e = hash_bytes(t->realm.key_hash, t->realm_key_bytes, t->realm_key_size, &digest);
        if (e != KCORE_ATTEST_OK)
                return e;
        if (t->platform.challenge.size != digest.size ||
            CRYPTO_memcmp(t->platform.challenge.data, digest.data, digest.size) != 0)
                return KCORE_ATTEST_BAD_BINDING;
        return KCORE_ATTEST_OK;
}

enum kcore_attest_error kcore_token_verify(
                const struct kcore_token *token,
                const struct kcore_key *platform_key,
                struct kcore_attest_detail *detail) {

        enum kcore_attest_error e;

        e = sign1_verify(&token->platform_sign1, platform_key);
        if (e != KCORE_ATTEST_OK)
                return fail(detail, e, PLATFORM ", signature");
        e = binding_check(token);
        if (e != KCORE_ATTEST_OK)
                return fail_claim(detail, e, PLATFORM, platform_rules[P_CHALLENGE].key, platform_rules[P_CHALLENGE].name);
        e = sign1_verify(&token->realm_sign1, token->realm_key);
        if (e != KCORE_ATTEST_OK)
                return fail(detail, e, REALM ", signature");
        return KCORE_ATTEST_OK;
}

const char *kcore_lifecycle_name(uint16_t lifecycle) {
        static const char *const names[] = {
                "unknown",
                "assembly and test",
                "provisioning",
                "secured",
                "platform debug",
                "recoverable platform debug",
                "decommissioned",
        };

        if ((lifecycle & 0x0f00) != 0 || lifecycle >> 12 >= sizeof(names) / sizeof(names[0]))
                return "invalid";
        return names[lifecycle >> 12];
}
