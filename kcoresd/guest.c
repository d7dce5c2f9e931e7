/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "../libkcore/fdt-build.h"
#include "../libkcore/layout.h"
#include "../libkcore/memfd.h"
#include "../libkcore/qemu-cmdline.h"
#include "../libkcore/io.kcore.Manager.h"
#include "guest-image.h"
#include "launch-status.h"
#include "log.h"
#include "socket-util.h"

#define TICK_BUSY_USEC (200 * USEC_PER_MSEC)
#define TICK_IDLE_USEC (5 * USEC_PER_SEC)
#define LOST_TICKS_MAX 50
#define DESCRIBE_WAIT_USEC (500 * USEC_PER_MSEC)
#define END_WAIT_USEC (2 * USEC_PER_SEC)

static void tick_soon(Guest *g, uint64_t usec);

char *guest_file(const Guest *g, const char *file) {
        char *p;

        return asprintf(&p, "%s/%s", g->dir, file) < 0 ? NULL : p;
}

static void save(Guest *g) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        _cleanup_free_ char *path = NULL, *text = NULL;
        int r;

        path = guest_file(g, "state.json");
        r = guest_state_to_json(&g->state, &v);
        r = r < 0 ? r : sd_json_variant_format(v, SD_JSON_FORMAT_NEWLINE, &text);
        if (r >= 0 && path)
                r = write_file_atomic(path, text, 0600);
        if (r < 0 || !path)
                log_guest(&g->state, LOG_WARNING, "could not be saved: %s", strerror(-r));
}

/* Its status is another one. */
static void changed(Guest *g) {
        save(g);
        manager_tell(g->manager, "changed", &g->state);
}

/* --- its life as an object --- */

static int guest_new(Manager *m, const char *name, Guest **ret) {
        Guest *g;

        if (m->n_guests >= GUESTS_MAX)
                return -ENOBUFS;
        g = calloc(1, sizeof(*g));
        if (!g)
                return -ENOMEM;
        g->manager = m;
        g->state = (struct guest_state) GUEST_STATE_INIT;
        g->launch_fd = -EBADF;
        g->failure = FAILURE_QEMU;
        if (asprintf(&g->unit, "kcore-guest-%s.service", name) < 0)
                g->unit = NULL;
        if (asprintf(&g->dir, "%s/%s", m->guests_dir, name) < 0)
                g->dir = NULL;
        m->guests[m->n_guests++] = g;
        if (!g->unit || !g->dir) {
                guest_free(g);
                return -ENOMEM;
        }
        *ret = g;
        return 0;
}

Guest *guest_free(Guest *g) {
        Manager *m;

        if (!g)
                return NULL;
        m = g->manager;
        for (size_t i = 0; i < m->n_guests; i++)
                if (m->guests[i] == g) {
                        memmove(m->guests + i, m->guests + i + 1, (--m->n_guests - i) * sizeof(m->guests[0]));
                        break;
                }
        qmp_free(g->qmp);
        console_free(g->console);
        launch_watch_free(g->watch);
        sd_event_source_disable_unref(g->timer);
        sd_varlink_unref(g->launcher);
        for (size_t i = 0; i < STOP_WAITERS_MAX; i++)
                sd_varlink_unref(g->stoppers[i]);
        safe_close(g->launch_fd);
        guest_state_done(&g->state);
        free(g->last_words);
        free(g->unit);
        free(g->dir);
        free(g);
        return NULL;
}

void guest_remove(Guest *g) {
        static const char *const files[] = {
                "state.json", "state.json.new", "console.log", "console.log.new", "qmp.sock", "console.sock", "agent.sock",
        };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = guest_file(g, files[i]);

                if (path)
                        (void) unlink(path);
        }
        (void) rmdir(g->dir);
        if (g->state.config.name)
                manager_tell(g->manager, "removed", &g->state);
        guest_free(g);
}

void guest_forget_link(Guest *g, sd_varlink *link) {
        if (g->launcher == link)
                g->launcher = sd_varlink_unref(g->launcher);
        for (size_t i = 0; i < STOP_WAITERS_MAX; i++)
                if (g->stoppers[i] == link)
                        g->stoppers[i] = sd_varlink_unref(g->stoppers[i]);
}

/* Has systemd keep the launch descriptor over restarts of the daemon; or, with -EBADF, no longer. */
static void store(const Guest *g, int fd) {
        _cleanup_free_ char *name = NULL;

        if (asprintf(&name, STORED_GUEST_PREFIX "%s", g->state.config.name) < 0) {
                name = NULL;
                return;
        }
        g->manager->ops->fd_store(name, fd);
}

static void progress(Guest *g, const char *stage) {
        if (g->launcher && g->launcher_wants_progress)
                (void) sd_varlink_notifybo(g->launcher, SD_JSON_BUILD_PAIR_STRING("stage", stage));
}

/* --- the end --- */

static void set_last_words(Guest *g, const char *words) {
        if (!g->last_words)
                (void) free_and_strdup(&g->last_words, words);
}

