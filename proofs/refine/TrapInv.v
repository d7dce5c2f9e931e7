(* SPDX-License-Identifier: Apache-2.0 *)
(* The invariant after a trap of a REC, but for calls of the RSI range. *)
From kcore Require Export refine.ObjectInv.
From kcore Require Export refine.RecInv.
From kcore Require Import refine.ExitLeaveRefine.
From kcore Require Import refine.PsciRefine.
From kcore Require Import spec.ExitTrap.
Local Open Scope Z_scope.

Lemma sound_logged rec l s : sound rec s -> sound rec (with_logged l s).
Proof. intros S. sound_rest S. by apply (sound_other rec s). Qed.
Lemma sound_tick rec s : sound rec s -> sound rec (tick s).
Proof. apply sound_clock. Qed.
Lemma sound_returned rec x0 x1 x2 x3 s : u64 x0 -> u64 x1 -> u64 x2 -> u64 x3 -> sound rec s -> sound rec (returned rec x0 x1 x2 x3 s).
Proof. intros. unfold returned. by apply sound_skipped, sound_regs_set. Qed.
Lemma so_reg rec s q n : sound rec s -> u64 (reg q n s).
Proof. intros S. unfold reg. destruct (n <? 31); [by eapply so_rec_get|exact u64_0]. Qed.

(* Bytes of something in a page. *)
Lemma u64_byte x j : 0 <= j < 8 -> u64 (Z.shiftl (Z.land x 255) (8 * j)).
Proof.
  intros Hj. rewrite Z.shiftl_mul_pow2 by lia. assert (0 <= Z.land x 255 < 2 ^ 8) as H by (rewrite Z.land_comm; apply (land_range 8); lia).
  assert (0 < 2 ^ (8 * j) <= 2 ^ 56) by (split; [apply Z.pow_pos_nonneg; lia|apply Z.pow_le_mono_r; lia]). unfold u64. nia.
Qed.
Lemma bytes_words l to n f from : page_words (bytes_put l to n f from).
Proof.
  split; [reflexivity|]. apply Forall_forall. unfold bytes_put, page_of. intros x Hx. apply in_map_iff in Hx as (i & <- & _).
  assert (H : forall js w, Forall (fun j => 0 <= j < 8) js -> 0 <= w < 2 ^ 64 ->
    forall g, u64 (fold_left (fun w j => Z.lor w (Z.shiftl (Z.land (g j) 255) (8 * j))) js w)).
  { induction js as [|j js IH]; intros w Hjs Hw g; [exact Hw|]. inversion_clear Hjs. cbn [fold_left]. apply IH; [done|].
    apply u64_lor; [exact Hw|by apply u64_byte]. }
  apply (H [0; 1; 2; 3; 4; 5; 6; 7] 0 ltac:(repeat constructor; lia) ltac:(lia)
    (fun j => if (to <=? 8 * i + j) && (8 * i + j <? to + n) then f (from + (8 * i + j - to)) else byte_of l (8 * i + j))).
Qed.

Lemma sound_shown rec esr s : u64 esr -> sound rec s -> sound rec (sync_shown esr s).
Proof. intros. unfold sync_shown, EXIT_SYNC. apply sound_run_out; [done|]. apply sound_run_out; [exact u64_0|done]. Qed.
Lemma sound_plain rec reason ctr s : u64 reason -> sound rec s -> sound rec (snd (plain reason ctr s)).
Proof. intros. apply sound_counted. by apply sound_run_out. Qed.

