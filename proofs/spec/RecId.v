(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: what a realm reads of the CPU's ID registers (DDI0487 D23.2): features that work under KCore.
   Named here by their fields; what is not named is kept (..._KEEP) or reads zero. *)
From kcore Require Export machine.Machine.
Local Open Scope Z_scope.

(* ID_AA64PFR0_EL1: CSV3, CSV2 (at most CSV2_1), DIT, GIC, AdvSIMD, FP are kept; EL1 and EL0 are AArch64 only. *)
Definition PFR0_CSV3 := 0xF000000000000000.
Definition PFR0_CSV2 := 0x0F00000000000000.
Definition PFR0_CSV2_1 := 0x0100000000000000.
Definition PFR0_KEEP := 0x0F0F00000FFF0000.
Definition PFR0_EL0_EL1 := 0x11.
Definition id_pfr0 (raw : Z) : Z :=
  let kept := Z.land raw (Z.lor PFR0_KEEP PFR0_CSV3) in
  let csv2 := if PFR0_CSV2_1 <? Z.land kept PFR0_CSV2
              then Z.lor (Z.land kept (ones U64 - PFR0_CSV2)) PFR0_CSV2_1 else kept in
  Z.lor csv2 PFR0_EL0_EL1.

(* ID_AA64MMFR0_EL1: PARange at most 5 (48 bits); no 52-bit granules (LPA2). *)
Definition MMFR0_KEEP := 0x00000000FFFFFFF0.
Definition MMFR0_TGRAN4 := 0xF0000000.
Definition MMFR0_TGRAN16 := 0x00F00000.
Definition id_mmfr0 (raw : Z) : Z :=
  let range := Z.land raw 0xF in
  let kept := Z.land raw MMFR0_KEEP in
  let kept4 := if Z.land raw MMFR0_TGRAN4 =? 0x10000000 then Z.land kept (ones U64 - MMFR0_TGRAN4) else kept in
  let kept16 := if Z.land raw MMFR0_TGRAN16 =? 0x00200000
                then Z.lor (Z.land kept4 (ones U64 - MMFR0_TGRAN16)) 0x00100000 else kept4 in
  Z.lor kept16 (if 5 <? range then 5 else range).

(* ID_AA64MMFR1_EL1: HAFDBS at most 2. *)
Definition id_mmfr1 (raw : Z) : Z :=
  let hafdbs := Z.land raw 0xF in
  Z.lor (Z.land raw 0xF000F0F000F0F000) (if 2 <? hafdbs then 2 else hafdbs).

(* ID register S3_0_C0_C<crm>_<op2>. *)
Definition id_seen (crm op2 raw : Z) : Z :=
  if (crm =? 4) && (op2 =? 0) then id_pfr0 raw
  else if (crm =? 4) && (op2 =? 1) then Z.land raw 0xFF                      (* PFR1: SSBS, BT *)
  else if (crm =? 5) && (op2 =? 0) then 0x101006                             (* DFR0 *)
  else if (crm =? 6) && (op2 =? 0) then Z.land raw (ones U64 - 0x0F000000)   (* ISAR0: not TME *)
  else if (crm =? 6) && (op2 =? 1) then Z.land raw 0x00FFFFFFFFFFFFFF        (* ISAR1: not LS64, XS *)
  else if (crm =? 7) && (op2 =? 0) then id_mmfr0 raw
  else if (crm =? 7) && (op2 =? 1) then id_mmfr1 raw
  else if (crm =? 7) && (op2 =? 2) then Z.land raw 0xF0FF000FF0F00FFF        (* MMFR2 *)
  else 0.
