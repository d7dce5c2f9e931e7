(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: the ranged commands. *)
From kcore Require Export refine.HostInv refine.Loops spec.HostmemRange.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma shl12 j : (j < 512)%nat -> wrap U64 (Z.shiftl (Z.of_nat j) 12) = Z.of_nat j * 4096.
Proof. intros. rewrite Z.shiftl_mul_pow2 by lia. change (2 ^ 12) with 4096. apply wrap_small. lia. Qed.

Section range.
  Context (cmd : Z -> state -> Z * state).
  Context (cmd_inv : forall p s, inv s -> inv (snd (cmd p s))).
  Context (cmd_idle : forall p s, idle s -> idle (snd (cmd p s))).

  Lemma repeated_inv pa s n : inv s -> idle s -> inv (snd (repeated cmd pa s n)) /\ idle (snd (repeated cmd pa s n)).
  Proof.
    intros I D. induction n as [|n [IH1 IH2]]; [done|]. cbn [repeated].
    destruct (repeated cmd pa s n) as [[st d] s1]. cbn [snd] in *.
    destruct (st =? 0); [|done].
    pose proof (cmd_inv (wrap U64 (pa + Z.of_nat n * 4096)) s1 IH1) as J1.
    pose proof (cmd_idle (wrap U64 (pa + Z.of_nat n * 4096)) s1 IH2) as J2.
    destruct (cmd _ s1) as [st' s2]. by destruct (st' =? 0).
  Qed.

  (* What the loop has after j iterations. *)
  Definition so_far (pa count : Z) (s : state) (j : nat) (fr : frame) (s' : state) : Prop :=
    exists st d, repeated cmd pa s (min j (Z.to_nat count)) = (st, d, s') /\ fr = [pa; count; st; d; 0].
End range.

Theorem granule_delegate_range_ok pa count s : inv s -> idle s -> 0 <= count ->
  core "granule_delegate_range" [pa; count] s =
  Some (let '(st, d, s') := ranged delegate pa count s in ([st; d], s')).
Proof.
  intros I D Hc. unfold ranged. enter f_granule_delegate_range.
  destruct ((_ =? 0) || (512 <? _)) eqn:E; [reflexivity|].
  apply orb_false_iff in E as [E1%Z.eqb_neq E2%Z.ltb_ge].
  apply (loop_rule (so_far delegate pa count s)).
  - exists 0, 0. split; reflexivity.
  - intros j fr s1 k Hj (st & d & Hr & ->). rewrite Z.add_0_l.
    destruct (repeated_inv delegate delegate_inv delegate_idle pa s (min j (Z.to_nat count)) I D) as [I1 D1].
    rewrite Hr in I1, D1. cbn [snd] in I1, D1.
    destruct (Z.ltb_spec (Z.of_nat j) count) as [Hlt|Hge].
    + rewrite Nat.min_l in Hr by lia.
      destruct (delegate (wrap U64 (pa + Z.of_nat j * 4096)) s1) as [st' s2] eqn:Ed.
      pose proof (granule_delegate_ok (wrap U64 (pa + Z.of_nat j * 4096)) s1 I1 D1) as Hd.
      rewrite Ed in Hd. cbn [fst snd] in Hd.
      assert (Hn : repeated delegate pa s (min (S j) (Z.to_nat count)) =
        if st =? 0 then (st', if st' =? 0 then Z.of_nat j + 1 else d, s2) else (st, d, s1)).
      { rewrite Nat.min_l by lia. cbn [repeated]. rewrite Hr. destruct (st =? 0); [by rewrite Ed|reflexivity]. }
      destruct (Z.eqb_spec st 0) as [Hst|Hst]; [destruct (Z.eqb_spec st' 0) as [Hst'|Hst']|].
      * exists [pa; count; st'; Z.of_nat j + 1; Z.of_nat j], s2. split; [|eexists _, _; split; [exact Hn|reflexivity]].
        norm. rewrite (proj2 (Z.ltb_lt _ _) Hlt), Hst. cbn [andb Z.eqb]. rewrite shl12 by done.
        erewrite bind_eq by exact Hd. norm. rewrite Hst'. cbn [Z.eqb]. rewrite wrap_small by lia. reflexivity.
      * exists [pa; count; st'; d; Z.of_nat j], s2. split; [|eexists _, _; split; [exact Hn|reflexivity]].
        norm. rewrite (proj2 (Z.ltb_lt _ _) Hlt), Hst. cbn [andb Z.eqb]. rewrite shl12 by done.
        erewrite bind_eq by exact Hd. norm. rewrite (proj2 (Z.eqb_neq _ _) Hst'). reflexivity.
      * exists [pa; count; st; d; Z.of_nat j], s1. split; [|eexists _, _; split; [exact Hn|reflexivity]].
        norm. rewrite (proj2 (Z.eqb_neq _ _) Hst), andb_false_r. reflexivity.
    + exists [pa; count; st; d; Z.of_nat j], s1. split.
      * norm. rewrite (proj2 (Z.ltb_ge _ _) Hge). reflexivity.
      * exists st, d. split; [|reflexivity]. rewrite Nat.min_r by lia. by rewrite Nat.min_r in Hr by lia.
  - intros fr s1 (st & d & Hr & ->). rewrite Nat.min_r in Hr by lia. rewrite Hr. norm.
    destruct (Z.eqb_spec d 0) as [->|]; reflexivity.
Qed.

Theorem granule_undelegate_range_ok pa count s : inv s -> idle s -> 0 <= count ->
  core "granule_undelegate_range" [pa; count] s =
  Some (let '(st, d, s') := ranged undelegate pa count s in ([st; d], s')).
Proof.
  intros I D Hc. unfold ranged. enter f_granule_undelegate_range.
  destruct ((_ =? 0) || (512 <? _)) eqn:E; [reflexivity|].
  apply orb_false_iff in E as [E1%Z.eqb_neq E2%Z.ltb_ge].
  apply (loop_rule (so_far undelegate pa count s)).
  - exists 0, 0. split; reflexivity.
  - intros j fr s1 k Hj (st & d & Hr & ->). rewrite Z.add_0_l.
    destruct (repeated_inv undelegate undelegate_inv undelegate_idle pa s (min j (Z.to_nat count)) I D) as [I1 D1].
    rewrite Hr in I1, D1. cbn [snd] in I1, D1.
    destruct (Z.ltb_spec (Z.of_nat j) count) as [Hlt|Hge].
    + rewrite Nat.min_l in Hr by lia.
      destruct (undelegate (wrap U64 (pa + Z.of_nat j * 4096)) s1) as [st' s2] eqn:Ed.
      pose proof (granule_undelegate_ok (wrap U64 (pa + Z.of_nat j * 4096)) s1 I1 D1) as Hd.
      rewrite Ed in Hd. cbn [fst snd] in Hd.
      assert (Hn : repeated undelegate pa s (min (S j) (Z.to_nat count)) =
        if st =? 0 then (st', if st' =? 0 then Z.of_nat j + 1 else d, s2) else (st, d, s1)).
      { rewrite Nat.min_l by lia. cbn [repeated]. rewrite Hr. destruct (st =? 0); [by rewrite Ed|reflexivity]. }
      destruct (Z.eqb_spec st 0) as [Hst|Hst]; [destruct (Z.eqb_spec st' 0) as [Hst'|Hst']|].
      * exists [pa; count; st'; Z.of_nat j + 1; Z.of_nat j], s2. split; [|eexists _, _; split; [exact Hn|reflexivity]].
        norm. rewrite (proj2 (Z.ltb_lt _ _) Hlt), Hst. cbn [andb Z.eqb]. rewrite shl12 by done.
        erewrite bind_eq by exact Hd. norm. rewrite Hst'. cbn [Z.eqb]. rewrite wrap_small by lia. reflexivity.
      * exists [pa; count; st'; d; Z.of_nat j], s2. split; [|eexists _, _; split; [exact Hn|reflexivity]].
        norm. rewrite (proj2 (Z.ltb_lt _ _) Hlt), Hst. cbn [andb Z.eqb]. rewrite shl12 by done.
        erewrite bind_eq by exact Hd. norm. rewrite (proj2 (Z.eqb_neq _ _) Hst'). reflexivity.
      * exists [pa; count; st; d; Z.of_nat j], s1. split; [|eexists _, _; split; [exact Hn|reflexivity]].
        norm. rewrite (proj2 (Z.eqb_neq _ _) Hst), andb_false_r. reflexivity.
    + exists [pa; count; st; d; Z.of_nat j], s1. split.
      * norm. rewrite (proj2 (Z.ltb_ge _ _) Hge). reflexivity.
      * exists st, d. split; [|reflexivity]. rewrite Nat.min_r by lia. by rewrite Nat.min_r in Hr by lia.
  - intros fr s1 (st & d & Hr & ->). rewrite Nat.min_r in Hr by lia. rewrite Hr. norm.
    destruct (Z.eqb_spec d 0) as [->|]; reflexivity.
Qed.
