/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../qemu-cmdline.h"

static char **build(struct guest_config *c, const struct qemu_fds *fds) {
        struct guest_layout l;
        char **argv = NULL;

        assert_ok(guest_layout_memory(c->memory, &l));
        assert_ok(qemu_cmdline_build("/usr/bin/qemu", c, &l, fds, &argv));
        return argv;
}

static size_t count(char **argv, const char *word) {
        size_t n = 0;

        for (; *argv; argv++)
                n += streq(*argv, word);
        return n;
}

/* Is there "option value"? */
static bool has(char **argv, const char *option, const char *value) {
        for (; argv[0] && argv[1]; argv++)
                if (streq(argv[0], option) && streq(argv[1], value))
                        return true;
        return false;
}

static const struct qemu_fds fds = { .kcore = 3, .qmp = 4, .console = 5, .agent = 9, .tap = 6, .disks = { 7, 8 }, .disk_is_block = { false, true } };

static void test_minimal(void **state _unused_) {
        struct guest_config c = { .name = (char *) "g", .memory = 512 * MIB, .vcpus = 2 };
        _cleanup_strv_free_ char **argv = build(&c, &fds);

        assert_string_equal(argv[0], "/usr/bin/qemu");
        assert_true(has(argv, "-add-fd", "fd=3,set=4096,opaque=/dev/kcore"));
        assert_true(has(argv, "-accel", "kvm,device=/dev/fdset/4096"));
        assert_int_equal(count(argv, "-accel"), 1); /* never a second, unprotected one */
        assert_true(has(argv, "-cpu", "host"));
        assert_true(has(argv, "-smp", "2"));
        assert_true(has(argv, "-m", "4608M"));
        assert_true(has(argv, "-object", "memory-backend-ram,id=ram0,size=4608M,reserve=off,merge=off,dump=off"));
        assert_true(has(argv, "-machine",
                        "virt,gic-version=3,its=off,highmem-ecam=off,highmem-mmio=off,highmem-redists=off,"
                        "mem-merge=off,dump-guest-core=off,memory-backend=ram0"));
        assert_true(has(argv, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"));
        assert_true(has(argv, "-serial", "chardev:console"));
        assert_true(has(argv, "-mon", "chardev=qmp,mode=control"));
        assert_int_equal(count(argv, "-nodefaults"), 1);
        assert_int_equal(count(argv, "-no-user-config"), 1);
        assert_int_equal(count(argv, "-no-reboot"), 1);
        /* QEMU loads nothing. */
        assert_int_equal(count(argv, "-kernel"), 0);
        assert_int_equal(count(argv, "-initrd"), 0);
        assert_int_equal(count(argv, "-append"), 0);
        assert_int_equal(count(argv, "-bios"), 0);
        assert_int_equal(count(argv, "-netdev"), 0);
        /* No device but the power key's keyboard and the port of the agent. */
        assert_int_equal(count(argv, "-device"), 3);
        assert_true(has(argv, "-device", "virtio-keyboard-pci,addr=1e.0,romfile=,disable-legacy=on,iommu_platform=on"));
        assert_true(has(argv, "-chardev", "socket,id=agent,fd=9,server=on,wait=off"));
        assert_true(has(argv, "-device", "virtio-serial-pci,id=serial0,addr=10.0,disable-legacy=on,iommu_platform=on"));
        assert_true(has(argv, "-device", "virtserialport,bus=serial0.0,chardev=agent,name=org.kcore.attest.0"));
}

static void test_devices(void **state _unused_) {
        struct guest_config c = { .name = (char *) "g", .memory = 512 * MIB, .vcpus = 1, .network = GUEST_NETWORK_USER };

        c.uuid.bytes[13] = 0xab, c.uuid.bytes[14] = 0xcd, c.uuid.bytes[15] = 0xef;
        c.n_forwards = 2;
        c.forwards[0] = (struct guest_forward) { 2222, 22 };
        c.forwards[1] = (struct guest_forward) { 8080, 80 };
        c.n_disks = 2;
        c.disks[1].read_only = true;

        _cleanup_strv_free_ char **argv = build(&c, &fds);
        assert_true(has(argv, "-netdev", "user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:8080-:80"));
        assert_true(has(argv, "-device", "virtio-net-pci,netdev=net0,mac=52:54:00:ab:cd:ef,addr=01.0,romfile=,disable-legacy=on,iommu_platform=on"));
        assert_true(has(argv, "-add-fd", "fd=7,set=4100"));
        assert_true(has(argv, "-blockdev", "driver=file,node-name=disk0-file,filename=/dev/fdset/4100,read-only=off,auto-read-only=off,discard=unmap"));
        assert_true(has(argv, "-blockdev", "driver=raw,node-name=disk0,file=disk0-file,read-only=off,discard=unmap"));
        assert_true(has(argv, "-device", "virtio-blk-pci,drive=disk0,addr=02.0,disable-legacy=on,iommu_platform=on"));
        assert_true(has(argv, "-blockdev", "driver=host_device,node-name=disk1-file,filename=/dev/fdset/4101,read-only=on,auto-read-only=off,discard=unmap"));
        assert_true(has(argv, "-device", "virtio-blk-pci,drive=disk1,addr=03.0,disable-legacy=on,iommu_platform=on"));
}

static void test_tap(void **state _unused_) {
        struct guest_config c = { .name = (char *) "g", .memory = 512 * MIB, .vcpus = 1, .network = GUEST_NETWORK_TAP };
        _cleanup_strv_free_ char **argv = build(&c, &fds);

        assert_true(has(argv, "-netdev", "tap,id=net0,fd=6"));
}

/* Nothing that a user chose, but the name, comes near QEMU's option parser. */
static void test_no_injection(void **state _unused_) {
        struct guest_config c = { .name = (char *) "g", .memory = 512 * MIB, .vcpus = 1, .network = GUEST_NETWORK_TAP };

        c.tap = (char *) "EVIL";
        c.append = (char *) "EVIL";
        c.kernel_path = c.initrd_path = (char *) "EVIL";
        c.n_disks = 1;
        c.disks[0].path = (char *) "EVIL,driver=nbd";
        _cleanup_strv_free_ char **argv = build(&c, &fds);
        for (char **p = argv; *p; p++)
                assert_null(strstr(*p, "EVIL"));
}

static void test_all_disks_have_a_slot(void **state _unused_) {
        struct guest_config c = { .name = (char *) "g", .memory = 512 * MIB, .vcpus = 1, .n_disks = GUEST_DISKS_MAX };
        _cleanup_strv_free_ char **argv = build(&c, &fds);

        assert_true(has(argv, "-device", "virtio-blk-pci,drive=disk11,addr=0d.0,disable-legacy=on,iommu_platform=on"));
}

/* The real QEMU must take it, all but the accelerator: started without a VM to run, it is asked to quit. */
static void test_qemu_accepts(void **state _unused_) {
        static const char qemu[] = "/usr/bin/qemu-system-aarch64";
        struct guest_config c = { .name = (char *) "g", .memory = 512 * MIB, .vcpus = 2, .network = GUEST_NETWORK_USER, .n_disks = 2 };
        struct qemu_fds real = { .tap = -EBADF };
        int status, in[2], out[2];
        char reply[4096] = {};
        size_t n = 0;
        pid_t pid;

        if (access(qemu, X_OK) < 0)
                skip();
        c.disks[0].read_only = c.disks[1].read_only = true;
        real.disks[0] = memfd_create("a", 0), real.disks[1] = memfd_create("b", 0);
        for (int i = 0; i < 2; i++) {
                char path[64];
                int fd;

                assert_int_equal(ftruncate(real.disks[i], 1 * MIB), 0);
                snprintf(path, sizeof(path), "/proc/self/fd/%d", real.disks[i]);
                fd = open(path, O_RDONLY);
                assert_ok(fd);
                close(real.disks[i]);
                real.disks[i] = fd;
        }
        real.kcore = open("/dev/null", O_RDWR);
        assert_int_equal(pipe(in), 0);
        assert_int_equal(pipe(out), 0);

        _cleanup_strv_free_ char **argv = build(&c, &real);
        free(argv[0]);
        argv[0] = strdup(qemu);
        for (char **p = argv; *p; p++) {
                const char *with = streq(*p, "kvm,device=/dev/fdset/4096") ? "tcg" :
                        streq(*p, "host") ? "cortex-a57" :
                        strncmp(*p, "socket,id=qmp", 13) == 0 ? "stdio,id=qmp" :
                        strncmp(*p, "socket,id=console", 17) == 0 ? "null,id=console" :
                        strncmp(*p, "socket,id=agent", 15) == 0 ? "null,id=agent" :
                        strncmp(*p, "on,obsolete", 11) == 0 ? "off" : NULL;

                if (with) {
                        free(*p);
                        *p = strdup(with);
                }
        }
        assert_ok(strv_extend(&argv, "-S"));

        pid = fork();
        assert_ok(pid);
        if (pid == 0) {
                dup2(in[0], 0);
                dup2(out[1], 1);
                execv(qemu, argv);
                _exit(127);
        }
        close(in[0]);
        close(out[1]);
        dprintf(in[1], "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-block\"}{\"execute\":\"quit\"}");
        for (ssize_t k; n < sizeof(reply) - 1 && (k = read(out[0], reply + n, sizeof(reply) - 1 - n)) > 0;)
                n += (size_t) k;
        close(in[1]);
        close(out[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_non_null(strstr(reply, "disk1"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_minimal),
                cmocka_unit_test(test_devices),
                cmocka_unit_test(test_tap),
                cmocka_unit_test(test_no_injection),
                cmocka_unit_test(test_all_disks_have_a_slot),
                cmocka_unit_test(test_qemu_accepts),
        };

        return cmocka_run_group_tests_name("qemu-cmdline", tests, NULL, NULL);
}
