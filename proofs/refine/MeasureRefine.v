(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/measure.c *)
From kcore Require Export refine.Steps spec.Measure.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* A loop over words of page pa and of the hash buffer: s0 is a state before it. *)
Tactic Notation "words" uconstr(f) constr(pa) constr(s0) :=
  apply (loop_each f (scratch pa s0)); [discharge | intros; discharge |
    let Hs := fresh "Hs" in intros i s' k Hi Hs next; tidy |
    let Hs := fresh "Hs" in intros Hs; tidy].
Ltac next_word next := apply next; reflexivity.

Lemma scratch_param rd w m s0 s : scratch rd s0 s -> scratch rd s0 (param_copied w m s).
Proof. intros. unfold param_copied. scratch_now. Qed.
Lemma scratch_stored rd slot s0 s : scratch rd s0 s -> scratch rd s0 (stored rd slot s).
Proof. intros. unfold stored, each. scratch_now. Qed.
Lemma scratch_begun rd type s0 s : scratch rd s0 s -> scratch rd s0 (begun rd type s).
Proof. intros. unfold begun, each. scratch_now. Qed.
Lemma scratch_digest_put rd w s0 s : scratch rd s0 s -> scratch rd s0 (digest_put w s).
Proof. intros. unfold digest_put, each. scratch_now. Qed.
Lemma scratch_ended rd s0 s : scratch rd s0 s -> scratch rd s0 (ended rd s).
Proof. intros. unfold ended. apply scratch_stored. scratch_now. Qed.
Ltac scratch_more ::=
  lazymatch goal with
  | |- scratch ?p ?s0 (param_copied ?w ?m ?s) => refine (scratch_param p w m s0 s _); scratch_now
  | |- scratch ?p ?s0 (stored ?p ?i ?s) => refine (scratch_stored p i s0 s _); scratch_now
  | |- scratch ?p ?s0 (begun ?p ?t ?s) => refine (scratch_begun p t s0 s _); scratch_now
  | |- scratch ?p ?s0 (digest_put ?w ?s) => refine (scratch_digest_put p w s0 s _); scratch_now
  | |- scratch ?p ?s0 (ended ?p ?s) => refine (scratch_ended p s0 s _); scratch_now
  end.
Lemma scratch_realm rd s0 s : scratch rd s0 s -> scratch rd s0 (realm_measured rd s).
Proof. intros. unfold realm_measured. scratch_now. Qed.
Lemma scratch_rec rd s0 s : scratch rd s0 s -> scratch rd s0 (rec_measured rd s).
Proof. intros. unfold rec_measured, each. scratch_now. Qed.
Lemma scratch_policy rd s0 s : scratch rd s0 s -> scratch rd s0 (policy_measured rd s).
Proof. intros. unfold policy_measured, each. scratch_now. Qed.
Lemma scratch_ripas rd base top s0 s : scratch rd s0 s -> scratch rd s0 (ripas_measured rd base top s).
Proof. intros. unfold ripas_measured. scratch_now. Qed.
Lemma scratch_data rd ipa flags pa s0 s : scratch rd s0 s -> scratch rd s0 (data_measured rd ipa flags pa s).
Proof. intros. unfold data_measured, each. cbv zeta. scratch_now. Qed.
Lemma scratch_extended rd rec slot size s0 s : scratch rd s0 s -> scratch rd s0 (extended rd rec slot size s).
Proof. intros. unfold extended, each. cbv zeta. scratch_now. Qed.

Theorem measure_store_ok rd slot s :
  in_hand rd s = true -> 0 <= slot < 5 -> core "measure_store" [rd; slot] s = Some ([], stored rd slot s).
Proof.
  intros H Hs. unfold stored, each. enter f_measure_store.
  words (fun i s => rd_set RD_meas rd (8 * slot + i) (digest_word i s) s) rd s.
  - step. rewrite Z.shiftl_mul_pow2, (wrap_small (slot * 2 ^ 3)), wrap_small by lia.
    replace (slot * 2 ^ 3 + i) with (8 * slot + i) by lia. step. next_word next.
  - reflexivity.
Qed.

Theorem measure_begin_ok rd type s :
  in_hand rd s = true -> core "measure_begin" [rd; type] s = Some ([], begun rd type s).
Proof.
  intros H. unfold begun, each. enter f_measure_begin. step. step. step.
  words (fun i s => hash_put (2 + i) (rd_get RD_meas rd i s) s) rd s.
  - step. rewrite wrap_small by lia. step. next_word next.
  - reflexivity.
Qed.

Theorem measure_end_ok rd s : in_hand rd s = true -> core "measure_end" [rd] s = Some ([], ended rd s).
Proof.
  intros H. unfold ended, algorithm. enter f_measure_end. step. step. after measure_store_ok; [discharge|lia|reflexivity].
Qed.

Theorem measure_copy_param_ok i mask s :
  0 <= i < 512 -> core "measure_copy_param" [8 * i; mask] s = Some ([], param_copied i mask s).
Proof.
  intros Hi. enter f_measure_copy_param.
  assert (E : 8 * i / 8 = i) by (rewrite Z.mul_comm; apply Z.div_mul; lia).
  step; [rewrite E, Z.mul_comm, Z.mod_mul by lia; discharge|].
  rewrite shr by lia. change (2 ^ 3) with 8. rewrite E. step. reflexivity.
