(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: RMI_REC_ENTER keeps the invariant. *)
From kcore Require Export refine.RsiInv.
From kcore Require Import refine.EnterRecRefine.
From kcore Require Import refine.RecEnterRefine.
From kcore Require Import refine.RttRefine.
From kcore Require Import refine.RecObjectInv.
From kcore Require Import refine.Pins.
From kcore Require Import refine.RecSteps.
Local Open Scope Z_scope.

(* ---- What an entry leaves of the rest: tables, and who runs where ---- *)

Record quiet (rec : Z) (s s' : state) : Prop := Quiet {
  q_gran : gran s' = gran s;
  q_places : places s' = places s;
  q_page : forall p, p <> rec -> has_state GS_DATA p s = false -> page (mem s') p = page (mem s) p;
  q_running : rec_of s' REC_running rec = rec_of s REC_running rec;
  q_run_page : rec_of s' REC_run_page rec = rec_of s REC_run_page rec;
}.
Lemma quiet_refl rec s : quiet rec s s.
Proof. by constructor. Qed.
Lemma quiet_same rec s0 s s' : gran s' = gran s -> places s' = places s -> mem s' = mem s -> quiet rec s0 s -> quiet rec s0 s'.
Proof. intros Eg Ep Em [G P H R1 R2]. unfold rec_of, rec_get in *. constructor; unfold rec_of, rec_get; rewrite ?Eg, ?Ep, ?Em; done. Qed.
Lemma quiet_word rec i v s0 s : 0 <= i -> i <> rec_off REC_running -> i <> rec_off REC_run_page ->
  quiet rec s0 s -> quiet rec s0 (put_word rec i v s).
Proof.
  intros Hi N1 N2 [G P H R1 R2]. constructor; [exact G|exact P|..].
  - intros p N Hd. rewrite <- H by done. by apply page_set_page.
  - rewrite <- R1. by apply word_set_slot.
  - rewrite <- R2. by apply word_set_slot.
Qed.
Lemma quiet_rec_set f rec i v s0 s : f <> REC_running -> 0 <= rec_word f i -> rec_word f i <> rec_off REC_running ->
  rec_word f i <> rec_off REC_run_page -> quiet rec s0 s -> quiet rec s0 (rec_set f rec i v s).
Proof. intros Hf Hi N1 N2 Q. rewrite rec_set_word by done. by apply quiet_word. Qed.
Lemma quiet_gpr rec n v s0 s : 0 <= n -> quiet rec s0 s -> quiet rec s0 (gpr_set rec n v s).
Proof. intros Hn. apply quiet_rec_set; [done|..]; unfold rec_word; cbn [rec_off]; lia. Qed.
Lemma quiet_el1 rec i v s0 s : 0 <= i -> quiet rec s0 s -> quiet rec s0 (el1_set rec i v s).
Proof.
  intros Hi Q. unfold el1_set. destruct (loaded s =? rec); [by apply (quiet_same rec s0 s)|].
  apply quiet_rec_set; [done|..|exact Q]; unfold rec_word; cbn [rec_off]; lia.
Qed.
Lemma quiet_if rec (c : bool) s0 s1 s2 : quiet rec s0 s1 -> quiet rec s0 s2 -> quiet rec s0 (if c then s1 else s2).
Proof. by destruct c. Qed.
Lemma quiet_data rec pa i v s0 s : pa <> rec -> has_state GS_DATA pa s0 = true -> quiet rec s0 s -> quiet rec s0 (put_word pa i v s).
Proof.
  intros N Hd [G P H R1 R2]. constructor; [exact G|exact P|..].
  - intros p N' Hd'. rewrite <- H by done. apply page_set_page. congruence.
  - rewrite <- R1. by apply word_set_page.
  - rewrite <- R2. by apply word_set_page.
Qed.
Lemma quiet_run_out rec f i v s0 s : quiet rec s0 s -> quiet rec s0 (run_out f i v s).
Proof. by apply quiet_same. Qed.
Lemma quiet_counted rec i n s0 s : quiet rec s0 s -> quiet rec s0 (counted i n s).
Proof. by apply quiet_same. Qed.
Lemma quiet_tick rec s0 s : quiet rec s0 s -> quiet rec s0 (tick s).
Proof. by apply quiet_same. Qed.
Ltac quiet_now :=
  match goal with
  | H : quiet ?r ?s0 ?s |- quiet ?r ?s0 ?s' => constr_eq s s'; exact H
  | |- quiet _ _ (rec_set _ _ _ _ _) => apply quiet_rec_set; [discriminate|by vm_compute|by vm_compute|by vm_compute|]; quiet_now
  | |- quiet _ _ (gpr_set _ _ _ _) => apply quiet_gpr; [lia|]; quiet_now
  | |- quiet _ _ (el1_set _ _ _ _) => apply quiet_el1; [by vm_compute|]; quiet_now
  | |- quiet _ _ (if _ then _ else _) => apply quiet_if; quiet_now
  | |- quiet _ _ (run_out _ _ _ _) => apply quiet_run_out; quiet_now
  | |- quiet _ _ (counted _ _ _) => apply quiet_counted; quiet_now
  | |- quiet _ _ (tick _) => apply quiet_tick; quiet_now
  end.
Lemma quiet_fold rec (f : state -> Z -> state) l s0 s : (forall i s, In i l -> quiet rec s0 s -> quiet rec s0 (f s i)) ->
  quiet rec s0 s -> quiet rec s0 (fold_left f l s).
Proof.
  revert s. induction l as [|i l IH]; intros s Hf Q; [exact Q|]. cbn [fold_left].
  apply IH; [intros; apply Hf; [by right|done]|]. apply Hf; [by left|exact Q].
Qed.

Lemma quiet_injected rec esr pc s0 s : quiet rec s0 s -> quiet rec s0 (injected rec esr pc s).
Proof. intros Q. unfold injected, ESR_EL1, SPSR_EL1, ELR_EL1. cbv zeta. quiet_now. Qed.
Lemma quiet_reg rec n v s0 s : 0 <= n -> quiet rec s0 s -> quiet rec s0 (reg_set rec n v s).
Proof. intros Hn Q. unfold reg_set. apply quiet_if; [by apply quiet_gpr|exact Q]. Qed.
Lemma quiet_regs rec a b c d s0 s : quiet rec s0 s -> quiet rec s0 (regs_set rec a b c d s).
Proof. intros Q. unfold regs_set. quiet_now. Qed.
Lemma quiet_gic rec s0 s : quiet rec s0 s -> quiet rec s0 (gic_entered rec s).
Proof.
  intros Q. unfold gic_entered. apply quiet_fold; [|quiet_now]. intros i s1 Hi%below_In Q1. unfold lr_given.
  apply quiet_if; [|exact Q1]. apply quiet_rec_set; [done|..|exact Q1]; unfold rec_word; cbn [rec_off]; lia.
Qed.
Lemma quiet_finished rec s0 s : quiet rec s0 s -> quiet rec s0 (exit_finished rec s).
Proof.
  intros Q. unfold exit_finished. cbv zeta. set (a := if wants INJECT_SEA s then _ else _).
  assert (Qa : quiet rec s0 a).
  { subst a. apply quiet_if; [|apply quiet_if; [|exact Q]].
    - unfold sea_injected. apply quiet_injected, quiet_el1; [by vm_compute|exact Q].
    - unfold mmio_done, skipped. cbv zeta. set (b := if has WNR _ then _ else _).
      assert (Qb : quiet rec s0 b); [|quiet_now]. subst b. apply quiet_if; [exact Q|]. apply quiet_reg; [|exact Q].
      pose proof (rt_range (Z.shiftr (last_esr rec s) 16)). unfold access_rt. lia. }
  assert (Qr : quiet rec s0 (ripas_completed rec (wants RIPAS_REJECT s) a)); [|quiet_now].
  unfold ripas_completed. apply quiet_if; [exact Qa|].
  set (r := regs_set _ _ _ _ _ _). assert (Qr : quiet rec s0 r) by (by apply quiet_regs). quiet_now.
Qed.
Lemma quiet_shown rec s0 s : quiet rec s0 s -> quiet rec s0 (gic_shown rec s).
Proof. intros Q. unfold gic_shown. apply quiet_fold; [|quiet_now]. intros i s1 _ Q1. unfold lr_shown. quiet_now. Qed.
Lemma quiet_timers rec s0 s : quiet rec s0 s -> quiet rec s0 (timers_told rec s).
Proof. intros Q. unfold timers_told. cbv zeta. generalize (cntv_ctl rec s), (cntp_ctl rec (tick s)). intros v p. quiet_now. Qed.

(* ---- The host call is completed ---- *)

Lemma sound_call_ended rec status s : u64 status -> sound rec s -> sound rec (host_call_ended rec status s).
Proof.
  intros U S. unfold host_call_ended. set (s1 := regs_set _ _ _ _ _ _).
  assert (S1 : sound rec s1) by (apply sound_regs_set; [exact U|exact u64_0..|exact S]). clearbody s1.
  unfold rec_set, rec_word. cbn [rec_off]. rewrite !Z.add_0_r, (put_first rec 16), put_put.
  destruct (sound_waits rec s1 S1) as (W1 & W2 & W3). pose proof (rec_page rec s1 S1) as P. destruct (P) as [Pl _].
  apply sound_page; [exact S1|do 2 (apply RunFacts.set_nth_words; [|exact u64_0]); exact P|..].
  - intros i Hi. reads. reflexivity.
  - unfold asks in *. reads. exact W1.
  - unfold calls. reads. done.
  - unfold fetches in *. reads. rewrite !slice_other by (unfold TOKEN_WORDS; lia). exact W3.
Qed.
Lemma quiet_ended rec status s0 s : quiet rec s0 s -> quiet rec s0 (host_call_ended rec status s).
Proof. intros Q. unfold host_call_ended. set (s1 := regs_set _ _ _ _ _ _). assert (quiet rec s0 s1) by (by apply quiet_regs). quiet_now. Qed.
Lemma taken_facts rec rd pa offset s : own_data s rd pa = true -> sound rec s ->
  sound rec (host_call_taken pa offset s) /\ quiet rec s (host_call_taken pa offset s).
Proof.
  intros Ho S. unfold host_call_taken.
  assert (Hd : has_state GS_DATA pa s = true /\ pa <> rec).
  { pose proof (so_rec _ _ S) as R. unfold own_data, has_state in *. split; [|intros ->].
    - destruct (gran s !! pa); [|done]. by apply andb_true_iff in Ho as [? _].
    - destruct (gran s !! rec); [|done]. unfold GS_DATA, GS_REC in *. lia. }
  destruct Hd as [Hd N]. generalize 31%nat. induction n as [|n [S1 Q]]; [split; [exact S|apply quiet_refl]|].
  rewrite each_below_S. split; [|by apply quiet_data].
  apply (sound_data_word rec pa _ _ _ rd); [unfold own_data in *; by rewrite (q_gran _ _ _ Q)| |exact S1].
  eapply so_in, S.
Qed.
Lemma quiet_trans rec s s' s'' : quiet rec s s' -> quiet rec s' s'' -> quiet rec s s''.
Proof.
  intros [G1 P1 H1 R1 O1] [G2 P2 H2 R2 O2]. constructor; try congruence.
  intros p N Hd. rewrite H2; [by apply H1|done|]. unfold has_state in *. by rewrite G1.
Qed.

Lemma completed_facts rec rd s : open_realm rd s -> has_state GS_REC rec s = true -> call_bounded rec rd s ->
  sound rec (snd (host_call_completed rec rd s)) /\ quiet rec s (snd (host_call_completed rec rd s)).
Proof.
  intros O R Hc. pose proof O as [I Hr _]. assert (S : sound rec s) by (by constructor).
  unfold host_call_completed. destruct (Z.eqb_spec (rec_get REC_host_call rec 0 s) 0) as [_|Hn]; [split; [exact S|apply quiet_refl]|].
  destruct (Hc Hn) as [_ B]. pose proof (fun pa level => translate_own rd _ s pa level O B) as W.
  assert (L : u64 (snd (translate rd (rec_get REC_host_call_ipa rec 0 s) s))).
  { destruct (walk_at s rd _ 3 I Hr B) as [_ Hl]. destruct (i_realm _ I _ Hr) as [_ _ (Hv & _) _ _ _ _ _ _ _].
    unfold translate. cbv zeta. destruct (_ =? RIPAS_EMPTY); [|destruct (_ && _)]; cbn [snd]; unfold u64; lia. }
  pose proof (so_rec_get rec s REC_host_call_ipa rec 0 S) as U.
  destruct (translate rd (rec_get REC_host_call_ipa rec 0 s) s) as [[result pa] level]. cbn [snd] in L.
  destruct (Z.eqb_spec result IPA_OK) as [->|_]; [|destruct (result =? IPA_EMPTY)]; cbn [snd].
  - destruct (W pa level eq_refl) as [Wo _].
    destruct (taken_facts rec rd pa (Z.land (rec_get REC_host_call_ipa rec 0 s) 0xFFF) s Wo S) as [S1 Q1].
    split; [by apply sound_call_ended; [exact u64_0|]|by apply quiet_ended].
  - split; [by apply sound_call_ended; [by vm_compute|]|apply quiet_ended, quiet_refl].
  - split; [by apply sound_faulted|]. by apply (quiet_same rec s s); [..|apply quiet_refl].
Qed.

Lemma made_ready_facts rec rd s : open_realm rd s -> has_state GS_REC rec s = true -> call_bounded rec rd (answered_to rec s) ->
  sound rec (snd (made_ready rec rd s)) /\ quiet rec s (snd (made_ready rec rd s)).
Proof.
  intros O R B. unfold made_ready. fold (answered_to rec s).
  pose proof (answered_open _ _ _ O R) as O1.
  assert (Q1 : quiet rec s (answered_to rec s)) by (apply quiet_finished, quiet_gic; by apply (quiet_same rec s s); [..|apply quiet_refl]).
  assert (R1 : has_state GS_REC rec (answered_to rec s) = true) by (unfold has_state in *; by rewrite (q_gran _ _ _ Q1)).
  revert O1 R1 Q1 B. generalize (answered_to rec s). intros s1 O1 R1 Q1 B.
  destruct (completed_facts rec rd s1 O1 R1 B) as [S2 Q2]. pose proof (quiet_trans _ _ _ _ Q1 Q2) as Q. clear Q1 Q2 O1 R1 B O R.
  destruct (host_call_completed rec rd s1) as [ready s2]. cbn [snd] in S2, Q.
  assert (S3 : sound rec (tick (tick s2))) by (by apply sound_tick, sound_tick).
  assert (Q3 : quiet rec s (tick (tick s2))) by quiet_now.
  destruct (ready && negb (lines_changed rec s2)); cbn [snd]; [by split|]. revert S3 Q3. generalize (tick (tick s2)). intros s3 S3 Q3.
  set (s4 := if ready then _ else _). assert (S4 : sound rec s4) by (apply sound_if; [apply sound_run_out; [by vm_compute|]|]; exact S3).
  assert (Q4 : quiet rec s s4) by (apply quiet_if; quiet_now). clearbody s4.
  split; [by apply sound_timers, sound_gic_shown|by apply quiet_timers, quiet_shown].
Qed.

(* ---- Pins ---- *)

(* A page of the host's with a pin that is no leaf's and no REC's. *)
Definition spare (pa : Z) (s : state) : Prop :=
  exists y, gran s !! pa = Some y /\ g_state y = GS_NS /\ uses s pa + runs_on s pa < g_refs y.
Lemma spare_unpinned pa s : inv s -> spare pa s -> inv (page_unpinned pa s).
Proof. intros I (y & Hy & Hs & Hu). by apply (inv_unpinned pa s y). Qed.
Lemma spare_same pa s s' : gran s' = gran s -> places s' = places s -> mem s' = mem s -> spare pa s -> spare pa s'.
Proof.
  intros Eg Ep Em (y & Hy & Hs & Hu). exists y. rewrite Eg. split; [done|]. split; [done|].
  unfold uses, runs_on, run_page_of, rec_of, rec_get in *. by rewrite Eg, Ep, Em.
Qed.
Lemma spare_quiet rec pa s s' : inv s -> has_state GS_REC rec s = true -> quiet rec s s' -> spare pa s -> spare pa s'.
Proof.
  intros I R Q (y & Hy & Hs & Hu). exists y. rewrite (q_gran _ _ _ Q). split; [done|]. split; [done|].
  assert (P : forall st p, has_state st p s = true -> st <> GS_DATA -> p <> rec -> page (mem s') p = page (mem s) p).
  { intros st p (z & Hz & E)%has_state_inv N1 N2. apply (q_page _ _ _ Q); [done|]. unfold has_state. rewrite Hz. apply Z.eqb_neq. congruence. }
  assert (Eu : uses s' pa = uses s pa).
  { unfold uses. rewrite (q_places _ _ _ Q). apply sum_ext. intros t p Hp. destruct (place_granule _ _ _ I Hp) as (_ & _ & Ht).
    rewrite (P GS_RTT); [done|done|done|]. by apply (kinds_differ s t rec GS_RTT GS_REC). }
  rewrite Eu, (same_runs s s'); [done|apply (q_gran _ _ _ Q)|]. intros r g Hg Hgs. destruct (decide (r = rec)) as [->|N].
  - split; [apply (q_running _ _ _ Q)|apply (q_run_page _ _ _ Q)].
  - unfold rec_of, rec_get, word. by rewrite (P GS_REC) by (done || by eapply has_state_intro).
Qed.
Lemma spare_pinned pa s : inv s -> pinnable pa s = true -> spare pa (page_pinned pa s).
Proof.
  intros I (x & Hx & Hs)%pinnable_some.
  pose proof (i_pins _ I pa) as U. unfold is_ns, granule_at in U. rewrite Hx in U. cbn [default from_option id] in U.
  specialize (U (proj2 (Z.eqb_eq _ _) Hs)). exists (Gran (g_state x) (g_owner x) (g_refs x + 1)).
  assert (G : gran (page_pinned pa s) = <[pa := Gran (g_state x) (g_owner x) (g_refs x + 1)]> (gran s)).
  { unfold page_pinned, with_refs, set_granule, granule_at. cbn [gran with_gran]. by rewrite Hx. }
  rewrite G, lookup_insert. split; [done|]. split; [done|]. cbn [g_refs].
  assert (Er : runs_on (page_pinned pa s) pa = runs_on s pa).
  { unfold runs_on. rewrite G, (sum_insert _ _ _ _ _ Hx). unfold run_page_of. cbn [g_state]. rewrite Hs. cbn [b2z Z.eqb andb].
    change (rec_of (page_pinned pa s)) with (rec_of s). change (GS_NS =? GS_REC) with false. cbn [andb b2z]. lia. }
  rewrite Er. change (uses (page_pinned pa s) pa) with (uses s pa). lia.
Qed.
Lemma spare_written pa l s : inv s -> spare pa s -> spare pa (put_page pa l s).
Proof.
  intros I (y & Hy & Hs & Hu). exists y. split; [exact Hy|]. split; [exact Hs|].
  assert (P : forall st p, has_state st p s = true -> st <> GS_NS -> page (mem (put_page pa l s)) p = page (mem s) p).
  { intros st p H N. apply page_insert_other. apply (kinds_differ s pa p GS_NS st); [by eapply has_state_intro|done|congruence]. }
  assert (Eu : uses (put_page pa l s) pa = uses s pa).
  { unfold uses. apply sum_ext. intros t p Hp. destruct (place_granule _ _ _ I Hp) as (_ & _ & Ht). by rewrite (P GS_RTT). }
  rewrite Eu, (same_runs s (put_page pa l s)); [done|done|]. intros r g Hg Hgs.
  unfold rec_of, rec_get, word. by rewrite (P GS_REC) by (done || by eapply has_state_intro).
Qed.

(* ---- A REC runs ---- *)

Lemma inv_begun rec rd run_page s : inv s -> has_state GS_REC rec s = true -> runs s = 0 -> loaded s = 0 ->
  rec_of s REC_running rec = 0 -> spare run_page s -> inv (on_cpu rec (unlocked rd (run_begun rec run_page s))).
Proof.
  intros I R Hru Hlo Hrun (y & Hy & Hns & Hsp). destruct (has_state_inv _ _ _ R) as (x & Hx & Hs). pose proof (i_rec _ I _ _ Hx Hs) as C.
  destruct (i_gran _ I _ _ Hx) as (Prec & _). destruct (i_gran _ I _ _ Hy) as (Ppage & _).
  pose proof (page_is_words s rec I) as P0. set (l := set_nth (set_nth (page (mem s) rec) 2 1) 4 run_page).
  assert (P : page_words l) by (apply RunFacts.set_nth_words; [apply RunFacts.set_nth_words; [done|by vm_compute]|unfold u64; lia]).
  set (lv := slice (rec_off REC_el1) EL1_WORDS l ++ slice (rec_off REC_ich_hcr) GIC_FP_WORDS l).
  set (c := {[nth_word l (rec_off REC_rd)]} ∪ cached s).
  set (s2 := with_cached c (with_loaded rec lv (with_runs rec (put_page rec l s)))).
  assert (E1 : run_begun rec run_page s = with_runs rec (put_page rec l s)).
  { unfold run_begun, rec_set, rec_word, put_word, set_word. cbn [rec_off]. subst l. rewrite !Z.add_0_r.
    cbn [mem with_mem with_runs]. rewrite page_insert_same, insert_insert. reflexivity. }
  assert (I2 : inv s2).
  2:{ unfold on_cpu, unlocked, lock_dropped. rewrite E1. apply (inv_same s2); try reflexivity; try exact I2.
      - unfold rec_loaded. cbn [mem with_held with_runs put_page with_mem live with_masked with_cached with_loaded]. by rewrite page_insert_same.
      - unfold rec_loaded. cbn [mem with_held with_runs put_page with_mem cached with_masked with_cached with_loaded]. unfold word. by rewrite page_insert_same. }
  assert (W : forall i, 0 <= i -> i <> 2 -> i <> 4 -> nth_word l i = nth_word (page (mem s) rec) i).
  { intros i Hi H2 H4. subst l. rewrite !nth_set_other by lia. done. }
  set (s' := put_page rec l s).
  assert (En : forall f, rec_of s' f rec = nth_word l (rec_off f)).
  { intros f. unfold rec_of, rec_get, rec_word. rewrite Z.add_0_r. unfold word. change (mem s') with (<[rec := l]> (mem s)). by rewrite page_insert_same. }
  assert (E : forall f, rec_off f <> 2 -> rec_off f <> 4 -> rec_of s' f rec = rec_of s f rec).
  { intros f H2 H4. rewrite En, W by (apply off_nonneg || done). unfold rec_of, rec_get, rec_word, word. by rewrite Z.add_0_r. }
  assert (E2 : rec_of s' REC_running rec = 1).
  { rewrite En. subst l. cbn [rec_off]. rewrite nth_set_other by lia. apply nth_set_same; [apply P0|lia]. }
  assert (E4 : rec_of s' REC_run_page rec = run_page).
  { rewrite En. subst l. cbn [rec_off]. apply nth_set_same; [apply set_nth_page, P0|lia]. }
  destruct (c_rd _ _ _ C) as [Co Cr].
  apply (inv_rec_turned s rec x l rec rec lv c); try done.
  - intros f Hf. apply W; [apply off_nonneg|clear -Hf; simpl in Hf; intuition subst; done..].
  - destruct (rec_waits _ _ _ C) as (W1 & W2 & W3).
    assert (Hh : half_of s' (g_owner x) = half_of s (g_owner x)).
    { unfold half_of, rd_of, rd_get, word. change (mem s') with (<[rec := l]> (mem s)).
      rewrite page_insert_other; [done|]. intros N. rewrite <- N in Cr. unfold has_state in Cr. by rewrite Hx, Hs in Cr. }
    assert (Ht : token_total rec s' = token_total rec s).
    { unfold token_total, token_of. change (mem s') with (<[rec := l]> (mem s)). rewrite page_insert_same.
      rewrite (slice_same _ _ l (page (mem s) rec)); [done|apply P|apply P0|done|done|]. intros i Hi. cbn [rec_off] in Hi. apply W; lia. }
    unfold waits_ok. change (half_of (with_cached _ _)) with (half_of s'). change (rec_of (with_cached _ _)) with (rec_of s').
    change (token_total rec (with_cached _ _)) with (token_total rec s'). rewrite Hh, Ht, !E by done. done.
  - change (rec_of (with_cached _ _)) with (rec_of s'). right. rewrite E2, E4. split; [done|]. unfold is_ns. by rewrite Hy, Hns.
  - intros pa Hpa. change (run_page_of (with_cached _ _) pa rec x) with (run_page_of s' pa rec x).
    unfold run_page_of. rewrite Hrun, E2, E4, Hs, !Z.eqb_refl. change (0 =? 1) with false. cbn [andb b2z].
    pose proof (i_pins _ I _ Hpa) as Hp. destruct (Z.eqb_spec run_page pa) as [<-|]; cbn [b2z]; [|lia].
    unfold granule_at. rewrite Hy. cbn [default from_option id]. lia.
  - intros _. split; [reflexivity|]. subst lv. destruct P as [Pl _]. unfold is_page in Pl.
    unfold slice. rewrite length_app, !length_take, !length_drop, Pl. reflexivity.
  - subst lv. destruct P as [_ Pu]. apply Forall_app. split; by apply Forall_take, Forall_drop.
  - intros r [->%elem_of_singleton|H]%elem_of_union; [|by apply (i_cached _ I)].
    rewrite <- En, E by done. by rewrite Co.
Qed.

(* ---- RMI_REC_ENTER ---- *)

Lemma entered_inv rec rd run_page s :
  open_realm rd s -> has_state GS_REC rec s = true -> g_owner (granule_at s rec) = rd ->
  runs s = 0 -> loaded s = 0 -> rec_of s REC_running rec = 0 -> spare run_page s -> inv (e_state (entered rec rd run_page s)).
Proof.
  intros O R Ho Hru Hlo Hrun Hsp. pose proof O as [I Hr Hh]. unfold entered.
  destruct (enter_status rec rd s =? RMI_SUCCESS); cbn [negb e_state].
  2:{ apply spare_unpinned; [by apply (inv_same s)|by apply (spare_same run_page s)]. }
  assert (B : call_bounded rec rd (answered_to rec s)).
  { pose proof (answered_kept rec s) as K. apply call_bounded_inv.
    - exact (or_inv _ _ (answered_open rec rd s O R)).
    - by rewrite (EnterRecRefine.kept_has_state _ _ _ _ _ K).
    - unfold granule_at. by rewrite (CurrentFacts.k_gran _ _ _ K). }
  destruct (made_ready_facts rec rd s O R B) as [[I1 R1] Q]. pose proof (made_ready_keeps rec rd s O R Ho B) as [K _].
  pose proof (spare_quiet rec run_page s _ I R Q Hsp) as Hsp1.
  destruct (made_ready rec rd s) as [go s1]. cbn [snd] in *.
  assert (Hru1 : runs s1 = 0) by (by rewrite (CurrentFacts.k_runs _ _ _ K)).
  assert (Hlo1 : loaded s1 = 0) by (by rewrite (CurrentFacts.k_loaded _ _ _ K)).
  assert (Hrun1 : rec_of s1 REC_running rec = 0) by (by rewrite (q_running _ _ _ Q)).
  clear -I1 R1 Hsp1 Hru1 Hlo1 Hrun1. destruct go; cbn [e_state].
  - by apply inv_begun.
  - pose proof Hsp1 as (y & Hy & Hs & _).
    assert (I2 : inv (put_page run_page (exit_half (page (mem s1) run_page) (run s1)) s1)).
    { eapply inv_put_page; [done|exact Hy|by left|]. apply exit_half_words; [by apply page_is_words|]. by destruct (i_scratch _ I1) as (_ & ? & _). }
    pose proof (spare_written run_page (exit_half (page (mem s1) run_page) (run s1)) s1 I1 Hsp1) as Hsp2.
    revert I2 Hsp2. generalize (put_page run_page (exit_half (page (mem s1) run_page) (run s1)) s1). intros s2 I2 Hsp2.
    apply spare_unpinned; [by apply (inv_same s2)|by apply (spare_same run_page s2)].
Qed.

Theorem rec_enter_inv rec run_page s : inv s -> idle s -> runs s = 0 -> inv (e_state (enter_rec rec run_page s)).
Proof.
  intros I (Hh & Hs & Hst) Hr. unfold enter_rec.
  destruct (pinnable run_page s) eqn:Hp; cbn [negb orb e_state]; [|exact I].
  destruct (owner_found rec s) eqn:Ef; cbn [negb e_state]; [|exact I].
  destruct (Z.eqb_spec (rec_get REC_running rec 0 s) 0) as [Er|]; cbn [negb e_state]; [|exact I].
  pose proof (inv_pinned _ _ I Hp) as Ip. pose proof (spare_pinned _ _ I Hp) as Sp.
  destruct (owner_pinned rec run_page s Hp) as [Eo Ef']. rewrite <- Eo, Ef in *.
  assert (Hl : loaded s = 0).
  { destruct (Z.eq_dec (loaded s) 0) as [E|N]; [exact E|]. destruct (i_loaded _ I N) as [E _]. congruence. }
  assert (X : held (page_pinned run_page s) = [] /\ loaded (page_pinned run_page s) = 0 /\ runs (page_pinned run_page s) = 0 /\
    rec_of (page_pinned run_page s) REC_running rec = 0) by (by split_and!).
  revert X Ip Sp Ef'. generalize (page_pinned run_page s). clear. intros s (Hh & Hl & Hr & Er) I Sp Ef.
  apply andb_true_iff in Ef as [N%negb_true_iff%Z.eqb_neq Hrd].
  assert (R : has_state GS_REC rec s = true) by (unfold rec_owner in N; destruct (has_state GS_REC rec s); done).
  assert (Eo : g_owner (granule_at s rec) = rec_owner rec s) by (unfold rec_owner; by rewrite R).
  revert N Hrd Eo. generalize (rec_owner rec s). intros rd N Hrd Eo.
  assert (I1 : inv (lock_taken (LGranule rd) s)) by (by apply (inv_same s)).
  assert (I2 : inv (run_page_loaded run_page (lock_taken (LGranule rd) s))).
  { apply inv_run; [exact I1|]. apply entry_words; [apply page_ok, (i_mem _ I1)|by apply page_u64]. }
  apply entered_inv; try assumption.
  constructor; [exact I2|exact Hrd|]. unfold holds. cbn. by rewrite Z.eqb_refl.
Qed.

(* Nothing is held, and the REC that runs is the one that is named; its realm is one of those that walks are made for. *)
Lemma unlocked_idle rd s : held s = [LGranule rd] -> staled s = [] -> idle (unlocked rd s).
Proof.
  intros Hh Hst. pose proof (unlocked_held rd s Hh) as H. split; [exact H|]. split; [|exact Hst].
  unfold unlocked, lock_dropped in *. cbn [held shrinking with_held] in *. by rewrite H.
Qed.
Definition ends (rec : Z) (e : entry) : Prop :=
  idle (e_state e) /\
  (e_rec e = 0 /\ runs (e_state e) = 0 \/
   e_rec e = rec /\ rec <> 0 /\ runs (e_state e) = rec /\ loaded (e_state e) = rec /\ realm_of rec (e_state e) ∈ cached (e_state e)).
Lemma entered_ends rec rd run_page s :
  open_realm rd s -> has_state GS_REC rec s = true -> g_owner (granule_at s rec) = rd ->
  held s = [LGranule rd] -> staled s = [] -> runs s = 0 -> ends rec (entered rec rd run_page s).
Proof.
  intros O R Ho Hh Hst Hru. pose proof O as [I Hr _]. unfold entered.
  destruct (enter_status rec rd s =? RMI_SUCCESS); cbn [negb].
  2:{ split; [exact (unlocked_idle rd s Hh Hst)|]. by left. }
  assert (B : call_bounded rec rd (answered_to rec s)).
  { pose proof (answered_kept rec s) as K. apply call_bounded_inv.
    - exact (or_inv _ _ (answered_open rec rd s O R)).
    - by rewrite (EnterRecRefine.kept_has_state _ _ _ _ _ K).
    - unfold granule_at. by rewrite (CurrentFacts.k_gran _ _ _ K). }
  pose proof (made_ready_keeps rec rd s O R Ho B) as [K _]. destruct (made_ready rec rd s) as [go s1]. cbn [snd] in K.
  assert (Hh1 : held s1 = [LGranule rd]) by (by rewrite (CurrentFacts.k_held _ _ _ K)).
  assert (Hst1 : staled s1 = []) by (by rewrite (CurrentFacts.k_staled _ _ _ K)).
  assert (Hru1 : runs s1 = 0) by (by rewrite (CurrentFacts.k_runs _ _ _ K)).
  assert (Hn : rec <> 0) by (destruct (has_state_inv _ _ _ R) as (g & Hg & _); destruct (i_gran _ I _ _ Hg); lia).
  clear -Hh1 Hst1 Hru1 Hn. destruct go; split; cbn [e_state e_rec].
  - exact (unlocked_idle rd (run_begun rec run_page s1) Hh1 Hst1).
  - right. split_and!; try done. unfold realm_of, rec_get, rec_word. rewrite Z.add_0_r.
    apply elem_of_union_l, elem_of_singleton. reflexivity.
  - exact (unlocked_idle rd (put_page run_page (exit_half (page (mem s1) run_page) (run s1)) s1) Hh1 Hst1).
  - by left.
Qed.
Theorem rec_enter_ends rec run_page s : inv s -> idle s -> runs s = 0 -> ends rec (enter_rec rec run_page s).
Proof.
  intros I D Hr. pose proof D as (Hh & Hs & Hst). unfold enter_rec.
  destruct (pinnable run_page s) eqn:Hp; cbn [negb orb]; [|split; [exact D|by left]].
  destruct (owner_found rec s) eqn:Ef; cbn [negb]; [|split; [exact D|by left]].
  destruct (rec_get REC_running rec 0 s =? 0); cbn [negb]; [|split; [exact D|by left]].
  pose proof (inv_pinned _ _ I Hp) as Ip. destruct (owner_pinned rec run_page s Hp) as [Eo Ef']. rewrite <- Eo, Ef in *.
  assert (X : held (page_pinned run_page s) = [] /\ staled (page_pinned run_page s) = [] /\ runs (page_pinned run_page s) = 0) by (by split_and!).
  revert X Ip Ef'. generalize (page_pinned run_page s). clear. intros s (Hh & Hst & Hr) I Ef.
  apply andb_true_iff in Ef as [N%negb_true_iff%Z.eqb_neq Hrd].
  assert (R : has_state GS_REC rec s = true) by (unfold rec_owner in N; destruct (has_state GS_REC rec s); done).
  assert (Eo : g_owner (granule_at s rec) = rec_owner rec s) by (unfold rec_owner; by rewrite R).
  revert N Hrd Eo. generalize (rec_owner rec s). intros rd N Hrd Eo.
  assert (I1 : inv (lock_taken (LGranule rd) s)) by (by apply (inv_same s)).
  assert (I2 : inv (run_page_loaded run_page (lock_taken (LGranule rd) s))).
  { apply inv_run; [exact I1|]. apply entry_words; [apply page_ok, (i_mem _ I1)|by apply page_u64]. }
  apply entered_ends; try assumption.
  - constructor; [exact I2|exact Hrd|]. unfold holds. cbn. by rewrite Z.eqb_refl.
  - change (LGranule rd :: held s = [LGranule rd]). by rewrite Hh.
Qed.
