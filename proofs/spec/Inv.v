(* SPDX-License-Identifier: Apache-2.0 *)
(* What holds between handlers: the host's tables and the granule table agree; each realm has a tree of tables that
   reaches its own pages, each once, and pages that the host shared, each counted; objects agree with each other.
   It is about what KCore alone writes, so no lock is mentioned: a handler finds it, and leaves it. What it says of a
   realm's tables is local: of one entry at a time. *)
From kcore Require Export machine.Machine spec.Table spec.S2tt lang.Sums.
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

(* ---- Realms ---- *)

Definition rd_of (s : state) (f : rd_field) (rd : Z) : Z := rd_get f rd 0 s.
Definition rec_of (s : state) (f : rec_field) (rec : Z) : Z := rec_get f rec 0 s.
Definition half_of (s : state) (rd : Z) : Z := rd_of s RD_ipa_size rd / 2.
Definition span (level : Z) : Z := 512 * size_of level.   (* what a table of this level translates *)

(* One entry of a realm's table that stands at place p, for the addresses from ipa on. Protected half: nothing, pages
   of this realm, or a table. Unprotected half: nothing, pages of the host, or a table. Beyond: nothing. *)
Inductive entry_ok (s : state) (t : Z) (p : place) (ipa : Z) : Z -> Prop :=
| E_unassigned r : 0 <= r <= 2 -> ipa < half_of s (p_rd p) -> entry_ok s t p ipa (unassigned r)
| E_assigned pa r : 0 <= r <= 2 -> ipa < half_of s (p_rd p) -> 1 <= p_level p ->
    0 < pa < 2 ^ 48 -> pa mod size_of (p_level p) = 0 ->
    (forall n, 0 <= n < size_of (p_level p) / 4096 -> own_data s (p_rd p) (pa + n * 4096) = true) ->
    entry_ok s t p ipa (assigned (p_level p) pa r)
| E_unassigned_ns : half_of s (p_rd p) <= ipa < rd_of s RD_ipa_size (p_rd p) -> entry_ok s t p ipa unassigned_ns
| E_assigned_ns host : half_of s (p_rd p) <= ipa < rd_of s RD_ipa_size (p_rd p) -> 2 <= p_level p ->
    ns_ok (p_level p) host = true -> 0 <= host < 2 ^ 64 ->
    (forall n, 0 <= n < size_of (p_level p) / 4096 -> is_ns (gran s) (out_addr host + n * 4096) = true) ->
    entry_ok s t p ipa (assigned_ns (p_level p) host)
| E_table child : ipa < rd_of s RD_ipa_size (p_rd p) -> p_level p < 3 ->
    places s !! child = Some (Place (p_rd p) (p_level p + 1) ipa t) -> entry_ok s t p ipa (table_desc child)
| E_beyond : rd_of s RD_ipa_size (p_rd p) <= ipa -> entry_ok s t p ipa 0.

(* Entries that a table's reference count counts. *)
Definition is_counted (level d : Z) : bool := (kind level d =? K_TABLE) || (kind level d =? K_ASSIGNED).
Definition live_entries (level : Z) (l : list Z) : Z := count (is_counted level) l.

Record table_stands (s : state) (t : Z) (p : place) : Prop := TableStands {
  t_gran : exists g, gran s !! t = Some g /\ g_state g = GS_RTT /\ g_owner g = p_rd p /\
                     g_refs g = live_entries (p_level p) (page (mem s) t);
  t_rd : has_state GS_RD (p_rd p) s = true;
  t_level : rd_of s RD_start_level (p_rd p) <= p_level p <= 3;
  t_base : 0 <= p_base p < rd_of s RD_ipa_size (p_rd p) /\ p_base p mod span (p_level p) = 0;
  t_start : p_parent p = 0 ->
      let n := (t - rd_of s RD_rtt_base (p_rd p)) / 4096 in
      p_level p = rd_of s RD_start_level (p_rd p) /\ 0 <= n < rd_of s RD_num_start (p_rd p) /\
      p_base p = n * span (p_level p);
  t_below : p_parent p <> 0 ->
      exists base pp, places s !! p_parent p = Some (Place (p_rd p) (p_level p - 1) base pp) /\
        base <= p_base p < base + span (p_level p - 1) /\
        word (mem s) (p_parent p) (slot_of (p_level p - 1) (p_base p)) = table_desc t;
  t_entry : forall i, 0 <= i < 512 -> entry_ok s t p (p_base p + i * size_of (p_level p)) (word (mem s) t i);
}.

(* Entry i of table t maps the protected page pa at ipa. *)
Record maps (s : state) (rd t i ipa pa : Z) : Prop := Maps {
  mp_place : exists p, places s !! t = Some p /\ p_rd p = rd /\ 0 <= i < 512 /\
      kind (p_level p) (word (mem s) t i) = K_ASSIGNED /\
      exists n, 0 <= n < size_of (p_level p) / 4096 /\
        ipa = p_base p + i * size_of (p_level p) + n * 4096 /\ pa = out_addr (word (mem s) t i) + n * 4096
}.

(* How many leaves of realms map a granule, and how many RECs that run have their run page there. *)
Definition leaves_for (pa level : Z) (l : list Z) : Z :=
  count (fun d => leaf_covers level d pa) l.
Definition uses (s : state) (pa : Z) : Z :=
  sum_map (fun t p => leaves_for pa (p_level p) (page (mem s) t)) (places s).
Definition run_page_of (s : state) (pa rec : Z) (g : granule) : bool :=
  (g_state g =? GS_REC) && (rec_of s REC_running rec =? 1) && (rec_of s REC_run_page rec =? pa).
Definition runs_on (s : state) (pa : Z) : Z :=
  sum_map (fun rec g => b2z (run_page_of s pa rec g)) (gran s).
Definition recs_of (s : state) (rd : Z) : Z :=
  sum_map (fun _ g => b2z ((g_state g =? GS_REC) && (g_owner g =? rd))) (gran s).

Record realm_ok (s : state) (rd : Z) : Prop := RealmOk {
  r_state : 0 <= rd_of s RD_state rd <= 2;
  r_s2sz : 32 <= rd_of s RD_s2sz rd <= 48 /\ rd_of s RD_ipa_size rd = 2 ^ rd_of s RD_s2sz rd;
  r_level : 0 <= rd_of s RD_start_level rd <= 2 /\ (rd_of s RD_start_level rd = 0 -> 40 <= rd_of s RD_s2sz rd);
  r_start : 1 <= rd_of s RD_num_start rd <= 16 /\
      index_of (rd_of s RD_start_level rd) (rd_of s RD_ipa_size rd) <= 512 * rd_of s RD_num_start rd /\
      (rd_of s RD_num_start rd = 1 \/
       index_of (rd_of s RD_start_level rd) (rd_of s RD_ipa_size rd) = 512 * rd_of s RD_num_start rd);
  r_base : 0 < rd_of s RD_rtt_base rd < 2 ^ 40 /\ rd_of s RD_rtt_base rd mod (4096 * rd_of s RD_num_start rd) = 0;
  r_tables : forall n, 0 <= n < rd_of s RD_num_start rd ->
      places s !! (rd_of s RD_rtt_base rd + n * 4096) =
      Some (Place rd (rd_of s RD_start_level rd) (n * span (rd_of s RD_start_level rd)) 0);
  r_vmid : rd_of s RD_vmid rd ∈ vmids s;
  r_recs : rd_of s RD_rec_count rd = recs_of s rd /\ recs_of s rd <= rd_of s RD_rec_index rd /\
           rd_of s RD_rec_index rd <= rd_of s RD_max_vcpus rd /\ rd_of s RD_max_vcpus rd <= 1023;
  r_hash : rd_of s RD_hash_algo rd = 0 \/ rd_of s RD_hash_algo rd = 1;
  r_key : rd_of s RD_has_key rd = 0 \/ rd_of s RD_has_key rd = 1;
}.

Record rec_ok (s : state) (rec rd : Z) : Prop := RecOk {
  c_rd : rec_of s REC_rd rec = rd /\ has_state GS_RD rd s = true;
  c_agrees : rec_agrees rec s = true;
  c_running : rec_of s REC_running rec = 0 \/ (rec_of s REC_running rec = 1 /\ is_ns (gran s) (rec_of s REC_run_page rec) = true);
  c_index : 0 <= rec_of s REC_index rec < rd_of s RD_rec_index rd;
  c_ripas : rec_of s REC_ripas_pending rec <> 0 ->
      rec_of s REC_ripas_base rec <= rec_of s REC_ripas_top rec /\ rec_of s REC_ripas_top rec <= half_of s rd /\
      rec_of s REC_ripas_base rec mod 4096 = 0 /\ rec_of s REC_ripas_top rec mod 4096 = 0 /\
      0 <= rec_of s REC_ripas_value rec <= 1;
  c_host_call : rec_of s REC_host_call rec <> 0 ->
      rec_of s REC_host_call_ipa rec mod 256 = 0 /\ rec_of s REC_host_call_ipa rec < half_of s rd;
  (* none, claimed or signed: a token is fetched once it is signed, and not further than its end *)
  c_token : (rec_of s REC_token_state rec = 1 -> rec_of s REC_token_done rec = 0) /\
            (1 < rec_of s REC_token_state rec -> rec_of s REC_token_state rec = 2 /\
               rec_of s REC_token_done rec <= token_total rec s);
}.

(* ---- The machine's own ---- *)

Definition page_words (l : list Z) : Prop := is_page l /\ Forall u64 l.
Record hw_ok (h : hardware) : Prop := HwOk {
  (* what it gives as a host table is known as one *)
  h_tables : forall level ipa, host_table h level ipa <> 0 -> is_Some (role_of h (host_table h level ipa));
  h_vtr : u64 (vtr h);
  h_width : 32 <= width h <= 48;
  h_id : forall crm op2, u64 (id_register h crm op2);
  h_time : forall n, u64 (time h n);
  h_hash : forall alg l n, length (hash h alg l n) = 8%nat /\ Forall u64 (hash h alg l n);
  h_log : u64 (log_bytes h) /\ forall l seq, 0 <= fst (log_text h l seq) <= 4096 /\ u64 (snd (log_text h l seq));
  h_identity : 0 <= identity_size h < 2 ^ 32;
  h_key : forall l p k, key_opened h l p = Some k -> length k = 4%nat /\ Forall u64 k;
  h_page : forall k i a l t u x, page_opened h k i a l t u = Some x -> page_words x;
  h_claims : forall c r, length (token_claims h c r) = TOKEN_WORDS /\ Forall u64 (token_claims h c r);
  h_signed : forall l x, token_signed h l = Some x -> length x = TOKEN_WORDS /\ Forall u64 x;
  h_token : forall l, 0 <= token_size h l <= 4096;
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
  (* ranges *)
  i_hw : hw_ok (hw s);
  i_words : forall pa i, u64 (word (mem s) pa i);
  i_scratch : page_words (params s) /\ page_words (run s) /\ page_words (hash_page s) /\
      length (digest s) = 8%nat /\ Forall u64 (digest s) /\ Forall u64 (live s);
  (* no granule that KCore gives away is a host table *)
  i_host : forall pa g r, gran s !! pa = Some g -> role_of (hw s) pa = Some r -> g_state g = GS_CORE;
  (* realms *)
  i_owner : forall pa g, gran s !! pa = Some g ->
      if (g_state g =? GS_REC) || (g_state g =? GS_RTT) || (g_state g =? GS_DATA)
      then g_owner g <> 0 /\ has_state GS_RD (g_owner g) s = true else g_owner g = 0;
  i_realm : forall rd, has_state GS_RD rd s = true -> realm_ok s rd;
  i_vmid : forall rd rd', has_state GS_RD rd s = true -> has_state GS_RD rd' s = true ->
      rd_of s RD_vmid rd = rd_of s RD_vmid rd' -> rd = rd';
  i_rec : forall rec g, gran s !! rec = Some g -> g_state g = GS_REC -> rec_ok s rec (g_owner g);
  i_table : forall t p, places s !! t = Some p -> table_stands s t p;
  i_placed : forall t, has_state GS_RTT t s = true -> is_Some (places s !! t);
  (* each page of a realm is mapped, and at one address only *)
  i_data : forall pa g, gran s !! pa = Some g -> g_state g = GS_DATA -> exists t i ipa, maps s (g_owner g) t i ipa pa;
  i_once : forall rd rd' t t' i i' ipa ipa' pa, maps s rd t i ipa pa -> maps s rd' t' i' ipa' pa -> t = t' /\ i = i';
  (* what realms map or run on of the host's is pinned *)
  i_pins : forall pa, is_ns (gran s) pa = true -> uses s pa + runs_on s pa <= g_refs (granule_at s pa);
  i_cached : forall rd, rd ∈ cached s -> has_state GS_RD rd s = true;
  (* the REC that this CPU runs *)
  i_runs : runs s <> 0 -> has_state GS_REC (runs s) s = true /\ rec_of s REC_running (runs s) = 1;
  i_loaded : loaded s <> 0 -> loaded s = runs s /\ length (live s) = 133%nat;
}.

(* Between two handlers this CPU holds nothing, and nothing broken is waiting for its invalidation. *)
Definition idle (s : state) : Prop := held s = [] /\ shrinking s = false /\ staled s = [].