Section trap.
  Context (rec esr : Z) (s : state) (S : sound rec s) (He : u64 esr).

  Lemma sound_wfx : sound rec (snd (wfx rec esr s)).
  Proof using S He. cbn [wfx snd]. apply sound_counted, sound_shown; [unfold shown_wfx; u64_now|]. by apply sound_skipped. Qed.

  (* ---- System registers ---- *)

  Lemma sound_cntp r v : u64 v -> sound rec (cntp_written rec r v s).
  Proof using S.
    intros Hv. pose proof (sound_tick _ _ S) as S1. unfold cntp_written.
    destruct (r =? 0); [|destruct (r =? 1)]; sound_field; exact S1.
  Qed.
  Lemma sound_sysreg_written : sound rec (snd (sysreg_written rec esr s)).
  Proof using S He.
    pose proof (so_reg rec s rec (sysreg_rt esr) S) as Hv. unfold sysreg_written. cbv zeta.
    destruct (is_hosts _); [|destruct (is_cntp _)]; cbn [sysreg_hosts plain snd]; apply sound_skipped.
    - apply sound_counted, sound_run_out; [done|]. by apply sound_shown.
    - apply (sound_plain rec EXIT_IRQ CTR_EXIT_IRQ); [by vm_compute|]. by apply sound_cntp.
    - exact S.
  Qed.
  Lemma u64_id crm op2 : u64 (id_seen crm op2 (id_register (hw s) crm op2)).
  Proof using S.
    pose proof (h_id _ (i_hw _ (so_inv _ _ S)) crm op2) as H. generalize dependent (id_register (hw s) crm op2). intros raw H.
    unfold id_seen, id_pfr0, id_mmfr0, id_mmfr1, PFR0_CSV2_1, PFR0_EL0_EL1. cbv zeta. repeat (apply u64_if; [u64_now|]). exact u64_0.
  Qed.
  Lemma u64_ctl c v n : u64 c -> u64 (timer_ctl c v n).
  Proof using. intros. unfold timer_ctl. cbv zeta. u64_now. Qed.
  Lemma u64_cntp r : u64 (cntp_read rec r s).
  Proof using S.
    unfold cntp_read. cbv zeta. apply u64_if; [u64_now|]. apply u64_if; [|u64_now]. apply u64_ctl. u64_now.
  Qed.
  Lemma sound_sysreg : sound rec (snd (sysreg_access rec esr s)).
  Proof using S He.
    unfold sysreg_access. destruct (has 1 esr); [|exact sound_sysreg_written].
    pose proof (rt_range (Z.shiftr esr 5)) as Hr. fold (sysreg_rt esr) in Hr.
    unfold sysreg_read, sysreg_value. cbv zeta. pose proof u64_id as Hi. pose proof u64_cntp as Hc.
    destruct (is_id _); [|destruct (is_cntp _)]; cbn [snd]; apply sound_skipped, sound_reg_set; try lia; try done.
    by apply sound_tick, sound_tick.
  Qed.

  (* ---- Aborts ---- *)

  Context (far hpfar : Z) (Hf : u64 far) (Hh : u64 hpfar).

  Lemma sound_external : sound rec (snd (external rec esr far s)).
  Proof using S He Hf.
    cbn [external snd]. apply sound_counted, sound_shown; [unfold shown_abort; u64_now|].
    apply sound_if; [done|]. by apply sound_sea.
  Qed.
  Lemma sound_fault : sound rec (snd (fault rec esr hpfar s)).
  Proof using S He Hh.
    cbn [fault snd]. unfold shown_page, shown_abort. apply sound_counted. sound_field. sound_field.
    apply sound_run_out; [u64_now|]. apply sound_shown; [u64_now|done].
  Qed.
  Lemma sound_mmio : sound rec (snd (mmio rec esr far hpfar s)).
  Proof using S He Hf Hh.
    assert (Hv : u64 (if has WNR esr then access_data esr (reg rec (access_rt esr) s) else 0)).
    { pose proof (so_reg rec s rec (access_rt esr) S) as Hr. apply u64_if; [|exact u64_0].
      unfold access_data. repeat apply u64_if; u64_now. }
    cbn [mmio snd]. unfold shown_page, shown_mmio. apply sound_counted. sound_field. sound_field. sound_field.
    apply sound_run_out; [exact Hv|]. apply sound_run_out; [u64_now|]. apply sound_run_out; [u64_now|].
    apply sound_shown; [u64_now|done].
  Qed.
  Lemma sound_data_abort : sound rec (snd (data_abort rec esr far hpfar s)).
  Proof using S He Hf Hh.
    unfold data_abort. cbv zeta. destruct (is_external _); [exact sound_external|].
    destruct (_ =? ABORT_RETRY); [exact S|]. destruct (_ =? ABORT_SEA); [by apply sound_sea|].
    destruct (_ && _); [exact sound_mmio|]. pose proof sound_fault as F.
    destruct (fault rec esr hpfar s) as [leave s1]. cbn [snd] in *. sound_field. exact F.
  Qed.
  Lemma sound_instruction_abort : sound rec (snd (instruction_abort rec esr far hpfar s)).
  Proof using S He Hf Hh.
    unfold instruction_abort. cbv zeta. destruct (is_external _); [exact sound_external|].
    destruct (_ =? ABORT_RETRY); [exact S|]. destruct (_ && _); [exact sound_fault|].
    destruct (_ =? ABORT_PROTECTED); [|by apply sound_sea]. apply sound_plain; [exact u64_0|exact S].
  Qed.

  (* ---- The rest ---- *)

  Lemma sound_sync_other : sound rec (snd (sync_other rec esr s)).
  Proof using S.
    unfold sync_other, undef, stuck, undef_injected, ESR_IL. destruct (_ =? EC_HVC); [|destruct (is_undef _)]; cbn [snd].
    - apply sound_injected; [u64_now..|exact S].
    - apply sound_injected; [u64_now..|exact S].
    - apply sound_plain; [exact u64_0|]. by apply sound_logged.
  Qed.
  Lemma sound_serror : sound rec (snd (serror rec esr s)).
  Proof using S He.
    cbn [serror snd]. unfold shown_serror, EXIT_SERROR. apply sound_counted, sound_run_out; [u64_now|].
    apply sound_run_out; [u64_now|]. apply sound_if; [exact S|]. apply sound_el1_set; [by vm_compute|u64_now|].
    sound_field. exact S.
  Qed.
