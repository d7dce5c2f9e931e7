(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/realm.c *)
From kcore Require Export refine.RecLockRefine refine.LaunchRefine spec.Realm.
From kcore Require Import refine.Steps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem realm_params_read_ok s : core "realm_params_read" [] s = Some (slots (params_given s), s).
Proof. enter f_realm_params_read. step. step. step. step. step. step. step. step. step. reflexivity. Qed.

Theorem realm_ipa_size_ok n s : 0 <= n <= 48 -> core "realm_ipa_size" [n] s = Some ([2 ^ n], s).
Proof.
  intros Hn. enter f_realm_ipa_size.
  apply (loop_rule (fun j fr s' => s' = s /\ fr = [n; 2 ^ Z.min (Z.of_nat j) n; 0])).
  - split; [reflexivity|]. rewrite Z.min_l by lia. reflexivity.
  - intros j fr s' k Hj [-> ->]. tidy. rewrite Z.add_0_l.
    destruct (Z.ltb_spec (Z.of_nat j) n).
    + eexists _, s. split; [reflexivity|]. split; [reflexivity|]. tidy.
      rewrite !Z.min_l by lia. rewrite Z.shiftl_mul_pow2 by lia. rewrite Nat2Z.inj_succ, Z.pow_succ_r by lia.
      pose proof (Z.pow_le_mono_r 2 (Z.of_nat j) 48). pose proof (Z.pow_pos_nonneg 2 (Z.of_nat j)).
      rewrite wrap_small by lia. do 2 f_equal. lia.
    + eexists _, s. split; [reflexivity|]. split; [reflexivity|]. tidy. rewrite !Z.min_r by lia. reflexivity.
  - intros fr s' [-> ->]. tidy. rewrite Z.min_r by lia. reflexivity.
Qed.

Theorem realm_num_start_ok level s2sz s :
  0 <= s2sz <= 48 -> core "realm_num_start" [level; s2sz] s = Some ([start_tables level s2sz s], s).
Proof.
  intros H. enter f_realm_num_start. after realm_ipa_size_ok; [exact H|]. step. after s2_index_ok.
  rewrite shr by lia. change (2 ^ 9) with 512. unfold start_tables, MAX_START.
  set (n := index_of level (2 ^ s2sz) / 512).
  assert (0 <= n) by (unfold n, index_of; apply Z.div_pos; [apply Z.div_pos; [lia|]|lia]; unfold size_of; apply Z.pow_pos_nonneg; [lia|];
    unfold shift_of; destruct (level =? 0), (level =? 1), (level =? 2); lia).
  destruct (2 <? level); [reflexivity|]. cbn [orb].
  destruct (level =? 0); cbn [andb].
  - destruct (level0 (hw s)); cbn [b2z z2b negb orb].
    + destruct (s2sz <? 40); [reflexivity|]. destruct (16 <? n); [reflexivity|].
      destruct (Z.eqb_spec n 0) as [->|]; [reflexivity|]. rewrite Z.max_r by lia. reflexivity.
    + reflexivity.
  - cbn [orb]. destruct (16 <? n); [reflexivity|].
    destruct (Z.eqb_spec n 0) as [->|]; [reflexivity|]. rewrite Z.max_r by lia. reflexivity.
Qed.

Theorem realm_fill_ok rd p s :
  in_hand rd s = true -> has_state GS_DELEGATED rd s = true -> 0 <= p_s2sz p <= 48 ->
  core "realm_fill" (rd :: slots p) s = Some ([], realm_filled rd p s).
Proof.
  intros H Hd Hp. unfold realm_filled, slots, each. destruct p as [flags s2sz bps wps alg vmid base level num].
  cbn [p_flags p_s2sz p_num_bps p_num_wps p_hash_algo p_vmid p_rtt_base p_start_level p_num_start] in *.
  enter f_realm_fill. after realm_ipa_size_ok; [exact Hp|].
  step. step. step. step. step. step. step. step. step. step. step. step. step.
  words (fun i s => rd_set RD_rpv rd i (param (0x80 + i) s) s) rd s.
  { rewrite shl3, wrap_small by lia.
    assert (E8 : (1024 + 8 * i) / 8 = 128 + i) by (replace (1024 + 8 * i) with ((128 + i) * 8) by lia; apply Z.div_mul; lia).
    step; [rewrite E8; replace (1024 + 8 * i) with ((128 + i) * 8) by lia; rewrite Z.mod_mul by lia; discharge|].
    rewrite E8. step. next_word next. }
  after measure_realm_params_ok; [discharge|reflexivity].
Qed.

Lemma scratch_forgotten rd s : scratch rd s (key_forgotten rd s).
Proof. unfold key_forgotten. scratch_now. Qed.

Theorem realm_activate_locked_ok rd s :
  in_hand rd s = true ->
  core "realm_activate_locked" [rd] s =
  Some ([activate_check rd s], if activate_check rd s =? RMI_SUCCESS then activated rd s else s).
