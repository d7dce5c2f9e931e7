/* SPDX-License-Identifier: Apache-2.0 */
/* docs/reference-values.schema.json, in C: what is not in these tables is refused, so that a misspelt name can not
 * pass for a value that was never set. */
#include "reference.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detail.h"

#define ALTERNATIVES_MAX 64
#define TEXT_MAX 255

struct field {
        const char *name;
        enum form form;
        size_t sizes[3]; /* FORM_HEX: bytes it may have; none: any number */
};

static const struct field platform_fields[] = {
        { "identityRoot", FORM_HEX, { 32 } },
        { "profile", FORM_TEXT },
        { "implementationId", FORM_HEX, { 32 } },
        { "instanceId", FORM_HEX, { 33 } },
        { "configuration", FORM_HEX },
        { "lifecycle", FORM_LIFECYCLE },
        {},
};
static const struct field component_fields[] = {
        { "type", FORM_TEXT },
        { "version", FORM_TEXT },
        { "measurement", FORM_HEX, { 32, 48, 64 } },
        { "signerId", FORM_HEX, { 32, 48, 64 } },
        {},
};
static const struct field realm_fields[] = {
        { "profile", FORM_TEXT },
        { "personalizationValue", FORM_HEX, { 64 } },
        { "hashAlgorithm", FORM_TEXT },
        { "initialMeasurement", FORM_HEX, { 32, 48, 64 } },
        { "policySigner", FORM_HEX, { 32 } },
        {},
};
static const struct field measurement_field = { "extensibleMeasurements", FORM_HEX, { 32, 48, 64 } };
static const struct field policy_fields[] = {
        { "debug", FORM_BOOLEAN },
        { "snapshots", FORM_BOOLEAN },
        { "maxVcpus", FORM_INTEGER },
        { "maxPrivateGranules", FORM_INTEGER },
        { "maxSharedGranules", FORM_INTEGER },
        { "minVersion", FORM_INTEGER },
        { "imageId", FORM_HEX, { 32 } },
        {},
};

/* ---- Single values -------------------------------------------------------------------------------------- */

static bool hex_ok(const char *s, const struct field *f) {
        size_t n = strlen(s);

        for (size_t i = 0; i < n; i++)
                if (!isxdigit((unsigned char) s[i]))
                        return false;
        if (n % 2 != 0 || n > 2 * KCORE_CONFIGURATION_MAX)
                return false;
        for (size_t i = 0; i < 3 && f->sizes[i] > 0; i++)
                if (n == 2 * f->sizes[i])
                        return true;
        return f->sizes[0] == 0;
}

static bool lifecycle_ok(sd_json_variant *v) {
        if (sd_json_variant_is_unsigned(v))
                return sd_json_variant_unsigned(v) <= UINT16_MAX;
        if (!sd_json_variant_is_string(v))
                return false;
        for (uint32_t state = 0; state <= 0x6000; state += 0x1000)
                if (strcmp(sd_json_variant_string(v), kcore_lifecycle_name((uint16_t) state)) == 0)
                        return true;
        return false;
}

static bool single_ok(sd_json_variant *v, const struct field *f) {
        switch (f->form) {
        case FORM_HEX:
                return sd_json_variant_is_string(v) && hex_ok(sd_json_variant_string(v), f);
        case FORM_TEXT:
                return sd_json_variant_is_string(v) && strlen(sd_json_variant_string(v)) <= TEXT_MAX;
        case FORM_INTEGER:
                return sd_json_variant_is_unsigned(v);
        case FORM_BOOLEAN:
                return sd_json_variant_is_boolean(v);
        case FORM_LIFECYCLE:
                return lifecycle_ok(v);
        }
        return false;
}

bool reference_is_any(sd_json_variant *v) {
        sd_json_variant *any;

        if (!v || !sd_json_variant_is_object(v) || sd_json_variant_elements(v) != 2)
                return false;
        any = sd_json_variant_by_key(v, "any");
        return any && sd_json_variant_is_boolean(any) && sd_json_variant_boolean(any);
}

