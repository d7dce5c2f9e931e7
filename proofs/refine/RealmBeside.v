(* SPDX-License-Identifier: Apache-2.0 *)
(* The invariant when a realm appears or goes: what it says of all that is not this realm's stays. *)
From kcore Require Export refine.HostInv.
Local Open Scope Z_scope.

Definition granule_same (g h : option granule) : Prop :=
  match g, h with
  | Some a, Some b => g_state a = g_state b /\ g_owner a = g_owner b /\ (g_state a = GS_NS \/ g_refs a = g_refs b)
  | None, None => True
  | _, _ => False
  end.
(* An RD, a table, or nobody's. *)
Definition built (g : option granule) : Prop :=
  exists a, g = Some a /\ (g_state a = GS_RD \/ g_state a = GS_RTT \/ g_state a = GS_DELEGATED).

(* Two states that differ in one realm's RD and tables (mine), and in pins. *)
Record beside (mine : Z -> bool) (x y : state) : Prop := Beside {
  b_hw : hw y = hw x;
  b_holes : holes y = holes x;
  b_gran : forall q, mine q = false -> granule_same (gran x !! q) (gran y !! q);
  b_mine : forall q, mine q = true -> built (gran x !! q) /\ built (gran y !! q);
  b_page : forall q, mine q = false -> page (mem y) q = page (mem x) q;
  b_places : forall q, mine q = false -> places y !! q = places x !! q;
  b_closed : forall q p, places x !! q = Some p -> mine (p_rd p) = mine q;
  b_closed' : forall q p, places y !! q = Some p -> mine (p_rd p) = mine q;
}.
Lemma granule_same_sym g h : granule_same g h -> granule_same h g.
Proof.
  unfold granule_same. destruct g as [a|], h as [b|]; try done. intros (E1 & E2 & E3).
  split_and!; [done..|]. destruct E3 as [E3|E3]; [left; congruence|by right].
Qed.
Lemma beside_sym mine x y : beside mine x y -> beside mine y x.
Proof.
  intros [B1 B2 B3 B4 B5 B6 B7 B8]. constructor; try done.
  - intros q Hq. by apply granule_same_sym, B3.
  - intros q Hq. split; apply B4, Hq.
  - intros q Hq. symmetry. by apply B5.
  - intros q Hq. symmetry. by apply B6.
Qed.

Section beside.
  Context (mine : Z -> bool) (x y : state) (B : beside mine x y).

  Lemma built_not st g : built g -> st = GS_NS \/ st = GS_REC \/ st = GS_DATA \/ st = GS_CORE ->
    match g with Some a => g_state a =? st | None => false end = false.
  Proof using. intros (a & -> & Ha) Hst. apply Z.eqb_neq. destruct Ha as [-> | [-> | ->]], Hst as [-> | [-> | [-> | ->]]]; done. Qed.
  Lemma mine_not st q : mine q = true -> st = GS_NS \/ st = GS_REC \/ st = GS_DATA \/ st = GS_CORE ->
    has_state st q x = false /\ has_state st q y = false.
  Proof using B. intros Hq Hst. destruct (b_mine _ _ _ B q Hq) as [H1 H2]. split; by apply built_not. Qed.
  Lemma b_state st q : mine q = false -> has_state st q y = has_state st q x.
  Proof using B.
    intros Hq. pose proof (b_gran _ _ _ B q Hq) as G. unfold has_state, granule_same in *.
    destruct (gran x !! q), (gran y !! q); try done. destruct G as (-> & _). done.
  Qed.
  Lemma not_mine st q : has_state st q x = true -> st = GS_NS \/ st = GS_REC \/ st = GS_DATA \/ st = GS_CORE -> mine q = false.
  Proof using B. intros H Hst. destruct (mine q) eqn:E; [|done]. destruct (mine_not st q E Hst) as [E' _]. congruence. Qed.
  Lemma b_ns q : is_ns (gran y) q = is_ns (gran x) q.
  Proof using B.
    destruct (mine q) eqn:E.
    - destruct (mine_not GS_NS q E ltac:(auto)) as [H1 H2]. unfold has_state, is_ns in *. by rewrite H1, H2.
    - exact (b_state GS_NS q E).
  Qed.
  Lemma b_data rd q : own_data y rd q = own_data x rd q.
  Proof using B.
    unfold own_data. destruct (mine q) eqn:E.
    - destruct (mine_not GS_DATA q E ltac:(auto)) as [H1 H2]. unfold has_state in *.
      destruct (gran x !! q), (gran y !! q); rewrite ?H1, ?H2; done.
    - pose proof (b_gran _ _ _ B q E) as G. unfold granule_same in G. destruct (gran x !! q), (gran y !! q); try done.
      destruct G as (-> & -> & _). done.
  Qed.
  Lemma b_word q i : mine q = false -> word (mem y) q i = word (mem x) q i.
  Proof using B. intros H. unfold word. by rewrite (b_page _ _ _ B). Qed.
  Lemma b_rd f rd : mine rd = false -> rd_of y f rd = rd_of x f rd.
  Proof using B. apply b_word. Qed.
  Lemma b_rec f rec : mine rec = false -> rec_of y f rec = rec_of x f rec.
  Proof using B. apply b_word. Qed.
  Lemma b_half rd : mine rd = false -> half_of y rd = half_of x rd.
  Proof using B. intros. unfold half_of. by rewrite b_rd. Qed.
  Lemma b_sum (f f' : Z -> granule -> Z) :
    (forall q g, mine q = true -> built (Some g) -> f q g = 0 /\ f' q g = 0) ->
    (forall q g g', mine q = false -> granule_same (Some g) (Some g') -> f' q g' = f q g) ->
    sum_map f' (gran y) = sum_map f (gran x).
  Proof using B.
    intros H1 H2. apply sum_agree. intros q. unfold term. destruct (mine q) eqn:E.
    - destruct (b_mine _ _ _ B q E) as [(a & Ha & Hb) (a' & Ha' & Hb')]. rewrite Ha, Ha'.
      rewrite (proj2 (H1 q a' E ltac:(exists a'; auto))), (proj1 (H1 q a E ltac:(exists a; auto))). done.
    - pose proof (b_gran _ _ _ B q E) as G. destruct (gran x !! q), (gran y !! q); try done. by apply H2.
  Qed.
  Lemma built_no_rec g : built (Some g) -> (g_state g =? GS_REC) = false.
  Proof using. intros H. exact (built_not GS_REC (Some g) H ltac:(auto)). Qed.
  Lemma b_runs pa : runs_on y pa = runs_on x pa.
  Proof using B.
    apply b_sum.
    - intros q g E Hg. unfold run_page_of. by rewrite built_no_rec.
    - intros q g g' E (G & _). unfold run_page_of. by rewrite <- G, !b_rec.
  Qed.
  Lemma b_recs rd : recs_of y rd = recs_of x rd.
  Proof using B.
    apply b_sum.
    - intros q g E Hg. by rewrite built_no_rec.
    - intros q g g' E (G & G' & _). by rewrite <- G, <- G'.
  Qed.

  Lemma b_entry t p ipa d : mine t = false -> mine (p_rd p) = false -> entry_ok x t p ipa d -> entry_ok y t p ipa d.
  Proof using B.
    intros Ht Hr H. destruct H as [r H Hh|q r H Hh Hl Hq Hqa Hd|Hh|host Hh Hl Hok Hw Hd|child Hh Hl Hchild|Hh].
    - constructor; [done|]. by rewrite b_half.
    - constructor; try done; [by rewrite b_half|]. intros. rewrite b_data. by apply Hd.
    - constructor. by rewrite b_half, b_rd.
    - constructor; try done; [by rewrite b_half, b_rd|]. intros n Hn. rewrite b_ns. by apply Hd.
    - constructor; [by rewrite b_rd|done|]. rewrite (b_places _ _ _ B); [done|].
      rewrite <- (b_closed _ _ _ B _ _ Hchild). exact Hr.
    - constructor. by rewrite b_rd.
  Qed.
  Lemma b_table t p : mine t = false -> places x !! t = Some p -> table_stands x t p -> table_stands y t p.
  Proof using B.
    intros Ht Hp [(g & Hg & Hs & Hown & Hrefs) Hrd Hlev Hbase Hstart Hbelow Hent].
    assert (Hr : mine (p_rd p) = false) by (by rewrite (b_closed _ _ _ B _ _ Hp)).
    constructor.
    - pose proof (b_gran _ _ _ B t Ht) as G. rewrite Hg in G. unfold granule_same in G. destruct (gran y !! t) as [g'|]; [|done].
      destruct G as (G1 & G2 & G3). exists g'. rewrite (b_page _ _ _ B) by done.
      split_and!; try congruence. destruct G3 as [G3|G3]; [rewrite Hs in G3; discriminate|congruence].
    - by rewrite b_state.
    - by rewrite b_rd.
    - by rewrite b_rd.
    - by rewrite !b_rd.
    - intros N. destruct (Hbelow N) as (b & pp & E & R & W). exists b, pp.
      assert (Hpar : mine (p_parent p) = false) by (rewrite <- (b_closed _ _ _ B _ _ E); exact Hr).
      rewrite (b_places _ _ _ B), b_word by done. done.
    - intros i Hi. rewrite b_word by done. apply b_entry; auto.
  Qed.
  Lemma b_maps rd t i ipa pa : mine t = false -> maps x rd t i ipa pa -> maps y rd t i ipa pa.
  Proof using B.
    intros Ht [(p & Hp & Hr & Hi & Hk & Hn)]. constructor. exists p. rewrite (b_places _ _ _ B), b_word by done. done.
  Qed.
  Lemma b_rec_ok rec rd : mine rec = false -> mine rd = false -> rec_ok x rec rd -> rec_ok y rec rd.
  Proof using B.
    intros Hc Hr [[C1 C1'] C2 C3 C4 C5 C6 C7]. constructor.
    - by rewrite b_rec, b_state.
    - unfold rec_agrees in *. rewrite !(b_word rec) by done.
      assert (E : word (mem x) rec (rec_off REC_rd) = rd) by (rewrite <- C1; reflexivity). rewrite E in *.
      rewrite !(b_word rd), !b_state by done.
      pose proof (b_gran _ _ _ B rec Hc) as G. unfold granule_at, granule_same in *.
      destruct (gran x !! rec), (gran y !! rec); try done. destruct G as (_ & G & _). cbn [default from_option id] in *. by rewrite <- G.
    - by rewrite !b_rec, b_ns.
    - by rewrite b_rec, b_rd.
    - by rewrite !b_rec, b_half.
    - by rewrite !b_rec, b_half.
    - rewrite !b_rec by done. unfold token_total, token_of. by rewrite (b_hw _ _ _ B), (b_page _ _ _ B).
  Qed.
  Lemma b_realm rd : mine rd = false -> rd_of x RD_vmid rd ∈ vmids y -> realm_ok x rd -> realm_ok y rd.
  Proof using B.
    intros Hr Hv [R1 R2 R3 R4 R5 R6 R7 R8 R9 R10]. constructor; rewrite ?b_rd, ?b_recs by done; try done.
    intros n Hn. specialize (R6 n Hn). rewrite (b_places _ _ _ B); [done|]. by rewrite <- (b_closed _ _ _ B _ _ R6).
  Qed.

  (* ---- The host's side ---- *)

  Context (I : inv x).
  Lemma b_tracked q : is_Some (gran y !! q) <-> is_Some (gran x !! q).
  Proof using B.
    destruct (mine q) eqn:E.
    - destruct (b_mine _ _ _ B q E) as [(a & -> & _) (a' & -> & _)]. split; eauto.
    - pose proof (b_gran _ _ _ B q E) as G. unfold granule_same in G. destruct (gran x !! q), (gran y !! q); try done; split; eauto.
  Qed.
  Lemma b_region base : region (gran y) base -> region (gran x) base.
  Proof using B. intros (A & P & i & Hi & Hs). split_and!; try done; try apply P. exists i. split; [done|]. by apply b_tracked. Qed.
  Lemma b_role t r g : role_of (hw x) t = Some r -> gran y !! t = Some g -> g_state g = GS_CORE /\ mine t = false.
  Proof using B I.
    intros Hr Hg. assert (E : mine t = false).
    { destruct (mine t) eqn:E; [|done]. destruct (b_mine _ _ _ B t E) as [(a & Ha & Hs) _].
      rewrite (i_host _ I _ _ _ Ha Hr) in Hs. by destruct Hs as [Hs|[Hs|Hs]]. }
    split; [|done]. pose proof (b_gran _ _ _ B t E) as G. rewrite Hg in G. unfold granule_same in G.
    destruct (gran x !! t) as [a|] eqn:Ha; [|done]. rewrite <- (proj1 G). by apply (i_host _ I _ _ _ Ha Hr).
  Qed.
  Lemma b_host_page t r : role_of (hw x) t = Some r -> page (mem y) t = page (mem x) t.
  Proof using B I.
    intros Hr. apply (b_page _ _ _ B). destruct (mine t) eqn:E; [|done]. destruct (b_mine _ _ _ B t E) as [_ (a & Ha & _)].
    destruct (b_role t r a Hr Ha) as [_ E']. congruence.
  Qed.
  Lemma b_table_ok t r : table_ok (hw x) (gran x) t r -> table_ok (hw x) (gran y) t r.
  Proof using B I. intros (P & A & R & _). split_and!; try done; try apply P. intros g Hg. by apply (b_role t r g R). Qed.
  Lemma b_wired base : wired (hw x) (gran x) base -> wired (hw x) (gran y) base.
  Proof using B I. intros []. constructor; auto using b_table_ok. Qed.
  Lemma b_hole_count base : hole_count (gran y) base = hole_count (gran x) base.
  Proof using B. unfold hole_count, hole_list. do 2 f_equal. apply List.filter_ext. intros i. by rewrite b_ns. Qed.
  Lemma b_mapped base : wired (hw x) (gran x) base -> mapped (hw x) (gran x) (mem x) (holes x) base ->
    mapped (hw x) (gran y) (mem y) (holes x) base.
  Proof using B I.
    intros [_ W1 W2 W3 WS1 WS2 _] [M1 M2 M3 M4 M5 M6].
    assert (T : forall t r i, table_ok (hw x) (gran x) t r -> word (mem y) t i = word (mem x) t i).
    { intros t r i (_ & _ & R & _). unfold word. by rewrite (b_host_page t r). }
    constructor; rewrite ?b_hole_count.
    - by rewrite (T _ _ _ W1).
    - by rewrite (T _ _ _ W2).
    - intros i Hi. rewrite (T _ _ _ W3), b_ns. by apply M3.
    - intros N. rewrite (T _ _ _ (WS1 N)). by apply M4.
    - intros N. rewrite (T _ _ _ (WS2 N)). by apply M5.
    - exact M6.
  Qed.

  (* ---- All of it ---- *)

  (* What is left to be said of what is this realm's, of pins and of scratch. *)
  Record own_part : Prop := OwnPart {
    n_mem : mem_ok (mem y);
    n_words : words_u64 (mem y);
    n_refs : forall q g, gran y !! q = Some g -> 0 <= g_refs g <= REFS_MAX;
    n_scratch : page_words (params y) /\ page_words (run y) /\ page_words (hash_page y) /\
        length (digest y) = 8%nat /\ Forall u64 (digest y) /\ Forall u64 (live y);
    n_zero : forall q g, mine q = true -> gran y !! q = Some g -> g_state g = GS_DELEGATED ->
        page (mem y) q = zero_page /\ g_owner g = 0 /\ g_refs g = 0;
    n_apart : forall q g, gran x !! q = Some g -> mine q = false -> g_owner g <> 0 -> mine (g_owner g) = false;
    n_owner : forall q g, mine q = true -> gran y !! q = Some g ->
        if g_state g =? GS_RTT then g_owner g <> 0 /\ has_state GS_RD (g_owner g) y = true else g_owner g = 0;
    n_vmids : forall rd, mine rd = false -> has_state GS_RD rd x = true -> rd_of x RD_vmid rd ∈ vmids y;
    n_realm : forall rd, mine rd = true -> has_state GS_RD rd y = true -> realm_ok y rd;
    n_vmid : forall rd rd', mine rd = true -> has_state GS_RD rd y = true -> has_state GS_RD rd' y = true ->
        rd_of y RD_vmid rd = rd_of y RD_vmid rd' -> rd = rd';
    n_table : forall t p, mine t = true -> places y !! t = Some p -> table_stands y t p;
    n_placed : forall t, mine t = true -> has_state GS_RTT t y = true -> is_Some (places y !! t);
    n_maps : forall rd t i ipa pa, mine t = true -> ~ maps y rd t i ipa pa;
    n_pins : forall pa, is_ns (gran y) pa = true -> uses y pa + runs_on x pa <= g_refs (granule_at y pa);
    n_cached : forall rd, rd ∈ cached y -> has_state GS_RD rd y = true;
    n_runs : runs y = runs x /\ loaded y = loaded x /\ live y = live x;
  }.

  Theorem inv_beside : own_part -> inv y.
  Proof using B I.
    intros N. pose proof (b_hw _ _ _ B) as Eh. pose proof (b_holes _ _ _ B) as Eo.
    assert (Old : forall q g, gran y !! q = Some g -> mine q = false -> exists h, gran x !! q = Some h /\
      g_state h = g_state g /\ g_owner h = g_owner g /\ (g_state h = GS_NS \/ g_refs h = g_refs g)).
    { intros q g Hg E. pose proof (b_gran _ _ _ B q E) as G. rewrite Hg in G. unfold granule_same in G.
      destruct (gran x !! q) as [h|]; [|done]. exists h. done. }
    assert (Free : forall q g st, gran y !! q = Some g -> g_state g = st ->
      st = GS_NS \/ st = GS_REC \/ st = GS_DATA \/ st = GS_CORE -> mine q = false).
    { intros q g st Hg Hs Hst. destruct (mine q) eqn:E; [|done]. destruct (mine_not st q E Hst) as [_ H].
      unfold has_state in H. rewrite Hg, Hs, Z.eqb_refl in H. done. }
    constructor.
    - apply (n_mem N).
    - intros q g Hg. destruct (b_tracked q) as [T _]. destruct T as [h Hh]; [eauto|].
      destruct (i_gran _ I _ _ Hh) as (P & A & _). split_and!; try lia; apply (n_refs N _ _ Hg).
    - intros base Hb%b_region. rewrite Eh. by apply b_wired, (i_wired _ I).
    - intros base Hb%b_region. rewrite Eh, Eo. apply b_mapped; [by apply (i_wired _ I)|by apply (i_mapped _ I)].
    - intros q g Hg Hs. destruct (mine q) eqn:E; [by apply (n_zero N)|].
      destruct (Old q g Hg E) as (h & Hh & E1 & E2 & E3). rewrite (b_page _ _ _ B) by done.
      destruct (i_zero _ I _ _ Hh ltac:(congruence)) as (Z1 & Z2 & Z3).
      split_and!; try congruence. destruct E3 as [E3|E3]; [rewrite E1, Hs in E3; discriminate|congruence].
    - rewrite Eh. apply (i_hw _ I).
    - apply (n_words N).
    - apply (n_scratch N).
    - intros q g r Hg Hr. rewrite Eh in Hr. by apply (b_role q r g).
    - intros q g Hg. destruct (mine q) eqn:E.
      + pose proof (n_owner N q g E Hg) as O. destruct (b_mine _ _ _ B q E) as [_ (a & Ha & Hs)]. rewrite Hg in Ha. injection Ha as <-.
        destruct Hs as [Hs|[Hs|Hs]]; rewrite Hs in *; exact O.
      + destruct (Old q g Hg E) as (h & Hh & E1 & E2 & _). pose proof (i_owner _ I _ _ Hh) as O. rewrite E1, E2 in O.
        destruct ((g_state g =? GS_REC) || (g_state g =? GS_RTT) || (g_state g =? GS_DATA)); [|done].
        destruct O as [O1 O2]. split; [done|]. rewrite b_state; [done|]. rewrite <- E2 in O1 |- *. by apply (n_apart N q h).
    - intros rd H. destruct (mine rd) eqn:E; [by apply (n_realm N)|]. rewrite b_state in H by done.
      apply b_realm; [done|by apply (n_vmids N)|by apply (i_realm _ I)].
    - intros rd rd' H H' Ev. destruct (mine rd) eqn:E; [by apply (n_vmid N)|].
      destruct (mine rd') eqn:E'; [symmetry; by apply (n_vmid N)|]. rewrite b_state in H, H' by done.
      rewrite !b_rd in Ev by done. by apply (i_vmid _ I).
    - intros rec g Hg Hs. pose proof (Free rec g GS_REC Hg Hs ltac:(auto)) as E.
      destruct (Old rec g Hg E) as (h & Hh & E1 & E2 & _). rewrite <- E2.
      pose proof (i_rec _ I _ _ Hh ltac:(congruence)) as C. apply b_rec_ok; [done| |done].
      pose proof (i_owner _ I _ _ Hh) as O. rewrite E1, Hs in O. apply (n_apart N rec h); [done..|apply O].
    - intros t p Hp. destruct (mine t) eqn:E; [by apply (n_table N)|]. rewrite (b_places _ _ _ B) in Hp by done.
      apply b_table; [done..|by apply (i_table _ I)].
    - intros t H. destruct (mine t) eqn:E; [by apply (n_placed N)|]. rewrite (b_places _ _ _ B) by done.
      rewrite b_state in H by done. by apply (i_placed _ I).
    - intros pa g Hg Hs. pose proof (Free pa g GS_DATA Hg Hs ltac:(auto)) as E.
      destruct (Old pa g Hg E) as (h & Hh & E1 & E2 & _). rewrite <- E2.
      destruct (i_data _ I _ _ Hh ltac:(congruence)) as (t & i & ipa & M). exists t, i, ipa. apply b_maps; [|done].
      destruct M as [(p & Hp & Hr & _)]. rewrite <- (b_closed _ _ _ B _ _ Hp), Hr.
      pose proof (i_owner _ I _ _ Hh) as O. rewrite E1, Hs in O. apply (n_apart N pa h); [done..|apply O].
    - assert (Back : forall rd t i ipa pa, maps y rd t i ipa pa -> maps x rd t i ipa pa).
      { intros rd t i ipa pa M. destruct (mine t) eqn:E; [by apply (n_maps N) in M|].
        destruct M as [(p & Hp & Hr & Hi & Hk & Hn)]. constructor. exists p.
        rewrite (b_places _ _ _ B) in Hp by done. rewrite b_word in Hk, Hn by done. done. }
      intros rd rd' t t' i i' ipa ipa' pa M M'. apply Back in M, M'. by apply (i_once _ I _ _ _ _ _ _ _ _ _ M M').
    - intros pa H. rewrite b_runs. by apply (n_pins N).
    - apply (n_cached N).
    - destruct (n_runs N) as (-> & _ & _). intros R. destruct (i_runs _ I R) as [R1 R2].
      pose proof (not_mine GS_REC _ R1 ltac:(auto)) as E. by rewrite b_state, b_rec.
    - destruct (n_runs N) as (-> & -> & ->). apply (i_loaded _ I).
  Qed.
End beside.
