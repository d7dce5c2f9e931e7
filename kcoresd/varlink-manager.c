/* SPDX-License-Identifier: Apache-2.0 */

/* The methods of io.kcore.Manager. Whatever a client sends is checked here or in what is called from here;
 * a client that is neither root nor in the group kcore gets no answer but PermissionDenied. */

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <sys/socket.h>

#include "domain.h"
#include "guest.h"
#include "socket-util.h"
#include "../libkcore/io.kcore.Manager.h"

#define COUNTERS_MAX 64

/* One connection. */
struct client {
        Manager *manager;
        sd_varlink *link; /* not a reference: it lives longer than we do */
        struct client *next;
        bool authorised;
        bool monitors; /* called Monitor: waits for what happens */
        sd_event_source *idle;
};

/* --- who may --- */

static bool peer_in_group(int fd, gid_t primary, gid_t group) {
        gid_t gids[1024];
        socklen_t size = sizeof(gids);

        if (primary == group)
                return true;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &size) < 0)
                return false;
        for (size_t i = 0; i < size / sizeof(gids[0]); i++)
                if (gids[i] == group)
                        return true;
        return false;
}

static bool peer_is_authorised(sd_varlink *link) {
        struct group *g;
        uid_t uid;
        gid_t gid;

        if (sd_varlink_get_peer_uid(link, &uid) < 0 || sd_varlink_get_peer_gid(link, &gid) < 0)
                return false;
        if (uid == 0)
                return true;
        g = getgrnam("kcore");
        return g && peer_in_group(sd_varlink_get_fd(link), gid, g->gr_gid);
}

/* --- connections --- */

static bool waits(Manager *m, sd_varlink *link) {
        for (size_t i = 0; i < m->n_guests; i++) {
                const Guest *g = m->guests[i];

                if (g->launcher == link)
                        return true;
                for (size_t j = 0; j < STOP_WAITERS_MAX; j++)
                        if (g->stoppers[j] == link)
                                return true;
        }
        return false;
}

/* Silent for too long, and not because we owe it an answer. */
static int on_idle(sd_event_source *s, uint64_t usec, void *userdata) {
        sd_varlink *link = userdata;
        struct client *c = sd_varlink_get_userdata(link);

        (void) usec;
        if (c->monitors || waits(c->manager, link)) {
                (void) sd_event_source_set_time_relative(s, CLIENT_IDLE_USEC);
                (void) sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
                return 0;
        }
        (void) sd_varlink_close(link);
        return 0;
}

static int on_connect(sd_varlink_server *server, sd_varlink *link, void *userdata) {
        Manager *m = userdata;
        struct client *c;
        int r;

        (void) server;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->manager = m;
        c->authorised = peer_is_authorised(link);
        r = sd_event_add_time_relative(m->event, &c->idle, CLOCK_MONOTONIC, CLIENT_IDLE_USEC, USEC_PER_SEC, on_idle, link);
        if (r < 0) {
                free(c);
                return r;
        }
        c->link = link;
        c->next = m->clients;
        m->clients = c;
        sd_varlink_set_userdata(link, c);
        if (c->authorised) {
                (void) sd_varlink_set_allow_fd_passing_input(link, true);
                (void) sd_varlink_set_allow_fd_passing_output(link, true);
        }
        return 0;
}

static void on_disconnect(sd_varlink_server *server, sd_varlink *link, void *userdata) {
        struct client *c = sd_varlink_get_userdata(link);
        Manager *m = userdata;

        (void) server;
        for (size_t i = 0; i < m->n_guests; i++)
                guest_forget_link(m->guests[i], link);
        if (!c)
                return;
        for (struct client **i = &m->clients; *i; i = &(*i)->next)
                if (*i == c) {
                        *i = c->next;
                        break;
                }
        sd_event_source_disable_unref(c->idle);
        free(c);
        sd_varlink_set_userdata(link, NULL);
}

