(* SPDX-License-Identifier: Apache-2.0 *)
(* What holds between handlers: the host's tables and the granule table agree. It is about what KCore
   alone writes, so no lock is mentioned: a handler finds it, and leaves it. *)
From kcore Require Export machine.Machine spec.Table.
Local Open Scope Z_scope.

Definition HOST_RAM := 0x7FC. (* access flag, inner shareable, read and write, normal memory *)
Definition host_page (pa : Z) : Z := Z.lor (Z.lor pa HOST_RAM) S2_PAGE.
Definition host_block (base : Z) : Z := Z.lor (Z.lor base HOST_RAM) S2_BLOCK.
Definition table_desc (t : Z) : Z := Z.lor t S2_TABLE.

Definition is_ns (g : gmap Z granule) (pa : Z) : bool :=
  match g !! pa with Some x => g_state x =? GS_NS | None => false end.

(* The granules of the 2 MiB at base, by number; those that are not the host's. *)
Definition nth_granule (base i : Z) : Z := base + i * 4096.
Definition hole_list (g : gmap Z granule) (base : Z) : list Z :=
  List.filter (fun i => negb (is_ns g (nth_granule base i))) granules_2m.
Definition hole_count (g : gmap Z granule) (base : Z) : Z := Z.of_nat (length (hole_list g base)).

(* An address of 2 MiB of tracked memory. *)
Definition region (g : gmap Z granule) (base : Z) : Prop :=
  base mod 0x200000 = 0 /\ 0 <= base < 2 ^ 40 /\ exists i, 0 <= i < 512 /\ is_Some (g !! nth_granule base i).

Definition table_ok (h : hardware) (g : gmap Z granule) (t : Z) (r : role) : Prop :=
  0 < t < 2 ^ 48 /\ t mod 4096 = 0 /\ role_of h t = Some r /\
  (forall x, g !! t = Some x -> g_state x = GS_CORE).

(* The tables behind a region (boot made them): of the CPUs, and of the SMMU if there is one. *)
Record wired (h : hardware) (g : gmap Z granule) (base : Z) : Prop := Wired {
  w_near : forall ipa level, floor_of 2 ipa = base ->
      host_table h level ipa = host_table h level base /\ smmu_table h level ipa = smmu_table h level base;
  w_t1 : table_ok h g (host_table h 1 base) (Role (Some Cpu) 1 (floor_of 0 base));
  w_t2 : table_ok h g (host_table h 2 base) (Role (Some Cpu) 2 (floor_of 1 base));
  w_t3 : table_ok h g (host_table h 3 base) (Role None 3 base);
  w_s1 : smmu_table h 1 base <> 0 -> table_ok h g (smmu_table h 1 base) (Role (Some Smmu) 1 (floor_of 0 base));
  w_s2 : smmu_table h 1 base <> 0 -> table_ok h g (smmu_table h 2 base) (Role (Some Smmu) 2 (floor_of 1 base));
  w_s0 : smmu_table h 1 base = 0 -> smmu_table h 2 base = 0;
}.

(* Their contents: the CPUs' level 2 entry is a block exactly while nothing is missing. *)
Record mapped (h : hardware) (g : gmap Z granule) (m : gmap Z (list Z)) (ho : gmap Z Z) (base : Z) : Prop := Mapped {
  m_1 : word m (host_table h 1 base) (slot_of 1 base) = table_desc (host_table h 2 base);
  m_2 : word m (host_table h 2 base) (slot_of 2 base) =
      if hole_count g base =? 0 then host_block base else table_desc (host_table h 3 base);
  m_3 : forall i, 0 <= i < 512 ->
      word m (host_table h 3 base) i = if is_ns g (nth_granule base i) then host_page (nth_granule base i) else 0;
  m_s1 : smmu_table h 1 base <> 0 -> word m (smmu_table h 1 base) (slot_of 1 base) = table_desc (smmu_table h 2 base);
  m_s2 : smmu_table h 1 base <> 0 -> word m (smmu_table h 2 base) (slot_of 2 base) = table_desc (host_table h 3 base);
  m_holes : ho !! base = Some (hole_count g base);
}.

Record inv (s : state) : Prop := Inv {
  i_mem : mem_ok (mem s);
  i_gran : forall pa g, gran s !! pa = Some g ->
      0 < pa < 2 ^ 40 /\ pa mod 4096 = 0 /\ 0 <= g_refs g <= REFS_MAX;
  i_wired : forall base, region (gran s) base -> wired (hw s) (gran s) base;
  i_mapped : forall base, region (gran s) base -> mapped (hw s) (gran s) (mem s) (holes s) base;
  (* nobody's granules are zero, have no owner and no references *)
  i_zero : forall pa g, gran s !! pa = Some g -> g_state g = GS_DELEGATED ->
      page (mem s) pa = zero_page /\ g_owner g = 0 /\ g_refs g = 0;
}.

(* Between two handlers this CPU holds nothing, and nothing broken is waiting for its invalidation. *)
Definition idle (s : state) : Prop := held s = [] /\ shrinking s = false /\ staled s = [].