End trap.

(* ---- PSCI ---- *)

Lemma sound_notified rec fid mpidr s : u64 fid -> u64 mpidr -> sound rec s -> sound rec (notified fid mpidr s).
Proof.
  intros. unfold notified, EXIT_PSCI. apply sound_counted. do 2 (apply sound_run_out; [done|]). apply sound_run_out; [u64_now|done].
Qed.
Lemma sound_psci_answered rec result s : u64 result -> sound rec s -> sound rec (snd (psci_answered rec result s)).
Proof. intros. cbn [psci_answered snd]. apply sound_returned; [done|exact u64_0..|done]. Qed.
Lemma sound_asked rec fid mpidr s : u64 fid -> u64 mpidr -> sound rec s -> sound rec (snd (asked rec fid mpidr s)).
Proof.
  intros. cbn [asked snd]. apply sound_notified; [done..|]. apply sound_skipped. sound_field. by apply sound_gpr_set; [lia|..].
Qed.
Lemma sound_narrowed rec s : sound rec s -> sound rec (narrowed rec s).
Proof.
  intros S. unfold narrowed.
  assert (N : forall n s, 0 <= n < 31 -> sound rec s -> sound rec (narrowed_reg rec n s)).
  { intros n s' Hn S'. unfold narrowed_reg. apply sound_gpr_set; [done|u64_now|done]. }
  apply N; [lia|]. apply N; [lia|]. by apply N; [lia|].
Qed.
Lemma u64_simple rec fid s : u64 (simple_result rec fid s).
Proof. unfold simple_result, features. repeat apply u64_if; by vm_compute. Qed.

