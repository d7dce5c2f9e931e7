(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: creating RECs *)
From kcore Require Export refine.MeasureRefine refine.GranuleRefine spec.RecObject.
From kcore Require Import refine.Steps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem rec_mpidr_index_ok m s : core "rec_mpidr_index" [m] s = Some ([mpidr_index m], s).
Proof. enter f_rec_mpidr_index. reflexivity. Qed.

Theorem rec_vmpidr_ok m s : core "rec_vmpidr" [m] s = Some ([vmpidr m], s).
Proof.
  enter f_rec_vmpidr. unfold vmpidr.
  assert (0 <= Z.land m 4278190080 < 2 ^ 32) by (rewrite Z.land_comm; apply land_range; lia).
  rewrite Z.shiftl_mul_pow2, wrap_small by lia. change (2 ^ 8) with 256. rewrite (Z.mul_comm _ 256). reflexivity.
Qed.

Lemma scratch_rec_set pa f i v s0 s : f <> REC_running -> scratch pa s0 s -> scratch pa s0 (rec_set f pa i v s).
Proof.
  intros Hf H. apply (scratch_trans _ _ _ _ H).
  replace (rec_set f pa i v s) with (put_word pa (rec_word f i) v s) by (by destruct f).
  split; [reflexivity|]. intros t Ht. by apply page_set_page.
Qed.
Ltac scratch_rec_more :=
  lazymatch goal with
  | |- scratch ?p ?s0 (rec_set ?f ?p ?i ?v ?s) => refine (scratch_rec_set p f i v s0 s _ _); [discriminate | scratch_now]
  end.
Ltac scratch_more ::= scratch_rec_more.

(* Registers of a REC that no CPU has loaded are those that are saved. *)
Lemma not_loaded pa rec i v s0 s : scratch pa s0 s -> loaded s0 <> rec -> el1_set rec i v s = rec_set REC_el1 rec i v s.
Proof.
  intros [E _] N. unfold el1_set. rewrite E at 1. cbn [loaded with_digest with_hash_page with_mem].
  by rewrite (proj2 (Z.eqb_neq _ _) N).
Qed.

Theorem rec_fill_ok rd rec index flags s :
  in_hand rd s = true -> rec_in_hand rec s = true -> loaded s <> rec ->
  core "rec_fill" [rd; rec; index; flags] s = Some ([], rec_filled rd rec index flags s).
Proof.
  intros H Hr N. unfold rec_filled, each. enter f_rec_fill.
  step. step. step. step. step. after rec_vmpidr_ok. step.
  assert (S0 : scratch rec s s) by apply scratch_refl.
  step. step. step. step. step. step. step.
  words (fun i s => rec_set REC_gpr rec i (param (REC_GPRS + i) s) s) rec s.
  { rewrite Z.shiftl_mul_pow2, (wrap_small (i * 2 ^ 3)), wrap_small by lia. change (2 ^ 3) with 8.
    assert (E8 : (768 + i * 8) / 8 = REC_GPRS + i)
      by (replace (768 + i * 8) with ((96 + i) * 8) by lia; rewrite Z.div_mul by lia; reflexivity).
    step; [rewrite E8; replace (768 + i * 8) with ((96 + i) * 8) by lia; rewrite Z.mod_mul by lia; unfold REC_GPRS; discharge|].
    rewrite E8. step. next_word next. }
  step. step.
  step. rewrite (not_loaded rec _ _ _ s) by scratch_now.
  step. rewrite (not_loaded rec _ _ _ s) by scratch_now.
  step. rewrite (not_loaded rec _ _ _ s) by scratch_now.
  reflexivity.
Qed.

(* ---- A DELEGATED granule that becomes a REC ---- *)

Lemma hand_with_owner q pa st owner s :
  q <> pa -> in_hand q s = true -> in_hand q (with_owner pa st owner s) = true.
Proof.
  intros N <-. apply in_hand_same; [cbn; by apply lookup_insert_ne|reflexivity|]. unfold with_owner. cbn [places with_places].
  destruct (st =? GS_RTT); [destruct (place_of _ _ _); [by apply lookup_insert_ne|done]|by apply lookup_delete_ne].
