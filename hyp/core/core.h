/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the core offer each other, lowest layer first. A file calls its own layer and those
 * above it in this list, never the other way. Contracts stand at the definitions.
 */
#ifndef KCORE_CORE_H
#define KCORE_CORE_H

#include "kcore.h"
#include "mach.h"
#include "psci.h"
#include "rmi.h"
#include "rsi.h"
#include "smccc.h"
#include "table.h"

/* Exception syndromes (ESR_ELx) and fault addresses. */
#define ESR_EC(esr) ((esr) >> 26 & 0x3F)
#define ESR_EC_UNKNOWN 0x00UL
#define ESR_EC_WFX 0x01UL
#define ESR_EC_CP15_32 0x03UL
#define ESR_EC_CP15_64 0x04UL
#define ESR_EC_CP14_32 0x05UL
#define ESR_EC_CP14_LS 0x06UL
#define ESR_EC_CP10 0x08UL
#define ESR_EC_CP14_64 0x0CUL
#define ESR_EC_HVC 0x16UL
#define ESR_EC_SMC 0x17UL
#define ESR_EC_SYSREG 0x18UL
#define ESR_EC_SVE 0x19UL
#define ESR_EC_SME 0x1DUL
#define ESR_EC_IABT 0x20UL
#define ESR_EC_DABT 0x24UL
#define ESR_EC_SHIFT 26
#define ESR_IL (1UL << 25)
#define ESR_FSC_MASK 0x3FUL
#define ESR_FSC_TYPE_MASK 0x3CUL
#define ESR_FSC_TRANSLATION 0x04UL
#define ESR_FSC_SEA 0x10UL
#define HPFAR_IPA_MASK 0xFFFFFFFFFF0UL

#define MAX_START_TABLES 16UL
#define NUM_GPRS 31UL

/* Attestation token of a REC: none asked for, claims put down, signed and being fetched. */
#define TOKEN_NONE 0UL
#define TOKEN_CLAIMED 1UL
#define TOKEN_SIGNED 2UL

#define MEAS_WORDS 8UL
#define MEAS_SLOTS 5UL

/* PSTATE and SCTLR_EL1 of a REC that starts: EL1h, DAIF; MMU and caches off, RES1 bits set. */
#define PSTATE_RESET 0x3C5UL
#define SCTLR_RESET 0x30D50878UL
#define SCTLR_EE (1UL << 25)

/* ---- granule */
uint64_t error_realm(uint64_t index);
uint64_t error_rtt(uint64_t level);
bool is_granule_aligned(uint64_t addr);
bool granules_claim(uint64_t base, uint64_t n);
void granules_release(uint64_t base, uint64_t n);
void granule_scrub(uint64_t pa);
void granule_add_refs(uint64_t pa, uint64_t n);
bool ns_get_pages(uint64_t pa, uint64_t n);
void ns_put_pages(uint64_t pa, uint64_t n);

/* ---- hostmem */
struct range_result {
	uint64_t status;
	uint64_t done;
};
uint64_t granule_delegate(uint64_t pa);
uint64_t granule_undelegate(uint64_t pa);
struct range_result granule_delegate_range(uint64_t pa, uint64_t count);
struct range_result granule_undelegate_range(uint64_t pa, uint64_t count);

/* ---- s2tt */
#define S2K_UNASSIGNED 0UL
#define S2K_ASSIGNED 1UL
#define S2K_UNASSIGNED_NS 2UL
#define S2K_ASSIGNED_NS 3UL
#define S2K_TABLE 4UL
uint64_t s2_unassigned(uint64_t ripas);
uint64_t s2_unassigned_ns(void);
uint64_t s2_assigned(uint64_t level, uint64_t pa, uint64_t ripas);
uint64_t s2_kind(uint64_t level, uint64_t desc);
uint64_t s2_ripas(uint64_t desc);
uint64_t s2_pa(uint64_t desc);
bool s2_is_live(uint64_t kind);
bool s2_ns_ok(uint64_t level, uint64_t host);
uint64_t s2_assigned_ns(uint64_t level, uint64_t host);
uint64_t s2_ns_host(uint64_t desc);
uint64_t s2_child(uint64_t child, uint64_t desc, uint64_t i);
uint64_t s2_parent(uint64_t child, uint64_t first);

