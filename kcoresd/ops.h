/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the manager asks of the system: the launch device and the service manager. The daemon binds
 * system_ops; tests of the manager bind their own. */

#include "../libkcore/checks.h"
#include "../libkcore/device.h"

#define UNIT_FDS_MAX 32

struct unit_request {
        const char *unit;
        const char *description;
        char **argv;
        int fds[UNIT_FDS_MAX]; /* become descriptors 3, 4, ... of the process */
        const char *fd_names[UNIT_FDS_MAX];
        size_t n_fds;
        uint64_t memlock; /* RLIMIT_MEMLOCK, bytes */
        bool network;     /* needs the host's network (user networking); otherwise gets an empty one */
};

struct unit_status {
        bool alive;       /* active, activating or deactivating, or its start is queued */
        pid_t main_pid;
        bool failed;      /* ended, and not well */
        char result[32];  /* if failed, systemd's word: "exit-code", "signal", ... */
        int exit_code;    /* if failed: CLD_EXITED, CLD_KILLED, ... */
        int exit_status;
        uint64_t memlock; /* of the main process, 0 if unknown */
        uint64_t cpu_usec; /* that it has run, 0 if unknown */
};

struct manager_ops {
        void (*facts_read)(struct platform_facts *ret);

        int (*launch_open)(void);
        int (*launch_config)(int fd, const struct kcore_launch_config *config);
        int (*launch_segment)(int fd, int memfd, uint64_t ipa, uint64_t length);
        int (*launch_segment_at)(int fd, int memfd, uint64_t offset, uint64_t ipa, uint64_t length);
        int (*launch_segment_sealed)(int fd, int memfd, uint64_t offset, uint64_t ipa, uint64_t length, uint64_t tags);
        int (*launch_policy)(int fd, const uint8_t block[static KCORE_LAUNCH_BLOCK_SIZE]);
        int (*launch_key)(int fd, const uint8_t enc[static 32], const uint8_t ct[static 48]);
        int (*launch_status)(int fd, struct kcore_launch_status *ret);
        int (*identity_read)(uint8_t buf[static KCORE_IDENTITY_MAX]); /* length */
        int (*log_read)(uint64_t *seq, char buf[static 4096], uint64_t *ret_lost);
        int (*counter_read)(uint32_t index, uint64_t *ret);

        /* *ret_error: text for people, on failure; may stay NULL. */
        int (*unit_start)(void *system, const struct unit_request *request, char **ret_error);
        int (*unit_query)(void *system, const char *unit, struct unit_status *ret);
        int (*unit_stop)(void *system, const char *unit); /* SIGTERM, later SIGKILL; does not wait */
        int (*unit_kill)(void *system, const char *unit); /* SIGKILL */
        int (*unit_forget)(void *system, const char *unit); /* a failed unit's remains */

        /* Who a process is: /proc/PID/attr/current, NULL on a machine without AppArmor, and /proc/PID/cgroup. */
        int (*peer_read)(pid_t pid, char **ret_profile, char **ret_cgroup);
        /* Its RLIMIT_MEMLOCK and CPU time; 0 if unknown. */
        void (*process_read)(pid_t pid, uint64_t *ret_memlock, uint64_t *ret_cpu_usec);

        /* Last lines that the unit logged since it was started, or NULL. */
        char *(*unit_messages)(const char *unit, uint64_t since_realtime_usec);

        /* Keep a descriptor over a restart of the daemon, or drop it again (fd < 0). */
        void (*fd_store)(const char *name, int fd);
};

extern const struct manager_ops system_ops;

/* The service manager's connection, for system_ops. */
int system_connect(void **ret);
void system_disconnect(void *system);
