(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/launch.c: what the host calls *)
From kcore Require Export refine.LaunchRefine refine.RecLockRefine refine.UnderFacts spec.LaunchCall.
From kcore Require Import refine.Steps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem launch_block_check_ok s : core "launch_block_check" [] s = Some ([block_check s], s).
Proof.
  enter f_launch_block_check. step. after launch_block_ok_ok. unfold block_check. change (48 / 8) with 6. fold (param 6 s).
  destruct (block_ok s); cbn [negb]; [|reflexivity]. unfold KCORE_ABI_VERSION. change 0x10001 with 65537.
  destruct (65537 <? param 6 s); [reflexivity|]. step.
  destruct (signature_good (hw s) (params s) 240 208 240); reflexivity.
Qed.

(* What is done with the realm locked and the page pinned. *)
Lemma rd_hand rd s : has_state GS_RD rd s = true -> in_hand rd (locked rd s) = true.
Proof.
  intros H. apply (object_hand GS_RD); [exact H|discriminate..|].
  unfold under_lock, tracked, holds, has_state in *. cbn [gran held lock_taken with_held locked].
  destruct (gran s !! rd); [|discriminate]. cbn. by rewrite Z.eqb_refl.
Qed.
Lemma locked_under rd s : held s = [] -> shrinking s = false -> locked rd s = under (gran s) [LGranule rd] false s.
Proof. intros Hh Hs. destruct s. cbn in *. by subst. Qed.
Lemma under_back s z : gran z = gran s -> held s = [] -> shrinking s = false -> held z = held s -> shrinking z = shrinking s ->
  under (gran s) [] false z = z.
Proof. intros G H S H' S'. rewrite <- G. rewrite <- (under_self z) at 3. by rewrite H', S', H, S. Qed.
Lemma pinned_through (f : state -> state) ns s :
  (forall g hl sh s, f (under g hl sh s) = under g hl sh (f s)) ->
  gran (f s) = gran s -> held (f s) = held s -> shrinking (f s) = shrinking s -> f (page_pinned ns s) = page_pinned ns (f s).
Proof.
  intros Hf G H S. change (page_pinned ns s) with (under (gran (page_pinned ns s)) (held s) (shrinking s) s). rewrite Hf.
  unfold page_pinned, with_refs, set_granule, granule_at, under. set (z := f s) in *. cbn [gran with_gran].
  rewrite <- G, <- H, <- S. by destruct z.
Qed.

Lemma policy_under rd g hl sh s : policy_set rd (under g hl sh s) = under g hl sh (policy_set rd s).
Proof.
  unfold policy_set. change (param 5 (under g hl sh s)) with (param 5 s). change (param 4 (under g hl sh s)) with (param 4 s).
  change (param 3 (under g hl sh s)) with (param 3 s). rewrite each_under by reflexivity.
  rewrite !rd_under. by rewrite policy_measured_under.
Qed.
Lemma scratch_set rd s : scratch rd s (policy_set rd s).
Proof. unfold policy_set. apply scratch_policy. scratch_now. Qed.

Theorem launch_policy_pinned_ok rd s : idle s ->
  core "launch_policy_pinned" [rd] s = Some ([fst (policy_with rd s)], snd (policy_with rd s)).
Proof.
  intros (Hh & Hs & Hst). enter f_launch_policy_pinned. after launch_block_check_ok. unfold policy_with, RMI_SUCCESS.
  destruct (block_check s =? 0); cbn [negb]; [|reflexivity].
  apply bind_lock; [exact Hs|exact Hh|]. destruct (has_state GS_RD rd s) eqn:Hrd; tidy; cbn [negb]; [|reflexivity].
  pose proof (launch_policy_locked_ok rd (locked rd s) (rd_hand _ _ Hrd)) as T.
  change (untouched rd (locked rd s)) with (untouched rd s) in T. rewrite locked_under in T |- * by assumption.
  destruct (untouched rd s); cbn [negb fst snd]; (eapply bind_call; [exact T|]); tidy.
  - rewrite policy_under. destruct (scratch_kept _ _ _ (scratch_set rd s)) as (G & H & S & St & _).
    apply bind_realm_unlock; [rewrite St; exact Hst|]. unfold ret. rewrite (under_back s (policy_set rd s) G Hh Hs H S). reflexivity.
  - apply bind_realm_unlock; [exact Hst|]. unfold ret. rewrite (under_back s s eq_refl Hh Hs eq_refl eq_refl). reflexivity.
