(* SPDX-License-Identifier: Apache-2.0 *)
(* Facts about the host's tables that hostmem.c rests on: addresses and slots, descriptors, walks, and how
   one granule's change shows in the tables. *)
From kcore Require Export refine.RealmFacts spec.Hostmem.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- Addresses ---- *)

Lemma slot3_eq x : slot_of 3 x = x / 4096 mod 512.
Proof. unfold slot_of. change (shift_of 3) with 12. rewrite shr, (land_low 9) by lia. reflexivity. Qed.
Lemma slot2_eq x : slot_of 2 x = x / 0x200000 mod 512.
Proof. unfold slot_of. change (shift_of 2) with 21. rewrite shr, (land_low 9) by lia. reflexivity. Qed.
Lemma slot1_eq x : slot_of 1 x = x / 0x40000000 mod 512.
Proof. unfold slot_of. change (shift_of 1) with 30. rewrite shr, (land_low 9) by lia. reflexivity. Qed.
Lemma floor3_eq x : floor_of 3 x = x - x mod 4096. Proof. reflexivity. Qed.
Lemma floor2_eq x : floor_of 2 x = x - x mod 0x200000. Proof. reflexivity. Qed.
Lemma floor1_eq x : floor_of 1 x = x - x mod 0x40000000. Proof. reflexivity. Qed.
Lemma floor0_eq x : floor_of 0 x = x - x mod 0x8000000000. Proof. reflexivity. Qed.

Ltac addr :=
  rewrite ?slot1_eq, ?slot2_eq, ?slot3_eq, ?floor0_eq, ?floor1_eq, ?floor2_eq, ?floor3_eq in *;
  unfold nth_granule in *; Z.to_euclidean_division_equations; lia.

Lemma slot_range level x : 0 <= slot_of level x < 512.
Proof. unfold slot_of. rewrite (land_low 9) by lia. change (2 ^ 9) with 512. apply Z.mod_pos_bound. lia. Qed.
Lemma slot_in_page level x : in_page (slot_of level x) = true.
Proof. pose proof (slot_range level x). unfold in_page. lia. Qed.

Lemma granule_nth pa : pa mod 4096 = 0 -> nth_granule (floor_of 2 pa) (slot_of 3 pa) = pa.
Proof. intros. addr. Qed.
Lemma floor2_nth base i : base mod 0x200000 = 0 -> 0 <= i < 512 -> floor_of 2 (nth_granule base i) = base.
Proof. intros. addr. Qed.
Lemma slot3_nth base i : base mod 0x200000 = 0 -> 0 <= i < 512 -> slot_of 3 (nth_granule base i) = i.
Proof. intros. addr. Qed.
Lemma floor2_idem x : floor_of 2 (floor_of 2 x) = floor_of 2 x.
Proof. addr. Qed.
Lemma slot2_floor x : slot_of 2 (floor_of 2 x) = slot_of 2 x.
Proof. addr. Qed.
Lemma slot1_floor x : slot_of 1 (floor_of 2 x) = slot_of 1 x.
Proof. addr. Qed.
Lemma floor3_aligned x : x mod 4096 = 0 -> floor_of 3 x = x.
Proof. intros. addr. Qed.
(* The entry of a level 2 table stands for this 2 MiB. *)
Lemma entry2 x : floor_of 1 x + slot_of 2 x * 0x200000 = floor_of 2 x.
Proof. addr. Qed.
Lemma nth_inj base base' i i' :
  base mod 0x200000 = 0 -> base' mod 0x200000 = 0 -> 0 <= i < 512 -> 0 <= i' < 512 ->
  nth_granule base i = nth_granule base' i' -> base = base' /\ i = i'.
Proof. intros. split; addr. Qed.

(* ---- Descriptors ---- *)

Lemma out_addr_lor x c : Z.land c PA_MASK = 0 -> out_addr (Z.lor x c) = out_addr x.
Proof. intros H. unfold out_addr. rewrite Z.land_lor_distr_l, H. apply Z.lor_0_r. Qed.
Lemma out_addr_aligned x : 0 <= x < 2 ^ 48 -> x mod 4096 = 0 -> out_addr x = x.
Proof.
  intros. unfold out_addr. rewrite (land_above 48 12) by (lia || reflexivity).
  change (2 ^ 12) with 4096. lia.
