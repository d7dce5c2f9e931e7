/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of a realm's stage 2 tables (RTTs): what a descriptor means.
 *
 * kind            valid   bits
 * UNASSIGNED      no      RIPAS (zero: EMPTY, so that a fresh table is UNASSIGNED EMPTY)
 * ASSIGNED        RAM     PA, RIPAS; valid when RIPAS is RAM
 * UNASSIGNED_NS   no      NS bit
 * ASSIGNED_NS     yes     PA, host's attributes, NS bit, never executable
 * TABLE           yes     PA of the next table
 *
 * Walkers ignore the bits of an invalid descriptor, and bits 58:55 of a valid leaf.
 */
#include "core.h"

/* Of invalid descriptors. */
#define S2_ASSIGNED_BIT 0x4UL
#define S2_RIPAS_SHIFT 3
#define S2_RIPAS_MASK 0x18UL
/* Of all. */
#define S2_NS_BIT (1UL << 55)
/* Of ASSIGNED_NS: the MemAttr that the host gave, for READ_ENTRY. */
#define S2_HOST_MEMATTR_SHIFT 56

#define S2_PROTECTED (S2_AF | S2_SH_INNER | S2_RW | S2_MEM_NORMAL)

/* The host's descriptor for MAP_UNPROTECTED. */
#define NS_MEMATTR_MASK 0x1CUL
#define NS_MEMATTR_SHIFT 2
#define NS_MEMATTR_RESERVED 4UL
#define NS_S2AP_MASK 0xC0UL

static uint64_t s2_leaf_type(uint64_t level)
{
	if (level == 3) {
		return S2_PAGE;
	}
	return S2_BLOCK;
}

uint64_t s2_unassigned(uint64_t ripas)
{
	return ripas << S2_RIPAS_SHIFT;
}

uint64_t s2_unassigned_ns(void)
{
	return S2_NS_BIT;
}

uint64_t s2_assigned(uint64_t level, uint64_t pa, uint64_t ripas)
{
	uint64_t type = s2_leaf_type(level);

	if (ripas == RMI_RIPAS_RAM) {
		return pa | S2_PROTECTED | type;
	}
	return pa | S2_ASSIGNED_BIT | (ripas << S2_RIPAS_SHIFT);
}

uint64_t s2_kind(uint64_t level, uint64_t desc)
{
	bool table = s2_is_table(level, desc);
	bool valid = s2_is_valid(desc);
	bool ns = (desc & S2_NS_BIT) != 0;

	if (table) {
		return S2K_TABLE;
	}
	if (valid && ns) {
		return S2K_ASSIGNED_NS;
	}
	if (valid) {
		return S2K_ASSIGNED;
	}
	if (ns) {
		return S2K_UNASSIGNED_NS;
	}
	if ((desc & S2_ASSIGNED_BIT) != 0) {
		return S2K_ASSIGNED;
	}
	return S2K_UNASSIGNED;
}

/* RIPAS of an UNASSIGNED or ASSIGNED entry. */
uint64_t s2_ripas(uint64_t desc)
{
	bool valid = s2_is_valid(desc);

	if (valid) {
		return RMI_RIPAS_RAM;
	}
	return (desc & S2_RIPAS_MASK) >> S2_RIPAS_SHIFT;
}

uint64_t s2_pa(uint64_t desc)
{
	return desc & S2_PA_MASK;
}

/* Does an entry hold a physical address? */
bool s2_is_live(uint64_t kind)
{
	return kind == S2K_TABLE || kind == S2K_ASSIGNED || kind == S2K_ASSIGNED_NS;
}

/* Is the host's descriptor well formed for this level? */
bool s2_ns_ok(uint64_t level, uint64_t host)
{
	uint64_t pa = s2_pa(host);
	bool aligned = s2_aligned(level, pa);
	uint64_t memattr = (host & NS_MEMATTR_MASK) >> NS_MEMATTR_SHIFT;

	if ((host & ~(S2_PA_MASK | NS_MEMATTR_MASK | NS_S2AP_MASK)) != 0) {
		return false;
	}
	return aligned && memattr != NS_MEMATTR_RESERVED;
}

/*
 * The stage 2 MemAttr for the host's FWB-coded one: without FWB a device type stays as it is, and normal
 * memory combines with the realm's stage 1.
 */
static uint64_t s2_ns_memattr(uint64_t fwb)
{
	if (fwb < 4) {
		return fwb << NS_MEMATTR_SHIFT;
	}
	if (fwb == 5) {
		return 0x14UL; /* non-cacheable */
	}
	return S2_MEM_NORMAL;
}

/* ASSIGNED_NS from the host's descriptor. */
uint64_t s2_assigned_ns(uint64_t level, uint64_t host)
{
	uint64_t type = s2_leaf_type(level);
	uint64_t fwb = (host & NS_MEMATTR_MASK) >> NS_MEMATTR_SHIFT;
	uint64_t memattr = s2_ns_memattr(fwb);
	uint64_t keep = host & (S2_PA_MASK | NS_S2AP_MASK);

	return keep | memattr | (fwb << S2_HOST_MEMATTR_SHIFT) | S2_AF | S2_SH_INNER | S2_XN | S2_NS_BIT | type;
}

/* The host's descriptor back from an ASSIGNED_NS entry. */
uint64_t s2_ns_host(uint64_t desc)
{
	uint64_t fwb = (desc >> S2_HOST_MEMATTR_SHIFT) & 7;

	return (desc & (S2_PA_MASK | NS_S2AP_MASK)) | (fwb << NS_MEMATTR_SHIFT);
}

/*
 * Entry i of the table of level child that stands for the entry desc one level above: the same state, the
 * addresses going on.
 */
uint64_t s2_child(uint64_t child, uint64_t desc, uint64_t i)
{
	uint64_t kind = s2_kind(child - 1, desc);
	uint64_t ripas = s2_ripas(desc);
	uint64_t size = s2_size(child);
	uint64_t first = s2_pa(desc);
	uint64_t pa = first + i * size;

	if (kind == S2K_ASSIGNED) {
		uint64_t leaf = s2_assigned(child, pa, ripas);
		return leaf;
	}
	if (kind == S2K_ASSIGNED_NS) {
		uint64_t host = s2_ns_host(desc);
		uint64_t leaf = s2_assigned_ns(child, pa | (host & ~S2_PA_MASK));
		return leaf;
	}
	return desc;
}

/* The entry of level child - 1 that has the state of the first entry of a table of level child. */
uint64_t s2_parent(uint64_t child, uint64_t first)
{
	uint64_t kind = s2_kind(child, first);
	uint64_t ripas = s2_ripas(first);
	uint64_t pa = s2_pa(first);

	if (kind == S2K_ASSIGNED) {
		uint64_t block = s2_assigned(child - 1, pa, ripas);
		return block;
	}
	if (kind == S2K_ASSIGNED_NS) {
		uint64_t host = s2_ns_host(first);
		uint64_t block = s2_assigned_ns(child - 1, host);
		return block;
	}
	return first;
}
