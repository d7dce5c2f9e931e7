(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: what a realm's software sees: its general registers, and exceptions to its EL1 (DDI0487 D1.3). *)
From kcore Require Export machine.Machine.
Local Open Scope Z_scope.

(* Indices of EL1 registers (fields.h, REC_SYSREGS). *)
Definition SCTLR_EL1 := 0.
Definition ESR_EL1 := 6.
Definition FAR_EL1 := 9.
Definition VBAR_EL1 := 12.
Definition ELR_EL1 := 19.
Definition SPSR_EL1 := 20.

Definition gpr (rec n : Z) (s : state) : Z := rec_get REC_gpr rec n s.
Definition gpr_set (rec n v : Z) (s : state) : state := rec_set REC_gpr rec n v s.

(* Register n as an instruction names it: 31 is zero. *)
Definition reg (rec n : Z) (s : state) : Z := if n <? 31 then gpr rec n s else 0.
Definition reg_set (rec n v : Z) (s : state) : state := if n <? 31 then gpr_set rec n v s else s.

(* The instruction that trapped is stepped over. *)
Definition skipped (rec : Z) (s : state) : state := rec_set REC_pc rec 0 (wrap U64 (rec_get REC_pc rec 0 s + 4)) s.

(* An SMC is answered. *)
Definition regs_set (rec x0 x1 x2 x3 : Z) (s : state) : state :=
  gpr_set rec 3 x3 (gpr_set rec 2 x2 (gpr_set rec 1 x1 (gpr_set rec 0 x0 s))).
Definition returned (rec x0 x1 x2 x3 : Z) (s : state) : state := skipped rec (regs_set rec x0 x1 x2 x3 s).

(* Offset of the vector: from AArch32, from EL0, from EL1 with SP_EL0, from EL1 with its own stack pointer. *)
Definition mode (pstate : Z) : Z := Z.land pstate 0x1F.
Definition EL1T := 4.
Definition EL1H := 5.
Definition vector (pstate : Z) : Z :=
  if negb (Z.land (mode pstate) 0x10 =? 0) then 0x600
  else if mode pstate =? 0 then 0x400
  else if mode pstate =? EL1T then 0 else 0x200.

(* PSTATE of the handler: NZCV, DIT and PAN stay, DAIF set, EL1h; PAN set unless SCTLR_EL1.SPAN, SSBS as DSSBS. *)
Definition handler_pstate (pstate sctlr : Z) : Z :=
  let p := Z.lor (Z.lor (Z.land pstate 0xF1400000) 0x3C0) EL1H in
  let p := if Z.land sctlr 0x800000 =? 0 then Z.lor p 0x400000 else p in
  if negb (Z.land sctlr 0x100000000000 =? 0) then Z.lor p 0x1000 else p.

(* A synchronous exception to EL1, as if the instruction at pc had caused it. *)
Definition injected (rec esr pc : Z) (s : state) : state :=
  let pstate := rec_get REC_pstate rec 0 s in
  rec_set REC_pstate rec 0 (handler_pstate pstate (el1_get rec SCTLR_EL1 s))
    (rec_set REC_pc rec 0 (wrap U64 (el1_get rec VBAR_EL1 s + vector pstate))
      (el1_set rec ESR_EL1 esr (el1_set rec SPSR_EL1 pstate (el1_set rec ELR_EL1 pc s)))).

Definition ESR_IL := 0x2000000.
Definition undef_injected (rec pc : Z) (s : state) : state := injected rec ESR_IL pc s.

(* A synchronous external abort for the stage 2 abort esr: FnV, S1PTW and FSC go, EA and FSC are set; the class is
   the next one if it comes from EL1. *)
Definition sea_syndrome (pstate esr : Z) : Z :=
  let syndrome := Z.lor (Z.land esr (0xFFFFFFFFFFFFFFFF - 0x4BF)) 0x210 in
  if (mode pstate =? EL1T) || (mode pstate =? EL1H) then wrap U64 (syndrome + 0x4000000) else syndrome.
Definition sea_injected (rec esr far : Z) (s : state) : state :=
  injected rec (sea_syndrome (rec_get REC_pstate rec 0 s) esr) (rec_get REC_pc rec 0 s) (el1_set rec FAR_EL1 far s).
