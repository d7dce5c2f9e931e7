(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: a table that a walk found, and what may be done to it. *)
From kcore Require Export refine.RttShare.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma possible_facts rd ipa level s : table_possible rd ipa level s = true ->
  rd_of s RD_start_level rd < level <= 3 /\ ipa < rd_of s RD_ipa_size rd /\ ipa mod size_of (level - 1) = 0.
Proof.
  unfold table_possible, in_bounds, aligned_to.
  intros [[[H1%Z.leb_gt H2%Z.ltb_ge]%orb_false_iff H3%negb_false_iff%Z.ltb_lt]%negb_true_iff%orb_false_iff H4%Z.eqb_eq]%andb_true_iff.
  done || lia.
Qed.
Lemma slot_floor level ipa : slot_of level (floor_of level ipa) = slot_of level ipa.
Proof.
  rewrite !slot_index, floor_index. unfold index_of. destruct (size_pos level). rewrite Z.div_mul by lia. done.
Qed.

(* ---- A table that the walk found ---- *)

Record child_of (rd ipa level : Z) (w : walked) (p : place) (s : state) (c : Z) : Prop := ChildOf {
  ch_found : found rd ipa w p s;
  ch_level : w_level w = level - 1;
  ch_desc : w_desc w = table_desc c;
  ch_addr : out_addr (w_desc w) = c;
  ch_place : places s !! c = Some (Place rd level (floor_of (level - 1) ipa) (w_table w));
}.
Lemma child_found rd ipa level w p s : found rd ipa w p s -> w_level w = level - 1 -> w_kind w = K_TABLE ->
  child_of rd ipa level w p s (out_addr (w_desc w)).
Proof.
  intros F El Ek. pose proof (found_inv _ _ _ _ _ F) as I. pose proof (found_entry _ _ _ _ _ F) as He.
  assert (T : is_table (p_level p) (w_desc w) = true).
  { rewrite (fd_level _ _ _ _ _ F). unfold w_kind, kind in Ek. destruct (is_table (w_level w) (w_desc w)); [done|].
    destruct (is_valid _), (has_ns_bit _); try discriminate. destruct (has_assigned_bit _); discriminate. }
  destruct (entry_table _ _ _ _ _ I He T) as (c & Hd & Ho & Hl & Hc). rewrite (fd_level _ _ _ _ _ F), (fd_rd _ _ _ _ _ F), El in *.
  replace (level - 1 + 1) with level in Hc by lia. constructor; try done; by rewrite Ho.
Qed.