Qed.
Lemma land_attr x c k : x mod 4096 = 0 -> 0 <= k < 4096 -> Z.land (Z.lor x c) k = Z.land c k.
Proof.
  intros. rewrite Z.land_lor_distr_l, (land_disjoint 12 x k) by (lia || assumption). apply Z.lor_0_l.
Qed.

Lemma table_desc_ok t : 0 < t < 2 ^ 48 -> t mod 4096 = 0 ->
  is_valid (table_desc t) = true /\ (forall l, l < 3 -> is_table l (table_desc t) = true) /\
  out_addr (table_desc t) = t /\ table_desc t <> 0.
Proof.
  intros. unfold is_valid, is_table, table_desc, S2_TABLE.
  rewrite !(land_attr t) by lia. split_and!; try reflexivity.
  - intros. rewrite (proj2 (Z.ltb_lt _ _)) by lia. reflexivity.
  - rewrite out_addr_lor by reflexivity. apply out_addr_aligned; lia.
  - rewrite (lor_disjoint 12) by (lia || assumption). lia.
Qed.

Lemma lor3 x a b : Z.lor (Z.lor x a) b = Z.lor x (Z.lor a b).
Proof. symmetry. apply Z.lor_assoc. Qed.

Lemma host_page_ok pa : 0 <= pa < 2 ^ 48 -> pa mod 4096 = 0 ->
  is_valid (host_page pa) = true /\ out_addr (host_page pa) = pa /\ host_page pa <> 0.
Proof.
  intros. unfold is_valid, host_page. rewrite lor3. change (Z.lor HOST_RAM S2_PAGE) with 2047.
  rewrite (land_attr pa) by lia. split_and!; try reflexivity.
  - rewrite out_addr_lor by reflexivity. apply out_addr_aligned; lia.
  - rewrite (lor_disjoint 12) by (lia || assumption). lia.
Qed.

Lemma host_block_ok base : 0 <= base < 2 ^ 48 -> base mod 4096 = 0 ->
  is_valid (host_block base) = true /\ is_table 2 (host_block base) = false /\
  out_addr (host_block base) = base /\ host_block base <> 0.
Proof.
  intros. unfold is_valid, is_table, host_block. rewrite lor3. change (Z.lor HOST_RAM S2_BLOCK) with 2045.
  rewrite !(land_attr base) by lia.
  split_and!; try reflexivity.
  - rewrite out_addr_lor by reflexivity. apply out_addr_aligned; lia.
  - rewrite (lor_disjoint 12) by (lia || assumption). lia.
Qed.

(* ---- Counting holes ---- *)

Lemma filter_flip (f g : Z -> bool) l x :
  List.NoDup l -> In x l -> f x = false -> g x = true -> (forall y, y <> x -> f y = g y) ->
  length (List.filter g l) = S (length (List.filter f l)).
Proof.
  intros Hnd Hin Hf Hg Hfg. induction l as [|y l IH]; [destruct Hin|].
  apply List.NoDup_cons_iff in Hnd as [Hy Hl]. simpl.
  destruct (Z.eq_dec y x) as [->|Hne].
  - rewrite Hf, Hg. simpl. f_equal. f_equal. apply List.filter_ext_in. intros z Hz.
    symmetry. apply Hfg. intros ->. auto.
  - rewrite <- (Hfg y Hne). destruct Hin as [|Hin]; [congruence|].
    destruct (f y); simpl; rewrite (IH Hl Hin); reflexivity.
Qed.

Lemma granules_In i : 0 <= i < 512 <-> In i granules_2m.
Proof.
  unfold granules_2m. rewrite in_map_iff. split.
  - intros. exists (Z.to_nat i). rewrite in_seq. lia.
  - intros (n & <- & Hn%in_seq). lia.
Qed.
Lemma granules_NoDup : List.NoDup granules_2m.
Proof.
  unfold granules_2m. apply FinFun.Injective_map_NoDup; [|apply seq_NoDup].
  intros a b. lia.
Qed.

