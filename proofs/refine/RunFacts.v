(* SPDX-License-Identifier: Apache-2.0 *)
(* The invariant while a REC runs: what is known of the REC, and changes of it, of pages of data and of the host that
   leave the invariant. *)
From kcore Require Export refine.TreeFacts spec.RecLock.
Local Open Scope Z_scope.

Theorem inv_current rec s : inv s -> idle s -> runs s = rec -> rec <> 0 -> current rec s.
Proof.
  intros I (Hh & Hs & Hst) Hr Hn. destruct (i_runs _ I) as [R1 R2]; [by rewrite Hr|]. rewrite Hr in R1, R2.
  destruct (has_state_inv _ _ _ R1) as (g & Hg & Hgs). destruct (i_rec _ I _ _ Hg Hgs) as [[C1 C1'] _ C3 _ _ _ _].
  destruct C3 as [C3|[_ C3]]; [congruence|].
  constructor; try done.
  - change (realm_of rec s) with (rec_of s REC_rd rec). by rewrite C1.
  - change (rec_get REC_run_page rec 0 s) with (rec_of s REC_run_page rec).
    pose proof (i_pins _ I _ C3) as P. pose proof (runs_pos s rec g Hg Hgs R2). pose proof (uses_nonneg s (rec_of s REC_run_page rec)).
    unfold is_ns, pinned, granule_at in *. destruct (gran s !! rec_of s REC_run_page rec) as [x|]; [|done].
    cbn [default from_option id] in P. rewrite C3. cbn [andb]. apply Z.ltb_lt. lia.
Qed.

(* ---- Changes of what is no table and no RD ---- *)

(* What a REC waits for: words that its functions change. *)
Definition waits_ok (s : state) (rec rd : Z) : Prop :=
  (rec_of s REC_ripas_pending rec <> 0 ->
      rec_of s REC_ripas_base rec <= rec_of s REC_ripas_top rec /\ rec_of s REC_ripas_top rec <= half_of s rd /\
      rec_of s REC_ripas_base rec mod 4096 = 0 /\ rec_of s REC_ripas_top rec mod 4096 = 0 /\
      0 <= rec_of s REC_ripas_value rec <= 1) /\
  (rec_of s REC_host_call rec <> 0 ->
      rec_of s REC_host_call_ipa rec mod 256 = 0 /\ rec_of s REC_host_call_ipa rec < half_of s rd) /\
  (rec_of s REC_token_state rec = 1 -> rec_of s REC_token_done rec = 0) /\
  (1 < rec_of s REC_token_state rec ->
      rec_of s REC_token_state rec = 2 /\ rec_of s REC_token_done rec <= token_total rec s).
(* Whose it is. *)
Definition identity : list rec_field := [REC_rd; REC_index; REC_s2sz; REC_start_level; REC_rtt_base; REC_vmid].

(* Of a realm: what its tables and its RECs rest on; and the rest that is bounded. *)
Definition shape : list rd_field :=
  [RD_s2sz; RD_ipa_size; RD_start_level; RD_num_start; RD_rtt_base; RD_vmid; RD_hash_algo; RD_rec_index; RD_rec_count].
Definition bounded (s : state) (rd : Z) : Prop :=
  0 <= rd_of s RD_state rd <= 2 /\ (rd_of s RD_has_key rd = 0 \/ rd_of s RD_has_key rd = 1) /\
  rd_of s RD_rec_index rd <= rd_of s RD_max_vcpus rd /\ rd_of s RD_max_vcpus rd <= 1023.

(* Nothing but the words of RDs and RECs, pages of data and of the host, what this CPU runs, and its scratch. *)
Record turned (s s' : state) : Prop := Turned {
  v_hw : hw s' = hw s;
  v_gran : gran s' = gran s;
  v_holes : holes s' = holes s;
  v_vmids : vmids s' = vmids s;
  v_places : places s' = places s;
  v_cached : forall rd, rd ∈ cached s' -> has_state GS_RD rd s = true;
  v_page : forall p st, has_state st p s = true -> st = GS_RTT \/ st = GS_DELEGATED -> page (mem s') p = page (mem s) p;
  v_host : forall t r, role_of (hw s) t = Some r -> page (mem s') t = page (mem s) t;
  v_realm : forall rd, has_state GS_RD rd s = true -> (forall f, In f shape -> rd_of s' f rd = rd_of s f rd) /\ bounded s' rd;
  v_rec : forall rec g, gran s !! rec = Some g -> g_state g = GS_REC ->
      (forall f, In f identity -> rec_of s' f rec = rec_of s f rec) /\ waits_ok s' rec (g_owner g) /\
      (rec_of s' REC_running rec = 0 \/ rec_of s' REC_running rec = 1 /\ is_ns (gran s) (rec_of s' REC_run_page rec) = true);
  v_pins : forall pa, is_ns (gran s) pa = true -> uses s pa + runs_on s' pa <= g_refs (granule_at s pa);
  v_mem : mem_ok (mem s');
  v_words : words_u64 (mem s');
  v_scratch : page_words (params s') /\ page_words (run s') /\ page_words (hash_page s') /\
      length (digest s') = 8%nat /\ Forall u64 (digest s') /\ Forall u64 (live s');
  v_runs : runs s' <> 0 -> has_state GS_REC (runs s') s = true /\ rec_of s' REC_running (runs s') = 1;
  v_loaded : loaded s' <> 0 -> loaded s' = runs s' /\ length (live s') = 133%nat;
}.

Section turned.
  Context (s s' : state) (I : inv s) (T : turned s s').

  Local Lemma same_state st p : has_state st p s' = has_state st p s.
  Proof using T. unfold has_state. by rewrite (v_gran _ _ T). Qed.
  Local Lemma same_rd f rd : In f shape -> has_state GS_RD rd s = true -> rd_of s' f rd = rd_of s f rd.
  Proof using T. intros Hf H. by apply (v_realm _ _ T _ H). Qed.
  Local Lemma same_half rd : has_state GS_RD rd s = true -> half_of s' rd = half_of s rd.
  Proof using T. intros H. unfold half_of. by rewrite same_rd by (done || (unfold shape; simpl; tauto)). Qed.
  Local Lemma same_table t : has_state GS_RTT t s = true -> page (mem s') t = page (mem s) t.
  Proof using T. intros H. apply (v_page _ _ T _ _ H). auto. Qed.
  Local Lemma same_word t i : has_state GS_RTT t s = true -> word (mem s') t i = word (mem s) t i.
  Proof using T. intros H. unfold word. by rewrite same_table. Qed.
  Local Lemma same_own rd p : own_data s' rd p = own_data s rd p.
  Proof using T. unfold own_data. by rewrite (v_gran _ _ T). Qed.
  Local Lemma same_uses p : uses s' p = uses s p.
  Proof using I T.
    unfold uses. rewrite (v_places _ _ T). apply sum_ext. intros t q Hq. unfold leaves_for.
    destruct (place_granule _ _ _ I Hq) as (_ & _ & H). by rewrite same_table.
  Qed.
  Local Lemma same_recs rd : recs_of s' rd = recs_of s rd.
  Proof using T. unfold recs_of. by rewrite (v_gran _ _ T). Qed.
  Local Lemma same_entry t p ipa d : places s !! t = Some p -> entry_ok s t p ipa d -> entry_ok s' t p ipa d.
  Proof using I T.
    intros Hp H. pose proof (t_rd _ _ _ (i_table _ I _ _ Hp)) as Hrd.
    destruct H; constructor; rewrite ?same_half, ?same_rd, ?(v_places _ _ T), ?(v_gran _ _ T) by (done || (unfold shape; simpl; tauto)); try done.
    intros. rewrite same_own. auto.
  Qed.
  Local Lemma same_maps rd t i ipa pa : maps s' rd t i ipa pa <-> maps s rd t i ipa pa.
  Proof using I T.
    split; intros [(p & Hp & Hr & Hi & Hk & Hn)]; constructor; exists p; rewrite ?(v_places _ _ T) in *;
    destruct (place_granule _ _ _ I Hp) as (_ & _ & H); rewrite ?same_word in * by done; done.
  Qed.
  Local Lemma same_realms : realms_ok s'.
  Proof using I T.
    constructor.
    - intros rd H. rewrite same_state in H. destruct (i_realm _ I _ H). destruct (v_realm _ _ T _ H) as [F (B1 & B2 & B3 & B4)].
      pose proof (F RD_rec_index ltac:(unfold shape; simpl; tauto)) as Ei.
      constructor; rewrite ?same_recs, ?(F RD_s2sz), ?(F RD_ipa_size), ?(F RD_start_level), ?(F RD_num_start), ?(F RD_rtt_base),
        ?(F RD_vmid), ?(F RD_hash_algo), ?(F RD_rec_index), ?(F RD_rec_count), ?(v_places _ _ T), ?(v_vmids _ _ T)
        by (unfold shape; simpl; tauto); try done.
      rewrite Ei in B3. clear - r_recs B3 B4. lia.
    - intros rd rd' H H'. rewrite same_state in H, H'. rewrite !same_rd by (done || (unfold shape; simpl; tauto)). by apply (i_vmid _ I).
    - intros rec g Hg Hs. rewrite (v_gran _ _ T) in Hg.
      destruct (i_rec _ I _ _ Hg Hs) as [[C1 C1'] C2 _ C4 _ _ _]. destruct (v_rec _ _ T _ _ Hg Hs) as [E ((W1 & W2 & W3) & C3)].
      constructor; try done.
      + rewrite E, same_state by (unfold identity; simpl; tauto). done.
      + unfold rec_agrees in *.
        assert (W : forall f, In f identity -> word (mem s') rec (rec_off f) = word (mem s) rec (rec_off f)).
        { intros f Hf. specialize (E f Hf). unfold rec_of, rec_get, rec_word in E. by rewrite !Z.add_0_r in E. }
        rewrite !W by (unfold identity; simpl; tauto).
        assert (Ew : word (mem s) rec (rec_off REC_rd) = g_owner g) by (rewrite <- C1; reflexivity). rewrite Ew in *.
        assert (W' : forall f, In f shape -> word (mem s') (g_owner g) (rd_off f) = word (mem s) (g_owner g) (rd_off f)).
        { intros f Hf. pose proof (same_rd f _ Hf C1') as E'. unfold rd_of, rd_get, rd_word in E'. by rewrite !Z.add_0_r in E'. }
        rewrite !W', !same_state by (unfold shape; simpl; tauto). unfold granule_at in *. by rewrite (v_gran _ _ T).
      + by rewrite (v_gran _ _ T).
      + rewrite E, same_rd by (done || (unfold identity, shape; simpl; tauto)). done.
    - intros t p Hp. rewrite (v_places _ _ T) in Hp. destruct (place_granule _ _ _ I Hp) as (_ & _ & Ht).
      destruct (i_table _ I _ _ Hp) as [(g & Hg & Hs & Hown & Hrefs) Hrd Hlev Hbase Hstart Hbelow Hent].
      constructor; rewrite ?same_state, ?same_rd by (done || (unfold shape; simpl; tauto)); try done.
      + exists g. by rewrite (v_gran _ _ T), same_table.
      + intros N. destruct (Hbelow N) as (b & pp & E & R & W). exists b, pp. rewrite (v_places _ _ T).
        destruct (place_granule _ _ _ I E) as (_ & _ & Hpt). by rewrite same_word.
      + intros i Hi. rewrite same_word by done. by apply same_entry; auto.
    - intros t H. rewrite same_state in H. rewrite (v_places _ _ T). by apply (i_placed _ I).
    - intros pa g Hg Hs. rewrite (v_gran _ _ T) in Hg.
      destruct (i_data _ I _ _ Hg Hs) as (t & i & ipa & M). exists t, i, ipa. by apply same_maps.
    - intros rd rd' t t' i i' ipa ipa' pa M M'. apply same_maps in M, M'. by apply (i_once _ I _ _ _ _ _ _ _ _ _ M M').
    - intros pa H. rewrite same_uses. unfold granule_at. rewrite (v_gran _ _ T) in *. by apply (v_pins _ _ T).
    - intros rd H. rewrite same_state. by apply (v_cached _ _ T).
  Qed.
  Local Lemma same_host t r g i : table_ok (hw s) g t r -> word (mem s') t i = word (mem s) t i.
  Proof using T. intros (_ & _ & R & _). unfold word. by rewrite (v_host _ _ T _ _ R). Qed.
  Local Lemma same_mapped base : wired (hw s) (gran s) base ->
    mapped (hw s) (gran s) (mem s) (holes s) base -> mapped (hw s) (gran s) (mem s') (holes s) base.
  Proof using T.
    intros [_ W1 W2 W3 V1 V2 _] [M1 M2 M3 N1 N2 Mh]. constructor; try done.
    - by rewrite (same_host _ _ _ _ W1).
    - by rewrite (same_host _ _ _ _ W2).
    - intros i Hi. rewrite (same_host _ _ _ _ W3). by apply M3.
    - intros N. rewrite (same_host _ _ _ _ (V1 N)). by apply N1.
    - intros N. rewrite (same_host _ _ _ _ (V2 N)). by apply N2.
  Qed.

  Theorem inv_turned : inv s'.
  Proof using I T.
    destruct same_realms. constructor; try assumption; rewrite ?(v_hw _ _ T), ?(v_gran _ _ T), ?(v_holes _ _ T).
    - apply (v_mem _ _ T).
    - apply (i_gran _ I).
    - apply (i_wired _ I).
    - intros base Hb. apply same_mapped; [by apply (i_wired _ I)|by apply (i_mapped _ I)].
    - intros pa g Hg Hs. rewrite (v_page _ _ T pa GS_DELEGATED); [by apply (i_zero _ I)| |auto].
      by eapply has_state_intro.
    - apply (i_hw _ I).
    - apply (v_words _ _ T).
    - apply (v_scratch _ _ T).
    - apply (i_host _ I).
    - intros pa g Hg. rewrite same_state. exact (i_owner _ I pa g Hg).
    - intros N. rewrite same_state. by apply (v_runs _ _ T).
    - apply (v_loaded _ _ T).
  Qed.
End turned.

Lemma realm_bounded s rd : realm_ok s rd -> bounded s rd.
Proof. intros []. unfold bounded. split_and!; try done; lia. Qed.

(* Who runs, and where, stays, and the words of RDs. *)
Record tended (s s' : state) : Prop := Tended {
  w_hw : hw s' = hw s;
  w_gran : gran s' = gran s;
  w_holes : holes s' = holes s;
  w_vmids : vmids s' = vmids s;
  w_places : places s' = places s;
  w_cached : cached s' = cached s;
  w_page : forall p st, has_state st p s = true -> st = GS_RD \/ st = GS_RTT \/ st = GS_DELEGATED ->
      page (mem s') p = page (mem s) p;
  w_host : forall t r, role_of (hw s) t = Some r -> page (mem s') t = page (mem s) t;
  w_rec : forall rec g, gran s !! rec = Some g -> g_state g = GS_REC ->
      (forall f, In f (REC_running :: REC_run_page :: identity) -> rec_of s' f rec = rec_of s f rec) /\ waits_ok s' rec (g_owner g);
  w_mem : mem_ok (mem s');
  w_words : words_u64 (mem s');
  w_scratch : page_words (params s') /\ page_words (run s') /\ page_words (hash_page s') /\
      length (digest s') = 8%nat /\ Forall u64 (digest s') /\ Forall u64 (live s');
  w_runs : runs s' = runs s;
  w_loaded : loaded s' <> 0 -> loaded s' = runs s' /\ length (live s') = 133%nat;
}.
Lemma same_runs s s' p : gran s' = gran s ->
  (forall rec g, gran s !! rec = Some g -> g_state g = GS_REC ->
     rec_of s' REC_running rec = rec_of s REC_running rec /\ rec_of s' REC_run_page rec = rec_of s REC_run_page rec) ->
  runs_on s' p = runs_on s p.
Proof.
  intros Eg H. unfold runs_on. rewrite Eg. apply sum_ext. intros rec g Hg. unfold run_page_of.
  destruct (Z.eqb_spec (g_state g) GS_REC) as [E|]; [|done]. by destruct (H rec g Hg E) as [-> ->].
Qed.
Theorem inv_tended s s' : inv s -> tended s s' -> inv s'.
Proof.
  intros I [E1 E2 E3 E4 E5 E6 Hp Hh Hr Hm Hw Hs Eu Hl]. apply (inv_turned s); [done|].
  assert (R : forall f rd, has_state GS_RD rd s = true -> rd_of s' f rd = rd_of s f rd).
  { intros f rd H. unfold rd_of, rd_get, word. by rewrite (Hp _ _ H) by auto. }
  assert (N : forall rec g, gran s !! rec = Some g -> g_state g = GS_REC ->
     rec_of s' REC_running rec = rec_of s REC_running rec /\ rec_of s' REC_run_page rec = rec_of s REC_run_page rec).
  { intros rec g Hg Hgs. destruct (Hr _ _ Hg Hgs) as [F _]. split; apply F; simpl; tauto. }
  constructor; try assumption.
  - intros rd. rewrite E6. apply (i_cached _ I).
  - intros p st H [Hst|Hst]; apply (Hp _ _ H); auto.
  - intros rd H. split; [by intros; apply R|]. pose proof (realm_bounded _ _ (i_realm _ I _ H)) as B.
    unfold bounded in *. by rewrite !R.
  - intros rec g Hg Hgs. destruct (Hr _ _ Hg Hgs) as [F W]. split; [intros f Hf; apply F; simpl in *; tauto|]. split; [done|].
    destruct (N _ _ Hg Hgs) as [-> ->]. apply (c_running _ _ _ (i_rec _ I _ _ Hg Hgs)).
  - intros pa H. rewrite (same_runs s s') by done. by apply (i_pins _ I).
  - rewrite Eu. intros Nr. destruct (i_runs _ I Nr) as [R1 R2]. split; [done|].
    destruct (has_state_inv _ _ _ R1) as (g & Hg & Hgs). by destruct (N _ _ Hg Hgs) as [-> _].
Qed.

(* ---- One page ---- *)

Lemma page_put_words m pa l : words_u64 m -> mem_ok m -> page_words l ->
  words_u64 (<[pa := l]> m) /\ mem_ok (<[pa := l]> m).
Proof.
  intros Hw Hm [Hl Hu]. split; [by apply words_put|].
  intros p x. destruct (decide (pa = p)) as [<-|]; [rewrite lookup_insert; by intros [= <-]|].
  rewrite lookup_insert_ne by done. apply Hm.
Qed.
Lemma waits_same s s' rec rd : page (mem s') rec = page (mem s) rec -> rd_of s' RD_ipa_size rd = rd_of s RD_ipa_size rd ->
  hw s' = hw s -> waits_ok s rec rd -> waits_ok s' rec rd.
Proof.
  intros E Er Eh. unfold waits_ok, half_of, token_total, token_of, rec_of, rec_get, word. rewrite Er, E, Eh. done.
Qed.
Lemma rec_waits s rec rd : rec_ok s rec rd -> waits_ok s rec rd.
Proof. intros [_ _ _ _ C5 C6 [C7 C8]]. by split_and!. Qed.

(* A page of data, of the host's, or of a REC. *)
Lemma inv_put_page s pa l x : inv s -> gran s !! pa = Some x ->
  g_state x = GS_NS \/ g_state x = GS_DATA \/
  (g_state x = GS_REC /\ (forall f, In f (REC_running :: REC_run_page :: identity) -> nth_word l (rec_off f) = nth_word (page (mem s) pa) (rec_off f)) /\
   waits_ok (put_page pa l s) pa (g_owner x)) ->
  page_words l -> inv (put_page pa l s).
Proof.
  intros I Hx Hc Hl. apply (inv_tended s); [done|].
  destruct (page_put_words (mem s) pa l (i_words _ I) (i_mem _ I) Hl) as [Hw Hm].
  assert (P : forall p, p <> pa -> page (mem (put_page pa l s)) p = page (mem s) p).
  { intros p Hp. apply page_insert_other. congruence. }
  assert (R : forall f rd, has_state GS_RD rd s = true -> rd_of (put_page pa l s) f rd = rd_of s f rd).
  { intros f rd (y & Hy & Hys)%has_state_inv. unfold rd_of, rd_get, word. rewrite P; [done|]. intros ->.
    rewrite Hx in Hy. injection Hy as <-. rewrite Hys in Hc. by destruct Hc as [Hc|[Hc|[Hc _]]]. }
  constructor; try done.
  - intros p st (y & Hy & Hys)%has_state_inv Hst. apply P. intros ->. rewrite Hx in Hy. injection Hy as <-.
    rewrite Hys in Hc. by destruct Hst as [->|[-> | ->]], Hc as [Hc|[Hc|[Hc _]]].
  - intros t r Hr. apply P. intros ->. pose proof (i_host _ I _ _ _ Hx Hr) as E. rewrite E in Hc.
    by destruct Hc as [Hc|[Hc|[Hc _]]].
  - intros rec g Hg Hs. pose proof (i_rec _ I _ _ Hg Hs) as C. destruct (decide (rec = pa)) as [->|Hne].
    + rewrite Hx in Hg. injection Hg as <-. rewrite Hs in Hc. destruct Hc as [Hc|[Hc|(_ & Hf & W)]]; [done|done|].
      split; [|done]. intros f Hin. unfold rec_of, rec_get, rec_word, word. rewrite !Z.add_0_r.
      change (mem (put_page pa l s)) with (<[pa := l]> (mem s)). rewrite page_insert_same. by apply Hf.
    + split; [intros f _; unfold rec_of, rec_get, word; by rewrite P|].
      apply (waits_same s); [by apply P|apply R; by apply (c_rd _ _ _ C)|done|by apply rec_waits].
  - apply (i_scratch _ I).
  - apply (i_loaded _ I).
Qed.

Lemma nth_splice a new l i : is_page l -> 0 <= a -> a + Z.of_nat (length new) <= 512 -> 0 <= i ->
  i < a \/ a + Z.of_nat (length new) <= i -> nth_word (splice a new l) i = nth_word l i.
Proof.
  unfold is_page. intros Hl Ha Hn Hi H. unfold nth_word, splice. rewrite !nth_lookup. f_equal. destruct H.
  - rewrite lookup_app_l by (rewrite length_take; lia). by rewrite lookup_take by lia.
  - rewrite !lookup_app_r; rewrite !length_take; try lia. rewrite lookup_drop. f_equal. lia.
Qed.
Lemma set_nth_words l i v : page_words l -> u64 v -> page_words (set_nth l i v).
Proof. intros [Hl Hu] Hv. split; [by apply set_nth_page|]. by apply Forall_insert. Qed.
Lemma page_is_words s pa : inv s -> page_words (page (mem s) pa).
Proof.
  intros I. pose proof (page_ok (mem s) pa (i_mem _ I)) as Hl. split; [done|]. apply Forall_lookup. intros i v Hv.
  apply (page_lookup (mem s) pa i v (i_mem _ I)) in Hv as [_ ->]. apply (i_words _ I).
Qed.
