/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The realm's attestation token, from the kernel's configfs-tsm (Documentation/ABI/testing/configfs-tsm). */

#include "../libkcore/util.h"

#define TSM_ROOT "/sys/kernel/config/tsm/report"
#define TSM_PROVIDER "arm_cca_guest"
#define TSM_CHALLENGE_SIZE 64

/* A token with this challenge, at most max bytes. On failure *ret_reason (a literal) says why:
 *   -ENOENT       there is no configfs-tsm
 *   -EOPNOTSUPP   its provider is another
 *   -EMSGSIZE     the token is larger
 *   -ESTALE       somebody wrote to the same report at the same time
 *   or what the kernel said. */
int tsm_token(
                const char *root,
                const uint8_t challenge[static TSM_CHALLENGE_SIZE],
                uint8_t *token,
                size_t max,
                size_t *ret_size,
                const char **ret_reason);
