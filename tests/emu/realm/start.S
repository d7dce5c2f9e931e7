/* SPDX-License-Identifier: Apache-2.0 */
	.text
	.globl	_start
_start:				/* vCPU 0: x0 shared bit, x1 number of vCPUs */
	mov	x19, x0
	mov	x20, x1
	mov	x2, #0
	b	1f
	.globl	secondary
secondary:			/* x0: number of this vCPU */
	mov	x2, x0
1:	mrs	x3, cpacr_el1
	orr	x3, x3, #(3 << 20)
	msr	cpacr_el1, x3
	adr	x3, vectors
	msr	vbar_el1, x3
	isb
	adr	x3, stacks
	add	x4, x2, #1
	add	x3, x3, x4, lsl #12
	mov	sp, x3
	cbnz	x2, 2f
	mov	x0, x19
	mov	x1, x20
	bl	guest_main
	b	.
2:	mov	x0, x2
	bl	guest_secondary
	b	.

	.macro	vec target
	.balign	128
	b	\target
	.endm
	.balign	2048
vectors:
	.rept 4
	vec	bad
	.endr
	vec	bad
	vec	irq
	vec	bad
	vec	bad
	.rept 8
	vec	bad
	.endr
bad:	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	bl	guest_bad
	b	.
irq:	sub	sp, sp, #176
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	bl	guest_irq
	ldp	x0, x1, [sp]
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x30, [sp, #144]
	add	sp, sp, #176
	eret
	.globl	stacks
	.balign	4096
stacks:	.space	4096 * 17
