/* SPDX-License-Identifier: Apache-2.0 */

/* Launches that go well and badly, ends of all kinds, and what is told of them. */

#include "harness.h"
#include "make-image.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "../../libkcore/memfd.h"
#include "../socket-util.h"

static void expect_launch_failure(const char *words) {
        struct call c;

        launch_a(&c);
        if (!c.error)
                fail_msg("launched");
        assert_string_equal(c.error, ERROR_LAUNCH_FAILED);
        if (!strstr(string_at(c.reply, "message", NULL), words))
                fail_msg("\"%s\" does not say \"%s\"", string_at(c.reply, "message", NULL), words);
        call_done(&c);
        for (size_t i = 0; i < fake.n_units; i++)
                assert_int_equal(fake.units[i].alive, false);
}

/* --- life --- */

static void test_life(void **state _unused_) {
        struct call c;

        launch_a(&c);
        expect_success(&c);
        assert_int_equal(c.notifications, 1);
        assert_string_equal(string_at(c.reply, "guest", "status"), "running");
        call_done(&c);

        /* What the kernel was asked for. */
        assert_int_equal(fake.config.ram_base, 0x40000000);
        assert_int_equal(fake.config.ram_size, 512 * MIB);
        assert_int_equal(fake.config.vcpus, 2);
        assert_int_equal(fake.config.s2sz, 33);
        assert_int_equal(fake.config.entry_pc, 0x40200000);
        assert_int_equal(fake.n_segments, 2);
        assert_int_equal(fake.segments[0].ipa, 0x40200000);
        assert_int_equal(fake.segments[0].length, 8192);
        assert_int_equal(fake.segments[1].ipa, fake.config.entry_regs[0]);
        assert_string_equal(fake.last_fd_stored, "+launch-a");

        call(&c, METHOD_LIST, NULL);
        expect_success(&c);
        assert_int_equal(sd_json_variant_elements(sd_json_variant_by_key(c.reply, "guests")), 1);
        call_done(&c);

        call_name(&c, METHOD_DESCRIBE, "a");
        expect_success(&c);
        assert_string_equal(string_at(c.reply, "runtime", "unit"), "kcore-guest-a.service");
        call_done(&c);

        launch_a(&c);
        expect_error(&c, ERROR_GUEST_EXISTS);

        call_name(&c, METHOD_STOP, "a");
        expect_success(&c);
        assert_false(sd_json_variant_boolean(sd_json_variant_by_key(c.reply, "forced")));
        call_done(&c);
        assert_null(manager_find(manager, "a"));
        assert_string_equal(fake.last_fd_stored, "-launch-a");
        call_name(&c, METHOD_DESCRIBE, "a");
        expect_error(&c, ERROR_NO_SUCH_GUEST);
        call_name(&c, METHOD_STOP, "a");
        expect_error(&c, ERROR_NO_SUCH_GUEST);
}

static void test_image(void **state _unused_) {
        static const uint8_t no_key[32];
        struct kci_image i;
        struct call c;
        Guest *g;
        int fd;

        fd = make_image(IMAGE_SIGNED, no_key, &i);
        launch(&c, IMAGE_A, &fd, 1);
        expect_success(&c);
        assert_string_equal(string_at(c.reply, "guest", "status"), "running");
        call_done(&c);
        assert_true(fake.has_policy);
        assert_int_equal(fake.n_segments, 3);
        g = manager_find(manager, "a");
        assert_int_equal(g->state.config.memory, 1 * GIB);
        assert_int_equal(g->state.config.vcpus, 3);
        assert_string_equal(g->state.config.image_path, "a.kci");

        /* What it is survives the daemon. */
        manager_stop();
        manager_start();
        g = manager_find(manager, "a");
        assert_non_null(g);
        assert_int_equal(g->state.config.memory, 1 * GIB);
        assert_string_equal(g->state.config.image_path, "a.kci");
        call_name(&c, METHOD_STOP, "a");
        expect_success(&c);
        call_done(&c);
}

static void test_again_and_again(void **state _unused_) {
        for (int i = 0; i < 10; i++) {
                struct call c;

                fake.n_units = 0;
                launch_a(&c);
                expect_success(&c);
                call_done(&c);
                call_name(&c, METHOD_STOP, "a");
                expect_success(&c);
                call_done(&c);
        }
        assert_int_equal(manager->n_guests, 0);
}

