(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: locking the realm of a REC; and what is known of a REC that this CPU runs. *)
From kcore Require Export machine.Machine.
Local Open Scope Z_scope.

(* The RD of a REC, 0 if it is none. *)
Definition rec_owner (rec : Z) (s : state) : Z := if has_state GS_REC rec s then g_owner (granule_at s rec) else 0.

(* Is it the REC of a realm? Then the realm's lock is taken: the answer is the RD, or 0. *)
Definition owner_found (rec : Z) (s : state) : bool := negb (rec_owner rec s =? 0) && has_state GS_RD (rec_owner rec s) s.
Definition lock_owner (rec : Z) (s : state) : Z * state :=
  if owner_found rec s then (rec_owner rec s, lock_taken (LGranule (rec_owner rec s)) s) else (0, s).

(* The realm that a REC says it is of. *)
Definition realm_of (rec : Z) (s : state) : Z := rec_get REC_rd rec 0 s.

(* This CPU runs the REC, holds no lock, and has nothing to invalidate: so between a trap of the guest and the next entry. The REC is a REC of a
   realm, and the host's run page is pinned for it. *)
Record current (rec : Z) (s : state) : Prop := Current {
  c_runs : runs s = rec;
  c_rec : has_state GS_REC rec s = true;
  c_some : rec <> 0;
  c_realm : has_state GS_RD (realm_of rec s) s = true;
  c_held : held s = [];
  c_growing : shrinking s = false;
  c_clean : staled s = [];
  c_page : pinned (rec_get REC_run_page rec 0 s) s = true;
}.
