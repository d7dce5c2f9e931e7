/* SPDX-License-Identifier: Apache-2.0 */
#include "kci.h"

#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>

#include "../kvm-patches/uapi/kcore.h"
#include "../libkcore/layout.h"
#include "cbor-cursor.h"

/* Keys of the header. */
enum { HEADER_MANIFEST = 1, HEADER_BLOCK = 2, HEADER_SEALED = 3 };
enum { SEALED_RECIPIENTS = 1 };

/* Keys of the manifest. */
enum {
        MANIFEST_NAME = 1,
        MANIFEST_ID = 2,
        MANIFEST_VCPUS = 3,
        MANIFEST_MEMORY = 4,
        MANIFEST_S2SZ = 5,
        MANIFEST_HASH = 6,
        MANIFEST_ENTRY = 7,
        MANIFEST_X0 = 8,
        MANIFEST_POLICY = 9,
        MANIFEST_SEGMENTS = 10,
        MANIFEST_RIM = 11,
};
enum { POLICY_FLAGS = 1, POLICY_VCPUS = 2, POLICY_PRIVATE = 3, POLICY_SHARED = 4, POLICY_VERSION = 5 };
enum { SEGMENT_KIND = 1, SEGMENT_IPA = 2, SEGMENT_LENGTH = 3, SEGMENT_DIGEST = 4 };

#define COSE_SIGN1_TAG 18

/* The protected header of a signature: {1: -8}, EdDSA. Of an unsigned image it is empty. */
static const uint8_t protected_header[] = { 0xA1, 0x01, 0x27 };

/* Offsets in the launch block. */
enum {
        BLOCK_MAGIC = 0x00,
        BLOCK_VERSION = 0x08,
        BLOCK_FLAGS = 0x10,
        BLOCK_VCPUS = 0x18,
        BLOCK_PRIVATE = 0x20,
        BLOCK_SHARED = 0x28,
        BLOCK_MIN_VERSION = 0x30,
        BLOCK_ID = 0x38,
        BLOCK_ZERO = 0x58,
        BLOCK_RIM = 0x90,
        BLOCK_SIGNER = 0xD0,
        BLOCK_SIGNATURE = 0xF0,
};

const char *kci_code_to_string(KciCode code) {
        static const char *const table[_KCI_ERROR_MAX] = {
                [KCI_ERROR_NONE] = "none",           [KCI_ERROR_IO] = "io",
                [KCI_ERROR_FILE] = "file",           [KCI_ERROR_VERSION] = "version",
                [KCI_ERROR_SIZE] = "size",           [KCI_ERROR_PADDING] = "padding",
                [KCI_ERROR_CBOR] = "cbor",           [KCI_ERROR_CANONICAL] = "canonical",
                [KCI_ERROR_DUPLICATE] = "duplicate", [KCI_ERROR_TYPE] = "type",
                [KCI_ERROR_FIELD] = "field",         [KCI_ERROR_VALUE] = "value",
                [KCI_ERROR_SEGMENT] = "segment",     [KCI_ERROR_BLOCK] = "block",
                [KCI_ERROR_SIGNATURE] = "signature", [KCI_ERROR_DIGEST] = "digest",
                [KCI_ERROR_MEASUREMENT] = "measurement", [KCI_ERROR_STATE] = "state",
                [KCI_ERROR_KEY] = "key",             [KCI_ERROR_INPUT] = "input",
                [KCI_ERROR_CRYPTO] = "crypto",
        };

        return code >= 0 && code < _KCI_ERROR_MAX ? table[code] : NULL;
}

int kci_fail(struct kci_error *e, KciCode code, const char *format, ...) {
        va_list ap;

        if (e) {
                e->code = code;
                va_start(ap, format);
                (void) vsnprintf(e->message, sizeof(e->message), format, ap);
                va_end(ap);
        }
        return -EBADMSG;
}

int kci_fail_errno(struct kci_error *e, int error, const char *what) {
        (void) kci_fail(e, KCI_ERROR_IO, "%s: %s", what, strerror(-error));
        return error;
}

const char *kci_kind_to_string(KciKind kind) {
        static const char *const table[_KCI_KIND_MAX] = {
                [KCI_KERNEL] = "kernel",
                [KCI_INITRD] = "initrd",
                [KCI_DTB] = "device tree",
        };

        return kind > 0 && kind < _KCI_KIND_MAX ? table[kind] : NULL;
}

