(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: RMI_REC_ENTER, with its checks. *)
From kcore Require Export refine.EnterRecRefine.
From kcore Require Import refine.Pins.
From kcore Require Import refine.ExitLeaveRefine.
From kcore Require Import refine.CurrentFacts.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma call_bounded_inv rec rd s :
  inv s -> has_state GS_REC rec s = true -> g_owner (granule_at s rec) = rd -> call_bounded rec rd s.
Proof.
  intros I (g & Hg & Hs)%has_state_inv Ho Hn. unfold granule_at in Ho. rewrite Hg in Ho. cbn in Ho.
  destruct (c_host_call _ _ _ (i_rec _ I _ _ Hg Hs) Hn) as [H1 H2]. rewrite Ho in H2. unfold half_of in H2.
  assert (0 <= rd_of s RD_ipa_size rd) by apply (i_words _ I).
  pose proof (Z.div_le_upper_bound (rd_of s RD_ipa_size rd) 2 (rd_of s RD_ipa_size rd)).
  split; [rewrite (land_low 8) by lia; exact H1|]. split; [apply (i_words _ I)|].
  change (rec_get REC_host_call_ipa rec 0 s) with (rec_of s REC_host_call_ipa rec). lia.
Qed.

Lemma owner_pinned rec run_page s : pinnable run_page s = true ->
  rec_owner rec (page_pinned run_page s) = rec_owner rec s /\ owner_found rec (page_pinned run_page s) = owner_found rec s.
