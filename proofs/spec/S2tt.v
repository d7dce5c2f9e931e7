(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/s2tt.c: what the entries of a realm's tables mean. DEN0137 A5.5: an entry's state (HIPAS) and
   RIPAS; how they are coded is the core's. *)
From kcore Require Export spec.Table.
Local Open Scope Z_scope.

Definition RIPAS_EMPTY := 0.
Definition RIPAS_RAM := 1.
Definition RIPAS_DESTROYED := 2.

Definition K_UNASSIGNED := 0.
Definition K_ASSIGNED := 1.
Definition K_UNASSIGNED_NS := 2.
Definition K_ASSIGNED_NS := 3.
Definition K_TABLE := 4.

Definition NS_BIT := 2 ^ 55.
Definition ASSIGNED_BIT := 4.
(* Access flag, inner shareable, read and write, normal memory: HIPAS ASSIGNED, RIPAS RAM. *)
Definition PROTECTED := 0x7FC.
Definition MEM_NORMAL := 0x3C.
Definition AF_SH := 0x700.
Definition XN := 2 ^ 54.

Definition leaf_type (level : Z) : Z := if level =? 3 then S2_PAGE else S2_BLOCK.

Definition unassigned (ripas : Z) : Z := 8 * ripas.
Definition unassigned_ns : Z := NS_BIT.
Definition assigned (level pa ripas : Z) : Z :=
  if ripas =? RIPAS_RAM then Z.lor (Z.lor pa PROTECTED) (leaf_type level)
  else Z.lor (Z.lor pa ASSIGNED_BIT) (8 * ripas).

Definition has_ns_bit (d : Z) : bool := negb (Z.land d NS_BIT =? 0).
Definition has_assigned_bit (d : Z) : bool := negb (Z.land d ASSIGNED_BIT =? 0).

Definition kind (level d : Z) : Z :=
  if is_table level d then K_TABLE
  else if is_valid d then (if has_ns_bit d then K_ASSIGNED_NS else K_ASSIGNED)
  else if has_ns_bit d then K_UNASSIGNED_NS
  else if has_assigned_bit d then K_ASSIGNED
  else K_UNASSIGNED.

Definition ripas (d : Z) : Z := if is_valid d then RIPAS_RAM else Z.shiftr (Z.land d 0x18) 3.
Definition is_live (k : Z) : bool := (k =? K_TABLE) || (k =? K_ASSIGNED) || (k =? K_ASSIGNED_NS).

(* The host's descriptor for MAP_UNPROTECTED (DEN0137 A5.5.9): address, MemAttr[2:0] of FWB, S2AP. *)
Definition host_memattr (host : Z) : Z := Z.shiftr (Z.land host 0x1C) 2.
Definition ns_ok (level host : Z) : bool :=
  (Z.land host (0xFFFFFFFFFFFFFFFF - PA_MASK - 0x1C - 0xC0) =? 0) &&
  aligned_to level (out_addr host) && negb (host_memattr host =? 4).

(* Without FWB: device types stay, 5 is non-cacheable, the others normal (DDI0487 D8.6.5). *)
Definition memattr_of (fwb : Z) : Z :=
  if fwb <? 4 then 4 * fwb else if fwb =? 5 then 0x14 else MEM_NORMAL.
Definition assigned_ns (level host : Z) : Z :=
  let fwb := host_memattr host in
  Z.lor (Z.lor (Z.lor (Z.lor (Z.lor (Z.lor (Z.lor (Z.land host (Z.lor PA_MASK 0xC0)) (memattr_of fwb))
    (fwb * 2 ^ 56)) 0x400) 0x300) XN) NS_BIT) (leaf_type level).
Definition ns_host (d : Z) : Z :=
  Z.lor (Z.land d (Z.lor PA_MASK 0xC0)) (4 * Z.land (Z.shiftr d 56) 7).

(* Entry i of a table of this level that says what the entry d one level above says. *)
Definition child (level d i : Z) : Z :=
  let k := kind (level - 1) d in
  let pa := wrap U64 (out_addr d + wrap U64 (i * size_of level)) in
  if k =? K_ASSIGNED then assigned level pa (ripas d)
  else if k =? K_ASSIGNED_NS then assigned_ns level (Z.lor pa (Z.land (ns_host d) (0xFFFFFFFFFFFFFFFF - PA_MASK)))
  else d.
(* The entry one level above that says what the first entry of a table of this level says. *)
Definition parent (level first : Z) : Z :=
  let k := kind level first in
  if k =? K_ASSIGNED then assigned (level - 1) (out_addr first) (ripas first)
  else if k =? K_ASSIGNED_NS then assigned_ns (level - 1) (ns_host first)
  else first.
