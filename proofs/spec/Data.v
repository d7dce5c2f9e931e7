(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/data.c: pages of a realm's protected half, and the RIPAS of ranges (DEN0137 B4.3: RMI_DATA_CREATE,
   RMI_DATA_CREATE_UNKNOWN, RMI_DATA_DESTROY, RMI_RTT_INIT_RIPAS, RMI_RTT_SET_RIPAS; docs/abi.md:
   KCORE_DATA_CREATE_SEALED). *)
From kcore Require Export spec.Rtt spec.Measure spec.GranuleRange spec.Realm spec.RecObject spec.RecLock.
From kcore Require spec.Enter.
Local Open Scope Z_scope.

Definition KCORE_ERROR_SEAL := 18.

(* ---- A page ---- *)

(* Can a page be put at ipa? *)
Definition page_possible (rd ipa : Z) (s : state) : bool := in_par rd ipa s && is_aligned ipa.
Definition has_room (rd : Z) (s : state) : bool := rd_of s RD_pages_private rd <? rd_of s RD_max_private rd.
Definition private_added (rd n : Z) (s : state) : state :=
  rd_set RD_pages_private rd 0 (wrap U64 (rd_of s RD_pages_private rd + n)) s.
(* The walk to a page ended at an entry for one page, of this kind. *)
Definition ends_at (k : Z) (w : walked) : bool := (w_level w =? 3) && (w_kind w =? k).

