/* SPDX-License-Identifier: Apache-2.0 */
#include "kci.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "../libkcore/fdt-build.h"
#include "../libkcore/guest-config.h"
#include "../libkcore/layout.h"

#define CHUNK (1 * MIB)

static int check_append(const char *append, struct kci_error *e) {
        if (strlen(strempty(append)) > GUEST_APPEND_MAX)
                return kci_fail(e, KCI_ERROR_INPUT, "the kernel command line is longer than %d characters", GUEST_APPEND_MAX);
        for (const char *p = strempty(append); *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return kci_fail(e, KCI_ERROR_INPUT, "the kernel command line has a control character in it");
        return 0;
}

/* Where everything goes, and the device tree: as kcoresd does it for a guest without an image. */
static int plan(const struct kci_input *in, struct guest_layout *layout, void **ret_dtb, size_t *ret_dtb_size, struct kci_error *e) {
        uint8_t header[IMAGE_HEADER_SIZE];
        struct image_header image;
        const char *why;
        int r;

        r = check_append(in->append, e);
        if (r < 0)
                return r;
        if (in->vcpus < 1 || in->vcpus > GUEST_VCPUS_MAX)
                return kci_fail(e, KCI_ERROR_VALUE, "the number of vCPUs must be from 1 to %d", GUEST_VCPUS_MAX);
        if (in->kernel.size > GUEST_KERNEL_MAX)
                return kci_fail(e, KCI_ERROR_INPUT, "the kernel is larger than 256M");
        if (in->initrd.fd >= 0 && (in->initrd.size == 0 || in->initrd.size > GUEST_INITRD_MAX))
                return kci_fail(e, KCI_ERROR_INPUT, "the initrd is empty or larger than 2G");
        r = in->kernel.size < sizeof(header) ? 0 : kci_pread(in->kernel.fd, header, sizeof(header), in->kernel.offset, e);
        if (r < 0)
                return r;
        if (image_header_parse(header, in->kernel.size < sizeof(header) ? 0 : sizeof(header), &image, &why) < 0)
                return kci_fail(e, KCI_ERROR_INPUT, "the kernel can not be used: %s", why);

        r = guest_layout_plan(in->memory, &image, in->kernel.size, in->initrd.fd >= 0 ? in->initrd.size : 0, GUEST_DTB_MAX, layout);
        if (r == -ENOSPC)
                return kci_fail(e, KCI_ERROR_VALUE, "kernel, initrd and device tree do not fit into the guest's memory; give it more");
        if (r < 0)
                return kci_fail(
                                e, KCI_ERROR_VALUE, "memory must be a multiple of 2M, from %" PRIu64 "M to %" PRIu64 "G",
                                (uint64_t) (GUEST_MEMORY_MIN / MIB), (uint64_t) (GUEST_MEMORY_MAX / GIB));
        r = guest_fdt_build(
                        &(struct fdt_input) { .layout = layout, .vcpus = in->vcpus, .bootargs = in->append, .earlycon = in->earlycon },
                        ret_dtb, ret_dtb_size);
        if (r == -E2BIG)
                return kci_fail(e, KCI_ERROR_INPUT, GUEST_APPEND_TOO_LONG);
        return r < 0 ? kci_fail_errno(e, r, "the device tree can not be made") : 0;
}

struct writing {
        int out;
        uint8_t *buf;
        EVP_MD_CTX *md;
        uint64_t total; /* of the file, for progress */
        const struct kci_progress *progress;
        struct kci_error *e;
};

/* A segment from a file (data NULL) or from memory; its digest. */
static int write_segment(struct writing *w, struct kci_segment *s, const struct kci_span *span, const uint8_t *data) {
        int r;

        if (EVP_DigestInit_ex(w->md, EVP_sha256(), NULL) != 1)
                return kci_fail(w->e, KCI_ERROR_CRYPTO, "SHA-256 is not available");
        for (uint64_t at = 0; at < s->length; at += CHUNK) {
                size_t n = (size_t) MIN(s->length - at, CHUNK), padded = ALIGN_TO(n, (size_t) KCI_PAGE);

                if (data)
                        memcpy(w->buf, data + at, n);
                else {
                        r = kci_pread(span->fd, w->buf, n, span->offset + at, w->e);
                        if (r < 0)
                                return r;
                }
                memset(w->buf + n, 0, padded - n);
                if (EVP_DigestUpdate(w->md, w->buf, padded) != 1)
                        return kci_fail(w->e, KCI_ERROR_CRYPTO, "SHA-256 failed");
                r = kci_pwrite(w->out, w->buf, padded, s->offset + at, w->e);
                if (r < 0)
                        return r;
                if (w->progress && w->progress->report) {
                        r = w->progress->report(s->offset + at + padded, w->total, w->progress->userdata);
                        if (r < 0)
                                return kci_fail_errno(w->e, r, "stopped");
                }
        }
        if (EVP_DigestFinal_ex(w->md, s->digest, NULL) != 1)
                return kci_fail(w->e, KCI_ERROR_CRYPTO, "SHA-256 failed");
        return 0;
}

static int write_all(const struct kci_input *in, const void *dtb, int out, struct kci_image *i, const struct kci_progress *progress, struct kci_error *e) {
        struct writing w = { .out = out, .progress = progress, .e = e };
        uint8_t header[KCI_HEADER_MAX];
        size_t size;
        int r;

        r = kci_header_encode(i, header, &size, e); /* places the segments; digests do not change its size */
        if (r < 0)
                return r;
        w.total = i->size;
        w.buf = malloc(CHUNK);
        w.md = EVP_MD_CTX_new();
        if (!w.buf || !w.md)
                r = kci_fail_errno(e, -ENOMEM, "the image can not be written");
        for (size_t k = 0; r >= 0 && k < i->n_segments; k++)
                switch (i->segments[k].kind) {
                case KCI_KERNEL:
                        r = write_segment(&w, &i->segments[k], &in->kernel, NULL);
                        break;
                case KCI_INITRD:
                        r = write_segment(&w, &i->segments[k], &in->initrd, NULL);
                        break;
                default:
                        r = write_segment(&w, &i->segments[k], NULL, dtb);
                }
        EVP_MD_CTX_free(w.md);
        if (w.buf)
                OPENSSL_cleanse(w.buf, CHUNK); /* an initrd may have secrets in it */
        free(w.buf);
        r = r < 0 ? r : kci_header_encode(i, header, &size, e);
        return r < 0 ? r : kci_pwrite(out, header, size, 0, e);
}

int kci_build(const struct kci_input *in, int out, struct kci_image *ret, const struct kci_progress *progress, struct kci_error *e) {
        _cleanup_free_ void *dtb = NULL;
        struct kci_image i = {};
        struct guest_layout layout;
        size_t dtb_size;
        int r;

        r = plan(in, &layout, &dtb, &dtb_size, e);
        if (r < 0)
                return r;

        if (strlen(strempty(in->name)) > KCI_NAME_MAX)
                return kci_fail(e, KCI_ERROR_VALUE, "the name is longer than %d characters", KCI_NAME_MAX);
        strcpy(i.name, strempty(in->name));
        if (in->id)
                memcpy(i.id, in->id, sizeof(i.id));
        else if (RAND_bytes(i.id, sizeof(i.id)) != 1)
                return kci_fail(e, KCI_ERROR_CRYPTO, "there are no random numbers");
        i.vcpus = in->vcpus;
        i.memory = in->memory;
        i.s2sz = layout.s2sz;
        i.hash_algo = in->hash_algo;
        i.entry = layout.entry;
        i.x0 = layout.dtb;
        i.policy = in->policy;
        if (i.policy.max_vcpus == 0)
                i.policy.max_vcpus = in->vcpus;
        if (i.policy.max_private == 0)
                i.policy.max_private = in->memory / KCI_PAGE;
        if (i.policy.max_shared == 0)
                i.policy.max_shared = in->memory / KCI_PAGE;

        /* The order of loading, and so of the measurement: as kcoresd has it. */
        i.segments[i.n_segments++] = (struct kci_segment) { .kind = KCI_KERNEL, .ipa = layout.kernel, .length = in->kernel.size };
        if (in->initrd.fd >= 0)
                i.segments[i.n_segments++] = (struct kci_segment) { .kind = KCI_INITRD, .ipa = layout.initrd, .length = in->initrd.size };
        i.segments[i.n_segments++] = (struct kci_segment) { .kind = KCI_DTB, .ipa = layout.dtb, .length = dtb_size };

        r = write_all(in, dtb, out, &i, progress, e);
        if (r >= 0)
                *ret = i;
        return r;
}
