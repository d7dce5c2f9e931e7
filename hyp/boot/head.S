/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry of KCore: the arm64 Linux Image header (Documentation/arch/arm64/
 * booting.rst), which is a PE header for UEFI as well, the first CPU, and the
 * CPUs that PSCI starts later.
 *
 * The first CPU arrives at EL2 with the MMU off and the device tree in x0. It
 * relocates the image, turns the MMU on over a coarse map of the two or three
 * GiB it needs (boot_l0, boot_l1) and calls kcore_main(), which makes the real
 * map and moves to it by mmu_switch().
 */
#include "../mach/asm.h"

#define PE_HEADERS 4096

	.section .head, "ax"
	.global _start
_start:
	add	x13, x18, #0x16		/* no effect; reads "MZ" */
	b	first_cpu
	.quad	0			/* text_offset */
	.quad	_end - _start		/* with bss */
	.quad	0xa			/* little endian, 4 KiB pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	pe_header - _start

	/* PE/COFF specification, revision 11. Offsets in file and memory are the same. */
pe_header:
	.ascii	"PE\0\0"
	.short	0xaa64			/* arm64 */
	.short	2			/* sections */
	.long	0, 0, 0
	.short	pe_sections - pe_optional
	.short	0x206			/* executable, no line numbers, no debug data */
pe_optional:
	.short	0x20b			/* PE32+ */
	.byte	0, 0
	.long	__rodata_start - _start - PE_HEADERS
	.long	__pe_data_size
	.long	0
	.long	efi_entry - _start
	.long	PE_HEADERS
	.quad	0			/* ImageBase: head.S relocates it wherever it lies */
	.long	4096, 512		/* alignment in memory, in the file */
	.short	0, 0, 0, 0, 0, 0
	.long	0
	.long	_end - _start
	.long	PE_HEADERS
	.long	0
	.short	10			/* EFI application */
	.short	0x100			/* NX compatible */
	.quad	0, 0, 0, 0
	.long	0
	.long	6			/* data directories, all empty */
	.quad	0, 0, 0, 0, 0, 0
pe_sections:
	.ascii	".text\0\0\0"
	.long	__rodata_start - _start - PE_HEADERS, PE_HEADERS
	.long	__rodata_start - _start - PE_HEADERS, PE_HEADERS
	.long	0, 0, 0
	.long	0x60000020		/* code, read, execute */
	.ascii	".data\0\0\0"
	.long	__pe_data_size, __rodata_start - _start
	.long	__pe_data_raw, __rodata_start - _start
	.long	0, 0, 0
	.long	0xc0000040		/* data, read, write: relocations go to read-only data too */
	.balign	PE_HEADERS

	.text
first_cpu:
	msr	daifset, #0xf
	mrs	x1, CurrentEL
	cmp	x1, #(2 << 2)
	b.ne	park
	mov	x19, x0
	bl	el2_plain

	/* Nothing but this CPU has seen bss: zero it before the caches are on. */
	adrp	x0, __bss_start
	add	x0, x0, :lo12:__bss_start
	adrp	x1, __bss_end
	add	x1, x1, :lo12:__bss_end
