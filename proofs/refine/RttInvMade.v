(* SPDX-License-Identifier: Apache-2.0 *)
(* A table of a realm comes: the invariant after RMI_RTT_CREATE. *)
From kcore Require Export refine.RttInvFold.
From kcore Require Export refine.RttCreate.
Local Open Scope Z_scope.

Lemma count_one {A} (f : A -> bool) (l : list A) :
  (forall i j x y, l !! i = Some x -> l !! j = Some y -> f x = true -> f y = true -> i = j) -> count f l <= 1.
Proof.
  induction l as [|x l IH]; intros H; [done|]. rewrite count_cons.
  assert (IH' : count f l <= 1).
  { apply IH. intros i j a b Ha Hb Fa Fb. specialize (H (S i) (S j) a b Ha Hb Fa Fb). lia. }
  destruct (f x) eqn:E; [|lia]. enough (count f l = 0) by lia. apply count_none. intros y Hy.
  destruct (f y) eqn:Ey; [|done]. apply elem_of_list_lookup in Hy as [i Hi]. specialize (H 0%nat (S i) x y eq_refl Hi E Ey). lia.
Qed.
(* What begins below a bound that is whole entries ends there. *)
Lemma room l level ipa h : 0 <= l <= level -> level <= 2 -> h mod size_of l = 0 -> ipa mod size_of level = 0 -> ipa < h -> ipa + size_of level <= h.
Proof.
  intros Hl Hl2 Hh Ha Hi.
  assert (Hdd : exists j, size_of l = j * size_of level).
  { assert (l = 0 \/ l = 1 \/ l = 2) as [->|[->| ->]] by lia; assert (level = 0 \/ level = 1 \/ level = 2) as [->|[->| ->]] by lia; try lia;
    first [exists 1; vm_compute; reflexivity | exists 512; vm_compute; reflexivity | exists 262144; vm_compute; reflexivity]. }
  destruct Hdd as [j Hj]. pose proof (size_pos level) as [P _]. pose proof (size_pos l) as [P' _].
  apply Z.mod_divide in Hh as [k Hk]; [|lia]. apply Z.mod_divide in Ha as [a Ha]; [|lia].
  rewrite Hj, Z.mul_assoc in Hk. revert Ha Hk P. generalize (size_of level) (k * j). intros S b Ha Hk P. subst ipa h.
  assert (a < b) by (apply (Z.mul_lt_mono_pos_r S); lia). pose proof (Z.mul_le_mono_nonneg_r (a + 1) b S). lia.
Qed.
Lemma words_page m t : mem_ok m -> (forall i, 0 <= i < 512 -> u64 (word m t i)) -> forall i, u64 (word m t i).
Proof.
  intros Hm H i. unfold word, nth_word. pose proof (page_ok m t Hm) as L. unfold is_page in L.
  destruct (decide (Z.to_nat i < 512)%nat) as [Hi|Hi].
  - specialize (H (Z.of_nat (Z.to_nat i)) ltac:(lia)). unfold word, nth_word in H. by rewrite Nat2Z.id in H.
  - rewrite nth_overflow by lia. apply u64_0.
Qed.

(* The entries of a table that says what the entry above said. *)
Record unfolds (s s' : state) (rd rtt level ipa t D : Z) : Prop := Unfolds {
  uf_entry : forall i, 0 <= i < 512 -> entry_ok s' rtt (Place rd level ipa t) (ipa + i * size_of level) (child level D i);
  uf_u64 : forall i, 0 <= i < 512 -> u64 (child level D i);
  uf_counted : forall i, 0 <= i < 512 -> is_counted level (child level D i) = (kind (level - 1) D =? K_ASSIGNED);
  uf_maps : forall j y pa, maps s' rd rtt j y pa -> kind (level - 1) D = K_ASSIGNED /\
      exists n, 0 <= n < size_of (level - 1) / 4096 /\ pa = out_addr D + n * 4096;
  uf_back : kind (level - 1) D = K_ASSIGNED -> forall n, 0 <= n < size_of (level - 1) / 4096 ->
      exists j y, maps s' rd rtt j y (out_addr D + n * 4096);
  uf_once : forall j1 y1 j2 y2 pa, maps s' rd rtt j1 y1 pa -> maps s' rd rtt j2 y2 pa -> j1 = j2;
  uf_pins : forall pa, is_ns (gran s) pa = true -> leaves_for pa level (page (mem s') rtt) <= b2z (leaf_covers (level - 1) D pa);
}.

Section unfold.
  Context (s s' : state) (rd rtt ipa level : Z) (w : walked) (p : place) (F : found rd ipa w p s)
    (El : w_level w = level - 1) (Nk : w_kind w <> K_TABLE) (Ha : ipa mod size_of (level - 1) = 0) (Hl : 1 <= level <= 3)
    (Hown : forall q, own_data s' rd q = own_data s rd q) (Hns : forall q, is_ns (gran s') q = is_ns (gran s) q)
    (Hrd : forall f, In f rd_told -> rd_of s' f rd = rd_of s f rd)
    (Hpl : places s' !! rtt = Some (Place rd level ipa (w_table w))) (Hm : mem_ok (mem s'))
    (Hw : forall i, 0 <= i < 512 -> word (mem s') rtt i = child level (w_desc w) i).
  Local Notation D := (w_desc w).

  (* One that maps nothing: all say the same. *)
  Lemma unfolds_plain : is_valid D = false -> kind (level - 1) D <> K_ASSIGNED -> kind level D <> K_ASSIGNED -> is_table level D = false ->
    u64 D -> (forall i, child level D i = D) ->
    (forall i, 0 <= i < 512 -> entry_ok s' rtt (Place rd level ipa (w_table w)) (ipa + i * size_of level) D) ->
    unfolds s s' rd rtt level ipa (w_table w) D.
  Proof using Hpl Hw Hm.
    intros V K K' T U Ec He.
    assert (W : forall i, 0 <= i < 512 -> word (mem s') rtt i = D) by (intros; by rewrite Hw, Ec).
    assert (NM : forall j y pa, ~ maps s' rd rtt j y pa) by (eapply no_pages; [exact Hpl|exact W|done]).
    constructor.
    - intros i Hi. rewrite Ec. by apply He.
    - intros i Hi. by rewrite Ec.
    - intros i Hi. rewrite Ec, counted_leaf by done. by rewrite !(proj2 (Z.eqb_neq _ _)) by done.
    - intros j y pa M. by apply NM in M.
    - done.
    - intros j1 y1 j2 y2 pa M. by apply NM in M.
    - intros pa _.
      unfold leaves_for. rewrite (proj2 (count_none _ _)).
      + unfold b2z. destruct (leaf_covers _ _ _); lia.
      + intros d Hd. apply elem_of_list_lookup in Hd as [i Hd]. apply (page_lookup _ _ _ _ Hm) in Hd as [Hi ->].
        rewrite W by lia. unfold leaf_covers. by rewrite V.
  Qed.

  Lemma unfolds_ok : unfolds s s' rd rtt level ipa (w_table w) D.
  Proof using F El Nk Ha Hl Hown Hns Hrd Hpl Hm Hw.
    pose proof (found_inv _ _ _ _ _ F) as I. pose proof (found_entry _ _ _ _ _ F) as He.
    pose proof (found_word _ _ _ _ _ F) as Hu. pose proof (found_level _ _ _ _ _ F) as Hs. pose proof (fd_ipa _ _ _ _ _ F) as Hi.
    destruct (fd_open _ _ _ _ _ F) as [_ Hst _]. destruct (ipa_size_entries _ _ (i_realm _ I _ Hst)) as (Hfull & Hhalf & _).
    destruct (i_realm _ I _ Hst) as [_ _ (Hs0 & _) _ _ _ _ _ _ _].
    assert (H1 : rd_of s' RD_ipa_size rd = rd_of s RD_ipa_size rd) by (apply Hrd; rd_told_in).
    assert (H2 : half_of s' rd = half_of s rd) by (unfold half_of; by rewrite H1).
    assert (Sb : size_of (level - 1) = 512 * size_of level).
    { rewrite (size_below (level - 1)) by lia. do 2 f_equal. lia. }
    destruct (size_pos level) as [Sp _].
    assert (In : forall i, 0 <= i < 512 -> ipa <= ipa + i * size_of level < ipa + size_of (level - 1)) by (intros; nia).
    assert (Rh : ipa < half_of s rd -> forall i, 0 <= i < 512 -> ipa + i * size_of level < half_of s rd).
    { intros H i Hi'. pose proof (room (rd_of s RD_start_level rd) (level - 1) ipa (half_of s rd) ltac:(lia) ltac:(lia) Hhalf Ha H). specialize (In i Hi'). lia. }
    assert (Rf : forall i, 0 <= i < 512 -> ipa + i * size_of level < rd_of s RD_ipa_size rd).
    { intros i Hi'. pose proof (room (rd_of s RD_start_level rd) (level - 1) ipa (rd_of s RD_ipa_size rd) ltac:(lia) ltac:(lia) Hfull Ha (proj2 Hi)). specialize (In i Hi'). lia. }
    pose proof (fd_desc _ _ _ _ _ F) as Fd. pose proof (fd_rd _ _ _ _ _ F) as Fr. pose proof (fd_level _ _ _ _ _ F) as Fl.
    pose proof (fun n Hk Hn => entry_shares s (w_table w) p (w_slot w) n I (fd_place _ _ _ _ _ F) (fd_slot _ _ _ _ _ F) Hk Hn) as Hsh.
    rewrite Fl, El, Fd in Hsh. rewrite El, (floor_aligned _ _ Ha) in He. unfold w_kind in Nk. rewrite El in Nk.
    pose proof unfolds_plain as Plain.
    assert (Enc : forall i x, 0 <= i < 512 -> word (mem s') rtt i = x -> entry_ok s' rtt (Place rd level ipa (w_table w)) (ipa + i * size_of level) x ->
      entry_ok s' rtt (Place rd level ipa (w_table w)) (ipa + i * size_of level) x) by done. clear Enc.
    revert He Hw Hsh Nk Hu Plain. clear Fd. generalize D. intros d He Hwd Hsh Nkd Hu Plain.
    destruct He as [r H Hh|q r H Hh Hl1 Hq Hqa Hd|Hh|host Hh Hl2 Hok Hwh Hd|c _ Hl2 Hcc|Hh]; rewrite ?Fr, ?Fl, ?El in *.
    - destruct (unassigned_facts level r H) as (V & T & K & _), (unassigned_facts (level - 1) r H) as (_ & _ & K' & _).
      apply Plain; try done; try congruence; [by rewrite K'|by rewrite K|intros; unfold child; by rewrite K'|].
      intros i Hi'. apply E_unassigned; [done|]. cbn [p_rd]. rewrite H2. by apply Rh.
    - assert (Hq4 : q mod 4096 = 0) by (by apply (aligned_size (level - 1))).
      destruct (assigned_ok (level - 1) q r H Hq Hq4) as (O' & _ & T' & K' & R' & _).
      assert (Hql : q mod size_of level = 0).
      { rewrite Sb in Hqa. apply Z.mod_divide in Hqa as [k Hk]; [|lia]. apply Z.mod_divide; [lia|]. exists (k * 512). lia. }
      assert (Hq40 : 0 < q < 2 ^ 40).
      { pose proof (Hd 0) as D0. rewrite Z.add_0_r in D0. unfold own_data in D0. destruct (gran s !! q) as [g|] eqn:Hg.
        - destruct (i_gran _ I _ _ Hg) as (B & _). lia.
        - destruct (part_pages level Hl) as (P1 & _ & Pz). discriminate D0. lia. }
      pose proof (page_mapped s' rd rtt level ipa (w_table w) q r Hl Hpl H Hq40 Hql Hwd) as PM.
      pose proof (mapped_page s' rd rtt level ipa (w_table w) q r Hl Hpl H Hq40 Hql Hwd) as MP.
      assert (Ch : forall i, 0 <= i < 512 -> child level (assigned (level - 1) q r) i = assigned level (q + i * size_of level) r /\
        0 < q + i * size_of level < 2 ^ 48 /\ (q + i * size_of level) mod size_of level = 0).
      { intros i Hi'. destruct (assigned_child level q r i Hl H Hq40 Hq4 Hi') as [E B]. split_and!; try done; try lia. by rewrite Z.mod_add by lia. }
      destruct (part_pages level Hl) as (P1 & P2 & Pz).
      constructor.
      + intros i Hi'. destruct (Ch i Hi') as (-> & B & A). apply E_assigned; cbn [p_rd p_level]; try done; try lia.
        * rewrite H2. by apply Rh.
        * intros n Hn. rewrite Hown. replace (q + i * size_of level + n * 4096) with (q + (i * (size_of level / 4096) + n) * 4096).
          -- apply Hd. rewrite P1. revert Hn Pz. generalize (size_of level / 4096). intros z Hn Pz. nia.
          -- rewrite P2 at 2. ring.
      + intros i Hi'. destruct (Ch i Hi') as (-> & B & _). by apply assigned_u64.
      + intros i Hi'. destruct (Ch i Hi') as (-> & B & A). destruct (assigned_ok level _ r H B (aligned_size _ _ A)) as (_ & _ & T2 & K2 & _).
        by rewrite counted_leaf, K2, K'.
      + intros j y pa M. rewrite O'. split; [done|]. by apply (MP j y pa).
      + intros _ n Hn. rewrite O'. by apply PM.
      + intros j1 y1 j2 y2 pa M1 M2.
        assert (U : forall j y, maps s' rd rtt j y pa -> exists k, 0 <= k < size_of level / 4096 /\ pa = q + j * size_of level + k * 4096).
        { intros j y [(p' & Hp' & _ & Hj & _ & k & Hk & _ & ->)]. rewrite Hpl in Hp'. injection Hp' as <-. cbn [p_level] in *.
          rewrite Hwd by done. destruct (Ch j Hj) as (-> & B & A). destruct (assigned_ok level _ r H B (aligned_size _ _ A)) as (-> & _). by exists k. }
        destruct (U _ _ M1) as (k1 & B1 & E1), (U _ _ M2) as (k2 & B2 & E2).
        revert B1 B2 E1 E2 P2 Pz. clear. generalize (size_of level / 4096). intros z B1 B2 E1 E2 P2 Pz. rewrite P2 in E1, E2. clear P2. nia.
      + intros pa Hn. unfold leaves_for. rewrite (proj2 (count_none _ _)); [unfold b2z; destruct (leaf_covers _ _ _); lia|].
        intros x Hx. apply elem_of_list_lookup in Hx as [i Hx]. apply (page_lookup _ _ _ _ Hm) in Hx as [Hi' ->].
        rewrite Hwd by lia. destruct (Ch (Z.of_nat i) ltac:(lia)) as (-> & B & A).
        destruct (assigned_ok level _ r H B (aligned_size _ _ A)) as (O2 & _). destruct (leaf_covers _ _ _) eqn:Cv; [|done]. exfalso.
        assert (A4 : pa mod 4096 = 0).
        { unfold is_ns in Hn. destruct (gran s !! pa) as [g|] eqn:Hg; [|done]. by destruct (i_gran _ I _ _ Hg) as (_ & A4 & _). }
        destruct (leaf_covers_page _ _ _ Cv A4 (out_addr_page _)) as (n & Hn' & E). rewrite O2 in E.
        assert (Own : own_data s rd pa = true).
        { replace pa with (q + (Z.of_nat i * (size_of level / 4096) + n) * 4096).
          - apply Hd. rewrite P1. revert Hn' Pz. generalize (size_of level / 4096). intros z Hn' Pz. nia.
          - rewrite E. rewrite P2 at 2. ring. }
        unfold is_ns, own_data in *. destruct (gran s !! pa) as [g|]; [|done]. apply Z.eqb_eq in Hn. rewrite Hn in Own. discriminate.
    - destruct (unassigned_ns_facts level) as (V & T & K), (unassigned_ns_facts (level - 1)) as (_ & _ & K').
      apply Plain; try done; try congruence; [by rewrite K'|by rewrite K|intros; unfold child; by rewrite K'|].
      intros i Hi'. apply E_unassigned_ns. cbn [p_rd]. rewrite H1, H2. specialize (Rf i Hi'). specialize (In i Hi'). lia.
    - assert (level = 3) as E3 by lia. subst level. change (3 - 1) with 2 in *.
      destruct (assigned_ns_facts 2 host Hwh) as (O' & V' & T' & K' & _).
      assert (Ho40 : out_addr host < 2 ^ 40).
      { pose proof (Hd 0 ltac:(done)) as D0. rewrite Z.mul_0_l, Z.add_0_r in D0. unfold is_ns in D0.
        destruct (gran s !! _) as [g|] eqn:Hg; [|done]. destruct (i_gran _ I _ _ Hg) as (B & _). lia. }
      assert (Ch : forall i, 0 <= i < 512 -> exists h, child 3 (assigned_ns 2 host) i = assigned_ns 3 h /\ ns_ok 3 h = true /\ 0 <= h < 2 ^ 64 /\
        out_addr h = out_addr host + i * 4096) by (intros; by apply ns_child).
      constructor; change (3 - 1) with 2.
      + intros i Hi'. destruct (Ch i Hi') as (h & -> & Hok3 & Hh3 & Oh). apply E_assigned_ns; cbn [p_rd p_level]; try done.
        * rewrite H1, H2. specialize (Rf i Hi'). specialize (In i Hi'). lia.
        * intros n Hn. change (size_of 3 / 4096) with 1 in Hn. assert (n = 0) as -> by lia. rewrite Hns, Oh, Z.mul_0_l, Z.add_0_r. by apply Hd.
      + intros i Hi'. destruct (Ch i Hi') as (h & -> & _ & Hh3 & _). by apply assigned_ns_u64.
      + intros i Hi'. destruct (Ch i Hi') as (h & -> & _ & Hh3 & _). destruct (assigned_ns_facts 3 h Hh3) as (_ & _ & T3 & K3 & _).
        by rewrite counted_leaf, K3, K'.
      + intros j y pa [(p' & Hp' & _ & Hj & Hk & _)]. exfalso. rewrite Hpl in Hp'. injection Hp' as <-. cbn [p_level] in Hk. rewrite Hwd in Hk by done.
        destruct (Ch j Hj) as (h & Eh & _ & Hh3 & _). rewrite Eh in Hk. destruct (assigned_ns_facts 3 h Hh3) as (_ & _ & _ & K3 & _). rewrite K3 in Hk. discriminate.
      + intros Hk. rewrite K' in Hk. discriminate.
      + intros j y j2 y2 pa [(p' & Hp' & _ & Hj & Hk & _)]. exfalso. rewrite Hpl in Hp'. injection Hp' as <-. cbn [p_level] in Hk. rewrite Hwd in Hk by done.
        destruct (Ch j Hj) as (h & Eh & _ & Hh3 & _). rewrite Eh in Hk. destruct (assigned_ns_facts 3 h Hh3) as (_ & _ & _ & K3 & _). rewrite K3 in Hk. discriminate.
      + intros pa Hn. assert (A4 : pa mod 4096 = 0).
        { unfold is_ns in Hn. destruct (gran s !! pa) as [g|] eqn:Hg; [|done]. by destruct (i_gran _ I _ _ Hg) as (_ & A4 & _). }
        assert (At : forall i x, page (mem s') rtt !! i = Some x -> leaf_covers 3 x pa = true -> (i < 512)%nat /\ pa = out_addr host + Z.of_nat i * 4096).
        { intros i x Hx Cv. apply (page_lookup _ _ _ _ Hm) in Hx as [Hi' ->]. split; [done|]. rewrite Hwd in Cv by lia.
          destruct (Ch (Z.of_nat i) ltac:(lia)) as (h & Eh & _ & Hh3 & Oh). rewrite Eh in Cv. destruct (assigned_ns_facts 3 h Hh3) as (O3 & _).
          destruct (leaf_covers_page _ _ _ Cv A4 (out_addr_page _)) as (n & Hn' & E). change (size_of 3 / 4096) with 1 in Hn'. rewrite O3, Oh in E. lia. }
        assert (C1 : leaves_for pa 3 (page (mem s') rtt) <= 1).
        { unfold leaves_for. apply count_one. intros i j x y Hx Hy Fx Fy. destruct (At i x Hx Fx) as [_ E1], (At j y Hy Fy) as [_ E2]. lia. }
        destruct (leaf_covers 2 (assigned_ns 2 host) pa) eqn:Cv; cbn [b2z]; [lia|].
        unfold leaves_for. rewrite (proj2 (count_none _ _)); [lia|]. intros x Hx. apply elem_of_list_lookup in Hx as [i Hx].
        destruct (leaf_covers 3 x pa) eqn:Cx; [|done]. destruct (At i x Hx Cx) as [Hi' ->]. exfalso.
        unfold leaf_covers in Cv. rewrite V', T', O' in Cv. cbn [negb andb] in Cv. change (size_of 2) with 2097152 in Cv. lia.
    - destruct (place_granule _ _ _ I Hcc) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T & _).
      destruct Nkd. unfold kind. rewrite T; [done|]. lia.
    - lia.
  Qed.
End unfold.
