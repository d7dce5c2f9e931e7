(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: boot maps DRAM and devices for the host. Conditions are what boot (hyp/mach) hands over: tables
   in their places, which say nothing yet of what is mapped. *)
From kcore Require Export refine.HostBootRefine.
From kcore Require Export spec.HostBootMap.
From kcore Require Import refine.RttWalk.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* A write over an entry that is not valid. *)
Lemma boot_write t i d r s : role_of (hw s) t = Some r -> holds LHost s = true -> 0 <= i < 512 ->
  is_valid (word (mem s) t i) = false -> (is_valid d = true -> host_desc_ok s r i d = true) ->
  core "s2_make" [t; i; d] s = Some ([], put_word t i d s).
Proof.
  intros Hr Hl Hi Hv Hd. eapply eq_trans; [apply s2_make_ok; eapply host_write_ok; [exact Hr|exact Hl|unfold in_page; lia|by apply bbm_make|exact Hd]|].
  erewrite after_write_invalid by done. destruct s; reflexivity.
Qed.
Lemma points_table t : 0 < t -> points_to (table_desc t) t = true.
Proof. intros P. unfold points_to. change (Z.lor t S2_TABLE) with (table_desc t). by rewrite Z.eqb_refl, (proj2 (Z.eqb_neq t 0)) by lia. Qed.
Lemma table_desc_host s a i t2 base : 0 < t2 < 2 ^ 48 -> t2 mod 4096 = 0 ->
  match a with Cpu => host_table (hw s) 2 (base + i * 0x40000000) | Smmu => smmu_table (hw s) 2 (base + i * 0x40000000) end = t2 ->
  host_desc_ok s (Role (Some a) 1 base) i (table_desc t2) = true.
Proof.
  intros P A E. destruct (table_desc_ok t2 P A) as (_ & T & _). unfold host_desc_ok. rewrite T by lia.
  cbn [andb]. destruct a; rewrite E; apply points_table; lia.
Qed.

(* A level 1 table for ipa, and the level 2 table that it is to point to. *)
Record boot_tables (a : agent) (ipa t1 t2 : Z) (s : state) : Prop := BootTables {
  bt_1 : role_of (hw s) t1 = Some (Role (Some a) 1 (floor_of 0 ipa));
  bt_2 : role_of (hw s) t2 = Some (Role (Some a) 2 (floor_of 1 ipa));
  bt_range : 0 < t2 < 2 ^ 48 /\ t2 mod 4096 = 0;
  bt_near : match a with Cpu => host_table (hw s) 2 (floor_of 1 ipa) | Smmu => smmu_table (hw s) 2 (floor_of 1 ipa) end = t2;
}.
Lemma entry1 x : 0 <= x -> floor_of 0 x + slot_of 1 x * 0x40000000 = floor_of 1 x.
Proof. intros. addr. Qed.

Lemma boot_link_done a ipa t1 t2 s : boot_tables a ipa t1 t2 s -> holds LHost s = true -> 0 <= ipa ->
  core "boot_link" [ipa; t1; t2] s = Some ([], boot_pointed ipa t1 t2 s).
Proof.
  intros [B1 B2 [P A] N] Hl Hi. destruct (table_desc_ok t2 P A) as (V & _).
  eapply eq_trans; [apply boot_link_ok; [eapply host_read_ok; [exact B1|done|apply slot_in_page]|]|].
  - intros E. eapply host_write_ok; [exact B1|done|apply slot_in_page|by apply bbm_make; rewrite E|]. intros _.
    apply table_desc_host; [done|done|]. by rewrite entry1.
  - unfold boot_linked, boot_pointed. destruct (Z.eqb_spec (word (mem s) t1 (slot_of 1 ipa)) 0) as [E|]; [|by destruct s].
    erewrite after_write_invalid; [|exact B1|by rewrite E]. destruct s; reflexivity.
Qed.
Lemma boot_pointed_word ipa t1 t2 s t i : t <> t1 -> word (mem (boot_pointed ipa t1 t2 s)) t i = word (mem s) t i.
Proof. intros N. unfold boot_pointed. cbn [mem with_mem]. destruct (_ =? _); [by apply word_set_page|done]. Qed.

Lemma bind_host_unlock {B} (k : list Z -> M state B) s r :
  held s = [] -> shrinking s = false -> staled s = [] -> k [] s = r ->
  bind (prim_sem P_host_unlock []) k (lock_taken LHost s) = r.
Proof.
  intros Hh Hs Hst <-. destruct s. simpl in Hh, Hs, Hst. subst. unfold bind. cbn [prim_sem guarded].
  unfold holds, lock_dropped, lock_taken, with_held. cbn. rewrite ?bool_decide_eq_true_2 by reflexivity. reflexivity.
