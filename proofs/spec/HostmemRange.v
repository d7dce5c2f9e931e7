(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: KCORE_DELEGATE_RANGE and KCORE_UNDELEGATE_RANGE (docs/abi.md). *)
From kcore Require Export spec.Hostmem.
Local Open Scope Z_scope.

(* The ranged forms: granule after granule, up to the first that fails. *)
Fixpoint repeated (cmd : Z -> state -> Z * state) (pa : Z) (s : state) (n : nat) : Z * Z * state :=
  match n with
  | O => (RMI_SUCCESS, 0, s)
  | S i =>
      let '(status, done, s1) := repeated cmd pa s i in
      if status =? 0 then
        let '(status', s2) := cmd (wrap U64 (pa + Z.of_nat i * 4096)) s1 in
        (status', if status' =? 0 then Z.of_nat i + 1 else done, s2)
      else (status, done, s1)
  end.

(* Status and number done: success if any was; count is 1 to 512. *)
Definition ranged (cmd : Z -> state -> Z * state) (pa count : Z) (s : state) : Z * Z * state :=
  if (count =? 0) || (512 <? count) then (RMI_ERROR_INPUT, 0, s) else
  let '(status, done, s') := repeated cmd pa s (Z.to_nat count) in
  (if done =? 0 then status else RMI_SUCCESS, done, s').
