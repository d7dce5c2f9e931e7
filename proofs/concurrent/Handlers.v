(* SPDX-License-Identifier: Apache-2.0 *)
(* Functions that several CPUs may run at once: what run_is_serial asks of them. *)
From kcore Require Import concurrent.Serial.
From kcore Require Import refine.Tactics.
From kcore Require Import refine.HostmemRefine.
From kcore Require Import refine.HostInv.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem delegate_handler pa : handler "granule_delegate" [pa].
Proof.
  intros s I D N. exists [fst (delegate pa s)], (snd (delegate pa s)).
  split; [by apply granule_delegate_ok|]. split; [by apply delegate_inv|]. split; [by apply delegate_idle|].
  unfold delegate. by destruct (claimable GS_NS pa s && _).
Qed.

Theorem undelegate_handler pa : handler "granule_undelegate" [pa].
Proof.
  intros s I D N. exists [fst (undelegate pa s)], (snd (undelegate pa s)).
  split; [by apply granule_undelegate_ok|]. split; [by apply undelegate_inv|]. split; [by apply undelegate_idle|].
  unfold undelegate. by destruct (claimable GS_DELEGATED pa s).
Qed.
