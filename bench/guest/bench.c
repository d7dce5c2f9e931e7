/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark guest. Measures, in ticks of the virtual counter, what a guest
 * pays for the operations that leave it. Prints one line per operation, with
 * the ticks of each batch of so many operations:
 *
 *     BENCH <operation> <operations in a batch> <ticks> <ticks> ...
 *
 * Batches are short, so that most see no interrupt of the host: their median is
 * the cost of the operation alone. In the emulator with one instruction per
 * nanosecond, ticks convert to instructions. The same image runs as a realm
 * (found by RSI_VERSION) and as an ordinary guest, so the two columns of the
 * table come from the same loops.
 */
#include <stdbool.h>
#include <stdint.h>

#define GICD_BASE	0x08000000ull
#define GICR_BASE	0x080A0000ull
#define GICR_STRIDE	0x20000ull
#define UART_BASE	0x09000000ull
#define RTC_BASE	0x09010000ull

#define RSI_VERSION	0xC4000190ull
#define RSI_CONFIG	0xC4000196ull
#define RSI_HOST_CALL	0xC4000199ull
#define PSCI_VERSION	0x84000000ull
#define PSCI_CPU_ON	0xC4000003ull
#define PSCI_OFF	0x84000008ull
#define KVM_NO_SUCH_CALL 0x8B000000ull	/* answered by the host kernel: not supported */

#define SGI_PING	1u
#define SGI_WAITING	2u		/* this and the next three, for end of interrupt */
#define SGIS_WAITING	4u		/* no more than there are list registers */
#define PPI_VTIMER	27u
#define TICK		16u		/* instructions in a tick of the counter */

#define BATCHES		31u		/* an odd number: for the median */
#define BATCH		64u
#define BATCH_IRQ	16u		/* for what takes an interrupt each time */
#define TIMER_TICKS	2000u		/* from now on */
#define PAGE		4096ull
#define BATCH_PAGES	512u		/* 2 MiB, by 2 MiB */
#define FRESH_OFFSET	(32ull << 20)	/* from the Image: memory that nobody touched, in 2 MiB blocks */
#define FRESH_BATCHES	9u

static bool realm;
static uint64_t shared;	/* bit that selects the unprotected alias, 0 outside a realm */
static volatile uint32_t secondary_ready, pings, timers;
static volatile uint64_t timer_latency;
static uint64_t samples[BATCHES];
static uint8_t config_page[4096] __attribute__((aligned(4096)));
static uint8_t host_call_page[4096] __attribute__((aligned(4096)));
static uint8_t secondary_stack[8192] __attribute__((aligned(16)));

/* Hidden: reached by its distance, for nothing relocates this image. */
__attribute__((visibility("hidden"))) extern void secondary_start(void);
__attribute__((visibility("hidden"))) extern char _start[];

struct call { uint64_t x0, x1; };

static struct call smc(uint64_t fid, uint64_t a1, uint64_t a2, uint64_t a3)
{
	register uint64_t x0 __asm__("x0") = fid;
	register uint64_t x1 __asm__("x1") = a1;
	register uint64_t x2 __asm__("x2") = a2;
	register uint64_t x3 __asm__("x3") = a3;

	__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : :
			 "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
			 "x13", "x14", "x15", "x16", "x17", "memory");
	return (struct call){ x0, x1 };
}

static uint64_t hvc(uint64_t fid, uint64_t a1, uint64_t a2, uint64_t a3)
{
	register uint64_t x0 __asm__("x0") = fid;
	register uint64_t x1 __asm__("x1") = a1;
	register uint64_t x2 __asm__("x2") = a2;
	register uint64_t x3 __asm__("x3") = a3;

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : :
			 "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
			 "x13", "x14", "x15", "x16", "x17", "memory");
	return x0;
}

/* PSCI goes by SMC in a realm, by HVC in an ordinary KVM guest. */
static uint64_t psci(uint64_t fid, uint64_t a1, uint64_t a2, uint64_t a3)
{
	if (realm)
		return smc(fid, a1, a2, a3).x0;
	return hvc(fid, a1, a2, a3);
}

/* One plain load or store each: the host emulates only accesses with a syndrome. */
static uint32_t mmio_read(uint64_t pa)
{
	uint32_t value;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(pa | shared) : "memory");
	return value;
}

static void mmio_write(uint64_t pa, uint32_t value)
{
	__asm__ volatile("str %w0, [%1]" : : "r"(value), "r"(pa | shared) : "memory");
}