static void test_console(void **state _unused_) {
        char buf[256] = {};
        struct call c;
        size_t n = 0;

        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        call_name(&c, METHOD_CONSOLE, "a");
        expect_success(&c);
        assert_ok(c.fds[0]);
        assert_int_equal(write(c.fds[0], "root\n", 5), 5);
        for (int i = 0; i < 100 && !strstr(buf, "root\n"); i++) {
                ssize_t k;

                run_until(NULL, 20);
                k = recv(c.fds[0], buf + n, sizeof(buf) - 1 - n, MSG_DONTWAIT);
                n += k > 0 ? (size_t) k : 0;
        }
        assert_string_equal(buf, "Booting Linux\r\nlogin: root\n"); /* the past, then the echo */
        call_done(&c);

        call_name(&c, METHOD_CONSOLE_LOG, "a");
        expect_success(&c);
        assert_ok(c.fds[0]);
        n = (size_t) read(c.fds[0], buf, sizeof(buf));
        assert_int_equal(n, strlen("Booting Linux\r\nlogin: root\n"));
        call_done(&c);
        call_name(&c, METHOD_CONSOLE, "b");
        expect_error(&c, ERROR_NO_SUCH_GUEST);
}

static void test_platform(void **state _unused_) {
        struct call c;

        memcpy(fake.identity, "\xa4identity", 9);
        fake.identity_size = 9;
        call(&c, METHOD_PLATFORM, NULL);
        expect_success(&c);
        assert_string_equal(sd_json_variant_string(sd_json_variant_by_key(c.reply, "identity")), "pGlkZW50aXR5");
        call_done(&c);
        fake.identity_error = -ENODEV;
        call(&c, METHOD_PLATFORM, NULL);
        expect_error(&c, ERROR_NO_CORE);
}

static void test_agent_port(void **state _unused_) {
        struct call calls[8];
        size_t n = 0;

        launch_a(&calls[0]);
        expect_success(&calls[0]);
        call_done(&calls[0]);
        /* Nobody takes the connections in this QEMU: so many wait, no more. */
        for (; n < ELEMENTSOF(calls); n++) {
                call_name(&calls[n], METHOD_AGENT_PORT, "a");
                if (calls[n].error)
                        break;
                assert_ok(calls[n].fds[0]);
        }
        assert_in_range(n, 1, ELEMENTSOF(calls) - 1);
        expect_error(&calls[n], ERROR_BUSY);
        for (size_t i = 0; i < n; i++)
                call_done(&calls[i]);
        call_name(&calls[0], METHOD_AGENT_PORT, "b");
        expect_error(&calls[0], ERROR_NO_SUCH_GUEST);
}

static void test_console_is_bounded(void **state _unused_) {
        _cleanup_free_ char *log = NULL;
        bool grew = false;
        struct stat st;
        struct call c;

        fake.behaviour = FAKE_FLOODS;
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        log = guest_file(manager_find(manager, "a"), "console.log");
        for (int i = 0; i < 200; i++) { /* while 3 MiB come in */
                run_until(NULL, 10);
                assert_ok(stat(log, &st));
                assert_true(st.st_size <= (off_t) CONSOLE_LOG_MAX);
                grew |= st.st_size > (off_t) CONSOLE_LOG_MAX / 2;
        }
        assert_true(grew);
}

/* A client that attaches and never reads must not hold up anybody. */
static void test_console_of_a_sleeper(void **state _unused_) {
        struct call sleeper, c;

        fake.behaviour = FAKE_FLOODS;
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        call_name(&sleeper, METHOD_CONSOLE, "a");
        expect_success(&sleeper);
        run_until(NULL, 1500);
        call(&c, METHOD_LIST, NULL);
        expect_success(&c);
        call_done(&c);
        call_done(&sleeper);
}