static void reply_launched(Guest *g) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;

        if (!g->launcher)
                return;
        if (guest_state_to_json(&g->state, &v) >= 0)
                (void) sd_varlink_replybo(g->launcher, SD_JSON_BUILD_PAIR_VARIANT("guest", v));
        g->launcher = sd_varlink_unref(g->launcher);
}

/* The segment that g->bad_page is in, or NULL. */
static const struct payload *bad_segment(const Guest *g) {
        for (size_t i = 0; i < g->n_payload; i++)
                if (g->bad_page >= g->payload[i].ipa && g->bad_page - g->payload[i].ipa < g->payload[i].length)
                        return &g->payload[i];
        return NULL;
}

static int bad_page_to_json(const Guest *g, sd_json_variant **ret) {
        const struct payload *p = bad_segment(g);

        if (g->bad_page == 0)
                return 0;
        return sd_json_buildo(
                        ret,
                        SD_JSON_BUILD_PAIR_UNSIGNED("address", g->bad_page),
                        SD_JSON_BUILD_PAIR_CONDITION(!!p, "segment", SD_JSON_BUILD_UNSIGNED(p ? (uint64_t) (p - g->payload) + 1 : 0)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!p, "kind", SD_JSON_BUILD_STRING(p ? p->kind : NULL)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!p, "offset", SD_JSON_BUILD_UNSIGNED(p ? g->bad_page - p->ipa : 0)));
}

static const char *bad_page_to_string(const Guest *g, char buf[static 128]) {
        const struct payload *p = bad_segment(g);

        buf[0] = 0;
        if (p)
                snprintf(buf, 128, ": the page at 0x%" PRIx64 " of segment %zu (%s), IPA 0x%" PRIx64,
                         g->bad_page - p->ipa, (size_t) (p - g->payload) + 1, p->kind, g->bad_page);
        else if (g->bad_page > 0)
                snprintf(buf, 128, ": the page at IPA 0x%" PRIx64, g->bad_page);
        return buf;
}

/* The unit is gone. reason: why, or NULL for an orderly end. To whoever still waits for the launch it went
 * well if the guest has exited by itself. May free g. */
static void ended(Guest *g, GuestStatus status, const char *reason) {
        _cleanup_free_ char *copy = reason ? strdup(reason) : NULL;
        bool remove = g->remove_when_ended, launched = status == GUEST_EXITED && g->state.status != GUEST_STOPPING;

        console_drain(g->console);
        g->console = console_free(g->console);
        g->qmp = qmp_free(g->qmp);
        g->timer = sd_event_source_disable_unref(g->timer);
        g->watch = launch_watch_free(g->watch);
        g->launch_fd = safe_close(g->launch_fd);
        store(g, -EBADF);

        g->state.status = status;
        g->state.ended_usec = now_usec(CLOCK_REALTIME);
        free(g->state.reason);
        g->state.reason = TAKE_PTR(copy);
        if (status == GUEST_FAILED && !g->ran)
                g->manager->failures[g->failure]++;
        changed(g);
        log_guest(&g->state, status == GUEST_FAILED ? LOG_ERR : LOG_INFO, "%s%s%s",
                  status == GUEST_FAILED ? "failed" : "ended", g->state.reason ? ": " : "", strempty(g->state.reason));

        if (launched)
                reply_launched(g);
        else if (g->launcher) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *page = NULL;

                (void) bad_page_to_json(g, &page);
                (void) sd_varlink_errorbo(
                                g->launcher, ERROR_LAUNCH_FAILED,
                                SD_JSON_BUILD_PAIR_STRING("name", g->state.config.name),
                                SD_JSON_BUILD_PAIR_STRING(
                                                "message",
                                                g->state.reason ?: "the guest ended before it was running"),
                                SD_JSON_BUILD_PAIR_CONDITION(!!page, "page", SD_JSON_BUILD_VARIANT(page)));
                g->launcher = sd_varlink_unref(g->launcher);
        }
        for (size_t i = 0; i < STOP_WAITERS_MAX; i++)
                if (g->stoppers[i]) {
                        (void) sd_varlink_replybo(
                                        g->stoppers[i], SD_JSON_BUILD_PAIR_BOOLEAN("forced", g->stop_forced));
                        g->stoppers[i] = sd_varlink_unref(g->stoppers[i]);
                }
        if (remove)
                guest_remove(g);
}

/* The guest is broken: end the unit now, keep the reason. */
static void give_up(Guest *g, FailureClass failure, const char *reason) {
        g->failure = failure;
        set_last_words(g, reason);
        g->state.status = GUEST_STOPPING;
        g->stop_forced = true;
        g->stop_deadline = 0;
        (void) g->manager->ops->unit_kill(g->manager->system, g->unit);
        (void) free_and_strdup(&g->state.reason, reason);
        changed(g);
        tick_soon(g, TICK_BUSY_USEC);
}

/* --- QMP --- */