static void put(const char *text)
{
	while (*text)
		mmio_write(UART_BASE, (uint8_t)*text++);
}

static void put_number(uint64_t n, unsigned base)
{
	char digits[24];
	unsigned i = sizeof(digits);

	digits[--i] = 0;
	do {
		digits[--i] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	put(&digits[i]);
}

static uint64_t now(void)
{
	uint64_t t;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(t) : : "memory");
	return t;
}

/* The emulator that counts instructions runs one CPU at a time: this passes the turn on. */
static void spin(void)
{
	__asm__ volatile("yield" : : : "memory");
}

/* The counter, at the moment it changes: a measurement that starts here is not a fraction of a tick too long. */
static uint64_t edge(void)
{
	uint64_t before = now(), t;

	while ((t = now()) == before)
		;
	return t;
}

static void report(const char *operation, unsigned in_batch, unsigned batches)
{
	put("BENCH ");
	put(operation);
	put(" ");
	put_number(in_batch, 10);
	for (unsigned i = 0; i < batches; i++) {
		put(" ");
		put_number(samples[i], 10);
	}
	put("\n");
}

/* The first batch warms up: it has the emulator translate, and the host fault things in. */
#define MEASURE(operation, in_batch, statement) do {			\
	for (unsigned b_ = 0; b_ <= BATCHES; b_++) {			\
		uint64_t begin_ = edge();				\
		for (unsigned i_ = 0; i_ < (in_batch); i_++) { statement; } \
		samples[b_ ? b_ - 1 : 0] = now() - begin_;		\
	}								\
	report(operation, in_batch, BATCHES);				\
} while (0)

static void gic_cpu_init(unsigned cpu)
{
	uint64_t gicr = GICR_BASE + cpu * GICR_STRIDE;

	mmio_write(gicr + 0x14, 0);			/* GICR_WAKER: awake */
	mmio_write(gicr + 0x10000 + 0x80, ~0u);		/* all SGIs and PPIs group 1 */
	mmio_write(gicr + 0x10000 + 0x100,		/* enabled */
		   1u << SGI_PING | ((1u << SGIS_WAITING) - 1) << SGI_WAITING | 1u << PPI_VTIMER);
	__asm__ volatile("msr S3_0_C12_C12_5, %0; isb" : : "r"(1ull));	  /* ICC_SRE */
	__asm__ volatile("msr S3_0_C4_C6_0, %0" : : "r"(0xffull));	  /* ICC_PMR */
	__asm__ volatile("msr S3_0_C12_C12_7, %0; isb" : : "r"(1ull)); /* ICC_IGRPEN1 */
}

static void irq_mask(void)
{
	__asm__ volatile("msr daifset, #2" : : : "memory");
}

static void irq_unmask(void)
{
	__asm__ volatile("msr daifclr, #2" : : : "memory");
}

void bench_irq(void)
{
	uint64_t id, value;

	__asm__ volatile("mrs %0, S3_0_C12_C12_0; dsb sy" : "=r"(id));	/* ICC_IAR1 */
	if (id == SGI_PING) {
		pings++;
	} else if (id == PPI_VTIMER) {
		__asm__ volatile("mrs %0, cntv_cval_el0" : "=r"(value));
		timer_latency += now() - value;
		__asm__ volatile("msr cntv_ctl_el0, %0; isb" : : "r"(0ull));
		timers++;
	}
	__asm__ volatile("msr S3_0_C12_C12_1, %0; isb" : : "r"(id));	/* ICC_EOIR1 */
}

void bench_secondary(void)
{
	gic_cpu_init(1);
	irq_unmask();
	secondary_ready = 1;
	for (;;)	/* awake, so that an IPI does not pay for waking up */
		spin();
}

/* To the vCPUs of the first 16 whose bits are set. */
static void send_sgi(uint64_t sgi, uint64_t vcpus)
{
	__asm__ volatile("dsb sy; msr S3_0_C12_C11_5, %0; isb"		/* ICC_SGI1R */
			 : : "r"(sgi << 24 | vcpus) : "memory");
}

static void ping(void)
{
	uint32_t before = pings;

	send_sgi(SGI_PING, 2);
	while (pings == before)
		spin();
}

/*
 * Acknowledge and end of an interrupt that waits in a list register: a few
 * instructions if nothing exits, fewer than a tick. So the measurement starts
 * at each of the instructions of a tick in turn: the sum over them is exact.
 */