1:	stp	xzr, xzr, [x0], #16
	cmp	x0, x1
	b.lo	1b

	bl	relocate
	adrp	x20, _start
	/* One GiB block for the image's first and last byte and the FDT's. */
	adrp	x0, boot_l0
	adrp	x1, boot_l1
	orr	x2, x1, #3
	lsr	x3, x20, #39
	and	x3, x3, #0x1ff
	str	x2, [x0, x3, lsl #3]
	mov	x2, x20
	bl	map_gib
	adrp	x2, _end
	bl	map_gib
	mov	x2, x19
	bl	map_gib
	add	x2, x19, #0x200000
	bl	map_gib

	/* What was written so far went past the caches: drop what they hold. */
	mov	x0, x20
	adrp	x1, _end
	add	x1, x1, #4096
	mrs	x3, ctr_el0
	ubfx	x3, x3, #16, #4
	mov	x2, #4
	lsl	x2, x2, x3
	dsb	sy
4:	dc	ivac, x0
	add	x0, x0, x2
	cmp	x0, x1
	b.lo	4b
	dsb	sy

	adrp	x0, boot_l0
	mov_q	x5, 0x30c5183d		/* no WXN: the coarse map is all RWX */
	bl	mmu_on

	adrp	x0, boot_stack_end
	mov	sp, x0
	mov	x0, x19
	mov	x29, xzr
	mov	x30, xzr
	bl	kcore_main
park:
	wfe
	b	park

/*
 * What UEFI calls: x0 = image handle, x1 = system table; MMU on, identity map.
 * Returns a status if this machine is not for KCore.
 */
efi_entry:
	stp	x29, x30, [sp, #-32]!
	mov	x29, sp
	stp	x0, x1, [sp, #16]
	bl	relocate
	ldp	x0, x1, [sp, #16]
	bl	efi_main
	ldp	x29, x30, [sp], #32
	ret

/*
 * void efi_leave(dtb, image): from UEFI, whose boot services have ended, to the
 * start of an image as if there had been no firmware. Both, and this code, are
 * clean in the caches.
 */
	.global efi_leave
efi_leave:
	msr	daifset, #0xf
	mov_q	x2, 0x30c50830
	msr	sctlr_el2, x2
	isb
	ic	iallu
	dsb	sy
	isb
	br	x1

/*
 * R_AARCH64_RELATIVE only: the link is a static PIE at address 0. May be
 * repeated. Clobbers x0-x5.
 */
relocate:
	adrp	x5, _start
	adrp	x0, __rela_start
	add	x0, x0, :lo12:__rela_start
	adrp	x1, __rela_end
	add	x1, x1, :lo12:__rela_end
1:	cmp	x0, x1
	b.hs	2f
	ldp	x2, x3, [x0]
	ldr	x4, [x0, #16]
	add	x0, x0, #24
	cmp	w3, #1027
	b.ne	park
	add	x4, x4, x5
	str	x4, [x2, x5]
	b	1b
2:	ret

/* x2 = any address; x1 = boot_l1. */
map_gib:
	lsr	x3, x2, #30
	lsl	x4, x3, #30
	and	x3, x3, #0x1ff
	mov	x5, #0x741		/* block, normal, inner shareable, AF */
	orr	x4, x4, x5
	str	x4, [x1, x3, lsl #3]
	ret

/*
 * Known EL2 state whatever ran before: E2H = 0, MMU off. Clobbers x0.
 */
el2_plain:
	mov	x0, #(1 << 31)
	msr	hcr_el2, x0
	isb
	mov_q	x0, 0x30c50830
	msr	sctlr_el2, x0
	isb
	ret

/*
 * x0 = level 0 table, x5 = SCTLR_EL2: returns with the MMU and caches on, at
 * the same addresses. Clobbers x1-x3. Safe with the MMU on or off.
 */
mmu_on:
	mov_q	x1, 0x30c50830
	msr	sctlr_el2, x1		/* off: no walk while the table changes */
	isb
	mov_q	x1, 0x04ff
	msr	mair_el2, x1
	mov_q	x1, 0x80803510		/* T0SZ 16, WB WA, inner shareable, 4K */
	mrs	x2, id_aa64mmfr0_el1
	and	x2, x2, #0xf
	mov	x3, #5
	cmp	x2, x3
	csel	x2, x2, x3, lo
	orr	x1, x1, x2, lsl #16
	msr	tcr_el2, x1
	msr	ttbr0_el2, x0
	dsb	sy
	isb
	tlbi	alle2
	ic	iallu
	dsb	sy
	isb
	msr	sctlr_el2, x5
	isb
	ret

/* void mmu_switch(pa): to the final map, where what is writable is never executable. */
	.global mmu_switch
mmu_switch:
	mov_q	x5, 0x30cd183d		/* M, C, SA, I, WXN */
	b	mmu_on

/*
 * A CPU that PSCI CPU_ON started: x0 = its struct percpu. MMU off, so it only
 * reads what kcore_main() cleaned to memory: the map's address.
 */
	.global secondary_entry
secondary_entry:
	msr	daifset, #0xf
	mov	x19, x0
	mrs	x1, CurrentEL
	cmp	x1, #(2 << 2)
	b.ne	park
	bl	el2_plain
	adrp	x0, el2_root
	ldr	x0, [x0, :lo12:el2_root]
	bl	mmu_switch
	mov	x0, x19
	add	x1, x19, #PERCPU_STACK_END
	mov	sp, x1
	mov	x29, xzr
	mov	x30, xzr
	bl	secondary_main
	b	park

	.section .bss.boot, "aw", %nobits
	.balign 4096
	.global boot_l0, boot_l1
boot_l0:
	.space	4096
boot_l1:
	.space	4096
	.space	16384
boot_stack_end:
