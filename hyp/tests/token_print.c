/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints the identity document and the token of a realm of the simulated machine, for verify_token.py to verify them.
 * usage: token_print HASH TAG [policy] <HAND-OVER (without one if it is empty)
 * HASH: 0 SHA-256, 1 SHA-512; TAG: 399 or 907; policy: the realm has a launch policy
 */
#include <stdio.h>
#include <stdlib.h>

#include "../attest/identity.h"
#include "../attest/token.h"
#include "tenant.h"
#include "util.h"

static void print(const char *name, uint64_t pa, uint64_t offset, uint64_t n)
{
	printf("%s ", name);
	for (uint64_t i = offset; i < offset + n; i++)
		printf("%02x", (unsigned)(sim_read(pa, i & ~7UL) >> (i % 8 * 8) & 0xff));
	printf("\n");
}

static void print_document(void)
{
	uint64_t ns = page(), offset = 0;
	struct smc_result s;

	/* In two pieces at least. */
	do {
		s = CALL(KCORE_IDENTITY_READ, ns, offset);
		if (s.x0 != RMI_SUCCESS || s.x1 > 4096)
			exit(1);
		print("document", ns, 0, offset == 0 ? 100 : s.x1);
		offset += offset == 0 ? 100 : s.x1;
	} while (offset < s.x2);
	s = CALL(KCORE_IDENTITY_READ, ns, offset);
	if (s.x0 != RMI_SUCCESS || s.x1 != 0 || s.x2 != offset)
		exit(1);
}

int main(int argc, char **argv)
{
	static const uint8_t seed[64] = "entropy of a machine without a hand-over, sixty-four bytes long";
	static uint8_t handover[16384];
	size_t size = fread(handover, 1, sizeof(handover), stdin);
	uint64_t params, src, pa, status;
	struct realm r = { 0 };

	if (argc < 3)
		return 2;
	machine(NULL);
	if (!identity_make(size == 0 ? NULL : handover, (uint32_t)size, seed, 0x0102))
		printf("malformed\n");
	token_make_head(strcmp(argv[2], "907") == 0);
	print_document();

	params = page();
	r.rd = dpage();
	r.base = dpage();
	r.run = page();
	run_clear(&r);
	realm_params(params, r.base);
	sim_write(params, REALM_PARAMS_HASH_ALGO, strtoul(argv[1], NULL, 10));
	EXPECT(RMI_SUCCESS, RMI_REALM_CREATE, r.rd, params);
	if (argc > 3) {
		uint64_t block = page();

		tenant_block(block, 7);
		tenant_sign(block, 1);
		EXPECT(RMI_SUCCESS, KCORE_LAUNCH_POLICY, r.rd, block);
		print("policy", block, 0, 0x90);
		print("signer", block, LAUNCH_SIGNER, 32);
	}
	realm_tables(&r, 0x4000);
	src = page();
	pa = dpage();
	EXPECT(RMI_SUCCESS, RMI_DATA_CREATE, r.rd, pa, 0x4000, src, RMI_DATA_MEASURED);
	rec_make(&r, true);
	realm_run(&r);
	rec_go(&r, 0);
	/* Something in each REM. */
	for (uint64_t i = 1; i <= 4; i++)
		rec_smc(&r, 0, RSI_MEASUREMENT_EXTEND, i, 8, 0x1111 * i, 0);
	for (unsigned i = 0; i < 5; i++) {
		printf("%s ", i == 0 ? "rim" : "rem");
		for (unsigned j = 0; j < 64; j++)
			printf("%02x", (unsigned)(rd_word(r.rd, "meas", i * 8 + j / 8) >> (j % 8 * 8) & 0xff));
		printf("\n");
	}
	for (unsigned i = 1; i <= 8; i++)
		rec_poke(r.rec[0], "gpr", i, 0x0101010101010101UL * i);
	rec_poke(r.rec[0], "gpr", 0, RSI_ATTEST_TOKEN_INIT);
	sim_trap(r.rec[0], TRAP_SYNC, ESR(0x17, 0), 0, 0);
	do {
		rec_smc(&r, 0, RSI_ATTEST_TOKEN_CONTINUE, 0x4000, 512, 777, 0);
		status = rec_word(r.rec[0], "gpr", 0);
		print("token", pa, 512, rec_word(r.rec[0], "gpr", 1));
	} while (status == RSI_INCOMPLETE);
	return status == RSI_SUCCESS ? 0 : 1;
}
