/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <fcntl.h>
#include <sys/ioctl.h>

int kcore_device_open(int flags) {
        int fd;

        fd = open(KCORE_DEVICE, flags | O_CLOEXEC | O_NOCTTY);
        return fd < 0 ? -errno : fd;
}

int kcore_device_info(int fd, struct kcore_sys_info *ret) {
        *ret = (struct kcore_sys_info) {};
        return ioctl(fd, KCORE_SYS_INFO, ret) < 0 ? -errno : 0;
}

int kcore_launch_config(int fd, const struct kcore_launch_config *config) {
        return ioctl(fd, KCORE_LAUNCH_CONFIG, config) < 0 ? -errno : 0;
}

int kcore_launch_segment_at(int fd, int memfd, uint64_t offset, uint64_t ipa, uint64_t length) {
        struct kcore_launch_segment s = {
                .memfd = memfd,
                .flags = KCORE_SEGMENT_MEASURED,
                .offset = offset,
                .ipa = ipa,
                .length = length,
        };

        return ioctl(fd, KCORE_LAUNCH_SEGMENT, &s) < 0 ? -errno : 0;
}

int kcore_launch_segment(int fd, int memfd, uint64_t ipa, uint64_t length) {
        return kcore_launch_segment_at(fd, memfd, 0, ipa, length);
}

int kcore_launch_policy(int fd, const uint8_t block[static KCORE_LAUNCH_BLOCK_SIZE]) {
        struct kcore_launch_block b = { .address = (uintptr_t) block };

        return ioctl(fd, KCORE_LAUNCH_POLICY, &b) < 0 ? -errno : 0;
}

int kcore_launch_key(int fd, const uint8_t enc[static 32], const uint8_t ct[static 48]) {
        struct kcore_launch_key k = {};

        memcpy(k.enc, enc, sizeof(k.enc));
        memcpy(k.ct, ct, sizeof(k.ct));
        return ioctl(fd, KCORE_LAUNCH_KEY, &k) < 0 ? -errno : 0;
}

int kcore_launch_segment_sealed(int fd, int memfd, uint64_t offset, uint64_t ipa, uint64_t length, uint64_t tags) {
        struct kcore_launch_segment s = {
                .memfd = memfd,
                .flags = KCORE_SEGMENT_MEASURED | KCORE_SEGMENT_SEALED,
                .offset = offset,
                .ipa = ipa,
                .length = length,
                .tags = tags,
        };

        return ioctl(fd, KCORE_LAUNCH_SEGMENT, &s) < 0 ? -errno : 0;
}

int kcore_launch_status(int fd, struct kcore_launch_status *ret) {
        *ret = (struct kcore_launch_status) {};
        return ioctl(fd, KCORE_LAUNCH_STATUS, ret) < 0 ? -errno : 0;
}

int kcore_log_read(int fd, uint64_t *seq, char buf[static 4096], uint64_t *ret_lost) {
        struct kcore_log_read l = {
                .seq = *seq,
                .buf = (uintptr_t) buf,
                .size = 4096,
        };

        if (ioctl(fd, KCORE_LOG_READ, &l) < 0)
                return -errno;
        if (l.length > 4096 || l.next_seq < l.length)
                return -EPROTO;
        if (ret_lost)
                *ret_lost = l.next_seq - l.length > *seq ? l.next_seq - l.length - *seq : 0;
        *seq = l.next_seq;
        return (int) l.length;
}

int kcore_counter_read(int fd, uint32_t index, uint64_t *ret) {
        struct kcore_counter_read c = { .index = index };

        if (ioctl(fd, KCORE_COUNTER_READ, &c) < 0)
                return -errno;
        *ret = c.value;
        return 0;
}

int kcore_identity_read(int fd, uint8_t buf[static KCORE_IDENTITY_MAX]) {
        struct kcore_identity_read r = {
                .buf = (uintptr_t) buf,
                .size = KCORE_IDENTITY_MAX,
        };

        if (ioctl(fd, KCORE_IDENTITY_READ, &r) < 0)
                return -errno;
        return r.length > KCORE_IDENTITY_MAX ? -EPROTO : (int) r.length;
}

unsigned kcore_launch_refused(const struct kcore_launch_status *s) {
        unsigned status = s->rmi_command == 0 ? 0 : s->rmi_status & 0xff;

        return status >= KCORE_REFUSED_POLICY && status <= KCORE_REFUSED_RIM ? status : 0;
}

const char *kcore_launch_refusal(const struct kcore_launch_status *s) {
        switch (kcore_launch_refused(s)) {
        case KCORE_REFUSED_POLICY:
                return "the launch policy forbids it";
        case KCORE_REFUSED_SIGNATURE:
                return "the launch policy is not signed by the key that it names";
        case KCORE_REFUSED_SEAL:
                return "key or pages are not sealed for this machine, image and address, or were altered";
        case KCORE_REFUSED_RIM:
                return "what was loaded is not what the launch policy expects";
        default:
                return NULL;
        }
}

const char *kcore_launch_state_to_string(uint32_t state) {
        static const char *const table[] = {
                [KCORE_LAUNCH_NEW] = "new",
                [KCORE_LAUNCH_CONFIGURED] = "configured",
                [KCORE_LAUNCH_CREATED] = "created",
                [KCORE_LAUNCH_ACTIVE] = "active",
                [KCORE_LAUNCH_DEAD] = "dead",
        };

        return state < ELEMENTSOF(table) ? table[state] : "unknown";
}