static void on_status(sd_json_variant *result, void *userdata) {
        Guest *g = userdata;
        sd_json_variant *status;

        g->query_pending = false;
        status = result ? sd_json_variant_by_key(result, "status") : NULL;
        if (status && sd_json_variant_is_string(status) && streq(sd_json_variant_string(status), "internal-error")) {
                g->check_status = true;
                tick_soon(g, 0);
        }
}

static void on_qmp_ready(void *userdata) {
        Guest *g = userdata;

        tick_soon(g, 0);
}

static void on_qmp_event(const char *name, sd_json_variant *data, void *userdata) {
        Guest *g = userdata;

        if (streq(name, "SHUTDOWN")) {
                const char *words = qmp_shutdown_to_string(data, &g->guest_ended);

                if (words)
                        set_last_words(g, words);
        } else if (streq(name, "STOP") && !g->query_pending)
                g->query_pending = qmp_command(g->qmp, "query-status", NULL, on_status) >= 0;
}

static void on_qmp_closed(void *userdata) {
        Guest *g = userdata;

        tick_soon(g, 0);
}

static const struct qmp_handlers qmp_handlers = {
        .ready = on_qmp_ready,
        .event = on_qmp_event,
        .closed = on_qmp_closed,
};

static int connect_sockets(Guest *g) {
        _cleanup_free_ char *qmp = guest_file(g, "qmp.sock"), *console = guest_file(g, "console.sock"),
                            *log = guest_file(g, "console.log");
        int r;

        if (!qmp || !console || !log)
                return -ENOMEM;
        r = qmp_new(g->manager->event, qmp, &qmp_handlers, g, &g->qmp);
        return r < 0 ? r : console_new(g->manager->event, console, log, &g->console);
}

/* --- the clock of its life --- */

/* What the kernel says of the launch: > 0 the realm runs or has run, 0 not yet, < 0 failed with *ret_reason. */
static int launch_progress(Guest *g, uint64_t wait_usec, char **ret_reason) {
        struct kcore_launch_status s;
        int r;

        if (!g->watch) /* lost over a restart: QEMU answers, that must do */
                return 1;
        r = launch_watch_get(g->watch, wait_usec, &s);
        if (r == 0)
                return 0;
        if (r < 0)
                return 1;
        if (s.error < 0) {
                char page[128];

                g->bad_page = s.error_ipa;
                g->failure = failure_class_of_launch(&s);
                launch_failure_describe(&s, bad_page_to_string(g, page), ret_reason);
                return -EIO;
        }
        /* Dead without an error: the guest powered off, or QEMU went before the guest ran. */
        return s.state == KCORE_LAUNCH_ACTIVE || (s.state == KCORE_LAUNCH_DEAD && s.exits > 0);
}

/* How a unit that is not alive any more ended. May free g. */
static void ended_as_unit_says(Guest *g, const struct unit_status *u) {
        _cleanup_free_ char *messages = NULL, *reason = NULL;
        bool asked = g->state.status == GUEST_STOPPING;
        int n;

        qmp_drain(g->qmp); /* its last words */
        if (u->failed) /* systemd keeps failed units, for people to see; we tell them ourselves */
                (void) g->manager->ops->unit_forget(g->manager->system, g->unit);
        if (!u->failed || (asked && g->stop_forced)) {
                /* A guest may be done before anybody saw it run, and that was a launch that went well. */
                if (g->state.status == GUEST_STARTING && !g->guest_ended &&
                    (!g->watch || launch_progress(g, END_WAIT_USEC, &reason) <= 0)) {
                        const char *what = g->found ? "kcoresd ended before the realm ran" : "QEMU ended before the realm ran";

                        messages = g->manager->ops->unit_messages(g->unit, g->state.created_usec);
                        if (!reason && asprintf(&reason, "%s%s%s", what,
                                                messages ? ": " : "", strempty(messages)) < 0)
                                reason = NULL;
                        ended(g, GUEST_FAILED, reason ?: what);
                        return;
                }
                ended(g, GUEST_EXITED, g->last_words ?: asked ? "stopped" : "QEMU ended");
                return;
        }
        messages = g->manager->ops->unit_messages(g->unit, g->state.created_usec);
        if (u->exit_code == CLD_KILLED || u->exit_code == CLD_DUMPED)
                n = asprintf(&reason, "QEMU was ended by signal %d (%s)", u->exit_status, strsignal(u->exit_status));
        else
                n = asprintf(&reason, "QEMU ended with status %d (%s)%s%s", u->exit_status, u->result,
                             messages ? ": " : "", strempty(messages));
        if (n < 0)
                reason = NULL;
        ended(g, GUEST_FAILED, reason ?: "QEMU failed");
}

