(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/realm.c: creating, activating and destroying realms (DEN0137 B4.3: RMI_REALM_CREATE, RMI_REALM_ACTIVATE,
   RMI_REALM_DESTROY, RMI_REC_AUX_COUNT). *)
From kcore Require Export spec.Launch spec.Table spec.Hostmem.
Local Open Scope Z_scope.

Definition KCORE_ERROR_RIM := 19.
Definition REALM_NEW := 0.
Definition REALM_ACTIVE := 1.
Definition MAX_RECS := 1023.
Definition MAX_START := 16.

(* RmiRealmParams, each field as wide as it is (DEN0137 B4.4.12). *)
Record realm_params := RealmParams {
  p_flags : Z; p_s2sz : Z; p_num_bps : Z; p_num_wps : Z; p_hash_algo : Z; p_vmid : Z; p_rtt_base : Z;
  p_start_level : Z; p_num_start : Z;
}.
Definition params_given (s : state) : realm_params :=
  RealmParams (param 0 s) (Z.land (param 1 s) low) (Z.land (param 3 s) low) (Z.land (param 4 s) low)
    (Z.land (param 6 s) 0xFF) (Z.land (param 0x100 s) 0xFFFF) (param 0x101 s) (param 0x102 s) (Z.land (param 0x103 s) low).
Definition slots (p : realm_params) : list Z :=
  [p_flags p; p_s2sz p; p_num_bps p; p_num_wps p; p_hash_algo p; p_vmid p; p_rtt_base p; p_start_level p; p_num_start p].

(* Start tables that a start level needs for 2^s2sz bytes; 0: the walk can not start there. *)
Definition start_tables (level s2sz : Z) (s : state) : Z :=
  let n := index_of level (2 ^ s2sz) / 512 in
  if (2 <? level) || ((level =? 0) && (negb (level0 (hw s)) || (s2sz <? 40))) || (MAX_START <? n) then 0 else Z.max 1 n.

(* Can this machine make such a realm? No feature of flags is on offer; one breakpoint and one watchpoint. *)
Definition realm_possible (p : realm_params) (s : state) : bool :=
  let n := start_tables (p_start_level p) (p_s2sz p) s in
  (p_flags p =? 0) && ((32 <=? p_s2sz p) && (p_s2sz p <=? width (hw s))) &&
  ((p_num_bps p =? 1) && (p_num_wps p =? 1)) && (negb (n =? 0) && (p_num_start p =? n)) &&
  ((p_hash_algo p =? 0) || (p_hash_algo p =? 1)) && (Z.land (p_rtt_base p) (4096 * n - 1) =? 0).

(* The RD of a realm that is NEW: its parameters, its limits, and its first measurement. *)
Definition realm_filled (rd : Z) (p : realm_params) (s : state) : state :=
  realm_measured rd
    (each (fun i s => rd_set RD_rpv rd i (param (0x80 + i) s) s)
      (rd_set RD_max_shared rd 0 whole (rd_set RD_max_private rd 0 whole (rd_set RD_max_vcpus rd 0 MAX_RECS
        (rd_set RD_rec_count rd 0 0 (rd_set RD_rec_index rd 0 0 (rd_set RD_hash_algo rd 0 (p_hash_algo p)
          (rd_set RD_vmid rd 0 (p_vmid p) (rd_set RD_rtt_base rd 0 (p_rtt_base p)
            (rd_set RD_num_start rd 0 (p_num_start p) (rd_set RD_start_level rd 0 (p_start_level p)
              (rd_set RD_ipa_size rd 0 (2 ^ p_s2sz p) (rd_set RD_s2sz rd 0 (p_s2sz p)
                (rd_set RD_state rd 0 REALM_NEW s)))))))))))))).

(* Activate: the realm is NEW, and what its tenant wants to run. No more of it is unsealed then. *)
Definition activate_check (rd : Z) (s : state) : Z :=
  if negb (rd_get RD_state rd 0 s =? REALM_NEW) then status_realm 0
  else if negb (rim_ok rd s) then KCORE_ERROR_RIM
  else RMI_SUCCESS.
Definition log_put (code a b : Z) (s : state) : state := with_logged ((code, a, b) :: logged s) s.
Definition LOG_ACTIVATE := 4.
Definition activated (rd : Z) (s : state) : state :=
  log_put LOG_ACTIVATE rd (rd_get RD_meas rd 0 s) (rd_set RD_state rd 0 REALM_ACTIVE (key_forgotten rd s)).
Definition activate (rd : Z) (s : state) : Z * state :=
  if negb (has_state GS_RD rd s) then (RMI_ERROR_INPUT, s)
  else let status := activate_check rd s in
       (status, if status =? RMI_SUCCESS then activated rd s else s).

(* The number of auxiliary granules of a REC: none. *)
Definition aux_count (rd : Z) (s : state) : list Z :=
  if has_state GS_RD rd s then [RMI_SUCCESS; 0; 0; 0; 0] else [RMI_ERROR_INPUT; 0; 0; 0; 0].
