(* SPDX-License-Identifier: Apache-2.0 *)
(* 0, 1, .. n - 1: what loops go through. *)
From stdpp Require Import base list.
From Coq Require Import ZArith Lia.
Local Open Scope Z_scope.

Definition below (n : nat) : list Z := map Z.of_nat (seq 0 n).
Lemma below_S n : below (S n) = (below n ++ [Z.of_nat n])%list.
Proof. unfold below. by rewrite seq_S, map_app. Qed.
Lemma below_In n i : In i (below n) <-> 0 <= i < Z.of_nat n.
Proof.
  unfold below. rewrite in_map_iff. split.
  - intros (j & <- & Hj%in_seq). lia.
  - intros. exists (Z.to_nat i). rewrite in_seq. lia.
Qed.

(* f 0, then f 1, .. f (n - 1). *)
Definition each_below {S : Type} (n : nat) (f : Z -> S -> S) (s : S) : S := fold_left (fun s i => f i s) (below n) s.
Lemma each_below_S {S} n (f : Z -> S -> S) s : each_below (Datatypes.S n) f s = f (Z.of_nat n) (each_below n f s).
Proof. unfold each_below. by rewrite below_S, fold_left_app. Qed.
Lemma each_below_ext {S} n (f g : Z -> S -> S) s :
  (forall i s, 0 <= i < Z.of_nat n -> f i s = g i s) -> each_below n f s = each_below n g s.
Proof.
  intros H. induction n as [|n IH]; [reflexivity|]. rewrite !each_below_S, H by lia.
  f_equal. apply IH. intros. apply H. lia.
Qed.
(* A loop of n that does something in the first m iterations only. *)
Lemma each_below_if {S} n m (f : Z -> S -> S) s : 0 <= m <= Z.of_nat n ->
  each_below n (fun i s => if i <? m then f i s else s) s = each_below (Z.to_nat m) f s.
Proof.
  intros Hm. replace n with (Z.to_nat m + (n - Z.to_nat m))%nat by lia.
  induction (n - Z.to_nat m)%nat as [|k IH].
  - rewrite Nat.add_0_r. apply each_below_ext. intros i s' Hi. by rewrite (proj2 (Z.ltb_lt _ _)) by lia.
  - rewrite Nat.add_succ_r, each_below_S, IH. by rewrite (proj2 (Z.ltb_ge _ _)) by lia.
Qed.
