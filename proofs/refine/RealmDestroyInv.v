(* SPDX-License-Identifier: Apache-2.0 *)
(* RMI_REALM_DESTROY leaves the invariant as it found it. *)
From kcore Require Export refine.RealmBeside.
From kcore Require Import refine.RealmDestroyRefine.
From kcore Require Import refine.RttFill.
From kcore Require Import refine.RecInv.
Local Open Scope Z_scope.

(* ---- Pins go down, and words stay words ---- *)

Lemma unpinned_le p s q : refs_of q (page_unpinned p s) <= refs_of q s.
Proof.
  unfold refs_of, page_unpinned, with_refs, set_granule, granule_at. cbn [gran with_gran].
  destruct (decide (p = q)) as [->|N]; [rewrite lookup_insert; cbn [default from_option id g_refs]; lia|]. by rewrite lookup_insert_ne.
Qed.
Lemma pins_le n base s q : refs_of q (pins_dropped n base s) <= refs_of q s.
Proof.
  unfold pins_dropped. induction n as [|n IH]; [by rewrite each_below_0|]. rewrite each_below_S.
  etransitivity; [apply unpinned_le|exact IH].
Qed.
Lemma dropped_le rd level t s q : refs_of q (ns_dropped rd level t s) <= refs_of q s.
Proof.
  unfold ns_dropped. generalize 512%nat. induction n as [|n IH]; [by rewrite each_below_0|]. rewrite each_below_S.
  etransitivity; [|exact IH]. generalize (each_below n (ns_freed rd level t) s). intros y. unfold ns_freed. destruct (_ =? _); [|done].
  assert (E : forall k z, refs_of q (shared_added rd k z) = refs_of q z) by reflexivity. rewrite E. apply pins_le.
Qed.
Lemma pins_mem n base s : mem (pins_dropped n base s) = mem s.
Proof. unfold pins_dropped. by apply (each_same n _ mem). Qed.
Lemma dropped_words rd level t s : words_u64 (mem s) -> words_u64 (mem (ns_dropped rd level t s)).
Proof.
  intros H. unfold ns_dropped. generalize 512%nat. induction n as [|n IH]; [by rewrite each_below_0|]. rewrite each_below_S.
  revert IH. generalize (each_below n (ns_freed rd level t) s). intros y IH. unfold ns_freed. destruct (_ =? _); [|done].
  assert (E : forall k z, words_u64 (mem z) -> words_u64 (mem (shared_added rd k z))).
  { intros k z Hz. unfold shared_added, rd_set, put_word. cbn [mem with_mem]. apply words_set; [exact Hz|apply u64_wrap]. }
  apply E. by rewrite pins_mem.
Qed.

