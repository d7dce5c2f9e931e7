/* SPDX-License-Identifier: Apache-2.0 */

/* The methods of io.kcore.Launch: any local process may connect, and gets its own domain's launch or nothing. */

#include "domain.h"
#include "../libkcore/io.kcore.Launch.h"

static int refuse(sd_varlink *link, const char *error, const char *uuid) {
        return sd_varlink_errorbo(link, error, SD_JSON_BUILD_PAIR_STRING("uuid", uuid));
}

/* Descriptors belong to the link once they were pushed. */
static int push(sd_varlink *link, int *fd) {
        int r;

        r = sd_varlink_push_fd(link, *fd);
        if (r >= 0)
                *fd = -EBADF;
        return r;
}

static int method_claim(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata) {
        static const sd_json_dispatch_field table[] = {
                { "uuid", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, 0, SD_JSON_MANDATORY },
                {}
        };
        int launch, agent, monitor, pidfd, r;
        struct domain_claim c;
        const char *text;
        sd_id128_t uuid;
        pid_t pid;

        r = sd_varlink_dispatch(link, parameters, table, &text);
        if (r != 0)
                return r;
        if (sd_id128_from_string(text, &uuid) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "uuid");
        r = sd_varlink_get_peer_pid(link, &pid);
        if (r < 0)
                return r;
        pidfd = sd_varlink_get_peer_pidfd(link);
        r = domain_claim(userdata, uuid, pid, pidfd, &c);
        if (r == -ENOENT)
                return refuse(link, ERROR_NOT_ARMED, text);
        if (r == -EALREADY)
                return refuse(link, ERROR_ALREADY_CLAIMED, text);
        if (r == -EPERM)
                return refuse(link, ERROR_NOT_THE_DOMAIN, text);
        if (r < 0)
                return r;

        launch = push(link, &c.launch_fd);
        agent = launch < 0 ? launch : push(link, &c.agent_fd);
        monitor = agent < 0 ? agent : push(link, &c.monitor_fd);
        safe_close(c.launch_fd);
        safe_close(c.agent_fd);
        safe_close(c.monitor_fd);
        if (monitor < 0)
                return monitor;
        return sd_varlink_replybo(
                        link,
                        SD_JSON_BUILD_PAIR_INTEGER("launchFileDescriptor", launch),
                        SD_JSON_BUILD_PAIR_INTEGER("agentFileDescriptor", agent),
                        SD_JSON_BUILD_PAIR_INTEGER("monitorFileDescriptor", monitor),
                        SD_JSON_BUILD_PAIR_UNSIGNED("memory", c.memory),
                        SD_JSON_BUILD_PAIR_UNSIGNED("vcpus", c.vcpus),
                        SD_JSON_BUILD_PAIR_UNSIGNED("lockedMemory", c.locked_memory));
}

static int on_connect(sd_varlink_server *server, sd_varlink *link, void *userdata) {
        (void) server;
        sd_varlink_set_userdata(link, userdata);
        return sd_varlink_set_allow_fd_passing_output(link, true);
}

int manager_launch_varlink_init(Manager *m) {
        int r;

        r = sd_varlink_server_new(&m->launch_server, SD_VARLINK_SERVER_ACCOUNT_UID);
        if (r < 0)
                return r;
        sd_varlink_server_set_userdata(m->launch_server, m);
        r = sd_varlink_server_set_info(m->launch_server, "KCore", "kcoresd", PROJECT_VERSION, NULL);
        r = r < 0 ? r : sd_varlink_server_set_connections_max(m->launch_server, LAUNCH_CLIENTS_MAX);
        r = r < 0 ? r : sd_varlink_server_set_connections_per_uid_max(m->launch_server, LAUNCH_CLIENTS_PER_UID_MAX);
        r = r < 0 ? r : sd_varlink_server_add_interface(m->launch_server, &vl_interface_io_kcore_Launch);
        r = r < 0 ? r : sd_varlink_server_bind_method(m->launch_server, METHOD_CLAIM, method_claim);
        r = r < 0 ? r : sd_varlink_server_bind_connect(m->launch_server, on_connect);
        return r < 0 ? r : sd_varlink_server_attach_event(m->launch_server, m->event, SD_EVENT_PRIORITY_NORMAL);
}
