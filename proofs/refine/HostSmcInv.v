(* SPDX-License-Identifier: Apache-2.0 *)
(* Every call of the host, every trap of a REC and every abort of the host keeps the invariant, and none gets stuck. *)
From kcore Require Export refine.RmiCallRefine.
From kcore Require Import refine.HostInv.
From kcore Require Import refine.RecObjectInv.
From kcore Require Import refine.RecCreateRefine.
From kcore Require Import refine.KcoreCallRefine.
From kcore Require Import refine.CurrentFacts.
From kcore Require Import refine.RunFacts.
From kcore Require Import refine.PsciInv.
From kcore Require Import refine.EnterInv.
From kcore Require Import refine.RttInvShared.
From kcore Require Import refine.RttInvGone.
From kcore Require Import refine.RttInvFold.
From kcore Require Import refine.RttInvCreate.
From kcore Require Import refine.RipasInv.
From kcore Require Import refine.DataInv.
From kcore Require Import refine.RealmCreateInv.
From kcore Require Import refine.RealmCallInv.
From kcore Require Import refine.RealmDestroyInv.
From kcore Require Import refine.KcoreCallInv.
From kcore Require Import refine.RecExitInv.
From kcore Require Import refine.RunsKept.
From kcore Require Import refine.ExitTrapRefine.
From kcore Require Import refine.HostAbortRefine.
From kcore Require Import refine.RecEnterRefine.
From kcore Require Export spec.Run.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Definition kept_by (s : state) : Prop := inv s /\ idle s.

Lemma create_rec_idle rd rec ns s : idle s -> idle (snd (create_rec rd rec ns s)).
Proof.
  intros D. unfold create_rec. destruct (pinnable ns s); [|exact D].
  assert (D1 : idle (params_loaded ns s)) by exact D. revert D1. generalize (params_loaded ns s). clear. intros s D.
  unfold create_with. destruct (negb (_ =? 0)); [exact D|]. destruct (negb _); [exact D|]. destruct (negb _); [exact D|]. cbn [snd].
  destruct (_ =? RMI_SUCCESS); [|exact D]. destruct (created_kept rd rec s) as (_ & H & S & T). unfold idle in *. by rewrite H, S, T.
Qed.
Lemma destroy_rec_idle rec s : idle s -> idle (snd (destroy_rec rec s)).
Proof. intros D. unfold destroy_rec. destruct (negb _); [exact D|]. destruct (negb _); exact D. Qed.

Lemma simple_inv fid x1 x2 x3 x4 x5 s : inv s -> idle s -> u64 x1 -> u64 x2 -> u64 x3 -> u64 x4 -> u64 x5 ->
  kept_by (snd (simple_called fid x1 x2 x3 x4 x5 s)).
Proof.
  intros I D U1 U2 U3 U4 U5. unfold simple_called.
  destruct (fid =? _); [split; [by apply delegate_inv|by apply delegate_idle]|].
  destruct (fid =? _); [split; [by apply undelegate_inv|by apply undelegate_idle]|].
  destruct (fid =? _); [split; [by apply create_data_inv|by apply create_data_idle]|].
  destruct (fid =? _); [split; [by apply create_unknown_inv|by apply create_unknown_idle]|].
  destruct (fid =? _); [split; [by apply realm_create_inv|by apply realm_create_idle]|].
  destruct (fid =? _); [split; [by apply activate_inv|by apply activate_idle]|].
  destruct (fid =? _); [split; [by apply destroy_realm_inv|by apply destroy_realm_idle]|].
  destruct (fid =? _); [split; [by apply rec_create_inv|by apply create_rec_idle]|].
  destruct (fid =? _); [split; [by apply rec_destroy_inv|by apply destroy_rec_idle]|].
  destruct (fid =? _); [split; [apply rtt_created_inv; try done; apply U3|by apply rtt_created_idle]|].
  destruct (fid =? _); [split; [apply map_unprotected_inv; try done; apply U2|by apply map_unprotected_idle]|].
  destruct (fid =? _); [split; [by apply psci_complete_inv|by apply psci_complete_idle]|].
  by split.
Qed.
Lemma rmi_inv fid x1 x2 x3 x4 x5 s : inv s -> idle s -> u64 x1 -> u64 x2 -> u64 x3 -> u64 x4 -> u64 x5 ->
  kept_by (snd (rmi_called fid x1 x2 x3 x4 x5 s)).
