(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/data.c: the RIPAS of ranges. *)
From kcore Require Export refine.DataRefine.
From kcore Require Export refine.RttEntry.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem ripas_changed_ok level d r s :
  0 <= r < 2 ^ 61 -> core "ripas_changed" [level; d; r] s = Some ([with_ripas level d r], s).
Proof.
  intros Hr. enter f_ripas_changed. use s2_kind_ok. use s2_pa_ok. eapply bind_call; [apply s2_unassigned_ok; lia|]. tidy.
  unfold with_ripas. change K_ASSIGNED with 1. destruct (kind level d =? 1); [|reflexivity].
  eapply bind_call; [apply s2_assigned_ok; lia|]. tidy. reflexivity.
Qed.

Theorem ripas_may_change_ok level d b s :
  core "ripas_may_change" [level; d; b2z b] s = Some ([b2z (changeable level b d)], s).
Proof.
  enter f_ripas_may_change. use s2_kind_ok. use s2_ripas_ok. unfold changeable.
  change K_UNASSIGNED with 0. change K_ASSIGNED with 1. change RIPAS_DESTROYED with 2.
  destruct (kind level d =? 0), (kind level d =? 1); cbn [negb andb orb]; reflexivity.
Qed.

(* ---- Runs of entries ---- *)

Lemma leading_so_far ok m : leading ok m = m -> forall i, (i < m)%nat -> ok (Z.of_nat i) = true.
Proof.
  induction m as [|m IH]; [lia|]. cbn [leading]. pose proof (leading_le ok m) as Hle.
  destruct (Nat.eqb_spec (leading ok m) m) as [E|]; cbn [andb]; [|lia].
  destruct (ok (Z.of_nat m)) eqn:Hok; [|lia]. intros _ i Hi. destruct (decide (i = m)) as [->|]; [done|]. apply IH; lia.
Qed.

(* Where a run that goes on so far ends. *)
Lemma run_bound (ok : Z -> bool) w base top m : 0 <= base <= top ->
  leading (fun i => (run_end w base (i + 1) <=? top) && ok i) m = m -> base <= run_end w base (Z.of_nat m) <= top.
Proof.
  intros Hb H. destruct (size_pos (w_level w)) as [P _]. destruct m as [|m].
  - unfold run_end. lia.
  - pose proof (leading_so_far _ _ H m ltac:(lia)) as [H1%Z.leb_le _]%andb_true_iff.
    replace (Z.of_nat (S m)) with (Z.of_nat m + 1) by lia. split; [unfold run_end; nia|exact H1].
Qed.
Lemma run_fits w base top n : size_of (w_level w) <=? top - run_end w base n = (run_end w base (n + 1) <=? top).
Proof. unfold run_end. destruct (Z.leb_spec (base + (n + 1) * size_of (w_level w)) top), (Z.leb_spec (size_of (w_level w)) (top - (base + n * size_of (w_level w)))); lia. Qed.

(* ---- RMI_RTT_INIT_RIPAS ---- *)

Lemma ripas_measured_under g hl sh rd a b s :
  ripas_measured rd a b (under g hl sh s) = under g hl sh (ripas_measured rd a b s).
Proof. unfold ripas_measured. by rewrite begun_under, !put_under, ended_under. Qed.
Lemma ram_under g hl sh rd w base n s : ram_made rd w base n (under g hl sh s) = under g hl sh (ram_made rd w base n s).
Proof.
  unfold ram_made. apply each_under. intros i z.
  change (put_word ?t ?k ?v (under g hl sh z)) with (under g hl sh (put_word t k v z)). apply ripas_measured_under.
Qed.

