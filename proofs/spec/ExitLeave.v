(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: what the host gets when a run ends. *)
From kcore Require Export spec.Exit spec.Vgic.
Local Open Scope Z_scope.

(* What the handler of the trap put into the exit half of the run page, the GIC and the timers; nothing else of the
   REC. The REC runs no more, and the run page is not pinned for it. *)
Definition run_over (rec : Z) (s : state) : state :=
  let run_page := rec_get REC_run_page rec 0 s in
  let s := timers_told rec (gic_shown rec (rec_unloaded rec s)) in
  let s := put_page run_page (exit_half (page (mem s) run_page) (run s)) s in
  let s := rec_set REC_running rec 0 0 (rec_set REC_run_page rec 0 0 s) in
  with_refs run_page (g_refs (granule_at s run_page) - 1) s.