/* ---- rtt */
/* Where a walk ended: the entry, and what it says. */
struct rtt_walk {
	uint64_t level;
	uint64_t table;
	uint64_t slot;
	uint64_t desc;
	uint64_t kind; /* S2K_* */
};
/* Status and results in x1 to x4. */
struct rmi_result {
	uint64_t status;
	uint64_t x1;
	uint64_t x2;
	uint64_t x3;
	uint64_t x4;
};
/* An IPA as a realm gives it, translated. */
#define IPA_OK 0UL    /* pa is good */
#define IPA_EMPTY 1UL /* RIPAS EMPTY */
#define IPA_FAULT 2UL /* RAM or DESTROYED, but no page the realm can use; level says where the walk ended */
struct ipa_page {
	uint64_t result;
	uint64_t pa;
	uint64_t level;
};
struct range_next {
	uint64_t next;
	uint64_t level;
};
bool ipa_in_bounds(uint64_t rd, uint64_t ipa);
bool ipa_in_par(uint64_t rd, uint64_t ipa);
struct rtt_walk rtt_walk(uint64_t rd, uint64_t ipa, uint64_t level);
uint64_t rtt_walk_top(struct rtt_walk w, uint64_t ipa);
struct ipa_page rtt_translate(uint64_t rd, uint64_t ipa);
void rtt_init_start(uint64_t rd);
bool rtt_start_unused(uint64_t rd);
void rtt_free_start(uint64_t rd);
uint64_t rtt_create(uint64_t rd, uint64_t rtt, uint64_t ipa, uint64_t level);
struct rmi_result rtt_destroy(uint64_t rd, uint64_t ipa, uint64_t level);
struct rmi_result rtt_fold(uint64_t rd, uint64_t ipa, uint64_t level);
uint64_t rtt_map_unprotected(uint64_t rd, uint64_t ipa, uint64_t level, uint64_t host);
struct rmi_result rtt_unmap_unprotected(uint64_t rd, uint64_t ipa, uint64_t level);
struct rmi_result rtt_read_entry(uint64_t rd, uint64_t ipa, uint64_t level);

/* ---- measure */
void measure_realm_params(uint64_t rd);
void measure_policy(uint64_t rd);
void measure_data(uint64_t rd, uint64_t ipa, uint64_t flags, uint64_t pa);
void measure_rec(uint64_t rd);
void measure_ripas(uint64_t rd, uint64_t base, uint64_t top);
void measure_extend(uint64_t rd, uint64_t rec, uint64_t slot, uint64_t size);

/* ---- launch */
uint64_t launch_policy(uint64_t rd, uint64_t block);
uint64_t launch_key(uint64_t rd, uint64_t page);
bool launch_rim_ok(uint64_t rd);
void launch_forget_key(uint64_t rd);

/* ---- realm */
uint64_t realm_create(uint64_t rd, uint64_t params);
uint64_t realm_activate(uint64_t rd);
uint64_t realm_destroy(uint64_t rd);
struct rmi_result realm_aux_count(uint64_t rd);

/* ---- data */
uint64_t data_create(uint64_t rd, uint64_t data, uint64_t ipa, uint64_t src, uint64_t flags);
uint64_t data_create_sealed(uint64_t rd, uint64_t data, uint64_t ipa, uint64_t src, uint64_t tag);
uint64_t data_create_unknown(uint64_t rd, uint64_t data, uint64_t ipa);
struct rmi_result data_destroy(uint64_t rd, uint64_t ipa);
struct rmi_result rtt_init_ripas(uint64_t rd, uint64_t base, uint64_t top);
struct rmi_result rtt_set_ripas(uint64_t rd, uint64_t rec, uint64_t base, uint64_t top);

/* ---- rec */
uint64_t rec_create(uint64_t rd, uint64_t rec, uint64_t params);
uint64_t rec_destroy(uint64_t rec);
uint64_t rec_lock_owner(uint64_t rec);
uint64_t rec_lock_realm(uint64_t rec);
uint64_t rec_id_reg(uint64_t crm, uint64_t op2);
uint64_t rec_reg(uint64_t rec, uint64_t n);
void rec_set_reg(uint64_t rec, uint64_t n, uint64_t value);
void rec_skip(uint64_t rec);
void rec_return(uint64_t rec, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3);
void rec_inject(uint64_t rec, uint64_t esr, uint64_t pc);
void rec_inject_undef(uint64_t rec, uint64_t pc);
void rec_inject_sea(uint64_t rec, uint64_t esr, uint64_t far);

/* ---- vgic */
bool vgic_entry_ok(void);
void vgic_enter(uint64_t rec);
void vgic_report(uint64_t rec);

/* ---- vtimer */
bool vtimer_changed(uint64_t rec);
void vtimer_enter(uint64_t rec);
void vtimer_report(uint64_t rec);
uint64_t vtimer_read_cntp(uint64_t rec, uint64_t reg);
void vtimer_write_cntp(uint64_t rec, uint64_t reg, uint64_t value);

/* ---- psci */
uint64_t psci_complete(uint64_t caller, uint64_t target, uint64_t status);
bool psci_call(uint64_t rec, uint64_t fid);

/* ---- rsi */
bool rsi_call(uint64_t rec, uint64_t fid);
void rsi_ripas_complete(uint64_t rec, bool reject);
bool rsi_host_call_complete(uint64_t rec, uint64_t rd);

/* ---- exit */
struct smc_result rec_enter(uint64_t rec, uint64_t run);

#endif
