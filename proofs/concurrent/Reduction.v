(* SPDX-License-Identifier: Apache-2.0 *)
(* Reduction (Lipton 1975): a run in which several CPUs take turns at each event ends where a run ends in which each
   section of a CPU's events stands alone, if in each section events that move right come first, then at most one that moves
   neither way, then events that move left. Events keep their order on each CPU, and an event says what it gave, so each CPU
   gets the same results. *)
From Coq Require Export List Arith Bool Lia.
Export ListNotations.

Lemma NoDup_app_last {A} (l : list A) x : NoDup l -> ~ In x l -> NoDup (l ++ [x]).
Proof. intros H N. apply NoDup_rev in H. rewrite <- (rev_involutive (l ++ [x])), rev_app_distr. apply NoDup_rev. simpl. constructor; [|exact H]. rewrite <- in_rev. exact N. Qed.

Section reduction.
  Context {S E : Type} (step : E -> S -> S -> Prop).

  Inductive runs : list E -> S -> S -> Prop :=
  | R_none s : runs [] s s
  | R_step e l s s1 s2 : step e s s1 -> runs l s1 s2 -> runs (e :: l) s s2.

  Lemma runs_cons e l s s2 : runs (e :: l) s s2 -> exists s1, step e s s1 /\ runs l s1 s2.
  Proof. inversion 1; subst. eauto. Qed.
  Lemma runs_app l1 l2 s s2 : runs (l1 ++ l2) s s2 <-> exists s1, runs l1 s s1 /\ runs l2 s1 s2.
  Proof.
    split.
    - revert s. induction l1 as [|e l1 IH]; simpl; intros s H; [exists s; split; [constructor|exact H]|].
      apply runs_cons in H as (s1 & H1 & H2). destruct (IH _ H2) as (t & K1 & K2). exists t. split; [econstructor; eauto|assumption].
    - intros (s1 & H1 & H2). induction H1; simpl; [exact H2|]. econstructor; eauto.
  Qed.

  (* An event's section: the CPU, and which of its sections. *)
  Context (section : E -> nat * nat) (right left : E -> Prop).
  Definition cpu (e : E) : nat := fst (section e).
  Context (right_moves : forall x y s s1 s2, right x -> cpu x <> cpu y -> step x s s1 -> step y s1 s2 ->
      exists t, step y s t /\ step x t s2).
  Context (left_moves : forall x y s s1 s2, left y -> cpu x <> cpu y -> step x s s1 -> step y s1 s2 ->
      exists t, step y s t /\ step x t s2).

  Definition reducible (b : list E) : Prop := exists b1 b2, b = b1 ++ b2 /\ Forall right b1 /\ Forall left (tl b2).

  Lemma right_over x c s s2 : right x -> Forall (fun y => cpu x <> cpu y) c -> runs (x :: c) s s2 -> runs (c ++ [x]) s s2.
  Proof.
    intros Hx. revert s. induction c as [|y c IH]; simpl; intros s Hc H; [exact H|].
    inversion Hc as [|? ? Hxy Hc']; subst. apply runs_cons in H as (s1 & H1 & H). apply runs_cons in H as (s3 & H3 & H).
    destruct (right_moves _ _ _ _ _ Hx Hxy H1 H3) as (t & A & B). econstructor; [exact A|]. apply IH; [assumption|]. econstructor; eauto.
  Qed.
  Lemma rights_over b c s s2 : Forall right b -> (forall x y, In x b -> In y c -> cpu x <> cpu y) ->
    runs (b ++ c) s s2 -> runs (c ++ b) s s2.
  Proof.
    revert s c. induction b as [|x b IH]; simpl; intros s c Hb Hc H; [rewrite app_nil_r; exact H|].
    inversion Hb as [|? ? Hx Hb']; subst. apply runs_cons in H as (s1 & H1 & H). apply IH in H; [|assumption|intros; apply Hc; auto].
    assert (K : runs ((x :: c) ++ b) s s2) by (simpl; econstructor; eauto).
    apply runs_app in K as (t & K1 & K2). apply right_over in K1; [|assumption|apply Forall_forall; intros; apply Hc; auto].
    replace (c ++ x :: b) with ((c ++ [x]) ++ b) by (rewrite <- app_assoc; reflexivity). apply runs_app. eauto.
  Qed.
  Lemma left_over y c s s2 : left y -> Forall (fun x => cpu x <> cpu y) c -> runs (c ++ [y]) s s2 -> runs (y :: c) s s2.
  Proof.
    intros Hy. revert s. induction c as [|x c IH]; simpl; intros s Hc H; [exact H|].
    inversion Hc as [|? ? Hxy Hc']; subst. apply runs_cons in H as (s1 & H1 & H). apply IH in H; [|assumption].
    apply runs_cons in H as (s3 & H3 & H).
    destruct (left_moves _ _ _ _ _ Hy Hxy H1 H3) as (t & A & B). econstructor; [exact A|]. econstructor; eauto.
  Qed.

  (* ---- The arrangement ---- *)

  Definition is_in (t : nat * nat) (e : E) : bool := (fst (section e) =? fst t) && (snd (section e) =? snd t).
  Definition block (l : list E) (t : nat * nat) : list E := filter (is_in t) l.
  Definition blocks (l : list E) (order : list (nat * nat)) : list E := concat (map (block l) order).

  Lemma is_in_spec t e : is_in t e = true <-> section e = t.
  Proof.
    unfold is_in. destruct (section e) as [a b], t as [c d]. simpl. rewrite andb_true_iff, !Nat.eqb_eq.
    split; [intros [-> ->]; reflexivity|intros [= -> ->]; auto].
  Qed.
  Lemma block_last l e t : block (l ++ [e]) t = if is_in t e then block l t ++ [e] else block l t.
  Proof. unfold block. rewrite filter_app. simpl. destruct (is_in t e); [reflexivity|apply app_nil_r]. Qed.
  Lemma blocks_other l e order : ~ In (section e) order -> blocks (l ++ [e]) order = blocks l order.
  Proof.
    intros H. unfold blocks. f_equal. apply map_ext_in. intros t Ht. rewrite block_last.
    destruct (is_in t e) eqn:A; [|reflexivity]. apply is_in_spec in A. subst. contradiction.
  Qed.
  Lemma blocks_app l o1 o2 : blocks l (o1 ++ o2) = blocks l o1 ++ blocks l o2.
  Proof. unfold blocks. rewrite map_app. apply concat_app. Qed.
  Lemma in_blocks l order e : In e (blocks l order) -> In (section e) order.
  Proof.
    unfold blocks. rewrite in_concat. intros (b & Hb & He). apply in_map_iff in Hb as (t & <- & Ht).
    apply filter_In in He as [_ He]. apply is_in_spec in He. subst. exact Ht.
  Qed.

  (* Sections of a CPU come one after the other. *)
  Definition in_turn (l : list E) : Prop :=
    forall a x b y c, l = a ++ x :: b ++ y :: c -> cpu x = cpu y -> snd (section x) <= snd (section y).
  Definition ordered (order : list (nat * nat)) : Prop :=
    forall a t b u c, order = a ++ t :: b ++ u :: c -> fst t = fst u -> snd t < snd u.

  Lemma reducible_first b e : reducible (b ++ [e]) -> reducible b /\ (Forall right b \/ left e).
  Proof.
    intros (b1 & b2 & Hb & H1 & H2). destruct (@exists_last _ (b1 ++ b2)) as (r & z & Hr).
    { rewrite <- Hb. destruct b; discriminate. }
    destruct b2 as [|x b2].
    - rewrite app_nil_r in Hb. subst b1. apply Forall_app in H1 as [H1 _]. split; [|left; exact H1].
      exists b, []. rewrite app_nil_r. repeat split; auto; constructor.
    - destruct (@exists_last _ (x :: b2) ltac:(discriminate)) as (r2 & z2 & Hr2). rewrite Hr2, app_assoc in Hb.
      apply app_inj_tail in Hb as [-> <-]. destruct r2 as [|x' r2].
      + rewrite app_nil_r. split; [|left; exact H1]. exists b1, []. rewrite app_nil_r. repeat split; auto; constructor.
      + simpl in Hr2. injection Hr2 as -> ->. simpl in H2. apply Forall_app in H2 as [H2 H3]. split.
        * exists b1, (x' :: r2). auto.
        * right. inversion H3; assumption.
  Qed.

  Lemma in_turn_last l e : in_turn (l ++ [e]) -> in_turn l /\ forall x, In x l -> cpu x = cpu e -> snd (section x) <= snd (section e).
  Proof.
    intros H. split.
    - intros a x b y c -> Hc. apply (H a x b y (c ++ [e])); [|exact Hc]. repeat (rewrite <- app_assoc; simpl). reflexivity.
    - intros x Hx Hc. apply in_split in Hx as (a & b & ->). apply (H a x b e []); [|exact Hc].
      repeat (rewrite <- app_assoc; simpl). reflexivity.
  Qed.

  Lemma ordered_last order t : ordered order -> (forall u, In u order -> fst u = fst t -> snd u < snd t) -> ordered (order ++ [t]).
  Proof.
    intros H K a x b y c Ho Hc. destruct c as [|z c] using rev_ind.
    - replace (a ++ x :: b ++ [y]) with ((a ++ x :: b) ++ [y]) in Ho by (rewrite <- app_assoc; reflexivity).
      apply app_inj_tail in Ho as [-> ->]. apply K; [apply in_elt|exact Hc].
    - replace (a ++ x :: b ++ y :: c ++ [z]) with ((a ++ x :: b ++ y :: c) ++ [z]) in Ho
        by (repeat (rewrite <- app_assoc; simpl); reflexivity).
      apply app_inj_tail in Ho as [-> ->]. eapply H; eauto.
  Qed.
  Lemma ordered_without a t b : ordered (a ++ t :: b) -> ordered (a ++ b).
  Proof.
    intros H. assert (K : forall x y, (exists l1 l2 l3, a ++ b = l1 ++ x :: l2 ++ y :: l3) ->
        exists l1 l2 l3, a ++ t :: b = l1 ++ x :: l2 ++ y :: l3).
    { clear H. induction a as [|z a IH]; simpl; intros x y (l1 & l2 & l3 & Hl).
      - subst b. exists (t :: l1), l2, l3. reflexivity.
      - destruct l1 as [|z' l1]; simpl in Hl; injection Hl as -> Hl.
        + assert (Hy : In y (a ++ t :: b)).
          { assert (Hy : In y (a ++ b)) by (rewrite Hl; apply in_elt). apply in_app_iff in Hy. apply in_app_iff. simpl. tauto. }
          apply in_split in Hy as (m1 & m2 & ->). exists [], m1, m2. reflexivity.
        + destruct (IH x y) as (m1 & m2 & m3 & ->); [eauto|]. exists (z' :: m1), m2, m3. reflexivity. }
    intros l1 x l2 y l3 Hl Hc. destruct (K x y) as (m1 & m2 & m3 & Hm); [eauto|]. eapply H; eauto.
  Qed.

  (* The theorem. The sections stand in order, each CPU's in its own, and each whole. *)
  Theorem reduction l s s2 : runs l s s2 -> in_turn l -> (forall t, reducible (block l t)) ->
    exists order, NoDup order /\ ordered order /\ (forall e, In e l -> In (section e) order) /\
      (forall t, In t order -> block l t <> []) /\ runs (blocks l order) s s2.
  Proof.
    revert s2. induction l as [|e l IH] using rev_ind; intros s2 Hr Ht Hb.
    - inversion Hr; subst. exists []. repeat split; try easy; [constructor|]. intros [|] ? ? ? ? H; discriminate.
    - apply runs_app in Hr as (s1 & Hr & He). apply in_turn_last in Ht as [Ht He2].
      destruct (IH s1 Hr Ht) as (order & Nd & Ord & Cov & Ne & Run).
      { intros t. specialize (Hb t). rewrite block_last in Hb. destruct (is_in t e); [|exact Hb]. apply (reducible_first _ _ Hb). }
      clear IH. set (t := section e) in *.
      assert (Hold : forall u, In u order -> fst u = fst t -> snd u <= snd t).
      { intros u Hu Hf. destruct (block l u) as [|x r] eqn:B; [destruct (Ne u Hu B)|].
        assert (Hx : In x (block l u)) by (rewrite B; left; reflexivity). apply filter_In in Hx as [Hx Hs].
        apply is_in_spec in Hs. rewrite <- Hs. apply He2; [exact Hx|]. unfold cpu. rewrite Hs. exact Hf. }
      assert (Hte : is_in t e = true) by (apply is_in_spec; reflexivity).
      destruct (in_dec (fun x y : nat * nat => ltac:(decide equality; apply Nat.eq_dec)) t order) as [Hin | Hout].
      + apply in_split in Hin as (o1 & o2 & ->).
        assert (N1 : ~ In t o1 /\ ~ In t o2).
        { apply NoDup_remove_2 in Nd. split; intros H; apply Nd; apply in_app_iff; auto. }
        destruct N1 as [N1 N2].
        assert (Hlate : forall y, In y (blocks l o2) -> fst t <> cpu y).
        { intros y Hy Hf. apply in_blocks in Hy. apply in_split in Hy as (a & b & Ho2).
          assert (snd t < snd (section y)).
          { apply (Ord o1 t a (section y) b); [subst o2; repeat (rewrite <- app_assoc; simpl); reflexivity|exact Hf]. }
          assert (snd (section y) <= snd t); [|lia]. apply Hold; [|symmetry; exact Hf].
          rewrite Ho2. apply in_app_iff. right. right. apply in_elt. }
        pose proof (Hb t) as Hbt. rewrite block_last, Hte in Hbt. destruct (reducible_first _ _ Hbt) as [_ [Hright | Hleft]].
        * exists ((o1 ++ o2) ++ [t]). repeat split.
          -- apply NoDup_remove in Nd as [Nd1 Nd2]. apply NoDup_app_last; assumption.
          -- apply ordered_last; [apply (ordered_without _ t); exact Ord|]. intros u Hu Hf.
             assert (u <> t) by (intros ->; apply in_app_iff in Hu; tauto).
             assert (snd u <= snd t) by (apply Hold; [apply in_app_iff in Hu; apply in_app_iff; simpl; tauto|exact Hf]).
             destruct (Nat.eq_dec (snd u) (snd t)) as [Q|]; [|lia]. destruct u, t; simpl in *; congruence.
          -- intros x Hx. apply in_app_iff in Hx as [Hx | [<- | []]]; [|apply in_app_iff; right; left; reflexivity].
             apply Cov in Hx. rewrite !in_app_iff in *. simpl in *. tauto.
          -- intros u Hu. rewrite block_last. destruct (is_in u e) eqn:Q; [destruct (block l u); discriminate|].
             apply Ne. rewrite !in_app_iff in *. simpl in *. tauto.
          -- rewrite blocks_app, blocks_other by (rewrite in_app_iff; tauto). rewrite (blocks_app _ o1 o2).
             rewrite blocks_app in Run. change (t :: o2) with ([t] ++ o2) in Run. rewrite blocks_app in Run.
             apply runs_app in Run as (s3 & Run1 & Run2). unfold blocks at 3. simpl. rewrite app_nil_r, block_last, Hte.
             apply rights_over in Run2.
             ++ unfold blocks at 2 in Run2. simpl in Run2. rewrite app_nil_r in Run2.
                rewrite <- !app_assoc. apply runs_app. exists s3. split; [exact Run1|]. rewrite app_assoc. apply runs_app. eauto.
             ++ unfold blocks. simpl. rewrite app_nil_r. exact Hright.
             ++ intros x y Hx Hy. unfold blocks in Hx. simpl in Hx. rewrite app_nil_r in Hx. apply filter_In in Hx as [_ Hx].
                apply is_in_spec in Hx. unfold cpu at 1. rewrite Hx. apply Hlate. exact Hy.
        * exists (o1 ++ t :: o2). repeat split; [exact Nd|exact Ord| | |].
          -- intros x Hx. apply in_app_iff in Hx as [Hx | [<- | []]]; [apply Cov; exact Hx|apply in_elt].
          -- intros u Hu. rewrite block_last. destruct (is_in u e); [destruct (block l u); discriminate|apply Ne; exact Hu].
          -- change (t :: o2) with ([t] ++ o2) in *. rewrite !blocks_app in *.
             rewrite (blocks_other _ _ o1), (blocks_other _ _ o2) by assumption.
             apply runs_app in Run as (s3 & Run1 & Run2). apply runs_app in Run2 as (s4 & Run2 & Run3).
             apply runs_app. exists s3. split; [exact Run1|]. unfold blocks at 1. simpl. rewrite app_nil_r, block_last, Hte, <- app_assoc.
             unfold blocks at 1 in Run2. simpl in Run2. rewrite app_nil_r in Run2. apply runs_app. exists s4. split; [exact Run2|].
             simpl. apply left_over; [exact Hleft| |apply runs_app; eauto].
             apply Forall_forall. intros x Hx. intros Q. apply (Hlate x Hx). symmetry. exact Q.
      + exists (order ++ [t]). repeat split.
        * apply NoDup_app_last; assumption.
        * apply ordered_last; [exact Ord|]. intros u Hu Hf. pose proof (Hold u Hu Hf).
          assert (u <> t) by (intros ->; contradiction).
          destruct (Nat.eq_dec (snd u) (snd t)) as [Q|]; [|lia]. destruct u, t; simpl in *; congruence.
        * intros x Hx. apply in_app_iff. apply in_app_iff in Hx as [Hx | [<- | []]]; [left; apply Cov; exact Hx|right; left; reflexivity].
        * intros u Hu. rewrite block_last. destruct (is_in u e) eqn:Q; [destruct (block l u); discriminate|].
          apply in_app_iff in Hu as [Hu | [<- | []]]; [apply Ne; exact Hu|congruence].
        * rewrite blocks_app, blocks_other by exact Hout. apply runs_app. exists s1. split; [exact Run|].
          unfold blocks. simpl. rewrite app_nil_r, block_last, Hte.
          replace (block l t) with (@nil E); [exact He|]. destruct (block l t) as [|x r] eqn:B; [reflexivity|]. exfalso. apply Hout.
          assert (Hx : In x (block l t)) by (rewrite B; left; reflexivity). apply filter_In in Hx as [Hx Hs].
          apply is_in_spec in Hs. rewrite <- Hs. apply Cov. exact Hx.
  Qed.
End reduction.