Qed.

(* With constants for the offset. *)
Ltac copy i := after (measure_copy_param_ok i); [lia|].

Theorem measure_realm_params_ok rd s :
  in_hand rd s = true -> core "measure_realm_params" [rd] s = Some ([], realm_measured rd s).
Proof.
  intros H. unfold realm_measured, algorithm. enter f_measure_realm_params. step. step.
  copy 0. copy 1. copy 2. copy 3. copy 4. copy 5. copy 6. step.
  after measure_store_ok; [discharge|lia|reflexivity].
Qed.

Theorem measure_ripas_ok rd base top s :
  in_hand rd s = true -> core "measure_ripas" [rd; base; top] s = Some ([], ripas_measured rd base top s).
Proof.
  intros H. unfold ripas_measured. enter f_measure_ripas. after measure_begin_ok; [discharge|]. step. step.
  after measure_end_ok; [discharge|reflexivity].
Qed.

Theorem measure_policy_ok rd s :
  in_hand rd s = true -> core "measure_policy" [rd] s = Some ([], policy_measured rd s).
Proof.
  intros H. unfold policy_measured, digest_put, each, algorithm. enter f_measure_policy. step. step.
  words (fun i s => hash_put i (rd_get RD_policy rd i s) s) rd s.
  { step. step. next_word next. }
  step. after measure_begin_ok; [discharge|].
  words (fun i s => hash_put (10 + i) (digest_word i s) s) rd s.
  { step. rewrite wrap_small by lia. step. next_word next. }
  words (fun i s => hash_put (18 + i) (rd_get RD_policy rd (26 + i) s) s) rd s.
  { rewrite !wrap_small by lia. step. step. next_word next. }
  after measure_end_ok; [discharge|reflexivity].
Qed.

Theorem measure_data_ok rd ipa flags pa s :
  in_hand rd s = true -> in_hand pa s = true ->
  core "measure_data" [rd; ipa; flags; pa] s = Some ([], data_measured rd ipa flags pa s).
Proof.
  intros H Hp. enter f_measure_data. step. after measure_begin_ok; [discharge|]. step. step.
  unfold data_measured, digest_put, each, algorithm. destruct (flags =? 1).
  - step.
    words (fun i s => hash_put (12 + i) (digest_word i s) s) rd s.
    { step. rewrite wrap_small by lia. step. next_word next. }
    after measure_end_ok; [discharge|reflexivity].
  - after measure_end_ok; [discharge|reflexivity].
Qed.

Theorem measure_rec_ok rd s :
  in_hand rd s = true -> core "measure_rec" [rd] s = Some ([], rec_measured rd s).
Proof.
  intros H. unfold rec_measured, digest_put, each, algorithm. enter f_measure_rec. step. step. copy 0. copy 64.
  words (fun i s => param_copied (0x60 + i) whole s) rd s.
  { rewrite Z.shiftl_mul_pow2, (wrap_small (i * 2 ^ 3)), wrap_small by lia.
    replace (768 + i * 2 ^ 3) with (8 * (96 + i)) by lia.
    after measure_copy_param_ok; [lia|]. next_word next. }
  step. after measure_begin_ok; [discharge|].
  words (fun i s => hash_put (10 + i) (digest_word i s) s) rd s.
  { step. rewrite wrap_small by lia. step. next_word next. }
  after measure_end_ok; [discharge|reflexivity].
Qed.

Theorem measure_extend_ok rd rec slot size s :
  in_hand rd s = true -> rec_in_hand rec s = true -> 1 <= slot < 5 -> 0 <= size <= 64 ->
  core "measure_extend" [rd; rec; slot; size] s = Some ([], extended rd rec slot size s).
Proof.
  intros H Hr Hs Hz. enter f_measure_extend. step. fold (algorithm rd s). unfold extended, hash_words, each.
  assert (E : forall n, 0 <= n <= 8 -> wrap U64 (Z.shiftl n 3) = 8 * n)
    by (intros; rewrite Z.shiftl_mul_pow2, wrap_small by lia; lia).
  destruct (algorithm rd s =? 1); step; rewrite <- each_below_if with (n := 8%nat) by lia.
  - words (fun i s => if i <? 8 then hash_put i (rd_get RD_meas rd (8 * slot + i) s) s else s) rd s.
    { destruct (i <? 8); [|next_word next]. rewrite E, wrap_small by lia. step. step. next_word next. }
    words (fun i s => hash_put (8 + i) (rec_get REC_gpr rec (3 + i) s) s) rd s.
    { rewrite !wrap_small by lia. step. step. next_word next. }
    rewrite E, wrap_small by lia. step; [apply andb_true_intro; split; lia|].
    after measure_store_ok; [discharge|lia|reflexivity].
  - words (fun i s => if i <? 4 then hash_put i (rd_get RD_meas rd (8 * slot + i) s) s else s) rd s.
    { destruct (i <? 4); [|next_word next]. rewrite E, wrap_small by lia. step. step. next_word next. }
    words (fun i s => hash_put (4 + i) (rec_get REC_gpr rec (3 + i) s) s) rd s.
    { rewrite !wrap_small by lia. step. step. next_word next. }
    rewrite E, wrap_small by lia. step; [apply andb_true_intro; split; lia|].
    after measure_store_ok; [discharge|lia|reflexivity].
Qed.
