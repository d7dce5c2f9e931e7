/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../guest-config.h"
#include "../guest-state.h"

static void test_names(void **state _unused_) {
        char longest[GUEST_NAME_MAX + 2];

        assert_true(guest_name_is_valid("a"));
        assert_true(guest_name_is_valid("9"));
        assert_true(guest_name_is_valid("web-1_Test"));
        assert_false(guest_name_is_valid(NULL));
        assert_false(guest_name_is_valid(""));
        assert_false(guest_name_is_valid("-a"));
        assert_false(guest_name_is_valid("_a"));
        assert_false(guest_name_is_valid("."));
        assert_false(guest_name_is_valid(".."));
        assert_false(guest_name_is_valid("a/b"));
        assert_false(guest_name_is_valid("a.b"));
        assert_false(guest_name_is_valid("a b"));
        assert_false(guest_name_is_valid("a,b=c"));
        assert_false(guest_name_is_valid("a\n"));
        assert_false(guest_name_is_valid("a@b"));
        assert_false(guest_name_is_valid("gr\xc3\xb6sse"));
        memset(longest, 'x', sizeof(longest));
        longest[GUEST_NAME_MAX + 1] = 0;
        assert_false(guest_name_is_valid(longest));
        longest[GUEST_NAME_MAX] = 0;
        assert_true(guest_name_is_valid(longest));
}

/* One field changed at a time: the complaint must name it. */
static void expect_invalid(const struct guest_config *c, const char *field) {
        _cleanup_(config_error_donep) struct config_error e = {};

        assert_int_equal(guest_config_validate(c, &e), -EINVAL);
        assert_string_equal(e.field, field);
        assert_non_null(e.message);
}

static void test_validation(void **state _unused_) {
        const struct guest_config good = { .name = (char *) "g", .memory = 512 * MIB, .vcpus = 2 };
        _cleanup_(config_error_donep) struct config_error e = {};
        char append[GUEST_APPEND_MAX + 2];
        struct guest_config c;

        assert_ok(guest_config_validate(&good, &e));
        c = good, c.name = NULL;
        expect_invalid(&c, "name");
        c = good, c.name = (char *) "../x";
        expect_invalid(&c, "name");
        c = good, c.memory = 512 * MIB + 1;
        expect_invalid(&c, "memory");
        c = good, c.memory = 0;
        expect_invalid(&c, "memory");
        c = good, c.memory = UINT64_MAX;
        expect_invalid(&c, "memory");
        c = good, c.vcpus = 0;
        expect_invalid(&c, "vcpus");
        c = good, c.vcpus = 124;
        expect_invalid(&c, "vcpus");
        memset(append, 'a', sizeof(append));
        append[GUEST_APPEND_MAX + 1] = 0;
        c = good, c.append = append;
        expect_invalid(&c, "append");
        append[GUEST_APPEND_MAX] = 0;
        assert_ok(guest_config_validate(&c, &e));
        c = good, c.append = (char *) "a\nb";
        expect_invalid(&c, "append");
        c = good, c.kernel_path = (char *) "\x1b[2J";
        expect_invalid(&c, "kernel");
        c = good, c.network = GUEST_NETWORK_TAP;
        expect_invalid(&c, "tap");
        c = good, c.network = (GuestNetwork) 7;
        expect_invalid(&c, "network");
        c = good, c.n_forwards = 1, c.forwards[0] = (struct guest_forward) { 22, 22 };
        expect_invalid(&c, "forwards");
        c.network = GUEST_NETWORK_USER;
        assert_ok(guest_config_validate(&c, &e));
        c.n_forwards = 2, c.forwards[1] = (struct guest_forward) { 22, 23 };
        expect_invalid(&c, "forwards");
}

static void fill(struct guest_state *s) {
        struct guest_config *c = &s->config;

        *s = (struct guest_state) GUEST_STATE_INIT;
        assert_ok(free_and_strdup(&c->name, "web-1"));
        assert_ok(free_and_strdup(&c->append, "root=/dev/vda \"x\" \\ \xc3\xa4"));
        assert_ok(free_and_strdup(&c->kernel_path, "/boot/Image"));
        assert_ok(free_and_strdup(&c->initrd_path, "/boot/initrd"));
        c->uuid = SD_ID128_MAKE(b1, c0, a0, e4, 5d, 43, 4f, 7a, 9a, 51, 4b, 43, 6f, 72, 65, 01);
        c->memory = 511 * GIB;
        c->vcpus = 123;
        c->earlycon = true;
        c->network = GUEST_NETWORK_USER;
        c->n_forwards = 1;
        c->forwards[0] = (struct guest_forward) { 65535, 22 };
        c->n_disks = 2;
        for (size_t i = 0; i < 2; i++) {
                c->disks[i].fd = -EBADF;
                c->disks[i].read_only = i == 1;
                assert_ok(free_and_strdup(&c->disks[i].path, i ? "/srv/b" : "/srv/a,ro"));
        }
        s->status = GUEST_FAILED;
        s->created_usec = 1795366104062464;
        s->ended_usec = UINT64_MAX;
        assert_ok(free_and_strdup(&s->reason, "it \"broke\"\n"));
}

