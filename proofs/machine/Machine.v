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
Definition in_hand (pa : Z) (s : state) : bool :=
  tracked s pa &&
  (holds (LGranule pa) s || (negb (g_owner (granule_at s pa) =? 0) && holds (LGranule (g_owner (granule_at s pa))) s)).
Definition pinned (pa : Z) (s : state) : bool :=
  match gran s !! pa with Some g => (g_state g =? GS_NS) && (0 <? g_refs g) | None => false end.

Definition is_zero (pa : Z) (s : state) : bool := bool_decide (page (mem s) pa = zero_page).

(* granule_set: the host's page leaves it only when nobody of the host can reach it, and it is nobody's,
   or the host's, only when it is zero. *)
Definition may_set (pa st owner : Z) (s : state) : bool :=
  in_hand pa s &&
  (if g_state (granule_at s pa) =? GS_NS then (st =? GS_NS) || (unreachable s pa && (g_refs (granule_at s pa) =? 0))
   else true) &&
  (if (st =? GS_NS) || (st =? GS_DELEGATED) then is_zero pa s else true).
Definition with_owner (pa st owner : Z) (s : state) : state :=
  set_granule pa (Gran st owner (g_refs (granule_at s pa))) s.
Definition with_refs (pa refs : Z) (s : state) : state :=
  set_granule pa (Gran (g_state (granule_at s pa)) (g_owner (granule_at s pa)) refs) s.

(* ---- Memory ---- *)

Definition in_page (i : Z) : bool := (0 <=? i) && (i <? 512).
Definition put_page (pa : Z) (l : list Z) (s : state) : state := with_mem (<[pa := l]> (mem s)) s.
Definition put_word (pa i v : Z) (s : state) : state := with_mem (set_word (mem s) pa i v) s.
Definition may_zero (pa : Z) (s : state) : bool := in_hand pa s && unreachable s pa.

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

(* A valid descriptor that a host table may hold: a leaf maps an address to itself, and only the host's
   granules or what is not DRAM; a table entry points to the one table for its addresses. *)
Definition host_desc_ok (s : state) (r : role) (i d : Z) : bool :=
  match r with
  | Role _ 3 base =>
      let ipa := base + i * 4096 in (out_addr d =? ipa) && hosts_or_device s ipa
  | Role (Some a) 2 base =>
      let ipa := base + i * 0x200000 in
      if is_table 2 d then out_addr d =? host_table (hw s) 3 ipa
      else (out_addr d =? ipa) && agent_eqb a Cpu && forallb (fun g => hosts_or_device s (ipa + g * 4096)) granules_2m
  | Role (Some a) 1 base =>
      let ipa := base + i * 0x40000000 in
      is_table 1 d && (out_addr d =? match a with Cpu => host_table (hw s) 2 ipa | Smmu => smmu_table (hw s) 2 ipa end)
  | _ => false
  end.

(* Break before make (DDI0487 D8.14): a valid descriptor is never replaced by another valid one. *)
Definition bbm (old new : Z) : bool := negb (is_valid old && is_valid new && negb (old =? new)).

Definition may_write (table i d : Z) (s : state) : bool :=
  let old := word (mem s) table i in
  in_page i && bbm old d &&
  match role_of (hw s) table with
  | Some r => holds LHost s && (if is_valid d then host_desc_ok s r i d else true)
  | None => in_hand table s &&
      ((g_state (granule_at s table) =? GS_RTT) || (g_state (granule_at s table) =? GS_DELEGATED))
  end.
Definition after_write (table i d : Z) (s : state) : state :=
  let old := word (mem s) table i in
  let left :=
    if is_valid old && negb (old =? d) then
      match role_of (hw s) table with
      | Some r => left_behind s r table i old
      | None => [StaleRealm (g_owner (granule_at s table)) table i]
      end
    else [] in
  with_staled (left ++ staled s) (put_word table i d s).

(* A table may be read with the lock that its writers hold. *)
Definition may_read (table i : Z) (s : state) : bool :=
  in_page i && match role_of (hw s) table with Some _ => holds LHost s | None => in_hand table s end.

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

(* ---- Objects ---- *)

Definition rd_word (f : rd_field) (i : Z) : Z := rd_off f + i.
Definition rec_word (f : rec_field) (i : Z) : Z := rec_off f + i.
Definition in_range (len i : Z) : bool := (0 <=? i) && (i <? len).
(* A REC is its realm's, and while a CPU runs it, that CPU's alone. *)
Definition rec_in_hand (rec : Z) (s : state) : bool := in_hand rec s || (negb (rec =? 0) && (runs s =? rec)).
Definition rd_get (f : rd_field) (rd i : Z) (s : state) : Z := word (mem s) rd (rd_word f i).
Definition rd_set (f : rd_field) (rd i v : Z) (s : state) : state := put_word rd (rd_word f i) v s.
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
  | P_granule_release, [pa] => guarded (holds (LGranule pa) s) ([], lock_dropped (LGranule pa) s)
  | P_granule_state, [pa] => guarded (in_hand pa s) ([g_state (granule_at s pa)], s)
  | P_granule_set, [pa; st; owner] => guarded (may_set pa st owner s) ([], with_owner pa st owner s)
  | P_granule_refs, [pa] => guarded (in_hand pa s) ([g_refs (granule_at s pa)], s)
  | P_granule_set_refs, [pa; n] => guarded (in_hand pa s && (n <=? REFS_MAX)) ([], with_refs pa n s)
  | P_granule_owner, [pa; st] =>
      guarded true ([if has_state st pa s then g_owner (granule_at s pa) else 0], s)
  | P_ns_get, [pa] =>
      guarded true
        (if claimable GS_NS pa s && (g_refs (granule_at s pa) <? REFS_MAX)
         then ([1], with_refs pa (g_refs (granule_at s pa) + 1) s) else ([0], s))
  | P_ns_put, [pa] => guarded (pinned pa s) ([], with_refs pa (g_refs (granule_at s pa) - 1) s)
  | P_realm_lock, [rd] =>
      guarded (negb (shrinking s) && bool_decide (held s = []))
        (if has_state GS_RD rd s then ([1], lock_taken (LGranule rd) s) else ([0], s))
  | P_realm_unlock, [rd] => guarded (holds (LGranule rd) s) ([], lock_dropped (LGranule rd) s)
  | P_vmid_claim, [v] =>
      guarded true
        (if vmid_usable (hw s) v && negb (bool_decide (v ∈ vmids s)) then ([1], with_vmids ({[v]} ∪ vmids s) s)
         else ([0], s))
  | P_vmid_release, [v] => guarded true ([], with_vmids (vmids s ∖ {[v]}) s)
  (* memory *)
  | P_zero_granule, [pa] => guarded (may_zero pa s) ([], put_page pa zero_page s)
  | P_copy_granule, [dst; src] =>
      guarded (may_zero dst s && pinned src s) ([], put_page dst (page (mem s) src) s)
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
  (* scratch pages *)
  | P_params_load, [ns] => guarded (pinned ns s) ([], with_params (page (mem s) ns) s)
  | P_params_word, [o] => guarded ((o mod 8 =? 0) && in_page (o / 8)) ([nth_word (params s) (o / 8)], s)
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
  | P_RdSet f, [rd; v] => guarded (in_hand rd s && negb (rd_array f)) ([], rd_set f rd 0 v s)
  | P_RdSet f, [rd; i; v] =>
      guarded (in_hand rd s && rd_array f && in_range (rd_len f) i) ([], rd_set f rd i v s)
  | P_RecGet f, [r] => guarded (rec_in_hand r s && negb (rec_array f)) ([rec_get f r 0 s], s)
  | P_RecGet f, [r; i] =>
      guarded (rec_in_hand r s && rec_array f && in_range (rec_len f) i) ([rec_get f r i s], s)
  | P_RecSet f, [r; v] => guarded (rec_in_hand r s && negb (rec_array f)) ([], rec_set f r 0 v s)
  | P_RecSet f, [r; i; v] =>
      guarded (rec_in_hand r s && rec_array f && in_range (rec_len f) i) ([], rec_set f r i v s)
  | P_rec_sysreg, [r; i] => guarded (rec_in_hand r s && in_range 40 i) ([el1_get r i s], s)
  | P_rec_set_sysreg, [r; i; v] => guarded (rec_in_hand r s && in_range 40 i) ([], el1_set r i v s)
  (* CPU *)
  | P_counter_now, [] => guarded true ([time (hw s) (clock s)], with_clock (S (clock s)) s)
  | P_vtimer_mask, [b] => guarded true ([], with_masked (z2b b) s)
  | P_ich_vtr, [] => guarded true ([vtr (hw s)], s)
  | P_s2_width, [] => guarded true ([width (hw s)], s)
  | P_has_level0, [] => guarded true ([b2z (level0 (hw s))], s)
  | P_id_reg, [crm; op2] => guarded true ([id_register (hw s) crm op2], s)
  (* log and counters *)
  | P_log_event, [code; a; b] => guarded true ([], with_logged ((code, a, b) :: logged s) s)
  | P_log_size, [] => guarded true ([log_bytes (hw s)], s)
  | P_tracked_granules, [] => guarded true ([Z.of_nat (size (gran s))], s)
  | P_counter_add, [i; n] =>
      guarded true ([], with_counters (<[i := wrap U64 (counter s i + n)]> (counters s)) s)
  | P_counter_read, [i] => guarded true ([counter s i], s)
  (* not defined yet: stuck *)
  | _, _ => None
  end.
