(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/psci.c: RMI_PSCI_COMPLETE keeps the invariant. *)
From kcore Require Export refine.RecInv.
From kcore Require Export spec.Psci.
Local Open Scope Z_scope.

Lemma sound_psci_finished rec result s : u64 result -> sound rec s -> sound rec (psci_finished rec result s).
Proof. intros U S. unfold psci_finished. sound_field. apply sound_regs_set; [exact U|exact u64_0..|exact S]. Qed.
Lemma sound_turned_on caller target s : sound target s -> sound target (turned_on caller target s).
Proof.
  intros S. unfold turned_on, PSTATE_RESET, SCTLR_RESET, SCTLR_EE, SCTLR_EL1. do 2 sound_field.
  apply sound_gpr_set; [lia|u64_now|]. apply sound_el1_set; [lia|u64_now|]. sound_field. exact S.
Qed.
Lemma sound_of rec rec' s s' : gran s' = gran s -> sound rec s -> sound rec' s' -> sound rec s'.
Proof. intros E [_ R] [I _]. constructor; [exact I|]. unfold has_state in *. by rewrite E. Qed.
Lemma turned_on_gran caller target s : gran (turned_on caller target s) = gran s.
Proof. unfold turned_on, el1_set. by destruct (loaded _ =? target). Qed.

Lemma complete_locked_inv caller target status s : sound caller s -> sound target s -> inv (snd (complete_locked caller target status s)).
Proof.
  intros S T. pose proof (so_inv _ _ S) as I. unfold complete_locked, complete_on, complete_affinity, PSCI_SUCCESS, PSCI_DENIED.
  destruct (awaits caller target s); cbn [negb]; [|exact I]. destruct (is_cpu_on _).
  - destruct (Z.eqb_spec status 0) as [->|N0]; cbn [negb andb].
    + destruct (is_on target s); cbn [snd].
      * apply (so_inv caller). by apply sound_psci_finished; [by vm_compute|].
      * apply (so_inv caller). apply sound_psci_finished; [by vm_compute|].
        apply (sound_of caller target s); [apply turned_on_gran|exact S|]. by apply sound_turned_on.
    + destruct (Z.eqb_spec status (minus 3)) as [->|]; cbn [negb]; [|exact I].
      destruct (is_on target s); cbn [snd]; apply (so_inv caller), sound_psci_finished; by vm_compute || exact S.
  - destruct (status =? 0); cbn [negb snd]; [|exact I].
    apply (so_inv caller), sound_psci_finished; [|exact S]. apply u64_if; by vm_compute.
Qed.

Theorem psci_complete_inv caller target status s : inv s -> inv (snd (psci_completed caller target status s)).
Proof.
  intros I. unfold psci_completed. destruct (_ =? target); [exact I|]. cbn [orb].
  destruct (owner_found caller s) eqn:Ef; cbn [negb orb]; [|exact I].
  apply andb_true_iff in Ef as [N%negb_true_iff%Z.eqb_neq _].
  destruct (Z.eqb_spec (rec_owner target s) (rec_owner caller s)) as [E|]; cbn [negb]; [|exact I]. rewrite <- E in N.
  assert (R : forall r, rec_owner r s <> 0 -> has_state GS_REC r s = true) by (intros r H; unfold rec_owner in H; by destruct (has_state GS_REC r s)).
  apply complete_locked_inv; constructor; try exact I; apply R; congruence.
Qed.

Theorem psci_complete_idle caller target status s : idle s -> idle (snd (psci_completed caller target status s)).
Proof.
  intros D. unfold psci_completed. destruct (_ || _); [exact D|]. unfold complete_locked, complete_on, complete_affinity, turned_on, el1_set.
  destruct (negb (awaits _ _ _)); [exact D|]. destruct (is_cpu_on _).
  - destruct (_ && _); [exact D|]. destruct (is_on _ _); [exact D|]. destruct (_ =? PSCI_SUCCESS); [|exact D].
    destruct (loaded _ =? target); exact D.
  - destruct (negb _); exact D.
Qed.