Section child.
  Context (rd ipa level : Z) (w : walked) (p : place) (s : state) (c : Z) (C : child_of rd ipa level w p s c).
  Local Notation F := (ch_found _ _ _ _ _ _ _ C).
  Lemma child_rtt : has_state GS_RTT c s = true /\ g_owner (granule_at s c) = rd.
  Proof. destruct (table_owner _ _ _ (found_inv _ _ _ _ _ F) (ch_place _ _ _ _ _ _ _ C)) as (H & Ho & _). done. Qed.
  Lemma child_hand : under_lock c s = true.
  Proof.
    destruct (fd_open _ _ _ _ _ F) as [I _ Hl]. by eapply table_under; [exact I|apply C|].
  Qed.
  Lemma child_role : role_of (hw s) c = None.
  Proof. eapply table_no_role; [apply (found_inv _ _ _ _ _ F)|apply C]. Qed.
  Lemma child_read i : 0 <= i < 512 -> may_read c i s = true.
  Proof. intros Hi. unfold may_read. rewrite child_role, child_hand. unfold in_page. lia. Qed.
  Lemma child_not_rd : c <> rd.
  Proof.
    intros E. destruct child_rtt as [H _]. rewrite E in H. destruct (fd_open _ _ _ _ _ F) as [_ Hr _].
    destruct (has_state_inv _ _ _ H) as (g & Hg & Hs), (has_state_inv _ _ _ Hr) as (g' & Hg' & Hs').
    rewrite Hg in Hg'. injection Hg' as <-. rewrite Hs in Hs'. discriminate.
  Qed.
  Lemma child_other : c <> w_table w.
  Proof.
    intros E. pose proof (ch_place _ _ _ _ _ _ _ C) as H. rewrite E, (fd_place _ _ _ _ _ F) in H. injection H as H.
    pose proof (fd_level _ _ _ _ _ F) as L. rewrite H, (ch_level _ _ _ _ _ _ _ C) in L. cbn in L. lia.
  Qed.
  Lemma child_level : 1 <= level <= 3.
  Proof.
    pose proof (found_range _ _ _ _ _ F). rewrite (ch_level _ _ _ _ _ _ _ C) in *.
    destruct (i_table _ (found_inv _ _ _ _ _ F) _ _ (ch_place _ _ _ _ _ _ _ C)) as [_ _ H' _ _ _ _]. cbn [p_level] in H'. lia.
  Qed.
  (* The table above counts it. *)
  Lemma child_counted : 1 <= refs_of (w_table w) s <= REFS_MAX.
  Proof.
    pose proof (found_inv _ _ _ _ _ F) as I. split; [|apply (refs_nonneg _ _ I)].
    destruct (t_gran _ _ _ (i_table _ I _ _ (fd_place _ _ _ _ _ F))) as (g & Hg & _ & _ & Hr).
    unfold refs_of, granule_at. rewrite Hg. cbn [default from_option id]. rewrite Hr. unfold live_entries.
    eapply count_pos; [apply (page_word _ (w_table w) (w_slot w)); [apply (i_mem _ I)|apply F]|].
    rewrite (fd_desc _ _ _ _ _ F), (ch_desc _ _ _ _ _ _ _ C), (fd_level _ _ _ _ _ F), (ch_level _ _ _ _ _ _ _ C).
    unfold is_counted, kind. destruct (place_granule _ _ _ I (ch_place _ _ _ _ _ _ _ C)) as (Pc & Ac & _).
    destruct (table_desc_ok c Pc Ac) as (_ & T & _). pose proof child_level. rewrite T by lia. reflexivity.
  Qed.

  (* What may be read and written of a realm while its tables change: pages that are no host table are. *)
  Definition host_tables_same (s' : state) : Prop := forall t r, role_of (hw s) t = Some r -> page (mem s') t = page (mem s) t.

  (* It is scrubbed when the entry above says something else, and nothing maps it. *)
  Lemma child_scrub s' : under_lock c s' = true -> has_state GS_NS c s' = false -> hw s' = hw s -> staled s' = [] -> mem_ok (mem s') ->
    places s' = places s -> (forall q, q ∈ cached s' -> q ∈ cached s) -> host_tables_same s' -> word (mem s') (w_table w) (w_slot w) <> table_desc c ->
    (forall t q i, places s !! t = Some q -> 0 <= i < 512 ->
       word (mem s') t i = word (mem s) t i \/ leaf_covers (p_level q) (word (mem s') t i) c = false) ->
    core "granule_scrub" [c] s' = Some ([], scrubbed c s').
  Proof.
    intros Hh Hn Eh Es Hm Ep Hcc Ht Hw Hc. apply granule_scrub_ok; [|done]. unfold may_zero. rewrite Hh. cbn [andb].
    destruct child_rtt as [Hr _]. destruct (has_state_inv _ _ _ Hr) as (g & Hg & Hs).
    apply andb_true_iff. split.
    - eapply (hidden s); [apply (found_inv _ _ _ _ _ F)|exact Hg|by rewrite Hs|done|done|exact Ht].
    - apply (rtt_unreached s); [apply (found_inv _ _ _ _ _ F)|done|done|done| | |].
      { intros Q%Hcc. apply (i_cached _ (found_inv _ _ _ _ _ F)) in Q. destruct (has_state_inv _ _ _ Q) as (y & Hy & Ys).
        rewrite Hg in Hy. injection Hy as <-. rewrite Hs in Ys. discriminate. }
      + intros t q Hq. rewrite Ep in Hq. split; [done|]. intros i Hi. by apply Hc.
      + rewrite Ep, (ch_place _ _ _ _ _ _ _ C). cbn [p_parent].
        destruct (place_granule _ _ _ (found_inv _ _ _ _ _ F) (fd_place _ _ _ _ _ F)) as (Pt & _).
        rewrite (proj2 (Z.eqb_neq _ _)) by lia. unfold stands. cbn [p_parent p_level p_base].
        rewrite (proj2 (Z.eqb_neq (w_table w) 0)) by lia. cbn [orb]. rewrite slot_floor.
        replace (slot_of (level - 1) ipa) with (w_slot w) by (rewrite (fd_at _ _ _ _ _ F), (ch_level _ _ _ _ _ _ _ C); done).
        by apply Z.eqb_neq.
  Qed.
