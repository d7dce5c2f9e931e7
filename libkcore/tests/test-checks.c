/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <ftw.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "../checks.h"
#include "../qemu-cmdline.h"

static const struct platform_needs needs = { .memory = 512 * MIB, .vcpus = 1 };

/* A machine on which all is well. */
static struct platform_facts good(void) {
        struct platform_facts f = {
                .machine = "aarch64",
                .release = "6.12.0-kcore",
                .kernel_support = 1,
                .info = { .api_version = KCORE_API_VERSION, .core_version = 0x10000, .core_features = 1 },
                .kvm_present = true,
                .qemu_version = 100013,
                .qemu_version_string = "10.0.13",
                .systemd_running = true,
                .limits_free = true,
                .memlock_max = 8 * MIB,
                .memory_available = 2 * GIB,
        };

        return f;
}

static const struct check_result *find(const struct check_report *r, const char *id) {
        for (size_t i = 0; i < r->n; i++)
                if (streq(r->results[i].id, id))
                        return &r->results[i];
        fail_msg("no check %s", id);
        return NULL;
}

static void expect_failure(const struct platform_facts *f, const char *id, const char *words) {
        struct check_report r;
        const struct check_result *c;

        assert_ok(checks_run(f, &needs, &r));
        c = check_report_first_failure(&r);
        assert_non_null(c);
        assert_string_equal(c->id, id);
        if (!strstr(c->message, words))
                fail_msg("\"%s\" does not say \"%s\"", c->message, words);
        assert_true(strlen(c->fix) > 10);
        check_report_done(&r);
}

static void test_good(void **state _unused_) {
        struct platform_facts f = good();
        struct check_report r;

        assert_ok(checks_run(&f, &needs, &r));
        assert_null(check_report_first_failure(&r));
        for (size_t i = 0; i < r.n; i++)
                assert_int_equal(r.results[i].status, CHECK_OK);
        check_report_done(&r);
}

static void test_each_failure(void **state _unused_) {
        struct platform_facts f;

        f = good(), strcpy(f.machine, "x86_64");
        expect_failure(&f, "machine", "x86_64");
        f = good(), f.device_error = -ENOENT, f.kernel_support = 0;
        expect_failure(&f, "kernel", "without KCore support");
        f = good(), f.device_error = -ENOENT, f.kernel_support = -ENOENT;
        expect_failure(&f, "kernel", "can not be read");
        f = good(), f.device_error = -ENOENT;
        expect_failure(&f, "core", "owns EL2 itself");
        f = good(), f.device_error = -ENOENT, f.kvm_present = false;
        expect_failure(&f, "core", "no access to EL2");
        f = good(), f.device_error = -EACCES;
        expect_failure(&f, "device", "permission denied");
        f = good(), f.device_error = -EMFILE;
        expect_failure(&f, "device", "Too many open files");
        f = good(), f.info_error = -ENOTTY;
        expect_failure(&f, "device", "does not tell");
        f = good(), f.info.api_version = 7;
        expect_failure(&f, "device", "version 7");
        f = good(), f.info.core_features = 0;
        expect_failure(&f, "dma", "no SMMU");
        f = good(), f.kvm_present = false;
        expect_failure(&f, "kvm", "/dev/kvm");
        f = good(), f.memory_available = 100 * MIB;
        expect_failure(&f, "memory", "100M are available");
        f = good(), f.qemu_error = -ENOENT;
        expect_failure(&f, "qemu", "not installed");
        f = good(), f.qemu_error = -EACCES;
        expect_failure(&f, "qemu", "does not run");
        f = good(), f.qemu_version = 70219, strcpy(f.qemu_version_string, "7.2.19");
        expect_failure(&f, "qemu", "QEMU 7.2.19 is too old: version 8.2");
        f = good(), f.overcommit = 2;
        expect_failure(&f, "overcommit", "vm.overcommit_memory");
        f = good(), f.systemd_running = false;
        expect_failure(&f, "systemd", "not the service manager");
        f = good(), f.limits_free = false;
        expect_failure(&f, "memlock", "8M are allowed");
}

