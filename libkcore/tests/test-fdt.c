/* SPDX-License-Identifier: Apache-2.0 */

/* The device tree is looked at with the tools that everybody uses: dtc must read it without complaint, and
 * fdtget must find what a kernel will look for. */

#include "test.h"

#include <sys/wait.h>

#include "../fdt-build.h"
#include "../guest-config.h"

static char dtb_path[] = "/tmp/kcore-fdt-XXXXXX";

static void write_dtb(const struct fdt_input *in) {
        _cleanup_free_ void *dtb = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        size_t size;

        assert_ok(guest_fdt_build(in, &dtb, &size));
        assert_true(size <= GUEST_DTB_MAX);
        f = fopen(dtb_path, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(dtb, 1, size, f), size);
}

/* Output of a shell command, without the newline at the end. Fails the test if the command fails. */
static char *output(const char *format, ...) {
        _cleanup_free_ char *command = NULL;
        char *out = calloc(1, 65536);
        va_list ap;
        size_t n;
        FILE *p;

        va_start(ap, format);
        assert_true(vasprintf(&command, format, ap) >= 0);
        va_end(ap);
        p = popen(command, "r");
        assert_non_null(p);
        n = fread(out, 1, 65535, p);
        if (pclose(p) != 0)
                fail_msg("%s: %s", command, out);
        while (n > 0 && out[n - 1] == '\n')
                out[--n] = 0;
        return out;
}

static void expect(const char *type, const char *node, const char *property, const char *value) {
        _cleanup_free_ char *s = output("fdtget -t %s %s %s %s", type, dtb_path, node, property);

        assert_string_equal(s, value);
}

static void plan(uint64_t memory, uint64_t initrd, struct guest_layout *l) {
        const struct image_header image = { .image_size = 40 * MIB };

        assert_ok(guest_layout_plan(memory, &image, 39 * MIB, initrd, GUEST_DTB_MAX, l));
}

static void test_dtc_is_content(void **state _unused_) {
        _cleanup_free_ char *warnings = NULL;
        struct guest_layout l;

        plan(512 * MIB, 3 * MIB, &l);
        write_dtb(&(struct fdt_input) { .layout = &l, .vcpus = 123, .bootargs = "console=ttyAMA0" });
        /* The addresses of the interrupt controller's (absent) children make it say something. */
        warnings = output("dtc -I dtb -O dts -o /dev/null %s 2>&1 | grep -v avoid_unnecessary_addr_size || true", dtb_path);
        assert_string_equal(warnings, "");
}

static void test_content(void **state _unused_) {
        struct guest_layout l;

        plan(512 * MIB, 3 * MIB, &l);
        write_dtb(&(struct fdt_input) { .layout = &l, .vcpus = 2, .bootargs = "root=/dev/vda \"quoted\" ro" });

        expect("x", "/memory@40000000", "reg", "0 40000000 0 20000000");
        expect("s", "/psci", "method", "smc");
        expect("s", "/psci", "compatible", "arm,psci-1.0 arm,psci-0.2");
        expect("s", "/cpus/cpu@0", "enable-method", "psci");
        expect("s", "/cpus/cpu@1", "enable-method", "psci");
        expect("x", "/cpus/cpu@1", "reg", "1");
        expect("s", "/chosen", "bootargs", "swiotlb=16384 root=/dev/vda \"quoted\" ro");
        expect("s", "/chosen", "stdout-path", "/pl011@9000000");
        expect("x", "/chosen", "linux,initrd-start", "0 42a00000");
        expect("x", "/chosen", "linux,initrd-end", "0 42d00000");
        expect("x", "/intc@8000000", "reg", "0 8000000 0 10000 0 80a0000 0 f60000");
        expect("x", "/timer", "interrupts", "1 d 4 1 e 4 1 b 4 1 a 4");
        expect("x", "/pl011@9000000", "interrupts", "0 1 4");
        expect("x", "/pl031@9010000", "interrupts", "0 2 4");
        expect("x", "/pl061@9030000", "interrupts", "0 7 4");
        expect("x", "/pcie@10000000", "reg", "0 3f000000 0 1000000");
        expect("x", "/pcie@10000000", "bus-range", "0 f");
        expect("x", "/pcie@10000000", "ranges",
               "1000000 0 0 0 3eff0000 0 10000 2000000 0 10000000 0 10000000 0 2eff0000");
        expect("u", "/gpio-keys/poweroff", "linux,code", "116");
}

