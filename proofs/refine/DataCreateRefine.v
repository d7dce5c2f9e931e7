(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/data.c: RMI_DATA_CREATE, RMI_DATA_CREATE_UNKNOWN, KCORE_DATA_CREATE_SEALED. *)
From kcore Require Export refine.DataRefine.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- The same while pages are pinned and locks are held ---- *)

Lemma granule_under g hl sh a pa s : granule_hashed a pa (under g hl sh s) = under g hl sh (granule_hashed a pa s).
Proof. reflexivity. Qed.
Lemma algorithm_under g hl sh rd s : algorithm rd (under g hl sh s) = algorithm rd s.
Proof. reflexivity. Qed.
Lemma data_measured_under g hl sh rd ipa flags pa s :
  data_measured rd ipa flags pa (under g hl sh s) = under g hl sh (data_measured rd ipa flags pa s).
Proof.
  unfold data_measured. cbv zeta. rewrite begun_under, !put_under, algorithm_under.
  generalize (hash_put 11 flags (hash_put 10 ipa (begun rd DESC_DATA s))). intros z.
  destruct (flags =? 1); [|by rewrite ended_under]. by rewrite granule_under, digest_under, ended_under.
Qed.

Definition gran_assigned (rd data t : Z) (g : gmap Z granule) : gmap Z granule :=
  let g' := <[data := Gran GS_DATA rd 0]> g in
  let x := default (Gran GS_CORE 0 0) (g' !! t) in
  <[t := Gran (g_state x) (g_owner x) (wrap U64 (g_refs x + 1))]> g'.
Lemma assigned_gran rd data w r s : gran (page_assigned rd data w r s) = gran_assigned rd data (w_table w) (gran s).
Proof. reflexivity. Qed.
Lemma assigned_under rd data w r g hl sh s :
  page_assigned rd data w r (under g hl sh s) = under (gran_assigned rd data (w_table w) g) hl sh (page_assigned rd data w r s).
Proof. reflexivity. Qed.

Lemma created_under rd data ipa d g hl sh s :
  page_created rd data ipa d (under g hl sh s) =
  under (match content rd ipa d s with Some _ => gran_assigned rd data (w_table (walk rd ipa 3 s)) g | None => g end) hl sh
    (page_created rd data ipa d s).
Proof.
  unfold page_created. change (content rd ipa d (under g hl sh s)) with (content rd ipa d s).
  change (walk rd ipa 3 (under g hl sh s)) with (walk rd ipa 3 s).
  destruct (content rd ipa d s) as [l|]; [|reflexivity].
  change (put_page data l (under g hl sh s)) with (under g hl sh (put_page data l s)).
  by rewrite assigned_under, data_measured_under.
Qed.
Lemma created_kept rd data ipa d s :
  gran (page_created rd data ipa d s) =
    match content rd ipa d s with Some _ => gran_assigned rd data (w_table (walk rd ipa 3 s)) (gran s) | None => gran s end /\
  held (page_created rd data ipa d s) = held s /\ shrinking (page_created rd data ipa d s) = shrinking s /\
  staled (page_created rd data ipa d s) = staled s.
Proof.
  unfold page_created. destruct (content rd ipa d s) as [l|]; [|done].
  set (x := page_assigned rd data (walk rd ipa 3 s) RIPAS_RAM (put_page data l s)).
  destruct (scratch_kept _ _ _ (scratch_data rd ipa (d_flags d) data x x (scratch_refl _ _))) as (E1 & E2 & E3 & E4 & _).
  rewrite E1, E2, E3, E4. by split_and!.
Qed.
Lemma unlocked s : held s = [] -> shrinking s = false -> under (gran s) [] false s = s.
Proof. destruct s. cbn. by intros -> ->. Qed.

Theorem data_create_pinned_ok rd data ipa d s :
  inv s -> idle s -> u64 ipa -> source_ready rd d s ->
  core "data_create_pinned" (rd :: data :: ipa :: words_of d) s =
  Some ([fst (create_page rd data ipa d s)], snd (create_page rd data ipa d s)).
Proof.
  intros I (Hh & Hs & Hst) Hu Hsrc. unfold create_page, words_of. enter f_data_create_pinned.
  apply bind_lock; [exact Hs|exact Hh|].
  destruct (has_state GS_RD rd s) eqn:Hrd; tidy; cbn [negb andb]; [|reflexivity].
  apply bind_claim; [exact Hs|unfold holds; cbn; rewrite Hh; reflexivity|].
  rewrite claimable_locked by done.
  assert (E1 : lock_taken (LGranule rd) s = under (gran s) [LGranule rd] false s) by (destruct s; cbn in *; by subst).
  destruct (claimable GS_DELEGATED data s) eqn:Hc; tidy; cbn [negb fst snd].
  2:{ rewrite E1. apply bind_realm_unlock; [exact Hst|]. unfold ret. by rewrite unlocked. }
  apply andb_true_iff in Hc as [Hc _].
  assert (E2 : lock_taken (LGranule data) (lock_taken (LGranule rd) s) = under (gran s) [LGranule data; LGranule rd] false s)
    by (destruct s; cbn in *; by subst).
  rewrite E2. eapply bind_call; [apply (data_create_locked_ok rd data ipa d)|].
  { apply open_under; [exact I|exact Hrd|]. cbn. by rewrite Z.eqb_refl, !orb_true_r. }
  { exact Hst. }
  { exact Hc. }
  { apply holds_under. }
  { reflexivity. }
  { exact Hu. }
  { exact Hsrc. }
  tidy. change (page_check rd ipa d (under (gran s) [LGranule data; LGranule rd] false s)) with (page_check rd ipa d s).
  destruct (page_check rd ipa d s =? RMI_SUCCESS).
  - rewrite created_under. destruct (created_kept rd data ipa d s) as (G & H & S & T). rewrite <- G.
    apply bind_release. apply bind_realm_unlock; [congruence|]. unfold ret. rewrite unlocked; [reflexivity|congruence..].
  - apply bind_release. apply bind_realm_unlock; [exact Hst|]. unfold ret. by rewrite unlocked.
Qed.

(* A success says that the realm has a table for the page. *)
Lemma entry_table_state rd ipa s : inv s -> has_state GS_RD rd s = true -> u64 ipa -> entry_check rd ipa s = RMI_SUCCESS ->
  has_state GS_RTT (w_table (walk rd ipa 3 s)) s = true.
Proof.
  intros I Hr Hu. unfold entry_check. destruct (page_possible rd ipa s) eqn:Hp; [|done]. intros _.
  destruct (possible_range _ _ _ I Hr Hu Hp) as (Hi & _ & Hh).
  destruct (walk_at s rd ipa 3 I Hr) as [(p & Hpl & _) _]; [lia|]. by destruct (place_granule _ _ _ I Hpl) as (_ & _ & ?).
Qed.

Lemma assigned_pinned rd data w r q x s : gran s !! q = Some x -> q <> data -> q <> w_table w ->
  page_assigned rd data w r (page_pinned q s) = page_pinned q (page_assigned rd data w r s).
Proof.
  intros Hx N1 N2. change (page_pinned q s) with (under (gran (page_pinned q s)) (held s) (shrinking s) s).
  rewrite assigned_under. unfold page_pinned, with_refs, set_granule, under, granule_at. rewrite assigned_gran.
  assert (E : gran_assigned rd data (w_table w) (gran s) !! q = gran s !! q).
  { unfold gran_assigned. by rewrite !lookup_insert_ne by congruence. }
  rewrite E, Hx. cbn [default from_option id gran with_gran].
  assert (E' : gran_assigned rd data (w_table w) (<[q := Gran (g_state x) (g_owner x) (g_refs x + 1)]> (gran s)) =
    <[q := Gran (g_state x) (g_owner x) (g_refs x + 1)]> (gran_assigned rd data (w_table w) (gran s))).
  { unfold gran_assigned. rewrite (insert_commute _ data q) by congruence. rewrite lookup_insert_ne by congruence.
    by rewrite insert_commute by congruence. }
  rewrite E'. reflexivity.
Qed.

Lemma create_pinned q x rd data ipa d s : inv s -> u64 ipa -> gran s !! q = Some x -> g_state x = GS_NS ->
  fst (create_page rd data ipa d (page_pinned q s)) = fst (create_page rd data ipa d s) /\
  snd (create_page rd data ipa d (page_pinned q s)) = page_pinned q (snd (create_page rd data ipa d s)) /\
  gran (snd (create_page rd data ipa d s)) !! q = Some x /\ staled (snd (create_page rd data ipa d s)) = staled s.
Proof.
  intros I Hu Hx Hq. unfold create_page. rewrite has_state_pinned, claimable_pinned by eauto.
  change (page_check rd ipa d (page_pinned q s)) with (page_check rd ipa d s).
  destruct (has_state GS_RD rd s) eqn:Hr; cbn [negb andb fst snd]; [|by split_and!].
  destruct (claimable GS_DELEGATED data s) eqn:Hc; cbn [negb fst snd]; [|by split_and!].
  destruct (page_check rd ipa d s =? RMI_SUCCESS) eqn:Hk; cbn [fst snd]; [|by split_and!].
  assert (N1 : q <> data).
  { intros ->. apply andb_true_iff in Hc as [Hd _]. unfold has_state in Hd. rewrite Hx, Hq in Hd. discriminate. }
  assert (N2 : q <> w_table (walk rd ipa 3 s)).
  { assert (He : entry_check rd ipa s = RMI_SUCCESS).
    { unfold page_check in Hk. destruct (may_fill rd d s); [|done]. cbn [negb] in Hk.
      destruct (Z.eqb_spec (entry_check rd ipa s) RMI_SUCCESS) as [E|N]; [done|]. cbn [negb] in Hk. by apply Z.eqb_eq in Hk. }
    pose proof (entry_table_state _ _ _ I Hr Hu He) as H. intros E. rewrite <- E in H. unfold has_state in H.
    rewrite Hx, Hq in H. discriminate. }
  destruct (created_kept rd data ipa d s) as (G & _ & _ & T). rewrite G, T.
  assert (G' : (match content rd ipa d s with
    | Some _ => gran_assigned rd data (w_table (walk rd ipa 3 s)) (gran s) | None => gran s end) !! q = Some x).
  { destruct (content rd ipa d s); [|done]. unfold gran_assigned. by rewrite !lookup_insert_ne by congruence. }
  split_and!; [done| |exact G'|done].
  unfold page_created. change (content rd ipa d (page_pinned q s)) with (content rd ipa d s).
  change (walk rd ipa 3 (page_pinned q s)) with (walk rd ipa 3 s).
  destruct (content rd ipa d s) as [l|]; [|done].
  change (put_page data l (page_pinned q s)) with (page_pinned q (put_page data l s)).
  rewrite (assigned_pinned _ _ _ _ q x) by done.
  set (z := page_assigned rd data (walk rd ipa 3 s) RIPAS_RAM (put_page data l s)).
  change (page_pinned q z) with (under (gran (page_pinned q z)) (held z) (shrinking z) z) at 1.
  rewrite data_measured_under.
  destruct (scratch_kept _ _ _ (scratch_data rd ipa (d_flags d) data z z (scratch_refl _ _))) as (E1 & E2 & E3 & _).
  set (z' := data_measured rd ipa (d_flags d) data z) in *.
  rewrite <- E2, <- E3. unfold page_pinned, with_refs, set_granule, granule_at. rewrite E1. by destruct z'.
Qed.

Theorem data_create_ok rd data ipa src flags s :
  inv s -> idle s -> u64 ipa ->
  core "data_create" [rd; data; ipa; src; flags] s =
  Some ([fst (create_data rd data ipa src flags s)], snd (create_data rd data ipa src flags s)).
Proof.
  intros I D Hu. unfold create_data. enter f_data_create. change DATA_MEASURED with 1.
  destruct (1 <? flags); cbn [orb]; [reflexivity|]. apply bind_pin.
  destruct (pinnable src s) eqn:Hp; tidy; cbn [negb]; [|reflexivity].
  destruct (pinnable_some _ _ Hp) as (x & Hx & Hns).
  assert (Hr : 0 <= g_refs x) by apply (i_gran _ I _ _ Hx).
  eapply bind_call; [apply (data_create_pinned_ok rd data ipa (Source src flags 0 0))|].
  { by apply inv_pinned. }
  { exact D. }
  { exact Hu. }
  { split; [by apply (pinned_page _ _ x)|done]. }
  destruct (create_pinned src x rd data ipa (Source src flags 0 0) s I Hu Hx Hns) as (E1 & E2 & G & T).
  rewrite E1, E2. tidy. destruct D as (_ & _ & Hst).
  apply bind_put; [by apply (pinned_page _ _ x)|by rewrite <- Hst, <- T|]. unfold ret. by rewrite (unpin_pin _ _ x).
Qed.

Theorem data_create_unknown_locked_ok rd data ipa s :
  open_realm rd s -> has_state GS_DELEGATED data s = true -> holds (LGranule data) s = true ->
  first_taken (held s) = LGranule rd -> u64 ipa ->
  core "data_create_unknown_locked" [rd; data; ipa] s =
  Some ([entry_check rd ipa s], if entry_check rd ipa s =? RMI_SUCCESS
    then page_assigned rd data (walk rd ipa 3 s) (ripas (w_desc (walk rd ipa 3 s))) s else s).
Proof.
  intros O Hd Hc Hft Hu. pose proof (open_hand _ _ O) as Hh. pose proof O as [I Hr Hl].
  enter f_data_create_unknown_locked. unfold entry_check.
  use data_ipa_ok_ok. destruct (page_possible rd ipa s) eqn:Hp; cbn [negb]; [|reflexivity].
  destruct (possible_range _ _ _ I Hr Hu Hp) as (Hi & _ & Hhalf).
  eapply bind_call; [apply rtt_walk_ok; [exact O|lia|lia]|]. tidy.
  pose proof (walk_level rd ipa s I Hr ltac:(lia)) as Hlev.
  pose proof (free_entry rd data ipa s O Hc Hd Hft Hu Hp) as A.
  destruct (walk_at s rd ipa 3 I Hr) as [Ha _]; [lia|].
  destruct (at_entry_ok _ _ _ _ I Ha) as (p & Hpl & Er & El & Hs & He).
  set (w := walk rd ipa 3 s) in *.
  replace (negb (w_level w =? 3) || negb (w_kind w =? 0)) with (negb (ends_at K_UNASSIGNED w))
    by (unfold ends_at; rewrite negb_andb; reflexivity).
  destruct (ends_at K_UNASSIGNED w) eqn:Hends; cbn [negb].
  2:{ eapply bind_call; [apply error_rtt_ok; lia|]. tidy. rewrite status_rtt_error by lia. reflexivity. }
  specialize (A eq_refl).
  use data_room_ok. destruct (has_room rd s); cbn [negb]; [|reflexivity].
  use s2_ripas_ok.
  assert (Hrip : 0 <= ripas (w_desc w) <= 2).
  { apply andb_true_iff in Hends as [_ Hk%Z.eqb_eq]. unfold w_kind in Hk. rewrite <- El in *.
    destruct He as [r H|q r H _ _ Hq Hqa _|_|host _ _ _ Hw _|c _ Hl' Hc'|_].
    - destruct (unassigned_facts (p_level p) r H) as (_ & _ & _ & ->). done.
    - destruct (assigned_ok (p_level p) q r H Hq (aligned_size _ _ Hqa)) as (_ & _ & _ & K & _). rewrite K in Hk. discriminate.
    - destruct (unassigned_ns_facts (p_level p)) as (_ & _ & K). rewrite K in Hk. discriminate.
    - destruct (assigned_ns_facts (p_level p) host Hw) as (_ & _ & _ & K & _). rewrite K in Hk. discriminate.
    - destruct (place_granule _ _ _ I Hc') as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T & _).
      unfold kind in Hk. rewrite T in Hk by done. discriminate.
    - split; [reflexivity || discriminate|discriminate]. }
  eapply bind_call; [apply (data_assign_ok rd data w); [exact A|exact Hrip]|]. tidy. reflexivity.
Qed.

Theorem data_create_unknown_ok rd data ipa s :
  inv s -> idle s -> u64 ipa ->
  core "data_create_unknown" [rd; data; ipa] s = Some ([fst (create_unknown rd data ipa s)], snd (create_unknown rd data ipa s)).
Proof.
  intros I (Hh & Hs & Hst) Hu. unfold create_unknown. enter f_data_create_unknown.
  apply bind_lock; [exact Hs|exact Hh|].
  destruct (has_state GS_RD rd s) eqn:Hrd; tidy; cbn [negb andb]; [|reflexivity].
  apply bind_claim; [exact Hs|unfold holds; cbn; rewrite Hh; reflexivity|].
  rewrite claimable_locked by done.
  assert (E1 : lock_taken (LGranule rd) s = under (gran s) [LGranule rd] false s) by (destruct s; cbn in *; by subst).
  destruct (claimable GS_DELEGATED data s) eqn:Hc; tidy; cbn [negb fst snd].
  2:{ rewrite E1. apply bind_realm_unlock; [exact Hst|]. unfold ret. by rewrite unlocked. }
  apply andb_true_iff in Hc as [Hc _].
  assert (E2 : lock_taken (LGranule data) (lock_taken (LGranule rd) s) = under (gran s) [LGranule data; LGranule rd] false s)
    by (destruct s; cbn in *; by subst).
  rewrite E2. eapply bind_call; [apply (data_create_unknown_locked_ok rd data ipa)|].
  { apply open_under; [exact I|exact Hrd|]. cbn. by rewrite Z.eqb_refl, !orb_true_r. }
  { exact Hc. }
  { apply holds_under. }
  { reflexivity. }
  { exact Hu. }
  tidy. change (entry_check rd ipa (under (gran s) [LGranule data; LGranule rd] false s)) with (entry_check rd ipa s).
  change (walk rd ipa 3 (under (gran s) [LGranule data; LGranule rd] false s)) with (walk rd ipa 3 s).
  destruct (entry_check rd ipa s =? RMI_SUCCESS).
  - rewrite assigned_under, <- (assigned_gran rd data (walk rd ipa 3 s) (ripas (w_desc (walk rd ipa 3 s)))).
    apply bind_release. apply bind_realm_unlock; [exact Hst|]. unfold ret. rewrite unlocked; [reflexivity|exact Hh|exact Hs].
  - apply bind_release. apply bind_realm_unlock; [exact Hst|]. unfold ret. by rewrite unlocked.
Qed.
