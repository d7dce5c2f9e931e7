/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KCore without Linux: the smallest host that makes a realm, runs it, attacks it and takes everything back.
 * Prints one line per check and a last line that test_smoke.py looks for.
 */
#include <stdbool.h>
#include <stdint.h>

#include "kcore.h"
#include "psci.h"
#include "rmi.h"
#include "smccc.h"

#pragma GCC visibility push(hidden) /* no GOT: nobody relocates this image */

#define UART 0x09000000UL
#define GICD 0x08000000UL
#define GICR 0x080A0000UL
#define PAGE 4096UL
#define POOL 0x60000000UL /* granules for the realm */
#define REALM_IPA 0x40000000UL
#define SHARED (1UL << 32)

volatile uint64_t last_esr;
static volatile uint64_t second_esr, second_up;
static void (*volatile second_work)(void);
static int checks, failures;
static uint8_t params[PAGE] __attribute__((aligned(4096)));
static uint8_t run[PAGE] __attribute__((aligned(4096)));
static uint8_t shared_page[PAGE] __attribute__((aligned(4096)));
extern uint8_t realm_code[], smp_code[];
extern void second_start(void);
void smc_call(uint64_t *x);
void host_main(void);
void second_main(void);

static void put(char c)
{
	while ((*(volatile uint32_t *)(UART + 0x18) & 0x20) != 0)
		;
	*(volatile uint32_t *)UART = (uint8_t)c;
}

static void print(const char *s)
{
	for (; *s != 0; s++) {
		if (*s == '\n')
			put('\r');
		put(*s);
	}
}

static void hex(uint64_t v)
{
	print("0x");
	for (int i = 60; i >= 0; i -= 4) {
		if (i == 0 || v >> i != 0)
			put("0123456789abcdef"[(v >> i) & 15]);
	}
}

/* Is it what it must be? */
static void expect(const char *what, uint64_t got, uint64_t want)
{
	checks++;
	print(got == want ? "ok   " : "FAIL ");
	print(what);
	if (got != want) {
		failures++;
		print(": got ");
		hex(got);
		print(", want ");
		hex(want);
	}
	print("\n");
}

static uint64_t x[6];

static uint64_t smc(uint64_t fid, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	x[0] = fid;
	x[1] = a;
	x[2] = b;
	x[3] = c;
	x[4] = d;
	x[5] = e;
	smc_call(x);
	return x[0];
}

/* For the second CPU: its own registers, and only the status. */
static uint64_t smc2(uint64_t fid, uint64_t a, uint64_t b)
{
	uint64_t y[6] = { fid, a, b, 0, 0, 0 };

	smc_call(y);
	return y[0];
}

static uint64_t rd64(const void *p, uint64_t off)
{
	return *(volatile const uint64_t *)((const uint8_t *)p + off);
}

static void wr64(void *p, uint64_t off, uint64_t v)
{
	*(volatile uint64_t *)((uint8_t *)p + off) = v;
}

static void clear(uint8_t *p)
{
	for (uint64_t i = 0; i < PAGE; i += 8)
		wr64(p, i, 0);
}

/* Syndrome of a read (write) of this address; 0 if it went through. */
static uint64_t probe(uint64_t a, bool write)
{
	last_esr = 0;
	if (write)
		*(volatile uint64_t *)a = 0x6666;
	else
		(void)*(volatile uint64_t *)a;
	__asm__ volatile("dsb sy; isb");
	return last_esr;
}

static uint64_t enter(uint64_t rec)
{
	return smc(RMI_REC_ENTER, rec, (uint64_t)run, 0, 0, 0);
}

enum { EXIT = 0x800, ESR = 0x900, FAR = 0x908, HPFAR = 0x910, GPR = 0xa00 };

