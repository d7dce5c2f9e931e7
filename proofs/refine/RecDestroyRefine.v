(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: RMI_REC_DESTROY. *)
From kcore Require Export refine.Pins.
From kcore Require Export refine.RecLockRefine.
From kcore Require Export spec.RecDestroy.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* A REC is reached by nobody, whatever its realm's RD says by now. *)
Lemma rec_scrubbable rd rec i v s :
  inv s -> has_state GS_REC rec s = true -> has_state GS_RD rd s = true -> staled s = [] -> under_lock rec s = true ->
  may_zero rec (put_word rd i v s) = true.
Proof.
  intros I (x & Hx & Hs)%has_state_inv (y & Hy & Hd)%has_state_inv Hst H. unfold may_zero. apply andb_true_iff. split; [apply andb_true_iff; split|].
  - exact H.
  - apply (not_hosts_unreachable s _ rec x); try done; try (rewrite Hs; done).
    intros t r Hr. apply page_set_page. intros ->. pose proof (i_host _ I _ _ _ Hy Hr) as E. rewrite Hd in E. done.
  - destruct (nobodys_unreached s rec x) as [N _]; try done; try (rewrite Hs; done).
    apply (unreached_frame s); try done.
    + apply had_none. exact Hst.
    + intros t (z & Hz & Ht)%has_state_inv. apply page_set_page. intros ->. rewrite Hy in Hz. injection Hz as <-. rewrite Hd in Ht. done.
Qed.

Lemma gone_locked rd rec r i v s :
  scrubbed rec (put_word rd i v (locked r s)) = locked r (scrubbed rec (put_word rd i v s)).
Proof. reflexivity. Qed.

Theorem rec_destroy_ok rec s :
  inv s -> idle s -> core "rec_destroy" [rec] s = Some ([fst (destroy_rec rec s)], snd (destroy_rec rec s)).
Proof.
  intros I (Hh & Hs & Hst). enter f_rec_destroy. use rec_lock_owner_ok. unfold destroy_rec, lock_owner.
  destruct (owner_found rec s) eqn:Ef; cbn [fst snd negb]; [|reflexivity].
  pose proof Ef as [N%negb_true_iff Hrd]%andb_true_iff. rewrite N. apply Z.eqb_neq in N. cbv iota.
  assert (R : has_state GS_REC rec s = true) by (unfold rec_owner in N; destruct (has_state GS_REC rec s); done).
  pose proof (hand_owned (rec_owner rec s) rec s R eq_refl N) as H.
  set (rd := rec_owner rec s) in *. pose proof (hand_realm _ _ Hrd) as Hd. step.
  change (rec_get REC_running rec 0 (locked rd s)) with (rec_get REC_running rec 0 s).
  destruct (rec_get REC_running rec 0 s =? 0); cbn [negb fst snd].
  2:{ apply bind_unlock; [exact Hh|exact Hs|exact Hst|]. reflexivity. }
  step. step.
  assert (I' : inv (locked rd s)) by (by apply (inv_same s)).
  assert (Hin : under_lock rec (locked rd s) = true).
  { apply (owned_under GS_REC rec rd); [exact I'|exact Hrd|unfold holds; cbn; by rewrite Z.eqb_refl|exact R|].
    unfold rd, rec_owner. rewrite R. reflexivity. }
  unfold rec_gone, rd_set. change (rd_get RD_rec_count rd 0 (locked rd s)) with (rd_get RD_rec_count rd 0 s).
  eapply bind_call.
  { apply granule_scrub_ok; [by apply rec_scrubbable|].
    apply has_state_inv in R as (x & Hx & E). unfold has_state. change (gran (put_word _ _ _ (locked rd s))) with (gran s). rewrite Hx, E. reflexivity. }
  tidy. rewrite gone_locked. apply bind_unlock; [exact Hh|exact Hs|exact Hst|]. reflexivity.
Qed.
