(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/psci.c *)
From kcore Require Export refine.CurrentFacts refine.IpaRefine spec.Psci.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem psci_index_ok mpidr s : core "psci_index" [mpidr] s = Some ([mpidr_index mpidr], s).
Proof. enter f_psci_index. reflexivity. Qed.

(* ---- RMI_PSCI_COMPLETE ---- *)

Theorem psci_finish_ok caller result s :
  rec_in_hand caller s = true -> core "psci_finish" [caller; result] s = Some ([], psci_finished caller result s).
Proof. intros H. enter f_psci_finish. do 5 step. reflexivity. Qed.

Theorem psci_turn_on_ok caller target s :
  rec_in_hand caller s = true -> rec_in_hand target s = true ->
  core "psci_turn_on" [caller; target] s = Some ([], turned_on caller target s).
Proof. intros H1 H2. enter f_psci_turn_on. do 8 step. reflexivity. Qed.

Lemma hand_turned_on r caller target s :
  rec_in_hand r s = true -> rec_in_hand r (turned_on caller target s) = true.
Proof. intros. unfold turned_on. auto 10 with hand. Qed.
#[export] Hint Resolve hand_turned_on : hand.

Theorem psci_complete_on_ok caller target on status s :
  rec_in_hand caller s = true -> rec_in_hand target s = true ->
  core "psci_complete_on" [caller; target; b2z on; status] s =
  Some ([fst (complete_on caller target on status s)], snd (complete_on caller target on status s)).
Proof.
  intros H1 H2. enter f_psci_complete_on. unfold complete_on.
  change 18446744073709551613 with PSCI_DENIED. change (status =? 0) with (status =? PSCI_SUCCESS).
  destruct (negb (status =? PSCI_SUCCESS) && negb (status =? PSCI_DENIED)); [reflexivity|].
  destruct on.
  - use psci_finish_ok. destruct (status =? PSCI_DENIED); reflexivity.
  - destruct (status =? PSCI_SUCCESS).
    + use psci_turn_on_ok. use psci_finish_ok. reflexivity.
    + use psci_finish_ok. reflexivity.
Qed.

Theorem psci_complete_affinity_ok caller on status s :
  rec_in_hand caller s = true ->
  core "psci_complete_affinity" [caller; b2z on; status] s =
  Some ([fst (complete_affinity caller on status s)], snd (complete_affinity caller on status s)).
Proof.
  intros H. enter f_psci_complete_affinity. unfold complete_affinity.
  change (status =? 0) with (status =? PSCI_SUCCESS). destruct (status =? PSCI_SUCCESS); [|reflexivity].
  destruct on; use psci_finish_ok; reflexivity.
Qed.

Theorem psci_complete_locked_ok caller target status s :
  rec_in_hand caller s = true -> rec_in_hand target s = true ->
  core "psci_complete_locked" [caller; target; status] s =
  Some ([fst (complete_locked caller target status s)], snd (complete_locked caller target status s)).
Proof.
  intros H1 H2. enter f_psci_complete_locked. unfold complete_locked, awaits. do 4 step.
  destruct (rec_get REC_running caller 0 s =? 0); [|reflexivity].
  tidy. do 3 step. use psci_index_ok. fold (gpr caller 1 s). fold (gpr caller 0 s).
  destruct (rec_get REC_psci_pending caller 0 s =? 0); [reflexivity|].
  destruct (mpidr_index (gpr caller 1 s) =? rec_get REC_index target 0 s); [|reflexivity].
  tidy. fold (is_on target s). change ((gpr caller 0 s =? 2214592515) || _) with (is_cpu_on (gpr caller 0 s)).
  destruct (is_cpu_on (gpr caller 0 s)).
  - use psci_complete_on_ok. reflexivity.
  - use psci_complete_affinity_ok. reflexivity.
Qed.

(* A command on RECs commutes with the lock of their realm. *)
Lemma complete_locked_under caller target status l s :
  complete_locked caller target status (lock_taken l s) =
  (fst (complete_locked caller target status s), lock_taken l (snd (complete_locked caller target status s))).
