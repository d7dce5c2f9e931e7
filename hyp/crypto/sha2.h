/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-2 by HACL*, whose names and types stop at sha2.c. */
#ifndef KCORE_SHA2_H
#define KCORE_SHA2_H

#include <stdint.h>

void sha256(uint8_t out[32], const void *in, uint32_t len);
void sha512(uint8_t out[64], const void *in, uint32_t len);

#endif
