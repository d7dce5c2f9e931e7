(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: RMI_REC_CREATE *)
From kcore Require Export refine.RecLockRefine refine.RecObjectRefine refine.GranuleRangeRefine refine.UnderFacts.
From kcore Require Import refine.TreeFacts.
From kcore Require Import refine.Steps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma filled_under g hl sh rd rec index flags s :
  rec_filled rd rec index flags (under g hl sh s) = under g hl sh (rec_filled rd rec index flags s).
Proof. unfold rec_filled, each. rewrite !rec_under, each_under by reflexivity. by rewrite !rec_under. Qed.

Lemma created_under g hl sh rd rec s :
  g !! rec = gran s !! rec ->
  rec_created rd rec (under g hl sh s) =
  under (<[rec := Gran GS_REC rd (g_refs (granule_at s rec))]> g) hl sh (rec_created rd rec s).
Proof.
  intros Hg. unfold rec_created.
  change (param REC_FLAGS (under g hl sh s)) with (param REC_FLAGS s).
  change (rd_get RD_rec_index rd 0 (under g hl sh s)) with (rd_get RD_rec_index rd 0 s).
  change (rd_get RD_rec_count rd 0 (under g hl sh s)) with (rd_get RD_rec_count rd 0 s).
  set (g' := <[rec := Gran GS_REC rd (g_refs (granule_at s rec))]> g).
  assert (E : with_owner rec GS_REC rd (under g hl sh s) = under g' hl sh (with_owner rec GS_REC rd s)).
  { unfold with_owner, granule_at. cbn. rewrite Hg. reflexivity. }
  rewrite E, filled_under, !rd_under. cbv zeta.
  destruct (Z.land (param REC_FLAGS s) 1 =? 0); [reflexivity|]. by rewrite rec_measured_under.
Qed.

Lemma created_kept rd rec s :
  gran (rec_created rd rec s) = <[rec := Gran GS_REC rd (g_refs (granule_at s rec))]> (gran s) /\
  held (rec_created rd rec s) = held s /\ shrinking (rec_created rd rec s) = shrinking s /\
  staled (rec_created rd rec s) = staled s.
Proof.
  unfold rec_created. cbv zeta. generalize (rd_get RD_rec_index rd 0 s), (rd_get RD_rec_count rd 0 s), (param REC_FLAGS s).
  intros index count flags.
  assert (E1 : gran (with_owner rec GS_REC rd s) = <[rec := Gran GS_REC rd (g_refs (granule_at s rec))]> (gran s) /\
    held (with_owner rec GS_REC rd s) = held s /\ shrinking (with_owner rec GS_REC rd s) = shrinking s /\
    staled (with_owner rec GS_REC rd s) = staled s) by (split_and!; reflexivity).
  destruct E1 as (<- & <- & <- & <-). generalize (with_owner rec GS_REC rd s). clear s. intros s.
  destruct (scratch_kept _ _ _ (scratch_filled rd rec index flags s s (scratch_refl _ _))) as (<- & <- & <- & <- & _).
  generalize (rec_filled rd rec index flags s). clear s. intros s.
  pose proof (scratch_rd rd RD_rec_count 0 (wrap U64 (count + 1)) s s (scratch_refl _ _)) as S2.
  pose proof (scratch_rd rd RD_rec_index 0 (wrap U64 (index + 1)) s _ S2) as S3. clear S2. revert S3.
  generalize (rd_set RD_rec_index rd 0 (wrap U64 (index + 1)) (rd_set RD_rec_count rd 0 (wrap U64 (count + 1)) s)).
  intros s3 S3. destruct (scratch_kept _ _ _ S3) as (G & H & S & T & _). rewrite <- G, <- H, <- S, <- T. clear G H S T S3.
  destruct (Z.land flags 1 =? 0); [by split_and!|].
  destruct (scratch_kept _ _ _ (scratch_rec rd s3 s3 (scratch_refl _ _))) as (G & H & S & T & _). by split_and!.
Qed.

Lemma created_pinned rd rec ns s : ns <> rec ->
  rec_created rd rec (page_pinned ns s) = page_pinned ns (rec_created rd rec s).
Proof.
  intros N. set (g := gran (page_pinned ns s)).
  change (page_pinned ns s) with (under g (held s) (shrinking s) s).
  rewrite created_under by (unfold g, page_pinned; by rewrite refs_other).
  destruct (created_kept rd rec s) as (G & H & S & _). unfold page_pinned, with_refs, set_granule, under.
  set (z := rec_created rd rec s) in *.
  assert (Ea : granule_at z ns = granule_at s ns) by (unfold granule_at; rewrite G; by rewrite lookup_insert_ne by congruence).
  rewrite Ea. unfold g, page_pinned, with_refs, set_granule. cbn [gran with_gran].
  rewrite insert_commute by congruence. rewrite <- G, <- H, <- S. by destruct z.
Qed.

Theorem rec_create_params_ok rd rec s :
  idle s -> (has_state GS_DELEGATED rec s = true -> loaded s <> rec /\ places s !! rec = None) ->
  core "rec_create_params" [rd; rec] s = Some ([fst (create_with rd rec s)], snd (create_with rd rec s)).
Proof.
  intros (Hh & Hs & Hst) Nl. unfold create_with. enter f_rec_create_params. step.
  change (2048 / 8) with REC_NUM_AUX. fold (param REC_NUM_AUX s).
  destruct (param REC_NUM_AUX s =? 0); cbn [negb]; [|reflexivity].
  apply bind_lock; [exact Hs|exact Hh|]. destruct (has_state GS_RD rd s) eqn:Hrd; tidy; cbn [negb]; [|reflexivity].
  apply bind_claim; [exact Hs|unfold holds; cbn; rewrite Hh; reflexivity|].
  assert (Ec : claimable GS_DELEGATED rec (locked rd s) = claimable GS_DELEGATED rec s).
  { unfold claimable, free. change (has_state GS_DELEGATED rec (locked rd s)) with (has_state GS_DELEGATED rec s).
    unfold holds. cbn [held lock_taken with_held others existsb lock_eqb]. rewrite Hh. cbn [existsb].
    destruct (Z.eqb_spec rec rd) as [->|]; [|reflexivity].
    unfold has_state in *. destruct (gran s !! rd); [|reflexivity]. apply Z.eqb_eq in Hrd. rewrite Hrd. reflexivity. }
  rewrite Ec.
  assert (E1 : locked rd s = under (gran s) [LGranule rd] false s) by (destruct s; cbn in *; by subst).
  destruct (claimable GS_DELEGATED rec s) eqn:Hc; tidy; cbn [negb fst snd].
  2:{ rewrite E1. apply bind_realm_unlock; [exact Hst|]. unfold ret. rewrite <- Hh, <- Hs at 1. by rewrite under_self. }
  assert (N : rd <> rec).
  { intros <-. apply andb_true_iff in Hc as [Hd _]. unfold has_state in *. destruct (gran s !! rd); [|discriminate].
    apply Z.eqb_eq in Hd, Hrd. rewrite Hd in Hrd. discriminate. }
  assert (E2 : lock_taken (LGranule rec) (locked rd s) = under (gran s) [LGranule rec; LGranule rd] false s)
    by (destruct s; cbn in *; by subst).
  rewrite E2. after rec_create_locked_ok.
  { apply (object_hand GS_RD); [exact Hrd|discriminate..|].
    unfold under_lock, tracked, holds. cbn. unfold has_state in Hrd. destruct (gran s !! rd); [|discriminate].
    rewrite Z.eqb_refl. cbn. by rewrite orb_true_r. }
  { apply holds_under. }
  { by apply andb_true_iff in Hc as [Hd _]. }
  { apply Nl. by apply andb_true_iff in Hc as [Hd _]. }
  { exact N. }
  { apply Nl. by apply andb_true_iff in Hc as [Hd _]. }
  { reflexivity. }
  change (create_check rd (under (gran s) [LGranule rec; LGranule rd] false s)) with (create_check rd s).
  destruct (create_check rd s =? RMI_SUCCESS).
  - rewrite created_under by reflexivity. destruct (created_kept rd rec s) as (G & H & S & T).
    apply bind_release. apply bind_realm_unlock; [congruence|]. unfold ret. rewrite <- G.
    replace (under (gran (rec_created rd rec s)) [] false (rec_created rd rec s)) with (rec_created rd rec s); [reflexivity|].
    rewrite <- (under_self (rec_created rd rec s)) at 1. by rewrite H, S, Hh, Hs.
  - apply bind_release. apply bind_realm_unlock; [exact Hst|]. unfold ret.
    replace (under (gran s) [] false s) with s; [reflexivity|]. rewrite <- (under_self s) at 1. by rewrite Hh, Hs.
Qed.

Theorem rec_create_ok rd rec ns s :
  inv s -> idle s -> loaded s = 0 ->
  core "rec_create" [rd; rec; ns] s = Some ([fst (create_rec rd rec ns s)], snd (create_rec rd rec ns s)).
Proof.
  intros I D Nl. unfold create_rec. enter f_rec_create. apply bind_pin.
  destruct (pinnable ns s) eqn:Hp; tidy; [|reflexivity].
  destruct (pinnable_some _ _ Hp) as (x & Hx & Hns).
  assert (Hr : 0 <= g_refs (granule_at s ns)) by (unfold granule_at; rewrite Hx; apply (i_gran _ I _ _ Hx)).
  change (negb (z2b 1)) with false. cbv iota.
  step; [by apply pinned_now|].
  set (s1 := params_loaded ns s).
  change (with_params _ _) with (page_pinned ns s1).
  assert (Hx1 : gran s1 !! ns = Some x) by exact Hx.
  assert (D1 : idle (page_pinned ns s1)) by exact D.
  assert (Hs1 : is_Some (gran s1 !! ns)) by (rewrite Hx1; eauto).
  after rec_create_params_ok.
  { exact D1. }
  { rewrite has_state_pinned by exact Hs1. change (loaded (page_pinned ns s1)) with (loaded s). rewrite Nl. intros Hd.
    pose proof Hd as (y & Hy & Hys)%has_state_inv. split; [intros <-; destruct (i_gran _ I 0 y Hy); lia|].
    apply (not_placed s rec I). unfold has_state. change (gran s) with (gran s1). by rewrite Hy, Hys. }
  (* with the page pinned it is the same, but for the pin *)
  assert (E : fst (create_with rd rec (page_pinned ns s1)) = fst (create_with rd rec s1) /\
    snd (create_with rd rec (page_pinned ns s1)) = page_pinned ns (snd (create_with rd rec s1)) /\
    gran (snd (create_with rd rec s1)) !! ns = Some x /\ staled (snd (create_with rd rec s1)) = []).
  { unfold create_with. change (param REC_NUM_AUX (page_pinned ns s1)) with (param REC_NUM_AUX s1).
    change (create_check rd (page_pinned ns s1)) with (create_check rd s1).
    rewrite has_state_pinned, claimable_pinned by exact Hs1. destruct D as (_ & _ & Hst).
    destruct (param REC_NUM_AUX s1 =? 0); cbn [negb fst snd]; [|by split_and!].
    destruct (has_state GS_RD rd s1); cbn [negb fst snd]; [|by split_and!].
    destruct (claimable GS_DELEGATED rec s1) eqn:Hc; cbn [negb fst snd]; [|by split_and!].
    destruct (create_check rd s1 =? RMI_SUCCESS); cbn [fst snd]; [|by split_and!].
    assert (N : ns <> rec).
    { intros <-. apply andb_true_iff in Hc as [Hd _]. unfold has_state in Hd. rewrite Hx1, Hns in Hd. discriminate. }
    destruct (created_kept rd rec s1) as (G & _ & _ & T).
    split_and!; [reflexivity|by apply created_pinned| |by rewrite T]. rewrite G. by rewrite lookup_insert_ne by congruence. }
  destruct E as (E1 & E2 & Hx2 & Hst2). destruct (create_with rd rec (page_pinned ns s1)) as [c z].
  cbn [fst snd] in E1, E2. subst c z. cbv beta iota.
  apply bind_put; [|exact Hst2|].
  { apply (pinned_page _ _ x); [exact Hx2|exact Hns|apply (i_gran _ I _ _ Hx)]. }
  unfold ret. by rewrite (unpin_pin _ _ x).
Qed.
