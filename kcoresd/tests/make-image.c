/* SPDX-License-Identifier: Apache-2.0 */
#include "make-image.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "../../libkcore/memfd.h"
#include "../../libkcore/tests/test.h"

static int new_file(void) {
        int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        return fd;
}

int make_image(int kind, const uint8_t sealing_key[static 32], struct kci_image *ret) {
        static const uint8_t private[32] = "the tenant's key, for tests only";
        const uint32_t magic = 0x644d5241;
        const uint64_t memory_size = 1 * MIB, flags = 0xa;
        _cleanup_close_ int kernel_fd = -EBADF, initrd_fd = -EBADF;
        uint8_t kernel[8000] = {};
        struct kci_error e = {};
        int fd = new_file();

        memcpy(kernel + 16, &memory_size, 8);
        memcpy(kernel + 24, &flags, 8);
        memcpy(kernel + 56, &magic, 4);
        kernel_fd = memfd_from_data("kernel", kernel, sizeof(kernel));
        initrd_fd = memfd_from_data("initrd", "initrd", 6);
        const struct kci_input in = {
                .name = "test",
                .kernel = { .fd = kernel_fd, .size = sizeof(kernel) },
                .initrd = { .fd = initrd_fd, .size = 6 },
                .append = "quiet",
                .vcpus = 3,
                .memory = 1 * GIB,
        };
        assert_int_equal(kci_build(&in, fd, ret, NULL, &e), 0);
        if (kind >= IMAGE_SIGNED) {
                EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private, sizeof(private));
                int plain = fd;

                fd = new_file();
                assert_int_equal(kci_sign(plain, ret, key, fd, NULL, &e), 0);
                close(plain);
                EVP_PKEY_free(key);
        }
        if (kind >= IMAGE_SEALED) {
                int plain = fd;

                fd = new_file();
                assert_int_equal(kci_seal(plain, ret, (const uint8_t (*)[32]) sealing_key, 1, fd, NULL, &e), 0);
                close(plain);
        }
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
        return fd;
}
