/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Realm translation tables: walking them, and the commands that make, fold and free tables and map the
 * host's pages into the unprotected half. The realm lock guards all tables of a realm.
 *
 * Reference count of a table: its TABLE and ASSIGNED entries. ASSIGNED_NS entries are not counted; each
 * pins the host's granules that it maps.
 */
#include "core.h"

bool ipa_in_bounds(uint64_t rd, uint64_t ipa)
{
	uint64_t size = rd_get_ipa_size(rd);

	return ipa < size;
}

/* Is ipa in the protected half? */
bool ipa_in_par(uint64_t rd, uint64_t ipa)
{
	uint64_t size = rd_get_ipa_size(rd);

	return ipa < (size >> 1);
}

/*
 * Walk towards the entry for ipa at a level: ends there, or at the first entry that is no table. ipa is in
 * bounds; level is at least the start level.
 */
struct rtt_walk rtt_walk(uint64_t rd, uint64_t ipa, uint64_t level)
{
	uint64_t at = rd_get_start_level(rd);
	uint64_t base = rd_get_rtt_base(rd);
	uint64_t index = s2_index(at, ipa);
	uint64_t table = base + ((index >> 9) << 12);
	uint64_t slot = index & 511;
	uint64_t desc = pt_read(table, slot);

	for (uint64_t i = 0; i < 3; i++) {
		bool is_table = s2_is_table(at, desc);

		if (is_table && at < level) {
			at = at + 1;
			table = s2_pa(desc);
			slot = s2_slot(at, ipa);
			desc = pt_read(table, slot);
		}
	}
	uint64_t kind = s2_kind(at, desc);
	return (struct rtt_walk){ at, table, slot, desc, kind };
}

/* Where the host goes on: ipa itself if the entry is live, or else the next live one or the table's end. */
uint64_t rtt_walk_top(struct rtt_walk w, uint64_t ipa)
{
	uint64_t level = w.level;
	uint64_t desc = pt_read(w.table, w.slot);
	uint64_t kind = s2_kind(level, desc);
	bool live = s2_is_live(kind);
	uint64_t size = s2_size(level);
	uint64_t top = s2_floor(level, ipa);

	if (live) {
		return ipa;
	}
	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		if (i >= w.slot && !live) {
			desc = pt_read(w.table, i);
			kind = s2_kind(level, desc);
			live = s2_is_live(kind);
			if (!live) {
				top = top + size;
			}
		}
	}
	return top;
}

/* The page of a protected ipa, as the realm itself would reach it. */
struct ipa_page rtt_translate(uint64_t rd, uint64_t ipa)
{
	struct rtt_walk w = rtt_walk(rd, ipa, 3);
	uint64_t ripas = s2_ripas(w.desc);
	uint64_t start = s2_floor(w.level, ipa);
	uint64_t page = s2_floor(3, ipa);
	uint64_t pa = s2_pa(w.desc);

	if (ripas == RMI_RIPAS_EMPTY) {
		return (struct ipa_page){ IPA_EMPTY, 0, w.level };
	}
	if (w.kind != S2K_ASSIGNED || ripas != RMI_RIPAS_RAM) {
		return (struct ipa_page){ IPA_FAULT, 0, w.level };
	}
	return (struct ipa_page){ IPA_OK, pa + (page - start), w.level };
}

/* ---- Start tables ---------------------------------------------------------------------------- */

static void rtt_init_table(uint64_t table, uint64_t first, uint64_t half, uint64_t end)
{
	uint64_t ns = s2_unassigned_ns();

	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		if (first + i >= half && first + i < end) {
			s2_make(table, i, ns);
		}
	}
}

