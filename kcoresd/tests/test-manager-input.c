/* SPDX-License-Identifier: Apache-2.0 */

/* Clients that are not nice: wrong descriptors, wrong parameters, bytes that are no message, too many of all. */

#include "harness.h"
#include "make-image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "../../libkcore/memfd.h"
#include "../socket-util.h"

static void expect_invalid(const char *parameters, int *fds, size_t n, const char *field) {
        struct call c;

        launch(&c, parameters, fds, n);
        if (!c.error)
                fail_msg("launched: %s", parameters);
        assert_string_equal(c.error, ERROR_INVALID_GUEST);
        assert_string_equal(string_at(c.reply, "field", NULL), field);
        call_done(&c);
        assert_int_equal(manager->n_guests, 0);
}

static void test_bad_descriptors(void **state _unused_) {
        static const char disk[] = "{\"guest\":{\"name\":\"a\",\"disks\":[{\"readOnly\":false}]},\"kernelFileDescriptor\":0,\"diskFileDescriptors\":[1]}";
        static const char disk_ro[] = "{\"guest\":{\"name\":\"a\",\"disks\":[{\"readOnly\":true}]},\"kernelFileDescriptor\":0,\"diskFileDescriptors\":[1]}";
        static const char tap[] = "{\"guest\":{\"name\":\"a\",\"network\":\"tap\",\"tap\":\"tap0\"},\"kernelFileDescriptor\":0,\"tapFileDescriptor\":1}";
        static const char both[] = "{\"guest\":{\"name\":\"a\"},\"imageFileDescriptor\":0,\"kernelFileDescriptor\":1}";
        static const char append[] = "{\"guest\":{\"name\":\"a\",\"append\":\"init=/bin/sh\"},\"imageFileDescriptor\":0}";
        static const uint8_t no_key[32];
        struct kci_image i;
        static const char initrd[] = "{\"guest\":{\"name\":\"a\"},\"kernelFileDescriptor\":0,\"initrdFileDescriptor\":1}";
        struct call c;
        int fds[2];

        fds[0] = open("/dev/zero", O_RDWR | O_CLOEXEC);
        expect_invalid(GUEST_A, fds, 1, "kernel");
        fds[0] = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);
        expect_invalid(GUEST_A, fds, 1, "kernel");
        fds[0] = memfd_from_data("x", "MZ", 2);
        expect_invalid(GUEST_A, fds, 1, "kernel");
        fds[0] = memfd_from_data("x", "", 0);
        expect_invalid(GUEST_A, fds, 1, "kernel");

        fds[0] = make_kernel();
        expect_invalid(IMAGE_A, fds, 1, "image"); /* not an image */
        fds[0] = make_image(IMAGE_SIGNED, no_key, &i), fds[1] = make_kernel();
        expect_invalid(both, fds, 2, "image");
        fds[0] = make_image(IMAGE_SIGNED, no_key, &i);
        expect_invalid(append, fds, 1, "image");

        fds[0] = make_kernel(), fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
        expect_invalid(disk, fds, 2, "disks");
        fds[0] = make_kernel(), fds[1] = open("/tmp", O_RDONLY | O_CLOEXEC);
        expect_invalid(disk_ro, fds, 2, "disks");
        fds[0] = make_kernel(), fds[1] = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        expect_invalid(disk, fds, 2, "disks"); /* says writable, is not */
        fds[0] = make_kernel(), fds[1] = memfd_create("x", MFD_CLOEXEC);
        expect_invalid(disk_ro, fds, 2, "disks"); /* says read-only, is not */
        fds[0] = make_kernel(), fds[1] = open("/etc/passwd", O_PATH | O_CLOEXEC);
        expect_invalid(disk_ro, fds, 2, "disks");
        fds[0] = make_kernel(), fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
        expect_invalid(tap, fds, 2, "tap");
        fds[0] = make_kernel(), fds[1] = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);
        expect_invalid(initrd, fds, 2, "initrd");

        /* Missing, out of range, twice the same. */
        fds[0] = make_kernel();
        launch(&c, "{\"guest\":{\"name\":\"a\"},\"kernelFileDescriptor\":1}", fds, 1);
        expect_error(&c, SD_VARLINK_ERROR_INVALID_PARAMETER);
        fds[0] = make_kernel();
        launch(&c, "{\"guest\":{\"name\":\"a\"},\"kernelFileDescriptor\":-1}", fds, 1);
        expect_error(&c, SD_VARLINK_ERROR_INVALID_PARAMETER);
        fds[0] = make_kernel();
        launch(&c, "{\"guest\":{\"name\":\"a\"},\"kernelFileDescriptor\":9223372036854775807}", fds, 1);
        expect_error(&c, SD_VARLINK_ERROR_INVALID_PARAMETER);
        fds[0] = make_kernel();
        launch(&c, "{\"guest\":{\"name\":\"a\"},\"kernelFileDescriptor\":0,\"initrdFileDescriptor\":0}", fds, 1);
        expect_error(&c, SD_VARLINK_ERROR_INVALID_PARAMETER);
        fds[0] = make_kernel();
        launch(&c, "{\"guest\":{\"name\":\"a\"},\"kernelFileDescriptor\":0,\"diskFileDescriptors\":[1]}", fds, 1);
        expect_error(&c, SD_VARLINK_ERROR_INVALID_PARAMETER);
        assert_int_equal(manager->n_guests, 0);
}

