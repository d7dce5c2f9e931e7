/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSI 1.0: services that a realm asks for. A call returns false when it is answered, true to leave to the
 * host.
 */
#include "core.h"

static bool rsi_answer(uint64_t rec, uint64_t status, uint64_t x1, uint64_t x2)
{
	rec_return(rec, status, x1, x2, 0);
	return false;
}

static bool rsi_version(uint64_t rec)
{
	uint64_t asked = rec_get_gpr(rec, 1);
	uint64_t status = RSI_ERROR_INPUT;

	if (asked == RSI_ABI_VERSION) {
		status = RSI_SUCCESS;
	}
	bool leave = rsi_answer(rec, status, RSI_ABI_VERSION, RSI_ABI_VERSION);
	return leave;
}

static bool rsi_measurement_read(uint64_t rec)
{
	uint64_t slot = rec_get_gpr(rec, 1);

	if (slot >= MEAS_SLOTS) {
		bool leave = rsi_answer(rec, RSI_ERROR_INPUT, 0, 0);
		return leave;
	}
	uint64_t rd = rec_lock_realm(rec);
	(void)rsi_answer(rec, RSI_SUCCESS, 0, 0);
	for (uint64_t i = 0; i < MEAS_WORDS; i++) {
		uint64_t word = rd_get_meas(rd, (slot << 3) + i);

		rec_set_gpr(rec, 1 + i, word);
	}
	realm_unlock(rd);
	return false;
}

static bool rsi_measurement_extend(uint64_t rec)
{
	uint64_t slot = rec_get_gpr(rec, 1);
	uint64_t size = rec_get_gpr(rec, 2);
	uint64_t status = RSI_ERROR_INPUT;

	if (slot > 0 && slot < MEAS_SLOTS && size <= 64) {
		uint64_t rd = rec_lock_realm(rec);
		measure_extend(rd, rec, slot, size);
		realm_unlock(rd);
		status = RSI_SUCCESS;
	}
	bool leave = rsi_answer(rec, status, 0, 0);
	return leave;
}

/*
 * A buffer of the realm is not there: leave as if the realm had touched it. The SMC is repeated once the host
 * has put a page there.
 */
static bool rsi_fault(uint64_t ipa, uint64_t level)
{
	run_out_reason(REC_EXIT_SYNC);
	run_out_esr((ESR_EC_DABT << ESR_EC_SHIFT) | ESR_FSC_TRANSLATION | level);
	run_out_hpfar((ipa >> 12) << 4);
	counter_add(KCORE_CTR_EXIT_FAULT, 1);
	return true;
}

static void rsi_config_write(uint64_t rd, uint64_t pa)
{
	uint64_t s2sz = rd_get_s2sz(rd);
	uint64_t alg = rd_get_hash_algo(rd);

	data_write(pa, RSI_CONFIG_IPA_WIDTH >> 3, s2sz);
	data_write(pa, RSI_CONFIG_HASH_ALGO >> 3, alg);
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t word = rd_get_rpv(rd, i);

		data_write(pa, (RSI_CONFIG_RPV >> 3) + i, word);
	}
}

static bool rsi_realm_config(uint64_t rec)
{
	uint64_t ipa = rec_get_gpr(rec, 1);
	bool aligned = is_granule_aligned(ipa);
	bool leave = false;

	uint64_t rd = rec_lock_realm(rec);
	bool protected = ipa_in_par(rd, ipa);
	if (!aligned || !protected) {
		realm_unlock(rd);
		leave = rsi_answer(rec, RSI_ERROR_INPUT, 0, 0);
		return leave;
	}
	struct ipa_page page = rtt_translate(rd, ipa);
	if (page.result == IPA_OK) {
		rsi_config_write(rd, page.pa);
	}
	realm_unlock(rd);
	if (page.result == IPA_OK) {
		leave = rsi_answer(rec, RSI_SUCCESS, 0, 0);
	} else if (page.result == IPA_EMPTY) {
		leave = rsi_answer(rec, RSI_ERROR_INPUT, 0, 0);
	} else {
		leave = rsi_fault(ipa, page.level);
	}
	return leave;
}

/* ---- IPA state ----------------------------------------------------------------------------------- */