Proof.
  unfold complete_locked, complete_on, complete_affinity, turned_on, el1_set.
  change (awaits caller target (lock_taken l s)) with (awaits caller target s).
  change (is_on target (lock_taken l s)) with (is_on target s).
  change (gpr caller 0 (lock_taken l s)) with (gpr caller 0 s).
  change (loaded (rec_set REC_pstate target 0 PSTATE_RESET (lock_taken l s))) with (loaded s).
  change (loaded (rec_set REC_pstate target 0 PSTATE_RESET s)) with (loaded s).
  destruct (awaits caller target s); [|reflexivity]. destruct (is_cpu_on (gpr caller 0 s)), (is_on target s); cbn [negb].
  - destruct (_ && _); [reflexivity|]. destruct (status =? PSCI_DENIED); reflexivity.
  - destruct (_ && _); [reflexivity|]. destruct (status =? PSCI_SUCCESS); [|reflexivity].
    destruct (loaded s =? target); reflexivity.
  - destruct (status =? PSCI_SUCCESS); reflexivity.
  - destruct (status =? PSCI_SUCCESS); reflexivity.
Qed.
Lemma complete_locked_locks caller target status s :
  let s' := snd (complete_locked caller target status s) in
  held s' = held s /\ shrinking s' = shrinking s /\ staled s' = staled s.
Proof.
  unfold complete_locked, complete_on, complete_affinity, turned_on, el1_set.
  change (loaded (rec_set REC_pstate target 0 PSTATE_RESET s)) with (loaded s).
  destruct (awaits caller target s); [|auto]. destruct (is_cpu_on (gpr caller 0 s)), (is_on target s); cbn [negb].
  - destruct (_ && _); [auto|]. destruct (status =? PSCI_DENIED); auto.
  - destruct (_ && _); [auto|]. destruct (status =? PSCI_SUCCESS); [|auto]. destruct (loaded s =? target); auto.
  - destruct (status =? PSCI_SUCCESS); auto.
  - destruct (status =? PSCI_SUCCESS); auto.
Qed.

Theorem psci_complete_ok caller target status s :
  idle s ->
  core "psci_complete" [caller; target; status] s =
  Some ([fst (psci_completed caller target status s)], snd (psci_completed caller target status s)).
Proof.
  intros (Hh & Hs & Hst). enter f_psci_complete. unfold psci_completed.
  destruct (Z.eqb_spec caller target) as [|Hne]; [reflexivity|].
  use rec_lock_owner_ok. unfold lock_owner. cbn [orb].
  destruct (owner_found caller s) eqn:Hf; [|reflexivity]. cbn [fst snd negb orb].
  unfold owner_found in Hf. apply andb_true_iff in Hf as [Hn Hrd].
  apply negb_true_iff in Hn. rewrite Hn. apply Z.eqb_neq in Hn.
  assert (Hc : has_state GS_REC caller s = true).
  { unfold rec_owner in Hn. destruct (has_state GS_REC caller s); [reflexivity|congruence]. }
  step. change (has_state 3 target _) with (has_state GS_REC target s).
  change (granule_at (locked (rec_owner caller s) s) target) with (granule_at s target). fold (rec_owner target s).
  destruct (Z.eqb_spec (rec_owner target s) (rec_owner caller s)) as [Ho|Ho]; cbn [negb].
  - assert (Ht : has_state GS_REC target s = true).
    { rewrite <- Ho in Hn. unfold rec_owner in Hn. destruct (has_state GS_REC target s); [reflexivity|congruence]. }
    pose proof (hand_owned _ _ _ Hc eq_refl Hn). pose proof (hand_owned _ _ _ Ht Ho Hn).
    use psci_complete_locked_ok. rewrite complete_locked_under. cbn [fst snd].
    destruct (complete_locked_locks caller target status s) as (E1 & E2 & E3).
    apply bind_unlock; [by rewrite E1|by rewrite E2|by rewrite E3|]. reflexivity.
  - apply bind_unlock; auto.
Qed.

(* ---- Calls of the guest ---- *)

Notation outcome call := (Some ([b2z (fst call)], snd call)).

Theorem psci_answer_ok rec result s :
  rec_in_hand rec s = true -> core "psci_answer" [rec; result] s = outcome (psci_answered rec result s).
Proof. intros H. enter f_psci_answer. use rec_return_ok. reflexivity. Qed.

