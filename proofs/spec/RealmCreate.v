(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/realm.c: RMI_REALM_CREATE (DEN0137 B4.3). *)
From kcore Require Export spec.Realm.
From kcore Require Export spec.Rtt.
Local Open Scope Z_scope.

(* Table t of the start tables from base on is the realm's: it stands at the start level, with none above. *)
Definition start_owned (rd level base t : Z) (s : state) : state :=
  let pa := base + t * 4096 in
  with_places (<[pa := Place rd level (t * span level) 0]> (places s))
    (set_granule pa (Gran GS_RTT rd (g_refs (granule_at s pa))) s).
Definition starts_owned (rd level base : Z) (n : nat) (s : state) : state := each_below n (start_owned rd level base) s.
