(* SPDX-License-Identifier: Apache-2.0 *)
(* The invariant after RMI_RTT_FOLD. *)
From kcore Require Export refine.FoldFacts.
Local Open Scope Z_scope.

Lemma fold_checked c level P s : fold_check c level P s = RMI_SUCCESS ->
  uniform (mem s) c level P = true /\ (refs_of c s = 0 \/ refs_of c s = 512 /\ 2 <= level) /\
  (kind (level - 1) P = K_ASSIGNED_NS -> level = 3) /\
  (kind (level - 1) P = K_ASSIGNED \/ kind (level - 1) P = K_ASSIGNED_NS -> out_addr P mod size_of (level - 1) = 0).
Proof.
  unfold fold_check, aligned_to. generalize (kind (level - 1) P) (refs_of c s) (uniform (mem s) c level P). intros k n u.
  assert (S : forall l, status_rtt l <> RMI_SUCCESS) by (unfold status_rtt, RMI_ERROR_RTT, RMI_SUCCESS; lia).
  destruct (negb (n =? 0) && negb (n =? 512)) eqn:E1; [intros H; by apply S in H|].
  destruct ((n =? 512) && (level <? 2)) eqn:E2; [intros H; by apply S in H|].
  destruct ((k =? K_ASSIGNED_NS) && negb (level =? 3)) eqn:E3; [intros H; by apply S in H|].
  destruct ((n =? 512) && negb (k =? K_ASSIGNED)) eqn:E4; [intros H; by apply S in H|].
  destruct u; cbn [negb]; [|intros H; by apply S in H].
  destruct (negb (out_addr P mod size_of (level - 1) =? 0) && ((k =? K_ASSIGNED) || (k =? K_ASSIGNED_NS))) eqn:E5; [intros H; by apply S in H|].
  intros _. split; [done|]. split; [lia|]. split; [lia|]. intros [-> | ->]; rewrite Z.eqb_refl, ?orb_true_r in E5; cbn [orb] in E5; rewrite andb_true_r in E5;
  by apply negb_false_iff, Z.eqb_eq in E5.
Qed.

(* All that the one entry has to say, the table says. *)
Record says (s : state) (rd t level base : Z) (tt : Z) (pt : place) (P : Z) : Prop := Says {
  sy_leaf : is_table (level - 1) P = false;
  sy_entry : entry_ok s tt pt base P;
  sy_u64 : u64 P;
  sy_below : forall j, 0 <= j < 512 -> is_table level (word (mem s) t j) = false;
  sy_maps : forall j y pa, maps s rd t j y pa -> kind (level - 1) P = K_ASSIGNED /\
      exists n, 0 <= n < size_of (level - 1) / 4096 /\ pa = out_addr P + n * 4096;
  sy_back : kind (level - 1) P = K_ASSIGNED -> forall n, 0 <= n < size_of (level - 1) / 4096 ->
      exists j y, maps s rd t j y (out_addr P + n * 4096);
  sy_pins : forall pa, is_ns (gran s) pa = true -> leaf_covers (level - 1) P pa = true -> 1 <= leaves_for pa level (page (mem s) t);
}.

Lemma no_pages s rd t level base pp P : places s !! t = Some (Place rd level base pp) ->
  (forall j, 0 <= j < 512 -> word (mem s) t j = P) -> kind level P <> K_ASSIGNED -> forall j y pa, ~ maps s rd t j y pa.