/* The start of every method: NULL if the caller was refused. */
static Manager *enter(sd_varlink *link, int *ret) {
        struct client *c = sd_varlink_get_userdata(link);

        if (!c || !c->authorised) {
                *ret = sd_varlink_error(link, SD_VARLINK_ERROR_PERMISSION_DENIED, NULL);
                return NULL;
        }
        (void) sd_event_source_set_time_relative(c->idle, CLIENT_IDLE_USEC);
        (void) sd_event_source_set_enabled(c->idle, SD_EVENT_ONESHOT);
        return c->manager;
}

static int reply_failure(sd_varlink *link, struct failure *f, int error) {
        int r;

        if (f->error_id)
                r = sd_varlink_error(link, f->error_id, f->parameters);
        else
                r = sd_varlink_error_errno(link, error);
        failure_done(f);
        return r;
}

struct name_parameters {
        const char *name;
        int force;
        uint64_t timeout;
};

/* Parses {"name": ...} and whatever else the table has. Returns the guest, or NULL after an error reply. With
 * ret_domain a domain of that name or UUID will do: then that is set, and NULL returned with *ret 0. */
static Guest *find_by_parameters(Manager *m, sd_varlink *link, sd_json_variant *parameters, const sd_json_dispatch_field table[], struct name_parameters *p, Domain **ret_domain, int *ret) {
        Domain *d;
        Guest *g;

        *ret = sd_varlink_dispatch(link, parameters, table, p);
        if (*ret != 0)
                return NULL;
        g = guest_name_is_valid(p->name) ? manager_find(m, p->name) : NULL;
        if (g)
                return g;
        d = manager_find_domain(m, p->name);
        if (d && ret_domain)
                *ret_domain = d;
        else if (d)
                *ret = sd_varlink_errorbo(link, ERROR_MANAGED_BY_LIBVIRT, SD_JSON_BUILD_PAIR_STRING("name", p->name));
        else
                *ret = sd_varlink_errorbo(link, ERROR_NO_SUCH_GUEST, SD_JSON_BUILD_PAIR_STRING("name", p->name));
        return NULL;
}

static const sd_json_dispatch_field name_table[] = {
        { "name", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(struct name_parameters, name), SD_JSON_MANDATORY },
        {}
};

/* Answers with a descriptor, which it takes. */
static int reply_fd(sd_varlink *link, const char *key, int fd) {
        int r;

        r = sd_varlink_push_fd(link, fd);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR(key, SD_JSON_BUILD_INTEGER(r)));
}

/* --- methods --- */

struct launch_parameters {
        sd_json_variant *guest, *disks;
        int64_t image, kernel, initrd, tap;
};

/* A passed descriptor becomes ours; each can be taken once. */
static int take_fd(sd_varlink *link, int64_t index, int *ret) {
        int fd;

        if (index < 0 || index > 1024)
                return -EBADF;
        fd = sd_varlink_take_fd(link, (size_t) index);
        if (fd < 0)
                return fd;
        *ret = fd;
        return 0;
}

static int launch_refused(Manager *m, sd_varlink *link, struct failure *f, int error) {
        m->launches++;
        m->failures[failure_class_of_error(f->error_id)]++;
        return reply_failure(link, f, error);
}

