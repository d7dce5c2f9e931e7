(* SPDX-License-Identifier: Apache-2.0 *)
(* RMI_DATA_CREATE, RMI_DATA_CREATE_UNKNOWN, KCORE_DATA_CREATE_SEALED and RMI_DATA_DESTROY leave the invariant as they
   found it. *)
From kcore Require Export refine.RipasInv.
From kcore Require Import refine.RsiInv.
From kcore Require Import refine.DataSealedRefine.
From kcore Require Import refine.DataDestroyRefine.
Local Open Scope Z_scope.

(* ---- A page comes to an entry of a level 3 table, or goes ---- *)

Lemma page_tree_step rd t p i d e c s s' : inv s -> places s !! t = Some p -> p_rd p = rd -> p_level p = 3 -> 0 <= i < 512 ->
  word (mem s) t i = e -> c <> t ->
  hw s' = hw s -> holes s' = holes s -> vmids s' = vmids s -> cached s' = cached s ->
  runs s' = runs s /\ loaded s' = loaded s /\ live s' = live s ->
  params s' = params s /\ run s' = run s /\ hash_page s' = hash_page s /\ digest s' = digest s ->
  mem_ok (mem s') -> words_u64 (mem s') ->
  page (mem s') t = set_nth (page (mem s) t) i d ->
  gran s' !! t = Some (Gran GS_RTT rd (live_entries 3 (page (mem s') t))) ->
  (kind 3 e = K_ASSIGNED -> out_addr e = c) -> (kind 3 d = K_ASSIGNED -> out_addr d = c) ->
  entry_ok s' t p (p_base p + i * size_of 3) d ->
  (forall q, q <> t -> q <> c -> page (mem s') q = page (mem s) q) ->
  (forall q, q <> t -> q <> c -> gran s' !! q = gran s !! q) ->
  (forall q, q <> c -> places s' !! q = places s !! q) -> places s !! c = None -> places s' !! c = None ->
  turns rd c s -> turns rd c s' ->
  has_state GS_DATA c s = (kind 3 e =? K_ASSIGNED) -> has_state GS_DATA c s' = (kind 3 d =? K_ASSIGNED) ->
  has_state GS_RTT c s' = false -> c <> rd ->
  (forall pa, is_ns (gran s) pa = true -> leaf_covers 3 d pa = false) ->
  tree_step rd t p i d c s s'.
Proof.
  intros I Pt Prd Lp Hi Ee Nct Ehw Eho Ev Eca Eru (S1 & S2 & S3 & S4) Em Ew Epg Etb Ke Kd Een Eot Egr Epl P0 P1 Tu Td Dc Dd Rc Ncr Cov.
  destruct (place_granule _ _ _ I Pt) as (_ & _ & (g & Hg & Hgs)%has_state_inv).
  pose proof (t_rd _ _ _ (i_table _ I _ _ Pt)) as Hrd. rewrite Prd in Hrd. destruct (has_state_inv _ _ _ Hrd) as (y & Hy & Hys).
  assert (Nrt : t <> rd) by (apply (differ s _ _ g y); [done|done|by rewrite Hgs, Hys]).
  assert (We : word (mem s') t i = d).
  { unfold word. rewrite Epg. apply nth_set_same; [apply page_ok, (i_mem _ I)|done]. }
  assert (Pt' : places s' !! t = Some p) by (by rewrite Epl).
  (* What is mapped here. *)
  assert (M1 : forall r x pa, maps s r t i x pa -> pa = c /\ kind 3 e = K_ASSIGNED).
  { intros r x pa [(q & Hq & _ & _ & Hk & n & Hn & _ & ->)]. rewrite Pt in Hq. injection Hq as <-. rewrite Lp, Ee in *.
    change (size_of 3 / 4096) with 1 in Hn. split; [|done]. rewrite (Ke Hk). lia. }
  assert (M2 : forall r x pa, maps s' r t i x pa -> pa = c /\ kind 3 d = K_ASSIGNED).
  { intros r x pa [(q & Hq & _ & _ & Hk & n & Hn & _ & ->)]. rewrite Pt' in Hq. injection Hq as <-. rewrite Lp, We in *.
    change (size_of 3 / 4096) with 1 in Hn. split; [|done]. rewrite (Kd Hk). lia. }
  assert (B1 : kind 3 e = K_ASSIGNED -> near_maps rd t i c s c).
  { intros Hk. exists t, i, (p_base p + i * size_of 3). split; [by right|]. constructor. exists p. rewrite Lp, Ee. split_and!; try done; try lia.
    exists 0. change (size_of 3 / 4096) with 1. rewrite (Ke Hk). lia. }
  assert (B2 : kind 3 d = K_ASSIGNED -> near_maps rd t i c s' c).
  { intros Hk. exists t, i, (p_base p + i * size_of 3). split; [by right|]. constructor. exists p. rewrite Lp, We. split_and!; try done; try lia.
    exists 0. change (size_of 3 / 4096) with 1. rewrite (Kd Hk). lia. }
  assert (N1 : forall r t' i' x pa, near t i c t' i' -> maps s r t' i' x pa -> t' = t /\ i' = i).
  { intros r t' i' x pa [->|N] [(q & Hq & _)]; [congruence|done]. }
  assert (N2 : forall r t' i' x pa, near t i c t' i' -> maps s' r t' i' x pa -> t' = t /\ i' = i).
  { intros r t' i' x pa [->|N] [(q & Hq & _)]; [congruence|done]. }
  constructor; rewrite ?Lp; try done.
  - by rewrite Eca.
  - rewrite S1, S2, S3, S4. pose proof (i_scratch _ I) as (? & ? & ? & ? & ? & _). done.
  - intros f _. unfold rd_of, rd_get, word. by rewrite Eot by congruence.
  - intros q Nt Nc _. by apply Eot.
  - intros q Nt Nc. rewrite Egr by done. destruct (gran s !! q) as [[a b r]|] eqn:Hq; [|done]. exists r. split; [done|].
    destruct (i_gran _ I _ _ Hq) as (_ & _ & X). cbn [g_state g_refs] in X |- *. destruct (a =? GS_NS); [exact (proj2 X)|done].
  - intros pc H. congruence.
  - intros pc H. congruence.
  - by rewrite Rc.
  - intros pa H Q. assert (pa = c) as ->.
    { destruct Q as [(t' & i' & x & N & M)|Q]; [|done]. destruct (N1 _ _ _ _ _ N M) as [-> ->]. by destruct (M1 _ _ _ M). }
    apply B2. rewrite Dd in H. by apply Z.eqb_eq in H.
  - intros pa (t' & i' & x & N & M). destruct (N2 _ _ _ _ _ N M) as [-> ->]. destruct (M2 _ _ _ M) as [-> _].
    rewrite Dc. destruct (Z.eqb_spec (kind 3 e) K_ASSIGNED); [left; by apply B1|by right].
  - intros t1 i1 x1 t2 i2 x2 pa Q1 Q2 H1 H2. destruct (N2 _ _ _ _ _ Q1 H1) as [-> ->]. destruct (N2 _ _ _ _ _ Q2 H2) as [-> ->]. done.
  - rewrite Dc. intros H%Z.eqb_eq. by apply B1.
  - intros pa Hn.
    rewrite (uses_step s s' t p i d c pa (i_mem _ I) Pt Hi Nct Epg Epl).
    2:{ intros q pq _ Nq Nc. by apply Eot. }
    unfold leaves_at. rewrite P0, P1, Lp, Cov by done. cbn [b2z].
    assert (Er : refs_of pa s' = refs_of pa s).
    { unfold refs_of, granule_at. rewrite Egr; [done|..]; intros ->.
      - unfold is_ns in Hn. by rewrite Hg, Hgs in Hn.
      - unfold turns in Tu. unfold is_ns in Hn. destruct (Z.eqb_spec c 0); [by rewrite Tu in Hn|].
        destruct Tu as (z & Hz & _ & Hzs). rewrite Hz in Hn. by destruct Hzs as [[Hzs _]|[[Hzs|Hzs] _]]; rewrite Hzs in Hn. }
    rewrite Er. destruct (leaf_covers 3 (word (mem s) t i) pa); cbn [b2z]; lia.
Qed.

Lemma assigned_u64 level q r : 0 <= r <= 2 -> u64 q -> u64 (assigned level q r).
Proof.
  intros Hr Hq. rewrite assigned_lor. apply u64_lor; [done|]. unfold ASSIGNED_ATTR, leaf_type, S2_PAGE, S2_BLOCK.
  assert (r = 0 \/ r = 1 \/ r = 2) as [->|[->| ->]] by lia; destruct (level =? 3); by vm_compute.
Qed.
Lemma private_lively rd n s : lively rd s -> lively rd (private_added rd n s).
Proof. intros L. unfold private_added. apply lively_set; [unfold free_word, rd_word; cbn [rd_off]; lia|apply u64_wrap|exact L]. Qed.

(* ---- It comes: with what m has as its content ---- *)

Lemma assigned_lively rd data ipa r m s (w := walk rd ipa 3 s) : inv s -> has_state GS_RD rd s = true ->
  has_state GS_DELEGATED data s = true -> u64 ipa -> page_possible rd ipa s = true -> ends_at K_UNASSIGNED w = true -> 0 <= r <= 2 ->
  mem_ok m -> words_u64 m -> (forall q, q <> data -> page m q = page (mem s) q) ->
  lively rd (page_assigned rd data w r (with_mem m s)).
Proof.
  intros I Hr (x & Hx & Hxs)%has_state_inv Hu Hp He Hrr Mo Mw P. destruct (possible_range _ _ _ I Hr Hu Hp) as (Hi & Hia & Hhalf).
  destruct (walk_at s rd ipa 3 I Hr ltac:(lia)) as [(p & Hpl & Er & El & Es & Eb & Ed) _]. fold w in Hpl, El, Es, Eb, Ed.
  apply andb_true_iff in He as [Elw%Z.eqb_eq Ek%Z.eqb_eq]. unfold w_kind in Ek. rewrite Elw in *. clearbody w.
  pose proof (slot_range 3 ipa) as Hsl. rewrite <- Es in Hsl.
  destruct (i_zero _ I _ _ Hx Hxs) as (Z1 & Z2 & Z3). destruct (i_gran _ I _ _ Hx) as (Px & Ax & _).
  destruct (t_gran _ _ _ (i_table _ I _ _ Hpl)) as ([gs go gr] & Hg & Hgs & Hgo & Hgr). cbn [g_state g_owner g_refs] in *. subst gs go.
  destruct (has_state_inv _ _ _ Hr) as (y & Hy & Hys).
  assert (Ntd : w_table w <> data) by (apply (differ s _ _ _ x Hg Hx); cbn [g_state]; by rewrite Hxs).
  assert (Nrd : rd <> data) by (apply (differ s _ _ y x); [done|done|by rewrite Hxs, Hys]).
  assert (Ntr : w_table w <> rd) by (apply (differ s _ _ _ y Hg Hy); cbn [g_state]; by rewrite Hys).
  destruct (assigned_ok 3 data r Hrr ltac:(lia) Ax) as (O & _ & _ & K & _).
  unfold page_assigned. apply private_lively.
  set (s' := refs_added _ _ _).
  assert (Gt : gran s' !! w_table w = Some (Gran GS_RTT rd (wrap U64 (gr + 1)))).
  { subst s'. unfold refs_added, with_refs, refs_of, granule_at, set_granule, put_word. cbn [gran with_gran with_mem].
    rewrite lookup_insert, lookup_insert_ne, Hg by congruence. cbn [default from_option id g_state g_owner g_refs]. by rewrite Er. }
  assert (Go : forall q, q <> w_table w -> gran s' !! q = <[data := Gran GS_DATA rd 0]> (gran s) !! q).
  { intros q N. subst s'. unfold refs_added, with_refs, set_granule, put_word. cbn [gran with_gran with_mem]. by rewrite lookup_insert_ne by congruence. }
  assert (Gd : gran s' !! data = Some (Gran GS_DATA rd 0)) by (rewrite Go by congruence; apply lookup_insert).
  assert (Em : mem s' = set_word m (w_table w) (w_slot w) (assigned 3 data r)) by reflexivity.
  assert (Pg : page (mem s') (w_table w) = set_nth (page (mem s) (w_table w)) (w_slot w) (assigned 3 data r)).
  { rewrite Em. unfold set_word. by rewrite page_insert_same, P. }
  assert (Po : forall q, q <> w_table w -> q <> data -> page (mem s') q = page (mem s) q).
  { intros q N1 N2. rewrite Em, page_set_page by congruence. by apply P. }
  assert (Rd : forall f, rd_of s' f rd = rd_of s f rd) by (intros f; unfold rd_of, rd_get, word; by rewrite Po by congruence).
  assert (Lv : live_entries 3 (page (mem s') (w_table w)) = gr + 1).
  { rewrite Pg, live_step by (done || apply page_ok, (i_mem _ I)). fold (word (mem s) (w_table w) (w_slot w)). rewrite <- Ed.
    rewrite Hgr, El. unfold is_counted. rewrite Ek, K. cbn. lia. }
  assert (Bd : 0 <= gr <= 512).
  { rewrite Hgr. unfold live_entries. pose proof (count_range (is_counted (p_level p)) (page (mem s) (w_table w))) as Q.
    pose proof (page_ok _ (w_table w) (i_mem _ I)) as L. unfold is_page in L. rewrite L in Q. lia. }
  rewrite wrap_small in Gt by lia. change (size_of 3) with 4096 in Eb. rewrite floor3_aligned in Eb by done.
  assert (Np : places s !! data = None) by (apply not_placed; [done|unfold has_state; by rewrite Hx, Hxs]).
  constructor.
  2:{ unfold has_state. rewrite Go, lookup_insert_ne, Hy, Hys by congruence. done. }
  eapply inv_tree; [exact I|].
  refine (page_tree_step rd (w_table w) p (w_slot w) (assigned 3 data r) (w_desc w) data s s' I Hpl Er El Hsl (eq_sym Ed) (not_eq_sym Ntd)
    eq_refl eq_refl eq_refl eq_refl _ _ _ _ Pg _ _ _ _ Po _ _ Np Np _ _ _ _ _ _ _).
  - done.
  - done.
  - rewrite Em. by apply set_word_ok.
  - rewrite Em. apply words_set; [done|]. apply assigned_u64; [done|unfold u64; lia].
  - rewrite Lv. exact Gt.
  - rewrite Ek. discriminate.
  - intros _. exact O.
  - change (size_of 3) with 4096. rewrite Eb. replace (assigned 3 data r) with (assigned (p_level p) data r) by (by rewrite El).
    constructor; rewrite ?El, ?Er; try done; try lia.
    + unfold half_of in *. rewrite Rd. lia.
    + intros n Hn. change (size_of 3 / 4096) with 1 in Hn. replace (data + n * 4096) with data by lia. unfold own_data. rewrite Gd.
      cbn [g_state g_owner]. by rewrite !Z.eqb_refl.
  - intros q N1 N2. rewrite Go, lookup_insert_ne by congruence. done.
  - done.
  - unfold turns. rewrite (proj2 (Z.eqb_neq data 0)) by lia. exists x. split; [done|]. split; [unfold REFS_MAX; lia|]. left. done.
  - unfold turns. rewrite (proj2 (Z.eqb_neq data 0)) by lia. exists (Gran GS_DATA rd 0). split; [done|]. cbn [g_refs g_state g_owner].
    split; [unfold REFS_MAX; lia|]. right. auto.
  - unfold has_state. rewrite Hx, Hxs, Ek. done.
  - unfold has_state. by rewrite Gd, K.
  - unfold has_state. by rewrite Gd.
  - congruence.
  - intros pa Hn. destruct (leaf_covers 3 (assigned 3 data r) pa) eqn:E; [|done]. exfalso.
    assert (Apa : pa mod 4096 = 0).
    { unfold is_ns in Hn. destruct (gran s !! pa) as [z|] eqn:Hz; [|done]. by apply (i_gran _ I _ _ Hz). }
    destruct (leaf_covers_page _ _ _ E Apa) as (n & Hb & Epa); [by rewrite O|]. rewrite O in Epa. change (size_of 3 / 4096) with 1 in Hb.
    assert (pa = data) as -> by lia. unfold is_ns in Hn. by rewrite Hx, Hxs in Hn.
Qed.

Lemma mem_self s : with_mem (mem s) s = s.
Proof. by destruct s. Qed.
Lemma entry_success rd ipa s : entry_check rd ipa s = RMI_SUCCESS -> inv s -> has_state GS_RD rd s = true -> u64 ipa ->
  page_possible rd ipa s = true /\ ends_at K_UNASSIGNED (walk rd ipa 3 s) = true.
Proof.
  intros H I Hr Hu. unfold entry_check in H. destruct (page_possible rd ipa s) eqn:Hp; [|done].
  destruct (possible_range _ _ _ I Hr Hu Hp) as (Hi & _ & Hh). pose proof (walk_level rd ipa s I Hr ltac:(lia)) as Hl.
  destruct (ends_at K_UNASSIGNED (walk rd ipa 3 s)); [done|]. cbn [negb] in H. unfold status_rtt, RMI_ERROR_RTT, RMI_SUCCESS in H. lia.
Qed.

Theorem create_unknown_inv rd data ipa s : inv s -> idle s -> u64 ipa -> inv (snd (create_unknown rd data ipa s)).
Proof.
  intros I _ Hu. unfold create_unknown. destruct (has_state GS_RD rd s) eqn:Hr; [|exact I]. cbn [andb].
  destruct (claimable GS_DELEGATED data s) eqn:Hc; [|exact I]. apply andb_true_iff in Hc as [Hd _]. cbn [negb snd].
  destruct (Z.eqb_spec (entry_check rd ipa s) RMI_SUCCESS) as [E|]; [|exact I].
  destruct (entry_success _ _ _ E I Hr Hu) as [Hp He].
  pose proof (assigned_lively rd data ipa (ripas (w_desc (walk rd ipa 3 s))) (mem s) s I Hr Hd Hu Hp He) as L. rewrite mem_self in L.
  apply (l_inv rd), L; [|apply (i_mem _ I)|exact (i_words _ I)|done].
  destruct (possible_range _ _ _ I Hr Hu Hp) as (Hi & _ & Hh).
  destruct (walk_at s rd ipa 3 I Hr ltac:(lia)) as [Ha _]. destruct (at_entry_ok _ _ _ _ I Ha) as (p & Hpl & _ & El & _ & Hen).
  apply andb_true_iff in He as [_ Ek%Z.eqb_eq]. unfold w_kind in Ek. rewrite <- El in Ek.
  destruct Hen as [r H|q r H _ _ Hq Hqa _|_|host _ _ _ Hw _|c _ Hl' Hc'|_].
  - by destruct (unassigned_facts (p_level p) r H) as (_ & _ & _ & ->).
  - destruct (assigned_ok (p_level p) q r H Hq (aligned_size _ _ Hqa)) as (_ & _ & _ & K & _). rewrite K in Ek. discriminate.
  - destruct (unassigned_ns_facts (p_level p)) as (_ & _ & K). rewrite K in Ek. discriminate.
  - destruct (assigned_ns_facts (p_level p) host Hw) as (_ & _ & _ & K & _). rewrite K in Ek. discriminate.
  - destruct (place_granule _ _ _ I Hc') as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T & _).
    unfold kind in Ek. rewrite T in Ek by done. discriminate.
  - split; by vm_compute.
Qed.

Lemma content_words rd ipa d s l : inv s -> content rd ipa d s = Some l -> page_words l.
Proof.
  intros I. unfold content. destruct (_ =? 0); [intros [= <-]; by apply page_is_words|]. unfold opened. cbv zeta. apply (h_page _ (i_hw _ I)).
Qed.
Theorem create_page_inv rd data ipa d s : inv s -> u64 ipa -> u64 (d_flags d) -> inv (snd (create_page rd data ipa d s)).
Proof.
  intros I Hu Hf. unfold create_page. destruct (has_state GS_RD rd s) eqn:Hr; [|exact I]. cbn [andb].
  destruct (claimable GS_DELEGATED data s) eqn:Hc; [|exact I]. apply andb_true_iff in Hc as [Hd _]. cbn [negb snd].
  destruct (Z.eqb_spec (page_check rd ipa d s) RMI_SUCCESS) as [E|]; [|exact I].
  assert (E' : entry_check rd ipa s = RMI_SUCCESS).
  { unfold page_check in E. destruct (may_fill rd d s); [|done]. cbn [negb] in E.
    destruct (Z.eqb_spec (entry_check rd ipa s) RMI_SUCCESS) as [E'|]; [done|exact E]. }
  destruct (entry_success _ _ _ E' I Hr Hu) as [Hp He]. unfold page_created.
  destruct (content rd ipa d s) as [l|] eqn:Hl; [|exact I]. pose proof (content_words _ _ _ _ _ I Hl) as Wl.
  destruct (page_put_words (mem s) data l (i_words _ I) (i_mem _ I) Wl) as [Mw Mm].
  apply (l_inv rd), lively_data_measured; [done|done|].
  apply (assigned_lively rd data ipa RIPAS_RAM (<[data := l]> (mem s)) s); try done.
  intros q N. apply page_insert_other. congruence.
Qed.
Theorem create_data_inv rd data ipa src flags s : inv s -> idle s -> u64 ipa -> u64 flags -> inv (snd (create_data rd data ipa src flags s)).
Proof. intros I _ Hu Hf. unfold create_data. destruct (_ || _); [exact I|]. by apply create_page_inv. Qed.
Theorem create_sealed_inv rd data ipa src tag s : inv s -> idle s -> u64 ipa -> inv (snd (create_sealed rd data ipa src tag s)).
Proof. intros I _ Hu. unfold create_sealed. destruct (_ || _); [exact I|]. apply create_page_inv; [done|done|by vm_compute]. Qed.

(* ---- It goes ---- *)

Lemma scrubbed_private rd n pa s : pa <> rd -> scrubbed pa (private_added rd n s) = private_added rd n (scrubbed pa s).
Proof.
  intros N. unfold private_added. assert (E : rd_of (scrubbed pa s) RD_pages_private rd = rd_of s RD_pages_private rd).
  { unfold rd_of, rd_get, word, scrubbed, set_granule, put_page. cbn [mem with_mem with_gran with_places]. by rewrite page_insert_other. }
  rewrite E. generalize (wrap U64 (rd_of s RD_pages_private rd + n)). intros v.
  unfold scrubbed, rd_set, put_word, put_page, set_granule, set_word. destruct s. cbn. f_equal.
  rewrite page_insert_other by done. by rewrite insert_commute.
Qed.

Theorem destroy_data_inv rd ipa s : inv s -> idle s -> u64 ipa -> inv (snd (destroy_data rd ipa s)).
Proof.
  intros I _ Hu. unfold destroy_data. destruct (has_state GS_RD rd s) eqn:Hr; [|exact I]. unfold destroy_page. cbv zeta.
  destruct (page_possible rd ipa s) eqn:Hp; [|exact I]. cbn [negb]. destruct (possible_range _ _ _ I Hr Hu Hp) as (Hi & Hia & Hhalf).
  destruct (walk_at s rd ipa 3 I Hr ltac:(lia)) as [(p & Hpl & Er & El & Es & Eb & Ed) _]. set (w := walk rd ipa 3 s) in *.
  destruct (ends_at K_ASSIGNED w) eqn:He; [|exact I]. cbn [negb snd]. clearbody w.
  apply andb_true_iff in He as [Elw%Z.eqb_eq Ek%Z.eqb_eq]. unfold w_kind in Ek. rewrite Elw in *.
  pose proof (slot_range 3 ipa) as Hsl. rewrite <- Es in Hsl.
  assert (Ek' : kind (p_level p) (word (mem s) (w_table w) (w_slot w)) = K_ASSIGNED) by (by rewrite El, <- Ed).
  destruct (entry_owned _ _ _ _ I Hpl Hsl Ek') as (pa & r & Ew & Hrr & Hpa & Hpaa & _ & _ & Ho). rewrite <- Ed, El in *.
  destruct (assigned_ok 3 pa r Hrr ltac:(lia) (aligned_size _ _ Hpaa)) as (O & _ & _ & _ & Rp & _). rewrite <- Ew in O, Rp.
  specialize (Ho 0 ltac:(by vm_compute)). rewrite Z.add_0_r, Er in Ho. unfold own_data in Ho.
  destruct (gran s !! pa) as [x|] eqn:Hx; [|done]. apply andb_true_iff in Ho as [Hxs%Z.eqb_eq Hxo%Z.eqb_eq].
  destruct (i_gran _ I _ _ Hx) as (Px & Ax & Rx). destruct (has_state_inv _ _ _ Hr) as (y & Hy & Hys).
  destruct (t_gran _ _ _ (i_table _ I _ _ Hpl)) as ([gs go gr] & Hg & Hgs & Hgo & Hgr). cbn [g_state g_owner g_refs] in *. subst gs go.
  assert (Ntd : w_table w <> pa) by (apply (differ s _ _ _ x Hg Hx); cbn [g_state]; by rewrite Hxs).
  assert (Nrd : rd <> pa) by (apply (differ s _ _ y x); [done|done|by rewrite Hxs, Hys]).
  assert (Ntr : w_table w <> rd) by (apply (differ s _ _ _ y Hg Hy); cbn [g_state]; by rewrite Hys).
  unfold page_destroyed. rewrite O, Rp. set (left := unassigned (if r =? RIPAS_EMPTY then RIPAS_EMPTY else RIPAS_DESTROYED)).
  assert (Lr : exists r', 0 <= r' <= 2 /\ left = unassigned r').
  { exists (if r =? RIPAS_EMPTY then RIPAS_EMPTY else RIPAS_DESTROYED). split; [|done]. destruct (_ =? _); split; by vm_compute. }
  destruct Lr as (r' & Hr' & El'). clearbody left. subst left. destruct (unassigned_facts 3 r' Hr') as (V & _ & K & _).
  rewrite scrubbed_private by congruence. apply (l_inv rd), private_lively.
  set (s' := scrubbed pa _).
  assert (Gp : gran s' !! pa = Some (Gran GS_DELEGATED 0 0)) by apply lookup_insert.
  assert (Go : forall q, q <> w_table w -> q <> pa -> gran s' !! q = gran s !! q).
  { intros q N1 N2. subst s'. unfold scrubbed, refs_added, with_refs, set_granule, put_word, put_page.
    cbn [gran with_places with_gran with_mem]. by rewrite !lookup_insert_ne by congruence. }
  assert (Gt : gran s' !! w_table w = Some (Gran GS_RTT rd (wrap U64 (gr + (2 ^ 64 - 1))))).
  { subst s'. unfold scrubbed, refs_added, with_refs, refs_of, granule_at, set_granule, put_word, put_page.
    cbn [gran with_places with_gran with_mem]. rewrite lookup_insert_ne, lookup_insert, Hg by congruence.
    cbn [default from_option id g_state g_owner g_refs]. by rewrite Er. }
  assert (Em : mem s' = <[pa := zero_page]> (set_word (mem s) (w_table w) (w_slot w) (unassigned r'))) by reflexivity.
  assert (Pg : page (mem s') (w_table w) = set_nth (page (mem s) (w_table w)) (w_slot w) (unassigned r')).
  { rewrite Em, page_insert_other by congruence. unfold set_word. by rewrite page_insert_same. }
  assert (Po : forall q, q <> w_table w -> q <> pa -> page (mem s') q = page (mem s) q).
  { intros q N1 N2. rewrite Em, page_insert_other, page_set_page by congruence. done. }
  assert (Rd : forall f, rd_of s' f rd = rd_of s f rd) by (intros f; unfold rd_of, rd_get, word; by rewrite Po by congruence).
  assert (Lv : live_entries 3 (page (mem s') (w_table w)) = gr - 1).
  { rewrite Pg, live_step by (done || apply page_ok, (i_mem _ I)). fold (word (mem s) (w_table w) (w_slot w)). rewrite <- Ed.
    rewrite Hgr, ?El. unfold is_counted. rewrite Ek, K. cbn. lia. }
  assert (Bd : 1 <= gr <= 512).
  { rewrite Hgr. rewrite ?El. unfold live_entries. pose proof (count_range (is_counted 3) (page (mem s) (w_table w))) as Q.
    pose proof (page_ok _ (w_table w) (i_mem _ I)) as L. unfold is_page in L. rewrite L in Q. split; [|lia].
    apply (count_pos _ _ (Z.to_nat (w_slot w)) (w_desc w)); [rewrite Ed; by apply page_word; [apply (i_mem _ I)|]|].
    unfold is_counted. by rewrite Ek. }
  assert (Ewr : wrap U64 (gr + (2 ^ 64 - 1)) = gr - 1).
  { unfold wrap. replace (gr + (2 ^ 64 - 1)) with (gr - 1 + 1 * 2 ^ 64) by lia.
    rewrite Z.mod_add, Z.mod_small by lia. done. }
  rewrite Ewr in Gt. change (size_of 3) with 4096 in Eb. rewrite floor3_aligned in Eb by done.
  assert (Np : places s !! pa = None) by (apply not_placed; [done|unfold has_state; by rewrite Hx, Hxs]).
  assert (Mo : mem_ok (set_word (mem s) (w_table w) (w_slot w) (unassigned r'))) by (apply set_word_ok, (i_mem _ I)).
  assert (Mw : words_u64 (set_word (mem s) (w_table w) (w_slot w) (unassigned r'))).
  { apply words_set; [exact (i_words _ I)|]. unfold u64, unassigned. lia. }
  destruct (page_put_words _ pa zero_page Mw Mo zero_page_words) as [Mw' Mo'].
  constructor.
  2:{ unfold has_state. rewrite Go, Hy, Hys by congruence. done. }
  eapply inv_tree; [exact I|].
  refine (page_tree_step rd (w_table w) p (w_slot w) (unassigned r') (w_desc w) pa s s' I Hpl Er El Hsl (eq_sym Ed) (not_eq_sym Ntd)
    eq_refl eq_refl eq_refl eq_refl _ _ _ _ Pg _ _ _ _ Po _ _ Np _ _ _ _ _ _ _ _).
  - done.
  - done.
  - rewrite Em. exact Mo'.
  - rewrite Em. exact Mw'.
  - rewrite Lv. exact Gt.
  - intros _. exact O.
  - rewrite K. discriminate.
  - change (size_of 3) with 4096. rewrite Eb. constructor; [done|]. unfold half_of in *. rewrite Er, Rd. lia.
  - exact Go.
  - intros q N. apply lookup_delete_ne. congruence.
  - apply lookup_delete.
  - unfold turns. rewrite (proj2 (Z.eqb_neq pa 0)) by lia. exists x. split; [done|]. split; [done|]. right. auto.
  - unfold turns. rewrite (proj2 (Z.eqb_neq pa 0)) by lia. exists (Gran GS_DELEGATED 0 0). split; [done|]. cbn [g_refs g_state g_owner].
    split; [unfold REFS_MAX; lia|]. left. rewrite Em, page_insert_same. done.
  - unfold has_state. by rewrite Hx, Hxs, Ek.
  - unfold has_state. by rewrite Gp, K.
  - unfold has_state. by rewrite Gp.
  - congruence.
  - intros q _. unfold leaf_covers. by rewrite V.
Qed.

(* ---- Nothing is held afterwards ---- *)

Lemma create_page_idle rd data ipa d s : idle s -> idle (snd (create_page rd data ipa d s)).
Proof.
  intros D. unfold create_page. destruct (negb _); [exact D|]. cbn [snd]. destruct (_ =? _); [|exact D].
  destruct (created_kept rd data ipa d s) as (_ & E1 & E2 & E3). unfold idle in *. by rewrite E1, E2, E3.
Qed.
Theorem create_data_idle rd data ipa src flags s : idle s -> idle (snd (create_data rd data ipa src flags s)).
Proof. intros D. unfold create_data. destruct (_ || _); [exact D|]. by apply create_page_idle. Qed.
Theorem create_sealed_idle rd data ipa src tag s : idle s -> idle (snd (create_sealed rd data ipa src tag s)).
Proof. intros D. unfold create_sealed. destruct (_ || _); [exact D|]. by apply create_page_idle. Qed.
Theorem create_unknown_idle rd data ipa s : idle s -> idle (snd (create_unknown rd data ipa s)).
Proof.
  intros D. unfold create_unknown. destruct (negb _); [exact D|]. cbn [snd]. destruct (_ =? _); [|exact D].
  assert (L : forall w r, idle (page_assigned rd data w r s)) by (intros; exact D). apply L.
Qed.
Theorem destroy_data_idle rd ipa s : idle s -> idle (snd (destroy_data rd ipa s)).
Proof.
  intros D. unfold destroy_data. destruct (has_state GS_RD rd s); [|exact D]. unfold destroy_page. cbv zeta.
  destruct (negb _); [exact D|]. destruct (negb _); [exact D|]. cbn [snd].
  assert (L : forall w, idle (page_destroyed rd w s)) by (intros; exact D). apply L.
Qed.
