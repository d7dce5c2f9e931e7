(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: the walk of a realm's tables. *)
From kcore Require Export refine.TreeFacts refine.S2ttRefine refine.GranuleRefine refine.IpaRefine spec.Rtt.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- Tables of a locked realm ---- *)

Lemma rd_nonzero s rd : inv s -> has_state GS_RD rd s = true -> rd <> 0.
Proof. intros I (g & Hg & _)%has_state_inv. destruct (i_gran _ I _ _ Hg) as (P & _). lia. Qed.
Lemma rd_in_hand rd s : has_state GS_RD rd s = true -> holds (LGranule rd) s = true -> in_hand rd s = true.
Proof.
  intros H Hh. apply (object_hand GS_RD); [done..|]. apply has_state_inv in H as (g & Hg & _). unfold under_lock, tracked.
  by rewrite Hg, Hh.
Qed.
Lemma owned_under st pa rd s : inv s -> has_state GS_RD rd s = true -> holds (LGranule rd) s = true ->
  has_state st pa s = true -> g_owner (granule_at s pa) = rd -> under_lock pa s = true.
Proof.
  intros I Hr Hh (g & Hg & _)%has_state_inv Ho. pose proof (rd_nonzero _ _ I Hr) as N.
  unfold under_lock, tracked. rewrite Hg, Ho, Hh, (proj2 (Z.eqb_neq _ _) N). apply orb_true_r.
Qed.
Lemma table_owner s t p : inv s -> places s !! t = Some p ->
  has_state GS_RTT t s = true /\ g_owner (granule_at s t) = p_rd p /\ has_state GS_RD (p_rd p) s = true.
Proof.
  intros I Hp. destruct (i_table _ I _ _ Hp) as [(g & Hg & Hs & Ho & _) Hr _ _ _ _ _].
  split_and!; [by eapply has_state_intro| |done]. unfold granule_at. by rewrite Hg.
Qed.
Lemma table_under s t p : inv s -> places s !! t = Some p -> holds (LGranule (p_rd p)) s = true -> under_lock t s = true.
Proof. intros I Hp Hh. destruct (table_owner _ _ _ I Hp) as (H & Ho & Hr). by eapply owned_under. Qed.
Lemma not_host_table s pa g : inv s -> gran s !! pa = Some g -> g_state g <> GS_CORE -> role_of (hw s) pa = None.
Proof.
  intros I Hg N. destruct (role_of (hw s) pa) as [r|] eqn:E; [|done]. destruct N. by eapply i_host.
Qed.
Lemma table_no_role s t p : inv s -> places s !! t = Some p -> role_of (hw s) t = None.
Proof.
  intros I Hp. destruct (table_owner _ _ _ I Hp) as ((g & Hg & Hs)%has_state_inv & _).
  eapply not_host_table; eauto. by rewrite Hs.
Qed.
Lemma table_readable s t p i : inv s -> places s !! t = Some p -> holds (LGranule (p_rd p)) s = true -> 0 <= i < 512 ->
  may_read t i s = true.
Proof.
  intros I Hp Hh Hi. unfold may_read. rewrite (table_no_role _ _ _ I Hp), (table_under _ _ _ I Hp Hh).
  unfold in_page. lia.
Qed.

(* ---- Where a walk is ---- *)

Lemma slot_index level ipa : slot_of level ipa = index_of level ipa mod 512.
Proof.
  unfold slot_of, index_of, size_of. rewrite (land_low 9) by lia. rewrite shr; [done|].
  unfold shift_of. destruct (level =? 0), (level =? 1), (level =? 2); lia.
Qed.
Lemma floor_index level ipa : floor_of level ipa = index_of level ipa * size_of level.
Proof.
  unfold floor_of, index_of. destruct (size_pos level). rewrite (Z.div_mod ipa (size_of level)) at 1 by lia. lia.
Qed.

(* The entry w is the one for ipa in a table of rd. *)
Definition at_entry (s : state) (rd ipa : Z) (w : walked) : Prop :=
  exists p, places s !! w_table w = Some p /\ p_rd p = rd /\ p_level p = w_level w /\ w_slot w = slot_of (w_level w) ipa /\
    p_base p + w_slot w * size_of (w_level w) = floor_of (w_level w) ipa /\ w_desc w = word (mem s) (w_table w) (w_slot w).

Lemma at_entry_ok s rd ipa w : inv s -> at_entry s rd ipa w -> exists p, places s !! w_table w = Some p /\ p_rd p = rd /\
  p_level p = w_level w /\ 0 <= w_slot w < 512 /\ entry_ok s (w_table w) p (floor_of (w_level w) ipa) (w_desc w).
Proof.
  intros I (p & Hp & Hr & Hl & Hs & Hf & Hd). exists p. split_and!; try done; [rewrite Hs; apply slot_range..|].
  pose proof (t_entry _ _ _ (i_table _ I _ _ Hp) (w_slot w)) as H. rewrite Hl, Hf, <- Hd in H. apply H. rewrite Hs. apply slot_range.
Qed.

Lemma entry_table s t p ipa d : inv s -> entry_ok s t p ipa d -> is_table (p_level p) d = true ->
  exists child, d = table_desc child /\ out_addr d = child /\ p_level p < 3 /\
    places s !! child = Some (Place (p_rd p) (p_level p + 1) ipa t).
Proof.
  intros I H Ht. destruct H as [r Hr|q r Hr _ _ Hq Hqa _| |host _ _ _ Hh _|child _ Hl Hc|].
  - destruct (unassigned_facts (p_level p) r Hr) as (_ & T & _). congruence.
  - destruct (assigned_ok (p_level p) q r Hr Hq (aligned_size _ _ Hqa)) as (_ & _ & T & _). congruence.
  - destruct (unassigned_ns_facts (p_level p)) as (_ & T & _). congruence.
  - destruct (assigned_ns_facts (p_level p) host Hh) as (_ & _ & T & _). congruence.
  - exists child. destruct (place_granule _ _ _ I Hc) as (P & A & _). destruct (table_desc_ok child P A) as (_ & _ & O & _). done.
  - unfold is_table in Ht. rewrite andb_false_r in Ht. done.
Qed.

Lemma size_below level : 0 <= level < 3 -> size_of level = 512 * size_of (level + 1).
Proof. intros H. assert (level = 0 \/ level = 1 \/ level = 2) as [->|[->| ->]] by lia; reflexivity. Qed.

Lemma walk_step s rd ipa w : inv s -> at_entry s rd ipa w -> is_table (w_level w) (w_desc w) = true -> 0 <= w_level w ->
  w_level w < 3 /\ at_entry s rd ipa (entry_at (mem s) (w_level w + 1) (out_addr (w_desc w)) (slot_of (w_level w + 1) ipa)).
Proof.
  intros I H Ht H0. destruct (at_entry_ok _ _ _ _ I H) as (p & Hp & Hr & Hl & Hi & He). rewrite <- Hl in Ht.
  destruct (entry_table _ _ _ _ _ I He Ht) as (child & _ & Ho & Hlt & Hc). rewrite Hl in *. split; [done|].
  exists (Place (p_rd p) (w_level w + 1) (floor_of (w_level w) ipa) (w_table w)). unfold entry_at.
  cbn [w_level w_table w_slot w_desc p_rd p_level p_base]. rewrite Ho. split_and!; try done.
  rewrite !floor_index, slot_index. unfold index_of. rewrite (size_below (w_level w)) by lia.
  destruct (size_pos (w_level w + 1)). generalize dependent (size_of (w_level w + 1)). intros z P _.
  rewrite (Z.mul_comm 512), <- Z.div_div by lia. pose proof (Z.div_mod (ipa / z) 512). lia.
Qed.

