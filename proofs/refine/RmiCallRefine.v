(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rmi.c: every call of the host. *)
From kcore Require Import refine.RmiRefine.
From kcore Require Import refine.KcoreCallRefine.
From kcore Require Import refine.HostmemRefine.
From kcore Require Import refine.DataCreateRefine.
From kcore Require Import refine.DataDestroyRefine.
From kcore Require Import refine.RipasInitRefine.
From kcore Require Import refine.RipasSetRefine.
From kcore Require Import refine.RttRefine.
From kcore Require Import refine.RttShare.
From kcore Require Import refine.RttCreate.
From kcore Require Import refine.RttDestroy.
From kcore Require Import refine.RttFold.
From kcore Require Import refine.RealmRefine.
From kcore Require Import refine.RealmNewRefine.
From kcore Require Import refine.RealmDestroyRefine.
From kcore Require Import refine.RecCreateRefine.
From kcore Require Import refine.RecDestroyRefine.
From kcore Require Import refine.RecEnterRefine.
From kcore Require Import refine.PsciRefine.
From kcore Require Import refine.RecSteps.
From kcore Require Export spec.RmiCall.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Local Ltac answered_by T := eapply bind_call; [exact T|]; reflexivity.

(* No REC is loaded where none runs. *)
Lemma none_loaded s : inv s -> runs s = 0 -> loaded s = 0.
Proof. intros I R. destruct (Z.eq_dec (loaded s) 0) as [|N]; [done|]. destruct (i_loaded _ I N). congruence. Qed.

Theorem rmi_simple_ok fid x1 x2 x3 x4 x5 s : inv s -> idle s -> runs s = 0 -> u64 x2 -> u64 x3 -> u64 x4 ->
  core "rmi_simple" [fid; x1; x2; x3; x4; x5] s =
  Some ([fst (simple_called fid x1 x2 x3 x4 x5 s)], snd (simple_called fid x1 x2 x3 x4 x5 s)).
Proof.
  intros I D R U2 U3 U4. enter f_rmi_simple. unfold simple_called, RMI_GRANULE_DELEGATE, RMI_GRANULE_UNDELEGATE,
    RMI_DATA_CREATE, RMI_DATA_CREATE_UNKNOWN, RMI_REALM_CREATE, RMI_REALM_ACTIVATE, RMI_REALM_DESTROY, RMI_REC_CREATE,
    RMI_REC_DESTROY, RMI_RTT_CREATE, RMI_RTT_MAP_UNPROTECTED, RMI_PSCI_COMPLETE.
  destruct (fid =? _); [answered_by (granule_delegate_ok x1 s I D)|].
  destruct (fid =? _); [answered_by (granule_undelegate_ok x1 s I D)|].
  destruct (fid =? _); [answered_by (data_create_ok x1 x2 x3 x4 x5 s I D U3)|].
  destruct (fid =? _); [answered_by (data_create_unknown_ok x1 x2 x3 s I D U3)|].
  destruct (fid =? _); [answered_by (realm_create_ok x1 x2 s I D)|].
  destruct (fid =? _); [answered_by (realm_activate_ok x1 s D)|].
  destruct (fid =? _); [answered_by (realm_destroy_ok x1 s I D)|].
  destruct (fid =? _); [answered_by (rec_create_ok x1 x2 x3 s I D (none_loaded _ I R))|].
  destruct (fid =? _); [answered_by (rec_destroy_ok x1 s I D)|].
  destruct (fid =? _); [answered_by (rtt_create_ok x1 x2 x3 x4 s I D (proj1 U3) U4)|].
  destruct (fid =? _); [answered_by (rtt_map_unprotected_ok x1 x2 x3 x4 s I D (proj1 U2) U3 U4)|].
  destruct (fid =? _); [answered_by (psci_complete_ok x1 x2 x3 s D)|].
  reflexivity.
Qed.

(* ---- Answers are five words ---- *)

Definition five (r : list Z) : Prop := length r = 5%nat.
Lemma five_eq r : five r -> r = [get r 0; get r 1; get r 2; get r 3; get r 4].
Proof. intros H. destruct r as [|? [|? [|? [|? [|? [|]]]]]]; try discriminate. reflexivity. Qed.
Ltac five_now := repeat match goal with |- five (fst (if ?c then _ else _)) => destruct c end; reflexivity.

