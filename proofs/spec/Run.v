(* SPDX-License-Identifier: Apache-2.0 *)
(* A machine that runs: the core on one CPU, called by its host and its realms; the TLBs of all CPUs and of the SMMU; and what the
   host, its devices and the realms do meanwhile. *)
From kcore Require Export spec.Inv.
From kcore Require Export spec.RealmTlb.
From kcore Require Import gen.Core.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Record machine := Machine { m_state : state; m_tlb : tlb; m_realm_tlb : realm_tlb }.
Definition on (f : state -> state) (m : machine) : machine := Machine (f (m_state m)) (m_tlb m) (m_realm_tlb m).

(* A primitive of the core, beside TLBs of both kinds. *)
Definition prim_with_tlbs (p : prim) (args : list Z) : M machine (list Z) := fun m =>
  match prim_with_tlb p args (m_state m, m_tlb m), prim_with_realm_tlb p args (m_state m, m_realm_tlb m) with
  | Some (rs, (s, T)), Some (_, (_, R)) => Some (rs, Machine s T R)
  | _, _ => None
  end.

(* ---- Where addresses lead ---- *)

(* By a leaf that a TLB holds, or that a walk finds: from the root, or from an entry that a TLB holds. *)
Definition leads (level base d ipa pa : Z) : Prop :=
  is_table level d = false /\ base <= ipa < base + size_of level /\ pa = out_addr d + (ipa - base).
(* An address of the host, on one of its CPUs or of a device. *)
Definition accesses (m : machine) (a : agent) (ipa pa : Z) : Prop :=
  exists level base d, filled (m_state m) (m_tlb m) a level base d /\ leads level base d ipa pa.
(* An address of a realm, on any CPU that runs with this VMID. *)
Definition realm_accesses (m : machine) (vmid ipa pa : Z) : Prop :=
  exists level base d, realm_filled (m_state m) (m_realm_tlb m) vmid level base d /\ leads level base d ipa pa.

(* All that the host and devices reach is the host's, or no memory. All that is reached with a VMID is own data of the one
   realm that has it, or the host's. *)
Record isolated (m : machine) : Prop := Isolated {
  is_host : forall a ipa pa g, accesses m a ipa pa -> gran (m_state m) !! floor_of 3 pa = Some g -> g_state g = GS_NS;
  is_realm : forall vmid ipa pa, realm_accesses m vmid ipa pa -> exists rd,
      rd ∈ cached (m_state m) /\ shape RD_vmid rd (m_state m) = vmid /\
      (forall rd', rd' ∈ cached (m_state m) -> shape RD_vmid rd' (m_state m) = vmid -> rd' = rd) /\
      (own_data (m_state m) rd (floor_of 3 pa) = true \/ has_state GS_NS (floor_of 3 pa) (m_state m) = true);
}.

(* ---- What others do ---- *)

Definition store (pa v : Z) (s : state) : state := put_word (floor_of 3 pa) (pa mod 4096 / 8) v s.
(* What a trap saves in the REC: general registers, pc, pstate. *)
Definition saved_at_trap (f : rec_field) (i : Z) : Prop :=
  f = REC_gpr /\ 0 <= i < 31 \/ (f = REC_pc \/ f = REC_pstate) /\ i = 0.

Inductive meanwhile (m : machine) : machine -> Prop :=
(* a CPU of the host or a device stores, or a realm *)
| O_store a ipa pa v : accesses m a ipa pa -> u64 v -> meanwhile m (on (store pa v) m)
| O_realm_store vmid ipa pa v : realm_accesses m vmid ipa pa -> u64 v -> meanwhile m (on (store pa v) m)
(* the REC whose registers are on this CPU changes one *)
| O_register f i v (rec := loaded (m_state m)) : has_state GS_REC rec (m_state m) = true -> saved_at_trap f i -> u64 v ->
    meanwhile m (on (rec_set f rec i v) m)
| O_live i v (rec := loaded (m_state m)) : has_state GS_REC rec (m_state m) = true -> u64 v ->
    meanwhile m (on (fun s => with_loaded rec (set_nth (live s) i v) s) m)
(* time passes *)
| O_time n : (clock (m_state m) <= n)%nat -> meanwhile m (on (with_clock n) m)
(* TLBs take up what walks find, and drop what they like *)
| O_tlbs T R : (forall a level base d, T a level base d -> filled (m_state m) (m_tlb m) a level base d) ->
    (forall v level base d, R v level base d -> realm_filled (m_state m) (m_realm_tlb m) v level base d) ->
    meanwhile m (Machine (m_state m) T R).

(* ---- Steps ---- *)

(* Any primitive of the core whose guard holds, and what others do, in any order. *)
Inductive moves (m : machine) : machine -> Prop :=
| M_prim p args rs m' : prim_with_tlbs p args m = Some (rs, m') -> moves m m'
| M_meanwhile m' : meanwhile m m' -> moves m m'.

(* Why the core is entered, with the registers it gets: the host calls, or does not reach an address; the REC that this
   CPU runs traps. *)
Inductive event :=
| HostCall (x0 x1 x2 x3 x4 x5 : Z)
| HostAbort (esr hpfar far : Z)
| RecTrap (trap esr far hpfar : Z).
Definition entry (e : event) (s : state) : string * list Z :=
  match e with
  | HostCall x0 x1 x2 x3 x4 x5 => ("core_host_smc", [x0; x1; x2; x3; x4; x5])
  | HostAbort esr hpfar far => ("core_host_abort", [esr; hpfar; far])
  | RecTrap trap esr far hpfar => ("core_rec_exit", [runs s; trap; esr; far; hpfar])
  end.
Definition handled (e : event) (m : machine) : option (list Z * machine) :=
  link prim_with_tlbs program (fst (entry e (m_state m))) (snd (entry e (m_state m))) m.
(* The host runs, or a REC does. *)
Definition possible (e : event) (s : state) : Prop :=
  match e with RecTrap _ _ _ _ => runs s <> 0 | _ => runs s = 0 end.
Definition registers (e : event) : Prop :=
  match e with
  | HostCall x0 x1 x2 x3 x4 x5 => u64 x1 /\ u64 x2 /\ u64 x3 /\ u64 x4 /\ u64 x5
  | HostAbort _ _ _ => True
  | RecTrap _ esr far hpfar => u64 esr /\ u64 far /\ u64 hpfar
  end.
(* A REC that runs has its registers on this CPU, and its realm is one that walks are made for. *)
Definition runs_well (s : state) : Prop := runs s = 0 \/ loaded s = runs s /\ rec_get REC_rd (runs s) 0 s ∈ cached s.
Definition between (s : state) : Prop := inv s /\ idle s /\ runs_well s.

(* The core deals with what happens; others do something while it does not run. *)
Inductive step (m : machine) : machine -> Prop :=
| S_event e rs m' : possible e (m_state m) -> registers e -> handled e m = Some (rs, m') -> step m m'
| S_meanwhile m' : meanwhile m m' -> step m m'.
