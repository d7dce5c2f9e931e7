/* SPDX-License-Identifier: Apache-2.0 */

/* The whole manager, over its Varlink socket, on a made-up system: launches that go well and badly, ends of
 * all kinds, restarts of the daemon, and clients that are not nice. */

#include "fake-system.h"
#include "make-image.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "../../libkcore/io.kcore.Manager.h"
#include "../../libkcore/memfd.h"
#include "../guest.h"
#include "../socket-util.h"

static char dir[] = "/tmp/kcore-manager-XXXXXX";
static char *socket_path;
static Manager *manager;

static void start_manager(void) {
        assert_ok(manager_new(&fake_ops, NULL, dir, &manager));
        assert_ok(sd_varlink_server_listen_address(manager->server, socket_path, 0600));
        assert_ok(manager_load(manager));
}

static void stop_manager(void) {
        manager = manager_free(manager);
        unlink(socket_path);
}

static int setup(void **state _unused_) {
        fake_reset();
        start_manager();
        return 0;
}

static int teardown(void **state _unused_) {
        while (manager->n_guests > 0)
                guest_remove(manager->guests[0]);
        stop_manager();
        fake_reset();
        return 0;
}

/* --- a client in the same thread: it and the daemon take turns --- */

struct call {
        bool done;
        sd_json_variant *reply;
        char *error;
        size_t notifications;
        int fd; /* first that was passed */
};

static void call_done(struct call *c) {
        sd_json_variant_unref(c->reply);
        free(c->error);
        safe_close(c->fd);
}

static int on_reply(sd_varlink *link, sd_json_variant *p, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata) {
        struct call *c = userdata;

        if (flags & SD_VARLINK_REPLY_CONTINUES) {
                c->notifications++;
                return 0;
        }
        c->reply = sd_json_variant_ref(p);
        c->error = error_id ? strdup(error_id) : NULL;
        c->fd = sd_varlink_take_fd(link, 0);
        c->done = true;
        return 0;
}

static sd_varlink *client(struct call *c) {
        sd_varlink *link = NULL;

        *c = (struct call) { .fd = -EBADF };
        assert_ok(sd_varlink_connect_address(&link, socket_path));
        assert_ok(sd_varlink_set_allow_fd_passing_input(link, true));
        assert_ok(sd_varlink_set_allow_fd_passing_output(link, true));
        sd_varlink_set_userdata(link, c);
        assert_ok(sd_varlink_bind_reply(link, on_reply));
        assert_ok(sd_varlink_attach_event(link, manager->event, SD_EVENT_PRIORITY_NORMAL));
        return link;
}

static void run_until(const bool *done, unsigned ms) {
        uint64_t end = now_usec(CLOCK_MONOTONIC) + ms * USEC_PER_MSEC;

        while (!(done && *done)) {
                uint64_t now = now_usec(CLOCK_MONOTONIC);

                if (now >= end) {
                        if (done)
                                fail_msg("no answer in %u ms", ms);
                        return;
                }
                assert_ok(sd_event_run(manager->event, end - now));
        }
}

static void call(struct call *c, const char *method, sd_json_variant *parameters) {
        sd_varlink *link = client(c);

        assert_ok(sd_varlink_invoke(link, method, parameters));
        run_until(&c->done, 30000);
        sd_varlink_close_unref(link);
}

static void call_name(struct call *c, const char *method, const char *name) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;

        assert_ok(sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", name)));
        call(c, method, v);
}

static void expect_error(struct call *c, const char *error) {
        if (!c->error)
                fail_msg("no error, expected %s", error);
        assert_string_equal(c->error, error);
        call_done(c);
}

static void expect_success(struct call *c) {
        if (c->error) {
                _cleanup_free_ char *text = NULL;

                (void) sd_json_variant_format(c->reply, 0, &text);
                fail_msg("%s: %s", c->error, strempty(text));
        }
}

static int make_kernel(void) {
        const uint32_t magic = 0x644d5241;
        const uint64_t size = 1 * MIB, flags = 0xa;
        uint8_t image[8192] = {};

        memcpy(image + 16, &size, 8);
        memcpy(image + 24, &flags, 8);
        memcpy(image + 56, &magic, 4);
        return memfd_from_data("kernel", image, sizeof(image));
}

/* Launch: guest is JSON text, fds are pushed in order and named as parameters says. */
static sd_varlink *launch_begin(struct call *c, const char *parameters, const int *fds, size_t n) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        sd_varlink *link = client(c);

        assert_ok(sd_json_parse(parameters, 0, &v, NULL, NULL));
        for (size_t i = 0; i < n; i++)
                assert_int_equal(sd_varlink_push_fd(link, fds[i]), i);
        assert_ok(sd_varlink_observe(link, METHOD_LAUNCH, v));
        return link;
}

static void launch(struct call *c, const char *parameters, const int *fds, size_t n) {
        sd_varlink *link = launch_begin(c, parameters, fds, n);

        run_until(&c->done, 20000);
        sd_varlink_close_unref(link);
}

#define GUEST_A "{\"guest\":{\"name\":\"a\",\"vcpus\":2,\"append\":\"quiet\"},\"kernelFileDescriptor\":0}"

static void launch_a(struct call *c) {
        int fd = make_kernel();

        assert_ok(fd);
        launch(c, GUEST_A, &fd, 1);
}

static const char *status_of(const char *name) {
        Guest *g = manager_find(manager, name);

        return g ? guest_status_to_string(g->state.status) : "none";
}

/* Until the guest has that status, however busy this machine is. */
static void wait_for_status(const char *name, const char *status) {
        for (int i = 0; i < 1500 && !streq(status_of(name), status); i++)
                run_until(NULL, 20);
        assert_string_equal(status_of(name), status);
}