static bool all_zero(const uint8_t *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (p[i] != 0)
                        return false;
        return true;
}

/* --- the launch block --- */

static void put64(uint8_t *p, uint64_t v) {
        v = htole64(v);
        memcpy(p, &v, sizeof(v));
}

void kci_block_encode(const struct kci_image *i, uint8_t ret[static KCI_BLOCK_SIZE]) {
        memset(ret, 0, KCI_BLOCK_SIZE);
        put64(ret + BLOCK_MAGIC, KCI_BLOCK_MAGIC);
        put64(ret + BLOCK_VERSION, KCI_BLOCK_VERSION);
        put64(ret + BLOCK_FLAGS, i->policy.flags);
        put64(ret + BLOCK_VCPUS, i->policy.max_vcpus);
        put64(ret + BLOCK_PRIVATE, i->policy.max_private);
        put64(ret + BLOCK_SHARED, i->policy.max_shared);
        put64(ret + BLOCK_MIN_VERSION, i->policy.min_version);
        memcpy(ret + BLOCK_ID, i->id, sizeof(i->id));
        memcpy(ret + BLOCK_RIM, i->rim, sizeof(i->rim));
        memcpy(ret + BLOCK_SIGNER, i->signer, sizeof(i->signer));
        memcpy(ret + BLOCK_SIGNATURE, i->block_signature, sizeof(i->block_signature));
}

/* Takes what only the block has, and compares the rest with the manifest. */
static int parse_block(const uint8_t *block, struct kci_image *i, struct kci_error *e) {
        static const struct {
                size_t offset, end;
                const char *name;
        } fields[] = {
                { BLOCK_MAGIC, BLOCK_VERSION, "magic number" },
                { BLOCK_VERSION, BLOCK_FLAGS, "version" },
                { BLOCK_FLAGS, BLOCK_VCPUS, "flags" },
                { BLOCK_VCPUS, BLOCK_PRIVATE, "limit of vCPUs" },
                { BLOCK_PRIVATE, BLOCK_SHARED, "limit of private memory" },
                { BLOCK_SHARED, BLOCK_MIN_VERSION, "limit of shared memory" },
                { BLOCK_MIN_VERSION, BLOCK_ID, "minimum version" },
                { BLOCK_ID, BLOCK_ZERO, "image id" },
                { BLOCK_ZERO, BLOCK_RIM, "reserved part" },
                { BLOCK_RIM, BLOCK_SIGNER, "expected measurement" },
        };
        uint8_t expected[KCI_BLOCK_SIZE];

        memcpy(i->signer, block + BLOCK_SIGNER, sizeof(i->signer));
        memcpy(i->block_signature, block + BLOCK_SIGNATURE, sizeof(i->block_signature));
        kci_block_encode(i, expected);
        for (size_t k = 0; k < ELEMENTSOF(fields); k++)
                if (memcmp(block + fields[k].offset, expected + fields[k].offset, fields[k].end - fields[k].offset) != 0)
                        return kci_fail(e, KCI_ERROR_BLOCK, "launch block: its %s is not what the manifest says", fields[k].name);
        if (!i->is_signed && !all_zero(block + BLOCK_SIGNER, KCI_BLOCK_SIZE - BLOCK_SIGNER))
                return kci_fail(e, KCI_ERROR_BLOCK, "launch block: it has a signer, but the manifest is not signed");
        if (i->is_signed && all_zero(i->signer, sizeof(i->signer)))
                return kci_fail(e, KCI_ERROR_BLOCK, "launch block: it has no signer, but the manifest is signed");
        return 0;
}

/* --- values --- */

