(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: RSI_MEASUREMENT_EXTEND. *)
From kcore Require Import refine.MeasureRefine.
From kcore Require Export refine.RsiRefine spec.RsiMeasure.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma hashed_locked alg len rd s : hashed alg len (locked rd s) = locked rd (hashed alg len s).
Proof. reflexivity. Qed.
Lemma extended_locked rd rec slot size r s :
  extended rd rec slot size (locked r s) = locked r (extended rd rec slot size s).
Proof.
  unfold extended, stored, each. cbv zeta. change (algorithm rd (locked r s)) with (algorithm rd s).
  change (hash_cleared (locked r s)) with (locked r (hash_cleared s)).
  rewrite (each_below_locked (Z.to_nat (hash_words (algorithm rd s)))) by (intros; reflexivity).
  rewrite (each_below_locked 8) by (intros; reflexivity). rewrite hashed_locked.
  rewrite (each_below_locked 8) by (intros; reflexivity). reflexivity.
Qed.
Lemma extended_scratch rd rec slot size s : scratch rd s (extended rd rec slot size s).
Proof. unfold extended, stored, each. cbv zeta. scratch_now. Qed.

Theorem rsi_measurement_extend_ok rec s :
  current rec s -> u64 (gpr rec 2 s) ->
  core "rsi_measurement_extend" [rec] s = Some ([BACK], measurement_extended rec s).
Proof.
  intros C U. unfold u64 in U. pose proof (current_hand _ _ C) as H. enter f_rsi_measurement_extend. go. go.
  fold (gpr rec 1 s) (gpr rec 2 s). unfold measurement_extended, MEAS_SLOTS.
  destruct ((0 <? gpr rec 1 s) && (gpr rec 1 s <? 5) && (gpr rec 2 s <=? 64)) eqn:E.
  - apply andb_true_iff in E as [[E1%Z.ltb_lt E2%Z.ltb_lt]%andb_true_iff E3%Z.leb_le].
    set (rd := realm_of rec s). eapply bind_call; [exact (rec_lock_realm_ok _ _ C)|]. tidy. fold rd.
    pose proof (hand_locked rec rd s H) as HL. pose proof (hand_realm rd s (c_realm _ _ C)) as HR.
    eapply bind_call; [apply measure_extend_ok; [exact HR|exact HL|lia|lia]|]. tidy. rewrite extended_locked.
    pose proof (extended_scratch rd rec (gpr rec 1 s) (gpr rec 2 s) s) as S.
    pose proof (scratch_rec_hand _ _ _ _ S H) as HE. destruct S as [S _].
    apply bind_unlock; [rewrite S; exact (c_held _ _ C)|rewrite S; exact (c_growing _ _ C)|rewrite S; exact (c_clean _ _ C)|].
    tidy. eapply bind_call; [apply rsi_answer_ok; exact HE|]. tidy. reflexivity.
  - eapply bind_call; [apply rsi_answer_ok; exact H|]. tidy. reflexivity.
Qed.
