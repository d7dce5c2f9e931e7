/* SPDX-License-Identifier: Apache-2.0 */
#include "fake-system.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct fake_system fake;

void fake_reset(void) {
        fake_kill_all();
        fake = (struct fake_system) {
                .facts = {
                        .machine = "aarch64",
                        .release = "6.12.0-kcore",
                        .kernel_support = 1,
                        .info = { .api_version = KCORE_API_VERSION, .core_version = 0x10000, .core_features = 1, .counters = 2 },
                        .kvm_present = true,
                        .qemu_version = 100013,
                        .qemu_version_string = "10.0.13",
                        .systemd_running = true,
                        .limits_free = true,
                        .memory_available = 2 * GIB,
                },
        };
}

void fake_kill_all(void) {
        for (size_t i = 0; i < fake.n_units; i++)
                if (fake.units[i].alive) {
                        kill(fake.units[i].pid, SIGKILL);
                        waitpid(fake.units[i].pid, NULL, 0);
                }
        fake.n_units = 0;
}

static void facts_read(struct platform_facts *ret) {
        *ret = fake.facts;
}

static int launch_open(void) {
        fake.n_segments = 0;
        fake.has_policy = fake.has_key = false;
        return memfd_create("launch", MFD_CLOEXEC);
}

static int launch_config(int fd, const struct kcore_launch_config *c) {
        (void) fd;
        fake.config = *c;
        return fake.config_error;
}

static int launch_segment_sealed(int fd, int memfd, uint64_t offset, uint64_t ipa, uint64_t length, uint64_t tags) {
        (void) fd;
        assert_ok(fcntl(memfd, F_GET_SEALS));
        assert_true(fake.n_segments < ELEMENTSOF(fake.segments));
        fake.segments[fake.n_segments].ipa = ipa;
        fake.segments[fake.n_segments].offset = offset;
        fake.segments[fake.n_segments].tags = tags;
        fake.segments[fake.n_segments++].length = length;
        return fake.segment_error;
}

static int launch_segment_at(int fd, int memfd, uint64_t offset, uint64_t ipa, uint64_t length) {
        return launch_segment_sealed(fd, memfd, offset, ipa, length, 0);
}

static int launch_segment(int fd, int memfd, uint64_t ipa, uint64_t length) {
        return launch_segment_at(fd, memfd, 0, ipa, length);
}

static int launch_policy(int fd, const uint8_t block[static KCORE_LAUNCH_BLOCK_SIZE]) {
        (void) fd;
        assert_false(fake.has_policy || fake.has_key || fake.n_segments > 0);
        fake.has_policy = true;
        memcpy(fake.block, block, sizeof(fake.block));
        return fake.policy_error;
}

static int launch_key(int fd, const uint8_t enc[static 32], const uint8_t ct[static 48]) {
        (void) fd;
        assert_true(fake.has_policy && !fake.has_key && fake.n_segments == 0);
        fake.has_key = true;
        memcpy(fake.enc, enc, sizeof(fake.enc));
        memcpy(fake.ct, ct, sizeof(fake.ct));
        return fake.key_error;
}

static int identity_read(uint8_t buf[static KCORE_IDENTITY_MAX]) {
        if (fake.identity_error < 0)
                return fake.identity_error;
        memcpy(buf, fake.identity, fake.identity_size);
        return (int) fake.identity_size;
}

static int launch_status(int fd, struct kcore_launch_status *ret) {
        (void) fd;
        if (fake.status_delay_usec > 0)
                usleep((useconds_t) fake.status_delay_usec);
        *ret = (struct kcore_launch_status) {
                .state = fake.launch_state ?: KCORE_LAUNCH_ACTIVE,
                .s2sz = 33,
                .realm_id = 7,
                .pid = getpid(),
                .exits = fake.launch_exits,
        };
        if (fake.launch_error < 0) {
                ret->state = KCORE_LAUNCH_DEAD;
                ret->error = fake.launch_error;
                ret->rmi_command = 0x15a;
                ret->rmi_status = fake.launch_rmi_status ?: 1;
                if (fake.bad_page)
                        ret->error_ipa = fake.segments[fake.n_segments - 1].ipa + ((fake.segments[fake.n_segments - 1].length - 1) & ~UINT64_C(4095));
        }
        return 0;
}

static int log_read(uint64_t *seq, char buf[static 4096], uint64_t *ret_lost) {
        static const char text[] = "kcore: started\nkcore: \x1b[2Jbinary\n";

        *ret_lost = 0;
        if (*seq >= strlen(text))
                return 0;
        memcpy(buf, text + *seq, strlen(text) - *seq);
        int n = (int) (strlen(text) - *seq);
        *seq = strlen(text);
        return n;
}

