(* SPDX-License-Identifier: Apache-2.0 *)
(* Two-phase locking comes from the guards: none lets a lock be taken after one was given back, until all are. So a section
   that takes cells with locks only, and gives them back with these, is two-phase if it is one transaction. *)
From kcore Require Export concurrent.Cpus.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- What a primitive does to its CPU's locks ---- *)

Definition some {A} (o : option A) : bool := match o with Some _ => true | None => false end.
Definition takes_lock (k : call prim) : bool := some (locked_by k).
Definition gives_lock (k : call prim) : bool := some (unlocked_by k).

(* How many are held, and whether one was given back already. *)
Definition locks_of (l : own) : nat * bool := (length (o_held l), o_shrinking l).
Inductive lock_step (k : call prim) : nat * bool -> nat * bool -> Prop :=
| L_take n : takes_lock k = true -> gives_lock k = false -> lock_step k (n, false) (S n, false)
| L_give n b : takes_lock k = false -> gives_lock k = true -> lock_step k (S n, b) (n, negb (n =? 0)%nat)
| L_other x : takes_lock k = false -> gives_lock k = false -> lock_step k x x.

Lemma lock_eqb_eq a b : lock_eqb a b = true -> a = b.
Proof. destruct a, b; cbn; try discriminate; [|reflexivity]. intros ->%Z.eqb_eq. reflexivity. Qed.
Lemma without_length l ls : existsb (lock_eqb l) ls = true -> length ls = S (length (without l ls)).
Proof.
  induction ls as [|x ls IH]; [discriminate|]. cbn [existsb without]. destruct (lock_eqb l x); [reflexivity|]. cbn [orb length].
  intros H. by rewrite <- IH.
Qed.

Lemma dropped_step k l s : unlocked_by k = Some l -> locked_by k = None -> holds l s = true ->
  lock_step k (locks_of (alone s)) (locks_of (alone (lock_dropped l s))).
Proof.
  intros U L H. unfold locks_of. cbn [alone o_held o_shrinking lock_dropped with_held held shrinking]. rewrite (without_length _ _ H).
  destruct (without l (held s)) as [|x ls] eqn:E.
  - apply (L_give k 0); unfold takes_lock, gives_lock; by rewrite ?U, ?L.
  - apply (L_give k (S (length ls))); unfold takes_lock, gives_lock; by rewrite ?U, ?L.
Qed.

