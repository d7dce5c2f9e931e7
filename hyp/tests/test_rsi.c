/* SPDX-License-Identifier: Apache-2.0 */
/* RSI calls. */
#include "util.h"

#define MB2 (1UL << 21)
#define GB (1UL << 30)

static uint64_t gpr(struct realm *r, unsigned i)
{
	return rec_word(r->rec[0], "gpr", i);
}

/* An answered call: x0 to x2. */
static void rsi(struct realm *r, uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, uint64_t status,
		uint64_t o1, uint64_t o2)
{
	uint64_t pc = rec_word(r->rec[0], "pc", 0);

	assert_true(rec_smc(r, 0, fid, x1, x2, x3, x4));
	assert_int_equal(gpr(r, 0), status);
	assert_int_equal(gpr(r, 1), o1);
	assert_int_equal(gpr(r, 2), o2);
	assert_int_equal(gpr(r, 3), 0);
	assert_int_equal(rec_word(r->rec[0], "pc", 0), pc + 4);
}

static void simple(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_VERSION, 0x10000, 1, 2, 3, RSI_SUCCESS, 0x10000, 0x10000);
	rsi(&r, RSI_VERSION, 0x10001, 1, 2, 3, RSI_ERROR_INPUT, 0x10000, 0x10000);
	rsi(&r, RSI_VERSION, 0, 1, 2, 3, RSI_ERROR_INPUT, 0x10000, 0x10000);
	rsi(&r, RSI_FEATURES, 0, 1, 2, 3, RSI_SUCCESS, 0, 0);
	rsi(&r, RSI_FEATURES, 7, 1, 2, 3, RSI_SUCCESS, 0, 0);
	rsi(&r, RSI_FID_LAST, 7, 1, 2, 3, ALL_ONES, 0, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void config(void **state)
{
	struct realm r;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x2000);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0x3000, 0x4000).x1, 0x4000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_REALM_CONFIG, 0x2008, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_REALM_CONFIG, HALF, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_REALM_CONFIG, ALL_ONES << 12, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_REALM_CONFIG, 0x8000, 0, 0, 0, RSI_ERROR_INPUT, 0, 0); /* EMPTY */
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(pa, i, 0x99);
	rsi(&r, RSI_REALM_CONFIG, 0x2000, 0, 0, 0, RSI_SUCCESS, 0, 0);
	assert_int_equal(sim_read(pa, 0), 33);
	assert_int_equal(sim_read(pa, 8), RMI_HASH_SHA256);
	assert_int_equal(sim_read(pa, 0x200), 0x1111);
	assert_int_equal(sim_read(pa, 0x238), 0x8888);
	/* RAM without a page: the host brings one, the call is repeated */
	assert_false(rec_smc(&r, 0, RSI_REALM_CONFIG, 0x3000, 0, 0, 0));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_ESR), 0x24UL << 26 | 7);
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(0x3000));
	assert_int_equal(gpr(&r, 0), RSI_REALM_CONFIG);
	run_put(&r, RUN_FLAGS, REC_ENTRY_EMUL_MMIO);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_FLAGS, REC_ENTRY_INJECT_SEA);
	EXPECT(RMI_ERROR_REC, RMI_REC_ENTER, r.rec[0], r.run);
	run_put(&r, RUN_FLAGS, 0);
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, dpage(), 0x3000);
	rec_go(&r, 0);
	rsi(&r, RSI_REALM_CONFIG, 0x3000, 0, 0, 0, RSI_SUCCESS, 0, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

/* The page of a call may lie in a 2 MiB block. */
static void config_in_block(void **state)
{
	struct realm r;
	uint64_t big = block();

	(void)state;
	realm_make(&r);
	realm_tables(&r, 0);
	assert_int_equal(CALL(KCORE_DELEGATE_RANGE, big, 512).x1, 512);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0, MB2).x1, MB2);
	for (uint64_t i = 0; i < 512; i++)
		EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, big + 4096 * i, 4096 * i);
	EXPECT(RMI_SUCCESS, RMI_RTT_FOLD, r.rd, 0, 3);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_REALM_CONFIG, 0x7000, 0, 0, 0, RSI_SUCCESS, 0, 0);
	assert_int_equal(sim_read(big + 0x7000, 0), 33);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void ipa_state_get(void **state)
{
	struct realm r;

	(void)state;
	realm_make(&r);
	realm_tables(&r, 0);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0x2000, 0x5000).x1, 0x5000);
	realm_page(&r, 0x5000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_IPA_STATE_GET, 8, 0x1000, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0, 0x1008, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0x1000, 0x1000, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0x2000, 0x1000, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0, HALF + 0x1000, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, HALF, HALF + 0x1000, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, ALL_ONES << 12, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0, HALF, 0, 0, RSI_SUCCESS, 0x2000, RMI_RIPAS_EMPTY);
	rsi(&r, RSI_IPA_STATE_GET, 0x2000, HALF, 0, 0, RSI_SUCCESS, 0x6000, RMI_RIPAS_RAM);
	rsi(&r, RSI_IPA_STATE_GET, 0x3000, 0x4000, 0, 0, RSI_SUCCESS, 0x4000, RMI_RIPAS_RAM);
	rsi(&r, RSI_IPA_STATE_GET, 0x6000, HALF, 0, 0, RSI_SUCCESS, MB2, RMI_RIPAS_EMPTY);
	rsi(&r, RSI_IPA_STATE_GET, GB + 0x1000, HALF, 0, 0, RSI_SUCCESS, HALF, RMI_RIPAS_EMPTY);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0x5000);
	rec_go(&r, 0);
	rsi(&r, RSI_IPA_STATE_GET, 0x5000, HALF, 0, 0, RSI_SUCCESS, 0x6000, RMI_RIPAS_DESTROYED);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void ipa_state_set_errors(void **state)
{
	struct realm r;

	(void)state;
	realm_simple(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0, 0x1000, 2, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0, 0x1000, ALL_ONES, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 8, 0x1000, 1, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0, 0x1008, 1, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0x1000, 0x1000, 1, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0x1000, 0, 1, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, 0, HALF + 0x1000, 1, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_IPA_STATE_SET, HALF, HALF + 0x1000, 1, 0, RSI_ERROR_INPUT, 0, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void host_call(void **state)
{
	struct realm r;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x2000);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0x3000, 0x4000).x1, 0x4000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	rsi(&r, RSI_HOST_CALL, 0x2080, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_HOST_CALL, HALF, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	rsi(&r, RSI_HOST_CALL, 0x8000, 0, 0, 0, RSI_ERROR_INPUT, 0, 0);
	sim_write(pa, 0x300, 0xabcd00001234UL);
	for (unsigned i = 0; i < 31; i++)
		sim_write(pa, 0x308 + 8 * i, 0x100 + i);
	assert_false(rec_smc(&r, 0, RSI_HOST_CALL, 0x2300, 5, 6, 7));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_HOST_CALL);
	assert_int_equal(run_get(&r, EXIT_IMM), 0x1234);
	for (unsigned i = 0; i < 31; i++) {
		assert_int_equal(run_get(&r, EXIT_GPR(i)), 0x100 + i);
		run_put(&r, RUN_GPR(i), 0x200 + i);
	}
	rec_go(&r, 0);
	assert_int_equal(gpr(&r, 0), RSI_SUCCESS);
	assert_int_equal(gpr(&r, 1), 0);
	for (unsigned i = 0; i < 31; i++)
		assert_int_equal(sim_read(pa, 0x308 + 8 * i), 0x200 + i);
	/* only once */
	sim_write(pa, 0x308, 0x55);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	rec_go(&r, 0);
	assert_int_equal(sim_read(pa, 0x308), 0x55);
	/* no page */
	assert_false(rec_smc(&r, 0, RSI_HOST_CALL, 0x3300, 5, 6, 7));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(0x3000));
	assert_int_equal(rec_word(r.rec[0], "host_call", 0), 0);
}

