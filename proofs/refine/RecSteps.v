(* SPDX-License-Identifier: Apache-2.0 *)
(* Evaluation with the state folded: the state stays what a specification would write, updates of a variable, and
   nothing is destructed. `step` takes one primitive; guards about locks and RECs are found in the hint base
   `hand`. *)
From kcore Require Export refine.Loops lang.Bits spec.Hostmem.
From kcore Require Export refine.HandFacts.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* Frames and expressions only. *)
Ltac tidy :=
  cbv beta iota delta [get put puts putr reset evals eval test binop_sem cmp_sem];
  change (z2b 1) with true; change (z2b 0) with false;
  change (negb true) with false; change (negb false) with true;
  rewrite ?z2b_b2z, ?andb_true_l, ?andb_false_l, ?orb_true_l, ?orb_false_l; cbv beta iota.

(* The other way round, and with prim_sem to be unfolded first: or conversion would compute the guard. *)
Lemma bind_prim {B} p args (k : list Z -> M state B) s g vs s' r :
  guarded g (vs, s') = prim_sem p args s -> k vs s' = r -> g = true -> bind (prim_sem p args) k s = r.
Proof. intros H Hr ->. unfold bind. by rewrite <- H. Qed.
Strategy expand [prim_sem].

(* A guard: its parts are known, or computed; the others are left. What is known is compared as written: states are
   not to be unfolded. *)
Create HintDb hand discriminated.
#[export] Hint Constants Opaque : hand.
Ltac known := match goal with H : ?P |- ?Q => constr_eq P Q; exact H end.
Ltac computed :=
  lazymatch goal with
  | |- rec_in_hand _ _ = true => fail
  | |- in_hand _ _ = true => fail
  | |- under_lock _ _ = true => fail
  | |- _ => reflexivity
  end.
Ltac discharge :=
  rewrite ?andb_true_iff; repeat match goal with |- _ /\ _ => split end; try first [known | solve [auto with hand] | computed].

Ltac step :=
  lazymatch goal with
  | |- bind (prim_sem ?p ?args) ?k ?s = _ =>
      let r := eval cbv beta iota delta [prim_sem] in (prim_sem p args s) in
      lazymatch r with
      | guarded ?g (?vs, ?s') =>
          apply (bind_prim p args k s g vs s' _ eq_refl); [tidy | discharge]
      | _ => fail "primitive" p "has no definition, or another number of arguments:" args
      end
  end.

(* One call, by a theorem core f args s = Some (..); conditions that are not found come first. *)
Lemma bind_call {A B} (m : M state A) (k : A -> M state B) s a s' r :
  m s = Some (a, s') -> k a s' = r -> bind m k s = r.
Proof. unfold bind. by intros ->. Qed.
Ltac use H := eapply bind_call; [apply H; discharge | tidy].

Lemma in_range_ok len i : 0 <= i < len -> in_range len i = true.
Proof. unfold in_range. lia. Qed.

(* ---- What leaves a REC in hand ---- *)

Lemma hand_same r s s' :
  gran s' = gran s -> held s' = held s -> runs s' = runs s -> rec_in_hand r s' = rec_in_hand r s.
Proof. intros Hg Hh Hr. unfold rec_in_hand, has_state, under_lock, tracked, granule_at, holds. by rewrite Hg, Hh, Hr. Qed.

Lemma hand_rec_set f r rec i v s :
  f <> REC_running -> rec_in_hand r s = true -> rec_in_hand r (rec_set f rec i v s) = true.
Proof. intros Hf <-. apply hand_same; by destruct f. Qed.
Lemma hand_el1_set r rec i v s : rec_in_hand r s = true -> rec_in_hand r (el1_set rec i v s) = true.
Proof. intros <-. unfold el1_set. destruct (loaded s =? rec); by apply hand_same. Qed.
Lemma hand_run_out r f i v s : rec_in_hand r s = true -> rec_in_hand r (run_out f i v s) = true.
Proof. exact id. Qed.
Lemma hand_counted r i n s : rec_in_hand r s = true -> rec_in_hand r (counted i n s) = true.
Proof. exact id. Qed.
Lemma hand_clock r n s : rec_in_hand r s = true -> rec_in_hand r (with_clock n s) = true.
Proof. exact id. Qed.
Lemma hand_logged r l s : rec_in_hand r s = true -> rec_in_hand r (with_logged l s) = true.
Proof. exact id. Qed.
Lemma hand_counters r l s : rec_in_hand r s = true -> rec_in_hand r (with_counters l s) = true.
Proof. exact id. Qed.
Lemma hand_if r (c : bool) s1 s2 :
  rec_in_hand r s1 = true -> rec_in_hand r s2 = true -> rec_in_hand r (if c then s1 else s2) = true.
Proof. by destruct c. Qed.
#[export] Hint Resolve hand_rec_set hand_el1_set hand_run_out hand_counted hand_clock hand_logged hand_counters hand_if : hand.
#[export] Hint Extern 1 (_ <> REC_running) => discriminate : hand.
