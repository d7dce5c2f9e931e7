(* SPDX-License-Identifier: Apache-2.0 *)
(* A machine as boot leaves it has the invariant, and its TLBs, which are empty, are secure: so no theorem that supposes this speaks of nothing. 2 MiB of DRAM at
   1 GiB, of which the first granules are KCore's, the next three are the host's and the others are not memory; KCore's are the host's
   tables, for CPUs and SMMU. *)
From kcore Require Import spec.Inv.
From kcore Require Import refine.Tlb.
From kcore Require Import spec.RealmTlb.
From Coq Require Import Lia.
Local Open Scope Z_scope.

Definition BASE := 0x40000000.
Definition T1 := 0x40000000.
Definition T2 := 0x40001000.
Definition T3 := 0x40002000.
Definition S1 := 0x40003000.
Definition S2 := 0x40004000.

Definition initial_hw : hardware := Hardware
  (fun level ipa => if (level =? 1) && (floor_of 0 ipa =? 0) then T1 else
     if (level =? 2) && (floor_of 1 ipa =? BASE) then T2 else if (level =? 3) && (floor_of 2 ipa =? BASE) then T3 else 0)
  (fun level ipa => if (level =? 1) && (floor_of 0 ipa =? 0) then S1 else
     if (level =? 2) && (floor_of 1 ipa =? BASE) then S2 else 0)
  (fun pa => if pa =? T1 then Some (Role (Some Cpu) 1 0) else if pa =? T2 then Some (Role (Some Cpu) 2 BASE)
     else if pa =? T3 then Some (Role None 3 BASE) else if pa =? S1 then Some (Role (Some Smmu) 1 0)
     else if pa =? S2 then Some (Role (Some Smmu) 2 BASE) else None)
  (fun vmid => (0 <=? vmid) && (vmid <? 255))
  0x90b80003 48 true (fun _ _ => 0) (fun _ => 0) (fun _ _ _ => replicate 8 0) 65536 (fun _ _ => (0, 0)) (fun _ _ _ => 0)
  0 (fun _ => 0) (fun _ _ _ _ => false) (fun _ _ => None) (fun _ _ _ _ _ _ => None)
  (fun _ _ => replicate TOKEN_WORDS 0) (fun _ => None) (fun _ => 0) (fun _ _ => 0).

Definition initial_granules : list (Z * granule) :=
  [(T1, Gran GS_CORE 0 0); (T2, Gran GS_CORE 0 0); (T3, Gran GS_CORE 0 0); (S1, Gran GS_CORE 0 0); (S2, Gran GS_CORE 0 0);
   (BASE + 0x5000, Gran GS_NS 0 0); (BASE + 0x6000, Gran GS_NS 0 0); (BASE + 0x7000, Gran GS_NS 0 0)].
Definition gran0 : gmap Z granule := list_to_map initial_granules.

(* A page with one word that is not zero. *)
Definition one_word (i v : Z) : list Z := set_nth zero_page i v.
Definition pages0 : list (Z * list Z) :=
  [(T1, one_word (slot_of 1 BASE) (table_desc T2)); (T2, one_word (slot_of 2 BASE) (table_desc T3));
   (S1, one_word (slot_of 1 BASE) (table_desc S2)); (S2, one_word (slot_of 2 BASE) (table_desc T3));
   (T3, map (fun i => if is_ns gran0 (nth_granule BASE i) then host_page (nth_granule BASE i) else 0) granules_2m)].
Definition mem0 : gmap Z (list Z) := list_to_map pages0.

Definition initial : state := State initial_hw gran0 mem0 [] false (fun _ => false) [] {[BASE := hole_count gran0 BASE]} ∅ 0%nat
  zero_page zero_page zero_page (replicate 8 0) 0 0 [] false ∅ [] ∅ ∅.

(* ---- By evaluation ---- *)

Lemma gran_in pa g : gran0 !! pa = Some g -> In (pa, g) initial_granules.
Proof. intros H. apply elem_of_list_In. by apply elem_of_list_to_map_2. Qed.
Lemma mem_in pa l : mem0 !! pa = Some l -> In (pa, l) pages0.
Proof. intros H. apply elem_of_list_In. by apply elem_of_list_to_map_2. Qed.

Ltac each H := repeat (destruct H as [H | H]; [apply pair_equal_spec in H as [<- <-] | ]); [.. | destruct H].

