(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: destroying tables. *)
From kcore Require Export refine.RttTable.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem rtt_destroy_locked_ok rd ipa level s :
  open_realm rd s -> staled s = [] -> 0 <= ipa -> u64 level ->
  core "rtt_destroy_locked" [rd; ipa; level] s = Some (fst (destroy_locked rd ipa level s), snd (destroy_locked rd ipa level s)).
Proof.
  intros O Hst Hi Hl. pose proof (open_hand _ _ O) as Hh. pose proof O as [I Hr _].
  destruct (i_realm _ I _ Hr) as [_ _ (Hlev & _) _ _ _ _ _ _].
  enter f_rtt_destroy_locked. unfold destroy_locked. step.
  change (rd_get RD_vmid rd 0 s) with (rd_of s RD_vmid rd). use ipa_in_par_ok.
  eapply bind_call; [apply rtt_table_ok_ok; [done|done|lia]|]. tidy.
  destruct (table_possible rd ipa level s) eqn:Hp; cbn [negb]; [|reflexivity].
  destruct (possible_facts _ _ _ _ Hp) as (Hle & Hb & Ha). rewrite (wrap_small (level - 1)) by lia.
  eapply bind_call; [apply rtt_walk_ok; [done|lia|lia]|]. tidy.
  destruct (walk_found rd ipa (level - 1) s O ltac:(lia)) as (p & F). set (w := walk rd ipa (level - 1) s) in *.
  pose proof (found_range _ _ _ _ _ F) as Hrg. eapply bind_call; [apply error_rtt_ok; lia|]. tidy.
  pose proof (found_ipa _ _ _ _ _ F) as Hu48.
  eapply bind_call; [apply rtt_walk_top_ok; [apply (i_mem _ I)|intros; by eapply found_read|apply F|done]|]. tidy.
  assert (Ew : Walked (w_level w) (w_table w) (w_slot w) (w_desc w) = w) by by destruct w. rewrite Ew.
  unfold table_there. change K_TABLE with 4. destruct (Z.eqb_spec (w_level w) (level - 1)) as [El|]; cbn [negb orb andb]; [|reflexivity].
  destruct (Z.eqb_spec (w_kind w) 4) as [Ek|]; cbn [negb orb]; [|reflexivity].
  pose proof (child_found _ _ _ _ _ _ F El Ek) as C. use s2_pa_ok. set (c := out_addr (w_desc w)) in *.
  pose proof (child_hand _ _ _ _ _ _ _ C) as Hhc. step.
  change (g_refs (granule_at s c)) with (refs_of c s).
  destruct (Z.eqb_spec (refs_of c s) 0) as [E0|]; cbn [negb].
  2:{ eapply bind_call; [apply error_rtt_ok; lia|]. tidy. reflexivity. }
  use s2_unassigned_ns_ok.
  assert (Hf : exists f, entry_freed rd ipa s = f /\ broken f = f /\ is_valid f = false /\
    f = if in_par rd ipa s then unassigned RIPAS_DESTROYED else unassigned_ns).
  { unfold entry_freed. destruct (in_par rd ipa s); eexists; split_and!; reflexivity. }
  destruct Hf as (f & Ef & Bf & Vf & Hf). rewrite Ef.
  destruct (child_broken _ _ _ _ _ _ _ _ C Hst Bf Vf) as (s' & B1 & B2).
  pose proof (table_gone_ok _ _ _ _ _ _ _ f C Hst Vf) as (G1 & G2 & G3 & G4 & G5 & _). cbv zeta in *.
  unfold table_gone. fold c.
  destruct (in_par rd ipa s); [use s2_unassigned_ok; [lia|]; change (unassigned 2) with (unassigned RIPAS_DESTROYED)|]; rewrite <- Hf.
  all: eapply bind_call; [exact B1|]; tidy; eapply bind_call; [exact B2|]; tidy.
  all: eapply bind_call; [exact G1|]; tidy; eapply bind_call; [exact G2|]; tidy; eapply bind_call; [exact G3|]; tidy.
  all: eapply bind_call; [apply rtt_walk_top_ok; [exact G4|exact G5|apply F|done]|]; tidy; rewrite Ew; reflexivity.
Qed.

Lemma put_locked rd w d s : entry_put w d (locked rd s) = locked rd (entry_put w d s).
Proof. reflexivity. Qed.
Lemma uncached_locked rd v s : uncached v (locked rd s) = locked rd (uncached v s).
Proof. reflexivity. Qed.
Lemma refs_locked rd t n s : refs_added t n (locked rd s) = locked rd (refs_added t n s).
Proof. reflexivity. Qed.
Lemma scrubbed_locked rd c s : scrubbed c (locked rd s) = locked rd (scrubbed c s).
Proof. reflexivity. Qed.
Lemma table_gone_locked rd level w d s : table_gone rd level w d (locked rd s) = locked rd (table_gone rd level w d s).
Proof.
  unfold table_gone. rewrite put_locked, uncached_locked, refs_locked, dropped_locked, scrubbed_locked. reflexivity.
Qed.
Lemma table_gone_rest rd ipa level w p s c freed : child_of rd ipa level w p s c -> staled s = [] -> is_valid freed = false ->
  held (table_gone rd level w freed s) = held s /\ shrinking (table_gone rd level w freed s) = shrinking s /\
  staled (table_gone rd level w freed s) = [].
Proof.
  intros C Hst Hv. pose proof (table_gone_ok _ _ _ _ _ _ _ _ C Hst Hv) as (_ & _ & _ & _ & _ & K1 & K2 & K3).
  unfold table_gone. rewrite (ch_addr _ _ _ _ _ _ _ C). revert K1 K2 K3.
  generalize (ns_dropped rd level c (refs_added (w_table w) (2 ^ 64 - 1) (uncached (rd_of s RD_vmid rd) (entry_put w freed s)))).
  intros x K1 K2 K3. split; [exact K1|]. split; [exact K2|exact K3].
Qed.

Lemma destroy_locked_under rd ipa level s :
  destroy_locked rd ipa level (locked rd s) = (fst (destroy_locked rd ipa level s), locked rd (snd (destroy_locked rd ipa level s))).
Proof.
  unfold destroy_locked. change (table_possible rd ipa level (locked rd s)) with (table_possible rd ipa level s).
  change (walk rd ipa (level - 1) (locked rd s)) with (walk rd ipa (level - 1) s). generalize (walk rd ipa (level - 1) s). intros w.
  change (entry_freed rd ipa (locked rd s)) with (entry_freed rd ipa s). rewrite table_gone_locked.
  change (refs_of (out_addr (w_desc w)) (locked rd s)) with (refs_of (out_addr (w_desc w)) s).
  generalize (table_gone rd level w (entry_freed rd ipa s) s). intros x.
  destruct (negb _); [reflexivity|]. destruct (negb _); [reflexivity|]. destruct (negb _); reflexivity.
Qed.

Theorem rtt_destroy_ok rd ipa level s :
  inv s -> idle s -> 0 <= ipa -> u64 level ->
  core "rtt_destroy" [rd; ipa; level] s = Some (fst (rtt_destroyed rd ipa level s), snd (rtt_destroyed rd ipa level s)).
Proof.
  intros I (Hh & Hs & Hst) Hi Hl. enter f_rtt_destroy. unfold rtt_destroyed. apply bind_lock; [done..|].
  destruct (has_state GS_RD rd s) eqn:Hr; tidy; [|reflexivity]. pose proof (locked_open _ _ I Hr) as O.
  eapply bind_call; [apply rtt_destroy_locked_ok; [done|done|done|done]|]. rewrite destroy_locked_under. cbn [fst snd].
  assert (K : (exists a b c d e, fst (destroy_locked rd ipa level s) = [a; b; c; d; e]) /\
    held (snd (destroy_locked rd ipa level s)) = [] /\ shrinking (snd (destroy_locked rd ipa level s)) = false /\
    staled (snd (destroy_locked rd ipa level s)) = []).
  { unfold destroy_locked, refused. destruct (negb (table_possible rd ipa level s)) eqn:Hp; [split; [eauto 10|done]|].
    apply negb_false_iff in Hp.
    destruct (negb (table_there level (walk rd ipa (level - 1) s))) eqn:Ht; [split; [eauto 10|done]|]. apply negb_false_iff in Ht.
    destruct (negb (refs_of (out_addr (w_desc (walk rd ipa (level - 1) s))) s =? 0)); [split; [eauto 10|done]|].
    apply andb_true_iff in Ht as [El%Z.eqb_eq Ek%Z.eqb_eq]. destruct (possible_facts _ _ _ _ Hp) as (_ & Hb & _).
    destruct (walk_found rd ipa (level - 1) (locked rd s) O (conj Hi Hb)) as (p & F).
    change (walk rd ipa (level - 1) (locked rd s)) with (walk rd ipa (level - 1) s) in F.
    pose proof (child_found _ _ _ _ _ _ F El Ek) as C.
    assert (Vf : is_valid (entry_freed rd ipa s) = false) by (unfold entry_freed; destruct (in_par rd ipa s); reflexivity).
    pose proof (table_gone_rest _ _ _ _ _ _ _ _ C Hst Vf) as (K1 & K2 & K3). rewrite table_gone_locked in K1, K2, K3.
    clear C F O. revert K1 K2 K3. cbn [fst snd].
    generalize (table_gone rd level (walk rd ipa (level - 1) s) (entry_freed rd ipa s) s). intros x K1 K2 K3.
    cbn [held shrinking staled lock_taken with_held] in K1, K2, K3. injection K1 as K1.
    split; [eauto 10|]. by rewrite K1, K2, K3. }
  destruct K as ((a & b & c & d & e & ->) & K1 & K2 & K3). tidy. apply bind_unlock; [done..|]. tidy. reflexivity.
Qed.