static bool rsi_ipa_state_set(uint64_t rec)
{
	uint64_t base = rec_get_gpr(rec, 1);
	uint64_t top = rec_get_gpr(rec, 2);
	uint64_t ripas = rec_get_gpr(rec, 3);
	uint64_t flags = rec_get_gpr(rec, 4);
	bool leave = false;

	/* Is it a range of the protected half, and EMPTY or RAM? */
	uint64_t rd = rec_lock_realm(rec);
	bool inside = ipa_in_par(rd, top - 1);
	realm_unlock(rd);
	bool aligned = is_granule_aligned(base | top);
	if (ripas > RMI_RIPAS_RAM || !aligned || top <= base || !inside) {
		leave = rsi_answer(rec, RSI_ERROR_INPUT, 0, 0);
		return leave;
	}

	rec_set_ripas_pending(rec, 1);
	rec_set_ripas_base(rec, base);
	rec_set_ripas_top(rec, top);
	rec_set_ripas_value(rec, ripas);
	if (flags == RSI_CHANGE_DESTROYED) {
		rec_set_ripas_destroyed(rec, 1);
	} else {
		rec_set_ripas_destroyed(rec, 0);
	}
	rec_skip(rec);
	run_out_reason(REC_EXIT_RIPAS_CHANGE);
	run_out_ripas_base(base);
	run_out_ripas_top(top);
	run_out_ripas_value(ripas);
	counter_add(KCORE_CTR_EXIT_RIPAS, 1);
	return true;
}

/* The REC enters again after a RIPAS change: answer with how far the host went. */
void rsi_ripas_complete(uint64_t rec, bool reject)
{
	uint64_t pending = rec_get_ripas_pending(rec);
	uint64_t next = rec_get_ripas_base(rec);
	uint64_t top = rec_get_ripas_top(rec);
	uint64_t ripas = rec_get_ripas_value(rec);
	uint64_t response = RSI_ACCEPT;

	if (pending == 0) {
		return;
	}
	if (reject && ripas == RMI_RIPAS_RAM && next != top) {
		response = RSI_REJECT;
	}
	rec_set_gpr(rec, 0, RSI_SUCCESS);
	rec_set_gpr(rec, 1, next);
	rec_set_gpr(rec, 2, response);
	rec_set_gpr(rec, 3, 0);
	rec_set_ripas_pending(rec, 0);
	rec_set_ripas_base(rec, 0);
	rec_set_ripas_top(rec, 0);
}

/* End of the run of entries with the RIPAS of a walk's entry, in its table. */
static uint64_t rsi_same_ripas(struct rtt_walk w, uint64_t ipa, uint64_t ripas)
{
	uint64_t size = s2_size(w.level);
	uint64_t next = s2_floor(w.level, ipa);
	bool same = true;

	for (uint64_t i = 0; i < PT_SLOTS; i++) {
		if (same && i >= w.slot) {
			uint64_t desc = pt_read(w.table, i);
			uint64_t kind = s2_kind(w.level, desc);
			uint64_t here = s2_ripas(desc);

			same = (kind == S2K_UNASSIGNED || kind == S2K_ASSIGNED) && here == ripas;
			if (same) {
				next = next + size;
			}
		}
	}
	return next;
}

static bool rsi_ipa_state_get(uint64_t rec)
{
	uint64_t base = rec_get_gpr(rec, 1);
	uint64_t end = rec_get_gpr(rec, 2);
	bool aligned = is_granule_aligned(base | end);
	bool leave = false;

	uint64_t rd = rec_lock_realm(rec);
	bool inside = ipa_in_par(rd, end - 1);
	if (!aligned || end <= base || !inside) {
		realm_unlock(rd);
		leave = rsi_answer(rec, RSI_ERROR_INPUT, 0, 0);
		return leave;
	}
	struct rtt_walk w = rtt_walk(rd, base, 3);
	uint64_t ripas = s2_ripas(w.desc);
	uint64_t next = rsi_same_ripas(w, base, ripas);
	realm_unlock(rd);
	if (next > end) {
		next = end;
	}
	leave = rsi_answer(rec, RSI_SUCCESS, next, ripas);
	return leave;
}

/* ---- Host call ----------------------------------------------------------------------------------- */

