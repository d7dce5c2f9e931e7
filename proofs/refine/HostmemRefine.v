(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c *)
From kcore Require Export refine.TreeFacts.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma agent_refl a : agent_eqb a a = true.
Proof. destruct a; reflexivity. Qed.

Lemma bbm_break old d : is_valid d = false -> bbm old d = true.
Proof. unfold bbm. intros ->. by rewrite andb_false_r. Qed.
Lemma bbm_make old d : is_valid old = false -> bbm old d = true.
Proof. unfold bbm. by intros ->. Qed.

(* What a write to a host table needs and does. *)
Lemma host_write_ok s t i d r :
  role_of (hw s) t = Some r -> holds LHost s = true -> in_page i = true -> bbm (word (mem s) t i) d = true ->
  (is_valid d = true -> host_desc_ok s r i d = true) -> may_write t i d s = true.
Proof.
  intros Hr Hl Hi Hb Hd. unfold may_write. rewrite Hr, Hl, Hi, Hb. destruct (is_valid d); auto.
Qed.

Lemma host_read_ok s t i r :
  role_of (hw s) t = Some r -> holds LHost s = true -> in_page i = true -> may_read t i s = true.
Proof. intros Hr Hl Hi. unfold may_read. by rewrite Hr, Hl, Hi. Qed.

Lemma after_write_invalid s t i d r :
  role_of (hw s) t = Some r -> is_valid (word (mem s) t i) = false ->
  after_write t i d s = with_staled (staled s) (put_word t i d s).
Proof. unfold after_write. by intros -> ->. Qed.

Lemma after_write_valid s t i d r :
  role_of (hw s) t = Some r -> is_valid (word (mem s) t i) = true -> is_valid d = false ->
  after_write t i d s =
  with_staled (left_behind s r t i (word (mem s) t i) ++ staled s) (put_word t i d s).
Proof.
  unfold after_write. intros -> H1 H2. rewrite H1. destruct (Z.eqb_spec (word (mem s) t i) d); [congruence|].
  reflexivity.
Qed.

Lemma holes_now s pa : region (gran s) (floor_of 2 pa) -> inv s ->
  default 0 (holes s !! floor_of 2 pa) = hole_count (gran s) (floor_of 2 pa).
Proof. intros R I. by rewrite (m_holes _ _ _ _ _ (i_mapped _ I _ R)). Qed.

(* All that the invariant says about one tracked granule, in terms of its own address. *)
Record here (h : hardware) (g : gmap Z granule) (m : gmap Z (list Z)) (ho : gmap Z Z)
    (pa t1 t2 t3 s1 s2 base : Z) := Here {
  e_pa : 0 < pa < 2 ^ 40 /\ pa mod 4096 = 0;
  e_base : base = floor_of 2 pa /\ base mod 0x200000 = 0 /\ 0 <= base < 2 ^ 48 /\ base mod 4096 = 0;
  e_self : base + slot_of 3 pa * 4096 = pa;
  e_t1 : host_table h 1 pa = t1;
  e_t2 : host_table h 2 pa = t2;
  e_t3 : host_table h 3 pa = t3;
  e_s1 : smmu_table h 1 pa = s1;
  e_s2 : smmu_table h 2 pa = s2;
  e_b2 : host_table h 2 base = t2;
  e_b3 : host_table h 3 base = t3;
  e_c2 : smmu_table h 2 base = s2;
  e_w1 : table_ok h g t1 (Role (Some Cpu) 1 (floor_of 0 base));
  e_w2 : table_ok h g t2 (Role (Some Cpu) 2 (floor_of 1 base));
  e_w3 : table_ok h g t3 (Role None 3 base);
  e_v1 : s1 <> 0 -> table_ok h g s1 (Role (Some Smmu) 1 (floor_of 0 base));
  e_v2 : s1 <> 0 -> table_ok h g s2 (Role (Some Smmu) 2 (floor_of 1 base));
  e_v0 : s1 = 0 -> s2 = 0;
  e_m1 : word m t1 (slot_of 1 pa) = table_desc t2;
  e_m2 : word m t2 (slot_of 2 pa) = if hole_count g base =? 0 then host_block base else table_desc t3;
  e_m3 : word m t3 (slot_of 3 pa) = if is_ns g pa then host_page pa else 0;
  e_n1 : s1 <> 0 -> word m s1 (slot_of 1 pa) = table_desc s2;
  e_n2 : s1 <> 0 -> word m s2 (slot_of 2 pa) = table_desc t3;
  e_holes : ho !! base = Some (hole_count g base);
}.

Lemma here_of s pa g : inv s -> gran s !! pa = Some g ->
  exists t1 t2 t3 s1 s2 base, here (hw s) (gran s) (mem s) (holes s) pa t1 t2 t3 s1 s2 base.
