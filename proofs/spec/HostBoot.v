(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: what boot puts into the host's tables. *)
From kcore Require Export spec.Hostmem.
Local Open Scope Z_scope.

(* The level 1 table t1 points to t2 for ipa; it may have before. *)
Definition boot_linked (ipa t1 t2 : Z) (s : state) : state :=
  if word (mem s) t1 (slot_of 1 ipa) =? 0 then after_write t1 (slot_of 1 ipa) (table_desc t2) s else s.

(* One granule in the level 3 table t3, if it is the host's. *)
Definition boot_mapped (pa t3 : Z) (s : state) : state :=
  if claimable GS_NS pa s then put_word t3 (slot_of 3 pa) (host_page pa) s else s.
