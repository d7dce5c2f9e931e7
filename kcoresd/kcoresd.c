/* SPDX-License-Identifier: Apache-2.0 */

/* kcoresd: launches and manages guests of KCore. See kcoresd(8). */

#include <getopt.h>
#include <signal.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "manager.h"

static void help(FILE *f) {
        fprintf(f,
                "usage: kcoresd [OPTION...]\n"
                "\n"
                "Launches and manages guests of KCore. Normally started by systemd when\n"
                "somebody connects to " MANAGER_SOCKET ".\n"
                "\n"
                "  -s, --socket PATH             listen there, when not started by systemd\n"
                "  -r, --runtime-directory DIR   keep state there (default " RUNTIME_DIRECTORY ")\n"
                "  -h, --help                    show this help\n"
                "      --version                 show the version\n"
                "\n"
                "See kcoresd(8), kcorectl(1).\n");
}

static int parse(int argc, char **argv, const char **socket, const char **dir) {
        enum { OPT_VERSION = 256 };
        static const struct option options[] = {
                { "socket", required_argument, NULL, 's' },
                { "runtime-directory", required_argument, NULL, 'r' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPT_VERSION },
                {}
        };
        int c;

        while ((c = getopt_long(argc, argv, "s:r:h", options, NULL)) >= 0)
                switch (c) {
                case 's':
                        *socket = optarg;
                        break;
                case 'r':
                        *dir = optarg;
                        break;
                case 'h':
                        help(stdout);
                        return 0;
                case OPT_VERSION:
                        puts("kcoresd " PROJECT_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "kcoresd: takes no arguments\n");
                return -EINVAL;
        }
        return 1;
}

/* Sockets and launch descriptors that systemd holds for us. */
static int take_fds(Manager *m) {
        _cleanup_strv_free_ char **names = NULL;
        int n, sockets = 0;

        n = sd_listen_fds_with_names(true, &names);
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) > 0) {
                        int r = sd_varlink_server_listen_fd(m->server, fd);

                        if (r < 0)
                                return r;
                        sockets++;
                } else
                        (void) manager_add_stored_fd(m, names[i], fd);
        }
        return n < 0 ? n : sockets;
}

/* Anybody may connect: a domain's QEMU runs as whatever user libvirt is told. */
static int listen_for_claims(Manager *m, const char *dir) {
        _cleanup_free_ char *path = NULL;
        int r;

        if (asprintf(&path, "%s/io.kcore.Launch", dir) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        umask(0);
        r = sd_varlink_server_listen_address(m->launch_server, path, 0666);
        umask(0077);
        return r;
}

static int run(const char *socket, const char *dir) {
        Manager *m = NULL;
        void *system = NULL;
        sigset_t signals;
        int r;

        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        (void) signal(SIGPIPE, SIG_IGN);
        umask(0077);

        r = system_connect(&system);
        if (r < 0)
                goto out;
        if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
                r = -errno;
                fprintf(stderr, SD_ERR "Can not make %s: %s\n", dir, strerror(errno));
                goto out;
        }
        r = manager_new(&system_ops, system, dir, &m);
        if (r < 0) {
                fprintf(stderr, SD_ERR "Can not start: %s\n", strerror(-r));
                goto out;
        }
        r = take_fds(m);
        if (r == 0) {
                umask(0007);
                r = sd_varlink_server_listen_address(m->server, socket, 0660);
                umask(0077);
        }
        if (r < 0) {
                fprintf(stderr, SD_ERR "Can not listen on %s: %s\n", socket, strerror(-r));
                goto out;
        }
        r = listen_for_claims(m, dir);
        if (r < 0) {
                fprintf(stderr, SD_ERR "Can not listen for claims of domains: %s\n", strerror(-r));
                goto out;
        }

        r = sd_event_add_signal(m->event, NULL, SIGTERM, NULL, NULL);
        r = r < 0 ? r : sd_event_add_signal(m->event, NULL, SIGINT, NULL, NULL);
        r = r < 0 ? r : sd_event_set_watchdog(m->event, true);
        r = r < 0 ? r : manager_load(m);
        if (r < 0) {
                fprintf(stderr, SD_ERR "Can not start: %s\n", strerror(-r));
                goto out;
        }
        (void) sd_notify(false, "READY=1\nSTATUS=Ready");
        r = sd_event_loop(m->event);
        (void) sd_notify(false, "STOPPING=1");
out:
        manager_free(m);
        system_disconnect(system);
        return r;
}

int main(int argc, char **argv) {
        const char *socket = MANAGER_SOCKET, *dir = RUNTIME_DIRECTORY;
        int r;

        r = parse(argc, argv, &socket, &dir);
        if (r <= 0)
                return r < 0 ? 2 : 0;
        return run(socket, dir) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
