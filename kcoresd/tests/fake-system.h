/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A system for tests of the manager: the launch device is a temporary file, a unit is a forked process that
 * speaks just enough QMP and echoes its console. Nothing of it is in the daemon. */

#include "../../libkcore/tests/test.h"
#include "../ops.h"

enum fake_behaviour {
        FAKE_GOOD,           /* boots, powers off when asked */
        FAKE_KEYBOARD,       /* boots, knows the power key only */
        FAKE_DEAF,           /* boots, ignores the power button and everything else */
        FAKE_SYSRQ,          /* boots, ignores the power button, obeys the magic SysRq */
        FAKE_EXIT_AT_ONCE,   /* status 1 before any QMP */
        FAKE_SPEAKS_NONSENSE,/* greets with garbage, stays */
        FAKE_INTERNAL_ERROR, /* boots, then stops with an error */
        FAKE_POWERS_OFF,     /* boots, then powers off by itself */
        FAKE_ENDS_AT_ONCE,   /* powers off, and is gone before anybody can connect */
        FAKE_ENDS_EARLY,     /* powers off as soon as QMP is up; QEMU takes a while to end */
        FAKE_FLOODS,         /* boots, writes megabytes to its console */
        FAKE_HANGS_UP,       /* boots, closes its console, runs on */
};

struct fake_system {
        struct platform_facts facts;
        enum fake_behaviour behaviour;
        int config_error, segment_error, unit_error; /* injected */
        int launch_error;      /* what the kernel says of the launch, -errno */
        bool bad_page;         /* and that it is about the last page of the last segment */
        uint32_t launch_rmi_status; /* and what KCore answered, 0 for 1 */
        uint32_t launch_state; /* and where it stands: 0 for active */
        uint64_t launch_exits; /* how often the realm left */
        uint64_t status_delay_usec; /* before the kernel answers a question about a launch */
        uint64_t memlock;      /* limit that units get, 0: what was asked for */

        struct kcore_launch_config config; /* last one */
        struct { uint64_t ipa, length, offset, tags; } segments[8];
        size_t n_segments;
        bool has_policy, has_key;
        uint8_t block[KCORE_LAUNCH_BLOCK_SIZE], enc[32], ct[48];
        int policy_error, key_error, identity_error; /* injected */
        uint8_t identity[KCORE_IDENTITY_MAX];
        size_t identity_size;

        struct { char unit[80]; pid_t pid; bool exists, alive; int status; uint64_t memlock; } units[16];
        size_t n_units;
        char last_fd_stored[80];
        const char *profile, *cgroup; /* of whoever claims a launch */
};

extern struct fake_system fake;
extern const struct manager_ops fake_ops;

void fake_reset(void);
void fake_kill_all(void);
