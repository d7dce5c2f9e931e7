(* SPDX-License-Identifier: Apache-2.0 *)
(* RMI_REALM_CREATE keeps the invariant. *)
From kcore Require Export refine.RealmNewRefine.
From kcore Require Export refine.RealmBeside.
From kcore Require Import refine.ObjectInv.
Local Open Scope Z_scope.

(* ---- The shape of a realm that is possible ---- *)

Lemma possible_shape p s (l := p_start_level p) (n := p_num_start p) (h := index_of (p_start_level p) (2 ^ p_s2sz p)) :
  width (hw s) <= 48 -> 0 <= l -> realm_possible p s = true ->
  32 <= p_s2sz p <= 48 /\ 0 <= l <= 2 /\ (l = 0 -> 40 <= p_s2sz p) /\ 1 <= n <= 16 /\
  (p_hash_algo p = 0 \/ p_hash_algo p = 1) /\ p_rtt_base p mod (4096 * n) = 0 /\
  h * size_of l = 2 ^ p_s2sz p /\ 2 * (h / 2) = h /\ h <= 512 * n /\ (n = 1 \/ h = 512 * n).
Proof.
  intros Hw Hl0 H. destruct (possible_facts _ _ Hw H) as (_ & Hn & _). fold n in Hn.
  unfold realm_possible in H. rewrite !andb_true_iff in H.
  destruct H as (((((_ & S1%Z.leb_le & S2%Z.leb_le) & _) & N1 & N2%Z.eqb_eq) & Ha) & B%Z.eqb_eq).
  apply negb_true_iff, Z.eqb_neq in N1. rewrite <- N2 in B. fold n in B, N2.
  unfold start_tables in N1, N2. fold l in N1, N2.
  change (index_of l (2 ^ p_s2sz p)) with h in N1, N2.
  destruct ((2 <? l) || ((l =? 0) && (negb (level0 (hw s)) || (p_s2sz p <? 40))) || (MAX_START <? h / 512)) eqn:E; [done|].
  apply orb_false_iff in E as [[E1%Z.ltb_ge E2]%orb_false_iff E3%Z.ltb_ge]. unfold MAX_START in E3.
  assert (H0 : l = 0 -> 40 <= p_s2sz p).
  { intros E. rewrite E in E2. cbn [Z.eqb andb] in E2. apply orb_false_iff in E2 as [_ E2%Z.ltb_ge]. exact E2. }
  assert (Hk : 1 <= p_s2sz p - shift_of l /\ 0 <= shift_of l).
  { unfold shift_of. destruct (Z.eqb_spec l 0); [specialize (H0 e); lia|]. destruct (Z.eqb_spec l 1), (Z.eqb_spec l 2); lia. }
  remember (p_s2sz p - shift_of l) as e eqn:He.
  assert (Hh : h = 2 ^ e) by (rewrite He; unfold h, index_of, size_of; fold l; rewrite <- Z.pow_sub_r by lia; reflexivity).
  assert (Hs : h * size_of l = 2 ^ p_s2sz p) by (rewrite Hh; unfold size_of; rewrite <- Z.pow_add_r by lia; f_equal; lia).
  assert (H2 : 2 * (h / 2) = h).
  { rewrite Hh. replace e with (Z.succ (e - 1)) by lia. rewrite Z.pow_succ_r by lia.
    generalize (2 ^ (e - 1)). intros q. rewrite (Z.mul_comm 2 q), Z.div_mul by lia. lia. }
  assert (Hj : exists j, 0 <= j /\ n = 2 ^ j /\ h <= 512 * n /\ (n = 1 \/ h = 512 * n)).
  { destruct (Z.lt_ge_cases e 9) as [H9|H9].
    - exists 0. pose proof (Z.pow_lt_mono_r 2 e 9 ltac:(lia) ltac:(lia) H9) as P. rewrite <- Hh in P. change (2 ^ 9) with 512 in P.
      pose proof (Z.pow_nonneg 2 e ltac:(lia)) as P0. rewrite <- Hh in P0. rewrite (Z.div_small h 512) in N2 by lia.
      change (Z.max 1 0) with 1 in N2. change (2 ^ 0) with 1. lia.
    - exists (e - 9). assert (E512 : h = 512 * 2 ^ (e - 9)).
      { rewrite Hh. change 512 with (2 ^ 9). rewrite <- Z.pow_add_r by lia. f_equal. lia. }
      assert (1 <= 2 ^ (e - 9)) by (pose proof (Z.pow_pos_nonneg 2 (e - 9)); lia).
      assert (Ed : h / 512 = 2 ^ (e - 9)) by (rewrite E512, (Z.mul_comm 512), Z.div_mul by lia; reflexivity). lia. }
  destruct Hj as (j & Hj & En & Hh1 & Hh2).
  split_and!; try lia.
  rewrite En in B |- *. change 4096 with (2 ^ 12) in B |- *. rewrite <- Z.pow_add_r in B |- * by lia.
  by rewrite (land_low (12 + j)) in B by lia.
Qed.

(* ---- What the RD and the tables say ---- *)

(* each_below 8 writes words 10 to 17 or 50 to 57: no field of those that the invariant speaks of. *)
Lemma each_field (f g : rd_field) (v : Z -> state -> Z) rd n s :
  (forall i, 0 <= i < Z.of_nat n -> rd_off f + i <> rd_off g) -> 0 <= rd_off f -> 0 <= rd_off g ->
  rd_of (each_below n (fun i s => rd_set f rd i (v i s) s) s) g rd = rd_of s g rd.
Proof.
  intros H Hf Hg. induction n as [|n IH]; [reflexivity|]. rewrite each_below_S, rd_of_other by (lia || (apply H; lia)).
  apply IH. intros. apply H. lia.
Qed.
Lemma measured_field g rd s : 0 <= rd_off g -> rd_off g < 10 \/ 18 <= rd_off g -> rd_of (realm_measured rd s) g rd = rd_of s g rd.
Proof.
  intros Hg Hr. unfold realm_measured, stored, each.
  rewrite (each_field RD_meas g (fun i s => digest_word i s)); [reflexivity|cbn [rd_off]; lia..].