Qed.

(* What boot_region finds. *)
Record boot_ready (base t3 n : Z) (s : state) : Prop := BootReady {
  br_base : base mod 0x200000 = 0 /\ 0 <= base < 2 ^ 40;
  br_cpu : boot_tables Cpu base (host_table (hw s) 1 base) (host_table (hw s) 2 base) s;
  br_smmu : smmu_table (hw s) 1 base <> 0 -> boot_tables Smmu base (smmu_table (hw s) 1 base) (smmu_table (hw s) 2 base) s;
  br_t3 : t3 = host_table (hw s) 3 base /\ 0 < t3 < 2 ^ 48 /\ t3 mod 4096 = 0;
  br_free : is_valid (word (mem s) (host_table (hw s) 2 base) (slot_of 2 base)) = false;
  br_sfree : smmu_table (hw s) 1 base <> 0 -> is_valid (word (mem s) (smmu_table (hw s) 2 base) (slot_of 2 base)) = false;
  br_full : n = 0 -> forall i, 0 <= i < 512 -> hosts_or_device s (base + i * 4096) = true;
}.

Lemma holds_mem l m s : holds l (with_mem m s) = holds l s. Proof. reflexivity. Qed.

Theorem boot_region_ok base t3 n s :
  boot_ready base t3 n s -> holds LHost s = true ->
  core "boot_region" [base; t3; n] s = Some ([], boot_placed base t3 n s).
Proof.
  intros [(Ab & Pb) C S (E3 & P3 & A3) Fr Sf Fu] Hl. enter f_boot_region. unfold boot_placed.
  use s2_slot_ok. step. step. step. step.
  destruct (table_desc_ok t3 P3 A3) as (_ & T3 & _). pose proof (slot_range 2 base) as Hsl.
  assert (Q3 : points_to (table_desc t3) (host_table (hw s) 3 base) = true) by (rewrite <- E3; apply points_table; lia).
  assert (Hfl : floor_of 2 base = base) by addr.
  assert (H2 : floor_of 1 base + slot_of 2 base * 0x200000 = base) by (rewrite entry2; exact Hfl).
  pose proof (bt_1 _ _ _ _ _ C) as Q1. pose proof (bt_2 _ _ _ _ _ C) as Q2.
  eapply bind_call; [by apply (boot_link_done Cpu); [|exact Hl|lia]|]. tidy.
  set (d2 := if n =? 0 then host_block base else table_desc t3).
  set (s1 := boot_pointed base (host_table (hw s) 1 base) (host_table (hw s) 2 base) s).
  step.
  set (s2 := with_holes (<[floor_of 2 base := n]> (holes s1)) s1).
  assert (M2 : core "s2_make" [host_table (hw s) 2 base; slot_of 2 base; d2] s2 =
    Some ([], put_word (host_table (hw s) 2 base) (slot_of 2 base) d2 s2)).
  { eapply boot_write; [exact Q2|exact Hl|done| |].
    - change (mem s2) with (mem s1). unfold s1. rewrite boot_pointed_word; [exact Fr|]. intros E. rewrite E, Q1 in Q2. discriminate.
    - intros _. unfold host_desc_ok, d2. rewrite H2. destruct (Z.eqb_spec n 0) as [E0|].
      + destruct (host_block_ok base ltac:(lia) ltac:(addr)) as (_ & T & O & _). rewrite T, O, Z.eqb_refl. cbn [agent_eqb andb].
        apply forallb_forall. intros g Hg%granules_In. change (hosts_or_device s2 ?x) with (hosts_or_device s x). by apply Fu.
      + rewrite T3 by lia. exact Q3. }
  change (Z.lor (Z.lor base 2044) 1) with (host_block base). change (Z.lor t3 3) with (table_desc t3).
  set (s3 := put_word (host_table (hw s) 2 base) (slot_of 2 base) d2 s2) in *.
  assert (Last : smmu_table (hw s) 1 base <> 0 ->
    let s4 := boot_pointed base (smmu_table (hw s) 1 base) (smmu_table (hw s) 2 base) s3 in
    core "boot_link" [base; smmu_table (hw s) 1 base; smmu_table (hw s) 2 base] s3 = Some ([], s4) /\
    core "s2_make" [smmu_table (hw s) 2 base; slot_of 2 base; table_desc t3] s4 =
      Some ([], put_word (smmu_table (hw s) 2 base) (slot_of 2 base) (table_desc t3) s4)).
  { intros N s4. specialize (S N). specialize (Sf N). pose proof (bt_1 _ _ _ _ _ S) as R1. pose proof (bt_2 _ _ _ _ _ S) as R2.
    split; [apply (boot_link_done Smmu); [destruct S; by constructor|exact Hl|lia]|].
    eapply boot_write; [exact R2|exact Hl|done| |].
    - unfold s4. rewrite boot_pointed_word by (intros E; rewrite E, R1 in R2; discriminate).
      unfold s3. cbn [mem put_word with_mem]. rewrite word_set_page by (intros E; rewrite E, R2 in Q2; discriminate).
      change (mem s2) with (mem s1). unfold s1. rewrite boot_pointed_word by (intros E; rewrite E, Q1 in R2; discriminate). exact Sf.
    - intros _. unfold host_desc_ok. rewrite H2, T3 by lia. exact Q3. }
  unfold d2 in M2, s3. destruct (Z.eqb_spec n 0) as [E0|N0]; (eapply bind_call; [exact M2|]); tidy.
  all: destruct (Z.eqb_spec (smmu_table (hw s) 1 base) 0) as [Es|Ns]; cbn [negb]; [reflexivity|].
  all: destruct (Last Ns) as [K1 K2]; cbv zeta in *.
  all: eapply bind_call; [exact K1|]; tidy; eapply bind_call; [exact K2|]; tidy; reflexivity.
