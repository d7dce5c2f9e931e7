/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include <time.h>

#include "../libkcore/io.kcore.Manager.h"

void sample_done(struct sample *s) {
        free(s->guests);
        *s = (struct sample) {};
}

static bool alive(const char *status) {
        return streq(status, "starting") || streq(status, "running") || streq(status, "stopping");
}

/* A guest may end and be forgotten between two calls: then it is as the list said. */
static int describe(sd_varlink *link, struct guest_sample *g) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        sd_json_variant *reply = NULL, *runtime, *realm;
        const char *error_id = NULL;
        int r;

        r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("name", g->name));
        r = r < 0 ? r : sd_varlink_call(link, METHOD_DESCRIBE, parameters, &reply, &error_id);
        if (r < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "the call to kcoresd failed: %s", strerror(-r));
        if (error_id)
                return streq(error_id, ERROR_NO_SUCH_GUEST) ? 0 : client_report(error_id, reply);
        runtime = sd_json_variant_by_key(reply, "runtime");
        realm = runtime ? sd_json_variant_by_key(runtime, "realm") : NULL;
        g->cpu_usec = field_unsigned(runtime, "cpuUSec");
        g->has_realm = realm != NULL;
        g->exits = field_unsigned(realm, "exits");
        g->private_bytes = field_unsigned(realm, "donatedPages") * 4096;
        g->shared_bytes = field_unsigned(realm, "sharedPages") * 4096;
        g->table_bytes = field_unsigned(realm, "tablePages") * 4096;
        return 0;
}

int sample_take(sd_varlink *link, struct sample *ret) {
        struct sample s = { .time_usec = now_usec(CLOCK_MONOTONIC) };
        sd_json_variant *reply, *guests;
        int r;

        r = client_call(link, METHOD_LIST, NULL, &reply);
        if (r != 0)
                return r;
        guests = sd_json_variant_by_key(reply, "guests");
        s.guests = calloc(sd_json_variant_elements(guests) + 1, sizeof(*s.guests));
        if (!s.guests)
                return report_error(EXIT_FAILED, "Error", NULL, "out of memory");
        for (size_t i = 0; i < sd_json_variant_elements(guests); i++) {
                sd_json_variant *state = sd_json_variant_by_index(guests, i), *g = sd_json_variant_by_key(state, "guest");
                struct guest_sample *x = &s.guests[s.n++];

                snprintf(x->name, sizeof(x->name), "%s", field_string(g, "name"));
                snprintf(x->status, sizeof(x->status), "%s", field_string(state, "status"));
                x->created_usec = field_unsigned(state, "createdUSec");
                x->ended_usec = field_unsigned(state, "endedUSec");
                x->vcpus = field_unsigned(g, "vcpus");
                x->memory = field_unsigned(g, "memory");
        }
        for (size_t i = 0; i < s.n; i++) {
                r = alive(s.guests[i].status) ? describe(link, &s.guests[i]) : 0;
                if (r != 0) {
                        sample_done(&s);
                        return r;
                }
        }
        *ret = s;
        return 0;
}

/* The same launch in an earlier sample, or NULL. */
static const struct guest_sample *find(const struct sample *s, const struct guest_sample *g) {
        for (size_t i = 0; i < s->n; i++)
                if (streq(s->guests[i].name, g->name) && s->guests[i].created_usec == g->created_usec)
                        return &s->guests[i];
        return NULL;
}

struct guest_rates sample_rates(const struct sample *before, const struct sample *now, const struct guest_sample *g) {
        const struct guest_sample *old = find(before, g);
        double span = (double) (now->time_usec - before->time_usec);
        struct guest_rates r = {};

        if (!old || span <= 0)
                return r;
        if (g->cpu_usec > old->cpu_usec)
                r.cpu_percent = 100.0 * (double) (g->cpu_usec - old->cpu_usec) / span;
        if (g->exits > old->exits)
                r.exits = (double) (g->exits - old->exits) * 1e6 / span;
        return r;
}

int sample_to_json(const struct sample *before, const struct sample *now, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *array = NULL;
        int r;

        r = sd_json_variant_new_array(&array, NULL, 0);
        for (size_t i = 0; i < now->n && r >= 0; i++) {
                const struct guest_sample *g = &now->guests[i];
                struct guest_rates x = before ? sample_rates(before, now, g) : (struct guest_rates) {};

                r = sd_json_variant_append_arraybo(
                                &array,
                                SD_JSON_BUILD_PAIR_STRING("name", g->name),
                                SD_JSON_BUILD_PAIR_STRING("status", g->status),
                                SD_JSON_BUILD_PAIR_CONDITION(!!before, "cpuPercent", SD_JSON_BUILD_REAL(x.cpu_percent)),
                                SD_JSON_BUILD_PAIR_CONDITION(!!before, "exitsPerSecond", SD_JSON_BUILD_REAL(x.exits)),
                                SD_JSON_BUILD_PAIR_UNSIGNED("cpuUSec", g->cpu_usec),
                                SD_JSON_BUILD_PAIR_UNSIGNED("exits", g->exits),
                                SD_JSON_BUILD_PAIR_UNSIGNED("vcpus", g->vcpus),
                                SD_JSON_BUILD_PAIR_UNSIGNED("privateBytes", g->private_bytes),
                                SD_JSON_BUILD_PAIR_UNSIGNED("sharedBytes", g->shared_bytes),
                                SD_JSON_BUILD_PAIR_UNSIGNED("tableBytes", g->table_bytes));
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(array);
        return 0;
}
