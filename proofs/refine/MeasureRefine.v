(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/measure.c *)
From kcore Require Export refine.Loops lang.Bits spec.Measure.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* in_hand depends on the granule table and the locks only. *)
Ltac hand_in H := unfold in_hand, tracked, granule_at, holds in H; fields_in H.
Ltac by_hand H := unfold in_hand, tracked, granule_at, holds; fields; exact H.
Ltac rd_prim H := prim; [|apply andb_true_intro; split; [by_hand H || (apply andb_true_intro; split; [by_hand H|reflexivity]) | reflexivity]].

Theorem measure_store_ok rd slot s :
  in_hand rd s = true -> 0 <= slot < 5 -> core "measure_store" [rd; slot] s = Some ([], stored rd slot s).
Proof.
  intros H Hs. open s. hand_in H. enter f_measure_store.
  assert (E : forall i, 0 <= i < 8 -> wrap U64 (wrap U64 (Z.shiftl slot 3) + i) = 8 * slot + i).
  { intros. rewrite Z.shiftl_mul_pow2 by lia. change (2 ^ 3) with 8.
    rewrite (wrap_small (slot * 8)) by lia. rewrite wrap_small by lia. lia. }
  do 8 (iterate; prim; rewrite E by lia; prim;
    [|apply andb_true_intro; split; [apply andb_true_intro; split; [by_hand H | reflexivity] | unfold in_range; simpl; lia]];
    unfold rd_set; norm).
  iterate. reflexivity.
Qed.

Theorem measure_begin_ok rd type s :
  in_hand rd s = true -> core "measure_begin" [rd; type] s = Some ([], begun rd type s).
Proof.
  intros H. open s. hand_in H. enter f_measure_begin. prim. prim. prim.
  do 8 (iterate; rd_prim H; prim). iterate. reflexivity.
Qed.

Theorem measure_end_ok rd s : in_hand rd s = true -> core "measure_end" [rd] s = Some ([], ended rd s).
Proof.
  intros H. open s. hand_in H. enter f_measure_end. rd_prim H. prim. call measure_store_ok; [reflexivity|by_hand H|lia].
Qed.

Theorem measure_copy_param_ok i mask s :
  0 <= i < 512 -> core "measure_copy_param" [8 * i; mask] s = Some ([], param_copied i mask s).
Proof.
  intros Hi. open s. enter f_measure_copy_param.
  assert (E : 8 * i / 8 = i) by (rewrite Z.mul_comm; apply Z.div_mul; lia).
  prim; [|rewrite E; unfold in_page; rewrite Z.mul_comm, Z.mod_mul by lia; simpl; lia].
  rewrite shr by lia. change (2 ^ 3) with 8. rewrite E.
  prim; [reflexivity|unfold in_page; lia].
Qed.

Lemma copy_step (i mask : Z) (k : list Z -> M state (list Z)) s : 0 <= i < 512 ->
  bind (core "measure_copy_param" [8 * i; mask]) k s = k [] (param_copied i mask s).
Proof. intros. apply bind_eq. by apply measure_copy_param_ok. Qed.

Theorem measure_realm_params_ok rd s :
  in_hand rd s = true -> core "measure_realm_params" [rd] s = Some ([], realm_measured rd s).
Proof.
  intros H. open s. hand_in H. enter f_measure_realm_params. rd_prim H. prim.
  rewrite (copy_step 0) by lia. rewrite (copy_step 1) by lia. rewrite (copy_step 2) by lia.
  rewrite (copy_step 3) by lia. rewrite (copy_step 4) by lia. rewrite (copy_step 5) by lia.
  rewrite (copy_step 6) by lia. norm. prim. call measure_store_ok; [reflexivity|by_hand H|lia].
Qed.

Theorem measure_ripas_ok rd base top s :
  in_hand rd s = true -> core "measure_ripas" [rd; base; top] s = Some ([], ripas_measured rd base top s).
Proof.
  intros H. open s. hand_in H. enter f_measure_ripas. call measure_begin_ok; [|by_hand H]. prim. prim.
  call measure_end_ok; [reflexivity|by_hand H].
Qed.
