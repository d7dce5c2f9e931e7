(* SPDX-License-Identifier: Apache-2.0 *)
(* Every primitive keeps the host's tables to what is the host's, and no table comes into other hands. *)
From kcore Require Export refine.HostFacts.
From kcore Require Export spec.Isolation.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- Addresses of entries ---- *)

Lemma entry_of_page base i pa :
  base mod size_of 2 = 0 -> 0 <= i < 512 -> base + i * size_of 3 <= pa < base + i * size_of 3 + size_of 3 ->
  floor_of 2 pa = base /\ slot_of 3 pa = i.
Proof. change (size_of 2) with 0x200000. change (size_of 3) with 4096. intros. split; addr. Qed.
Lemma entry_of_block base i pa :
  base mod size_of 1 = 0 -> 0 <= i < 512 -> base + i * size_of 2 <= pa < base + i * size_of 2 + size_of 2 ->
  floor_of 1 pa = base /\ slot_of 2 pa = i.
Proof. change (size_of 1) with 0x40000000. change (size_of 2) with 0x200000. intros. split; addr. Qed.

Lemma page_is_3 (level : Z) : 1 <= level <= 3 -> level = 1 \/ level = 2 \/ level = 3.
Proof. lia. Qed.

(* ---- What may change ---- *)

Definition regranuled (s s' : state) (pa : Z) (excepted : Prop) : Prop :=
  gran s' !! pa = gran s !! pa \/
  is_Some (gran s !! pa) /\ is_Some (gran s' !! pa) /\
  (hosts_or_device s pa = true -> hosts_or_device s' pa = true \/ excepted).

Lemma fits_frame s s' a level base d :
  hw s' = hw s ->
  (forall pa, regranuled s s' pa (is_table level d = false -> level <> 1 -> base <= pa < base + size_of level ->
      pa mod 4096 = 0 -> False)) ->
  desc_fits s a level base d -> desc_fits s' a level base d.
Proof.
  intros Hh Hg [Hv H]. split; [exact Hv|]. rewrite Hh. destruct (is_table level d) eqn:Et; [exact H|].
  destruct H as (Ho & Ha & Hp). split; [exact Ho|]. split; [exact Ha|]. intros pa Hr Hm.
  destruct (Hp pa Hr Hm) as [H1 H2]. destruct (Hg pa) as [E | ([x Hx] & _ & E)].
  - unfold hosts_or_device. rewrite E. split; [exact H1 | exact H2].
  - assert (level <> 1) as Hl by (intros E1; rewrite (H2 E1) in Hx; discriminate).
    split; [|intros E1; by destruct Hl]. destruct (E H1) as [E1 | E1]; [exact E1|]. exfalso. exact (E1 eq_refl Hl Hr Hm).
Qed.

(* A leaf of the tables shows in unleafed. *)
Lemma leaf_mapped s t w level base i a pa :
  contained s -> role_of (hw s) t = Some (Role w level base) -> w = None \/ w = Some a -> 0 <= i < 512 ->
  is_valid (word (mem s) t i) = true -> is_table level (word (mem s) t i) = false -> level <> 1 ->
  base + i * size_of level <= pa < base + i * size_of level + size_of level -> unleafed s pa = false.
Proof.
  intros K Hr Hw Hi Hv Ht Hl Hp. destruct (tc_desc _ K _ _ _ _ _ _ Hr Hw Hi Hv) as [_ F]. rewrite Ht in F.
  destruct F as (_ & Fa & _). pose proof (tc_wired _ K) as W.
  destruct (tw_back _ W _ _ _ _ Hr) as (Hlv & Hb & Hw').
  unfold unleafed. apply andb_false_iff. destruct (page_is_3 _ Hlv) as [-> | [-> | ->]]; [congruence|..].
  - left. apply negb_false_iff. destruct (entry_of_block base i pa Hb Hi Hp) as [E1 E2].
    destruct w as [b|]; [|lia]. assert (a = b) as -> by (destruct Hw as [|[=]]; congruence).
    assert (b = Cpu) as -> by (apply Fa; lia). destruct Hw' as [_ Hw'].
    pose proof (tw_same _ W Cpu 2 pa ltac:(lia)) as S. change (2 - 1) with 1 in S. rewrite E1 in S. simpl in S, Hw'.
    unfold leaf_at. rewrite S, Hw', E2, Hv, Ht. reflexivity.
  - right. apply negb_false_iff. destruct (entry_of_page base i pa Hb Hi Hp) as [E1 E2].
    destruct w as [b|]; [lia|]. destruct Hw' as [_ Hw'].
    pose proof (tw_same _ W Cpu 3 pa ltac:(lia)) as S. change (3 - 1) with 2 in S. rewrite E1 in S. simpl in S.
    unfold leaf_at. rewrite S, Hw', E2, Hv, Ht. reflexivity.
