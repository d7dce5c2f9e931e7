(* SPDX-License-Identifier: Apache-2.0 *)
(* What is in hand: an object whose lock is held, and not a realm's table. *)
From kcore Require Export machine.Machine.
Local Open Scope Z_scope.

Lemma hand_under pa s : in_hand pa s = true -> under_lock pa s = true.
Proof. unfold in_hand. by intros [H _]%andb_true_iff. Qed.
Lemma object_hand st pa s : has_state st pa s = true -> st <> GS_RTT -> st <> GS_DELEGATED -> under_lock pa s = true ->
  in_hand pa s = true.
Proof.
  unfold in_hand, has_state. intros H N1 N2 ->. destruct (gran s !! pa) as [g|]; [|done]. apply Z.eqb_eq in H as ->.
  rewrite (proj2 (Z.eqb_neq _ _) N1), (proj2 (Z.eqb_neq _ _) N2), andb_false_r. done.
Qed.
Lemma unplaced_hand pa s : places s !! pa = None -> under_lock pa s = true -> in_hand pa s = true.
Proof. unfold in_hand, is_placed. by intros -> ->. Qed.
Lemma claimed_under pa s : tracked s pa = true -> holds (LGranule pa) s = true -> under_lock pa s = true.
Proof. unfold under_lock. by intros -> ->. Qed.

(* It depends on the granule table, the locks, and where tables are. *)
Lemma under_same q s s' : gran s' !! q = gran s !! q -> held s' = held s -> under_lock q s' = under_lock q s.
Proof. intros Hg Hh. unfold under_lock, tracked, granule_at, holds. by rewrite Hg, Hh. Qed.
Lemma in_hand_same q s s' : gran s' !! q = gran s !! q -> held s' = held s -> places s' !! q = places s !! q ->
  in_hand q s' = in_hand q s.
Proof. intros Hg Hh Hp. unfold in_hand, is_placed, has_state. rewrite (under_same q s s') by done. by rewrite Hg, Hp. Qed.
(* References do not matter. *)
Lemma under_refs q s s' : held s' = held s ->
  match gran s !! q with Some x => exists r, gran s' !! q = Some (Gran (g_state x) (g_owner x) r) | None => gran s' !! q = None end ->
  under_lock q s' = under_lock q s.
Proof.
  intros Hh H. unfold under_lock, tracked, granule_at, holds. rewrite Hh. destruct (gran s !! q) as [x|].
  - by destruct H as [r ->].
  - by rewrite H.
Qed.
Lemma in_hand_refs q s s' : held s' = held s -> places s' !! q = places s !! q ->
  match gran s !! q with Some x => exists r, gran s' !! q = Some (Gran (g_state x) (g_owner x) r) | None => gran s' !! q = None end ->
  in_hand q s' = in_hand q s.
Proof.
  intros Hh Hp H. unfold in_hand, is_placed, has_state. rewrite (under_refs q s s'), Hp by done. destruct (gran s !! q) as [x|].
  - by destruct H as [r ->].
  - by rewrite H.
Qed.
