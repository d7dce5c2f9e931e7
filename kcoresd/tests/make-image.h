/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Images for tests, as a client passes them: sealed memfds. */

#include "../../image/kci.h"

enum { IMAGE_PLAIN, IMAGE_SIGNED, IMAGE_SEALED };

/* 1 GiB, 3 vCPUs; a kernel of two pages and an initrd of one. sealing_key: X25519, for IMAGE_SEALED. */
int make_image(int kind, const uint8_t sealing_key[static 32], struct kci_image *ret);