/* Elements of an object are its names and values. */
static bool range_ok(sd_json_variant *v) {
        size_t known = 0;

        for (size_t i = 0; i < 2; i++) {
                sd_json_variant *bound = sd_json_variant_by_key(v, i == 0 ? "min" : "max");

                if (!bound)
                        continue;
                if (!sd_json_variant_is_unsigned(bound))
                        return false;
                known++;
        }
        return known > 0 && sd_json_variant_elements(v) == 2 * known;
}

static bool value_ok(sd_json_variant *v, const struct field *f) {
        if (sd_json_variant_is_array(v)) {
                size_t n = sd_json_variant_elements(v);

                for (size_t i = 0; i < n; i++)
                        if (!single_ok(sd_json_variant_by_index(v, i), f))
                                return false;
                return n > 0 && n <= ALTERNATIVES_MAX;
        }
        if (sd_json_variant_is_object(v))
                return reference_is_any(v) || (f->form == FORM_INTEGER && range_ok(v));
        return single_ok(v, f);
}

/* ---- The schema ----------------------------------------------------------------------------------------- */

/* What an object may hold beside its fields; each is checked by itself. */
typedef enum kcore_attest_error (*special_t)(sd_json_variant *v, const char *path, struct kcore_attest_detail *detail);
struct special {
        const char *name;
        special_t check;
};

static enum kcore_attest_error object_check(
                sd_json_variant *v,
                const char *path,
                const struct field *fields,
                const struct special *specials,
                struct kcore_attest_detail *detail) {

        size_t n;

        if (!sd_json_variant_is_object(v))
                return fail(detail, KCORE_ATTEST_BAD_FIELD, "%s", path);
        n = sd_json_variant_elements(v);
        for (size_t i = 0; i < n; i += 2) {
                const char *name = sd_json_variant_string(sd_json_variant_by_index(v, i));
                sd_json_variant *value = sd_json_variant_by_index(v, i + 1);
                const struct field *f = fields;
                const struct special *s = specials;
                char inner[100];

                (void) snprintf(inner, sizeof(inner), "%s%s%s", path, *path ? "." : "", name);
                for (size_t k = 0; k < i; k += 2)
                        if (strcmp(sd_json_variant_string(sd_json_variant_by_index(v, k)), name) == 0)
                                return fail(detail, KCORE_ATTEST_DUPLICATE_KEY, "%s", inner);
                while (f && f->name && strcmp(f->name, name) != 0)
                        f++;
                if (f && f->name) {
                        if (!value_ok(value, f))
                                return fail(detail, KCORE_ATTEST_BAD_FIELD, "%s", inner);
                        continue;
                }
                while (s && s->name && strcmp(s->name, name) != 0)
                        s++;
                if (!s || !s->name)
                        return fail(detail, KCORE_ATTEST_UNKNOWN_FIELD, "%s", inner);
                enum kcore_attest_error e = s->check(value, inner, detail);
                if (e != KCORE_ATTEST_OK)
                        return e;
        }
        return KCORE_ATTEST_OK;
}

static enum kcore_attest_error components_check(sd_json_variant *v, const char *path, struct kcore_attest_detail *detail) {
        size_t n;

        if (!sd_json_variant_is_array(v))
                return fail(detail, KCORE_ATTEST_BAD_FIELD, "%s", path);
        n = sd_json_variant_elements(v);
        if (n == 0 || n > KCORE_COMPONENTS_MAX)
                return fail(detail, KCORE_ATTEST_BAD_FIELD, "%s", path);
        for (size_t i = 0; i < n; i++) {
                enum kcore_attest_error e;
                char inner[100];

                (void) snprintf(inner, sizeof(inner), "%.80s[%zu]", path, i);
                e = object_check(sd_json_variant_by_index(v, i), inner, component_fields, NULL, detail);
                if (e != KCORE_ATTEST_OK)
                        return e;
        }
        return KCORE_ATTEST_OK;
}

static enum kcore_attest_error measurements_check(sd_json_variant *v, const char *path, struct kcore_attest_detail *detail) {
        if (!sd_json_variant_is_array(v) || sd_json_variant_elements(v) != KCORE_REMS)
                return fail(detail, KCORE_ATTEST_BAD_FIELD, "%s", path);
        for (size_t i = 0; i < KCORE_REMS; i++)
                if (!value_ok(sd_json_variant_by_index(v, i), &measurement_field))
                        return fail(detail, KCORE_ATTEST_BAD_FIELD, "%s[%zu]", path, i);
        return KCORE_ATTEST_OK;
}

