/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: text lines in a ring in KCore's memory, which the host reads with KCORE_LOG_READ. Until the host
 * runs, lines also go to the console. Nothing about a realm's data is ever logged.
 */
#ifndef KCORE_LOG_H
#define KCORE_LOG_H

#include "../mach/arch.h"

/* Conversions: %s, %x (32 bits, hex), %lx (64 bits, hex), %u, %lu. One call is one line. */
__attribute__((format(printf, 1, 2))) void log_line(const char *fmt, ...);

/* At most a few lines of a kind per second: false if this one should be dropped. */
struct log_rate {
	uint64_t since;
	uint32_t count;
	uint32_t lost;
};
bool log_allow(struct log_rate *r);

/* The console is the host's from now on. */
void log_console(bool on);

/* A bug in KCore itself, or a machine it cannot run on: say so and stop the machine. */
__attribute__((format(printf, 1, 2))) _Noreturn void panic(const char *fmt, ...);

/* From now on a panic resets the machine: a boot loader that counts attempts then boots something else. */
void log_panic_resets(void);

/* pl011.c */
void uart_init(uint64_t base);
void uart_write(const char *s, size_t n);

#endif
