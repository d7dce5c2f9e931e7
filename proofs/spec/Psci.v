(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/psci.c: PSCI 1.1 for realms (DEN0022), and RMI_PSCI_COMPLETE (DEN0137 B4.3.7).

   What the host learns of a call is in `notified`: its function and, where the host has to name the target REC, the
   target's MPIDR. CPU_ON and AFFINITY_INFO leave the answer open: with psci_pending, the REC's x0 to x3 keep what
   the realm asked until the host gives the target. *)
From kcore Require Export spec.RecGuest spec.RecLock spec.Ipa spec.Hostmem.
Local Open Scope Z_scope.

Definition PSCI_VERSION := 0x84000000.
Definition PSCI_CPU_SUSPEND_32 := 0x84000001.
Definition PSCI_CPU_SUSPEND_64 := 0xC4000001.
Definition PSCI_CPU_OFF := 0x84000002.
Definition PSCI_CPU_ON_32 := 0x84000003.
Definition PSCI_CPU_ON_64 := 0xC4000003.
Definition PSCI_AFFINITY_INFO_32 := 0x84000004.
Definition PSCI_AFFINITY_INFO_64 := 0xC4000004.
Definition PSCI_SYSTEM_OFF := 0x84000008.
Definition PSCI_SYSTEM_RESET := 0x84000009.
Definition PSCI_FEATURES := 0x8400000A.
Definition SMCCC_VERSION := 0x80000000.

(* Negative results, as the 64 bits of x0. *)
Definition minus (n : Z) : Z := 2 ^ 64 - n.
Definition PSCI_SUCCESS := 0.
Definition PSCI_NOT_SUPPORTED := minus 1.
Definition PSCI_INVALID_PARAMETERS := minus 2.
Definition PSCI_DENIED := minus 3.
Definition PSCI_ALREADY_ON := minus 4.
Definition PSCI_INVALID_ADDRESS := minus 9.
Definition PSCI_AFFINITY_ON := 0.
Definition PSCI_AFFINITY_OFF := 1.

Definition PSTATE_RESET := 0x3C5.       (* EL1h, DAIF set *)
Definition SCTLR_RESET := 0x30D50878.
Definition SCTLR_EE := 0x2000000.
Definition SYSTEM_OFF := 2.             (* state of a realm *)
Definition EXIT_PSCI := 3.              (* exit reason *)
Definition CTR_EXIT_PSCI := 5.
Definition LOG_REALM_OFF := 5.

Definition is_cpu_on (fid : Z) : bool := (fid =? PSCI_CPU_ON_32) || (fid =? PSCI_CPU_ON_64).
Definition is_affinity_info (fid : Z) : bool := (fid =? PSCI_AFFINITY_INFO_32) || (fid =? PSCI_AFFINITY_INFO_64).
Definition is_suspend (fid : Z) : bool := (fid =? PSCI_CPU_SUSPEND_32) || (fid =? PSCI_CPU_SUSPEND_64).
Definition is_system_off (fid : Z) : bool := (fid =? PSCI_SYSTEM_OFF) || (fid =? PSCI_SYSTEM_RESET).

(* Index of the REC with an MPIDR: four bits of Aff0, then Aff1, Aff2, Aff3. *)
Definition mpidr_index (mpidr : Z) : Z :=
  Z.lor (Z.lor (Z.land mpidr 0xF) (Z.land (Z.shiftr mpidr 4) 0xFFFF0)) (Z.land (Z.shiftr mpidr 12) 0xFF00000).
Definition mpidr_ok (mpidr : Z) : bool := Z.land mpidr (0xFFFFFFFFFFFFFFFF - 0xFF00FFFF0F) =? 0.

(* ---- RMI_PSCI_COMPLETE ---- *)

(* The caller gets its answer. *)
Definition psci_finished (caller result : Z) (s : state) : state :=
  rec_set REC_psci_pending caller 0 0 (regs_set caller result 0 0 0 s).

(* A target that was off starts at the entry point in the caller's x2, with the caller's x3 in x0, and the byte
   order of the caller. *)
Definition turned_on (caller target : Z) (s : state) : state :=
  rec_set REC_runnable target 0 1
    (rec_set REC_pc target 0 (gpr caller 2 s)
      (gpr_set target 0 (gpr caller 3 s)
        (el1_set target SCTLR_EL1 (Z.lor SCTLR_RESET (Z.land (el1_get caller SCTLR_EL1 s) SCTLR_EE))
          (rec_set REC_pstate target 0 PSTATE_RESET s)))).

(* The host may say SUCCESS or DENIED; that a target is on already is not for it to say. *)
Definition complete_on (caller target : Z) (on : bool) (status : Z) (s : state) : Z * state :=
  if negb (status =? PSCI_SUCCESS) && negb (status =? PSCI_DENIED) then (RMI_ERROR_INPUT, s)
  else if on then
    (if status =? PSCI_DENIED then RMI_ERROR_INPUT else RMI_SUCCESS, psci_finished caller PSCI_ALREADY_ON s)
  else
    (RMI_SUCCESS, psci_finished caller status (if status =? PSCI_SUCCESS then turned_on caller target s else s)).

Definition complete_affinity (caller : Z) (on : bool) (status : Z) (s : state) : Z * state :=
  if negb (status =? PSCI_SUCCESS) then (RMI_ERROR_INPUT, s)
  else (RMI_SUCCESS, psci_finished caller (if on then PSCI_AFFINITY_ON else PSCI_AFFINITY_OFF) s).

