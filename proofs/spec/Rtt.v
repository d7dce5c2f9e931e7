(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: realm translation tables (DEN0137 A5.5, B4.3.16 to B4.3.24). *)
From kcore Require Export spec.Hostmem spec.Ipa spec.Granule lang.Seq.
Local Open Scope Z_scope.

(* ---- The walk ---- *)

(* Where a walk ended: the entry, and what it says. *)
Record walked := Walked { w_level : Z; w_table : Z; w_slot : Z; w_desc : Z }.
Definition w_kind (w : walked) : Z := kind (w_level w) (w_desc w).
Definition entry_at (m : gmap Z (list Z)) (level table slot : Z) : walked := Walked level table slot (word m table slot).

(* From the entry w on, at most n tables down: towards the entry for ipa at a level, to there or to the first entry
   that is no table. *)
Fixpoint walk_on (m : gmap Z (list Z)) (ipa level : Z) (n : nat) (w : walked) : walked :=
  match n with
  | O => w
  | S n =>
      if is_table (w_level w) (w_desc w) && (w_level w <? level)
      then walk_on m ipa level n (entry_at m (w_level w + 1) (out_addr (w_desc w)) (slot_of (w_level w + 1) ipa))
      else w
  end.
(* Start tables are concatenated: their entries are numbered through. *)
Definition walk_start (rd ipa : Z) (s : state) : walked :=
  let level := rd_of s RD_start_level rd in
  entry_at (mem s) level (rd_of s RD_rtt_base rd + index_of level ipa / 512 * 4096) (slot_of level ipa).
Definition walk (rd ipa level : Z) (s : state) : walked := walk_on (mem s) ipa level 3 (walk_start rd ipa s).

