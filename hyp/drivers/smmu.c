/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One SMMUv3, stage 2 only. The stream table has two levels of 256; every described block of 256 StreamIDs has
 * its first-level entry point to one shared second level, since all streams are treated alike. A block that is
 * described in part gets a second level of its own. Everything else is invalid, so it aborts.
 */
#include "smmu.h"

#include "../boot/boot.h"
#include "../mach/hostmap.h"
#include "../mach/mach.h"
#include "../mach/spin.h"
#include "log.h"

#define IDR0 0x00
#define IDR1 0x04
#define IDR5 0x14
#define CR0 0x20
#define CR0ACK 0x24
#define CR1 0x28
#define CR2 0x2c
#define GBPA 0x44
#define IRQ_CTRL 0x50
#define IRQ_CTRLACK 0x54
#define GERROR 0x60
#define GERRORN 0x64
#define STRTAB_BASE 0x80
#define STRTAB_BASE_CFG 0x88
#define CMDQ_BASE 0x90
#define CMDQ_PROD 0x98
#define CMDQ_CONS 0x9c
#define EVENTQ_BASE 0xa0
#define EVENTQ_PROD 0x100a8
#define EVENTQ_CONS 0x100ac

#define IDR0_S2P (1u << 0)
#define IDR0_COHACC (1u << 4)
#define IDR0_ATS (1u << 10)
#define IDR0_2LVL (1u << 27)
#define CR0_SMMUEN (1u << 0)
#define CR0_EVENTQEN (1u << 2)
#define CR0_CMDQEN (1u << 3)
#define CR0_ATSCHK (1u << 4)
#define GBPA_UPDATE (1u << 31)
#define GBPA_ABORT (1u << 20)

#define CMD_CFGI_ALL 0x04UL
#define CMD_TLBI_S2_IPA 0x2aUL
#define CMD_TLBI_NSNH_ALL 0x30UL
#define CMD_SYNC 0x46UL

#define QUEUE_LOG2 8u
#define QUEUE_ENTRIES (1u << QUEUE_LOG2)
/* Producer and consumer: an index and one wrap bit above it. */
#define QUEUE_MASK (2 * QUEUE_ENTRIES - 1)

#define L2_STES 256u
#define STE_WORDS 8u
#define SMMU_VMID 1UL

static uint64_t base; /* 0: not active */
static uint64_t *cmdq, *evtq, *strtab;
static uint32_t prod;
static struct spin lock;

static void ste_fill(uint64_t *ste)
{
	ste[1] = 1UL << 44;                     /* SHCFG: use incoming */
	ste[2] = SMMU_VMID | 24UL << 32 | 1UL << 38 | 1UL << 40 | 1UL << 42 | 3UL << 44 | 2UL << 48 |
		 1UL << 51 | 1UL << 53 | 1UL << 58; /* as HOST_VTCR; record faults */
	ste[3] = smmu_l1;
	ste[0] = 1 | 6UL << 1;                  /* valid, stage 2 only */
}

static void add_streams(uint64_t *shared, uint32_t first, uint32_t count)
{
	uint32_t end = first + count;

	while (first < end) {
		uint32_t block = first / L2_STES;
		uint32_t stop = (block + 1) * L2_STES < end ? (block + 1) * L2_STES : end;
		uint64_t *l2;

		if (first % L2_STES == 0 && stop == first + L2_STES) {
			l2 = shared;
		} else {
			l2 = (uint64_t *)(strtab[block] & 0x0000ffffffffffc0UL);
			if (l2 == NULL)
				l2 = (uint64_t *)pool_alloc(L2_STES * 64, L2_STES * 64);
			for (uint32_t sid = first; l2 != shared && sid < stop; sid++)
				ste_fill(l2 + (sid % L2_STES) * STE_WORDS);
		}
		strtab[block] = (uint64_t)l2 | 9; /* span: 2^(9-1) entries */
		first = stop;
	}
}

static bool wait_equal(uint64_t reg, uint32_t v)
{
	for (uint32_t i = 0; i < 10000000; i++) {
		if (mmio_r32(base + reg) == v)
			return true;
	}
	return false;
}

/* Guard: lock held. The commands are done, and their effect complete, on return. */
static void commands(uint64_t op, uint64_t arg)
{
	uint64_t list[2][2] = { { op, arg }, { CMD_SYNC, 0 } };

	for (int i = 0; i < 2; i++) {
		uint64_t *slot = cmdq + 2 * (prod % QUEUE_ENTRIES);

		slot[0] = list[i][0];
		slot[1] = list[i][1];
		prod = (prod + 1) & QUEUE_MASK;
	}
	dsb(st);
	mmio_w32(base + CMDQ_PROD, prod);
	while ((mmio_r32(base + CMDQ_CONS) & QUEUE_MASK) != prod) {
		if (((mmio_r32(base + GERROR) ^ mmio_r32(base + GERRORN)) & 1) != 0)
			panic("SMMU refuses a command: 0x%x", mmio_r32(base + CMDQ_CONS));
	}
}

void smmu_tlbi(uint64_t ipa)
{
	if (base == 0)
		return;
	dsb(ish);
	spin_lock(&lock);
	commands(CMD_TLBI_S2_IPA | SMMU_VMID << 32, ipa & 0x000ffffffffff000UL);
	spin_unlock(&lock);
}

