(* SPDX-License-Identifier: Apache-2.0 *)
(* RMI_REALM_ACTIVATE, KCORE_LAUNCH_POLICY, KCORE_LAUNCH_KEY and the texts that the host reads keep the invariant. *)
From kcore Require Export refine.TrapInv.
From kcore Require Export spec.KcoreCall.
From kcore Require Import refine.HostmemRangeRefine.
From kcore Require Import refine.RsiTokenNextRefine.
From kcore Require Import refine.RealmRefine.
From kcore Require Import refine.LaunchCallRefine.
Local Open Scope Z_scope.

(* ---- Words of an RD that are bounded ---- *)

Lemma inv_rd_bounded f rd v s : f = RD_has_key \/ f = RD_max_vcpus -> inv s -> has_state GS_RD rd s = true -> u64 v ->
  bounded (rd_set f rd 0 v s) rd -> inv (rd_set f rd 0 v s).
Proof.
  intros Hf I H Hv Hb. pose proof (page_is_words s rd I) as Hl.
  apply (inv_put_rd rd (set_nth (page (mem s) rd) (rd_word f 0) v) s); [done|done|by apply RunFacts.set_nth_words| |exact Hb].
  intros g Hg. apply nth_set_other; [by destruct Hf as [-> | ->]|apply Z.leb_le; by destruct g|].
  unfold shape in Hg. simpl in Hg. destruct Hf as [-> | ->]; intuition subst; discriminate.
Qed.
Lemma bounded_set f rd v s : mem_ok (mem s) -> f = RD_has_key \/ f = RD_max_vcpus ->
  rd_of (rd_set f rd 0 v s) f rd = v /\ (forall g, g <> f -> In g [RD_state; RD_has_key; RD_rec_index; RD_max_vcpus] ->
    rd_of (rd_set f rd 0 v s) g rd = rd_of s g rd).
Proof.
  intros Hm Hf. split.
  - apply word_set_same; [exact Hm|by destruct Hf as [-> | ->]].
  - intros g N Hg. simpl in Hg. apply word_set_slot; destruct Hf as [-> | ->]; intuition subst; try done; by vm_compute.
Qed.
Lemma lively_key rd v s : v = 0 \/ v = 1 -> lively rd s -> lively rd (rd_set RD_has_key rd 0 v s).
Proof.
  intros Hv [I H]. constructor; [|exact H]. apply inv_rd_bounded; [by left|done|done|unfold u64; lia|].
  destruct (bounded_set RD_has_key rd v s (i_mem _ I) ltac:(by left)) as [E1 E2].
  destruct (realm_bounded _ _ (i_realm _ I _ H)) as (B1 & B2 & B3).
  unfold bounded. rewrite E1, !E2 by (done || (simpl; tauto)). done.
Qed.
Lemma lively_max rd v s : 0 <= v <= 1023 -> rd_of s RD_rec_index rd <= v -> lively rd s -> lively rd (rd_set RD_max_vcpus rd 0 v s).
Proof.
  intros Hv Hr [I H]. constructor; [|exact H]. apply inv_rd_bounded; [by right|done|done|unfold u64; lia|].
  destruct (bounded_set RD_max_vcpus rd v s (i_mem _ I) ltac:(by right)) as [E1 E2].
  destruct (realm_bounded _ _ (i_realm _ I _ H)) as (B1 & B2 & B3).
  unfold bounded. rewrite E1, !E2 by (done || (simpl; tauto)). split_and!; try apply B1; try done; lia.
Qed.

(* ---- RMI_REALM_ACTIVATE ---- *)

Lemma lively_forgotten rd s : lively rd s -> lively rd (key_forgotten rd s).
Proof.
  intros L. unfold key_forgotten. apply lively_key; [by left|]. apply lively_each; [|exact L].
  intros i x Hi Lx. apply lively_set; [unfold free_word, rd_word; cbn [rd_off]; lia|unfold u64; lia|exact Lx].
Qed.
Theorem activate_inv rd s : inv s -> inv (snd (activate rd s)).
Proof.
  intros I. unfold activate. destruct (has_state GS_RD rd s) eqn:H; [|exact I]. cbn [negb snd].
  destruct (_ =? RMI_SUCCESS); [|exact I]. destruct (lively_forgotten rd s (Lively _ _ I H)) as [I1 H1].
  apply (inv_rd_state rd REALM_ACTIVE) in I1; [|exact H1|unfold REALM_ACTIVE; lia].
  unfold activated. revert I1. generalize (rd_set RD_state rd 0 REALM_ACTIVE (key_forgotten rd s)). intros x Ix. by apply (inv_same x).
Qed.
Theorem activate_idle rd s : idle s -> idle (snd (activate rd s)).
Proof.
  intros D. unfold activate. destruct (has_state GS_RD rd s); [|exact D]. cbn [negb snd]. destruct (_ =? RMI_SUCCESS); [|exact D].
  unfold activated. change (idle (key_forgotten rd s)).
  destruct (scratch_kept _ _ _ (scratch_forgotten rd s)) as (_ & E1 & E2 & E3 & _). unfold idle. by rewrite E1, E2, E3.
