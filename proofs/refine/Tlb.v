(* SPDX-License-Identifier: Apache-2.0 *)
(* TLBs that hold all they may: no program of guarded primitives lets them hold, or a walk find, a page that is not the host's. *)
From kcore Require Export refine.Contained.
From kcore Require Import lang.Keeps.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- Where walks go ---- *)

Lemma floors ipa : floor_of 1 (floor_of 2 ipa) = floor_of 1 ipa /\ floor_of 2 (floor_of 3 ipa) = floor_of 2 ipa /\
  floor_of 1 (floor_of 3 ipa) = floor_of 1 ipa /\ floor_of 1 (floor_of 1 ipa) = floor_of 1 ipa /\ floor_of 2 (floor_of 2 ipa) = floor_of 2 ipa.
Proof. split_and!; addr. Qed.
Lemma slots ipa : slot_of 2 (floor_of 2 ipa) = slot_of 2 ipa /\ slot_of 2 (floor_of 3 ipa) = slot_of 2 ipa /\
  slot_of 3 (floor_of 3 ipa) = slot_of 3 ipa /\ slot_of 1 (floor_of 1 ipa) = slot_of 1 ipa.
Proof. split_and!; addr. Qed.
Lemma entries ipa : floor_of 0 ipa + slot_of 1 ipa * size_of 1 = floor_of 1 ipa /\
  floor_of 1 ipa + slot_of 2 ipa * size_of 2 = floor_of 2 ipa /\ floor_of 2 ipa + slot_of 3 ipa * size_of 3 = floor_of 3 ipa.
Proof. change (size_of 1) with 0x40000000. change (size_of 2) with 0x200000. change (size_of 3) with 4096. split_and!; addr. Qed.
Lemma floor_aligned level ipa : floor_of level ipa mod size_of level = 0.
Proof.
  unfold floor_of. rewrite Zminus_mod_idemp_r, Z.sub_diag. reflexivity.
Qed.
Lemma aligned_floor level base : base mod size_of level = 0 -> floor_of level base = base.
Proof. unfold floor_of. intros ->. lia. Qed.

Section walks.
Context (s : state) (K : contained s).

Lemma same_table a level x y : 1 <= level <= 3 -> floor_of (level - 1) x = floor_of (level - 1) y ->
  table_of (hw s) a level x = table_of (hw s) a level y.
Proof. intros Hl E. rewrite (tw_same _ (tc_wired _ K) a level x Hl), (tw_same _ (tc_wired _ K) a level y Hl). by rewrite E. Qed.

Lemma points a level base d : 1 <= level <= 3 -> desc_fits s a level base d -> is_table level d = true ->
  table_of (hw s) a (level + 1) base <> 0 /\ out_addr d = table_of (hw s) a (level + 1) base /\ level < 3.
Proof.
  intros Hl [Hv F] Ht. rewrite Ht in F. destruct F as [N ->].
  assert (level < 3) as Hl3 by (unfold is_table in Ht; apply andb_true_iff in Ht as [Ht _]; lia).
  pose proof (tw_role _ (tc_wired _ K) a (level + 1) base ltac:(lia) N) as Hr.
  destruct (tw_addr _ (tc_wired _ K) _ _ Hr) as [A B]. destruct (table_desc_ok _ A B) as (_ & _ & O & _). auto.
Qed.

