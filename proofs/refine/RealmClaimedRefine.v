(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/realm.c: RMI_REALM_CREATE once the RD and the VMID are claimed. *)
From kcore Require Export refine.RealmRefine.
From kcore Require Export refine.RealmCreateRefine.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- What the RD says after it is filled ---- *)

Lemma rd_of_other f g rd i v s : 0 <= i -> 0 <= rd_off f + i -> rd_off f + i <> rd_off g -> 0 <= rd_off g ->
  rd_of (rd_set f rd i v s) g rd = rd_of s g rd.
Proof.
  intros. unfold rd_of, rd_get, rd_set, put_word. cbn [mem with_mem]. unfold rd_word. apply word_set_slot; lia.
Qed.
Lemma rd_of_set f rd v s : mem_ok (mem s) -> rd_of (rd_set f rd 0 v s) f rd = v.
Proof.
  intros H. unfold rd_of, rd_get, rd_set, put_word. cbn [mem with_mem]. unfold rd_word. apply word_set_same; [exact H|].
  destruct f; cbn [rd_off]; lia.
Qed.
Lemma mem_ok_rd f rd i v s : mem_ok (mem s) -> mem_ok (mem (rd_set f rd i v s)).
Proof. intros H. unfold rd_set, put_word. cbn [mem with_mem]. by apply set_word_ok. Qed.
Lemma each_keeps {A} n (f : Z -> state -> state) (g : state -> A) s :
  (forall i s, 0 <= i -> g (f i s) = g s) -> g (each_below n f s) = g s.
Proof. intros Hf. induction n as [|n IH]; [reflexivity|]. by rewrite each_below_S, Hf by lia. Qed.

Lemma measured_rd g rd s : 0 <= rd_off g < 10 -> rd_of (realm_measured rd s) g rd = rd_of s g rd.
Proof.
  intros Hg. unfold realm_measured, stored, each. rewrite (each_keeps 8 _ (fun x => rd_of x g rd)); [reflexivity|].
  intros i x Hi. apply rd_of_other; cbn [rd_off]; lia.
Qed.
Lemma filled_rd rd p s : mem_ok (mem s) ->
  rd_of (realm_filled rd p s) RD_start_level rd = p_start_level p /\ rd_of (realm_filled rd p s) RD_num_start rd = p_num_start p /\
  rd_of (realm_filled rd p s) RD_rtt_base rd = p_rtt_base p.
Proof.
  intros H. unfold realm_filled, each.
  split_and!; rewrite measured_rd by (cbn [rd_off]; lia);
    rewrite (each_keeps 8 _ (fun x => rd_of x _ rd)) by (intros i x Hi; apply rd_of_other; cbn [rd_off]; lia);
    repeat (rewrite rd_of_other by (cbn [rd_off]; lia)); apply rd_of_set; repeat apply mem_ok_rd; exact H.
Qed.
Lemma scratch_filled_rd rd p s : scratch rd s (realm_filled rd p s).
Proof. unfold realm_filled, each. apply scratch_realm. Steps.scratch_now. Qed.

(* ---- What filling the tables leaves ---- *)

Definition no_valid (l : list Z) : bool := forallb (fun d => negb (is_valid d)) l.
Lemma no_valid_set l i v : no_valid l = true -> is_valid v = false -> no_valid (set_nth l i v) = true.
Proof.
  unfold no_valid. rewrite !forallb_forall. intros Hl Hv x Hx%elem_of_list_In. unfold set_nth in Hx.
  apply elem_of_list_lookup in Hx as [j Hj]. apply list_lookup_insert_Some in Hj as [(_ & <- & _)|(_ & Hj)]; [by rewrite Hv|].
  apply Hl, elem_of_list_In, elem_of_list_lookup. eauto.
Qed.