Qed.

(* ---- The launch ---- *)

Lemma lively_policy rd s : lively rd s -> untouched rd s = true -> 0 <= param 3 s <= 512 -> lively rd (policy_set rd s).
Proof.
  intros L H3 Hv. assert (Hu : forall i, u64 (param i s)).
  { intros i. apply nth_word_u64. by destruct (i_scratch _ (l_inv _ _ L)) as ([_ ?] & _). }
  assert (Hi : rd_of s RD_rec_index rd = 0).
  { unfold untouched in H3. rewrite !andb_true_iff in H3. destruct H3 as (((_ & H3%Z.eqb_eq) & _) & _). exact H3. }
  unfold policy_set. apply lively_policy_measured.
  assert (E : forall i x, param i (each_below 30 (fun i s => rd_set RD_policy rd i (param i s) s) s) = param i s) by done.
  set (x := each_below 30 (fun i s => rd_set RD_policy rd i (param i s) s) s).
  assert (Lx : lively rd x /\ params x = params s /\ rd_of x RD_rec_index rd = 0).
  { unfold x. clear x E. assert (forall m, (m <= 30)%nat -> let y := each_below m (fun i s => rd_set RD_policy rd i (param i s) s) s in
      lively rd y /\ params y = params s /\ rd_of y RD_rec_index rd = 0) as Q; [|by apply (Q 30%nat)].
    induction m as [|m IH]; intros Hm; [done|]. cbv zeta in *. rewrite each_below_S. destruct (IH ltac:(lia)) as (L1 & P1 & R1). clear IH.
    generalize dependent (each_below m (fun i s => rd_set RD_policy rd i (param i s) s) s). intros y L1 P1 R1. split_and!.
    - apply lively_set; [unfold free_word, rd_word; cbn [rd_off]; lia| |exact L1]. unfold param. rewrite P1. apply Hu.
    - exact P1.
    - rewrite <- R1. apply word_set_slot; unfold rd_word; cbn [rd_off]; lia. }
  clear E. destruct Lx as (Lx & _ & Rx). generalize dependent x. intros x Lx Rx.
  apply lively_set; [unfold free_word, rd_word; cbn [rd_off]; lia|apply Hu|].
  apply lively_set; [unfold free_word, rd_word; cbn [rd_off]; lia|apply Hu|].
  assert (Ly : lively rd (rd_set RD_has_policy rd 0 1 x)).
  { apply lively_set; [unfold free_word, rd_word; cbn [rd_off]; lia|unfold u64; lia|exact Lx]. }
  apply lively_max; [lia| |exact Ly]. replace (rd_of (rd_set RD_has_policy rd 0 1 x) RD_rec_index rd) with 0; [lia|].
  rewrite <- Rx. symmetry. apply word_set_slot; unfold rd_word; cbn [rd_off]; lia.
Qed.
Theorem launch_policy_inv rd ns s : inv s -> inv (snd (launch_policy rd ns s)).
Proof.
  intros I0. unfold launch_policy. destruct (pinnable ns s); [|exact I0].
  assert (I : inv (params_loaded ns s)) by (apply inv_params; [done|by apply page_is_words]).
  revert I. generalize (params_loaded ns s). clear. intros s I. unfold policy_with.
  destruct (block_check s =? RMI_SUCCESS) eqn:Hb; [|exact I]. cbn [negb]. destruct (has_state GS_RD rd s) eqn:H; [|exact I].
  cbn [negb]. destruct (untouched rd s) eqn:Hu; [|exact I]. cbn [negb snd]. apply lively_policy; [by constructor|exact Hu|].
  assert (U : u64 (param 3 s)) by (apply nth_word_u64; by destruct (i_scratch _ I) as ([_ ?] & _)).
  apply Z.eqb_eq in Hb. unfold block_check in Hb. destruct (block_ok s) eqn:Hk; [|discriminate].
  unfold block_ok in Hk. rewrite !andb_true_iff in Hk. destruct Hk as (((_ & Hk%Z.leb_le) & _) & _). unfold u64 in U. lia.
Qed.
Theorem launch_policy_idle rd ns s : idle s -> idle (snd (launch_policy rd ns s)).
Proof.
  intros D. unfold launch_policy. destruct (pinnable ns s); [|exact D]. change (idle (params_loaded ns s)) in D.
  revert D. generalize (params_loaded ns s). clear. intros s D. unfold policy_with.
  destruct (negb _); [exact D|]. destruct (negb _); [exact D|]. destruct (negb _); [exact D|]. cbn [snd].
  destruct (scratch_kept _ _ _ (scratch_set rd s)) as (_ & E1 & E2 & E3 & _). unfold idle. by rewrite E1, E2, E3.
Qed.

