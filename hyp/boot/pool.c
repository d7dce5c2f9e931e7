/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KCore's memory beside its image: one block of DRAM, sized from the machine,
 * taken at boot and cut out of what the host gets. A bump allocator: nothing
 * is ever returned, and after boot nothing is allocated.
 */
#include "boot.h"
#include "../drivers/log.h"
#include "../mach/cpu.h"
#include "../mach/hostmap.h"

static uint64_t pool_next, pool_end;

void busy_add(uint64_t base, uint64_t size)
{
	if (size == 0)
		return;
	if (machine.busies == MAX_BUSY)
		panic("too many reserved regions");
	machine.busy[machine.busies].base = base;
	machine.busy[machine.busies].size = size;
	machine.busies++;
}

/* The lowest aligned address of DRAM where size bytes are used by nothing; 0 if there is none. */
uint64_t dram_find(uint64_t size, uint64_t align)
{
	for (uint32_t i = 0; i < machine.drams; i++) {
		uint64_t end = machine.dram[i].base + machine.dram[i].size;
		uint64_t a = align_up(machine.dram[i].base, align);
		bool moved = true;

		while (moved && a + size <= end) {
			moved = false;
			for (uint32_t j = 0; j < machine.busies; j++) {
				const struct range *b = &machine.busy[j];

				if (a < b->base + b->size && b->base < a + size) {
					a = align_up(b->base + b->size, align);
					moved = true;
				}
			}
		}
		if (a + size <= end)
			return a;
	}
	return 0;
}

/*
 * What will be asked for: the host map (granule words and tables), per-CPU
 * blocks, SMMU tables and queues.
 */
static uint64_t pool_size(void)
{
	uint64_t n = hostmap_size();

	n += machine.cpus * align_up(sizeof(struct percpu), SZ_4K);
	n += 0x80000 + machine.streamss * 0x8000; /* SMMU */
	n += 0x100000;                            /* alignment and small things */
	return align_up(n, SZ_2M);
}

void pool_reserve(void)
{
	uint64_t size = pool_size();
	uint64_t image = align_down((uint64_t)_start, SZ_2M);

	machine.core[0].base = image;
	machine.core[0].size = align_up((uint64_t)_end, SZ_2M) - image;
	busy_add(machine.core[0].base, machine.core[0].size);
	pool_next = dram_find(size, SZ_2M);
	if (pool_next == 0)
		panic("no room for the core's tables: %lx bytes", size);
	pool_end = pool_next + size;
	machine.core[1].base = pool_next;
	machine.core[1].size = size;
	busy_add(pool_next, size);
}

uint64_t pool_alloc(uint64_t size, uint64_t align)
{
	uint64_t a = align_up(pool_next, align);

	size = align_up(size, 64);
	if (a + size > pool_end)
		panic("boot pool exhausted");
	pool_next = a + size;
	__builtin_memset((void *)a, 0, size);
	return a;
}