static void test_too_many_consoles(void **state _unused_) {
        struct call c[CONSOLE_CLIENTS_MAX + 1];

        launch_a(&c[0]);
        expect_success(&c[0]);
        call_done(&c[0]);
        for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
                call_name(&c[i], METHOD_CONSOLE, "a");
                expect_success(&c[i]);
        }
        call_name(&c[CONSOLE_CLIENTS_MAX], METHOD_CONSOLE, "a");
        expect_error(&c[CONSOLE_CLIENTS_MAX], ERROR_BUSY);
        for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
                call_done(&c[i]);
        run_until(NULL, 100);
        call_name(&c[0], METHOD_CONSOLE, "a");
        expect_success(&c[0]);
        call_done(&c[0]);
}

/* QEMU closes the console before it ends: what the guest wrote is there for who comes between. */
static void test_console_of_a_guest_that_is_ending(void **state _unused_) {
        struct call c;

        fake.behaviour = FAKE_HANGS_UP;
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        for (int i = 0; i < 2; i++) { /* the second surely comes after the end of the console */
                char buf[256] = {};
                ssize_t k = -1;
                size_t n = 0;

                call_name(&c, METHOD_CONSOLE, "a");
                expect_success(&c);
                while (k != 0) {
                        run_until(NULL, 10);
                        k = recv(c.fds[0], buf + n, sizeof(buf) - 1 - n, MSG_DONTWAIT);
                        assert_true(k >= 0 || errno == EAGAIN);
                        n += k > 0 ? (size_t) k : 0;
                }
                assert_string_equal(buf, "Booting Linux\r\nlogin: ");
                call_done(&c);
        }
        assert_string_equal(status_of("a"), "running");
}

/* --- ends --- */

static void test_deaf_guest_is_forced(void **state _unused_) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        struct call c;

        fake.behaviour = FAKE_DEAF;
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        assert_ok(sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", "a"), SD_JSON_BUILD_PAIR_UNSIGNED("timeoutUSec", 300000)));
        call(&c, METHOD_STOP, v);
        expect_success(&c);
        assert_true(sd_json_variant_boolean(sd_json_variant_by_key(c.reply, "forced")));
        call_done(&c);
        assert_null(manager_find(manager, "a"));
}

/* One that has no power button at all still gets to write its disks. */
static void test_sysrq(void **state _unused_) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        uint64_t start;
        struct call c;

        fake.behaviour = FAKE_SYSRQ;
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        assert_ok(sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", "a"), SD_JSON_BUILD_PAIR_UNSIGNED("timeoutUSec", 100000)));
        start = now_usec(CLOCK_MONOTONIC);
        call(&c, METHOD_STOP, v);
        expect_success(&c);
        assert_true(now_usec(CLOCK_MONOTONIC) - start < STOP_SYSRQ_END_USEC);
        assert_true(sd_json_variant_boolean(sd_json_variant_by_key(c.reply, "forced")));
        call_done(&c);
        assert_int_equal(fake.units[0].status, 0);
}

/* Debian's cloud kernels have no driver for the other button. */
static void test_power_key(void **state _unused_) {
        struct call c;

        fake.behaviour = FAKE_KEYBOARD;
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        call_name(&c, METHOD_STOP, "a");
        expect_success(&c);
        assert_false(sd_json_variant_boolean(sd_json_variant_by_key(c.reply, "forced")));
        call_done(&c);
        assert_null(manager_find(manager, "a"));
}

static void test_force(void **state _unused_) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        struct call c;

        fake.behaviour = FAKE_DEAF;
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        assert_ok(sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", "a"), SD_JSON_BUILD_PAIR_BOOLEAN("force", true)));
        call(&c, METHOD_STOP, v);
        expect_success(&c);
        call_done(&c);
        assert_null(manager_find(manager, "a"));
        assert_int_equal(fake.units[0].exists, false); /* its remains are cleared away */
}

static void test_ends_by_itself(void **state _unused_) {
        struct call c;

        fake.behaviour = FAKE_POWERS_OFF;
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        wait_for_status("a", "exited");
        assert_string_equal(manager_find(manager, "a")->state.reason, "the guest powered off");
        call_name(&c, METHOD_CONSOLE, "a");
        assert_string_equal(sd_json_variant_string(sd_json_variant_by_key(c.reply, "reason")), "the guest powered off");
        expect_error(&c, ERROR_GUEST_NOT_RUNNING);
        call_name(&c, METHOD_CONSOLE_LOG, "a");
        expect_success(&c);
        call_done(&c);

        /* The name is free, and the record can be removed. */
        fake.behaviour = FAKE_GOOD;
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        call_name(&c, METHOD_STOP, "a");
        expect_success(&c);
        call_done(&c);
}

