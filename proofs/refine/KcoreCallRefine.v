(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rmi.c: the vendor calls of the host. *)
From kcore Require Import refine.RmiRefine.
From kcore Require Import refine.RmiReadRefine.
From kcore Require Import refine.LaunchCallRefine.
From kcore Require Import refine.DataSealedRefine.
From kcore Require Export spec.KcoreCall.
Local Open Scope string_scope.
Local Open Scope Z_scope.
Local Ltac answered_by T := eapply bind_call; [exact T|]; reflexivity.

Theorem kcore_launch_ok fid x1 x2 x3 x4 x5 s : inv s -> idle s -> u64 x3 -> u64 x5 ->
  core "kcore_launch" [fid; x1; x2; x3; x4; x5] s =
  Some ([fst (launch_called fid x1 x2 x3 x4 x5 s)], snd (launch_called fid x1 x2 x3 x4 x5 s)).
Proof.
  intros I D U3 U5. enter f_kcore_launch. unfold launch_called, KCORE_LAUNCH_POLICY, KCORE_LAUNCH_KEY, KCORE_DATA_CREATE_SEALED.
  destruct (fid =? _); [answered_by (launch_policy_ok x1 x2 s I D)|].
  destruct (fid =? _); [answered_by (launch_key_ok x1 x2 s I D)|].
  destruct (fid =? _); [|reflexivity].
  answered_by (data_create_sealed_ok x1 x2 x3 x4 x5 s I D U3 U5 (fun H => r_key _ _ (i_realm _ I _ H))).
Qed.

Theorem kcore_call_ok fid x1 x2 x3 x4 x5 s : inv s -> idle s -> u64 x2 -> u64 x3 -> u64 x5 ->
  core "kcore_call" [fid; x1; x2; x3; x4; x5] s = Some (kcore_called fid x1 x2 x3 x4 x5 s).
Proof.
  intros I D U2 U3 U5. enter f_kcore_call. unfold kcore_called, KCORE_VENDOR_UID, KCORE_VERSION, KCORE_FEATURES,
    KCORE_DELEGATE_RANGE, KCORE_UNDELEGATE_RANGE, KCORE_LOG_READ, KCORE_IDENTITY_READ, KCORE_COUNTER_READ.
  destruct (fid =? _); [reflexivity|]. destruct (fid =? _); [reflexivity|].
  destruct (fid =? _).
  { pose proof (kcore_features_ok x1 s) as T. revert T. destruct (feature x1 s); intros T; answered_by T. }
  destruct (fid =? _).
  { pose proof (kcore_delegate_range_ok x1 x2 s I D (proj1 U2)) as T. revert T. unfold range_answer.
    destruct (ranged delegate x1 x2 s) as [[st d] z]; intros T; answered_by T. }
  destruct (fid =? _).
  { pose proof (kcore_undelegate_range_ok x1 x2 s I D (proj1 U2)) as T. revert T. unfold range_answer.
    destruct (ranged undelegate x1 x2 s) as [[st d] z]; intros T; answered_by T. }
  destruct (fid =? _).
  { pose proof (kcore_log_read_ok x1 x2 s I D) as T. revert T. unfold log_told.
    destruct (pinnable x1 s); [destruct (log_text _ _ _) as [n next]|]; intros T; answered_by T. }
  destruct (fid =? _).
  { pose proof (kcore_identity_read_ok x1 x2 s I D) as T. revert T. unfold identity_told. cbv zeta.
    destruct (pinnable x1 s); intros T; answered_by T. }
  destruct (fid =? _).
  { pose proof (kcore_counter_read_ok x1 s) as T. revert T. destruct (counter_asked x1 s); intros T; answered_by T. }
  pose proof (kcore_launch_ok fid x1 x2 x3 x4 x5 s I D U3 U5) as T. revert T.
  destruct (launch_called fid x1 x2 x3 x4 x5 s) as [status s1]. intros T. eapply bind_call; [exact T|]. tidy.
  eapply bind_call; [apply rmi_status_ok|]. reflexivity.
Qed.