/* Fill the start tables: UNASSIGNED EMPTY below, UNASSIGNED_NS above. They are claimed, or the realm is locked. */
void rtt_init_start(uint64_t rd)
{
	uint64_t base = rd_get_rtt_base(rd);
	uint64_t num = rd_get_num_start(rd);
	uint64_t level = rd_get_start_level(rd);
	uint64_t size = rd_get_ipa_size(rd);
	uint64_t end = s2_index(level, size);

	for (uint64_t t = 0; t < MAX_START_TABLES; t++) {
		if (t < num) {
			rtt_init_table(base + (t << 12), t << 9, end >> 1, end);
		}
	}
}

/* Have the start tables no live entry? */
bool rtt_start_unused(uint64_t rd)
{
	uint64_t base = rd_get_rtt_base(rd);
	uint64_t num = rd_get_num_start(rd);
	uint64_t sum = 0;

	for (uint64_t t = 0; t < MAX_START_TABLES; t++) {
		if (t < num) {
			uint64_t refs = granule_refs(base + (t << 12));
			sum = sum + refs;
		}
	}
	return sum == 0;
}

static uint64_t ns_pages(uint64_t level)
{
	if (level == 3) {
		return 1;
	}
	return PT_SLOTS;
}

/* Count n more host pages that the realm maps. */
static void rtt_add_shared(uint64_t rd, uint64_t n)
{
	uint64_t shared = rd_get_pages_shared(rd);

	rd_set_pages_shared(rd, shared + n);
}

/* Unpin what the ASSIGNED_NS entries of a table map. The TLB has forgotten them. */
static void rtt_drop_ns(uint64_t rd, uint64_t level, uint64_t table)
{
	uint64_t pages = ns_pages(level);

	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		uint64_t desc = pt_read(table, i);
		uint64_t kind = s2_kind(level, desc);
		uint64_t pa = s2_pa(desc);

		if (kind == S2K_ASSIGNED_NS) {
			ns_put_pages(pa, pages);
			rtt_add_shared(rd, 0UL - pages);
		}
	}
}

/* Give the start tables back. The realm has no REC; the TLB has forgotten its VMID. */
void rtt_free_start(uint64_t rd)
{
	uint64_t base = rd_get_rtt_base(rd);
	uint64_t num = rd_get_num_start(rd);
	uint64_t level = rd_get_start_level(rd);

	for (uint64_t t = 0; t < MAX_START_TABLES; t++) {
		if (t < num) {
			rtt_drop_ns(rd, level, base + (t << 12));
			granule_scrub(base + (t << 12));
		}
	}
}

/* ---- Tables ------------------------------------------------------------------------------------ */

/* May a table of this level stand at ipa? Below the start level, and ipa starts an entry one level above. */
static bool rtt_table_ok(uint64_t rd, uint64_t ipa, uint64_t level)
{
	uint64_t start = rd_get_start_level(rd);
	bool bounded = ipa_in_bounds(rd, ipa);

	if (level <= start || level > 3 || !bounded) {
		return false;
	}
	bool aligned = s2_aligned(level - 1, ipa);
	return aligned;
}

/* Fill a fresh table so that it says what the parent entry said. */
static void rtt_unfold(uint64_t rtt, uint64_t level, uint64_t desc)
{
	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		uint64_t child = s2_child(level, desc, i);

		if (child != 0) {
			s2_make(rtt, i, child);
		}
	}
}

static uint64_t rtt_create_locked(uint64_t rd, uint64_t rtt, uint64_t ipa, uint64_t level)
{
	uint64_t vmid = rd_get_vmid(rd);

	/* Can there be such a table? */
	bool ok = rtt_table_ok(rd, ipa, level);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	/* Is its parent there, and no table yet in its place? */
	struct rtt_walk w = rtt_walk(rd, ipa, level - 1);
	uint64_t error = error_rtt(w.level);
	if (w.level != level - 1 || w.kind == S2K_TABLE) {
		return error;
	}

	bool valid = s2_is_valid(w.desc);
	rtt_unfold(rtt, level, w.desc);
	if (valid) {
		s2_break(w.table, w.slot, 0);
		tlbi_realm(vmid, ipa);
	}
	s2_make(w.table, w.slot, rtt | S2_TABLE);
	granule_set(rtt, GS_RTT, rd);
	if (w.kind == S2K_ASSIGNED) {
		granule_set_refs(rtt, PT_SLOTS);
	} else {
		granule_add_refs(w.table, 1);
	}
	return RMI_SUCCESS;
}

