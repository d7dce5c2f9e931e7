/* SPDX-License-Identifier: Apache-2.0 */

/* The real system behind ops.h: /dev/kcore, systemd over D-Bus, the journal. */

#include "ops.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

#define BUS_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define MESSAGES_MAX 5

#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"

struct system {
        sd_bus *bus;
};

/* The system bus; on a machine without a bus daemon, systemd's own socket. */
static int connect_bus(sd_bus **ret) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r < 0) {
                bus = sd_bus_unref(bus);
                r = sd_bus_new(&bus);
                if (r < 0)
                        return r;
                r = sd_bus_set_address(bus, "unix:path=/run/systemd/private");
                if (r < 0)
                        return r;
                r = sd_bus_start(bus);
                if (r < 0)
                        return r;
        }
        (void) sd_bus_set_method_call_timeout(bus, BUS_TIMEOUT_USEC);
        (void) sd_bus_set_exit_on_disconnect(bus, false);
        *ret = TAKE_PTR(bus);
        return 0;
}

int system_connect(void **ret) {
        struct system *s;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *ret = s;
        return 0;
}

void system_disconnect(void *system) {
        struct system *s = system;

        if (!s)
                return;
        sd_bus_flush_close_unref(s->bus);
        free(s);
}

/* Connects late and again: the bus may be restarted under us. */
static int get_bus(void *system, sd_bus **ret) {
        struct system *s = system;

        if (s->bus && sd_bus_is_open(s->bus) > 0) {
                /* Nobody dispatches this connection between calls: drop what came in meanwhile. */
                while (sd_bus_process(s->bus, NULL) > 0)
                        ;
        }
        if (!s->bus || sd_bus_is_open(s->bus) <= 0) {
                s->bus = sd_bus_close_unref(s->bus);
                int r = connect_bus(&s->bus);
                if (r < 0)
                        return r;
        }
        *ret = s->bus;
        return 0;
}

static int append_exec(sd_bus_message *m, char **argv) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sv");
        r = r < 0 ? r : sd_bus_message_append(m, "s", "ExecStart");
        r = r < 0 ? r : sd_bus_message_open_container(m, 'v', "a(sasb)");
        r = r < 0 ? r : sd_bus_message_open_container(m, 'a', "(sasb)");
        r = r < 0 ? r : sd_bus_message_open_container(m, 'r', "sasb");
        r = r < 0 ? r : sd_bus_message_append(m, "s", argv[0]);
        r = r < 0 ? r : sd_bus_message_append_strv(m, argv);
        r = r < 0 ? r : sd_bus_message_append(m, "b", false);
        for (int i = 0; i < 4; i++)
                r = r < 0 ? r : sd_bus_message_close_container(m);
        return r;
}

static int append_fds(sd_bus_message *m, const struct unit_request *q) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sv");
        r = r < 0 ? r : sd_bus_message_append(m, "s", "ExtraFileDescriptors");
        r = r < 0 ? r : sd_bus_message_open_container(m, 'v', "a(hs)");
        r = r < 0 ? r : sd_bus_message_open_container(m, 'a', "(hs)");
        for (size_t i = 0; i < q->n_fds; i++)
                r = r < 0 ? r : sd_bus_message_append(m, "(hs)", q->fds[i], q->fd_names[i]);
        for (int i = 0; i < 3; i++)
                r = r < 0 ? r : sd_bus_message_close_container(m);
        return r;
}

/* QEMU is a device model that a hostile guest talks to: it gets its own user, no file to write, no device but
 * /dev/kvm (for probing), no new privileges. What it needs it inherits. */
