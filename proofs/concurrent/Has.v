(* SPDX-License-Identifier: Apache-2.0 *)
(* What a primitive touches is what its CPU has, by the guards: granules that it claimed, what the realm owns that it locked,
   and the host's tables under their lock; and no two CPUs have the same, whatever primitives they run, in any order. What is
   left is listed: accesses that are one atomic access, pages of the host's that are pinned, words of RECs. *)
From kcore Require Export concurrent.Cells.
From kcore Require Import concurrent.Framed.
From kcore Require Import refine.HandFacts.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- What a CPU has, by the locks that it holds ---- *)

Definition is_host_table (pa : Z) (s : state) : bool := match role_of (hw s) pa with Some _ => true | None => false end.
(* A page of the host's that is pinned, and a REC: others use them, too, who pinned the one, or run the other. A page of the
   host's that is claimed and not pinned nobody else can pin. *)
Definition in_use (pa : Z) (s : state) : bool := has_state GS_NS pa s && negb (g_refs (granule_at s pa) =? 0).
Definition common (pa : Z) (s : state) : bool := in_use pa s || has_state GS_REC pa s.
Definition has (s : state) (c : cell) : bool :=
  match c with
  | CState pa => under_lock pa s
  | CRefs pa => under_lock pa s && negb (in_use pa s)
  | CWord pa _ => if is_host_table pa s then holds LHost s else under_lock pa s && negb (common pa s)
  | CHole _ => holds LHost s
  | CPublic _ | CVmid _ => false
  end.
(* What no lock gives: these pages' words, pins, what others may read of a granule word, VMIDs. *)
Definition nobodys (s : state) (c : cell) : bool :=
  match c with
  | CWord pa _ => negb (is_host_table pa s) && common pa s
  | CRefs pa => in_use pa s
  | CPublic _ | CVmid _ => true
  | CState _ | CHole _ => false
  end.
Lemma nobodys_has s c : nobodys s c = true -> has s c = false.
Proof.
  destruct c as [pa|pa|pa|pa n|b|v]; cbn [has nobodys]; try done.
  - intros ->. by rewrite andb_false_r.
  - destruct (is_host_table pa s); [done|]. cbn [negb andb]. intros ->. by rewrite andb_false_r.
Qed.
(* Pinning looks for itself whether a page is the host's, and not claimed. *)
Definition attempts (p : prim) (s : state) (c : cell) : bool :=
  match p, c with P_ns_get, CState pa | P_ns_get, CRefs pa => claimable GS_NS pa s | _, _ => false end.

(* No lock is on a host's table. *)
Definition tables_free (s : state) : Prop := forall pa, is_host_table pa s = true ->
  holds (LGranule pa) s = false /\ forall st o, read (CState pa) s = Some (st, o) -> st = GS_CORE /\ o = 0.
Lemma free_under pa s : tables_free s -> under_lock pa s = true -> is_host_table pa s = false.
Proof.
  intros T U. destruct (is_host_table pa s) eqn:E; [|reflexivity]. destruct (T pa E) as [A B]. unfold under_lock, tracked, granule_at in U.
  rewrite A in U. cbn [read] in B. destruct (gran s !! pa) as [g|]; [|discriminate]. destruct (B _ _ eq_refl) as [_ W].
  cbn [default from_option id] in U. rewrite W in U. discriminate.
Qed.
Lemma free_state st pa s : tables_free s -> has_state st pa s = true -> st <> GS_CORE -> is_host_table pa s = false.
Proof.
  intros T H N. destruct (is_host_table pa s) eqn:E; [|reflexivity]. destruct (T pa E) as [_ B]. unfold has_state in H.
  cbn [read] in B. destruct (gran s !! pa) as [g|]; [|discriminate]. apply Z.eqb_eq in H. destruct (B _ _ eq_refl) as [W _]. congruence.
Qed.

(* ---- Each primitive touches what its CPU has ---- *)

Section touch.
  Context (s : state) (T : tables_free s).
  Definition fine (c : cell) : Prop := has s c = true \/ nobodys s c = true.

  Lemma fine_page pa i : is_host_table pa s = false -> under_lock pa s = true \/ common pa s = true -> fine (CWord pa i).
  Proof using Type.
    intros A B. unfold fine. cbn [has nobodys]. rewrite A. destruct (common pa s); [by right|left].
    destruct B as [-> | B]; [reflexivity|discriminate].
  Qed.
  Lemma fine_under pa i : under_lock pa s = true -> fine (CWord pa i).
  Proof using T. intros U. apply fine_page; [by apply free_under|by left]. Qed.
  Lemma fine_hand pa i : in_hand pa s = true -> fine (CWord pa i).
  Proof using T. unfold in_hand. intros H. apply andb_true_iff in H as [H _]. by apply fine_under. Qed.
  Lemma fine_is_rec pa i : has_state GS_REC pa s = true -> fine (CWord pa i).
  Proof using T. intros H. apply fine_page; [by apply (free_state GS_REC)|right]. unfold common. rewrite H. apply orb_true_r. Qed.
  Lemma fine_rec pa i : rec_in_hand pa s = true -> fine (CWord pa i).
  Proof using T. unfold rec_in_hand. intros H. apply andb_true_iff in H as [H _]. by apply fine_is_rec. Qed.
  Lemma pinned_hosts pa : pinned pa s = true -> has_state GS_NS pa s = true.
  Proof using Type. unfold pinned, has_state. destruct (gran s !! pa); [|done]. by intros [H _]%andb_true_iff. Qed.
  Lemma pinned_use pa : pinned pa s = true -> in_use pa s = true.
  Proof using Type.
    intros H. unfold in_use. rewrite pinned_hosts by exact H. revert H. unfold pinned, granule_at. destruct (gran s !! pa) as [g|]; [|done].
    intros [_ H%Z.ltb_lt]%andb_true_iff. cbn [default from_option id andb]. apply negb_true_iff, Z.eqb_neq. lia.
  Qed.
  Lemma fine_pinned pa i : pinned pa s = true -> fine (CWord pa i).
  Proof using T.
    intros H. apply fine_page; [apply (free_state GS_NS); [exact T|by apply pinned_hosts|done]|right]. unfold common. by rewrite pinned_use.
  Qed.
  Lemma fine_pin pa : pinned pa s = true -> fine (CRefs pa).
  Proof using Type. intros H%pinned_use. by right. Qed.
  Lemma fine_zero pa i : may_zero pa s = true -> fine (CWord pa i).
  Proof using T. unfold may_zero. intros H. apply andb_true_iff in H as [H _]. apply andb_true_iff in H as [H _]. by apply fine_under. Qed.
  Lemma fine_over pa i : may_overwrite pa s = true -> fine (CWord pa i).
  Proof using T. unfold may_overwrite. intros H. apply andb_true_iff in H as [H _]. by apply fine_zero. Qed.
  Lemma fine_table pa i : is_host_table pa s = true -> holds LHost s = true -> fine (CWord pa i).
  Proof using Type. intros A B. left. cbn [has]. by rewrite A. Qed.
  Lemma fine_state pa : under_lock pa s = true -> fine (CState pa).
  Proof using Type. intros H. left. exact H. Qed.
  Lemma fine_refs pa : under_lock pa s = true -> fine (CRefs pa).
  Proof using Type. intros H. unfold fine. cbn [has nobodys]. rewrite H. destruct (in_use pa s); auto. Qed.
  Lemma fine_hole b : holds LHost s = true -> fine (CHole b).
  Proof using Type. intros H. left. exact H. Qed.
End touch.

Lemma touching_in p args rs s c : touching p args rs s c = true ->
  exists x, In x (touched p args rs s) /\ covers c x = true.
Proof. unfold touching. intros H. apply existsb_exists in H as (x & A & B). eauto. Qed.
Lemma covers_one c d : covers c (One d) = true -> c = d.
Proof. cbn [covers]. intros H. by apply bool_decide_eq_true in H. Qed.
Lemma covers_page c pa : covers c (Page pa) = true -> exists i, c = CWord pa i.
Proof. destruct c; cbn [covers]; try discriminate. intros H. apply Z.eqb_eq in H as ->. eauto. Qed.

Lemma in_one {A} (x y : A) : In x [y] -> x = y.
Proof. intros [H | []]. by symmetry. Qed.
Ltac parts T :=
  let x := fresh "x" in let I := fresh "I" in let C := fresh "C" in
  apply touching_in in T as (x & I & C); cbv beta iota delta [touched at_word done] in I;
  repeat match type of I with
  | In _ (_ :: _) => destruct I as [<- | I]
  | In _ [] => destruct I
  end;
  first [apply covers_one in C as -> | apply covers_page in C as [? ->]].
Ltac conj := repeat match goal with H : _ && _ = true |- _ => apply andb_true_iff in H as [? ?] end.
Ltac close :=
  first [ left; right; reflexivity
        | left; first [ apply fine_state; assumption | apply fine_refs; assumption | apply fine_hole; assumption | apply fine_pin; assumption
                      | apply fine_rec; assumption | apply fine_hand; assumption | apply fine_pinned; assumption
                      | apply fine_zero; assumption | apply fine_over; assumption | apply fine_under; assumption ] ].

Lemma taken_under st pa s : has_state st pa s = true -> under_lock pa (lock_taken (LGranule pa) s) = true.
Proof.
  unfold has_state, under_lock, tracked, holds, granule_at. cbn [lock_taken with_held gran held existsb lock_eqb].
  destruct (gran s !! pa); [|discriminate]. intros _. by rewrite Z.eqb_refl.
Qed.

(* What it touches, its CPU has before, or after (a lock that it takes), or no lock gives it. *)
Theorem prim_has p args s rs s' : prim_sem p args s = Some (rs, s') -> tables_free s ->
  forall c, touching p args rs s c = true -> fine s c \/ has s' c = true \/ attempts p s c = true.
Proof.
  intros H F c T.
  destruct p; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; try discriminate H;
    try (exfalso; unfold touching in T; cbn in T; discriminate T);
    cbv beta iota delta [prim_sem] in H; try (apply ok_guarded in H as [G E]); conj.
  all: try (solve [parts T; close]).
  (* claims and locks *)
  - destruct (claimable a1 a0 s) eqn:C; injection E as <- <-; parts T. right. left. cbn [has].
    unfold claimable in C. conj. by eapply taken_under.
  - unfold may_set in *. conj. apply touching_in in T as (x & I & C). cbn [touched] in I. destruct I as [<- | I].
    + apply covers_one in C as ->. left. by apply fine_state.
    + destruct (public a1 || _); [|destruct I]. apply in_one in I as ->. apply covers_one in C as ->. left. right. reflexivity.
  - destruct (claimable GS_NS a0 s && _) eqn:C; injection E as <- <-; parts T; apply andb_true_iff in C as [C _].
    all: right; right; exact C.
  - destruct (has_state GS_RD a0 s) eqn:C; injection E as <- <-; parts T; [|close]. right. left. cbn [has]. by eapply taken_under.
  - unfold may_open in *. conj. parts T; close.
  - unfold may_read in *. conj. parts T. destruct (role_of (hw s) a0) eqn:R; [|close]. left. apply fine_table; [|assumption].
    unfold is_host_table. by rewrite R.
  - unfold may_write in *. cbv zeta in *. conj. parts T. destruct (role_of (hw s) a0) eqn:R.
    + conj. left. apply fine_table; [|assumption]. unfold is_host_table. by rewrite R.
    + conj. close.
  - unfold rec_agrees in *. cbv zeta in *. conj. parts T. left. by apply fine_is_rec.
  - parts T. left. by apply fine_is_rec.
  - unfold may_fetch in *. conj. parts T; close.
  - destruct (log_text (hw s) (logged s) a1) as [n next]. apply ok_guarded in H as [G E]. parts T. close.
Qed.

(* ---- Locks and owners ---- *)

(* State and owner, as their cell has them. *)
Definition owner_of (s : state) (pa : Z) : Z := match read (CState pa) s with Some (_, o) => o | None => 0 end.
Lemma owner_at pa s : g_owner (granule_at s pa) = owner_of s pa.
Proof. unfold owner_of, granule_at. cbn [read]. by destruct (gran s !! pa). Qed.
Lemma tracked_state pa s : tracked s pa = match read (CState pa) s with Some _ => true | None => false end.
Proof. unfold tracked. cbn [read]. by destruct (gran s !! pa). Qed.

(* Only what is a realm's has an owner; a host's table is KCore's. *)
Definition owners_ok (s : state) : Prop := forall pa st o, read (CState pa) s = Some (st, o) ->
  (o <> 0 -> st = GS_REC \/ st = GS_RTT \/ st = GS_DATA) /\ (is_host_table pa s = true -> st = GS_CORE /\ o = 0).
(* Of what a CPU holds, the owner is the RD that it locked first. *)
Record orderly (s : state) : Prop := Orderly {
  or_owner : forall pa, holds (LGranule pa) s = true -> owner_of s pa = 0 \/ LGranule (owner_of s pa) = first_taken (held s);
  or_host : ~ In LHost (tl (held s));
  or_table : forall pa, holds (LGranule pa) s = true -> is_host_table pa s = false /\ tracked s pa = true;
}.

Lemma orderly_free s : orderly s -> owners_ok s -> tables_free s.
Proof.
  intros [_ _ T] O pa X. split.
  - destruct (holds (LGranule pa) s) eqn:H; [|reflexivity]. destruct (T _ H). congruence.
  - intros st o E. by apply (O _ _ _ E).
Qed.

Lemma lock_eqb_refl l : lock_eqb l l = true.
Proof. destruct l; [apply Z.eqb_refl|reflexivity]. Qed.
Lemma lock_eqb_true a b : lock_eqb a b = true -> a = b.
Proof. destruct a, b; cbn; try discriminate; [|reflexivity]. by intros ->%Z.eqb_eq. Qed.
Lemma holds_in l s : holds l s = true <-> In l (held s).
Proof.
  unfold holds. rewrite existsb_exists. split; [intros (x & H & ->%lock_eqb_true); exact H|]. intros H. exists l. by rewrite lock_eqb_refl.
Qed.
Lemma first_in ls : ls <> [] -> In (first_taken ls) ls.
Proof.
  induction ls as [|l ls IH]; [done|]. intros _. destruct ls as [|x ls]; [by left|]. right. by apply IH.
Qed.
Lemma without_in l x ls : In x (without l ls) -> In x ls.
Proof.
  induction ls as [|y ls IH]; [done|]. cbn [without]. destruct (lock_eqb l y); [by right|]. intros [-> | H]; [by left|right; by apply IH].
Qed.
Lemma without_tl l x ls : In x (tl (without l ls)) -> In x (tl ls).
Proof.
  destruct ls as [|y ls]; [done|]. cbn [without]. destruct (lock_eqb l y); [by destruct ls; [|right]|]. cbn [tl]. apply without_in.
Qed.

(* ---- What a primitive does to locks, states and owners ---- *)

Inductive effect (p : prim) (s s' : state) : Prop :=
| E_none : held s' = held s -> (forall q, read (CState q) s' = read (CState q) s) -> effect p s s'
| E_set pa st o : p = P_granule_set -> held s' = held s -> under_lock pa s = true ->
    (forall q, read (CState q) s' = if q =? pa then Some (st, o) else read (CState q) s) ->
    ((st = GS_REC \/ st = GS_RTT \/ st = GS_DATA) /\ LGranule o = first_taken (held s) \/ o = 0) -> effect p s s'
| E_claim pa st : held s' = LGranule pa :: held s -> (forall q, read (CState q) s' = read (CState q) s) -> holds LHost s = false ->
    has_state st pa s = true -> st = GS_NS \/ st = GS_DELEGATED \/ st = GS_RD -> effect p s s'
| E_host : held s' = LHost :: held s -> (forall q, read (CState q) s' = read (CState q) s) -> holds LHost s = false -> effect p s s'
| E_drop l : held s' = without l (held s) -> (forall q, read (CState q) s' = read (CState q) s) -> l = LHost \/ in_order l s = true ->
    effect p s s'.

Lemma refs_effect p pa n s : tracked s pa = true -> effect p s (with_refs pa n s).
Proof. intros H. apply E_none; [reflexivity|]. intros q. rewrite refs_read by exact H. by rewrite bool_decide_eq_false_2. Qed.
Lemma set_effect pa st o s : may_set pa st o s = true -> effect P_granule_set s (with_owner pa st o s).
Proof.
  intros G. pose proof (set_tracked _ _ _ _ G) as T. unfold may_set in G. conj.
  apply (E_set _ _ _ pa st o); [reflexivity|reflexivity|assumption| |].
  { intros q. rewrite owner_read by assumption. rewrite (bool_decide_eq_false_2 (CState q = CPublic pa)) by done.
    destruct (Z.eqb_spec q pa) as [->|N]; [by rewrite bool_decide_eq_true_2|by rewrite bool_decide_eq_false_2 by congruence]. }
  match goal with H : (if (st =? GS_REC) || _ || _ then _ else _) = true |- _ => revert H end.
  destruct (Z.eqb_spec st GS_REC), (Z.eqb_spec st GS_RTT), (Z.eqb_spec st GS_DATA); cbn [orb]; intros Ho;
    first [left; split; [auto|by apply lock_eqb_true] | right; by apply Z.eqb_eq].
Qed.

Lemma prim_effect p args s rs s' : prim_sem p args s = Some (rs, s') -> effect p s s'.
Proof.
  intros H.
  destruct p; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; try discriminate H;
    cbv beta iota delta [prim_sem] in H; try (apply ok_guarded in H as [G E]).
  all: try (injection E as <- <-; apply E_none; reflexivity).
  all: try (match type of E with (if ?c then _ else _) = _ => destruct c end; injection E as <- <-; apply E_none; reflexivity).
  all: try (match type of E with (match ?o with _ => _ end) = _ => destruct o end; injection E as <- <-; apply E_none; reflexivity).
  - conj. destruct (claimable a1 a0 s) eqn:C; injection E as <- <-; [|apply E_none; reflexivity].
    unfold claimable in C. conj. eapply (E_claim _ _ _ a0 a1); [reflexivity|reflexivity| |eassumption|].
    + by apply negb_true_iff.
    + match goal with H : (_ || _) = true |- _ => apply orb_true_iff in H as [?%Z.eqb_eq | ?%Z.eqb_eq] end; auto.
  - conj. injection E as <- <-. apply (E_drop _ _ _ (LGranule a0)); [reflexivity|reflexivity|by right].
  - injection E as <- <-. by apply set_effect.
  - conj. injection E as <- <-. apply refs_effect. by apply under_tracked.
  - destruct (_ && _) eqn:C in E; injection E as <- <-; [|apply E_none; reflexivity]. unfold claimable in C. conj.
    apply refs_effect. by eapply has_tracked.
  - conj. injection E as <- <-. apply refs_effect. by apply pinned_tracked.
  - conj. destruct (has_state GS_RD a0 s) eqn:C; injection E as <- <-; [|apply E_none; reflexivity].
    match goal with H : bool_decide (held s = []) = true |- _ => apply bool_decide_eq_true in H as N end.
    eapply (E_claim _ _ _ a0 GS_RD); [reflexivity|reflexivity| |exact C|auto]. unfold holds. by rewrite N.
  - conj. injection E as <- <-. apply (E_drop _ _ _ (LGranule a0)); [reflexivity|reflexivity|by right].
  - injection E as <- <-. unfold after_write. destruct (role_of (hw s) a0); apply E_none; reflexivity.
  - conj. injection E as <- <-. apply E_host; [reflexivity|reflexivity|by apply negb_true_iff].
  - conj. injection E as <- <-. apply (E_drop _ _ _ LHost); [reflexivity|reflexivity|by left].
  - injection E as <- <-. unfold el1_set. destruct (loaded s =? a0); apply E_none; reflexivity.
  - destruct (log_text (hw s) (logged s) a1) as [n next]. apply ok_guarded in H as [G E]. injection E as <- <-. apply E_none; reflexivity.
  - injection E as <- <-. destruct f; apply E_none; reflexivity.
  - injection E as <- <-. destruct f; apply E_none; reflexivity.
Qed.

(* ---- CPUs together ---- *)

(* What each CPU sees: one memory; no lock is two CPUs'. *)
Record together (V : nat -> state) : Prop := Together {
  tg_hw : forall i j, hw (V i) = hw (V j);
  tg_same : forall i j c, read c (V i) = read c (V j);
  tg_locks : forall i j l, i <> j -> holds l (V i) = true -> holds l (V j) = false;
  tg_orderly : forall i, orderly (V i);
  tg_owners : forall i, owners_ok (V i);
}.

Lemma under_cases pa s : under_lock pa s = true ->
  holds (LGranule pa) s = true \/ (owner_of s pa <> 0 /\ holds (LGranule (owner_of s pa)) s = true).
Proof.
  unfold under_lock. intros H. conj. rewrite !owner_at in *. match goal with H : (_ || _) = true |- _ => apply orb_true_iff in H as [H | H] end; [by left|].
  right. conj. split; [|assumption]. by apply Z.eqb_neq, negb_true_iff.
Qed.

Section together.
  Context (V : nat -> state) (T : together V) (i j : nat) (N : i <> j).

  Lemma owner_same pa : owner_of (V i) pa = owner_of (V j) pa.
  Proof using T. unfold owner_of. by rewrite (tg_same _ T i j). Qed.
  Lemma not_both l : holds l (V i) = true -> holds l (V j) = true -> False.
  Proof using T N. intros A B. rewrite (tg_locks _ T i j l N A) in B. discriminate. Qed.
  Lemma first_held l ls : holds l ls = true -> holds (first_taken (held ls)) ls = true.
  Proof using Type. intros H. apply holds_in. apply first_in. apply holds_in in H. by intros E; rewrite E in H. Qed.

  (* One has claimed it, and the other its owner: but the owner was locked first by the one. *)
  Lemma under_apart pa : under_lock pa (V i) = true -> under_lock pa (V j) = true -> False.
  Proof using T N.
    intros [A | [A0 A]]%under_cases [B | [B0 B]]%under_cases.
    - by apply (not_both (LGranule pa)).
    - destruct (or_owner _ (tg_orderly _ T i) pa A) as [E | E]; [rewrite owner_same in E; congruence|].
      apply (not_both (LGranule (owner_of (V j) pa))); [|exact B]. rewrite <- owner_same, E. by apply first_held in A.
    - destruct (or_owner _ (tg_orderly _ T j) pa B) as [E | E]; [rewrite <- owner_same in E; congruence|].
      apply (not_both (LGranule (owner_of (V i) pa))); [exact A|]. rewrite owner_same, E. by apply first_held in B.
    - apply (not_both (LGranule (owner_of (V i) pa))); [exact A|]. by rewrite owner_same.
  Qed.

  Theorem has_apart c : has (V i) c = true -> has (V j) c = true -> False.
  Proof using T N.
    destruct c as [pa|pa|pa|pa n|b|v]; cbn [has]; try discriminate; [apply under_apart| | |apply not_both].
    { intros A B. conj. by apply (under_apart pa). }
    assert (E : is_host_table pa (V i) = is_host_table pa (V j)) by (unfold is_host_table; by rewrite (tg_hw _ T i j)).
    rewrite E. destruct (is_host_table pa (V j)); [apply not_both|]. intros A B. conj. by apply (under_apart pa).
  Qed.
End together.

Lemma state_read st pa s : has_state st pa s = match read (CState pa) s with Some (x, _) => x =? st | None => false end.
Proof. unfold has_state. cbn [read]. by destruct (gran s !! pa). Qed.
Lemma nobodys_same V i j c : together V -> nobodys (V i) c = nobodys (V j) c.
Proof.
  intros T. assert (E : forall st pa, has_state st pa (V i) = has_state st pa (V j)) by (intros; by rewrite !state_read, (tg_same _ T i j)).
  assert (U : forall pa, in_use pa (V i) = in_use pa (V j)).
  { intros pa. unfold in_use. by rewrite E, (same_refs (V i) (V j)) by apply (tg_same _ T). }
  destruct c as [pa|pa|pa|pa n|b|v]; cbn [nobodys]; try reflexivity; [apply U|]. unfold common, is_host_table. by rewrite U, E, (tg_hw _ T i j).
Qed.

(* A primitive of one CPU, at any time between those of others. A lock that another has is waited for, or, in an attempt, seen. *)
Record turn (i : nat) (p : prim) (args rs : list Z) (V V' : nat -> state) : Prop := Turn {
  tu_prim : prim_sem p args (V i) = Some (rs, V' i);
  tu_waits : forall l j, j <> i -> holds l (V' i) = true -> holds l (V i) = false -> holds l (V j) = false;
  tu_sees : forall l j, j <> i -> holds l (V j) = true -> others (V i) l = true;
  tu_own : forall j, j <> i -> alone (V' j) = alone (V j);
  tu_seen : forall j c, j <> i -> read c (V' j) = read c (V' i);
}.
Lemma alone_held s s' : alone s' = alone s -> hw s' = hw s /\ held s' = held s.
Proof. unfold alone. intros [= ]. auto. Qed.

Lemma same_table pa s s' : hw s' = hw s -> is_host_table pa s' = is_host_table pa s.
Proof. unfold is_host_table. by intros ->. Qed.
Lemma holds_held l s s' : held s' = held s -> holds l s' = holds l s.
Proof. unfold holds. by intros ->. Qed.

(* States and owners as they were, for who holds the same. *)
Lemma orderly_kept s s' : hw s' = hw s -> held s' = held s ->
  (forall q, holds (LGranule q) s = true -> read (CState q) s' = read (CState q) s) -> orderly s -> orderly s'.
Proof.
  intros Eh El R [A B C]. constructor.
  - intros pa. rewrite (holds_held _ s s' El), El. intros H. unfold owner_of. rewrite (R _ H). by apply A.
  - by rewrite El.
  - intros pa. rewrite (holds_held _ s s' El). intros H. rewrite (same_table pa s s' Eh), tracked_state, (R _ H), <- tracked_state. by apply C.
Qed.

Lemma effect_orderly p s s' : hw s' = hw s -> effect p s s' -> orderly s -> owners_ok s -> orderly s' /\ owners_ok s'.
Proof.
  intros Eh F O W. destruct F as [El R | pa st o _ El U R G | pa st El R Nh Hs Hst | El R Nh | l El R G].
  - split; [apply (orderly_kept s); auto|]. intros q st o. rewrite R, (same_table q s s' Eh). apply W.
  - pose proof (free_under pa s (orderly_free s O W) U) as Ft. split.
    + destruct O as [A B C]. constructor.
      * intros q. rewrite (holds_held _ s s' El), El. intros H. unfold owner_of. rewrite R. destruct (Z.eqb_spec q pa) as [->|N]; [|by apply A].
        destruct G as [[_ G] | G]; [by right|by left].
      * by rewrite El.
      * intros q. rewrite (holds_held _ s s' El). intros H. rewrite (same_table q s s' Eh), tracked_state, R.
        destruct (Z.eqb_spec q pa) as [->|N]; [auto|]. rewrite <- tracked_state. by apply C.
    + intros q st' o'. rewrite R, (same_table q s s' Eh). destruct (Z.eqb_spec q pa) as [->|N]; [|apply W]. intros [= <- <-]. rewrite Ft.
      split; [|discriminate]. intros No. destruct G as [[G _] | G]; [exact G|congruence].
  - assert (Rd : exists o, read (CState pa) s = Some (st, o)).
    { unfold has_state in Hs. cbn [read]. destruct (gran s !! pa) as [g|]; [|discriminate]. apply Z.eqb_eq in Hs as <-. cbn. eauto. }
    destruct Rd as [o Rd]. destruct (W _ _ _ Rd) as [W1 W2].
    assert (o = 0) as ->.
    { destruct (Z.eq_dec o 0) as [|No]; [assumption|]. exfalso. specialize (W1 No). unfold GS_NS, GS_DELEGATED, GS_RD, GS_REC, GS_RTT, GS_DATA in *. lia. }
    split; [|intros q st' o'; rewrite R, (same_table q s s' Eh); apply W]. destruct O as [A B C].
    assert (Hd : forall q, holds (LGranule q) s' = true -> q = pa \/ holds (LGranule q) s = true).
    { intros q. unfold holds. rewrite El. cbn [existsb lock_eqb]. intros [H%Z.eqb_eq | H]%orb_true_iff; auto. }
    constructor.
    + intros q H. unfold owner_of. rewrite R. destruct (Hd _ H) as [-> | H']; [left; by rewrite Rd|]. destruct (A _ H') as [E | E]; [by left|right].
      unfold owner_of in E. rewrite E, El. apply holds_in in H'. by destruct (held s).
    + rewrite El. cbn [tl]. intros H. apply holds_in in H. congruence.
    + intros q H. rewrite (same_table q s s' Eh), tracked_state, R, <- tracked_state. destruct (Hd _ H) as [-> | H']; [|by apply C].
      split; [|by eapply has_tracked]. destruct (is_host_table pa s); [|reflexivity]. destruct (W2 eq_refl) as [-> _].
      unfold GS_NS, GS_DELEGATED, GS_RD, GS_CORE in *. lia.
  - split; [|intros q st' o'; rewrite R, (same_table q s s' Eh); apply W]. destruct O as [A B C].
    assert (Hd : forall q, holds (LGranule q) s' = true -> holds (LGranule q) s = true) by (intros q; unfold holds; by rewrite El).
    constructor.
    + intros q H%Hd. unfold owner_of. rewrite R. destruct (A _ H) as [E | E]; [by left|right]. unfold owner_of in E. rewrite E, El.
      apply holds_in in H. by destruct (held s).
    + rewrite El. cbn [tl]. intros H. apply holds_in in H. congruence.
    + intros q H%Hd. rewrite (same_table q s s' Eh), tracked_state, R, <- tracked_state. by apply C.
  - split; [|intros q st' o'; rewrite R, (same_table q s s' Eh); apply W]. destruct O as [A B C].
    assert (Hd : forall q, holds q s' = true -> holds q s = true) by (intros q H; apply holds_in in H; apply holds_in; rewrite El in H; by eapply without_in).
    constructor.
    + intros q H. unfold owner_of. rewrite R. destruct (A _ (Hd _ H)) as [E | E]; [by left|right]. unfold owner_of in E. rewrite E.
      apply holds_in in H. rewrite El in H |- *. destruct G as [-> | G].
      * clear - B H. destruct (held s) as [|x ls]; [done|]. cbn [tl] in B. cbn [without] in *. destruct (lock_eqb LHost x) eqn:X.
        -- destruct ls; [done|reflexivity].
        -- assert (without LHost ls = ls) as ->; [|reflexivity]. clear - B. induction ls as [|y ls IH]; [reflexivity|]. cbn [without].
           destruct (lock_eqb LHost y) eqn:Y; [apply lock_eqb_true in Y as <-; exfalso; apply B; by left|]. f_equal. apply IH. intros H. apply B. by right.
      * unfold in_order in G. destruct (without l (held s)); [done|]. apply lock_eqb_true in G. by rewrite G.
    + rewrite El. intros H. by apply B, (without_tl l).
    + intros q H. rewrite (same_table q s s' Eh), tracked_state, R, <- tracked_state. by apply C, Hd.
Qed.

Lemma under_read pa s : under_lock pa s = match read (CState pa) s with
  | Some (_, o) => holds (LGranule pa) s || (negb (o =? 0) && holds (LGranule o) s) | None => false end.
Proof. unfold under_lock, tracked, granule_at. cbn [read]. by destruct (gran s !! pa). Qed.
Lemma alike_under pa s s' : held s' = held s -> read (CState pa) s' = read (CState pa) s -> under_lock pa s' = under_lock pa s.
Proof.
  intros El R. assert (H : forall l, holds l s' = holds l s) by (intros; by apply holds_held).
  rewrite !under_read, R. destruct (read (CState pa) s) as [[st o]|]; [|reflexivity]. by rewrite !H.
Qed.

(* What one has under a lock no other changes. *)
Lemma state_kept V i j p s' q : together V -> j <> i -> effect p (V i) s' -> under_lock q (V j) = true ->
  read (CState q) s' = read (CState q) (V i).
Proof.
  intros T N F U. destruct F as [El R | pa st o _ El U' R G | pa st El R Nh Hst Hst' | El R Nh | l El R G]; try apply R.
  rewrite R. destruct (Z.eqb_spec q pa) as [->|]; [|reflexivity]. exfalso. by apply (under_apart V T j i N pa).
Qed.

(* Whatever primitives CPUs run, in any order, no two have the same. *)
Theorem together_kept i p args rs V V' : turn i p args rs V V' -> together V -> together V'.
Proof.
  intros [H Hw _ Ha Hr] T. assert (Ho : forall j, j <> i -> hw (V' j) = hw (V j) /\ held (V' j) = held (V j)) by (intros; by apply alone_held, Ha).
  pose proof (prim_effect _ _ _ _ _ H) as F. destruct (prim_fixed _ _ _ _ _ H) as [Eh _].
  destruct (effect_orderly _ _ _ Eh F (tg_orderly _ T i) (tg_owners _ T i)) as [O W].
  assert (Hi : forall j, hw (V' j) = hw (V j)).
  { intros j. destruct (Nat.eq_dec j i) as [->|N]; [exact Eh|by apply Ho]. }
  assert (Si : forall j c, read c (V' j) = read c (V' i)).
  { intros j c. destruct (Nat.eq_dec j i) as [->|N]; [reflexivity|by apply Hr]. }
  constructor.
  - intros a b. rewrite !Hi. apply (tg_hw _ T).
  - intros a b c. by rewrite !Si.
  - assert (X : forall j l, j <> i -> holds l (V' i) = true -> holds l (V' j) = false).
    { intros j l N A. rewrite (holds_held _ (V j)) by (by apply Ho). destruct (holds l (V i)) eqn:B; [|by apply (Hw l j N)].
      apply (tg_locks _ T i j); [by apply not_eq_sym|exact B]. }
    intros a b l N A. destruct (Nat.eq_dec a i) as [->|Na]; [apply X; [by apply not_eq_sym|exact A]|].
    destruct (Nat.eq_dec b i) as [->|Nb].
    + destruct (holds l (V' i)) eqn:B; [|reflexivity]. rewrite (X a l Na B) in A. discriminate.
    + rewrite (holds_held _ (V a)) in A by (by apply Ho). rewrite (holds_held _ (V b)) by (by apply Ho). by apply (tg_locks _ T a b).
  - intros j. destruct (Nat.eq_dec j i) as [->|N]; [exact O|]. destruct (Ho j N) as [E1 E2].
    apply (orderly_kept (V j)); [exact E1|exact E2| |apply (tg_orderly _ T)].
    intros q Hq. rewrite Si, (tg_same _ T j i). apply (state_kept V i j p); [exact T|exact N|exact F|]. apply claimed_under; [|exact Hq].
    by apply (or_table _ (tg_orderly _ T j)).
  - intros j q st o. rewrite Si, (same_table q (V' i) (V' j)); [apply W|]. rewrite !Hi. apply (tg_hw _ T).
Qed.

(* Where an attempt succeeds, nobody has what it touches. *)
Lemma attempt_free i p args rs V V' c : turn i p args rs V V' -> together V -> attempts p (V i) c = true -> forall j, has (V j) c = false.
Proof.
  intros Tu T H j.
  assert (exists pa, (c = CState pa \/ c = CRefs pa) /\ claimable GS_NS pa (V i) = true) as (pa & Hc & C).
  { destruct p; try discriminate; destruct c as [pa|pa|pa|pa n|b|v]; try discriminate; eauto. }
  enough (under_lock pa (V j) = false) as U by (destruct Hc as [-> | ->]; cbn [has]; by rewrite U).
  destruct (under_lock pa (V j)) eqn:E; [|reflexivity]. exfalso. unfold claimable, free in C. conj. rewrite negb_true_iff in *.
  assert (owner_of (V j) pa = 0) as Z0.
  { unfold owner_of. destruct (read (CState pa) (V j)) as [[st o]|] eqn:R; [|reflexivity].
    match goal with K : has_state GS_NS pa (V i) = true |- _ => rewrite state_read, (tg_same _ T i j), R in K; apply Z.eqb_eq in K as -> end.
    destruct (Z.eq_dec o 0) as [|No]; [assumption|]. exfalso. pose proof (proj1 (tg_owners _ T j _ _ _ R) No) as K.
    unfold GS_NS, GS_REC, GS_RTT, GS_DATA in K. lia. }
  destruct (under_cases pa _ E) as [B | [B _]]; [|congruence].
  destruct (Nat.eq_dec j i) as [->|N]; [congruence|]. pose proof (tu_sees _ _ _ _ _ _ Tu _ j N B). congruence.
Qed.

(* What one has stays its own, whatever others do. *)
Theorem has_kept i p args rs V V' j c : turn i p args rs V V' -> together V -> j <> i -> has (V j) c = true -> has (V' j) c = true.
Proof.
  intros Tu T N. pose proof (together_kept _ _ _ _ _ _ Tu T) as T'. pose proof Tu as [H _ _ Ha Hr].
  destruct (alone_held _ _ (Ha j N)) as [Eh El]. pose proof (prim_effect _ _ _ _ _ H) as F.
  assert (S : forall pa, under_lock pa (V j) = true -> read (CState pa) (V' j) = read (CState pa) (V j)).
  { intros pa U. rewrite (Hr j _ N), (tg_same _ T j i). by apply (state_kept V i j p). }
  assert (A : forall pa, under_lock pa (V j) = true -> under_lock pa (V' j) = true).
  { intros pa U. rewrite (alike_under pa (V j) (V' j) El); [exact U|by apply S]. }
  assert (D : forall pa st, under_lock pa (V j) = true -> has_state st pa (V' j) = has_state st pa (V j)).
  { intros pa st U. by rewrite !state_read, S. }
  assert (B : forall pa, under_lock pa (V j) = true -> in_use pa (V j) = false -> in_use pa (V' j) = false).
  { intros pa U I. unfold in_use. rewrite D by exact U. destruct (has_state GS_NS pa (V j)) eqn:Ns; [|reflexivity].
    enough (read (CRefs pa) (V' j) = read (CRefs pa) (V j)) as R.
    { rewrite (same_refs (V' j) (V j)) by exact R. unfold in_use in I. by rewrite Ns in I. }
    rewrite (Hr j _ N), (tg_same _ T j i). destruct (touching p args rs (V i) (CRefs pa)) eqn:X; [exfalso|by apply (prim_frame p args (V i) rs)].
    destruct (prim_has _ _ _ _ _ H (orderly_free _ (tg_orderly _ T i) (tg_owners _ T i)) _ X) as [[Y | Y] | [Y | Y]].
    - cbn [has] in Y. apply andb_true_iff in Y as [Y _]. by apply (under_apart V T j i N pa).
    - rewrite (nobodys_same V i j) in Y by exact T. cbn [nobodys] in Y. congruence.
    - cbn [has] in Y. apply andb_true_iff in Y as [Y _]. apply (under_apart V' T' j i N pa); [by apply A|exact Y].
    - pose proof (attempt_free _ _ _ _ _ _ _ Tu T Y j) as Q. cbn [has] in Q. rewrite U, I in Q. discriminate. }
  destruct c as [pa|pa|pa|pa n|b|v]; cbn [has]; try discriminate.
  - apply A.
  - intros [U I]%andb_true_iff. rewrite (A pa U), (B pa U); [reflexivity|]. by apply negb_true_iff.
  - rewrite (same_table pa (V j) (V' j) Eh), (holds_held _ (V j) (V' j) El). destruct (is_host_table pa (V j)); [auto|].
    intros [U I]%andb_true_iff. rewrite (A pa U). apply negb_true_iff in I. unfold common in *. apply orb_false_iff in I as [I1 I2].
    by rewrite (B pa U I1), (D pa GS_REC U), I2.
  - by rewrite (holds_held _ (V j) (V' j) El).
Qed.
