(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: creating tables. *)
From kcore Require Export refine.RttFold.
From kcore Require Import refine.UnderFacts.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- A table that says what the entry above says ---- *)

Lemma unfolded_frame t level d s : t <> 0 -> exists m, unfolded t level d s = with_mem m s /\
  (mem_ok (mem s) -> mem_ok m) /\ (forall q, q <> t -> page m q = page (mem s) q) /\
  (mem_ok (mem s) -> page (mem s) t = zero_page -> forall i, 0 <= i < 512 -> word m t i = child level d i).
Proof.
  intros _. unfold unfolded. set (f i := if child level d i =? 0 then None else Some (child level d i)).
  assert (H : forall n, (n <= 512)%nat -> exists m, written t f n s = with_mem m s /\ (mem_ok (mem s) -> mem_ok m) /\
    (forall q, q <> t -> page m q = page (mem s) q) /\
    (mem_ok (mem s) -> forall i, 0 <= i < 512 ->
       word m t i = if i <? Z.of_nat n then (match f i with Some x => x | None => word (mem s) t i end) else word (mem s) t i)).
  { induction n as [|n IH]; intros Hn.
    - exists (mem s). split_and!; try done; [unfold written; cbn; by destruct s|]. intros _ i Hi.
      by rewrite (proj2 (Z.ltb_ge _ _)) by lia.
    - destruct (IH ltac:(lia)) as (m & E & Hm & Hq & Hw). rewrite written_S, E.
      destruct (f (Z.of_nat n)) as [x|] eqn:Ef.
      + exists (set_word m t (Z.of_nat n) x). split_and!.
        * reflexivity.
        * intros M. by apply set_word_ok, Hm.
        * intros q N. rewrite page_set_page by done. by apply Hq.
        * intros M i Hi. destruct (decide (i = Z.of_nat n)) as [->|Ni].
          -- rewrite word_set_same by (auto || lia). rewrite (proj2 (Z.ltb_lt _ _)) by lia. by rewrite Ef.
          -- rewrite word_set_slot by lia. rewrite Hw by done. destruct (Z.ltb_spec i (Z.of_nat n)), (Z.ltb_spec i (Z.of_nat (S n))); lia || done.
      + exists m. split_and!; try done. intros M i Hi. rewrite Hw by done.
        destruct (Z.ltb_spec i (Z.of_nat n)), (Z.ltb_spec i (Z.of_nat (S n))); try (lia || done).
        assert (i = Z.of_nat n) as -> by lia. by rewrite Ef. }
  destruct (H 512%nat ltac:(lia)) as (m & E & Hm & Hq & Hw). exists m. split_and!; try done.
  intros M Z i Hi. rewrite Hw by done. rewrite (proj2 (Z.ltb_lt _ _)) by lia. unfold f.
  destruct (Z.eqb_spec (child level d i) 0) as [E0|]; [|done]. unfold word. rewrite Z, zero_page_word. done.
Qed.

(* An entry that begins in the protected half ends there. *)
Lemma half_room s rd level ipa : realm_ok s rd -> rd_of s RD_start_level rd <= level <= 2 -> ipa mod size_of level = 0 ->
  ipa < half_of s rd -> ipa + size_of level <= half_of s rd.
