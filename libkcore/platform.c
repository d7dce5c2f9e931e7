/* SPDX-License-Identifier: Apache-2.0 */

/* The half of checks.h that looks at the machine. */

#include "checks.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "qemu-cmdline.h"

#define CAP_SYS_RESOURCE_BIT 24
#define QEMU_PROBE_USEC (20 * USEC_PER_SEC)

extern char **environ;

/* The value after "KEY:" in a file of such lines, e.g. /proc/meminfo. */
static const char *line_value(const char *text, const char *key) {
        size_t n = strlen(key);

        for (const char *p = text; p; p = strchr(p, '\n')) {
                if (*p == '\n')
                        p++;
                if (strncmp(p, key, n) == 0)
                        return p + n + strspn(p + n, " \t");
        }
        return NULL;
}

/* Is the running kernel built with KCore support? Its configuration tells, where it is installed. */
static int kernel_support(const char *release) {
        static const char *const places[] = { "/boot/config-%s", "/usr/lib/modules/%s/config", "/lib/modules/%s/build/.config" };

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_free_ char *path = NULL, *text = NULL;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                if (asprintf(&path, places[i], release) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
#pragma GCC diagnostic pop
                if (read_small_file(path, 2 * MIB, &text) >= 0)
                        return strstr(text, "\nCONFIG_ARM64_KCORE=y\n") != NULL;
        }
        return -ENOENT;
}

/* First line that "qemu --version" prints. Bounded in time and size. */
static int qemu_probe(const char *qemu, char *line, size_t size) {
        _cleanup_close_ int rfd = -EBADF, wfd = -EBADF;
        posix_spawn_file_actions_t actions;
        char *argv[] = { (char *) qemu, (char *) "--version", NULL };
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + QEMU_PROBE_USEC;
        int p[2], status, r;
        size_t n = 0;
        pid_t pid;

        if (access(qemu, X_OK) < 0)
                return -errno;
        if (pipe2(p, O_CLOEXEC) < 0)
                return -errno;
        rfd = p[0];
        wfd = p[1];

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        r = r ?: posix_spawn_file_actions_adddup2(&actions, wfd, 1);
        r = r ?: posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
        r = r ?: posix_spawn(&pid, qemu, &actions, NULL, argv, environ);
        (void) posix_spawn_file_actions_destroy(&actions);
        if (r != 0)
                return -r;
        wfd = safe_close(wfd);

        r = 0;
        while (n < size - 1) {
                uint64_t now = now_usec(CLOCK_MONOTONIC);
                struct pollfd pfd = { .fd = rfd, .events = POLLIN };
                ssize_t k;

                if (now >= deadline) {
                        r = -ETIMEDOUT;
                        break;
                }
                if (poll(&pfd, 1, (int) ((deadline - now) / 1000 + 1)) <= 0)
                        continue;
                k = read(rfd, line + n, size - 1 - n);
                if (k <= 0)
                        break;
                n += (size_t) k;
        }
        if (r < 0)
                (void) kill(pid, SIGKILL);
        rfd = safe_close(rfd);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (r < 0)
                return r;
        line[n] = 0;
        line[strcspn(line, "\n")] = 0;
        return 0;
}

/* Starting QEMU for its version takes a second on a slow machine: it is done once for each binary. */
static int qemu_version_line(const char *qemu, char line[static 256]) {
        static struct stat known;
        static char known_line[256];
        struct stat st;
        int r;

        if (stat(qemu, &st) < 0)
                return -errno;
        if (st.st_ino != known.st_ino || st.st_dev != known.st_dev || st.st_size != known.st_size ||
            memcmp(&st.st_mtim, &known.st_mtim, sizeof(st.st_mtim)) != 0) {
                r = qemu_probe(qemu, known_line, sizeof(known_line));
                known = r < 0 ? (struct stat) {} : st;
                if (r < 0)
                        return r;
        }
        memcpy(line, known_line, 256);
        return 0;
}

