(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: a trap of the REC that runs, and what the host gets when the run ends. *)
From kcore Require Export spec.ExitAbort.
From kcore Require Export spec.ExitLeave.
From kcore Require Export spec.ExitSysreg.
From kcore Require Export spec.Psci.
From kcore Require Export spec.RsiCall.
Local Open Scope Z_scope.

(* SMC: RSI by its range, PSCI and the rest. The SVE hint is not part of a function's number. *)
Definition smc_fid (x0 : Z) : Z := Z.land (Z.land x0 0xFFFFFFFF) (0xFFFFFFFFFFFFFFFF - 0x10000).
Definition is_rsi (fid : Z) : bool := (0xC4000190 <=? fid) && (fid <=? 0xC40001AF).
Definition smc (rec : Z) (s : state) : bool * state :=
  let fid := smc_fid (gpr rec 0 s) in
  if is_rsi fid then let '(answer, s) := rsi_called rec fid s in (answer =? LEAVE, s) else psci_called rec fid s.

Definition EC_DABT := 36.
Definition EC_SYSREG := 24.
Definition EC_SMC := 23.
Definition EC_WFX := 1.
Definition EC_IABT := 32.
Definition sync (rec esr far hpfar : Z) (s : state) : bool * state :=
  let ec := ec_of esr in
  if ec =? EC_DABT then data_abort rec esr far hpfar s
  else if ec =? EC_SYSREG then sysreg_access rec esr s
  else if ec =? EC_SMC then smc rec s
  else if ec =? EC_WFX then wfx rec esr s
  else if ec =? EC_IABT then instruction_abort rec esr far hpfar s
  else sync_other rec esr s.

Definition TRAP_SYNC := 0.
Definition TRAP_IRQ := 1.
Definition TRAP_FIQ := 2.
Definition trapped (rec trap esr far hpfar : Z) (s : state) : bool * state :=
  if trap =? TRAP_SYNC then sync rec esr far hpfar s
  else if trap =? TRAP_IRQ then plain EXIT_IRQ CTR_EXIT_IRQ s
  else if trap =? TRAP_FIQ then plain EXIT_FIQ CTR_EXIT_IRQ s
  else serror rec esr s.

(* A trap that is dealt with goes back to the guest, unless a timer's line is other than the host was told. *)
Definition rec_trapped (rec trap esr far hpfar : Z) (s : state) : bool * state :=
  let '(leave, s1) := trapped rec trap esr far hpfar s in
  let changed := lines_changed rec s1 in
  let s2 := tick (tick s1) in
  if leave then (false, run_over rec s2)
  else if changed then (false, run_over rec (run_out OUT_reason 0 EXIT_IRQ s2))
  else (true, s2).
