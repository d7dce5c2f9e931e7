/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A domain of libvirt that is a realm: libvirt starts and stops it, we arm its launch and answer for its realm. Its
 * life: armed (by libvirt's hook) - claimed (by its QEMU, once) - running - ended. What was not claimed in time is
 * dropped, so that nothing lies about that a later process could take. */

#include "failure.h"
#include "launch-watch.h"
#include "manager.h"
#include "qmp.h"

#define DOMAIN_CLAIM_TIMEOUT_USEC (120 * USEC_PER_SEC)

struct Domain {
        Manager *manager;
        struct guest_state state;
        char id[37]; /* UUID; names its files and its stored descriptor */
        bool claimed;
        int launch_fd;
        int agent_fd, monitor_fd; /* listening, until the claim */
        LaunchWatch *watch;
        Qmp *qmp;
        sd_event_source *timer;
        bool lost; /* QEMU closed its control socket */
        bool guest_ended;
        FailureClass failure; /* if it fails before it runs */
        char *last_words;
        uint64_t deadline; /* of the launch */
};

/* What an armed launch demands of QEMU, and the descriptors it gets: the caller owns them. */
struct domain_claim {
        int launch_fd, agent_fd, monitor_fd;
        uint64_t memory, locked_memory; /* bytes */
        uint32_t vcpus;
};

/* c: name, uuid, memory, vcpus, image_path, image_fd; its content is taken. Returns < 0 with *f set, or plain errno. */
int domain_arm(Manager *m, struct guest_config *c, struct failure *f);

/* -ENOENT: nothing is armed; -EALREADY: claimed before; -EPERM: the caller is not the domain. */
int domain_claim(Manager *m, sd_id128_t uuid, pid_t pid, int pidfd, struct domain_claim *ret);

/* Drops a launch that nobody claimed, and the record of a domain that ended well. */
void domain_disarm(Domain *d);

/* Asks the domain's agent: a connected socket. */
int domain_agent(Domain *d);

int domain_describe(Domain *d, sd_json_variant **ret);

Domain *domain_free(Domain *d);
/* With its files. */
void domain_remove(Domain *d);

/* For people: by name, otherwise by UUID. */
Domain *manager_find_domain(Manager *m, const char *name_or_uuid);
Domain *manager_find_domain_by_uuid(Manager *m, sd_id128_t uuid);

/* Those that ran when the daemon ended. */
int manager_load_domains(Manager *m);
