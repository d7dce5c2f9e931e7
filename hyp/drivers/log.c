/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>

#include "../include/kcore.h"
#include "../include/psci.h"
#include "../mach/mach.h"
#include "../mach/relay.h"
#include "../mach/spin.h"

#define RING_SIZE 0x10000UL
#define LINE_MAX 200

static char ring[RING_SIZE];
static uint64_t head; /* bytes ever written */
static struct spin lock;
static bool console = true;
static bool panic_resets;
static uint64_t console_done; /* of head: what the console has seen */

static void ring_put(const char *s, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		ring[(head + i) % RING_SIZE] = s[i];
	head += n;
}

static size_t put_num(char *to, uint64_t v, unsigned int base)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v != 0);
	for (size_t i = 0; i < n; i++)
		to[i] = digits[n - 1 - i];
	return n;
}

/* A line with its time and line end; at most LINE_MAX bytes. */
static size_t format(char *line, const char *fmt, va_list ap)
{
	uint64_t freq = read_sysreg(cntfrq_el0);
	uint64_t now = read_sysreg(cntpct_el0);
	uint64_t us = freq == 0 ? 0 : now % freq * 1000000 / freq;
	size_t n = 0;

	line[n++] = '[';
	n += put_num(line + n, freq == 0 ? 0 : now / freq, 10);
	line[n++] = '.';
	for (uint64_t unit = 100000; unit != 0; unit /= 10)
		line[n++] = (char)('0' + us / unit % 10);
	__builtin_memcpy(line + n, "] kcore: ", 9);
	n += 9;
	for (; *fmt != 0 && n < LINE_MAX - 24; fmt++) {
		bool is_long = false;

		if (*fmt != '%') {
			line[n++] = *fmt;
			continue;
		}
		fmt++;
		if (*fmt == 'l') {
			is_long = true;
			fmt++;
		}
		if (*fmt == 's') {
			for (const char *s = va_arg(ap, const char *); *s != 0 && n < LINE_MAX - 24; s++)
				line[n++] = *s;
		} else {
			uint64_t v = is_long ? va_arg(ap, uint64_t) : va_arg(ap, uint32_t);

			n += put_num(line + n, v, *fmt == 'x' ? 16 : 10);
		}
	}
	line[n++] = '\n';
	return n;
}

static void console_flush(void)
{
	while (console_done < head) {
		char c = ring[console_done++ % RING_SIZE];

		if (c == '\n')
			uart_write("\r", 1);
		uart_write(&c, 1);
	}
}

static void vline(const char *fmt, va_list ap)
{
	char line[LINE_MAX];
	size_t n = format(line, fmt, ap);

	spin_lock(&lock);
	ring_put(line, n);
	if (console)
		console_flush();
	else
		console_done = head;
	spin_unlock(&lock);
}

void log_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vline(fmt, ap);
	va_end(ap);
}

bool log_allow(struct log_rate *r)
{
	uint64_t now = read_sysreg(cntpct_el0);

	if (now - r->since > read_sysreg(cntfrq_el0)) {
		r->since = now;
		r->count = 0;
	}
	if (r->count >= 16) {
		r->lost++;
		return false;
	}
	r->count++;
	return true;
}

void log_console(bool on)
{
	console = on;
}

void log_panic_resets(void)
{
	panic_resets = true;
}

void panic(const char *fmt, ...)
{
	va_list ap;

	__atomic_store_n(&lock.held, 0, __ATOMIC_RELEASE);
	console = true;
	va_start(ap, fmt);
	vline(fmt, ap);
	va_end(ap);
	log_line(panic_resets ? "resetting the machine" : "stopped");
	if (panic_resets)
		firmware_call(PSCI_SYSTEM_RESET, 0, 0, 0);
	for (;;)
		wfi();
}

/* ---- the core's view (mach.h) ---- */

static const char *const event_text[] = {
	[LOG_HOST_ABORT] = "host: access refused: ipa, syndrome",
	[LOG_REALM_CREATE] = "realm: created: rd, vmid",
	[LOG_REALM_DESTROY] = "realm: destroyed: rd, vmid",
	[LOG_REALM_ACTIVATE] = "realm: active: rd, measurement",
	[LOG_REALM_OFF] = "realm: off: rd, function",
	[LOG_REC_STUCK] = "rec: unhandled exit: rec, syndrome",
};

void log_event(uint64_t code, uint64_t a, uint64_t b)
{
	static struct log_rate rate[sizeof(event_text) / sizeof(event_text[0])];

	if (code >= sizeof(event_text) / sizeof(event_text[0]) || event_text[code] == NULL) {
		log_line("event %lx: %lx %lx", code, a, b);
		return;
	}
	if (log_allow(&rate[code]))
		log_line("%s: 0x%lx 0x%lx", event_text[code], a, b);
}

struct log_read_result log_read(uint64_t ns, uint64_t seq)
{
	struct log_read_result r = { 0, seq };
	char *to = (char *)ns;

	spin_lock(&lock);
	if (seq > head)
		r.next = head;
	if (head > RING_SIZE && r.next < head - RING_SIZE) {
		/* Overwritten: go on with the first whole line. */
		r.next = head - RING_SIZE + 1;
		while (r.next < head && ring[(r.next - 1) % RING_SIZE] != '\n')
			r.next++;
	}
	while (r.bytes < GRANULE_SIZE && r.next < head) {
		to[r.bytes] = ring[r.next % RING_SIZE];
		r.bytes++;
		r.next++;
	}
	spin_unlock(&lock);
	return r;
}

uint64_t log_size(void)
{
	return RING_SIZE;
}
