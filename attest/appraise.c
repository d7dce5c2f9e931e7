/* SPDX-License-Identifier: Apache-2.0 */
/* A token against reference values: one row of the report for each claim. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "detail.h"
#include "reference.h"
#include "token.h"

struct appraiser {
        const struct kcore_appraisal *in;
        struct kcore_report *report;
        bool trusted;   /* signatures and binding hold: claims are worth comparing */
        bool no_memory;
};

/* ---- Rows ----------------------------------------------------------------------------------------------- */

/* Takes expected and actual; a string that is missing is memory that was. */
static void row(
                struct appraiser *a, const char *section, const char *claim, char *expected, char *actual,
                enum kcore_verdict verdict, const char *format, ...) __attribute__((format(printf, 7, 8)));
static void row(
                struct appraiser *a, const char *section, const char *claim, char *expected, char *actual,
                enum kcore_verdict verdict, const char *format, ...) {

        struct kcore_report_row *rows;
        char *reason = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&reason, format, ap) < 0)
                reason = NULL;
        va_end(ap);
        rows = reallocarray(a->report->rows, a->report->n_rows + 1, sizeof(*rows));
        if (rows)
                a->report->rows = rows;
        if (!rows || !expected || !actual || !reason) {
                a->no_memory = true;
                free(expected);
                free(actual);
                free(reason);
                return;
        }
        rows[a->report->n_rows++] = (struct kcore_report_row) {
                .section = section,
                .claim = claim,
                .expected = expected,
                .actual = actual,
                .verdict = verdict,
                .reason = reason,
        };
}

/* Is the claim what the reference value says? */
static void judge(
                struct appraiser *a, const char *section, const char *claim, sd_json_variant *value,
                const struct actual *actual) {

        char *expected = value ? reference_describe(value) : strdup("");
        char *have = actual_describe(actual);

        if (!a->trusted)
                row(a, section, claim, expected, have, KCORE_VERDICT_NOT_JUDGED, "nothing vouches for the token");
        else if (!value)
                row(a, section, claim, expected, have, KCORE_VERDICT_REJECTED, "there is no reference value");
        else if (!reference_matches(value, actual))
                row(a, section, claim, expected, have, KCORE_VERDICT_REJECTED, "differs from the reference value");
        else if (reference_is_any(value))
                row(a, section, claim, expected, have, KCORE_VERDICT_ACCEPTED, "the reference values accept any");
        else
                row(a, section, claim, expected, have, KCORE_VERDICT_ACCEPTED, "as expected");
}

static void judge_hex(
                struct appraiser *a, const char *section, const char *claim, sd_json_variant *value, const uint8_t *data,
                size_t size) {
        judge(a, section, claim, value, &(struct actual) { .form = FORM_HEX, .data = data, .size = size });
}

static void judge_text(
                struct appraiser *a, const char *section, const char *claim, sd_json_variant *value, const char *text) {
        judge(a, section, claim, value, &(struct actual) { .form = FORM_TEXT, .text = text });
}

static void judge_number(
                struct appraiser *a, const char *section, const char *claim, sd_json_variant *value, enum form form,
                uint64_t number) {
        judge(a, section, claim, value, &(struct actual) { .form = form, .value = number });
}

static void inform(struct appraiser *a, const char *section, const char *claim, const char *text, const char *reason) {
        row(a, section, claim, strdup(""), strdup(text), KCORE_VERDICT_INFORMATION, "%s", reason);
}

/* ---- Who vouches ---------------------------------------------------------------------------------------- */

static char *key_describe(const struct kcore_key *key) {
        uint8_t thumbprint[32];
        char *hex, *text = NULL;

        if (kcore_key_thumbprint(key, thumbprint) != KCORE_ATTEST_OK)
                return NULL;
        hex = actual_describe(&(struct actual) { .form = FORM_HEX, .data = thumbprint, .size = sizeof(thumbprint) });
        if (hex && asprintf(&text, "%s %s", kcore_key_type_name(key), hex) < 0)
                text = NULL;
        free(hex);
        return text;
}

