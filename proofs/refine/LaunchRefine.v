(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/launch.c *)
From kcore Require Export refine.MeasureRefine refine.GranuleRefine spec.Launch.
From kcore Require Import refine.Steps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma shl3 i : 0 <= i < 2 ^ 32 -> wrap U64 (Z.shiftl i 3) = 8 * i.
Proof. intros. rewrite Z.shiftl_mul_pow2, wrap_small by lia. lia. Qed.

Lemma lor_zero a b : (Z.lor a b =? 0) = (a =? 0) && (b =? 0).
Proof.
  destruct (Z.eqb_spec (Z.lor a b) 0) as [E|N].
  - apply Z.lor_eq_0_iff in E as [-> ->]. reflexivity.
  - destruct (Z.eqb_spec a 0) as [->|]; [|reflexivity]. destruct (Z.eqb_spec b 0) as [->|]; [|reflexivity].
    by destruct N.
Qed.
Lemma lxor_zero a b : (Z.lxor a b =? 0) = (a =? b).
Proof.
  destruct (Z.eqb_spec a b) as [->|N]; [by rewrite Z.lxor_nilpotent|].
  apply Z.eqb_neq. intros E. apply N. by apply Z.lxor_eq.
Qed.

Theorem params_zero_ok first last s :
  core "params_zero" [first; last] s = Some ([b2z (zero_between (first / 8) (last / 8) s)], s).
Proof.
  enter f_params_zero.
  apply (loop_rule (fun j fr s' => s' = s /\ exists bits, fr = [first; last; bits; 0; 0] /\
    (bits =? 0) = zero_upto (first / 8) (last / 8) j s)).
  - split; [reflexivity|]. exists 0. split; reflexivity.
  - intros j fr s' k Hj (-> & bits & -> & E). tidy. rewrite Z.add_0_l.
    assert (ES : zero_upto (first / 8) (last / 8) (S j) s = zero_upto (first / 8) (last / 8) j s &&
      (negb ((first / 8 <=? Z.of_nat j) && (Z.of_nat j <? last / 8)) || (param (Z.of_nat j) s =? 0))).
    { unfold zero_upto. rewrite below_S, forallb_app. cbn [forallb]. by rewrite andb_true_r. }
    rewrite !shr by lia. change (2 ^ 3) with 8.
    destruct ((first / 8 <=? Z.of_nat j) && (Z.of_nat j <? last / 8)).
    + exists [first; last; Z.lor bits (param (Z.of_nat j) s); Z.of_nat j; param (Z.of_nat j) s], s.
      split.
      * rewrite shl3 by lia. assert (E8 : 8 * Z.of_nat j / 8 = Z.of_nat j) by (rewrite Z.mul_comm; apply Z.div_mul; lia).
        step; [rewrite E8, Z.mul_comm, Z.mod_mul by lia; discharge|]. rewrite E8. reflexivity.
      * split; [reflexivity|]. eexists. split; [reflexivity|]. rewrite lor_zero, E, ES. reflexivity.
    + exists [first; last; bits; Z.of_nat j; 0], s. split; [reflexivity|]. split; [reflexivity|].
      exists bits. split; [reflexivity|]. rewrite E, ES. cbn [negb orb]. by rewrite andb_true_r.
  - intros fr s' (-> & bits & -> & E). tidy. rewrite E. reflexivity.
Qed.

Theorem launch_block_ok_ok s : core "launch_block_ok" [] s = Some ([b2z (block_ok s)], s).
Proof.
  enter f_launch_block_ok. step. step. step. step. after params_zero_ok. after params_zero_ok.
  change (88 / 8) with 11. change (144 / 8) with 18. change (304 / 8) with 38. change (4096 / 8) with 512.
  unfold block_ok, param, BLOCK_MAGIC.
  change (0 / 8) with 0. change (8 / 8) with 1. change (16 / 8) with 2. change (24 / 8) with 3.
  change (ones U64 - 3) with 18446744073709551612.
  destruct (nth_word (params s) 0 =? _); [|reflexivity]. destruct (nth_word (params s) 1 =? _); [|reflexivity].
  cbn [negb orb andb].
  destruct (Z.land (nth_word (params s) 2) _ =? 0); [|reflexivity]. cbn [negb orb andb].
  destruct (nth_word (params s) 3 =? 0); [reflexivity|]. cbn [negb orb andb].
  destruct (Z.ltb_spec 512 (nth_word (params s) 3)); [rewrite (proj2 (Z.leb_gt _ _)) by lia; reflexivity|].
  rewrite (proj2 (Z.leb_le _ _)) by lia. reflexivity.