Proof.
  intros Hp Hw K j y pa [(p & Hp' & _ & Hj & Hk & _)]. rewrite Hp in Hp'. injection Hp' as <-. cbn [p_level] in Hk. rewrite Hw in Hk; done.
Qed.

Lemma folded_says s t rd level base pp tt pt : inv s -> 1 <= level <= 3 -> places s !! t = Some (Place rd level base pp) ->
  p_rd pt = rd -> p_level pt = level - 1 ->
  let first := word (mem s) t 0 in let P := parent level first in
  kind level first <> K_TABLE -> fold_check t level P s = RMI_SUCCESS ->
  says s rd t level base tt pt P /\ kind (level - 1) P = kind level first.
Proof.
  intros I Hl Hp Erd El first P Nt Hc. pose proof (i_words _ I t 0) as Hw.
  destruct (fold_checked _ _ _ _ Hc) as (Hun & Hrefs & H3 & Hal). clear Hc.
  assert (Hword : forall i, 0 <= i < 512 -> word (mem s) t i = child level P i) by (intros; by apply uniform_word).
  destruct (i_table _ I _ _ Hp) as [_ _ _ _ _ _ He]. specialize (He 0 ltac:(lia)). cbn [p_level p_base p_rd] in He. fold first in He, Hw.
  rewrite Z.mul_0_l, Z.add_0_r in He.
  pose proof (fun H0 => uncounted s t _ 0 I Hp H0 ltac:(lia)) as Hu. cbn [p_level] in Hu. fold first in Hu.
  pose proof (fun n Hk Hn => entry_shares s t _ 0 n I Hp ltac:(lia) Hk Hn) as Hsh. cbn [p_level p_rd p_base] in Hsh. fold first in Hsh.
  revert Hword H3 Hw Nt Hal Hu Hsh. unfold P. clear Hun P. clearbody first.
  assert (NP : forall k d, is_valid d = false -> is_table level d = false -> kind (level - 1) d = k -> kind level d = k -> k <> K_ASSIGNED ->
    u64 d -> entry_ok s tt pt base d -> parent level d = d -> (forall i, child level d i = d) ->
    (forall i, 0 <= i < 512 -> word (mem s) t i = child level (parent level d) i) ->
    says s rd t level base tt pt (parent level d) /\ kind (level - 1) (parent level d) = kind level d).
  { intros k d V T K K' Nk U Ed Ep Ec Hword. rewrite Ep in *. split; [|by rewrite K, K'].
    assert (W : forall j, 0 <= j < 512 -> word (mem s) t j = d) by (intros; by rewrite Hword, Ec).
    assert (NM : forall j y pa, ~ maps s rd t j y pa) by (eapply no_pages; [exact Hp|exact W|congruence]).
    constructor; try done.
    - unfold is_table in *. destruct (Z.land d 3 =? 3) eqn:E; [|apply andb_false_r]. apply Z.eqb_eq in E. exfalso.
      unfold is_valid in V. apply negb_false_iff, Z.eqb_eq in V.
      assert (E' : Z.land (Z.land d 3) 1 = Z.land d 1) by (rewrite <- Z.land_assoc; reflexivity). rewrite E, V in E'. discriminate.
    - intros j Hj. by rewrite W.
    - intros j y pa M. by apply NM in M.
    - intros H. congruence.
    - intros pa _ Cv. unfold leaf_covers in Cv. rewrite V in Cv. discriminate. }
  destruct He as [r H Hh|q r H Hh Hl1 Hq Hqa Hd|Hh|host Hh Hl2 Hok Hwh Hd|c _ Hl2 Hcc|Hh]; intros Hword H3 Hw Nt Hal Hu Hsh;
    cbn [p_rd p_level] in *.
  - destruct (unassigned_facts level r H) as (V & T & K & _), (unassigned_facts (level - 1) r H) as (_ & _ & K' & _).
    apply (NP K_UNASSIGNED); try done.
    + apply E_unassigned; [done|]. by rewrite Erd.
    + unfold parent. by rewrite K.
    + intros i. unfold child. by rewrite K'.
  - pose proof (aligned_size _ _ Hqa) as Hq4.
    destruct (assigned_ok level q r H Hq Hq4) as (O & _ & T & K & R & _).
    destruct (assigned_ok (level - 1) q r H Hq Hq4) as (O' & V' & T' & K' & R' & _).
    assert (P1 : parent level (assigned level q r) = assigned (level - 1) q r).
    { unfold parent. rewrite K. change (K_ASSIGNED =? K_ASSIGNED) with true. cbv iota. by rewrite O, R. }
    rewrite P1 in *. split; [|by rewrite K, K']. rewrite O' in Hal. specialize (Hal (or_introl K')).
    assert (Hq40 : 0 < q < 2 ^ 40).
    { pose proof (Hd 0) as D. rewrite Z.add_0_r in D. unfold own_data in D. destruct (gran s !! q) as [g|] eqn:Hg.
      - destruct (i_gran _ I _ _ Hg) as (B & _). lia.
      - destruct (part_pages level Hl) as (_ & _ & Pz). discriminate D. lia. }
    assert (L2 : 2 <= level).
    { destruct Hrefs as [H0|[_ H2]]; [|done]. specialize (Hu H0). unfold is_counted in Hu. rewrite K, orb_true_r in Hu. discriminate. }
    pose proof (page_mapped s rd t level base pp q r Hl Hp H Hq40 Hqa Hword) as PM.
    pose proof (mapped_page s rd t level base pp q r Hl Hp H Hq40 Hqa Hword) as MP.
    assert (Own : forall n, 0 <= n < size_of (level - 1) / 4096 -> own_data s rd (q + n * 4096) = true).
    { intros n Hn. destruct (PM n Hn) as (j & y & M). by eapply maps_own. }
    constructor.
    + exact T'.
    + pose proof (E_assigned s tt pt base q r) as X. rewrite Erd, El in X. apply X; try done; lia.
    + by apply assigned_u64.
    + intros j Hj. rewrite Hword by done. destruct (assigned_child level q r j Hl H Hq40 Hq4 Hj) as [-> B].
      assert (Ha' : (q + j * size_of level) mod size_of level = 0) by (destruct (size_pos level); by rewrite Z.mod_add by lia).
      by destruct (assigned_ok level _ r H B (aligned_size _ _ Ha')) as (_ & _ & T2 & _).
    + intros j y pa M. rewrite O'. split; [done|]. by apply (MP j y pa).
    + intros _ n Hn. rewrite O'. by apply PM.
    + intros pa Hn Cv. exfalso. assert (A : pa mod 4096 = 0).
      { unfold is_ns in Hn. destruct (gran s !! pa) as [g|] eqn:Hg; [|done]. by destruct (i_gran _ I _ _ Hg) as (_ & A & _). }
      destruct (leaf_covers_page _ _ _ Cv A (out_addr_page _)) as (n & Hn' & ->). rewrite O' in *. specialize (Own n Hn').
      unfold is_ns, own_data in *. destruct (gran s !! _) as [g|]; [|done]. apply Z.eqb_eq in Hn. rewrite Hn in Own. discriminate.
  - destruct (unassigned_ns_facts level) as (V & T & K), (unassigned_ns_facts (level - 1)) as (_ & _ & K').
    apply (NP K_UNASSIGNED_NS); try done.
    + apply E_unassigned_ns. by rewrite Erd.
    + unfold parent. by rewrite K.
    + intros i. unfold child. by rewrite K'.
  - destruct (ns_ok_parts _ _ Hok) as (B0 & _ & B4).
    destruct (assigned_ns_facts level host Hwh) as (O & _ & _ & K & _), (assigned_ns_facts (level - 1) host Hwh) as (O' & V' & T' & K' & _).
    assert (P1 : parent level (assigned_ns level host) = assigned_ns (level - 1) host).
    { unfold parent. rewrite K. change (K_ASSIGNED_NS =? K_ASSIGNED) with false. change (K_ASSIGNED_NS =? K_ASSIGNED_NS) with true.
      cbv iota. by rewrite ns_host_back. }
    rewrite P1 in *. split; [|by rewrite K, K']. specialize (H3 K'). subst level. change (3 - 1) with 2 in *.
    rewrite O' in Hal. specialize (Hal (or_intror K')).
    assert (Hok2 : ns_ok 2 host = true) by (by apply ns_ok_make).
    assert (Ho40 : out_addr host < 2 ^ 40).
    { pose proof (Hsh 0 K ltac:(done)) as (_ & _ & D). rewrite O, Z.mul_0_l, Z.add_0_r in D. unfold is_ns in D.
      destruct (gran s !! _) as [g|] eqn:Hg; [|done]. destruct (i_gran _ I _ _ Hg) as (B & _). lia. }
    assert (Ch : forall i, 0 <= i < 512 -> exists h, word (mem s) t i = assigned_ns 3 h /\ 0 <= h < 2 ^ 64 /\ out_addr h = out_addr host + i * 4096).
    { intros i Hi. destruct (ns_child host i Hok2 Hwh Ho40 Hi) as (h & Eh & _ & Hh2 & Oh). exists h. by rewrite Hword. }
    constructor.
    + exact T'.
    + pose proof (E_assigned_ns s tt pt base host) as X. rewrite Erd, El in X. apply X; try done. intros n Hn. change (size_of 2 / 4096) with 512 in Hn.
      destruct (Ch n Hn) as (h & Eh & Hh2 & Oh). destruct (assigned_ns_facts 3 h Hh2) as (Oh' & _ & _ & Kh & _).
      pose proof (entry_shares s t _ n 0 I Hp Hn) as D. cbn [p_level p_rd p_base] in D. rewrite Eh, Oh', Oh, Z.mul_0_l, Z.add_0_r in D.
      by apply (D Kh).
    + by apply assigned_ns_u64.
    + intros j Hj. destruct (Ch j Hj) as (h & -> & Hh2 & _). by destruct (assigned_ns_facts 3 h Hh2) as (_ & _ & T2 & _).
    + intros j y pa [(p & Hp' & _ & Hj & Hk & _)]. exfalso. rewrite Hp in Hp'. injection Hp' as <-. cbn [p_level] in Hk.
      destruct (Ch j Hj) as (h & Eh & Hh2 & _). rewrite Eh in Hk. destruct (assigned_ns_facts 3 h Hh2) as (_ & _ & _ & Kh & _). rewrite Kh in Hk. discriminate.
    + intros Hk. change (3 - 1) with 2 in Hk. rewrite K' in Hk. discriminate.
    + intros pa Hn Cv. change (3 - 1) with 2 in Cv. assert (A : pa mod 4096 = 0).
      { unfold is_ns in Hn. destruct (gran s !! pa) as [g|] eqn:Hg; [|done]. by destruct (i_gran _ I _ _ Hg) as (_ & A & _). }
      destruct (leaf_covers_page _ _ _ Cv A (out_addr_page _)) as (n & Hn' & ->). change (size_of 2 / 4096) with 512 in Hn'. rewrite O' in *.
      destruct (Ch n Hn') as (h & Eh & Hh2 & Oh). destruct (assigned_ns_facts 3 h Hh2) as (Oh' & Vh & Th & _).
      unfold leaves_for. eapply count_pos; [apply (page_word _ t n (i_mem _ I) Hn')|]. rewrite Eh. unfold leaf_covers. rewrite Vh, Th, Oh', Oh.
      cbn [negb andb]. change (size_of 3) with 4096. apply andb_true_iff. split; [apply Z.leb_le|apply Z.ltb_lt]; lia.
  - destruct (place_granule _ _ _ I Hcc) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T & _).
    destruct Nt. unfold kind. by rewrite T.
  - assert (K : forall l, kind l 0 = K_UNASSIGNED) by (intros; unfold kind, is_table; rewrite andb_false_r; reflexivity).
    apply (NP K_UNASSIGNED); try done.
    + unfold is_table. apply andb_false_r.
    + apply E_beyond. by rewrite Erd.
    + unfold parent. by rewrite K.
    + intros i. unfold child. by rewrite K.
Qed.

Theorem fold_locked_inv rd ipa level s : open_realm rd s -> staled s = [] -> 0 <= ipa -> inv (snd (fold_locked rd ipa level s)).
Proof.
  intros O Hst Hi. pose proof O as [I Hr _]. unfold fold_locked.
  destruct (table_possible rd ipa level s) eqn:Hp; cbn [negb]; [|exact I]. destruct (possible_facts _ _ _ _ Hp) as (Hle & Hb & Ha).
  destruct (walk_found rd ipa (level - 1) s O ltac:(lia)) as (p & F). set (w := walk rd ipa (level - 1) s) in *.
  destruct (table_there level w) eqn:Ht; cbn [negb]; [|exact I]. apply andb_true_iff in Ht as [El%Z.eqb_eq Ek%Z.eqb_eq].
  pose proof (child_found _ _ _ _ _ _ F El Ek) as C. set (c := out_addr (w_desc w)) in *.
  set (first := word (mem s) c 0). destruct (Z.eqb_spec (kind level first) K_TABLE) as [|Nt]; [exact I|].
  destruct (Z.eqb_spec (fold_check c level (parent level first) s) RMI_SUCCESS) as [Hc|]; cbn [negb]; [|exact I]. cbn [snd].
  pose proof (ch_place _ _ _ _ _ _ _ C) as Pc. pose proof (child_other _ _ _ _ _ _ _ C) as Nct.
  pose proof (child_not_rd _ _ _ _ _ _ _ C) as Ncr. pose proof (found_not_rd _ _ _ _ _ F) as Ntr. pose proof (child_level _ _ _ _ _ _ _ C) as Hl.
  pose proof (child_counted _ _ _ _ _ _ _ C) as Hcnt.
  destruct (folded_says s c rd level _ _ (w_table w) p I Hl Pc (fd_rd _ _ _ _ _ F) (eq_trans (fd_level _ _ _ _ _ F) El) Nt Hc) as [S Kp].
  fold first in S, Kp. unfold table_folded. fold c. fold first. set (P := parent level first) in *. rewrite <- Kp.
  set (vmid := rd_of s RD_vmid rd).
  set (s2 := entry_put w P (uncached vmid (entry_put w 0 s))).
  set (x := cached s2).
  destruct (has_state_inv _ _ _ (found_rtt _ _ _ _ _ F)) as (y & Hy & Hys).
  destruct (table_owner _ _ _ I (fd_place _ _ _ _ _ F)) as (_ & Ow & _). rewrite (fd_rd _ _ _ _ _ F) in Ow.
  assert (Oy : g_owner y = rd) by (unfold granule_at in Ow; by rewrite Hy in Ow).
  assert (Ry : refs_of (w_table w) s = g_refs y) by (unfold refs_of, granule_at; by rewrite Hy).
  set (b := if kind (level - 1) P =? K_ASSIGNED then 1 else 0).
  set (g := <[w_table w := Gran GS_RTT rd (g_refs y - 1 + b)]> (gran s)).
  set (m := set_word (mem s) (w_table w) (w_slot w) P).
  assert (E : (if kind (level - 1) P =? K_ASSIGNED then s2 else refs_added (w_table w) (2 ^ 64 - 1) s2) = with_cached x (with_gran g (with_mem m s))).
  { assert (M2 : mem s2 = m). { unfold s2, entry_put, put_word. cbn [mem with_mem uncached with_cached]. by rewrite set_word_twice. }
    assert (E2 : s2 = with_cached x (with_gran (gran s) (with_mem m s))) by (rewrite <- M2; reflexivity).
    unfold g, b. destruct (kind (level - 1) P =? K_ASSIGNED).
    - rewrite E2. f_equal. f_equal. symmetry. apply insert_id. rewrite Hy. f_equal.
      transitivity (Gran (g_state y) (g_owner y) (g_refs y)); [by destruct y|]. rewrite Hys, Oy. f_equal. lia.
    - unfold refs_added, with_refs. change (granule_at s2 (w_table w)) with (granule_at s (w_table w)). change (refs_of (w_table w) s2) with (refs_of (w_table w) s).
      rewrite wrap_less by (unfold REFS_MAX in *; lia). rewrite Ow, Ry. unfold granule_at. rewrite Hy. cbn [default from_option id]. rewrite Hys, Z.add_0_r, E2. reflexivity. }
  rewrite E. clear E. apply (gone_inv rd ipa level w p s c P x g m). constructor.
  - exact C.
  - intros r Hx. change x with (base.filter (fun r => runs_no_more (entry_put w 0 s) vmid r = false) (cached s)) in Hx.
    by apply elem_of_filter in Hx as [_ Hx].
  - apply set_word_ok, (i_mem _ I).
  - apply words_set; [exact (i_words _ I)|]. apply S.
  - unfold m, set_word. by rewrite page_insert_same.
  - intros q N _. apply page_set_page. congruence.
  - intros f _. by apply word_set_page.
  - intros q N. unfold g. rewrite lookup_insert_ne by done. destruct (gran s !! q) as [[a1 a2 a3]|] eqn:Hq; [|done]. exists a3. split; [done|].
    destruct (i_gran _ I _ _ Hq) as (_ & _ & [_ R]). cbn [g_state g_refs] in R |- *. destruct (a1 =? GS_NS); [exact R|reflexivity].
  - unfold g. rewrite lookup_insert. rewrite Ry. do 2 f_equal. unfold b. rewrite counted_leaf by (rewrite El; apply S). rewrite El.
    destruct (_ =? _); reflexivity.
  - apply S.
  - rewrite El. apply S.
  - rewrite El. exact (sy_entry _ _ _ _ _ _ _ _ S).
  - rewrite El. apply S.
  - rewrite El. apply S.
  - intros pa u z Hn Hu Hz. unfold g in Hz. rewrite lookup_insert_ne in Hz.
    2:{ intros <-. unfold is_ns in Hn. rewrite Hy, Hys in Hn. done. }
    rewrite Hu in Hz. injection Hz as <-. rewrite El. pose proof (sy_pins _ _ _ _ _ _ _ _ S pa Hn) as Q.
    pose proof (count_range (fun d => leaf_covers level d pa) (page (mem s) c)). unfold leaves_for in *.
    destruct (leaf_covers (level - 1) P pa); cbn [b2z]; [specialize (Q eq_refl)|]; lia.
Qed.

Theorem rtt_folded_inv rd ipa level s : inv s -> idle s -> 0 <= ipa -> inv (snd (rtt_folded rd ipa level s)).
Proof.
  intros I (Hh & Hs & Hst) Hi. unfold rtt_folded. destruct (has_state GS_RD rd s) eqn:Hr; [|exact I].
  pose proof (fold_locked_inv rd ipa level (locked rd s) (locked_open _ _ I Hr) Hst Hi) as H. rewrite fold_locked_under in H. cbn [snd] in H.
  revert H. generalize (snd (fold_locked rd ipa level s)). intros s' H. by apply (inv_same (locked rd s')).
Qed.
Theorem rtt_folded_idle rd ipa level s : idle s -> idle (snd (rtt_folded rd ipa level s)).
Proof.
  intros H. unfold rtt_folded, fold_locked. destruct (has_state GS_RD rd s); [|exact H].
  destruct (negb _); [exact H|]. destruct (negb _); [exact H|]. destruct (_ =? _); [exact H|]. destruct (negb _); [exact H|]. cbn [snd]. unfold table_folded.
  destruct (_ =? _); exact H.
Qed.