Qed.
Lemma filled_field g rd p s (v := rd_of (realm_filled rd p s) g rd) : mem_ok (mem s) ->
  match g with
  | RD_state => v = REALM_NEW
  | RD_s2sz => v = p_s2sz p
  | RD_ipa_size => v = 2 ^ p_s2sz p
  | RD_start_level => v = p_start_level p
  | RD_num_start => v = p_num_start p
  | RD_rtt_base => v = p_rtt_base p
  | RD_vmid => v = p_vmid p
  | RD_hash_algo => v = p_hash_algo p
  | RD_rec_index => v = 0
  | RD_rec_count => v = 0
  | RD_max_vcpus => v = MAX_RECS
  | RD_has_key => v = rd_of s RD_has_key rd
  | _ => True
  end.
Proof.
  intros H. destruct g; try exact Logic.I; subst v; unfold realm_filled, each;
    rewrite measured_field by (cbn [rd_off]; lia);
    rewrite (each_field RD_rpv _ (fun i s => param (0x80 + i) s)) by (cbn [rd_off]; lia);
    repeat (rewrite rd_of_other by (cbn [rd_off]; lia)); (apply rd_of_set; repeat apply mem_ok_rd; exact H) || reflexivity.
Qed.

Lemma written_mem t f n s : mem_ok (mem s) -> mem_ok (mem (written t f n s)).
Proof.
  intros H. induction n as [|n IH]; [exact H|]. rewrite written_S. destruct (f (Z.of_nat n)); [by apply set_word_ok|exact IH].
Qed.
Lemma written_words t f n s : (forall i d, f i = Some d -> u64 d) -> words_u64 (mem s) -> words_u64 (mem (written t f n s)).
Proof.
  intros Hf H. induction n as [|n IH]; [exact H|]. rewrite written_S. destruct (f (Z.of_nat n)) as [d|] eqn:E; [|exact IH].
  apply words_set; [exact IH|by eapply Hf].
Qed.
Lemma written_page t f n s q : q <> t -> page (mem (written t f n s)) q = page (mem s) q.
Proof.
  intros N. induction n as [|n IH]; [reflexivity|]. rewrite written_S. destruct (f (Z.of_nat n)); [|exact IH].
  unfold put_word. cbn [mem with_mem]. rewrite page_set_page by congruence. exact IH.
Qed.
Lemma written_word t f n s i : mem_ok (mem s) -> 0 <= i < 512 -> (n <= 512)%nat ->
  word (mem (written t f n s)) t i =
  if i <? Z.of_nat n then match f i with Some d => d | None => word (mem s) t i end else word (mem s) t i.
Proof.
  intros Hm Hi. induction n as [|n IH]; intros Hn.
  - rewrite (proj2 (Z.ltb_ge _ _)) by lia. reflexivity.
  - specialize (IH ltac:(lia)). rewrite written_S. destruct (decide (i = Z.of_nat n)) as [->|N].
    + rewrite (proj2 (Z.ltb_ge _ _)) in IH by lia. rewrite (proj2 (Z.ltb_lt _ _)) by lia.
      destruct (f (Z.of_nat n)) as [d|]; [|exact IH]. unfold put_word. cbn [mem with_mem].
      apply word_set_same; [|lia]. apply written_mem, Hm.
    + replace (i <? Z.of_nat (S n)) with (i <? Z.of_nat n) by (destruct (Z.ltb_spec i (Z.of_nat n)), (Z.ltb_spec i (Z.of_nat (S n))); lia).
      destruct (f (Z.of_nat n)) as [d|]; [|exact IH]. unfold put_word. cbn [mem with_mem].
      rewrite word_set_slot by lia. exact IH.
Qed.

Section tables.
  Context (rd : Z) (s : state) (Hm : mem_ok (mem s)) (Hw : words_u64 (mem s)).
  Notation base := (rd_of s RD_rtt_base rd).
  Notation hi := (index_of (rd_of s RD_start_level rd) (rd_of s RD_ipa_size rd)).

  Lemma entry_u64 first lo h i d : start_entry first lo h i = Some d -> u64 d.
  Proof using. unfold start_entry. destruct (_ && _); [|done]. intros [= <-]. vm_compute. split; [discriminate|reflexivity]. Qed.
  Lemma start_filled_mem n : mem_ok (mem (start_filled rd n s)) /\ words_u64 (mem (start_filled rd n s)).
  Proof using Hm Hw.
    destruct (start_tables_filled rd s) as (after & A0 & A & ->). cbv zeta in A.
    induction n as [|n [M W]]; [by rewrite A0|]. rewrite A. split; [by apply written_mem|].
    apply written_words; [intros i d; apply entry_u64|exact W].
  Qed.
  Lemma start_filled_word n t i : (t < n)%nat -> 0 <= i < 512 ->
    word (mem (start_filled rd n s)) (base + Z.of_nat t * 4096) i =
    match start_entry (Z.of_nat t * 512) (hi / 2) hi i with Some d => d | None => word (mem s) (base + Z.of_nat t * 4096) i end.
  Proof using Hm Hw.
    intros Ht Hi. induction n as [|n IH]; [lia|]. pose proof (start_filled_mem n) as [Mn _].
    destruct (start_tables_filled rd s) as (after & A0 & A & E). cbv zeta in A. rewrite E, A, <- E.
    destruct (decide (t = n)) as [->|N].
    - rewrite written_word by (done || lia). rewrite (proj2 (Z.ltb_lt _ _)) by lia.
      destruct (start_entry _ _ _ i); [reflexivity|]. clear IH.
      assert (forall m, (m <= n)%nat -> word (mem (start_filled rd m s)) (base + Z.of_nat n * 4096) i = word (mem s) (base + Z.of_nat n * 4096) i) as H.
      { induction m as [|m IHm]; intros Hmn; [by rewrite E, A0|]. rewrite E, A, <- E. unfold word. rewrite written_page by lia.
        apply IHm. lia. }
      by apply H.
    - unfold word at 1. rewrite written_page by lia. apply IH. lia.
  Qed.
End tables.

(* ---- Ranges of what the RD is made of ---- *)