static void test_interrupt_map(void **state _unused_) {
        _cleanup_free_ char *s = NULL;
        struct guest_layout l;
        unsigned row[10];
        int offset = 0, n;

        plan(512 * MIB, 0, &l);
        write_dtb(&(struct fdt_input) { .layout = &l, .vcpus = 1 });
        s = output("fdtget -t x %s /pcie@10000000 interrupt-map", dtb_path);
        for (unsigned i = 0; i < 16; i++) {
                assert_int_equal(
                                sscanf(s + offset, "%x %x %x %x %x %x %x %x %x %x%n", row, row + 1, row + 2, row + 3, row + 4,
                                       row + 5, row + 6, row + 7, row + 8, row + 9, &n),
                                10);
                offset += n;
                assert_int_equal(row[0], (i / 4) << 11);
                assert_int_equal(row[3], i % 4 + 1);
                assert_int_equal(row[7], 0);
                assert_int_equal(row[8], 3 + (i / 4 + i % 4) % 4); /* QEMU: SPI 3.. by slot and pin */
                assert_int_equal(row[9], 4);
        }
        assert_int_equal(strlen(s), offset);
}

static void test_absent_parts(void **state _unused_) {
        _cleanup_free_ char *dts = NULL;
        struct guest_layout l;

        plan(512 * MIB, 0, &l);
        write_dtb(&(struct fdt_input) { .layout = &l, .vcpus = 1 });
        dts = output("dtc -q -I dtb -O dts %s", dtb_path);
        /* No initrd, nothing that a host could know or influence, no device that is not for realms. */
        assert_null(strstr(dts, "initrd"));
        assert_null(strstr(dts, "seed"));
        assert_null(strstr(dts, "earlycon"));
        assert_null(strstr(dts, "fw-cfg"));
        assert_null(strstr(dts, "virtio_mmio"));
        assert_null(strstr(dts, "its@"));
        assert_null(strstr(dts, "hvc"));
}

static void test_clusters_and_large_memory(void **state _unused_) {
        struct guest_layout l;

        plan(6 * GIB, 0, &l);
        assert_int_equal(l.s2sz, 34);
        write_dtb(&(struct fdt_input) { .layout = &l, .vcpus = 18, .earlycon = true, .bootargs = "x" });
        expect("x", "/memory@40000000", "reg", "0 40000000 1 80000000");
        expect("x", "/cpus/cpu@101", "reg", "101");
        expect("s", "/chosen", "bootargs", "earlycon=pl011,mmio32,0x209000000 swiotlb=131072 x");
}

