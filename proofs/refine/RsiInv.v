(* SPDX-License-Identifier: Apache-2.0 *)
(* The invariant after a call of the RSI range. *)
From kcore Require Export refine.TrapInv.
From kcore Require Import refine.RsiCallRefine.
From kcore Require Import refine.RttRefine.
From kcore Require Import refine.UnderFacts.
From kcore Require Import spec.RsiCall.
Local Open Scope Z_scope.

(* ---- What a REC waits for, in its words ---- *)

Definition asks (l : list Z) (half : Z) : Prop :=
  nth_word l 18 <> 0 -> nth_word l 19 <= nth_word l 20 /\ nth_word l 20 <= half /\ nth_word l 19 mod 4096 = 0 /\
    nth_word l 20 mod 4096 = 0 /\ 0 <= nth_word l 21 <= 1.
Definition calls (l : list Z) (half : Z) : Prop :=
  nth_word l 16 <> 0 -> nth_word l 17 mod 256 = 0 /\ nth_word l 17 < half.
Definition fetches (l : list Z) (size : list Z -> Z) : Prop :=
  (nth_word l 100 = 1 -> nth_word l 101 = 0) /\
  (1 < nth_word l 100 -> nth_word l 100 = 2 /\ nth_word l 101 <= size (slice 102 TOKEN_WORDS l)).

Lemma put_put rec j w l s : put_word rec j w (put_page rec l s) = put_page rec (set_nth l j w) s.
Proof. unfold put_word, put_page, set_word. cbn [mem with_mem]. by rewrite page_insert_same, insert_insert. Qed.
Lemma put_first rec i v s : put_word rec i v s = put_page rec (set_nth (page (mem s) rec) i v) s.
Proof. reflexivity. Qed.

