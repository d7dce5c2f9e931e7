(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: the commands that change a realm's tables (DEN0137 A5.5, B4.3.16 to B4.3.24). *)
From kcore Require Export spec.Rtt.
From kcore Require Export spec.GranuleRange.
From kcore Require Export spec.RecObject.
Local Open Scope Z_scope.

(* ---- Taking tables away ---- *)

(* What entry i of a table maps of the host's is unpinned, if it maps such pages. *)
Definition ns_freed (rd level table i : Z) (s : state) : state :=
  let d := word (mem s) table i in
  if kind level d =? K_ASSIGNED_NS
  then shared_added rd (- pages_at level) (pins_dropped (Z.to_nat (pages_at level)) (out_addr d) s)
  else s.
Definition ns_dropped (rd level table : Z) (s : state) : state := each_below 512 (ns_freed rd level table) s.
(* The first n start tables, from base on. *)
Definition start_freed (rd level base : Z) (n : nat) (s : state) : state :=
  each_below n (fun t s => scrubbed (base + t * 4096) (ns_dropped rd level (base + t * 4096) s)) s.

Definition entry_put (w : walked) (d : Z) (s : state) : state := put_word (w_table w) (w_slot w) d s.
(* No CPU caches anything of a realm of this VMID without a REC. *)
Definition uncached (vmid : Z) (s : state) : state :=
  with_cached (base.filter (fun rd => runs_no_more s vmid rd = false) (cached s)) s.

(* ---- RMI_RTT_MAP_UNPROTECTED: status; RMI_RTT_UNMAP_UNPROTECTED: status, and where to go on ---- *)

Definition map_locked (rd ipa level host : Z) (s : state) : Z * state :=
  let w := walk rd ipa level s in
  if negb (ns_ok level host) || negb (unprotected_ok rd ipa level s) then (RMI_ERROR_INPUT, s)
  else if negb (w_level w =? level) || negb (w_kind w =? K_UNASSIGNED_NS) then (status_rtt (w_level w), s)
  else if rd_of s RD_max_shared rd <? wrap U64 (rd_of s RD_pages_shared rd + pages_at level) then (KCORE_ERROR_POLICY, s)
  else
    let (pinned, s1) := pin_all (Z.to_nat (pages_at level)) (out_addr host) s in
    if pinned =? 0 then (RMI_ERROR_INPUT, s)
    else (RMI_SUCCESS, shared_added rd (pages_at level) (entry_put w (assigned_ns level host) s1)).
Definition map_unprotected (rd ipa level host : Z) (s : state) : Z * state :=
  if (level <? 2) || (3 <? level) || negb (has_state GS_RD rd s) then (RMI_ERROR_INPUT, s)
  else map_locked rd ipa level host s.

Definition unmapped (rd level : Z) (w : walked) (s : state) : state :=
  shared_added rd (- pages_at level)
    (pins_dropped (Z.to_nat (pages_at level)) (out_addr (w_desc w)) (entry_put w unassigned_ns s)).
Definition unmap_locked (rd ipa level : Z) (s : state) : list Z * state :=
  let w := walk rd ipa level s in
  if negb (unprotected_ok rd ipa level s) then (refused RMI_ERROR_INPUT, s)
  else if negb (w_level w =? level) || negb (w_kind w =? K_ASSIGNED_NS)
  then ([status_rtt (w_level w); walk_top (mem s) w ipa; 0; 0; 0], s)
  else
    let s1 := unmapped rd level w s in
    ([RMI_SUCCESS; walk_top (mem s1) w ipa; 0; 0; 0], s1).
Definition unmap_unprotected (rd ipa level : Z) (s : state) : list Z * state :=
  if (level <? 1) || (3 <? level) || negb (has_state GS_RD rd s) then (refused RMI_ERROR_INPUT, s)
  else unmap_locked rd ipa level s.

(* ---- RMI_RTT_CREATE: status; RMI_RTT_DESTROY: status, the table, where to go on; RMI_RTT_FOLD: status, the table ---- *)

(* Is a table of this level there, below the entry w where the walk to it ended? *)
Definition table_there (level : Z) (w : walked) : bool := (w_level w =? level - 1) && (w_kind w =? K_TABLE).

(* The granule becomes a table of this level below the entry w, and says what the entry said. *)
Definition table_made (rd rtt ipa level : Z) (w : walked) (s : state) : state :=
  let owned := w_kind w =? K_ASSIGNED in
  let s := entry_put w (table_desc rtt) (unfolded rtt level (w_desc w) s) in
  let s := with_places (<[rtt := Place rd level ipa (w_table w)]> (places s))
    (set_granule rtt (Gran GS_RTT rd (if owned then 512 else 0)) s) in
  if owned then s else refs_added (w_table w) 1 s.
Definition create_locked (rd rtt ipa level : Z) (s : state) : Z * state :=
  let w := walk rd ipa (level - 1) s in
  if negb (table_possible rd ipa level s) then (RMI_ERROR_INPUT, s)
  else if negb (w_level w =? level - 1) || (w_kind w =? K_TABLE) then (status_rtt (w_level w), s)
  else (RMI_SUCCESS, table_made rd rtt ipa level w s).
Definition rtt_created (rd rtt ipa level : Z) (s : state) : Z * state :=
  if has_state GS_RD rd s && claimable GS_DELEGATED rtt s then create_locked rd rtt ipa level s
  else (RMI_ERROR_INPUT, s).

(* What stands for a table that has gone. *)
Definition entry_freed (rd ipa : Z) (s : state) : Z :=
  if in_par rd ipa s then unassigned RIPAS_DESTROYED else unassigned_ns.
(* The table goes: nothing of it is left in TLBs; what it maps of the host's is unpinned. *)
Definition table_gone (rd level : Z) (w : walked) (freed : Z) (s : state) : state :=
  let child := out_addr (w_desc w) in
  scrubbed child (ns_dropped rd level child
    (refs_added (w_table w) (2 ^ 64 - 1) (uncached (rd_of s RD_vmid rd) (entry_put w freed s)))).
Definition destroy_locked (rd ipa level : Z) (s : state) : list Z * state :=
  let w := walk rd ipa (level - 1) s in
  let child := out_addr (w_desc w) in
  if negb (table_possible rd ipa level s) then (refused RMI_ERROR_INPUT, s)
  else if negb (table_there level w) then ([status_rtt (w_level w); 0; walk_top (mem s) w ipa; 0; 0], s)
  else if negb (refs_of child s =? 0) then ([status_rtt level; 0; ipa; 0; 0], s)
  else
    let s1 := table_gone rd level w (entry_freed rd ipa s) s in
    ([RMI_SUCCESS; child; walk_top (mem s1) w ipa; 0; 0], s1).
Definition rtt_destroyed (rd ipa level : Z) (s : state) : list Z * state :=
  if has_state GS_RD rd s then destroy_locked rd ipa level s else (refused RMI_ERROR_INPUT, s).

(* The table goes, and the entry above says what it said. *)
Definition table_folded (rd level : Z) (w : walked) (s : state) : state :=
  let child := out_addr (w_desc w) in
  let first := word (mem s) child 0 in
  let s1 := entry_put w (parent level first) (uncached (rd_of s RD_vmid rd) (entry_put w 0 s)) in
  scrubbed child (if kind level first =? K_ASSIGNED then s1 else refs_added (w_table w) (2 ^ 64 - 1) s1).
Definition fold_locked (rd ipa level : Z) (s : state) : list Z * state :=
  let w := walk rd ipa (level - 1) s in
  let child := out_addr (w_desc w) in
  let first := word (mem s) child 0 in
  if negb (table_possible rd ipa level s) then (refused RMI_ERROR_INPUT, s)
  else if negb (table_there level w) then (refused (status_rtt (w_level w)), s)
  else if kind level first =? K_TABLE then (refused (status_rtt level), s)
  else if negb (fold_check child level (parent level first) s =? RMI_SUCCESS)
  then (refused (fold_check child level (parent level first) s), s)
  else ([RMI_SUCCESS; child; 0; 0; 0], table_folded rd level w s).
Definition rtt_folded (rd ipa level : Z) (s : state) : list Z * state :=
  if has_state GS_RD rd s then fold_locked rd ipa level s else (refused RMI_ERROR_INPUT, s).
