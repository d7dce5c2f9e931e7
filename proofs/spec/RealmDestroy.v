(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/realm.c: RMI_REALM_DESTROY (DEN0137 B4.3). *)
From kcore Require Export spec.Realm.
From kcore Require Export spec.Rmi.
From kcore Require Export spec.RttCommands.
Local Open Scope Z_scope.

Definition LOG_DESTROY := 3.

(* No REC, and nothing below its start tables: no table, no page. *)
Definition realm_unused (rd : Z) (s : state) : bool :=
  (rd_of s RD_rec_count rd =? 0) && (start_refs rd s (Z.to_nat (rd_of s RD_num_start rd)) =? 0).
Definition vmid_freed (vmid : Z) (s : state) : state := with_vmids (vmids s ∖ {[vmid]}) s.
(* What TLBs have of it goes, then its start tables, with what they map of the host's, then its VMID, then its RD:
   wiped and nobody's. *)
Definition realm_gone (rd : Z) (s : state) : state :=
  let vmid := rd_of s RD_vmid rd in
  let tables := start_freed rd (rd_of s RD_start_level rd) (rd_of s RD_rtt_base rd) (Z.to_nat (rd_of s RD_num_start rd)) in
  scrubbed rd (log_put LOG_DESTROY rd vmid (counted CTR_REALMS (2 ^ 64 - 1) (vmid_freed vmid (tables (uncached vmid s))))).
Definition destroy_realm (rd : Z) (s : state) : Z * state :=
  if negb (has_state GS_RD rd s) then (RMI_ERROR_INPUT, s)
  else if negb (realm_unused rd s) then (status_realm 0, s)
  else (RMI_SUCCESS, realm_gone rd s).