/* The next value that the realm reports by a store to the device. */
static void report(uint64_t rec, const char *what, uint64_t want)
{
	expect("  enter", enter(rec), RMI_SUCCESS);
	if (rd64(run, EXIT) != REC_EXIT_SYNC || rd64(run, ESR) >> 26 != 0x24 || (rd64(run, ESR) & 0x40) == 0) {
		print("exit ");
		hex(rd64(run, EXIT));
		print(" esr ");
		hex(rd64(run, ESR));
		print(" hpfar ");
		hex(rd64(run, HPFAR));
		print("\n");
		expect(what, ~0UL, want);
		return;
	}
	expect(what, rd64(run, GPR), want);
	wr64(run, 0, REC_ENTRY_EMUL_MMIO); /* the store is done */
}

static void gic_cpu_init(uint64_t cpu)
{
	uint64_t gicr = GICR + cpu * 0x20000;

	*(volatile uint32_t *)(gicr + 0x14) = 0;   /* awake */
	while ((*(volatile uint32_t *)(gicr + 0x14) & 4) != 0)
		;
	*(volatile uint32_t *)(gicr + 0x10080) = 0xffffffff;
	__asm__ volatile("msr S3_0_C12_C12_5, %0; isb; msr S3_0_C4_C6_0, %1; msr S3_0_C12_C12_7, %2; isb"
			 :
			 : "r"(7UL), "r"(0xffUL), "r"(1UL));
}

static void gic_init(void)
{
	*(volatile uint32_t *)(GICD) = 0x10;       /* affinity routing */
	*(volatile uint32_t *)(GICD) = 0x12;       /* group 1 */
	gic_cpu_init(0);
}

void second_main(void)
{
	uint64_t esr;

	last_esr = 0;
	(void)*(volatile uint64_t *)POOL;
	__asm__ volatile("dsb sy; isb");
	esr = last_esr;
	second_esr = esr;
	second_up = 1;
	gic_cpu_init(1);
	for (;;) {
		void (*work)(void) = second_work;

		if (work != 0) {
			work();
			second_work = 0;
		}
		__asm__ volatile("yield");
	}
}

static void calls(void)
{
	uint64_t r;

	expect("SMCCC version", smc(SMCCC_VERSION, 0, 0, 0, 0, 0), 0x10001);
	expect("PSCI version", smc(PSCI_VERSION, 0, 0, 0, 0, 0), PSCI_VERSION_1_1);
	expect("vendor UID", smc(KCORE_VENDOR_UID, 0, 0, 0, 0, 0), KCORE_UID_0);
	expect("KCORE_VERSION", smc(KCORE_VERSION, 0, 0, 0, 0, 0), RMI_SUCCESS);
	expect("  version", x[1], KCORE_ABI_VERSION);
	expect("  features", x[2], KCORE_VERSION_DMA);
	expect("unknown SMC", smc(0xC6001234, 0, 0, 0, 0, 0), ~0UL);
	expect("RMI hole", smc(0xC4000156, 0, 0, 0, 0, 0), ~0UL);
	__asm__ volatile("mov x0, #0x84000000; hvc #0; mov %0, x0" : "=r"(r) : : "x0", "x1", "x2", "x3");
	expect("HVC", r, ~0UL);
	expect("RMI_VERSION", smc(RMI_VERSION, RMI_ABI_VERSION, 0, 0, 0, 0), RMI_SUCCESS);
	expect("delegate KCore's own page", smc(RMI_GRANULE_DELEGATE, 0x40200000, 0, 0, 0, 0), RMI_ERROR_INPUT);
	expect("delegate a device", smc(RMI_GRANULE_DELEGATE, UART, 0, 0, 0, 0), RMI_ERROR_INPUT);
	expect("delegate unaligned", smc(RMI_GRANULE_DELEGATE, POOL + 8, 0, 0, 0, 0), RMI_ERROR_INPUT);
	expect("read KCore's text", probe(0x40200000, false) & 0xfc00003f, 0x94000010);
	expect("write KCore's tables", probe(0x40400000, true) & 0xfc00003f, 0x94000010);
	expect("read the SMMU", probe(0x09050000, false) & 0xfc00003f, 0x94000010);
	expect("write fw_cfg", probe(0x09020010, true) & 0xfc00003f, 0x94000010);
	expect("read a virtio-mmio transport", probe(0x0a000000, false) & 0xfc00003f, 0x94000010);
	expect("read nowhere", probe(0x3000000000, false) & 0xfc00003f, 0x94000010);
}