static int counter_read(uint32_t index, uint64_t *ret) {
        *ret = 100 + index;
        return 0;
}

/* --- the process --- */

static void say(int fd, const char *s) {
        (void) !write(fd, s, strlen(s));
}

static void qemu_end(int qmp, const char *reason) {
        dprintf(qmp, "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"%s\"}}\r\n", reason);
        usleep(10000);
        _exit(0);
}

static void qemu(enum fake_behaviour behaviour, int qmp_listen, int console_listen) {
        int qmp = -1, console = -1;
        bool booted = false, broke = false;
        char sysrq[8] = "";

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (behaviour == FAKE_EXIT_AT_ONCE)
                _exit(1);
        if (behaviour == FAKE_ENDS_AT_ONCE)
                _exit(0);
        for (;;) {
                struct pollfd p[4] = {
                        { .fd = qmp < 0 ? qmp_listen : -1, .events = POLLIN },
                        { .fd = console < 0 ? console_listen : -1, .events = POLLIN },
                        { .fd = qmp, .events = POLLIN },
                        { .fd = console, .events = POLLIN },
                };
                char buf[4096];
                ssize_t n;

                (void) poll(p, 4, -1);
                if (p[0].revents) {
                        qmp = accept(qmp_listen, NULL, NULL);
                        say(qmp, behaviour == FAKE_SPEAKS_NONSENSE ? "{\"QMP\": [[[[\n" : "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
                }
                if (p[1].revents) {
                        console = accept(console_listen, NULL, NULL);
                        if (!booted)
                                say(console, "Booting Linux\r\nlogin: ");
                        if (!booted && behaviour == FAKE_FLOODS)
                                for (int i = 0; i < 3 * 1024; i++) {
                                        memset(buf, 'a' + i % 26, 1024);
                                        if (write(console, buf, 1024) < 0)
                                                break;
                                }
                        booted = true;
                        if (behaviour == FAKE_HANGS_UP) {
                                close(console);
                                close(console_listen);
                                console = console_listen = -1;
                        }
                }
                if (p[2].revents) {
                        n = read(qmp, buf, sizeof(buf) - 1);
                        if (n <= 0) { /* the daemon went away: QEMU runs on */
                                close(qmp);
                                qmp = -1;
                                continue;
                        }
                        buf[n] = 0;
                        if (strstr(buf, "qmp_capabilities")) {
                                say(qmp, "{\"return\": {}}\r\n");
                                if (behaviour == FAKE_INTERNAL_ERROR)
                                        say(qmp, "{\"event\": \"STOP\"}\r\n");
                                if (behaviour == FAKE_ENDS_EARLY) {
                                        say(qmp, "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\r\n");
                                        usleep(600000);
                                        _exit(0);
                                }
                                if (behaviour == FAKE_POWERS_OFF) {
                                        usleep(400000);
                                        qemu_end(qmp, "guest-shutdown");
                                }
                        }
                        if (strstr(buf, "query-status"))
                                say(qmp, "{\"return\": {\"status\": \"internal-error\", \"running\": false}}\r\n");
                        if (strstr(buf, "chardev-send-break") && strstr(buf, "\"console\"")) {
                                broke = true;
                                say(qmp, "{\"return\": {}}\r\n");
                        }
                        if (strstr(buf, "system_powerdown")) {
                                say(qmp, "{\"return\": {}}\r\n");
                                if (behaviour == FAKE_GOOD)
                                        qemu_end(qmp, "guest-shutdown");
                        }
                        if (strstr(buf, "send-key") && strstr(buf, "{\"type\":\"qcode\",\"data\":\"power\"}")) {
                                say(qmp, "{\"return\": {}}\r\n");
                                if (behaviour == FAKE_KEYBOARD)
                                        qemu_end(qmp, "guest-shutdown");
                        }
                }
                if (p[3].revents) {
                        n = read(console, buf, sizeof(buf));
                        if (n <= 0) {
                                close(console);
                                console = -1;
                                continue;
                        }
                        if (broke) { /* the character after a break */
                                broke = false;
                                strncat(sysrq, (char[]) { buf[0], 0 }, sizeof(sysrq) - strlen(sysrq) - 1);
                                if (behaviour == FAKE_SYSRQ && streq(sysrq, "suo"))
                                        qemu_end(qmp, "guest-shutdown");
                                continue;
                        }
                        (void) !write(console, buf, (size_t) n);
                }
        }
}

static void reap(void) {
        for (size_t i = 0; i < fake.n_units; i++)
                if (fake.units[i].alive && waitpid(fake.units[i].pid, &fake.units[i].status, WNOHANG) > 0)
                        fake.units[i].alive = false;
}

static int find(const char *unit) {
        for (size_t i = 0; i < fake.n_units; i++)
                if (fake.units[i].exists && streq(fake.units[i].unit, unit))
                        return (int) i;
        return -1;
}

static int unit_start(void *system _unused_, const struct unit_request *q, char **ret_error) {
        pid_t pid;

        if (fake.unit_error < 0) {
                *ret_error = strdup("Unit is masked.");
                return fake.unit_error;
        }
        if (find(q->unit) >= 0)
                return -EEXIST;
        assert_string_equal(q->fd_names[0], "kcore");
        assert_string_equal(q->fd_names[1], "qmp");
        assert_string_equal(q->fd_names[2], "console");
        assert_string_equal(q->fd_names[3], "agent");
        pid = fork();
        assert_ok(pid);
        if (pid == 0)
                qemu(fake.behaviour, q->fds[1], q->fds[2]);
        /* Gone before anyone can connect to it; its status stays for reap(). */
        if (fake.behaviour == FAKE_EXIT_AT_ONCE || fake.behaviour == FAKE_ENDS_AT_ONCE)
                assert_ok(waitid(P_PID, (id_t) pid, &(siginfo_t) {}, WEXITED | WNOWAIT));
        assert_true(fake.n_units < ELEMENTSOF(fake.units));
        snprintf(fake.units[fake.n_units].unit, sizeof(fake.units[0].unit), "%s", q->unit);
        fake.units[fake.n_units].pid = pid;
        fake.units[fake.n_units].exists = fake.units[fake.n_units].alive = true;
        fake.units[fake.n_units++].memlock = fake.memlock ?: q->memlock;
        return 0;
}

static int unit_query(void *system _unused_, const char *unit, struct unit_status *ret) {
        int i = find(unit);

        reap();
        *ret = (struct unit_status) {};
        if (i < 0)
                return 0;
        ret->alive = fake.units[i].alive;
        ret->main_pid = ret->alive ? fake.units[i].pid : 0;
        ret->memlock = ret->alive ? fake.units[i].memlock : 0;
        if (!ret->alive) {
                int s = fake.units[i].status;

                ret->exit_code = WIFSIGNALED(s) ? CLD_KILLED : CLD_EXITED;
                ret->exit_status = WIFSIGNALED(s) ? WTERMSIG(s) : WEXITSTATUS(s);
                ret->failed = s != 0 && !(WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM);
                strcpy(ret->result, ret->failed ? (WIFSIGNALED(s) ? "signal" : "exit-code") : "success");
                if (!ret->failed) /* systemd forgets units that ended well */
                        fake.units[i].exists = false;
        }
        return 0;
}

static int signal_unit(const char *unit, int sig) {
        int i = find(unit);

        reap();
        if (i >= 0 && fake.units[i].alive)
                kill(fake.units[i].pid, sig);
        return i < 0 ? -ENOENT : 0;
}

static int unit_stop(void *system _unused_, const char *unit) {
        return signal_unit(unit, SIGTERM);
}

static int unit_kill(void *system _unused_, const char *unit) {
        return signal_unit(unit, SIGKILL);
}

static int unit_forget(void *system _unused_, const char *unit) {
        int i = find(unit);

        if (i >= 0)
                fake.units[i].exists = false;
        return 0;
}

static char *unit_messages(const char *unit _unused_, uint64_t since _unused_) {
        return strdup("could not set up something");
}

static void process_read(pid_t pid _unused_, uint64_t *ret_memlock, uint64_t *ret_cpu_usec) {
        *ret_memlock = GIB;
        *ret_cpu_usec = 1;
}

static int peer_read(pid_t pid _unused_, char **ret_profile, char **ret_cgroup) {
        *ret_profile = fake.profile ? strdup(fake.profile) : NULL;
        *ret_cgroup = strdup(strempty(fake.cgroup));
        return 0;
}

static void fd_store(const char *name, int fd) {
        snprintf(fake.last_fd_stored, sizeof(fake.last_fd_stored), "%s%s", fd < 0 ? "-" : "+", name);
}

const struct manager_ops fake_ops = {
        .facts_read = facts_read,
        .launch_open = launch_open,
        .launch_config = launch_config,
        .launch_segment = launch_segment,
        .launch_segment_at = launch_segment_at,
        .launch_segment_sealed = launch_segment_sealed,
        .launch_policy = launch_policy,
        .launch_key = launch_key,
        .launch_status = launch_status,
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
