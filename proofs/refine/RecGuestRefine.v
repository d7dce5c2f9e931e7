(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: what a realm's software sees. *)
From kcore Require Export refine.RecSteps spec.RecGuest.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem rec_reg_ok rec n s :
  rec_in_hand rec s = true -> 0 <= n -> core "rec_reg" [rec; n] s = Some ([reg rec n s], s).
Proof.
  intros H Hn. enter f_rec_reg. unfold reg. destruct (Z.ltb_spec n 31); [|reflexivity].
  step; [reflexivity|]. apply in_range_ok. simpl. lia.
Qed.

Theorem rec_set_reg_ok rec n v s :
  rec_in_hand rec s = true -> 0 <= n -> core "rec_set_reg" [rec; n; v] s = Some ([], reg_set rec n v s).
Proof.
  intros H Hn. enter f_rec_set_reg. unfold reg_set. destruct (Z.ltb_spec n 31); [|reflexivity].
  step; [reflexivity|]. apply in_range_ok. simpl. lia.
Qed.

Theorem rec_skip_ok rec s : rec_in_hand rec s = true -> core "rec_skip" [rec] s = Some ([], skipped rec s).
Proof. intros H. enter f_rec_skip. step. step. reflexivity. Qed.

Theorem rec_return_ok rec x0 x1 x2 x3 s :
  rec_in_hand rec s = true -> core "rec_return" [rec; x0; x1; x2; x3] s = Some ([], returned rec x0 x1 x2 x3 s).
Proof. intros H. enter f_rec_return. step. step. step. step. use rec_skip_ok. reflexivity. Qed.

Theorem rec_vector_ok pstate s : core "rec_vector" [pstate] s = Some ([vector pstate], s).
Proof.
  enter f_rec_vector. unfold vector, mode, EL1T.
  destruct (Z.land (Z.land pstate 31) 16 =? 0); [|reflexivity].
  destruct (Z.land pstate 31 =? 0); [reflexivity|]. destruct (Z.land pstate 31 =? 4); reflexivity.
Qed.

Theorem rec_handler_pstate_ok pstate sctlr s :
  core "rec_handler_pstate" [pstate; sctlr] s = Some ([handler_pstate pstate sctlr], s).
Proof.
  enter f_rec_handler_pstate. unfold handler_pstate, EL1H.
  destruct (Z.land sctlr 8388608 =? 0), (Z.land sctlr 17592186044416 =? 0); reflexivity.
Qed.

Theorem rec_inject_ok rec esr pc s :
  rec_in_hand rec s = true -> core "rec_inject" [rec; esr; pc] s = Some ([], injected rec esr pc s).
Proof.
  intros H. enter f_rec_inject. step. step. step. use rec_vector_ok. use rec_handler_pstate_ok.
  step. step. step. step. step. reflexivity.
Qed.

Theorem rec_inject_undef_ok rec pc s :
  rec_in_hand rec s = true -> core "rec_inject_undef" [rec; pc] s = Some ([], undef_injected rec pc s).
Proof. intros H. enter f_rec_inject_undef. use rec_inject_ok. reflexivity. Qed.

Theorem rec_inject_sea_ok rec esr far s :
  rec_in_hand rec s = true -> core "rec_inject_sea" [rec; esr; far] s = Some ([], sea_injected rec esr far s).
Proof.
  intros H. enter f_rec_inject_sea. step. step. unfold sea_injected, sea_syndrome, mode, EL1T, EL1H.
  destruct ((_ =? 4) || (_ =? 5)); step; use rec_inject_ok; reflexivity.
Qed.

(* ---- The REC stays in hand ---- *)

Lemma hand_gpr_set r rec n v s : rec_in_hand r s = true -> rec_in_hand r (gpr_set rec n v s) = true.
Proof. intros. unfold gpr_set. auto with hand. Qed.
Lemma hand_reg_set r rec n v s : rec_in_hand r s = true -> rec_in_hand r (reg_set rec n v s) = true.
Proof. intros. unfold reg_set. auto using hand_gpr_set with hand. Qed.
Lemma hand_skipped r rec s : rec_in_hand r s = true -> rec_in_hand r (skipped rec s) = true.
Proof. intros. unfold skipped. auto with hand. Qed.
Lemma hand_returned r rec x0 x1 x2 x3 s :
  rec_in_hand r s = true -> rec_in_hand r (returned rec x0 x1 x2 x3 s) = true.
Proof. intros. unfold returned, regs_set. auto using hand_skipped, hand_gpr_set with hand. Qed.
Lemma hand_injected r rec esr pc s : rec_in_hand r s = true -> rec_in_hand r (injected rec esr pc s) = true.
Proof. intros. unfold injected. auto 10 with hand. Qed.
Lemma hand_sea r rec esr far s : rec_in_hand r s = true -> rec_in_hand r (sea_injected rec esr far s) = true.
Proof. intros. unfold sea_injected. auto using hand_injected with hand. Qed.
#[export] Hint Resolve hand_gpr_set hand_reg_set hand_skipped hand_returned hand_injected hand_sea : hand.
