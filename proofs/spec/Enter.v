(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: RMI_REC_ENTER (DEN0137 B4.3.14): what the host may give at an entry. *)
From kcore Require Export spec.Exit spec.Vgic spec.Ipa spec.Granule spec.Rsi.
Local Open Scope Z_scope.

Definition RMI_ERROR_REC := 3.
Definition REALM_NEW := 0.
Definition REALM_OFF := 2.

(* Entry flags. *)
Definition EMUL_MMIO := 1.
Definition INJECT_SEA := 2.
Definition TRAP_WFI := 4.
Definition TRAP_WFE := 8.
Definition RIPAS_REJECT := 16.
Definition wants (flag : Z) (s : state) : bool := has flag (run_in IN_flags 0 s).

(* The abort that the last exit showed. *)
Definition EC_DABT := 36.
Definition last_esr (rec : Z) (s : state) : Z := rec_get REC_last_esr rec 0 s.
Definition last_ipa (rec : Z) (s : state) : Z := wrap U64 (Z.shiftl (shown_page (rec_get REC_last_hpfar rec 0 s)) 8).

(* An external abort may be injected for a data abort in the unprotected half, an access be emulated if the syndrome
   said what it was. *)
Definition sea_allowed (rec rd : Z) (s : state) : bool :=
  (ec_of (last_esr rec s) =? EC_DABT) && negb (in_par rd (last_ipa rec s) s).
Definition mmio_allowed (rec : Z) (s : state) : bool :=
  (ec_of (last_esr rec s) =? EC_DABT) && has ISV (last_esr rec s).

(* The first check that fails gives the status. *)
Definition enter_status (rec rd : Z) (s : state) : Z :=
  if rd_get RD_state rd 0 s =? REALM_NEW then status_realm 0
  else if rd_get RD_state rd 0 s =? REALM_OFF then status_realm 1
  else if (rec_get REC_runnable rec 0 s =? 0) || negb (rec_get REC_psci_pending rec 0 s =? 0) then RMI_ERROR_REC
  else if negb (Vgic.entry_ok s) then RMI_ERROR_REC
  else if wants INJECT_SEA s && negb (sea_allowed rec rd s) then RMI_ERROR_REC
  else if wants EMUL_MMIO s && negb (wants INJECT_SEA s) && negb (mmio_allowed rec s) then RMI_ERROR_REC
  else RMI_SUCCESS.

(* The host has emulated the last access: of a read, register 0 of the run page is the value, of the access's size. *)
Definition mmio_value (esr data : Z) : Z :=
  let d := access_data esr data in
  if has SSE esr then (if has SF esr then access_signed esr d else Z.land (access_signed esr d) 0xFFFFFFFF) else d.
Definition mmio_done (rec : Z) (s : state) : state :=
  let esr := last_esr rec s in
  skipped rec (if has WNR esr then s else reg_set rec (access_rt esr) (mmio_value esr (run_in IN_gpr 0 s)) s).

(* What the last exit asked of the host is done, and that exit is forgotten; the host says whether WFI and WFE trap. *)
Definition exit_finished (rec : Z) (s : state) : state :=
  let answered :=
    if wants INJECT_SEA s then sea_injected rec (last_esr rec s) (rec_get REC_last_far rec 0 s) s
    else if wants EMUL_MMIO s then mmio_done rec s else s in
  rec_set REC_last_hpfar rec 0 0 (rec_set REC_last_far rec 0 0 (rec_set REC_last_esr rec 0 0
    (rec_set REC_trap_wfe rec 0 (Z.shiftr (Z.land (run_in IN_flags 0 s) TRAP_WFE) 3)
      (rec_set REC_trap_wfi rec 0 (Z.shiftr (Z.land (run_in IN_flags 0 s) TRAP_WFI) 2)
        (ripas_completed rec (wants RIPAS_REJECT s) answered))))).
