(* SPDX-License-Identifier: Apache-2.0 *)
(* The invariant after one entry of one table of a realm has changed, and with it at most one granule: a table below
   that entry comes or goes, or a page of the realm's. *)
From kcore Require Export refine.RttFold.
Local Open Scope Z_scope.

(* What inv says of an RD. *)
Definition rd_told : list rd_field :=
  [RD_state; RD_s2sz; RD_ipa_size; RD_start_level; RD_num_start; RD_rtt_base; RD_vmid; RD_rec_count; RD_rec_index;
   RD_max_vcpus; RD_hash_algo; RD_has_key].
Ltac rd_told_in := unfold rd_told; repeat (first [left; reflexivity|right]).

(* Nobody's, or a table or a page of this realm; 0 stands for no granule. *)
Definition turns (rd c : Z) (s : state) : Prop :=
  if c =? 0 then gran s !! c = None
  else exists g, gran s !! c = Some g /\ 0 <= g_refs g <= REFS_MAX /\
    (g_state g = GS_DELEGATED /\ page (mem s) c = zero_page /\ g_owner g = 0 /\ g_refs g = 0 \/
     (g_state g = GS_RTT \/ g_state g = GS_DATA) /\ g_owner g = rd).

(* The entry i of table t, and those of c if that is a table. *)
Definition near (t i c t' i' : Z) : Prop := t' = c \/ t' = t /\ i' = i.
Definition near_maps (rd t i c : Z) (s : state) (pa : Z) : Prop :=
  exists t' i' ipa, near t i c t' i' /\ maps s rd t' i' ipa pa.

Record tree_step (rd t : Z) (p : place) (i d c : Z) (s s' : state) : Prop := TreeStep {
  (* the machine *)
  ts_hw : hw s' = hw s;
  ts_holes : holes s' = holes s;
  ts_vmids : vmids s' = vmids s;
  ts_cached : forall r, r ∈ cached s' -> r ∈ cached s;
  ts_run : runs s' = runs s /\ loaded s' = loaded s /\ live s' = live s;
  ts_scratch : page_words (params s') /\ page_words (run s') /\ page_words (hash_page s') /\
      length (digest s') = 8%nat /\ Forall u64 (digest s');
  ts_mem : mem_ok (mem s');
  ts_words : words_u64 (mem s');
  (* the table whose entry changes *)
  ts_place : places s !! t = Some p;
  ts_rd : p_rd p = rd;
  ts_slot : 0 <= i < 512;
  ts_page : page (mem s') t = set_nth (page (mem s) t) i d;
  ts_table : gran s' !! t = Some (Gran GS_RTT rd (live_entries (p_level p) (page (mem s') t)));
  ts_entry : entry_ok s' t p (p_base p + i * size_of (p_level p)) d;
  (* everything else: of the host's granules the pins may change, of the RD what inv does not speak of *)
  ts_told : forall f, In f rd_told -> rd_of s' f rd = rd_of s f rd;
  ts_other : forall q, q <> t -> q <> c -> q <> rd -> page (mem s') q = page (mem s) q;
  ts_gran : forall q, q <> t -> q <> c ->
      match gran s !! q with
      | Some g => exists r, gran s' !! q = Some (Gran (g_state g) (g_owner g) r) /\
                  (if g_state g =? GS_NS then r <= REFS_MAX else r = g_refs g)
      | None => gran s' !! q = None
      end;
  ts_places : forall q, q <> c -> places s' !! q = places s !! q;
  (* the other granule, before and after *)
  ts_turns : turns rd c s;
  ts_turned : turns rd c s';
  ts_below : forall pc, places s !! c = Some pc ->
      pc = Place rd (p_level p + 1) (p_base p + i * size_of (p_level p)) t /\
      forall j, 0 <= j < 512 -> is_table (p_level p + 1) (word (mem s) c j) = false;
  ts_was : is_table (p_level p) (word (mem s) t i) = true -> word (mem s) t i = table_desc c;
  ts_stands : forall pc, places s' !! c = Some pc -> p_rd pc = rd /\ table_stands s' c pc;
  ts_placed : has_state GS_RTT c s' = true -> is_Some (places s' !! c);
  (* pages are mapped here as they were, but for that granule *)
  ts_data : forall pa, has_state GS_DATA pa s' = true -> near_maps rd t i c s pa \/ pa = c -> near_maps rd t i c s' pa;
  ts_only : forall pa, near_maps rd t i c s' pa -> near_maps rd t i c s pa \/ pa = c /\ has_state GS_DATA c s = false;
  ts_once : forall t1 i1 x1 t2 i2 x2 pa, near t i c t1 i1 -> near t i c t2 i2 ->
      maps s' rd t1 i1 x1 pa -> maps s' rd t2 i2 x2 pa -> t1 = t2 /\ i1 = i2;
  ts_gone : has_state GS_DATA c s = true -> near_maps rd t i c s c;
  (* what maps the host's pages is pinned *)
  ts_pins : forall pa, is_ns (gran s) pa = true -> uses s' pa + refs_of pa s <= uses s pa + refs_of pa s';
}.

Lemma maps_own s rd t i ipa pa : inv s -> maps s rd t i ipa pa -> own_data s rd pa = true.
Proof.
  intros I [(p & Hp & <- & Hi & Hk & n & Hn & _ & ->)].
  destruct (entry_owned _ _ _ _ I Hp Hi Hk) as (q & r & -> & Hr & Hq & Ha & _ & _ & Ho).
  destruct (assigned_ok (p_level p) q r Hr ltac:(lia) (aligned_size _ _ Ha)) as (-> & _). by apply Ho.
Qed.
Lemma own_state s rd pa : own_data s rd pa = true -> has_state GS_DATA pa s = true.
Proof. unfold own_data, has_state. destruct (gran s !! pa); [|done]. by intros [H _]%andb_true_iff. Qed.

Section step.
  Context (rd t : Z) (p : place) (i d c : Z) (s s' : state) (I : inv s) (T : tree_step rd t p i d c s s').
  Local Notation near := (near t i c).

  Lemma st_rtt : exists g, gran s !! t = Some g /\ g_state g = GS_RTT /\ g_owner g = rd.
  Proof using I T.
    destruct (t_gran _ _ _ (i_table _ I _ _ (ts_place _ _ _ _ _ _ _ _ T))) as (g & Hg & Hs & Ho & _).
    rewrite (ts_rd _ _ _ _ _ _ _ _ T) in Ho. eauto.
  Qed.
  Lemma st_rd : has_state GS_RD rd s = true.
  Proof using I T. pose proof (t_rd _ _ _ (i_table _ I _ _ (ts_place _ _ _ _ _ _ _ _ T))) as H. by rewrite (ts_rd _ _ _ _ _ _ _ _ T) in H. Qed.
  Lemma st_c_not_t : c <> t.
  Proof using I T.
    intros E. pose proof (ts_place _ _ _ _ _ _ _ _ T) as Hp. rewrite <- E in Hp.
    destruct (ts_below _ _ _ _ _ _ _ _ T _ Hp) as [E' _]. apply (f_equal p_level) in E'. cbn [p_level] in E'. lia.
  Qed.
  Lemma st_turns st : st = GS_NS \/ st = GS_RD \/ st = GS_REC \/ st = GS_CORE -> has_state st c s = false /\ has_state st c s' = false.
  Proof using T.
    intros H. pose proof (ts_turns _ _ _ _ _ _ _ _ T) as A. pose proof (ts_turned _ _ _ _ _ _ _ _ T) as B. unfold turns, has_state in *.
    destruct (c =? 0); [by rewrite A, B|]. destruct A as (g & -> & _ & A), B as (g' & -> & _ & B).
    destruct A as [[-> _]|[[-> | ->] _]], B as [[-> _]|[[-> | ->] _]], H as [->|[->|[->| ->]]]; done.
  Qed.
  Lemma st_away st q : q <> c -> has_state st q s' = has_state st q s.
  Proof using I T.
    intros N. unfold has_state. destruct (decide (q = t)) as [->|N'].
    - rewrite (ts_table _ _ _ _ _ _ _ _ T). destruct st_rtt as (g & -> & -> & _). done.
    - pose proof (ts_gran _ _ _ _ _ _ _ _ T q N' N) as H. destruct (gran s !! q); [by destruct H as (r & -> & _)|by rewrite H].
  Qed.
  Lemma st_state st q : st = GS_NS \/ st = GS_RD \/ st = GS_REC \/ st = GS_CORE -> has_state st q s' = has_state st q s.
  Proof using I T.
    intros H. destruct (decide (q = c)) as [->|N]; [|by apply st_away]. by destruct (st_turns st H) as [-> ->].
  Qed.
  Lemma st_ns q : is_ns (gran s') q = is_ns (gran s) q.
  Proof using I T. apply (st_state GS_NS). auto. Qed.
  Lemma st_gran q g' : gran s' !! q = Some g' -> q <> c -> q <> t ->
    exists g, gran s !! q = Some g /\ g_state g' = g_state g /\ g_owner g' = g_owner g /\
      (if g_state g =? GS_NS then g_refs g' <= REFS_MAX else g_refs g' = g_refs g).
  Proof using T.
    intros Hg N N'. pose proof (ts_gran _ _ _ _ _ _ _ _ T q N' N) as H. destruct (gran s !! q) as [g|]; [|congruence].
    destruct H as (r & E & H). exists g. rewrite Hg in E. by injection E as ->.
  Qed.
  Lemma st_zero : gran s !! 0 = None.
  Proof using I. destruct (gran s !! 0) as [g|] eqn:E; [|done]. destruct (i_gran _ I _ _ E) as (P & _). lia. Qed.
  Lemma st_c_none : gran s !! c = None -> c = 0.
  Proof using T.
    pose proof (ts_turns _ _ _ _ _ _ _ _ T) as A. unfold turns in A. destruct (Z.eqb_spec c 0); [done|].
    destruct A as (g & -> & _). done.
  Qed.
  Lemma st_tracked q : is_Some (gran s' !! q) <-> is_Some (gran s !! q).
  Proof using I T.
    destruct (decide (q = c)) as [->|N].
    - pose proof (ts_turns _ _ _ _ _ _ _ _ T) as A. pose proof (ts_turned _ _ _ _ _ _ _ _ T) as B. unfold turns in *.
      destruct (c =? 0); [by rewrite A, B|]. destruct A as (g & -> & _), B as (g' & -> & _). by split; eauto.
    - destruct (decide (q = t)) as [->|N'].
      + rewrite (ts_table _ _ _ _ _ _ _ _ T). destruct st_rtt as (g & -> & _). by split; eauto.
      + pose proof (ts_gran _ _ _ _ _ _ _ _ T q N' N) as H. destruct (gran s !! q); [|by rewrite H].
        destruct H as (r & -> & _). by split; eauto.
  Qed.
  Lemma st_not st q : has_state st q s = true -> st <> GS_RTT -> q <> t.
  Proof using I T. intros (g & Hg & Hs)%has_state_inv N ->. destruct st_rtt as (g' & Hg' & Hs' & _). congruence. Qed.
  (* Pages of objects that are not tables or data. *)
  Lemma st_page st q : has_state st q s = true -> st = GS_NS \/ st = GS_REC \/ st = GS_CORE -> page (mem s') q = page (mem s) q.
  Proof using I T.
    intros H N. apply (ts_other _ _ _ _ _ _ _ _ T).
    - apply (st_not st); [done|]. by destruct N as [->|[->| ->]].
    - intros ->. destruct (st_turns st) as [E _]; [tauto|congruence].
    - intros ->. pose proof st_rd as Hr. apply has_state_inv in H as (g & Hg & Hs), Hr as (g' & Hg' & Hs').
      rewrite Hg in Hg'. injection Hg' as <-. rewrite Hs in Hs'. destruct N as [->|[->| ->]]; discriminate.
  Qed.
  Lemma st_word_rd f r : In f rd_told -> has_state GS_RD r s = true -> rd_of s' f r = rd_of s f r.
  Proof using I T.
    intros Hf H. destruct (decide (r = rd)) as [->|N]; [by apply (ts_told _ _ _ _ _ _ _ _ T)|].
    unfold rd_of, rd_get, word. rewrite (ts_other _ _ _ _ _ _ _ _ T); [done|by apply (st_not GS_RD)| |done].
    intros ->. destruct (st_turns GS_RD) as [E _]; [tauto|congruence].
  Qed.
  Lemma st_rec f r : has_state GS_REC r s = true -> rec_of s' f r = rec_of s f r.
  Proof using I T. intros H. unfold rec_of, rec_get, word. by rewrite (st_page GS_REC) by auto. Qed.
  Lemma st_half r : has_state GS_RD r s = true -> half_of s' r = half_of s r.
  Proof using I T. intros H. unfold half_of. by rewrite st_word_rd by (done || rd_told_in). Qed.
  Lemma st_table_page q pq : places s !! q = Some pq -> q <> t -> q <> c -> page (mem s') q = page (mem s) q.
  Proof using I T.
    intros Hq N N'. apply (ts_other _ _ _ _ _ _ _ _ T); [done|done|]. intros ->. destruct (place_granule _ _ _ I Hq) as (_ & _ & H).
    pose proof st_rd as Hr. apply has_state_inv in H as (g & Hg & Hs), Hr as (g' & Hg' & Hs'). rewrite Hg in Hg'. injection Hg' as <-. rewrite Hs in Hs'. discriminate.
  Qed.
  Lemma st_word q pq j : places s !! q = Some pq -> q <> c -> 0 <= j < 512 -> ~ near q j -> word (mem s') q j = word (mem s) q j.
  Proof using I T.
    intros Hq N Hj Hn. unfold word. destruct (decide (q = t)) as [->|N'].
    - rewrite (ts_page _ _ _ _ _ _ _ _ T). pose proof (ts_slot _ _ _ _ _ _ _ _ T). apply nth_set_other; [lia|lia|].
      intros <-. apply Hn. by right.
    - by rewrite (st_table_page _ _ Hq).
  Qed.
  Lemma st_new_word : word (mem s') t i = d.
  Proof using I T.
    unfold word. rewrite (ts_page _ _ _ _ _ _ _ _ T). apply nth_set_same; [apply page_ok, (i_mem _ I)|apply T].
  Qed.

  (* ---- Entries that are not near ---- *)

  Lemma st_far_maps r t' i' x pa : ~ near t' i' -> maps s' r t' i' x pa <-> maps s r t' i' x pa.
  Proof using I T.
    intros N. assert (Nc : t' <> c) by (intros ->; apply N; by left).
    split; intros [(q & Hq & Hr & Hi & Hk & Hn)]; constructor; exists q.
    - rewrite (ts_places _ _ _ _ _ _ _ _ T) in Hq by done. rewrite (st_word _ _ _ Hq Nc Hi N) in Hk, Hn. done.
    - rewrite (ts_places _ _ _ _ _ _ _ _ T), (st_word _ _ _ Hq Nc Hi N) by done. done.
  Qed.
  Lemma near_dec t' i' : near t' i' \/ ~ near t' i'.
  Proof using.
    unfold RttInv.near. destruct (decide (t' = c)) as [->|]; [left; by left|].
    destruct (decide (t' = t)) as [->|]; [|right; intros [?|[? _]]; done].
    destruct (decide (i' = i)) as [->|]; [left; by right|right; intros [?|[_ ?]]; done].
  Qed.
  Lemma near_rd t' i' r x pa : near t' i' -> maps s r t' i' x pa -> r = rd.
  Proof using T.
    intros N [(q & Hq & <- & _)]. destruct N as [->|[-> _]].
    - by destruct (ts_below _ _ _ _ _ _ _ _ T _ Hq) as [-> _].
    - rewrite (ts_place _ _ _ _ _ _ _ _ T) in Hq. injection Hq as <-. apply T.
  Qed.
  Lemma near_rd_after t' i' r x pa : near t' i' -> maps s' r t' i' x pa -> r = rd.
  Proof using I T.
    intros N [(q & Hq & <- & _)]. destruct N as [->|[-> _]].
    - by apply (ts_stands _ _ _ _ _ _ _ _ T).
    - rewrite (ts_places _ _ _ _ _ _ _ _ T), (ts_place _ _ _ _ _ _ _ _ T) in Hq by (pose proof st_c_not_t; congruence).
      injection Hq as <-. apply T.
  Qed.
  (* What is mapped elsewhere is not mapped here, and is still there. *)
  Lemma far_near r t' i' x pa : ~ near t' i' -> maps s r t' i' x pa -> ~ near_maps rd t i c s pa.
  Proof using I. intros N M (t2 & i2 & x2 & N2 & M2). by destruct (i_once _ I _ _ _ _ _ _ _ _ _ M M2) as [-> ->]. Qed.
  Lemma far_not_c r t' i' x pa : ~ near t' i' -> maps s r t' i' x pa -> pa <> c.
  Proof using I T.
    intros N M ->. apply (far_near _ _ _ _ _ N M). apply (ts_gone _ _ _ _ _ _ _ _ T).
    eapply own_state. by eapply maps_own.
  Qed.
  Lemma st_own r q : q <> c -> own_data s' r q = own_data s r q.
  Proof using I T.
    intros N. unfold own_data. destruct (decide (q = t)) as [->|N'].
    - rewrite (ts_table _ _ _ _ _ _ _ _ T). destruct st_rtt as (g & -> & -> & _). done.
    - pose proof (ts_gran _ _ _ _ _ _ _ _ T q N' N) as H. destruct (gran s !! q); [by destruct H as (x & -> & _)|by rewrite H].
  Qed.

  Lemma st_far_entry q pq j : places s !! q = Some pq -> q <> c -> 0 <= j < 512 -> ~ near q j ->
    entry_ok s' q pq (p_base pq + j * size_of (p_level pq)) (word (mem s') q j).
  Proof using I T.
    intros Hq N Hj Hn. rewrite (st_word _ _ _ Hq N Hj Hn). pose proof (t_rd _ _ _ (i_table _ I _ _ Hq)) as Hrd.
    pose proof (t_entry _ _ _ (i_table _ I _ _ Hq) j Hj) as H. remember (word (mem s) q j) as e eqn:Ee.
    remember (p_base pq + j * size_of (p_level pq)) as ipa eqn:Ei.
    destruct H as [r Hr Hh|pa r Hr Hh Hl Hp Hpa Ho|Hh|host Hh Hl Hok Hw Ho|child Hh Hl Hchild|Hh].
    - constructor; [done|]. by rewrite st_half.
    - constructor; try done; [by rewrite st_half|]. intros n Hnn. rewrite st_own; [by apply Ho|].
      apply (far_not_c (p_rd pq) q j (ipa + n * 4096)); [done|]. constructor. exists pq. rewrite <- Ee.
      destruct (assigned_ok (p_level pq) pa r Hr Hp (aligned_size _ _ Hpa)) as (O & _ & _ & K & _). split_and!; try done; try lia.
      exists n. rewrite O, Ei. split_and!; lia.
    - constructor. by rewrite st_half, st_word_rd by (done || rd_told_in).
    - constructor; try done; [by rewrite st_half, st_word_rd by (done || rd_told_in)|]. intros n Hnn. rewrite st_ns. by apply Ho.
    - constructor; [by rewrite st_word_rd by (done || rd_told_in)|done|]. rewrite (ts_places _ _ _ _ _ _ _ _ T); [done|]. intros ->.
      destruct (ts_below _ _ _ _ _ _ _ _ T _ Hchild) as [E _]. injection E as Er El Eb <-. apply Hn. right. split; [done|].
      rewrite (ts_place _ _ _ _ _ _ _ _ T) in Hq. injection Hq as <-. destruct (size_pos (p_level p)). rewrite Ei in Eb.
      apply (Z.mul_reg_r _ _ (size_of (p_level p))); lia.
    - constructor. by rewrite st_word_rd by (done || rd_told_in).
  Qed.
  Lemma st_table q pq : places s' !! q = Some pq -> table_stands s' q pq.
  Proof using I T.
    intros Hq. destruct (decide (q = c)) as [->|N]; [by apply (ts_stands _ _ _ _ _ _ _ _ T)|].
    rewrite (ts_places _ _ _ _ _ _ _ _ T) in Hq by done.
    destruct (i_table _ I _ _ Hq) as [(g & Hg & Hs & Ho & Hrefs) Hrd Hlev Hbase Hstart Hbelow Hent].
    assert (R : forall f, In f rd_told -> rd_of s' f (p_rd pq) = rd_of s f (p_rd pq)) by (intros; by apply st_word_rd).
    constructor; rewrite ?R by rd_told_in; try done.
    - destruct (decide (q = t)) as [->|N'].
      + rewrite (ts_place _ _ _ _ _ _ _ _ T) in Hq. injection Hq as <-.
        eexists. split; [apply (ts_table _ _ _ _ _ _ _ _ T)|]. cbn [g_state g_owner g_refs]. rewrite (ts_rd _ _ _ _ _ _ _ _ T). done.
      + pose proof (ts_gran _ _ _ _ _ _ _ _ T q N' N) as H. rewrite Hg in H. destruct H as (r & -> & H). eexists. split; [done|].
        cbn [g_state g_owner g_refs]. rewrite Hs in H. change (GS_RTT =? GS_NS) with false in H. cbv iota in H.
        rewrite (st_table_page _ _ Hq) by done. subst. done.
    - by rewrite st_state by auto.
    - intros Np. destruct (Hbelow Np) as (b & pp & Hb & Hr & Hw).
      assert (Nc : p_parent pq <> c).
      { intros E. rewrite E in *. destruct (ts_below _ _ _ _ _ _ _ _ T _ Hb) as [Ep Ht]. injection Ep as Er El Eb Et.
        pose proof (Ht (slot_of (p_level pq - 1) (p_base pq)) (slot_range _ _)) as H. rewrite Hw in H.
        destruct (place_granule _ _ _ I Hq) as (P & A & _). destruct (table_desc_ok q P A) as (_ & Tq & _).
        rewrite Tq in H; [done|]. lia. }
      exists b, pp. rewrite (ts_places _ _ _ _ _ _ _ _ T) by done. split_and!; try done; try lia.
      rewrite (st_word _ _ _ Hb Nc (slot_range _ _)); [done|]. intros [?|[Et Es]]; [done|].
      rewrite Et in *. rewrite (ts_place _ _ _ _ _ _ _ _ T) in Hb. apply (f_equal (option_map p_level)) in Hb. cbn in Hb. injection Hb as El.
      destruct (place_granule _ _ _ I Hq) as (P & A & _). destruct (table_desc_ok q P A) as (_ & Tq & Oq & _).
      assert (Hw' : word (mem s) t i = table_desc q) by (by rewrite <- Es).
      pose proof (ts_was _ _ _ _ _ _ _ _ T) as Hwas. rewrite Hw', Tq in Hwas by lia. specialize (Hwas eq_refl).
      destruct (decide (c = 0)) as [Ec|Nc0].
      { rewrite Ec in Hwas. rewrite Hwas in Oq. vm_compute in Oq. lia. }
      pose proof (ts_turns _ _ _ _ _ _ _ _ T) as A'. unfold turns in A'. rewrite (proj2 (Z.eqb_neq _ _) Nc0) in A'. destruct A' as (gc & Hgc & _).
      destruct (i_gran _ I _ _ Hgc) as (Pc & Ac & _). destruct (table_desc_ok c ltac:(lia) Ac) as (_ & _ & Oc & _). congruence.
    - intros j Hj. destruct (near_dec q j) as [[?|[-> ->]]|Hn]; [done| |by apply st_far_entry].
      rewrite st_new_word. rewrite (ts_place _ _ _ _ _ _ _ _ T) in Hq. injection Hq as <-. apply (ts_entry _ _ _ _ _ _ _ _ T).
  Qed.

  (* ---- Sums ---- *)

  Lemma st_sum (f f' : Z -> granule -> Z) :
    (forall q g, g_state g <> GS_REC -> f q g = 0 /\ f' q g = 0) ->
    (forall q g g', has_state GS_REC q s = true -> g_state g' = g_state g -> g_owner g' = g_owner g -> f' q g' = f q g) ->
    sum_map f' (gran s') = sum_map f (gran s).
  Proof using I T.
    intros Z0 E. apply sum_agree. intros q. unfold term.
    assert (Z1 : has_state GS_REC q s' = false -> match gran s' !! q with Some x => f' q x | None => 0 end = 0).
    { unfold has_state. destruct (gran s' !! q) as [g|]; [|done]. intros N%Z.eqb_neq. by apply Z0. }
    assert (Z2 : has_state GS_REC q s = false -> match gran s !! q with Some x => f q x | None => 0 end = 0).
    { unfold has_state. destruct (gran s !! q) as [g|]; [|done]. intros N%Z.eqb_neq. by apply Z0. }
    destruct (has_state GS_REC q s) eqn:H; [|rewrite Z1, Z2; [done|done|by rewrite st_state by auto]].
    assert (Nt : q <> t) by (by apply (st_not GS_REC)).
    assert (Nc : q <> c) by (intros ->; destruct (st_turns GS_REC) as [E' _]; [tauto|congruence]).
    pose proof (ts_gran _ _ _ _ _ _ _ _ T q Nt Nc) as G. destruct (has_state_inv _ _ _ H) as (g & Hg & _). rewrite Hg in G |- *.
    destruct G as (r & -> & _). by apply E.
  Qed.
  Lemma st_runs pa : runs_on s' pa = runs_on s pa.
  Proof using I T.
    apply st_sum.
    - intros q g N. unfold run_page_of. by rewrite (proj2 (Z.eqb_neq _ _) N).
    - intros q g g' H Es _. unfold run_page_of. by rewrite Es, !st_rec.
  Qed.
  Lemma st_recs r : recs_of s' r = recs_of s r.
  Proof using I T.
    apply st_sum.
    - intros q g N. by rewrite (proj2 (Z.eqb_neq _ _) N).
    - intros q g g' _ -> ->. done.
  Qed.

  (* ---- All of it ---- *)

  Lemma st_realm r : has_state GS_RD r s = true -> realm_ok s' r.
  Proof using I T.
    intros H. assert (R : forall f, In f rd_told -> rd_of s' f r = rd_of s f r) by (intros; by apply st_word_rd).
    destruct (i_realm _ I _ H) as [R1 R2 R3 R4 R5 R6 R7 R8 R9 R10].
    constructor; rewrite ?R, ?(ts_vmids _ _ _ _ _ _ _ _ T), ?st_recs by rd_told_in; try done.
    intros n Hn. rewrite (ts_places _ _ _ _ _ _ _ _ T); [by apply R6|]. intros E. specialize (R6 n Hn). rewrite E in R6.
    destruct (ts_below _ _ _ _ _ _ _ _ T _ R6) as [E' _]. injection E' as _ _ _ E'.
    destruct (place_granule _ _ _ I (ts_place _ _ _ _ _ _ _ _ T)) as (P & _). lia.
  Qed.
  Lemma st_rec_ok r g : gran s !! r = Some g -> g_state g = GS_REC -> rec_ok s' r (g_owner g).
  Proof using I T.
    intros Hg Hs. assert (Hst : has_state GS_REC r s = true) by (by eapply has_state_intro).
    destruct (i_rec _ I _ _ Hg Hs) as [[C1 C1'] C2 C3 C4 C5 C6 C7].
    assert (R : forall f, In f rd_told -> rd_of s' f (g_owner g) = rd_of s f (g_owner g)) by (intros; by apply st_word_rd).
    constructor; rewrite ?st_rec, ?R, ?st_half, ?st_ns by (done || rd_told_in); try done.
    - rewrite st_state; auto.
    - unfold rec_agrees in *.
      assert (W : forall f, word (mem s') r (rec_off f) = word (mem s) r (rec_off f)).
      { intros f. unfold word. by rewrite (st_page GS_REC) by auto. }
      rewrite !W. assert (E : word (mem s) r (rec_off REC_rd) = g_owner g) by (rewrite <- C1; reflexivity). rewrite E in *.
      assert (W' : forall f, In f rd_told -> word (mem s') (g_owner g) (rd_off f) = word (mem s) (g_owner g) (rd_off f)).
      { intros f Hf. pose proof (R f Hf) as H. unfold rd_of, rd_get, rd_word in H. by rewrite Z.add_0_r in H. }
      rewrite !W' by rd_told_in. rewrite !st_state by auto. unfold granule_at in *.
      assert (Nt : r <> t) by (by apply (st_not GS_REC)).
      assert (Nc : r <> c) by (intros ->; destruct (st_turns GS_REC) as [E' _]; [tauto|congruence]).
      pose proof (ts_gran _ _ _ _ _ _ _ _ T r Nt Nc) as G. rewrite Hg in G, C2. destruct G as (x & -> & _). exact C2.
    - unfold token_total, token_of. by rewrite (ts_hw _ _ _ _ _ _ _ _ T), (st_page GS_REC) by auto.
  Qed.
  Lemma st_host : forall u r j, table_ok (hw s) (gran s) u r -> word (mem s') u j = word (mem s) u j.
  Proof using I T.
    intros u r j (P & _ & R & C). unfold word.
    assert (N : forall st, st <> GS_CORE -> has_state st u s = false).
    { intros st Hst. unfold has_state. destruct (gran s !! u) as [g|] eqn:Hg; [|done]. rewrite (C _ eq_refl). by apply Z.eqb_neq. }
    rewrite (ts_other _ _ _ _ _ _ _ _ T); [done|..].
    - intros ->. destruct (place_granule _ _ _ I (ts_place _ _ _ _ _ _ _ _ T)) as (_ & _ & H). rewrite N in H; done.
    - intros ->. pose proof (ts_turns _ _ _ _ _ _ _ _ T) as A. unfold turns in A. rewrite (proj2 (Z.eqb_neq _ _)) in A by lia.
      destruct A as (g & Hg & _ & A). rewrite (C _ Hg) in A. by destruct A as [[A _]|[[A|A] _]].
    - intros ->. pose proof st_rd as H. rewrite N in H; done.
  Qed.
  Lemma st_region base : region (gran s') base -> region (gran s) base.
  Proof using I T. intros (A & P & j & Hj & Hs). split_and!; try done; try lia. exists j. split; [done|]. by apply st_tracked. Qed.
  Lemma st_holes base : hole_count (gran s') base = hole_count (gran s) base.
  Proof using I T. unfold hole_count, hole_list. do 2 f_equal. apply List.filter_ext. intros j. by rewrite st_ns. Qed.
  Lemma st_core u g : gran s' !! u = Some g -> (forall x, gran s !! u = Some x -> g_state x = GS_CORE) -> g_state g = GS_CORE.
  Proof using I T.
    intros Hg H. assert (Hs : is_Some (gran s !! u)) by (apply st_tracked; eauto). destruct Hs as [x Hx].
    assert (E : has_state GS_CORE u s' = true) by (rewrite st_state by auto; eapply has_state_intro; eauto).
    destruct (has_state_inv _ _ _ E) as (y & Hy & Hys). congruence.
  Qed.
  Lemma st_table_ok u r : table_ok (hw s) (gran s) u r -> table_ok (hw s) (gran s') u r.
  Proof using I T. intros (P & A & R & C). split_and!; try done; try lia. intros g Hg. by apply (st_core u). Qed.

  Theorem inv_tree : inv s'.
  Proof using I T.
    pose proof T as [Ehw Eho Ev Eca (Eru & Elo & Eli) Esc Em Ew Pt Prd Hi Epg Etb Een Etl Eot Egr Epl Tu Td Bel Was Sta Pla Dat Onl Onc Gon Pin].
    constructor; try assumption.
    - intros pa g Hg. assert (Hs : is_Some (gran s !! pa)) by (apply st_tracked; eauto). destruct Hs as [x Hx].
      destruct (i_gran _ I _ _ Hx) as (P & A & R). split_and!; try lia.
      all: destruct (decide (pa = c)) as [->|N].
      1,3: unfold turns in Td; destruct (c =? 0); [congruence|]; destruct Td as (y & Hy & Ry & _); rewrite Hg in Hy; injection Hy as <-; lia.
      all: destruct (decide (pa = t)) as [->|N'].
      1,3: rewrite Etb in Hg; injection Hg as <-; cbn [g_refs]; unfold live_entries;
        pose proof (count_range (is_counted (p_level p)) (page (mem s') t)) as Q; pose proof (page_ok _ t Em) as L; unfold is_page in L;
        rewrite L in Q; unfold REFS_MAX; lia.
      all: destruct (st_gran _ _ Hg N N') as (y & Hy & Es & _ & Er); rewrite Hx in Hy; injection Hy as <-.
      all: destruct (Z.eqb_spec (g_state x) GS_NS) as [E|]; [|lia].
      + assert (Hn : is_ns (gran s) pa = true) by (unfold is_ns; by rewrite Hx, E).
        pose proof (i_pins _ I _ Hn) as Q. specialize (Pin _ Hn). unfold refs_of in Pin. pose proof (uses_nonneg s' pa). pose proof (runs_nonneg s pa).
        assert (Eg : granule_at s' pa = g) by (unfold granule_at; by rewrite Hg). rewrite Eg in Pin. lia.
      + lia.
    - intros base Hb. rewrite Ehw. destruct (i_wired _ I _ (st_region _ Hb)) as [W0 W1 W2 W3 W4 W5 W6].
      constructor; auto using st_table_ok.
    - intros base Hb. apply st_region in Hb. destruct (i_wired _ I _ Hb) as [_ W1 W2 W3 WS1 WS2 _]. destruct (i_mapped _ I _ Hb) as [M1 M2 M3 M4 M5 M6].
      rewrite Ehw, Eho. constructor; rewrite ?st_holes; try done.
      + by rewrite (st_host _ _ _ W1).
      + by rewrite (st_host _ _ _ W2).
      + intros j Hj. rewrite (st_host _ _ _ W3), st_ns. by apply M3.
      + intros N. rewrite (st_host _ _ _ (WS1 N)). by apply M4.
      + intros N. rewrite (st_host _ _ _ (WS2 N)). by apply M5.
    - intros pa g Hg Hs. destruct (decide (pa = c)) as [->|N].
      + unfold turns in Td. destruct (c =? 0); [congruence|]. destruct Td as (y & Hy & _ & Y). rewrite Hg in Hy. injection Hy as <-.
        destruct Y as [(_ & Y1 & Y2 & Y3)|[[Y|Y] _]]; [done|rewrite Hs in Y; discriminate..].
      + assert (N' : pa <> t) by (intros ->; rewrite Etb in Hg; injection Hg as <-; discriminate Hs).
        destruct (st_gran _ _ Hg N N') as (y & Hy & Es & Eo & Er). rewrite Hs in Es. symmetry in Es.
        destruct (i_zero _ I _ _ Hy Es) as (Z1 & Z2 & Z3). rewrite Es in Er. change (GS_DELEGATED =? GS_NS) with false in Er. cbv iota in Er.
        rewrite Eot; [split_and!; congruence|done|done|]. intros ->. pose proof st_rd as (x & Hx & Hxs)%has_state_inv.
        rewrite Hy in Hx. injection Hx as <-. rewrite Es in Hxs. discriminate.
    - rewrite Ehw. apply (i_hw _ I).
    - rewrite Eli. pose proof (i_scratch _ I) as (_ & _ & _ & _ & _ & L). tauto.
    - intros pa g r Hg Hr. rewrite Ehw in Hr. apply (st_core pa); [done|]. intros x Hx. by apply (i_host _ I _ _ _ Hx Hr).
    - intros pa g Hg. destruct (decide (pa = c)) as [->|N].
      + unfold turns in Td. destruct (c =? 0); [congruence|]. destruct Td as (y & Hy & _ & Y). rewrite Hg in Hy. injection Hy as <-.
        pose proof (rd_nonzero _ _ I st_rd) as N0.
        destruct Y as [(-> & _ & Yo & _)|[[-> | ->] ->]]; [exact Yo| |]; (split; [done|]); rewrite st_state by auto; exact st_rd.
      + destruct (decide (pa = t)) as [->|N'].
        * rewrite Etb in Hg. injection Hg as <-. cbn [g_state g_owner]. split; [apply (rd_nonzero _ _ I st_rd)|]. rewrite st_state by auto. exact st_rd.
        * destruct (st_gran _ _ Hg N N') as (y & Hy & -> & -> & _). rewrite st_state by auto. exact (i_owner _ I _ _ Hy).
    - intros r H. rewrite st_state in H by auto. by apply st_realm.
    - intros r r' H H'. rewrite st_state in H, H' by auto. rewrite !st_word_rd by (done || rd_told_in). by apply (i_vmid _ I).
    - intros r g Hg Hs. assert (H : has_state GS_REC r s = true) by (rewrite <- st_state by auto; by eapply has_state_intro).
      assert (N : r <> c) by (intros ->; destruct (st_turns GS_REC) as [E _]; [tauto|congruence]).
      assert (N' : r <> t) by (by apply (st_not GS_REC)).
      destruct (st_gran _ _ Hg N N') as (y & Hy & Es & -> & _). apply st_rec_ok; [done|congruence].
    - intros q pq. apply st_table.
    - intros q H. destruct (decide (q = c)) as [->|N]; [by apply Pla|]. rewrite st_away in H by done. rewrite Epl by done. by apply (i_placed _ I).
    - intros pa g Hg Hs. assert (H : has_state GS_DATA pa s' = true) by (by eapply has_state_intro).
      destruct (decide (pa = c)) as [->|N].
      + destruct (Dat c H) as (t' & i' & x & _ & M); [by right|]. exists t', i', x.
        unfold turns in Td. destruct (c =? 0); [congruence|]. destruct Td as (y & Hy & _ & Y). rewrite Hg in Hy. injection Hy as <-.
        destruct Y as [(Y & _)|[_ ->]]; [rewrite Hs in Y; discriminate|done].
      + assert (N' : pa <> t) by (intros ->; rewrite Etb in Hg; injection Hg as <-; discriminate Hs).
        destruct (st_gran _ _ Hg N N') as (y & Hy & Es & -> & _). rewrite Hs in Es. symmetry in Es.
        destruct (i_data _ I _ _ Hy Es) as (t' & i' & x & M). destruct (near_dec t' i') as [Hn|Hn].
        * pose proof (near_rd _ _ _ _ _ Hn M) as Er. rewrite Er in M |- *.
          destruct (Dat pa H) as (t2 & i2 & x2 & _ & M2); [left; by exists t', i', x|]. by exists t2, i2, x2.
        * exists t', i', x. by apply st_far_maps.
    - intros r r' t1 t2 i1 i2 x1 x2 pa M M'.
      destruct (near_dec t1 i1) as [N1|N1], (near_dec t2 i2) as [N2|N2].
      + pose proof (near_rd_after _ _ _ _ _ N1 M) as ->. pose proof (near_rd_after _ _ _ _ _ N2 M') as ->. by eapply Onc.
      + pose proof (near_rd_after _ _ _ _ _ N1 M) as ->. apply st_far_maps in M'; [|done]. exfalso.
        destruct (Onl pa ltac:(by exists t1, i1, x1)) as [Q|[-> Q]].
        * by apply (far_near _ _ _ _ _ N2 M').
        * by apply (far_not_c _ _ _ _ _ N2 M').
      + pose proof (near_rd_after _ _ _ _ _ N2 M') as ->. apply st_far_maps in M; [|done]. exfalso.
        destruct (Onl pa ltac:(by exists t2, i2, x2)) as [Q|[-> Q]].
        * by apply (far_near _ _ _ _ _ N1 M).
        * by apply (far_not_c _ _ _ _ _ N1 M).
      + apply st_far_maps in M, M'; [|done..]. by apply (i_once _ I _ _ _ _ _ _ _ _ _ M M').
    - intros pa H. rewrite st_ns in H. rewrite st_runs. pose proof (i_pins _ I _ H) as Q. specialize (Pin _ H). unfold refs_of in Pin. lia.
    - intros r H. rewrite st_state by auto. by apply (i_cached _ I), Eca.
    - rewrite Eru. intros N. destruct (i_runs _ I N) as [R1 R2]. rewrite st_state, st_rec by auto. done.
    - rewrite Elo, Eru, Eli. apply (i_loaded _ I).
  Qed.
End step.
