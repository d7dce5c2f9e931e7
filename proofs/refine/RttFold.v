(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: folding tables. *)
From kcore Require Export refine.RttDestroy.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma lor_u64 a b : 0 <= a < 2 ^ 64 -> 0 <= b < 2 ^ 64 -> 0 <= Z.lor a b < 2 ^ 64.
Proof.
  intros Ha Hb. destruct (Z.eq_dec a 0) as [->|Na]; [by rewrite Z.lor_0_l|]. destruct (Z.eq_dec b 0) as [->|Nb]; [by rewrite Z.lor_0_r|].
  assert (H : 0 <= Z.lor a b) by (apply Z.lor_nonneg; lia). split; [done|].
  assert (Hn : Z.lor a b <> 0) by (intros E; apply Z.lor_eq_0_iff in E; lia).
  apply Z.log2_lt_pow2; [lia|]. rewrite Z.log2_lor by lia. apply Z.max_lub_lt; apply Z.log2_lt_pow2; lia.
Qed.
Lemma land_u64 a b : 0 <= a -> 0 <= b < 2 ^ 64 -> 0 <= Z.land a b < 2 ^ 64.
Proof. intros. rewrite Z.land_comm. by apply land_range. Qed.

Lemma ns_host_facts d : u64 d -> 0 <= ns_host d < 2 ^ 64 /\ out_addr (ns_host d) = out_addr d.
Proof.
  intros [Hd _]. unfold ns_host. assert (H7 : 0 <= Z.land (Z.shiftr d 56) 7 < 8).
  { rewrite Z.land_comm. apply (land_range 3). lia. }
  split.
  - apply lor_u64; [|lia]. apply land_u64; [done|]. split; vm_compute; [discriminate|reflexivity].
  - rewrite out_addr_lor.
    + unfold out_addr. rewrite <- Z.land_assoc. reflexivity.
    + rewrite Z.land_comm. apply (land_disjoint 12); [lia|reflexivity|lia].
Qed.