Record fine (s : state) : Prop := Fine {
  f_mem : mem_ok (mem s);
  f_words : words_u64 (mem s);
  f_params : page_words (params s);
  f_page : page_words (hash_page s);
  f_digest : length (digest s) = 8%nat /\ Forall u64 (digest s);
  f_hw : hw_ok (hw s);
}.
Lemma fine_set f rd i v s : u64 v -> fine s -> fine (rd_set f rd i v s).
Proof. intros Hv []. constructor; try done; [by apply set_word_ok|by apply words_set]. Qed.
Lemma fine_put i v s : u64 v -> fine s -> fine (hash_put i v s).
Proof. intros Hv []. constructor; try done. by apply set_nth_words. Qed.
Lemma fine_cleared s : fine s -> fine (hash_cleared s).
Proof. intros []. constructor; try done. apply zero_page_words. Qed.
Lemma fine_hashed a n s : fine s -> fine (hashed a n s).
Proof. intros []. constructor; try done. by apply (h_hash _ f_hw0). Qed.
Lemma fine_each n (f : Z -> state -> state) s : (forall i s, 0 <= i < Z.of_nat n -> fine s -> fine (f i s)) -> fine s -> fine (each_below n f s).
Proof.
  intros Hf Hs. induction n as [|n IH]; [exact Hs|]. rewrite each_below_S. apply Hf; [lia|]. apply IH. intros. apply Hf; [lia|done].
Qed.
Lemma fine_param i s : fine s -> u64 (param i s).
Proof. intros F. apply nth_word_u64, (f_params _ F). Qed.
Lemma fine_copied w m s : fine s -> fine (param_copied w m s).
Proof. intros F. apply fine_put; [|done]. by apply (land_range 64), fine_param. Qed.
Lemma fine_measured rd s : fine s -> fine (realm_measured rd s).
Proof.
  intros F. unfold realm_measured, stored, each. apply fine_each.
  - intros i x _ Fx. apply fine_set; [|done]. apply nth_word_u64, (f_digest _ Fx).
  - apply fine_hashed. repeat apply fine_copied. by apply fine_cleared.
Qed.
Lemma fine_filled rd p s : fine s -> 0 <= p_s2sz p <= 48 -> u64 (p_s2sz p) -> u64 (p_hash_algo p) -> u64 (p_vmid p) ->
  u64 (p_rtt_base p) -> u64 (p_num_start p) -> u64 (p_start_level p) -> fine (realm_filled rd p s).
Proof.
  intros F Hk U1 U2 U3 U4 U5 U6. assert (U7 : u64 (2 ^ p_s2sz p)).
  { pose proof (Z.pow_le_mono_r 2 (p_s2sz p) 48). pose proof (Z.pow_pos_nonneg 2 (p_s2sz p)). unfold u64. lia. }
  unfold realm_filled, each. apply fine_measured, fine_each; [intros i x _ Fx; apply fine_set; [by apply fine_param|done]|].
  repeat (apply fine_set; [first [assumption | unfold whole, MAX_RECS, REALM_NEW, u64; lia]|]). exact F.
Qed.

(* ---- The realm ---- *)

Lemma owned_at rd level base n s t : 0 <= t < Z.of_nat n ->
  gran (starts_owned rd level base n s) !! (base + t * 4096) = Some (Gran GS_RTT rd (g_refs (granule_at s (base + t * 4096)))) /\
  places (starts_owned rd level base n s) !! (base + t * 4096) = Some (Place rd level (t * span level) 0).
Proof.
  unfold starts_owned. induction n as [|n IH]; intros Ht; [lia|]. rewrite each_below_S.
  destruct (decide (t = Z.of_nat n)) as [->|N].
  - pose proof (owned_gran rd level base n (base + Z.of_nat n * 4096) s ltac:(lia)) as G. unfold starts_owned in G. clear IH.
    generalize dependent (each_below n (start_owned rd level base) s). intros x G. unfold start_owned, set_granule, granule_at.
    cbn [gran places with_places with_gran]. rewrite !lookup_insert, G. done.
  - unfold start_owned, set_granule. cbn [gran places with_places with_gran]. rewrite !lookup_insert_ne by lia. apply IH. lia.
Qed.
Lemma owned_places rd level base n q s : (forall t, 0 <= t < Z.of_nat n -> q <> base + t * 4096) ->
  places (starts_owned rd level base n s) !! q = places s !! q.
Proof.
  unfold starts_owned. induction n as [|n IH]; intros H; [reflexivity|]. rewrite each_below_S.
  unfold start_owned. cbn [places with_places]. rewrite lookup_insert_ne by (intros E; apply (H (Z.of_nat n)); [lia|done]).
  apply IH. intros. apply H. lia.
Qed.

Lemma cached_made r rd p x : r ∈ cached (realm_made rd p x) -> r ∈ cached x.
Proof. intros [_ H]%elem_of_filter. exact H. Qed.