/* Show the host the structure at offset of a page. */
static bool rsi_host_call_out(uint64_t pa, uint64_t offset)
{
	uint64_t first = offset >> 3;
	uint64_t imm = data_read(pa, first + (RSI_HOST_CALL_IMM >> 3));

	run_out_reason(REC_EXIT_HOST_CALL);
	run_out_imm(imm & 0xFFFFFFFFUL);
	for (uint64_t i = 0; i < NUM_GPRS; i++) {
		uint64_t value = data_read(pa, first + (RSI_HOST_CALL_GPRS >> 3) + i);

		run_out_gpr(i, value);
	}
	counter_add(KCORE_CTR_EXIT_HOST_CALL, 1);
	return true;
}

static bool rsi_host_call(uint64_t rec)
{
	uint64_t ipa = rec_get_gpr(rec, 1);
	bool leave = false;

	/* Is the structure aligned to its size, and protected? */
	uint64_t rd = rec_lock_realm(rec);
	bool protected = ipa_in_par(rd, ipa);
	if ((ipa & 0xFF) != 0 || !protected) {
		realm_unlock(rd);
		leave = rsi_answer(rec, RSI_ERROR_INPUT, 0, 0);
		return leave;
	}
	struct ipa_page page = rtt_translate(rd, ipa);
	if (page.result == IPA_OK) {
		leave = rsi_host_call_out(page.pa, ipa & (GRANULE_SIZE - 1));
		rec_set_host_call(rec, 1);
		rec_set_host_call_ipa(rec, ipa);
		rec_skip(rec);
	}
	realm_unlock(rd);
	if (page.result == IPA_EMPTY) {
		leave = rsi_answer(rec, RSI_ERROR_INPUT, 0, 0);
	} else if (page.result == IPA_FAULT) {
		leave = rsi_fault(ipa, page.level);
	}
	return leave;
}

static void rsi_host_call_in(uint64_t pa, uint64_t offset)
{
	uint64_t first = offset >> 3;

	for (uint64_t i = 0; i < NUM_GPRS; i++) {
		uint64_t value = run_in_gpr(i);

		data_write(pa, first + (RSI_HOST_CALL_GPRS >> 3) + i, value);
	}
}

/*
 * The REC enters again after a host call: put the host's registers into the realm's structure. false: its page
 * is away, the run page says so, and the call stays pending. The realm is locked.
 */
bool rsi_host_call_complete(uint64_t rec, uint64_t rd)
{
	uint64_t pending = rec_get_host_call(rec);
	uint64_t ipa = rec_get_host_call_ipa(rec);
	uint64_t status = RSI_SUCCESS;

	if (pending == 0) {
		return true;
	}
	struct ipa_page page = rtt_translate(rd, ipa);
	if (page.result == IPA_FAULT) {
		(void)rsi_fault(ipa, page.level);
		return false;
	}
	if (page.result == IPA_OK) {
		rsi_host_call_in(page.pa, ipa & (GRANULE_SIZE - 1));
	} else {
		status = RSI_ERROR_INPUT;
	}
	rec_set_gpr(rec, 0, status);
	rec_set_gpr(rec, 1, 0);
	rec_set_gpr(rec, 2, 0);
	rec_set_gpr(rec, 3, 0);
	rec_set_host_call(rec, 0);
	rec_set_host_call_ipa(rec, 0);
	return true;
}

/* ---- Attestation token --------------------------------------------------------------------------- */

/* Legal at any time: what this REC was fetching is dropped. */
static bool rsi_token_init(uint64_t rec)
{
	uint64_t rd = rec_lock_realm(rec);
	token_claim(rec, rd);
	realm_unlock(rd);
	rec_set_token_state(rec, TOKEN_CLAIMED);
	rec_set_token_done(rec, 0);
	bool leave = rsi_answer(rec, RSI_SUCCESS, RSI_TOKEN_MAX, 0);
	return leave;
}

/* Is the buffer a part of one page of the protected half? */
static bool rsi_token_buffer_ok(uint64_t rec)
{
	uint64_t ipa = rec_get_gpr(rec, 1);
	uint64_t offset = rec_get_gpr(rec, 2);
	uint64_t size = rec_get_gpr(rec, 3);
	bool aligned = is_granule_aligned(ipa);

	if (!aligned || offset >= GRANULE_SIZE || size > GRANULE_SIZE - offset) {
		return false;
	}
	uint64_t rd = rec_lock_realm(rec);
	bool protected = ipa_in_par(rd, ipa);
	realm_unlock(rd);
	return protected;
}