Proof.
  intros I Hg. destruct (tracked_facts _ _ _ I Hg) as [[Hpa Ha] R Hnear].
  pose proof (i_wired _ I _ R) as W. pose proof (i_mapped _ I _ R) as Mp.
  destruct (Hnear 1) as [N1 S1], (Hnear 2) as [N2 S2], (Hnear 3) as [N3 _].
  pose proof (m_3 _ _ _ _ _ Mp (slot_of 3 pa) (slot_range 3 pa)) as M3.
  rewrite granule_nth in M3 by done.
  eexists _, _, _, _, _, (floor_of 2 pa).
  constructor; try reflexivity; rewrite ?N1, ?N2, ?N3, ?S1, ?S2; try reflexivity.
  - done.
  - split_and!; [reflexivity|addr..].
  - by apply granule_nth.
  - apply (w_t1 _ _ _ W).
  - apply (w_t2 _ _ _ W).
  - apply (w_t3 _ _ _ W).
  - apply (w_s1 _ _ _ W).
  - apply (w_s2 _ _ _ W).
  - apply (w_s0 _ _ _ W).
  - rewrite <- slot1_floor. apply (m_1 _ _ _ _ _ Mp).
  - rewrite <- slot2_floor. apply (m_2 _ _ _ _ _ Mp).
  - exact M3.
  - rewrite <- slot1_floor. apply (m_s1 _ _ _ _ _ Mp).
  - rewrite <- slot2_floor. apply (m_s2 _ _ _ _ _ Mp).
  - apply (m_holes _ _ _ _ _ Mp).
Qed.


(* The valid bit of what is written, and the tables that are not each other. *)
Lemma broken_0 : broken 0 = 0. Proof. reflexivity. Qed.

Lemma forget_smmu h m g hl sh ot ho vm ck pr rn hp dg rs ld lv vt ct lg pl ca pa (c : bool) :
  pa mod 4096 = 0 ->
  forget (gone_page Smmu pa) (State h g m hl sh ot ((if c then [StaleHost Smmu RPage pa] else []) ++ []) ho vm ck
    pr rn hp dg rs ld lv vt ct lg pl ca) =
  State h g m hl sh ot [] ho vm ck pr rn hp dg rs ld lv vt ct lg pl ca.
Proof.
  intros H. unfold forget. fields. destruct c; cbn [List.filter app gone_page agent_eqb]; [|reflexivity].
  by rewrite (floor3_aligned pa H), Z.eqb_refl.
Qed.

Lemma entry2_base base pa : base = floor_of 2 pa -> floor_of 1 base + slot_of 2 pa * 0x200000 = base.
Proof. intros ->. addr. Qed.
Lemma slot2_base base pa : base = floor_of 2 pa -> slot_of 2 base = slot_of 2 pa.
Proof. intros ->. apply slot2_floor. Qed.

Lemma left_here s base pa t : forall d, base + slot_of 3 pa * 4096 = pa ->
  left_behind s (Role None 3 base) t (slot_of 3 pa) d =
  ((if linked s Cpu base t then [StaleHost Cpu RPage pa] else []) ++
   (if linked s Smmu base t then [StaleHost Smmu RPage pa] else []))%list.
Proof. intros d E. unfold left_behind. by rewrite E. Qed.

Lemma linked_cpu s base pa t t2 : base = floor_of 2 pa -> host_table (hw s) 2 base = t2 -> 0 < t2 ->
  linked s Cpu base t = (word (mem s) t2 (slot_of 2 pa) =? table_desc t).
Proof.
  intros Eb E H. unfold linked. rewrite E, (slot2_base _ _ Eb), (proj2 (Z.eqb_neq t2 0)) by lia. reflexivity.
Qed.
Lemma linked_smmu s base pa t s1 s2 : base = floor_of 2 pa -> smmu_table (hw s) 2 base = s2 ->
  (s1 = 0 -> s2 = 0) -> (s1 <> 0 -> 0 < s2) -> (s1 <> 0 -> word (mem s) s2 (slot_of 2 pa) = table_desc t) ->
  linked s Smmu base t = negb (s1 =? 0).
Proof.
  intros Eb E H0 Hp Hw. unfold linked. rewrite E, (slot2_base _ _ Eb). destruct (Z.eqb_spec s1 0).
  - rewrite H0 by done. reflexivity.
  - rewrite Hw, (proj2 (Z.eqb_neq s2 0)) by (auto; specialize (Hp n); lia). apply Z.eqb_refl.
Qed.

Theorem host_unmap_ok pa s :
  inv s -> is_ns (gran s) pa = true -> holds LHost s = true -> staled s = [] ->
  core "host_unmap" [pa] s = Some ([], host_unmapped pa s).
