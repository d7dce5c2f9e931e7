// SPDX-License-Identifier: Apache-2.0
/*
 * A malicious guest. It calls every function of RSI, PSCI, SMCCC and RMI with wild arguments, floods the
 * cheap ones, and loads, stores and jumps to wild addresses of both halves of its address space. What it
 * does depends only on "seed=" and "rounds=" on its command line. It prints what it does on the PL011
 * at the shared alias, and at the end, or at the first answer that it must not get ("BAD"), powers itself off.
 */
#include <stdbool.h>
#include <stdint.h>

#define RSI_FIRST 0xC4000190UL
#define RSI_REALM_CONFIG 0xC4000196UL
#define RSI_IPA_STATE_SET 0xC4000197UL
#define RSI_IPA_STATE_GET 0xC4000198UL
#define RSI_HOST_CALL 0xC4000199UL
#define PSCI_SYSTEM_OFF 0x84000008UL
#define RSI_ERROR_INPUT 1UL
#define NOT_SUPPORTED UINT64_MAX
#define PAGE 4096UL
#define UART 0x09000000UL

void smc(uint64_t x[11]);
uint64_t touch_load(uint64_t addr);
void touch_store(uint64_t addr, uint64_t value);
void touch_call(uint64_t addr);
extern char _start[], image_end[];

volatile uint64_t traps;
static uint64_t shared, state, calls, bad;
static _Alignas(4096) uint8_t page[2][4096];

/* The compiler calls it. */
void *memset(void *to, int c, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		((volatile char *)to)[i] = (char)c;
	return to;
}

/* ---- printing ------------------------------------------------------------------------------- */

static void put(char c)
{
	*(volatile uint32_t *)(shared + UART) = (uint32_t)c;
}

static void print(const char *text, uint64_t value)
{
	while (*text)
		put(*text++);
	for (int shift = 60; shift >= 0; shift -= 4)
		if (shift == 0 || value >> shift)
			put("0123456789abcdef"[value >> shift & 15]);
}

static void line(void)
{
	put('\r');
	put('\n');
}

/* ---- wild values ----------------------------------------------------------------------------- */

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Edges of what a core might check, and anything else. */
static uint64_t any(void)
{
	uint64_t r = next();

	switch (r >> 56 & 15) {
	case 0: return 0;
	case 1: return r & 7;
	case 2: return NOT_SUPPORTED;
	case 3: return NOT_SUPPORTED - (r & 0xfff);
	case 4: return shared;
	case 5: return shared - PAGE;
	case 6: return 2 * shared;
	case 7: return (uint64_t)page[r & 1];
	case 8: return (uint64_t)page[r & 1] + (r >> 8 & 0xfff);
	case 9: return (r & (shared - 1)) & ~(PAGE - 1);
	case 10: return shared | ((r & (shared - 1)) & ~(PAGE - 1));
	case 11: return 1UL << (r & 63);
	case 12: return 0x40000000 + (r & 0x1ffff000);
	case 13: return 0x8000000000000000UL >> (r & 31);
	case 14: return r & 0xffff;
	default: return r;
	}
}

static bool hits_image(uint64_t from, uint64_t to)
{
	return from < (uint64_t)image_end + 4 * PAGE && to > (uint64_t)_start - PAGE;
}

/* ---- attacks --------------------------------------------------------------------------------- */

static uint64_t wild_function(void)
{
	uint64_t r = next();

	switch (r >> 60) {
	case 0: return 0x84000000UL | (r & 0x1f);	/* PSCI, 32 and 64 bits */
	case 1: return 0xC4000000UL | (r & 0x1f);
	case 2: return 0x80000000UL | (r & 3);		/* SMCCC */
	case 3: return 0xC4000150UL + (r & 0x3f);	/* RMI: not for guests */
	case 4: return 0xC6004B00UL + (r & 7);		/* KCore's calls: not for guests */
	case 5: return 0x8600FF00UL + (r & 3);
	case 6: return 0x84000050UL + (r & 3);		/* TRNG */
	case 7: return r;
	default: return RSI_FIRST + r % 12;
	}
}

/* Not the ones that end or stop us. */
static bool deadly(uint64_t f)
{
	uint64_t low = f & 0xFFFFFFFFUL & ~0x10000UL;
	uint64_t function = low & ~0x40000000UL;

	return function == 0x84000001 || function == 0x84000002 || function == 0x84000005 ||
	       (function >= 0x84000007 && function <= 0x84000009) || function == 0x8400000C ||
	       function == 0x8400000D || function == 0x8400000E || function == 0x84000012 ||
	       function == 0x84000015;
}