static void test_round_trip(void **state _unused_) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL, *w = NULL, *again = NULL;
        _cleanup_(guest_state_donep) struct guest_state a, b = GUEST_STATE_INIT;
        _cleanup_free_ char *text = NULL;

        fill(&a);
        assert_ok(guest_state_to_json(&a, &v));
        assert_ok(sd_json_variant_format(v, 0, &text));
        assert_ok(sd_json_parse(text, 0, &w, NULL, NULL));
        assert_ok(guest_state_from_json(w, &b));
        assert_string_equal(b.config.name, a.config.name);
        assert_string_equal(b.config.append, a.config.append);
        assert_string_equal(b.config.initrd_path, a.config.initrd_path);
        assert_true(sd_id128_equal(a.config.uuid, b.config.uuid));
        assert_int_equal(b.config.memory, a.config.memory);
        assert_int_equal(b.config.vcpus, a.config.vcpus);
        assert_int_equal(b.config.network, a.config.network);
        assert_int_equal(b.config.n_disks, 2);
        assert_string_equal(b.config.disks[0].path, "/srv/a,ro");
        assert_true(b.config.disks[1].read_only);
        assert_int_equal(b.config.disks[1].fd, -EBADF);
        assert_int_equal(b.config.forwards[0].host_port, 65535);
        assert_int_equal(b.status, a.status);
        assert_true(b.created_usec == a.created_usec && b.ended_usec == a.ended_usec);
        assert_string_equal(b.reason, a.reason);
        assert_ok(guest_state_to_json(&b, &again));
        assert_true(sd_json_variant_equal(v, again));
}

static int parse_config(const char *text) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        _cleanup_(guest_config_donep) struct guest_config c = GUEST_CONFIG_INIT;
        _cleanup_(config_error_donep) struct config_error e = {};
        int r;

        assert_ok(sd_json_parse(text, 0, &v, NULL, NULL));
        r = guest_config_from_json(v, &c, &e);
        if (r < 0) {
                assert_int_equal(r, -EINVAL);
                assert_non_null(e.field);
                assert_non_null(e.message);
        }
        return r;
}

static void test_wrong_json(void **state _unused_) {
        static const char *const bad[] = {
                "[]", "null", "\"x\"", "1", "{}",
                "{\"name\":1}",
                "{\"name\":null}",
                "{\"name\":[\"a\"]}",
                "{\"name\":\"a\",\"name\":\"b\"}",
                "{\"name\":\"a\",\"unknown\":1}",
                "{\"name\":\"a\",\"memory\":-1}",
                "{\"name\":\"a\",\"memory\":1.5}",
                "{\"name\":\"a\",\"memory\":\"much\"}",
                "{\"name\":\"a\",\"memory\":1e300}",
                "{\"name\":\"a\",\"vcpus\":4294967296}",
                "{\"name\":\"a\",\"vcpus\":{}}",
                "{\"name\":\"a\",\"uuid\":\"zz\"}",
                "{\"name\":\"a\",\"network\":\"bridge\"}",
                "{\"name\":\"a\",\"forwards\":{}}",
                "{\"name\":\"a\",\"forwards\":[{}]}",
                "{\"name\":\"a\",\"forwards\":[{\"hostPort\":70000,\"guestPort\":1}]}",
                "{\"name\":\"a\",\"forwards\":[1]}",
                "{\"name\":\"a\",\"disks\":[{\"path\":1}]}",
                "{\"name\":\"a\",\"disks\":[{\"path\":\"x\",\"path\":\"y\"}]}",
                "{\"name\":\"a\",\"disks\":[[]]}",
                "{\"name\":\"a\",\"disks\":[{},{},{},{},{},{},{},{},{},{},{},{},{}]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (parse_config(bad[i]) >= 0)
                        fail_msg("accepted: %s", bad[i]);
        assert_ok(parse_config("{\"name\":\"a\"}"));
        assert_ok(parse_config("{\"name\":\"a\",\"disks\":[{},{},{},{},{},{},{},{},{},{},{},{}]}"));
}

/* Every prefix, and every byte replaced: never a crash, never a state that does not validate. */
static void test_damaged_state(void **state _unused_) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        _cleanup_(guest_state_donep) struct guest_state a;
        _cleanup_free_ char *text = NULL;
        size_t n, parsed = 0, accepted = 0;

        fill(&a);
        assert_ok(guest_state_to_json(&a, &v));
        assert_ok(sd_json_variant_format(v, 0, &text));
        n = strlen(text);
        for (size_t i = 0; i < n; i++)
                for (int mode = 0; mode < 3; mode++) {
                        _cleanup_(guest_state_donep) struct guest_state s = GUEST_STATE_INIT;
                        _cleanup_(sd_json_variant_unrefp) sd_json_variant *w = NULL;
                        _cleanup_(config_error_donep) struct config_error e = {};
                        _cleanup_free_ char *t = strdup(text);

                        t[i] = mode == 0 ? 0 : mode == 1 ? '9' : (char) (t[i] ^ 0x20);
                        if (sd_json_parse(t, 0, &w, NULL, NULL) < 0)
                                continue;
                        parsed++;
                        if (guest_state_from_json(w, &s) < 0)
                                continue;
                        accepted++;
                        assert_ok(guest_config_validate(&s.config, &e));
                        assert_non_null(guest_status_to_string(s.status));
                }
        assert_true(parsed > 100 && accepted > 10);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_validation),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_wrong_json),
                cmocka_unit_test(test_damaged_state),
        };

        return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
