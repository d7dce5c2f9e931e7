(* SPDX-License-Identifier: Apache-2.0 *)
(* What several CPUs do is what they do one after the other: each function of a run of the machine gives what the core gives
   where it runs alone, each from where the one before it left, and the invariant holds in between and at the end. *)
From kcore Require Export concurrent.Cpus.
From kcore Require Import lang.Keeps.
From kcore Require Import refine.Tactics.
From kcore Require Import refine.RunFacts.
From kcore Require Import refine.HostmemRefine.
From kcore Require Import refine.HostInv.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- What another CPU sees ---- *)

(* The memory of s, and what is a CPU's alone of t. *)
Definition as_seen (s t : state) : state := State (hw t) (gran s) (mem s) (held t) (shrinking t) (others t) (staled t) (holes s) (vmids s)
  (clock t) (params t) (run t) (hash_page t) (digest t) (runs t) (loaded t) (live t) (vtimer_masked t) (counters s) (logged s)
  (places s) (cached s).
Definition with_others (o : lock -> bool) (s : state) : state := State (hw s) (gran s) (mem s) (held s) (shrinking s) o (staled s)
  (holes s) (vmids s) (clock s) (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s)
  (logged s) (places s) (cached s).

Definition runs_well (s : state) (rec : Z) : Prop :=
  rec <> 0 -> has_state GS_REC rec s = true /\ rec_of s REC_running rec = 1.

Lemma inv_same s s' : inv s -> hw s' = hw s -> gran s' = gran s -> mem s' = mem s -> holes s' = holes s -> vmids s' = vmids s ->
  places s' = places s -> cached s' = cached s ->
  page_words (params s') /\ page_words (run s') /\ page_words (hash_page s') /\
      length (digest s') = 8%nat /\ Forall u64 (digest s') /\ Forall u64 (live s') ->
  runs_well s (runs s') -> (loaded s' <> 0 -> loaded s' = runs s' /\ length (live s') = 133%nat) -> inv s'.
Proof.
  intros I Eh Eg Em Eo Ev Ep Ec Hs Hr Hl. apply (inv_turned s); [exact I|].
  assert (Rf : forall f rec, rec_of s' f rec = rec_of s f rec) by (intros; unfold rec_of, rec_get; by rewrite Em).
  assert (Df : forall f rd, rd_of s' f rd = rd_of s f rd) by (intros; unfold rd_of, rd_get; by rewrite Em).
  constructor; try assumption.
  - intros rd. rewrite Ec. apply (i_cached _ I).
  - intros. by rewrite Em.
  - intros. by rewrite Em.
  - intros rd H. split; [intros; apply Df|]. pose proof (realm_bounded _ _ (i_realm _ I _ H)) as B. unfold bounded in *. by rewrite !Df.
  - intros rec g Hg Hgs. split; [intros; apply Rf|]. destruct (i_rec _ I _ _ Hg Hgs) as [_ _ C3 _ C5 C6 C7].
    split; [|rewrite !Rf; exact C3]. unfold waits_ok, half_of, token_total, token_of. rewrite !Rf, Df, Em, Eh.
    split; [exact C5|]. split; [exact C6|]. exact C7.
  - intros pa H. rewrite (same_runs s s') by (auto using Rf). by apply (i_pins _ I).
  - rewrite Em. apply (i_mem _ I).
  - rewrite Em. intros pa i. apply (i_words _ I).
  - intros N. rewrite Rf. by apply Hr.
Qed.

Lemma runs_well_inv s : inv s -> runs_well s (runs s).
Proof. intros I N. apply (i_runs _ I N). Qed.

Lemma inv_others s o : inv s -> inv (with_others o s).
Proof.
  intros I. apply (inv_same s); try reflexivity; try exact I; [exact (i_scratch _ I)|exact (runs_well_inv _ I)|exact (i_loaded _ I)].
Qed.
Lemma inv_as_seen s t : inv s -> inv t -> hw t = hw s -> runs_well s (runs t) -> inv (as_seen s t).
Proof.
  intros I J E R. apply (inv_same s); try reflexivity; try assumption; [exact (i_scratch _ J)|exact (i_loaded _ J)].
Qed.

Lemma read_others c o s : read c (with_others o s) = read c s.
Proof. destruct c; reflexivity. Qed.
Lemma read_as_seen c s t : read c (as_seen s t) = read c s.
Proof. destruct c; reflexivity. Qed.

Lemma core_fixed f args s rs s' : link prim_sem program f args s = Some (rs, s') -> hw s' = hw s /\ (dom (gran s') : gset Z) = dom (gran s).
Proof.
  intros H. refine (link_keeps prim_sem (fun x => hw x = hw s /\ (dom (gran x) : gset Z) = dom (gran s)) _ program f args s rs s' H _); [|auto].
  intros p a x r y K [A B]. destruct (prim_fixed _ _ _ _ _ K) as [-> ->]. auto.
Qed.

Lemma same_dom s t : (forall c, read c s = read c t) -> (dom (gran s) : gset Z) = dom (gran t).
Proof.
  intros H. apply leibniz_equiv. intros pa. rewrite !elem_of_dom. specialize (H (CState pa)). cbn [read] in H.
  destruct (gran s !! pa), (gran t !! pa); cbn in H; try discriminate; split; intros [? [=]]; eauto.
Qed.

(* ---- Handlers ---- *)

(* A function of a CPU: its name, its arguments, and what it gave. *)
Record job := Job { j_name : string; j_args : list Z; j_results : list Z }.

(* What a CPU that runs no REC may run: from any state with the invariant it ends in one; and it runs none then, if it gave this. *)
Definition handler (j : job) : Prop := forall s, inv s -> idle s -> runs s = 0 ->
  exists rs s', core (j_name j) (j_args j) s = Some (rs, s') /\ inv s' /\ idle s' /\ (rs = j_results j -> runs s' = 0).

(* Each CPU that takes part sees a state with the invariant. *)
Definition calm (h : hardware) (busy : nat -> bool) (g : machine) : Prop :=
  forall i, busy i = true -> exists s, seen i g s /\ inv s /\ idle s /\ hw s = h /\ runs s = 0.

Lemma others_keep i l g g' : machine_runs l g g' -> Forall (fun e => e_cpu e = i) l -> forall j, j <> i -> local g' j = local g j.
Proof.
  induction 1 as [|e l g g1 g2 H1 H2 IH]; intros F j N; [reflexivity|]. inversion F as [|? ? E1 E2]; subst.
  rewrite IH by assumption. apply (st_others _ _ _ _ _ _ _ _ H1). exact N.
Qed.

(* Functions that run one after the other, each alone, each CPU from what it sees then. *)
Inductive serial (jobs : nat * nat -> job) : list (nat * nat) -> machine -> machine -> Prop :=
| S_none g : serial jobs [] g g
| S_next t order g g1 g2 s s' : seen (fst t) g s -> inv s -> idle s ->
    core (j_name (jobs t)) (j_args (jobs t)) s = Some (j_results (jobs t), s') ->
    seen (fst t) g1 s' -> inv s' -> idle s' -> serial jobs order g1 g2 -> serial jobs (t :: order) g g2.

(* A section is a whole function, and takes before it gives; of one granule not one attempt fails and another does not. *)
Record whole (j : job) (b : list event) : Prop := Whole {
  wh_does : performs program (j_name j) (j_args j) (map e_call b) (j_results j);
  wh_handler : handler j;
  wh_locks : two_phase e_takes e_gives b;
  wh_steady : exists o, Forall (settled_call o) (map e_call b);
}.

Lemma section_calm h busy (jobs : nat * nat -> job) (t : nat * nat) b g g' : machine_runs b g g' -> Forall (fun e => e_cpu e = fst t) b -> whole (jobs t) b ->
  busy (fst t) = true -> calm h busy g ->
  calm h busy g' /\ exists s s', seen (fst t) g s /\ inv s /\ idle s /\
    core (j_name (jobs t)) (j_args (jobs t)) s = Some (j_results (jobs t), s') /\ seen (fst t) g' s' /\ inv s' /\ idle s'.
Proof.
  intros Hr Hb [Hp Hh _ [o Ho]] Hbusy Hc. destruct (Hc (fst t) Hbusy) as (s & [Hs1 Hs2] & Hi & Hd & Hw & Hn).
  set (s0 := with_others o s).
  destruct (Hh s0) as (rs & s' & H & I' & D' & N'); [by apply inv_others|exact Hd|exact Hn|].
  assert (H' : link prim_sem program (j_name (jobs t)) (j_args (jobs t)) s0 = Some (rs, s')) by (with_strategy transparent [core] exact H).
  assert (Hs0 : seen (fst t) g s0) by (split; [intros c; unfold s0; rewrite read_others; apply Hs1|exact Hs2]).
  destruct (section_is_core _ _ _ _ _ _ _ _ _ _ Hr Hb Hp Hs0 Ho H') as (-> & Hs' & _).
  destruct (core_fixed _ _ _ _ _ H') as [Fh Fd]. split.
  - intros j Bj. destruct (Nat.eq_dec j (fst t)) as [->|N].
    + exists s'. split; [exact Hs'|]. split; [exact I'|]. split; [exact D'|]. split; [rewrite Fh; exact Hw|by apply N'].
    + destruct (Hc j Bj) as (z & [Hz1 Hz2] & Iz & Dz & Wz & Nz). exists (as_seen s' z). split; [|split; [|split; [exact Dz|split; [exact Wz|exact Nz]]]].
      * split; [intros c; rewrite read_as_seen; apply Hs'|]. rewrite (others_keep _ _ _ _ Hr Hb j N), Hz2.
        assert (Q : (dom (gran z) : gset Z) = dom (gran s')).
        { rewrite Fd. apply same_dom. intros c. rewrite <- Hz1, Hs1. reflexivity. }
        unfold alone. cbn. rewrite Q. reflexivity.
      * apply inv_as_seen; [exact I'|exact Iz|rewrite Fh, Wz; symmetry; exact Hw|]. intros Nr. by destruct Nr.
  - exists s0, s'. split; [exact Hs0|]. split; [by apply inv_others|]. split; [exact Hd|]. auto.
Qed.

(* However the primitives of the CPUs are mixed, there is an order of the functions in which they give the same results and
   leave the same memory where they run one after the other; and then every CPU that took part sees a state with the invariant
   again. *)
Theorem run_is_serial h busy (jobs : nat * nat -> job) l g g' :
  machine_runs l g g' -> in_turn section_of l -> calm h busy g ->
  (forall t, Reduction.block section_of l t <> [] -> busy (fst t) = true /\ whole (jobs t) (Reduction.block section_of l t)) ->
  exists order, NoDup order /\ ordered order /\ (forall e, In e l -> In (section_of e) order) /\
    serial jobs order g g' /\ calm h busy g'.
Proof.
  intros Hr Ht Hc Hw. destruct (cpus_reduce l g g' Hr Ht) as (order & Nd & Od & Cov & Ne & Run).
  { intros t. destruct (Reduction.block section_of l t) as [|e b] eqn:E; [exists [], []; auto|].
    rewrite <- E. apply Hw. congruence. }
  exists order. split; [exact Nd|]. split; [exact Od|]. split; [exact Cov|]. clear Hr Nd Od Cov.
  revert g Hc Run. induction order as [|t order IH]; intros g Hc Run.
  - inversion Run; subst. split; [constructor|exact Hc].
  - unfold Reduction.blocks in Run. cbn [map concat] in Run. apply runs_app in Run as (g1 & Run1 & Run2).
    destruct (Hw t (Ne t (or_introl eq_refl))) as [B W].
    destruct (section_calm h busy jobs t _ g g1 Run1) as (Hc1 & s & s' & H); [|exact W|exact B|exact Hc|].
    { apply Forall_forall. intros e He. apply List.filter_In in He as [_ He]. apply is_in_spec in He. by rewrite <- He. }
    destruct (IH (fun u Hu => Ne u (or_intror Hu)) g1 Hc1 Run2) as [Hs Hc2]. split; [|exact Hc2].
    destruct H as (H1 & H2 & H3 & H4 & H5 & H6 & H7). econstructor; eauto.
Qed.
