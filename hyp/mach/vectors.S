/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exception vectors of EL2: one table while the host's EL1 runs, one while a realm does. On both, an exception
 * taken from EL2 itself is a bug of KCore.
 */
#include "asm.h"

.macro ventry label
	.balign 128
	b	\label
.endm

	.text
	.balign 2048
	.global host_vectors
host_vectors:
	.rept 4
	ventry	el2_bug
	.endr
	.rept 4
	ventry	el2_bug
	.endr
	ventry	host_sync
	ventry	host_other
	ventry	host_other
	ventry	host_other
	ventry	host_sync	/* AArch32 EL0 */
	ventry	host_other
	ventry	host_other
	ventry	host_other

	.balign 2048
	.global guest_vectors
guest_vectors:
	.rept 4
	ventry	el2_bug
	.endr
	.rept 4
	ventry	el2_bug
	.endr
	.rept 2
	ventry	guest_sync
	ventry	guest_irq
	ventry	guest_fiq
	ventry	guest_serror
	.endr

el2_bug:
	mrs	x0, esr_el2
	mrs	x1, elr_el2
	mrs	x2, far_el2
	mrs	x3, spsr_el2
	mov	x4, x30
	bl	el2_fault

.macro frame_save
	sub	sp, sp, #FRAME_SIZE
	stp	x0, x1, [sp, #0]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	mrs	x0, elr_el2
	mrs	x1, spsr_el2
	stp	x30, x0, [sp, #240]
	str	x1, [sp, #FRAME_SPSR]
	mov	x0, sp
.endm

host_sync:
	frame_save
	mrs	x1, esr_el2
	bl	host_trap
frame_restore:
	ldp	x30, x0, [sp, #240]
	ldr	x1, [sp, #FRAME_SPSR]
	msr	elr_el2, x0
	msr	spsr_el2, x1
	ldp	x0, x1, [sp, #0]
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x19, [sp, #144]
	ldp	x20, x21, [sp, #160]
	ldp	x22, x23, [sp, #176]
	ldp	x24, x25, [sp, #192]
	ldp	x26, x27, [sp, #208]
	ldp	x28, x29, [sp, #224]
	add	sp, sp, #FRAME_SIZE
	eret
	dsb	nsh			/* no speculation past eret */
	isb

host_other:
	frame_save
	bl	host_other_trap
	b	frame_restore

/* void host_eret(x0 of the host, stack of this CPU) */
	.global host_eret
host_eret:
	mov	sp, x1
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	mov	x4, xzr
	mov	x5, xzr
	mov	x6, xzr
	mov	x7, xzr
	mov	x8, xzr
	mov	x9, xzr
	mov	x10, xzr
	mov	x11, xzr
	mov	x12, xzr
	mov	x13, xzr
	mov	x14, xzr
	mov	x15, xzr
	mov	x16, xzr
	mov	x17, xzr
	mov	x18, xzr
	mov	x19, xzr
	mov	x20, xzr
	mov	x21, xzr
	mov	x22, xzr
	mov	x23, xzr
	mov	x24, xzr
	mov	x25, xzr
	mov	x26, xzr
	mov	x27, xzr
	mov	x28, xzr
	mov	x29, xzr
	mov	x30, xzr
	eret
	dsb	nsh
	isb

/*
 * uint64_t guest_enter(uint64_t *guest): run the loaded REC until it traps. Its general registers, pc and pstate
 * move between the REC and the CPU here and nowhere else.
 */
	.global guest_enter
guest_enter:
	stp	x29, x30, [sp, #-96]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	adr	x1, guest_vectors
	msr	vbar_el2, x1
	ldr	x1, [x0, #GUEST_PC]
	ldr	x2, [x0, #GUEST_PSTATE]
	msr	elr_el2, x1
	msr	spsr_el2, x2
	isb				/* rec_load's registers and the vectors */
	mov	x30, x0
	ldp	x0, x1, [x30, #0]
	ldp	x2, x3, [x30, #16]
	ldp	x4, x5, [x30, #32]
	ldp	x6, x7, [x30, #48]
	ldp	x8, x9, [x30, #64]
	ldp	x10, x11, [x30, #80]
	ldp	x12, x13, [x30, #96]
	ldp	x14, x15, [x30, #112]
	ldp	x16, x17, [x30, #128]
	ldp	x18, x19, [x30, #144]
	ldp	x20, x21, [x30, #160]
	ldp	x22, x23, [x30, #176]
	ldp	x24, x25, [x30, #192]
	ldp	x26, x27, [x30, #208]
	ldp	x28, x29, [x30, #224]
	ldr	x30, [x30, #240]
	eret
	dsb	nsh
	isb

.macro guest_trap code
	stp	x29, x30, [sp, #-16]!
	mov	x29, #\code
	b	guest_leave
.endm

guest_sync:
	guest_trap 0
guest_irq:
	guest_trap 1
guest_fiq:
	guest_trap 2
guest_serror:
	guest_trap 3

guest_leave:
	mrs	x30, tpidr_el2
	add	x30, x30, #PERCPU_GUEST
	ldr	x30, [x30]
	stp	x0, x1, [x30, #0]
	stp	x2, x3, [x30, #16]
	stp	x4, x5, [x30, #32]
	stp	x6, x7, [x30, #48]
	stp	x8, x9, [x30, #64]
	stp	x10, x11, [x30, #80]
	stp	x12, x13, [x30, #96]
	stp	x14, x15, [x30, #112]
	stp	x16, x17, [x30, #128]
	stp	x18, x19, [x30, #144]
	stp	x20, x21, [x30, #160]
	stp	x22, x23, [x30, #176]
	stp	x24, x25, [x30, #192]
	stp	x26, x27, [x30, #208]
	mov	x0, x29
	ldp	x1, x2, [sp], #16	/* the guest's x29, x30 */
	stp	x28, x1, [x30, #224]
	str	x2, [x30, #240]
	mrs	x1, elr_el2
	mrs	x2, spsr_el2
	str	x1, [x30, #GUEST_PC]
	str	x2, [x30, #GUEST_PSTATE]
	adr	x1, host_vectors
	msr	vbar_el2, x1
	isb
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret

/* fp_save(to), fp_load(from): V0 to V31, FPSR, FPCR. */
	.arch_extension fp
	.arch_extension simd
	.global fp_save
fp_save:
	stp	q0, q1, [x0, #0]
	stp	q2, q3, [x0, #32]
	stp	q4, q5, [x0, #64]
	stp	q6, q7, [x0, #96]
	stp	q8, q9, [x0, #128]
	stp	q10, q11, [x0, #160]
	stp	q12, q13, [x0, #192]
	stp	q14, q15, [x0, #224]
	stp	q16, q17, [x0, #256]
	stp	q18, q19, [x0, #288]
	stp	q20, q21, [x0, #320]
	stp	q22, q23, [x0, #352]
	stp	q24, q25, [x0, #384]
	stp	q26, q27, [x0, #416]
	stp	q28, q29, [x0, #448]
	stp	q30, q31, [x0, #480]
	mrs	x1, fpsr
	mrs	x2, fpcr
	str	x1, [x0, #512]
	str	x2, [x0, #520]
	ret

	.global fp_load
fp_load:
	ldp	q0, q1, [x0, #0]
	ldp	q2, q3, [x0, #32]
	ldp	q4, q5, [x0, #64]
	ldp	q6, q7, [x0, #96]
	ldp	q8, q9, [x0, #128]
	ldp	q10, q11, [x0, #160]
	ldp	q12, q13, [x0, #192]
	ldp	q14, q15, [x0, #224]
	ldp	q16, q17, [x0, #256]
	ldp	q18, q19, [x0, #288]
	ldp	q20, q21, [x0, #320]
	ldp	q22, q23, [x0, #352]
	ldp	q24, q25, [x0, #384]
	ldp	q26, q27, [x0, #416]
	ldp	q28, q29, [x0, #448]
	ldp	q30, q31, [x0, #480]
	ldr	x1, [x0, #512]
	ldr	x2, [x0, #520]
	msr	fpsr, x1
	mrs	x1, fpcr
	cmp	x1, x2
	b.eq	1f
	msr	fpcr, x2
1:	ret
