/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What kcoresd remembers of a guest across its own restarts: one JSON file each, under /run. It holds no
 * secret: names, sizes and paths only. */

#include "guest-config.h"

typedef enum GuestStatus {
        GUEST_STARTING, /* unit requested, QEMU does not answer yet */
        GUEST_RUNNING,
        GUEST_STOPPING, /* somebody asked for its end */
        GUEST_EXITED,   /* ended by itself or by request */
        GUEST_FAILED,   /* QEMU ended with an error, or never started */
        _GUEST_STATUS_MAX,
        _GUEST_STATUS_INVALID = -EINVAL,
} GuestStatus;

const char *guest_status_to_string(GuestStatus s);
GuestStatus guest_status_from_string(const char *s);

static inline bool guest_status_is_alive(GuestStatus s) {
        return s == GUEST_STARTING || s == GUEST_RUNNING || s == GUEST_STOPPING;
}

struct guest_state {
        struct guest_config config; /* descriptors are not kept */
        GuestStatus status;
        uint64_t created_usec; /* CLOCK_REALTIME */
        uint64_t ended_usec;   /* 0 while alive */
        char *reason;          /* of the end, for people; NULL while alive */
        bool libvirt;          /* a domain: libvirt starts and stops it */
};

#define GUEST_STATE_INIT { .config = GUEST_CONFIG_INIT }

void guest_state_done(struct guest_state *s);
static inline void guest_state_donep(struct guest_state *s) {
        guest_state_done(s);
}

int guest_state_to_json(const struct guest_state *s, sd_json_variant **ret);
/* Refuses what is not exactly such an object, and invalid configurations. */
int guest_state_from_json(sd_json_variant *v, struct guest_state *ret);