Proof.
  intros I D U1 U2 U3 U4 U5. unfold rmi_called.
  destruct (fid =? _); [by split|]. destruct (fid =? _); [by split|].
  destruct (fid =? _); [split; [by apply destroy_data_inv|by apply destroy_data_idle]|].
  destruct (fid =? _); [split; [apply rtt_destroyed_inv; try done; apply U2|by apply rtt_destroyed_idle]|].
  destruct (fid =? _); [split; [apply rtt_folded_inv; try done; apply U2|by apply rtt_folded_idle]|].
  destruct (fid =? _); [split; [apply unmap_unprotected_inv; try done; apply U2|by apply unmap_unprotected_idle]|].
  destruct (fid =? _); [by split|].
  destruct (fid =? _); [split; [by apply init_ripas_inv|by apply init_ripas_idle]|].
  destruct (fid =? _); [split; [by apply set_ripas_inv|by apply set_ripas_idle]|].
  pose proof (simple_inv fid x1 x2 x3 x4 x5 s I D U1 U2 U3 U4 U5) as H. by destruct (simple_called fid x1 x2 x3 x4 x5 s).
Qed.

(* ---- Every call of the host ---- *)

Theorem host_smc_inv x0 x1 x2 x3 x4 x5 s :
  inv s -> idle s -> runs s = 0 -> u64 x1 -> u64 x2 -> u64 x3 -> u64 x4 -> u64 x5 ->
  inv (snd (host_smc x0 x1 x2 x3 x4 x5 s)) /\ idle (snd (host_smc x0 x1 x2 x3 x4 x5 s)).
Proof.
  intros I D R U1 U2 U3 U4 U5. unfold host_smc. generalize (called_id x0). intros fid. cbv zeta.
  destruct (fid =? _); [split; [by apply rec_enter_inv|by apply (rec_enter_ends x1 x2 s)]|].
  destruct (fid =? _); [by split|]. destruct (_ && _).
  - pose proof (rmi_inv fid x1 x2 x3 x4 x5 s I D U1 U2 U3 U4 U5) as H. by destruct (rmi_called fid x1 x2 x3 x4 x5 s).
  - pose proof (kcore_called_inv fid x1 x2 x3 x4 x5 s I D U3) as H1. pose proof (kcore_called_idle fid x1 x2 x3 x4 x5 s I D) as H2.
    by destruct (kcore_called fid x1 x2 x3 x4 x5 s).