(* The addresses of a realm, and those of its protected half, are whole entries of its start level. *)
Lemma ipa_size_entries s rd : realm_ok s rd ->
  let l := rd_of s RD_start_level rd in
  rd_of s RD_ipa_size rd mod size_of l = 0 /\ half_of s rd mod size_of l = 0 /\
  rd_of s RD_ipa_size rd = 2 * half_of s rd /\ 2 ^ 31 <= half_of s rd <= 2 ^ 47.
Proof.
  intros [_ [Hs E] (Hl & H0) _ _ _ _ _ _] l. unfold half_of. rewrite E.
  set (k := rd_of s RD_s2sz rd) in *.
  assert (Hk : shift_of l <= k - 1).
  { unfold shift_of. fold l in Hl, H0. destruct (Z.eqb_spec l 0); [specialize (H0 e); lia|].
    destruct (Z.eqb_spec l 1), (Z.eqb_spec l 2); lia. }
  assert (Hp : 0 <= shift_of l) by (unfold shift_of; destruct (l =? 0), (l =? 1), (l =? 2); lia).
  assert (E1 : 2 ^ k = 2 * 2 ^ (k - 1)) by (rewrite <- Z.pow_succ_r by lia; f_equal; lia).
  assert (E2 : 2 ^ (k - 1) = 2 ^ (k - 1 - shift_of l) * size_of l).
  { unfold size_of. rewrite <- Z.pow_add_r by lia. f_equal. lia. }
  assert (E3 : 2 ^ k / 2 = 2 ^ (k - 1)) by (rewrite E1, Z.mul_comm, Z.div_mul; lia). rewrite E3.
  destruct (size_pos l). split_and!.
  - rewrite E1, E2, Z.mul_assoc. apply Z.mod_mul. lia.
  - rewrite E2. apply Z.mod_mul. lia.
  - lia.
  - apply Z.pow_le_mono_r; lia.
  - apply Z.pow_le_mono_r; lia.
Qed.

Lemma walk_start_at s rd ipa : inv s -> has_state GS_RD rd s = true -> 0 <= ipa < rd_of s RD_ipa_size rd ->
  at_entry s rd ipa (walk_start rd ipa s) /\ 0 <= index_of (rd_of s RD_start_level rd) ipa < 512 * rd_of s RD_num_start rd.
Proof.
  intros I Hr Hi. destruct (ipa_size_entries _ _ (i_realm _ I _ Hr)) as (Hm & _).
  destruct (i_realm _ I _ Hr) as [_ _ (Hl & _) (Hn & Hx & _) Hb Ht _ _ _].
  set (l := rd_of s RD_start_level rd) in *. set (num := rd_of s RD_num_start rd) in *.
  assert (Hidx : 0 <= index_of l ipa < 512 * num).
  { unfold index_of in *. destruct (size_pos l). split; [apply Z.div_pos; lia|]. eapply Z.lt_le_trans; [|exact Hx].
    apply Z.div_lt_upper_bound; [lia|]. apply Z.mod_divide in Hm as [k Hk]; [|lia]. rewrite Hk, Z.div_mul by lia. lia. }
  split; [|done].
  exists (Place rd l (index_of l ipa / 512 * span l) 0). unfold walk_start, entry_at. fold l.
  cbn [w_level w_table w_slot w_desc p_rd p_level p_base].
  split_and!; try done.
  - apply Ht. split; [apply Z.div_pos; lia|]. apply Z.div_lt_upper_bound; lia.
  - rewrite floor_index, slot_index. unfold span. pose proof (Z.div_mod (index_of l ipa) 512). nia.
Qed.

Lemma walk_on_at s rd ipa level n w : inv s -> at_entry s rd ipa w -> 0 <= w_level w ->
  at_entry s rd ipa (walk_on (mem s) ipa level n w) /\ w_level w <= w_level (walk_on (mem s) ipa level n w) <= Z.max level (w_level w).
