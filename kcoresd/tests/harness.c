/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <signal.h>
#include <time.h>

#include "../../libkcore/memfd.h"
#include "../domain.h"

char *test_dir, *manager_path, *launch_path;
Manager *manager;

void manager_start_with(const char *name, int fd) {
        assert_ok(manager_new(&fake_ops, NULL, test_dir, &manager));
        if (fd >= 0)
                assert_ok(manager_add_stored_fd(manager, name, fd));
        assert_ok(sd_varlink_server_listen_address(manager->server, manager_path, 0600));
        assert_ok(sd_varlink_server_listen_address(manager->launch_server, launch_path, 0600));
        assert_ok(manager_load(manager));
}

void manager_start(void) {
        manager_start_with(NULL, -EBADF);
}

void manager_stop(void) {
        manager = manager_free(manager);
        unlink(manager_path);
        unlink(launch_path);
}

int setup(void **state _unused_) {
        fake_reset();
        manager_start();
        return 0;
}

int teardown(void **state _unused_) {
        while (manager->n_guests > 0)
                guest_remove(manager->guests[0]);
        while (manager->n_domains > 0)
                domain_remove(manager->domains[0]);
        manager_stop();
        fake_reset();
        return 0;
}

int unless_root(void) {
        if (geteuid() == 0)
                return 0;
        fprintf(stderr, "skipped: must be root\n");
        return 77;
}

int group_setup(void **state _unused_) {
        static char dir[] = "/tmp/kcoresd-XXXXXX";

        (void) signal(SIGPIPE, SIG_IGN);
        test_dir = mkdtemp(dir);
        return !test_dir || asprintf(&manager_path, "%s/manager", dir) < 0 || asprintf(&launch_path, "%s/launch", dir) < 0 ? -1 : 0;
}

int group_teardown(void **state _unused_) {
        static const char *const directories[] = { "guests", "domains", "" };

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *path = NULL;

                /* What is left in one is for whoever looks at the test's leavings. */
                if (asprintf(&path, "%s/%s", test_dir, directories[i]) >= 0)
                        (void) rmdir(path);
        }
        free(manager_path);
        free(launch_path);
        return 0;
}

void call_done(struct call *c) {
        sd_json_variant_unref(c->reply);
        free(c->error);
        for (size_t i = 0; i < ELEMENTSOF(c->fds); i++)
                safe_close(c->fds[i]);
}

static int on_reply(sd_varlink *link, sd_json_variant *p, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata) {
        struct call *c = userdata;

        if (flags & SD_VARLINK_REPLY_CONTINUES) {
                c->notifications++;
                return 0;
        }
        c->reply = sd_json_variant_ref(p);
        c->error = error_id ? strdup(error_id) : NULL;
        for (size_t i = 0; i < ELEMENTSOF(c->fds); i++)
                c->fds[i] = sd_varlink_take_fd(link, i);
        c->done = true;
        return 0;
}

sd_varlink *client(struct call *c, const char *path) {
        sd_varlink *link = NULL;

        *c = (struct call) { .fds = { -EBADF, -EBADF, -EBADF } };
        assert_ok(sd_varlink_connect_address(&link, path));
        assert_ok(sd_varlink_set_allow_fd_passing_input(link, true));
        assert_ok(sd_varlink_set_allow_fd_passing_output(link, true));
        sd_varlink_set_userdata(link, c);
        assert_ok(sd_varlink_bind_reply(link, on_reply));
        assert_ok(sd_varlink_attach_event(link, manager->event, SD_EVENT_PRIORITY_NORMAL));
        return link;
}

void run_until(const bool *done, unsigned ms) {
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

void call(struct call *c, const char *method, sd_json_variant *parameters) {
        sd_varlink *link = client(c, manager_path);

        assert_ok(sd_varlink_invoke(link, method, parameters));
        run_until(&c->done, 30000);
        sd_varlink_close_unref(link);
}

void call_name(struct call *c, const char *method, const char *name) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;

        assert_ok(sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", name)));
        call(c, method, v);
}

void call_text(struct call *c, const char *path, const char *method, const char *parameters, int fd) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        sd_varlink *link = client(c, path);

        assert_ok(sd_json_parse(parameters, 0, &v, NULL, NULL));
        if (fd >= 0)
                assert_ok(sd_varlink_push_fd(link, fd));
        assert_ok(sd_varlink_invoke(link, method, v));
        run_until(&c->done, 30000);
        sd_varlink_close_unref(link);
}

void expect_error(struct call *c, const char *error) {
        if (!c->error)
                fail_msg("no error, expected %s", error);
        assert_string_equal(c->error, error);
        call_done(c);
}

void expect_success(struct call *c) {
        if (c->error) {
                _cleanup_free_ char *text = NULL;

                (void) sd_json_variant_format(c->reply, 0, &text);
                fail_msg("%s: %s", c->error, strempty(text));
        }
}

int make_kernel(void) {
        const uint32_t magic = 0x644d5241;
        const uint64_t size = 1 * MIB, flags = 0xa;
        uint8_t image[8192] = {};

        memcpy(image + 16, &size, 8);
        memcpy(image + 24, &flags, 8);
        memcpy(image + 56, &magic, 4);
        return memfd_from_data("kernel", image, sizeof(image));
}

sd_varlink *launch_begin(struct call *c, const char *parameters, const int *fds, size_t n) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        sd_varlink *link = client(c, manager_path);

        assert_ok(sd_json_parse(parameters, 0, &v, NULL, NULL));
        for (size_t i = 0; i < n; i++)
                assert_int_equal(sd_varlink_push_fd(link, fds[i]), i);
        assert_ok(sd_varlink_observe(link, METHOD_LAUNCH, v));
        return link;
}

void launch(struct call *c, const char *parameters, const int *fds, size_t n) {
        sd_varlink *link = launch_begin(c, parameters, fds, n);

        run_until(&c->done, 20000);
        sd_varlink_close_unref(link);
}

void launch_a(struct call *c) {
        int fd = make_kernel();

        assert_ok(fd);
        launch(c, GUEST_A, &fd, 1);
}

const char *status_of(const char *name) {
        Guest *g = manager_find(manager, name);

        return g ? guest_status_to_string(g->state.status) : "none";
}

void wait_for_status(const char *name, const char *status) {
        for (int i = 0; i < 1500 && !streq(status_of(name), status); i++)
                run_until(NULL, 20);
        assert_string_equal(status_of(name), status);
}

const char *string_at(sd_json_variant *v, const char *a, const char *b) {
        v = sd_json_variant_by_key(v, a);
        v = v && b ? sd_json_variant_by_key(v, b) : v;
        return v && sd_json_variant_is_string(v) ? sd_json_variant_string(v) : "";
}