/* Granules of the realm, from POOL on. */
enum { RD, RTT1, REC, RTT2, RTT3, CODE, DATA, MORE, RTT2U, RTT3U, GRANULES };

static uint64_t granule(int i)
{
	return POOL + (uint64_t)i * PAGE;
}

static void build(void)
{
	for (int i = 0; i < GRANULES; i++) {
		wr64((void *)granule(i), 8, 0xdead);
		expect("delegate", smc(RMI_GRANULE_DELEGATE, granule(i), 0, 0, 0, 0), RMI_SUCCESS);
	}
	expect("delegate twice", smc(RMI_GRANULE_DELEGATE, granule(RD), 0, 0, 0, 0), RMI_ERROR_INPUT);
	expect("read a delegated page", probe(granule(RD), false) & 0xfc00003f, 0x94000010);
	expect("write a delegated page", probe(granule(RD), true) & 0xfc00003f, 0x94000010);
	expect("its neighbour is still ours", probe(granule(GRANULES), false), 0);

	wr64(params, REALM_PARAMS_S2SZ, 33);
	wr64(params, REALM_PARAMS_NUM_BPS, 1);
	wr64(params, REALM_PARAMS_NUM_WPS, 1);
	wr64(params, REALM_PARAMS_VMID, 1);
	wr64(params, REALM_PARAMS_RTT_BASE, granule(RTT1));
	wr64(params, REALM_PARAMS_RTT_LEVEL_START, 1);
	wr64(params, REALM_PARAMS_RTT_NUM_START, 1);
	expect("REALM_CREATE", smc(RMI_REALM_CREATE, granule(RD), (uint64_t)params, 0, 0, 0), RMI_SUCCESS);
	expect("RTT_CREATE 2", smc(RMI_RTT_CREATE, granule(RD), granule(RTT2), REALM_IPA, 2, 0), RMI_SUCCESS);
	expect("RTT_CREATE 3", smc(RMI_RTT_CREATE, granule(RD), granule(RTT3), REALM_IPA, 3, 0), RMI_SUCCESS);
	expect("RTT_CREATE 2, shared", smc(RMI_RTT_CREATE, granule(RD), granule(RTT2U), SHARED | REALM_IPA, 2, 0),
	       RMI_SUCCESS);
	expect("RTT_CREATE 3, shared", smc(RMI_RTT_CREATE, granule(RD), granule(RTT3U), SHARED | REALM_IPA, 3, 0),
	       RMI_SUCCESS);
	expect("INIT_RIPAS", smc(RMI_RTT_INIT_RIPAS, granule(RD), REALM_IPA, REALM_IPA + 3 * PAGE, 0, 0), RMI_SUCCESS);
	expect("DATA_CREATE", smc(RMI_DATA_CREATE, granule(RD), granule(CODE), REALM_IPA, (uint64_t)realm_code, 1),
	       RMI_SUCCESS);
	expect("DATA_CREATE_UNKNOWN",
	       smc(RMI_DATA_CREATE_UNKNOWN, granule(RD), granule(DATA), REALM_IPA + PAGE, 0, 0), RMI_SUCCESS);
	expect("use a page twice",
	       smc(RMI_DATA_CREATE_UNKNOWN, granule(RD), granule(DATA), REALM_IPA + 2 * PAGE, 0, 0), RMI_ERROR_INPUT);
	expect("undelegate a live page", smc(RMI_GRANULE_UNDELEGATE, granule(DATA), 0, 0, 0, 0), RMI_ERROR_INPUT);
	clear(params);
	wr64(params, REC_PARAMS_FLAGS, REC_PARAMS_FLAG_RUNNABLE);
	wr64(params, REC_PARAMS_PC, REALM_IPA);
	expect("REC_CREATE", smc(RMI_REC_CREATE, granule(RD), granule(REC), (uint64_t)params, 0, 0), RMI_SUCCESS);
	expect("enter too early", enter(granule(REC)), RMI_ERROR_REALM);
	expect("ACTIVATE", smc(RMI_REALM_ACTIVATE, granule(RD), 0, 0, 0, 0), RMI_SUCCESS);
}

