(* SPDX-License-Identifier: Apache-2.0 *)
(* A function without primitives of its own does what its callees do, one after the other. *)
From kcore Require Import lang.Lang.
From kcore Require Import lang.Link.
From kcore Require Import lang.Traces.
Local Open Scope Z_scope.

Section parts.
  Context {prim : Type} (program : list (string * fundef prim)) (P : string -> list Z -> Prop).

  (* One run of such a function after the other. *)
  Inductive composed : list (call prim) -> Prop :=
  | C_none : composed []
  | C_call f args t rs tr : P f args -> performs program f args t rs -> composed tr -> composed (t ++ tr).

  Fixpoint only_calls (s : stmt prim) : Prop :=
    match s with
    | SCall _ f args => forall fr, P f (evals fr args)
    | SPrim _ _ _ => False
    | SIf _ a b | SSeq a b => only_calls a /\ only_calls b
    | SFor _ _ _ b => only_calls b
    | SSkip | SSet _ _ | SRet _ => True
    end.

  Lemma called_performs f args o acc rs o' acc' : link answering program f args (o, acc) = Some (rs, (o', acc')) ->
    exists t, acc' = acc ++ t /\ performs program f args t rs.
  Proof.
    intros H. destruct (mi_back _ _ _ (link_mirrors answering program f args) _ _ _ _ _ H) as (t & _ & -> & B). exists t.
    split; [reflexivity|].
    apply B. clear. change t with ([] ++ t) at 3. generalize (@nil (call prim)) as done. induction t as [|[p args rs] t IH]; intros done.
    - rewrite app_nil_r. constructor.
    - econstructor; [reflexivity|]. specialize (IH (done ++ [Call p args rs])). rewrite <- app_assoc in IH. exact IH.
  Qed.

  Definition composes (m : M script (list Z)) : Prop := forall o acc rs o' acc', m (o, acc) = Some (rs, (o', acc')) ->
    exists t, acc' = acc ++ t /\ composed t.

  Lemma exec_composes s : only_calls s -> forall fr k, (forall fr', composes (k fr')) ->
    composes (exec answering (link answering program) s fr k).
  Proof.
    induction s; cbn [only_calls exec]; intros H fr k Hk; try (now apply Hk); try contradiction.
    - intros o acc rs o' acc' K. unfold bind in K. destruct (link _ _ _ _ _) as [[vs [o1 acc1]]|] eqn:E; [|discriminate].
      destruct (called_performs _ _ _ _ _ _ _ E) as (t & -> & Hp). destruct (Hk _ _ _ _ _ _ K) as (u & -> & Hu).
      exists (t ++ u). rewrite app_assoc. split; [reflexivity|]. econstructor; eauto.
    - destruct H as [H1 H2]. destruct (test fr c); auto.
    - destruct H as [H1 H2]. auto.
    - revert first fr. induction count as [|n IH]; intros i fr; cbn [loop]; [apply Hk|]. apply IHs; [exact H|]. intros fr'. apply IH.
    - intros o acc rs o' acc' [= <- <- <-]. exists []. rewrite app_nil_r. split; [reflexivity|constructor].
  Qed.

  Theorem performs_composed f d args tr rs : wf program = true -> fun_of program f = Some d -> only_calls (f_body d) ->
    performs program f args tr rs -> composed tr.
  Proof.
    intros W F C H. unfold performs in H. rewrite (link_fix answering program f d W F) in H. unfold denote in H.
    assert (K : forall fr : frame, composes (ret (A := list Z) [])).
    { intros fr o acc vs o' acc' [= <- <- <-]. exists []. rewrite app_nil_r. split; [reflexivity|constructor]. }
    destruct (exec_composes _ C _ _ K _ _ _ _ _ H) as (t & E & Ht). cbn [app] in E. subst t. exact Ht.
  Qed.
End parts.