static int method_launch(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata _unused_) {
        static const sd_json_dispatch_field table[] = {
                { "guest",                SD_JSON_VARIANT_OBJECT,        sd_json_dispatch_variant_noref, offsetof(struct launch_parameters, guest),  SD_JSON_MANDATORY },
                { "imageFileDescriptor",  _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_int64,         offsetof(struct launch_parameters, image),  0 },
                { "kernelFileDescriptor", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_int64,         offsetof(struct launch_parameters, kernel), 0 },
                { "initrdFileDescriptor", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_int64,         offsetof(struct launch_parameters, initrd), 0 },
                { "diskFileDescriptors",  SD_JSON_VARIANT_ARRAY,         sd_json_dispatch_variant_noref, offsetof(struct launch_parameters, disks),  0 },
                { "tapFileDescriptor",    _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_int64,         offsetof(struct launch_parameters, tap),    0 },
                {}
        };
        struct launch_parameters p = { .image = -1, .kernel = -1, .initrd = -1, .tap = -1 };
        _cleanup_(guest_config_donep) struct guest_config c = GUEST_CONFIG_INIT;
        _cleanup_(config_error_donep) struct config_error e = {};
        struct failure f = {};
        Manager *m;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        r = sd_varlink_dispatch(link, parameters, table, &p);
        if (r != 0)
                return r;
        r = guest_config_from_json(p.guest, &c, &e);
        if (r == -EINVAL)
                return launch_refused(m, link, &f, fail_invalid(&f, e.field, e.message));
        if (r < 0)
                return r;

        if (sd_json_variant_elements(p.disks) != c.n_disks)
                return sd_varlink_error_invalid_parameter_name(link, "diskFileDescriptors");
        if (p.image >= 0 && take_fd(link, p.image, &c.image_fd) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "imageFileDescriptor");
        if ((p.kernel >= 0 || p.image < 0) && take_fd(link, p.kernel, &c.kernel_fd) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "kernelFileDescriptor");
        if (p.initrd >= 0 && take_fd(link, p.initrd, &c.initrd_fd) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "initrdFileDescriptor");
        if (p.tap >= 0 && take_fd(link, p.tap, &c.tap_fd) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "tapFileDescriptor");
        for (size_t i = 0; i < c.n_disks; i++) {
                sd_json_variant *v = sd_json_variant_by_index(p.disks, i);

                if (!sd_json_variant_is_unsigned(v) || take_fd(link, (int64_t) MIN(sd_json_variant_unsigned(v), (uint64_t) INT32_MAX), &c.disks[i].fd) < 0)
                        return sd_varlink_error_invalid_parameter_name(link, "diskFileDescriptors");
        }

        r = guest_launch(m, &c, link, (flags & SD_VARLINK_METHOD_MORE) != 0, &f);
        if (r < 0)
                return launch_refused(m, link, &f, r);
        m->launches++;
        return 1;
}

static int method_list(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        static const sd_json_dispatch_field table[] = { {} };
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *array = NULL;
        Manager *m;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        r = sd_varlink_dispatch(link, parameters, table, NULL);
        if (r != 0)
                return r;
        for (size_t i = 0; i < m->n_guests + m->n_domains; i++) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;

                r = guest_state_to_json(i < m->n_guests ? &m->guests[i]->state : &m->domains[i - m->n_guests]->state, &v);
                r = r < 0 ? r : sd_json_variant_append_array(&array, v);
                if (r < 0)
                        return r;
        }
        return sd_varlink_replybo(
                        link,
                        SD_JSON_BUILD_PAIR_CONDITION(!!array, "guests", SD_JSON_BUILD_VARIANT(array)),
                        SD_JSON_BUILD_PAIR_CONDITION(!array, "guests", SD_JSON_BUILD_EMPTY_ARRAY));
}

static int method_describe(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        struct name_parameters p = {};
        Domain *d = NULL;
        Manager *m;
        Guest *g;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        g = find_by_parameters(m, link, parameters, name_table, &p, &d, &r);
        if (!g && !d)
                return r;
        r = g ? guest_describe(g, &v) : domain_describe(d, &v);
        return r < 0 ? r : sd_varlink_reply(link, v);
}

static int not_running(sd_varlink *link, const struct guest_state *s) {
        return sd_varlink_errorbo(
                        link, ERROR_GUEST_NOT_RUNNING,
                        SD_JSON_BUILD_PAIR_STRING("name", s->config.name),
                        SD_JSON_BUILD_PAIR_STRING("status", guest_status_to_string(s->status)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!s->reason, "reason", SD_JSON_BUILD_STRING(s->reason)));
}

