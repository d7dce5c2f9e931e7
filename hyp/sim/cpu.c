/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU's registers and time, log, counters. */
#include "machine.h"

#include <string.h>

uint64_t counter_now(void)
{
	return sim_now;
}

void vtimer_mask(bool masked)
{
	sim_timer_masked[now_cpu] = masked;
}

uint64_t ich_vtr(void)
{
	return sim_vtr;
}

uint64_t s2_width(void)
{
	return sim_width;
}

bool has_level0(void)
{
	return sim_width >= 44;
}

uint64_t id_reg(uint64_t crm, uint64_t op2)
{
	GUARD(crm < 16 && op2 < 8, "ID register %lu %lu", crm, op2);
	return sim_id[crm][op2];
}

void log_event(uint64_t code, uint64_t a, uint64_t b)
{
	(void)a;
	(void)b;
	GUARD(code < 16, "event %lu", code);
	sim_events[code]++;
}

struct log_read_result log_read(uint64_t ns, uint64_t seq)
{
	GUARD(pinned(ns), "log page %#lx is not pinned", ns);
	memcpy(dram[number(ns)], "log\n", 4);
	return (struct log_read_result){ 4, seq + 4 };
}

uint64_t log_size(void)
{
	return 65536;
}

uint64_t tracked_granules(void)
{
	return SIM_HOLE;
}

void counter_add(uint64_t index, uint64_t n)
{
	GUARD(index < KCORE_NUM_COUNTERS, "counter %lu", index);
	changes += index == KCORE_CTR_DELEGATED || index == KCORE_CTR_REALMS;
	counters[index] += n;
}

uint64_t counter_read(uint64_t index)
{
	GUARD(index < KCORE_NUM_COUNTERS, "counter %lu", index);
	return counters[index];
}