/* RMI_RTT_CREATE */
uint64_t rtt_create(uint64_t rd, uint64_t rtt, uint64_t ipa, uint64_t level)
{
	uint64_t status = RMI_ERROR_INPUT;

	bool ok = realm_lock(rd);
	if (!ok) {
		return status;
	}
	ok = granule_claim(rtt, GS_DELEGATED);
	if (ok) {
		status = rtt_create_locked(rd, rtt, ipa, level);
		granule_release(rtt);
	}
	realm_unlock(rd);
	return status;
}

static struct rmi_result rtt_destroy_locked(uint64_t rd, uint64_t ipa, uint64_t level)
{
	uint64_t vmid = rd_get_vmid(rd);
	bool protected = ipa_in_par(rd, ipa);

	/* Can there be such a table, and is it there? */
	bool ok = rtt_table_ok(rd, ipa, level);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct rtt_walk w = rtt_walk(rd, ipa, level - 1);
	uint64_t error = error_rtt(w.level);
	uint64_t top = rtt_walk_top(w, ipa);
	if (w.level != level - 1 || w.kind != S2K_TABLE) {
		return (struct rmi_result){ error, 0, top, 0, 0 };
	}
	/* Has it no live entry? */
	uint64_t child = s2_pa(w.desc);
	uint64_t refs = granule_refs(child);
	if (refs != 0) {
		error = error_rtt(level);
		return (struct rmi_result){ error, 0, ipa, 0, 0 };
	}

	uint64_t freed = s2_unassigned_ns();
	if (protected) {
		freed = s2_unassigned(RMI_RIPAS_DESTROYED);
	}
	s2_break(w.table, w.slot, freed);
	tlbi_realm_all(vmid);
	granule_add_refs(w.table, ~0UL);
	rtt_drop_ns(rd, level, child);
	granule_scrub(child);
	top = rtt_walk_top(w, ipa);
	return (struct rmi_result){ RMI_SUCCESS, child, top, 0, 0 };
}

/* RMI_RTT_DESTROY: x1 the table, x2 where to go on. */
struct rmi_result rtt_destroy(uint64_t rd, uint64_t ipa, uint64_t level)
{
	bool ok = realm_lock(rd);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct rmi_result r = rtt_destroy_locked(rd, ipa, level);
	realm_unlock(rd);
	return r;
}

/* Do all entries of a table of this level follow from the entry parent one level above? */
static bool rtt_uniform(uint64_t table, uint64_t level, uint64_t parent)
{
	bool same = true;

	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		uint64_t want = s2_child(level, parent, i);
		uint64_t have = pt_read(table, i);

		same = same && want == have;
	}
	return same;
}

/* Can this child table, of this level, become the one entry parent? The status that says why not. */
static uint64_t rtt_fold_check(uint64_t child, uint64_t level, uint64_t parent)
{
	uint64_t refs = granule_refs(child);
	uint64_t kind = s2_kind(level - 1, parent);
	uint64_t pa = s2_pa(parent);
	bool aligned = s2_aligned(level - 1, pa);
	uint64_t here = error_rtt(level);
	uint64_t above = error_rtt(level - 1);

	if (refs != 0 && refs != PT_SLOTS) {
		return here;
	}
	/* Protected blocks are 2 MiB or 1 GiB; blocks of the host's memory 2 MiB. */
	if (refs == PT_SLOTS && level < 2) {
		return above;
	}
	if (kind == S2K_ASSIGNED_NS && level != 3) {
		return above;
	}
	if (refs == PT_SLOTS && kind != S2K_ASSIGNED) {
		return here;
	}
	bool same = rtt_uniform(child, level, parent);
	if (!same) {
		return here;
	}
	if (!aligned && (kind == S2K_ASSIGNED || kind == S2K_ASSIGNED_NS)) {
		return here;
	}
	return RMI_SUCCESS;
}

