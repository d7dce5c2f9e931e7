/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* /dev/kcore, as the rest of the userland sees it. The contract is the kernel's header. */

#include "../kvm-patches/uapi/kcore.h"

#include "util.h"

#define KCORE_DEVICE "/dev/kcore"

int kcore_device_open(int flags);
int kcore_device_info(int fd, struct kcore_sys_info *ret);

int kcore_launch_config(int fd, const struct kcore_launch_config *config);
int kcore_launch_segment(int fd, int memfd, uint64_t ipa, uint64_t length);
int kcore_launch_status(int fd, struct kcore_launch_status *ret);

/* Next piece of KCore's log: at most 4096 bytes into buf, which is not NUL-terminated. Advances *seq.
 * Returns the number of bytes; *ret_lost (may be NULL) says how many were overwritten before. */
int kcore_log_read(int fd, uint64_t *seq, char buf[static 4096], uint64_t *ret_lost);

int kcore_counter_read(int fd, uint32_t index, uint64_t *ret);

const char *kcore_launch_state_to_string(uint32_t state);