static void wild_call(void)
{
	uint64_t x[11], f;
	bool outside;

	do {
		f = wild_function();
		x[0] = f;
		for (int i = 1; i < 11; i++)
			x[i] = any();
		/* Keep our own image: the rest may be given away. */
	} while (deadly(f) || (f == RSI_IPA_STATE_SET && hits_image(x[1], x[2])) ||
		 ((f == RSI_REALM_CONFIG || f == RSI_HOST_CALL) && hits_image(x[1], x[1] + PAGE) &&
		  (x[1] < (uint64_t)page || x[1] >= (uint64_t)page + sizeof(page))));
	outside = x[1] >= shared && (f == RSI_REALM_CONFIG || f == RSI_HOST_CALL || f == RSI_IPA_STATE_SET ||
				     f == RSI_IPA_STATE_GET);
	smc(x);
	calls++;
	if (outside && x[0] != RSI_ERROR_INPUT)
		goto odd;
	/* RSI: 0 to 4 or -1. The others: a negative status or a small number. RMI and KCore: -1. */
	if ((f >> 8) == 0xC40001 && (f & 0xff) >= 0x90 && (f & 0xff) <= 0x99) {
		if (x[0] > 4 && x[0] != NOT_SUPPORTED)
			goto odd;
	} else if ((f >> 8) == 0xC6004B || ((f >> 8) == 0xC40001 && (f & 0xff) < 0x90)) {
		if (x[0] != NOT_SUPPORTED)
			goto odd;
	}
	return;
odd:
	bad++;
	print("BAD ", f);
	print(" -> ", x[0]);
	line();
}

static void wild_touch(void)
{
	uint64_t a = any() & ~7UL, r = next();

	if (hits_image(a, a + 8))
		return;
	/* The PL011 is ours, and QEMU's other devices may stop the machine. */
	if ((a & ~shared) >= 0x08000000 && (a & ~shared) < 0x40000000)
		return;
	if (r & 1)
		(void)touch_load(a);
	else if (r & 2)
		touch_store(a, r);
	else if (a >= shared || a < 0x08000000) /* what is there must not be code */
		touch_call(a);
	calls++;
}

static void flood(uint64_t function, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t x[11] = { function, (uint64_t)page[0], (uint64_t)page[0] + PAGE };

		smc(x);
		calls++;
	}
}

/* ---- main ------------------------------------------------------------------------------------ */

/* The number after "key" anywhere in the device tree; there is no parser here. */
static uint64_t option(const uint8_t *dtb, const char *key, uint64_t otherwise)
{
	uint64_t size;

	if (!dtb)
		return otherwise;
	size = (uint64_t)dtb[4] << 24 | (uint64_t)dtb[5] << 16 | (uint64_t)dtb[6] << 8 | dtb[7];

	if (dtb[0] != 0xd0 || dtb[1] != 0x0d || size > 0x100000)
		return otherwise;
	for (uint64_t i = 0; i + 16 < size; i++) {
		uint64_t k = 0, value = 0;

		while (key[k] && dtb[i + k] == (uint8_t)key[k])
			k++;
		if (key[k])
			continue;
		for (i += k; i < size && dtb[i] >= '0' && dtb[i] <= '9'; i++)
			value = value * 10 + (dtb[i] - '0');
		return value;
	}
	return otherwise;
}

void wild(const uint8_t *dtb)
{
	uint64_t x[11] = { RSI_REALM_CONFIG, (uint64_t)page[0] };
	uint64_t seed = option(dtb, "seed=", 1), rounds = option(dtb, "rounds=", 1000);

	smc(x);
	if (x[0] != 0)
		return; /* no realm: there is nobody to attack */
	shared = 1UL << (*(volatile uint64_t *)page[0] - 1);
	state = seed * 0x9E3779B97F4A7C15UL + 1;
	print("WILD seed=", seed);
	print(" rounds=", rounds);
	line();
	for (uint64_t i = 0; i < rounds && bad == 0; i++) {
		wild_call();
		if (i % 4 == 0)
			wild_touch();
		if (i % 256 == 0) {
			print("WILD round ", i);
			print(" traps ", traps);
			line();
		}
	}
	flood(RSI_FIRST, 20000);
	flood(RSI_IPA_STATE_GET, 5000);
	flood(RSI_HOST_CALL, 100);
	print("WILD DONE calls=", calls);
	print(" traps=", traps);
	print(" bad=", bad);
	line();
	x[0] = PSCI_SYSTEM_OFF;
	smc(x);
}
