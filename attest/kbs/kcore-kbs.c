/* SPDX-License-Identifier: Apache-2.0 */

/* kcore-kbs: a key broker for realms. See kcore-kbs(8) and docs/key-broker.md. */

#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include "jwt.h"
#include "server.h"

/* As kcorectl's where they apply. */
enum { EXIT_USAGE = 2, EXIT_CONFIGURATION = 4, EXIT_INTERNAL = 6 };

#define PEM_MAX (256 * KIB)

static void help(void) {
        puts("usage: kcore-kbs [OPTION...]\n"
             "\n"
             "A key broker: gives a realm its keys after it has proved by attestation what it\n"
             "is. Speaks version " KBS_VERSION " of Trustee's KBS protocol, over TLS.\n"
             "\n"
             "  --listen ADDRESS         where to listen (default ::, which is IPv4 too)\n"
             "  --port PORT              (default 8080; 0: any, printed)\n"
             "  --certificate FILE       TLS certificate chain, PEM\n"
             "                           (default /etc/kcore-kbs/tls-certificate.pem)\n"
             "  --key FILE               its key, PEM (default /etc/kcore-kbs/tls-key.pem)\n"
             "  --platforms DIRECTORY    machines that are known: NAME.kplat, identity documents,\n"
             "                           or NAME.pem, keys that sign platform tokens\n"
             "                           (default /etc/kcore-kbs/platforms)\n"
             "  --references DIRECTORY   reference values: REPOSITORY/NAME.json\n"
             "                           (default /etc/kcore-kbs/references)\n"
             "  --resources DIRECTORY    what is given: REPOSITORY/TYPE/TAG\n"
             "                           (default /etc/kcore-kbs/resources)\n"
             "  --state DIRECTORY        the key that signs attestation results, made at the\n"
             "                           first start (default /var/lib/kcore-kbs)\n"
             "  --audit FILE             audit log, JSON lines; - is standard output\n"
             "                           (default /var/log/kcore-kbs/audit.jsonl)\n"
             "  --issuer NAME            issuer of attestation results (default kcore-kbs)\n"
             "  --challenge-seconds N    how long a guest may take to answer (default 60)\n"
             "  --session-seconds N      how long it may then read (default 300)\n"
             "  -h, --help               this text\n"
             "  --version                the version\n"
             "\n"
             "exit status: 0 stopped by a signal, 2 wrong usage, 4 bad configuration, 6 internal\n"
             "error.");
}

struct options {
        const char *listen, *certificate, *key, *platforms, *references, *resources, *state, *audit, *issuer;
        uint64_t port, challenge, session;
};

/* 0 to go on, or 1 + exit status. */
static int parse_options(int argc, char **argv, struct options *o) {
        enum { ARG_LISTEN = 256, ARG_PORT, ARG_CERTIFICATE, ARG_KEY, ARG_PLATFORMS, ARG_REFERENCES, ARG_RESOURCES, ARG_STATE, ARG_AUDIT,
               ARG_ISSUER, ARG_CHALLENGE, ARG_SESSION, ARG_VERSION };
        static const struct option table[] = {
                { "listen", required_argument, NULL, ARG_LISTEN },
                { "port", required_argument, NULL, ARG_PORT },
                { "certificate", required_argument, NULL, ARG_CERTIFICATE },
                { "key", required_argument, NULL, ARG_KEY },
                { "platforms", required_argument, NULL, ARG_PLATFORMS },
                { "references", required_argument, NULL, ARG_REFERENCES },
                { "resources", required_argument, NULL, ARG_RESOURCES },
                { "state", required_argument, NULL, ARG_STATE },
                { "audit", required_argument, NULL, ARG_AUDIT },
                { "issuer", required_argument, NULL, ARG_ISSUER },
                { "challenge-seconds", required_argument, NULL, ARG_CHALLENGE },
                { "session-seconds", required_argument, NULL, ARG_SESSION },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", table, NULL)) >= 0) {
                uint64_t *number = NULL, max = 24 * 3600;

                switch (c) {
                case ARG_LISTEN: o->listen = optarg; break;
                case ARG_CERTIFICATE: o->certificate = optarg; break;
                case ARG_KEY: o->key = optarg; break;
                case ARG_PLATFORMS: o->platforms = optarg; break;
                case ARG_REFERENCES: o->references = optarg; break;
                case ARG_RESOURCES: o->resources = optarg; break;
                case ARG_STATE: o->state = optarg; break;
                case ARG_AUDIT: o->audit = optarg; break;
                case ARG_ISSUER: o->issuer = optarg; break;
                case ARG_PORT: number = &o->port; max = 65535; break;
                case ARG_CHALLENGE: number = &o->challenge; break;
                case ARG_SESSION: number = &o->session; break;
                case ARG_VERSION: puts("kcore-kbs " PROJECT_VERSION); return 1 + EXIT_SUCCESS;
                case 'h': help(); return 1 + EXIT_SUCCESS;
                default: return 1 + EXIT_USAGE;
                }
                if (number && (parse_unsigned(optarg, max, number) < 0 || (*number == 0 && c != ARG_PORT))) {
                        fprintf(stderr, "kcore-kbs: '%s' is no number in the range of this option\n", optarg);
                        return 1 + EXIT_USAGE;
                }
        }
        if (optind < argc) {
                fprintf(stderr, "kcore-kbs: unexpected argument '%s'\n", argv[optind]);
                return 1 + EXIT_USAGE;
        }
        return 0;
}

