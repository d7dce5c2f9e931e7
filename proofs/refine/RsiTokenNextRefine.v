(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: a token is fetched piece by piece. *)
From kcore Require Export refine.RsiTokenRefine.
From kcore Require Export refine.RsiRealmRefine.
From kcore Require Import refine.RttRefine.
From kcore Require Import refine.RunFacts.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem rsi_token_piece_ok rec pa s :
  rec_in_hand rec s = true -> in_hand pa s = true -> has_state GS_DATA pa s = true ->
  0 <= gpr rec 2 s -> 0 <= gpr rec 3 s <= 4096 - gpr rec 2 s ->
  0 <= rec_get REC_token_done rec 0 s <= token_total rec s -> token_total rec s <= 4096 ->
  core "rsi_token_piece" [rec; pa] s = Some ([fst (token_piece rec pa s)], snd (token_piece rec pa s)).
Proof.
  intros H Hp Hd U2 U3 B T. enter f_rsi_token_piece. go. go. go. go. fold (gpr rec 2 s) (gpr rec 3 s).
  set (done := rec_get REC_token_done rec 0 s) in *. set (total := token_total rec s) in *.
  rewrite (wrap_small (total - done)) by lia. unfold token_piece, token_left. fold done total.
  assert (G : forall n, 0 <= n <= gpr rec 3 s -> n <= total - done -> may_fetch rec done n pa (gpr rec 2 s) s = true).
  { intros n Hn Hl. unfold may_fetch. fold total. rewrite H, Hp, Hd, (proj2 (Z.leb_le _ _)), (proj2 (Z.leb_le _ _)) by lia. reflexivity. }
  destruct (Z.ltb_spec (total - done) (gpr rec 3 s)).
  - rewrite Z.min_r by lia. go; [apply G; lia|]. reflexivity.
  - rewrite Z.min_l by lia. go; [apply G; lia|]. reflexivity.
Qed.

Theorem rsi_token_next_ok rec n s :
  rec_in_hand rec s = true -> 0 <= rec_get REC_token_done rec 0 s + n < 2 ^ 64 ->
  core "rsi_token_next" [rec; n] s = Some ([BACK], token_counted rec n s).
Proof.
  intros H B. enter f_rsi_token_next. go. go. rewrite wrap_small by exact B. go. unfold token_counted.
  destruct (_ =? token_total rec s); [go|]; (eapply bind_call; [apply rsi_answer_ok; framed|]); tidy; reflexivity.
Qed.

(* ---- Signing leaves the invariant ---- *)

Lemma splice_words a new l : page_words l -> 0 <= a -> a + Z.of_nat (length new) <= 512 -> Forall u64 new ->
  page_words (splice a new l).
Proof.
  unfold page_words, is_page. intros [Hl Hu] Ha Hn Hf. unfold splice. split.
  - rewrite !length_app, length_take, length_drop. lia.
  - apply Forall_app. split; [by apply Forall_take|]. apply Forall_app. split; [done|by apply Forall_drop].
Qed.
Lemma slice_splice a new l n : is_page l -> 0 <= a -> a + Z.of_nat (length new) <= 512 -> n = length new ->
  slice a n (splice a new l) = new.
Proof.
  unfold is_page. intros Hl Ha Hn ->. unfold slice, splice. rewrite drop_app_length' by (rewrite length_take; lia).
  by apply take_app_length'.
Qed.

(* The page of a REC whose token was just signed. *)
Definition signed_page (l new : list Z) : list Z := set_nth (splice (rec_off REC_token_len) new l) (rec_off REC_token_state) TOKEN_SIGNED.
Lemma signed_is rec new s :
  rec_set REC_token_state rec 0 TOKEN_SIGNED (with_token rec new s) = put_page rec (signed_page (page (mem s) rec) new) s.
Proof.
  unfold rec_set, rec_word, with_token, put_word, put_page, set_word, signed_page. rewrite Z.add_0_r.
  cbn [mem with_mem]. rewrite page_insert_same, insert_insert. reflexivity.
Qed.
Lemma signed_word l new i : is_page l -> length new = TOKEN_WORDS -> 0 <= i < 512 -> i < 100 \/ i = 101 \/ 231 <= i ->
  nth_word (signed_page l new) i = nth_word l i.
Proof.
  unfold TOKEN_WORDS. intros Hl Hn Hi H. unfold signed_page. cbn [rec_off]. rewrite nth_set_other by lia.
  apply nth_splice; try done; lia.
