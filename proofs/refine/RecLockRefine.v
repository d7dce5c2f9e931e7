(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: locking the realm of a REC. *)
From kcore Require Export refine.RecSteps spec.RecLock.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- A realm's lock ---- *)

Notation locked rd s := (lock_taken (LGranule rd) s).

Lemma bind_lock {B} rd (k : list Z -> M state B) s r :
  shrinking s = false -> held s = [] ->
  (if has_state GS_RD rd s then k [1] (locked rd s) else k [0] s) = r ->
  bind (prim_sem P_realm_lock [rd]) k s = r.
Proof.
  intros Hs Hh <-. unfold bind. cbn [prim_sem]. rewrite Hs, Hh, bool_decide_eq_true_2 by reflexivity.
  unfold guarded. destruct (has_state GS_RD rd s); reflexivity.
Qed.

Lemma bind_unlock {B} rd (k : list Z -> M state B) s r :
  held s = [] -> shrinking s = false -> staled s = [] -> k [] s = r ->
  bind (prim_sem P_realm_unlock [rd]) k (locked rd s) = r.
Proof.
  intros Hh Hs Hst <-. destruct s. simpl in Hh, Hs, Hst. subst. unfold bind. cbn [prim_sem guarded].
  unfold holds, in_order, lock_dropped, lock_taken, with_held. cbn. rewrite Z.eqb_refl, ?bool_decide_eq_true_2 by reflexivity.
  reflexivity.
Qed.

Lemma hand_realm rd s : has_state GS_RD rd s = true -> in_hand rd (locked rd s) = true.
Proof.
  intros H. apply (object_hand GS_RD); [exact H|discriminate..|].
  unfold has_state, under_lock, tracked, holds in *. cbn. destruct (gran s !! rd); [|discriminate]. by rewrite Z.eqb_refl.
Qed.
Lemma hand_owned rd rec s :
  has_state GS_REC rec s = true -> rec_owner rec s = rd -> rd <> 0 -> rec_in_hand rec (locked rd s) = true.
Proof.
  unfold rec_owner. intros H. rewrite H. intros Ho Hn. unfold rec_in_hand, under_lock.
  change (has_state GS_REC rec (locked rd s)) with (has_state GS_REC rec s). rewrite H. cbn [andb].
  assert (Ht : tracked (locked rd s) rec = true).
  { unfold has_state in H. unfold tracked. cbn. destruct (gran s !! rec); [reflexivity|discriminate]. }
  rewrite Ht. change (granule_at (locked rd s) rec) with (granule_at s rec). rewrite Ho.
  rewrite (proj2 (Z.eqb_neq rd 0) Hn). unfold holds. cbn. rewrite Z.eqb_refl, orb_true_r. reflexivity.
Qed.
Lemma hand_locked r rd s : rec_in_hand r s = true -> rec_in_hand r (locked rd s) = true.
Proof.
  unfold rec_in_hand, under_lock, holds. cbn. change (has_state GS_REC r (locked rd s)) with (has_state GS_REC r s).
  change (tracked (locked rd s) r) with (tracked s r). change (granule_at (locked rd s) r) with (granule_at s r).
  intros [-> [[Ht [Hh|[Hn Hh]%andb_true_iff]%orb_true_iff]%andb_true_iff|Hr]%orb_true_iff]%andb_true_iff; apply orb_true_iff.
  - left. rewrite Ht, Hh, !orb_true_r. reflexivity.
  - left. rewrite Ht, Hn, Hh, !orb_true_r. reflexivity.
  - right. exact Hr.
Qed.
Lemma current_hand rec s : current rec s -> rec_in_hand rec s = true.
Proof.
  intros [Hr R Hn _ _ _ _ _]. unfold rec_in_hand. rewrite R, Hr, Z.eqb_refl, (proj2 (Z.eqb_neq rec 0) Hn). apply orb_true_r.
Qed.
#[export] Hint Resolve hand_realm hand_locked current_hand c_held c_growing c_clean c_realm : hand.

(* ---- The functions ---- *)

Theorem rec_lock_owner_ok rec s :
  held s = [] -> shrinking s = false ->
  core "rec_lock_owner" [rec] s = Some ([fst (lock_owner rec s)], snd (lock_owner rec s)).
Proof.
  intros Hh Hs. unfold lock_owner, owner_found. enter f_rec_lock_owner. step. fold (rec_owner rec s).
  change (has_state 3) with (has_state GS_REC). fold (rec_owner rec s).
  destruct (rec_owner rec s =? 0) eqn:E0; [reflexivity|].
  apply bind_lock; [exact Hs|exact Hh|].
  destruct (has_state GS_RD (rec_owner rec s) s); tidy; [|reflexivity].
  step. change (has_state 3 rec (locked (rec_owner rec s) s)) with (has_state GS_REC rec s).
  change (granule_at (locked (rec_owner rec s) s) rec) with (granule_at s rec). fold (rec_owner rec s).
  rewrite Z.eqb_refl. reflexivity.
Qed.

Theorem rec_lock_realm_ok rec s :
  current rec s -> core "rec_lock_realm" [rec] s = Some ([realm_of rec s], locked (realm_of rec s) s).
Proof.
  intros C. enter f_rec_lock_realm. step. apply bind_lock; [apply C|apply C|].
  change (rec_get REC_rd rec 0 s) with (realm_of rec s). rewrite (c_realm _ _ C). reflexivity.
Qed.
