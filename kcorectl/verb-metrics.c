/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <time.h>

#include "../libkcore/io.kcore.Manager.h"

#define REQUEST_MAX 8192
#define REQUEST_WAIT_USEC (10 * USEC_PER_SEC)

/* --- text exposition format of Prometheus, version 0.0.4 --- */

static void family(FILE *f, const char *name, const char *type, const char *help) {
        fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Values with one label come from arrays of {key: label, value_key: number}. */
static void labelled(FILE *f, const char *name, const char *label, sd_json_variant *array, const char *key, const char *value_key) {
        for (size_t i = 0; array && i < sd_json_variant_elements(array); i++) {
                sd_json_variant *v = sd_json_variant_by_index(array, i);

                fprintf(f, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, field_string(v, key), field_unsigned(v, value_key));
        }
}

static const struct {
        const char *name, *type, *help;
        size_t offset;
        double factor;
} per_guest[] = {
        { "kcore_guest_vcpus", "gauge", "vCPUs of a guest.", offsetof(struct guest_sample, vcpus), 1 },
        { "kcore_guest_cpu_seconds_total", "counter", "CPU time of QEMU and vCPUs.", offsetof(struct guest_sample, cpu_usec), 1e-6 },
        { "kcore_guest_exits_total", "counter", "Exits of the realm to the host.", offsetof(struct guest_sample, exits), 1 },
        { "kcore_guest_private_bytes", "gauge", "Memory that is the realm's alone.", offsetof(struct guest_sample, private_bytes), 1 },
        { "kcore_guest_shared_bytes", "gauge", "Host memory that the realm maps.", offsetof(struct guest_sample, shared_bytes), 1 },
        { "kcore_guest_table_bytes", "gauge", "Realm descriptor, RECs and translation tables.", offsetof(struct guest_sample, table_bytes), 1 },
};

static void print_guests(FILE *f, const struct sample *s) {
        static const char *const statuses[] = { "starting", "running", "stopping", "exited", "failed" };

        family(f, "kcore_guests", "gauge", "Guests by status.");
        for (size_t i = 0; i < ELEMENTSOF(statuses); i++) {
                size_t n = 0;

                for (size_t j = 0; j < s->n; j++)
                        n += streq(s->guests[j].status, statuses[i]);
                fprintf(f, "kcore_guests{status=\"%s\"} %zu\n", statuses[i], n);
        }
        for (size_t i = 0; i < ELEMENTSOF(per_guest); i++) {
                family(f, per_guest[i].name, per_guest[i].type, per_guest[i].help);
                for (size_t j = 0; j < s->n; j++) {
                        const struct guest_sample *g = &s->guests[j];
                        uint64_t value = *(const uint64_t *) ((const char *) g + per_guest[i].offset);

                        if (g->has_realm)
                                fprintf(f, "%s{guest=\"%s\"} %.*f\n", per_guest[i].name, g->name,
                                        per_guest[i].factor < 1 ? 6 : 0, (double) value * per_guest[i].factor);
                }
        }
}

static void print_status(FILE *f, sd_json_variant *status) {
        sd_json_variant *core = sd_json_variant_by_key(status, "core"), *counters = sd_json_variant_by_key(status, "counters");

        family(f, "kcore_launches_total", "counter", "Launches asked for since kcoresd started.");
        fprintf(f, "kcore_launches_total %" PRIu64 "\n", field_unsigned(status, "launches"));
        family(f, "kcore_launch_failures_total", "counter", "Launches that came to no running guest, by reason.");
        labelled(f, "kcore_launch_failures_total", "reason", sd_json_variant_by_key(status, "failures"), "reason", "launches");
        family(f, "kcore_up", "gauge", "Whether there is a KCore.");
        fprintf(f, "kcore_up %d\n", core ? 1 : 0);
        if (!core)
                return;
        family(f, "kcore_info", "gauge", "Versions.");
        fprintf(f, "kcore_info{version=\"%s\",daemon=\"%s\"} 1\n", field_string(core, "version"), field_string(status, "version"));
        family(f, "kcore_realms", "gauge", "Realms.");
        fprintf(f, "kcore_realms %" PRIu64 "\n", field_unsigned(core, "realms"));
        family(f, "kcore_memory_bytes", "gauge", "Memory that KCore tracks.");
        fprintf(f, "kcore_memory_bytes %" PRIu64 "\n", field_unsigned(core, "granules") * 4096);
        family(f, "kcore_donated_bytes", "gauge", "Memory that is not the host's now.");
        fprintf(f, "kcore_donated_bytes %" PRIu64 "\n", field_unsigned(core, "delegatedGranules") * 4096);
        family(f, "kcore_core_events_total", "counter", "What the core let the host see of realms, by channel, since boot.");
        for (size_t i = 0; counters && i < sd_json_variant_elements(counters); i++) {
                sd_json_variant *c = sd_json_variant_by_index(counters, i);
                const char *name = field_string(c, "name");

                if (!streq(name, "delegatedGranules") && !streq(name, "realms")) /* these two are no events: above */
                        fprintf(f, "kcore_core_events_total{event=\"%s\"} %" PRIu64 "\n", name, field_unsigned(c, "value"));
        }
}

static int print_as_json(FILE *f, sd_json_variant *status, const struct sample *s) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *guests = NULL, *v = NULL;
        int r;

        r = sample_to_json(NULL, s, &guests);
        r = r < 0 ? r : sd_json_buildo(&v, SD_JSON_BUILD_PAIR_VARIANT("status", status), SD_JSON_BUILD_PAIR_VARIANT("guests", guests));
        return r < 0 ? r : sd_json_variant_dump(v, SD_JSON_FORMAT_NEWLINE, f, NULL);
}