static void test_children_are_skipped(void **state _unused_) {
        struct platform_facts f = good();
        struct check_report r;

        f.device_error = -ENOENT;
        f.kernel_support = 0;
        assert_ok(checks_run(&f, &needs, &r));
        assert_int_equal(find(&r, "machine")->status, CHECK_OK);
        assert_int_equal(find(&r, "kernel")->status, CHECK_FAIL);
        assert_int_equal(find(&r, "core")->status, CHECK_SKIP);
        assert_int_equal(find(&r, "device")->status, CHECK_SKIP);
        assert_null(find(&r, "device")->message);
        assert_int_equal(find(&r, "qemu")->status, CHECK_OK);
        assert_int_equal(find(&r, "device")->depth, 3);
        check_report_done(&r);
}

static void test_needs_count(void **state _unused_) {
        struct platform_facts f = good();
        struct check_report r;

        assert_ok(checks_run(&f, &(struct platform_needs) { .memory = 4 * GIB, .vcpus = 1 }, &r));
        assert_string_equal(check_report_first_failure(&r)->id, "memory");
        check_report_done(&r);
        f.limits_free = false;
        f.memlock_max = UINT64_MAX;
        assert_ok(checks_run(&f, &needs, &r));
        assert_null(check_report_first_failure(&r));
        check_report_done(&r);
}

static void expect_libvirt(const struct libvirt_facts *l, const char *id, CheckStatus status, const char *words) {
        struct platform_facts f = { .libvirt = *l };
        struct check_report r;

        assert_ok(checks_run_libvirt(&f, &r));
        for (size_t i = 0; i < r.n; i++) {
                const struct check_result *c = &r.results[i];
                /* Nothing else is wrong; what depends on what is not ok is skipped. */
                CheckStatus expected = streq(c->id, id) ? status :
                        streq(id, "libvirt") && status != CHECK_OK ? CHECK_SKIP : CHECK_OK;

                assert_int_equal(c->status, expected);
                assert_int_equal(c->depth, i > 0);
        }
        if (!strstr(find(&r, id)->message, words))
                fail_msg("\"%s\" does not say \"%s\"", find(&r, id)->message, words);
        assert_true(status != CHECK_FAIL || strstr(find(&r, id)->fix, "kcore-libvirt"));
        check_report_done(&r);
}

static void test_libvirt(void **state _unused_) {
        static const struct libvirt_facts all = { .apparmor = true };
        struct libvirt_facts l;

        expect_libvirt(&all, "libvirt", CHECK_OK, "installed");
        l = all, l.daemon = -ENOENT;
        expect_libvirt(&l, "libvirt", CHECK_SKIP, "libvirt is not installed");
        l = all, l.emulator = l.hook = -ENOENT;
        expect_libvirt(&l, "libvirt", CHECK_SKIP, "kcore-libvirt is not installed");
        l = all, l.emulator = -ENOENT;
        expect_libvirt(&l, "emulator", CHECK_FAIL, "No such file");
        l = all, l.hook = -ENOENT;
        expect_libvirt(&l, "hook", CHECK_FAIL, "/etc/libvirt/hooks/qemu.d/kcore");
        l = all, l.hook = -EACCES; /* mode 0644: libvirt passes it over */
        expect_libvirt(&l, "hook", CHECK_FAIL, "Permission denied");
        l = all, l.hook_program = -ENOENT;
        expect_libvirt(&l, "hook", CHECK_FAIL, "kcore-libvirt-hook");
        l = all, l.apparmor_rules = -ENOENT;
        expect_libvirt(&l, "apparmor", CHECK_FAIL, "AppArmor forbids");
        l.apparmor = false;
        expect_libvirt(&l, "apparmor", CHECK_OK, "AppArmor is off");
}

static void make_file(const char *root, const char *path, const char *text, mode_t mode) {
        _cleanup_free_ char *p = NULL;

        assert_true(asprintf(&p, "%s%s", root, path) > 0);
        for (char *slash = p + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
                *slash = 0;
                assert_true(mkdir(p, 0755) == 0 || errno == EEXIST);
                *slash = '/';
        }
        assert_ok(write_file_atomic(p, text, mode));
}

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *ftw _unused_) {
        return remove(path);
}

