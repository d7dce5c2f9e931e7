/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <getopt.h>
#include <inttypes.h>

#include "../libkcore/io.kcore.Manager.h"

#define FOLLOW_USEC (500 * USEC_PER_MSEC)

/* One object a line. */
static void print_line_json(char *line) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        int r;

        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("line", line));
        if (r < 0) { /* a guest may write what is no UTF-8 */
                for (char *p = line; *p; p++)
                        if ((unsigned char) *p >= 0x80)
                                *p = '?';
                r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("line", line));
        }
        if (r >= 0)
                (void) sd_json_variant_dump(v, SD_JSON_FORMAT_NEWLINE, stdout, NULL);
}

/* Text comes in pieces that end anywhere: as JSON, a line is printed when it is complete. NULL: the end. */
static void print_text(const char *text) {
        static char line[4096];
        static size_t n;

        if (!context.json) {
                if (text)
                        fputs(text, stdout);
                return;
        }
        for (; text && *text; text++) {
                if (*text == '\r')
                        continue;
                if (*text != '\n' && n < sizeof(line) - 1) {
                        line[n++] = *text;
                        continue;
                }
                line[n] = 0;
                n = 0;
                print_line_json(line);
                if (*text != '\n')
                        line[n++] = *text;
        }
        if (!text && n > 0) {
                line[n] = 0;
                n = 0;
                print_line_json(line);
        }
}

static int core_log(sd_varlink *link, bool follow) {
        uint64_t sequence = 0;
        int r;

        for (;;) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
                sd_json_variant *reply;
                const char *text;

                r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_UNSIGNED("sequence", sequence));
                if (r < 0)
                        return EXIT_FAILED;
                r = client_call(link, METHOD_LOG, parameters, &reply);
                if (r != 0)
                        return r;
                text = field_string(reply, "text");
                if (sequence > 0 && field_unsigned(reply, "lost") > 0)
                        fprintf(stderr, "kcorectl: %" PRIu64 " bytes of the log were overwritten\n", field_unsigned(reply, "lost"));
                if (field_unsigned(reply, "nextSequence") > sequence) {
                        sequence = field_unsigned(reply, "nextSequence");
                        print_text(text);
                        fflush(stdout);
                } else if (!follow) {
                        print_text(NULL);
                        return EXIT_OK;
                } else
                        (void) usleep((useconds_t) FOLLOW_USEC);
        }
}

static int console_log(sd_varlink *link, const char *name, bool follow) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        _cleanup_close_ int fd = -EBADF;
        sd_json_variant *reply;
        int r;

        r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("name", name));
        if (r < 0)
                return report_error(EXIT_USAGE, "Usage", NULL, "the name can not be sent: %s", strerror(-r));
        r = client_call(link, METHOD_CONSOLE_LOG, parameters, &reply);
        if (r != 0)
                return r;
        fd = sd_varlink_take_fd(link, field_unsigned(reply, "logFileDescriptor"));
        if (fd < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "kcoresd passed no log: %s", strerror(-fd));
        for (;;) {
                char buf[4096 + 1];
                ssize_t n = read(fd, buf, sizeof(buf) - 1);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return report_error(EXIT_FAILED, "Error", NULL, "the log can not be read: %s", strerror(errno));
                if (n == 0) {
                        if (!follow) {
                                print_text(NULL);
                                return EXIT_OK;
                        }
                        (void) usleep((useconds_t) FOLLOW_USEC);
                        continue;
                }
                /* A guest wrote this: on a terminal it must not move the cursor or worse. */
                for (ssize_t i = 0; i < n; i++)
                        if (buf[i] == 0 || (isatty(STDOUT_FILENO) && (unsigned char) buf[i] < ' ' && buf[i] != '\n' && buf[i] != '\t'))
                                buf[i] = buf[i] == '\r' ? ' ' : '?';
                buf[n] = 0;
                print_text(buf);
                fflush(stdout);
        }
}

int verb_log(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl log [OPTION...] [GUEST]\n"
                "\n"
                "Shows KCore's own log or, with the name of a guest, what that guest wrote to its\n"
                "console. What QEMU says is in the journal: journalctl -u kcore-guest-GUEST.\n"
                "\n"
                "  -f, --follow   go on as more comes in\n"
                "  -j, --json     an object for each line\n";
        static const struct option options[] = {
                { "follow", no_argument, NULL, 'f' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        bool follow = false;
        int c, r;

        while ((c = getopt_long(argc, argv, "fjh", options, NULL)) >= 0)
                switch (c) {
                case 'f':
                        follow = true;
                        break;
                default:
                        r = common_option(c, "log", usage);
                        if (r >= 0)
                                return r;
                }
        if (argc - optind > 1)
                return usage_error("log", "log takes one guest");
        r = client_connect(&link);
        if (r != 0)
                return r;
        return optind < argc ? console_log(link, argv[optind], follow) : core_log(link, follow);
}