static int open_directory(const char *path) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                fprintf(stderr, "kcore-kbs: %s: %s\n", path, strerror(errno));
        return fd;
}

static void free_secret_text(char **s) {
        if (*s)
                OPENSSL_cleanse(*s, strlen(*s));
        free(*s);
}

/* Until a signal says that it is enough. */
static int run(struct server *s) {
        _cleanup_close_ int fd = -EBADF;
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        fd = signalfd(-1, &mask, SFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                int r = poll(&p, 1, 1000);

                if (r < 0 && errno != EINTR)
                        return -errno;
                if (r > 0)
                        return 0;
                server_tick(s);
        }
}

int main(int argc, char **argv) {
        struct options o = {
                .listen = "::",
                .port = 8080,
                .certificate = "/etc/kcore-kbs/tls-certificate.pem",
                .key = "/etc/kcore-kbs/tls-key.pem",
                .platforms = "/etc/kcore-kbs/platforms",
                .references = "/etc/kcore-kbs/references",
                .resources = "/etc/kcore-kbs/resources",
                .state = "/var/lib/kcore-kbs",
                .audit = "/var/log/kcore-kbs/audit.jsonl",
                .issuer = "kcore-kbs",
                .challenge = 60,
                .session = 300,
        };
        _cleanup_(free_secret_text) char *certificate = NULL, *key = NULL;
        _cleanup_close_ int platforms_fd = -EBADF, references_fd = -EBADF, resources_fd = -EBADF, state_fd = -EBADF;
        _cleanup_pkey_ EVP_PKEY *token_key = NULL;
        static struct broker broker; /* large */
        struct server *server;
        sigset_t mask;
        int r;

        r = parse_options(argc, argv, &o);
        if (r > 0)
                return r - 1;
        secret_init();

        r = read_small_file(o.certificate, PEM_MAX, &certificate);
        if (r < 0) {
                fprintf(stderr, "kcore-kbs: %s: %s\n", o.certificate, strerror(-r));
                return EXIT_CONFIGURATION;
        }
        r = read_small_file(o.key, PEM_MAX, &key);
        if (r < 0) {
                fprintf(stderr, "kcore-kbs: %s: %s\n", o.key, strerror(-r));
                return EXIT_CONFIGURATION;
        }
        platforms_fd = open_directory(o.platforms);
        references_fd = open_directory(o.references);
        resources_fd = open_directory(o.resources);
        state_fd = open_directory(o.state);
        if (platforms_fd < 0 || references_fd < 0 || resources_fd < 0 || state_fd < 0)
                return EXIT_CONFIGURATION;
        r = jwt_key_load(state_fd, &token_key);
        if (r < 0) {
                fprintf(stderr, "kcore-kbs: token-key.pem in %s: %s\n", o.state, strerror(-r));
                return EXIT_CONFIGURATION;
        }
        broker = (struct broker) {
                .platforms_fd = platforms_fd,
                .references_fd = references_fd,
                .resources_fd = resources_fd,
                .token_key = token_key,
                .issuer = o.issuer,
                .sessions = { .challenge_usec = o.challenge * USEC_PER_SEC, .attested_usec = o.session * USEC_PER_SEC },
        };
        r = audit_open(&broker.audit, o.audit);
        if (r < 0) {
                fprintf(stderr, "kcore-kbs: %s: %s\n", o.audit, strerror(-r));
                return EXIT_CONFIGURATION;
        }

        /* Before there is a second thread. */
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        (void) signal(SIGPIPE, SIG_IGN);

        r = server_start(&broker, o.listen, (uint16_t) o.port, certificate, key, &server);
        if (r < 0) {
                fprintf(stderr, "kcore-kbs: can not listen on %s port %u with this certificate: %s\n", o.listen,
                        (unsigned) o.port, strerror(-r));
                safe_close(broker.audit.fd);
                return EXIT_CONFIGURATION;
        }
        fprintf(stderr, "kcore-kbs: listening on %s port %u\n", o.listen, server_port(server));
        (void) sd_notify(0, "READY=1");
        r = run(server);
        (void) sd_notify(0, "STOPPING=1");
        server_stop(server);
        sessions_end_all(&broker.sessions);
        safe_close(broker.audit.fd);
        return r < 0 ? EXIT_INTERNAL : EXIT_SUCCESS;
}