static int method_console(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        struct name_parameters p = {};
        Manager *m;
        Guest *g;
        int r, fd;

        m = enter(link, &r);
        if (!m)
                return r;
        g = find_by_parameters(m, link, parameters, name_table, &p, NULL, &r);
        if (!g)
                return r;
        if (!g->console)
                return not_running(link, &g->state);
        fd = console_attach(g->console);
        if (fd == -EBUSY)
                return sd_varlink_errorbo(link, ERROR_BUSY, SD_JSON_BUILD_PAIR_STRING("name", p.name));
        if (fd < 0)
                return fd;
        return reply_fd(link, "consoleFileDescriptor", fd);
}

/* The daemon only opens the door: what client and agent say to each other it never sees. */
static int method_agent_port(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        struct name_parameters p = {};
        const struct guest_state *s;
        Domain *d = NULL;
        Manager *m;
        Guest *g;
        int r, fd;

        m = enter(link, &r);
        if (!m)
                return r;
        g = find_by_parameters(m, link, parameters, name_table, &p, &d, &r);
        if (!g && !d)
                return r;
        s = g ? &g->state : &d->state;
        if (s->status != GUEST_RUNNING)
                return not_running(link, s);
        fd = g ? guest_agent(g) : domain_agent(d);
        if (fd == -ECONNREFUSED || fd == -ENOENT)
                return not_running(link, s);
        if (fd == -EAGAIN)
                return sd_varlink_errorbo(link, ERROR_BUSY, SD_JSON_BUILD_PAIR_STRING("name", p.name));
        if (fd < 0)
                return fd;
        return reply_fd(link, "agentFileDescriptor", fd);
}

static int method_console_log(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        _cleanup_free_ char *path = NULL;
        struct name_parameters p = {};
        Manager *m;
        Guest *g;
        int r, fd;

        m = enter(link, &r);
        if (!m)
                return r;
        g = find_by_parameters(m, link, parameters, name_table, &p, NULL, &r);
        if (!g)
                return r;
        path = guest_file(g, "console.log");
        if (!path)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_CREAT, 0600);
        if (fd < 0)
                return -errno;
        return reply_fd(link, "logFileDescriptor", fd);
}

static int method_stop(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        static const sd_json_dispatch_field table[] = {
                { "name",        SD_JSON_VARIANT_STRING,        sd_json_dispatch_const_string, offsetof(struct name_parameters, name),    SD_JSON_MANDATORY },
                { "force",       SD_JSON_VARIANT_BOOLEAN,       sd_json_dispatch_intbool,      offsetof(struct name_parameters, force),   0 },
                { "timeoutUSec", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64,       offsetof(struct name_parameters, timeout), 0 },
                {}
        };
        struct name_parameters p = { .timeout = STOP_TIMEOUT_DEFAULT_USEC };
        struct failure f = {};
        Domain *d = NULL;
        Manager *m;
        Guest *g;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        g = find_by_parameters(m, link, parameters, table, &p, &d, &r);
        if (d && guest_status_is_alive(d->state.status))
                return sd_varlink_errorbo(link, ERROR_MANAGED_BY_LIBVIRT, SD_JSON_BUILD_PAIR_STRING("name", p.name));
        if (d) { /* its record is what is left to stop */
                domain_remove(d);
                return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_BOOLEAN("forced", false));
        }
        if (!g)
                return r;
        r = guest_stop(g, p.force, p.timeout, link, &f);
        if (r < 0)
                return reply_failure(link, &f, r);
        return 1;
}