(* A realm ends: its state is no word of the REC. *)
Lemma sound_off rec rd s : rd <> rec -> has_state GS_RD rd s = true -> sound rec s -> sound rec (rd_set RD_state rd 0 SYSTEM_OFF s).
Proof. intros N H [I R]. constructor; [|exact R]. by apply inv_rd_state. Qed.

Lemma sound_psci rec fid s : u64 fid -> current rec s -> sound rec s -> sound rec (snd (psci_called rec fid s)).
Proof.
  intros Hfid C S0. unfold psci_called. set (s1 := if _ || _ then narrowed rec s else s).
  assert (S : sound rec s1) by (subst s1; apply sound_if; [by apply sound_narrowed|done]).
  assert (K : CurrentFacts.kept rec s s1) by (subst s1; auto with kept). clearbody s1.
  pose proof (CurrentFacts.kept_current _ _ _ K C) as C1. pose proof (c_realm _ _ C1) as Hr. pose proof (current_apart _ _ C1) as Hn.
  clear K C S0. assert (H1 : u64 (gpr rec 1 s1)) by u64_now.
  destruct (is_cpu_on fid).
  { unfold cpu_on. cbv zeta. destruct (negb _); [by apply sound_psci_answered; [vm_compute|]|].
    destruct (negb _); [by apply sound_psci_answered; [vm_compute|]|].
    destruct (is_self _ _ _); [by apply sound_psci_answered; [vm_compute|]|by apply sound_asked]. }
  destruct (is_affinity_info fid).
  { unfold affinity_info. cbv zeta. destruct (_ || _); [by apply sound_psci_answered; [vm_compute|]|].
    destruct (is_self _ _ _); [by apply sound_psci_answered; [vm_compute|]|by apply sound_asked]. }
  destruct (fid =? PSCI_CPU_OFF).
  { cbn [cpu_off snd]. apply sound_notified; [by vm_compute..|]. apply sound_skipped. sound_field. exact S. }
  destruct (is_system_off fid).
  { cbn [system_off snd]. unfold logged_event. apply sound_notified; [done|exact u64_0|]. by apply sound_skipped, sound_logged, sound_off. }
  destruct (is_suspend fid).
  { cbn [suspend snd]. apply sound_notified; [done|exact u64_0|]. by apply sound_returned; [exact u64_0..|]. }
  unfold psci_simple. apply sound_psci_answered; [apply u64_simple|exact S].
Qed.

(* ---- The end of a run ---- *)

Lemma splice_length a new l : is_page l -> 0 <= a -> a + Z.of_nat (length new) <= 512 -> is_page (splice a new l).
Proof. unfold is_page, splice. intros. rewrite !length_app, length_take, length_drop. lia. Qed.
Lemma splice_u64 a new l : Forall u64 new -> Forall u64 l -> Forall u64 (splice a new l).
Proof. intros. unfold splice. apply Forall_app. split; [by apply Forall_take|]. apply Forall_app. split; [done|by apply Forall_drop]. Qed.
Lemma nth_words_eq l k : length l = length k -> (forall i, 0 <= i < Z.of_nat (length l) -> nth_word l i = nth_word k i) -> l = k.
Proof.
  intros Hn H. apply list_eq_same_length with (n := length l); [done..|]. intros i x y Hi Hx Hy.
  specialize (H (Z.of_nat i) ltac:(lia)). unfold nth_word in H. rewrite Nat2Z.id, !nth_lookup, Hx, Hy in H. exact H.
Qed.
Lemma slice_same a n l k : is_page l -> is_page k -> 0 <= a -> a + Z.of_nat n <= 512 ->
  (forall i, a <= i < a + Z.of_nat n -> nth_word l i = nth_word k i) -> slice a n l = slice a n k.
