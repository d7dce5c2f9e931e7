(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: stage 2 aborts of the host *)
From kcore Require Export refine.HostFacts spec.HostAbort.
From kcore Require Import refine.Steps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma known_read s t i r : role_of (hw s) t = Some r -> holds LHost s = true -> in_page i = true -> may_read t i s = true.
Proof. intros Hr Hl Hi. unfold may_read. by rewrite Hr, Hl, Hi. Qed.

Theorem host_translates_ok ipa s :
  tables_known (hw s) -> holds LHost s = true ->
  core "host_translates" [ipa] s = Some ([b2z (translates ipa s)], s).
Proof.
  intros Hk Hl. enter f_host_translates. step. step. step. after s2_slot_ok. after s2_slot_ok. unfold translates.
  destruct (Z.eqb_spec (host_table (hw s) 1 ipa) 0); cbn [orb]; [reflexivity|].
  destruct (Z.eqb_spec (host_table (hw s) 2 ipa) 0) as [|N2]; [reflexivity|].
  destruct (Hk 2 ipa N2) as [r2 R2].
  step; [exact (known_read _ _ _ _ R2 Hl (slot_in_page _ _))|].
  after s2_is_table_ok. after s2_is_valid_ok.
  destruct (is_table 2 _); cbn [negb orb]; [|reflexivity].
  destruct (Z.eqb_spec (host_table (hw s) 3 ipa) 0) as [|N3]; [reflexivity|].
  destruct (Hk 3 ipa N3) as [r3 R3].
  step; [exact (known_read _ _ _ _ R3 Hl (slot_in_page _ _))|].
  after s2_is_valid_ok. reflexivity.
Qed.

Lemma host_relocked s : held s = [] -> shrinking s = false -> lock_dropped LHost (lock_taken LHost s) = s.
Proof. intros H1 H2. destruct s. cbn in *. subst. reflexivity. Qed.

Theorem core_host_abort_ok esr hpfar far s :
  tables_known (hw s) -> idle s ->
  core "core_host_abort" [esr; hpfar; far] s =
  Some ([fst (host_aborted esr hpfar far s)], snd (host_aborted esr hpfar far s)).
Proof.
  intros Hk (Hh & Hs & Hst). unfold host_aborted, is_translation. enter f_core_host_abort.
  fold (fault_ipa hpfar far). set (ipa := fault_ipa hpfar far).
  change (ones U64 - 4095) with 18446744073709547520.
  destruct (Z.land esr 60 =? 4); cbn [andb].
  - step; [unfold holds; rewrite Hs, Hh; reflexivity|].
    after host_translates_ok; [exact Hk|reflexivity|].
    change (translates ipa (lock_taken LHost s)) with (translates ipa s).
    step; [unfold holds; cbn; rewrite Hst, bool_decide_eq_true_2 by reflexivity; reflexivity|].
    rewrite host_relocked by assumption.
    destruct (translates ipa s); [reflexivity|]. step.
    destruct (tracked s _); cbn [negb andb]; [|reflexivity]. step. step. reflexivity.
  - step. rewrite !andb_false_r. step. step. reflexivity.
Qed.
