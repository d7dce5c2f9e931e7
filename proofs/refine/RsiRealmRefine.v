(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: the calls that look at memory of the realm. *)
From kcore Require Import refine.RttRefine.
From kcore Require Export refine.RsiRefine spec.RsiRealm.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- Through the lock ---- *)

Lemma put_word_locked pa i v rd s : put_word pa i v (locked rd s) = locked rd (put_word pa i v s).
Proof. reflexivity. Qed.
Lemma config_locked rd pa r s : config_written rd pa (locked r s) = locked r (config_written rd pa s).
Proof.
  unfold config_written. rewrite !put_word_locked.
  apply (each_below_locked 8 (fun i => put_word pa (64 + i) (rd_get RD_rpv rd i s))). intros. apply put_word_locked.
Qed.
Lemma run_out_locked f i v rd s : run_out f i v (locked rd s) = locked rd (run_out f i v s).
Proof. reflexivity. Qed.
Lemma counted_locked i n rd s : counted i n (locked rd s) = locked rd (counted i n s).
Proof. reflexivity. Qed.
Lemma told_locked pa offset rd s : host_call_told pa offset (locked rd s) = locked rd (host_call_told pa offset s).
Proof.
  unfold host_call_told. cbv zeta. change (mem (locked rd s)) with (mem s). rewrite !run_out_locked.
  rewrite each_below_locked by (intros; apply run_out_locked). apply counted_locked.
Qed.
Local Transparent each_below.

