/* SPDX-License-Identifier: Apache-2.0 */
#include "kci.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <sys/stat.h>

void kci_output_done(struct kci_output *o) {
        o->fd = safe_close(o->fd); /* a file without a name goes by itself */
        free(o->path);
        free(o->directory);
        *o = (struct kci_output) KCI_OUTPUT_INIT;
}

int kci_output_open(struct kci_output *o, const char *path, unsigned mode, struct kci_error *e) {
        const char *slash = strrchr(path, '/');

        *o = (struct kci_output) KCI_OUTPUT_INIT;
        o->path = strdup(path);
        o->directory = slash ? strndup(path, (size_t) (slash - path) + 1) : strdup(".");
        if (!o->path || !o->directory)
                return kci_fail_errno(e, -ENOMEM, path);
        o->fd = open(o->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
        if (o->fd < 0)
                return kci_fail_errno(e, -errno, path);
        return 0;
}

int kci_output_commit(struct kci_output *o, bool replace, struct kci_error *e) {
        _cleanup_free_ char *temporary = NULL;
        char source[32];
        uint64_t unique;
        int r;

        if (fsync(o->fd) < 0)
                return kci_fail_errno(e, -errno, o->path);
        snprintf(source, sizeof(source), "/proc/self/fd/%d", o->fd);
        if (!replace)
                return linkat(AT_FDCWD, source, AT_FDCWD, o->path, AT_SYMLINK_FOLLOW) < 0 ? kci_fail_errno(e, -errno, o->path) : 0;

        /* linkat() never replaces, rename() needs a name. */
        if (RAND_bytes((uint8_t *) &unique, sizeof(unique)) != 1)
                return kci_fail(e, KCI_ERROR_CRYPTO, "there are no random numbers");
        if (asprintf(&temporary, "%s.%016" PRIx64, o->path, unique) < 0) {
                temporary = NULL;
                return kci_fail_errno(e, -ENOMEM, o->path);
        }
        if (linkat(AT_FDCWD, source, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) < 0)
                return kci_fail_errno(e, -errno, o->path);
        if (rename(temporary, o->path) < 0) {
                r = -errno;
                (void) unlink(temporary);
                return kci_fail_errno(e, r, o->path);
        }
        return 0;
}