(* An entry of an agent's table at level and ipa. *)
Lemma entry_fits a level ipa : 1 <= level <= 3 -> table_of (hw s) a level ipa <> 0 ->
  is_valid (word (mem s) (table_of (hw s) a level ipa) (slot_of level ipa)) = true ->
  desc_fits s a level (floor_of level ipa) (word (mem s) (table_of (hw s) a level ipa) (slot_of level ipa)).
Proof.
  intros Hl N Hv. pose proof (tw_role _ (tc_wired _ K) a level ipa Hl N) as Hr.
  assert (E : floor_of (level - 1) ipa + slot_of level ipa * size_of level = floor_of level ipa).
  { destruct (entries ipa) as (E1 & E2 & E3). destruct (page_is_3 _ Hl) as [-> | [-> | ->]]; assumption. }
  rewrite <- E. eapply tc_desc; [exact K|exact Hr| |apply slot_range|exact Hv]. destruct (level =? 3); auto.
Qed.

Lemma filled_held (T : tlb) : (forall a level base d, T a level base d -> may_hold s a level base d) ->
  forall a level base d, filled s T a level base d -> may_hold s a level base d.
Proof.
  intros HT a level base d H. induction H as [a level base d H | a ipa d N E Hv | a level ipa d d' Hl H IH Ht E Hv].
  - by apply HT.
  - subst d. split; [lia|]. split; [apply floor_aligned|]. split; [|left; reflexivity]. apply entry_fits; [lia|exact N|exact Hv].
  - destruct IH as (_ & Hb & F & Hk). destruct (points a level _ d ltac:(lia) F Ht) as (N & O & _). rewrite O in *.
    destruct (floors ipa) as (F12 & F23 & F13 & F11 & F22). destruct (slots ipa) as (S22 & S23 & S33 & S11).
    assert (level = 1 \/ level = 2) as [-> | ->] by lia.
    + change (1 + 1) with 2 in *.
      assert (Et : table_of (hw s) a 2 (floor_of 1 ipa) = table_of (hw s) a 2 ipa) by (apply same_table; [lia|exact F11]).
      assert (Et' : table_of (hw s) a 2 (floor_of 2 ipa) = table_of (hw s) a 2 ipa) by (apply same_table; [lia|exact F12]).
      rewrite Et in *. split; [lia|]. split; [apply floor_aligned|]. rewrite <- E in Hv |- *. split; [by apply entry_fits|].
      right. left. split; [reflexivity|]. rewrite Et', S22. split; [exact N|]. by left.
    + change (2 + 1) with 3 in *.
      assert (Et : table_of (hw s) a 3 (floor_of 2 ipa) = table_of (hw s) a 3 ipa) by (apply same_table; [lia|exact F22]).
      assert (Et' : table_of (hw s) a 3 (floor_of 3 ipa) = table_of (hw s) a 3 ipa) by (apply same_table; [lia|exact F23]).
      assert (E2 : table_of (hw s) a 2 (floor_of 3 ipa) = table_of (hw s) a 2 ipa) by (apply same_table; [lia|exact F13]).
      assert (E2' : table_of (hw s) a 2 (floor_of 2 ipa) = table_of (hw s) a 2 ipa) by (apply same_table; [lia|exact F12]).
      assert (H3 : forall x, table_of (hw s) a 3 x = host_table (hw s) 3 x) by (by destruct a).
      rewrite Et in *. split; [lia|]. split; [apply floor_aligned|]. rewrite <- E in Hv |- *. split; [by apply entry_fits|].
      right. right. split; [reflexivity|]. rewrite E2, <- H3, Et', S33, F23.
      destruct Hk as [Hk | [(_ & N2 & Hk) | (Hk & _)]]; [lia| |lia]. rewrite E2' in N2. rewrite E2', S22, Ht in Hk.
      split; [exact N2|]. split; [exact N|]. destruct Hk as [Hk | Hk]; [left|right; right; exact Hk].
      split; [reflexivity|]. unfold links. rewrite E2, S23, <- H3, Et'. rewrite Hk. destruct F as [_ F]. rewrite Ht in F.
      destruct F as [_ F]. change (2 + 1) with 3 in F. by rewrite Et in F.
Qed.

(* What may be held of a page is a leaf of the tables, or listed as broken. *)
Lemma held_reaches a level base d pa : may_hold s a level base d -> is_table level d = false -> level <> 1 ->
  base <= pa < base + size_of level -> pa mod 4096 = 0 -> unleafed s pa = true -> unreachable s pa = true -> False.
Proof.
  intros (Hl & Hb & F & Hk) Ht Hl1 Hp Hm Hu Hn. pose proof (tc_wired _ K) as W.
  assert (Hst : forall e, In e (staled s) -> stale_covers a pa e = true -> False).
  { intros e He Hc. unfold unreachable in Hn.
    destruct (walk_host (hw s) (mem s) Cpu pa); [discriminate|]. destruct (walk_host (hw s) (mem s) Smmu pa); [discriminate|].
    apply andb_true_iff in Hn as [N1 N2]. apply negb_true_iff in N1, N2.
    assert (existsb (stale_covers a pa) (staled s) = true) by (apply existsb_exists; eauto). destruct a; congruence. }
  destruct F as [Hv F]. rewrite Ht in F. destruct F as (_ & Fa & _).
  destruct Hk as [Hk | [(-> & N2 & Hk) | (-> & N2 & N3 & Hk)]]; [congruence|..].
  - rewrite Ht in Hk. destruct Hk as [Hk | Hk].
    + pose proof (tw_role _ W a 2 base ltac:(lia) N2) as Hr. change (2 =? 3) with false in Hr. change (2 - 1) with 1 in Hr.
      destruct (entries base) as (_ & E & _). rewrite (aligned_floor 2 base Hb) in E.
      rewrite (leaf_mapped s _ _ _ _ (slot_of 2 base) a pa K Hr) in Hu; [discriminate|by right|apply slot_range|by rewrite Hk|by rewrite Hk|lia|].
      rewrite E. exact Hp.
    + apply (Hst _ Hk). cbn [stale_covers]. change (size_of 2) with 0x200000 in *.
      replace (agent_eqb a a) with true by (by destruct a). apply Z.eqb_eq. addr.
  - change (size_of 3) with 4096 in *. assert (pa = base) as -> by (Z.to_euclidean_division_equations; lia).
    assert (Ea : agent_eqb a a = true) by (by destruct a).
    destruct Hk as [[Hk _] | [Hk | Hk]].
    + pose proof (tw_role _ W Cpu 3 base ltac:(lia) N3) as Hr. change (3 =? 3) with true in Hr. change (3 - 1) with 2 in Hr.
      cbn [table_of] in Hr. destruct (entries base) as (_ & _ & E). rewrite (aligned_floor 3 base Hb) in E.
      rewrite (leaf_mapped s _ _ _ _ (slot_of 3 base) a base K Hr) in Hu; [discriminate|by left|apply slot_range|by rewrite Hk|by rewrite Hk|lia|].
      rewrite E. exact Hp.
    + apply (Hst _ Hk). cbn [stale_covers]. rewrite Ea. apply Z.eqb_eq. addr.
    + apply (Hst _ Hk). cbn [stale_covers]. rewrite Ea. apply Z.eqb_eq. reflexivity.
Qed.
End walks.

(* ---- Steps ---- *)

Lemma hold_quiet s s' a level base d :
  contained s -> quiet s s' -> may_hold s a level base d -> may_hold s' a level base d.
Proof.
  intros K Q H. pose proof H as (Hl & Hb & F & Hk). pose proof (tc_wired _ K) as W.
  split; [exact Hl|]. split; [exact Hb|]. split.
  - apply (fits_frame s s'); [apply (q_hw _ _ Q)| |exact F]. intros pa.
    destruct (q_gran _ _ Q pa) as [E | (E1 & E2 & E3)]; [by left|]. right. split; [exact E1|]. split; [exact E2|].
    intros Hs. destruct (E3 Hs) as [E4 | [E4 E5]]; [by left|]. right. intros Ht Hl1 Hp Hm.
    exact (held_reaches s K a level base d pa H Ht Hl1 Hp Hm E4 E5).
  - assert (Hw : forall b l ipa i, 1 <= l <= 3 -> table_of (hw s) b l ipa <> 0 ->
      word (mem s') (table_of (hw s) b l ipa) i = word (mem s) (table_of (hw s) b l ipa) i).
    { intros b l ipa i Hl' N. unfold word. by rewrite (q_page _ _ Q _ _ (tw_role _ W b l ipa Hl' N)). }
    unfold known, links. rewrite (q_hw _ _ Q).
    destruct Hk as [Hk | [(-> & N2 & Hk) | (-> & N2 & N3 & Hk)]]; [by left|right; left|right; right].
    + rewrite Hw by (lia || done). split; [done|]. split; [done|].
      destruct Hk as [Hk | Hk]; [by left | right; by apply (q_staled _ _ Q)].
    + rewrite Hw by (lia || done). change (host_table (hw s) 3 base) with (table_of (hw s) Cpu 3 base) at 2. rewrite Hw by (lia || done).
      split; [done|]. split; [done|]. split; [done|].
      destruct Hk as [Hk | [Hk | Hk]]; [by left | right; left; by apply (q_staled _ _ Q) | right; right; by apply (q_staled _ _ Q)].
Qed.

Lemma hold_write s t i d r a level base e :
  contained s -> role_of (hw s) t = Some r -> may_write t i d s = true ->
  may_hold s a level base e -> may_hold (after_write t i d s) a level base e.
Proof.
  intros K Hr G (Hl & Hb & F & Hk). pose proof (tc_wired _ K) as W. pose proof (tc_page _ K t r Hr) as Pt.
  assert (Hi : 0 <= i < 512).
  { unfold may_write in G. rewrite Hr in G. apply andb_true_iff in G as [G _]. apply andb_true_iff in G as [G _].
    revert G. unfold in_page. lia. }
  split; [exact Hl|]. split; [exact Hb|]. split.
  { apply (fits_frame s); [by unfold after_write; rewrite Hr | | exact F]. intros pa. left. unfold after_write. by rewrite Hr. }
  unfold after_write. rewrite Hr. set (old := word (mem s) t i). set (left := if is_valid old && negb (old =? d) then _ else _).
  unfold known, links. cbn [hw with_staled put_word with_mem mem staled].
  assert (Hin : forall x, In x (staled s) -> In x (left ++ staled s)) by (intros; apply in_or_app; by right).
  assert (Hnew : is_valid old = true -> old <> d -> forall x, In x (left_behind s r t i old) -> In x (left ++ staled s)).
  { intros Hv Hd x Hx. apply in_or_app. left. unfold left. rewrite Hv, (proj2 (Z.eqb_neq old d)) by exact Hd. exact Hx. }
  assert (Hsame : forall u j, 0 <= j < 512 -> word (set_word (mem s) t i d) u j = word (mem s) u j \/
                                 u = t /\ j = i /\ old <> d).
  { intros u j Hj. destruct (Z.eq_dec t u) as [<- | Ne]; [|left; by apply word_set_page].
    destruct (Z.eq_dec i j) as [<- | Nj]; [|left; apply word_set_slot; lia].
    destruct (Z.eq_dec old d) as [Ed | Nd]; [|by right]. left. fold old. rewrite Ed. unfold word, set_word.
    rewrite page_insert_same. by apply nth_set_same. }
  destruct (entries base) as (_ & E2 & E3).
  destruct Hk as [Hk | [(-> & N2 & Hk) | (-> & N2 & N3 & Hk)]]; [by left|right; left|right; right].
  - split; [done|]. split; [done|]. destruct Hk as [Hk | Hk]; [|right; by apply Hin].
    destruct (Hsame (table_of (hw s) a 2 base) (slot_of 2 base) (slot_range _ _)) as [-> | (Et & Ei & Nd)]; [by left|].
    right. pose proof (tw_role _ W a 2 base ltac:(lia) N2) as Hr'. rewrite Et, Hr in Hr'.
    change (2 =? 3) with false in Hr'. change (2 - 1) with 1 in Hr'. injection Hr' as ->.
    assert (Eo : old = e) by (unfold old; rewrite <- Et, <- Ei; exact Hk).
    apply Hnew; [rewrite Eo; apply F|exact Nd|]. rewrite Eo. cbn [left_behind].
    left. change 0x200000 with (size_of 2). rewrite <- Ei, E2, (aligned_floor 2 base Hb). by destruct (is_table 2 e).
  - split; [done|]. split; [done|]. split; [done|].
    destruct Hk as [[Hk Hlk] | [Hk | Hk]]; [|right; left; by apply Hin|right; right; by apply Hin].
    unfold links in Hlk. destruct (floors base) as (F12 & F23 & F13 & F11 & F22). destruct (slots base) as (S22 & S23 & S33 & S11).
    destruct (Hsame (host_table (hw s) 3 base) (slot_of 3 base) (slot_range _ _)) as [-> | (Et & Ei & Nd)].
    2:{ right. left. pose proof (tw_role _ W Cpu 3 base ltac:(lia) N3) as Hr'. cbn [table_of] in Hr'. rewrite Et, Hr in Hr'.
        change (3 =? 3) with true in Hr'. change (3 - 1) with 2 in Hr'. injection Hr' as ->.
        assert (Eo : old = e) by (unfold old; rewrite <- Et, <- Ei; exact Hk).
        apply Hnew; [rewrite Eo; apply F|exact Nd|]. cbn [left_behind].
        change 4096 with (size_of 3). rewrite <- Ei, E3, (aligned_floor 3 base Hb).
        assert (L : linked s a (floor_of 2 base) t = true).
        { unfold linked. assert (Ett : match a with Cpu => host_table (hw s) 2 (floor_of 2 base) | Smmu => smmu_table (hw s) 2 (floor_of 2 base) end = table_of (hw s) a 2 base).
          { transitivity (table_of (hw s) a 2 (floor_of 2 base)); [by destruct a|]. apply same_table; [exact K|lia|exact F12]. }
          rewrite Ett, S22, Hlk, Et, Z.eqb_refl, (proj2 (Z.eqb_neq _ _)) by exact N2. reflexivity. }
        apply in_or_app. destruct a; [left | right]; rewrite L; by left. }
    destruct (Hsame (table_of (hw s) a 2 base) (slot_of 2 base) (slot_range _ _)) as [-> | (Et & Ei & Nd)]; [by left|].
    right. right. pose proof (tw_role _ W a 2 base ltac:(lia) N2) as Hr'. rewrite Et, Hr in Hr'.
    change (2 =? 3) with false in Hr'. change (2 - 1) with 1 in Hr'. injection Hr' as ->.
    assert (Eo : old = Z.lor (host_table (hw s) 3 base) S2_TABLE) by (unfold old; rewrite <- Et, <- Ei; exact Hlk).
    pose proof (tw_role _ W Cpu 3 base ltac:(lia) N3) as Hr3. cbn [table_of] in Hr3. destruct (tw_addr _ W _ _ Hr3) as [A B].
    destruct (table_desc_ok _ A B) as (V & I & _). unfold table_desc in V, I.
    apply Hnew; [by rewrite Eo|exact Nd|]. rewrite Eo. cbn [left_behind]. rewrite I by lia.
    left. change 0x200000 with (size_of 2). by rewrite <- Ei, E2.
Qed.

Lemma hold_forget f s a level base d :
  (forall r x, level = 2 /\ r = (if is_table 2 d then RTable else RBlock) /\ x = base \/
               level = 3 /\ (r = RPage /\ x = base \/ r = RTable /\ x = floor_of 2 base) -> f (StaleHost a r x) = false) ->
  may_hold s a level base d -> may_hold (forget f s) a level base d.
Proof.
  intros Hf (Hl & Hb & F & Hk). split; [exact Hl|]. split; [exact Hb|]. split; [exact F|].
  assert (Hin : forall r x, In (StaleHost a r x) (staled s) -> f (StaleHost a r x) = false ->
    In (StaleHost a r x) (staled (forget f s))) by (intros r x H1 H2; apply List.filter_In; by rewrite H2).
  destruct Hk as [Hk | [(E & N2 & Hk) | (E & N2 & N3 & Hk)]]; [by left|right; left|right; right].
  - split; [done|]. split; [done|]. destruct Hk as [Hk | Hk]; [by left|]. right. apply Hin; [done|]. apply Hf. by left.
  - split; [done|]. split; [done|]. split; [done|]. destruct Hk as [Hk | [Hk | Hk]]; [by left|right; left|right; right];
      (apply Hin; [done|]; apply Hf; right; split; [done|]); [left|right]; done.
Qed.

Lemma hold_prim p args s rs s' a level base d :
  prim_sem p args s = Some (rs, s') -> contained s -> flushed_by p args a level base d = false ->
  may_hold s a level base d -> may_hold s' a level base d.
Proof.
  intros H K Hf Hh. pose proof Hh as (Hl & Hb & _).
  destruct (prim_stepped _ _ _ _ _ H K) as [Q | t i v r Hr G -> | ipa -> -> -> | ipa -> -> -> | ipa -> -> ->].
  - by apply (hold_quiet s).
  - by apply (hold_write s t i v r).
  - apply hold_forget; [|exact Hh]. cbn [flushed_by] in Hf. intros r x C.
    destruct C as [(-> & -> & ->) | (-> & [(-> & ->) | (-> & ->)])]; [|..|reflexivity].
    + destruct (is_table 2 d); [reflexivity|]. destruct a; [|reflexivity]. cbn in Hf |- *. by rewrite Z.eqb_sym.
    + destruct a; [|reflexivity]. cbn in Hf |- *. by rewrite Z.eqb_sym.
  - apply hold_forget; [|exact Hh]. cbn [flushed_by] in Hf. intros r x C. destruct a; [|reflexivity]. cbn [agent_eqb andb] in Hf.
    destruct C as [(-> & -> & ->) | (-> & [(-> & ->) | (-> & ->)])].
    + rewrite (aligned_floor 2 base Hb) in Hf. by destruct (is_table 2 d).
    + exact Hf.
    + exact Hf.
  - apply hold_forget; [|exact Hh]. cbn [flushed_by] in Hf. intros r x C.
    destruct C as [(-> & -> & ->) | (-> & [(-> & ->) | (-> & ->)])]; [|..|reflexivity].
    + destruct (is_table 2 d); [reflexivity|]. destruct a; [reflexivity|]. cbn in Hf |- *. by rewrite Z.eqb_sym.
    + destruct a; [reflexivity|]. cbn in Hf |- *. by rewrite Z.eqb_sym.
Qed.

(* ---- Programs ---- *)

Theorem prim_secure p args : keeps (fun '(s, T) => secure s T) (prim_with_tlb p args).
Proof.
  intros [s T] rs [s' T'] H [K HT]. unfold prim_with_tlb in H. destruct (prim_sem p args s) as [[rs1 s1]|] eqn:E; [|discriminate].
  injection H as <- <- <-. pose proof (prim_contained _ _ _ _ _ E K) as K'. split; [exact K'|].
  apply filled_held; [exact K'|]. intros a level base d [H1 H2]. eapply hold_prim; eauto.
Qed.

(* ---- What is reached ---- *)

Lemma hold_leaf s a level base d x : may_hold s a level base d -> is_table level d = false ->
  base <= x < base + size_of level -> out_addr d + (x - base) = x /\ hosts_or_device s (floor_of 3 x) = true.
Proof.
  intros (Hl & Hb & [_ F] & _) Ht Hx. rewrite Ht in F. destruct F as (-> & _ & F). split; [lia|]. apply F; [|apply (floor_aligned 3)].
  rewrite floor3_eq. destruct (page_is_3 _ Hl) as [-> | [-> | ->]];
    [change (size_of 1) with 0x40000000 in *|change (size_of 2) with 0x200000 in *|change (size_of 3) with 4096 in *];
    Z.to_euclidean_division_equations; lia.
Qed.

(* No walk of a host's CPU or a device leads to a page of a realm's, KCore's or nobody's. *)
Theorem walk_isolated s a ipa x level g : contained s -> walk_host (hw s) (mem s) a ipa = Some (x, level) ->
  gran s !! floor_of 3 x = Some g -> g_state g = GS_NS.
Proof.
  intros K H Hg.
  assert (HT : forall b l base d, filled s (fun _ _ _ _ => False) b l base d -> may_hold s b l base d) by (apply filled_held; [exact K|done]).
  assert (Hleaf : forall l d, filled s (fun _ _ _ _ => False) a l (floor_of l ipa) d -> is_table l d = false ->
    x = out_addr d + ipa mod size_of l -> g_state g = GS_NS).
  { intros l d Hd Ht E. destruct (hold_leaf s a l (floor_of l ipa) d ipa (HT _ _ _ _ Hd) Ht) as [E1 E2].
    - unfold floor_of. pose proof (HT _ _ _ _ Hd) as (Hl & _). assert (0 < size_of l) by (apply Z.pow_pos_nonneg; [lia|]; unfold shift_of;
        destruct (l =? 0), (l =? 1), (l =? 2); lia). pose proof (Z.mod_pos_bound ipa (size_of l)). lia.
    - replace (ipa - floor_of l ipa) with (ipa mod size_of l) in E1 by (unfold floor_of; lia). rewrite <- E in E1. subst ipa.
      unfold hosts_or_device in E2. rewrite Hg in E2. by apply Z.eqb_eq. }
  unfold walk_host in H.
  replace (match a with Cpu => host_table (hw s) 1 ipa | Smmu => smmu_table (hw s) 1 ipa end) with (table_of (hw s) a 1 ipa) in H by (by destruct a).
  cbv zeta in H. set (d1 := word (mem s) (table_of (hw s) a 1 ipa) (slot_of 1 ipa)) in *.
  destruct ((table_of (hw s) a 1 ipa =? 0) || negb (is_valid d1)) eqn:E1; [discriminate|].
  apply orb_false_iff in E1 as [N%Z.eqb_neq V1%negb_false_iff].
  assert (H1 : filled s (fun _ _ _ _ => False) a 1 (floor_of 1 ipa) d1) by (by apply (F_first s _ a ipa)).
  destruct (is_table 1 d1) eqn:T1; cbn [negb] in H; [|injection H as <- <-; by apply (Hleaf 1 d1)].
  set (d2 := word (mem s) (out_addr d1) (slot_of 2 ipa)) in *. destruct (is_valid d2) eqn:V2; cbn [negb] in H; [|discriminate].
  assert (H2 : filled s (fun _ _ _ _ => False) a 2 (floor_of 2 ipa) d2) by (apply (F_next s _ a 1 ipa d1 d2); done).
  destruct (is_table 2 d2) eqn:T2; cbn [negb] in H; [|injection H as <- <-; by apply (Hleaf 2 d2)].
  set (d3 := word (mem s) (out_addr d2) (slot_of 3 ipa)) in *. destruct (is_valid d3) eqn:V3; cbn [negb] in H; [|discriminate].
  assert (H3 : filled s (fun _ _ _ _ => False) a 3 (floor_of 3 ipa) d3) by (apply (F_next s _ a 2 ipa d2 d3); done).
  injection H as <- <-. by apply (Hleaf 3 d3).
Qed.