Lemma lively_with_key rd key s : length key = 4%nat -> Forall u64 key -> lively rd s -> lively rd (with_key rd key s).
Proof.
  intros Hn Hk [I H]. constructor; [|exact H]. pose proof (page_is_words s rd I) as Hl.
  assert (W : forall i, 0 <= i < 512 -> i < 90 \/ 94 <= i -> nth_word (splice 90 key (page (mem s) rd)) i = word (mem s) rd i).
  { intros i Hi Hc. apply nth_splice; [apply Hl|lia|lia|lia|]. rewrite Hn. lia. }
  apply inv_put_rd; [done|done|apply splice_words; [done|cbn [rd_off]; lia|rewrite Hn; cbn [rd_off]; lia|done]| |].
  - intros f Hf. unfold shape in Hf. simpl in Hf. intuition subst; apply W; cbn [rd_off]; lia.
  - assert (E : forall f, rd_off f < 90 \/ 94 <= rd_off f -> 0 <= rd_off f < 512 ->
      rd_of (put_page rd (splice (rd_off RD_content_key) key (page (mem s) rd)) s) f rd = rd_of s f rd).
    { intros f Hf Hr. unfold rd_of, rd_get, rd_word. rewrite Z.add_0_r. unfold word at 1.
      change (mem (put_page rd ?l s)) with (<[rd := l]> (mem s)). rewrite page_insert_same. by apply W. }
    unfold bounded. rewrite !E by (cbn [rd_off]; lia). apply (realm_bounded _ _ (i_realm _ I _ H)).
Qed.
Theorem launch_key_inv rd ns s : inv s -> inv (snd (launch_key rd ns s)).
Proof.
  intros I0. unfold launch_key. destruct (pinnable ns s); [|exact I0].
  assert (I : inv (params_loaded ns s)) by (apply inv_params; [done|by apply page_is_words]).
  revert I. generalize (params_loaded ns s). clear. intros s I. unfold key_with.
  destruct (negb _); [exact I|]. destruct (has_state GS_RD rd s) eqn:H; [|exact I]. cbn [negb]. unfold key_set.
  destruct (_ || _); [exact I|]. destruct (negb _); [exact I|].
  destruct (key_opened (hw s) (params s) (policy_of rd s)) as [key|] eqn:Ek; [|exact I]. cbn [snd].
  destruct (h_key _ (i_hw _ I) _ _ _ Ek) as [Hn Hk]. apply lively_key; [by right|]. apply lively_with_key; [done|done|by constructor].
Qed.
Theorem launch_key_idle rd ns s : idle s -> idle (snd (launch_key rd ns s)).
Proof.
  intros D. unfold launch_key. destruct (pinnable ns s); [|exact D]. change (idle (params_loaded ns s)) in D.
  revert D. generalize (params_loaded ns s). clear. intros s D. unfold key_with.
  destruct (negb _); [exact D|]. destruct (negb _); [exact D|].
  destruct (key_kept rd s) as (_ & E1 & E2 & E3). unfold idle. by rewrite E1, E2, E3.
Qed.

(* ---- Texts ---- *)

Lemma told_inv ns n f from s : inv s -> pinnable ns s = true -> inv (page_told ns n f from s).
Proof.
  intros I (x & Hx & Hs)%pinnable_some. apply (inv_put_page s ns _ x I Hx); [by left|apply bytes_words].
Qed.
Lemma log_told_inv ns seq s : inv s -> inv (snd (log_told ns seq s)).
Proof.
  intros I. unfold log_told. destruct (pinnable ns s) eqn:Hp; [|exact I]. destruct (log_text _ _ _) as [n next]. by apply told_inv.
Qed.
Lemma identity_told_inv ns offset s : inv s -> inv (snd (identity_told ns offset s)).
Proof. intros I. unfold identity_told. destruct (pinnable ns s) eqn:Hp; [|exact I]. by apply told_inv. Qed.
Lemma log_told_idle ns seq s : idle s -> idle (snd (log_told ns seq s)).
Proof. intros D. unfold log_told. destruct (pinnable ns s); [|exact D]. by destruct (log_text _ _ _). Qed.
Lemma identity_told_idle ns offset s : idle s -> idle (snd (identity_told ns offset s)).
Proof. intros D. unfold identity_told. by destruct (pinnable ns s). Qed.
Lemma ranged_both cmd (Hi : forall pa s, inv s -> inv (snd (cmd pa s))) (Hd : forall pa s, idle s -> idle (snd (cmd pa s))) pa count s :
  inv s -> idle s -> inv (snd (range_answer (ranged cmd pa count s))) /\ idle (snd (range_answer (ranged cmd pa count s))).
Proof.
  intros I D. unfold ranged. destruct (_ || _); [done|].
  pose proof (repeated_inv cmd Hi Hd pa s (Z.to_nat count) I D) as H.
  destruct (repeated cmd pa s (Z.to_nat count)) as [[status done] s']. exact H.
Qed.
