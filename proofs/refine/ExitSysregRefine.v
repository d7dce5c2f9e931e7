(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: system registers that are trapped. *)
From kcore Require Export refine.ExitRefine refine.RecIdRefine spec.ExitSysreg.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem exit_sysreg_read_ok rec esr s :
  rec_in_hand rec s = true -> core "exit_sysreg_read" [rec; esr] s = outcome (sysreg_read rec esr s).
Proof.
  intros H. pose proof (rt_range (Z.shiftr esr 5)). enter f_exit_sysreg_read.
  unfold sysreg_read, sysreg_value, is_id, is_cntp.
  change 3275776 with (sysreg 3 7 15 0 0). change 3145728 with (sysreg 3 0 0 0 0).
  change 3209220 with (sysreg 3 3 14 2 0). change 3340292 with (sysreg 3 3 14 2 1).
  change 3471364 with (sysreg 3 3 14 2 2).
  change (Z.land esr 4193310) with (sysreg_of esr). fold (sysreg_rt esr) in *. fold (sysreg_crm esr). fold (sysreg_op2 esr).
  destruct (Z.land (sysreg_of esr) (sysreg 3 7 15 0 0) =? sysreg 3 0 0 0 0).
  - use rec_id_reg_ok. use rec_set_reg_ok; [lia|]. use rec_skip_ok. reflexivity.
  - destruct (_ || _).
    + use vtimer_read_cntp_ok. use rec_set_reg_ok; [lia|]. use rec_skip_ok. reflexivity.
    + use rec_set_reg_ok; [lia|]. use rec_skip_ok. reflexivity.
Qed.

Theorem exit_sysreg_ok rec esr s :
  rec_in_hand rec s = true -> core "exit_sysreg" [rec; esr] s = outcome (sysreg_access rec esr s).
Proof.
  intros H. enter f_exit_sysreg. unfold sysreg_access. change (negb (Z.land esr 1 =? 0)) with (has 1 esr).
  destruct (has 1 esr); [use exit_sysreg_read_ok|use exit_sysreg_write_ok]; reflexivity.
Qed.

Lemma kept_sysreg_access rec esr s0 s : kept rec s0 s -> kept rec s0 (snd (sysreg_access rec esr s)).
Proof.
  intros. pose proof (rt_range (Z.shiftr esr 5)). assert (0 <= sysreg_rt esr) by (unfold sysreg_rt; lia).
  unfold sysreg_access. destruct (has 1 esr); [|auto with kept].
  unfold sysreg_read, sysreg_value, tick. destruct (is_id _); [|destruct (is_cntp _)]; cbn [snd]; auto 10 with kept.
Qed.
#[export] Hint Resolve kept_sysreg_access : kept.
