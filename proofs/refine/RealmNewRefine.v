(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/realm.c: RMI_REALM_CREATE. *)
From kcore Require Export refine.RealmClaimedRefine.
From kcore Require Export refine.Pins.
From kcore Require Export refine.LaunchCallRefine.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- A realm is built the same whatever is held or pinned ---- *)

Lemma fold_swap {A} (l : list A) (f : state -> A -> state) (g : state -> state) s :
  (forall s x, f (g s) x = g (f s x)) -> fold_left f l (g s) = g (fold_left f l s).
Proof. intros H. revert s. induction l as [|x l IH]; intros s; [reflexivity|]. cbn [fold_left]. by rewrite H, IH. Qed.

Section under.
  Context (g : gmap Z granule) (hl : list lock) (sh : bool).
  Notation u := (under g hl sh).

  Lemma realm_measured_under rd s : realm_measured rd (u s) = u (realm_measured rd s).
  Proof.
    unfold realm_measured. change (algorithm rd (u s)) with (algorithm rd s).
    by rewrite cleared_under, !param_under, hashed_under, stored_under.
  Qed.
  Lemma realm_filled_under rd p s : realm_filled rd p (u s) = u (realm_filled rd p s).
  Proof. unfold realm_filled, each. rewrite !rd_under, each_under by reflexivity. by rewrite realm_measured_under. Qed.
  Lemma start_filled_under rd n s : start_filled rd n (u s) = u (start_filled rd n s).
  Proof.
    unfold start_filled. change (rd_of (u s) RD_start_level rd) with (rd_of s RD_start_level rd).
    change (rd_of (u s) RD_ipa_size rd) with (rd_of s RD_ipa_size rd).
    change (rd_of (u s) RD_rtt_base rd) with (rd_of s RD_rtt_base rd).
    apply fold_swap. intros x t. unfold written. apply fold_swap. intros y i. by destruct (start_entry _ _ _ i).
  Qed.
End under.

Lemma filled_kept rd n s : gran (start_filled rd n s) = gran s /\ held (start_filled rd n s) = held s /\
  shrinking (start_filled rd n s) = shrinking s /\ staled (start_filled rd n s) = staled s.
Proof. rewrite (tp_rest _ _ _ _ (start_filled_put rd n s)). by split_and!. Qed.