static void tick_starting(Guest *g, const struct unit_status *u) {
        _cleanup_free_ char *reason = NULL;
        uint64_t need = guest_locked_memory(g->state.config.memory, g->state.config.vcpus);
        int r;

        if (qmp_is_ready(g->qmp)) {
                if (u->memlock > 0 && u->memlock < need) {
                        char a[32], b[32];

                        if (asprintf(&reason, "too little memory may be locked: the guest needs a limit of %s, %s are allowed",
                                     format_size(a, need), format_size(b, u->memlock)) < 0)
                                reason = NULL;
                        give_up(g, FAILURE_MEMORY, reason ?: "too little memory may be locked");
                        return;
                }
                r = launch_progress(g, 0, &reason);
                if (r < 0) {
                        give_up(g, g->failure, reason ?: "the realm could not be made");
                        return;
                }
                if (r > 0) {
                        g->state.status = GUEST_RUNNING;
                        g->ran = true;
                        changed(g);
                        log_guest(&g->state, LOG_INFO, "is running");
                        reply_launched(g);
                        tick_soon(g, TICK_IDLE_USEC);
                        return;
                }
        }
        if (now_usec(CLOCK_MONOTONIC) >= g->launch_deadline) {
                give_up(g, FAILURE_TIMEOUT, "QEMU and the kernel did not make the realm in time");
                return;
        }
        tick_soon(g, TICK_BUSY_USEC);
}

static void on_break_sent(sd_json_variant *result, void *userdata) {
        Guest *g = userdata;
        char letter[2] = {};

        if (!result || g->stop_step == 0)
                return;
        letter[0] = STOP_SYSRQ[g->stop_step - 1];
        (void) console_type(g->console, letter);
}

static void tick_stopping(Guest *g) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (g->stop_deadline > 0 && now >= g->stop_deadline) {
                g->stop_forced = true;
                if (g->stop_step < strlen(STOP_SYSRQ) && qmp_is_ready(g->qmp) &&
                    qmp_command(g->qmp, "chardev-send-break", "{\"id\":\"console\"}", on_break_sent) >= 0) {
                        g->stop_step++;
                        g->stop_deadline = now + (g->stop_step < strlen(STOP_SYSRQ) ? STOP_SYSRQ_STEP_USEC : STOP_SYSRQ_END_USEC);
                } else {
                        g->stop_deadline = 0;
                        (void) g->manager->ops->unit_stop(g->manager->system, g->unit);
                }
        }
        tick_soon(g, TICK_BUSY_USEC);
}

/* QEMU could not go on running the realm. It tells why on its standard error. */
static void stopped_with_error(Guest *g) {
        _cleanup_free_ char *reason = NULL, *messages = NULL, *all = NULL;

        (void) launch_progress(g, END_WAIT_USEC, &reason); /* as of now: what was last heard may be from before */
        messages = g->manager->ops->unit_messages(g->unit, g->state.created_usec);
        if (asprintf(&all, "%s%s%s", reason ?: "the realm stopped with an error", messages ? ": " : "", strempty(messages)) < 0)
                all = NULL;
        give_up(g, g->failure, all ?: "the realm stopped with an error");
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        Guest *g = userdata;
        struct unit_status u;
        int r;

        (void) s;
        (void) usec;
        r = g->manager->ops->unit_query(g->manager->system, g->unit, &u);
        if (r < 0) { /* the service manager is busy, or the bus restarts */
                tick_soon(g, 10 * TICK_BUSY_USEC);
                return 0;
        }
        if (!u.alive) {
                if (g->state.reason && g->state.status == GUEST_STOPPING) {
                        _cleanup_free_ char *reason = TAKE_PTR(g->state.reason);

                        if (u.failed)
                                (void) g->manager->ops->unit_forget(g->manager->system, g->unit);
                        ended(g, GUEST_FAILED, reason);
                } else
                        ended_as_unit_says(g, &u);
                return 0;
        }

        if (g->state.status == GUEST_STOPPING)
                tick_stopping(g);
        else if (g->check_status)
                stopped_with_error(g);
        else if (g->state.status == GUEST_STARTING)
                tick_starting(g, &u);
        else if (!qmp_is_ready(g->qmp) && g->lost_ticks < LOST_TICKS_MAX) {
                /* QEMU closed its control socket: systemd will say in a moment that it ended. */
                g->lost_ticks++;
                tick_soon(g, TICK_BUSY_USEC);
        } else
                tick_soon(g, TICK_IDLE_USEC);
        return 0;
}

static void tick_soon(Guest *g, uint64_t usec) {
        int r;

        if (g->timer) {
                r = sd_event_source_set_time_relative(g->timer, usec);
                r = r < 0 ? r : sd_event_source_set_enabled(g->timer, SD_EVENT_ONESHOT);
        } else
                r = sd_event_add_time_relative(g->manager->event, &g->timer, CLOCK_MONOTONIC, usec, 10 * USEC_PER_MSEC, on_tick, g);
        if (r < 0)
                log_guest(&g->state, LOG_ERR, "has no timer any more: %s", strerror(-r));
}

/* --- launch --- */

