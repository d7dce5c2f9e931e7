/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "../memfd.h"

static int file_of(size_t size) {
        _cleanup_free_ char *data = malloc(size + 1);
        char path[] = "/tmp/kcore-memfd-XXXXXX";
        int fd = mkstemp(path);

        assert_ok(fd);
        unlink(path);
        memset(data, 'x', size);
        assert_int_equal(write(fd, data, size), size);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        return fd;
}

static void test_sealed(void **state _unused_) {
        _cleanup_close_ int fd = memfd_from_data("t", "hello", 5);
        uint64_t size;

        assert_ok(fd);
        assert_ok(memfd_check_sealed(fd, &size));
        assert_int_equal(size, 5);
        assert_int_equal(pwrite(fd, "j", 1, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fd, 0), -1);
        assert_int_equal(ftruncate(fd, 10), -1);
}

static void test_from_file(void **state _unused_) {
        _cleanup_close_ int in = file_of(3 * MIB + 7), fd = memfd_from_file(in, "t", 4 * MIB, NULL, NULL);
        uint64_t size;
        char c;

        assert_ok(fd);
        assert_ok(memfd_check_sealed(fd, &size));
        assert_int_equal(size, 3 * MIB + 7);
        assert_int_equal(pread(fd, &c, 1, 3 * MIB + 6), 1);
        assert_int_equal(c, 'x');
}

static void test_refused(void **state _unused_) {
        _cleanup_close_ int big = file_of(4097), empty = file_of(0), dir = open("/tmp", O_RDONLY | O_DIRECTORY),
                            null = open("/dev/null", O_RDONLY);

        assert_int_equal(memfd_from_file(big, "t", 4096, NULL, NULL), -EFBIG);
        assert_int_equal(memfd_from_file(empty, "t", 4096, NULL, NULL), -EINVAL);
        assert_int_equal(memfd_from_file(dir, "t", 4096, NULL, NULL), -ENOTSUP);
        assert_int_equal(memfd_from_file(null, "t", 4096, NULL, NULL), -ENOTSUP);
}

static void test_unsealed(void **state _unused_) {
        _cleanup_close_ int file = file_of(10), fd = memfd_create("t", MFD_ALLOW_SEALING), part = memfd_create("t", MFD_ALLOW_SEALING);
        uint64_t size;

        assert_int_equal(memfd_check_sealed(fd, &size), -EINVAL);
        assert_int_equal(fcntl(part, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK), 0);
        assert_int_equal(memfd_check_sealed(part, &size), -EINVAL);
        assert_true(memfd_check_sealed(file, &size) < 0);
        assert_int_equal(memfd_check_sealed(-1, &size), -EBADF);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sealed),
                cmocka_unit_test(test_from_file),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_unsealed),
        };

        return cmocka_run_group_tests_name("memfd", tests, NULL, NULL);
}
