(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: filling tables that no one walks yet, and counting in start tables. *)
From kcore Require Export refine.RttWalk.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* A claimed granule that becomes a table. *)
Record fresh_table (t : Z) (s : state) : Prop := FreshTable {
  ft_state : has_state GS_DELEGATED t s = true;
  ft_held : holds (LGranule t) s = true;
  ft_place : places s !! t = None;
  ft_role : role_of (hw s) t = None;
}.
Lemma fresh_hand t s : fresh_table t s -> under_lock t s = true.
Proof. intros [(g & Hg & _)%has_state_inv Hh _ _]. unfold under_lock, tracked. by rewrite Hg, Hh. Qed.
Lemma fresh_write t i d s : fresh_table t s -> 0 <= i < 512 -> bbm (word (mem s) t i) d = true -> may_write t i d s = true.
Proof.
  intros F Hi Hb. pose proof (fresh_hand _ _ F) as Hh. destruct F as [(g & Hg & Hs)%has_state_inv _ Hp Hr].
  unfold may_write. rewrite Hr, Hp, Hh, Hb. unfold granule_at, in_page. rewrite Hg. cbn [default from_option id].
  rewrite Hs. cbn. lia.
Qed.
Lemma fresh_after t i d s : fresh_table t s -> after_write t i d s = put_word t i d s.
Proof.
  intros [_ _ Hp Hr]. unfold after_write, placed_below. rewrite Hr, Hp. destruct (_ && _); destruct s; reflexivity.
Qed.
Lemma fresh_put t t' i d s : fresh_table t s -> fresh_table t (put_word t' i d s).
Proof. intros []. by constructor. Qed.
Lemma fresh_written t t' f n s : fresh_table t s -> fresh_table t (written t' f n s).
Proof.
  intros H. unfold written. generalize (below n). intros l. revert s H. induction l as [|i l IH]; intros s H; [done|].
  cbn [fold_left]. apply IH. destruct (f i); [by apply fresh_put|done].
Qed.
Lemma written_S t f n s :
  written t f (S n) s = match f (Z.of_nat n) with Some d => put_word t (Z.of_nat n) d (written t f n s) | None => written t f n s end.
Proof. unfold written. rewrite below_S, fold_left_app. reflexivity. Qed.
Lemma written_later t f n s i : Z.of_nat n <= i -> word (mem (written t f n s)) t i = word (mem s) t i.
Proof.
  induction n as [|n IH]; intros H; [done|]. rewrite written_S. destruct (f (Z.of_nat n)); [|apply IH; lia].
  unfold put_word. cbn [mem with_mem]. rewrite word_set_slot by lia. apply IH. lia.
Qed.

Theorem rtt_init_table_ok table first lo hi s :
  fresh_table table s -> 0 <= first < 2 ^ 32 ->
  core "rtt_init_table" [table; first; lo; hi] s = Some ([], written table (start_entry first lo hi) 512 s).