static int core_to_json(const struct kcore_sys_info *i, sd_json_variant **ret) {
        char version[16];

        return sd_json_buildo(
                        ret,
                        SD_JSON_BUILD_PAIR_STRING("version", format_core_version(version, i->core_version)),
                        SD_JSON_BUILD_PAIR_UNSIGNED("deviceVersion", i->api_version),
                        SD_JSON_BUILD_PAIR_UNSIGNED("features", i->core_features),
                        SD_JSON_BUILD_PAIR_UNSIGNED("granules", i->granules_total),
                        SD_JSON_BUILD_PAIR_UNSIGNED("delegatedGranules", i->granules_delegated),
                        SD_JSON_BUILD_PAIR_UNSIGNED("realms", i->realms),
                        SD_JSON_BUILD_PAIR_UNSIGNED("listRegisters", i->num_lrs),
                        SD_JSON_BUILD_PAIR_UNSIGNED("maximumIpaBits", i->max_ipa_bits));
}

static int method_status(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        static const sd_json_dispatch_field table[] = { {} };
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *core = NULL, *counters = NULL, *failures = NULL;
        struct platform_facts facts;
        uint64_t alive = 0;
        Manager *m;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        r = sd_varlink_dispatch(link, parameters, table, NULL);
        if (r != 0)
                return r;
        m->ops->facts_read(&facts);
        if (facts.info_error >= 0) {
                r = core_to_json(&facts.info, &core);
                if (r < 0)
                        return r;
                for (uint32_t i = 0; i < MIN(facts.info.counters, (uint64_t) COUNTERS_MAX); i++) {
                        const char *name = kcore_counter_name(i);
                        char number[24];
                        uint64_t value;

                        if (m->ops->counter_read(i, &value) < 0)
                                break;
                        snprintf(number, sizeof(number), "counter%" PRIu32, i);
                        r = sd_json_variant_append_arraybo(
                                        &counters, SD_JSON_BUILD_PAIR_STRING("name", name ?: number),
                                        SD_JSON_BUILD_PAIR_UNSIGNED("value", value));
                        if (r < 0)
                                return r;
                }
        }
        for (size_t i = 0; i < m->n_guests; i++)
                alive += guest_status_is_alive(m->guests[i]->state.status);
        for (FailureClass i = 0; i < _FAILURE_CLASS_MAX; i++) {
                r = sd_json_variant_append_arraybo(
                                &failures, SD_JSON_BUILD_PAIR_STRING("reason", failure_class_to_string(i)),
                                SD_JSON_BUILD_PAIR_UNSIGNED("launches", m->failures[i]));
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < m->n_domains; i++)
                alive += guest_status_is_alive(m->domains[i]->state.status);
        return sd_varlink_replybo(
                        link,
                        SD_JSON_BUILD_PAIR_STRING("version", PROJECT_VERSION),
                        SD_JSON_BUILD_PAIR_CONDITION(!!core, "core", SD_JSON_BUILD_VARIANT(core)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!counters, "counters", SD_JSON_BUILD_VARIANT(counters)),
                        SD_JSON_BUILD_PAIR_UNSIGNED("guests", alive),
                        SD_JSON_BUILD_PAIR_UNSIGNED("launches", m->launches),
                        SD_JSON_BUILD_PAIR_VARIANT("failures", failures));
}

static int tell(struct client *c, const char *event, const struct guest_state *s) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        int r;

        r = guest_state_to_json(s, &v);
        return r < 0 ? r : sd_varlink_notifybo(
                        c->link, SD_JSON_BUILD_PAIR_STRING("event", event), SD_JSON_BUILD_PAIR_VARIANT("guest", v));
}

void manager_tell(Manager *m, const char *event, const struct guest_state *s) {
        for (struct client *c = m->clients, *next; c; c = next) {
                next = c->next;
                /* Who does not read is dropped once the connection's buffer is full. */
                if (c->monitors && tell(c, event, s) < 0)
                        (void) sd_varlink_close(c->link);
        }
}

static int method_monitor(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        static const sd_json_dispatch_field table[] = { {} };
        struct client *c = sd_varlink_get_userdata(link);
        Manager *m;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        r = sd_varlink_dispatch(link, parameters, table, NULL);
        if (r != 0)
                return r;
        for (size_t i = 0; i < m->n_guests; i++) {
                r = tell(c, "present", &m->guests[i]->state);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < m->n_domains; i++) {
                r = tell(c, "present", &m->domains[i]->state);
                if (r < 0)
                        return r;
        }
        c->monitors = true;
        return 1;
}

