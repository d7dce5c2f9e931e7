(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: RSI_MEASUREMENT_EXTEND (DEN0137 B5.3.6). *)
From kcore Require Export spec.Rsi spec.Measure.
Local Open Scope Z_scope.

(* x1: one of the slots 1 to 4; x2: how many of the 64 bytes in x3 to x10. *)
Definition measurement_extended (rec : Z) (s : state) : state :=
  if (0 <? gpr rec 1 s) && (gpr rec 1 s <? MEAS_SLOTS) && (gpr rec 2 s <=? 64)
  then answered rec RSI_SUCCESS 0 0 (extended (realm_of rec s) rec (gpr rec 1 s) (gpr rec 2 s) s)
  else answered rec RSI_ERROR_INPUT 0 0 s.