int launch_check_platform(Manager *m, const struct guest_config *c, struct failure *f) {
        const struct platform_needs needs = { .memory = c->memory, .vcpus = c->vcpus };
        struct platform_facts facts;
        struct check_report report = {};
        const struct check_result *bad;
        int r;

        m->ops->facts_read(&facts);
        r = checks_run(&facts, &needs, &report);
        if (r < 0)
                return r;
        bad = check_report_first_failure(&report);
        if (bad)
                r = FAIL(f, ERROR_CHECK_FAILED,
                         SD_JSON_BUILD_PAIR_STRING("check", bad->id),
                         SD_JSON_BUILD_PAIR_STRING("title", bad->title),
                         SD_JSON_BUILD_PAIR_STRING("message", bad->message),
                         SD_JSON_BUILD_PAIR_STRING("fix", bad->fix));
        check_report_done(&report);
        return r;
}

/* Are the descriptors what the client says they are? They are used with more rights than it has. */
static int check_descriptors(const struct guest_config *c, bool disk_is_block[], struct failure *f) {
        struct stat st;

        for (size_t i = 0; i < c->n_disks; i++) {
                int want = c->disks[i].read_only ? O_RDONLY : O_RDWR, flags;

                if (fstat(c->disks[i].fd, &st) < 0 || (flags = fcntl(c->disks[i].fd, F_GETFL)) < 0)
                        return fail_invalid(f, "disks", "a disk's descriptor is missing");
                if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                        return fail_invalid(f, "disks", "a disk must be a file or a block device");
                if ((flags & O_ACCMODE) != want || (flags & O_PATH))
                        return fail_invalid(f, "disks", "a disk's descriptor is not open as readOnly says");
                disk_is_block[i] = S_ISBLK(st.st_mode);
        }
        if (c->network == GUEST_NETWORK_TAP) {
                struct ifreq ifr = {};

                if (c->tap_fd < 0 || fstat(c->tap_fd, &st) < 0 || !S_ISCHR(st.st_mode) ||
                    ioctl(c->tap_fd, TUNGETIFF, &ifr) < 0 || !(ifr.ifr_flags & IFF_TAP))
                        return fail_invalid(f, "tap", "the descriptor is not an attached tap interface");
        }
        return 0;
}

/* Payload: places it and writes the device tree. */
static int plan(const struct guest_config *c, struct guest_layout *layout, uint64_t *kernel_size, int *ret_dtb, size_t *ret_dtb_size, struct failure *f) {
        _cleanup_free_ void *dtb = NULL;
        uint8_t header[IMAGE_HEADER_SIZE];
        struct image_header image;
        uint64_t initrd_size = 0;
        const char *why;
        size_t size;
        ssize_t n;
        int r;

        r = memfd_check_sealed(c->kernel_fd, kernel_size);
        if (r < 0)
                return fail_invalid(f, "kernel", "the kernel must be passed as a sealed memfd");
        if (*kernel_size > GUEST_KERNEL_MAX)
                return fail_invalid(f, "kernel", "the kernel is larger than 256M");
        n = pread(c->kernel_fd, header, sizeof(header), 0);
        r = image_header_parse(header, n < 0 ? 0 : (size_t) n, &image, &why);
        if (r < 0) {
                _cleanup_free_ char *message = NULL;

                if (asprintf(&message, "the kernel can not be used: %s", why) < 0)
                        return -ENOMEM;
                return fail_invalid(f, "kernel", message);
        }
        if (c->initrd_fd >= 0) {
                r = memfd_check_sealed(c->initrd_fd, &initrd_size);
                if (r < 0)
                        return fail_invalid(f, "initrd", "the initrd must be passed as a sealed memfd");
                if (initrd_size == 0 || initrd_size > GUEST_INITRD_MAX)
                        return fail_invalid(f, "initrd", "the initrd is empty or larger than 2G");
        }

        r = guest_layout_plan(c->memory, &image, *kernel_size, initrd_size, GUEST_DTB_MAX, layout);
        if (r == -ENOSPC)
                return fail_invalid(f, "memory", "kernel, initrd and device tree do not fit into the guest's memory; give it more");
        if (r < 0)
                return r;

        r = guest_fdt_build(
                        &(struct fdt_input) {
                                .layout = layout, .vcpus = c->vcpus, .bootargs = c->append, .earlycon = c->earlycon },
                        &dtb, &size);
        if (r == -E2BIG)
                return fail_invalid(f, "append", GUEST_APPEND_TOO_LONG);
        if (r < 0)
                return r;
        *ret_dtb = memfd_from_data("kcore-dtb", dtb, size);
        *ret_dtb_size = size;
        return *ret_dtb < 0 ? *ret_dtb : 0;
}

