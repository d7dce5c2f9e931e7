(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: boot maps 2 MiB of DRAM for the host, but for what is not the host's. *)
From kcore Require Export spec.HostBootMap.
From kcore Require Export lang.Seq.
Local Open Scope Z_scope.

(* The first n granules of the 2 MiB at base: those that are the host's are mapped; how many are not. *)
Definition boot_filled (base t3 : Z) (n : nat) (s : state) : state :=
  each_below n (fun i s => boot_mapped (base + i * 4096) t3 s) s.
Definition boot_holes (base : Z) (n : nat) (s : state) : Z :=
  count (fun i => negb (claimable GS_NS (base + i * 4096) s)) (below n).
Definition boot_dram (ipa : Z) (s : state) : state :=
  let base := floor_of 2 ipa in
  let t3 := host_table (hw s) 3 ipa in
  boot_placed base t3 (boot_holes base 512 s) (boot_filled base t3 512 s).