Proof.
  intros I Hns Hl Hst. pose proof Hns as Hns'.
  unfold is_ns in Hns. destruct (gran s !! pa) as [gr|] eqn:Hg; [|discriminate].
  destruct (here_of _ _ _ I Hg) as (t1 & t2 & t3 & s1 & s2 & base & H).
  pose proof (i_mem _ I) as Hm. clear I.
  open s. fields_in H. fields_in Hst. fields_in Hm. fields_in Hns'. subst st.
  destruct H as [[Ppa Apa] (Eb & Ab & Pb & Ab') Self T1 T2 T3 S1 S2 B2 B3 C2 W1 W2 W3 V1 V2 V0 M1 M2 M3 N1 N2 Ho].
  rewrite Hns' in M3.
  destruct W2 as (P2 & A2 & R2 & _), W3 as (P3 & A3 & R3 & _).
  assert (T23 : t2 <> t3) by (intros ->; rewrite R3 in R2; discriminate).
  destruct (table_desc_ok _ P3 A3) as (VT & IT & OT & NZ).
  destruct (host_page_ok pa ltac:(lia) Apa) as (VP & _ & _).
  destruct (host_block_ok base ltac:(lia) ltac:(lia)) as (VB & IB & _ & _).
  pose proof (hole_count_range g base) as Hc.
  pose proof (slot_range 2 pa) as L2. pose proof (slot_range 3 pa) as L3.
  enter f_host_unmap.
  prim. prim. rewrite T2, T3. call s2_slot_ok. call s2_slot_ok.
  prim; [|eapply host_read_ok; [exact R2 | exact Hl | apply slot_in_page]].
  prim; [|exact Hl]. rewrite <- Eb, Ho. cbn [default from_option id].
  call s2_is_table_ok. rewrite M2.
  destruct (hole_count g base =? 0) eqn:Hz.
  - (* the block is split *)
    rewrite IB. cbn [negb].
    call s2_break_ok; [|rewrite broken_0; eapply host_write_ok; [exact R2|exact Hl|apply slot_in_page|by apply bbm_break|discriminate]].
    rewrite broken_0.
    erewrite after_write_valid; [|exact R2|fields; by rewrite M2|reflexivity].
    cbn [left_behind app]. fields. rewrite M2, IB, (entry2_base _ _ Eb).
    prim. unfold forget at 1. fields. cbn [List.filter gone_page agent_eqb andb]. rewrite <- Eb, Z.eqb_refl. cbn [negb].
    call s2_break_ok; [|rewrite broken_0; eapply host_write_ok; [exact R3|exact Hl|apply slot_in_page|by apply bbm_break|discriminate]].
    rewrite broken_0.
    erewrite after_write_valid; [|exact R3|fields; by rewrite word_set_page, M3|reflexivity].
    rewrite left_here by exact Self.
    erewrite (linked_cpu _ base pa), (linked_smmu _ base pa); [|exact Eb|exact C2|exact V0|intros N; apply (V2 N)| |exact Eb|exact B2|lia].
    2:{ intros N. fields. rewrite word_set_page; [by apply N2|]. intros E. destruct (V2 N) as (_ & _ & RS & _).
        rewrite <- E, R2 in RS. discriminate. }
    fields. rewrite word_set_same by done.
    rewrite (proj2 (Z.eqb_neq 0 (table_desc t3))) by congruence.
    cbn [app].
    call s2_make_ok.
    2:{ eapply host_write_ok; [exact R2|exact Hl|apply slot_in_page| |].
        - fields. apply bbm_make. rewrite word_set_page, word_set_same by done. reflexivity.
        - intros _. unfold host_desc_ok. rewrite (entry2_base _ _ Eb). fields. rewrite B3.
          change (Z.lor t3 3) with (table_desc t3). rewrite IT by lia.
          unfold points_to. change (Z.lor t3 S2_TABLE) with (table_desc t3). rewrite Z.eqb_refl.
          by rewrite (proj2 (Z.eqb_neq t3 0)) by lia. }
    erewrite after_write_invalid; [|exact R2|fields; rewrite word_set_page, word_set_same by done; reflexivity].
    fields. prim. rewrite forget_smmu by done.
    prim; [|exact Hl].
    unfold ret, host_unmapped. fields. rewrite <- Eb, T2, T3, Ho. cbn [default from_option id].
    rewrite (set_word_comm m t2 t3) by done. rewrite set_word_twice, wrap_small by lia. reflexivity.
  - (* the table is there already *)
    rewrite IT by lia. cbn [negb].
    call s2_break_ok; [|rewrite broken_0; eapply host_write_ok; [exact R3|exact Hl|apply slot_in_page|by apply bbm_break|discriminate]].
    rewrite broken_0.
    erewrite after_write_valid; [|exact R3|fields; by rewrite M3|reflexivity].
    rewrite left_here by exact Self.
    erewrite (linked_cpu _ base pa), (linked_smmu _ base pa); [|exact Eb|exact C2|exact V0|intros N; apply (V2 N)|exact N2|exact Eb|exact B2|lia].
    fields. rewrite M2, Z.eqb_refl.
    prim. unfold forget at 1. fields. cbn [List.filter gone_page agent_eqb andb app].
    rewrite (floor3_aligned pa Apa), Z.eqb_refl. cbn [negb].
    replace (List.filter _ _) with ((if negb (s1 =? 0) then [StaleHost Smmu RPage pa] else []) ++ [])%list
      by (destruct (s1 =? 0); reflexivity).
    prim. rewrite forget_smmu by done.
    prim; [|exact Hl].
    unfold ret, host_unmapped. fields. rewrite <- Eb, T2, T3, Ho. cbn [default from_option id].
    rewrite (set_word_same _ t2) by (rewrite ?word_set_page by congruence; auto using set_word_ok).
    rewrite wrap_small by lia. reflexivity.
Qed.

(* ---- host_map ---- *)

Lemma is_ns_insert g pa x pa' : is_ns (<[pa := x]> g) pa' = if decide (pa = pa') then g_state x =? GS_NS else is_ns g pa'.
Proof.
  unfold is_ns. destruct (decide (pa = pa')) as [->|]; [by rewrite lookup_insert|by rewrite lookup_insert_ne].
Qed.

Lemma hole_closed g pa x : pa mod 4096 = 0 -> 0 < pa < 2 ^ 40 -> g_state x = GS_NS -> is_ns g pa = false ->
  hole_count g (floor_of 2 pa) = hole_count (<[pa := x]> g) (floor_of 2 pa) + 1 /\
  (forall b, b mod 0x200000 = 0 -> b <> floor_of 2 pa -> hole_count (<[pa := x]> g) b = hole_count g b).
Proof.
  intros Ha Hpa Hx Hn.
  destruct (hole_opened (<[pa := x]> g) g (floor_of 2 pa) (slot_of 3 pa)) as [H1 H2].
  - addr.
  - apply slot_range.
  - rewrite granule_nth, is_ns_insert, decide_True, Hx by done. reflexivity.
  - by rewrite granule_nth.
  - intros pa' Hne. rewrite granule_nth in Hne by done. by rewrite is_ns_insert, decide_False.
  - split; [exact H1|]. intros b Hb Hne. symmetry. by apply H2.
Qed.

Theorem host_map_ok pa s g0 :
  let s0 := with_gran g0 s in
  inv s0 -> is_Some (g0 !! pa) -> is_ns g0 pa = false -> gran s = <[pa := Gran GS_NS 0 0]> g0 ->
  holds LHost s = true -> staled s = [] ->
  core "host_map" [pa] s = Some ([], host_mapped pa s).
Proof.
  intros s0 I [gr Hg] Hns Hgran Hl Hst.
  destruct (here_of s0 pa gr I Hg) as (t1 & t2 & t3 & s1 & s2 & base & H).
  pose proof (i_mem _ I) as Hm. clear I. subst s0.
  open s. fields_in H. fields_in Hst. fields_in Hm. fields_in Hgran. subst st g.
  destruct H as [[Ppa Apa] (Eb & Ab & Pb & Ab') Self T1 T2 T3 S1 S2 B2 B3 C2 W1 W2 W3 V1 V2 V0 M1 M2 M3 N1 N2 Ho].
  rewrite Hns in M3.
  destruct W2 as (P2 & A2 & R2 & _), W3 as (P3 & A3 & R3 & _).
  assert (T23 : t2 <> t3) by (intros ->; rewrite R3 in R2; discriminate).
  destruct (table_desc_ok _ P3 A3) as (VT & IT & OT & NZ).
  destruct (host_page_ok pa ltac:(lia) Apa) as (VP & OP & _).
  destruct (host_block_ok base ltac:(lia) ltac:(lia)) as (VB & IB & OB & _).
  destruct (hole_closed g0 pa (Gran GS_NS 0 0) Apa Ppa eq_refl Hns) as [Hc _]. rewrite <- Eb in Hc.
  pose proof (hole_count_range (<[pa := Gran GS_NS 0 0]> g0) base) as Hc'.
  pose proof (hole_count_range g0 base) as Hc0.
  pose proof (slot_range 2 pa) as L2. pose proof (slot_range 3 pa) as L3.
  rewrite (proj2 (Z.eqb_neq (hole_count g0 base) 0)) in M2 by lia.
  enter f_host_map.
  prim. prim. rewrite T2, T3. call s2_slot_ok. call s2_slot_ok.
  call s2_floor_ok; [|unfold u64; lia]. rewrite <- Eb.
  prim; [|exact Hl]. rewrite <- Eb, Ho. cbn [default from_option id].
  change (Z.lor (Z.lor pa 2044) 3) with (host_page pa). change (Z.lor (Z.lor base 2044) 1) with (host_block base).
  call s2_make_ok.
  2:{ eapply host_write_ok; [exact R3|exact Hl|apply slot_in_page| |].
      - fields. apply bbm_make. by rewrite M3.
      - intros _. unfold host_desc_ok. rewrite Self, OP, Z.eqb_refl. unfold hosts_or_device. fields.
        by rewrite lookup_insert. }
  erewrite after_write_invalid; [|exact R3|fields; by rewrite M3]. fields.
  prim; [|exact Hl]. rewrite <- Eb.
  destruct (Z.eqb_spec (hole_count g0 base) 1) as [H1|H1].
  - (* the block is whole again *)
    call s2_break_ok; [|rewrite broken_0; eapply host_write_ok; [exact R2|exact Hl|apply slot_in_page|by apply bbm_break|discriminate]].
    rewrite broken_0.
    assert (M2' : word (set_word m t3 (slot_of 3 pa) (host_page pa)) t2 (slot_of 2 pa) = table_desc t3)
      by (rewrite word_set_page; congruence).
    erewrite after_write_valid; [|exact R2|fields; by rewrite M2'|reflexivity].
    cbn [left_behind app]. fields. rewrite M2', IT, (entry2_base _ _ Eb) by lia.
    prim; [|fields; apply Z.eqb_eq; rewrite Eb; apply floor2_idem].
    unfold forget at 1. fields. cbn [List.filter gone_2m]. rewrite Z.eqb_refl. cbn [negb].
    call s2_make_ok.
    2:{ eapply host_write_ok; [exact R2|exact Hl|apply slot_in_page| |].
        - fields. apply bbm_make. rewrite word_set_same by auto using set_word_ok. reflexivity.
        - intros _. unfold host_desc_ok. rewrite (entry2_base _ _ Eb), IB, OB, Z.eqb_refl. cbn [agent_eqb andb].
          apply forallb_forall. intros i Hi%granules_In. unfold hosts_or_device. fields.
          assert (Hz : hole_count (<[pa := Gran GS_NS 0 0]> g0) base = 0) by lia.
          pose proof (no_holes _ _ Hz i Hi) as Hn. unfold is_ns, nth_granule in Hn.
          by destruct (_ !! (base + i * 4096)). }
    erewrite after_write_invalid; [|exact R2|fields; rewrite word_set_same by auto using set_word_ok; reflexivity].
    unfold ret, host_mapped. fields. rewrite <- Eb, T2, T3, Ho. cbn [default from_option id].
    rewrite set_word_twice, wrap_small by lia. rewrite H1. reflexivity.
  - unfold ret, host_mapped. fields. rewrite <- Eb, T2, T3, Ho. cbn [default from_option id].
    rewrite wrap_small by lia. rewrite (proj2 (Z.eqb_neq (hole_count g0 base - 1) 0)) by lia. reflexivity.
Qed.

(* ---- The commands ---- *)

Lemma host_walks_none h g m ho pa t1 t2 t3 s1 s2 base m' :
  here h g m ho pa t1 t2 t3 s1 s2 base ->
  word m' t1 (slot_of 1 pa) = table_desc t2 -> word m' t2 (slot_of 2 pa) = table_desc t3 ->
  word m' t3 (slot_of 3 pa) = 0 ->
  (s1 <> 0 -> word m' s1 (slot_of 1 pa) = table_desc s2 /\ word m' s2 (slot_of 2 pa) = table_desc t3) ->
  walk_host h m' Cpu pa = None /\ walk_host h m' Smmu pa = None.
Proof.
  intros H E1 E2 E3 ES.
  destruct H as [_ _ _ T1 _ _ S1 _ _ _ _ _ (P2 & A2 & _) (P3 & A3 & _) _ V2 _ _ _ _ _ _ _]. split.
  - apply (walk_none _ _ _ _ t2 t3); auto. by rewrite T1.
  - destruct (Z.eq_dec s1 0) as [->|N].
    + unfold walk_host. rewrite S1. reflexivity.
    + destruct (V2 N) as (PS & AS & _), (ES N) as [F1 F2].
      apply (walk_none _ _ _ _ s2 t3); auto. by rewrite S1.
Qed.

(* Tables are the core's own pages, so no granule that changes hands is one. *)
Lemma not_table h g t r pa x : table_ok h g t r -> g !! pa = Some x -> g_state x <> GS_CORE -> t <> pa.
Proof. intros (_ & _ & _ & C) Hx Hn ->. apply Hn, (C x Hx). Qed.

Lemma unmapped_unreachable h g m ho pa t1 t2 t3 s1 s2 base m' x :
  here h g m ho pa t1 t2 t3 s1 s2 base -> mem_ok m -> g !! pa = Some x -> g_state x <> GS_CORE ->
  (forall t, t <> pa ->
    page m' t = page (set_word (set_word m t3 (slot_of 3 pa) 0) t2 (slot_of 2 pa) (table_desc t3)) t) ->
  walk_host h m' Cpu pa = None /\ walk_host h m' Smmu pa = None.
Proof.
  intros H Hm Hx Hs Hp. pose proof H as H'.
  destruct H' as [_ _ _ _ _ _ _ _ _ _ _ W1 W2 W3 V1 V2 _ M1 _ _ N1 N2 _].
  pose proof (slot_range 2 pa) as L2. pose proof (slot_range 3 pa) as L3.
  assert (Hw : forall t i, t <> pa -> word m' t i =
    word (set_word (set_word m t3 (slot_of 3 pa) 0) t2 (slot_of 2 pa) (table_desc t3)) t i).
  { intros. unfold word. by rewrite Hp. }
  pose proof (not_table _ _ _ _ _ _ W1 Hx Hs) as D1. pose proof (not_table _ _ _ _ _ _ W2 Hx Hs) as D2.
  pose proof (not_table _ _ _ _ _ _ W3 Hx Hs) as D3.
  destruct W1 as (P1 & A1 & R1 & _), W2 as (P2 & A2 & R2 & _), W3 as (P3 & A3 & R3 & _).
  assert (T23 : t2 <> t3) by (intros ->; rewrite R3 in R2; discriminate).
  assert (T13 : t1 <> t3) by (intros ->; rewrite R3 in R1; discriminate).
  assert (T12 : t1 <> t2) by (intros ->; rewrite R2 in R1; discriminate).
  apply (host_walks_none _ _ _ _ _ _ _ _ _ _ _ _ H); rewrite ?Hw by done.
  - rewrite !word_set_page by congruence. done.
  - by rewrite word_set_same by auto using set_word_ok.
  - rewrite word_set_page by congruence. by rewrite word_set_same by done.
  - intros N. specialize (V1 N). specialize (V2 N).
    pose proof (not_table _ _ _ _ _ _ V1 Hx Hs) as F1. pose proof (not_table _ _ _ _ _ _ V2 Hx Hs) as F2.
    rewrite !Hw by done. destruct V1 as (_ & _ & Q1 & _), V2 as (_ & _ & Q2 & _).
    assert (s1 <> t2 /\ s1 <> t3 /\ s2 <> t2 /\ s2 <> t3) as (? & ? & ? & ?).
    { split_and!; intros ->; congruence. }
    rewrite !word_set_page by congruence. auto.
Qed.

Lemma unmapped_no_leaf h g m ho pa t1 t2 t3 s1 s2 base m' x :
  here h g m ho pa t1 t2 t3 s1 s2 base -> mem_ok m -> g !! pa = Some x -> g_state x <> GS_CORE ->
  (forall t, t <> pa ->
    page m' t = page (set_word (set_word m t3 (slot_of 3 pa) 0) t2 (slot_of 2 pa) (table_desc t3)) t) ->
  word m' t2 (slot_of 2 pa) = table_desc t3 /\ word m' t3 (slot_of 3 pa) = 0.
Proof.
  intros H Hm Hx Hs Hp. destruct H as [_ _ _ _ _ _ _ _ _ _ _ _ W2 W3 _ _ _ _ _ _ _ _ _].
  pose proof (slot_range 2 pa) as L2. pose proof (slot_range 3 pa) as L3.
  pose proof (not_table _ _ _ _ _ _ W2 Hx Hs) as D2. pose proof (not_table _ _ _ _ _ _ W3 Hx Hs) as D3.
  destruct W2 as (_ & _ & R2 & _), W3 as (_ & _ & R3 & _).
  assert (T23 : t2 <> t3) by (intros ->; rewrite R3 in R2; discriminate).
  unfold word at 1 2. rewrite !Hp by done. split.
  - by apply word_set_same; [apply set_word_ok|].
  - change (word (set_word (set_word m t3 (slot_of 3 pa) 0) t2 (slot_of 2 pa) (table_desc t3)) t3 (slot_of 3 pa) = 0).
    rewrite word_set_page by done. by apply word_set_same.
Qed.

Lemma claimable_inv st pa s : claimable st pa s = true ->
  exists x, gran s !! pa = Some x /\ g_state x = st /\ holds (LGranule pa) s = false.
Proof.
  unfold claimable, has_state, free. destruct (gran s !! pa) as [x|]; [|discriminate].
  intros [H1 H2]%andb_true_iff. apply andb_true_iff in H2 as [H2 _].
  exists x. split_and!; [reflexivity | by apply Z.eqb_eq | by apply negb_true_iff].
Qed.

Lemma gran_eta x : Gran (g_state x) (g_owner x) (g_refs x) = x.
Proof. destruct x. reflexivity. Qed.

Lemma granule_at_eq s pa x : gran s !! pa = Some x -> granule_at s pa = x.
Proof. unfold granule_at. by intros ->. Qed.

Lemma claimed_in_hand pa s : tracked s pa = true -> In (LGranule pa) (held s) -> under_lock pa s = true.
Proof.
  intros Ht Hin. unfold under_lock. rewrite Ht. unfold holds.
  replace (existsb _ _) with true; [reflexivity|]. symmetry. apply existsb_exists.
  exists (LGranule pa). split; [done|]. simpl. apply Z.eqb_refl.
Qed.

Ltac take_claim Hc :=
  prim; change (claimable 0) with (claimable GS_NS); change (claimable 1) with (claimable GS_DELEGATED);
  rewrite Hc; norm;
  change (z2b 1) with true; change (z2b 0) with false; change (negb true) with false; change (negb false) with true;
  cbv beta iota.
Ltac by_holds := unfold holds, in_order; fields; cbn [existsb without lock_eqb orb]; by rewrite ?Z.eqb_refl.
Ltac dropped := unfold lock_dropped; fields; cbn [without lock_eqb]; rewrite ?Z.eqb_refl; cbv beta iota.
Ltac by_claim Hx := apply claimed_in_hand; [unfold tracked; fields; by rewrite Hx | simpl; auto].

Theorem granule_delegate_ok pa s :
  inv s -> idle s ->
  core "granule_delegate" [pa] s = Some ([fst (delegate pa s)], snd (delegate pa s)).
Proof.
  intros I (Hh & Hs & Hst). unfold delegate.
  destruct (claimable GS_NS pa s) eqn:Hc; cbn [andb fst snd].
  2:{ open s. fields_in Hh. fields_in Hs. fields_in Hst. subst hl sh st.
      enter f_granule_delegate. take_claim Hc. reflexivity. }
  destruct (claimable_inv _ _ _ Hc) as (x & Hx & Hns & _).
  destruct (here_of s pa x I Hx) as (t1 & t2 & t3 & s1 & s2 & base & H).
  destruct (i_gran _ I _ _ Hx) as (_ & Apa & Hr).
  assert (I' : forall l b, inv (with_held l b s)) by (intros; by apply (inv_same s)).
  assert (Hns' : is_ns (gran s) pa = true) by (unfold is_ns; rewrite Hx, Hns; reflexivity).
  assert (Hcore : g_state x <> GS_CORE) by (rewrite Hns; discriminate).
  pose proof (i_mem _ I) as Hm. pose proof I as I0. clear I. rewrite (granule_at_eq _ _ _ Hx).
  open s. fields_in Hh. fields_in Hs. fields_in Hst. fields_in H. fields_in Hx. fields_in Hm. fields_in Hns'. subst hl sh st.
  destruct (Z.eqb_spec (g_refs x) 0) as [Hr0|Hr0]; cbn [fst snd].
  2:{ enter f_granule_delegate. take_claim Hc. prim; [|by_claim Hx].
      erewrite granule_at_eq by exact Hx. destruct (Z.eqb_spec (g_refs x) 0); [congruence|]. cbn [negb].
      prim; [|by_holds]. dropped. reflexivity. }
  enter f_granule_delegate. take_claim Hc. prim; [|by_claim Hx].
  erewrite granule_at_eq by exact Hx. rewrite Hr0. cbn [negb Z.eqb].
  destruct (host_unreached _ pa x I0 eq_refl Hx Hns Hr0) as [Hfree Hpl]. fields_in Hpl.
  prim.
  call (host_unmap_ok pa); [|exact (I' _ _)|exact Hns'|reflexivity|reflexivity].
  unfold host_unmapped. fields.
  pose proof H as H'.
  destruct H' as [_ (Eb' & _) _ _ T2 T3 _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ Ho].
  rewrite T2, T3, <- Eb', Ho. cbn [default from_option id].
  prim. dropped.
  set (m1 := set_word (set_word m t3 (slot_of 3 pa) 0) t2 (slot_of 2 pa) (table_desc t3)).
  assert (Hu : forall m' hl' sh' ho', (forall t, t <> pa -> page m' t = page m1 t) ->
    unreachable (State h g m' hl' sh' ot [] ho' vm ck pr rn hp dg rs ld lv vt ct lg pl ca) pa = true).
  { intros m' hl' sh' ho' Hp. destruct (unmapped_unreachable _ _ _ _ _ _ _ _ _ _ _ m' x H Hm Hx Hcore Hp) as [U1 U2].
    unfold unreachable. fields. by rewrite U1, U2. }
  assert (Hun : forall m' hl' sh' ho', (forall t, t <> pa -> page m' t = page m1 t) ->
    unleafed (State h g m' hl' sh' ot [] ho' vm ck pr rn hp dg rs ld lv vt ct lg pl ca) pa = true).
  { intros m' hl' sh' ho' Hp. destruct (unmapped_no_leaf _ _ _ _ _ _ _ _ _ _ _ m' x H Hm Hx Hcore Hp) as [U1 U2].
    destruct H as [_ _ _ _ _ _ _ _ _ _ _ _ _ (P3 & A3 & _) _ _ _ _ _ _ _ _ _]. destruct (table_desc_ok _ P3 A3) as (_ & I3 & _).
    unfold unleafed, leaf_at. fields. by rewrite T2, T3, U1, U2, I3, andb_false_r. }
  assert (Hf : forall m' hl' sh' ho', (forall t, t <> pa -> page m' t = page m1 t) ->
    no_realm_reaches (State h g m' hl' sh' ot [] ho' vm ck pr rn hp dg rs ld lv vt ct lg pl ca) pa = true).
  { intros m' hl' sh' ho' Hp. refine (unreached_frame _ _ pa I0 Hfree _ _ _ _); [reflexivity..|].
    intros t (y & Hy & Hys)%has_state_inv. fields_in Hy. fields.
    destruct H as [_ _ _ _ _ _ _ _ _ _ _ _ (_ & _ & _ & C2) (_ & _ & _ & C3) _ _ _ _ _ _ _ _ _].
    rewrite Hp by (intros ->; rewrite Hx in Hy; injection Hy as <-; rewrite Hns in Hys; discriminate). unfold m1. rewrite page_set_page, page_set_page; [done|..].
    - intros <-. rewrite (C3 _ Hy) in Hys. discriminate.
    - intros <-. rewrite (C2 _ Hy) in Hys. discriminate. }
  prim.
  2:{ unfold may_zero. rewrite Hu, Hf by done. rewrite !andb_true_r. by_claim Hx. }
  prim.
  2:{ unfold may_set. erewrite granule_at_eq by exact Hx.
      rewrite Hns, Hr0, Hu, Hun, Hf by (intros; by apply page_insert_other).
      replace (under_lock _ _) with true by (symmetry; by_claim Hx).
      unfold is_zero; fields; rewrite page_insert_same. by rewrite bool_decide_eq_true_2. }
  change (1 =? GS_RTT) with false. cbv iota. rewrite delete_notin by exact Hpl.
  prim. prim; [|by_holds]. dropped.
  unfold ret, counted, set_granule, put_page, host_unmapped. fields.
  erewrite granule_at_eq by exact Hx. rewrite Hr0. reflexivity.
Qed.

Theorem granule_undelegate_ok pa s :
  inv s -> idle s ->
  core "granule_undelegate" [pa] s = Some ([fst (undelegate pa s)], snd (undelegate pa s)).
Proof.
  intros I (Hh & Hs & Hst). unfold undelegate.
  destruct (claimable GS_DELEGATED pa s) eqn:Hc; cbn [fst snd].
  2:{ open s. fields_in Hh. fields_in Hs. fields_in Hst. subst hl sh st.
      enter f_granule_undelegate. take_claim Hc. reflexivity. }
  destruct (claimable_inv _ _ _ Hc) as (x & Hx & Hns & _).
  destruct (i_zero _ I _ _ Hx Hns) as (Hz & Hown & Hr0).
  assert (I' : forall l b c, inv (State (hw s) (gran s) (mem s) l b (others s) c (holes s) (vmids s) (clock s) (params s)
    (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s)))
    by (intros; by apply (inv_same s)).
  assert (Hns' : is_ns (gran s) pa = false) by (unfold is_ns; rewrite Hx, Hns; reflexivity).
  destruct (nobodys_unreached s pa x I Hst Hx) as [Hfree Hpl]; [by rewrite Hns..|]. pose proof I as I0.
  clear I.
  open s. fields_in Hpl. fields_in Hh. fields_in Hs. fields_in Hst. fields_in Hx. fields_in Hns'. fields_in Hz. fields_in I'. subst hl sh st.
  enter f_granule_undelegate. take_claim Hc. prim.
  prim.
  2:{ unfold may_set. erewrite granule_at_eq by exact Hx. rewrite Hns.
      replace (under_lock _ _) with true by (symmetry; by_claim Hx).
      replace (no_realm_reaches _ _) with true by (symmetry; exact Hfree).
      unfold is_zero; fields; rewrite Hz. by rewrite bool_decide_eq_true_2. }
  change (0 =? GS_RTT) with false. cbv iota. rewrite delete_notin by exact Hpl.
  erewrite granule_at_eq by exact Hx. rewrite Hr0.
  erewrite bind_eq.
  2:{ eapply (host_map_ok pa _ g); [fields; apply I'|by rewrite Hx|exact Hns'|reflexivity|reflexivity|reflexivity]. }
  norm.
  unfold host_mapped. fields.
  prim. dropped. prim. prim; [|by_holds]. dropped.
  reflexivity.
Qed.