static int method_doctor(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        static const struct platform_needs needs = { .memory = GUEST_MEMORY_DEFAULT, .vcpus = GUEST_VCPUS_DEFAULT };
        static const sd_json_dispatch_field table[] = { {} };
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *checks = NULL;
        struct platform_facts facts;
        struct check_report report = {};
        Manager *m;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        r = sd_varlink_dispatch(link, parameters, table, NULL);
        if (r != 0)
                return r;
        m->ops->facts_read(&facts);
        r = checks_run(&facts, &needs, &report);
        if (r < 0)
                return r;
        r = check_report_to_json(&report, &checks);
        check_report_done(&report);
        return r < 0 ? r : sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("checks", checks));
}

/* The log is text, but of a piece of memory: what is not printable ASCII becomes '?'. */
static void make_printable(char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (s[i] != '\n' && s[i] != '\t' && (s[i] < ' ' || s[i] > '~'))
                        s[i] = '?';
}

static int no_core(sd_varlink *link, const char *what, int error) {
        _cleanup_free_ char *message = NULL;

        if (asprintf(&message, "KCore's %s can not be read: %s", what, strerror(-error)) < 0)
                return -ENOMEM;
        return sd_varlink_errorbo(link, ERROR_NO_CORE, SD_JSON_BUILD_PAIR_STRING("message", message));
}

static int method_platform(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        static const sd_json_dispatch_field table[] = { {} };
        uint8_t identity[KCORE_IDENTITY_MAX];
        Manager *m;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        r = sd_varlink_dispatch(link, parameters, table, NULL);
        if (r != 0)
                return r;
        r = m->ops->identity_read(identity);
        if (r < 0)
                return no_core(link, "identity", r);
        return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_BASE64("identity", identity, (size_t) r));
}

static int method_log(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        static const sd_json_dispatch_field table[] = {
                { "sequence", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, 0, 0 },
                {}
        };
        uint64_t sequence = 0, lost = 0;
        char buf[4096 + 1];
        Manager *m;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        r = sd_varlink_dispatch(link, parameters, table, &sequence);
        if (r != 0)
                return r;
        r = m->ops->log_read(&sequence, buf, &lost);
        if (r < 0)
                return no_core(link, "log", r);
        buf[r] = 0;
        make_printable(buf, (size_t) r);
        return sd_varlink_replybo(
                        link,
                        SD_JSON_BUILD_PAIR_STRING("text", buf),
                        SD_JSON_BUILD_PAIR_UNSIGNED("nextSequence", sequence),
                        SD_JSON_BUILD_PAIR_UNSIGNED("lost", lost));
}

/* --- domains of libvirt --- */

struct arm_parameters {
        const char *name, *image;
        sd_id128_t uuid;
        uint64_t memory;
        uint32_t vcpus;
        int64_t fd;
};

static int method_arm_domain(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        static const sd_json_dispatch_field table[] = {
                { "name",                SD_JSON_VARIANT_STRING,        sd_json_dispatch_const_string, offsetof(struct arm_parameters, name),   SD_JSON_MANDATORY },
                { "uuid",                SD_JSON_VARIANT_STRING,        sd_json_dispatch_id128,        offsetof(struct arm_parameters, uuid),   SD_JSON_MANDATORY },
                { "memory",              _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64,       offsetof(struct arm_parameters, memory), SD_JSON_MANDATORY },
                { "vcpus",               _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint32,       offsetof(struct arm_parameters, vcpus),  SD_JSON_MANDATORY },
                { "image",               SD_JSON_VARIANT_STRING,        sd_json_dispatch_const_string, offsetof(struct arm_parameters, image),  0 },
                { "imageFileDescriptor", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_int64,        offsetof(struct arm_parameters, fd),     SD_JSON_MANDATORY },
                {}
        };
        _cleanup_(guest_config_donep) struct guest_config c = GUEST_CONFIG_INIT;
        struct arm_parameters p = { .fd = -1 };
        struct failure f = {};
        Manager *m;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        r = sd_varlink_dispatch(link, parameters, table, &p);
        if (r != 0)
                return r;
        if (take_fd(link, p.fd, &c.image_fd) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "imageFileDescriptor");
        r = free_and_strdup(&c.name, p.name);
        r = r < 0 ? r : free_and_strdup(&c.image_path, p.image);
        if (r < 0)
                return r;
        c.uuid = p.uuid;
        c.memory = p.memory;
        c.vcpus = p.vcpus;
        r = domain_arm(m, &c, &f);
        if (r < 0)
                return launch_refused(m, link, &f, r);
        m->launches++;
        return sd_varlink_reply(link, NULL);
}

