(* SPDX-License-Identifier: Apache-2.0 *)
(* What is done while a page is pinned and locks are held does not depend on that: it is the same done without. *)
From kcore Require Export refine.MeasureRefine refine.GranuleRangeRefine spec.Hostmem.
From kcore Require Import refine.Steps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Definition under (g : gmap Z granule) (hl : list lock) (sh : bool) (s : state) : state := with_gran g (with_held hl sh s).

Section under.
  Context (g : gmap Z granule) (hl : list lock) (sh : bool).
  Notation u := (under g hl sh).

  Lemma each_under n (f : Z -> state -> state) s :
    (forall i s, f i (u s) = u (f i s)) -> each_below n f (u s) = u (each_below n f s).
  Proof. intros Hf. induction n as [|n IH]; [reflexivity|]. by rewrite !each_below_S, IH, Hf. Qed.
  Lemma put_under i v s : hash_put i v (u s) = u (hash_put i v s).
  Proof. reflexivity. Qed.
  Lemma cleared_under s : hash_cleared (u s) = u (hash_cleared s).
  Proof. reflexivity. Qed.
  Lemma hashed_under a n s : hashed a n (u s) = u (hashed a n s).
  Proof. reflexivity. Qed.
  Lemma param_under w m s : param_copied w m (u s) = u (param_copied w m s).
  Proof. reflexivity. Qed.
  Lemma rd_under f rd i v s : rd_set f rd i v (u s) = u (rd_set f rd i v s).
  Proof. reflexivity. Qed.
  Lemma rec_under f rec i v s : rec_set f rec i v (u s) = u (rec_set f rec i v s).
  Proof. by destruct f. Qed.
  Lemma digest_under w s : digest_put w (u s) = u (digest_put w s).
  Proof. unfold digest_put, each. by apply each_under. Qed.
  Lemma stored_under rd slot s : stored rd slot (u s) = u (stored rd slot s).
  Proof. unfold stored, each. by apply each_under. Qed.
  Lemma begun_under rd type s : begun rd type (u s) = u (begun rd type s).
  Proof. unfold begun, each. rewrite cleared_under, !put_under. by apply each_under. Qed.
  Lemma ended_under rd s : ended rd (u s) = u (ended rd s).
  Proof. unfold ended. change (algorithm rd (u s)) with (algorithm rd s). by rewrite hashed_under, stored_under. Qed.
  Lemma rec_measured_under rd s : rec_measured rd (u s) = u (rec_measured rd s).
  Proof.
    unfold rec_measured, each. change (algorithm rd (u s)) with (algorithm rd s).
    rewrite cleared_under, !param_under, each_under by reflexivity.
    by rewrite hashed_under, begun_under, digest_under, ended_under.
  Qed.
  Lemma policy_measured_under rd s : policy_measured rd (u s) = u (policy_measured rd s).
  Proof.
    unfold policy_measured. change (algorithm rd (u s)) with (algorithm rd s).
    rewrite cleared_under, each_under by reflexivity.
    rewrite hashed_under, begun_under, digest_under, each_under by reflexivity. by rewrite ended_under.
  Qed.
End under.

(* Measuring keeps everything but memory, the hash buffer and the digest. *)
Lemma scratch_kept pa s s' : scratch pa s s' ->
  gran s' = gran s /\ held s' = held s /\ shrinking s' = shrinking s /\ staled s' = staled s /\ others s' = others s.
Proof. intros [-> _]. split_and!; reflexivity. Qed.

(* Back to what it was: the state is itself again. *)
Lemma under_self s : under (gran s) (held s) (shrinking s) s = s.
Proof. by destruct s. Qed.

(* A pin may be taken back while nothing is left in TLBs. *)
Lemma bind_put {B} pa (k : list Z -> M state B) s r :
  pinned pa s = true -> staled s = [] -> k [] (page_unpinned pa s) = r -> bind (prim_sem P_ns_put [pa]) k s = r.
Proof. intros Hp Hst <-. unfold bind. cbn [prim_sem]. rewrite Hp, (had_none _ _ Hst). reflexivity. Qed.

(* ---- Locks and pins, one at a time ---- *)

Lemma bind_claim {B} pa (k : list Z -> M state B) s r :
  shrinking s = false -> holds LHost s = false ->
  (if claimable GS_DELEGATED pa s then k [1] (lock_taken (LGranule pa) s) else k [0] s) = r ->
  bind (prim_sem P_granule_claim [pa; 1]) k s = r.