/* A guest that is done before anybody looked has been launched all the same. */
static void expect_launched_and_ended(const char *reason) {
        struct call c;

        launch_a(&c);
        expect_success(&c);
        assert_non_null(sd_json_variant_by_key(c.reply, "guest"));
        call_done(&c);
        wait_for_status("a", "exited");
        assert_string_equal(manager_find(manager, "a")->state.reason, reason);
        call_name(&c, METHOD_DESCRIBE, "a");
        expect_success(&c);
        assert_string_equal(string_at(c.reply, "guest", "status"), "exited");
        call_done(&c);
        call_name(&c, METHOD_STOP, "a");
        expect_success(&c);
        call_done(&c);
        assert_null(manager_find(manager, "a"));
}

static void test_ends_early(void **state _unused_) {
        fake.launch_state = KCORE_LAUNCH_DEAD;
        fake.launch_exits = 5;
        fake.behaviour = FAKE_ENDS_EARLY;
        expect_launched_and_ended("the guest powered off");
        fake.behaviour = FAKE_ENDS_AT_ONCE; /* nobody heard QEMU say why */
        expect_launched_and_ended("QEMU ended");

        /* The kernel has not counted yet, or does not answer: QEMU's word is enough. */
        fake.launch_exits = 0;
        fake.behaviour = FAKE_ENDS_EARLY;
        expect_launched_and_ended("the guest powered off");
        fake.status_delay_usec = 3 * USEC_PER_SEC;
        expect_launched_and_ended("the guest powered off");
        fake.status_delay_usec = 0;
}

/* QEMU went, in good order, and no realm has ever run. */
static void test_ends_before_the_realm(void **state _unused_) {
        fake.launch_state = KCORE_LAUNCH_DEAD;
        fake.behaviour = FAKE_ENDS_AT_ONCE;
        expect_launch_failure("QEMU ended before the realm ran: could not set up something");
        assert_string_equal(status_of("a"), "failed");
}

/* It would have ended by itself, but somebody was faster: that is no launch. */
static void test_stopped_while_starting(void **state _unused_) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        int fd = make_kernel();
        struct call slow, c;
        sd_varlink *link;

        fake.launch_state = KCORE_LAUNCH_CREATED;
        link = launch_begin(&slow, GUEST_A, &fd, 1);
        run_until(NULL, 500);
        assert_string_equal(status_of("a"), "starting");
        call_name(&c, METHOD_STOP, "a");
        expect_success(&c);
        call_done(&c);
        run_until(&slow.done, 20000);
        expect_error(&slow, ERROR_LAUNCH_FAILED);
        sd_varlink_close_unref(link);
        assert_null(manager_find(manager, "a"));
}

static void test_killed(void **state _unused_) {
        struct call c;

        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        kill(fake.units[0].pid, SIGKILL);
        wait_for_status("a", "failed");
        assert_non_null(strstr(manager_find(manager, "a")->state.reason, "signal 9"));
}

static void test_realm_error(void **state _unused_) {
        struct call c;

        fake.behaviour = FAKE_INTERNAL_ERROR;
        launch_a(&c);
        call_done(&c);
        wait_for_status("a", "failed");
        assert_string_equal(manager_find(manager, "a")->state.reason,
                            "the realm stopped with an error: could not set up something");
        assert_int_equal(fake.units[0].alive, false);
}

/* The kernel knows why, if it is asked when QEMU tells of the end. */
static void test_realm_error_of_the_kernel(void **state _unused_) {
        struct call c;

        fake.behaviour = FAKE_INTERNAL_ERROR;
        fake.launch_state = KCORE_LAUNCH_CREATED;
        fake.launch_error = -EBADMSG;
        launch_a(&c);
        expect_error(&c, ERROR_LAUNCH_FAILED);
        assert_non_null(strstr(manager_find(manager, "a")->state.reason, "the realm could not be made or run"));
}

