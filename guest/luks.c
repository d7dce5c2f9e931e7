/* SPDX-License-Identifier: Apache-2.0 */
#include "luks.h"

#include <fcntl.h>
#include <libcryptsetup.h>
#include <sys/mman.h>

static void crypt_freep(struct crypt_device **cd) {
        crypt_free(*cd);
}
#define _cleanup_crypt_ _cleanup_(crypt_freep)

/* What libcryptsetup last complained of; it names no secrets. */
static void on_log(int level, const char *message, void *userdata) {
        char *buf = userdata;

        if (level == CRYPT_LOG_ERROR) {
                snprintf(buf, 200, "%s", message);
                buf[strcspn(buf, "\n")] = 0;
        }
}

/* The beginning of the disk, in memory that the host does not share. */
static int copy_header(const char *disk) {
        _cleanup_close_ int fd = open(disk, O_RDONLY | O_CLOEXEC), copy = -EBADF;
        uint8_t buf[64 * KIB];
        size_t n = 0;

        if (fd < 0)
                return -errno;
        copy = memfd_create("luks-header", MFD_CLOEXEC);
        if (copy < 0)
                return -errno;
        while (n < LUKS_HEADER_SIZE) {
                ssize_t k = pread(fd, buf, MIN(sizeof(buf), LUKS_HEADER_SIZE - n), (off_t) n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                if (pwrite(copy, buf, (size_t) k, (off_t) n) != k)
                        return -EIO;
                n += (size_t) k;
        }
        return n == 0 ? -ENODATA : TAKE_FD(copy);
}

static int explain(char **ret, int r, const char *what, const char *detail) {
        if (asprintf(ret, "%s%s%s", what, isempty(detail) ? "" : ": ", strempty(detail)) < 0)
                *ret = NULL;
        return r;
}

int luks_open(const char *disk, const char *name, const struct secret *key, char **ret_reason) {
        _cleanup_crypt_ struct crypt_device *cd = NULL;
        _cleanup_close_ int copy = -EBADF;
        char path[64], message[200] = "";
        const char *json, *reason;
        int r;

        if (key->size < LUKS_KEY_MIN)
                return explain(ret_reason, -EINVAL, "the disk key is too short", NULL);
        copy = copy_header(disk);
        if (copy == -ENODATA)
                return explain(ret_reason, -EBADMSG, "the disk has no LUKS2 header", "it is empty");
        if (copy < 0)
                return explain(ret_reason, copy, disk, strerror(-copy));

        /* Nobody else knows of the copy: nothing to lock. */
        (void) crypt_metadata_locking(NULL, 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
        r = crypt_init_data_device(&cd, path, disk);
        if (r < 0)
                return explain(ret_reason, r, disk, strerror(-r));
        crypt_set_log_callback(cd, on_log, message);
        r = crypt_load(cd, CRYPT_LUKS2, NULL);
        if (r < 0)
                return explain(ret_reason, -EBADMSG, "the disk has no LUKS2 header", message);
        r = crypt_dump_json(cd, &json, 0);
        if (r < 0)
                return explain(ret_reason, -EBADMSG, "the disk's LUKS2 header can not be read", message);
        r = luks_check(json, strlen(json), &reason);
        if (r < 0)
                return explain(ret_reason, r, "the disk's LUKS2 header is refused", reason);

        /* Keys stay out of the kernel's keyrings. */
        (void) crypt_volume_key_keyring(cd, 0);
        message[0] = 0;
        r = crypt_activate_by_passphrase(cd, name, CRYPT_ANY_SLOT, (const char *) key->data, key->size, 0);
        if (r == -EPERM || r == -ENOENT)
                return explain(ret_reason, -EKEYREJECTED, "the disk's key slot does not open with this key", NULL);
        if (r < 0)
                return explain(ret_reason, r, "the disk can not be mapped", isempty(message) ? strerror(-r) : message);
        return 0;
}