Lemma gran_state pa g : gran0 !! pa = Some g ->
  (g_state g = GS_CORE \/ g_state g = GS_NS) /\ g_owner g = 0 /\ g_refs g = 0 /\ BASE <= pa < BASE + 0x8000 /\ pa mod 4096 = 0.
Proof. intros H%gran_in. each H; vm_compute; intuition congruence. Qed.

Definition tables0 : list (Z * role) :=
  [(T1, Role (Some Cpu) 1 0); (T2, Role (Some Cpu) 2 BASE); (T3, Role None 3 BASE); (S1, Role (Some Smmu) 1 0);
   (S2, Role (Some Smmu) 2 BASE)].
Lemma roles0 t r : role_of initial_hw t = Some r -> In (t, r) tables0.
Proof.
  cbv beta iota delta [initial_hw role_of].
  repeat (match goal with |- context [Z.eqb t ?x] => destruct (Z.eqb_spec t x) as [-> | _] end;
    [intros [= <-]; unfold tables0; cbn [In]; tauto|]).
  discriminate.
Qed.
Ltac tables H := apply roles0 in H; unfold tables0 in H; cbn [In] in H; destruct H as [H | [H | [H | [H | [H | []]]]]].
Lemma table_granule t r : role_of initial_hw t = Some r -> gran0 !! t = Some (Gran GS_CORE 0 0).
Proof. intros H. tables H; injection H as <- _; vm_compute; reflexivity. Qed.

Lemma no_state st pa : st <> GS_CORE -> st <> GS_NS -> has_state st pa initial = false.
Proof.
  intros Hc Hn. unfold has_state. change (gran initial) with gran0. destruct (gran0 !! pa) as [g|] eqn:E; [|done].
  apply gran_state in E as ([E|E] & _); rewrite E; apply Z.eqb_neq; congruence.
Qed.

Lemma only_region base : region gran0 base -> base = BASE.
Proof.
  intros (Hb & _ & i & Hi & [g Hg]). apply gran_state in Hg as (_ & _ & _ & Hp & _).
  unfold nth_granule, BASE in *. apply Z.div_exact in Hb; [|lia]. lia.
Qed.

Lemma u64_ok z : (0 <=? z) && (z <? 2 ^ 64) = true -> u64 z.
Proof. intros [?%Z.leb_le ?%Z.ltb_lt]%andb_true_iff. by split. Qed.
Definition words_ok (l : list Z) : bool := forallb (fun v => (0 <=? v) && (v <? 2 ^ 64)) l.
Lemma words_ok_u64 l : words_ok l = true -> Forall u64 l.
Proof.
  unfold words_ok. rewrite forallb_forall. intros H. apply List.Forall_forall. intros v Hv%H.
  apply andb_true_iff in Hv as [?%Z.leb_le ?%Z.ltb_lt]. by split.
Qed.

Lemma nth_u64 l i : Forall u64 l -> u64 (nth_word l i).
Proof.
  intros H. unfold nth_word. destruct (nth_in_or_default (Z.to_nat i) l 0) as [Hin | ->].
  - by apply (proj1 (List.Forall_forall _ _) H).
  - split; [discriminate | reflexivity].
Qed.

Lemma mem0_words pa : is_page (page mem0 pa) /\ Forall u64 (page mem0 pa).
Proof.
  unfold page. destruct (mem0 !! pa) as [l|] eqn:E; simpl.
  - apply mem_in in E. each E; (split; [vm_compute; reflexivity | apply words_ok_u64; vm_compute; reflexivity]).
  - split; [vm_compute; reflexivity | apply words_ok_u64; vm_compute; reflexivity].
Qed.

Lemma zero_words : page_words zero_page.
Proof. split; [vm_compute; reflexivity | apply words_ok_u64; vm_compute; reflexivity]. Qed.

Lemma level3 i : 0 <= i < 512 ->
  word mem0 T3 i = if is_ns gran0 (nth_granule BASE i) then host_page (nth_granule BASE i) else 0.
Proof.
  assert (E : forallb (fun i => word mem0 T3 i =?
    (if is_ns gran0 (nth_granule BASE i) then host_page (nth_granule BASE i) else 0)) granules_2m = true)
    by (vm_compute; reflexivity).
  rewrite forallb_forall in E. intros Hi. apply Z.eqb_eq, E. unfold granules_2m. apply in_map_iff.
  exists (Z.to_nat i). rewrite in_seq. lia.
Qed.