/* Which page it was goes to people and to programs. */
static void test_bad_page(void **state _unused_) {
        _cleanup_free_ char *words = NULL;
        uint64_t offset, address;
        sd_json_variant *page;
        struct call c;

        fake.behaviour = FAKE_INTERNAL_ERROR;
        fake.launch_state = KCORE_LAUNCH_CREATED;
        fake.launch_error = -EBADMSG;
        fake.bad_page = true;
        launch_a(&c);
        offset = (fake.segments[1].length - 1) & ~UINT64_C(4095);
        address = fake.segments[1].ipa + offset;
        assert_int_equal(fake.n_segments, 2); /* kernel, device tree */
        page = sd_json_variant_by_key(c.reply, "page");
        assert_non_null(page);
        assert_int_equal(sd_json_variant_unsigned(sd_json_variant_by_key(page, "address")), address);
        assert_int_equal(sd_json_variant_unsigned(sd_json_variant_by_key(page, "segment")), 2);
        assert_int_equal(sd_json_variant_unsigned(sd_json_variant_by_key(page, "offset")), offset);
        assert_string_equal(sd_json_variant_string(sd_json_variant_by_key(page, "kind")), "device tree");
        expect_error(&c, ERROR_LAUNCH_FAILED);
        assert_true(asprintf(&words, "the page at 0x%" PRIx64 " of segment 2 (device tree), IPA 0x%" PRIx64 " (RMI command", offset, address) > 0);
        assert_non_null(strstr(manager_find(manager, "a")->state.reason, words));
}

/* --- launches that fail --- */

static void test_kernel_refuses(void **state _unused_) {
        fake.config_error = -EINVAL;
        expect_launch_failure("refuses the guest's configuration: Invalid argument");
        fake.config_error = 0;
        fake.segment_error = -ENOSPC;
        expect_launch_failure("refuses the guest's payload");
        assert_int_equal(manager->n_guests, 0);
        assert_int_equal(fake.n_units, 0);
}

static void test_systemd_refuses(void **state _unused_) {
        fake.unit_error = -EPERM;
        expect_launch_failure("systemd does not start kcore-guest-a.service: Unit is masked.");
        assert_int_equal(manager->n_guests, 0);
}

static void test_qemu_fails(void **state _unused_) {
        fake.behaviour = FAKE_EXIT_AT_ONCE;
        expect_launch_failure("QEMU ended with status 1 (exit-code): could not set up something");
        assert_string_equal(status_of("a"), "failed");
}

static void test_realm_is_not_made(void **state _unused_) {
        fake.launch_error = -ENOMEM;
        expect_launch_failure("Cannot allocate memory (RMI command 0x015a answered 1); too little memory is free or may be locked");
}

/* The kernel answers only when it has made the realm: nobody else may wait for it. */
static void test_slow_kernel(void **state _unused_) {
        struct call slow, c;
        sd_varlink *link;
        int fd = make_kernel();
        uint64_t start;

        fake.status_delay_usec = 6 * USEC_PER_SEC;
        link = launch_begin(&slow, GUEST_A, &fd, 1);
        run_until(NULL, 500);
        start = now_usec(CLOCK_MONOTONIC);
        call(&c, METHOD_LIST, NULL);
        expect_success(&c);
        call_done(&c);
        call_name(&c, METHOD_DESCRIBE, "a");
        expect_success(&c);
        call_done(&c);
        assert_true(now_usec(CLOCK_MONOTONIC) - start < 4 * USEC_PER_SEC);
        assert_false(slow.done);
        run_until(&slow.done, 20000);
        expect_success(&slow);
        call_done(&slow);
        sd_varlink_close_unref(link);
        fake.status_delay_usec = 0;
}

static void test_memlock_lowered(void **state _unused_) {
        fake.memlock = 8 * MIB;
        expect_launch_failure("too little memory may be locked: the guest needs a limit of");
}

