(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: RMI_REC_ENTER (DEN0137 B4.3.14). *)
From kcore Require Export spec.Enter.
From kcore Require Export spec.RsiRealm.
From kcore Require Export spec.GranuleRange.
Local Open Scope Z_scope.

Definition CTR_REC_ENTER := 10.

(* The checks are done. The REC gets the host's list registers and answers; whether it shall run: not if a host call
   can not be completed, nor if a timer's line is other than the host was told. Then the host gets GIC and timers. *)
Definition made_ready (rec rd : Z) (s : state) : bool * state :=
  let '(ready, s) := host_call_completed rec rd (exit_finished rec (gic_entered rec (counted CTR_REC_ENTER 1 s))) in
  let changed := lines_changed rec s in
  let s := tick (tick s) in
  if ready && negb changed then (true, s)
  else (false, timers_told rec (gic_shown rec (if ready then run_out OUT_reason 0 EXIT_IRQ s else s))).

(* The REC runs, here, with the host's run page; then its registers are this CPU's. *)
Definition run_begun (rec run_page : Z) (s : state) : state :=
  rec_set REC_run_page rec 0 run_page (rec_set REC_running rec 0 1 s).
Definition on_cpu (rec : Z) (s : state) : state :=
  let s := rec_loaded rec s in with_masked (rec_get REC_timer_line rec 0 s =? 1) s.

(* An entry: what the host is told, the REC that shall run (0: none), and the state. *)
Record entry := Entry { e_status : Z; e_rec : Z; e_state : state }.

(* The realm is locked, the run page pinned and loaded. A REC that runs keeps the run page pinned; one that may be
   entered but shall not run gives the host the run page. *)
Definition unlocked (rd : Z) (s : state) : state := lock_dropped (LGranule rd) s.
Definition entered (rec rd run_page : Z) (s : state) : entry :=
  if negb (enter_status rec rd s =? RMI_SUCCESS)
  then Entry (enter_status rec rd s) 0 (page_unpinned run_page (unlocked rd s))
  else
    let '(go, s) := made_ready rec rd s in
    if go then Entry RMI_SUCCESS rec (on_cpu rec (unlocked rd (run_begun rec run_page s)))
    else Entry RMI_SUCCESS 0
      (page_unpinned run_page (unlocked rd (put_page run_page (exit_half (page (mem s) run_page) (run s)) s))).

(* REC_ENTER: the run page is the host's and can be pinned, rec is a REC, no CPU runs it; then as above. Only the
   entry half of the run page comes in. *)
Definition run_page_loaded (run_page : Z) (s : state) : state := with_run (entry_half (page (mem s) run_page)) s.
Definition enter_rec (rec run_page : Z) (s : state) : entry :=
  if negb (pinnable run_page s) || negb (owner_found rec s) then Entry RMI_ERROR_INPUT 0 s
  else if negb (rec_get REC_running rec 0 s =? 0) then Entry RMI_ERROR_REC 0 s
  else entered rec (rec_owner rec s) run_page
         (run_page_loaded run_page (lock_taken (LGranule (rec_owner rec s)) (page_pinned run_page s))).
