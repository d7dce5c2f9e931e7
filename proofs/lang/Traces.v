(* SPDX-License-Identifier: Apache-2.0 *)
(* A run of a program as the list of its primitives: which calls a function makes where they answer so and so. What the
   primitives do to a state is no part of that, so others may act between them. *)
From kcore Require Import lang.Lang.
From kcore Require Import lang.Link.
From Coq Require Import Lia.
Local Open Scope Z_scope.

Section traces.
  Context {prim : Type}.
  Record call := Call { c_prim : prim; c_args : list Z; c_results : list Z }.

  (* The machine that has answers and no state: it gives one after the other, and writes down what was asked. *)
  Definition script : Type := list (list Z) * list call.
  Definition answering (p : prim) (args : list Z) : M script (list Z) := fun '(answers, made) =>
    match answers with
    | rs :: answers => Some (rs, (answers, made ++ [Call p args rs]))
    | [] => None
    end.
  (* f makes these calls, and then gives rs. *)
  Definition performs (program : list (string * fundef prim)) (f : string) (args : list Z) (tr : list call) (rs : list Z) : Prop :=
    link answering program f args (map c_results tr, []) = Some (rs, ([], tr)).

  Context {state : Type} (psem : prim -> list Z -> M state (list Z)).

  (* A machine makes these calls, and gets these answers. *)
  Inductive plays : list call -> state -> state -> Prop :=
  | P_none s : plays [] s s
  | P_call c tr s s1 s2 : psem (c_prim c) (c_args c) s = Some (c_results c, s1) -> plays tr s1 s2 -> plays (c :: tr) s s2.

  Lemma plays_app tr1 tr2 s s2 : plays (tr1 ++ tr2) s s2 <-> exists s1, plays tr1 s s1 /\ plays tr2 s1 s2.
  Proof.
    split.
    - revert s. induction tr1 as [|c tr IH]; simpl; intros s H; [exists s; split; [constructor|exact H]|].
      inversion H as [|? ? ? s1 ? H1 H2]; subst. destruct (IH _ H2) as (t & K1 & K2). exists t. split; [econstructor; eauto|assumption].
    - intros (s1 & H1 & H2). induction H1; simpl; [exact H2|]. econstructor; eauto.
  Qed.

  (* The machine's run, and the script's. *)
  Record mirrors (m : M state (list Z)) (n : M script (list Z)) : Prop := Mirrors {
    mi_out : forall s rs s', m s = Some (rs, s') ->
        exists tr, plays tr s s' /\ forall o acc, n (map c_results tr ++ o, acc) = Some (rs, (o, acc ++ tr));
    mi_back : forall o acc rs o' acc', n (o, acc) = Some (rs, (o', acc')) ->
        exists tr, o = map c_results tr ++ o' /\ acc' = acc ++ tr /\ forall s s', plays tr s s' -> m s = Some (rs, s');
  }.

  Lemma prim_mirrors p args : mirrors (psem p args) (answering p args).
  Proof.
    constructor.
    - intros s rs s' H. exists [Call p args rs]. split; [econstructor; [exact H|constructor]|]. reflexivity.
    - intros [|r o] acc rs o' acc' H; [discriminate|]. injection H as -> <- <-. exists [Call p args rs].
      split; [reflexivity|]. split; [reflexivity|]. intros s s' K. inversion K as [|? ? ? s1 ? H1 H2]; subst. inversion H2; subst. exact H1.
  Qed.

  Lemma bind_mirrors m n k l : mirrors m n -> (forall vs, mirrors (k vs) (l vs)) -> mirrors (bind m k) (bind n l).
  Proof.
    intros Hm Hk. constructor.
    - intros s rs s' H. unfold bind in *. destruct (m s) as [[vs s1]|] eqn:E; [|discriminate].
      destruct (mi_out _ _ Hm _ _ _ E) as (t1 & P1 & N1). destruct (mi_out _ _ (Hk vs) _ _ _ H) as (t2 & P2 & N2).
      exists (t1 ++ t2). split; [apply plays_app; eauto|]. intros o acc. rewrite map_app, <- app_assoc, N1, N2, app_assoc. reflexivity.
    - intros o acc rs o' acc' H. unfold bind in *. destruct (n (o, acc)) as [[vs [o1 acc1]]|] eqn:E; [|discriminate].
      destruct (mi_back _ _ Hm _ _ _ _ _ E) as (t1 & -> & -> & B1). destruct (mi_back _ _ (Hk vs) _ _ _ _ _ H) as (t2 & -> & -> & B2).
      exists (t1 ++ t2). rewrite map_app, !app_assoc. split; [reflexivity|]. split; [reflexivity|].
      intros s s' K. apply plays_app in K as (s1 & K1 & K2). rewrite (B1 _ _ K1). exact (B2 _ _ K2).
  Qed.

  Lemma ret_mirrors vs : mirrors (ret vs) (ret vs).
  Proof.
    constructor.
    - intros s rs s' [= <- <-]. exists []. split; [constructor|]. intros o acc. rewrite app_nil_r. reflexivity.
    - intros o acc rs o' acc' [= <- <- <-]. exists []. rewrite app_nil_r. split; [reflexivity|]. split; [reflexivity|].
      intros s s' K. inversion K; subst. reflexivity.
  Qed.

  Lemma loop_mirrors (x : frame -> cont -> M state (list Z)) (y : frame -> cont -> M script (list Z)) v n :
    (forall fr k l, (forall fr', mirrors (k fr') (l fr')) -> mirrors (x fr k) (y fr l)) ->
    forall i fr k l, (forall fr', mirrors (k fr') (l fr')) -> mirrors (loop x v i n fr k) (loop y v i n fr l).
  Proof. intros Hb. induction n as [|n IH]; intros i fr k l Hk; simpl; auto. Qed.

  Lemma exec_mirrors (E : env state) (F : env script) (HE : forall f args, mirrors (E f args) (F f args)) st :
    forall fr k l, (forall fr', mirrors (k fr') (l fr')) -> mirrors (exec psem E st fr k) (exec answering F st fr l).
  Proof.
    induction st; simpl; intros fr k l Hk; auto.
    - apply bind_mirrors; [apply prim_mirrors|auto].
    - apply bind_mirrors; auto.
    - destruct (test fr c); auto.
    - apply loop_mirrors; auto.
    - apply ret_mirrors.
  Qed.

  Lemma link_mirrors p f args : mirrors (link psem p f args) (link answering p f args).
  Proof.
    unfold link.
    assert (H : forall g a, mirrors (nothing (state := state) g a) (nothing (state := script) g a))
      by (intros g a; constructor; intros; discriminate).
    revert H. generalize (nothing (state := state)) as E. generalize (nothing (state := script)) as F. revert f args.
    induction p as [|[g d] p IH]; simpl; intros f args F E HE; [apply HE|].
    apply IH. intros f' args'. unfold define. destruct (String.eqb f' g); [|apply HE].
    apply exec_mirrors; [exact HE|]. intros fr'. apply ret_mirrors.
  Qed.

  (* A function's run is a list of calls that it makes and the machine answers. *)
  Theorem link_plays p f args s rs s' :
    link psem p f args s = Some (rs, s') <-> exists tr, performs p f args tr rs /\ plays tr s s'.
  Proof.
    destruct (link_mirrors p f args) as [Out Back]. split.
    - intros H. destruct (Out _ _ _ H) as (tr & P & N). exists tr. split; [|exact P].
      specialize (N [] []). rewrite app_nil_r in N. exact N.
    - intros (tr & H & P). destruct (Back _ _ _ _ _ H) as (tr' & _ & E & B). simpl in E. subst tr'. exact (B _ _ P).
  Qed.

  (* Where each call on a list would get the answer that stands there, a function that makes these calls on paper makes them
     on the machine. ready: the machine is where the rest of the list can follow. *)
  Context (ready : list call -> state -> Prop).
  Context (answers : forall c tr s rs s', ready (c :: tr) s -> psem (c_prim c) (c_args c) s = Some (rs, s') ->
      rs = c_results c /\ ready tr s').

  Definition agrees (m : M state (list Z)) (n : M script (list Z)) : Prop :=
    forall s rs' s' t u acc rs, m s = Some (rs', s') -> n (map c_results (t ++ u), acc) = Some (rs, (map c_results u, acc ++ t)) ->
      ready (t ++ u) s -> rs' = rs /\ ready u s' /\ plays t s s'.

  Lemma prim_agrees p args : agrees (psem p args) (answering p args).
  Proof.
    intros s rs' s' t u acc rs H N R. destruct (mi_back _ _ (prim_mirrors p args) _ _ _ _ _ N) as (t1 & A & B & _).
    apply app_inv_head in B as ->. destruct t1 as [|c [|d t1]]; cbn in N.
    - destruct u as [|c u]; cbn in N; [discriminate|]. injection N as _ _ N. apply (f_equal (@length _)) in N. rewrite length_app in N. cbn in N. rewrite app_nil_r in N. lia.
    - injection N as -> N. apply app_inv_head in N. injection N as N. subst c. cbn in *.
      destruct (answers _ _ _ _ _ R H) as [-> K]. split; [reflexivity|]. split; [exact K|]. econstructor; [exact H|constructor].
    - injection N as _ _ N. apply app_inv_head in N. discriminate.
  Qed.

  Lemma bind_agrees m n k l : mirrors m n -> (forall vs, mirrors (k vs) (l vs)) -> agrees m n -> (forall vs, agrees (k vs) (l vs)) ->
    agrees (bind m k) (bind n l).
  Proof.
    intros Hm Hk Am Ak s rs' s' t u acc rs H N R. unfold bind in *.
    destruct (m s) as [[vs' s1]|] eqn:E; [|discriminate]. destruct (n _) as [[vs [o1 acc1]]|] eqn:F; [|discriminate].
    destruct (mi_back _ _ Hm _ _ _ _ _ F) as (t1 & A & -> & _). destruct (mi_back _ _ (Hk vs) _ _ _ _ _ N) as (t2 & -> & B & _).
    rewrite <- app_assoc in B. apply app_inv_head in B as ->. rewrite <- app_assoc in *. rewrite <- map_app in *.
    destruct (Am _ _ _ _ _ _ _ E F R) as (-> & R1 & P1). rewrite app_assoc in N.
    destruct (Ak vs _ _ _ _ _ _ _ H N R1) as (-> & R2 & P2). split; [reflexivity|]. split; [exact R2|]. apply plays_app. eauto.
  Qed.

  Lemma ret_agrees vs : agrees (ret vs) (ret vs).
  Proof.
    intros s rs' s' t u acc rs H N R. injection H as <- <-. injection N as <- A B.
    assert (t = []) as ->. { apply (f_equal (@length _)) in B. rewrite length_app in B. destruct t; [reflexivity|cbn in B; lia]. }
    split; [reflexivity|]. split; [exact R|constructor].
  Qed.

  Definition both (m : M state (list Z)) (n : M script (list Z)) : Prop := mirrors m n /\ agrees m n.

  Lemma loop_both (x : frame -> cont -> M state (list Z)) (y : frame -> cont -> M script (list Z)) v n :
    (forall fr k l, (forall fr', both (k fr') (l fr')) -> both (x fr k) (y fr l)) ->
    forall i fr k l, (forall fr', both (k fr') (l fr')) -> both (loop x v i n fr k) (loop y v i n fr l).
  Proof. intros Hb. induction n as [|n IH]; intros i fr k l Hk; simpl; auto. Qed.

  Lemma bind_both m n k l : both m n -> (forall vs, both (k vs) (l vs)) -> both (bind m k) (bind n l).
  Proof.
    intros [A B] H. split; [apply bind_mirrors; [exact A|apply H]|apply bind_agrees; [exact A|apply H|exact B|apply H]].
  Qed.

  Lemma exec_both (E : env state) (F : env script) (HE : forall f args, both (E f args) (F f args)) st :
    forall fr k l, (forall fr', both (k fr') (l fr')) -> both (exec psem E st fr k) (exec answering F st fr l).
  Proof.
    induction st; simpl; intros fr k l Hk; auto.
    - apply bind_both; [split; [apply prim_mirrors|apply prim_agrees]|auto].
    - apply bind_both; auto.
    - destruct (test fr c); auto.
    - apply loop_both; auto.
    - split; [apply ret_mirrors|apply ret_agrees].
  Qed.

  Lemma link_both p f args : both (link psem p f args) (link answering p f args).
  Proof.
    unfold link.
    assert (H : forall g a, both (nothing (state := state) g a) (nothing (state := script) g a)).
    { intros g a. split; [constructor; intros; discriminate|]. intros s rs' s' t u acc rs H. discriminate. }
    revert H. generalize (nothing (state := state)) as E. generalize (nothing (state := script)) as F. revert f args.
    induction p as [|[g d] p IH]; simpl; intros f args F E HE; [apply HE|].
    apply IH. intros f' args'. unfold define. destruct (String.eqb f' g); [|apply HE].
    apply exec_both; [exact HE|]. intros fr'. split; [apply ret_mirrors|apply ret_agrees].
  Qed.

  Theorem link_agrees p f args tr rs s rs' s' :
    performs p f args tr rs -> ready tr s -> link psem p f args s = Some (rs', s') -> rs' = rs /\ ready [] s' /\ plays tr s s'.
  Proof.
    intros N R H. destruct (link_both p f args) as [_ A]. apply (A s rs' s' tr [] []); rewrite ?app_nil_r; try assumption.
  Qed.
End traces.
Arguments call : clear implicits.
