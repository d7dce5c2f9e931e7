/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../layout.h"

static void make_header(uint8_t h[static IMAGE_HEADER_SIZE], uint64_t text_offset, uint64_t image_size, uint64_t flags) {
        const uint32_t magic = 0x644d5241;

        memset(h, 0, IMAGE_HEADER_SIZE);
        memcpy(h + 8, &text_offset, 8);
        memcpy(h + 16, &image_size, 8);
        memcpy(h + 24, &flags, 8);
        memcpy(h + 56, &magic, 4);
}

static void test_header(void **state _unused_) {
        uint8_t h[IMAGE_HEADER_SIZE];
        struct image_header i;
        const char *why = NULL;

        make_header(h, 0, 0x28d0000, 0xa);
        assert_ok(image_header_parse(h, sizeof(h), &i, &why));
        assert_int_equal(i.text_offset, 0);
        assert_int_equal(i.image_size, 0x28d0000);

        make_header(h, 0x80000, 4096, 0xa);
        assert_ok(image_header_parse(h, sizeof(h), &i, &why));
        assert_int_equal(i.text_offset, 0x80000);

        assert_int_equal(image_header_parse(h, sizeof(h) - 1, &i, &why), -EINVAL);
        assert_int_equal(image_header_parse(h, 0, &i, &why), -EINVAL);
        make_header(h, 0, 0, 0xa);
        assert_int_equal(image_header_parse(h, sizeof(h), &i, &why), -EINVAL);
        make_header(h, 0, 4096, 0xb); /* big-endian */
        assert_int_equal(image_header_parse(h, sizeof(h), &i, &why), -EINVAL);
        make_header(h, 0, 4096, 0x6); /* 64 KiB pages */
        assert_int_equal(image_header_parse(h, sizeof(h), &i, &why), -EINVAL);
        make_header(h, 0x800, 4096, 0xa);
        assert_int_equal(image_header_parse(h, sizeof(h), &i, &why), -EINVAL);
        make_header(h, UINT64_MAX & ~UINT64_C(0xfff), 4096, 0xa);
        assert_int_equal(image_header_parse(h, sizeof(h), &i, &why), -EINVAL);
        make_header(h, 0, 4096, 0xa);
        h[56] = 'x';
        assert_int_equal(image_header_parse(h, sizeof(h), &i, &why), -EINVAL);
}

static void test_header_names_compression(void **state _unused_) {
        uint8_t gzip[IMAGE_HEADER_SIZE] = { 0x1f, 0x8b }, zboot[IMAGE_HEADER_SIZE] = "MZ\0\0zimg";
        struct image_header i;
        const char *why;

        assert_int_equal(image_header_parse(gzip, sizeof(gzip), &i, &why), -EINVAL);
        assert_non_null(strstr(why, "gzip"));
        assert_int_equal(image_header_parse(zboot, sizeof(zboot), &i, &why), -EINVAL);
        assert_non_null(strstr(why, "zboot"));
}

static void test_memory(void **state _unused_) {
        struct guest_layout l;

        assert_ok(guest_layout_memory(512 * MIB, &l));
        assert_int_equal(l.s2sz, 33);
        assert_int_equal(l.shared_offset, 4 * GIB);
        assert_int_equal(l.qemu_memory, 4 * GIB + 512 * MIB);
        /* RAM must end below the top bit: 3 GiB is the last that fits 33 bits. */
        assert_ok(guest_layout_memory(3 * GIB, &l));
        assert_int_equal(l.s2sz, 33);
        assert_ok(guest_layout_memory(3 * GIB + 2 * MIB, &l));
        assert_int_equal(l.s2sz, 34);
        assert_ok(guest_layout_memory(GUEST_MEMORY_MAX, &l));
        assert_int_equal(l.s2sz, 40);

        assert_int_equal(guest_layout_memory(0, &l), -EINVAL);
        assert_int_equal(guest_layout_memory(1 * MIB, &l), -EINVAL);
        assert_int_equal(guest_layout_memory(512 * MIB + 4096, &l), -EINVAL);
        assert_int_equal(guest_layout_memory(GUEST_MEMORY_MAX + 2 * MIB, &l), -EINVAL);
        assert_int_equal(guest_layout_memory(UINT64_MAX & ~(2 * MIB - 1), &l), -EINVAL);
}

