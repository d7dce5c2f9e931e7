(* SPDX-License-Identifier: Apache-2.0 *)
(* A table of a realm goes: the invariant after RMI_RTT_DESTROY. *)
From kcore Require Export refine.LeafInv.
From kcore Require Export refine.RttDestroy.
Local Open Scope Z_scope.

Lemma leaf_kind level d : kind level d = K_ASSIGNED \/ kind level d = K_UNASSIGNED \/ kind level d = K_ASSIGNED_NS \/ kind level d = K_UNASSIGNED_NS ->
  is_table level d = false.
Proof.
  unfold kind. destruct (is_table level d); [|done]. intros [H|[H|[H|H]]]; discriminate.
Qed.
Lemma counted_leaf level d : is_table level d = false -> is_counted level d = (kind level d =? K_ASSIGNED).
Proof.
  intros H. unfold is_counted. replace (kind level d =? K_TABLE) with false; [done|]. symmetry. apply Z.eqb_neq.
  unfold kind. rewrite H. destruct (is_valid d), (has_ns_bit d), (has_assigned_bit d); discriminate.
Qed.

(* The entry above says what the table said, or the table said nothing that is counted. *)
Section gone.
  Context (rd ipa level : Z) (w : walked) (p : place) (s : state) (c d : Z).
  Context (x : gset Z) (g : gmap Z granule) (m : gmap Z (list Z)).
  Local Notation s3 := (with_cached x (with_gran g (with_mem m s))).
  Local Notation t := (w_table w).

  Record goes : Prop := Goes {
    go_child : child_of rd ipa level w p s c;
    go_cached : forall r, r ∈ x -> r ∈ cached s;
    go_mem : mem_ok m;
    go_words : words_u64 m;
    go_page : page m t = set_nth (page (mem s) t) (w_slot w) d;
    go_other : forall q, q <> t -> q <> rd -> page m q = page (mem s) q;
    go_told : forall f, In f rd_told -> word m rd (rd_word f 0) = rd_of s f rd;
    go_gran : forall q, q <> t ->
      match gran s !! q with
      | Some y => exists r, g !! q = Some (Gran (g_state y) (g_owner y) r) /\
                  (if g_state y =? GS_NS then r <= REFS_MAX else r = g_refs y)
      | None => g !! q = None
      end;
    go_table : g !! t = Some (Gran GS_RTT rd (refs_of t s - 1 + b2z (is_counted (w_level w) d)));
    go_below : forall j, 0 <= j < 512 -> is_table level (word (mem s) c j) = false;
    go_leaf : is_table (w_level w) d = false;
    go_entry : entry_ok s t p (floor_of (w_level w) ipa) d;
    go_maps : forall j y pa, maps s rd c j y pa -> kind (w_level w) d = K_ASSIGNED /\
      exists n, 0 <= n < size_of (w_level w) / 4096 /\ pa = out_addr d + n * 4096;
    go_back : kind (w_level w) d = K_ASSIGNED -> forall n, 0 <= n < size_of (w_level w) / 4096 ->
      exists j y, maps s rd c j y (out_addr d + n * 4096);
    go_pins : forall pa y z, is_ns (gran s) pa = true -> gran s !! pa = Some y -> g !! pa = Some z ->
      b2z (leaf_covers (w_level w) d pa) + g_refs y <= leaves_for pa level (page (mem s) c) + g_refs z;
  }.

  Context (G : goes).
  Local Notation C := (go_child G).

  Lemma gone_step : tree_step rd t p (w_slot w) d c s (scrubbed c s3).
  Proof using G.
    pose proof (ch_found _ _ _ _ _ _ _ C) as F. pose proof (found_inv _ _ _ _ _ F) as I.
    pose proof (fd_place _ _ _ _ _ F) as Pt. pose proof (fd_rd _ _ _ _ _ F) as Prd. pose proof (fd_level _ _ _ _ _ F) as El.
    pose proof (ch_place _ _ _ _ _ _ _ C) as Pc. pose proof (child_other _ _ _ _ _ _ _ C) as Nct.
    pose proof (child_not_rd _ _ _ _ _ _ _ C) as Ncr. pose proof (found_not_rd _ _ _ _ _ F) as Ntr.
    pose proof (fd_slot _ _ _ _ _ F) as Hi. pose proof (child_level _ _ _ _ _ _ _ C) as Hl.
    destruct (place_granule _ _ _ I Pc) as (Rc & Ac & Hrc).
    destruct (table_desc_ok c Rc Ac) as (Vc & Tc & Oc & _).
    assert (Ec : word (mem s) t (w_slot w) = table_desc c) by (rewrite (fd_desc _ _ _ _ _ F); exact (ch_desc _ _ _ _ _ _ _ C)).
    pose proof (ch_level _ _ _ _ _ _ _ C) as Lw.
    assert (Tt : is_table (w_level w) (table_desc c) = true) by (apply Tc; lia).
    destruct (child_rtt _ _ _ _ _ _ _ C) as [_ Hoc]. destruct (has_state_inv _ _ _ Hrc) as (gc & Hgc & Hsc).
    assert (Ogc : g_owner gc = rd) by (unfold granule_at in Hoc; by rewrite Hgc in Hoc).
    assert (Wt : word (mem (scrubbed c s3)) t (w_slot w) = d).
    { unfold word. cbn [mem scrubbed with_places set_granule with_gran put_page with_mem with_cached]. rewrite page_insert_other by done.
      rewrite (go_page G). apply nth_set_same; [apply page_ok, (i_mem _ I)|done]. }
    assert (Npl : places (scrubbed c s3) !! c = None) by (cbn [places scrubbed with_places]; by rewrite lookup_delete).
    assert (Ppl : forall q, q <> c -> places (scrubbed c s3) !! q = places s !! q).
    { intros q N. cbn [places scrubbed with_places]. by rewrite lookup_delete_ne. }
    assert (Gpl : forall q, q <> c -> gran (scrubbed c s3) !! q = g !! q).
    { intros q N. cbn [gran scrubbed with_places set_granule with_gran put_page with_mem with_cached]. by rewrite lookup_insert_ne. }
    assert (Gc : gran (scrubbed c s3) !! c = Some (Gran GS_DELEGATED 0 0)).
    { cbn [gran scrubbed with_places set_granule with_gran put_page with_mem with_cached]. by rewrite lookup_insert. }
    assert (Pg : forall q, q <> c -> page (mem (scrubbed c s3)) q = page m q).
    { intros q N. cbn [mem scrubbed with_places set_granule with_gran put_page with_mem with_cached]. by rewrite page_insert_other. }
    assert (Told : forall f, In f rd_told -> rd_of (scrubbed c s3) f rd = rd_of s f rd).
    { intros f Hf. rewrite <- (go_told G f Hf). unfold rd_of, rd_get, word. by rewrite Pg. }
    (* what is mapped at the entry, before and after *)
    assert (M0 : forall r y pa, ~ maps s r t (w_slot w) y pa).
    { intros r y pa [(q & Hq & _ & _ & Hk & _)]. rewrite Pt in Hq. injection Hq as <-. rewrite El, Ec in Hk. unfold kind in Hk. by rewrite Tt in Hk. }
    assert (M1 : forall n, kind (w_level w) d = K_ASSIGNED -> 0 <= n < size_of (w_level w) / 4096 ->
      near_maps rd t (w_slot w) c (scrubbed c s3) (out_addr d + n * 4096)).
    { intros n Hk Hn. exists t, (w_slot w). eexists. split; [by right|]. constructor. exists p. rewrite Ppl, Wt by done. rewrite El.
      split_and!; try done; try lia. exists n. split_and!; try lia; reflexivity. }
    assert (M2 : forall pa, near_maps rd t (w_slot w) c (scrubbed c s3) pa -> kind (w_level w) d = K_ASSIGNED /\
      exists n, 0 <= n < size_of (w_level w) / 4096 /\ pa = out_addr d + n * 4096).
    { intros pa (t' & i' & y & [->|[-> ->]] & [(q & Hq & _ & _ & Hk & n & Hn & _ & ->)]); [congruence|].
      rewrite Ppl, Pt in Hq by done. injection Hq as <-. rewrite Wt, El in *. split; [done|]. by exists n. }
    constructor; try done.
    - apply (go_cached G).
    - pose proof (i_scratch _ I) as (? & ? & ? & ? & ? & _). done.
    - intros q l. cbn [mem scrubbed with_places set_granule with_gran put_page with_mem with_cached].
      destruct (decide (c = q)) as [<-|Nq]; [rewrite lookup_insert; by intros [= <-]|rewrite lookup_insert_ne by done; apply (go_mem G)].
    - apply words_put; [apply (go_words G)|apply zero_words].
    - rewrite Pg by done. apply (go_page G).
    - rewrite Gpl, (go_table G), Pg, (go_page G), El by done. do 2 f_equal.
      rewrite live_step by (done || apply page_ok, (i_mem _ I)). fold (word (mem s) t (w_slot w)). rewrite Ec.
      destruct (t_gran _ _ _ (i_table _ I _ _ Pt)) as (y & Hy & _ & _ & Hr). unfold refs_of, granule_at. rewrite Hy. cbn [default from_option id].
      rewrite Hr, El. unfold is_counted at 2, kind at 1. rewrite Tt. cbn [Z.eqb orb b2z]. reflexivity.
    - rewrite El, (fd_base _ _ _ _ _ F). pose proof (go_entry G) as He. pose proof (go_leaf G) as Hd. revert He Hd. rewrite <- El. intros He Hd.
      assert (H1 : rd_of (scrubbed c s3) RD_ipa_size rd = rd_of s RD_ipa_size rd) by (apply Told; rd_told_in).
      assert (H2 : half_of (scrubbed c s3) rd = half_of s rd) by (unfold half_of; by rewrite H1).
      assert (Nc : forall q, (forall st, st = GS_DATA \/ st = GS_NS -> has_state st q s = true -> q <> c)).
      { intros q st Hst Hq ->. destruct (has_state_inv _ _ _ Hq) as (y & Hy & Hys). rewrite Hgc in Hy. injection Hy as <-. rewrite Hsc in Hys.
        destruct Hst as [->| ->]; discriminate. }
      assert (Nt : forall q, (forall st, st = GS_DATA \/ st = GS_NS -> has_state st q s = true -> q <> t)).
      { intros q st Hst Hq ->. destruct (has_state_inv _ _ _ Hq) as (y & Hy & Hys), (has_state_inv _ _ _ (found_rtt _ _ _ _ _ F)) as (z & Hz & Hzs).
        rewrite Hz in Hy. injection Hy as <-. rewrite Hzs in Hys. destruct Hst as [->| ->]; discriminate. }
      destruct He as [r H3 H4|q r H3 H4 H5 H6 H7 H8|H3|host H3 H4 H5 H6 H7|child H3 H4 H5|H3]; rewrite ?Prd in *.
      + constructor; rewrite ?Prd, ?H2; done.
      + apply E_assigned; rewrite ?Prd, ?H2; try done. intros n Hn. specialize (H8 n Hn).
        pose proof (own_state _ _ _ H8) as Ho. unfold own_data in *. rewrite Gpl by (apply (Nc _ GS_DATA); auto).
        pose proof (go_gran G (q + n * 4096) (Nt _ GS_DATA (or_introl eq_refl) Ho)) as Q. destruct (gran s !! (q + n * 4096)) as [y|]; [|done].
        destruct Q as (rr & -> & _). exact H8.
      + apply E_unassigned_ns; rewrite ?Prd, ?H1, ?H2; done.
      + apply E_assigned_ns; rewrite ?Prd, ?H1, ?H2; try done. intros n Hn. specialize (H7 n Hn). unfold is_ns in *.
        rewrite Gpl by (apply (Nc _ GS_NS); auto). pose proof (go_gran G (out_addr host + n * 4096) (Nt _ GS_NS (or_intror eq_refl) H7)) as Q.
        destruct (gran s !! (out_addr host + n * 4096)) as [y|]; [|done]. destruct Q as (rr & -> & _). exact H7.
      + destruct (place_granule _ _ _ I H5) as (P & A & _). destruct (table_desc_ok child P A) as (_ & T & _). rewrite T in Hd; done.
      + apply E_beyond; rewrite ?Prd, ?H1; done.
    - intros q N1 N2 N3. rewrite Pg by done. by apply (go_other G).
    - intros q N1 N2. rewrite Gpl by done. by apply (go_gran G).
    - unfold turns. rewrite (proj2 (Z.eqb_neq c 0)) by lia. exists gc. destruct (i_gran _ I _ _ Hgc) as (_ & _ & R). split; [exact Hgc|]. split; [exact R|].
      right. split; [left; exact Hsc|exact Ogc].
    - unfold turns. rewrite (proj2 (Z.eqb_neq c 0)) by lia. exists (Gran GS_DELEGATED 0 0). split; [exact Gc|]. cbn [g_state g_owner g_refs].
      split; [unfold REFS_MAX; lia|]. left. split_and!; try done.
      cbn [mem scrubbed with_places set_granule with_gran put_page with_mem with_cached]. by rewrite page_insert_same.
    - intros pc H. rewrite Pc in H. injection H as <-. rewrite El, (fd_base _ _ _ _ _ F), Lw. replace (level - 1 + 1) with level by lia.
      split; [done|]. apply (go_below G).
    - intros pc H. congruence.
    - unfold has_state. rewrite Gc. done.
    - intros pa H [(t' & i' & y & [->|[-> ->]] & M)| ->].
      + destruct (go_maps G _ _ _ M) as (Hk & n & Hn & ->). by apply M1.
      + by apply M0 in M.
      + unfold has_state in H. rewrite Gc in H. done.
    - intros pa M. left. destruct (M2 _ M) as (Hk & n & Hn & ->). destruct (go_back G Hk n Hn) as (j & y & M'). exists c, j, y. split; [by left|done].
    - intros t1 i1 y1 t2 i2 y2 pa N1 N2 Q1 Q2.
      assert (Z1 : forall t' i' y, near t (w_slot w) c t' i' -> maps (scrubbed c s3) rd t' i' y pa -> t' = t /\ i' = w_slot w).
      { intros t' i' y [->|N] [(q & Hq & _)]; [congruence|done]. }
      destruct (Z1 _ _ _ N1 Q1) as [-> ->], (Z1 _ _ _ N2 Q2) as [-> ->]. done.
    - unfold has_state. rewrite Hgc, Hsc. done.
    - intros pa Hn. assert (Npc : pa <> c) by (intros ->; unfold is_ns in Hn; rewrite Hgc, Hsc in Hn; done).
      assert (Pgq : forall q pq, places s !! q = Some pq -> q <> t -> q <> c -> page (mem (scrubbed c s3)) q = page (mem s) q).
      { intros q pq Hq N1 N2. rewrite Pg by done. apply (go_other G); [done|]. intros ->. destruct (place_granule _ _ _ I Hq) as (_ & _ & H).
        destruct (fd_open _ _ _ _ _ F) as [_ Hrd _]. destruct (has_state_inv _ _ _ H) as (y & Hy & Hys), (has_state_inv _ _ _ Hrd) as (z & Hz & Hzs).
        rewrite Hy in Hz. injection Hz as <-. rewrite Hys in Hzs. discriminate. }
      rewrite (uses_step s (scrubbed c s3) t p (w_slot w) d c pa (i_mem _ I) Pt Hi Nct (eq_trans (Pg t (not_eq_sym Nct)) (go_page G)) Ppl Pgq).
      rewrite Ec, El. unfold leaves_at. rewrite Npl, Pc. cbn [p_level].
      assert (L0 : leaf_covers (w_level w) (table_desc c) pa = false) by (unfold leaf_covers; by rewrite Tt, andb_false_r).
      rewrite L0. unfold refs_of, granule_at. rewrite Gpl by done.
      assert (Npt : pa <> t). { intros ->. unfold is_ns in Hn. destruct (has_state_inv _ _ _ (found_rtt _ _ _ _ _ F)) as (z & Hz & Hzs). rewrite Hz, Hzs in Hn. done. }
      pose proof (go_gran G pa Npt) as Q. pose proof (go_pins G pa) as Pn. pose proof Hn as Hn'. unfold is_ns in Hn'.
      destruct (gran s !! pa) as [y|] eqn:Hy; [|done]. destruct Q as (r & Hz & _). specialize (Pn y _ Hn eq_refl Hz). rewrite Hz.
      cbn [default from_option id b2z g_refs] in *. lia.
  Qed.
  Lemma gone_inv : inv (scrubbed c s3).
  Proof using G. eapply inv_tree; [|exact gone_step]. apply (found_inv _ _ _ _ _ (ch_found _ _ _ _ _ _ _ C)). Qed.
End gone.

(* ---- What is unpinned ---- *)

Lemma freed_less rd level t j pa s : refs_of pa (each_below j (ns_freed rd level t) s) <= refs_of pa s.
Proof.
  induction j as [|j IH]; [rewrite each_below_0; lia|]. rewrite each_below_S. generalize dependent (each_below j (ns_freed rd level t) s).
  intros s1 IH. unfold ns_freed. destruct (_ =? _); [|done]. change (refs_of pa (shared_added rd ?k ?y)) with (refs_of pa y).
  rewrite drops_refs by (destruct (pages_cases level) as [-> | ->]; lia). unfold b2z. destruct (among _ _ _); lia.
Qed.
Lemma freed_words rd level t j s : words_u64 (mem s) -> words_u64 (mem (each_below j (ns_freed rd level t) s)).
Proof.
  intros H. induction j as [|j IH]; [by rewrite each_below_0|]. rewrite each_below_S. generalize dependent (each_below j (ns_freed rd level t) s).
  intros s1 IH. unfold ns_freed. destruct (_ =? _); [|done].
  destruct (pins_dropped_rest (out_addr (word (mem s1) t (Z.of_nat j))) (Z.to_nat (pages_at level)) s1) as [g ->].
  apply words_set; [exact IH|]. apply Z.mod_pos_bound. lia.
Qed.

Lemma freed_rest rd level t j s : exists g m, each_below j (ns_freed rd level t) s = with_gran g (with_mem m s).
Proof.
  induction j as [|j (g & m & IH)]; [exists (gran s), (mem s); rewrite each_below_0; by destruct s|]. rewrite each_below_S, IH.
  unfold ns_freed. destruct (_ =? _); [|eauto].
  destruct (pins_dropped_rest (out_addr (word (mem (with_gran g (with_mem m s))) t (Z.of_nat j))) (Z.to_nat (pages_at level)) (with_gran g (with_mem m s))) as [g' ->].
  eexists _, _. reflexivity.
Qed.

(* ---- RMI_RTT_DESTROY ---- *)

Lemma wrap_less n : 1 <= n < 2 ^ 64 -> wrap U64 (n + (2 ^ 64 - 1)) = n - 1.
Proof. intros H. unfold wrap. change (2 ^ 64) with 18446744073709551616 in *. replace (n + _) with (n - 1 + 1 * 18446744073709551616) by lia.
  rewrite Z.mod_add, Z.mod_small; lia. Qed.
(* A table that counts nothing has none below, and no page of the realm's. *)
Lemma uncounted s c pc j : inv s -> places s !! c = Some pc -> refs_of c s = 0 -> 0 <= j < 512 -> is_counted (p_level pc) (word (mem s) c j) = false.
Proof.
  intros I Hp H0 Hj. destruct (t_gran _ _ _ (i_table _ I _ _ Hp)) as (g & Hg & _ & _ & Hr). unfold refs_of, granule_at in H0.
  rewrite Hg in H0. cbn [default from_option id] in H0. rewrite H0 in Hr. symmetry in Hr. unfold live_entries in Hr.
  rewrite count_none in Hr. apply Hr. apply elem_of_list_lookup. exists (Z.to_nat j). apply page_word; [apply (i_mem _ I)|done].
Qed.

Theorem destroy_locked_inv rd ipa level s : open_realm rd s -> staled s = [] -> 0 <= ipa ->
  inv (snd (destroy_locked rd ipa level s)).
Proof.
  intros O Hst Hi. pose proof O as [I Hr _]. unfold destroy_locked.
  destruct (table_possible rd ipa level s) eqn:Hp; cbn [negb]; [|exact I]. destruct (possible_facts _ _ _ _ Hp) as (Hle & Hb & Ha).
  destruct (walk_found rd ipa (level - 1) s O ltac:(lia)) as (p & F). set (w := walk rd ipa (level - 1) s) in *.
  destruct (table_there level w) eqn:Ht; cbn [negb]; [|exact I]. apply andb_true_iff in Ht as [El%Z.eqb_eq Ek%Z.eqb_eq].
  pose proof (child_found _ _ _ _ _ _ F El Ek) as C. set (c := out_addr (w_desc w)) in *.
  destruct (Z.eqb_spec (refs_of c s) 0) as [E0|]; cbn [negb]; [|exact I]. cbn [snd].
  set (f := entry_freed rd ipa s). unfold table_gone. fold c.
  pose proof (ch_place _ _ _ _ _ _ _ C) as Pc. pose proof (child_other _ _ _ _ _ _ _ C) as Nct.
  pose proof (child_not_rd _ _ _ _ _ _ _ C) as Ncr. pose proof (found_not_rd _ _ _ _ _ F) as Ntr. pose proof (child_level _ _ _ _ _ _ _ C) as Hl.
  pose proof (child_counted _ _ _ _ _ _ _ C) as Hcnt.
  pose proof (changed_refs _ _ (2 ^ 64 - 1) _ _ (changed_put _ _ _ _ _ f (rd_of s RD_vmid rd) F Hst)) as E2.
  destruct (gone_drops _ _ _ _ _ _ _ _ _ C E2) as [_ U]. pose proof (gone_counted _ _ _ _ _ _ _ _ _ C E2) as NC.
  pose proof (gone_page _ _ _ _ E2) as P2.
  set (s2 := refs_added (w_table w) (2 ^ 64 - 1) (uncached (rd_of s RD_vmid rd) (entry_put w f s))) in *.
  assert (W2 : words_u64 (mem s2)).
  { apply words_set; [exact (i_words _ I)|]. unfold f, entry_freed. destruct (in_par rd ipa s); vm_compute; (split; [discriminate|reflexivity]). }
  assert (M2 : mem_ok (mem s2)) by (apply set_word_ok, (i_mem _ I)).
  destruct (ns_dropped_unpinned rd level c s2 ltac:(lia) M2 (fun i _ => W2 c i) Ncr NC) as [_ R].
  pose proof (fun pa => freed_less rd level c 512 pa s2) as Less. pose proof (freed_words rd level c 512 s2 W2) as W3.
  fold (ns_dropped rd level c s2) in W3. change (each_below 512 (ns_freed rd level c) s2) with (ns_dropped rd level c s2) in Less.
  generalize dependent (ns_dropped rd level c s2). intros s3 U R Less W3.
  assert (E3 : s3 = with_cached (cached s2) (with_gran (gran s3) (with_mem (mem s3) s))).
  { rewrite (un_rest _ _ _ U) at 1. reflexivity. }
  rewrite E3. set (x := cached s2) in *.
  assert (Vf : is_valid f = false) by (unfold f, entry_freed; destruct (in_par rd ipa s); reflexivity).
  assert (Kf : kind (w_level w) f = K_UNASSIGNED \/ kind (w_level w) f = K_UNASSIGNED_NS).
  { unfold f, entry_freed. destruct (in_par rd ipa s); [left|right].
    - by destruct (unassigned_facts (w_level w) RIPAS_DESTROYED) as (_ & _ & K & _).
    - by destruct (unassigned_ns_facts (w_level w)) as (_ & _ & K). }
  assert (Tf : is_table (w_level w) f = false) by (apply leaf_kind; tauto).
  assert (Cf : is_counted (w_level w) f = false) by (rewrite counted_leaf by done; by destruct Kf as [-> | ->]).
  assert (Unc : forall j, 0 <= j < 512 -> is_counted level (word (mem s) c j) = false).
  { intros j Hj. apply (uncounted s c _ j I Pc E0 Hj). }
  apply (gone_inv rd ipa level w p s c f x (gran s3) (mem s3)). constructor.
  - exact C.
  - intros r Hx. unfold x in Hx. change (cached s2) with (base.filter (fun r => runs_no_more (entry_put w f s) (rd_of s RD_vmid rd) r = false) (cached s)) in Hx.
    by apply elem_of_filter in Hx as [_ Hx].
  - by apply (un_mem _ _ _ U).
  - exact W3.
  - rewrite (un_page _ _ _ U) by done. rewrite (ec_mem _ _ _ _ E2). unfold set_word. by rewrite page_insert_same.
  - intros q N1 N2. rewrite (un_page _ _ _ U) by done. by apply P2.
  - intros h Hh. change (word (mem s3) rd (rd_word h 0)) with (rd_of s3 h rd). rewrite (un_rd _ _ _ U).
    + unfold rd_of, rd_get. rewrite (ec_mem _ _ _ _ E2). by rewrite word_set_page.
    + intros ->. unfold rd_told in Hh. simpl in Hh. intuition discriminate.
  - intros q N. pose proof (un_gran _ _ _ U q) as Q. rewrite (ec_gran _ _ _ _ E2) in Q by done.
    destruct (gran s !! q) as [y|] eqn:Hy; [|exact Q]. destruct Q as [r Q]. exists r. split; [exact Q|].
    destruct (i_gran _ I _ _ Hy) as (_ & _ & Ry). specialize (Less q). unfold refs_of, granule_at in Less. rewrite Q, (ec_gran _ _ _ _ E2), Hy in Less by done.
    cbn [default from_option id g_refs] in Less. destruct (Z.eqb_spec (g_state y) GS_NS) as [|Ns]; [lia|].
    pose proof (un_other _ _ _ U q) as Q2. rewrite (ec_gran _ _ _ _ E2), Hy, Q in Q2 by done.
    assert (Nn : is_ns (gran s2) q = false) by (unfold is_ns; rewrite (ec_gran _ _ _ _ E2), Hy by done; by apply Z.eqb_neq).
    specialize (Q2 Nn). by injection Q2 as <-.
  - rewrite Cf. cbn [b2z]. destruct (has_state_inv _ _ _ (found_rtt _ _ _ _ _ F)) as (y & Hy & Hys).
    assert (G2 : gran s2 !! w_table w = Some (Gran GS_RTT rd (refs_of (w_table w) s - 1 + 0))).
    { unfold s2, refs_added, with_refs, set_granule. cbn [gran with_gran]. rewrite lookup_insert.
      change (refs_of (w_table w) (uncached _ _)) with (refs_of (w_table w) s). change (granule_at (uncached _ _) (w_table w)) with (granule_at s (w_table w)).
      rewrite wrap_less by (unfold REFS_MAX in *; lia). destruct (table_owner _ _ _ I (fd_place _ _ _ _ _ F)) as (_ & Ow & _).
      rewrite Ow, (fd_rd _ _ _ _ _ F). unfold granule_at. rewrite Hy. cbn [default from_option id]. rewrite Hys. do 2 f_equal. lia. }
    rewrite <- G2. apply (un_other _ _ _ U). unfold is_ns. by rewrite G2.
  - intros j Hj. specialize (Unc j Hj). unfold is_counted in Unc. apply orb_false_iff in Unc as [Q _]. unfold kind in Q.
    destruct (is_table level (word (mem s) c j)); [done|reflexivity].
  - exact Tf.
  - rewrite El. unfold f, entry_freed, in_par. change (rd_get RD_ipa_size rd 0 s / 2) with (half_of s rd). rewrite (floor_aligned _ _ Ha).
    destruct (Z.ltb_spec ipa (half_of s rd)).
    + apply E_unassigned; [done|]. by rewrite (fd_rd _ _ _ _ _ F).
    + apply E_unassigned_ns. by rewrite (fd_rd _ _ _ _ _ F).
  - intros j y pa [(q & Hq & _ & Hj & Hk & _)]. rewrite Pc in Hq. injection Hq as <-. cbn [p_level] in Hk. exfalso.
    specialize (Unc j Hj). unfold is_counted in Unc. rewrite Hk in Unc. discriminate.
  - intros H. destruct Kf as [K|K]; rewrite K in H; discriminate.
  - intros pa y z Hn Hy Hz. specialize (R pa).
    assert (Npt : pa <> w_table w). { intros ->. unfold is_ns in Hn. destruct (has_state_inv _ _ _ (found_rtt _ _ _ _ _ F)) as (q & Hq & Hqs). rewrite Hq, Hqs in Hn. done. }
    unfold refs_of, granule_at in R. rewrite Hz, (ec_gran _ _ _ _ E2), Hy in R by done. cbn [default from_option id] in R.
    rewrite P2 in R by done. unfold leaf_covers. rewrite Vf. cbn [andb b2z]. lia.
Qed.

Theorem rtt_destroyed_inv rd ipa level s : inv s -> idle s -> 0 <= ipa -> inv (snd (rtt_destroyed rd ipa level s)).
Proof.
  intros I (Hh & Hs & Hst) Hi. unfold rtt_destroyed. destruct (has_state GS_RD rd s) eqn:Hr; [|exact I].
  pose proof (destroy_locked_inv rd ipa level (locked rd s) (locked_open _ _ I Hr) Hst Hi) as H. rewrite destroy_locked_under in H. cbn [snd] in H.
  revert H. generalize (snd (destroy_locked rd ipa level s)). intros s' H. by apply (inv_same (locked rd s')).
Qed.
Theorem rtt_destroyed_idle rd ipa level s : idle s -> idle (snd (rtt_destroyed rd ipa level s)).
Proof.
  intros H. unfold rtt_destroyed, destroy_locked. destruct (has_state GS_RD rd s); [|exact H].
  destruct (negb _); [exact H|]. destruct (negb _); [exact H|]. destruct (negb _); [exact H|]. cbn [snd]. unfold table_gone, ns_dropped.
  destruct (freed_rest rd level (out_addr (w_desc (walk rd ipa (level - 1) s))) 512
    (refs_added (w_table (walk rd ipa (level - 1) s)) (2 ^ 64 - 1)
       (uncached (rd_of s RD_vmid rd) (entry_put (walk rd ipa (level - 1) s) (entry_freed rd ipa s) s)))) as (g & m & ->).
  exact H.
Qed.
