/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of object fields. C structures and accessors (mach.h, hyp/mach, hyp/sim) and the
 * records of proofs/ are generated from it.
 *
 * F(name)            one uint64_t
 * A(name, n)         n of them
 * F(name, off), A(name, off, n)   the same at a fixed byte offset (pages whose layout is ABI)
 *
 * RD and REC lie in one granule each, fields in the order of the table, 8 bytes each from offset 0.
 * Nothing but KCore ever sees these layouts.
 */
#ifndef KCORE_MACH_FIELDS_H
#define KCORE_MACH_FIELDS_H

/* Realm descriptor. Guarded by the realm lock. */
#define RD_FIELDS(F, A)                                                                        \
	F(state)       /* REALM_NEW, REALM_ACTIVE, REALM_SYSTEM_OFF */                         \
	F(s2sz)        /* width of the IPA space in bits */                                    \
	F(ipa_size)    /* 2^s2sz */                                                            \
	F(start_level) /* 0, 1 or 2 */                                                         \
	F(num_start)   /* concatenated start tables, 1 to 16 */                                \
	F(rtt_base)    /* PA of the first start table */                                       \
	F(vmid)                                                                                \
	F(hash_algo)   /* RMI_HASH_* */                                                        \
	F(rec_index)   /* RECs ever created = index of the next one */                         \
	F(rec_count)   /* RECs that exist */                                                   \
	A(meas, 40)    /* five measurements of eight words: RIM, REM1 to REM4 */               \
	A(rpv, 8)                                                                              \
	F(has_policy)    /* 1: a launch policy is set */                                       \
	A(policy, 30)    /* its launch block, bytes 0 to 0xEF; else 0 */                       \
	F(has_key)       /* 1: content_key is set */                                           \
	A(content_key, 4) /* of sealed pages; wiped when the realm becomes ACTIVE */           \
	F(max_vcpus)     /* RECs ever created, at most */                                      \
	F(max_private)   /* DATA granules, at most */                                          \
	F(max_shared)    /* pages of ASSIGNED_NS entries, at most */                           \
	F(pages_private) /* DATA granules now */                                               \
	F(pages_shared)  /* pages of ASSIGNED_NS entries now */

/*
 * REC. Owned by the CPU that runs it (run_state 1), else guarded by the realm lock.
 * Groups: identity, what the host must do next, general registers, EL1 registers, GIC, FP.
 */
#define REC_FIELDS(F, A)                                                                       \
	F(rd)            /* PA of the realm descriptor */                                      \
	F(index)         /* MPIDR index */                                                     \
	F(running)       /* 1 while a CPU runs it */                                           \
	F(runnable)      /* PSCI on */                                                         \
	F(run_page)      /* PA of the run page while running */                                \
	/* stage 2 of the realm, for the switch: copies of the RD's */                         \
	F(s2sz)                                                                                \
	F(start_level)                                                                         \
	F(rtt_base)                                                                            \
	F(vmid)                                                                                \
	/* set by the core for the next entry into the guest */                                \
	F(trap_wfi)      /* 1: HCR_EL2.TWI */                                                  \
	F(trap_wfe)      /* 1: HCR_EL2.TWE */                                                  \
	F(vse)           /* 1: HCR_EL2.VSE; the switch clears it once the guest took it */     \
	/* what the last exit asks for */                                                      \
	F(last_esr)      /* of the last abort shown to the host, 0 if none */                  \
	F(last_far)                                                                            \
	F(last_hpfar)                                                                          \
	F(psci_pending)  /* 1: PSCI_COMPLETE must come first */                                \
	F(host_call)     /* 1: host call results are due */                                    \
	F(host_call_ipa)                                                                       \
	F(ripas_pending) /* 1: a RIPAS change is due */                                        \
	F(ripas_base)    /* next address not yet done */                                       \
	F(ripas_top)                                                                           \
	F(ripas_value)                                                                         \
	F(ripas_destroyed) /* 1: CHANGE_DESTROYED */                                           \
	F(timer_line)    /* virtual timer asserted, as last told to the host */                \
	F(cntp_ctl)      /* emulated physical timer, ENABLE and IMASK */                       \
	F(cntp_cval)                                                                           \
	F(cntp_line)     /* physical timer asserted, as last told to the host */               \
	/* the guest's state: saved by the switch at every trap */                             \
	A(gpr, 31)                                                                             \
	F(pc)                                                                                  \
	F(pstate)        /* SPSR_EL2 format */                                                 \
	/* EL1 registers in the order of REC_SYSREGS, as saved: stale while the REC is loaded, \
	   use rec_sysreg() */                                                                 \
	A(el1, 40)                                                                             \
	/* attestation token that the realm is fetching */                                     \
	F(token_state)   /* TOKEN_NONE, TOKEN_CLAIMED, TOKEN_SIGNED */                         \
	F(token_done)    /* bytes of the whole token that were fetched */                      \
	F(token_len)     /* bytes in token: claims, then the signed realm token */             \
	A(token, 128)                                                                          \
	/* virtual GIC interface: valid here while the REC is not loaded */                    \
	F(ich_hcr)                                                                             \
	F(ich_vmcr)                                                                            \
	F(ich_misr)                                                                            \
	A(ich_lr, 16)                                                                          \
	A(ich_ap0r, 4)                                                                         \
	A(ich_ap1r, 4)                                                                         \
	/* FP and SIMD: V0 to V31, FPSR, FPCR. The core only zeroes them. */                   \
	A(fp, 66)