static void run_realm(void)
{
	uint64_t rec = granule(REC), loops = 0, fp = 0x5555aaaa5555aaaa, after;

	report(rec, "RSI_VERSION", 0);
	report(rec, "  version", 0x10000);
	report(rec, "RSI_REALM_CONFIG", 0);
	report(rec, "  width", 33);
	__asm__ volatile("fmov d9, %0" : : "r"(fp));
	expect("  enter", enter(rec), RMI_SUCCESS);
	expect("host call: exit", rd64(run, EXIT), REC_EXIT_HOST_CALL);
	expect("host call: imm", rd64(run, 0xe00), 0x42);
	expect("host call: gprs[0]", rd64(run, GPR), 0x1122334455667788);
	expect("host call: gprs[1]", rd64(run, GPR + 8), 0);
	__asm__ volatile("fmov %0, d9" : "=r"(after));
	expect("our own FP register", after, fp);
	wr64(run, 0, 0);
	wr64(run, 0x200, 0x9999);
	report(rec, "host call: x0", 0);
	report(rec, "host call: answer", 0x9999);
	report(rec, "realm's FP register", 0x1122334455667788);
	report(rec, "realm's TPIDR_EL1", 0x123456789);
	expect("  enter", enter(rec), RMI_SUCCESS);
	expect("device read: exit", rd64(run, EXIT), REC_EXIT_SYNC);
	expect("device read: address", rd64(run, HPFAR) << 8, SHARED | UART);
	expect("device read: offset", rd64(run, FAR), 0x18);
	wr64(run, 0x200, 0x85);
	report(rec, "device read, sign extended", 0xffffffffffffff85);
	report(rec, "MPIDR_EL1", 0x80000000);
	report(rec, "HVC is undefined", 0x02000000);
	report(rec, "read of EMPTY aborts", 0x97c28210); /* EC 0x25, EA, FSC 0x10, and the realm's own access */
	wr64(run, 0x308, 1UL << 62 | 1UL << 60 | 40); /* pending, group 1, vINTID 40 */
	report(rec, "virtual interrupt", 40);
	wr64(run, 0x308, 0);
	wr64(run, 0x300, 0);

	/* Until the timer fires: interrupt exits, then it is injected. */
	for (; loops < 1000; loops++) {
		uint64_t ctl;

		enter(rec);
		ctl = rd64(run, 0xc10);
		if (rd64(run, EXIT) != REC_EXIT_IRQ)
			break;
		wr64(run, 0, 0);
		if ((ctl & 7) == 5 && rd64(run, 0x308) == 0)
			wr64(run, 0x308, 1UL << 62 | 1UL << 60 | 27);
	}
	expect("timer: exits by interrupt first", loops > 0 && loops < 1000, 1);
	expect("timer: interrupt", rd64(run, GPR), 27);
	wr64(run, 0, REC_ENTRY_EMUL_MMIO);
	wr64(run, 0x308, 0);

	do
		expect("  enter", enter(rec), RMI_SUCCESS);
	while (rd64(run, EXIT) == REC_EXIT_IRQ && (wr64(run, 0, 0), true));
	expect("fault: address", rd64(run, HPFAR) << 8, REALM_IPA + 2 * PAGE);
	expect("fault: no syndrome of the access", rd64(run, ESR) & (1 << 24 | 0x1f << 16 | 1 << 6), 0);
	expect("fault: no offset", rd64(run, FAR), 0);
	wr64(run, 0, REC_ENTRY_EMUL_MMIO);
	expect("fault: can not be emulated", enter(rec), RMI_ERROR_REC);
	wr64(run, 0, 0);
	expect("give a page", smc(RMI_DATA_CREATE_UNKNOWN, granule(RD), granule(MORE), REALM_IPA + 2 * PAGE, 0, 0),
	       RMI_SUCCESS);
	report(rec, "page given on demand", 7);

	expect("  enter", enter(rec), RMI_SUCCESS);
	expect("share: exit", rd64(run, EXIT), REC_EXIT_RIPAS_CHANGE);
	expect("share: base", rd64(run, 0xd00), REALM_IPA + 2 * PAGE);
	expect("share: RTT_SET_RIPAS",
	       smc(RMI_RTT_SET_RIPAS, granule(RD), rec, REALM_IPA + 2 * PAGE, REALM_IPA + 3 * PAGE, 0), RMI_SUCCESS);
	expect("share: take the page back", smc(RMI_DATA_DESTROY, granule(RD), REALM_IPA + 2 * PAGE, 0, 0, 0),
	       RMI_SUCCESS);
	expect("share: undelegate it", smc(RMI_GRANULE_UNDELEGATE, granule(MORE), 0, 0, 0, 0), RMI_SUCCESS);
	expect("share: it was scrubbed", rd64((void *)granule(MORE), 0), 0);
	wr64(shared_page, 0, 0x600d);
	expect("share: map our page",
	       smc(RMI_RTT_MAP_UNPROTECTED, granule(RD), SHARED | (REALM_IPA + 2 * PAGE), 3,
		   (uint64_t)shared_page | 0x18 | 0xc0, 0),
	       RMI_SUCCESS);
	expect("share: it can not be delegated now",
	       smc(RMI_GRANULE_DELEGATE, (uint64_t)shared_page, 0, 0, 0, 0), RMI_ERROR_INPUT);
	wr64(run, 0, 0);
	report(rec, "share: status", 0);
	report(rec, "share: done up to", REALM_IPA + 3 * PAGE);
	report(rec, "share: realm reads our page", 0x600d);

	expect("  enter", enter(rec), RMI_SUCCESS);
	expect("off: exit", rd64(run, EXIT), REC_EXIT_PSCI);
	expect("off: function", rd64(run, GPR), PSCI_SYSTEM_OFF);
	expect("share: realm wrote our page", rd64(shared_page, 0), 0x77);
	wr64(run, 0, 0);
	expect("off: no way back", enter(rec), RMI_ERROR_REALM | 1 << 8);
}

