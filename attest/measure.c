/* SPDX-License-Identifier: Apache-2.0 */
/* The realm initial measurement, as hyp/core/measure.c computes it. Offsets are those of DEN0137. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "kcore-attest.h"

#define BLOCK_2M (UINT64_C(2) << 20)

#define DESC_SIZE 0x100
#define DESC_RIM 0x10
#define DESC_BODY 0x50
#define DESC_CONTENT_OF_DATA 0x60

enum desc_type {
        DESC_DATA = 0,
        DESC_REC = 1,
        DESC_RIPAS = 2,
        DESC_POLICY = 0x4B, /* KCore's own */
};

struct kcore_measure {
        const EVP_MD *md; /* not owned */
        size_t size;      /* of the hash */
        unsigned s2sz;
        bool begun; /* a step after REALM_CREATE was measured */
        uint8_t rim[KCORE_MEASUREMENT_MAX];
};

static void put64(uint8_t *p, uint64_t value) {
        value = htole64(value);
        memcpy(p, &value, sizeof(value));
}

static uint64_t get64(const uint8_t *p) {
        uint64_t value;

        memcpy(&value, p, sizeof(value));
        return le64toh(value);
}

static bool all_zero(const uint8_t *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (p[i] != 0)
                        return false;
        return true;
}

/* The hash, then zeroes. */
static enum kcore_attest_error hash(
                const struct kcore_measure *m, const void *data, size_t size, uint8_t ret[KCORE_MEASUREMENT_MAX]) {
        uint8_t digest[KCORE_MEASUREMENT_MAX] = {};

        if (EVP_Digest(data, size, digest, NULL, m->md, NULL) != 1)
                return KCORE_ATTEST_CRYPTO_FAILED;
        memcpy(ret, digest, sizeof(digest));
        return KCORE_ATTEST_OK;
}

/* A descriptor with the present RIM; what it says goes to DESC_BODY on. */
static void desc_begin(const struct kcore_measure *m, enum desc_type type, uint8_t desc[DESC_SIZE]) {
        memset(desc, 0, DESC_SIZE);
        desc[0] = (uint8_t) type;
        put64(desc + 0x08, DESC_SIZE);
        memcpy(desc + DESC_RIM, m->rim, sizeof(m->rim));
}

static enum kcore_attest_error desc_end(struct kcore_measure *m, const uint8_t desc[DESC_SIZE]) {
        m->begun = true;
        return hash(m, desc, DESC_SIZE, m->rim);
}

/* Is [base, top) in granules, not empty, and protected? */
static bool range_ok(const struct kcore_measure *m, uint64_t base, uint64_t top) {
        return base < top && base % KCORE_MEASURE_GRANULE == 0 && top % KCORE_MEASURE_GRANULE == 0 &&
                top <= UINT64_C(1) << (m->s2sz - 1);
}

enum kcore_attest_error kcore_launch_policy_parse(
                const uint8_t policy[KCORE_LAUNCH_POLICY_SIZE], struct kcore_launch_policy *ret) {

        struct kcore_launch_policy p = {
                .flags = get64(policy + 0x010),
                .max_vcpus = get64(policy + 0x018),
                .max_private = get64(policy + 0x020),
                .max_shared = get64(policy + 0x028),
                .min_version = get64(policy + 0x030),
        };

        if (get64(policy) != KCORE_LAUNCH_BLOCK_MAGIC || get64(policy + 0x008) != KCORE_LAUNCH_BLOCK_VERSION)
                return KCORE_ATTEST_BAD_POLICY;
        if ((p.flags & ~(KCORE_LAUNCH_FLAG_DEBUG | KCORE_LAUNCH_FLAG_SNAPSHOTS)) != 0)
                return KCORE_ATTEST_BAD_POLICY;
        if (p.max_vcpus < 1 || p.max_vcpus > KCORE_MEASURE_MAX_VCPUS)
                return KCORE_ATTEST_BAD_POLICY;
        if (!all_zero(policy + 0x058, KCORE_LAUNCH_POLICY_SIZE - 0x058))
                return KCORE_ATTEST_BAD_POLICY;
        memcpy(p.image_id, policy + 0x038, sizeof(p.image_id));
        *ret = p;
        return KCORE_ATTEST_OK;
}

enum kcore_attest_error kcore_measure_new(unsigned s2sz, unsigned hash_algo, struct kcore_measure **ret) {
        uint8_t params[KCORE_MEASURE_GRANULE] = {};
        struct kcore_measure *m;
        enum kcore_attest_error e;

        if (s2sz < 32 || s2sz > 48)
                return KCORE_ATTEST_BAD_WIDTH;
        if (hash_algo != KCORE_MEASURE_SHA256 && hash_algo != KCORE_MEASURE_SHA512)
                return KCORE_ATTEST_BAD_HASH;

