(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/data.c: pages of a realm. *)
From kcore Require Export refine.RttRefine.
From kcore Require Export refine.MeasureRefine.
From kcore Require Export refine.Pins.
From kcore Require Export spec.Data.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem data_ipa_ok_ok rd ipa s :
  in_hand rd s = true -> core "data_ipa_ok" [rd; ipa] s = Some ([b2z (page_possible rd ipa s)], s).
Proof. intros H. enter f_data_ipa_ok. use ipa_in_par_ok. use is_granule_aligned_ok. reflexivity. Qed.

Theorem data_room_ok rd s : in_hand rd s = true -> core "data_room" [rd] s = Some ([b2z (has_room rd s)], s).
Proof. intros H. enter f_data_room. step. step. reflexivity. Qed.

Theorem data_add_private_ok rd n s :
  in_hand rd s = true -> core "data_add_private" [rd; n] s = Some ([], private_added rd n s).
Proof. intros H. enter f_data_add_private. step. step. reflexivity. Qed.

Definition words_of (d : source) : list Z := [d_src d; d_flags d; d_sealed d; d_tag d].
Theorem data_state_ok_ok rd d s :
  in_hand rd s = true -> core "data_state_ok" (rd :: words_of d) s = Some ([b2z (may_fill rd d s)], s).
Proof. intros H. unfold words_of. enter f_data_state_ok. step. step. reflexivity. Qed.

(* ---- Content ---- *)

Definition fill (rd data ipa : Z) (d : source) (s : state) : Z * state :=
  match content rd ipa d s with Some l => (1, put_page data l s) | None => (0, s) end.
Definition fillable (rd data : Z) (d : source) (s : state) : bool :=
  if d_sealed d =? 0 then may_overwrite data s && pinned (d_src d) s else may_open rd data (d_src d) (d_tag d) s.

Theorem data_fill_ok rd data ipa d s :
  fillable rd data d s = true ->
  core "data_fill" (rd :: data :: ipa :: words_of d) s = Some ([fst (fill rd data ipa d s)], snd (fill rd data ipa d s)).
Proof.
  intros H. unfold words_of, fill, content. unfold fillable in H. enter f_data_fill.
  destruct (d_sealed d =? 0) eqn:E; cbn [negb] in *.
  - apply andb_true_iff in H as [H1 H2]. step. reflexivity.
  - unfold bind. cbn [prim_sem]. rewrite H. cbn [guarded].
    destruct (opened rd ipa (d_src d) (d_tag d) s); reflexivity.
Qed.

(* ---- The entry ---- *)

Lemma hand_by_owner t g rd s : gran s !! t = Some g -> g_owner g = rd -> rd <> 0 -> holds (LGranule rd) s = true ->
  under_lock t s = true.
Proof.
  intros Hg <- N Hh. unfold under_lock, tracked, granule_at. rewrite Hg. cbn [default from_option id].
  rewrite (proj2 (Z.eqb_neq _ _) N), Hh. apply orb_true_r.
Qed.
Lemma hand_by_lock t g s : gran s !! t = Some g -> holds (LGranule t) s = true -> under_lock t s = true.
Proof. intros Hg Hh. unfold under_lock, tracked. by rewrite Hg, Hh. Qed.
Lemma rd_held_hand t g s : gran s !! t = Some g -> g_state g = GS_RD -> holds (LGranule t) s = true -> in_hand t s = true.
Proof. intros Hg Hs Hh. apply (object_hand GS_RD); [by apply (has_state_intro _ _ _ g)|discriminate..|by apply (hand_by_lock t g)]. Qed.

Lemma unassigned_invalid level d : kind level d = K_UNASSIGNED -> is_valid d = false.
Proof.
  unfold kind. destruct (is_table level d); [done|]. destruct (is_valid d); [|done]. by destruct (has_ns_bit d).
Qed.