Proof.
  intros Hs Hl <-. unfold bind. cbn [prim_sem]. rewrite Hs, Hl. change (claimable 1) with (claimable GS_DELEGATED).
  change (negb false && negb false && ((1 =? GS_NS) || (1 =? GS_DELEGATED))) with true. cbn [guarded].
  destruct (claimable GS_DELEGATED pa s); reflexivity.
Qed.

Lemma drop_under l ls g sh s :
  lock_dropped l (under g (l :: ls) sh s) = under g ls (match ls with [] => false | _ => true end) s.
Proof.
  assert (E : lock_eqb l l = true) by (destruct l; [apply Z.eqb_refl|reflexivity]).
  unfold lock_dropped, under. cbn [held with_gran with_held without]. rewrite E. reflexivity.
Qed.
Lemma holds_under l ls g sh s : holds l (under g (l :: ls) sh s) = true.
Proof.
  assert (E : lock_eqb l l = true) by (destruct l; [apply Z.eqb_refl|reflexivity]).
  unfold holds, under. cbn [held with_gran with_held existsb]. by rewrite E.
Qed.
(* What was taken last may always be given back. *)
Lemma in_order_last l ls s : held s = l :: ls -> in_order l s = true.
Proof.
  assert (E : lock_eqb l l = true) by (destruct l; [apply Z.eqb_refl|reflexivity]).
  intros H. unfold in_order. rewrite H. cbn [without]. rewrite E. destruct ls as [|x ls]; [reflexivity|].
  change (first_taken (l :: x :: ls)) with (first_taken (x :: ls)). destruct (first_taken (x :: ls)); [apply Z.eqb_refl|reflexivity].
Qed.
Lemma bind_release {B} pa (k : list Z -> M state B) ls g sh s r :
  k [] (under g ls (match ls with [] => false | _ => true end) s) = r ->
  bind (prim_sem P_granule_release [pa]) k (under g (LGranule pa :: ls) sh s) = r.
Proof. intros <-. unfold bind. cbn [prim_sem]. rewrite holds_under, (in_order_last _ ls) by reflexivity. cbn [guarded andb]. by rewrite drop_under. Qed.
Lemma bind_realm_unlock {B} rd (k : list Z -> M state B) ls g sh s r :
  staled s = [] -> k [] (under g ls (match ls with [] => false | _ => true end) s) = r ->
  bind (prim_sem P_realm_unlock [rd]) k (under g (LGranule rd :: ls) sh s) = r.
Proof.
  intros Hst <-. unfold bind. cbn [prim_sem]. rewrite holds_under, (in_order_last _ ls), ?Hst, ?bool_decide_eq_true_2 by (done || exact Hst).
  cbn [guarded andb]. by rewrite drop_under.
Qed.

Lemma bind_pin {B} pa (k : list Z -> M state B) s r :
  (if pinnable pa s then k [1] (page_pinned pa s) else k [0] s) = r -> bind (prim_sem P_ns_get [pa]) k s = r.
Proof.
  intros <-. unfold bind. cbn [prim_sem guarded]. fold (pinnable pa s). destruct (pinnable pa s); reflexivity.
Qed.

(* A pin changes the count alone. *)
Lemma has_state_pinned st q pa s : is_Some (gran s !! pa) -> has_state st q (page_pinned pa s) = has_state st q s.
Proof.
  intros [x Hx]. unfold has_state, page_pinned, with_refs, set_granule, granule_at. cbn [gran with_gran].
  destruct (decide (pa = q)) as [->|N]; [rewrite lookup_insert, Hx; reflexivity|by rewrite lookup_insert_ne].
Qed.
Lemma claimable_pinned st q pa s : is_Some (gran s !! pa) -> claimable st q (page_pinned pa s) = claimable st q s.
Proof. intros H. unfold claimable. rewrite has_state_pinned by exact H. reflexivity. Qed.
Lemma pinnable_some pa s : pinnable pa s = true -> exists x, gran s !! pa = Some x /\ g_state x = GS_NS.
Proof.
  intros [[Hs _]%andb_true_iff _]%andb_true_iff. unfold has_state in Hs. destruct (gran s !! pa) as [x|]; [|discriminate].
  exists x. split; [reflexivity|]. by apply Z.eqb_eq.
Qed.
Lemma pinned_page p s x : gran s !! p = Some x -> g_state x = GS_NS -> 0 <= g_refs x -> pinned p (page_pinned p s) = true.
Proof.
  intros Hx Hs Hr. unfold pinned, page_pinned, with_refs, set_granule, granule_at. cbn [gran with_gran].
  rewrite lookup_insert, Hx. cbn. rewrite Hs. apply Z.ltb_lt. lia.
Qed.
