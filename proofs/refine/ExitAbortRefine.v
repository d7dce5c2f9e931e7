(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: aborts of a realm's stage 2. *)
From kcore Require Export refine.RttWalk.
From kcore Require Export refine.ExitRefine.
From kcore Require Export spec.ExitAbort.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* The realm of the REC that runs, once it is locked. *)
Lemma current_realm rec s : inv s -> current rec s -> open_realm (realm_of rec s) (locked (realm_of rec s) s).
Proof.
  intros I C. constructor.
  - by apply (inv_same s).
  - exact (c_realm _ _ C).
  - unfold holds. cbn. by rewrite Z.eqb_refl.
Qed.

Theorem abort_entry_ok rd ipa translation s :
  open_realm rd s -> 0 <= ipa ->
  core "abort_entry" [rd; ipa; b2z translation] s = Some ([abort_entry rd ipa translation s], s).
Proof.
  intros O Hi. pose proof (open_hand _ _ O) as H. enter f_abort_entry.
  use ipa_in_bounds_ok. use ipa_in_par_ok. unfold abort_entry.
  destruct (in_bounds rd ipa s) eqn:Hb; [|reflexivity]. cbn [negb]. unfold in_bounds in Hb. apply Z.ltb_lt in Hb.
  use rtt_walk_ok; [lia..|]. use s2_ripas_ok. use s2_is_valid_ok.
  change (w_kind (walk rd ipa 3 s) =? 4) with (w_kind (walk rd ipa 3 s) =? K_TABLE).
  destruct (is_valid _ && translation && _); [reflexivity|].
  destruct (in_par rd ipa s); [|reflexivity]. cbn [negb].
  change (ripas (w_desc (walk rd ipa 3 s)) =? 0) with (ripas (w_desc (walk rd ipa 3 s)) =? RIPAS_EMPTY).
  destruct (ripas _ =? RIPAS_EMPTY); reflexivity.
Qed.

Lemma abort_ipa_range hpfar : 0 <= abort_ipa hpfar.
Proof. unfold abort_ipa, wrap. apply Z.mod_pos_bound. lia. Qed.

Theorem abort_class_ok rec esr hpfar s :
  inv s -> current rec s -> core "abort_class" [rec; esr; hpfar] s = Some ([abort_class rec esr hpfar s], s).
Proof.
  intros I C. pose proof (current_realm _ _ I C) as O. pose proof (abort_ipa_range hpfar).
  enter f_abort_class. use rec_lock_realm_ok.
  change (wrap U64 (Z.shiftl (Z.land hpfar 17592186044400) 8)) with (abort_ipa hpfar).
  fold (is_translation esr). use abort_entry_ok.
  apply bind_unlock; [exact (c_held _ _ C)|exact (c_growing _ _ C)|exact (c_clean _ _ C)|]. reflexivity.
Qed.

Theorem exit_data_abort_ok rec esr far hpfar s :
  inv s -> current rec s ->
  core "exit_data_abort" [rec; esr; far; hpfar] s = outcome (data_abort rec esr far hpfar s).
Proof.
  intros I C. pose proof (current_hand _ _ C) as H. enter f_exit_data_abort. step. use abort_external_ok.
  fold (fsc_of esr). unfold data_abort. destruct (is_external (fsc_of esr)); [use exit_external_ok; reflexivity|].
  use abort_class_ok. unfold ABORT_RETRY, ABORT_SEA, ABORT_UNPROTECTED.
  destruct (abort_class rec esr hpfar s =? 0); [reflexivity|].
  destruct (abort_class rec esr hpfar s =? 1); [use exit_sea_ok; reflexivity|].
  change (negb (Z.land esr 16777216 =? 0) && _) with (emulatable rec esr s).
  destruct ((abort_class rec esr hpfar s =? 3) && emulatable rec esr s); [use exit_mmio_ok; reflexivity|].
  use exit_fault_ok. unfold fault. cbn [fst snd]. step. reflexivity.
Qed.

Theorem exit_instruction_abort_ok rec esr far hpfar s :
  inv s -> current rec s ->
  core "exit_instruction_abort" [rec; esr; far; hpfar] s = outcome (instruction_abort rec esr far hpfar s).
Proof.
  intros I C. pose proof (current_hand _ _ C) as H. enter f_exit_instruction_abort. use abort_external_ok.
  fold (fsc_of esr). unfold instruction_abort. destruct (is_external (fsc_of esr)); [use exit_external_ok; reflexivity|].
  use abort_class_ok. unfold ABORT_RETRY, ABORT_PROTECTED. fold (is_translation esr).
  destruct (abort_class rec esr hpfar s =? 0); [reflexivity|].
  destruct (abort_class rec esr hpfar s =? 2); cbn [andb].
  - destruct (is_translation esr); [use exit_fault_ok|use exit_plain_ok]; reflexivity.
  - use exit_sea_ok. reflexivity.
Qed.

Lemma kept_data_abort rec esr far hpfar s0 s : kept rec s0 s -> kept rec s0 (snd (data_abort rec esr far hpfar s)).
Proof.
  intros. unfold data_abort, sea. destruct (is_external _); [auto with kept|]. destruct (_ =? ABORT_RETRY); [assumption|].
  destruct (_ =? ABORT_SEA); [cbn [snd]; auto with kept|]. destruct (_ && _); [auto with kept|].
  unfold fault. cbn [snd]. auto 10 with kept.
Qed.
Lemma kept_instruction_abort rec esr far hpfar s0 s :
  kept rec s0 s -> kept rec s0 (snd (instruction_abort rec esr far hpfar s)).
Proof.
  intros. unfold instruction_abort, sea. destruct (is_external _); [auto with kept|].
  destruct (_ =? ABORT_RETRY); [assumption|]. destruct (_ && _); [auto with kept|].
  destruct (_ =? ABORT_PROTECTED); [auto with kept|]. cbn [snd]. auto with kept.
Qed.
#[export] Hint Resolve kept_data_abort kept_instruction_abort : kept.
