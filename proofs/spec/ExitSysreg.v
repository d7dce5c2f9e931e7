(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: system registers that are trapped. *)
From kcore Require Export spec.Exit spec.RecId.
Local Open Scope Z_scope.

(* A read: an identification register as realms see it, the physical timer; anything else is zero. *)
Definition sysreg_value (rec esr : Z) (s : state) : Z * state :=
  let r := sysreg_of esr in
  if is_id r then (id_seen (sysreg_crm esr) (sysreg_op2 esr) (id_register (hw s) (sysreg_crm esr) (sysreg_op2 esr)), s)
  else if is_cntp r then (cntp_read rec (sysreg_op2 esr) s, tick (tick s))
  else (0, s).
Definition sysreg_read (rec esr : Z) (s : state) : bool * state :=
  let '(value, s) := sysreg_value rec esr s in (false, skipped rec (reg_set rec (sysreg_rt esr) value s)).
Definition sysreg_access (rec esr : Z) (s : state) : bool * state :=
  if has 1 esr then sysreg_read rec esr s else sysreg_written rec esr s.
