/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's state, and the test's side of it. */
#include "../attest/identity.h"
#include "../attest/token.h"
#include "machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct granule granules[SIM_GRANULES];
uint64_t dram[SIM_GRANULES][512];
uint64_t tables[NUM_TABLES][512];
uint64_t holes[NUM_REGIONS];
struct cpu cpus[SIM_CPUS];
int host_holder;
int rec_runner[SIM_GRANULES];
bool vmids[VMIDS];
struct tlb_entry *tlb;
unsigned tlb_size, tlb_room;
uint64_t counters[KCORE_NUM_COUNTERS];
unsigned now_cpu;
uint64_t changes, checked, held_sum, pin_sum;

jmp_buf *sim_catch;
void (*sim_while_waiting)(void);
uint64_t sim_now, sim_vtr, sim_width, sim_id[16][8], sim_events[16];
bool sim_timer_masked[SIM_CPUS];

void sim_violation(const char *format, ...)
{
	va_list args;

	if (sim_catch != NULL)
		longjmp(*sim_catch, 1);
	fprintf(stderr, "violation on CPU %u: ", now_cpu);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

static void idle_check(void)
{
	GUARD(self()->locks == 0 && self()->realm == 0, "a handler ends with locks held");
	self()->released = false;
}

struct smc_result sim_smc(uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5)
{
	GUARD(self()->loaded == 0, "a host call while a REC runs here");
	struct smc_result r = core_host_smc(fid, x1, x2, x3, x4, x5);

	idle_check();
	GUARD(r.rec == self()->loaded, "REC to run is %#lx, loaded is %#lx", r.rec, self()->loaded);
	return r;
}

bool sim_trap(uint64_t rec, uint64_t trap, uint64_t esr, uint64_t far, uint64_t hpfar)
{
	GUARD(self()->loaded == rec, "a trap of a REC that does not run");
	bool again = core_rec_exit(rec, trap, esr, far, hpfar);

	idle_check();
	GUARD(again == (self()->loaded == rec), "a REC left loaded, or unloaded and resumed");
	return again;
}

uint64_t sim_host_fault(uint64_t esr, uint64_t hpfar, uint64_t far)
{
	uint64_t action = core_host_abort(esr, hpfar, far);

	idle_check();
	return action;
}

uint64_t sim_read(uint64_t pa, uint64_t offset)
{
	return dram[number(pa)][offset / 8];
}

void sim_write(uint64_t pa, uint64_t offset, uint64_t value)
{
	dram[number(pa)][offset / 8] = value;
}

uint64_t sim_state(uint64_t pa)
{
	return granule(pa)->state;
}

uint64_t sim_refs(uint64_t pa)
{
	return granule(pa)->refs;
}

uint64_t sim_count(uint64_t state)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < SIM_HOLE; i++)
		n += granules[i].state == state;
	return n;
}

void sim_set_cpu(unsigned cpu)
{
	now_cpu = cpu;
}

void sim_reset(void)
{
	static const uint8_t seed[64] = "the simulated machine has no firmware that hands anything over";
	static bool booted;

	/* One identity for all machines: it takes long to make. */
	if (!booted) {
		(void)identity_make(NULL, 0, seed, 0);
		token_make_head(false);
		booted = true;
	}
	memset(granules, 0, sizeof(granules));
	memset(tables, 0, sizeof(tables));
	memset(holes, 0, sizeof(holes));
	memset(cpus, 0, sizeof(cpus));
	memset(vmids, 0, sizeof(vmids));
	memset(counters, 0, sizeof(counters));
	memset(sim_events, 0, sizeof(sim_events));
	memset(sim_timer_masked, 0, sizeof(sim_timer_masked));
	memset(sim_id, 0, sizeof(sim_id));
	memset(dram, 0x5A, sizeof(dram));
	tlb_size = 0;
	changes = 1;
	checked = held_sum = pin_sum = 0;
	host_holder = NOBODY;
	now_cpu = 0;
	sim_catch = NULL;
	sim_while_waiting = NULL;
	sim_now = 1000;
	sim_vtr = 0x90b80003; /* four list registers, 5 bits of priority, 24 bits of id */
	sim_width = 48;
	for (unsigned i = 0; i < SIM_GRANULES; i++) {
		granules[i].holder = NOBODY;
		rec_runner[i] = NOBODY;
		if (i < SIM_CORE)
			granules[i].state = GS_CORE;
	}
	for (unsigned region = 0; region < NUM_REGIONS; region++)
		core_boot_dram(SIM_DRAM + ((uint64_t)region << 21));
	core_boot_device(SIM_DEVICE, 3);
	core_boot_device(0x10000000UL, 2);
	idle_check();
}