Qed.
(* The REC in the last result is the one that this CPU runs then. *)
Theorem host_smc_runs x0 x1 x2 x3 x4 x5 s :
  inv s -> idle s -> runs s = 0 -> u64 x1 -> u64 x2 -> u64 x3 -> u64 x4 -> u64 x5 ->
  let (r, s') := host_smc x0 x1 x2 x3 x4 x5 s in get r 5 = runs s' /\ runs_well s'.
Proof.
  intros I D R U1 U2 U3 U4 U5. unfold host_smc. generalize (called_id x0). intros fid. cbv zeta.
  destruct (fid =? _).
  { destruct (rec_enter_ends x1 x2 s I D R) as [_ [[E1 E2]|(E1 & E2 & E3 & E4 & E5)]]; unfold runs_well; cbn [get]; rewrite E1.
    - split; [by rewrite E2|by left].
    - split; [by rewrite E3|right]. rewrite E3. by split; [|exact E5]. }
  destruct (fid =? _).
  { rewrite (five_eq _ (read_entry_five x1 x2 x3 s)). cbn [app get]. split; [by rewrite R|by left]. }
  destruct (_ && _).
  - pose proof (rmi_call_runs _ _ _ _ (eq_trans (rmi_call_ok fid x1 x2 x3 x4 x5 s I D R U1 U2 U3 U4) (f_equal Some (surjective_pairing _)))) as E.
    pose proof (rmi_five fid x1 x2 x3 x4 x5 s) as F. destruct (rmi_called fid x1 x2 x3 x4 x5 s) as [r s1]. cbn [fst snd] in *.
    unfold four. rewrite (five_eq _ F). cbn [take app get]. rewrite E, R. split; [done|]. left. by rewrite E.
  - pose proof (kcore_call_runs _ _ _ _ (eq_trans (kcore_call_ok fid x1 x2 x3 x4 x5 s I D U2 U3 U5) (f_equal Some (surjective_pairing _)))) as E.
    pose proof (kcore_five fid x1 x2 x3 x4 x5 s) as F. destruct (kcore_called fid x1 x2 x3 x4 x5 s) as [r s1]. cbn [fst snd] in *.
    unfold four. rewrite (five_eq _ F). cbn [take app get]. rewrite E, R. split; [done|]. left. by rewrite E.
Qed.

(* ---- Everything the core is entered for ---- *)

Lemma trap_ends trap esr far hpfar s (rec := runs s) : inv s -> idle s -> runs s <> 0 -> runs_well s -> u64 esr -> u64 far -> u64 hpfar ->
  runs_well (snd (rec_trapped rec trap esr far hpfar s)).
Proof.
  intros I D Hn [Hz|[Hl Hc]] U1 U2 U3; [done|]. fold rec in Hl, Hc, Hn.
  assert (C : current rec s) by (by apply inv_current).
  pose proof (trapped_kept rec trap esr far hpfar s I C) as K.
  assert (Ec : cached (snd (rec_trapped rec trap esr far hpfar s)) = cached s).
  { apply (trap_cached s [rec; trap; esr; far; hpfar] [b2z (fst (rec_trapped rec trap esr far hpfar s))]).
    rewrite core_rec_exit_ok by assumption. by destruct (rec_trapped rec trap esr far hpfar s). }
  revert Ec. unfold rec_trapped. destruct (trapped rec trap esr far hpfar s) as [leave s1]. cbn [snd] in K. cbv zeta.
  destruct K as [_ _ _ _ E1 E2 E3 _ _].
  destruct leave; [by left|]. destruct (lines_changed rec s1); [by left|]. intros Ec. change (cached s1 = cached s) in Ec. right.
  enough (loaded s1 = runs s1 /\ rec_get REC_rd (runs s1) 0 s1 ∈ cached s1) as H by exact H.
  unfold realm_of in E3. rewrite E1, E2, Ec. fold rec. by rewrite E3.
Qed.

(* The core deals with whatever comes, and is then where it was. *)
Theorem event_safe e s : between s -> possible e s -> registers e ->
  exists r s', core (fst (entry e s)) (snd (entry e s)) s = Some (r, s') /\ between s'.
Proof.
  intros (I & D & L) P U. destruct e as [x0 x1 x2 x3 x4 x5|esr hpfar far|trap esr far hpfar]; cbn [possible entry registers fst snd] in *.
  - destruct U as (U1 & U2 & U3 & U4 & U5). exists (fst (host_smc x0 x1 x2 x3 x4 x5 s)), (snd (host_smc x0 x1 x2 x3 x4 x5 s)).
    split; [rewrite core_host_smc_ok by assumption; by rewrite <- surjective_pairing|].
    destruct (host_smc_inv x0 x1 x2 x3 x4 x5 s I D P U1 U2 U3 U4 U5) as [I' D'].
    pose proof (host_smc_runs x0 x1 x2 x3 x4 x5 s I D P U1 U2 U3 U4 U5) as R'.
    destruct (host_smc x0 x1 x2 x3 x4 x5 s) as [r s']. by destruct R'.
  - exists [fst (host_aborted esr hpfar far s)], (snd (host_aborted esr hpfar far s)).
    split; [apply core_host_abort_ok; [exact (h_tables _ (i_hw _ I))|exact D]|].
    split; [by apply host_abort_inv|]. split; [by apply host_abort_idle|]. left.
    unfold host_aborted. cbv zeta. destruct (_ && _); [exact P|]. destruct (_ && _); exact P.
  - destruct U as (U1 & U2 & U3). pose proof L as [Hz|[L1 _]]; [done|].
    exists [b2z (fst (rec_trapped (runs s) trap esr far hpfar s))], (snd (rec_trapped (runs s) trap esr far hpfar s)).
    split; [rewrite core_rec_exit_ok by assumption; by destruct (rec_trapped (runs s) trap esr far hpfar s)|].
    split; [by apply rec_exit_inv|]. split; [by apply rec_exit_idle|]. by apply trap_ends.
Qed.