static int check_segments(const struct kci_image *i, struct kci_error *e) {
        const struct kci_segment *seen[_KCI_KIND_MAX] = {};
        uint64_t ram_end = VIRT_RAM_BASE + i->memory, end = VIRT_RAM_BASE;

        for (size_t k = 0; k < i->n_segments; k++) {
                const struct kci_segment *s = &i->segments[k];

                if (!kci_kind_to_string(s->kind))
                        return kci_fail(e, KCI_ERROR_VALUE, "segment %zu: unknown kind %u", k + 1, (unsigned) s->kind);
                if (seen[s->kind])
                        return kci_fail(e, KCI_ERROR_SEGMENT, "segment %zu: a second %s", k + 1, kci_kind_to_string(s->kind));
                seen[s->kind] = s;
                if (s->ipa % KCI_PAGE != 0)
                        return kci_fail(e, KCI_ERROR_SEGMENT, "segment %zu: its address is not a multiple of 4 KiB", k + 1);
                if (s->length == 0)
                        return kci_fail(e, KCI_ERROR_SEGMENT, "segment %zu: it is empty", k + 1);
                if (s->ipa < VIRT_RAM_BASE || s->ipa > ram_end || s->length > ram_end - s->ipa)
                        return kci_fail(e, KCI_ERROR_SEGMENT, "segment %zu: it is not inside the guest's memory", k + 1);
                if (s->ipa < end)
                        return kci_fail(
                                        e, KCI_ERROR_SEGMENT, "segment %zu: it overlaps the segment before it, or is not behind it", k + 1);
                end = ALIGN_TO(s->ipa + s->length, KCI_PAGE);
        }
        if (!seen[KCI_KERNEL] || !seen[KCI_DTB])
                return kci_fail(e, KCI_ERROR_SEGMENT, "there is no %s", seen[KCI_KERNEL] ? "device tree" : "kernel");
        if (i->entry % 4 != 0 || i->entry < seen[KCI_KERNEL]->ipa || i->entry - seen[KCI_KERNEL]->ipa >= seen[KCI_KERNEL]->length)
                return kci_fail(e, KCI_ERROR_VALUE, "the entry point is not an instruction of the kernel");
        if (i->x0 != seen[KCI_DTB]->ipa)
                return kci_fail(e, KCI_ERROR_VALUE, "x0 is not the address of the device tree");
        return 0;
}

static int check_policy(const struct kci_image *i, struct kci_error *e) {
        const struct kci_policy *p = &i->policy;

        if (p->flags & ~KCI_POLICY_FLAGS)
                return kci_fail(e, KCI_ERROR_VALUE, "policy: unknown flags 0x%" PRIx64, p->flags & ~KCI_POLICY_FLAGS);
        if (p->max_vcpus < i->vcpus || p->max_vcpus > KCORE_MAX_VCPUS)
                return kci_fail(
                                e, KCI_ERROR_VALUE, "policy: the limit of vCPUs is %" PRIu64 ", it must be from %" PRIu32 " to %d",
                                p->max_vcpus, i->vcpus, KCORE_MAX_VCPUS);
        if (p->max_private < i->memory / KCI_PAGE)
                return kci_fail(e, KCI_ERROR_VALUE, "policy: the limit of private memory is smaller than the guest's memory");
        if (p->min_version > UINT32_MAX)
                return kci_fail(e, KCI_ERROR_VALUE, "policy: the minimum version is out of range");
        return 0;
}

int kci_image_check(const struct kci_image *i, struct kci_error *e) {
        struct guest_layout layout;
        int r;

        if (isempty(i->name))
                return kci_fail(e, KCI_ERROR_VALUE, "an image needs a name");
        if (strnlen(i->name, sizeof(i->name)) > KCI_NAME_MAX)
                return kci_fail(e, KCI_ERROR_VALUE, "the name is longer than %d characters", KCI_NAME_MAX);
        for (const char *p = i->name; *p; p++)
                if (*p < ' ' || *p > '~')
                        return kci_fail(e, KCI_ERROR_VALUE, "the name must be printable ASCII characters");
        if (i->vcpus < 1 || i->vcpus > GUEST_VCPUS_MAX)
                return kci_fail(e, KCI_ERROR_VALUE, "the number of vCPUs must be from 1 to %d", GUEST_VCPUS_MAX);
        if (guest_layout_memory(i->memory, &layout) < 0)
                return kci_fail(
                                e, KCI_ERROR_VALUE, "memory must be a multiple of 2M, from %" PRIu64 "M to %" PRIu64 "G",
                                (uint64_t) (GUEST_MEMORY_MIN / MIB), (uint64_t) (GUEST_MEMORY_MAX / GIB));
        if (i->s2sz != layout.s2sz)
                return kci_fail(e, KCI_ERROR_VALUE, "the width of addresses is %" PRIu32 ", for this memory it must be %u", i->s2sz, layout.s2sz);
        if (i->hash_algo != KCORE_HASH_SHA256 && i->hash_algo != KCORE_HASH_SHA512)
                return kci_fail(e, KCI_ERROR_VALUE, "unknown hash algorithm %" PRIu32, i->hash_algo);
        r = check_policy(i, e);
        if (r < 0)
                return r;
        r = check_segments(i, e);
        if (r < 0)
                return r;
        if (i->is_signed && all_zero(i->rim, sizeof(i->rim)))
                return kci_fail(e, KCI_ERROR_VALUE, "the expected measurement of a signed image must not be zero");
        if (i->hash_algo == KCORE_HASH_SHA256 && !all_zero(i->rim + 32, 32))
                return kci_fail(e, KCI_ERROR_VALUE, "the expected measurement is longer than SHA-256");
        if (kci_is_sealed(i) && !i->is_signed)
                return kci_fail(e, KCI_ERROR_STATE, "the image is sealed, but not signed");
        return 0;
}

