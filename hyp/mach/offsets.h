/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offsets that assembly uses: in struct percpu (cpu.h), struct frame (trap.h) and in a REC from its first
 * general register on (fields.h). prims.c and trap.c compare them with the C layouts.
 */
#ifndef KCORE_OFFSETS_H
#define KCORE_OFFSETS_H

#define PERCPU_STACK_SIZE 16384
#define PERCPU_STACK_END PERCPU_STACK_SIZE
#define PERCPU_GUEST PERCPU_STACK_END

#define FRAME_ELR 248
#define FRAME_SPSR 256
#define FRAME_SIZE 272

#define GUEST_PC 248
#define GUEST_PSTATE 256

#endif
