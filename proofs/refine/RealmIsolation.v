(* SPDX-License-Identifier: Apache-2.0 *)
(* Between handlers a realm reaches its own pages and pages of the host's, and nothing else. *)
From kcore Require Import refine.TreeFacts.
From kcore Require Import spec.Isolation.
From Coq Require Import Lia.
Local Open Scope Z_scope.

Lemma table_valid level d : is_table level d = true -> is_valid d = true.
Proof.
  unfold is_table, is_valid. intros [_ H%Z.eqb_eq]%andb_true_iff. apply negb_true_iff, Z.eqb_neq. intros E.
  replace (Z.land d 1) with (Z.land (Z.land d 3) 1) in E by (rewrite <- Z.land_assoc; reflexivity).
  rewrite H in E. discriminate.
Qed.

Lemma realm_table_placed s rd level base t : inv s -> has_state GS_RD rd s = true ->
  realm_table s rd level base t -> exists parent, places s !! t = Some (Place rd level base parent).
Proof.
  intros I Hrd H. induction H as [n Hn | level base t i H IH Hi Ht].
  - exists 0. exact (r_tables _ _ (i_realm _ I rd Hrd) n Hn).
  - destruct IH as [parent Hp]. exists t. pose proof (t_entry _ _ _ (i_table _ I _ _ Hp) i Hi) as E.
    cbn [p_base p_level] in E. pose proof (table_valid _ _ Ht) as Hv.
    remember (word (mem s) t i) as d eqn:Ed. clear Ed.
    destruct E as [r Hr _ | q r Hr _ _ Hq Hqa _ | _ | host _ _ _ Hh _ | child _ Hl Hc | _]; cbn [p_rd p_level] in *.
    + destruct (unassigned_facts level r Hr) as (V & _). congruence.
    + destruct (assigned_ok level q r Hr Hq (aligned_size _ _ Hqa)) as (_ & _ & T & _). congruence.
    + destruct (unassigned_ns_facts level) as (V & _). congruence.
    + destruct (assigned_ns_facts level host Hh) as (_ & _ & T & _). congruence.
    + destruct (place_granule _ _ _ I Hc) as (Pc & Ac & _). destruct (table_desc_ok child Pc Ac) as (_ & _ & O & _).
      rewrite O. exact Hc.
    + discriminate.
Qed.

Theorem realm_isolated s rd pa g : inv s -> idle s -> has_state GS_RD rd s = true -> realm_reaches s rd pa ->
  pa mod 4096 = 0 -> gran s !! pa = Some g -> g_state g = GS_DATA /\ g_owner g = rd \/ g_state g = GS_NS.
Proof.
  intros I (_ & _ & Hst) Hrd H Ha Hg. destruct H as [(level & base & t & i & H & Hi & Hc) | (level & ipa & d & H & _)].
  2:{ rewrite Hst in H. destruct H. }
  destruct (realm_table_placed _ _ _ _ _ I Hrd H) as [parent Hp].
  pose proof (t_entry _ _ _ (i_table _ I _ _ Hp) i Hi) as E.
  destruct (leaf_target s t _ _ _ pa E Hc Ha) as [O | O].
  - intros child Hch. by destruct (place_granule _ _ _ I Hch) as (P & A & _).
  - left. cbn [p_rd] in O. unfold own_data in O. rewrite Hg in O. by apply andb_true_iff in O as [?%Z.eqb_eq ?%Z.eqb_eq].
  - right. unfold is_ns in O. rewrite Hg in O. by apply Z.eqb_eq.
Qed.