/* The armed launch descriptor. */
static int arm(Manager *m, const struct guest_config *c, const struct guest_layout *l, uint64_t kernel_size, int dtb, size_t dtb_size, struct failure *f) {
        const struct kcore_launch_config config = {
                .ram_base = l->ram_base,
                .ram_size = l->ram_size,
                .vcpus = c->vcpus,
                .s2sz = l->s2sz,
                .hash_algo = KCORE_HASH_SHA256,
                .entry_pc = l->entry,
                .entry_regs = { l->dtb },
        };
        _cleanup_close_ int fd = -EBADF;
        int r;

        fd = m->ops->launch_open();
        if (fd < 0)
                return fail_launch(f, c->name, "can not open " KCORE_DEVICE, fd);
        r = m->ops->launch_config(fd, &config);
        if (r < 0)
                return fail_launch(f, c->name, "the kernel refuses the guest's configuration", r);
        r = m->ops->launch_segment(fd, c->kernel_fd, l->kernel, kernel_size);
        if (r >= 0 && c->initrd_fd >= 0)
                r = m->ops->launch_segment(fd, c->initrd_fd, l->initrd, l->initrd_size);
        if (r >= 0)
                r = m->ops->launch_segment(fd, dtb, l->dtb, dtb_size);
        if (r < 0)
                return fail_launch(f, c->name, "the kernel refuses the guest's payload", r);
        return TAKE_FD(fd);
}

static void remember_payload(Guest *g, const struct kci_image *image, const struct guest_layout *l, uint64_t kernel_size, uint64_t dtb_size) {
        if (image)
                for (; g->n_payload < image->n_segments; g->n_payload++) {
                        const struct kci_segment *s = &image->segments[g->n_payload];

                        g->payload[g->n_payload] = (struct payload) { kci_kind_to_string(s->kind), s->ipa, s->pages * KCI_PAGE };
                }
        else {
                g->payload[g->n_payload++] = (struct payload) { kci_kind_to_string(KCI_KERNEL), l->kernel, kernel_size };
                if (l->initrd_size > 0)
                        g->payload[g->n_payload++] = (struct payload) { kci_kind_to_string(KCI_INITRD), l->initrd, l->initrd_size };
                g->payload[g->n_payload++] = (struct payload) { kci_kind_to_string(KCI_DTB), l->dtb, dtb_size };
        }
}

static int start_unit(Guest *g, const struct guest_layout *l, const bool disk_is_block[], struct failure *f) {
        const struct guest_config *c = &g->state.config;
        _cleanup_free_ char *qmp_path = NULL, *console_path = NULL, *agent_path = NULL, *description = NULL, *error = NULL;
        _cleanup_close_ int qmp = -EBADF, console = -EBADF, agent = -EBADF;
        char names[GUEST_DISKS_MAX][32];
        _cleanup_strv_free_ char **argv = NULL;
        struct qemu_fds fds = { .tap = -EBADF };
        struct unit_request q = {
                .unit = g->unit,
                .memlock = guest_locked_memory(c->memory, c->vcpus),
                .network = c->network == GUEST_NETWORK_USER,
        };
        int r;

        qmp_path = guest_file(g, "qmp.sock");
        console_path = guest_file(g, "console.sock");
        agent_path = guest_file(g, "agent.sock");
        if (!qmp_path || !console_path || !agent_path || asprintf(&description, "KCore guest %s", c->name) < 0)
                return -ENOMEM;
        qmp = socket_listen_unix(qmp_path, 0600);
        console = socket_listen_unix(console_path, 0600);
        agent = socket_listen_unix(agent_path, 0600);
        if (qmp < 0 || console < 0 || agent < 0)
                return fail_launch(f, c->name, "can not make the guest's sockets", qmp < 0 ? qmp : console < 0 ? console : agent);

#define PASS(fd, name) (q.fds[q.n_fds] = (fd), q.fd_names[q.n_fds] = (name), SD_LISTEN_FDS_START + (int) q.n_fds++)
        fds.kcore = PASS(g->launch_fd, "kcore");
        fds.qmp = PASS(qmp, "qmp");
        fds.console = PASS(console, "console");
        fds.agent = PASS(agent, "agent");
        if (c->network == GUEST_NETWORK_TAP)
                fds.tap = PASS(c->tap_fd, "tap");
        for (size_t i = 0; i < c->n_disks; i++) {
                snprintf(names[i], sizeof(names[i]), "disk%zu", i);
                fds.disks[i] = PASS(c->disks[i].fd, names[i]);
                fds.disk_is_block[i] = disk_is_block[i];
        }
#undef PASS

        r = qemu_cmdline_build(QEMU_BINARY, c, l, &fds, &argv);
        if (r < 0)
                return r;
        q.description = description;
        q.argv = argv;
        r = g->manager->ops->unit_start(g->manager->system, &q, &error);
        if (r < 0) {
                _cleanup_free_ char *message = NULL;

                if (asprintf(&message, "systemd does not start %s: %s", g->unit, error ?: strerror(-r)) < 0)
                        return -ENOMEM;
                return FAIL(f, ERROR_LAUNCH_FAILED, SD_JSON_BUILD_PAIR_STRING("name", c->name),
                            SD_JSON_BUILD_PAIR_STRING("message", message));
        }
        return 0;
}