static void test_payload_too_big(void **state _unused_) {
        int fd = make_kernel();
        uint8_t image[8192];
        uint64_t huge = UINT64_MAX;

        assert_int_equal(pread(fd, image, sizeof(image), 0), sizeof(image));
        close(fd);
        memcpy(image + 16, &huge, 8);
        fd = memfd_from_data("kernel", image, sizeof(image));
        expect_invalid(GUEST_A, &fd, 1, "memory");
}

/* --- wrong messages --- */

static void test_wrong_parameters(void **state _unused_) {
        static const struct {
                const char *method, *parameters, *error;
        } cases[] = {
                { METHOD_LAUNCH, "{}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_LAUNCH, "{\"guest\":1,\"kernelFileDescriptor\":0}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_LAUNCH, "{\"guest\":{},\"kernelFileDescriptor\":0}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_LAUNCH, "{\"guest\":{\"name\":\"a b\"},\"kernelFileDescriptor\":0}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_LAUNCH, "{\"guest\":{\"name\":\"a\"},\"kernelFileDescriptor\":\"0\"}", NULL },
                { METHOD_LAUNCH, "{\"guest\":{\"name\":\"a\"},\"kernelFileDescriptor\":0,\"x\":1}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_LAUNCH, "{\"guest\":{\"name\":\"a\",\"disks\":[{}]},\"kernelFileDescriptor\":0,\"diskFileDescriptors\":[\"x\"]}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_PLATFORM, "{\"x\":1}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_STOP, "{\"name\":1}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_STOP, "{\"name\":\"a\",\"force\":\"yes\"}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_STOP, "{\"name\":\"a\",\"timeoutUSec\":-5}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_STOP, "{\"name\":\"../../etc\"}", ERROR_NO_SUCH_GUEST },
                { METHOD_DESCRIBE, "{}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_DESCRIBE, "{\"name\":\"\"}", ERROR_NO_SUCH_GUEST },
                { METHOD_LIST, "{\"x\":1}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { METHOD_LOG, "{\"sequence\":-1}", SD_VARLINK_ERROR_INVALID_PARAMETER },
                { MANAGER_INTERFACE_NAME ".Nothing", "{}", SD_VARLINK_ERROR_METHOD_NOT_FOUND },
                { "io.kcore.Other.List", "{}", SD_VARLINK_ERROR_METHOD_NOT_FOUND },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
                struct call c;

                assert_ok(sd_json_parse(cases[i].parameters, 0, &v, NULL, NULL));
                call(&c, cases[i].method, v);
                if (!c.error)
                        fail_msg("accepted: %s %s", cases[i].method, cases[i].parameters);
                if (cases[i].error && !streq(c.error, cases[i].error))
                        fail_msg("%s %s: %s", cases[i].method, cases[i].parameters, c.error);
                call_done(&c);
        }
        assert_int_equal(manager->n_guests, 0);
}

static int raw_client(void) {
        int fd = socket_connect_unix(manager_path);

        assert_ok(fd);
        return fd;
}

/* Sends bytes as fast as the daemon takes them; returns how many it took before it hung up, or all. */
static size_t raw_send(int fd, const char *data, size_t n) {
        uint64_t end = now_usec(CLOCK_MONOTONIC) + 20 * USEC_PER_SEC;
        size_t sent = 0;

        while (sent < n && now_usec(CLOCK_MONOTONIC) < end) {
                ssize_t k = send(fd, data + sent, MIN(n - sent, (size_t) 65536), MSG_DONTWAIT | MSG_NOSIGNAL);

                if (k > 0)
                        sent += (size_t) k;
                else if (errno != EAGAIN)
                        break;
                assert_ok(sd_event_run(manager->event, 1000));
        }
        return sent;
}

static bool hung_up(int fd) {
        char buf[4096];

        for (int i = 0; i < 100; i++) {
                ssize_t k = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

                if (k == 0 || (k < 0 && errno != EAGAIN))
                        return true;
                run_until(NULL, 20);
        }
        return false;
}

static void still_alive(void) {
        struct call c;

        call(&c, METHOD_LIST, NULL);
        expect_success(&c);
        call_done(&c);
}

static void test_not_json(void **state _unused_) {
        static const struct {
                const char *bytes;
                size_t n;
        } cases[] = {
                { "\0", 1 },
                { "hello", 6 },
                { "{}", 3 },
                { "[]", 3 },
                { "{\"method\":1}", 13 },
                { "{\"method\":\"\"}", 14 },
                { "{\"method\":\"io.kcore.Manager.List\",\"parameters\":[]}", 51 },
                { "{\"method\":\"io.kcore.Manager.List\",\"more\":\"x\"}", 46 },
                { "{\"method\":\"a\",\"method\":\"b\"}", 28 },
                { "\xff\xfe\xfd", 4 },
                { "{\"method\":\"\\ud800\"}", 20 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_close_ int fd = raw_client();

                (void) raw_send(fd, cases[i].bytes, cases[i].n);
                run_until(NULL, 20);
        }
        still_alive();
}

static void test_deep_json(void **state _unused_) {
        const size_t n = 1 * MIB;
        _cleanup_free_ char *data = malloc(n);
        _cleanup_close_ int fd = raw_client();

        memset(data, '[', n - 1);
        data[n - 1] = 0;
        (void) raw_send(fd, data, n);
        assert_true(hung_up(fd));
        still_alive();
}

static void test_oversized_message(void **state _unused_) {
        const size_t n = 20 * MIB;
        _cleanup_free_ char *data = malloc(n);
        _cleanup_close_ int fd = raw_client();

        memset(data, ' ', n); /* never a NUL: one message without end */
        assert_true(raw_send(fd, data, n) < n);
        assert_true(hung_up(fd));
        still_alive();
}

/* A legal message with a field as large as a message may be. */
static void test_large_field(void **state _unused_) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        _cleanup_free_ char *name = malloc(4 * MIB + 1);
        struct call c;

        memset(name, 'a', 4 * MIB);
        name[4 * MIB] = 0;
        assert_ok(sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", name)));
        call(&c, METHOD_STOP, v);
        expect_error(&c, ERROR_NO_SUCH_GUEST);
}

static void test_many_clients(void **state _unused_) {
        int fds[2 * CLIENTS_MAX];
        size_t open = 0;
        struct call c;

        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = -EBADF;
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                fds[i] = raw_client();
                run_until(NULL, 5);
        }
        run_until(NULL, 100);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                char x;

                open += recv(fds[i], &x, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
        }
        assert_true(open <= CLIENTS_PER_UID_MAX); /* the rest were sent away */
        assert_true(open > 0);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                safe_close(fds[i]);
        run_until(NULL, 100);
        call(&c, METHOD_LIST, NULL); /* and when they are gone, there is room again */
        expect_success(&c);
        call_done(&c);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
                T(test_bad_descriptors), T(test_payload_too_big), T(test_wrong_parameters), T(test_not_json),
                T(test_deep_json), T(test_oversized_message), T(test_large_field), T(test_many_clients),
#undef T
        };

        return unless_root() ?: cmocka_run_group_tests_name("manager-input", tests, group_setup, group_teardown);
}