Theorem psci_notify_ok fid mpidr s : core "psci_notify" [fid; mpidr] s = Some ([1], notified fid mpidr s).
Proof. enter f_psci_notify. do 4 step. reflexivity. Qed.

Theorem psci_ask_ok rec fid mpidr s :
  rec_in_hand rec s = true -> core "psci_ask" [rec; fid; mpidr] s = outcome (asked rec fid mpidr s).
Proof. intros H. enter f_psci_ask. do 2 step. use rec_skip_ok. use psci_notify_ok. reflexivity. Qed.

Theorem psci_target_ok_ok rd mpidr s :
  in_hand rd s = true -> core "psci_target_ok" [rd; mpidr] s = Some ([b2z (target_ok rd mpidr s)], s).
Proof. intros H. enter f_psci_target_ok. use psci_index_ok. step. reflexivity. Qed.

(* The realm of the REC that runs is locked and unlocked again. *)
Ltac lock_realm C := use rec_lock_realm_ok.
Ltac unlock_realm C := apply bind_unlock; [exact (c_held _ _ C)|exact (c_growing _ _ C)|exact (c_clean _ _ C)|]; tidy.

Theorem psci_cpu_on_ok rec fid s :
  current rec s -> core "psci_cpu_on" [rec; fid] s = outcome (cpu_on rec fid s).
Proof.
  intros C. pose proof (current_hand _ _ C) as H. pose proof (hand_realm _ _ (c_realm _ _ C)) as Hr.
  enter f_psci_cpu_on. step. step. use psci_index_ok. step. lock_realm C.
  use ipa_in_par_ok. use psci_target_ok_ok. unlock_realm C. unfold cpu_on, is_self.
  change (in_par (realm_of rec s) (rec_get REC_gpr rec 2 s) (locked (realm_of rec s) s))
    with (in_par (realm_of rec s) (gpr rec 2 s) s).
  change (target_ok (realm_of rec s) (rec_get REC_gpr rec 1 s) (locked (realm_of rec s) s))
    with (target_ok (realm_of rec s) (gpr rec 1 s) s).
  fold (gpr rec 1 s).
  destruct (in_par (realm_of rec s) (gpr rec 2 s) s); [|use psci_answer_ok; reflexivity].
  destruct (target_ok (realm_of rec s) (gpr rec 1 s) s); [|use psci_answer_ok; reflexivity]. cbn [negb].
  destruct (mpidr_index (gpr rec 1 s) =? rec_get REC_index rec 0 s); [use psci_answer_ok|use psci_ask_ok]; reflexivity.
Qed.

Theorem psci_affinity_info_ok rec fid s :
  current rec s -> core "psci_affinity_info" [rec; fid] s = outcome (affinity_info rec fid s).
Proof.
  intros C. pose proof (current_hand _ _ C) as H. pose proof (hand_realm _ _ (c_realm _ _ C)) as Hr.
  enter f_psci_affinity_info. step. step. use psci_index_ok. step. lock_realm C.
  use psci_target_ok_ok. unlock_realm C. unfold affinity_info, is_self.
  change (target_ok (realm_of rec s) (rec_get REC_gpr rec 1 s) (locked (realm_of rec s) s))
    with (target_ok (realm_of rec s) (gpr rec 1 s) s).
  fold (gpr rec 1 s). fold (gpr rec 2 s).
  destruct (negb (gpr rec 2 s =? 0) || negb (target_ok (realm_of rec s) (gpr rec 1 s) s));
    [use psci_answer_ok; reflexivity|].
  destruct (mpidr_index (gpr rec 1 s) =? rec_get REC_index rec 0 s); [use psci_answer_ok|use psci_ask_ok]; reflexivity.
Qed.

Theorem psci_cpu_off_ok rec s : current rec s -> core "psci_cpu_off" [rec] s = outcome (cpu_off rec s).
Proof.
  intros C. pose proof (current_hand _ _ C) as H. enter f_psci_cpu_off. lock_realm C. step.
  change (rec_set REC_runnable rec 0 0 (locked (realm_of rec s) s)) with (locked (realm_of rec s) (rec_set REC_runnable rec 0 0 s)).
  unlock_realm C. use rec_skip_ok. use psci_notify_ok. reflexivity.
Qed.