/* Without enough of them a guest's first large disk request waits for ever; the tenant's own number stands. */
static void test_bounce_buffers(void **state _unused_) {
        static const struct {
                uint64_t memory;
                const char *given, *want;
        } cases[] = {
                { 64 * MIB, "ro", "swiotlb=4096 ro" },
                { 512 * MIB, NULL, "swiotlb=16384" },
                { 1 * GIB, "ro", "swiotlb=32896 ro" }, /* 32768 is Linux's "not given" */
                { 64 * GIB, "ro", "swiotlb=131072 ro" },
                { 512 * MIB, "swiotlb=77 ro", "swiotlb=77 ro" },
                { 512 * MIB, "ro swiotlb=77,force", "ro swiotlb=77,force" },
                { 512 * MIB, "noswiotlb=1", "swiotlb=16384 noswiotlb=1" },
                { 512 * MIB, "\"swiotlb=77\" ro", "\"swiotlb=77\" ro" },
                { 512 * MIB, "x=\"a swiotlb=77\"", "swiotlb=16384 x=\"a swiotlb=77\"" },
                /* What follows -- is not for the kernel. */
                { 512 * MIB, "ro -- /serve", "swiotlb=16384 ro -- /serve" },
                { 512 * MIB, "ro -- swiotlb=77", "swiotlb=16384 ro -- swiotlb=77" },
                { 512 * MIB, "ro --x swiotlb=77 -- y", "ro --x swiotlb=77 -- y" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct guest_layout l;

                plan(cases[i].memory, 0, &l);
                write_dtb(&(struct fdt_input) { .layout = &l, .vcpus = 1, .bootargs = cases[i].given });
                expect("s", "/chosen", "bootargs", cases[i].want);
        }
}

/* Linux would cut the line off, silently: what is measured is what is meant. */
static void test_long_command_line(void **state _unused_) {
        static const struct {
                size_t length;
                const char *end;
                bool early;
                int want;
        } cases[] = {
                { GUEST_APPEND_MAX - strlen("swiotlb=16384 "), "", false, 0 },
                { GUEST_APPEND_MAX - strlen("swiotlb=16384 ") + 1, "", false, -E2BIG },
                { GUEST_APPEND_MAX, " swiotlb=1", false, 0 },
                { GUEST_APPEND_MAX + 1, " swiotlb=1", false, -E2BIG },
                { GUEST_APPEND_MAX, " swiotlb=1", true, -E2BIG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ void *dtb = NULL;
                char line[GUEST_APPEND_MAX + 2];
                struct guest_layout l;
                size_t size;

                memset(line, 'x', cases[i].length);
                strcpy(line + cases[i].length - strlen(cases[i].end), cases[i].end);
                plan(512 * MIB, 0, &l);
                assert_int_equal(guest_fdt_build(&(struct fdt_input) {
                        .layout = &l, .vcpus = 1, .bootargs = line, .earlycon = cases[i].early }, &dtb, &size), cases[i].want);
        }
}

static void test_same_input_same_bytes(void **state _unused_) {
        _cleanup_free_ void *a = NULL, *b = NULL;
        struct guest_layout l;
        size_t na, nb;

        plan(512 * MIB, 4096, &l);
        assert_ok(guest_fdt_build(&(struct fdt_input) { .layout = &l, .vcpus = 4, .bootargs = "a b" }, &a, &na));
        assert_ok(guest_fdt_build(&(struct fdt_input) { .layout = &l, .vcpus = 4, .bootargs = "a b" }, &b, &nb));
        assert_int_equal(na, nb);
        assert_memory_equal(a, b, na);
}

static void test_too_large(void **state _unused_) {
        _cleanup_free_ void *dtb = NULL;
        struct guest_layout l;
        size_t n;

        plan(512 * MIB, 0, &l);
        assert_int_equal(guest_fdt_build(&(struct fdt_input) { .layout = &l, .vcpus = 4096 }, &dtb, &n), -ENOSPC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_dtc_is_content),
                cmocka_unit_test(test_content),
                cmocka_unit_test(test_interrupt_map),
                cmocka_unit_test(test_absent_parts),
                cmocka_unit_test(test_clusters_and_large_memory),
                cmocka_unit_test(test_bounce_buffers),
                cmocka_unit_test(test_long_command_line),
                cmocka_unit_test(test_same_input_same_bytes),
                cmocka_unit_test(test_too_large),
        };
        int r;

        r = mkstemp(dtb_path);
        if (r < 0)
                return 1;
        close(r);
        r = cmocka_run_group_tests_name("fdt", tests, NULL, NULL);
        unlink(dtb_path);
        return r;
}
