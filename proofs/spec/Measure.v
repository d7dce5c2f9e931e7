(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/measure.c: the realm initial measurement (RIM, slot 0) and the extensible ones (slots 1 to 4), each of
   eight words (DEN0137 A7.1). A measurement is extended by hashing a descriptor of 0x100 bytes. *)
From kcore Require Export machine.Machine.
Local Open Scope Z_scope.

Definition eight : list Z := [0; 1; 2; 3; 4; 5; 6; 7].
Definition each (f : Z -> state -> state) (s : state) : state := fold_left (fun s i => f i s) eight s.

Definition hash_put (i v : Z) (s : state) : state := with_hash_page (set_nth (hash_page s) i v) s.
Definition hash_cleared (s : state) : state := with_hash_page zero_page s.
Definition hashed (alg len : Z) (s : state) : state := with_digest (hash (hw s) alg (hash_page s) len) s.
Definition digest_word (i : Z) (s : state) : Z := nth_word (digest s) i.
Definition param (i : Z) (s : state) : Z := nth_word (params s) i.
Definition algorithm (rd : Z) (s : state) : Z := rd_get RD_hash_algo rd 0 s.

(* The digest just made becomes measurement slot. *)
Definition stored (rd slot : Z) (s : state) : state :=
  each (fun i s => rd_set RD_meas rd (8 * slot + i) (digest_word i s) s) s.

(* A descriptor: type, length, the present RIM; then its body from word 10. *)
Definition begun (rd type : Z) (s : state) : state :=
  each (fun i s => hash_put (2 + i) (rd_get RD_meas rd i s) s) (hash_put 1 0x100 (hash_put 0 type (hash_cleared s))).
Definition ended (rd : Z) (s : state) : state := stored rd 0 (hashed (algorithm rd s) 0x100 s).

Definition param_copied (word mask : Z) (s : state) : state := hash_put word (Z.land (param word s) mask) s.

(* RmiRealmParams in an otherwise zero page: flags, s2sz, sve_vl, num_bps, num_wps, pmu_num_ctrs, hash_algo. *)
Definition realm_measured (rd : Z) (s : state) : state :=
  let low := 0xFFFFFFFF in
  stored rd 0 (hashed (algorithm rd s) 4096
    (param_copied 6 0xFF (param_copied 5 low (param_copied 4 low (param_copied 3 low (param_copied 2 low
      (param_copied 1 low (param_copied 0 0xFFFFFFFFFFFFFFFF (hash_cleared s))))))))).

Definition ripas_measured (rd base top : Z) (s : state) : state :=
  ended rd (hash_put 11 top (hash_put 10 base (begun rd 2 s))).
