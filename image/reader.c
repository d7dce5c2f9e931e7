/* SPDX-License-Identifier: Apache-2.0 */
#include "kci.h"

#include <endian.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <sys/stat.h>

#define CHUNK (1 * MIB)

int kci_pread(int fd, void *buf, size_t size, uint64_t offset, struct kci_error *e) {
        uint8_t *p = buf;

        while (size > 0) {
                ssize_t n = pread(fd, p, size, (off_t) offset);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return kci_fail_errno(e, -errno, "reading failed");
                }
                if (n == 0)
                        return kci_fail(e, KCI_ERROR_SIZE, "the file ends too early");
                p += n;
                offset += (uint64_t) n;
                size -= (size_t) n;
        }
        return 0;
}

int kci_pwrite(int fd, const void *buf, size_t size, uint64_t offset, struct kci_error *e) {
        const uint8_t *p = buf;

        while (size > 0) {
                ssize_t n = pwrite(fd, p, size, (off_t) offset);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return kci_fail_errno(e, -errno, "writing failed");
                }
                p += n;
                offset += (uint64_t) n;
                size -= (size_t) n;
        }
        return 0;
}

static int check_zero(int fd, uint64_t from, uint64_t to, const char *what, struct kci_error *e) {
        uint8_t buf[KCI_PAGE];
        int r;

        if (from == to)
                return 0;
        r = kci_pread(fd, buf, (size_t) (to - from), from, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < to - from; i++)
                if (buf[i] != 0)
                        return kci_fail(e, KCI_ERROR_PADDING, "%s: a byte of the filling is not zero (offset %" PRIu64 ")", what, from + i);
        return 0;
}

int kci_read(int fd, struct kci_image *ret, struct kci_error *e) {
        _cleanup_free_ uint8_t *header = NULL;
        uint8_t prefix[KCI_PREFIX_SIZE];
        uint32_t length;
        uint64_t size;
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return kci_fail_errno(e, -errno, "the file can not be looked at");
        if (!S_ISREG(st.st_mode))
                return kci_fail(e, KCI_ERROR_FILE, "it is not a regular file");
        size = (uint64_t) st.st_size;
        if (size < KCI_PREFIX_SIZE)
                return kci_fail(e, KCI_ERROR_FILE, "this is not a KCore image");
        r = kci_pread(fd, prefix, sizeof(prefix), 0, e);
        if (r < 0)
                return r;
        memcpy(&length, prefix + 12, sizeof(length));
        length = le32toh(length);
        if (length > KCI_HEADER_MAX - KCI_PREFIX_SIZE || length > size - KCI_PREFIX_SIZE)
                length = 0; /* parsing says what is wrong with it */
        header = malloc(KCI_PREFIX_SIZE + length);
        if (!header)
                return kci_fail_errno(e, -ENOMEM, "the header can not be read");
        memcpy(header, prefix, sizeof(prefix));
        r = kci_pread(fd, header + KCI_PREFIX_SIZE, length, KCI_PREFIX_SIZE, e);
        r = r < 0 ? r : kci_header_parse(header, KCI_PREFIX_SIZE + length, size, ret, e);
        return r < 0 ? r : check_zero(fd, KCI_PREFIX_SIZE + length, ret->data, "header", e);
}

struct visitor {
        int fd;
        const struct kci_image *image;
        const struct kci_progress *progress;
        kci_visit_t visit;
        void *userdata;
        struct kci_error *e;

        EVP_MD_CTX *md;
        uint8_t *buf;
};

static int visit_chunk(struct visitor *v, size_t k, uint64_t at, size_t n) {
        const struct kci_segment *s = &v->image->segments[k];
        int r;

        r = kci_pread(v->fd, v->buf, n, s->offset + at, v->e);
        if (r < 0)
                return r;
        if (EVP_DigestUpdate(v->md, v->buf, n) != 1)
                return kci_fail(v->e, KCI_ERROR_CRYPTO, "SHA-256 failed");
        r = v->visit ? v->visit(k, at, v->buf, n, v->userdata, v->e) : 0;
        if (r < 0)
                return r;
        if (v->progress && v->progress->report) {
                r = v->progress->report(s->offset + at + n, v->image->size, v->progress->userdata);
                if (r < 0)
                        return kci_fail_errno(v->e, r, "stopped");
        }
        return 0;
}

static int visit_segment(struct visitor *v, size_t k) {
        const struct kci_segment *s = &v->image->segments[k];
        const char *kind = kci_kind_to_string(s->kind);
        uint64_t size = s->pages * KCI_PAGE;
        uint8_t digest[32];
        int r;

        if (EVP_DigestInit_ex(v->md, EVP_sha256(), NULL) != 1)
                return kci_fail(v->e, KCI_ERROR_CRYPTO, "SHA-256 is not available");
        for (uint64_t at = 0; at < size; at += CHUNK) {
                r = visit_chunk(v, k, at, (size_t) MIN(size - at, CHUNK));
                if (r < 0)
                        return r;
        }
        if (EVP_DigestFinal_ex(v->md, digest, NULL) != 1)
                return kci_fail(v->e, KCI_ERROR_CRYPTO, "SHA-256 failed");
        if (CRYPTO_memcmp(digest, s->digest, sizeof(digest)) != 0)
                return kci_fail(v->e, KCI_ERROR_DIGEST, "segment %zu (%s): its content is not that of the manifest", k + 1, kind);
        return check_zero(v->fd, s->offset + s->length, s->offset + size, kind, v->e);
}

int kci_visit(int fd, const struct kci_image *i, const struct kci_progress *progress, kci_visit_t visit, void *userdata, struct kci_error *e) {
        struct visitor v = { .fd = fd, .image = i, .progress = progress, .visit = visit, .userdata = userdata, .e = e };
        int r = 0;

        if (kci_is_sealed(i))
                return kci_fail(e, KCI_ERROR_STATE, "the image is sealed: nobody but the platform can read its segments");
        v.buf = malloc(CHUNK);
        v.md = EVP_MD_CTX_new();
        if (!v.buf || !v.md)
                r = kci_fail_errno(e, -ENOMEM, "the data can not be read");
        for (size_t k = 0; r >= 0 && k < i->n_segments; k++)
                r = visit_segment(&v, k);
        EVP_MD_CTX_free(v.md);
        if (v.buf)
                OPENSSL_cleanse(v.buf, CHUNK);
        free(v.buf);
        return r;
}

int kci_check_sealed(int fd, const struct kci_image *i, struct kci_error *e) {
        int r = 0;

        if (!kci_is_sealed(i))
                return kci_fail(e, KCI_ERROR_STATE, "the image is not sealed");
        for (size_t k = 0; r >= 0 && k < i->n_segments; k++) {
                const struct kci_segment *s = &i->segments[k];
                uint64_t end = s->tags + s->pages * KCI_TAG_SIZE;

                r = check_zero(fd, end, ALIGN_TO(end, KCI_PAGE), kci_kind_to_string(s->kind), e);
        }
        return r;
}
