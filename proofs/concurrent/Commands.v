(* SPDX-License-Identifier: Apache-2.0 *)
(* What several CPUs do that run the host's commands at once is what they do one after the other, if each has for itself, while it keeps
   it, what it uses of no lock. That each command is one transaction, and takes before it gives, is so by its text (Kinds.v). *)
From kcore Require Import gen.Core.
From kcore Require Import spec.RmiCall.
From kcore Require Export concurrent.Handlers.
From kcore Require Export concurrent.Ranges.
From kcore Require Export concurrent.Kinds.
From Coq Require Import Lia.
Local Open Scope string_scope.
Local Open Scope list_scope.
Local Open Scope Z_scope.

(* ---- What is asked of a run ---- *)

(* What a primitive uses that no lock gives. *)
Definition of_no_lock (k : call prim) (s : state) (c : cell) : Prop :=
  touching_call k s c = true /\ (nobodys s c = true \/ attempts (c_prim k) s c = true).
(* What came late (see owns) it does not take. *)
Definition in_time (e : event) (s : state) : Prop := forall c, hosts c s = true -> has s c = true -> e_takes e (Mem c) = false.
(* What the core does not do: change the state of a REC that it has claimed, set the count of a page of the host's, which is its pins,
   take a pin off a page that it has claimed. *)
Definition apt (k : call prim) (s : state) : bool :=
  match c_prim k, c_args k with
  | P_granule_set, [pa; _; _] => negb (holds (LGranule pa) s && has_state GS_REC pa s)
  | P_granule_set_refs, [pa; _] => negb (has_state GS_NS pa s)
  | P_ns_put, [pa] => negb (holds (LGranule pa) s)
  | _, _ => true
  end.
