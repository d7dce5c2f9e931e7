/* SPDX-License-Identifier: Apache-2.0 */
/* Claims, locks, pins and VMIDs; the words of granules, which they protect. */
#include "machine.h"

#include <stddef.h>

void took(void)
{
	GUARD(!self()->released, "a lock is taken after one was released");
	self()->locks++;
}

void gave(void)
{
	GUARD(self()->locks > 0, "a lock is released that is not held");
	self()->locks--;
	self()->released = self()->locks > 0;
}

/* A CPU is about to wait for a lock: others act. */
void let_others(void)
{
	void (*others)(void) = sim_while_waiting;
	unsigned cpu = now_cpu;

	if (others == NULL)
		return;
	sim_while_waiting = NULL;
	others();
	sim_while_waiting = others;
	now_cpu = cpu;
}

bool granule_tracked(uint64_t pa)
{
	return in_dram(pa);
}

bool granule_claim(uint64_t pa, uint64_t state)
{
	GUARD(state == GS_NS || state == GS_DELEGATED, "claim of state %lu", state);
	if (!in_dram(pa))
		return false;
	if (granule(pa)->state != state || granule(pa)->holder != NOBODY)
		return false;
	took();
	held_sum += pa;
	granule(pa)->holder = me();
	return true;
}

void granule_release(uint64_t pa)
{
	GUARD(claimed(granule(pa)), "release of %#lx, which is not claimed", pa);
	held_sum -= pa;
	granule(pa)->holder = NOBODY;
	gave();
}

void word_guard(uint64_t pa)
{
	GUARD(claimed(granule(pa)) || realm_held(granule(pa)->owner), "granule word %#lx is not held", pa);
}

uint64_t granule_state(uint64_t pa)
{
	word_guard(pa);
	return granule(pa)->state;
}

void unreachable_guard(uint64_t pa, const char *what)
{
	const struct granule *g = granule(pa);

	GUARD(g->host == 0, "%s %#lx: still in a TLB of the host", what, pa);
	GUARD(!g->smmu, "%s %#lx: still in the SMMU's TLB", what, pa);
	GUARD(g->tlb == 0, "%s %#lx: still in a TLB of a realm", what, pa);
	GUARD(g->cached == 0, "%s %#lx: still in a walk cache", what, pa);
}

void granule_set(uint64_t pa, uint64_t state, uint64_t owner)
{
	struct granule *g = granule(pa);

	word_guard(pa);
	GUARD(g->state != GS_CORE && state != GS_CORE, "state of KCore's %#lx changes", pa);
	GUARD((owner != 0) == (state == GS_REC || state == GS_RTT || state == GS_DATA), "owner of state %lu",
	      state);
	if (state == GS_DELEGATED) {
		unreachable_guard(pa, "set DELEGATED");
		GUARD(g->refs == 0, "%#lx becomes DELEGATED with references", pa);
		GUARD(sim_is_zero(pa), "%#lx becomes DELEGATED but is not zero", pa);
	} else {
		GUARD(g->state == GS_DELEGATED, "%#lx goes from %lu to %lu", pa, g->state, state);
	}
	changes++;
	g->state = state;
	g->owner = owner;
	if (state == GS_RTT && pa >= rd_get_rtt_base(owner) &&
	    pa < rd_get_rtt_base(owner) + (rd_get_num_start(owner) << 12)) {
		uint64_t i = (pa - rd_get_rtt_base(owner)) >> 12;

		g->level = rd_get_start_level(owner);
		g->base = (i * 512) << (39 - 9 * g->level);
		g->linked = true;
	}
}

uint64_t granule_refs(uint64_t pa)
{
	word_guard(pa);
	return granule(pa)->refs;
}

void granule_set_refs(uint64_t pa, uint64_t refs)
{
	word_guard(pa);
	GUARD(granule(pa)->state != GS_NS, "pins are counted by ns_get and ns_put");
	GUARD(refs <= 512, "%lu references of %#lx", refs, pa);
	changes++;
	granule(pa)->refs = refs;
}

uint64_t granule_owner(uint64_t pa, uint64_t state)
{
	if (!in_dram(pa) || granule(pa)->state != state)
		return 0;
	return granule(pa)->owner;
}

bool ns_get(uint64_t pa)
{
	if (!in_dram(pa) || granule(pa)->state != GS_NS || granule(pa)->holder != NOBODY)
		return false;
	granule(pa)->refs++;
	pin_sum += pa;
	return true;
}

void ns_put(uint64_t pa)
{
	GUARD(granule(pa)->state == GS_NS && granule(pa)->refs > 0, "ns_put of %#lx, which is not pinned", pa);
	granule(pa)->refs--;
	pin_sum -= pa;
	GUARD(granule(pa)->refs > 0 || granule(pa)->tlb == 0, "%#lx unpinned while in a realm's TLB", pa);
}

bool realm_lock(uint64_t rd)
{
	GUARD(self()->realm == 0, "a second realm is locked");
	GUARD(self()->locks == 0, "a realm is locked after a claim");
	let_others();
	if (!in_dram(rd) || granule(rd)->state != GS_RD)
		return false;
	GUARD(granule(rd)->holder == NOBODY, "deadlock on realm %#lx", rd);
	took();
	held_sum += rd;
	granule(rd)->holder = me();
	self()->realm = rd;
	return true;
}

void realm_unlock(uint64_t rd)
{
	GUARD(realm_held(rd), "realm %#lx is not locked", rd);
	held_sum -= rd;
	granule(rd)->holder = NOBODY;
	self()->realm = 0;
	gave();
}

bool vmid_claim(uint64_t vmid)
{
	if (vmid >= HOST_VMID || vmids[vmid])
		return false;
	for (unsigned i = 0; i < tlb_size; i++)
		GUARD(tlb[i].vmid != vmid, "VMID %lu is given out with TLB entries left", vmid);
	changes++;
	vmids[vmid] = true;
	return true;
}

void vmid_release(uint64_t vmid)
{
	GUARD(vmid < HOST_VMID && vmids[vmid], "VMID %lu is not taken", vmid);
	changes++;
	vmids[vmid] = false;
}
