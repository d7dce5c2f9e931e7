(* SPDX-License-Identifier: Apache-2.0 *)
(* The machine of several CPUs. Each runs functions of the core, and the primitives of all of them come in any order, on one
   memory. A primitive does what prim_sem says, with the cells that it touches and what is its CPU's alone. It touches only
   what its CPU has: two CPUs never have the same cell, and what one gives another may take. A lock is a cell, too, and waited
   for while another CPU has it. Which cells else an event takes and gives is for a run to say: those of a granule that it claims,
   of a realm that it locks; of a page that it pins, if nobody else uses it, or for this access only.

   Of the memory that a primitive does not touch, and that others may be in the middle of changing, nothing is said where it
   runs: so of what a guard demands of others' cells. An attempt (to claim a granule, to pin one) may fail at any time,
   for others may have it. Log and counters are not in this memory, and what is read of them may be anything. Each access is
   at once seen by all: locks and atomic accesses order the others, as their contracts in mach.h say. *)
From kcore Require Export concurrent.Ownership.
From kcore Require Export concurrent.Framed.
From kcore Require Export lang.Traces.
From kcore Require Import lang.Link.
From kcore Require Import gen.Core.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- Events ---- *)

Inductive place_of_cpu := Mem (c : cell) | Lock (l : lock).
(* A primitive of a CPU, in the n-th of its sections; what it takes, touches, and gives. *)
Record event := Event {
  e_cpu : nat; e_section : nat; e_call : call prim;
  e_takes : place_of_cpu -> bool; e_touches : place_of_cpu -> bool; e_gives : place_of_cpu -> bool;
}.
Definition section_of (e : event) : nat * nat := (e_cpu e, e_section e).

Definition locked_by (k : call prim) : option lock :=
  match c_prim k, c_args k with
  | P_granule_claim, [pa; _] => if done (c_results k) then Some (LGranule pa) else None
  | P_realm_lock, [rd] => if done (c_results k) then Some (LGranule rd) else None
  | P_host_lock, [] => Some LHost
  | _, _ => None
  end.
Definition unlocked_by (k : call prim) : option lock :=
  match c_prim k, c_args k with
  | P_granule_release, [pa] => Some (LGranule pa)
  | P_realm_unlock, [rd] => Some (LGranule rd)
  | P_host_unlock, [] => Some LHost
  | _, _ => None
  end.
(* A lock that others have is waited for. *)
Record lawful (e : event) : Prop := Lawful {
  lw_lock : forall l, locked_by (e_call e) = Some l -> e_takes e (Lock l) = true /\ e_gives e (Lock l) = false;
  lw_unlock : forall l, unlocked_by (e_call e) = Some l -> e_takes e (Lock l) = false /\ e_gives e (Lock l) = true;
}.

