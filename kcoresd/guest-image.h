/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Launching an image (docs/image.md): the daemon reads the header, which it takes to be an attacker's; data go
 * from the client's memfd to the kernel as they are. */

#include "../image/kci.h"
#include "../libkcore/guest-config.h"
#include "failure.h"
#include "ops.h"

/* Reads the image at c->image_fd, a sealed memfd, and takes memory and vCPUs of the guest from it. */
int guest_image_read(struct guest_config *c, struct kci_image *ret, struct failure *f);

/* The armed launch descriptor. */
int guest_image_arm(const struct manager_ops *ops, const struct guest_config *c, const struct kci_image *i, struct failure *f);
