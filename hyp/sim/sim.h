/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated machine for hyp/core: the primitives of mach.h over arrays, with a check on every contract.
 *
 * One CPU acts at a time (sim_set_cpu); a primitive that would wait, or whose guard does not hold, is a
 * violation. TLBs are saturated: whatever a table has translated may be cached until it is invalidated. The
 * core never reaches host pages but through params_load, run_load, copy_granule and open_granule.
 */
#ifndef KCORE_SIM_H
#define KCORE_SIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "kcore.h"
#include "mach.h"
#include "psci.h"
#include "rmi.h"
#include "rsi.h"
#include "smccc.h"

#define SIM_CPUS 4u
#define SIM_DRAM 0x80000000UL
#define SIM_GRANULES 2048u /* 8 MiB, in four regions of 2 MiB */
#define SIM_CORE 64u       /* the first granules are KCore's own */
#define SIM_HOLE 2032u     /* the last ones are not tracked */
#define SIM_DEVICE 0x9000000UL

/* Address of granule n. */
#define SIM_G(n) (SIM_DRAM + ((uint64_t)(n) << 12))

/* A fresh machine. */
void sim_reset(void);
void sim_set_cpu(unsigned cpu);

/* Host call and REC trap on the present CPU, with the check that no lock is left. */
struct smc_result sim_smc(uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, uint64_t x5);
bool sim_trap(uint64_t rec, uint64_t trap, uint64_t esr, uint64_t far, uint64_t hpfar);
uint64_t sim_host_fault(uint64_t esr, uint64_t hpfar, uint64_t far);

/* The machine's memory as the test's all-seeing eye reads and writes it. */
uint64_t sim_read(uint64_t pa, uint64_t offset);
void sim_write(uint64_t pa, uint64_t offset, uint64_t value);
bool sim_is_zero(uint64_t pa);
uint64_t sim_state(uint64_t pa);
uint64_t sim_refs(uint64_t pa);
uint64_t sim_count(uint64_t state);

/* May the host's CPUs, the SMMU, a realm reach this page, by tables or by what a TLB may still hold? */
bool sim_host_reaches(uint64_t ipa);
bool sim_smmu_reaches(uint64_t ipa);
/* The page a realm's tables give for an ipa; ~0 if none. */
uint64_t sim_realm_page(uint64_t rd, uint64_t ipa);

/* Every invariant of the whole machine. */
void sim_check(void);

/* A violation aborts, or jumps here if set (tests of the simulator itself). */
extern jmp_buf *sim_catch;
_Noreturn void sim_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * If set, runs whenever a CPU is about to take a realm lock or the host lock: it may switch CPU and make calls,
 * as other CPUs do while one waits.
 */
extern void (*sim_while_waiting)(void);

/* What the test sets, what it looks at. */
extern uint64_t sim_now;          /* counter_now() */
extern uint64_t sim_vtr;          /* ich_vtr() */
extern uint64_t sim_width;        /* s2_width() */
extern uint64_t sim_id[16][8];    /* ID registers */
extern bool sim_timer_masked[SIM_CPUS];
extern uint64_t sim_events[16];   /* events by code */
extern const uint8_t sim_sealing_key[32]; /* private key of open_content_key() */
/* The core's own functions that are worth a test by themselves stand in core.h. */

#endif
