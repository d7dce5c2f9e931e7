(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/granule.c: status words with an index (DEN0137 B4.1), and changes of granule words. *)
From kcore Require Export machine.Machine.
Local Open Scope Z_scope.

Definition RMI_ERROR_REALM := 2.
Definition RMI_ERROR_RTT := 4.
Definition status_realm (index : Z) : Z := RMI_ERROR_REALM + 256 * index.
Definition status_rtt (level : Z) : Z := RMI_ERROR_RTT + 256 * level.

Definition is_aligned (a : Z) : bool := a mod 4096 =? 0.

(* An object's granule, wiped and nobody's. *)
Definition scrubbed (pa : Z) (s : state) : state :=
  with_places (delete pa (places s)) (set_granule pa (Gran GS_DELEGATED 0 0) (put_page pa zero_page s)).

Definition refs_of (pa : Z) (s : state) : Z := g_refs (granule_at s pa).
Definition refs_added (pa n : Z) (s : state) : state := with_refs pa (wrap U64 (refs_of pa s + n)) s.
