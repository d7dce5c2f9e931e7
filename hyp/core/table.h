/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stage 2 translation tables, 4 KiB granule: geometry, and the only two functions that write them.
 * Everything here is below all layers: the host's tables (hostmem.c) and the realms' (s2tt.c) share it.
 */
#ifndef KCORE_TABLE_H
#define KCORE_TABLE_H

#include "mach.h"

#define S2_VALID 0x1UL
#define S2_TYPE_MASK 0x3UL
#define S2_BLOCK 0x1UL /* level 1 and 2 */
#define S2_TABLE 0x3UL /* level 0 to 2 */
#define S2_PAGE 0x3UL  /* level 3 */
#define S2_PA_MASK 0x0000FFFFFFFFF000UL
#define S2_AF 0x400UL
#define S2_SH_INNER 0x300UL
#define S2_RW 0xC0UL
#define S2_MEM_NORMAL 0x3CUL /* MemAttr: write-back, inner and outer */
#define S2_MEM_DEVICE 0x04UL /* MemAttr: device nGnRE */
#define S2_XN (1UL << 54)

/* Put a descriptor, valid or not, in a slot that holds an invalid one: map a leaf or a table. */
static inline void s2_make(uint64_t table, uint64_t slot, uint64_t desc)
{
	pt_write(table, slot, desc);
}

/*
 * Put an invalid descriptor in a slot that holds a valid one. The caller invalidates the TLB next, before
 * the slot or what it pointed to is used again.
 */
static inline void s2_break(uint64_t table, uint64_t slot, uint64_t desc)
{
	pt_write(table, slot, desc & ~S2_VALID);
}

static inline bool s2_is_valid(uint64_t desc)
{
	return (desc & S2_VALID) != 0;
}

/* Does the descriptor, in a table of this level, point to a table of the next level? */
static inline bool s2_is_table(uint64_t level, uint64_t desc)
{
	return level < 3 && (desc & S2_TYPE_MASK) == S2_TABLE;
}

/* Bytes that an entry of a table of this level covers. */
static inline uint64_t s2_size(uint64_t level)
{
	if (level == 0) {
		return 1UL << 39;
	}
	if (level == 1) {
		return 1UL << 30;
	}
	if (level == 2) {
		return 1UL << 21;
	}
	return GRANULE_SIZE;
}

/* Number of the entry for ipa, counted from address 0 over all tables of this level. */
static inline uint64_t s2_index(uint64_t level, uint64_t ipa)
{
	if (level == 0) {
		return ipa >> 39;
	}
	if (level == 1) {
		return ipa >> 30;
	}
	if (level == 2) {
		return ipa >> 21;
	}
	return ipa >> 12;
}

/* Slot for ipa in its table of this level. */
static inline uint64_t s2_slot(uint64_t level, uint64_t ipa)
{
	if (level == 0) {
		return (ipa >> 39) & 511;
	}
	if (level == 1) {
		return (ipa >> 30) & 511;
	}
	if (level == 2) {
		return (ipa >> 21) & 511;
	}
	return (ipa >> 12) & 511;
}

static inline bool s2_aligned(uint64_t level, uint64_t ipa)
{
	if (level == 0) {
		return (ipa & ((1UL << 39) - 1)) == 0;
	}
	if (level == 1) {
		return (ipa & ((1UL << 30) - 1)) == 0;
	}
	if (level == 2) {
		return (ipa & ((1UL << 21) - 1)) == 0;
	}
	return (ipa & (GRANULE_SIZE - 1)) == 0;
}

/* ipa rounded down to the entry of this level. */
static inline uint64_t s2_floor(uint64_t level, uint64_t ipa)
{
	if (level == 0) {
		return ipa & ~((1UL << 39) - 1);
	}
	if (level == 1) {
		return ipa & ~((1UL << 30) - 1);
	}
	if (level == 2) {
		return ipa & ~((1UL << 21) - 1);
	}
	return ipa & ~(GRANULE_SIZE - 1);
}

#endif
