/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdarg.h>
#include <sys/ioctl.h>

#include "../device.h"

/* The kernel's structures are the same everywhere. */
_Static_assert(sizeof(struct kcore_sys_info) == 128, "ABI");
_Static_assert(sizeof(struct kcore_launch_config) == 256, "ABI");
_Static_assert(sizeof(struct kcore_launch_segment) == 64, "ABI");
_Static_assert(sizeof(struct kcore_launch_block) == 32, "ABI");
_Static_assert(sizeof(struct kcore_launch_key) == 128, "ABI");
_Static_assert(sizeof(struct kcore_launch_status) == 192, "ABI");
_Static_assert(sizeof(struct kcore_log_read) == 64, "ABI");
_Static_assert(sizeof(struct kcore_counter_read) == 32, "ABI");
_Static_assert(sizeof(struct kcore_identity_read) == 32, "ABI");

/* What the device is asked, and what it answers. */
static unsigned long request;
static union {
        struct kcore_launch_segment segment;
        struct kcore_launch_block block;
        struct kcore_launch_key key;
        struct kcore_identity_read identity;
} got;
static int answer; /* errno, or 0 */
static uint32_t identity_length;

int __wrap_ioctl(int fd, unsigned long r, ...);

int __wrap_ioctl(int fd, unsigned long r, ...) {
        va_list args;
        void *p;

        va_start(args, r);
        p = va_arg(args, void *);
        va_end(args);
        assert_int_equal(fd, 42);
        request = r;
        assert_true(_IOC_SIZE(r) <= sizeof(got));
        memcpy(&got, p, _IOC_SIZE(r));
        if (answer != 0) {
                errno = answer;
                return -1;
        }
        if (r == KCORE_IDENTITY_READ)
                ((struct kcore_identity_read *) p)->length = identity_length;
        return 0;
}

static void is_zero(const void *p, size_t size) {
        for (size_t i = 0; i < size; i++)
                assert_int_equal(((const uint8_t *) p)[i], 0);
}

static void test_policy(void **state _unused_) {
        uint8_t block[KCORE_LAUNCH_BLOCK_SIZE] = {};

        answer = 0;
        assert_int_equal(kcore_launch_policy(42, block), 0);
        assert_int_equal(request, KCORE_LAUNCH_POLICY);
        assert_int_equal(got.block.address, (uintptr_t) block);
        is_zero(got.block.reserved, sizeof(got.block.reserved));
        answer = EBUSY;
        assert_int_equal(kcore_launch_policy(42, block), -EBUSY);
}

static void test_key(void **state _unused_) {
        uint8_t enc[32], ct[48];

        memset(enc, 1, sizeof(enc));
        memset(ct, 2, sizeof(ct));
        answer = 0;
        assert_int_equal(kcore_launch_key(42, enc, ct), 0);
        assert_int_equal(request, KCORE_LAUNCH_KEY);
        assert_memory_equal(got.key.enc, enc, sizeof(enc));
        assert_memory_equal(got.key.ct, ct, sizeof(ct));
        is_zero(got.key.reserved, sizeof(got.key.reserved));
        answer = EINVAL;
        assert_int_equal(kcore_launch_key(42, enc, ct), -EINVAL);
}

static void test_segments(void **state _unused_) {
        answer = 0;
        assert_int_equal(kcore_launch_segment_sealed(42, 7, 0x1000, 0x40000000, 0x3000, 0x4000), 0);
        assert_int_equal(request, KCORE_LAUNCH_SEGMENT);
        assert_int_equal(got.segment.memfd, 7);
        assert_int_equal(got.segment.flags, KCORE_SEGMENT_MEASURED | KCORE_SEGMENT_SEALED);
        assert_int_equal(got.segment.offset, 0x1000);
        assert_int_equal(got.segment.ipa, 0x40000000);
        assert_int_equal(got.segment.length, 0x3000);
        assert_int_equal(got.segment.tags, 0x4000);
        is_zero(got.segment.reserved, sizeof(got.segment.reserved));

        assert_int_equal(kcore_launch_segment(42, 7, 0x40000000, 5), 0);
        assert_int_equal(got.segment.flags, KCORE_SEGMENT_MEASURED);
        assert_int_equal(got.segment.tags, 0);
        answer = EEXIST;
        assert_int_equal(kcore_launch_segment_sealed(42, 7, 0, 0x40000000, 0x1000, 0x1000), -EEXIST);
}

static void test_identity(void **state _unused_) {
        uint8_t buf[KCORE_IDENTITY_MAX];

        answer = 0;
        identity_length = 1234;
        assert_int_equal(kcore_identity_read(42, buf), 1234);
        assert_int_equal(request, KCORE_IDENTITY_READ);
        assert_int_equal(got.identity.buf, (uintptr_t) buf);
        assert_int_equal(got.identity.size, sizeof(buf));
        is_zero(got.identity.reserved, sizeof(got.identity.reserved));
        identity_length = KCORE_IDENTITY_MAX + 1;
        assert_int_equal(kcore_identity_read(42, buf), -EPROTO);
        answer = EOPNOTSUPP;
        assert_int_equal(kcore_identity_read(42, buf), -EOPNOTSUPP);
}

static void test_refusals(void **state _unused_) {
        struct kcore_launch_status s = { .error = -EIO, .rmi_command = 0x158, .rmi_status = 1 };

        assert_null(kcore_launch_refusal(&s));
        for (uint32_t status = 16; status <= 19; status++) {
                s.rmi_status = status;
                assert_non_null(kcore_launch_refusal(&s));
        }
        s.rmi_status = 20;
        assert_null(kcore_launch_refusal(&s));
        s = (struct kcore_launch_status) { .error = -ENOMEM, .rmi_status = 18 };
        assert_null(kcore_launch_refusal(&s));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_policy),   cmocka_unit_test(test_key),      cmocka_unit_test(test_segments),
                cmocka_unit_test(test_identity), cmocka_unit_test(test_refusals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
