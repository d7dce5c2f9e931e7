// SPDX-License-Identifier: Apache-2.0
/*
 * A realm that does in a second what a kernel does in its life: it asks for its configuration, uses memory,
 * shares a page and takes it back, makes host calls, accesses devices in all ways, takes timer interrupts and
 * IPIs, and turns vCPUs on and off. It tells each step to its VMM (vmm.c) by a store to a device, and ends with
 * step DONE and SYSTEM_OFF.
 */
#include <stdint.h>

#include "steps.h"

#define MRS(reg) ({ uint64_t v_; asm volatile("mrs %0, " #reg : "=r"(v_)); v_; })
#define MSR(reg, v) asm volatile("msr " #reg ", %0" :: "r"((uint64_t)(v)))
#define ISB() asm volatile("isb" ::: "memory")

#define RSI_VERSION 0xC4000190
#define RSI_REALM_CONFIG 0xC4000196
#define RSI_IPA_STATE_SET 0xC4000197
#define RSI_HOST_CALL 0xC4000199
#define PSCI_CPU_OFF 0x84000002
#define PSCI_CPU_ON 0xC4000003
#define PSCI_AFFINITY_INFO 0xC4000004
#define PSCI_SYSTEM_OFF 0x84000008
#define PSCI_ALREADY_ON ((uint64_t)-4)

#define GICD 0x08000000UL
#define GICR(cpu) (0x080A0000UL + (cpu) * 0x20000UL)
#define SGI 1
#define VTIMER 27
#define PTIMER 30

#define MAX_VCPUS 16

static uint64_t shared;
static volatile uint64_t online, off, sgis[MAX_VCPUS], vticks[MAX_VCPUS], pticks[MAX_VCPUS];
static uint64_t config[512] __attribute__((aligned(4096)));
static uint64_t host_call[32] __attribute__((aligned(256)));

void secondary(void);

static uint64_t smc(uint64_t function, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t *r1, uint64_t *r2)
{
	register uint64_t x0 asm("x0") = function;
	register uint64_t x1 asm("x1") = a1;
	register uint64_t x2 asm("x2") = a2;
	register uint64_t x3 asm("x3") = a3;
	register uint64_t x4 asm("x4") = a4;

	asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4) :: "memory");
	if (r1)
		*r1 = x1;
	if (r2)
		*r2 = x2;
	return x0;
}

static void write32(uint64_t at, uint32_t v)
{
	asm volatile("str %w0, [%1]" :: "r"(v), "r"(at | shared) : "memory");
}

static uint32_t read32(uint64_t at)
{
	uint32_t v;

	asm volatile("ldr %w0, [%1]" : "=r"(v) : "r"(at | shared) : "memory");
	return v;
}

static void write64(uint64_t at, uint64_t v)
{
	asm volatile("str %0, [%1]" :: "r"(v), "r"(at | shared) : "memory");
}

static uint64_t read64(uint64_t at)
{
	uint64_t v;

	asm volatile("ldr %0, [%1]" : "=r"(v) : "r"(at | shared) : "memory");
	return v;
}

static volatile uint64_t *ram(uint64_t at)
{
	return (volatile uint64_t *)at;
}

static void say(uint64_t step, uint64_t value)
{
	write64(DEVICE_VALUE, value);
	write64(DEVICE_STEP, step);
}

static void fail(uint64_t where, uint64_t value)
{
	say(STEP_FAILED, where << 32 | (value & 0xFFFFFFFF));
	smc(PSCI_SYSTEM_OFF, 0, 0, 0, 0, 0, 0);
}

void guest_bad(uint64_t esr, uint64_t elr, uint64_t far)
{
	say(STEP_EXCEPTION, esr);
	say(STEP_EXCEPTION, elr);
	fail(1, far);
}

/* ---- Memory ------------------------------------------------------------------------------------------------- */

static void set_ripas(uint64_t base, uint64_t top, uint64_t ripas)
{
	uint64_t next, response;

	while (base < top) {
		uint64_t status = smc(RSI_IPA_STATE_SET, base, top, ripas, 1, &next, &response);

		if (status || response || next < base || next > top)
			fail(2, status);
		base = next;
	}
}