Section waits.
  Context (rec : Z) (s : state) (S : sound rec s).
  Notation l0 := (page (mem s) rec).
  Notation half := (half_of s (realm_of rec s)).

  Lemma rec_page : page_words l0.
  Proof using S. apply page_is_words, S. Qed.
  Lemma sound_waits : asks l0 half /\ calls l0 half /\ fetches l0 (token_size (hw s)).
  Proof using S.
    destruct S as [I R]. destruct (has_state_inv _ _ _ R) as (x & Hx & Hs). pose proof (i_rec _ I _ _ Hx Hs) as C.
    destruct (c_rd _ _ _ C) as [E _]. change (realm_of rec s) with (rec_of s REC_rd rec). rewrite E.
    destruct (rec_waits _ _ _ C) as (W1 & W2 & W3). split_and!; [exact W1|exact W2|exact W3].
  Qed.

  (* The REC's page changes, but not whose it is, and where it runs. *)
  Lemma sound_page l : page_words l -> (forall i, 0 <= i < 3 \/ 4 <= i < 9 -> nth_word l i = nth_word l0 i) ->
    asks l half -> calls l half -> fetches l (token_size (hw s)) -> sound rec (put_page rec l s).
  Proof using S.
    intros Hl Hf W1 W2 W3. destruct S as [I R]. constructor; [|exact R].
    destruct (has_state_inv _ _ _ R) as (x & Hx & Hs). pose proof (i_rec _ I _ _ Hx Hs) as C.
    destruct (c_rd _ _ _ C) as [Eo Hr]. change (realm_of rec s) with (rec_of s REC_rd rec) in *. rewrite Eo in *.
    assert (E : forall f, rec_of (put_page rec l s) f rec = nth_word l (rec_off f)).
    { intros f. unfold rec_of, rec_get, rec_word, word. rewrite Z.add_0_r.
      change (mem (put_page rec l s)) with (<[rec := l]> (mem s)). by rewrite page_insert_same. }
    assert (Hh : half_of (put_page rec l s) (g_owner x) = half_of s (g_owner x)).
    { unfold half_of, rd_of, rd_get, word. change (mem (put_page rec l s)) with (<[rec := l]> (mem s)).
      rewrite page_insert_other; [done|]. intros N. rewrite <- N in Hr. unfold has_state in Hr. by rewrite Hx, Hs in Hr. }
    eapply inv_put_page; [done|done|right; right; split; [done|split]|done].
    - intros f Hin. apply Hf. simpl in Hin. intuition subst; cbn [rec_off]; lia.
    - unfold waits_ok, token_total, token_of. rewrite Hh, !E. change (mem (put_page rec l s)) with (<[rec := l]> (mem s)).
      rewrite page_insert_same. change (hw (put_page rec l s)) with (hw s). cbn [rec_off]. done.
  Qed.
End waits.

Ltac reads :=
  repeat first [rewrite nth_set_same by (repeat apply set_nth_page; assumption || lia) | rewrite nth_set_other by lia].

(* ---- Pages of data ---- *)

Lemma sound_data rec pa l s rd : own_data s rd pa = true -> page_words l -> sound rec s -> sound rec (put_page pa l s).
Proof.
  intros Ho Hl [I R]. constructor; [|exact R]. unfold own_data in Ho. destruct (gran s !! pa) as [x|] eqn:Hx; [|done].
  apply andb_true_iff in Ho as [Hs%Z.eqb_eq _]. eapply inv_put_page; [done|done|by right; left|done].
Qed.
Lemma sound_data_word rec pa i v s rd : own_data s rd pa = true -> u64 v -> sound rec s -> sound rec (put_word pa i v s).
Proof.
  intros Ho Hv S. rewrite put_first. apply (sound_data rec pa _ s rd Ho); [|exact S].
  apply RunFacts.set_nth_words; [|exact Hv]. apply page_is_words, S.
Qed.

Lemma sound_answered rec status x1 x2 s : u64 status -> u64 x1 -> u64 x2 -> sound rec s -> sound rec (answered rec status x1 x2 s).
Proof. intros. apply sound_returned; [done..|exact u64_0|done]. Qed.
Lemma sound_refused rec s : sound rec s -> sound rec (snd (refused_call rec s)).
Proof. intros. cbn [refused_call snd]. apply sound_answered; [by vm_compute|exact u64_0..|done]. Qed.
Lemma sound_each rec n f s : (forall i s, 0 <= i < Z.of_nat n -> sound rec s -> sound rec (f i s)) ->
  sound rec s -> sound rec (each_below n f s).
Proof.
  intros Hf Hs. assert (forall m, (m <= n)%nat -> sound rec (each_below m f s)) as H; [|by apply H].
  induction m as [|m IH]; intros Hm; [exact Hs|]. rewrite each_below_S. apply Hf; [lia|]. apply IH. lia.
Qed.

Lemma sound_faulted rec ipa level s : u64 ipa -> u64 level -> sound rec s -> sound rec (faulted ipa level s).
Proof.
  intros Hi Hl S. unfold faulted, ESR_TRANSLATION, EXIT_SYNC. apply sound_counted, sound_run_out.
  - unfold u64 in *. split; [apply Z.mul_nonneg_nonneg; [apply Z.div_pos; lia|lia]|].
    pose proof (Z.mul_div_le ipa 4096 ltac:(lia)). lia.
  - apply sound_run_out; [u64_now|]. apply sound_run_out; [exact u64_0|exact S].
Qed.

(* With the page of an address of the REC's realm. *)
Lemma sound_with_page rec ipa done s : sound rec s -> current rec s -> u64 ipa -> in_par (realm_of rec s) ipa s = true ->
  (forall pa, own_data s (realm_of rec s) pa = true -> sound rec (snd (done pa))) -> sound rec (snd (with_page rec ipa done s)).
Proof.
  intros S C Hi Hp H. pose proof (so_inv _ _ S) as I. pose proof (c_realm _ _ C) as R.
  pose proof (in_par_bounds _ _ _ I (proj1 Hi) Hp) as B. pose proof (locked_open _ _ I R) as O.
  unfold with_page. set (rd := realm_of rec s) in *.
  pose proof (fun pa level => translate_own rd ipa (locked rd s) pa level O B) as W.
  change (translate rd ipa (locked rd s)) with (translate rd ipa s) in W.
  assert (L : u64 (snd (translate rd ipa s))).
  { destruct (walk_at s rd ipa 3 I R B) as [_ Hl]. destruct (i_realm _ I _ R) as [_ _ (Hv & _) _ _ _ _ _ _ _].
    unfold translate. cbv zeta. destruct (_ =? RIPAS_EMPTY); [|destruct (_ && _)]; cbn [snd]; unfold u64; lia. }
  destruct (translate rd ipa s) as [[result pa] level]. cbn [snd] in L. destruct (Z.eqb_spec result IPA_OK) as [->|].
  - apply H. by destruct (W pa level eq_refl).
  - destruct (result =? IPA_EMPTY); [by apply sound_refused|]. cbn [snd]. by apply sound_faulted.
Qed.

Lemma walk_on_desc m ipa level n w : words_u64 m -> u64 (w_desc w) -> u64 (w_desc (walk_on m ipa level n w)).
Proof.
  intros H. revert w. induction n as [|n IH]; intros w Hw; [exact Hw|]. cbn [walk_on]. destruct (_ && _); [|exact Hw].
  apply IH, H.
Qed.
Lemma walk_desc rd ipa level s : words_u64 (mem s) -> u64 (w_desc (walk rd ipa level s)).
Proof. intros H. apply walk_on_desc; [exact H|apply H]. Qed.

(* ---- The calls ---- *)

Section call.
  Context (rec : Z) (s : state) (S : sound rec s) (C : current rec s).
  Notation rd := (realm_of rec s).

  Lemma sound_version : sound rec (version_told rec s).
  Proof using S. unfold version_told. apply sound_answered; [apply u64_if; by vm_compute|by vm_compute..|exact S]. Qed.

  Lemma sound_measurement_read : sound rec (measurement_read rec s).
  Proof using S.
    unfold measurement_read. destruct (_ <? _); [|by apply sound_answered; [vm_compute| | |]; try exact u64_0].
    unfold measurement_told. apply sound_each; [|apply sound_answered; try exact u64_0; exact S].
    intros i s' Hi S'. apply sound_gpr_set; [lia|unfold rd_get; by eapply so_word|exact S'].
  Qed.

  Lemma sound_measurement_extended : sound rec (measurement_extended rec s).
  Proof using S C.
    unfold measurement_extended. destruct (_ && _) eqn:E; [|by apply sound_answered; [vm_compute| | |]; try exact u64_0].
    apply andb_true_iff in E as [[E1%Z.ltb_lt E2%Z.ltb_lt]%andb_true_iff _]. unfold MEAS_SLOTS in E2.
    apply sound_answered; try exact u64_0. pose proof (extended_scratch rd rec (gpr rec 1 s) (gpr rec 2 s) s) as Sc.
    destruct (scratch_kept _ _ _ Sc) as (Eg & _).
    constructor; [|unfold has_state; rewrite Eg; exact (so_rec _ _ S)].
    apply (l_inv rd), lively_extended; [lia|]. constructor; [apply S|exact (c_realm _ _ C)].
  Qed.

  Lemma sound_config : sound rec (snd (config_asked rec s)).
  Proof using S C.
    unfold config_asked. cbv zeta. destruct (_ && in_par _ _ _) eqn:E; [|by apply sound_refused].
    apply andb_true_iff in E as [_ E]. apply sound_with_page; [exact S|exact C|u64_now|exact E|].
    intros pa Ho. cbn [snd]. apply sound_answered; try exact u64_0. unfold config_written.
    assert (G : forall s', gran s' = gran s -> own_data s' rd pa = true) by (intros s' Eg; unfold own_data; by rewrite Eg).
    assert (H : forall n f s', (forall i, u64 (f i)) -> gran s' = gran s -> sound rec s' ->
      gran (each_below n (fun i => put_word pa (64 + i) (f i)) s') = gran s /\
      sound rec (each_below n (fun i => put_word pa (64 + i) (f i)) s')).
    { induction n as [|n IH]; intros f s' Hf Eg S'; [by split|]. rewrite each_below_S. destruct (IH f s' Hf Eg S') as [Eg1 S1].
      split; [exact Eg1|]. apply (sound_data_word rec pa _ _ _ rd); [by apply G|apply Hf|exact S1]. }
    assert (U : forall p i, u64 (word (mem s) p i)) by exact (i_words _ (so_inv _ _ S)).
    apply H; [intros; apply U|done|]. apply (sound_data_word rec pa _ _ _ rd); [by apply G|apply U|].
    apply (sound_data_word rec pa _ _ _ rd); [exact Ho|apply U|exact S].
  Qed.

  Lemma sound_ripas_asked : sound rec (snd (ripas_asked rec s)).
  Proof using S.
    unfold ripas_asked. destruct (ripas_askable rec s) eqn:E; [|cbn [snd]; apply sound_answered; [by vm_compute|exact u64_0..|exact S]].
    assert (U : forall n, u64 (gpr rec n s)) by (intros; u64_now). pose proof (U 1) as U1. pose proof (U 2) as U2. pose proof (U 3) as U3.
    cbn [snd]. unfold ripas_told, EXIT_RIPAS_CHANGE. apply sound_counted. do 3 (apply sound_run_out; [apply U|]).
    apply sound_run_out; [u64_now|]. apply sound_skipped. unfold ripas_noted, rec_set, rec_word. cbn [rec_off]. rewrite !Z.add_0_r.
    change (gpr rec 4 (put_word rec 18 1 s)) with (gpr rec 4 s).
    rewrite (put_first rec 18), !put_put. set (d := if _ =? _ then 1 else 0).
    assert (Ud : u64 d) by (apply u64_if; by vm_compute). pose proof (rec_page rec s S) as P. destruct (P) as [Pl _].
    destruct (sound_waits rec s S) as (W1 & W2 & W3).
    unfold ripas_askable, in_par, is_aligned in E.
    apply andb_true_iff in E as [[[E3%Z.leb_le Ea%Z.eqb_eq]%andb_true_iff Eb%Z.ltb_lt]%andb_true_iff Ep%Z.ltb_lt].
    change (rd_get RD_ipa_size rd 0 s / 2) with (half_of s rd) in Ep.
    rewrite wrap_small in Ep by (unfold u64 in *; lia).
    apply sound_page; [exact S|do 5 (apply RunFacts.set_nth_words; [|assumption || by vm_compute]); exact P|..].
    - intros i Hi. reads. reflexivity.
    - unfold asks. reads. intros _. rewrite <- (land_low 12 _ 4095), Z.land_lor_distr_l in Ea by (reflexivity || lia).
      apply Z.lor_eq_0_iff in Ea as [Ea1 Ea2]. rewrite (land_low 12 _ 4095) in Ea1 by (reflexivity || lia).
      rewrite (land_low 12 _ 4095) in Ea2 by (reflexivity || lia).
      change (2 ^ 12) with 4096 in *. unfold RIPAS_RAM, u64 in *. lia.
    - unfold calls in *. reads. exact W2.
    - unfold fetches in *. reads. rewrite !slice_other by (unfold TOKEN_WORDS; lia). exact W3.
  Qed.

  Lemma u64_ripas d : u64 d -> u64 (ripas d).
  Proof using. intros. unfold ripas, RIPAS_RAM. u64_now. Qed.
  Lemma sound_ripas_read : sound rec (ripas_read rec s).
  Proof using S.
    unfold ripas_read. cbv zeta. pose proof (so_rec_get rec s REC_gpr rec 1 S) as U1. pose proof (so_rec_get rec s REC_gpr rec 2 S) as U2.
    destruct (_ && _); [|apply sound_answered; [by vm_compute|exact u64_0..|exact S]].
    apply sound_answered; [exact u64_0| | |exact S].
    - unfold ripas_end. fold (gpr rec 1 s) in U1. fold (gpr rec 2 s) in U2.
      match goal with |- context [same_ripas ?n ?a ?b ?c ?d ?e] => pose proof (same_ripas_le n a b c d e) end.
      match goal with |- context [floor_of ?a ?b] => pose proof (floor_range a b) end.
      match goal with |- context [size_of ?a] => destruct (size_pos a) end. unfold u64 in *. nia.
    - apply u64_ripas, walk_desc. exact (i_words _ (so_inv _ _ S)).
  Qed.

  (* ---- A host call ---- *)

  Lemma told_mem pa offset : mem (host_call_told pa offset s) = mem s.
  Proof using.
    assert (C0 : forall i n s', mem (counted i n s') = mem s') by reflexivity.
    assert (O0 : forall f i v s', mem (run_out f i v s') = mem s') by reflexivity.
    assert (E0 : forall n f s', mem (each_below n (fun i => run_out OUT_gpr i (f i)) s') = mem s').
    { induction n as [|n IH]; intros f s'; [reflexivity|]. by rewrite each_below_S, O0. }
    unfold host_call_told. cbv beta zeta. by rewrite C0, E0, !O0.
  Qed.
  Lemma sound_told pa offset : sound rec (host_call_told pa offset s).
  Proof using S.
    unfold host_call_told, EXIT_HOST_CALL. cbv zeta. apply sound_counted.
    assert (U : forall p i, u64 (word (mem s) p i)) by (apply (i_words _ (so_inv _ _ S))).
    apply sound_each; [intros; by apply sound_run_out|].
    apply sound_run_out; [apply u64_land, U|]. apply sound_run_out; [u64_now|exact S].
  Qed.
  Lemma sound_host_called : sound rec (snd (host_called rec s)).
  Proof using S C.
    unfold host_called. cbv zeta. destruct (_ && in_par _ _ _) eqn:E; [|by apply sound_refused].
    apply andb_true_iff in E as [Ea%Z.eqb_eq E]. pose proof (so_rec_get rec s REC_gpr rec 1 S) as U. fold (gpr rec 1 s) in U.
    apply sound_with_page; [exact S|exact C|exact U|exact E|]. intros pa _. cbn [snd]. apply sound_skipped.
    unfold in_par in E. apply Z.ltb_lt in E. change (rd_get RD_ipa_size rd 0 s / 2) with (half_of s rd) in E.
    pose proof (told_mem pa (Z.land (gpr rec 1 s) 4095)) as M. pose proof (sound_told pa (Z.land (gpr rec 1 s) 4095)) as S1.
    rewrite (land_low 8) in Ea by (reflexivity || lia). change (2 ^ 8) with 256 in Ea.
    generalize dependent (gpr rec 1 s). intros ipa E Ea U M S1. generalize dependent (host_call_told pa (Z.land ipa 4095) s).
    intros s1 M S1. unfold rec_set, rec_word. cbn [rec_off]. rewrite !Z.add_0_r, (put_first rec 16), put_put.
    destruct (sound_waits rec s1 S1) as (W1 & W2 & W3). pose proof (rec_page rec s1 S1) as P. destruct (P) as [Pl _].
    assert (Eh : half_of s1 (realm_of rec s1) = half_of s rd) by (unfold half_of, rd_of, rd_get, realm_of, rec_get; by rewrite M).
    apply sound_page; [exact S1|do 2 (apply RunFacts.set_nth_words; [|assumption || by vm_compute]); exact P|..].
    - intros i Hi. reads. reflexivity.
    - unfold asks in *. reads. exact W1.
    - unfold calls. reads. rewrite Eh. done.
    - unfold fetches in *. reads. rewrite !slice_other by (unfold TOKEN_WORDS; lia). exact W3.
  Qed.

  (* ---- Tokens ---- *)

  Lemma sound_token_begun : sound rec (token_begun rec s).
  Proof using S.
    unfold token_begun, TOKEN_MAX, TOKEN_CLAIMED. apply sound_answered; [exact u64_0|by vm_compute|exact u64_0|].
    destruct (h_claims _ (i_hw _ (so_inv _ _ S)) (challenge_of rec s) (told rd s)) as [Hn Hu]. unfold TOKEN_WORDS in Hn.
    unfold with_token, rec_set, rec_word. cbn [rec_off]. rewrite !Z.add_0_r, !put_put.
    generalize dependent (token_claims (hw s) (challenge_of rec s) (told rd s)). intros new Hn Hu.
    destruct (sound_waits rec s S) as (W1 & W2 & _). destruct (rec_page rec s S) as [Pl Pu].
    assert (Q : is_page (splice 102 new (page (mem s) rec))) by (apply splice_length; rewrite ?Hn; done).
    assert (W : forall i, 0 <= i < 102 -> nth_word (splice 102 new (page (mem s) rec)) i = nth_word (page (mem s) rec) i)
      by (intros; apply nth_splice; rewrite ?Hn; try done; lia).
    apply sound_page; [exact S|do 2 (apply RunFacts.set_nth_words; [|by vm_compute]); split; [exact Q|by apply splice_u64]|..].
    - intros i Hi. reads. apply W. lia.
    - unfold asks in *. reads. rewrite !W by lia. exact W1.
    - unfold calls in *. reads. rewrite !W by lia. exact W2.
    - unfold fetches. reads. lia.
  Qed.

  Lemma sound_finished_token : sound rec (snd (token_finished rec s)) /\ u64 (fst (token_finished rec s)) /\
    (fst (token_finished rec s) = RSI_SUCCESS -> rec_get REC_token_state rec 0 (snd (token_finished rec s)) <> 1).
  Proof using S C.
    pose proof (finished_facts rec s (so_inv _ _ S) C) as F. unfold token_finished in *.
    destruct (Z.eqb_spec (rec_get REC_token_state rec 0 s) TOKEN_NONE) as [E0|N0]; [split_and!; [exact S|by vm_compute|done]|].
    destruct (Z.eqb_spec (rec_get REC_token_state rec 0 s) TOKEN_CLAIMED) as [E1|N1]; [|split_and!; [exact S|by vm_compute|done]].
    destruct (token_signed (hw s) (token_of rec s)) as [new|] eqn:E; cbn [fst snd] in *.
    - destruct (F eq_refl) as (I1 & C1 & _). split_and!; [constructor; [exact I1|exact (c_rec _ _ C1)]|by vm_compute|].
      intros _. destruct (h_signed _ (i_hw _ (so_inv _ _ S)) _ _ E) as [Hn _]. destruct (rec_page rec s S) as [Pl _].
      rewrite signed_is. unfold rec_get, rec_word. rewrite Z.add_0_r, word_put. by rewrite signed_state.
    - split_and!; [|by vm_compute|done]. unfold rec_set, rec_word, TOKEN_NONE. cbn [rec_off]. rewrite !Z.add_0_r, put_first.
      destruct (sound_waits rec s S) as (W1 & W2 & _). pose proof (rec_page rec s S) as P. destruct (P) as [Pl _].
      apply sound_page; [exact S|apply RunFacts.set_nth_words; [exact P|exact u64_0]|..].
      + intros i Hi. reads. reflexivity.
      + unfold asks in *. reads. exact W1.
      + unfold calls in *. reads. exact W2.
      + unfold fetches. reads. lia.
  Qed.
End call.

Lemma sound_token_counted rec n s : sound rec s -> 0 <= n -> rec_get REC_token_state rec 0 s <> 1 ->
  rec_get REC_token_done rec 0 s + n <= token_total rec s -> sound rec (token_counted rec n s).
Proof.
  intros S Hn Hs Hd. pose proof (h_token _ (i_hw _ (so_inv _ _ S)) (token_of rec s)) as Ht. fold (token_total rec s) in Ht.
  pose proof (so_rec_get rec s REC_token_done rec 0 S) as Ud. unfold token_counted, RSI_INCOMPLETE, RSI_SUCCESS. cbv zeta.
  assert (Un : u64 n) by (unfold u64 in *; lia).
  unfold rec_set, rec_word. cbn [rec_off]. rewrite !Z.add_0_r, (put_first rec 101), put_put. unfold TOKEN_NONE.
  destruct (sound_waits rec s S) as (W1 & W2 & W3 & W4). pose proof (rec_page rec s S) as P. destruct (P) as [Pl _].
  assert (Hs' : nth_word (page (mem s) rec) 100 <> 1) by exact Hs. clear Hs.
  assert (Et : token_total rec s = token_size (hw s) (slice 102 TOKEN_WORDS (page (mem s) rec))) by reflexivity.
  set (done := rec_get REC_token_done rec 0 s + n) in *. assert (Udone : u64 done) by (unfold u64 in *; lia).
  destruct (done =? _); (apply sound_answered; [by vm_compute|exact Un|exact u64_0|]).
  - apply sound_page; [exact S|do 2 (apply RunFacts.set_nth_words; [|assumption || exact u64_0]); exact P|..].
    + intros i Hi. reads. reflexivity.
    + unfold asks in *. reads. exact W1.
    + unfold calls in *. reads. exact W2.
    + unfold fetches. reads. lia.
  - apply sound_page; [exact S|apply RunFacts.set_nth_words; [exact P|exact Udone]|..].
    + intros i Hi. reads. reflexivity.
    + unfold asks in *. reads. exact W1.
    + unfold calls in *. reads. exact W2.
    + unfold fetches. reads. rewrite slice_other by (unfold TOKEN_WORDS; lia). split; [done|]. intros H. destruct (W4 H) as [W5 _].
      rewrite <- Et. done.
Qed.

Lemma sound_continued rec s : sound rec s -> current rec s -> sound rec (snd (token_continued rec s)).
Proof.
  intros S C. unfold token_continued. destruct (token_buffer rec s) eqn:E; [|by apply sound_refused].
  apply andb_true_iff in E as [_ E]. destruct (sound_finished_token rec s S C) as (S1 & U & N).
  pose proof (finished_facts rec s (so_inv _ _ S) C) as F. pose proof (so_rec_get rec s REC_gpr rec 1 S) as U1. fold (gpr rec 1 s) in U1.
  destruct (token_finished rec s) as [status s1]. cbn [fst snd] in *.
  destruct (Z.eqb_spec status RSI_SUCCESS) as [->|]; [|by apply sound_answered; try exact u64_0].
  destruct (F eq_refl) as (I1 & C1 & Er & Eg & Bd & Ep). specialize (N eq_refl). rewrite <- Ep, <- Er in E.
  apply sound_with_page; [exact S1|exact C1|exact U1|exact E|]. intros pa Ho.
  pose proof (so_rec_get rec s1 REC_gpr rec 3 S1) as U3. fold (gpr rec 3 s1) in U3.
  destruct (piece_facts rec pa s1) as (P1 & P2 & _); [exact (proj1 U3)|exact Bd|]. unfold token_piece in *. cbn [fst snd] in *.
  set (n := Z.min _ _) in *. pose proof (own_apart _ _ _ _ Ho (c_rec _ _ C1)) as Na.
  assert (W : forall l i, word (mem (put_page pa l s1)) rec i = word (mem s1) rec i).
  { intros l i. unfold word. change (mem (put_page pa l s1)) with (<[pa := l]> (mem s1)). by rewrite page_insert_other. }
  apply sound_token_counted; [|exact P1|unfold rec_get in *; by rewrite W|].
  - apply (sound_data rec pa _ s1 (realm_of rec s1) Ho); [apply bytes_words|exact S1].
  - unfold rec_get. rewrite W. unfold token_total, token_of.
    change (mem (put_page pa ?l s1)) with (<[pa := l]> (mem s1)). rewrite page_insert_other by done. exact P2.
Qed.

Theorem rsi_called_sound rec fid s : sound rec s -> current rec s -> sound rec (snd (rsi_called rec fid s)).
Proof.
  intros S C. unfold rsi_called. destruct (fid =? _); [by apply sound_version|].
  destruct (fid =? _); [apply sound_answered; try exact u64_0; exact S|]. destruct (fid =? _); [by apply sound_measurement_read|].
  destruct (fid =? _); [by apply sound_measurement_extended|]. destruct (fid =? _); [by apply sound_config|].
  destruct (fid =? _); [by apply sound_ripas_asked|]. destruct (fid =? _); [by apply sound_ripas_read|].
  destruct (fid =? _); [by apply sound_host_called|]. destruct (fid =? _); [by apply sound_token_begun|].
  destruct (fid =? _); [by apply sound_continued|]. apply sound_answered; [by vm_compute|exact u64_0..|exact S].
Qed.