Lemma hand_rd_set r f rd i v s : rec_in_hand r s = true -> rec_in_hand r (rd_set f rd i v s) = true.
Proof. exact id. Qed.
#[export] Hint Resolve hand_rd_set : hand.

Theorem psci_system_off_ok rec fid s :
  current rec s -> core "psci_system_off" [rec; fid] s = outcome (system_off rec fid s).
Proof.
  intros C. pose proof (current_hand _ _ C) as H. pose proof (hand_realm _ _ (c_realm _ _ C)) as Hr.
  enter f_psci_system_off. lock_realm C. step.
  change (rd_set RD_state (realm_of rec s) 0 2 (locked (realm_of rec s) s))
    with (locked (realm_of rec s) (rd_set RD_state (realm_of rec s) 0 2 s)).
  unlock_realm C. step. use rec_skip_ok. use psci_notify_ok. reflexivity.
Qed.

Theorem psci_suspend_ok rec fid s :
  rec_in_hand rec s = true -> core "psci_suspend" [rec; fid] s = outcome (suspend rec fid s).
Proof. intros H. enter f_psci_suspend. use rec_return_ok. use psci_notify_ok. reflexivity. Qed.

Theorem psci_features_ok fid s : core "psci_features" [fid] s = Some ([features fid], s).
Proof.
  enter f_psci_features.
  change 2214592513 with PSCI_CPU_SUSPEND_32. change 3288334337 with PSCI_CPU_SUSPEND_64.
  change 2214592515 with PSCI_CPU_ON_32. change 3288334339 with PSCI_CPU_ON_64.
  change 2214592516 with PSCI_AFFINITY_INFO_32. change 3288334340 with PSCI_AFFINITY_INFO_64.
  change 2214592520 with PSCI_SYSTEM_OFF. change 2214592521 with PSCI_SYSTEM_RESET.
  change 2214592514 with PSCI_CPU_OFF. change 2214592522 with PSCI_FEATURES. change 2147483648 with SMCCC_VERSION.
  unfold features, is_suspend, is_cpu_on, is_affinity_info, is_system_off.
  rewrite <- !orb_assoc.
  repeat match goal with |- context[if ?a || _ then _ else _] => destruct a; [reflexivity|]; rewrite !orb_false_l end.
  destruct (fid =? SMCCC_VERSION); reflexivity.
Qed.

Theorem psci_simple_ok rec fid s :
  rec_in_hand rec s = true -> core "psci_simple" [rec; fid] s = outcome (psci_simple rec fid s).
Proof.
  intros H. enter f_psci_simple. step. fold (gpr rec 1 s). unfold psci_simple, simple_result.
  change 2147483648 with SMCCC_VERSION. change 2214592512 with PSCI_VERSION. change 2214592522 with PSCI_FEATURES.
  destruct (fid =? SMCCC_VERSION); [use psci_answer_ok; reflexivity|].
  destruct (fid =? PSCI_VERSION); [use psci_answer_ok; reflexivity|].
  destruct (fid =? PSCI_FEATURES); [use psci_features_ok|]; use psci_answer_ok; reflexivity.
Qed.

Lemma hand_narrowed_reg r rec n s : rec_in_hand r s = true -> rec_in_hand r (narrowed_reg rec n s) = true.
Proof. intros. unfold narrowed_reg. auto with hand. Qed.
#[export] Hint Resolve hand_narrowed_reg : hand.

Theorem psci_narrow_ok rec s : rec_in_hand rec s = true -> core "psci_narrow" [rec] s = Some ([], narrowed rec s).
Proof.
  intros H. enter f_psci_narrow.
  do 3 (lazymatch goal with
        | |- loop _ _ ?i (S _) _ _ _ = _ => let i' := eval compute in (i + 1) in apply (loop_S _ _ i i'); [reflexivity|]
        end; tidy; do 2 step).
  apply loop_O. tidy. reflexivity.
Qed.

(* ---- The REC stays current ---- *)

