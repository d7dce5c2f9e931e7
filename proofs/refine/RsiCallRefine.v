(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: the call of a realm. *)
From kcore Require Export refine.RsiTokenNextRefine.
From kcore Require Export refine.RsiMeasureRefine.
From kcore Require Export spec.RsiCall.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem rsi_call_ok rec fid s : inv s -> current rec s ->
  core "rsi_call" [rec; fid] s = Some ([fst (rsi_called rec fid s)], snd (rsi_called rec fid s)).
Proof.
  intros I C. pose proof (current_hand _ _ C) as H. enter f_rsi_call.
  unfold rsi_called, RSI_VERSION, RSI_FEATURES, RSI_MEASUREMENT_READ, RSI_MEASUREMENT_EXTEND, RSI_REALM_CONFIG,
    RSI_IPA_STATE_SET, RSI_IPA_STATE_GET, RSI_HOST_CALL, RSI_ATTEST_TOKEN_INIT, RSI_ATTEST_TOKEN_CONTINUE.
  Local Ltac answered_by T := eapply bind_call; [exact T|]; reflexivity.
  destruct (fid =? _); [answered_by (rsi_version_ok rec s H)|].
  destruct (fid =? _); [answered_by (rsi_answer_ok rec RSI_SUCCESS 0 0 s H)|].
  destruct (fid =? _); [answered_by (rsi_measurement_read_ok rec s C (gpr_u64 rec 1 s I))|].
  destruct (fid =? _); [answered_by (rsi_measurement_extend_ok rec s C (gpr_u64 rec 2 s I))|].
  destruct (fid =? _); [answered_by (rsi_realm_config_ok rec s I C)|].
  destruct (fid =? _); [answered_by (rsi_ipa_state_set_ok rec s C)|].
  destruct (fid =? _); [answered_by (rsi_ipa_state_get_ok rec s I C)|].
  destruct (fid =? _); [answered_by (rsi_host_call_ok rec s I C)|].
  destruct (fid =? _); [answered_by (rsi_token_init_ok rec s C)|].
  destruct (fid =? _); [answered_by (rsi_token_continue_ok rec s I C)|].
  answered_by (rsi_answer_ok rec NO_FUNCTION 0 0 s H).
Qed.
