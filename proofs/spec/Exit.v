(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: what a trap of a REC does, but for SMCs and aborts of stage 2 (DEN0137 A4.3).

   A handler says whether to leave to the host, and the state after. The host sees the exit half of the run page: only
   what `run_out` puts there, and counters and the log. *)
From kcore Require Export spec.RecGuest spec.RecLock spec.Vtimer spec.Hostmem.
Local Open Scope Z_scope.

(* Exit reasons. *)
Definition EXIT_SYNC := 0.
Definition EXIT_IRQ := 1.
Definition EXIT_FIQ := 2.
Definition EXIT_SERROR := 6.

Definition CTR_EXIT_MMIO := 0.
Definition CTR_EXIT_FAULT := 1.
Definition CTR_EXIT_SYSREG := 2.
Definition CTR_EXIT_WFX := 3.
Definition CTR_EXIT_IRQ := 4.
Definition CTR_EXIT_OTHER := 8.
Definition LOG_REC_STUCK := 6.

(* Fields of ESR_EL2 (DDI0487 D19.2.37). *)
Definition ec_of (esr : Z) : Z := Z.land (Z.shiftr esr 26) 63.
Definition fsc_of (esr : Z) : Z := Z.land esr 63.
Definition has (mask esr : Z) : bool := negb (Z.land esr mask =? 0).
Definition ISV := 0x1000000.
Definition SSE := 0x200000.
Definition SF := 0x8000.
Definition WNR := 0x40.

(* What the host is shown of a syndrome. *)
Definition shown_abort (esr : Z) : Z := Z.land esr 0xFC001E3F.      (* EC, SET, FnV, EA, FSC *)
Definition shown_mmio (esr : Z) : Z := Z.land esr 0xFDC09E7F.       (* and ISV, SAS, SF, WnR *)
Definition shown_serror (esr : Z) : Z := Z.land esr 0x1001E3F.      (* IDS, AET, EA, DFSC *)
Definition shown_wfx (esr : Z) : Z := Z.land esr 0xFC000001.        (* EC, TI *)
Definition shown_page (hpfar : Z) : Z := Z.land hpfar 0xFFFFFFFFFF0.

Definition sync_shown (esr : Z) (s : state) : state := run_out OUT_esr 0 esr (run_out OUT_reason 0 EXIT_SYNC s).

Definition plain (reason ctr : Z) (s : state) : bool * state := (true, counted ctr 1 (run_out OUT_reason 0 reason s)).

(* WFI or WFE that the host asked to trap. *)
Definition wfx (rec esr : Z) (s : state) : bool * state :=
  (true, counted CTR_EXIT_WFX 1 (sync_shown (shown_wfx esr) (skipped rec s))).

(* ---- System registers: op0, op2, op1, CRn, CRm as the syndrome has them ---- *)

Definition sysreg (op0 op1 crn crm op2 : Z) : Z :=
  op0 * 2 ^ 20 + op2 * 2 ^ 17 + op1 * 2 ^ 14 + crn * 2 ^ 10 + crm * 2.
Definition sysreg_of (esr : Z) : Z := Z.land esr 0x3FFC1E.
Definition sysreg_rt (esr : Z) : Z := Z.land (Z.shiftr esr 5) 31.
Definition sysreg_crm (esr : Z) : Z := Z.land (Z.shiftr esr 1) 15.
Definition sysreg_op2 (esr : Z) : Z := Z.land (Z.shiftr esr 17) 7.
Definition is_id (r : Z) : bool := Z.land r (sysreg 3 7 15 0 0) =? sysreg 3 0 0 0 0.
Definition is_cntp (r : Z) : bool :=
  (r =? sysreg 3 3 14 2 0) || (r =? sysreg 3 3 14 2 1) || (r =? sysreg 3 3 14 2 2).
(* ICC_SGI1R, ICC_ASGI1R, ICC_SGI0R; ICC_DIR. *)
Definition is_hosts (r : Z) : bool :=
  (r =? sysreg 3 0 12 11 5) || (r =? sysreg 3 0 12 11 6) || (r =? sysreg 3 0 12 11 7) || (r =? sysreg 3 0 12 11 1).

(* The host emulates what raises interrupts at other virtual CPUs, and deactivation: it gets the value written. *)
Definition sysreg_hosts (esr value : Z) (s : state) : bool * state :=
  (true, counted CTR_EXIT_SYSREG 1 (run_out OUT_gpr 0 value (sync_shown esr s))).

(* A write: to a timer, the host arms one from what it is told at the exit; to anything else, nothing. *)
Definition sysreg_written (rec esr : Z) (s : state) : bool * state :=
  let r := sysreg_of esr in
  let value := reg rec (sysreg_rt esr) s in
  let '(leave, s) :=
    if is_hosts r then sysreg_hosts esr value s
    else if is_cntp r then plain EXIT_IRQ CTR_EXIT_IRQ (cntp_written rec (sysreg_op2 esr) value s)
    else (false, s) in
  (leave, skipped rec s).

