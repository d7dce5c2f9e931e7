/* SPDX-License-Identifier: Apache-2.0 */
/* What the boot code learns from the device tree, and the order it works in. */
#ifndef KCORE_BOOT_H
#define KCORE_BOOT_H

#include "../mach/arch.h"

#define MAX_BANKS 32
#define MAX_CPUS 512
#define MAX_DEVICES 64
#define MAX_BUSY 64
#define MAX_STREAMS 32

struct range {
	uint64_t base;
	uint64_t size;
};

struct streams {
	uint32_t base;
	uint32_t count;
};

struct module {
	uint64_t base;
	uint64_t size;
	char args[2048];
};

/* The machine, as the firmware's device tree describes it. */
struct machine {
	struct range dram[MAX_BANKS]; /* ascending, whole granules */
	uint32_t drams;
	struct range busy[MAX_BUSY];  /* parts of DRAM that KCore must not take */
	uint32_t busies;
	struct range device[MAX_DEVICES]; /* what the host may reach: an allow-list */
	uint32_t devices;
	uint64_t mpidr[MAX_CPUS];
	uint32_t cpus;
	uint64_t uart;
	uint64_t gicd;
	uint64_t gicr;
	uint64_t gicr_size;
	uint64_t smmu;          /* 0: none */
	uint32_t smmus;
	struct streams stream[MAX_STREAMS];
	uint32_t streamss;
	bool psci_smc;
	struct module kernel;
	struct module initrd;   /* size 0: none */
	struct range core[2];   /* KCore's own memory: image, pool */
	struct range dice;      /* what the firmware hands over; size 0: nothing */
	uint8_t seed[64];       /* digest of the firmware's random seeds */
	bool token_cmw;         /* boot option token=cmw */
};

extern struct machine machine;

/* fdt.c. Both stop the boot with a message when the tree is unusable. */
void fdt_read(uint64_t dtb);
void fdt_write(uint64_t dtb, uint64_t out, uint64_t room);

/* identity.c: KCore's identity; no secret of the firmware is left anywhere else. */
void identity_boot(void);

/* pool.c: boot-time memory, zeroed, never returned. */
void pool_reserve(void);
uint64_t pool_alloc(uint64_t size, uint64_t align);
uint64_t dram_find(uint64_t size, uint64_t align);
void busy_add(uint64_t base, uint64_t size);

/* mmu.c: KCore's own stage 1. */
extern uint64_t el2_root;
bool mmu_early_device(uint64_t pa);
void mmu_map_self(void);
void mmu_switch(uint64_t root);

/* host.c */
uint64_t host_place_kernel(void);
void host_stage2(void);

extern char _start[], _end[], __bss_start[], __text_start[], __rodata_start[], __data_start[];

#endif
