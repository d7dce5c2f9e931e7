(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/table.h *)
From kcore Require Export refine.Tactics lang.Bits spec.Table.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem s2_is_valid_ok d s : core "s2_is_valid" [d] s = Some ([b2z (is_valid d)], s).
Proof. enter f_s2_is_valid. reflexivity. Qed.

Theorem s2_is_table_ok level d s : core "s2_is_table" [level; d] s = Some ([b2z (is_table level d)], s).
Proof. enter f_s2_is_table. reflexivity. Qed.

Ltac by_level level :=
  destruct (level =? 0); [|destruct (level =? 1); [|destruct (level =? 2)]].

Theorem s2_size_ok level s : core "s2_size" [level] s = Some ([size_of level], s).
Proof. enter f_s2_size. unfold size_of, shift_of. by_level level; reflexivity. Qed.

Theorem s2_index_ok level ipa s : core "s2_index" [level; ipa] s = Some ([index_of level ipa], s).
Proof.
  enter f_s2_index. unfold index_of, size_of, shift_of.
  by_level level; rewrite shr by lia; reflexivity.
Qed.

Theorem s2_slot_ok level ipa s : core "s2_slot" [level; ipa] s = Some ([slot_of level ipa], s).
Proof. enter f_s2_slot. unfold slot_of, shift_of. by_level level; reflexivity. Qed.

Theorem s2_aligned_ok level ipa s : core "s2_aligned" [level; ipa] s = Some ([b2z (aligned_to level ipa)], s).
Proof.
  enter f_s2_aligned. unfold aligned_to, size_of, shift_of.
  by_level level; [rewrite (land_low 39)|rewrite (land_low 30)|rewrite (land_low 21)|rewrite (land_low 12)];
    reflexivity || lia.
Qed.

Theorem s2_floor_ok level ipa s : u64 ipa -> core "s2_floor" [level; ipa] s = Some ([floor_of level ipa], s).
Proof.
  intros H. enter f_s2_floor. unfold floor_of, size_of, shift_of.
  by_level level; [rewrite (land_high 39)|rewrite (land_high 30)|rewrite (land_high 21)|rewrite (land_high 12)];
    (reflexivity || lia || exact H).
Qed.

Theorem s2_make_ok table i d s :
  may_write table i d s = true -> core "s2_make" [table; i; d] s = Some ([], after_write table i d s).
Proof. intros H. enter f_s2_make. prim; [reflexivity | exact H]. Qed.

(* The valid bit comes off. *)
Definition broken (d : Z) : Z := Z.land d 0xFFFFFFFFFFFFFFFE.

Theorem s2_break_ok table i d s :
  may_write table i (broken d) s = true ->
  core "s2_break" [table; i; d] s = Some ([], after_write table i (broken d) s).
Proof. intros H. enter f_s2_break. prim; [reflexivity | exact H]. Qed.
