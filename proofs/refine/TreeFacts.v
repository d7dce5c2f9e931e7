(* SPDX-License-Identifier: Apache-2.0 *)
(* What changes leave of the invariant's part about realms, and what it says of granules that no realm has. *)
From kcore Require Export refine.HostFacts.
Local Open Scope Z_scope.

(* An object of a realm: RD, REC, RTT, DATA. *)
Definition is_object (g : gmap Z granule) (pa : Z) : bool :=
  match g !! pa with
  | Some x => (g_state x =? GS_RD) || (g_state x =? GS_REC) || (g_state x =? GS_RTT) || (g_state x =? GS_DATA)
  | None => false
  end.

(* Realms are as they were: their objects and tables, and the host's pages that they use. *)
Record kept (s s' : state) : Prop := Kept {
  k_hw : hw s' = hw s;
  k_vmids : vmids s' = vmids s;
  k_places : places s' = places s;
  k_cached : cached s' = cached s;
  k_gran : forall p, is_object (gran s) p = true -> gran s' !! p = gran s !! p;
  k_page : forall p, is_object (gran s) p = true -> page (mem s') p = page (mem s) p;
  k_new : forall p, is_object (gran s') p = true -> is_object (gran s) p = true;
  k_ns : forall p, is_ns (gran s) p = true -> 1 <= uses s p + runs_on s p -> is_ns (gran s') p = true;
  k_pins : forall p, is_ns (gran s') p = true -> uses s p + runs_on s p <= g_refs (granule_at s' p);
}.

Lemma has_state_inv st pa s : has_state st pa s = true -> exists g, gran s !! pa = Some g /\ g_state g = st.
Proof. unfold has_state. destruct (gran s !! pa) as [g|]; [|done]. intros H%Z.eqb_eq. eauto. Qed.
Lemma has_state_intro st pa s g : gran s !! pa = Some g -> g_state g = st -> has_state st pa s = true.
Proof. unfold has_state. intros ->. apply Z.eqb_eq. Qed.
Lemma object_state st pa s : st = GS_RD \/ st = GS_REC \/ st = GS_RTT \/ st = GS_DATA ->
  has_state st pa s = true -> is_object (gran s) pa = true.
Proof.
  intros H (g & Hg & Hs)%has_state_inv. unfold is_object. rewrite Hg, Hs.
  destruct H as [->|[->|[->| ->]]]; reflexivity.
Qed.

Lemma nth_word_u64 l i : Forall u64 l -> u64 (nth_word l i).
Proof.
  intros H. unfold nth_word. rewrite nth_lookup. destruct (l !! Z.to_nat i) as [x|] eqn:E; simpl.
  - rewrite Forall_lookup in H. eauto.
  - unfold u64. lia.
Qed.
Lemma page_lookup m pa i d : mem_ok m -> page m pa !! i = Some d -> (i < 512)%nat /\ d = word m pa (Z.of_nat i).
Proof.
  intros Hm H. pose proof (lookup_lt_Some _ _ _ H) as Hi. rewrite (page_ok m pa Hm) in Hi.
  split; [done|]. unfold word, nth_word. rewrite Nat2Z.id, nth_lookup, H. done.
Qed.
Lemma page_word m pa i : mem_ok m -> 0 <= i < 512 -> page m pa !! Z.to_nat i = Some (word m pa i).
Proof.
  intros Hm Hi. pose proof (page_ok m pa Hm) as Hl. unfold is_page in Hl.
  destruct (lookup_lt_is_Some_2 (page m pa) (Z.to_nat i)) as [d Hd]; [lia|].
  unfold word, nth_word. by rewrite nth_lookup, Hd.
Qed.

(* ---- Descriptors of realms ---- *)

Lemma size_cases level : size_of level = 2 ^ 39 \/ size_of level = 2 ^ 30 \/ size_of level = 2 ^ 21 \/ size_of level = 2 ^ 12.
Proof. unfold size_of, shift_of. destruct (level =? 0), (level =? 1), (level =? 2); auto. Qed.
Lemma size_pos level : 4096 <= size_of level /\ size_of level mod 4096 = 0.
Proof. destruct (size_cases level) as [->|[->|[->| ->]]]; split; reflexivity || (vm_compute; discriminate). Qed.
Lemma aligned_size level pa : pa mod size_of level = 0 -> pa mod 4096 = 0.
Proof.
  intros H. destruct (size_pos level) as [P D]. apply Z.mod_divide in H; [|lia]. apply Z.mod_divide in D; [|lia].
  apply Z.mod_divide; [lia|]. eapply Z.divide_trans; eauto.
Qed.

Definition ASSIGNED_ATTR (level r : Z) : Z := if r =? RIPAS_RAM then Z.lor PROTECTED (leaf_type level) else Z.lor ASSIGNED_BIT (8 * r).
Lemma assigned_lor level pa r : assigned level pa r = Z.lor pa (ASSIGNED_ATTR level r).
Proof. unfold assigned, ASSIGNED_ATTR. destruct (r =? RIPAS_RAM); apply lor3. Qed.
Lemma assigned_ok level pa r : 0 <= r <= 2 -> 0 < pa < 2 ^ 48 -> pa mod 4096 = 0 ->
  out_addr (assigned level pa r) = pa /\ is_valid (assigned level pa r) = (r =? RIPAS_RAM) /\
  is_table level (assigned level pa r) = false /\ kind level (assigned level pa r) = K_ASSIGNED /\
  ripas (assigned level pa r) = r /\ assigned level pa r <> 0.
Proof.
  intros Hr Hp Ha. rewrite assigned_lor.
  assert (Hc : r = 0 \/ r = 1 \/ r = 2) by lia.
  assert (Hl : leaf_type level = 3 /\ level = 3 \/ leaf_type level = 1 /\ level <> 3).
  { unfold leaf_type. destruct (Z.eqb_spec level 3); [left|right]; done. }
  assert (Hns : has_ns_bit (Z.lor pa (ASSIGNED_ATTR level r)) = false).
  { unfold has_ns_bit, NS_BIT. apply negb_false_iff, Z.eqb_eq. rewrite Z.land_lor_distr_l.
    replace (Z.land pa (2 ^ 55)) with 0.
    2:{ symmetry. rewrite Z.land_comm. apply (land_disjoint 48); [lia|reflexivity|lia]. }
    destruct Hl as [[Hl _]|[Hl _]]; unfold ASSIGNED_ATTR; rewrite Hl;
    destruct Hc as [->|[->| ->]]; reflexivity. }
  assert (Ho : out_addr (Z.lor pa (ASSIGNED_ATTR level r)) = pa).
  { rewrite out_addr_lor; [by apply out_addr_aligned; lia|].
    destruct Hl as [[Hl _]|[Hl _]]; unfold ASSIGNED_ATTR; rewrite Hl;
    destruct Hc as [->|[->| ->]]; reflexivity. }
  assert (Hv : is_valid (Z.lor pa (ASSIGNED_ATTR level r)) = (r =? RIPAS_RAM)).
  { unfold is_valid. rewrite land_attr by (lia || done).
    destruct Hl as [[Hl _]|[Hl _]]; unfold ASSIGNED_ATTR; rewrite Hl;
    destruct Hc as [->|[->| ->]]; reflexivity. }
  assert (Ht : is_table level (Z.lor pa (ASSIGNED_ATTR level r)) = false).
  { unfold is_table. rewrite land_attr by (lia || done).
    destruct Hl as [[Hl ->]|[Hl Hne]]; unfold ASSIGNED_ATTR; rewrite Hl;
    destruct Hc as [->|[->| ->]]; rewrite ?andb_false_r; reflexivity. }
  split_and!; try done.
  - unfold kind. rewrite Ht, Hv, Hns. unfold has_assigned_bit, ASSIGNED_BIT.
    rewrite land_attr by (lia || done). unfold ASSIGNED_ATTR.
    destruct Hc as [->|[->| ->]]; reflexivity.
  - unfold ripas. rewrite Hv. rewrite land_attr by (lia || done). unfold ASSIGNED_ATTR.
    destruct Hc as [->|[->| ->]]; reflexivity.
  - intros E%Z.lor_eq_0_iff. lia.
Qed.

(* Attributes of what the host shares: bits below 12, and from 54 on. *)
Lemma assigned_ns_facts level host : 0 <= host < 2 ^ 64 ->
  let d := assigned_ns level host in
  out_addr d = out_addr host /\ is_valid d = true /\ is_table level d = false /\ kind level d = K_ASSIGNED_NS /\
  has_ns_bit d = true /\ d <> 0.
Proof.
  intros Hh d. subst d.
  assert (Hm : 0 <= host_memattr host < 8).
  { unfold host_memattr. rewrite shr by lia.
    assert (0 <= Z.land 28 host < 2 ^ 5) by (apply land_range; lia).
    rewrite Z.land_comm. change (2 ^ 2) with 4. change (2 ^ 5) with 32 in *.
    split; [apply Z.div_pos; lia|]. apply Z.div_lt_upper_bound; lia. }
  assert (Hma : 0 <= memattr_of (host_memattr host) < 64 /\ Z.land (memattr_of (host_memattr host)) 3 = 0).
  { unfold memattr_of, MEM_NORMAL. assert (H8 : forall k, k = host_memattr host -> k=0\/k=1\/k=2\/k=3\/k=4\/k=5\/k=6\/k=7) by lia.
    destruct (H8 _ eq_refl) as [->|[->|[->|[->|[->|[->|[->| ->]]]]]]]; split; reflexivity || (split; [discriminate|reflexivity]). }
  destruct Hma as [Hma1 Hma2].
  set (ma := memattr_of (host_memattr host)) in *. set (fw := host_memattr host * 2 ^ 56).
  assert (Hl : leaf_type level = 3 /\ level = 3 \/ leaf_type level = 1 /\ level <> 3).
  { unfold leaf_type. destruct (Z.eqb_spec level 3); [left|right]; done. }
  assert (Hfw : Z.land fw (2 ^ 56 - 1) = 0).
  { unfold fw. rewrite Z.land_comm. rewrite Z.land_comm. apply (land_disjoint 56); [lia|apply Z.mod_mul; lia|lia]. }
  assert (D : assigned_ns level host = Z.lor (Z.land host (Z.lor PA_MASK 0xC0)) (Z.lor ma (Z.lor fw (Z.lor 0x400 (Z.lor 0x300 (Z.lor XN (Z.lor NS_BIT (leaf_type level)))))))).
  { unfold assigned_ns. fold ma fw. rewrite !lor3. reflexivity. }
  assert (Hout : Z.land (Z.lor ma (Z.lor fw (Z.lor 0x400 (Z.lor 0x300 (Z.lor XN (Z.lor NS_BIT (leaf_type level))))))) PA_MASK = 0).
  { rewrite !Z.land_lor_distr_l.
    replace (Z.land ma PA_MASK) with 0 by (symmetry; rewrite Z.land_comm; apply (land_disjoint 12); [lia|reflexivity|lia]).
    replace (Z.land fw PA_MASK) with 0.
    2:{ symmetry. apply (land_disjoint 56); [lia| |unfold PA_MASK; lia]. unfold fw. apply Z.mod_mul. lia. }
    destruct Hl as [[-> _]|[-> _]]; reflexivity. }
  assert (Hlow : forall k, 0 <= k < 4 -> Z.land (assigned_ns level host) k = Z.land (leaf_type level) k).
  { intros k Hk. rewrite D. rewrite !Z.land_lor_distr_l.
    replace (Z.land (Z.land host (Z.lor PA_MASK 192)) k) with 0.
    2:{ symmetry. rewrite <- Z.land_assoc. replace (Z.land (Z.lor PA_MASK 192) k) with 0; [by rewrite Z.land_0_r|].
        symmetry. apply (land_disjoint 6); [lia|reflexivity|lia]. }
    replace (Z.land ma k) with 0.
    2:{ symmetry. assert (k = 0 \/ k = 1 \/ k = 2 \/ k = 3) as [->|[->|[->| ->]]] by lia; [apply Z.land_0_r|..|exact Hma2].
        - change 1 with (Z.land 3 1). by rewrite Z.land_assoc, Hma2.
        - change 2 with (Z.land 3 2). by rewrite Z.land_assoc, Hma2. }
    replace (Z.land fw k) with 0.
    2:{ symmetry. apply (land_disjoint 56); [lia| |lia]. unfold fw. apply Z.mod_mul. lia. }
    replace (Z.land 1024 k) with 0 by (symmetry; apply (land_disjoint 8); [lia|reflexivity|lia]).
    replace (Z.land 768 k) with 0 by (symmetry; apply (land_disjoint 8); [lia|reflexivity|lia]).
    replace (Z.land XN k) with 0 by (symmetry; apply (land_disjoint 54); [lia|reflexivity|lia]).
    replace (Z.land NS_BIT k) with 0 by (symmetry; apply (land_disjoint 55); [lia|reflexivity|lia]).
    reflexivity. }
  assert (Hns : has_ns_bit (assigned_ns level host) = true).
  { unfold has_ns_bit. apply negb_true_iff, Z.eqb_neq. intros E.
    assert (Ht : Z.testbit (Z.land (assigned_ns level host) NS_BIT) 55 = true).
    { rewrite Z.land_spec, D, !Z.lor_spec. change (Z.testbit NS_BIT 55) with true. rewrite ?orb_true_r, ?orb_true_l. reflexivity. }
    rewrite E, Z.bits_0 in Ht. discriminate. }
  assert (Hv : is_valid (assigned_ns level host) = true).
  { unfold is_valid. rewrite Hlow by lia. destruct Hl as [[-> _]|[-> _]]; reflexivity. }
  assert (Ht : is_table level (assigned_ns level host) = false).
  { unfold is_table. rewrite Hlow by lia. destruct Hl as [[-> ->]|[-> _]]; [reflexivity|apply andb_false_r]. }
  split_and!; try done.
  - rewrite D, out_addr_lor by exact Hout. unfold out_addr. rewrite <- Z.land_assoc. reflexivity.
  - unfold kind. by rewrite Ht, Hv, Hns.
  - intros E. rewrite E in Hv. discriminate.
Qed.

Lemma unassigned_facts level r : 0 <= r <= 2 ->
  is_valid (unassigned r) = false /\ is_table level (unassigned r) = false /\ kind level (unassigned r) = K_UNASSIGNED /\ ripas (unassigned r) = r.
Proof.
  intros H. assert (r = 0 \/ r = 1 \/ r = 2) as [->|[->| ->]] by lia; unfold is_table, kind, is_table;
  rewrite ?andb_false_r; split_and!; try reflexivity; cbn; by rewrite andb_false_r.
Qed.
Lemma unassigned_ns_facts level : is_valid unassigned_ns = false /\ is_table level unassigned_ns = false /\ kind level unassigned_ns = K_UNASSIGNED_NS.
Proof. unfold kind, is_table. split_and!; try reflexivity; cbn; by rewrite andb_false_r. Qed.

(* ---- What leaves reach ---- *)

Lemma leaf_covers_page level d pa : leaf_covers level d pa = true -> pa mod 4096 = 0 -> out_addr d mod 4096 = 0 ->
  exists n, 0 <= n < size_of level / 4096 /\ pa = out_addr d + n * 4096.
Proof.
  unfold leaf_covers. intros [[_ H1%Z.leb_le]%andb_true_iff H2%Z.ltb_lt]%andb_true_iff Ha Ho.
  destruct (size_pos level) as [P D]. exists ((pa - out_addr d) / 4096).
  assert (E : (pa - out_addr d) mod 4096 = 0) by (rewrite Zminus_mod, Ha, Ho; reflexivity).
  apply Z.mod_divide in E as [k Hk]; [|lia]. apply Z.mod_divide in D as [j Hj]; [|lia].
  rewrite Hk, Hj, !Z.div_mul by lia. nia.
Qed.
Lemma out_addr_page d : out_addr d mod 4096 = 0.
Proof.
  unfold out_addr. rewrite <- (land_low 12 _ 4095) by reflexivity || lia.
  rewrite <- Z.land_assoc. change (Z.land PA_MASK 4095) with 0. apply Z.land_0_r.
Qed.

Lemma leaf_target s t p ipa d pa :
  entry_ok s t p ipa d -> leaf_covers (p_level p) d pa = true -> pa mod 4096 = 0 ->
  (forall child, places s !! child = Some (Place (p_rd p) (p_level p + 1) ipa t) -> 0 < child < 2 ^ 48 /\ child mod 4096 = 0) ->
  own_data s (p_rd p) pa = true \/ is_ns (gran s) pa = true.
Proof.
  intros H Hc Ha Hp. pose proof (leaf_covers_page _ _ _ Hc Ha (out_addr_page d)) as (n & Hn & E).
  unfold leaf_covers in Hc. apply andb_true_iff in Hc as [[[Hv Ht]%andb_true_iff _]%andb_true_iff _].
  destruct H as [r Hr|q r Hr _ _ Hq Hqa Hd| |host _ _ _ Hh Hd|child _ Hl Hchild|].
  - destruct (unassigned_facts (p_level p) r Hr) as (V & _). congruence.
  - destruct (assigned_ok (p_level p) q r Hr Hq (aligned_size _ _ Hqa)) as (O & _). rewrite O in E. subst. left. by apply Hd.
  - destruct (unassigned_ns_facts (p_level p)) as (V & _). congruence.
  - destruct (assigned_ns_facts (p_level p) host Hh) as (O & _). rewrite O in E. subst. right. by apply Hd.
  - destruct (Hp _ Hchild) as [Pc Ac]. destruct (table_desc_ok child Pc Ac) as (_ & T & _). rewrite T in Ht by done. discriminate.
  - discriminate.
Qed.

Lemma place_granule s t p : inv s -> places s !! t = Some p ->
  0 < t < 2 ^ 48 /\ t mod 4096 = 0 /\ has_state GS_RTT t s = true.
Proof.
  intros I Hp. destruct (t_gran _ _ _ (i_table _ I _ _ Hp)) as (g & Hg & Hs & _).
  destruct (i_gran _ I _ _ Hg) as (P & A & _). split_and!; [lia|lia|done|]. by eapply has_state_intro.
Qed.

Lemma uses_free s pa : inv s -> pa mod 4096 = 0 -> is_ns (gran s) pa = false ->
  (forall rd, own_data s rd pa = false) -> uses s pa = 0.
Proof.
  intros I Ha Hn Hd. unfold uses. rewrite (sum_ext _ (fun _ _ => 0)).
  - clear. unfold sum_map. induction (places s) as [|k x m H IH] using map_ind; [done|].
    rewrite map_fold_insert_L; [|intros; lia|done]. rewrite IH. done.
  - intros t p Hp. unfold leaves_for. apply count_none. intros d Hin.
    apply elem_of_list_lookup in Hin as [i Hi]. apply page_lookup in Hi as [Hi ->]; [|apply (i_mem _ I)].
    destruct (leaf_covers _ _ _) eqn:E; [|done]. exfalso.
    pose proof (t_entry _ _ _ (i_table _ I _ _ Hp) (Z.of_nat i) ltac:(lia)) as He.
    destruct (leaf_target _ _ _ _ _ _ He E Ha) as [H|H]; [|rewrite Hd in H; discriminate|congruence].
    intros child Hc. destruct (place_granule _ _ _ I Hc) as (? & ? & _). done.
Qed.
Lemma runs_free s pa : inv s -> is_ns (gran s) pa = false -> runs_on s pa = 0.
Proof.
  intros I Hn. unfold runs_on. rewrite (sum_ext _ (fun _ _ => 0)).
  - clear. unfold sum_map. induction (gran s) as [|k x m H IH] using map_ind; [done|].
    rewrite map_fold_insert_L; [|intros; lia|done]. rewrite IH. done.
  - intros rec g Hg. unfold run_page_of. destruct (Z.eqb_spec (g_state g) GS_REC) as [E|]; [|done]. cbn [andb].
    destruct (c_running _ _ _ (i_rec _ I _ _ Hg E)) as [->|[-> R]]; [done|]. change (1 =? 1) with true. cbn [andb].
    destruct (Z.eqb_spec (rec_of s REC_run_page rec) pa); [congruence|done].
Qed.
Lemma uses_nonneg s pa : 0 <= uses s pa.
Proof. apply sum_nonneg. intros. apply count_range. Qed.
Lemma runs_nonneg s pa : 0 <= runs_on s pa.
Proof. apply sum_nonneg. intros. unfold b2z. destruct (run_page_of _ _ _ _); lia. Qed.
Lemma runs_pos s rec g : gran s !! rec = Some g -> g_state g = GS_REC -> rec_of s REC_running rec = 1 ->
  1 <= runs_on s (rec_of s REC_run_page rec).
Proof.
  intros Hg Hs Hr.
  pose proof (sum_term (fun rec' g => b2z (run_page_of s (rec_of s REC_run_page rec) rec' g)) (gran s) rec g) as T.
  cbn beta in T. unfold run_page_of in T at 2. rewrite Hs, Hr, !Z.eqb_refl in T. apply T; [|done].
  intros k a _. destruct (run_page_of _ _ _ _); done.
Qed.
Lemma uses_entry s t p i pa : mem_ok (mem s) -> places s !! t = Some p -> 0 <= i < 512 ->
  leaf_covers (p_level p) (word (mem s) t i) pa = true -> 1 <= uses s pa.
Proof.
  intros Hm Hp Hi Hc. unfold uses.
  pose proof (sum_term (fun t p => leaves_for pa (p_level p) (page (mem s) t)) (places s) t p) as H. cbn beta in H.
  etrans; [|apply H; [intros; apply count_range|done]].
  unfold leaves_for. eapply count_pos; [by apply (page_word _ t i)|done].
Qed.

(* No realm reaches a granule that is nobody's, an RD, a REC, or the host's and not pinned. *)
Lemma free_unreached s pa : inv s -> no_realm_had s pa = true -> pa mod 4096 = 0 -> uses s pa = 0 ->
  has_state GS_RTT pa s = false -> pa ∉ cached s -> no_realm_reaches s pa = true.
Proof.
  intros I Hh Ha Hu Ht Hnc. unfold no_realm_reaches. rewrite Hh, bool_decide_eq_false_2 by exact Hnc. cbn [andb negb].
  apply andb_true_iff. split.
  - apply negb_true_iff, existsb_false. intros [t p] Hp%places_In. unfold mapped_by. cbn [fst snd].
    destruct (existsb _ _) eqn:E; [|apply andb_false_r]. exfalso.
    apply existsb_exists in E as (d & Hin%elem_of_list_In & Hc).
    apply elem_of_list_lookup in Hin as [i Hi]. apply page_lookup in Hi as [Hi ->]; [|apply (i_mem _ I)].
    pose proof (uses_entry s t p (Z.of_nat i) pa (i_mem _ I) Hp ltac:(lia) Hc). lia.
  - destruct (places s !! pa) as [p|] eqn:Hp; [|done].
    destruct (place_granule _ _ _ I Hp) as (_ & _ & H). congruence.
Qed.

(* ---- The invariant after a change that keeps the realms ---- *)

Record realms_ok (s : state) : Prop := RealmsOk {
    o_realm : forall rd, has_state GS_RD rd s = true -> realm_ok s rd;
    o_vmid : forall rd rd', has_state GS_RD rd s = true -> has_state GS_RD rd' s = true ->
        rd_of s RD_vmid rd = rd_of s RD_vmid rd' -> rd = rd';
    o_rec : forall rec g, gran s !! rec = Some g -> g_state g = GS_REC -> rec_ok s rec (g_owner g);
    o_table : forall t p, places s !! t = Some p -> table_stands s t p;
    o_placed : forall t, has_state GS_RTT t s = true -> is_Some (places s !! t);
    o_data : forall pa g, gran s !! pa = Some g -> g_state g = GS_DATA -> exists t i ipa, maps s (g_owner g) t i ipa pa;
    o_once : forall rd rd' t t' i i' ipa ipa' pa, maps s rd t i ipa pa -> maps s rd' t' i' ipa' pa -> t = t' /\ i = i';
    o_pins : forall pa, is_ns (gran s) pa = true -> uses s pa + runs_on s pa <= g_refs (granule_at s pa);
    o_cached : forall rd, rd ∈ cached s -> has_state GS_RD rd s = true;
  }.

Section kept.
  Context (s s' : state) (I : inv s) (K : kept s s').

  Lemma kept_state st p : st = GS_RD \/ st = GS_REC \/ st = GS_RTT \/ st = GS_DATA ->
    has_state st p s' = has_state st p s.
  Proof using K.
    intros H. destruct (is_object (gran s) p) eqn:Ho.
    - unfold has_state. by rewrite (k_gran _ _ K).
    - destruct (has_state st p s) eqn:E; [by rewrite (object_state st) in Ho|].
      destruct (has_state st p s') eqn:E'; [|done].
      rewrite (k_new _ _ K) in Ho; [done|]. by apply (object_state st).
  Qed.
  Lemma kept_word p i : is_object (gran s) p = true -> word (mem s') p i = word (mem s) p i.
  Proof using K. intros H. unfold word. by rewrite (k_page _ _ K). Qed.
  Lemma kept_rd f rd : has_state GS_RD rd s = true -> rd_of s' f rd = rd_of s f rd.
  Proof using K. intros H. apply kept_word. apply (object_state GS_RD); auto. Qed.
  Lemma kept_rec f rec : has_state GS_REC rec s = true -> rec_of s' f rec = rec_of s f rec.
  Proof using K. intros H. apply kept_word. apply (object_state GS_REC); auto. Qed.
  Lemma kept_half rd : has_state GS_RD rd s = true -> half_of s' rd = half_of s rd.
  Proof using K. intros H. unfold half_of. by rewrite kept_rd. Qed.
  Lemma kept_data rd p : own_data s' rd p = own_data s rd p.
  Proof using K.
    pose proof (kept_state GS_DATA p ltac:(auto)) as H. unfold own_data, has_state in *.
    destruct (is_object (gran s) p) eqn:Ho; [by rewrite (k_gran _ _ K)|].
    destruct (gran s' !! p) as [x|], (gran s !! p) as [y|] eqn:E; try done.
    - rewrite H. destruct (g_state y =? GS_DATA) eqn:Ey; [|done].
      unfold is_object in Ho. rewrite E, Ey, !orb_true_r in Ho. done.
    - by rewrite H.
    - by rewrite <- H.
  Qed.
  Lemma kept_uses p : uses s' p = uses s p.
  Proof using I K.
    unfold uses. rewrite (k_places _ _ K). apply sum_ext. intros t q Hq. unfold leaves_for.
    destruct (place_granule _ _ _ I Hq) as (_ & _ & H).
    by rewrite (k_page _ _ K) by (apply (object_state GS_RTT); auto).
  Qed.
  Lemma kept_sum (f f' : Z -> granule -> Z) :
    (forall p x, f p x <> 0 -> gran s !! p = Some x -> is_object (gran s) p = true) ->
    (forall p x, f' p x <> 0 -> gran s' !! p = Some x -> is_object (gran s') p = true) ->
    (forall p x, is_object (gran s) p = true -> gran s !! p = Some x -> f p x = f' p x) ->
    sum_map f' (gran s') = sum_map f (gran s).
  Proof using K.
    intros H H' E. apply sum_agree. intros p. unfold term.
    destruct (is_object (gran s) p) eqn:Ho.
    - rewrite (k_gran _ _ K) by done. destruct (gran s !! p) eqn:Hp; [|done]. symmetry. by apply E.
    - assert (Z1 : match gran s !! p with Some x => f p x | None => 0 end = 0).
      { destruct (gran s !! p) as [x|] eqn:Hp; [|done]. destruct (Z.eq_dec (f p x) 0); [done|]. rewrite (H p x) in Ho; done. }
      assert (Z2 : match gran s' !! p with Some x => f' p x | None => 0 end = 0).
      { destruct (gran s' !! p) as [x|] eqn:Hp; [|done]. destruct (Z.eq_dec (f' p x) 0); [done|].
        rewrite (k_new _ _ K p) in Ho; [done|]. by apply (H' p x). }
      by rewrite Z1, Z2.
  Qed.
  Lemma rec_object g p x : g !! p = Some x -> g_state x = GS_REC -> is_object g p = true.
  Proof using. unfold is_object. intros -> ->. reflexivity. Qed.
  Lemma kept_runs pa : runs_on s' pa = runs_on s pa.
  Proof using K.
    apply kept_sum.
    - intros p x N Hp. eapply rec_object; [done|]. unfold run_page_of in N.
      destruct (Z.eqb_spec (g_state x) GS_REC); [done|]. done.
    - intros p x N Hp. eapply rec_object; [done|]. unfold run_page_of in N.
      destruct (Z.eqb_spec (g_state x) GS_REC); [done|]. done.
    - intros p x Ho Hp. unfold run_page_of. destruct (Z.eqb_spec (g_state x) GS_REC) as [E|]; [|done].
      rewrite !kept_rec by (eapply has_state_intro; eauto). done.
  Qed.
  Lemma kept_recs rd : recs_of s' rd = recs_of s rd.
  Proof using K.
    apply kept_sum.
    - intros p x N Hp. eapply rec_object; [done|]. destruct (Z.eqb_spec (g_state x) GS_REC); [done|]. done.
    - intros p x N Hp. eapply rec_object; [done|]. destruct (Z.eqb_spec (g_state x) GS_REC); [done|]. done.
    - done.
  Qed.
  Lemma kept_entry t p ipa i : places s !! t = Some p -> 0 <= i < 512 -> entry_ok s t p ipa (word (mem s) t i) ->
    entry_ok s' t p ipa (word (mem s) t i).
  Proof using I K.
    intros Hp Hi H. pose proof (t_rd _ _ _ (i_table _ I _ _ Hp)) as Hrd.
    remember (word (mem s) t i) as d eqn:Ed.
    destruct H as [r Hr Hh|q r Hr Hh Hl Hq Hqa Hd|Hh|host Hh Hl Hok Hw Hd|child Hh Hl Hchild|Hh].
    - constructor; [done|]. by rewrite kept_half.
    - constructor; try done; [by rewrite kept_half|]. intros. rewrite kept_data. by apply Hd.
    - constructor. by rewrite kept_half, kept_rd.
    - constructor; try done; [by rewrite kept_half, kept_rd|]. intros n Hn.
      apply (k_ns _ _ K); [by apply Hd|].
      pose proof (uses_entry s t p i (out_addr host + n * 4096) (i_mem _ I) Hp Hi) as H1. rewrite <- Ed in H1.
      pose proof (runs_nonneg s (out_addr host + n * 4096)).
      enough (1 <= uses s (out_addr host + n * 4096)) by lia. apply H1.
      destruct (assigned_ns_facts (p_level p) host Hw) as (O & V & T & _).
      unfold leaf_covers. rewrite V, T, O. cbn [negb andb].
      destruct (size_pos (p_level p)) as [P D]. apply Z.mod_divide in D as [j Hj]; [|lia]. rewrite Hj in *.
      rewrite Z.div_mul in Hn by lia.
      apply andb_true_iff. split; [apply Z.leb_le|apply Z.ltb_lt]; lia.
    - constructor; [by rewrite kept_rd|done|]. by rewrite (k_places _ _ K).
    - constructor. by rewrite kept_rd.
  Qed.
  Lemma kept_maps rd t i ipa pa : maps s rd t i ipa pa <-> maps s' rd t i ipa pa.
  Proof using I K.
    split; intros [(p & Hp & Hr & Hi & Hk & Hn)]; constructor; exists p.
    - destruct (place_granule _ _ _ I Hp) as (_ & _ & H).
      rewrite kept_word by (apply (object_state GS_RTT); auto). by rewrite (k_places _ _ K).
    - rewrite (k_places _ _ K) in Hp.
      destruct (place_granule _ _ _ I Hp) as (_ & _ & H).
      rewrite kept_word in Hk, Hn by (apply (object_state GS_RTT); auto). done.
  Qed.

  Lemma kept_table t p : places s !! t = Some p -> table_stands s' t p.
  Proof using I K.
    intros Hp. destruct (place_granule _ _ _ I Hp) as (_ & _ & Ht).
    assert (Ho : is_object (gran s) t = true) by (apply (object_state GS_RTT); auto).
    destruct (i_table _ I _ _ Hp) as [(g & Hg & Hs & Hown & Hrefs) Hrd Hlev Hbase Hstart Hbelow Hent].
    constructor.
    - exists g. rewrite (k_gran _ _ K), (k_page _ _ K) by done. done.
    - rewrite kept_state; auto.
    - by rewrite kept_rd.
    - by rewrite kept_rd.
    - by rewrite !kept_rd.
    - intros N. destruct (Hbelow N) as (b & pp & E & R & W). exists b, pp. rewrite (k_places _ _ K).
      destruct (place_granule _ _ _ I E) as (_ & _ & Hpt). rewrite kept_word by (apply (object_state GS_RTT); auto). done.
    - intros i Hi. rewrite kept_word by done. apply kept_entry; auto.
  Qed.

  Theorem kept_realms : realms_ok s'.
  Proof using I K.
    constructor.
    - intros rd H. rewrite kept_state in H by auto.
      destruct (i_realm _ I _ H). constructor; rewrite ?kept_rd, ?(k_places _ _ K), ?(k_vmids _ _ K), ?kept_recs by done; try done.
    - intros rd rd' H H'. rewrite kept_state in H, H' by auto. rewrite !kept_rd by done. by apply (i_vmid _ I).
    - intros rec g Hg Hs.
      assert (Hst : has_state GS_REC rec s = true) by (rewrite <- kept_state by auto; by eapply has_state_intro).
      assert (Ho : is_object (gran s) rec = true) by (apply (object_state GS_REC); auto).
      rewrite (k_gran _ _ K) in Hg by done.
      destruct (i_rec _ I _ _ Hg Hs) as [[C1 C1'] C2 C3 C4 C5 C6 C7].
      constructor.
      + rewrite kept_rec, kept_state; auto.
      + unfold rec_agrees in *.
        assert (W : forall f, word (mem s') rec (rec_off f) = word (mem s) rec (rec_off f)) by (intros; by apply kept_word).
        rewrite !W.
        assert (E : word (mem s) rec (rec_off REC_rd) = g_owner g) by (rewrite <- C1; reflexivity). rewrite E in *.
        assert (W' : forall f, word (mem s') (g_owner g) (rd_off f) = word (mem s) (g_owner g) (rd_off f))
          by (intros; apply kept_word, (object_state GS_RD); auto).
        rewrite !W', !kept_state by auto. unfold granule_at in *. by rewrite (k_gran _ _ K).
      + rewrite !kept_rec by done. destruct C3 as [C3|[C3 C3']]; [by left|right]. split; [done|].
        apply (k_ns _ _ K); [done|]. pose proof (uses_nonneg s (rec_of s REC_run_page rec)).
        enough (1 <= runs_on s (rec_of s REC_run_page rec)) by lia.
        by eapply runs_pos.
      + by rewrite kept_rec, kept_rd.
      + rewrite !kept_rec, kept_half by done. done.
      + rewrite !kept_rec, kept_half by done. done.
      + rewrite !kept_rec by done. unfold token_total, token_of. by rewrite (k_hw _ _ K), (k_page _ _ K).
    - intros t p Hp. rewrite (k_places _ _ K) in Hp. by apply kept_table.
    - intros t H. rewrite kept_state in H by auto. rewrite (k_places _ _ K). by apply (i_placed _ I).
    - intros pa g Hg Hs.
      assert (Hst : has_state GS_DATA pa s = true) by (rewrite <- kept_state by auto; by eapply has_state_intro).
      rewrite (k_gran _ _ K) in Hg by (apply (object_state GS_DATA); auto).
      destruct (i_data _ I _ _ Hg Hs) as (t & i & ipa & M). exists t, i, ipa. by apply kept_maps.
    - intros rd rd' t t' i i' ipa ipa' pa M M'. apply kept_maps in M, M'. by apply (i_once _ I _ _ _ _ _ _ _ _ _ M M').
    - intros pa H. rewrite kept_uses, kept_runs. by apply (k_pins _ _ K).
    - intros rd H. rewrite (k_cached _ _ K) in H. rewrite kept_state by auto. by apply (i_cached _ I).
  Qed.
End kept.

(* What it says nothing of: locks, what is left in TLBs, time, counters, the log. *)
Lemma inv_same s s' :
  hw s' = hw s -> gran s' = gran s -> mem s' = mem s -> holes s' = holes s -> vmids s' = vmids s ->
  params s' = params s -> run s' = run s -> hash_page s' = hash_page s -> digest s' = digest s ->
  runs s' = runs s -> loaded s' = loaded s -> live s' = live s -> places s' = places s -> cached s' = cached s ->
  inv s -> inv s'.
Proof.
  intros E1 E2 E3 E4 E5 E6 E7 E8 E9 E10 E11 E12 E13 E14 I.
  assert (K : kept s s').
  { constructor; rewrite ?E2, ?E3; try done. unfold granule_at. rewrite E2. apply (i_pins _ I). }
  destruct (kept_realms _ _ I K). destruct I.
  assert (St : forall st p, has_state st p s' = has_state st p s) by (intros; unfold has_state; by rewrite E2).
  assert (Wd : forall f p, rec_of s' f p = rec_of s f p) by (intros; unfold rec_of, rec_get; by rewrite E3).
  constructor; try assumption; try (rewrite ?E1, ?E2, ?E3, ?E4; assumption).
  all: rewrite ?E1, ?E2, ?E3, ?E4, ?E6, ?E7, ?E8, ?E9, ?E10, ?E11, ?E12.
  all: try assumption.
  all: try (setoid_rewrite St; assumption).
  all: try (intros N; rewrite ?St, ?Wd; auto).
Qed.

(* What reaches a granule changes with the realms' tables only. *)
Lemma unreached_frame s s' pa : inv s -> no_realm_reaches s pa = true -> places s' = places s -> cached s' = cached s ->
  no_realm_had s' pa = true -> (forall t, has_state GS_RTT t s = true -> page (mem s') t = page (mem s) t) ->
  no_realm_reaches s' pa = true.
Proof.
  intros I H Ep Ec Hh Hm. apply (unreached_same s s'); try done.
  - intros t p Hp. apply Hm. by destruct (place_granule _ _ _ I Hp) as (_ & _ & ?).
  - intros t p Hp N. destruct (t_below _ _ _ (i_table _ I _ _ Hp) N) as (b & pp & E & _).
    apply Hm. by destruct (place_granule _ _ _ I E) as (_ & _ & ?).
Qed.
Lemma not_cached s pa : inv s -> has_state GS_RD pa s = false -> pa ∉ cached s.
Proof. intros I H Hc. by rewrite (i_cached _ I _ Hc) in H. Qed.
Lemma not_placed s pa : inv s -> has_state GS_RTT pa s = false -> places s !! pa = None.
Proof.
  intros I H. destruct (places s !! pa) as [p|] eqn:E; [|done].
  destruct (place_granule _ _ _ I E) as (_ & _ & E'). congruence.
Qed.
(* A granule of the host's that nothing pins, and one that is nobody's. *)
Lemma host_unreached s pa x : inv s -> staled s = [] -> gran s !! pa = Some x -> g_state x = GS_NS -> g_refs x = 0 ->
  no_realm_reaches s pa = true /\ places s !! pa = None.
Proof.
  intros I Hst Hx Hs Hr. destruct (i_gran _ I _ _ Hx) as (_ & Ha & _).
  assert (Ht : has_state GS_RTT pa s = false) by (unfold has_state; rewrite Hx, Hs; done).
  split; [|by apply not_placed]. apply free_unreached; try done.
  3:{ apply not_cached; [done|]. unfold has_state. by rewrite Hx, Hs. }
  - unfold no_realm_had. by rewrite Hst.
  - pose proof (i_pins _ I pa) as H. unfold is_ns, granule_at in H. rewrite Hx in H. cbn [default from_option id] in H.
    rewrite Hs, Hr in H. specialize (H eq_refl). pose proof (uses_nonneg s pa). pose proof (runs_nonneg s pa). lia.
Qed.
Lemma nobodys_unreached s pa x : inv s -> staled s = [] -> gran s !! pa = Some x ->
  g_state x <> GS_NS -> g_state x <> GS_DATA -> g_state x <> GS_RTT -> g_state x <> GS_RD ->
  no_realm_reaches s pa = true /\ places s !! pa = None.
Proof.
  intros I Hst Hx N1 N2 N3 N4. destruct (i_gran _ I _ _ Hx) as (_ & Ha & _).
  assert (Ht : has_state GS_RTT pa s = false) by (unfold has_state; rewrite Hx; by apply Z.eqb_neq).
  split; [|by apply not_placed]. apply free_unreached; try done.
  3:{ apply not_cached; [done|]. unfold has_state. rewrite Hx. by apply Z.eqb_neq. }
  - unfold no_realm_had. by rewrite Hst.
  - apply uses_free; try done.
    + unfold is_ns. rewrite Hx. by apply Z.eqb_neq.
    + intros rd. unfold own_data. rewrite Hx, (proj2 (Z.eqb_neq _ _) N2). done.
Qed.

(* ---- Words ---- *)

Definition words_u64 (m : gmap Z (list Z)) : Prop := forall pa i, u64 (word m pa i).
Lemma u64_0 : u64 0. Proof. unfold u64. lia. Qed.
Lemma nth_set_nth l i j v : nth_word (set_nth l i v) j = v \/ nth_word (set_nth l i v) j = nth_word l j.
Proof.
  unfold nth_word, set_nth. rewrite !nth_lookup. destruct (decide (Z.to_nat i = Z.to_nat j)) as [->|N].
  - destruct (decide (Z.to_nat j < length l)%nat).
    + left. by rewrite list_lookup_insert.
    + right. by rewrite list_insert_ge by lia.
  - right. by rewrite list_lookup_insert_ne.
Qed.
Lemma words_set m pa i v : words_u64 m -> u64 v -> words_u64 (set_word m pa i v).
Proof.
  intros H Hv p j. unfold set_word. destruct (decide (pa = p)) as [<-|].
  - unfold word. rewrite page_insert_same. destruct (nth_set_nth (page m pa) i j v) as [->| ->]; [done|]. apply H.
  - unfold word. rewrite page_insert_other by done. apply H.
Qed.
Lemma words_put m pa l : words_u64 m -> Forall u64 l -> words_u64 (<[pa := l]> m).
Proof.
  intros H Hl p j. unfold word. destruct (decide (pa = p)) as [<-|].
  - rewrite page_insert_same. by apply nth_word_u64.
  - rewrite page_insert_other by done. apply H.
Qed.
Lemma zero_words : Forall u64 zero_page.
Proof. unfold zero_page. apply Forall_replicate, u64_0. Qed.
