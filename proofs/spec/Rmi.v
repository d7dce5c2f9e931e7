(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rmi.c: the calls that only ask (DEN0137 B4.3: RMI_VERSION, RMI_FEATURES; docs/abi.md), and the shape of
   an answer. *)
From kcore Require Export spec.HostmemRange.
Local Open Scope Z_scope.

Definition NOT_SUPPORTED := 0xFFFFFFFFFFFFFFFF. (* -1: no call has this function identifier *)
Definition ABI_VERSION := 0x10000.              (* RMI 1.0 *)
Definition NUM_COUNTERS := 13.
Definition CTR_REALMS := 12.

(* x0 to x4 *)
Definition answer (status x1 x2 : Z) : list Z := [status; x1; x2; 0; 0].
Definition status_only (status : Z) : list Z := answer status 0 0.

(* The one version there is, whatever is asked for. *)
Definition version_answer (asked : Z) : list Z :=
  answer (if asked =? ABI_VERSION then RMI_SUCCESS else RMI_ERROR_INPUT) ABI_VERSION ABI_VERSION.

(* Feature register 0 (DEN0137 B4.4.9): IPA width, SHA-256 and SHA-512, breakpoints - 1, watchpoints - 1, list
   registers - 1, order of the number of RECs. *)
Definition feature_register (s : state) : Z :=
  Z.lor (Z.lor (Z.lor (Z.lor (Z.lor (Z.lor (width (hw s)) (2 ^ 32)) (2 ^ 33)) (1 * 2 ^ 14)) (1 * 2 ^ 20))
    (Z.land (vtr (hw s)) 15 * 2 ^ 34)) (10 * 2 ^ 38).
(* The others are zero. *)
Definition features_answer (index : Z) (s : state) : list Z :=
  answer RMI_SUCCESS (if index =? 0 then feature_register s else 0) 0.

(* KCORE_FEATURES *)
Definition feature (index : Z) (s : state) : option Z :=
  if index =? 0 then Some (vtr (hw s))
  else if index =? 1 then Some (Z.of_nat (size (gran s)))
  else if index =? 2 then Some (counter s CTR_DELEGATED)
  else if index =? 3 then Some (counter s CTR_REALMS)
  else if index =? 4 then Some (log_bytes (hw s))
  else if index =? 5 then Some NUM_COUNTERS
  else None.
Definition value_answer (v : option Z) : list Z :=
  match v with Some v => answer RMI_SUCCESS v 0 | None => status_only RMI_ERROR_INPUT end.

(* KCORE_COUNTER_READ *)
Definition counter_asked (index : Z) (s : state) : option Z :=
  if index <? NUM_COUNTERS then Some (counter s index) else None.

(* KCORE_DELEGATE_RANGE, KCORE_UNDELEGATE_RANGE: status and how many. *)
Definition range_answer (r : Z * Z * state) : list Z * state := let '(status, done, s) := r in (answer status done 0, s).
