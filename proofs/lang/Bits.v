(* SPDX-License-Identifier: Apache-2.0 *)
(* Masks and shifts as division and remainder. *)
From Coq Require Import ZArith Lia Bool.
From kcore Require Import lang.Lang.
Local Open Scope Z_scope.

Lemma land_low n a c : 0 <= n -> c = 2 ^ n - 1 -> Z.land a c = a mod 2 ^ n.
Proof. intros Hn ->. rewrite Z.sub_1_r, <- Z.ones_equiv. now apply Z.land_ones. Qed.

Lemma shr n a : 0 <= n -> Z.shiftr a n = a / 2 ^ n.
Proof. apply Z.shiftr_div_pow2. Qed.

Lemma ldiff_ones n a : 0 <= n -> Z.ldiff a (Z.ones n) = a - a mod 2 ^ n.
Proof.
  intros Hn. rewrite <- Z.land_ones by assumption.
  rewrite Z.sub_nocarry_ldiff.
  - apply Z.bits_inj'; intros i Hi. rewrite !Z.ldiff_spec, Z.land_spec.
    destruct (Z.testbit a i), (Z.testbit (Z.ones n) i); reflexivity.
  - apply Z.bits_inj'; intros i Hi. rewrite Z.ldiff_spec, Z.land_spec, Z.bits_0.
    destruct (Z.testbit a i), (Z.testbit (Z.ones n) i); reflexivity.
Qed.

(* a & ~((1 << n) - 1), a of w bits *)
Lemma land_above w n a c : 0 <= n <= w -> 0 <= a < 2 ^ w -> c = 2 ^ w - 2 ^ n -> Z.land a c = a - a mod 2 ^ n.
Proof.
  intros Hn Ha ->. rewrite <- ldiff_ones by lia.
  replace (2 ^ w - 2 ^ n) with (Z.shiftl (Z.ones (w - n)) n).
  2:{ rewrite Z.shiftl_mul_pow2, Z.ones_equiv by lia.
      assert (E : 2 ^ w = 2 ^ (w - n) * 2 ^ n) by (rewrite <- Z.pow_add_r by lia; f_equal; lia).
      rewrite E. unfold Z.pred. ring. }
  apply Z.bits_inj'; intros i Hi. rewrite Z.ldiff_spec, Z.land_spec.
  destruct (Z.ltb_spec i w).
  - rewrite Z.shiftl_spec by lia. destruct (Z.ltb_spec i n).
    + rewrite (Z.testbit_neg_r _ (i - n)) by lia. rewrite (Z.ones_spec_low n i) by lia. reflexivity.
    + rewrite (Z.ones_spec_low _ (i - n)) by lia. rewrite (Z.ones_spec_high n i) by lia. reflexivity.
  - replace (Z.testbit a i) with false; [reflexivity|]. symmetry.
    destruct (Z.eq_dec a 0) as [->|]; [apply Z.bits_0|].
    apply Z.bits_above_log2; [lia|]. apply Z.lt_le_trans with w; [|lia]. apply Z.log2_lt_pow2; lia.
Qed.
Lemma land_high n a c : 0 <= n <= 64 -> 0 <= a < 2 ^ 64 -> c = 2 ^ 64 - 2 ^ n -> Z.land a c = a - a mod 2 ^ n.
Proof. apply land_above. Qed.

Lemma land_disjoint n a b : 0 <= n -> a mod 2 ^ n = 0 -> 0 <= b < 2 ^ n -> Z.land a b = 0.
Proof.
  intros Hn Ha Hb. apply Z.bits_inj'; intros i Hi. rewrite Z.land_spec, Z.bits_0.
  destruct (Z.ltb_spec i n).
  - replace (Z.testbit a i) with (Z.testbit (a mod 2 ^ n) i) by (apply Z.mod_pow2_bits_low; lia).
    now rewrite Ha, Z.bits_0.
  - replace (Z.testbit b i) with false; [apply andb_false_r|]. symmetry.
    destruct (Z.eq_dec b 0) as [->|]; [apply Z.bits_0|].
    apply Z.bits_above_log2; [lia|]. apply Z.lt_le_trans with n; [|lia]. apply Z.log2_lt_pow2; lia.
Qed.

Lemma lor_disjoint n a b : 0 <= n -> a mod 2 ^ n = 0 -> 0 <= b < 2 ^ n -> Z.lor a b = a + b.
Proof.
  intros Hn Ha Hb. rewrite Z.add_nocarry_lxor by (now apply (land_disjoint n)).
  rewrite Z.lxor_lor; [reflexivity|]. now apply (land_disjoint n).
Qed.

Lemma wrap_small z : 0 <= z < 2 ^ 64 -> wrap U64 z = z.
Proof. intros. unfold wrap. now apply Z.mod_small. Qed.

Lemma land_range n a b : 0 <= a < 2 ^ n -> 0 <= Z.land a b < 2 ^ n.
Proof.
  intros Ha. enough (0 <= Z.land a b <= a) by lia.
  apply (Z.ldiff_le (Z.land a b) a); [lia|].
  apply Z.bits_inj'; intros i Hi. rewrite Z.ldiff_spec, Z.land_spec, Z.bits_0.
  destruct (Z.testbit a i), (Z.testbit b i); reflexivity.
Qed.
