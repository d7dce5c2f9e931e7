(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rmi.c *)
From kcore Require Export refine.RecSteps refine.HostmemRangeRefine spec.Rmi.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem rmi_status_ok status s : core "rmi_status" [status] s = Some (status_only status, s).
Proof. enter f_rmi_status. reflexivity. Qed.

Theorem rmi_version_ok asked s : core "rmi_version" [asked] s = Some (version_answer asked, s).
Proof. enter f_rmi_version. unfold version_answer, ABI_VERSION. destruct (asked =? 65536); reflexivity. Qed.

Theorem rmi_features_ok index s : core "rmi_features" [index] s = Some (features_answer index s, s).
Proof.
  enter f_rmi_features. step. step. unfold features_answer.
  destruct (index =? 0); [|reflexivity]. unfold feature_register.
  rewrite Z.shiftl_mul_pow2 by lia.
  pose proof (land_range 4 15 (vtr (hw s)) ltac:(lia)) as R. rewrite Z.land_comm in R.
  rewrite wrap_small by lia. reflexivity.
Qed.

Theorem kcore_features_ok index s : core "kcore_features" [index] s = Some (value_answer (feature index s), s).
Proof.
  enter f_kcore_features. unfold feature, NUM_COUNTERS.
  destruct (index =? 0); [step; reflexivity|]. destruct (index =? 1); [step; reflexivity|].
  destruct (index =? 2); [step; reflexivity|]. destruct (index =? 3); [step; reflexivity|].
  destruct (index =? 4); [step; reflexivity|]. destruct (index =? 5); reflexivity.
Qed.

Theorem kcore_counter_read_ok index s :
  core "kcore_counter_read" [index] s = Some (value_answer (counter_asked index s), s).
Proof.
  enter f_kcore_counter_read. unfold counter_asked, NUM_COUNTERS.
  destruct (Z.leb_spec 13 index), (Z.ltb_spec index 13); try lia; [|step]; reflexivity.
Qed.

Theorem kcore_delegate_range_ok pa count s : inv s -> idle s -> 0 <= count ->
  core "kcore_delegate_range" [pa; count] s = Some (range_answer (ranged delegate pa count s)).
Proof.
  intros I D Hc. enter f_kcore_delegate_range. pose proof (granule_delegate_range_ok pa count s I D Hc) as H.
  destruct (ranged delegate pa count s) as [[st d] s']. eapply bind_call; [exact H|]. reflexivity.
Qed.

Theorem kcore_undelegate_range_ok pa count s : inv s -> idle s -> 0 <= count ->
  core "kcore_undelegate_range" [pa; count] s = Some (range_answer (ranged undelegate pa count s)).
Proof.
  intros I D Hc. enter f_kcore_undelegate_range. pose proof (granule_undelegate_range_ok pa count s I D Hc) as H.
  destruct (ranged undelegate pa count s) as [[st d] s']. eapply bind_call; [exact H|]. reflexivity.
Qed.
