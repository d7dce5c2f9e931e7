/* SPDX-License-Identifier: Apache-2.0 */
#include "domain.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "../libkcore/io.kcore.Manager.h"
#include "../libkcore/layout.h"
#include "../libkcore/memfd.h"
#include "domain-peer.h"
#include "guest-image.h"
#include "guest.h"
#include "launch-status.h"
#include "log.h"
#include "socket-util.h"

#define TICK_BUSY_USEC (200 * USEC_PER_MSEC)
#define TICK_IDLE_USEC (5 * USEC_PER_SEC)
#define DESCRIBE_WAIT_USEC (500 * USEC_PER_MSEC)
#define END_WAIT_USEC (2 * USEC_PER_SEC)
#define DOMAIN_NAME_MAX 255

static void tick_soon(Domain *d, uint64_t usec);

static char *domain_file(const Domain *d, const char *suffix) {
        char *p;

        return asprintf(&p, "%s/%s%s", d->manager->domains_dir, d->id, suffix) < 0 ? NULL : p;
}

static void store(Domain *d, int fd) {
        char name[64];

        snprintf(name, sizeof(name), STORED_DOMAIN_PREFIX "%s", d->id);
        d->manager->ops->fd_store(name, fd);
}

/* --- records --- */

static int save(Domain *d) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        _cleanup_free_ char *path = domain_file(d, ".json"), *text = NULL;
        const struct guest_config *c = &d->state.config;
        int r;

        r = sd_json_buildo(
                        &v, SD_JSON_BUILD_PAIR_STRING("name", c->name),
                        SD_JSON_BUILD_PAIR_STRING("image", strempty(c->image_path)),
                        SD_JSON_BUILD_PAIR_UNSIGNED("memory", c->memory), SD_JSON_BUILD_PAIR_UNSIGNED("vcpus", c->vcpus),
                        SD_JSON_BUILD_PAIR_UNSIGNED("createdUSec", d->state.created_usec));
        r = r < 0 ? r : sd_json_variant_format(v, SD_JSON_FORMAT_NEWLINE, &text);
        if (r < 0)
                return r;
        return path ? write_file_atomic(path, text, 0600) : -ENOMEM;
}

static int domain_new(Manager *m, sd_id128_t uuid, Domain **ret) {
        Domain *d;

        if (m->n_domains >= GUESTS_MAX)
                return -ENOBUFS;
        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        d->manager = m;
        d->state = (struct guest_state) GUEST_STATE_INIT;
        d->state.libvirt = true;
        d->state.config.uuid = uuid;
        d->failure = FAILURE_QEMU;
        d->launch_fd = d->agent_fd = d->monitor_fd = -EBADF;
        snprintf(d->id, sizeof(d->id), SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(uuid));
        m->domains[m->n_domains++] = d;
        *ret = d;
        return 0;
}

Domain *domain_free(Domain *d) {
        Manager *m;

        if (!d)
                return NULL;
        m = d->manager;
        for (size_t i = 0; i < m->n_domains; i++)
                if (m->domains[i] == d) {
                        memmove(m->domains + i, m->domains + i + 1, (--m->n_domains - i) * sizeof(m->domains[0]));
                        break;
                }
        sd_event_source_disable_unref(d->timer);
        launch_watch_free(d->watch);
        qmp_free(d->qmp);
        safe_close(d->launch_fd);
        safe_close(d->agent_fd);
        safe_close(d->monitor_fd);
        guest_state_done(&d->state);
        free(d->last_words);
        free(d);
        return NULL;
}

static void remove_files(Domain *d) {
        static const char *const suffixes[] = { ".json", ".json.new", ".agent", ".monitor" };

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                _cleanup_free_ char *path = domain_file(d, suffixes[i]);

                if (path)
                        (void) unlink(path);
        }
}

void domain_remove(Domain *d) {
        manager_tell(d->manager, "removed", &d->state);
        remove_files(d);
        store(d, -EBADF);
        domain_free(d);
}

Domain *manager_find_domain(Manager *m, const char *name) {
        sd_id128_t uuid;

        for (size_t i = 0; i < m->n_domains; i++)
                if (streq(m->domains[i]->state.config.name, name))
                        return m->domains[i];
        return sd_id128_from_string(name, &uuid) < 0 ? NULL : manager_find_domain_by_uuid(m, uuid);
}

Domain *manager_find_domain_by_uuid(Manager *m, sd_id128_t uuid) {
        for (size_t i = 0; i < m->n_domains; i++)
                if (sd_id128_equal(m->domains[i]->state.config.uuid, uuid))
                        return m->domains[i];
        return NULL;
}

