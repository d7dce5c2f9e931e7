/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine interface: all state that hyp/core can reach, and the entry points of the core.
 *
 * hyp/mach implements it on the hardware, hyp/sim natively for tests, proofs/machine as a model.
 * Each primitive is atomic towards other CPUs unless it says otherwise, and includes the barriers
 * that its contract needs. "Guard:" is what the caller must have made sure of; the simulator aborts
 * and the model gets stuck when it does not hold. Addresses are physical unless named ipa.
 *
 * Locks, in the order they are taken (strict two-phase: all taken, then changes, then released):
 *   realm_lock   waits; guards an RD, its RECs that do not run, its RTTs, and the granule words of
 *                all granules that the realm owns
 *   claims       never wait; guard one granule that is NS or DELEGATED
 *   host_lock    waits; guards the host's and the SMMU's stage 2
 */
#ifndef KCORE_MACH_H
#define KCORE_MACH_H

#include <stdbool.h>
#include <stdint.h>

#include "fields.h"

#define GRANULE_SIZE 0x1000UL
#define PT_SLOTS 512UL

/* ---- Granule words ------------------------------------------------------------------------- */

/* State of a granule. */
#define GS_NS 0UL        /* the host's */
#define GS_DELEGATED 1UL /* nobody's, all zero */
#define GS_RD 2UL
#define GS_REC 3UL
#define GS_RTT 4UL
#define GS_DATA 5UL
#define GS_CORE 6UL      /* KCore's own, for ever */

/* Is pa the address of a granule of tracked DRAM: aligned, and with a granule word? 0 never is. */
bool granule_tracked(uint64_t pa);

/* If pa is tracked, in this state, and nobody holds it: hold it. Never waits. */
bool granule_claim(uint64_t pa, uint64_t state);

/* Let go of a claimed granule. Guard: claimed by this CPU. */
void granule_release(uint64_t pa);

/*
 * Read and change a granule word. owner is the RD for REC, RTT and DATA, otherwise 0.
 * refs: NS: mappings and accesses by realms; RTT: live entries.
 * Guard for all but granule_owner: claimed by this CPU, or the realm lock of its owner is held.
 * The change is a release: it is seen only after all that this CPU did to the granule before.
 */
uint64_t granule_state(uint64_t pa);
void granule_set(uint64_t pa, uint64_t state, uint64_t owner);
uint64_t granule_refs(uint64_t pa);
void granule_set_refs(uint64_t pa, uint64_t refs);

/*
 * The RD that owns pa, if pa is tracked and of this state; otherwise 0. Takes no lock: a hint that the
 * caller checks again once it holds the realm lock.
 */
uint64_t granule_owner(uint64_t pa, uint64_t state);

/*
 * Pin an NS granule so that it stays NS: true if pa is tracked, NS, not claimed, and its reference count
 * is not full. Each success needs one ns_put. May be taken at any time before the first change.
 */
bool ns_get(uint64_t pa);
void ns_put(uint64_t pa);

/* Lock a realm: waits while rd is tracked and RD; false once it is not. */
bool realm_lock(uint64_t rd);
void realm_unlock(uint64_t rd);

/* VMIDs: false if out of the hardware's range, reserved for the host, or in use. */
bool vmid_claim(uint64_t vmid);
void vmid_release(uint64_t vmid);

/* ---- Memory ------------------------------------------------------------------------------ */

/*
 * Fill with zeroes, to the point of coherency (whatever attributes the next owner maps it with).
 * Guard: held, and no TLB of another party can reach it.
 */
void zero_granule(uint64_t pa);

/* Copy a page from a pinned NS granule to a held one. */
void copy_granule(uint64_t dst, uint64_t src);

/*
 * Open a sealed page: decrypt a pinned NS page to a held granule that is all zero, with the content key of rd.
 * AEAD ChaCha20-Poly1305; nonce: 4 zero bytes, ipa; associated data: image id of rd's policy, ipa; tag: address of
 * the 16 bytes, aligned to 16, in a pinned NS page. Both pages are read once. false: the tag is not that of this
 * page under this key, and dst is all zero still. Guard: rd has a key.
 */
