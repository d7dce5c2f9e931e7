/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A realm's protected memory: its pages, and the RIPAS of ranges.
 */
#include "core.h"

/* Can a page be put at ipa? */
static bool data_ipa_ok(uint64_t rd, uint64_t ipa)
{
	bool protected = ipa_in_par(rd, ipa);
	bool aligned = is_granule_aligned(ipa);

	return protected && aligned;
}

/* May the realm have one more page? */
static bool data_room(uint64_t rd)
{
	uint64_t private = rd_get_pages_private(rd);
	uint64_t max = rd_get_max_private(rd);

	return private < max;
}

/* Count n more pages of the realm. */
static void data_add_private(uint64_t rd, uint64_t n)
{
	uint64_t private = rd_get_pages_private(rd);

	rd_set_pages_private(rd, private + n);
}

/* Map a claimed granule at the entry a walk found. */
static void data_assign(uint64_t rd, uint64_t data, struct rtt_walk w, uint64_t ripas)
{
	uint64_t desc = s2_assigned(3, data, ripas);

	granule_set(data, GS_DATA, rd);
	s2_make(w.table, w.slot, desc);
	granule_add_refs(w.table, 1);
	data_add_private(rd, 1);
}

/* Where the content of a page comes from: the host's page src, plain, or sealed with its tag at tag. */
struct data_source {
	uint64_t src;
	uint64_t flags; /* RMI_DATA_* */
	uint64_t sealed;
	uint64_t tag;
};

/* Is the realm still being built, and can it open what is sealed? */
static bool data_state_ok(uint64_t rd, struct data_source s)
{
	uint64_t state = rd_get_state(rd);
	uint64_t has_key = rd_get_has_key(rd);

	return state == REALM_NEW && (s.sealed == 0 || has_key != 0);
}

/* Fill a claimed granule. false: it stays as it is. */
static bool data_fill(uint64_t rd, uint64_t data, uint64_t ipa, struct data_source s)
{
	bool ok = true;

	if (s.sealed != 0) {
		ok = open_granule(rd, data, ipa, s.src, s.tag);
	} else {
		copy_granule(data, s.src);
	}
	return ok;
}

static uint64_t data_create_locked(uint64_t rd, uint64_t data, uint64_t ipa, struct data_source s)
{
	bool ok = data_state_ok(rd, s);
	if (!ok) {
		uint64_t error = error_realm(0);
		return error;
	}
	/* Is there an empty entry for a page at ipa? */
	ok = data_ipa_ok(rd, ipa);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	struct rtt_walk w = rtt_walk(rd, ipa, 3);
	if (w.level != 3 || w.kind != S2K_UNASSIGNED) {
		uint64_t error = error_rtt(w.level);
		return error;
	}
	ok = data_room(rd);
	if (!ok) {
		return KCORE_ERROR_POLICY;
	}

	ok = data_fill(rd, data, ipa, s);
	if (!ok) {
		return KCORE_ERROR_SEAL;
	}
	data_assign(rd, data, w, RMI_RIPAS_RAM);
	measure_data(rd, ipa, s.flags, data);
	return RMI_SUCCESS;
}

/* The host's pages that s names are pinned. */
static uint64_t data_create_pinned(uint64_t rd, uint64_t data, uint64_t ipa, struct data_source s)
{
	uint64_t status = RMI_ERROR_INPUT;

	bool ok = realm_lock(rd);
	if (!ok) {
		return status;
	}
	ok = granule_claim(data, GS_DELEGATED);
	if (ok) {
		status = data_create_locked(rd, data, ipa, s);
		granule_release(data);
	}
	realm_unlock(rd);
	return status;
}

/* RMI_DATA_CREATE */
uint64_t data_create(uint64_t rd, uint64_t data, uint64_t ipa, uint64_t src, uint64_t flags)
{
	struct data_source s = { src, flags, 0, 0 };

	if (flags > RMI_DATA_MEASURED) {
		return RMI_ERROR_INPUT;
	}
	bool ok = ns_get(src);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	uint64_t status = data_create_pinned(rd, data, ipa, s);
	ns_put(src);
	return status;
}

/* KCORE_DATA_CREATE_SEALED */
uint64_t data_create_sealed(uint64_t rd, uint64_t data, uint64_t ipa, uint64_t src, uint64_t tag)
{
	struct data_source s = { src, RMI_DATA_MEASURED, 1, tag };
	uint64_t tags = tag & ~(GRANULE_SIZE - 1);

	if ((tag & 15) != 0) {
		return RMI_ERROR_INPUT;
	}
	bool ok = ns_get(src);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	uint64_t status = RMI_ERROR_INPUT;
	ok = ns_get(tags);
	if (ok) {
		status = data_create_pinned(rd, data, ipa, s);
		ns_put(tags);
	}
	ns_put(src);
	return status;
}

