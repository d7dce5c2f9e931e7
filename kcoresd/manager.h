/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon: its guests, and the Varlink server in front of them. */

#include <systemd/sd-event.h>
#include <systemd/sd-varlink.h>

#include "../libkcore/guest-state.h"
#include "failure.h"
#include "ops.h"

#define RUNTIME_DIRECTORY "/run/kcore"
#define MANAGER_SOCKET RUNTIME_DIRECTORY "/io.kcore.Manager"

/* How descriptors that systemd keeps for us are named: these and the guest's name, or the domain's UUID. */
#define STORED_GUEST_PREFIX "launch-"
#define STORED_DOMAIN_PREFIX "domain-"

#define GUESTS_MAX 128

/* Limits on clients. The size of a message is limited by sd-varlink (16 MiB). */
#define CLIENTS_MAX 64
#define CLIENTS_PER_UID_MAX 32
#define CLIENT_IDLE_USEC (60 * USEC_PER_SEC)
/* Of those that claim a launch: many uids may try. */
#define LAUNCH_CLIENTS_MAX 256
#define LAUNCH_CLIENTS_PER_UID_MAX 16

typedef struct Guest Guest;
typedef struct Domain Domain;
typedef struct Manager Manager;

struct Manager {
        sd_event *event;
        sd_varlink_server *server;
        sd_varlink_server *launch_server; /* where domains claim their launch */
        struct client *clients; /* connections */
        const struct manager_ops *ops;
        void *system;
        char *guests_dir, *domains_dir;

        Guest *guests[GUESTS_MAX];
        size_t n_guests;
        Domain *domains[GUESTS_MAX];
        size_t n_domains;

        struct {
                char *name;
                int fd;
        } stored[2 * GUESTS_MAX]; /* launch descriptors from before a restart, not claimed yet */
        size_t n_stored;

        /* Since the daemon started: launches asked for, and of these, those that came to no running guest. */
        uint64_t launches, failures[_FAILURE_CLASS_MAX];
};

int manager_new(const struct manager_ops *ops, void *system, const char *runtime_dir, Manager **ret);
Manager *manager_free(Manager *m);

/* Takes ownership of a stored launch descriptor, "launch-NAME" or "domain-UUID". */
int manager_add_stored_fd(Manager *m, const char *name, int fd);
int manager_take_stored_fd(Manager *m, const char *name);

/* Finds the guests of an earlier run of the daemon again. */
int manager_load(Manager *m);

Guest *manager_find(Manager *m, const char *name);

/* Varlink: sets up m->server; the caller adds sockets and attaches it. */
int manager_varlink_init(Manager *m);
/* Tells all monitors. event: present, changed or removed. */
void manager_tell(Manager *m, const char *event, const struct guest_state *s);
/* The same for m->launch_server. */
int manager_launch_varlink_init(Manager *m);
/* Closes all connections. */
void manager_varlink_done(Manager *m);