Lemma table0 t r : role_of initial_hw t = Some r -> 0 < t < 2 ^ 48 -> t mod 4096 = 0 -> table_ok initial_hw gran0 t r.
Proof.
  intros Hr Hb Hm. split; [done | split; [done | split; [done |]]].
  intros x Hx. rewrite (table_granule _ _ Hr) in Hx. by injection Hx as <-.
Qed.

Lemma no_uses pa : uses initial pa = 0.
Proof. reflexivity. Qed.
Lemma no_runs pa : runs_on initial pa = 0.
Proof. vm_compute. reflexivity. Qed.
Lemma no_refs pa : g_refs (granule_at initial pa) = 0.
Proof.
  unfold granule_at. change (gran initial) with gran0. destruct (gran0 !! pa) as [g|] eqn:E; [|reflexivity].
  apply gran_state in E as (_ & _ & H & _). exact H.
Qed.

Theorem initial_idle : idle initial.
Proof. done. Qed.

Theorem initial_inv : inv initial.
Proof.
  assert (Hz := zero_words).
  constructor; change (gran initial) with gran0; change (mem initial) with mem0; change (hw initial) with initial_hw.
  - intros pa l E. apply mem_in in E. each E; vm_compute; reflexivity.
  - intros pa g (_ & _ & Hr & Hp & Hm)%gran_state. unfold BASE, REFS_MAX in *. rewrite Hr. lia.
  - intros base ->%only_region. constructor.
    + intros ipa level E. cbv beta iota delta [initial_hw host_table smmu_table].
      assert (floor_of 0 ipa = 0 /\ floor_of 1 ipa = BASE) as [E0 E1].
      { revert E. unfold floor_of, BASE. change (size_of 0) with 0x8000000000. change (size_of 1) with 0x40000000.
        change (size_of 2) with 0x200000. intros E. Z.to_euclidean_division_equations. lia. }
      rewrite E, E0, E1. split; reflexivity.
    + apply table0; [vm_compute; reflexivity | split; vm_compute; reflexivity | vm_compute; reflexivity].
    + apply table0; [vm_compute; reflexivity | split; vm_compute; reflexivity | vm_compute; reflexivity].
    + apply table0; [vm_compute; reflexivity | split; vm_compute; reflexivity | vm_compute; reflexivity].
    + intros _. apply table0; [vm_compute; reflexivity | split; vm_compute; reflexivity | vm_compute; reflexivity].
    + intros _. apply table0; [vm_compute; reflexivity | split; vm_compute; reflexivity | vm_compute; reflexivity].
    + intros H. vm_compute in H. discriminate.
  - intros base ->%only_region. constructor.
    + vm_compute. reflexivity.
    + vm_compute. reflexivity.
    + intros i Hi. change (host_table initial_hw 3 BASE) with T3. by apply level3.
    + intros _. vm_compute. reflexivity.
    + intros _. vm_compute. reflexivity.
    + vm_compute. reflexivity.
  - intros pa g ([E|E] & _)%gran_state E'; rewrite E in E'; discriminate.
  - constructor.
    + intros level ipa. cbn [host_table initial_hw]. repeat (destruct (_ && _); [intros _; eexists; reflexivity|]). done.
    + apply u64_ok. vm_compute. reflexivity.
    + change (width initial_hw) with 48. lia.
    + intros crm op2. apply u64_ok. vm_compute. reflexivity.
    + intros n. apply u64_ok. vm_compute. reflexivity.
    + intros alg l n. split; [reflexivity | apply words_ok_u64; vm_compute; reflexivity].
    + split; [apply u64_ok; vm_compute; reflexivity|]. intros l seq.
      split; [vm_compute; split; discriminate | apply u64_ok; vm_compute; reflexivity].
    + vm_compute. split; [discriminate | reflexivity].
    + intros l p k H. vm_compute in H. discriminate.
    + intros k i a l t u x H. vm_compute in H. discriminate.
    + intros c r. split; [reflexivity | apply words_ok_u64; vm_compute; reflexivity].
    + intros l x H. vm_compute in H. discriminate.
    + intros l. vm_compute. split; discriminate.
  - intros pa i. apply nth_u64, mem0_words.
  - do 3 (split; [exact Hz|]). split; [reflexivity|]. split; [apply words_ok_u64; vm_compute; reflexivity | constructor].
  - intros pa g r Hg Hr. rewrite (table_granule _ _ Hr) in Hg. by injection Hg as <-.
  - intros pa g ([E|E] & Ho & _)%gran_state; by rewrite E.
  - intros rd H. by rewrite no_state in H.
  - intros rd rd' H. by rewrite no_state in H.
  - intros rec g ([E|E] & _)%gran_state E'; rewrite E in E'; discriminate.
  - intros t p H. simpl in H. by rewrite lookup_empty in H.
  - intros t H. by rewrite no_state in H.
  - intros pa g ([E|E] & _)%gran_state E'; rewrite E in E'; discriminate.
  - intros rd rd' t t' i i' ipa ipa' pa [(p & H & _)]. simpl in H. by rewrite lookup_empty in H.
  - intros pa _. rewrite no_uses, no_runs, no_refs. discriminate.
  - intros rd H. change (rd ∈ (∅ : gset Z)) in H. by apply elem_of_empty in H.
  - intros H. by destruct H.
  - intros H. by destruct H.