static enum kcore_attest_error policy_check(sd_json_variant *v, const char *path, struct kcore_attest_detail *detail) {
        return object_check(v, path, policy_fields, NULL, detail);
}

static enum kcore_attest_error platform_check(sd_json_variant *v, const char *path, struct kcore_attest_detail *detail) {
        static const struct special specials[] = { { "softwareComponents", components_check }, {} };

        return object_check(v, path, platform_fields, specials, detail);
}

static enum kcore_attest_error realm_check(sd_json_variant *v, const char *path, struct kcore_attest_detail *detail) {
        static const struct special specials[] = {
                { "extensibleMeasurements", measurements_check }, { "policy", policy_check }, {},
        };

        return object_check(v, path, realm_fields, specials, detail);
}

static enum kcore_attest_error version_check(sd_json_variant *v, const char *path, struct kcore_attest_detail *detail) {
        if (!sd_json_variant_is_unsigned(v) || sd_json_variant_unsigned(v) != 1)
                return fail(detail, KCORE_ATTEST_BAD_FIELD, "%s", path);
        return KCORE_ATTEST_OK;
}

static enum kcore_attest_error text_check(sd_json_variant *v, const char *path, struct kcore_attest_detail *detail) {
        if (!sd_json_variant_is_string(v))
                return fail(detail, KCORE_ATTEST_BAD_FIELD, "%s", path);
        return KCORE_ATTEST_OK;
}

enum kcore_attest_error kcore_reference_parse(
                const char *json, size_t size, struct kcore_reference **ret, struct kcore_attest_detail *detail) {

        static const struct special specials[] = {
                { "$schema", text_check },     { "version", version_check }, { "description", text_check },
                { "platform", platform_check }, { "realm", realm_check },    {},
        };
        static const char *const needed[] = { "version", "platform", "realm" };
        struct kcore_reference *r;
        sd_json_variant *v = NULL;
        enum kcore_attest_error e;
        unsigned line = 0, column = 0;
        char *text;

        if (size > KCORE_REFERENCE_MAX)
                return fail(detail, KCORE_ATTEST_TOO_LARGE, "reference values");
        if (memchr(json, 0, size))
                return fail(detail, KCORE_ATTEST_NOT_JSON, "reference values");
        text = strndup(json, size);
        r = calloc(1, sizeof(*r));
        if (!text || !r) {
                free(text);
                free(r);
                return fail(detail, KCORE_ATTEST_NO_MEMORY, "reference values");
        }
        if (sd_json_parse(text, 0, &v, &line, &column) < 0) {
                e = fail(detail, KCORE_ATTEST_NOT_JSON, "reference values, line %u, column %u", line, column);
                goto finish;
        }
        e = object_check(v, "", NULL, specials, detail);
        for (size_t i = 0; e == KCORE_ATTEST_OK && i < sizeof(needed) / sizeof(needed[0]); i++)
                if (!sd_json_variant_by_key(v, needed[i]))
                        e = fail(detail, KCORE_ATTEST_MISSING_FIELD, "%s", needed[i]);
        if (e == KCORE_ATTEST_OK) {
                r->json = sd_json_variant_ref(v);
                *ret = r;
                r = NULL;
        }
finish:
        sd_json_variant_unref(v);
        free(text);
        free(r);
        return e;
}

void kcore_reference_free(struct kcore_reference *reference) {
        if (!reference)
                return;
        sd_json_variant_unref(reference->json);
        free(reference);
}

/* ---- Use ------------------------------------------------------------------------------------------------ */

sd_json_variant *reference_find(const struct kcore_reference *r, const char *a, const char *b, const char *c) {
        sd_json_variant *v = sd_json_variant_by_key(r->json, a);

        if (v && b)
                v = sd_json_variant_by_key(v, b);
        if (v && c)
                v = sd_json_variant_by_key(v, c);
        return v;
}

