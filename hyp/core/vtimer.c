/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A realm's timers. The virtual one is the CPU's own, switched with the REC; its counter has no offset.
 * The physical one is emulated in the REC. The host models both interrupts: it is told both lines at every
 * exit, and an exit is forced when one differs from what it was last told.
 */
#include "core.h"

#define CTL_ENABLE 0x1UL
#define CTL_IMASK 0x2UL
#define CTL_ISTATUS 0x4UL

/* A timer's control register as it reads now: ENABLE, IMASK, and ISTATUS if its time has come. */
static uint64_t vtimer_ctl(uint64_t ctl, uint64_t cval, uint64_t now)
{
	uint64_t kept = ctl & (CTL_ENABLE | CTL_IMASK);

	if ((ctl & CTL_ENABLE) != 0 && now >= cval) {
		return kept | CTL_ISTATUS;
	}
	return kept;
}

/* 1 if a timer whose control register reads ctl asserts its interrupt. */
static uint64_t vtimer_asserted(uint64_t ctl)
{
	if (ctl == (CTL_ENABLE | CTL_ISTATUS)) {
		return 1;
	}
	return 0;
}

static uint64_t vtimer_cntv_ctl(uint64_t rec)
{
	uint64_t ctl = rec_sysreg(rec, SYS_CNTV_CTL_EL0);
	uint64_t cval = rec_sysreg(rec, SYS_CNTV_CVAL_EL0);
	uint64_t now = counter_now();
	uint64_t value = vtimer_ctl(ctl, cval, now);

	return value;
}

static uint64_t vtimer_cntp_ctl(uint64_t rec)
{
	uint64_t ctl = rec_get_cntp_ctl(rec);
	uint64_t cval = rec_get_cntp_cval(rec);
	uint64_t now = counter_now();
	uint64_t value = vtimer_ctl(ctl, cval, now);

	return value;
}

/* Is a line not what the host was last told? */
bool vtimer_changed(uint64_t rec)
{
	uint64_t cntv = vtimer_cntv_ctl(rec);
	uint64_t cntp = vtimer_cntp_ctl(rec);
	uint64_t line_v = vtimer_asserted(cntv);
	uint64_t line_p = vtimer_asserted(cntp);
	uint64_t told_v = rec_get_timer_line(rec);
	uint64_t told_p = rec_get_cntp_line(rec);

	return line_v != told_v || line_p != told_p;
}

/*
 * Before the guest runs: an asserted virtual timer would interrupt it at once and for ever, so its interrupt
 * is masked. The host has injected it; when the guest ends it, the next exit tells the host.
 */
void vtimer_enter(uint64_t rec)
{
	uint64_t told = rec_get_timer_line(rec);

	vtimer_mask(told == 1);
}

/* Tell the host both timers. */
void vtimer_report(uint64_t rec)
{
	uint64_t cntv_ctl = vtimer_cntv_ctl(rec);
	uint64_t cntv_cval = rec_sysreg(rec, SYS_CNTV_CVAL_EL0);
	uint64_t cntp_ctl = vtimer_cntp_ctl(rec);
	uint64_t cntp_cval = rec_get_cntp_cval(rec);
	uint64_t line_v = vtimer_asserted(cntv_ctl);
	uint64_t line_p = vtimer_asserted(cntp_ctl);

	rec_set_timer_line(rec, line_v);
	rec_set_cntp_line(rec, line_p);
	run_out_cntv_ctl(cntv_ctl);
	run_out_cntv_cval(cntv_cval);
	run_out_cntp_ctl(cntp_ctl);
	run_out_cntp_cval(cntp_cval);
}

/* The guest reads its physical timer: CNTP_TVAL (op2 0), CNTP_CTL (1), CNTP_CVAL (2). */
uint64_t vtimer_read_cntp(uint64_t rec, uint64_t reg)
{
	uint64_t cval = rec_get_cntp_cval(rec);
	uint64_t ctl = vtimer_cntp_ctl(rec);
	uint64_t now = counter_now();

	if (reg == 0) {
		return (cval - now) & 0xFFFFFFFFUL;
	}
	if (reg == 1) {
		return ctl;
	}
	return cval;
}

/* The guest writes its physical timer. */
void vtimer_write_cntp(uint64_t rec, uint64_t reg, uint64_t value)
{
	uint64_t now = counter_now();
	uint64_t delta = value & 0xFFFFFFFFUL;

	if (reg == 0) {
		/* signed 32 bits */
		if ((delta & 0x80000000UL) != 0) {
			delta = delta | 0xFFFFFFFF00000000UL;
		}
		rec_set_cntp_cval(rec, now + delta);
	} else if (reg == 1) {
		rec_set_cntp_ctl(rec, value & (CTL_ENABLE | CTL_IMASK));
	} else {
		rec_set_cntp_cval(rec, value);
	}
}
