/* SPDX-License-Identifier: Apache-2.0 */

/* Domains of libvirt: arming, who may claim, once, in time; over both sockets, on the made-up system. */

#include "harness.h"
#include "make-image.h"

#include <sys/stat.h>

#include "../../libkcore/io.kcore.Launch.h"
#include "../domain-peer.h"
#include "../domain.h"
#include "../socket-util.h"

#define UUID "c7a5fdbd-edaf-9455-926a-d65c16db1809"
#define OTHER "11111111-edaf-9455-926a-d65c16db1809"
#define PROFILE "libvirt-" UUID " (enforce)\n"
#define CGROUP(scope) "0::/machine.slice/" scope "/libvirt/emulator\n"
#define SCOPE CGROUP("machine-qemu\\x2d3\\x2dweb.scope")

static int setup_domain(void **state) {
        int r = setup(state);

        fake.profile = PROFILE;
        fake.cgroup = SCOPE;
        return r;
}

/* --- who --- */

static sd_id128_t uuid_of(const char *s) {
        sd_id128_t u;

        assert_ok(sd_id128_from_string(s, &u));
        return u;
}

static bool matches(const char *profile, const char *cgroup, const char *name) {
        return domain_peer_matches(profile, cgroup, uuid_of(UUID), name);
}

static void test_peer(void **state _unused_) {
        /* With AppArmor its profile says which domain; a scope there must be. */
        assert_true(matches(PROFILE, SCOPE, "web"));
        assert_true(matches("libvirt-" UUID, SCOPE, "web"));
        assert_true(matches("libvirt-" UUID " (complain)", SCOPE, "renamed"));
        assert_false(matches("libvirt-" OTHER " (enforce)\n", SCOPE, "web"));
        assert_false(matches("libvirt-" UUID "0 (enforce)", SCOPE, "web"));
        assert_false(matches("libvirtd (enforce)", SCOPE, "web"));
        assert_false(matches(PROFILE, "0::/system.slice/libvirtd.service\n", "web"));
        assert_false(matches(PROFILE, "", "web"));
        assert_false(matches(PROFILE, CGROUP("user@0.service"), "web"));

        /* Without, the scope does. */
        assert_true(matches(NULL, SCOPE, "web"));
        assert_true(matches("", SCOPE, "web"));
        assert_true(matches("unconfined\n", SCOPE, "web"));
        assert_true(matches(NULL, "1:name=systemd:/x\n" SCOPE, "web"));
        assert_false(matches(NULL, "1:name=systemd:/machine.slice/machine-qemu\\x2d3\\x2dweb.scope\n0::/user.slice\n", "web"));
        assert_false(matches(NULL, SCOPE, "web2"));
        assert_false(matches(NULL, SCOPE, "we"));
        assert_false(matches(NULL, SCOPE, ""));
        assert_false(matches("unconfined2", SCOPE, "web"));
        assert_true(matches(NULL, CGROUP("machine-qemu\\x2d12\\x2da\\x2db.c.scope"), "a-b.c"));
        assert_true(matches(NULL, CGROUP("machine-qemu\\x2d12\\x2dab.scope"), "a_b"));
        assert_false(matches(NULL, CGROUP("machine-qemu\\x2dx\\x2dweb.scope"), "web"));
        assert_false(matches(NULL, CGROUP("machine-qemu\\x2d3\\x2dweb.service"), "web"));
        assert_false(matches(NULL, CGROUP("xmachine-qemu\\x2d3\\x2dweb.scope"), "web"));
        assert_false(matches(NULL, CGROUP("machine-qemu\\x2d3web.scope"), "web"));
}

