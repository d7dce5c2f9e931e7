/* SPDX-License-Identifier: Apache-2.0 */
#include "tsm.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>

/* Reads all of an attribute. -EMSGSIZE if there is more than max bytes. */
static ssize_t read_attribute(int dir_fd, const char *name, void *buf, size_t max) {
        _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        size_t n = 0;

        if (fd < 0)
                return -errno;
        for (;;) {
                char more;
                ssize_t k = n < max ? read(fd, (uint8_t *) buf + n, max - n) : read(fd, &more, 1);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        return (ssize_t) n;
                if (n == max)
                        return -EMSGSIZE;
                n += (size_t) k;
        }
}

static int attribute_is(int dir_fd, const char *name, const char *expected) {
        char buf[64];
        ssize_t n = read_attribute(dir_fd, name, buf, sizeof(buf) - 1);

        if (n < 0)
                return (int) n;
        buf[n] = 0;
        buf[strcspn(buf, "\n")] = 0;
        return streq(buf, expected);
}

static int report(int dir_fd, const uint8_t *challenge, uint8_t *token, size_t max, size_t *ret_size, const char **ret_reason) {
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;
        int r;

        r = attribute_is(dir_fd, "provider", TSM_PROVIDER);
        if (r <= 0) {
                *ret_reason = "the kernel's provider of attestation reports is not " TSM_PROVIDER;
                return r < 0 ? r : -EOPNOTSUPP;
        }
        *ret_reason = "the kernel does not take the challenge";
        fd = openat(dir_fd, "inblob", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        n = write(fd, challenge, TSM_CHALLENGE_SIZE);
        if (n != TSM_CHALLENGE_SIZE)
                return n < 0 ? -errno : -EIO;
        fd = safe_close(fd); /* it takes effect here */

        *ret_reason = "the kernel gives no token";
        n = read_attribute(dir_fd, "outblob", token, max);
        if (n == -EMSGSIZE)
                *ret_reason = "the token is too long";
        if (n <= 0)
                return n < 0 ? (int) n : -EIO;

        /* One write since the report was made, or it may be the answer to somebody else's challenge. */
        r = attribute_is(dir_fd, "generation", "1");
        if (r <= 0) {
                *ret_reason = "somebody else used the report at the same time";
                return r < 0 ? r : -ESTALE;
        }
        *ret_size = (size_t) n;
        return 0;
}

int tsm_token(
                const char *root,
                const uint8_t challenge[static TSM_CHALLENGE_SIZE],
                uint8_t *token,
                size_t max,
                size_t *ret_size,
                const char **ret_reason) {

        _cleanup_close_ int dir_fd = -EBADF;
        char path[256];
        uint64_t random;
        int n, r;

        *ret_reason = "internal error";
        if (RAND_bytes((uint8_t *) &random, sizeof(random)) != 1)
                return -EIO;
        n = snprintf(path, sizeof(path), "%s/kcore-%016llx", root, (unsigned long long) random);
        if (n < 0 || (size_t) n >= sizeof(path))
                return -ENAMETOOLONG;
        *ret_reason = "there is no configfs-tsm: is this a realm, and is arm-cca-guest loaded?";
        if (mkdir(path, 0700) < 0)
                return -errno;
        dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = dir_fd < 0 ? -errno : report(dir_fd, challenge, token, max, ret_size, ret_reason);
        dir_fd = safe_close(dir_fd);
        (void) rmdir(path);
        return r;
}
