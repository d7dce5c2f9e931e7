(* SPDX-License-Identifier: Apache-2.0 *)
(* Functions that several CPUs may run at once: what run_is_serial asks of them. *)
From kcore Require Import concurrent.Serial.
From kcore Require Import refine.Tactics.
From kcore Require Import refine.RunsKept.
From kcore Require Import refine.HostmemRefine.
From kcore Require Import refine.HostInv.
From kcore Require Import refine.RttDestroy.
From kcore Require Import refine.RttFold.
From kcore Require Import refine.RttShare.
From kcore Require Import refine.RttInvGone.
From kcore Require Import refine.RttInvFold.
From kcore Require Import refine.RttInvShared.
From kcore Require Import refine.RipasInitRefine.
From kcore Require Import refine.RipasSetRefine.
From kcore Require Import refine.RipasInv.
From kcore Require Import refine.HostAbortRefine.
From kcore Require Import refine.RecExitInv.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Definition handlers : list string :=
  ["granule_delegate"; "granule_undelegate"; "rtt_destroy"; "rtt_fold"; "rtt_map_unprotected"; "rtt_unmap_unprotected";
   "rtt_init_ripas"; "rtt_set_ripas"; "core_host_abort"].
Lemma handlers_run f : In f handlers -> named f runs_nothing = true.
Proof. intros H. assert (K : forallb (fun g => named g runs_nothing) handlers = true) by (vm_compute; reflexivity). by apply (proj1 (forallb_forall _ _) K). Qed.

Lemma handler_of f args r x : In f handlers -> (forall s, inv s -> idle s -> core f args s = Some (r s, x s)) ->
  (forall s, inv s -> idle s -> inv (x s)) -> (forall s, inv s -> idle s -> idle (x s)) -> handler f args.
Proof.
  intros Hf Hc Hi Hd s I D N. exists (r s), (x s). split; [by apply Hc|]. split; [by apply Hi|]. split; [by apply Hd|].
  rewrite (core_runs f args s (r s) (x s)); [exact N|by apply handlers_run|by apply Hc].
Qed.

Theorem delegate_handler pa : handler "granule_delegate" [pa].
Proof.
  eapply handler_of; [cbn; tauto|intros; by apply granule_delegate_ok|intros; by apply delegate_inv|intros; by apply delegate_idle].
Qed.
Theorem undelegate_handler pa : handler "granule_undelegate" [pa].
Proof.
  eapply handler_of; [cbn; tauto|intros; by apply granule_undelegate_ok|intros; by apply undelegate_inv|intros; by apply undelegate_idle].
Qed.
Theorem rtt_destroy_handler rd ipa level : 0 <= ipa -> u64 level -> handler "rtt_destroy" [rd; ipa; level].
Proof.
  intros. eapply handler_of; [cbn; tauto|intros; by apply rtt_destroy_ok|intros; by apply rtt_destroyed_inv|intros; by apply rtt_destroyed_idle].
Qed.
Theorem rtt_fold_handler rd ipa level : 0 <= ipa -> u64 level -> handler "rtt_fold" [rd; ipa; level].
Proof.
  intros. eapply handler_of; [cbn; tauto|intros; by apply rtt_fold_ok|intros; by apply rtt_folded_inv|intros; by apply rtt_folded_idle].
Qed.
Theorem rtt_map_handler rd ipa level host : 0 <= ipa -> u64 level -> u64 host ->
  handler "rtt_map_unprotected" [rd; ipa; level; host].
Proof.
  intros. eapply handler_of; [cbn; tauto|intros; by apply rtt_map_unprotected_ok|intros; by apply map_unprotected_inv|
    intros; by apply map_unprotected_idle].
Qed.
Theorem rtt_unmap_handler rd ipa level : 0 <= ipa -> u64 level -> handler "rtt_unmap_unprotected" [rd; ipa; level].
Proof.
  intros. eapply handler_of; [cbn; tauto|intros; by apply rtt_unmap_unprotected_ok|intros; by apply unmap_unprotected_inv|
    intros; by apply unmap_unprotected_idle].
Qed.
Theorem init_ripas_handler rd base top : u64 base -> u64 top -> handler "rtt_init_ripas" [rd; base; top].
Proof.
  intros. eapply handler_of; [cbn; tauto|intros; by apply rtt_init_ripas_ok|intros; by apply init_ripas_inv|intros; by apply init_ripas_idle].
Qed.
Theorem set_ripas_handler rd rec base top : u64 base -> u64 top -> handler "rtt_set_ripas" [rd; rec; base; top].
Proof.
  intros. eapply handler_of; [cbn; tauto|intros; by apply rtt_set_ripas_ok|intros; by apply set_ripas_inv|intros; by apply set_ripas_idle].
Qed.
Theorem host_abort_handler esr hpfar far : handler "core_host_abort" [esr; hpfar; far].
Proof.
  eapply handler_of; [cbn; tauto|intros s I D; apply core_host_abort_ok; [exact (h_tables _ (i_hw _ I))|exact D]|
    intros; by apply host_abort_inv|intros; by apply host_abort_idle].
Qed.
