/* SPDX-License-Identifier: Apache-2.0 */
/* An arm64 Image, as Linux is one (Documentation/arch/arm64/booting.rst). */
	.section .head, "ax"
	.globl	_start
_start:	b	1f
	.long	0
	.quad	0			/* text_offset */
	.quad	image_size
	.quad	0xa			/* little endian, 4 KiB pages */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0
1:	adr	x0, stack_end
	mov	sp, x0
	bl	guest_main
	b	.
	.bss
	.balign	16
	.skip	4096
stack_end:
