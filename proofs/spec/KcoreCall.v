(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rmi.c: the vendor calls of the host, by function identifier (docs/abi.md). *)
From kcore Require Export spec.RmiRead spec.LaunchCall spec.Data.
Local Open Scope Z_scope.

Definition KCORE_VENDOR_UID := 0x8600FF01.
Definition KCORE_VERSION := 0xC6004B00.
Definition KCORE_FEATURES := 0xC6004B01.
Definition KCORE_DELEGATE_RANGE := 0xC6004B02.
Definition KCORE_UNDELEGATE_RANGE := 0xC6004B03.
Definition KCORE_LOG_READ := 0xC6004B04.
Definition KCORE_COUNTER_READ := 0xC6004B05.
Definition KCORE_IDENTITY_READ := 0xC6004B06.
Definition KCORE_LAUNCH_POLICY := 0xC6004B07.
Definition KCORE_LAUNCH_KEY := 0xC6004B08.
Definition KCORE_DATA_CREATE_SEALED := 0xC6004B09.

(* Calls on a realm that is being launched answer with a status; no other function has these identifiers. *)
Definition launch_called (fid x1 x2 x3 x4 x5 : Z) (s : state) : Z * state :=
  if fid =? KCORE_LAUNCH_POLICY then launch_policy x1 x2 s
  else if fid =? KCORE_LAUNCH_KEY then launch_key x1 x2 s
  else if fid =? KCORE_DATA_CREATE_SEALED then create_sealed x1 x2 x3 x4 x5 s
  else (NOT_SUPPORTED, s).

(* x0 to x4 *)
Definition vendor_uid : list Z := [0xE4A0C0B1; 0x7A4F435D; 0x434B519A; 0x0165726F; 0].
Definition kcore_called (fid x1 x2 x3 x4 x5 : Z) (s : state) : list Z * state :=
  if fid =? KCORE_VENDOR_UID then (vendor_uid, s)
  else if fid =? KCORE_VERSION then (answer RMI_SUCCESS KCORE_ABI_VERSION 0, s)
  else if fid =? KCORE_FEATURES then (value_answer (feature x1 s), s)
  else if fid =? KCORE_DELEGATE_RANGE then range_answer (ranged delegate x1 x2 s)
  else if fid =? KCORE_UNDELEGATE_RANGE then range_answer (ranged undelegate x1 x2 s)
  else if fid =? KCORE_LOG_READ then log_told x1 x2 s
  else if fid =? KCORE_IDENTITY_READ then identity_told x1 x2 s
  else if fid =? KCORE_COUNTER_READ then (value_answer (counter_asked x1 s), s)
  else let (status, s1) := launch_called fid x1 x2 x3 x4 x5 s in (status_only status, s1).
