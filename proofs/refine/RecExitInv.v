(* SPDX-License-Identifier: Apache-2.0 *)
(* A trap of the REC that runs leaves the invariant, and so does an abort of the host. *)
From kcore Require Export refine.RsiInv.
From kcore Require Import refine.ExitTrapRefine.
From kcore Require Import spec.HostAbort.
Local Open Scope Z_scope.

Lemma sound_smc rec s : sound rec s -> current rec s -> sound rec (snd (smc rec s)).
Proof.
  intros S C. unfold smc. cbv zeta. destruct (is_rsi _).
  - pose proof (rsi_called_sound rec (smc_fid (gpr rec 0 s)) s S C) as H. by destruct (rsi_called _ _ _).
  - apply sound_psci; [|exact C|exact S]. unfold smc_fid. u64_now.
Qed.

Lemma sound_sync rec esr far hpfar s : sound rec s -> current rec s -> u64 esr -> u64 far -> u64 hpfar ->
  sound rec (snd (sync rec esr far hpfar s)).
Proof.
  intros. unfold sync. cbv zeta. destruct (_ =? EC_DABT); [by apply sound_data_abort|].
  destruct (_ =? EC_SYSREG); [by apply sound_sysreg|]. destruct (_ =? EC_SMC); [by apply sound_smc|].
  destruct (_ =? EC_WFX); [by apply sound_wfx|]. destruct (_ =? EC_IABT); [by apply sound_instruction_abort|by apply sound_sync_other].
Qed.

Lemma sound_trapped rec trap esr far hpfar s : sound rec s -> current rec s -> u64 esr -> u64 far -> u64 hpfar ->
  sound rec (snd (trapped rec trap esr far hpfar s)).
Proof.
  intros. unfold trapped. destruct (_ =? TRAP_SYNC); [by apply sound_sync|].
  destruct (_ =? TRAP_IRQ); [by apply sound_plain; [vm_compute|]|]. destruct (_ =? TRAP_FIQ); [by apply sound_plain; [vm_compute|]|].
  by apply sound_serror.
Qed.

Theorem rec_exit_inv rec trap esr far hpfar s : inv s -> idle s -> loaded s = rec -> rec <> 0 ->
  u64 esr -> u64 far -> u64 hpfar -> inv (snd (rec_trapped rec trap esr far hpfar s)).
Proof.
  intros I D Hl Hn He Hf Hh. assert (C : current rec s).
  { apply inv_current; [exact I|exact D| |exact Hn]. destruct (i_loaded _ I) as [<- _]; congruence. }
  pose proof (sound_trapped rec trap esr far hpfar s (Sound _ _ I (c_rec _ _ C)) C He Hf Hh) as S.
  pose proof (trapped_kept rec trap esr far hpfar s I C) as K. unfold rec_trapped.
  destruct (trapped rec trap esr far hpfar s) as [leave s1]. cbn [snd] in S, K.
  assert (K2 : CurrentFacts.kept rec s (tick (tick s1))) by (unfold tick; auto with kept).
  pose proof (CurrentFacts.kept_current _ _ _ K2 C) as C2. pose proof (CurrentFacts.k_loaded _ _ _ K2) as L2. rewrite Hl in L2.
  pose proof (sound_tick _ _ (sound_tick _ _ S)) as S2. cbv zeta.
  destruct leave; [by apply run_over_inv|]. destruct (lines_changed rec s1); [|exact (so_inv _ _ S2)].
  cbn [snd]. apply run_over_inv; [by apply sound_run_out; [vm_compute|]| |exact L2].
  eapply CurrentFacts.kept_current; [|exact C2]. auto with kept.
Qed.

Lemma left_locks rec p n l s (s' := with_refs p n (rec_set REC_running rec 0 0 (rec_set REC_run_page rec 0 0 (put_page p l s)))) :
  held s' = held s /\ shrinking s' = shrinking s /\ staled s' = staled s.
Proof. by split_and!. Qed.
Lemma unloaded_locks rec s : held (rec_unloaded rec s) = held s /\ shrinking (rec_unloaded rec s) = shrinking s /\
  staled (rec_unloaded rec s) = staled s.
Proof. by split_and!. Qed.
Lemma run_over_idle rec s : idle s -> idle (run_over rec s).
Proof.
  intros (H1 & H2 & H3). destruct (unloaded_locks rec s) as (U1 & U2 & U3).
  assert (G : CurrentFacts.kept rec (rec_unloaded rec s) (timers_told rec (gic_shown rec (rec_unloaded rec s)))) by auto with kept.
  pose proof (CurrentFacts.k_held _ _ _ G) as E1. pose proof (CurrentFacts.k_shrinking _ _ _ G) as E2.
  pose proof (CurrentFacts.k_staled _ _ _ G) as E3. rewrite U1, H1 in E1. rewrite U2, H2 in E2. rewrite U3, H3 in E3.
  clear G U1 U2 U3. unfold run_over, idle. cbv zeta. revert E1 E2 E3.
  generalize (timers_told rec (gic_shown rec (rec_unloaded rec s))). intros s' E1 E2 E3.
  match goal with |- context [with_refs ?p ?n (rec_set _ _ _ _ (rec_set _ _ _ _ (put_page _ ?l _)))] =>
    destruct (left_locks rec p n l s') as (L1 & L2 & L3) end.
  rewrite L1, L2, L3. done.
Qed.
Theorem rec_exit_idle rec trap esr far hpfar s : inv s -> idle s -> loaded s = rec -> rec <> 0 ->
  idle (snd (rec_trapped rec trap esr far hpfar s)).
Proof.
  intros I D Hl Hn. assert (C : current rec s).
  { apply inv_current; [exact I|exact D| |exact Hn]. destruct (i_loaded _ I) as [<- _]; congruence. }
  pose proof (trapped_kept rec trap esr far hpfar s I C) as K. unfold rec_trapped.
  destruct (trapped rec trap esr far hpfar s) as [leave s1]. cbn [snd] in K.
  assert (D1 : idle (tick (tick s1))).
  { assert (X : held (tick (tick s1)) = held s1 /\ shrinking (tick (tick s1)) = shrinking s1 /\ staled (tick (tick s1)) = staled s1) by by split_and!.
    destruct X as (X1 & X2 & X3). destruct K as [_ E1 E2 E3 _ _ _ _ _]. unfold idle in *. by rewrite X1, X2, X3, E1, E2, E3. }
  cbv zeta. destruct leave; [by apply run_over_idle|]. destruct (lines_changed rec s1); [by apply run_over_idle|exact D1].
Qed.

Theorem host_abort_inv esr hpfar far s : inv s -> inv (snd (host_aborted esr hpfar far s)).
Proof.
  intros I. unfold host_aborted. cbv zeta. destruct (_ && _); [exact I|]. destruct (_ && _); [exact I|]. by apply (inv_same s).
Qed.
Theorem host_abort_idle esr hpfar far s : idle s -> idle (snd (host_aborted esr hpfar far s)).
Proof. intros D. unfold host_aborted. cbv zeta. destruct (_ && _); [exact D|]. destruct (_ && _); exact D. Qed.