static uint64_t data_create_unknown_locked(uint64_t rd, uint64_t data, uint64_t ipa)
{
	bool ok = data_ipa_ok(rd, ipa);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	struct rtt_walk w = rtt_walk(rd, ipa, 3);
	if (w.level != 3 || w.kind != S2K_UNASSIGNED) {
		uint64_t error = error_rtt(w.level);
		return error;
	}
	ok = data_room(rd);
	if (!ok) {
		return KCORE_ERROR_POLICY;
	}

	/* a delegated granule is all zero */
	uint64_t ripas = s2_ripas(w.desc);
	data_assign(rd, data, w, ripas);
	return RMI_SUCCESS;
}

/* RMI_DATA_CREATE_UNKNOWN */
uint64_t data_create_unknown(uint64_t rd, uint64_t data, uint64_t ipa)
{
	uint64_t status = RMI_ERROR_INPUT;

	bool ok = realm_lock(rd);
	if (!ok) {
		return status;
	}
	ok = granule_claim(data, GS_DELEGATED);
	if (ok) {
		status = data_create_unknown_locked(rd, data, ipa);
		granule_release(data);
	}
	realm_unlock(rd);
	return status;
}

static struct rmi_result data_destroy_locked(uint64_t rd, uint64_t ipa)
{
	uint64_t vmid = rd_get_vmid(rd);

	bool ok = data_ipa_ok(rd, ipa);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	/* Is there a page? */
	struct rtt_walk w = rtt_walk(rd, ipa, 3);
	uint64_t error = error_rtt(w.level);
	uint64_t top = rtt_walk_top(w, ipa);
	if (w.level != 3 || w.kind != S2K_ASSIGNED) {
		return (struct rmi_result){ error, 0, top, 0, 0 };
	}

	uint64_t ripas = s2_ripas(w.desc);
	uint64_t pa = s2_pa(w.desc);
	uint64_t left = s2_unassigned(RMI_RIPAS_DESTROYED);
	if (ripas == RMI_RIPAS_EMPTY) {
		left = s2_unassigned(RMI_RIPAS_EMPTY);
	}
	if (ripas == RMI_RIPAS_RAM) {
		s2_break(w.table, w.slot, left);
		tlbi_realm(vmid, ipa);
	} else {
		s2_make(w.table, w.slot, left);
	}
	granule_add_refs(w.table, ~0UL);
	data_add_private(rd, ~0UL);
	granule_scrub(pa);
	top = rtt_walk_top(w, ipa);
	return (struct rmi_result){ RMI_SUCCESS, pa, top, 0, 0 };
}

/* RMI_DATA_DESTROY: x1 the page, x2 where to go on. */
struct rmi_result data_destroy(uint64_t rd, uint64_t ipa)
{
	bool ok = realm_lock(rd);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct rmi_result r = data_destroy_locked(rd, ipa);
	realm_unlock(rd);
	return r;
}

/* ---- RIPAS ------------------------------------------------------------------------------------- */

/* In the table of a walk, make entries from base on RAM as long as they are unused and end by top. */
static uint64_t ripas_init_entries(uint64_t rd, struct rtt_walk w, uint64_t base, uint64_t top)
{
	uint64_t size = s2_size(w.level);
	uint64_t ram = s2_unassigned(RMI_RIPAS_RAM);
	uint64_t next = base;
	bool go = true;

	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		if (go && i >= w.slot) {
			uint64_t desc = pt_read(w.table, i);
			uint64_t kind = s2_kind(w.level, desc);
			uint64_t ripas = s2_ripas(desc);

			go = top - next >= size && kind == S2K_UNASSIGNED && ripas != RMI_RIPAS_DESTROYED;
			if (go) {
				s2_make(w.table, i, ram);
				measure_ripas(rd, next, next + size);
				next = next + size;
			}
		}
	}
	return next;
}

static struct rmi_result rtt_init_ripas_locked(uint64_t rd, uint64_t base, uint64_t top)
{
	bool base_ok = data_ipa_ok(rd, base);
	bool top_ok = data_ipa_ok(rd, top - GRANULE_SIZE);
	uint64_t state = rd_get_state(rd);
	uint64_t error = error_realm(0);

