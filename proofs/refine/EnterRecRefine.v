(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: RMI_REC_ENTER. *)
From kcore Require Export refine.RsiRealmRefine.
From kcore Require Export refine.EnterRefine.
From kcore Require Export refine.RecInv.
From kcore Require Export spec.EnterRec.
From kcore Require Import refine.RttRefine.
From kcore Require Import refine.UnderFacts.
From kcore Require Import refine.CurrentFacts.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- What an entry changes of the REC leaves the invariant ---- *)

Lemma sound_ripas_completed rec reject s : sound rec s -> sound rec (ripas_completed rec reject s).
Proof.
  intros S. unfold ripas_completed. destruct (_ =? 0); [exact S|].
  assert (S1 : sound rec (regs_set rec RSI_SUCCESS (rec_get REC_ripas_base rec 0 s)
    (if ripas_refused rec reject s then RSI_REJECT else RSI_ACCEPT) 0 s)).
  { unfold RSI_SUCCESS, RSI_REJECT, RSI_ACCEPT. apply sound_regs_set; [u64_now..|exact S]. }
  revert S1. generalize (regs_set rec RSI_SUCCESS (rec_get REC_ripas_base rec 0 s)
    (if ripas_refused rec reject s then RSI_REJECT else RSI_ACCEPT) 0 s). clear. intros s S.
  pose proof (sound_ripas_over _ _ S) as S1.
  assert (P : rec_of (rec_set REC_ripas_pending rec 0 0 s) REC_ripas_pending rec = 0).
  { unfold rec_of, rec_get. apply word_set_same; [apply (i_mem _ (so_inv _ _ S))|].
    vm_compute. split; [discriminate|reflexivity]. }
  apply sound_ripas_range; [by right|apply u64_0| |].
  - etransitivity; [|exact P]. unfold rec_of, rec_get. by apply word_set_slot.
  - apply sound_ripas_range; [by left|apply u64_0|exact P|exact S1].
Qed.

Lemma u64_ones n : n = 8 \/ n = 16 \/ n = 32 -> u64 (0xFFFFFFFFFFFFFFFF - (2 ^ n - 1)).
Proof. intros [->|[->| ->]]; const64. Qed.
Lemma u64_access esr v : u64 v -> u64 (access_data esr v).
Proof. intros H. unfold access_data. repeat apply u64_if; try u64_now. Qed.
Lemma u64_signed esr v : u64 v -> u64 (access_signed esr v).
Proof. intros H. unfold access_signed. repeat apply u64_if; try u64_now; (apply u64_lor; [exact H|apply u64_ones; auto]). Qed.
Lemma u64_mmio esr v : u64 v -> u64 (mmio_value esr v).
Proof.
  intros H. unfold mmio_value. apply u64_if; [apply u64_if|]; try (by apply u64_access); [by apply u64_signed, u64_access|].
  apply u64_land, u64_signed, u64_access, H.
Qed.
Lemma sound_mmio_done rec s : sound rec s -> sound rec (mmio_done rec s).
Proof.
  intros S. unfold mmio_done. apply sound_skipped, sound_if; [exact S|]. apply sound_reg_set; [|apply u64_mmio; u64_now|exact S].
  pose proof (rt_range (Z.shiftr (last_esr rec s) 16)). unfold access_rt. lia.
Qed.

Lemma sound_finished rec s : sound rec s -> sound rec (exit_finished rec s).
Proof.
  intros S. unfold exit_finished. set (a := if wants INJECT_SEA s then _ else _).
  assert (Sa : sound rec a).
  { subst a. apply sound_if; [|apply sound_if; [by apply sound_mmio_done|exact S]].
    apply sound_sea; [unfold last_esr; u64_now|u64_now|exact S]. }
  pose proof (sound_ripas_completed rec (wants RIPAS_REJECT s) a Sa) as Sr.
  sound_field. sound_field. sound_field. sound_field. sound_field. exact Sr.
Qed.

