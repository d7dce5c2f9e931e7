/* SPDX-License-Identifier: Apache-2.0 */
#include "../../libkcore/tests/test.h"
#include "../qemu-argv.h"

static const struct qemu_launch launch = { .launch_fd = 40, .agent_fd = 41, .monitor_fd = 42, .memory = UINT64_C(5) << 30, .vcpus = 2 };

#define UUID "c7a5fdbd-edaf-9455-926a-d65c16db1809"
#define RAM "{\"qom-type\":\"memory-backend-ram\",\"id\":\"mach-virt.ram\",\"size\":536870912}"

/* What libvirt 11.3 writes, less devices. */
static const char *const good[] = {
        "/usr/bin/kcore-qemu", "-name", "guest=web,debug-threads=on", "-S",
        "-object", "{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\",\"file\":\"/var/lib/libvirt/master-key.aes\"}",
        "-machine", "virt-10.0,usb=off,gic-version=3,dump-guest-core=off,memory-backend=mach-virt.ram,acpi=off",
        "-accel", "kvm", "-cpu", "host", "-m", "size=524288k", "-object", RAM, "-overcommit", "mem-lock=off",
        "-smp", "2,sockets=2,cores=1,threads=1", "-uuid", UUID, "-display", "none", "-no-user-config", "-nodefaults",
        "-chardev", "socket,id=charmonitor,fd=27,server=on,wait=off", "-mon", "chardev=charmonitor,id=monitor,mode=control",
        "-rtc", "base=utc", "-no-shutdown", "-boot", "strict=on",
        "-device", "{\"driver\":\"virtio-blk-pci\",\"bus\":\"pcie.0\",\"addr\":\"0x1\",\"drive\":\"libvirt-1-format\",\"id\":\"virtio-disk0\"}",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", "-msg", "timestamp=on", NULL,
};

/* good, with the word `from` replaced by `to`, or by nothing. */
static char **changed(const char *from, const char *to) {
        char **l = NULL;
        bool found = false;

        for (size_t i = 0; good[i]; i++)
                if (from && streq(good[i], from)) {
                        found = true;
                        if (to)
                                assert_ok(strv_extend(&l, to));
                } else
                        assert_ok(strv_extend(&l, good[i]));
        assert_true(found || !from);
        return l;
}

static const char *after(char **argv, const char *option, const char *prefix) {
        for (size_t i = 0; argv[i]; i++)
                if (streq(argv[i], option) && argv[i + 1] && strncmp(argv[i + 1], prefix, strlen(prefix)) == 0)
                        return argv[i + 1];
        return "";
}

static void test_protect(void **state _unused_) {
        _cleanup_strv_free_ char **argv = changed(NULL, NULL), **out = NULL;
        _cleanup_free_ char *error = NULL;

        if (qemu_argv_protect(argv, "/qemu", &launch, &out, &error) < 0)
                fail_msg("%s", error);
        assert_string_equal(out[0], "/qemu");
        assert_string_equal(after(out, "-accel", ""), "kvm,device=/dev/fdset/4096");
        assert_string_equal(after(out, "-m", ""), "size=5242880k");
        assert_string_equal(after(out, "-smp", ""), "2,sockets=2,cores=1,threads=1");
        assert_non_null(strstr(after(out, "-machine", ""), ",acpi=off,gic-version=3,its=off,"));
        assert_non_null(strstr(after(out, "-object", "{\"qom-type\":\"memory"), "\"size\":5368709120"));
        assert_non_null(strstr(after(out, "-object", "{\"qom-type\":\"memory"), "\"reserve\":false"));
        assert_string_equal(after(out, "-object", "{\"qom-type\":\"secret"), good[5]);
        assert_string_equal(after(out, "-add-fd", ""), "fd=40,set=4096,opaque=/dev/kcore");
        assert_string_equal(after(out, "-global", "virtio-device"), "virtio-device.iommu_platform=on");
        assert_non_null(strstr(after(out, "-chardev", "socket,id=kcore-agent"), "fd=41,"));
        assert_non_null(strstr(after(out, "-chardev", "socket,id=kcore-monitor"), "fd=42,"));
        /* Everything that was there is there, in its order. */
        assert_string_equal(out[1], "-name");
        assert_string_equal(after(out, "-msg", ""), "timestamp=on");
        assert_true(strv_length(out) > strv_length(argv));
}

static void expect_refused(char **argv, const char *words) {
        _cleanup_strv_free_ char **out = NULL;
        _cleanup_free_ char *error = NULL;

        assert_int_equal(qemu_argv_protect(argv, "/qemu", &launch, &out, &error), -EINVAL);
        assert_null(out);
        if (!error || !strstr(error, words) || strchr(error, '\n'))
                fail_msg("\"%s\" does not say \"%s\" in one line", strempty(error), words);
        strv_free(argv);
}

static char **with(const char *a, const char *b) {
        char **l = changed(NULL, NULL);

        assert_ok(strv_extend(&l, a));
        if (b)
                assert_ok(strv_extend(&l, b));
        return l;
}

