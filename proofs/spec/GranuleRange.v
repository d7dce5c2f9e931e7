(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/granule.c: several granules at once, all of them or none. *)
From kcore Require Export machine.Machine lang.Seq.
Local Open Scope Z_scope.

(* The granule i after base. *)
Definition nth_page (base i : Z) : Z := wrap U64 (base + i * 4096).

(* How many of the first n things are so, up to the first that is not. *)
Fixpoint leading (ok : Z -> bool) (n : nat) : nat :=
  match n with
  | O => O
  | S m => if (leading ok m =? m)%nat && ok (Z.of_nat m) then S m else leading ok m
  end.

(* Claims of the first n granules from base on, and letting go of them. *)
Definition claims_taken (n : nat) (base : Z) (s : state) : state :=
  each_below n (fun i s => lock_taken (LGranule (nth_page base i)) s) s.
Definition claims_dropped (n : nat) (base : Z) (s : state) : state :=
  each_below n (fun i s => lock_dropped (LGranule (nth_page base i)) s) s.
(* All n are DELEGATED and free: they are claimed. Otherwise those before the first that is not are let go again. *)
Definition claim_all (n : nat) (base : Z) (s : state) : Z * state :=
  let got := leading (fun i => claimable GS_DELEGATED (nth_page base i) s) n in
  if (got =? n)%nat then (1, claims_taken n base s) else (0, claims_dropped got base (claims_taken got base s)).

(* Pins of the first n pages from base on, and taking them back. *)
Definition page_pinned (pa : Z) (s : state) : state := with_refs pa (g_refs (granule_at s pa) + 1) s.
Definition page_unpinned (pa : Z) (s : state) : state := with_refs pa (g_refs (granule_at s pa) - 1) s.
Definition pins_taken (n : nat) (base : Z) (s : state) : state :=
  each_below n (fun i s => page_pinned (nth_page base i) s) s.
Definition pins_dropped (n : nat) (base : Z) (s : state) : state :=
  each_below n (fun i s => page_unpinned (nth_page base i) s) s.
(* The host's, not claimed, and with room in its count. *)
Definition pinnable (pa : Z) (s : state) : bool := claimable GS_NS pa s && (g_refs (granule_at s pa) <? REFS_MAX).
(* All n can be pinned: they are. Otherwise nothing changes. *)
Definition pin_all (n : nat) (base : Z) (s : state) : Z * state :=
  let got := leading (fun i => pinnable (nth_page base i) s) n in
  if (got =? n)%nat then (1, pins_taken n base s) else (0, s).
