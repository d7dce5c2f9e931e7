/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reference values, and whether a claim meets one. */

#include <systemd/sd-json.h>

#include "kcore-attest.h"

/* The form of a reference value. Any of them may also be a list, of which one must match, or {"any": true}; an
 * integer may be {"min": N, "max": N} with either left out. */
enum form {
        FORM_HEX,       /* string of hexadecimal digits */
        FORM_TEXT,      /* string */
        FORM_INTEGER,   /* unsigned */
        FORM_BOOLEAN,
        FORM_LIFECYCLE, /* name of a range, or number */
};

struct kcore_reference {
        sd_json_variant *json; /* checked against the schema */
};

/* The actual value of a claim, in the form of its reference values. */
struct actual {
        enum form form;
        const uint8_t *data; /* FORM_HEX */
        size_t size;
        const char *text; /* FORM_TEXT */
        uint64_t value;   /* the others */
};

/* The value at a path of names from the top; the last may be NULL. NULL if there is none. */
sd_json_variant *reference_find(const struct kcore_reference *r, const char *a, const char *b, const char *c);

bool reference_matches(sd_json_variant *value, const struct actual *actual);
bool reference_is_any(sd_json_variant *value);

/* A reference value as people read it: "a or b", "any", "at least 2". NULL without memory. */
char *reference_describe(sd_json_variant *value);
char *actual_describe(const struct actual *actual);