/* --- the end --- */

static void ended(Domain *d, GuestStatus status, const char *reason) {
        _cleanup_free_ char *copy = reason ? strdup(reason) : NULL;
        bool launching = d->state.status == GUEST_STARTING;

        d->timer = sd_event_source_disable_unref(d->timer);
        d->watch = launch_watch_free(d->watch);
        d->qmp = qmp_free(d->qmp);
        d->launch_fd = safe_close(d->launch_fd);
        store(d, -EBADF);
        remove_files(d);
        d->state.status = status;
        d->state.ended_usec = now_usec(CLOCK_REALTIME);
        free(d->state.reason);
        d->state.reason = TAKE_PTR(copy);
        if (status == GUEST_FAILED && launching)
                d->manager->failures[d->failure]++;
        manager_tell(d->manager, "changed", &d->state);
        log_guest(&d->state, status == GUEST_FAILED ? LOG_ERR : LOG_INFO, "%s%s%s", status == GUEST_FAILED ? "failed" : "ended",
                  d->state.reason ? ": " : "", strempty(d->state.reason));
}

/* --- QMP --- */

static void on_ready(void *userdata) {
        tick_soon(userdata, 0);
}

static void on_event(const char *name, sd_json_variant *data, void *userdata) {
        Domain *d = userdata;

        if (streq(name, "POWERDOWN")) /* virsh shutdown pressed the power button */
                (void) qmp_press_power_key(d->qmp);
        else if (streq(name, "SHUTDOWN")) {
                const char *words = qmp_shutdown_to_string(data, &d->guest_ended);

                if (words)
                        (void) free_and_strdup(&d->last_words, words);
        } else if (streq(name, "STOP"))
                tick_soon(d, 0);
}

static void on_closed(void *userdata) {
        Domain *d = userdata;

        d->lost = true;
        tick_soon(d, 0);
}

static const struct qmp_handlers handlers = { .ready = on_ready, .event = on_event, .closed = on_closed };

static int connect_monitor(Domain *d) {
        _cleanup_free_ char *path = domain_file(d, ".monitor");

        return path ? qmp_new(d->manager->event, path, &handlers, d, &d->qmp) : -ENOMEM;
}

/* --- the clock of its life --- */

/* > 0: the realm runs or has run, 0: not yet, < 0: it failed with *ret_reason. */
static int progress(Domain *d, uint64_t wait_usec, char **ret_reason) {
        struct kcore_launch_status s;
        char page[64] = "";
        int r;

        if (!d->watch)
                return 1;
        r = launch_watch_get(d->watch, wait_usec, &s);
        if (r <= 0)
                return r == 0 ? 0 : 1;
        if (s.error < 0) {
                if (s.error_ipa > 0)
                        snprintf(page, sizeof(page), ": the page at IPA 0x%" PRIx64, (uint64_t) s.error_ipa);
                d->failure = failure_class_of_launch(&s);
                launch_failure_describe(&s, page, ret_reason);
                return -EIO;
        }
        return s.state == KCORE_LAUNCH_ACTIVE || (s.state == KCORE_LAUNCH_DEAD && s.exits > 0);
}

static void qemu_is_gone(Domain *d) {
        _cleanup_free_ char *reason = NULL;
        int r;

        qmp_drain(d->qmp);
        r = progress(d, END_WAIT_USEC, &reason);
        if (r < 0)
                ended(d, GUEST_FAILED, reason ?: "the realm could not be made");
        else if (r == 0 && d->state.status == GUEST_STARTING && !d->guest_ended)
                ended(d, GUEST_FAILED, "QEMU ended before the realm ran; its log is in /var/log/libvirt/qemu");
        else
                ended(d, GUEST_EXITED, d->last_words ?: "QEMU ended without a word: it was killed, or crashed");
}

/* A realm that could not be made leaves QEMU standing, and libvirt with it: virsh would show a paused domain for ever. */
static void tick_alive(Domain *d) {
        _cleanup_free_ char *reason = NULL;
        int r;

        r = progress(d, 0, &reason);
        if (r < 0 && qmp_is_ready(d->qmp)) {
                log_guest(&d->state, LOG_ERR, "%s", reason ?: "the realm could not be made");
                (void) qmp_command(d->qmp, "quit", NULL, NULL);
        } else if (r > 0 && d->state.status == GUEST_STARTING) {
                d->state.status = GUEST_RUNNING;
                manager_tell(d->manager, "changed", &d->state);
                log_guest(&d->state, LOG_INFO, "running");
        }
        tick_soon(d, d->state.status == GUEST_STARTING ? TICK_BUSY_USEC : TICK_IDLE_USEC);
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        Domain *d = userdata;

        (void) s;
        (void) usec;
        if (!d->claimed) {
                log_guest(&d->state, LOG_WARNING, "its launch was not claimed in time");
                domain_remove(d);
                return 0;
        }
        if (!d->qmp && !d->lost && connect_monitor(d) == -ECONNREFUSED)
                d->lost = true;
        if (d->lost)
                qemu_is_gone(d);
        else
                tick_alive(d);
        return 0;
}