/* The page goes away between call and answer. */
static void host_call_page_lost(void **state)
{
	struct realm r;
	struct smc_result s;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x2000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	assert_false(rec_smc(&r, 0, RSI_HOST_CALL, 0x2300, 5, 6, 7));
	EXPECT(RMI_SUCCESS, RMI_DATA_DESTROY, r.rd, 0x2000);
	run_put(&r, RUN_LR(0), 1UL << 62 | 40);
	s = CALL(RMI_REC_ENTER, r.rec[0], r.run);
	assert_int_equal(s.x0, RMI_SUCCESS);
	assert_int_equal(s.rec, 0);
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_ESR), 0x24UL << 26 | 7);
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(0x2000));
	assert_int_equal(run_get(&r, EXIT_LR(0)), 1UL << 62 | 40);
	sim_check();
	/* DESTROYED for ever: still pending; the REC itself may be destroyed */
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0x2000);
	assert_int_equal(CALL(RMI_REC_ENTER, r.rec[0], r.run).rec, 0);
	realm_teardown(&r);
}

/* The page has become EMPTY by the request of another REC: no copy, an error for the caller. */
static void host_call_page_empty(void **state)
{
	struct realm r;
	uint64_t pa;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x2000);
	rec_make(&r, true);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	sim_write(pa, 0x308, 0x55);
	assert_false(rec_smc(&r, 0, RSI_HOST_CALL, 0x2300, 5, 6, 7));
	rec_go(&r, 1);
	assert_false(rec_smc(&r, 1, RSI_IPA_STATE_SET, 0x2000, 0x3000, 0, 0));
	EXPECT(RMI_SUCCESS, RMI_RTT_SET_RIPAS, r.rd, r.rec[1], 0x2000, 0x3000);
	run_put(&r, RUN_GPR(0), 0x66);
	rec_go(&r, 0);
	assert_int_equal(gpr(&r, 0), RSI_ERROR_INPUT);
	assert_int_equal(sim_read(pa, 0x308), 0x55);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