Qed.

(* A page is pinned around it. *)
Lemma policy_pinned rd ns s : is_Some (gran s !! ns) ->
  fst (policy_with rd (page_pinned ns s)) = fst (policy_with rd s) /\
  snd (policy_with rd (page_pinned ns s)) = page_pinned ns (snd (policy_with rd s)) /\
  gran (snd (policy_with rd s)) = gran s /\ staled (snd (policy_with rd s)) = staled s.
Proof.
  intros Hs. unfold policy_with. change (block_check (page_pinned ns s)) with (block_check s).
  change (untouched rd (page_pinned ns s)) with (untouched rd s). rewrite has_state_pinned by exact Hs.
  destruct (negb (block_check s =? RMI_SUCCESS)); [by split_and!|]. destruct (negb (has_state GS_RD rd s)); [by split_and!|].
  destruct (negb (untouched rd s)); [by split_and!|].
  destruct (scratch_kept _ _ _ (scratch_set rd s)) as (G & H & S & T & _).
  cbn [fst snd]. split; [reflexivity|]. split; [|split; [exact G|exact T]].
  exact (pinned_through (policy_set rd) ns s (policy_under rd) G H S).
Qed.

Theorem launch_policy_ok rd block s : inv s -> idle s ->
  core "launch_policy" [rd; block] s = Some ([fst (launch_policy rd block s)], snd (launch_policy rd block s)).
Proof.
  intros I D. unfold launch_policy. enter f_launch_policy. apply bind_pin.
  destruct (pinnable block s) eqn:Hp; tidy; [|reflexivity].
  destruct (pinnable_some _ _ Hp) as (x & Hx & Hns).
  assert (Hr : 0 <= g_refs (granule_at s block)) by (unfold granule_at; rewrite Hx; apply (i_gran _ I _ _ Hx)).
  change (negb (z2b 1)) with false. cbv iota.
  step; [by apply pinned_now|]. set (s1 := params_loaded block s). change (with_params _ _) with (page_pinned block s1).
  assert (Hx1 : gran s1 !! block = Some x) by exact Hx.
  after launch_policy_pinned_ok; [exact D|].
  destruct (policy_pinned rd block s1) as (E1 & E2 & G & T); [rewrite Hx1; eauto|].
  destruct (policy_with rd (page_pinned block s1)) as [c1 z1]. cbn [fst snd] in E1, E2. subst c1 z1.
  destruct (policy_with rd s1) as [c z]. cbn [fst snd] in G, T |- *. cbv beta iota.
  apply bind_put; [|exact (eq_trans T (proj2 (proj2 D)))|].
  { apply (pinned_page _ _ x); [by rewrite G|exact Hns|apply (i_gran _ I _ _ Hx)]. }
  unfold ret. rewrite (unpin_pin _ _ x); [reflexivity|by rewrite G].
Qed.

(* ---- The key ---- *)

Theorem launch_key_locked_ok rd s : in_hand rd s = true ->
  core "launch_key_locked" [rd] s = Some ([fst (key_set rd s)], snd (key_set rd s)).