void smmu_events(void)
{
	static struct log_rate rate;
	uint32_t p, c;

	if (base == 0)
		return;
	spin_lock(&lock);
	p = mmio_r32(base + EVENTQ_PROD);
	c = mmio_r32(base + EVENTQ_CONS);
	if (p != c) {
		if (((p ^ c) & 0x80000000u) != 0)
			log_line("smmu: events were lost");
		dmb(ld);
		for (uint32_t i = c & QUEUE_MASK; i != (p & QUEUE_MASK); i = (i + 1) & QUEUE_MASK) {
			const uint64_t *e = evtq + 4 * (i % QUEUE_ENTRIES);

			if (log_allow(&rate))
				log_line("smmu: DMA refused: event 0x%lx stream 0x%lx address 0x%lx", e[0] & 0xff,
					 e[0] >> 32, e[2]);
		}
		dsb(sy);
		mmio_w32(base + EVENTQ_CONS, p);
	}
	/* Global errors other than of the command queue: note and acknowledge. */
	p = mmio_r32(base + GERROR);
	c = mmio_r32(base + GERRORN);
	if (((p ^ c) & ~1u) != 0) {
		if (log_allow(&rate))
			log_line("smmu: global error 0x%x", p ^ c);
		mmio_w32(base + GERRORN, p & ~1u);
	}
	spin_unlock(&lock);
}

bool smmu_active(void)
{
	return base != 0;
}

bool smmu_init(void)
{
	uint32_t idr0, idr1, sidsize, log2 = 8, on = CR0_CMDQEN | CR0_EVENTQEN | CR0_SMMUEN;
	uint64_t *shared;

	if (machine.smmu == 0 || machine.smmus != 1) {
		log_line("NO DMA PROTECTION: %u SMMUv3 in the device tree; realms are refused", machine.smmus);
		return false;
	}
	base = machine.smmu;
	idr0 = mmio_r32(base + IDR0);
	idr1 = mmio_r32(base + IDR1);
	sidsize = idr1 & 0x3f;

	/* Nothing passes while the SMMU is set up, nor ever when it is off. */
	while ((mmio_r32(base + GBPA) & GBPA_UPDATE) != 0)
		;
	mmio_w32(base + GBPA, GBPA_UPDATE | GBPA_ABORT);
	while ((mmio_r32(base + GBPA) & GBPA_UPDATE) != 0)
		;
	mmio_w32(base + CR0, 0);
	if (!wait_equal(CR0ACK, 0) || (idr0 & IDR0_S2P) == 0 || (idr0 & IDR0_COHACC) == 0 ||
	    (idr0 & IDR0_2LVL) == 0 || (mmio_r32(base + IDR5) & 7) < 2) {
		log_line("NO DMA PROTECTION: the SMMU (IDR0 0x%x) lacks stage 2, coherence, two-level tables or 40 bits; "
			 "all DMA is aborted and realms are refused", idr0);
		base = 0;
		return false;
	}

	while (log2 < sidsize && log2 < 16)
		log2++;
	strtab = (uint64_t *)pool_alloc((1UL << (log2 - 8)) * 8, SZ_4K);
	shared = (uint64_t *)pool_alloc(L2_STES * 64, L2_STES * 64);
	for (uint32_t i = 0; i < L2_STES; i++)
		ste_fill(shared + i * STE_WORDS);
	for (uint32_t i = 0; i < machine.streamss; i++) {
		const struct streams *s = &machine.stream[i];

		if (s->base + s->count <= 1u << log2)
			add_streams(shared, s->base, s->count);
	}
	cmdq = (uint64_t *)pool_alloc(QUEUE_ENTRIES * 16, SZ_64K);
	evtq = (uint64_t *)pool_alloc(QUEUE_ENTRIES * 32, SZ_64K);
	dsb(sy);

	mmio_w32(base + IRQ_CTRL, 0);
	wait_equal(IRQ_CTRLACK, 0);
	mmio_w32(base + CR1, 0xd75);  /* tables and queues: inner shareable, write-back */
	mmio_w32(base + CR2, 6);      /* record bad StreamIDs, no broadcast TLB maintenance */
	mmio_w64(base + STRTAB_BASE, 1UL << 62 | (uint64_t)strtab);
	mmio_w32(base + STRTAB_BASE_CFG, 1u << 16 | 8u << 6 | log2);
	mmio_w64(base + CMDQ_BASE, 1UL << 62 | (uint64_t)cmdq | QUEUE_LOG2);
	mmio_w32(base + CMDQ_PROD, 0);
	mmio_w32(base + CMDQ_CONS, 0);
	mmio_w64(base + EVENTQ_BASE, 1UL << 62 | (uint64_t)evtq | QUEUE_LOG2);
	mmio_w32(base + EVENTQ_PROD, 0);
	mmio_w32(base + EVENTQ_CONS, 0);
	mmio_w32(base + GERRORN, mmio_r32(base + GERROR));

	mmio_w32(base + CR0, CR0_CMDQEN);
	if (!wait_equal(CR0ACK, CR0_CMDQEN))
		panic("SMMU command queue does not start");
	commands(CMD_CFGI_ALL, 31);
	commands(CMD_TLBI_NSNH_ALL, 0);
	mmio_w32(base + CR0, CR0_CMDQEN | CR0_EVENTQEN);
	wait_equal(CR0ACK, CR0_CMDQEN | CR0_EVENTQEN);
	if ((idr0 & IDR0_ATS) != 0)
		on |= CR0_ATSCHK; /* "already translated" is for the SMMU to say: no stream has ATS */
	mmio_w32(base + CR0, on);
	if (!wait_equal(CR0ACK, on))
		panic("SMMU does not start");
	log_line("smmu: on, %u bits of StreamID, IDR0 0x%x", log2, idr0);
	return true;
}
