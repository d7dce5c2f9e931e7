// SPDX-License-Identifier: Apache-2.0
/*
 * A realm in a page or two that does what matters of a guest to a key broker: it fetches tokens. A line of 128
 * hexadecimal digits on its console is a challenge; the answer is a line "token HEX", or "error".
 */
#include <stdint.h>

#define RSI_ATTEST_TOKEN_INIT 0xC4000194
#define RSI_ATTEST_TOKEN_CONTINUE 0xC4000195
#define RSI_REALM_CONFIG 0xC4000196
#define RSI_SUCCESS 0
#define RSI_INCOMPLETE 3

#define UART 0x09000000UL
#define UART_DR 0x00
#define UART_FR 0x18
#define UART_CR 0x30
#define UART_FR_RXFE (1u << 4)
#define UART_FR_TXFF (1u << 5)
#define UART_CR_ON 0x301u /* UARTEN, TXE, RXE */

static uint8_t page[4096] __attribute__((aligned(4096)));
static uint64_t uart;

static void write32(uint64_t at, uint32_t v)
{
	asm volatile("str %w0, [%1]" :: "r"(v), "r"(at) : "memory");
}

static uint32_t read32(uint64_t at)
{
	uint32_t v;

	asm volatile("ldr %w0, [%1]" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static void put(char c)
{
	while (read32(uart + UART_FR) & UART_FR_TXFF)
		;
	write32(uart + UART_DR, (uint8_t)c);
}

static void print(const char *s)
{
	while (*s)
		put(*s++);
}

static char get(void)
{
	while (read32(uart + UART_FR) & UART_FR_RXFE)
		;
	return (char)read32(uart + UART_DR);
}

/* The value of a hexadecimal digit; other characters are passed over. */
static unsigned get_digit(void)
{
	for (;;) {
		char c = get();

		if (c >= '0' && c <= '9')
			return (unsigned)(c - '0');
		if (c >= 'a' && c <= 'f')
			return (unsigned)(c - 'a') + 10;
	}
}

/* x[0]: function and then status, x[1] to x[8]: arguments and then results. */
static void smc(uint64_t x[9])
{
	register uint64_t x0 asm("x0") = x[0];
	register uint64_t x1 asm("x1") = x[1];
	register uint64_t x2 asm("x2") = x[2];
	register uint64_t x3 asm("x3") = x[3];
	register uint64_t x4 asm("x4") = x[4];
	register uint64_t x5 asm("x5") = x[5];
	register uint64_t x6 asm("x6") = x[6];
	register uint64_t x7 asm("x7") = x[7];
	register uint64_t x8 asm("x8") = x[8];

	asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6), "+r"(x7), "+r"(x8) :: "memory");
	x[0] = x0;
	x[1] = x1;
}

static void answer(void)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t x[9] = { RSI_ATTEST_TOKEN_INIT }, size = 0;

	for (unsigned i = 0; i < 64; i++) {
		uint64_t high = get_digit(), low = get_digit();

		x[1 + i / 8] |= (high << 4 | low) << (i % 8 * 8);
	}
	smc(x);
	if (x[0] != RSI_SUCCESS) {
		print("error\n");
		return;
	}
	do {
		/* In pieces, as a kernel may. */
		uint64_t piece = sizeof(page) - size < 500 ? sizeof(page) - size : 500;

		x[0] = RSI_ATTEST_TOKEN_CONTINUE;
		x[1] = (uint64_t)page;
		x[2] = size;
		x[3] = piece;
		smc(x);
		size += x[1];
	} while (x[0] == RSI_INCOMPLETE && size < sizeof(page));
	if (x[0] != RSI_SUCCESS) {
		print("error\n");
		return;
	}
	print("token ");
	for (uint64_t i = 0; i < size; i++) {
		put(digits[page[i] >> 4]);
		put(digits[page[i] & 15]);
	}
	print("\n");
}

void guest_main(void)
{
	uint64_t x[9] = { RSI_REALM_CONFIG, (uint64_t)page };

	smc(x);
	/* The UART is the host's, so it is in the unprotected half. */
	uart = UART | 1UL << (*(volatile uint64_t *)page - 1);
	write32(uart + UART_CR, UART_CR_ON);
	print("ready\n");
	for (;;)
		answer();
}
