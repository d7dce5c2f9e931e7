(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/s2tt.c *)
From kcore Require Export refine.TableRefine spec.S2tt.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma shl n z : 0 <= n -> 0 <= z -> z * 2 ^ n < 2 ^ 64 -> wrap U64 (Z.shiftl z n) = 2 ^ n * z.
Proof. intros. rewrite Z.shiftl_mul_pow2 by lia. rewrite wrap_small by lia. lia. Qed.

Lemma ripas_range d : 0 <= ripas d < 4.
Proof.
  unfold ripas. destruct (is_valid d); [vm_compute; intuition congruence|].
  rewrite shr by lia. 
  assert (0 <= Z.land 24 d < 2 ^ 5) by (apply land_range; lia).
  rewrite Z.land_comm. change (2 ^ 3) with 8. change (2 ^ 5) with 32 in *.
  split; [apply Z.div_pos; lia|]. apply Z.div_lt_upper_bound; lia.
Qed.

Lemma memattr_range host : 0 <= host_memattr host < 8.
Proof.
  unfold host_memattr. rewrite shr by lia.
  assert (0 <= Z.land 28 host < 2 ^ 5) by (apply land_range; lia).
  rewrite Z.land_comm. change (2 ^ 2) with 4. change (2 ^ 5) with 32 in *.
  split; [apply Z.div_pos; lia|]. apply Z.div_lt_upper_bound; lia.
Qed.

Theorem s2_leaf_type_ok level s : core "s2_leaf_type" [level] s = Some ([leaf_type level], s).
Proof. enter f_s2_leaf_type. unfold leaf_type. destruct (level =? 3); reflexivity. Qed.

Theorem s2_unassigned_ok r s : 0 <= r < 2 ^ 61 -> core "s2_unassigned" [r] s = Some ([unassigned r], s).
Proof. intros. enter f_s2_unassigned. rewrite shl by lia. reflexivity. Qed.

Theorem s2_unassigned_ns_ok s : core "s2_unassigned_ns" [] s = Some ([unassigned_ns], s).
Proof. enter f_s2_unassigned_ns. reflexivity. Qed.

Theorem s2_assigned_ok level pa r s :
  0 <= r < 2 ^ 61 -> core "s2_assigned" [level; pa; r] s = Some ([assigned level pa r], s).
Proof.
  intros. enter f_s2_assigned. call s2_leaf_type_ok. unfold assigned, RIPAS_RAM.
  destruct (r =? 1); [reflexivity|]. rewrite shl by lia. reflexivity.
Qed.

Theorem s2_kind_ok level d s : core "s2_kind" [level; d] s = Some ([kind level d], s).
Proof.
  enter f_s2_kind. call s2_is_table_ok. call s2_is_valid_ok. unfold kind.
  destruct (is_table level d); [reflexivity|].
  change 36028797018963968 with NS_BIT. fold (has_ns_bit d).
  destruct (is_valid d), (has_ns_bit d); try reflexivity.
  unfold has_assigned_bit, ASSIGNED_BIT. destruct (Z.land d 4 =? 0); reflexivity.
Qed.

Theorem s2_ripas_ok d s : core "s2_ripas" [d] s = Some ([ripas d], s).
Proof. enter f_s2_ripas. call s2_is_valid_ok. unfold ripas. destruct (is_valid d); reflexivity. Qed.

Theorem s2_pa_ok d s : core "s2_pa" [d] s = Some ([out_addr d], s).
Proof. enter f_s2_pa. reflexivity. Qed.

Theorem s2_is_live_ok k s : core "s2_is_live" [k] s = Some ([b2z (is_live k)], s).
Proof. enter f_s2_is_live. reflexivity. Qed.

Theorem s2_ns_ok_ok level host s : core "s2_ns_ok" [level; host] s = Some ([b2z (ns_ok level host)], s).
Proof.
  enter f_s2_ns_ok. call s2_pa_ok. call s2_aligned_ok. unfold ns_ok.
  destruct (Z.land host _ =? 0); reflexivity.
Qed.

Theorem s2_ns_memattr_ok fwb s : 0 <= fwb < 8 -> core "s2_ns_memattr" [fwb] s = Some ([memattr_of fwb], s).
Proof.
  intros. enter f_s2_ns_memattr. unfold memattr_of.
  destruct (fwb <? 4); [rewrite shl by lia; reflexivity|]. destruct (fwb =? 5); reflexivity.
Qed.

Theorem s2_assigned_ns_ok level host s :
  core "s2_assigned_ns" [level; host] s = Some ([assigned_ns level host], s).
Proof.
  enter f_s2_assigned_ns. call s2_leaf_type_ok. fold (host_memattr host).
  pose proof (memattr_range host). call s2_ns_memattr_ok; [|lia].
  rewrite shl by lia. unfold assigned_ns. rewrite (Z.mul_comm (host_memattr host)). reflexivity.
Qed.

Theorem s2_ns_host_ok d s : core "s2_ns_host" [d] s = Some ([ns_host d], s).
Proof.
  enter f_s2_ns_host. unfold ns_host.
  assert (0 <= Z.land 7 (Z.shiftr d 56) < 2 ^ 3) by (apply land_range; lia).
  rewrite shl; [reflexivity|lia| |]; rewrite Z.land_comm; lia.
Qed.

Theorem s2_child_ok level d i s : 1 <= level < 2 ^ 64 -> core "s2_child" [level; d; i] s = Some ([child level d i], s).
Proof.
  intros. pose proof (ripas_range d). enter f_s2_child. rewrite (wrap_small (level - 1)) by lia.
  call s2_kind_ok. call s2_ripas_ok. call s2_size_ok. call s2_pa_ok.
  unfold child, K_ASSIGNED, K_ASSIGNED_NS.
  destruct (kind (level - 1) d =? 1); [call s2_assigned_ok; [reflexivity|lia]|].
  destruct (kind (level - 1) d =? 3); [|reflexivity].
  call s2_ns_host_ok. call s2_assigned_ns_ok. reflexivity.
Qed.

Theorem s2_parent_ok level first s :
  1 <= level < 2 ^ 64 -> core "s2_parent" [level; first] s = Some ([parent level first], s).
Proof.
  intros. pose proof (ripas_range first). enter f_s2_parent.
  call s2_kind_ok. call s2_ripas_ok. call s2_pa_ok.
  unfold parent, K_ASSIGNED, K_ASSIGNED_NS. rewrite (wrap_small (level - 1)) by lia.
  destruct (kind level first =? 1); [call s2_assigned_ok; [reflexivity|lia]|].
  destruct (kind level first =? 3); [|reflexivity].
  call s2_ns_host_ok. call s2_assigned_ns_ok. reflexivity.
Qed.