/* ---- Attestation token ---- */

/* CONTINUE by a REC that runs here; its status. The bytes it says it wrote: *n. */
static uint64_t more(struct realm *r, unsigned rec, uint64_t ipa, uint64_t offset, uint64_t size, uint64_t *n)
{
	assert_true(rec_smc(r, rec, RSI_ATTEST_TOKEN_CONTINUE, ipa, offset, size, 0));
	*n = rec_word(r->rec[rec], "gpr", 1);
	assert_int_equal(rec_word(r->rec[rec], "gpr", 2), 0);
	return rec_word(r->rec[rec], "gpr", 0);
}

static void init(struct realm *r, unsigned rec, uint64_t challenge)
{
	for (unsigned i = 5; i <= 8; i++)
		rec_poke(r->rec[rec], "gpr", i, 0);
	assert_true(rec_smc(r, rec, RSI_ATTEST_TOKEN_INIT, challenge, 2, 3, 4));
	assert_int_equal(rec_word(r->rec[rec], "gpr", 0), RSI_SUCCESS);
	assert_int_equal(rec_word(r->rec[rec], "gpr", 1), 4096);
	assert_int_equal(rec_word(r->rec[rec], "gpr", 2), 0);
}

static void bytes_of(uint8_t *to, uint64_t pa, uint64_t offset, uint64_t n)
{
	for (uint64_t i = offset; i < offset + n; i++)
		*to++ = (uint8_t)(sim_read(pa, i & ~7UL) >> (i % 8 * 8));
}

/* The whole token, in pieces of this size, one page after the other as Linux does; its length. */
static uint64_t fetch(struct realm *r, unsigned rec, uint64_t ipa, uint64_t pa, uint64_t piece, uint8_t *token)
{
	uint64_t len = 0, offset = 0, status, n;

	do {
		uint64_t size = piece < 4096 - offset ? piece : 4096 - offset;

		status = more(r, rec, ipa, offset, size, &n);
		assert_true(n <= size);
		assert_true(status == RSI_SUCCESS || (status == RSI_INCOMPLETE && n == size));
		bytes_of(token + len, pa, offset, n);
		len += n;
		offset = (offset + n) % 4096;
		assert_true(len <= 4096);
	} while (status == RSI_INCOMPLETE);
	return len;
}

