(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: the host's memory. RMI_GRANULE_DELEGATE and RMI_GRANULE_UNDELEGATE (DEN0137 B4.3.3,
   B4.3.4) and their ranged forms. *)
From kcore Require Export spec.Inv.
Local Open Scope Z_scope.

Definition RMI_SUCCESS := 0.
Definition RMI_ERROR_INPUT := 1.
Definition CTR_DELEGATED := 11.

(* The host's tables without one granule, or with it again. *)
Definition host_unmapped (pa : Z) (s : state) : state :=
  let base := floor_of 2 pa in
  let t2 := host_table (hw s) 2 pa in
  let t3 := host_table (hw s) 3 pa in
  let m := set_word (mem s) t3 (slot_of 3 pa) 0 in
  with_holes (<[base := default 0 (holes s !! base) + 1]> (holes s))
    (with_mem (set_word m t2 (slot_of 2 pa) (table_desc t3)) s).

Definition host_mapped (pa : Z) (s : state) : state :=
  let base := floor_of 2 pa in
  let n := default 0 (holes s !! base) - 1 in
  let m := set_word (mem s) (host_table (hw s) 3 pa) (slot_of 3 pa) (host_page pa) in
  with_holes (<[base := n]> (holes s))
    (with_mem (if n =? 0 then set_word m (host_table (hw s) 2 pa) (slot_of 2 pa) (host_block base) else m) s).

Definition counted (i n : Z) (s : state) : state :=
  with_counters (<[i := wrap U64 (counter s i + n)]> (counters s)) s.

(* Delegate: the granule is tracked, the host's, nobody is changing it, and no realm maps it. It leaves the
   host's tables, is wiped, and is nobody's. *)
Definition delegate (pa : Z) (s : state) : Z * state :=
  if claimable GS_NS pa s && (g_refs (granule_at s pa) =? 0) then
    (RMI_SUCCESS, counted CTR_DELEGATED 1
      (set_granule pa (Gran GS_DELEGATED 0 0) (put_page pa zero_page (host_unmapped pa s))))
  else (RMI_ERROR_INPUT, s).

(* Undelegate: the granule is tracked, DELEGATED, and nobody is changing it. *)
Definition undelegate (pa : Z) (s : state) : Z * state :=
  if claimable GS_DELEGATED pa s then
    (RMI_SUCCESS, counted CTR_DELEGATED (2 ^ 64 - 1) (host_mapped pa (set_granule pa (Gran GS_NS 0 0) s)))
  else (RMI_ERROR_INPUT, s).