(* What it leaves: all but the pages of RD and table, the hash buffer and the digest; of the table, the entries after. *)
Record ram_kept (rd : Z) (w : walked) (n : nat) (s s' : state) : Prop := RamKept {
  rk_gran : gran s' = gran s;
  rk_held : held s' = held s;
  rk_shrinking : shrinking s' = shrinking s;
  rk_staled : staled s' = staled s;
  rk_hw : hw s' = hw s;
  rk_places : places s' = places s;
  rk_word : forall i, w_slot w + Z.of_nat n <= i -> word (mem s') (w_table w) i = word (mem s) (w_table w) i;
}.
Lemma ram_made_kept rd w base n s : w_table w <> rd -> 0 <= w_slot w -> ram_kept rd w n s (ram_made rd w base n s).
Proof.
  intros N H0. unfold ram_made. induction n as [|n IH]; [by rewrite each_below_0|]. rewrite each_below_S.
  set (y := each_below n _ s) in *. clearbody y. destruct IH as [G H S T W L D].
  set (z := put_word (w_table w) (w_slot w + Z.of_nat n) (unassigned RIPAS_RAM) y).
  destruct (scratch_ripas rd (run_end w base (Z.of_nat n)) (run_end w base (Z.of_nat n + 1)) z z (scratch_refl _ _)) as [E P].
  set (x := ripas_measured rd _ _ z) in *. clearbody x.
  constructor.
  - rewrite E. exact G.
  - rewrite E. exact H.
  - rewrite E. exact S.
  - rewrite E. exact T.
  - rewrite E. exact W.
  - rewrite E. exact L.
  - intros i Hi. unfold word. rewrite (P (w_table w) N). fold (word (mem z) (w_table w) i).
    unfold z, put_word. cbn [mem with_mem]. rewrite word_set_slot by lia. apply D. lia.
Qed.
Lemma kept_under rd w n s s' q : ram_kept rd w n s s' -> under_lock q s' = under_lock q s.
Proof. intros []. apply under_same; congruence. Qed.
Lemma kept_hand rd w n s s' q : ram_kept rd w n s s' -> in_hand q s' = in_hand q s.
Proof. intros []. apply in_hand_same; congruence. Qed.

Theorem ripas_init_entries_ok rd base top w p s :
  found rd base w p s -> base <= top < 2 ^ 64 ->
  core "ripas_init_entries" [rd; w_level w; w_table w; w_slot w; w_desc w; w_kind w; base; top] s =
  Some ([run_end w base (Z.of_nat (init_length w base top s))], ram_made rd w base (init_length w base top s) s).
Proof.
  intros F Ht. pose proof (found_ipa _ _ _ _ _ F) as Hb. pose proof (fd_slot _ _ _ _ _ F) as Hsl.
  pose proof (fd_place _ _ _ _ _ F) as Pp. pose proof (found_role _ _ _ _ _ F) as Rr. pose proof (found_not_rd _ _ _ _ _ F) as Nr.
  pose proof (found_hand _ _ _ _ _ F) as Hh. pose proof (open_hand _ _ (fd_open _ _ _ _ _ F)) as Hrd.
  destruct (size_pos (w_level w)) as [Psz _]. pose proof (size_bound (w_level w)) as Bsz.
  enter f_ripas_init_entries. use s2_size_ok. eapply bind_call; [apply s2_unassigned_ok; lia|]. tidy.
  unfold init_length, run_length.
  set (ok i := (run_end w base (i + 1) <=? top) && initable (w_level w) (entry_from w i s)).
  eapply (loop_rule (fun j fr s' => let m := (j - Z.to_nat (w_slot w))%nat in let n := leading ok m in
    s' = ram_made rd w base n s /\
    fr = [rd; w_level w; w_table w; w_slot w; w_desc w; w_kind w; base; top; size_of (w_level w); unassigned 1;
      run_end w base (Z.of_nat n); b2z (n =? m)%nat; 0; 0; 0; 0])).
  - cbn zeta. replace (0 - Z.to_nat (w_slot w))%nat with 0%nat by lia. cbn [leading].
    split; [unfold ram_made; by rewrite each_below_0|].
    replace (run_end w base (Z.of_nat 0)) with base by (unfold run_end; lia). reflexivity.
  - intros j fr s' kk Hj. cbn zeta. set (m := (j - Z.to_nat (w_slot w))%nat). intros [-> ->].
    change (0 + Z.of_nat j) with (Z.of_nat j). tidy.
    destruct (Z.leb_spec (w_slot w) (Z.of_nat j)) as [Hsj|Hsj].
    2:{ rewrite andb_false_r. assert (Em : m = 0%nat) by lia. assert (Em' : (S j - Z.to_nat (w_slot w))%nat = 0%nat) by lia.
        rewrite Em'. rewrite Em. eexists _, _. split; [reflexivity|]. split; reflexivity. }
    assert (Em : (S j - Z.to_nat (w_slot w))%nat = S m) by lia. rewrite Em. cbn [leading]. rewrite andb_true_r.
    pose proof (leading_le ok m) as Hle.
    destruct (Nat.eqb_spec (leading ok m) m) as [En|En]; cbn [andb].
    2:{ eexists _, _. split; [reflexivity|]. split; [reflexivity|].
        rewrite (proj2 (Nat.eqb_neq _ _)) by lia. reflexivity. }
    rewrite En. assert (Ej : Z.of_nat j = w_slot w + Z.of_nat m) by lia.
    pose proof (ram_made_kept rd w base m s Nr ltac:(lia)) as K. set (y := ram_made rd w base m s) in *.
    assert (Ed : word (mem y) (w_table w) (Z.of_nat j) = entry_from w (Z.of_nat m) s).
    { rewrite (rk_word _ _ _ _ _ K) by lia. unfold entry_from. by rewrite Ej. }
    pose proof (run_bound (fun i => initable (w_level w) (entry_from w i s)) w base top m ltac:(lia) En) as Hrun.
    assert (Hread : may_read (w_table w) (Z.of_nat j) y = true).
    { unfold may_read. rewrite (rk_hw _ _ _ _ _ K), Rr, (kept_under _ _ _ _ _ _ K), Hh. unfold in_page. lia. }
    set (dd := entry_from w (Z.of_nat m) s) in *.
    assert (Eok : (size_of (w_level w) <=? wrap U64 (top - run_end w base (Z.of_nat m))) && (kind (w_level w) dd =? 0) &&
      negb (ripas dd =? 2) = ok (Z.of_nat m)).
    { rewrite wrap_small by lia. rewrite run_fits, <- andb_assoc. reflexivity. }
    destruct (ok (Z.of_nat m)) eqn:Hok.
    + pose proof Hok as [Hfit%Z.leb_le [Hk%Z.eqb_eq _]%andb_true_iff]%andb_true_iff. fold dd in Hk.
      eexists _, _. split.
      * apply bind_read; [exact Hread|]. tidy. rewrite Ed. use s2_kind_ok. use s2_ripas_ok. rewrite Eok. cbv iota.
        eapply bind_call; [apply s2_make_ok|].
        { eapply entry_write; [by rewrite (rk_places _ _ _ _ _ K)|by rewrite (rk_hw _ _ _ _ _ K)|
            by rewrite (kept_under _ _ _ _ _ _ K)|lia|apply andb_false_r|discriminate]. }
        erewrite leaf_made; [|by rewrite (rk_places _ _ _ _ _ K)|by rewrite (rk_hw _ _ _ _ _ K)| |].
        2:{ rewrite Ed. by apply (unassigned_invalid (w_level w)). }
        2:{ by destruct (unassigned_facts (p_level p) 1 ltac:(lia)) as (_ & T & _). }
        tidy. eapply bind_call; [apply measure_ripas_ok|].
        { change (in_hand rd y = true). by rewrite (kept_hand _ _ _ _ _ _ K). }
        tidy. reflexivity.
      * assert (En1 : wrap U64 (run_end w base (Z.of_nat m) + size_of (w_level w)) = run_end w base (Z.of_nat m + 1)).
        { assert (X : run_end w base (Z.of_nat m) + size_of (w_level w) = run_end w base (Z.of_nat m + 1)) by (unfold run_end; ring).
          rewrite X. apply wrap_small. lia. }
        rewrite En1. split.
        -- unfold ram_made. rewrite each_below_S, Ej. reflexivity.
        -- rewrite Nat.eqb_refl.
           replace (Z.of_nat (S m)) with (Z.of_nat m + 1) by lia. reflexivity.
    + eexists _, _. split.
      * apply bind_read; [exact Hread|]. tidy. rewrite Ed. use s2_kind_ok. use s2_ripas_ok. rewrite Eok. cbv iota. reflexivity.
      * cbv iota. split; [reflexivity|]. rewrite (proj2 (Nat.eqb_neq m (S m))) by lia. reflexivity.
  - intros fr s'. cbn zeta. intros [-> ->]. tidy.
    replace (512 - Z.to_nat (w_slot w))%nat with (Z.to_nat (512 - w_slot w)) by lia. reflexivity.
Qed.