Proof.
  unfold is_page. intros Hl Hk Ha Hn H. assert (L : forall l : list Z, length l = 512%nat -> length (slice a n l) = n).
  { intros m Hm. unfold slice. rewrite length_take, length_drop. lia. }
  apply nth_words_eq; [by rewrite !L|]. rewrite L by done. intros i Hi.
  assert (W : forall m : list Z, nth_word (slice a n m) i = nth_word m (a + i)).
  { intros m. unfold nth_word, slice. rewrite !nth_lookup, lookup_take by lia. rewrite lookup_drop. do 2 f_equal. lia. }
  rewrite !W. apply H. lia.
Qed.

(* The registers come back. *)
Lemma sound_unloaded rec s : sound rec s -> loaded s = rec -> rec <> 0 -> runs s = rec -> sound rec (rec_unloaded rec s).
Proof.
  intros [I R] Hl Hn Hru. constructor; [|exact R]. destruct (has_state_inv _ _ _ R) as (x & Hx & Hs).
  destruct (i_loaded _ I) as [_ Hlen]; [congruence|]. pose proof (i_scratch _ I) as (_ & _ & _ & _ & _ & Hlive).
  pose proof (page_is_words s rec I) as [Hp Hpu].
  set (l := splice (rec_off REC_el1) (take EL1_WORDS (live s)) (splice (rec_off REC_ich_hcr) (drop EL1_WORDS (live s)) (page (mem s) rec))).
  assert (L1 : length (drop EL1_WORDS (live s)) = 93%nat) by (rewrite length_drop, Hlen; reflexivity).
  assert (L2 : length (take EL1_WORDS (live s)) = 40%nat) by (rewrite length_take, Hlen; reflexivity).
  assert (P1 : is_page (splice (rec_off REC_ich_hcr) (drop EL1_WORDS (live s)) (page (mem s) rec)))
    by (apply splice_length; rewrite ?L1; done).
  assert (P : page_words l).
  { split; [apply splice_length; rewrite ?L2; done|]. apply splice_u64; [by apply Forall_take|]. apply splice_u64; [by apply Forall_drop|done]. }
  assert (W : forall i, 0 <= i < 60 \/ 100 <= i < 231 -> nth_word l i = nth_word (page (mem s) rec) i).
  { intros i Hi. subst l. rewrite nth_splice; [rewrite nth_splice; [done|..]|..]; rewrite ?L1, ?L2; cbn [rec_off]; try done; lia. }
  pose proof (i_rec _ I _ _ Hx Hs) as C.
  assert (E : forall f, rec_off f < 60 \/ 100 <= rec_off f < 231 -> rec_of (put_page rec l s) f rec = rec_of s f rec).
  { intros f Hf. unfold rec_of, rec_get, rec_word. rewrite Z.add_0_r. unfold word.
    change (mem (put_page rec l s)) with (<[rec := l]> (mem s)). rewrite page_insert_same. apply W. pose proof (off_nonneg f). lia. }
  replace (rec_unloaded rec s) with (with_cached (cached s) (with_loaded 0 [] (with_runs (runs s) (put_page rec l s)))) by (by destruct s).
  eapply inv_rec_turned; try done.
  - intros f Hf. apply W. simpl in Hf. intuition subst; cbn [rec_off]; lia.
  - destruct (rec_waits _ _ _ C) as (W1 & W2 & W3).
    assert (Hh : half_of (put_page rec l s) (g_owner x) = half_of s (g_owner x)).
    { unfold half_of, rd_of, rd_get, word. change (mem (put_page rec l s)) with (<[rec := l]> (mem s)).
      rewrite page_insert_other; [done|]. intros ->. destruct (c_rd _ _ _ C) as [_ H]. unfold has_state in H. by rewrite Hx, Hs in H. }
    assert (Ht : token_total rec (put_page rec l s) = token_total rec s).
    { unfold token_total, token_of. change (mem (put_page rec l s)) with (<[rec := l]> (mem s)). rewrite page_insert_same.
      rewrite (slice_same _ _ l (page (mem s) rec)); [done|apply P|done|done|done|]. intros i Hi. apply W. cbn [rec_off] in Hi. unfold TOKEN_WORDS in Hi. lia. }
    unfold waits_ok. change (half_of (with_cached _ _)) with (half_of (put_page rec l s)).
    change (rec_of (with_cached _ _)) with (rec_of (put_page rec l s)).
    change (token_total rec (with_cached _ _)) with (token_total rec (put_page rec l s)).
    rewrite Hh, Ht, !E by (cbn [rec_off]; lia). done.
  - change (rec_of (with_cached _ _)) with (rec_of (put_page rec l s)). rewrite !E by (cbn [rec_off]; lia). apply (c_running _ _ _ C).
  - intros pa Hpa. unfold run_page_of. change (rec_of (with_cached _ _)) with (rec_of (put_page rec l s)). rewrite !E by (cbn [rec_off]; lia).
    pose proof (i_pins _ I _ Hpa). lia.
  - rewrite Hru. intros _. split; [done|]. change (rec_of (with_cached _ _)) with (rec_of (put_page rec l s)).
    rewrite E by (cbn [rec_off]; lia). destruct (i_runs _ I) as [_ H]; [congruence|]. by rewrite Hru in H.
  - apply (i_cached _ I).
