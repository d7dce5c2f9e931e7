(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: boot maps DRAM for the host. *)
From kcore Require Export refine.HostBootMapRefine.
From kcore Require Export spec.HostBootDram.
From kcore Require Import refine.RttWalk.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma boot_filled_frame base t3 n s : exists m, boot_filled base t3 n s = with_mem m s /\
  (forall t i, t <> t3 -> word m t i = word (mem s) t i) /\
  (base mod 0x200000 = 0 -> (n <= 512)%nat -> forall i, Z.of_nat n <= i < 512 -> word m t3 i = word (mem s) t3 i).
Proof.
  unfold boot_filled. induction n as [|n (m & E & W & V)].
  - exists (mem s). split; [destruct s; reflexivity|done].
  - rewrite each_below_S, E. unfold boot_mapped. change (claimable GS_NS ?x (with_mem m s)) with (claimable GS_NS x s).
    destruct (claimable GS_NS (base + Z.of_nat n * 4096) s).
    + exists (set_word m t3 (slot_of 3 (base + Z.of_nat n * 4096)) (host_page (base + Z.of_nat n * 4096))). split_and!.
      * reflexivity.
      * intros t i N. rewrite word_set_page by done. by apply W.
      * intros Hb Hn i Hi. pose proof (slot3_nth base (Z.of_nat n) Hb ltac:(lia)) as Es. unfold nth_granule in Es. rewrite Es.
        rewrite word_set_slot by lia. apply V; [done|lia|lia].
    + exists m. split_and!; [done|done|]. intros Hb Hn i Hi. apply V; [done|lia|lia].
Qed.

Lemma boot_holes_S base n s :
  boot_holes base (S n) s = boot_holes base n s + (if claimable GS_NS (base + Z.of_nat n * 4096) s then 0 else 1).
Proof. unfold boot_holes. rewrite below_S, count_app, count_cons. destruct (claimable _ _ _); cbn [negb]; unfold count; cbn; lia. Qed.
Lemma below_len n : length (below n) = n.
Proof. unfold below. by rewrite length_map, length_seq. Qed.
Lemma boot_holes_range base n s : 0 <= boot_holes base n s <= Z.of_nat n.
Proof.
  unfold boot_holes. pose proof (count_range (fun i => negb (claimable GS_NS (base + i * 4096) s)) (below n)) as H.
  by rewrite below_len in H.
Qed.

Lemma pointed_under l ipa t1 t2 s : boot_pointed ipa t1 t2 (lock_taken l s) = lock_taken l (boot_pointed ipa t1 t2 s).
Proof. reflexivity. Qed.
Lemma word_under l t i d s : put_word t i d (lock_taken l s) = lock_taken l (put_word t i d s).
Proof. reflexivity. Qed.
Lemma holes_under l h s : with_holes h (lock_taken l s) = lock_taken l (with_holes h s).
Proof. reflexivity. Qed.
Lemma placed_under l base t3 n s : boot_placed base t3 n (lock_taken l s) = lock_taken l (boot_placed base t3 n s).
Proof.
  unfold boot_placed. change (hw (lock_taken l s)) with (hw s). rewrite !pointed_under.
  change (holes (lock_taken l ?x)) with (holes x). rewrite !holes_under, !word_under, !pointed_under, !word_under.
  destruct (smmu_table (hw s) 1 base =? 0); reflexivity.
Qed.

Lemma placed_idle base t3 n s : let s' := boot_placed base t3 n s in
  held s' = held s /\ shrinking s' = shrinking s /\ staled s' = staled s.
