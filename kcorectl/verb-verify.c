/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>

#include "verify.h"

static const char usage[] =
        "usage: kcorectl verify TOKEN --reference FILE --nonce HEX\n"
        "                       {--platform FILE.kplat | --platform-key FILE}\n"
        "\n"
        "Verifies an attestation token and compares it, claim by claim, with reference\n"
        "values. Needs neither daemon nor network. TOKEN \"-\" is standard input.\n"
        "\n"
        "  -r, --reference FILE       reference values, as \"kcorectl measure\" writes them\n"
        "  -n, --nonce HEX            what the token was asked for with, 1 to 64 bytes\n"
        "  -p, --platform FILE        identity document of the platform; the reference\n"
        "                             values must have its root\n"
        "  -k, --platform-key FILE    the platform's public key: PEM, JWK or COSE_Key\n"
        "      --agent                kcore-agent got the token, with a nonce of 64 bytes\n"
        "      --insecure             accept any nonce if none is given, and a platform\n"
        "                             that nobody vouches for\n"
        "  -j, --json                 machine-readable output\n"
        "\n"
        "exit status: 0 accepted, 1 rejected, 2 unsupported, 3 insecure use,\n"
        "4 bad configuration, 5 bad state, 6 internal error\n";

int verb_verify(int argc, char **argv) {
        enum { OPT_INSECURE = 256, OPT_AGENT };
        static const struct option options[] = {
                { "reference", required_argument, NULL, 'r' },
                { "nonce", required_argument, NULL, 'n' },
                { "platform", required_argument, NULL, 'p' },
                { "platform-key", required_argument, NULL, 'k' },
                { "agent", no_argument, NULL, OPT_AGENT },
                { "insecure", no_argument, NULL, OPT_INSECURE },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        struct verify_arguments a = {};
        _cleanup_free_ uint8_t *token = NULL;
        FILE *f = stdin;
        size_t n;
        int c, r;

        while ((c = getopt_long(argc, argv, "r:n:p:k:jh", options, NULL)) >= 0)
                switch (c) {
                case 'r':
                        a.reference = optarg;
                        break;
                case 'n':
                        if (verify_parse_nonce(&a, optarg) < 0) {
                                (void) usage_error("verify", "--nonce takes 1 to 64 bytes in hexadecimal digits");
                                return VERIFY_BAD_CONFIG;
                        }
                        break;
                case 'p':
                        a.platform = optarg;
                        break;
                case 'k':
                        a.platform_key = optarg;
                        break;
                case OPT_AGENT:
                        a.agent = true;
                        break;
                case OPT_INSECURE:
                        a.insecure = true;
                        break;
                case 'j':
                        context.json = true;
                        break;
                case 'h':
                        fputs(usage, stdout);
                        return VERIFY_ACCEPTED;
                default:
                        (void) usage_error("verify", "wrong option");
                        return VERIFY_BAD_CONFIG;
                }
        if (argc - optind != 1) {
                (void) usage_error("verify", "verify needs one token");
                return VERIFY_BAD_CONFIG;
        }
        r = verify_check_arguments("verify", &a);
        if (r != 0)
                return r;

        token = malloc(KCORE_TOKEN_MAX + 1);
        if (!token)
                return report_error(VERIFY_INTERNAL, "no-memory", NULL, "out of memory");
        if (!streq(argv[optind], "-"))
                f = fopen(argv[optind], "re");
        n = f ? fread(token, 1, KCORE_TOKEN_MAX + 1, f) : 0;
        r = !f || ferror(f) ?
                report_error(VERIFY_BAD_CONFIG, "file", NULL, "%s: %s", argv[optind], strerror(errno)) :
                verify_token(&a, token, n);
        if (f && f != stdin)
                fclose(f);
        return r;
}
