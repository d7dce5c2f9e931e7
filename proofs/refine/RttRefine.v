(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: what reads a realm's tables. *)
From kcore Require Export refine.RttWalk refine.RecLockRefine.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- Where the host goes on ---- *)

Lemma dead_run_app level l d :
  dead_run level (l ++ [d]) =
  if existsb (fun d => is_live (kind level d)) l then dead_run level l
  else dead_run level l + (if is_live (kind level d) then 0 else 1).
Proof.
  induction l as [|x l IH]; cbn [dead_run existsb app]; [destruct (is_live _); reflexivity|].
  destruct (is_live (kind level x)); cbn [orb]; [reflexivity|]. rewrite IH. destruct (existsb _ _); lia.
Qed.
Lemma dead_run_range level l : 0 <= dead_run level l <= Z.of_nat (length l).
Proof. induction l as [|x l IH]; cbn [dead_run length]; [lia|]. destruct (is_live _); lia. Qed.
Lemma floor_range level ipa : 0 <= ipa -> 0 <= floor_of level ipa <= ipa.
Proof. intros. unfold floor_of. destruct (size_pos level). pose proof (Z.mod_pos_bound ipa (size_of level)). pose proof (Z.mod_le ipa (size_of level)). lia. Qed.
Lemma size_bound level : size_of level <= 2 ^ 39.
Proof. destruct (size_cases level) as [->|[->|[->| ->]]]; lia. Qed.

Theorem rtt_walk_top_ok level table slot desc k ipa s :
  mem_ok (mem s) -> (forall i, 0 <= i < 512 -> may_read table i s = true) -> 0 <= slot < 512 -> 0 <= ipa < 2 ^ 48 ->
  core "rtt_walk_top" [level; table; slot; desc; k; ipa] s =
  Some ([walk_top (mem s) (Walked level table slot desc) ipa], s).
