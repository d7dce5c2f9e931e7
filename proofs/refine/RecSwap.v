(* SPDX-License-Identifier: Apache-2.0 *)
(* The invariant after a granule that is nobody's became a REC that does not run, or such a REC nobody's again. *)
From kcore Require Export refine.TreeFacts.
Local Open Scope Z_scope.

Definition idle_rec (rec rd : Z) (s : state) (x : granule) : Prop :=
  g_state x = GS_REC /\ g_owner x = rd /\ rec_of s REC_running rec = 0.

(* Granule rec, which was x, is y; of its realm's RD the numbers of RECs change, of all else nothing that inv speaks of. *)
Record swapped (rec rd : Z) (x y : granule) (s s' : state) : Prop := Swapped {
  sw_rd : has_state GS_RD rd s = true;
  sw_old : gran s !! rec = Some x;
  sw_from : g_state x = GS_DELEGATED \/ idle_rec rec rd s x;
  sw_to : y = Gran GS_DELEGATED 0 0 /\ page (mem s') rec = zero_page \/
          idle_rec rec rd s' y /\ 0 <= g_refs y <= REFS_MAX /\ rec_ok s' rec rd;
  sw_gran : gran s' = <[rec := y]> (gran s);
  sw_page : forall p, p <> rec -> p <> rd -> page (mem s') p = page (mem s) p;
  sw_shape : forall f, f <> RD_rec_count -> f <> RD_rec_index -> rd_of s' f rd = rd_of s f rd;
  sw_count : rd_of s' RD_rec_count rd =
      rd_of s RD_rec_count rd - b2z (g_state x =? GS_REC) + b2z (g_state y =? GS_REC);
  sw_index : rd_of s RD_rec_index rd <= rd_of s' RD_rec_index rd <= rd_of s RD_max_vcpus rd /\
      rd_of s' RD_rec_count rd <= rd_of s' RD_rec_index rd;
  sw_hw : hw s' = hw s;
  sw_holes : holes s' = holes s;
  sw_vmids : vmids s' = vmids s;
  sw_places : places s' = places s;
  sw_cached : cached s' = cached s;
  sw_mem : mem_ok (mem s');
  sw_words : words_u64 (mem s');
  sw_scratch : page_words (params s') /\ page_words (run s') /\ page_words (hash_page s') /\
      length (digest s') = 8%nat /\ Forall u64 (digest s') /\ Forall u64 (live s');
  sw_runs : runs s' = runs s;
  sw_loaded : loaded s' = loaded s;
  sw_live : length (live s') = length (live s);
}.

Section swapped.
  Context (rec rd : Z) (x y : granule) (s s' : state) (I : inv s) (S : swapped rec rd x y s s').

  Local Lemma old_kind : g_state x = GS_DELEGATED \/ g_state x = GS_REC.
  Proof using S. destruct (sw_from _ _ _ _ _ _ S) as [H|(H & _)]; auto. Qed.
  Local Lemma new_kind : g_state y = GS_DELEGATED \/ g_state y = GS_REC.
  Proof using S. destruct (sw_to _ _ _ _ _ _ S) as [[-> _]|((H & _) & _)]; auto. Qed.
  Local Lemma other p : p <> rec -> gran s' !! p = gran s !! p.
  Proof using S. intros N. rewrite (sw_gran _ _ _ _ _ _ S). by apply lookup_insert_ne. Qed.
  Local Lemma here : gran s' !! rec = Some y.
  Proof using S. rewrite (sw_gran _ _ _ _ _ _ S). apply lookup_insert. Qed.
  Local Lemma apart : rec <> rd.
  Proof using S.
    intros E. destruct (has_state_inv _ _ _ (sw_rd _ _ _ _ _ _ S)) as (z & Hz & Hs).
    rewrite <- E, (sw_old _ _ _ _ _ _ S) in Hz. injection Hz as <-. destruct old_kind as [K|K]; rewrite K in Hs; discriminate.
  Qed.

  (* What is neither DELEGATED nor a REC is as it was. *)
  Local Lemma swap_state st p : st <> GS_DELEGATED -> st <> GS_REC -> has_state st p s' = has_state st p s.
  Proof using S.
    intros N1 N2. unfold has_state. destruct (decide (p = rec)) as [->|N]; [|by rewrite other].
    rewrite here, (sw_old _ _ _ _ _ _ S). pose proof old_kind. pose proof new_kind.
    transitivity false; [|symmetry]; apply Z.eqb_neq; intros E; rewrite E in *; tauto.
  Qed.
  Local Lemma swap_not st : st <> GS_DELEGATED -> st <> GS_REC -> has_state st rec s = false.
  Proof using S.
    intros N1 N2. unfold has_state. rewrite (sw_old _ _ _ _ _ _ S). pose proof old_kind. apply Z.eqb_neq. intros E. rewrite E in *; tauto.
  Qed.
  Local Lemma swap_ns p : is_ns (gran s') p = is_ns (gran s) p.
  Proof using S. exact (swap_state GS_NS p ltac:(done) ltac:(done)). Qed.
  Local Lemma swap_own r p : own_data s' r p = own_data s r p.
  Proof using S.
    unfold own_data. destruct (decide (p = rec)) as [->|N]; [|by rewrite other].
    rewrite here, (sw_old _ _ _ _ _ _ S). destruct old_kind as [-> | ->], new_kind as [-> | ->]; reflexivity.
  Qed.
  Local Lemma swap_page p st : has_state st p s = true -> st <> GS_DELEGATED -> st <> GS_REC -> st <> GS_RD ->
    page (mem s') p = page (mem s) p.
  Proof using S.
    intros H N1 N2 N3. apply (sw_page _ _ _ _ _ _ S).
    - intros ->. rewrite swap_not in H; done.
    - intros ->. destruct (has_state_inv _ _ _ H) as (z & Hz & Hs).
      destruct (has_state_inv _ _ _ (sw_rd _ _ _ _ _ _ S)) as (z' & Hz' & Hs'). rewrite Hz in Hz'. injection Hz' as <-. congruence.
  Qed.
  Local Lemma swap_table t p : places s !! t = Some p -> page (mem s') t = page (mem s) t.
  Proof using I S. intros Hp. destruct (place_granule _ _ _ I Hp) as (_ & _ & H). by apply (swap_page t GS_RTT). Qed.
  Local Lemma swap_rd f r : has_state GS_RD r s = true -> f <> RD_rec_count -> f <> RD_rec_index ->
    rd_of s' f r = rd_of s f r.
  Proof using S.
    intros H N1 N2. destruct (decide (r = rd)) as [->|N]; [by apply (sw_shape _ _ _ _ _ _ S)|].
    unfold rd_of, rd_get, word. rewrite (sw_page _ _ _ _ _ _ S); [done| |done]. intros ->. rewrite swap_not in H; done.
  Qed.
  Local Lemma swap_other_rd f r : has_state GS_RD r s = true -> r <> rd -> rd_of s' f r = rd_of s f r.
  Proof using S.
    intros H N. unfold rd_of, rd_get, word. rewrite (sw_page _ _ _ _ _ _ S); [done| |done]. intros ->. rewrite swap_not in H; done.
  Qed.
  Local Lemma swap_half r : has_state GS_RD r s = true -> half_of s' r = half_of s r.
  Proof using S. intros H. unfold half_of. by rewrite swap_rd. Qed.
  Local Lemma swap_rec r : has_state GS_REC r s = true -> r <> rec -> page (mem s') r = page (mem s) r.
  Proof using S.
    intros H N. apply (sw_page _ _ _ _ _ _ S); [done|]. intros ->. destruct (has_state_inv _ _ _ H) as (z & Hz & Hs).
    destruct (has_state_inv _ _ _ (sw_rd _ _ _ _ _ _ S)) as (z' & Hz' & Hs'). rewrite Hz in Hz'. injection Hz' as <-. rewrite Hs in Hs'. discriminate.
  Qed.
  Local Lemma swap_entry t p ipa d : has_state GS_RD (p_rd p) s = true -> entry_ok s t p ipa d -> entry_ok s' t p ipa d.
  Proof using S.
    intros Hrd H. destruct H as [r Hr Hh|q r Hr Hh Hl Hq Hqa Hd|Hh|host Hh Hl Hok Hw Hd|child Hh Hl Hchild|Hh].
    - constructor; [done|]. by rewrite swap_half.
    - constructor; try done; [by rewrite swap_half|]. intros. rewrite swap_own. by apply Hd.
    - constructor. by rewrite swap_half, swap_rd.
    - constructor; try done; [by rewrite swap_half, swap_rd|]. intros. rewrite swap_ns. by apply Hd.
    - constructor; [by rewrite swap_rd|done|]. by rewrite (sw_places _ _ _ _ _ _ S).
    - constructor. by rewrite swap_rd.
  Qed.
  Local Lemma swap_maps r t i ipa pa : maps s' r t i ipa pa <-> maps s r t i ipa pa.
  Proof using I S.
    split; intros [(p & Hp & Hr & Hi & Hk & Hn)]; constructor; exists p; rewrite ?(sw_places _ _ _ _ _ _ S) in *;
    unfold word in *; rewrite ?(swap_table _ _ Hp) in *; done.
  Qed.
  Local Lemma swap_stands t p : places s !! t = Some p -> table_stands s' t p.
  Proof using I S.
    intros Hp. destruct (i_table _ I _ _ Hp) as [(g & Hg & Hs & Hown & Hrefs) Hrd Hlev Hbase Hstart Hbelow Hent].
    constructor; rewrite ?swap_state, ?(swap_table _ _ Hp), ?swap_rd by done; try done.
    - exists g. rewrite other; [done|]. intros ->. rewrite (sw_old _ _ _ _ _ _ S) in Hg. injection Hg as <-.
      destruct old_kind as [K|K]; rewrite K in Hs; discriminate.
    - intros N. destruct (Hbelow N) as (b & pp & E & Q & W). exists b, pp. rewrite (sw_places _ _ _ _ _ _ S).
      unfold word in *. by rewrite (swap_table _ _ E).
    - intros i Hi. unfold word. rewrite (swap_table _ _ Hp). apply swap_entry; [done|]. by apply Hent.
  Qed.

  Local Lemma still pa g : run_page_of s' pa rec g = false.
  Proof using S.
    unfold run_page_of. assert (rec_of s' REC_running rec = 0) as ->; [|by rewrite andb_false_r].
    destruct (sw_to _ _ _ _ _ _ S) as [[_ Z]|((_ & _ & H) & _)]; [|done].
    unfold rec_of, rec_get, word. rewrite Z. reflexivity.
  Qed.
  Local Lemma swap_runs pa : runs_on s' pa = runs_on s pa.
  Proof using S.
    unfold runs_on. rewrite (sw_gran _ _ _ _ _ _ S), (sum_insert _ _ _ _ _ (sw_old _ _ _ _ _ _ S)), !still. cbn [b2z].
    rewrite (sum_ext _ (fun r g => b2z (run_page_of s pa r g))); [lia|].
    intros r g Hg. destruct (decide (r = rec)) as [->|N].
    - rewrite still, (sw_old _ _ _ _ _ _ S) in *. injection Hg as <-. unfold run_page_of.
      destruct (sw_from _ _ _ _ _ _ S) as [->|(_ & _ & ->)]; [done|]. by rewrite andb_false_r.
    - unfold run_page_of. destruct (Z.eqb_spec (g_state g) GS_REC) as [E|]; [|done].
      unfold rec_of, rec_get, word. by rewrite swap_rec by (done || by eapply has_state_intro).
  Qed.
  Local Lemma swap_uses pa : uses s' pa = uses s pa.
  Proof using I S.
    unfold uses. rewrite (sw_places _ _ _ _ _ _ S). apply sum_ext. intros t p Hp. by rewrite (swap_table _ _ Hp).
  Qed.
  Local Lemma swap_recs r : recs_of s' r =
    recs_of s r - b2z ((g_state x =? GS_REC) && (g_owner x =? r)) + b2z ((g_state y =? GS_REC) && (g_owner y =? r)).
  Proof using S. unfold recs_of. by rewrite (sw_gran _ _ _ _ _ _ S), (sum_insert _ _ _ _ _ (sw_old _ _ _ _ _ _ S)). Qed.
  Local Lemma swap_recs_own : recs_of s' rd = rd_of s' RD_rec_count rd.
  Proof using I S.
    rewrite (sw_count _ _ _ _ _ _ S), swap_recs, (proj1 (r_recs _ _ (i_realm _ I _ (sw_rd _ _ _ _ _ _ S)))). f_equal; [f_equal|]; f_equal.
    - destruct (sw_from _ _ _ _ _ _ S) as [->|(-> & -> & _)]; [done|]. by rewrite !Z.eqb_refl.
    - destruct (sw_to _ _ _ _ _ _ S) as [[-> _]|((-> & -> & _) & _)]; [done|]. by rewrite !Z.eqb_refl.
  Qed.
  Local Lemma swap_recs_other r : r <> rd -> recs_of s' r = recs_of s r.
  Proof using S.
    intros N. rewrite swap_recs.
    assert (E1 : (g_state x =? GS_REC) && (g_owner x =? r) = false).
    { destruct (sw_from _ _ _ _ _ _ S) as [->|(_ & -> & _)]; [done|]. rewrite (proj2 (Z.eqb_neq rd r)) by congruence. apply andb_false_r. }
    assert (E2 : (g_state y =? GS_REC) && (g_owner y =? r) = false).
    { destruct (sw_to _ _ _ _ _ _ S) as [[-> _]|((_ & -> & _) & _)]; [done|]. rewrite (proj2 (Z.eqb_neq rd r)) by congruence. apply andb_false_r. }
    rewrite E1, E2. cbn [b2z]. lia.
  Qed.

  Local Lemma swap_index r : has_state GS_RD r s = true -> rd_of s RD_rec_index r <= rd_of s' RD_rec_index r.
  Proof using S.
    intros H. destruct (decide (r = rd)) as [->|N]; [apply (sw_index _ _ _ _ _ _ S)|]. by rewrite swap_other_rd.
  Qed.
  Local Lemma swap_realm r : has_state GS_RD r s = true -> realm_ok s' r.
  Proof using I S.
    intros H. destruct (i_realm _ I _ H) as [R1 R2 R3 R4 R5 R6 R7 (A1 & A2 & A3 & A4) R9 R10].
    constructor; lazymatch goal with
    | |- context [recs_of] => idtac
    | |- _ => rewrite ?(sw_places _ _ _ _ _ _ S), ?(sw_vmids _ _ _ _ _ _ S), ?swap_rd by done; done
    end.
    destruct (decide (r = rd)) as [->|N].
    - rewrite swap_recs_own, (swap_rd RD_max_vcpus) by done. destruct (sw_index _ _ _ _ _ _ S) as ((B1 & B2) & B3). done.
    - rewrite swap_recs_other, !swap_other_rd by done. done.
  Qed.
  Local Lemma swap_rec_ok r g : gran s' !! r = Some g -> g_state g = GS_REC -> rec_ok s' r (g_owner g).
  Proof using I S.
    intros Hg Hs. destruct (decide (r = rec)) as [->|N].
    { rewrite here in Hg. injection Hg as <-.
      destruct (sw_to _ _ _ _ _ _ S) as [[-> _]|((_ & -> & _) & _ & H)]; [discriminate|exact H]. }
    rewrite other in Hg by done. destruct (i_rec _ I _ _ Hg Hs) as [[C1 C1'] C2 C3 C4 C5 C6 C7].
    pose proof (swap_rec r (has_state_intro _ _ _ _ Hg Hs) N) as Ep.
    assert (T : forall f, rec_of s' f r = rec_of s f r) by (intros; unfold rec_of, rec_get, word; by rewrite Ep).
    constructor.
    - rewrite T, swap_state by done. done.
    - unfold rec_agrees in *.
      assert (W : forall f, word (mem s') r (rec_off f) = word (mem s) r (rec_off f)) by (intros; unfold word; by rewrite Ep).
      rewrite !W. assert (E : word (mem s) r (rec_off REC_rd) = g_owner g) by (rewrite <- C1; reflexivity). rewrite E in *.
      assert (W' : forall f, f <> RD_rec_count -> f <> RD_rec_index -> word (mem s') (g_owner g) (rd_off f) = word (mem s) (g_owner g) (rd_off f)).
      { intros f N1 N2. pose proof (swap_rd f _ C1' N1 N2) as E'. unfold rd_of, rd_get, rd_word in E'. by rewrite Z.add_0_r in E'. }
      rewrite !W', (swap_state GS_RD) by done. unfold granule_at, has_state in *. by rewrite other.
    - rewrite !T, swap_ns. done.
    - rewrite T. pose proof (swap_index _ C1'). lia.
    - rewrite !T, swap_half by done. done.
    - rewrite !T, swap_half by done. done.
    - rewrite !T. unfold token_total, token_of. by rewrite (sw_hw _ _ _ _ _ _ S), Ep.
  Qed.

  Local Lemma swap_mapped base : region (gran s) base -> mapped (hw s') (gran s') (mem s') (holes s') base.
  Proof using I S.
    intros Hb. rewrite (sw_hw _ _ _ _ _ _ S), (sw_holes _ _ _ _ _ _ S).
    destruct (i_wired _ I _ Hb) as [_ W1 W2 W3 WS1 WS2 _]. destruct (i_mapped _ I _ Hb) as [M1 M2 M3 M4 M5 M6].
    assert (T : forall t r i, table_ok (hw s) (gran s) t r -> word (mem s') t i = word (mem s) t i).
    { intros t r i (_ & _ & _ & Hc). unfold word. rewrite (sw_page _ _ _ _ _ _ S); [done|..].
      - intros ->. specialize (Hc _ (sw_old _ _ _ _ _ _ S)). destruct old_kind as [K|K]; rewrite K in Hc; discriminate.
      - intros ->. destruct (has_state_inv _ _ _ (sw_rd _ _ _ _ _ _ S)) as (z & Hz & Hs). rewrite (Hc _ Hz) in Hs. discriminate. }
    assert (Hc : hole_count (gran s') base = hole_count (gran s) base).
    { unfold hole_count, hole_list. do 2 f_equal. apply List.filter_ext. intros i. by rewrite swap_ns. }
    constructor; rewrite ?Hc; try done.
    - by rewrite (T _ _ _ W1).
    - by rewrite (T _ _ _ W2).
    - intros i Hi. rewrite (T _ _ _ W3), swap_ns. by apply M3.
    - intros N. rewrite (T _ _ _ (WS1 N)). by apply M4.
    - intros N. rewrite (T _ _ _ (WS2 N)). by apply M5.
  Qed.
  Local Lemma swap_region base : region (gran s') base -> region (gran s) base.
  Proof using S.
    intros (H1 & H2 & i & Hi & H3). split; [done|]. split; [done|]. exists i. split; [done|].
    destruct (decide (nth_granule base i = rec)) as [->|N]; [rewrite (sw_old _ _ _ _ _ _ S); eauto|by rewrite <- other].
  Qed.
  Local Lemma swap_wired base : wired (hw s) (gran s) base -> wired (hw s) (gran s') base.
  Proof using S.
    assert (T : forall t r, table_ok (hw s) (gran s) t r -> table_ok (hw s) (gran s') t r).
    { intros t r (T1 & T2 & T3 & T4). split; [done|]. split; [done|]. split; [done|]. intros z Hz. destruct (decide (t = rec)) as [->|N].
      - specialize (T4 _ (sw_old _ _ _ _ _ _ S)). destruct old_kind as [K|K]; rewrite K in T4; discriminate.
      - rewrite other in Hz by done. by apply T4. }
    intros [W1 W2 W3 W4 W5 W6 W7]. constructor; auto.
  Qed.

  Theorem inv_swapped : inv s'.
  Proof using I S.
    constructor; try apply S.
    - intros p g. destruct (decide (p = rec)) as [->|N].
      + rewrite here. intros [= <-]. destruct (i_gran _ I _ _ (sw_old _ _ _ _ _ _ S)) as (G1 & G2 & _). split; [done|]. split; [done|]. split.
        * destruct (sw_to _ _ _ _ _ _ S) as [[-> _]|(_ & H & _)]; [done|apply H].
        * destruct (sw_to _ _ _ _ _ _ S) as [[-> _]|(_ & H & _)]; [unfold REFS_MAX; cbn; lia|apply H].
      + rewrite other by done. apply (i_gran _ I).
    - intros base Hb. rewrite (sw_hw _ _ _ _ _ _ S). by apply swap_wired, (i_wired _ I), swap_region.
    - intros base Hb. by apply swap_mapped, swap_region.
    - intros p g. destruct (decide (p = rec)) as [->|N].
      + rewrite here. intros [= <-] Hs. destruct (sw_to _ _ _ _ _ _ S) as [[-> Z]|((H & _) & _)]; [done|]. rewrite H in Hs. discriminate.
      + rewrite other by done. intros Hg Hs. rewrite (sw_page _ _ _ _ _ _ S); [by apply (i_zero _ I)|done|].
        intros ->. destruct (has_state_inv _ _ _ (sw_rd _ _ _ _ _ _ S)) as (z & Hz & E). rewrite Hg in Hz. injection Hz as <-. rewrite Hs in E. discriminate.
    - rewrite (sw_hw _ _ _ _ _ _ S). apply (i_hw _ I).
    - intros p g r. rewrite (sw_hw _ _ _ _ _ _ S). destruct (decide (p = rec)) as [->|N].
      + intros _ Hr. pose proof (i_host _ I _ _ _ (sw_old _ _ _ _ _ _ S) Hr) as E. destruct old_kind as [K|K]; rewrite K in E; discriminate.
      + rewrite other by done. apply (i_host _ I).
    - intros p g. destruct (decide (p = rec)) as [->|N].
      + rewrite here. intros [= <-]. destruct (sw_to _ _ _ _ _ _ S) as [[-> _]|((-> & -> & _) & _)]; [done|]. cbn [Z.eqb orb].
        rewrite swap_state by done. split; [|apply (sw_rd _ _ _ _ _ _ S)].
        destruct (has_state_inv _ _ _ (sw_rd _ _ _ _ _ _ S)) as (z & Hz & _). destruct (i_gran _ I _ _ Hz). lia.
      + rewrite other by done. intros Hg. rewrite swap_state by done. exact (i_owner _ I _ _ Hg).
    - intros r H. rewrite swap_state in H by done. by apply swap_realm.
    - intros r r' H H'. rewrite swap_state in H, H' by done. rewrite !swap_rd by done. by apply (i_vmid _ I).
    - apply swap_rec_ok.
    - intros t p Hp. rewrite (sw_places _ _ _ _ _ _ S) in Hp. by apply swap_stands.
    - intros t H. rewrite swap_state in H by done. rewrite (sw_places _ _ _ _ _ _ S). by apply (i_placed _ I).
    - intros p g Hg Hs. destruct (decide (p = rec)) as [->|N].
      + rewrite here in Hg. injection Hg as <-. destruct new_kind as [K|K]; rewrite K in Hs; discriminate.
      + rewrite other in Hg by done. destruct (i_data _ I _ _ Hg Hs) as (t & i & ipa & M). exists t, i, ipa. by apply swap_maps.
    - intros r r' t t' i i' ipa ipa' pa M M'. apply swap_maps in M, M'. by apply (i_once _ I _ _ _ _ _ _ _ _ _ M M').
    - intros pa H. rewrite swap_uses, swap_runs. rewrite swap_ns in H. unfold granule_at. rewrite other; [by apply (i_pins _ I)|].
      intros ->. unfold is_ns in H. rewrite (sw_old _ _ _ _ _ _ S) in H. destruct old_kind as [K|K]; rewrite K in H; discriminate.
    - intros r H. rewrite (sw_cached _ _ _ _ _ _ S) in H. rewrite swap_state by done. by apply (i_cached _ I).
    - rewrite (sw_runs _ _ _ _ _ _ S). intros N. destruct (i_runs _ I N) as [R1 R2].
      assert (Nr : runs s <> rec).
      { intros E. rewrite E in R1, R2. destruct (has_state_inv _ _ _ R1) as (z & Hz & Hs). rewrite (sw_old _ _ _ _ _ _ S) in Hz. injection Hz as <-.
        destruct (sw_from _ _ _ _ _ _ S) as [K|(_ & _ & K)]; [rewrite K in Hs; discriminate|rewrite K in R2; discriminate]. }
      split; [unfold has_state in *; by rewrite other|]. unfold rec_of, rec_get, word in *. by rewrite swap_rec.
    - rewrite (sw_loaded _ _ _ _ _ _ S), (sw_runs _ _ _ _ _ _ S), (sw_live _ _ _ _ _ _ S). apply (i_loaded _ I).
  Qed.
End swapped.
