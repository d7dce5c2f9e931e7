/* SPDX-License-Identifier: Apache-2.0 */

/* kcore-agent: attestation from inside a realm. See kcore-agent(8). */

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "channel.h"
#include "kbs-client.h"
#include "luks.h"
#include "tsm.h"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_CONFIGURATION = 4, EXIT_STATE = 5, EXIT_INTERNAL = 6 };

struct options {
        const char *tsm, *port, *challenge, *disk, *name, *kbs, *ca, *resource, *key_file;
        uint64_t wait;
};

static void help(void) {
        puts("usage: kcore-agent VERB [OPTION...]\n"
             "\n"
             "Attestation from inside a realm.\n"
             "\n"
             "  serve    answer the host's requests for attestation tokens\n"
             "    --port PATH         the virtio-serial port (default: the one that is named\n"
             "                        " KCORE_AGENT_PORT ")\n"
             "  token    write a token to standard output\n"
             "    --challenge HEX     its challenge: 64 bytes as 128 hexadecimal digits\n"
             "  unlock   get the disk key, check the disk's LUKS2 header, map the disk\n"
             "    --disk PATH         the encrypted disk\n"
             "    --name NAME         map it as /dev/mapper/NAME (default kcore-root)\n"
             "    --kbs URL           key broker: https://HOST:PORT\n"
             "    --ca FILE           the certificate that the broker's must be signed by, PEM\n"
             "                        (default /etc/kcore/kbs-ca.pem)\n"
             "    --resource NAME     the disk key: REPOSITORY/TYPE/TAG\n"
             "    --wait SECONDS      how long to try to reach the broker (default 60)\n"
             "    --key-file FILE     the disk key itself, instead of a broker\n"
             "    --check             map nothing, only try\n"
             "\n"
             "  --tsm DIRECTORY       (serve, token, unlock) configfs-tsm\n"
             "                        (default " TSM_ROOT ")\n"
             "  -h, --help            this text\n"
             "  --version             the version\n"
             "\n"
             "exit status: 0 success, 1 refused (by the broker, or the disk by the agent),\n"
             "2 wrong usage, 4 bad configuration, 5 broker or attestation not available,\n"
             "6 internal error.");
}

static int fail(int status, const char *what, const char *why) {
        fprintf(stderr, "kcore-agent: %s%s%s\n", what, why ? ": " : "", strempty(why));
        return status;
}

static int status_of(int r) {
        switch (r) {
        case -EACCES:
        case -EPERM:
        case -EBADMSG:
        case -EKEYREJECTED:
                return EXIT_REFUSED;
        case -EINVAL:
                return EXIT_CONFIGURATION;
        case -ENOMEM:
                return EXIT_INTERNAL;
        default:
                return EXIT_STATE;
        }
}

/* As kbs_token_t and channel_token_t; the userdata is where configfs-tsm is. */
static int token(void *userdata, const uint8_t *challenge, uint8_t *buf, size_t max, size_t *ret_size, const char **ret_reason) {
        return tsm_token(userdata, challenge, buf, max, ret_size, ret_reason);
}

static int verb_token(const struct options *o) {
        uint8_t challenge[TSM_CHALLENGE_SIZE], buf[AGENT_TOKEN_MAX];
        const char *reason;
        size_t size = 0;
        int r;

        if (!o->challenge || strlen(o->challenge) != 2 * sizeof(challenge) ||
            strspn(o->challenge, "0123456789abcdefABCDEF") != 2 * sizeof(challenge))
                return fail(EXIT_USAGE, "token", "--challenge takes 128 hexadecimal digits");
        for (size_t i = 0; i < sizeof(challenge); i++) {
                char digits[3] = { o->challenge[2 * i], o->challenge[2 * i + 1] };

                challenge[i] = (uint8_t) strtoul(digits, NULL, 16);
        }
        r = tsm_token(o->tsm, challenge, buf, sizeof(buf), &size, &reason);
        if (r < 0)
                return fail(EXIT_STATE, "no token", reason);
        if (fwrite(buf, 1, size, stdout) != size || fflush(stdout) != 0)
                return fail(EXIT_INTERNAL, "standard output", strerror(errno));
        return EXIT_SUCCESS;
}

static volatile bool stop;

static void on_signal(int signal _unused_) {
        stop = true;
}