static void second_cpu(void)
{
	expect("CPU_ON", smc(PSCI_CPU_ON_64, 1, (uint64_t)second_start, 0, 0, 0), 0);
	for (uint64_t i = 0; i < 1000000000 && second_up == 0; i++)
		__asm__ volatile("yield");
	expect("a late CPU is kept out too", second_esr & 0xfc00003f, 0x94000010);
	expect("CPU_ON again", smc(PSCI_CPU_ON_64, 1, (uint64_t)second_start, 0, 0, 0), PSCI_ALREADY_ON);
	expect("CPU_ON of nobody", smc(PSCI_CPU_ON_64, 0x70, (uint64_t)second_start, 0, 0, 0), PSCI_INVALID_PARAMETERS);
}

static void take_back(void)
{
	expect("REALM_DESTROY too early", smc(RMI_REALM_DESTROY, granule(RD), 0, 0, 0, 0), RMI_ERROR_REALM);
	expect("unmap our page", smc(RMI_RTT_UNMAP_UNPROTECTED, granule(RD), SHARED | (REALM_IPA + 2 * PAGE), 3, 0, 0),
	       RMI_SUCCESS);
	expect("DATA_DESTROY", smc(RMI_DATA_DESTROY, granule(RD), REALM_IPA, 0, 0, 0), RMI_SUCCESS);
	expect("  its page", x[1], granule(CODE));
	expect("DATA_DESTROY", smc(RMI_DATA_DESTROY, granule(RD), REALM_IPA + PAGE, 0, 0, 0), RMI_SUCCESS);
	expect("RTT_DESTROY 3", smc(RMI_RTT_DESTROY, granule(RD), REALM_IPA, 3, 0, 0), RMI_SUCCESS);
	expect("RTT_DESTROY 2", smc(RMI_RTT_DESTROY, granule(RD), REALM_IPA, 2, 0, 0), RMI_SUCCESS);
	expect("RTT_DESTROY 3, shared", smc(RMI_RTT_DESTROY, granule(RD), SHARED | REALM_IPA, 3, 0, 0), RMI_SUCCESS);
	expect("RTT_DESTROY 2, shared", smc(RMI_RTT_DESTROY, granule(RD), SHARED | REALM_IPA, 2, 0, 0), RMI_SUCCESS);
	expect("REC_DESTROY", smc(RMI_REC_DESTROY, granule(REC), 0, 0, 0, 0), RMI_SUCCESS);
	expect("REALM_DESTROY", smc(RMI_REALM_DESTROY, granule(RD), 0, 0, 0, 0), RMI_SUCCESS);
	for (int i = 0; i < GRANULES; i++) {
		uint64_t sum = 0;

		if (i == MORE)
			continue;
		expect("undelegate", smc(RMI_GRANULE_UNDELEGATE, granule(i), 0, 0, 0, 0), RMI_SUCCESS);
		for (uint64_t o = 0; o < PAGE; o += 8)
			sum |= rd64((void *)granule(i), o);
		expect("  all zero", sum, 0);
	}
	smc(KCORE_FEATURES, KCORE_FEATURE_DELEGATED, 0, 0, 0, 0);
	expect("nothing is delegated any more", x[1], 0);
	smc(KCORE_FEATURES, KCORE_FEATURE_REALMS, 0, 0, 0, 0);
	expect("no realm is left", x[1], 0);
	expect("LOG_READ", smc(KCORE_LOG_READ, (uint64_t)params, 0, 0, 0, 0), RMI_SUCCESS);
	expect("  has lines", x[1] > 100 && params[0] == '[', 1);
}

