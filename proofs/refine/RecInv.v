(* SPDX-License-Identifier: Apache-2.0 *)
(* The invariant after changes of a REC: it speaks of few of its words. *)
From kcore Require Export refine.TreeFacts.
From kcore Require Export refine.CurrentFacts.
From kcore Require Import refine.RecSteps.
Local Open Scope Z_scope.

(* ---- What inv says of a REC ---- *)

Definition told_fields : list rec_field :=
  [REC_rd; REC_index; REC_running; REC_run_page; REC_s2sz; REC_start_level; REC_rtt_base; REC_vmid;
   REC_host_call; REC_host_call_ipa; REC_token_state; REC_token_done].

(* Only this REC, and in it nothing that inv speaks of, or it asks for a RIPAS change no more. *)
Record rec_alone (rec : Z) (s s' : state) : Prop := RecAlone {
  a_hw : hw s' = hw s;
  a_gran : gran s' = gran s;
  a_page : forall p, p <> rec -> page (mem s') p = page (mem s) p;
  a_told : forall f, In f told_fields -> rec_of s' f rec = rec_of s f rec;
  a_token : token_of rec s' = token_of rec s;
  a_ripas : rec_of s' REC_ripas_pending rec <> 0 ->
      rec_of s REC_ripas_pending rec <> 0 /\ rec_of s' REC_ripas_base rec = rec_of s REC_ripas_base rec /\
      rec_of s' REC_ripas_top rec = rec_of s REC_ripas_top rec /\ rec_of s' REC_ripas_value rec = rec_of s REC_ripas_value rec;
  a_mem : mem_ok (mem s');
  a_words : words_u64 (mem s');
  a_run : page_words (run s');
  a_holes : holes s' = holes s;
  a_vmids : vmids s' = vmids s;
  a_params : params s' = params s;
  a_hash : hash_page s' = hash_page s;
  a_digest : digest s' = digest s;
  a_runs : runs s' = runs s;
  a_loaded : loaded s' = loaded s;
  a_live : length (live s') = length (live s) /\ Forall u64 (live s');
  a_places : places s' = places s;
  a_cached : cached s' = cached s;
}.

Ltac told_in := unfold told_fields; repeat (first [left; reflexivity|right]).

Section alone.
  Context (rec : Z) (s s' : state) (I : inv s) (R : has_state GS_REC rec s = true) (A : rec_alone rec s s').

  Lemma alone_state st p : has_state st p s' = has_state st p s.
  Proof using A. unfold has_state. by rewrite (a_gran _ _ _ A). Qed.
  Lemma alone_other st p i : st <> GS_REC -> has_state st p s = true -> word (mem s') p i = word (mem s) p i.
  Proof using A R.
    intros N H. unfold word. rewrite (a_page _ _ _ A); [done|]. intros ->.
    apply has_state_inv in H as (g & Hg & E1). apply has_state_inv in R as (g' & Hg' & E2). congruence.
  Qed.
  Lemma alone_page st p : st <> GS_REC -> has_state st p s = true -> page (mem s') p = page (mem s) p.
  Proof using A R.
    intros N H. rewrite (a_page _ _ _ A); [done|]. intros ->.
    apply has_state_inv in H as (g & Hg & E1). apply has_state_inv in R as (g' & Hg' & E2). congruence.
  Qed.
  Lemma alone_rd f rd : has_state GS_RD rd s = true -> rd_of s' f rd = rd_of s f rd.
  Proof using A R. intros H. by apply (alone_other GS_RD). Qed.
  Lemma alone_half rd : has_state GS_RD rd s = true -> half_of s' rd = half_of s rd.
  Proof using A R. intros H. unfold half_of. by rewrite alone_rd. Qed.
  Lemma alone_told f r : In f told_fields -> rec_of s' f r = rec_of s f r.
  Proof using A.
    intros H. destruct (decide (r = rec)) as [->|N]; [by apply (a_told _ _ _ A)|].
    unfold rec_of, rec_get, word. by rewrite (a_page _ _ _ A).
  Qed.
  Lemma alone_table t p : places s !! t = Some p -> page (mem s') t = page (mem s) t.
  Proof using A I R. intros Hp. destruct (place_granule _ _ _ I Hp) as (_ & _ & H). by apply (alone_page GS_RTT). Qed.
  Lemma alone_entry t p ipa d : has_state GS_RD (p_rd p) s = true -> entry_ok s t p ipa d -> entry_ok s' t p ipa d.
  Proof using A R.
    intros Hrd H. destruct H as [r Hr Hh|q r Hr Hh Hl Hq Hqa Hd|Hh|host Hh Hl Hok Hw Hd|child Hh Hl Hchild|Hh].
    - constructor; [done|]. by rewrite alone_half.
    - constructor; try done; [by rewrite alone_half|]. unfold own_data. rewrite (a_gran _ _ _ A). exact Hd.
    - constructor. by rewrite alone_half, alone_rd.
    - constructor; try done; [by rewrite alone_half, alone_rd|]. rewrite (a_gran _ _ _ A). exact Hd.
    - constructor; [by rewrite alone_rd|done|]. by rewrite (a_places _ _ _ A).
    - constructor. by rewrite alone_rd.
  Qed.
  Lemma alone_maps rd t i ipa pa : maps s' rd t i ipa pa -> maps s rd t i ipa pa.
  Proof using A I R.
    intros [(p & Hp & Hr & Hi & Hk & Hn)]. constructor. exists p. rewrite (a_places _ _ _ A) in Hp.
    unfold word in *. rewrite (alone_table _ _ Hp) in Hk, Hn. done.
  Qed.
  Lemma alone_maps_back rd t i ipa pa : maps s rd t i ipa pa -> maps s' rd t i ipa pa.
  Proof using A I R.
    intros [(p & Hp & Hr & Hi & Hk & Hn)]. constructor. exists p. rewrite (a_places _ _ _ A).
    unfold word in *. rewrite (alone_table _ _ Hp). done.
  Qed.
  Lemma alone_stands t p : places s !! t = Some p -> table_stands s' t p.
  Proof using A I R.
    intros Hp. destruct (i_table _ I _ _ Hp) as [Hg Hrd Hlev Hbase Hstart Hbelow Hent].
    constructor; rewrite ?(a_gran _ _ _ A), ?(alone_table _ _ Hp), ?alone_state, ?alone_rd by done; try done.
    - intros N. destruct (Hbelow N) as (b & pp & E & Q & W). exists b, pp. rewrite (a_places _ _ _ A).
      unfold word in *. by rewrite (alone_table _ _ E).
    - intros i Hi. unfold word. rewrite (alone_table _ _ Hp). apply alone_entry; [done|]. by apply Hent.
  Qed.
  Lemma alone_runs pa : runs_on s' pa = runs_on s pa.
  Proof using A.
    unfold runs_on. rewrite (a_gran _ _ _ A). apply sum_ext. intros r g _. unfold run_page_of.
    by rewrite !alone_told by told_in.
  Qed.
  Lemma alone_uses pa : uses s' pa = uses s pa.
  Proof using A I R.
    unfold uses. rewrite (a_places _ _ _ A). apply sum_ext. intros t p Hp. by rewrite (alone_table _ _ Hp).
  Qed.
  Lemma alone_recs rd : recs_of s' rd = recs_of s rd.
  Proof using A. unfold recs_of. by rewrite (a_gran _ _ _ A). Qed.
  Lemma alone_rec r g : gran s !! r = Some g -> g_state g = GS_REC -> rec_ok s' r (g_owner g).
  Proof using A I R.
    intros Hg Hs. destruct (i_rec _ I _ _ Hg Hs) as [[C1 C1'] C2 C3 C4 C5 C6 C7].
    assert (T : forall f, In f told_fields -> rec_of s' f r = rec_of s f r) by (intros; by apply alone_told).
    constructor.
    - rewrite alone_state, T by told_in. done.
    - unfold rec_agrees in *.
      assert (W : forall f, In f told_fields -> word (mem s') r (rec_off f) = word (mem s) r (rec_off f)).
      { intros f Hf. pose proof (T f Hf) as E. unfold rec_of, rec_get, rec_word in E. by rewrite Z.add_0_r in E. }
      assert (E : word (mem s) r (rec_off REC_rd) = g_owner g) by (rewrite <- C1; reflexivity). rewrite !(W REC_rd), !(W REC_s2sz), !(W REC_start_level), !(W REC_rtt_base), !(W REC_vmid) by told_in. rewrite E in *.
      rewrite !alone_state. unfold granule_at in *. rewrite (a_gran _ _ _ A).
      by rewrite !(alone_other GS_RD (g_owner g)) by done.
    - rewrite !T, (a_gran _ _ _ A) by told_in. done.
    - rewrite T, alone_rd by (done || told_in). done.
    - destruct (decide (r = rec)) as [->|Nr].
      + intros Hn. destruct (a_ripas _ _ _ A Hn) as (Hn' & -> & -> & ->). rewrite alone_half by done. by apply C5.
      + rewrite alone_half by done. unfold rec_of, rec_get, word in *. by rewrite (a_page _ _ _ A).
    - rewrite !T by told_in. rewrite ?alone_half by done. done.
    - rewrite !T by told_in. unfold token_total. rewrite (a_hw _ _ _ A).
      assert (token_of r s' = token_of r s) as ->; [|done].
      destruct (decide (r = rec)) as [->|Nr]; [apply (a_token _ _ _ A)|]. unfold token_of. by rewrite (a_page _ _ _ A).
  Qed.

  Lemma alone_mapped base : region (gran s) base -> mapped (hw s') (gran s') (mem s') (holes s') base.
  Proof using A I R.
    intros Hb. rewrite (a_hw _ _ _ A), (a_gran _ _ _ A), (a_holes _ _ _ A).
    destruct (i_wired _ I _ Hb) as [_ W1 W2 W3 WS1 WS2 _]. destruct (i_mapped _ I _ Hb) as [M1 M2 M3 M4 M5 M6].
    assert (T : forall t r i, table_ok (hw s) (gran s) t r -> word (mem s') t i = word (mem s) t i).
    { intros t r i (_ & _ & _ & Hc). unfold word. rewrite (a_page _ _ _ A); [done|]. intros ->.
      apply has_state_inv in R as (g & Hg & E). specialize (Hc _ Hg). rewrite E in Hc. done. }
    constructor; try done.
    - by rewrite (T _ _ _ W1).
    - by rewrite (T _ _ _ W2).
    - intros i Hi. rewrite (T _ _ _ W3). by apply M3.
    - intros N. rewrite (T _ _ _ (WS1 N)). by apply M4.
    - intros N. rewrite (T _ _ _ (WS2 N)). by apply M5.
  Qed.

  Theorem inv_rec : inv s'.
  Proof using A I R.
    pose proof A as A'. destruct A' as [Ehw Eg _ _ _ _ Em Ew Er Eho Ev Ep Eha Ed Eru Elo [El Elu] Epl Eca].
    constructor; try assumption.
    - rewrite Eg. apply (i_gran _ I).
    - rewrite Ehw, Eg. apply (i_wired _ I).
    - intros base Hb. apply alone_mapped. by rewrite Eg in Hb.
    - intros pa g Hg Hs. rewrite Eg in Hg.
      rewrite (alone_page GS_DELEGATED) by (done || by eapply has_state_intro). by apply (i_zero _ I).
    - rewrite Ehw. apply (i_hw _ I).
    - rewrite Ep, Eha, Ed. pose proof (i_scratch _ I) as (P1 & _ & P3 & P4 & P5 & P6). done.
    - rewrite Eg, Ehw. apply (i_host _ I).
    - intros pa g Hg. rewrite Eg in Hg. rewrite alone_state. exact (i_owner _ I _ _ Hg).
    - intros rd H. rewrite alone_state in H. destruct (i_realm _ I _ H).
      constructor; rewrite ?alone_rd, ?Epl, ?Ev, ?alone_recs by done; done.
    - intros rd rd' H H'. rewrite alone_state in H, H'. rewrite !alone_rd by done. by apply (i_vmid _ I).
    - intros r g Hg. rewrite Eg in Hg. by apply alone_rec.
    - intros t p Hp. rewrite Epl in Hp. by apply alone_stands.
    - intros t H. rewrite alone_state in H. rewrite Epl. by apply (i_placed _ I).
    - intros pa g Hg Hs. rewrite Eg in Hg. destruct (i_data _ I _ _ Hg Hs) as (t & i & ipa & M). exists t, i, ipa. by apply alone_maps_back.
    - intros rd rd' t t' i i' ipa ipa' pa M M'. apply alone_maps in M, M'. by apply (i_once _ I _ _ _ _ _ _ _ _ _ M M').
    - intros pa H. rewrite alone_uses, alone_runs, Eg in *. unfold granule_at. rewrite Eg. by apply (i_pins _ I).
    - intros rd H. rewrite Eca in H. rewrite alone_state. by apply (i_cached _ I).
    - rewrite Eru, alone_state, alone_told by told_in. apply (i_runs _ I).
    - rewrite Elo, Eru, El. apply (i_loaded _ I).
  Qed.
End alone.

(* ---- One word of a REC at a time ---- *)

Definition ripas_fields : list rec_field := [REC_ripas_pending; REC_ripas_base; REC_ripas_top; REC_ripas_value].
Definition none_of (fs : list rec_field) (i : Z) : bool := forallb (fun f => negb (i =? rec_off f)) fs.
Definition untold_word (i : Z) : bool :=
  (0 <=? i) && none_of told_fields i && ((i <? rec_off REC_token_len) || (rec_off REC_token_len + Z.of_nat TOKEN_WORDS <=? i)).
Definition plain_word (i : Z) : bool := untold_word i && none_of ripas_fields i.

Lemma none_of_other fs f i : none_of fs i = true -> In f fs -> i <> rec_off f.
Proof.
  unfold none_of. intros H Hf E. rewrite forallb_forall in H. specialize (H f Hf). rewrite E, Z.eqb_refl in H. done.
Qed.
Lemma off_nonneg f : 0 <= rec_off f.
Proof. destruct f; vm_compute; discriminate. Qed.
Lemma slice_other at_ n l i v : 0 <= i -> 0 <= at_ -> i < at_ \/ at_ + Z.of_nat n <= i ->
  slice at_ n (set_nth l i v) = slice at_ n l.
Proof.
  intros Hi Ha H. unfold slice, set_nth. destruct H as [H|H].
  - by rewrite drop_insert_gt by lia.
  - rewrite drop_insert_le by lia. by rewrite take_insert by lia.
Qed.

Lemma rec_alone_word rec i v s : inv s -> untold_word i = true -> u64 v ->
  (rec_of (put_word rec i v s) REC_ripas_pending rec <> 0 -> none_of ripas_fields i = true) ->
  rec_alone rec s (put_word rec i v s).
Proof.
  intros I [[Hi%Z.leb_le Ht]%andb_true_iff Hk%orb_true_iff]%andb_true_iff Hv Hr.
  assert (Hk' : i < rec_off REC_token_len \/ rec_off REC_token_len + Z.of_nat TOKEN_WORDS <= i)
    by (destruct Hk as [Hk|Hk]; [left; by apply Z.ltb_lt|right; by apply Z.leb_le]).
  assert (W : forall f, i <> rec_off f -> rec_of (put_word rec i v s) f rec = rec_of s f rec).
  { intros f N. unfold rec_of, rec_get, rec_word. rewrite Z.add_0_r. apply word_set_slot; [done|apply off_nonneg|done]. }
  constructor; try reflexivity.
  - intros p N. by apply page_set_page.
  - intros f Hf. apply W. by apply (none_of_other told_fields).
  - unfold token_of. change (mem (put_word rec i v s)) with (set_word (mem s) rec i v). unfold set_word.
    rewrite page_insert_same. apply slice_other; [done|apply off_nonneg|done].
  - intros N. specialize (Hr N). rewrite W in N by (by apply (none_of_other ripas_fields); [|left]).
    split; [done|]. rewrite !W; [done|by apply (none_of_other ripas_fields); [|simpl; auto]..].
  - apply set_word_ok, (i_mem _ I).
  - apply words_set; [exact (i_words _ I)|done].
  - exact (proj1 (proj2 (i_scratch _ I))).
  - split; [done|]. exact (proj2 (proj2 (proj2 (proj2 (proj2 (i_scratch _ I)))))).
Qed.

(* The invariant, and this is a REC. *)
Record sound (rec : Z) (s : state) : Prop := Sound { so_inv : inv s; so_rec : has_state GS_REC rec s = true }.

Lemma sound_word rec i v s : plain_word i = true -> u64 v -> sound rec s -> sound rec (put_word rec i v s).
Proof.
  intros [Hu Hr]%andb_true_iff Hv [I R]. constructor; [|exact R].
  apply (inv_rec rec s); [done|done|]. by apply rec_alone_word.
Qed.
Lemma sound_rec_set f rec i v s : f <> REC_running -> plain_word (rec_word f i) = true -> u64 v ->
  sound rec s -> sound rec (rec_set f rec i v s).
Proof.
  intros Hf Hw Hv S.
  replace (rec_set f rec i v s) with (put_word rec (rec_word f i) v s) by (destruct f; reflexivity || congruence).
  by apply sound_word.
Qed.

(* A RIPAS change is over: then its range is of no meaning. *)
Lemma rec_set_word f rec i v s : f <> REC_running -> rec_set f rec i v s = put_word rec (rec_word f i) v s.
Proof. intros. by destruct f. Qed.
Lemma sound_ripas_over rec s : sound rec s -> sound rec (rec_set REC_ripas_pending rec 0 0 s).
Proof.
  intros [I R]. constructor; [|exact R]. apply (inv_rec rec s); [done|done|].
  rewrite rec_set_word by done. apply rec_alone_word; [done|by vm_compute|apply u64_0|].
  unfold rec_of, rec_get. change (mem (put_word rec (rec_word REC_ripas_pending 0) 0 s)) with (set_word (mem s) rec (rec_word REC_ripas_pending 0) 0).
  rewrite word_set_same by (apply (i_mem _ I) || (vm_compute; split; discriminate || reflexivity)). done.
Qed.
Lemma sound_ripas_range f rec v s : f = REC_ripas_base \/ f = REC_ripas_top -> u64 v ->
  rec_of s REC_ripas_pending rec = 0 -> sound rec s -> sound rec (rec_set f rec 0 v s).
Proof.
  intros Hf Hv H0 [I R]. constructor; [|by destruct Hf as [-> | ->]]. apply (inv_rec rec s); [done|done|].
  assert (E : rec_set f rec 0 v s = put_word rec (rec_word f 0) v s) by (by destruct Hf as [-> | ->]). rewrite E.
  apply rec_alone_word; [done|by destruct Hf as [-> | ->]|done|]. intros N. destruct N.
  etransitivity; [|exact H0]. unfold rec_of, rec_get. change (mem (put_word rec (rec_word f 0) v s)) with (set_word (mem s) rec (rec_word f 0) v).
  apply word_set_slot; by destruct Hf as [-> | ->].
Qed.

(* ---- What is not in the REC ---- *)

Lemma sound_other rec s s' : hw s' = hw s -> gran s' = gran s -> mem s' = mem s -> holes s' = holes s -> vmids s' = vmids s ->
  params s' = params s -> page_words (run s') -> hash_page s' = hash_page s -> digest s' = digest s ->
  runs s' = runs s -> loaded s' = loaded s -> length (live s') = length (live s) -> Forall u64 (live s') ->
  places s' = places s -> cached s' = cached s -> sound rec s -> sound rec s'.
Proof.
  intros E1 E2 E3 E4 E5 E6 E7 E8 E9 E10 E11 E12 E13 E14 E15 [I R]. constructor; [|unfold has_state; by rewrite E2].
  assert (Ew : forall f, rec_of s' f rec = rec_of s f rec) by (intros; unfold rec_of, rec_get; by rewrite E3).
  apply (inv_rec rec s); [done|done|]. constructor; try assumption; try rewrite E3; try done.
  - unfold token_of. by rewrite E3.
  - rewrite !Ew. auto.
  - apply (i_mem _ I).
  - exact (i_words _ I).
Qed.
Ltac sound_rest S := pose proof (i_scratch _ (so_inv _ _ S)) as (_ & ? & _ & _ & _ & ?).
Lemma set_nth_words l i v : Forall u64 l -> u64 v -> Forall u64 (set_nth l i v).
Proof. intros. unfold set_nth. by apply Forall_insert. Qed.
Lemma sound_run_out rec f i v s : u64 v -> sound rec s -> sound rec (run_out f i v s).
Proof.
  intros Hv S. sound_rest S. apply (sound_other rec s); try reflexivity; try assumption.
  destruct H as [H1 H2]. split; [by apply set_nth_page|by apply set_nth_words].
Qed.
Lemma sound_counted rec i n s : sound rec s -> sound rec (counted i n s).
Proof. intros S. sound_rest S. by apply (sound_other rec s). Qed.
Lemma sound_clock rec n s : sound rec s -> sound rec (with_clock n s).
Proof. intros S. sound_rest S. by apply (sound_other rec s). Qed.
Lemma sound_if rec (c : bool) s1 s2 : sound rec s1 -> sound rec s2 -> sound rec (if c then s1 else s2).
Proof. by destruct c. Qed.
Ltac plain_now :=
  unfold plain_word, untold_word, none_of, told_fields, ripas_fields, rec_word; cbn [forallb rec_off];
  change (Z.of_nat TOKEN_WORDS) with 129; lia.
Lemma sound_el1_set rec i v s : 0 <= i < 40 -> u64 v -> sound rec s -> sound rec (el1_set rec i v s).
Proof.
  intros Hi Hv S. unfold el1_set. destruct (loaded s =? rec).
  - sound_rest S. apply (sound_other rec s); try reflexivity; try assumption; cbn [live with_loaded].
    + unfold set_nth. by rewrite length_insert.
    + by apply set_nth_words.
  - apply sound_rec_set; [done| |done|done]. plain_now.
Qed.

(* ---- 64 bits ---- *)

Lemma u64_land a b : u64 a -> u64 (Z.land a b).
Proof. apply (land_range 64). Qed.
Lemma u64_lor a b : u64 a -> u64 b -> u64 (Z.lor a b).
Proof.
  intros [A1 A2] [B1 B2]. assert (0 <= Z.lor a b) by (by apply Z.lor_nonneg). split; [done|].
  destruct (Z.eq_dec (Z.lor a b) 0) as [->|N]; [done|]. apply Z.log2_lt_pow2; [lia|]. rewrite Z.log2_lor by done.
  assert (forall x, 0 <= x < 2 ^ 64 -> Z.log2 x < 64) as L.
  { intros x Hx. destruct (Z.eq_dec x 0) as [->|]; [done|]. apply Z.log2_lt_pow2; lia. }
  pose proof (L a (conj A1 A2)). pose proof (L b (conj B1 B2)). lia.
Qed.
Lemma u64_shiftr a n : 0 <= n -> u64 a -> u64 (Z.shiftr a n).
Proof.
  intros Hn [H1 H2]. rewrite Z.shiftr_div_pow2 by done. assert (0 < 2 ^ n) by (by apply Z.pow_pos_nonneg).
  split; [by apply Z.div_pos|]. pose proof (Z.div_le_upper_bound a (2 ^ n) a). nia.
Qed.
Lemma u64_wrap a : u64 (wrap U64 a).
Proof. apply Z.mod_pos_bound. reflexivity. Qed.
Lemma u64_if (c : bool) a b : u64 a -> u64 b -> u64 (if c then a else b).
Proof. by destruct c. Qed.
Lemma u64_b2z c : u64 (b2z c).
Proof. by destruct c. Qed.

Lemma so_word rec s p i : sound rec s -> u64 (word (mem s) p i).
Proof. intros [I _]. apply (i_words _ I). Qed.
Lemma so_rec_get rec s f r i : sound rec s -> u64 (rec_get f r i s).
Proof. apply so_word. Qed.
Lemma so_in rec s f i : sound rec s -> u64 (run_in f i s).
Proof. intros [I _]. apply nth_word_u64. exact (proj2 (proj1 (proj2 (i_scratch _ I)))). Qed.
Lemma so_el1 rec s r i : sound rec s -> u64 (el1_get r i s).
Proof.
  intros S. unfold el1_get. destruct (loaded s =? r); [|by eapply so_rec_get]. apply nth_word_u64.
  exact (proj2 (proj2 (proj2 (proj2 (proj2 (i_scratch _ (so_inv _ _ S))))))).
Qed.
Ltac const64 := vm_compute; split; [discriminate|reflexivity].
Ltac u64_now :=
  match goal with
  | |- u64 (wrap U64 _) => apply u64_wrap
  | |- u64 (b2z _) => apply u64_b2z
  | H : ?P |- ?Q => constr_eq P Q; exact H
  | |- u64 (Z.land _ _) => apply u64_land; u64_now
  | |- u64 (Z.lor _ _) => apply u64_lor; u64_now
  | |- u64 (Z.shiftr _ _) => apply u64_shiftr; [lia|u64_now]
  | |- u64 (if _ then _ else _) => apply u64_if; u64_now
  | S : sound ?r ?s |- u64 (rec_get ?f ?q ?i ?s') => constr_eq s s'; exact (so_rec_get r s f q i S)
  | S : sound ?r ?s |- u64 (gpr ?q ?i ?s') => constr_eq s s'; exact (so_rec_get r s REC_gpr q i S)
  | S : sound ?r ?s |- u64 (run_in ?f ?i ?s') => constr_eq s s'; exact (so_in r s f i S)
  | S : sound ?r ?s |- u64 (el1_get ?q ?i ?s') => constr_eq s s'; exact (so_el1 r s q i S)
  | |- u64 (Zpos _) => const64
  | |- u64 0 => exact u64_0
  end.

(* ---- What KCore changes of a REC ---- *)

Ltac sound_field := apply sound_rec_set; [discriminate|vm_compute; reflexivity|try u64_now|].
Lemma sound_gpr_set rec n v s : 0 <= n < 31 -> u64 v -> sound rec s -> sound rec (gpr_set rec n v s).
Proof.
  intros Hn Hv S. apply sound_rec_set; [discriminate| |done|done]. plain_now.
Qed.
Lemma sound_lr rec i v s : 0 <= i < 16 -> u64 v -> sound rec s -> sound rec (rec_set REC_ich_lr rec i v s).
Proof.
  intros Hn Hv S. apply sound_rec_set; [discriminate| |done|done]. plain_now.
Qed.
Lemma sound_reg_set rec n v s : 0 <= n -> u64 v -> sound rec s -> sound rec (reg_set rec n v s).
Proof. intros. unfold reg_set. destruct (Z.ltb_spec n 31); [by apply sound_gpr_set|done]. Qed.
Lemma sound_skipped rec s : sound rec s -> sound rec (skipped rec s).
Proof. intros S. unfold skipped. sound_field. exact S. Qed.
Lemma sound_regs_set rec x0 x1 x2 x3 s : u64 x0 -> u64 x1 -> u64 x2 -> u64 x3 -> sound rec s -> sound rec (regs_set rec x0 x1 x2 x3 s).
Proof. intros. unfold regs_set. do 4 (apply sound_gpr_set; [lia|assumption|]). assumption. Qed.
Lemma sound_injected rec esr pc s : u64 esr -> u64 pc -> sound rec s -> sound rec (injected rec esr pc s).
Proof.
  intros He Hp S. unfold injected. sound_field.
  - unfold handler_pstate, EL1H. cbv zeta. u64_now.
  - sound_field. unfold ESR_EL1, SPSR_EL1, ELR_EL1. apply sound_el1_set; [lia|done|]. apply sound_el1_set; [lia|u64_now|].
    by apply sound_el1_set; [lia|..].
Qed.
Lemma sound_sea rec esr far s : u64 esr -> u64 far -> sound rec s -> sound rec (sea_injected rec esr far s).
Proof.
  intros He Hf S. unfold sea_injected. apply sound_injected.
  - unfold sea_syndrome. cbv zeta. u64_now.
  - u64_now.
  - apply sound_el1_set; [unfold FAR_EL1; lia|done|done].
Qed.