/* Returns whether the identity may speak for its platform key. */
static bool identity_judge(struct appraiser *a) {
        const struct kcore_identity *id = a->in->identity;
        const struct kcore_identity_claims *c = kcore_identity_claims(id);
        struct kcore_attest_detail detail;
        enum kcore_attest_error e;
        char *actual = NULL;
        size_t n;

        if (asprintf(&actual, "%zu certificate%s", c->n_entries, c->n_entries == 1 ? "" : "s") < 0)
                actual = NULL;
        e = kcore_identity_verify(id, &detail);
        if (e == KCORE_ATTEST_NO_CHAIN && a->in->any_identity) {
                row(a, "identity", "chain", strdup(""), actual, KCORE_VERDICT_INFORMATION,
                    "%s; taken as it is, as the caller asked", kcore_attest_strerror(e));
                return true;
        }
        if (e != KCORE_ATTEST_OK) {
                row(a, "identity", "chain", strdup(""), actual, KCORE_VERDICT_REJECTED, "%s: %s", detail.where,
                    kcore_attest_strerror(e));
                return false;
        }
        row(a, "identity", "chain", strdup(""), actual, KCORE_VERDICT_ACCEPTED, "all signatures are good");

        /* The root is what the chain hangs on. */
        n = a->report->n_rows;
        a->trusted = true;
        judge_hex(a, "identity", "identityRoot", reference_find(a->in->reference, "platform", "identityRoot", NULL),
                  c->root, sizeof(c->root));
        a->trusted = false;
        return a->report->n_rows > n && a->report->rows[n].verdict == KCORE_VERDICT_ACCEPTED;
}

/* Signatures and binding, as kcore_token_verify(), with a row for each. */
static void token_judge(struct appraiser *a) {
        const struct kcore_token *t = a->in->token;
        const struct kcore_key *key;
        struct kcore_attest_detail detail;
        enum kcore_attest_error e;
        bool vouched = true;

        key = a->in->platform_key ?: kcore_identity_platform_key(a->in->identity);
        if (a->in->identity)
                vouched = identity_judge(a);
        e = kcore_token_verify(t, key, &detail);
        a->trusted = vouched && e == KCORE_ATTEST_OK;
        if (e != KCORE_ATTEST_OK)
                row(a, "platform", "signature", key_describe(key), strdup(algorithm_name(t->platform_sign1.algorithm)),
                    KCORE_VERDICT_REJECTED, "%s: %s", detail.where, kcore_attest_strerror(e));
        else
                row(a, "platform", "signature", key_describe(key), strdup(algorithm_name(t->platform_sign1.algorithm)),
                    vouched ? KCORE_VERDICT_ACCEPTED : KCORE_VERDICT_NOT_JUDGED,
                    vouched ? "both signatures and the binding of the realm's key are good" :
                              "nothing vouches for the platform's key");
}

/* ---- Platform ------------------------------------------------------------------------------------------- */

/* The reference component for one of the token: of those of its type the first that it meets in all, otherwise
 * the first. */
static sd_json_variant *component_find(sd_json_variant *list, const struct kcore_software_component *c, size_t *ret_index) {
        sd_json_variant *found = NULL;
        const struct actual fields[] = {
                { .form = FORM_TEXT, .text = c->version },
                { .form = FORM_HEX, .data = c->measurement.data, .size = c->measurement.size },
                { .form = FORM_HEX, .data = c->signer.data, .size = c->signer.size },
        };
        static const char *const names[] = { "version", "measurement", "signerId" };

        for (size_t i = 0; list && i < sd_json_variant_elements(list); i++) {
                sd_json_variant *entry = sd_json_variant_by_index(list, i), *v = sd_json_variant_by_key(entry, "type");
                bool all = true;

                if (!v || !reference_matches(v, &(struct actual) { .form = FORM_TEXT, .text = c->type }))
                        continue;
                for (size_t k = 0; k < 3; k++) {
                        v = sd_json_variant_by_key(entry, names[k]);
                        all = all && v && reference_matches(v, &fields[k]);
                }
                if (all || !found) {
                        found = entry;
                        *ret_index = i;
                }
                if (all)
                        break;
        }
        return found;
}