Section create.
  Context (rd : Z) (p : realm_params) (s : state) (I : inv s) (Hcr : realm_creatable rd p s = true).
  Context (U1 : u64 (p_s2sz p)) (U2 : u64 (p_hash_algo p)) (U3 : u64 (p_vmid p)) (U4 : u64 (p_rtt_base p))
    (U5 : u64 (p_num_start p)) (U6 : u64 (p_start_level p)).
  Notation base := (p_rtt_base p).
  Notation level := (p_start_level p).
  Notation num := (p_num_start p).
  Notation n := (Z.to_nat (p_num_start p)).
  Notation z := (realm_new rd p s).
  Notation prep := (start_filled rd (Z.to_nat (p_num_start p)) (realm_filled rd p (vmid_taken (p_vmid p) s))).
  Notation hi := (index_of (p_start_level p) (2 ^ p_s2sz p)).

  Definition new_mine (q : Z) : bool := (q =? rd) || existsb (fun t => base + t * 4096 =? q) (below n).
  Lemma mine_spec q : new_mine q = true <-> q = rd \/ exists t, 0 <= t < num /\ q = base + t * 4096.
  Proof using.
    unfold new_mine. rewrite orb_true_iff, Z.eqb_eq, existsb_exists. split; (intros [H|H]; [by left|right]).
    - destruct H as (t & Ht%below_In & E%Z.eqb_eq). exists t. lia.
    - destruct H as (t & Ht & ->). exists t. rewrite below_In, Z.eqb_refl. lia.
  Qed.
  Lemma mine_rd : new_mine rd = true.
  Proof using. apply mine_spec. by left. Qed.
  Lemma mine_table t : 0 <= t < num -> new_mine (base + t * 4096) = true.
  Proof using. intros H. apply mine_spec. eauto. Qed.

  Lemma starts_facts : 0 < base < 2 ^ 40 /\ 1 <= num <= 16 /\ has_state GS_DELEGATED rd s = true /\
    forall t, 0 <= t < num -> has_state GS_DELEGATED (base + t * 4096) s = true /\ base + t * 4096 <> rd.
  Proof using I Hcr U4. exact (creatable_starts rd p s s I eq_refl eq_refl U4 Hcr). Qed.
  Lemma mine_free q : new_mine q = true -> has_state GS_DELEGATED q s = true.
  Proof using I Hcr U4.
    destruct starts_facts as (_ & _ & Hd & Ht). intros [->|(t & Hr & ->)]%mine_spec; [done|]. by apply Ht.
  Qed.
  Lemma not_mine_table q t : new_mine q = false -> 0 <= t < num -> q <> base + t * 4096.
  Proof using. intros H Ht ->. rewrite mine_table in H; done. Qed.
  Lemma not_mine_rd q : new_mine q = false -> q <> rd.
  Proof using. intros H ->. rewrite mine_rd in H; done. Qed.
  Lemma mine_refs q g : new_mine q = true -> gran s !! q = Some g -> g_refs g = 0.
  Proof using I Hcr U4.
    intros Hq Hg. apply mine_free in Hq. unfold has_state in Hq. rewrite Hg in Hq. apply Z.eqb_eq in Hq. by apply (i_zero _ I _ _ Hg).
  Qed.
  Lemma new_shape : 32 <= p_s2sz p <= 48 /\ 0 <= level <= 2 /\ (level = 0 -> 40 <= p_s2sz p) /\ 1 <= num <= 16 /\
    (p_hash_algo p = 0 \/ p_hash_algo p = 1) /\ base mod (4096 * num) = 0 /\
    hi * size_of level = 2 ^ p_s2sz p /\ 2 * (hi / 2) = hi /\ hi <= 512 * num /\ (num = 1 \/ hi = 512 * num).
  Proof using I Hcr U6.
    apply (possible_shape p s); [apply (h_width _ (i_hw _ I))|apply U6|].
    unfold realm_creatable in Hcr. by apply andb_true_iff in Hcr as [[[H _]%andb_true_iff _]%andb_true_iff _].
  Qed.
  Lemma vmid_new : p_vmid p ∉ vmids s.
  Proof using Hcr.
    unfold realm_creatable in Hcr. apply andb_true_iff in Hcr as [[[_ H]%andb_true_iff _]%andb_true_iff _].
    by apply andb_true_iff in H as [_ H%negb_true_iff%bool_decide_eq_false].
  Qed.

  (* ---- What is as it was, and what is new ---- *)

  Lemma new_same {A} (g : state -> A) :
    (forall m x, g (with_mem m x) = g x) -> (forall m x, g (with_hash_page m x) = g x) -> (forall m x, g (with_digest m x) = g x) ->
    (forall m x, g (with_gran m x) = g x) -> (forall m x, g (with_places m x) = g x) -> (forall m x, g (with_vmids m x) = g x) ->
    (forall m x, g (with_cached m x) = g x) -> (forall m x, g (with_staled m x) = g x) ->
    (forall m x, g (with_counters m x) = g x) -> (forall m x, g (with_logged m x) = g x) -> g z = g s.
  Proof using.
    intros E1 E2 E3 E4 E5 E6 E7 E8 E9 E10.
    unfold realm_new, realm_made, log_put, counted, with_owner, set_granule, flushed, forget. rewrite E10, E9, E5, E4, E7, E8.
    unfold realm_built. rewrite (owned_same g rd level base n) by assumption.
    rewrite (tp_rest _ _ _ _ (start_filled_put rd n _)), E1.
    destruct (scratch_filled_rd rd p (vmid_taken (p_vmid p) s)) as [-> _]. rewrite E3, E2, E1. unfold vmid_taken. by rewrite E6.
  Qed.
  Lemma new_mem : mem z = mem prep.
  Proof using. exact (owned_same mem rd level base n prep ltac:(done) ltac:(done)). Qed.
  Lemma prep_gran : gran prep = gran s.
  Proof using. exact (proj1 (prepared_kept rd p n (vmid_taken (p_vmid p) s))). Qed.
  Lemma prep_places : places prep = places s.
  Proof using.
    rewrite (tp_rest _ _ _ _ (start_filled_put rd n _)). destruct (scratch_filled_rd rd p (vmid_taken (p_vmid p) s)) as [-> _]. done.
  Qed.
  Lemma owned_granule : gran (starts_owned rd level base n prep) !! rd = gran s !! rd.
  Proof using I Hcr U4.
    destruct starts_facts as (_ & Hn & _ & Ht). rewrite owned_gran, prep_gran; [done|]. intros t H E.
    destruct (Ht t ltac:(lia)). congruence.
  Qed.
  Lemma gran_new q : gran z !! q = if q =? rd then Some (Gran GS_RD 0 0) else gran (starts_owned rd level base n prep) !! q.
  Proof using I Hcr U4.
    change (gran z) with (<[rd := Gran GS_RD 0 (g_refs (granule_at (starts_owned rd level base n prep) rd))]>
      (gran (starts_owned rd level base n prep))).
    destruct (Z.eqb_spec q rd) as [->|N]; [|by rewrite lookup_insert_ne by congruence].
    rewrite lookup_insert. unfold granule_at. rewrite owned_granule.
    pose proof (mine_free rd mine_rd) as (g & Hg & _)%has_state_inv. rewrite Hg. cbn [default from_option id].
    by rewrite (mine_refs rd g mine_rd Hg).
  Qed.
  Lemma places_new q : places z !! q = if q =? rd then None else places (starts_owned rd level base n prep) !! q.
  Proof using.
    change (places z) with (delete rd (places (starts_owned rd level base n prep))).
    destruct (Z.eqb_spec q rd) as [->|N]; [by rewrite lookup_delete|by rewrite lookup_delete_ne by congruence].
  Qed.
  Lemma new_table t : 0 <= t < num -> gran z !! (base + t * 4096) = Some (Gran GS_RTT rd 0) /\
    places z !! (base + t * 4096) = Some (Place rd level (t * span level) 0).
  Proof using I Hcr U4.
    intros Ht. destruct starts_facts as (_ & Hn & _ & Hf). destruct (Hf t Ht) as [_ N].
    rewrite gran_new, places_new, (proj2 (Z.eqb_neq _ _) N).
    destruct (owned_at rd level base n prep t ltac:(lia)) as [-> ->]. split; [|done]. do 2 f_equal.
    unfold granule_at. rewrite prep_gran. pose proof (mine_free _ (mine_table t Ht)) as (g & Hg & _)%has_state_inv.
    rewrite Hg. cbn [default from_option id]. exact (mine_refs _ g (mine_table t Ht) Hg).
  Qed.
  Lemma new_other q : new_mine q = false ->
    gran z !! q = gran s !! q /\ places z !! q = places s !! q /\ page (mem z) q = page (mem s) q.
  Proof using I Hcr U4.
    intros Hq. destruct starts_facts as (_ & Hn & _). pose proof (not_mine_rd q Hq) as Nr.
    assert (Nt : forall t, 0 <= t < Z.of_nat n -> q <> base + t * 4096) by (intros t Ht; apply not_mine_table; [done|lia]).
    rewrite gran_new, places_new, (proj2 (Z.eqb_neq _ _) Nr), owned_gran, owned_places, prep_gran, prep_places, new_mem by done.
    split_and!; [done..|]. rewrite (tp_page _ _ _ _ (start_filled_put rd n (realm_filled rd p (vmid_taken (p_vmid p) s)))).
    - destruct (scratch_filled_rd rd p (vmid_taken (p_vmid p) s)) as [_ P]. by rewrite P.
    - intros t Ht. rewrite (filled_field RD_rtt_base rd p (vmid_taken (p_vmid p) s)) by apply (i_mem _ I). by apply Nt.
  Qed.
  Lemma fine_prep : fine (realm_filled rd p (vmid_taken (p_vmid p) s)).
  Proof using I Hcr U1 U2 U3 U4 U5 U6.
    destruct new_shape as (Hk & _). destruct (i_scratch _ I) as (S1 & S2 & S3 & S4 & S5 & S6).
    apply fine_filled; try assumption; [|lia]. constructor; try done; [apply (i_mem _ I)|exact (i_words _ I)|apply (i_hw _ I)].
  Qed.
  Lemma field_new f : rd_of z f rd = rd_of (realm_filled rd p (vmid_taken (p_vmid p) s)) f rd.
  Proof using I Hcr U4.
    destruct starts_facts as (_ & Hn & _ & Hf). unfold rd_of, rd_get, word. rewrite new_mem.
    rewrite (tp_page _ _ _ _ (start_filled_put rd n (realm_filled rd p (vmid_taken (p_vmid p) s)))); [done|].
    intros t Ht. rewrite (filled_field RD_rtt_base rd p (vmid_taken (p_vmid p) s)) by apply (i_mem _ I).
    intros E. destruct (Hf t ltac:(lia)). congruence.
  Qed.
  Lemma entry_new t i : 0 <= t < num -> 0 <= i < 512 ->
    word (mem z) (base + t * 4096) i =
    if (hi / 2 <=? t * 512 + i) && (t * 512 + i <? hi) then unassigned_ns else unassigned 0.
  Proof using I Hcr U1 U2 U3 U4 U5 U6.
    intros Ht Hi. pose proof fine_prep as [Fm Fw _ _ _ _]. pose proof (i_mem _ I) as Hm.
    pose proof (start_filled_word rd _ Fm Fw n (Z.to_nat t) i ltac:(lia) Hi) as W. rewrite Z2Nat.id in W by lia.
    rewrite (filled_field RD_rtt_base rd p (vmid_taken (p_vmid p) s) Hm) in W.
    rewrite (filled_field RD_start_level rd p (vmid_taken (p_vmid p) s) Hm) in W.
    rewrite (filled_field RD_ipa_size rd p (vmid_taken (p_vmid p) s) Hm) in W.
    rewrite new_mem, W. unfold start_entry. destruct (_ && _); [done|].
    destruct starts_facts as (_ & _ & _ & Hf). destruct (Hf t Ht) as [_ N].
    destruct (scratch_filled_rd rd p (vmid_taken (p_vmid p) s)) as [_ P]. unfold word. rewrite P by done.
    pose proof (mine_free _ (mine_table t Ht)) as (g & Hg & Hs)%has_state_inv.
    change (mem (vmid_taken (p_vmid p) s)) with (mem s). destruct (i_zero _ I _ _ Hg Hs) as (-> & _). apply zero_page_word.
  Qed.
  Lemma entry_none t i : 0 <= t < num -> 0 <= i < 512 -> let d := word (mem z) (base + t * 4096) i in
    is_valid d = false /\ is_counted level d = false /\ kind level d <> K_ASSIGNED.
  Proof using I Hcr U1 U2 U3 U4 U5 U6.
    intros Ht Hi. cbv zeta. rewrite entry_new by done. unfold is_counted. destruct (_ && _).
    - destruct (unassigned_ns_facts level) as (V & _ & K). by rewrite V, K.
    - destruct (unassigned_facts level 0 ltac:(lia)) as (V & _ & K & _). by rewrite V, K.
  Qed.

  Lemma fields_new :
    rd_of z RD_state rd = REALM_NEW /\ rd_of z RD_s2sz rd = p_s2sz p /\ rd_of z RD_ipa_size rd = 2 ^ p_s2sz p /\
    rd_of z RD_start_level rd = level /\ rd_of z RD_num_start rd = num /\ rd_of z RD_rtt_base rd = base /\
    rd_of z RD_vmid rd = p_vmid p /\ rd_of z RD_hash_algo rd = p_hash_algo p /\ rd_of z RD_rec_index rd = 0 /\
    rd_of z RD_rec_count rd = 0 /\ rd_of z RD_max_vcpus rd = MAX_RECS /\ rd_of z RD_has_key rd = 0.
  Proof using I Hcr U4.
    pose proof (i_mem _ I : mem_ok (mem (vmid_taken (p_vmid p) s))) as Hm. rewrite !field_new.
    pose proof (fun f => filled_field f rd p (vmid_taken (p_vmid p) s) Hm) as F.
    split; [exact (F RD_state)|]. split; [exact (F RD_s2sz)|]. split; [exact (F RD_ipa_size)|]. split; [exact (F RD_start_level)|].
    split; [exact (F RD_num_start)|]. split; [exact (F RD_rtt_base)|]. split; [exact (F RD_vmid)|]. split; [exact (F RD_hash_algo)|].
    split; [exact (F RD_rec_index)|]. split; [exact (F RD_rec_count)|]. split; [exact (F RD_max_vcpus)|].
    etransitivity; [exact (F RD_has_key)|]. pose proof (mine_free rd mine_rd) as (g & Hg & Hs)%has_state_inv.
    unfold rd_of, rd_get, word. change (mem (vmid_taken (p_vmid p) s)) with (mem s).
    destruct (i_zero _ I _ _ Hg Hs) as (-> & _). apply zero_page_word.
  Qed.
  Lemma mem_new : mem_ok (mem z) /\ words_u64 (mem z).
  Proof using I Hcr U1 U2 U3 U4 U5 U6.
    rewrite new_mem. pose proof fine_prep as [Fm Fw _ _ _ _]. exact (start_filled_mem rd _ Fm Fw n).
  Qed.
  Lemma rd_new : has_state GS_RD rd z = true.
  Proof using I Hcr U4. unfold has_state. by rewrite gran_new, Z.eqb_refl. Qed.
  Lemma used_not_mine st q : has_state st q s = true -> st <> GS_DELEGATED -> new_mine q = false.
  Proof using I Hcr U4.
    intros H N. destruct (new_mine q) eqn:E; [|done]. apply mine_free in E. apply has_state_inv in H as (g & Hg & Hs).
    apply has_state_inv in E as (g' & Hg' & Hs'). congruence.
  Qed.
  Lemma placed_not_mine q pl : places s !! q = Some pl -> new_mine q = false /\ new_mine (p_rd pl) = false.
  Proof using I Hcr U4.
    intros Hq. destruct (place_granule _ _ _ I Hq) as (_ & _ & Ht). split; [by apply (used_not_mine GS_RTT)|].
    apply (used_not_mine GS_RD); [|done]. apply (t_rd _ _ _ (i_table _ I _ _ Hq)).
  Qed.
  Lemma mine_place q pl : new_mine q = true -> places z !! q = Some pl ->
    exists t, 0 <= t < num /\ q = base + t * 4096 /\ pl = Place rd level (t * span level) 0.
  Proof using I Hcr U4.
    intros [->|(t & Ht & ->)]%mine_spec Hp.
    - rewrite places_new, Z.eqb_refl in Hp. discriminate.
    - destruct (new_table t Ht) as [_ E]. rewrite E in Hp. injection Hp as <-. eauto.
  Qed.

  Lemma new_beside : beside new_mine s z.
  Proof using I Hcr U4.
    constructor.
    - by apply (new_same hw).
    - by apply (new_same holes).
    - intros q Hq. destruct (new_other q Hq) as (-> & _). unfold granule_same. destruct (gran s !! q); [|done]. split_and!; auto.
    - intros q Hq. split.
      + apply mine_free in Hq as (g & Hg & Hs)%has_state_inv. exists g. auto.
      + apply mine_spec in Hq as [->|(t & Ht & ->)].
        * rewrite gran_new, Z.eqb_refl. exists (Gran GS_RD 0 0). auto.
        * destruct (new_table t Ht) as [-> _]. exists (Gran GS_RTT rd 0). auto.
    - intros q Hq. apply (new_other q Hq).
    - intros q Hq. apply (new_other q Hq).
    - intros q pl Hq. destruct (placed_not_mine q pl Hq) as [-> ->]. done.
    - intros q pl Hq. destruct (new_mine q) eqn:E.
      + destruct (mine_place q pl E Hq) as (t & _ & _ & ->). apply mine_rd.
      + destruct (new_other q E) as (_ & Ep & _). rewrite Ep in Hq. apply (placed_not_mine q pl Hq).
  Qed.

  Lemma no_recs : recs_of z rd = 0.
  Proof using I Hcr U4.
    rewrite (b_recs _ _ _ new_beside). apply sum_zero. intros q. unfold term. destruct (gran s !! q) as [g|] eqn:Hg; [|done].
    destruct (Z.eqb_spec (g_state g) GS_REC) as [E|]; [|done]. destruct (Z.eqb_spec (g_owner g) rd) as [Eo|]; [|done]. exfalso.
    pose proof (i_owner _ I _ _ Hg) as O. rewrite E, Eo in O. destruct O as [_ O].
    pose proof (used_not_mine GS_RD rd O ltac:(done)) as M. rewrite mine_rd in M. done.
  Qed.
  Lemma vmids_new : vmids z = {[p_vmid p]} ∪ vmids s.
  Proof using.
    etransitivity; [exact (owned_same vmids rd level base n prep ltac:(done) ltac:(done))|].
    rewrite (tp_rest _ _ _ _ (start_filled_put rd n _)). by destruct (scratch_filled_rd rd p (vmid_taken (p_vmid p) s)) as [-> _].
  Qed.
  Lemma new_realm_ok : realm_ok z rd.
  Proof using I Hcr U1 U2 U3 U4 U5 U6.
    destruct fields_new as (F1 & F2 & F3 & F4 & F5 & F6 & F7 & F8 & F9 & F10 & F11 & F12).
    destruct new_shape as (Hk & Hl & H0 & Hn & Ha & Hb & Hh & Hh2 & Hh3 & Hh4). destruct starts_facts as (Hbase & _).
    constructor; rewrite ?F1, ?F2, ?F3, ?F4, ?F5, ?F6, ?F7, ?F8, ?F9, ?F10, ?F11, ?F12, ?no_recs; unfold REALM_NEW, MAX_RECS; try done; try lia.
    - intros t Ht. apply (new_table t Ht).
    - rewrite vmids_new. apply elem_of_union_l, elem_of_singleton_2. reflexivity.
  Qed.

  Lemma new_leaves t pa : 0 <= t < num -> leaves_for pa level (page (mem z) (base + t * 4096)) = 0.
  Proof using I Hcr U1 U2 U3 U4 U5 U6.
    intros Ht. unfold leaves_for. apply count_none. intros d Hd. destruct mem_new as [Hm _].
    apply elem_of_list_lookup in Hd as [i Hi]. apply page_lookup in Hi as [Hi ->]; [|done].
    destruct (entry_none t (Z.of_nat i) Ht ltac:(lia)) as (V & _). unfold leaf_covers. by rewrite V.
  Qed.
  Lemma new_uses pa : uses z pa = uses s pa.
  Proof using I Hcr U1 U2 U3 U4 U5 U6.
    unfold uses. apply sum_agree. intros q. unfold term. destruct (new_mine q) eqn:E.
    - assert (places s !! q = None) as ->.
      { destruct (places s !! q) as [pl|] eqn:Hq; [|done]. destruct (placed_not_mine q pl Hq). congruence. }
      destruct (places z !! q) as [pl|] eqn:Hq; [|done]. destruct (mine_place q pl E Hq) as (t & Ht & -> & ->). by apply new_leaves.
    - destruct (new_other q E) as (_ & -> & ->). done.
  Qed.

  Lemma new_table_stands t : 0 <= t < num -> table_stands z (base + t * 4096) (Place rd level (t * span level) 0).
  Proof using I Hcr U1 U2 U3 U4 U5 U6.
    intros Ht. destruct fields_new as (F1 & F2 & F3 & F4 & F5 & F6 & _).
    destruct new_shape as (Hk & Hl & H0 & Hn & Ha & Hb & Hh & Hh2 & Hh3 & Hh4).
    remember hi as h eqn:Eh. destruct (size_pos level) as [Sp _]. assert (P : 0 < 2 ^ p_s2sz p) by (apply Z.pow_pos_nonneg; lia).
    assert (Hi : 0 < h) by (apply (Z.mul_pos_cancel_r h (size_of level)); lia).
    constructor; cbn [p_rd p_level p_base p_parent]; rewrite ?F3, ?F4, ?F5, ?F6.
    - destruct (new_table t Ht) as [G _]. exists (Gran GS_RTT rd 0). split; [exact G|]. split; [done|]. split; [done|].
      cbn [g_refs]. symmetry. unfold live_entries. apply count_none. intros d Hd. destruct mem_new as [Hm _].
      apply elem_of_list_lookup in Hd as [i Hi']. apply page_lookup in Hi' as [Hi' ->]; [|done].
      apply (entry_none t (Z.of_nat i) Ht). lia.
    - apply rd_new.
    - lia.
    - unfold span. split; [|rewrite Z.mod_mul by lia; reflexivity]. split; [apply Z.mul_nonneg_nonneg; lia|].
      rewrite <- Hh, Z.mul_assoc. apply Z.mul_lt_mono_pos_r; lia.
    - intros _. cbv zeta. replace ((base + t * 4096 - base) / 4096) with t; [done|].
      replace (base + t * 4096 - base) with (t * 4096) by lia. by rewrite Z.div_mul by lia.
    - done.
    - intros i Hi'. rewrite entry_new, <- Eh by done. unfold span.
      replace (t * (512 * size_of level) + i * size_of level) with ((t * 512 + i) * size_of level) by ring.
      set (k := t * 512 + i). assert (Hhalf : half_of z rd = h / 2 * size_of level).
      { unfold half_of. rewrite F3. replace (2 ^ p_s2sz p) with (h / 2 * size_of level * 2); [apply Z.div_mul; lia|].
        rewrite <- Hh. rewrite <- Hh2 at 2. ring. }
      destruct (Z.leb_spec (h / 2) k) as [Hlo|Hlo]; cbn [andb].
      + destruct (Z.ltb_spec k h) as [Hup|Hup].
        * apply E_unassigned_ns. cbn [p_rd]. rewrite F3, Hhalf, <- Hh. split; [apply Z.mul_le_mono_nonneg_r; lia|].
          apply Z.mul_lt_mono_pos_r; lia.
        * apply E_beyond. cbn [p_rd]. rewrite F3, <- Hh. apply Z.mul_le_mono_nonneg_r; lia.
      + apply E_unassigned; [lia|]. cbn [p_rd]. rewrite Hhalf. apply Z.mul_lt_mono_pos_r; lia.
  Qed.

  Lemma new_scratch {A} (g : state -> A) :
    (forall m x, g (with_mem m x) = g x) ->
    (forall m x, g (with_gran m x) = g x) -> (forall m x, g (with_places m x) = g x) ->
    (forall m x, g (with_cached m x) = g x) -> (forall m x, g (with_staled m x) = g x) ->
    (forall m x, g (with_counters m x) = g x) -> (forall m x, g (with_logged m x) = g x) ->
    g z = g (realm_filled rd p (vmid_taken (p_vmid p) s)).
  Proof using.
    intros E1 E4 E5 E7 E8 E9 E10.
    unfold realm_new, realm_made, log_put, counted, with_owner, set_granule, flushed, forget. rewrite E10, E9, E5, E4, E7, E8.
    unfold realm_built. rewrite (owned_same g rd level base n) by assumption.
    by rewrite (tp_rest _ _ _ _ (start_filled_put rd n _)), E1.
  Qed.
  Lemma prep_same {A} (g : state -> A) :
    (forall m x, g (with_mem m x) = g x) -> (forall m x, g (with_hash_page m x) = g x) -> (forall m x, g (with_digest m x) = g x) ->
    (forall m x, g (with_gran m x) = g x) -> (forall m x, g (with_places m x) = g x) -> (forall m x, g (with_vmids m x) = g x) ->
    g (realm_built rd p (vmid_taken (p_vmid p) s)) = g s.
  Proof using.
    intros E1 E2 E3 E4 E5 E6. unfold realm_built. rewrite (owned_same g rd level base n) by assumption.
    rewrite (tp_rest _ _ _ _ (start_filled_put rd n _)), E1.
    destruct (scratch_filled_rd rd p (vmid_taken (p_vmid p) s)) as [-> _]. rewrite E3, E2, E1. unfold vmid_taken. by rewrite E6.
  Qed.
  Lemma cached_new r : r ∈ cached z -> r ∈ cached s.
  Proof using. unfold realm_new. intros H%cached_made. by rewrite (prep_same cached) in H. Qed.

  Lemma new_own_part : own_part new_mine s z.
  Proof using I Hcr U1 U2 U3 U4 U5 U6.
    destruct mem_new as [Hm Hw]. destruct (i_scratch _ I) as (S1 & S2 & S3 & S4 & S5 & S6). pose proof new_beside as B.
    constructor.
    - exact Hm.
    - exact Hw.
    - intros q g Hg. destruct (new_mine q) eqn:E.
      + apply mine_spec in E as [->|(t & Ht & ->)].
        * rewrite gran_new, Z.eqb_refl in Hg. injection Hg as <-. unfold REFS_MAX. cbn. lia.
        * destruct (new_table t Ht) as [E _]. rewrite E in Hg. injection Hg as <-. unfold REFS_MAX. cbn. lia.
      + destruct (new_other q E) as (Eg & _). rewrite Eg in Hg. apply (i_gran _ I _ _ Hg).
    - rewrite (new_same params), (new_same run), (new_same live) by done.
      pose proof fine_prep as F.
      assert (Eh : hash_page z = hash_page (realm_filled rd p (vmid_taken (p_vmid p) s))) by (by apply new_scratch).
      assert (Ed : digest z = digest (realm_filled rd p (vmid_taken (p_vmid p) s))) by (by apply new_scratch).
      rewrite Eh, Ed. destruct (f_digest _ F). split_and!; try apply S1; try apply S2; try apply (f_page _ F); assumption.
    - intros q g E Hg Hs. apply mine_spec in E as [->|(t & Ht & ->)].
      + rewrite gran_new, Z.eqb_refl in Hg. injection Hg as <-. discriminate.
      + destruct (new_table t Ht) as [E _]. rewrite E in Hg. injection Hg as <-. discriminate.
    - intros q g Hg _ No. apply (used_not_mine GS_RD); [|done]. pose proof (i_owner _ I _ _ Hg) as O.
      destruct (_ || _ || _); [apply O|done].
    - intros q g E Hg. apply mine_spec in E as [->|(t & Ht & ->)].
      + rewrite gran_new, Z.eqb_refl in Hg. injection Hg as <-. done.
      + destruct (new_table t Ht) as [E _]. rewrite E in Hg. injection Hg as <-. cbn [g_state g_owner].
        pose proof (mine_free rd mine_rd) as (g & Hg & _)%has_state_inv. destruct (i_gran _ I _ _ Hg) as (Pr & _).
        change (GS_RTT =? GS_RTT) with true. split; [lia|apply rd_new].
    - intros rd' _ H. rewrite vmids_new. apply elem_of_union_r.
      apply (r_vmid _ _ (i_realm _ I _ H)).
    - intros rd' E H. apply mine_spec in E as [->|(t & Ht & ->)]; [apply new_realm_ok|].
      unfold has_state in H. destruct (new_table t Ht) as [E _]. rewrite E in H. discriminate.
    - intros rd1 rd2 E H1 H2 Ev. apply mine_spec in E as [->|(t & Ht & ->)].
      2:{ unfold has_state in H1. destruct (new_table t Ht) as [E _]. rewrite E in H1. discriminate. }
      destruct (new_mine rd2) eqn:E2.
      + apply mine_spec in E2 as [->|(t & Ht & ->)]; [done|]. unfold has_state in H2. destruct (new_table t Ht) as [E _]. rewrite E in H2. discriminate.
      + exfalso. rewrite (b_state _ _ _ B) in H2 by done. rewrite (b_rd _ _ _ B RD_vmid rd2) in Ev by done.
        destruct fields_new as (_ & _ & _ & _ & _ & _ & F7 & _). rewrite F7 in Ev. apply vmid_new. rewrite Ev.
        apply (r_vmid _ _ (i_realm _ I _ H2)).
    - intros q pl E Hq. destruct (mine_place q pl E Hq) as (t & Ht & -> & ->). by apply new_table_stands.
    - intros q E H. apply mine_spec in E as [->|(t & Ht & ->)].
      + unfold has_state in H. rewrite gran_new, Z.eqb_refl in H. discriminate.
      + destruct (new_table t Ht) as [_ ->]. eauto.
    - intros rd' q i ipa pa E [(pl & Hq & _ & Hi & Hk & _)]. destruct (mine_place q pl E Hq) as (t & Ht & -> & ->).
      destruct (entry_none t i Ht Hi) as (_ & _ & N). by apply N.
    - intros pa H. rewrite new_uses. rewrite (b_ns _ _ _ B) in H. unfold granule_at.
      assert (E : new_mine pa = false) by (by apply (used_not_mine GS_NS)).
      destruct (new_other pa E) as (-> & _). by apply (i_pins _ I).
    - intros rd' H. apply cached_new in H. pose proof (i_cached _ I _ H) as Hs.
      by rewrite (b_state _ _ _ B) by (by apply (used_not_mine GS_RD)).
    - rewrite (new_same runs), (new_same loaded), (new_same live) by done. done.
  Qed.
  Theorem realm_new_inv : inv z.
  Proof using I Hcr U1 U2 U3 U4 U5 U6. exact (inv_beside _ _ _ new_beside I new_own_part). Qed.
End create.

(* ---- The command ---- *)

Theorem create_given_inv rd s : inv s -> inv (snd (create_given rd s)).
Proof.
  intros I. unfold create_given. pose proof (proj2 (proj1 (i_scratch _ I))) as Hp.
  assert (U : forall i, u64 (param i s)) by (intros i; by apply nth_word_u64).
  destruct (realm_creatable rd (params_given s) s) eqn:C; [|exact I]. cbn [snd].
  apply realm_new_inv; [done|done|..]; unfold params_given; cbn [p_s2sz p_hash_algo p_vmid p_num_start p_rtt_base p_start_level];
    first [apply U | apply (land_range 64), U].
Qed.
Theorem realm_create_inv rd ns s : inv s -> inv (snd (create_realm rd ns s)).
Proof.
  intros I. unfold create_realm. destruct (pinnable ns s); [|exact I]. apply create_given_inv, inv_params; [done|].
  by apply page_is_words.
Qed.
Theorem realm_create_idle rd ns s : idle s -> idle (snd (create_realm rd ns s)).
Proof.
  intros (H1 & H2 & H3). unfold create_realm, create_given. destruct (pinnable ns s); [|done].
  destruct (realm_creatable _ _ _); [|done]. cbn [snd]. destruct (new_rest rd (params_given (params_loaded ns s)) (params_loaded ns s)) as (N1 & N2 & N3).
  cbv zeta in *. split_and!; [by rewrite N1|by rewrite N2|by apply N3].
Qed.
