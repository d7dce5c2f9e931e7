(* SPDX-License-Identifier: Apache-2.0 *)
(* Functions that several CPUs may run at once: what run_is_serial asks of them. *)
From kcore Require Import concurrent.Serial.
From kcore Require Import refine.Tactics.
From kcore Require Import refine.HostmemRefine.
From kcore Require Import refine.HostInv.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* A REC stays as it is where neither its word nor its page changes. *)
Lemma runs_well_same s s' rec : gran s' !! rec = gran s !! rec -> page (mem s') rec = page (mem s) rec -> runs_well s rec -> runs_well s' rec.
Proof.
  intros A B H N. destruct (H N) as [C D]. split; [unfold has_state in *; by rewrite A|].
  unfold rec_of, rec_get, word in *. by rewrite B.
Qed.

Lemma rec_apart s pa x st rec : inv s -> gran s !! pa = Some x -> g_state x = st -> st <> GS_REC -> runs_well s rec -> rec <> 0 ->
  rec <> pa /\ rec <> host_table (hw s) 2 pa /\ rec <> host_table (hw s) 3 pa.
Proof.
  intros I Hx Hst Hn R Nz. destruct (R Nz) as [A _]. unfold has_state in A. destruct (gran s !! rec) as [g|] eqn:Hg; [|discriminate].
  apply Z.eqb_eq in A. destruct (tracked_facts _ _ _ I Hx) as [_ Rg Hnear]. destruct (Hnear 2) as [N2 _], (Hnear 3) as [N3 _].
  pose proof (i_wired _ I _ Rg) as W. rewrite N2, N3.
  split; [intros ->; congruence|]. split; intros E; subst rec.
  - destruct (w_t2 _ _ _ W) as (_ & _ & Hr & _). pose proof (i_host _ I _ _ _ Hg Hr) as Q. rewrite A in Q. discriminate.
  - destruct (w_t3 _ _ _ W) as (_ & _ & Hr & _). pose proof (i_host _ I _ _ _ Hg Hr) as Q. rewrite A in Q. discriminate.
Qed.

Theorem delegate_handler pa : handler "granule_delegate" [pa].
Proof.
  intros s I D N. exists [fst (delegate pa s)], (snd (delegate pa s)).
  split; [by apply granule_delegate_ok|]. split; [by apply delegate_inv|]. unfold delegate.
  destruct (claimable GS_NS pa s) eqn:C; [|auto]. destruct (claimable_inv _ _ _ C) as (x & Hx & Hns & _).
  destruct (g_refs (granule_at s pa) =? 0); cbn [andb snd]; [|auto].
  split; [exact D|]. split; [exact N|]. intros rec R.
  destruct (Z.eq_dec rec 0) as [->|Nz]; [intros F; by destruct F|].
  destruct (rec_apart s pa x GS_NS rec I Hx Hns ltac:(discriminate) R Nz) as (A & B & E).
  apply (runs_well_same s); [| |exact R].
  - cbn [counted set_granule put_page host_unmapped gran with_gran with_counters with_mem with_holes]. by rewrite lookup_insert_ne by congruence.
  - cbn [counted set_granule put_page host_unmapped mem with_gran with_counters with_mem with_holes].
    rewrite page_insert_other by congruence. by rewrite !page_set_page by congruence.
Qed.

Theorem undelegate_handler pa : handler "granule_undelegate" [pa].
Proof.
  intros s I D N. exists [fst (undelegate pa s)], (snd (undelegate pa s)).
  split; [by apply granule_undelegate_ok|]. split; [by apply undelegate_inv|]. unfold undelegate.
  destruct (claimable GS_DELEGATED pa s) eqn:C; [|auto]. destruct (claimable_inv _ _ _ C) as (x & Hx & Hns & _). cbn [snd].
  split; [exact D|]. split; [exact N|]. intros rec R.
  destruct (Z.eq_dec rec 0) as [->|Nz]; [intros F; by destruct F|].
  destruct (rec_apart s pa x GS_DELEGATED rec I Hx Hns ltac:(discriminate) R Nz) as (A & B & E).
  apply (runs_well_same s); [| |exact R].
  - cbn [counted set_granule host_mapped gran with_gran with_counters with_mem with_holes]. by rewrite lookup_insert_ne by congruence.
  - cbn [counted set_granule host_mapped mem hw holes with_gran with_counters with_mem with_holes].
    destruct (_ =? 0); by rewrite !page_set_page by congruence.
Qed.
