/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include "../libkcore/checks.h"
#include "../libkcore/guest-config.h"
#include "../libkcore/io.kcore.Manager.h"

/* Without a daemon we look ourselves: the table of checks is the same. */
static int checks_here(sd_json_variant **ret) {
        static const struct platform_needs needs = { .memory = GUEST_MEMORY_DEFAULT, .vcpus = GUEST_VCPUS_DEFAULT };
        struct platform_facts facts;
        struct check_report report;
        int r;

        platform_facts_read(QEMU_BINARY, &facts);
        r = checks_run(&facts, &needs, &report);
        if (r < 0)
                return r;
        r = check_report_to_json(&report, ret);
        check_report_done(&report);
        return r;
}

static int append_libvirt(sd_json_variant **array) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *more = NULL;
        struct platform_facts facts = {};
        struct check_report report;
        int r;

        libvirt_facts_read("", &facts.libvirt);
        r = checks_run_libvirt(&facts, &report);
        if (r < 0)
                return r;
        r = check_report_to_json(&report, &more);
        check_report_done(&report);
        for (size_t i = 0; r >= 0 && i < sd_json_variant_elements(more); i++)
                r = sd_json_variant_append_array(array, sd_json_variant_by_index(more, i));
        return r;
}

/* The one check that only we can make. */
static int append_daemon(sd_json_variant **array, int error) {
        const char *fix = error == -EACCES || error == -EPERM ?
                "Run as root, or as a member of the group kcore." : "Start it: systemctl start kcoresd.socket";
        _cleanup_free_ char *message = NULL;

        if (error >= 0)
                message = strdup("kcoresd answers");
        else if (error == -EACCES || error == -EPERM)
                message = strdup("you may not talk to kcoresd");
        else if (asprintf(&message, "kcoresd can not be reached at %s: %s", context.socket,
                          error == -ENOENT ? "it is not running" : strerror(-error)) < 0)
                message = NULL;
        return sd_json_variant_append_arraybo(
                        array,
                        SD_JSON_BUILD_PAIR_STRING("check", "daemon"),
                        SD_JSON_BUILD_PAIR_STRING("title", "daemon"),
                        SD_JSON_BUILD_PAIR_INTEGER("depth", 0),
                        SD_JSON_BUILD_PAIR_STRING("status", error >= 0 ? "ok" : "fail"),
                        SD_JSON_BUILD_PAIR_STRING("message", strempty(message)),
                        SD_JSON_BUILD_PAIR_CONDITION(error < 0, "fix", SD_JSON_BUILD_STRING(fix)));
}

static void print_check(sd_json_variant *c) {
        CheckStatus status = check_status_from_string(field_string(c, "status"));
        int indent = (int) (2 * MIN(field_unsigned(c, "depth"), UINT64_C(8)));
        const char *mark = status == CHECK_OK ? "✔" : status == CHECK_FAIL ? "✘" : "-";
        const char *tint = status == CHECK_OK ? ANSI_GREEN : status == CHECK_FAIL ? ANSI_RED : ANSI_GREY;

        printf("%*s%s%s%s %s%s%s", indent, "", color(stdout, tint), mark, color(stdout, ANSI_NORMAL), field_string(c, "title"),
               status == CHECK_SKIP ? ": skipped" : "", *field_string(c, "message") ? ": " : "");
        print_safe(stdout, field_string(c, "message"));
        putchar('\n');
        if (status == CHECK_FAIL) {
                printf("%*s  fix: ", indent, "");
                print_safe(stdout, field_string(c, "fix"));
                putchar('\n');
        }
}

int verb_doctor(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl doctor [--json]\n"
                "\n"
                "Checks whether this machine can run guests, and tells how to repair what is\n"
                "wrong. A launch makes the same checks, but for those of libvirt, which are only\n"
                "made where libvirt and kcore-libvirt are installed. The exit status is 3 if one\n"
                "fails.\n";
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *array = NULL, *v = NULL;
        sd_json_variant *reply = NULL;
        const char *error_id = NULL;
        bool can_run = true;
        size_t failed = 0, guests;
        int r, daemon;

        r = parse_simple(argc, argv, usage, 0, 0);
        if (r >= 0)
                return r;

        daemon = client_try_connect(&link);
        if (daemon >= 0) {
                daemon = sd_varlink_call(link, METHOD_DOCTOR, NULL, &reply, &error_id);
                if (daemon >= 0 && error_id)
                        daemon = streq(error_id, SD_VARLINK_ERROR_PERMISSION_DENIED) ? -EACCES : -EPROTO;
        }
        if (daemon >= 0) {
                array = sd_json_variant_ref(sd_json_variant_by_key(reply, "checks"));
                r = 0;
        } else
                r = checks_here(&array);
        r = r < 0 ? r : append_daemon(&array, daemon);
        guests = sd_json_variant_elements(array);
        r = r < 0 ? r : append_libvirt(&array);
        r = r < 0 ? r : sd_json_buildo(&v, SD_JSON_BUILD_PAIR_VARIANT("checks", array));
        if (r < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "the checks could not be made: %s", strerror(-r));

        for (size_t i = 0; i < sd_json_variant_elements(array); i++) {
                sd_json_variant *c = sd_json_variant_by_index(array, i);

                if (check_status_from_string(field_string(c, "status")) == CHECK_FAIL) {
                        failed++;
                        can_run = can_run && i >= guests;
                }
                if (!context.json)
                        print_check(c);
        }
        if (context.json)
                print_json(v);
        else if (failed > 0)
                printf("\n%s%zu check%s failed:%s %s now.\n", color(stdout, ANSI_RED), failed, failed == 1 ? "" : "s",
                       color(stdout, ANSI_NORMAL),
                       can_run ? "libvirt can not start protected domains" : "this machine can not run guests");
        else
                printf("\n%sAll is well.%s\n", color(stdout, ANSI_GREEN), color(stdout, ANSI_NORMAL));
        return failed > 0 ? EXIT_CHECK_FAILED : EXIT_OK;
}