Lemma destroy_data_five rd ipa s : five (fst (destroy_data rd ipa s)).
Proof. unfold destroy_data, destroy_page, refused. cbv zeta. five_now. Qed.
Lemma rtt_destroyed_five rd ipa level s : five (fst (rtt_destroyed rd ipa level s)).
Proof. unfold rtt_destroyed, destroy_locked, refused. cbv zeta. five_now. Qed.
Lemma rtt_folded_five rd ipa level s : five (fst (rtt_folded rd ipa level s)).
Proof. unfold rtt_folded, fold_locked, refused. cbv zeta. five_now. Qed.
Lemma unmap_five rd ipa level s : five (fst (unmap_unprotected rd ipa level s)).
Proof. unfold unmap_unprotected, unmap_locked, refused. cbv zeta. five_now. Qed.
Lemma init_ripas_five rd base top s : five (fst (init_ripas rd base top s)).
Proof. unfold init_ripas, init_locked, refused. cbv zeta. five_now. Qed.
Lemma set_ripas_five rd rec base top s : five (fst (set_ripas rd rec base top s)).
Proof. unfold set_ripas, set_locked, refused. cbv zeta. five_now. Qed.
Lemma aux_count_five rd s : five (aux_count rd s).
Proof. unfold aux_count. destruct (has_state GS_RD rd s); reflexivity. Qed.
Lemma read_entry_five rd ipa level s : five (read_entry rd ipa level s).
Proof.
  unfold read_entry, read_locked, entry_read, refused. cbv zeta.
  repeat match goal with |- five (if ?c then _ else _) => destruct c end; reflexivity.
Qed.
Lemma rmi_five fid x1 x2 x3 x4 x5 s : five (fst (rmi_called fid x1 x2 x3 x4 x5 s)).
Proof.
  unfold rmi_called.
  repeat (match goal with |- five (fst (if ?c then _ else _)) => destruct c end; [
    first [reflexivity|apply destroy_data_five|apply rtt_destroyed_five|apply rtt_folded_five|apply unmap_five
      |apply aux_count_five|apply init_ripas_five|apply set_ripas_five]|]).
  by destruct (simple_called _ _ _ _ _ _ _).
Qed.
Lemma kcore_five fid x1 x2 x3 x4 x5 s : five (fst (kcore_called fid x1 x2 x3 x4 x5 s)).
Proof.
  unfold kcore_called.
  destruct (fid =? _); [reflexivity|]. destruct (fid =? _); [reflexivity|].
  destruct (fid =? _); [by destruct (feature x1 s)|].
  destruct (fid =? _); [by destruct (ranged delegate x1 x2 s) as [[??]?]|].
  destruct (fid =? _); [by destruct (ranged undelegate x1 x2 s) as [[??]?]|].
  destruct (fid =? _); [unfold log_told; destruct (pinnable x1 s); [by destruct (log_text _ _ _)|reflexivity]|].
  destruct (fid =? _); [unfold identity_told; by destruct (pinnable x1 s)|].
  destruct (fid =? _); [by destruct (counter_asked x1 s)|].
  by destruct (launch_called _ _ _ _ _ _ _).
Qed.

(* ---- rmi_call, core_host_smc ---- *)

Lemma bind_five {B} (m : M state (list Z)) (k : list Z -> M state B) s (p : list Z * state) r :
  m s = Some p -> five (fst p) ->
  k [get (fst p) 0; get (fst p) 1; get (fst p) 2; get (fst p) 3; get (fst p) 4] (snd p) = r -> bind m k s = r.
