/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <termios.h>
#include <time.h>

#define CLEAR "\x1b[H\x1b[J"
#define DELAY_MAX 3600

static void print_table(const struct sample *before, const struct sample *now) {
        uint64_t real = now_usec(CLOCK_REALTIME);
        char a[32], b[32], c[32], d[32];
        size_t running = 0;

        for (size_t i = 0; i < now->n; i++)
                running += streq(now->guests[i].status, "running");
        printf("%s%s, %zu guest%s, %zu running%s\n", color(stdout, ANSI_BOLD), format_time(a, real), now->n,
               now->n == 1 ? "" : "s", running, color(stdout, ANSI_NORMAL));
        printf("%s%-20s %-9s %6s %9s %6s %9s %9s %9s  %s%s\n", color(stdout, ANSI_BOLD), "NAME", "STATUS", "CPU%", "EXITS/S",
               "VCPUS", "PRIVATE", "SHARED", "TABLES", "TIME", color(stdout, ANSI_NORMAL));
        for (size_t i = 0; i < now->n; i++) {
                const struct guest_sample *g = &now->guests[i];
                struct guest_rates r = sample_rates(before, now, g);
                uint64_t end = g->ended_usec > 0 ? g->ended_usec : real;

                printf("%-20s %-9s %6.1f %9.0f %6" PRIu64 " %9s %9s %9s  %s\n", g->name, g->status, r.cpu_percent, r.exits,
                       g->vcpus, format_size(a, g->private_bytes), format_size(b, g->shared_bytes),
                       format_size(c, g->table_bytes), format_span(d, end - MIN(end, g->created_usec)));
        }
}

static int print_sample_json(const struct sample *before, const struct sample *now) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *guests = NULL, *v = NULL;
        int r;

        r = sample_to_json(before, now, &guests);
        r = r < 0 ? r : sd_json_buildo(&v, SD_JSON_BUILD_PAIR_VARIANT("guests", guests));
        r = r < 0 ? r : sd_json_variant_dump(v, SD_JSON_FORMAT_NEWLINE, stdout, NULL);
        return r < 0 ? report_error(EXIT_FAILED, "Error", NULL, "can not print: %s", strerror(-r)) : 0;
}

/* Waits; true if a key says that it is enough. */
static bool wait_for_quit(uint64_t usec, bool keys) {
        struct pollfd p = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
        char c;

        if (poll(&p, 1, (int) (usec / USEC_PER_MSEC)) <= 0)
                return false;
        return read(STDIN_FILENO, &c, 1) != 1 || c == 'q' || c == 'Q' || c == 4;
}

static struct termios saved;

static void restore_terminal(void) {
        (void) tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

static bool take_keys(void) {
        struct termios t;

        if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
                return false;
        t = saved;
        t.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
        if (atexit(restore_terminal) != 0)
                return false;
        return tcsetattr(STDIN_FILENO, TCSANOW, &t) >= 0;
}

/* iterations 0: until somebody stops it. */
static int top(sd_varlink *link, uint64_t delay_usec, uint64_t iterations) {
        bool live = isatty(STDOUT_FILENO) && !context.json, keys = live && take_keys();
        struct sample before = {}, now = {};
        int r;

        r = sample_take(link, &before);
        if (r == 0 && live) { /* something to look at meanwhile */
                fputs(CLEAR, stdout);
                print_table(&before, &before);
                fflush(stdout);
        }
        for (uint64_t i = 0; r == 0 && (iterations == 0 || i < iterations); i++) {
                if (wait_for_quit(delay_usec, keys))
                        break;
                r = sample_take(link, &now);
                if (r != 0)
                        break;
                if (live)
                        fputs(CLEAR, stdout);
                if (context.json)
                        r = print_sample_json(&before, &now);
                else
                        print_table(&before, &now);
                if (fflush(stdout) != 0)
                        r = EXIT_FAILED;
                sample_done(&before);
                before = now;
                now = (struct sample) {};
        }
        sample_done(&before);
        return r;
}

int verb_top(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl top [OPTION...]\n"
                "\n"
                "Shows what guests use, live: CPU of QEMU and vCPUs together (100 is one CPU), exits\n"
                "from the realm per second, private memory, pages shared with the host, and memory\n"
                "of tables. On a terminal q ends it; elsewhere it shows one interval.\n"
                "\n"
                "  -d, --delay SECONDS   length of an interval, 1 to 3600 (default 2)\n"
                "  -n, --iterations N    so many intervals\n"
                "  -j, --json            an object a line for each interval\n";
        static const struct option options[] = {
                { "delay", required_argument, NULL, 'd' },
                { "iterations", required_argument, NULL, 'n' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        uint64_t delay = 2, iterations = isatty(STDOUT_FILENO) ? 0 : 1;
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        int c, r;

        while ((c = getopt_long(argc, argv, "d:n:jh", options, NULL)) >= 0)
                switch (c) {
                case 'd':
                        if (parse_unsigned(optarg, DELAY_MAX, &delay) < 0 || delay == 0)
                                return usage_error("top", "a delay is 1 to %d seconds", DELAY_MAX);
                        break;
                case 'n':
                        if (parse_unsigned(optarg, UINT32_MAX, &iterations) < 0 || iterations == 0)
                                return usage_error("top", "a number of intervals is 1 or more");
                        break;
                default:
                        r = common_option(c, "top", usage);
                        if (r >= 0)
                                return r;
                }
        if (optind < argc)
                return usage_error("top", "top: too many arguments");
        r = client_connect(&link);
        return r != 0 ? r : top(link, delay * USEC_PER_SEC, iterations);
}
