(* SPDX-License-Identifier: Apache-2.0 *)
(* Sections of a mix are two-phase. What a CPU has comes and goes with its locks, and these are two-phase by the guards; what no
   lock gives is for a run to say, and that it takes before it gives. *)
From kcore Require Import concurrent.Alone.
From kcore Require Export concurrent.Turns.
From kcore Require Export concurrent.Locks.
From kcore Require Import refine.HandFacts.
From kcore Require Import gen.Core.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- What a CPU has comes and goes with its locks ---- *)

(* Primitives that change states or pins, and leave to their CPU what it has: a claimed granule changes its state, if it is no REC and
   no page of the host's that is counted; of a granule of a realm references are counted; a pin comes off a page that the CPU has not claimed. *)
Definition steady (k : call prim) (s : state) : bool :=
  match c_prim k, c_args k with
  | P_granule_set, [pa; st; _] => holds (LGranule pa) s && negb (has_state GS_REC pa s) && negb (st =? GS_REC) &&
      ((g_refs (granule_at s pa) =? 0) || negb (has_state GS_NS pa s) && negb (st =? GS_NS))
  | P_granule_set_refs, [pa; _] => negb (has_state GS_NS pa s)
  | P_ns_put, [pa] => negb (holds (LGranule pa) s)
  | _, _ => true
  end.

Lemma hosts_under pa s : owners_ok s -> has_state GS_NS pa s = true -> under_lock pa s = holds (LGranule pa) s.
Proof.
  intros W H. rewrite state_read in H. rewrite under_read. destruct (read (CState pa) s) as [[st o]|] eqn:E; [|discriminate].
  apply Z.eqb_eq in H as ->. destruct (Z.eqb_spec o 0) as [->|N]; [by rewrite orb_false_r|].
  destruct (proj1 (W _ _ _ E) N) as [Q | [Q | Q]]; discriminate Q.
Qed.

Lemma refs_touched p args rs s pa : touching p args rs s (CRefs pa) = true ->
  match p, args with
  | P_granule_refs, [q] | P_granule_set_refs, [q; _] | P_ns_put, [q] => q = pa
  | P_ns_get, [q] => q = pa /\ done rs = true
  | _, _ => False
  end.
Proof.
  intros (x & I & C)%touching_in.
  destruct p; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; cbv beta iota delta [touched at_word] in I; try contradiction;
    repeat match type of I with
    | In _ (_ :: _) => destruct I as [<- | I]
    | In _ [] => destruct I
    | In _ (if ?b then _ else _) => destruct b eqn:?
    end; cbn [covers] in C; try discriminate C; apply bool_decide_eq_true in C; try discriminate C; injection C as ->; auto.
Qed.

Section steady.
  Context (k : call prim) (s s' : state).
  Context (H : prim_sem (c_prim k) (c_args k) s = Some (c_results k, s')) (W : owners_ok s) (St : steady k s = true).

  (* Pins of a page that the CPU has claimed stay. *)
  Lemma steady_refs pa : c_prim k <> P_granule_set -> under_lock pa s = true -> has_state GS_NS pa s = true ->
    read (CRefs pa) s' = read (CRefs pa) s.
  Proof using H W St.
    intros N U Ns. rewrite (hosts_under pa s W Ns) in U.
    destruct (touching (c_prim k) (c_args k) (c_results k) s (CRefs pa)) eqn:T; [|by apply (prim_frame _ _ _ _ _ _ H)].
    apply refs_touched in T. destruct k as [p args rs]. unfold steady in St. cbn [c_prim c_args c_results] in *.
    destruct p; try contradiction; destruct args as [|a0 [|a1 [|a2 args]]]; try contradiction.
    - cbv beta iota delta [prim_sem] in H. apply ok_guarded in H as [_ E]. by injection E as _ <-.
    - subst a0. by rewrite Ns in St.
    - exfalso. destruct T as [-> D]. cbv beta iota delta [prim_sem] in H. apply ok_guarded in H as [_ E].
      destruct (claimable GS_NS pa s && _) eqn:C; injection E as <- <-; [|discriminate].
      unfold claimable, free in C. conj. rewrite negb_true_iff in *. congruence.
    - subst a0. by rewrite U in St.
  Qed.

  Lemma steady_states q : c_prim k <> P_granule_set -> read (CState q) s' = read (CState q) s.
  Proof using H.
    intros N. destruct (prim_effect _ _ _ _ _ H) as [El R | pa st o E _ _ _ _ | pa st _ R _ _ _ | _ R _ | l _ R _]; [apply R|by destruct N|apply R..].
  Qed.
End steady.

Lemma has_grows s s' c : hw s' = hw s -> (forall q, read (CState q) s' = read (CState q) s) ->
  (forall l, holds l s = true -> holds l s' = true) ->
  (forall pa, under_lock pa s = true -> has_state GS_NS pa s = true -> read (CRefs pa) s' = read (CRefs pa) s) ->
  has s c = true -> has s' c = true.
Proof.
  intros Eh R L P.
  assert (U : forall pa, under_lock pa s = true -> under_lock pa s' = true).
  { intros pa. rewrite !under_read, R. destruct (read (CState pa) s) as [[st o]|]; [|done].
    intros [A | A]%orb_true_iff; [by rewrite (L _ A)|]. apply andb_true_iff in A as [A B]. rewrite A, (L _ B). apply orb_true_r. }
  assert (D : forall st pa, has_state st pa s' = has_state st pa s) by (intros; by rewrite !state_read, R).
  assert (I : forall pa, under_lock pa s = true -> in_use pa s' = in_use pa s).
  { intros pa V. unfold in_use. rewrite D. destruct (has_state GS_NS pa s) eqn:Ns; [|reflexivity].
    by rewrite (same_refs s' s) by (by apply P). }
  destruct c as [pa|pa|pa|pa n|b|v]; cbn [has]; try discriminate.
  - apply U.
  - intros [A B]%andb_true_iff. by rewrite (U _ A), I.
  - rewrite (same_table pa s s' Eh). destruct (is_host_table pa s); [apply L|]. intros [A B]%andb_true_iff.
    unfold common in *. by rewrite (U _ A), I, D.
  - apply L.
Qed.

Lemma under_pa pa s : under_lock pa s = true -> exists st o, read (CState pa) s = Some (st, o).
Proof. rewrite under_read. destruct (read (CState pa) s) as [[st o]|]; [eauto|discriminate]. Qed.

(* A claimed granule that changes its state. *)
Lemma set_has pa st o s c : may_set pa st o s = true -> holds (LGranule pa) s = true -> has_state GS_REC pa s = false -> st <> GS_REC ->
  (g_refs (granule_at s pa) =? 0) || negb (has_state GS_NS pa s) && negb (st =? GS_NS) = true -> has (with_owner pa st o s) c = has s c.
Proof.
  intros G Hh Hr Hs Hn. pose proof (set_tracked _ _ _ _ G) as T. set (s' := with_owner pa st o s).
  assert (R : forall d, read d s' = if bool_decide (d = CState pa) then Some (st, o) else
    if bool_decide (d = CPublic pa) then Some (if public st then st else 0, if st =? GS_REC then o else 0) else read d s)
    by (intros d; by apply owner_read).
  assert (L : forall l, holds l s' = holds l s) by reflexivity.
  assert (U : forall q, under_lock q s' = under_lock q s).
  { intros q. rewrite !under_read, R. rewrite (bool_decide_eq_false_2 (CState q = CPublic pa)) by done. case_bool_decide as E; [|reflexivity].
    injection E as ->. rewrite L, Hh. rewrite tracked_state in T. by destruct (read (CState pa) s) as [[? ?]|]. }
  assert (D : forall x q, q <> pa -> has_state x q s' = has_state x q s).
  { intros x q N. rewrite !state_read, R. by rewrite !bool_decide_eq_false_2 by congruence. }
  assert (F : forall q, read (CRefs q) s' = read (CRefs q) s) by (intros q; rewrite R; by rewrite !bool_decide_eq_false_2 by congruence).
  assert (I : forall q, in_use q s' = in_use q s).
  { intros q. unfold in_use. rewrite (same_refs s' s) by apply F. destruct (decide (q = pa)) as [->|N]; [|by rewrite D].
    apply orb_true_iff in Hn as [-> | [N1 N2]%andb_true_iff]; [by rewrite !andb_false_r|]. apply negb_true_iff in N1, N2. rewrite N1.
    rewrite state_read, R, bool_decide_eq_true_2 by done. by rewrite N2. }
  assert (C : forall q, common q s' = common q s).
  { intros q. unfold common. rewrite I. destruct (decide (q = pa)) as [->|N]; [|by rewrite D]. rewrite Hr. f_equal.
    rewrite state_read, R, bool_decide_eq_true_2 by done. by apply Z.eqb_neq. }
  destruct c as [q|q|q|q n|b|v]; cbn [has]; rewrite ?U, ?I, ?C, ?L; reflexivity.
Qed.

Section comes_goes.
  Context (k : call prim) (s s' : state) (c : cell).
  Context (H : prim_sem (c_prim k) (c_args k) s = Some (c_results k, s')) (W : owners_ok s) (St : steady k s = true).

  Lemma set_or_not : c_prim k <> P_granule_set \/ has s' c = has s c.
  Proof using H St.
    destruct k as [p args rs]. unfold steady in St. cbn [c_prim c_args c_results] in *. destruct p; try (left; discriminate). right.
    destruct args as [|pa [|st [|o [|? ?]]]]; try discriminate H. cbv beta iota delta [prim_sem] in H. apply ok_guarded in H as [G E].
    injection E as _ <-. repeat apply andb_true_iff in St as [St ?]. rewrite negb_true_iff in *. apply set_has; try assumption.
    by apply Z.eqb_neq.
  Qed.

  (* It comes only with a lock, *)
  Theorem has_comes : takes_lock k = false -> has s' c = true -> has s c = true.
  Proof using H W St.
    intros L. destruct set_or_not as [N | ->]; [|done].
    pose proof (prim_held _ _ _ H) as P. unfold takes_lock in L. destruct (locked_by k); [discriminate|].
    assert (Lk : forall l, holds l s' = true -> holds l s = true).
    { intros l. destruct (unlocked_by k) as [m|]; [|unfold holds; by rewrite P]. destruct P as [_ P]. rewrite !holds_in, P. apply Has.without_in. }
    assert (R : forall q, read (CState q) s' = read (CState q) s) by (intros q; by apply (steady_states k s s')).
    apply has_grows.
    - symmetry. by destruct (prim_fixed _ _ _ _ _ H).
    - intros q. by rewrite R.
    - exact Lk.
    - intros pa U Ns. symmetry. apply (steady_refs k s s' H W St); [exact N| |by rewrite state_read, <- R, <- state_read].
      revert U. rewrite !under_read, R. destruct (read (CState pa) s) as [[st o]|]; [|done].
      intros [A | A]%orb_true_iff; [by rewrite (Lk _ A)|]. apply andb_true_iff in A as [A B]. rewrite A, (Lk _ B). apply orb_true_r.
  Qed.

  (* and goes only with one. *)
  Theorem has_goes : gives_lock k = false -> has s c = true -> has s' c = true.
  Proof using H W St.
    intros L. destruct set_or_not as [N | ->]; [|done].
    pose proof (prim_held _ _ _ H) as P. unfold gives_lock in L. destruct (unlocked_by k); [discriminate|].
    apply has_grows.
    - by destruct (prim_fixed _ _ _ _ _ H).
    - intros q. by apply (steady_states k s s').
    - intros l. destruct (locked_by k) as [m|]; [|unfold holds; by rewrite P]. destruct P as [_ P]. rewrite !holds_in, P. by right.
    - intros pa U Ns. by apply (steady_refs k s s').
  Qed.
End comes_goes.

(* ---- What a CPU has, it owns ---- *)

(* But for a page of the host's that it claimed while the page was pinned: when another takes the last pin off, the CPU has it, and
   its next event takes it. *)
Definition hosts (c : cell) (s : state) : bool := match c with CRefs pa | CWord pa _ => has_state GS_NS pa s | _ => false end.
Record owns (V : nat -> state) (K : keeping) (g : machine) : Prop := Owns {
  ow_kept : forall i c, K i c = true -> owner g (Mem c) = Some i;
  ow_had : forall i c, has (V i) c = true -> owner g (Mem c) = Some i \/ hosts c (V i) = true;
}.

Lemma begins_owns V : start V -> owns V nothing (begins V).
Proof.
  intros S. constructor; [done|]. intros i c.
  assert (N : forall l, holds l (V i) = false) by (intros l; unfold holds; by rewrite (proj1 (proj2 (sa_inv _ S i)))).
  assert (U : forall pa, under_lock pa (V i) = false).
  { intros pa. rewrite under_read. destruct (read _ _) as [[st o]|]; [|reflexivity]. by rewrite !N, andb_false_r. }
  destruct c; cbn [has]; rewrite ?U, ?N; try discriminate. by destruct (is_host_table _ _).
Qed.

(* What others do gives a CPU nothing but that. *)
Lemma has_others i p args rs V V' j c : turn i p args rs V V' -> together V -> j <> i -> has (V' j) c = true ->
  has (V j) c = true \/ hosts c (V' j) = true.
Proof.
  intros Tu T N. pose proof (together_kept _ _ _ _ _ _ Tu T) as T'. pose proof Tu as [H _ _ Ha Hr].
  destruct (alone_held _ _ (Ha j N)) as [Eh El]. pose proof (prim_effect _ _ _ _ _ H) as F.
  assert (L : forall l, holds l (V' j) = holds l (V j)) by (intros; by apply holds_held).
  assert (U : forall pa, under_lock pa (V' j) = true -> under_lock pa (V j) = true).
  { intros pa X. assert (Same : read (CState pa) (V' i) = read (CState pa) (V i) -> under_lock pa (V j) = true).
    { intros E. rewrite (alike_under pa (V j) (V' j) El) in X; [exact X|]. by rewrite (Hr j _ N), E, (tg_same _ T j i). }
    destruct F as [_ R | q st o _ Eq U R G | q st _ R _ _ _ | _ R _ | l _ R _]; try (apply Same, R).
    destruct (Z.eq_dec pa q) as [->|Nq]; [|apply Same; rewrite R; by rewrite (proj2 (Z.eqb_neq pa q) Nq)]. exfalso.
    assert (Rq : read (CState q) (V' j) = Some (st, o)) by (rewrite (Hr j _ N), R; by rewrite Z.eqb_refl).
    rewrite under_read, Rq, !L in X. apply orb_true_iff in X as [X | X].
    - apply (under_apart V T i j (not_eq_sym N) q U). rewrite under_read. rewrite (tg_same _ T j i).
      destruct (under_pa _ _ U) as (x & y & ->). by rewrite X.
    - apply andb_true_iff in X as [X0 X]. apply negb_true_iff, Z.eqb_neq in X0. destruct G as [[_ G] | G]; [|congruence].
      rewrite G in X. apply (not_both V T i j (not_eq_sym N) (first_taken (held (V i)))); [|exact X]. apply holds_in, first_in.
      intros E. apply under_cases in U as [U | [_ U]]; unfold holds in U; rewrite E in U; discriminate. }
  assert (S : forall st pa, under_lock pa (V j) = true -> has_state st pa (V' j) = has_state st pa (V j)).
  { intros st pa X. rewrite !state_read, (Hr j _ N), (tg_same _ T j i). by rewrite (state_kept V i j p (V' i) pa T N F X). }
  assert (I : forall pa, under_lock pa (V j) = true -> in_use pa (V j) = true -> has_state GS_NS pa (V' j) = true).
  { intros pa X [A _]%andb_true_iff. by rewrite S. }
  destruct c as [pa|pa|pa|pa n|b|v]; cbn [has hosts]; try discriminate.
  - intros X. left. by apply U.
  - intros [X _]%andb_true_iff. apply U in X. rewrite X. destruct (in_use pa (V j)) eqn:E; [right; by apply I|by left].
  - rewrite (same_table pa (V j) (V' j) Eh), L. destruct (is_host_table pa (V j)); [by left|]. intros [X Y]%andb_true_iff. apply U in X.
    rewrite X. unfold common in *. apply negb_true_iff, orb_false_iff in Y as [_ Y]. rewrite S in Y by exact X. rewrite Y.
    destruct (in_use pa (V j)) eqn:E; [right; by apply I|by left].
  - rewrite L. by left.
Qed.

Section turn.
  Context (i n : nat) (k : call prim) (keep : cell -> bool) (V V' : nat -> state) (K : keeping) (g : machine).
  Context (Tu : turn i (c_prim k) (c_args k) (c_results k) V V') (Un : unshared i k keep V V' K).
  Context (T : together V) (U : once_each V) (Sh : shows V K g) (Ow : owns V K g).
  Notation e := (turn_event i n k keep g (V i) (V' i)).

  Lemma others_own j c : j <> i -> owner g (Mem c) = Some j -> owner (turned e g V') (Mem c) = Some j.
  Proof using Tu Un T U Sh.
    intros N O. pose proof (turn_takes i n k keep V V' K g Tu Un T U Sh) as St. rewrite (st_owner _ _ _ _ _ _ _ _ St).
    destruct (e_gives e (Mem c)) eqn:G.
    - destruct (st_gives _ _ _ _ _ _ _ _ St _ G) as [A | A].
      + rewrite (st_takes _ _ _ _ _ _ _ _ St _ A) in O. discriminate.
      + change (cpu section_of e) with i in A. congruence.
    - destruct (e_takes e (Mem c)) eqn:A; [|exact O]. rewrite (st_takes _ _ _ _ _ _ _ _ St _ A) in O. discriminate.
  Qed.

  Lemma turn_owns : owns V' (keeps_now i keep K) (turned e g V').
  Proof using Tu Un T U Sh Ow.
    assert (Mine : forall c, has (V' i) c || keep c = true -> owner (turned e g V') (Mem c) = Some i).
    { intros c X. cbn [owner turned e_gives e_takes e_cpu turn_event]. rewrite X. cbn [negb andb orb]. rewrite andb_true_r.
      unfold owned. case_bool_decide as O; [exact O|reflexivity]. }
    constructor; intros j c.
    - unfold keeps_now. destruct (Nat.eqb_spec j i) as [->|N]; intros X.
      + apply Mine. rewrite X. apply orb_true_r.
      + apply others_own; [exact N|by apply (ow_kept _ _ _ Ow)].
    - intros X. destruct (Nat.eq_dec j i) as [->|N]; [left; apply Mine; by rewrite X|].
      destruct (has_others _ _ _ _ _ _ _ _ Tu T N X) as [A | A]; [|by right].
      destruct (ow_had _ _ _ Ow _ _ A) as [B | B]; [left; by apply others_own|].
      right. destruct c as [pa|pa|pa|pa m|b|v]; cbn [hosts has] in *; try discriminate.
      all: assert (Y : under_lock pa (V j) = true).
      1: by apply andb_true_iff in A as [A _].
      2: { rewrite (free_state GS_NS pa _ (orderly_free _ (tg_orderly _ T j) (tg_owners _ T j)) B ltac:(discriminate)) in A.
           by apply andb_true_iff in A as [A _]. }
      all: rewrite state_read, (tu_seen _ _ _ _ _ _ Tu j _ N), (state_kept V i j _ _ pa T N (prim_effect _ _ _ _ _ (tu_prim _ _ _ _ _ _ Tu)) Y);
        by rewrite (tg_same _ T i j), <- state_read.
  Qed.
End turn.

(* ---- A rule for a run ---- *)

(* Of each event a run says: does all that it touches come with locks, does it take, or give, what no lock gives, or does it both
   at once? *)
Inductive kind := ByLocks | Taking | Giving | Once.

Section rule.
  Context (kind_of : event -> kind).

  (* By locks: it touches what no lock gives only if its CPU keeps it, and keeps what it kept. Taking: what it touches it has or
     keeps from then on, and loses nothing. Giving: what it touches it had or kept, and nothing is new. Late is what came to the CPU
     since its last event (see owns): only an event of another kind may take it. *)
  Definition by_kind : rule := fun e kept keep s s' =>
    let k := e_call e in
    let nothing_late := forall c, hosts c s = true -> has s c = true -> e_takes e (Mem c) = false in
    match kind_of e with
    | ByLocks => steady k s = true /\ (forall c, keep c = kept c) /\ nothing_late /\
        (forall c, touching_call k s c = true -> nobodys s c = false /\ attempts (c_prim k) s c = false \/ kept c = true)
    | Taking => (forall c, kept c = true -> keep c = true) /\ (forall c, has s c = true -> has s' c = true) /\
        (forall c, touching_call k s c = true -> has s' c = true \/ keep c = true)
    | Giving => (forall c, keep c = true -> kept c = true) /\ (forall c, has s' c = true -> has s c = true) /\ nothing_late /\
        (forall c, touching_call k s c = true -> has s c = true \/ kept c = true)
    | Once => True
    end.

  Definition may_take (e : event) : bool := takes_lock (e_call e) || match kind_of e with Taking | Once => true | _ => false end.
  Definition may_give (e : event) : bool := gives_lock (e_call e) || match kind_of e with Giving | Once => true | _ => false end.
  Definition mover (e : event) : Prop := (may_take e = false -> moves_left e) /\ (may_give e = false -> moves_right e).

  Lemma kept_locks k s s' : prim_sem (c_prim k) (c_args k) s = Some (c_results k, s') ->
    (takes_lock k = false -> forall l, negb (holds l s) && holds l s' = false) /\
    (gives_lock k = false -> forall l, holds l s && negb (holds l s') = false).
  Proof using Type.
    intros H. pose proof (prim_held _ _ _ H) as P. unfold takes_lock, gives_lock. split; intros L l.
    - destruct (locked_by k); [discriminate|]. destruct (holds l s') eqn:B; [|apply andb_false_r]. rewrite andb_true_r. apply negb_false_iff.
      destruct (unlocked_by k) as [m|]; [|unfold holds in *; by rewrite P in B]. destruct P as [_ P]. apply holds_in in B. rewrite P in B.
      apply Has.without_in in B. by apply holds_in.
    - destruct (unlocked_by k); [discriminate|]. destruct (holds l s) eqn:B; [|reflexivity]. apply negb_false_iff.
      destruct (locked_by k) as [m|]; [|unfold holds in *; by rewrite P]. destruct P as [_ P]. apply holds_in in B. apply holds_in.
      rewrite P. by right.
  Qed.

  Section turn.
    Context (i n : nat) (k : call prim) (keep : cell -> bool) (V V' : nat -> state) (K : keeping) (g : machine).
    Context (Tu : turn i (c_prim k) (c_args k) (c_results k) V V').
    Context (T : together V) (Sh : shows V K g) (Ow : owns V K g).
    Notation e := (turn_event i n k keep g (V i) (V' i)).
    Context (Ru : by_kind e (K i) keep (V i) (V' i)).

    (* Had, and not late: owned. *)
    Local Lemma had_owned c : (forall c, hosts c (V i) = true -> has (V i) c = true -> e_takes e (Mem c) = false) ->
      has (V i) c = true -> e_takes e (Mem c) = false.
    Proof using Ow.
      intros L A. destruct (ow_had _ _ _ Ow _ _ A) as [B | B]; [|by apply L]. cbn [e_takes turn_event]. unfold owned.
      by rewrite bool_decide_eq_true_2.
    Qed.
    Local Lemma kept_owned c : K i c = true -> e_takes e (Mem c) = false.
    Proof using Ow. intros A%(ow_kept _ _ _ Ow). cbn [e_takes turn_event]. unfold owned. by rewrite bool_decide_eq_true_2. Qed.
    Local Lemma takes_which c : e_takes e (Mem c) = true -> has (V' i) c = true \/ keep c = true \/ touching_call k (V i) c = true.
    Proof using Type.
      cbn [e_takes turn_event]. intros [_ A]%andb_true_iff. apply orb_true_iff in A as [A | A]; [apply orb_true_iff in A as [A | A]|]; auto.
    Qed.
    Local Lemma gives_which c : e_gives e (Mem c) = true ->
      has (V' i) c = false /\ keep c = false /\ (has (V i) c = true \/ K i c = true \/ touching_call k (V i) c = true).
    Proof using Sh.
      cbn [e_gives turn_event]. intros [A B]%andb_true_iff. apply negb_true_iff, orb_false_iff in A as [A A']. split; [exact A|]. split; [exact A'|].
      apply orb_true_iff in B as [B | B]; [|by right; right]. unfold owned in B. apply bool_decide_eq_true in B.
      destruct (sh_cells _ _ _ Sh _ _ B); auto.
    Qed.

    Lemma turn_mover : mover e.
    Proof using Tu T Sh Ow Ru.
      pose proof (tu_prim _ _ _ _ _ _ Tu) as H. pose proof (tg_owners _ T i) as W. destruct (kept_locks _ _ _ H) as [Lt Lg].
      assert (F : tables_free (V i)) by (apply orderly_free; [apply (tg_orderly _ T)|exact W]).
      unfold by_kind in Ru. cbv zeta in Ru. unfold mover, may_take, may_give. cbn [e_call turn_event].
      change (e_call (turn_event i n k keep g (V i) (V' i))) with k in Ru.
      assert (Tk : forall c, (e_takes e (Mem c) = true -> e_takes e (Mem c) = false) -> e_takes e (Mem c) = false).
      { intros c X. destruct (e_takes e (Mem c)); [by apply X|reflexivity]. }
      destruct (kind_of e) eqn:Kd; rewrite ?orb_false_r, ?orb_true_r; split; try discriminate; intros L [c|l];
        try (exact (Lt L l)); try (exact (Lg L l)).
      - destruct Ru as (St & Kp & Late & To). apply Tk. intros X. destruct (takes_which c X) as [A | [A | A]].
        + apply had_owned; [exact Late|]. by apply (has_comes k (V i) (V' i)).
        + rewrite Kp in A. by apply kept_owned.
        + destruct (To c A) as [[B1 B2] | B]; [|by apply kept_owned]. apply had_owned; [exact Late|].
          destruct (prim_has _ _ _ _ _ H F c A) as [[Y | Y] | [Y | Y]]; [exact Y|congruence| |congruence]. by apply (has_comes k (V i) (V' i)).
      - destruct Ru as (St & Kp & Late & To). destruct (e_gives e (Mem c)) eqn:X; [exfalso|reflexivity].
        destruct (gives_which c X) as (A & B & [C | [C | C]]).
        + rewrite (has_goes k (V i) (V' i) c H W St L C) in A. discriminate.
        + rewrite Kp in B. congruence.
        + destruct (To c C) as [[B1 B2] | B1]; [|rewrite Kp in B; congruence].
          destruct (prim_has _ _ _ _ _ H F c C) as [[Y | Y] | [Y | Y]]; [|congruence|congruence|congruence].
          rewrite (has_goes k (V i) (V' i) c H W St L Y) in A. discriminate.
      - destruct Ru as (Kp & Hm & To). destruct (e_gives e (Mem c)) eqn:X; [exfalso|reflexivity].
        destruct (gives_which c X) as (A & B & [C | [C | C]]).
        + apply Hm in C. congruence.
        + apply Kp in C. congruence.
        + destruct (To c C); congruence.
      - destruct Ru as (Kp & Hm & Late & To). apply Tk. intros X. destruct (takes_which c X) as [A | [A | A]].
        + apply had_owned; [exact Late|by apply Hm].
        + by apply kept_owned, Kp.
        + destruct (To c A); [by apply had_owned|by apply kept_owned].
    Qed.
  End turn.

  Lemma mixed_movers l V K g V' g' : mixed by_kind l V K g V' g' -> together V -> once_each V -> shows V K g -> owns V K g -> Forall mover l.
  Proof using Type.
    induction 1 as [V K g|i n k keep V V1 V2 K g g2 l Tu Un Ru M IH]; intros T U Sh Ow; [constructor|]. constructor.
    - by apply (turn_mover i n k keep V V1 K g).
    - apply IH.
      + by apply (together_kept _ _ _ _ _ _ Tu).
      + by apply (turn_once i k V V1).
      + by apply turn_shows.
      + by apply turn_owns.
  Qed.

  (* What no lock gives is taken before anything is given, and given after all is taken. Of an access that does both at once a section
     may have one, between the two. *)
  Definition strays_in_order (b : list event) : Prop := forall a e c, b = a ++ e :: c ->
    (kind_of e = Taking \/ kind_of e = Once -> Forall (fun x => may_give x = false) a) /\
    (kind_of e = Giving \/ kind_of e = Once -> Forall (fun x => may_take x = false) c).

  Lemma movers_two_phase b x y : lock_run b x y -> one_transaction b -> strays_in_order b -> Forall mover b -> two_phase e_takes e_gives b.
  Proof using Type.
    intros R O S M. destruct (first_with may_give b) as [N | (b1 & u & b2 & -> & G & N)].
    - exists b, []. rewrite app_nil_r. split; [reflexivity|]. split; [|constructor]. apply none_with in N.
      apply Forall_forall. intros e He. apply (Forall_forall _ _) with (x := e) in N, M; try assumption. by apply M.
    - exists b1, (u :: b2). split; [reflexivity|]. apply Forall_app in M as [M1 M2]. inversion M2 as [|? ? _ M3]; subst. split.
      + apply none_with in N. apply Forall_forall. intros e He. apply (Forall_forall _ _) with (x := e) in N, M1; try assumption. by apply M1.
      + cbn [tl]. enough (Forall (fun e => may_take e = false) b2) as Q.
        { apply Forall_forall. intros e He. apply (Forall_forall _ _) with (x := e) in Q, M3; try assumption. by apply M3. }
        destruct (kind_of u) eqn:Ku; [| |apply (S b1 u b2 eq_refl); rewrite Ku; auto|apply (S b1 u b2 eq_refl); rewrite Ku; auto].
        all: assert (Gu : gives_lock (e_call u) = true) by (unfold may_give in G; rewrite Ku, orb_false_r in G; exact G).
        all: pose proof (given_taken _ _ _ _ _ R O Gu) as Q; apply List.Forall_forall; intros e He; rewrite List.Forall_forall in Q;
          unfold may_take; rewrite (Q e He); cbn [orb].
        all: apply in_split in He as (c & d & ->).
        all: assert (Se : kind_of e = Taking \/ kind_of e = Once -> False).
        all: try (intros X; destruct (S (b1 ++ u :: c) e d) as [Y _]; [by rewrite <- app_assoc|]; specialize (Y X);
          apply Forall_app in Y as [_ Y]; inversion Y; subst; congruence).
        all: destruct (kind_of e); [reflexivity|destruct Se; auto|reflexivity|destruct Se; auto].
  Qed.

  (* ---- Runs ---- *)

  (* In a mix, a section that is one transaction is two-phase, as far as locks give what it touches. *)
  Theorem mixed_two_phase l V V' g' t : start V -> mixed by_kind l V nothing (begins V) V' g' -> in_turn section_of l ->
    one_transaction (Reduction.block section_of l t) -> strays_in_order (Reduction.block section_of l t) ->
    two_phase e_takes e_gives (Reduction.block section_of l t).
  Proof using Type.
    intros S M Ht O St. destruct (begins_shows V S) as (Sh & T & U). destruct (mixed_runs _ _ _ _ _ _ _ M T U Sh) as [Ru _].
    destruct (section_locks l _ _ t Ru Ht) as (x & y & R). apply (movers_two_phase _ x y R O St).
    pose proof (mixed_movers _ _ _ _ _ _ M T U Sh (begins_owns V S)) as F. rewrite List.Forall_forall in F. apply List.Forall_forall.
    intros e He. apply List.filter_In in He as [He _]. by apply F.
  Qed.

  (* Nothing stray: the guards alone. *)
  Lemma no_strays b : Forall (fun e => kind_of e = ByLocks) b -> strays_in_order b.
  Proof using Type.
    intros F a e c ->. apply Forall_app in F as [_ F]. inversion F as [|? ? E _]; subst. rewrite E. split; intros [X | X]; discriminate X.
  Qed.

  Theorem ruled_reduces l V V' g' : start V -> mixed by_kind l V nothing (begins V) V' g' -> in_turn section_of l ->
    (forall t, let b := Reduction.block section_of l t in one_transaction b /\ strays_in_order b) ->
    exists order, NoDup order /\ ordered order /\ (forall e, In e l -> In (section_of e) order) /\
      machine_runs (Reduction.blocks section_of l order) (begins V) g' /\ exists K, shows V' K g'.
  Proof using Type.
    intros S M Ht O. apply (mixed_reduces by_kind); try assumption. intros t. destruct (O t). by apply (mixed_two_phase l V V' g').
  Qed.

  (* A section is a whole function, and one transaction; of one granule not one attempt fails and another does not. *)
  Record transacts (j : job) (b : list event) : Prop := Transacts {
    tr_does : performs program (j_name j) (j_args j) (map e_call b) (j_results j);
    tr_handler : handler j;
    tr_one : one_transaction b;
    tr_strays : strays_in_order b;
    tr_steady : exists o, Forall (settled_call o) (map e_call b);
  }.
  Theorem ruled_serial busy (jobs : nat * nat -> job) l V V' g' : start V -> (forall i, busy i = true -> runs (V i) = 0) ->
    mixed by_kind l V nothing (begins V) V' g' -> in_turn section_of l ->
    (forall t, Reduction.block section_of l t <> [] -> busy (fst t) = true /\ transacts (jobs t) (Reduction.block section_of l t)) ->
    exists order, NoDup order /\ ordered order /\ (forall e, In e l -> In (section_of e) order) /\
      serial jobs order (begins V) g' /\ calm (hw (V 0%nat)) busy g' /\ exists K, shows V' K g'.
  Proof using Type.
    intros S B M Ht O. apply (mixed_serial by_kind); try assumption. intros t Ne. destruct (O t Ne) as [Bt [A1 A2 A3 A4 A5]]. split; [exact Bt|].
    constructor; try assumption. by apply (mixed_two_phase l V V' g').
  Qed.
End rule.
