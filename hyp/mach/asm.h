/* SPDX-License-Identifier: Apache-2.0 */
/* Macros and offsets for assembly. cpu.c checks the offsets at compile time. */
#ifndef KCORE_ASM_H
#define KCORE_ASM_H

#include "offsets.h"

/* mov_q reg, imm: any 64-bit constant without a literal pool. */
.macro mov_q reg, val
	movz	\reg, #((\val) & 0xffff)
	movk	\reg, #(((\val) >> 16) & 0xffff), lsl #16
	movk	\reg, #(((\val) >> 32) & 0xffff), lsl #32
	movk	\reg, #(((\val) >> 48) & 0xffff), lsl #48
.endm

#endif
