/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Granules: status words, and taking several granules at once.
 */
#include "core.h"

uint64_t error_realm(uint64_t index)
{
	return RMI_ERROR_REALM | (index << RMI_INDEX_SHIFT);
}

uint64_t error_rtt(uint64_t level)
{
	return RMI_ERROR_RTT | (level << RMI_INDEX_SHIFT);
}

bool is_granule_aligned(uint64_t addr)
{
	return (addr & (GRANULE_SIZE - 1)) == 0;
}

/* Release the first n of up to 16 claimed granules from base on. */
void granules_release(uint64_t base, uint64_t n)
{
	for (uint64_t i = 0; i < MAX_START_TABLES; i++) {
		if (i < n) {
			granule_release(base + (i << 12));
		}
	}
}

/* Claim n granules (at most 16) from base on, all DELEGATED: all of them or none. */
bool granules_claim(uint64_t base, uint64_t n)
{
	uint64_t got = 0;

	for (uint64_t i = 0; i < MAX_START_TABLES; i++) {
		if (i < n && got == i) {
			bool ok = granule_claim(base + (i << 12), GS_DELEGATED);

			if (ok) {
				got = i + 1;
			}
		}
	}
	if (got == n) {
		return true;
	}
	granules_release(base, got);
	return false;
}

/*
 * Give an object's granule back: wiped, DELEGATED, nobody's. The realm that owned it is locked and nothing
 * translates to it any more.
 */
void granule_scrub(uint64_t pa)
{
	zero_granule(pa);
	granule_set_refs(pa, 0);
	granule_set(pa, GS_DELEGATED, 0);
}

void granule_add_refs(uint64_t pa, uint64_t n)
{
	uint64_t refs = granule_refs(pa);

	granule_set_refs(pa, refs + n);
}

/* Drop the pins of n pages (at most 512) from pa on. */
void ns_put_pages(uint64_t pa, uint64_t n)
{
	if (n == 1) {
		ns_put(pa);
		return;
	}
	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		if (i < n) {
			ns_put(pa + (i << 12));
		}
	}
}

/* Pin n pages (at most 512) from pa on: all of them or none. */
bool ns_get_pages(uint64_t pa, uint64_t n)
{
	uint64_t got = 0;

	if (n == 1) {
		bool one = ns_get(pa);
		return one;
	}
	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		if (i < n && got == i) {
			bool ok = ns_get(pa + (i << 12));

			if (ok) {
				got = i + 1;
			}
		}
	}
	if (got == n) {
		return true;
	}
	ns_put_pages(pa, got);
	return false;
}