Proof.
  intros Hm Hread Hslot Hipa. enter f_rtt_walk_top. apply bind_read; [by apply Hread|]. tidy.
  use s2_kind_ok. use s2_is_live_ok. use s2_size_ok.
  eapply bind_call; [apply s2_floor_ok; unfold u64; lia|]. tidy.
  unfold walk_top. cbn [w_level w_table w_slot].
  destruct (is_live (kind level (word (mem s) table slot))) eqn:Hl; [reflexivity|].
  pose proof (floor_range level ipa). destruct (size_pos level) as [Hsz _]. pose proof (size_bound level) as Hsb.
  set (tail j := take (j - Z.to_nat slot) (drop (Z.to_nat slot) (page (mem s) table))).
  eapply (loop_rule (fun j fr s' => s' = s /\ exists d k', fr = [level; table; slot; desc; k; ipa; level; d; k';
    b2z (existsb (fun d => is_live (kind level d)) (tail j)); size_of level;
    floor_of level ipa + size_of level * dead_run level (tail j); 0])).
  - split; [done|]. exists (word (mem s) table slot), (kind level (word (mem s) table slot)).
    unfold tail. replace (0 - Z.to_nat slot)%nat with 0%nat by lia. cbn [take existsb dead_run b2z].
    rewrite Z.mul_0_r, Z.add_0_r. reflexivity.
  - intros j fr s' kk Hj (-> & d & k' & ->).
    change (0 + Z.of_nat j) with (Z.of_nat j). tidy.
    destruct (Z.leb_spec slot (Z.of_nat j)) as [Hsj|Hsj].
    2:{ cbn [andb]. exists [level; table; slot; desc; k; ipa; level; d; k';
          b2z (existsb (fun d => is_live (kind level d)) (tail j)); size_of level;
          floor_of level ipa + size_of level * dead_run level (tail j); Z.of_nat j], s. split; [reflexivity|].
        split; [done|]. exists d, k'. unfold tail. replace (S j - Z.to_nat slot)%nat with 0%nat by lia.
        replace (j - Z.to_nat slot)%nat with 0%nat by lia. reflexivity. }
    assert (Hnext : tail (S j) = (tail j ++ [word (mem s) table (Z.of_nat j)])%list).
    { unfold tail. replace (S j - Z.to_nat slot)%nat with (S (j - Z.to_nat slot)) by lia.
      apply take_S_r. rewrite lookup_drop. replace (Z.to_nat slot + (j - Z.to_nat slot))%nat with (Z.to_nat (Z.of_nat j)) by lia.
      apply page_word; [done|lia]. }
    cbn [andb]. destruct (existsb (fun d => is_live (kind level d)) (tail j)) eqn:He; cbn [negb].
    + exists [level; table; slot; desc; k; ipa; level; d; k'; 1; size_of level;
        floor_of level ipa + size_of level * dead_run level (tail j); Z.of_nat j], s. split; [reflexivity|].
      split; [done|]. exists d, k'. rewrite Hnext, existsb_app, dead_run_app, He. reflexivity.
    + set (d' := word (mem s) table (Z.of_nat j)) in *.
      assert (Hrun : 0 <= dead_run level (tail j) <= 512).
      { pose proof (dead_run_range level (tail j)). assert (length (tail j) <= 512)%nat; [|lia].
        unfold tail. rewrite length_take, length_drop. pose proof (page_ok (mem s) table Hm) as Hp. unfold is_page in Hp. lia. }
      exists [level; table; slot; desc; k; ipa; level; d'; kind level d'; b2z (is_live (kind level d')); size_of level;
        floor_of level ipa + size_of level * dead_run level (tail (S j)); Z.of_nat j], s. split.
      * apply bind_read; [apply Hread; lia|]. tidy. fold d'. use s2_kind_ok. use s2_is_live_ok.
        rewrite Hnext, dead_run_app, He. destruct (is_live (kind level d')) eqn:Hd; cbn [negb].
        -- rewrite Z.add_0_r. reflexivity.
        -- replace (floor_of level ipa + size_of level * dead_run level (tail j) + size_of level)
             with (floor_of level ipa + size_of level * (dead_run level (tail j) + 1)) by lia.
           rewrite wrap_small by nia. reflexivity.
      * split; [done|]. exists d', (kind level d'). rewrite Hnext, existsb_app, He. cbn [existsb orb]. rewrite orb_false_r. reflexivity.
  - intros fr s' (-> & d & k' & ->). tidy. unfold tail. rewrite take_ge; [reflexivity|].
    rewrite length_drop. pose proof (page_ok (mem s) table Hm) as Hp. unfold is_page in Hp. lia.
Qed.

(* ---- The page of a protected address ---- *)

Lemma floor_order level ipa : 0 <= ipa -> 0 <= floor_of 3 ipa - floor_of level ipa < size_of level /\
  (floor_of 3 ipa - floor_of level ipa) mod 4096 = 0.
Proof.
  intros H. unfold floor_of. change (size_of 3) with 4096. destruct (size_pos level) as [P D].
  apply Z.mod_divide in D as [k D]; [|lia].
  assert (E : (ipa mod size_of level) mod 4096 = ipa mod 4096).
  { rewrite D, Z.mul_comm, Z.rem_mul_r by lia. rewrite Z.mul_comm, Z.mod_add by lia. apply Z.mod_mod. lia. }
  pose proof (Z.mod_pos_bound ipa (size_of level)). pose proof (Z.mod_pos_bound (ipa mod size_of level) 4096).
  pose proof (Z.mod_le (ipa mod size_of level) 4096).
  replace (ipa - ipa mod 4096 - (ipa - ipa mod size_of level)) with (ipa mod size_of level - ipa mod 4096) by ring.
  rewrite <- E. split; [lia|]. rewrite Zminus_mod, Z.mod_mod, Z.sub_diag by lia. reflexivity.
Qed.

Lemma out_addr_range d : 0 <= d -> 0 <= out_addr d < 2 ^ 48.
Proof. intros. unfold out_addr. rewrite Z.land_comm. apply land_range. unfold PA_MASK. lia. Qed.

Lemma rtt_translate_eq rd ipa s :
  open_realm rd s -> 0 <= ipa < rd_of s RD_ipa_size rd ->
  core "rtt_translate" [rd; ipa] s = let '(r, pa, level) := translate rd ipa s in Some ([r; pa; level], s).
Proof.
  intros O Hi. pose proof (ipa_u64 _ _ _ O Hi) as Hu. pose proof O as [I Hr _].
  destruct (walk_at s rd ipa 3 I Hr Hi) as [Ha _].
  assert (Hd : u64 (w_desc (walk rd ipa 3 s))).
  { destruct Ha as (p & _ & _ & _ & _ & _ & ->). apply (i_words _ I). }
  enter f_rtt_translate. eapply bind_call; [apply rtt_walk_ok; [done|done|lia]|]. tidy.
  set (w := walk rd ipa 3 s) in *.
  use s2_ripas_ok. eapply bind_call; [apply s2_floor_ok; unfold u64; lia|]. tidy.
  eapply bind_call; [apply s2_floor_ok; unfold u64; lia|]. tidy. use s2_pa_ok.
  unfold translate. fold w. change RIPAS_EMPTY with 0. change RIPAS_RAM with 1. change K_ASSIGNED with 1.
  destruct (ripas (w_desc w) =? 0); [reflexivity|].
  destruct (w_kind w =? 1), (ripas (w_desc w) =? 1); cbn [negb orb andb]; try reflexivity.
  destruct (floor_order (w_level w) ipa) as [Hf _]; [lia|]. pose proof (size_bound (w_level w)).
  destruct Hd as [Hd _]. pose proof (out_addr_range _ Hd).
  rewrite (wrap_small (_ - _)) by lia. rewrite wrap_small by lia. reflexivity.
Qed.

Theorem rtt_translate_ok rd ipa s :
  open_realm rd s -> 0 <= ipa < rd_of s RD_ipa_size rd ->
  core "rtt_translate" [rd; ipa] s = Some (page_found (translate rd ipa s), s).
Proof. intros O Hi. rewrite rtt_translate_eq by done. by destruct (translate rd ipa s) as [[r pa] level]. Qed.

(* What it finds is a page of this realm. *)
Theorem translate_own rd ipa s pa level : open_realm rd s -> 0 <= ipa < rd_of s RD_ipa_size rd ->
  translate rd ipa s = (IPA_OK, pa, level) -> own_data s rd pa = true /\ pa mod 4096 = 0.
Proof.
  intros O Hi. pose proof O as [I Hr _]. destruct (walk_at s rd ipa 3 I Hr Hi) as [Ha _]. unfold translate.
  set (w := walk rd ipa 3 s) in *. destruct (ripas (w_desc w) =? RIPAS_EMPTY); [done|].
  destruct (Z.eqb_spec (w_kind w) K_ASSIGNED) as [Hk|]; [|done]. cbn [andb].
  destruct (ripas (w_desc w) =? RIPAS_RAM); [|done]. intros [= <- <-].
  destruct (at_entry_ok _ _ _ _ I Ha) as (p & Hp & Er & El & _ & He). unfold w_kind in Hk.
  destruct (floor_order (w_level w) ipa) as [Hf Hm]; [lia|].
  apply Z.mod_divide in Hm as [n Hn]; [|lia]. rewrite <- El in *.
  destruct (size_pos (p_level p)) as [P D]. apply Z.mod_divide in D as [j Hj]; [|lia].
  destruct He as [r H|q r H1 _ _ Hq Hqa Hown| |host _ _ _ Hh _|c _ Hl Hc|].
  - destruct (unassigned_facts (p_level p) r H) as (_ & _ & K & _). rewrite K in Hk. discriminate.
  - pose proof (aligned_size _ _ Hqa) as Hq4.
    destruct (assigned_ok (p_level p) q r H1 Hq Hq4) as (E & _). rewrite E, Hn. subst rd.
    split; [apply Hown; rewrite Hj, Z.div_mul by lia; nia|]. by rewrite Z.mod_add.
  - destruct (unassigned_ns_facts (p_level p)) as (_ & _ & K). rewrite K in Hk. discriminate.
  - destruct (assigned_ns_facts (p_level p) host Hh) as (_ & _ & _ & K & _). rewrite K in Hk. discriminate.
  - destruct (place_granule _ _ _ I Hc) as (Pc & Ac & _). destruct (table_desc_ok c Pc Ac) as (_ & T & _).
    unfold kind in Hk. rewrite T in Hk by done. discriminate.
  - unfold kind, is_table in Hk. rewrite andb_false_r in Hk. discriminate.
Qed.

(* ---- What the commands ask ---- *)

Theorem ns_pages_ok level s : core "ns_pages" [level] s = Some ([pages_at level], s).
Proof. enter f_ns_pages. unfold pages_at. destruct (level =? 3); reflexivity. Qed.

Theorem rtt_add_shared_ok rd n s :
  in_hand rd s = true -> core "rtt_add_shared" [rd; n] s = Some ([], shared_added rd n s).
Proof. intros H. enter f_rtt_add_shared. step. step. reflexivity. Qed.

Theorem rtt_table_ok_ok rd ipa level s :
  in_hand rd s = true -> u64 level -> rd_of s RD_start_level rd >= 0 ->
  core "rtt_table_ok" [rd; ipa; level] s = Some ([b2z (table_possible rd ipa level s)], s).
Proof.
  intros H Hl H0. enter f_rtt_table_ok. step. use ipa_in_bounds_ok. unfold table_possible.
  change (rd_get RD_start_level rd 0 s) with (rd_of s RD_start_level rd).
  destruct (Z.leb_spec level (rd_of s RD_start_level rd)); cbn [orb negb andb]; [reflexivity|].
  destruct (3 <? level); cbn [orb negb andb]; [reflexivity|].
  destruct (in_bounds rd ipa s); cbn [orb negb andb]; [|reflexivity].
  unfold u64 in Hl. rewrite wrap_small by lia. use s2_aligned_ok. reflexivity.
Qed.

Theorem rtt_unprotected_ok_ok rd ipa level s :
  in_hand rd s = true ->
  core "rtt_unprotected_ok" [rd; ipa; level] s = Some ([b2z (unprotected_ok rd ipa level s)], s).
Proof.
  intros H. enter f_rtt_unprotected_ok. use ipa_in_bounds_ok. use ipa_in_par_ok. use s2_aligned_ok. step. reflexivity.
Qed.

Lemma below_0 : below 0 = []. Proof. reflexivity. Qed.

Theorem rtt_uniform_ok table level parent s :
  (forall i, 0 <= i < 512 -> may_read table i s = true) -> 1 <= level < 2 ^ 64 ->
  core "rtt_uniform" [table; level; parent] s = Some ([b2z (uniform (mem s) table level parent)], s).
Proof.
  intros Hread Hl. enter f_rtt_uniform.
  eapply (loop_rule (fun j fr s' => s' = s /\
    fr = [table; level; parent; b2z (forallb (fun i => child level parent i =? word (mem s) table i) (below j)); 0; 0; 0])).
  - split; [done|]. reflexivity.
  - intros j fr s' k Hj [-> ->]. change (0 + Z.of_nat j) with (Z.of_nat j).
    exists [table; level; parent; b2z (forallb (fun i => child level parent i =? word (mem s) table i) (below (S j)));
      Z.of_nat j; child level parent (Z.of_nat j); word (mem s) table (Z.of_nat j)], s. split; [|done].
    tidy. eapply bind_call; [apply s2_child_ok; lia|]. tidy. apply bind_read; [apply Hread; lia|]. tidy.
    rewrite below_S, forallb_app. cbn [forallb]. rewrite andb_true_r. reflexivity.
  - intros fr s' [-> ->]. tidy. reflexivity.
Qed.

Theorem rtt_fold_check_ok table level parent s :
  under_lock table s = true -> (forall i, 0 <= i < 512 -> may_read table i s = true) -> 1 <= level <= 3 ->
  core "rtt_fold_check" [table; level; parent] s = Some ([fold_check table level parent s], s).
Proof.
  intros H Hread Hl. enter f_rtt_fold_check. step. rewrite wrap_small by lia.
  use s2_kind_ok. use s2_pa_ok. use s2_aligned_ok.
  eapply bind_call; [apply error_rtt_ok; lia|]. tidy. eapply bind_call; [apply error_rtt_ok; lia|]. tidy.
  unfold fold_check. change K_ASSIGNED with 1. change K_ASSIGNED_NS with 3.
  change (g_refs (granule_at s table)) with (refs_of table s).
  destruct (negb (refs_of table s =? 0) && negb (refs_of table s =? 512)); [reflexivity|].
  destruct ((refs_of table s =? 512) && (level <? 2)); [reflexivity|].
  destruct ((kind (level - 1) parent =? 3) && negb (level =? 3)); [reflexivity|].
  destruct ((refs_of table s =? 512) && negb (kind (level - 1) parent =? 1)); [reflexivity|].
  eapply bind_call; [apply rtt_uniform_ok; [done|lia]|]. tidy.
  destruct (uniform (mem s) table level parent); cbn [negb]; [|reflexivity].
  destruct (negb (aligned_to (level - 1) (out_addr parent)) && ((kind (level - 1) parent =? 1) || (kind (level - 1) parent =? 3)));
    reflexivity.
Qed.

(* ---- RMI_RTT_READ_ENTRY ---- *)

Theorem rtt_read_locked_ok rd ipa level s :
  open_realm rd s -> 0 <= ipa -> 0 <= level ->
  core "rtt_read_locked" [rd; ipa; level] s = Some (read_locked rd ipa level s, s).
Proof.
  intros O H0 Hl. pose proof (open_hand _ _ O) as Hh. enter f_rtt_read_locked. step.
  use ipa_in_bounds_ok. use s2_aligned_ok. unfold read_locked.
  change (rd_get RD_start_level rd 0 s) with (rd_of s RD_start_level rd).
  destruct (level <? rd_of s RD_start_level rd); cbn [orb]; [reflexivity|].
  destruct (Z.ltb_spec 3 level); cbn [orb]; [reflexivity|].
  destruct (in_bounds rd ipa s) eqn:Hb; cbn [negb orb]; [|reflexivity].
  destruct (aligned_to level ipa); cbn [negb]; [|reflexivity].
  apply Z.ltb_lt in Hb. change (rd_get RD_ipa_size rd 0 s) with (rd_of s RD_ipa_size rd) in Hb.
  eapply bind_call; [apply rtt_walk_ok; [done|lia|lia]|]. tidy.
  use s2_pa_ok. use s2_ripas_ok. use s2_ns_host_ok. unfold entry_read, K_TABLE, K_ASSIGNED, K_ASSIGNED_NS, K_UNASSIGNED_NS.
  destruct (w_kind (walk rd ipa level s) =? 4); [reflexivity|].
  destruct (w_kind (walk rd ipa level s) =? 1); [reflexivity|].
  destruct (w_kind (walk rd ipa level s) =? 3); [reflexivity|].
  destruct (w_kind (walk rd ipa level s) =? 2); reflexivity.
Qed.

Lemma locked_open rd s : inv s -> has_state GS_RD rd s = true -> open_realm rd (locked rd s).
Proof.
  intros I H. constructor; [by apply (inv_same s)|exact H|].
  unfold holds, lock_taken. cbn. by rewrite Z.eqb_refl.
Qed.

Theorem rtt_read_entry_ok rd ipa level s :
  inv s -> idle s -> 0 <= ipa -> 0 <= level ->
  core "rtt_read_entry" [rd; ipa; level] s = Some (read_entry rd ipa level s, s).
Proof.
  intros I (Hh & Hs & Hst) H0 Hl. enter f_rtt_read_entry. apply bind_lock; [done..|]. unfold read_entry.
  destruct (has_state GS_RD rd s) eqn:Hr; tidy; [|reflexivity].
  eapply bind_call; [apply rtt_read_locked_ok; [by apply locked_open|done|done]|].
  assert (E : read_locked rd ipa level (locked rd s) = read_locked rd ipa level s) by reflexivity. rewrite E. clear E.
  assert (F : exists a b c d e, read_locked rd ipa level s = [a; b; c; d; e]).
  { unfold read_locked, entry_read, refused. repeat case_match; eauto 10. }
  destruct F as (a & b & c & d & e & ->). tidy. apply bind_unlock; [done..|]. tidy. reflexivity.
Qed.
