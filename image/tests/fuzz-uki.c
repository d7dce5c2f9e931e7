/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: a unified kernel image. What is found must be inside the file. */
#include "../kci.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct kci_span *s, int fd, size_t size) {
        if (s->fd >= 0 && (s->fd != fd || s->size == 0 || s->offset > size || s->size > size - s->offset))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static int fd = -1;
        struct kci_error e = {};
        struct kci_uki u;

        if (fd < 0)
                fd = memfd_create("uki", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t) size)
                abort();
        if (kci_uki_parse(fd, &u, &e) < 0) {
                if (e.code == KCI_ERROR_NONE)
                        abort();
                return 0;
        }
        check(&u.kernel, fd, size);
        check(&u.initrd, fd, size);
        check(&u.cmdline, fd, size);
        return 0;
}