Proof.
  intros F Hf. enter f_rtt_init_table. eapply bind_call; [apply s2_unassigned_ns_ok|]. tidy.
  eapply (loop_rule (fun j fr s' => fr = [table; first; lo; hi; unassigned_ns; 0] /\
    s' = written table (start_entry first lo hi) j s)).
  - done.
  - intros j fr s' k Hj [-> ->]. change (0 + Z.of_nat j) with (Z.of_nat j).
    exists [table; first; lo; hi; unassigned_ns; Z.of_nat j], (written table (start_entry first lo hi) (S j) s).
    split; [|done]. tidy. rewrite wrap_small by lia. rewrite written_S.
    assert (E : start_entry first lo hi (Z.of_nat j) =
      if (lo <=? first + Z.of_nat j) && (first + Z.of_nat j <? hi) then Some unassigned_ns else None) by reflexivity.
    rewrite E. clear E.
    destruct ((lo <=? first + Z.of_nat j) && (first + Z.of_nat j <? hi)); [|reflexivity].
    pose proof (fresh_written table table (start_entry first lo hi) j s F) as F'.
    eapply bind_call.
    { apply s2_make_ok, fresh_write; [exact F'|lia|]. unfold bbm. by rewrite andb_false_r. }
    rewrite fresh_after by exact F'. reflexivity.
  - intros fr s' [-> ->]. reflexivity.
Qed.

Theorem rtt_unfold_ok table level d s :
  fresh_table table s -> mem_ok (mem s) -> page (mem s) table = zero_page -> 1 <= level < 2 ^ 64 ->
  core "rtt_unfold" [table; level; d] s = Some ([], unfolded table level d s).
Proof.
  intros F Hm Hz Hl. enter f_rtt_unfold. unfold unfolded.
  set (f i := if child level d i =? 0 then None else Some (child level d i)).
  eapply (loop_rule (fun j fr s' => fr = [table; level; d; 0; 0] /\ s' = written table f j s)).
  - done.
  - intros j fr s' k Hj [-> ->]. change (0 + Z.of_nat j) with (Z.of_nat j).
    exists [table; level; d; Z.of_nat j; child level d (Z.of_nat j)], (written table f (S j) s).
    split; [|done]. tidy. eapply bind_call; [apply s2_child_ok; lia|]. tidy. rewrite written_S.
    assert (E : f (Z.of_nat j) = if child level d (Z.of_nat j) =? 0 then None else Some (child level d (Z.of_nat j))) by reflexivity.
    rewrite E. clear E.
    destruct (child level d (Z.of_nat j) =? 0); cbn [negb]; [reflexivity|].
    pose proof (fresh_written table table f j s F) as F'.
    eapply bind_call.
    { apply s2_make_ok, fresh_write; [exact F'|lia|]. rewrite written_later by lia. unfold word. rewrite Hz, zero_page_word. reflexivity. }
    rewrite fresh_after by exact F'. reflexivity.
  - intros fr s' [-> ->]. reflexivity.
Qed.

(* The start tables are claimed, and rd's fields say where they are. *)
(* The state after n of the tables is all that the loop knows of them. *)
Lemma start_tables_filled rd s : exists after : nat -> state,
  after 0%nat = s /\
  (forall n, let hi := index_of (rd_of s RD_start_level rd) (rd_of s RD_ipa_size rd) in
     after (S n) = written (rd_of s RD_rtt_base rd + Z.of_nat n * 4096)
       (start_entry (Z.of_nat n * 512) (hi / 2) hi) 512 (after n)) /\
  (forall n, start_filled rd n s = after n).
Proof.
  exists (fun n => start_filled rd n s). split; [reflexivity|]. split; [|reflexivity].
  intros n hi. unfold start_filled. rewrite below_S, fold_left_app. fold hi. cbn [fold_left]. reflexivity.
Qed.

Theorem rtt_init_start_ok rd s :
  in_hand rd s = true ->
  (forall t, 0 <= t < rd_of s RD_num_start rd -> fresh_table (rd_of s RD_rtt_base rd + t * 4096) s) ->
  1 <= rd_of s RD_num_start rd <= 16 -> 0 <= rd_of s RD_rtt_base rd < 2 ^ 48 ->
  core "rtt_init_start" [rd] s = Some ([], start_filled rd (Z.to_nat (rd_of s RD_num_start rd)) s).
Proof.
  intros H F Hn Hb. destruct (start_tables_filled rd s) as (after & A0 & A & ->). cbv zeta in A.
  enter f_rtt_init_start. step. step. step. step. use s2_index_ok.
  change (rd_get RD_start_level rd 0 s) with (rd_of s RD_start_level rd).
  change (rd_get RD_ipa_size rd 0 s) with (rd_of s RD_ipa_size rd).
  change (rd_get RD_rtt_base rd 0 s) with (rd_of s RD_rtt_base rd).
  change (rd_get RD_num_start rd 0 s) with (rd_of s RD_num_start rd).
  revert F Hn Hb A. generalize (rd_of s RD_num_start rd) (rd_of s RD_rtt_base rd) (rd_of s RD_start_level rd) (rd_of s RD_ipa_size rd).
  intros num base level size. generalize (index_of level size). intros hi F Hn Hb A.
  assert (Fa : forall n t, 0 <= t < num -> fresh_table (base + t * 4096) (after n)).
  { induction n as [|n IH]; intros t Ht; [rewrite A0; by apply F|]. rewrite A. by apply fresh_written, IH. }
  eapply (loop_rule (fun j fr s' => fr = [rd; base; num; level; size; hi; 0] /\ s' = after (min j (Z.to_nat num)))).
  - split; [reflexivity|]. by rewrite Nat.min_0_l, A0.
  - intros j fr s' k Hj [-> ->]. change (0 + Z.of_nat j) with (Z.of_nat j).
    exists [rd; base; num; level; size; hi; Z.of_nat j], (after (min (S j) (Z.to_nat num))). split; [|done].
    tidy. destruct (Z.ltb_spec (Z.of_nat j) num) as [Hlt|Hge].
    + rewrite !Z.shiftl_mul_pow2, shr by lia. change (2 ^ 12) with 4096. change (2 ^ 9) with 512. change (2 ^ 1) with 2.
      rewrite (wrap_small (_ * 4096)), (wrap_small (_ * 512)), wrap_small by lia.
      rewrite !Nat.min_l by lia. rewrite A.
      eapply bind_call; [apply rtt_init_table_ok; [apply Fa; lia|lia]|]. tidy. reflexivity.
    + rewrite !Nat.min_r by lia. reflexivity.
  - intros fr s' [-> ->]. rewrite Nat.min_r by lia. reflexivity.
Qed.

Lemma start_refs_S rd s n : start_refs rd s (S n) = start_refs rd s n + refs_of (rd_of s RD_rtt_base rd + Z.of_nat n * 4096) s.
Proof. unfold start_refs. by rewrite below_S, fold_left_app. Qed.

Theorem rtt_start_unused_ok rd s :
  open_realm rd s ->
  core "rtt_start_unused" [rd] s = Some ([b2z (start_refs rd s (Z.to_nat (rd_of s RD_num_start rd)) =? 0)], s).
Proof.
  intros O. pose proof (open_hand _ _ O) as Hh. pose proof O as [I Hr Hl].
  destruct (i_realm _ I _ Hr) as [_ _ _ (Hn & _) (Hb & _) Ht _ _ _].
  enter f_rtt_start_unused. step. step.
  change (rd_get RD_rtt_base rd 0 s) with (rd_of s RD_rtt_base rd).
  change (rd_get RD_num_start rd 0 s) with (rd_of s RD_num_start rd).
  set (num := rd_of s RD_num_start rd) in *. set (base := rd_of s RD_rtt_base rd) in *.
  assert (Hrefs : forall t, 0 <= t < num -> 0 <= refs_of (base + t * 4096) s <= REFS_MAX).
  { intros t Hb'. destruct (table_owner _ _ _ I (Ht t Hb')) as ((g & Hg & _)%has_state_inv & _).
    destruct (i_gran _ I _ _ Hg) as (_ & _ & R). unfold refs_of, granule_at. by rewrite Hg. }
  assert (Hsum : forall n, (n <= Z.to_nat num)%nat -> 0 <= start_refs rd s n <= Z.of_nat n * REFS_MAX).
  { induction n as [|n IH]; intros Hle; [unfold start_refs; cbn; lia|]. rewrite start_refs_S. fold base.
    specialize (Hrefs (Z.of_nat n) ltac:(lia)). specialize (IH ltac:(lia)). lia. }
  unfold REFS_MAX in *.
  eapply (loop_rule (fun j fr s' => fr = [rd; base; num; start_refs rd s (min j (Z.to_nat num)); 0; 0] /\ s' = s)).
  - done.
  - intros j fr s' k Hj [-> ->]. change (0 + Z.of_nat j) with (Z.of_nat j).
    destruct (Z.ltb_spec (Z.of_nat j) num) as [Hlt|Hge].
    + exists [rd; base; num; start_refs rd s (min (S j) (Z.to_nat num)); Z.of_nat j; refs_of (base + Z.of_nat j * 4096) s], s.
      split; [|done]. tidy. rewrite (proj2 (Z.ltb_lt _ _) Hlt).
      rewrite Z.shiftl_mul_pow2 by lia. change (2 ^ 12) with 4096.
      rewrite (wrap_small (_ * 4096)), (wrap_small (base + _)) by lia.
      assert (Hin : under_lock (base + Z.of_nat j * 4096) s = true) by (eapply table_under; [done|apply Ht; lia|done]).
      step. change (g_refs (granule_at s (base + Z.of_nat j * 4096))) with (refs_of (base + Z.of_nat j * 4096) s).
      rewrite !Nat.min_l by lia. rewrite start_refs_S. fold base.
      specialize (Hrefs (Z.of_nat j) ltac:(lia)). specialize (Hsum j ltac:(lia)). rewrite wrap_small by lia. reflexivity.
    + exists [rd; base; num; start_refs rd s (min (S j) (Z.to_nat num)); Z.of_nat j; 0], s.
      split; [|done]. tidy. rewrite (proj2 (Z.ltb_ge _ _) Hge). rewrite !Nat.min_r by lia. reflexivity.
  - intros fr s' [-> ->]. rewrite Nat.min_r by lia. tidy. reflexivity.
Qed.