int guest_launch(Manager *m, struct guest_config *c, sd_varlink *link, bool wants_progress, struct failure *f) {
        _cleanup_(config_error_donep) struct config_error e = {};
        _cleanup_close_ int dtb = -EBADF, launch = -EBADF;
        bool disk_is_block[GUEST_DISKS_MAX] = {};
        struct guest_layout layout;
        struct kci_image image;
        uint64_t kernel_size = 0;
        size_t dtb_size = 0;
        Guest *g, *old;
        int r;

        /* Everything is looked at before anything is made. */
        r = c->image_fd < 0 ? 0 : guest_image_read(c, &image, f);
        if (r < 0)
                return r;
        r = guest_config_validate(c, &e);
        if (r == -EINVAL)
                return fail_invalid(f, e.field, e.message);
        if (r < 0)
                return r;
        old = manager_find(m, c->name);
        if (old && guest_status_is_alive(old->state.status))
                return FAIL(f, ERROR_GUEST_EXISTS, SD_JSON_BUILD_PAIR_STRING("name", c->name));
        if (!old && m->n_guests >= GUESTS_MAX)
                return FAIL(f, ERROR_TOO_MANY_GUESTS, SD_JSON_BUILD_PAIR_UNSIGNED("limit", GUESTS_MAX));
        r = launch_check_platform(m, c, f);
        if (r < 0)
                return r;
        r = check_descriptors(c, disk_is_block, f);
        if (r < 0)
                return r;
        if (c->image_fd < 0)
                r = plan(c, &layout, &kernel_size, &dtb, &dtb_size, f);
        else
                r = guest_layout_memory(c->memory, &layout);
        if (r < 0)
                return r;
        launch = c->image_fd < 0 ? arm(m, c, &layout, kernel_size, dtb, dtb_size, f) : guest_image_arm(m->ops, c, &image, f);
        if (launch < 0)
                return launch;

        if (old)
                guest_remove(old);
        r = guest_new(m, c->name, &g);
        if (r < 0)
                return r;
        g->launch_fd = TAKE_FD(launch);
        remember_payload(g, c->image_fd < 0 ? NULL : &image, &layout, kernel_size, dtb_size);
        g->state.config = *c;
        *c = (struct guest_config) GUEST_CONFIG_INIT;
        if (sd_id128_is_null(g->state.config.uuid)) {
                r = sd_id128_randomize(&g->state.config.uuid);
                if (r < 0)
                        goto fail;
        }
        g->state.status = GUEST_STARTING;
        g->state.created_usec = now_usec(CLOCK_REALTIME);
        g->launch_deadline = now_usec(CLOCK_MONOTONIC) + LAUNCH_TIMEOUT_USEC;
        if (mkdir(g->dir, 0700) < 0 && errno != EEXIST) {
                r = fail_launch(f, g->state.config.name, "can not make the guest's directory", -errno);
                goto fail;
        }
        /* Both before the unit exists: a restart finds it then. */
        changed(g);
        store(g, g->launch_fd);

        r = start_unit(g, &layout, disk_is_block, f);
        if (r < 0)
                goto fail;
        guest_config_close_fds(&g->state.config);
        r = connect_sockets(g);
        if (r == -ECONNREFUSED)
                r = 0; /* QEMU ended at once: the first tick sees that, and knows why */
        r = r < 0 ? r : launch_watch_new(m->event, m->ops, g->launch_fd, &g->watch);
        if (r < 0) {
                (void) m->ops->unit_kill(m->system, g->unit);
                goto fail;
        }

        g->launcher = sd_varlink_ref(link);
        g->launcher_wants_progress = wants_progress;
        progress(g, "starting");
        tick_soon(g, TICK_BUSY_USEC);
        return 0;
fail:
        store(g, -EBADF);
        guest_remove(g);
        return r;
}

/* --- stop --- */

/* The button of the device tree, and the key of a keyboard: guests have a driver for one or both. Whoever
 * gets two presses shuts down once. */
static int press_power_button(Guest *g) {
        int r;

        r = qmp_command(g->qmp, "system_powerdown", NULL, NULL);
        if (r >= 0)
                (void) qmp_press_power_key(g->qmp);
        return r;
}

int guest_stop(Guest *g, bool force, uint64_t timeout_usec, sd_varlink *link, struct failure *f) {
        size_t slot;

        if (!guest_status_is_alive(g->state.status)) {
                /* It ended by itself: what is left to stop is its record. */
                guest_remove(g);
                return link ? sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_BOOLEAN("forced", false)) : 0;
        }
        for (slot = 0; slot < STOP_WAITERS_MAX && g->stoppers[slot]; slot++)
                ;
        if (slot == STOP_WAITERS_MAX)
                return FAIL(f, ERROR_BUSY, SD_JSON_BUILD_PAIR_STRING("name", g->state.config.name));

        g->remove_when_ended = true;
        /* A guest that did not get as far as an operating system has no power button. */
        if (g->state.status == GUEST_STARTING || !qmp_is_ready(g->qmp))
                force = true;
        if (g->state.status != GUEST_STOPPING) {
                g->state.status = GUEST_STOPPING;
                changed(g);
        }
        if (!force && press_power_button(g) >= 0) {
                uint64_t deadline = now_usec(CLOCK_MONOTONIC) + MIN(timeout_usec, (uint64_t) STOP_TIMEOUT_MAX_USEC);

                if (g->stop_step == 0 && (g->stop_deadline == 0 || deadline < g->stop_deadline))
                        g->stop_deadline = deadline;
        } else {
                g->stop_deadline = 0;
                g->stop_forced = true;
                (void) g->manager->ops->unit_kill(g->manager->system, g->unit);
        }
        g->stoppers[slot] = sd_varlink_ref(link);
        tick_soon(g, TICK_BUSY_USEC);
        return 0;
}

