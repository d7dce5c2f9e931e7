(* SPDX-License-Identifier: Apache-2.0 *)
(* Sums over finite maps, and counting in lists. *)
From stdpp Require Import base gmap list.
From Coq Require Import ZArith Lia.
Local Open Scope Z_scope.

Definition sum_map {A} (f : Z -> A -> Z) (m : gmap Z A) : Z := map_fold (fun k a n => f k a + n) 0 m.

Lemma sum_fresh {A} (f : Z -> A -> Z) m k x : m !! k = None -> sum_map f (<[k := x]> m) = f k x + sum_map f m.
Proof. intros H. unfold sum_map. rewrite map_fold_insert_L; [done| |done]. intros. lia. Qed.
Lemma sum_delete {A} (f : Z -> A -> Z) m k x : m !! k = Some x -> sum_map f m = f k x + sum_map f (delete k m).
Proof. intros H. rewrite <- (insert_delete m k x) at 1 by done. by rewrite sum_fresh by apply lookup_delete. Qed.
Lemma sum_insert {A} (f : Z -> A -> Z) m k x y :
  m !! k = Some x -> sum_map f (<[k := y]> m) = sum_map f m - f k x + f k y.
Proof.
  intros H. rewrite <- insert_delete_insert, sum_fresh by apply lookup_delete. rewrite (sum_delete f m k x H). lia.
Qed.
Lemma sum_ext {A} (f g : Z -> A -> Z) m : (forall k a, m !! k = Some a -> f k a = g k a) -> sum_map f m = sum_map g m.
Proof.
  revert f g. induction m as [|k x m H IH] using map_ind; intros f g E; [done|].
  rewrite !sum_fresh by done. rewrite (E k x) by apply lookup_insert. rewrite (IH f g); [done|].
  intros k' a Ha. apply E. rewrite lookup_insert_ne; [done|]. congruence.
Qed.
Lemma sum_nonneg {A} (f : Z -> A -> Z) m : (forall k a, m !! k = Some a -> 0 <= f k a) -> 0 <= sum_map f m.
Proof.
  induction m as [|k x m H IH] using map_ind; intros E; [done|].
  rewrite sum_fresh by done. pose proof (E k x (lookup_insert _ _ _)). enough (0 <= sum_map f m) by lia.
  apply IH. intros k' a Ha. apply E. rewrite lookup_insert_ne; [done|]. congruence.
Qed.
Lemma sum_term {A} (f : Z -> A -> Z) m k x :
  (forall k a, m !! k = Some a -> 0 <= f k a) -> m !! k = Some x -> f k x <= sum_map f m.
Proof.
  intros E H. rewrite (sum_delete f m k x H). enough (0 <= sum_map f (delete k m)) by lia.
  apply sum_nonneg. intros k' a Ha. apply E. by apply lookup_delete_Some in Ha as [_ ?].
Qed.

(* Only what each key adds matters. *)
Definition term {A} (f : Z -> A -> Z) (m : gmap Z A) (k : Z) : Z := match m !! k with Some x => f k x | None => 0 end.
Lemma sum_split {A} (f : Z -> A -> Z) m k : sum_map f m = term f m k + sum_map f (delete k m).
Proof.
  unfold term. destruct (m !! k) eqn:E; [by apply sum_delete|]. by rewrite delete_notin.
Qed.
Lemma sum_zero {A} (f : Z -> A -> Z) m : (forall k, term f m k = 0) -> sum_map f m = 0.
Proof.
  induction m as [|k x m H IH] using map_ind; intros E; [done|].
  rewrite sum_fresh by done. pose proof (E k) as Ek. unfold term in Ek. rewrite lookup_insert in Ek.
  rewrite Ek, IH; [done|]. intros k'. destruct (decide (k = k')) as [<-|Hne].
  - unfold term. by rewrite H.
  - specialize (E k'). unfold term in *. by rewrite lookup_insert_ne in E.
Qed.
Lemma sum_agree {A} (f g : Z -> A -> Z) m n : (forall k, term f m k = term g n k) -> sum_map f m = sum_map g n.
Proof.
  revert n. induction m as [|k x m H IH] using map_ind; intros n E.
  - rewrite (sum_zero g n); [done|]. intros k. by rewrite <- E.
  - rewrite sum_fresh by done. rewrite (sum_split g n k), <- E. unfold term at 1. rewrite lookup_insert.
    f_equal. apply IH. intros k'. destruct (decide (k = k')) as [<-|Hne].
    + unfold term. by rewrite H, lookup_delete.
    + specialize (E k'). unfold term in *. rewrite lookup_insert_ne in E by done. by rewrite lookup_delete_ne.
Qed.

(* ---- Counting ---- *)

Definition count {A} (f : A -> bool) (l : list A) : Z := Z.of_nat (length (List.filter f l)).
Lemma count_app {A} (f : A -> bool) l k : count f (l ++ k) = count f l + count f k.
Proof. unfold count. rewrite List.filter_app, length_app. lia. Qed.
Lemma count_cons {A} (f : A -> bool) x l : count f (x :: l) = (if f x then 1 else 0) + count f l.
Proof. unfold count. simpl. destruct (f x); simpl length; lia. Qed.
Lemma count_range {A} (f : A -> bool) l : 0 <= count f l <= Z.of_nat (length l).
Proof. unfold count. induction l; simpl; [lia|]. destruct (f a); simpl length; lia. Qed.
Lemma count_insert {A} (f : A -> bool) (l : list A) i x y :
  l !! i = Some x -> count f (<[i := y]> l) = count f l - (if f x then 1 else 0) + (if f y then 1 else 0).
Proof.
  revert i. induction l as [|z l IH]; intros i H; [done|].
  destruct i as [|i]; simpl in *.
  - injection H as ->. rewrite !count_cons. lia.
  - rewrite !count_cons, IH by done. lia.
Qed.
Lemma count_pos {A} (f : A -> bool) (l : list A) i x : l !! i = Some x -> f x = true -> 1 <= count f l.
Proof.
  intros H Hf. apply elem_of_list_lookup_2, elem_of_list_split in H as (a & b & ->).
  rewrite count_app, count_cons, Hf. pose proof (count_range f a). pose proof (count_range f b). lia.
Qed.
Lemma count_none {A} (f : A -> bool) (l : list A) : count f l = 0 <-> forall x, x ∈ l -> f x = false.
Proof.
  split.
  - intros H x Hx. destruct (f x) eqn:E; [|done]. apply elem_of_list_lookup in Hx as [i Hi].
    pose proof (count_pos f l i x Hi E). lia.
  - intros H. induction l as [|x l IH]; [done|]. rewrite count_cons, (H x) by left.
    rewrite IH; [lia|]. intros. apply H. by right.
Qed.
Lemma count_all {A} (f : A -> bool) (l : list A) : count f l = Z.of_nat (length l) <-> forall x, x ∈ l -> f x = true.
Proof.
  induction l as [|x l IH]; [split; [intros _ y Hy; by apply elem_of_nil in Hy|done]|].
  rewrite count_cons. pose proof (count_range f l). simpl length. split.
  - intros H'. destruct (f x) eqn:E; [|lia]. assert (count f l = Z.of_nat (length l)) as Hl by lia.
    intros y [->|Hy]%elem_of_cons; [done|]. by apply IH.
  - intros H'. rewrite (H' x) by left. rewrite (proj2 IH); [lia|]. intros. apply H'. by right.
Qed.
