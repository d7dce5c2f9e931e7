/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <inttypes.h>
#include <time.h>

#include "../libkcore/io.kcore.Manager.h"

static const char *status_color(const char *status) {
        if (streq(status, "running"))
                return color(stdout, ANSI_GREEN);
        if (streq(status, "failed"))
                return color(stdout, ANSI_RED);
        if (streq(status, "exited"))
                return color(stdout, ANSI_GREY);
        return color(stdout, ANSI_YELLOW);
}

int verb_list(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl list [--json]\n"
                "\n"
                "Lists all guests, libvirt's protected domains included. Guests that ended stay in\n"
                "the list until they are stopped or launched again.\n";
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        sd_json_variant *reply, *guests;
        int r;

        r = parse_simple(argc, argv, usage, 0, 0);
        if (r >= 0)
                return r;
        r = client_connect(&link);
        if (r != 0)
                return r;
        r = client_call(link, METHOD_LIST, NULL, &reply);
        if (r != 0)
                return r;
        if (context.json) {
                print_json(reply);
                return EXIT_OK;
        }

        guests = sd_json_variant_by_key(reply, "guests");
        if (sd_json_variant_elements(guests) == 0) {
                puts("No guests.");
                return EXIT_OK;
        }
        printf("%s%-20s %-9s %8s %6s  %-12s %s%s\n", color(stdout, ANSI_BOLD), "NAME", "STATUS", "MEMORY", "VCPUS",
               "TIME", "REASON", color(stdout, ANSI_NORMAL));
        for (size_t i = 0; i < sd_json_variant_elements(guests); i++) {
                sd_json_variant *s = sd_json_variant_by_index(guests, i), *g = sd_json_variant_by_key(s, "guest");
                const char *status = field_string(s, "status");
                uint64_t end = field_unsigned(s, "endedUSec");
                char memory[32], span[32];

                if (end == 0)
                        end = now_usec(CLOCK_REALTIME);
                printf("%-20s %s%-9s%s %8s %6" PRIu64 "  %-12s ", field_string(g, "name"), status_color(status), status,
                       color(stdout, ANSI_NORMAL), format_size(memory, field_unsigned(g, "memory")),
                       field_unsigned(g, "vcpus"),
                       format_span(span, end - MIN(end, field_unsigned(s, "createdUSec"))));
                if (*field_string(s, "reason"))
                        print_safe(stdout, field_string(s, "reason"));
                else if (*field_string(s, "manager"))
                        printf("(%s)", field_string(s, "manager"));
                putchar('\n');
        }
        return EXIT_OK;
}
