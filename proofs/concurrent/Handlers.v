(* SPDX-License-Identifier: Apache-2.0 *)
(* What several CPUs may run at once: all calls of the host after which a CPU runs no REC, and its aborts. *)
From kcore Require Import concurrent.Serial.
From kcore Require Import refine.Tactics.
From kcore Require Import refine.RunsKept.
From kcore Require Import refine.RmiCallRefine.
From kcore Require Import refine.HostSmcInv.
From kcore Require Import refine.HostAbortRefine.
From kcore Require Import refine.RecExitInv.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* REC_ENTER, too, where it runs no REC: its last result is the REC that runs then. *)
Theorem host_smc_handler x0 x1 x2 x3 x4 x5 rs : u64 x1 -> u64 x2 -> u64 x3 -> u64 x4 -> u64 x5 -> get rs 5 = 0 ->
  handler (Job "core_host_smc" [x0; x1; x2; x3; x4; x5] rs).
Proof.
  intros U1 U2 U3 U4 U5 Rs s I D N. exists (fst (host_smc x0 x1 x2 x3 x4 x5 s)), (snd (host_smc x0 x1 x2 x3 x4 x5 s)).
  destruct (host_smc_inv x0 x1 x2 x3 x4 x5 s) as [I' D']; try assumption.
  split; [cbn [j_name j_args]; rewrite core_host_smc_ok by assumption; by destruct (host_smc x0 x1 x2 x3 x4 x5 s)|].
  split; [exact I'|]. split; [exact D'|]. cbn [j_results]. intros E.
  pose proof (host_smc_runs x0 x1 x2 x3 x4 x5 s I D N U1 U2 U3 U4 U5) as R.
  destruct (host_smc x0 x1 x2 x3 x4 x5 s) as [r s1]. cbn [fst snd] in *. destruct R as [R _]. congruence.
Qed.

Lemma abort_runs : named "core_host_abort" runs_nothing = true.
Proof. vm_compute. reflexivity. Qed.

Theorem host_abort_handler esr hpfar far rs : handler (Job "core_host_abort" [esr; hpfar; far] rs).
Proof.
  intros s I D N. assert (H : core "core_host_abort" [esr; hpfar; far] s =
    Some ([fst (host_aborted esr hpfar far s)], snd (host_aborted esr hpfar far s)))
    by (apply core_host_abort_ok; [exact (h_tables _ (i_hw _ I))|exact D]).
  eexists _, _. split; [exact H|]. split; [by apply host_abort_inv|]. split; [by apply host_abort_idle|].
  intros _. rewrite (core_runs _ _ _ _ _ abort_runs H). exact N.
Qed.