static void tick_soon(Domain *d, uint64_t usec) {
        int r;

        if (d->timer) {
                r = sd_event_source_set_time_relative(d->timer, usec);
                r = r < 0 ? r : sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
        } else
                r = sd_event_add_time_relative(d->manager->event, &d->timer, CLOCK_MONOTONIC, usec, 10 * USEC_PER_MSEC, on_tick, d);
        if (r < 0)
                log_guest(&d->state, LOG_ERR, "can not set its timer: %s", strerror(-r));
}

/* --- arming --- */

static bool name_is_valid(const char *name) {
        size_t n = strlen(strempty(name));

        for (size_t i = 0; i < n; i++)
                if ((unsigned char) name[i] < ' ' || name[i] == 0x7f || name[i] == '/')
                        return false;
        return n > 0 && n <= DOMAIN_NAME_MAX;
}

/* Does the domain say what its image says? QEMU would be given another machine than the image was made for. */
static int compare(const struct guest_config *c, uint64_t memory, uint32_t vcpus, struct failure *f) {
        _cleanup_free_ char *message = NULL;
        char a[32], b[32];

        if (c->memory != memory) {
                if (asprintf(&message, "the domain has %s of memory, its image %s was made for %s; both must agree",
                             format_size(a, memory), strempty(c->image_path), format_size(b, c->memory)) < 0)
                        return -ENOMEM;
                return fail_invalid(f, "memory", message);
        }
        if (c->vcpus != vcpus) {
                if (asprintf(&message, "the domain has %" PRIu32 " vCPUs, its image %s was made for %" PRIu32 "; both must agree",
                             vcpus, strempty(c->image_path), c->vcpus) < 0)
                        return -ENOMEM;
                return fail_invalid(f, "vcpus", message);
        }
        return 0;
}

static int make_sockets(Domain *d, struct failure *f) {
        _cleanup_free_ char *agent = domain_file(d, ".agent"), *monitor = domain_file(d, ".monitor");

        if (!agent || !monitor)
                return -ENOMEM;
        d->agent_fd = socket_listen_unix(agent, 0600);
        d->monitor_fd = socket_listen_unix(monitor, 0600);
        if (d->agent_fd < 0 || d->monitor_fd < 0)
                return fail_launch(f, d->state.config.name, "can not make the domain's sockets",
                                   d->agent_fd < 0 ? d->agent_fd : d->monitor_fd);
        return 0;
}

int domain_arm(Manager *m, struct guest_config *c, struct failure *f) {
        uint64_t memory = c->memory;
        uint32_t vcpus = c->vcpus;
        _cleanup_close_ int launch = -EBADF;
        struct kci_image image;
        Domain *d, *old;
        int r;

        /* Everything is looked at before anything is made. */
        if (!name_is_valid(c->name))
                return fail_invalid(f, "name", "the domain's name is empty, too long, or has characters that a name must not have");
        if (sd_id128_is_null(c->uuid))
                return fail_invalid(f, "uuid", "the domain has no UUID");
        if (!guest_label_is_valid(strempty(c->image_path)))
                return fail_invalid(f, "image", "the image's path is too long or has control characters");
        r = guest_image_read(c, &image, f);
        r = r < 0 ? r : compare(c, memory, vcpus, f);
        if (r < 0)
                return r;
        old = manager_find_domain_by_uuid(m, c->uuid);
        if (old && old->claimed && guest_status_is_alive(old->state.status))
                return FAIL(f, ERROR_GUEST_EXISTS, SD_JSON_BUILD_PAIR_STRING("name", c->name));
        if (!old && m->n_domains >= GUESTS_MAX)
                return FAIL(f, ERROR_TOO_MANY_GUESTS, SD_JSON_BUILD_PAIR_UNSIGNED("limit", GUESTS_MAX));
        r = launch_check_platform(m, c, f);
        if (r < 0)
                return r;
        launch = guest_image_arm(m->ops, c, &image, f);
        if (launch < 0)
                return launch;

        if (old)
                domain_remove(old);
        r = domain_new(m, c->uuid, &d);
        if (r < 0)
                return r;
        d->state.config = *c;
        *c = (struct guest_config) GUEST_CONFIG_INIT;
        d->state.status = GUEST_STARTING;
        d->state.created_usec = now_usec(CLOCK_REALTIME);
        d->launch_fd = TAKE_FD(launch);
        guest_config_close_fds(&d->state.config);
        remove_files(d);
        r = make_sockets(d, f);
        if (r < 0) {
                domain_remove(d);
                return r;
        }
        tick_soon(d, DOMAIN_CLAIM_TIMEOUT_USEC);
        manager_tell(m, "changed", &d->state);
        log_guest(&d->state, LOG_INFO, "launch armed");
        return 0;
}