Proof.
  intros (x & Hx & Hs)%pinnable_some. assert (Hx' : is_Some (gran s !! run_page)) by (rewrite Hx; eauto).
  assert (E : rec_owner rec (page_pinned run_page s) = rec_owner rec s).
  { unfold rec_owner. rewrite has_state_pinned by exact Hx'. destruct (has_state GS_REC rec s) eqn:H; [|reflexivity].
    apply has_state_inv in H as (g & Hg & Hgs). unfold page_pinned, with_refs, set_granule, granule_at. cbn [gran with_gran].
    rewrite lookup_insert_ne; [reflexivity|]. intros ->. rewrite Hx in Hg. injection Hg as <-. rewrite Hs in Hgs. done. }
  split; [exact E|]. unfold owner_found. rewrite E. by rewrite has_state_pinned by exact Hx'.
Qed.
Lemma entry_words l : is_page l -> Forall u64 l -> page_words (entry_half l).
Proof.
  intros Hl Hu. unfold is_page in Hl. unfold entry_half. split.
  - unfold is_page. rewrite length_app, length_take, length_replicate, Hl. reflexivity.
  - apply Forall_app. split; [by apply Forall_take|]. apply Forall_replicate, u64_0.
Qed.
Lemma page_u64 s pa : inv s -> Forall u64 (page (mem s) pa).
Proof.
  intros I. apply Forall_lookup. intros i d H. apply (page_lookup _ _ _ _ (i_mem _ I)) in H as [_ ->]. apply (i_words _ I).
Qed.

Theorem rec_enter_ok rec run_page s :
  inv s -> idle s -> runs s = 0 ->
  core "rec_enter" [rec; run_page] s =
    Some ([e_status (enter_rec rec run_page s); 0; 0; 0; 0; e_rec (enter_rec rec run_page s)], e_state (enter_rec rec run_page s)).
Proof.
  intros I (Hh & Hs & Hst) Hr. unfold enter_rec. enter f_rec_enter. apply bind_pin.
  destruct (pinnable run_page s) eqn:Hp; tidy; [|reflexivity]. cbn [negb orb].
  destruct (owner_pinned rec run_page s Hp) as [Eo Ef]. pose proof (inv_pinned _ _ I Hp) as Ip.
  destruct (pinnable_some _ _ Hp) as (x & Hx & Hns). pose proof (unpin_pin run_page s x Hx) as U.
  assert (Pp : pinned run_page (page_pinned run_page s) = true) by (apply (pinned_page _ _ x); [exact Hx|exact Hns|apply (i_gran _ I _ _ Hx)]).
  assert (Hl : loaded s = 0).
  { destruct (Z.eq_dec (loaded s) 0) as [E|N]; [exact E|]. destruct (i_loaded _ I N) as [E _]. congruence. }
  assert (X : held (page_pinned run_page s) = [] /\ shrinking (page_pinned run_page s) = false /\ staled (page_pinned run_page s) = [] /\
    loaded (page_pinned run_page s) = 0 /\ rec_get REC_running rec 0 (page_pinned run_page s) = rec_get REC_running rec 0 s) by (split_and!; assumption || reflexivity).
  destruct X as (Hh1 & Hs1 & Hst1 & Hl1 & Hrun). rewrite <- Eo, <- Ef, <- Hrun.
  clear Hh Hs Hst Hl Hr Hp Hrun Eo Ef Hx Hns I. revert Ip U Pp Hh1 Hs1 Hst1 Hl1. generalize (page_pinned run_page s). intros s1 I U Pp Hh Hs Hst Hl.
  use rec_lock_owner_ok. unfold lock_owner. destruct (owner_found rec s1) eqn:Ef; cbn [fst snd negb].
  2:{ change (0 =? 0) with true. cbv iota. apply bind_put; [exact Pp|exact Hst|]. by rewrite U. }
  pose proof Ef as [N%negb_true_iff Hrd]%andb_true_iff. rewrite N. apply Z.eqb_neq in N. cbv iota.
  assert (R : has_state GS_REC rec s1 = true) by (unfold rec_owner in N; destruct (has_state GS_REC rec s1); done).
  set (rd := rec_owner rec s1) in *. pose proof (hand_owned rd rec s1 R eq_refl N) as H. step.
  change (rec_get REC_running rec 0 (locked rd s1)) with (rec_get REC_running rec 0 s1).
  destruct (rec_get REC_running rec 0 s1 =? 0); cbn [negb].
  2:{ apply bind_unlock; [exact Hh|exact Hs|exact Hst|]. apply bind_put; [exact Pp|exact Hst|]. by rewrite U. }
  rewrite <- (pinned_locked run_page rd s1) in Pp. step.
  change (with_run _ (locked rd s1)) with (run_page_loaded run_page (locked rd s1)).
  assert (S : sound rec (locked rd s1)) by (constructor; [by apply (inv_same s1)|exact R]).
  assert (S2 : sound rec (run_page_loaded run_page (locked rd s1))).
  { pose proof (i_scratch _ (so_inv _ _ S)) as (_ & _ & _ & _ & _ & Hlive).
    apply (sound_other rec (locked rd s1)); try reflexivity; [|exact Hlive|exact S].
    apply entry_words; [apply page_ok, (i_mem _ (so_inv _ _ S))|apply page_u64, (so_inv _ _ S)]. }
  assert (Y : has_state GS_RD rd (run_page_loaded run_page (locked rd s1)) = true /\
    g_owner (granule_at (run_page_loaded run_page (locked rd s1)) rec) = rd /\
    held (run_page_loaded run_page (locked rd s1)) = [LGranule rd] /\ staled (run_page_loaded run_page (locked rd s1)) = [] /\
    loaded (run_page_loaded run_page (locked rd s1)) = 0 /\ pinned run_page (run_page_loaded run_page (locked rd s1)) = true).
  { split_and!; [exact Hrd| | |exact Hst|exact Hl|exact Pp].
    - unfold rd, rec_owner. rewrite R. reflexivity.
    - change (held (run_page_loaded run_page (locked rd s1))) with (LGranule rd :: held s1). by rewrite Hh. }
  clear -S2 Y. revert S2 Y. generalize (run_page_loaded run_page (locked rd s1)). generalize rd. clear. intros rd s [I R] (Y1 & Y2 & Y3 & Y4 & Y5 & Y6).
  assert (O : open_realm rd s) by (constructor; [exact I|exact Y1|unfold holds; rewrite Y3; cbn; by rewrite Z.eqb_refl]).
  assert (B : call_bounded rec rd (answered_to rec s)).
  { pose proof (answered_kept rec s) as K. apply call_bounded_inv.
    - exact (or_inv _ _ (answered_open rec rd s O R)).
    - by rewrite (EnterRecRefine.kept_has_state _ _ _ _ _ K).
    - unfold granule_at. by rewrite (CurrentFacts.k_gran _ _ _ K). }
  eapply bind_call; [exact (enter_locked_ok rec rd run_page s O R Y2 Y3 Y4 Y5 Y6 B)|]. tidy. reflexivity.
Qed.
