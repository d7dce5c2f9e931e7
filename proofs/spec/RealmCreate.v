(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/realm.c: RMI_REALM_CREATE (DEN0137 B4.3). *)
From kcore Require Export spec.Realm.
From kcore Require Export spec.Rmi.
From kcore Require Export spec.Rtt.
From kcore Require Export spec.GranuleRange.
From kcore Require Export spec.RecObject.
Local Open Scope Z_scope.

(* Table t of the start tables from base on is the realm's: it stands at the start level, with none above. *)
Definition start_owned (rd level base t : Z) (s : state) : state :=
  let pa := base + t * 4096 in
  with_places (<[pa := Place rd level (t * span level) 0]> (places s))
    (set_granule pa (Gran GS_RTT rd (g_refs (granule_at s pa))) s).
Definition starts_owned (rd level base : Z) (n : nat) (s : state) : state := each_below n (start_owned rd level base) s.

(* What realm_create_claimed does: rd is claimed, the VMID is the realm's. *)
Definition LOG_CREATE := 2.
Definition realm_built (rd : Z) (p : realm_params) (s : state) : state :=
  let n := Z.to_nat (p_num_start p) in
  starts_owned rd (p_start_level p) (p_rtt_base p) n (start_filled rd n (realm_filled rd p s)).
Definition realm_made (rd : Z) (p : realm_params) (s : state) : state :=
  log_put LOG_CREATE rd (p_vmid p) (counted CTR_REALMS 1 (with_owner rd GS_RD 0 (flushed (p_vmid p) s))).
Definition create_claimed (rd : Z) (p : realm_params) (s : state) : Z * state :=
  let n := Z.to_nat (p_num_start p) in
  let (ok, s1) := claim_all n (p_rtt_base p) s in
  if ok =? 0 then (RMI_ERROR_INPUT, s1)
  else (RMI_SUCCESS, realm_made rd p (claims_dropped n (p_rtt_base p) (realm_built rd p s1))).

(* Can the host have this realm? The machine can make it; its VMID is free; its RD and its start tables are delegated,
   claimed by nobody, and all different. *)
Definition vmid_free (vmid : Z) (s : state) : bool := vmid_usable (hw s) vmid && negb (bool_decide (vmid ∈ vmids s)).
Definition starts_claimable (rd base : Z) (n : nat) (s : state) : bool :=
  forallb (fun t => claimable GS_DELEGATED (nth_page base t) s && negb (nth_page base t =? rd)) (below n).
Definition realm_creatable (rd : Z) (p : realm_params) (s : state) : bool :=
  realm_possible p s && vmid_free (p_vmid p) s && claimable GS_DELEGATED rd s &&
  starts_claimable rd (p_rtt_base p) (Z.to_nat (p_num_start p)) s.
Definition vmid_taken (vmid : Z) (s : state) : state := with_vmids ({[vmid]} ∪ vmids s) s.
Definition realm_new (rd : Z) (p : realm_params) (s : state) : state :=
  realm_made rd p (realm_built rd p (vmid_taken (p_vmid p) s)).

(* The parameters are in this CPU's parameter page. *)
Definition create_given (rd : Z) (s : state) : Z * state :=
  let p := params_given s in
  if realm_creatable rd p s then (RMI_SUCCESS, realm_new rd p s) else (RMI_ERROR_INPUT, s).
(* They come from a page of the host's that can be pinned. *)
Definition create_realm (rd ns : Z) (s : state) : Z * state :=
  if pinnable ns s then create_given rd (params_loaded ns s) else (RMI_ERROR_INPUT, s).
