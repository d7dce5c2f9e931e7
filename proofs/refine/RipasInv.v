(* SPDX-License-Identifier: Apache-2.0 *)
(* RMI_RTT_INIT_RIPAS and RMI_RTT_SET_RIPAS leave the invariant as they found it. *)
From kcore Require Export refine.LeafInv.
From kcore Require Import refine.RsiInv.
From kcore Require Import refine.RipasSetRefine.
From kcore Require Import refine.GranuleRangeRefine.
Local Open Scope Z_scope.

(* ---- One entry ---- *)

Lemma covers_own s rd level q r pa : 0 <= r <= 2 -> 0 < q < 2 ^ 48 -> q mod 4096 = 0 -> pa mod 4096 = 0 ->
  (forall n, 0 <= n < size_of level / 4096 -> own_data s rd (q + n * 4096) = true) -> is_ns (gran s) pa = true ->
  leaf_covers level (assigned level q r) pa = false.
Proof.
  intros Hr Hq Ha Hp Ho Hn. destruct (leaf_covers level (assigned level q r) pa) eqn:E; [|done]. exfalso.
  destruct (assigned_ok level q r Hr Hq Ha) as (O & _). destruct (leaf_covers_page _ _ _ E Hp) as (n & Hb & Ep); [by rewrite O|].
  rewrite O in Ep. specialize (Ho n Hb). rewrite <- Ep in Ho. unfold own_data, is_ns in *. destruct (gran s !! pa); [|done].
  apply andb_true_iff in Ho as [Ho%Z.eqb_eq _]. rewrite Ho in Hn. discriminate.
Qed.

(* An entry of the protected half gets another RIPAS: it maps what it did. *)
Definition ripas_of (level e d : Z) : Prop :=
  exists r, 0 <= r <= 2 /\
    (kind level e = K_UNASSIGNED /\ d = unassigned r \/ kind level e = K_ASSIGNED /\ d = assigned level (out_addr e) r).

Lemma inv_entry s t p i d : inv s -> places s !! t = Some p -> 0 <= i < 512 ->
  p_base p + i * size_of (p_level p) < half_of s (p_rd p) -> ripas_of (p_level p) (word (mem s) t i) d -> inv (put_word t i d s).