(* What of no lock is used, the CPU keeps: from a Taking on, and until a Giving. Once needs nothing. *)
Definition core_rule : rule := fun e kept keep s s' =>
  let k := e_call e in
  apt k s = true /\
  match core_kind e with
  | ByLocks => (forall c, keep c = kept c) /\ in_time e s /\ (forall c, of_no_lock k s c -> kept c = true)
  | Taking => (forall c, kept c = true -> keep c = true) /\ (forall c, of_no_lock k s c -> has s' c = true \/ keep c = true)
  | Giving => (forall c, keep c = true -> kept c = true) /\ in_time e s /\ (forall c, of_no_lock k s c -> kept c = true)
  | Once => True
  end.

Lemma state_at st pa s : tracked s pa = true -> has_state st pa s = (g_state (granule_at s pa) =? st).
Proof. unfold tracked, has_state, granule_at. by destruct (gran s !! pa). Qed.
Lemma set_gives pa st o s c : may_set pa st o s = true -> set_kind st = Giving -> holds (LGranule pa) s && has_state GS_REC pa s = false ->
  has (with_owner pa st o s) c = true -> has s c = true.
Proof.
  intros G Ks Hr. pose proof (set_tracked _ _ _ _ G) as T. set (s' := with_owner pa st o s).
  assert (R : forall d, read d s' = if bool_decide (d = CState pa) then Some (st, o) else
    if bool_decide (d = CPublic pa) then Some (if public st then st else 0, if st =? GS_REC then o else 0) else read d s)
    by (intros d; by apply owner_read).
  unfold may_set in G. apply andb_true_iff in G as [[[[[G Left]%andb_true_iff _]%andb_true_iff _]%andb_true_iff Way]%andb_true_iff Ow].
  assert (O : o = 0).
  { unfold set_kind in Ks. destruct (Z.eqb_spec st GS_REC) as [->|]; [discriminate|].
    destruct (Z.eqb_spec st GS_RTT) as [->|]; [discriminate|]. destruct (Z.eqb_spec st GS_DATA) as [->|]; [discriminate|]. by apply Z.eqb_eq. }
  assert (U : forall q, under_lock q s' = true -> under_lock q s = true /\ (q = pa -> holds (LGranule pa) s = true)).
  { intros q. destruct (decide (q = pa)) as [->|N].
    - rewrite under_read, R, bool_decide_eq_true_2 by done. rewrite O. cbn [Z.eqb negb andb]. rewrite orb_false_r. auto.
    - rewrite !under_read, R. rewrite !bool_decide_eq_false_2 by congruence. intros X. split; [exact X|congruence]. }
  assert (D : forall x q, q <> pa -> has_state x q s' = has_state x q s).
  { intros x q N. rewrite !state_read, R. by rewrite !bool_decide_eq_false_2 by congruence. }
  assert (F : forall q, read (CRefs q) s' = read (CRefs q) s) by (intros q; rewrite R; by rewrite !bool_decide_eq_false_2 by congruence).
  assert (I : forall q, in_use q s' = false -> in_use q s = false).
  { intros q. destruct (decide (q = pa)) as [->|N]; [intros _|unfold in_use; by rewrite (same_refs s' s) by apply F; rewrite D].
    unfold in_use. destruct (has_state GS_NS pa s) eqn:Ns; [|reflexivity]. rewrite state_at in Ns by exact T.
    rewrite Ns in Left. apply Z.eqb_eq in Ns. rewrite Ns in Way. cbn in Way. apply Z.eqb_eq in Way as ->.
    apply andb_true_iff in Left as [Left _]. apply andb_true_iff in Left as [_ Left]. by rewrite Left. }
  destruct c as [q|q|q|q n|b|v]; cbn [has]; try done.
  - apply U.
  - intros [A B]%andb_true_iff. apply U in A as [-> _]. by rewrite I by (by apply negb_true_iff).
  - change (is_host_table q s') with (is_host_table q s). destruct (is_host_table q s); [done|]. intros [A B]%andb_true_iff.
    destruct (U _ A) as [-> A']. apply negb_true_iff, orb_false_iff in B as [B1 B2]. unfold common. rewrite (I _ B1). cbn [orb negb andb].
    destruct (decide (q = pa)) as [->|N]; [|by rewrite <- D, B2]. rewrite A' in Hr by done. cbn in Hr. by rewrite Hr.
Qed.

(* A claimed DELEGATED granule is nobody's, so its own lock is what is held. *)
Lemma delegated_claimed pa s : owners_ok s -> has_state GS_DELEGATED pa s = true -> under_lock pa s = holds (LGranule pa) s.
Proof.
  intros W H. rewrite state_read in H. rewrite under_read. destruct (read (CState pa) s) as [[st o]|] eqn:E; [|discriminate].
  apply Z.eqb_eq in H as ->. destruct (Z.eqb_spec o 0) as [->|N]; [by rewrite orb_false_r|].
  destruct (proj1 (W _ _ _ E) N) as [Q | [Q | Q]]; discriminate Q.
Qed.

Lemma kind_locks k : (kind_of_call k = Taking -> gives_lock k = false) /\ (kind_of_call k = Giving -> takes_lock k = false) /\
  (kind_of_call k = Taking -> c_prim k <> P_granule_set).
Proof.
  destruct (lock_kinds k) as [T G]. split; [|split].
  - intros E. rewrite E in G. destruct (gives_lock k); [by discriminate G|reflexivity].
  - intros E. rewrite E in T. destruct (takes_lock k); [by discriminate T|reflexivity].
  - unfold kind_of_call. intros E N. rewrite N in E. destruct (c_args k) as [|? [|st [|? [|? ?]]]]; try discriminate.
    unfold set_kind in E. destruct (_ || _); [discriminate|]. by destruct (st =? GS_REC).
Qed.

Section core_rule.
  Context (k : call prim) (s s' : state).
  Context (H : prim_sem (c_prim k) (c_args k) s = Some (c_results k, s')) (W : owners_ok s) (A : apt k s = true).

  Lemma apt_steady : kind_of_call k = ByLocks \/ c_prim k <> P_granule_set -> steady k s = true.
  Proof using H W A.
    destruct k as [p args rs]. unfold apt, steady, kind_of_call in *. cbn [c_prim c_args c_results] in *.
    destruct p; try reflexivity; destruct args as [|pa [|st [|o [|? ?]]]]; try reflexivity; try exact (fun _ => A).
    intros [Ks | []]; [|done]. cbv beta iota delta [prim_sem] in H. apply ok_guarded in H as [G _].
    pose proof (set_tracked _ _ _ _ G) as T. unfold may_set in G. conj. unfold set_kind in Ks.
    destruct (Z.eqb_spec st GS_NS) as [->|N1]; [discriminate|]. destruct (Z.eqb_spec st GS_DELEGATED) as [->|N2]; [discriminate|].
    destruct (Z.eqb_spec st GS_RD) as [->|N3]; [discriminate|]. destruct (Z.eqb_spec st GS_REC) as [->|N4]; [discriminate|].
    match goal with X : (g_state _ =? GS_DELEGATED) || _ = true |- _ => rewrite orb_false_r in X; rename X into D end.
    assert (Dl : has_state GS_DELEGATED pa s = true) by (rewrite state_at; [exact D|exact T]).
    rewrite <- (delegated_claimed pa s W Dl).
    assert (Z : forall x, x <> GS_DELEGATED -> has_state x pa s = false).
    { intros x N. rewrite state_at by exact T. apply Z.eqb_neq. apply Z.eqb_eq in D. congruence. }
    rewrite !Z by discriminate. repeat match goal with X : under_lock pa s = true |- _ => rewrite X end. cbn. apply orb_true_r.
  Qed.

  Lemma giving_gives c : kind_of_call k = Giving -> has s' c = true -> has s c = true.
  Proof using H W A.
    intros E. destruct (kind_locks k) as (_ & L & _). specialize (L E).
    assert (D : c_prim k = P_granule_set \/ c_prim k <> P_granule_set) by (destruct (c_prim k); first [by left|by right]).
    destruct D as [N | N].
    - destruct k as [p args rs]. unfold kind_of_call, apt in *. cbn [c_prim c_args c_results] in *. subst p.
      destruct args as [|pa [|st [|o [|? ?]]]]; try discriminate E. cbv beta iota delta [prim_sem] in H. apply ok_guarded in H as [G X].
      injection X as _ <-. apply set_gives; [exact G|exact E|]. by apply negb_true_iff.
    - apply (has_comes k s s' c H W); [apply apt_steady; by right|exact L].
  Qed.
End core_rule.

Lemma core_rule_kind e kept keep s s' : prim_sem (c_prim (e_call e)) (c_args (e_call e)) s = Some (c_results (e_call e), s') ->
  owners_ok s -> tables_free s -> core_rule e kept keep s s' -> by_kind core_kind e kept keep s s'.
Proof.
  intros H W F [A R]. unfold by_kind. cbv zeta. change (core_kind e) with (kind_of_call (e_call e)) in *.
  destruct (kind_locks (e_call e)) as (Lt & Lg & Ns). pose proof (prim_has _ _ _ _ _ H F) as P.
  destruct (kind_of_call (e_call e)) eqn:E.
  - destruct R as (Kp & Late & Us). split; [apply (apt_steady _ _ _ H W A); by left|]. split; [exact Kp|]. split; [exact Late|].
    intros c T. destruct (nobodys s c) eqn:N; [right; apply Us; split; auto|].
    destruct (attempts (c_prim (e_call e)) s c) eqn:At; [right; apply Us; split; auto|by left].
  - destruct R as (Kp & Us). split; [exact Kp|].
    assert (Hm : forall c, has s c = true -> has s' c = true).
    { intros c. apply (has_goes (e_call e) s s' c H W); [apply (apt_steady _ _ _ H W A); right; by apply Ns|by apply Lt]. }
    split; [exact Hm|]. intros c T.
    destruct (P c T) as [[X | X] | [X | X]]; [left; by apply Hm|apply Us; split; auto|by left|apply Us; split; auto].
  - destruct R as (Kp & Late & Us). split; [exact Kp|].
    assert (Hm : forall c, has s' c = true -> has s c = true) by (intros c; by apply (giving_gives _ _ _ H W A)).
    split; [exact Hm|]. split; [exact Late|].
    intros c T.
    destruct (P c T) as [[X | X] | [X | X]]; [by left|right; apply Us; split; auto|left; by apply Hm|right; apply Us; split; auto].
  - exact I.
Qed.

Lemma mixed_kinds l V K g V' g' : mixed core_rule l V K g V' g' -> together V -> mixed (by_kind core_kind) l V K g V' g'.
Proof.
  induction 1 as [V K g|i n k keep V V1 V2 K g g2 l Tu Un R M IH]; intros T; [constructor|]. constructor; try assumption.
  - apply core_rule_kind; [exact (tu_prim _ _ _ _ _ _ Tu)|apply (tg_owners _ T)| |exact R].
    apply orderly_free; [apply (tg_orderly _ T)|apply (tg_owners _ T)].
  - apply IH. by apply (together_kept _ _ _ _ _ _ Tu).
Qed.

(* ---- Commands ---- *)

(* A call of the host, after which the CPU runs no REC; of the two that are several transactions, what they do with one granule (see
   delegate_range_sections); an abort of the host. *)
Inductive command : job -> Prop :=
| Host_call x0 x1 x2 x3 x4 x5 rs : u64 x1 -> u64 x2 -> u64 x3 -> u64 x4 -> u64 x5 -> ~ In (called_id x0) ranges -> get rs 5 = 0 ->
    command (Job "core_host_smc" [x0; x1; x2; x3; x4; x5] rs)
| One_delegated pa rs : command (Job "granule_delegate" [pa] rs)
| One_undelegated pa rs : command (Job "granule_undelegate" [pa] rs)
| Host_abort esr hpfar far rs : command (Job "core_host_abort" [esr; hpfar; far] rs).

Lemma command_handler j : command j -> handler j.
Proof.
  intros [x0 x1 x2 x3 x4 x5 rs U1 U2 U3 U4 U5 N R|pa rs|pa rs|esr hpfar far rs].
  - by apply host_smc_handler.
  - apply delegate_handler.
  - apply undelegate_handler.
  - apply host_abort_handler.
Qed.
Lemma command_order j tr : command j -> performs program (j_name j) (j_args j) tr (j_results j) -> forallb proper tr = true ->
  takes_first call_takes call_gives tr.
Proof.
  intros [x0 x1 x2 x3 x4 x5 rs U1 U2 U3 U4 U5 N R|pa rs|pa rs|esr hpfar far rs]; cbn [j_name j_args j_results].
  - by apply host_smc_order.
  - by eapply others_take_first; [|vm_compute|].
  - by eapply others_take_first; [|vm_compute|].
  - apply host_abort_order.
Qed.

(* A section is all of a command; of one granule not one attempt fails and another does not. *)
Record does (j : job) (b : list event) : Prop := Does {
  do_command : command j;
  do_calls : performs program (j_name j) (j_args j) (map e_call b) (j_results j);
  do_steady : exists o, Forall (settled_call o) (map e_call b);
}.
(* However the primitives of the CPUs are mixed: the commands do what they do one after the other. *)
Theorem core_serial busy (jobs : nat * nat -> job) l V V' g' : start V -> (forall i, busy i = true -> runs (V i) = 0) ->
  mixed core_rule l V nothing (begins V) V' g' -> in_turn section_of l ->
  (forall t, Reduction.block section_of l t <> [] -> busy (fst t) = true /\ does (jobs t) (Reduction.block section_of l t)) ->
  exists order, NoDup order /\ ordered order /\ (forall e, In e l -> In (section_of e) order) /\
    serial jobs order (begins V) g' /\ calm (hw (V 0%nat)) busy g' /\ exists K, shows V' K g'.
Proof.
  intros S B M Ht O. apply mixed_kinds in M; [|by apply start_together]. apply (ruled_serial core_kind); try assumption.
  intros t Ne. destruct (O t Ne) as [Bt [A1 A2 A3]]. split; [exact Bt|].
  assert (P : forallb proper (map e_call (Reduction.block section_of l t)) = true).
  { apply forallb_forall. intros k Hk. apply in_map_iff in Hk as (e & <- & He). apply List.filter_In in He as [He _].
    pose proof (mixed_proper _ _ _ _ _ _ _ M) as F. rewrite List.Forall_forall in F. by apply F. }
  destruct (order_strays _ (command_order _ _ A1 A2 P)) as [Q1 Q2]. constructor; try assumption. by apply command_handler.
Qed.