        m = calloc(1, sizeof(*m));
        if (!m)
                return KCORE_ATTEST_NO_MEMORY;
        m->md = hash_algo == KCORE_MEASURE_SHA512 ? EVP_sha512() : EVP_sha256();
        m->size = hash_algo == KCORE_MEASURE_SHA512 ? 64 : 32;
        m->s2sz = s2sz;

        /* RmiRealmParams, of which these fields are measured, and flags, SVE and PMU, which are zero. The
         * numbers of breakpoints and watchpoints are in minus-one form. */
        put64(params + 0x008, s2sz);
        put64(params + 0x018, 1);
        put64(params + 0x020, 1);
        params[0x030] = (uint8_t) hash_algo;
        e = hash(m, params, sizeof(params), m->rim);
        if (e != KCORE_ATTEST_OK) {
                free(m);
                return e;
        }
        *ret = m;
        return KCORE_ATTEST_OK;
}

void kcore_measure_free(struct kcore_measure *m) {
        free(m);
}

enum kcore_attest_error kcore_measure_policy(
                struct kcore_measure *m, const uint8_t block[KCORE_LAUNCH_BLOCK_SIZE]) {

        uint8_t page[KCORE_MEASURE_GRANULE] = {}, desc[DESC_SIZE];
        struct kcore_launch_policy policy;
        enum kcore_attest_error e;

        if (m->begun)
                return KCORE_ATTEST_POLICY_LATE;
        e = kcore_launch_policy_parse(block, &policy);
        if (e != KCORE_ATTEST_OK)
                return e;

        desc_begin(m, DESC_POLICY, desc);
        memcpy(page, block, KCORE_LAUNCH_POLICY_SIZE);
        e = hash(m, page, sizeof(page), desc + DESC_BODY);
        if (e != KCORE_ATTEST_OK)
                return e;
        memcpy(desc + 0x90, block + KCORE_LAUNCH_BLOCK_SIGNER, 32);
        return desc_end(m, desc);
}

static uint64_t entry_size(unsigned level) {
        return UINT64_C(1) << (39 - 9 * level);
}

/* The level of the start tables: the lowest that sixteen of them reach. */
static unsigned start_level(unsigned s2sz) {
        return s2sz <= 34 ? 2 : s2sz <= 43 ? 1 : 0;
}

enum kcore_attest_error kcore_measure_init_ripas(struct kcore_measure *m, uint64_t base, uint64_t top) {
        if (!range_ok(m, base, top))
                return KCORE_ATTEST_BAD_ADDRESS;

        while (base < top) {
                unsigned level = start_level(m->s2sz);
                uint8_t desc[DESC_SIZE];
                enum kcore_attest_error e;

                while (base % entry_size(level) != 0 || top - base < entry_size(level))
                        level++;
                desc_begin(m, DESC_RIPAS, desc);
                put64(desc + DESC_BODY, base);
                base += entry_size(level);
                put64(desc + DESC_BODY + 8, base);
                e = desc_end(m, desc);
                if (e != KCORE_ATTEST_OK)
                        return e;
        }
        return KCORE_ATTEST_OK;
}

enum kcore_attest_error kcore_measure_data(struct kcore_measure *m, uint64_t ipa, const uint8_t *page) {
        uint8_t desc[DESC_SIZE];
        enum kcore_attest_error e;

        if (ipa > UINT64_MAX - KCORE_MEASURE_GRANULE || !range_ok(m, ipa, ipa + KCORE_MEASURE_GRANULE))
                return KCORE_ATTEST_BAD_ADDRESS;

        desc_begin(m, DESC_DATA, desc);
        put64(desc + DESC_BODY, ipa);
        if (page) {
                put64(desc + DESC_BODY + 8, 1);
                e = hash(m, page, KCORE_MEASURE_GRANULE, desc + DESC_CONTENT_OF_DATA);
                if (e != KCORE_ATTEST_OK)
                        return e;
        }
        return desc_end(m, desc);
}

enum kcore_attest_error kcore_measure_rec(struct kcore_measure *m, uint64_t pc, const uint64_t gprs[8]) {
        uint8_t params[KCORE_MEASURE_GRANULE] = {}, desc[DESC_SIZE];
        enum kcore_attest_error e;

        put64(params, 1); /* runnable */
        put64(params + 0x200, pc);
        for (size_t i = 0; i < 8; i++)
                put64(params + 0x300 + 8 * i, gprs[i]);
        desc_begin(m, DESC_REC, desc);
        e = hash(m, params, sizeof(params), desc + DESC_BODY);
        if (e != KCORE_ATTEST_OK)
                return e;
        return desc_end(m, desc);
}