static void components_judge(struct appraiser *a, const struct kcore_platform_claims *p) {
        sd_json_variant *list = reference_find(a->in->reference, "platform", "softwareComponents", NULL);
        bool met[KCORE_COMPONENTS_MAX] = {};

        for (size_t i = 0; i < p->n_components; i++) {
                const struct kcore_software_component *c = &p->components[i];
                sd_json_variant *entry;
                size_t index = 0;

                entry = component_find(list, c, &index);
                if (entry)
                        met[index] = true;
                judge_text(a, "platform", "softwareComponents.type", entry ? sd_json_variant_by_key(entry, "type") : NULL,
                           c->type);
                if (!entry)
                        continue; /* rejected: nothing is known of such a component */
                judge_text(a, "platform", "softwareComponents.version", sd_json_variant_by_key(entry, "version"), c->version);
                judge_hex(a, "platform", "softwareComponents.measurement", sd_json_variant_by_key(entry, "measurement"),
                          c->measurement.data, c->measurement.size);
                judge_hex(a, "platform", "softwareComponents.signerId", sd_json_variant_by_key(entry, "signerId"),
                          c->signer.data, c->signer.size);
        }
        for (size_t i = 0; list && i < sd_json_variant_elements(list); i++) {
                sd_json_variant *type = sd_json_variant_by_key(sd_json_variant_by_index(list, i), "type");

                if (!met[i])
                        row(a, "platform", "softwareComponents", type ? reference_describe(type) : strdup(""), strdup(""),
                            a->trusted ? KCORE_VERDICT_REJECTED : KCORE_VERDICT_NOT_JUDGED,
                            "the token has no such component");
        }
}

static void platform_judge(struct appraiser *a) {
        const struct kcore_platform_claims *p = &a->in->token->platform;
        const struct kcore_reference *r = a->in->reference;
        static const char section[] = "platform";

        judge_text(a, section, "profile", reference_find(r, section, "profile", NULL), p->profile);
        judge_hex(a, section, "implementationId", reference_find(r, section, "implementationId", NULL),
                  p->implementation_id, sizeof(p->implementation_id));
        judge_hex(a, section, "instanceId", reference_find(r, section, "instanceId", NULL), p->instance_id,
                  sizeof(p->instance_id));
        judge_hex(a, section, "configuration", reference_find(r, section, "configuration", NULL), p->configuration,
                  p->configuration_size);
        judge_number(a, section, "lifecycle", reference_find(r, section, "lifecycle", NULL), FORM_LIFECYCLE, p->lifecycle);
        components_judge(a, p);
        if (*p->service)
                inform(a, section, "verificationService", p->service, "a hint");
        if (p->n_unknown > 0)
                inform(a, section, "otherClaims", "present", "claims that are not known were not looked at");
}

/* ---- Realm ---------------------------------------------------------------------------------------------- */

