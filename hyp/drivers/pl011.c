/* SPDX-License-Identifier: Apache-2.0 */
/* PL011 console, output only; the firmware or the emulator has set it up. */
#include "log.h"

#define UARTDR 0x00
#define UARTFR 0x18
#define UARTCR 0x30
#define FR_TXFF (1u << 5)

static uint64_t uart;

void uart_init(uint64_t base)
{
	uart = base;
	mmio_w32(uart + UARTCR, 0x301); /* UARTEN, TXE, RXE */
}

void uart_write(const char *s, size_t n)
{
	if (uart == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		/* Bounded: after boot the host owns the device and may leave it stuck. */
		for (uint32_t spin = 0; spin < 100000; spin++) {
			if ((mmio_r32(uart + UARTFR) & FR_TXFF) == 0)
				break;
		}
		mmio_w32(uart + UARTDR, (uint8_t)s[i]);
	}
}