Proof.
  intros I Hp Hi Hh (r & Hr & H). set (s' := put_word t i d s).
  destruct (place_granule _ _ _ I Hp) as (Pt & At & Ht). pose proof (t_rd _ _ _ (i_table _ I _ _ Hp)) as Hrd.
  assert (Nr : t <> p_rd p).
  { destruct (has_state_inv _ _ _ Ht) as (x & Hx & Hxs), (has_state_inv _ _ _ Hrd) as (y & Hy & Hys).
    apply (differ s _ _ x y); [done|done|by rewrite Hxs, Hys]. }
  assert (Er : forall f, rd_of s' f (p_rd p) = rd_of s f (p_rd p)) by (intros f; by apply word_set_page).
  assert (NT : forall x k, kind (p_level p) x = k -> k <> K_TABLE -> is_table (p_level p) x = false).
  { intros x k Hk N. unfold kind in Hk. destruct (is_table (p_level p) x); [congruence|done]. }
  assert (Ha : forall pa, is_ns (gran s) pa = true -> pa mod 4096 = 0).
  { intros pa. unfold is_ns. destruct (gran s !! pa) as [x|] eqn:Hx; [|done]. intros _. by apply (i_gran _ I _ _ Hx). }
  assert (F : is_table (p_level p) d = false /\ (kind (p_level p) d = K_ASSIGNED <-> kind (p_level p) (word (mem s) t i) = K_ASSIGNED) /\
    (kind (p_level p) d = K_ASSIGNED -> out_addr d = out_addr (word (mem s) t i)) /\
    is_table (p_level p) (word (mem s) t i) = false /\ u64 d /\
    entry_ok s' t p (p_base p + i * size_of (p_level p)) d /\
    (forall pa, is_ns (gran s) pa = true -> leaf_covers (p_level p) d pa = false)).
  { destruct H as [[Hk ->]|[Hk ->]].
    - destruct (unassigned_facts (p_level p) r Hr) as (V & T & K & _). rewrite T, K, Hk. split_and!; try done; [by eapply NT| | |].
      + unfold unassigned, u64. lia.
      + constructor; [done|]. unfold half_of. by rewrite Er.
      + intros pa _. unfold leaf_covers. by rewrite V.
    - destruct (entry_owned _ _ _ _ I Hp Hi Hk) as (q & r0 & Ew & Hr0 & Hq & Hqa & _ & Hl & Ho).
      pose proof (aligned_size _ _ Hqa) as Hq4. destruct (assigned_ok (p_level p) q r0 Hr0 ltac:(lia) Hq4) as (O0 & _ & T0 & _).
      rewrite Ew in *. rewrite O0 in *. destruct (assigned_ok (p_level p) q r Hr ltac:(lia) Hq4) as (O & _ & T & K & _).
      rewrite T, K, O. split_and!; try done.
      + rewrite assigned_lor. apply u64_lor; [unfold u64; lia|]. unfold ASSIGNED_ATTR, leaf_type, S2_PAGE, S2_BLOCK.
        assert (r = 0 \/ r = 1 \/ r = 2) as [->|[->| ->]] by lia; destruct (p_level p =? 3); by vm_compute.
      + constructor; try done; try lia. unfold half_of. by rewrite Er.
      + intros pa Hn. apply (covers_own s (p_rd p)); try done; try lia. by apply Ha. }
  destruct F as (Td & Ka & Oa & Te & Ud & Een & Cov).
  eapply inv_tree; [exact I|]. eapply (leaf_tree_step (p_rd p) t p i d (word (mem s) t i)); try done.
  - pose proof (i_scratch _ I) as (? & ? & ? & ? & ? & _). done.
  - apply set_word_ok, (i_mem _ I).
  - apply words_set; [exact (i_words _ I)|done].
  - unfold s'. cbn [mem put_word with_mem]. unfold set_word. by rewrite page_insert_same.
  - intros q Nq _. apply page_set_page. congruence.
  - intros q _. change (gran s') with (gran s). destruct (gran s !! q) as [[a b c]|] eqn:Hq; [|done]. exists c. split; [done|].
    destruct (i_gran _ I _ _ Hq) as (_ & _ & X). cbn [g_state g_refs] in *. destruct (_ =? _); [lia|done].
  - intros pa Hn. rewrite Cov by done. unfold refs_of, granule_at. change (gran s') with (gran s). cbn [b2z]. destruct (leaf_covers (p_level p) (word (mem s) t i) pa); cbn [b2z]; lia.
Qed.

(* ---- RMI_RTT_INIT_RIPAS ---- *)

Lemma measured_shape rd a b s : rd_of (ripas_measured rd a b s) RD_ipa_size rd = rd_of s RD_ipa_size rd.
Proof.
  assert (D0 : forall i v s, rd_of (hash_put i v s) RD_ipa_size rd = rd_of s RD_ipa_size rd) by reflexivity.
  assert (C0 : forall s, rd_of (hash_cleared s) RD_ipa_size rd = rd_of s RD_ipa_size rd) by reflexivity.
  assert (H0 : forall g n s, rd_of (hashed g n s) RD_ipa_size rd = rd_of s RD_ipa_size rd) by reflexivity.
  assert (R0 : forall i v s, 0 <= i -> rd_of (rd_set RD_meas rd i v s) RD_ipa_size rd = rd_of s RD_ipa_size rd).
  { intros i v z Hi. apply word_set_slot; unfold rd_word; cbn [rd_off]; lia. }
  assert (E0 : forall n s, rd_of (each_below n (fun i s => hash_put (2 + i) (rd_get RD_meas rd i s) s) s) RD_ipa_size rd = rd_of s RD_ipa_size rd).
  { induction n as [|n IH]; intros z; [reflexivity|]. by rewrite each_below_S, D0. }
  assert (W0 : forall n s, rd_of (each_below n (fun i s => rd_set RD_meas rd (8 * 0 + i) (digest_word i s) s) s) RD_ipa_size rd = rd_of s RD_ipa_size rd).
  { induction n as [|n IH]; intros z; [reflexivity|]. by rewrite each_below_S, R0 by lia. }
  unfold ripas_measured, ended, stored, begun, Measure.each. by rewrite W0, H0, !D0, E0, !D0, C0.
Qed.

Lemma entry_ipa p (w : walked) base i : p_level p = w_level w -> p_base p + w_slot w * size_of (w_level w) = floor_of (w_level w) base ->
  aligned_to (w_level w) base = true -> p_base p + (w_slot w + i) * size_of (p_level p) = run_end w base i.
Proof. intros -> E Ha%Z.eqb_eq. unfold floor_of in E. rewrite Ha in E. unfold run_end. lia. Qed.

Lemma run_length_facts ok w base top s i : 0 <= i < Z.of_nat (run_length ok w base top s) ->
  run_end w base (i + 1) <= top /\ ok (entry_from w i s) = true /\ w_slot w + i < 512.
Proof.
  intros H. unfold run_length in *.
  pose proof (leading_ok (fun i => (run_end w base (i + 1) <=? top) && ok (entry_from w i s)) _ i H) as [H1%Z.leb_le H2]%andb_true_iff.
  pose proof (leading_le (fun i => (run_end w base (i + 1) <=? top) && ok (entry_from w i s)) (Z.to_nat (512 - w_slot w))). split_and!; [done|done|lia].
Qed.

Lemma ram_made_inv rd w base p s n : inv s -> has_state GS_RD rd s = true -> places s !! w_table w = Some p -> p_rd p = rd ->
  p_level p = w_level w -> 0 <= w_slot w -> p_base p + w_slot w * size_of (w_level w) = floor_of (w_level w) base ->
  aligned_to (w_level w) base = true -> 0 <= base ->
  (forall i, 0 <= i < Z.of_nat n -> run_end w base i < half_of s rd /\ run_end w base (i + 1) < 2 ^ 64 /\ w_slot w + i < 512 /\
     kind (w_level w) (entry_from w i s) = K_UNASSIGNED) ->
  inv (ram_made rd w base n s) /\ rd_of (ram_made rd w base n s) RD_ipa_size rd = rd_of s RD_ipa_size rd.
Proof.
  intros I Hr Hp Er El H0 Eb Ha Hb H.
  assert (Nr : w_table w <> rd).
  { destruct (place_granule _ _ _ I Hp) as (_ & _ & (x & Hx & Hxs)%has_state_inv), (has_state_inv _ _ _ Hr) as (y & Hy & Hys).
    apply (differ s _ _ x y); [done|done|by rewrite Hxs, Hys]. }
  induction n as [|n IH]; [by split|]. destruct IH as [I1 E1]; [intros; apply H; lia|].
  pose proof (ram_made_kept rd w base n s Nr H0) as K. unfold ram_made in *. rewrite each_below_S.
  set (y := each_below n _ s) in *. clearbody y. destruct (H (Z.of_nat n)) as (H1 & H2 & H3 & H4); [lia|].
  destruct (size_pos (w_level w)) as [Psz _].
  assert (Hry : has_state GS_RD rd y = true) by (unfold has_state; by rewrite (rk_gran _ _ _ _ _ K)).
  assert (I2 : inv (put_word (w_table w) (w_slot w + Z.of_nat n) (unassigned RIPAS_RAM) y)).
  { apply (inv_entry y _ p); [exact I1|by rewrite (rk_places _ _ _ _ _ K)|lia| |].
    - rewrite (entry_ipa p w base) by done. unfold half_of. rewrite Er, E1. exact H1.
    - exists RIPAS_RAM. split; [by vm_compute|]. left. split; [|done]. rewrite (rk_word _ _ _ _ _ K) by lia. rewrite El. exact H4. }
  split.
  - apply (l_inv rd), lively_ripas_measured; [unfold u64, run_end in *; nia..|]. constructor; [exact I2|exact Hry].
  - rewrite measured_shape. etransitivity; [|exact E1]. by apply word_set_page.
Qed.

Lemma init_locked_inv rd base top s : inv s -> has_state GS_RD rd s = true -> u64 base -> u64 top -> base < top ->
  inv (snd (init_locked rd base top s)).
Proof.
  intros I Hr Hb Ht Hlt. unfold init_locked. cbv zeta. destruct (page_possible rd base s) eqn:Hp; [|exact I]. cbn [andb].
  destruct (page_possible rd (wrap U64 (top - 4096)) s) eqn:Hp2; [|exact I]. cbn [negb].
  destruct (rd_of s RD_state rd =? REALM_NEW); cbn [negb]; [|exact I].
  destruct (possible_range _ _ _ I Hr Hb Hp) as (Hi & Hia & Hhalf).
  destruct (possible_range _ _ _ I Hr (u64_wrap _) Hp2) as (Hi2 & _ & _).
  destruct (walk_at s rd base 3 I Hr ltac:(lia)) as [(p & Hpl & Er & El & Es & Eb & Ed) _].
  set (w := walk rd base 3 s) in *. destruct (aligned_to (w_level w) base) eqn:Ha; [|exact I]. cbn [negb orb].
  destruct (Nat.eqb_spec (init_length w base top s) 0); [exact I|]. cbn [snd].
  pose proof (slot_range (w_level w) base) as Hsl. rewrite <- Es in Hsl.
  apply (ram_made_inv rd w base p s); try done; try lia. intros i Hi'.
  destruct (run_length_facts _ _ _ _ _ _ Hi') as (R1 & R2 & R3). apply andb_true_iff in R2 as [R2%Z.eqb_eq _].
  destruct (size_pos (w_level w)) as [Psz _].
  assert (Hw : top - 4096 < half_of s rd).
  { unfold u64 in *. destruct (Z.lt_ge_cases (top - 4096) 0); [lia|]. rewrite wrap_small in Hi2 by lia. lia. }
  unfold u64 in *. split_and!; [unfold run_end in *; lia|lia|done|done].
Qed.

Theorem init_ripas_inv rd base top s : inv s -> idle s -> u64 base -> u64 top -> inv (snd (init_ripas rd base top s)).
Proof.
  intros I _ Hb Ht. unfold init_ripas. destruct (Z.leb_spec top base); [exact I|].
  destruct (has_state GS_RD rd s) eqn:Hr; [|exact I]. by apply init_locked_inv.
Qed.
Theorem init_ripas_idle rd base top s : inv s -> idle s -> u64 base -> idle (snd (init_ripas rd base top s)).
Proof.
  intros I (D1 & D2 & D3) Hb. unfold init_ripas. destruct (Z.leb_spec top base); [done|].
  destruct (has_state GS_RD rd s) eqn:Hr; [|done]. cbn [negb orb].
  destruct (init_locked_under rd base top s I Hr Hb) as (_ & _ & F1 & F2 & F3). unfold idle. by rewrite F1, F2, F3.
Qed.

(* ---- RMI_RTT_SET_RIPAS ---- *)

Lemma ripas_set_inv w r p base s n : inv s -> places s !! w_table w = Some p -> p_level p = w_level w -> 0 <= w_slot w ->
  p_base p + w_slot w * size_of (w_level w) = floor_of (w_level w) base -> aligned_to (w_level w) base = true -> 0 <= r <= 1 ->
  (forall i, 0 <= i < Z.of_nat n -> run_end w base i < half_of s (p_rd p) /\ w_slot w + i < 512 /\
     (kind (w_level w) (entry_from w i s) = K_UNASSIGNED \/ kind (w_level w) (entry_from w i s) = K_ASSIGNED)) ->
  inv (ripas_set w r n s).
Proof.
  intros I Hp El H0 Eb Ha Hr H.
  assert (Nr : w_table w <> p_rd p).
  { pose proof (t_rd _ _ _ (i_table _ I _ _ Hp)) as Hrd.
    destruct (place_granule _ _ _ I Hp) as (_ & _ & (x & Hx & Hxs)%has_state_inv), (has_state_inv _ _ _ Hrd) as (y & Hy & Hys).
    apply (differ s _ _ x y); [done|done|by rewrite Hxs, Hys]. }
  induction n as [|n IH]; [exact I|]. specialize (IH ltac:(intros; apply H; lia)).
  pose proof (ripas_set_so_far w r n s H0) as (m & E & P & Wd). unfold ripas_set in *. rewrite each_below_S.
  rewrite E in *. destruct (H (Z.of_nat n)) as (H1 & H2 & H3); [lia|]. unfold entry_set.
  assert (Ee : entry_from w (Z.of_nat n) (with_mem m s) = entry_from w (Z.of_nat n) s) by (apply Wd; lia).
  rewrite Ee. set (e := entry_from w (Z.of_nat n) s) in *. destruct (e =? _); [exact IH|].
  apply (inv_entry (with_mem m s) _ p); [exact IH|exact Hp|lia| |].
  - rewrite (entry_ipa p w base) by done. unfold half_of, rd_of, rd_get, word in *. cbn [mem with_mem].
    rewrite P by congruence. exact H1.
  - change (word (mem (with_mem m s)) (w_table w) (w_slot w + Z.of_nat n)) with (entry_from w (Z.of_nat n) (with_mem m s)).
    rewrite Ee, El. exists r. split; [lia|]. unfold with_ripas. destruct H3 as [H3|H3]; rewrite H3; [left|right]; by split.
Qed.

Lemma set_locked_inv rd rec base top s : inv s -> has_state GS_RD rd s = true -> has_state GS_REC rec s = true ->
  g_owner (granule_at s rec) = rd -> u64 base -> u64 top -> base < top -> inv (snd (set_locked rd rec base top s)).
Proof.
  intros I Hr Hrec Ho Hb Ht Hlt. unfold set_locked. cbv zeta. destruct (rec_of s REC_running rec =? 0); [|exact I]. cbn [negb].
  destruct (Z.eqb_spec (rec_of s REC_ripas_pending rec) 0) as [|Hpend]; [exact I|]. cbn [orb].
  destruct (Z.eqb_spec base (rec_of s REC_ripas_base rec)) as [Eba|]; [|exact I]. cbn [negb orb].
  destruct (Z.ltb_spec (rec_of s REC_ripas_top rec) top) as [|Htop]; [exact I|].
  destruct (has_state_inv _ _ _ Hrec) as (x & Hx & Hxs). unfold granule_at in Ho. rewrite Hx in Ho. cbn [default from_option id] in Ho.
  pose proof (i_rec _ I _ _ Hx Hxs) as C. rewrite Ho in C. destruct (c_ripas _ _ _ C Hpend) as (C1 & C2 & C3 & C4 & C5).
  destruct (ipa_size_entries _ _ (i_realm _ I _ Hr)) as (_ & _ & Eh & Bh).
  assert (Hhalf : half_of s rd <= rd_of s RD_ipa_size rd) by lia.
  destruct (walk_at s rd base 3 I Hr ltac:(unfold u64 in *; lia)) as [(p & Hpl & Er & El & Es & Eb & Ed) _].
  set (w := walk rd base 3 s) in *. destruct (aligned_to (w_level w) base) eqn:Ha; [|exact I]. cbn [negb orb].
  set (n := set_length rec w base top s). destruct (Nat.eqb_spec n 0) as [|Hn]; [exact I|]. cbn [snd].
  pose proof (slot_range (w_level w) base) as Hsl. rewrite <- Es in Hsl. destruct (size_pos (w_level w)) as [Psz Dsz].
  assert (F : forall i, 0 <= i < Z.of_nat n -> run_end w base (i + 1) <= top /\ w_slot w + i < 512 /\
    (kind (w_level w) (entry_from w i s) = K_UNASSIGNED \/ kind (w_level w) (entry_from w i s) = K_ASSIGNED)).
  { intros i Hi'. destruct (run_length_facts _ _ _ _ _ _ Hi') as (R1 & R2 & R3). split_and!; [done|done|].
    apply andb_true_iff in R2 as [[R2%Z.eqb_eq|R2%Z.eqb_eq]%orb_true_iff _]; auto. }
  assert (I1 : inv (ripas_set w (rec_of s REC_ripas_value rec) n s)).
  { apply (ripas_set_inv w _ p base); try done; [lia|]. intros i Hi'. destruct (F i Hi') as (F1 & F2 & F3).
    split_and!; try done. rewrite Er. unfold run_end in *. lia. }
  pose proof (ripas_set_so_far w (rec_of s REC_ripas_value rec) n s ltac:(lia)) as (m & Em & P & _).
  rewrite Em in *. set (next := run_end w base (Z.of_nat n)).
  assert (Nrec : rec <> w_table w).
  { destruct (place_granule _ _ _ I Hpl) as (_ & _ & (y & Hy & Hys)%has_state_inv). apply (differ s _ _ x y); [done|done|by rewrite Hxs, Hys]. }
  assert (Nrd : rd <> w_table w).
  { destruct (place_granule _ _ _ I Hpl) as (_ & _ & (y & Hy & Hys)%has_state_inv), (has_state_inv _ _ _ Hr) as (z & Hz & Hzs).
    apply (differ s _ _ z y); [done|done|by rewrite Hzs, Hys]. }
  assert (Nx : base <= next <= top /\ next mod 4096 = 0).
  { destruct (F (Z.of_nat n - 1) ltac:(lia)) as (F1 & _). replace (Z.of_nat n - 1 + 1) with (Z.of_nat n) in F1 by lia. fold next in F1.
    split; [unfold next, run_end in *; nia|]. rewrite <- Eba in C3. unfold next, run_end. apply Z.mod_divide in C3 as [a Ca]; [|lia].
    apply Z.mod_divide in Dsz as [b Cb]; [|lia]. rewrite Ca, Cb. apply Z.mod_divide; [lia|]. exists (a + Z.of_nat n * b). lia. }
  destruct Nx as [Nx1 Nx2].
  assert (S : sound rec (with_mem m s)) by (constructor; [exact I1|exact Hrec]).
  destruct (sound_waits rec _ S) as (W1 & W2 & W3). pose proof (rec_page rec _ S) as Q. destruct (Q) as [Ql _].
  assert (Epg : page m rec = page (mem s) rec) by (by apply P).
  change (page (mem (with_mem m s)) rec) with (page m rec) in *. rewrite Epg in *.
  unfold rec_set, rec_word. cbn [rec_off]. rewrite Z.add_0_r, put_first. cbn [mem with_mem]. rewrite Epg.
  refine (so_inv rec _ _). apply sound_page; [exact S|apply RunFacts.set_nth_words; [exact Q|unfold u64 in *; lia]|..];
    change (page (mem (with_mem m s)) rec) with (page m rec); rewrite ?Epg.
  - intros i Hi'. by rewrite nth_set_other by lia.
  - unfold asks in *. rewrite nth_set_same by (done || lia). rewrite !nth_set_other by lia. intros N. destruct (W1 N) as (X1 & X2 & X3 & X4 & X5).
    assert (E20 : nth_word (page (mem s) rec) 20 = rec_of s REC_ripas_top rec) by reflexivity.
    split_and!; [rewrite E20; lia|exact X2|exact Nx2|exact X4|apply X5|apply X5].
  - unfold calls in *. by rewrite !nth_set_other by lia.
  - unfold fetches in *. rewrite !nth_set_other by lia. rewrite slice_other by (unfold TOKEN_WORDS; lia). exact W3.
Qed.

Theorem set_ripas_inv rd rec base top s : inv s -> idle s -> u64 base -> u64 top -> inv (snd (set_ripas rd rec base top s)).
Proof.
  intros I _ Hb Ht. unfold set_ripas. destruct (Z.leb_spec top base); [exact I|]. cbn [orb]. destruct (is_aligned top); [|exact I]. cbn [negb orb].
  destruct (has_state GS_RD rd s) eqn:Hr; [|exact I]. cbn [negb].
  destruct (Z.eqb_spec (rec_owner rec s) rd) as [Ho|]; [|exact I]. pose proof (rd_nonzero _ _ I Hr) as N.
  unfold rec_owner in Ho. destruct (has_state GS_REC rec s) eqn:Hrec; [|congruence]. by apply set_locked_inv.
Qed.
Theorem set_ripas_idle rd rec base top s : inv s -> idle s -> u64 base -> idle (snd (set_ripas rd rec base top s)).
Proof.
  intros _ D _. unfold set_ripas. destruct (_ || _ || _); [exact D|].
  destruct (rec_owner rec s =? rd); [|exact D]. unfold set_locked. cbv zeta. destruct (negb (rec_of s REC_running rec =? 0)); [exact D|].
  destruct (_ || _ || _); [exact D|]. destruct (_ || _); [exact D|]. cbn [snd]. destruct D as (D1 & D2 & D3).
  assert (G : forall n w r s, held (ripas_set w r n s) = held s /\ shrinking (ripas_set w r n s) = shrinking s /\ staled (ripas_set w r n s) = staled s).
  { intros n w r. induction n as [|n IH]; intros s0; [by split_and!|]. unfold ripas_set in *. rewrite each_below_S.
    destruct (IH s0) as (I1 & I2 & I3). unfold entry_set. destruct (_ =? _); [done|]. by split_and!. }
  match goal with |- idle (rec_set _ _ _ _ (ripas_set ?w ?r ?n _)) => destruct (G n w r s) as (G1 & G2 & G3) end.
  assert (L : forall v z, held z = [] -> shrinking z = false -> staled z = [] -> idle (rec_set REC_ripas_base rec 0 v z)).
  { intros v z Z1 Z2 Z3. split; [exact Z1|]. split; [exact Z2|exact Z3]. }
  apply L; [by rewrite G1|by rewrite G2|by rewrite G3].
Qed.