Proof.
  intros H. enter f_launch_key_locked. step. step. unfold key_set.
  destruct (rd_get RD_state rd 0 s =? 0), (rd_get RD_has_key rd 0 s =? 0); cbn [negb orb];
    try (after error_realm_ok; [lia|reflexivity]).
  after launch_expects_rim_ok; [exact H|]. destruct (expects_rim rd s); cbn [negb]; [|reflexivity].
  unfold bind at 1. cbn [prim_sem]. rewrite H. cbn [guarded].
  destruct (key_opened (hw s) (params s) (policy_of rd s)) as [key|]; tidy; [|reflexivity].
  change (negb (z2b 1)) with false. cbv iota.
  assert (H' : in_hand rd (with_key rd key s) = true) by exact H. step. reflexivity.
Qed.

Lemma key_under rd g hl sh s : key_set rd (under g hl sh s) = (fst (key_set rd s), under g hl sh (snd (key_set rd s))).
Proof.
  unfold key_set. change (rd_get RD_state rd 0 (under g hl sh s)) with (rd_get RD_state rd 0 s).
  change (rd_get RD_has_key rd 0 (under g hl sh s)) with (rd_get RD_has_key rd 0 s).
  change (expects_rim rd (under g hl sh s)) with (expects_rim rd s).
  change (hw (under g hl sh s)) with (hw s). change (params (under g hl sh s)) with (params s).
  change (policy_of rd (under g hl sh s)) with (policy_of rd s).
  destruct (_ || _); [reflexivity|]. destruct (expects_rim rd s); [|reflexivity]. cbn [negb].
  destruct (key_opened _ _ _); reflexivity.
Qed.
Lemma key_kept rd s : gran (snd (key_set rd s)) = gran s /\ held (snd (key_set rd s)) = held s /\
  shrinking (snd (key_set rd s)) = shrinking s /\ staled (snd (key_set rd s)) = staled s.
Proof.
  unfold key_set. destruct (_ || _); [done|]. destruct (expects_rim rd s); [|done]. cbn [negb].
  destruct (key_opened _ _ _); done.
Qed.

Theorem launch_key_pinned_ok rd s : idle s ->
  core "launch_key_pinned" [rd] s = Some ([fst (key_with rd s)], snd (key_with rd s)).
Proof.
  intros (Hh & Hs & Hst). enter f_launch_key_pinned. after params_zero_ok. unfold key_with.
  change (80 / 8) with 10. change (4096 / 8) with 512.
  destruct (zero_between 10 512 s); cbn [negb]; [|reflexivity].
  apply bind_lock; [exact Hs|exact Hh|]. destruct (has_state GS_RD rd s) eqn:Hrd; tidy; cbn [negb]; [|reflexivity].
  after launch_key_locked_ok; [by apply rd_hand|]. rewrite locked_under, key_under by assumption. cbn [fst snd].
  destruct (key_kept rd s) as (G & H & S & T). apply bind_realm_unlock; [rewrite T; exact Hst|].
  unfold ret. rewrite (under_back s (snd (key_set rd s)) G Hh Hs H S). reflexivity.
Qed.

Lemma key_pinned rd ns s : is_Some (gran s !! ns) ->
  fst (key_with rd (page_pinned ns s)) = fst (key_with rd s) /\
  snd (key_with rd (page_pinned ns s)) = page_pinned ns (snd (key_with rd s)) /\
  gran (snd (key_with rd s)) = gran s /\ staled (snd (key_with rd s)) = staled s.
Proof.
  intros Hs. unfold key_with. change (zero_between 10 512 (page_pinned ns s)) with (zero_between 10 512 s).
  rewrite has_state_pinned by exact Hs.
  destruct (negb (zero_between 10 512 s)); [by split_and!|]. destruct (negb (has_state GS_RD rd s)); [by split_and!|].
  destruct (key_kept rd s) as (G & H & S & T). split; [|split; [|split; [exact G|exact T]]].
  - change (page_pinned ns s) with (under (gran (page_pinned ns s)) (held s) (shrinking s) s). by rewrite key_under.
  - refine (pinned_through (fun s => snd (key_set rd s)) ns s _ G H S). intros. by rewrite key_under.
Qed.

Theorem launch_key_ok rd page s : inv s -> idle s ->
  core "launch_key" [rd; page] s = Some ([fst (launch_key rd page s)], snd (launch_key rd page s)).
Proof.
  intros I D. unfold launch_key. enter f_launch_key. apply bind_pin.
  destruct (pinnable page s) eqn:Hp; tidy; [|reflexivity].
  destruct (pinnable_some _ _ Hp) as (x & Hx & Hns).
  assert (Hr : 0 <= g_refs (granule_at s page)) by (unfold granule_at; rewrite Hx; apply (i_gran _ I _ _ Hx)).
  change (negb (z2b 1)) with false. cbv iota.
  step; [by apply pinned_now|]. set (s1 := params_loaded page s). change (with_params _ _) with (page_pinned page s1).
  assert (Hx1 : gran s1 !! page = Some x) by exact Hx.
  after launch_key_pinned_ok; [exact D|].
  destruct (key_pinned rd page s1) as (E1 & E2 & G & T); [rewrite Hx1; eauto|].
  destruct (key_with rd (page_pinned page s1)) as [c1 z1]. cbn [fst snd] in E1, E2. subst c1 z1.
  destruct (key_with rd s1) as [c z]. cbn [fst snd] in G, T |- *. cbv beta iota.
  apply bind_put; [|exact (eq_trans T (proj2 (proj2 D)))|].
  { apply (pinned_page _ _ x); [by rewrite G|exact Hns|apply (i_gran _ I _ _ Hx)]. }
  unfold ret. rewrite (unpin_pin _ _ x); [reflexivity|by rewrite G].
Qed.
