(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rmi.c: KCORE_LOG_READ and KCORE_IDENTITY_READ: text goes to a page of the host, pinned meanwhile. *)
From kcore Require Export spec.Rmi spec.GranuleRange.
Local Open Scope Z_scope.

(* n bytes of a text, from a position on. *)
Definition page_told (ns n : Z) (f : Z -> Z) (from : Z) (s : state) : state :=
  put_page ns (bytes_put (page (mem s) ns) 0 n f from) s.

(* Bytes, and the position to go on with. *)
Definition log_told (ns seq : Z) (s : state) : list Z * state :=
  if pinnable ns s then
    let (n, next) := log_text (hw s) (logged s) seq in
    (answer RMI_SUCCESS n next, page_told ns n (log_byte (hw s) (logged s) seq) 0 s)
  else (status_only RMI_ERROR_INPUT, s).
(* Bytes, and the size of the document. *)
Definition identity_told (ns offset : Z) (s : state) : list Z * state :=
  if pinnable ns s then
    let n := document offset (identity_size (hw s)) in
    (answer RMI_SUCCESS n (identity_size (hw s)), page_told ns n (identity_byte (hw s)) offset s)
  else (status_only RMI_ERROR_INPUT, s).