static struct rmi_result rtt_fold_locked(uint64_t rd, uint64_t ipa, uint64_t level)
{
	uint64_t vmid = rd_get_vmid(rd);

	/* Can there be such a table, and is it there? */
	bool ok = rtt_table_ok(rd, ipa, level);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct rtt_walk w = rtt_walk(rd, ipa, level - 1);
	uint64_t status = error_rtt(w.level);
	if (w.level != level - 1 || w.kind != S2K_TABLE) {
		return (struct rmi_result){ status, 0, 0, 0, 0 };
	}
	/* Is it uniform? */
	uint64_t child = s2_pa(w.desc);
	uint64_t first = pt_read(child, 0);
	uint64_t kind = s2_kind(level, first);
	if (kind == S2K_TABLE) {
		status = error_rtt(level);
		return (struct rmi_result){ status, 0, 0, 0, 0 };
	}
	uint64_t parent = s2_parent(level, first);
	status = rtt_fold_check(child, level, parent);
	if (status != RMI_SUCCESS) {
		return (struct rmi_result){ status, 0, 0, 0, 0 };
	}

	s2_break(w.table, w.slot, 0);
	tlbi_realm_all(vmid);
	s2_make(w.table, w.slot, parent);
	if (kind != S2K_ASSIGNED) {
		granule_add_refs(w.table, ~0UL);
	}
	granule_scrub(child);
	return (struct rmi_result){ RMI_SUCCESS, child, 0, 0, 0 };
}

/* RMI_RTT_FOLD: x1 the table. */
struct rmi_result rtt_fold(uint64_t rd, uint64_t ipa, uint64_t level)
{
	bool ok = realm_lock(rd);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct rmi_result r = rtt_fold_locked(rd, ipa, level);
	realm_unlock(rd);
	return r;
}

/* ---- The host's pages in the unprotected half --------------------------------------------------- */

/* Does ipa start an entry of this level in the unprotected half? */
static bool rtt_unprotected_ok(uint64_t rd, uint64_t ipa, uint64_t level)
{
	bool bounded = ipa_in_bounds(rd, ipa);
	bool protected = ipa_in_par(rd, ipa);
	bool aligned = s2_aligned(level, ipa);
	uint64_t start = rd_get_start_level(rd);

	return bounded && !protected && aligned && level >= start;
}

static uint64_t rtt_map_locked(uint64_t rd, uint64_t ipa, uint64_t level, uint64_t host)
{
	/* Are descriptor and address well formed? */
	bool ok = s2_ns_ok(level, host);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	ok = rtt_unprotected_ok(rd, ipa, level);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	/* Is there a free entry? */
	struct rtt_walk w = rtt_walk(rd, ipa, level);
	uint64_t error = error_rtt(w.level);
	if (w.level != level || w.kind != S2K_UNASSIGNED_NS) {
		return error;
	}
	/* Does the tenant allow so many? */
	uint64_t pages = ns_pages(level);
	uint64_t shared = rd_get_pages_shared(rd);
	uint64_t max = rd_get_max_shared(rd);
	if (shared + pages > max) {
		return KCORE_ERROR_POLICY;
	}
	/* Are they all the host's granules? Pin them, so that they stay it. */
	uint64_t pa = s2_pa(host);
	ok = ns_get_pages(pa, pages);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}

	uint64_t desc = s2_assigned_ns(level, host);
	s2_make(w.table, w.slot, desc);
	rtt_add_shared(rd, pages);
	return RMI_SUCCESS;
}

