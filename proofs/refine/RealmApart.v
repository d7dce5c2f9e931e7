(* SPDX-License-Identifier: Apache-2.0 *)
(* Every primitive keeps realms to their own pages and the host's: all their tables, and all that TLBs may hold. *)
From kcore Require Import refine.Contained.
From kcore Require Import spec.RealmTlb.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- Words and addresses ---- *)

Lemma valid_nonzero d : is_valid d = true -> d <> 0.
Proof. by intros H ->. Qed.
Lemma table_valid level d : is_table level d = true -> is_valid d = true.
Proof.
  unfold is_table, is_valid. intros [_ H%Z.eqb_eq]%andb_true_iff. apply negb_true_iff, Z.eqb_neq. intros E.
  replace (Z.land d 1) with (Z.land (Z.land d 3) 1) in E by (rewrite <- Z.land_assoc; reflexivity).
  rewrite H in E. discriminate.
Qed.
Lemma table_level level d : is_table level d = true -> level < 3.
Proof. unfold is_table. intros [H _]%andb_true_iff. lia. Qed.
Lemma word_In m t i : word m t i <> 0 -> In (word m t i) (page m t).
Proof.
  unfold word, nth_word. intros H. apply nth_In. destruct (Nat.lt_ge_cases (Z.to_nat i) (length (page m t))) as [L|L]; [exact L|].
  destruct H. by apply nth_overflow.
Qed.
Lemma zero_word m t i : page m t = zero_page -> word m t i = 0.
Proof. unfold word. intros ->. apply zero_page_word. Qed.

Lemma level_4 (level : Z) : 0 <= level <= 3 -> level = 0 \/ level = 1 \/ level = 2 \/ level = 3.
Proof. lia. Qed.
Lemma size_positive level : 0 < size_of level.
Proof. unfold size_of. apply Z.pow_pos_nonneg; [lia|]. unfold shift_of. destruct (level =? 0), (level =? 1), (level =? 2); lia. Qed.
Lemma size_page level : size_of level mod 4096 = 0.
Proof. unfold size_of, shift_of. destruct (level =? 0), (level =? 1), (level =? 2); reflexivity. Qed.
Lemma slot_entry level base i : base mod (512 * size_of level) = 0 -> 0 <= i < 512 -> slot_of level (base + i * size_of level) = i.
Proof.
  intros Hb Hi. pose proof (size_positive level) as Ps. unfold slot_of.
  rewrite shr by (unfold shift_of; destruct (level =? 0), (level =? 1), (level =? 2); lia).
  rewrite (land_low 9) by lia. change (2 ^ 9) with 512. fold (size_of level).
  rewrite Z.div_add by lia. apply Z.div_exact in Hb; [|lia].
  rewrite Hb. replace (512 * size_of level * (base / (512 * size_of level))) with (512 * (base / (512 * size_of level)) * size_of level) by lia.
  rewrite Z.div_mul by lia. rewrite Z.add_comm, Z.mul_comm, Z.mod_add by lia. by apply Z.mod_small.
Qed.
Lemma size_next level : 0 <= level < 3 -> 512 * size_of (level + 1) = size_of level.
Proof. intros H. assert (level = 0 \/ level = 1 \/ level = 2) as [-> | [-> | ->]] by lia; reflexivity. Qed.
Lemma aligned_next level base i : 0 <= level < 3 -> base mod (512 * size_of level) = 0 ->
  (base + i * size_of level) mod (512 * size_of (level + 1)) = 0.
Proof.
  intros Hl Hb. rewrite size_next by lia. pose proof (size_positive level). rewrite Z.mod_add by lia.
  apply Z.div_exact in Hb; [|lia]. rewrite Hb. rewrite (Z.mul_comm 512), <- Z.mul_assoc, Z.mul_comm. apply Z.mod_mul. lia.
Qed.

(* ---- Tables that may be walked, before a step and after ---- *)

