/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One guest, from launch to the end of its unit. */

#include "../image/kci.h"
#include "console.h"
#include "failure.h"
#include "launch-watch.h"
#include "manager.h"
#include "qmp.h"

/* How long QEMU and the kernel may take to make a realm. */
#define LAUNCH_TIMEOUT_USEC (600 * USEC_PER_SEC)
#define STOP_TIMEOUT_DEFAULT_USEC (60 * USEC_PER_SEC)
#define STOP_TIMEOUT_MAX_USEC (3600 * USEC_PER_SEC)
/* A guest that ignores its power buttons is asked by the kernel's magic SysRq to write its caches back, to
 * make file systems read-only, and to power off; then it gets a moment before it is killed. */
#define STOP_SYSRQ "suo"
#define STOP_SYSRQ_STEP_USEC (2 * USEC_PER_SEC)
#define STOP_SYSRQ_END_USEC (10 * USEC_PER_SEC)
#define STOP_WAITERS_MAX 8

/* A segment that the kernel loads into the realm. */
struct payload {
        const char *kind;
        uint64_t ipa, length;
};

struct Guest {
        Manager *manager;
        struct guest_state state;
        char *unit, *dir;
        int launch_fd; /* to ask the kernel how the launch stands; -EBADF if lost */
        LaunchWatch *watch;
        struct payload payload[KCI_SEGMENTS_MAX]; /* none of a guest of an earlier run */
        size_t n_payload;
        uint64_t bad_page; /* IPA of the page that failed the launch, 0: it was none */

        Qmp *qmp;
        Console *console;
        sd_event_source *timer;

        bool check_status;     /* QMP said something that may be the end */
        bool query_pending;
        unsigned lost_ticks;
        uint64_t launch_deadline;
        uint64_t stop_deadline; /* then the next means is tried; 0: none left */
        unsigned stop_step;     /* letters of STOP_SYSRQ sent */
        bool stop_forced;
        bool remove_when_ended; /* somebody stopped it: no record is kept */
        char *last_words;      /* what QMP said about the end */
        bool guest_ended;      /* QMP said that the guest itself asked for the end */
        bool ran;              /* the launch went well */
        bool found;            /* launched by an earlier run of the daemon */
        FailureClass failure;  /* if it does not: of what class */

        sd_varlink *launcher; /* waits for the launch; NULL if nobody does */
        bool launcher_wants_progress;
        sd_varlink *stoppers[STOP_WAITERS_MAX];
};

/* Starts a launch. On success the guest is "starting", the launch goes on by itself, and link, if not
 * NULL, gets the reply at its end. Takes c's content. Returns < 0 with *f set (or f->error_id NULL: plain
 * errno). */
int guest_launch(Manager *m, struct guest_config *c, sd_varlink *link, bool progress, struct failure *f);

/* The checks of "doctor" for a guest of this size: CheckFailed with the first that fails. */
int launch_check_platform(Manager *m, const struct guest_config *c, struct failure *f);

/* Asks for the end; link, if not NULL, gets the reply. */
int guest_stop(Guest *g, bool force, uint64_t timeout_usec, sd_varlink *link, struct failure *f);

/* From the state file of an earlier run. */
int guest_load(Manager *m, const char *name, Guest **ret);

/* Forgets the record of a guest that is not alive, with its files. */
void guest_remove(Guest *g);
Guest *guest_free(Guest *g);

/* A client went away. */
void guest_forget_link(Guest *g, sd_varlink *link);

/* Connects to the port of the guest's agent: a socket. */
int guest_agent(const Guest *g);

/* Everything "show" shows. */
int guest_describe(Guest *g, sd_json_variant **ret);

char *guest_file(const Guest *g, const char *file);
