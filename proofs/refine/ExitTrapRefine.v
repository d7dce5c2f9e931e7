(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: a trap of the REC that runs. *)
From kcore Require Export refine.ExitAbortRefine.
From kcore Require Export refine.ExitLeaveRefine.
From kcore Require Export refine.ExitSysregRefine.
From kcore Require Export refine.PsciRefine.
From kcore Require Export spec.ExitTrap.
From kcore Require Import refine.RsiCallRefine.
From kcore Require Import refine.RsiKept.
From kcore Require Import refine.RunFacts.
From kcore Require Import refine.CurrentFacts.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem exit_smc_ok rec s : inv s -> current rec s -> core "exit_smc" [rec] s = outcome (smc rec s).
Proof.
  intros I C. pose proof (current_hand _ _ C) as H. enter f_exit_smc. step. fold (gpr rec 0 s).
  change (Z.land (Z.land (gpr rec 0 s) 4294967295) 18446744073709486079) with (smc_fid (gpr rec 0 s)).
  fold (is_rsi (smc_fid (gpr rec 0 s))). unfold smc.
  destruct (is_rsi _); [|use psci_call_ok; reflexivity].
  use rsi_call_ok. pose proof (rsi_called_leaves rec (smc_fid (gpr rec 0 s)) s) as L.
  destruct (rsi_called _ _ _) as [answer s1]. cbn [fst snd] in *. destruct L as [-> | ->]; reflexivity.
Qed.

Theorem exit_sync_ok rec esr far hpfar s :
  inv s -> current rec s -> core "exit_sync" [rec; esr; far; hpfar] s = outcome (sync rec esr far hpfar s).
Proof.
  intros I C. pose proof (current_hand _ _ C) as H. enter f_exit_sync. fold (ec_of esr).
  unfold sync, EC_DABT, EC_SYSREG, EC_SMC, EC_WFX, EC_IABT.
  destruct (ec_of esr =? 36); [use exit_data_abort_ok; reflexivity|].
  destruct (ec_of esr =? 24); [use exit_sysreg_ok; reflexivity|].
  destruct (ec_of esr =? 23); [use exit_smc_ok; reflexivity|].
  destruct (ec_of esr =? 1); [use exit_wfx_ok; reflexivity|].
  destruct (ec_of esr =? 32); [use exit_instruction_abort_ok|use exit_sync_other_ok]; reflexivity.
Qed.

Theorem exit_trap_ok rec trap esr far hpfar s :
  inv s -> current rec s ->
  core "exit_trap" [rec; trap; esr; far; hpfar] s = outcome (trapped rec trap esr far hpfar s).
Proof.
  intros I C. pose proof (current_hand _ _ C) as H. enter f_exit_trap. unfold trapped, TRAP_SYNC, TRAP_IRQ, TRAP_FIQ.
  destruct (trap =? 0); [use exit_sync_ok; reflexivity|].
  destruct (trap =? 1); [use exit_plain_ok; reflexivity|].
  destruct (trap =? 2); [use exit_plain_ok|use exit_serror_ok]; reflexivity.
Qed.

Lemma trapped_kept rec trap esr far hpfar s : inv s -> current rec s -> kept rec s (snd (trapped rec trap esr far hpfar s)).
Proof.
  intros I C. unfold trapped, sync, smc. destruct (_ =? TRAP_SYNC).
  - destruct (_ =? EC_DABT); [auto with kept|]. destruct (_ =? EC_SYSREG); [auto with kept|].
    destruct (_ =? EC_SMC).
    { destruct (is_rsi _); [|by apply psci_called_kept]. pose proof (rsi_called_kept rec (smc_fid (gpr rec 0 s)) s I C) as K.
      by destruct (rsi_called _ _ _). }
    destruct (_ =? EC_WFX); [auto with kept|]. destruct (_ =? EC_IABT); auto with kept.
  - destruct (_ =? TRAP_IRQ); [auto with kept|]. destruct (_ =? TRAP_FIQ); auto with kept.
Qed.

Theorem core_rec_exit_ok rec trap esr far hpfar s :
  inv s -> idle s -> loaded s = rec -> rec <> 0 ->
  core "core_rec_exit" [rec; trap; esr; far; hpfar] s = outcome (rec_trapped rec trap esr far hpfar s).
Proof.
  intros I D Hl Hn. assert (C : current rec s).
  { apply inv_current; [exact I|exact D| |exact Hn]. destruct (i_loaded _ I) as [<- _]; congruence. }
  pose proof (trapped_kept rec trap esr far hpfar s I C) as K.
  enter f_core_rec_exit. use exit_trap_ok. unfold rec_trapped.
  destruct (trapped rec trap esr far hpfar s) as [leave s1]. cbn [fst snd] in *.
  pose proof (kept_current _ _ _ K C) as C1. pose proof (current_hand _ _ C1) as H1.
  use vtimer_changed_ok.
  assert (K2 : kept rec s (tick (tick s1))) by (unfold tick; auto with kept).
  pose proof (k_mem _ _ _ K2 (i_mem _ I)) as M2. pose proof (kept_current _ _ _ K2 C) as C2.
  assert (L2 : loaded (tick (tick s1)) = rec) by (rewrite <- Hl; apply (k_loaded _ _ _ K2)).
  destruct leave, (lines_changed rec s1); cbn [negb andb].
  - use exit_leave_ok. reflexivity.
  - use exit_leave_ok. reflexivity.
  - step. assert (K3 : kept rec s (run_out OUT_reason 0 1 (tick (tick s1)))) by auto with kept.
    pose proof (k_mem _ _ _ K3 (i_mem _ I)) as M3. pose proof (kept_current _ _ _ K3 C) as C3.
    assert (L3 : loaded (run_out OUT_reason 0 1 (tick (tick s1))) = rec) by exact L2.
    use exit_leave_ok. reflexivity.
  - reflexivity.
Qed.