static int append_properties(sd_bus_message *m, const struct unit_request *q) {
        int r;

        r = sd_bus_message_append(m, "(sv)", "Description", "s", q->description);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "Type", "s", "exec");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "Slice", "s", "kcore.slice");
        /* When the machine goes down, that unit goes first, and stops guests as they should be. */
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "Before", "as", 1, "kcore-guests.service");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "User", "s", "kcore-qemu");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "Group", "s", "kcore-qemu");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "SupplementaryGroups", "as", 1, "kvm");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "LimitMEMLOCK", "t", q->memlock);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "LimitMEMLOCKSoft", "t", q->memlock);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "LimitCORE", "t", UINT64_C(0));
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "KillMode", "s", "mixed");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "TimeoutStopUSec", "t", 10 * USEC_PER_SEC);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "StandardInput", "s", "null");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "StandardOutput", "s", "journal");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "StandardError", "s", "journal");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "NoNewPrivileges", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "CapabilityBoundingSet", "t", UINT64_C(0));
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "DevicePolicy", "s", "closed");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "DeviceAllow", "a(ss)", 1, "/dev/kvm", "rw");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "ProtectSystem", "s", "strict");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "ProtectHome", "s", "yes");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "PrivateTmp", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "PrivateIPC", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "PrivateNetwork", "b", !q->network);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "ProtectKernelTunables", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "ProtectKernelModules", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "ProtectKernelLogs", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "ProtectControlGroups", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "ProtectClock", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "ProtectHostname", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "ProtectProc", "s", "invisible");
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "RestrictNamespaces", "t", UINT64_C(0));
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "RestrictSUIDSGID", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "RestrictRealtime", "b", true);
        r = r < 0 ? r : sd_bus_message_append(m, "(sv)", "LockPersonality", "b", true);
        r = r < 0 ? r : append_exec(m, q->argv);
        r = r < 0 ? r : append_fds(m, q);
        return r;
}

static int unit_start(void *system, const struct unit_request *q, char **ret_error) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus;
        int r;

        r = get_bus(system, &bus);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(bus, &m, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "StartTransientUnit");
        r = r < 0 ? r : sd_bus_message_append(m, "ss", q->unit, "fail");
        r = r < 0 ? r : sd_bus_message_open_container(m, 'a', "(sv)");
        r = r < 0 ? r : append_properties(m, q);
        r = r < 0 ? r : sd_bus_message_close_container(m);
        r = r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r < 0)
                return r;
        r = sd_bus_call(bus, m, 0, &error, NULL);
        if (r < 0 && error.message)
                *ret_error = strdup(error.message);
        return r < 0 ? r : 0;
}

static int get_string(sd_bus *bus, const char *path, const char *interface, const char *name, char *buf, size_t size) {
        _cleanup_free_ char *s = NULL;
        int r;

        r = sd_bus_get_property_string(bus, DESTINATION, path, interface, name, NULL, &s);
        if (r < 0)
                return r;
        snprintf(buf, size, "%s", s);
        return 0;
}

/* A drop-in may have lowered the limit that we asked for: believe the process. 0 if it can not be read. */
static uint64_t process_memlock(uint32_t pid) {
        _cleanup_free_ char *file = NULL, *text = NULL;
        const char *p;

        if (asprintf(&file, "/proc/%u/limits", pid) < 0) {
                file = NULL;
                return 0;
        }
        if (read_small_file(file, 64 * KIB, &text) < 0 || !(p = strstr(text, "Max locked memory")))
                return 0;
        p += strlen("Max locked memory");
        p += strspn(p, " ");
        return *p == 'u' ? UINT64_MAX : strtoull(p, NULL, 10);
}

/* User and system time of all its threads: utime and stime in /proc/PID/stat, behind the name in brackets. */
static uint64_t process_cpu(uint32_t pid) {
        _cleanup_free_ char *file = NULL, *text = NULL;
        uint64_t user, system;
        const char *p;
        long hz = sysconf(_SC_CLK_TCK);

        if (asprintf(&file, "/proc/%u/stat", pid) < 0) {
                file = NULL;
                return 0;
        }
        if (hz <= 0 || read_small_file(file, 4 * KIB, &text) < 0 || !(p = strrchr(text, ')')) ||
            sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user, &system) != 2)
                return 0;
        return (user + system) * (USEC_PER_SEC / (uint64_t) hz);
}

/* Is systemd about to start or stop it? A unit whose start waits for something, as for its slice, is inactive
 * until then. */
static int unit_has_job(sd_bus *bus, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        uint32_t id;
        int r;

        r = sd_bus_get_property(bus, DESTINATION, path, "org.freedesktop.systemd1.Unit", "Job", NULL, &m, "(uo)");
        r = r < 0 ? r : sd_bus_message_read(m, "(uo)", &id, NULL);
        return r < 0 ? r : id != 0;
}

