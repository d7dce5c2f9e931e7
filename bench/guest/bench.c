/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark guest. Measures, in ticks of the virtual counter, what a guest
 * pays for the operations that leave it, and prints one line per operation:
 *
 *     BENCH <operation> <ticks> <iterations>
 *
 * In the emulator with one instruction per nanosecond, ticks convert exactly to
 * instructions. The same image runs as a realm (found by RSI_VERSION) and as an
 * ordinary guest, so the two columns of the table come from the same loops.
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
#define ITERATIONS	2000u
#define IPI_ITERATIONS	500u

static bool realm;
static uint64_t shared;	/* bit that selects the unprotected alias, 0 outside a realm */
static volatile uint32_t secondary_ready, pings;
static uint8_t config_page[4096] __attribute__((aligned(4096)));
static uint8_t host_call_page[4096] __attribute__((aligned(4096)));
static uint8_t secondary_stack[8192] __attribute__((aligned(16)));

/* Hidden: reached by its distance, for nothing relocates this image. */
__attribute__((visibility("hidden"))) extern void secondary_start(void);

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

static void report(const char *operation, uint64_t ticks, unsigned iterations)
{
	put("BENCH ");
	put(operation);
	put(" ");
	put_number(ticks, 10);
	put(" ");
	put_number(iterations, 10);
	put("\n");
}

#define MEASURE(operation, iterations, statement) do {			\
	statement; /* warm up: translate and fault in */		\
	uint64_t begin_ = now();					\
	for (unsigned i_ = 0; i_ < (iterations); i_++) { statement; }	\
	report(operation, now() - begin_, iterations);			\
} while (0)

static void gic_cpu_init(unsigned cpu)
{
	uint64_t gicr = GICR_BASE + cpu * GICR_STRIDE;

	mmio_write(gicr + 0x14, 0);			/* GICR_WAKER: awake */
	mmio_write(gicr + 0x10000 + 0x80, ~0u);		/* all SGIs and PPIs group 1 */
	mmio_write(gicr + 0x10000 + 0x100, 1u << SGI_PING);
	__asm__ volatile("msr S3_0_C12_C12_5, %0; isb" : : "r"(1ull));	  /* ICC_SRE */
	__asm__ volatile("msr S3_0_C4_C6_0, %0" : : "r"(0xffull));	  /* ICC_PMR */
	__asm__ volatile("msr S3_0_C12_C12_7, %0; isb" : : "r"(1ull)); /* ICC_IGRPEN1 */
}

void bench_irq(void)
{
	uint64_t id;

	__asm__ volatile("mrs %0, S3_0_C12_C12_0; dsb sy" : "=r"(id));	/* ICC_IAR1 */
	if ((id & 0xffffff) == SGI_PING)
		pings++;
	__asm__ volatile("msr S3_0_C12_C12_1, %0; isb" : : "r"(id));	/* ICC_EOIR1 */
}

void bench_secondary(void)
{
	gic_cpu_init(1);
	__asm__ volatile("msr daifclr, #2");
	secondary_ready = 1;
	for (;;)	/* awake, so that an IPI does not pay for waking up */
		spin();
}

static void ping(void)
{
	uint32_t before = pings;

	__asm__ volatile("dsb sy; msr S3_0_C12_C11_5, %0; isb"		/* ICC_SGI1R */
			 : : "r"(((uint64_t)SGI_PING << 24) | 2));
	while (pings == before)
		spin();
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

	MEASURE("empty", ITERATIONS, __asm__ volatile(""));
	if (realm) {
		MEASURE("core_call", ITERATIONS, smc(PSCI_VERSION, 0, 0, 0));
		*(volatile uint64_t *)(host_call_page + 8) = KVM_NO_SUCH_CALL;
		MEASURE("hypercall", ITERATIONS,
			{ *(volatile uint64_t *)(host_call_page + 8) = KVM_NO_SUCH_CALL;
			  smc(RSI_HOST_CALL, (uint64_t)host_call_page, 0, 0); });
	} else {
		MEASURE("hypercall", ITERATIONS, hvc(KVM_NO_SUCH_CALL, 0, 0, 0));
	}
	MEASURE("mmio_vgic", ITERATIONS, mmio_read(GICD_BASE + 8));
	MEASURE("mmio_qemu", ITERATIONS, mmio_read(RTC_BASE + 8));
	MEASURE("eoi", ITERATIONS,
		__asm__ volatile("msr S3_0_C12_C12_1, %0; isb" : : "r"(1023ull)));
	if (psci(PSCI_CPU_ON, 1, (uint64_t)secondary_start,
		 (uint64_t)(secondary_stack + sizeof(secondary_stack))) == 0) {
		while (!secondary_ready)
			spin();
		MEASURE("ipi", IPI_ITERATIONS, ping());
	}
	put("BENCH-END\n");
	psci(PSCI_OFF, 0, 0, 0);
}