static int method_disarm_domain(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata _unused_) {
        static const sd_json_dispatch_field table[] = {
                { "uuid", SD_JSON_VARIANT_STRING, sd_json_dispatch_id128, 0, SD_JSON_MANDATORY },
                {}
        };
        sd_id128_t uuid;
        Manager *m;
        Domain *d;
        int r;

        m = enter(link, &r);
        if (!m)
                return r;
        r = sd_varlink_dispatch(link, parameters, table, &uuid);
        if (r != 0)
                return r;
        d = manager_find_domain_by_uuid(m, uuid);
        if (d)
                domain_disarm(d);
        return sd_varlink_reply(link, NULL);
}

void manager_varlink_done(Manager *m) {
        while (m->clients) {
                sd_varlink *link = sd_varlink_ref(m->clients->link);

                (void) sd_varlink_close(link); /* calls on_disconnect() */
                sd_varlink_unref(link);
        }
        m->server = sd_varlink_server_unref(m->server);
        m->launch_server = sd_varlink_server_unref(m->launch_server);
}

int manager_varlink_init(Manager *m) {
        int r;

        r = sd_varlink_server_new(&m->server, SD_VARLINK_SERVER_ACCOUNT_UID);
        if (r < 0)
                return r;
        sd_varlink_server_set_userdata(m->server, m);
        r = sd_varlink_server_set_info(m->server, "KCore", "kcoresd", PROJECT_VERSION, NULL);
        r = r < 0 ? r : sd_varlink_server_set_connections_max(m->server, CLIENTS_MAX);
        r = r < 0 ? r : sd_varlink_server_set_connections_per_uid_max(m->server, CLIENTS_PER_UID_MAX);
        r = r < 0 ? r : sd_varlink_server_add_interface(m->server, &vl_interface_io_kcore_Manager);
        r = r < 0 ? r : sd_varlink_server_bind_method_many(
                                        m->server,
                                        METHOD_LAUNCH, method_launch,
                                        METHOD_LIST, method_list,
                                        METHOD_DESCRIBE, method_describe,
                                        METHOD_CONSOLE, method_console,
                                        METHOD_CONSOLE_LOG, method_console_log,
                                        METHOD_AGENT_PORT, method_agent_port,
                                        METHOD_STOP, method_stop,
                                        METHOD_STATUS, method_status,
                                        METHOD_MONITOR, method_monitor,
                                        METHOD_DOCTOR, method_doctor,
                                        METHOD_PLATFORM, method_platform,
                                        METHOD_LOG, method_log,
                                        METHOD_ARM_DOMAIN, method_arm_domain,
                                        METHOD_DISARM_DOMAIN, method_disarm_domain);
        r = r < 0 ? r : sd_varlink_server_bind_connect(m->server, on_connect);
        r = r < 0 ? r : sd_varlink_server_bind_disconnect(m->server, on_disconnect);
        r = r < 0 ? r : sd_varlink_server_attach_event(m->server, m->event, SD_EVENT_PRIORITY_NORMAL);
        return r;
}
