(* SPDX-License-Identifier: Apache-2.0 *)
(* Machines whose events move. Shared memory is cells; each cell belongs to one CPU or to none, and an event takes cells
   that are nobody's, touches only its CPU's, and gives some of them back. Taking moves right, giving left, and what does
   neither moves both ways; an event that takes and gives at once, as an atomic access does, moves neither way. So each run
   reduces to one of whole sections (Reduction.v), two-phase locked but for one atomic access. *)
From kcore Require Export concurrent.Reduction.

Section ownership.
  (* Cells, their values, what is each CPU's alone, events. acts says what an event does to cells and to what is its
     CPU's: nothing to cells that it does not touch, and whatever these hold. *)
  Context {C V L E : Type}.
  Context (section : E -> nat * nat) (takes touches gives : E -> C -> bool).
  Context (acts : E -> (C -> V) -> L -> (C -> V) -> L -> Prop).
  Context (acts_frame : forall e m l m' l' c, acts e m l m' l' -> touches e c = false -> m' c = m c).
  Context (acts_local : forall e m l m' l' n n', acts e m l m' l' ->
      (forall c, touches e c = true -> n c = m c) -> (forall c, touches e c = true -> n' c = m' c) ->
      (forall c, touches e c = false -> n' c = n c) -> acts e n l n' l').

  Record shared := Shared { content : C -> V; owner : C -> option nat; local : nat -> L }.
  Notation cpu := (cpu section).

  Record step (e : E) (s s' : shared) : Prop := Step {
    st_takes : forall c, takes e c = true -> owner s c = None;
    st_touches : forall c, touches e c = true -> takes e c = true \/ owner s c = Some (cpu e);
    st_gives : forall c, gives e c = true -> takes e c = true \/ owner s c = Some (cpu e);
    st_owner : forall c, owner s' c = if gives e c then None else if takes e c then Some (cpu e) else owner s c;
    st_acts : acts e (content s) (local s (cpu e)) (content s') (local s' (cpu e));
    st_others : forall j, j <> cpu e -> local s' j = local s j;
  }.

  Definition acquires (e : E) : Prop := forall c, gives e c = false.
  Definition releases (e : E) : Prop := forall c, takes e c = false.

  (* Nobody has what a right mover, or before a left mover, leaves behind: the two touch different cells. *)
  Lemma apart_moves x y s s1 s2 : cpu x <> cpu y -> step x s s1 -> step y s1 s2 ->
    (forall c, takes y c = true -> owner s c = None /\ takes x c = false) ->
    (forall c, touches y c = true -> touches x c = false /\ (takes y c = true \/ owner s c = Some (cpu y))) ->
    (forall c, gives y c = true -> takes y c = true \/ owner s c = Some (cpu y)) ->
    (forall c, takes x c = true -> takes y c = false) ->
    exists t, step y s t /\ step x t s2.
  Proof.
    intros Hc Hx Hy T U G X.
    exists (Shared (fun c => if touches y c then content s2 c else content s c)
              (fun c => if gives y c then None else if takes y c then Some (cpu y) else owner s c)
              (fun j => if Nat.eqb j (cpu y) then local s2 j else local s j)).
    pose proof (st_others _ _ _ Hx (cpu y) (not_eq_sym Hc)) as Ly. pose proof (st_others _ _ _ Hy (cpu x) Hc) as Lx.
    assert (Same : forall c, touches y c = true -> content s1 c = content s c).
    { intros c Q. apply (acts_frame _ _ _ _ _ _ (st_acts _ _ _ Hx)). apply U, Q. }
    assert (Keep : forall c, touches y c = false -> content s2 c = content s1 c).
    { intros c Q. apply (acts_frame _ _ _ _ _ _ (st_acts _ _ _ Hy) Q). }
    assert (Own : forall c, owner s c = Some (cpu x) -> gives y c = false /\ takes y c = false).
    { intros c Q. split.
      - destruct (gives y c) eqn:A; [|reflexivity]. destruct (G c A) as [B | B]; [destruct (T c B)|]; congruence.
      - destruct (takes y c) eqn:A; [|reflexivity]. destruct (T c A). congruence. }
    assert (Free : forall c, takes x c = true -> gives y c = false /\ takes y c = false).
    { intros c Q. split; [|apply X, Q]. destruct (gives y c) eqn:A; [|reflexivity].
      pose proof (st_takes _ _ _ Hx c Q). destruct (G c A) as [B | B]; [rewrite (X c Q) in B|]; congruence. }
    split; constructor; cbn [content owner local]; try reflexivity.
    - intros c Q. apply T, Q.
    - intros c Q. apply U, Q.
    - exact G.
    - rewrite Nat.eqb_refl, <- Ly. apply (acts_local _ _ _ _ _ _ _ (st_acts _ _ _ Hy)); intros c Q; rewrite ?Q; [symmetry; apply Same, Q|reflexivity..].
    - intros j Hj. apply Nat.eqb_neq in Hj. rewrite Hj. reflexivity.
    - intros c Q. destruct (Free c Q) as [-> ->]. apply (st_takes _ _ _ Hx c Q).
    - intros c Q. destruct (st_touches _ _ _ Hx c Q) as [A | A]; [left; exact A|right]. destruct (Own c A) as [-> ->]. exact A.
    - intros c Q. destruct (st_gives _ _ _ Hx c Q) as [A | A]; [left; exact A|right]. destruct (Own c A) as [-> ->]. exact A.
    - intros c. rewrite (st_owner _ _ _ Hy), (st_owner _ _ _ Hx).
      destruct (gives x c) eqn:Gx.
      + destruct (st_gives _ _ _ Hx c Gx) as [A | A]; [destruct (Free c A) as [-> ->]|destruct (Own c A) as [-> ->]]; reflexivity.
      + destruct (takes x c) eqn:Tx; [destruct (Free c Tx) as [-> ->]; reflexivity|reflexivity].
    - assert (cpu x =? cpu y = false) as -> by (apply Nat.eqb_neq; exact Hc). rewrite Lx.
      apply (acts_local _ _ _ _ _ _ _ (st_acts _ _ _ Hx)); intros c Q.
      + destruct (touches y c) eqn:A; [destruct (U c A); congruence|reflexivity].
      + apply Keep. destruct (touches y c) eqn:A; [destruct (U c A); congruence|reflexivity].
      + destruct (touches y c) eqn:A; [reflexivity|]. rewrite (Keep c A).
        apply (acts_frame _ _ _ _ _ _ (st_acts _ _ _ Hx) Q).
    - intros j Hj. destruct (Nat.eqb_spec j (cpu y)) as [->|N]; [reflexivity|].
      rewrite (st_others _ _ _ Hy j N). apply (st_others _ _ _ Hx j Hj).
  Qed.

  Lemma acquires_right x y s s1 s2 : acquires x -> cpu x <> cpu y -> step x s s1 -> step y s1 s2 ->
    exists t, step y s t /\ step x t s2.
  Proof.
    intros Hr Hc Hx Hy.
    assert (O : forall c, owner s1 c = if takes x c then Some (cpu x) else owner s c)
      by (intros c; rewrite (st_owner _ _ _ Hx), (Hr c); reflexivity).
    apply (apart_moves x y s s1 s2 Hc Hx Hy).
    - intros c Q. pose proof (st_takes _ _ _ Hy c Q) as A. rewrite O in A. destruct (takes x c); [discriminate|auto].
    - intros c Q. assert (A : owner s1 c = Some (cpu y) \/ owner s1 c = None).
      { destruct (st_touches _ _ _ Hy c Q) as [B | B]; [right; apply (st_takes _ _ _ Hy c B)|left; exact B]. }
      split.
      + destruct (touches x c) eqn:B; [|reflexivity]. exfalso. rewrite O in A.
        destruct (st_touches _ _ _ Hx c B) as [D | D]; rewrite D in A; [|destruct (takes x c)]; destruct A; congruence.
      + destruct (st_touches _ _ _ Hy c Q) as [B | B]; [left; exact B|right]. rewrite O in B. destruct (takes x c); congruence.
    - intros c Q. destruct (st_gives _ _ _ Hy c Q) as [B | B]; [left; exact B|right]. rewrite O in B. destruct (takes x c); congruence.
    - intros c Q. destruct (takes y c) eqn:A; [|reflexivity]. pose proof (st_takes _ _ _ Hy c A) as B. rewrite O, Q in B. discriminate.
  Qed.

  Lemma releases_left x y s s1 s2 : releases y -> cpu x <> cpu y -> step x s s1 -> step y s1 s2 ->
    exists t, step y s t /\ step x t s2.
  Proof.
    intros Hl Hc Hx Hy.
    assert (O : forall c, owner s1 c = Some (cpu y) -> owner s c = Some (cpu y) /\ takes x c = false).
    { intros c A. rewrite (st_owner _ _ _ Hx) in A. destruct (gives x c); [discriminate|]. destruct (takes x c); [congruence|auto]. }
    apply (apart_moves x y s s1 s2 Hc Hx Hy).
    - intros c Q. rewrite (Hl c) in Q. discriminate.
    - intros c Q. destruct (st_touches _ _ _ Hy c Q) as [B | B]; [rewrite (Hl c) in B; discriminate|].
      destruct (O c B) as [A D]. split; [|right; exact A]. destruct (touches x c) eqn:F; [|reflexivity].
      destruct (st_touches _ _ _ Hx c F); congruence.
    - intros c Q. destruct (st_gives _ _ _ Hy c Q) as [B | B]; [rewrite (Hl c) in B; discriminate|]. right. apply O, B.
    - intros c _. apply Hl.
  Qed.

  (* A section that is two-phase locked, with at most one event that takes and gives at once in between. *)
  Definition two_phase : list E -> Prop := reducible acquires releases.

  Theorem ownership_reduction l s s2 : runs step l s s2 -> in_turn section l -> (forall t, two_phase (block section l t)) ->
    exists order, NoDup order /\ ordered order /\ (forall e, In e l -> In (section e) order) /\
      (forall t, In t order -> block section l t <> []) /\ runs step (blocks section l order) s s2.
  Proof. apply reduction; [apply acquires_right|apply releases_left]. Qed.
End ownership.
