/* SPDX-License-Identifier: Apache-2.0 */
#include "verify.h"

#include <ctype.h>
#include <openssl/evp.h>

static inline void token_freep(struct kcore_token **t) {
        kcore_token_free(*t);
}
static inline void key_freep(struct kcore_key **k) {
        kcore_key_free(*k);
}
static inline void identity_freep(struct kcore_identity **i) {
        kcore_identity_free(*i);
}
static inline void reference_freep(struct kcore_reference **r) {
        kcore_reference_free(*r);
}
static inline void report_freep(struct kcore_report **r) {
        kcore_report_free(*r);
}

int verify_parse_nonce(struct verify_arguments *a, const char *hex) {
        size_t n = strlen(hex);

        if (n == 0 || n % 2 != 0 || n > 2 * sizeof(a->nonce))
                return -EINVAL;
        for (size_t i = 0; i < n; i++)
                if (!isxdigit((unsigned char) hex[i]))
                        return -EINVAL;
        for (size_t i = 0; i < n / 2; i++) {
                const char byte[3] = { hex[2 * i], hex[2 * i + 1] };

                a->nonce[i] = (uint8_t) strtoul(byte, NULL, 16);
        }
        a->nonce_size = n / 2;
        return 0;
}

/* What the challenge claim must be: the nonce, or what kcore-agent makes of it (docs/attest-agent.md). */
static int expected_challenge(const struct verify_arguments *a, uint8_t ret[static 64]) {
        static const char label[] = "KCore guest agent 1";
        uint8_t message[sizeof(label) - 1 + sizeof(a->nonce)];

        memcpy(ret, a->nonce, sizeof(a->nonce));
        if (!a->agent)
                return 0;
        memcpy(message, label, sizeof(label) - 1);
        memcpy(message + sizeof(label) - 1, a->nonce, sizeof(a->nonce));
        return EVP_Digest(message, sizeof(message), ret, NULL, EVP_sha512(), NULL) == 1 ? 0 : -EIO;
}

int verify_check_arguments(const char *verb, const struct verify_arguments *a) {
        if (!a->reference) {
                (void) usage_error(verb, "%s needs --reference: without reference values nothing can be accepted", verb);
                return VERIFY_BAD_CONFIG;
        }
        if (!a->platform == !a->platform_key) {
                (void) usage_error(verb, "%s needs either --platform or --platform-key", verb);
                return VERIFY_BAD_CONFIG;
        }
        if (a->agent && a->nonce_size != 0 && a->nonce_size != sizeof(a->nonce)) {
                (void) usage_error(verb, "kcore-agent takes nonces of %zu bytes", sizeof(a->nonce));
                return VERIFY_BAD_CONFIG;
        }
        if (a->nonce_size == 0 && !a->insecure)
                return report_error(
                                VERIFY_INSECURE, "Insecure", "Give the nonce that the token was made for, with --nonce.",
                                "without a nonce an old token is as good as a new one");
        return 0;
}

/* --- input --- */

static int config_error(const char *path, enum kcore_attest_error e, const struct kcore_attest_detail *d) {
        return report_error(
                        e == KCORE_ATTEST_NO_MEMORY ? VERIFY_INTERNAL : VERIFY_BAD_CONFIG, kcore_attest_error_name(e),
                        NULL, "%s: %s%s%s", path, d ? d->where : "", d && *d->where ? ": " : "", kcore_attest_strerror(e));
}

/* 0, or an exit code. The file may be a pipe. */
static int read_config(const char *path, size_t max, uint8_t **ret, size_t *ret_size) {
        _cleanup_free_ uint8_t *data = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        size_t n;

        f = fopen(path, "re");
        data = malloc(max + 1);
        if (!data)
                return report_error(VERIFY_INTERNAL, "no-memory", NULL, "out of memory");
        n = f ? fread(data, 1, max + 1, f) : 0;
        if (!f || ferror(f))
                return report_error(VERIFY_BAD_CONFIG, "file", NULL, "%s: %s", path, strerror(errno));
        if (n > max)
                return config_error(path, KCORE_ATTEST_TOO_LARGE, NULL);
        *ret = TAKE_PTR(data);
        *ret_size = n;
        return 0;
}

