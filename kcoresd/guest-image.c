/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-image.h"

#include "../libkcore/layout.h"
#include "../libkcore/memfd.h"

static int invalid_image(struct failure *f, const struct kci_error *e) {
        _cleanup_free_ char *message = NULL;

        if (asprintf(&message, "the image can not be used: %s", e->message) < 0)
                return -ENOMEM;
        return fail_invalid(f, "image", message);
}

int guest_image_read(struct guest_config *c, struct kci_image *ret, struct failure *f) {
        struct kci_error e = {};
        uint64_t size;
        int r;

        if (c->kernel_fd >= 0 || c->initrd_fd >= 0 || !isempty(c->append) || c->earlycon)
                return fail_invalid(f, "image", "an image has its own kernel, initrd and command line");
        if (memfd_check_sealed(c->image_fd, &size) < 0)
                return fail_invalid(f, "image", "the image must be passed as a sealed memfd");
        r = kci_read(c->image_fd, ret, &e);
        /* KCore checks signatures itself, but late, and without a word about the manifest's. */
        if (r >= 0 && ret->is_signed)
                r = kci_check_signature(ret, &e);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return invalid_image(f, &e);
        c->memory = ret->memory;
        c->vcpus = ret->vcpus;
        return 0;
}

/* What the image has for this machine. */
static int find_recipient(const struct manager_ops *ops, const struct guest_config *c, const struct kci_image *i, const struct kci_recipient **ret, struct failure *f) {
        uint8_t document[KCORE_IDENTITY_MAX];
        struct kci_error e = {};
        int n;

        n = ops->identity_read(document);
        if (n < 0)
                return fail_launch(f, c->name, "KCore does not tell its identity", n);
        return kci_find_recipient(i, document, (size_t) n, ret, &e) < 0 ? invalid_image(f, &e) : 0;
}

static int load(const struct manager_ops *ops, int fd, const struct guest_config *c, const struct kci_image *i, struct failure *f) {
        for (size_t k = 0; k < i->n_segments; k++) {
                const struct kci_segment *s = &i->segments[k];
                uint64_t length = s->pages * KCI_PAGE;
                char what[80];
                int r;

                r = kci_is_sealed(i) ? ops->launch_segment_sealed(fd, c->image_fd, s->offset, s->ipa, length, s->tags) :
                        ops->launch_segment_at(fd, c->image_fd, s->offset, s->ipa, length);
                if (r < 0) {
                        snprintf(what, sizeof(what), "the kernel refuses segment %zu of the image (%s)", k + 1, kci_kind_to_string(s->kind));
                        return fail_launch(f, c->name, what, r);
                }
        }
        return 0;
}

int guest_image_arm(const struct manager_ops *ops, const struct guest_config *c, const struct kci_image *i, struct failure *f) {
        const struct kcore_launch_config config = {
                .ram_base = VIRT_RAM_BASE,
                .ram_size = i->memory,
                .vcpus = i->vcpus,
                .s2sz = i->s2sz,
                .hash_algo = i->hash_algo,
                .entry_pc = i->entry,
                .entry_regs = { i->x0 },
        };
        const struct kci_recipient *recipient = NULL;
        _cleanup_close_ int fd = -EBADF;
        uint8_t block[KCI_BLOCK_SIZE];
        int r;

        if (kci_is_sealed(i)) {
                r = find_recipient(ops, c, i, &recipient, f);
                if (r < 0)
                        return r;
        }
        fd = ops->launch_open();
        if (fd < 0)
                return fail_launch(f, c->name, "can not open " KCORE_DEVICE, fd);
        r = ops->launch_config(fd, &config);
        if (r < 0)
                return fail_launch(f, c->name, "the kernel refuses the guest's configuration", r);
        if (i->is_signed) { /* nobody's policy could be enforced otherwise */
                kci_block_encode(i, block);
                r = ops->launch_policy(fd, block);
                if (r < 0)
                        return fail_launch(f, c->name, "the kernel refuses the image's policy", r);
        }
        if (recipient) {
                r = ops->launch_key(fd, recipient->enc, recipient->ct);
                if (r < 0)
                        return fail_launch(f, c->name, "the kernel refuses the image's key", r);
        }
        r = load(ops, fd, c, i, f);
        return r < 0 ? r : TAKE_FD(fd);
}
