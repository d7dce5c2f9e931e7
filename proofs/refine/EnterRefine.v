(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: RMI_REC_ENTER. *)
From kcore Require Export refine.ExitRefine refine.VgicRunRefine refine.IpaRefine refine.GranuleRefine refine.RsiRefine.
From kcore Require Export spec.Enter.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem enter_sea_ok_ok rec rd s :
  rec_in_hand rec s = true -> in_hand rd s = true ->
  core "enter_sea_ok" [rec; rd] s = Some ([b2z (sea_allowed rec rd s)], s).
Proof. intros H Hr. enter f_enter_sea_ok. do 2 step. use ipa_in_par_ok. reflexivity. Qed.

Theorem enter_mmio_ok_ok rec s :
  rec_in_hand rec s = true -> core "enter_mmio_ok" [rec] s = Some ([b2z (mmio_allowed rec s)], s).
Proof. intros H. enter f_enter_mmio_ok. step. reflexivity. Qed.

Theorem enter_check_ok rec rd s :
  rec_in_hand rec s = true -> in_hand rd s = true ->
  core "enter_check" [rec; rd] s = Some ([enter_status rec rd s], s).
Proof.
  intros H Hr. enter f_enter_check. do 4 step. unfold enter_status, REALM_NEW, REALM_OFF.
  destruct (rd_get RD_state rd 0 s =? 0); [use error_realm_ok; reflexivity|].
  destruct (rd_get RD_state rd 0 s =? 2); [use error_realm_ok; [lia|]; reflexivity|].
  destruct (_ || _); [reflexivity|].
  use vgic_entry_ok_ok. destruct (Vgic.entry_ok s); [|reflexivity].
  use enter_sea_ok_ok. use enter_mmio_ok_ok.
  change (negb (Z.land (run_in IN_flags 0 s) 2 =? 0)) with (wants INJECT_SEA s).
  change (negb (Z.land (run_in IN_flags 0 s) 1 =? 0)) with (wants EMUL_MMIO s).
  destruct (wants INJECT_SEA s), (sea_allowed rec rd s), (wants EMUL_MMIO s), (mmio_allowed rec s); reflexivity.
Qed.

Theorem enter_mmio_ok rec s :
  rec_in_hand rec s = true -> core "enter_mmio" [rec] s = Some ([], mmio_done rec s).
Proof.
  intros H. enter f_enter_mmio. step. step. pose proof (rt_range (Z.shiftr (last_esr rec s) 16)).
  fold (last_esr rec s). fold (access_rt (last_esr rec s)) in *. unfold mmio_done.
  change (Z.land (last_esr rec s) 64 =? 0) with (Z.land (last_esr rec s) WNR =? 0). unfold has at 1.
  destruct (Z.land (last_esr rec s) WNR =? 0); cbn [negb].
  - use mmio_mask_ok. unfold mmio_value. change (negb (Z.land (last_esr rec s) 2097152 =? 0)) with (has SSE (last_esr rec s)).
    destruct (has SSE (last_esr rec s)).
    + use mmio_sign_ok. unfold has at 1. change 32768 with SF. destruct (Z.land (last_esr rec s) SF =? 0); tidy.
      * use rec_set_reg_ok; [lia|]. use rec_skip_ok. reflexivity.
      * use rec_set_reg_ok; [lia|]. use rec_skip_ok. reflexivity.
    + use rec_set_reg_ok; [lia|]. use rec_skip_ok. reflexivity.
  - use rec_skip_ok. reflexivity.
Qed.

Lemma kept_mmio_done rec s0 s : kept rec s0 s -> kept rec s0 (mmio_done rec s).
Proof.
  intros. unfold mmio_done. apply kept_skipped, kept_if; [assumption|]. apply kept_reg_set; [|assumption].
  pose proof (rt_range (Z.shiftr (last_esr rec s) 16)). unfold access_rt. lia.
Qed.
#[export] Hint Resolve kept_mmio_done : kept.

Lemma hand_mmio_done r rec s : rec_in_hand r s = true -> rec_in_hand r (mmio_done rec s) = true.
Proof. intros. unfold mmio_done. auto with hand. Qed.
Lemma hand_ripas_completed r rec reject s :
  rec_in_hand r s = true -> rec_in_hand r (ripas_completed rec reject s) = true.
Proof. intros. unfold ripas_completed, regs_set. destruct (_ =? 0); auto 10 with hand. Qed.
#[export] Hint Resolve hand_mmio_done hand_ripas_completed : hand.

(* The state reached so far becomes a variable, of which it is known that the REC is in hand. *)
Ltac here_hand rec :=
  lazymatch goal with
  | |- bind _ _ ?s = _ =>
      let H := fresh "H" in assert (H : rec_in_hand rec s = true) by auto with hand; revert H; generalize s; intros ? ?
  end.

Theorem enter_finish_ok rec s :
  rec_in_hand rec s = true -> core "enter_finish" [rec] s = Some ([], exit_finished rec s).
Proof.
  intros H. enter f_enter_finish. step. step. step. unfold exit_finished.
  fold (last_esr rec s).
  change (negb (Z.land (run_in IN_flags 0 s) 2 =? 0)) with (wants INJECT_SEA s).
  change (negb (Z.land (run_in IN_flags 0 s) 1 =? 0)) with (wants EMUL_MMIO s).
  change (negb (Z.land (run_in IN_flags 0 s) 16 =? 0)) with (wants RIPAS_REJECT s).
  destruct (wants INJECT_SEA s); [|destruct (wants EMUL_MMIO s)].
  - use rec_inject_sea_ok. use rsi_ripas_complete_ok. here_hand rec. do 5 step. reflexivity.
  - use enter_mmio_ok. use rsi_ripas_complete_ok. here_hand rec. do 5 step. reflexivity.
  - use rsi_ripas_complete_ok. here_hand rec. do 5 step. reflexivity.
Qed.
