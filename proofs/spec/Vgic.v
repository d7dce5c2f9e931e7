(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/vgic.c: list registers that the host may give a realm, and what it gets back (DEN0137 A6.1,
   GIC: IHI0069 12.4). *)
From kcore Require Export machine.Machine lang.Seq.
Local Open Scope Z_scope.

Definition sixteen : list Z := below 16.

Definition num_lrs (s : state) : Z :=
  let n := Z.land (vtr (hw s)) 31 + 1 in if 16 <? n then 16 else n.

(* Bits of the priority field that this CPU does not implement (ICH_VTR_EL2.PRIbits). *)
Definition priority_res0 (vtr : Z) : Z :=
  let bits := Z.land (Z.shiftr vtr 29) 7 + 1 in
  if bits <=? 4 then 2 ^ 48 * 15 else if bits =? 5 then 2 ^ 48 * 7 else if bits =? 6 then 2 ^ 48 * 3
  else if bits =? 7 then 2 ^ 48 else 0.

(* SGI, PPI, SPI, or LPI within the identifier bits of this CPU. *)
Definition intid_ok (vtr intid : Z) : bool :=
  (intid <? 1020) || (negb (intid <? 8192) &&
    (intid <? if Z.land (Z.shiftr vtr 23) 7 =? 0 then 2 ^ 16 else 2 ^ 24)).

Definition lr (i : Z) (s : state) : Z := run_in IN_gicv3_lr i s.
Definition lr_used (v : Z) : bool := negb (Z.land v (3 * 2 ^ 62) =? 0).
Definition lr_intid (v : Z) : Z := Z.land v 0xFFFFFFFF.

(* Is this the interrupt of one of the list registers before n? *)
Definition seen_before (n intid : Z) (upto : nat) (s : state) : bool :=
  existsb (fun i => (i <? n) && (lr_used (lr i s) && (lr_intid (lr i s) =? intid))) (below upto).
Definition intid_seen (n intid : Z) (s : state) : bool := seen_before n intid 16 s.

(* HW, the physical INTID but its EOI bit, and priority bits that do not exist must be clear. *)
Definition lr_forbidden (vtr : Z) : Z := Z.lor 0x20001DFF00000000 (priority_res0 vtr).

(* May the host use list register n as the run page has it? An unused one may hold anything. *)
Definition lr_ok (vtr n : Z) (s : state) : bool :=
  let v := lr n s in
  negb (lr_used v) ||
  ((Z.land v (lr_forbidden vtr) =? 0) && (intid_ok vtr (lr_intid v) && negb (intid_seen n (lr_intid v) s))).

(* ICH_HCR_EL2 as the host wants it: UIE, LRENPIE, NPIE, VGrp[01][ED]IE, TDIR; and every list register. *)
Definition hcr_ok (hcr : Z) : bool := Z.land hcr (0xFFFFFFFFFFFFFFFF - 0x40FE) =? 0.
Definition lrs_ok (upto : nat) (s : state) : bool :=
  forallb (fun i => negb (i <? num_lrs s) || lr_ok (vtr (hw s)) i s) (below upto).
Definition entry_ok (s : state) : bool := hcr_ok (run_in IN_gicv3_hcr 0 s) && lrs_ok 16 s.

(* ---- Into a REC and out of it ---- *)

Definition HCR_HOST := 0x40FE.
Definition HCR_EOICOUNT := 0xF8000000.

(* From the run page into a REC that is not loaded: the host's bits and En; EOIcount goes on. *)
Definition lr_given (rec i : Z) (s : state) : state :=
  if i <? num_lrs s then rec_set REC_ich_lr rec i (lr i s) s else s.
Definition gic_entered (rec : Z) (s : state) : state :=
  fold_left (fun s i => lr_given rec i s) (below 16)
    (rec_set REC_ich_hcr rec 0
      (Z.lor (Z.lor (run_in IN_gicv3_hcr 0 s) 1) (Z.land (rec_get REC_ich_hcr rec 0 s) HCR_EOICOUNT)) s).

(* What the host is shown at every exit: its bits and EOIcount, maintenance status, priority mask and group
   enables, and the list registers. *)
Definition lr_shown (rec i : Z) (s : state) : state :=
  if i <? num_lrs s then run_out OUT_gicv3_lr i (rec_get REC_ich_lr rec i s) s else s.
Definition gic_shown (rec : Z) (s : state) : state :=
  fold_left (fun s i => lr_shown rec i s) (below 16)
    (run_out OUT_gicv3_vmcr 0 (rec_get REC_ich_vmcr rec 0 s)
      (run_out OUT_gicv3_misr 0 (rec_get REC_ich_misr rec 0 s)
        (run_out OUT_gicv3_hcr 0 (Z.land (rec_get REC_ich_hcr rec 0 s) (Z.lor HCR_HOST HCR_EOICOUNT)) s))).