static void use_memory(void)
{
	uint64_t first = RAM_BASE + 0x400000, end = RAM_BASE + 0x1400000;

	for (uint64_t at = first; at < end; at += 4096) {
		if (*ram(at))
			fail(3, at);
		*ram(at) = at;
	}
	for (uint64_t at = first; at < end; at += 4096)
		if (*ram(at) != at)
			fail(4, at);
	say(STEP_MEMORY, 0);
}

/* A page in the middle of used memory, and 2 MiB that were never touched. */
static void share(void)
{
	uint64_t page = RAM_BASE + SHARED_PAGE, block = RAM_BASE + SHARED_BLOCK;

	set_ripas(page, page + 4096, 0);
	set_ripas(block, block + 0x200000, 0);
	for (uint64_t i = 0; i < 512; i++)
		write64(page + 8 * i, 0x1111 + i);
	write64(block + 0x1FF000, 0x2222);
	say(STEP_SHARED, 0);	/* the VMM checks, and answers in place */
	for (uint64_t i = 0; i < 512; i++)
		if (read64(page + 8 * i) != 0x3333 + i)
			fail(5, i);
	if (read64(block + 0x1FF000) != 0x4444)
		fail(6, 0);
	if (*ram(page - 4096) != page - 4096 || *ram(page + 4096) != page + 4096)
		fail(7, 0);

	set_ripas(page, page + 4096, 1);
	set_ripas(block, block + 0x200000, 1);
	for (uint64_t i = 0; i < 512; i++)
		if (ram(page)[i])
			fail(8, i);
	if (*ram(block + 0x1FF000))
		fail(9, 0);
	*ram(page) = page;
	say(STEP_UNSHARED, 0);
}

/* ---- Calls and devices --------------------------------------------------------------------------------------- */

static void call_host(void)
{
	host_call[1] = 0x1234;
	if (smc(RSI_HOST_CALL, (uint64_t)host_call, 0, 0, 0, 0, 0) || host_call[1] != ~0UL)
		fail(10, host_call[1]);
}

static void access_device(void)
{
	uint64_t at = DEVICE_PATTERN | shared, b, w;
	uint32_t u;

	write32(DEVICE_STORE, 0x89ABCDEF);
	asm volatile("ldrb %w0, [%1]" : "=r"(u) : "r"(at));
	if (u != 0x88)
		fail(11, u);
	asm volatile("ldrsb %0, [%1]" : "=r"(b) : "r"(at));
	if (b != ~0x77UL)
		fail(12, b);
	asm volatile("ldrsw %0, [%1]" : "=r"(w) : "r"(at));
	if (w != 0xFFFFFFFF85868788UL)
		fail(13, w);
	say(STEP_DEVICE, 0);
}

/* ---- Interrupts ---------------------------------------------------------------------------------------------- */

static void gic_init(uint64_t cpu)
{
	write32(GICR(cpu) + 0x14, read32(GICR(cpu) + 0x14) & ~2U);
	while (read32(GICR(cpu) + 0x14) & 4)
		;
	write32(GICR(cpu) + 0x10080, ~0U);
	for (uint64_t i = 0; i < 8; i++)
		write32(GICR(cpu) + 0x10400 + i * 4, 0xA0A0A0A0);
	write32(GICR(cpu) + 0x10100, 1U << VTIMER | 1U << PTIMER | 1U << SGI);
	MSR(S3_0_C12_C12_5, 7);		/* ICC_SRE_EL1 */
	ISB();
	MSR(S3_0_C4_C6_0, 0xF0);	/* ICC_PMR_EL1 */
	MSR(S3_0_C12_C12_7, 1);		/* ICC_IGRPEN1_EL1 */
	ISB();
}

void guest_irq(void)
{
	uint64_t cpu = MRS(mpidr_el1) & 0xF, id = MRS(S3_0_C12_C12_0);

	if (id == SGI) {
		sgis[cpu]++;
	} else if (id == VTIMER) {
		vticks[cpu]++;
		MSR(cntv_ctl_el0, 0);
	} else if (id == PTIMER) {
		pticks[cpu]++;
		MSR(cntp_ctl_el0, 0);
	} else if (id < 1020) {
		fail(14, id);
	}
	ISB();
	MSR(S3_0_C12_C12_1, id);
}