Lemma sound_gic rec s : sound rec s -> sound rec (gic_entered rec s).
Proof.
  intros S. unfold gic_entered.
  assert (H : forall l s, (forall i, In i l -> 0 <= i < 16) -> sound rec s -> sound rec (fold_left (fun s i => lr_given rec i s) l s)).
  { induction l as [|i l IH]; intros s' Hl S'; [exact S'|]. cbn [fold_left]. apply IH; [intros; apply Hl; by right|].
    unfold lr_given. apply sound_if; [|exact S']. apply sound_lr; [apply Hl; by left|unfold lr; u64_now|exact S']. }
  apply H; [intros i Hi%below_In; exact Hi|]. unfold HCR_EOICOUNT. sound_field. exact S.
Qed.

Lemma kept_ripas_completed rec reject s0 s : CurrentFacts.kept rec s0 s -> CurrentFacts.kept rec s0 (ripas_completed rec reject s).
Proof. intros. unfold ripas_completed. apply kept_if; auto with kept. Qed.
Lemma kept_finished rec s0 s : CurrentFacts.kept rec s0 s -> CurrentFacts.kept rec s0 (exit_finished rec s).
Proof.
  intros. unfold exit_finished. do 5 (apply kept_rec_set; [discriminate|vm_compute; discriminate|reflexivity|]).
  apply kept_ripas_completed. auto with kept.
Qed.
Lemma kept_put_other rec p i v s0 s : p <> rec -> CurrentFacts.kept rec s0 s -> CurrentFacts.kept rec s0 (put_word p i v s).
Proof. intros Hn K. eapply kept_trans; [exact K|]. constructor; try reflexivity; [by apply word_set_page..|apply set_word_ok]. Qed.
Lemma kept_each rec n f s0 s : (forall i s, CurrentFacts.kept rec s0 s -> CurrentFacts.kept rec s0 (f i s)) ->
  CurrentFacts.kept rec s0 s -> CurrentFacts.kept rec s0 (each_below n f s).
Proof. intros Hf K. induction n as [|n IH]; [exact K|]. rewrite each_below_S. by apply Hf. Qed.

(* ---- The realm's tables are those that its REC was made with ---- *)

Definition agree_fields : list rec_field := [REC_rd; REC_s2sz; REC_start_level; REC_rtt_base; REC_vmid].
(* Its tables may be walked. *)
Definition walkable (rd : Z) (s : state) : Prop := may_walk rd s = true /\ forall q, q ∈ cached s -> has_state GS_RD q s = true.
Lemma walkable_same rd s s' : gran s' = gran s -> mem s' = mem s -> places s' = places s -> cached s' = cached s ->
  walkable rd s -> walkable rd s'.
Proof.
  intros Eg Em Ep Ec. unfold walkable, may_walk, starts_stand, vmid_own, has_vmid, has_state. by rewrite Eg, Em, Ep, Ec.
Qed.
Lemma walkable_put rd p i v s : p <> rd -> has_state GS_RD p s = false -> walkable rd s -> walkable rd (put_word p i v s).
Proof.
  intros N Np [W C]. split; [|exact C]. unfold may_walk, starts_stand, vmid_own, has_vmid in *.
  cbn [mem put_word with_mem places cached].
  assert (E : forall f, word (set_word (mem s) p i v) rd (rd_off f) = word (mem s) rd (rd_off f)) by (intros; by apply word_set_page).
  assert (El : page (set_word (mem s) p i v) rd = page (mem s) rd) by (by apply page_set_page).
  rewrite !E, El. apply andb_true_iff in W as [W1 W2]. rewrite W1. cbn [andb]. rewrite forallb_forall in W2 |- *. intros q Hq.
  rewrite word_set_page; [by apply W2|]. intros ->. apply elem_of_list_In, elem_of_elements, C in Hq. congruence.
Qed.
Lemma walkable_inv rd s : inv s -> has_state GS_RD rd s = true -> walkable rd s.
Proof.
  intros I Hr. split; [|apply (i_cached _ I)]. destruct (i_realm _ I _ Hr) as [_ [Sz Es] [Lv L0] [Sn [Si _]] _ Rt _ _ _ _].
  unfold rd_of, rd_get, rd_word in *. rewrite !Z.add_0_r in *. unfold may_walk, starts_stand.
  apply andb_true_iff. split; [apply andb_true_iff; split|].
  - unfold index_of in Si. rewrite Es in Si. apply andb_true_iff. split;
      [rewrite (page_ok (mem s) rd (i_mem _ I)); change (512 =? 512)%nat with true; cbn [andb]; apply andb_true_iff; split; lia|]. apply Z.leb_le.
    assert (Sh : 0 <= shift_of (word (mem s) rd (rd_off RD_start_level)) <= word (mem s) rd (rd_off RD_s2sz)).
    { unfold shift_of. destruct (Z.eqb_spec (word (mem s) rd (rd_off RD_start_level)) 0); [lia|].
      destruct (word (mem s) rd (rd_off RD_start_level) =? 1), (word (mem s) rd (rd_off RD_start_level) =? 2); lia. }
    unfold size_of in *. replace (word (mem s) rd (rd_off RD_s2sz)) with
      ((word (mem s) rd (rd_off RD_s2sz) - shift_of (word (mem s) rd (rd_off RD_start_level))) +
       shift_of (word (mem s) rd (rd_off RD_start_level))) in Si |- * by lia.
    rewrite Z.pow_add_r in Si |- * by lia. rewrite Z.div_mul in Si by (apply Z.pow_nonzero; lia). 
    pose proof (Z.pow_pos_nonneg 2 (shift_of (word (mem s) rd (rd_off RD_start_level)))). nia.
  - apply forallb_forall. intros n Hn. apply in_map_iff in Hn as (k & <- & Hk%in_seq). rewrite Rt by lia. unfold span. cbn.
    rewrite !Z.eqb_refl. done.
  - apply forallb_forall. intros q Hq%elem_of_list_In%elem_of_elements. apply (i_cached _ I) in Hq. unfold has_vmid.
    destruct (Z.eqb_spec q rd) as [|N]; [done|]. cbn [orb]. apply negb_true_iff, Z.eqb_neq. intros E. apply N.
    apply (i_vmid _ I); [done|done|]. unfold rd_of, rd_get, rd_word. by rewrite Z.add_0_r.
Qed.
Definition agrees (rec rd : Z) (s : state) : Prop := rec_agrees rec s = true /\ realm_of rec s = rd /\ walkable rd s.
Lemma agrees_state rec rd s : agrees rec rd s -> has_state GS_REC rec s = true.
Proof. intros [H _]. unfold rec_agrees in H. by destruct (has_state GS_REC rec s). Qed.
Lemma rec_not_rd rec s : has_state GS_REC rec s = true -> has_state GS_RD rec s = false.
Proof. unfold has_state. destruct (gran s !! rec); [|done]. by intros ->%Z.eqb_eq. Qed.
Lemma agrees_put rec rd p i v s : p <> rd -> rec <> rd -> has_state GS_RD p s = false -> p <> rec \/ (0 <= i /\ none_of agree_fields i = true) ->
  agrees rec rd s -> agrees rec rd (put_word p i v s).
Proof.
  intros N1 N2 Np Hp (A & E & Wk). pose proof (walkable_put rd p i v s N1 Np Wk) as Wk'.
  assert (W : forall f, In f agree_fields -> word (set_word (mem s) p i v) rec (rec_off f) = word (mem s) rec (rec_off f)).
  { intros f Hf. destruct (decide (p = rec)) as [->|N]; [|by apply word_set_page].
    destruct Hp as [Hp|[Hi Hp]]; [done|]. apply word_set_slot; [done|apply off_nonneg|by apply (none_of_other agree_fields)]. }
  assert (W' : forall f, word (set_word (mem s) p i v) rd (rd_off f) = word (mem s) rd (rd_off f)) by (intros; by apply word_set_page).
  assert (E' : word (mem s) rec (rec_off REC_rd) = rd) by exact E.
  split; [|split; [etransitivity; [|exact E]; apply (W REC_rd); by left|exact Wk']].
  unfold rec_agrees in *. change (mem (put_word p i v s)) with (set_word (mem s) p i v). rewrite !(W REC_rd) by (by left).
  rewrite E' in *. rewrite (W REC_s2sz), (W REC_start_level), (W REC_rtt_base), (W REC_vmid) by (simpl; auto 10).
  rewrite !W'. exact A.
Qed.
Lemma agrees_same rec rd s s' : gran s' = gran s -> mem s' = mem s -> places s' = places s -> cached s' = cached s ->
  agrees rec rd s -> agrees rec rd s'.
Proof.
  intros Eg Em Ep Ec (A & E & W). split; [revert A; unfold rec_agrees, has_state, granule_at; by rewrite Eg, Em|].
  split; [revert E; unfold realm_of, rec_get; by rewrite Em|by apply (walkable_same rd s)].
Qed.
Lemma agrees_rec_set f rec rd i v s : rec <> rd -> 0 <= rec_word f i -> none_of agree_fields (rec_word f i) = true ->
  agrees rec rd s -> agrees rec rd (rec_set f rec i v s).
Proof.
  intros N Hi Hw A. pose proof (agrees_put rec rd rec (rec_word f i) v s N N (rec_not_rd _ _ (agrees_state _ _ _ A))
    (or_intror (conj Hi Hw)) A) as A'.
  destruct f; exact A' || (eapply agrees_same; [..|exact A']; reflexivity).
Qed.
Lemma agrees_each rec rd n f s : (forall i s', gran s' = gran s -> agrees rec rd s' -> agrees rec rd (f i s') /\ gran (f i s') = gran s') ->
  agrees rec rd s -> agrees rec rd (each_below n f s).
Proof.
  intros Hf A. enough (agrees rec rd (each_below n f s) /\ gran (each_below n f s) = gran s) by easy.
  induction n as [|n [IH G]]; [easy|]. rewrite each_below_S. destruct (Hf (Z.of_nat n) _ G IH) as [A' G']. split; [exact A'|congruence].
Qed.
Lemma agrees_inv s rec rd : inv s -> has_state GS_REC rec s = true -> g_owner (granule_at s rec) = rd -> agrees rec rd s.
Proof.
  intros I (g & Hg & Hs)%has_state_inv Ho. destruct (i_rec _ I _ _ Hg Hs) as [[C1 Hr] C2 _ _ _ _ _]. split; [exact C2|].
  unfold granule_at in Ho. rewrite Hg in Ho. cbn in Ho. rewrite Ho in C1, Hr. split; [exact C1|by apply walkable_inv].
Qed.

(* ---- Ready or not ---- *)

(* A host call that waits has its structure in the realm. *)
Definition call_bounded (rec rd : Z) (s : state) : Prop :=
  rec_get REC_host_call rec 0 s <> 0 -> Z.land (rec_get REC_host_call_ipa rec 0 s) 255 = 0 /\
    0 <= rec_get REC_host_call_ipa rec 0 s < rd_of s RD_ipa_size rd.

Lemma completed_keeps rec rd s : open_realm rd s -> has_state GS_REC rec s = true -> call_bounded rec rd s -> agrees rec rd s ->
  let s' := snd (host_call_completed rec rd s) in CurrentFacts.kept rec s s' /\ agrees rec rd s'.
Proof.
  intros O R Hc A. pose proof O as [I Hr _].
  assert (N : rec <> rd) by (intros ->; unfold has_state in *; destruct (gran s !! rd); [unfold GS_RD, GS_REC in *; lia|done]).
  unfold host_call_completed. destruct (Z.eqb_spec (rec_get REC_host_call rec 0 s) 0) as [_|Hn]; [split; [apply CurrentFacts.kept_refl|exact A]|].
  destruct (Hc Hn) as [_ B]. pose proof (fun pa level => translate_own rd _ s pa level O B) as W.
  assert (En : forall st s1, CurrentFacts.kept rec s s1 -> agrees rec rd s1 ->
    CurrentFacts.kept rec s (host_call_ended rec st s1) /\ agrees rec rd (host_call_ended rec st s1)).
  { intros st s1 K1 A1. unfold host_call_ended, regs_set, gpr_set. split.
    - do 6 (apply kept_rec_set; [discriminate|vm_compute; discriminate|reflexivity|]). exact K1.
    - do 6 (apply agrees_rec_set; [exact N|vm_compute; discriminate|reflexivity|]). exact A1. }
  destruct (translate rd (rec_get REC_host_call_ipa rec 0 s) s) as [[result pa] level].
  destruct (Z.eqb_spec result IPA_OK) as [->|_]; [|destruct (result =? IPA_EMPTY)]; cbn [snd].
  - destruct (W pa level eq_refl) as [Wo _].
    assert (N1 : pa <> rec /\ pa <> rd).
    { unfold own_data, has_state in *. split; intros ->; [destruct (gran s !! rec)|destruct (gran s !! rd)]; try done;
        unfold GS_RD, GS_REC, GS_DATA in *; lia. }
    destruct N1 as [N1 N2]. apply En; unfold host_call_taken.
    + apply kept_each; [|apply CurrentFacts.kept_refl]. intros. by apply kept_put_other.
    + apply agrees_each; [|exact A]. intros i s' Eg A'. split; [|reflexivity]. apply agrees_put; auto.
      unfold has_state. rewrite Eg. unfold own_data in Wo. destruct (gran s !! pa); [|done].
      by apply andb_true_iff in Wo as [->%Z.eqb_eq _].
  - apply En; [apply CurrentFacts.kept_refl|exact A].
  - unfold faulted. split; [auto 10 with kept|]. exact (agrees_same rec rd s _ eq_refl eq_refl eq_refl eq_refl A).
Qed.

Lemma kept_has_state rec s s' st p : CurrentFacts.kept rec s s' -> has_state st p s' = has_state st p s.
Proof. intros K. unfold has_state. by rewrite (CurrentFacts.k_gran _ _ _ K). Qed.
Lemma rec_hand rec rd s : open_realm rd s -> has_state GS_REC rec s = true -> g_owner (granule_at s rec) = rd -> rec_in_hand rec s = true.
Proof. intros [I Hr Hh] R Ho. unfold rec_in_hand. by rewrite R, (owned_under GS_REC rec rd s). Qed.

(* The REC as the host's answers leave it. *)
Definition answered_to (rec : Z) (s : state) : state := exit_finished rec (gic_entered rec (counted CTR_REC_ENTER 1 s)).
Lemma answered_sound rec s : sound rec s -> sound rec (answered_to rec s).
Proof. intros S. by apply sound_finished, sound_gic, sound_counted. Qed.
Lemma answered_kept rec s : CurrentFacts.kept rec s (answered_to rec s).
Proof. apply kept_finished, kept_gic_entered, kept_counted, CurrentFacts.kept_refl. Qed.
Lemma answered_open rec rd s : open_realm rd s -> has_state GS_REC rec s = true -> open_realm rd (answered_to rec s).
Proof.
  intros [I Hr Hh] R. pose proof (answered_kept rec s) as K. constructor.
  - exact (so_inv _ _ (answered_sound rec s (Sound _ _ I R))).
  - by rewrite (kept_has_state _ _ _ _ _ K).
  - unfold holds. by rewrite (CurrentFacts.k_held _ _ _ K).
Qed.

Theorem enter_prepare_ok rec rd s :
  open_realm rd s -> has_state GS_REC rec s = true -> g_owner (granule_at s rec) = rd -> call_bounded rec rd (answered_to rec s) ->
  core "enter_prepare" [rec; rd] s = outcome (made_ready rec rd s).
Proof.
  intros O R Ho B. pose proof (rec_hand _ _ _ O R Ho) as H. enter f_enter_prepare. step.
  change (with_counters _ s) with (counted CTR_REC_ENTER 1 s). use vgic_enter_ok.
  assert (H1 : rec_in_hand rec (gic_entered rec (counted CTR_REC_ENTER 1 s)) = true)
    by (apply (kept_hand rec rec s); [apply kept_gic_entered, kept_counted, CurrentFacts.kept_refl|exact H]).
  use enter_finish_ok. unfold made_ready. fold (answered_to rec s).
  pose proof (answered_open _ _ _ O R) as O1. pose proof (answered_kept rec s) as K1.
  pose proof (kept_hand _ rec _ _ K1 H) as H2.
  assert (R1 : has_state GS_REC rec (answered_to rec s) = true) by (by rewrite (kept_has_state _ _ _ _ _ K1)).
  assert (Ho1 : g_owner (granule_at (answered_to rec s) rec) = rd) by (unfold granule_at; by rewrite (CurrentFacts.k_gran _ _ _ K1)).
  clear H1 K1 O R Ho H. revert O1 H2 R1 Ho1 B. generalize (answered_to rec s). clear. intros s O H R Ho B.
  pose proof (completed_keeps rec rd s O R B (agrees_inv _ _ _ (or_inv _ _ O) R Ho)) as [K _].
  eapply bind_call; [exact (rsi_host_call_complete_ok rec rd s O H B)|]. tidy. revert K.
  destruct (host_call_completed rec rd s) as [ready s1]. cbn [fst snd]. intros K. pose proof (kept_hand _ rec _ _ K H) as H1.
  clear -H1. use vtimer_changed_ok.
  assert (H2 : rec_in_hand rec (tick (tick s1)) = true) by exact H1. clear H1. revert H2.
  destruct ready, (lines_changed rec s1); cbn [andb orb negb]; generalize (tick (tick s1)); intros s2 H2; [| reflexivity| |].
  - step. use vgic_report_ok. use vtimer_report_ok.
    { apply (kept_hand rec rec s2); [|exact H2]. apply kept_gic_shown. auto with kept. }
    reflexivity.
  - use vgic_report_ok. use vtimer_report_ok.
    { apply (kept_hand rec rec s2); [|exact H2]. apply kept_gic_shown. auto with kept. }
    reflexivity.
  - use vgic_report_ok. use vtimer_report_ok.
    { apply (kept_hand rec rec s2); [|exact H2]. apply kept_gic_shown. auto with kept. }
    reflexivity.
Qed.

(* ---- Behind the checks ---- *)

Lemma made_ready_keeps rec rd s : open_realm rd s -> has_state GS_REC rec s = true -> g_owner (granule_at s rec) = rd ->
  call_bounded rec rd (answered_to rec s) ->
  let s' := snd (made_ready rec rd s) in CurrentFacts.kept rec s s' /\ (fst (made_ready rec rd s) = true -> agrees rec rd s').
Proof.
  intros O R Ho B. unfold made_ready. fold (answered_to rec s).
  pose proof (answered_open _ _ _ O R) as O1. pose proof (answered_kept rec s) as K1.
  assert (R1 : has_state GS_REC rec (answered_to rec s) = true) by (by rewrite (kept_has_state _ _ _ _ _ K1)).
  assert (Ho1 : g_owner (granule_at (answered_to rec s) rec) = rd) by (unfold granule_at; by rewrite (CurrentFacts.k_gran _ _ _ K1)).
  revert O1 R1 Ho1 K1 B. generalize (answered_to rec s). intros s1 O1 R1 Ho1 K1 B.
  pose proof (completed_keeps rec rd s1 O1 R1 B (agrees_inv _ _ _ (or_inv _ _ O1) R1 Ho1)) as [K2 A2].
  destruct (host_call_completed rec rd s1) as [ready s2]. cbn [fst snd] in K2, A2.
  pose proof (kept_trans _ _ _ _ K1 K2) as K3. clear -K3 A2.
  assert (K4 : CurrentFacts.kept rec s (tick (tick s2))) by (unfold tick; auto with kept).
  destruct (ready && negb (lines_changed rec s2)); cbn [fst snd].
  - split; [exact K4|]. intros _. exact (agrees_same rec rd s2 _ eq_refl eq_refl eq_refl eq_refl A2).
  - split; [|discriminate]. revert K4. generalize (tick (tick s2)). intros s3 K4. unfold timers_told, tick.
    apply (kept_if _ ready _ (run_out OUT_reason 0 EXIT_IRQ s3) s3) in K4 as K5; [|by apply kept_run_out].
    revert K5. generalize (if ready then run_out OUT_reason 0 EXIT_IRQ s3 else s3). intros s4 K5.
    apply kept_gic_shown in K5. revert K5. generalize (gic_shown rec s4). intros s5 K5. auto 12 with kept.
Qed.

Lemma bind_leave {B} rd (k : list Z -> M state B) s r :
  held s = [LGranule rd] -> staled s = [] -> k [] (unlocked rd s) = r -> bind (prim_sem P_realm_unlock [rd]) k s = r.
Proof.
  intros Hh Hst <-. unfold bind. cbn [prim_sem]. rewrite Hst, bool_decide_eq_true_2 by done. unfold holds, in_order. rewrite Hh.
  cbn [existsb without lock_eqb]. by rewrite Z.eqb_refl.
Qed.
Lemma bind_run_store {B} ns (k : list Z -> M state B) s r :
  pinned ns s = true -> k [] (put_page ns (exit_half (page (mem s) ns) (run s)) s) = r ->
  bind (prim_sem P_run_store [ns]) k s = r.
Proof. intros H <-. unfold bind. cbn [prim_sem]. by rewrite H. Qed.
Lemma bind_load {B} rec rd (k : list Z -> M state B) s r :
  runs s = rec -> rec <> 0 -> loaded s = 0 -> held s = [] -> agrees rec rd s -> k [] (rec_loaded rec s) = r ->
  bind (prim_sem P_rec_load [rec]) k s = r.
Proof.
  intros Hr%Z.eqb_eq Hn%Z.eqb_neq Hl%Z.eqb_eq Hh (Ha & E & W & _) <-. unfold bind. cbn [prim_sem].
  change (rec_get REC_rd rec 0 s) with (realm_of rec s). by rewrite Hr, Hn, Hl, Hh, Ha, E, W, bool_decide_eq_true_2.
Qed.
Lemma runs_hand rec s : runs s = rec -> rec <> 0 -> has_state GS_REC rec s = true -> rec_in_hand rec s = true.
Proof. intros E Hn R. unfold rec_in_hand. rewrite R, E, Z.eqb_refl, (proj2 (Z.eqb_neq _ _) Hn). apply orb_true_r. Qed.
Lemma unlocked_held rd s : held s = [LGranule rd] -> held (unlocked rd s) = [].
Proof. intros H. unfold unlocked, lock_dropped. cbn [held with_held]. rewrite H. cbn [without lock_eqb]. by rewrite Z.eqb_refl. Qed.

(* A REC runs from here on. *)
Lemma run_begins rec rd run_page s :
  rec_in_hand rec s = true -> rec <> 0 -> rec <> rd -> held s = [LGranule rd] -> staled s = [] -> loaded s = 0 -> agrees rec rd s ->
  bind (prim_sem (P_RecSet REC_running) [rec; 1]) (fun _ => bind (prim_sem (P_RecSet REC_run_page) [rec; run_page]) (fun _ =>
    bind (prim_sem P_realm_unlock [rd]) (fun _ => bind (prim_sem P_rec_load [rec]) (fun _ => bind (core "vtimer_enter" [rec])
      (fun _ => ret [0; 0; 0; 0; 0; rec]))))) s =
  Some ([0; 0; 0; 0; 0; rec], on_cpu rec (unlocked rd (run_begun rec run_page s))).
Proof.
  intros H Hn Nr Hh Hst Hl A. step.
  pose proof (agrees_rec_set REC_running rec rd 0 1 s Nr ltac:(vm_compute; discriminate) eq_refl A) as A1.
  assert (E1 : runs (rec_set REC_running rec 0 1 s) = rec /\ held (rec_set REC_running rec 0 1 s) = held s /\
    staled (rec_set REC_running rec 0 1 s) = staled s /\ loaded (rec_set REC_running rec 0 1 s) = loaded s) by (split_and!; reflexivity).
  unfold run_begun. destruct E1 as (E1 & E2 & E3 & E4). rewrite <- E2 in Hh. rewrite <- E3 in Hst. rewrite <- E4 in Hl. clear E2 E3 E4 H A.
  revert A1 E1 Hh Hst Hl. generalize (rec_set REC_running rec 0 1 s). clear s. intros s A E Hh Hst Hl.
  pose proof (runs_hand _ _ E Hn (agrees_state _ _ _ A)) as H. step.
  pose proof (agrees_rec_set REC_run_page rec rd 0 run_page s Nr ltac:(vm_compute; discriminate) eq_refl A) as A1.
  assert (E1 : runs (rec_set REC_run_page rec 0 run_page s) = runs s /\ held (rec_set REC_run_page rec 0 run_page s) = held s /\
    staled (rec_set REC_run_page rec 0 run_page s) = staled s /\ loaded (rec_set REC_run_page rec 0 run_page s) = loaded s) by (split_and!; reflexivity).
  destruct E1 as (E1 & E2 & E3 & E4). rewrite <- E1 in E. rewrite <- E2 in Hh. rewrite <- E3 in Hst. rewrite <- E4 in Hl. clear E1 E2 E3 E4 H A.
  revert A1 E Hh Hst Hl. generalize (rec_set REC_run_page rec 0 run_page s). clear s. intros s A E Hh Hst Hl.
  apply bind_leave; [exact Hh|exact Hst|].
  pose proof (unlocked_held _ _ Hh) as Hh1. pose proof (agrees_same rec rd s (unlocked rd s) eq_refl eq_refl eq_refl eq_refl A) as A1.
  assert (E1 : runs (unlocked rd s) = rec) by exact E. assert (L1 : loaded (unlocked rd s) = 0) by exact Hl.
  clear A E Hh Hst Hl. revert Hh1 A1 E1 L1. generalize (unlocked rd s). clear s. intros s Hh A E L.
  apply (bind_load rec rd); [exact E|exact Hn|exact L|exact Hh|exact A|]. unfold on_cpu.
  assert (H : rec_in_hand rec (rec_loaded rec s) = true) by (apply runs_hand; [exact E|exact Hn|exact (agrees_state _ _ _ A)]).
  clear -H. revert H. generalize (rec_loaded rec s). intros s' H. use vtimer_enter_ok. reflexivity.
Qed.

Theorem enter_locked_ok rec rd run_page s :
  open_realm rd s -> has_state GS_REC rec s = true -> g_owner (granule_at s rec) = rd ->
  held s = [LGranule rd] -> staled s = [] -> loaded s = 0 -> pinned run_page s = true ->
  call_bounded rec rd (answered_to rec s) ->
  core "enter_locked" [rec; rd; run_page] s =
    Some ([e_status (entered rec rd run_page s); 0; 0; 0; 0; e_rec (entered rec rd run_page s)], e_state (entered rec rd run_page s)).
Proof.
  intros O R Ho Hh Hst Hl Hp B. pose proof (rec_hand _ _ _ O R Ho) as H. pose proof (open_hand _ _ O) as Hd. pose proof O as [I Hr Hhl].
  assert (Nr : rec <> rd) by (intros ->; unfold has_state in *; destruct (gran s !! rd); [unfold GS_RD, GS_REC in *; lia|done]).
  assert (Hn : rec <> 0) by (apply has_state_inv in R as (g & Hg & _); destruct (i_gran _ I _ _ Hg); lia).
  enter f_enter_locked. use enter_check_ok. unfold entered. change (enter_status rec rd s =? RMI_SUCCESS) with (enter_status rec rd s =? 0).
  destruct (enter_status rec rd s =? 0) eqn:E; cbn [negb].
  2:{ apply bind_leave; [exact Hh|exact Hst|]. apply bind_put; [exact Hp|exact Hst|]. reflexivity. }
  use enter_prepare_ok. pose proof (made_ready_keeps rec rd s O R Ho B) as [K A].
  destruct (made_ready rec rd s) as [go s1]. cbn [fst snd] in K, A.
  assert (Hh1 : held s1 = [LGranule rd]) by (by rewrite (CurrentFacts.k_held _ _ _ K)).
  assert (Hst1 : staled s1 = []) by (by rewrite (CurrentFacts.k_staled _ _ _ K)).
  assert (Hl1 : loaded s1 = 0) by (by rewrite (CurrentFacts.k_loaded _ _ _ K)).
  assert (Hp1 : pinned run_page s1 = true) by (unfold pinned; by rewrite (CurrentFacts.k_gran _ _ _ K)).
  pose proof (kept_hand _ rec _ _ K H) as H1. clear -Hh1 Hst1 Hl1 Hp1 H1 A Hn Nr.
  destruct go; cbn [negb fst snd e_status e_rec e_state].
  - exact (run_begins rec rd run_page s1 H1 Hn Nr Hh1 Hst1 Hl1 (A eq_refl)).
  - apply bind_run_store; [exact Hp1|].
    assert (X : held (put_page run_page (exit_half (page (mem s1) run_page) (run s1)) s1) = [LGranule rd] /\
      staled (put_page run_page (exit_half (page (mem s1) run_page) (run s1)) s1) = [] /\
      pinned run_page (put_page run_page (exit_half (page (mem s1) run_page) (run s1)) s1) = true) by (split_and!; assumption).
    revert X. generalize (put_page run_page (exit_half (page (mem s1) run_page) (run s1)) s1). intros s2 (X1 & X2 & X3).
    apply bind_leave; [exact X1|exact X2|].
    apply bind_put; [exact X3|exact X2|]. reflexivity.
Qed.