static void challenge_judge(struct appraiser *a, const struct kcore_realm_claims *c) {
        char *actual = actual_describe(
                        &(struct actual) { .form = FORM_HEX, .data = c->challenge, .size = sizeof(c->challenge) });
        uint8_t want[sizeof(c->challenge)] = {};
        char *expected;

        if (!a->in->nonce) {
                bool any = a->in->any_nonce;

                row(a, "realm", "challenge", strdup(any ? "any" : ""), actual,
                    !any           ? KCORE_VERDICT_REJECTED :
                        a->trusted ? KCORE_VERDICT_INFORMATION :
                                     KCORE_VERDICT_NOT_JUDGED,
                    any ? "not compared, as the caller asked: the token may be an old one" :
                          "no nonce was given, so that the token may be an old one");
                return;
        }
        memcpy(want, a->in->nonce, a->in->nonce_size);
        expected = actual_describe(&(struct actual) { .form = FORM_HEX, .data = want, .size = sizeof(want) });
        if (!a->trusted)
                row(a, "realm", "challenge", expected, actual, KCORE_VERDICT_NOT_JUDGED, "nothing vouches for the token");
        else if (CRYPTO_memcmp(want, c->challenge, sizeof(want)) != 0)
                row(a, "realm", "challenge", expected, actual, KCORE_VERDICT_REJECTED,
                    "not the nonce: the token was made for another request");
        else
                row(a, "realm", "challenge", expected, actual, KCORE_VERDICT_ACCEPTED, "the token is fresh");
}

static void policy_judge(struct appraiser *a, const struct kcore_realm_claims *c) {
        sd_json_variant *want = reference_find(a->in->reference, "realm", "policy", NULL);
        sd_json_variant *signer = reference_find(a->in->reference, "realm", "policySigner", NULL);
        struct kcore_launch_policy p = {};

        if (!c->has_policy) {
                if (want || signer)
                        row(a, "realm", "policy", strdup("a launch policy"), strdup("none"),
                            a->trusted ? KCORE_VERDICT_REJECTED : KCORE_VERDICT_NOT_JUDGED,
                            "the realm was launched without a policy");
                else
                        inform(a, "realm", "policy", "none", "no policy, and none is expected");
                return;
        }
        (void) kcore_launch_policy_parse(c->policy_bytes, &p); /* was checked when the token was parsed */
#define POLICY(name) (want ? sd_json_variant_by_key(want, name) : NULL)
        judge_number(a, "realm", "policy.debug", POLICY("debug"), FORM_BOOLEAN, p.flags & KCORE_LAUNCH_FLAG_DEBUG);
        judge_number(a, "realm", "policy.snapshots", POLICY("snapshots"), FORM_BOOLEAN, p.flags & KCORE_LAUNCH_FLAG_SNAPSHOTS);
        judge_number(a, "realm", "policy.maxVcpus", POLICY("maxVcpus"), FORM_INTEGER, p.max_vcpus);
        judge_number(a, "realm", "policy.maxPrivateGranules", POLICY("maxPrivateGranules"), FORM_INTEGER, p.max_private);
        judge_number(a, "realm", "policy.maxSharedGranules", POLICY("maxSharedGranules"), FORM_INTEGER, p.max_shared);
        judge_number(a, "realm", "policy.minVersion", POLICY("minVersion"), FORM_INTEGER, p.min_version);
        judge_hex(a, "realm", "policy.imageId", POLICY("imageId"), p.image_id, sizeof(p.image_id));
#undef POLICY
        judge_hex(a, "realm", "policySigner", signer, c->policy_signer, sizeof(c->policy_signer));
}

static void realm_judge(struct appraiser *a) {
        const struct kcore_realm_claims *c = &a->in->token->realm;
        const struct kcore_reference *r = a->in->reference;
        sd_json_variant *rems = reference_find(r, "realm", "extensibleMeasurements", NULL);
        static const char *const names[KCORE_REMS] = {
                "extensibleMeasurements[0]",
                "extensibleMeasurements[1]",
                "extensibleMeasurements[2]",
                "extensibleMeasurements[3]",
        };
        static const char section[] = "realm";

        challenge_judge(a, c);
        judge_text(a, section, "profile", reference_find(r, section, "profile", NULL), c->profile);
        judge_hex(a, section, "personalizationValue", reference_find(r, section, "personalizationValue", NULL),
                  c->personalization, sizeof(c->personalization));
        judge_text(a, section, "hashAlgorithm", reference_find(r, section, "hashAlgorithm", NULL), c->hash);
        judge_hex(a, section, "initialMeasurement", reference_find(r, section, "initialMeasurement", NULL), c->rim.data,
                  c->rim.size);
        for (size_t i = 0; i < KCORE_REMS; i++)
                judge_hex(a, section, names[i], rems ? sd_json_variant_by_index(rems, i) : NULL, c->rem[i].data,
                          c->rem[i].size);
        policy_judge(a, c);
        if (c->n_unknown > 0)
                inform(a, section, "otherClaims", "present", "claims that are not known were not looked at");
}

