/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A realm for host/vmm.c: it keeps a secret in its memory and in its registers, and asks its VMM what to do
 * by a load from a device.
 *
 * Entry: x0 shared bit, x1 data page, x2 secret. Device at shared | 0x10000000: load +0 is the next command,
 * store +8 the answer. 1: xor of the data page; 2: power off; anything else: nothing.
 */
	.text
	.globl	_start
_start:
	orr	x20, x0, #0x10000000
	mov	x3, x2
	mov	x4, x1
	mov	x5, #512
1:	str	x3, [x4], #8
	add	x3, x3, #1
	sub	x5, x5, #1
	cbnz	x5, 1b
	mov	x0, x2
	mov	x21, x2
	mov	x22, x2
	mov	x23, x2
	mov	x24, x2
	mov	x25, x2
	mov	x26, x2
	mov	x27, x2
	mov	x28, x2
	msr	tpidr_el1, x2
	msr	tpidr_el0, x2
ask:	ldr	x3, [x20]
	cmp	x3, #1
	b.eq	sum
	cmp	x3, #2
	b.eq	off
	b	ask
sum:	mov	x4, x1
	mov	x5, #512
	mov	x6, #0
2:	ldr	x7, [x4], #8
	eor	x6, x6, x7
	sub	x5, x5, #1
	cbnz	x5, 2b
	str	x6, [x20, #8]
	b	ask
off:	movz	x0, #0x8400, lsl #16
	movk	x0, #0x0008
	smc	#0
	b	off
	.balign	4096
