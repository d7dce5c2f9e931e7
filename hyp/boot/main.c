/* SPDX-License-Identifier: Apache-2.0 */
/* The boot of KCore, in order. After it, only traps and calls run code at EL2. */
#include "../drivers/log.h"
#include "../drivers/smmu.h"
#include "../mach/cpu.h"
#include "../mach/hostmap.h"
#include "../mach/mach.h"
#include "boot.h"

#define DTB_ROOM 0x100000UL

_Noreturn void kcore_main(uint64_t dtb);
_Noreturn void secondary_main(struct percpu *p);

static void cpus_init(void)
{
	uint64_t self = read_sysreg(mpidr_el1) & MPIDR_AFF;

	percpus = (struct percpu *)pool_alloc(machine.cpus * sizeof(struct percpu), SZ_4K);
	percpu_count = machine.cpus;
	for (uint32_t i = 0; i < machine.cpus; i++) {
		percpus[i].mpidr = machine.mpidr[i];
		percpus[i].index = i;
		percpus[i].state = CPU_OFF;
	}
	if (cpu_find(self) == NULL)
		panic("this CPU (0x%lx) is not in the device tree", self);
}

void kcore_main(uint64_t dtb)
{
	uint64_t entry, out;
	struct percpu *self;

	cpu_vectors();
	fdt_read(dtb);
	if (!machine.psci_smc)
		panic("no PSCI with method smc");
	pool_reserve();
	mmu_map_self();
	if (machine.uart != 0)
		uart_init(machine.uart);
	log_line("KCore at 0x%lx, tables at 0x%lx (%lu KiB), %u CPUs, %u banks of memory", (uint64_t)_start,
		 machine.core[1].base, machine.core[1].size / 1024, machine.cpus, machine.drams);
	cpu_detect();
	hostmap_init();
	cpus_init();
	self = cpu_find(read_sysreg(mpidr_el1) & MPIDR_AFF);
	write_sysreg(tpidr_el2, self);

	entry = host_place_kernel();
	out = dram_find(DTB_ROOM, SZ_2M);
	if (out == 0)
		panic("no room for the host's device tree");
	identity_boot();
	fdt_write(dtb, out, DTB_ROOM);
	host_stage2();
	smmu_init();
	cpu_init(self);
	log_line("%lu MiB of memory in %lu granules; host kernel at 0x%lx, device tree at 0x%lx",
		 tracked_granules() / 256, tracked_granules(), entry, out);
	log_line("entering the host");
	log_console(false);
	host_enter(entry, out, self);
}

void secondary_main(struct percpu *p)
{
	cpu_init(p);
	host_enter(p->entry, p->context, p);
}