/* ---- two CPUs at once ---- */

enum { ROUNDS = 3000 };
#define RACE (POOL + 0x400000UL) /* 2 MiB of its own */

static volatile uint64_t second_done, second_got, second_gave;
static uint8_t run2[PAGE] __attribute__((aligned(4096)));

static void second_flips(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		second_got += smc2(RMI_GRANULE_DELEGATE, RACE, 0) == RMI_SUCCESS;
		second_gave += smc2(RMI_GRANULE_UNDELEGATE, RACE, 0) == RMI_SUCCESS;
	}
	second_done = 1;
}

/* While one CPU makes the 2 MiB block a table and a block again, the other uses the rest of it. */
static void split_under_use(void)
{
	uint64_t bad = 0, n = 0;

	last_esr = 0;
	second_done = 0;
	second_work = second_flips;
	while (second_done == 0) {
		volatile uint64_t *a = (volatile uint64_t *)(RACE + PAGE + n % 511 * PAGE);

		*a = n;
		bad += *a != n;
		n++;
	}
	expect("split under use: no abort", last_esr, 0);
	expect("split under use: nothing lost", bad, 0);
	expect("split under use: all went through", second_got + second_gave, 2 * ROUNDS);
	expect("split under use: it did overlap", n > 100, 1);
}

static uint64_t race_pa(uint64_t i)
{
	return RACE + i * 7 % 16 * PAGE;
}