/* --- claiming --- */

/* Identity is read from /proc by number; the pidfd says that the number still meant the caller afterwards. */
static bool peer_is_domain(Domain *d, pid_t pid, int pidfd) {
        _cleanup_free_ char *profile = NULL, *cgroup = NULL;
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        if (d->manager->ops->peer_read(pid, &profile, &cgroup) < 0)
                return false;
        if (pidfd < 0 || poll(&p, 1, 0) != 0)
                return false;
        return domain_peer_matches(profile, cgroup, d->state.config.uuid, d->state.config.name);
}

int domain_claim(Manager *m, sd_id128_t uuid, pid_t pid, int pidfd, struct domain_claim *ret) {
        _cleanup_close_ int launch = -EBADF;
        Domain *d = manager_find_domain_by_uuid(m, uuid);
        struct guest_layout layout;
        int r;

        if (!d || (d->claimed && !guest_status_is_alive(d->state.status)))
                return -ENOENT;
        if (!peer_is_domain(d, pid, pidfd)) {
                log_guest(&d->state, LOG_WARNING, "process %d, which is not its QEMU, wanted its launch", (int) pid);
                return -EPERM;
        }
        if (d->claimed)
                return -EALREADY;
        r = guest_layout_memory(d->state.config.memory, &layout);
        if (r < 0)
                return r;
        launch = fcntl(d->launch_fd, F_DUPFD_CLOEXEC, 3);
        if (launch < 0)
                return -errno;
        r = launch_watch_new(m->event, m->ops, d->launch_fd, &d->watch);
        if (r < 0)
                return r;

        *ret = (struct domain_claim) {
                .launch_fd = TAKE_FD(launch),
                .agent_fd = TAKE_FD(d->agent_fd),
                .monitor_fd = TAKE_FD(d->monitor_fd),
                .memory = layout.qemu_memory,
                .vcpus = d->state.config.vcpus,
                .locked_memory = guest_locked_memory(d->state.config.memory, d->state.config.vcpus),
        };
        d->claimed = true;
        store(d, d->launch_fd);
        r = save(d);
        if (r < 0)
                log_guest(&d->state, LOG_WARNING, "can not save its state: %s", strerror(-r));
        tick_soon(d, TICK_BUSY_USEC);
        return 0;
}

void domain_disarm(Domain *d) {
        if (d->claimed && guest_status_is_alive(d->state.status)) {
                /* libvirt says that its QEMU is gone */
                qmp_drain(d->qmp);
                d->lost = true;
                qemu_is_gone(d);
        }
        if (!d->claimed || d->state.status == GUEST_EXITED)
                domain_remove(d);
}

int domain_agent(Domain *d) {
        _cleanup_free_ char *path = domain_file(d, ".agent");

        return path ? socket_connect_unix(path) : -ENOMEM;
}

/* --- after a restart of the daemon --- */

struct record {
        const char *name, *image;
        uint64_t memory, vcpus, created;
};