	if (!base_ok || !top_ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	if (state != REALM_NEW) {
		return (struct rmi_result){ error, 0, 0, 0, 0 };
	}
	/* Does base start an entry? */
	struct rtt_walk w = rtt_walk(rd, base, 3);
	bool aligned = s2_aligned(w.level, base);
	error = error_rtt(w.level);
	if (!aligned) {
		return (struct rmi_result){ error, 0, 0, 0, 0 };
	}

	uint64_t next = ripas_init_entries(rd, w, base, top);
	if (next == base) {
		return (struct rmi_result){ error, 0, 0, 0, 0 };
	}
	return (struct rmi_result){ RMI_SUCCESS, next, 0, 0, 0 };
}

/* RMI_RTT_INIT_RIPAS: x1 where to go on. */
struct rmi_result rtt_init_ripas(uint64_t rd, uint64_t base, uint64_t top)
{
	if (top <= base) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	bool ok = realm_lock(rd);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct rmi_result r = rtt_init_ripas_locked(rd, base, top);
	realm_unlock(rd);
	return r;
}

/* The entry desc with another RIPAS. */
static uint64_t ripas_changed(uint64_t level, uint64_t desc, uint64_t ripas)
{
	uint64_t kind = s2_kind(level, desc);
	uint64_t pa = s2_pa(desc);
	uint64_t changed = s2_unassigned(ripas);

	if (kind == S2K_ASSIGNED) {
		changed = s2_assigned(level, pa, ripas);
	}
	return changed;
}

/* Change one entry's RIPAS. */
static void ripas_change(uint64_t vmid, struct rtt_walk w, uint64_t slot, uint64_t ipa, uint64_t ripas)
{
	uint64_t desc = pt_read(w.table, slot);
	uint64_t changed = ripas_changed(w.level, desc, ripas);
	bool valid = s2_is_valid(desc);

	if (desc == changed) {
		return;
	}
	if (valid) {
		s2_break(w.table, slot, changed);
		tlbi_realm(vmid, ipa);
	} else {
		s2_make(w.table, slot, changed);
	}
}

/* May a realm's request change this entry? */
static bool ripas_may_change(uint64_t level, uint64_t desc, bool destroyed)
{
	uint64_t kind = s2_kind(level, desc);
	uint64_t ripas = s2_ripas(desc);

	if (kind != S2K_UNASSIGNED && kind != S2K_ASSIGNED) {
		return false;
	}
	return ripas != RMI_RIPAS_DESTROYED || destroyed;
}

/* In the table of a walk, change entries from base on as the REC asked, as long as they end by top. */
static uint64_t ripas_set_entries(uint64_t rd, uint64_t rec, struct rtt_walk w, uint64_t base, uint64_t top)
{
	uint64_t vmid = rd_get_vmid(rd);
	uint64_t ripas = rec_get_ripas_value(rec);
	uint64_t flag = rec_get_ripas_destroyed(rec);
	uint64_t size = s2_size(w.level);
	uint64_t next = base;
	bool go = true;

	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		if (go && i >= w.slot) {
			uint64_t desc = pt_read(w.table, i);
			bool may = ripas_may_change(w.level, desc, flag == 1);

			go = may && top - next >= size;
			if (go) {
				ripas_change(vmid, w, i, next, ripas);
				next = next + size;
			}
		}
	}
	return next;
}

static struct rmi_result rtt_set_ripas_locked(uint64_t rd, uint64_t rec, uint64_t base, uint64_t top)
{
	uint64_t running = rec_get_running(rec);
	if (running != 0) {
		return (struct rmi_result){ RMI_ERROR_REC, 0, 0, 0, 0 };
	}
	/* Is it what the REC asks for? */
	uint64_t pending = rec_get_ripas_pending(rec);
	uint64_t want_base = rec_get_ripas_base(rec);
	uint64_t want_top = rec_get_ripas_top(rec);
	if (pending == 0 || base != want_base || top > want_top) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	/* Does base start an entry? */
	struct rtt_walk w = rtt_walk(rd, base, 3);
	bool aligned = s2_aligned(w.level, base);
	uint64_t error = error_rtt(w.level);
	if (!aligned) {
		return (struct rmi_result){ error, 0, 0, 0, 0 };
	}

	uint64_t next = ripas_set_entries(rd, rec, w, base, top);
	if (next == base) {
		return (struct rmi_result){ error, 0, 0, 0, 0 };
	}
	rec_set_ripas_base(rec, next);
	return (struct rmi_result){ RMI_SUCCESS, next, 0, 0, 0 };
}

/* RMI_RTT_SET_RIPAS: x1 where to go on. */
struct rmi_result rtt_set_ripas(uint64_t rd, uint64_t rec, uint64_t base, uint64_t top)
{
	struct rmi_result r = { RMI_ERROR_INPUT, 0, 0, 0, 0 };

	if (top <= base || (top & (GRANULE_SIZE - 1)) != 0) {
		return r;
	}
	bool ok = realm_lock(rd);
	if (!ok) {
		return r;
	}
	/* Is it a REC, and this realm's? */
	uint64_t owner = granule_owner(rec, GS_REC);
	if (owner == rd) {
		r = rtt_set_ripas_locked(rd, rec, base, top);
	} else if (owner != 0) {
		r = (struct rmi_result){ RMI_ERROR_REC, 0, 0, 0, 0 };
	}
	realm_unlock(rd);
	return r;
}
