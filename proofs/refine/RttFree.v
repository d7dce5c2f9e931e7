(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: giving the start tables back. *)
From kcore Require Export refine.RttDrop.
From kcore Require Export refine.ScrubFacts.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* What tables of realms say of a table's granule: no leaf maps it. So it is reached only where it stands. *)
Lemma rtt_uncovered s pa t p i : inv s -> has_state GS_RTT pa s = true -> places s !! t = Some p -> 0 <= i < 512 ->
  leaf_covers (p_level p) (word (mem s) t i) pa = false.
Proof.
  intros I Hr Hp Hi. destruct (leaf_covers _ _ _) eqn:E; [|done]. exfalso.
  pose proof (uses_entry s t p i pa (i_mem _ I) Hp Hi E) as U. destruct (has_state_inv _ _ _ Hr) as (g & Hg & Hs).
  destruct (i_gran _ I _ _ Hg) as (_ & Ha & _). rewrite uses_free in U; try done.
  - unfold is_ns. by rewrite Hg, Hs.
  - intros rd. unfold own_data. by rewrite Hg, Hs.
Qed.
Lemma rtt_unreached s s' pa : inv s -> has_state GS_RTT pa s = true -> staled s' = [] -> mem_ok (mem s') -> pa ∉ cached s' ->
  (forall t p, places s' !! t = Some p -> places s !! t = Some p /\ forall i, 0 <= i < 512 ->
     word (mem s') t i = word (mem s) t i \/ leaf_covers (p_level p) (word (mem s') t i) pa = false) ->
  match places s' !! pa with
  | Some p => if p_parent p =? 0 then p_rd p ∉ cached s' else stands s' pa p = false
  | None => True
  end ->
  no_realm_reaches s' pa = true.
