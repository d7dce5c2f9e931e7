(* SPDX-License-Identifier: Apache-2.0 *)
(* What neither the host nor a device reaches: a granule that is not the host's. *)
From kcore Require Export refine.HostmemRefine.
Local Open Scope Z_scope.

(* s' may be in the middle of a handler that began in s and has left the host's tables alone. *)
Lemma hidden s s' pa x :
  inv s -> gran s !! pa = Some x -> g_state x <> GS_NS -> hw s' = hw s -> staled s' = [] ->
  (forall t r, role_of (hw s) t = Some r -> page (mem s') t = page (mem s) t) -> unreachable s' pa = true.
Proof.
  intros I Hx N Eh Est Em. destruct (here_of _ _ _ I Hx) as (t1 & t2 & t3 & s1 & s2 & base & H).
  assert (W : forall t r i, table_ok (hw s) (gran s) t r -> word (mem s') t i = word (mem s) t i).
  { intros t r i (_ & _ & Hr & _). unfold word. by rewrite (Em t r). }
  assert (Hns : is_ns (gran s) pa = false) by (unfold is_ns; rewrite Hx; by apply Z.eqb_neq).
  destruct H as [[Ppa Apa] (Eb & Ab & Pb & Ab') Self T1 T2 T3 S1 S2 B2 B3 C2 W1 W2 W3 V1 V2 V0 M1 M2 M3 N1 N2 Ho].
  assert (Hole : hole_count (gran s) base <> 0).
  { intros E. pose proof (no_holes _ _ E (slot_of 3 pa) (slot_range 3 pa)) as Hh. unfold nth_granule in Hh.
    rewrite Self in Hh. congruence. }
  rewrite (proj2 (Z.eqb_neq _ _) Hole) in M2. rewrite Hns in M3.
  pose proof W2 as (P2 & A2 & _). pose proof W3 as (P3 & A3 & _).
  unfold unreachable. rewrite Est, Eh. cbn [existsb negb andb].
  rewrite (walk_none (hw s) (mem s') Cpu pa t2 t3); try done.
  2:{ cbn. rewrite T1. by erewrite W. }
  2:{ by erewrite W. }
  2:{ by erewrite W. }
  destruct (Z.eq_dec s1 0) as [E0|Ne].
  - unfold walk_host. rewrite S1, E0. reflexivity.
  - pose proof (V2 Ne) as V2'. pose proof V2' as (Q2 & D2 & _).
    rewrite (walk_none (hw s) (mem s') Smmu pa s2 t3); try done.
    + cbn. rewrite S1. erewrite W; [by apply N1|by apply V1].
    + erewrite W; [by apply N2|exact V2'].
    + by erewrite W.
Qed.
