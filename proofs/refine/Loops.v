(* SPDX-License-Identifier: Apache-2.0 *)
(* Loops: a rule with an invariant, and a tactic that takes one iteration of a short one. *)
From kcore Require Export refine.Tactics lang.Seq.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma loop_rule (P : nat -> frame -> state -> Prop) body v n i fr (k : cont (state := state)) s r :
  P 0%nat fr s ->
  (forall j fr s k, (j < n)%nat -> P j fr s ->
     exists fr' s', body (put fr v (i + Z.of_nat j)) k s = k fr' s' /\ P (S j) (reset fr' v) s') ->
  (forall fr s, P n fr s -> k fr s = r) ->
  loop body v i n fr k s = r.
Proof.
  intros H0 Hstep Hend.
  enough (forall m j i' fr s, (j + m = n)%nat -> i' = i + Z.of_nat j -> P j fr s -> loop body v i' m fr k s = r) as Hall.
  { apply (Hall n 0%nat); [lia | lia | exact H0]. }
  clear H0 fr s.
  induction m as [|m IH]; intros j i' fr s Hj -> Hp.
  - apply Hend. by replace n with j by lia.
  - cbn [loop]. destruct (Hstep j fr s (fun fr' => loop body v (i + Z.of_nat j + 1) m (reset fr' v) k)) as (fr' & s' & -> & Hp');
      [lia | exact Hp |].
    apply (IH (S j)); [lia | lia | exact Hp'].
Qed.

Lemma loop_S body v i i' n fr (k : cont (state := state)) s r :
  i' = i + 1 -> body (put fr v i) (fun fr' => loop body v i' n (reset fr' v) k) s = r -> loop body v i (S n) fr k s = r.
Proof. intros -> H. exact H. Qed.
Lemma loop_O body v i fr (k : cont (state := state)) s r : k fr s = r -> loop body v i O fr k s = r.
Proof. exact id. Qed.

Ltac iterate :=
  lazymatch goal with
  | |- loop _ _ ?i (S _) _ _ _ = _ => let i' := eval compute in (i + 1) in apply (loop_S _ _ i i'); [reflexivity|]
  | |- loop _ _ _ O _ _ _ = _ => apply loop_O
  end; norm.