static void token_input(void **state)
{
	static const struct {
		uint64_t ipa, offset, size;
	} bad[] = {
		{ 0x2001, 0, 16 },	     { 0x2800, 0, 16 },	 { 0x2000, 4096, 0 },	{ 0x2000, 4095, 2 },
		{ 0x2000, 0, 4097 },	     { 0x2000, 8, ~7UL }, { 0x2000, ~0UL, 1 },	{ 0x2000, 1, ~0UL },
		{ HALF, 0, 16 },	     { 2 * HALF, 0, 16 }, { ~0xFFFUL, 0, 16 },
	};
	struct realm r;
	uint64_t n;

	(void)state;
	realm_make(&r);
	realm_page(&r, 0x2000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	/* Bad input comes before bad state, and neither changes anything. */
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			assert_int_equal(more(&r, 0, bad[i].ipa, bad[i].offset, bad[i].size, &n), RSI_ERROR_INPUT);
			assert_int_equal(n, 0);
		}
		if (round == 0) {
			assert_int_equal(more(&r, 0, 0x2000, 0, 16, &n), RSI_ERROR_STATE);
			assert_int_equal(more(&r, 0, 0x8000, 0, 16, &n), RSI_ERROR_STATE);
			init(&r, 0, 1);
		}
	}
	assert_int_equal(more(&r, 0, 0x8000, 0, 16, &n), RSI_ERROR_INPUT); /* EMPTY */
	assert_int_equal(more(&r, 0, 0x2000, 4095, 1, &n), RSI_INCOMPLETE);
	assert_int_equal(n, 1);
	assert_int_equal(more(&r, 0, 0x2000, 100, 0, &n), RSI_INCOMPLETE);
	assert_int_equal(n, 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

static void token_pieces(void **state)
{
	static const uint64_t sizes[] = { 4096, 1, 7, 256, 1000 };
	uint8_t whole[4096], again[4096];
	struct realm r;
	uint64_t pa, len, n;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x2000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	init(&r, 0, 77);
	len = fetch(&r, 0, 0x2000, pa, 4096, whole);
	assert_true(len > 1000 && len < 2500);
	assert_int_equal(more(&r, 0, 0x2000, 0, 16, &n), RSI_ERROR_STATE);
	/* Tag 399, a map of two; the signature is deterministic, so it is the same token again. */
	assert_memory_equal(whole, "\xd9\x01\x8f\xa2\x19\xac\xca", 7);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		init(&r, 0, 77);
		assert_int_equal(fetch(&r, 0, 0x2000, pa, sizes[i], again), len);
		assert_memory_equal(whole, again, len);
	}
	/* Only the bytes asked for are written. */
	for (unsigned i = 0; i < 4096; i += 8)
		sim_write(pa, i, ALL_ONES);
	init(&r, 0, 77);
	assert_int_equal(more(&r, 0, 0x2000, 1003, 42, &n), RSI_INCOMPLETE);
	bytes_of(again, pa, 0, 4096);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(again[i], i >= 1003 && i < 1045 ? whole[i - 1003] : 0xff);
	/* INIT drops what was being fetched: from the start again, with the new challenge. */
	init(&r, 0, 78);
	assert_int_equal(fetch(&r, 0, 0x2000, pa, 4096, again), len);
	assert_true(memcmp(whole, again, len) != 0);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
}