static void test_check_fails(void **state _unused_) {
        struct call c;

        fake.facts.qemu_version = 70200;
        strcpy(fake.facts.qemu_version_string, "7.2.0");
        launch_a(&c);
        assert_string_equal(c.error, ERROR_CHECK_FAILED);
        assert_string_equal(string_at(c.reply, "check", NULL), "qemu");
        assert_string_equal(string_at(c.reply, "message", NULL), "QEMU 7.2.0 is too old: version 8.2 or newer is needed");
        call_done(&c);
        assert_int_equal(manager->n_guests, 0);

        /* And the doctor has the same words. */
        call(&c, METHOD_DOCTOR, NULL);
        expect_success(&c);
        sd_json_variant *checks = sd_json_variant_by_key(c.reply, "checks");
        bool found = false;
        for (size_t i = 0; i < sd_json_variant_elements(checks); i++)
                found |= streq(string_at(sd_json_variant_by_index(checks, i), "message", NULL),
                               "QEMU 7.2.0 is too old: version 8.2 or newer is needed");
        assert_true(found);
        call_done(&c);
}

static void test_nonsense_qemu(void **state _unused_) {
        struct call c;
        sd_varlink *link;
        int fd = make_kernel();

        fake.behaviour = FAKE_SPEAKS_NONSENSE;
        link = launch_begin(&c, GUEST_A, &fd, 1);
        wait_for_status("a", "starting");
        run_until(NULL, 500);
        assert_false(c.done); /* still within its time */
        assert_string_equal(status_of("a"), "starting");
        sd_varlink_close_unref(link); /* the client gives up; the daemon must not mind */
        run_until(NULL, 300);
        call_name(&c, METHOD_STOP, "a");
        expect_success(&c);
        call_done(&c);
        assert_null(manager_find(manager, "a"));
}

/* --- what it tells of itself --- */

static void test_log_is_printable(void **state _unused_) {
        struct call c;

        call(&c, METHOD_LOG, NULL);
        expect_success(&c);
        assert_string_equal(string_at(c.reply, "text", NULL), "kcore: started\nkcore: ?[2Jbinary\n");
        call_done(&c);
}

static void test_status(void **state _unused_) {
        struct call c;

        call(&c, METHOD_STATUS, NULL);
        expect_success(&c);
        assert_string_equal(string_at(c.reply, "core", "version"), "1.0");
        assert_int_equal(sd_json_variant_elements(sd_json_variant_by_key(c.reply, "counters")), 2);
        call_done(&c);
        fake.facts.device_error = fake.facts.info_error = -ENOENT;
        call(&c, METHOD_STATUS, NULL);
        expect_success(&c);
        assert_null(sd_json_variant_by_key(c.reply, "core"));
        call_done(&c);
}

/* How often launches failed for this reason; NULL: how many launches there were. */
static uint64_t launches(const char *reason) {
        sd_json_variant *failures;
        uint64_t n = UINT64_MAX;
        struct call c;

        call(&c, METHOD_STATUS, NULL);
        expect_success(&c);
        failures = sd_json_variant_by_key(c.reply, "failures");
        assert_int_equal(sd_json_variant_elements(failures), _FAILURE_CLASS_MAX);
        if (!reason)
                n = sd_json_variant_unsigned(sd_json_variant_by_key(c.reply, "launches"));
        for (size_t i = 0; reason && i < sd_json_variant_elements(failures); i++) {
                sd_json_variant *v = sd_json_variant_by_index(failures, i);

                if (streq(string_at(v, "reason", NULL), reason))
                        n = sd_json_variant_unsigned(sd_json_variant_by_key(v, "launches"));
        }
        call_done(&c);
        return n;
}

static void test_failures_are_counted(void **state _unused_) {
        static const struct {
                uint32_t status;
                int error;
                const char *reason;
        } refusals[] = {
                { 16, -EACCES, "policy" }, { 17, -EKEYREJECTED, "signature" }, { 18, -EBADMSG, "seal" },
                { 19, -EPERM, "measurement" }, { 1, -EIO, "kernel" }, { 1, -ENOMEM, "memory" },
        };
        struct call c;
        uint64_t n;

        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        assert_int_equal(launches(NULL), 1);
        launch_a(&c);
        expect_error(&c, ERROR_GUEST_EXISTS);
        assert_int_equal(launches("request"), 1);
        call_name(&c, METHOD_STOP, "a");
        expect_success(&c);
        call_done(&c);
        /* A guest that ran and fails later is no failed launch. */
        for (size_t i = 0; i < _FAILURE_CLASS_MAX; i++)
                assert_int_equal(launches(failure_class_to_string((FailureClass) i)), i == FAILURE_REQUEST);

        for (size_t i = 0; i < ELEMENTSOF(refusals); i++) {
                fake_reset();
                fake.launch_error = refusals[i].error;
                fake.launch_rmi_status = refusals[i].status;
                expect_launch_failure("the realm could not be made");
                assert_int_equal(launches(refusals[i].reason), 1);
        }
        fake_reset();
        fake.facts.device_error = fake.facts.info_error = -ENOENT;
        launch_a(&c);
        expect_error(&c, ERROR_CHECK_FAILED);
        assert_int_equal(launches("check"), 1);
        fake_reset();
        fake.unit_error = -EPERM;
        expect_launch_failure("masked");
        assert_int_equal(launches("system"), 1);
        n = launches(NULL);
        assert_int_equal(n, 2 + ELEMENTSOF(refusals) + 2);
}