Proof.
  intros I. revert w. induction n as [|n IH]; intros w H H0; cbn [walk_on]; [split; [done|lia]|].
  destruct (is_table (w_level w) (w_desc w)) eqn:Ht; cbn [andb]; [|split; [done|lia]].
  destruct (Z.ltb_spec (w_level w) level) as [Hlt|]; [|split; [done|lia]].
  destruct (walk_step _ _ _ _ I H Ht H0) as [H3 H']. destruct (IH _ H') as [H1 H2]; [cbn; lia|].
  split; [done|]. cbn [w_level entry_at] in H2. lia.
Qed.

(* What a walk finds: an entry of a table of this realm. *)
Theorem walk_at s rd ipa level : inv s -> has_state GS_RD rd s = true -> 0 <= ipa < rd_of s RD_ipa_size rd ->
  at_entry s rd ipa (walk rd ipa level s) /\
  rd_of s RD_start_level rd <= w_level (walk rd ipa level s) <= Z.max level (rd_of s RD_start_level rd).
Proof.
  intros I Hr Hi. destruct (walk_start_at _ _ _ I Hr Hi) as [H _].
  destruct (i_realm _ I _ Hr) as [_ _ (Hl & _) _ _ _ _ _ _].
  destruct (walk_on_at s rd ipa level 3 (walk_start rd ipa s) I H) as [H1 H2]; [cbn; lia|]. done.
Qed.

(* ---- The functions ---- *)

(* The condition of all that follows: the realm is locked, and nothing of it has been changed so far. *)
Record open_realm (rd : Z) (s : state) : Prop := OpenRealm {
  or_inv : inv s;
  or_rd : has_state GS_RD rd s = true;
  or_held : holds (LGranule rd) s = true;
}.
Lemma open_hand rd s : open_realm rd s -> in_hand rd s = true.
Proof. intros [_ H1 H2]. by apply rd_in_hand. Qed.
#[export] Hint Resolve open_hand : hand.
Lemma entry_readable s rd ipa w : open_realm rd s -> at_entry s rd ipa w -> may_read (w_table w) (w_slot w) s = true.
Proof.
  intros [I Hr Hh] (p & Hp & E & _ & Hs & _). eapply table_readable; eauto; [by rewrite E|]. rewrite Hs. apply slot_range.
Qed.
Lemma ipa_u64 s rd ipa : open_realm rd s -> 0 <= ipa < rd_of s RD_ipa_size rd -> 0 <= ipa < 2 ^ 48.
Proof.
  intros [I Hr _] Hi. destruct (ipa_size_entries _ _ (i_realm _ I _ Hr)) as (_ & _ & E & B). lia.
Qed.
Lemma bind_read {B} s t i (k : list Z -> M state B) r : may_read t i s = true -> k [word (mem s) t i] s = r ->
  bind (prim_sem P_pt_read [t; i]) k s = r.
Proof. intros H <-. unfold bind. cbn [prim_sem]. by rewrite H. Qed.

Theorem rtt_walk_ok rd ipa level s :
  open_realm rd s -> 0 <= ipa < rd_of s RD_ipa_size rd -> 0 <= level <= 3 ->
  core "rtt_walk" [rd; ipa; level] s =
  let w := walk rd ipa level s in Some ([w_level w; w_table w; w_slot w; w_desc w; w_kind w], s).
