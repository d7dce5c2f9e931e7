/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <signal.h>
#include <time.h>

#include "../libkcore/io.kcore.Manager.h"

struct monitor {
        sd_event *event;
        int exit_code;
};

static void print_event(sd_json_variant *p) {
        sd_json_variant *state = sd_json_variant_by_key(p, "guest");
        const char *event = field_string(p, "event"), *reason = field_string(state, "reason");
        char time[32];

        if (context.json) {
                (void) sd_json_variant_dump(p, SD_JSON_FORMAT_SEQ, stdout, NULL);
                fflush(stdout);
                return;
        }
        printf("%s%s%s %-20s %s%s", color(stdout, ANSI_GREY), format_time(time, now_usec(CLOCK_REALTIME)),
               color(stdout, ANSI_NORMAL), field_string(sd_json_variant_by_key(state, "guest"), "name"),
               streq(event, "removed") ? "removed" : field_string(state, "status"), *reason ? ": " : "");
        print_safe(stdout, reason);
        putchar('\n');
        fflush(stdout);
}

static int on_reply(sd_varlink *link, sd_json_variant *p, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata) {
        struct monitor *m = userdata;

        (void) link;
        if (!error_id && (flags & SD_VARLINK_REPLY_CONTINUES)) {
                print_event(p);
                /* Whoever read the output is gone: so are we. */
                return ferror(stdout) ? sd_event_exit(m->event, EXIT_FAILED) : 0;
        }
        m->exit_code = client_report(error_id ?: SD_VARLINK_ERROR_DISCONNECTED, p);
        return sd_event_exit(m->event, m->exit_code);
}

int verb_monitor(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl monitor [--json]\n"
                "\n"
                "Shows all guests, and then each change of a guest's status as it happens, until it\n"
                "is interrupted. With --json: a JSON text sequence (RFC 7464), one object an event.\n";
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        struct monitor m = {};
        sigset_t signals;
        int r;

        r = parse_simple(argc, argv, usage, 0, 0);
        if (r >= 0)
                return r;
        r = client_connect(&link);
        if (r != 0)
                return r;
        sigemptyset(&signals);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGTERM);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        r = sd_event_default(&event);
        r = r < 0 ? r : sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        r = r < 0 ? r : sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        m.event = event;
        sd_varlink_set_userdata(link, &m);
        r = r < 0 ? r : sd_varlink_set_relative_timeout(link, UINT64_MAX); /* nothing may happen for days */
        r = r < 0 ? r : sd_varlink_bind_reply(link, on_reply);
        r = r < 0 ? r : sd_varlink_attach_event(link, event, SD_EVENT_PRIORITY_NORMAL);
        r = r < 0 ? r : sd_varlink_observe(link, METHOD_MONITOR, NULL);
        r = r < 0 ? r : sd_event_loop(event);
        if (r < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "kcoresd can not be monitored: %s", strerror(-r));
        return r;
}
