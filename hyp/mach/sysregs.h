/* SPDX-License-Identifier: Apache-2.0 */
/* The EL1 registers that a world switch moves: those of a REC, so that one table serves both sides. */
#ifndef KCORE_SYSREGS_H
#define KCORE_SYSREGS_H

#include "mach.h"

#define SYS_SLOTS 40
_Static_assert(SYS_COUNT <= SYS_SLOTS, "one slot per register");

void sysregs_save(uint64_t *to);
/* now: what was just saved from this CPU. */
void sysregs_load(const uint64_t *from, const uint64_t *now);

/* Parts of a REC: general registers with pc and pstate, EL1 registers, FP. */
uint64_t *rec_guest_of(uint64_t rec);
uint64_t *rec_sysregs_of(uint64_t rec);
uint64_t *rec_fp_of(uint64_t rec);

void fp_save(uint64_t *to);
void fp_load(const uint64_t *from);

#endif