Qed.
Lemma signed_state l new : is_page l -> length new = TOKEN_WORDS -> nth_word (signed_page l new) 100 = TOKEN_SIGNED.
Proof.
  unfold TOKEN_WORDS. intros Hl Hn. apply nth_set_same; [|lia]. unfold is_page, splice in *.
  cbn [rec_off]. rewrite !length_app, length_take, length_drop. lia.
Qed.
Lemma word_put rec l s i : word (mem (put_page rec l s)) rec i = nth_word l i.
Proof. unfold word. change (mem (put_page rec l s)) with (<[rec := l]> (mem s)). by rewrite page_insert_same. Qed.

Lemma inv_signed rec new s x : inv s -> gran s !! rec = Some x -> g_state x = GS_REC ->
  length new = TOKEN_WORDS -> Forall u64 new -> rec_of s REC_token_state rec = 1 ->
  inv (put_page rec (signed_page (page (mem s) rec) new) s).
Proof.
  intros I Hx Hs Hn Hu Ht. pose proof (page_is_words s rec I) as Hp. destruct (Hp) as [Hl _].
  pose proof (i_rec _ I _ _ Hx Hs) as C. destruct (rec_waits _ _ _ C) as (W1 & W2 & W3 & _).
  set (l := signed_page _ _).
  assert (E : forall f, rec_off f < 100 \/ rec_off f = 101 -> 0 <= rec_off f -> rec_of (put_page rec l s) f rec = rec_of s f rec).
  { intros f H H0. unfold rec_of, rec_get, rec_word. rewrite !Z.add_0_r, word_put. apply signed_word; try done; lia. }
  assert (Hrd : half_of (put_page rec l s) (g_owner x) = half_of s (g_owner x)).
  { unfold half_of, rd_of, rd_get, word. change (mem (put_page rec l s)) with (<[rec := l]> (mem s)).
    rewrite page_insert_other; [done|]. intros ->. destruct (c_rd _ _ _ C) as [_ H].
    unfold has_state in H. rewrite Hx, Hs in H. done. }
  eapply inv_put_page; [done|done| |].
  - right. right. split; [done|]. split.
    + intros f Hf. apply signed_word; try done; destruct Hf as [<-|[<-|[<-|[<-|[<-|[<-|[<-|[<-|[]]]]]]]]]; cbn [rec_off]; lia.
    + unfold waits_ok. fold l. rewrite Hrd, !E by (cbn [rec_off]; lia). split; [done|]. split; [done|].
      assert (Es : rec_of (put_page rec l s) REC_token_state rec = 2).
      { unfold rec_of, rec_get, rec_word. rewrite Z.add_0_r, word_put. by apply signed_state. }
      rewrite Es, (E REC_token_done), (W3 Ht) by (cbn [rec_off]; lia). split; [lia|]. intros _. split; [done|]. apply (h_token _ (i_hw _ I)).
  - apply set_nth_words; [|unfold u64, TOKEN_SIGNED; lia]. apply splice_words; try done; unfold TOKEN_WORDS in Hn; cbn [rec_off]; lia.
Qed.

(* What is known once the token is signed. *)
Lemma finished_hand rec s : rec_in_hand rec s = true -> rec_in_hand rec (snd (token_finished rec s)) = true.
Proof. intros H. unfold token_finished. repeat case_match; cbn [snd]; first [exact H|framed]. Qed.
Lemma finished_facts rec s : inv s -> current rec s -> fst (token_finished rec s) = RSI_SUCCESS ->
  let s1 := snd (token_finished rec s) in
  inv s1 /\ current rec s1 /\ realm_of rec s1 = realm_of rec s /\ (forall n, 0 <= n < 31 -> gpr rec n s1 = gpr rec n s) /\
  rec_get REC_token_done rec 0 s1 <= token_total rec s1 /\
  (forall ipa, in_par (realm_of rec s) ipa s1 = in_par (realm_of rec s) ipa s).
