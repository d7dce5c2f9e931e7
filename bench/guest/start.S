/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry of the benchmark guest: an arm64 Image that runs with the MMU off, on a
 * realm or on an ordinary KVM guest, vCPU 0 from `_start`, the others (brought
 * up by PSCI CPU_ON) from `secondary_start` with their stack top in x0.
 */
	.section .head, "ax"
	.global _start
_start:
	b	1f
	.long	0
	.quad	0			/* text_offset */
	.quad	_image_size - _start
	.quad	0xa			/* little endian, 4 KiB pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0
1:	adrp	x1, _stack0_top
	add	x1, x1, :lo12:_stack0_top
	mov	sp, x1
	bl	setup
	bl	bench_main
2:	wfi
	b	2b

	.global secondary_start
secondary_start:
	mov	sp, x0
	bl	setup
	bl	bench_secondary
3:	wfi
	b	3b

/* FP off is fine; only vectors and instruction ordering are needed. */
setup:
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	ret

	.balign	2048
vectors:
	.rept	4
	.balign	128
	b	unexpected
	.endr
	.balign	128			/* EL1h synchronous */
	b	unexpected
	.balign	128			/* EL1h IRQ */
	b	irq
	.rept	10
	.balign	128
	b	unexpected
	.endr

	.balign	128
irq:
	sub	sp, sp, #192
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
	bl	bench_irq
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
	add	sp, sp, #192
	eret

unexpected:
	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	bl	bench_unexpected
4:	wfi
	b	4b