/* This is asked several times a second while a guest starts or stops: as few calls as possible. */
static int unit_query(void *system, const char *unit, struct unit_status *ret) {
        static const char service[] = "org.freedesktop.systemd1.Service";
        _cleanup_free_ char *path = NULL;
        struct unit_status s = {};
        char active[32];
        uint32_t pid = 0;
        sd_bus *bus;
        int job, r;

        r = get_bus(system, &bus);
        if (r < 0)
                return r;
        /* systemd answers for a unit that it does not know, too: "inactive". The job is asked for first: once there
         * is none, the state is what came of it. */
        r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
        r = job = r < 0 ? r : unit_has_job(bus, path);
        r = r < 0 ? r : get_string(bus, path, "org.freedesktop.systemd1.Unit", "ActiveState", active, sizeof(active));
        if (r < 0)
                return r;
        s.alive = job > 0 || (!streq(active, "inactive") && !streq(active, "failed"));
        s.failed = !s.alive && streq(active, "failed");
        if (s.alive) {
                r = sd_bus_get_property_trivial(bus, DESTINATION, path, service, "MainPID", NULL, 'u', &pid);
                if (r < 0)
                        return r;
                s.main_pid = (pid_t) pid;
                if (pid > 0) {
                        s.memlock = process_memlock(pid);
                        s.cpu_usec = process_cpu(pid);
                }
        } else if (s.failed) {
                r = get_string(bus, path, service, "Result", s.result, sizeof(s.result));
                r = r < 0 ? r : sd_bus_get_property_trivial(bus, DESTINATION, path, service, "ExecMainCode", NULL, 'i', &s.exit_code);
                r = r < 0 ? r : sd_bus_get_property_trivial(bus, DESTINATION, path, service, "ExecMainStatus", NULL, 'i', &s.exit_status);
                if (r < 0)
                        return r;
        }
        *ret = s;
        return 0;
}

static int unit_call(void *system, const char *method, const char *types, const char *unit, const char *arg) {
        sd_bus *bus;
        int r;

        r = get_bus(system, &bus);
        if (r < 0)
                return r;
        if (arg)
                return sd_bus_call_method(bus, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, method, NULL, NULL, types, unit, arg);
        return sd_bus_call_method(bus, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, method, NULL, NULL, types, unit);
}

static int unit_stop(void *system, const char *unit) {
        return unit_call(system, "StopUnit", "ss", unit, "replace");
}

static int unit_kill(void *system, const char *unit) {
        sd_bus *bus;
        int r;

        r = get_bus(system, &bus);
        if (r < 0)
                return r;
        return sd_bus_call_method(
                        bus, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "KillUnit", NULL, NULL, "ssi", unit, "all",
                        (int32_t) SIGKILL);
}

static int unit_forget(void *system, const char *unit) {
        return unit_call(system, "ResetFailedUnit", "s", unit, NULL);
}

/* When a vCPU fails, QEMU prints its registers: of a realm they are zeros, and they would hide why it failed. */
static bool of_register_dump(const char *line, size_t size) {
        while (size > 0 && *line == ' ') {
                line++;
                size--;
        }
        return (size > 3 && (memcmp(line, "PC=", 3) == 0 || memcmp(line, "SP=", 3) == 0)) ||
                (size > 7 && memcmp(line, "PSTATE=", 7) == 0) || (size > 4 && line[0] == 'X' && line[3] == '=');
}

static char *unit_messages(const char *unit, uint64_t since) {
        static const char prefix[] = "qemu-system-aarch64: ";
        _cleanup_free_ char *match = NULL, *text = NULL;
        char *lines[MESSAGES_MAX] = {};
        sd_journal *j = NULL;
        size_t n = 0;

        if (asprintf(&match, "_SYSTEMD_UNIT=%s", unit) < 0) {
                match = NULL;
                return NULL;
        }
        if (sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY) < 0)
                return NULL;
        if (sd_journal_add_match(j, match, 0) >= 0 && sd_journal_seek_tail(j) >= 0)
                while (n < MESSAGES_MAX && sd_journal_previous(j) > 0) {
                        const char *line;
                        const void *data;
                        uint64_t stamp;
                        size_t size;

                        if (sd_journal_get_realtime_usec(j, &stamp) < 0 || stamp < since)
                                break;
                        if (sd_journal_get_data(j, "MESSAGE", &data, &size) < 0 || size < 8)
                                continue;
                        line = (const char *) data + strlen("MESSAGE=");
                        size -= strlen("MESSAGE=");
                        if (of_register_dump(line, size))
                                continue;
                        if (size > strlen(prefix) && memcmp(line, prefix, strlen(prefix)) == 0) {
                                line += strlen(prefix);
                                size -= strlen(prefix);
                        }
                        lines[n] = strndup(line, MIN(size, (size_t) 500));
                        if (!lines[n])
                                break;
                        n++;
                }
        sd_journal_close(j);

        /* Oldest first. */
        while (n-- > 0) {
                char *next = NULL;

                if (asprintf(&next, "%s%s%s", strempty(text), text ? "; " : "", lines[n]) < 0)
                        next = NULL;
                free(text);
                text = next;
                free(lines[n]);
        }
        return TAKE_PTR(text);
}