/* As text, or with --json as JSON; *ret is the caller's. Returns 0, or an exit code after telling the error. */
static int collect(char **ret) {
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        struct sample sample = {};
        sd_json_variant *status;
        char *text = NULL;
        size_t size;
        int r;

        r = client_connect(&link);
        r = r != 0 ? r : sample_take(link, &sample);
        r = r != 0 ? r : client_call(link, METHOD_STATUS, NULL, &status);
        if (r == 0) {
                f = open_memstream(&text, &size);
                if (!f)
                        r = report_error(EXIT_FAILED, "Error", NULL, "out of memory");
        }
        if (r == 0) {
                if (context.json)
                        r = print_as_json(f, status, &sample);
                else {
                        print_status(f, status);
                        print_guests(f, &sample);
                }
                if (r < 0 || fflush(f) != 0)
                        r = report_error(EXIT_FAILED, "Error", NULL, "out of memory");
        }
        sample_done(&sample);
        if (r != 0) {
                f = f ? (fclose(f), NULL) : NULL;
                free(text);
                return r;
        }
        *ret = text;
        return 0;
}

/* --- one request of HTTP/1.0 or 1.1 on standard input and output, for a socket unit --- */

/* Up to the empty line. The number of bytes, or < 0: too long, too slow, or closed. */
static int read_request(char buf[static REQUEST_MAX + 1]) {
        uint64_t end = now_usec(CLOCK_MONOTONIC) + REQUEST_WAIT_USEC;
        size_t n = 0;

        while (n < REQUEST_MAX) {
                struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
                uint64_t now = now_usec(CLOCK_MONOTONIC);
                ssize_t k;

                if (now >= end || poll(&p, 1, (int) ((end - now) / USEC_PER_MSEC) + 1) <= 0)
                        return -ETIMEDOUT;
                k = read(STDIN_FILENO, buf + n, REQUEST_MAX - n);
                if (k <= 0)
                        return -ECONNRESET;
                n += (size_t) k;
                buf[n] = 0;
                if (strstr(buf, "\r\n\r\n") || strstr(buf, "\n\n"))
                        return (int) n;
        }
        return -EMSGSIZE;
}

static int respond(const char *status, const char *body) {
        printf("HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: %zu\r\n"
               "Connection: close\r\n\r\n%s", status, strlen(body), body);
        return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int serve(void) {
        static const char get[] = "GET /metrics";
        _cleanup_free_ char *text = NULL;
        char request[REQUEST_MAX + 1];
        char after;

        if (read_request(request) < 0)
                return respond("400 Bad Request", "no request of HTTP within 8 KiB and 10 s\n");
        if (strncmp(request, "GET ", 4) != 0)
                return respond("405 Method Not Allowed", "only GET is served\n");
        after = strncmp(request, get, strlen(get)) == 0 ? request[strlen(get)] : 0;
        if (after != ' ' && after != '?')
                return respond("404 Not Found", "see /metrics\n");
        if (collect(&text) != 0)
                return respond("503 Service Unavailable", "kcoresd does not answer\n");
        return respond("200 OK", text);
}

int verb_metrics(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl metrics [--http]\n"
                "\n"
                "Prints numbers about core, launches and guests in the text format of Prometheus.\n"
                "\n"
                "      --http   answer one HTTP request on standard input, GET /metrics: what\n"
                "               kcore-metrics.socket starts (off by default, port 9911 of localhost)\n"
                "  -j, --json   the same numbers in JSON\n";
        enum { OPT_HTTP = 256 };
        static const struct option options[] = {
                { "http", no_argument, NULL, OPT_HTTP },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        _cleanup_free_ char *text = NULL;
        bool http = false;
        int c, r;

        while ((c = getopt_long(argc, argv, "jh", options, NULL)) >= 0)
                switch (c) {
                case OPT_HTTP:
                        http = true;
                        break;
                default:
                        r = common_option(c, "metrics", usage);
                        if (r >= 0)
                                return r;
                }
        if (optind < argc)
                return usage_error("metrics", "metrics: too many arguments");
        if (http && context.json)
                return usage_error("metrics", "--http has one format");
        if (http)
                return serve();
        r = collect(&text);
        if (r == 0)
                fputs(text, stdout);
        return r;
}
