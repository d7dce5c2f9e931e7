(* SPDX-License-Identifier: Apache-2.0 *)
(* A call of a realm leaves its REC current: who runs it, for which realm, locks. *)
From kcore Require Export refine.CurrentFacts.
From kcore Require Import refine.RsiCallRefine.
From kcore Require Import refine.RttRefine.
From kcore Require Import refine.RunFacts.
From kcore Require Import spec.RsiCall.
Local Open Scope Z_scope.
Local Notation kept := CurrentFacts.kept.

Theorem rsi_called_leaves rec fid s : fst (rsi_called rec fid s) = BACK \/ fst (rsi_called rec fid s) = LEAVE.
Proof.
  unfold rsi_called, config_asked, ripas_asked, host_called, token_continued, with_page, refused_call.
  repeat (case_match; cbn [fst]; auto).
Qed.

Lemma kept_each rec n f s0 s : (forall i s, 0 <= i < Z.of_nat n -> kept rec s0 s -> kept rec s0 (f i s)) ->
  kept rec s0 s -> kept rec s0 (each_below n f s).
Proof.
  intros Hf Hs. assert (forall m, (m <= n)%nat -> kept rec s0 (each_below m f s)) as H; [|by apply H].
  induction m as [|m IH]; intros Hm; [exact Hs|]. rewrite each_below_S. apply Hf; [lia|]. apply IH. lia.
Qed.
Lemma kept_word rec pa i v s0 s : pa <> rec -> kept rec s0 s -> kept rec s0 (put_word pa i v s).
Proof.
  intros N K. eapply kept_trans; [exact K|]. constructor; try reflexivity; [by apply word_set_page..|apply set_word_ok].
Qed.
Lemma put_page_ok pa l m : is_page l -> mem_ok m -> mem_ok (<[pa := l]> m).
Proof.
  intros Hl Hm p x. destruct (decide (pa = p)) as [<-|]; [rewrite lookup_insert; by intros [= <-]|].
  rewrite lookup_insert_ne by done. apply Hm.
Qed.
Lemma kept_page rec pa l s0 s : pa <> rec -> is_page l -> kept rec s0 s -> kept rec s0 (put_page pa l s).
Proof.
  intros N Hl K. eapply kept_trans; [exact K|].
  assert (E : forall i, word (mem (put_page pa l s)) rec i = word (mem s) rec i).
  { intros i. unfold word. change (mem (put_page pa l s)) with (<[pa := l]> (mem s)). by rewrite page_insert_other. }
  constructor; try reflexivity; [apply E|apply E|by apply put_page_ok].
Qed.
Lemma kept_own rec l s0 s : is_page l -> nth_word l 0 = word (mem s) rec 0 -> nth_word l 4 = word (mem s) rec 4 ->
  kept rec s0 s -> kept rec s0 (put_page rec l s).
Proof.
  intros Hl E0 E4 K. eapply kept_trans; [exact K|].
  constructor; try reflexivity; [| |by apply put_page_ok]; unfold realm_of, rec_get, rec_word; rewrite word_put; assumption.
Qed.

Lemma bytes_page l to n f from : is_page (bytes_put l to n f from).
Proof. reflexivity. Qed.

Lemma kept_answered rec status x1 x2 s0 s : kept rec s0 s -> kept rec s0 (answered rec status x1 x2 s).
Proof. apply kept_returned. Qed.
Lemma kept_faulted rec ipa level s0 s : kept rec s0 s -> kept rec s0 (faulted ipa level s).
Proof. intros K. unfold faulted. apply kept_counted. do 3 apply kept_run_out. exact K. Qed.
Lemma kept_config rec rd pa s0 s : pa <> rec -> kept rec s0 s -> kept rec s0 (config_written rd pa s).
Proof. intros N K. unfold config_written. apply kept_each; [intros; by apply kept_word|]. do 2 (apply kept_word; [done|]). exact K. Qed.
Lemma kept_told rec pa offset s0 s : kept rec s0 s -> kept rec s0 (host_call_told pa offset s).
Proof.
  intros K. unfold host_call_told. cbv zeta. apply kept_counted. apply kept_each; [intros; by apply kept_run_out|].
  do 2 apply kept_run_out. exact K.