static int read_reference(const char *path, struct kcore_reference **ret) {
        struct kcore_attest_detail d = {};
        _cleanup_free_ uint8_t *data = NULL;
        enum kcore_attest_error e;
        size_t n;
        int r;

        r = read_config(path, KCORE_REFERENCE_MAX, &data, &n);
        if (r != 0)
                return r;
        e = kcore_reference_parse((const char *) data, n, ret, &d);
        return e == KCORE_ATTEST_OK ? 0 : config_error(path, e, &d);
}

static int read_identity(const struct verify_arguments *a, struct kcore_identity **ret) {
        struct kcore_attest_detail d = {};
        _cleanup_free_ uint8_t *data = NULL;
        enum kcore_attest_error e;
        size_t n;
        int r;

        r = read_config(a->platform, KCORE_IDENTITY_MAX, &data, &n);
        if (r != 0)
                return r;
        e = kcore_identity_parse(data, n, ret, &d);
        if (e != KCORE_ATTEST_OK)
                return config_error(a->platform, e, &d);
        if (kcore_identity_claims(*ret)->n_entries == 0 && !a->insecure)
                return report_error(
                                VERIFY_INSECURE, kcore_attest_error_name(KCORE_ATTEST_NO_CHAIN),
                                "Only for trials: --insecure.", "%s: %s", a->platform,
                                kcore_attest_strerror(KCORE_ATTEST_NO_CHAIN));
        return 0;
}

static int read_key(const char *path, struct kcore_key **ret) {
        _cleanup_free_ uint8_t *data = NULL;
        enum kcore_attest_error e;
        size_t n;
        int r;

        r = read_config(path, KCORE_KEY_FILE_MAX, &data, &n);
        if (r != 0)
                return r;
        e = kcore_key_parse(data, n, ret);
        return e == KCORE_ATTEST_OK ? 0 : config_error(path, e, NULL);
}

/* --- output --- */

static bool is_unsupported(enum kcore_attest_error e) {
        return e == KCORE_ATTEST_UNSUPPORTED_TAG || e == KCORE_ATTEST_UNSUPPORTED_ALGORITHM ||
                e == KCORE_ATTEST_UNSUPPORTED_HEADER || e == KCORE_ATTEST_UNSUPPORTED_PROFILE ||
                e == KCORE_ATTEST_UNSUPPORTED_HASH;
}

/* A long value by its beginning; what is rejected is printed in full below its row. */
static void print_column(const char *text, bool last) {
        enum { WIDTH = 24 };
        char part[WIDTH + 1];
        size_t n = strlen(text);

        snprintf(part, sizeof(part), "%s", text);
        if (n > WIDTH) {
                n = WIDTH - 3;
                while (n > 0 && ((unsigned char) part[n] & 0xc0) == 0x80) /* not within a character */
                        n--;
                strcpy(part + n, "...");
                n += 3;
        }
        print_safe(stdout, part);
        printf("%*s", last ? 0 : (int) (WIDTH - n), "");
}

static void print_row(const struct kcore_report_row *row) {
        bool bad = row->verdict == KCORE_VERDICT_REJECTED || row->verdict == KCORE_VERDICT_NOT_JUDGED;
        const char *mark = row->verdict == KCORE_VERDICT_ACCEPTED ? "✔" : row->verdict == KCORE_VERDICT_REJECTED ? "✘" : "-";
        const char *tint = row->verdict == KCORE_VERDICT_ACCEPTED ? ANSI_GREEN : bad ? ANSI_RED : ANSI_GREY;

        printf("%s%s%s %-8s %-30s ", color(stdout, tint), mark, color(stdout, ANSI_NORMAL), row->section, row->claim);
        print_column(*row->expected ? row->expected : "-", false);
        putchar(' ');
        print_column(*row->actual ? row->actual : "-", true);
        putchar('\n');
        if (row->verdict != KCORE_VERDICT_REJECTED)
                return;
        if (*row->expected) {
                fputs("    expected ", stdout);
                print_safe(stdout, row->expected);
                putchar('\n');
        }
        fputs("    actual   ", stdout);
        print_safe(stdout, row->actual);
        printf("\n    %s", color(stdout, ANSI_RED));
        print_safe(stdout, row->reason);
        printf("%s\n", color(stdout, ANSI_NORMAL));
}