/* ---- The report ----------------------------------------------------------------------------------------- */

enum kcore_attest_error kcore_appraise(const struct kcore_appraisal *appraisal, struct kcore_report **ret) {
        struct appraiser a = { .in = appraisal };

        if (!appraisal->platform_key == !appraisal->identity || appraisal->nonce_size > 64)
                return KCORE_ATTEST_WRONG_VALUE;
        a.report = calloc(1, sizeof(*a.report));
        if (!a.report)
                return KCORE_ATTEST_NO_MEMORY;
        token_judge(&a);
        platform_judge(&a);
        realm_judge(&a);
        if (a.no_memory) {
                kcore_report_free(a.report);
                return KCORE_ATTEST_NO_MEMORY;
        }
        a.report->accepted = a.trusted;
        for (size_t i = 0; i < a.report->n_rows; i++)
                if (a.report->rows[i].verdict == KCORE_VERDICT_REJECTED ||
                    a.report->rows[i].verdict == KCORE_VERDICT_NOT_JUDGED)
                        a.report->accepted = false;
        *ret = a.report;
        return KCORE_ATTEST_OK;
}

void kcore_report_free(struct kcore_report *report) {
        if (!report)
                return;
        for (size_t i = 0; i < report->n_rows; i++) {
                free(report->rows[i].expected);
                free(report->rows[i].actual);
                free(report->rows[i].reason);
        }
        free(report->rows);
        free(report);
}

const char *kcore_verdict_name(enum kcore_verdict verdict) {
        switch (verdict) {
        case KCORE_VERDICT_ACCEPTED:
                return "accepted";
        case KCORE_VERDICT_REJECTED:
                return "rejected";
        case KCORE_VERDICT_NOT_JUDGED:
                return "notJudged";
        case KCORE_VERDICT_INFORMATION:
                return "information";
        }
        return "unknown";
}

enum kcore_attest_error kcore_report_to_json(const struct kcore_report *report, char **ret) {
        sd_json_variant *claims = NULL, *v = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < report->n_rows; i++) {
                const struct kcore_report_row *row = &report->rows[i];

                r = sd_json_variant_append_arraybo(
                                &claims,
                                SD_JSON_BUILD_PAIR_STRING("section", row->section),
                                SD_JSON_BUILD_PAIR_STRING("claim", row->claim),
                                SD_JSON_BUILD_PAIR_STRING("expected", row->expected),
                                SD_JSON_BUILD_PAIR_STRING("actual", row->actual),
                                SD_JSON_BUILD_PAIR_STRING("verdict", kcore_verdict_name(row->verdict)),
                                SD_JSON_BUILD_PAIR_STRING("reason", row->reason));
        }
        if (r >= 0)
                r = sd_json_buildo(
                                &v,
                                SD_JSON_BUILD_PAIR_STRING("verdict", report->accepted ? "accepted" : "rejected"),
                                SD_JSON_BUILD_PAIR_VARIANT("claims", claims));
        if (r >= 0)
                r = sd_json_variant_format(v, 0, ret);
        sd_json_variant_unref(claims);
        sd_json_variant_unref(v);
        return r >= 0 ? KCORE_ATTEST_OK : KCORE_ATTEST_NO_MEMORY;
}