Proof.
  intros O Hi Hlev. pose proof O as [I Hr Hh]. cbn zeta.
  pose proof (ipa_u64 _ _ _ O Hi) as Hu.
  destruct (walk_start_at s rd ipa I Hr Hi) as [H0 Hx].
  destruct (i_realm _ I _ Hr) as [_ _ (Hl & _) (Hn & _) (Hb & _) Ht _ _ _].
  enter f_rtt_walk. step. step. use s2_index_ok.
  set (l := rd_of s RD_start_level rd) in *. set (base := rd_of s RD_rtt_base rd) in *.
  change (rd_get RD_start_level rd 0 s) with l. change (rd_get RD_rtt_base rd 0 s) with base.
  assert (E : wrap U64 (base + wrap U64 (Z.shiftl (Z.shiftr (index_of l ipa) 9) 12)) = base + index_of l ipa / 512 * 4096).
  { rewrite shr, Z.shiftl_mul_pow2 by lia. change (2 ^ 9) with 512. change (2 ^ 12) with 4096.
    assert (0 <= index_of l ipa / 512 <= 16).
    { split; [apply Z.div_pos; lia|]. apply Z.div_le_upper_bound; lia. }
    rewrite (wrap_small (_ * _)) by lia. apply wrap_small. lia. }
  rewrite E. rewrite (land_low 9 (index_of l ipa)) by lia. change (2 ^ 9) with 512. rewrite <- slot_index.
  change (base + index_of l ipa / 512 * 4096) with (w_table (walk_start rd ipa s)).
  change (slot_of l ipa) with (w_slot (walk_start rd ipa s)).
  apply bind_read; [by eapply entry_readable|]. tidy.
  change (word (mem s) _ _) with (w_desc (walk_start rd ipa s)).
  change (base + index_of l ipa / 512 * 4096) with (w_table (walk_start rd ipa s)).
  change (slot_of l ipa) with (w_slot (walk_start rd ipa s)).
  change l with (w_level (walk_start rd ipa s)) at 1.
  eapply (loop_rule (fun j fr s' => s' = s /\ exists w, at_entry s rd ipa w /\ 0 <= w_level w /\
    walk_on (mem s) ipa level (3 - j) w = walk rd ipa level s /\
    fr = [rd; ipa; level; w_level w; base; index_of l ipa; w_table w; w_slot w; w_desc w; 0; 0; 0])).
  - split; [done|]. exists (walk_start rd ipa s). split_and!; try done. cbn; lia.
  - intros j fr s' k Hj (-> & w & Ha & Hw0 & Hw & ->).
    replace (3 - j)%nat with (S (3 - S j)) in Hw by lia. cbn [walk_on] in Hw.
    destruct (is_table (w_level w) (w_desc w) && (w_level w <? level)) eqn:Hc.
    + pose proof Hc as [Htb Hlt%Z.ltb_lt]%andb_true_iff.
      destruct (walk_step _ _ _ _ I Ha Htb Hw0) as [H3 Ha'].
      set (w' := entry_at (mem s) (w_level w + 1) (out_addr (w_desc w)) (slot_of (w_level w + 1) ipa)) in *.
      eexists [rd; ipa; level; w_level w'; base; index_of l ipa; w_table w'; w_slot w'; w_desc w'; Z.of_nat j; 1; 0], s.
      split.
      * tidy. use s2_is_table_ok. rewrite Hc. rewrite wrap_small by lia. use s2_pa_ok. use s2_slot_ok.
        change (out_addr (w_desc w)) with (w_table w'). change (slot_of (w_level w + 1) ipa) with (w_slot w').
        apply bind_read; [by eapply entry_readable|]. tidy. rewrite Htb. reflexivity.
      * split; [done|]. exists w'. split_and!; try done. cbn. lia.
    + eexists [rd; ipa; level; w_level w; base; index_of l ipa; w_table w; w_slot w; w_desc w; Z.of_nat j; b2z (is_table (w_level w) (w_desc w)); 0], s.
      split.
      * tidy. use s2_is_table_ok. rewrite Hc. reflexivity.
      * split; [done|]. exists w. split_and!; try done.
        rewrite <- Hw. destruct (3 - S j)%nat; cbn [walk_on]; [done|]. by rewrite Hc.
  - intros fr s' (-> & w & Ha & _ & Hw & ->). cbn [Nat.sub walk_on] in Hw. subst w.
    tidy. use s2_kind_ok. reflexivity.
Qed.
