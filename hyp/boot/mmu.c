/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KCore's own stage 1: identity, text read-only and executable, everything
 * else not executable, DRAM normal memory, devices only where KCore drives
 * them. Built once at boot.
 */
#include "boot.h"
#include "../drivers/log.h"

#define D_VALID 1UL
#define D_TABLE 3UL
#define D_RAM 0x741UL /* AF, inner shareable, AP[1], normal */
#define D_DEVICE 0x445UL
#define D_RO (1UL << 7)
#define D_XN (1UL << 54)
#define D_ADDR 0x0000fffffffff000UL

/* In the image: they are needed before the pool can be reached. */
#define TABLES 64
static uint64_t tables[TABLES][512] __attribute__((aligned(4096)));
static uint32_t tables_used;

uint64_t el2_root;

static uint64_t table_new(void)
{
	if (tables_used == TABLES)
		panic("out of tables for the core's own map");
	return (uint64_t)tables[tables_used++];
}

static uint64_t *table_of(uint64_t *entry)
{
	if ((*entry & D_VALID) == 0)
		*entry = table_new() | D_TABLE;
	return (uint64_t *)(*entry & D_ADDR);
}

/* The largest blocks that fit; nothing in [pa, end) may be mapped already, except through tables. */
static void map(uint64_t pa, uint64_t end, uint64_t attr)
{
	while (pa < end) {
		uint64_t *t = (uint64_t *)el2_root;
		uint64_t *e = &t[(pa >> 39) & 511];

		t = table_of(e);
		e = &t[(pa >> 30) & 511];
		if (*e == 0 && (pa & (SZ_1G - 1)) == 0 && pa + SZ_1G <= end) {
			*e = pa | attr;
			pa += SZ_1G;
			continue;
		}
		t = table_of(e);
		e = &t[(pa >> 21) & 511];
		if (*e == 0 && (pa & (SZ_2M - 1)) == 0 && pa + SZ_2M <= end) {
			*e = pa | attr;
			pa += SZ_2M;
			continue;
		}
		t = table_of(e);
		t[(pa >> 12) & 511] = pa | attr | 2;
		pa += SZ_4K;
	}
}

static void map_device(uint64_t pa, uint64_t size)
{
	map(align_down(pa, SZ_4K), align_up(pa + size, SZ_4K), D_DEVICE | D_XN);
}

/* The console before the real map: the GiB around it in head.S's map, if that is free. */
bool mmu_early_device(uint64_t pa)
{
	extern uint64_t boot_l1[];
	uint64_t *e = &boot_l1[(pa >> 30) & 511];

	if (pa >> 39 != (uint64_t)_start >> 39 || *e != 0)
		return false;
	*e = align_down(pa, SZ_1G) | D_DEVICE | D_XN;
	dsb(ish);
	isb();
	return true;
}

void mmu_map_self(void)
{
	uint64_t image = (uint64_t)_start;
	uint64_t end = align_up((uint64_t)_end, SZ_4K);

	el2_root = table_new();
	for (uint32_t i = 0; i < machine.drams; i++) {
		uint64_t base = machine.dram[i].base;
		uint64_t top = base + machine.dram[i].size;

		if (image >= base && image < top) {
			map(base, image, D_RAM | D_XN);
			map(image, (uint64_t)__rodata_start, D_RAM | D_RO);
			map((uint64_t)__rodata_start, (uint64_t)__data_start, D_RAM | D_RO | D_XN);
			map((uint64_t)__data_start, end, D_RAM | D_XN);
			map(end, top, D_RAM | D_XN);
		} else {
			map(base, top, D_RAM | D_XN);
		}
	}
	if (machine.uart != 0)
		map_device(machine.uart, SZ_4K);
	map_device(machine.gicr, machine.gicr_size);
	if (machine.smmu != 0)
		map_device(machine.smmu, 0x20000);
	/* Secondary CPUs read this with their MMU off. */
	__asm__ volatile("dc cvac, %0" : : "r"(&el2_root) : "memory");
	dsb(sy);
	mmu_switch(el2_root);
}