Proof. intros Hm Hf <-. unfold bind. rewrite Hm. destruct p as [l s']. cbn [fst snd] in *. by rewrite <- five_eq. Qed.
Lemma some_five (p : list Z * state) : five (fst p) ->
  Some ([get (fst p) 0; get (fst p) 1; get (fst p) 2; get (fst p) 3; get (fst p) 4], snd p) = Some p.
Proof. intros H. rewrite <- five_eq by exact H. by destruct p. Qed.

Local Ltac five_by T F := eapply bind_five; [rewrite T; f_equal; symmetry; apply surjective_pairing|exact F|]; tidy; exact (some_five _ F).

Theorem rmi_call_ok fid x1 x2 x3 x4 x5 s : inv s -> idle s -> runs s = 0 -> u64 x1 -> u64 x2 -> u64 x3 -> u64 x4 ->
  core "rmi_call" [fid; x1; x2; x3; x4; x5] s = Some (rmi_called fid x1 x2 x3 x4 x5 s).
Proof.
  intros I D R U1 U2 U3 U4. enter f_rmi_call. unfold rmi_called, RMI_VERSION, RMI_FEATURES, RMI_DATA_DESTROY, RMI_RTT_DESTROY,
    RMI_RTT_FOLD, RMI_RTT_UNMAP_UNPROTECTED, RMI_REC_AUX_COUNT, RMI_RTT_INIT_RIPAS, RMI_RTT_SET_RIPAS.
  destruct (fid =? _); [answered_by (rmi_version_ok x1 s)|].
  destruct (fid =? _); [answered_by (rmi_features_ok x1 s)|].
  destruct (fid =? _); [five_by (data_destroy_ok x1 x2 s I D U2) (destroy_data_five x1 x2 s)|].
  destruct (fid =? _); [five_by (rtt_destroy_ok x1 x2 x3 s I D (proj1 U2) U3) (rtt_destroyed_five x1 x2 x3 s)|].
  destruct (fid =? _); [five_by (rtt_fold_ok x1 x2 x3 s I D (proj1 U2) U3) (rtt_folded_five x1 x2 x3 s)|].
  destruct (fid =? _); [five_by (rtt_unmap_unprotected_ok x1 x2 x3 s I D (proj1 U2) U3) (unmap_five x1 x2 x3 s)|].
  destruct (fid =? _); [eapply (bind_five _ _ _ (aux_count x1 s, s)); [exact (realm_aux_count_ok x1 s D)|apply aux_count_five|];
    tidy; exact (some_five (aux_count x1 s, s) (aux_count_five x1 s))|].
  destruct (fid =? _); [five_by (rtt_init_ripas_ok x1 x2 x3 s I D U2 U3) (init_ripas_five x1 x2 x3 s)|].
  destruct (fid =? _); [five_by (rtt_set_ripas_ok x1 x2 x3 x4 s I D) (set_ripas_five x1 x2 x3 x4 s)|].
  pose proof (rmi_simple_ok fid x1 x2 x3 x4 x5 s I D R U2 U3 U4) as T. revert T.
  destruct (simple_called fid x1 x2 x3 x4 x5 s) as [status s1]. intros T. eapply bind_call; [exact T|]. tidy.
  eapply bind_call; [apply rmi_status_ok|]. reflexivity.
Qed.

Theorem core_host_smc_ok x0 x1 x2 x3 x4 x5 s :
  inv s -> idle s -> runs s = 0 -> u64 x1 -> u64 x2 -> u64 x3 -> u64 x4 -> u64 x5 ->
  core "core_host_smc" [x0; x1; x2; x3; x4; x5] s = Some (host_smc x0 x1 x2 x3 x4 x5 s).
Proof.
  intros I D R U1 U2 U3 U4 U5. enter f_core_host_smc. unfold host_smc.
  change (called_id x0) with (Z.land (Z.land x0 4294967295) 18446744073709486079).
  generalize (Z.land (Z.land x0 4294967295) 18446744073709486079) as fid. intros fid.
  unfold RMI_REC_ENTER, RMI_RTT_READ_ENTRY, RMI_FIRST, RMI_LAST.
  destruct (fid =? _); [answered_by (rec_enter_ok x1 x2 s I D R)|].
  destruct (fid =? _).
  { eapply (bind_five _ _ _ (read_entry x1 x2 x3 s, s)); [exact (rtt_read_entry_ok x1 x2 x3 s I D (proj1 U2) (proj1 U3))|apply read_entry_five|].
    tidy. cbn [fst snd]. unfold ret. f_equal. f_equal. symmetry. rewrite (five_eq _ (read_entry_five x1 x2 x3 s)) at 1. reflexivity. }
  destruct (_ && _).
  - pose proof (rmi_call_ok fid x1 x2 x3 x4 x5 s I D R U1 U2 U3 U4) as T. pose proof (rmi_five fid x1 x2 x3 x4 x5 s) as F. revert T F.
    destruct (rmi_called fid x1 x2 x3 x4 x5 s) as [r s1]. intros T F. eapply bind_five; [exact T|exact F|]. cbn [fst snd] in *. tidy.
    unfold ret, four. f_equal. f_equal. symmetry. rewrite (five_eq _ F) at 1. reflexivity.
  - pose proof (kcore_call_ok fid x1 x2 x3 x4 x5 s I D U2 U3 U5) as T. pose proof (kcore_five fid x1 x2 x3 x4 x5 s) as F. revert T F.
    destruct (kcore_called fid x1 x2 x3 x4 x5 s) as [r s1]. intros T F. eapply bind_five; [exact T|exact F|]. cbn [fst snd] in *. tidy.
    unfold ret, four. f_equal. f_equal. symmetry. rewrite (five_eq _ F) at 1. reflexivity.
Qed.
