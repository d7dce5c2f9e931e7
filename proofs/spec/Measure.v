(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/measure.c: the realm initial measurement (RIM, slot 0) and the extensible ones (slots 1 to 4), each of
   eight words (DEN0137 A7.1). A measurement is extended by hashing a descriptor of 0x100 bytes. *)
From kcore Require Export spec.Hashing lang.Seq.
Local Open Scope Z_scope.

Definition each : (Z -> state -> state) -> state -> state := each_below 8.

Definition param (i : Z) (s : state) : Z := nth_word (params s) i.
Definition algorithm (rd : Z) (s : state) : Z := rd_get RD_hash_algo rd 0 s.

(* The digest just made, into the buffer from a word on. *)
Definition digest_put (word : Z) (s : state) : state := each (fun i s => hash_put (word + i) (digest_word i s) s) s.
(* It becomes measurement slot. *)
Definition stored (rd slot : Z) (s : state) : state :=
  each (fun i s => rd_set RD_meas rd (8 * slot + i) (digest_word i s) s) s.

(* A descriptor: type, length, the present RIM; then its body from word 10. *)
Definition begun (rd type : Z) (s : state) : state :=
  each (fun i s => hash_put (2 + i) (rd_get RD_meas rd i s) s) (hash_put 1 0x100 (hash_put 0 type (hash_cleared s))).
Definition ended (rd : Z) (s : state) : state := stored rd 0 (hashed (algorithm rd s) 0x100 s).

(* Types of descriptors; POLICY is KCore's own. *)
Definition DESC_DATA := 0.
Definition DESC_REC := 1.
Definition DESC_RIPAS := 2.
Definition DESC_POLICY := 0x4B.

Definition param_copied (word mask : Z) (s : state) : state := hash_put word (Z.land (param word s) mask) s.
Definition low := 0xFFFFFFFF.
Definition whole := 0xFFFFFFFFFFFFFFFF.

(* RmiRealmParams in an otherwise zero page: flags, s2sz, sve_vl, num_bps, num_wps, pmu_num_ctrs, hash_algo. *)
Definition realm_measured (rd : Z) (s : state) : state :=
  stored rd 0 (hashed (algorithm rd s) 4096
    (param_copied 6 0xFF (param_copied 5 low (param_copied 4 low (param_copied 3 low (param_copied 2 low
      (param_copied 1 low (param_copied 0 whole (hash_cleared s))))))))).

(* RmiRecParams in an otherwise zero page: flags, pc, gprs. Its digest is the body of the descriptor. *)
Definition rec_measured (rd : Z) (s : state) : state :=
  ended rd (digest_put 10 (begun rd DESC_REC (hashed (algorithm rd s) 4096
    (each (fun i s => param_copied (0x60 + i) whole s)
      (param_copied 0x40 whole (param_copied 0 whole (hash_cleared s))))))).

(* The launch policy: its first 18 words (to the end of the reserved ones) in an otherwise zero page. The body is the
   digest of that, and the signer's key (docs/abi.md). *)
Definition policy_measured (rd : Z) (s : state) : state :=
  ended rd (each_below 4 (fun i s => hash_put (18 + i) (rd_get RD_policy rd (26 + i) s) s)
    (digest_put 10 (begun rd DESC_POLICY (hashed (algorithm rd s) 4096
      (each_below 18 (fun i s => hash_put i (rd_get RD_policy rd i s) s) (hash_cleared s)))))).

(* A page of data: its IPA and flags, and with flag 1 the digest of its content. *)
Definition data_measured (rd ipa flags pa : Z) (s : state) : state :=
  let s' := hash_put 11 flags (hash_put 10 ipa (begun rd DESC_DATA s)) in
  ended rd (if flags =? 1 then digest_put 12 (granule_hashed (algorithm rd s) pa s') else s').

Definition ripas_measured (rd base top : Z) (s : state) : state :=
  ended rd (hash_put 11 top (hash_put 10 base (begun rd DESC_RIPAS s))).

(* RSI_MEASUREMENT_EXTEND: the present measurement (as long as the hash) and size bytes from the REC's x3 on. *)
Definition hash_words (alg : Z) : Z := if alg =? 1 then 8 else 4.
Definition extended (rd rec slot size : Z) (s : state) : state :=
  let alg := algorithm rd s in
  let n := hash_words alg in
  stored rd slot (hashed alg (8 * n + size)
    (each (fun i s => hash_put (n + i) (rec_get REC_gpr rec (3 + i) s) s)
      (each_below (Z.to_nat n) (fun i s => hash_put i (rd_get RD_meas rd (8 * slot + i) s) s) (hash_cleared s)))).
