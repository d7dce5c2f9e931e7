/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <sys/random.h>

#include "agent.h"
#include "verify.h"

static const char usage[] =
        "usage: kcorectl attest GUEST --reference FILE\n"
        "                       {--platform FILE.kplat | --platform-key FILE} [OPTION...]\n"
        "       kcorectl attest GUEST --nonce HEX --output FILE\n"
        "\n"
        "Asks the agent in a running guest for a fresh attestation token, verifies it and\n"
        "compares it, claim by claim, with reference values. The second form only fetches\n"
        "the token: judge it elsewhere with \"kcorectl verify --agent\", on a machine that\n"
        "the host's operator does not control.\n"
        "\n"
        "  -r, --reference FILE       reference values, as \"kcorectl measure\" writes them\n"
        "  -p, --platform FILE        identity document of the platform; the reference\n"
        "                             values must have its root\n"
        "  -k, --platform-key FILE    the platform's public key: PEM, JWK or COSE_Key\n"
        "  -n, --nonce HEX            64 bytes (default: random ones)\n"
        "  -o, --output FILE          keep the token; \"-\" is standard output\n"
        "      --insecure             accept a platform that nobody vouches for\n"
        "  -j, --json                 machine-readable output\n"
        "\n"
        "exit status: 0 accepted, 1 rejected, 2 unsupported, 3 insecure use,\n"
        "4 bad configuration, 5 bad state (no token is to be had), 6 internal error\n";

static int save(const char *path, const uint8_t *token, size_t size) {
        int r;

        if (!streq(path, "-"))
                r = write_data_atomic(path, token, size, 0644);
        else
                r = fwrite(token, 1, size, stdout) == size && fflush(stdout) == 0 ? 0 : -errno;
        return r < 0 ? report_error(VERIFY_BAD_CONFIG, "file", NULL, "%s: %s", path, strerror(-r)) : 0;
}

/* The token from the guest. Whatever goes wrong, there is none to be had. */
static int fetch(const char *guest, const uint8_t *nonce, uint8_t token[static AGENT_TOKEN_MAX], size_t *ret_size) {
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        int r;

        context.failure_code = VERIFY_BAD_STATE;
        r = client_connect(&link);
        r = r == 0 ? agent_get_token(link, guest, nonce, token, ret_size) : r;
        context.failure_code = 0;
        return r;
}

int verb_attest(int argc, char **argv) {
        enum { OPT_INSECURE = 256 };
        static const struct option options[] = {
                { "reference", required_argument, NULL, 'r' },
                { "nonce", required_argument, NULL, 'n' },
                { "platform", required_argument, NULL, 'p' },
                { "platform-key", required_argument, NULL, 'k' },
                { "output", required_argument, NULL, 'o' },
                { "insecure", no_argument, NULL, OPT_INSECURE },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        struct verify_arguments a = { .agent = true };
        uint8_t token[AGENT_TOKEN_MAX];
        const char *output = NULL;
        size_t size;
        int c, r;

        while ((c = getopt_long(argc, argv, "r:n:p:k:o:jh", options, NULL)) >= 0)
                switch (c) {
                case 'r':
                        a.reference = optarg;
                        break;
                case 'n':
                        if (verify_parse_nonce(&a, optarg) < 0 || a.nonce_size != AGENT_NONCE_SIZE) {
                                (void) usage_error("attest", "--nonce takes %d bytes in hexadecimal digits", AGENT_NONCE_SIZE);
                                return VERIFY_BAD_CONFIG;
                        }
                        break;
                case 'p':
                        a.platform = optarg;
                        break;
                case 'k':
                        a.platform_key = optarg;
                        break;
                case 'o':
                        output = optarg;
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
                        (void) usage_error("attest", "wrong option");
                        return VERIFY_BAD_CONFIG;
                }
        if (argc - optind != 1) {
                (void) usage_error("attest", "attest needs the name of a guest");
                return VERIFY_BAD_CONFIG;
        }

        if (!a.reference && !a.platform && !a.platform_key && output) {
                if (a.nonce_size == 0) {
                        (void) usage_error("attest", "only to fetch a token, --nonce must say whose question it answers");
                        return VERIFY_BAD_CONFIG;
                }
                r = fetch(argv[optind], a.nonce, token, &size);
                return r == 0 ? save(output, token, size) : r;
        }

        if (a.nonce_size == 0) {
                if (getrandom(a.nonce, sizeof(a.nonce), 0) != (ssize_t) sizeof(a.nonce))
                        return report_error(VERIFY_INTERNAL, "random", NULL, "there are no random numbers: %s", strerror(errno));
                a.nonce_size = sizeof(a.nonce);
        }
        r = verify_check_arguments("attest", &a);
        r = r == 0 ? fetch(argv[optind], a.nonce, token, &size) : r;
        if (r == 0 && output)
                r = save(output, token, size);
        return r == 0 ? verify_token(&a, token, size) : r;
}