/* Nobody may take a verdict for good that could not be printed. */
static int printed(int exit_code) {
        if (fflush(stdout) == 0 && !ferror(stdout))
                return exit_code;
        return report_error(VERIFY_INTERNAL, "output", NULL, "the report can not be written: %s", strerror(errno));
}

static int print_report(const struct kcore_report *report) {
        int exit_code = report->accepted ? VERIFY_ACCEPTED : VERIFY_REJECTED;
        size_t rejected = 0;

        if (context.json) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
                _cleanup_free_ char *json = NULL;

                if (kcore_report_to_json(report, &json) != KCORE_ATTEST_OK ||
                    sd_json_parse(json, 0, &v, NULL, NULL) < 0 ||
                    sd_json_variant_set_field_integer(&v, "exitCode", exit_code) < 0)
                        return report_error(VERIFY_INTERNAL, "no-memory", NULL, "out of memory");
                print_json(v);
                return printed(exit_code);
        }
        printf("  %-8s %-30s %-24s %s\n", "", "CLAIM", "EXPECTED", "ACTUAL");
        for (size_t i = 0; i < report->n_rows; i++) {
                print_row(&report->rows[i]);
                rejected += report->rows[i].verdict == KCORE_VERDICT_REJECTED;
        }
        if (report->accepted)
                printf("\n%sThe token is accepted.%s\n", color(stdout, ANSI_GREEN), color(stdout, ANSI_NORMAL));
        else
                printf("\n%sThe token is rejected: %zu claim%s.%s\n", color(stdout, ANSI_RED), rejected,
                       rejected == 1 ? "" : "s", color(stdout, ANSI_NORMAL));
        return printed(exit_code);
}

int verify_token(const struct verify_arguments *a, const uint8_t *data, size_t size) {
        _cleanup_(reference_freep) struct kcore_reference *reference = NULL;
        _cleanup_(identity_freep) struct kcore_identity *identity = NULL;
        _cleanup_(report_freep) struct kcore_report *report = NULL;
        _cleanup_(token_freep) struct kcore_token *token = NULL;
        _cleanup_(key_freep) struct kcore_key *key = NULL;
        struct kcore_attest_detail d = {};
        enum kcore_attest_error e;
        uint8_t challenge[64];
        int r;

        if (expected_challenge(a, challenge) < 0)
                return report_error(VERIFY_INTERNAL, "crypto-failed", NULL, "SHA-512 is not available");
        r = read_reference(a->reference, &reference);
        if (r == 0)
                r = a->platform ? read_identity(a, &identity) : read_key(a->platform_key, &key);
        if (r != 0)
                return r;

        e = kcore_token_parse(data, size, &token, &d);
        if (e == KCORE_ATTEST_NO_MEMORY || e == KCORE_ATTEST_CRYPTO_FAILED)
                return report_error(VERIFY_INTERNAL, kcore_attest_error_name(e), NULL, "%s", kcore_attest_strerror(e));
        if (e != KCORE_ATTEST_OK)
                return report_error(
                                is_unsupported(e) ? VERIFY_UNSUPPORTED : VERIFY_REJECTED, kcore_attest_error_name(e), NULL,
                                "the token is rejected: %s: %s", d.where, kcore_attest_strerror(e));

        e = kcore_appraise(
                        &(struct kcore_appraisal) {
                                .token = token,
                                .platform_key = key,
                                .identity = identity,
                                .reference = reference,
                                .nonce = a->nonce_size > 0 ? challenge : NULL,
                                .nonce_size = sizeof(challenge),
                                .any_nonce = a->insecure,
                                .any_identity = a->insecure,
                        },
                        &report);
        if (e != KCORE_ATTEST_OK)
                return report_error(VERIFY_INTERNAL, kcore_attest_error_name(e), NULL, "%s", kcore_attest_strerror(e));
        return print_report(report);
}