Qed.

Theorem launch_untouched_ok rd s :
  in_hand rd s = true -> core "launch_untouched" [rd] s = Some ([b2z (untouched rd s)], s).
Proof. intros H. enter f_launch_untouched. step. step. step. step. step. reflexivity. Qed.

Theorem launch_forget_key_ok rd s :
  in_hand rd s = true -> core "launch_forget_key" [rd] s = Some ([], key_forgotten rd s).
Proof.
  intros H. unfold key_forgotten. enter f_launch_forget_key.
  words (fun i s => rd_set RD_content_key rd i 0 s) rd s.
  { step. next_word next. }
  step. reflexivity.
Qed.

(* A loop over the words of two arrays: no state changes. *)
Theorem launch_expects_rim_ok rd s :
  in_hand rd s = true -> core "launch_expects_rim" [rd] s = Some ([b2z (expects_rim rd s)], s).
Proof.
  intros H. enter f_launch_expects_rim.
  apply (loop_rule (fun j fr s' => s' = s /\ exists bits, fr = [rd; bits; 0; 0] /\
    (bits =? 0) = forallb (fun i => rd_get RD_policy rd (18 + i) s =? 0) (below j))).
  - split; [reflexivity|]. exists 0. split; reflexivity.
  - intros j fr s' k Hj (-> & bits & -> & E). tidy. rewrite Z.add_0_l.
    exists [rd; Z.lor bits (rd_get RD_policy rd (18 + Z.of_nat j) s); Z.of_nat j; rd_get RD_policy rd (18 + Z.of_nat j) s], s.
    split; [|split; [reflexivity|]].
    + rewrite wrap_small by lia. step. reflexivity.
    + eexists. split; [reflexivity|]. rewrite lor_zero, E, below_S, forallb_app. cbn [forallb]. by rewrite andb_true_r.
  - intros fr s' (-> & bits & -> & E). tidy. unfold expects_rim. rewrite E. reflexivity.
Qed.

Theorem launch_rim_ok_ok rd s :
  in_hand rd s = true -> core "launch_rim_ok" [rd] s = Some ([b2z (rim_ok rd s)], s).
Proof.
  intros H. enter f_launch_rim_ok. after launch_expects_rim_ok; [exact H|].
  apply (loop_rule (fun j fr s' => s' = s /\ exists bits, fr = [rd; b2z (expects_rim rd s); bits; 0; 0; 0] /\
    (bits =? 0) = forallb (fun i => rd_get RD_policy rd (18 + i) s =? rd_get RD_meas rd i s) (below j))).
  - split; [reflexivity|]. exists 0. split; reflexivity.
  - intros j fr s' k Hj (-> & bits & -> & E). tidy. rewrite Z.add_0_l.
    set (w := rd_get RD_policy rd (18 + Z.of_nat j) s). set (h := rd_get RD_meas rd (Z.of_nat j) s).
    exists [rd; b2z (expects_rim rd s); Z.lor bits (Z.lxor w h); Z.of_nat j; w; h], s.
    split; [|split; [reflexivity|]].
    + rewrite wrap_small by lia. step. step. reflexivity.
    + eexists. split; [reflexivity|]. rewrite lor_zero, lxor_zero, E, below_S, forallb_app. cbn [forallb].
      by rewrite andb_true_r.
  - intros fr s' (-> & bits & -> & E). tidy. unfold rim_ok, rim_equal. rewrite E. reflexivity.
Qed.

Theorem launch_policy_locked_ok rd s :
  in_hand rd s = true ->
  core "launch_policy_locked" [rd] s =
  Some (if untouched rd s then ([0], policy_set rd s) else ([status_realm 0], s)).
Proof.
  intros H. enter f_launch_policy_locked. after launch_untouched_ok; [exact H|].
  destruct (untouched rd s); cbn [negb].
  2:{ after error_realm_ok; [lia|reflexivity]. }
  step. step. step. unfold policy_set.
  words (fun i s => rd_set RD_policy rd i (param i s) s) rd s.
  { rewrite shl3 by lia. assert (E8 : 8 * i / 8 = i) by (rewrite Z.mul_comm; apply Z.div_mul; lia).
    step; [rewrite E8, Z.mul_comm, Z.mod_mul by lia; discharge|]. rewrite E8. step. next_word next. }
  step. step. step. step. after measure_policy_ok; [discharge|reflexivity].
Qed.
