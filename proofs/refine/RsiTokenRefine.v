(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: attestation tokens. *)
From kcore Require Export refine.RsiRefine spec.RsiToken.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma with_token_locked rec l rd s : with_token rec l (locked rd s) = locked rd (with_token rec l s).
Proof. reflexivity. Qed.

Theorem rsi_token_init_ok rec s : current rec s -> core "rsi_token_init" [rec] s = Some ([BACK], token_begun rec s).
Proof.
  intros C. pose proof (current_hand _ _ C) as H. enter f_rsi_token_init.
  eapply bind_call; [exact (rec_lock_realm_ok _ _ C)|]. tidy. set (rd := realm_of rec s).
  pose proof (hand_locked rec rd s H) as HL. pose proof (hand_realm rd s (c_realm _ _ C)) as HR.
  go; [apply Z.eqb_refl|]. rewrite with_token_locked. clear HL HR. unlock C. go. go.
  eapply bind_call; [apply rsi_answer_ok; framed|]. tidy. unfold token_begun. fold rd.
  change (hw (locked rd s)) with (hw s). change (told rd (locked rd s)) with (told rd s).
  change (challenge_of rec (locked rd s)) with (challenge_of rec s). reflexivity.
Qed.

Theorem rsi_token_buffer_ok_ok rec s :
  current rec s -> 0 <= gpr rec 2 s -> core "rsi_token_buffer_ok" [rec] s = Some ([b2z (token_buffer rec s)], s).
Proof.
  intros C U. pose proof (current_hand _ _ C) as H. enter f_rsi_token_buffer_ok. go. go. go.
  fold (gpr rec 1 s) (gpr rec 2 s) (gpr rec 3 s). eapply bind_call; [apply is_granule_aligned_ok|]. tidy.
  unfold token_buffer. destruct (is_aligned (gpr rec 1 s)); cbn [negb orb andb]; [|reflexivity].
  destruct (Z.leb_spec 4096 (gpr rec 2 s)), (Z.ltb_spec (gpr rec 2 s) 4096); try lia; cbn [negb orb andb]; [reflexivity|].
  rewrite wrap_small by lia.
  destruct (Z.ltb_spec (4096 - gpr rec 2 s) (gpr rec 3 s)), (Z.leb_spec (gpr rec 3 s) (4096 - gpr rec 2 s)); try lia;
    cbn [negb orb andb]; [reflexivity|].
  eapply bind_call; [exact (rec_lock_realm_ok _ _ C)|]. tidy.
  eapply bind_call; [apply ipa_in_par_ok; apply hand_realm; exact (c_realm _ _ C)|]. tidy. unlock C. reflexivity.
Qed.

Theorem rsi_token_finish_ok rec s :
  rec_in_hand rec s = true ->
  core "rsi_token_finish" [rec] s = Some ([fst (token_finished rec s)], snd (token_finished rec s)).
Proof.
  intros H. enter f_rsi_token_finish. go. unfold token_finished, TOKEN_NONE, TOKEN_CLAIMED, TOKEN_SIGNED.
  destruct (rec_get REC_token_state rec 0 s =? 0); [reflexivity|].
  destruct (rec_get REC_token_state rec 0 s =? 1); [|reflexivity].
  unfold bind at 1. cbn [prim_sem]. rewrite H. cbn [guarded].
  destruct (token_signed (hw s) (token_of rec s)) as [l|]; tidy; go; reflexivity.
Qed.
