(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: an SMC of the RSI range (DEN0137 B5.3): by function identifier. *)
From kcore Require Export spec.RsiToken spec.RsiMeasure.
Local Open Scope Z_scope.

Definition RSI_VERSION := 0xC4000190.
Definition RSI_FEATURES := 0xC4000191.
Definition RSI_MEASUREMENT_READ := 0xC4000192.
Definition RSI_MEASUREMENT_EXTEND := 0xC4000193.
Definition RSI_ATTEST_TOKEN_INIT := 0xC4000194.
Definition RSI_ATTEST_TOKEN_CONTINUE := 0xC4000195.
Definition RSI_REALM_CONFIG := 0xC4000196.
Definition RSI_IPA_STATE_SET := 0xC4000197.
Definition RSI_IPA_STATE_GET := 0xC4000198.
Definition RSI_HOST_CALL := 0xC4000199.
Definition NO_FUNCTION := 0xFFFFFFFFFFFFFFFF. (* -1 *)

(* Answered, or left to the host. Feature registers are zero. *)
Definition rsi_called (rec fid : Z) (s : state) : Z * state :=
  if fid =? RSI_VERSION then (BACK, version_told rec s)
  else if fid =? RSI_FEATURES then (BACK, answered rec RSI_SUCCESS 0 0 s)
  else if fid =? RSI_MEASUREMENT_READ then (BACK, measurement_read rec s)
  else if fid =? RSI_MEASUREMENT_EXTEND then (BACK, measurement_extended rec s)
  else if fid =? RSI_REALM_CONFIG then config_asked rec s
  else if fid =? RSI_IPA_STATE_SET then ripas_asked rec s
  else if fid =? RSI_IPA_STATE_GET then (BACK, ripas_read rec s)
  else if fid =? RSI_HOST_CALL then host_called rec s
  else if fid =? RSI_ATTEST_TOKEN_INIT then (BACK, token_begun rec s)
  else if fid =? RSI_ATTEST_TOKEN_CONTINUE then token_continued rec s
  else (BACK, answered rec NO_FUNCTION 0 0 s).