/* Where the segments are in the file, and how long it is. Values are checked: nothing here can wrap. */
static void place(struct kci_image *i, size_t header_size) {
        uint64_t at = ALIGN_TO((uint64_t) header_size, KCI_PAGE);

        i->data = at;
        for (size_t k = 0; k < i->n_segments; k++) {
                struct kci_segment *s = &i->segments[k];

                s->pages = (s->length + KCI_PAGE - 1) / KCI_PAGE;
                s->offset = at;
                at += s->pages * KCI_PAGE;
                s->tags = 0;
                if (kci_is_sealed(i)) {
                        s->tags = at;
                        at += ALIGN_TO(s->pages * KCI_TAG_SIZE, KCI_PAGE);
                }
        }
        i->size = at;
}

/* --- manifest --- */

int kci_manifest_encode(const struct kci_image *i, uint8_t buf[static KCI_MANIFEST_MAX], size_t *ret_size) {
        struct cbor_buffer b = { .data = buf, .size = KCI_MANIFEST_MAX };

        cbor_put_map(&b, i->is_signed ? 11 : 10);
        cbor_put_unsigned(&b, MANIFEST_NAME);
        cbor_put_text(&b, i->name);
        cbor_put_unsigned(&b, MANIFEST_ID);
        cbor_put_bytes(&b, i->id, sizeof(i->id));
        cbor_put_unsigned(&b, MANIFEST_VCPUS);
        cbor_put_unsigned(&b, i->vcpus);
        cbor_put_unsigned(&b, MANIFEST_MEMORY);
        cbor_put_unsigned(&b, i->memory);
        cbor_put_unsigned(&b, MANIFEST_S2SZ);
        cbor_put_unsigned(&b, i->s2sz);
        cbor_put_unsigned(&b, MANIFEST_HASH);
        cbor_put_unsigned(&b, i->hash_algo);
        cbor_put_unsigned(&b, MANIFEST_ENTRY);
        cbor_put_unsigned(&b, i->entry);
        cbor_put_unsigned(&b, MANIFEST_X0);
        cbor_put_unsigned(&b, i->x0);

        cbor_put_unsigned(&b, MANIFEST_POLICY);
        cbor_put_map(&b, 5);
        cbor_put_unsigned(&b, POLICY_FLAGS);
        cbor_put_unsigned(&b, i->policy.flags);
        cbor_put_unsigned(&b, POLICY_VCPUS);
        cbor_put_unsigned(&b, i->policy.max_vcpus);
        cbor_put_unsigned(&b, POLICY_PRIVATE);
        cbor_put_unsigned(&b, i->policy.max_private);
        cbor_put_unsigned(&b, POLICY_SHARED);
        cbor_put_unsigned(&b, i->policy.max_shared);
        cbor_put_unsigned(&b, POLICY_VERSION);
        cbor_put_unsigned(&b, i->policy.min_version);

        cbor_put_unsigned(&b, MANIFEST_SEGMENTS);
        cbor_put_array(&b, i->n_segments);
        for (size_t k = 0; k < i->n_segments; k++) {
                cbor_put_map(&b, 4);
                cbor_put_unsigned(&b, SEGMENT_KIND);
                cbor_put_unsigned(&b, i->segments[k].kind);
                cbor_put_unsigned(&b, SEGMENT_IPA);
                cbor_put_unsigned(&b, i->segments[k].ipa);
                cbor_put_unsigned(&b, SEGMENT_LENGTH);
                cbor_put_unsigned(&b, i->segments[k].length);
                cbor_put_unsigned(&b, SEGMENT_DIGEST);
                cbor_put_bytes(&b, i->segments[k].digest, sizeof(i->segments[k].digest));
        }
        if (i->is_signed) {
                cbor_put_unsigned(&b, MANIFEST_RIM);
                cbor_put_bytes(&b, i->rim, sizeof(i->rim));
        }
        *ret_size = b.n;
        return b.overflow ? -ENOSPC : 0;
}