/* The buffer is not there: the host sees a fault at its page, gives one, and the call goes on. */
static void token_fault(void **state)
{
	uint8_t whole[4096], again[4096];
	struct realm r;
	uint64_t pa, len;

	(void)state;
	realm_make(&r);
	pa = realm_page(&r, 0x2000);
	assert_int_equal(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0x3000, 0x4000).x1, 0x4000);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	init(&r, 0, 5);
	len = fetch(&r, 0, 0x2000, pa, 4096, whole);
	init(&r, 0, 5);
	assert_false(rec_smc(&r, 0, RSI_ATTEST_TOKEN_CONTINUE, 0x3000, 0, 4096, 0));
	assert_int_equal(run_get(&r, EXIT_REASON), REC_EXIT_SYNC);
	assert_int_equal(run_get(&r, EXIT_HPFAR), HPFAR(0x3000));
	for (unsigned i = 0; i < 31; i++)
		assert_int_equal(run_get(&r, EXIT_GPR(i)), 0);
	pa = dpage();
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, r.rd, pa, 0x3000);
	rec_go(&r, 0);
	assert_int_equal(fetch(&r, 0, 0x3000, pa, 4096, again), len);
	assert_memory_equal(whole, again, len);
	sim_trap(r.rec[0], TRAP_IRQ, 0, 0, 0);
	realm_teardown(&r);
}

/* Two RECs of a realm fetch at once, on two CPUs; each gets its own, with the measurements of its INIT. */
static void token_interleaved(void **state)
{
	uint8_t alone[2][4096], token[2][4096];
	uint64_t pa[2], len[2], n, status[2];
	struct realm r;

	(void)state;
	realm_make(&r);
	pa[0] = realm_page(&r, 0x2000);
	pa[1] = realm_page(&r, 0x3000);
	rec_make(&r, true);
	rec_make(&r, true);
	realm_run(&r);
	for (unsigned c = 0; c < 2; c++) {
		sim_set_cpu(c);
		if (c == 1) {
			r.run = page();
			run_clear(&r);
		}
		rec_go(&r, c);
		init(&r, c, 100 + c);
		len[c] = fetch(&r, c, 0x2000 + 0x1000 * c, pa[c], 4096, alone[c]);
	}
	sim_set_cpu(0);
	init(&r, 0, 100);
	sim_set_cpu(1);
	assert_int_equal(more(&r, 1, 0x3000, 0, 16, &n), RSI_ERROR_STATE);
	init(&r, 1, 101);
	/* A measurement changes after both asked: neither token sees it. */
	assert_true(rec_smc(&r, 1, RSI_MEASUREMENT_EXTEND, 1, 8, 0x55, 0));
	assert_int_equal(rec_word(r.rec[1], "gpr", 0), RSI_SUCCESS);
	for (uint64_t at = 0; at < 4096; at += 100) {
		for (unsigned c = 0; c < 2; c++) {
			if (at >= len[c] + 100)
				continue;
			sim_set_cpu(c);
			status[c] = more(&r, c, 0x2000 + 0x1000 * c, 0, 100, &n);
			if (at >= len[c]) {
				assert_int_equal(status[c], RSI_ERROR_STATE);
				continue;
			}
			assert_int_equal(status[c], at + n == len[c] ? RSI_SUCCESS : RSI_INCOMPLETE);
			bytes_of(token[c] + at, pa[c], 0, n);
		}
	}
	for (unsigned c = 0; c < 2; c++) {
		assert_memory_equal(alone[c], token[c], len[c]);
		sim_set_cpu(c);
		init(&r, c, 100 + c);
		assert_int_equal(fetch(&r, c, 0x2000 + 0x1000 * c, pa[c], 4096, token[c]), len[c]);
		assert_true(memcmp(alone[c], token[c], len[c]) != 0);
		sim_trap(r.rec[c], TRAP_IRQ, 0, 0, 0);
	}
	sim_set_cpu(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(simple),		    TEST(config),    TEST(config_in_block),	TEST(ipa_state_get),
		TEST(ipa_state_set_errors), TEST(host_call), TEST(host_call_page_lost), TEST(host_call_page_empty),
		TEST(token_input),	    TEST(token_pieces), TEST(token_fault),	TEST(token_interleaved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