Qed.

Lemma sound_gic_shown rec s : sound rec s -> sound rec (gic_shown rec s).
Proof.
  intros S. unfold gic_shown.
  assert (H : forall l s, sound rec s -> sound rec (fold_left (fun s i => lr_shown rec i s) l s)).
  { induction l as [|i l IH]; intros s' S'; [exact S'|]. cbn [fold_left]. apply IH. unfold lr_shown.
    apply sound_if; [apply sound_run_out; [u64_now|]|]; exact S'. }
  apply H. do 3 (apply sound_run_out; [u64_now|]). exact S.
Qed.
Lemma sound_timers rec s : sound rec s -> sound rec (timers_told rec s).
Proof.
  intros S. pose proof (sound_tick _ _ S) as S1. unfold timers_told. cbv zeta.
  assert (U : forall c, u64 (timer_line c)) by (intros; unfold timer_line; apply u64_if; by vm_compute).
  apply sound_run_out; [u64_now|]. apply sound_run_out; [apply u64_ctl; u64_now|]. apply sound_run_out; [u64_now|].
  apply sound_run_out; [apply u64_ctl; u64_now|]. apply sound_rec_set; [done|by vm_compute|apply U|].
  apply sound_rec_set; [done|by vm_compute|apply U|]. by apply sound_tick, sound_tick.
Qed.

Lemma exit_half_words l k : page_words l -> page_words k -> page_words (exit_half l k).
Proof.
  unfold page_words, is_page, exit_half. intros [Hl Ul] [Hk Uk]. split.
  - rewrite length_app, length_take, length_drop. lia.
  - apply Forall_app. split; [by apply Forall_take|by apply Forall_drop].
Qed.

(* It runs no more, nowhere. *)
Definition run_ended (rec : Z) (s : state) : state := rec_set REC_running rec 0 0 (rec_set REC_run_page rec 0 0 s).
Lemma inv_run_ended rec s : inv s -> has_state GS_REC rec s = true -> runs s = rec -> rec <> 0 -> loaded s = 0 ->
  inv (run_ended rec s) /\ runs_on (run_ended rec s) (rec_of s REC_run_page rec) = runs_on s (rec_of s REC_run_page rec) - 1.
Proof.
  intros I R Hru Hn Hlo. destruct (has_state_inv _ _ _ R) as (x & Hx & Hs). pose proof (i_rec _ I _ _ Hx Hs) as C.
  destruct (i_runs _ I) as [_ Hrun]; [congruence|]. rewrite Hru in Hrun.
  pose proof (page_is_words s rec I) as P0. set (l := set_nth (set_nth (page (mem s) rec) 4 0) 2 0).
  assert (P : page_words l) by (do 2 (apply RunFacts.set_nth_words; [|exact u64_0]); done).
  assert (E0 : run_ended rec s = with_cached (cached s) (with_loaded (loaded s) (live s) (with_runs 0 (put_page rec l s)))).
  { unfold run_ended, rec_set, rec_word, put_word, set_word. cbn [rec_off]. subst l. rewrite !Z.add_0_r.
    cbn [mem with_mem]. rewrite page_insert_same, insert_insert. by destruct s. }
  assert (W : forall i, 0 <= i -> i <> 2 -> i <> 4 -> nth_word l i = nth_word (page (mem s) rec) i).
  { intros i Hi H2 H4. subst l. rewrite !nth_set_other by lia. done. }
  set (s' := put_page rec l s).
  assert (E : forall f, rec_off f <> 2 -> rec_off f <> 4 -> rec_of s' f rec = rec_of s f rec).
  { intros f H2 H4. unfold rec_of, rec_get, rec_word. rewrite Z.add_0_r. unfold word.
    change (mem s') with (<[rec := l]> (mem s)). rewrite page_insert_same. apply W; [apply off_nonneg|done..]. }
  assert (E2 : rec_of s' REC_running rec = 0).
  { unfold rec_of, rec_get, rec_word, word. change (mem s') with (<[rec := l]> (mem s)). rewrite page_insert_same. subst l.
    apply nth_set_same; [|by vm_compute]. apply set_nth_page, P0. }
  assert (Pf : forall p, run_page_of s' p rec x = false).
  { intros p. unfold run_page_of. rewrite E2. change (0 =? 1) with false. by rewrite andb_false_r. }
  rewrite E0. split.
  - eapply inv_rec_turned; try done.
    + intros f Hf. apply W; [apply off_nonneg|simpl in Hf; intuition subst; done..].
    + destruct (rec_waits _ _ _ C) as (W1 & W2 & W3).
      assert (Hh : half_of s' (g_owner x) = half_of s (g_owner x)).
      { unfold half_of, rd_of, rd_get, word. change (mem s') with (<[rec := l]> (mem s)).
        rewrite page_insert_other; [done|]. intros ->. destruct (c_rd _ _ _ C) as [_ H]. unfold has_state in H. by rewrite Hx, Hs in H. }
      assert (Ht : token_total rec s' = token_total rec s).
      { unfold token_total, token_of. change (mem s') with (<[rec := l]> (mem s)). rewrite page_insert_same.
        rewrite (slice_same _ _ l (page (mem s) rec)); [done|apply P|apply P0|done|done|]. intros i Hi. cbn [rec_off] in Hi. apply W; lia. }
      unfold waits_ok. change (half_of (with_cached _ _)) with (half_of s'). change (rec_of (with_cached _ _)) with (rec_of s').
      change (token_total rec (with_cached _ _)) with (token_total rec s'). rewrite Hh, Ht, !E by done. done.
    + left. exact E2.
    + intros pa Hpa. change (run_page_of (with_cached _ _) pa rec x) with (run_page_of s' pa rec x). rewrite Pf.
      pose proof (i_pins _ I _ Hpa). destruct (run_page_of s pa rec x); cbn [b2z]; lia.
    + by destruct (i_scratch _ I) as (_ & _ & _ & _ & _ & ?).
    + apply (i_cached _ I).
  - change (runs_on (with_cached _ _)) with (runs_on s'). rewrite (runs_changed s s' rec x); [|done|done|].
    + rewrite Pf. unfold run_page_of. rewrite Hs, Hrun, !Z.eqb_refl. cbn [b2z andb]. lia.
    + intros r Hr. apply page_insert_other. congruence.
Qed.

Theorem run_over_inv rec s : sound rec s -> current rec s -> loaded s = rec -> inv (run_over rec s).
Proof.
  intros S C Hl. pose proof (c_some _ _ C) as Hn. pose proof (c_runs _ _ C) as Hr.
  pose proof (sound_unloaded rec s S Hl Hn Hr) as S1.
  pose proof (current_unloaded rec s (i_mem _ (so_inv _ _ S)) C) as C1.
  assert (Ep : rec_get REC_run_page rec 0 (rec_unloaded rec s) = rec_get REC_run_page rec 0 s)
    by (apply unloaded_word; [exact (i_mem _ (so_inv _ _ S))|by vm_compute]).
  pose proof (sound_timers _ _ (sound_gic_shown _ _ S1)) as S2.
  assert (K : CurrentFacts.kept rec (rec_unloaded rec s) (timers_told rec (gic_shown rec (rec_unloaded rec s)))) by auto with kept.
  pose proof (CurrentFacts.kept_current _ _ _ K C1) as C2. pose proof (CurrentFacts.k_loaded _ _ _ K) as L2.
  change (loaded (rec_unloaded rec s)) with 0 in L2. pose proof (CurrentFacts.k_page _ _ _ K) as P2. rewrite Ep in P2.
  unfold run_over. cbv zeta. rewrite <- P2. clear K P2 Ep S1 C1 S C Hl Hr.
  generalize dependent (timers_told rec (gic_shown rec (rec_unloaded rec s))). clear s. intros s [I R] C Hl.
  set (p := rec_get REC_run_page rec 0 s). pose proof (c_page _ _ C) as Hp. fold p in Hp.
  unfold pinned in Hp. destruct (gran s !! p) as [y|] eqn:Hy; [|done]. apply andb_true_iff in Hp as [Hns%Z.eqb_eq _].
  assert (Npr : p <> rec).
  { destruct (has_state_inv _ _ _ R) as (x & Hx & Hs). apply (differ s _ _ y x); [exact Hy|exact Hx|by rewrite Hns, Hs]. }
  destruct (i_scratch _ I) as (_ & Hrun & _).
  assert (I1 : inv (put_page p (exit_half (page (mem s) p) (run s)) s)).
  { eapply inv_put_page; [done|exact Hy|by left|]. apply exit_half_words; [by apply page_is_words|done]. }
  assert (W : rec_of (put_page p (exit_half (page (mem s) p) (run s)) s) REC_run_page rec = p).
  { unfold rec_of, rec_get, word. change (mem (put_page p _ s)) with (<[p := exit_half (page (mem s) p) (run s)]> (mem s)).
    by rewrite page_insert_other. }
  revert I1 W. generalize (exit_half (page (mem s) p) (run s)). intros l I1 W.
  destruct (inv_run_ended rec (put_page p l s) I1 R (c_runs _ _ C) (c_some _ _ C) Hl) as [I2 U]. rewrite W in U.
  assert (U2 : uses (run_ended rec (put_page p l s)) p = uses (put_page p l s) p).
  { unfold uses. apply sum_ext. intros t q Hq. unfold leaves_for. f_equal.
    destruct (place_granule _ _ _ I1 Hq) as (_ & _ & (z & Hz & Ez)%has_state_inv).
    destruct (has_state_inv _ _ _ R) as (x & Hx & Hs).
    assert (t <> rec) by (apply (differ s _ _ z x); [exact Hz|exact Hx|by rewrite Ez, Hs]).
    unfold run_ended, rec_set, put_word, set_word. cbn [mem with_runs with_mem]. by rewrite !page_insert_other by congruence. }
  assert (Hn' : is_ns (gran (put_page p l s)) p = true) by (unfold is_ns; change (gran (put_page p l s)) with (gran s); by rewrite Hy, Hns).
  pose proof (i_pins _ I1 _ Hn') as Hpin. unfold granule_at in Hpin. change (gran (put_page p l s)) with (gran s) in Hpin.
  rewrite Hy in Hpin. cbn [default from_option id] in Hpin.
  apply (inv_unpinned p _ y I2); [exact Hy|exact Hns|]. rewrite U, U2. lia.
Qed.