Qed.
Lemma kept_set rec f v s0 s : f <> REC_running -> identity_word (rec_word f 0) = false -> 0 <= rec_word f 0 ->
  kept rec s0 s -> kept rec s0 (rec_set f rec 0 v s).
Proof. intros. by apply kept_rec_set. Qed.
Ltac set_word := apply kept_set; [discriminate|reflexivity|discriminate|].

Lemma kept_same rec s0 s s' : kept rec s0 s -> gran s' = gran s -> held s' = held s -> shrinking s' = shrinking s ->
  staled s' = staled s -> runs s' = runs s -> loaded s' = loaded s -> mem s' = mem s -> kept rec s0 s'.
Proof.
  intros K E1 E2 E3 E4 E5 E6 E7. eapply kept_trans; [exact K|].
  constructor; try assumption; unfold realm_of, rec_get; by rewrite E7.
Qed.
Lemma kept_hashed rec a n s0 s : kept rec s0 s -> kept rec s0 (hashed a n s).
Proof. intros K. by apply (kept_same rec s0 s). Qed.
Lemma kept_put rec i v s0 s : kept rec s0 s -> kept rec s0 (hash_put i v s).
Proof. intros K. by apply (kept_same rec s0 s). Qed.
Lemma kept_cleared rec s0 s : kept rec s0 s -> kept rec s0 (hash_cleared s).
Proof. intros K. by apply (kept_same rec s0 s). Qed.
Lemma kept_extended rec rd slot size s0 s : rd <> rec -> kept rec s0 s -> kept rec s0 (extended rd rec slot size s).
Proof.
  intros N K. unfold extended. cbv zeta. unfold stored, Measure.each. apply kept_each; [intros; by apply kept_rd_set|].
  apply kept_hashed. do 2 (apply kept_each; [intros; by apply kept_put|]). by apply kept_cleared.
Qed.

Lemma kept_with_page rec ipa done s0 s : kept rec s0 s -> open_realm (realm_of rec s) (locked (realm_of rec s) s) ->
  has_state GS_REC rec s = true -> 0 <= ipa < rd_of s RD_ipa_size (realm_of rec s) ->
  (forall pa, pa <> rec -> kept rec s0 (snd (done pa))) -> kept rec s0 (snd (with_page rec ipa done s)).
Proof.
  intros K O R B H. unfold with_page. set (rd := realm_of rec s) in *.
  pose proof (fun pa level => translate_own rd ipa (locked rd s) pa level O B) as W.
  change (translate rd ipa (locked rd s)) with (translate rd ipa s) in W.
  destruct (translate rd ipa s) as [[result pa] level]. destruct (Z.eqb_spec result IPA_OK) as [->|].
  - apply H. destruct (W pa level eq_refl) as [Wo _]. exact (own_apart rd pa rec s Wo R).
  - destruct (result =? IPA_EMPTY); [by apply kept_answered|by apply kept_faulted].
Qed.

Lemma kept_finished rec s : inv s -> kept rec s (snd (token_finished rec s)).
Proof.
  intros I. unfold token_finished. destruct (_ =? TOKEN_NONE); [apply kept_refl|].
  destruct (_ =? TOKEN_CLAIMED); [|apply kept_refl].
  destruct (token_signed (hw s) (token_of rec s)) as [new|] eqn:E; cbn [snd]; [|set_word; apply kept_refl].
  destruct (h_signed _ (i_hw _ I) _ _ E) as [Hn _]. destruct (page_is_words s rec I) as [Hl _].
  rewrite signed_is. apply kept_own; [|by apply signed_word; try done; lia..|apply kept_refl].
  apply set_nth_page. unfold TOKEN_WORDS in Hn. unfold is_page, splice in *. cbn [rec_off].
  rewrite !length_app, length_take, length_drop. lia.
Qed.

Local Ltac told := unfold refused_call; cbn [snd]; apply kept_answered; first [match goal with K : ?P |- ?Q => constr_eq P Q; exact K end|assumption].

