(* SPDX-License-Identifier: Apache-2.0 *)
(* The vendor calls of the host keep the invariant. *)
From kcore Require Export refine.RealmCallInv.
From kcore Require Export refine.DataInv.
From kcore Require Import refine.HostInv.
Local Open Scope Z_scope.

Lemma launch_called_inv fid x1 x2 x3 x4 x5 s : inv s -> idle s -> u64 x3 -> inv (snd (launch_called fid x1 x2 x3 x4 x5 s)).
Proof.
  intros I D U. unfold launch_called. destruct (fid =? _); [by apply launch_policy_inv|].
  destruct (fid =? _); [by apply launch_key_inv|]. destruct (fid =? _); [by apply create_sealed_inv|exact I].
Qed.
Lemma launch_called_idle fid x1 x2 x3 x4 x5 s : idle s -> idle (snd (launch_called fid x1 x2 x3 x4 x5 s)).
Proof.
  intros D. unfold launch_called. destruct (fid =? _); [by apply launch_policy_idle|].
  destruct (fid =? _); [by apply launch_key_idle|]. destruct (fid =? _); [by apply create_sealed_idle|exact D].
Qed.

Theorem kcore_called_inv fid x1 x2 x3 x4 x5 s : inv s -> idle s -> u64 x3 -> inv (snd (kcore_called fid x1 x2 x3 x4 x5 s)).
Proof.
  intros I D U. unfold kcore_called.
  destruct (fid =? _); [exact I|]. destruct (fid =? _); [exact I|]. destruct (fid =? _); [exact I|].
  destruct (fid =? _); [by apply (ranged_both delegate delegate_inv delegate_idle)|].
  destruct (fid =? _); [by apply (ranged_both undelegate undelegate_inv undelegate_idle)|].
  destruct (fid =? _); [by apply log_told_inv|]. destruct (fid =? _); [by apply identity_told_inv|]. destruct (fid =? _); [exact I|].
  pose proof (launch_called_inv fid x1 x2 x3 x4 x5 s I D U) as H. by destruct (launch_called fid x1 x2 x3 x4 x5 s) as [status s1].
Qed.
Theorem kcore_called_idle fid x1 x2 x3 x4 x5 s : inv s -> idle s -> idle (snd (kcore_called fid x1 x2 x3 x4 x5 s)).
Proof.
  intros I D. unfold kcore_called.
  destruct (fid =? _); [exact D|]. destruct (fid =? _); [exact D|]. destruct (fid =? _); [exact D|].
  destruct (fid =? _); [by apply (ranged_both delegate delegate_inv delegate_idle)|].
  destruct (fid =? _); [by apply (ranged_both undelegate undelegate_inv undelegate_idle)|].
  destruct (fid =? _); [by apply log_told_idle|]. destruct (fid =? _); [by apply identity_told_idle|]. destruct (fid =? _); [exact D|].
  pose proof (launch_called_idle fid x1 x2 x3 x4 x5 s D) as H. by destruct (launch_called fid x1 x2 x3 x4 x5 s) as [status s1].
Qed.
