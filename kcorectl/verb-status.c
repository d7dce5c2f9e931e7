/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <inttypes.h>

#include "../libkcore/io.kcore.Manager.h"

int verb_status(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl status [--json]\n"
                "\n"
                "Shows KCore's version, the memory that is not the host's now, and counts of what\n"
                "the core let the host see of realms.\n"
                "The exit status is 3 if there is no KCore.\n";
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        sd_json_variant *reply, *core, *counters;
        char a[32], b[32];
        int r;

        r = parse_simple(argc, argv, usage, 0, 0);
        if (r >= 0)
                return r;
        r = client_connect(&link);
        if (r != 0)
                return r;
        r = client_call(link, METHOD_STATUS, NULL, &reply);
        if (r != 0)
                return r;
        core = sd_json_variant_by_key(reply, "core");
        if (context.json) {
                print_json(reply);
                return core ? EXIT_OK : EXIT_CHECK_FAILED;
        }

        printf("  Daemon: %s✔%s kcoresd %s, %" PRIu64 " guests\n", color(stdout, ANSI_GREEN), color(stdout, ANSI_NORMAL),
               field_string(reply, "version"), field_unsigned(reply, "guests"));
        if (!core) {
                printf("    Core: %s✘%s not there; \"kcorectl doctor\" tells more\n", color(stdout, ANSI_RED),
                       color(stdout, ANSI_NORMAL));
                return EXIT_CHECK_FAILED;
        }
        printf("    Core: %s✔%s KCore %s, interface %" PRIu64 "\n", color(stdout, ANSI_GREEN), color(stdout, ANSI_NORMAL),
               field_string(core, "version"), field_unsigned(core, "deviceVersion"));
        printf("  Realms: %" PRIu64 "\n", field_unsigned(core, "realms"));
        printf("  Memory: %s of %s not the host's\n", format_size(a, field_unsigned(core, "delegatedGranules") * 4096),
               format_size(b, field_unsigned(core, "granules") * 4096));

        counters = sd_json_variant_by_key(reply, "counters");
        for (size_t i = 0; counters && i < sd_json_variant_elements(counters); i++) {
                sd_json_variant *c = sd_json_variant_by_index(counters, i);

                printf("%s %18s %12" PRIu64 "\n", i == 0 ? "Counters:" : "         ", field_string(c, "name"),
                       field_unsigned(c, "value"));
        }
        return EXIT_OK;
}