(* The caller does not run, waits for an answer, and asked for this target? Both are RECs of one realm. *)
Definition awaits (caller target : Z) (s : state) : bool :=
  (rec_get REC_running caller 0 s =? 0) && negb (rec_get REC_psci_pending caller 0 s =? 0) &&
  (mpidr_index (gpr caller 1 s) =? rec_get REC_index target 0 s).
Definition is_on (rec : Z) (s : state) : bool :=
  negb (rec_get REC_running rec 0 s =? 0) || negb (rec_get REC_runnable rec 0 s =? 0).
Definition complete_locked (caller target status : Z) (s : state) : Z * state :=
  if negb (awaits caller target s) then (RMI_ERROR_INPUT, s)
  else if is_cpu_on (gpr caller 0 s) then complete_on caller target (is_on target s) status s
  else complete_affinity caller (is_on target s) status s.

Definition psci_completed (caller target status : Z) (s : state) : Z * state :=
  if (caller =? target) || negb (owner_found caller s) || negb (rec_owner target s =? rec_owner caller s)
  then (RMI_ERROR_INPUT, s)
  else complete_locked caller target status s.

(* ---- Calls of the guest: leave to the host? ---- *)

Definition psci_answered (rec result : Z) (s : state) : bool * state := (false, returned rec result 0 0 0 s).

(* What the host is shown. *)
Definition notified (fid mpidr : Z) (s : state) : state :=
  counted CTR_EXIT_PSCI 1 (run_out OUT_gpr 1 mpidr (run_out OUT_gpr 0 fid (run_out OUT_reason 0 EXIT_PSCI s))).

Definition asked (rec fid mpidr : Z) (s : state) : bool * state :=
  (true, notified fid mpidr (skipped rec (rec_set REC_psci_pending rec 0 1 (gpr_set rec 0 fid s)))).

(* Is there a REC with this MPIDR? *)
Definition target_ok (rd mpidr : Z) (s : state) : bool :=
  mpidr_ok mpidr && (mpidr_index mpidr <? rd_get RD_rec_index rd 0 s).
Definition is_self (rec mpidr : Z) (s : state) : bool := mpidr_index mpidr =? rec_get REC_index rec 0 s.

Definition cpu_on (rec fid : Z) (s : state) : bool * state :=
  let mpidr := gpr rec 1 s in
  let entry := gpr rec 2 s in
  if negb (in_par (realm_of rec s) entry s) then psci_answered rec PSCI_INVALID_ADDRESS s
  else if negb (target_ok (realm_of rec s) mpidr s) then psci_answered rec PSCI_INVALID_PARAMETERS s
  else if is_self rec mpidr s then psci_answered rec PSCI_ALREADY_ON s
  else asked rec fid mpidr s.

Definition affinity_info (rec fid : Z) (s : state) : bool * state :=
  let mpidr := gpr rec 1 s in
  let lowest := gpr rec 2 s in
  if negb (lowest =? 0) || negb (target_ok (realm_of rec s) mpidr s) then psci_answered rec PSCI_INVALID_PARAMETERS s
  else if is_self rec mpidr s then psci_answered rec PSCI_AFFINITY_ON s
  else asked rec fid mpidr s.

Definition cpu_off (rec : Z) (s : state) : bool * state :=
  (true, notified PSCI_CPU_OFF 0 (skipped rec (rec_set REC_runnable rec 0 0 s))).

Definition logged_event (code a b : Z) (s : state) : state := with_logged ((code, a, b) :: logged s) s.

Definition system_off (rec fid : Z) (s : state) : bool * state :=
  let rd := realm_of rec s in
  (true, notified fid 0 (skipped rec (logged_event LOG_REALM_OFF rd fid (rd_set RD_state rd 0 SYSTEM_OFF s)))).

Definition suspend (rec fid : Z) (s : state) : bool * state :=
  (true, notified fid 0 (returned rec PSCI_SUCCESS 0 0 0 s)).

Definition features (fid : Z) : Z :=
  if is_suspend fid || (fid =? PSCI_CPU_OFF) || is_cpu_on fid || is_affinity_info fid || is_system_off fid ||
     (fid =? PSCI_FEATURES) || (fid =? SMCCC_VERSION)
  then PSCI_SUCCESS else PSCI_NOT_SUPPORTED.

(* What the core answers alone; SMCCC 1.2, PSCI 1.1. *)
Definition simple_result (rec fid : Z) (s : state) : Z :=
  if fid =? SMCCC_VERSION then 0x10002
  else if fid =? PSCI_VERSION then 0x10001
  else if fid =? PSCI_FEATURES then features (Z.land (gpr rec 1 s) 0xFFFFFFFF)
  else PSCI_NOT_SUPPORTED.
Definition psci_simple (rec fid : Z) (s : state) : bool * state := psci_answered rec (simple_result rec fid s) s.

(* x1 to x3 of a 32-bit call. *)
Definition narrowed_reg (rec n : Z) (s : state) : state := gpr_set rec n (Z.land (gpr rec n s) 0xFFFFFFFF) s.
Definition narrowed (rec : Z) (s : state) : state := narrowed_reg rec 3 (narrowed_reg rec 2 (narrowed_reg rec 1 s)).

Definition psci_called (rec fid : Z) (s : state) : bool * state :=
  let s := if (fid =? PSCI_CPU_ON_32) || (fid =? PSCI_AFFINITY_INFO_32) then narrowed rec s else s in
  if is_cpu_on fid then cpu_on rec fid s
  else if is_affinity_info fid then affinity_info rec fid s
  else if fid =? PSCI_CPU_OFF then cpu_off rec s
  else if is_system_off fid then system_off rec fid s
  else if is_suspend fid then suspend rec fid s
  else psci_simple rec fid s.
