(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/launch.c: KCORE_LAUNCH_POLICY and KCORE_LAUNCH_KEY (docs/abi.md). The block or key is in the parameter
   page; words of it are counted from 0. *)
From kcore Require Export spec.Measure spec.Granule.
Local Open Scope Z_scope.

(* Are words first to last - 1 of the parameter page zero? *)
Definition zero_upto (first last : Z) (n : nat) (s : state) : bool :=
  forallb (fun i => negb ((first <=? i) && (i <? last)) || (param i s =? 0)) (below n).
Definition zero_between (first last : Z) (s : state) : bool := zero_upto first last 512 s.

(* The launch block: magic, version, flags, RECs (1 to 512); zero are the reserved words and all from 0x130 on. *)
Definition BLOCK_MAGIC := 0x31434B4C45524F43.
Definition block_ok (s : state) : bool :=
  (param 0 s =? BLOCK_MAGIC) && (param 1 s =? 1) && (Z.land (param 2 s) (ones U64 - 3) =? 0) &&
  negb (param 3 s =? 0) && (param 3 s <=? 512) && zero_between 11 18 s && zero_between 38 512 s.

(* As REALM_CREATE left it, but for RIPAS and tables: NEW, no policy, and neither a REC nor a page, ever. *)
Definition untouched (rd : Z) (s : state) : bool :=
  (rd_get RD_state rd 0 s =? 0) && (rd_get RD_has_policy rd 0 s =? 0) && (rd_get RD_rec_index rd 0 s =? 0) &&
  (rd_get RD_pages_private rd 0 s =? 0) && (rd_get RD_pages_shared rd 0 s =? 0).

(* The first 30 words are kept and measured; its limits hold from now on. *)
Definition policy_set (rd : Z) (s : state) : state :=
  policy_measured rd
    (rd_set RD_max_shared rd 0 (param 5 s) (rd_set RD_max_private rd 0 (param 4 s) (rd_set RD_max_vcpus rd 0 (param 3 s)
      (rd_set RD_has_policy rd 0 1 (each_below 30 (fun i s => rd_set RD_policy rd i (param i s) s) s))))).

(* The RIM that the policy expects, words 18 to 25 of the block; all zero: any. *)
Definition expects_rim (rd : Z) (s : state) : bool :=
  negb (forallb (fun i => rd_get RD_policy rd (18 + i) s =? 0) (below 8)).
Definition rim_equal (rd : Z) (s : state) : bool :=
  forallb (fun i => rd_get RD_policy rd (18 + i) s =? rd_get RD_meas rd i s) (below 8).
Definition rim_ok (rd : Z) (s : state) : bool := negb (expects_rim rd s) || rim_equal rd s.

Definition key_forgotten (rd : Z) (s : state) : state :=
  rd_set RD_has_key rd 0 0 (each_below 4 (fun i s => rd_set RD_content_key rd i 0 s) s).
