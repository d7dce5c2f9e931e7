/* SPDX-License-Identifier: Apache-2.0 */
#include "memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int write_all(int fd, const void *data, size_t size) {
        const uint8_t *p = data;

        while (size > 0) {
                ssize_t k = write(fd, p, size);

                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                p += k;
                size -= (size_t) k;
        }
        return 0;
}

static int memfd_new(const char *name) {
        int fd;

        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
        if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return fd < 0 ? -errno : fd;
}

int memfd_from_data(const char *name, const void *data, size_t size) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = memfd_new(name);
        if (fd < 0)
                return fd;
        r = write_all(fd, data, size);
        if (r < 0)
                return r;
        if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int memfd_from_file(int fd, const char *name, uint64_t max, memfd_progress_t progress, void *userdata) {
        _cleanup_close_ int out = -EBADF;
        _cleanup_free_ uint8_t *buf = NULL;
        const size_t chunk = 1 * MIB;
        uint64_t done = 0, total;
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -ENOTSUP;
        total = (uint64_t) st.st_size;
        if (total > max)
                return -EFBIG;

        out = memfd_new(name);
        if (out < 0)
                return out;
        buf = malloc(chunk);
        if (!buf)
                return -ENOMEM;
        for (;;) {
                ssize_t k = read(fd, buf, chunk);

                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (k == 0)
                        break;
                done += (uint64_t) k;
                if (done > max) /* grew while we read */
                        return -EFBIG;
                r = write_all(out, buf, (size_t) k);
                if (r < 0)
                        return r;
                if (progress)
                        progress(done, MAX(total, done), userdata);
        }
        if (done == 0)
                return -EINVAL;
        if (fcntl(out, F_ADD_SEALS, SEALS) < 0)
                return -errno;
        return TAKE_FD(out);
}

int memfd_check_sealed(int fd, uint64_t *ret_size) {
        struct stat st;
        int seals;

        seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0)
                return -EBADF;
        if ((seals & (F_SEAL_WRITE | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_SHRINK))
                return -EINVAL;
        if (fstat(fd, &st) < 0)
                return -errno;
        *ret_size = (uint64_t) st.st_size;
        return 0;
}
