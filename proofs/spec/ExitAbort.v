(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: aborts of a realm's stage 2 (DEN0137 A4.3.4). *)
From kcore Require Export spec.Exit spec.Rtt.
Local Open Scope Z_scope.

(* What an abort is about. *)
Definition ABORT_RETRY := 0.        (* the entry is there by now *)
Definition ABORT_SEA := 1.          (* nothing there for the realm *)
Definition ABORT_PROTECTED := 2.    (* the host has to bring a page *)
Definition ABORT_UNPROTECTED := 3.  (* the host's half *)

Definition abort_ipa (hpfar : Z) : Z := wrap U64 (Z.shiftl (shown_page hpfar) 8).
Definition is_translation (esr : Z) : bool := Z.land esr 0x3C =? 4.

Definition abort_entry (rd ipa : Z) (translation : bool) (s : state) : Z :=
  let w := walk rd ipa 3 s in
  if negb (in_bounds rd ipa s) then ABORT_SEA
  else if is_valid (w_desc w) && translation && negb (w_kind w =? K_TABLE) then ABORT_RETRY
  else if negb (in_par rd ipa s) then ABORT_UNPROTECTED
  else if ripas (w_desc w) =? RIPAS_EMPTY then ABORT_SEA
  else ABORT_PROTECTED.
Definition abort_class (rec esr hpfar : Z) (s : state) : Z :=
  abort_entry (realm_of rec s) (abort_ipa hpfar) (is_translation esr) s.

(* The host may emulate an access whose syndrome is valid; not of AArch32 code, whose registers have other names. *)
Definition emulatable (rec esr : Z) (s : state) : bool :=
  has ISV esr && (Z.land (rec_get REC_pstate rec 0 s) 0x10 =? 0).
Definition data_abort (rec esr far hpfar : Z) (s : state) : bool * state :=
  let class := abort_class rec esr hpfar s in
  if is_external (fsc_of esr) then external rec esr far s
  else if class =? ABORT_RETRY then (false, s)
  else if class =? ABORT_SEA then sea rec esr far s
  else if (class =? ABORT_UNPROTECTED) && emulatable rec esr s then mmio rec esr far hpfar s
  else let '(leave, s) := fault rec esr hpfar s in (leave, rec_set REC_last_far rec 0 far s).

(* Code runs from the protected half only. *)
Definition instruction_abort (rec esr far hpfar : Z) (s : state) : bool * state :=
  let class := abort_class rec esr hpfar s in
  if is_external (fsc_of esr) then external rec esr far s
  else if class =? ABORT_RETRY then (false, s)
  else if (class =? ABORT_PROTECTED) && is_translation esr then fault rec esr hpfar s
  else if class =? ABORT_PROTECTED then plain EXIT_SYNC CTR_EXIT_OTHER s
  else sea rec esr far s.