Lemma kept_narrowed rec s0 s : kept rec s0 s -> kept rec s0 (narrowed rec s).
Proof. intros. unfold narrowed, narrowed_reg. auto 10 with kept. Qed.
Lemma kept_notified rec fid mpidr s0 s : kept rec s0 s -> kept rec s0 (notified fid mpidr s).
Proof. intros. unfold notified. auto 10 with kept. Qed.
Lemma kept_answered rec result s0 s : kept rec s0 s -> kept rec s0 (snd (psci_answered rec result s)).
Proof. intros. unfold psci_answered. cbn [snd]. auto with kept. Qed.
Lemma kept_asked rec fid mpidr s0 s : kept rec s0 s -> kept rec s0 (snd (asked rec fid mpidr s)).
Proof. intros. unfold asked. cbn [snd]. apply kept_notified. auto 10 with kept. Qed.
#[export] Hint Resolve kept_narrowed kept_notified kept_answered kept_asked : kept.

Lemma psci_called_kept rec fid s : current rec s -> kept rec s (snd (psci_called rec fid s)).
Proof.
  intros C. unfold psci_called.
  set (s1 := if _ || _ then narrowed rec s else s).
  assert (K : kept rec s s1) by (subst s1; auto with kept). clearbody s1.
  pose proof (current_apart _ _ (kept_current _ _ _ K C)) as Hrd.
  destruct (is_cpu_on fid).
  { unfold cpu_on. destruct (negb _); [auto with kept|]. destruct (negb _); [auto with kept|].
    destruct (is_self _ _ _); auto with kept. }
  destruct (is_affinity_info fid).
  { unfold affinity_info. destruct (_ || _); [auto with kept|]. destruct (is_self _ _ _); auto with kept. }
  destruct (fid =? PSCI_CPU_OFF); [unfold cpu_off; cbn [snd]; auto 10 with kept|].
  destruct (is_system_off fid).
  { unfold system_off, logged_event. cbn [snd]. apply kept_notified, kept_skipped, kept_logged.
    by apply kept_rd_set. }
  destruct (is_suspend fid); [unfold suspend; cbn [snd]; auto 10 with kept|].
  unfold psci_simple. auto with kept.
Qed.

Theorem psci_call_ok rec fid s :
  current rec s -> core "psci_call" [rec; fid] s = outcome (psci_called rec fid s).
Proof.
  intros C. pose proof (current_hand _ _ C) as H. enter f_psci_call. unfold psci_called.
  change 2214592513 with PSCI_CPU_SUSPEND_32. change 3288334337 with PSCI_CPU_SUSPEND_64.
  change 2214592515 with PSCI_CPU_ON_32. change 3288334339 with PSCI_CPU_ON_64.
  change 2214592516 with PSCI_AFFINITY_INFO_32. change 3288334340 with PSCI_AFFINITY_INFO_64.
  change 2214592520 with PSCI_SYSTEM_OFF. change 2214592521 with PSCI_SYSTEM_RESET.
  change 2214592514 with PSCI_CPU_OFF.
  fold (is_cpu_on fid). fold (is_affinity_info fid). fold (is_system_off fid). fold (is_suspend fid).
  destruct ((fid =? PSCI_CPU_ON_32) || (fid =? PSCI_AFFINITY_INFO_32)).
  - pose proof (kept_narrowed rec s s (kept_refl _ _)) as K.
    pose proof (kept_current _ _ _ K C) as C'. pose proof (kept_hand _ _ _ _ K H) as H'.
    use psci_narrow_ok. destruct (is_cpu_on fid); [use psci_cpu_on_ok; reflexivity|].
    destruct (is_affinity_info fid); [use psci_affinity_info_ok; reflexivity|].
    destruct (fid =? PSCI_CPU_OFF); [use psci_cpu_off_ok; reflexivity|].
    destruct (is_system_off fid); [use psci_system_off_ok; reflexivity|].
    destruct (is_suspend fid); [use psci_suspend_ok|use psci_simple_ok]; reflexivity.
  - destruct (is_cpu_on fid); [use psci_cpu_on_ok; reflexivity|].
    destruct (is_affinity_info fid); [use psci_affinity_info_ok; reflexivity|].
    destruct (fid =? PSCI_CPU_OFF); [use psci_cpu_off_ok; reflexivity|].
    destruct (is_system_off fid); [use psci_system_off_ok; reflexivity|].
    destruct (is_suspend fid); [use psci_suspend_ok|use psci_simple_ok]; reflexivity.
Qed.
