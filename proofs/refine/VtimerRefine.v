(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/vtimer.c *)
From kcore Require Export refine.Tactics spec.Vtimer.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem vtimer_ctl_ok ctl cval t s : core "vtimer_ctl" [ctl; cval; t] s = Some ([timer_ctl ctl cval t], s).
Proof.
  enter f_vtimer_ctl. unfold timer_ctl. destruct (negb (Z.land ctl 1 =? 0) && (cval <=? t)); reflexivity.
Qed.

Theorem vtimer_asserted_ok ctl s : core "vtimer_asserted" [ctl] s = Some ([timer_line ctl], s).
Proof. enter f_vtimer_asserted. unfold timer_line. destruct (ctl =? 5); reflexivity. Qed.

Ltac rec_prim H := prim; [|rewrite andb_true_iff; split; [exact H | reflexivity]].

Theorem vtimer_cntv_ctl_ok rec s :
  rec_in_hand rec s = true -> core "vtimer_cntv_ctl" [rec] s = Some ([cntv_ctl rec s], tick s).
Proof.
  intros H. open s. enter f_vtimer_cntv_ctl. rec_prim H. rec_prim H. prim. call vtimer_ctl_ok. reflexivity.
Qed.

Theorem vtimer_cntp_ctl_ok rec s :
  rec_in_hand rec s = true -> core "vtimer_cntp_ctl" [rec] s = Some ([cntp_ctl rec s], tick s).
Proof.
  intros H. open s. enter f_vtimer_cntp_ctl. rec_prim H. rec_prim H. prim. call vtimer_ctl_ok. reflexivity.
Qed.

Theorem vtimer_changed_ok rec s :
  rec_in_hand rec s = true ->
  core "vtimer_changed" [rec] s = Some ([b2z (lines_changed rec s)], tick (tick s)).
Proof.
  intros H. open s. enter f_vtimer_changed. call vtimer_cntv_ctl_ok; [|exact H].
  call vtimer_cntp_ctl_ok; [|exact H]. call vtimer_asserted_ok. call vtimer_asserted_ok.
  rec_prim H. rec_prim H. reflexivity.
Qed.

Theorem vtimer_enter_ok rec s :
  rec_in_hand rec s = true ->
  core "vtimer_enter" [rec] s = Some ([], with_masked (rec_get REC_timer_line rec 0 s =? 1) s).
Proof.
  intros H. open s. enter f_vtimer_enter. rec_prim H. prim. reflexivity.
Qed.

Theorem vtimer_report_ok rec s :
  rec_in_hand rec s = true -> core "vtimer_report" [rec] s = Some ([], timers_told rec s).
Proof.
  intros H. open s. enter f_vtimer_report. call vtimer_cntv_ctl_ok; [|exact H].
  rec_prim H. call vtimer_cntp_ctl_ok; [|exact H]. rec_prim H.
  call vtimer_asserted_ok. call vtimer_asserted_ok.
  rec_prim H. rec_prim H. prim. prim. prim. prim. reflexivity.
Qed.

Theorem vtimer_read_cntp_ok rec reg s :
  rec_in_hand rec s = true ->
  core "vtimer_read_cntp" [rec; reg] s = Some ([cntp_read rec reg s], tick (tick s)).
Proof.
  intros H. open s. enter f_vtimer_read_cntp. rec_prim H. call vtimer_cntp_ctl_ok; [|exact H]. prim.
  unfold cntp_read. destruct (reg =? 0); [reflexivity|]. destruct (reg =? 1); reflexivity.
Qed.

Theorem vtimer_write_cntp_ok rec reg v s :
  rec_in_hand rec s = true ->
  core "vtimer_write_cntp" [rec; reg; v] s = Some ([], cntp_written rec reg v s).
Proof.
  intros H. open s. enter f_vtimer_write_cntp. prim. unfold cntp_written, sign_extended.
  destruct (reg =? 0); [|destruct (reg =? 1)].
  - destruct (negb (Z.land (Z.land v 4294967295) 2147483648 =? 0)); rec_prim H; reflexivity.
  - rec_prim H; reflexivity.
  - rec_prim H; reflexivity.
Qed.