/* --- after a restart of the daemon --- */

int guest_load(Manager *m, const char *name, Guest **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        _cleanup_free_ char *path = NULL, *text = NULL, *stored = NULL;
        Guest *g;
        int r;

        if (!guest_name_is_valid(name))
                return -EINVAL;
        r = guest_new(m, name, &g);
        if (r < 0)
                return r;
        path = guest_file(g, "state.json");
        if (!path) {
                r = -ENOMEM;
                goto fail;
        }
        r = read_small_file(path, 256 * KIB, &text);
        if (r == -ENOENT) { /* a launch or a removal was cut off */
                guest_remove(g);
                return r;
        }
        if (r < 0)
                goto fail;
        r = sd_json_parse(text, 0, &v, NULL, NULL);
        if (r < 0)
                goto fail;
        r = guest_state_from_json(v, &g->state);
        if (r < 0)
                goto fail;
        if (!streq(g->state.config.name, name)) {
                r = -EBADMSG;
                goto fail;
        }
        if (asprintf(&stored, STORED_GUEST_PREFIX "%s", name) < 0) {
                stored = NULL;
                r = -ENOMEM;
                goto fail;
        }
        g->launch_fd = manager_take_stored_fd(m, stored);
        g->ran = g->state.status != GUEST_STARTING;
        g->found = true;

        if (guest_status_is_alive(g->state.status)) {
                if (g->state.status == GUEST_STOPPING) {
                        /* Whoever waited for it is gone with the old daemon; the wish stays. */
                        g->remove_when_ended = true;
                        g->stop_deadline = now_usec(CLOCK_MONOTONIC) + STOP_TIMEOUT_DEFAULT_USEC;
                }
                g->launch_deadline = now_usec(CLOCK_MONOTONIC) + LAUNCH_TIMEOUT_USEC;
                if (g->launch_fd >= 0)
                        (void) launch_watch_new(m->event, m->ops, g->launch_fd, &g->watch);
                (void) connect_sockets(g); /* fails if it ended meanwhile: the first tick sees that */
                tick_soon(g, 0);
        }
        *ret = g;
        return 0;
fail:
        guest_free(g);
        return r;
}

/* --- show --- */

int guest_agent(const Guest *g) {
        _cleanup_free_ char *path = guest_file(g, "agent.sock");

        return path ? socket_connect_unix(path) : -ENOMEM;
}

int guest_describe(Guest *g, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *state = NULL, *runtime = NULL, *realm = NULL;
        struct unit_status u = {};
        struct kcore_launch_status s;
        char mac[18];
        int r;

        r = guest_state_to_json(&g->state, &state);
        if (r < 0)
                return r;
        if (guest_status_is_alive(g->state.status)) {
                (void) g->manager->ops->unit_query(g->manager->system, g->unit, &u);
                if (g->watch && launch_watch_get(g->watch, DESCRIBE_WAIT_USEC, &s) > 0) {
                        r = launch_status_to_json(&s, &realm);
                        if (r < 0)
                                return r;
                }
                qemu_mac_address(g->state.config.uuid, mac);
                r = sd_json_buildo(
                                &runtime,
                                SD_JSON_BUILD_PAIR_STRING("unit", g->unit),
                                SD_JSON_BUILD_PAIR_INTEGER("pid", u.main_pid),
                                SD_JSON_BUILD_PAIR_UNSIGNED("lockedMemoryLimit", u.memlock),
                                SD_JSON_BUILD_PAIR_UNSIGNED("cpuUSec", u.cpu_usec),
                                SD_JSON_BUILD_PAIR_UNSIGNED("consoleClients", console_clients(g->console)),
                                SD_JSON_BUILD_PAIR_CONDITION(
                                                g->state.config.network != GUEST_NETWORK_NONE, "macAddress",
                                                SD_JSON_BUILD_STRING(mac)),
                                SD_JSON_BUILD_PAIR_CONDITION(!!realm, "realm", SD_JSON_BUILD_VARIANT(realm)));
                if (r < 0)
                        return r;
        }
        return sd_json_buildo(
                        ret, SD_JSON_BUILD_PAIR_VARIANT("guest", state),
                        SD_JSON_BUILD_PAIR_CONDITION(!!runtime, "runtime", SD_JSON_BUILD_VARIANT(runtime)));
}