Proof.
  intros R Hl Ha Hh. destruct (ipa_size_entries _ _ R) as (_ & Hhalf & _). destruct R as [_ _ (Hs0 & _) _ _ _ _ _ _].
  revert Hhalf Hh Hl Hs0. generalize (rd_of s RD_start_level rd) (half_of s rd). intros l h Hhalf Hh Hl Hs0.
  assert (Hdd : exists j, size_of l = j * size_of level).
  { assert (l = 0 \/ l = 1 \/ l = 2) as [->|[->| ->]] by lia; assert (level = 0 \/ level = 1 \/ level = 2) as [->|[->| ->]] by lia; try lia;
    first [exists 1; vm_compute; reflexivity | exists 512; vm_compute; reflexivity | exists 262144; vm_compute; reflexivity]. }
  destruct Hdd as [j Hj]. pose proof (size_pos level) as [P _]. pose proof (size_pos l) as [P' _].
  apply Z.mod_divide in Hhalf as [k Hk]; [|lia]. apply Z.mod_divide in Ha as [a Ha]; [|lia].
  rewrite Hj, Z.mul_assoc in Hk. revert Ha Hk P. generalize (size_of level) (k * j). intros S b Ha Hk P. subst ipa h.
  assert (a < b) by (apply (Z.mul_lt_mono_pos_r S); lia). pose proof (Z.mul_le_mono_nonneg_r (a + 1) b S). lia.
Qed.

(* What its leaves map, the entry mapped. *)
Lemma unfolded_leaves rd ipa level w p s : found rd ipa w p s -> w_level w = level - 1 -> w_kind w <> K_TABLE -> ipa mod size_of (level - 1) = 0 ->
  1 <= level <= 3 -> forall i, 0 <= i < 512 -> let d := child level (w_desc w) i in
  is_valid d = true -> is_table level d = false /\ realm_leaf_ok s rd level (ipa + i * size_of level) d = true.
Proof.
  intros F El Nk Ha Hl i Hi d V. pose proof (found_inv _ _ _ _ _ F) as I. pose proof (found_entry _ _ _ _ _ F) as He.
  pose proof (found_word _ _ _ _ _ F) as Hw. pose proof (found_level _ _ _ _ _ F) as Hs. unfold w_kind in Nk.
  destruct (fd_open _ _ _ _ _ F) as [_ Hrd _].
  assert (Sb0 : 4096 <= size_of level /\ size_of (level - 1) = 512 * size_of level).
  { split; [apply size_pos|]. rewrite (size_below (level - 1)) by lia. do 2 f_equal. lia. }
  rewrite El, (floor_aligned _ _ Ha) in *.
  remember (w_desc w) as D eqn:ED. subst d.
  destruct He as [r H|q r H Hh Hl1 Hq Hqa Hd|Hh|host Hh Hl2 _ Hwh Hd|c _ Hl2 Hcc|Hh].
  - destruct (unassigned_facts (level - 1) r H) as (V' & _ & K & _).
    assert (C1 : child level (unassigned r) i = unassigned r) by (unfold child; by rewrite K). rewrite C1 in V. congruence.
  - rewrite (fd_level _ _ _ _ _ F), (fd_rd _ _ _ _ _ F), El in *. pose proof (aligned_size _ _ Hqa) as Hq4.
    destruct (assigned_ok (level - 1) q r H Hq Hq4) as (O' & _ & _ & K' & R' & _).
    assert (C1 : child level (assigned (level - 1) q r) i = assigned level (wrap U64 (q + wrap U64 (i * size_of level))) r).
    { unfold child. rewrite K'. change (K_ASSIGNED =? K_ASSIGNED) with true. cbv iota. by rewrite O', R'. }
    rewrite C1 in V |- *. clear C1.
    assert (Hq40 : q < 2 ^ 40).
    { pose proof (Hd 0) as D0. rewrite Z.add_0_r in D0. unfold own_data in D0. destruct (gran s !! q) as [g|] eqn:Hg.
      - destruct (i_gran _ I _ _ Hg) as (B & _). lia.
      - discriminate D0. split; [lia|]. apply Z.div_str_pos. lia. }
    assert (Sb : size_of level <= 2 ^ 30) by (assert (level = 1 \/ level = 2 \/ level = 3) as [->|[->| ->]] by lia; done).
    assert (Hib : 0 <= i * size_of level <= 511 * 2 ^ 30).
    { split; [apply Z.mul_nonneg_nonneg; lia|]. apply Z.mul_le_mono_nonneg; lia. }
    assert (Hqi : 0 < q + i * size_of level < 2 ^ 48) by lia.
    rewrite (wrap_small (i * _)), wrap_small in V |- * by lia.
    assert (Hai : (q + i * size_of level) mod 4096 = 0).
    { apply aligned_size with (level := level). rewrite Z.mod_add by lia. destruct Sb0 as [S1 S2]. rewrite S2 in Hqa.
      apply Z.mod_divide in Hqa as [k Hk]; [|lia]. apply Z.mod_divide; [lia|]. exists (k * 512). lia. }
    destruct (assigned_ok level (q + i * size_of level) r H Hqi Hai) as (Oi & _ & Ti & _). split; [done|].
    unfold realm_leaf_ok, protected. change (word (mem s) rd (rd_off RD_ipa_size) / 2) with (half_of s rd).
    assert (Hin : ipa + i * size_of level < half_of s rd).
    { pose proof (half_room s rd (level - 1) ipa (i_realm _ I _ Hrd) ltac:(lia) Ha Hh) as Hroom.
      pose proof (Z.mul_lt_mono_pos_r (size_of level) i 512 ltac:(lia)). lia. }
    rewrite (proj2 (Z.ltb_lt _ _) Hin), Oi. apply forallb_forall. intros n Hn. unfold granules_of in Hn.
    apply in_map_iff in Hn as (k & <- & Hk%in_seq).
    destruct (size_pos level) as [_ Dv]. apply Z.mod_divide in Dv as [j Hj]; [|lia].
    replace (q + i * size_of level + Z.of_nat k * 4096) with (q + (i * j + Z.of_nat k) * 4096) by (rewrite Hj; ring).
    apply Hd. destruct Sb0 as [_ S2]. rewrite S2, Hj. rewrite Hj, Z.div_mul in Hk by lia.
    replace (512 * (j * 4096)) with (512 * j * 4096) by lia. rewrite Z.div_mul by lia.
    pose proof (Z.mul_le_mono_nonneg_r i 511 j). pose proof (Z.mul_nonneg_nonneg i j). lia.
  - destruct (unassigned_ns_facts (level - 1)) as (V' & _ & K).
    assert (C1 : child level unassigned_ns i = unassigned_ns) by (unfold child; by rewrite K). rewrite C1 in V. congruence.
  - rewrite (fd_level _ _ _ _ _ F), (fd_rd _ _ _ _ _ F), El in *.
    destruct (assigned_ns_facts (level - 1) host Hwh) as (O' & _ & _ & K' & _).
    assert (level = 3) as -> by lia. change (3 - 1) with 2 in *. change (size_of 3) with 4096 in *.
    assert (C1 : child 3 (assigned_ns 2 host) i =
      assigned_ns 3 (Z.lor (wrap U64 (out_addr (assigned_ns 2 host) + wrap U64 (i * 4096)))
        (Z.land (ns_host (assigned_ns 2 host)) (0xFFFFFFFFFFFFFFFF - PA_MASK)))).
    { unfold child. change (3 - 1) with 2. rewrite K'. change (K_ASSIGNED_NS =? K_ASSIGNED) with false.
      change (K_ASSIGNED_NS =? K_ASSIGNED_NS) with true. reflexivity. }
    rewrite C1 in V |- *. clear C1.
    pose proof (out_addr_range (assigned_ns 2 host) ltac:(destruct Hw; lia)) as Hor.
    rewrite (wrap_small (i * 4096)), wrap_small in V |- * by lia.
    set (a := out_addr (assigned_ns 2 host)) in *.
    set (b := Z.land (ns_host (assigned_ns 2 host)) (0xFFFFFFFFFFFFFFFF - PA_MASK)) in *.
    destruct (ns_host_facts _ Hw) as [Hn _].
    assert (Hb : 0 <= b < 2 ^ 64) by (apply land_u64; [lia|unfold PA_MASK; lia]).
    assert (Hab : 0 <= Z.lor (a + i * 4096) b < 2 ^ 64) by (apply lor_u64; lia).
    destruct (assigned_ns_facts 3 _ Hab) as (Oi & _ & Ti & _). split; [done|].
    assert (Hlt : a < 2 ^ 40).
    { pose proof (Hd 0 ltac:(done)) as D0. rewrite Z.mul_0_l, Z.add_0_r, <- O' in D0. unfold is_ns in D0. fold a in D0.
      destruct (gran s !! a) as [g|] eqn:Hg; [|done]. destruct (i_gran _ I _ _ Hg) as (B & _). lia. }
    assert (Ha4 : (a + i * 4096) mod 4096 = 0) by (rewrite Z.mod_add by lia; apply out_addr_page).
    assert (Eo : out_addr (Z.lor (a + i * 4096) b) = a + i * 4096).
    { rewrite out_addr_lor; [apply out_addr_aligned; lia|]. unfold b. rewrite <- Z.land_assoc.
      change (Z.land (0xFFFFFFFFFFFFFFFF - PA_MASK) PA_MASK) with 0. apply Z.land_0_r. }
    apply shared_leaf; [|lia|].
    + unfold protected. apply Z.ltb_ge. change (half_of s rd <= ipa + i * 4096). lia.
    + intros n Hn0. change (size_of 3 / 4096) with 1 in Hn0. assert (n = 0) as -> by lia. rewrite Oi, Eo, Z.mul_0_l, Z.add_0_r.
      pose proof (fd_desc _ _ _ _ _ F) as Fd. rewrite <- ED in Fd.
      unfold a. rewrite <- Fd. eapply (shared_pinned s _ p (w_slot w)); [done|apply F|apply F| |].
      * rewrite Fd, (fd_level _ _ _ _ _ F), El. exact K'.
      * rewrite (fd_level _ _ _ _ _ F), El. exact Hi.
  - destruct (place_granule _ _ _ I Hcc) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T & _).
    destruct Nk. unfold kind. rewrite T; [done|]. rewrite (fd_level _ _ _ _ _ F), El in Hl2. lia.
  - assert (K : kind (level - 1) 0 = K_UNASSIGNED) by (unfold kind, is_table; rewrite andb_false_r; reflexivity).
    assert (C1 : child level 0 i = 0) by (unfold child; by rewrite K). rewrite C1 in V. discriminate V.
Qed.

Lemma leaf_same s s' rd level ipa d : gran s' = gran s -> word (mem s') rd (rd_off RD_ipa_size) = word (mem s) rd (rd_off RD_ipa_size) ->
  realm_leaf_ok s' rd level ipa d = realm_leaf_ok s rd level ipa d.
Proof. intros Eg Ew. unfold realm_leaf_ok, protected, own_data, pinned. by rewrite Eg, Ew. Qed.
Lemma combine_word l i d : is_page l -> In (i, d) (combine granules_2m l) -> 0 <= i < 512 /\ d = nth_word l i.
Proof.
  intros Hl H. assert (Hg : length granules_2m = 512%nat) by reflexivity. unfold is_page in Hl.
  apply (In_nth _ _ (0, 0)) in H as (k & Hk & E). rewrite length_combine, Hg, Hl in Hk. rewrite combine_nth in E by congruence.
  assert (Hk' : (k < 512)%nat) by lia. clear Hk.
  assert (Ei : nth k granules_2m 0 = Z.of_nat k).
  { unfold granules_2m. change 0 with (Z.of_nat 0). rewrite map_nth, seq_nth by done. reflexivity. }
  rewrite Ei in E. injection E as <- <-. split; [lia|]. unfold nth_word. by rewrite Nat2Z.id.
Qed.

(* ---- RMI_RTT_CREATE ---- *)

Lemma claimed_fresh rtt s : inv s -> has_state GS_DELEGATED rtt s = true -> holds (LGranule rtt) s = true ->
  fresh_table rtt s /\ page (mem s) rtt = zero_page /\ granule_at s rtt = Gran GS_DELEGATED 0 0 /\ 0 < rtt < 2 ^ 48 /\ rtt mod 4096 = 0.
Proof.
  intros I Hd Hh. destruct (has_state_inv _ _ _ Hd) as (g & Hg & Hs). destruct (i_gran _ I _ _ Hg) as (P & A & _).
  destruct (i_zero _ I _ _ Hg Hs) as (Z0 & O0 & R0). split_and!; try done; try lia.
  - constructor; [done|done| |].
    + apply not_placed; [done|]. unfold has_state. by rewrite Hg, Hs.
    + eapply not_host_table; [done|exact Hg|by rewrite Hs].
  - unfold granule_at. rewrite Hg. cbn [default from_option id]. destruct g as [a b c]. cbn in *. by subst.
Qed.

Lemma table_made_ok rd rtt ipa level w p s : found rd ipa w p s -> staled s = [] -> w_level w = level - 1 -> w_kind w <> K_TABLE ->
  ipa mod size_of (level - 1) = 0 -> 1 <= level <= 3 -> has_state GS_DELEGATED rtt s = true -> holds (LGranule rtt) s = true ->
  first_taken (held s) = LGranule rd ->
  let s1 := unfolded rtt level (w_desc w) s in
  let s2 := entry_put w 0 s1 in
  let s3 := with_places (<[rtt := Place rd level ipa (w_table w)]> (places s)) (entry_put w (table_desc rtt) s1) in
  let s4 := with_owner rtt GS_RTT rd s3 in
  core "rtt_unfold" [rtt; level; w_desc w] s = Some ([], s1) /\
  (is_valid (w_desc w) = true -> exists s', core "s2_break" [w_table w; w_slot w; 0] s1 = Some ([], s') /\
    prim_sem P_tlbi_realm [rd_of s RD_vmid rd; ipa] s' = Some ([], s2)) /\
  core "s2_make" [w_table w; w_slot w; table_desc rtt] (if is_valid (w_desc w) then s2 else s1) = Some ([], s3) /\
  prim_sem P_granule_set [rtt; GS_RTT; rd] s3 = Some ([], s4) /\
  (if w_kind w =? K_ASSIGNED
   then prim_sem P_granule_set_refs [rtt; 512] s4 = Some ([], table_made rd rtt ipa level w s)
   else core "granule_add_refs" [w_table w; 1] s4 = Some ([], table_made rd rtt ipa level w s)).
Proof.
  intros F Hst El Nk Ha Hl Hd Hh Hf. pose proof (found_inv _ _ _ _ _ F) as I.
  destruct (claimed_fresh _ _ I Hd Hh) as (Fr & Hz & Hat & Pr & Ar). pose proof (fresh_hand _ _ Fr) as Hin.
  destruct (table_desc_ok rtt Pr Ar) as (Vt & Tt & Ot & _).
  pose proof (fd_place _ _ _ _ _ F) as Pp. pose proof (found_role _ _ _ _ _ F) as Rr. pose proof (found_hand _ _ _ _ _ F) as Hht.
  pose proof (found_not_rd _ _ _ _ _ F) as Ntr. pose proof (fd_desc _ _ _ _ _ F) as Fd. pose proof (fd_slot _ _ _ _ _ F) as Hsl.
  assert (Nt : w_table w <> rtt) by (intros E; pose proof (ft_place _ _ Fr) as H; rewrite <- E, Pp in H; discriminate).
  assert (Nr : rd <> rtt).
  { intros <-. destruct (fd_open _ _ _ _ _ F) as [_ Hr _]. destruct (has_state_inv _ _ _ Hr) as (g & Hg & Hs), (has_state_inv _ _ _ Hd) as (g' & Hg' & Hs').
    rewrite Hg in Hg'. injection Hg' as <-. rewrite Hs in Hs'. discriminate. }
  destruct (unfolded_frame rtt level (w_desc w) s ltac:(lia)) as (m & Eu & Hm & Hq & Hw). specialize (Hm (i_mem _ I)). specialize (Hw (i_mem _ I) Hz).
  assert (Wt : word m (w_table w) (w_slot w) = w_desc w) by (unfold word; rewrite Hq by done; exact Fd).
  assert (B : p_base p + w_slot w * size_of (level - 1) = ipa).
  { rewrite <- El, (fd_base _ _ _ _ _ F), El. by apply floor_aligned. }
  destruct (place_granule _ _ _ I Pp) as (Pt & _).
  cbv zeta.
  assert (U1 : core "rtt_unfold" [rtt; level; w_desc w] s = Some ([], unfolded rtt level (w_desc w) s))
    by (apply rtt_unfold_ok; [done|apply (i_mem _ I)|done|lia]).
  assert (TM : table_made rd rtt ipa level w s =
    let s5 := with_places (<[rtt := Place rd level ipa (w_table w)]> (places s))
      (set_granule rtt (Gran GS_RTT rd (if w_kind w =? K_ASSIGNED then 512 else 0)) (entry_put w (table_desc rtt) (with_mem m s))) in
    if w_kind w =? K_ASSIGNED then s5 else refs_added (w_table w) 1 s5) by (unfold table_made; cbv zeta; by rewrite Eu).
  rewrite TM. clear TM. cbv zeta. rewrite Eu in U1 |- *. clear Eu.
  assert (E4 : with_owner rtt GS_RTT rd (with_places (<[rtt := Place rd level ipa (w_table w)]> (places s)) (entry_put w (table_desc rtt) (with_mem m s))) =
    with_places (<[rtt := Place rd level ipa (w_table w)]> (places s)) (set_granule rtt (Gran GS_RTT rd 0) (entry_put w (table_desc rtt) (with_mem m s)))).
  { unfold with_owner. change (GS_RTT =? GS_RTT) with true. cbv iota. unfold place_of. cbn [places with_places].
    rewrite lookup_insert. cbn [places with_places]. rewrite insert_insert.
    change (granule_at (with_places _ (entry_put w (table_desc rtt) (with_mem m s))) rtt) with (granule_at s rtt). rewrite Hat. reflexivity. }
  split_and!.
  - exact U1.
  - intros V. eexists. split.
    + apply s2_break_ok. change (broken 0) with 0. eapply entry_write; [exact Pp|exact Rr|exact Hht|done|apply andb_false_r|discriminate].
    + change (broken 0) with 0. erewrite entry_broken; [|exact Pp|exact Rr|exact Hst|change (mem (with_mem m s)) with m; by rewrite Wt|done].
      change (mem (with_mem m s)) with m. rewrite Wt, (fd_rd _ _ _ _ _ F), (fd_level _ _ _ _ _ F), (fd_base _ _ _ _ _ F).
      fold (entry_put w 0 (with_mem m s)). cbn [prim_sem]. unfold guarded. rewrite bool_decide_eq_true_2 by exact (found_vmid _ _ _ _ _ F).
      rewrite (forget_leaf (entry_put w 0 (with_mem m s)) rd); [reflexivity|done| | |done].
      * unfold entry_put. rewrite vmid_put by done. unfold has_vmid. cbn [mem with_mem]. unfold word. rewrite Hq by done. apply Z.eqb_refl.
      * unfold w_kind, kind in Nk. by destruct (is_table (w_level w) (w_desc w)).
  - assert (X : forall sx, sx = (if is_valid (w_desc w) then entry_put w 0 (with_mem m s) else with_mem m s) ->
      (gran sx = gran s /\ held sx = held s /\ hw sx = hw s /\ places sx = places s) /\
      is_valid (word (mem sx) (w_table w) (w_slot w)) = false /\ page (mem sx) rtt = page m rtt /\ page (mem sx) rd = page m rd /\
      put_word (w_table w) (w_slot w) (table_desc rtt) sx = entry_put w (table_desc rtt) (with_mem m s)).
    { intros sx ->. destruct (is_valid (w_desc w)) eqn:V; split_and!; try done.
      - unfold entry_put. cbn [mem put_word with_mem]. rewrite word_set_same by done. done.
      - apply page_set_page. congruence.
      - apply page_set_page. congruence.
      - unfold entry_put, put_word. cbn [mem with_mem]. rewrite set_word_twice. reflexivity.
      - cbn [mem with_mem]. by rewrite Wt. }
    remember (if is_valid (w_desc w) then entry_put w 0 (with_mem m s) else with_mem m s) as sx eqn:Esx.
    destruct (X sx eq_refl) as ((Xg & Xh & Xw & Xp) & Xv & Xr & Xd & Xe). clear X Esx E4 U1.
    assert (Hpx : places sx !! w_table w = Some p) by by rewrite Xp.
    assert (Hrx : role_of (hw sx) (w_table w) = None) by by rewrite Xw.
    assert (Hhx : under_lock (w_table w) sx = true) by (unfold under_lock, tracked, granule_at, holds in *; by rewrite Xg, Xh).
    eapply eq_trans; [apply s2_make_ok; eapply entry_write; [exact Hpx|exact Hrx|exact Hhx|done|by rewrite Xv|]|].
    + intros _. unfold realm_desc_ok. rewrite (fd_level _ _ _ _ _ F), El, (Tt (level - 1)) by lia. rewrite Ot, (fd_rd _ _ _ _ _ F), B.
      rewrite (Z.eqb_refl (table_desc rtt) : (table_desc rtt =? Z.lor rtt S2_TABLE) = true). cbn [andb].
      apply andb_true_iff. split; [apply andb_true_iff; split|].
      * unfold claimable_here, has_state, holds in *. by rewrite Xg, Xh, Hd, Hh.
      * rewrite Xp, (ft_place _ _ Fr). reflexivity.
      * unfold leaves_ok. apply forallb_forall. intros [i d] Hid. rewrite Xr in Hid. apply combine_word in Hid as [Hi ->]; [|by apply page_ok]. cbv beta iota.
        fold (word m rtt i). rewrite Hw by done. replace (level - 1 + 1) with level by lia.
        destruct (is_valid (child level (w_desc w) i)) eqn:V; [|done]. cbn [negb orb].
        destruct (unfolded_leaves _ _ _ _ _ _ F El Nk Ha Hl i Hi V) as [T L]. rewrite T. cbn [negb andb].
        rewrite (leaf_same s); [exact L|exact Xg|]. unfold word. rewrite Xd, Hq by done. reflexivity.
    + erewrite entry_made by done. rewrite Xe. unfold placed_below. rewrite Hpx, (fd_level _ _ _ _ _ F), El, (Tt (level - 1)) by lia.
      rewrite Ot, (fd_rd _ _ _ _ _ F), B, Xp. replace (level - 1 + 1) with level by lia. reflexivity.
  - cbn [prim_sem]. assert (G : may_set rtt GS_RTT rd (with_places (<[rtt := Place rd level ipa (w_table w)]> (places s)) (entry_put w (table_desc rtt) (with_mem m s))) = true).
    { unfold may_set. change (under_lock rtt (with_places _ _)) with (under_lock rtt s). change (granule_at (with_places _ _) rtt) with (granule_at s rtt). rewrite Hin, Hat.
      unfold place_of. cbn [places with_places g_state]. rewrite lookup_insert. cbn [p_rd p_parent].
      cbn [p_level]. rewrite (Z.eqb_refl rd), (proj2 (Z.eqb_neq (w_table w) 0)), (proj2 (Z.leb_le 0 level)), (proj2 (Z.leb_le level 3)) by lia.
      change (held (with_places _ _)) with (held s). rewrite Hf. exact (Z.eqb_refl rd). }
    rewrite G. reflexivity.
  - rewrite E4. clear E4 U1. destruct (w_kind w =? K_ASSIGNED) eqn:Ek.
    + cbn [prim_sem]. assert (G : under_lock rtt (with_places (<[rtt := Place rd level ipa (w_table w)]> (places s)) (set_granule rtt (Gran GS_RTT rd 0) (entry_put w (table_desc rtt) (with_mem m s)))) = true).
      { unfold under_lock, tracked, granule_at, holds in *. cbn [gran held with_places set_granule with_gran entry_put put_word with_mem].
        rewrite lookup_insert. cbn [andb]. by rewrite Hh. }
      rewrite G. change (512 <=? REFS_MAX) with true. cbn [andb]. unfold guarded, with_refs, set_granule, granule_at.
      cbn [gran places with_places with_gran entry_put put_word with_mem].
      rewrite lookup_insert. cbn [default from_option id g_state g_owner]. rewrite insert_insert. reflexivity.
    + apply granule_add_refs_ok.
      * unfold under_lock, tracked, granule_at, holds in *. cbn [gran held with_places set_granule with_gran entry_put put_word with_mem].
        rewrite lookup_insert_ne by done. exact Hht.
      * assert (R : refs_of (w_table w) (with_places (<[rtt := Place rd level ipa (w_table w)]> (places s)) (set_granule rtt (Gran GS_RTT rd 0) (entry_put w (table_desc rtt) (with_mem m s)))) = refs_of (w_table w) s).
        { unfold refs_of, granule_at. cbn [gran with_places set_granule with_gran entry_put put_word with_mem]. by rewrite lookup_insert_ne. }
        rewrite R. assert (Hlive : refs_of (w_table w) s <= 512).
        { destruct (t_gran _ _ _ (i_table _ I _ _ Pp)) as (g & Hg & _ & _ & Hr). unfold refs_of, granule_at. rewrite Hg. cbn [default from_option id]. rewrite Hr.
          unfold live_entries. pose proof (count_range (is_counted (p_level p)) (page (mem s) (w_table w))) as Cr.
          pose proof (page_ok (mem s) (w_table w) (i_mem _ I)) as Pl. unfold is_page in Pl. rewrite Pl in Cr. lia. }
        pose proof (refs_nonneg s (w_table w) I). unfold REFS_MAX in *. rewrite wrap_small by lia. lia.
Qed.

Theorem rtt_create_locked_ok rd rtt ipa level s :
  open_realm rd s -> staled s = [] -> 0 <= ipa -> u64 level -> has_state GS_DELEGATED rtt s = true -> holds (LGranule rtt) s = true ->
  first_taken (held s) = LGranule rd ->
  core "rtt_create_locked" [rd; rtt; ipa; level] s =
  Some ([fst (create_locked rd rtt ipa level s)], snd (create_locked rd rtt ipa level s)).
Proof.
  intros O Hst Hi Hl Hd Hc Hf. pose proof (open_hand _ _ O) as Hh. pose proof O as [I Hr _].
  destruct (i_realm _ I _ Hr) as [_ _ (Hlev & _) _ _ _ _ _ _].
  enter f_rtt_create_locked. unfold create_locked. step. change (rd_get RD_vmid rd 0 s) with (rd_of s RD_vmid rd).
  eapply bind_call; [apply rtt_table_ok_ok; [done|done|lia]|]. tidy.
  destruct (table_possible rd ipa level s) eqn:Hp; cbn [negb]; [|reflexivity].
  destruct (possible_facts _ _ _ _ Hp) as (Hle & Hb & Ha). rewrite (wrap_small (level - 1)) by lia.
  eapply bind_call; [apply rtt_walk_ok; [done|lia|lia]|]. tidy.
  destruct (walk_found rd ipa (level - 1) s O ltac:(lia)) as (p & F). set (w := walk rd ipa (level - 1) s) in *.
  pose proof (found_range _ _ _ _ _ F) as Hrg. eapply bind_call; [apply error_rtt_ok; lia|]. tidy.
  change K_TABLE with 4. destruct (Z.eqb_spec (w_level w) (level - 1)) as [El|]; cbn [negb orb]; [|reflexivity].
  destruct (Z.eqb_spec (w_kind w) 4) as [|Nk]; [reflexivity|]. use s2_is_valid_ok.
  destruct (table_made_ok rd rtt ipa level w p s F Hst El Nk Ha ltac:(lia) Hd Hc Hf) as (T1 & T2 & T3 & T4 & T5).
  eapply bind_call; [exact T1|]. tidy. change (Z.lor rtt 3) with (table_desc rtt). change K_ASSIGNED with 1 in T5.
  revert T2 T3. destruct (is_valid (w_desc w)); intros T2 T3.
  - destruct (T2 eq_refl) as (s' & B1 & B2). eapply bind_call; [exact B1|]. tidy. eapply bind_call; [exact B2|]. tidy.
    eapply bind_call; [exact T3|]. tidy. eapply bind_call; [exact T4|]. tidy.
    revert T5. destruct (w_kind w =? 1); intros T5; (eapply bind_call; [exact T5|]; tidy; reflexivity).
  - eapply bind_call; [exact T3|]. tidy. eapply bind_call; [exact T4|]. tidy.
    revert T5. destruct (w_kind w =? 1); intros T5; (eapply bind_call; [exact T5|]; tidy; reflexivity).
Qed.

Lemma written_under t f n l s : written t f n (lock_taken l s) = lock_taken l (written t f n s).
Proof. induction n as [|n IH]; [reflexivity|]. rewrite !written_S, IH. destruct (f (Z.of_nat n)); reflexivity. Qed.
Lemma put_under l w d s : entry_put w d (lock_taken l s) = lock_taken l (entry_put w d s). Proof. reflexivity. Qed.
Lemma granule_under l pa g s : set_granule pa g (lock_taken l s) = lock_taken l (set_granule pa g s). Proof. reflexivity. Qed.
Lemma places_under l s : places (lock_taken l s) = places s. Proof. reflexivity. Qed.
Lemma with_places_under l x s : with_places x (lock_taken l s) = lock_taken l (with_places x s). Proof. reflexivity. Qed.
Lemma refs_under l t n s : refs_added t n (lock_taken l s) = lock_taken l (refs_added t n s). Proof. reflexivity. Qed.
Lemma create_locked_under rd rtt ipa level l s :
  create_locked rd rtt ipa level (lock_taken l s) =
  (fst (create_locked rd rtt ipa level s), lock_taken l (snd (create_locked rd rtt ipa level s))).
Proof.
  unfold create_locked. change (table_possible rd ipa level (lock_taken l s)) with (table_possible rd ipa level s).
  change (walk rd ipa (level - 1) (lock_taken l s)) with (walk rd ipa (level - 1) s). set (w := walk rd ipa (level - 1) s).
  assert (E : table_made rd rtt ipa level w (lock_taken l s) = lock_taken l (table_made rd rtt ipa level w s)).
  { unfold table_made. cbv zeta. unfold unfolded. rewrite written_under, put_under, granule_under, places_under, with_places_under.
    destruct (_ =? _); [reflexivity|]. by rewrite refs_under. }
  rewrite E. destruct (negb _); [reflexivity|]. destruct (_ || _); reflexivity.
Qed.
Lemma create_locked_rest rd rtt ipa level s : held s = [] -> shrinking s = false -> staled s = [] ->
  let s' := snd (create_locked rd rtt ipa level s) in held s' = [] /\ shrinking s' = false /\ staled s' = [].
Proof.
  intros Hh Hs Hst s'. unfold s', create_locked. destruct (negb _); [done|]. destruct (_ || _); [done|]. cbn [snd].
  unfold table_made. cbv zeta.
  assert (W : forall n t f, exists m, written t f n s = with_mem m s).
  { intros n t f. induction n as [|n [m IH]]; [exists (mem s); by destruct s|]. rewrite written_S, IH.
    destruct (f (Z.of_nat n)); eexists; reflexivity. }
  unfold unfolded. edestruct W as [m ->]. destruct (_ =? _); done.
Qed.

Theorem rtt_create_ok rd rtt ipa level s :
  inv s -> idle s -> 0 <= ipa -> u64 level ->
  core "rtt_create" [rd; rtt; ipa; level] s = Some ([fst (rtt_created rd rtt ipa level s)], snd (rtt_created rd rtt ipa level s)).
Proof.
  intros I (Hh & Hs & Hst) Hi Hl. enter f_rtt_create. unfold rtt_created. apply bind_lock; [done..|].
  destruct (has_state GS_RD rd s) eqn:Hr; tidy; [|reflexivity].
  apply bind_claim; [exact Hs|unfold holds; cbn [held lock_taken with_held existsb lock_eqb]; by rewrite Hh|].
  rewrite (claimable_locked GS_DELEGATED rd) by done. destruct (claimable GS_DELEGATED rtt s) eqn:Hc; tidy.
  2:{ apply bind_unlock; [done..|]. tidy. reflexivity. }
  pose proof (locked_open _ _ I Hr) as O. apply andb_true_iff in Hc as [Hd _].
  assert (O2 : open_realm rd (lock_taken (LGranule rtt) (locked rd s))).
  { constructor; [by apply (inv_same s)|exact Hr|]. unfold holds. cbn [held lock_taken with_held existsb lock_eqb]. rewrite Z.eqb_refl. apply orb_true_r. }
  eapply bind_call.
  { apply rtt_create_locked_ok; [exact O2|exact Hst|done|done|exact Hd| |].
    - unfold holds. cbn [held lock_taken with_held existsb lock_eqb]. by rewrite Z.eqb_refl.
    - cbn [held lock_taken with_held]. by rewrite Hh. }
  rewrite !create_locked_under. cbn [fst snd]. destruct (create_locked_rest rd rtt ipa level s Hh Hs Hst) as (K1 & K2 & K3). cbv zeta in *.
  set (s' := snd (create_locked rd rtt ipa level s)) in *. tidy.
  assert (E : lock_taken (LGranule rtt) (locked rd s') = under (gran s') [LGranule rtt; LGranule rd] false s').
  { unfold lock_taken, under. cbn [held shrinking with_held]. rewrite K1, K2. reflexivity. }
  rewrite E. apply bind_release. tidy. apply bind_realm_unlock; [done|]. tidy.
  assert (E' : under (gran s') [] false s' = s') by (rewrite <- K1, <- K2; apply under_self). rewrite E'. reflexivity.
Qed.