/* RMI_RTT_MAP_UNPROTECTED. Levels 2 and 3. */
uint64_t rtt_map_unprotected(uint64_t rd, uint64_t ipa, uint64_t level, uint64_t host)
{
	if (level < 2 || level > 3) {
		return RMI_ERROR_INPUT;
	}
	bool ok = realm_lock(rd);
	if (!ok) {
		return RMI_ERROR_INPUT;
	}
	uint64_t status = rtt_map_locked(rd, ipa, level, host);
	realm_unlock(rd);
	return status;
}

static struct rmi_result rtt_unmap_locked(uint64_t rd, uint64_t ipa, uint64_t level)
{
	uint64_t vmid = rd_get_vmid(rd);

	bool ok = rtt_unprotected_ok(rd, ipa, level);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	/* Is something of the host's mapped by an entry of just this level? */
	struct rtt_walk w = rtt_walk(rd, ipa, level);
	uint64_t error = error_rtt(w.level);
	uint64_t top = rtt_walk_top(w, ipa);
	if (w.level != level || w.kind != S2K_ASSIGNED_NS) {
		return (struct rmi_result){ error, top, 0, 0, 0 };
	}

	uint64_t pa = s2_pa(w.desc);
	uint64_t pages = ns_pages(level);
	uint64_t freed = s2_unassigned_ns();
	s2_break(w.table, w.slot, freed);
	tlbi_realm(vmid, ipa);
	ns_put_pages(pa, pages);
	rtt_add_shared(rd, 0UL - pages);
	top = rtt_walk_top(w, ipa);
	return (struct rmi_result){ RMI_SUCCESS, top, 0, 0, 0 };
}

/* RMI_RTT_UNMAP_UNPROTECTED: x1 where to go on. */
struct rmi_result rtt_unmap_unprotected(uint64_t rd, uint64_t ipa, uint64_t level)
{
	if (level < 1 || level > 3) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	bool ok = realm_lock(rd);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct rmi_result r = rtt_unmap_locked(rd, ipa, level);
	realm_unlock(rd);
	return r;
}

static struct rmi_result rtt_read_locked(uint64_t rd, uint64_t ipa, uint64_t level)
{
	uint64_t start = rd_get_start_level(rd);
	bool bounded = ipa_in_bounds(rd, ipa);
	bool aligned = s2_aligned(level, ipa);

	if (level < start || level > 3 || !bounded || !aligned) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct rtt_walk w = rtt_walk(rd, ipa, level);
	uint64_t pa = s2_pa(w.desc);
	uint64_t ripas = s2_ripas(w.desc);
	uint64_t host = s2_ns_host(w.desc);
	if (w.kind == S2K_TABLE) {
		return (struct rmi_result){ RMI_SUCCESS, w.level, RMI_TABLE, pa, 0 };
	}
	if (w.kind == S2K_ASSIGNED) {
		return (struct rmi_result){ RMI_SUCCESS, w.level, RMI_ASSIGNED, pa, ripas };
	}
	if (w.kind == S2K_ASSIGNED_NS) {
		return (struct rmi_result){ RMI_SUCCESS, w.level, RMI_ASSIGNED, host, 0 };
	}
	if (w.kind == S2K_UNASSIGNED_NS) {
		return (struct rmi_result){ RMI_SUCCESS, w.level, RMI_UNASSIGNED, 0, 0 };
	}
	return (struct rmi_result){ RMI_SUCCESS, w.level, RMI_UNASSIGNED, 0, ripas };
}

/* RMI_RTT_READ_ENTRY: x1 level, x2 state, x3 descriptor, x4 RIPAS. */
struct rmi_result rtt_read_entry(uint64_t rd, uint64_t ipa, uint64_t level)
{
	bool ok = realm_lock(rd);
	if (!ok) {
		return (struct rmi_result){ RMI_ERROR_INPUT, 0, 0, 0, 0 };
	}
	struct rmi_result r = rtt_read_locked(rd, ipa, level);
	realm_unlock(rd);
	return r;
}
