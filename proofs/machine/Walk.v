(* SPDX-License-Identifier: Apache-2.0 *)
(* Descriptors, the hardware's walk of the host's stage 2 tables, and what reaches a granule: 4 KiB granule, three levels from
   level 1 (DDI0487 D8.2 translation process, D8.3 descriptor formats). Left out: attributes and
   permissions (the host's leaves have one value), access flag faults, output addresses beyond 48 bits. *)
From kcore Require Export machine.State.
Local Open Scope Z_scope.

Definition S2_VALID := 1.
Definition S2_TABLE := 3.
Definition S2_PAGE := 3.
Definition S2_BLOCK := 1.
Definition PA_MASK := 0xFFFFFFFFF000.

Definition is_valid (d : Z) : bool := negb (Z.land d 1 =? 0).
Definition is_table (level d : Z) : bool := (level <? 3) && (Z.land d 3 =? 3).
Definition out_addr (d : Z) : Z := Z.land d PA_MASK.

Definition shift_of (level : Z) : Z :=
  if level =? 0 then 39 else if level =? 1 then 30 else if level =? 2 then 21 else 12.
(* Slot for an address in its table; the address an entry starts at; the bytes that it covers. *)
Definition slot_of (level ipa : Z) : Z := Z.land (Z.shiftr ipa (shift_of level)) 511.
Definition size_of (level : Z) : Z := 2 ^ shift_of level.
Definition floor_of (level ipa : Z) : Z := ipa - ipa mod size_of level.

(* Where ipa is translated to, and the level of the leaf. *)
Definition walk_host (h : hardware) (m : gmap Z (list Z)) (a : agent) (ipa : Z) : option (Z * Z) :=
  let root := match a with Cpu => host_table h 1 ipa | Smmu => smmu_table h 1 ipa end in
  let d1 := word m root (slot_of 1 ipa) in
  if (root =? 0) || negb (is_valid d1) then None else
  if negb (is_table 1 d1) then Some (out_addr d1 + ipa mod size_of 1, 1) else
  let d2 := word m (out_addr d1) (slot_of 2 ipa) in
  if negb (is_valid d2) then None else
  if negb (is_table 2 d2) then Some (out_addr d2 + ipa mod size_of 2, 2) else
  let d3 := word m (out_addr d2) (slot_of 3 ipa) in
  if negb (is_valid d3) then None else Some (out_addr d3 + ipa mod size_of 3, 3).

(* May this stale entry still translate ipa for the agent? *)
Definition stale_covers (a : agent) (ipa : Z) (e : stale) : bool :=
  match e with
  | StaleHost b r base =>
      agent_eqb a b &&
      match r with RPage => floor_of 3 ipa =? base | RBlock | RTable => floor_of 2 ipa =? base end
  | StaleRealm _ _ _ _ => false
  end.

(* No CPU of the host's and no device can reach the page, now or through what it has cached. *)
Definition unreachable (s : state) (pa : Z) : bool :=
  match walk_host (hw s) (mem s) Cpu pa, walk_host (hw s) (mem s) Smmu pa with
  | None, None => negb (existsb (stale_covers Cpu pa) (staled s)) && negb (existsb (stale_covers Smmu pa) (staled s))
  | _, _ => false
  end.

(* ---- Realms ---- *)

(* A leaf of this level maps the granule; the levels above 3 map 512 times as much each. *)
Definition leaf_covers (level d pa : Z) : bool :=
  is_valid d && negb (is_table level d) && (out_addr d <=? pa) && (pa <? out_addr d + size_of level).
(* May a TLB entry left of what was broken reach the granule? Of a broken table entry, everything of the realm may
   be cached that its tables ever led to, so this one covers all. *)
Definition stale_reaches (pa : Z) (e : stale) : bool :=
  match e with
  | StaleHost _ _ _ => false
  | StaleRealm _ level _ d => is_table level d || leaf_covers level d pa
  end.
Definition no_realm_had (s : state) (pa : Z) : bool := negb (existsb (stale_reaches pa) (staled s)).
(* Does the entry above a table still point to it? Start tables have none above. *)
Definition stands (s : state) (table : Z) (p : place) : bool :=
  (p_parent p =? 0) || (word (mem s) (p_parent p) (slot_of (p_level p - 1) (p_base p)) =? Z.lor table S2_TABLE).
Definition mapped_by (s : state) (pa : Z) (e : Z * place) : bool :=
  stands s (fst e) (snd e) && existsb (fun d => leaf_covers (p_level (snd e)) d pa) (page (mem s) (fst e)).
(* No realm reaches the granule: no table that stands has a leaf for it, it is itself no such table (nor the RD, or a start
   table, of a realm of which a TLB may hold something), and nothing of it is left in a TLB. *)
Definition no_realm_reaches (s : state) (pa : Z) : bool :=
  no_realm_had s pa && negb (bool_decide (pa ∈ cached s)) && negb (existsb (mapped_by s pa) (map_to_list (places s))) &&
  match places s !! pa with
  | Some p => if p_parent p =? 0 then negb (bool_decide (p_rd p ∈ cached s)) else negb (stands s pa p)
  | None => true
  end.
