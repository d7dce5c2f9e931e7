/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon ends, at any moment, and another one takes over what it left. */

#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

static void test_restart(void **state _unused_) {
        struct call c;
        int fd;

        launch_a(&c);
        expect_success(&c);
        call_done(&c);
        fd = fcntl(manager_find(manager, "a")->launch_fd, F_DUPFD_CLOEXEC, 3); /* what systemd keeps */

        manager_stop();
        assert_int_equal(kill(fake.units[0].pid, 0), 0); /* the guest runs on */
        manager_start_with("launch-a", fd);
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
        manager_stop();
        kill(fake.units[0].pid, SIGKILL);
        usleep(100000);
        manager_start();
        wait_for_status("a", "failed");
}

static void test_damaged_state_is_ignored(void **state _unused_) {
        _cleanup_free_ char *d = NULL, *file = NULL, *strange = NULL;

        assert_true(asprintf(&d, "%s/guests/bad", test_dir) > 0);
        assert_true(asprintf(&file, "%s/state.json", d) > 0);
        assert_true(asprintf(&strange, "%s/guests/not a name", test_dir) > 0);
        assert_int_equal(mkdir(d, 0700), 0);
        assert_int_equal(mkdir(strange, 0700), 0);
        assert_ok(write_file_atomic(file, "{\"guest\":{\"name\":\"other\",\"memory\":536870912,\"vcpus\":1},\"status\":\"running\",\"createdUSec\":1}\n", 0600));
        manager_stop();
        manager_start();
        assert_int_equal(manager->n_guests, 0);
        unlink(file);
        rmdir(d);
        rmdir(strange);
}

/* A guest's record as the daemon leaves it when it dies before the guest's unit is there. */
static char *leave_starting(void) {
        char *path, *file;

        assert_true(asprintf(&path, "%s/guests/a", test_dir) > 0);
        assert_true(asprintf(&file, "%s/state.json", path) > 0);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_ok(write_file_atomic(file, "{\"guest\":{\"name\":\"a\",\"memory\":536870912,\"vcpus\":1},\"status\":\"starting\",\"createdUSec\":1}\n", 0600));
        free(file);
        return path;
}

static void expect_failed_launch(void) {
        wait_for_status("a", "failed");
        assert_non_null(strstr(manager_find(manager, "a")->state.reason, "kcoresd ended before the realm ran"));
        assert_string_equal(fake.last_fd_stored, "-launch-a");
        assert_int_equal(manager->failures[FAILURE_QEMU], 1);
}

static void test_died_before_the_unit(void **state _unused_) {
        _cleanup_free_ char *path = leave_starting();
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        fake.launch_state = KCORE_LAUNCH_CONFIGURED;
        manager_stop();
        manager_start_with("launch-a", fd);
        assert_string_equal(status_of("a"), "starting");
        expect_failed_launch();
}

static void test_died_before_the_descriptor_was_kept(void **state _unused_) {
        _cleanup_free_ char *path = leave_starting();

        manager_stop();
        manager_start();
        expect_failed_launch();
}

/* The kernel frees a launch with its last descriptor: one that no guest has must not be kept. */
static void test_descriptor_of_no_guest(void **state _unused_) {
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        manager_stop();
        manager_start_with("launch-a", fd);
        assert_int_equal(manager->n_stored, 0);
        assert_string_equal(fake.last_fd_stored, "-launch-a");
        assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_launch_that_fails_keeps_nothing(void **state _unused_) {
        struct call c;

        fake.unit_error = -EPERM;
        launch_a(&c);
        expect_error(&c, ERROR_LAUNCH_FAILED);
        assert_string_equal(fake.last_fd_stored, "-launch-a");
}

/* What a launch or a removal leaves when it is cut off: a directory without a record. */
static void test_half_removed(void **state _unused_) {
        _cleanup_free_ char *path = leave_starting(), *file = NULL, *log = NULL;

        assert_true(asprintf(&file, "%s/state.json", path) > 0);
        assert_true(asprintf(&log, "%s/console.log", path) > 0);
        assert_ok(write_file_atomic(log, "Booting Linux\n", 0600));
        assert_ok(unlink(file));
        manager_stop();
        manager_start();
        assert_int_equal(manager->n_guests, 0);
        assert_int_equal(access(path, F_OK), -1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
                T(test_restart), T(test_ended_while_down), T(test_damaged_state_is_ignored),
                T(test_died_before_the_unit), T(test_died_before_the_descriptor_was_kept), T(test_descriptor_of_no_guest),
                T(test_launch_that_fails_keeps_nothing), T(test_half_removed),
#undef T
        };

        return unless_root() ?: cmocka_run_group_tests_name("manager-restart", tests, group_setup, group_teardown);
}
