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

int kcore_launch_segment(int fd, int memfd, uint64_t ipa, uint64_t length) {
        struct kcore_launch_segment s = {
                .memfd = memfd,
                .flags = KCORE_SEGMENT_MEASURED,
                .ipa = ipa,
                .length = length,
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
