(* SPDX-License-Identifier: Apache-2.0 *)
(* RMI_RTT_CREATE leaves the invariant as it found it. *)
From kcore Require Export refine.RttInvMade.
From kcore Require refine.HostInv.
Local Open Scope Z_scope.

Section made.
  Context (rd rtt ipa level : Z) (w : walked) (p : place) (s : state) (F : found rd ipa w p s)
    (El : w_level w = level - 1) (Nk : w_kind w <> K_TABLE) (Ha : ipa mod size_of (level - 1) = 0) (Hl : 1 <= level <= 3)
    (Hd : has_state GS_DELEGATED rtt s = true).
  Local Notation t := (w_table w).
  Local Notation D := (w_desc w).
  Local Notation b := (if kind (level - 1) D =? K_ASSIGNED then 1 else 0).

  Context (m : gmap Z (list Z)) (Hm : mem_ok m) (Hq : forall q, q <> rtt -> page m q = page (mem s) q)
    (Hw : forall i, 0 <= i < 512 -> word m rtt i = child level D i).
  Definition made : state :=
    with_places (<[rtt := Place rd level ipa t]> (places s))
      (with_gran (<[t := Gran GS_RTT rd (refs_of t s + 1 - b)]> (<[rtt := Gran GS_RTT rd (512 * b)]> (gran s)))
        (with_mem (set_word m t (w_slot w) (table_desc rtt)) s)).

  Lemma made_step : tree_step rd t p (w_slot w) (table_desc rtt) rtt s made.
  Proof using F El Nk Ha Hl Hd Hm Hq Hw.
    pose proof (found_inv _ _ _ _ _ F) as I. pose proof (fd_place _ _ _ _ _ F) as Pt. pose proof (fd_rd _ _ _ _ _ F) as Prd.
    pose proof (fd_level _ _ _ _ _ F) as Lp. pose proof (fd_slot _ _ _ _ _ F) as Hi. pose proof (fd_desc _ _ _ _ _ F) as Fd.
    pose proof (found_not_rd _ _ _ _ _ F) as Ntr. pose proof (fd_ipa _ _ _ _ _ F) as Hipa. pose proof (found_level _ _ _ _ _ F) as Hlev.
    destruct (fd_open _ _ _ _ _ F) as [_ Hrd _].
    destruct (has_state_inv _ _ _ Hd) as (g0 & Hg0 & Hs0), (has_state_inv _ _ _ Hrd) as (g1 & Hg1 & Hs1), (has_state_inv _ _ _ (found_rtt _ _ _ _ _ F)) as (g2 & Hg2 & Hs2).
    destruct (i_gran _ I _ _ Hg0) as (P0 & A0 & R0). destruct (i_zero _ I _ _ Hg0 Hs0) as (Z0 & Z1 & Z2).
    destruct (table_desc_ok rtt ltac:(lia) A0) as (Vt & Tt & Ot & _). destruct (place_granule _ _ _ I Pt) as (Pp & _).
    assert (Nt : rtt <> t) by (intros E; rewrite E, Hg2 in Hg0; injection Hg0 as ->; rewrite Hs2 in Hs0; discriminate).
    assert (Nr : rtt <> rd) by (intros E; rewrite E, Hg1 in Hg0; injection Hg0 as ->; rewrite Hs1 in Hs0; discriminate).
    assert (Np : places s !! rtt = None) by (apply not_placed; [done|]; unfold has_state; by rewrite Hg0, Hs0).
    assert (B : p_base p + w_slot w * size_of (level - 1) = ipa).
    { rewrite <- El, (fd_base _ _ _ _ _ F), El. by apply floor_aligned. }
    assert (TD : is_table (level - 1) D = false).
    { unfold w_kind, kind in Nk. rewrite El in Nk. by destruct (is_table (level - 1) D). }
    assert (b01 : b = 0 \/ b = 1) by (destruct (_ =? _); auto).
    (* the state after *)
    assert (G1 : gran made !! t = Some (Gran GS_RTT rd (refs_of t s + 1 - b))) by (cbn [gran made with_places with_gran]; by rewrite lookup_insert).
    assert (G2 : gran made !! rtt = Some (Gran GS_RTT rd (512 * b))).
    { cbn [gran made with_places with_gran]. rewrite lookup_insert_ne by congruence. by rewrite lookup_insert. }
    assert (G3 : forall q, q <> t -> q <> rtt -> gran made !! q = gran s !! q).
    { intros q N1 N2. cbn [gran made with_places with_gran]. by rewrite !lookup_insert_ne by congruence. }
    assert (Q1 : places made !! rtt = Some (Place rd level ipa t)) by (cbn [places made with_places]; by rewrite lookup_insert).
    assert (Q2 : forall q, q <> rtt -> places made !! q = places s !! q).
    { intros q N. cbn [places made with_places]. by rewrite lookup_insert_ne by congruence. }
    assert (M1 : page (mem made) t = set_nth (page (mem s) t) (w_slot w) (table_desc rtt)).
    { cbn [mem made with_places with_gran with_mem]. unfold set_word. rewrite page_insert_same. by rewrite Hq by congruence. }
    assert (M2 : forall q, q <> t -> page (mem made) q = page m q).
    { intros q N. cbn [mem made with_places with_gran with_mem]. apply page_set_page. congruence. }
    assert (M3 : mem_ok (mem made)) by (by apply set_word_ok).
    assert (Wr : forall i, 0 <= i < 512 -> word (mem made) rtt i = child level D i) by (intros; unfold word; rewrite M2 by done; by apply Hw).
    assert (Wt : word (mem made) t (w_slot w) = table_desc rtt).
    { unfold word. rewrite M1. apply nth_set_same; [apply page_ok, (i_mem _ I)|done]. }
    assert (Own : forall q, own_data made rd q = own_data s rd q).
    { intros q. unfold own_data. destruct (decide (q = t)) as [->|N1]; [by rewrite G1, Hg2, Hs2|].
      destruct (decide (q = rtt)) as [->|N2]; [by rewrite G2, Hg0, Hs0|by rewrite G3]. }
    assert (Ns : forall q, is_ns (gran made) q = is_ns (gran s) q).
    { intros q. unfold is_ns. destruct (decide (q = t)) as [->|N1]; [by rewrite G1, Hg2, Hs2|].
      destruct (decide (q = rtt)) as [->|N2]; [by rewrite G2, Hg0, Hs0|by rewrite G3]. }
    assert (Told : forall f, rd_of made f rd = rd_of s f rd).
    { intros f. unfold rd_of, rd_get, word. rewrite M2 by congruence. by rewrite Hq by congruence. }
    pose proof (unfolds_ok s made rd rtt ipa level w p F El Nk Ha Hl Own Ns (fun f _ => Told f) Q1 M3 Wr) as U.
    assert (KD : is_counted (level - 1) D = (kind (level - 1) D =? K_ASSIGNED)) by (by apply counted_leaf).
    assert (Mt : forall r y pa, ~ maps made r t (w_slot w) y pa).
    { intros r y pa [(q & Hq' & _ & _ & Hk & _)]. rewrite Q2, Pt in Hq' by congruence. injection Hq' as <-. rewrite Lp, El, Wt in Hk.
      unfold kind in Hk. rewrite Tt in Hk by lia. discriminate. }
    assert (Mr : forall r j y pa, ~ maps s r rtt j y pa) by (intros r j y pa [(q & Hq' & _)]; congruence).
    assert (Ms : forall y pa, maps s rd t (w_slot w) y pa -> kind (level - 1) D = K_ASSIGNED /\
      exists n, 0 <= n < size_of (level - 1) / 4096 /\ pa = out_addr D + n * 4096).
    { intros y pa [(q & Hq' & _ & _ & Hk & n & Hn & _ & ->)]. rewrite Pt in Hq'. injection Hq' as <-. rewrite Lp, El, Fd in *. split; [done|]. by exists n. }
    assert (Ms' : kind (level - 1) D = K_ASSIGNED -> forall n, 0 <= n < size_of (level - 1) / 4096 ->
      exists y, maps s rd t (w_slot w) y (out_addr D + n * 4096)).
    { intros Hk n Hn. eexists. constructor. exists p. rewrite Lp, El, Fd. split_and!; try done; try lia. exists n. split_and!; try lia; reflexivity. }
    assert (Live : live_entries level (page (mem made) rtt) = 512 * b).
    { pose proof (page_ok _ rtt M3) as L. unfold is_page in L. unfold live_entries.
      assert (C : forall x, x ∈ page (mem made) rtt -> is_counted level x = (kind (level - 1) D =? K_ASSIGNED)).
      { intros x Hx. apply elem_of_list_lookup in Hx as [j Hx]. apply (page_lookup _ _ _ _ M3) in Hx as [Hj ->].
        rewrite Wr by lia. apply (uf_counted _ _ _ _ _ _ _ _ U). lia. }
      destruct (kind (level - 1) D =? K_ASSIGNED).
      - rewrite (proj2 (count_all _ _)) by exact C. rewrite L. reflexivity.
      - by rewrite (proj2 (count_none _ _)) by exact C. }
    constructor; try done.
    - pose proof (i_scratch _ I) as (? & ? & ? & ? & ? & _). done.
    - intros q. destruct (decide (q = rtt)) as [->|N1].
      { apply words_page; [exact M3|]. intros j Hj. rewrite Wr by done. by apply (uf_u64 _ _ _ _ _ _ _ _ U). }
      destruct (decide (q = t)) as [->|N2].
      + intros j. unfold word. rewrite M1. destruct (nth_set_nth (page (mem s) t) (w_slot w) j (table_desc rtt)) as [->| ->]; [|apply (i_words _ I)].
        apply HostInv.table_desc_u64; [lia|done].
      + intros j. unfold word. rewrite M2, Hq by done. apply (i_words _ I q).
    - rewrite G1, M1, live_step by (done || apply page_ok, (i_mem _ I)). fold (word (mem s) t (w_slot w)). rewrite Fd, Lp, El, KD.
      do 2 f_equal. destruct (t_gran _ _ _ (i_table _ I _ _ Pt)) as (g & Hg & _ & _ & Hr). unfold refs_of, granule_at. rewrite Hg.
      cbn [default from_option id]. rewrite Hr, Lp, El.
      assert (CT : is_counted (level - 1) (table_desc rtt) = true) by (unfold is_counted, kind; by rewrite Tt by lia).
      rewrite CT. destruct (kind (level - 1) D =? K_ASSIGNED); cbn [b2z]; lia.
    - rewrite Lp, El, B. apply E_table; rewrite ?Prd, ?Lp, ?El, ?Told; [lia|lia|]. rewrite Q1. do 2 f_equal. lia.
    - intros q N1 N2 _. rewrite M2 by done. by apply Hq.
    - intros q N1 N2. rewrite G3 by done. destruct (gran s !! q) as [[a1 a2 a3]|] eqn:Eq; [|done]. exists a3. split; [done|].
      destruct (i_gran _ I _ _ Eq) as (_ & _ & [_ R]). cbn [g_state g_refs] in R |- *. destruct (a1 =? GS_NS); [exact R|reflexivity].
    - unfold turns. rewrite (proj2 (Z.eqb_neq rtt 0)) by lia. exists g0. split; [done|]. split; [done|]. left. done.
    - unfold turns. rewrite (proj2 (Z.eqb_neq rtt 0)) by lia. eexists. split; [exact G2|]. cbn [g_state g_owner g_refs].
      split; [unfold REFS_MAX; lia|]. right. split; [by left|done].
    - intros pc H. congruence.
    - intros H. rewrite Fd, Lp, El, TD in H. discriminate.
    - intros pc H. rewrite Q1 in H. injection H as <-. split; [done|].
      constructor; cbn [p_rd p_level p_base p_parent]; rewrite ?Told.
      + eexists. split; [exact G2|]. cbn [g_state g_owner g_refs]. rewrite Live. done.
      + unfold has_state. destruct (decide (rd = t)); [congruence|]. rewrite G3 by congruence. rewrite Hg1, Hs1. done.
      + lia.
      + split; [lia|]. unfold span. assert (Sb : size_of (level - 1) = 512 * size_of level).
        { rewrite (size_below (level - 1)) by lia. do 2 f_equal. lia. }
        by rewrite <- Sb.
      + intros E. lia.
      + intros _. exists (p_base p), (p_parent p). rewrite Q2 by congruence. split; [|split].
        * rewrite Pt. destruct p as [r1 l1 b1 p1]. cbn [p_rd p_level p_base p_parent] in *. subst. do 2 f_equal. exact El.
        * unfold span. destruct (size_pos (level - 1)). nia.
        * replace (slot_of (level - 1) ipa) with (w_slot w); [exact Wt|]. rewrite (fd_at _ _ _ _ _ F), El. done.
      + intros j Hj. rewrite Wr by done. by apply (uf_entry _ _ _ _ _ _ _ _ U).
    - intros pa H [(t' & i' & y & [->|[-> ->]] & M)|E].
      + by apply Mr in M.
      + destruct (Ms _ _ M) as (Hk & n & Hn & ->). destruct (uf_back _ _ _ _ _ _ _ _ U Hk n Hn) as (j & y' & M'). exists rtt, j, y'. split; [by left|done].
      + rewrite E in H. unfold has_state in H. rewrite G2 in H. discriminate.
    - intros pa (t' & i' & y & [->|[-> ->]] & M); left.
      + destruct (uf_maps _ _ _ _ _ _ _ _ U _ _ _ M) as (Hk & n & Hn & ->). destruct (Ms' Hk n Hn) as (y' & M'). exists t, (w_slot w), y'. split; [by right|done].
      + by apply Mt in M.
    - intros t1 i1 y1 t2 i2 y2 pa [->|[-> ->]] [->|[-> ->]] Q3 Q4; try (by apply Mt in Q3); try (by apply Mt in Q4).
      split; [done|]. by apply (uf_once _ _ _ _ _ _ _ _ U _ _ _ _ _ Q3 Q4).
    - unfold has_state. rewrite Hg0, Hs0. done.
    - intros pa Hn. assert (Pg : forall q pq, places s !! q = Some pq -> q <> t -> q <> rtt -> page (mem made) q = page (mem s) q).
      { intros q pq _ N1 N2. rewrite M2 by done. by apply Hq. }
      rewrite (uses_step s made t p (w_slot w) (table_desc rtt) rtt pa (i_mem _ I) Pt Hi Nt M1 Q2 Pg).
      unfold leaves_at. rewrite Np, Q1. cbn [p_level]. rewrite Fd, Lp, El.
      assert (L0 : leaf_covers (level - 1) (table_desc rtt) pa = false) by (unfold leaf_covers; rewrite Tt by lia; by rewrite andb_false_r).
      rewrite L0. pose proof (uf_pins _ _ _ _ _ _ _ _ U pa Hn) as Q.
      assert (N1 : pa <> t) by (intros ->; unfold is_ns in Hn; rewrite Hg2, Hs2 in Hn; discriminate).
      assert (N2 : pa <> rtt) by (intros ->; unfold is_ns in Hn; rewrite Hg0, Hs0 in Hn; discriminate).
      unfold refs_of, granule_at. rewrite G3 by done. cbn [b2z]. lia.
  Qed.
  Lemma made_inv : inv made.
  Proof using F El Nk Ha Hl Hd Hm Hq Hw. eapply inv_tree; [|exact made_step]. by eapply found_inv. Qed.
End made.

Theorem create_locked_inv rd rtt ipa level s : open_realm rd s -> 0 <= ipa -> has_state GS_DELEGATED rtt s = true ->
  inv (snd (create_locked rd rtt ipa level s)).
Proof.
  intros O Hi Hd. pose proof O as [I Hr _]. unfold create_locked. destruct (i_realm _ I _ Hr) as [_ _ (Hlev & _) _ _ _ _ _ _ _].
  destruct (table_possible rd ipa level s) eqn:Hp; cbn [negb]; [|exact I]. destruct (possible_facts _ _ _ _ Hp) as (Hle & Hb & Ha).
  destruct (walk_found rd ipa (level - 1) s O ltac:(lia)) as (p & F). set (w := walk rd ipa (level - 1) s) in *.
  destruct (Z.eqb_spec (w_level w) (level - 1)) as [El|]; cbn [negb orb]; [|exact I].
  destruct (Z.eqb_spec (w_kind w) K_TABLE) as [|Nk]; [exact I|]. cbn [snd].
  destruct (has_state_inv _ _ _ Hd) as (g0 & Hg0 & Hs0). destruct (i_gran _ I _ _ Hg0) as (P0 & A0 & _). destruct (i_zero _ I _ _ Hg0 Hs0) as (Z0 & _ & _).
  destruct (unfolded_frame rtt level (w_desc w) s ltac:(lia)) as (m & Eu & Hm & Hq & Hw). specialize (Hm (i_mem _ I)). specialize (Hw (i_mem _ I) Z0).
  pose proof (made_inv rd rtt ipa level w p s F El Nk Ha ltac:(lia) Hd m Hm Hq Hw) as H.
  destruct (has_state_inv _ _ _ (found_rtt _ _ _ _ _ F)) as (g2 & Hg2 & Hs2).
  assert (Nt : rtt <> w_table w) by (intros E; rewrite E, Hg2 in Hg0; injection Hg0 as ->; rewrite Hs2 in Hs0; discriminate).
  destruct (table_owner _ _ _ I (fd_place _ _ _ _ _ F)) as (_ & Ow & _). rewrite (fd_rd _ _ _ _ _ F) in Ow.
  assert (O2 : g_owner g2 = rd) by (unfold granule_at in Ow; by rewrite Hg2 in Ow).
  assert (R2 : refs_of (w_table w) s = g_refs g2) by (unfold refs_of, granule_at; by rewrite Hg2).
  assert (Le : 0 <= g_refs g2 <= 512).
  { destruct (t_gran _ _ _ (i_table _ I _ _ (fd_place _ _ _ _ _ F))) as (g & Hg & _ & _ & Hrf). rewrite Hg2 in Hg. injection Hg as <-. rewrite Hrf.
    unfold live_entries. pose proof (count_range (is_counted (p_level p)) (page (mem s) (w_table w))) as Cr.
    pose proof (page_ok (mem s) (w_table w) (i_mem _ I)) as Pl. unfold is_page in Pl. rewrite Pl in Cr. lia. }
  replace (table_made rd rtt ipa level w s) with (made rd rtt ipa level w s m); [exact H|]. clear H.
  unfold table_made, made. cbv zeta. rewrite Eu. unfold w_kind. rewrite El, R2. unfold entry_put, put_word. cbn [mem with_mem].
  destruct (kind (level - 1) (w_desc w) =? K_ASSIGNED).
  - unfold set_granule. cbn [gran with_mem with_gran]. f_equal. rewrite Z.mul_1_r.
    rewrite (insert_commute _ (w_table w) rtt) by congruence. rewrite (insert_id (gran s)); [reflexivity|].
    rewrite Hg2. f_equal. transitivity (Gran (g_state g2) (g_owner g2) (g_refs g2)); [by destruct g2|]. rewrite Hs2, O2. f_equal. lia.
  - unfold refs_added, with_refs, set_granule, refs_of, granule_at. cbn [gran places mem with_mem with_gran with_places].
    rewrite lookup_insert_ne by congruence. rewrite Hg2. cbn [default from_option id]. rewrite Hs2, O2, wrap_small by lia.
    rewrite Z.mul_0_r, Z.sub_0_r. reflexivity.
Qed.

Theorem rtt_created_inv rd rtt ipa level s : inv s -> idle s -> 0 <= ipa -> inv (snd (rtt_created rd rtt ipa level s)).
Proof.
  intros I (Hh & Hs & Hst) Hi. unfold rtt_created. destruct (has_state GS_RD rd s) eqn:Hr; [|exact I]. cbn [andb].
  destruct (claimable GS_DELEGATED rtt s) eqn:Hc; [|exact I]. apply andb_true_iff in Hc as [Hd _].
  pose proof (create_locked_inv rd rtt ipa level (locked rd s) (locked_open _ _ I Hr) Hi Hd) as H. rewrite create_locked_under in H. cbn [snd] in H.
  revert H. generalize (snd (create_locked rd rtt ipa level s)). intros s' H. by apply (inv_same (locked rd s')).
Qed.
Theorem rtt_created_idle rd rtt ipa level s : idle s -> idle (snd (rtt_created rd rtt ipa level s)).
Proof.
  intros (Hh & Hs & Hst). unfold rtt_created. destruct (_ && _); [|done].
  destruct (create_locked_rest rd rtt ipa level s Hh Hs Hst) as (K1 & K2 & K3). by split_and!.
Qed.