void kcore_measure_rim(const struct kcore_measure *m, uint8_t ret[KCORE_MEASUREMENT_MAX], size_t *ret_size) {
        memcpy(ret, m->rim, sizeof(m->rim));
        if (ret_size)
                *ret_size = m->size;
}

/* ---- A whole launch ------------------------------------------------------------------------------------- */

static enum kcore_attest_error segments_check(const struct kcore_measure_launch *l) {
        if (l->n_segments > KCORE_MEASURE_MAX_SEGMENTS)
                return KCORE_ATTEST_BAD_SEGMENT;
        for (size_t i = 0; i < l->n_segments; i++) {
                const struct kcore_measure_segment *s = &l->segments[i];

                /* Is it a whole piece of RAM? No sum here can wrap: RAM itself was checked. */
                if (s->length == 0 || s->ipa % KCORE_MEASURE_GRANULE != 0 || s->ipa < l->ram_base ||
                    s->ipa - l->ram_base >= l->ram_size || s->length > l->ram_size - (s->ipa - l->ram_base) ||
                    (s->measured && !s->data))
                        return KCORE_ATTEST_BAD_SEGMENT;
                for (size_t k = 0; k < i; k++) {
                        const struct kcore_measure_segment *o = &l->segments[k];

                        if (s->ipa < o->ipa + o->length && o->ipa < s->ipa + s->length)
                                return KCORE_ATTEST_SEGMENT_OVERLAP;
                }
        }
        return KCORE_ATTEST_OK;
}

static enum kcore_attest_error measure_segment(struct kcore_measure *m, const struct kcore_measure_segment *s) {
        const uint8_t *data = s->data;

        for (uint64_t at = 0; at < s->length; at += KCORE_MEASURE_GRANULE) {
                uint8_t last[KCORE_MEASURE_GRANULE] = {};
                const uint8_t *page = NULL;
                enum kcore_attest_error e;

                if (s->measured && s->length - at < KCORE_MEASURE_GRANULE)
                        page = memcpy(last, data + at, (size_t) (s->length - at));
                else if (s->measured)
                        page = data + at;
                e = kcore_measure_data(m, s->ipa + at, page);
                if (e != KCORE_ATTEST_OK)
                        return e;
        }
        return KCORE_ATTEST_OK;
}

static enum kcore_attest_error measure_steps(struct kcore_measure *m, const struct kcore_measure_launch *l) {
        enum kcore_attest_error e = KCORE_ATTEST_OK;

        if (l->block)
                e = kcore_measure_policy(m, l->block);
        if (e == KCORE_ATTEST_OK)
                e = kcore_measure_init_ripas(m, l->ram_base, l->ram_base + l->ram_size);
        for (size_t i = 0; e == KCORE_ATTEST_OK && i < l->n_segments; i++)
                e = measure_segment(m, &l->segments[i]);
        if (e == KCORE_ATTEST_OK)
                e = kcore_measure_rec(m, l->entry_pc, l->entry_regs);
        return e;
}

enum kcore_attest_error kcore_measure_launch(
                const struct kcore_measure_launch *launch, uint8_t ret[KCORE_MEASUREMENT_MAX], size_t *ret_size) {

        const uint64_t end_max = UINT64_C(1) << 47;
        unsigned s2sz = launch->s2sz;
        struct kcore_measure *m;
        enum kcore_attest_error e;

        if (launch->ram_base == 0 || launch->ram_base % BLOCK_2M != 0 || launch->ram_size == 0 ||
            launch->ram_size % BLOCK_2M != 0 || launch->ram_base >= end_max ||
            launch->ram_size > end_max - launch->ram_base)
                return KCORE_ATTEST_BAD_RAM;
        if (s2sz == 0)
                for (s2sz = 33; launch->ram_base + launch->ram_size > UINT64_C(1) << (s2sz - 1);)
                        s2sz++;
        if (s2sz < 32 || s2sz > 48)
                return KCORE_ATTEST_BAD_WIDTH;
        if (launch->ram_base + launch->ram_size > UINT64_C(1) << (s2sz - 1))
                return KCORE_ATTEST_BAD_RAM;
        if (launch->vcpus < 1 || launch->vcpus > KCORE_MEASURE_MAX_VCPUS)
                return KCORE_ATTEST_BAD_VCPUS;
        if (launch->entry_pc < launch->ram_base || launch->entry_pc - launch->ram_base >= launch->ram_size)
                return KCORE_ATTEST_BAD_ENTRY;
        e = segments_check(launch);
        if (e != KCORE_ATTEST_OK)
                return e;

        e = kcore_measure_new(s2sz, launch->hash, &m);
        if (e != KCORE_ATTEST_OK)
                return e;
        e = measure_steps(m, launch);
        if (e == KCORE_ATTEST_OK)
                kcore_measure_rim(m, ret, ret_size);
        kcore_measure_free(m);
        return e;
}