/*
 * EL1 registers of a REC, switched by rec_load() and rec_unload(); SYS_name is the index.
 * A register that the CPU does not have (PAuth keys) stays 0.
 */
#define REC_SYSREGS(R)                                                                         \
	R(SCTLR_EL1)                                                                           \
	R(ACTLR_EL1)                                                                           \
	R(CPACR_EL1)                                                                           \
	R(TTBR0_EL1)                                                                           \
	R(TTBR1_EL1)                                                                           \
	R(TCR_EL1)                                                                             \
	R(ESR_EL1)                                                                             \
	R(AFSR0_EL1)                                                                           \
	R(AFSR1_EL1)                                                                           \
	R(FAR_EL1)                                                                             \
	R(MAIR_EL1)                                                                            \
	R(AMAIR_EL1)                                                                           \
	R(VBAR_EL1)                                                                            \
	R(CONTEXTIDR_EL1)                                                                      \
	R(TPIDR_EL1)                                                                           \
	R(TPIDR_EL0)                                                                           \
	R(TPIDRRO_EL0)                                                                         \
	R(CNTKCTL_EL1)                                                                         \
	R(PAR_EL1)                                                                             \
	R(ELR_EL1)                                                                             \
	R(SPSR_EL1)                                                                            \
	R(SP_EL0)                                                                              \
	R(SP_EL1)                                                                              \
	R(MDSCR_EL1)                                                                           \
	R(CSSELR_EL1)                                                                          \
	R(DISR_EL1)                                                                            \
	R(VMPIDR_EL2)                                                                          \
	R(VSESR_EL2)                                                                           \
	R(CNTV_CTL_EL0)                                                                        \
	R(CNTV_CVAL_EL0)                                                                       \
	R(APIAKEYLO_EL1)                                                                       \
	R(APIAKEYHI_EL1)                                                                       \
	R(APIBKEYLO_EL1)                                                                       \
	R(APIBKEYHI_EL1)                                                                       \
	R(APDAKEYLO_EL1)                                                                       \
	R(APDAKEYHI_EL1)                                                                       \
	R(APDBKEYLO_EL1)                                                                       \
	R(APDBKEYHI_EL1)                                                                       \
	R(APGAKEYLO_EL1)                                                                       \
	R(APGAKEYHI_EL1)

/* RmiRecRun, entry half: byte offsets in the run page. */
#define RUN_ENTRY_FIELDS(F, A)                                                                 \
	F(flags, 0x000)                                                                        \
	A(gpr, 0x200, 31)                                                                      \
	F(gicv3_hcr, 0x300)                                                                    \
	A(gicv3_lr, 0x308, 16)

/* RmiRecRun, exit half: byte offsets in the run page. */
#define RUN_EXIT_FIELDS(F, A)                                                                  \
	F(reason, 0x800)                                                                       \
	F(esr, 0x900)                                                                          \
	F(far, 0x908)                                                                          \
	F(hpfar, 0x910)                                                                        \
	A(gpr, 0xa00, 31)                                                                      \
	F(gicv3_hcr, 0xb00)                                                                    \
	A(gicv3_lr, 0xb08, 16)                                                                 \
	F(gicv3_misr, 0xb88)                                                                   \
	F(gicv3_vmcr, 0xb90)                                                                   \
	F(cntp_ctl, 0xc00)                                                                     \
	F(cntp_cval, 0xc08)                                                                    \
	F(cntv_ctl, 0xc10)                                                                     \
	F(cntv_cval, 0xc18)                                                                    \
	F(ripas_base, 0xd00)                                                                   \
	F(ripas_top, 0xd08)                                                                    \
	F(ripas_value, 0xd10)                                                                  \
	F(imm, 0xe00)

#endif
