(* SPDX-License-Identifier: Apache-2.0 *)
(* Long runs. States stay compositions of named changes, so terms stay small however many steps there are: `step`
   takes a primitive, `after` a call, `loop_each` a loop that only changes the state. *)
From kcore Require Export refine.RecSteps spec.Hashing.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Ltac tidy := cbv beta iota delta [get put puts putr reset evals eval test binop_sem cmp_sem fst snd]; rewrite ?z2b_b2z.

(* ---- Changes of one page, the hash buffer and the digest alone: what measuring does ---- *)

Definition scratch (pa : Z) (s s' : state) : Prop :=
  s' = with_digest (digest s') (with_hash_page (hash_page s') (with_mem (mem s') s)) /\
  forall t, t <> pa -> page (mem s') t = page (mem s) t.

Lemma scratch_refl pa s : scratch pa s s.
Proof. split; [by destruct s|done]. Qed.
Lemma scratch_trans pa s s1 s2 : scratch pa s s1 -> scratch pa s1 s2 -> scratch pa s s2.
Proof.
  intros [E1 P1] [E2 P2]. split; [|intros; rewrite P2 by done; auto].
  rewrite E2. rewrite E1. reflexivity.
Qed.
Lemma scratch_rd pa f i v s0 s : scratch pa s0 s -> scratch pa s0 (rd_set f pa i v s).
Proof.
  intros H. apply (scratch_trans _ _ _ _ H). split; [reflexivity|]. intros t Ht. by apply page_set_page.
Qed.
Lemma scratch_put pa i v s0 s : scratch pa s0 s -> scratch pa s0 (hash_put i v s).
Proof. intros H. apply (scratch_trans _ _ _ _ H). split; [by destruct s|done]. Qed.
Lemma scratch_cleared pa s0 s : scratch pa s0 s -> scratch pa s0 (hash_cleared s).
Proof. intros H. apply (scratch_trans _ _ _ _ H). split; [by destruct s|done]. Qed.
Lemma scratch_hashed pa alg len s0 s : scratch pa s0 s -> scratch pa s0 (hashed alg len s).
Proof. intros H. apply (scratch_trans _ _ _ _ H). split; [by destruct s|done]. Qed.
Lemma scratch_granule pa alg g s0 s : scratch pa s0 s -> scratch pa s0 (granule_hashed alg g s).
Proof. intros H. apply (scratch_trans _ _ _ _ H). split; [by destruct s|done]. Qed.
Lemma scratch_if pa (c : bool) s0 s1 s2 : scratch pa s0 s1 -> scratch pa s0 s2 -> scratch pa s0 (if c then s1 else s2).
Proof. by destruct c. Qed.
Lemma scratch_each pa n f s0 s :
  (forall i s, scratch pa s0 s -> scratch pa s0 (f i s)) -> scratch pa s0 s -> scratch pa s0 (each_below n f s).
Proof. intros Hf Hs. induction n as [|n IH]; [exact Hs|]. rewrite each_below_S. auto. Qed.
Global Opaque each_below.

(* By the names of the changes alone: states are compared as they are written, because unfolding them costs (and
   a pattern with a variable twice compares by conversion). *)
Ltac scratch_more := fail.
Ltac scratch_now :=
  match goal with
  | |- scratch ?p ?s0 ?s => constr_eq s0 s; exact (scratch_refl p s)
  | H : ?P |- ?Q => constr_eq P Q; exact H
  | |- _ => scratch_head
  end
with scratch_head :=
  lazymatch goal with
  | |- scratch ?p ?s0 (rd_set ?f ?p ?i ?v ?s) => refine (scratch_rd p f i v s0 s _); scratch_now
  | |- scratch ?p ?s0 (hash_put ?i ?v ?s) => refine (scratch_put p i v s0 s _); scratch_now
  | |- scratch ?p ?s0 (hash_cleared ?s) => refine (scratch_cleared p s0 s _); scratch_now
  | |- scratch ?p ?s0 (hashed ?a ?n ?s) => refine (scratch_hashed p a n s0 s _); scratch_now
  | |- scratch ?p ?s0 (granule_hashed ?a ?g ?s) => refine (scratch_granule p a g s0 s _); scratch_now
  | |- scratch ?p ?s0 (if ?c then ?x else ?y) => refine (scratch_if p c s0 x y _ _); scratch_now
  | |- scratch ?p ?s0 (each_below ?n ?f ?s) => refine (scratch_each p n f s0 s _ _); [intros; scratch_now | scratch_now]
  | |- _ => scratch_more
  end.

(* Nothing that a guard asks about a page that is in hand has changed. *)
Lemma scratch_hand pa q s s' : scratch pa s s' -> in_hand q s = true -> in_hand q s' = true.
Proof. intros [-> _]. exact id. Qed.
Lemma scratch_state st pa q s s' : scratch pa s s' -> has_state st q s = true -> has_state st q s' = true.
Proof. intros [-> _]. exact id. Qed.
Lemma scratch_rec_hand pa q s s' : scratch pa s s' -> rec_in_hand q s = true -> rec_in_hand q s' = true.
Proof. intros [-> _]. exact id. Qed.

Ltac in_range_now :=
  lazymatch goal with
  | |- in_range _ _ = true => unfold in_range; apply andb_true_intro; split; [apply Z.leb_le | apply Z.ltb_lt]; cbn [rd_len rec_len in_len out_len]; lia
  | |- in_page _ = true => unfold in_page; apply andb_true_intro; split; [apply Z.leb_le | apply Z.ltb_lt]; lia
  end.
(* A guard, from what is known of an earlier state. States are compared as they are written: unfolding them costs. *)
Ltac by_scratch rule H :=
  match goal with
  | _ : scratch ?p ?s0 _ |- _ => refine (rule p _ _ _ _ H); scratch_now
  | _ : in_hand ?p ?s0 = true |- _ => refine (rule p _ _ _ _ H); scratch_now
  end.
Ltac discharge :=
  match goal with
  | H : ?P |- ?Q => constr_eq P Q; exact H
  | |- _ && _ = true => apply andb_true_intro; split; discharge
  | |- in_range _ _ = true => reflexivity || in_range_now
  | |- in_page _ = true => reflexivity || in_range_now
  | H : in_hand ?pa _ = true |- in_hand ?pa _ = true => by_scratch scratch_hand H
  | H : rec_in_hand ?pa _ = true |- rec_in_hand ?pa _ = true => by_scratch scratch_rec_hand H
  | |- negb (is_shape ?f) || _ = true =>
      lazymatch eval cbv in (is_shape f) with
      | false => reflexivity
      | true => match goal with H : has_state ?st ?pa ?s0 = true |- _ =>
          refine (scratch_state st pa pa s0 _ _ H); scratch_now end
      end
  | |- in_hand _ _ = true => fail
  | |- rec_in_hand _ _ = true => fail
  | |- scratch _ _ _ => scratch_now
  | |- _ => reflexivity
  end.

(* One primitive. Terms would double with every change that mentions the state twice: those have names. What is
   to be unfolded first is said, or the guard is evaluated. *)
Strategy expand [prim_sem hash_put hash_cleared hashed granule_hashed].
Lemma step_rule p args (k : list Z -> M state (list Z)) s g vs s' r :
  guarded g (vs, s') = prim_sem p args s -> g = true -> k vs s' = r -> bind (prim_sem p args) k s = r.
Proof. unfold bind. intros <- ->. exact id. Qed.

Ltac named s' :=
  lazymatch s' with
  | with_hash_page (set_nth (hash_page ?s) ?i ?v) ?s => constr:(hash_put i v s)
  | with_hash_page zero_page ?s => constr:(hash_cleared s)
  | with_digest (hash (hw ?s) ?alg (hash_page ?s) ?len) ?s => constr:(hashed alg len s)
  | with_digest (hash (hw ?s) ?alg (page (mem ?s) ?pa) 4096) ?s => constr:(granule_hashed alg pa s)
  | _ => s'
  end.

Ltac step :=
  lazymatch goal with
  | |- bind (prim_sem ?p ?args) ?k ?s = _ =>
      let r := eval cbv beta iota delta [prim_sem] in (prim_sem p args s) in
      lazymatch r with
      | guarded ?g (?vs, ?s') =>
          let s'' := named s' in
          refine (step_rule p args k s g vs s'' _ eq_refl _ _); [try solve [discharge] | tidy]
      | _ => fail "primitive" p "has no definition, or another number of arguments:" args
      end
  end.

(* One call, by its theorem. *)
Lemma after_rule (m : M state (list Z)) (k : list Z -> M state (list Z)) s vs s' r :
  m s = Some (vs, s') -> k vs s' = r -> bind m k s = r.
Proof. unfold bind. intros ->. exact id. Qed.
Tactic Notation "after" uconstr(H) := eapply after_rule; [eapply H | tidy].

(* A loop whose iterations change nothing but the state: what they leave is given to the hypothesis. *)
Lemma loop_each (f : Z -> state -> state) (P : state -> Prop) body v n fr (k : cont (state := state)) s r :
  P s ->
  (forall i s, 0 <= i < Z.of_nat n -> P s -> P (f i s)) ->
  (forall i s k, 0 <= i < Z.of_nat n -> P s ->
     (forall fr' s', reset fr' v = fr -> s' = f i s -> k fr' s' = r) -> body (put fr v i) k s = r) ->
  (P (each_below n f s) -> k fr (each_below n f s) = r) ->
  loop body v 0 n fr k s = r.
Proof.
  intros H0 Hp Hb Hr.
  enough (forall m j, (j + m = n)%nat -> P (each_below j f s) -> loop body v (Z.of_nat j) m fr k (each_below j f s) = r) as H.
  { apply (H n 0%nat); [lia|exact H0]. }
  induction m as [|m IH]; intros j Hj Pj; cbn [loop].
  - replace n with j in Hr by lia. by apply Hr.
  - apply Hb; [lia|exact Pj|]. intros fr' s' -> ->.
    replace (Z.of_nat j + 1) with (Z.of_nat (S j)) by lia. rewrite <- each_below_S.
    apply IH; [lia|]. rewrite each_below_S. apply Hp; [lia|exact Pj].
Qed.
