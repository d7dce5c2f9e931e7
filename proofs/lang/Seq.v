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