Proof.
  intros I C Hf. destruct (has_state_inv _ _ _ (c_rec _ _ C)) as (x & Hx & Hs). pose proof (i_rec _ I _ _ Hx Hs) as R.
  destruct (rec_waits _ _ _ R) as (_ & _ & W3 & W4).
  assert (U : u64 (rec_of s REC_token_state rec)) by apply (i_words _ I).
  unfold token_finished in *. change (rec_get REC_token_state rec 0 s) with (rec_of s REC_token_state rec) in *.
  unfold TOKEN_NONE, TOKEN_CLAIMED in *.
  destruct (Z.eqb_spec (rec_of s REC_token_state rec) 0) as [|N0]; [discriminate Hf|].
  destruct (Z.eqb_spec (rec_of s REC_token_state rec) 1) as [N1|N1].
  - destruct (token_signed (hw s) (token_of rec s)) as [new|] eqn:E; [|discriminate Hf]. cbn [snd].
    destruct (h_signed _ (i_hw _ I) _ _ E) as [Hn Hu]. rewrite signed_is.
    pose proof (inv_signed rec new s x I Hx Hs Hn Hu N1) as I1.
    destruct (page_is_words s rec I) as [Hl _].
    assert (Ew : forall i, 0 <= i < 100 \/ i = 101 -> nth_word (signed_page (page (mem s) rec) new) i = word (mem s) rec i).
    { intros i H. apply signed_word; try done; lia. }
    generalize dependent (signed_page (page (mem s) rec) new). intros l I1 Ew.
    assert (Eg : forall f i, 0 <= rec_off f + i < 100 \/ rec_off f + i = 101 ->
      rec_get f rec i (put_page rec l s) = rec_get f rec i s).
    { intros f i H. unfold rec_get, rec_word. rewrite word_put. by apply Ew. }
    split; [exact I1|]. split; [|split; [|split; [|split]]].
    + destruct C as [C1 C2 C3 C4 C5 C6 C7 C8]. constructor; try assumption.
      * unfold realm_of in *. rewrite Eg by (cbn [rec_off]; lia). exact C4.
      * rewrite Eg by (cbn [rec_off]; lia). exact C8.
    + apply Eg; cbn [rec_off]; lia.
    + intros n Hn'. apply Eg; cbn [rec_off]; lia.
    + rewrite Eg by (cbn [rec_off]; lia). change (rec_get REC_token_done rec 0 s) with (rec_of s REC_token_done rec).
      rewrite W3 by done. apply (h_token _ (i_hw _ I)).
    + intros ipa. unfold in_par, rd_get, word. change (mem (put_page rec l s)) with (<[rec := l]> (mem s)).
      rewrite page_insert_other by (pose proof (current_differ _ _ C); congruence). reflexivity.
  - cbn [snd]. split; [done|]. split; [done|]. split; [done|]. split; [done|]. split; [|done].
    apply W4. unfold u64 in U. lia.
Qed.

Lemma own_apart rd pa rec s : own_data s rd pa = true -> has_state GS_REC rec s = true -> pa <> rec.
Proof.
  unfold own_data, has_state. intros H1 H2 ->. destruct (gran s !! rec); [|done]. unfold GS_REC, GS_DATA in *. lia.
Qed.
Lemma piece_facts rec pa s : 0 <= gpr rec 3 s -> rec_get REC_token_done rec 0 s <= token_total rec s ->
  0 <= fst (token_piece rec pa s) /\ rec_get REC_token_done rec 0 s + fst (token_piece rec pa s) <= token_total rec s /\
  exists l, snd (token_piece rec pa s) = put_page pa l s.
Proof. intros H B. unfold token_piece, token_left. cbn [fst snd]. split; [lia|]. split; [lia|]. by eexists. Qed.

Theorem rsi_token_continue_ok rec s : inv s -> current rec s ->
  core "rsi_token_continue" [rec] s = Some ([fst (token_continued rec s)], snd (token_continued rec s)).
