(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/table.h: geometry of stage 2 tables. is_valid, is_table, slot_of, size_of and floor_of are
   the hardware walker's own (machine/Walk.v). *)
From kcore Require Export machine.Walk.
Local Open Scope Z_scope.

(* Number of the entry for ipa, counted from address 0 over all tables of a level. *)
Definition index_of (level ipa : Z) : Z := ipa / size_of level.
Definition aligned_to (level ipa : Z) : bool := ipa mod size_of level =? 0.
