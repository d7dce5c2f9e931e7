/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-state.h"

static const char *const status_table[_GUEST_STATUS_MAX] = {
        [GUEST_STARTING] = "starting",
        [GUEST_RUNNING] = "running",
        [GUEST_STOPPING] = "stopping",
        [GUEST_EXITED] = "exited",
        [GUEST_FAILED] = "failed",
};

const char *guest_status_to_string(GuestStatus s) {
        return s >= 0 && s < _GUEST_STATUS_MAX ? status_table[s] : NULL;
}

GuestStatus guest_status_from_string(const char *s) {
        for (int i = 0; s && i < _GUEST_STATUS_MAX; i++)
                if (streq(status_table[i], s))
                        return (GuestStatus) i;
        return _GUEST_STATUS_INVALID;
}

void guest_state_done(struct guest_state *s) {
        guest_config_done(&s->config);
        free(s->reason);
        *s = (struct guest_state) GUEST_STATE_INIT;
}

int guest_state_to_json(const struct guest_state *s, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *config = NULL;
        int r;

        r = guest_config_to_json(&s->config, &config);
        if (r < 0)
                return r;
        return sd_json_buildo(
                        ret,
                        SD_JSON_BUILD_PAIR_VARIANT("guest", config),
                        SD_JSON_BUILD_PAIR_STRING("status", guest_status_to_string(s->status)),
                        SD_JSON_BUILD_PAIR_UNSIGNED("createdUSec", s->created_usec),
                        SD_JSON_BUILD_PAIR_CONDITION(s->ended_usec > 0, "endedUSec", SD_JSON_BUILD_UNSIGNED(s->ended_usec)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!s->reason, "reason", SD_JSON_BUILD_STRING(s->reason)),
                        SD_JSON_BUILD_PAIR_CONDITION(s->libvirt, "manager", SD_JSON_BUILD_STRING("libvirt")));
}

struct wire {
        struct guest_state state;
        sd_json_variant *guest;
        const char *status;
};

int guest_state_from_json(sd_json_variant *v, struct guest_state *ret) {
        static const sd_json_dispatch_field table[] = {
                { "guest",       SD_JSON_VARIANT_OBJECT,        sd_json_dispatch_variant_noref, offsetof(struct wire, guest),              SD_JSON_MANDATORY },
                { "status",      SD_JSON_VARIANT_STRING,        sd_json_dispatch_const_string,  offsetof(struct wire, status),             SD_JSON_MANDATORY },
                { "createdUSec", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64,        offsetof(struct wire, state.created_usec), SD_JSON_MANDATORY },
                { "endedUSec",   _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64,        offsetof(struct wire, state.ended_usec),   0 },
                { "reason",      SD_JSON_VARIANT_STRING,        sd_json_dispatch_string,        offsetof(struct wire, state.reason),       0 },
                {}
        };
        _cleanup_(config_error_donep) struct config_error e = {};
        struct wire w = { .state = GUEST_STATE_INIT };
        int r;

        r = sd_json_dispatch(v, table, 0, &w);
        if (r < 0)
                goto fail;
        w.state.status = guest_status_from_string(w.status);
        if (w.state.status < 0) {
                r = -EINVAL;
                goto fail;
        }
        r = guest_config_from_json(w.guest, &w.state.config, &e);
        if (r < 0)
                goto fail;
        r = guest_config_validate(&w.state.config, &e);
        if (r < 0)
                goto fail;
        *ret = w.state;
        return 0;
fail:
        guest_state_done(&w.state);
        return r;
}
