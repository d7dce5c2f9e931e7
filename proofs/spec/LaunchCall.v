(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/launch.c: KCORE_LAUNCH_POLICY and KCORE_LAUNCH_KEY as the host calls them (docs/abi.md): the page is one of
   the host's that can be pinned, and its copy stays in this CPU's parameter page. *)
From kcore Require Export spec.Launch spec.RecObject.
Local Open Scope Z_scope.

Definition KCORE_ABI_VERSION := 0x10001.
Definition KCORE_ERROR_POLICY := 16.
Definition KCORE_ERROR_SIGNATURE := 17.
Definition KCORE_ERROR_SEAL := 18.

(* Can the block be any realm's policy here? It is one, for this version at most (word 6), and all before the signature
   at 0xF0 is signed by the key at 0xD0. *)
Definition block_check (s : state) : Z :=
  if negb (block_ok s) then RMI_ERROR_INPUT
  else if KCORE_ABI_VERSION <? param 6 s then KCORE_ERROR_POLICY
  else if negb (signature_good (hw s) (params s) 0xF0 0xD0 0xF0) then KCORE_ERROR_SIGNATURE
  else RMI_SUCCESS.

Definition policy_with (rd : Z) (s : state) : Z * state :=
  if negb (block_check s =? RMI_SUCCESS) then (block_check s, s)
  else if negb (has_state GS_RD rd s) then (RMI_ERROR_INPUT, s)
  else if negb (untouched rd s) then (status_realm 0, s)
  else (RMI_SUCCESS, policy_set rd s).
Definition launch_policy (rd block : Z) (s : state) : Z * state :=
  if pinnable block s then policy_with rd (params_loaded block s) else (RMI_ERROR_INPUT, s).

(* A key, for a realm that is NEW, has none yet, and whose policy expects a RIM: opened with this KCore's sealing key for
   that policy. *)
Definition key_set (rd : Z) (s : state) : Z * state :=
  if negb (rd_get RD_state rd 0 s =? 0) || negb (rd_get RD_has_key rd 0 s =? 0) then (status_realm 0, s)
  else if negb (expects_rim rd s) then (KCORE_ERROR_POLICY, s)
  else match key_opened (hw s) (params s) (policy_of rd s) with
       | Some key => (RMI_SUCCESS, rd_set RD_has_key rd 0 1 (with_key rd key s))
       | None => (KCORE_ERROR_SEAL, s)
       end.
(* The page is zero from 0x50 on. *)
Definition key_with (rd : Z) (s : state) : Z * state :=
  if negb (zero_between 10 512 s) then (RMI_ERROR_INPUT, s)
  else if negb (has_state GS_RD rd s) then (RMI_ERROR_INPUT, s)
  else key_set rd s.
Definition launch_key (rd page : Z) (s : state) : Z * state :=
  if pinnable page s then key_with rd (params_loaded page s) else (RMI_ERROR_INPUT, s).
