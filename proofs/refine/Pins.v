(* SPDX-License-Identifier: Apache-2.0 *)
(* The invariant while pages are pinned, and what no walk of the host's reaches. *)
From kcore Require Export refine.HostInv refine.UnderFacts refine.RttWalk.
From kcore Require Import refine.Steps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- Pins and locks ---- *)

(* One more pin on a page of the host's. *)
Lemma inv_pinned pa s : inv s -> pinnable pa s = true -> inv (page_pinned pa s).
Proof.
  intros I H. destruct (pinnable_some _ _ H) as (x & Hx & Hs).
  assert (Hr : 0 <= g_refs x < REFS_MAX).
  { pose proof (i_gran _ I _ _ Hx) as (_ & _ & ?). unfold pinnable in H. rewrite (granule_at_eq _ _ _ Hx) in H. lia. }
  assert (Hn : is_ns (gran s) pa = true) by (unfold is_ns; by rewrite Hx, Hs).
  assert (Ho : g_owner x = 0) by (pose proof (i_owner _ I _ _ Hx) as H1; by rewrite Hs in H1).
  destruct (tracked_facts _ _ _ I Hx) as [[Ppa Apa] R Hnear].
  pose proof (i_mapped _ I _ R) as Mb. pose proof (slot_range 3 pa) as L3.
  assert (Hns : forall p, is_ns (gran (page_pinned pa s)) p = is_ns (gran s) p).
  { intros p. unfold page_pinned, with_refs, set_granule. cbn [gran with_gran]. rewrite (granule_at_eq _ _ _ Hx).
    unfold is_ns. destruct (decide (pa = p)) as [<-|]; [rewrite lookup_insert, Hx; reflexivity|by rewrite lookup_insert_ne]. }
  assert (Hc : hole_count (gran (page_pinned pa s)) (floor_of 2 pa) = hole_count (gran s) (floor_of 2 pa)).
  { unfold hole_count, hole_list. do 2 f_equal. apply List.filter_ext. intros i. by rewrite Hns. }
  assert (No : is_object (gran s) pa = false) by (unfold is_object; rewrite Hx, Hs; reflexivity).
  eapply (inv_change s _ pa x (Gran (g_state x) (g_owner x) (g_refs x + 1))); try reflexivity; try done.
  - by rewrite Hs.
  - cbn. lia.
  - unfold page_pinned, with_refs, set_granule. cbn [gran with_gran]. by rewrite (granule_at_eq _ _ _ Hx).
  - apply (i_mem _ I).
  - rewrite Hns, Hn. pose proof (m_3 _ _ _ _ _ Mb (slot_of 3 pa) L3) as M3. rewrite granule_nth in M3 by done.
    by rewrite Hn in M3.
  - rewrite Hc. rewrite <- slot2_floor. apply (m_2 _ _ _ _ _ Mb).
  - rewrite Hc. symmetry. apply insert_id. apply (m_holes _ _ _ _ _ Mb).
  - cbn. rewrite Hs. done.
  - constructor; try done.
    + intros p Hp. unfold page_pinned, with_refs, set_granule. cbn [gran with_gran]. rewrite lookup_insert_ne; [done|].
      intros <-. congruence.
    + intros p. unfold is_object, page_pinned, with_refs, set_granule. cbn [gran with_gran]. rewrite (granule_at_eq _ _ _ Hx).
      destruct (decide (pa = p)) as [<-|]; [rewrite lookup_insert, Hx; done|by rewrite lookup_insert_ne].
    + intros p Hp _. by rewrite Hns.
    + intros p Hp. rewrite Hns in Hp. pose proof (i_pins _ I _ Hp) as Hu.
      unfold granule_at, page_pinned, with_refs, set_granule. cbn [gran with_gran]. rewrite (granule_at_eq _ _ _ Hx).
      unfold granule_at in Hu. destruct (decide (pa = p)) as [<-|].
      * rewrite lookup_insert. rewrite Hx in Hu. cbn [default from_option id g_refs] in *. lia.
      * by rewrite lookup_insert_ne.
  - exact (i_words _ I).
  - cbn. by left.
Qed.

(* What is held does not matter to it. *)
Lemma inv_under hl sh s : inv s -> inv (under (gran s) hl sh s).
Proof. intros I. by apply (inv_same s). Qed.
Lemma open_under rd hl sh s : inv s -> has_state GS_RD rd s = true -> existsb (lock_eqb (LGranule rd)) hl = true ->
  open_realm rd (under (gran s) hl sh s).
Proof. intros I Hr Hh. constructor; [by apply inv_under|exact Hr|exact Hh]. Qed.

(* A realm's lock does not stand in the way of a claim. *)
Lemma claimable_locked pa rd s : held s = [] -> has_state GS_RD rd s = true ->
  claimable GS_DELEGATED pa (lock_taken (LGranule rd) s) = claimable GS_DELEGATED pa s.
Proof.
  intros Hh Hrd. unfold claimable, free.
  change (has_state GS_DELEGATED pa (lock_taken (LGranule rd) s)) with (has_state GS_DELEGATED pa s).
  unfold holds. cbn [held lock_taken with_held others existsb lock_eqb]. rewrite Hh. cbn [existsb].
  destruct (Z.eqb_spec pa rd) as [->|]; [|reflexivity].
  unfold has_state in *. destruct (gran s !! rd); [|reflexivity]. apply Z.eqb_eq in Hrd. rewrite Hrd. reflexivity.
Qed.

(* ---- The host's walks ---- *)

(* None of them reaches a granule that is not the host's, whatever else changes than its tables. *)
Lemma not_hosts_unreachable s s' pa x : inv s -> gran s !! pa = Some x -> g_state x <> GS_NS -> g_state x <> GS_CORE ->
  hw s' = hw s -> staled s' = [] ->
  (forall t r, role_of (hw s) t = Some r -> page (mem s') t = page (mem s) t) -> unreachable s' pa = true.
Proof.
  intros I Hx N1 N2 Eh Es Hp. destruct (here_of _ _ _ I Hx) as (t1 & t2 & t3 & s1 & s2 & base & H).
  assert (Hn : is_ns (gran s) pa = false) by (unfold is_ns; rewrite Hx; by apply Z.eqb_neq).
  pose proof H as [_ (Eb & Ab & _) Self _ _ _ _ _ _ _ _ W1 W2 W3 V1 V2 _ M1 M2 M3 N3 N4 _].
  assert (Hc : hole_count (gran s) base <> 0).
  { intros E. pose proof (no_holes _ _ E (slot_of 3 pa) (slot_range 3 pa)) as E'. unfold nth_granule in E'.
    rewrite Self in E'. congruence. }
  rewrite (proj2 (Z.eqb_neq _ _) Hc) in M2. rewrite Hn in M3.
  assert (Hw : forall t r i, table_ok (hw s) (gran s) t r -> word (mem s') t i = word (mem s) t i).
  { intros t r i (_ & _ & R & _). unfold word. by rewrite (Hp t r R). }
  destruct (host_walks_none _ _ _ _ _ _ _ _ _ _ _ (mem s') H) as [U1 U2].
  - by rewrite (Hw _ _ _ W1).
  - by rewrite (Hw _ _ _ W2).
  - by rewrite (Hw _ _ _ W3).
  - intros N. rewrite (Hw _ _ _ (V1 N)), (Hw _ _ _ (V2 N)). auto.
  - unfold unreachable. by rewrite Eh, U1, U2, Es.
Qed.
