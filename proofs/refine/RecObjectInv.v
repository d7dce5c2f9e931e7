(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: RMI_REC_CREATE and RMI_REC_DESTROY keep the invariant. *)
From kcore Require Export refine.RecSwap.
From kcore Require Export refine.ObjectInv.
From kcore Require Export refine.RecInv.
From kcore Require Export spec.RecObject.
From kcore Require Export spec.RecDestroy.
Local Open Scope Z_scope.

Lemma kinds_differ s p q st st' : has_state st p s = true -> has_state st' q s = true -> st <> st' -> p <> q.
Proof. intros (x & Hx & E)%has_state_inv (y & Hy & E')%has_state_inv N. apply (differ s _ _ x y); [done|done|congruence]. Qed.
Lemma recs_pos s rec x : gran s !! rec = Some x -> g_state x = GS_REC -> 1 <= recs_of s (g_owner x).
Proof.
  intros Hx Hs. pose proof (sum_term (fun _ g => b2z ((g_state g =? GS_REC) && (g_owner g =? g_owner x))) (gran s) rec x) as T.
  cbn beta in T. rewrite Hs, !Z.eqb_refl in T. apply T; [|done]. intros k a _. destruct (g_state a =? GS_REC), (g_owner a =? g_owner x); cbn; lia.
Qed.

(* ---- RMI_REC_DESTROY ---- *)

Theorem rec_destroy_inv rec s : inv s -> inv (snd (destroy_rec rec s)).
Proof.
  intros I. unfold destroy_rec. destruct (owner_found rec s) eqn:Ef; cbn [negb]; [|exact I].
  destruct (Z.eqb_spec (rec_get REC_running rec 0 s) 0) as [Er|]; cbn [negb snd]; [|exact I].
  apply andb_true_iff in Ef as [N%negb_true_iff%Z.eqb_neq Hrd].
  assert (R : has_state GS_REC rec s = true) by (unfold rec_owner in N; destruct (has_state GS_REC rec s); done).
  destruct (has_state_inv _ _ _ R) as (x & Hx & Hs).
  assert (Eo : rec_owner rec s = g_owner x) by (unfold rec_owner, granule_at; by rewrite R, Hx).
  rewrite Eo in *. clear N Eo. set (rd := g_owner x) in *.
  pose proof (recs_pos _ _ _ Hx Hs) as C0. fold rd in C0.
  destruct (r_recs _ _ (i_realm _ I _ Hrd)) as (C1 & C2 & C3 & C4).
  pose proof (kinds_differ s rec rd GS_REC GS_RD R Hrd ltac:(done)) as Nr.
  unfold rec_gone. change (rd_get RD_rec_count rd 0 s) with (rd_of s RD_rec_count rd). rewrite wrap_small by lia.
  set (n := rd_of s RD_rec_count rd - 1). set (s' := scrubbed rec (rd_set RD_rec_count rd 0 n s)).
  assert (M : mem s' = <[rec := zero_page]> (set_word (mem s) rd (rd_word RD_rec_count 0) n)) by reflexivity.
  assert (W : forall f, f <> RD_rec_count -> rd_of s' f rd = rd_of s f rd).
  { intros f Hf. unfold rd_of, rd_get, word at 1. rewrite M, page_insert_other by done. apply word_set_slot; [by vm_compute|..]; by destruct f. }
  assert (Wc : rd_of s' RD_rec_count rd = n).
  { unfold rd_of, rd_get, word. rewrite M, page_insert_other by done. apply word_set_same; [apply (i_mem _ I)|by vm_compute]. }
  destruct (page_put_words (set_word (mem s) rd (rd_word RD_rec_count 0) n) rec zero_page) as [Mw Mm].
  { apply words_set; [exact (i_words _ I)|unfold n, u64; lia]. }
  { apply set_word_ok, (i_mem _ I). }
  { apply zero_page_words. }
  apply (inv_swapped rec rd x (Gran GS_DELEGATED 0 0) s); [exact I|]. constructor; try reflexivity; try assumption.
  - right. by split_and!.
  - left. split; [reflexivity|]. rewrite M. apply page_insert_same.
  - intros p N1 N2. rewrite M, page_insert_other by congruence. by apply page_set_page.
  - intros f Hf _. by apply W.
  - rewrite Wc, Hs. unfold n. cbn. lia.
  - rewrite Wc, W by done. unfold n. lia.
  - change (places s') with (delete rec (places s)). apply delete_notin, not_placed; [done|]. unfold has_state. by rewrite Hx, Hs.
  - apply (i_scratch _ I).
Qed.

(* ---- RMI_REC_CREATE ---- *)

(* Nothing but the page of a REC has changed. *)
Record only (rec : Z) (s s' : state) : Prop := Only {
  on_rest : s' = with_mem (mem s') s;
  on_page : forall p, p <> rec -> page (mem s') p = page (mem s) p;
  on_mem : mem_ok (mem s');
  on_words : words_u64 (mem s');
}.
Lemma only_set rec f i v s0 s : f <> REC_running -> u64 v -> only rec s0 s -> only rec s0 (rec_set f rec i v s).
Proof.
  intros Hf Hv [E P M W].
  replace (rec_set f rec i v s) with (put_word rec (rec_word f i) v s) by (destruct f; reflexivity || congruence).
  constructor.
  - rewrite E. reflexivity.
  - intros p N. rewrite <- P by done. by apply page_set_page.
  - by apply set_word_ok.
  - by apply words_set.
Qed.
Lemma only_each rec n f s0 s : (forall i s, 0 <= i < Z.of_nat n -> only rec s0 s -> only rec s0 (f i s)) ->
  only rec s0 s -> only rec s0 (each_below n f s).
Proof.
  intros Hf Hs. assert (forall m, (m <= n)%nat -> only rec s0 (each_below m f s)) as H; [|by apply H].
  induction m as [|m IH]; intros Hm; [exact Hs|]. rewrite each_below_S. apply Hf; [lia|]. apply IH. lia.
Qed.
Lemma rec_word_other f rec i v s j : f <> REC_running -> 0 <= rec_word f i -> 0 <= j -> rec_word f i <> j ->
  word (mem (rec_set f rec i v s)) rec j = word (mem s) rec j.
Proof. intros Hf Hi Hj N. destruct f; try congruence; by apply word_set_slot. Qed.
Lemma rec_word_same f rec i v s s0 : f <> REC_running -> 0 <= rec_word f i < 512 -> only rec s0 s ->
  word (mem (rec_set f rec i v s)) rec (rec_word f i) = v.
Proof. intros Hf Hi O. destruct f; try congruence; by apply word_set_same; [apply (on_mem _ _ _ O)|]. Qed.
Lemma gprs_other rec j s : 0 <= j -> j < rec_off REC_gpr \/ rec_off REC_gpr + 8 <= j ->
  word (mem (each (fun i s => rec_set REC_gpr rec i (param (REC_GPRS + i) s) s) s)) rec j = word (mem s) rec j.
Proof.
  intros Hj Ho. unfold each. assert (forall n, (n <= 8)%nat ->
    word (mem (each_below n (fun i s => rec_set REC_gpr rec i (param (REC_GPRS + i) s) s) s)) rec j = word (mem s) rec j) as H; [|by apply H].
  induction n as [|n IH]; intros Hn; [reflexivity|]. rewrite each_below_S, rec_word_other; [apply IH; lia|done|..]; unfold rec_word; cbn [rec_off] in *; lia.
Qed.

(* A REC as it starts: whose it is, and that it waits for nothing. *)
Definition still_fields : list rec_field := [REC_running; REC_ripas_pending; REC_host_call; REC_token_state].
Record started (rd rec index : Z) (s0 s : state) : Prop := Started {
  st_only : only rec s0 s;
  st_rd : rec_of s REC_rd rec = rd;
  st_index : rec_of s REC_index rec = index;
  st_s2sz : rec_of s REC_s2sz rec = rd_of s0 RD_s2sz rd;
  st_level : rec_of s REC_start_level rec = rd_of s0 RD_start_level rd;
  st_base : rec_of s REC_rtt_base rec = rd_of s0 RD_rtt_base rd;
  st_vmid : rec_of s REC_vmid rec = rd_of s0 RD_vmid rd;
  st_still : forall f, In f still_fields -> rec_of s f rec = rec_of s0 f rec;
}.
Ltac off_now := first [discriminate|vm_compute; discriminate|vm_compute; split; [discriminate|reflexivity]].
Ltac passed := repeat first
  [rewrite gprs_other by (vm_compute; first [discriminate|left; reflexivity|right; discriminate])
  |rewrite rec_word_other by off_now].

Lemma filled_started rd rec index flags s : mem_ok (mem s) -> words_u64 (mem s) -> Forall u64 (params s) ->
  u64 rd -> u64 index -> u64 flags -> started rd rec index s (rec_filled rd rec index flags s).
Proof.
  intros Hm Hw Hp Hrd Hi Hf.
  assert (U : forall f i, u64 (rd_get f rd i s)) by (intros; apply Hw).
  assert (P : forall i, u64 (param i s)) by (intros; by apply nth_word_u64).
  assert (Hv : u64 (vmpidr (param REC_MPIDR s))).
  { unfold vmpidr. apply u64_lor; [apply u64_lor|by vm_compute].
    - by apply u64_land.
    - pose proof (land_range 32 0xFF000000 (param REC_MPIDR s) ltac:(lia)) as H. rewrite Z.land_comm in H. unfold u64. lia. }
  unfold rec_filled. set (gprs := each _).
  assert (O0 : only rec s s) by (constructor; [by destruct s|done..]).
  set (a1 := rec_set REC_rd rec 0 rd s). assert (O1 : only rec s a1) by (by apply only_set).
  set (a2 := rec_set REC_index rec 0 index a1). assert (O2 : only rec s a2) by (by apply only_set).
  set (a3 := rec_set REC_runnable rec 0 _ a2). assert (O3 : only rec s a3) by (apply only_set; [done|by apply (land_range 64)|done]).
  set (a4 := rec_set REC_s2sz rec 0 _ a3). assert (O4 : only rec s a4) by (by apply only_set).
  set (a5 := rec_set REC_start_level rec 0 _ a4). assert (O5 : only rec s a5) by (by apply only_set).
  set (a6 := rec_set REC_rtt_base rec 0 _ a5). assert (O6 : only rec s a6) by (by apply only_set).
  set (a7 := rec_set REC_vmid rec 0 _ a6). assert (O7 : only rec s a7) by (by apply only_set).
  assert (O8 : only rec s (gprs a7)).
  { apply only_each; [|exact O7]. intros i b _ O. apply only_set; [done| |exact O]. apply nth_word_u64. rewrite (on_rest _ _ _ O). exact Hp. }
  constructor.
  - apply only_set; [done|exact Hv|]. do 3 (apply only_set; [done|by vm_compute|]). apply only_set; [done|apply P|exact O8].
  - unfold rec_of, rec_get. subst gprs. passed. subst a7 a6 a5 a4 a3 a2. passed. subst a1. by apply (rec_word_same _ _ _ _ _ s).
  - unfold rec_of, rec_get. subst gprs. passed. subst a7 a6 a5 a4 a3. passed. subst a2. by apply (rec_word_same _ _ _ _ _ s).
  - unfold rec_of, rec_get. subst gprs. passed. subst a7 a6 a5. passed. subst a4. by apply (rec_word_same _ _ _ _ _ s).
  - unfold rec_of, rec_get. subst gprs. passed. subst a7 a6. passed. subst a5. by apply (rec_word_same _ _ _ _ _ s).
  - unfold rec_of, rec_get. subst gprs. passed. subst a7. passed. subst a6. by apply (rec_word_same _ _ _ _ _ s).
  - unfold rec_of, rec_get. subst gprs. passed. subst a7. by apply (rec_word_same _ _ _ _ _ s).
  - intros f H. unfold rec_of, rec_get. subst gprs a7 a6 a5 a4 a3 a2 a1. simpl in H.
    destruct H as [<-|[<-|[<-|[<-|[]]]]]; passed; reflexivity.
Qed.

Lemma create_allowed rd s : create_check rd s = RMI_SUCCESS -> rd_of s RD_rec_index rd < rd_of s RD_max_vcpus rd.
Proof.
  unfold create_check. destruct (_ || _); [discriminate|].
  change (rd_get RD_max_vcpus rd 0 s) with (rd_of s RD_max_vcpus rd). change (rd_get RD_rec_index rd 0 s) with (rd_of s RD_rec_index rd).
  destruct (Z.leb_spec (rd_of s RD_max_vcpus rd) (rd_of s RD_rec_index rd)); [discriminate|done].
Qed.
Lemma recs_nonneg s rd : 0 <= recs_of s rd.
Proof. apply sum_nonneg. intros k a _. destruct (g_state a =? GS_REC), (g_owner a =? rd); cbn; lia. Qed.

Lemma rec_created_inv rd rec s : inv s -> has_state GS_RD rd s = true -> has_state GS_DELEGATED rec s = true ->
  create_check rd s = RMI_SUCCESS -> inv (rec_created rd rec s).
Proof.
  intros I Hrd Hd Hc%create_allowed. pose proof (kinds_differ s rec rd GS_DELEGATED GS_RD Hd Hrd ltac:(done)) as Nr.
  destruct (has_state_inv _ _ _ Hd) as (x & Hx & Hs). destruct (i_zero _ I _ _ Hx Hs) as (Zp & Zo & Zr).
  destruct (r_recs _ _ (i_realm _ I _ Hrd)) as (C1 & C2 & C3 & C4). pose proof (recs_nonneg s rd) as C0.
  destruct (i_scratch _ I) as (Hparams & _).
  assert (Urd : u64 rd) by (destruct (has_state_inv _ _ _ Hrd) as (y & Hy & _); destruct (i_gran _ I _ _ Hy); unfold u64; lia).
  set (s1 := with_owner rec GS_REC rd s).
  assert (P1 : places s1 = places s).
  { change (places s1) with (delete rec (places s)). apply delete_notin, not_placed; [done|]. unfold has_state. by rewrite Hx, Hs. }
  assert (G1 : gran s1 = <[rec := Gran GS_REC rd 0]> (gran s)).
  { change (gran s1) with (<[rec := Gran GS_REC rd (g_refs (granule_at s rec))]> (gran s)). unfold granule_at. rewrite Hx. cbn [default from_option id]. by rewrite Zr. }
  pose proof (filled_started rd rec (rd_of s RD_rec_index rd) (param REC_FLAGS s) s1 (i_mem _ I) (i_words _ I) (proj2 Hparams)
    Urd (i_words _ I _ _) (nth_word_u64 _ _ (proj2 Hparams))) as F.
  unfold rec_created. cbv zeta. fold s1. change (rd_get RD_rec_count rd 0 s) with (rd_of s RD_rec_count rd).
  change (rd_get RD_rec_index rd 0 s) with (rd_of s RD_rec_index rd). rewrite !wrap_small by lia.
  revert F. generalize (rec_filled rd rec (rd_of s RD_rec_index rd) (param REC_FLAGS s) s1). intros f [O F1 F2 F3 F4 F5 F6 F7].
  set (s2 := rd_set RD_rec_index rd 0 _ (rd_set RD_rec_count rd 0 _ f)).
  assert (E : s2 = with_mem (mem s2) s1) by (unfold s2; rewrite (on_rest _ _ _ O); reflexivity).
  assert (M : mem s2 = set_word (set_word (mem f) rd (rd_word RD_rec_count 0) (rd_of s RD_rec_count rd + 1)) rd
    (rd_word RD_rec_index 0) (rd_of s RD_rec_index rd + 1)) by reflexivity.
  pose proof (on_mem _ _ _ O) as Om. pose proof (on_words _ _ _ O) as Ow.
  assert (Mm : mem_ok (mem s2)) by (rewrite M; by repeat apply set_word_ok).
  assert (Mw : words_u64 (mem s2)) by (rewrite M; apply words_set; [apply words_set; [done|]|]; unfold u64; lia).
  assert (Pg : forall p, p <> rd -> page (mem s2) p = page (mem f) p) by (intros p N; rewrite M, !page_set_page by congruence; done).
  assert (Prd : page (mem f) rd = page (mem s) rd) by (by apply (on_page _ _ _ O)).
  assert (W : forall g, g <> RD_rec_count -> g <> RD_rec_index -> rd_of s2 g rd = rd_of s g rd).
  { intros g N1 N2. unfold rd_of, rd_get. rewrite M, !word_set_slot by (first [by vm_compute|by destruct g]).
    unfold word. by rewrite Prd. }
  assert (Wc : rd_of s2 RD_rec_count rd = rd_of s RD_rec_count rd + 1).
  { unfold rd_of at 1, rd_get. rewrite M, word_set_slot by (by vm_compute). by apply word_set_same; [|by vm_compute]. }
  assert (Wi : rd_of s2 RD_rec_index rd = rd_of s RD_rec_index rd + 1).
  { unfold rd_of at 1, rd_get. rewrite M. apply word_set_same; [by apply set_word_ok|by vm_compute]. }
  assert (T : forall g, rec_of s2 g rec = rec_of f g rec) by (intros; unfold rec_of, rec_get, word; by rewrite Pg).
  assert (Z0 : forall g, In g still_fields -> rec_of s2 g rec = 0).
  { intros g Hg. rewrite T, F7 by done. unfold rec_of, rec_get, word. change (mem s1) with (mem s). rewrite Zp.
    simpl in Hg. destruct Hg as [<-|[<-|[<-|[<-|[]]]]]; by vm_compute. }
  assert (Grec : gran s2 !! rec = Some (Gran GS_REC rd 0)) by (rewrite E; change (gran (with_mem (mem s2) s1)) with (gran s1); rewrite G1; apply lookup_insert).
  assert (Grd : gran s2 !! rd = gran s !! rd) by (rewrite E; change (gran (with_mem (mem s2) s1)) with (gran s1); rewrite G1; by apply lookup_insert_ne).
  assert (Hrd2 : has_state GS_RD rd s2 = true) by (unfold has_state in *; by rewrite Grd).
  change (rd_of s1) with (rd_of s) in *. clearbody s2. clear M.
  assert (L : lively rd s2); [constructor; [|exact Hrd2]|].
  2:{ destruct (_ =? 0); [apply (l_inv _ _ L)|apply (l_inv rd), lively_rec_measured, L]. }
  assert (Hok : rec_ok s2 rec rd).
  { constructor.
    - by rewrite T, F1.
    - unfold rec_agrees. rewrite (has_state_intro GS_REC rec s2 _ Grec eq_refl).
      assert (V : forall g, word (mem s2) rec (rec_off g) = rec_of f g rec) by (intros; rewrite <- T; unfold rec_of, rec_get, rec_word; by rewrite Z.add_0_r).
      assert (V' : forall g, g <> RD_rec_count -> g <> RD_rec_index -> word (mem s2) rd (rd_off g) = rd_of s g rd).
      { intros g N1 N2. rewrite <- W by done. unfold rd_of, rd_get, rd_word. by rewrite Z.add_0_r. }
      rewrite !V, F1, F3, F4, F5, F6, !V', Hrd2 by done. unfold granule_at. rewrite Grec. cbn [default from_option id g_owner].
      by rewrite !Z.eqb_refl.
    - left. apply Z0. by left.
    - rewrite T, F2, Wi. lia.
    - intros N. destruct N. apply Z0. simpl. tauto.
    - intros N. destruct N. apply Z0. simpl. tauto.
    - rewrite (Z0 REC_token_state) by (simpl; tauto). split; [done|lia]. }
  apply (inv_swapped rec rd x (Gran GS_REC rd 0) s); [exact I|].
  assert (Nsh : forall p, p <> rec -> p <> rd -> page (mem s2) p = page (mem s) p) by (intros; rewrite Pg by done; by apply (on_page _ _ _ O)).
  assert (Hz : rec_of s2 REC_running rec = 0) by (apply Z0; by left).
  constructor; try assumption; rewrite ?Wc, ?Wi.
  - by left.
  - right. split; [by split_and!|]. split; [unfold REFS_MAX; cbn; lia|done].
  - rewrite E. exact G1.
  - rewrite Hs. cbn. lia.
  - lia.
  - by rewrite E.
  - by rewrite E.
  - by rewrite E.
  - rewrite E. exact P1.
  - by rewrite E.
  - rewrite E. apply (i_scratch _ I).
  - by rewrite E.
  - by rewrite E.
  - by rewrite E.
Qed.

Theorem rec_create_inv rd rec ns s : inv s -> inv (snd (create_rec rd rec ns s)).
Proof.
  intros I. unfold create_rec. destruct (pinnable ns s); [|exact I].
  assert (I1 : inv (params_loaded ns s)) by (apply inv_params; [exact I|by apply page_is_words]).
  revert I1. generalize (params_loaded ns s). clear. intros s I. unfold create_with.
  destruct (negb (_ =? 0)); [exact I|]. destruct (has_state GS_RD rd s) eqn:Hrd; cbn [negb]; [|exact I].
  destruct (claimable GS_DELEGATED rec s) eqn:Hc; cbn [negb]; [|exact I]. cbn [snd].
  apply andb_true_iff in Hc as [Hd _].
  destruct (Z.eqb_spec (create_check rd s) RMI_SUCCESS); [by apply rec_created_inv|exact I].
Qed.
