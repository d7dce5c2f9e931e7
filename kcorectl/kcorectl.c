/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <getopt.h>
#include <locale.h>

#include "../kcoresd/manager.h"

struct context context = { .socket = MANAGER_SOCKET };

static const struct verb {
        const char *group; /* heading before it, for the help */
        const char *name, *arguments, *summary;
        int (*run)(int argc, char **argv);
} verbs[] = {
        { "Guests", "launch", "IMAGE.kci [OPTION...]", "Launch a guest", verb_launch },
        { NULL, "list", "", "List guests", verb_list },
        { NULL, "show", "GUEST", "Show one guest", verb_show },
        { NULL, "console", "GUEST", "Attach to a guest's serial console", verb_console },
        { NULL, "stop", "GUEST...", "Stop guests", verb_stop },
        { NULL, "top", "[OPTION...]", "Show what guests use, live", verb_top },
        { NULL, "monitor", "", "Show what happens to guests, as it happens", verb_monitor },
        { "Domains of libvirt", "convert", "DOMAIN.xml --image FILE", "Make a libvirt domain a protected one", verb_convert },
        { NULL, "define", "DOMAIN.xml --image FILE", "The same, and define it in libvirt", verb_define },
        { "This machine", "status", "", "Show the state of core and daemon", verb_status },
        { NULL, "doctor", "", "Check whether this machine can run guests", verb_doctor },
        { NULL, "platform", "", "Show the identity of this machine's KCore", verb_platform },
        { NULL, "log", "[GUEST]", "Show KCore's log, or a guest's console log", verb_log },
        { NULL, "metrics", "[--http]", "Print numbers for Prometheus", verb_metrics },
        { "Images and attestation", "image", "VERB [ARGUMENT...]", "Make, sign, seal and check images", verb_image },
        { NULL, "measure", "IMAGE.kci", "Compute what a guest's token must say", verb_measure },
        { NULL, "attest", "GUEST --reference FILE ...", "Ask a guest for a token and verify it", verb_attest },
        { NULL, "verify", "TOKEN --reference FILE ...", "Verify an attestation token", verb_verify },
};

static void help(FILE *f) {
        fprintf(f,
                "usage: kcorectl [OPTION...] VERB [ARGUMENT...]\n"
                "\n"
                "Launch and manage guests that KCore protects from this host.\n"
                "\n");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                if (verbs[i].group)
                        fprintf(f, "%s%s:\n", i == 0 ? "" : "\n", verbs[i].group);
                fprintf(f, "  %s%-8s%s %-27s %s\n", color(f, ANSI_BOLD), verbs[i].name, color(f, ANSI_NORMAL),
                        verbs[i].arguments, verbs[i].summary);
        }
        fprintf(f,
                "\n"
                "Options:\n"
                "  -j, --json           machine-readable output; every verb has it\n"
                "      --socket PATH    where kcoresd listens (default " MANAGER_SOCKET ")\n"
                "  -h, --help           this help; \"kcorectl VERB --help\" for a verb's\n"
                "      --version        the version\n"
                "\n"
                "exit status: 0 success, 1 failure, 2 wrong usage, 3 the machine can not run guests,\n"
                "4 no daemon, 5 no permission, 6 no such guest, 7 wrong state, 8 invalid file or value\n"
                "\n"
                "See kcorectl(1).\n");
}

int common_option(int c, const char *verb, const char *usage) {
        switch (c) {
        case 'j':
                context.json = true;
                return -1;
        case 'h':
                fputs(usage, stdout);
                return EXIT_OK;
        default:
                return usage_error(verb, "wrong option");
        }
}

int parse_simple(int argc, char **argv, const char *usage, int min_args, int max_args) {
        static const struct option options[] = {
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        int c, r;

        while ((c = getopt_long(argc, argv, "jh", options, NULL)) >= 0) {
                r = common_option(c, argv[0], usage);
                if (r >= 0)
                        return r;
        }
        if (argc - optind < min_args)
                return usage_error(argv[0], "%s needs the name of a guest", argv[0]);
        if (argc - optind > max_args)
                return usage_error(argv[0], "%s: too many arguments", argv[0]);
        return -1;
}

int main(int argc, char **argv) {
        enum { OPT_VERSION = 256, OPT_SOCKET };
        static const struct option options[] = {
                { "json", no_argument, NULL, 'j' },
                { "socket", required_argument, NULL, OPT_SOCKET },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPT_VERSION },
                {}
        };
        int c;

        (void) setlocale(LC_ALL, "");
        while ((c = getopt_long(argc, argv, "+jh", options, NULL)) >= 0)
                switch (c) {
                case 'j':
                        context.json = true;
                        break;
                case OPT_SOCKET:
                        context.socket = optarg;
                        break;
                case 'h':
                        help(stdout);
                        return EXIT_OK;
                case OPT_VERSION:
                        puts("kcorectl " PROJECT_VERSION);
                        return EXIT_OK;
                default:
                        return usage_error(NULL, "wrong option");
                }
        if (optind >= argc) {
                help(stderr);
                return EXIT_USAGE;
        }

        argc -= optind;
        argv += optind;
        optind = 0; /* the verb's own round */
        if (streq(argv[0], "help")) {
                help(stdout);
                return EXIT_OK;
        }
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].name, argv[0]))
                        return verbs[i].run(argc, argv);
        return usage_error(NULL, "there is no verb \"%s\"", argv[0]);
}