static int load(Manager *m, const char *id) {
        static const sd_json_dispatch_field table[] = {
                { "name",        SD_JSON_VARIANT_STRING,        sd_json_dispatch_const_string, offsetof(struct record, name),    SD_JSON_MANDATORY },
                { "image",       SD_JSON_VARIANT_STRING,        sd_json_dispatch_const_string, offsetof(struct record, image),   SD_JSON_MANDATORY },
                { "memory",      _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64,       offsetof(struct record, memory),  SD_JSON_MANDATORY },
                { "vcpus",       _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64,       offsetof(struct record, vcpus),   SD_JSON_MANDATORY },
                { "createdUSec", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64,       offsetof(struct record, created), SD_JSON_MANDATORY },
                {}
        };
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        _cleanup_free_ char *path = NULL, *text = NULL;
        struct record w = {};
        sd_id128_t uuid;
        char stored[64];
        Domain *d;
        int r;

        r = sd_id128_from_string(id, &uuid);
        r = r < 0 ? r : domain_new(m, uuid, &d);
        if (r < 0)
                return r;
        d->claimed = true;
        path = domain_file(d, ".json");
        r = path ? read_small_file(path, 64 * KIB, &text) : -ENOMEM;
        r = r < 0 ? r : sd_json_parse(text, 0, &v, NULL, NULL);
        r = r < 0 ? r : sd_json_dispatch(v, table, 0, &w);
        if (r >= 0 && (!name_is_valid(w.name) || w.vcpus > GUEST_VCPUS_MAX))
                r = -EBADMSG;
        r = r < 0 ? r : free_and_strdup(&d->state.config.name, w.name);
        r = r < 0 ? r : free_and_strdup(&d->state.config.image_path, w.image);
        if (r < 0)
                goto fail;
        d->state.config.memory = w.memory;
        d->state.config.vcpus = (uint32_t) w.vcpus;
        d->state.created_usec = w.created;
        d->state.status = GUEST_RUNNING;
        snprintf(stored, sizeof(stored), STORED_DOMAIN_PREFIX "%s", d->id);
        d->launch_fd = manager_take_stored_fd(m, stored);
        if (d->launch_fd >= 0)
                (void) launch_watch_new(m->event, m->ops, d->launch_fd, &d->watch);
        tick_soon(d, 0);
        log_guest(&d->state, LOG_INFO, "found");
        return 0;
fail:
        if (!d->state.config.name) /* everything that finds or tells domains wants a name */
                (void) free_and_strdup(&d->state.config.name, d->id);
        domain_remove(d);
        return r;
}

int manager_load_domains(Manager *m) {
        struct dirent *de;
        DIR *dir;

        dir = opendir(m->domains_dir);
        if (!dir)
                return -errno;
        while ((de = readdir(dir))) {
                _cleanup_free_ char *id = NULL, *path = NULL;
                const char *dot = strrchr(de->d_name, '.');
                int r;

                if (!dot || dot == de->d_name || de->d_name[0] == '.')
                        continue;
                if (streq(dot, ".json")) {
                        id = strndup(de->d_name, (size_t) (dot - de->d_name));
                        r = id ? load(m, id) : -ENOMEM;
                        if (r < 0)
                                fprintf(stderr, SD_WARNING "Ignoring %s/%s: %s\n", m->domains_dir, de->d_name, strerror(-r));
                        continue;
                }
                /* The sockets of a launch that was armed and not claimed. */
                if (asprintf(&path, "%s/%.*s.json", m->domains_dir, (int) (dot - de->d_name), de->d_name) < 0) {
                        path = NULL;
                        continue;
                }
                if (access(path, F_OK) < 0)
                        (void) unlinkat(dirfd(dir), de->d_name, 0);
        }
        closedir(dir);
        return 0;
}

/* --- show --- */

/* The scope that QEMU runs in, or where to look for it. */
static void find_unit(Domain *d, pid_t pid, char buf[static 256]) {
        _cleanup_free_ char *profile = NULL, *cgroup = NULL;

        if (pid <= 0 || d->manager->ops->peer_read(pid, &profile, &cgroup) < 0 || !domain_peer_scope(cgroup, buf))
                strcpy(buf, "machine.slice");
}

int domain_describe(Domain *d, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *state = NULL, *realm = NULL, *runtime = NULL;
        struct kcore_launch_status s;
        uint64_t memlock = 0, cpu = 0;
        char unit[256];
        int r;

        r = guest_state_to_json(&d->state, &state);
        if (r >= 0 && d->watch && launch_watch_get(d->watch, DESCRIBE_WAIT_USEC, &s) > 0) {
                find_unit(d, s.pid, unit);
                if (s.pid > 0)
                        d->manager->ops->process_read(s.pid, &memlock, &cpu);
                r = launch_status_to_json(&s, &realm);
                r = r < 0 ? r : sd_json_buildo(
                                        &runtime, SD_JSON_BUILD_PAIR_STRING("unit", unit),
                                        SD_JSON_BUILD_PAIR_INTEGER("pid", s.pid),
                                        SD_JSON_BUILD_PAIR_UNSIGNED("lockedMemoryLimit", memlock),
                                        SD_JSON_BUILD_PAIR_UNSIGNED("cpuUSec", cpu),
                                        SD_JSON_BUILD_PAIR_UNSIGNED("consoleClients", 0),
                                        SD_JSON_BUILD_PAIR_VARIANT("realm", realm));
        }
        if (r < 0)
                return r;
        return sd_json_buildo(
                        ret, SD_JSON_BUILD_PAIR_VARIANT("guest", state),
                        SD_JSON_BUILD_PAIR_CONDITION(!!runtime, "runtime", SD_JSON_BUILD_VARIANT(runtime)));
}