/* Sign the token unless it is signed. No lock is held: the REC is this CPU's, and signing takes long. */
static uint64_t rsi_token_finish(uint64_t rec)
{
	uint64_t state = rec_get_token_state(rec);

	if (state == TOKEN_NONE) {
		return RSI_ERROR_STATE;
	}
	if (state == TOKEN_CLAIMED) {
		bool ok = token_sign(rec);
		if (!ok) {
			rec_set_token_state(rec, TOKEN_NONE);
			return RSI_ERROR_UNKNOWN;
		}
		rec_set_token_state(rec, TOKEN_SIGNED);
	}
	return RSI_SUCCESS;
}

/* Copy the next piece, at most size bytes, to a page of the realm, which is locked; returns its length. */
static uint64_t rsi_token_piece(uint64_t rec, uint64_t pa)
{
	uint64_t offset = rec_get_gpr(rec, 2);
	uint64_t size = rec_get_gpr(rec, 3);
	uint64_t done = rec_get_token_done(rec);
	uint64_t total = token_bytes(rec);

	if (size > total - done) {
		size = total - done;
	}
	token_read(rec, done, size, pa, offset);
	return size;
}

/* A piece of n bytes was copied. */
static bool rsi_token_next(uint64_t rec, uint64_t n)
{
	uint64_t done = rec_get_token_done(rec);
	uint64_t total = token_bytes(rec);
	uint64_t status = RSI_INCOMPLETE;

	rec_set_token_done(rec, done + n);
	if (done + n == total) {
		rec_set_token_state(rec, TOKEN_NONE);
		status = RSI_SUCCESS;
	}
	bool leave = rsi_answer(rec, status, n, 0);
	return leave;
}

static bool rsi_token_continue(uint64_t rec)
{
	uint64_t ipa = rec_get_gpr(rec, 1);
	bool leave = false;
	uint64_t n = 0;

	bool ok = rsi_token_buffer_ok(rec);
	if (!ok) {
		leave = rsi_answer(rec, RSI_ERROR_INPUT, 0, 0);
		return leave;
	}
	uint64_t status = rsi_token_finish(rec);
	if (status != RSI_SUCCESS) {
		leave = rsi_answer(rec, status, 0, 0);
		return leave;
	}
	uint64_t rd = rec_lock_realm(rec);
	struct ipa_page page = rtt_translate(rd, ipa);
	if (page.result == IPA_OK) {
		n = rsi_token_piece(rec, page.pa);
	}
	realm_unlock(rd);
	if (page.result == IPA_OK) {
		leave = rsi_token_next(rec, n);
	} else if (page.result == IPA_EMPTY) {
		leave = rsi_answer(rec, RSI_ERROR_INPUT, 0, 0);
	} else {
		leave = rsi_fault(ipa, page.level);
	}
	return leave;
}

/* An SMC of the RSI range. true: leave to the host. */
bool rsi_call(uint64_t rec, uint64_t fid)
{
	bool leave = false;

	if (fid == RSI_VERSION) {
		leave = rsi_version(rec);
		return leave;
	}
	if (fid == RSI_FEATURES) {
		leave = rsi_answer(rec, RSI_SUCCESS, 0, 0);
		return leave;
	}
	if (fid == RSI_MEASUREMENT_READ) {
		leave = rsi_measurement_read(rec);
		return leave;
	}
	if (fid == RSI_MEASUREMENT_EXTEND) {
		leave = rsi_measurement_extend(rec);
		return leave;
	}
	if (fid == RSI_REALM_CONFIG) {
		leave = rsi_realm_config(rec);
		return leave;
	}
	if (fid == RSI_IPA_STATE_SET) {
		leave = rsi_ipa_state_set(rec);
		return leave;
	}
	if (fid == RSI_IPA_STATE_GET) {
		leave = rsi_ipa_state_get(rec);
		return leave;
	}
	if (fid == RSI_HOST_CALL) {
		leave = rsi_host_call(rec);
		return leave;
	}
	if (fid == RSI_ATTEST_TOKEN_INIT) {
		leave = rsi_token_init(rec);
		return leave;
	}
	if (fid == RSI_ATTEST_TOKEN_CONTINUE) {
		leave = rsi_token_continue(rec);
		return leave;
	}
	leave = rsi_answer(rec, SMCCC_NOT_SUPPORTED, 0, 0);
	return leave;
}
