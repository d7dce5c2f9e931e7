/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The command line: one file per verb. Every verb gets its own argv, prints text or JSON from the same
 * variant, and returns one of the exit codes below. */

#include <systemd/sd-json.h>
#include <systemd/sd-varlink.h>

#include "../libkcore/util.h"

/* Documented in kcorectl(1). */
enum {
        EXIT_OK = 0,
        EXIT_FAILED = 1,       /* the operation failed */
        EXIT_USAGE = 2,        /* wrong command line */
        EXIT_CHECK_FAILED = 3, /* this machine can not run realms: see "kcorectl doctor" */
        EXIT_NO_DAEMON = 4,    /* kcoresd can not be reached */
        EXIT_PERMISSION = 5,   /* neither root nor in the group kcore, or a file may not be opened */
        EXIT_NO_GUEST = 6,     /* no guest of that name */
        EXIT_STATE = 7,        /* the guest exists already, or is not running */
        EXIT_INVALID = 8,      /* a file or value can not be used for a guest */
};

struct context {
        bool json;
        const char *socket;
        int failure_code; /* what report_error() returns, for verbs with exit codes of their own; 0: as it is told */
};

extern struct context context;

int verb_launch(int argc, char **argv);
int verb_list(int argc, char **argv);
int verb_show(int argc, char **argv);
int verb_console(int argc, char **argv);
int verb_stop(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_top(int argc, char **argv);
int verb_monitor(int argc, char **argv);
int verb_metrics(int argc, char **argv);
int verb_platform(int argc, char **argv);
int verb_attest(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_log(int argc, char **argv);
int verb_image(int argc, char **argv);
int verb_measure(int argc, char **argv);
int verb_convert(int argc, char **argv);
int verb_define(int argc, char **argv);
int verb_verify(int argc, char **argv);

/* getopt_long() for verbs that have no options but --json and --help. Returns < 0 to go on (optind is the
 * first argument), or an exit code. */
int parse_simple(int argc, char **argv, const char *usage, int min_args, int max_args);
/* What every verb does with --json, --help and an option that it does not know. Returns the same as
 * parse_simple(). */
int common_option(int c, const char *verb, const char *usage);
/* The one-line hint after a usage error; returns EXIT_USAGE. */
int usage_error(const char *verb, const char *format, ...) _printf_(2, 3);

/* --- client.c --- */

/* Connects to kcoresd. Returns 0, or an exit code after telling why not. */
int client_connect(sd_varlink **ret);
/* The same, silently: returns a negative errno. */
int client_try_connect(sd_varlink **ret);
/* One call. Returns 0 with the reply in *ret (may be NULL), or an exit code after telling the error. The
 * reply belongs to link. */
int client_call(sd_varlink *link, const char *method, sd_json_variant *parameters, sd_json_variant **ret);
/* Tells an error of the daemon, as text or JSON; returns the exit code for it. */
int client_report(const char *error_id, sd_json_variant *parameters);

/* Hands the terminal over to a console, until the guest ends or Ctrl-] is typed. */
int console_run(int fd, const char *name);
int console_attach_by_name(sd_varlink *link, const char *name, int *ret_fd);

/* --- output.c --- */

bool colors_enabled(FILE *f);
#define ANSI_RED "\x1b[31m"
#define ANSI_GREEN "\x1b[32m"
#define ANSI_YELLOW "\x1b[33m"
#define ANSI_GREY "\x1b[90m"
#define ANSI_BOLD "\x1b[1m"
#define ANSI_NORMAL "\x1b[0m"
const char *color(FILE *f, const char *sequence); /* "" without colours */

/* "kcorectl: ..." on stderr, in red on a terminal; with --json an object on stdout. Returns exit_code. */
int report_error(int exit_code, const char *error, const char *fix, const char *format, ...) _printf_(4, 5);
/* The same; the object has one more field, unless value is NULL. */
int report_error_with(int exit_code, const char *error, const char *fix, const char *key, sd_json_variant *value, const char *format, ...) _printf_(6, 7);

void print_json(sd_json_variant *v);

/* Typed access to a reply that tolerates what is missing. */
const char *field_string(sd_json_variant *v, const char *key); /* "" */
uint64_t field_unsigned(sd_json_variant *v, const char *key);  /* 0 */
bool field_boolean(sd_json_variant *v, const char *key);       /* false */

/* Prints untrusted text: control characters but newline and tab become '?'. */
void print_safe(FILE *f, const char *text);

char *format_time(char buf[static 32], uint64_t realtime_usec);
char *format_span(char buf[static 32], uint64_t usec);