Theorem rsi_called_kept rec fid s : inv s -> current rec s -> kept rec s (snd (rsi_called rec fid s)).
Proof.
  intros I C. pose proof (kept_refl rec s) as K. pose proof (c_realm _ _ C) as R. pose proof (c_rec _ _ C) as Rs.
  pose proof (locked_open _ _ I R) as O. pose proof (proj1 (gpr_u64 rec 1 s I)) as U.
  assert (B : forall ipa, 0 <= ipa -> in_par (realm_of rec s) ipa s = true -> 0 <= ipa < rd_of s RD_ipa_size (realm_of rec s))
    by (intros; by apply in_par_bounds).
  unfold rsi_called.
  destruct (fid =? _); [cbn [snd]; unfold version_told; told|]. destruct (fid =? _); [told|].
  destruct (fid =? _).
  { cbn [snd]. unfold measurement_read. destruct (_ <? _); [|told].
    unfold measurement_told. apply kept_each; [intros; apply kept_gpr_set; [lia|done]|told]. }
  destruct (fid =? _).
  { cbn [snd]. unfold measurement_extended. destruct (_ && _); apply kept_answered; [|exact K].
    apply kept_extended; [exact (current_differ _ _ C)|exact K]. }
  destruct (fid =? _).
  { unfold config_asked. destruct (_ && in_par _ _ _) eqn:E; [|told].
    apply andb_true_iff in E as [_ E]. apply kept_with_page; [exact K|exact O|exact Rs|by apply B|].
    intros pa N. cbn [snd]. apply kept_answered. exact (kept_config _ _ _ _ _ N K). }
  destruct (fid =? _).
  { unfold ripas_asked. destruct (ripas_askable rec s); [|told]. cbn [snd]. unfold ripas_told, ripas_noted.
    apply kept_counted. do 4 apply kept_run_out. apply kept_skipped. do 5 set_word. exact K. }
  destruct (fid =? _).
  { cbn [snd]. unfold ripas_read. cbv zeta. destruct (_ && _); told. }
  destruct (fid =? _).
  { unfold host_called. destruct (_ && in_par _ _ _) eqn:E; [|told].
    apply andb_true_iff in E as [_ E]. apply kept_with_page; [exact K|exact O|exact Rs|by apply B|].
    intros pa N. cbn [snd]. apply kept_skipped. do 2 set_word. exact (kept_told _ _ _ _ _ K). }
  destruct (fid =? _).
  { cbn [snd]. unfold token_begun. apply kept_answered. do 2 set_word. unfold with_token.
    destruct (h_claims _ (i_hw _ I) (challenge_of rec s) (told (realm_of rec s) s)) as [Hn _]. unfold TOKEN_WORDS in Hn.
    destruct (page_is_words s rec I) as [Hl _].
    apply kept_own; [|by apply nth_splice; cbn [rec_off]; try done; lia..|exact K].
    unfold is_page, splice in *. cbn [rec_off]. rewrite !length_app, length_take, length_drop. lia. }
  destruct (fid =? _); [|told].
  unfold token_continued. destruct (token_buffer rec s) eqn:E; [|told].
  apply andb_true_iff in E as [_ E]. pose proof (kept_finished rec s I) as KF. pose proof (finished_facts rec s I C) as F.
  destruct (token_finished rec s) as [status s1]. cbn [fst snd] in KF, F.
  destruct (Z.eqb_spec status RSI_SUCCESS) as [->|]; [|told].
  destruct (F eq_refl) as (I1 & C1 & Er & Eg & Bd & Ep). rewrite <- Ep, <- Er in E.
  apply kept_with_page; [exact KF|exact (locked_open _ _ I1 (c_realm _ _ C1))|exact (c_rec _ _ C1)|exact (in_par_bounds _ _ _ I1 U E)|].
  intros pa N. unfold token_piece. cbn [snd]. unfold token_counted. cbv zeta.
  destruct (_ =? _); apply kept_answered; [set_word; set_word|set_word]; (apply kept_page; [exact N|apply bytes_page|exact KF]).
Qed.