static const char *string_at(sd_json_variant *v, const char *a, const char *b) {
        v = sd_json_variant_by_key(v, a);
        v = v && b ? sd_json_variant_by_key(v, b) : v;
        return v && sd_json_variant_is_string(v) ? sd_json_variant_string(v) : "";
}

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

#define IMAGE_A "{\"guest\":{\"name\":\"a\",\"image\":\"a.kci\"},\"imageFileDescriptor\":0}"

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
        stop_manager();
        start_manager();
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
        assert_ok(c.fd);
        assert_int_equal(write(c.fd, "root\n", 5), 5);
        for (int i = 0; i < 100 && !strstr(buf, "root\n"); i++) {
                ssize_t k;

                run_until(NULL, 20);
                k = recv(c.fd, buf + n, sizeof(buf) - 1 - n, MSG_DONTWAIT);
                n += k > 0 ? (size_t) k : 0;
        }
        assert_string_equal(buf, "Booting Linux\r\nlogin: root\n"); /* the past, then the echo */
        call_done(&c);

        call_name(&c, METHOD_CONSOLE_LOG, "a");
        expect_success(&c);
        assert_ok(c.fd);
        n = (size_t) read(c.fd, buf, sizeof(buf));
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
                assert_ok(calls[n].fd);
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

/* --- descriptors that are not what they should be --- */

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
        int fd = socket_connect_unix(socket_path);

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
        assert_ok(sd_varlink_connect_address(&link, socket_path));
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

/* --- restarts of the daemon --- */

static void test_restart(void **state _unused_) {
        struct call c;
        int fd;

        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        fd = fcntl(manager_find(manager, "a")->launch_fd, F_DUPFD_CLOEXEC, 3); /* what systemd keeps */

        stop_manager();
        assert_int_equal(kill(fake.units[0].pid, 0), 0); /* the guest runs on */
        assert_ok(manager_new(&fake_ops, NULL, dir, &manager));
        assert_ok(manager_add_stored_fd(manager, "launch-a", fd));
        assert_ok(sd_varlink_server_listen_address(manager->server, socket_path, 0600));
        assert_ok(manager_load(manager));
        assert_string_equal(status_of("a"), "running");
        assert_int_equal(manager_find(manager, "a")->launch_fd, fd);
        assert_int_equal(manager->n_stored, 0);
        run_until(NULL, 300);
        assert_string_equal(status_of("a"), "running");

        call_name(&c, METHOD_CONSOLE, "a"); /* the console is there again */
        expect_success(&c);
        call_done(&c);
        call_name(&c, METHOD_STOP, "a"); /* and so is the power button */
        expect_success(&c);
        assert_false(sd_json_variant_boolean(sd_json_variant_by_key(c.reply, "forced")));
        call_done(&c);
}

static void test_ended_while_down(void **state _unused_) {
        struct call c;

        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        stop_manager();
        kill(fake.units[0].pid, SIGKILL);
        usleep(100000);
        start_manager();
        wait_for_status("a", "failed");
}

static void test_damaged_state_is_ignored(void **state _unused_) {
        _cleanup_free_ char *d = NULL, *file = NULL, *strange = NULL;

        assert_true(asprintf(&d, "%s/guests/bad", dir) > 0);
        assert_true(asprintf(&file, "%s/state.json", d) > 0);
        assert_true(asprintf(&strange, "%s/guests/not a name", dir) > 0);
        assert_int_equal(mkdir(d, 0700), 0);
        assert_int_equal(mkdir(strange, 0700), 0);
        assert_ok(write_file_atomic(file, "{\"guest\":{\"name\":\"other\",\"memory\":536870912,\"vcpus\":1},\"status\":\"running\",\"createdUSec\":1}\n", 0600));
        stop_manager();
        start_manager();
        assert_int_equal(manager->n_guests, 0);
        unlink(file);
        rmdir(d);
        rmdir(strange);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
                T(test_life), T(test_image), T(test_again_and_again), T(test_console), T(test_agent_port), T(test_platform),
                T(test_console_is_bounded), T(test_console_of_a_sleeper), T(test_too_many_consoles), T(test_deaf_guest_is_forced),
                T(test_sysrq), T(test_power_key), T(test_force),
                T(test_ends_by_itself), T(test_ends_early), T(test_ends_before_the_realm),
                T(test_stopped_while_starting), T(test_killed), T(test_realm_error), T(test_realm_error_of_the_kernel), T(test_bad_page),
                T(test_kernel_refuses),
                T(test_systemd_refuses), T(test_qemu_fails), T(test_realm_is_not_made), T(test_slow_kernel), T(test_memlock_lowered),
                T(test_check_fails), T(test_nonsense_qemu), T(test_bad_descriptors), T(test_payload_too_big),
                T(test_wrong_parameters), T(test_not_json), T(test_deep_json), T(test_oversized_message),
                T(test_large_field), T(test_many_clients), T(test_log_is_printable), T(test_status), T(test_failures_are_counted),
                T(test_monitor), T(test_restart),
                T(test_ended_while_down), T(test_damaged_state_is_ignored),
#undef T
        };
        char *guests = NULL;
        int r;

        /* The daemon lets root in; other users may run the rest of the tests. */
        if (geteuid() != 0) {
                fprintf(stderr, "skipped: must be root\n");
                return 77;
        }
        (void) signal(SIGPIPE, SIG_IGN);
        if (!mkdtemp(dir) || asprintf(&socket_path, "%s/sock", dir) < 0)
                return 1;
        r = cmocka_run_group_tests_name("manager", tests, NULL, NULL);
        if (asprintf(&guests, "%s/guests", dir) >= 0)
                (void) rmdir(guests);
        (void) rmdir(dir);
        free(socket_path);
        free(guests);
        return r;
}
