/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <getopt.h>

#include "../libkcore/io.kcore.Manager.h"

#define TOGETHER_MAX 16 /* the daemon gives a user 32 connections */

struct stops {
        sd_event *event;
        bool force;
        uint64_t timeout_usec;
        size_t pending;
        int worst;
};

/* One guest that is being stopped. */
struct stop {
        struct stops *all;
        const char *name;
};

static void print_stopped(const struct stop *s, bool forced) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;

        if (!context.json)
                printf("Stopped %s%s.\n", s->name,
                       !forced ? "" : s->all->force ? " by force" : " by force: it did not power off in time");
        else if (sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", s->name), SD_JSON_BUILD_PAIR_BOOLEAN("forced", forced)) >= 0)
                print_json(v);
}

static int on_reply(sd_varlink *link, sd_json_variant *reply, const char *error_id, sd_varlink_reply_flags_t flags _unused_, void *userdata) {
        struct stop *s = userdata;
        int r = 0;

        if (error_id)
                r = client_report(error_id, reply);
        else
                print_stopped(s, field_boolean(reply, "forced"));
        if (r != 0)
                s->all->worst = r;
        s->all->pending--;
        sd_varlink_close_unref(link);
        free(s);
        return 0;
}

/* Asks for the stop; on_reply() hears what came of it. Returns 0, or an exit code after telling why not. */
static int begin(struct stops *all, const char *name) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        _cleanup_free_ struct stop *s = NULL;
        int r;

        r = sd_json_buildo(
                        &parameters,
                        SD_JSON_BUILD_PAIR_STRING("name", name),
                        SD_JSON_BUILD_PAIR_BOOLEAN("force", all->force),
                        SD_JSON_BUILD_PAIR_UNSIGNED("timeoutUSec", all->timeout_usec));
        if (r < 0)
                return report_error(EXIT_USAGE, "Usage", NULL, "the name can not be sent: %s", strerror(-r));
        r = client_connect(&link);
        if (r != 0)
                return r;
        s = calloc(1, sizeof(*s));
        r = s ? 0 : -ENOMEM;
        r = r < 0 ? r : sd_varlink_bind_reply(link, on_reply);
        r = r < 0 ? r : sd_varlink_attach_event(link, all->event, SD_EVENT_PRIORITY_NORMAL);
        r = r < 0 ? r : sd_varlink_invoke(link, METHOD_STOP, parameters);
        if (r < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "the call to kcoresd failed: %s", strerror(-r));
        *s = (struct stop) { .all = all, .name = name };
        sd_varlink_set_userdata(link, TAKE_PTR(s));
        TAKE_PTR(link); /* on_reply() has it */
        all->pending++;
        return 0;
}

/* Stops them all at the same time, but for TOGETHER_MAX. */
static int stop_guests(struct stops *all, char **names, size_t n) {
        int r;

        r = sd_event_default(&all->event);
        for (size_t i = 0; r >= 0 && (i < n || all->pending > 0);) {
                if (i < n && all->pending < TOGETHER_MAX) {
                        int code = begin(all, names[i++]);

                        if (code != 0)
                                all->worst = code;
                        continue;
                }
                r = sd_event_run(all->event, UINT64_MAX);
        }
        all->event = sd_event_unref(all->event);
        return r < 0 ? report_error(EXIT_FAILED, "Error", NULL, "can not wait: %s", strerror(-r)) : all->worst;
}

/* The names of the guests that run and are ours to stop. Returns 0, or an exit code. */
static int running_guests(char ***ret) {
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        _cleanup_strv_free_ char **names = NULL;
        sd_json_variant *reply, *guests;
        size_t n = 0;
        int r;

        r = client_connect(&link);
        r = r != 0 ? r : client_call(link, METHOD_LIST, NULL, &reply);
        if (r != 0)
                return r;
        guests = sd_json_variant_by_key(reply, "guests");
        names = calloc(sd_json_variant_elements(guests) + 1, sizeof(char *));
        for (size_t i = 0; names && i < sd_json_variant_elements(guests); i++) {
                sd_json_variant *g = sd_json_variant_by_index(guests, i);
                const char *status = field_string(g, "status");

                if (streq(status, "exited") || streq(status, "failed") || streq(field_string(g, "manager"), "libvirt"))
                        continue;
                names[n] = strdup(field_string(sd_json_variant_by_key(g, "guest"), "name"));
                if (!names[n++])
                        return report_error(EXIT_FAILED, "Error", NULL, "out of memory");
        }
        if (!names)
                return report_error(EXIT_FAILED, "Error", NULL, "out of memory");
        *ret = TAKE_PTR(names);
        return 0;
}

int verb_stop(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl stop [OPTION...] GUEST...\n"
                "       kcorectl stop [OPTION...] --all\n"
                "\n"
                "Presses the guest's power button, waits, and ends it if it does not power off:\n"
                "first by the kernel's magic SysRq (sync, read-only, power off), then at once.\n"
                "For a guest that ended already it removes the record. Several guests are stopped\n"
                "at the same time.\n"
                "\n"
                "  -a, --all            all guests that run; not libvirt's domains\n"
                "  -f, --force          end it at once\n"
                "  -t, --timeout SECS   how long to wait for the button (default 60)\n"
                "  -j, --json           machine-readable output, an object for each guest\n";
        static const struct option options[] = {
                { "all", no_argument, NULL, 'a' },
                { "force", no_argument, NULL, 'f' },
                { "timeout", required_argument, NULL, 't' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        _cleanup_strv_free_ char **running = NULL;
        struct stops all = { .worst = EXIT_OK };
        uint64_t seconds = 60;
        bool every = false;
        char **names;
        size_t n;
        int c, r;

        while ((c = getopt_long(argc, argv, "aft:jh", options, NULL)) >= 0)
                switch (c) {
                case 'a':
                        every = true;
                        break;
                case 'f':
                        all.force = true;
                        break;
                case 't':
                        if (parse_unsigned(optarg, 3600, &seconds) < 0)
                                return usage_error("stop", "--timeout takes seconds, up to 3600");
                        break;
                default:
                        r = common_option(c, "stop", usage);
                        if (r >= 0)
                                return r;
                }
        if (every && optind < argc)
                return usage_error("stop", "stop takes names of guests or --all, not both");
        if (!every && optind >= argc)
                return usage_error("stop", "stop needs the name of a guest");

        names = argv + optind;
        n = (size_t) (argc - optind);
        if (every) {
                r = running_guests(&running);
                if (r != 0)
                        return r;
                names = running;
                for (n = 0; running[n]; n++)
                        ;
        }
        all.timeout_usec = seconds * USEC_PER_SEC;
        if (!context.json && isatty(STDERR_FILENO))
                for (size_t i = 0; i < n; i++)
                        fprintf(stderr, "Stopping %s ...%c", names[i], n == 1 ? '\r' : '\n');
        return stop_guests(&all, names, n);
}
