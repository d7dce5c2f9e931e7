(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/data.c: RMI_DATA_DESTROY. *)
From kcore Require Export refine.DataRefine.
From kcore Require Export refine.RttEntry.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- Entries of the protected half ---- *)

Lemma assigned_entry s t p ipa d : inv s -> entry_ok s t p ipa d -> kind (p_level p) d = K_ASSIGNED ->
  exists pa r, d = assigned (p_level p) pa r /\ 0 <= r <= 2 /\ out_addr d = pa /\ ripas d = r /\
    is_valid d = (r =? RIPAS_RAM) /\ is_table (p_level p) d = false /\
    0 < pa < 2 ^ 48 /\ pa mod 4096 = 0 /\ ipa < half_of s (p_rd p) /\
    (forall n, 0 <= n < size_of (p_level p) / 4096 -> own_data s (p_rd p) (pa + n * 4096) = true).
Proof.
  intros I He Hk. destruct He as [r H _|pa r H Hh _ Hq Hqa Hd|_|host _ _ _ Hw _|c _ Hl Hc|_].
  - destruct (unassigned_facts (p_level p) r H) as (_ & _ & K & _). rewrite K in Hk. discriminate.
  - pose proof (aligned_size _ _ Hqa) as Ha.
    destruct (assigned_ok (p_level p) pa r H Hq Ha) as (O & V & T & _ & R & _). exists pa, r. split_and!; done || lia.
  - destruct (unassigned_ns_facts (p_level p)) as (_ & _ & K). rewrite K in Hk. discriminate.
  - destruct (assigned_ns_facts (p_level p) host Hw) as (_ & _ & _ & K & _). rewrite K in Hk. discriminate.
  - destruct (place_granule _ _ _ I Hc) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T & _).
    unfold kind in Hk. rewrite T in Hk by done. discriminate.
  - unfold kind, is_table in Hk. rewrite andb_false_r in Hk. discriminate.
Qed.

