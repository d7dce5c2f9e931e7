(* SPDX-License-Identifier: Apache-2.0 *)
(* RMI_GRANULE_DELEGATE and UNDELEGATE leave the invariant as they found it. *)
From kcore Require Export refine.HostmemRefine.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* Projections of a state that is changed in some fields. *)
Ltac project := cbn [hw gran mem held shrinking others staled holes vmids clock params run hash_page digest runs loaded
  live vtimer_masked counters logged places cached with_gran with_mem with_holes with_counters].

Lemma table_ok_insert h g t r pa x y :
  table_ok h g t r -> g !! pa = Some x -> g_state x <> GS_CORE -> table_ok h (<[pa := y]> g) t r.
Proof.
  intros H Hx Hn. pose proof (not_table _ _ _ _ _ _ H Hx Hn) as Hne. destruct H as (P & A & R & C).
  unfold table_ok. split_and!; try done; try lia. intros z. rewrite lookup_insert_ne by congruence. apply C.
Qed.

Lemma wired_insert h g base pa x y :
  wired h g base -> g !! pa = Some x -> g_state x <> GS_CORE -> wired h (<[pa := y]> g) base.
Proof. intros [] Hx Hn. constructor; eauto using table_ok_insert. Qed.

Lemma region_insert g base pa x y : g !! pa = Some x -> region (<[pa := y]> g) base -> region g base.
Proof.
  intros Hx (A & P & i & Hi & Hs). split_and!; try done; try apply P. exists i. split; [done|].
  destruct (decide (pa = nth_granule base i)) as [->|]; [eauto|]. by rewrite lookup_insert_ne in Hs by done.
Qed.

Lemma hole_count_other g pa y b : pa mod 4096 = 0 -> b mod 0x200000 = 0 -> b <> floor_of 2 pa ->
  hole_count (<[pa := y]> g) b = hole_count g b.
Proof.
  intros Ha Hb Hne. unfold hole_count, hole_list. do 2 f_equal. apply List.filter_ext_in.
  intros i Hi%granules_In. f_equal. rewrite is_ns_insert, decide_False; [done|].
  intros E. apply Hne. rewrite E. symmetry. by apply floor2_nth.
Qed.