(* What of the page that was found a buffer's guards ask. *)
Lemma own_hand rd pa s : own_data s rd pa = true -> rd <> 0 -> holds (LGranule rd) s = true ->
  in_hand pa s = true /\ has_state GS_DATA pa s = true.
Proof.
  intros Hd Hn Hh. assert (St : has_state GS_DATA pa s = true).
  { unfold own_data, has_state in *. destruct (gran s !! pa); [|done]. by apply andb_true_iff in Hd as [? _]. }
  split; [|exact St]. apply (object_hand GS_DATA); [exact St|discriminate..|]. revert Hd.
  unfold own_data, under_lock, tracked, granule_at.
  destruct (gran s !! pa) as [g|]; [|done]. cbn [default from_option id].
  intros [_ Ho%Z.eqb_eq]%andb_true_iff. rewrite Ho, Hh, (proj2 (Z.eqb_neq rd 0) Hn). cbn [negb andb].
  by rewrite orb_true_r.
Qed.
Lemma own_differs rd pa s : own_data s rd pa = true -> has_state GS_RD rd s = true -> rd <> pa.
Proof.
  unfold own_data, has_state. intros H1 H2 <-. destruct (gran s !! rd); [|done].
  unfold GS_RD, GS_DATA in *. lia.
Qed.
Lemma in_par_bounds rd ipa s : inv s -> 0 <= ipa -> in_par rd ipa s = true -> 0 <= ipa < rd_of s RD_ipa_size rd.
Proof.
  intros I H0 H. unfold in_par in H. change (rd_get RD_ipa_size rd 0 s) with (rd_of s RD_ipa_size rd) in H.
  apply Z.ltb_lt in H. pose proof (Z.div_le_upper_bound (rd_of s RD_ipa_size rd) 2 (rd_of s RD_ipa_size rd)).
  assert (0 <= rd_of s RD_ipa_size rd) by apply (i_words _ I). lia.
Qed.
Lemma gpr_u64 rec n s : inv s -> u64 (gpr rec n s).
Proof. intros I. apply (i_words _ I). Qed.

Lemma translate_result rd ipa s :
  let '(result, _, _) := translate rd ipa s in result = IPA_OK \/ result = IPA_EMPTY \/ result = IPA_FAULT.
Proof. unfold translate. destruct (_ =? _); [auto|]. destruct (_ && _); auto. Qed.
Lemma page_offset ipa : Z.land ipa 255 = 0 -> 0 <= Z.land ipa 4095 <= 3840.
Proof.
  rewrite (land_low 8), (land_low 12) by lia. intros H. pose proof (Z.mod_pos_bound ipa (2 ^ 12) ltac:(lia)).
  assert ((ipa mod 2 ^ 12) mod 2 ^ 8 = 0) as E.
  { rewrite <- Znumtheory.Zmod_div_mod; [exact H|lia|lia|]. exists 16. reflexivity. }
  apply Z.mod_divide in E as [q E]; [|lia]. lia.
Qed.
Lemma skipped_locked rec rd s : skipped rec (locked rd s) = locked rd (skipped rec s).
Proof. unfold skipped. rewrite rec_get_locked. apply rec_set_locked. Qed.

Ltac answer_error C H :=
  unlock C; eapply bind_call; [apply rsi_answer_ok; exact H|]; tidy; reflexivity.

Theorem rsi_realm_config_ok rec s : inv s -> current rec s ->
  core "rsi_realm_config" [rec] s = Some ([fst (config_asked rec s)], snd (config_asked rec s)).
Proof.
  intros I C. pose proof (current_hand _ _ C) as H. pose proof (gpr_u64 rec 1 s I) as U. pose proof (c_realm _ _ C) as R.
  set (rd := realm_of rec s) in *. enter f_rsi_realm_config. go. fold (gpr rec 1 s). set (ipa := gpr rec 1 s) in *.
  eapply bind_call; [apply is_granule_aligned_ok|]. tidy.
  eapply bind_call; [exact (rec_lock_realm_ok _ _ C)|]. tidy. fold rd.
  eapply bind_call; [apply ipa_in_par_ok; apply hand_realm; exact R|]. tidy.
  change (in_par rd ipa (locked rd s)) with (in_par rd ipa s). unfold config_asked. fold rd ipa.
  destruct (is_aligned ipa); cbn [andb negb orb]; [|answer_error C H].
  destruct (in_par rd ipa s) eqn:Hp; cbn [andb negb orb]; [|answer_error C H].
  pose proof (in_par_bounds _ _ _ I (proj1 U) Hp) as B. pose proof (locked_open rd s I R) as O.
  pose proof (rtt_translate_eq rd ipa (locked rd s) O B) as T.
  pose proof (fun pa level => translate_own rd ipa (locked rd s) pa level O B) as W.
  change (translate rd ipa (locked rd s)) with (translate rd ipa s) in T, W.
  unfold with_page. fold rd. destruct (translate rd ipa s) as [[result pa] level].
  eapply bind_call; [exact T|]. tidy. unfold IPA_OK, IPA_EMPTY.
  destruct (Z.eqb_spec result 0) as [->|Hr].
  - destruct (W pa level eq_refl) as [Wo _].
    destruct (own_hand _ _ _ Wo (rd_nonzero _ _ I R) (or_held _ _ O)) as [W1 W2].
    eapply bind_call; [apply rsi_config_write_ok; [apply hand_realm; exact R|exact W1|exact W2|exact (own_differs _ _ _ Wo R)]|].
    tidy. rewrite config_locked. unlock C.
    eapply bind_call; [apply rsi_answer_ok; framed|]. tidy. reflexivity.
  - destruct (result =? 1); [answer_error C H|]. unlock C.
    eapply bind_call; [apply rsi_fault_ok; exact U|]. tidy. reflexivity.
Qed.

Theorem rsi_host_call_ok rec s : inv s -> current rec s ->
  core "rsi_host_call" [rec] s = Some ([fst (host_called rec s)], snd (host_called rec s)).
Proof.
  intros I C. pose proof (current_hand _ _ C) as H. pose proof (gpr_u64 rec 1 s I) as U. pose proof (c_realm _ _ C) as R.
  set (rd := realm_of rec s) in *. enter f_rsi_host_call. go. fold (gpr rec 1 s). set (ipa := gpr rec 1 s) in *.
  eapply bind_call; [exact (rec_lock_realm_ok _ _ C)|]. tidy. fold rd.
  eapply bind_call; [apply ipa_in_par_ok; apply hand_realm; exact R|]. tidy.
  change (in_par rd ipa (locked rd s)) with (in_par rd ipa s). unfold host_called. fold rd ipa.
  destruct (Z.eqb_spec (Z.land ipa 255) 0) as [Ha|Ha]; cbn [andb negb orb]; [|answer_error C H].
  destruct (in_par rd ipa s) eqn:Hp; cbn [andb negb orb]; [|answer_error C H].
  pose proof (in_par_bounds _ _ _ I (proj1 U) Hp) as B. pose proof (locked_open rd s I R) as O.
  pose proof (rtt_translate_eq rd ipa (locked rd s) O B) as T.
  pose proof (fun pa level => translate_own rd ipa (locked rd s) pa level O B) as W.
  pose proof (translate_result rd ipa s) as E.
  change (translate rd ipa (locked rd s)) with (translate rd ipa s) in T, W.
  unfold with_page. fold rd. destruct (translate rd ipa s) as [[result pa] level].
  eapply bind_call; [exact T|]. tidy. unfold IPA_OK, IPA_EMPTY.
  destruct E as [-> | [-> | ->]]; cbn [Z.eqb Pos.eqb]; tidy.
  - destruct (W pa level eq_refl) as [Wo _].
    destruct (own_hand _ _ _ Wo (rd_nonzero _ _ I R) (or_held _ _ O)) as [W1 W2].
    eapply bind_call; [apply rsi_host_call_out_ok; [exact W1|exact W2|by apply page_offset]|].
    tidy. rewrite told_locked. pose proof (hand_locked rec rd s H) as HL.
    go. go. rewrite !rec_set_locked. eapply bind_call; [apply rec_skip_ok; apply hand_locked; framed|]. tidy.
    rewrite skipped_locked. unlock C. reflexivity.
  - answer_error C H.
  - unlock C. eapply bind_call; [apply rsi_fault_ok; exact U|]. tidy. reflexivity.
Qed.

Theorem rsi_host_call_complete_ok rec rd s :
  open_realm rd s -> rec_in_hand rec s = true ->
  (rec_get REC_host_call rec 0 s <> 0 -> Z.land (rec_get REC_host_call_ipa rec 0 s) 255 = 0 /\
     0 <= rec_get REC_host_call_ipa rec 0 s < rd_of s RD_ipa_size rd) ->
  core "rsi_host_call_complete" [rec; rd] s =
    Some ([b2z (fst (host_call_completed rec rd s))], snd (host_call_completed rec rd s)).
Proof.
  intros O H Hc. pose proof O as [I R Hh]. enter f_rsi_host_call_complete. go. go. unfold host_call_completed.
  destruct (Z.eqb_spec (rec_get REC_host_call rec 0 s) 0) as [_|Hn]; [reflexivity|]. destruct (Hc Hn) as [Ha B]. clear Hc Hn.
  assert (U : u64 (rec_get REC_host_call_ipa rec 0 s)) by apply (i_words _ I).
  set (ipa := rec_get REC_host_call_ipa rec 0 s) in *.
  pose proof (rtt_translate_eq rd ipa s O B) as T. pose proof (translate_result rd ipa s) as E.
  pose proof (fun pa level => translate_own rd ipa s pa level O B) as W.
  destruct (translate rd ipa s) as [[result pa] level]. eapply bind_call; [exact T|]. tidy.
  unfold IPA_OK, IPA_EMPTY, host_call_ended, regs_set, gpr_set, RSI_SUCCESS, RSI_ERROR_INPUT.
  unfold IPA_OK, IPA_EMPTY, IPA_FAULT in E. destruct E as [-> | [-> | ->]]; cbn [Z.eqb Pos.eqb]; tidy.
  - destruct (W pa level eq_refl) as [Wo _]. destruct (own_hand _ _ _ Wo (rd_nonzero _ _ I R) Hh) as [W1 W2].
    eapply bind_call; [apply rsi_host_call_in_ok; [exact W1|exact W2|by apply page_offset]|]. tidy.
    assert (H' : rec_in_hand rec (host_call_taken pa (Z.land ipa 4095) s) = true) by framed. clear H.
    do 6 go. reflexivity.
  - do 6 go. reflexivity.
  - eapply bind_call; [apply rsi_fault_ok; exact U|]. tidy. reflexivity.
Qed.

Lemma same_ripas_locked n level table r i rd s : same_ripas n level table r i (locked rd s) = same_ripas n level table r i s.
Proof.
  revert i. induction n as [|n IH]; intros i; [reflexivity|]. cbn [same_ripas]. rewrite IH. reflexivity.
Qed.

Theorem rsi_ipa_state_get_ok rec s : inv s -> current rec s ->
  core "rsi_ipa_state_get" [rec] s = Some ([BACK], ripas_read rec s).
Proof.
  intros I C. pose proof (current_hand _ _ C) as H. pose proof (gpr_u64 rec 1 s I) as U. pose proof (gpr_u64 rec 2 s I) as U2.
  pose proof (c_realm _ _ C) as R. set (rd := realm_of rec s) in *. enter f_rsi_ipa_state_get. go. go.
  fold (gpr rec 1 s) (gpr rec 2 s). set (base := gpr rec 1 s) in *. set (top := gpr rec 2 s) in *.
  eapply bind_call; [apply is_granule_aligned_ok|]. tidy.
  eapply bind_call; [exact (rec_lock_realm_ok _ _ C)|]. tidy. fold rd.
  eapply bind_call; [apply ipa_in_par_ok; apply hand_realm; exact R|]. tidy.
  change (in_par rd (wrap U64 (top - 1)) (locked rd s)) with (in_par rd (wrap U64 (top - 1)) s).
  unfold ripas_read. cbv zeta. fold rd base top.
  destruct (is_aligned (Z.lor base top)); cbn [andb negb orb]; [|answer_error C H].
  destruct (Z.leb_spec top base) as [Hle|Hlt], (Z.ltb_spec base top) as [Hlt'|Hle']; try lia; cbn [andb negb orb]; [answer_error C H|].
  destruct (in_par rd (wrap U64 (top - 1)) s) eqn:Hp; cbn [andb negb orb]; [|answer_error C H].
  unfold u64 in *. rewrite wrap_small in Hp by lia.
  pose proof (in_par_bounds rd (top - 1) s I ltac:(lia) Hp) as B'.
  assert (B : 0 <= base < rd_of s RD_ipa_size rd) by lia. clear B' Hp.
  pose proof (locked_open rd s I R) as O. destruct (walk_at (locked rd s) rd base 3 (or_inv _ _ O) R B) as [Ha _].
  pose proof (ipa_u64 _ _ _ O B) as Hu.
  pose proof (rtt_walk_ok rd base 3 (locked rd s) O B ltac:(lia)) as T. cbv zeta in T.
  change (walk rd base 3 (locked rd s)) with (walk rd base 3 s) in T, Ha. set (w := walk rd base 3 s) in *.
  eapply bind_call; [exact T|]. tidy. eapply bind_call; [apply s2_ripas_ok|]. tidy.
  eapply bind_call.
  { apply rsi_same_ripas_ok; [unfold u64; lia| | |].
    - destruct Ha as (p & _ & _ & _ & Hs & _). rewrite Hs. apply slot_range.
    - pose proof (size_bound (w_level w)). destruct (floor_order (w_level w) base) as [Hf _]; [lia|].
      unfold floor_of in *. pose proof (Z.mod_pos_bound base (size_of (w_level w))). lia.
    - intros i Hi. destruct Ha as (p & Hp & E & _). eapply (table_readable _ _ p); [exact (or_inv _ _ O)|exact Hp|rewrite E; exact (or_held _ _ O)|exact Hi]. }
  tidy. unfold ripas_end. rewrite same_ripas_locked. unlock C.
  fold (ripas_end (w_level w) (w_table w) (w_slot w) base (ripas (w_desc w)) s).
  set (next := ripas_end _ _ _ _ _ _).
  destruct (Z.ltb_spec top next).
  - rewrite Z.min_r by lia. eapply bind_call; [apply rsi_answer_ok; exact H|]. tidy. reflexivity.
  - rewrite Z.min_l by lia. eapply bind_call; [apply rsi_answer_ok; exact H|]. tidy. reflexivity.
Qed.
