(* SPDX-License-Identifier: Apache-2.0 *)
(* What keeps realms out of pages that are not theirs, at every step and not only between handlers: what their tables
   contain, and what TLBs may hold of them. *)
From kcore Require Export spec.Isolation.
Local Open Scope Z_scope.

(* ---- TLBs ---- *)

Definition shape (f : rd_field) (rd : Z) (s : state) : Z := word (mem s) rd (rd_off f).

(* What the TLBs hold of realms, all CPUs together: with the tag (VMID), for the addresses from base on, a descriptor that was
   read at this level; of leaves, and of entries that point to tables. *)
Definition realm_tlb : Type := Z -> Z -> Z -> Z -> Prop.

(* Any walk of a realm that may run, from a start table or from an entry that is held, may put what it reads into a TLB, at any
   time. A realm may run from when a REC of it is first loaded (its RD is then in `cached`); the walk begins where its RECs
   say, which is what the RD says (rec_agrees). *)
Inductive realm_filled (s : state) (T : realm_tlb) : realm_tlb :=
| RF_there v level base d : T v level base d -> realm_filled s T v level base d
| RF_first rd ipa d : rd ∈ cached s -> 0 <= ipa < 2 ^ shape RD_s2sz rd s ->
    word (mem s) (shape RD_rtt_base rd s + ipa / (512 * size_of (shape RD_start_level rd s)) * 4096)
      (slot_of (shape RD_start_level rd s) ipa) = d ->
    is_valid d = true -> realm_filled s T (shape RD_vmid rd s) (shape RD_start_level rd s) (floor_of (shape RD_start_level rd s) ipa) d
| RF_next v level base d i d' : realm_filled s T v level base d -> is_table level d = true -> 0 <= i < 512 ->
    word (mem s) (out_addr d) i = d' -> is_valid d' = true ->
    realm_filled s T v (level + 1) (base + i * size_of (level + 1)) d'.

(* What an invalidation takes out for certain (DDI0487 D8.14): of one address, leaves of all levels; or all with this tag. *)
Definition realm_flushed_by (p : prim) (args : list Z) (v level base d : Z) : bool :=
  match p, args with
  | P_tlbi_realm, [vmid; ipa] => (v =? vmid) && negb (is_table level d) && (floor_of level ipa =? base)
  | P_tlbi_realm_all, [vmid] => v =? vmid
  | _, _ => false
  end.

(* The machine with TLBs that hold all they may of realms: whatever others do, they hold no more. *)
Definition prim_with_realm_tlb (p : prim) (args : list Z) : M (state * realm_tlb) (list Z) := fun '(s, T) =>
  match prim_sem p args s with
  | Some (rs, s') =>
      Some (rs, (s', realm_filled s' (fun v level base d => T v level base d /\ realm_flushed_by p args v level base d = false)))
  | None => None
  end.

(* ---- Tables ---- *)

(* The tables that a realm may walk: start tables, what their entries point to, and what a TLB holds a pointer to. *)
Inductive hot (s : state) (T : realm_tlb) : Z -> Z -> Z -> Z -> Prop :=
| H_root t p : places s !! t = Some p -> p_parent p = 0 -> hot s T (p_rd p) (p_level p) (p_base p) t
| H_next rd level base t i : hot s T rd level base t -> 0 <= i < 512 -> is_table level (word (mem s) t i) = true ->
    hot s T rd (level + 1) (base + i * size_of level) (out_addr (word (mem s) t i))
| H_tlb rd level base d : rd ∈ cached s -> T (shape RD_vmid rd s) level base d -> is_table level d = true ->
    hot s T rd (level + 1) base (out_addr d).

(* A leaf maps this realm's own pages, or the host's. *)
Definition leaf_fits (s : state) (rd level d : Z) : Prop :=
  forall pa, out_addr d <= pa < out_addr d + size_of level -> pa mod 4096 = 0 ->
    own_data s rd pa = true \/ has_state GS_NS pa s = true.
(* An entry of table t of this realm: such a leaf, or it points to the one table for its addresses, below t. *)
Definition entry_fits (s : state) (rd level base t d : Z) : Prop :=
  if is_table level d
  then d = Z.lor (out_addr d) S2_TABLE /\ places s !! out_addr d = Some (Place rd (level + 1) base t)
  else leaf_fits s rd level d.

Definition placed_well (s : state) (t : Z) (p : place) : Prop :=
  (has_state GS_RTT t s = true \/ has_state GS_DELEGATED t s = true) /\
  0 <= p_level p <= 3 /\ p_base p mod (512 * size_of (p_level p)) = 0.

Record apart (s : state) (T : realm_tlb) : Prop := Apart {
  ap_contained : contained s;
  ap_key : forall l p k, key_opened (hw s) l p = Some k -> length k = 4%nat;
  ap_gran : forall pa g, gran s !! pa = Some g -> 0 < pa < 2 ^ 48 /\ pa mod 4096 = 0;
  ap_place : forall t p, places s !! t = Some p -> placed_well s t p;
  (* realms that may run *)
  ap_cached : forall rd, rd ∈ cached s -> has_state GS_RD rd s = true /\ starts_stand rd s = true;
  ap_vmid : forall rd rd', rd ∈ cached s -> rd' ∈ cached s -> shape RD_vmid rd s = shape RD_vmid rd' s -> rd = rd';
  (* tables that may be walked *)
  ap_hot : forall rd level base t, hot s T rd level base t ->
      (exists parent, places s !! t = Some (Place rd level base parent)) /\
      forall i, 0 <= i < 512 -> is_valid (word (mem s) t i) = true ->
        entry_fits s rd level (base + i * size_of level) t (word (mem s) t i);
  (* what is held is a realm's; why: its table still says so, or it is listed as broken, or an entry above it is *)
  ap_tlb : forall v level base d, T v level base d -> exists rd, rd ∈ cached s /\ shape RD_vmid rd s = v /\ is_valid d = true /\
      (is_table level d = false -> leaf_fits s rd level d) /\
      ((exists b t i, hot s T rd level b t /\ 0 <= i < 512 /\ word (mem s) t i = d /\ base = b + i * size_of level) \/
       In (StaleRealm rd level base d) (staled s) \/
       exists l b e, In (StaleRealm rd l b e) (staled s) /\ is_table l e = true);
}.