static bool hex_matches(const char *s, const uint8_t *data, size_t size) {
        if (strlen(s) != 2 * size)
                return false;
        for (size_t i = 0; i < size; i++) {
                char pair[3];

                (void) snprintf(pair, sizeof(pair), "%02x", data[i]);
                if (tolower((unsigned char) s[2 * i]) != pair[0] || tolower((unsigned char) s[2 * i + 1]) != pair[1])
                        return false;
        }
        return true;
}

static bool single_matches(sd_json_variant *v, const struct actual *a) {
        switch (a->form) {
        case FORM_HEX:
                return hex_matches(sd_json_variant_string(v), a->data, a->size);
        case FORM_TEXT:
                return strcmp(sd_json_variant_string(v), a->text) == 0;
        case FORM_INTEGER:
                return sd_json_variant_unsigned(v) == a->value;
        case FORM_BOOLEAN:
                return sd_json_variant_boolean(v) == (a->value != 0);
        case FORM_LIFECYCLE:
                if (sd_json_variant_is_string(v))
                        return strcmp(sd_json_variant_string(v), kcore_lifecycle_name((uint16_t) a->value)) == 0;
                return sd_json_variant_unsigned(v) == a->value;
        }
        return false;
}

bool reference_matches(sd_json_variant *value, const struct actual *actual) {
        sd_json_variant *min, *max;

        if (sd_json_variant_is_array(value)) {
                for (size_t i = 0; i < sd_json_variant_elements(value); i++)
                        if (single_matches(sd_json_variant_by_index(value, i), actual))
                                return true;
                return false;
        }
        if (!sd_json_variant_is_object(value))
                return single_matches(value, actual);
        if (reference_is_any(value))
                return true;
        min = sd_json_variant_by_key(value, "min");
        max = sd_json_variant_by_key(value, "max");
        return (!min || actual->value >= sd_json_variant_unsigned(min)) &&
                (!max || actual->value <= sd_json_variant_unsigned(max));
}

static int print_single(FILE *f, sd_json_variant *v) {
        if (sd_json_variant_is_string(v))
                return fputs(sd_json_variant_string(v), f);
        if (sd_json_variant_is_boolean(v))
                return fputs(sd_json_variant_boolean(v) ? "yes" : "no", f);
        return fprintf(f, "%" PRIu64, sd_json_variant_unsigned(v));
}

char *reference_describe(sd_json_variant *value) {
        sd_json_variant *min, *max;
        char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        if (sd_json_variant_is_array(value))
                for (size_t i = 0; i < sd_json_variant_elements(value); i++) {
                        if (i > 0)
                                (void) fputs(" or ", f);
                        (void) print_single(f, sd_json_variant_by_index(value, i));
                }
        else if (!sd_json_variant_is_object(value))
                (void) print_single(f, value);
        else if (reference_is_any(value))
                (void) fputs("any", f);
        else {
                min = sd_json_variant_by_key(value, "min");
                max = sd_json_variant_by_key(value, "max");
                if (min)
                        (void) fprintf(f, "at least %" PRIu64, sd_json_variant_unsigned(min));
                if (max)
                        (void) fprintf(f, "%sat most %" PRIu64, min ? ", " : "", sd_json_variant_unsigned(max));
        }
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

char *actual_describe(const struct actual *a) {
        char *text = NULL;

        switch (a->form) {
        case FORM_HEX:
                text = malloc(2 * a->size + 1);
                if (text) {
                        text[0] = 0;
                        for (size_t i = 0; i < a->size; i++)
                                (void) snprintf(text + 2 * i, 3, "%02x", a->data[i]);
                }
                return text;
        case FORM_TEXT:
                return strdup(a->text);
        case FORM_BOOLEAN:
                return strdup(a->value ? "yes" : "no");
        case FORM_INTEGER:
                return asprintf(&text, "%" PRIu64, a->value) < 0 ? NULL : text;
        case FORM_LIFECYCLE:
                return asprintf(&text, "%s (0x%04" PRIx64 ")", kcore_lifecycle_name((uint16_t) a->value), a->value) < 0 ?
                        NULL :
                        text;
        }
        return NULL;
}
