/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <inttypes.h>

#include "../libkcore/io.kcore.Manager.h"

static void line(const char *label, const char *value) {
        printf("%12s: ", label);
        print_safe(stdout, value);
        putchar('\n');
}

static void print_guest(sd_json_variant *g) {
        sd_json_variant *disks = sd_json_variant_by_key(g, "disks"), *forwards = sd_json_variant_by_key(g, "forwards");
        char size[32];

        line("UUID", field_string(g, "uuid"));
        line("Memory", format_size(size, field_unsigned(g, "memory")));
        printf("%12s: %" PRIu64 "\n", "vCPUs", field_unsigned(g, "vcpus"));
        if (*field_string(g, "image"))
                line("Image", field_string(g, "image"));
        else
                line("Kernel", field_string(g, "kernel"));
        if (*field_string(g, "initrd"))
                line("Initrd", field_string(g, "initrd"));
        if (!*field_string(g, "image"))
                line("Command line", field_string(g, "append"));
        for (size_t i = 0; disks && i < sd_json_variant_elements(disks); i++) {
                sd_json_variant *d = sd_json_variant_by_index(disks, i);

                printf("%12s: ", "Disk");
                print_safe(stdout, field_string(d, "path"));
                puts(field_boolean(d, "readOnly") ? " (read-only)" : "");
        }
        printf("%12s: %s%s%s\n", "Network", field_string(g, "network"), *field_string(g, "tap") ? " " : "",
               field_string(g, "tap"));
        for (size_t i = 0; forwards && i < sd_json_variant_elements(forwards); i++) {
                sd_json_variant *f = sd_json_variant_by_index(forwards, i);

                printf("%12s: 127.0.0.1:%" PRIu64 " to port %" PRIu64 "\n", "Forward", field_unsigned(f, "hostPort"),
                       field_unsigned(f, "guestPort"));
        }
}

static void print_runtime(sd_json_variant *r) {
        sd_json_variant *realm = sd_json_variant_by_key(r, "realm");
        char size[32];

        if (*field_string(r, "macAddress"))
                line("MAC address", field_string(r, "macAddress"));
        line("Unit", field_string(r, "unit"));
        printf("%12s: %" PRIu64 ", may lock %s\n", "QEMU", field_unsigned(r, "pid"),
               field_unsigned(r, "lockedMemoryLimit") == UINT64_MAX ?
                       "everything" : format_size(size, field_unsigned(r, "lockedMemoryLimit")));
        if (!realm)
                return;
        printf("%12s: number %" PRIu64 ", %s, IPA of %" PRIu64 " bits\n", "Realm", field_unsigned(realm, "id"),
               field_string(realm, "state"), field_unsigned(realm, "ipaBits"));
        printf("%12s: %s private (%" PRIu64 " blocks of 2M)", "Pages",
               format_size(size, field_unsigned(realm, "donatedPages") * 4096), field_unsigned(realm, "blocks2M"));
        printf(", %s shared", format_size(size, field_unsigned(realm, "sharedPages") * 4096));
        printf(", %s of tables\n", format_size(size, field_unsigned(realm, "tablePages") * 4096));
        printf("%12s: %" PRIu64 "\n", "Exits", field_unsigned(realm, "exits"));
}

int verb_show(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl show GUEST [--json]\n"
                "\n"
                "Shows what a guest is, how it is, and what its realm uses.\n";
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        sd_json_variant *reply, *state, *runtime;
        char time[32];
        int r;

        r = parse_simple(argc, argv, usage, 1, 1);
        if (r >= 0)
                return r;
        r = client_connect(&link);
        if (r != 0)
                return r;
        r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("name", argv[optind]));
        if (r < 0)
                return report_error(EXIT_USAGE, "Usage", NULL, "the name can not be sent: %s", strerror(-r));
        r = client_call(link, METHOD_DESCRIBE, parameters, &reply);
        if (r != 0)
                return r;
        if (context.json) {
                print_json(reply);
                return EXIT_OK;
        }

        state = sd_json_variant_by_key(reply, "guest");
        runtime = sd_json_variant_by_key(reply, "runtime");
        printf("%s%s%s\n", color(stdout, ANSI_BOLD), argv[optind], color(stdout, ANSI_NORMAL));
        printf("%12s: %s%s", "Status", field_string(state, "status"), *field_string(state, "reason") ? ", " : "");
        print_safe(stdout, field_string(state, "reason"));
        putchar('\n');
        if (*field_string(state, "manager"))
                line("Managed by", field_string(state, "manager"));
        line("Launched", format_time(time, field_unsigned(state, "createdUSec")));
        if (field_unsigned(state, "endedUSec") > 0)
                line("Ended", format_time(time, field_unsigned(state, "endedUSec")));
        print_guest(sd_json_variant_by_key(state, "guest"));
        if (runtime)
                print_runtime(runtime);
        return EXIT_OK;
}
