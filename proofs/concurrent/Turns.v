(* SPDX-License-Identifier: Apache-2.0 *)
(* Whatever primitives CPUs run, in any order, on one memory, is a run of the machine of Cpus.v: that each touches only what
   its CPU has need not be said of a run. So it reduces, and where its sections are whole functions, these are as if run one
   after the other. *)
From kcore Require Import concurrent.Alone.
From kcore Require Export concurrent.Together.
From kcore Require Export concurrent.Serial.
From kcore Require Import lang.Link.
From kcore Require Import gen.Core.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- What a primitive takes and gives ---- *)

Definition owned (i : nat) (g : machine) (c : cell) : bool := bool_decide (owner g (Mem c) = Some i).
(* A primitive of a CPU: that takes what the CPU has from now on, gives what it has no more, and what it touches and does not have it
   takes for this access only. Of what no lock gives, a run may say that the CPU keeps it until later. *)
Definition turn_event (i n : nat) (k : call prim) (keep : cell -> bool) (g : machine) (s s' : state) : event :=
  Event i n k
    (fun x => match x with
      | Mem c => negb (owned i g c) && (has s' c || keep c || touching_call k s c)
      | Lock l => negb (holds l s) && holds l s'
      end)
    (fun x => match x with Mem c => touching_call k s c | Lock _ => false end)
    (fun x => match x with
      | Mem c => negb (has s' c || keep c) && (owned i g c || touching_call k s c)
      | Lock l => holds l s && negb (holds l s')
      end).
Definition turned (e : event) (g : machine) (V' : nat -> state) : machine :=
  Shared (fun x => match x with Mem c => read c (V' (e_cpu e)) | Lock _ => content g x end)
    (fun x => if e_gives e x then None else if e_takes e x then Some (e_cpu e) else owner g x)
    (fun j => alone (V' j)).

(* What each CPU keeps; what one keeps no other uses, and no other has. *)
Definition keeping : Type := nat -> cell -> bool.
Definition nothing : keeping := fun _ _ => false.
Definition keeps_now (i : nat) (keep : cell -> bool) (K : keeping) : keeping := fun j => if Nat.eqb j i then keep else K j.
Record unshared (i : nat) (k : call prim) (keep : cell -> bool) (V V' : nat -> state) (K : keeping) : Prop := Unshared {
  un_uses : forall j c, j <> i -> has (V' i) c = true \/ keep c = true \/ touching_call k (V i) c = true -> K j c = false;
  un_keeps : forall j c, j <> i -> keep c = true -> has (V j) c = false;
}.

(* Primitives of all CPUs, each in a section of its CPU's, and who owns what then. Each follows a rule: about the event, what its
   CPU kept and keeps, what it sees before and after. *)
Definition rule : Type := event -> (cell -> bool) -> (cell -> bool) -> state -> state -> Prop.
Definition any : rule := fun _ _ _ _ _ => True.
Inductive mixed (R : rule) : list event -> (nat -> state) -> keeping -> machine -> (nat -> state) -> machine -> Prop :=
| X_none V K g : mixed R [] V K g V g
| X_turn i n k keep V V1 V2 K g g2 l : turn i (c_prim k) (c_args k) (c_results k) V V1 -> unshared i k keep V V1 K ->
    R (turn_event i n k keep g (V i) (V1 i)) (K i) keep (V i) (V1 i) ->
    mixed R l V1 (keeps_now i keep K) (turned (turn_event i n k keep g (V i) (V1 i)) g V1) V2 g2 ->
    mixed R (turn_event i n k keep g (V i) (V1 i) :: l) V K g V2 g2.

(* The machine is what CPUs see; what one owns there, it has, or keeps. *)
Record shows (V : nat -> state) (K : keeping) (g : machine) : Prop := Shows {
  sh_content : forall i c, content g (Mem c) = read c (V i);
  sh_local : forall i, local g i = alone (V i);
  sh_cells : forall i c, owner g (Mem c) = Some i -> has (V i) c = true \/ K i c = true;
  sh_locks : forall i l, owner g (Lock l) = Some i <-> holds l (V i) = true;
}.
Definition once_each (V : nat -> state) : Prop := forall i, NoDup (held (V i)).

Definition begins (V : nat -> state) : machine :=
  Shared (fun x => match x with Mem c => read c (V 0%nat) | Lock _ => None end) (fun _ => None) (fun i => alone (V i)).
Lemma begins_shows V : start V -> shows V nothing (begins V) /\ together V /\ once_each V.
Proof.
  intros S. split; [|split; [by apply start_together|]].
  - constructor; cbn [content local owner begins]; try done.
    + intros i c. apply (sa_same _ S).
    + intros i l. split; [done|]. unfold holds. by rewrite (proj1 (proj2 (sa_inv _ S i))).
  - intros i. rewrite (proj1 (proj2 (sa_inv _ S i))). constructor.
Qed.

Section turn.
  Context (i n : nat) (k : call prim) (keep : cell -> bool) (V V' : nat -> state) (K : keeping) (g : machine).
  Context (Tu : turn i (c_prim k) (c_args k) (c_results k) V V') (Un : unshared i k keep V V' K).
  Context (T : together V) (U : once_each V) (Sh : shows V K g).
  Notation e := (turn_event i n k keep g (V i) (V' i)).

  Local Lemma after : together V'.
  Proof using Tu T. by apply (together_kept _ _ _ _ _ _ Tu). Qed.
  Local Lemma kept j c : j <> i -> has (V j) c = true -> has (V' j) c = true.
  Proof using Tu T. intros N. by apply (has_kept _ _ _ _ _ _ j c Tu T). Qed.
  Lemma owned_true c : owned i g c = true <-> owner g (Mem c) = Some i.
  Proof using Type. unfold owned. apply bool_decide_eq_true. Qed.

  Lemma turn_once : once_each V'.
  Proof using Tu U.
    intros j. destruct (Nat.eq_dec j i) as [->|N].
    - pose proof (prim_held k (V i) (V' i) (tu_prim _ _ _ _ _ _ Tu)) as P. specialize (U i).
      destruct (locked_by k) as [l|]; [|destruct (unlocked_by k) as [l|]].
      + destruct P as [P ->]. constructor; [|exact U]. intros Q. apply holds_in in Q. congruence.
      + destruct P as [_ ->]. by apply without_nodup.
      + by rewrite P.
    - destruct (alone_held _ _ (tu_own _ _ _ _ _ _ Tu j N)) as [_ ->]. apply U.
  Qed.

  (* Nobody else owns what it takes. *)
  Lemma taken_free c : has (V' i) c = true \/ keep c = true \/ touching_call k (V i) c = true ->
    forall j, j <> i -> owner g (Mem c) <> Some j.
  Proof using Tu Un T Sh.
    intros H j N O. pose proof (un_uses _ _ _ _ _ _ Un j c N H) as Kj. apply (sh_cells _ _ _ Sh) in O as [E | E]; [|congruence].
    pose proof (kept j c N E) as E'. destruct H as [H | [H | H]].
    - by apply (has_apart V' after i j (not_eq_sym N) c).
    - rewrite (un_keeps _ _ _ _ _ _ Un j c N H) in E. discriminate.
    - destruct (turn_own _ _ _ _ _ _ _ T Tu H) as [[_ A] | [[_ A] | [_ A]]].
      + rewrite (A j N) in E. discriminate.
      + rewrite (A j N) in E'. discriminate.
      + rewrite A in E. discriminate.
  Qed.
  Lemma lock_free l : holds l (V i) = false -> holds l (V' i) = true -> owner g (Lock l) = None.
  Proof using Tu Sh.
    intros A B. destruct (owner g (Lock l)) as [j|] eqn:O; [|reflexivity]. exfalso. apply (sh_locks _ _ _ Sh) in O.
    destruct (Nat.eq_dec j i) as [->|N]; [congruence|]. pose proof (tu_waits _ _ _ _ _ _ Tu l j N B A). congruence.
  Qed.

  Lemma turn_lawful : lawful e.
  Proof using Tu U.
    pose proof (prim_held k (V i) (V' i) (tu_prim _ _ _ _ _ _ Tu)) as P.
    constructor; intros l Q; cbn [e_takes e_gives turn_event e_call] in *.
    - rewrite Q in P. destruct P as [A B]. rewrite A. split; [|reflexivity]. cbn [negb andb]. apply holds_in. rewrite B. by left.
    - destruct (locked_by k) as [m|] eqn:L; [destruct (locks_either _ _ _ L Q)|]. rewrite Q in P. destruct P as [A B]. rewrite A.
      split; [reflexivity|]. cbn [andb]. apply negb_true_iff. destruct (holds l (V' i)) eqn:H; [|reflexivity]. exfalso.
      apply holds_in in H. rewrite B in H. apply elem_of_list_In in H. apply Alone.without_in in H as [_ H]; [by apply H|apply U].
  Qed.

  Lemma turn_takes : takes_turn e g (turned e g V').
  Proof using Tu Un T U Sh.
    constructor; change (cpu section_of e) with i.
    - intros [c|l] Q; cbn [e_takes turn_event] in Q; apply andb_true_iff in Q as [A B]; apply negb_true_iff in A; [|by apply lock_free].
      destruct (owner g (Mem c)) as [j|] eqn:O; [exfalso|reflexivity].
      destruct (Nat.eq_dec j i) as [->|N]; [apply owned_true in O; congruence|].
      apply (taken_free c) with (j := j); [|exact N|exact O]. apply orb_true_iff in B as [B | B]; [apply orb_true_iff in B as [B | B]|]; auto.
    - intros [c|l] Q; cbn [e_takes e_touches turn_event] in *; [|discriminate]. rewrite Q, orb_true_r, andb_true_r.
      destruct (owned i g c) eqn:O; [right; by apply owned_true|by left].
    - intros [c|l] Q; cbn [e_takes e_gives turn_event] in *; apply andb_true_iff in Q as [A B].
      + destruct (owned i g c) eqn:O; [right; by apply owned_true|left]. cbn [orb negb andb] in *. by rewrite B, orb_true_r.
      + right. by apply (sh_locks _ _ _ Sh).
    - reflexivity.
    - split; [exact turn_lawful|]. split.
      + intros [c|l] Q; [|reflexivity]. cbn [e_touches turn_event] in Q. cbn [content turned e_cpu turn_event]. rewrite (sh_content _ _ _ Sh i).
        apply (prim_frame _ _ _ _ _ _ (tu_prim _ _ _ _ _ _ Tu) Q).
      + exists (V i), (V' i). cbn [e_call turn_event content turned e_cpu local]. rewrite (sh_local _ _ _ Sh).
        split; [apply (tu_prim _ _ _ _ _ _ Tu)|]. split; [reflexivity|]. split; [reflexivity|]. split; [intros c Q; exact Q|].
        intros c _. split; [apply (sh_content _ _ _ Sh)|reflexivity].
    - intros j N. cbn [local turned]. rewrite (sh_local _ _ _ Sh). by apply (tu_own _ _ _ _ _ _ Tu).
  Qed.

  Lemma turn_shows : shows V' (keeps_now i keep K) (turned e g V').
  Proof using Tu T Sh.
    constructor; cbn [content local owner turned e_cpu turn_event e_takes e_gives].
    - intros j c. destruct (Nat.eq_dec j i) as [->|N]; [reflexivity|]. symmetry. by apply (tu_seen _ _ _ _ _ _ Tu).
    - reflexivity.
    - intros j c. unfold keeps_now. destruct (Nat.eqb_spec j i) as [->|N].
      + destruct (has (V' i) c); [by left|]. destruct (keep c); [by right|]. cbn [negb andb orb]. unfold owned.
        case_bool_decide as O; cbn [negb andb orb]; [done|]. by destruct (touching_call k (V i) c).
      + destruct (negb _ && _); [done|]. destruct (negb _ && _); [congruence|]. intros O. apply (sh_cells _ _ _ Sh) in O as [O | O]; [left|by right].
        by apply kept.
    - intros j l. assert (Kl : j <> i -> holds l (V' j) = holds l (V j)).
      { intros N. apply holds_held. apply alone_held, (tu_own _ _ _ _ _ _ Tu j N). }
      destruct (holds l (V i)) eqn:A, (holds l (V' i)) eqn:B; cbn [negb andb].
      + destruct (Nat.eq_dec j i) as [->|N]; [rewrite (sh_locks _ _ _ Sh), A, B; tauto|]. rewrite Kl by exact N. apply (sh_locks _ _ _ Sh).
      + split; [done|]. intros H. exfalso. destruct (Nat.eq_dec j i) as [->|N]; [congruence|]. rewrite Kl in H by exact N.
        rewrite (tg_locks _ T i j l (not_eq_sym N) A) in H. discriminate.
      + destruct (Nat.eq_dec j i) as [->|N]; [tauto|]. split; [intros [= E]; congruence|]. intros H. exfalso. rewrite Kl in H by exact N.
        rewrite (tu_waits _ _ _ _ _ _ Tu l j N B A) in H. discriminate.
      + destruct (Nat.eq_dec j i) as [->|N]; [rewrite (sh_locks _ _ _ Sh), A, B; tauto|]. rewrite Kl by exact N. apply (sh_locks _ _ _ Sh).
  Qed.
End turn.

(* ---- Runs ---- *)

(* However mixed, it is a run of the machine: each CPU touches only what it has, or keeps, or takes for the one access. *)
Theorem mixed_runs R l V K g V' g' : mixed R l V K g V' g' -> together V -> once_each V -> shows V K g ->
  machine_runs l g g' /\ exists K', shows V' K' g'.
Proof.
  induction 1 as [V K g|i n k keep V V1 V2 K g g2 l Tu Un _ M IH]; intros T U Sh; [split; [constructor|by exists K]|].
  destruct IH as [A B].
  - by apply (together_kept _ _ _ _ _ _ Tu).
  - by apply (turn_once i k V V1).
  - by apply turn_shows.
  - split; [|exact B]. econstructor; [|exact A]. by apply (turn_takes i n k keep V V1 K g).
Qed.

Theorem mixed_reduces R l V V' g' : start V -> mixed R l V nothing (begins V) V' g' -> in_turn section_of l ->
  (forall t, two_phase e_takes e_gives (Reduction.block section_of l t)) ->
  exists order, NoDup order /\ ordered order /\ (forall e, In e l -> In (section_of e) order) /\
    machine_runs (Reduction.blocks section_of l order) (begins V) g' /\ exists K, shows V' K g'.
Proof.
  intros S M O W. destruct (begins_shows V S) as (Sh & T & U). destruct (mixed_runs _ _ _ _ _ _ _ M T U Sh) as [Ru Sh'].
  destruct (cpus_reduce l _ _ Ru O W) as (order & A & B & C & _ & D). exists order. auto.
Qed.

(* Sections that are whole functions: as if they ran one after the other. *)
Theorem mixed_serial R busy (jobs : nat * nat -> job) l V V' g' : start V -> (forall i, busy i = true -> runs (V i) = 0) ->
  mixed R l V nothing (begins V) V' g' -> in_turn section_of l ->
  (forall t, Reduction.block section_of l t <> [] -> busy (fst t) = true /\ whole (jobs t) (Reduction.block section_of l t)) ->
  exists order, NoDup order /\ ordered order /\ (forall e, In e l -> In (section_of e) order) /\
    serial jobs order (begins V) g' /\ calm (hw (V 0%nat)) busy g' /\ exists K, shows V' K g'.
Proof.
  intros S Idle M O W. destruct (begins_shows V S) as (Sh & T & U). destruct (mixed_runs _ _ _ _ _ _ _ M T U Sh) as [Ru Sh'].
  destruct (run_is_serial (hw (V 0%nat)) busy jobs l (begins V) g' Ru O) as (order & A & B & C & D & E); [|exact W|exists order; auto 10].
  intros i Hi. exists (V i). split; [split; [apply (sh_content _ _ _ Sh)|apply (sh_local _ _ _ Sh)]|]. destruct (sa_inv _ S i) as [I D].
  split; [exact I|]. split; [exact D|]. split; [apply (sa_hw _ S)|]. by apply Idle.
Qed.

(* ---- The mix leaves nothing out ---- *)

(* A CPU may take its turn where its primitive can run, if no lock that it takes is another's. *)
Lemma can_turn i p args rs V s' : together V -> prim_sem p args (V i) = Some (rs, s') ->
  (forall l j, j <> i -> holds l s' = true -> holds l (V i) = false -> holds l (V j) = false) ->
  (forall l j, j <> i -> holds l (V j) = true -> others (V i) l = true) ->
  turn i p args rs V (fun j => if Nat.eqb j i then s' else as_seen s' (V j)).
Proof.
  intros T H W O. destruct (prim_fixed _ _ _ _ _ H) as [_ Fd].
  constructor; cbv beta; rewrite ?Nat.eqb_refl.
  - exact H.
  - exact W.
  - exact O.
  - intros j N. rewrite (proj2 (Nat.eqb_neq j i) N).
    assert (Q : (dom (gran s') : gset Z) = dom (gran (V j))) by (rewrite Fd; apply same_dom, (tg_same _ T)).
    unfold alone. cbn. by rewrite Q.
  - intros j c N. rewrite (proj2 (Nat.eqb_neq j i) N). apply read_as_seen.
Qed.

Lemma plays_mixed i n tr s s' : plays prim_sem tr s s' -> forall V K g, V i = s -> together V -> (forall j c, K j c = false) ->
  (forall j l, j <> i -> holds l (V j) = false) ->
  exists l V' g', mixed any l V K g V' g' /\ Forall (fun e => section_of e = (i, n)) l /\ map e_call l = tr /\ V' i = s'.
Proof.
  induction 1 as [s|k tr s s1 s2 H1 H2 IH]; intros V K g E T Kn Hn.
  - exists [], V, g. split; [constructor|]. auto.
  - subst s. set (V1 := fun j => if Nat.eqb j i then s1 else as_seen s1 (V j)).
    assert (Tu : turn i (c_prim k) (c_args k) (c_results k) V V1).
    { apply can_turn; [exact T|exact H1| |]; intros l j N; [intros _ _; by apply Hn|rewrite Hn by exact N; discriminate]. }
    destruct (IH V1 (keeps_now i (fun _ => false) K) (turned (turn_event i n k (fun _ => false) g (V i) (V1 i)) g V1)) as (l & V' & g' & A & B & C & D).
    + unfold V1. by rewrite Nat.eqb_refl.
    + by apply (together_kept _ _ _ _ _ _ Tu).
    + intros j c. unfold keeps_now. by destruct (Nat.eqb j i).
    + intros j l N. unfold V1. rewrite (proj2 (Nat.eqb_neq j i) N). exact (Hn j l N).
    + exists (turn_event i n k (fun _ => false) g (V i) (V1 i) :: l), V', g'.
      split; [econstructor; [exact Tu|constructor; [intros; apply Kn|discriminate]|exact I|exact A]|].
      split; [by constructor|]. split; [|exact D]. cbn [map e_call turn_event]. by rewrite C.
Qed.

(* What the core does alone one CPU may do there, while the others rest. *)
Theorem core_mixed i n f args V rs s' : start V -> link prim_sem program f args (V i) = Some (rs, s') ->
  exists l V' g', mixed any l V nothing (begins V) V' g' /\ Forall (fun e => section_of e = (i, n)) l /\
    performs program f args (map e_call l) rs /\ V' i = s'.
Proof.
  intros S H. apply link_plays in H as (tr & Hp & H).
  destruct (plays_mixed i n tr _ _ H V nothing (begins V) eq_refl) as (l & V' & g' & A & B & <- & D); [by apply start_together|done| |].
  { intros j l _. unfold holds. by rewrite (proj1 (proj2 (sa_inv _ S j))). }
  exists l, V', g'. auto.
Qed.
