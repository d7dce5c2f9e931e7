(* SPDX-License-Identifier: Apache-2.0 *)
(* The invariant after changes of words of RDs and RECs, of measuring, and of what this CPU runs. *)
From kcore Require Export refine.RunFacts.
From kcore Require Import refine.HostInv.
From kcore Require Import spec.GranuleRange.
From kcore Require Import spec.Measure.
Local Open Scope Z_scope.

Lemma differ s p q x y : gran s !! p = Some x -> gran s !! q = Some y -> g_state x <> g_state y -> p <> q.
Proof. intros Hx Hy N ->. congruence. Qed.

(* ---- An RD ---- *)

Lemma inv_put_rd rd l s : inv s -> has_state GS_RD rd s = true -> page_words l ->
  (forall f, In f shape -> nth_word l (rd_off f) = word (mem s) rd (rd_off f)) ->
  bounded (put_page rd l s) rd -> inv (put_page rd l s).
Proof.
  intros I Hrd Hl Hf Hb. destruct (page_put_words (mem s) rd l (i_words _ I) (i_mem _ I) Hl) as [Hw Hm].
  destruct (has_state_inv _ _ _ Hrd) as (x & Hx & Hs).
  assert (P : forall p, p <> rd -> page (mem (put_page rd l s)) p = page (mem s) p).
  { intros p Hp. apply page_insert_other. congruence. }
  assert (R : forall f, In f shape -> rd_of (put_page rd l s) f rd = rd_of s f rd).
  { intros f H. unfold rd_of, rd_get, rd_word. rewrite Z.add_0_r. unfold word at 1.
    change (mem (put_page rd l s)) with (<[rd := l]> (mem s)). rewrite page_insert_same. by apply Hf. }
  assert (R' : forall f rd', rd' <> rd -> rd_of (put_page rd l s) f rd' = rd_of s f rd').
  { intros f rd' H. unfold rd_of, rd_get, word. by rewrite P. }
  assert (N : forall rec g, gran s !! rec = Some g -> g_state g = GS_REC -> rec <> rd) 
    by (intros rec g Hg E; apply (differ s _ _ g x); [done|done|by rewrite E, Hs]).
  assert (W : forall f rec, rec <> rd -> rec_of (put_page rd l s) f rec = rec_of s f rec).
  { intros f rec H. unfold rec_of, rec_get, word. by rewrite P. }
  apply (inv_turned s); [done|]. constructor; try done.
  - apply (i_cached _ I).
  - intros p st (y & Hy & E)%has_state_inv Hst. apply P. intros ->. rewrite Hx in Hy. injection Hy as <-.
    rewrite Hs in E. by destruct Hst as [->| ->].
  - intros t r Hr. apply P. intros ->. pose proof (i_host _ I _ _ _ Hx Hr) as E. by rewrite Hs in E.
  - intros rd' H. destruct (decide (rd' = rd)) as [->|Hn]; [by split|].
    split; [intros; by apply R'|]. pose proof (realm_bounded _ _ (i_realm _ I _ H)) as B. unfold bounded in *. by rewrite !R'.
  - intros rec g Hg Hgs. pose proof (N _ _ Hg Hgs) as Hn. pose proof (i_rec _ I _ _ Hg Hgs) as C.
    split; [intros; by apply W|]. split; [|rewrite !W by done; apply (c_running _ _ _ C)].
    apply (waits_same s); [by apply P| |done|by apply rec_waits].
    destruct (decide (g_owner g = rd)) as [->|Ho]; [apply R; unfold shape; simpl; tauto|by apply R'].
  - intros pa H. rewrite (same_runs s); [by apply (i_pins _ I)|done|]. intros rec g Hg Hgs. by rewrite !W by (eapply N; eauto).
  - apply (i_scratch _ I).
  - intros H. destruct (i_runs _ I H) as [R1 R2]. split; [done|].
    destruct (has_state_inv _ _ _ R1) as (g & Hg & Hgs). rewrite W; [done|]. by eapply N.
  - apply (i_loaded _ I).
Qed.

(* Measurements, policy, quotas and what is counted against them: the words from RD_meas on but for two. *)
Definition free_word (i : Z) : Prop := rd_off RD_meas <= i < 512 /\ i <> rd_off RD_has_key /\ i <> rd_off RD_max_vcpus.
Lemma inv_rd_word rd i v s : inv s -> has_state GS_RD rd s = true -> free_word i -> u64 v -> inv (put_word rd i v s).
Proof.
  intros I H (Hi & H1 & H2) Hv. pose proof (page_is_words s rd I) as Hl. cbn [rd_off] in *.
  apply inv_put_rd; [done|done|by apply set_nth_words| |].
  - intros f Hf. apply nth_set_other; [lia|apply Z.leb_le; by destruct f|].
    unfold shape in Hf. simpl in Hf. intuition subst; cbn [rd_off] in *; lia.
  - pose proof (realm_bounded _ _ (i_realm _ I _ H)) as B. unfold bounded in *.
    assert (E : forall f, rd_off f <> i -> rd_of (put_page rd (set_nth (page (mem s) rd) i v) s) f rd = rd_of s f rd).
    { intros f N. apply word_set_slot; [lia|unfold rd_word; destruct f; cbn [rd_off]; lia|].
      unfold rd_word. lia. }
    rewrite !E by (cbn [rd_off]; lia). exact B.
Qed.
Lemma inv_rd_set f rd i v s : inv s -> has_state GS_RD rd s = true -> free_word (rd_word f i) -> u64 v -> inv (rd_set f rd i v s).
Proof. apply inv_rd_word. Qed.
Lemma inv_rd_state rd v s : inv s -> has_state GS_RD rd s = true -> 0 <= v <= 2 -> inv (rd_set RD_state rd 0 v s).
Proof.
  intros I H Hv. pose proof (page_is_words s rd I) as Hl.
  apply inv_put_rd; [done|done|apply set_nth_words; [done|unfold u64; lia]| |].
  - intros f Hf. apply nth_set_other; [by vm_compute|apply Z.leb_le; by destruct f|].
    unfold shape in Hf. simpl in Hf. intuition subst; done.
  - pose proof (realm_bounded _ _ (i_realm _ I _ H)) as (_ & B). unfold bounded in *.
    assert (E : forall f, rd_off f <> 0 -> rd_of (rd_set RD_state rd 0 v s) f rd = rd_of s f rd).
    { intros f N. apply word_set_slot; [by vm_compute|unfold rd_word; destruct f; cbn [rd_off]; lia|].
      unfold rd_word. cbn [rd_off]. lia. }
    change (put_page rd (set_nth (page (mem s) rd) (rd_word RD_state 0) v) s) with (rd_set RD_state rd 0 v s).
    split; [|rewrite !E by done; exact B]. unfold rd_of, rd_get, rd_set, put_word. cbn [mem with_mem].
    rewrite word_set_same; [done|apply (i_mem _ I)|by vm_compute].
Qed.

(* ---- Scratch ---- *)

Lemma inv_scratch s p r h d : inv s -> page_words p -> page_words r -> page_words h -> length d = 8%nat -> Forall u64 d ->
  inv (with_params p (with_run r (with_hash_page h (with_digest d s)))).
Proof.
  intros I Hp Hr Hh Hd Hu. pose proof (i_scratch _ I) as (_ & _ & _ & _ & _ & Hlive). apply (inv_tended s); [done|].
  constructor; try done.
  - intros rec g Hg Hs. split; [done|]. apply (rec_waits s). by apply (i_rec _ I).
  - apply (i_mem _ I).
  - exact (i_words _ I).
  - exact (i_loaded _ I).
Qed.
Lemma inv_hash_page s h : inv s -> page_words h -> inv (with_hash_page h s).
Proof.
  intros I H. pose proof (i_scratch _ I) as (H1 & H2 & _ & H3 & H4 & _).
  replace (with_hash_page h s) with (with_params (params s) (with_run (run s) (with_hash_page h (with_digest (digest s) s)))) by (by destruct s).
  by apply inv_scratch.
Qed.
Lemma inv_digest s d : inv s -> length d = 8%nat -> Forall u64 d -> inv (with_digest d s).
Proof.
  intros I H H0. pose proof (i_scratch _ I) as (H1 & H2 & H3 & _).
  replace (with_digest d s) with (with_params (params s) (with_run (run s) (with_hash_page (hash_page s) (with_digest d s)))) by (by destruct s).
  by apply inv_scratch.
Qed.
Lemma inv_run s r : inv s -> page_words r -> inv (with_run r s).
Proof.
  intros I H. pose proof (i_scratch _ I) as (H1 & _ & H2 & H3 & H4 & _).
  replace (with_run r s) with (with_params (params s) (with_run r (with_hash_page (hash_page s) (with_digest (digest s) s)))) by (by destruct s).
  by apply inv_scratch.
Qed.
Lemma inv_params s p : inv s -> page_words p -> inv (with_params p s).
Proof.
  intros I H. pose proof (i_scratch _ I) as (_ & H1 & H2 & H3 & H4 & _).
  replace (with_params p s) with (with_params p (with_run (run s) (with_hash_page (hash_page s) (with_digest (digest s) s)))) by (by destruct s).
  by apply inv_scratch.
Qed.
Lemma zero_page_words : page_words zero_page.
Proof. split; [reflexivity|apply zero_words]. Qed.

(* ---- Measuring ---- *)

(* The invariant, and this is a realm. *)
Record lively (rd : Z) (s : state) : Prop := Lively { l_inv : inv s; l_rd : has_state GS_RD rd s = true }.

Lemma lively_put rd i v s : u64 v -> lively rd s -> lively rd (hash_put i v s).
Proof.
  intros Hv [I H]. constructor; [|exact H]. apply inv_hash_page; [done|]. apply set_nth_words; [|done].
  by destruct (i_scratch _ I) as (_ & _ & ? & _).
Qed.
Lemma lively_cleared rd s : lively rd s -> lively rd (hash_cleared s).
Proof. intros [I H]. constructor; [|exact H]. apply inv_hash_page; [done|apply zero_page_words]. Qed.
Lemma lively_hashed rd a n s : lively rd s -> lively rd (hashed a n s).
Proof. intros [I H]. constructor; [|exact H]. destruct (h_hash _ (i_hw _ I) a (hash_page s) n). by apply inv_digest. Qed.
Lemma lively_granule rd a p s : lively rd s -> lively rd (granule_hashed a p s).
Proof. intros [I H]. constructor; [|exact H]. destruct (h_hash _ (i_hw _ I) a (page (mem s) p) 4096). by apply inv_digest. Qed.
Lemma lively_set rd f i v s : free_word (rd_word f i) -> u64 v -> lively rd s -> lively rd (rd_set f rd i v s).
Proof. intros Hf Hv [I H]. constructor; [|exact H]. by apply inv_rd_set. Qed.
Lemma lively_if rd (c : bool) s1 s2 : lively rd s1 -> lively rd s2 -> lively rd (if c then s1 else s2).
Proof. by destruct c. Qed.
Lemma lively_each rd n f s : (forall i s, 0 <= i < Z.of_nat n -> lively rd s -> lively rd (f i s)) ->
  lively rd s -> lively rd (each_below n f s).
Proof.
  intros Hf Hs. assert (forall m, (m <= n)%nat -> lively rd (each_below m f s)) as H; [|by apply H].
  induction m as [|m IH]; intros Hm; [exact Hs|]. rewrite each_below_S. apply Hf; [lia|]. apply IH. lia.
Qed.
Lemma lively_word rd p i s : lively rd s -> u64 (word (mem s) p i).
Proof. intros [I _]. apply (i_words _ I). Qed.
Lemma lively_digest rd i s : lively rd s -> u64 (digest_word i s).
Proof. intros [I _]. apply nth_word_u64. by destruct (i_scratch _ I) as (_ & _ & _ & _ & ? & _). Qed.

Lemma lively_stored rd slot s : 0 <= slot < 5 -> lively rd s -> lively rd (stored rd slot s).
Proof.
  intros Hs L. apply lively_each; [|exact L]. intros i s' Hi L'.
  apply lively_set; [unfold free_word, rd_word; cbn [rd_off]; lia|by eapply lively_digest|exact L'].
Qed.
Lemma lively_digest_put rd w s : lively rd s -> lively rd (digest_put w s).
Proof. intros L. apply lively_each; [|exact L]. intros i s' Hi L'. apply lively_put; [by eapply lively_digest|exact L']. Qed.
Lemma lively_begun rd type s : u64 type -> lively rd s -> lively rd (begun rd type s).
Proof.
  intros Ht L. apply lively_each.
  - intros i s' Hi L'. apply lively_put; [by eapply lively_word|exact L'].
  - apply lively_put; [by vm_compute|]. by apply lively_put, lively_cleared.
Qed.
Lemma lively_ended rd s : lively rd s -> lively rd (ended rd s).
Proof. intros L. apply lively_stored; [lia|]. by apply lively_hashed. Qed.
Lemma lively_data_measured rd ipa flags pa s : u64 ipa -> u64 flags -> lively rd s -> lively rd (data_measured rd ipa flags pa s).
Proof.
  intros Hi Hf L. unfold data_measured. cbv zeta. apply lively_ended.
  assert (L1 : lively rd (hash_put 11 flags (hash_put 10 ipa (begun rd DESC_DATA s)))).
  { do 2 (apply lively_put; [done|]). by apply lively_begun; [by vm_compute|]. }
  apply lively_if; [by apply lively_digest_put, lively_granule|exact L1].
Qed.
Lemma lively_ripas_measured rd base top s : u64 base -> u64 top -> lively rd s -> lively rd (ripas_measured rd base top s).
Proof.
  intros Hb Ht L. unfold ripas_measured. apply lively_ended. do 2 (apply lively_put; [done|]).
  by apply lively_begun; [by vm_compute|].
Qed.
Lemma lively_extended rd rec slot size s : 0 <= slot < 5 -> lively rd s -> lively rd (extended rd rec slot size s).
Proof.
  intros Hs L. unfold extended. cbv zeta. apply lively_stored; [done|]. apply lively_hashed.
  do 2 (apply lively_each; [intros i s' Hi L'; apply lively_put; [by eapply lively_word|exact L']|]). by apply lively_cleared.
Qed.
Lemma lively_param rd w mask s : lively rd s -> lively rd (param_copied w mask s).
Proof.
  intros L. apply lively_put; [|exact L]. apply (land_range 64), nth_word_u64.
  by destruct (i_scratch _ (l_inv _ _ L)) as ([_ ?] & _).
Qed.
Lemma lively_rec_measured rd s : lively rd s -> lively rd (rec_measured rd s).
Proof.
  intros L. unfold rec_measured. apply lively_ended, lively_digest_put, lively_begun; [by vm_compute|]. apply lively_hashed.
  apply lively_each; [intros; by apply lively_param|]. do 2 apply lively_param. by apply lively_cleared.
Qed.
Lemma lively_policy_measured rd s : lively rd s -> lively rd (policy_measured rd s).
Proof.
  intros L. unfold policy_measured. apply lively_ended.
  apply lively_each; [intros i s' Hi L'; apply lively_put; [by eapply lively_word|exact L']|].
  apply lively_digest_put, lively_begun; [by vm_compute|]. apply lively_hashed.
  apply lively_each; [intros i s' Hi L'; apply lively_put; [by eapply lively_word|exact L']|]. by apply lively_cleared.
Qed.

(* ---- A REC, whether it runs, and its registers on this CPU ---- *)

Lemma runs_changed s s' rec x p : gran s' = gran s -> gran s !! rec = Some x ->
  (forall r, r <> rec -> page (mem s') r = page (mem s) r) ->
  runs_on s' p = runs_on s p - b2z (run_page_of s p rec x) + b2z (run_page_of s' p rec x).
Proof.
  intros Eg Hx P. unfold runs_on. rewrite Eg, !(sum_delete _ (gran s) rec x Hx).
  rewrite (sum_ext (fun r g => b2z (run_page_of s' p r g)) (fun r g => b2z (run_page_of s p r g)) (delete rec (gran s))); [lia|].
  intros r g [Hn _]%lookup_delete_Some. unfold run_page_of, rec_of, rec_get, word. by rewrite P by congruence.
Qed.

Lemma inv_rec_turned s rec x l q ld lv c (s' := with_cached c (with_loaded ld lv (with_runs q (put_page rec l s)))) :
  inv s -> gran s !! rec = Some x -> g_state x = GS_REC -> page_words l ->
  (forall f, In f identity -> nth_word l (rec_off f) = word (mem s) rec (rec_off f)) -> waits_ok s' rec (g_owner x) ->
  rec_of s' REC_running rec = 0 \/ rec_of s' REC_running rec = 1 /\ is_ns (gran s) (rec_of s' REC_run_page rec) = true ->
  (forall pa, is_ns (gran s) pa = true ->
     uses s pa + (runs_on s pa - b2z (run_page_of s pa rec x) + b2z (run_page_of s' pa rec x)) <= g_refs (granule_at s pa)) ->
  (q <> 0 -> has_state GS_REC q s = true /\ rec_of s' REC_running q = 1) ->
  (ld <> 0 -> ld = q /\ length lv = 133%nat) -> Forall u64 lv -> (forall rd, rd ∈ c -> has_state GS_RD rd s = true) ->
  inv s'.
Proof.
  intros I Hx Hs Hl Hf Hw Hr Hp Hq Hld Hlv Hc.
  destruct (page_put_words (mem s) rec l (i_words _ I) (i_mem _ I) Hl) as [Mw Mm].
  assert (P : forall p, p <> rec -> page (mem s') p = page (mem s) p).
  { intros p Hn. apply page_insert_other. congruence. }
  assert (R : forall f rd, has_state GS_RD rd s = true -> rd_of s' f rd = rd_of s f rd).
  { intros f rd (y & Hy & E)%has_state_inv. unfold rd_of, rd_get, word. rewrite P; [done|].
    apply (differ s _ _ y x); [done|done|by rewrite E, Hs]. }
  destruct (i_scratch _ I) as (H1 & H2 & H3 & H4 & H5 & _).
  apply (inv_turned s); [done|]. constructor; try done.
  - intros p st (y & Hy & E)%has_state_inv Hst. apply P. intros ->. rewrite Hx in Hy. injection Hy as <-.
    rewrite Hs in E. by destruct Hst as [->| ->].
  - intros t r Ht. apply P. intros ->. pose proof (i_host _ I _ _ _ Hx Ht) as E. by rewrite Hs in E.
  - intros rd H. split; [intros; by apply R|]. pose proof (realm_bounded _ _ (i_realm _ I _ H)) as B. unfold bounded in *. by rewrite !R.
  - intros r g Hg Hgs. destruct (decide (r = rec)) as [->|Hn].
    + rewrite Hx in Hg. injection Hg as <-. split; [|done]. intros f Hin. unfold rec_of, rec_get, rec_word. rewrite Z.add_0_r.
      unfold word at 1. change (mem s') with (<[rec := l]> (mem s)). rewrite page_insert_same. by apply Hf.
    + pose proof (i_rec _ I _ _ Hg Hgs) as C.
      assert (W : forall f, rec_of s' f r = rec_of s f r) by (intros; unfold rec_of, rec_get, word; by rewrite P).
      split; [intros; by apply W|]. split; [|rewrite !W; apply (c_running _ _ _ C)].
      apply (waits_same s); [by apply P|by apply R, (c_rd _ _ _ C)|done|by apply rec_waits].
  - intros pa H. rewrite (runs_changed s s' rec x pa); [by apply Hp|done|done|exact P].
Qed.

(* ---- Pins ---- *)

Lemma inv_unpinned pa s x : inv s -> gran s !! pa = Some x -> g_state x = GS_NS -> uses s pa + runs_on s pa < g_refs x ->
  inv (page_unpinned pa s).
Proof.
  intros I Hx Hs Hu. destruct (i_gran _ I _ _ Hx) as (Pg & Ag & Hr).
  assert (Hn : is_ns (gran s) pa = true) by (unfold is_ns; by rewrite Hx, Hs).
  assert (Ho : g_owner x = 0) by (pose proof (i_owner _ I _ _ Hx) as H1; by rewrite Hs in H1).
  pose proof (uses_nonneg s pa). pose proof (runs_nonneg s pa).
  destruct (tracked_facts _ _ _ I Hx) as [[Ppa Apa] R Hnear].
  pose proof (i_mapped _ I _ R) as Mb. pose proof (slot_range 3 pa) as L3.
  assert (Hns : forall p, is_ns (gran (page_unpinned pa s)) p = is_ns (gran s) p).
  { intros p. unfold page_unpinned, with_refs, set_granule. cbn [gran with_gran]. rewrite (granule_at_eq _ _ _ Hx).
    unfold is_ns. destruct (decide (pa = p)) as [<-|]; [rewrite lookup_insert, Hx; reflexivity|by rewrite lookup_insert_ne]. }
  assert (Hc : hole_count (gran (page_unpinned pa s)) (floor_of 2 pa) = hole_count (gran s) (floor_of 2 pa)).
  { unfold hole_count, hole_list. do 2 f_equal. apply List.filter_ext. intros i. by rewrite Hns. }
  assert (No : is_object (gran s) pa = false) by (unfold is_object; rewrite Hx, Hs; reflexivity).
  eapply (inv_change s _ pa x (Gran (g_state x) (g_owner x) (g_refs x - 1))); try reflexivity; try done.
  - by rewrite Hs.
  - cbn. lia.
  - unfold page_unpinned, with_refs, set_granule. cbn [gran with_gran]. by rewrite (granule_at_eq _ _ _ Hx).
  - apply (i_mem _ I).
  - rewrite Hns, Hn. pose proof (m_3 _ _ _ _ _ Mb (slot_of 3 pa) L3) as M3. rewrite granule_nth in M3 by done.
    by rewrite Hn in M3.
  - rewrite Hc. rewrite <- slot2_floor. apply (m_2 _ _ _ _ _ Mb).
  - rewrite Hc. symmetry. apply insert_id. apply (m_holes _ _ _ _ _ Mb).
  - cbn. rewrite Hs. done.
  - constructor; try done.
    + intros p Hp. unfold page_unpinned, with_refs, set_granule. cbn [gran with_gran]. rewrite lookup_insert_ne; [done|].
      intros <-. congruence.
    + intros p. unfold is_object, page_unpinned, with_refs, set_granule. cbn [gran with_gran]. rewrite (granule_at_eq _ _ _ Hx).
      destruct (decide (pa = p)) as [<-|]; [rewrite lookup_insert, Hx; done|by rewrite lookup_insert_ne].
    + intros p Hp _. by rewrite Hns.
    + intros p Hp. rewrite Hns in Hp. pose proof (i_pins _ I _ Hp) as Hq.
      unfold granule_at, page_unpinned, with_refs, set_granule. cbn [gran with_gran]. rewrite (granule_at_eq _ _ _ Hx).
      unfold granule_at in Hq. destruct (decide (pa = p)) as [<-|].
      * rewrite lookup_insert. rewrite Hx in Hq. cbn [default from_option id g_refs] in *. lia.
      * by rewrite lookup_insert_ne.
  - exact (i_words _ I).
  - cbn. by left.
Qed.
