(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/exit.c: traps, but for SMCs and aborts of stage 2. *)
From kcore Require Export refine.CurrentFacts refine.VtimerRefine spec.Exit.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Notation outcome call := (Some ([b2z (fst call)], snd call)).

Lemma field_range v n : 0 <= n -> 0 <= Z.land v (Z.ones n) < 2 ^ n.
Proof. intros. rewrite Z.land_ones by lia. apply Z.mod_pos_bound. lia. Qed.
Lemma rt_range v : 0 <= Z.land v 31 < 32.
Proof. apply (field_range v 5). lia. Qed.

Theorem exit_plain_ok reason ctr s : core "exit_plain" [reason; ctr] s = outcome (plain reason ctr s).
Proof. enter f_exit_plain. do 2 step. reflexivity. Qed.

Theorem exit_wfx_ok rec esr s :
  rec_in_hand rec s = true -> core "exit_wfx" [rec; esr] s = outcome (wfx rec esr s).
Proof. intros H. enter f_exit_wfx. use rec_skip_ok. do 3 step. reflexivity. Qed.

(* ---- System registers ---- *)

Theorem exit_sysreg_host_ok esr value s : core "exit_sysreg_host" [esr; value] s = outcome (sysreg_hosts esr value s).
Proof. enter f_exit_sysreg_host. do 4 step. reflexivity. Qed.

Lemma hand_cntp_written r rec reg v s : rec_in_hand r s = true -> rec_in_hand r (cntp_written rec reg v s) = true.
Proof. intros. unfold cntp_written, tick. destruct (reg =? 0); [|destruct (reg =? 1)]; auto with hand. Qed.
Lemma hand_sync_shown r esr s : rec_in_hand r s = true -> rec_in_hand r (sync_shown esr s) = true.
Proof. exact id. Qed.
#[export] Hint Resolve hand_cntp_written hand_sync_shown : hand.

Theorem exit_sysreg_write_ok rec esr s :
  rec_in_hand rec s = true -> core "exit_sysreg_write" [rec; esr] s = outcome (sysreg_written rec esr s).
Proof.
  intros H. enter f_exit_sysreg_write. pose proof (rt_range (Z.shiftr esr 5)).
  use rec_reg_ok; [lia|]. unfold sysreg_written, is_hosts, is_cntp.
  change 3813398 with (sysreg 3 0 12 11 5). change 3944470 with (sysreg 3 0 12 11 6).
  change 4075542 with (sysreg 3 0 12 11 7). change 3289110 with (sysreg 3 0 12 11 1).
  change 3209220 with (sysreg 3 3 14 2 0). change 3340292 with (sysreg 3 3 14 2 1).
  change 3471364 with (sysreg 3 3 14 2 2).
  change (Z.land esr 4193310) with (sysreg_of esr). fold (sysreg_rt esr).
  destruct (_ || (sysreg_of esr =? sysreg 3 0 12 11 1)).
  - use exit_sysreg_host_ok. unfold sysreg_hosts. cbn [fst snd].
    use rec_skip_ok. reflexivity.
  - destruct (_ || (sysreg_of esr =? sysreg 3 3 14 2 2)).
    + use vtimer_write_cntp_ok. use exit_plain_ok. unfold plain. cbn [fst snd]. use rec_skip_ok. reflexivity.
    + use rec_skip_ok. reflexivity.
Qed.

(* ---- Aborts ---- *)

Theorem abort_external_ok fsc s : core "abort_external" [fsc] s = Some ([b2z (is_external fsc)], s).
Proof. enter f_abort_external. reflexivity. Qed.

Theorem exit_external_ok rec esr far s :
  rec_in_hand rec s = true -> core "exit_external" [rec; esr; far] s = outcome (external rec esr far s).
Proof.
  intros H. enter f_exit_external. unfold external. destruct (Z.land (Z.shiftr esr 11) 3 =? 3); tidy.
  - do 3 step. reflexivity.
  - use rec_inject_sea_ok. do 3 step. reflexivity.
Qed.

Theorem exit_fault_ok rec esr hpfar s :
  rec_in_hand rec s = true -> core "exit_fault" [rec; esr; hpfar] s = outcome (fault rec esr hpfar s).
Proof. intros H. enter f_exit_fault. do 6 step. reflexivity. Qed.

Theorem mmio_mask_ok esr v s : core "mmio_mask" [esr; v] s = Some ([access_data esr v], s).
Proof.
  enter f_mmio_mask. unfold access_data. fold (access_size esr). destruct (access_size esr =? 0); [reflexivity|].
  destruct (access_size esr =? 1); [reflexivity|]. destruct (access_size esr =? 2); reflexivity.
Qed.

Theorem mmio_sign_ok esr v s : core "mmio_sign" [esr; v] s = Some ([access_signed esr v], s).
Proof.
  enter f_mmio_sign. unfold access_signed. fold (access_size esr).
  change (negb (Z.land v 128 =? 0)) with (has 0x80 v). change (negb (Z.land v 32768 =? 0)) with (has 0x8000 v).
  change (negb (Z.land v 2147483648 =? 0)) with (has 0x80000000 v).
  destruct (_ && has 128 v); [reflexivity|]. destruct (_ && has 32768 v); [reflexivity|].
  destruct (_ && has 2147483648 v); reflexivity.
Qed.

Theorem exit_mmio_ok rec esr far hpfar s :
  rec_in_hand rec s = true -> core "exit_mmio" [rec; esr; far; hpfar] s = outcome (mmio rec esr far hpfar s).
