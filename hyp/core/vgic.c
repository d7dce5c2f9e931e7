/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual GIC interface: what the host may put into a realm's list registers, and what it gets back.
 */
#include "core.h"

#define ICH_MAX_LRS 16UL
/* ICH_HCR_EL2 bits that the host sets: UIE, LRENPIE, NPIE, VGrp[01][ED]IE, TDIR. */
#define ICH_HCR_HOST 0x40FEUL
#define ICH_HCR_EN 0x1UL
#define ICH_HCR_EOICOUNT 0xF8000000UL

#define ICH_LR_STATE (3UL << 62)
#define ICH_LR_HW (1UL << 61)
#define ICH_LR_PINTID (0x1FFFUL << 32)
#define ICH_LR_EOI (1UL << 41)
#define ICH_LR_VINTID 0xFFFFFFFFUL

/* Number of list registers. */
static uint64_t vgic_num_lrs(void)
{
	uint64_t vtr = ich_vtr();
	uint64_t num = (vtr & 0x1F) + 1;

	if (num > ICH_MAX_LRS) {
		return ICH_MAX_LRS;
	}
	return num;
}

/* Bits of a list register's priority that the CPU does not have. */
static uint64_t vgic_priority_res0(uint64_t vtr)
{
	uint64_t bits = ((vtr >> 29) & 7) + 1;

	if (bits <= 4) {
		return 0x0FUL << 48;
	}
	if (bits == 5) {
		return 0x07UL << 48;
	}
	if (bits == 6) {
		return 0x03UL << 48;
	}
	if (bits == 7) {
		return 0x01UL << 48;
	}
	return 0;
}

/* Is it the number of an SGI, PPI, SPI or LPI? Extended ranges are not on offer. */
static bool vgic_intid_ok(uint64_t vtr, uint64_t intid)
{
	uint64_t id_bits = (vtr >> 23) & 7;

	if (intid < 1020) {
		return true;
	}
	if (intid < 8192) {
		return false;
	}
	if (id_bits == 0) {
		return intid < (1UL << 16);
	}
	return intid < (1UL << 24);
}

/* Is this one of the first n list registers' interrupts, before register n? */
static bool vgic_intid_seen(uint64_t n, uint64_t intid)
{
	bool seen = false;

	for (uint64_t i = 0; i < ICH_MAX_LRS; i++) {
		if (i < n) {
			uint64_t lr = run_in_gicv3_lr(i);
			bool used = (lr & ICH_LR_STATE) != 0;

			seen = seen || (used && (lr & ICH_LR_VINTID) == intid);
		}
	}
	return seen;
}

/* May the host use list register n as the run page has it? */
static bool vgic_lr_ok(uint64_t vtr, uint64_t n)
{
	uint64_t lr = run_in_gicv3_lr(n);
	uint64_t intid = lr & ICH_LR_VINTID;
	uint64_t res0 = vgic_priority_res0(vtr);

	if ((lr & ICH_LR_STATE) == 0) {
		return true;
	}
	/* No physical interrupt, only the EOI bit of its field, and no priority that does not exist? */
	if ((lr & (ICH_LR_HW | (ICH_LR_PINTID & ~ICH_LR_EOI) | res0)) != 0) {
		return false;
	}
	bool ok = vgic_intid_ok(vtr, intid);
	if (!ok) {
		return false;
	}
	/* Only once? */
	bool seen = vgic_intid_seen(n, intid);
	return !seen;
}

/* Is the GIC state that the host wants for this entry allowed? */
bool vgic_entry_ok(void)
{
	uint64_t vtr = ich_vtr();
	uint64_t num = vgic_num_lrs();
	uint64_t hcr = run_in_gicv3_hcr();
	bool good = (hcr & ~ICH_HCR_HOST) == 0;

	for (uint64_t i = 0; i < ICH_MAX_LRS; i++) {
		if (i < num && good) {
			good = vgic_lr_ok(vtr, i);
		}
	}
	return good;
}

/* Take the host's GIC state into a REC that is not loaded. */
void vgic_enter(uint64_t rec)
{
	uint64_t num = vgic_num_lrs();
	uint64_t hcr = run_in_gicv3_hcr();
	uint64_t old = rec_get_ich_hcr(rec);

	rec_set_ich_hcr(rec, hcr | ICH_HCR_EN | (old & ICH_HCR_EOICOUNT));
	for (uint64_t i = 0; i < ICH_MAX_LRS; i++) {
		if (i < num) {
			uint64_t lr = run_in_gicv3_lr(i);

			rec_set_ich_lr(rec, i, lr);
		}
	}
}

/* Show the host the GIC state of a REC that is not loaded. */
void vgic_report(uint64_t rec)
{
	uint64_t num = vgic_num_lrs();
	uint64_t hcr = rec_get_ich_hcr(rec);
	uint64_t misr = rec_get_ich_misr(rec);
	uint64_t vmcr = rec_get_ich_vmcr(rec);

	run_out_gicv3_hcr(hcr & (ICH_HCR_HOST | ICH_HCR_EOICOUNT));
	run_out_gicv3_misr(misr);
	run_out_gicv3_vmcr(vmcr);
	for (uint64_t i = 0; i < ICH_MAX_LRS; i++) {
		if (i < num) {
			uint64_t lr = rec_get_ich_lr(rec, i);

			run_out_gicv3_lr(i, lr);
		}
	}
}
