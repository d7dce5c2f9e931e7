/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What all guests use at one moment, for "top" and "metrics". */

#include "kcorectl.h"

struct guest_sample {
        char name[64];
        char status[16];
        uint64_t created_usec, ended_usec;
        uint64_t vcpus, memory;
        /* Of a guest that is alive; else 0. */
        bool has_realm;
        uint64_t cpu_usec, exits;
        uint64_t private_bytes, shared_bytes, table_bytes;
};

struct sample {
        uint64_t time_usec; /* CLOCK_MONOTONIC */
        size_t n;
        struct guest_sample *guests;
};

void sample_done(struct sample *s);
/* Asks for all guests and describes each. Returns 0, or an exit code after telling the error. */
int sample_take(sd_varlink *link, struct sample *ret);

/* Between two samples; 0 for a guest that was not in the first one. */
struct guest_rates {
        double cpu_percent; /* of one CPU */
        double exits;       /* per second */
};
struct guest_rates sample_rates(const struct sample *before, const struct sample *now, const struct guest_sample *g);

/* An array, an object for each guest; with rates if before is not NULL. */
int sample_to_json(const struct sample *before, const struct sample *now, sd_json_variant **ret);
