/* SPDX-License-Identifier: Apache-2.0 */
/* Each CPU's parameter and run page. */
#include "machine.h"

#include <string.h>

void params_load(uint64_t ns)
{
	GUARD(pinned(ns), "parameters at %#lx are not pinned", ns);
	memcpy(self()->params, dram[number(ns)], 4096);
}

uint64_t params_word(uint64_t offset)
{
	GUARD(offset < 4096 && offset % 8 == 0, "parameter at %#lx", offset);
	return self()->params[offset / 8];
}

void run_load(uint64_t ns)
{
	GUARD(pinned(ns), "run page %#lx is not pinned", ns);
	memcpy(self()->run, dram[number(ns)], 0x800);
	memset(self()->run + 0x800, 0, 0x800);
}

void run_store(uint64_t ns)
{
	GUARD(pinned(ns), "run page %#lx is not pinned", ns);
	memcpy((uint8_t *)dram[number(ns)] + 0x800, self()->run + 0x800, 0x800);
}

static uint64_t *run_word(uint64_t offset)
{
	return (uint64_t *)(void *)(self()->run + offset);
}

#define RUN_GET_F(name, off)                                                                   \
	uint64_t run_in_##name(void)                                                           \
	{                                                                                      \
		return *run_word(off);                                                         \
	}
#define RUN_GET_A(name, off, n)                                                                \
	uint64_t run_in_##name(uint64_t i)                                                     \
	{                                                                                      \
		GUARD(i < (n), "run page " #name " %lu", i);                                   \
		return *run_word((off) + 8 * i);                                               \
	}
RUN_ENTRY_FIELDS(RUN_GET_F, RUN_GET_A)
#define RUN_PUT_F(name, off)                                                                   \
	void run_out_##name(uint64_t v)                                                        \
	{                                                                                      \
		*run_word(off) = v;                                                            \
	}
#define RUN_PUT_A(name, off, n)                                                                \
	void run_out_##name(uint64_t i, uint64_t v)                                            \
	{                                                                                      \
		GUARD(i < (n), "run page " #name " %lu", i);                                   \
		*run_word((off) + 8 * i) = v;                                                  \
	}
RUN_EXIT_FIELDS(RUN_PUT_F, RUN_PUT_A)
