(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: the end of a run. *)
From kcore Require Export refine.ExitRefine refine.VgicRunRefine spec.ExitLeave.
From kcore Require Import refine.UnderFacts.
From kcore Require Import refine.RsiRefine.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma splice_before at_ new l i :
  (Z.to_nat at_ <= length l)%nat -> 0 <= i < at_ -> nth_word (splice at_ new l) i = nth_word l i.
Proof.
  unfold nth_word, splice. intros Hl Hi. rewrite !nth_lookup, lookup_app_l by (rewrite length_take; lia).
  by rewrite lookup_take by lia.
Qed.
Lemma splice_long at_ new l : (Z.to_nat at_ <= length l)%nat -> (Z.to_nat at_ <= length (splice at_ new l))%nat.
Proof. intros. unfold splice. rewrite length_app, length_take. lia. Qed.

(* The EL1 registers and what follows come back into the REC; what it is, before them, stays. *)
Lemma unloaded_word rec s i :
  mem_ok (mem s) -> 0 <= i < rec_off REC_el1 -> word (mem (rec_unloaded rec s)) rec i = word (mem s) rec i.
Proof.
  intros Hm Hi. pose proof (page_ok _ rec Hm) as Hp. unfold is_page in Hp. unfold rec_unloaded, word. cbn [mem put_page with_mem].
  change (mem (with_loaded 0 [] s)) with (mem s). rewrite page_insert_same.
  assert (Z.to_nat (rec_off REC_el1) <= Z.to_nat (rec_off REC_ich_hcr))%nat by (apply Nat.leb_le; vm_compute; reflexivity).
  assert (Z.to_nat (rec_off REC_ich_hcr) <= length (page (mem s) rec))%nat by (rewrite Hp; apply Nat.leb_le; vm_compute; reflexivity).
  rewrite splice_before; [|eapply Nat.le_trans; [|apply splice_long]; eassumption|exact Hi].
  apply splice_before; [assumption|]. assert (rec_off REC_el1 <= rec_off REC_ich_hcr) by (vm_compute; discriminate). lia.
Qed.

Lemma current_unloaded rec s : mem_ok (mem s) -> current rec s -> current rec (rec_unloaded rec s).
Proof.
  intros Hm [C1 C2 C3 C4 C5 C6 C7 C8].
  assert (E1 : realm_of rec (rec_unloaded rec s) = realm_of rec s) by (apply unloaded_word; [exact Hm|by vm_compute]).
  assert (E2 : rec_get REC_run_page rec 0 (rec_unloaded rec s) = rec_get REC_run_page rec 0 s)
    by (apply unloaded_word; [exact Hm|by vm_compute]).
  constructor; rewrite ?E1, ?E2; assumption.
Qed.

Lemma kept_timers_told rec s0 s : kept rec s0 s -> kept rec s0 (timers_told rec s).
Proof. intros. unfold timers_told, tick. auto 12 with kept. Qed.
#[export] Hint Resolve kept_timers_told : kept.

Lemma hand_put_page r pa l s : rec_in_hand r s = true -> rec_in_hand r (put_page pa l s) = true.
Proof. exact id. Qed.
#[export] Hint Resolve hand_put_page : hand.

Lemma put_page_locked pa l rd s : put_page pa l (locked rd s) = locked rd (put_page pa l s).
Proof. reflexivity. Qed.

Lemma pinned_locked p rd s : pinned p (locked rd s) = pinned p s.
Proof. reflexivity. Qed.

Theorem exit_leave_ok rec s :
  mem_ok (mem s) -> current rec s -> loaded s = rec -> core "exit_leave" [rec] s = Some ([], run_over rec s).
Proof.
  intros Hm C Hl. pose proof (current_hand _ _ C) as H.
  pose proof (current_unloaded _ _ Hm C) as C1. pose proof (current_hand _ _ C1) as H1.
  assert (C2 : current rec (gic_shown rec (rec_unloaded rec s))) by (eapply kept_current; [|exact C1]; auto with kept).
  pose proof (current_hand _ _ C2) as H2.
  assert (K3 : kept rec (rec_unloaded rec s) (timers_told rec (gic_shown rec (rec_unloaded rec s)))) by auto with kept.
  pose proof (kept_current _ _ _ K3 C1) as C3.
  assert (Ep : rec_get REC_run_page rec 0 (timers_told rec (gic_shown rec (rec_unloaded rec s))) = rec_get REC_run_page rec 0 s).
  { rewrite (k_page _ _ _ K3). apply unloaded_word; [exact Hm|by vm_compute]. }
  assert (HL : (loaded s =? rec) = true) by (by apply Z.eqb_eq).
  assert (HN : negb (rec =? 0) = true) by (apply negb_true_iff, Z.eqb_neq, (c_some _ _ C)).
  pose proof (c_rec _ _ C) as HR. unfold run_over. enter f_exit_leave. step. step. use vgic_report_ok. use vtimer_report_ok.
  pose proof (c_page _ _ C3) as Hpin. rewrite Ep in Hpin. clear Ep K3 H1 C1 H2 C2.
  generalize dependent (timers_told rec (gic_shown rec (rec_unloaded rec s))). generalize (rec_get REC_run_page rec 0 s).
  clear. intros p s C Hpin. pose proof (current_hand _ _ C) as H. use rec_lock_realm_ok. rewrite <- (pinned_locked p (realm_of rec s) s) in Hpin.
  step. rewrite put_page_locked. step. rewrite rec_set_locked. step. rewrite rec_set_locked.
  rewrite pinned_locked in Hpin.
  change (mem (locked (realm_of rec s) s)) with (mem s). change (run (locked (realm_of rec s) s)) with (run s).
  apply bind_unlock; [exact (c_held _ _ C)|exact (c_growing _ _ C)|exact (c_clean _ _ C)|].
  apply bind_put; [exact Hpin|exact (c_clean _ _ C)|]. reflexivity.
Qed.