End child.

(* ---- The entry above a table is changed ---- *)

Record entry_changed (w : walked) (d : Z) (s s' : state) : Prop := EntryChanged {
  ec_rest : hw s' = hw s /\ held s' = held s /\ shrinking s' = shrinking s /\ staled s' = [] /\ places s' = places s;
  ec_cached : forall q, q ∈ cached s' -> q ∈ cached s;
  ec_mem : mem s' = set_word (mem s) (w_table w) (w_slot w) d;
  ec_gran : forall q, q <> w_table w -> gran s' !! q = gran s !! q;
  ec_table : exists g r, gran s !! w_table w = Some g /\ gran s' !! w_table w = Some (Gran (g_state g) (g_owner g) r);
}.
Lemma changed_put rd ipa w p s d v : found rd ipa w p s -> staled s = [] -> entry_changed w d s (uncached v (entry_put w d s)).
Proof.
  intros F Hst. constructor; [done| |reflexivity|done|].
  { intros q. unfold uncached. cbn [cached with_cached]. by intros [_ Q]%elem_of_filter. } destruct (has_state_inv _ _ _ (found_rtt _ _ _ _ _ F)) as (g & Hg & _).
  exists g, (g_refs g). split; [done|]. by destruct g.
Qed.
Lemma changed_twice w d d' s s' : entry_changed w d s s' -> entry_changed w d' s (entry_put w d' s').
Proof.
  intros [R C M G T]. constructor; [exact R|exact C| |exact G|exact T]. cbn [mem entry_put put_word with_mem]. rewrite M. apply set_word_twice.