Record tables_put (base n : Z) (s s' : state) : Prop := TablesPut {
  tp_rest : s' = with_mem (mem s') s;
  tp_page : forall q, (forall i, 0 <= i < n -> q <> base + i * 4096) -> page (mem s') q = page (mem s) q;
  tp_valid : forall q, no_valid (page (mem s) q) = true -> no_valid (page (mem s') q) = true;
}.
Lemma tables_put_refl base n s : tables_put base n s s.
Proof. constructor; [by destruct s|done|done]. Qed.
Lemma tables_put_trans base n s s1 s2 : tables_put base n s s1 -> tables_put base n s1 s2 -> tables_put base n s s2.
Proof.
  intros [R1 P1 V1] [R2 P2 V2]. constructor; [|intros; by rewrite P2, P1|auto].
  rewrite R2. rewrite R1. reflexivity.
Qed.
Lemma written_put base n t f m s : 0 <= t < n -> (forall i d, f i = Some d -> is_valid d = false) ->
  tables_put base n s (written (base + t * 4096) f m s).
Proof.
  intros Ht Hf. induction m as [|m IH]; [apply tables_put_refl|]. rewrite written_S.
  destruct (f (Z.of_nat m)) as [d|] eqn:E; [|exact IH]. apply (tables_put_trans _ _ _ _ _ IH).
  generalize (written (base + t * 4096) f m s). intros x. constructor.
  - reflexivity.
  - intros q N. unfold put_word. cbn [mem with_mem]. apply page_set_page. intros <-. by apply (N t).
  - intros q V. unfold put_word, set_word. cbn [mem with_mem]. destruct (decide (base + t * 4096 = q)) as [<-|N].
    + rewrite page_insert_same. apply no_valid_set; [exact V|]. by apply (Hf (Z.of_nat m)).
    + by rewrite page_insert_other.
Qed.
Lemma start_filled_put rd n s :
  tables_put (rd_of s RD_rtt_base rd) (Z.of_nat n) s (start_filled rd n s).
Proof.
  destruct (start_tables_filled rd s) as (after & A0 & A & ->). cbv zeta in A.
  enough (forall m, (m <= n)%nat -> tables_put (rd_of s RD_rtt_base rd) (Z.of_nat n) s (after m)) as H by (by apply H).
  induction m as [|m IH]; intros Hm; [rewrite A0; apply tables_put_refl|]. rewrite A.
  apply (tables_put_trans _ _ _ _ _ (IH ltac:(lia))). apply written_put; [lia|].
  intros i d. unfold start_entry. destruct (_ && _); [|done]. by intros [= <-].
Qed.

(* ---- All together ---- *)

Lemma possible_facts p s : width (hw s) <= 48 -> realm_possible p s = true ->
  0 <= p_s2sz p <= 48 /\ 1 <= p_num_start p <= 16 /\ p_rtt_base p mod 4096 = 0 /\ p_start_level p <= 2.
Proof.
  intros Hw H. unfold realm_possible in H. rewrite !andb_true_iff in H.
  destruct H as (((((_ & S1 & S2) & _) & N1 & N2) & _) & B).
  pose proof (start_tables_range (p_start_level p) (p_s2sz p) s) as R.
  apply negb_true_iff, Z.eqb_neq in N1.
  assert (L : p_start_level p <= 2).
  { unfold start_tables in N1. destruct (Z.ltb_spec 2 (p_start_level p)); [by destruct N1|lia]. }
  apply Z.eqb_eq in N2, B. rewrite <- N2 in R, N1, B.
  split; [lia|]. split; [lia|]. split; [|exact L]. change 4096 with (2 ^ 12). rewrite <- Z.land_ones by lia.
  assert (E : Z.ones 12 = Z.land (4096 * p_num_start p - 1) (Z.ones 12)).
  { rewrite Z.land_ones by lia. change (Z.ones 12) with 4095. change (2 ^ 12) with 4096.
    replace (4096 * p_num_start p - 1) with (4095 + (p_num_start p - 1) * 4096) by lia.
    rewrite Z.mod_add by lia. reflexivity. }
  rewrite E, Z.land_assoc, B. reflexivity.
Qed.

Lemma claims_same {A} (g : state -> A) n base s : (forall hl sh x, g (with_held hl sh x) = g x) ->
  g (claims_taken n base s) = g s /\ g (claims_dropped n base s) = g s.
Proof. intros H. split; apply each_keeps; intros i x _; [apply H|unfold lock_dropped; apply H]. Qed.
Lemma owned_same {A} (g : state -> A) rd level base n s :
  (forall m x, g (with_gran m x) = g x) -> (forall m x, g (with_places m x) = g x) -> g (starts_owned rd level base n s) = g s.
Proof. intros H1 H2. apply each_keeps. intros i x _. unfold start_owned, set_granule. by rewrite H2, H1. Qed.

(* Of the invariant: what it says of granules that are nobody's. *)
Theorem realm_create_claimed_ok rd p s s0 :
  inv s0 -> hw s = hw s0 -> gran s = gran s0 -> mem s = mem s0 -> places s = places s0 ->
  held s = [LGranule rd] -> shrinking s = false -> staled s = [] -> has_state GS_DELEGATED rd s = true ->
  p_vmid p ∈ vmids s -> realm_possible p s = true -> u64 (p_rtt_base p) -> 0 <= p_start_level p ->
  core "realm_create_claimed" (rd :: slots p) s = Some ([fst (create_claimed rd p s)], snd (create_claimed rd p s)).
Proof.
  intros I Eh Eg Em Ep Hh Hs Hst Hd Hv Hp Hu Hlv0.
  destruct (possible_facts p s) as (Hsz & Hn & Ha & Hlv); [rewrite Eh; apply (h_width _ (i_hw _ I))|exact Hp|].
  remember (Z.to_nat (p_num_start p)) as n eqn:En0. assert (En : Z.of_nat n = p_num_start p) by lia.
  unfold create_claimed. rewrite <- En0.
  pose proof (granules_claim_ok (p_rtt_base p) n s ltac:(lia) Hs) as C. rewrite En in C.
  unfold slots. enter f_realm_create_claimed.
  eapply bind_call; [apply C; [unfold holds; by rewrite Hh|by rewrite Hh]|]. tidy. clear C.
  unfold claim_all. set (ok i := claimable GS_DELEGATED (nth_page (p_rtt_base p) i) s).
  destruct (leading ok n =? n)%nat eqn:El; cbn [fst snd]; [|reflexivity].
  apply Nat.eqb_eq in El. change (1 =? 0) with false. change (z2b 1) with true. cbn [negb fst snd].
  assert (Hok : forall i, 0 <= i < Z.of_nat n -> ok i = true) by (intros i Hi; apply (leading_ok ok n); by rewrite El).
  assert (Hb : 0 < p_rtt_base p < 2 ^ 40).
  { pose proof (Hok 0 ltac:(lia)) as H0. unfold ok in H0. rewrite nth_page_0 in H0 by exact Hu.
    apply andb_true_iff in H0 as [(g & Hg & _)%has_state_inv _]. rewrite Eg in Hg. apply (i_gran _ I _ _ Hg). }
  assert (Np : forall i, 0 <= i < 16 -> nth_page (p_rtt_base p) i = p_rtt_base p + i * 4096).
  { intros i Hi. unfold nth_page. apply wrap_small. lia. }
  assert (Hne : forall i, 0 <= i < Z.of_nat n -> rd <> p_rtt_base p + i * 4096).
  { intros i Hi E. pose proof (Hok i Hi) as H0. unfold ok in H0. rewrite Np, <- E in H0 by lia.
    apply andb_true_iff in H0 as [_ [H0%negb_true_iff _]%andb_true_iff]. unfold holds in H0. rewrite Hh in H0.
    cbn [existsb lock_eqb] in H0. rewrite Z.eqb_refl in H0. discriminate. }
  pose proof (proj1 (claims_same mem n (p_rtt_base p) s ltac:(done))) as T1.
  pose proof (proj1 (claims_same gran n (p_rtt_base p) s ltac:(done))) as T2.
  pose proof (proj1 (claims_same places n (p_rtt_base p) s ltac:(done))) as T3.
  pose proof (proj1 (claims_same hw n (p_rtt_base p) s ltac:(done))) as T4.
  pose proof (proj1 (claims_same vmids n (p_rtt_base p) s ltac:(done))) as T5.
  assert (T6 : holds (LGranule rd) (claims_taken n (p_rtt_base p) s) = true).
  { rewrite holds_taken; [unfold holds; rewrite Hh; cbn [existsb lock_eqb]; by rewrite Z.eqb_refl|].
    intros i Hi [= E]. rewrite Np in E by lia. by apply (Hne i). }
  assert (T7 : forall i, 0 <= i < Z.of_nat n -> holds (LGranule (p_rtt_base p + i * 4096)) (claims_taken n (p_rtt_base p) s) = true).
  { intros i Hi. rewrite <- Np by lia. by apply held_taken. }
  assert (T8 : first_taken (held (claims_taken n (p_rtt_base p) s)) = LGranule rd)
    by (rewrite (proj1 (first_claims _ _ _ ltac:(by rewrite Hh))), Hh; reflexivity).
  generalize dependent (claims_taken n (p_rtt_base p) s). intros s1 T1 T2 T3 T4 T5 T6 T7 T8.
  apply has_state_inv in Hd as (x & Hx & Hxs).
  assert (Npl : places s !! rd = None) by (rewrite Ep; apply (not_placed _ _ I); unfold has_state; by rewrite <- Eg, Hx, Hxs).
  assert (I1 : in_hand rd s1 = true) by (apply unplaced_hand; [by rewrite T3|]; unfold under_lock, tracked; by rewrite T2, Hx, T6).
  assert (Hd1 : has_state GS_DELEGATED rd s1 = true) by (unfold has_state; by rewrite T2, Hx, Hxs).
  eapply bind_call; [apply (realm_fill_ok rd p s1 I1 Hd1 Hsz)|]. tidy.
  pose proof (scratch_filled_rd rd p s1) as S2.
  destruct (filled_rd rd p s1) as (R1 & R2 & R3); [rewrite T1, Em; apply (i_mem _ I)|].
  unfold realm_built. rewrite <- En0.
  generalize dependent (realm_filled rd p s1). intros s2 S2 R1 R2 R3.
  pose proof (scratch_hand rd rd _ _ S2 I1) as I2. destruct S2 as [S2 P2].
  assert (F2 : forall t, 0 <= t < Z.of_nat n -> fresh_table (p_rtt_base p + t * 4096) s2).
  { intros t Ht. pose proof (Hok t Ht) as H0. unfold ok in H0. rewrite Np in H0 by lia.
    apply andb_true_iff in H0 as [H0 _]. pose proof H0 as (g & Hg & Hgs)%has_state_inv. rewrite S2. constructor.
    - unfold has_state in *. cbn [gran with_digest with_hash_page with_mem]. by rewrite T2.
    - exact (T7 t Ht).
    - cbn [places with_digest with_hash_page with_mem]. rewrite T3, Ep. rewrite Eg in Hg. apply (not_placed _ _ I). unfold has_state. by rewrite Hg, Hgs.
    - cbn [hw with_digest with_hash_page with_mem]. rewrite T4, Eh. rewrite Eg in Hg. apply (not_host_table _ _ g I Hg). by rewrite Hgs. }
  assert (V2 : forall t, 0 <= t < Z.of_nat n -> no_valid (page (mem s2) (p_rtt_base p + t * 4096)) = true).
  { intros t Ht. rewrite P2, T1, Em by (intros E; by apply (Hne t)). pose proof (Hok t Ht) as H0. unfold ok in H0. rewrite Np in H0 by lia.
    apply andb_true_iff in H0 as [(g & Hg & Hgs)%has_state_inv _].
    rewrite Eg in Hg. destruct (i_zero _ I _ _ Hg Hgs) as (-> & _). reflexivity. }
  pose proof (rtt_init_start_ok rd s2 I2) as C. rewrite R2, R3, <- En0 in C.
  eapply bind_call; [apply C; [intros; apply F2; lia|lia|lia]|]. tidy. clear C.
  pose proof (start_filled_put rd n s2) as F. rewrite R3 in F.
  assert (F3 : forall t, 0 <= t < Z.of_nat n -> fresh_table (p_rtt_base p + t * 4096) (start_filled rd n s2)).
  { intros t Ht. destruct F as [E _ _]. rewrite E. destruct (F2 t Ht). by constructor. }
  generalize dependent (start_filled rd n s2). intros s3 [E3 P3 V3] F3.
  assert (Q : forall f, rd_of s3 f rd = rd_of s2 f rd) by (intros f; unfold rd_of, rd_get, word; by rewrite (P3 rd Hne)).
  assert (I3 : in_hand rd s3 = true) by (rewrite E3; exact I2).
  assert (F4 : first_taken (held s3) = LGranule rd) by (rewrite E3, S2; exact T8).
  pose proof (realm_own_start_ok rd s3 I3 F4) as C. pose proof (owning_starts rd s3 n) as W. rewrite !Q, R1, R2, R3, <- En0 in C.
  rewrite !Q, R1, R3 in W.
  eapply bind_call; [apply C; [lia|lia|exact Ha|lia|]|].
  { intros t Ht. constructor; [apply F3; lia|intros E; apply (Hne t); [lia|done]|apply V3, V2; lia]. }
  tidy. clear C.
  pose proof (owned_same vmids rd (p_start_level p) (p_rtt_base p) n s3 ltac:(done) ltac:(done)) as Wv.
  destruct W as [Wm Wh Wg Wp].
  pose proof (Wg rd ltac:(intros i Hi; rewrite (Q RD_rtt_base), R3; by apply Hne)) as Wr. clear Wg.
  pose proof (Wp rd ltac:(intros i Hi; rewrite (Q RD_rtt_base), R3; by apply Hne)) as Wpr. clear Wp.
  generalize dependent (starts_owned rd (p_start_level p) (p_rtt_base p) n s3). intros s4 Wm Wh Wv Wr Wpr.
  assert (Hl : forall l, holds l s4 = holds l s1) by (intros l; unfold holds; rewrite Wh, E3, S2; reflexivity).
  pose proof (granules_release_ok (p_rtt_base p) n s4 ltac:(lia)) as C. rewrite En in C.
  eapply bind_call; [apply C|]; [intros i Hi; rewrite Hl, Np by lia; apply T7; lia| |].
  { intros i Hi. rewrite Wh, F4, Np by lia. intros [= E]. apply (Hne i); [lia|done]. }
  tidy. clear C.
  pose proof (proj2 (claims_same gran n (p_rtt_base p) s4 ltac:(done))) as D1.
  pose proof (proj2 (claims_same vmids n (p_rtt_base p) s4 ltac:(done))) as D2.
  pose proof (proj2 (claims_same places n (p_rtt_base p) s4 ltac:(done))) as D4.
  assert (D3 : holds (LGranule rd) (claims_dropped n (p_rtt_base p) s4) = true).
  { rewrite holds_drops; [by rewrite Hl|]. intros i Hi [= E]. rewrite Np in E by lia. by apply (Hne i). }
  generalize dependent (claims_dropped n (p_rtt_base p) s4). intros s5 D1 D2 D4 D3.
  assert (G5 : gran s5 !! rd = Some x) by (rewrite D1, Wr, E3, S2; cbn [gran with_mem with_digest with_hash_page]; by rewrite T2).
  assert (U5 : p_vmid p ∈ vmids s5) by (rewrite D2, Wv, E3, S2; cbn [vmids with_mem with_digest with_hash_page]; by rewrite T5).
  assert (P5 : places s5 !! rd = None)
    by (rewrite D4, Wpr, E3, S2; cbn [places with_mem with_digest with_hash_page]; by rewrite T3).
  apply (bind_prim P_tlbi_realm_all [p_vmid p] _ s5 (bool_decide (p_vmid p ∈ vmids s5)) [] (flushed (p_vmid p) s5) _ eq_refl);
    [tidy|by apply bool_decide_eq_true_2].
  apply (bind_prim P_granule_set [rd; 2; 0] _ (flushed (p_vmid p) s5) (may_set rd GS_RD 0 (flushed (p_vmid p) s5)) []
    (with_owner rd GS_RD 0 (flushed (p_vmid p) s5)) _ eq_refl); [tidy|].
  2:{ unfold may_set, under_lock, tracked, granule_at, is_placed. change (places (flushed (p_vmid p) s5)) with (places s5).
      rewrite P5. change (gran (flushed (p_vmid p) s5)) with (gran s5). rewrite G5.
      change (holds (LGranule rd) (flushed (p_vmid p) s5)) with (holds (LGranule rd) s5). rewrite D3.
      cbn [default from_option id]. rewrite Hxs. reflexivity. }
  unfold realm_made. generalize (with_owner rd GS_RD 0 (flushed (p_vmid p) s5)). intros s6. step. step. reflexivity.
Qed.