(* ---- What a table's entries say, one level above ---- *)

Lemma parts_of q n : 0 < q -> 0 <= n < 512 * q ->
  0 < q /\ 0 <= n / q < 512 /\ 0 <= n mod q < q /\ n * 4096 = n / q * (q * 4096) + n mod q * 4096.
Proof.
  intros Hq Hn. pose proof (Z.div_mod n q ltac:(lia)). pose proof (Z.mod_pos_bound n q Hq). split_and!; try lia.
  - apply Z.div_pos; lia.
  - apply Z.div_lt_upper_bound; lia.
Qed.
Lemma parts level n : 1 <= level <= 3 -> 0 <= n < size_of (level - 1) / 4096 ->
  let q := size_of level / 4096 in 0 < q /\ 0 <= n / q < 512 /\ 0 <= n mod q < q /\ n * 4096 = n / q * size_of level + n mod q * 4096.
Proof.
  intros Hl Hn q. assert (Hq : size_of level = q * 4096 /\ size_of (level - 1) / 4096 = 512 * q /\ 0 < q).
  { unfold q. assert (level = 1 \/ level = 2 \/ level = 3) as [->|[->| ->]] by lia; split_and!; reflexivity. }
  destruct Hq as (Eq & En & Pq). clearbody q. rewrite Eq. rewrite En in Hn. by apply parts_of.
Qed.

(* An entry of a realm's table that maps its own pages. *)
Lemma entry_owned s t p i : inv s -> places s !! t = Some p -> 0 <= i < 512 ->
  kind (p_level p) (word (mem s) t i) = K_ASSIGNED ->
  exists pa r, word (mem s) t i = assigned (p_level p) pa r /\ 0 <= r <= 2 /\ 0 < pa < 2 ^ 40 /\ pa mod size_of (p_level p) = 0 /\
    p_base p + i * size_of (p_level p) < half_of s (p_rd p) /\ 1 <= p_level p /\
    forall n, 0 <= n < size_of (p_level p) / 4096 -> own_data s (p_rd p) (pa + n * 4096) = true.
Proof.
  intros I Hp Hi Hk. destruct (i_table _ I _ _ Hp) as [_ _ (_ & Hl3) _ _ _ He]. specialize (He i Hi).
  remember (word (mem s) t i) as d eqn:Ed. clear Ed.
  destruct He as [r H|q r H Hh Hl Hq Hqa Hd|_|host Hh Hl _ Hw Hd|c _ Hl Hc|_].
  - destruct (unassigned_facts (p_level p) r H) as (_ & _ & K & _). rewrite K in Hk. discriminate.
  - exists q, r. split_and!; try done; try lia.
    pose proof (Hd 0) as D. rewrite Z.add_0_r in D. unfold own_data in D. destruct (gran s !! q) as [g|] eqn:Hg.
    + destruct (i_gran _ I _ _ Hg) as (B & _). lia.
    + discriminate D. destruct (size_cases (p_level p)) as [->|[->|[->| ->]]]; done.
  - destruct (unassigned_ns_facts (p_level p)) as (_ & _ & K). rewrite K in Hk. discriminate.
  - destruct (assigned_ns_facts (p_level p) host Hw) as (_ & _ & _ & K & _). rewrite K in Hk. discriminate.
  - destruct (place_granule _ _ _ I Hc) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T & _).
    unfold kind in Hk. rewrite T in Hk by done. discriminate.
  - unfold kind, is_table in Hk. rewrite andb_false_r in Hk. discriminate.
Qed.

Lemma uniform_word m t level P i : uniform m t level P = true -> 0 <= i < 512 -> word m t i = child level P i.
Proof.
  intros H Hi. unfold uniform in H. rewrite forallb_forall in H. specialize (H i ltac:(by apply below_In)). apply Z.eqb_eq in H. done.
Qed.

(* A table that passed the check may become one entry. *)
Lemma folded_leaf s t rd level base pp : inv s -> 1 <= level <= 3 -> places s !! t = Some (Place rd level base pp) ->
  let first := word (mem s) t 0 in let P := parent level first in
  kind level first <> K_TABLE -> fold_check t level P s = RMI_SUCCESS ->
  is_table (level - 1) P = false /\ (is_valid P = true -> realm_leaf_ok s rd (level - 1) base P = true).
Proof.
  intros I Hl Hp first P Nt Hc. pose proof (i_words _ I t 0) as Hw.
  destruct (i_table _ I _ _ Hp) as [_ _ _ _ _ _ He]. specialize (He 0 ltac:(lia)). cbn [p_level p_base p_rd] in He. fold first in He, Hw.
  rewrite Z.mul_0_l, Z.add_0_r in He.
  assert (Hun : uniform (mem s) t level P = true /\ (kind (level - 1) P = K_ASSIGNED_NS -> level = 3)).
  { unfold fold_check in Hc.
    destruct (negb (refs_of t s =? 0) && negb (refs_of t s =? 512)); [unfold status_rtt, RMI_ERROR_RTT, RMI_SUCCESS in Hc; lia|].
    destruct ((refs_of t s =? 512) && (level <? 2)); [unfold status_rtt, RMI_ERROR_RTT, RMI_SUCCESS in Hc; lia|].
    destruct (Z.eqb_spec (kind (level - 1) P) K_ASSIGNED_NS) as [E|N]; destruct (Z.eqb_spec level 3) as [E3|N3]; cbn [negb andb] in Hc;
    try (unfold status_rtt, RMI_ERROR_RTT, RMI_SUCCESS in Hc; lia).
    all: destruct ((refs_of t s =? 512) && negb (kind (level - 1) P =? K_ASSIGNED)); [unfold status_rtt, RMI_ERROR_RTT, RMI_SUCCESS in Hc; lia|].
    all: destruct (uniform (mem s) t level P); [split; [done|]; intros; done || lia|cbn [negb] in Hc; unfold status_rtt, RMI_ERROR_RTT, RMI_SUCCESS in Hc; lia]. }
  destruct Hun as [Hun H3].
  assert (Hword : forall i, 0 <= i < 512 -> word (mem s) t i = child level P i) by (intros; by apply uniform_word).
  revert Hword H3 Hw Nt. unfold P. clear Hc Hun P. clearbody first. destruct He as [r H|q r H Hh Hl1 Hq Hqa Hd|Hh|host Hh Hl2 _ Hwh Hd|c _ Hl2 Hcc|Hh]; intros Hword H3 Hw Nt.
  - destruct (unassigned_facts level r H) as (V & _ & K & _). destruct (unassigned_facts (level - 1) r H) as (_ & T & _).
    assert (P1 : parent level (unassigned r) = unassigned r) by (unfold parent; by rewrite K). rewrite P1. split; [done|congruence].
  - cbn [p_level p_rd] in *. pose proof (aligned_size _ _ Hqa) as Hq4.
    destruct (assigned_ok level q r H Hq Hq4) as (O & _ & _ & K & R & _).
    destruct (assigned_ok (level - 1) q r H Hq Hq4) as (O' & _ & T' & K' & R' & _).
    assert (P1 : parent level (assigned level q r) = assigned (level - 1) q r).
    { unfold parent. rewrite K. change (K_ASSIGNED =? K_ASSIGNED) with true. cbv iota. by rewrite O, R. }
    rewrite P1 in *. split; [done|]. intros _.
    unfold realm_leaf_ok. unfold protected. change (word (mem s) rd (rd_off RD_ipa_size) / 2) with (half_of s rd).
    rewrite (proj2 (Z.ltb_lt _ _) Hh), O'. apply forallb_forall. intros n Hn. unfold granules_of in Hn.
    apply in_map_iff in Hn as (k & <- & Hk%in_seq). pose proof (size_pos (level - 1)) as [Sp _].
    destruct (parts level (Z.of_nat k) Hl) as (Q0 & Q1 & Q2 & Q3); [pose proof (Z.div_pos (size_of (level - 1)) 4096); lia|].
    set (i := Z.of_nat k / (size_of level / 4096)) in *. set (m := Z.of_nat k mod (size_of level / 4096)) in *.
    specialize (Hword i Q1).
    assert (C1 : child level (assigned (level - 1) q r) i = assigned level (wrap U64 (q + wrap U64 (i * size_of level))) r).
    { unfold child. rewrite K'. change (K_ASSIGNED =? K_ASSIGNED) with true. cbv iota. by rewrite O', R'. }
    rewrite C1 in Hword. clear C1.
    assert (Sb : size_of level <= 2 ^ 30) by (assert (level = 1 \/ level = 2 \/ level = 3) as [->|[->| ->]] by lia; done).
    assert (Sb0 : 0 < size_of level) by (pose proof (size_pos level); lia).
    assert (Hq40 : q < 2 ^ 40).
    { pose proof (Hd 0 ltac:(lia)) as D. rewrite Z.add_0_r in D. unfold own_data in D. destruct (gran s !! q) as [g|] eqn:Hg; [|done].
      destruct (i_gran _ I _ _ Hg) as (B & _). lia. }
    assert (Hib : 0 <= i * size_of level <= 511 * 2 ^ 30).
    { split; [apply Z.mul_nonneg_nonneg; lia|]. apply Z.mul_le_mono_nonneg; lia. }
    assert (Hqi : 0 < q + i * size_of level < 2 ^ 48) by lia.
    rewrite (wrap_small (i * _)), wrap_small in Hword by lia.
    assert (Hai : (q + i * size_of level) mod 4096 = 0).
    { apply aligned_size with (level := level). by rewrite Z.mod_add by lia. }
    destruct (assigned_ok level (q + i * size_of level) r H Hqi Hai) as (Oi & _ & _ & Ki & _).
    assert (Hki : kind (p_level (Place rd level base pp)) (word (mem s) t i) = K_ASSIGNED) by (by rewrite Hword).
    destruct (entry_owned s t (Place rd level base pp) i I Hp Q1 Hki) as (pa & r' & E1 & E2 & E3 & E4 & _ & _ & E5). cbn [p_level p_rd] in *.
    rewrite Hword in E1. assert (Epa : pa = q + i * size_of level).
    { destruct (assigned_ok level pa r' E2 ltac:(lia) (aligned_size _ _ E4)) as (O2 & _). rewrite <- E1, Oi in O2. done. }
    replace (q + Z.of_nat k * 4096) with (pa + m * 4096) by lia. by apply E5.
  - destruct (unassigned_ns_facts level) as (V & _ & K). destruct (unassigned_ns_facts (level - 1)) as (_ & T & _).
    assert (P1 : parent level unassigned_ns = unassigned_ns) by (unfold parent; by rewrite K). rewrite P1. split; [done|]. intros V'. congruence.
  - cbn [p_level p_rd] in *. destruct (assigned_ns_facts level host Hwh) as (O & _ & _ & K & _).
    destruct (ns_host_facts _ Hw) as [Hn Hno]. destruct (assigned_ns_facts (level - 1) _ Hn) as (O' & _ & T' & K' & _).
    assert (P1 : parent level (assigned_ns level host) = assigned_ns (level - 1) (ns_host (assigned_ns level host))).
    { unfold parent. rewrite K. change (K_ASSIGNED_NS =? K_ASSIGNED) with false. change (K_ASSIGNED_NS =? K_ASSIGNED_NS) with true. reflexivity. }
    rewrite P1 in *.
    split; [done|]. intros _. specialize (H3 K'). subst level. change (3 - 1) with 2 in *.
    apply shared_leaf; [|lia|].
    + unfold protected. apply Z.ltb_ge. change (half_of s rd <= base). lia.
    + intros i Hi. change (size_of 2 / 4096) with 512 in Hi. specialize (Hword i Hi).
      assert (C1 : child 3 (assigned_ns 2 (ns_host (assigned_ns 3 host))) i =
        assigned_ns 3 (Z.lor (wrap U64 (out_addr (assigned_ns 3 host) + wrap U64 (i * 4096)))
          (Z.land (ns_host (assigned_ns 2 (ns_host (assigned_ns 3 host)))) (0xFFFFFFFFFFFFFFFF - PA_MASK)))).
      { unfold child. change (3 - 1) with 2. rewrite K'. change (K_ASSIGNED_NS =? K_ASSIGNED) with false.
        change (K_ASSIGNED_NS =? K_ASSIGNED_NS) with true. cbv iota. change (size_of 3) with 4096. by rewrite O', Hno. }
      rewrite C1 in Hword. clear C1. rewrite O', Hno.
      pose proof (out_addr_range (assigned_ns 3 host) ltac:(destruct Hw; lia)) as Hor.
      rewrite (wrap_small (i * 4096)), wrap_small in Hword by lia.
      set (a := out_addr (assigned_ns 3 host)) in *.
      set (b := Z.land (ns_host (assigned_ns 2 (ns_host (assigned_ns 3 host)))) (0xFFFFFFFFFFFFFFFF - PA_MASK)) in *.
      assert (Hn0 : 0 <= ns_host (assigned_ns 2 (ns_host (assigned_ns 3 host)))).
      { unfold ns_host at 1. apply Z.lor_nonneg. split; [apply Z.land_nonneg; right; done|]. apply Z.mul_nonneg_nonneg; [done|]. apply Z.land_nonneg. by right. }
      assert (Hb : 0 <= b < 2 ^ 64) by (apply land_u64; [done|unfold PA_MASK; lia]).
      assert (Hab : 0 <= Z.lor (a + i * 4096) b < 2 ^ 64) by (apply lor_u64; lia).
      destruct (assigned_ns_facts 3 _ Hab) as (Oi & _ & _ & Ki & _).
      assert (Ha4 : (a + i * 4096) mod 4096 = 0) by (rewrite Z.mod_add by lia; apply out_addr_page).
      assert (Hin : is_ns (gran s) (out_addr (word (mem s) t i) + 0 * 4096) = true).
      { apply (entry_shares s t (Place rd 3 base pp) i 0 I Hp Hi); [by rewrite Hword|done]. }
      rewrite Hword, Oi in Hin. 
      assert (Eo : out_addr (Z.lor (a + i * 4096) b) = out_addr (a + i * 4096)).
      { apply out_addr_lor. unfold b. rewrite <- Z.land_assoc. change (Z.land (0xFFFFFFFFFFFFFFFF - PA_MASK) PA_MASK) with 0. apply Z.land_0_r. }
      pose proof (shared_pinned s t (Place rd 3 base pp) i 0 I Hp Hi) as Hpn. rewrite Hword in Hpn. specialize (Hpn Ki ltac:(done)).
      rewrite Oi, Eo, Z.mul_0_l, Z.add_0_r in Hpn.
      assert (Hlt : a < 2 ^ 40).
      { pose proof (Hd 0 ltac:(done)) as D. rewrite Z.mul_0_l, Z.add_0_r, <- O in D. unfold is_ns in D. fold a in D.
        destruct (gran s !! a) as [g|] eqn:Hg; [|done]. destruct (i_gran _ I _ _ Hg) as (B & _). lia. }
      rewrite out_addr_aligned in Hpn by lia. exact Hpn.
  - destruct (place_granule _ _ _ I Hcc) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T & _).
    destruct Nt. unfold kind. by rewrite T.
  - assert (K : kind level 0 = K_UNASSIGNED) by (unfold kind, is_table; rewrite andb_false_r; reflexivity).
    assert (P1 : parent level 0 = 0) by (unfold parent; by rewrite K). rewrite P1.
    split; [unfold is_table; by rewrite andb_false_r|]. intros V. discriminate V.
Qed.

Lemma child_0_read rd ipa level w p s c : child_of rd ipa level w p s c -> may_read c 0 s = true.
Proof. intros C. eapply child_read; [exact C|lia]. Qed.

(* The entry above says what the table said, and the table goes. *)
Lemma table_folded_ok rd ipa level w p s c : child_of rd ipa level w p s c -> staled s = [] ->
  ipa mod size_of (level - 1) = 0 ->
  let first := word (mem s) c 0 in let P := parent level first in
  kind level first <> K_TABLE -> fold_check c level P s = RMI_SUCCESS ->
  let s1 := uncached (rd_of s RD_vmid rd) (entry_put w 0 s) in
  let s2 := entry_put w P s1 in
  let s3 := if kind level first =? K_ASSIGNED then s2 else refs_added (w_table w) (2 ^ 64 - 1) s2 in
  core "s2_make" [w_table w; w_slot w; P] s1 = Some ([], s2) /\
  core "granule_add_refs" [w_table w; 2 ^ 64 - 1] s2 = Some ([], refs_added (w_table w) (2 ^ 64 - 1) s2) /\
  core "granule_scrub" [c] s3 = Some ([], scrubbed c s3).
Proof.
  intros C Hst Ha. cbv zeta. remember (parent level (word (mem s) c 0)) as P eqn:EP. intros Nt Hc. pose proof (ch_found _ _ _ _ _ _ _ C) as F.
  pose proof (found_inv _ _ _ _ _ F) as I. pose proof (child_level _ _ _ _ _ _ _ C) as Hl.
  pose proof (found_hand _ _ _ _ _ F) as Hht. pose proof (ch_place _ _ _ _ _ _ _ C) as Pc. pose proof (fd_place _ _ _ _ _ F) as Pp.
  pose proof (found_not_rd _ _ _ _ _ F) as Nt'. pose proof (found_role _ _ _ _ _ F) as Rr.
  destruct (folded_leaf s c rd level _ _ I Hl Pc Nt ltac:(by rewrite <- EP)) as [Tp Lp]. rewrite <- EP in Tp, Lp.
  rewrite (floor_aligned _ _ Ha) in Lp.
  pose proof (changed_put _ _ _ _ _ 0 (rd_of s RD_vmid rd) F Hst) as E1.
  assert (R1 : refs_of (w_table w) (uncached (rd_of s RD_vmid rd) (entry_put w 0 s)) = refs_of (w_table w) s) by reflexivity.
  generalize dependent (uncached (rd_of s RD_vmid rd) (entry_put w 0 s)). intros s1 E1 R1.
  destruct (ec_rest _ _ _ _ E1) as (Eh & El & _ & Es & Ep).
  pose proof (changed_twice _ _ P _ _ E1) as E2. pose proof (changed_refs _ _ (2 ^ 64 - 1) _ _ E2) as E3.
  assert (W0 : word (mem s1) (w_table w) (w_slot w) = 0) by (rewrite (ec_mem _ _ _ _ E1); apply word_set_same; [apply (i_mem _ I)|apply F]).
  split_and!.
  - eapply eq_trans; [apply s2_make_ok|].
    + eapply entry_write; [by rewrite Ep|by rewrite Eh|by rewrite (changed_under _ _ _ _ _ E1)|apply F|by rewrite W0|]. intros V.
      unfold realm_desc_ok. rewrite (fd_level _ _ _ _ _ F), (ch_level _ _ _ _ _ _ _ C), Tp, (fd_rd _ _ _ _ _ F).
      assert (B : p_base p + w_slot w * size_of (level - 1) = ipa).
      { rewrite <- (ch_level _ _ _ _ _ _ _ C), (fd_base _ _ _ _ _ F), (ch_level _ _ _ _ _ _ _ C). by apply floor_aligned. }
      rewrite B. specialize (Lp V). unfold realm_leaf_ok, protected in *. rewrite (ec_mem _ _ _ _ E1), word_set_page by done.
      rewrite forallb_forall in Lp |- *. intros n Hn. specialize (Lp n Hn). cbv zeta in *. unfold own_data, pinned in *.
      destruct (decide (out_addr P + n * 4096 = w_table w)) as [Eq|N]; [|by rewrite (ec_gran _ _ _ _ E1)].
      destruct (has_state_inv _ _ _ (found_rtt _ _ _ _ _ F)) as (g & Hg & Hs). rewrite Eq, Hg, Hs in Lp. by destruct (_ <? _).
    + rewrite (leaf_made s1 (w_table w) p (w_slot w) P); [reflexivity|by rewrite Ep|by rewrite Eh|by rewrite W0|].
      by rewrite (fd_level _ _ _ _ _ F), (ch_level _ _ _ _ _ _ _ C).
  - eapply uncount; [exact C|exact E2|exact R1].
  - assert (E4 : entry_changed w P s (if kind level (word (mem s) c 0) =? K_ASSIGNED then entry_put w P s1
      else refs_added (w_table w) (2 ^ 64 - 1) (entry_put w P s1))) by by destruct (_ =? _).
    destruct (child_rtt _ _ _ _ _ _ _ C) as [Hcr _]. destruct (has_state_inv _ _ _ Hcr) as (g & Hg & Hs).
    destruct (place_granule _ _ _ I Pc) as (Rc & Ac & _). destruct (table_desc_ok c Rc Ac) as (_ & Tc & _).
    eapply (gone_scrub _ _ _ _ _ _ _ _ _ C E4); [apply unpinned_refl| |].
    + intros E. rewrite E in Tp. rewrite Tc in Tp by lia. discriminate.
    + destruct (leaf_covers (level - 1) P c) eqn:Hcov; [|done]. exfalso.
      destruct (leaf_covers_page _ _ _ Hcov Ac (out_addr_page P)) as (n & Hn & En).
      unfold leaf_covers in Hcov. apply andb_true_iff in Hcov as [[[V _]%andb_true_iff _]%andb_true_iff _]. specialize (Lp V).
      unfold realm_leaf_ok in Lp. rewrite forallb_forall in Lp. specialize (Lp n). cbv zeta in Lp. rewrite <- En in Lp.
      assert (Hin : In n (granules_of (level - 1))).
      { unfold granules_of. apply in_map_iff. exists (Z.to_nat n). rewrite in_seq. lia. }
      specialize (Lp Hin). unfold own_data, pinned in Lp. rewrite Hg, Hs in Lp. by destruct (protected s rd ipa).
Qed.

Theorem rtt_fold_locked_ok rd ipa level s :
  open_realm rd s -> staled s = [] -> 0 <= ipa -> u64 level ->
  core "rtt_fold_locked" [rd; ipa; level] s = Some (fst (fold_locked rd ipa level s), snd (fold_locked rd ipa level s)).
Proof.
  intros O Hst Hi Hl. pose proof (open_hand _ _ O) as Hh. pose proof O as [I Hr _].
  destruct (i_realm _ I _ Hr) as [_ _ (Hlev & _) _ _ _ _ _ _].
  enter f_rtt_fold_locked. unfold fold_locked. step. change (rd_get RD_vmid rd 0 s) with (rd_of s RD_vmid rd).
  eapply bind_call; [apply rtt_table_ok_ok; [done|done|lia]|]. tidy.
  destruct (table_possible rd ipa level s) eqn:Hp; cbn [negb]; [|reflexivity].
  destruct (possible_facts _ _ _ _ Hp) as (Hle & Hb & Ha). rewrite (wrap_small (level - 1)) by lia.
  eapply bind_call; [apply rtt_walk_ok; [done|lia|lia]|]. tidy.
  destruct (walk_found rd ipa (level - 1) s O ltac:(lia)) as (p & F). set (w := walk rd ipa (level - 1) s) in *.
  pose proof (found_range _ _ _ _ _ F) as Hrg. eapply bind_call; [apply error_rtt_ok; lia|]. tidy.
  unfold table_there. change K_TABLE with 4. destruct (Z.eqb_spec (w_level w) (level - 1)) as [El|]; cbn [negb orb andb]; [|reflexivity].
  destruct (Z.eqb_spec (w_kind w) 4) as [Ek|]; cbn [negb orb]; [|reflexivity].
  pose proof (child_found _ _ _ _ _ _ F El Ek) as C. use s2_pa_ok. set (c := out_addr (w_desc w)) in *.
  apply bind_read; [by eapply child_0_read|]. tidy. use s2_kind_ok. set (first := word (mem s) c 0).
  destruct (Z.eqb_spec (kind level first) 4) as [|Nt]; cbn [negb].
  { eapply bind_call; [apply error_rtt_ok; lia|]. tidy. reflexivity. }
  eapply bind_call; [apply s2_parent_ok; lia|]. tidy.
  eapply bind_call; [apply rtt_fold_check_ok; [by eapply child_hand|intros; by eapply child_read|lia]|]. tidy.
  change RMI_SUCCESS with 0. destruct (Z.eqb_spec (fold_check c level (parent level first) s) 0) as [Ec|]; cbn [negb]; [|reflexivity].
  destruct (child_broken _ _ _ _ _ _ _ 0 C Hst eq_refl eq_refl) as (s' & B1 & B2).
  destruct (table_folded_ok _ _ _ _ _ _ _ C Hst Ha Nt Ec) as (G1 & G2 & G3). fold first in G1, G2, G3.
  eapply bind_call; [exact B1|]. tidy. eapply bind_call; [exact B2|]. tidy. eapply bind_call; [exact G1|]. tidy.
  unfold table_folded. fold c. fold first. change K_ASSIGNED with 1 in *. destruct (kind level first =? 1); cbn [negb].
  - eapply bind_call; [exact G3|]. tidy. reflexivity.
  - eapply bind_call; [exact G2|]. tidy. eapply bind_call; [exact G3|]. tidy. reflexivity.
Qed.

Lemma fold_locked_under rd ipa level s :
  fold_locked rd ipa level (locked rd s) = (fst (fold_locked rd ipa level s), locked rd (snd (fold_locked rd ipa level s))).
Proof.
  unfold fold_locked. change (table_possible rd ipa level (locked rd s)) with (table_possible rd ipa level s).
  change (walk rd ipa (level - 1) (locked rd s)) with (walk rd ipa (level - 1) s). set (w := walk rd ipa (level - 1) s).
  change (mem (locked rd s)) with (mem s). set (first := word (mem s) (out_addr (w_desc w)) 0).
  change (fold_check (out_addr (w_desc w)) level (parent level first) (locked rd s)) with (fold_check (out_addr (w_desc w)) level (parent level first) s).
  assert (E : table_folded rd level w (locked rd s) = locked rd (table_folded rd level w s)).
  { unfold table_folded. rewrite put_locked, uncached_locked, put_locked, refs_locked. change (mem (locked rd s)) with (mem s).
    destruct (_ =? _); rewrite scrubbed_locked; reflexivity. }
  rewrite E. destruct (negb _); [reflexivity|]. destruct (negb _); [reflexivity|]. destruct (_ =? _); [reflexivity|].
  destruct (negb _); reflexivity.
Qed.

Theorem rtt_fold_ok rd ipa level s :
  inv s -> idle s -> 0 <= ipa -> u64 level ->
  core "rtt_fold" [rd; ipa; level] s = Some (fst (rtt_folded rd ipa level s), snd (rtt_folded rd ipa level s)).
Proof.
  intros I (Hh & Hs & Hst) Hi Hl. enter f_rtt_fold. unfold rtt_folded. apply bind_lock; [done..|].
  destruct (has_state GS_RD rd s) eqn:Hr; tidy; [|reflexivity]. pose proof (locked_open _ _ I Hr) as O.
  eapply bind_call; [apply rtt_fold_locked_ok; [done|done|done|done]|]. rewrite fold_locked_under. cbn [fst snd].
  assert (K : (exists a b c d e, fst (fold_locked rd ipa level s) = [a; b; c; d; e]) /\
    held (snd (fold_locked rd ipa level s)) = [] /\ shrinking (snd (fold_locked rd ipa level s)) = false /\
    staled (snd (fold_locked rd ipa level s)) = []).
  { unfold fold_locked, refused. destruct (negb _); [split; [eauto 10|done]|]. destruct (negb _); [split; [eauto 10|done]|].
    destruct (_ =? _); [split; [eauto 10|done]|]. destruct (negb _); [split; [eauto 10|done]|]. split; [eauto 10|]. cbn [snd].
    unfold table_folded. destruct (_ =? _); done. }
  destruct K as ((a & b & c & d & e & ->) & K1 & K2 & K3). tidy. apply bind_unlock; [done..|]. tidy. reflexivity.
Qed.
