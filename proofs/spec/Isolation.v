(* SPDX-License-Identifier: Apache-2.0 *)
(* What keeps the host and its devices out of pages that are not theirs, at every step and not only between handlers: what
   the host's tables contain, and what TLBs may hold of it. *)
From kcore Require Export machine.Machine.
From kcore Require Export lang.Link.
Local Open Scope Z_scope.

(* ---- The tables ---- *)

(* An agent's table of this level for an address; the tables of level 3 are shared. *)
Definition table_of (h : hardware) (a : agent) (level ipa : Z) : Z :=
  match a with
  | Cpu => host_table h level ipa
  | Smmu => if level =? 3 then host_table h 3 ipa else smmu_table h level ipa
  end.

(* Boot made the tables, and they never move: one for all the addresses that it translates, and its role says which. *)
Record tables_wired (h : hardware) : Prop := TablesWired {
  tw_same : forall a level ipa, 1 <= level <= 3 ->
      table_of h a level ipa = table_of h a level (floor_of (level - 1) ipa);
  tw_role : forall a level ipa, 1 <= level <= 3 -> table_of h a level ipa <> 0 ->
      role_of h (table_of h a level ipa) =
      Some (Role (if level =? 3 then None else Some a) level (floor_of (level - 1) ipa));
  tw_back : forall t w level base, role_of h t = Some (Role w level base) ->
      1 <= level <= 3 /\ base mod size_of (level - 1) = 0 /\
      match w with
      | Some a => level < 3 /\ table_of h a level base = t
      | None => level = 3 /\ host_table h 3 base = t
      end;
  tw_addr : forall t r, role_of h t = Some r -> 0 < t < 2 ^ 48 /\ t mod 4096 = 0;
}.

(* A descriptor in an agent's table, for the addresses from base on: it points to the one table for them, or maps each
   page to itself, and then all are the host's or no memory. (Blocks of level 1 are windows of devices.) *)
Definition desc_fits (s : state) (a : agent) (level base d : Z) : Prop :=
  is_valid d = true /\
  if is_table level d
  then table_of (hw s) a (level + 1) base <> 0 /\ d = Z.lor (table_of (hw s) a (level + 1) base) S2_TABLE
  else out_addr d = base /\ (level < 3 -> a = Cpu) /\
       forall pa, base <= pa < base + size_of level -> pa mod 4096 = 0 ->
         hosts_or_device s pa = true /\ (level = 1 -> gran s !! pa = None).

Record contained (s : state) : Prop := Contained {
  tc_wired : tables_wired (hw s);
  tc_page : forall t r, role_of (hw s) t = Some r -> is_page (page (mem s) t);
  (* the tables are in tracked memory, and KCore's; nobody has one in hand but by the host's lock *)
  tc_own : forall t r, role_of (hw s) t = Some r ->
      exists g, gran s !! t = Some g /\ g_state g = GS_CORE /\ g_owner g = 0 /\ holds (LGranule t) s = false;
  tc_runs : role_of (hw s) (runs s) = None;
  tc_loaded : role_of (hw s) (loaded s) = None;
  tc_desc : forall t w level base i a, role_of (hw s) t = Some (Role w level base) -> w = None \/ w = Some a ->
      0 <= i < 512 -> is_valid (word (mem s) t i) = true ->
      desc_fits s a level (base + i * size_of level) (word (mem s) t i);
}.

(* ---- TLBs ---- *)

(* What the TLBs of an agent hold: for the addresses from base on, a descriptor that was read at this level; of leaves, and of
   entries that point to tables. *)
Definition tlb : Type := agent -> Z -> Z -> Z -> Prop.

(* Any walk, from the root or from an entry that is held, may put what it reads into a TLB, at any time. *)
Inductive filled (s : state) (T : tlb) : tlb :=
| F_there a level base d : T a level base d -> filled s T a level base d
| F_first a ipa d : table_of (hw s) a 1 ipa <> 0 -> word (mem s) (table_of (hw s) a 1 ipa) (slot_of 1 ipa) = d ->
    is_valid d = true -> filled s T a 1 (floor_of 1 ipa) d
| F_next a level ipa d d' : 1 <= level < 3 -> filled s T a level (floor_of level ipa) d -> is_table level d = true ->
    word (mem s) (out_addr d) (slot_of (level + 1) ipa) = d' -> is_valid d' = true ->
    filled s T a (level + 1) (floor_of (level + 1) ipa) d'.

(* What an invalidation takes out for certain (DDI0487 D8.14): of one address, leaves of all levels; of 2 MiB, everything
   below level 1. *)
Definition flushed_by (p : prim) (args : list Z) (a : agent) (level base d : Z) : bool :=
  match p, args with
  | P_tlbi_host, [ipa] => agent_eqb a Cpu && negb (is_table level d) && (floor_of level ipa =? base)
  | P_tlbi_host_2m, [ipa] => agent_eqb a Cpu && (2 <=? level) && (floor_of 2 base =? ipa)
  | P_smmu_tlbi, [ipa] => agent_eqb a Smmu && negb (is_table level d) && (floor_of level ipa =? base)
  | _, _ => false
  end.

(* The machine with TLBs that hold all they may: whatever others do, they hold no more. *)
Definition prim_with_tlb (p : prim) (args : list Z) : M (state * tlb) (list Z) := fun '(s, T) =>
  match prim_sem p args s with
  | Some (rs, s') => Some (rs, (s', filled s' (fun a level base d => T a level base d /\ flushed_by p args a level base d = false)))
  | None => None
  end.

(* Why an entry is held: its table still says so, or what it was read from is listed as broken. *)
Definition links (s : state) (a : agent) (base : Z) : Prop :=
  word (mem s) (table_of (hw s) a 2 base) (slot_of 2 base) = Z.lor (host_table (hw s) 3 base) S2_TABLE.
Definition known (s : state) (a : agent) (level base d : Z) : Prop :=
  level = 1 \/
  level = 2 /\ table_of (hw s) a 2 base <> 0 /\
    (word (mem s) (table_of (hw s) a 2 base) (slot_of 2 base) = d \/
     In (StaleHost a (if is_table 2 d then RTable else RBlock) base) (staled s)) \/
  level = 3 /\ table_of (hw s) a 2 base <> 0 /\ host_table (hw s) 3 base <> 0 /\
    (word (mem s) (host_table (hw s) 3 base) (slot_of 3 base) = d /\ links s a base \/
     In (StaleHost a RPage base) (staled s) \/ In (StaleHost a RTable (floor_of 2 base)) (staled s)).
Definition may_hold (s : state) : tlb := fun a level base d =>
  1 <= level <= 3 /\ base mod size_of level = 0 /\ desc_fits s a level base d /\ known s a level base d.

Definition secure (s : state) (T : tlb) : Prop :=
  contained s /\ forall a level base d, T a level base d -> may_hold s a level base d.

(* ---- Realms ---- *)

(* Where a walk of a realm's may come: the start tables that its RD names (and, by rec_agrees, each of its RECs), and the
   tables that their entries point to; level, first address, table. *)
Inductive realm_table (s : state) (rd : Z) : Z -> Z -> Z -> Prop :=
| RT_start n : 0 <= n < rd_get RD_num_start rd 0 s ->
    realm_table s rd (rd_get RD_start_level rd 0 s) (n * (512 * size_of (rd_get RD_start_level rd 0 s)))
      (rd_get RD_rtt_base rd 0 s + n * 4096)
| RT_next level base t i : realm_table s rd level base t -> 0 <= i < 512 -> is_table level (word (mem s) t i) = true ->
    realm_table s rd (level + 1) (base + i * size_of level) (out_addr (word (mem s) t i)).

(* A realm reaches a page by a leaf of these tables, or by what a TLB may have kept of one that was broken. *)
Definition realm_reaches (s : state) (rd pa : Z) : Prop :=
  (exists level base t i, realm_table s rd level base t /\ 0 <= i < 512 /\ leaf_covers level (word (mem s) t i) pa = true) \/
  (exists level ipa d, In (StaleRealm rd level ipa d) (staled s) /\ stale_reaches pa (StaleRealm rd level ipa d) = true).
