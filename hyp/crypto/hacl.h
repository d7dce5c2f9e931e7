/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that call HACL* share. */
#ifndef KCORE_CRYPTO_HACL_H
#define KCORE_CRYPTO_HACL_H

#include <stdint.h>

/* HACL* takes its inputs without const; it does not write to them. */
static inline uint8_t *input(const void *in)
{
	return (uint8_t *)(uintptr_t)in;
}

#endif
