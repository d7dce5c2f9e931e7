(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: boot maps DRAM and devices for the host. *)
From kcore Require Export spec.HostBoot.
Local Open Scope Z_scope.

Definition DEVICE_ATTR := 0x400000000004C4.   (* access flag, read and write, never executed, device memory *)
Definition device_block (pa : Z) : Z := Z.lor (Z.lor pa DEVICE_ATTR) S2_BLOCK.
Definition device_page (pa : Z) : Z := Z.lor (Z.lor pa DEVICE_ATTR) S2_PAGE.

(* The level 1 table t1 points to t2 for ipa; it may have before. *)
Definition boot_pointed (ipa t1 t2 : Z) (s : state) : state :=
  with_mem (if word (mem s) t1 (slot_of 1 ipa) =? 0 then set_word (mem s) t1 (slot_of 1 ipa) (table_desc t2) else mem s) s.

(* The level 3 table t3 of the 2 MiB at base, with this many holes, below the tables above it. *)
Definition boot_placed (base t3 n : Z) (s : state) : state :=
  let s1 := boot_pointed base (host_table (hw s) 1 base) (host_table (hw s) 2 base) s in
  let s2 := put_word (host_table (hw s) 2 base) (slot_of 2 base) (if n =? 0 then host_block base else table_desc t3)
    (with_holes (<[floor_of 2 base := n]> (holes s1)) s1) in
  if smmu_table (hw s) 1 base =? 0 then s2
  else put_word (smmu_table (hw s) 2 base) (slot_of 2 base) (table_desc t3)
    (boot_pointed base (smmu_table (hw s) 1 base) (smmu_table (hw s) 2 base) s2).

(* A device's 2 MiB or page. *)
Definition boot_device (ipa level : Z) (s : state) : state :=
  let t2 := host_table (hw s) 2 ipa in
  let t3 := host_table (hw s) 3 ipa in
  let s1 := boot_pointed ipa (host_table (hw s) 1 ipa) t2 s in
  if level =? 2 then put_word t2 (slot_of 2 ipa) (device_block (floor_of level ipa)) s1
  else put_word t3 (slot_of 3 ipa) (device_page (floor_of level ipa))
    (if word (mem s1) t2 (slot_of 2 ipa) =? 0 then put_word t2 (slot_of 2 ipa) (table_desc t3) s1 else s1).