Lemma hole_count_range g base : 0 <= hole_count g base <= 512.
Proof.
  unfold hole_count, hole_list. split; [lia|].
  pose proof (List.filter_length_le (fun i => negb (is_ns g (nth_granule base i))) granules_2m) as H.
  change (length granules_2m) with 512%nat in H. lia.
Qed.

Lemma no_holes g base : hole_count g base = 0 -> forall i, 0 <= i < 512 -> is_ns g (nth_granule base i) = true.
Proof.
  unfold hole_count, hole_list. intros H i Hi.
  destruct (is_ns g (nth_granule base i)) eqn:E; [done|].
  assert (Hin : In i (List.filter (fun i => negb (is_ns g (nth_granule base i))) granules_2m)).
  { apply List.filter_In. rewrite E. split; [by apply granules_In | done]. }
  destruct (List.filter _ _); [destruct Hin | simpl in H; lia].
Qed.

Lemma hole_opened g g' base i :
  base mod 0x200000 = 0 -> 0 <= i < 512 ->
  is_ns g (nth_granule base i) = true -> is_ns g' (nth_granule base i) = false ->
  (forall pa, pa <> nth_granule base i -> is_ns g' pa = is_ns g pa) ->
  hole_count g' base = hole_count g base + 1 /\
  (forall b, b mod 0x200000 = 0 -> b <> base -> hole_count g' b = hole_count g b).
Proof.
  intros Hb Hi H H' Heq. unfold hole_count, hole_list. split.
  - rewrite (filter_flip (fun i => negb (is_ns g (nth_granule base i))) _ granules_2m i); [lia|..].
    + apply granules_NoDup.
    + by apply granules_In.
    + by rewrite H.
    + by rewrite H'.
    + intros y Hy. f_equal. symmetry. apply Heq. unfold nth_granule. lia.
  - intros b Hb' Hne. do 2 f_equal. apply List.filter_ext_in. intros y Hy%granules_In. f_equal.
    apply Heq. intros E. apply nth_inj in E; auto. by destruct E.
Qed.

(* ---- Walks ---- *)

Lemma walk_none h m a pa t2 t3 :
  let root := match a with Cpu => host_table h 1 pa | Smmu => smmu_table h 1 pa end in
  0 < t2 < 2 ^ 48 -> t2 mod 4096 = 0 -> 0 < t3 < 2 ^ 48 -> t3 mod 4096 = 0 ->
  word m root (slot_of 1 pa) = table_desc t2 ->
  word m t2 (slot_of 2 pa) = table_desc t3 ->
  word m t3 (slot_of 3 pa) = 0 ->
  walk_host h m a pa = None.
Proof.
  intros root H2 A2 H3 A3 E1 E2 E3. unfold walk_host. fold root.
  destruct (table_desc_ok t2 H2 A2) as (V2 & T2 & O2 & _).
  destruct (table_desc_ok t3 H3 A3) as (V3 & T3 & O3 & _).
  rewrite E1, V2, (T2 1), O2, E2, V3, (T3 2), O3, E3 by lia.
  destruct (root =? 0); reflexivity.
Qed.

(* ---- One granule ---- *)

Record granule_facts (s : state) (pa : Z) := GranuleFacts {
  f_pa : 0 < pa < 2 ^ 40 /\ pa mod 4096 = 0;
  f_region : region (gran s) (floor_of 2 pa);
  f_near : forall l, host_table (hw s) l pa = host_table (hw s) l (floor_of 2 pa) /\
                     smmu_table (hw s) l pa = smmu_table (hw s) l (floor_of 2 pa);
}.

Lemma tracked_facts s pa g : inv s -> gran s !! pa = Some g -> granule_facts s pa.
Proof.
  intros I Hg. destruct (i_gran _ I _ _ Hg) as (Hpa & Ha & _).
  assert (R : region (gran s) (floor_of 2 pa)).
  { split_and!; [addr|addr|addr|]. exists (slot_of 3 pa). split; [apply slot_range|].
    rewrite granule_nth by done. eauto. }
  constructor; [done|done|]. intros l. apply (w_near _ _ _ (i_wired _ I _ R)). reflexivity.
Qed.

