/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds a realm with every kind of measured step and prints its measurements, for measure.py to compute
 * them by itself. usage: measure_print HASH (0: SHA-256, 1: SHA-512)
 */
#include <stdio.h>
#include <stdlib.h>

#include "tenant.h"
#include "util.h"

static void print(const char *name, uint64_t rd, unsigned slot)
{
	printf("%s ", name);
	for (unsigned i = 0; i < 64; i++)
		printf("%02x", (unsigned)(rd_word(rd, "meas", slot * 8 + i / 8) >> (i % 8 * 8) & 0xff));
	printf("\n");
}

static void fill(uint64_t pa, uint64_t seed)
{
	for (uint64_t i = 0; i < 512; i++)
		sim_write(pa, 8 * i, seed * 0x0101010101010101UL + i);
}

static void must(uint64_t status)
{
	if (status != RMI_SUCCESS) {
		fprintf(stderr, "status %lx\n", status);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	uint64_t hash = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	struct realm r = { 0 };
	uint64_t params, src;

	machine(NULL);
	params = page();
	src = page();
	r.run = page();
	run_clear(&r);
	r.rd = dpage();
	r.base = dpage();
	realm_params(params, r.base);
	sim_write(params, REALM_PARAMS_HASH_ALGO, hash);
	sim_write(params, REALM_PARAMS_SVE_VL, 3);
	sim_write(params, REALM_PARAMS_PMU_NUM_CTRS, 6);
	must(CALL(RMI_REALM_CREATE, r.rd, params).x0);
	print("create", r.rd, 0);
	tenant_block(src, 0x0123456789abcdef);
	sim_write(src, LAUNCH_FLAGS, LAUNCH_FLAG_SNAPSHOT);
	sim_write(src, LAUNCH_MAX_PRIVATE, 0x1234);
	sim_write(src, LAUNCH_MAX_SHARED, 0x56);
	sim_write(src, LAUNCH_MIN_VERSION, 0x10000);
	tenant_sign(src, 1);
	must(CALL(KCORE_LAUNCH_POLICY, r.rd, src).x0);
	print("policy", r.rd, 0);
	must(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0, 2UL << 30).x0);
	print("ripas", r.rd, 0);
	realm_tables(&r, 0);
	must(CALL(RMI_RTT_INIT_RIPAS, r.rd, 0, 0x2000).x0);
	print("ripas_again", r.rd, 0);
	fill(src, 7);
	must(CALL(RMI_DATA_CREATE, r.rd, dpage(), 0x1000, src, 1).x0);
	print("data", r.rd, 0);
	must(CALL(RMI_DATA_CREATE, r.rd, dpage(), 0x3000, src, 0).x0);
	print("data_unmeasured", r.rd, 0);
	must(CALL(RMI_DATA_CREATE_UNKNOWN, r.rd, dpage(), 0x4000).x0);
	print("data_unknown", r.rd, 0);
	rec_make(&r, true);
	print("rec", r.rd, 0);
	rec_make(&r, false);
	print("rec_off", r.rd, 0);
	realm_run(&r);
	print("rim", r.rd, 0);
	rec_go(&r, 0);
	for (unsigned i = 0; i < 8; i++)
		rec_poke(r.rec[0], "gpr", 3 + i, 0x0807060504030201UL * (i + 1));
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned slot = 1; slot < 5; slot++) {
			static const uint64_t sizes[] = { 0, 64, 0, 5, 32 };

			for (unsigned i = 0; i < 8; i++)
				rec_poke(r.rec[0], "gpr", 3 + i, 0x0807060504030201UL * (i + 1));
			rec_poke(r.rec[0], "gpr", 0, RSI_MEASUREMENT_EXTEND);
			rec_poke(r.rec[0], "gpr", 1, slot);
			rec_poke(r.rec[0], "gpr", 2, sizes[slot]);
			if (!sim_trap(r.rec[0], TRAP_SYNC, ESR(0x17, 0), 0, 0))
				return 1;
			must(rec_word(r.rec[0], "gpr", 0));
		}
	}
	print("rem1", r.rd, 1);
	print("rem2", r.rd, 2);
	print("rem3", r.rd, 3);
	print("rem4", r.rd, 4);
	/* what the realm itself reads */
	if (!rec_smc(&r, 0, RSI_MEASUREMENT_READ, 4, 0, 0, 0))
		return 1;
	printf("read4 ");
	for (unsigned i = 0; i < 64; i++)
		printf("%02x", (unsigned)(rec_word(r.rec[0], "gpr", 1 + i / 8) >> (i % 8 * 8) & 0xff));
	printf("\n");
	/* refused extends and reads change nothing */
	rec_smc(&r, 0, RSI_MEASUREMENT_EXTEND, 0, 8, 0, 0);
	printf("%s", rec_word(r.rec[0], "gpr", 0) == RSI_ERROR_INPUT ? "" : "bad\n");
	rec_smc(&r, 0, RSI_MEASUREMENT_EXTEND, 5, 8, 0, 0);
	printf("%s", rec_word(r.rec[0], "gpr", 0) == RSI_ERROR_INPUT ? "" : "bad\n");
	rec_smc(&r, 0, RSI_MEASUREMENT_EXTEND, 1, 65, 0, 0);
	printf("%s", rec_word(r.rec[0], "gpr", 0) == RSI_ERROR_INPUT ? "" : "bad\n");
	rec_smc(&r, 0, RSI_MEASUREMENT_READ, 5, 0, 0, 0);
	printf("%s", rec_word(r.rec[0], "gpr", 0) == RSI_ERROR_INPUT ? "" : "bad\n");
	print("rim_end", r.rd, 0);
	print("rem1_end", r.rd, 1);
	return 0;
}