int kci_manifest_to_be_signed(const struct kci_image *i, uint8_t buf[static KCI_MANIFEST_MAX], size_t *ret_size) {
        struct cbor_buffer b = { .data = buf, .size = KCI_MANIFEST_MAX };
        uint8_t manifest[KCI_MANIFEST_MAX];
        size_t size;
        int r;

        r = kci_manifest_encode(i, manifest, &size);
        if (r < 0)
                return r;
        cbor_put_array(&b, 4);
        cbor_put_text(&b, "Signature1");
        cbor_put_bytes(&b, protected_header, sizeof(protected_header));
        cbor_put_bytes(&b, NULL, 0); /* no external data */
        cbor_put_bytes(&b, manifest, size);
        *ret_size = b.n;
        return b.overflow ? -ENOSPC : 0;
}

static int parse_u32(struct cbor_cursor *c, uint32_t *ret) {
        uint64_t v;
        int r;

        r = cbor_get_unsigned(c, &v);
        if (r < 0)
                return r;
        if (v > UINT32_MAX)
                return kci_fail(c->e, KCI_ERROR_VALUE, "%s: a number is larger than 32 bits", c->what);
        *ret = (uint32_t) v;
        return 0;
}

static int parse_name(struct cbor_cursor *c, struct kci_image *i) {
        const char *s;
        size_t n;
        int r;

        r = cbor_get_text(c, &s, &n);
        if (r < 0)
                return r;
        if (n > KCI_NAME_MAX || memchr(s, 0, n))
                return kci_fail(c->e, KCI_ERROR_VALUE, "%s: the name is longer than %d characters, or has a NUL in it", c->what, KCI_NAME_MAX);
        memcpy(i->name, s, n);
        i->name[n] = 0;
        return 0;
}

static int parse_policy(struct cbor_cursor *c, struct kci_policy *p) {
        struct cbor_map m;
        int r;

        c->what = "policy";
        r = cbor_map_begin(c, &m);
        r = r < 0 ? r : cbor_map_require(c, &m, POLICY_FLAGS);
        r = r < 0 ? r : cbor_get_unsigned(c, &p->flags);
        r = r < 0 ? r : cbor_map_require(c, &m, POLICY_VCPUS);
        r = r < 0 ? r : cbor_get_unsigned(c, &p->max_vcpus);
        r = r < 0 ? r : cbor_map_require(c, &m, POLICY_PRIVATE);
        r = r < 0 ? r : cbor_get_unsigned(c, &p->max_private);
        r = r < 0 ? r : cbor_map_require(c, &m, POLICY_SHARED);
        r = r < 0 ? r : cbor_get_unsigned(c, &p->max_shared);
        r = r < 0 ? r : cbor_map_require(c, &m, POLICY_VERSION);
        r = r < 0 ? r : cbor_get_unsigned(c, &p->min_version);
        r = r < 0 ? r : cbor_map_end(c, &m);
        c->what = "manifest";
        return r;
}