Proof.
  intros I C. pose proof (current_hand _ _ C) as H. pose proof (gpr_u64 rec 1 s I) as U1.
  pose proof (gpr_u64 rec 2 s I) as U2. pose proof (gpr_u64 rec 3 s I) as U3.
  enter f_rsi_token_continue. go. fold (gpr rec 1 s).
  eapply bind_call; [apply rsi_token_buffer_ok_ok; [exact C|exact (proj1 U2)]|]. tidy.
  unfold token_continued. destruct (token_buffer rec s) eqn:Hb; cbn [negb].
  2:{ eapply bind_call; [apply rsi_answer_ok; exact H|]. tidy. reflexivity. }
  unfold token_buffer in Hb. set (ipa := gpr rec 1 s) in *.
  apply andb_true_iff in Hb as [[[_ B2%Z.ltb_lt]%andb_true_iff B3%Z.leb_le]%andb_true_iff Hp].
  eapply bind_call; [apply rsi_token_finish_ok; exact H|]. tidy.
  pose proof (finished_facts rec s I C) as F. pose proof (finished_hand rec s H) as HF.
  destruct (token_finished rec s) as [status s1]. cbn [fst snd] in F, HF |- *.
  change RSI_SUCCESS with 0 in *.
  destruct (Z.eqb_spec status 0) as [->|Hn]; cbn [negb].
  2:{ eapply bind_call; [apply rsi_answer_ok; exact HF|]. tidy. reflexivity. }
  destruct (F eq_refl) as (I1 & C1 & Er & Eg & Bd & Ep). clear F HF.
  pose proof (current_hand _ _ C1) as H1. pose proof (c_realm _ _ C1) as R1.
  rewrite <- Ep, <- Er in Hp. rewrite <- (Eg 2) in B2 by lia. rewrite <- (Eg 2), <- (Eg 3) in B3 by lia. clear Ep Er Eg.
  eapply bind_call; [exact (rec_lock_realm_ok _ _ C1)|]. tidy. set (rd := realm_of rec s1) in *.
  pose proof (locked_open rd s1 I1 R1) as O.
  pose proof (in_par_bounds _ _ _ I1 (proj1 U1) Hp) as B.
  pose proof (rtt_translate_eq rd ipa (locked rd s1) O B) as T. pose proof (translate_result rd ipa s1) as E.
  pose proof (fun pa level => translate_own rd ipa (locked rd s1) pa level O B) as W.
  change (translate rd ipa (locked rd s1)) with (translate rd ipa s1) in T, W.
  unfold with_page. fold rd. destruct (translate rd ipa s1) as [[result pa] level].
  eapply bind_call; [exact T|]. tidy. unfold IPA_OK, IPA_EMPTY.
  destruct (Z.eqb_spec result 0) as [->|Hr].
  - destruct (W pa level eq_refl) as [Wo _].
    destruct (own_hand _ _ _ Wo (rd_nonzero _ _ I1 R1) (or_held _ _ O)) as [W1 W2].
    pose proof (own_apart rd pa rec s1 Wo (c_rec _ _ C1)) as Na.
    assert (Bd' : 0 <= rec_get REC_token_done rec 0 s1) by apply (i_words _ I1).
    pose proof (h_token _ (i_hw _ I1) (token_of rec s1)) as Ht. fold (token_total rec s1) in Ht.
    pose proof (gpr_u64 rec 2 s1 I1) as V2. pose proof (gpr_u64 rec 3 s1 I1) as V3. unfold u64 in V2, V3.
    pose proof (rsi_token_piece_ok rec pa (locked rd s1) (hand_locked rec rd s1 H1) W1 W2) as P.
    change (gpr rec 2 (locked rd s1)) with (gpr rec 2 s1) in P. change (gpr rec 3 (locked rd s1)) with (gpr rec 3 s1) in P.
    change (rec_get REC_token_done rec 0 (locked rd s1)) with (rec_get REC_token_done rec 0 s1) in P.
    change (token_total rec (locked rd s1)) with (token_total rec s1) in P.
    change (fst (token_piece rec pa (locked rd s1))) with (fst (token_piece rec pa s1)) in P.
    change (snd (token_piece rec pa (locked rd s1))) with (locked rd (snd (token_piece rec pa s1))) in P.
    destruct (piece_facts rec pa s1) as (Hn0 & Hn1 & l & El); [lia|lia|].
    destruct (token_piece rec pa s1) as [n s2]. cbn [fst snd] in *. subst s2.
    eapply bind_call; [apply P; lia|]. tidy. unlock C1.
    assert (Ed : rec_get REC_token_done rec 0 (put_page pa l s1) = rec_get REC_token_done rec 0 s1).
    { unfold rec_get, word. change (mem (put_page pa l s1)) with (<[pa := l]> (mem s1)). by rewrite page_insert_other. }
    eapply bind_call; [apply rsi_token_next_ok; [framed|rewrite Ed; lia]|]. tidy. reflexivity.
  - destruct (result =? 1); unlock C1.
    + eapply bind_call; [apply rsi_answer_ok; exact H1|]. tidy. reflexivity.
    + eapply bind_call; [apply rsi_fault_ok; exact U1|]. tidy. reflexivity.
Qed.