(* Over an invalid entry of a realm's table, what is no table entry is just written. *)
Lemma entry_made t i d s p : role_of (hw s) t = None -> places s !! t = Some p -> is_table (p_level p) d = false ->
  is_valid (word (mem s) t i) = false -> after_write t i d s = put_word t i d s.
Proof.
  intros Hr Hp Ht Hv. unfold after_write, placed_below. rewrite Hr, Hp, Ht, Hv. cbn [andb app]. by destruct s.
Qed.
(* The guard. *)
Lemma entry_write t i d s p : role_of (hw s) t = None -> places s !! t = Some p -> under_lock t s = true -> 0 <= i < 512 ->
  bbm (word (mem s) t i) d = true -> (is_valid d = true -> realm_desc_ok s p i d = true) -> may_write t i d s = true.
Proof.
  intros Hr Hp Hh Hi Hb Hd. unfold may_write. rewrite Hr, Hp, Hh, Hb. unfold in_page.
  replace ((0 <=? i) && (i <? 512)) with true by lia. cbn [andb]. destruct (is_valid d); auto.
Qed.

(* A free granule, claimed, and an empty entry for it in a table of the realm, which is locked. *)
Record assignable (rd data : Z) (w : walked) (s : state) : Prop := Assignable {
  a_some : rd <> 0;
  a_lock : holds (LGranule rd) s = true;
  a_first : first_taken (held s) = LGranule rd;
  a_rd : in_hand rd s = true;
  a_data : gran s !! data = Some (Gran GS_DELEGATED 0 0);
  a_claimed : holds (LGranule data) s = true;
  a_free : places s !! data = None;
  a_page : 0 < data < 2 ^ 48 /\ data mod 4096 = 0;
  a_other : rd <> data /\ w_table w <> data /\ w_table w <> rd;
  a_slot : 0 <= w_slot w < 512;
  a_role : role_of (hw s) (w_table w) = None;
  a_refs : exists g, gran s !! w_table w = Some g /\ g_owner g = rd /\ 0 <= g_refs g < REFS_MAX;
  a_place : exists p, places s !! w_table w = Some p /\ p_rd p = rd /\ p_level p = 3 /\
    protected s rd (p_base p + w_slot w * 4096) = true;
  a_entry : is_valid (word (mem s) (w_table w) (w_slot w)) = false;
}.

Lemma assignable_filled rd data w l s : assignable rd data w s -> assignable rd data w (put_page data l s).
Proof.
  intros []. destruct a_other0 as (N1 & N2 & N3). constructor; try done.
  - destruct a_place0 as (p & ? & ? & ? & Hp). exists p. split_and!; try done. unfold protected, word in *. cbn [mem put_page with_mem].
    by rewrite page_insert_other by congruence.
  - unfold word in *. cbn [mem put_page with_mem]. by rewrite page_insert_other by congruence.
Qed.

Theorem data_assign_ok rd data w r s :
  assignable rd data w s -> 0 <= r <= 2 ->
  core "data_assign" [rd; data; w_level w; w_table w; w_slot w; w_desc w; w_kind w; r] s =
  Some ([], page_assigned rd data w r s).
Proof.
  intros [] Hr. destruct a_other0 as (N1 & N2 & N3). destruct a_page0 as [Pd Ad].
  destruct a_refs0 as (g & Hg & Ho & Hrefs). destruct a_place0 as (p & Hp & Er & El & Hprot).
  destruct (assigned_ok 3 data r Hr Pd Ad) as (Oa & Va & Ta & _).
  enter f_data_assign. eapply bind_call; [apply s2_assigned_ok; lia|]. tidy.
  set (s1 := set_granule data (Gran GS_DATA rd 0) s).
  assert (E1 : with_owner data 5 rd s = s1).
  { unfold with_owner. change (5 =? GS_RTT) with false. cbv iota. rewrite delete_notin by exact a_free0.
    unfold granule_at. rewrite a_data0. by destruct s. }
  assert (Hg1 : gran s1 !! w_table w = Some g) by (unfold s1; cbn; by rewrite lookup_insert_ne by congruence).
  assert (Ht1 : under_lock (w_table w) s1 = true) by (by apply (hand_by_owner _ g rd)).
  assert (G : may_set data 5 rd s = true).
  { unfold may_set. rewrite (hand_by_lock data _ s a_data0 a_claimed0). unfold granule_at, is_placed. rewrite a_data0, a_free0, a_first0. exact (Z.eqb_refl rd). }
  step. rewrite E1.
  eapply bind_call; [apply s2_make_ok|].
  { apply (entry_write _ _ _ _ p); try done; [by apply bbm_make|]. intros Hv. unfold realm_desc_ok. rewrite El, Ta, Er.
    unfold realm_leaf_ok. change (granules_of 3) with [0]. cbn [forallb]. rewrite Oa, Z.mul_0_l, Z.add_0_r, andb_true_r.
    change (size_of 3) with 4096. change (protected s1) with (protected s). rewrite Hprot.
    unfold own_data, s1. cbn. rewrite lookup_insert. cbn. apply Z.eqb_refl. }
  tidy. rewrite (entry_made _ _ _ s1 p) by (done || by rewrite El).
  set (s2 := put_word (w_table w) (w_slot w) (assigned 3 data r) s1).
  assert (Hr2 : refs_of (w_table w) s2 = g_refs g) by (unfold refs_of, granule_at; by rewrite (Hg1 : gran s2 !! w_table w = Some g)).
  eapply bind_call; [apply granule_add_refs_ok; [exact Ht1|]|].
  { rewrite Hr2, wrap_small; unfold REFS_MAX in *; lia. }
  tidy. eapply bind_call; [apply data_add_private_ok|].
  { rewrite (in_hand_same rd s); [exact a_rd0| |reflexivity..].
    unfold refs_added, with_refs, set_granule, s2, s1. cbn. by rewrite !lookup_insert_ne by congruence. }
  tidy. reflexivity.
Qed.

(* ---- Creating a page ---- *)

Lemma possible_range rd ipa s : inv s -> has_state GS_RD rd s = true -> u64 ipa -> page_possible rd ipa s = true ->
  0 <= ipa < half_of s rd /\ ipa mod 4096 = 0 /\ half_of s rd <= rd_of s RD_ipa_size rd < 2 ^ 64.
Proof.
  intros I Hr [H0 _] [Hp%Z.ltb_lt Ha%Z.eqb_eq]%andb_true_iff.
  destruct (ipa_size_entries _ _ (i_realm _ I _ Hr)) as (_ & _ & E & B).
  change (rd_get RD_ipa_size rd 0 s / 2) with (half_of s rd) in Hp. lia.
Qed.

Lemma free_entry rd data ipa s :
  open_realm rd s -> holds (LGranule data) s = true -> has_state GS_DELEGATED data s = true -> first_taken (held s) = LGranule rd -> u64 ipa ->
  page_possible rd ipa s = true -> ends_at K_UNASSIGNED (walk rd ipa 3 s) = true ->
  assignable rd data (walk rd ipa 3 s) s.
Proof.
  intros O Hc Hd Hft Hu Hpos He. pose proof O as [I Hr Hl].
  destruct (possible_range _ _ _ I Hr Hu Hpos) as (Hi & Hia & Hhalf).
  destruct (walk_at s rd ipa 3 I Hr) as [Ha _]; [lia|]. set (w := walk rd ipa 3 s) in *.
  apply andb_true_iff in He as [Hlev%Z.eqb_eq Hk%Z.eqb_eq].
  destruct Ha as (p & Hp & Er & El & Es & Ef & Ed).
  pose proof Hd as (x & Hx & Hxs)%has_state_inv. destruct (i_zero _ I _ _ Hx Hxs) as (_ & Hxo & Hxr).
  destruct (i_gran _ I _ _ Hx) as (Px & Ax & _).
  destruct (t_gran _ _ _ (i_table _ I _ _ Hp)) as (g & Hg & Hgs & Hgo & Hgr).
  pose proof Hr as (y & Hy & Hys)%has_state_inv.
  constructor.
  - by apply (rd_nonzero s).
  - done.
  - done.
  - by apply rd_in_hand.
  - rewrite Hx. destruct x as [a b c]. cbn in Hxs, Hxo, Hxr. by subst.
  - done.
  - apply not_placed; [done|]. unfold has_state. by rewrite Hx, Hxs.
  - lia.
  - split_and!.
    + intros E. rewrite E, Hx in Hy. injection Hy as <-. rewrite Hxs in Hys. discriminate.
    + intros E. rewrite E, Hx in Hg. injection Hg as <-. rewrite Hxs in Hgs. discriminate.
    + intros E. rewrite E, Hy in Hg. injection Hg as <-. rewrite Hys in Hgs. discriminate.
  - rewrite Es. apply slot_range.
  - by eapply table_no_role.
  - exists g. split_and!; [done|congruence| |].
    + rewrite Hgr. apply count_range.
    + rewrite Hgr. unfold live_entries.
      pose proof (count_range (is_counted (p_level p)) (page (mem s) (w_table w))) as H512.
      pose proof (page_ok _ (w_table w) (i_mem _ I)) as Hlen. unfold is_page in Hlen. rewrite Hlen in H512. unfold REFS_MAX. lia.
  - exists p. split_and!; [done|done|congruence|]. unfold protected.
    rewrite Hlev in Ef. change (size_of 3) with 4096 in Ef. rewrite Ef, floor3_aligned by done.
    apply Z.ltb_lt. change (word (mem s) rd (rd_off RD_ipa_size) / 2) with (half_of s rd). lia.
  - rewrite <- Ed. by apply (unassigned_invalid (w_level w)).
Qed.

(* What a source names is pinned. *)
Definition source_ready (rd : Z) (d : source) (s : state) : Prop :=
  pinned (d_src d) s = true /\
  (d_sealed d <> 0 -> d_tag d mod 16 = 0 /\ pinned (Z.land (d_tag d) TAG_PAGE) s = true /\
     (has_state GS_RD rd s = true -> rd_of s RD_has_key rd = 0 \/ rd_of s RD_has_key rd = 1)).

Lemma can_fill rd data d s : open_realm rd s -> staled s = [] -> holds (LGranule data) s = true ->
  has_state GS_DELEGATED data s = true -> source_ready rd d s -> may_fill rd d s = true -> fillable rd data d s = true.
Proof.
  intros O Hst Hc (x & Hx & Hxs)%has_state_inv [Hsrc Htag] [_ Hf]%andb_true_iff. pose proof O as [I Hr _].
  assert (Hz : may_overwrite data s = true).
  { unfold may_overwrite, may_zero, is_placed. rewrite (not_placed s data I) by (unfold has_state; by rewrite Hx, Hxs).
    rewrite andb_true_r. rewrite (hand_by_lock _ _ _ Hx Hc).
    rewrite (not_hosts_unreachable s s data x) by (done || by rewrite Hxs).
    by destruct (nobodys_unreached s data x I Hst Hx) as [-> _]; [by rewrite Hxs..|]. }
  unfold fillable. destruct (Z.eqb_spec (d_sealed d) 0) as [E|N]; [by rewrite Hz, Hsrc|]. cbn [orb] in Hf.
  destruct (Htag N) as (Ht & Hp & Hk). apply negb_true_iff, Z.eqb_neq in Hf.
  unfold may_open. rewrite (open_hand _ _ O), Hz, Hsrc, Hp, Ht.
  assert (E1 : word (mem s) rd (rd_off RD_has_key) = 1).
  { change (rd_of s RD_has_key rd = 1). destruct (Hk Hr); [contradiction|done]. }
  rewrite E1. unfold is_zero. destruct (i_zero _ I _ _ Hx Hxs) as (-> & _). by rewrite bool_decide_eq_true_2.
Qed.

Lemma assigned_lookup rd data w r s t : t <> w_table w ->
  gran (page_assigned rd data w r s) !! t = <[data := Gran GS_DATA rd 0]> (gran s) !! t.
Proof.
  intros N. unfold page_assigned, private_added, rd_set, refs_added, with_refs, set_granule, put_word.
  cbn [gran with_gran with_mem]. by rewrite lookup_insert_ne by congruence.
Qed.

Lemma status_rtt_error level : 0 <= level -> (status_rtt level =? RMI_SUCCESS) = false.
Proof. intros. apply Z.eqb_neq. unfold status_rtt, RMI_ERROR_RTT, RMI_SUCCESS. lia. Qed.

Lemma walk_level rd ipa s : inv s -> has_state GS_RD rd s = true -> 0 <= ipa < rd_of s RD_ipa_size rd ->
  0 <= w_level (walk rd ipa 3 s) <= 3.
Proof.
  intros I Hr Hi. destruct (walk_at s rd ipa 3 I Hr Hi) as [_ H].
  destruct (i_realm _ I _ Hr). lia.
Qed.

Theorem data_create_locked_ok rd data ipa d s :
  open_realm rd s -> staled s = [] -> has_state GS_DELEGATED data s = true -> holds (LGranule data) s = true ->
  first_taken (held s) = LGranule rd -> u64 ipa -> source_ready rd d s ->
  core "data_create_locked" (rd :: data :: ipa :: words_of d) s =
  Some ([page_check rd ipa d s], if page_check rd ipa d s =? RMI_SUCCESS then page_created rd data ipa d s else s).
Proof.
  intros O Hst Hd Hc Hft Hu Hsrc. pose proof (open_hand _ _ O) as Hh. pose proof O as [I Hr Hl].
  unfold words_of. enter f_data_create_locked.
  eapply bind_call; [apply (data_state_ok_ok rd d); exact Hh|]. tidy.
  unfold page_check, entry_check. destruct (may_fill rd d s) eqn:Hf; cbn [negb].
  2:{ eapply bind_call; [apply error_realm_ok; lia|]. tidy. reflexivity. }
  use data_ipa_ok_ok. destruct (page_possible rd ipa s) eqn:Hp; cbn [negb]; [|reflexivity].
  destruct (possible_range _ _ _ I Hr Hu Hp) as (Hi & _ & Hhalf).
  eapply bind_call; [apply rtt_walk_ok; [exact O|lia|lia]|]. tidy.
  pose proof (walk_level rd ipa s I Hr ltac:(lia)) as Hlev.
  pose proof (free_entry rd data ipa s O Hc Hd Hft Hu Hp) as A.
  unfold page_created. set (w := walk rd ipa 3 s) in *.
  replace (negb (w_level w =? 3) || negb (w_kind w =? 0)) with (negb (ends_at K_UNASSIGNED w))
    by (unfold ends_at; rewrite negb_andb; reflexivity).
  destruct (ends_at K_UNASSIGNED w); cbn [negb].
  2:{ eapply bind_call; [apply error_rtt_ok; lia|]. tidy. rewrite status_rtt_error by lia. cbn [negb].
      rewrite status_rtt_error by lia. reflexivity. }
  specialize (A eq_refl).
  use data_room_ok. destruct (has_room rd s); cbn [negb]; [|reflexivity].
  eapply bind_call; [apply (data_fill_ok rd data ipa d); by apply can_fill|]. unfold fill.
  change (RMI_SUCCESS =? RMI_SUCCESS) with true. cbn [negb].
  destruct (content rd ipa d s) as [l|]; cbn [fst snd]; tidy; [|reflexivity].
  eapply bind_call; [apply (data_assign_ok rd data w 1); [by apply assignable_filled|lia]|]. tidy.
  eapply bind_call; [apply measure_data_ok|].
  - destruct A. destruct a_other0 as (N1 & N2 & N3). pose proof Hr as (y & Hy & Hys)%has_state_inv.
    apply (rd_held_hand rd y); [|exact Hys|exact Hl]. rewrite assigned_lookup by congruence. by rewrite lookup_insert_ne by congruence.
  - destruct A. destruct a_other0 as (N1 & N2 & N3).
    assert (G1 : gran (page_assigned rd data w 1 (put_page data l s)) !! data = Some (Gran GS_DATA rd 0))
      by (rewrite assigned_lookup by congruence; by rewrite lookup_insert).
    apply (object_hand GS_DATA); [by apply (has_state_intro _ _ _ (Gran GS_DATA rd 0))|discriminate..|].
    apply (hand_by_lock data (Gran GS_DATA rd 0)); [exact G1|exact Hc].
  - tidy. reflexivity.
Qed.