Proof.
  intros I Hr Hst Hm Hnc Hp Hs. unfold no_realm_reaches. rewrite (had_none _ _ Hst), bool_decide_eq_false_2 by exact Hnc. cbn [andb negb].
  apply andb_true_iff. split.
  - apply negb_true_iff, existsb_false. intros [t p] Hin%places_In. unfold mapped_by. cbn [fst snd].
    destruct (existsb _ _) eqn:E; [|apply andb_false_r]. exfalso.
    apply existsb_exists in E as (d & Hin'%elem_of_list_In & Hc).
    apply elem_of_list_lookup in Hin' as [i Hi]. apply page_lookup in Hi as [Hi ->]; [|done].
    destruct (Hp _ _ Hin) as [Hp0 Hd]. destruct (Hd (Z.of_nat i) ltac:(lia)) as [Ed|Ed]; [|congruence].
    rewrite Ed, (rtt_uncovered s) in Hc; done || lia.
  - destruct (places s' !! pa) as [p|]; [|done]. destruct (p_parent p =? 0); apply negb_true_iff.
    + by apply bool_decide_eq_false.
    + exact Hs.
Qed.

(* An entry of a realm's table that maps the host's pages. *)
Lemma entry_shares s t p i n : inv s -> places s !! t = Some p -> 0 <= i < 512 ->
  kind (p_level p) (word (mem s) t i) = K_ASSIGNED_NS -> 0 <= n < pages_at (p_level p) ->
  2 <= p_level p <= 3 /\ half_of s (p_rd p) <= p_base p + i * size_of (p_level p) /\
  is_ns (gran s) (out_addr (word (mem s) t i) + n * 4096) = true.
Proof.
  intros I Hp Hi Hk Hn. destruct (i_table _ I _ _ Hp) as [_ _ (_ & Hl3) _ _ _ He]. specialize (He i Hi).
  remember (word (mem s) t i) as d eqn:Ed. clear Ed.
  destruct He as [r H|q r H _ _ Hq Hqa _|_|host Hh Hl _ Hw Hd|c _ Hl Hc|_].
  - destruct (unassigned_facts (p_level p) r H) as (_ & _ & K & _). rewrite K in Hk. discriminate.
  - destruct (assigned_ok (p_level p) q r H Hq (aligned_size _ _ Hqa)) as (_ & _ & _ & K & _). rewrite K in Hk. discriminate.
  - destruct (unassigned_ns_facts (p_level p)) as (_ & _ & K). rewrite K in Hk. discriminate.
  - destruct (assigned_ns_facts (p_level p) host Hw) as (O & _). rewrite O. split_and!; try lia.
    apply Hd. pose proof (pages_size (p_level p) ltac:(lia)).
    pose proof (Z.div_le_lower_bound (size_of (p_level p)) 4096 (pages_at (p_level p))). lia.
  - destruct (place_granule _ _ _ I Hc) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T & _).
    unfold kind in Hk. rewrite T in Hk by done. discriminate.
  - unfold kind, is_table in Hk. rewrite andb_false_r in Hk. discriminate.
Qed.
(* So what a table maps of the host's is counted. *)
Lemma table_counted s t p : inv s -> places s !! t = Some p -> ns_counted (p_level p) t s.
Proof.
  intros I Hp. constructor.
  - intros i n Hi Hk Hn. pose proof (i_words _ I t i) as Hw.
    destruct (entry_shares _ _ _ _ _ I Hp Hi Hk Hn) as (Hl & _ & H).
    destruct (ns_page (p_level p) _ n ltac:(lia) Hw Hk Hn) as [-> _]. exact H.
  - intros pa Hns. pose proof (i_pins _ I _ Hns) as H. pose proof (runs_nonneg s pa).
    pose proof (sum_term (fun t p => leaves_for pa (p_level p) (page (mem s) t)) (places s) t p) as T. cbn beta in T.
    specialize (T ltac:(intros; apply count_range) Hp). unfold uses, refs_of in *. lia.
Qed.

(* ---- rtt_free_start ---- *)

Section free.
  Context (rd : Z) (c : gset Z) (s : state) (I : inv s) (Hr : has_state GS_RD rd s = true)
    (Hh : holds (LGranule rd) s = true) (Hst : staled s = []) (Hc : rd ∉ c) (Hcc : forall q, q ∈ c -> q ∈ cached s).
  Notation base := (rd_of s RD_rtt_base rd).
  Notation level := (rd_of s RD_start_level rd).
  Notation num := (rd_of s RD_num_start rd).
  Definition gone (n : nat) (q : Z) : bool := existsb (fun t => base + t * 4096 =? q) (below n).

  Record freeing (n : nat) (s' : state) : Prop := Freeing {
    fr_rest : hw s' = hw s /\ held s' = held s /\ staled s' = [] /\ cached s' = c;
    fr_mem : mem_ok (mem s');
    fr_places : forall q, places s' !! q = if gone n q then None else places s !! q;
    fr_gran : forall q, gone n q = false ->
      match gran s !! q with
      | Some g => exists r, gran s' !! q = Some (Gran (g_state g) (g_owner g) r)
      | None => gran s' !! q = None
      end;
    fr_gone : forall q, gone n q = true -> is_ns (gran s') q = false;
    fr_page : forall q, q <> rd -> gone n q = false -> page (mem s') q = page (mem s) q;
    fr_uses : forall pa, is_ns (gran s) pa = true -> uses s' pa <= refs_of pa s';
  }.

  Lemma start_place_of t : 0 <= t < num -> places s !! (base + t * 4096) = Some (Place rd level (t * span level) 0).
  Proof. apply (r_tables _ _ (i_realm _ I _ Hr)). Qed.
  Lemma gone_S n q : gone (S n) q = gone n q || (base + Z.of_nat n * 4096 =? q).
  Proof. unfold gone. rewrite below_S, existsb_app. cbn [existsb]. by rewrite orb_false_r. Qed.
  Lemma gone_spec n q : gone n q = true <-> exists t, 0 <= t < Z.of_nat n /\ q = base + t * 4096.
  Proof.
    unfold gone. rewrite existsb_exists. split.
    - intros (t & Ht%below_In & E%Z.eqb_eq). eauto.
    - intros (t & Ht & ->). exists t. rewrite below_In. split; [done|apply Z.eqb_refl].
  Qed.
  Lemma gone_rtt n q : (n <= Z.to_nat num)%nat -> has_state GS_RTT q s = false -> gone n q = false.
  Proof.
    intros Hn Hq. destruct (gone n q) eqn:E; [|done]. apply gone_spec in E as (t & Ht & ->).
    destruct (table_owner _ _ _ I (start_place_of t ltac:(lia))) as (H & _). congruence.
  Qed.
  Lemma rd_not_rtt : has_state GS_RTT rd s = false.
  Proof. destruct (has_state_inv _ _ _ Hr) as (g & Hg & Hs). unfold has_state. by rewrite Hg, Hs. Qed.
  Lemma ns_not_rtt pa : is_ns (gran s) pa = true -> has_state GS_RTT pa s = false.
  Proof. unfold is_ns, has_state. destruct (gran s !! pa); [|done]. intros ->%Z.eqb_eq. done. Qed.

  Lemma freeing_start : freeing 0 (with_cached c s).
  Proof.
    constructor; try done.
    - apply (i_mem _ I).
    - intros q _. cbn [gran with_cached]. destruct (gran s !! q) as [[a b d]|]; [|done]. by exists d.
    - intros pa Hns. pose proof (i_pins _ I _ Hns). pose proof (runs_nonneg s pa).
      change (uses (with_cached c s) pa) with (uses s pa). change (refs_of pa (with_cached c s)) with (g_refs (granule_at s pa)). lia.
  Qed.

  Lemma freeing_under n s' q : freeing n s' -> gone n q = false -> under_lock q s = true -> under_lock q s' = true.
  Proof.
    intros F Hg <-. pose proof (fr_gran _ _ F q Hg) as H. destruct (fr_rest _ _ F) as (_ & El & _). by apply under_refs.
  Qed.
  Lemma freeing_hand n s' q : freeing n s' -> gone n q = false -> in_hand q s = true -> in_hand q s' = true.
  Proof.
    intros F Hg <-. pose proof (fr_gran _ _ F q Hg) as H. destruct (fr_rest _ _ F) as (_ & El & _).
    apply in_hand_refs; [done|by rewrite (fr_places _ _ F), Hg|done].
  Qed.

  (* One more table. *)
  Lemma freeing_step n s' : (n < Z.to_nat num)%nat -> freeing n s' ->
    let t := base + Z.of_nat n * 4096 in
    (in_hand rd s' = true /\ (forall i, 0 <= i < 512 -> may_read t i s' = true) /\ t <> rd /\
     (forall i, 0 <= i < 512 -> u64 (word (mem s') t i)) /\ ns_counted level t s') /\
    (may_zero t (ns_dropped rd level t s') = true /\ has_state GS_NS t (ns_dropped rd level t s') = false) /\
    freeing (S n) (scrubbed t (ns_dropped rd level t s')).
  Proof.
    intros Hn F t. pose proof (start_place_of (Z.of_nat n) ltac:(lia)) as Hp. fold t in Hp.
    destruct (table_owner _ _ _ I Hp) as (Ht & Hown & _). cbn [p_rd] in Hown.
    assert (Hg : gone n t = false).
    { destruct (gone n t) eqn:E; [|done]. apply gone_spec in E as (j & Hj & E). unfold t in E. lia. }
    assert (Hrd : gone n rd = false) by (apply gone_rtt; [lia|apply rd_not_rtt]).
    assert (Hne : t <> rd) by (intros E; rewrite E in Ht; rewrite rd_not_rtt in Ht; discriminate).
    assert (Hin : in_hand rd s' = true) by (eapply freeing_hand; [done|done|by apply rd_in_hand]).
    assert (Hint : under_lock t s' = true).
    { eapply freeing_under; [done|done|]. by eapply table_under. }
    destruct (fr_rest _ _ F) as (Eh & El & Es & Ec). pose proof (fr_page _ _ F t Hne Hg) as Epg.
    destruct (i_realm _ I _ Hr) as [_ _ (Hlev & _) _ _ _ _ _ _].
    assert (Hw : forall i, 0 <= i < 512 -> u64 (word (mem s') t i)).
    { intros i _. unfold word. rewrite Epg. apply (i_words _ I t i). }
    assert (Hp' : places s' !! t = Some (Place rd level (Z.of_nat n * span level) 0)) by (by rewrite (fr_places _ _ F), Hg).
    assert (C : ns_counted level t s').
    { pose proof (table_counted _ _ _ I Hp) as [C1 C2]. cbn [p_level] in C1, C2. constructor.
      - intros i m Hi Hk Hm. unfold word in *. rewrite Epg in *. specialize (C1 i m Hi Hk Hm).
        pose proof (fr_gran _ _ F _ (gone_rtt n _ ltac:(lia) (ns_not_rtt _ C1))) as G. unfold is_ns in *.
        destruct (gran s !! _); [|done]. by destruct G as [r ->].
      - intros pa Hns. assert (Hns0 : is_ns (gran s) pa = true).
        { destruct (gone n pa) eqn:E; [rewrite (fr_gone _ _ F pa E) in Hns; discriminate|].
          pose proof (fr_gran _ _ F pa E) as G. unfold is_ns in *. destruct (gran s !! pa) as [g|].
          - destruct G as [r G]. by rewrite G in Hns.
          - by rewrite G in Hns. }
        pose proof (fr_uses _ _ F pa Hns0) as U.
        pose proof (sum_term (fun t p => leaves_for pa (p_level p) (page (mem s') t)) (places s') t _ ltac:(intros; apply count_range) Hp') as T.
        cbn beta in T. cbn [p_level] in T. unfold uses in U. lia. }
    split; [split_and!; try done|].
    { intros i Hi. unfold may_read. rewrite Eh, (table_no_role _ _ _ I Hp), Hint. unfold in_page. lia. }
    destruct (ns_dropped_unpinned rd level t s' ltac:(lia) (fr_mem _ _ F) Hw Hne C) as [U R].
    destruct (unpinned_same _ _ _ U) as (Uh & Ul & Us & Up & Uc).
    set (s1 := ns_dropped rd level t s') in *. clearbody s1.
    assert (Pg : forall q p, places s' !! q = Some p -> page (mem s1) q = page (mem s) q).
    { intros q p Hq. rewrite (fr_places _ _ F) in Hq. destruct (gone n q) eqn:E; [done|].
      assert (q <> rd). { destruct (place_granule _ _ _ I Hq) as (_ & _ & H). intros ->. rewrite rd_not_rtt in H. done. }
      rewrite (un_page _ _ _ U) by done. by apply (fr_page _ _ F). }
    assert (Hm1 : mem_ok (mem s1)) by apply (un_mem _ _ _ U), (fr_mem _ _ F).
    assert (G1 : exists x, gran s1 !! t = Some x /\ g_state x = GS_RTT).
    { destruct (has_state_inv _ _ _ Ht) as (g & Hgr & Hs). pose proof (fr_gran _ _ F t Hg) as G. rewrite Hgr in G.
      destruct G as [r G]. pose proof (un_gran _ _ _ U t) as G1. rewrite G in G1. destruct G1 as [r1 G1]. eauto. }
    destruct G1 as (x & G1 & Gs).
    split; [split|].
    - unfold may_zero. rewrite (unpinned_under _ _ _ _ U), Hint. cbn [andb]. apply andb_true_iff. split.
      + destruct (has_state_inv _ _ _ Ht) as (g & Hgr & Hs). eapply (hidden s); [done|done|by rewrite Hs|congruence|congruence|].
        intros q r Hq.
        assert (Hq' : forall st, st <> GS_CORE -> has_state st q s = false).
        { intros st Hst'. unfold has_state. destruct (gran s !! q) as [y|] eqn:Hy; [|done].
          rewrite (i_host _ I _ _ _ Hy Hq). by apply Z.eqb_neq. }
        assert (q <> rd) by (intros ->; rewrite Hq' in Hr; done).
        rewrite (un_page _ _ _ U) by done. apply (fr_page _ _ F); [done|]. apply gone_rtt; [lia|]. by apply Hq'.
      + apply (rtt_unreached s); try done; [congruence| | |].
        { rewrite Uc, Ec. intros Q%Hcc. apply (i_cached _ I) in Q. destruct (has_state_inv _ _ _ Q) as (y & Hy & Ys).
          destruct (has_state_inv _ _ _ Ht) as (y' & Hy' & Ys').
          rewrite Hy in Hy'. injection Hy' as <-. rewrite Ys in Ys'. discriminate. }
        * intros q p Hq. rewrite Up in Hq. split; [rewrite (fr_places _ _ F) in Hq; by destruct (gone n q)|].
          intros i _. left. unfold word. by rewrite (Pg _ _ Hq).
        * rewrite Up, Hp'. cbn [p_parent p_rd]. by rewrite Z.eqb_refl, Uc, Ec.
    - unfold has_state. by rewrite G1, Gs.
    - constructor.
      + cbn. rewrite Uh, Ul, Us, Uc. done.
      + intros q l. cbn [mem scrubbed with_places set_granule with_gran put_page with_mem].
        destruct (decide (t = q)) as [<-|Nq]; [rewrite lookup_insert; by intros [= <-]|rewrite lookup_insert_ne by done; apply Hm1].
      + intros q. cbn [places scrubbed with_places]. rewrite gone_S, Up. fold t.
        destruct (Z.eqb_spec t q) as [<-|Nq].
        * by rewrite lookup_delete, orb_true_r.
        * by rewrite lookup_delete_ne, orb_false_r, (fr_places _ _ F).
      + intros q. rewrite gone_S. fold t. intros [E Nq%Z.eqb_neq]%orb_false_iff.
        cbn [gran scrubbed with_places set_granule with_gran]. rewrite lookup_insert_ne by done.
        pose proof (fr_gran _ _ F q E) as G. pose proof (un_gran _ _ _ U q) as V. cbn [gran put_page with_mem].
        destruct (gran s !! q) as [y|].
        * destruct G as [r G]. rewrite G in V. destruct V as [v V]. eauto.
        * by rewrite G in V.
      + intros q. rewrite gone_S. fold t. unfold is_ns. cbn [gran scrubbed with_places set_granule with_gran put_page with_mem].
        destruct (Z.eqb_spec t q) as [<-|Nq]; [by rewrite lookup_insert|]. rewrite orb_false_r, lookup_insert_ne by done.
        intros E. pose proof (fr_gone _ _ F q E) as G. by rewrite <- (unpinned_ns _ _ _ q U) in G.
      + intros q Nr. rewrite gone_S. fold t. intros [E Nq%Z.eqb_neq]%orb_false_iff.
        cbn [mem scrubbed with_places set_granule with_gran put_page with_mem]. rewrite page_insert_other by done.
        rewrite (un_page _ _ _ U) by done. by apply (fr_page _ _ F).
      + intros pa Hns. pose proof (fr_uses _ _ F pa Hns) as Q. specialize (R pa).
        assert (Npa : t <> pa) by (intros <-; apply ns_not_rtt in Hns; congruence).
        assert (Er : refs_of pa (scrubbed t s1) = refs_of pa s1).
        { unfold refs_of, granule_at. cbn [gran scrubbed with_places set_granule with_gran put_page with_mem].
          by rewrite lookup_insert_ne. }
        rewrite Er. unfold uses in *. rewrite (sum_delete _ _ _ _ Hp') in Q. cbn [p_level] in Q.
        cbn [places scrubbed with_places mem set_granule with_gran put_page with_mem]. rewrite Up.
        rewrite (sum_ext _ (fun t p => leaves_for pa (p_level p) (page (mem s') t))); [lia|].
        intros q p Hq. apply lookup_delete_Some in Hq as [Nq Hq]. rewrite page_insert_other by done.
        rewrite (un_page _ _ _ U); [done|]. intros ->. rewrite (fr_places _ _ F), Hrd in Hq.
        destruct (place_granule _ _ _ I Hq) as (_ & _ & H). rewrite rd_not_rtt in H. done.
  Qed.

  Lemma freeing_all n : (n <= Z.to_nat num)%nat -> freeing n (start_freed rd level base n (with_cached c s)).
  Proof.
    unfold start_freed. induction n as [|n IH]; intros Hn; [rewrite each_below_0; apply freeing_start|].
    rewrite each_below_S. apply freeing_step; [lia|]. apply IH. lia.
  Qed.

  (* The realm's TLB entries are gone, and will not come back (c is what other realms may have): it has no REC. *)
  Theorem rtt_free_start_ok :
    core "rtt_free_start" [rd] (with_cached c s) = Some ([], start_freed rd level base (Z.to_nat num) (with_cached c s)).
  Proof.
    destruct (i_realm _ I _ Hr) as [_ _ (Hlev & _) (Hnum & _) (Hb & _) _ _ _ _].
    assert (Hin : in_hand rd (with_cached c s) = true) by (by apply rd_in_hand).
    enter f_rtt_free_start. step. step. step.
    change (rd_get RD_rtt_base rd 0 (with_cached c s)) with base.
    change (rd_get RD_num_start rd 0 (with_cached c s)) with num.
    change (rd_get RD_start_level rd 0 (with_cached c s)) with level.
    apply (loop_each_at (fun t s => if t <? num then scrubbed (base + t * 4096) (ns_dropped rd level (base + t * 4096) s) else s)).
    - intros j k Hj next. tidy. destruct (Z.ltb_spec (Z.of_nat j) num) as [Hlt|Hge].
      + rewrite (each_below_ext j _ (fun t s => scrubbed (base + t * 4096) (ns_dropped rd level (base + t * 4096) s))) in next |- *.
        2,3: intros i s' Hi; by rewrite (proj2 (Z.ltb_lt _ _)) by lia.
        fold (start_freed rd level base j (with_cached c s)) in next |- *.
        pose proof (freeing_all j ltac:(lia)) as F. generalize dependent (start_freed rd level base j (with_cached c s)).
        intros s' next F. rewrite Z.shiftl_mul_pow2 by lia. change (2 ^ 12) with 4096.
        rewrite (wrap_small (_ * 4096)), (wrap_small (_ + _)) by lia.
        destruct (freeing_step j s' ltac:(lia) F) as ((H1 & H2 & H3 & H4 & H5) & (H6 & H7) & _). cbv zeta in *.
        destruct (fr_rest _ _ F) as (_ & _ & Es & _).
        eapply bind_call; [apply rtt_drop_ns_ok; [lia|done|done|done|apply (fr_mem _ _ F)|done|done|done]|]. tidy.
        eapply bind_call; [apply granule_scrub_ok; [exact H6|exact H7]|]. tidy.
        apply next; reflexivity.
      + apply next; [reflexivity|]. cbv beta. destruct (Z.ltb_spec (Z.of_nat j) num); [lia|reflexivity].
    - tidy. unfold ret, start_freed. by rewrite each_below_if by lia.
  Qed.
End free.