Qed.
Lemma claimed_with_owner pa st owner s :
  holds (LGranule pa) s = true -> under_lock pa (with_owner pa st owner s) = true.
Proof.
  intros H. unfold under_lock, tracked, holds, with_owner. cbn. rewrite lookup_insert. unfold holds in H. by rewrite H.
Qed.

Lemma scratch_page pa q s s' : scratch pa s s' -> forall i, q <> pa -> word (mem s') q i = word (mem s) q i.
Proof. intros [_ H] i N. unfold word. by rewrite H. Qed.

Lemma scratch_filled rd rec index flags s0 s : scratch rec s0 s -> scratch rec s0 (rec_filled rd rec index flags s).
Proof. intros H. unfold rec_filled, each. scratch_now. Qed.

Theorem rec_create_locked_ok rd rec s :
  in_hand rd s = true -> holds (LGranule rec) s = true -> has_state GS_DELEGATED rec s = true -> places s !! rec = None ->
  rd <> rec -> loaded s <> rec -> first_taken (held s) = LGranule rd ->
  core "rec_create_locked" [rd; rec] s =
  Some ([create_check rd s], if create_check rd s =? RMI_SUCCESS then rec_created rd rec s else s).
Proof.
  intros H Hc Hd Np N Nl Hf. enter f_rec_create_locked. unfold create_check. step. step. step. step. step.
  change (256 / 8) with REC_MPIDR. change (0 / 8) with REC_FLAGS.
  fold (param REC_MPIDR s) (param REC_FLAGS s). unfold RECS_LIMIT.
  destruct ((1023 <=? rd_get RD_rec_count rd 0 s) || negb (rd_get RD_state rd 0 s =? 0)).
  { after error_realm_ok; [lia|reflexivity]. }
  step. destruct (rd_get RD_max_vcpus rd 0 s <=? rd_get RD_rec_index rd 0 s); [reflexivity|].
  after rec_mpidr_index_ok. change (ones U64 - MPIDR_MASK) with 18446744069414584560.
  destruct (negb (Z.land (param REC_MPIDR s) 18446744069414584560 =? 0) ||
    negb (mpidr_index (param REC_MPIDR s) =? rd_get RD_rec_index rd 0 s)); [reflexivity|].
  assert (Ht : under_lock rec s = true).
  { unfold under_lock, tracked. unfold has_state in Hd. destruct (gran s !! rec); [|discriminate]. by rewrite Hc. }
  assert (Hg : g_state (granule_at s rec) = GS_DELEGATED).
  { unfold has_state in Hd. unfold granule_at. destruct (gran s !! rec); [|discriminate]. by apply Z.eqb_eq. }
  step; [unfold may_set, is_placed; rewrite Ht, Hg, Np, Hf; exact (Z.eqb_refl rd)|].
  assert (H1 : in_hand rd (with_owner rec GS_REC rd s) = true) by (by apply hand_with_owner).
  assert (H2 : rec_in_hand rec (with_owner rec GS_REC rd s) = true)
    by (unfold rec_in_hand, has_state; rewrite claimed_with_owner by exact Hc; cbn; by rewrite lookup_insert).
  change 3 with GS_REC.
  after rec_fill_ok; [exact H1|exact H2|exact Nl|].
  set (s1 := with_owner rec GS_REC rd s) in *.
  pose proof (scratch_filled rd rec (rd_get RD_rec_index rd 0 s) (param REC_FLAGS s) s1 s1 (scratch_refl _ _)) as S2.
  pose proof (scratch_hand rec rd _ _ S2 H1) as H3. clear S2.
  set (s2 := rec_filled _ _ _ _ _) in *.
  step. step. unfold rec_created. fold s1. fold s2.
  change (RMI_SUCCESS =? RMI_SUCCESS) with true. cbv iota zeta.
  destruct (Z.land (param REC_FLAGS s) 1 =? 0); cbn [negb]; [reflexivity|].
  after measure_rec_ok; [discharge|reflexivity].
Qed.