Qed.

(* ---- core_boot_device ---- *)

Lemma device_ok pa c : 0 <= pa < 2 ^ 48 -> pa mod 4096 = 0 -> c = S2_BLOCK \/ c = S2_PAGE ->
  let d := Z.lor (Z.lor pa DEVICE_ATTR) c in out_addr d = pa /\ is_table 2 d = (c =? S2_PAGE).
Proof.
  intros P A H d. subst d. rewrite lor3. unfold is_table. rewrite (land_attr pa) by lia. split.
  - rewrite out_addr_lor by (destruct H as [-> | ->]; reflexivity). by apply out_addr_aligned.
  - destruct H as [-> | ->]; reflexivity.
Qed.

(* The device is no DRAM (or the host's), and nothing is mapped there yet. *)
Theorem core_boot_device_ok ipa level s :
  let t2 := host_table (hw s) 2 ipa in let t3 := host_table (hw s) 3 ipa in
  idle s -> 0 <= ipa < 2 ^ 40 -> boot_tables Cpu ipa (host_table (hw s) 1 ipa) t2 s ->
  (level = 2 /\ is_valid (word (mem s) t2 (slot_of 2 ipa)) = false /\
     (forall i, 0 <= i < 512 -> hosts_or_device s (floor_of 2 ipa + i * 4096) = true)) \/
  (level = 3 /\ 0 < t3 < 2 ^ 48 /\ t3 mod 4096 = 0 /\ role_of (hw s) t3 = Some (Role None 3 (floor_of 2 ipa)) /\
     host_table (hw s) 3 (floor_of 2 ipa) = t3 /\ is_valid (word (mem s) t3 (slot_of 3 ipa)) = false /\
     hosts_or_device s (floor_of 3 ipa) = true) ->
  core "core_boot_device" [ipa; level] s = Some ([], boot_device ipa level s).
Proof.
  intros t2 t3 (Hh & Hs & Hst) Hi C H. enter f_core_boot_device. unfold boot_device. step. step. step. fold t2 t3.
  use s2_slot_ok. use s2_slot_ok. eapply bind_call; [apply s2_floor_ok; unfold u64; lia|]. tidy.
  refine (bind_prim P_host_lock [] _ _ _ [] (lock_taken LHost s) _ eq_refl _ _); [tidy|].
  2:{ unfold holds. by rewrite Hs, Hh. }
  pose proof (bt_1 _ _ _ _ _ C) as Q1. pose proof (bt_2 _ _ _ _ _ C) as Q2. pose proof (slot_range 2 ipa) as Hs2. pose proof (slot_range 3 ipa) as Hs3.
  assert (N12 : t2 <> host_table (hw s) 1 ipa) by (intros E; rewrite <- E, Q2 in Q1; discriminate).
  eapply bind_call; [apply (boot_link_done Cpu); [destruct C; by constructor|reflexivity|lia]|]. tidy.
  change (boot_pointed ipa (host_table (hw s) 1 ipa) t2 (lock_taken LHost s)) with (lock_taken LHost (boot_pointed ipa (host_table (hw s) 1 ipa) t2 s)).
  set (s1 := boot_pointed ipa (host_table (hw s) 1 ipa) t2 s).
  assert (W1 : forall t i, t <> host_table (hw s) 1 ipa -> word (mem s1) t i = word (mem s) t i) by (intros; by apply boot_pointed_word).
  destruct H as [(-> & V2 & D2)|(-> & P3 & A3 & R3 & E3 & V3 & D3)].
  - change (2 =? 2) with true. cbv iota. change (Z.lor (Z.lor (floor_of 2 ipa) 18014398509483204) 1) with (device_block (floor_of 2 ipa)).
    destruct (device_ok (floor_of 2 ipa) S2_BLOCK ltac:(addr) ltac:(addr) ltac:(auto)) as [O T]. fold (device_block (floor_of 2 ipa)) in O, T.
    eapply bind_call.
    { eapply boot_write; [exact Q2|reflexivity|done|change (mem (lock_taken LHost s1)) with (mem s1); by rewrite W1|].
      intros _. unfold host_desc_ok. rewrite entry2, T, O, Z.eqb_refl. cbn [Z.eqb S2_BLOCK S2_PAGE agent_eqb andb].
      apply forallb_forall. intros g Hg%granules_In. change (hosts_or_device (lock_taken LHost s1) ?x) with (hosts_or_device s x). by apply D2. }
    tidy. change (put_word ?t ?i ?d (lock_taken LHost s1)) with (lock_taken LHost (put_word t i d s1)).
    apply bind_host_unlock; [done..|]. tidy. reflexivity.
  - change (3 =? 2) with false. cbv iota. change (Z.lor (Z.lor (floor_of 3 ipa) 18014398509483204) 3) with (device_page (floor_of 3 ipa)).
    destruct (device_ok (floor_of 3 ipa) S2_PAGE ltac:(addr) ltac:(addr) ltac:(auto)) as [O _]. fold (device_page (floor_of 3 ipa)) in O.
    destruct (table_desc_ok t3 P3 A3) as (_ & T3 & _). change (Z.lor t3 3) with (table_desc t3).
    assert (N13 : t3 <> host_table (hw s) 1 ipa) by (intros E; rewrite <- E, R3 in Q1; discriminate).
    assert (N23 : t3 <> t2) by (intros E; rewrite <- E, R3 in Q2; discriminate).
    apply bind_read; [eapply host_read_ok; [exact Q2|reflexivity|apply slot_in_page]|]. tidy.
    change (mem (lock_taken LHost s1)) with (mem s1).
    set (s2 := if word (mem s1) t2 (slot_of 2 ipa) =? 0 then put_word t2 (slot_of 2 ipa) (table_desc t3) s1 else s1).
    assert (K : core "s2_make" [t3; slot_of 3 ipa; device_page (floor_of 3 ipa)] (lock_taken LHost s2) =
      Some ([], lock_taken LHost (put_word t3 (slot_of 3 ipa) (device_page (floor_of 3 ipa)) s2))).
    { assert (X : gran s2 = gran s /\ hw s2 = hw s /\ word (mem s2) t3 (slot_of 3 ipa) = word (mem s) t3 (slot_of 3 ipa)).
      { unfold s2. destruct (_ =? _); split_and!; try done; [|by apply W1]. cbn [mem put_word with_mem]. rewrite word_set_page by done. by apply W1. }
      destruct X as (Xg & Xw & Xm). eapply boot_write; [cbn [hw lock_taken with_held]; rewrite Xw; exact R3|reflexivity|done|cbn [mem lock_taken with_held]; by rewrite Xm|].
      intros _. unfold host_desc_ok. assert (Ea : floor_of 2 ipa + slot_of 3 ipa * 4096 = floor_of 3 ipa) by addr.
      rewrite Ea, O, Z.eqb_refl. unfold hosts_or_device in *. cbn [gran lock_taken with_held]. rewrite Xg. exact D3. }
    assert (Y : held s2 = [] /\ shrinking s2 = false /\ staled s2 = []) by (unfold s2; destruct (_ =? _); done).
    destruct Y as (Y1 & Y2 & Y3). unfold s2 in *.
    destruct (Z.eqb_spec (word (mem s1) t2 (slot_of 2 ipa)) 0) as [E0|].
    + eapply bind_call.
      { eapply boot_write; [exact Q2|reflexivity|done|change (mem (lock_taken LHost s1)) with (mem s1); by rewrite E0|].
        intros _. unfold host_desc_ok. rewrite entry2, T3 by lia. cbn [hw lock_taken with_held s1 boot_pointed with_mem]. rewrite E3. apply points_table; lia. }
      tidy. change (put_word t2 ?i ?d (lock_taken LHost s1)) with (lock_taken LHost (put_word t2 i d s1)).
      eapply bind_call; [exact K|]. tidy. apply bind_host_unlock; [done..|]. tidy. reflexivity.
    + eapply bind_call; [exact K|]. tidy. apply bind_host_unlock; [done..|]. tidy. reflexivity.
Qed.