(* It changes hands between the host and nobody, and no realm uses it. *)
Lemma hosts_kept s s' pa x y :
  inv s -> gran s !! pa = Some x -> gran s' = <[pa := y]> (gran s) ->
  g_state x = GS_NS \/ g_state x = GS_DELEGATED -> g_state y = GS_NS \/ g_state y = GS_DELEGATED ->
  g_refs x = 0 -> 0 <= g_refs y ->
  hw s' = hw s -> vmids s' = vmids s -> places s' = places s -> cached s' = cached s ->
  (forall p, p <> pa -> is_object (gran s) p = true -> page (mem s') p = page (mem s) p) -> kept s s'.
Proof.
  intros I Hx Eg Sx Sy Rx Ry E1 E2 E3 E4 Hm.
  destruct (i_gran _ I _ _ Hx) as (_ & Ha & _).
  assert (No : is_object (gran s) pa = false) by (unfold is_object; rewrite Hx; by destruct Sx as [-> | ->]).
  assert (Hu : uses s pa + runs_on s pa = 0).
  { destruct Sx as [Sx|Sx].
    - pose proof (i_pins _ I pa) as H. unfold is_ns, granule_at in H. rewrite Hx in H. cbn [default from_option id] in H.
      rewrite Sx, Rx in H. specialize (H eq_refl). pose proof (uses_nonneg s pa). pose proof (runs_nonneg s pa). lia.
    - assert (Hn : is_ns (gran s) pa = false) by (unfold is_ns; by rewrite Hx, Sx).
      rewrite uses_free, runs_free; try done. intros rd. unfold own_data. by rewrite Hx, Sx. }
  constructor; try done.
  - intros p Hp. rewrite Eg, lookup_insert_ne; [done|]. congruence.
  - intros p Hp. apply Hm; [congruence|done].
  - intros p. unfold is_object. rewrite Eg. destruct (decide (pa = p)) as [<-|]; [|by rewrite lookup_insert_ne].
    rewrite lookup_insert. by destruct Sy as [-> | ->].
  - intros p Hp Hn. unfold is_ns. rewrite Eg, lookup_insert_ne; [done|]. intros <-. lia.
  - intros p. unfold is_ns, granule_at. rewrite Eg. destruct (decide (pa = p)) as [<-|].
    + rewrite lookup_insert. cbn [default from_option id]. lia.
    + rewrite lookup_insert_ne by done. apply (i_pins _ I).
Qed.

(* One granule changes hands: what its tables must say then. *)
Lemma inv_change s s' pa x y (i3 := slot_of 3 pa) (i2 := slot_of 2 pa) (base := floor_of 2 pa)
    (t2 := host_table (hw s) 2 (floor_of 2 pa)) (t3 := host_table (hw s) 3 (floor_of 2 pa)) :
  inv s -> gran s !! pa = Some x -> g_state x <> GS_CORE -> 0 <= g_refs y <= REFS_MAX ->
  hw s' = hw s -> gran s' = <[pa := y]> (gran s) -> mem_ok (mem s') ->
  (forall t r i, role_of (hw s) t = Some r -> 0 <= i < 512 ->
     (r = Role None 3 base -> i <> i3) -> (r = Role (Some Cpu) 2 (floor_of 1 base) -> i <> i2) ->
     t <> pa -> word (mem s') t i = word (mem s) t i) ->
  word (mem s') t3 i3 = (if is_ns (gran s') pa then host_page pa else 0) ->
  word (mem s') t2 i2 = (if hole_count (gran s') base =? 0 then host_block base else table_desc t3) ->
  holes s' = <[base := hole_count (gran s') base]> (holes s) ->
  (forall p z, p <> pa -> gran s !! p = Some z -> g_state z = GS_DELEGATED -> page (mem s') p = page (mem s) p) ->
  (g_state y = GS_DELEGATED -> page (mem s') pa = zero_page /\ g_owner y = 0 /\ g_refs y = 0) ->
  kept s s' -> words_u64 (mem s') -> g_owner y = 0 -> g_state y = GS_NS \/ g_state y = GS_DELEGATED ->
  (params s' = params s /\ run s' = run s /\ hash_page s' = hash_page s /\ digest s' = digest s /\ live s' = live s) ->
  (runs s' = runs s /\ loaded s' = loaded s) ->
  inv s'.
Proof.
  intros I Hx Hn Hr Eh Eg Hm Hw H3 H2 Ho Hz Hy K Wd Yo Ys (L1 & L2 & L3 & L4 & L5) (L6 & L7).
  destruct (i_gran _ I _ _ Hx) as (Ppa & Apa & _). destruct (kept_realms _ _ I K).
  constructor; try assumption.
  - intros p z. rewrite Eg. destruct (decide (pa = p)) as [<-|].
    + rewrite lookup_insert. intros [= <-]. done.
    + rewrite lookup_insert_ne by done. apply (i_gran _ I).
  - intros b Hb. rewrite Eg in Hb. rewrite Eh, Eg.
    eapply wired_insert; eauto. apply (i_wired _ I). eapply region_insert; eauto.
  - intros b Hb. rewrite Eg in Hb. pose proof (region_insert _ _ _ _ _ Hx Hb) as Hb'.
    pose proof (i_wired _ I _ Hb') as W. pose proof (i_mapped _ I _ Hb') as Mb.
    assert (Hne : forall t r, table_ok (hw s) (gran s) t r -> t <> pa) by (intros; eapply not_table; eauto).
    pose proof (Hne _ _ (w_t1 _ _ _ W)) as D1. pose proof (Hne _ _ (w_t2 _ _ _ W)) as D2.
    pose proof (Hne _ _ (w_t3 _ _ _ W)) as D3.
    destruct Hb' as (Ab & Pb & _).
    destruct (w_t1 _ _ _ W) as (_ & _ & R1 & _), (w_t2 _ _ _ W) as (_ & _ & R2 & _), (w_t3 _ _ _ W) as (_ & _ & R3 & _).
    rewrite Eh. constructor.
    + rewrite (Hw _ _ _ R1); [apply (m_1 _ _ _ _ _ Mb)|apply slot_range|discriminate..|done].
    + destruct (Z.eq_dec b base) as [->|Hd].
      * unfold base. rewrite slot2_floor. exact H2.
      * rewrite Eg, (hole_count_other _ pa y b) by done.
        rewrite (Hw _ _ _ R2); [apply (m_2 _ _ _ _ _ Mb)|apply slot_range|discriminate| |done].
        intros [= E] E'. apply Hd. unfold base, i2 in *. rewrite <- slot2_floor in E'. clear - Ab Apa E E'. addr.
    + intros i Hi. destruct (Z.eq_dec b base) as [->|Hd].
      * destruct (Z.eq_dec i i3) as [->|Hd'].
        -- unfold base, i3. rewrite granule_nth by done. exact H3.
        -- rewrite (Hw _ _ _ R3); [|done|done|discriminate|done].
           rewrite Eg, is_ns_insert, decide_False; [apply (m_3 _ _ _ _ _ Mb _ Hi)|].
           intros E. apply Hd'. unfold i3. rewrite E. symmetry. by apply slot3_nth.
      * rewrite (Hw _ _ _ R3); [|done|congruence|discriminate|done].
        rewrite Eg, is_ns_insert, decide_False; [apply (m_3 _ _ _ _ _ Mb _ Hi)|].
        intros E. apply Hd. unfold base. rewrite E. symmetry. by apply floor2_nth.
    + intros N. pose proof (w_s1 _ _ _ W N) as S. pose proof (Hne _ _ S) as D. destruct S as (_ & _ & R & _).
      rewrite (Hw _ _ _ R); [by apply (m_s1 _ _ _ _ _ Mb)|apply slot_range|discriminate..|done].
    + intros N. pose proof (w_s2 _ _ _ W N) as S. pose proof (Hne _ _ S) as D. destruct S as (_ & _ & R & _).
      rewrite (Hw _ _ _ R); [by apply (m_s2 _ _ _ _ _ Mb)|apply slot_range|discriminate..|done].
    + rewrite Ho. destruct (decide (base = b)) as [<-|Hd]; [by rewrite lookup_insert|].
      rewrite lookup_insert_ne by done. rewrite Eg, (hole_count_other _ pa y b) by (done || congruence).
      apply (m_holes _ _ _ _ _ Mb).
  - intros p z. rewrite Eg. destruct (decide (pa = p)) as [<-|].
    + rewrite lookup_insert. intros [= <-]. apply Hy.
    + rewrite lookup_insert_ne by done. intros Hp Hs. rewrite (Hz p z) by done. by apply (i_zero _ I).
  - rewrite Eh. apply (i_hw _ I).
  - rewrite L1, L2, L3, L4, L5. apply (i_scratch _ I).
  - intros p z r. rewrite Eg, Eh. destruct (decide (pa = p)) as [<-|].
    + intros _ R. destruct Hn. by eapply (i_host _ I).
    + rewrite lookup_insert_ne by done. apply (i_host _ I).
  - intros p z. rewrite Eg. destruct (decide (pa = p)) as [<-|].
    + rewrite lookup_insert. intros [= <-]. by destruct Ys as [-> | ->].
    + rewrite lookup_insert_ne by done. intros Hp. rewrite (kept_state _ _ K) by auto. by apply (i_owner _ I _ _ Hp).
  - rewrite L6. intros N. destruct (i_runs _ I N) as [R1 R2]. by rewrite (kept_state _ _ K), (kept_rec _ _ K) by auto.
  - rewrite L5, L6, L7. apply (i_loaded _ I).
Qed.

Lemma small_u64 x a : x mod 4096 = 0 -> 0 <= a < 4096 -> 0 <= x < 2 ^ 48 -> u64 (Z.lor x a).
Proof. intros. rewrite (lor_disjoint 12) by (lia || done). unfold u64. lia. Qed.
Lemma table_desc_u64 t : 0 < t < 2 ^ 48 -> t mod 4096 = 0 -> u64 (table_desc t).
Proof. intros. apply small_u64; [done|unfold S2_TABLE; lia|lia]. Qed.
Lemma host_page_u64 t : 0 <= t < 2 ^ 48 -> t mod 4096 = 0 -> u64 (host_page t).
Proof. intros. unfold host_page. rewrite lor3. apply small_u64; [done|split; reflexivity || discriminate|lia]. Qed.
Lemma host_block_u64 t : 0 <= t < 2 ^ 48 -> t mod 4096 = 0 -> u64 (host_block t).
Proof. intros. unfold host_block. rewrite lor3. apply small_u64; [done|split; reflexivity || discriminate|lia]. Qed.

Theorem delegate_inv pa s : inv s -> inv (snd (delegate pa s)).
Proof.
  intros I. unfold delegate. destruct (claimable GS_NS pa s) eqn:Hc; [|exact I].
  destruct (claimable_inv _ _ _ Hc) as (x & Hx & Hns & _). rewrite (granule_at_eq _ _ _ Hx).
  destruct (Z.eqb_spec (g_refs x) 0); [|exact I]. cbn [andb snd].
  destruct (tracked_facts _ _ _ I Hx) as [[Ppa Apa] R Hnear].
  destruct (Hnear 2) as [N2 _], (Hnear 3) as [N3 _].
  pose proof (i_wired _ I _ R) as W. pose proof (i_mapped _ I _ R) as Mb.
  pose proof (w_t2 _ _ _ W) as W2. pose proof (w_t3 _ _ _ W) as W3.
  assert (Hcore : g_state x <> GS_CORE) by (rewrite Hns; discriminate).
  pose proof (not_table _ _ _ _ _ _ W2 Hx Hcore) as D2. pose proof (not_table _ _ _ _ _ _ W3 Hx Hcore) as D3.
  destruct W2 as (P2 & A2 & R2 & C2), W3 as (P3 & A3 & R3 & C3).
  assert (T23 : host_table (hw s) 2 (floor_of 2 pa) <> host_table (hw s) 3 (floor_of 2 pa)) by (intros E; rewrite E, R3 in R2; discriminate).
  pose proof (i_mem _ I) as Hm. pose proof (slot_range 2 pa). pose proof (slot_range 3 pa).
  assert (Hole : hole_count (<[pa := Gran GS_DELEGATED 0 0]> (gran s)) (floor_of 2 pa) = hole_count (gran s) (floor_of 2 pa) + 1).
  { destruct (hole_opened (gran s) (<[pa := Gran GS_DELEGATED 0 0]> (gran s)) (floor_of 2 pa) (slot_of 3 pa)) as [E _];
      [addr|apply slot_range|..|exact E]; rewrite ?granule_nth by done.
    - unfold is_ns. rewrite Hx, Hns. reflexivity.
    - rewrite is_ns_insert, decide_True by done. reflexivity.
    - intros p Hp. by rewrite is_ns_insert, decide_False. }
  pose proof (hole_count_range (gran s) (floor_of 2 pa)).
  unfold counted, set_granule, put_page, host_unmapped. 
  eapply (inv_change s _ pa x (Gran GS_DELEGATED 0 0)); try reflexivity; project; rewrite ?N2, ?N3.
  - exact I.
  - exact Hx.
  - exact Hcore.
  - simpl. unfold REFS_MAX. lia.
  - intros p l. destruct (decide (pa = p)) as [<-|]; [rewrite lookup_insert; intros [= <-]; reflexivity|].
    rewrite lookup_insert_ne by done. apply set_word_ok, set_word_ok, Hm.
  - intros t r i Hr Hi E3 E2 Ht. unfold word. rewrite page_insert_other by congruence.
    fold (word (set_word (set_word (mem s) (host_table (hw s) 3 (floor_of 2 pa)) (slot_of 3 pa) 0)
      (host_table (hw s) 2 (floor_of 2 pa)) (slot_of 2 pa) (table_desc (host_table (hw s) 3 (floor_of 2 pa)))) t i).
    destruct (decide (host_table (hw s) 2 (floor_of 2 pa) = t)) as [<-|].
    + rewrite word_set_slot by (try lia; intros <-; by apply E2; congruence). by rewrite word_set_page by done.
    + rewrite word_set_page by done. destruct (decide (host_table (hw s) 3 (floor_of 2 pa) = t)) as [<-|].
      * by rewrite word_set_slot by (try lia; intros <-; by apply E3; congruence).
      * by rewrite word_set_page by done.
  - rewrite is_ns_insert, decide_True by done. cbn [g_state]. unfold word. rewrite page_insert_other by congruence.
    fold (word (set_word (set_word (mem s) (host_table (hw s) 3 (floor_of 2 pa)) (slot_of 3 pa) 0)
      (host_table (hw s) 2 (floor_of 2 pa)) (slot_of 2 pa) (table_desc (host_table (hw s) 3 (floor_of 2 pa))))
      (host_table (hw s) 3 (floor_of 2 pa)) (slot_of 3 pa)).
    rewrite word_set_page by done. by rewrite word_set_same by done.
  - rewrite Hole. rewrite (proj2 (Z.eqb_neq (hole_count (gran s) (floor_of 2 pa) + 1) 0)) by lia.
    unfold word. rewrite page_insert_other by congruence. apply word_set_same; [|done]. by apply set_word_ok.
  - rewrite Hole, (m_holes _ _ _ _ _ Mb). reflexivity.
  - intros p z Hp Hz Hd. rewrite page_insert_other by congruence.
    assert (host_table (hw s) 2 (floor_of 2 pa) <> p) by (intros <-; rewrite (C2 _ Hz) in Hd; discriminate).
    assert (host_table (hw s) 3 (floor_of 2 pa) <> p) by (intros <-; rewrite (C3 _ Hz) in Hd; discriminate).
    by rewrite !page_set_page by done.
  - intros _. by rewrite page_insert_same.
  - assert (Hr0 : g_refs x = 0) by lia.
    eapply (hosts_kept s _ pa x (Gran GS_DELEGATED 0 0)); try reflexivity; auto; project; rewrite ?N2, ?N3.
    intros p Hp Ho. rewrite page_insert_other by congruence. unfold is_object in Ho. destruct (gran s !! p) as [z|] eqn:Hz; [|done].
    assert (host_table (hw s) 2 (floor_of 2 pa) <> p) by (intros <-; rewrite (C2 _ Hz) in Ho; discriminate).
    assert (host_table (hw s) 3 (floor_of 2 pa) <> p) by (intros <-; rewrite (C3 _ Hz) in Ho; discriminate).
    by rewrite !page_set_page by done.
  - refine (words_put _ _ _ (words_set _ _ _ _ (words_set _ _ _ _ (i_words _ I) u64_0) _) zero_words).
    by apply table_desc_u64.
  - by right.
  - done.
  - done.
Qed.

Theorem undelegate_inv pa s : inv s -> inv (snd (undelegate pa s)).
Proof.
  intros I. unfold undelegate. destruct (claimable GS_DELEGATED pa s) eqn:Hc; [|exact I].
  destruct (claimable_inv _ _ _ Hc) as (x & Hx & Hns & _). cbn [snd].
  destruct (tracked_facts _ _ _ I Hx) as [[Ppa Apa] R Hnear].
  destruct (Hnear 2) as [N2 _], (Hnear 3) as [N3 _].
  pose proof (i_wired _ I _ R) as W. pose proof (i_mapped _ I _ R) as Mb.
  pose proof (w_t2 _ _ _ W) as W2. pose proof (w_t3 _ _ _ W) as W3.
  assert (Hcore : g_state x <> GS_CORE) by (rewrite Hns; discriminate).
  assert (Hn : is_ns (gran s) pa = false) by (unfold is_ns; rewrite Hx, Hns; reflexivity).
  destruct W2 as (P2 & A2 & R2 & C2), W3 as (P3 & A3 & R3 & C3).
  assert (T23 : host_table (hw s) 2 (floor_of 2 pa) <> host_table (hw s) 3 (floor_of 2 pa)) by (intros E; rewrite E, R3 in R2; discriminate).
  pose proof (i_mem _ I) as Hm. pose proof (slot_range 2 pa). pose proof (slot_range 3 pa).
  destruct (hole_closed (gran s) pa (Gran GS_NS 0 0) Apa Ppa eq_refl Hn) as [Hole _].
  pose proof (hole_count_range (<[pa := Gran GS_NS 0 0]> (gran s)) (floor_of 2 pa)).
  pose proof (m_2 _ _ _ _ _ Mb) as M2. rewrite slot2_floor in M2.
  rewrite (proj2 (Z.eqb_neq (hole_count (gran s) (floor_of 2 pa)) 0)) in M2 by lia.
  unfold counted, host_mapped, set_granule.
  eapply (inv_change s _ pa x (Gran GS_NS 0 0)); try reflexivity; project; rewrite ?N2, ?N3, ?(m_holes _ _ _ _ _ Mb);
    cbn [default from_option id].
  - exact I.
  - exact Hx.
  - exact Hcore.
  - simpl. unfold REFS_MAX. lia.
  - destruct (_ =? 0); auto using set_word_ok.
  - intros t r i Hr Hi E3 E2 Ht.
    assert (K3 : word (set_word (mem s) (host_table (hw s) 3 (floor_of 2 pa)) (slot_of 3 pa) (host_page pa)) t i = word (mem s) t i).
    { destruct (decide (host_table (hw s) 3 (floor_of 2 pa) = t)) as [<-|].
      - by rewrite word_set_slot by (try lia; intros <-; by apply E3; congruence).
      - by rewrite word_set_page by done. }
    destruct (_ =? 0); [|exact K3].
    destruct (decide (host_table (hw s) 2 (floor_of 2 pa) = t)) as [<-|].
    + rewrite word_set_slot by (try lia; intros <-; by apply E2; congruence). exact K3.
    + rewrite word_set_page by done. exact K3.
  - rewrite is_ns_insert, decide_True by done. cbn [g_state].
    destruct (_ =? 0); [rewrite word_set_page by done|]; by rewrite word_set_same by done.
  - replace (hole_count (gran s) (floor_of 2 pa) - 1) with (hole_count (<[pa := Gran GS_NS 0 0]> (gran s)) (floor_of 2 pa)) by lia.
    destruct (_ =? 0).
    + apply word_set_same; auto using set_word_ok.
    + rewrite word_set_page by congruence. exact M2.
  - rewrite Hole. f_equal. lia.
  - intros p z Hp Hz Hd.
    assert (host_table (hw s) 2 (floor_of 2 pa) <> p) by (intros <-; rewrite (C2 _ Hz) in Hd; discriminate).
    assert (host_table (hw s) 3 (floor_of 2 pa) <> p) by (intros <-; rewrite (C3 _ Hz) in Hd; discriminate).
    destruct (_ =? 0); by rewrite ?page_set_page by done.
  - discriminate.
  - destruct (i_zero _ I _ _ Hx Hns) as (_ & _ & Hr0).
    eapply (hosts_kept s _ pa x (Gran GS_NS 0 0)); try reflexivity; auto; project; rewrite ?N2, ?N3.
    intros p Hp Ho. unfold is_object in Ho. destruct (gran s !! p) as [z|] eqn:Hz; [|done].
    assert (host_table (hw s) 2 (floor_of 2 pa) <> p) by (intros <-; rewrite (C2 _ Hz) in Ho; discriminate).
    assert (host_table (hw s) 3 (floor_of 2 pa) <> p) by (intros <-; rewrite (C3 _ Hz) in Ho; discriminate).
    destruct (_ =? 0); by rewrite ?page_set_page by done.
  - assert (words_u64 (set_word (mem s) (host_table (hw s) 3 (floor_of 2 pa)) (slot_of 3 pa) (host_page pa))).
    { refine (words_set _ _ _ _ (i_words _ I) _). apply host_page_u64; [lia|done]. }
    destruct (_ =? 0); [|done]. refine (words_set _ _ _ _ _ _); [done|]. destruct R as (Rb & Rp & _).
    apply host_block_u64; [lia|]. clear - Rb. Z.to_euclidean_division_equations; lia.
  - by left.
  - done.
  - done.
Qed.

(* Nothing is held afterwards, and nothing waits for an invalidation. *)
Theorem delegate_idle pa s : idle s -> idle (snd (delegate pa s)).
Proof. unfold delegate. intros H. destruct (_ && _); exact H. Qed.
Theorem undelegate_idle pa s : idle s -> idle (snd (undelegate pa s)).
Proof. unfold undelegate. intros H. destruct (claimable _ _ _); exact H. Qed.
