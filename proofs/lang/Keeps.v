(* SPDX-License-Identifier: Apache-2.0 *)
(* What every primitive keeps, every program keeps. And a program runs as well on a machine that can do what this one does. *)
From kcore Require Import lang.Lang.
From kcore Require Import lang.Link.
Local Open Scope Z_scope.

Section keeps.
  Context {prim state : Type} (psem : prim -> list Z -> M state (list Z)) (P : state -> Prop).
  Definition keeps (m : M state (list Z)) : Prop := forall s rs s', m s = Some (rs, s') -> P s -> P s'.
  Context (Hprim : forall p args, keeps (psem p args)).

  Lemma bind_keeps (m : M state (list Z)) k : keeps m -> (forall vs, keeps (k vs)) -> keeps (bind m k).
  Proof.
    intros Hm Hk s rs s' H Hs. unfold bind in H. destruct (m s) as [[vs s1]|] eqn:E; [|discriminate].
    eapply Hk; [exact H|]. eapply Hm; eauto.
  Qed.

  Lemma loop_keeps (body : frame -> cont -> M state (list Z)) v n :
    (forall fr k, (forall fr', keeps (k fr')) -> keeps (body fr k)) ->
    forall i fr k, (forall fr', keeps (k fr')) -> keeps (loop body v i n fr k).
  Proof. intros Hb. induction n as [|n IH]; intros i fr k Hk; simpl; auto. Qed.

  Lemma exec_keeps (E : env state) (HE : forall f args, keeps (E f args)) st :
    forall fr k, (forall fr', keeps (k fr')) -> keeps (exec psem E st fr k).
  Proof.
    induction st; simpl; intros fr k Hk; auto.
    - apply bind_keeps; auto.
    - apply bind_keeps; auto.
    - destruct (test fr c); auto.
    - apply loop_keeps; auto.
    - intros s rs s' [= _ <-]. auto.
  Qed.

  Theorem link_keeps p f args : keeps (link psem p f args).
  Proof.
    unfold link. assert (H : forall g a, keeps (nothing (state := state) g a)) by (intros g a s rs s' H; discriminate).
    revert H. generalize (nothing (state := state)) as E. revert f args.
    induction p as [|[g d] p IH]; simpl; intros f args E HE; [apply HE|].
    apply IH. intros f' args'. unfold define. destruct (String.eqb f' g); [|apply HE].
    apply exec_keeps; [exact HE|]. intros fr' s rs s' [= _ <-]. auto.
  Qed.
End keeps.

(* What every primitive but some keeps, every function keeps that does not use these, nor calls one that does. *)
Section without.
  Context {prim state : Type} (psem : prim -> list Z -> M state (list Z)) (P : state -> Prop) (some : prim -> bool).
  Context (Hprim : forall p args, some p = false -> keeps P (psem p args)).

  Fixpoint without (names : list string) (s : stmt prim) : bool :=
    match s with
    | SPrim _ p _ => negb (some p)
    | SCall _ f _ => named f names
    | SIf _ a b | SSeq a b => without names a && without names b
    | SFor _ _ _ b => without names b
    | SSkip | SSet _ _ | SRet _ => true
    end.
  (* The functions without them. *)
  Fixpoint functions_without (names : list string) (p : list (string * fundef prim)) : list string :=
    match p with
    | [] => names
    | (f, d) :: p =>
        functions_without
          (if without names (f_body d) then f :: names else List.filter (fun g => negb (String.eqb g f)) names) p
    end.

  Lemma exec_without (E : env state) names (HE : forall f args, named f names = true -> keeps P (E f args)) st :
    without names st = true -> forall fr k, (forall fr', keeps P (k fr')) -> keeps P (exec psem E st fr k).
  Proof.
    induction st; simpl; intros H fr k Hk; auto.
    - apply bind_keeps; [|auto]. apply Hprim. now apply negb_true_iff.
    - apply bind_keeps; auto.
    - apply andb_true_iff in H as [H1 H2]. destruct (test fr c); auto.
    - apply andb_true_iff in H as [H1 H2]. auto.
    - apply loop_keeps; auto.
    - intros s rs s' [= _ <-]. auto.
  Qed.

  Theorem link_without p f args : named f (functions_without [] p) = true -> keeps P (link psem p f args).
  Proof.
    unfold link. assert (H : forall g a, named g [] = true -> keeps P (nothing (state := state) g a)) by (intros g a Hg; discriminate).
    revert H. generalize (nothing (state := state)) as E. generalize (@nil string) as names. revert f args.
    induction p as [|[g d] p IH]; simpl; intros f args names E HE; [apply HE|].
    apply IH. intros f' args'. unfold define. destruct (without names (f_body d)) eqn:W.
    - simpl. destruct (String.eqb f' g); [|apply HE]. intros _.
      apply (exec_without E names HE _ W). intros fr' s rs s' [= _ <-]. auto.
    - intros Hf. apply named_In in Hf. apply filter_In in Hf as [Hf N]. apply negb_true_iff in N. rewrite N.
      apply HE. now apply named_In.
  Qed.
End without.

Section follows.
  Context {prim A B : Type} (pA : prim -> list Z -> M A (list Z)) (pB : prim -> list Z -> M B (list Z)) (R : A -> B -> Prop).
  Definition follows (m : M A (list Z)) (n : M B (list Z)) : Prop :=
    forall a rs a' b, m a = Some (rs, a') -> R a b -> exists b', n b = Some (rs, b') /\ R a' b'.
  Context (Hprim : forall p args, follows (pA p args) (pB p args)).

  Lemma bind_follows m n k l : follows m n -> (forall vs, follows (k vs) (l vs)) -> follows (bind m k) (bind n l).
  Proof.
    intros Hm Hk a rs a' b H Hab. unfold bind in *. destruct (m a) as [[vs a1]|] eqn:E; [|discriminate].
    destruct (Hm _ _ _ _ E Hab) as (b1 & -> & H1). exact (Hk _ _ _ _ _ H H1).
  Qed.

  Lemma loop_follows (x : frame -> cont -> M A (list Z)) (y : frame -> cont -> M B (list Z)) v n :
    (forall fr k l, (forall fr', follows (k fr') (l fr')) -> follows (x fr k) (y fr l)) ->
    forall i fr k l, (forall fr', follows (k fr') (l fr')) -> follows (loop x v i n fr k) (loop y v i n fr l).
  Proof. intros Hb. induction n as [|n IH]; intros i fr k l Hk; simpl; auto. Qed.

  Lemma exec_follows (E : env A) (F : env B) (HE : forall f args, follows (E f args) (F f args)) st :
    forall fr k l, (forall fr', follows (k fr') (l fr')) -> follows (exec pA E st fr k) (exec pB F st fr l).
  Proof.
    induction st; simpl; intros fr k l Hk; auto.
    - apply bind_follows; auto.
    - apply bind_follows; auto.
    - destruct (test fr c); auto.
    - apply loop_follows; auto.
    - intros a rs a' b [= <- <-] Hab. exists b. auto.
  Qed.

  Theorem link_follows p f args : follows (link pA p f args) (link pB p f args).
  Proof.
    unfold link.
    assert (H : forall g a, follows (nothing (state := A) g a) (nothing (state := B) g a)) by (intros g a s rs s' b H; discriminate).
    revert H. generalize (nothing (state := A)) as E, (nothing (state := B)) as F. revert f args.
    induction p as [|[g d] p IH]; simpl; intros f args E F HE; [apply HE|].
    apply IH. intros f' args'. unfold define. destruct (String.eqb f' g); [|apply HE].
    apply exec_follows; [exact HE|]. intros fr' a rs a' b [= <- <-] Hab. exists b. auto.
  Qed.
End follows.
