/* SPDX-License-Identifier: Apache-2.0 */
/* arm64 Image header, entry, exception vectors and the SMC of the wild guest. */
	.section .head, "ax"
	.globl	_start
_start:
	b	1f
	.long	0
	.quad	0			/* text_offset */
	.quad	image_size
	.quad	0xa			/* little endian, 4 KiB pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0
1:	adrp	x1, stack_top
	add	x1, x1, :lo12:stack_top
	mov	sp, x1
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	bl	wild
2:	wfi
	b	2b

/* void smc(uint64_t x[11]) */
	.text
	.globl	smc
smc:
	stp	x19, x30, [sp, #-16]!
	mov	x19, x0
	ldp	x0, x1, [x19]
	ldp	x2, x3, [x19, #16]
	ldp	x4, x5, [x19, #32]
	ldp	x6, x7, [x19, #48]
	ldp	x8, x9, [x19, #64]
	ldr	x10, [x19, #80]
	smc	#0
	stp	x0, x1, [x19]
	stp	x2, x3, [x19, #16]
	stp	x4, x5, [x19, #32]
	stp	x6, x7, [x19, #48]
	stp	x8, x9, [x19, #64]
	str	x10, [x19, #80]
	ldp	x19, x30, [sp], #16
	ret

/* uint64_t touch_load(addr), void touch_store(addr, value), void touch_call(addr): may trap */
	.globl	touch_load, touch_store, touch_call
touch_load:
	ldr	x0, [x0]
	ret
touch_store:
	str	x1, [x0]
	ret
touch_call:
	stp	x29, x30, [sp, #-16]!
	blr	x0
	ldp	x29, x30, [sp], #16
	ret

/* Count the trap, and go on: behind a load or store, otherwise (a jump went wild) where the jump came from. */
	.balign	0x800
vectors:
	.rept	16
	b	trap
	.balign	0x80
	.endr
trap:
	stp	x1, x2, [sp, #-16]!
	adrp	x1, traps
	add	x1, x1, :lo12:traps
	ldr	x2, [x1]
	add	x2, x2, #1
	str	x2, [x1]
	mrs	x1, esr_el1
	lsr	x1, x1, #26
	and	x1, x1, #0x3f
	mrs	x2, elr_el1
	cmp	x1, #0x25
	add	x2, x2, #4
	csel	x2, x2, x30, eq
	msr	elr_el1, x2
	ldp	x1, x2, [sp], #16
	eret