Proof.
  intros H. pose proof (rt_range (Z.shiftr esr 16)). enter f_exit_mmio. unfold mmio.
  change (negb (Z.land esr 64 =? 0)) with (has WNR esr). destruct (has WNR esr).
  - use rec_reg_ok; [lia|]. use mmio_mask_ok. do 9 step. reflexivity.
  - do 9 step. reflexivity.
Qed.

Theorem exit_sea_ok rec esr far s :
  rec_in_hand rec s = true -> core "exit_sea" [rec; esr; far] s = outcome (sea rec esr far s).
Proof. intros H. enter f_exit_sea. use rec_inject_sea_ok. reflexivity. Qed.

(* ---- The rest ---- *)

Theorem exit_stuck_ok rec esr s : core "exit_stuck" [rec; esr] s = outcome (stuck rec esr s).
Proof. enter f_exit_stuck. step. use exit_plain_ok. reflexivity. Qed.

Theorem exit_undef_ok rec back s :
  rec_in_hand rec s = true -> core "exit_undef" [rec; back] s = outcome (undef rec back s).
Proof. intros H. enter f_exit_undef. step. use rec_inject_undef_ok. reflexivity. Qed.

Theorem exit_is_undef_ok ec s : core "exit_is_undef" [ec] s = Some ([b2z (is_undef ec)], s).
Proof. enter f_exit_is_undef. unfold is_undef. destruct (ec =? 25); [reflexivity|]. destruct (ec =? 29); reflexivity. Qed.

Theorem exit_sync_other_ok rec esr s :
  rec_in_hand rec s = true -> core "exit_sync_other" [rec; esr] s = outcome (sync_other rec esr s).
Proof.
  intros H. enter f_exit_sync_other. fold (ec_of esr). use exit_is_undef_ok. unfold sync_other, EC_HVC.
  destruct (ec_of esr =? 22); [use exit_undef_ok; reflexivity|].
  destruct (is_undef (ec_of esr)); [use exit_undef_ok|use exit_stuck_ok]; reflexivity.
Qed.

Theorem exit_serror_ok rec esr s :
  rec_in_hand rec s = true -> core "exit_serror" [rec; esr] s = outcome (serror rec esr s).
Proof.
  intros H. enter f_exit_serror. unfold serror, serror_passes, has.
  change (fsc_of esr) with (Z.land esr 63). change 0x1000000 with 16777216.
  destruct (Z.land esr 16777216 =? 0), (Z.land esr 63 =? 17), (Z.land (Z.shiftr esr 10) 7 =? 2),
    (Z.land (Z.shiftr esr 10) 7 =? 6); cbn [negb andb orb]; tidy; repeat step; reflexivity.
Qed.

(* ---- The REC stays current ---- *)

Lemma kept_cntp_written rec r v s0 s : kept rec s0 s -> kept rec s0 (cntp_written rec r v s).
Proof. intros. unfold cntp_written, tick. destruct (r =? 0); [|destruct (r =? 1)]; auto with kept. Qed.
Lemma kept_plain rec reason ctr s0 s : kept rec s0 s -> kept rec s0 (snd (plain reason ctr s)).
Proof. intros. unfold plain. cbn [snd]. auto with kept. Qed.
Lemma kept_sync_shown rec esr s0 s : kept rec s0 s -> kept rec s0 (sync_shown esr s).
Proof. intros. unfold sync_shown. auto with kept. Qed.
#[export] Hint Resolve kept_cntp_written kept_plain kept_sync_shown : kept.
Lemma kept_wfx rec esr s0 s : kept rec s0 s -> kept rec s0 (snd (wfx rec esr s)).
Proof. intros. unfold wfx. cbn [snd]. auto with kept. Qed.
Lemma kept_sysreg_written rec esr s0 s : kept rec s0 s -> kept rec s0 (snd (sysreg_written rec esr s)).
Proof.
  intros. unfold sysreg_written, sysreg_hosts. destruct (is_hosts _); cbn [snd]; [auto 10 with kept|].
  destruct (is_cntp _); cbn [snd plain]; auto 10 with kept.
Qed.
Lemma kept_external rec esr far s0 s : kept rec s0 s -> kept rec s0 (snd (external rec esr far s)).
Proof. intros. unfold external. cbn [snd]. auto 10 with kept. Qed.
Lemma kept_fault rec esr hpfar s0 s : kept rec s0 s -> kept rec s0 (snd (fault rec esr hpfar s)).
Proof. intros. unfold fault. cbn [snd]. auto 10 with kept. Qed.
Lemma kept_mmio rec esr far hpfar s0 s : kept rec s0 s -> kept rec s0 (snd (mmio rec esr far hpfar s)).
Proof. intros. unfold mmio. cbn [snd]. auto 12 with kept. Qed.
Lemma kept_sync_other rec esr s0 s : kept rec s0 s -> kept rec s0 (snd (sync_other rec esr s)).
Proof.
  intros. unfold sync_other, undef, stuck, undef_injected. destruct (_ =? EC_HVC); [cbn [snd]; auto with kept|].
  destruct (is_undef _); [cbn [snd]|]; auto with kept.
Qed.
Lemma kept_serror rec esr s0 s : kept rec s0 s -> kept rec s0 (snd (serror rec esr s)).
Proof. intros. unfold serror. cbn [snd]. auto 10 with kept. Qed.
#[export] Hint Resolve kept_wfx kept_sysreg_written kept_external kept_fault kept_mmio kept_sync_other kept_serror : kept.
