/* SPDX-License-Identifier: Apache-2.0 */
/* The host before it runs: where its kernel goes, and its stage 2. */
#include "../drivers/gic.h"
#include "../drivers/log.h"
#include "../mach/hostmap.h"
#include "../mach/mach.h"
#include "boot.h"

#define IMAGE_MAGIC 0x644d5241u /* "ARM\x64" at offset 56 */

/* A kernel's entry: in place if it is aligned and has room for its bss, otherwise copied to where it has. */
uint64_t host_place_kernel(void)
{
	const uint8_t *image = (const uint8_t *)machine.kernel.base;
	uint64_t text_offset, size, to;
	bool clash = false;

	if (machine.kernel.size < 64 || *(const uint32_t *)(image + 56) != IMAGE_MAGIC)
		panic("the host kernel is not an (uncompressed) arm64 Image");
	text_offset = *(const uint64_t *)(image + 8);
	size = *(const uint64_t *)(image + 16);
	if (size < machine.kernel.size)
		size = machine.kernel.size;
	to = machine.kernel.base;
	for (uint32_t i = 0; i < machine.busies; i++) {
		const struct range *b = &machine.busy[i];

		if (b->base != align_down(to, SZ_4K) && b->base < to + size && to < b->base + b->size)
			clash = true;
	}
	if (((to - text_offset) & (SZ_2M - 1)) == 0 && !clash) {
		busy_add(to, align_up(size, SZ_4K));
		return to;
	}
	to = dram_find(size + text_offset, SZ_2M);
	if (to == 0)
		panic("no room for the host kernel");
	to += text_offset;
	__builtin_memcpy((void *)to, image, machine.kernel.size);
	busy_add(to, align_up(size, SZ_4K));
	log_line("host kernel moved from 0x%lx to 0x%lx", machine.kernel.base, to);
	return to;
}

static bool in_dram(uint64_t a, uint64_t end)
{
	for (uint32_t i = 0; i < machine.drams; i++) {
		if (a < machine.dram[i].base + machine.dram[i].size && machine.dram[i].base < end)
			return true;
	}
	return false;
}

static void device_page(uint64_t pa)
{
	hostmap_device_table(3, pa);
	core_boot_device(pa, 3);
}

static void device(uint64_t a, uint64_t end)
{
	if (in_dram(a, end))
		panic("a device lies over memory at 0x%lx", a);
	while (a < end) {
		if ((a & (SZ_1G - 1)) == 0 && a + SZ_1G <= end && host_table(2, a) == 0) {
			/* Big windows: a level 1 block, device memory, not executable, read and write. */
			pt_write(host_table(1, a), (a >> 30) & 511, a | 1UL << 54 | 0x400 | 0xc0 | 0x04 | 1);
			a += SZ_1G;
		} else if ((a & (SZ_2M - 1)) == 0 && a + SZ_2M <= end && host_table(3, a) == 0) {
			hostmap_device_table(2, a);
			core_boot_device(a, 2);
			a += SZ_2M;
		} else {
			device_page(a);
			a += SZ_4K;
		}
	}
}

void host_stage2(void)
{
	for (uint32_t i = 0; i < machine.drams; i++) {
		uint64_t end = machine.dram[i].base + machine.dram[i].size;

		for (uint64_t a = align_down(machine.dram[i].base, SZ_2M); a < end; a += SZ_2M)
			core_boot_dram(a);
	}
	gic_host_pages(device_page);
	for (uint32_t i = 0; i < machine.devices; i++)
		device(machine.device[i].base, machine.device[i].base + machine.device[i].size);
	dsb(ish);
}