(* A page of a realm is reached through the one entry that maps it. *)
Lemma data_unreached s s' rd t i ipa pa :
  inv s -> maps s rd t i ipa pa -> own_data s rd pa = true ->
  places s' = places s -> cached s' = cached s -> staled s' = [] -> mem_ok (mem s') ->
  (forall q j, has_state GS_RTT q s = true -> 0 <= j < 512 -> ~ (q = t /\ j = i) -> word (mem s') q j = word (mem s) q j) ->
  is_valid (word (mem s') t i) = false -> no_realm_reaches s' pa = true.
Proof.
  intros I M Ho Ep Ec Est Hm Hw Hv. unfold own_data in Ho. destruct (gran s !! pa) as [g|] eqn:Hg; [|done].
  apply andb_true_iff in Ho as [Hs%Z.eqb_eq _]. destruct (i_gran _ I _ _ Hg) as (_ & Ha & _).
  assert (Nc : pa ∉ cached s) by (apply not_cached; [done|unfold has_state; by rewrite Hg, Hs]).
  unfold no_realm_reaches. rewrite (had_none _ _ Est), Ep, Ec, bool_decide_eq_false_2 by exact Nc.
  rewrite not_placed; [|done|unfold has_state; by rewrite Hg, Hs].
  rewrite andb_true_r. cbn [andb]. apply negb_true_iff, existsb_false. intros [q p] Hin%places_In.
  unfold mapped_by. cbn [fst snd]. destruct (existsb _ _) eqn:E; [|apply andb_false_r]. exfalso.
  apply existsb_exists in E as (d & Hd%elem_of_list_In & Hc).
  apply elem_of_list_lookup in Hd as [j Hj]. apply page_lookup in Hj as [Hj ->]; [|done].
  destruct (place_granule _ _ _ I Hin) as (_ & _ & Hq).
  destruct (decide (q = t /\ Z.of_nat j = i)) as [[-> Ei]|N].
  { rewrite Ei in Hc. unfold leaf_covers in Hc. by rewrite Hv in Hc. }
  rewrite (Hw q (Z.of_nat j) Hq) in Hc by (done || lia).
  apply N. assert (Hj' : 0 <= Z.of_nat j < 512) by lia.
  pose proof (t_entry _ _ _ (i_table _ I _ _ Hin) (Z.of_nat j) Hj') as He.
  pose proof (leaf_covers_page _ _ _ Hc Ha (out_addr_page _)) as (n & Hn & En).
  assert (M' : maps s (p_rd p) q (Z.of_nat j) (p_base p + Z.of_nat j * size_of (p_level p) + n * 4096) pa).
  { constructor. exists p. split_and!; try done; try lia; [|by exists n].
    unfold leaf_covers in Hc. apply andb_true_iff in Hc as [[[V T]%andb_true_iff _]%andb_true_iff _].
    apply negb_true_iff in T. remember (word (mem s) q (Z.of_nat j)) as d eqn:Ed.
    destruct He as [r H _|x r H _ _ Hx Hxa _|_|host _ _ _ Hh Hns|c _ Hl Hch|_].
    - destruct (unassigned_facts (p_level p) r H) as (V' & _). congruence.
    - by destruct (assigned_ok (p_level p) x r H Hx (aligned_size _ _ Hxa)) as (_ & _ & _ & K & _).
    - discriminate.
    - destruct (assigned_ns_facts (p_level p) host Hh) as (O & _). specialize (Hns n Hn). rewrite <- O, <- En in Hns.
      unfold is_ns in Hns. rewrite Hg, Hs in Hns. discriminate.
    - destruct (place_granule _ _ _ I Hch) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T' & _).
      rewrite T' in T by done. discriminate.
    - discriminate. }
  exact (i_once _ I _ _ _ _ _ _ _ _ _ M' M).
Qed.

(* ---- The page ---- *)

Lemma left_range r : 0 <= r <= 2 -> broken (unassigned r) = unassigned r /\ is_valid (unassigned r) = false /\
  is_table 3 (unassigned r) = false.
Proof. intros H. assert (r = 0 \/ r = 1 \/ r = 2) as [->|[->| ->]] by lia; by split_and!. Qed.

Lemma page_counted s t p i : inv s -> places s !! t = Some p -> 0 <= i < 512 ->
  is_counted (p_level p) (word (mem s) t i) = true ->
  exists g, gran s !! t = Some g /\ g_owner g = p_rd p /\ g_state g = GS_RTT /\ 1 <= g_refs g <= 512.
Proof.
  intros I Hp Hi Hc. destruct (t_gran _ _ _ (i_table _ I _ _ Hp)) as (g & Hg & Hs & Ho & Hr). exists g.
  split_and!; try done; rewrite Hr; unfold live_entries.
  - eapply count_pos; [by apply (page_word _ t i), Hi; apply (i_mem _ I)|done].
  - pose proof (count_range (is_counted (p_level p)) (page (mem s) t)) as H.
    pose proof (page_ok _ t (i_mem _ I)) as Hl. unfold is_page in Hl. rewrite Hl in H. lia.
Qed.

Theorem data_destroy_locked_ok rd ipa s :
  open_realm rd s -> staled s = [] -> u64 ipa ->
  core "data_destroy_locked" [rd; ipa] s = Some (fst (destroy_page rd ipa s), snd (destroy_page rd ipa s)).
Proof.
  intros O Hst Hu. pose proof (open_hand _ _ O) as Hh. pose proof O as [I Hr Hl].
  enter f_data_destroy_locked. unfold destroy_page. step. change (rd_get RD_vmid rd 0 s) with (rd_of s RD_vmid rd).
  use data_ipa_ok_ok. destruct (page_possible rd ipa s) eqn:Hp; cbn [negb]; [|reflexivity].
  destruct (possible_range _ _ _ I Hr Hu Hp) as (Hi & Hia & Hhalf).
  eapply bind_call; [apply rtt_walk_ok; [done|lia|lia]|]. tidy.
  destruct (walk_found rd ipa 3 s O ltac:(lia)) as (p & F). set (w := walk rd ipa 3 s) in *.
  pose proof (found_range _ _ _ _ _ F) as Hlev. eapply bind_call; [apply error_rtt_ok; lia|]. tidy.
  pose proof (found_ipa _ _ _ _ _ F) as Hu48. pose proof (fd_slot _ _ _ _ _ F) as Hsl.
  eapply bind_call; [apply rtt_walk_top_ok; [apply (i_mem _ I)|intros; by eapply found_read|apply F|done]|]. tidy.
  assert (Ew : Walked (w_level w) (w_table w) (w_slot w) (w_desc w) = w) by by destruct w. rewrite Ew.
  replace (negb (w_level w =? 3) || negb (w_kind w =? 1)) with (negb (ends_at K_ASSIGNED w))
    by (unfold ends_at; rewrite negb_andb; reflexivity).
  destruct (ends_at K_ASSIGNED w) eqn:He; cbn [negb]; [|reflexivity].
  apply andb_true_iff in He as [El%Z.eqb_eq Ek%Z.eqb_eq].
  pose proof (fd_place _ _ _ _ _ F) as Pp. pose proof (found_role _ _ _ _ _ F) as Rr. pose proof (fd_desc _ _ _ _ _ F) as Ed.
  pose proof (fd_level _ _ _ _ _ F) as Lp. pose proof (fd_rd _ _ _ _ _ F) as Er. pose proof (fd_base _ _ _ _ _ F) as Eb.
  pose proof (found_not_rd _ _ _ _ _ F) as Nr. pose proof (found_rtt _ _ _ _ _ F) as Ht.
  assert (Ek' : kind (p_level p) (w_desc w) = K_ASSIGNED) by (rewrite Lp; exact Ek).
  destruct (assigned_entry _ _ _ _ _ I (found_entry _ _ _ _ _ F) Ek') as (pa & r & _ & Hr2 & Ho & Erp & Hv & Htb & Hpa & Hpaa & _ & Hown).
  rewrite Lp, El in Hown. specialize (Hown 0 ltac:(split; reflexivity || discriminate)). rewrite Z.add_0_r, Er in Hown.
  assert (M : maps s rd (w_table w) (w_slot w) ipa pa).
  { constructor. exists p. split; [exact Pp|]. split; [exact Er|]. split; [exact Hsl|]. split; [rewrite Ed; exact Ek'|].
    exists 0. rewrite Lp, El. split; [split; [lia|reflexivity]|]. split; [|rewrite Ed, Ho; lia].
    rewrite El in Eb. change (size_of 3) with 4096 in Eb |- *. rewrite Eb, floor3_aligned by done. lia. }
  destruct (page_counted s (w_table w) p (w_slot w) I Pp Hsl) as (g & Hg & Hgo & Hgs & Hgr).
  { rewrite Ed. unfold is_counted. rewrite Ek'. reflexivity. }
  use s2_ripas_ok. use s2_pa_ok. eapply bind_call; [apply s2_unassigned_ok; lia|]. tidy.
  unfold page_destroyed. rewrite Erp, Ho. change RIPAS_EMPTY with 0. change RIPAS_DESTROYED with 2.
  set (left := unassigned (if r =? 0 then 0 else 2)).
  destruct (left_range (if r =? 0 then 0 else 2)) as (Lb & Lv & Lt); [destruct (r =? 0); lia|]. fold left in Lb, Lv, Lt.
  assert (E0 : r = 0 -> unassigned 0 = left) by (intros ->; reflexivity).
  assert (E2 : r <> 0 -> unassigned 2 = left) by (intros N%Z.eqb_neq; unfold left; by rewrite N).
  clearbody left.
  set (s1 := put_word (w_table w) (w_slot w) left s).
  set (s2 := refs_added (w_table w) (2 ^ 64 - 1) s1). set (s3 := private_added rd (2 ^ 64 - 1) s2).
  set (s4 := scrubbed pa s3).
  assert (Hh1 : under_lock (w_table w) s1 = true) by exact (found_hand _ _ _ _ _ F).
  assert (Npa : w_table w <> pa /\ rd <> pa).
  { unfold own_data in Hown. pose proof Hr as (y & Hy & Hys)%has_state_inv. destruct (gran s !! pa) as [x|] eqn:Hx; [|done].
    apply andb_true_iff in Hown as [Hxs%Z.eqb_eq _]. split; intros E.
    - rewrite E, Hx in Hg. injection Hg as <-. rewrite Hgs in Hxs. discriminate.
    - rewrite E, Hx in Hy. injection Hy as <-. rewrite Hys in Hxs. discriminate. }
  destruct Npa as [Npa Nrd].
  assert (Hx : exists x, gran s !! pa = Some x /\ g_state x = GS_DATA /\ g_owner x = rd).
  { unfold own_data in Hown. destruct (gran s !! pa) as [x|]; [|done]. apply andb_true_iff in Hown as [X1%Z.eqb_eq X2%Z.eqb_eq]. by exists x. }
  destruct Hx as (x & Hx & Hxs & Hxo). pose proof (rd_nonzero _ _ I Hr) as Nz.
  assert (T1 : core "granule_add_refs" [w_table w; 18446744073709551615] s1 = Some ([], s2)).
  { apply granule_add_refs_ok; [exact Hh1|]. unfold refs_of, granule_at. rewrite (Hg : gran s1 !! w_table w = Some g).
    cbn [default from_option id]. unfold wrap, REFS_MAX.
    replace (g_refs g + 18446744073709551615) with (g_refs g - 1 + 1 * 2 ^ 64) by lia.
    rewrite Z.mod_add, Z.mod_small by lia. lia. }
  pose proof Hr as (y & Hy & Hys)%has_state_inv.
  assert (T2 : core "data_add_private" [rd; 18446744073709551615] s2 = Some ([], s3)).
  { apply data_add_private_ok. apply (rd_held_hand rd y); [|exact Hys|exact Hl].
    unfold s2, refs_added, with_refs, set_granule. cbn [gran with_gran]. by rewrite lookup_insert_ne. }
  assert (G3 : gran s3 !! pa = Some x).
  { unfold s3, private_added, rd_set, put_word, s2, refs_added, with_refs, set_granule. cbn [gran with_gran with_mem].
    by rewrite lookup_insert_ne. }
  assert (P3 : forall t, t <> w_table w -> t <> rd -> page (mem s3) t = page (mem s) t).
  { intros t N1 N2. unfold s3, private_added, rd_set, put_word. cbn [mem with_mem]. rewrite page_set_page by congruence.
    unfold s2, refs_added, with_refs, set_granule. cbn [mem with_gran]. unfold s1, put_word. cbn [mem with_mem].
    by rewrite page_set_page by congruence. }
  assert (W3 : forall j, word (mem s3) (w_table w) j = word (mem s1) (w_table w) j).
  { intros j. unfold s3, private_added, rd_set, put_word. cbn [mem with_mem]. by rewrite word_set_page by congruence. }
  assert (M3 : mem_ok (mem s3)).
  { unfold s3, private_added, rd_set, put_word. cbn [mem with_mem]. apply set_word_ok.
    unfold s2, refs_added, with_refs, set_granule. cbn [mem with_gran]. unfold s1, put_word. cbn [mem with_mem].
    apply set_word_ok, (i_mem _ I). }
  assert (T3 : core "granule_scrub" [pa] s3 = Some ([], s4)).
  { apply granule_scrub_ok.
    - unfold may_zero. rewrite (hand_by_owner pa x rd s3 G3 Hxo Nz Hl).
      rewrite (not_hosts_unreachable s s3 pa x); [|done|done|by rewrite Hxs|by rewrite Hxs|done|exact Hst|].
      2:{ intros t q Hq. apply P3; intros E; rewrite E in Hq; [congruence|].
          rewrite (not_host_table s rd y) in Hq; [discriminate|done|done|by rewrite Hys]. }
      cbn [andb]. refine (data_unreached s s3 rd (w_table w) (w_slot w) ipa pa I M Hown eq_refl eq_refl Hst M3 _ _).
      + intros q j Hq Hj N. destruct (decide (q = w_table w)) as [->|Nq].
        * rewrite W3. unfold s1, put_word. cbn [mem with_mem]. rewrite word_set_slot; [done|lia|lia|]. intros <-. by apply N.
        * unfold word. rewrite P3; [done|done|]. intros ->. unfold has_state in Hq, Hr. rewrite Hy, Hys in Hq. discriminate.
      + rewrite W3. unfold s1, put_word. cbn [mem with_mem]. rewrite word_set_same by (done || apply (i_mem _ I)). exact Lv.
    - unfold has_state. by rewrite G3, Hxs. }
  assert (T4 : core "rtt_walk_top" [w_level w; w_table w; w_slot w; w_desc w; w_kind w; ipa] s4 = Some ([walk_top (mem s4) w ipa], s4)).
  { pose proof (rtt_walk_top_ok (w_level w) (w_table w) (w_slot w) (w_desc w) (w_kind w) ipa s4) as X. rewrite Ew in X.
    apply X; [| |exact Hsl|exact Hu48]; clear X.
    - intros q l. unfold s4, scrubbed, set_granule, put_page. cbn [mem with_places with_gran with_mem].
      destruct (decide (pa = q)) as [<-|]; [rewrite lookup_insert; intros [= <-]; reflexivity|].
      rewrite lookup_insert_ne by done. apply M3.
    - intros j Hj. unfold may_read. change (hw s4) with (hw s). rewrite Rr.
      rewrite (hand_by_owner (w_table w) (Gran (g_state g) (g_owner g) (wrap U64 (g_refs g + (2 ^ 64 - 1)))) rd s4).
      + unfold in_page. lia.
      + unfold s4, scrubbed, set_granule, put_page. cbn [gran with_places with_gran with_mem]. rewrite lookup_insert_ne by congruence.
        unfold s3, private_added, rd_set, put_word, s2, refs_added, with_refs, set_granule. cbn [gran with_gran with_mem].
        rewrite lookup_insert. unfold refs_of, granule_at. by rewrite (Hg : gran s1 !! w_table w = Some g).
      + cbn [g_owner]. congruence.
      + done.
      + exact Hl. }
  assert (Wr : forall d, is_valid d = false -> may_write (w_table w) (w_slot w) d s = true).
  { intros d Hd. eapply entry_write; [exact Pp|exact Rr|exact Hh1|exact Hsl|by rewrite Hd, andb_false_r|congruence]. }
  assert (Md : is_valid (w_desc w) = false -> after_write (w_table w) (w_slot w) left s = s1).
  { intros V. eapply leaf_made; [exact Pp|exact Rr|by rewrite Ed|by rewrite Lp, El]. }
  destruct (Z.eqb_spec r 0) as [R0|R0].
  - eapply bind_call; [apply s2_unassigned_ok; lia|]. tidy. rewrite (E0 R0), R0. change (0 =? 1) with false. cbv iota.
    eapply bind_call; [apply s2_make_ok, Wr, Lv|]. rewrite Md by (rewrite Hv, R0; reflexivity). tidy.
    eapply bind_call; [exact T1|]. tidy. eapply bind_call; [exact T2|]. tidy.
    eapply bind_call; [exact T3|]. tidy. eapply bind_call; [exact T4|]. tidy. reflexivity.
  - rewrite (E2 R0). destruct (r =? 1) eqn:R1.
    + eapply bind_call; [apply s2_break_ok; rewrite Lb; by apply Wr|]. rewrite Lb.
      erewrite entry_broken; [|exact Pp|exact Rr|exact Hst|by rewrite Ed, Hv|exact Lv].
      fold s1. tidy. rewrite Er, Lp, Eb, Ed.
      refine (bind_prim P_tlbi_realm _ _ _ _ [] s1 _ _ _ _); [| |].
      { cbn [prim_sem]. rewrite (forget_leaf s1 rd); [reflexivity|exact Hst| |by rewrite <- Lp|done].
        unfold s1. rewrite vmid_put by done. apply vmid_here. }
      2:{ apply bool_decide_eq_true_2. exact (found_vmid _ _ _ _ _ F). }
      tidy. eapply bind_call; [exact T1|]. tidy. eapply bind_call; [exact T2|]. tidy.
      eapply bind_call; [exact T3|]. tidy. eapply bind_call; [exact T4|]. tidy. reflexivity.
    + eapply bind_call; [apply s2_make_ok, Wr, Lv|]. rewrite Md by (by rewrite Hv). tidy.
      eapply bind_call; [exact T1|]. tidy. eapply bind_call; [exact T2|]. tidy.
      eapply bind_call; [exact T3|]. tidy. eapply bind_call; [exact T4|]. tidy. reflexivity.
Qed.

Lemma destroy_page_locked l rd ipa s :
  destroy_page rd ipa (lock_taken l s) = (fst (destroy_page rd ipa s), lock_taken l (snd (destroy_page rd ipa s))).
Proof.
  unfold destroy_page. change (walk rd ipa 3 (lock_taken l s)) with (walk rd ipa 3 s).
  change (page_possible rd ipa (lock_taken l s)) with (page_possible rd ipa s). generalize (walk rd ipa 3 s). intros w.
  destruct (page_possible rd ipa s); [|reflexivity]. cbn [negb]. destruct (ends_at K_ASSIGNED w); reflexivity.
Qed.

Theorem data_destroy_ok rd ipa s :
  inv s -> idle s -> u64 ipa ->
  core "data_destroy" [rd; ipa] s = Some (fst (destroy_data rd ipa s), snd (destroy_data rd ipa s)).
Proof.
  intros I (Hh & Hs & Hst) Hu. unfold destroy_data. enter f_data_destroy. apply bind_lock; [exact Hs|exact Hh|].
  destruct (has_state GS_RD rd s) eqn:Hr; tidy; [|reflexivity].
  eapply bind_call; [apply data_destroy_locked_ok; [by apply locked_open|exact Hst|exact Hu]|].
  rewrite destroy_page_locked. cbn [fst snd].
  assert (Fs : (exists a b c d e, fst (destroy_page rd ipa s) = [a; b; c; d; e]) /\
    held (snd (destroy_page rd ipa s)) = [] /\ shrinking (snd (destroy_page rd ipa s)) = false /\
    staled (snd (destroy_page rd ipa s)) = []).
  { unfold destroy_page, refused. destruct (page_possible rd ipa s); [destruct (ends_at _ _)|]; cbn [negb fst snd];
      (split; [eauto 10|split_and!; [exact Hh|exact Hs|exact Hst]]). }
  destruct Fs as ((a & b & c & d & e & ->) & F1 & F2 & F3). tidy. apply bind_unlock; [exact F1|exact F2|exact F3|].
  tidy. reflexivity.
Qed.
