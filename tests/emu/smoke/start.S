/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host of a few pages: an arm64 Image that KCore starts at EL1, MMU off, and
 * a realm of one page.
 */
	.section .head, "ax"
	.global _start
_start:
	b	1f
	.long	0
	.quad	0
	.quad	_end - _start
	.quad	0xa
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0
1:	adrp	x1, stack_top
	add	x1, x1, :lo12:stack_top
	mov	sp, x1
	bl	setup
	bl	host_main
2:	wfi
	b	2b

/* A second CPU: x0 = what host_main passed. */
	.global second_start
second_start:
	adrp	x1, stack2_top
	add	x1, x1, :lo12:stack2_top
	mov	sp, x1
	bl	setup
	bl	second_main
3:	wfi
	b	3b

setup:
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	mov	x1, #(3 << 20)
	msr	cpacr_el1, x1
	isb
	ret

	.balign	2048
vectors:
	.rept	4
	.balign	128
	b	.
	.endr
	.balign	128		/* synchronous, EL1h: count it, skip the instruction */
	b	skip
	.rept	11
	.balign	128
	b	.
	.endr
skip:
	stp	x0, x1, [sp, #-16]!
	adrp	x0, last_esr
	add	x0, x0, :lo12:last_esr
	mrs	x1, esr_el1
	str	x1, [x0]
	mrs	x1, elr_el1
	add	x1, x1, #4
	msr	elr_el1, x1
	ldp	x0, x1, [sp], #16
	eret

/* uint64_t smc(fid, args[9] in and out): x0 to x8. */
	.global smc_call
smc_call:
	stp	x19, x30, [sp, #-16]!
	mov	x19, x0
	ldp	x0, x1, [x19]
	ldp	x2, x3, [x19, #16]
	ldp	x4, x5, [x19, #32]
	smc	#0
	stp	x0, x1, [x19]
	stp	x2, x3, [x19, #16]
	stp	x4, x5, [x19, #32]
	ldp	x19, x30, [sp], #16
	ret

	.bss
	.balign	16
	.space	16384
stack_top:
	.space	16384
stack2_top:

/*
 * The realm. One page of code at IPA 0x40000000, one of data behind it; the
 * unprotected half begins at 1 << 32. Reports to the host by stores to an
 * unprotected address, which the host reads from the run page.
 */
.macro report reg
	str	\reg, [x28]
.endm

	.section .realm, "ax"
	.balign	4096
	.global realm_code
realm_code:
	movz	x28, #1, lsl #32
	movk	x28, #0x0900, lsl #16		/* mmio */
	movz	x27, #0x4000, lsl #16
	movk	x27, #0x1000			/* data page */
	adr	x0, realm_vectors
	msr	vbar_el1, x0
	mov	x0, #(3 << 20)
	msr	cpacr_el1, x0
	isb

	ldr	x0, =0xC4000190			/* RSI_VERSION */
	mov	x1, #0x10000
	smc	#0
	report	x0
	report	x1

	ldr	x0, =0xC4000196			/* RSI_REALM_CONFIG */
	mov	x1, x27
	smc	#0
	report	x0
	ldr	x19, [x27]
	report	x19				/* width of the IPA space */

	ldr	x20, =0x1122334455667788
	fmov	d9, x20
	ldr	x0, =0x123456789
	msr	tpidr_el1, x0
	mov	w0, #0x42			/* RSI_HOST_CALL */
	str	w0, [x27, #0x100]
	str	x20, [x27, #0x108]
	ldr	x0, =0xC4000199
	add	x1, x27, #0x100
	smc	#0
	report	x0
	ldr	x0, [x27, #0x108]
	report	x0				/* the host's answer */
	fmov	x0, d9
	report	x0				/* still ours */
	mrs	x0, tpidr_el1
	report	x0

	ldrsb	x0, [x28, #0x18]		/* read from a device */
	report	x0

	mrs	x0, mpidr_el1
	report	x0
	mov	x0, #-1
	hvc	#0				/* undefined here: vector, skipped */
	report	x18				/* its syndrome */

	movz	x1, #0x4000, lsl #16		/* RIPAS EMPTY: abort, skipped */
	movk	x1, #0x5000
	ldr	x2, [x1]
	report	x18

	mov	x0, #0xff			/* a virtual interrupt */
	msr	S3_0_C4_C6_0, x0		/* ICC_PMR_EL1 */
	mov	x0, #1
	msr	S3_0_C12_C12_7, x0		/* ICC_IGRPEN1_EL1 */
	isb
	mrs	x0, S3_0_C12_C12_0		/* ICC_IAR1_EL1 */
	report	x0
	msr	S3_0_C12_C12_1, x0		/* ICC_EOIR1_EL1 */

	mrs	x0, cntfrq_el0			/* the virtual timer, 1 ms */
	mov	x1, #1000
	udiv	x0, x0, x1
	msr	cntv_tval_el0, x0
	mov	x0, #1
	msr	cntv_ctl_el0, x0
	isb
1:	mrs	x0, S3_0_C12_C12_0		/* until the host injects it */
	cmp	x0, #27
	b.ne	1b
	msr	cntv_ctl_el0, xzr
	msr	S3_0_C12_C12_1, x0
	report	x0

	movz	x1, #0x4000, lsl #16		/* RIPAS RAM, no page yet: the host supplies one */
	movk	x1, #0x2000
	mov	x0, #7
	str	x0, [x1]
	ldr	x0, [x1]
	report	x0

	ldr	x0, =0xC4000197			/* RSI_IPA_STATE_SET(EMPTY): share it */
	movz	x1, #0x4000, lsl #16
	movk	x1, #0x2000
	add	x2, x1, #0x1000
	mov	x3, #0
	mov	x4, #1
	smc	#0
	report	x0
	report	x1
	movz	x1, #1, lsl #32
	movk	x1, #0x4000, lsl #16
	movk	x1, #0x2000
	ldr	x0, [x1]			/* the host maps its own page here */
	report	x0
	mov	x0, #0x77
	str	x0, [x1]

	ldr	x0, =0x84000008			/* PSCI SYSTEM_OFF */
	smc	#0
	b	.
	.ltorg

	.balign	2048
realm_vectors:
	.rept	4
	.balign	128
	b	.
	.endr
	.balign	128
	mrs	x18, esr_el1
	mrs	x17, elr_el1
	add	x17, x17, #4
	msr	elr_el1, x17
	eret
	.rept	11
	.balign	128
	b	.
	.endr

/*
 * A second realm of two vCPUs. The first starts the second, waits for what it
 * writes, and adds to it; both spin, so both must run at the same time.
 */
	.balign	4096
	.global smp_code
smp_code:
	movz	x28, #1, lsl #32
	movk	x28, #0x0900, lsl #16
	movz	x27, #0x4000, lsl #16
	movk	x27, #0x1000
	movz	x0, #0x3
	movk	x0, #0xc400, lsl #16			/* PSCI CPU_ON(1, smp_second, 5) */
	mov	x1, #1
	adr	x2, smp_second
	mov	x3, #5
	smc	#0
	report	x0
	mov	x5, #1000
1:	ldar	x0, [x27]			/* odd: theirs, even: ours */
	tbz	x0, #0, 1b
	add	x0, x0, #1
	stlr	x0, [x27]
	subs	x5, x5, #1
	b.ne	1b
	report	x0
	movz	x0, #0x8
	movk	x0, #0x8400, lsl #16
	smc	#0
	b	.
smp_second:
	movz	x27, #0x4000, lsl #16
	movk	x27, #0x1000
	mrs	x1, mpidr_el1
	and	x1, x1, #0xff
	cmp	x1, #1
	b.ne	.
	cmp	x0, #5
	b.ne	.
	mov	x5, #1000
2:	ldar	x0, [x27]
	tbnz	x0, #0, 2b
	add	x0, x0, #1
	stlr	x0, [x27]
	subs	x5, x5, #1
	b.ne	2b
	movz	x0, #0x2
	movk	x0, #0x8400, lsl #16			/* PSCI CPU_OFF */
	smc	#0
	b	.