static void wait_for(volatile uint64_t *count, uint64_t n)
{
	while (*count < n) {
		asm volatile("msr daifset, #2");
		if (*count < n)
			asm volatile("wfi");
		asm volatile("msr daifclr, #2");
		ISB();
	}
}

static void tick(uint64_t cpu)
{
	uint64_t step = MRS(cntfrq_el0) / 500;

	for (int i = 0; i < 3; i++) {
		uint64_t v = vticks[cpu] + 1, p = pticks[cpu] + 1;

		MSR(cntv_cval_el0, MRS(cntvct_el0) + step);
		MSR(cntv_ctl_el0, 1);
		ISB();
		wait_for(&vticks[cpu], v);
		MSR(cntp_cval_el0, MRS(cntpct_el0) + step);
		MSR(cntp_ctl_el0, 1);
		ISB();
		wait_for(&pticks[cpu], p);
	}
}

/* ---- Other vCPUs --------------------------------------------------------------------------------------------- */

static void count(volatile uint64_t *p)
{
	uint64_t v;
	uint32_t failed;

	asm volatile("1: ldxr %0, [%2]\n add %0, %0, #1\n stlxr %w1, %0, [%2]\n cbnz %w1, 1b"
		     : "=&r"(v), "=&r"(failed) : "r"(p) : "memory");
}

void guest_secondary(uint64_t cpu)
{
	gic_init(cpu);
	count(&online);
	asm volatile("msr daifclr, #2");
	wait_for(&sgis[cpu], 1);
	tick(cpu);
	asm volatile("msr daifset, #2");
	sgis[cpu] = 0;
	count(&off);
	smc(PSCI_CPU_OFF, 0, 0, 0, 0, 0, 0);
	fail(15, cpu);
}

static void other_vcpus(uint64_t vcpus)
{
	online = 0;
	off = 0;
	for (uint64_t cpu = 1; cpu < vcpus; cpu++) {
		uint64_t status = smc(PSCI_CPU_ON, cpu, (uint64_t)secondary, cpu, 0, 0, 0);

		if (status)
			fail(16, status);
	}
	if (vcpus > 1 && smc(PSCI_CPU_ON, 1, (uint64_t)secondary, 1, 0, 0, 0) != PSCI_ALREADY_ON)
		fail(17, 0);
	while (online < vcpus - 1)
		asm volatile("yield");
	if (vcpus > 1) {
		MSR(S3_0_C12_C11_5, (uint64_t)SGI << 24 | ((1UL << vcpus) - 2));	/* ICC_SGI1R_EL1 */
		ISB();
	}
	while (off < vcpus - 1)
		asm volatile("yield");
	for (uint64_t cpu = 1; cpu < vcpus; cpu++)
		while (smc(PSCI_AFFINITY_INFO, cpu, 0, 0, 0, 0, 0) != 1)
			;
	say(STEP_VCPUS, vcpus);
}

void guest_main(uint64_t shared_bit, uint64_t vcpus)
{
	uint64_t low, high;

	shared = shared_bit;
	if (smc(RSI_VERSION, 0x10000, 0, 0, 0, &low, &high))
		fail(18, low);
	if (smc(RSI_REALM_CONFIG, (uint64_t)config, 0, 0, 0, 0, 0) || 1UL << (config[0] - 1) != shared)
		fail(19, config[0]);
	say(STEP_CONFIG, config[0]);

	use_memory();
	share();
	call_host();
	access_device();

	write32(GICD, 0x12);
	gic_init(0);
	asm volatile("msr daifclr, #2");
	tick(0);
	say(STEP_TIMERS, 0);
	other_vcpus(vcpus);
	other_vcpus(vcpus);

	say(STEP_DONE, 0);
	smc(PSCI_SYSTEM_OFF, 0, 0, 0, 0, 0, 0);
}
