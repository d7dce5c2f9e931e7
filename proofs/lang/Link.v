(* SPDX-License-Identifier: Apache-2.0 *)
(* A program is a list of functions, callees before callers. Its meaning gives each function the meaning
   of its body, where calls mean the functions before it (link). link_fix: all calls then mean what the
   whole program says; so a theorem about a callee may stand in for the callee's body. *)
From kcore Require Import lang.Lang.
Local Open Scope Z_scope.

Section link.
  Context {prim state : Type} (psem : prim -> list Z -> M state (list Z)).
  Notation env := (env state).
  Notation program := (list (string * fundef prim)).

  Definition nothing : env := fun _ _ _ => None.
  Definition define (E : env) (f : string) (d : fundef prim) : env :=
    fun g args => if String.eqb g f then denote psem E d args else E g args.
  Fixpoint link_from (E : env) (p : program) : env :=
    match p with
    | [] => E
    | (f, d) :: p => link_from (define E f d) p
    end.
  Definition link (p : program) : env := link_from nothing p.

  Fixpoint callees (s : stmt prim) : list string :=
    match s with
    | SCall _ f _ => [f]
    | SIf _ a b | SSeq a b => callees a ++ callees b
    | SFor _ _ _ b => callees b
    | SSkip | SSet _ _ | SPrim _ _ _ | SRet _ => []
    end.

  Fixpoint fun_of (p : program) (f : string) : option (fundef prim) :=
    match p with
    | [] => None
    | (g, d) :: p => if String.eqb f g then Some d else fun_of p f
    end.

  Definition named (f : string) (l : list string) : bool := existsb (String.eqb f) l.

  (* Every callee is defined before its caller, no name twice. *)
  Fixpoint wf_from (seen : list string) (p : program) : bool :=
    match p with
    | [] => true
    | (f, d) :: p =>
        negb (named f seen) && forallb (fun g => named g seen) (callees (f_body d)) && wf_from (f :: seen) p
    end.
  Definition wf (p : program) : bool := wf_from [] p.

  (* ---- A statement's meaning depends on what its callees mean, and on nothing else. ---- *)

  Lemma loop_ext (b1 b2 : frame -> cont -> M state (list Z)) v n :
    (forall fr k1 k2 s, (forall fr s, k1 fr s = k2 fr s) -> b1 fr k1 s = b2 fr k2 s) ->
    forall i fr k1 k2 s, (forall fr s, k1 fr s = k2 fr s) ->
    loop b1 v i n fr k1 s = loop b2 v i n fr k2 s.
  Proof.
    intros Hb; induction n as [|n IH]; intros i fr k1 k2 s Hk; simpl; [apply Hk|].
    apply Hb; intros; apply IH, Hk.
  Qed.

  Lemma exec_ext (E1 E2 : env) st :
    (forall g, In g (callees st) -> forall args s, E1 g args s = E2 g args s) ->
    forall fr k1 k2 s, (forall fr s, k1 fr s = k2 fr s) ->
    exec psem E1 st fr k1 s = exec psem E2 st fr k2 s.
  Proof.
    induction st; simpl; intros HE fr k1 k2 s Hk; auto.
    - unfold bind. destruct (psem _ _ _) as [[vs s']|]; auto.
    - unfold bind. rewrite HE by auto. destruct (E2 _ _ _) as [[vs s']|]; auto.
    - destruct (test fr c); [apply IHst1 | apply IHst2]; auto; intros; apply HE, in_or_app; auto.
    - apply IHst1; [intros; apply HE, in_or_app; auto|].
      intros; apply IHst2; auto; intros; apply HE, in_or_app; auto.
    - apply loop_ext; auto.
  Qed.

  Lemma denote_ext (E1 E2 : env) d :
    (forall g, In g (callees (f_body d)) -> forall args s, E1 g args s = E2 g args s) ->
    forall args s, denote psem E1 d args s = denote psem E2 d args s.
  Proof. intros; apply exec_ext; auto. Qed.

  (* ---- The theorem ---- *)

  Lemma named_In f l : named f l = true <-> In f l.
  Proof.
    unfold named; rewrite existsb_exists; split.
    - intros (g & Hg & ->%String.eqb_eq); auto.
    - intros; exists f; split; [auto | apply String.eqb_refl].
  Qed.

  Lemma link_from_old E p seen g :
    wf_from seen p = true -> In g seen -> forall args s, link_from E p g args s = E g args s.
  Proof.
    revert E seen; induction p as [|[f d] p IH]; simpl; intros E seen Hwf Hg args s; auto.
    apply andb_true_iff in Hwf as [[Hf _]%andb_true_iff Hp].
    rewrite (IH _ _ Hp) by (right; auto).
    unfold define. destruct (String.eqb_spec g f) as [->|]; auto.
    apply named_In in Hg. rewrite Hg in Hf; discriminate.
  Qed.

  Lemma link_from_fix p : forall E seen f d,
    wf_from seen p = true -> fun_of p f = Some d ->
    forall args s, link_from E p f args s = denote psem (link_from E p) d args s.
  Proof.
    induction p as [|[g d'] p IH]; simpl; intros E seen f d Hwf Hfind args s; [discriminate|].
    apply andb_true_iff in Hwf as [[Hg Hc]%andb_true_iff Hp].
    destruct (String.eqb_spec f g) as [->|Hne].
    - injection Hfind as ->.
      rewrite (link_from_old _ _ _ _ Hp) by (left; auto).
      unfold define at 1. rewrite String.eqb_refl.
      apply denote_ext; intros h Hh args' s'.
      rewrite forallb_forall in Hc. specialize (Hc h Hh). 
      rewrite (link_from_old _ _ _ _ Hp) by (right; apply named_In; auto).
      unfold define. destruct (String.eqb_spec h g) as [->|]; auto.
      rewrite Hc in Hg; discriminate.
    - eapply IH; eauto.
  Qed.

  Theorem link_fix p f d :
    wf p = true -> fun_of p f = Some d ->
    forall args s, link p f args s = denote psem (link p) d args s.
  Proof. intros; eapply link_from_fix; eauto. Qed.
End link.