static void read_qemu(const char *qemu, struct platform_facts *f) {
        static const char prefix[] = "QEMU emulator version ";
        char line[256];

        f->qemu_error = qemu_version_line(qemu, line);
        if (f->qemu_error < 0)
                return;
        f->qemu_error = qemu_version_parse(line, &f->qemu_version);
        if (f->qemu_error < 0)
                return;
        snprintf(f->qemu_version_string, sizeof(f->qemu_version_string), "%.*s",
                 (int) strcspn(line + strlen(prefix), " "), line + strlen(prefix));
}

static void read_limits(struct platform_facts *f) {
        _cleanup_free_ char *status = NULL, *limits = NULL;
        const char *p;

        f->systemd_running = access("/run/systemd/system", F_OK) == 0;

        if (read_small_file("/proc/1/status", 64 * KIB, &status) >= 0 && (p = line_value(status, "CapEff:")))
                f->limits_free = strtoull(p, NULL, 16) >> CAP_SYS_RESOURCE_BIT & 1;
        f->memlock_max = UINT64_MAX;
        if (read_small_file("/proc/1/limits", 64 * KIB, &limits) >= 0 && (p = line_value(limits, "Max locked memory"))) {
                p += strcspn(p, " \n"); /* past the soft limit */
                p += strspn(p, " ");
                if (*p >= '0' && *p <= '9')
                        f->memlock_max = strtoull(p, NULL, 10);
        }
}

static void read_memory(struct platform_facts *f) {
        _cleanup_free_ char *meminfo = NULL, *overcommit = NULL;
        const char *p;

        f->memory_available = UINT64_MAX;
        if (read_small_file("/proc/meminfo", 64 * KIB, &meminfo) >= 0 && (p = line_value(meminfo, "MemAvailable:")))
                f->memory_available = strtoull(p, NULL, 10) * KIB;
        f->overcommit = -ENODATA;
        if (read_small_file("/proc/sys/vm/overcommit_memory", 64, &overcommit) >= 0)
                f->overcommit = atoi(overcommit);
}

void platform_facts_read(const char *qemu, struct platform_facts *ret) {
        _cleanup_close_ int fd = -EBADF;
        struct platform_facts f = {};
        struct utsname u;
        struct stat st;

        if (uname(&u) >= 0) {
                snprintf(f.machine, sizeof(f.machine), "%s", u.machine);
                snprintf(f.release, sizeof(f.release), "%s", u.release);
        }
        f.kernel_support = kernel_support(f.release);

        fd = kcore_device_open(O_RDONLY);
        f.device_error = fd < 0 ? fd : 0;
        f.info_error = fd < 0 ? -ENODATA : kcore_device_info(fd, &f.info);
        f.kvm_present = stat("/dev/kvm", &st) == 0; /* the device policy of a unit lets nobody else even access() it */

        read_qemu(qemu, &f);
        read_limits(&f);
        read_memory(&f);
        *ret = f;
}

static int access_below(const char *root, const char *path, int mode) {
        _cleanup_free_ char *p = NULL;

        if (asprintf(&p, "%s%s", root, path) < 0) {
                p = NULL;
                return -ENOMEM;
        }
        return access(p, mode) < 0 ? -errno : 0;
}

void libvirt_facts_read(const char *root, struct libvirt_facts *ret) {
        _cleanup_free_ char *path = NULL, *enabled = NULL;
        int r;

        *ret = (struct libvirt_facts) {
                .daemon = access_below(root, "/usr/sbin/libvirtd", X_OK),
                .emulator = access_below(root, LIBVIRT_EMULATOR, X_OK),
                .hook = access_below(root, LIBVIRT_HOOK, X_OK),
                .hook_program = access_below(root, LIBVIRT_HOOK_PROGRAM, X_OK),
                .apparmor_rules = access_below(root, LIBVIRT_APPARMOR_RULES, R_OK),
        };
        if (ret->daemon < 0) /* one process for each driver */
                ret->daemon = access_below(root, "/usr/sbin/virtqemud", X_OK);
        r = asprintf(&path, "%s/sys/module/apparmor/parameters/enabled", root);
        if (r < 0)
                path = NULL;
        ret->apparmor = path && read_small_file(path, 16, &enabled) >= 0 && enabled[0] == 'Y';
}