Definition touching_call (k : call prim) (s : state) (c : cell) : bool := touching (c_prim k) (c_args k) (c_results k) s c.
Definition acts (e : event) (m : place_of_cpu -> value) (l : own) (m' : place_of_cpu -> value) (l' : own) : Prop :=
  lawful e /\
  (forall x, e_touches e x = false -> m' x = m x) /\
  exists s s', prim_sem (c_prim (e_call e)) (c_args (e_call e)) s = Some (c_results (e_call e), s') /\ alone s = l /\ alone s' = l' /\
    (forall c, touching_call (e_call e) s c = true -> e_touches e (Mem c) = true) /\
    (forall c, e_touches e (Mem c) = true -> m (Mem c) = read c s /\ m' (Mem c) = read c s').

Definition machine : Type := shared (C := place_of_cpu) (V := value) (L := own).
Definition takes_turn : event -> machine -> machine -> Prop := step section_of e_takes e_touches e_gives acts.

Definition machine_runs : list event -> machine -> machine -> Prop := Reduction.runs takes_turn.

Lemma acts_frame e m l m' l' c : acts e m l m' l' -> e_touches e c = false -> m' c = m c.
Proof. intros (_ & F & _). apply F. Qed.
Lemma acts_local e m l m' l' n n' : acts e m l m' l' ->
  (forall c, e_touches e c = true -> n c = m c) -> (forall c, e_touches e c = true -> n' c = m' c) ->
  (forall c, e_touches e c = false -> n' c = n c) -> acts e n l n' l'.
Proof.
  intros (W & F & s & s' & H & A & A' & T & R) N N' K. split; [exact W|]. split; [exact K|]. exists s, s'. repeat split; try assumption.
  - rewrite N by assumption. apply R; assumption.
  - rewrite N' by assumption. apply R; assumption.
Qed.

(* ---- Reduction ---- *)

Definition moves_right : event -> Prop := acquires e_gives.
Definition moves_left : event -> Prop := releases e_takes.

(* Any run of the machine, in whatever order the CPUs' primitives come, ends where one ends in which each section stands alone,
   if each takes before it gives, but for one atomic access in between. *)
Theorem cpus_reduce l g g' : machine_runs l g g' -> in_turn section_of l ->
  (forall t, two_phase e_takes e_gives (Reduction.block section_of l t)) ->
  exists order, NoDup order /\ ordered order /\ (forall e, In e l -> In (section_of e) order) /\
    (forall t, In t order -> Reduction.block section_of l t <> []) /\ machine_runs (Reduction.blocks section_of l order) g g'.
Proof. apply ownership_reduction; [exact acts_frame|exact acts_local]. Qed.

(* ---- A section that stands alone is a run of the core ---- *)

(* What a CPU sees of the machine is this state. *)
Definition seen (i : nat) (g : machine) (s : state) : Prop :=
  (forall c, content g (Mem c) = read c s) /\ local g i = alone s.
Definition settled_call (o : lock -> bool) (k : call prim) : Prop :=
  match c_prim k, c_args k with
  | P_granule_claim, [pa; _] | P_ns_get, [pa] => o (LGranule pa) = negb (done (c_results k))
  | P_granule_owner, [_; st] => st = GS_REC
  | P_log_read, _ | P_counter_read, _ => False
  | _, _ => True
  end.
Lemma settled_at k s : settled_call (others s) k -> settled (c_prim k) (c_args k) (c_results k) s.
Proof.
  unfold settled_call, settled. destruct (c_prim k); auto; destruct (c_args k) as [|? [|? [|? ?]]]; auto.
Qed.

Lemma touched_same p args rs s S : (forall c, touching p args rs s c = true -> read c s = read c S) -> touched p args rs s = touched p args rs S.
Proof.
  intros H. destruct p; try reflexivity. destruct args as [|pa [|st [|o [|? ?]]]]; try reflexivity. cbn [touched].
  destruct (same_state s S pa) as [-> _]; [|reflexivity]. apply H. apply (touched_by _ _ (One (CState pa))); [left; reflexivity|].
  cbn [covers]. by apply bool_decide_eq_true_2.
Qed.

Lemma turn_seen e g g' s rs s' : takes_turn e g g' -> seen (e_cpu e) g s -> settled_call (others s) (e_call e) ->
  prim_sem (c_prim (e_call e)) (c_args (e_call e)) s = Some (rs, s') ->
  rs = c_results (e_call e) /\ seen (e_cpu e) g' s' /\ others s' = others s.
Proof.
  intros [_ _ _ _ (_ & F & z & z' & Hz & Az & Az' & T & R) _] [Hm Hl] Hs H.
  change (cpu section_of e) with (e_cpu e) in *.
  assert (Q : forall c, touching_call (e_call e) z c = true -> read c z = read c s).
  { intros c Hc. destruct (R c (T c Hc)) as [<- _]. apply Hm. }
  destruct (prim_det _ _ _ _ _ _ _ _ Hz H) as (<- & A & O & D); [congruence|exact Q| |].
  { pose proof (settled_at _ _ Hs) as K. exact K. }
  split; [reflexivity|]. split; [|exact O]. split; [|congruence].
  intros c. pose proof (touched_same _ _ _ _ _ Q) as Qt.
  destruct (touching_call (e_call e) z c) eqn:E.
  - rewrite <- (D c E). apply R, T, E.
  - assert (read c s' = read c s) as ->.
    { apply (prim_frame _ _ _ _ _ _ H). unfold touching. rewrite <- Qt. exact E. }
    destruct (e_touches e (Mem c)) eqn:G.
    + destruct (R c G) as [R1 R2]. rewrite R2, (prim_frame _ _ _ _ _ _ Hz E), <- R1. apply Hm.
    + rewrite (F _ G). apply Hm.
Qed.

(* The calls that are left can follow. *)
Definition to_come (i : nat) (o : lock -> bool) (g' : machine) (tr : list (call prim)) (s : state) : Prop :=
  exists l g, map e_call l = tr /\ machine_runs l g g' /\ Forall (fun e => e_cpu e = i) l /\ seen i g s /\ others s = o /\
    Forall (settled_call o) tr.

Lemma to_come_answers i o g' k tr s rs s' : to_come i o g' (k :: tr) s -> prim_sem (c_prim k) (c_args k) s = Some (rs, s') ->
  rs = c_results k /\ to_come i o g' tr s'.
Proof.
  intros (l & g & Hl & Hr & Hi & Hs & Ho & Hk) H. destruct l as [|e l]; [discriminate|]. injection Hl as <- Hl.
  apply runs_cons in Hr as (g1 & H1 & Hr). inversion Hi as [|? ? E1 E2]; subst. inversion Hk as [|? ? K1 K2]; subst.
  destruct (turn_seen _ _ _ _ _ _ H1 Hs K1 H) as (A & B & O). split; [exact A|]. exists l, g1. rewrite O. auto 10.
Qed.

(* A section that is all that a function does, and stands alone, does what the core does alone. *)
Theorem section_is_core i l g g' f args rs s rs' s' :
  machine_runs l g g' -> Forall (fun e => e_cpu e = i) l -> performs program f args (map e_call l) rs ->
  seen i g s -> Forall (settled_call (others s)) (map e_call l) -> link prim_sem program f args s = Some (rs', s') ->
  rs' = rs /\ seen i g' s' /\ others s' = others s.
Proof.
  intros Hr Hi Hp Hs Hk H.
  assert (R : to_come i (others s) g' (map e_call l) s) by (exists l, g; auto 10).
  destruct (link_agrees prim_sem (to_come i (others s) g') (to_come_answers i (others s) g') program f args _ rs s rs' s' Hp R H)
    as (-> & (l' & g1 & Hl & Hr' & _ & Hs' & Ho & _) & _).
  apply map_eq_nil in Hl as ->. inversion Hr'; subst. auto.
Qed.