static int verb_serve(const struct options *o) {
        const struct sigaction action = { .sa_handler = on_signal };
        _cleanup_free_ char *found = NULL;
        _cleanup_close_ int fd = -EBADF;
        const char *port = o->port;
        int r;

        if (!port) {
                r = channel_find("/sys/class/virtio-ports", KCORE_AGENT_PORT, &found);
                if (r < 0)
                        return fail(EXIT_STATE, "there is no virtio-serial port", KCORE_AGENT_PORT);
                port = found;
        }
        fd = open(port, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return fail(EXIT_STATE, port, strerror(errno));
        (void) sigaction(SIGTERM, &action, NULL);
        (void) sigaction(SIGINT, &action, NULL);
        (void) signal(SIGPIPE, SIG_IGN);
        (void) sd_notify(0, "READY=1");
        r = channel_serve(fd, token, (void *) o->tsm, &stop);
        return r < 0 ? fail(EXIT_INTERNAL, port, strerror(-r)) : EXIT_SUCCESS;
}

/* All of a file that holds a key. */
static int read_key(const char *path, struct secret *ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_secret_ struct secret s = {}, exact = {};
        size_t n = 0;
        int r;

        if (fd < 0)
                return -errno;
        r = secret_new(&s, KBS_RESOURCE_MAX + 1);
        if (r < 0)
                return r;
        for (ssize_t k; n < s.size && (k = read(fd, s.data + n, s.size - n)) != 0;) {
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                n += (size_t) k;
        }
        if (n > KBS_RESOURCE_MAX)
                return -EFBIG;
        r = secret_new(&exact, n);
        if (r < 0)
                return r;
        memcpy(exact.data, s.data, n);
        *ret = exact;
        exact = (struct secret) {};
        return 0;
}

static int verb_unlock(const struct options *o) {
        _cleanup_secret_ struct secret key = {};
        _cleanup_free_ char *reason = NULL;
        int r;

        if (!o->disk || (!o->key_file && (!o->kbs || !o->resource)) || (o->key_file && o->kbs))
                return fail(EXIT_USAGE, "unlock", "it takes --disk, and either --key-file or --kbs and --resource");
        if (o->name && !kbs_name_is_valid(o->name))
                return fail(EXIT_USAGE, "unlock", "the name has other characters than A-Z a-z 0-9 . _ -");
        if (o->key_file) {
                r = read_key(o->key_file, &key);
                if (r < 0)
                        return fail(EXIT_CONFIGURATION, o->key_file, strerror(-r));
        } else {
                const struct kbs_broker broker = {
                        .url = o->kbs, .ca_file = o->ca, .resource = o->resource, .wait_seconds = (unsigned) o->wait,
                };

                r = kbs_fetch(&broker, token, (void *) o->tsm, &key, &reason);
                if (r < 0)
                        return fail(status_of(r), "no disk key", reason ?: strerror(-r));
        }
        r = luks_open(o->disk, o->name, &key, &reason);
        if (r < 0)
                return fail(status_of(r), o->disk, reason ?: strerror(-r));
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        enum { ARG_PORT = 256, ARG_CHALLENGE, ARG_DISK, ARG_NAME, ARG_KBS, ARG_CA, ARG_RESOURCE, ARG_WAIT, ARG_KEY_FILE,
               ARG_CHECK, ARG_TSM, ARG_VERSION };
        static const struct option table[] = {
                { "port", required_argument, NULL, ARG_PORT },
                { "challenge", required_argument, NULL, ARG_CHALLENGE },
                { "disk", required_argument, NULL, ARG_DISK },
                { "name", required_argument, NULL, ARG_NAME },
                { "kbs", required_argument, NULL, ARG_KBS },
                { "ca", required_argument, NULL, ARG_CA },
                { "resource", required_argument, NULL, ARG_RESOURCE },
                { "wait", required_argument, NULL, ARG_WAIT },
                { "key-file", required_argument, NULL, ARG_KEY_FILE },
                { "check", no_argument, NULL, ARG_CHECK },
                { "tsm", required_argument, NULL, ARG_TSM },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                {},
        };
        struct options o = { .tsm = TSM_ROOT, .name = "kcore-root", .ca = "/etc/kcore/kbs-ca.pem", .wait = 60 };
        int c;

        while ((c = getopt_long(argc, argv, "h", table, NULL)) >= 0)
                switch (c) {
                case ARG_PORT: o.port = optarg; break;
                case ARG_CHALLENGE: o.challenge = optarg; break;
                case ARG_DISK: o.disk = optarg; break;
                case ARG_NAME: o.name = optarg; break;
                case ARG_KBS: o.kbs = optarg; break;
                case ARG_CA: o.ca = optarg; break;
                case ARG_RESOURCE: o.resource = optarg; break;
                case ARG_KEY_FILE: o.key_file = optarg; break;
                case ARG_CHECK: o.name = NULL; break;
                case ARG_TSM: o.tsm = optarg; break;
                case ARG_WAIT:
                        if (parse_unsigned(optarg, 3600, &o.wait) < 0)
                                return fail(EXIT_USAGE, "--wait takes a number of seconds", NULL);
                        break;
                case ARG_VERSION: puts("kcore-agent " PROJECT_VERSION); return EXIT_SUCCESS;
                case 'h': help(); return EXIT_SUCCESS;
                default: return EXIT_USAGE;
                }
        if (argc - optind != 1)
                return fail(EXIT_USAGE, "one verb is needed: serve, token or unlock (see --help)", NULL);
        secret_init();
        if (streq(argv[optind], "token"))
                return verb_token(&o);
        if (streq(argv[optind], "serve"))
                return verb_serve(&o);
        if (streq(argv[optind], "unlock"))
                return verb_unlock(&o);
        return fail(EXIT_USAGE, argv[optind], "there is no such verb");
}