static void test_machine_name(void **state _unused_) {
        static const struct {
                const char *name, *machine;
        } cases[] = {
                { "web", "web" }, { "a-b", "a-b" }, { "-a--b..c-", "a-b.c" }, { "ä b", "b" }, { "___", "" },
                { "0123456789012345678901234567890123456789012345678901234567890123456789", "01234567890123456789012345678901234567890123456789012345" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char buf[65];

                domain_machine_name(cases[i].name, strlen("qemu-3-") + 1, buf);
                assert_string_equal(buf, cases[i].machine);
        }
}

/* --- calls --- */

/* error: or NULL, for success */
static void expect(struct call *c, const char *error) {
        if (!streq(strempty(c->error), strempty(error))) {
                _cleanup_free_ char *text = NULL;

                (void) sd_json_variant_format(c->reply, 0, &text);
                fail_msg("%s %s, expected %s", c->error ?: "success", strempty(text), error ?: "success");
        }
}

static void arm(struct call *c, uint64_t memory, unsigned vcpus) {
        static const uint8_t no_key[32];
        struct kci_image image;
        char text[256];
        int fd = make_image(IMAGE_PLAIN, no_key, &image);

        assert_ok(fd);
        snprintf(text, sizeof(text), "{\"name\":\"web\",\"uuid\":\"" UUID "\",\"memory\":%llu,\"vcpus\":%u,\"image\":\"/web.kci\",\"imageFileDescriptor\":0}",
                 (unsigned long long) memory, vcpus);
        call_text(c, manager_path, METHOD_ARM_DOMAIN, text, fd);
}

static void arm_good(void) {
        struct call c;

        arm(&c, GIB, 3);
        expect(&c, NULL);
        call_done(&c);
}

static void claim(struct call *c) {
        call_text(c, launch_path, METHOD_CLAIM, "{\"uuid\":\"" UUID "\"}", -EBADF);
}

static void expect_claim(const char *error) {
        struct call c;

        claim(&c);
        expect(&c, error);
        call_done(&c);
}

static void disarm(void) {
        struct call c;

        call_text(&c, manager_path, METHOD_DISARM_DOMAIN, "{\"uuid\":\"" UUID "\"}", -EBADF);
        expect(&c, NULL);
        call_done(&c);
}

static void test_life(void **state _unused_) {
        struct call c, claimed;
        struct stat st;

        expect_claim(ERROR_NOT_ARMED);
        arm_good();
        assert_int_equal(fake.config.vcpus, 3);
        assert_int_equal(fake.config.ram_size, GIB);
        claim(&claimed);
        expect(&claimed, NULL);
        assert_int_equal(sd_json_variant_unsigned(sd_json_variant_by_key(claimed.reply, "vcpus")), 3);
        assert_true(sd_json_variant_unsigned(sd_json_variant_by_key(claimed.reply, "memory")) > GIB);
        assert_true(sd_json_variant_unsigned(sd_json_variant_by_key(claimed.reply, "lockedMemory")) > GIB);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(fstat(claimed.fds[i], &st), 0);
        assert_string_equal(fake.last_fd_stored, "+domain-" UUID);

        /* Once. While it lives it is not armed again, and what libvirt manages is libvirt's. */
        expect_claim(ERROR_ALREADY_CLAIMED);
        arm(&c, GIB, 3);
        expect(&c, ERROR_GUEST_EXISTS);
        call_done(&c);
        for (int i = 0; i < 500 && manager->domains[0]->state.status != GUEST_RUNNING; i++)
                run_until(NULL, 20);
        call_text(&c, manager_path, METHOD_DESCRIBE, "{\"name\":\"web\"}", -EBADF);
        expect(&c, NULL);
        assert_string_equal(sd_json_variant_string(sd_json_variant_by_key(sd_json_variant_by_key(c.reply, "guest"), "manager")), "libvirt");
        assert_string_equal(sd_json_variant_string(sd_json_variant_by_key(sd_json_variant_by_key(c.reply, "runtime"), "unit")), "machine-qemu\\x2d3\\x2dweb.scope");
        call_done(&c);
        call_text(&c, manager_path, METHOD_LIST, "{}", -EBADF);
        assert_int_equal(sd_json_variant_elements(sd_json_variant_by_key(c.reply, "guests")), 1);
        call_done(&c);
        call_text(&c, manager_path, METHOD_STOP, "{\"name\":\"web\"}", -EBADF);
        expect(&c, ERROR_MANAGED_BY_LIBVIRT);
        call_done(&c);
        call_text(&c, manager_path, METHOD_CONSOLE, "{\"name\":\"" UUID "\"}", -EBADF);
        expect(&c, ERROR_MANAGED_BY_LIBVIRT);
        call_done(&c);
        call_text(&c, manager_path, METHOD_AGENT_PORT, "{\"name\":\"web\"}", -EBADF);
        expect(&c, NULL);
        call_done(&c);
        call_done(&claimed);
}

static void test_restart(void **state _unused_) {
        struct call claimed;
        int fd;

        arm_good();
        claim(&claimed);
        expect(&claimed, NULL);
        fd = dup(manager->domains[0]->launch_fd);
        manager_stop();
        manager_start_with("domain-" UUID, fd);
        assert_int_equal(manager->n_domains, 1);
        assert_true(manager->domains[0]->launch_fd >= 0);
        expect_claim(ERROR_ALREADY_CLAIMED);

        /* QEMU ends: its sockets go with it. */
        call_done(&claimed);
        for (int i = 0; i < 500 && guest_status_is_alive(manager->domains[0]->state.status); i++)
                run_until(NULL, 20);
        assert_int_equal(manager->domains[0]->state.status, GUEST_EXITED);
        expect_claim(ERROR_NOT_ARMED);
        disarm();
        assert_int_equal(manager->n_domains, 0);
}

static void test_armed_is_lost_with_the_daemon(void **state _unused_) {
        arm_good();
        manager_stop();
        manager_start();
        assert_int_equal(manager->n_domains, 0);
        expect_claim(ERROR_NOT_ARMED);
}

static void test_not_the_domain(void **state _unused_) {
        arm_good();
        fake.profile = "libvirt-" OTHER " (enforce)\n";
        expect_claim(ERROR_NOT_THE_DOMAIN);
        fake.profile = NULL;
        fake.cgroup = "0::/user.slice/user-1000.slice\n";
        expect_claim(ERROR_NOT_THE_DOMAIN);
        /* It did the domain no harm. */
        fake.cgroup = SCOPE;
        expect_claim(NULL);
}

static void test_refusals(void **state _unused_) {
        struct call c;

        arm(&c, 512 * MIB, 3);
        expect(&c, ERROR_INVALID_GUEST);
        assert_non_null(strstr(sd_json_variant_string(sd_json_variant_by_key(c.reply, "message")), "512M of memory"));
        call_done(&c);
        arm(&c, GIB, 2);
        expect(&c, ERROR_INVALID_GUEST);
        call_done(&c);
        fake.config_error = -EINVAL;
        arm(&c, GIB, 3);
        expect(&c, ERROR_LAUNCH_FAILED);
        call_done(&c);
        fake.config_error = 0;
        call_text(&c, launch_path, METHOD_CLAIM, "{\"uuid\":\"x\"}", -EBADF);
        expect(&c, SD_VARLINK_ERROR_INVALID_PARAMETER);
        call_done(&c);
        /* Nobody manages anything by this socket. */
        call_text(&c, launch_path, METHOD_LIST, "{}", -EBADF);
        assert_non_null(c.error);
        call_done(&c);
        assert_int_equal(manager->n_domains, 0);
}

/* KCore refuses a page when the realm is made; QEMU would stand there, so it is ended by then. */
static void test_launch_error(void **state _unused_) {
        fake.launch_error = -EBADMSG;
        fake.launch_rmi_status = 18;
        arm_good();
        expect_claim(NULL); /* and QEMU is gone: its sockets are closed */
        for (int i = 0; i < 500 && manager->domains[0]->state.status != GUEST_FAILED; i++)
                run_until(NULL, 20);
        assert_int_equal(manager->domains[0]->state.status, GUEST_FAILED);
        assert_non_null(strstr(manager->domains[0]->state.reason, "not sealed for this machine"));
        assert_int_equal(manager->failures[FAILURE_SEAL], 1);
        disarm(); /* keeps the reason */
        assert_int_equal(manager->n_domains, 1);
        arm_good();
        assert_int_equal(manager->n_domains, 1);
}

/* A realm that the core gives up later on was a launch that went well. */
static void test_error_after_the_launch(void **state _unused_) {
        struct call claimed;

        arm_good();
        claim(&claimed);
        expect(&claimed, NULL);
        for (int i = 0; i < 500 && manager->domains[0]->state.status != GUEST_RUNNING; i++)
                run_until(NULL, 20);
        fake.launch_error = -EIO;
        call_done(&claimed); /* QEMU ends */
        for (int i = 0; i < 500 && manager->domains[0]->state.status != GUEST_FAILED; i++)
                run_until(NULL, 20);
        assert_int_equal(manager->domains[0]->state.status, GUEST_FAILED);
        for (size_t i = 0; i < _FAILURE_CLASS_MAX; i++)
                assert_int_equal(manager->failures[i], 0);
}

static void test_disarm(void **state _unused_) {
        struct call c;

        arm_good();
        arm_good(); /* takes the place of the first */
        assert_int_equal(manager->n_domains, 1);
        disarm();
        assert_int_equal(manager->n_domains, 0);
        expect_claim(ERROR_NOT_ARMED);
        disarm(); /* nothing to do */

        /* QEMU died before the realm ran: the record stays, to be looked at, until somebody stops it. */
        arm_good();
        fake.launch_state = KCORE_LAUNCH_CONFIGURED;
        expect_claim(NULL);
        disarm();
        assert_int_equal(manager->n_domains, 1);
        assert_int_equal(manager->domains[0]->state.status, GUEST_FAILED);
        call_text(&c, manager_path, METHOD_STOP, "{\"name\":\"web\"}", -EBADF);
        expect(&c, NULL);
        call_done(&c);
        assert_int_equal(manager->n_domains, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_peer),
                cmocka_unit_test(test_machine_name),
                cmocka_unit_test_setup_teardown(test_life, setup_domain, teardown),
                cmocka_unit_test_setup_teardown(test_restart, setup_domain, teardown),
                cmocka_unit_test_setup_teardown(test_armed_is_lost_with_the_daemon, setup_domain, teardown),
                cmocka_unit_test_setup_teardown(test_not_the_domain, setup_domain, teardown),
                cmocka_unit_test_setup_teardown(test_refusals, setup_domain, teardown),
                cmocka_unit_test_setup_teardown(test_launch_error, setup_domain, teardown),
                cmocka_unit_test_setup_teardown(test_error_after_the_launch, setup_domain, teardown),
                cmocka_unit_test_setup_teardown(test_disarm, setup_domain, teardown),
        };

        return unless_root() ?: cmocka_run_group_tests_name("domain", tests, group_setup, group_teardown);
}