bool open_granule(uint64_t rd, uint64_t dst, uint64_t ipa, uint64_t src, uint64_t tag);

/* Words of a DATA granule, index 0 to 511 (buffers of RSI calls). Guard: the owner's realm lock. */
uint64_t data_read(uint64_t pa, uint64_t index);
void data_write(uint64_t pa, uint64_t index, uint64_t value);

/* ---- Translation tables ------------------------------------------------------------------- */

/*
 * One descriptor of a table, slot 0 to 511. Guard: table is an RTT of a locked realm, a claimed granule
 * that becomes one, or a host table under host_lock. pt_write is visible to walkers on return; guard:
 * never a valid descriptor over another valid one that differs (break before make).
 */
uint64_t pt_read(uint64_t table, uint64_t slot);
void pt_write(uint64_t table, uint64_t slot, uint64_t desc);

/* Locks the host's stage 2 and the SMMU's. */
void host_lock(void);
void host_unlock(void);

/*
 * The table of the host's stage 2 (level 1, 2, 3) that translates ipa, or 0 if there is none. Tables are
 * made at boot and never move. There is a level 3 table for every 2 MiB with tracked DRAM in it, shared by
 * CPUs and SMMU. smmu_table: the SMMU's own tables of level 1 and 2, for DRAM only.
 */
uint64_t host_table(uint64_t level, uint64_t ipa);
uint64_t smmu_table(uint64_t level, uint64_t ipa);

/* Granules of the 2 MiB at ipa that the host's level 3 table does not map. Guard: host_lock. */
uint64_t host_holes(uint64_t ipa);
void host_set_holes(uint64_t ipa, uint64_t n);

/*
 * TLB maintenance on all CPUs, complete on return (barriers included, stage 1 + 2 entries too).
 * tlbi_host: what one entry of the host's stage 2 (page or block) translated at ipa. tlbi_host_2m: all of the
 * 2 MiB at ipa, and the table entry above. tlbi_realm: as tlbi_host, for a realm. tlbi_realm_all: everything
 * of a VMID, table entries too. smmu_tlbi: what the SMMU translated at ipa; also waits until
 * transactions already translated are done.
 */
void tlbi_host(uint64_t ipa);
void tlbi_host_2m(uint64_t ipa);
void tlbi_realm(uint64_t vmid, uint64_t ipa);
void tlbi_realm_all(uint64_t vmid);
void smmu_tlbi(uint64_t ipa);

/* ---- Scratch pages, one of each per CPU ------------------------------------------------------ */

/* Copy a pinned NS page into this CPU's parameter page, once; then read words of it (byte offset, aligned to 8). */
void params_load(uint64_t ns);
uint64_t params_word(uint64_t offset);

/*
 * Ed25519 (RFC 8032): is the signature at byte offset sig of the parameter page, by the public key at byte offset
 * key, good for its first len bytes? Guard: all three are multiples of 8 and inside the page.
 */
bool params_signed(uint64_t len, uint64_t key, uint64_t sig);

/*
 * The run page: run_load copies the entry half of a pinned NS page into this CPU's scratch, once, and
 * zeroes the exit half; run_store copies the exit half to a pinned NS page.
 */
void run_load(uint64_t ns);
void run_store(uint64_t ns);

/* run_in_NAME() or run_in_NAME(i): entry half. run_out_NAME(v) or run_out_NAME(i, v): exit half. */
#define RUN_IN_F(name, off) uint64_t run_in_##name(void);
#define RUN_IN_A(name, off, n) uint64_t run_in_##name(uint64_t i);
RUN_ENTRY_FIELDS(RUN_IN_F, RUN_IN_A)
#define RUN_OUT_F(name, off) void run_out_##name(uint64_t v);
#define RUN_OUT_A(name, off, n) void run_out_##name(uint64_t i, uint64_t v);
RUN_EXIT_FIELDS(RUN_OUT_F, RUN_OUT_A)