static int parse_segments(struct cbor_cursor *c, struct kci_image *i) {
        uint64_t n;
        int r;

        r = cbor_get_array(c, &n);
        if (r < 0)
                return r;
        if (n > KCI_SEGMENTS_MAX)
                return kci_fail(c->e, KCI_ERROR_VALUE, "%s: %" PRIu64 " segments are more than %d", c->what, n, KCI_SEGMENTS_MAX);
        c->what = "segment";
        for (uint64_t k = 0; k < n; k++) {
                struct kci_segment *s = &i->segments[k];
                struct cbor_map m;
                uint32_t kind = 0;

                r = cbor_map_begin(c, &m);
                r = r < 0 ? r : cbor_map_require(c, &m, SEGMENT_KIND);
                r = r < 0 ? r : parse_u32(c, &kind);
                r = r < 0 ? r : cbor_map_require(c, &m, SEGMENT_IPA);
                r = r < 0 ? r : cbor_get_unsigned(c, &s->ipa);
                r = r < 0 ? r : cbor_map_require(c, &m, SEGMENT_LENGTH);
                r = r < 0 ? r : cbor_get_unsigned(c, &s->length);
                r = r < 0 ? r : cbor_map_require(c, &m, SEGMENT_DIGEST);
                r = r < 0 ? r : cbor_get_bytes_exact(c, s->digest, sizeof(s->digest));
                r = r < 0 ? r : cbor_map_end(c, &m);
                if (r < 0)
                        return r;
                if (kind == 0 || kind >= _KCI_KIND_MAX)
                        return kci_fail(c->e, KCI_ERROR_VALUE, "segment %" PRIu64 ": unknown kind %" PRIu32, k + 1, kind);
                s->kind = (KciKind) kind;
        }
        i->n_segments = (size_t) n;
        c->what = "manifest";
        return 0;
}

static int parse_manifest(const uint8_t *data, size_t size, struct kci_image *i, struct kci_error *e) {
        struct cbor_cursor c = { .p = data, .left = size, .what = "manifest", .e = e };
        struct cbor_map m;
        int r;

        if (size > KCI_MANIFEST_MAX)
                return kci_fail(e, KCI_ERROR_SIZE, "the manifest has %zu bytes, more than %d", size, KCI_MANIFEST_MAX);
        r = cbor_map_begin(&c, &m);
        r = r < 0 ? r : cbor_map_require(&c, &m, MANIFEST_NAME);
        r = r < 0 ? r : parse_name(&c, i);
        r = r < 0 ? r : cbor_map_require(&c, &m, MANIFEST_ID);
        r = r < 0 ? r : cbor_get_bytes_exact(&c, i->id, sizeof(i->id));
        r = r < 0 ? r : cbor_map_require(&c, &m, MANIFEST_VCPUS);
        r = r < 0 ? r : parse_u32(&c, &i->vcpus);
        r = r < 0 ? r : cbor_map_require(&c, &m, MANIFEST_MEMORY);
        r = r < 0 ? r : cbor_get_unsigned(&c, &i->memory);
        r = r < 0 ? r : cbor_map_require(&c, &m, MANIFEST_S2SZ);
        r = r < 0 ? r : parse_u32(&c, &i->s2sz);
        r = r < 0 ? r : cbor_map_require(&c, &m, MANIFEST_HASH);
        r = r < 0 ? r : parse_u32(&c, &i->hash_algo);
        r = r < 0 ? r : cbor_map_require(&c, &m, MANIFEST_ENTRY);
        r = r < 0 ? r : cbor_get_unsigned(&c, &i->entry);
        r = r < 0 ? r : cbor_map_require(&c, &m, MANIFEST_X0);
        r = r < 0 ? r : cbor_get_unsigned(&c, &i->x0);
        r = r < 0 ? r : cbor_map_require(&c, &m, MANIFEST_POLICY);
        r = r < 0 ? r : parse_policy(&c, &i->policy);
        r = r < 0 ? r : cbor_map_require(&c, &m, MANIFEST_SEGMENTS);
        r = r < 0 ? r : parse_segments(&c, i);
        if (r >= 0 && i->is_signed) {
                r = cbor_map_require(&c, &m, MANIFEST_RIM);
                r = r < 0 ? r : cbor_get_bytes_exact(&c, i->rim, sizeof(i->rim));
        }
        r = r < 0 ? r : cbor_map_end(&c, &m);
        return r < 0 ? r : cbor_end(&c);
}

/* --- header --- */

