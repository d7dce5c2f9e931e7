(* SPDX-License-Identifier: Apache-2.0 *)
(* The calls for ranges of granules are several transactions: one for each granule, and each of these is a handler that takes first. *)
From kcore Require Import lang.Parts.
From kcore Require Import spec.KcoreCall.
From kcore Require Import spec.RmiCall.
From kcore Require Import refine.Tactics.
From kcore Require Import refine.HostmemRefine.
From kcore Require Import refine.HostInv.
From kcore Require Import refine.RunsKept.
From kcore Require Import concurrent.Serial.
Local Open Scope string_scope.
Local Open Scope list_scope.
Local Open Scope Z_scope.

Lemma one_granule_runs : named "granule_delegate" runs_nothing && named "granule_undelegate" runs_nothing = true.
Proof. vm_compute. reflexivity. Qed.

Theorem delegate_handler pa rs : handler (Job "granule_delegate" [pa] rs).
Proof.
  intros s I D N. pose proof (granule_delegate_ok pa s I D) as H. eexists _, _. split; [exact H|]. split; [by apply delegate_inv|].
  split; [by apply delegate_idle|]. intros _. rewrite (core_runs _ _ _ _ _ (proj1 (andb_prop _ _ one_granule_runs)) H). exact N.
Qed.
Theorem undelegate_handler pa rs : handler (Job "granule_undelegate" [pa] rs).
Proof.
  intros s I D N. pose proof (granule_undelegate_ok pa s I D) as H. eexists _, _. split; [exact H|]. split; [by apply undelegate_inv|].
  split; [by apply undelegate_idle|]. intros _. rewrite (core_runs _ _ _ _ _ (proj2 (andb_prop _ _ one_granule_runs)) H). exact N.
Qed.

(* Runs of f with one argument, one after the other. *)
Definition one_by_one (f : string) : list (call prim) -> Prop := composed program (fun g args => g = f /\ exists pa, args = [pa]).

Lemma delegates tr pa n rs : performs program "granule_delegate_range" [pa; n] tr rs -> one_by_one "granule_delegate" tr.
Proof.
  apply (performs_composed _ _ _ f_granule_delegate_range _ _ _ program_wf); [vm_compute; reflexivity|].
  cbn [only_calls f_body f_granule_delegate_range]. repeat split; eauto.
Qed.
Lemma undelegates tr pa n rs : performs program "granule_undelegate_range" [pa; n] tr rs -> one_by_one "granule_undelegate" tr.
Proof.
  apply (performs_composed _ _ _ f_granule_undelegate_range _ _ _ program_wf); [vm_compute; reflexivity|].
  cbn [only_calls f_body f_granule_undelegate_range]. repeat split; eauto.
Qed.

(* A function that only hands on what another gives makes its calls. *)
Lemma handed_on g args (k : list Z -> M script (list Z)) x tr (rs : list Z) :
  bind (link answering program g args) k x = Some (rs, ([], tr)) -> (forall vs, exists l, k vs = ret l) ->
  exists vs, link answering program g args x = Some (vs, ([], tr)).
Proof.
  unfold bind. destruct (link answering program g args x) as [[vs y]|]; [|discriminate]. intros H Hk. destruct (Hk vs) as [l E].
  rewrite E in H. injection H as _ ->. by exists vs.
Qed.

Ltac unfolds K f :=
  lazymatch type of K with
  | link answering program ?name _ _ = _ => rewrite (link_fix answering program name f program_wf ltac:(vm_compute; reflexivity)) in K
  end;
  cbv beta iota zeta delta [denote f f_body f_params f_slots Nat.sub fresh app exec get put puts evals eval test binop_sem cmp_sem] in K.
(* Tests of constants. *)
Ltac decides K := cbv beta iota zeta delta [KCORE_DELEGATE_RANGE KCORE_UNDELEGATE_RANGE Z.eqb Pos.eqb Z.leb Z.compare Pos.compare
    Pos.compare_cont CompOpp negb andb] in K.
Ltac hands_on K :=
  lazymatch type of K with
  | bind (link answering program ?g ?args) ?k ?x = _ =>
      apply (handed_on g args k x) in K; [destruct K as [? K]|intros ?; eexists; exact eq_refl]
  end.

Lemma id_smc id x0 x1 x2 x3 x4 x5 tr rs : called_id x0 = id -> id = KCORE_DELEGATE_RANGE \/ id = KCORE_UNDELEGATE_RANGE ->
  performs program "core_host_smc" [x0; x1; x2; x3; x4; x5] tr rs ->
  exists vs, performs program "kcore_call" [id; x1; x2; x3; x4; x5] tr vs.
Proof.
  intros H Hid K. change (Z.land (Z.land x0 4294967295) 18446744073709486079 = id) in H. unfold performs in *. unfolds K f_core_host_smc.
  rewrite H in K.
  destruct Hid as [-> | ->]; decides K; hands_on K; eexists; exact K.
Qed.

(* So every call of the host for a range is one section for each granule. *)
Theorem delegate_range_sections x0 x1 x2 x3 x4 x5 tr rs : called_id x0 = KCORE_DELEGATE_RANGE ->
  performs program "core_host_smc" [x0; x1; x2; x3; x4; x5] tr rs -> one_by_one "granule_delegate" tr.
Proof.
  intros H K. destruct (id_smc _ _ _ _ _ _ _ _ _ H (or_introl eq_refl) K) as [vs Kc]. clear K. unfold performs in Kc.
  unfolds Kc f_kcore_call. decides Kc.
  hands_on Kc. unfolds Kc f_kcore_delegate_range. hands_on Kc. eapply delegates. exact Kc.
Qed.
Theorem undelegate_range_sections x0 x1 x2 x3 x4 x5 tr rs : called_id x0 = KCORE_UNDELEGATE_RANGE ->
  performs program "core_host_smc" [x0; x1; x2; x3; x4; x5] tr rs -> one_by_one "granule_undelegate" tr.
Proof.
  intros H K. destruct (id_smc _ _ _ _ _ _ _ _ _ H (or_intror eq_refl) K) as [vs Kc]. clear K. unfold performs in Kc.
  unfolds Kc f_kcore_call. decides Kc.
  hands_on Kc. unfolds Kc f_kcore_undelegate_range. hands_on Kc. eapply undelegates. exact Kc.
Qed.
