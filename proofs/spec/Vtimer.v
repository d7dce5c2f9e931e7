(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/vtimer.c: a realm's timers (DDI0487 D13.8). What the host learns of them is the control registers,
   the compare values and whether each line is up: vtimer_report, at every exit. *)
From kcore Require Export machine.Machine.
Local Open Scope Z_scope.

(* Indices of CNTV_CTL_EL0 and CNTV_CVAL_EL0 among the saved registers. *)
Definition CNTV_CTL := 28.
Definition CNTV_CVAL := 29.

(* ENABLE and IMASK as written; ISTATUS if enabled and due. *)
Definition timer_ctl (ctl cval now : Z) : Z :=
  let kept := Z.land ctl 3 in
  if negb (Z.land ctl 1 =? 0) && (cval <=? now) then Z.lor kept 4 else kept.
(* Up: enabled, due and not masked. *)
Definition timer_line (ctl : Z) : Z := if ctl =? 5 then 1 else 0.

(* Every reading of the counter gives a later time. *)
Definition now (s : state) : Z := time (hw s) (clock s).
Definition tick (s : state) : state := with_clock (S (clock s)) s.

Definition cntv_ctl (rec : Z) (s : state) : Z := timer_ctl (el1_get rec CNTV_CTL s) (el1_get rec CNTV_CVAL s) (now s).
Definition cntp_ctl (rec : Z) (s : state) : Z :=
  timer_ctl (rec_get REC_cntp_ctl rec 0 s) (rec_get REC_cntp_cval rec 0 s) (now s).

(* Is a line other than the host was last told? *)
Definition lines_changed (rec : Z) (s : state) : bool :=
  negb (timer_line (cntv_ctl rec s) =? rec_get REC_timer_line rec 0 s) ||
  negb (timer_line (cntp_ctl rec (tick s)) =? rec_get REC_cntp_line rec 0 s).

Definition timers_told (rec : Z) (s : state) : state :=
  let v := cntv_ctl rec s in
  let p := cntp_ctl rec (tick s) in
  run_out OUT_cntp_cval 0 (rec_get REC_cntp_cval rec 0 s)
    (run_out OUT_cntp_ctl 0 p
      (run_out OUT_cntv_cval 0 (el1_get rec CNTV_CVAL s)
        (run_out OUT_cntv_ctl 0 v
          (rec_set REC_cntp_line rec 0 (timer_line p)
            (rec_set REC_timer_line rec 0 (timer_line v) (tick (tick s))))))).

(* CNTP_TVAL (0), CNTP_CTL (1), CNTP_CVAL (2). *)
Definition cntp_read (rec reg : Z) (s : state) : Z :=
  let cval := rec_get REC_cntp_cval rec 0 s in
  if reg =? 0 then Z.land (wrap U64 (cval - now (tick s))) 0xFFFFFFFF
  else if reg =? 1 then cntp_ctl rec s else cval.

Definition sign_extended (v : Z) : Z :=
  let low := Z.land v 0xFFFFFFFF in if negb (Z.land low 0x80000000 =? 0) then Z.lor low 0xFFFFFFFF00000000 else low.
Definition cntp_written (rec reg v : Z) (s : state) : state :=
  if reg =? 0 then rec_set REC_cntp_cval rec 0 (wrap U64 (now s + sign_extended v)) (tick s)
  else if reg =? 1 then rec_set REC_cntp_ctl rec 0 (Z.land v 3) (tick s)
  else rec_set REC_cntp_cval rec 0 v (tick s).