static void test_refusals(void **state _unused_) {
        /* Not KVM, or not ours. */
        expect_refused(changed("kvm", "tcg"), "must be of type kvm");
        expect_refused(changed("kvm", "kvm,device=/dev/kvm"), "must be of type kvm");
        expect_refused(with("-accel", "kvm"), "twice");
        expect_refused(with("--accel", "tcg"), "twice");
        expect_refused(with("-enable-kvm", "x"), "not understood");
        expect_refused(with("-machine", "virt,accel=tcg"), "twice");
        expect_refused(with("-M", "virt"), "twice");
        expect_refused(changed(good[7], "virt,accel=tcg,memory-backend=mach-virt.ram"), "accel=");
        expect_refused(changed(good[7], "pc,memory-backend=mach-virt.ram"), "must be virt");
        expect_refused(changed(good[7], "virtual,memory-backend=mach-virt.ram"), "must be virt");
        expect_refused(changed(good[7], "virt,gic-version=3"), "memory-backend");
        expect_refused(changed(good[7], "virt,pflash0=x,memory-backend=mach-virt.ram"), "<loader>");
        /* What the image says. */
        expect_refused(with("-kernel", "/boot/vmlinuz"), "<kernel>");
        expect_refused(with("--initrd", "/boot/initrd"), "<initrd>");
        expect_refused(with("-append", "quiet"), "<cmdline>");
        expect_refused(with("-bios", "x"), "<loader>");
        expect_refused(with("-dtb", "x"), "device tree");
        expect_refused(with("-numa", "node"), "NUMA");
        expect_refused(with("-device", "{\"driver\":\"pcie-root-port\",\"port\":8,\"id\":\"pci.1\",\"bus\":\"pcie.0\"}"), "kcorectl define");
        expect_refused(with("-device", "pcie-pci-bridge,id=pci.2"), "kcorectl define");
        expect_refused(changed("2,sockets=2,cores=1,threads=1", "3"), "2 vCPUs");
        expect_refused(changed("2,sockets=2,cores=1,threads=1", "2,maxcpus=4"), "current");
        expect_refused(changed("2,sockets=2,cores=1,threads=1", ""), "2 vCPUs");
        /* State from elsewhere, and eyes. */
        expect_refused(with("-incoming", "defer"), "restored or migrated");
        expect_refused(with("-loadvm", "a"), "restored");
        expect_refused(with("-gdb", "tcp::1"), "debugged");
        expect_refused(with("-s", NULL), "debugged");
        expect_refused(with("-readconfig", "x"), "looked at");
        /* Memory that is not plain. */
        expect_refused(changed("size=524288k", "size=524288k,slots=4,maxmem=1048576k"), "can not grow");
        expect_refused(changed(RAM, "{\"qom-type\":\"memory-backend-memfd\",\"id\":\"mach-virt.ram\",\"size\":1}"), "anonymous");
        expect_refused(changed(RAM, "{\"qom-type\":\"memory-backend-ram\",\"id\":\"other\",\"size\":1}"), "one memory");
        expect_refused(changed(RAM, "memory-backend-ram,id=mach-virt.ram,size=1"), "not known");
        expect_refused(changed(RAM, "{\"qom-type\":1}"), "no id or type");
        expect_refused(changed(RAM, "{"), "not JSON");
        expect_refused(with("-object", RAM), "twice");
        /* Something is missing. */
        expect_refused(changed("-smp", "-x-smp"), "no -smp");
        expect_refused(changed("-accel", "-x-accel"), "no -accel");
        expect_refused(with("-smp", NULL), "not understood");
}

static bool probe(const char *a, const char *b, const char *c) {
        const char *argv[] = { "kcore-qemu", a, b, c, NULL };

        return qemu_argv_is_probe((char *const *) argv);
}

static void test_probe(void **state _unused_) {
        static const char *const capabilities[] = { "kcore-qemu", "-S", "-no-user-config", "-nodefaults", "-nographic",
                "-machine", "none,accel=kvm:tcg", "-qmp", "unix:/x,server=on,wait=off", "-pidfile", "/x.pid", "-daemonize", NULL };

        assert_true(qemu_argv_is_probe((char *const *) capabilities));
        assert_true(probe("-M", "none", NULL));
        assert_true(probe("-version", NULL, NULL));
        assert_true(probe("--help", NULL, NULL));
        assert_false(probe("-version", "-M", "virt"));
        assert_false(probe("-machine", "virt", NULL));
        assert_false(probe("-machine", "nonesuch", NULL));
        assert_false(probe("-machine", NULL, NULL));
        assert_false(probe(NULL, NULL, NULL));
        /* A guest is never taken for a probe. */
        for (size_t i = 0; good[i]; i++) {
                _cleanup_strv_free_ char **argv = changed(NULL, NULL);

                assert_false(qemu_argv_is_probe(argv));
        }
        {
                _cleanup_strv_free_ char **argv = with("-machine", "none");

                assert_false(qemu_argv_is_probe(argv));
        }
        {
                const char *two[] = { "kcore-qemu", "-machine", "none", "-machine", "virt", NULL };

                assert_false(qemu_argv_is_probe((char *const *) two));
        }
}

static int uuid_of(char **argv, sd_id128_t *ret) {
        _cleanup_free_ char *error = NULL;
        int r = qemu_argv_uuid(argv, ret, &error);

        assert_true(r == 0 || (error && !strchr(error, '\n')));
        strv_free(argv);
        return r;
}

static void test_uuid(void **state _unused_) {
        sd_id128_t uuid;

        assert_int_equal(uuid_of(changed(NULL, NULL), &uuid), 0);
        assert_int_equal(uuid.bytes[0], 0xc7);
        assert_int_equal(uuid_of(changed(UUID, "zz"), &uuid), -EINVAL);
        assert_int_equal(uuid_of(changed(UUID, "00000000-0000-0000-0000-000000000000"), &uuid), -EINVAL);
        assert_int_equal(uuid_of(with("-uuid", UUID), &uuid), -EINVAL);
        assert_int_equal(uuid_of(changed("-uuid", "-x"), &uuid), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_protect),
                cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_probe),
                cmocka_unit_test(test_uuid),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