static void facts_read(struct platform_facts *ret) {
        platform_facts_read(QEMU_BINARY, ret);
}

static int launch_open(void) {
        return kcore_device_open(O_RDWR);
}

static int identity_read(uint8_t buf[static KCORE_IDENTITY_MAX]) {
        _cleanup_close_ int fd = -EBADF;

        fd = kcore_device_open(O_RDONLY);
        return fd < 0 ? fd : kcore_identity_read(fd, buf);
}

static int log_read(uint64_t *seq, char buf[static 4096], uint64_t *ret_lost) {
        _cleanup_close_ int fd = -EBADF;

        fd = kcore_device_open(O_RDONLY);
        return fd < 0 ? fd : kcore_log_read(fd, seq, buf, ret_lost);
}

static int counter_read(uint32_t index, uint64_t *ret) {
        _cleanup_close_ int fd = -EBADF;

        fd = kcore_device_open(O_RDWR);
        return fd < 0 ? fd : kcore_counter_read(fd, index, ret);
}

static void process_read(pid_t pid, uint64_t *ret_memlock, uint64_t *ret_cpu_usec) {
        *ret_memlock = process_memlock((uint32_t) pid);
        *ret_cpu_usec = process_cpu((uint32_t) pid);
}

static int peer_read(pid_t pid, char **ret_profile, char **ret_cgroup) {
        _cleanup_free_ char *profile = NULL, *cgroup = NULL;
        char path[64];
        int r;

        snprintf(path, sizeof(path), "/proc/%d/attr/current", (int) pid);
        r = read_small_file(path, 4 * KIB, &profile);
        if (r < 0 && r != -EINVAL && r != -ENOENT) /* what the kernel says without such a security module */
                return r;
        snprintf(path, sizeof(path), "/proc/%d/cgroup", (int) pid);
        r = read_small_file(path, 64 * KIB, &cgroup);
        if (r < 0)
                return r;
        *ret_profile = TAKE_PTR(profile);
        *ret_cgroup = TAKE_PTR(cgroup);
        return 0;
}

static void fd_store(const char *name, int fd) {
        _cleanup_free_ char *message = NULL;

        if (asprintf(&message, fd >= 0 ? "FDSTORE=1\nFDPOLL=0\nFDNAME=%s" : "FDSTOREREMOVE=1\nFDNAME=%s", name) < 0) {
                message = NULL;
                return;
        }
        (void) sd_pid_notify_with_fds(0, false, message, &fd, fd >= 0 ? 1 : 0);
}

const struct manager_ops system_ops = {
        .facts_read = facts_read,
        .launch_open = launch_open,
        .launch_config = kcore_launch_config,
        .launch_segment = kcore_launch_segment,
        .launch_segment_at = kcore_launch_segment_at,
        .launch_segment_sealed = kcore_launch_segment_sealed,
        .launch_policy = kcore_launch_policy,
        .launch_key = kcore_launch_key,
        .launch_status = kcore_launch_status,
        .identity_read = identity_read,
        .log_read = log_read,
        .counter_read = counter_read,
        .unit_start = unit_start,
        .unit_query = unit_query,
        .unit_stop = unit_stop,
        .unit_kill = unit_kill,
        .unit_forget = unit_forget,
        .unit_messages = unit_messages,
        .peer_read = peer_read,
        .process_read = process_read,
        .fd_store = fd_store,
};