(* Before the start tables are the realm's: changes of memory and the hash buffer alone. *)
Lemma prepared_kept rd p n s : let z := start_filled rd n (realm_filled rd p s) in
  gran z = gran s /\ held z = held s /\ shrinking z = shrinking s /\ staled z = staled s.
Proof.
  cbv zeta. destruct (filled_kept rd n (realm_filled rd p s)) as (-> & -> & -> & ->).
  by destruct (scratch_kept _ _ _ (scratch_filled_rd rd p s)) as (-> & -> & -> & -> & _).
Qed.

Lemma built_held hl sh rd p s : realm_built rd p (with_held hl sh s) = with_held hl sh (realm_built rd p s).
Proof.
  unfold realm_built. change (with_held hl sh s) with (under (gran s) hl sh s).
  rewrite realm_filled_under, start_filled_under.
  destruct (prepared_kept rd p (Z.to_nat (p_num_start p)) s) as (G & _). cbv zeta in G.
  generalize dependent (start_filled rd (Z.to_nat (p_num_start p)) (realm_filled rd p s)). intros z G. rewrite <- G.
  change (under (gran z) hl sh z) with (with_held hl sh z). unfold starts_owned.
  induction (Z.to_nat (p_num_start p)) as [|m IH]; [reflexivity|]. by rewrite !each_below_S, IH.
Qed.
Lemma new_held hl sh rd p s : realm_new rd p (with_held hl sh s) = with_held hl sh (realm_new rd p s).
Proof. unfold realm_new. change (vmid_taken ?v (with_held hl sh s)) with (with_held hl sh (vmid_taken v s)). by rewrite built_held. Qed.

(* Which granules a new realm changes. *)
Lemma owned_gran rd level base n q s : (forall t, 0 <= t < Z.of_nat n -> q <> base + t * 4096) ->
  gran (starts_owned rd level base n s) !! q = gran s !! q.
Proof.
  unfold starts_owned. induction n as [|n IH]; intros H; [reflexivity|]. rewrite each_below_S.
  unfold start_owned, set_granule. cbn [gran with_places with_gran].
  rewrite lookup_insert_ne by (intros E; apply (H (Z.of_nat n)); [lia|done]). apply IH. intros. apply H. lia.
Qed.
Lemma new_rest rd p s : let z := realm_new rd p s in
  held z = held s /\ shrinking z = shrinking s /\ (staled s = [] -> staled z = []).
Proof.
  cbv zeta. unfold realm_new, realm_made, realm_built. set (v := vmid_taken (p_vmid p) s).
  destruct (prepared_kept rd p (Z.to_nat (p_num_start p)) v) as (_ & H1 & H2 & H3). cbv zeta in *.
  generalize dependent (start_filled rd (Z.to_nat (p_num_start p)) (realm_filled rd p v)). intros z H1 H2 H3.
  unfold log_put, counted, with_owner, set_granule, flushed, forget.
  cbn [held shrinking staled with_logged with_counters with_places with_gran with_cached with_staled].
  pose proof (owned_same held rd (p_start_level p) (p_rtt_base p) (Z.to_nat (p_num_start p)) z ltac:(done) ltac:(done)) as ->.
  pose proof (owned_same shrinking rd (p_start_level p) (p_rtt_base p) (Z.to_nat (p_num_start p)) z ltac:(done) ltac:(done)) as ->.
  pose proof (owned_same staled rd (p_start_level p) (p_rtt_base p) (Z.to_nat (p_num_start p)) z ltac:(done) ltac:(done)) as ->.
  rewrite H1, H2, H3. split_and!; [reflexivity..|]. change (staled v) with (staled s). by intros ->.
Qed.
Lemma new_gran rd p q s : q <> rd -> (forall t, 0 <= t < p_num_start p -> q <> p_rtt_base p + t * 4096) ->
  gran (realm_new rd p s) !! q = gran s !! q.
Proof.
  intros N H. unfold realm_new, realm_made, realm_built, log_put, counted, with_owner, set_granule.
  cbn [gran with_logged with_counters with_places with_gran]. rewrite lookup_insert_ne by congruence.
  match goal with |- gran (flushed _ ?x) !! q = _ => change (gran (flushed (p_vmid p) x)) with (gran x) end.
  rewrite owned_gran by (intros t Ht; apply H; lia).
  by destruct (prepared_kept rd p (Z.to_nat (p_num_start p)) (vmid_taken (p_vmid p) s)) as (-> & _).
Qed.

Lemma owned_pinned rd level base n ns s : (forall t, 0 <= t < Z.of_nat n -> ns <> base + t * 4096) ->
  starts_owned rd level base n (page_pinned ns s) = page_pinned ns (starts_owned rd level base n s).
Proof.
  unfold starts_owned. induction n as [|n IH]; intros H; [reflexivity|]. rewrite !each_below_S, IH by (intros; apply H; lia).
  generalize (each_below n (start_owned rd level base) s). intros z. pose proof (H (Z.of_nat n) ltac:(lia)) as N.
  unfold start_owned, page_pinned, with_refs, set_granule, granule_at. cbn [gran with_gran with_places places].
  rewrite !lookup_insert_ne by congruence. destruct z. unfold with_gran, with_places. cbn. f_equal.
  apply insert_commute. congruence.
Qed.
Lemma rd_made_pinned rd ns s : ns <> rd ->
  with_owner rd GS_RD 0 (page_pinned ns s) = page_pinned ns (with_owner rd GS_RD 0 s).
Proof.
  intros N. unfold with_owner. change (GS_RD =? GS_RTT) with false. cbv iota.
  unfold page_pinned, with_refs, set_granule, granule_at. destruct s. unfold with_gran, with_places. cbn.
  rewrite !lookup_insert_ne by congruence. f_equal. apply insert_commute. congruence.
Qed.
Lemma new_pinned rd p ns s : ns <> rd -> (forall t, 0 <= t < p_num_start p -> ns <> p_rtt_base p + t * 4096) ->
  realm_new rd p (page_pinned ns s) = page_pinned ns (realm_new rd p s).
Proof.
  intros N H. unfold realm_new. change (vmid_taken ?v (page_pinned ns s)) with (page_pinned ns (vmid_taken v s)).
  generalize (vmid_taken (p_vmid p) s). clear s. intros s. unfold realm_built.
  destruct (prepared_kept rd p (Z.to_nat (p_num_start p)) s) as (G & Hh & Hs & _). cbv zeta in *.
  pose proof (pinned_through (fun s => start_filled rd (Z.to_nat (p_num_start p)) (realm_filled rd p s)) ns s) as E.
  cbv beta in E. rewrite E; [clear E|intros; by rewrite realm_filled_under, start_filled_under|exact G|exact Hh|exact Hs].
  rewrite owned_pinned by (intros t Ht; apply H; lia).
  generalize (starts_owned rd (p_start_level p) (p_rtt_base p) (Z.to_nat (p_num_start p))
    (start_filled rd (Z.to_nat (p_num_start p)) (realm_filled rd p s))). intros z.
  unfold realm_made. change (flushed (p_vmid p) (page_pinned ns z)) with (page_pinned ns (flushed (p_vmid p) z)).
  rewrite rd_made_pinned by exact N. reflexivity.
Qed.

(* ---- Claims around it ---- *)

Fixpoint locked_on (n : nat) (base : Z) (hl : list lock) : list lock :=
  match n with O => hl | S m => LGranule (nth_page base (Z.of_nat m)) :: locked_on m base hl end.
Fixpoint unlocked_from (n : nat) (base : Z) (hl : list lock) : list lock :=
  match n with O => hl | S m => without (LGranule (nth_page base (Z.of_nat m))) (unlocked_from m base hl) end.

Lemma unlocked_cons n base q hl : (forall i, 0 <= i < Z.of_nat n -> nth_page base i <> q) ->
  unlocked_from n base (LGranule q :: hl) = LGranule q :: unlocked_from n base hl.
Proof.
  induction n as [|n IH]; intros H; [reflexivity|]. cbn [unlocked_from]. rewrite IH by (intros; apply H; lia).
  cbn [without lock_eqb]. by rewrite (proj2 (Z.eqb_neq _ _)) by (apply H; lia).
Qed.
Lemma unlocked_locked n base hl : (n <= 512)%nat -> unlocked_from n base (locked_on n base hl) = hl.
Proof.
  induction n as [|n IH]; intros H; [reflexivity|]. cbn [unlocked_from locked_on].
  rewrite unlocked_cons by (intros i Hi E; apply nth_page_inj in E; lia).
  cbn [without lock_eqb]. rewrite Z.eqb_refl. apply IH. lia.
Qed.
Lemma taken_held n base hl sh s : claims_taken n base (with_held hl sh s) = with_held (locked_on n base hl) sh s.
Proof. unfold claims_taken. induction n as [|n IH]; [reflexivity|]. by rewrite each_below_S, IH. Qed.
Lemma dropped_held n base hl sh s : exists sh', claims_dropped n base (with_held hl sh s) = with_held (unlocked_from n base hl) sh' s.
Proof.
  unfold claims_dropped. induction n as [|n [sh' IH]]; [by exists sh|]. rewrite each_below_S, IH. eexists. reflexivity.
Qed.
Lemma leading_all ok n : (leading ok n =? n)%nat = forallb ok (below n).
Proof.
  induction n as [|n IH]; [reflexivity|]. cbn [leading]. rewrite below_S, forallb_app, <- IH. cbn [forallb].
  rewrite andb_true_r. destruct ((leading ok n =? n)%nat && ok (Z.of_nat n)); [apply Nat.eqb_refl|].
  pose proof (leading_le ok n). apply Nat.eqb_neq. lia.
Qed.
Lemma forallb_same {A} (f h : A -> bool) l : (forall x, f x = h x) -> forallb f l = forallb h l.
Proof. intros H. induction l as [|x l IH]; [reflexivity|]. cbn [forallb]. by rewrite H, IH. Qed.

Lemma create_claimed_held rd p s : 1 <= p_num_start p <= 16 -> exists sh,
  let s1 := with_held [LGranule rd] false s in
  create_claimed rd p s1 =
  if forallb (fun i => claimable GS_DELEGATED (nth_page (p_rtt_base p) i) s1) (below (Z.to_nat (p_num_start p)))
  then (RMI_SUCCESS, with_held [LGranule rd] sh (realm_made rd p (realm_built rd p s)))
  else (RMI_ERROR_INPUT, with_held [LGranule rd] sh s).
Proof.
  intros Hn. cbv zeta. unfold create_claimed, claim_all. rewrite leading_all, !taken_held.
  set (ok i := claimable GS_DELEGATED (nth_page (p_rtt_base p) i) (with_held [LGranule rd] false s)).
  pose proof (leading_le ok (Z.to_nat (p_num_start p))) as Hle. generalize dependent (leading ok (Z.to_nat (p_num_start p))).
  intros got Hle. destruct (forallb ok (below (Z.to_nat (p_num_start p)))).
  - change (1 =? 0) with false. cbv iota. rewrite built_held.
    destruct (dropped_held (Z.to_nat (p_num_start p)) (p_rtt_base p)
      (locked_on (Z.to_nat (p_num_start p)) (p_rtt_base p) [LGranule rd]) false (realm_built rd p s)) as [sh ->].
    rewrite unlocked_locked by lia. by exists sh.
  - change (0 =? 0) with true. cbv iota.
    destruct (dropped_held got (p_rtt_base p) (locked_on got (p_rtt_base p) [LGranule rd]) false s) as [sh ->].
    rewrite unlocked_locked by lia. by exists sh.
Qed.

Lemma claimable_claimed pa rd s : held s = [] ->
  claimable GS_DELEGATED pa (with_held [LGranule rd] false s) = claimable GS_DELEGATED pa s && negb (pa =? rd).
Proof.
  intros H. unfold claimable, free, holds. cbn [held with_held others existsb lock_eqb]. rewrite H. cbn [existsb].
  change (has_state GS_DELEGATED pa (with_held [LGranule rd] false s)) with (has_state GS_DELEGATED pa s).
  rewrite orb_false_r. destruct (has_state GS_DELEGATED pa s), (pa =? rd), (others s (LGranule pa)); reflexivity.
Qed.
Lemma held_back s : held s = [] -> shrinking s = false -> with_held [] false s = s.
Proof. destruct s. cbn. by intros -> ->. Qed.

Lemma bind_vmid {B} v (k : list Z -> M state B) s r :
  (if vmid_free v s then k [1] (vmid_taken v s) else k [0] s) = r -> bind (prim_sem P_vmid_claim [v]) k s = r.
Proof. intros <-. unfold bind, vmid_free, vmid_taken. cbn [prim_sem guarded]. destruct (_ && _); reflexivity. Qed.
Lemma bind_release_held {B} pa (k : list Z -> M state B) sh s r :
  k [] (with_held [] false s) = r -> bind (prim_sem P_granule_release [pa]) k (with_held [LGranule pa] sh s) = r.
Proof. intros H. exact (bind_release pa k [] (gran s) sh s r H). Qed.

(* ---- The command ---- *)

Lemma params_u64 s : Forall u64 (params s) -> u64 (p_rtt_base (params_given s)).
Proof. intros H. by apply nth_word_u64. Qed.

(* Of the invariant: what it says of granules, and of the machine. *)
Theorem realm_create_params_ok rd s s0 :
  inv s0 -> hw s = hw s0 -> gran s = gran s0 -> mem s = mem s0 -> places s = places s0 -> Forall u64 (params s) -> idle s ->
  core "realm_create_params" [rd] s = Some ([fst (create_given rd s)], snd (create_given rd s)).
Proof.
  intros I Eh Eg Em Ep Hw (Hh & Hs & Hst). unfold create_given.
  assert (Hlv : 0 <= p_start_level (params_given s)) by (by apply nth_word_u64). apply params_u64 in Hw.
  assert (Hwidth : width (hw s) <= 48) by (rewrite Eh; apply (h_width _ (i_hw _ I))).
  enter f_realm_create_params. eapply bind_call; [exact (realm_params_read_ok s)|]. unfold slots. tidy.
  revert Hw Hlv. generalize (params_given s). intros p Hw Hlv.
  eapply bind_call; [exact (realm_params_ok_ok p s Hwidth)|]. tidy. unfold realm_creatable.
  destruct (realm_possible p s) eqn:Hp; cbn [negb andb]; [|reflexivity].
  destruct (possible_facts p s Hwidth Hp) as (_ & Hn & _).
  apply bind_vmid. destruct (vmid_free (p_vmid p) s) eqn:Hv; tidy; cbn [negb andb]; [|reflexivity].
  assert (Back : with_vmids (vmids (vmid_taken (p_vmid p) s) ∖ {[p_vmid p]}) (vmid_taken (p_vmid p) s) = s).
  { apply andb_true_iff in Hv as [_ Hv%negb_true_iff%bool_decide_eq_false]. destruct s. unfold vmid_taken, with_vmids. cbn in *.
    f_equal. set_solver. }
  apply bind_claim; [exact Hs|unfold holds; change (held (vmid_taken ?v s)) with (held s); by rewrite Hh|].
  change (claimable GS_DELEGATED rd (vmid_taken (p_vmid p) s)) with (claimable GS_DELEGATED rd s).
  destruct (claimable GS_DELEGATED rd s) eqn:Hc; tidy; cbn [negb andb].
  2:{ change (negb (1 =? 0)) with true. cbv iota. step. unfold ret. cbn [fst snd]. by rewrite Back. }
  assert (E1 : lock_taken (LGranule rd) (vmid_taken (p_vmid p) s) = with_held [LGranule rd] false (vmid_taken (p_vmid p) s)).
  { unfold lock_taken. change (held (vmid_taken ?v s)) with (held s). change (shrinking (vmid_taken ?v s)) with (shrinking s).
    by rewrite Hh, Hs. }
  rewrite E1.
  eapply bind_call.
  { apply (realm_create_claimed_ok rd p (with_held [LGranule rd] false (vmid_taken (p_vmid p) s)) s0 I Eh Eg Em Ep eq_refl eq_refl Hst);
      [by apply andb_true_iff in Hc as [Hc _]|apply elem_of_union_l, elem_of_singleton_2; reflexivity|exact Hp|exact Hw|exact Hlv]. }
  destruct (create_claimed_held rd p (vmid_taken (p_vmid p) s) Hn) as [sh E2]. cbv zeta in E2. rewrite E2. clear E2.
  assert (Ek : forallb (fun i => claimable GS_DELEGATED (nth_page (p_rtt_base p) i)
      (with_held [LGranule rd] false (vmid_taken (p_vmid p) s))) (below (Z.to_nat (p_num_start p))) =
    starts_claimable rd (p_rtt_base p) (Z.to_nat (p_num_start p)) s).
  { apply forallb_same. intros i. by rewrite claimable_claimed. }
  rewrite Ek. destruct (starts_claimable _ _ _ _); cbn [fst snd].
  - tidy. apply bind_release_held. change (negb (RMI_SUCCESS =? 0)) with false. cbv iota. unfold ret. destruct (new_rest rd p s) as (N1 & N2 & _). cbv zeta in *.
    change (realm_made rd p (realm_built rd p (vmid_taken (p_vmid p) s))) with (realm_new rd p s).
    rewrite held_back by congruence. reflexivity.
  - tidy. apply bind_release_held. rewrite held_back by assumption. change (negb (RMI_ERROR_INPUT =? 0)) with true. cbv iota. step. unfold ret. by rewrite Back.
Qed.

(* What is said of the start tables of a realm that can be created. *)
Lemma creatable_starts rd p s s0 : inv s0 -> hw s = hw s0 -> gran s = gran s0 -> u64 (p_rtt_base p) ->
  realm_creatable rd p s = true ->
  0 < p_rtt_base p < 2 ^ 40 /\ 1 <= p_num_start p <= 16 /\ has_state GS_DELEGATED rd s = true /\
  forall t, 0 <= t < p_num_start p ->
    has_state GS_DELEGATED (p_rtt_base p + t * 4096) s = true /\ p_rtt_base p + t * 4096 <> rd.
Proof.
  intros I Eh Eg Hu H. unfold realm_creatable, starts_claimable in H.
  apply andb_true_iff in H as [[[Hp _]%andb_true_iff Hc]%andb_true_iff Hs].
  destruct (possible_facts p s) as (_ & Hn & _); [rewrite Eh; apply (h_width _ (i_hw _ I))|exact Hp|].
  rewrite forallb_forall in Hs.
  assert (Hok : forall t, 0 <= t < p_num_start p -> has_state GS_DELEGATED (nth_page (p_rtt_base p) t) s = true /\
    nth_page (p_rtt_base p) t <> rd).
  { intros t Ht. specialize (Hs t ltac:(apply below_In; lia)). apply andb_true_iff in Hs as [[Hd _]%andb_true_iff Hne].
    split; [exact Hd|]. by apply negb_true_iff, Z.eqb_neq in Hne. }
  assert (Hb : 0 < p_rtt_base p < 2 ^ 40).
  { destruct (Hok 0 ltac:(lia)) as [(g & Hg & _)%has_state_inv _]. rewrite nth_page_0 in Hg by exact Hu. rewrite Eg in Hg.
    apply (i_gran _ I _ _ Hg). }
  split; [exact Hb|]. split; [exact Hn|]. split; [by apply andb_true_iff in Hc as [Hc _]|]. intros t Ht. destruct (Hok t Ht) as [H1 H2].
  unfold nth_page in H1, H2. rewrite wrap_small in H1, H2 by lia. done.
Qed.

Theorem realm_create_ok rd ns s :
  inv s -> idle s -> core "realm_create" [rd; ns] s = Some ([fst (create_realm rd ns s)], snd (create_realm rd ns s)).
Proof.
  intros I D. unfold create_realm. enter f_realm_create. apply bind_pin.
  destruct (pinnable ns s) eqn:Hp; tidy; [|reflexivity].
  destruct (pinnable_some _ _ Hp) as (x & Hx & Hns).
  assert (Hr : 0 <= g_refs (granule_at s ns)) by (unfold granule_at; rewrite Hx; apply (i_gran _ I _ _ Hx)).
  step; [|by apply pinned_now]. set (s1 := params_loaded ns s). change (with_params _ _) with (page_pinned ns s1).
  assert (Hx1 : gran s1 !! ns = Some x) by exact Hx.
  assert (Hw : Forall u64 (params s1)).
  { apply Forall_lookup. intros i v Hv. apply (page_lookup (mem s) ns i v (i_mem _ I)) in Hv as [_ ->]. apply (i_words _ I). }
  eapply bind_call.
  { apply (realm_create_params_ok rd (page_pinned ns s1) (page_pinned ns s)); [by apply inv_pinned|reflexivity..|exact Hw|exact D]. }
  assert (E : fst (create_given rd (page_pinned ns s1)) = fst (create_given rd s1) /\
    snd (create_given rd (page_pinned ns s1)) = page_pinned ns (snd (create_given rd s1)) /\
    gran (snd (create_given rd s1)) !! ns = Some x /\ staled (snd (create_given rd s1)) = []).
  { unfold create_given. change (params_given (page_pinned ns s1)) with (params_given s1).
    apply params_u64 in Hw. revert Hw. generalize (params_given s1). intros p Hw.
    assert (Ec : realm_creatable rd p (page_pinned ns s1) = realm_creatable rd p s1).
    { unfold realm_creatable, starts_claimable. change (realm_possible p (page_pinned ns s1)) with (realm_possible p s1).
      change (vmid_free (p_vmid p) (page_pinned ns s1)) with (vmid_free (p_vmid p) s1).
      assert (Hs1 : is_Some (gran s1 !! ns)) by (rewrite Hx1; eauto).
      rewrite claimable_pinned by exact Hs1. f_equal. apply forallb_same. intros t. by rewrite claimable_pinned. }
    rewrite Ec. clear Ec. destruct (realm_creatable rd p s1) eqn:C; cbn [fst snd]; [|split_and!; [done..|exact (proj2 (proj2 D))]].
    destruct (creatable_starts rd p s1 s I eq_refl eq_refl Hw C) as (_ & Hn & Hd & Ht).
    assert (No : forall q, has_state GS_DELEGATED q s1 = true -> ns <> q).
    { intros q Hq <-. unfold has_state in Hq. rewrite Hx1, Hns in Hq. discriminate. }
    assert (N1 : ns <> rd) by (by apply No).
    assert (N2 : forall t, 0 <= t < p_num_start p -> ns <> p_rtt_base p + t * 4096) by (intros t H; apply No, Ht, H).
    split_and!; [reflexivity|by apply new_pinned|by rewrite new_gran|].
    apply (proj2 (proj2 (new_rest rd p s1))). exact (proj2 (proj2 D)). }
  destruct E as (E1 & E2 & Hx2 & Hst2). destruct (create_given rd (page_pinned ns s1)) as [c z].
  cbn [fst snd] in E1, E2. subst c z. cbv beta iota. tidy.
  apply bind_put; [|exact Hst2|].
  { apply (pinned_page _ _ x); [exact Hx2|exact Hns|apply (i_gran _ I _ _ Hx)]. }
  unfold ret. cbn [fst snd]. by rewrite (unpin_pin _ _ x).
Qed.