/* COSE_Sign1: [protected, {}, manifest, signature]; protected and signature empty: not signed. */
static int parse_sign1(struct cbor_cursor *c, struct kci_image *i) {
        const uint8_t *protected, *manifest, *signature;
        size_t protected_size, manifest_size, signature_size;
        uint64_t tag, n;
        int r;

        c->what = "signature";
        r = cbor_get_tag(c, &tag);
        if (r < 0)
                return r;
        if (tag != COSE_SIGN1_TAG)
                return kci_fail(c->e, KCI_ERROR_TYPE, "signature: tag %" PRIu64 " instead of %d (COSE_Sign1)", tag, COSE_SIGN1_TAG);
        r = cbor_get_array_exact(c, 4);
        r = r < 0 ? r : cbor_get_bytes(c, &protected, &protected_size);
        r = r < 0 ? r : cbor_get_map(c, &n);
        if (r < 0)
                return r;
        if (n != 0)
                return kci_fail(c->e, KCI_ERROR_FIELD, "signature: the unprotected header is not empty");
        r = cbor_get_bytes(c, &manifest, &manifest_size);
        r = r < 0 ? r : cbor_get_bytes(c, &signature, &signature_size);
        if (r < 0)
                return r;

        i->is_signed = protected_size > 0 || signature_size > 0;
        if (i->is_signed) {
                if (protected_size != sizeof(protected_header) || memcmp(protected, protected_header, protected_size) != 0)
                        return kci_fail(c->e, KCI_ERROR_VALUE, "signature: the protected header is not that of EdDSA");
                if (signature_size != sizeof(i->manifest_signature))
                        return kci_fail(c->e, KCI_ERROR_VALUE, "signature: it has %zu bytes instead of %zu", signature_size, sizeof(i->manifest_signature));
                memcpy(i->manifest_signature, signature, signature_size);
        }
        c->what = "header";
        return parse_manifest(manifest, manifest_size, i, c->e);
}

static int parse_sealed(struct cbor_cursor *c, struct kci_image *i) {
        struct cbor_map m;
        uint64_t n = 0;
        int r;

        c->what = "sealed part";
        r = cbor_map_begin(c, &m);
        r = r < 0 ? r : cbor_map_require(c, &m, SEALED_RECIPIENTS);
        r = r < 0 ? r : cbor_get_array(c, &n);
        if (r < 0)
                return r;
        if (n < 1 || n > KCI_RECIPIENTS_MAX)
                return kci_fail(c->e, KCI_ERROR_VALUE, "sealed part: %" PRIu64 " recipients, it must be from 1 to %d", n, KCI_RECIPIENTS_MAX);
        for (uint64_t k = 0; k < n; k++) {
                struct kci_recipient *p = &i->recipients[k];

                r = cbor_get_array_exact(c, 3);
                r = r < 0 ? r : cbor_get_bytes_exact(c, p->key, sizeof(p->key));
                r = r < 0 ? r : cbor_get_bytes_exact(c, p->enc, sizeof(p->enc));
                r = r < 0 ? r : cbor_get_bytes_exact(c, p->ct, sizeof(p->ct));
                if (r < 0)
                        return r;
                for (uint64_t j = 0; j < k; j++)
                        if (memcmp(i->recipients[j].key, p->key, sizeof(p->key)) == 0)
                                return kci_fail(c->e, KCI_ERROR_DUPLICATE, "sealed part: recipients %" PRIu64 " and %" PRIu64 " are the same", j + 1, k + 1);
        }
        i->n_recipients = (size_t) n;
        r = cbor_map_end(c, &m);
        c->what = "header";
        return r;
}