static void measure_eoi(const char *operation, unsigned count)
{
	for (unsigned b = 0; b <= BATCHES; b++) {
		uint64_t sum = 0;

		for (uint64_t phase = 0; phase < TICK; phase++) {
			uint64_t begin, scratch;

			irq_mask();
			for (unsigned i = 0; i < SGIS_WAITING; i++)
				send_sgi(SGI_WAITING + i, 1);
			begin = edge();
			__asm__ volatile(
				"	adr	%0, 2f\n"
				"	sub	%0, %0, %1, lsl #2\n"
				"	br	%0\n"
				"	.rept	16\n"
				"	nop\n"
				"	.endr\n"
				"2:\n" : "=&r"(scratch) : "r"(phase));
			for (unsigned i = 0; i < count; i++)
				__asm__ volatile("mrs %0, S3_0_C12_C12_0; msr S3_0_C12_C12_1, %0" : "=&r"(scratch) : : "memory");
			sum += now() - begin;
			irq_unmask(); /* the rest are taken */
			__asm__ volatile("isb");
		}
		samples[b ? b - 1 : 0] = sum;
	}
	report(operation, TICK * SGIS_WAITING, BATCHES);
}

/* From the moment at which a timer is due to its handler. */
static void measure_timer(void)
{
	for (unsigned b = 0; b <= BATCHES; b++) {
		timer_latency = 0;
		for (unsigned i = 0; i < BATCH_IRQ; i++) {
			uint32_t before = timers;

			__asm__ volatile("msr cntv_cval_el0, %0; msr cntv_ctl_el0, %1; isb"
					 : : "r"(now() + TIMER_TICKS), "r"(1ull));
			while (timers == before)
				;
		}
		samples[b ? b - 1 : 0] = timer_latency;
	}
	report("timer", BATCH_IRQ, BATCHES);
}

/* The first access to a page of memory, when all of a piece of memory is accessed in order. */
static void measure_pages(void)
{
	uint64_t page = ((uint64_t)_start & ~((2ull << 20) - 1)) + FRESH_OFFSET;

	for (unsigned b = 0; b < FRESH_BATCHES; b++) {
		uint64_t begin = edge();

		for (unsigned i = 0; i < BATCH_PAGES; i++, page += PAGE)
			*(volatile uint64_t *)page = page;
		samples[b] = now() - begin;
	}
	report("page", BATCH_PAGES, FRESH_BATCHES);
}

void bench_unexpected(uint64_t esr, uint64_t elr, uint64_t far)
{
	put("BENCH-FAILED esr ");
	put_number(esr, 16);
	put(" elr ");
	put_number(elr, 16);
	put(" far ");
	put_number(far, 16);
	put("\n");
	psci(PSCI_OFF, 0, 0, 0);
}

static void detect_realm(void)
{
	/* An ordinary guest gets an exception or -1; KVM answers -1. */
	realm = smc(RSI_VERSION, 0x10000, 0, 0).x0 == 0;
	if (!realm)
		return;
	smc(RSI_CONFIG, (uint64_t)config_page, 0, 0);
	shared = 1ull << (*(volatile uint64_t *)config_page - 1);
}

void bench_main(void)
{
	detect_realm();
	mmio_write(GICD_BASE, 0x12);			/* affinity routing, group 1 */
	gic_cpu_init(0);
	put(realm ? "BENCH-START realm\n" : "BENCH-START guest\n");

	MEASURE("empty", BATCH, __asm__ volatile(""));
	if (realm) {
		MEASURE("core_call", BATCH, smc(PSCI_VERSION, 0, 0, 0));
		MEASURE("hypercall", BATCH,
			{ *(volatile uint64_t *)(host_call_page + 8) = KVM_NO_SUCH_CALL;
			  smc(RSI_HOST_CALL, (uint64_t)host_call_page, 0, 0); });
	} else {
		MEASURE("hypercall", BATCH, hvc(KVM_NO_SUCH_CALL, 0, 0, 0));
	}
	MEASURE("mmio_vgic", BATCH, mmio_read(GICD_BASE + 8));
	MEASURE("mmio_qemu", BATCH, mmio_read(RTC_BASE + 8));
	measure_eoi("eoi_none", 0);
	measure_eoi("eoi", SGIS_WAITING);
	measure_timer();
	measure_pages();
	if (psci(PSCI_CPU_ON, 1, (uint64_t)secondary_start,
		 (uint64_t)(secondary_stack + sizeof(secondary_stack))) == 0) {
		while (!secondary_ready)
			spin();
		MEASURE("ipi", BATCH_IRQ, ping());
	}
	put("BENCH-END\n");
	psci(PSCI_OFF, 0, 0, 0);
}
