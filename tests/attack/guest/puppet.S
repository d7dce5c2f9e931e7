/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A realm that does what its host asks: it stands for the victim (it keeps data and says what it sees)
 * and for the malicious guest (the host chooses its calls). One loop of RSI_HOST_CALL; the structure's
 * registers carry the request in and the result out.
 *
 *   in  gprs[0] operation, gprs[1..] arguments
 *   out gprs[0] 0, or 0x100 | vector if it trapped; gprs[1..] results, or ESR, FAR, ELR of the trap
 *
 * Entry: pc = start of this page, x0 = IPA of the host call structure (aligned to 0x100).
 * MMU off, so every access is Device: aligned only.
 */
#define RSI_HOST_CALL 0xC4000199

#define OP_LOAD 1	/* address -> value */
#define OP_STORE 2	/* address, value */
#define OP_SMC 3	/* x0-x10 -> x0-x10 */
#define OP_CALL 4	/* address */
#define OP_SUM 5	/* address, words -> xor of them */
#define OP_FILL 6	/* address, words, first value (rises by 1) */
#define OP_HVC 7
#define OP_SPIN 8	/* for ever: only an interrupt of the host ends a run */
#define OP_WFI 9
#define OP_SGI 10	/* ICC_SGI1R_EL1 value */
#define OP_REGS 11	/* value, address or 0: fill the registers, then touch the address or WFI */
#define OP_COUNTER 12	/* -> CNTVCT_EL0 */
#define OP_VTIMER 13	/* CNTV_CTL, CNTV_CVAL */
#define OP_PAIR 14	/* address, value: store pair (no syndrome) */
#define OP_MPIDR 15	/* -> MPIDR_EL1 */

	.text
	.globl	_start
_start:
	mov	x28, x0			/* the structure */
	add	x27, x0, #8		/* its gprs */
	adr	x1, vectors
	msr	vbar_el1, x1
	isb
	str	xzr, [x27]
	mov	x9, #0
	b	ask

done:					/* x9: status */
	str	x9, [x27]
ask:
	movz	x0, #(RSI_HOST_CALL >> 16), lsl #16
	movk	x0, #(RSI_HOST_CALL & 0xffff)
	mov	x1, x28
	smc	#0
	ldr	x10, [x27]
	ldr	x11, [x27, #8]
	ldr	x12, [x27, #16]
	ldr	x13, [x27, #24]
	mov	x9, #0
	cmp	x10, #OP_LOAD
	b.eq	op_load
	cmp	x10, #OP_STORE
	b.eq	op_store
	cmp	x10, #OP_SMC
	b.eq	op_smc
	cmp	x10, #OP_CALL
	b.eq	op_call
	cmp	x10, #OP_SUM
	b.eq	op_sum
	cmp	x10, #OP_FILL
	b.eq	op_fill
	cmp	x10, #OP_HVC
	b.eq	op_hvc
	cmp	x10, #OP_SPIN
	b.eq	op_spin
	cmp	x10, #OP_WFI
	b.eq	op_wfi
	cmp	x10, #OP_SGI
	b.eq	op_sgi
	cmp	x10, #OP_REGS
	b.eq	op_regs
	cmp	x10, #OP_COUNTER
	b.eq	op_counter
	cmp	x10, #OP_VTIMER
	b.eq	op_vtimer
	cmp	x10, #OP_PAIR
	b.eq	op_pair
	cmp	x10, #OP_MPIDR
	b.eq	op_mpidr
	mov	x9, #1
	b	done

op_load:
	ldr	x14, [x11]
	str	x14, [x27, #8]
	b	done
op_store:
	str	x12, [x11]
	b	done
op_pair:
	stp	x12, x12, [x11]
	b	done
op_call:
	blr	x11
	str	x0, [x27, #8]
	b	done
op_sum:
	mov	x14, #0
1:	cbz	x12, 2f
	ldr	x15, [x11], #8
	eor	x14, x14, x15
	sub	x12, x12, #1
	b	1b
2:	str	x14, [x27, #8]
	b	done
op_fill:
	cbz	x12, done
	str	x13, [x11], #8
	add	x13, x13, #1
	sub	x12, x12, #1
	b	op_fill
op_smc:
	ldr	x10, [x27, #88]
	ldr	x9, [x27, #80]
	ldr	x8, [x27, #72]
	ldr	x7, [x27, #64]
	ldr	x6, [x27, #56]
	ldr	x5, [x27, #48]
	ldr	x4, [x27, #40]
	ldr	x3, [x27, #32]
	ldr	x2, [x27, #24]
	ldr	x1, [x27, #16]
	ldr	x0, [x27, #8]
	smc	#0
	str	x0, [x27, #8]
	str	x1, [x27, #16]
	str	x2, [x27, #24]
	str	x3, [x27, #32]
	str	x4, [x27, #40]
	str	x5, [x27, #48]
	str	x6, [x27, #56]
	str	x7, [x27, #64]
	str	x8, [x27, #72]
	str	x9, [x27, #80]
	str	x10, [x27, #88]
	mov	x9, #0
	b	done
op_hvc:
	hvc	#0
	b	done
op_spin:
	b	op_spin
op_wfi:
	wfi
	b	done
op_sgi:
	msr	s3_0_c12_c11_5, x11
	isb
	b	done
op_regs:				/* what an exit must not show */
	mov	x0, x11
	mov	x1, x11
	mov	x2, x11
	mov	x3, x11
	mov	x4, x11
	mov	x5, x11
	mov	x6, x11
	mov	x7, x11
	mov	x8, x11
	mov	x16, x11
	mov	x17, x11
	mov	x18, x11
	mov	x19, x11
	mov	x20, x11
	mov	x21, x11
	mov	x22, x11
	mov	x23, x11
	mov	x24, x11
	mov	x25, x11
	mov	x26, x11
	mov	x29, x11
	mov	x30, x11
	cbnz	x12, 3f
	wfi
	b	done
3:	ldr	x14, [x12]		/* an address whose access leaves the realm */
	b	done
op_counter:
	isb
	mrs	x14, cntvct_el0
	str	x14, [x27, #8]
	b	done
op_vtimer:
	msr	cntv_cval_el0, x12
	msr	cntv_ctl_el0, x11
	isb
	b	done
op_mpidr:
	mrs	x14, mpidr_el1
	str	x14, [x27, #8]
	b	done

trapped:				/* x9: status */
	mrs	x14, esr_el1
	str	x14, [x27, #8]
	mrs	x14, far_el1
	str	x14, [x27, #16]
	mrs	x14, elr_el1
	str	x14, [x27, #24]
	b	done

	.balign	0x800
vectors:
	.set	n, 0
	.rept	16
	mov	x9, #(0x100 | n)
	b	trapped
	.balign	0x80
	.set	n, n + 1
	.endr
