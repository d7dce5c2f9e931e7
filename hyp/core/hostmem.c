/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's memory: its stage 2 and the SMMU's.
 *
 * Identity. A level 3 table stands behind every 2 MiB of DRAM and is always exact: it maps the granules
 * that are NS. The SMMU's level 2 always points to it. The CPU's level 2 entry is a block while all 512
 * granules are mapped, and otherwise points to the same table; so a split or fold never touches the SMMU.
 */
#include "core.h"

#define HOST_RAM (S2_AF | S2_SH_INNER | S2_RW | S2_MEM_NORMAL)
#define HOST_DEVICE_ATTR (S2_AF | S2_RW | S2_XN | S2_MEM_DEVICE)

/*
 * Take one DRAM granule from the host and from every device. Guard: host_lock, pa claimed, mapped.
 */
static void host_unmap(uint64_t pa)
{
	uint64_t l2 = host_table(2, pa);
	uint64_t l3 = host_table(3, pa);
	uint64_t slot2 = s2_slot(2, pa);
	uint64_t slot3 = s2_slot(3, pa);
	uint64_t desc2 = pt_read(l2, slot2);
	uint64_t holes = host_holes(pa);
	bool table = s2_is_table(2, desc2);

	if (!table) {
		/* split: a host CPU that meets the gap faults, and tries again (host_abort) */
		s2_break(l2, slot2, 0);
		tlbi_host(pa);
	}
	s2_break(l3, slot3, 0);
	if (table) {
		tlbi_host(pa);
	} else {
		s2_make(l2, slot2, l3 | S2_TABLE);
	}
	smmu_tlbi(pa);
	host_set_holes(pa, holes + 1);
}

/*
 * Give one DRAM granule to the host. Guard: host_lock, pa claimed, not mapped.
 */
static void host_map(uint64_t pa)
{
	uint64_t l2 = host_table(2, pa);
	uint64_t l3 = host_table(3, pa);
	uint64_t slot2 = s2_slot(2, pa);
	uint64_t slot3 = s2_slot(3, pa);
	uint64_t base = s2_floor(2, pa);
	uint64_t holes = host_holes(pa);

	s2_make(l3, slot3, pa | HOST_RAM | S2_PAGE);
	host_set_holes(pa, holes - 1);
	if (holes == 1) {
		/* fold */
		s2_break(l2, slot2, 0);
		tlbi_host_2m(base);
		s2_make(l2, slot2, base | HOST_RAM | S2_BLOCK);
	}
}

/* RMI_GRANULE_DELEGATE */
uint64_t granule_delegate(uint64_t pa)
{
	/* Is it a granule of the host? */
	bool ok = granule_claim(pa, GS_NS);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	/* Does no realm map it? */
	uint64_t refs = granule_refs(pa);
	if (refs != 0) {
		granule_release(pa);
		return RMI_ERROR_INPUT;
	}

	host_lock();
	host_unmap(pa);
	host_unlock();
	zero_granule(pa);
	granule_set(pa, GS_DELEGATED, 0);
	counter_add(KCORE_CTR_DELEGATED, 1);
	granule_release(pa);
	return RMI_SUCCESS;
}

/* RMI_GRANULE_UNDELEGATE */
uint64_t granule_undelegate(uint64_t pa)
{
	/* Is it delegated and unused? Then it is all zero. */
	bool ok = granule_claim(pa, GS_DELEGATED);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}

	host_lock();
	granule_set(pa, GS_NS, 0);
	host_map(pa);
	host_unlock();
	counter_add(KCORE_CTR_DELEGATED, ~0UL);
	granule_release(pa);
	return RMI_SUCCESS;
}

/* KCORE_DELEGATE_RANGE: number done, and the status if that is 0. */
struct range_result granule_delegate_range(uint64_t pa, uint64_t count)
{
	uint64_t status = RMI_SUCCESS;
	uint64_t done = 0;

	if (count == 0 || count > KCORE_RANGE_MAX) {
		return (struct range_result){ RMI_ERROR_INPUT, 0 };
	}
	for (uint64_t i = 0; i < KCORE_RANGE_MAX; i++) {
		if (i < count && status == RMI_SUCCESS) {
			status = granule_delegate(pa + (i << 12));
			if (status == RMI_SUCCESS) {
				done = i + 1;
			}
		}
	}
	if (done != 0) {
		return (struct range_result){ RMI_SUCCESS, done };
	}
	return (struct range_result){ status, 0 };
}

/* KCORE_UNDELEGATE_RANGE */
struct range_result granule_undelegate_range(uint64_t pa, uint64_t count)
{
	uint64_t status = RMI_SUCCESS;
	uint64_t done = 0;

	if (count == 0 || count > KCORE_RANGE_MAX) {
		return (struct range_result){ RMI_ERROR_INPUT, 0 };
	}
	for (uint64_t i = 0; i < KCORE_RANGE_MAX; i++) {
		if (i < count && status == RMI_SUCCESS) {
			status = granule_undelegate(pa + (i << 12));
			if (status == RMI_SUCCESS) {
				done = i + 1;
			}
		}
	}
	if (done != 0) {
		return (struct range_result){ RMI_SUCCESS, done };
	}
	return (struct range_result){ status, 0 };
}