Qed.

(* ---- Isolation ---- *)

Lemma floor_idem level x : floor_of level (floor_of level x) = floor_of level x.
Proof. apply aligned_floor, floor_aligned. Qed.


Lemma wired0 : tables_wired initial_hw.
Proof.
  constructor.
  - intros a level ipa Hl. destruct (page_is_3 _ Hl) as [-> | [-> | ->]]; destruct a;
      cbv beta iota delta [table_of initial_hw host_table smmu_table]; cbn [Z.eqb Pos.eqb andb];
      change (1 - 1) with 0; change (2 - 1) with 1; change (3 - 1) with 2; by rewrite floor_idem.
  - intros a level ipa Hl. destruct (page_is_3 _ Hl) as [-> | [-> | ->]]; destruct a;
      cbv beta iota delta [table_of initial_hw host_table smmu_table]; cbn [Z.eqb Pos.eqb andb];
      change (1 - 1) with 0; change (2 - 1) with 1; change (3 - 1) with 2;
      match goal with |- context [Z.eqb ?x ?y] => destruct (Z.eqb_spec x y) as [E | _] end; try (intros N; by destruct N);
      intros _; rewrite E; vm_compute; reflexivity.
  - intros t w level base H. tables H; injection H as <- <- <- <-; (split; [lia|]); (split; [vm_compute; reflexivity|]);
      (split; [lia || reflexivity | vm_compute; reflexivity]).
  - intros t r H. tables H; injection H as <- <-; vm_compute; auto.
Qed.

Lemma descs0 : forallb (fun '(t, r) => forallb (fun i =>
  negb (is_valid (word mem0 t i)) || host_desc_ok initial r i (word mem0 t i)) granules_2m) tables0 = true.
Proof. vm_compute. reflexivity. Qed.

Theorem initial_secure : secure initial (fun _ _ _ _ => False).
Proof.
  split; [|intros a level base d []].
  constructor; change (gran initial) with gran0; change (mem initial) with mem0; change (hw initial) with initial_hw.
  - exact wired0.
  - intros t r _. apply mem0_words.
  - intros t r H. eexists. split; [by eapply table_granule|]. by split_and!.
  - reflexivity.
  - reflexivity.
  - intros t w level base i a Ht Hw Hi Hv. apply (hosts_desc_fits initial t w); try assumption; [exact wired0|].
    pose proof descs0 as D. rewrite forallb_forall in D. specialize (D _ (roles0 _ _ Ht)). cbv beta iota in D.
    rewrite forallb_forall in D. specialize (D i (proj1 (granules_In i) Hi)). rewrite Hv in D. exact D.
Qed.

Theorem initial_apart : apart initial (fun _ _ _ _ => False).
Proof.
  constructor.
  - apply initial_secure.
  - discriminate.
  - intros pa g H. apply gran_state in H as (_ & _ & _ & Hp & Ha). unfold BASE in Hp. split; [lia|exact Ha].
  - intros t p H. change (places initial) with (∅ : gmap Z place) in H. by rewrite lookup_empty in H.
  - intros rd H. change (cached initial) with (∅ : gset Z) in H. set_solver.
  - intros rd rd' H. change (cached initial) with (∅ : gset Z) in H. set_solver.
  - intros rd level base t H. exfalso. induction H as [t p H _ | rd level base t i H IH _ _ | rd level base d H _ _].
    + change (places initial) with (∅ : gmap Z place) in H. by rewrite lookup_empty in H.
    + exact IH.
    + change (cached initial) with (∅ : gset Z) in H. set_solver.
  - intros v level base d [].
Qed.
