/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <getopt.h>

#include "../attest/include/kcore-attest.h"
#include "../libkcore/io.kcore.Manager.h"

static const char usage[] =
        "usage: kcorectl platform [-o FILE.kplat] [--json]\n"
        "\n"
        "Shows who this machine's KCore is. Tenants seal images to the identity document\n"
        "(kcorectl image seal --to FILE.kplat) and verify tokens under it; compare the root\n"
        "with what the machine's maker or owner says before you trust it.\n"
        "\n"
        "  -o, --output FILE   writes the identity document\n"
        "  -j, --json          machine-readable output\n";

static const char *hex(char *buf, const uint8_t *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                snprintf(buf + 2 * i, 3, "%02x", p[i]);
        return buf;
}

/* What the document says; it is the host that gave it, so nothing here is known but that it is in order. */
static int show(const uint8_t *data, size_t size, const char *output) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        struct kcore_attest_detail detail = {};
        char root[65], code[129], sealing[65];
        const struct kcore_identity_claims *c;
        struct kcore_identity *id;
        enum kcore_attest_error e;
        int r;

        e = kcore_identity_parse(data, size, &id, &detail);
        if (e != KCORE_ATTEST_OK)
                return report_error(
                                EXIT_FAILED, "Identity", NULL, "KCore's identity document can not be used: %s%s%s",
                                kcore_attest_strerror(e), *detail.where ? ": " : "", detail.where);
        e = kcore_identity_verify(id, &detail);
        c = kcore_identity_claims(id);
        hex(root, c->root, sizeof(c->root));
        hex(code, c->code_hash, sizeof(c->code_hash));
        hex(sealing, c->sealing_key_hash, sizeof(c->sealing_key_hash));
        if (context.json) {
                r = sd_json_buildo(
                                &v, SD_JSON_BUILD_PAIR_STRING("chain", kcore_attest_error_name(e)),
                                SD_JSON_BUILD_PAIR_CONDITION(c->n_entries > 0, "root", SD_JSON_BUILD_STRING(root)),
                                SD_JSON_BUILD_PAIR_CONDITION(c->n_entries > 0, "codeHash", SD_JSON_BUILD_STRING(code)),
                                SD_JSON_BUILD_PAIR_STRING("lifecycle", kcore_lifecycle_name(c->lifecycle)),
                                SD_JSON_BUILD_PAIR_STRING("sealingKeyHash", sealing),
                                SD_JSON_BUILD_PAIR_BASE64("identity", data, size));
                if (r >= 0)
                        print_json(v);
        } else {
                if (e == KCORE_ATTEST_OK)
                        printf("    Identity: %s✔%s in order, %zu certificate%s\n", color(stdout, ANSI_GREEN),
                               color(stdout, ANSI_NORMAL), c->n_entries, c->n_entries == 1 ? "" : "s");
                else
                        printf("    Identity: %s✘%s %s\n", color(stdout, ANSI_RED), color(stdout, ANSI_NORMAL),
                               kcore_attest_strerror(e));
                printf("   Lifecycle: %s\n", kcore_lifecycle_name(c->lifecycle));
                if (c->n_entries > 0) {
                        printf("        Root: %s\n", root);
                        printf("       KCore: %.64s\n              %s\n", code, code + 64);
                }
                printf(" Sealing key: %s\n", sealing);
                if (output)
                        printf("  Written to: %s\n", output);
        }
        kcore_identity_free(id);
        return EXIT_OK;
}

int verb_platform(int argc, char **argv) {
        static const struct option options[] = {
                { "output", required_argument, NULL, 'o' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        _cleanup_free_ void *identity = NULL;
        const char *output = NULL;
        sd_json_variant *reply;
        size_t size;
        int c, r;

        while ((c = getopt_long(argc, argv, "o:jh", options, NULL)) >= 0)
                switch (c) {
                case 'o':
                        output = optarg;
                        break;
                default:
                        r = common_option(c, argv[0], usage);
                        if (r >= 0)
                                return r;
                }
        if (optind < argc)
                return usage_error(argv[0], "platform: too many arguments");
        r = client_connect(&link);
        if (r != 0)
                return r;
        r = client_call(link, METHOD_PLATFORM, NULL, &reply);
        if (r != 0)
                return r;
        r = sd_json_variant_unbase64(sd_json_variant_by_key(reply, "identity"), &identity, &size);
        if (r < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "kcoresd answered without an identity");
        if (output) {
                r = write_data_atomic(output, identity, size, 0644);
                if (r < 0)
                        return report_error(r == -EACCES || r == -EPERM ? EXIT_PERMISSION : EXIT_FAILED, "Output", NULL,
                                            "%s can not be written: %s", output, strerror(-r));
        }
        return show(identity, size, output);
}