(* A granule becomes the realm's page at the entry w. *)
Definition page_assigned (rd data : Z) (w : walked) (r : Z) (s : state) : state :=
  private_added rd 1 (refs_added (w_table w) 1 (put_word (w_table w) (w_slot w) (assigned 3 data r)
    (set_granule data (Gran GS_DATA rd 0) s))).

(* Where its content comes from: the host's page src, plain, or sealed with its tag at tag. *)
Record source := Source { d_src : Z; d_flags : Z; d_sealed : Z; d_tag : Z }.
Definition content (rd ipa : Z) (d : source) (s : state) : option (list Z) :=
  if d_sealed d =? 0 then Some (page (mem s) (d_src d)) else opened rd ipa (d_src d) (d_tag d) s.

(* The realm is still being built, and can open what is sealed. *)
Definition may_fill (rd : Z) (d : source) (s : state) : bool :=
  (rd_of s RD_state rd =? REALM_NEW) && ((d_sealed d =? 0) || negb (rd_of s RD_has_key rd =? 0)).
(* Is there an empty entry for a page at ipa, and may the realm have one more? *)
Definition entry_check (rd ipa : Z) (s : state) : Z :=
  let w := walk rd ipa 3 s in
  if negb (page_possible rd ipa s) then RMI_ERROR_INPUT
  else if negb (ends_at K_UNASSIGNED w) then status_rtt (w_level w)
  else if negb (has_room rd s) then KCORE_ERROR_POLICY
  else RMI_SUCCESS.
Definition page_check (rd ipa : Z) (d : source) (s : state) : Z :=
  if negb (may_fill rd d s) then status_realm 0
  else if negb (entry_check rd ipa s =? RMI_SUCCESS) then entry_check rd ipa s
  else match content rd ipa d s with Some _ => RMI_SUCCESS | None => KCORE_ERROR_SEAL end.
Definition page_created (rd data ipa : Z) (d : source) (s : state) : state :=
  match content rd ipa d s with
  | Some l => data_measured rd ipa (d_flags d) data (page_assigned rd data (walk rd ipa 3 s) RIPAS_RAM (put_page data l s))
  | None => s
  end.

(* rd is a realm, and data DELEGATED and free. *)
Definition create_page (rd data ipa : Z) (d : source) (s : state) : Z * state :=
  if negb (has_state GS_RD rd s && claimable GS_DELEGATED data s) then (RMI_ERROR_INPUT, s)
  else let status := page_check rd ipa d s in
       (status, if status =? RMI_SUCCESS then page_created rd data ipa d s else s).

Definition DATA_MEASURED := 1.
Definition create_data (rd data ipa src flags : Z) (s : state) : Z * state :=
  if (DATA_MEASURED <? flags) || negb (pinnable src s) then (RMI_ERROR_INPUT, s)
  else create_page rd data ipa (Source src flags 0 0) s.
(* Both host pages can be pinned; it may be one. *)
Definition create_sealed (rd data ipa src tag : Z) (s : state) : Z * state :=
  if negb (tag mod 16 =? 0) || negb (pinnable src s) || negb (pinnable (Z.land tag TAG_PAGE) (page_pinned src s))
  then (RMI_ERROR_INPUT, s)
  else create_page rd data ipa (Source src DATA_MEASURED 1 tag) s.

(* Without content: the granule is zero. The RIPAS stays as it is. *)
Definition create_unknown (rd data ipa : Z) (s : state) : Z * state :=
  if negb (has_state GS_RD rd s && claimable GS_DELEGATED data s) then (RMI_ERROR_INPUT, s)
  else let status := entry_check rd ipa s in
       let w := walk rd ipa 3 s in
       (status, if status =? RMI_SUCCESS then page_assigned rd data w (ripas (w_desc w)) s else s).

(* ---- It goes: x1 the page, x2 where the host goes on ---- *)

Definition page_destroyed (rd : Z) (w : walked) (s : state) : state :=
  let left := unassigned (if ripas (w_desc w) =? RIPAS_EMPTY then RIPAS_EMPTY else RIPAS_DESTROYED) in
  scrubbed (out_addr (w_desc w)) (private_added rd (2 ^ 64 - 1) (refs_added (w_table w) (2 ^ 64 - 1)
    (put_word (w_table w) (w_slot w) left s))).
Definition destroy_page (rd ipa : Z) (s : state) : list Z * state :=
  let w := walk rd ipa 3 s in
  if negb (page_possible rd ipa s) then (refused RMI_ERROR_INPUT, s)
  else if negb (ends_at K_ASSIGNED w) then ([status_rtt (w_level w); 0; walk_top (mem s) w ipa; 0; 0], s)
  else let s' := page_destroyed rd w s in
       ([RMI_SUCCESS; out_addr (w_desc w); walk_top (mem s') w ipa; 0; 0], s').
Definition destroy_data (rd ipa : Z) (s : state) : list Z * state :=
  if has_state GS_RD rd s then destroy_page rd ipa s else (refused RMI_ERROR_INPUT, s).

(* ---- RIPAS ---- *)

(* Entry i from that of a walk on, and where the addresses of the first n end. *)
Definition entry_from (w : walked) (i : Z) (s : state) : Z := word (mem s) (w_table w) (w_slot w + i).
Definition run_end (w : walked) (base n : Z) : Z := base + n * size_of (w_level w).
(* How many entries from there on, in that table, end by top and are so: up to the first that is not. *)
Definition run_length (ok : Z -> bool) (w : walked) (base top : Z) (s : state) : nat :=
  leading (fun i => (run_end w base (i + 1) <=? top) && ok (entry_from w i s)) (Z.to_nat (512 - w_slot w)).

(* RMI_RTT_INIT_RIPAS: entries that are unused become RAM, and are measured. *)
Definition initable (level d : Z) : bool := (kind level d =? K_UNASSIGNED) && negb (ripas d =? RIPAS_DESTROYED).
Definition init_length (w : walked) (base top : Z) (s : state) : nat := run_length (initable (w_level w)) w base top s.
Definition ram_made (rd : Z) (w : walked) (base : Z) (n : nat) (s : state) : state :=
  each_below n (fun i s =>
    ripas_measured rd (run_end w base i) (run_end w base (i + 1))
      (put_word (w_table w) (w_slot w + i) (unassigned RIPAS_RAM) s)) s.
Definition init_locked (rd base top : Z) (s : state) : list Z * state :=
  let w := walk rd base 3 s in
  let n := init_length w base top s in
  if negb (page_possible rd base s && page_possible rd (wrap U64 (top - 4096)) s) then (refused RMI_ERROR_INPUT, s)
  else if negb (rd_of s RD_state rd =? REALM_NEW) then (refused (status_realm 0), s)
  else if negb (aligned_to (w_level w) base) || (n =? 0)%nat then (refused (status_rtt (w_level w)), s)
  else ([RMI_SUCCESS; run_end w base (Z.of_nat n); 0; 0; 0], ram_made rd w base n s).
Definition init_ripas (rd base top : Z) (s : state) : list Z * state :=
  if (top <=? base) || negb (has_state GS_RD rd s) then (refused RMI_ERROR_INPUT, s) else init_locked rd base top s.

(* RMI_RTT_SET_RIPAS: entries of the protected half change as a REC of the realm asked. *)
Definition with_ripas (level d r : Z) : Z :=
  if kind level d =? K_ASSIGNED then assigned level (out_addr d) r else unassigned r.
Definition changeable (level : Z) (destroyed : bool) (d : Z) : bool :=
  ((kind level d =? K_UNASSIGNED) || (kind level d =? K_ASSIGNED)) && (negb (ripas d =? RIPAS_DESTROYED) || destroyed).
Definition set_length (rec : Z) (w : walked) (base top : Z) (s : state) : nat :=
  run_length (changeable (w_level w) (rec_of s REC_ripas_destroyed rec =? 1)) w base top s.
Definition entry_set (w : walked) (r i : Z) (s : state) : state :=
  let d := entry_from w i s in
  let d' := with_ripas (w_level w) d r in
  if d =? d' then s else put_word (w_table w) (w_slot w + i) d' s.
Definition ripas_set (w : walked) (r : Z) (n : nat) (s : state) : state := each_below n (entry_set w r) s.
Definition set_locked (rd rec base top : Z) (s : state) : list Z * state :=
  let w := walk rd base 3 s in
  let n := set_length rec w base top s in
  let next := run_end w base (Z.of_nat n) in
  if negb (rec_of s REC_running rec =? 0) then (refused Enter.RMI_ERROR_REC, s)
  else if (rec_of s REC_ripas_pending rec =? 0) || negb (base =? rec_of s REC_ripas_base rec) ||
          (rec_of s REC_ripas_top rec <? top) then (refused RMI_ERROR_INPUT, s)
  else if negb (aligned_to (w_level w) base) || (n =? 0)%nat then (refused (status_rtt (w_level w)), s)
  else ([RMI_SUCCESS; next; 0; 0; 0], rec_set REC_ripas_base rec 0 next (ripas_set w (rec_of s REC_ripas_value rec) n s)).
Definition set_ripas (rd rec base top : Z) (s : state) : list Z * state :=
  if (top <=? base) || negb (is_aligned top) || negb (has_state GS_RD rd s) then (refused RMI_ERROR_INPUT, s)
  else if rec_owner rec s =? rd then set_locked rd rec base top s
  else (refused (if rec_owner rec s =? 0 then RMI_ERROR_INPUT else Enter.RMI_ERROR_REC), s).
