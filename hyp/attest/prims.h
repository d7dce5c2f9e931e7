/* SPDX-License-Identifier: Apache-2.0 */
/* What hyp/attest/prims.c needs of the machine, beside mach.h. */
#ifndef KCORE_ATTEST_PRIMS_H
#define KCORE_ATTEST_PRIMS_H

#include <stdint.h>

/*
 * Write bytes into a pinned NS page or a DATA page of a locked realm, offset + len at most 4096. Its owner may be
 * writing beside them.
 */
void page_put(uint64_t pa, uint64_t offset, const void *from, uint64_t len);

#endif