Proof. unfold boot_placed. destruct (smmu_table (hw s) 1 base =? 0); done. Qed.
Lemma boot_holes_none base n s : boot_holes base n s = 0 -> forall i, 0 <= i < Z.of_nat n -> hosts_or_device s (base + i * 4096) = true.
Proof.
  intros En i Hi. unfold boot_holes in En. rewrite count_none in En. specialize (En i).
  assert (Hin : i ∈ below n) by (apply elem_of_list_In, below_In; lia). specialize (En Hin). apply negb_false_iff in En.
  destruct (claimable_inv _ _ _ En) as (x & Hx & Hs' & _). unfold hosts_or_device. rewrite Hx. by apply Z.eqb_eq.
Qed.

(* The level 3 table says nothing yet; the tables above are in their places. *)
Theorem core_boot_dram_ok ipa s :
  let base := floor_of 2 ipa in let t3 := host_table (hw s) 3 ipa in
  idle s -> 0 <= ipa < 2 ^ 40 -> boot_ready base t3 1 s -> role_of (hw s) t3 = Some (Role None 3 base) ->
  (forall i, 0 <= i < 512 -> word (mem s) t3 i = 0) ->
  core "core_boot_dram" [ipa] s = Some ([], boot_dram ipa s).
Proof.
  intros base t3 (Hh & Hs & Hst) Hi R Hr3 Hz. destruct R as [(Ab & Pb) C Sm (E3 & P3 & A3) Fr Sf _].
  enter f_core_boot_dram. eapply bind_call; [apply s2_floor_ok; unfold u64; lia|]. tidy. fold base. step. fold t3.
  eapply (loop_rule (fun j fr s' => fr = [ipa; base; t3; 512 - Z.of_nat j + boot_holes base j s; 0; 0] /\ s' = boot_filled base t3 j s)).
  - split; [reflexivity|]. unfold boot_filled. reflexivity.
  - intros j fr s' k Hj [-> ->]. change (0 + Z.of_nat j) with (Z.of_nat j).
    exists [ipa; base; t3; 512 - Z.of_nat (S j) + boot_holes base (S j) s; Z.of_nat j; b2z (claimable GS_NS (base + Z.of_nat j * 4096) s)],
      (boot_filled base t3 (S j) s). split; [|done]. tidy.
    rewrite Z.shiftl_mul_pow2 by lia. change (2 ^ 12) with 4096. rewrite (wrap_small (_ * 4096)), (wrap_small (_ + _)) by lia.
    destruct (boot_filled_frame base t3 j s) as (m & E & W & V). 
    assert (Es : slot_of 3 (base + Z.of_nat j * 4096) = Z.of_nat j) by (pose proof (slot3_nth base (Z.of_nat j) Ab ltac:(lia)) as Es; exact Es).
    eapply bind_call.
    { apply (boot_page_ok _ _ base); rewrite ?E, ?Es; [done|exact Hr3|done|lia| |].
      - rewrite Z.mod_add by lia. addr.
      - change (mem (with_mem m s)) with m. rewrite V by (done || lia). apply Hz. lia. }
    assert (Ec : claimable GS_NS (base + Z.of_nat j * 4096) (boot_filled base t3 j s) = claimable GS_NS (base + Z.of_nat j * 4096) s) by by rewrite E.
    rewrite Ec. tidy. assert (ES : boot_filled base t3 (S j) s = boot_mapped (base + Z.of_nat j * 4096) t3 (boot_filled base t3 j s)).
    { unfold boot_filled. by rewrite each_below_S. }
    rewrite ES, boot_holes_S. pose proof (boot_holes_range base j s).
    destruct (claimable GS_NS (base + Z.of_nat j * 4096) s); cbn [b2z].
    + rewrite wrap_small by lia. replace (512 - Z.of_nat (S j) + (boot_holes base j s + 0)) with (512 - Z.of_nat j + boot_holes base j s - 1) by lia. reflexivity.
    + replace (512 - Z.of_nat (S j) + (boot_holes base j s + 1)) with (512 - Z.of_nat j + boot_holes base j s) by lia. reflexivity.
  - intros fr s' [-> ->]. assert (E0 : 512 - Z.of_nat 512 + boot_holes base 512 s = boot_holes base 512 s) by (change (Z.of_nat 512) with 512; lia).
    rewrite E0. clear E0.
    assert (D : boot_dram ipa s = boot_placed base t3 (boot_holes base 512 s) (boot_filled base t3 512 s)) by reflexivity. rewrite D. clear D.
    destruct (boot_filled_frame base t3 512 s) as (m & E & W & _). rewrite E. clear E.
    pose proof (boot_holes_none base 512 s) as Hn. change (Z.of_nat 512) with 512 in Hn. revert Hn. generalize (boot_holes base 512 s). intros n Hn. tidy.
    assert (N2 : host_table (hw s) 2 base <> t3) by (intros E'; pose proof (bt_2 _ _ _ _ _ C) as Q; rewrite E', Hr3 in Q; discriminate).
    assert (R : boot_ready base t3 n (lock_taken LHost (with_mem m s))).
    { constructor.
      - split; [exact Ab|exact Pb].
      - destruct C. by constructor.
      - intros N. destruct (Sm N). by constructor.
      - split; [exact E3|]. split; [exact P3|exact A3].
      - cbn [mem lock_taken with_held with_mem hw]. by rewrite W.
      - intros N. cbn [mem lock_taken with_held with_mem hw] in *. rewrite W; [by apply Sf|].
        intros E'. pose proof (bt_2 _ _ _ _ _ (Sm N)) as Q. rewrite E', Hr3 in Q. discriminate.
      - exact Hn. }
    refine (bind_prim P_host_lock [] _ _ _ [] (lock_taken LHost (with_mem m s)) _ eq_refl _ _); [tidy|].
    2:{ change (shrinking (with_mem m s)) with (shrinking s). change (holds LHost (with_mem m s)) with (holds LHost s). unfold holds. by rewrite Hs, Hh. }
    eapply bind_call; [apply boot_region_ok; [exact R|reflexivity]|]. tidy. rewrite placed_under.
    destruct (placed_idle base t3 n (with_mem m s)) as (K1 & K2 & K3). revert K1 K2 K3.
    generalize (boot_placed base t3 n (with_mem m s)). intros x K1 K2 K3.
    apply bind_host_unlock; [by rewrite K1, <- Hh|by rewrite K2, <- Hs|by rewrite K3, <- Hst|]. tidy. reflexivity.
Qed.