Lemma prim_locks k s s' : prim_sem (c_prim k) (c_args k) s = Some (c_results k, s') ->
  lock_step k (locks_of (alone s)) (locks_of (alone s')).
Proof.
  destruct k as [p args rs]. cbn [c_prim c_args c_results]. intros H.
  destruct p; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; try discriminate H;
    cbv beta iota delta [prim_sem] in H; try (apply ok_guarded in H as [G E]).
  all: try (injection E as <- <-; by apply L_other).
  all: try (match type of E with (match ?o with _ => _ end) = _ => destruct o end; injection E as <- <-; by apply L_other).
  - repeat apply andb_true_iff in G as [G _]. apply negb_true_iff in G. destruct (claimable a1 a0 s); injection E as <- <-.
    + unfold locks_of. cbn [alone o_held o_shrinking lock_taken with_held held shrinking length]. rewrite G. by apply L_take.
    + by apply L_other.
  - injection E as <- <-. apply andb_true_iff in G as [G _]. by apply (dropped_step _ (LGranule a0)).
  - repeat apply andb_true_iff in G as [G _]. apply negb_true_iff in G. destruct (has_state GS_RD a0 s); injection E as <- <-.
    + unfold locks_of. cbn [alone o_held o_shrinking lock_taken with_held held shrinking length]. rewrite G. by apply L_take.
    + by apply L_other.
  - injection E as <- <-. apply andb_true_iff in G as [G _]. apply andb_true_iff in G as [G _]. by apply (dropped_step _ (LGranule a0)).
  - injection E as <- <-. unfold after_write. destruct (role_of (hw s) a0); by apply L_other.
  - injection E as <- <-. apply andb_true_iff in G as [G _]. apply negb_true_iff in G.
    unfold locks_of. cbn [alone o_held o_shrinking lock_taken with_held held shrinking length]. rewrite G. by apply L_take.
  - injection E as <- <-. apply andb_true_iff in G as [G _]. by apply (dropped_step _ LHost).
  - injection E as <- <-. unfold el1_set. destruct (loaded s =? a0); by apply L_other.
  - destruct (log_text (hw s) (logged s) a1) as [n next]. apply ok_guarded in H as [G E]. injection E as <- <-. by apply L_other.
  - injection E as <- <-. destruct f; by apply L_other.
  - injection E as <- <-. destruct f; by apply L_other.
Qed.

(* ---- A CPU's locks over its events ---- *)

Inductive lock_run : list event -> nat * bool -> nat * bool -> Prop :=
| LR_none x : lock_run [] x x
| LR_step e l x y z : lock_step (e_call e) x y -> lock_run l y z -> lock_run (e :: l) x z.
Lemma lock_run_app l1 l2 x z : lock_run (l1 ++ l2) x z -> exists y, lock_run l1 x y /\ lock_run l2 y z.
Proof.
  revert x. induction l1 as [|e l1 IH]; cbn; intros x H; [exists x; split; [constructor|exact H]|].
  inversion H as [|? ? ? y ? H1 H2]; subst. destruct (IH _ H2) as (w & A & B). exists w. split; [econstructor; eauto|exact B].
Qed.

Definition of_cpu (i : nat) (l : list event) : list event := List.filter (fun e => Nat.eqb (e_cpu e) i) l.
Lemma cpu_lock_run i l g g' : machine_runs l g g' -> lock_run (of_cpu i l) (locks_of (local g i)) (locks_of (local g' i)).
Proof.
  induction 1 as [|e l g g1 g2 H1 H2 IH]; [constructor|]. unfold of_cpu. cbn [List.filter]. destruct (Nat.eqb_spec (e_cpu e) i) as [E|N].
  - econstructor; [|exact IH]. destruct H1 as [_ _ _ _ (_ & _ & s & s' & H & A & A' & _) _].
    change (cpu section_of e) with (e_cpu e) in *. rewrite E in A, A'. rewrite <- A, <- A'. by apply prim_locks.
  - rewrite <- (st_others _ _ _ _ _ _ _ _ H1 i) by (intros Q; apply N; symmetry; exact Q). exact IH.
Qed.

(* ---- Counting ---- *)

Definition taken (l : list event) : nat := length (List.filter (fun e => takes_lock (e_call e)) l).
Definition given (l : list event) : nat := length (List.filter (fun e => gives_lock (e_call e)) l).

Lemma lock_run_count l x y : lock_run l x y -> (fst y + given l = fst x + taken l)%nat.
Proof.
  induction 1 as [|e l x y z H1 H2 IH]; [cbn; lia|]. unfold given, taken in *. cbn [List.filter].
  inversion H1 as [n T G Ex|n b T G Ex|w T G Ex]; subst; rewrite T, G; cbn [length fst] in *; lia.
Qed.

(* While nothing is given back, what was given back before stays so. *)
Lemma lock_run_taking l x y : lock_run l x y -> given l = 0%nat -> snd y = snd x.
Proof.
  induction 1 as [|e l x y z H1 H2 IH]; [reflexivity|]. unfold given in *. cbn [List.filter].
  inversion H1 as [n T G Ex|n b T G Ex|w T G Ex]; subst; rewrite G; cbn [length]; intros Q; [exact (IH Q)|discriminate|exact (IH Q)].
Qed.

(* As far as locks go, a section ends where all that were taken in it are given back. *)
Definition one_transaction (b : list event) : Prop :=
  forall a e c, b = a ++ e :: c -> gives_lock (e_call e) = true -> (taken (a ++ [e]) <= given (a ++ [e]))%nat ->
  Forall (fun x => takes_lock (e_call x) = false) c.
(* Cells come with locks, and go with them. *)
Definition with_locks (b : list event) : Prop :=
  Forall (fun e => (takes_lock (e_call e) = false -> moves_left e) /\ (gives_lock (e_call e) = false -> moves_right e)) b.

Lemma first_with (p : event -> bool) l : List.filter p l = [] \/ exists a e c, l = a ++ e :: c /\ p e = true /\ List.filter p a = [].
Proof.
  induction l as [|e l [IH | (a & x & c & -> & Hx & Ha)]]; [left; reflexivity|..].
  - cbn [List.filter]. destruct (p e) eqn:E; [|left; exact IH]. right. exists [], e, l. auto.
  - right. destruct (p e) eqn:E.
    + exists [], e, (a ++ x :: c). auto.
    + exists (e :: a), x, c. cbn [List.filter]. rewrite E. auto.
Qed.
Lemma last_with (p : event -> bool) l : List.filter p l = [] \/ exists a e c, l = a ++ e :: c /\ p e = true /\ List.filter p c = [].
Proof.
  induction l as [|e l [IH | (a & x & c & -> & Hx & Ha)]]; [left; reflexivity|..].
  - cbn [List.filter]. destruct (p e) eqn:E; [|left; exact IH]. right. exists [], e, l. auto.
  - right. exists (e :: a), x, c. auto.
Qed.
Lemma none_with (p : event -> bool) l : List.filter p l = [] -> Forall (fun e => p e = false) l.
Proof.
  induction l as [|e l IH]; cbn [List.filter]; [constructor|]. destruct (p e) eqn:E; [discriminate|]. intros H. constructor; auto.
Qed.

(* After one was given back, none is taken. *)
Lemma given_taken b1 u b2 x y : lock_run (b1 ++ u :: b2) x y -> one_transaction (b1 ++ u :: b2) -> gives_lock (e_call u) = true ->
  Forall (fun e => takes_lock (e_call e) = false) b2.
Proof.
  intros R O U.
  destruct (first_with (fun e => takes_lock (e_call e)) b2) as [M | (c & e & d & -> & T & M)]; [by apply none_with in M|]. exfalso.
  destruct (last_with (fun e => gives_lock (e_call e)) (u :: c)) as [Q | (c1 & v & c2 & Ev & V & Q)]; [cbn in Q; rewrite U in Q; discriminate|].
  assert (Eb : b1 ++ u :: c ++ e :: d = (b1 ++ c1) ++ v :: (c2 ++ e :: d)).
  { change (b1 ++ (u :: c) ++ e :: d = (b1 ++ c1) ++ v :: c2 ++ e :: d). rewrite Ev. repeat (rewrite <- app_assoc; cbn). reflexivity. }
  rewrite Eb in R, O.
  assert (Eb2 : (b1 ++ c1) ++ v :: (c2 ++ e :: d) = ((b1 ++ c1) ++ [v]) ++ c2 ++ e :: d) by (rewrite <- (app_assoc (b1 ++ c1) [v]); reflexivity).
  rewrite Eb2 in R. apply lock_run_app in R as (p & R1 & R). apply lock_run_app in R as (q & R2 & R3).
  inversion R3 as [|? ? ? r ? S1 _]; subst. inversion S1 as [n T' G' Ex|n bb T' G' Ex|w T' G' Ex]; subst; try congruence.
  assert (Sh : snd p = false). { rewrite <- (lock_run_taking _ _ _ R2); [reflexivity|]. unfold given. by rewrite Q. }
  pose proof (lock_run_count _ _ _ R1) as C. apply lock_run_app in R1 as (p' & R0 & R1). inversion R1 as [|? ? ? r' ? S2 S3]; subst.
  inversion S3; subst. inversion S2 as [m T2 G2 Ex2|m b' T2 G2 Ex2|w T2 G2 Ex2]; subst; try congruence. cbn [snd fst] in *.
  assert (m = 0%nat) as -> by (destruct m; [reflexivity|discriminate]).
  specialize (O (b1 ++ c1) v (c2 ++ e :: d) eq_refl V ltac:(lia)). apply Forall_app in O as [_ O]. inversion O; subst. congruence.
Qed.

Lemma transaction_two_phase b x y : lock_run b x y -> one_transaction b -> with_locks b -> two_phase e_takes e_gives b.
Proof.
  intros R O W. destruct (first_with (fun e => gives_lock (e_call e)) b) as [N | (b1 & u & b2 & -> & U & N)].
  - exists b, []. rewrite app_nil_r. split; [reflexivity|]. split; [|constructor]. apply none_with in N.
    apply Forall_forall. intros e He. apply (Forall_forall _ _) with (x := e) in N, W; try assumption. by apply W.
  - pose proof (given_taken _ _ _ _ _ R O U) as K. exists b1, (u :: b2). split; [reflexivity|].
    apply Forall_app in W as [W1 W2]. inversion W2 as [|? ? _ W3]; subst. split.
    + apply none_with in N. apply Forall_forall. intros e He. apply (Forall_forall _ _) with (x := e) in N, W1; try assumption. by apply W1.
    + cbn [tl]. apply Forall_forall. intros e He. apply (Forall_forall _ _) with (x := e) in K, W3; try assumption. by apply W3.
Qed.

(* Before it may stand what takes, and after it what gives: pins, an identifier. *)
Lemma two_phase_around a b c : Forall moves_right a -> two_phase e_takes e_gives b -> Forall moves_left c ->
  two_phase e_takes e_gives (a ++ b ++ c).
Proof.
  intros A (b1 & b2 & -> & B1 & B2) C. destruct b2 as [|u b2].
  - exists (a ++ b1), c. rewrite app_nil_r, app_assoc. split; [reflexivity|]. split; [by apply Forall_app|]. destruct C; [constructor|assumption].
  - exists (a ++ b1), (u :: b2 ++ c). rewrite <- !app_assoc. split; [reflexivity|]. split; [by apply Forall_app|]. cbn [tl] in *. by apply Forall_app.
Qed.

(* ---- In a run ---- *)

Lemma in_turn_next e l : in_turn section_of (e :: l) -> in_turn section_of l /\
  forall x, In x l -> e_cpu x = e_cpu e -> (e_section e <= e_section x)%nat.
Proof.
  intros H. split.
  - intros a x b y c E Hc. apply (H (e :: a) x b y c); [by rewrite E|exact Hc].
  - intros x Hx Hc. apply in_split in Hx as (a & b & ->). apply (H [] e a x b); [reflexivity|]. symmetry. exact Hc.
Qed.

(* What a CPU does in one of its sections stands together in what it does. *)
Lemma section_together l i n : in_turn section_of l -> exists a c,
  of_cpu i l = a ++ Reduction.block section_of l (i, n) ++ c /\ Forall (fun e => e_cpu e = i /\ (e_section e < n)%nat /\ In e l) a.
Proof.
  induction l as [|e l IH]; intros H; [exists [], []; split; [reflexivity|constructor]|].
  apply in_turn_next in H as [H N]. destruct (IH H) as (a & c & E & A). clear IH.
  assert (A' : Forall (fun x => e_cpu x = i /\ (e_section x < n)%nat /\ In x (e :: l)) a).
  { eapply List.Forall_impl; [|exact A]. intros x (H1 & H2 & H3). split; [exact H1|]. split; [exact H2|]. by right. }
  unfold of_cpu, Reduction.block in *. cbn [List.filter]. unfold is_in at 1. cbn [section_of fst snd].
  destruct (Nat.eqb_spec (e_cpu e) i) as [Ei|Ni]; cbn [andb]; [|exists a, c; auto].
  assert (Old : forall x, In x a -> (e_section e < n)%nat).
  { intros x Hx. assert (Q : e_cpu x = i /\ (e_section x < n)%nat /\ In x l).
    { rewrite List.Forall_forall in A. by apply A. }
    destruct Q as (Q1 & Q2 & Q3). specialize (N x Q3 ltac:(congruence)). lia. }
  destruct (Nat.eqb_spec (e_section e) n) as [En|Nn].
  - destruct a as [|x a]; [|specialize (Old x (or_introl eq_refl)); lia]. exists [], c. cbn [app] in *. rewrite E. split; [reflexivity|constructor].
  - destruct (le_lt_dec n (e_section e)) as [Hge|Hlt].
    + destruct a as [|x a]; [|specialize (Old x (or_introl eq_refl)); lia].
      destruct (List.filter (is_in section_of (i, n)) l) as [|y r] eqn:F.
      * exists [], (e :: c). cbn [app] in *. rewrite E. split; [reflexivity|constructor].
      * exfalso. assert (Hy : In y (List.filter (is_in section_of (i, n)) l)) by (rewrite F; left; reflexivity).
        apply List.filter_In in Hy as [Hy1 Hy2]. apply is_in_spec in Hy2. injection Hy2 as Hy3 Hy4.
        specialize (N y Hy1 ltac:(congruence)). lia.
    + exists (e :: a), c. cbn [app]. rewrite E. split; [reflexivity|]. constructor; [|exact A']. split; [exact Ei|]. split; [exact Hlt|]. by left.
Qed.

Lemma section_locks l g g' t : machine_runs l g g' -> in_turn section_of l -> exists x y, lock_run (Reduction.block section_of l t) x y.
Proof.
  intros Hr Ht. destruct t as [i n]. destruct (section_together l i n Ht) as (a & c & E & _).
  pose proof (cpu_lock_run i l g g' Hr) as R. rewrite E in R. apply lock_run_app in R as (x & _ & R). apply lock_run_app in R as (y & R & _).
  by exists x, y.
Qed.

(* In any run: a section that takes and gives cells with locks only, and is one transaction, takes before it gives. *)
Theorem guards_two_phase l g g' t : machine_runs l g g' -> in_turn section_of l ->
  with_locks (Reduction.block section_of l t) -> one_transaction (Reduction.block section_of l t) ->
  two_phase e_takes e_gives (Reduction.block section_of l t).
Proof.
  intros Hr Ht W O. destruct (section_locks l g g' t Hr Ht) as (x & y & R). by apply (transaction_two_phase _ x y).
Qed.
