(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: RMI_REC_DESTROY (DEN0137 B4.3). *)
From kcore Require Export spec.RecLock.
From kcore Require Export spec.Granule.
From kcore Require Export spec.Hostmem.
Local Open Scope Z_scope.

Definition RMI_ERROR_REC := 3.

(* Its realm has one less, and its granule is wiped and nobody's. *)
Definition rec_gone (rd rec : Z) (s : state) : state :=
  scrubbed rec (rd_set RD_rec_count rd 0 (wrap U64 (rd_get RD_rec_count rd 0 s - 1)) s).
(* A REC that no CPU runs. *)
Definition destroy_rec (rec : Z) (s : state) : Z * state :=
  if negb (owner_found rec s) then (RMI_ERROR_INPUT, s)
  else if negb (rec_get REC_running rec 0 s =? 0) then (RMI_ERROR_REC, s)
  else (RMI_SUCCESS, rec_gone (rec_owner rec s) rec s).
