(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: ID registers *)
From kcore Require Export refine.Steps spec.RecId.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem rec_id_pfr0_ok raw s : core "rec_id_pfr0" [raw] s = Some ([id_pfr0 raw], s).
Proof.
  enter f_rec_id_pfr0. unfold id_pfr0.
  change (Z.lor PFR0_KEEP PFR0_CSV3) with 18378908604590653440.
  change PFR0_CSV2 with 1080863910568919040. change PFR0_CSV2_1 with 72057594037927936.
  destruct (72057594037927936 <? _); reflexivity.
Qed.

Theorem rec_id_mmfr0_ok raw s : core "rec_id_mmfr0" [raw] s = Some ([id_mmfr0 raw], s).
Proof.
  enter f_rec_id_mmfr0. unfold id_mmfr0. 
  change MMFR0_KEEP with 4294967280. change MMFR0_TGRAN4 with 4026531840. change MMFR0_TGRAN16 with 15728640.
  destruct (5 <? Z.land raw 15); destruct (Z.land raw 4026531840 =? 268435456);
    destruct (Z.land raw 15728640 =? 2097152); reflexivity.
Qed.

Theorem rec_id_mmfr1_ok raw s : core "rec_id_mmfr1" [raw] s = Some ([id_mmfr1 raw], s).
Proof. enter f_rec_id_mmfr1. unfold id_mmfr1. destruct (2 <? Z.land raw 15); reflexivity. Qed.

Theorem rec_id_reg_ok crm op2 s :
  core "rec_id_reg" [crm; op2] s = Some ([id_seen crm op2 (id_register (hw s) crm op2)], s).
Proof.
  enter f_rec_id_reg. step. after rec_id_pfr0_ok. after rec_id_mmfr0_ok. after rec_id_mmfr1_ok. unfold id_seen.
  destruct ((crm =? 4) && (op2 =? 0)); [reflexivity|]. destruct ((crm =? 4) && (op2 =? 1)); [reflexivity|].
  destruct ((crm =? 5) && (op2 =? 0)); [reflexivity|]. destruct ((crm =? 6) && (op2 =? 0)); [reflexivity|].
  destruct ((crm =? 6) && (op2 =? 1)); [reflexivity|]. destruct ((crm =? 7) && (op2 =? 0)); [reflexivity|].
  destruct ((crm =? 7) && (op2 =? 1)); [reflexivity|]. destruct ((crm =? 7) && (op2 =? 2)); reflexivity.
Qed.
