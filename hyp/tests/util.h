/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the core share: pages, realms, RECs, and calls with the result that is expected. */
#ifndef KCORE_TESTS_UTIL_H
#define KCORE_TESTS_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core.h"
#include "sim.h"

#define HALF (1UL << 32) /* first unprotected address of the realms made here */
#define LEVEL_ERROR(l) (RMI_ERROR_RTT | (uint64_t)(l) << 8)
#define REALM_ERROR(i) (RMI_ERROR_REALM | (uint64_t)(i) << 8)
#define ALL_ONES (~0UL)

struct realm {
	uint64_t rd;
	uint64_t base;
	uint64_t rec[16];
	unsigned recs;
	uint64_t run; /* run page, the host's */
};

/* A host call; missing arguments are 0. */
#define CALL(...) CALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(fid, a, b, c, d, e, ...) sim_smc(fid, a, b, c, d, e)
#define EXPECT(status, ...) assert_int_equal((status), CALL(__VA_ARGS__).x0)

/* A fresh machine, as cmocka's setup; every invariant, as its teardown. */
int machine(void **state);
int machine_end(void **state);

uint64_t page(void);   /* an unused granule of the host */
uint64_t dpage(void);  /* the same, delegated */
uint64_t block(void);  /* 2 MiB of unused granules, the host's */

/* Parameters of a realm that can be made: 33 bits, start level 1, one table, SHA-256, VMID 1. */
void realm_params(uint64_t params, uint64_t base);
void realm_make(struct realm *r);
uint64_t rec_make(struct realm *r, bool runnable);
void realm_run(struct realm *r);       /* activate */
/* Tables down to level 3 for ipa. */
void realm_tables(struct realm *r, uint64_t ipa);
/* A page of the realm at ipa, RIPAS RAM. The realm is new. */
uint64_t realm_page(struct realm *r, uint64_t ipa);
/* A realm with one runnable REC and a page at address 0, active. */
void realm_simple(struct realm *r);

/* Everything of a realm back to the host, as a host would; then nothing is delegated but what was before. */
void realm_teardown(struct realm *r);

uint64_t rd_word(uint64_t rd, const char *field, unsigned i);
uint64_t rec_word(uint64_t rec, const char *field, unsigned i);
void rec_poke(uint64_t rec, const char *field, unsigned i, uint64_t value);

/* The run page: entry and exit fields by offset. */
void run_clear(struct realm *r);
void run_put(struct realm *r, uint64_t offset, uint64_t value);
uint64_t run_get(struct realm *r, uint64_t offset);

/* Enter a REC and see it run; let it trap. */
void rec_go(struct realm *r, unsigned n);
bool rec_smc(struct realm *r, unsigned n, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4);

#define ESR(ec, iss) ((uint64_t)(ec) << 26 | 1UL << 25 | (iss))
#define HPFAR(ipa) ((ipa) >> 12 << 4)

#define RUN_FLAGS 0x000
#define RUN_GPR(i) (0x200 + 8 * (i))
#define RUN_HCR 0x300
#define RUN_LR(i) (0x308 + 8 * (i))
#define EXIT_REASON 0x800
#define EXIT_ESR 0x900
#define EXIT_FAR 0x908
#define EXIT_HPFAR 0x910
#define EXIT_GPR(i) (0xa00 + 8 * (i))
#define EXIT_HCR 0xb00
#define EXIT_LR(i) (0xb08 + 8 * (i))
#define EXIT_MISR 0xb88
#define EXIT_VMCR 0xb90
#define EXIT_CNTP_CTL 0xc00
#define EXIT_CNTP_CVAL 0xc08
#define EXIT_CNTV_CTL 0xc10
#define EXIT_CNTV_CVAL 0xc18
#define EXIT_RIPAS_BASE 0xd00
#define EXIT_RIPAS_TOP 0xd08
#define EXIT_RIPAS_VALUE 0xd10
#define EXIT_IMM 0xe00

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine, machine_end)

#endif