/* Does the host's stage 2 translate ipa now? Guard: host_lock. */
static bool host_translates(uint64_t ipa)
{
	uint64_t l1 = host_table(1, ipa);
	uint64_t l2 = host_table(2, ipa);
	uint64_t l3 = host_table(3, ipa);
	uint64_t slot2 = s2_slot(2, ipa);
	uint64_t slot3 = s2_slot(3, ipa);

	if (l1 == 0 || l2 == 0) {
		return false;
	}
	uint64_t desc2 = pt_read(l2, slot2);
	bool table = s2_is_table(2, desc2);
	bool valid = s2_is_valid(desc2);
	if (!table || l3 == 0) {
		return valid;
	}
	uint64_t desc3 = pt_read(l3, slot3);
	valid = s2_is_valid(desc3);
	return valid;
}

/* A stage 2 abort of the host, from EL1 or EL0. */
uint64_t core_host_abort(uint64_t esr, uint64_t hpfar, uint64_t far)
{
	uint64_t ipa = ((hpfar & HPFAR_IPA_MASK) << 8) | (far & (GRANULE_SIZE - 1));
	bool translation = (esr & ESR_FSC_TYPE_MASK) == ESR_FSC_TRANSLATION;

	/* Was it only the gap of a split or fold, or has the page come back since? */
	if (translation) {
		host_lock();
		bool mapped = host_translates(ipa);
		host_unlock();
		if (mapped) {
			return HOST_RETRY;
		}
	}
	bool dram = granule_tracked(ipa & ~(GRANULE_SIZE - 1));
	if (!dram && translation) {
		return HOST_DEVICE;
	}
	counter_add(KCORE_CTR_HOST_ABORT, 1);
	log_event(LOG_HOST_ABORT, ipa, esr);
	return HOST_INJECT;
}

/* Boot: link the level 2 tables for ipa into level 1. */
static void boot_link(uint64_t ipa, uint64_t l1, uint64_t l2)
{
	uint64_t slot1 = s2_slot(1, ipa);
	uint64_t desc1 = pt_read(l1, slot1);

	if (desc1 == 0) {
		s2_make(l1, slot1, l2 | S2_TABLE);
	}
}

/* Boot: map one granule if it is the host's. */
static bool boot_page(uint64_t pa, uint64_t l3)
{
	uint64_t slot3 = s2_slot(3, pa);
	bool mine = granule_claim(pa, GS_NS);

	if (mine) {
		host_lock();
		s2_make(l3, slot3, pa | HOST_RAM | S2_PAGE);
		host_unlock();
		granule_release(pa);
	}
	return mine;
}

/* Boot: put the level 3 table of a 2 MiB, with this many holes, into the tables above. */
static void boot_region(uint64_t base, uint64_t l3, uint64_t holes)
{
	uint64_t slot2 = s2_slot(2, base);
	uint64_t l1 = host_table(1, base);
	uint64_t l2 = host_table(2, base);
	uint64_t smmu1 = smmu_table(1, base);
	uint64_t smmu2 = smmu_table(2, base);

	boot_link(base, l1, l2);
	host_set_holes(base, holes);
	if (holes == 0) {
		s2_make(l2, slot2, base | HOST_RAM | S2_BLOCK);
	} else {
		s2_make(l2, slot2, l3 | S2_TABLE);
	}
	if (smmu1 != 0) {
		boot_link(base, smmu1, smmu2);
		s2_make(smmu2, slot2, l3 | S2_TABLE);
	}
}

void core_boot_dram(uint64_t ipa)
{
	uint64_t base = s2_floor(2, ipa);
	uint64_t l3 = host_table(3, ipa);
	uint64_t holes = PT_SLOTS;

	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		bool mine = boot_page(base + (i << 12), l3);

		if (mine) {
			holes = holes - 1;
		}
	}
	host_lock();
	boot_region(base, l3, holes);
	host_unlock();
}

void core_boot_device(uint64_t ipa, uint64_t level)
{
	uint64_t l1 = host_table(1, ipa);
	uint64_t l2 = host_table(2, ipa);
	uint64_t l3 = host_table(3, ipa);
	uint64_t slot2 = s2_slot(2, ipa);
	uint64_t slot3 = s2_slot(3, ipa);
	uint64_t pa = s2_floor(level, ipa);

	host_lock();
	boot_link(ipa, l1, l2);
	if (level == 2) {
		s2_make(l2, slot2, pa | HOST_DEVICE_ATTR | S2_BLOCK);
	} else {
		uint64_t desc2 = pt_read(l2, slot2);

		if (desc2 == 0) {
			s2_make(l2, slot2, l3 | S2_TABLE);
		}
		s2_make(l3, slot3, pa | HOST_DEVICE_ATTR | S2_PAGE);
	}
	host_unlock();
}
