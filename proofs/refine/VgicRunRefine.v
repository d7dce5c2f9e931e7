(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/vgic.c: into a REC and out of it. *)
From kcore Require Export refine.VgicRefine refine.CurrentFacts.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma lr_given_num rec i s : num_lrs (lr_given rec i s) = num_lrs s.
Proof. unfold lr_given. by destruct (i <? num_lrs s). Qed.
Lemma lr_shown_num rec i s : num_lrs (lr_shown rec i s) = num_lrs s.
Proof. unfold lr_shown. by destruct (i <? num_lrs s). Qed.
Lemma hand_lr_given r rec i s : rec_in_hand r s = true -> rec_in_hand r (lr_given rec i s) = true.
Proof. intros. unfold lr_given. auto with hand. Qed.
Lemma hand_lr_shown r rec i s : rec_in_hand r s = true -> rec_in_hand r (lr_shown rec i s) = true.
Proof. intros. unfold lr_shown. auto with hand. Qed.

Lemma fold_below_S {A} (f : A -> Z -> A) n a :
  fold_left f (below (S n)) a = f (fold_left f (below n) a) (Z.of_nat n).
Proof. by rewrite below_S, fold_left_app. Qed.

Theorem vgic_enter_ok rec s : rec_in_hand rec s = true -> core "vgic_enter" [rec] s = Some ([], gic_entered rec s).
Proof.
  intros H. enter f_vgic_enter. use vgic_num_lrs_ok. step. step. step. unfold gic_entered, HCR_EOICOUNT.
  set (s1 := rec_set REC_ich_hcr rec 0 _ s). set (f := fun s i => lr_given rec i s).
  assert (H1 : rec_in_hand rec s1 = true) by (subst s1; auto with hand).
  change (num_lrs s) with (num_lrs s1). clearbody s1.
  apply (loop_rule (fun j fr s' => s' = fold_left f (below j) s1 /\ num_lrs s' = num_lrs s1 /\ rec_in_hand rec s' = true /\
    fr = [rec; num_lrs s1; run_in IN_gicv3_hcr 0 s; rec_get REC_ich_hcr rec 0 s; 0; 0])).
  - done.
  - intros j fr s' k Hj (E & Hn & H' & ->). rewrite Z.add_0_l. tidy. exists 
      [rec; num_lrs s1; run_in IN_gicv3_hcr 0 s; rec_get REC_ich_hcr rec 0 s; Z.of_nat j; if Z.of_nat j <? num_lrs s1 then lr (Z.of_nat j) s' else 0],
      (lr_given rec (Z.of_nat j) s').
    split; [|split_and!; [rewrite E; exact (eq_sym (fold_below_S f j s1))|by rewrite lr_given_num|by apply hand_lr_given|reflexivity]].
    unfold lr_given. rewrite Hn. destruct (Z.of_nat j <? num_lrs s1); [|reflexivity].
    step; [|apply in_range_ok; simpl; lia]. step; [reflexivity|apply in_range_ok; simpl; lia].
  - intros fr s' (-> & _). reflexivity.
Qed.

Theorem vgic_report_ok rec s : rec_in_hand rec s = true -> core "vgic_report" [rec] s = Some ([], gic_shown rec s).
Proof.
  intros H. enter f_vgic_report. use vgic_num_lrs_ok. do 6 step. unfold gic_shown, HCR_EOICOUNT, HCR_HOST.
  change (Z.lor 16638 4160749568) with 4160766206.
  set (s1 := run_out OUT_gicv3_vmcr 0 _ _). set (f := fun s i => lr_shown rec i s).
  assert (H1 : rec_in_hand rec s1 = true) by (subst s1; auto with hand).
  change (num_lrs s) with (num_lrs s1). clearbody s1.
  apply (loop_rule (fun j fr s' => s' = fold_left f (below j) s1 /\ num_lrs s' = num_lrs s1 /\ rec_in_hand rec s' = true /\
    fr = [rec; num_lrs s1; rec_get REC_ich_hcr rec 0 s; rec_get REC_ich_misr rec 0 s; rec_get REC_ich_vmcr rec 0 s; 0; 0])).
  - done.
  - intros j fr s' k Hj (E & Hn & H' & ->). rewrite Z.add_0_l. tidy. exists 
      [rec; num_lrs s1; rec_get REC_ich_hcr rec 0 s; rec_get REC_ich_misr rec 0 s; rec_get REC_ich_vmcr rec 0 s; Z.of_nat j; if Z.of_nat j <? num_lrs s1 then rec_get REC_ich_lr rec (Z.of_nat j) s' else 0],
      (lr_shown rec (Z.of_nat j) s').
    split; [|split_and!; [rewrite E; exact (eq_sym (fold_below_S f j s1))|by rewrite lr_shown_num|by apply hand_lr_shown|reflexivity]].
    unfold lr_shown. rewrite Hn. destruct (Z.of_nat j <? num_lrs s1); [|reflexivity].
    step; [|apply in_range_ok; simpl; lia]. step; [reflexivity|apply in_range_ok; simpl; lia].
  - intros fr s' (-> & _). reflexivity.
Qed.

(* ---- What they keep ---- *)

Lemma kept_fold rec (f : state -> Z -> state) s0 l s :
  (forall s i, In i l -> kept rec s0 s -> kept rec s0 (f s i)) -> kept rec s0 s -> kept rec s0 (fold_left f l s).
Proof.
  revert s. induction l as [|i l IH]; intros s Hf K; [exact K|]. cbn [fold_left]. apply IH; auto with datatypes.
Qed.
Lemma kept_gic_entered rec s0 s : kept rec s0 s -> kept rec s0 (gic_entered rec s).
Proof.
  intros K. unfold gic_entered. apply kept_fold; [|auto with kept].
  intros s' i [Hi _]%below_In K'. unfold lr_given. apply kept_if; [|exact K'].
  destruct (off_index REC_ich_lr i eq_refl Hi). by apply kept_rec_set.
Qed.
Lemma kept_gic_shown rec s0 s : kept rec s0 s -> kept rec s0 (gic_shown rec s).
Proof.
  intros K. unfold gic_shown. apply kept_fold; [|auto with kept].
  intros s' i _ K'. unfold lr_shown. auto with kept.
Qed.
#[export] Hint Resolve kept_gic_entered kept_gic_shown : kept.
