/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

bool colors_enabled(FILE *f) {
        const char *term = getenv("TERM");

        if (!isempty(getenv("NO_COLOR")) || (term && streq(term, "dumb")))
                return false;
        return isatty(fileno(f));
}

const char *color(FILE *f, const char *sequence) {
        return colors_enabled(f) ? sequence : "";
}

void print_json(sd_json_variant *v) {
        (void) sd_json_variant_dump(v, isatty(STDOUT_FILENO) ? SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE : SD_JSON_FORMAT_NEWLINE, stdout, NULL);
        fflush(stdout);
}

void print_safe(FILE *f, const char *text) {
        for (; *text; text++) {
                unsigned char c = (unsigned char) *text;

                fputc((c < ' ' && c != '\n' && c != '\t') || c == 0x7f ? '?' : c, f);
        }
}

static int report(int exit_code, const char *error, const char *fix, const char *key, sd_json_variant *value, const char *format, va_list ap) _printf_(6, 0);
static int report(int exit_code, const char *error, const char *fix, const char *key, sd_json_variant *value, const char *format, va_list ap) {
        _cleanup_free_ char *message = NULL;

        if (context.failure_code != 0)
                exit_code = context.failure_code;
        if (vasprintf(&message, format, ap) < 0) {
                message = NULL;
                return exit_code;
        }

        if (context.json) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;

                if (sd_json_buildo(
                                    &v,
                                    SD_JSON_BUILD_PAIR_STRING("error", error),
                                    SD_JSON_BUILD_PAIR_STRING("message", message),
                                    SD_JSON_BUILD_PAIR_CONDITION(!!fix, "fix", SD_JSON_BUILD_STRING(fix)),
                                    SD_JSON_BUILD_PAIR_CONDITION(!!value, key, SD_JSON_BUILD_VARIANT(value)),
                                    SD_JSON_BUILD_PAIR_INTEGER("exitCode", exit_code)) >= 0)
                        print_json(v);
                return exit_code;
        }
        fprintf(stderr, "kcorectl: %s", color(stderr, ANSI_RED));
        print_safe(stderr, message);
        fprintf(stderr, "%s\n", color(stderr, ANSI_NORMAL));
        if (fix) {
                fputs("  fix: ", stderr);
                print_safe(stderr, fix);
                fputc('\n', stderr);
        }
        return exit_code;
}

int report_error(int exit_code, const char *error, const char *fix, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        exit_code = report(exit_code, error, fix, NULL, NULL, format, ap);
        va_end(ap);
        return exit_code;
}

int report_error_with(int exit_code, const char *error, const char *fix, const char *key, sd_json_variant *value, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        exit_code = report(exit_code, error, fix, key, value, format, ap);
        va_end(ap);
        return exit_code;
}

int usage_error(const char *verb, const char *format, ...) {
        va_list ap;

        fputs("kcorectl: ", stderr);
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        if (verb)
                fprintf(stderr, "\nSee \"kcorectl %s --help\".\n", verb);
        else
                fputs("\nSee \"kcorectl --help\".\n", stderr);
        return EXIT_USAGE;
}

const char *field_string(sd_json_variant *v, const char *key) {
        sd_json_variant *f = v ? sd_json_variant_by_key(v, key) : NULL;

        return f && sd_json_variant_is_string(f) ? sd_json_variant_string(f) : "";
}

uint64_t field_unsigned(sd_json_variant *v, const char *key) {
        sd_json_variant *f = v ? sd_json_variant_by_key(v, key) : NULL;

        return f && sd_json_variant_is_unsigned(f) ? sd_json_variant_unsigned(f) : 0;
}

bool field_boolean(sd_json_variant *v, const char *key) {
        sd_json_variant *f = v ? sd_json_variant_by_key(v, key) : NULL;

        return f && sd_json_variant_is_boolean(f) && sd_json_variant_boolean(f);
}

char *format_time(char buf[static 32], uint64_t realtime_usec) {
        time_t t = (time_t) (realtime_usec / USEC_PER_SEC);
        struct tm tm;

        if (realtime_usec == 0 || !localtime_r(&t, &tm) || strftime(buf, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                strcpy(buf, "-");
        return buf;
}

char *format_span(char buf[static 32], uint64_t usec) {
        uint64_t s = usec / USEC_PER_SEC;

        if (s < 60)
                snprintf(buf, 32, "%" PRIu64 "s", s);
        else if (s < 3600)
                snprintf(buf, 32, "%" PRIu64 "min %" PRIu64 "s", s / 60, s % 60);
        else if (s < 86400)
                snprintf(buf, 32, "%" PRIu64 "h %" PRIu64 "min", s / 3600, s / 60 % 60);
        else
                snprintf(buf, 32, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
        return buf;
}
