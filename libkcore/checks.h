/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Can this machine run a realm? One table of checks with one wording: "kcorectl doctor" shows all of them,
 * a launch stops at the first that fails. Looking at the machine and judging what was seen are apart, so
 * that every verdict can be tested anywhere. */

#include <systemd/sd-json.h>

#include "device.h"
#include "util.h"

#define QEMU_BINARY "/usr/bin/qemu-system-aarch64"

/* What kcore-libvirt installs. */
#define LIBVIRT_EMULATOR "/usr/bin/kcore-qemu"
#define LIBVIRT_HOOK "/etc/libvirt/hooks/qemu.d/kcore"
#define LIBVIRT_HOOK_PROGRAM "/usr/bin/kcore-libvirt-hook"
#define LIBVIRT_APPARMOR_RULES "/etc/apparmor.d/abstractions/libvirt-qemu.d/kcore"

/* What was seen of libvirt: of each, 0 or -errno. */
struct libvirt_facts {
        int daemon;              /* libvirt's, to be run */
        int emulator;            /* kcore-qemu, to be run */
        int hook, hook_program;  /* both to be run */
        bool apparmor;           /* the kernel confines by it */
        int apparmor_rules;      /* of kcore-qemu, to be read */
};

/* What was seen. Negative numbers are errnos. */
struct platform_facts {
        char machine[65];        /* uname -m */
        char release[65];        /* uname -r */
        int kernel_support;      /* > 0 the kernel is built for KCore, 0 it is not, < 0 can not tell */
        int device_error;        /* of opening /dev/kcore read-only: 0 or -errno */
        int info_error;          /* of KCORE_SYS_INFO */
        struct kcore_sys_info info;
        bool kvm_present;        /* /dev/kvm exists */
        int qemu_error;          /* of running it */
        unsigned qemu_version;   /* see qemu_version_parse() */
        char qemu_version_string[64];
        bool systemd_running;    /* as the service manager */
        bool limits_free;        /* systemd may raise limits (CAP_SYS_RESOURCE) */
        uint64_t memlock_max;    /* its own hard RLIMIT_MEMLOCK, UINT64_MAX = unlimited */
        uint64_t memory_available; /* MemAvailable, bytes; UINT64_MAX if unknown */
        int overcommit;          /* vm.overcommit_memory, < 0 if unknown */
        struct libvirt_facts libvirt; /* only libvirt_facts_read() fills them */
};

/* Looks at this machine. qemu: path of the binary. Never fails: what can not be seen is recorded so. */
void platform_facts_read(const char *qemu, struct platform_facts *ret);

/* Looks at libvirt in the file system below root ("" for this machine's own). Never fails either. */
void libvirt_facts_read(const char *root, struct libvirt_facts *ret);

/* What a guest will need. */
struct platform_needs {
        uint64_t memory; /* private RAM, bytes */
        unsigned vcpus;
};

typedef enum CheckStatus {
        CHECK_OK,
        CHECK_FAIL,
        CHECK_SKIP, /* its parent failed, or what it is about is not here: nothing can be said */
} CheckStatus;

struct check_result {
        const char *id, *title, *fix;
        int depth; /* in the tree, for indentation */
        CheckStatus status;
        char *message; /* what was found; NULL if its parent was not ok */
};

const char *check_status_to_string(CheckStatus s);
CheckStatus check_status_from_string(const char *s); /* unknown: CHECK_FAIL */

#define CHECKS_MAX 16

struct check_report {
        struct check_result results[CHECKS_MAX];
        size_t n;
};

void check_report_done(struct check_report *r);

/* Can guests be launched? 0, or -ENOMEM. */
int checks_run(const struct platform_facts *facts, const struct platform_needs *needs, struct check_report *ret);

/* Can libvirt's domains be realms, too? A machine without libvirt skips all of it, and launches do not ask. 0, or -ENOMEM. */
int checks_run_libvirt(const struct platform_facts *facts, struct check_report *ret);

/* NULL if all is well. */
const struct check_result *check_report_first_failure(const struct check_report *r);

int check_report_to_json(const struct check_report *r, sd_json_variant **ret);

/* kcore_sys_info.core_version as people write it: "1.0" */
char *format_core_version(char buf[static 16], uint32_t version);
