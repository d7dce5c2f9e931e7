/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <getopt.h>

#include "../libkcore/io.kcore.Manager.h"

static int stop(sd_varlink *link, const char *name, bool force, uint64_t timeout_usec) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL, *v = NULL;
        sd_json_variant *reply;
        bool forced;
        int r;

        r = sd_json_buildo(
                        &parameters,
                        SD_JSON_BUILD_PAIR_STRING("name", name),
                        SD_JSON_BUILD_PAIR_BOOLEAN("force", force),
                        SD_JSON_BUILD_PAIR_UNSIGNED("timeoutUSec", timeout_usec));
        if (r < 0)
                return report_error(EXIT_USAGE, "Usage", NULL, "the name can not be sent: %s", strerror(-r));
        if (!context.json && isatty(STDERR_FILENO))
                fprintf(stderr, "Stopping %s ...\r", name);
        r = client_call(link, METHOD_STOP, parameters, &reply);
        if (r != 0)
                return r;
        forced = field_boolean(reply, "forced");
        if (context.json) {
                r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", name), SD_JSON_BUILD_PAIR_BOOLEAN("forced", forced));
                if (r >= 0)
                        print_json(v);
                return EXIT_OK;
        }
        printf("Stopped %s%s.\n", name, !forced ? "" : force ? " by force" : " by force: it did not power off in time");
        return EXIT_OK;
}

int verb_stop(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl stop [OPTION...] GUEST...\n"
                "\n"
                "Presses the guest's power button, waits, and ends it if it does not power off:\n"
                "first by the kernel's magic SysRq (sync, read-only, power off), then at once.\n"
                "For a guest that ended already it removes the record.\n"
                "\n"
                "  -f, --force          end it at once\n"
                "  -t, --timeout SECS   how long to wait for the button (default 60)\n"
                "  -j, --json           machine-readable output, an object for each guest\n";
        static const struct option options[] = {
                { "force", no_argument, NULL, 'f' },
                { "timeout", required_argument, NULL, 't' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        uint64_t seconds = 60;
        int c, r, worst = EXIT_OK;
        bool force = false;

        while ((c = getopt_long(argc, argv, "ft:jh", options, NULL)) >= 0)
                switch (c) {
                case 'f':
                        force = true;
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
        if (optind >= argc)
                return usage_error("stop", "stop needs the name of a guest");

        r = client_connect(&link);
        if (r != 0)
                return r;
        for (; optind < argc; optind++) {
                r = stop(link, argv[optind], force, seconds * USEC_PER_SEC);
                if (r != 0)
                        worst = r;
        }
        return worst;
}