(* Where the host goes on: ipa itself if the entry is live, or else the next live one or the table's end. *)
Fixpoint dead_run (level : Z) (l : list Z) : Z :=
  match l with [] => 0 | d :: l => if is_live (kind level d) then 0 else 1 + dead_run level l end.
Definition walk_top (m : gmap Z (list Z)) (w : walked) (ipa : Z) : Z :=
  if is_live (kind (w_level w) (word m (w_table w) (w_slot w))) then ipa
  else floor_of (w_level w) ipa +
       size_of (w_level w) * dead_run (w_level w) (drop (Z.to_nat (w_slot w)) (page m (w_table w))).

(* The page of a protected address, as the realm itself would reach it: what there is, where, and the level at which
   the walk ended. *)
Definition IPA_OK := 0.
Definition IPA_EMPTY := 1.
Definition IPA_FAULT := 2.
Definition translate (rd ipa : Z) (s : state) : Z * Z * Z :=
  let w := walk rd ipa 3 s in
  if ripas (w_desc w) =? RIPAS_EMPTY then (IPA_EMPTY, 0, w_level w)
  else if (w_kind w =? K_ASSIGNED) && (ripas (w_desc w) =? RIPAS_RAM)
  then (IPA_OK, out_addr (w_desc w) + (floor_of 3 ipa - floor_of (w_level w) ipa), w_level w)
  else (IPA_FAULT, 0, w_level w).
Definition page_found (t : Z * Z * Z) : list Z := let '(r, pa, level) := t in [r; pa; level].

(* ---- RMI_RTT_READ_ENTRY: status, level, state, descriptor, RIPAS ---- *)

Definition RMI_UNASSIGNED := 0.
Definition RMI_ASSIGNED := 1.
Definition RMI_TABLE := 2.
Definition refused (status : Z) : list Z := [status; 0; 0; 0; 0].

Definition entry_read (w : walked) : list Z :=
  let d := w_desc w in
  if w_kind w =? K_TABLE then [RMI_SUCCESS; w_level w; RMI_TABLE; out_addr d; 0]
  else if w_kind w =? K_ASSIGNED then [RMI_SUCCESS; w_level w; RMI_ASSIGNED; out_addr d; ripas d]
  else if w_kind w =? K_ASSIGNED_NS then [RMI_SUCCESS; w_level w; RMI_ASSIGNED; ns_host d; 0]
  else if w_kind w =? K_UNASSIGNED_NS then [RMI_SUCCESS; w_level w; RMI_UNASSIGNED; 0; 0]
  else [RMI_SUCCESS; w_level w; RMI_UNASSIGNED; 0; ripas d].
Definition read_locked (rd ipa level : Z) (s : state) : list Z :=
  if (level <? rd_of s RD_start_level rd) || (3 <? level) || negb (in_bounds rd ipa s) || negb (aligned_to level ipa)
  then refused RMI_ERROR_INPUT else entry_read (walk rd ipa level s).
Definition read_entry (rd ipa level : Z) (s : state) : list Z :=
  if has_state GS_RD rd s then read_locked rd ipa level s else refused RMI_ERROR_INPUT.

(* ---- What the commands ask ---- *)

(* Can a table of this level stand at ipa? Below the start level, and ipa starts an entry one level above. *)
Definition table_possible (rd ipa level : Z) (s : state) : bool :=
  negb ((level <=? rd_of s RD_start_level rd) || (3 <? level) || negb (in_bounds rd ipa s)) && aligned_to (level - 1) ipa.
(* Does ipa start an entry of this level in the unprotected half? *)
Definition unprotected_ok (rd ipa level : Z) (s : state) : bool :=
  in_bounds rd ipa s && negb (in_par rd ipa s) && aligned_to level ipa && (rd_of s RD_start_level rd <=? level).
Definition pages_at (level : Z) : Z := if level =? 3 then 1 else 512.
Definition shared_added (rd n : Z) (s : state) : state :=
  rd_set RD_pages_shared rd 0 (wrap U64 (rd_of s RD_pages_shared rd + n)) s.
(* Live entries of the start tables. *)
Definition start_refs (rd : Z) (s : state) (n : nat) : Z :=
  fold_left (fun sum t => sum + refs_of (rd_of s RD_rtt_base rd + t * 4096) s) (below n) 0.

(* RMI_RTT_FOLD: do all entries of a table of this level follow from the entry parent one level above? *)
Definition uniform (m : gmap Z (list Z)) (table level parent : Z) : bool :=
  forallb (fun i => child level parent i =? word m table i) (below 512).
(* Can this child table become that one entry? The status that says why not. *)
Definition fold_check (table level parent : Z) (s : state) : Z :=
  let refs := refs_of table s in
  let k := kind (level - 1) parent in
  if negb (refs =? 0) && negb (refs =? 512) then status_rtt level
  else if (refs =? 512) && (level <? 2) then status_rtt (level - 1)
  else if (k =? K_ASSIGNED_NS) && negb (level =? 3) then status_rtt (level - 1)
  else if (refs =? 512) && negb (k =? K_ASSIGNED) then status_rtt level
  else if negb (uniform (mem s) table level parent) then status_rtt level
  else if negb (aligned_to (level - 1) (out_addr parent)) && ((k =? K_ASSIGNED) || (k =? K_ASSIGNED_NS)) then status_rtt level
  else RMI_SUCCESS.

(* ---- Filling tables ---- *)

(* The first n entries of a table that f gives. *)
Definition written (table : Z) (f : Z -> option Z) (n : nat) (s : state) : state :=
  fold_left (fun s i => match f i with Some d => put_word table i d s | None => s end) (below n) s.
(* Entry i of the start table whose entries are numbered from first on; lo and hi are where the unprotected half
   begins and ends. What is below is UNASSIGNED EMPTY, which is zero. *)
Definition start_entry (first lo hi i : Z) : option Z :=
  if (lo <=? first + i) && (first + i <? hi) then Some unassigned_ns else None.
Definition start_filled (rd : Z) (n : nat) (s : state) : state :=
  let hi := index_of (rd_of s RD_start_level rd) (rd_of s RD_ipa_size rd) in
  let base := rd_of s RD_rtt_base rd in
  fold_left (fun s t => written (base + t * 4096) (start_entry (t * 512) (hi / 2) hi) 512 s) (below n) s.
(* A table that says what the entry d one level above says. *)
Definition unfolded (table level d : Z) (s : state) : state :=
  written table (fun i => if child level d i =? 0 then None else Some (child level d i)) 512 s.
