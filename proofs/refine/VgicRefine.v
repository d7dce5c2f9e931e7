(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/vgic.c *)
From kcore Require Export refine.Loops lang.Bits spec.Vgic.
Local Open Scope string_scope.
Local Open Scope Z_scope.


Lemma land31 v : 0 <= Z.land v 31 < 32.
Proof. rewrite Z.land_comm. pose proof (land_range 5 31 v). lia. Qed.

Theorem vgic_num_lrs_ok s : core "vgic_num_lrs" [] s = Some ([num_lrs s], s).
Proof.
  open s. enter f_vgic_num_lrs. prim. pose proof (land31 (vtr h)).
  rewrite wrap_small by lia. unfold num_lrs. fields. destruct (16 <? Z.land (vtr h) 31 + 1); reflexivity.
Qed.

Theorem vgic_priority_res0_ok v s : core "vgic_priority_res0" [v] s = Some ([priority_res0 v], s).
Proof.
  enter f_vgic_priority_res0. unfold priority_res0.
  assert (0 <= Z.land (Z.shiftr v 29) 7 < 8) by (rewrite Z.land_comm; pose proof (land_range 3 7 (Z.shiftr v 29)); lia).
  rewrite wrap_small by lia.
  destruct (_ <=? 4); [reflexivity|]. destruct (_ =? 5); [reflexivity|]. destruct (_ =? 6); [reflexivity|].
  destruct (_ =? 7); reflexivity.
Qed.

Theorem vgic_intid_ok_ok v intid s : core "vgic_intid_ok" [v; intid] s = Some ([b2z (intid_ok v intid)], s).
Proof.
  enter f_vgic_intid_ok. unfold intid_ok.
  destruct (intid <? 1020); [reflexivity|]. destruct (intid <? 8192); [reflexivity|].
  destruct (Z.land (Z.shiftr v 23) 7 =? 0); reflexivity.
Qed.

Theorem vgic_intid_seen_ok n intid s :
  core "vgic_intid_seen" [n; intid] s = Some ([b2z (intid_seen n intid s)], s).
Proof.
  enter f_vgic_intid_seen.
  apply (loop_rule (fun j fr s' => s' = s /\ fr = [n; intid; b2z (seen_before n intid j s); 0; 0; 0])).
  - split; reflexivity.
  - intros j fr s' k Hj [-> ->]. norm. rewrite Z.add_0_l.
    assert (E : seen_before n intid (S j) s = seen_before n intid j s ||
      (Z.of_nat j <? n) && (lr_used (lr (Z.of_nat j) s) && (lr_intid (lr (Z.of_nat j) s) =? intid))).
    { unfold seen_before. rewrite below_S, existsb_app. cbn [existsb]. by rewrite orb_false_r. }
    destruct (Z.of_nat j <? n).
    + exists [n; intid; b2z (seen_before n intid (S j) s); Z.of_nat j; lr (Z.of_nat j) s; b2z (lr_used (lr (Z.of_nat j) s))], s.
      split; [|split; reflexivity]. prim; [|unfold in_range; simpl; lia]. rewrite E. reflexivity.
    + eexists _, s. split; [reflexivity|]. split; [reflexivity|]. norm. rewrite E. cbn [andb]. by rewrite orb_false_r.
  - intros fr s' [-> ->]. reflexivity.
Qed.

Theorem vgic_lr_ok_ok v n s :
  0 <= n < 16 -> core "vgic_lr_ok" [v; n] s = Some ([b2z (lr_ok v n s)], s).
Proof.
  intros Hn. enter f_vgic_lr_ok. prim; [|unfold in_range; simpl; lia]. fold (lr n s).
  call vgic_priority_res0_ok. unfold lr_ok, lr_used, lr_forbidden, lr_intid.
  change (3 * 2 ^ 62) with 13835058055282163712.
  destruct (Z.land (lr n s) 13835058055282163712 =? 0); [reflexivity|]. cbn [negb orb].
  destruct (Z.land (lr n s) _ =? 0); [|reflexivity]. cbn [negb andb].
  call vgic_intid_ok_ok. destruct (intid_ok v _); [|reflexivity]. cbn [negb andb].
  call vgic_intid_seen_ok. reflexivity.
Qed.

Theorem vgic_entry_ok_ok s : core "vgic_entry_ok" [] s = Some ([b2z (entry_ok s)], s).
Proof.
  enter f_vgic_entry_ok. prim. call vgic_num_lrs_ok. prim.
  change (vtr (let (hw, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _) := s in hw)) with (vtr (hw s)).
  apply (loop_rule (fun j fr s' => s' = s /\
    fr = [vtr (hw s); num_lrs s; run_in IN_gicv3_hcr 0 s; b2z (hcr_ok (run_in IN_gicv3_hcr 0 s) && lrs_ok j s); 0])).
  - split; [reflexivity|]. unfold lrs_ok. cbn [below map seq forallb]. rewrite andb_true_r. reflexivity.
  - intros j fr s' k Hj [-> ->]. norm. rewrite Z.add_0_l.
    assert (E : hcr_ok (run_in IN_gicv3_hcr 0 s) && lrs_ok (S j) s =
      (hcr_ok (run_in IN_gicv3_hcr 0 s) && lrs_ok j s) &&
      (negb (Z.of_nat j <? num_lrs s) || lr_ok (vtr (hw s)) (Z.of_nat j) s)).
    { unfold lrs_ok. rewrite below_S, forallb_app. cbn [forallb]. rewrite andb_true_r. apply andb_assoc. }
    exists [vtr (hw s); num_lrs s; run_in IN_gicv3_hcr 0 s; b2z (hcr_ok (run_in IN_gicv3_hcr 0 s) && lrs_ok (S j) s); Z.of_nat j], s.
    split; [|split; reflexivity]. rewrite E.
    destruct (Z.of_nat j <? num_lrs s); cbn [andb negb orb].
    + destruct (hcr_ok (run_in IN_gicv3_hcr 0 s) && lrs_ok j s); cbn [andb]; [|reflexivity].
      call vgic_lr_ok_ok; [reflexivity|lia].
    + rewrite andb_true_r. reflexivity.
  - intros fr s' [-> ->]. reflexivity.
Qed.