Lemma hot_kept s T s' T1 rd level base t :
  (forall t p, places s !! t = Some p -> p_parent p = 0 -> p_rd p = rd -> places s' !! t = Some p) ->
  (forall l b t i, hot s T rd l b t -> 0 <= i < 512 -> is_table l (word (mem s) t i) = true -> word (mem s') t i = word (mem s) t i) ->
  (forall l b d, rd ∈ cached s -> T (shape RD_vmid rd s) l b d -> is_table l d = true ->
     rd ∈ cached s' /\ shape RD_vmid rd s' = shape RD_vmid rd s /\ T1 (shape RD_vmid rd s) l b d) ->
  hot s T rd level base t -> hot s' T1 rd level base t.
Proof.
  intros Hr Hw Ht H. remember rd as rd0 eqn:Erd in H. revert Erd.
  induction H as [t p Hp H0 | rd0 level base t i H IH Hi Htb | rd0 level base d Hc H Htb]; intros Erd.
  - rewrite <- Erd. apply H_root; [by apply Hr|done].
  - subst rd0. rewrite <- (Hw level base t i H Hi Htb) in Htb |- *. apply H_next; [by apply IH|done|done].
  - subst rd0. destruct (Ht _ _ _ Hc H Htb) as (C & V & H1). apply H_tlb; [done|by rewrite V|done].
Qed.

Lemma hot_back (X : Z -> Z -> Z -> Z -> Prop) s' T1 rd level base t :
  (forall t p, places s' !! t = Some p -> p_parent p = 0 -> X (p_rd p) (p_level p) (p_base p) t) ->
  (forall rd l b t i, X rd l b t -> 0 <= i < 512 -> is_table l (word (mem s') t i) = true ->
     X rd (l + 1) (b + i * size_of l) (out_addr (word (mem s') t i))) ->
  (forall rd l b d, rd ∈ cached s' -> T1 (shape RD_vmid rd s') l b d -> is_table l d = true -> X rd (l + 1) b (out_addr d)) ->
  hot s' T1 rd level base t -> X rd level base t.
Proof. intros Hr Hn Ht H. induction H; eauto. Qed.

(* ---- What the guards say ---- *)

Section guards.
  Context (s : state) (T : realm_tlb) (A : apart s T).

  Lemma hot_placed rd level base t : hot s T rd level base t ->
    exists parent, places s !! t = Some (Place rd level base parent) /\ 0 <= level <= 3 /\ base mod (512 * size_of level) = 0 /\
      (has_state GS_RTT t s = true \/ has_state GS_DELEGATED t s = true).
  Proof.
    intros H. destruct (ap_hot _ _ A _ _ _ _ H) as [[parent Hp] _]. exists parent. split; [exact Hp|].
    destruct (ap_place _ _ A _ _ Hp) as (S & L & B). done.
  Qed.
  Lemma hot_address rd level base t : hot s T rd level base t -> 0 < t < 2 ^ 48 /\ t mod 4096 = 0.
  Proof.
    intros H. destruct (hot_placed _ _ _ _ H) as (parent & _ & _ & _ & S). unfold has_state in S.
    destruct (gran s !! t) as [g|] eqn:Hg; [by apply (ap_gran _ _ A _ _ Hg)|by destruct S].
  Qed.
  Lemma hot_next rd level base t i : hot s T rd level base t -> 0 <= i < 512 -> is_table level (word (mem s) t i) = true ->
    word (mem s) t i = Z.lor (out_addr (word (mem s) t i)) S2_TABLE /\
    places s !! out_addr (word (mem s) t i) = Some (Place rd (level + 1) (base + i * size_of level) t).
  Proof.
    intros H Hi Ht. destruct (ap_hot _ _ A _ _ _ _ H) as [_ E]. specialize (E i Hi (table_valid _ _ Ht)).
    unfold entry_fits in E. by rewrite Ht in E.
  Qed.

  Lemma no_table_listed pa rd l b e : no_realm_had s pa = true -> In (StaleRealm rd l b e) (staled s) -> is_table l e = true -> False.
  Proof.
    unfold no_realm_had. intros H%negb_true_iff Hin Ht.
    assert (existsb (stale_reaches pa) (staled s) = true); [|congruence]. apply existsb_exists. eexists. split; [exact Hin|].
    cbn [stale_reaches]. by rewrite Ht.
  Qed.
  (* While no table entry is listed as broken, each such table stands. *)
  Lemma hot_stands pa rd level base t : no_realm_had s pa = true -> hot s T rd level base t ->
    exists p, places s !! t = Some p /\ p_rd p = rd /\ p_level p = level /\ p_base p = base /\ stands s t p = true.
  Proof.
    intros Hh H. assert (Next : forall rd l b u i, hot s T rd l b u -> 0 <= i < 512 -> is_table l (word (mem s) u i) = true ->
      exists p, places s !! out_addr (word (mem s) u i) = Some p /\ p_rd p = rd /\ p_level p = l + 1 /\ p_base p = b + i * size_of l /\
        stands s (out_addr (word (mem s) u i)) p = true).
    { clear H. intros rd' l b u i H Hi Ht. destruct (hot_next _ _ _ _ _ H Hi Ht) as [E P]. destruct (hot_placed _ _ _ _ H) as (pp & _ & Hl & Hb & _).
      eexists. split; [exact P|]. split_and!; try done. unfold stands. cbn [p_parent p_level p_base].
      replace (l + 1 - 1) with l by lia. rewrite slot_entry by done. rewrite <- E, Z.eqb_refl. apply orb_true_r. }
    destruct H as [t p Hp H0 | rd level base t i H Hi Htb | rd level base d Hc H Htb].
    - exists p. split_and!; try done. unfold stands. by rewrite H0.
    - by apply Next.
    - destruct (ap_tlb _ _ A _ _ _ _ H) as (rd' & Hc' & Hv & _ & _ & K).
      assert (rd' = rd) as -> by (by apply (ap_vmid _ _ A)).
      destruct K as [(b & t & i & Ht & Hi & E & ->) | [Hin | (l & b & e & Hin & Hte)]].
      + rewrite <- E in Htb |- *. by apply Next.
      + destruct (no_table_listed _ _ _ _ _ Hh Hin Htb).
      + destruct (no_table_listed _ _ _ _ _ Hh Hin Hte).
  Qed.

  Lemma reach_parts pa : no_realm_reaches s pa = true ->
    no_realm_had s pa = true /\ pa ∉ cached s /\ (forall t p, places s !! t = Some p -> mapped_by s pa (t, p) = false) /\
    forall p, places s !! pa = Some p -> if p_parent p =? 0 then p_rd p ∉ cached s else stands s pa p = false.
  Proof.
    unfold no_realm_reaches. intros [[[H1 H2]%andb_true_iff H3]%andb_true_iff H4]%andb_true_iff. split_and!.
    - exact H1.
    - apply negb_true_iff, bool_decide_eq_false in H2. exact H2.
    - apply negb_true_iff in H3. rewrite existsb_false in H3. intros t p Hp. apply (H3 (t, p)). by apply places_In.
    - intros p Hp. rewrite Hp in H4. destruct (p_parent p =? 0); apply negb_true_iff in H4; [by apply bool_decide_eq_false in H4|done].
  Qed.
  (* No leaf of such a table leads to a page that no realm reaches. *)
  Lemma leaf_free pa rd level base t i : no_realm_reaches s pa = true -> hot s T rd level base t -> 0 <= i < 512 ->
    is_valid (word (mem s) t i) = true -> is_table level (word (mem s) t i) = false ->
    out_addr (word (mem s) t i) <= pa < out_addr (word (mem s) t i) + size_of level -> False.
  Proof.
    intros Hr H Hi Hv Ht Hp. destruct (reach_parts _ Hr) as (Hh & _ & Hm & _).
    destruct (hot_stands pa _ _ _ _ Hh H) as (p & P & _ & El & _ & S). specialize (Hm _ _ P). unfold mapped_by in Hm. cbn [fst snd] in Hm.
    rewrite S in Hm. cbn [andb] in Hm. rewrite existsb_false in Hm.
    specialize (Hm _ (word_In _ _ _ (valid_nonzero _ Hv))). rewrite El in Hm. unfold leaf_covers in Hm. rewrite Hv, Ht in Hm. lia.
  Qed.
  Lemma held_free pa v level base d : no_realm_reaches s pa = true -> T v level base d -> is_table level d = false ->
    out_addr d <= pa < out_addr d + size_of level -> False.
  Proof.
    intros Hr H Ht Hp. destruct (ap_tlb _ _ A _ _ _ _ H) as (rd & _ & _ & Hv & _ & K).
    destruct K as [(b & t & i & Hot & Hi & E & _) | [Hin | (l & b & e & Hin & Hte)]].
    - subst d. by apply (leaf_free pa rd level b t i).
    - destruct (reach_parts _ Hr) as (Hh & _). unfold no_realm_had in Hh. apply negb_true_iff in Hh. rewrite existsb_false in Hh.
      specialize (Hh _ Hin). cbn [stale_reaches] in Hh. unfold leaf_covers in Hh. rewrite Ht, Hv in Hh. cbn in Hh. lia.
    - destruct (reach_parts _ Hr) as (Hh & _). by eapply no_table_listed.
  Qed.
  (* It is itself no such table, but for a start table of a realm that does not run. *)
  Lemma hot_root_only pa rd level base : no_realm_reaches s pa = true -> hot s T rd level base pa ->
    rd ∉ cached s /\ exists p, places s !! pa = Some p /\ p_parent p = 0.
  Proof.
    intros Hr H. destruct (reach_parts _ Hr) as (Hh & _ & _ & Hp). destruct (hot_stands pa _ _ _ _ Hh H) as (p & P & Er & _ & _ & S).
    specialize (Hp p P). destruct (Z.eqb_spec (p_parent p) 0) as [E|]; [|congruence]. rewrite Er in Hp. split; [exact Hp|]. eauto.
  Qed.

  Lemma hot_no_object st pa rd level base : has_state st pa s = true -> st <> GS_RTT -> st <> GS_DELEGATED -> hot s T rd level base pa -> False.
  Proof.
    intros H N1 N2 Hh. destruct (hot_placed _ _ _ _ Hh) as (_ & _ & _ & _ & S). unfold has_state in *.
    destruct (gran s !! pa); [|done]. apply Z.eqb_eq in H. destruct S as [S%Z.eqb_eq | S%Z.eqb_eq]; congruence.
  Qed.
  Lemma hot_no_hand pa rd level base : in_hand pa s = true -> hot s T rd level base pa -> False.
  Proof.
    unfold in_hand. intros [_ H%negb_true_iff]%andb_true_iff Hh. destruct (hot_placed _ _ _ _ Hh) as (pp & P & _ & _ & S).
    unfold is_placed in H. rewrite P in H. cbn [andb] in H. destruct S as [S | S]; rewrite S in H; [discriminate|].
    rewrite orb_true_r in H. discriminate.
  Qed.
  Lemma hot_no_role pa rd level base : hot s T rd level base pa -> role_of (hw s) pa = None.
  Proof.
    intros Hh. destruct (hot_placed _ _ _ _ Hh) as (_ & _ & _ & _ & [S | S]);
      by eapply state_no_table; [exact (ap_contained _ _ A)|exact S|].
  Qed.
  Lemma cached_no_object st pa : has_state st pa s = true -> st <> GS_RD -> pa ∉ cached s.
  Proof.
    intros H N C. destruct (ap_cached _ _ A _ C) as [R _]. unfold has_state in *. destruct (gran s !! pa); [|done].
    apply Z.eqb_eq in H, R. congruence.
  Qed.
End guards.

(* ---- Steps that write no table of a realm's ---- *)

Definition is_shape_word (f : rd_field) : Prop := is_shape f = true.

Record calm (s : state) (T : realm_tlb) (s' : state) (T1 : realm_tlb) : Prop := Calm {
  cm_hw : hw s' = hw s;
  cm_gran : forall pa g, gran s' !! pa = Some g -> is_Some (gran s !! pa);
  (* places go of start tables of realms that do not run; of others, one that is no such table may come *)
  cm_new : forall t p, places s' !! t = Some p -> places s !! t = Some p \/
      places s !! t = None /\ p_parent p = 0 /\ forall i, is_valid (word (mem s') t i) = false;
  cm_place : forall rd l b t, hot s T rd l b t -> places s' !! t = places s !! t \/
      rd ∉ cached s /\ places s' !! t = None /\ exists p, places s !! t = Some p /\ p_parent p = 0;
  cm_placed : forall t p, places s' !! t = Some p -> placed_well s' t p;
  cm_page : forall rd l b t, hot s T rd l b t -> page (mem s') t = page (mem s) t \/
      rd ∉ cached s /\ page (mem s') t = zero_page;
  cm_reach : forall pa, no_realm_reaches s pa = true \/
      (forall rd, own_data s rd pa = true -> own_data s' rd pa = true) /\ (has_state GS_NS pa s = true -> has_state GS_NS pa s' = true);
  cm_cached : forall rd, rd ∈ cached s' -> rd ∈ cached s \/
      has_state GS_RD rd s' = true /\ starts_stand rd s' = true /\
      forall rd', rd' ∈ cached s' -> shape RD_vmid rd' s' = shape RD_vmid rd s' -> rd' = rd;
  cm_shape : forall rd, rd ∈ cached s -> has_state GS_RD rd s' = true /\ length (page (mem s') rd) = length (page (mem s) rd) /\
      forall f, is_shape f = true -> shape f rd s' = shape f rd s;
  (* the TLBs lose what was taken out, all of a realm's table entries together, and then what is listed goes *)
  cm_tlb : forall v l b d, T1 v l b d -> T v l b d;
  cm_kept : forall v l b d l' b' d', T1 v l b d -> T v l' b' d' -> is_table l' d' = true -> T1 v l' b' d';
  cm_stays : forall v l b d rd, T1 v l b d -> rd ∈ cached s -> shape RD_vmid rd s = v -> rd ∈ cached s';
  cm_listed : forall rd l b d l' b' d', T1 (shape RD_vmid rd s) l b d -> In (StaleRealm rd l' b' d') (staled s) ->
      (l', b', d') = (l, b, d) \/ is_table l' d' = true -> In (StaleRealm rd l' b' d') (staled s');
}.

Lemma starts_kept s s' rd : starts_stand rd s = true ->
  length (page (mem s') rd) = length (page (mem s) rd) -> (forall f, is_shape f = true -> shape f rd s' = shape f rd s) ->
  (forall t p, places s !! t = Some p -> p_rd p = rd -> p_parent p = 0 -> places s' !! t = Some p) ->
  starts_stand rd s' = true.
Proof.
  unfold starts_stand. intros H El Es Hp. rewrite El.
  change (word (mem s') rd (rd_off RD_start_level)) with (shape RD_start_level rd s').
  change (word (mem s') rd (rd_off RD_s2sz)) with (shape RD_s2sz rd s').
  change (word (mem s') rd (rd_off RD_num_start)) with (shape RD_num_start rd s').
  change (word (mem s') rd (rd_off RD_rtt_base)) with (shape RD_rtt_base rd s').
  rewrite !Es by reflexivity. apply andb_true_iff in H as [H1 H2]. apply andb_true_iff. split; [exact H1|].
  rewrite forallb_forall in H2 |- *. intros n Hn. specialize (H2 n Hn). unfold shape.
  destruct (places s !! _) as [p|] eqn:P; [|discriminate]. erewrite Hp; [exact H2|exact P|lia|lia].
Qed.

Lemma calm_apart s T s' T1 : apart s T -> contained s' -> calm s T s' T1 -> apart s' T1.
Proof.
  intros A K' C.
  assert (Rt : forall t p, places s !! t = Some p -> p_parent p = 0 -> p_rd p ∈ cached s -> places s' !! t = Some p).
  { intros t p Hp H0 Hc. destruct (cm_place _ _ _ _ C _ _ _ _ (H_root s T t p Hp H0)) as [-> | [N _]]; done. }
  assert (Sv : forall rd, rd ∈ cached s -> shape RD_vmid rd s' = shape RD_vmid rd s).
  { intros rd Hc. by apply (cm_shape _ _ _ _ C rd Hc). }
  (* a realm that a TLB entry is of *)
  assert (Tg : forall rd v l b d, T1 v l b d -> rd ∈ cached s' -> shape RD_vmid rd s' = v -> rd ∈ cached s).
  { intros rd v l b d H Hc Hv. destruct (cm_cached _ _ _ _ C rd Hc) as [|(_ & _ & U)]; [done|].
    destruct (ap_tlb _ _ A _ _ _ _ (cm_tlb _ _ _ _ C _ _ _ _ H)) as (rd0 & Hc0 & Hv0 & _).
    rewrite <- (U rd0); [done| |rewrite Sv by done; congruence]. by eapply (cm_stays _ _ _ _ C). }
  set (X rd l b t := hot s T rd l b t \/ exists p, places s' !! t = Some p /\ p = Place rd l b 0 /\
    forall i, is_valid (word (mem s') t i) = false).
  assert (Back : forall rd l b t, hot s' T1 rd l b t -> X rd l b t).
  { intros rd l b t. apply hot_back; clear rd l b t.
    - intros t p Hp H0. destruct (cm_new _ _ _ _ C _ _ Hp) as [Hp' | (_ & _ & Hv)]; [left; by apply H_root|].
      right. exists p. split; [done|]. split; [destruct p; cbn in *; by subst|done].
    - intros rd l b t i [H | (p & _ & _ & Hv)] Hi Ht; [|apply table_valid in Ht; rewrite Hv in Ht; discriminate].
      left. destruct (cm_page _ _ _ _ C _ _ _ _ H) as [E | [_ E]].
      + assert (Ew : word (mem s') t i = word (mem s) t i) by (unfold word; by rewrite E). rewrite Ew in *. by apply H_next.
      + rewrite (zero_word _ _ i E) in Ht. apply table_valid in Ht. discriminate.
    - intros rd l b d Hc H Ht. left. pose proof (Tg _ _ _ _ _ H Hc eq_refl) as Hc0. rewrite Sv in H by done.
      apply H_tlb; [done| |done]. by apply (cm_tlb _ _ _ _ C). }
  assert (Kept : forall rd l b t v l0 b0 d0, hot s T rd l b t -> rd ∈ cached s -> shape RD_vmid rd s = v -> T1 v l0 b0 d0 -> hot s' T1 rd l b t).
  { intros rd l b t v l0 b0 d0 H Hc Hv H0. revert H. apply hot_kept.
    - intros u p Hp Hz Er. apply Rt; [done|done|by rewrite Er].
    - intros l1 b1 u i H Hi Ht. destruct (cm_page _ _ _ _ C _ _ _ _ H) as [E | [N _]]; [|done]. unfold word. by rewrite E.
    - intros l1 b1 d _ H Ht. split; [by eapply (cm_stays _ _ _ _ C)|]. split; [by apply Sv|]. rewrite Hv in *.
      by eapply (cm_kept _ _ _ _ C). }
  (* leaves *)
  assert (Fit : forall rd level d, leaf_fits s rd level d ->
    (forall pa, no_realm_reaches s pa = true -> out_addr d <= pa < out_addr d + size_of level -> False) -> leaf_fits s' rd level d).
  { intros rd level d F N pa Hp Hm. destruct (cm_reach _ _ _ _ C pa) as [R | [R1 R2]]; [destruct (N pa R Hp)|].
    destruct (F pa Hp Hm); auto. }
  constructor.
  - exact K'.
  - rewrite (cm_hw _ _ _ _ C). apply (ap_key _ _ A).
  - intros pa g Hg. destruct (cm_gran _ _ _ _ C _ _ Hg) as [g0 Hg0]. by apply (ap_gran _ _ A _ _ Hg0).
  - apply (cm_placed _ _ _ _ C).
  - intros rd Hc. destruct (cm_cached _ _ _ _ C rd Hc) as [Hc0 | (R & S & _)]; [|done].
    destruct (cm_shape _ _ _ _ C rd Hc0) as (R & L & S). split; [exact R|]. destruct (ap_cached _ _ A _ Hc0) as [_ St].
    apply (starts_kept s); try done. intros t p Hp Er Hz. apply Rt; [done|done|by rewrite Er].
  - intros rd rd' Hc Hc' E.
    destruct (cm_cached _ _ _ _ C rd Hc) as [H | (_ & _ & U)]; [|symmetry; by apply U].
    destruct (cm_cached _ _ _ _ C rd' Hc') as [H' | (_ & _ & U)]; [|by apply U].
    rewrite !Sv in E by done. by apply (ap_vmid _ _ A).
  - intros rd l b t H. destruct (Back _ _ _ _ H) as [H0 | (p & Hp & -> & Hv)].
    2:{ split; [by exists 0|]. intros i _ V. rewrite Hv in V. discriminate. }
    destruct (ap_hot _ _ A _ _ _ _ H0) as [[parent P] E].
    assert (P' : places s' !! t = Some (Place rd l b parent)).
    { destruct (cm_place _ _ _ _ C _ _ _ _ H0) as [-> | (N & Np & p & Pp & Pz)]; [done|]. exfalso.
      destruct H as [t p' Hp' _ | rd l b t i H Hi Ht | rd l b d Hc H Ht].
      - congruence.
      - destruct (Back _ _ _ _ H) as [Hb | (q & _ & _ & Hv)]; [|apply table_valid in Ht; rewrite Hv in Ht; discriminate].
        destruct (cm_page _ _ _ _ C _ _ _ _ Hb) as [Ep | [_ Ep]].
        + assert (Ew : word (mem s') t i = word (mem s) t i) by (unfold word; by rewrite Ep). rewrite Ew in *.
          destruct (hot_next _ _ A _ _ _ _ _ Hb Hi Ht) as [_ Pn]. rewrite Pn in Pp. injection Pp as <-. cbn in Pz.
          destruct (hot_address _ _ A _ _ _ _ Hb). lia.
        + rewrite (zero_word _ _ i Ep) in Ht. apply table_valid in Ht. discriminate.
      - by pose proof (Tg _ _ _ _ _ H Hc eq_refl). }
    split; [by exists parent|]. intros i Hi V.
    destruct (cm_page _ _ _ _ C _ _ _ _ H0) as [Ep | [_ Ep]]; [|rewrite (zero_word _ _ i Ep) in V; discriminate].
    assert (Ew : word (mem s') t i = word (mem s) t i) by (unfold word; by rewrite Ep).
    assert (Hn : is_table l (word (mem s') t i) = true -> hot s' T1 rd (l + 1) (b + i * size_of l) (out_addr (word (mem s') t i)))
      by (intros; by apply H_next).
    rewrite Ew in *. specialize (E i Hi V). unfold entry_fits in *. destruct (is_table l (word (mem s) t i)) eqn:Ht.
    + destruct E as [E1 E2]. split; [exact E1|]. pose proof (H_next s T _ _ _ _ i H0 Hi Ht) as Hc.
      destruct (cm_place _ _ _ _ C _ _ _ _ Hc) as [-> | (_ & _ & p & Pp & Pz)]; [done|]. rewrite E2 in Pp. injection Pp as <-. cbn in Pz.
      destruct (hot_address _ _ A _ _ _ _ H0). lia.
    + apply Fit; [exact E|]. intros pa R Hp. by apply (leaf_free s T A pa rd l b t i).
  - intros v l b d H. pose proof (cm_tlb _ _ _ _ C _ _ _ _ H) as H0.
    destruct (ap_tlb _ _ A _ _ _ _ H0) as (rd & Hc & Hv & V & F & W). exists rd. split; [by eapply (cm_stays _ _ _ _ C)|].
    split; [by rewrite Sv|]. split; [done|]. split.
    { intros Ht. apply Fit; [by apply F|]. intros pa R Hp. by apply (held_free s T A pa v l b d). }
    rewrite <- Hv in H. destruct W as [(b0 & t & i & Ht & Hi & E & Eb) | [Hin | (l0 & b0 & e & Hin & Hte)]].
    + left. exists b0, t, i. split; [exact (Kept _ _ _ _ _ _ _ _ Ht Hc eq_refl H)|]. split; [done|]. split; [|done].
      destruct (cm_page _ _ _ _ C _ _ _ _ Ht) as [Ep | [N _]]; [|done]. unfold word in *. by rewrite Ep.
    + right. left. eapply (cm_listed _ _ _ _ C); [exact H|exact Hin|by left].
    + right. right. exists l0, b0, e. split; [|done]. eapply (cm_listed _ _ _ _ C); [exact H|exact Hin|by right].
Qed.

(* ---- Steps, one kind after the other ---- *)

Lemma placed_same s s' t p : (forall st, has_state st t s' = has_state st t s) -> placed_well s t p -> placed_well s' t p.
Proof. intros E. unfold placed_well. by rewrite !E. Qed.

Section steps.
  Context (s : state) (T : realm_tlb) (A : apart s T).

  Lemma page_calm pa l s' : hw s' = hw s -> gran s' = gran s -> mem s' = <[pa := l]> (mem s) -> places s' = places s ->
    cached s' = cached s -> (forall rd l b d, In (StaleRealm rd l b d) (staled s) -> In (StaleRealm rd l b d) (staled s')) ->
    (forall rd lv b, hot s T rd lv b pa -> rd ∉ cached s /\ l = zero_page) ->
    (pa ∈ cached s -> length l = length (page (mem s) pa) /\ forall f, is_shape f = true -> nth_word l (rd_off f) = shape f pa s) ->
    calm s T s' T.
  Proof.
    intros Eh Eg Em Ep Ec Es Hh Hc.
    assert (St : forall st q, has_state st q s' = has_state st q s) by (intros; unfold has_state; by rewrite Eg).
    constructor.
    - exact Eh.
    - intros q g. rewrite Eg. eauto.
    - intros t p. rewrite Ep. auto.
    - intros. left. by rewrite Ep.
    - intros t p. rewrite Ep. intros Hp. apply (placed_same s); [auto|by apply (ap_place _ _ A)].
    - intros rd lv b t H. rewrite Em. destruct (Z.eq_dec pa t) as [<- | N]; [|left; by apply page_insert_other].
      right. rewrite page_insert_same. by apply (Hh rd lv b).
    - intros q. right. unfold own_data. rewrite Eg, St. auto.
    - intros rd. rewrite Ec. auto.
    - intros rd H. rewrite St, Em. split; [by apply (ap_cached _ _ A)|]. unfold shape, word. rewrite Em.
      destruct (Z.eq_dec pa rd) as [<- | N]; [rewrite !page_insert_same; by apply Hc|by rewrite !page_insert_other].
    - auto.
    - auto.
    - intros. by rewrite Ec.
    - intros. by apply Es.
  Qed.
  Lemma cold_calm pa l : (forall rd lv b, hot s T rd lv b pa -> False) -> pa ∉ cached s -> calm s T (put_page pa l s) T.
  Proof. intros H N. apply (page_calm pa l); try done. intros rd lv b Hh. by destruct (H _ _ _ Hh). Qed.
  Lemma object_calm st pa l : has_state st pa s = true -> st <> GS_RTT -> st <> GS_DELEGATED -> st <> GS_RD ->
    calm s T (put_page pa l s) T.
  Proof.
    intros H N1 N2 N3. apply cold_calm; [|by apply (cached_no_object s T A st)]. intros rd lv b. by apply (hot_no_object s T A st).
  Qed.
  Lemma pinned_state pa : pinned pa s = true -> has_state GS_NS pa s = true.
  Proof. unfold pinned, has_state. destruct (gran s !! pa); [|done]. by intros [? _]%andb_true_iff. Qed.
  Lemma pinned_calm pa l : pinned pa s = true -> calm s T (put_page pa l s) T.
  Proof. intros H%pinned_state. by apply (object_calm GS_NS). Qed.
  Lemma zero_calm pa : may_zero pa s = true -> calm s T (put_page pa zero_page s) T.
  Proof.
    unfold may_zero. intros [_ R]%andb_true_iff. destruct (reach_parts _ _ R) as (_ & N & _).
    apply (page_calm pa zero_page); try done. intros rd lv b Hh. split; [|done].
    by destruct (hot_root_only _ _ A _ _ _ _ R Hh).
  Qed.
  Lemma overwrite_calm pa l : may_overwrite pa s = true -> calm s T (put_page pa l s) T.
  Proof.
    unfold may_overwrite, may_zero, is_placed. intros [[_ R]%andb_true_iff P]%andb_true_iff.
    destruct (reach_parts _ _ R) as (_ & N & _). apply cold_calm; [|done]. intros rd lv b Hh.
    destruct (hot_placed _ _ A _ _ _ _ Hh) as (pp & Pp & _). by rewrite Pp in P.
  Qed.
  Lemma rec_calm rec l s' : has_state GS_REC rec s = true -> hw s' = hw s -> gran s' = gran s -> mem s' = <[rec := l]> (mem s) ->
    places s' = places s -> cached s' = cached s -> staled s' = staled s -> calm s T s' T.
  Proof.
    intros R Eh Eg Em Ep Ec Es. apply (page_calm rec l); try done.
    - by rewrite Es.
    - intros rd lv b Hh. by destruct (hot_no_object _ _ A GS_REC rec rd lv b).
    - intros C. by destruct (cached_no_object _ _ A GS_REC rec).
  Qed.
  Lemma rec_set_calm f rec i v : rec_in_hand rec s = true -> calm s T (rec_set f rec i v s) T.
  Proof. unfold rec_in_hand. intros [R _]%andb_true_iff. destruct f; (eapply (rec_calm rec); [exact R|reflexivity..]). Qed.

  Lemma shape_word_other f g i : is_shape g = true -> 0 <= i < rd_len f -> is_shape f = false -> rd_word f i <> rd_off g.
  Proof.
    intros Hg Hi Hf. unfold rd_word. destruct g; try discriminate Hg; destruct f; try discriminate Hf; cbn [rd_off rd_len] in *; lia.
  Qed.
  Lemma rd_set_calm f rd i v : in_hand rd s = true -> 0 <= i < rd_len f -> is_shape f = false \/ has_state GS_DELEGATED rd s = true ->
    calm s T (rd_set f rd i v s) T.
  Proof.
    intros Hh Hi Hf. apply (page_calm rd (set_nth (page (mem s) rd) (rd_word f i) v)); try done.
    - intros rd' lv b H. by destruct (hot_no_hand _ _ A _ _ _ _ Hh H).
    - intros C. destruct Hf as [Hf | Hf]; [|by destruct (cached_no_object _ _ A GS_DELEGATED rd Hf)].
      split; [unfold set_nth; apply length_insert|]. intros g Hg. unfold shape, word. apply nth_set_other.
      + unfold rd_word. destruct f; cbn [rd_off rd_len] in *; lia.
      + destruct g; cbn [rd_off]; lia.
      + by apply shape_word_other.
  Qed.
  Lemma key_calm rd key : in_hand rd s = true -> length key = 4%nat -> calm s T (with_key rd key s) T.
  Proof.
    intros Hh Hk. eapply (page_calm rd); try reflexivity; [done| |].
    - intros rd' lv b H. by destruct (hot_no_hand _ _ A _ _ _ _ Hh H).
    - intros C. destruct (ap_cached _ _ A _ C) as [_ S]. unfold starts_stand in S.
      apply andb_true_iff in S as [S _]. apply andb_true_iff in S as [S _]. apply andb_true_iff in S as [S _].
      apply andb_true_iff in S as [S _]. apply andb_true_iff in S as [S _]. apply Nat.eqb_eq in S. unfold splice. split.
      + rewrite !length_app, length_take, length_drop, S, Hk. cbn [rd_off]. lia.
      + intros g Hg. unfold shape, word, nth_word. rewrite app_nth1.
        * rewrite <- (firstn_skipn (Z.to_nat (rd_off RD_content_key)) (page (mem s) rd)) at 2. rewrite app_nth1; [done|].
          rewrite length_take, S. destruct g; try discriminate Hg; cbn [rd_off]; lia.
        * rewrite length_take, S. destruct g; try discriminate Hg; cbn [rd_off]; lia.
  Qed.

  Lemma same_calm s' : hw s' = hw s -> gran s' = gran s -> mem s' = mem s -> places s' = places s -> cached s' = cached s ->
    (forall rd l b d, In (StaleRealm rd l b d) (staled s) -> In (StaleRealm rd l b d) (staled s')) -> calm s T s' T.
  Proof.
    intros Eh Eg Em Ep Ec Es.
    assert (St : forall st q, has_state st q s' = has_state st q s) by (intros; unfold has_state; by rewrite Eg).
    constructor; rewrite ?Eh, ?Em; auto.
    - intros q g. rewrite Eg. eauto.
    - intros t p. rewrite Ep. auto.
    - intros. left. by rewrite Ep.
    - intros t p. rewrite Ep. intros Hp. apply (placed_same s); [auto|by apply (ap_place _ _ A)].
    - intros q. right. unfold own_data. rewrite Eg, St. auto.
    - intros rd. rewrite Ec. auto.
    - intros rd H. rewrite St. split; [by apply (ap_cached _ _ A)|]. unfold shape. by rewrite Em.
    - intros. by rewrite Ec.
  Qed.

  Lemma refs_calm pa n : tracked s pa = true -> calm s T (with_refs pa n s) T.
  Proof.
    unfold tracked. destruct (gran s !! pa) as [x|] eqn:Hx; [|done]. intros _.
    assert (L : forall q, gran (with_refs pa n s) !! q = if decide (q = pa) then Some (Gran (g_state x) (g_owner x) n) else gran s !! q).
    { intros q. unfold with_refs, set_granule, granule_at. cbn [gran with_gran]. rewrite Hx.
      destruct (decide (q = pa)) as [->|N]; [by rewrite lookup_insert|by rewrite lookup_insert_ne]. }
    assert (St : forall st q, has_state st q (with_refs pa n s) = has_state st q s).
    { intros. unfold has_state. rewrite L. destruct (decide (q = pa)) as [->|]; [by rewrite Hx|done]. }
    constructor; auto.
    - intros q g. rewrite L. destruct (decide (q = pa)) as [->|]; [rewrite Hx; eauto|eauto].
    - intros t p Hp. apply (placed_same s); [auto|by apply (ap_place _ _ A)].
    - intros q. right. rewrite St. split; [|auto]. intros rd. unfold own_data. rewrite L.
      destruct (decide (q = pa)) as [->|]; [by rewrite Hx|done].
    - intros rd H. rewrite St. split; [by apply (ap_cached _ _ A)|done].
  Qed.

  Lemma set_calm pa st owner : may_set pa st owner s = true -> calm s T (with_owner pa st owner s) T.
  Proof.
    unfold may_set. intros [[[[[Gu _]%andb_true_iff G3]%andb_true_iff G4]%andb_true_iff G5]%andb_true_iff _]%andb_true_iff.
    unfold under_lock, tracked in Gu. destruct (gran s !! pa) as [x|] eqn:Hx; [|done]. clear Gu.
    unfold granule_at in G5. rewrite Hx in G5. cbn [default from_option id] in G5.
    assert (L : gran (with_owner pa st owner s) !! pa = Some (Gran st owner (g_refs x))).
    { unfold with_owner, set_granule, granule_at. cbn [gran with_places with_gran]. by rewrite lookup_insert, Hx. }
    assert (L' : forall q, q <> pa -> gran (with_owner pa st owner s) !! q = gran s !! q).
    { intros q N. unfold with_owner, set_granule. cbn [gran with_places with_gran]. by rewrite lookup_insert_ne. }
    assert (St : forall st' q, q <> pa -> has_state st' q (with_owner pa st owner s) = has_state st' q s).
    { intros st' q N. unfold has_state. by rewrite L'. }
    (* where it stands afterwards *)
    assert (P : (exists p, st = GS_RTT /\ places (with_owner pa st owner s) = <[pa := p]> (places s) /\ placed_well (with_owner pa st owner s) pa p /\
                  (places s !! pa = Some p \/ places s !! pa = None /\ p_parent p = 0 /\ forall i, is_valid (word (mem s) pa i) = false)) \/
                places (with_owner pa st owner s) = delete pa (places s) /\
                ((st = GS_NS \/ st = GS_DELEGATED) /\ no_realm_reaches s pa = true \/ places s !! pa = None)).
    { destruct (Z.eqb_spec st GS_RTT) as [-> | Nst].
      - left. change ((GS_RTT =? GS_NS) || (GS_RTT =? GS_DELEGATED)) with false in G3.
        destruct (place_of s owner pa) as [p|] eqn:Ep; [|done].
        apply andb_true_iff in G4 as [G4 L3]. apply andb_true_iff in G4 as [G4 L0]. apply andb_true_iff in G4 as [_ Gi].
        exists p. split; [done|]. split.
        { unfold with_owner. cbn [places with_places]. change (GS_RTT =? GS_RTT) with true. cbv iota. by rewrite Ep. }
        unfold place_of in Ep. destruct (places s !! pa) as [q|] eqn:Eq.
        + injection Ep as ->. split; [|by left]. destruct (ap_place _ _ A _ _ Eq) as (_ & W). split; [|exact W].
          left. unfold has_state. rewrite L. done.
        + unfold start_place in Ep. cbv zeta in Ep. destruct (_ && _ && _ && _) in Ep; [|discriminate]. injection Ep as <-.
          cbn [p_level p_base p_parent] in *. split.
          * split; [left; unfold has_state; rewrite L; done|]. cbn [p_level p_base]. split; [lia|].
            rewrite <- Z.mul_assoc. apply Z.mod_mul. match goal with |- context [size_of ?l] => pose proof (size_positive l) end. lia.
          * right. split; [done|]. split; [done|]. intros i. change (0 =? 0) with true in Gi. cbn [negb orb] in Gi.
            destruct (is_valid (word (mem s) pa i)) eqn:V; [|done]. rewrite forallb_forall in Gi.
            specialize (Gi _ (word_In _ _ _ (valid_nonzero _ V))). by rewrite V in Gi.
      - right. split.
        { unfold with_owner. cbn [places with_places]. by rewrite (proj2 (Z.eqb_neq st GS_RTT)). }
        destruct ((st =? GS_NS) || (st =? GS_DELEGATED)) eqn:E.
        + left. apply orb_true_iff in E as [E%Z.eqb_eq | E%Z.eqb_eq]; (split; [auto|]); by apply andb_true_iff in G3 as [_ G3].
        + right. cbn [orb] in G4. unfold is_placed in G4. by destruct (places s !! pa). }
    constructor; auto.
    - intros q g. destruct (Z.eq_dec q pa) as [-> | N]; [rewrite Hx; eauto|rewrite L' by done; eauto].
    - intros t p Hp. destruct P as [(q & _ & E & _ & Q) | [E _]]; rewrite E in Hp.
      + destruct (Z.eq_dec t pa) as [-> | N]; [|rewrite lookup_insert_ne in Hp by done; auto].
        rewrite lookup_insert in Hp. injection Hp as <-. destruct Q as [Q | Q]; auto.
      + apply lookup_delete_Some in Hp as [_ Hp]. auto.
    - intros rd l b t H. destruct P as [(q & _ & E & _ & Q) | [E Q]]; rewrite E.
      + destruct (Z.eq_dec t pa) as [-> | N]; [|left; by apply lookup_insert_ne]. left. rewrite lookup_insert.
        destruct Q as [Q | (Q & _)]; [done|]. destruct (hot_placed _ _ A _ _ _ _ H) as (pp & Pp & _). congruence.
      + destruct (Z.eq_dec t pa) as [-> | N]; [|left; by apply lookup_delete_ne].
        destruct Q as [[_ R] | Q].
        * right. destruct (hot_root_only _ _ A _ _ _ _ R H) as [Nc Hp]. split; [done|]. split; [apply lookup_delete|done].
        * destruct (hot_placed _ _ A _ _ _ _ H) as (pp & Pp & _). congruence.
    - intros t p Hp. destruct P as [(q & _ & E & W & _) | [E _]]; rewrite E in Hp.
      + destruct (Z.eq_dec t pa) as [-> | N].
        * rewrite lookup_insert in Hp. by injection Hp as <-.
        * rewrite lookup_insert_ne in Hp by done. apply (placed_same s); [intros; by apply St|by apply (ap_place _ _ A)].
      + apply lookup_delete_Some in Hp as [N Hp]. apply (placed_same s); [intros; by apply St|by apply (ap_place _ _ A)].
    - intros q. destruct (Z.eq_dec q pa) as [-> | N].
      2:{ right. split; [intros rd; unfold own_data; by rewrite L'|by rewrite St]. }
      destruct (Z.eqb_spec (g_state x) GS_DELEGATED) as [E | N].
      + right. unfold own_data, has_state. rewrite Hx, E. split; [intros rd; discriminate|discriminate].
      + cbn [orb] in G5. apply Z.eqb_eq in G5 as ->. left. by apply andb_true_iff in G3 as [_ G3].
    - intros rd H. split; [|done]. destruct (ap_cached _ _ A _ H) as [R _].
      destruct (Z.eq_dec rd pa) as [-> | N]; [|by rewrite St]. exfalso. unfold has_state in R. rewrite Hx in R. apply Z.eqb_eq in R.
      rewrite R in G5. cbn [orb] in G5. change (GS_RD =? GS_DELEGATED) with false in G5. apply Z.eqb_eq in G5 as ->.
      apply andb_true_iff in G3 as [_ G3]. by destruct (reach_parts _ _ G3) as (_ & Nc & _).
  Qed.

  Lemma load_calm rec : rec_agrees rec s = true -> may_walk (rec_get REC_rd rec 0 s) s = true -> calm s T (rec_loaded rec s) T.
  Proof.
    intros Ha Hw. assert (E : rec_get REC_rd rec 0 s = word (mem s) rec (rec_off REC_rd))
      by (unfold rec_get, rec_word; by rewrite Z.add_0_r). rewrite E in Hw. clear E.
    assert (R : has_state GS_RD (word (mem s) rec (rec_off REC_rd)) s = true).
    { unfold rec_agrees in Ha. cbv zeta in Ha. by repeat match goal with H : _ && _ = true |- _ => apply andb_true_iff in H as [? ?] end. }
    set (rd := word (mem s) rec (rec_off REC_rd)) in *. apply andb_true_iff in Hw as [Hs Hv].
    constructor; auto.
    - intros t p Hp. apply (placed_same s); [auto|by apply (ap_place _ _ A)].
    - intros rd' [->%elem_of_singleton | H]%elem_of_union; [|by left]. right. split; [done|]. split; [done|].
      intros rd' [->%elem_of_singleton | H]%elem_of_union E; [done|]. unfold vmid_own in Hv. rewrite forallb_forall in Hv.
      specialize (Hv rd' (proj1 (elem_of_list_In _ _) (proj2 (elem_of_elements _ _) H))). unfold has_vmid in Hv.
      change (word (mem s) rd' (rd_off RD_vmid) = word (mem s) rd (rd_off RD_vmid)) in E. rewrite E, Z.eqb_refl, orb_false_r in Hv.
      by apply Z.eqb_eq.
    - intros rd' H. split; [by apply (ap_cached _ _ A)|done].
    - intros v l b d rd' _ H _. apply elem_of_union. by right.
  Qed.

  (* ---- Invalidation ---- *)

  Lemma tlbi_calm v ipa T1 : (forall w l b d, T1 w l b d <-> T w l b d /\ realm_flushed_by P_tlbi_realm [v; ipa] w l b d = false) ->
    calm s T (forget (gone_realm s v ipa) s) T1.
  Proof.
    intros H1. constructor; auto; try done.
    - intros t p Hp. apply (placed_same s); [auto|by apply (ap_place _ _ A)].
    - intros rd H. split; [by apply (ap_cached _ _ A)|done].
    - intros w l b d H. by apply H1 in H as [H _].
    - intros w l b d l' b' d' _ H Ht. apply H1. split; [done|]. cbn [realm_flushed_by]. by rewrite Ht, andb_false_r.
    - intros rd l b d l' b' d' H Hin Hd. apply List.filter_In. split; [exact Hin|]. cbn [gone_realm]. apply H1 in H as [_ H].
      cbn [realm_flushed_by] in H. unfold has_vmid. fold (shape RD_vmid rd s). apply negb_true_iff.
      destruct Hd as [[= -> -> ->] | Ht]; [exact H|]. by rewrite Ht, andb_false_r.
  Qed.
  Lemma tlbi_all_calm v T1 : (forall w l b d, T1 w l b d <-> T w l b d /\ realm_flushed_by P_tlbi_realm_all [v] w l b d = false) ->
    calm s T (flushed v s) T1.
  Proof.
    intros H1. constructor; auto; try done.
    - intros t p Hp. apply (placed_same s); [auto|by apply (ap_place _ _ A)].
    - intros rd H. left. unfold flushed in H. cbn [cached with_cached] in H. by apply elem_of_filter in H as [_ H].
    - intros rd H. split; [by apply (ap_cached _ _ A)|done].
    - intros w l b d H. by apply H1 in H as [H _].
    - intros w l b d l' b' d' H H' _. apply H1 in H as [_ H]. apply H1. done.
    - intros w l b d rd H Hc Hv. apply H1 in H as [_ H]. cbn [realm_flushed_by] in H. unfold flushed. cbn [cached with_cached].
      apply elem_of_filter. split; [|done]. unfold runs_no_more, has_vmid. fold (shape RD_vmid rd s). by rewrite Hv, H.
    - intros rd l b d l' b' d' H Hin _. unfold flushed. cbn [staled with_cached forget with_staled]. apply List.filter_In. split; [exact Hin|].
      apply H1 in H as [_ H]. cbn [realm_flushed_by] in H. cbn [gone_realm_all]. unfold has_vmid. fold (shape RD_vmid rd s). by rewrite H.
  Qed.
End steps.

(* ---- A realm's table is written ---- *)

Lemma page_address d : out_addr d mod 4096 = 0.
Proof.
  unfold out_addr. change 4096 with (2 ^ 12). rewrite <- Z.land_ones, <- Z.land_assoc by lia.
  change (Z.land PA_MASK (Z.ones 12)) with 0. apply Z.land_0_r.
Qed.
Lemma leaf_ok_fits s rd level ipa d : 0 <= level <= 3 -> realm_leaf_ok s rd level ipa d = true -> leaf_fits s rd level d.
Proof.
  unfold realm_leaf_ok. intros Hl H pa Hp Hm. rewrite forallb_forall in H. specialize (H ((pa - out_addr d) / 4096)).
  pose proof (page_address d) as Ho. assert (E : out_addr d + (pa - out_addr d) / 4096 * 4096 = pa).
  { Z.to_euclidean_division_equations; lia. }
  rewrite E in H. clear E. assert (Hin : In ((pa - out_addr d) / 4096) (granules_of level)).
  { unfold granules_of. apply in_map_iff. exists (Z.to_nat ((pa - out_addr d) / 4096)). split; [apply Z2Nat.id, Z.div_pos; lia|].
    apply in_seq. split; [lia|]. cbn [plus]. apply Z2Nat.inj_lt; [apply Z.div_pos; lia| |].
    - apply Z.div_pos; [|lia]. destruct (level_4 _ Hl) as [-> | [-> | [-> | ->]]]; vm_compute; discriminate.
    - destruct (level_4 _ Hl) as [-> | [-> | [-> | ->]]];
        [change (size_of 0) with 0x8000000000 in *|change (size_of 1) with 0x40000000 in *|
         change (size_of 2) with 0x200000 in *|change (size_of 3) with 4096 in *];
        Z.to_euclidean_division_equations; lia. }
  specialize (H Hin). destruct (protected s rd ipa); [by left|right; by apply pinned_state].
Qed.
Lemma combine_In {A B} (l : list A) (l' : list B) k a b : l !! k = Some a -> l' !! k = Some b -> In (a, b) (combine l l').
Proof.
  revert l l'. induction k as [|k IH]; intros [|x l] [|y l']; try discriminate; cbn; [|by eauto].
  intros [= ->] [= ->]. by left.
Qed.
Lemma combine_nth_word (l : list Z) i : 0 <= i < 512 -> nth_word l i <> 0 -> In (i, nth_word l i) (combine granules_2m l).
Proof.
  intros Hi Hn. unfold nth_word in *. rewrite nth_lookup in *. destruct (l !! Z.to_nat i) as [d|] eqn:E; [|done].
  apply (combine_In _ _ (Z.to_nat i)); [|exact E]. unfold granules_2m. change (map Z.of_nat (seq 0 512)) with (Z.of_nat <$> seq 0 512).
  rewrite list_lookup_fmap, lookup_seq_lt by lia. cbn. f_equal. lia.
Qed.
Lemma leaves_fit s rd level base l i : 0 <= level <= 3 -> leaves_ok s rd level base l = true -> 0 <= i < 512 ->
  is_valid (nth_word l i) = true -> is_table level (nth_word l i) = false /\ leaf_fits s rd level (nth_word l i).
Proof.
  unfold leaves_ok. intros Hl H Hi Hv. rewrite forallb_forall in H.
  specialize (H _ (combine_nth_word l i Hi (valid_nonzero _ Hv))). cbv beta iota in H. rewrite Hv in H. cbn [negb orb] in H.
  apply andb_true_iff in H as [Ht%negb_true_iff H]. split; [exact Ht|]. by eapply leaf_ok_fits.
Qed.

Section write.
  Context (s : state) (T : realm_tlb) (A : apart s T) (t0 i0 d0 : Z) (p0 : place)
    (Hr : role_of (hw s) t0 = None) (Hp0 : places s !! t0 = Some p0) (G : may_write t0 i0 d0 s = true).
  Local Notation s' := (after_write t0 i0 d0 s).
  Local Notation old := (word (mem s) t0 i0).
  Local Notation child := (out_addr d0).
  Local Notation ipa0 := (p_base p0 + i0 * size_of (p_level p0)).

  Lemma write_parts : 0 <= i0 < 512 /\ bbm old d0 = true /\ (is_valid d0 = true -> realm_desc_ok s p0 i0 d0 = true).
  Proof using Hr Hp0 G.
    unfold may_write in G. rewrite Hr, Hp0 in G. apply andb_true_iff in G as [G1 G2]. apply andb_true_iff in G1 as [G1 Gb].
    apply andb_true_iff in G2 as [_ G2]. split; [revert G1; unfold in_page; lia|]. split; [exact Gb|]. intros V. by rewrite V in G2.
  Qed.
  Lemma write_rest : hw s' = hw s /\ gran s' = gran s /\ cached s' = cached s /\ mem s' = set_word (mem s) t0 i0 d0.
  Proof using Hr. unfold after_write. by rewrite Hr. Qed.
  Lemma write_places : places s' = placed_below t0 i0 d0 s.
  Proof using Hr. unfold after_write. by rewrite Hr. Qed.
  Lemma write_staled e : In e (staled s) -> In e (staled s').
  Proof using Hr. unfold after_write. rewrite Hr. intros H. cbn. apply in_or_app. by right. Qed.
  Lemma write_listed : is_valid old = true -> old <> d0 -> In (StaleRealm (p_rd p0) (p_level p0) ipa0 old) (staled s').
  Proof using Hr Hp0.
    intros V N. unfold after_write. rewrite Hr, Hp0. cbn. apply in_or_app. left. rewrite V, (proj2 (Z.eqb_neq _ _) N). by left.
  Qed.
  Lemma write_word t i : word (mem s') t i = word (mem s) t i \/ t = t0 /\ i = i0 /\ word (mem s') t i = d0 \/
    ~ (0 <= i < 512).
  Proof using Hr Hp0 G.
    destruct write_rest as (_ & _ & _ & ->). destruct write_parts as (Hi & _).
    destruct (Z.eq_dec t t0) as [-> | N]; [|left; apply word_set_page; congruence].
    destruct (Z.eq_dec i i0) as [-> | N].
    - unfold word, set_word. rewrite page_insert_same.
      destruct (Nat.lt_ge_cases (Z.to_nat i0) (length (page (mem s) t0))) as [L | L].
      + right. left. split_and!; try done. unfold nth_word, set_nth. rewrite nth_lookup, list_lookup_insert by exact L. done.
      + left. unfold set_nth. by rewrite list_insert_ge.
    - destruct (decide (0 <= i < 512)) as [R | R]; [|by right; right]. left. apply word_set_slot; lia.
  Qed.
  (* What it points to is no table so far, and holds leaves only. *)
  Lemma write_child : is_valid d0 = true -> is_table (p_level p0) d0 = true ->
    d0 = Z.lor child S2_TABLE /\ has_state GS_DELEGATED child s = true /\ places s !! child = None /\ child <> t0 /\ 0 <= p_level p0 < 3 /\
    leaves_ok s (p_rd p0) (p_level p0 + 1) ipa0 (page (mem s) child) = true.
  Proof using Hr Hp0 G A.
    intros V Ht. destruct write_parts as (_ & _ & D). specialize (D V). unfold realm_desc_ok in D. rewrite Ht in D.
    apply andb_true_iff in D as [D D4]. apply andb_true_iff in D as [D D3]. apply andb_true_iff in D as [D1%Z.eqb_eq D2].
    apply negb_true_iff, bool_decide_eq_false in D3. destruct (places s !! child) as [q|] eqn:E; [destruct D3; eauto|].
    unfold claimable_here in D2. apply andb_true_iff in D2 as [D2 _]. split; [done|]. split; [done|].
    split; [done|]. split; [congruence|]. split; [|done]. pose proof (table_level _ _ Ht).
    destruct (ap_place _ _ A _ _ Hp0) as (_ & L & _). lia.
  Qed.
  Lemma write_place t p : places s' !! t = Some p ->
    places s !! t = Some p \/ is_valid d0 = true /\ is_table (p_level p0) d0 = true /\ t = child /\
      p = Place (p_rd p0) (p_level p0 + 1) ipa0 t0.
  Proof using Hr Hp0 G.
    rewrite write_places. unfold placed_below. rewrite Hp0. destruct (is_table (p_level p0) d0) eqn:Ht; [|by left].
    destruct (Z.eq_dec t child) as [-> | N]; [|rewrite lookup_insert_ne by congruence; by left].
    rewrite lookup_insert. intros [= <-]. right. split; [by apply (table_valid (p_level p0))|done].
  Qed.
  Lemma write_kept t p : places s !! t = Some p -> places s' !! t = Some p.
  Proof using Hr Hp0 G A.
    intros Hp. rewrite write_places. unfold placed_below. rewrite Hp0. destruct (is_table (p_level p0) d0) eqn:Ht; [|done].
    rewrite lookup_insert_ne; [done|]. intros E. destruct (write_child (table_valid _ _ Ht) Ht) as (_ & _ & N & _). congruence.
  Qed.
  Lemma write_state st q : has_state st q s' = has_state st q s.
  Proof using Hr. destruct write_rest as (_ & Eg & _). unfold has_state. by rewrite Eg. Qed.
  Lemma write_fits rd level d : leaf_fits s rd level d -> leaf_fits s' rd level d.
  Proof using Hr.
    intros F pa Hp Hm. rewrite write_state. unfold own_data. destruct write_rest as (_ & -> & _). by apply F.
  Qed.
  Lemma write_shape rd f : rd ∈ cached s -> shape f rd s' = shape f rd s /\ page (mem s') rd = page (mem s) rd.
  Proof using Hr Hp0 A.
    intros Hc. destruct (ap_cached _ _ A _ Hc) as [R _]. destruct write_rest as (_ & _ & _ & E). unfold shape.
    assert (N : t0 <> rd).
    { intros <-. destruct (ap_place _ _ A _ _ Hp0) as ([S | S] & _); unfold has_state in *; destruct (gran s !! t0); try done;
        apply Z.eqb_eq in R, S; rewrite R in S; discriminate. }
    rewrite E. split; [by apply word_set_page|by apply page_set_page].
  Qed.

  Definition born (rd level base t : Z) : Prop :=
    is_valid d0 = true /\ is_table (p_level p0) d0 = true /\ t = child /\ rd = p_rd p0 /\ level = p_level p0 + 1 /\ base = ipa0.

  Lemma born_leaf rd level base t i : born rd level base t -> 0 <= i < 512 -> is_valid (word (mem s') t i) = true ->
    is_table level (word (mem s') t i) = false /\ leaf_fits s' rd level (word (mem s') t i).
  Proof using Hr Hp0 G A.
    intros (V & Ht & -> & -> & -> & ->) Hi Hv. destruct (write_child V Ht) as (_ & _ & _ & N & L & C).
    destruct (write_word child i) as [E | [(E & _) | E]]; [|congruence|done]. rewrite E in *.
    assert (L1 : 0 <= p_level p0 + 1 <= 3) by lia.
    destruct (leaves_fit _ _ _ _ _ i L1 C Hi Hv) as [B1 B2]. split; [exact B1|by apply write_fits].
  Qed.
  Lemma hot_place rd level base t p : hot s T rd level base t -> places s !! t = Some p -> rd = p_rd p /\ level = p_level p /\ base = p_base p.
  Proof using A.
    intros H Hp. destruct (hot_placed _ _ A _ _ _ _ H) as (q & Q & _). rewrite Hp in Q. by injection Q as ->.
  Qed.
  Lemma write_back rd level base t : hot s' T rd level base t -> hot s T rd level base t \/ born rd level base t.
  Proof using Hr Hp0 G A.
    apply (hot_back (fun rd level base t => hot s T rd level base t \/ born rd level base t)); clear rd level base t.
    - intros t p Hp Hz. destruct (write_place _ _ Hp) as [H | (_ & _ & _ & ->)]; [left; by apply H_root|]. cbn in Hz. exfalso.
      destruct (ap_place _ _ A _ _ Hp0) as ([S | S] & _); unfold has_state in S; destruct (gran s !! t0) eqn:Hg; try done;
        destruct (ap_gran _ _ A _ _ Hg); lia.
    - intros rd l b t i [H | H] Hi Ht.
      2:{ destruct (born_leaf _ _ _ _ i H Hi (table_valid _ _ Ht)). congruence. }
      destruct (write_word t i) as [E | [(-> & -> & E) | E]]; [|right|done].
      + rewrite E in *. left. by apply H_next.
      + rewrite E in *. destruct (hot_place _ _ _ _ _ H Hp0) as (-> & -> & ->). split; [by apply (table_valid (p_level p0))|done].
    - intros rd l b d Hc H Ht. left. destruct write_rest as (_ & _ & Ec & _). rewrite Ec in Hc.
      destruct (write_shape rd RD_vmid Hc) as [E _]. rewrite E in H. by apply H_tlb.
  Qed.

  Lemma write_apart : contained s' -> apart s' T.
  Proof using Hr Hp0 G A.
    intros K'. destruct write_rest as (Eh & Eg & Ec & Em). constructor.
    - exact K'.
    - rewrite Eh. apply (ap_key _ _ A).
    - rewrite Eg. apply (ap_gran _ _ A).
    - intros t p Hp. destruct (write_place _ _ Hp) as [H | (V & Ht & -> & ->)].
      + apply (placed_same s); [intros; by rewrite write_state|by apply (ap_place _ _ A)].
      + destruct (write_child V Ht) as (_ & D & _ & _ & L & _). destruct (ap_place _ _ A _ _ Hp0) as (_ & _ & B).
        split; [right; by rewrite write_state|]. cbn [p_level p_base]. split; [lia|]. by apply aligned_next.
    - intros rd. rewrite Ec. intros Hc. destruct (ap_cached _ _ A _ Hc) as [R S]. split; [by rewrite write_state|].
      apply (starts_kept s); [exact S|by rewrite (proj2 (write_shape rd RD_vmid Hc))|intros f _; by apply write_shape|].
      intros. by apply write_kept.
    - intros rd rd'. rewrite Ec. intros Hc Hc'. rewrite (proj1 (write_shape rd RD_vmid Hc)), (proj1 (write_shape rd' RD_vmid Hc')).
      by apply (ap_vmid _ _ A).
    - intros rd l b t H. destruct (write_back _ _ _ _ H) as [H0 | B].
      2:{ split.
          - destruct B as (V & Ht & -> & -> & -> & ->). exists t0. rewrite write_places. unfold placed_below. by rewrite Hp0, Ht, lookup_insert.
          - intros i Hi Hv. destruct (born_leaf _ _ _ _ i B Hi Hv) as [Ht F]. unfold entry_fits. by rewrite Ht. }
      destruct (ap_hot _ _ A _ _ _ _ H0) as [[parent P] E]. split; [exists parent; by apply write_kept|]. intros i Hi Hv.
      destruct (write_word t i) as [Ew | [(-> & -> & Ew) | Ew]]; [| |done]; rewrite Ew in *.
      + specialize (E i Hi Hv). unfold entry_fits in *. destruct (is_table l _); [|by apply write_fits].
        destruct E as [E1 E2]. split; [exact E1|by apply write_kept].
      + destruct (hot_place _ _ _ _ _ H0 Hp0) as (-> & -> & ->). unfold entry_fits. destruct (is_table (p_level p0) d0) eqn:Ht.
        * destruct (write_child Hv Ht) as (D & _). split; [exact D|]. rewrite write_places. unfold placed_below. by rewrite Hp0, Ht, lookup_insert.
        * destruct write_parts as (_ & _ & D). specialize (D Hv). unfold realm_desc_ok in D. rewrite Ht in D. apply write_fits.
          eapply leaf_ok_fits; [|exact D]. by destruct (ap_place _ _ A _ _ Hp0) as (_ & ? & _).
    - intros v l b d H. destruct (ap_tlb _ _ A _ _ _ _ H) as (rd & Hc & Hv & V & F & W). exists rd. rewrite Ec.
      split; [exact Hc|]. split; [by rewrite (proj1 (write_shape rd RD_vmid Hc))|]. split; [exact V|]. split; [intros Ht; by apply write_fits, F|].
      destruct W as [(b0 & t & i & Ht & Hi & E & Eb) | [Hin | (l0 & b0 & e & Hin & Hte)]].
      2:{ right. left. by apply write_staled. }
      2:{ right. right. exists l0, b0, e. split; [by apply write_staled|done]. }
      (* a table entry that goes is listed, and all that was below it is held because of that *)
      destruct (decide (p_rd p0 = rd /\ is_table (p_level p0) old = true /\ old <> d0)) as [(Er & Hto & Nd) | Nx].
      { right. right. exists (p_level p0), ipa0, old. rewrite <- Er. split; [|done]. apply write_listed; [by apply (table_valid (p_level p0))|done]. }
      assert (Ht' : hot s' T rd l b0 t).
      { revert Ht. apply hot_kept.
        - intros u p Hp _ _. by apply write_kept.
        - intros l1 b1 u j Hu Hj Htb. destruct (write_word u j) as [Ew | [(-> & -> & Ew) | Ew]]; [done| |done].
          destruct (hot_place _ _ _ _ _ Hu Hp0) as (Er & -> & _). destruct (Z.eq_dec old d0) as [Ed | Nd]; [congruence|].
          destruct Nx. done.
        - intros l1 b1 d1 _ H1 _. rewrite Ec. split; [exact Hc|]. split; [by apply write_shape|exact H1]. }
      destruct (write_word t i) as [Ew | [(-> & -> & Ew) | Ew]]; [|destruct (Z.eq_dec old d0) as [Ed | Nd]|done].
      + left. exists b0, t, i. split; [exact Ht'|]. split; [exact Hi|]. split; [by rewrite Ew|exact Eb].
      + left. exists b0, t0, i0. split; [exact Ht'|]. split; [exact Hi|]. split; [by rewrite Ew, <- Ed|exact Eb].
      + right. left. destruct (hot_place _ _ _ _ _ Ht Hp0) as (-> & -> & ->). subst b. rewrite <- E. apply write_listed; [by rewrite E|exact Nd].
  Qed.
End write.

(* ---- Primitives ---- *)

Inductive realm_step (p : prim) (args : list Z) (s : state) (T : realm_tlb) (s' : state) : Prop :=
| RS_calm : (forall v l b d, realm_flushed_by p args v l b d = false) -> calm s T s' T -> realm_step p args s T s'
| RS_write t i d q : p = P_pt_write -> role_of (hw s) t = None -> places s !! t = Some q -> may_write t i d s = true -> s' = after_write t i d s ->
    realm_step p args s T s'
| RS_tlbi v ipa : p = P_tlbi_realm -> args = [v; ipa] -> s' = forget (gone_realm s v ipa) s -> realm_step p args s T s'
| RS_all v : p = P_tlbi_realm_all -> args = [v] -> s' = flushed v s -> realm_step p args s T s'.

Lemma host_forget f s : (forall rd l x d, f (StaleRealm rd l x d) = false) -> forall rd l x d,
  In (StaleRealm rd l x d) (staled s) -> In (StaleRealm rd l x d) (staled (forget f s)).
Proof. intros Hf rd l x d H. apply List.filter_In. by rewrite Hf. Qed.

Ltac ands := repeat match goal with H : _ && _ = true |- _ => apply andb_true_iff in H as [? ?] end.
Ltac same A := apply RS_calm; [done|]; apply (same_calm _ _ A); first [reflexivity | intros ? ? ? ?; exact id].

Lemma prim_realm_step p args s T rs s' : prim_sem p args s = Some (rs, s') -> apart s T -> realm_step p args s T s'.
Proof.
  intros H A. pose proof (ap_contained _ _ A) as K.
  destruct p; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; try discriminate H;
    cbv beta iota delta [prim_sem] in H; try (apply guarded_some in H as [G E]).
  all: try (injection E as <- <-).
  all: try (by same A).
  all: lazymatch goal with
    | |- realm_step P_granule_set _ _ _ _ => apply RS_calm; [done|]; by apply set_calm
    | |- realm_step P_granule_set_refs _ _ _ _ =>
        apply RS_calm; [done|]; apply refs_calm; [exact A|]; ands; unfold under_lock in *; by ands
    | |- realm_step P_ns_put _ _ _ _ =>
        apply RS_calm; [done|]; apply refs_calm; [exact A|]; ands; unfold pinned, tracked in *; by destruct (gran s !! a0)
    | |- realm_step P_zero_granule _ _ _ _ => apply RS_calm; [done|]; by apply zero_calm
    | |- realm_step P_copy_granule _ _ _ _ => apply RS_calm; [done|]; ands; by apply overwrite_calm
    | |- realm_step P_data_write _ _ _ _ => apply RS_calm; [done|]; ands; by apply (object_calm _ _ A GS_DATA)
    | |- realm_step P_token_read _ _ _ _ =>
        apply RS_calm; [done|]; unfold may_fetch in *; ands; by apply (object_calm _ _ A GS_DATA)
    | |- realm_step P_tlbi_realm _ _ _ _ => by apply (RS_tlbi _ _ _ _ _ a0 a1)
    | |- realm_step P_tlbi_realm_all _ _ _ _ => by apply (RS_all _ _ _ _ _ a0)
    | |- realm_step P_run_store _ _ _ _ => apply RS_calm; [done|]; by apply pinned_calm
    | |- realm_step P_identity_read _ _ _ _ => apply RS_calm; [done|]; by apply pinned_calm
    | |- realm_step P_rec_set_sysreg _ _ _ _ =>
        ands; unfold el1_set; destruct (loaded s =? a0); [by same A|]; apply RS_calm; [done|]; by apply rec_set_calm
    | |- realm_step P_rec_load _ _ _ _ => apply RS_calm; [done|]; ands; by apply load_calm
    | |- realm_step P_rec_unload _ _ _ _ => apply RS_calm; [done|]; ands; by eapply (rec_calm _ _ A a0)
    | |- realm_step P_token_claim _ _ _ _ =>
        apply RS_calm; [done|]; ands; unfold rec_in_hand in *; ands; by eapply (rec_calm _ _ A a0)
    | |- realm_step (P_RecSet _) _ _ _ _ => apply RS_calm; [done|]; ands; by apply rec_set_calm
    | |- _ => idtac
    end.
  (* claim, pin, lock, VMID *)
  - destruct (claimable a1 a0 s); injection E as <- <-; by same A.
  - destruct (claimable GS_NS a0 s && _) eqn:C; injection E as <- <-; [|by same A]. apply RS_calm; [done|]. apply refs_calm; [exact A|].
    ands. unfold claimable, has_state, tracked in *. ands. by destruct (gran s !! a0).
  - destruct (has_state GS_RD a0 s); injection E as <- <-; by same A.
  - destruct (vmid_usable _ _ && _); injection E as <- <-; by same A.
  (* a sealed page *)
  - destruct (opened _ _ _ _ _); injection E as <- <-; [|by same A]. apply RS_calm; [done|]. unfold may_open in G. ands. by apply overwrite_calm.
  (* a table *)
  - destruct (role_of (hw s) a0) as [r|] eqn:Hr.
    + assert (Ea : after_write a0 a1 a2 s = with_staled ((if is_valid (word (mem s) a0 a1) && negb (word (mem s) a0 a1 =? a2)
        then left_behind s r a0 a1 (word (mem s) a0 a1) else []) ++ staled s) (put_word a0 a1 a2 s)) by (unfold after_write; by rewrite Hr).
      rewrite Ea. apply RS_calm; [done|]. eapply (page_calm _ _ A a0); try reflexivity.
      * intros rd l b d Hin. cbn. apply in_or_app. by right.
      * intros rd lv b Hh. by rewrite (hot_no_role _ _ A _ _ _ _ Hh) in Hr.
      * intros C. destruct (ap_cached _ _ A _ C) as [R _]. by rewrite (state_no_table _ K GS_RD a0 R) in Hr.
    + destruct (places s !! a0) as [q|] eqn:Hp; [by apply (RS_write _ _ _ _ _ a0 a1 a2 q)|].
      assert (Ea : after_write a0 a1 a2 s = with_staled ((if is_valid (word (mem s) a0 a1) && negb (word (mem s) a0 a1 =? a2)
        then [] else []) ++ staled s) (put_word a0 a1 a2 s)).
      { unfold after_write, placed_below. rewrite Hr, Hp. by destruct s. }
      rewrite Ea. apply RS_calm; [done|]. eapply (page_calm _ _ A a0); try reflexivity.
      * intros rd l b d Hin. cbn. apply in_or_app. by right.
      * intros rd lv b Hh. destruct (hot_placed _ _ A _ _ _ _ Hh) as (pp & Pp & _). congruence.
      * intros C. destruct (ap_cached _ _ A _ C) as [R _]. unfold may_write in G. rewrite Hr, Hp in G. ands.
        unfold granule_at, has_state in *. destruct (gran s !! a0) as [g|]; [|done]. cbn [default from_option id] in *.
        exfalso. apply Z.eqb_eq in R. rewrite R in *. discriminate.
  (* the host's TLB entries are none of a realm's *)
  - apply RS_calm; [done|]. apply (same_calm _ _ A); try reflexivity. by apply host_forget.
  - apply RS_calm; [done|]. apply (same_calm _ _ A); try reflexivity. by apply host_forget.
  - apply RS_calm; [done|]. apply (same_calm _ _ A); try reflexivity. by apply host_forget.
  (* a content key *)
  - destruct (key_opened _ _ _) as [k|] eqn:Ek; injection E as <- <-; [|by same A]. apply RS_calm; [done|].
    apply (key_calm _ _ A); [exact G|by eapply (ap_key _ _ A)].
  (* a token *)
  - destruct (token_signed _ _); injection E as <- <-; [|by same A]. apply RS_calm; [done|]. unfold rec_in_hand in G. ands.
    by eapply (rec_calm _ _ A a0).
  (* the log *)
  - destruct (log_text (hw s) (logged s) a1) as [n next]. apply guarded_some in H as [G E]. injection E as <- <-.
    apply RS_calm; [done|]. by apply pinned_calm.
  (* words of an RD *)
  - apply RS_calm; [done|]. ands. apply (rd_set_calm _ _ A); [done|destruct f; cbn [rd_len] in *; lia|].
    match goal with H : _ || _ = true |- _ => apply orb_true_iff in H as [H%negb_true_iff | H] end; auto.
  - apply RS_calm; [done|]. ands. unfold in_range in *. apply (rd_set_calm _ _ A); [done|lia|]. left. by destruct f.
Qed.

(* ---- TLBs that take up what they may ---- *)

Lemma held_same s T T1 : (forall v l b d, T v l b d <-> T1 v l b d) -> apart s T -> apart s T1.
Proof.
  intros E A. assert (H1 : forall rd l b t, hot s T rd l b t -> hot s T1 rd l b t).
  { intros rd l b t. apply hot_kept; auto. intros l1 b1 d Hc H _. split_and!; auto. by apply E. }
  assert (H2 : forall rd l b t, hot s T1 rd l b t -> hot s T rd l b t).
  { intros rd l b t. apply hot_kept; auto. intros l1 b1 d Hc H _. split_and!; auto. by apply E. }
  destruct A as [A1 A2 A3 A4 A5 A6 A7 A8]. constructor; try assumption.
  - intros rd l b t H. apply A7, H2, H.
  - intros v l b d H%E. destruct (A8 _ _ _ _ H) as (rd & C1 & C2 & C3 & C4 & W). exists rd. split_and!; try done.
    destruct W as [(b0 & t & i & W & W') | W]; [left; exists b0, t, i; split; [by apply H1|done]|by right].
Qed.

Section fill.
  Context (s : state) (T : realm_tlb) (A : apart s T).

  Lemma start_table_hot rd n : rd ∈ cached s -> 0 <= n < shape RD_num_start rd s ->
    hot s T rd (shape RD_start_level rd s) (n * (512 * size_of (shape RD_start_level rd s))) (shape RD_rtt_base rd s + n * 4096).
  Proof.
    intros Hc Hn. destruct (ap_cached _ _ A _ Hc) as [_ S]. unfold starts_stand in S. apply andb_true_iff in S as [_ F].
    rewrite forallb_forall in F. specialize (F n). cbv beta in F.
    assert (Hin : In n (map Z.of_nat (seq 0 (Z.to_nat (word (mem s) rd (rd_off RD_num_start)))))).
    { unfold shape in Hn. apply in_map_iff. exists (Z.to_nat n). split; [lia|]. apply in_seq. lia. }
    specialize (F Hin). unfold shape. destruct (places s !! _) as [p|] eqn:P; [|done].
    apply andb_true_iff in F as [F F4%Z.eqb_eq]. apply andb_true_iff in F as [F F3%Z.eqb_eq]. apply andb_true_iff in F as [F1%Z.eqb_eq F2%Z.eqb_eq].
    pose proof (H_root s T _ p P F4) as H. rewrite F1, F2, F3 in H. exact H.
  Qed.
  Lemma start_hot rd ipa : rd ∈ cached s -> 0 <= ipa < 2 ^ shape RD_s2sz rd s ->
    exists b, hot s T rd (shape RD_start_level rd s) b
        (shape RD_rtt_base rd s + ipa / (512 * size_of (shape RD_start_level rd s)) * 4096) /\
      floor_of (shape RD_start_level rd s) ipa = b + slot_of (shape RD_start_level rd s) ipa * size_of (shape RD_start_level rd s).
  Proof.
    intros Hc Hi. pose proof (start_table_hot rd (ipa / (512 * size_of (shape RD_start_level rd s))) Hc) as F.
    destruct (ap_cached _ _ A _ Hc) as [_ S]. unfold starts_stand in S.
    change (word (mem s) rd (rd_off RD_start_level)) with (shape RD_start_level rd s) in S.
    change (word (mem s) rd (rd_off RD_s2sz)) with (shape RD_s2sz rd s) in S.
    change (word (mem s) rd (rd_off RD_num_start)) with (shape RD_num_start rd s) in S.
    set (level := shape RD_start_level rd s) in *. set (num := shape RD_num_start rd s) in *. pose proof (size_positive level) as Ps.
    apply andb_true_iff in S as [S _]. apply andb_true_iff in S as [_ S]. apply Z.leb_le in S.
    set (n := ipa / (512 * size_of level)). assert (Hn : 0 <= n < num).
    { unfold n. split; [apply Z.div_pos; lia|]. apply Z.div_lt_upper_bound; [lia|]. lia. }
    exists (n * (512 * size_of level)). split; [by apply F|].
    unfold floor_of, slot_of. rewrite shr by (unfold shift_of; destruct (level =? 0), (level =? 1), (level =? 2); lia).
    rewrite (land_low 9) by lia. change (2 ^ 9) with 512. fold (size_of level). unfold n.
    rewrite (Z.mul_comm 512 (size_of level)), <- Z.div_div by lia.
    pose proof (Z.div_mod ipa (size_of level) ltac:(lia)). pose proof (Z.div_mod (ipa / size_of level) 512 ltac:(lia)). nia.
  Qed.

  Definition held_well (v level base d : Z) : Prop := exists rd, rd ∈ cached s /\ shape RD_vmid rd s = v /\ is_valid d = true /\
    (is_table level d = false -> leaf_fits s rd level d) /\ (is_table level d = true -> hot s T rd (level + 1) base (out_addr d)) /\
    ((exists b t i, hot s T rd level b t /\ 0 <= i < 512 /\ word (mem s) t i = d /\ base = b + i * size_of level) \/
     In (StaleRealm rd level base d) (staled s) \/
     exists l b e, In (StaleRealm rd l b e) (staled s) /\ is_table l e = true).

  Lemma read_well rd level b t i : rd ∈ cached s -> hot s T rd level b t -> 0 <= i < 512 -> is_valid (word (mem s) t i) = true ->
    held_well (shape RD_vmid rd s) level (b + i * size_of level) (word (mem s) t i).
  Proof.
    intros Hc H Hi Hv. exists rd. split; [exact Hc|]. split; [done|]. split; [exact Hv|]. split.
    - intros Ht. destruct (ap_hot _ _ A _ _ _ _ H) as [_ E]. specialize (E i Hi Hv). unfold entry_fits in E. by rewrite Ht in E.
    - split; [intros Ht; by apply H_next|]. left. exists b, t, i. done.
  Qed.
  Lemma filled_well v level base d : realm_filled s T v level base d -> held_well v level base d.
  Proof.
    intros H. induction H as [v level base d H | rd ipa d Hc Hi E Hv | v level base d i d' H IH Ht Hi E Hv].
    - destruct (ap_tlb _ _ A _ _ _ _ H) as (rd & Hc & <- & Hv & F & W). exists rd. split_and!; try done. intros Ht. by apply H_tlb.
    - destruct (start_hot rd ipa Hc Hi) as (b & Hb & ->). subst d. apply read_well; [done|done|apply slot_range|done].
    - destruct IH as (rd & Hc & <- & _ & _ & Hn & _). subst d'. apply read_well; [done|by apply Hn|done|done].
  Qed.
  Lemma filled_apart : apart s (realm_filled s T).
  Proof.
    assert (H1 : forall rd l b t, hot s T rd l b t -> hot s (realm_filled s T) rd l b t).
    { intros rd l b t. apply hot_kept; auto. intros l1 b1 d Hc H _. split_and!; auto. by apply RF_there. }
    assert (H2 : forall rd l b t, hot s (realm_filled s T) rd l b t -> hot s T rd l b t).
    { intros rd l b t. apply (hot_back (hot s T)).
      - intros. by apply H_root.
      - intros. by apply H_next.
      - intros rd0 l0 b0 d Hc H Ht. destruct (filled_well _ _ _ _ H) as (rd1 & Hc1 & E & _ & _ & Hn & _).
        assert (rd1 = rd0) as -> by (by apply (ap_vmid _ _ A)). by apply Hn. }
    pose proof A as [A1 A2 A3 A4 A5 A6 A7 _]. constructor; try assumption.
    - intros rd l b t H. apply A7, H2, H.
    - intros v l b d H. destruct (filled_well _ _ _ _ H) as (rd & C1 & C2 & C3 & C4 & _ & W). exists rd. split_and!; try done.
      destruct W as [(b0 & t & i & W & W') | W]; [left; exists b0, t, i; split; [by apply H1|done]|by right].
  Qed.
End fill.
