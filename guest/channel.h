/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Answers the host's requests for tokens. */

#include "agent-frame.h"

/* The device node of the virtio-serial port of that name, below sysfs directory class_dir
 * ("/sys/class/virtio-ports"): "/dev/vport0p1". -ENODEV if there is none. *ret is to be freed. */
int channel_find(const char *class_dir, const char *name, char **ret);

/* A source of tokens, as tsm_token. */
typedef int (*channel_token_t)(
                void *userdata,
                const uint8_t challenge[static SHA512_DIGEST_LENGTH],
                uint8_t *token,
                size_t max,
                size_t *ret_size,
                const char **ret_reason);

/* Serves fd (non-blocking) until it fails or *stop. A frame that is not complete after CHANNEL_FRAME_SECONDS,
 * or is none, is answered with an error where possible and forgotten with all that came with it. At most one
 * token every CHANNEL_INTERVAL_MSEC, so that the host can not keep the guest busy with signatures. */
#define CHANNEL_FRAME_SECONDS 5
#define CHANNEL_INTERVAL_MSEC 200
int channel_serve(int fd, channel_token_t token, void *userdata, const volatile bool *stop);