static void second_race(void)
{
	second_got = 0;
	second_gave = 0;
	for (uint64_t i = 0; i < ROUNDS; i++) {
		second_got += smc2(RMI_GRANULE_DELEGATE, race_pa(i), 0) == RMI_SUCCESS;
		second_gave += smc2(RMI_GRANULE_UNDELEGATE, race_pa(i * 3), 0) == RMI_SUCCESS;
	}
	second_done = 1;
}

/* Both CPUs give and take the same sixteen granules: each change happens once. */
static void race(void)
{
	uint64_t got = 0, gave = 0, left = 0;

	second_done = 0;
	second_work = second_race;
	for (uint64_t i = 0; i < ROUNDS || second_done == 0; i++) {
		got += smc(RMI_GRANULE_DELEGATE, race_pa(i), 0, 0, 0, 0) == RMI_SUCCESS;
		gave += smc(RMI_GRANULE_UNDELEGATE, race_pa(i * 3), 0, 0, 0, 0) == RMI_SUCCESS;
	}
	got += second_got;
	gave += second_gave;
	smc(KCORE_FEATURES, KCORE_FEATURE_DELEGATED, 0, 0, 0, 0);
	expect("race: granules delegated", x[1], got - gave);
	for (uint64_t i = 0; i < 16; i++)
		left += smc(RMI_GRANULE_UNDELEGATE, RACE + i * PAGE, 0, 0, 0, 0) == RMI_SUCCESS;
	expect("race: all come back", left, got - gave);
	last_esr = 0;
	for (uint64_t i = 0; i < 16; i++)
		*(volatile uint64_t *)(RACE + i * PAGE) = i;
	expect("race: and are ours", last_esr, 0);
}

enum { REC2 = GRANULES, CODE2, LAST };

static void second_runs(void)
{
	uint64_t status;

	do {
		wr64(run2, 0, 0);
		status = smc2(RMI_REC_ENTER, granule(REC2), (uint64_t)run2);
	} while (status == RMI_SUCCESS && rd64(run2, EXIT) == REC_EXIT_IRQ);
	second_got = status;
	second_done = 1;
}