/*
 * Hashing, alg as RMI_HASH_*. The hash buffer is a page: hash_clear zeroes it, hash_put sets word index
 * (0 to 511). hash_buffer hashes its first len bytes (at most 4096), hash_granule a held granule; both leave
 * the digest for hash_word (0 to 7; words past the digest's size are 0).
 */
void hash_clear(void);
void hash_put(uint64_t index, uint64_t value);
void hash_buffer(uint64_t alg, uint64_t len);
void hash_granule(uint64_t alg, uint64_t pa);
uint64_t hash_word(uint64_t index);

/* ---- Realm descriptors and RECs -------------------------------------------------------------- */

/*
 * rd_get_NAME(rd), rd_set_NAME(rd, v); arrays: rd_get_NAME(rd, i), rd_set_NAME(rd, i, v); REC alike.
 * Guard: pa is an RD (REC), or a claimed granule that becomes one; the realm lock is held, or for a REC,
 * this CPU runs it.
 */
#define RD_F(name)                                                                             \
	uint64_t rd_get_##name(uint64_t rd);                                                   \
	void rd_set_##name(uint64_t rd, uint64_t v);
#define RD_A(name, n)                                                                          \
	uint64_t rd_get_##name(uint64_t rd, uint64_t i);                                       \
	void rd_set_##name(uint64_t rd, uint64_t i, uint64_t v);
RD_FIELDS(RD_F, RD_A)

#define REC_F(name)                                                                            \
	uint64_t rec_get_##name(uint64_t rec);                                                 \
	void rec_set_##name(uint64_t rec, uint64_t v);
#define REC_A(name, n)                                                                         \
	uint64_t rec_get_##name(uint64_t rec, uint64_t i);                                     \
	void rec_set_##name(uint64_t rec, uint64_t i, uint64_t v);
REC_FIELDS(REC_F, REC_A)

/*
 * HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305: open the content key in
 * the parameter page (LAUNCH_KEY_*) with the sealing key of this KCore, and put it into rd's content_key. info:
 * "kcore image key 1", image id of rd's policy; aad: rd's policy, 0xF0 bytes. false: it does not open, and rd is
 * as it was.
 */
bool open_content_key(uint64_t rd);

/* Indices of EL1 registers: SYS_SCTLR_EL1 and so on. */
enum rec_sysreg_index {
#define REC_SYSREG_ENUM(name) SYS_##name,
	REC_SYSREGS(REC_SYSREG_ENUM)
#undef REC_SYSREG_ENUM
	SYS_COUNT
};

/* An EL1 register of a REC: the CPU's own while the REC is loaded here, otherwise the saved one. */
uint64_t rec_sysreg(uint64_t rec, uint64_t index);
void rec_set_sysreg(uint64_t rec, uint64_t index, uint64_t value);

/*
 * Put a REC's EL1 registers, FP, virtual GIC interface, timer and stage 2 on this CPU, after saving the
 * host's; and the reverse. General registers, pc and pstate are not part of it: the switch moves them
 * between the REC's fields and the CPU at each entry and trap.
 */
void rec_load(uint64_t rec);
void rec_unload(uint64_t rec);

/* ---- Attestation ----------------------------------------------------------------------------- */

/*
 * Fetching a token (RSI_ATTEST_TOKEN_*), in a REC's token fields. token_claim puts down what it will say: the
 * challenge in gpr 1 to 8, and of rd, which is locked and the REC's, measurements and personalization. token_sign
 * makes the realm token of that, signed by this KCore; false: no signature. Then token_bytes is the size of the
 * whole token, platform token included (at most 4096), and token_read copies size bytes of it, from offset from,
 * to a DATA granule of the realm, which is locked; guard: inside the token, inside the page.
 */
void token_claim(uint64_t rec, uint64_t rd);
bool token_sign(uint64_t rec);
uint64_t token_bytes(uint64_t rec);
void token_read(uint64_t rec, uint64_t from, uint64_t size, uint64_t pa, uint64_t offset);

