/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence.h"

#include <kcore-attest.h>

struct evidence {
        struct kcore_token *token;
        /* Of the platform, exactly one: */
        struct kcore_key *key;
        struct kcore_identity *identity;
};

void evidence_free(struct evidence *e) {
        if (!e)
                return;
        kcore_token_free(e->token);
        kcore_key_free(e->key);
        kcore_identity_free(e->identity);
        free(e);
}

/* One line for an error of the library, made printable: it may quote the token. */
static int explain(char **ret, int r, const char *what, enum kcore_attest_error error, const struct kcore_attest_detail *detail) {
        if (asprintf(
                            ret, "%s%s%s%s%s", what, *what ? ": " : "", detail ? detail->where : "",
                            detail && detail->where[0] ? ": " : "", kcore_attest_strerror(error)) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return r;
}

/* Loads a platform's file into e: an identity document, or a public key. */
static int load_platform(struct evidence *e, const struct store_file *f, char **ret_reason) {
        struct kcore_attest_detail detail = {};
        enum kcore_attest_error error;

        if (f->kind == STORE_IDENTITY) {
                error = kcore_identity_parse((const uint8_t *) f->data, f->size, &e->identity, &detail);
                error = error ?: kcore_identity_verify(e->identity, &detail);
        } else
                error = kcore_key_parse((const uint8_t *) f->data, f->size, &e->key);
        if (error == KCORE_ATTEST_NO_MEMORY)
                return -ENOMEM;
        if (error != KCORE_ATTEST_OK) {
                char what[KBS_NAME_MAX + 32];

                snprintf(what, sizeof(what), "the file of platform %s", f->name);
                return explain(ret_reason, -EINVAL, what, error, &detail);
        }
        return 0;
}

static void unload_platform(struct evidence *e) {
        kcore_key_free(e->key);
        kcore_identity_free(e->identity);
        e->key = NULL;
        e->identity = NULL;
}

int evidence_new(
                const uint8_t *token,
                size_t size,
                const struct store_files *platforms,
                struct evidence **ret,
                char **ret_reason) {

        struct kcore_attest_detail detail = {};
        enum kcore_attest_error error;
        struct evidence *e;
        int r = 0;

        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        error = kcore_token_parse(token, size, &e->token, &detail);
        if (error != KCORE_ATTEST_OK) {
                r = error == KCORE_ATTEST_NO_MEMORY ? -ENOMEM : explain(ret_reason, 0, "the token", error, &detail);
                goto finish;
        }
        for (size_t i = 0; i < platforms->n; i++) {
                r = load_platform(e, &platforms->items[i], ret_reason);
                if (r < 0)
                        goto finish;
                detail = (struct kcore_attest_detail) {};
                error = kcore_token_verify(e->token, e->key ?: kcore_identity_platform_key(e->identity), &detail);
                if (error == KCORE_ATTEST_OK) {
                        *ret = e;
                        return 1;
                }
                if (error == KCORE_ATTEST_NO_MEMORY) {
                        r = -ENOMEM;
                        goto finish;
                }
                unload_platform(e);
        }
        if (platforms->n == 1)
                r = explain(ret_reason, 0, "the token", error, &detail);
        else if (asprintf(ret_reason, "none of the %zu known platforms signed the token", platforms->n) < 0)
                r = -ENOMEM;
finish:
        evidence_free(e);
        return r;
}

int evidence_appraise(
                const struct evidence *e,
                const struct store_file *reference,
                const uint8_t challenge[static KBS_CHALLENGE_SIZE],
                char **ret_reason) {

        struct kcore_attest_detail detail = {};
        struct kcore_reference *parsed = NULL;
        struct kcore_report *report = NULL;
        enum kcore_attest_error error;
        int r = 0;

        error = kcore_reference_parse(reference->data, reference->size, &parsed, &detail);
        if (error == KCORE_ATTEST_NO_MEMORY)
                return -ENOMEM;
        if (error != KCORE_ATTEST_OK)
                return explain(ret_reason, -EINVAL, "the reference values", error, &detail);
        error = kcore_appraise(
                        &(struct kcore_appraisal) {
                                .token = e->token, .platform_key = e->key, .identity = e->identity, .reference = parsed,
                                .nonce = challenge, .nonce_size = KBS_CHALLENGE_SIZE,
                        },
                        &report);
        kcore_reference_free(parsed);
        if (error != KCORE_ATTEST_OK)
                return -ENOMEM;
        if (report->accepted)
                r = 1;
        else if (asprintf(ret_reason, "not accepted") < 0)
                r = -ENOMEM;
        for (size_t i = 0; r == 0 && i < report->n_rows; i++) {
                const struct kcore_report_row *row = &report->rows[i];

                if (row->verdict != KCORE_VERDICT_REJECTED && row->verdict != KCORE_VERDICT_NOT_JUDGED)
                        continue;
                free(*ret_reason);
                /* What it is, too: who made a mistake in the reference values wants to know. It is no secret. */
                if (asprintf(
                                    ret_reason, "%s %s: %s; it is %.130s", row->section, row->claim, row->reason,
                                    *row->actual ? row->actual : "absent") < 0) {
                        *ret_reason = NULL;
                        r = -ENOMEM;
                }
                break;
        }
        kcore_report_free(report);
        return r;
}
