(* SPDX-License-Identifier: Apache-2.0 *)
(* The primitives of hyp/mach/mach.h. Each is a guard (what the caller must have made sure of: without it
   the machine is stuck, and nothing that gets stuck can be proved) and an effect. The guards are the
   contract's "Guard:" lines and, beyond them, what isolation needs: two-phase locking, bounds,
   break-before-make, leaves of the host's tables only for the host's pages, no page changes hands while
   someone can still reach it, none is given away unless it is zero. *)
From kcore Require Export machine.State machine.Walk.
Local Open Scope Z_scope.

(* ---- Locks ---- *)

Definition holds (l : lock) (s : state) : bool := existsb (lock_eqb l) (held s).
Definition free (l : lock) (s : state) : bool := negb (holds l s) && negb (others s l).
Fixpoint without (l : lock) (ls : list lock) : list lock :=
  match ls with [] => [] | x :: ls => if lock_eqb l x then ls else x :: without l ls end.
(* The lock that was taken first is given back last. *)
Fixpoint first_taken (ls : list lock) : lock := match ls with [] => LHost | [l] => l | _ :: ls => first_taken ls end.
Definition in_order (l : lock) (s : state) : bool :=
  match without l (held s) with [] => true | ls => lock_eqb (first_taken ls) (first_taken (held s)) end.
(* A transaction ends when its last lock is released. *)
Definition lock_taken (l : lock) (s : state) : state := with_held (l :: held s) (shrinking s) s.
Definition lock_dropped (l : lock) (s : state) : state :=
  let ls := without l (held s) in with_held ls (match ls with [] => false | _ => true end) s.

(* ---- Granules ---- *)

Definition tracked (s : state) (pa : Z) : bool := match gran s !! pa with Some _ => true | None => false end.
Definition granule_at (s : state) (pa : Z) : granule := default (Gran GS_CORE 0 0) (gran s !! pa).
Definition set_granule (pa : Z) (g : granule) (s : state) : state := with_gran (<[pa := g]> (gran s)) s.
Definition has_state (st : Z) (pa : Z) (s : state) : bool :=
  match gran s !! pa with Some g => g_state g =? st | None => false end.
Definition claimable (st pa : Z) (s : state) : bool := has_state st pa s && free (LGranule pa) s.
(* Claimed, or the realm that owns it is locked. *)
Definition under_lock (pa : Z) (s : state) : bool :=
  tracked s pa &&
  (holds (LGranule pa) s || (negb (g_owner (granule_at s pa) =? 0) && holds (LGranule (g_owner (granule_at s pa))) s)).
