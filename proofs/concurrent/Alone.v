(* SPDX-License-Identifier: Apache-2.0 *)
(* The machine of several CPUs can do what the core does: a primitive that finds what it touches in nobody's hands, and its lock
   free, takes its turn there; so each run of the core is one of the machine. *)
From kcore Require Export concurrent.Cpus.
From kcore Require Import lang.Link.
From kcore Require Import gen.Core.
From Coq Require Import Lia.
Local Open Scope Z_scope.

Global Instance lock_eq_dec : EqDecision lock.
Proof. solve_decision. Defined.

(* Each cell for one access only. *)
Definition atomic_event (i n : nat) (k : call prim) (s : state) : event :=
  Event i n k
    (fun x => match x with Mem c => touching_call k s c | Lock l => bool_decide (locked_by k = Some l) end)
    (fun x => match x with Mem c => touching_call k s c | Lock _ => false end)
    (fun x => match x with Mem c => touching_call k s c | Lock l => bool_decide (unlocked_by k = Some l) end).

Definition after (e : event) (g : machine) (s' : state) : machine :=
  Shared (fun x => match x with Mem c => read c s' | Lock _ => content g x end)
    (fun x => if e_gives e x then None else if e_takes e x then Some (e_cpu e) else owner g x)
    (fun j => if Nat.eqb j (e_cpu e) then alone s' else local g j).

Lemma locks_either k l m : locked_by k = Some l -> unlocked_by k = Some m -> False.
Proof.
  unfold locked_by, unlocked_by. destruct (c_prim k); try discriminate; destruct (c_args k) as [|? [|? [|? ?]]]; discriminate.
Qed.

Theorem can_take_turn i n g s k s' : seen i g s -> prim_sem (c_prim k) (c_args k) s = Some (c_results k, s') ->
  (forall c, touching_call k s c = true -> owner g (Mem c) = None) ->
  (forall l, locked_by k = Some l -> owner g (Lock l) = None) ->
  (forall l, unlocked_by k = Some l -> owner g (Lock l) = Some i) ->
  takes_turn (atomic_event i n k s) g (after (atomic_event i n k s) g s') /\ seen i (after (atomic_event i n k s) g s') s'.
Proof.
  intros [Hm Hl] H T L U. split.
  - constructor; cbn [e_takes e_touches e_gives atomic_event e_cpu e_call].
    + intros [c|l] Q; [by apply T|]. apply bool_decide_eq_true in Q. by apply L.
    + intros [c|l] Q; [by left|discriminate].
    + intros [c|l] Q; [by left|]. apply bool_decide_eq_true in Q. right. by apply U.
    + reflexivity.
    + change (cpu section_of (atomic_event i n k s)) with i. split.
      { constructor; cbn [e_takes e_gives atomic_event e_call]; intros l Q.
        - rewrite bool_decide_eq_true_2 by exact Q. split; [reflexivity|]. apply bool_decide_eq_false. intros R. by eapply locks_either.
        - rewrite (bool_decide_eq_true_2 (unlocked_by k = Some l)) by exact Q. split; [|reflexivity]. apply bool_decide_eq_false. intros R. by eapply locks_either. }
      split.
      { intros [c|l] Q; [|reflexivity]. cbn [content after]. cbn [e_touches atomic_event] in Q. rewrite Hm. by apply (prim_frame _ _ _ _ _ _ H). }
      exists s, s'. cbn [e_call atomic_event content after local]. rewrite Nat.eqb_refl. rewrite Hl.
      split; [exact H|]. split; [reflexivity|]. split; [reflexivity|]. split; [intros c Q; exact Q|]. intros c _. by rewrite Hm.
    + intros j N. cbn [local after e_cpu atomic_event]. change (cpu section_of (atomic_event i n k s)) with i in N.
      destruct (Nat.eqb_spec j i); [congruence|reflexivity].
  - split; [reflexivity|]. cbn [local after e_cpu atomic_event]. by rewrite Nat.eqb_refl.
Qed.

(* ---- A whole run ---- *)

Definition free_for (i : nat) (g : machine) (s : state) : Prop :=
  (forall c, owner g (Mem c) = None) /\ (forall l, owner g (Lock l) = if holds l s then Some i else None) /\ NoDup (held s).

Lemma lock_eqb_spec a b : lock_eqb a b = bool_decide (a = b).
Proof.
  destruct a as [x|], b as [y|]; cbn [lock_eqb]; try (symmetry; by apply bool_decide_eq_false); [|symmetry; by apply bool_decide_eq_true].
  destruct (Z.eqb_spec x y) as [->|N]; symmetry; [by apply bool_decide_eq_true|apply bool_decide_eq_false; congruence].
Qed.
Lemma holds_in l s : holds l s = true <-> l ∈ held s.
Proof.
  unfold holds. rewrite existsb_exists. split.
  - intros (x & Hx & E). rewrite lock_eqb_spec in E. apply bool_decide_eq_true in E as <-. by apply elem_of_list_In.
  - intros H. exists l. split; [by apply elem_of_list_In|]. rewrite lock_eqb_spec. by apply bool_decide_eq_true.
Qed.
Lemma without_in l x ls : NoDup ls -> x ∈ without l ls <-> x ∈ ls /\ x <> l.
Proof.
  induction 1 as [|y ls Hy Hl IH]; cbn [without]; [rewrite elem_of_nil; tauto|]. rewrite lock_eqb_spec. case_bool_decide as E.
  - rewrite elem_of_cons. split.
    + intros Hx. split; [tauto|]. intros Q. apply Hy. rewrite <- E, <- Q. by apply elem_of_list_In.
    + intros [[Q|Hx] N]; [congruence|exact Hx].
  - rewrite !elem_of_cons, IH. split.
    + intros [Q|[A B]]; split; [by left|congruence|by right|exact B].
    + intros [[Q|A] B]; [by left|by right].
Qed.
Lemma without_nodup l ls : NoDup ls -> NoDup (without l ls).
Proof.
  induction 1 as [|y ls Hy Hl IH]; cbn [without]; [constructor|]. destruct (lock_eqb l y); [exact Hl|]. constructor; [|exact IH].
  intros Q. apply Hy. apply elem_of_list_In in Q. apply (without_in l y ls Hl) in Q as [Q _]. by apply elem_of_list_In.
Qed.

Lemma prim_held k s s' : prim_sem (c_prim k) (c_args k) s = Some (c_results k, s') ->
  match locked_by k with
  | Some l => holds l s = false /\ held s' = l :: held s
  | None => match unlocked_by k with Some l => holds l s = true /\ held s' = without l (held s) | None => held s' = held s end
  end.
Proof.
  destruct k as [p args rs]. cbn [c_prim c_args c_results]. intros H.
  destruct p; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; try discriminate H;
    cbv beta iota delta [prim_sem] in H; try (apply ok_guarded in H as [G E]); cbn [locked_by unlocked_by c_prim c_args c_results].
  all: try (injection E as <- <-; reflexivity).
  all: try (match type of E with (match ?o with _ => _ end) = _ => destruct o end; injection E as <- <-; reflexivity).
  - destruct (claimable a1 a0 s) eqn:C; injection E as <- <-; cbn [done]; [|reflexivity]. split; [|reflexivity].
    unfold claimable, free in C. apply andb_true_iff in C as [_ C]. apply andb_true_iff in C as [C _]. by apply negb_true_iff.
  - injection E as <- <-. apply andb_true_iff in G as [G _]. auto.
  - destruct (has_state GS_RD a0 s) eqn:C; injection E as <- <-; cbn [done]; [|reflexivity]. split; [|reflexivity].
    apply andb_true_iff in G as [_ G]. apply bool_decide_eq_true in G. unfold holds. by rewrite G.
  - injection E as <- <-. apply andb_true_iff in G as [G _]. apply andb_true_iff in G as [G _]. auto.
  - injection E as <- <-. unfold after_write. by destruct (role_of (hw s) a0).
  - injection E as <- <-. apply andb_true_iff in G as [_ G]. apply negb_true_iff in G. auto.
  - injection E as <- <-. apply andb_true_iff in G as [G _]. auto.
  - injection E as <- <-. unfold el1_set. by destruct (loaded s =? a0).
  - destruct (log_text (hw s) (logged s) a1) as [n next]. apply ok_guarded in H as [G E]. by injection E as <- <-.
  - injection E as <- <-. by destruct f.
  - injection E as <- <-. by destruct f.
Qed.

Lemma turn_free i n g s k s' : free_for i g s -> prim_sem (c_prim k) (c_args k) s = Some (c_results k, s') ->
  free_for i (after (atomic_event i n k s) g s') s'.
Proof.
  intros (F & O & N) H. pose proof (prim_held _ _ _ H) as P.
  assert (I : forall l, holds l s' = if bool_decide (unlocked_by k = Some l) then false else if bool_decide (locked_by k = Some l) then true else holds l s).
  { intros l. destruct (locked_by k) as [m|] eqn:L.
    - assert (U : bool_decide (unlocked_by k = Some l) = false) by (apply bool_decide_eq_false; intros U; by eapply locks_either). rewrite U.
      destruct P as [_ P]. unfold holds at 1. rewrite P. cbn [existsb]. rewrite lock_eqb_spec.
      destruct (decide (m = l)) as [->|Q]; [by rewrite !bool_decide_eq_true_2|]. rewrite !bool_decide_eq_false_2 by congruence. reflexivity.
    - rewrite (bool_decide_eq_false_2 (None = Some l)) by done. destruct (unlocked_by k) as [m|] eqn:U.
      + destruct P as [_ P]. case_bool_decide as Q.
        * injection Q as ->. destruct (holds l s') eqn:E; [|reflexivity]. apply holds_in in E. rewrite P in E. by apply without_in in E as [_ []].
        * apply eq_bool_prop_intro. rewrite !Is_true_true, !holds_in, P, without_in by exact N. split; [tauto|]. intros A. split; [exact A|congruence].
      + rewrite bool_decide_eq_false_2 by done. unfold holds. by rewrite P. }
  split; [|split].
  - intros c. cbn [owner after e_gives e_takes atomic_event]. destruct (touching_call k s c); [reflexivity|apply F].
  - intros l. cbn [owner after e_gives e_takes atomic_event e_cpu]. rewrite I. case_bool_decide; [reflexivity|]. case_bool_decide; [reflexivity|apply O].
  - destruct (locked_by k) as [m|]; [|destruct (unlocked_by k) as [m|]].
    + destruct P as [P ->]. constructor; [|exact N]. rewrite <- elem_of_list_In, <- holds_in, P. discriminate.
    + destruct P as [_ ->]. by apply without_nodup.
    + by rewrite P.
Qed.

(* What the core does alone, one CPU of the machine can do while the others rest. *)
Theorem core_on_machine i n g f args s rs s' : seen i g s -> free_for i g s -> link prim_sem program f args s = Some (rs, s') ->
  exists l g', machine_runs l g g' /\ Forall (fun e => section_of e = (i, n)) l /\ performs program f args (map e_call l) rs /\
    seen i g' s' /\ free_for i g' s'.
Proof.
  intros Hs Hf H. apply link_plays in H as (tr & Hp & H).
  enough (exists l g', machine_runs l g g' /\ Forall (fun e => section_of e = (i, n)) l /\ map e_call l = tr /\ seen i g' s' /\ free_for i g' s') as (l & g' & A & B & <- & C).
  { exists l, g'. auto. }
  clear Hp. revert g Hs Hf. induction H as [s|k tr s s1 s2 H1 H2 IH]; intros g Hs Hf.
  - exists [], g. split; [constructor|]. auto.
  - pose proof Hf as (F & O & N). pose proof (prim_held _ _ _ H1) as P.
    destruct (can_take_turn i n g s k s1 Hs H1) as [T S1].
    + intros c _. apply F.
    + intros l L. rewrite L in P. destruct P as [P _]. by rewrite O, P.
    + intros l U. destruct (locked_by k) eqn:L; [destruct (locks_either _ _ _ L U)|]. rewrite U in P. destruct P as [P _]. by rewrite O, P.
    + destruct (IH (after (atomic_event i n k s) g s1) S1 (turn_free _ _ _ _ _ _ Hf H1)) as (l & g' & A & B & C & D).
      exists (atomic_event i n k s :: l), g'. split; [econstructor; eauto|]. split; [by constructor|]. split; [cbn; by rewrite C|exact D].
Qed.