static void test_libvirt_is_found(void **state _unused_) {
        char root[] = "/tmp/kcore-checks-XXXXXX";
        struct libvirt_facts l;

        assert_non_null(mkdtemp(root));
        libvirt_facts_read(root, &l);
        assert_int_equal(l.daemon, -ENOENT);
        assert_int_equal(l.emulator, -ENOENT);
        assert_int_equal(l.hook, -ENOENT);
        assert_int_equal(l.hook_program, -ENOENT);
        assert_int_equal(l.apparmor_rules, -ENOENT);
        assert_false(l.apparmor);

        make_file(root, "/usr/sbin/virtqemud", "x", 0755);
        make_file(root, LIBVIRT_EMULATOR, "x", 0755);
        make_file(root, LIBVIRT_HOOK, "x", 0644);
        make_file(root, LIBVIRT_HOOK_PROGRAM, "x", 0755);
        make_file(root, LIBVIRT_APPARMOR_RULES, "x", 0644);
        make_file(root, "/sys/module/apparmor/parameters/enabled", "Y\n", 0644);
        libvirt_facts_read(root, &l);
        assert_int_equal(l.daemon, 0);
        assert_int_equal(l.emulator, 0);
        assert_int_equal(l.hook, -EACCES);
        assert_int_equal(l.hook_program, 0);
        assert_int_equal(l.apparmor_rules, 0);
        assert_true(l.apparmor);
        assert_ok(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS));
}

static void test_versions(void **state _unused_) {
        unsigned v;

        assert_ok(qemu_version_parse("QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)", &v));
        assert_int_equal(v, 100013);
        assert_ok(qemu_version_parse("QEMU emulator version 8.2", &v));
        assert_true(v >= QEMU_VERSION_MIN);
        assert_ok(qemu_version_parse("QEMU emulator version 8.1.99", &v));
        assert_true(v < QEMU_VERSION_MIN);
        assert_int_equal(qemu_version_parse("", &v), -EINVAL);
        assert_int_equal(qemu_version_parse("QEMU emulator version x", &v), -EINVAL);
        assert_int_equal(qemu_version_parse("bash 5.2", &v), -EINVAL);
}

/* On this very machine: what is seen must be what is true. */
static void test_this_machine(void **state _unused_) {
        struct platform_facts f;
        struct utsname u;

        uname(&u);
        platform_facts_read("/nonexistent/qemu", &f);
        assert_string_equal(f.machine, u.machine);
        assert_int_equal(f.qemu_error, -ENOENT);
        assert_true(f.memory_available > 0);
        platform_facts_read("/bin/true", &f); /* runs, but says nothing */
        assert_int_equal(f.qemu_error, -EINVAL);
        if (access(QEMU_BINARY, X_OK) >= 0) {
                platform_facts_read(QEMU_BINARY, &f);
                assert_int_equal(f.qemu_error, 0);
                assert_true(f.qemu_version >= 70000);
        }
}

static void test_json(void **state _unused_) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        struct platform_facts f = good();
        struct check_report r;
        sd_json_variant *c;

        strcpy(f.machine, "riscv64");
        assert_ok(checks_run(&f, &needs, &r));
        assert_ok(check_report_to_json(&r, &v));
        assert_int_equal(sd_json_variant_elements(v), r.n);
        c = sd_json_variant_by_index(v, 0);
        assert_string_equal(sd_json_variant_string(sd_json_variant_by_key(c, "status")), "fail");
        assert_non_null(sd_json_variant_by_key(c, "fix"));
        c = sd_json_variant_by_index(v, 1);
        assert_string_equal(sd_json_variant_string(sd_json_variant_by_key(c, "status")), "skip");
        assert_null(sd_json_variant_by_key(c, "fix"));
        check_report_done(&r);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_each_failure),
                cmocka_unit_test(test_children_are_skipped),
                cmocka_unit_test(test_needs_count),
                cmocka_unit_test(test_libvirt),
                cmocka_unit_test(test_libvirt_is_found),
                cmocka_unit_test(test_versions),
                cmocka_unit_test(test_this_machine),
                cmocka_unit_test(test_json),
        };

        return cmocka_run_group_tests_name("checks", tests, NULL, NULL);
}
