/* SPDX-License-Identifier: Apache-2.0 */
#include "gic.h"

#include "../boot/boot.h"
#include "../mach/mach.h"
#include "log.h"

/* RD frame */
#define GICR_CTLR 0x0000UL
#define GICR_TYPER 0x0008UL
#define GICR_SETLPIR 0x0040UL /* from here on: LPIs, and what nobody needs */
#define CTLR_ENABLE_LPIS 1u
#define CTLR_RWP (1u << 3)
#define TYPER_PLPIS 1u
#define TYPER_VLPIS 2u
#define TYPER_LAST (1u << 4)
/* SGI frame, 64 KiB above */
#define GICR_ISENABLER0 0x10100UL
#define GICR_ICENABLER0 0x10180UL

#define VTIMER_PPI 27

static uint64_t stride(uint64_t rd)
{
	return (mmio_r64(rd + GICR_TYPER) & TYPER_VLPIS) != 0 ? 4 * SZ_64K : 2 * SZ_64K;
}

static uint64_t next(uint64_t rd)
{
	uint64_t end = machine.gicr + machine.gicr_size;

	if ((mmio_r64(rd + GICR_TYPER) & TYPER_LAST) != 0)
		return 0;
	rd += stride(rd);
	return rd + 2 * SZ_64K <= end ? rd : 0;
}

void gic_cpu_init(struct percpu *p)
{
	uint64_t want = (p->mpidr >> 32) << 24 | (p->mpidr & 0xffffff);

	for (uint64_t rd = machine.gicr; rd != 0; rd = next(rd)) {
		if (mmio_r64(rd + GICR_TYPER) >> 32 == want) {
			p->gicr = rd;
			return;
		}
	}
	panic("no redistributor for CPU 0x%lx", p->mpidr);
}

/*
 * mach.h. The virtual timer's interrupt of this CPU belongs to realms. Masked while the running realm's timer
 * is asserted, so that the level does not end the run at once; the realm's interrupt controller gets it from the host.
 */
void vtimer_mask(bool masked)
{
	uint64_t rd = this_cpu()->gicr;
	uint32_t bit = 1u << VTIMER_PPI;
	bool now = (mmio_r32(rd + GICR_ISENABLER0) & bit) == 0;

	if (now == masked)
		return;
	mmio_w32(rd + (masked ? GICR_ICENABLER0 : GICR_ISENABLER0), bit);
	if (masked) {
		for (uint32_t i = 0; i < 100000; i++) {
			if ((mmio_r32(rd + GICR_CTLR) & CTLR_RWP) == 0)
				break;
		}
	}
	dsb(sy);
	isb();
}

bool gic_has_lpis(void)
{
	for (uint64_t rd = machine.gicr; rd != 0; rd = next(rd)) {
		if ((mmio_r64(rd + GICR_TYPER) & (TYPER_PLPIS | TYPER_VLPIS)) != 0)
			return true;
	}
	return false;
}

bool gic_mediates(uint64_t ipa)
{
	if (ipa < machine.gicr || ipa >= machine.gicr + machine.gicr_size)
		return false;
	for (uint64_t rd = machine.gicr; rd != 0; rd = next(rd)) {
		if (ipa >= rd && ipa < rd + SZ_64K)
			return true;
	}
	return false;
}

/* The host sees a redistributor without LPIs. */
uint64_t gic_read(uint64_t ipa, uint64_t size)
{
	uint64_t offset = ipa & (SZ_64K - 1);
	uint64_t v;

	if ((size != 4 && size != 8) || (ipa & (size - 1)) != 0)
		return 0;
	if (offset >= GICR_SETLPIR && offset < 0xffd0)
		return 0;
	if (size == 8)
		v = mmio_r64(ipa);
	else
		v = mmio_r32(ipa);
	if (offset == GICR_TYPER)
		v &= ~(uint64_t)(TYPER_PLPIS | TYPER_VLPIS);
	return v;
}

void gic_write(uint64_t ipa, uint64_t size, uint64_t v)
{
	uint64_t offset = ipa & (SZ_64K - 1);

	if (size != 4 || (ipa & 3) != 0 || offset >= GICR_SETLPIR)
		return; /* LPI tables, invalidation, implementation defined */
	if (offset == GICR_CTLR)
		v &= ~(uint64_t)CTLR_ENABLE_LPIS;
	mmio_w32(ipa, (uint32_t)v);
}

void gic_host_pages(void (*page)(uint64_t pa))
{
	for (uint64_t rd = machine.gicr; rd != 0; rd = next(rd)) {
		bool lpis = (mmio_r64(rd + GICR_TYPER) & (TYPER_PLPIS | TYPER_VLPIS)) != 0;

		for (uint64_t a = lpis ? rd + SZ_64K : rd; a < rd + 2 * SZ_64K; a += SZ_4K)
			page(a);
	}
}