Section destroy.
  Context (rd : Z) (s : state) (I : inv s) (Hr : has_state GS_RD rd s = true) (Hh : holds (LGranule rd) s = true)
    (Hst : staled s = []) (U : realm_unused rd s = true).
  Notation base := (rd_of s RD_rtt_base rd).
  Notation level := (rd_of s RD_start_level rd).
  Notation num := (rd_of s RD_num_start rd).
  Notation vmid := (rd_of s RD_vmid rd).
  Notation c := (cached (uncached vmid s)).
  Notation gone := (gone rd s).

  Lemma no_recs : rd_of s RD_rec_count rd = 0.
  Proof using U. apply andb_true_iff in U as [H%Z.eqb_eq _]. exact H. Qed.
  Lemma not_cached : rd ∉ c.
  Proof using U.
    unfold uncached. cbn [cached with_cached]. rewrite elem_of_filter. intros [E _]. unfold runs_no_more, has_vmid in E.
    change (word (mem s) rd (rd_off RD_vmid)) with vmid in E.
    change (word (mem s) rd (rd_off RD_rec_count)) with (rd_of s RD_rec_count rd) in E.
    rewrite Z.eqb_refl, no_recs in E. discriminate.
  Qed.
  Lemma cached_less r : r ∈ c -> r ∈ cached s.
  Proof using. unfold uncached. cbn [cached with_cached]. by intros [_ H]%elem_of_filter. Qed.

  (* ---- It has nothing but its RD and its start tables ---- *)

  Lemma start_at t : 0 <= t < num -> places s !! (base + t * 4096) = Some (Place rd level (t * span level) 0).
  Proof using I Hr. apply (r_tables _ _ (i_realm _ I _ Hr)). Qed.
  Lemma start_empty t i : 0 <= t < num -> 0 <= i < 512 -> is_counted level (word (mem s) (base + t * 4096) i) = false.
  Proof using I Hr U.
    intros Ht Hi. apply andb_true_iff in U as [_ E%Z.eqb_eq].
    assert (G : forall n, (n <= Z.to_nat num)%nat -> 0 <= start_refs rd s n /\
      (start_refs rd s n = 0 -> forall t, 0 <= t < Z.of_nat n -> refs_of (base + t * 4096) s = 0)).
    { induction n as [|n IH]; intros Hn; [split; [unfold start_refs; cbn; lia|intros; lia]|]. rewrite start_refs_S.
      destruct (IH ltac:(lia)) as [P Q]. destruct (t_gran _ _ _ (i_table _ I _ _ (start_at (Z.of_nat n) ltac:(lia)))) as (g & Hg & _).
      destruct (i_gran _ I _ _ Hg) as (_ & _ & R). assert (Er : refs_of (base + Z.of_nat n * 4096) s = g_refs g).
      { unfold refs_of, granule_at. by rewrite Hg. }
      rewrite Er. split; [lia|]. intros E0 t' Ht'. destruct (decide (t' = Z.of_nat n)) as [->|N]; [lia|]. apply Q; lia. }
    destruct (G _ (Nat.le_refl _)) as [_ Q]. specialize (Q E t ltac:(lia)).
    destruct (t_gran _ _ _ (i_table _ I _ _ (start_at t Ht))) as (g & Hg & _ & _ & Hl). cbn [p_level] in Hl.
    unfold refs_of, granule_at in Q. rewrite Hg in Q. cbn [default from_option id] in Q. rewrite Q in Hl. symmetry in Hl.
    apply (proj1 (count_none _ _) Hl). apply elem_of_list_lookup. exists (Z.to_nat i). by apply page_word; [apply (i_mem _ I)|].
  Qed.
  Lemma only_start q p : places s !! q = Some p -> p_rd p = rd -> gone (Z.to_nat num) q = true.
  Proof using I Hr U.
    remember (Z.to_nat (p_level p - level)) as k eqn:Hk. revert q p Hk. induction k as [k IH] using lt_wf_ind. intros q p Hk Hp Er.
    destruct (i_table _ I _ _ Hp) as [_ _ Hl _ Hs Hb _]. rewrite Er in *. destruct (place_granule _ _ _ I Hp) as (Pq & Aq & _).
    destruct (decide (p_parent p = 0)) as [E0|N0].
    - destruct (Hs E0) as (_ & Hn & _). destruct (i_realm _ I _ Hr) as [_ _ _ _ (_ & Hba) _ _ _ _ _].
      apply gone_spec. exists ((q - base) / 4096). split; [lia|].
      assert (base mod 4096 = 0).
      { apply Z.mod_divide in Hba as [j Hj]; [|lia]. rewrite Hj. apply Z.mod_divide; [lia|]. exists (j * num). lia. }
      Z.to_euclidean_division_equations; lia.
    - destruct (Hb N0) as (b & pp & Hpp & _ & Hw). exfalso.
      pose proof (t_level _ _ _ (i_table _ I _ _ Hpp)) as Hl2. cbn [p_rd p_level] in Hl2.
      pose proof (IH (Z.to_nat (p_level p - 1 - level)) ltac:(lia) (p_parent p) (Place rd (p_level p - 1) b pp) eq_refl Hpp eq_refl) as G.
      apply gone_spec in G as (t & Ht & Et). rewrite Et in *. rewrite (start_at t ltac:(lia)) in Hpp. injection Hpp as El _ _.
      pose proof (start_empty t (slot_of (p_level p - 1) (p_base p)) ltac:(lia) (slot_range _ _)) as C. rewrite Hw in C.
      destruct (table_desc_ok q Pq Aq) as (_ & T & _). unfold is_counted, kind in C. rewrite T in C; [discriminate|lia].
  Qed.

  (* ---- Its tables go ---- *)

  Record freed (n : nat) (z : state) : Prop := Freed {
    f_same : forall q g, gran s !! q = Some g -> gone n q = false -> g_state g <> GS_NS -> gran z !! q = Some g;
    f_le : forall q, refs_of q z <= refs_of q s;
    f_gone : forall q, gone n q = true -> gran z !! q = Some (Gran GS_DELEGATED 0 0) /\ page (mem z) q = zero_page;
    f_uses : forall pa, is_ns (gran s) pa = true -> uses z pa + runs_on s pa <= refs_of pa z;
    f_words : words_u64 (mem z);
  }.
  Notation after n := (start_freed rd level base n (with_cached c s)).

  Lemma freed_all n : (n <= Z.to_nat num)%nat -> freed n (after n).
  Proof using I Hr Hh Hst U.
    induction n as [|n IH]; intros Hn.
    - unfold start_freed. rewrite each_below_0. constructor; try done.
      + intros pa H. exact (i_pins _ I _ H).
      + exact (i_words _ I).
    - specialize (IH ltac:(lia)). pose proof (freeing_all rd c s I Hr Hh Hst not_cached cached_less n ltac:(lia)) as F.
      destruct (freeing_step rd c s I Hr Hh not_cached cached_less n (after n) ltac:(lia) F) as ((_ & _ & Hne & Hw & C) & _ & _).
      unfold start_freed in *. rewrite each_below_S. set (z := each_below n _ (with_cached c s)) in *. clearbody z.
      set (t := base + Z.of_nat n * 4096) in *. pose proof (start_at (Z.of_nat n) ltac:(lia)) as Hp. fold t in Hp.
      destruct (place_granule _ _ _ I Hp) as (Pt & _ & Ht).
      assert (Hg : gone n t = false).
      { destruct (gone n t) eqn:E; [|done]. apply gone_spec in E as (j & Hj & E). unfold t in E. lia. }
      assert (Hrd : gone n rd = false) by (apply (gone_rtt rd s I Hr); [lia|by apply rd_not_rtt]).
      assert (Hp' : places z !! t = Some (Place rd level (Z.of_nat n * span level) 0)) by (by rewrite (fr_places _ _ _ _ _ F), Hg).
      destruct (i_realm _ I _ Hr) as [_ _ (Hlev & _) _ _ _ _ _ _].
      destruct (ns_dropped_unpinned rd level t z ltac:(lia) (fr_mem _ _ _ _ _ F) Hw Hne C) as [V R].
      destruct (unpinned_same _ _ _ V) as (_ & _ & _ & Up & _). pose proof (dropped_le rd level t z) as Le.
      pose proof (dropped_words rd level t z (f_words _ _ IH)) as Dw.
      set (z1 := ns_dropped rd level t z) in *. clearbody z1.
      assert (G : forall q, gran (scrubbed t z1) !! q = if t =? q then Some (Gran GS_DELEGATED 0 0) else gran z1 !! q).
      { intros q. cbn [gran scrubbed with_places set_granule with_gran put_page with_mem].
        destruct (Z.eqb_spec t q) as [<-|N]; [by rewrite lookup_insert|by rewrite lookup_insert_ne]. }
      assert (Pg : forall q, page (mem (scrubbed t z1)) q = if t =? q then zero_page else page (mem z1) q).
      { intros q. cbn [mem scrubbed with_places set_granule with_gran put_page with_mem].
        destruct (Z.eqb_spec t q) as [<-|N]; [by rewrite page_insert_same|by rewrite page_insert_other]. }
      assert (Er : forall q, t <> q -> refs_of q (scrubbed t z1) = refs_of q z1).
      { intros q N%Z.eqb_neq. unfold refs_of, granule_at. by rewrite G, N. }
      constructor.
      + intros q g Hq. rewrite gone_S. fold t. intros [E N]%orb_false_iff Hs. rewrite G, N.
        pose proof (f_same _ _ IH q g Hq E Hs) as Hz. rewrite (un_other _ _ _ V); [done|]. unfold is_ns. rewrite Hz. by apply Z.eqb_neq.
      + intros q. destruct (decide (t = q)) as [<-|N].
        * unfold refs_of at 1, granule_at. rewrite G, Z.eqb_refl. cbn [default from_option id g_refs].
          destruct (has_state_inv _ _ _ Ht) as (g & Hgt & _). unfold refs_of, granule_at. rewrite Hgt. by apply (i_gran _ I _ _ Hgt).
        * rewrite Er by done. etransitivity; [apply Le|apply (f_le _ _ IH)].
      + intros q. rewrite gone_S. fold t. rewrite G, Pg. destruct (Z.eqb_spec t q) as [<-|N]; [done|]. rewrite orb_false_r. intros E.
        destruct (f_gone _ _ IH q E) as [Q1 Q2]. rewrite (un_other _ _ _ V) by (unfold is_ns; by rewrite Q1).
        rewrite (un_page _ _ _ V); [done|]. intros ->. congruence.
      + intros pa Hns. pose proof (f_uses _ _ IH pa Hns) as Q. specialize (R pa).
        assert (Npa : t <> pa) by (intros <-; apply ns_not_rtt in Hns; congruence).
        rewrite Er by done. unfold uses in *. rewrite (sum_delete _ _ _ _ Hp') in Q. cbn [p_level] in Q.
        cbn [places scrubbed with_places]. rewrite Up.
        rewrite (sum_ext _ (fun t p => leaves_for pa (p_level p) (page (mem z) t))); [lia|].
        intros q p Hq. apply lookup_delete_Some in Hq as [Nq Hq]. rewrite Pg, (proj2 (Z.eqb_neq _ _) Nq).
        rewrite (un_page _ _ _ V); [done|]. intros ->. rewrite (fr_places _ _ _ _ _ F), Hrd in Hq.
        destruct (place_granule _ _ _ I Hq) as (_ & _ & H). by rewrite (rd_not_rtt rd s Hr) in H.
      + cbn [mem scrubbed with_places set_granule with_gran put_page with_mem]. apply words_put; [exact Dw|apply zero_words].
  Qed.

  (* ---- And its RD ---- *)

  Notation N := (Z.to_nat num).
  Definition mine (q : Z) : bool := (q =? rd) || gone N q.

  Lemma realm_gone_inv : inv (realm_gone rd s).
  Proof using I Hr Hh Hst U.
    pose proof (freed_all N (Nat.le_refl _)) as D. pose proof (freeing_all rd c s I Hr Hh Hst not_cached cached_less N (Nat.le_refl _)) as F.
    assert (Same : forall (A : Type) (g : state -> A), (forall m x, g (with_mem m x) = g x) -> (forall m x, g (with_gran m x) = g x) ->
      (forall m x, g (with_places m x) = g x) -> g (after N) = g (with_cached c s)) by (intros; by apply start_freed_same).
    pose proof (Same _ holes ltac:(done) ltac:(done) ltac:(done)) as E1. pose proof (Same _ vmids ltac:(done) ltac:(done) ltac:(done)) as E2.
    pose proof (Same _ params ltac:(done) ltac:(done) ltac:(done)) as E3. pose proof (Same _ run ltac:(done) ltac:(done) ltac:(done)) as E4.
    pose proof (Same _ hash_page ltac:(done) ltac:(done) ltac:(done)) as E5. pose proof (Same _ digest ltac:(done) ltac:(done) ltac:(done)) as E6.
    pose proof (Same _ live ltac:(done) ltac:(done) ltac:(done)) as E7. pose proof (Same _ runs ltac:(done) ltac:(done) ltac:(done)) as E8.
    pose proof (Same _ loaded ltac:(done) ltac:(done) ltac:(done)) as E9. clear Same.
    destruct (fr_rest _ _ _ _ _ F) as (E10 & _ & _ & E11). unfold realm_gone.
    assert (Ec : uncached vmid s = with_cached c s) by reflexivity. rewrite Ec.
    generalize dependent (after N). intros z D F E1 E2 E3 E4 E5 E6 E7 E8 E9 E10 E11. set (y := scrubbed rd _).
    assert (Gy : forall q, gran y !! q = if rd =? q then Some (Gran GS_DELEGATED 0 0) else gran z !! q).
    { intros q. change (gran y) with (<[rd := Gran GS_DELEGATED 0 0]> (gran z)).
      destruct (Z.eqb_spec rd q) as [<-|Nq]; [by rewrite lookup_insert|by rewrite lookup_insert_ne]. }
    assert (My : mem y = <[rd := zero_page]> (mem z)) by reflexivity.
    assert (Ply : places y = delete rd (places z)) by reflexivity.
    destruct (has_state_inv _ _ _ Hr) as (gr & Hgr & Hgrs).
    assert (Grtt : forall q, gone N q = true -> has_state GS_RTT q s = true).
    { intros q (t & Ht & ->)%gone_spec. by destruct (place_granule _ _ _ I (start_at t ltac:(lia))) as (_ & _ & ?). }
    assert (Nrd : gone N rd = false) by (apply (gone_rtt rd s I Hr); [lia|by apply rd_not_rtt]).
    assert (Mf : forall q, mine q = false -> q <> rd /\ gone N q = false).
    { intros q [H1%Z.eqb_neq H2]%orb_false_iff. done. }
    assert (Mrd : forall q, has_state GS_RD q s = true -> mine q = (q =? rd)).
    { intros q H. unfold mine. rewrite (gone_rtt rd s I Hr); [apply orb_false_r|lia|]. unfold has_state in *. destruct (gran s !! q); [|done].
      apply Z.eqb_eq in H. by rewrite H. }
    assert (Mt : forall q p, places s !! q = Some p -> mine q = gone N q).
    { intros q p Hq. unfold mine. destruct (Z.eqb_spec q rd) as [->|]; [|done]. destruct (place_granule _ _ _ I Hq) as (_ & _ & H).
      by rewrite (rd_not_rtt rd s Hr) in H. }
    assert (Dy : forall q, mine q = true -> gran y !! q = Some (Gran GS_DELEGATED 0 0) /\ page (mem y) q = zero_page).
    { intros q H. rewrite Gy, My. destruct (Z.eqb_spec rd q) as [<-|Nq]; [by rewrite page_insert_same|].
      rewrite page_insert_other by done. apply (f_gone _ _ D). unfold mine in H. by rewrite (proj2 (Z.eqb_neq q rd)) in H by congruence. }
    assert (Fy : forall q, mine q = false -> gran y !! q = gran z !! q /\ page (mem y) q = page (mem s) q /\ places y !! q = places s !! q).
    { intros q H. destruct (Mf q H) as [H1 H2]. rewrite Gy, My, Ply, (proj2 (Z.eqb_neq rd q)) by congruence.
      rewrite page_insert_other, lookup_delete_ne by congruence. rewrite (fr_places _ _ _ _ _ F), H2. split_and!; try done.
      by apply (fr_page _ _ _ _ _ F). }
    assert (Pnone : forall q, mine q = true -> places y !! q = None).
    { intros q H. rewrite Ply. destruct (decide (rd = q)) as [<-|Nq]; [apply lookup_delete|]. rewrite lookup_delete_ne by done.
      rewrite (fr_places _ _ _ _ _ F). unfold mine in H. rewrite (proj2 (Z.eqb_neq q rd)) in H by congruence. cbn [orb] in H. by rewrite H. }
    assert (Cl : forall q p, places s !! q = Some p -> mine (p_rd p) = mine q).
    { intros q p Hq. pose proof (t_rd _ _ _ (i_table _ I _ _ Hq)) as H. rewrite (Mrd _ H), (Mt _ _ Hq).
      destruct (Z.eqb_spec (p_rd p) rd) as [E|Nq]; [symmetry; by apply (only_start q p)|].
      destruct (gone N q) eqn:E; [|done]. apply gone_spec in E as (t & Ht & ->). rewrite (start_at t ltac:(lia)) in Hq. by injection Hq as <-. }
    assert (B : beside mine s y).
    { constructor; try done.
      - intros q H. destruct (Fy q H) as (-> & _). destruct (Mf q H) as [_ H2]. pose proof (fr_gran _ _ _ _ _ F q H2) as G.
        destruct (gran s !! q) as [g|] eqn:Hq; [|by rewrite G]. destruct (decide (g_state g = GS_NS)) as [Hs|Hs].
        + destruct G as [r ->]. cbn. auto.
        + rewrite (f_same _ _ D q g Hq H2 Hs). cbn. auto.
      - intros q H. split; [|exists (Gran GS_DELEGATED 0 0); destruct (Dy q H) as [-> _]; auto].
        unfold mine in H. apply orb_true_iff in H as [->%Z.eqb_eq|H]; [exists gr; auto|].
        destruct (has_state_inv _ _ _ (Grtt q H)) as (g & Hq & Hs). exists g. auto.
      - intros q H. by destruct (Fy q H) as (_ & -> & _).
      - intros q H. by destruct (Fy q H) as (_ & _ & ->).
      - intros q p Hq. destruct (mine q) eqn:E; [by rewrite Pnone in Hq|]. destruct (Fy q E) as (_ & _ & Ep). rewrite Ep in Hq.
        rewrite <- E. by apply Cl. }
    apply (inv_beside mine s y B I). pose proof (i_scratch _ I) as (S1 & S2 & S3 & S4 & S5 & S6).
    assert (NsR : forall pa, is_ns (gran s) pa = true -> pa <> rd).
    { intros pa H ->. unfold is_ns in H. by rewrite Hgr, Hgrs in H. }
    constructor.
    - rewrite My. intros p l. destruct (decide (rd = p)) as [<-|Np]; [rewrite lookup_insert; by intros [= <-]|].
      rewrite lookup_insert_ne by done. apply (fr_mem _ _ _ _ _ F).
    - rewrite My. apply words_put; [apply (f_words _ _ D)|apply zero_words].
    - intros q g Hq. destruct (mine q) eqn:E; [destruct (Dy q E) as [Eq _]; rewrite Eq in Hq; injection Hq as <-; cbn; unfold REFS_MAX; lia|].
      destruct (Fy q E) as (Eq & _). rewrite Eq in Hq. destruct (Mf q E) as [_ H2]. pose proof (fr_gran _ _ _ _ _ F q H2) as G.
      destruct (gran s !! q) as [g0|] eqn:Hs0; [|congruence]. destruct (i_gran _ I _ _ Hs0) as (_ & _ & R).
      pose proof (f_le _ _ D q) as L. assert (Rz : refs_of q z = g_refs g) by (unfold refs_of, granule_at; by rewrite Hq).
      assert (Rs : refs_of q s = g_refs g0) by (unfold refs_of, granule_at; by rewrite Hs0). rewrite Rz, Rs in L. split; [|lia].
      destruct (decide (g_state g0 = GS_NS)) as [Hs|Hs].
      + assert (Hns : is_ns (gran s) q = true) by (unfold is_ns; by rewrite Hs0, Hs).
        pose proof (f_uses _ _ D q Hns) as Q. rewrite Rz in Q. pose proof (uses_nonneg z q). pose proof (runs_nonneg s q). lia.
      + rewrite (f_same _ _ D q g0 Hs0 H2 Hs) in Hq. injection Hq as <-. lia.
    - change (params y) with (params z). change (run y) with (run z). change (hash_page y) with (hash_page z).
      change (digest y) with (digest z). change (live y) with (live z). rewrite E3, E4, E5, E6, E7. done.
    - intros q g E Hq _. destruct (Dy q E) as [Eq Ez]. rewrite Eq in Hq. injection Hq as <-. done.
    - intros q g Hq E No. destruct (mine (g_owner g)) eqn:Em; [|done]. exfalso. pose proof (i_owner _ I _ _ Hq) as O.
      destruct ((g_state g =? GS_REC) || (g_state g =? GS_RTT) || (g_state g =? GS_DATA)) eqn:Es; [|done]. destruct O as [_ O].
      rewrite (Mrd _ O) in Em. apply Z.eqb_eq in Em. apply orb_true_iff in Es as [[Es%Z.eqb_eq|Es%Z.eqb_eq]%orb_true_iff|Es%Z.eqb_eq].
      + destruct (i_realm _ I _ Hr) as [_ _ _ _ _ _ _ (Rc & _) _ _]. rewrite no_recs in Rc.
        pose proof (sum_term (fun _ g => b2z ((g_state g =? GS_REC) && (g_owner g =? rd))) (gran s) q g) as T. cbn beta in T.
        unfold recs_of in Rc. rewrite <- Rc, Es, Em, !Z.eqb_refl in T. cbn in T. specialize (T ltac:(intros; unfold b2z; destruct (_ && _); lia) Hq). lia.
      + destruct (i_placed _ I q) as [p Hp]; [by eapply has_state_intro|]. destruct (t_gran _ _ _ (i_table _ I _ _ Hp)) as (g' & Hg' & _ & Ho & _).
        assert (p_rd p = rd) by congruence. rewrite (Mt _ _ Hp), (only_start q p) in E by done. discriminate.
      + destruct (i_data _ I _ _ Hq Es) as (t & i & ipa & [(p & Hp & Hpr & Hi & Hk & _)]).
        assert (p_rd p = rd) by congruence. pose proof (only_start t p Hp ltac:(done)) as G. apply gone_spec in G as (j & Hj & ->).
        pose proof (start_empty j i ltac:(lia) Hi) as C. rewrite (start_at j ltac:(lia)) in Hp. injection Hp as <-. cbn [p_level] in Hk.
        unfold is_counted in C. rewrite Hk in C. discriminate.
    - intros q g E Hq. destruct (Dy q E) as [Eq _]. rewrite Eq in Hq. by injection Hq as <-.
    - intros r E H. change (vmids y) with (vmids z ∖ {[vmid]}). rewrite E2. destruct (Mf r E) as [Nr _].
      apply elem_of_difference. split; [exact (r_vmid _ _ (i_realm _ I _ H))|]. rewrite elem_of_singleton. intros Ev.
      apply Nr. by apply (i_vmid _ I).
    - intros r E H. destruct (Dy r E) as [Eq _]. unfold has_state in H. by rewrite Eq in H.
    - intros r r' E H. destruct (Dy r E) as [Eq _]. unfold has_state in H. by rewrite Eq in H.
    - intros t p E Hp. by rewrite Pnone in Hp.
    - intros t E H. destruct (Dy t E) as [Eq _]. unfold has_state in H. by rewrite Eq in H.
    - intros r t i ipa pa E [(p & Hp & _)]. by rewrite Pnone in Hp.
    - intros pa Hn. rewrite (b_ns mine s y B) in Hn. pose proof (f_uses _ _ D pa Hn) as Q. pose proof (NsR pa Hn) as Np.
      assert (Er : g_refs (granule_at y pa) = refs_of pa z).
      { unfold refs_of, granule_at. by rewrite Gy, (proj2 (Z.eqb_neq rd pa)) by congruence. }
      rewrite Er. assert (Eu : uses y pa = uses z pa); [|by rewrite Eu].
      assert (Pz : places z !! rd = None) by (by rewrite (fr_places _ _ _ _ _ F), Nrd, (not_placed s rd I (rd_not_rtt rd s Hr))).
      unfold uses. rewrite Ply, delete_notin by done. apply sum_ext. intros t p Hp. rewrite My, page_insert_other; [done|]. congruence.
    - intros r H. change (cached y) with (cached z) in H. rewrite E11 in H. pose proof (i_cached _ I _ (cached_less r H)) as Hs.
      assert (r <> rd) by (intros ->; by apply not_cached).
      rewrite (b_state mine s y B); [done|]. rewrite (Mrd _ Hs). by apply Z.eqb_neq.
    - change (runs y) with (runs z). change (loaded y) with (loaded z). change (live y) with (live z). by rewrite E7, E8, E9.
  Qed.
End destroy.

Lemma gone_locked rd s : realm_gone rd (locked rd s) = locked rd (realm_gone rd s).
Proof.
  unfold realm_gone. change (rd_of (locked rd s) ?f rd) with (rd_of s f rd).
  change (uncached (rd_of s RD_vmid rd) (locked rd s)) with (locked rd (uncached (rd_of s RD_vmid rd) s)).
  rewrite start_freed_locked. reflexivity.
Qed.

Theorem destroy_realm_inv rd s : inv s -> idle s -> inv (snd (destroy_realm rd s)).
Proof.
  intros I (_ & _ & Hst). unfold destroy_realm. destruct (has_state GS_RD rd s) eqn:Hr; [|exact I]. cbn [negb].
  destruct (realm_unused rd s) eqn:U; [|exact I]. cbn [negb snd].
  assert (J : inv (realm_gone rd (locked rd s))).
  { apply realm_gone_inv; [by apply (inv_same s)|exact Hr|unfold holds; cbn; by rewrite Z.eqb_refl|exact Hst|exact U]. }
  rewrite gone_locked in J. generalize dependent (realm_gone rd s). intros y J. by apply (inv_same (locked rd y)).
Qed.
Theorem destroy_realm_idle rd s : idle s -> idle (snd (destroy_realm rd s)).
Proof.
  intros (D1 & D2 & D3). unfold destroy_realm. destruct (negb _); [done|]. destruct (negb _); [done|]. cbn [snd]. unfold realm_gone.
  match goal with |- context [start_freed ?r ?l ?b ?n ?x] => destruct (start_freed_rest r l b n x) as (K1 & K2 & K3); generalize dependent (start_freed r l b n x) end.
  intros z K1 K2 K3. split; [exact (eq_trans K1 D1)|]. split; [exact (eq_trans K2 D2)|exact (eq_trans K3 D3)].
Qed.