Proof.
  intros H. enter f_realm_activate_locked. step. step. unfold activate_check, REALM_NEW.
  destruct (rd_get RD_state rd 0 s =? 0); cbn [negb].
  2:{ after error_realm_ok; [lia|reflexivity]. }
  after launch_rim_ok_ok; [exact H|]. destruct (rim_ok rd s); [|reflexivity].
  after launch_forget_key_ok; [exact H|].
  pose proof (scratch_hand rd rd _ _ (scratch_forgotten rd s) H) as Hk. step. step. reflexivity.
Qed.

(* What is done to a locked realm leaves the lock as it is. *)
Lemma each_locked l n (f : Z -> state -> state) s :
  (forall i s, f i (lock_taken l s) = lock_taken l (f i s)) ->
  each_below n f (lock_taken l s) = lock_taken l (each_below n f s).
Proof. intros Hf. induction n as [|n IH]; [reflexivity|]. by rewrite !each_below_S, IH, Hf. Qed.
Lemma activated_locked l rd s : activated rd (lock_taken l s) = lock_taken l (activated rd s).
Proof. unfold activated, key_forgotten. rewrite each_locked by reflexivity. reflexivity. Qed.

Theorem realm_activate_ok rd s :
  idle s -> core "realm_activate" [rd] s = Some ([fst (activate rd s)], snd (activate rd s)).
Proof.
  intros (Hh & Hs & Hst). unfold activate. enter f_realm_activate. apply bind_lock; [exact Hs|exact Hh|].
  destruct (has_state GS_RD rd s) eqn:Hrd; tidy; [|reflexivity].
  after realm_activate_locked_ok; [by apply hand_realm|].
  change (activate_check rd (locked rd s)) with (activate_check rd s). cbn [fst snd].
  destruct (activate_check rd s =? RMI_SUCCESS).
  - rewrite activated_locked. apply bind_unlock; [exact Hh|exact Hs|exact Hst|reflexivity].
  - apply bind_unlock; [exact Hh|exact Hs|exact Hst|reflexivity].
Qed.

Theorem realm_aux_count_ok rd s : idle s -> core "realm_aux_count" [rd] s = Some (aux_count rd s, s).
Proof.
  intros (Hh & Hs & Hst). unfold aux_count. enter f_realm_aux_count. apply bind_lock; [exact Hs|exact Hh|].
  destruct (has_state GS_RD rd s); tidy; [|reflexivity]. apply bind_unlock; [exact Hh|exact Hs|exact Hst|reflexivity].
Qed.

Lemma start_tables_range level s2sz s : 0 <= start_tables level s2sz s <= 16.
Proof.
  unfold start_tables, MAX_START.
  destruct ((2 <? level) || _ || (16 <? index_of level (2 ^ s2sz) / 512)) eqn:E; [lia|].
  apply orb_false_iff in E as [_ E%Z.ltb_ge]. lia.
Qed.

Theorem realm_params_ok_ok p s :
  width (hw s) <= 48 -> core "realm_params_ok" (slots p) s = Some ([b2z (realm_possible p s)], s).
Proof.
  intros Hw. unfold realm_possible, slots. destruct p as [flags s2sz bps wps alg vmid base level num].
  cbn [p_flags p_s2sz p_num_bps p_num_wps p_hash_algo p_vmid p_rtt_base p_start_level p_num_start] in *.
  enter f_realm_params_ok. step.
  destruct (flags =? 0); cbn [negb andb]; [|reflexivity].
  destruct (Z.ltb_spec s2sz 32) as [H1|H1]; cbn [orb].
  { rewrite (proj2 (Z.leb_gt 32 s2sz)) by lia. reflexivity. }
  rewrite (proj2 (Z.leb_le 32 s2sz)) by lia. cbn [andb].
  destruct (Z.ltb_spec (width (hw s)) s2sz) as [H2|H2].
  { rewrite (proj2 (Z.leb_gt s2sz (width (hw s)))) by lia. reflexivity. }
  rewrite (proj2 (Z.leb_le s2sz (width (hw s)))) by lia. cbn [andb].
  replace ((bps <? 1) || (1 <? bps) || (wps <? 1) || (1 <? wps)) with (negb ((bps =? 1) && (wps =? 1))) by lia.
  destruct ((bps =? 1) && (wps =? 1)); cbn [negb andb]; [|reflexivity].
  after realm_num_start_ok; [lia|].
  pose proof (start_tables_range level s2sz s) as Hn. set (n := start_tables level s2sz s) in *.
  replace ((n =? 0) || negb (num =? n)) with (negb (negb (n =? 0) && (num =? n)))
    by (rewrite negb_andb, negb_involutive; reflexivity).
  destruct (negb (n =? 0) && (num =? n)) eqn:En; cbn [negb andb]; [|reflexivity].
  apply andb_true_iff in En as [En%negb_true_iff%Z.eqb_neq _].
  replace (negb (alg =? 0) && negb (alg =? 1)) with (negb ((alg =? 0) || (alg =? 1))) by (rewrite negb_orb; reflexivity).
  destruct ((alg =? 0) || (alg =? 1)); cbn [negb andb]; [|reflexivity].
  rewrite Z.shiftl_mul_pow2, (wrap_small (n * 2 ^ 12)), wrap_small by lia.
  replace (n * 2 ^ 12 - 1) with (4096 * n - 1) by lia.
  destruct (Z.land base (4096 * n - 1) =? 0); reflexivity.
Qed.
