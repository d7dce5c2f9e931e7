/* SPDX-License-Identifier: Apache-2.0 */
/* The sealing key of this KCore: what images are sealed to (open_content_key() of mach.h). */
#ifndef KCORE_MACH_SEAL_H
#define KCORE_MACH_SEAL_H

#include <stdint.h>

/* Give KCore its X25519 private key, once, at boot. Without one nothing opens. The caller wipes its copy. */
void seal_set_key(const uint8_t secret[32]);

#endif