static void two_vcpus(void)
{
	for (int i = 0; i < LAST; i++)
		smc(RMI_GRANULE_DELEGATE, granule(i), 0, 0, 0, 0);
	clear(params);
	wr64(params, REALM_PARAMS_S2SZ, 33);
	wr64(params, REALM_PARAMS_NUM_BPS, 1);
	wr64(params, REALM_PARAMS_NUM_WPS, 1);
	wr64(params, REALM_PARAMS_VMID, 2);
	wr64(params, REALM_PARAMS_RTT_BASE, granule(RTT1));
	wr64(params, REALM_PARAMS_RTT_LEVEL_START, 1);
	wr64(params, REALM_PARAMS_RTT_NUM_START, 1);
	expect("two vCPUs: REALM_CREATE", smc(RMI_REALM_CREATE, granule(RD), (uint64_t)params, 0, 0, 0), RMI_SUCCESS);
	smc(RMI_RTT_CREATE, granule(RD), granule(RTT2), REALM_IPA, 2, 0);
	smc(RMI_RTT_CREATE, granule(RD), granule(RTT3), REALM_IPA, 3, 0);
	smc(RMI_RTT_INIT_RIPAS, granule(RD), REALM_IPA, REALM_IPA + 2 * PAGE, 0, 0);
	smc(RMI_DATA_CREATE, granule(RD), granule(CODE), REALM_IPA, (uint64_t)smp_code, 1);
	expect("two vCPUs: data", smc(RMI_DATA_CREATE_UNKNOWN, granule(RD), granule(DATA), REALM_IPA + PAGE, 0, 0),
	       RMI_SUCCESS);
	clear(params);
	wr64(params, REC_PARAMS_FLAGS, REC_PARAMS_FLAG_RUNNABLE);
	wr64(params, REC_PARAMS_PC, REALM_IPA);
	expect("two vCPUs: REC_CREATE", smc(RMI_REC_CREATE, granule(RD), granule(REC), (uint64_t)params, 0, 0),
	       RMI_SUCCESS);
	wr64(params, REC_PARAMS_FLAGS, 0);
	wr64(params, REC_PARAMS_MPIDR, 1);
	expect("two vCPUs: second REC_CREATE", smc(RMI_REC_CREATE, granule(RD), granule(REC2), (uint64_t)params, 0, 0),
	       RMI_SUCCESS);
	smc(RMI_REALM_ACTIVATE, granule(RD), 0, 0, 0, 0);
	expect("two vCPUs: the second is off", smc(RMI_REC_ENTER, granule(REC2), (uint64_t)run2, 0, 0, 0), RMI_ERROR_REC);
	clear(run);
	expect("two vCPUs: enter", enter(granule(REC)), RMI_SUCCESS);
	expect("two vCPUs: exit", rd64(run, EXIT), REC_EXIT_PSCI);
	expect("two vCPUs: MPIDR", rd64(run, GPR + 8), 1);
	expect("two vCPUs: not before PSCI_COMPLETE", enter(granule(REC)), RMI_ERROR_REC);
	expect("two vCPUs: PSCI_COMPLETE", smc(RMI_PSCI_COMPLETE, granule(REC), granule(REC2), 0, 0, 0), RMI_SUCCESS);
	report(granule(REC), "two vCPUs: CPU_ON", 0);
	second_done = 0;
	second_work = second_runs;
	do
		enter(granule(REC));
	while (rd64(run, EXIT) == REC_EXIT_IRQ && (wr64(run, 0, 0), true));
	expect("two vCPUs: they took turns", rd64(run, GPR), 2000);
	while (second_done == 0)
		;
	expect("two vCPUs: second's run", second_got, RMI_SUCCESS);
	expect("two vCPUs: second's exit", rd64(run2, EXIT), REC_EXIT_PSCI);
	expect("two vCPUs: second's function", rd64(run2, GPR), PSCI_CPU_OFF);
	wr64(run, 0, REC_ENTRY_EMUL_MMIO);
	expect("two vCPUs: enter", enter(granule(REC)), RMI_SUCCESS);
	expect("two vCPUs: off", rd64(run, GPR), PSCI_SYSTEM_OFF);

	smc(RMI_DATA_DESTROY, granule(RD), REALM_IPA, 0, 0, 0);
	smc(RMI_DATA_DESTROY, granule(RD), REALM_IPA + PAGE, 0, 0, 0);
	smc(RMI_RTT_DESTROY, granule(RD), REALM_IPA, 3, 0, 0);
	smc(RMI_RTT_DESTROY, granule(RD), REALM_IPA, 2, 0, 0);
	smc(RMI_REC_DESTROY, granule(REC), 0, 0, 0, 0);
	expect("two vCPUs: one REC is left", smc(RMI_REALM_DESTROY, granule(RD), 0, 0, 0, 0), RMI_ERROR_REALM);
	smc(RMI_REC_DESTROY, granule(REC2), 0, 0, 0, 0);
	expect("two vCPUs: REALM_DESTROY", smc(RMI_REALM_DESTROY, granule(RD), 0, 0, 0, 0), RMI_SUCCESS);
	for (int i = 0; i < LAST; i++)
		smc(RMI_GRANULE_UNDELEGATE, granule(i), 0, 0, 0, 0);
	smc(KCORE_FEATURES, KCORE_FEATURE_DELEGATED, 0, 0, 0, 0);
	expect("two vCPUs: all is back", x[1], 0);
}

void host_main(void)
{
	print("smoke: start\n");
	gic_init();
	calls();
	build();
	second_cpu();
	run_realm();
	take_back();
	split_under_use();
	race();
	two_vcpus();
	print("smoke: ");
	print(failures == 0 ? "all passed, " : "FAILED, ");
	hex((uint64_t)checks);
	print(" checks\n");
	smc(PSCI_SYSTEM_OFF, 0, 0, 0, 0, 0);
}