int kci_header_parse(const uint8_t *data, size_t size, uint64_t file_size, struct kci_image *ret, struct kci_error *e) {
        struct cbor_cursor c = { .what = "header", .e = e };
        uint8_t block[KCI_BLOCK_SIZE];
        struct kci_image i = {};
        uint32_t version, length;
        struct cbor_map m;
        int r;

        if (size < KCI_PREFIX_SIZE || memcmp(data, KCI_MAGIC, 8) != 0)
                return kci_fail(e, KCI_ERROR_FILE, "this is not a KCore image");
        memcpy(&version, data + 8, sizeof(version));
        memcpy(&length, data + 12, sizeof(length));
        version = le32toh(version);
        length = le32toh(length);
        if (version != KCI_VERSION)
                return kci_fail(e, KCI_ERROR_VERSION, "the image has version %" PRIu32 " of the format; this program knows version %d", version, KCI_VERSION);
        if (length > KCI_HEADER_MAX - KCI_PREFIX_SIZE)
                return kci_fail(e, KCI_ERROR_SIZE, "the header has %" PRIu32 " bytes, more than allowed", length);
        if (length != size - KCI_PREFIX_SIZE)
                return kci_fail(e, KCI_ERROR_SIZE, "the file ends inside the header");

        c.p = data + KCI_PREFIX_SIZE;
        c.left = length;
        r = cbor_map_begin(&c, &m);
        r = r < 0 ? r : cbor_map_require(&c, &m, HEADER_MANIFEST);
        r = r < 0 ? r : parse_sign1(&c, &i);
        r = r < 0 ? r : cbor_map_require(&c, &m, HEADER_BLOCK);
        r = r < 0 ? r : cbor_get_bytes_exact(&c, block, sizeof(block));
        r = r < 0 ? r : cbor_map_optional(&c, &m, HEADER_SEALED);
        if (r > 0)
                r = parse_sealed(&c, &i);
        r = r < 0 ? r : cbor_map_end(&c, &m);
        r = r < 0 ? r : cbor_end(&c);
        r = r < 0 ? r : parse_block(block, &i, e);
        r = r < 0 ? r : kci_image_check(&i, e);
        if (r < 0)
                return r;

        place(&i, size);
        if (file_size != UINT64_MAX && file_size != i.size)
                return kci_fail(
                                e, KCI_ERROR_SIZE, "the file has %" PRIu64 " bytes, its header says %" PRIu64 ": it is %s", file_size,
                                i.size, file_size < i.size ? "cut off" : "too long");
        *ret = i;
        return 0;
}

int kci_header_encode(struct kci_image *i, uint8_t buf[static KCI_HEADER_MAX], size_t *ret_size, struct kci_error *e) {
        struct cbor_buffer b = { .data = buf + KCI_PREFIX_SIZE, .size = KCI_HEADER_MAX - KCI_PREFIX_SIZE };
        uint8_t manifest[KCI_MANIFEST_MAX], block[KCI_BLOCK_SIZE];
        uint32_t le;
        size_t size;
        int r;

        r = kci_image_check(i, e);
        if (r < 0)
                return r;
        r = kci_manifest_encode(i, manifest, &size);
        if (r < 0)
                return kci_fail(e, KCI_ERROR_SIZE, "the manifest is too large");
        kci_block_encode(i, block);

        cbor_put_map(&b, kci_is_sealed(i) ? 3 : 2);
        cbor_put_unsigned(&b, HEADER_MANIFEST);
        cbor_put_tag(&b, COSE_SIGN1_TAG);
        cbor_put_array(&b, 4);
        cbor_put_bytes(&b, protected_header, i->is_signed ? sizeof(protected_header) : 0);
        cbor_put_map(&b, 0);
        cbor_put_bytes(&b, manifest, size);
        cbor_put_bytes(&b, i->manifest_signature, i->is_signed ? sizeof(i->manifest_signature) : 0);
        cbor_put_unsigned(&b, HEADER_BLOCK);
        cbor_put_bytes(&b, block, sizeof(block));
        if (kci_is_sealed(i)) {
                cbor_put_unsigned(&b, HEADER_SEALED);
                cbor_put_map(&b, 1);
                cbor_put_unsigned(&b, SEALED_RECIPIENTS);
                cbor_put_array(&b, i->n_recipients);
                for (size_t k = 0; k < i->n_recipients; k++) {
                        cbor_put_array(&b, 3);
                        cbor_put_bytes(&b, i->recipients[k].key, sizeof(i->recipients[k].key));
                        cbor_put_bytes(&b, i->recipients[k].enc, sizeof(i->recipients[k].enc));
                        cbor_put_bytes(&b, i->recipients[k].ct, sizeof(i->recipients[k].ct));
                }
        }
        if (b.overflow)
                return kci_fail(e, KCI_ERROR_SIZE, "the header is too large");

        memcpy(buf, KCI_MAGIC, 8);
        le = htole32(KCI_VERSION);
        memcpy(buf + 8, &le, sizeof(le));
        le = htole32((uint32_t) b.n);
        memcpy(buf + 12, &le, sizeof(le));
        *ret_size = KCI_PREFIX_SIZE + b.n;
        place(i, *ret_size);
        return 0;
}