(* And it is no realm's table: what is not pt_write leaves these alone. *)
Definition is_placed (pa : Z) (s : state) : bool := match places s !! pa with Some _ => true | None => false end.
Definition in_hand (pa : Z) (s : state) : bool :=
  under_lock pa s && negb (is_placed pa s && (has_state GS_RTT pa s || has_state GS_DELEGATED pa s)).
Definition claimable_here (pa : Z) (s : state) : bool := has_state GS_DELEGATED pa s && holds (LGranule pa) s.
Definition pinned (pa : Z) (s : state) : bool :=
  match gran s !! pa with Some g => (g_state g =? GS_NS) && (0 <? g_refs g) | None => false end.

Definition is_zero (pa : Z) (s : state) : bool := bool_decide (page (mem s) pa = zero_page).

(* The RD whose table this is to be has a start table here: its place. *)
Definition start_place (s : state) (rd table : Z) : option place :=
  let w f := word (mem s) rd (rd_off f) in
  let level := w RD_start_level in
  let n := (table - w RD_rtt_base) / 4096 in
  if under_lock rd s && (w RD_rtt_base <=? table) && (n <? w RD_num_start) && (table mod 4096 =? 0)
  then Some (Place rd level (n * 512 * size_of level) 0) else None.
Definition place_of (s : state) (rd table : Z) : option place :=
  match places s !! table with Some p => Some p | None => start_place s rd table end.

(* No leaf of the host's tables is left for the page, in reach of a walk or not. *)
Definition leaf_at (s : state) (level table pa : Z) : bool :=
  let d := word (mem s) table (slot_of level pa) in is_valid d && negb (is_table level d).
Definition unleafed (s : state) (pa : Z) : bool :=
  negb (leaf_at s 2 (host_table (hw s) 2 pa) pa) && negb (leaf_at s 3 (host_table (hw s) 3 pa) pa).

(* granule_set: a granule becomes another kind of object only by way of DELEGATED. A page leaves the host, or a realm, only
   when nobody else can reach it, and it is nobody's, or the host's, only when it is zero. A table has a place, which
   nothing else has, and a start table says nothing yet. What becomes a realm's is under the lock taken first, its RD's. *)
Definition may_set (pa st owner : Z) (s : state) : bool :=
  under_lock pa s &&
  (if g_state (granule_at s pa) =? GS_NS then (st =? GS_NS) || (unreachable s pa && (g_refs (granule_at s pa) =? 0) && unleafed s pa)
   else true) &&
  (if (st =? GS_NS) || (st =? GS_DELEGATED) then is_zero pa s && no_realm_reaches s pa else true) &&
  (if st =? GS_RTT then
     match place_of s owner pa with
     | Some p => (p_rd p =? owner) && (negb (p_parent p =? 0) || forallb (fun d => negb (is_valid d)) (page (mem s) pa)) &&
                 (0 <=? p_level p) && (p_level p <=? 3)
     | None => false
     end
   else (st =? GS_NS) || (st =? GS_DELEGATED) || negb (is_placed pa s)) &&
  ((g_state (granule_at s pa) =? GS_DELEGATED) || (st =? GS_DELEGATED)) &&
  (if (st =? GS_REC) || (st =? GS_RTT) || (st =? GS_DATA) then lock_eqb (LGranule owner) (first_taken (held s)) else owner =? 0).
Definition with_owner (pa st owner : Z) (s : state) : state :=
  with_places
    (if st =? GS_RTT then match place_of s owner pa with Some p => <[pa := p]> (places s) | None => places s end
     else delete pa (places s))
    (set_granule pa (Gran st owner (g_refs (granule_at s pa))) s).
Definition with_refs (pa refs : Z) (s : state) : state :=
  set_granule pa (Gran (g_state (granule_at s pa)) (g_owner (granule_at s pa)) refs) s.

(* ---- Memory ---- *)

Definition in_page (i : Z) : bool := (0 <=? i) && (i <? 512).
Definition put_page (pa : Z) (l : list Z) (s : state) : state := with_mem (<[pa := l]> (mem s)) s.
Definition put_word (pa i v : Z) (s : state) : state := with_mem (set_word (mem s) pa i v) s.
Definition may_zero (pa : Z) (s : state) : bool := under_lock pa s && unreachable s pa && no_realm_reaches s pa.
Definition may_overwrite (pa : Z) (s : state) : bool := may_zero pa s && negb (is_placed pa s).

(* ---- Translation tables ---- *)

(* Does the entry above point to this level 3 table? Only then have its entries been walked. *)
Definition linked (s : state) (a : agent) (base : Z) (table : Z) : bool :=
  let t2 := match a with Cpu => host_table (hw s) 2 base | Smmu => smmu_table (hw s) 2 base end in
  negb (t2 =? 0) && (word (mem s) t2 (slot_of 2 base) =? Z.lor table S2_TABLE).

(* What may stay cached of the valid descriptor d in slot i of a host table. *)
Definition left_behind (s : state) (r : role) (table i d : Z) : list stale :=
  match r with
  | Role _ 3 base =>
      let ipa := base + i * 4096 in
      (if linked s Cpu base table then [StaleHost Cpu RPage ipa] else []) ++
      (if linked s Smmu base table then [StaleHost Smmu RPage ipa] else [])
  | Role (Some a) 2 base =>
      [StaleHost a (if is_table 2 d then RTable else RBlock) (base + i * 0x200000)]
  | _ => []
  end.

Definition hosts_or_device (s : state) (pa : Z) : bool :=
  match gran s !! pa with Some g => g_state g =? GS_NS | None => true end.
Definition granules_2m : list Z := map Z.of_nat (seq 0 512).

Definition points_to (d t : Z) : bool := negb (t =? 0) && (d =? Z.lor t S2_TABLE).

(* A valid descriptor that a host table may hold: a leaf maps an address to itself, and only the host's
   granules or what is not DRAM; a table entry points to the one table for its addresses. *)
Definition host_desc_ok (s : state) (r : role) (i d : Z) : bool :=
  match r with
  | Role _ 3 base =>
      let ipa := base + i * 4096 in (out_addr d =? ipa) && hosts_or_device s ipa
  | Role (Some a) 2 base =>
      let ipa := base + i * 0x200000 in
      if is_table 2 d then points_to d (host_table (hw s) 3 ipa)
      else (out_addr d =? ipa) && agent_eqb a Cpu && forallb (fun g => hosts_or_device s (ipa + g * 4096)) granules_2m
  | Role (Some a) 1 base =>
      let ipa := base + i * 0x40000000 in
      is_table 1 d && points_to d (match a with Cpu => host_table (hw s) 2 ipa | Smmu => smmu_table (hw s) 2 ipa end)
  | _ => false
  end.

(* A valid descriptor that a realm's table may hold, for the addresses from ipa on: a leaf of the protected half
   maps pages of this realm, one of the other half pages that the host gave and has pinned; a table entry points
   to a granule that is in hand, stands nowhere yet, and holds only such leaves. *)
Definition granules_of (level : Z) : list Z := map Z.of_nat (seq 0 (Z.to_nat (size_of level / 4096))).
Definition own_data (s : state) (rd pa : Z) : bool :=
  match gran s !! pa with Some g => (g_state g =? GS_DATA) && (g_owner g =? rd) | None => false end.
Definition protected (s : state) (rd ipa : Z) : bool := ipa <? word (mem s) rd (rd_off RD_ipa_size) / 2.
Definition realm_leaf_ok (s : state) (rd level ipa d : Z) : bool :=
  forallb (fun n => let pa := out_addr d + n * 4096 in
    if protected s rd ipa then own_data s rd pa else pinned pa s) (granules_of level).
Definition leaves_ok (s : state) (rd level base : Z) (l : list Z) : bool :=
  forallb (fun '(i, d) => negb (is_valid d) || (negb (is_table level d) && realm_leaf_ok s rd level (base + i * size_of level) d))
    (combine granules_2m l).
Definition realm_desc_ok (s : state) (p : place) (i d : Z) : bool :=
  let ipa := p_base p + i * size_of (p_level p) in
  if is_table (p_level p) d then
    let t := out_addr d in
    (d =? Z.lor t S2_TABLE) && claimable_here t s && negb (bool_decide (is_Some (places s !! t))) &&
    leaves_ok s (p_rd p) (p_level p + 1) ipa (page (mem s) t)
  else realm_leaf_ok s (p_rd p) (p_level p) ipa d.

(* Break before make (DDI0487 D8.14): a valid descriptor is never replaced by another valid one. *)
Definition bbm (old new : Z) : bool := negb (is_valid old && is_valid new && negb (old =? new)).

Definition may_write (table i d : Z) (s : state) : bool :=
  let old := word (mem s) table i in
  in_page i && bbm old d &&
  match role_of (hw s) table with
  | Some r => holds LHost s && (if is_valid d then host_desc_ok s r i d else true)
  | None => under_lock table s &&
      match places s !! table with
      | Some p => if is_valid d then realm_desc_ok s p i d else true
      | None => g_state (granule_at s table) =? GS_DELEGATED   (* it becomes one: nobody walks it yet *)
      end
  end.
(* What a table entry of a realm's table points to stands below it from now on. *)
Definition placed_below (table i d : Z) (s : state) : gmap Z place :=
  match places s !! table with
  | Some p =>
      if is_table (p_level p) d
      then <[out_addr d := Place (p_rd p) (p_level p + 1) (p_base p + i * size_of (p_level p)) table]> (places s)
      else places s
  | None => places s
  end.
Definition after_write (table i d : Z) (s : state) : state :=
  let old := word (mem s) table i in
  let left (l : list stale) := if is_valid old && negb (old =? d) then l else [] in
  let written l := with_staled (left l ++ staled s) (put_word table i d s) in
  match role_of (hw s) table with
  | Some r => written (left_behind s r table i old)
  | None =>
      with_places (placed_below table i d s)
        (written
          match places s !! table with
          | Some p => [StaleRealm (p_rd p) (p_level p) (p_base p + i * size_of (p_level p)) old]
          | None => []
          end)
  end.

(* A table may be read with the lock that its writers hold. *)
Definition may_read (table i : Z) (s : state) : bool :=
  in_page i && match role_of (hw s) table with Some _ => holds LHost s | None => under_lock table s end.

(* ---- TLB maintenance, complete on return ---- *)

Definition forget (gone : stale -> bool) (s : state) : state :=
  with_staled (List.filter (fun e => negb (gone e)) (staled s)) s.
(* TLBI IPAS2E1IS and VMALLE1IS: leaves for one address, not entries that point to tables. *)
Definition gone_page (a : agent) (ipa : Z) (e : stale) : bool :=
  match e with
  | StaleHost b RPage x => agent_eqb a b && (x =? floor_of 3 ipa)
  | StaleHost b RBlock x => agent_eqb a b && (x =? floor_of 2 ipa)
  | _ => false
  end.
Definition gone_2m (base : Z) (e : stale) : bool :=
  match e with
  | StaleHost Cpu RPage x => floor_of 2 x =? base
  | StaleHost Cpu _ x => x =? base
  | _ => false
  end.

(* TLBI IPAS2E1IS of a realm's VMID: leaves that translated ipa. VMALLS12E1IS: everything of the VMID
   (DDI0487 D8.14.5); no CPU caches anything of a realm without a REC after that. *)
Definition has_vmid (s : state) (vmid rd : Z) : bool := word (mem s) rd (rd_off RD_vmid) =? vmid.
Definition gone_realm (s : state) (vmid ipa : Z) (e : stale) : bool :=
  match e with
  | StaleRealm rd level x d => has_vmid s vmid rd && negb (is_table level d) && (floor_of level ipa =? x)
  | StaleHost _ _ _ => false
  end.
Definition gone_realm_all (s : state) (vmid : Z) (e : stale) : bool :=
  match e with StaleRealm rd _ _ _ => has_vmid s vmid rd | StaleHost _ _ _ => false end.
Definition runs_no_more (s : state) (vmid rd : Z) : bool :=
  has_vmid s vmid rd && (word (mem s) rd (rd_off RD_rec_count) =? 0).
Definition flushed (vmid : Z) (s : state) : state :=
  with_cached (base.filter (fun rd => runs_no_more s vmid rd = false) (cached s)) (forget (gone_realm_all s vmid) s).

(* ---- Objects ---- *)

Definition rd_word (f : rd_field) (i : Z) : Z := rd_off f + i.
Definition rec_word (f : rec_field) (i : Z) : Z := rec_off f + i.
Definition in_range (len i : Z) : bool := (0 <=? i) && (i <? len).
(* A REC is its realm's, and while a CPU runs it, that CPU's alone. *)
Definition rec_in_hand (rec : Z) (s : state) : bool :=
  has_state GS_REC rec s && (under_lock rec s || (negb (rec =? 0) && (runs s =? rec))).
Definition rd_get (f : rd_field) (rd i : Z) (s : state) : Z := word (mem s) rd (rd_word f i).
Definition rd_set (f : rd_field) (rd i v : Z) (s : state) : state := put_word rd (rd_word f i) v s.
(* Where a realm's tables begin, and what tags its TLB entries: fixed before it is a realm. *)
Definition is_shape (f : rd_field) : bool :=
  match f with RD_s2sz | RD_start_level | RD_num_start | RD_rtt_base | RD_vmid => true | _ => false end.
Definition rec_get (f : rec_field) (rec i : Z) (s : state) : Z := word (mem s) rec (rec_word f i).
Definition rec_set (f : rec_field) (rec i v : Z) (s : state) : state :=
  match f with
  | REC_running => with_runs (if v =? 1 then rec else 0) (put_word rec (rec_word f i) v s)
  | _ => put_word rec (rec_word f i) v s
  end.
Definition el1_get (rec i : Z) (s : state) : Z :=
  if loaded s =? rec then nth_word (live s) i else rec_get REC_el1 rec i s.
Definition el1_set (rec i v : Z) (s : state) : state :=
  if loaded s =? rec then with_loaded (loaded s) (set_nth (live s) i v) s else rec_set REC_el1 rec i v s.

(* rec_load and rec_unload: the EL1 registers, and the virtual GIC interface with FP, which follow each other in
   the REC. Left out: the host's own, which the switch keeps, and HCR_EL2, VTTBR_EL2, VTCR_EL2, which it makes of
   the REC's fields (world.c; DDI0487 D8.2.2, D17.2). *)
Definition EL1_WORDS := 40%nat.
Definition GIC_FP_WORDS := 93%nat.
Definition slice (at_ : Z) (n : nat) (l : list Z) : list Z := take n (drop (Z.to_nat at_) l).
Definition splice (at_ : Z) (new l : list Z) : list Z :=
  take (Z.to_nat at_) l ++ new ++ drop (Z.to_nat at_ + length new) l.
Definition rec_loaded (rec : Z) (s : state) : state :=
  let l := page (mem s) rec in
  with_cached ({[word (mem s) rec (rec_off REC_rd)]} ∪ cached s)
    (with_loaded rec (slice (rec_off REC_el1) EL1_WORDS l ++ slice (rec_off REC_ich_hcr) GIC_FP_WORDS l) s).
Definition rec_unloaded (rec : Z) (s : state) : state :=
  put_page rec (splice (rec_off REC_el1) (take EL1_WORDS (live s))
    (splice (rec_off REC_ich_hcr) (drop EL1_WORDS (live s)) (page (mem s) rec)))
    (with_loaded 0 [] s).
(* The realm whose tables the switch would walk for this REC is its own, as its RD has it. *)
Definition rec_agrees (rec : Z) (s : state) : bool :=
  let rd := word (mem s) rec (rec_off REC_rd) in
  let same f g := word (mem s) rec (rec_off f) =? word (mem s) rd (rd_off g) in
  has_state GS_REC rec s && (g_owner (granule_at s rec) =? rd) && has_state GS_RD rd s &&
  same REC_s2sz RD_s2sz && same REC_start_level RD_start_level && same REC_rtt_base RD_rtt_base && same REC_vmid RD_vmid.

(* Its start tables stand, for all addresses of the realm, and no other realm's TLB entries have its tag. *)
Definition starts_stand (rd : Z) (s : state) : bool :=
  let w f := word (mem s) rd (rd_off f) in
  (length (page (mem s) rd) =? 512)%nat && (0 <=? w RD_start_level) && (w RD_start_level <=? 3) && (0 <=? w RD_s2sz) &&
  (2 ^ w RD_s2sz <=? w RD_num_start * (512 * size_of (w RD_start_level))) &&
  forallb (fun n => match places s !! (w RD_rtt_base + n * 4096) with
    | Some p => (p_rd p =? rd) && (p_level p =? w RD_start_level) && (p_base p =? n * (512 * size_of (w RD_start_level))) &&
                (p_parent p =? 0)
    | None => false
    end) (map Z.of_nat (seq 0 (Z.to_nat (w RD_num_start)))).
Definition vmid_own (rd : Z) (s : state) : bool :=
  forallb (fun rd' => (rd' =? rd) || negb (has_vmid s (word (mem s) rd (rd_off RD_vmid)) rd')) (elements (cached s)).
Definition may_walk (rd : Z) (s : state) : bool := starts_stand rd s && vmid_own rd s.

(* ---- Bytes ---- *)

Definition byte_of (l : list Z) (k : Z) : Z := Z.land (Z.shiftr (nth_word l (k / 8)) (8 * (k mod 8))) 255.
Definition page_of (f : Z -> Z) : list Z :=
  map (fun i => fold_left (fun w j => Z.lor w (Z.shiftl (Z.land (f (8 * i + j)) 255) (8 * j))) [0; 1; 2; 3; 4; 5; 6; 7] 0)
    granules_2m.
(* The page with n bytes of f, from its byte from on, copied to offset to. *)
Definition bytes_put (l : list Z) (to n : Z) (f : Z -> Z) (from : Z) : list Z :=
  page_of (fun k => if (to <=? k) && (k <? to + n) then f (from + (k - to)) else byte_of l k).

(* ---- Sealed pages, tokens, documents: what goes in and comes out (RFC 8439, 9180, 8032; docs/abi.md) ---- *)

Definition TAG_PAGE := 0xFFFFFFFFFFFFF000.
Definition may_open (rd dst src tag : Z) (s : state) : bool :=
  in_hand rd s && (word (mem s) rd (rd_off RD_has_key) =? 1) && may_overwrite dst s && is_zero dst s &&
  pinned src s && (tag mod 16 =? 0) && pinned (Z.land tag TAG_PAGE) s.
Definition opened (rd ipa src tag : Z) (s : state) : option (list Z) :=
  let tags := page (mem s) (Z.land tag TAG_PAGE) in
  let at_ := Z.land tag 4095 / 8 in
  page_opened (hw s) (slice (rd_off RD_content_key) 4 (page (mem s) rd))
    (slice (rd_off RD_policy + 7) 4 (page (mem s) rd)) ipa (page (mem s) src) (nth_word tags at_) (nth_word tags (at_ + 1)).
Definition policy_of (rd : Z) (s : state) : list Z := slice (rd_off RD_policy) 30 (page (mem s) rd).
Definition with_key (rd : Z) (key : list Z) (s : state) : state :=
  put_page rd (splice (rd_off RD_content_key) key (page (mem s) rd)) s.
(* A REC's token: its length in bytes, and 128 words. *)
Definition TOKEN_WORDS := 129%nat.
Definition token_of (rec : Z) (s : state) : list Z := slice (rec_off REC_token_len) TOKEN_WORDS (page (mem s) rec).
Definition with_token (rec : Z) (l : list Z) (s : state) : state :=
  put_page rec (splice (rec_off REC_token_len) l (page (mem s) rec)) s.
(* What of its realm a token tells: hash algorithm, measurements, personalization. *)
Definition told (rd : Z) (s : state) : list Z :=
  word (mem s) rd (rd_off RD_hash_algo) ::
  slice (rd_off RD_meas) 40 (page (mem s) rd) ++ slice (rd_off RD_rpv) 8 (page (mem s) rd).
Definition challenge_of (rec : Z) (s : state) : list Z := slice (rec_off REC_gpr + 1) 8 (page (mem s) rec).
Definition token_total (rec : Z) (s : state) : Z := token_size (hw s) (token_of rec s).
Definition may_fetch (rec from size pa offset : Z) (s : state) : bool :=
  rec_in_hand rec s && (from + size <=? token_total rec s) && (offset + size <=? 4096) &&
  in_hand pa s && has_state GS_DATA pa s.
Definition document (offset size : Z) : Z := Z.max 0 (Z.min 4096 (size - offset)).

(* ---- Scratch pages ---- *)

Definition run_in (f : in_field) (i : Z) (s : state) : Z := nth_word (run s) (in_off f + i).
Definition run_out (f : out_field) (i v : Z) (s : state) : state := with_run (set_nth (run s) (out_off f + i) v) s.
(* Only the entry half comes in; the exit half starts as zero. *)
Definition entry_half (l : list Z) : list Z := take 256 l ++ replicate 256 0.
Definition exit_half (to from : list Z) : list Z := take 256 to ++ drop 256 from.

Definition counter (s : state) (i : Z) : Z := default 0 (counters s !! i).

(* ---- The primitives ---- *)

Notation result := (option (list Z * state)).
Definition guarded (g : bool) (r : list Z * state) : result := if g then Some r else None.

Definition prim_sem (p : prim) (args : list Z) (s : state) : result :=
  match p, args with
  (* granule words *)
  | P_granule_tracked, [pa] => guarded true ([b2z (tracked s pa)], s)
  | P_granule_claim, [pa; st] =>
      guarded (negb (shrinking s) && negb (holds LHost s) && ((st =? GS_NS) || (st =? GS_DELEGATED)))
        (if claimable st pa s then ([1], lock_taken (LGranule pa) s) else ([0], s))
  | P_granule_release, [pa] => guarded (holds (LGranule pa) s && in_order (LGranule pa) s) ([], lock_dropped (LGranule pa) s)
  | P_granule_state, [pa] => guarded (under_lock pa s) ([g_state (granule_at s pa)], s)
  | P_granule_set, [pa; st; owner] => guarded (may_set pa st owner s) ([], with_owner pa st owner s)
  | P_granule_refs, [pa] => guarded (under_lock pa s) ([g_refs (granule_at s pa)], s)
  | P_granule_set_refs, [pa; n] => guarded (under_lock pa s && (n <=? REFS_MAX)) ([], with_refs pa n s)
  | P_granule_owner, [pa; st] =>
      guarded true ([if has_state st pa s then g_owner (granule_at s pa) else 0], s)
  | P_ns_get, [pa] =>
      guarded true
        (if claimable GS_NS pa s && (g_refs (granule_at s pa) <? REFS_MAX)
         then ([1], with_refs pa (g_refs (granule_at s pa) + 1) s) else ([0], s))
  | P_ns_put, [pa] => guarded (pinned pa s && no_realm_had s pa) ([], with_refs pa (g_refs (granule_at s pa) - 1) s)
  | P_realm_lock, [rd] =>
      guarded (negb (shrinking s) && bool_decide (held s = []))
        (if has_state GS_RD rd s then ([1], lock_taken (LGranule rd) s) else ([0], s))
  | P_realm_unlock, [rd] =>
      guarded (holds (LGranule rd) s && bool_decide (staled s = []) && in_order (LGranule rd) s) ([], lock_dropped (LGranule rd) s)
  | P_vmid_claim, [v] =>
      guarded true
        (if vmid_usable (hw s) v && negb (bool_decide (v ∈ vmids s)) then ([1], with_vmids ({[v]} ∪ vmids s) s)
         else ([0], s))
  | P_vmid_release, [v] => guarded true ([], with_vmids (vmids s ∖ {[v]}) s)
  (* memory *)
  | P_zero_granule, [pa] => guarded (may_zero pa s) ([], put_page pa zero_page s)
  | P_copy_granule, [dst; src] =>
      guarded (may_overwrite dst s && pinned src s) ([], put_page dst (page (mem s) src) s)
  | P_open_granule, [rd; dst; ipa; src; tag] =>
      guarded (may_open rd dst src tag s)
        (match opened rd ipa src tag s with Some l => ([1], put_page dst l s) | None => ([0], s) end)
  | P_data_read, [pa; i] =>
      guarded (in_hand pa s && in_page i && has_state GS_DATA pa s) ([word (mem s) pa i], s)
  | P_data_write, [pa; i; v] =>
      guarded (in_hand pa s && in_page i && has_state GS_DATA pa s) ([], put_word pa i v s)
  (* translation tables *)
  | P_pt_read, [table; i] => guarded (may_read table i s) ([word (mem s) table i], s)
  | P_pt_write, [table; i; d] => guarded (may_write table i d s) ([], after_write table i d s)
  | P_host_lock, [] => guarded (negb (shrinking s) && negb (holds LHost s)) ([], lock_taken LHost s)
  | P_host_unlock, [] =>
      guarded (holds LHost s && bool_decide (staled s = [])) ([], lock_dropped LHost s)
  | P_host_table, [level; ipa] => guarded true ([host_table (hw s) level ipa], s)
  | P_smmu_table, [level; ipa] => guarded true ([smmu_table (hw s) level ipa], s)
  | P_host_holes, [ipa] => guarded (holds LHost s) ([default 0 (holes s !! floor_of 2 ipa)], s)
  | P_host_set_holes, [ipa; n] => guarded (holds LHost s) ([], with_holes (<[floor_of 2 ipa := n]> (holes s)) s)
  | P_tlbi_host, [ipa] => guarded true ([], forget (gone_page Cpu ipa) s)
  | P_tlbi_host_2m, [ipa] => guarded (floor_of 2 ipa =? ipa) ([], forget (gone_2m ipa) s)
  | P_smmu_tlbi, [ipa] => guarded true ([], forget (gone_page Smmu ipa) s)
  | P_tlbi_realm, [vmid; ipa] => guarded (bool_decide (vmid ∈ vmids s)) ([], forget (gone_realm s vmid ipa) s)
  | P_tlbi_realm_all, [vmid] => guarded (bool_decide (vmid ∈ vmids s)) ([], flushed vmid s)
  (* scratch pages *)
  | P_params_load, [ns] => guarded (pinned ns s) ([], with_params (page (mem s) ns) s)
  | P_params_word, [o] => guarded ((o mod 8 =? 0) && in_page (o / 8)) ([nth_word (params s) (o / 8)], s)
  | P_params_signed, [len; key; sig] =>
      guarded ((len mod 8 =? 0) && (key mod 8 =? 0) && (sig mod 8 =? 0) &&
               (len <=? 4096) && (key <=? 4096 - 32) && (sig <=? 4096 - 64))
        ([b2z (signature_good (hw s) (params s) len key sig)], s)
  | P_run_load, [ns] => guarded (pinned ns s) ([], with_run (entry_half (page (mem s) ns)) s)
  | P_run_store, [ns] => guarded (pinned ns s) ([], put_page ns (exit_half (page (mem s) ns) (run s)) s)
  | P_RunIn f, [] => guarded (negb (in_array f)) ([run_in f 0 s], s)
  | P_RunIn f, [i] => guarded (in_array f && in_range (in_len f) i) ([run_in f i s], s)
  | P_RunOut f, [v] => guarded (negb (out_array f)) ([], run_out f 0 v s)
  | P_RunOut f, [i; v] => guarded (out_array f && in_range (out_len f) i) ([], run_out f i v s)
  (* hashing *)
  | P_hash_clear, [] => guarded true ([], with_hash_page zero_page s)
  | P_hash_put, [i; v] => guarded (in_page i) ([], with_hash_page (set_nth (hash_page s) i v) s)
  | P_hash_buffer, [alg; len] =>
      guarded ((0 <=? len) && (len <=? 4096)) ([], with_digest (hash (hw s) alg (hash_page s) len) s)
  | P_hash_granule, [alg; pa] =>
      guarded (in_hand pa s) ([], with_digest (hash (hw s) alg (page (mem s) pa) 4096) s)
  | P_hash_word, [i] => guarded (in_range 8 i) ([nth_word (digest s) i], s)
  (* RD and REC *)
  | P_RdGet f, [rd] => guarded (in_hand rd s && negb (rd_array f)) ([rd_get f rd 0 s], s)
  | P_RdGet f, [rd; i] => guarded (in_hand rd s && rd_array f && in_range (rd_len f) i) ([rd_get f rd i s], s)
  | P_RdSet f, [rd; v] =>
      guarded (in_hand rd s && negb (rd_array f) && (negb (is_shape f) || has_state GS_DELEGATED rd s)) ([], rd_set f rd 0 v s)
  | P_RdSet f, [rd; i; v] =>
      guarded (in_hand rd s && rd_array f && in_range (rd_len f) i) ([], rd_set f rd i v s)
  | P_RecGet f, [r] => guarded (rec_in_hand r s && negb (rec_array f)) ([rec_get f r 0 s], s)
  | P_RecGet f, [r; i] =>
      guarded (rec_in_hand r s && rec_array f && in_range (rec_len f) i) ([rec_get f r i s], s)
  | P_RecSet f, [r; v] => guarded (rec_in_hand r s && negb (rec_array f)) ([], rec_set f r 0 v s)
  | P_RecSet f, [r; i; v] =>
      guarded (rec_in_hand r s && rec_array f && in_range (rec_len f) i) ([], rec_set f r i v s)
  | P_open_content_key, [rd] =>
      guarded (in_hand rd s)
        (match key_opened (hw s) (params s) (policy_of rd s) with
         | Some key => ([1], with_key rd key s)
         | None => ([0], s)
         end)
  | P_rec_sysreg, [r; i] => guarded (rec_in_hand r s && in_range 40 i) ([el1_get r i s], s)
  | P_rec_set_sysreg, [r; i; v] => guarded (rec_in_hand r s && in_range 40 i) ([], el1_set r i v s)
  | P_rec_load, [r] =>
      guarded ((runs s =? r) && negb (r =? 0) && (loaded s =? 0) && bool_decide (held s = []) && rec_agrees r s && may_walk (rec_get REC_rd r 0 s) s)
        ([], rec_loaded r s)
  | P_rec_unload, [r] => guarded ((loaded s =? r) && negb (r =? 0) && has_state GS_REC r s) ([], rec_unloaded r s)
  (* attestation *)
  | P_token_claim, [r; rd] =>
      guarded (rec_in_hand r s && in_hand rd s && (rec_get REC_rd r 0 s =? rd))
        ([], with_token r (token_claims (hw s) (challenge_of r s) (told rd s)) s)
  | P_token_sign, [r] =>
      guarded (rec_in_hand r s)
        (match token_signed (hw s) (token_of r s) with Some l => ([1], with_token r l s) | None => ([0], s) end)
  | P_token_bytes, [r] => guarded (rec_in_hand r s) ([token_total r s], s)
  | P_token_read, [r; from; size; pa; offset] =>
      guarded (may_fetch r from size pa offset s)
        ([], put_page pa (bytes_put (page (mem s) pa) offset size (token_byte (hw s) (token_of r s)) from) s)
  | P_identity_read, [ns; offset] =>
      let n := document offset (identity_size (hw s)) in
      guarded (pinned ns s)
        ([n; identity_size (hw s)], put_page ns (bytes_put (page (mem s) ns) 0 n (identity_byte (hw s)) offset) s)
  (* CPU *)
  | P_counter_now, [] => guarded true ([time (hw s) (clock s)], with_clock (S (clock s)) s)
  | P_vtimer_mask, [b] => guarded true ([], with_masked (z2b b) s)
  | P_ich_vtr, [] => guarded true ([vtr (hw s)], s)
  | P_s2_width, [] => guarded true ([width (hw s)], s)
  | P_has_level0, [] => guarded true ([b2z (level0 (hw s))], s)
  | P_id_reg, [crm; op2] => guarded true ([id_register (hw s) crm op2], s)
  (* log and counters *)
  | P_log_event, [code; a; b] => guarded true ([], with_logged ((code, a, b) :: logged s) s)
  | P_log_read, [ns; seq] =>
      let (n, next) := log_text (hw s) (logged s) seq in
      guarded (pinned ns s)
        ([n; next], put_page ns (bytes_put (page (mem s) ns) 0 n (log_byte (hw s) (logged s) seq) 0) s)
  | P_log_size, [] => guarded true ([log_bytes (hw s)], s)
  | P_tracked_granules, [] => guarded true ([Z.of_nat (size (gran s))], s)
  | P_counter_add, [i; n] =>
      guarded true ([], with_counters (<[i := wrap U64 (counter s i + n)]> (counters s)) s)
  | P_counter_read, [i] => guarded true ([counter s i], s)
  (* another number of arguments: stuck *)
  | _, _ => None
  end.