(* ---- Aborts ---- *)

(* Memory itself failed: synchronous external abort, on a walk or not. *)
Definition is_external (fsc : Z) : bool := (fsc =? 16) || ((19 <=? fsc) && (fsc <=? 23)).
Definition external (rec esr far : Z) (s : state) : bool * state :=
  let restartable := Z.land (Z.shiftr esr 11) 3 =? 3 in
  (true, counted CTR_EXIT_OTHER 1
    (sync_shown (shown_abort esr) (if restartable then s else sea_injected rec esr far s))).

(* A protected page is not there: the host gets the page's address, nothing of the access. *)
Definition fault (rec esr hpfar : Z) (s : state) : bool * state :=
  (true, counted CTR_EXIT_FAULT 1
    (rec_set REC_last_hpfar rec 0 hpfar (rec_set REC_last_esr rec 0 (shown_abort esr)
      (run_out OUT_hpfar 0 (shown_page hpfar) (sync_shown (shown_abort esr) s))))).

(* The data that an access of this size moves, and its sign extended to 64 bits. *)
Definition access_size (esr : Z) : Z := Z.land (Z.shiftr esr 22) 3.
Definition access_data (esr v : Z) : Z :=
  if access_size esr =? 0 then Z.land v 0xFF
  else if access_size esr =? 1 then Z.land v 0xFFFF
  else if access_size esr =? 2 then Z.land v 0xFFFFFFFF
  else v.
Definition access_signed (esr v : Z) : Z :=
  let ones n := 0xFFFFFFFFFFFFFFFF - (2 ^ n - 1) in
  if (access_size esr =? 0) && has 0x80 v then Z.lor v (ones 8)
  else if (access_size esr =? 1) && has 0x8000 v then Z.lor v (ones 16)
  else if (access_size esr =? 2) && has 0x80000000 v then Z.lor v (ones 32)
  else v.
Definition access_rt (esr : Z) : Z := Z.land (Z.shiftr esr 16) 31.

(* An access to the unprotected half that the host may emulate: it gets the syndrome, the address, and what is
   written. The REC remembers the access for the next entry. *)
Definition mmio (rec esr far hpfar : Z) (s : state) : bool * state :=
  let value := if has WNR esr then access_data esr (reg rec (access_rt esr) s) else 0 in
  (true, counted CTR_EXIT_MMIO 1
    (rec_set REC_last_hpfar rec 0 hpfar (rec_set REC_last_far rec 0 far (rec_set REC_last_esr rec 0 esr
      (run_out OUT_gpr 0 value (run_out OUT_hpfar 0 (shown_page hpfar) (run_out OUT_far 0 (Z.land far 0xFFF)
        (sync_shown (shown_mmio esr) s)))))))).

Definition sea (rec esr far : Z) (s : state) : bool * state := (false, sea_injected rec esr far s).

(* ---- The rest ---- *)

(* Nobody can help: the host is told that it stopped, and the log has the syndrome. *)
Definition stuck (rec esr : Z) (s : state) : bool * state :=
  plain EXIT_SYNC CTR_EXIT_OTHER (with_logged ((LOG_REC_STUCK, rec, esr) :: logged s) s).

Definition undef (rec back : Z) (s : state) : bool * state :=
  (false, undef_injected rec (wrap U64 (rec_get REC_pc rec 0 s - back)) s).

(* SVE, SME; CP15, CP14, CP10 of AArch32. *)
Definition is_undef (ec : Z) : bool :=
  (ec =? 25) || (ec =? 29) ||
  ((ec =? 3) || (ec =? 4) || (ec =? 5) || (ec =? 6) || (ec =? 8) || (ec =? 12)).
Definition EC_HVC := 22.
(* The preferred return address of an HVC is the instruction after it. *)
Definition sync_other (rec esr : Z) (s : state) : bool * state :=
  if ec_of esr =? EC_HVC then undef rec 4 s
  else if is_undef (ec_of esr) then undef rec 0 s
  else stuck rec esr s.

(* Restartable (UEO) and corrected (CE) errors pass; of all others the realm gets a virtual SError. *)
Definition VSESR_EL2 := 27.
Definition serror_passes (esr : Z) : bool :=
  negb (has 0x1000000 esr) && (fsc_of esr =? 17) &&
  ((Z.land (Z.shiftr esr 10) 7 =? 2) || (Z.land (Z.shiftr esr 10) 7 =? 6)).
Definition serror (rec esr : Z) (s : state) : bool * state :=
  let s := if serror_passes esr then s
           else el1_set rec VSESR_EL2 (Z.land esr 0x1FFFFFF) (rec_set REC_vse rec 0 1 s) in
  (true, counted CTR_EXIT_OTHER 1 (run_out OUT_esr 0 (shown_serror esr) (run_out OUT_reason 0 EXIT_SERROR s))).