Qed.
Lemma changed_refs w d n s s' : entry_changed w d s s' -> entry_changed w d s (refs_added (w_table w) n s').
Proof.
  intros [R C M G (g & r & Hg & Hg')]. constructor; [exact R|exact C|exact M| |].
  - intros q N. unfold refs_added, with_refs, set_granule. cbn [gran with_gran]. rewrite lookup_insert_ne by done. by apply G.
  - exists g, (wrap U64 (refs_of (w_table w) s' + n)). split; [done|]. unfold refs_added, with_refs, set_granule. cbn [gran with_gran].
    rewrite lookup_insert. unfold granule_at. by rewrite Hg'.
Qed.
Lemma changed_refs_only w d s s' q : entry_changed w d s s' ->
  match gran s !! q with Some x => exists r, gran s' !! q = Some (Gran (g_state x) (g_owner x) r) | None => gran s' !! q = None end.
Proof.
  intros [_ _ _ G (g & r & Hg & Hg')]. destruct (decide (q = w_table w)) as [->|N]; [rewrite Hg; eauto|]. rewrite G by done.
  destruct (gran s !! q) as [[a b c]|]; [|done]. by exists c.
Qed.
Lemma changed_under w d s s' q : entry_changed w d s s' -> under_lock q s' = under_lock q s.
Proof. intros E. apply under_refs; [apply E|by eapply changed_refs_only]. Qed.
Lemma changed_hand w d s s' q : entry_changed w d s s' -> in_hand q s' = in_hand q s.
Proof.
  intros E. destruct (ec_rest _ _ _ _ E) as (_ & Hl & _ & _ & Hp). apply in_hand_refs; [done|by rewrite Hp|by eapply changed_refs_only].
Qed.
Lemma changed_ns w d s s' q : entry_changed w d s s' -> is_ns (gran s') q = is_ns (gran s) q.
Proof.
  intros [_ _ _ G (g & r & Hg & Hg')]. unfold is_ns. destruct (decide (q = w_table w)) as [->|N]; [by rewrite Hg, Hg'|by rewrite G].
Qed.

Section gone.
  Context (rd ipa level : Z) (w : walked) (p : place) (s : state) (c d : Z) (s2 : state).
  Context (C : child_of rd ipa level w p s c) (E : entry_changed w d s s2).

  Lemma gone_page q : q <> w_table w -> page (mem s2) q = page (mem s) q.
  Proof. intros N. rewrite (ec_mem _ _ _ _ E). apply page_set_page. congruence. Qed.
  Lemma gone_counted : ns_counted level c s2.
  Proof.
    pose proof (ch_found _ _ _ _ _ _ _ C) as F. pose proof (found_inv _ _ _ _ _ F) as I.
    pose proof (gone_page c (child_other _ _ _ _ _ _ _ C)) as Pc.
    pose proof (table_counted _ _ _ I (ch_place _ _ _ _ _ _ _ C)) as [C1 C2]. cbn [p_level] in C1, C2. constructor.
    - intros i n Hi Hk Hn. unfold word in *. rewrite Pc in *. rewrite (changed_ns _ _ _ _ _ E). by apply C1.
    - intros pa Hns. rewrite (changed_ns _ _ _ _ _ E) in Hns. rewrite Pc. specialize (C2 pa Hns).
      unfold refs_of, granule_at in *. rewrite (ec_gran _ _ _ _ E); [exact C2|]. intros ->.
      destruct (has_state_inv _ _ _ (found_rtt _ _ _ _ _ F)) as (g & Hg & Hs). unfold is_ns in Hns. rewrite Hg, Hs in Hns. discriminate.
  Qed.
  Lemma gone_drops : core "rtt_drop_ns" [rd; level; c] s2 = Some ([], ns_dropped rd level c s2) /\
    unpinned rd s2 (ns_dropped rd level c s2).
  Proof.
    pose proof (ch_found _ _ _ _ _ _ _ C) as F. pose proof (found_inv _ _ _ _ _ F) as I.
    pose proof (child_level _ _ _ _ _ _ _ C) as Hl. destruct (ec_rest _ _ _ _ E) as (Eh & _ & _ & Es & _).
    assert (Hw : forall i, 0 <= i < 512 -> u64 (word (mem s2) c i)).
    { intros i _. unfold word. rewrite gone_page by (eapply child_other; exact C). apply (i_words _ I c i). }
    assert (Hm : mem_ok (mem s2)) by (rewrite (ec_mem _ _ _ _ E); apply set_word_ok, (i_mem _ I)).
    pose proof (child_not_rd _ _ _ _ _ _ _ C) as Nr. split.
    - apply rtt_drop_ns_ok; [lia|rewrite (changed_hand _ _ _ _ _ E); apply open_hand, F| |exact Nr|exact Hm|exact Hw|exact Es|exact gone_counted].
      intros i Hi. unfold may_read. rewrite Eh, (child_role _ _ _ _ _ _ _ C), (changed_under _ _ _ _ _ E), (child_hand _ _ _ _ _ _ _ C).
      unfold in_page. lia.
    - apply ns_dropped_unpinned; [lia|exact Hm|exact Hw|exact Nr|exact gone_counted].
  Qed.
  Lemma gone_scrub s3 : unpinned rd s2 s3 -> d <> table_desc c -> leaf_covers (level - 1) d c = false ->
    core "granule_scrub" [c] s3 = Some ([], scrubbed c s3) /\ mem_ok (mem (scrubbed c s3)) /\
    (forall i, 0 <= i < 512 -> may_read (w_table w) i (scrubbed c s3) = true) /\
    held s3 = held s /\ shrinking s3 = shrinking s /\ staled s3 = [].
  Proof.
    intros U Nd Lc. pose proof (ch_found _ _ _ _ _ _ _ C) as F. pose proof (found_inv _ _ _ _ _ F) as I.
    destruct (ec_rest _ _ _ _ E) as (Eh & El & Eg & Es & Ep). destruct (unpinned_same _ _ _ U) as (Uh & Ul & Us & Up & Uc).
    pose proof (child_other _ _ _ _ _ _ _ C) as No. destruct (child_rtt _ _ _ _ _ _ _ C) as [Hc _].
    pose proof (fd_slot _ _ _ _ _ F) as Hsl.
    assert (Hm2 : mem_ok (mem s2)) by (rewrite (ec_mem _ _ _ _ E); apply set_word_ok, (i_mem _ I)).
    assert (Hm3 : mem_ok (mem s3)) by (by apply (un_mem _ _ _ U)).
    assert (Nrd : forall q, has_state GS_RD q s = false -> q <> rd).
    { intros q Hq ->. destruct (fd_open _ _ _ _ _ F) as [_ Hr _]. congruence. }
    assert (W : forall q i, q <> rd -> word (mem s3) q i = word (set_word (mem s) (w_table w) (w_slot w) d) q i).
    { intros q i N. unfold word at 1. rewrite (un_page _ _ _ U) by done. by rewrite (ec_mem _ _ _ _ E). }
    split_and!.
    - eapply child_scrub; [exact C| | |congruence|congruence|exact Hm3|congruence|rewrite Uc; apply (ec_cached _ _ _ _ E)| | |].
      + by rewrite (unpinned_under _ _ _ _ U), (changed_under _ _ _ _ _ E), (child_hand _ _ _ _ _ _ _ C).
      + pose proof (un_gran _ _ _ U c) as H. rewrite (ec_gran _ _ _ _ E) in H by done.
        destruct (has_state_inv _ _ _ Hc) as (g & Hg & Hs). rewrite Hg in H. destruct H as [r H]. unfold has_state. rewrite H. cbn [g_state].
        rewrite Hs. reflexivity.
      + intros q r Hq. assert (N1 : q <> rd).
        { apply Nrd. unfold has_state. destruct (gran s !! q) as [g|] eqn:Hg; [|done]. rewrite (i_host _ I _ _ _ Hg Hq). reflexivity. }
        rewrite (un_page _ _ _ U) by done. apply gone_page. intros ->. rewrite (found_role _ _ _ _ _ F) in Hq. discriminate.
      + rewrite W by (eapply found_not_rd; exact F). rewrite word_set_same by (apply (i_mem _ I) || exact Hsl). exact Nd.
      + intros q x i Hq Hi. rewrite W.
        2:{ apply Nrd. destruct (place_granule _ _ _ I Hq) as (_ & _ & H). destruct (has_state_inv _ _ _ H) as (g & Hg & Hs).
            unfold has_state. rewrite Hg, Hs. reflexivity. }
        destruct (decide (q = w_table w)) as [->|N]; [|left; apply word_set_page; congruence].
        destruct (decide (i = w_slot w)) as [->|N]; [|left; apply word_set_slot; lia].
        right. rewrite word_set_same by (apply (i_mem _ I) || exact Hsl). rewrite (fd_place _ _ _ _ _ F) in Hq. injection Hq as <-.
        by rewrite (fd_level _ _ _ _ _ F), (ch_level _ _ _ _ _ _ _ C).
    - intros q l. cbn [mem scrubbed with_places set_granule with_gran put_page with_mem].
      destruct (decide (c = q)) as [<-|Nq]; [rewrite lookup_insert; by intros [= <-]|rewrite lookup_insert_ne by done; apply Hm3].
    - intros i Hi. unfold may_read. change (hw (scrubbed c s3)) with (hw s3). rewrite Uh, Eh, (found_role _ _ _ _ _ F).
      assert (X : under_lock (w_table w) (scrubbed c s3) = under_lock (w_table w) s3).
      { unfold under_lock, tracked, granule_at, holds, scrubbed. cbn [gran held with_places set_granule with_gran put_page with_mem].
        by rewrite lookup_insert_ne. }
      rewrite X, (unpinned_under _ _ _ _ U), (changed_under _ _ _ _ _ E), (found_hand _ _ _ _ _ F). unfold in_page. lia.
    - congruence.
    - rewrite (un_rest _ _ _ U). exact Eg.
    - congruence.
  Qed.
End gone.

(* The table above counts one entry less. *)
Lemma uncount rd ipa level w p s c d s1 : child_of rd ipa level w p s c -> entry_changed w d s s1 ->
  refs_of (w_table w) s1 = refs_of (w_table w) s ->
  core "granule_add_refs" [w_table w; 2 ^ 64 - 1] s1 = Some ([], refs_added (w_table w) (2 ^ 64 - 1) s1).
Proof.
  intros C E R. pose proof (child_counted _ _ _ _ _ _ _ C) as Hr. pose proof (ch_found _ _ _ _ _ _ _ C) as F.
  apply granule_add_refs_ok; [rewrite (changed_under _ _ _ _ _ E); by eapply found_hand|]. rewrite R. revert Hr.
  generalize (refs_of (w_table w) s). intros n Hr. unfold wrap, REFS_MAX in *.
  replace (n + (2 ^ 64 - 1)) with (n - 1 + 1 * 2 ^ 64) by lia. rewrite Z.mod_add, Z.mod_small by lia. lia.
Qed.
Lemma child_desc rd ipa level w p s c d : child_of rd ipa level w p s c -> is_valid d = false -> d <> table_desc c.
Proof.
  intros C Hd ->. pose proof (found_inv _ _ _ _ _ (ch_found _ _ _ _ _ _ _ C)) as I.
  destruct (place_granule _ _ _ I (ch_place _ _ _ _ _ _ _ C)) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (V & _). congruence.
Qed.

(* ---- It goes ---- *)

Lemma table_gone_ok rd ipa level w p s c freed : child_of rd ipa level w p s c -> staled s = [] -> is_valid freed = false ->
  let s1 := uncached (rd_of s RD_vmid rd) (entry_put w freed s) in
  let s2 := refs_added (w_table w) (2 ^ 64 - 1) s1 in
  let s3 := ns_dropped rd level c s2 in
  core "granule_add_refs" [w_table w; 2 ^ 64 - 1] s1 = Some ([], s2) /\
  core "rtt_drop_ns" [rd; level; c] s2 = Some ([], s3) /\
  core "granule_scrub" [c] s3 = Some ([], scrubbed c s3) /\
  mem_ok (mem (scrubbed c s3)) /\ (forall i, 0 <= i < 512 -> may_read (w_table w) i (scrubbed c s3) = true) /\
  held s3 = held s /\ shrinking s3 = shrinking s /\ staled s3 = [].
Proof.
  intros C Hst Hv. cbv zeta. pose proof (ch_found _ _ _ _ _ _ _ C) as F.
  pose proof (changed_put _ _ _ _ _ freed (rd_of s RD_vmid rd) F Hst) as E1.
  pose proof (uncount _ _ _ _ _ _ _ _ _ C E1 eq_refl) as G1.
  pose proof (changed_refs _ _ (2 ^ 64 - 1) _ _ E1) as E2. split; [exact G1|]. clear G1 E1.
  generalize dependent (refs_added (w_table w) (2 ^ 64 - 1) (uncached (rd_of s RD_vmid rd) (entry_put w freed s))). intros s2 E2.
  destruct (gone_drops _ _ _ _ _ _ _ _ _ C E2) as [G2 U]. split; [exact G2|].
  apply (gone_scrub _ _ _ _ _ _ _ _ _ C E2 _ U); [by eapply child_desc|]. unfold leaf_covers. by rewrite Hv.
Qed.

(* The entry above is broken, and the TLB forgets the realm. *)
Lemma child_broken rd ipa level w p s c d : child_of rd ipa level w p s c -> staled s = [] -> broken d = d -> is_valid d = false ->
  exists s', core "s2_break" [w_table w; w_slot w; d] s = Some ([], s') /\
    prim_sem P_tlbi_realm_all [rd_of s RD_vmid rd] s' = Some ([], uncached (rd_of s RD_vmid rd) (entry_put w d s)).
Proof.
  intros C Hst Hb Hv. pose proof (ch_found _ _ _ _ _ _ _ C) as F. pose proof (found_inv _ _ _ _ _ F) as I.
  destruct (place_granule _ _ _ I (ch_place _ _ _ _ _ _ _ C)) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (V & _).
  eexists. split.
  - apply s2_break_ok. rewrite Hb. eapply entry_write; [apply F|by eapply found_role|by eapply found_hand|apply F|by rewrite Hv, andb_false_r|congruence].
  - rewrite Hb. erewrite entry_broken; [|apply F|by eapply found_role|done| |done].
    2:{ by rewrite (fd_desc _ _ _ _ _ F), (ch_desc _ _ _ _ _ _ _ C). }
    rewrite (fd_rd _ _ _ _ _ F). cbn [prim_sem]. unfold guarded. rewrite bool_decide_eq_true_2 by exact (found_vmid _ _ _ _ _ F).
    rewrite forget_all; [reflexivity|done|]. rewrite vmid_put by by eapply found_not_rd. apply vmid_here.
Qed.
