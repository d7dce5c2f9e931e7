(* SPDX-License-Identifier: Apache-2.0 *)
(* Runs of several CPUs on one memory, from a state that the invariant holds of: at each primitive, what it touches its CPU has,
   and no other. *)
From kcore Require Export concurrent.Has.
From kcore Require Import spec.Inv.
Local Open Scope Z_scope.

Lemma inv_owners s : inv s -> owners_ok s.
Proof.
  intros I pa st o. cbn [read]. destruct (gran s !! pa) as [g|] eqn:E; [|discriminate]. intros [= <- <-].
  pose proof (i_owner _ I _ _ E) as W. split.
  - intros N. destruct (Z.eqb_spec (g_state g) GS_REC); [by left|]. destruct (Z.eqb_spec (g_state g) GS_RTT); [by right; left|].
    destruct (Z.eqb_spec (g_state g) GS_DATA); [by right; right|]. destruct (N W).
  - unfold is_host_table. destruct (role_of (hw s) pa) as [r|] eqn:R; [|discriminate]. intros _.
    pose proof (i_host _ I _ _ _ E R) as C. rewrite C in W. exact (conj C W).
Qed.

(* All see one memory, and none has a lock. *)
Record start (V : nat -> state) : Prop := Start {
  sa_inv : forall i, inv (V i) /\ idle (V i);
  sa_hw : forall i j, hw (V i) = hw (V j);
  sa_same : forall i j c, read c (V i) = read c (V j);
}.
Theorem start_together V : start V -> together V.
Proof.
  intros [A B C]. assert (N : forall i l, holds l (V i) = false) by (intros i l; unfold holds; by rewrite (proj1 (proj2 (A i)))).
  constructor.
  - exact B.
  - exact C.
  - intros i j l _ H. by rewrite N in H.
  - intros i. constructor; [intros pa H; by rewrite N in H|rewrite (proj1 (proj2 (A i))); intros []|intros pa H; by rewrite N in H].
  - intros i. apply inv_owners, A.
Qed.

Inductive turns : (nat -> state) -> (nat -> state) -> Prop :=
| T_none V : turns V V
| T_turn i p args rs V V1 V2 : turns V V1 -> turn i p args rs V1 V2 -> turns V V2.
Lemma turns_together V V' : turns V V' -> together V -> together V'.
Proof. induction 1; [done|]. intros T. eapply together_kept; eauto. Qed.

(* This CPU has it, and no other. *)
Definition has_alone (V : nat -> state) (i : nat) (c : cell) : Prop := has (V i) c = true /\ forall j, j <> i -> has (V j) c = false.
Lemma together_alone V i c : together V -> has (V i) c = true -> has_alone V i c.
Proof.
  intros T H. split; [exact H|]. intros j N. destruct (has (V j) c) eqn:E; [|reflexivity]. destruct (has_apart V T i j (not_eq_sym N) c H E).
Qed.

(* No lock gives it: a page of the host's in use, a REC, pins and the like; or it is what an attempt succeeds with. *)
Definition had_by_none (V : nat -> state) (i : nat) (p : prim) (c : cell) : Prop :=
  (nobodys (V i) c = true \/ attempts p (V i) c = true) /\ forall j, has (V j) c = false.

Lemma turn_own V V' i p args rs c : together V -> turn i p args rs V V' -> touching p args rs (V i) c = true ->
  has_alone V i c \/ has_alone V' i c \/ had_by_none V i p c.
Proof.
  intros T Tu H. pose proof (together_kept _ _ _ _ _ _ Tu T) as T'.
  assert (F : tables_free (V i)) by (apply orderly_free; [apply (tg_orderly _ T)|apply (tg_owners _ T)]).
  destruct (prim_has _ _ _ _ _ (tu_prim _ _ _ _ _ _ Tu) F c H) as [[A | A] | [A | A]].
  - left. by apply together_alone.
  - right. right. split; [by left|]. intros j. apply nobodys_has. by rewrite <- (nobodys_same V i j c T).
  - right. left. by apply together_alone.
  - right. right. split; [by right|]. by apply (attempt_free _ _ _ _ _ _ _ Tu T).
Qed.

Theorem turns_own V V1 V2 i p args rs c : start V -> turns V V1 -> turn i p args rs V1 V2 -> touching p args rs (V1 i) c = true ->
  has_alone V1 i c \/ has_alone V2 i c \/ had_by_none V1 i p c.
Proof. intros S R Tu H. apply (turn_own V1 V2 i p args rs); [|exact Tu|exact H]. apply (turns_together _ _ R), start_together, S. Qed.