static void test_plan(void **state _unused_) {
        const struct image_header image = { .text_offset = 0, .image_size = 0x28d0000 };
        struct guest_layout l;

        assert_ok(guest_layout_plan(512 * MIB, &image, 0x27dbfc0, 5 * MIB + 1, 4096, &l));
        assert_int_equal(l.kernel, 0x40200000);
        assert_int_equal(l.entry, l.kernel);
        assert_int_equal(l.initrd % (2 * MIB), 0);
        assert_true(l.initrd >= l.kernel + image.image_size);
        assert_true(l.dtb >= l.initrd + 5 * MIB + 1);
        assert_int_equal(l.dtb % (2 * MIB), 0);
        assert_true(l.dtb + 4096 <= l.ram_base + l.ram_size);

        assert_ok(guest_layout_plan(512 * MIB, &image, 0x27dbfc0, 0, 4096, &l));
        assert_int_equal(l.initrd, 0);
        assert_int_equal(l.initrd_size, 0);
}

static void test_plan_fills_memory_exactly(void **state _unused_) {
        const struct image_header image = { .image_size = 2 * MIB };
        struct guest_layout l;

        /* 2 MiB in front, kernel, initrd, device tree: the last page is the limit. */
        assert_ok(guest_layout_plan(64 * MIB, &image, 1, 58 * MIB, 2 * MIB, &l));
        assert_int_equal(l.dtb + 2 * MIB, l.ram_base + l.ram_size);
        assert_int_equal(guest_layout_plan(64 * MIB, &image, 1, 58 * MIB, 2 * MIB + 1, &l), -ENOSPC);
        assert_int_equal(guest_layout_plan(64 * MIB, &image, 1, 58 * MIB + 1, 2 * MIB, &l), -ENOSPC);
}

static void test_plan_does_not_wrap(void **state _unused_) {
        struct image_header image = { .image_size = UINT64_MAX };
        struct guest_layout l;

        assert_int_equal(guest_layout_plan(512 * MIB, &image, 1, 0, 4096, &l), -ENOSPC);
        image.image_size = 4096;
        assert_int_equal(guest_layout_plan(512 * MIB, &image, UINT64_MAX, 0, 4096, &l), -ENOSPC);
        assert_int_equal(guest_layout_plan(512 * MIB, &image, 1, UINT64_MAX, 4096, &l), -ENOSPC);
        assert_int_equal(guest_layout_plan(512 * MIB, &image, 1, 0, UINT64_MAX, &l), -ENOSPC);
}

static void test_mpidr(void **state _unused_) {
        assert_int_equal(guest_mpidr(0), 0);
        assert_int_equal(guest_mpidr(15), 15);
        assert_int_equal(guest_mpidr(16), 0x100);
        assert_int_equal(guest_mpidr(35), 0x203);
}

static void test_locked(void **state _unused_) {
        assert_true(guest_locked_memory(512 * MIB, 2) > GIB);
        assert_true(guest_locked_memory(GUEST_MEMORY_MAX, GUEST_VCPUS_MAX) > 2 * GUEST_MEMORY_MAX);
}

static void test_sizes(void **state _unused_) {
        char buf[32];
        uint64_t v;

        assert_ok(parse_size("512M", &v));
        assert_int_equal(v, 512 * MIB);
        assert_ok(parse_size("2g", &v));
        assert_int_equal(v, 2 * GIB);
        assert_ok(parse_size("4096", &v));
        assert_int_equal(v, 4096);
        assert_int_equal(parse_size("", &v), -EINVAL);
        assert_int_equal(parse_size("M", &v), -EINVAL);
        assert_int_equal(parse_size("-1M", &v), -EINVAL);
        assert_int_equal(parse_size("1.5G", &v), -EINVAL);
        assert_int_equal(parse_size(" 1", &v), -EINVAL);
        assert_int_equal(parse_size("18446744073709551616", &v), -ERANGE);
        assert_int_equal(parse_size("99999999999T", &v), -ERANGE);
        assert_string_equal(format_size(buf, 512 * MIB), "512M");
        assert_string_equal(format_size(buf, GIB + GIB / 2), "1.5G");
        assert_string_equal(format_size(buf, 0), "0B");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_header),
                cmocka_unit_test(test_header_names_compression),
                cmocka_unit_test(test_memory),
                cmocka_unit_test(test_plan),
                cmocka_unit_test(test_plan_fills_memory_exactly),
                cmocka_unit_test(test_plan_does_not_wrap),
                cmocka_unit_test(test_mpidr),
                cmocka_unit_test(test_locked),
                cmocka_unit_test(test_sizes),
        };

        return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
