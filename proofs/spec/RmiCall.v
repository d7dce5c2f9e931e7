(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rmi.c: every call of the host, by function identifier (DEN0137 B4.3; docs/abi.md). *)
From kcore Require Export spec.Hostmem spec.Data spec.RecDestroy spec.Psci spec.RttCommands.
From kcore Require Export spec.RealmCreate spec.RealmDestroy spec.EnterRec spec.KcoreCall.
Local Open Scope Z_scope.

Definition RMI_VERSION := 0xC4000150.
Definition RMI_GRANULE_DELEGATE := 0xC4000151.
Definition RMI_GRANULE_UNDELEGATE := 0xC4000152.
Definition RMI_DATA_CREATE := 0xC4000153.
Definition RMI_DATA_CREATE_UNKNOWN := 0xC4000154.
Definition RMI_DATA_DESTROY := 0xC4000155.
Definition RMI_REALM_ACTIVATE := 0xC4000157.
Definition RMI_REALM_CREATE := 0xC4000158.
Definition RMI_REALM_DESTROY := 0xC4000159.
Definition RMI_REC_CREATE := 0xC400015A.
Definition RMI_REC_DESTROY := 0xC400015B.
Definition RMI_REC_ENTER := 0xC400015C.
Definition RMI_RTT_CREATE := 0xC400015D.
Definition RMI_RTT_DESTROY := 0xC400015E.
Definition RMI_RTT_MAP_UNPROTECTED := 0xC400015F.
Definition RMI_RTT_READ_ENTRY := 0xC4000161.
Definition RMI_RTT_UNMAP_UNPROTECTED := 0xC4000162.
Definition RMI_PSCI_COMPLETE := 0xC4000164.
Definition RMI_FEATURES := 0xC4000165.
Definition RMI_RTT_FOLD := 0xC4000166.
Definition RMI_REC_AUX_COUNT := 0xC4000167.
Definition RMI_RTT_INIT_RIPAS := 0xC4000168.
Definition RMI_RTT_SET_RIPAS := 0xC4000169.
Definition RMI_FIRST := 0xC4000150.
Definition RMI_LAST := 0xC400018F.

(* Commands that answer with a status only. *)
Definition simple_called (fid x1 x2 x3 x4 x5 : Z) (s : state) : Z * state :=
  if fid =? RMI_GRANULE_DELEGATE then delegate x1 s
  else if fid =? RMI_GRANULE_UNDELEGATE then undelegate x1 s
  else if fid =? RMI_DATA_CREATE then create_data x1 x2 x3 x4 x5 s
  else if fid =? RMI_DATA_CREATE_UNKNOWN then create_unknown x1 x2 x3 s
  else if fid =? RMI_REALM_CREATE then create_realm x1 x2 s
  else if fid =? RMI_REALM_ACTIVATE then activate x1 s
  else if fid =? RMI_REALM_DESTROY then destroy_realm x1 s
  else if fid =? RMI_REC_CREATE then create_rec x1 x2 x3 s
  else if fid =? RMI_REC_DESTROY then destroy_rec x1 s
  else if fid =? RMI_RTT_CREATE then rtt_created x1 x2 x3 x4 s
  else if fid =? RMI_RTT_MAP_UNPROTECTED then map_unprotected x1 x2 x3 x4 s
  else if fid =? RMI_PSCI_COMPLETE then psci_completed x1 x2 x3 s
  else (NOT_SUPPORTED, s).

(* Commands with results: x0 to x4. *)
Definition rmi_called (fid x1 x2 x3 x4 x5 : Z) (s : state) : list Z * state :=
  if fid =? RMI_VERSION then (version_answer x1, s)
  else if fid =? RMI_FEATURES then (features_answer x1 s, s)
  else if fid =? RMI_DATA_DESTROY then destroy_data x1 x2 s
  else if fid =? RMI_RTT_DESTROY then rtt_destroyed x1 x2 x3 s
  else if fid =? RMI_RTT_FOLD then rtt_folded x1 x2 x3 s
  else if fid =? RMI_RTT_UNMAP_UNPROTECTED then unmap_unprotected x1 x2 x3 s
  else if fid =? RMI_REC_AUX_COUNT then (aux_count x1 s, s)
  else if fid =? RMI_RTT_INIT_RIPAS then init_ripas x1 x2 x3 s
  else if fid =? RMI_RTT_SET_RIPAS then set_ripas x1 x2 x3 x4 s
  else let (status, s1) := simple_called fid x1 x2 x3 x4 x5 s in (status_only status, s1).

(* SMCCC 1.2: the identifier is the lower half of x0, without the hint that SVE state is not live. *)
Definition called_id (x0 : Z) : Z := Z.land (Z.land x0 0xFFFFFFFF) (0xFFFFFFFFFFFFFFFF - 0x10000).

(* x0 to x4, and the REC that runs then (0: none). x4 is the caller's where no result is in it. *)
Definition four (r : list Z) (x4 : Z) : list Z := take 4 r ++ [x4; 0].
Definition host_smc (x0 x1 x2 x3 x4 x5 : Z) (s : state) : list Z * state :=
  let fid := called_id x0 in
  if fid =? RMI_REC_ENTER then
    let e := enter_rec x1 x2 s in ([e_status e; 0; 0; 0; x4; e_rec e], e_state e)
  else if fid =? RMI_RTT_READ_ENTRY then (read_entry x1 x2 x3 s ++ [0], s)
  else
    let (r, s1) := if (RMI_FIRST <=? fid) && (fid <=? RMI_LAST) then rmi_called fid x1 x2 x3 x4 x5 s
                   else kcore_called fid x1 x2 x3 x4 x5 s in
    (four r x4, s1).