struct identity_read_result {
	uint64_t bytes; /* written to the page, at most 4096 */
	uint64_t total; /* size of the document */
};
/* Copy this KCore's identity document from an offset on to a pinned NS page; nothing past its end. */
struct identity_read_result identity_read(uint64_t ns, uint64_t offset);

/* ---- CPU ---------------------------------------------------------------------------------- */

uint64_t counter_now(void);       /* CNTPCT_EL0 */
void vtimer_mask(bool masked);    /* keep the virtual timer's interrupt from this CPU, or not */
uint64_t ich_vtr(void);           /* ICH_VTR_EL2 */
uint64_t s2_width(void);          /* widest stage 2 input address for a realm, bits (at most 48) */
bool has_level0(void);            /* may a stage 2 walk start at level 0? (PA width >= 44) */
uint64_t id_reg(uint64_t crm, uint64_t op2); /* raw ID register S3_0_C0_C<crm>_<op2>, crm 1 to 7; else 0 */

/* ---- Log and counters ------------------------------------------------------------------------ */

void log_event(uint64_t code, uint64_t a, uint64_t b);

struct log_read_result {
	uint64_t bytes; /* written to the page, at most 4096 */
	uint64_t next;  /* sequence number to go on with */
};
/* Copy log text from position seq to a pinned NS page. */
struct log_read_result log_read(uint64_t ns, uint64_t seq);
uint64_t log_size(void);
uint64_t tracked_granules(void);

/* Counters KCORE_CTR_*: add n (wrapping; 2^64 - 1 takes one away), read. */
void counter_add(uint64_t index, uint64_t n);
uint64_t counter_read(uint64_t index);

/* ---- Entry points of the core ------------------------------------------------------------------ */

struct smc_result {
	uint64_t x0;
	uint64_t x1;
	uint64_t x2;
	uint64_t x3;
	uint64_t x4;
	uint64_t rec; /* not 0: run this REC instead of answering; it is loaded (rec_load) */
};

/*
 * SMC from the host's EL1, all but PSCI and SMCCC_VERSION/ARCH_FEATURES (the relay's): RMI, KCORE_*, the
 * vendor UID. fid: x0. Answer: put x0-x4 into the host's registers, the others stay. If rec is not 0, enter
 * that guest, and after each of its traps call core_rec_exit.
 */
struct smc_result core_host_smc(uint64_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4,
				uint64_t x5);

/* Why the guest stopped. */
#define TRAP_SYNC 0UL
#define TRAP_IRQ 1UL
#define TRAP_FIQ 2UL
#define TRAP_SERROR 3UL

/*
 * A running REC trapped; gpr, pc and pstate are saved in it. esr, far, hpfar: the EL2 registers (raw); hpfar
 * holds the IPA for permission faults too (the switch looks it up where the CPU does not say).
 * true: enter the guest again. false: the run is over, the REC is unloaded and the run page written;
 * answer the host's REC_ENTER with x0 to x3 = 0 (x4 and up as it had them).
 */
bool core_rec_exit(uint64_t rec, uint64_t trap, uint64_t esr, uint64_t far, uint64_t hpfar);

/* What to do about a stage 2 abort of the host. */
#define HOST_RETRY 0UL  /* the mapping is there (again): run the instruction again */
#define HOST_INJECT 1UL /* not the host's memory: synchronous external abort into EL1 */
#define HOST_DEVICE 2UL /* not DRAM: a mediated device's, or else inject */
uint64_t core_host_abort(uint64_t esr, uint64_t hpfar, uint64_t far);

/*
 * Boot, on one CPU, before the first entry to EL1; granule words are set (NS, CORE), tables are zero.
 * core_boot_dram: the 2 MiB at ipa, which has a level 3 table: identity for its NS granules, in the CPU's
 * and the SMMU's tables. core_boot_device: one device entry for the host's CPUs at level 2 (2 MiB) or
 * level 3 (4 KiB); the tables down to that level exist.
 */
void core_boot_dram(uint64_t ipa);
void core_boot_device(uint64_t ipa, uint64_t level);

#endif
