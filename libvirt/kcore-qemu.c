/* SPDX-License-Identifier: Apache-2.0 */

/* The emulator of protected domains: libvirt starts it in QEMU's place, it claims the domain's launch from kcoresd and
 * becomes stock QEMU with that launch as its KVM. It runs as libvirt's QEMU user, confined, and trusts nobody: whatever is
 * missing, there is one line of why, which virsh shows, and no guest. See kcore-qemu(8). */

#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <systemd/sd-varlink.h>

#include "../libkcore/checks.h"
#include "../libkcore/io.kcore.Launch.h"
#include "qemu-argv.h"
#include "refuse.h"

#define CLAIM_TIMEOUT_USEC (60 * USEC_PER_SEC)

#define die(format, ...) (fprintf(stderr, "kcore-qemu: " format "\n", ##__VA_ARGS__), EXIT_FAILURE)

struct reply {
        int64_t launch, agent, monitor;
        uint64_t memory, locked_memory;
        uint32_t vcpus;
};

static int refused(const char *error, const char *uuid) {
        if (streq(error, ERROR_NOT_ARMED))
                return die("no launch is armed for domain %s: is /etc/libvirt/hooks/qemu.d/kcore there, and was libvirtd reloaded since?", uuid);
        if (streq(error, ERROR_ALREADY_CLAIMED))
                return die("the launch of domain %s was claimed before", uuid);
        if (streq(error, ERROR_NOT_THE_DOMAIN))
                return die("kcoresd does not take this process for domain %s: is libvirt's cgroup or AppArmor driver off?", uuid);
        return die("kcoresd refuses the launch: %s", error);
}

/* QEMU inherits it. 3 and above, and not one that libvirt gave to QEMU. */
static int take(sd_varlink *link, int64_t index) {
        int fd = index >= 0 && index < 16 ? sd_varlink_take_fd(link, (size_t) index) : -EBADF;

        if (fd >= 0 && (fcntl(fd, F_SETFD, 0) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0))
                return safe_close(fd);
        return fd;
}

static int claim(sd_id128_t uuid, struct qemu_launch *ret, uint64_t *ret_locked) {
        static const sd_json_dispatch_field table[] = {
                { "launchFileDescriptor",  _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_int64,  offsetof(struct reply, launch),        SD_JSON_MANDATORY },
                { "agentFileDescriptor",   _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_int64,  offsetof(struct reply, agent),         SD_JSON_MANDATORY },
                { "monitorFileDescriptor", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_int64,  offsetof(struct reply, monitor),       SD_JSON_MANDATORY },
                { "memory",                _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(struct reply, memory),        SD_JSON_MANDATORY },
                { "vcpus",                 _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint32, offsetof(struct reply, vcpus),         SD_JSON_MANDATORY },
                { "lockedMemory",          _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(struct reply, locked_memory), SD_JSON_MANDATORY },
                {}
        };
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        sd_json_variant *v = NULL;
        struct reply w = {};
        const char *error = NULL;
        char text[37];
        int r;

        snprintf(text, sizeof(text), SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(uuid));
        r = sd_varlink_connect_address(&link, LAUNCH_SOCKET);
        if (r < 0)
                return die("cannot reach kcoresd at " LAUNCH_SOCKET ": %s", strerror(-r));
        r = sd_varlink_set_allow_fd_passing_input(link, true);
        r = r < 0 ? r : sd_varlink_set_relative_timeout(link, CLAIM_TIMEOUT_USEC);
        r = r < 0 ? r : sd_varlink_callbo(link, METHOD_CLAIM, &v, &error, SD_JSON_BUILD_PAIR_STRING("uuid", text));
        if (r < 0)
                return die("kcoresd does not answer: %s", strerror(-r));
        if (error)
                return refused(error, *reply_text(v, "uuid") ? reply_text(v, "uuid") : text);
        r = sd_json_dispatch(v, table, SD_JSON_ALLOW_EXTENSIONS, &w);
        if (r < 0)
                return die("kcoresd's answer is not understood");
        *ret = (struct qemu_launch) {
                .launch_fd = take(link, w.launch),
                .agent_fd = take(link, w.agent),
                .monitor_fd = take(link, w.monitor),
                .memory = w.memory,
                .vcpus = w.vcpus,
        };
        if (ret->launch_fd < 0 || ret->agent_fd < 0 || ret->monitor_fd < 0)
                return die("kcoresd passed no launch");
        *ret_locked = w.locked_memory;
        return 0;
}

static int check_limit(uint64_t need) {
        struct rlimit l;
        char a[32], b[32];

        if (getrlimit(RLIMIT_MEMLOCK, &l) < 0)
                return die("the limit of locked memory can not be read: %s", strerror(errno));
        if (l.rlim_cur >= need)
                return 0;
        return die("the realm may have to lock %s, the domain may %s: set <memtune><hard_limit> to more, kcorectl convert says how much",
                   format_size(a, need), format_size(b, l.rlim_cur));
}

int main(int argc, char **argv) {
        _cleanup_strv_free_ char **protected_argv = NULL;
        _cleanup_free_ char *error = NULL;
        struct qemu_launch launch;
        sd_id128_t uuid;
        uint64_t locked;
        int r;

        if (argc < 1)
                return EXIT_FAILURE;
        if (qemu_argv_is_probe(argv)) {
                execv(QEMU_BINARY, argv);
                return die("cannot execute " QEMU_BINARY ": %s", strerror(errno));
        }
        r = qemu_argv_uuid(argv, &uuid, &error);
        if (r < 0)
                return die("%s", error ?: strerror(-r));
        r = claim(uuid, &launch, &locked);
        r = r ?: check_limit(locked);
        if (r != 0)
                return r;
        r = qemu_argv_protect(argv, QEMU_BINARY, &launch, &protected_argv, &error);
        if (r < 0)
                return die("%s", error ?: strerror(-r));
        execv(QEMU_BINARY, protected_argv);
        return die("cannot execute " QEMU_BINARY ": %s", strerror(errno));
}
