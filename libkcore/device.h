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
/* The same, of what is from offset on, a multiple of 4096. */
int kcore_launch_segment_at(int fd, int memfd, uint64_t offset, uint64_t ipa, uint64_t length);
/* Between config and segments, in this order: the tenant's launch block, and the key of sealed segments. */
int kcore_launch_policy(int fd, const uint8_t block[static KCORE_LAUNCH_BLOCK_SIZE]);
int kcore_launch_key(int fd, const uint8_t enc[static 32], const uint8_t ct[static 48]);
/* As kcore_launch_segment(), of encrypted pages from offset on, whose tags of 16 bytes each are at tags. length is a
 * multiple of 4096, tags of 16. */
int kcore_launch_segment_sealed(int fd, int memfd, uint64_t offset, uint64_t ipa, uint64_t length, uint64_t tags);
int kcore_launch_status(int fd, struct kcore_launch_status *ret);

/* Next piece of KCore's log: at most 4096 bytes into buf, which is not NUL-terminated. Advances *seq.
 * Returns the number of bytes; *ret_lost (may be NULL) says how many were overwritten before. */
int kcore_log_read(int fd, uint64_t *seq, char buf[static 4096], uint64_t *ret_lost);

int kcore_counter_read(int fd, uint32_t index, uint64_t *ret);

/* The identity document of this machine's KCore (CBOR, .kplat). Returns its length. */
int kcore_identity_read(int fd, uint8_t buf[static KCORE_IDENTITY_MAX]);

/* Why KCore refused a launch: the tenant's policy, signature, seals or measurement (KCORE_ERROR_* in docs/abi.md).
 * 0 and NULL: it was nothing of these. */
enum {
        KCORE_REFUSED_POLICY = 16,
        KCORE_REFUSED_SIGNATURE = 17,
        KCORE_REFUSED_SEAL = 18,
        KCORE_REFUSED_RIM = 19,
};
unsigned kcore_launch_refused(const struct kcore_launch_status *s);
const char *kcore_launch_refusal(const struct kcore_launch_status *s);

const char *kcore_launch_state_to_string(uint32_t state);
