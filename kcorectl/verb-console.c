/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <termios.h>

#include "../libkcore/io.kcore.Manager.h"

#define ESCAPE 0x1d /* Ctrl-] */

static struct termios saved;
static bool saved_valid;

static void restore(void) {
        if (saved_valid)
                (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
        saved_valid = false;
}

static void on_signal(int sig) {
        restore(); /* tcsetattr() is async-signal-safe */
        (void) signal(sig, SIG_DFL);
        (void) raise(sig);
}

static int write_all(int fd, const char *p, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno == EAGAIN) {
                        struct pollfd pfd = { .fd = fd, .events = POLLOUT };

                        (void) poll(&pfd, 1, -1);
                        continue;
                }
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                p += k;
                n -= (size_t) k;
        }
        return 0;
}

/* Copies both ways. Returns 0 when detached, 1 when the other side closed. */
static int copy(int fd, bool terminal) {
        bool input = true;

        for (;;) {
                struct pollfd pfds[2] = {
                        { .fd = fd, .events = POLLIN },
                        { .fd = input ? STDIN_FILENO : -1, .events = POLLIN },
                };
                char buf[4096];
                ssize_t n;

                if (poll(pfds, 2, -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (pfds[0].revents) {
                        n = read(fd, buf, sizeof(buf));
                        if (n == 0)
                                return 1;
                        if (n < 0 && errno != EAGAIN && errno != EINTR)
                                return errno == ECONNRESET ? 1 : -errno;
                        if (n > 0 && write_all(STDOUT_FILENO, buf, (size_t) n) < 0)
                                return 0;
                }
                if (pfds[1].revents) {
                        char *escape;

                        n = read(STDIN_FILENO, buf, sizeof(buf));
                        if (n <= 0) {
                                /* End of a pipe: say so, and go on showing what the guest writes. */
                                input = false;
                                (void) shutdown(fd, SHUT_WR);
                                continue;
                        }
                        escape = terminal ? memchr(buf, ESCAPE, (size_t) n) : NULL;
                        if (escape)
                                n = escape - buf;
                        if (write_all(fd, buf, (size_t) n) < 0)
                                return 1;
                        if (escape)
                                return 0;
                }
        }
}

int console_run(int fd, const char *name) {
        bool terminal = isatty(STDIN_FILENO);
        int r;

        (void) signal(SIGPIPE, SIG_IGN);
        if (terminal && tcgetattr(STDIN_FILENO, &saved) >= 0) {
                struct termios raw = saved;

                fprintf(stderr, "Connected to guest %s. Press Ctrl-] to leave.\n", name);
                saved_valid = true;
                (void) atexit(restore);
                (void) signal(SIGTERM, on_signal);
                (void) signal(SIGHUP, on_signal);
                cfmakeraw(&raw);
                (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
        }
        r = copy(fd, terminal);
        restore();
        if (terminal)
                fprintf(stderr, r == 1 ? "\nThe guest %s ended.\n" : "\nLeft guest %s; it runs on.\n", name);
        return r < 0 ? report_error(EXIT_FAILED, "Error", NULL, "the console broke: %s", strerror(-r)) : EXIT_OK;
}

int console_attach_by_name(sd_varlink *link, const char *name, int *ret_fd) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        sd_json_variant *reply;
        int r;

        r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("name", name));
        if (r < 0)
                return report_error(EXIT_USAGE, "Usage", NULL, "the name can not be sent: %s", strerror(-r));
        r = client_call(link, METHOD_CONSOLE, parameters, &reply);
        if (r != 0)
                return r;
        r = sd_varlink_take_fd(link, field_unsigned(reply, "consoleFileDescriptor"));
        if (r < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "kcoresd passed no console: %s", strerror(-r));
        *ret_fd = r;
        return 0;
}

int verb_console(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl console GUEST\n"
                "\n"
                "Attaches the terminal to the guest's serial console, after the end of its past\n"
                "output. Ctrl-] leaves; the guest runs on. Several terminals may be attached.\n"
                "Without a terminal, standard input is sent and output printed until the guest ends.\n";
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = parse_simple(argc, argv, usage, 1, 1);
        if (r >= 0)
                return r;
        r = client_connect(&link);
        if (r != 0)
                return r;
        r = console_attach_by_name(link, argv[optind], &fd);
        if (r != 0)
                return r;
        link = sd_varlink_close_unref(link);
        return console_run(fd, argv[optind]);
}