/* --- monitors --- */

struct seen {
        char text[1024];
};

static int on_event(sd_varlink *link _unused_, sd_json_variant *p, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata) {
        struct seen *s = userdata;
        size_t n = strlen(s->text);

        snprintf(s->text + n, sizeof(s->text) - n, "%s%s:%s:%s ", flags & SD_VARLINK_REPLY_CONTINUES ? "" : "END ",
                 error_id ?: string_at(p, "event", NULL),
                 string_at(sd_json_variant_by_key(p, "guest"), "guest", "name"), string_at(p, "guest", "status"));
        return 0;
}

static sd_varlink *monitor(struct seen *s) {
        sd_varlink *link = NULL;

        *s = (struct seen) {};
        assert_ok(sd_varlink_connect_address(&link, manager_path));
        sd_varlink_set_userdata(link, s);
        assert_ok(sd_varlink_bind_reply(link, on_event));
        assert_ok(sd_varlink_attach_event(link, manager->event, SD_EVENT_PRIORITY_NORMAL));
        assert_ok(sd_varlink_observe(link, METHOD_MONITOR, NULL));
        run_until(NULL, 100);
        return link;
}

static void test_monitor(void **state _unused_) {
        struct seen early, late;
        sd_varlink *a, *b;
        struct call c;

        a = monitor(&early);
        assert_string_equal(early.text, "");
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        b = monitor(&late);
        assert_string_equal(early.text, "changed:a:starting changed:a:running ");
        assert_string_equal(late.text, "present:a:running ");
        call_name(&c, METHOD_STOP, "a");
        expect_success(&c);
        call_done(&c);
        run_until(NULL, 100);
        assert_string_equal(late.text, "present:a:running changed:a:stopping changed:a:exited removed:a:exited ");
        sd_varlink_close_unref(a); /* one goes, the other stays */
        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        run_until(NULL, 100);
        assert_true(strstr(late.text, "removed:a:exited changed:a:starting changed:a:running "));
        sd_varlink_close_unref(b);

        /* Without "more" there is nothing to answer. */
        call(&c, METHOD_MONITOR, NULL);
        expect_error(&c, SD_VARLINK_ERROR_EXPECTED_MORE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
                T(test_life), T(test_image), T(test_again_and_again), T(test_console), T(test_agent_port), T(test_platform),
                T(test_console_is_bounded), T(test_console_of_a_guest_that_is_ending),
                T(test_console_of_a_sleeper), T(test_too_many_consoles), T(test_deaf_guest_is_forced),
                T(test_sysrq), T(test_power_key), T(test_force),
                T(test_ends_by_itself), T(test_ends_early), T(test_ends_before_the_realm),
                T(test_stopped_while_starting), T(test_killed), T(test_realm_error), T(test_realm_error_of_the_kernel), T(test_bad_page),
                T(test_kernel_refuses),
                T(test_systemd_refuses), T(test_qemu_fails), T(test_realm_is_not_made), T(test_slow_kernel), T(test_memlock_lowered),
                T(test_check_fails), T(test_nonsense_qemu), T(test_log_is_printable), T(test_status), T(test_failures_are_counted),
                T(test_monitor),
#undef T
        };

        return unless_root() ?: cmocka_run_group_tests_name("manager", tests, group_setup, group_teardown);
}