Qed.

(* A step that leaves the tables alone, takes none into a hand, and forgets nothing that TLBs may hold. *)
Record quiet (s s' : state) : Prop := Quiet {
  q_hw : hw s' = hw s;
  q_page : forall t r, role_of (hw s) t = Some r -> page (mem s') t = page (mem s) t;
  q_table : forall pa, gran s' !! pa = gran s !! pa \/ role_of (hw s) pa = None;
  q_gran : forall pa, regranuled s s' pa (unleafed s pa = true /\ unreachable s pa = true);
  q_holds : forall t r, role_of (hw s) t = Some r -> holds (LGranule t) s' = true -> holds (LGranule t) s = true;
  q_runs : role_of (hw s) (runs s') = None;
  q_loaded : role_of (hw s) (loaded s') = None;
  q_staled : forall a r base, In (StaleHost a r base) (staled s) -> In (StaleHost a r base) (staled s');
}.

Lemma quiet_contained s s' : contained s -> quiet s s' -> contained s'.
Proof.
  intros K [Hh Hm Hg Hr Hl Hn Hd _]. constructor; rewrite ?Hh.
  - apply (tc_wired _ K).
  - intros t r Ht. rewrite (Hm t r Ht). exact (tc_page _ K t r Ht).
  - intros t r Ht. destruct (tc_own _ K t r Ht) as (g & Hx & A & B & C). exists g.
    destruct (Hg t) as [E | E]; [|congruence]. rewrite E. split; [exact Hx|]. split; [exact A|]. split; [exact B|].
    destruct (holds (LGranule t) s') eqn:E'; [|reflexivity]. rewrite (Hl t r Ht E') in C. discriminate.
  - exact Hn.
  - exact Hd.
  - intros t w level base i a Ht Hw Hi. unfold word at 1 2. rewrite (Hm t _ Ht). intros Hv.
    pose proof (tc_desc _ K t w level base i a Ht Hw Hi Hv) as F.
    apply (fits_frame s s'); [exact Hh| |exact F]. intros pa.
    destruct (Hr pa) as [E | (E1 & E2 & E3)]; [left; exact E|]. right. split; [exact E1|]. split; [exact E2|].
    intros Hs. destruct (E3 Hs) as [E4 | [E4 _]]; [left; exact E4|]. right. intros Hnt Hl1 Hp _.
    rewrite (leaf_mapped s t w level base i a pa K Ht Hw Hi Hv Hnt Hl1 Hp) in E4. discriminate.
Qed.

(* ---- What handlers hold is no table ---- *)

Section s.
Context (s : state) (K : contained s).

Lemma under_no_table pa : under_lock pa s = true -> role_of (hw s) pa = None.
Proof.
  unfold under_lock, tracked. destruct (gran s !! pa) as [g|] eqn:Hx; [|discriminate]. cbn [andb].
  destruct (role_of (hw s) pa) as [r|] eqn:Hr; [|reflexivity]. destruct (tc_own _ K _ _ Hr) as (g' & Hx' & _ & Ho & Hl).
  rewrite Hx in Hx'. injection Hx' as <-. unfold granule_at. rewrite Hx. cbn [default from_option id]. rewrite Hl, Ho. discriminate.
Qed.
Lemma hand_no_table pa : in_hand pa s = true -> role_of (hw s) pa = None.
Proof. unfold in_hand. intros [H _]%andb_true_iff. by apply under_no_table. Qed.
Lemma state_no_table st pa : has_state st pa s = true -> st <> GS_CORE -> role_of (hw s) pa = None.
Proof.
  unfold has_state. destruct (gran s !! pa) as [g|] eqn:Hx; [|discriminate]. intros E%Z.eqb_eq Hs.
  destruct (role_of (hw s) pa) as [r|] eqn:Hr; [|reflexivity]. destruct (tc_own _ K _ _ Hr) as (g' & Hx' & Hc & _). congruence.
Qed.
Lemma pinned_no_table pa : pinned pa s = true -> role_of (hw s) pa = None.
Proof.
  unfold pinned. intros H. apply (state_no_table GS_NS pa); [|discriminate]. unfold has_state.
  destruct (gran s !! pa); [|discriminate]. apply andb_true_iff in H as [-> _]. reflexivity.
Qed.
Lemma rec_no_table rec : rec_in_hand rec s = true -> role_of (hw s) rec = None.
Proof.
  unfold rec_in_hand. intros [H _]%andb_true_iff. by apply (state_no_table GS_REC).
Qed.
Lemma zero_no_table : role_of (hw s) 0 = None.
Proof. destruct (role_of (hw s) 0) as [r|] eqn:E; [|reflexivity]. pose proof (tw_addr _ (tc_wired _ K) _ _ E). lia. Qed.

(* ---- Changes, one kind after the other ---- *)

Lemma same_quiet s' :
  hw s' = hw s -> gran s' = gran s -> mem s' = mem s -> held s' = held s -> runs s' = runs s -> loaded s' = loaded s ->
  staled s' = staled s -> quiet s s'.
Proof.
  intros Hh Hg Hm Hl Hr Hd Hs. constructor; auto.
  - intros. by rewrite Hm.
  - intros pa. left. by rewrite Hg.
  - intros pa. left. by rewrite Hg.
  - intros t r _. unfold holds. by rewrite Hl.
  - rewrite Hr. apply (tc_runs _ K).
  - rewrite Hd. apply (tc_loaded _ K).
  - by rewrite Hs.
Qed.

Lemma page_quiet pa l s' :
  role_of (hw s) pa = None -> hw s' = hw s -> gran s' = gran s -> mem s' = <[pa := l]> (mem s) -> held s' = held s ->
  role_of (hw s) (runs s') = None -> role_of (hw s) (loaded s') = None -> staled s' = staled s -> quiet s s'.
Proof.
  intros Hp Hh Hg Hm Hl Hr Hd Hs. constructor; auto.
  - intros t r Ht. rewrite Hm. apply page_insert_other. congruence.
  - intros q. left. by rewrite Hg.
  - intros q. left. by rewrite Hg.
  - intros t r _. unfold holds. by rewrite Hl.
  - by rewrite Hs.
Qed.
Lemma put_quiet pa l : role_of (hw s) pa = None -> quiet s (put_page pa l s).
Proof. intros Hp. by apply (page_quiet pa l); [..|apply (tc_runs _ K)|apply (tc_loaded _ K)|]. Qed.

Lemma held_quiet ls b :
  (forall t r, role_of (hw s) t = Some r -> existsb (lock_eqb (LGranule t)) ls = true -> holds (LGranule t) s = true) ->
  quiet s (with_held ls b s).
Proof.
  intros Hl. constructor; auto; try (intros; left; reflexivity).
  - apply (tc_runs _ K).
  - apply (tc_loaded _ K).
Qed.
Lemma taken_quiet l : (forall pa, l = LGranule pa -> role_of (hw s) pa = None) -> quiet s (lock_taken l s).
Proof.
  intros Hp. apply held_quiet. intros t r Ht. cbn [existsb]. intros [E | E]%orb_true_iff; [|exact E].
  destruct l as [pa|]; [|discriminate]. cbn [lock_eqb] in E. apply Z.eqb_eq in E as ->. rewrite (Hp pa eq_refl) in Ht. discriminate.
Qed.
Lemma without_in l m ls : existsb (lock_eqb m) (without l ls) = true -> existsb (lock_eqb m) ls = true.
Proof.
  induction ls as [|x ls IH]; [discriminate|]. cbn [without existsb]. destruct (lock_eqb l x).
  - intros ->. apply orb_true_r.
  - cbn [existsb]. intros [-> | H]%orb_true_iff; [reflexivity|]. rewrite (IH H). apply orb_true_r.
Qed.
Lemma dropped_quiet l : quiet s (lock_dropped l s).
Proof. apply held_quiet. intros t r Ht. apply without_in. Qed.

Lemma granule_quiet pa g x s' :
  role_of (hw s) pa = None -> gran s !! pa = Some x ->
  (g_state x = GS_NS -> g_state g = GS_NS \/ unleafed s pa = true /\ unreachable s pa = true) ->
  hw s' = hw s -> gran s' = <[pa := g]> (gran s) -> mem s' = mem s -> held s' = held s -> runs s' = runs s ->
  loaded s' = loaded s -> staled s' = staled s -> quiet s s'.
Proof.
  intros Hp Hx Hs Hh Hg Hm Hl Hr Hd Hst. constructor; auto.
  - intros. by rewrite Hm.
  - intros q. destruct (Z.eq_dec q pa) as [-> | Hq]; [right; exact Hp|]. left. rewrite Hg. by apply lookup_insert_ne.
  - intros q. destruct (Z.eq_dec q pa) as [-> | Hq]; [|left; rewrite Hg; by apply lookup_insert_ne].
    right. unfold hosts_or_device. rewrite Hg, lookup_insert, Hx.
    split; [eauto|]. split; [eauto|]. intros E%Z.eqb_eq. destruct (Hs E) as [-> | H]; auto.
  - intros t r _. unfold holds. by rewrite Hl.
  - rewrite Hr. apply (tc_runs _ K).
  - rewrite Hd. apply (tc_loaded _ K).
  - by rewrite Hst.
Qed.
Lemma refs_quiet pa n : role_of (hw s) pa = None -> tracked s pa = true -> quiet s (with_refs pa n s).
Proof.
  unfold tracked. destruct (gran s !! pa) as [x|] eqn:Hx; [|discriminate]. intros Hp _. unfold with_refs.
  eapply (granule_quiet pa); [exact Hp|exact Hx| |reflexivity..]. unfold granule_at. rewrite Hx. cbn. auto.
Qed.
Lemma set_quiet pa st owner : may_set pa st owner s = true -> quiet s (with_owner pa st owner s).
Proof.
  unfold may_set. intros G. do 4 apply andb_true_iff in G as [G _]. apply andb_true_iff in G as [Gh Gs]. pose proof (under_no_table _ Gh) as Hp.
  unfold under_lock, tracked in Gh. destruct (gran s !! pa) as [x|] eqn:Hx; [|discriminate].
  unfold granule_at in Gs. rewrite Hx in Gs. cbn [default from_option id] in Gs.
  eapply (granule_quiet pa); [exact Hp|exact Hx| |reflexivity..]. intros E. rewrite E in Gs. cbn [g_state].
  change (GS_NS =? GS_NS) with true in Gs. cbv iota in Gs. apply orb_true_iff in Gs as [E1%Z.eqb_eq | E1]; [by left|].
  apply andb_true_iff in E1 as [E1 E2]. apply andb_true_iff in E1 as [E1 _]. by right.
Qed.
Lemma rec_quiet f rec i v : rec_in_hand rec s = true -> quiet s (rec_set f rec i v s).
Proof.
  intros G. pose proof (rec_no_table _ G) as Hr.
  destruct f; try (by apply put_quiet). apply (page_quiet rec (set_nth (page (mem s) rec) (rec_word REC_running i) v)); try done.
  - unfold rec_set. cbn [runs with_runs]. destruct (v =? 1); [exact Hr | apply zero_no_table].
  - apply (tc_loaded _ K).
Qed.
Lemma forget_quiet f : (forall a r base, f (StaleHost a r base) = false) -> forall s', hw s' = hw s -> gran s' = gran s ->
  mem s' = mem s -> held s' = held s -> runs s' = runs s -> loaded s' = loaded s -> staled s' = staled (forget f s) -> quiet s s'.
Proof.
  intros Hf s' Hh Hg Hm Hl Hr Hd Hs. constructor; auto.
  - intros. by rewrite Hm.
  - intros pa. left. by rewrite Hg.
  - intros pa. left. by rewrite Hg.
  - intros t r _. unfold holds. by rewrite Hl.
  - rewrite Hr. apply (tc_runs _ K).
  - rewrite Hd. apply (tc_loaded _ K).
  - intros a r base H. rewrite Hs. apply List.filter_In. split; [exact H|]. by rewrite Hf.
Qed.

End s.

(* ---- Primitives ---- *)

Lemma guarded_some g r x : guarded g r = Some x -> g = true /\ r = x.
Proof. destruct g; [|discriminate]. intros [= ->]. auto. Qed.

Lemma hosts_desc_fits s t w level base i d a :
  tables_wired (hw s) -> role_of (hw s) t = Some (Role w level base) -> w = None \/ w = Some a -> 0 <= i < 512 -> is_valid d = true ->
  host_desc_ok s (Role w level base) i d = true -> desc_fits s a level (base + i * size_of level) d.
Proof.
  intros W Hr Hw Hi Hv Hd. destruct (tw_back _ W _ _ _ _ Hr) as (Hlv & Hb & Hw').
  split; [exact Hv|]. destruct (page_is_3 _ Hlv) as [-> | [-> | ->]].
  - destruct w as [b|]; [|lia]. assert (a = b) as -> by (destruct Hw as [|[=]]; congruence).
    cbn [host_desc_ok] in Hd. apply andb_true_iff in Hd as [Ht Hp]. rewrite Ht. unfold points_to in Hp.
    change (size_of 1) with 0x40000000. destruct b; cbn [table_of]; change (1 + 1 =? 3) with false; change (1 + 1) with 2;
      apply andb_true_iff in Hp as [N%negb_true_iff%Z.eqb_neq E%Z.eqb_eq]; auto.
  - destruct w as [b|]; [|lia]. assert (a = b) as -> by (destruct Hw as [|[=]]; congruence).
    cbn [host_desc_ok] in Hd. change (size_of 2) with 0x200000. destruct (is_table 2 d).
    + unfold points_to in Hd. apply andb_true_iff in Hd as [N%negb_true_iff%Z.eqb_neq E%Z.eqb_eq].
      change (2 + 1) with 3. replace (table_of (hw s) b 3 (base + i * 0x200000)) with (host_table (hw s) 3 (base + i * 0x200000))
        by (destruct b; reflexivity). auto.
    + apply andb_true_iff in Hd as [Hd Hf]. apply andb_true_iff in Hd as [E%Z.eqb_eq Ha].
      split; [exact E|]. split; [intros _; by destruct b|]. intros pa Hp Hm. split; [|intros; lia].
      rewrite forallb_forall in Hf. specialize (Hf ((pa - (base + i * 0x200000)) / 4096)).
      change (size_of (2 - 1)) with 0x40000000 in Hb.
      replace (base + i * 0x200000 + (pa - (base + i * 0x200000)) / 4096 * 4096) with pa in Hf
        by (Z.to_euclidean_division_equations; lia).
      apply Hf, granules_In. Z.to_euclidean_division_equations; lia.
  - destruct w as [b|]; [lia|]. cbn [host_desc_ok] in Hd. change (size_of 3) with 4096.
    apply andb_true_iff in Hd as [E%Z.eqb_eq Hh]. unfold is_table. rewrite (proj2 (Z.ltb_ge 3 3)) by lia. cbn [andb].
    split; [exact E|]. split; [lia|]. intros pa Hp Hm. split; [|lia]. change (size_of (3 - 1)) with 0x200000 in Hb.
    replace pa with (base + i * 4096) by (Z.to_euclidean_division_equations; lia). exact Hh.
Qed.

Lemma other_write_quiet s t i d : contained s -> role_of (hw s) t = None -> quiet s (after_write t i d s).
Proof.
  intros K Hr. unfold after_write. rewrite Hr. constructor; try reflexivity; auto; try (intros; left; reflexivity).
  - intros u r Hu. apply page_set_page. congruence.
  - apply (tc_runs _ K).
  - apply (tc_loaded _ K).
  - intros a r base H. cbn. apply in_or_app. by right.
Qed.

Lemma write_contained s t i d : contained s -> may_write t i d s = true -> contained (after_write t i d s).
Proof.
  intros K G. unfold may_write in G. destruct (role_of (hw s) t) as [r|] eqn:Hr.
  1: unfold after_write; rewrite Hr.
  - apply andb_true_iff in G as [G G2]. apply andb_true_iff in G as [Gi _]. apply andb_true_iff in G2 as [_ G2].
    assert (Hi : 0 <= i < 512) by (revert Gi; unfold in_page; lia).
    pose proof (tc_page _ K t r Hr) as Pt.
    constructor; cbn [hw with_staled put_word with_mem gran mem runs loaded].
    + apply (tc_wired _ K).
    + intros u q Hu. destruct (Z.eq_dec t u) as [<- | Ne].
      * unfold set_word. rewrite page_insert_same. by apply set_nth_page.
      * rewrite page_set_page by exact Ne. exact (tc_page _ K u q Hu).
    + apply (tc_own _ K).
    + apply (tc_runs _ K).
    + apply (tc_loaded _ K).
    + intros u w level base j a Hu Hw Hj Hv.
      enough (desc_fits s a level (base + j * size_of level) (word (set_word (mem s) t i d) u j)) as F
        by (apply (fits_frame s); [reflexivity | intros; left; reflexivity | exact F]).
      destruct (Z.eq_dec t u) as [<- | Ne].
      2:{ rewrite word_set_page in * by exact Ne. exact (tc_desc _ K u w level base j a Hu Hw Hj Hv). }
      destruct (Z.eq_dec i j) as [<- | Nj].
      * assert (E : word (set_word (mem s) t i d) t i = d) by (unfold word, set_word; rewrite page_insert_same; by apply nth_set_same).
        rewrite E in *. rewrite Hv in G2. rewrite Hr in Hu. injection Hu as ->. by apply (hosts_desc_fits s t w); [exact (tc_wired _ K)|..].
      * rewrite word_set_slot in * by lia. exact (tc_desc _ K t w level base j a Hu Hw Hj Hv).
  - apply (quiet_contained s); [exact K|]. by apply other_write_quiet.
Qed.

Ltac ands := repeat match goal with H : _ && _ = true |- _ => apply andb_true_iff in H as [? ?] end.
(* A step is quiet, or writes a table, or invalidates what TLBs have of the host's. *)
Inductive stepped (p : prim) (args : list Z) (s s' : state) : Prop :=
| S_quiet : quiet s s' -> stepped p args s s'
| S_write t i d r : role_of (hw s) t = Some r -> may_write t i d s = true -> s' = after_write t i d s -> stepped p args s s'
| S_tlbi ipa : p = P_tlbi_host -> args = [ipa] -> s' = forget (gone_page Cpu ipa) s -> stepped p args s s'
| S_tlbi_2m ipa : p = P_tlbi_host_2m -> args = [ipa] -> s' = forget (gone_2m ipa) s -> stepped p args s s'
| S_smmu ipa : p = P_smmu_tlbi -> args = [ipa] -> s' = forget (gone_page Smmu ipa) s -> stepped p args s s'.

Lemma prim_stepped p args s rs s' : prim_sem p args s = Some (rs, s') -> contained s -> stepped p args s s'.
Proof.
  intros H K.
  destruct p; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; try discriminate H;
    cbv beta iota delta [prim_sem] in H; try (apply guarded_some in H as [G E]).
  all: try (injection E as <- <-).
  all: try (apply S_quiet; apply (same_quiet _ K); reflexivity).
  all: try (by apply (S_tlbi _ _ _ _ a0)).
  all: try (by apply (S_tlbi_2m _ _ _ _ a0)).
  all: try (by apply (S_smmu _ _ _ _ a0)).
  all: try (apply S_quiet; by apply dropped_quiet).
  (* claim *)
  - apply S_quiet. destruct (claimable a1 a0 s) eqn:C; injection E as <- <-; [|by apply same_quiet]. apply (taken_quiet _ K).
    intros pa [= <-]. unfold claimable in C. apply andb_true_iff in C as [C _]. apply andb_true_iff in G as [_ G].
    apply (state_no_table _ K a1); [exact C|]. apply orb_true_iff in G as [->%Z.eqb_eq | ->%Z.eqb_eq]; discriminate.
  - apply S_quiet. by apply set_quiet.
  - apply S_quiet. apply andb_true_iff in G as [G _]. pose proof (under_no_table _ K _ G) as Hp. unfold under_lock in G.
    apply andb_true_iff in G as [G _]. by apply refs_quiet.
  (* pins *)
  - apply S_quiet. destruct (claimable GS_NS a0 s && _) eqn:C; injection E as <- <-; [|by apply same_quiet]. ands.
    unfold claimable in *. ands.
    apply refs_quiet; [exact K|by apply (state_no_table _ K GS_NS)|]. unfold tracked, has_state in *. by destruct (gran s !! a0).
  - apply S_quiet. ands. apply refs_quiet; [exact K|by apply pinned_no_table|]. unfold tracked, pinned in *. by destruct (gran s !! a0).
  (* realm locks *)
  - apply S_quiet. destruct (has_state GS_RD a0 s) eqn:C; injection E as <- <-; [|by apply same_quiet].
    apply (taken_quiet _ K). intros pa [= <-]. by apply (state_no_table _ K GS_RD).
  - apply S_quiet. destruct (vmid_usable _ _ && _); injection E as <- <-; by apply same_quiet.
  (* memory *)
  - apply S_quiet. unfold may_zero in G. ands. apply (put_quiet _ K). by apply under_no_table.
  - apply S_quiet. unfold may_overwrite, may_zero in G. ands. apply (put_quiet _ K). by apply under_no_table.
  - apply S_quiet. unfold may_open, may_overwrite, may_zero in G. ands. destruct (opened _ _ _ _ _); injection E as <- <-; [|by apply same_quiet].
    apply (put_quiet _ K). by apply under_no_table.
  - apply S_quiet. ands. apply (put_quiet _ K). by apply hand_no_table.
  (* tables *)
  - destruct (role_of (hw s) a0) as [r|] eqn:Hr.
    + by apply (S_write _ _ _ _ a0 a1 a2 r).
    + apply S_quiet. by apply other_write_quiet.
  - apply S_quiet. apply (taken_quiet _ K). discriminate.
  (* invalidations of realms *)
  - apply S_quiet. by eapply (forget_quiet _ K (gone_realm s a0 a1)).
  - apply S_quiet. by eapply (forget_quiet _ K (gone_realm_all s a0)).
  - apply S_quiet. apply (put_quiet _ K). by apply pinned_no_table.
  - apply S_quiet. destruct (key_opened _ _ _); injection E as <- <-; [|by apply same_quiet].
    apply (put_quiet _ K). by apply hand_no_table.
  (* RECs *)
  - apply S_quiet. apply andb_true_iff in G as [G _]. unfold el1_set. destruct (loaded s =? a0); [by apply same_quiet | by apply rec_quiet].
  - apply S_quiet. ands. assert (runs s = a0) as E by (by apply Z.eqb_eq). pose proof (tc_runs _ K) as Kr. rewrite E in Kr.
    constructor; try reflexivity; auto; try (intros; left; reflexivity). apply (tc_runs _ K).
  - apply S_quiet. ands. assert (loaded s = a0) as E by (by apply Z.eqb_eq). pose proof (tc_loaded _ K) as Kr. rewrite E in Kr.
    unfold rec_unloaded. set (l := splice _ _ _). apply (page_quiet _ a0 l); try done; [apply (tc_runs _ K) | by apply zero_no_table].
  - apply S_quiet. ands. apply (put_quiet _ K). by apply rec_no_table.
  - apply S_quiet. destruct (token_signed _ _); injection E as <- <-; [|by apply same_quiet]. apply (put_quiet _ K). by apply rec_no_table.
  - apply S_quiet. unfold may_fetch in G. ands. apply (put_quiet _ K). by apply hand_no_table.
  - apply S_quiet. apply (put_quiet _ K). by apply pinned_no_table.
  - apply S_quiet. destruct (log_text (hw s) (logged s) a1) as [n next]. apply guarded_some in H as [G E]. injection E as <- <-.
    apply (put_quiet _ K). by apply pinned_no_table.
  - apply S_quiet. ands. apply (put_quiet _ K). by apply hand_no_table.
  - apply S_quiet. ands. apply (put_quiet _ K). by apply hand_no_table.
  - apply S_quiet. ands. by apply rec_quiet.
  - apply S_quiet. ands. by apply rec_quiet.
Qed.

Lemma forget_contained f s : contained s -> contained (forget f s).
Proof. intros [? ? ? ? ? Hd]. constructor; auto. Qed.

Theorem prim_contained p args s rs s' : prim_sem p args s = Some (rs, s') -> contained s -> contained s'.
Proof.
  intros H K. destruct (prim_stepped _ _ _ _ _ H K) as [Q | t i d r Hr G -> | ipa _ _ -> | ipa _ _ -> | ipa _ _ ->].
  - by apply (quiet_contained s).
  - by apply write_contained.
  - by apply forget_contained.
  - by apply forget_contained.
  - by apply forget_contained.
Qed.
