(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/data.c: RMI_RTT_INIT_RIPAS. *)
From kcore Require Export refine.RipasRefine.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma run_end_start w base : run_end w base (Z.of_nat 0) = base.
Proof. unfold run_end. lia. Qed.
Lemma run_end_later w base n : n <> 0%nat -> base < run_end w base (Z.of_nat n).
Proof. intros. destruct (size_pos (w_level w)). unfold run_end. nia. Qed.

Theorem rtt_init_ripas_locked_ok rd base top s :
  open_realm rd s -> u64 base -> u64 top -> base < top ->
  core "rtt_init_ripas_locked" [rd; base; top] s = Some (fst (init_locked rd base top s), snd (init_locked rd base top s)).
Proof.
  intros O Hb Ht Hlt. pose proof (open_hand _ _ O) as Hh. pose proof O as [I Hr Hl].
  enter f_rtt_init_ripas_locked. unfold init_locked. use data_ipa_ok_ok. use data_ipa_ok_ok. step.
  eapply bind_call; [apply error_realm_ok; lia|]. tidy. change REALM_NEW with 0.
  change (rd_get RD_state rd 0 s) with (rd_of s RD_state rd).
  destruct (page_possible rd base s) eqn:Hp; cbn [negb orb andb]; [|reflexivity].
  destruct (page_possible rd (wrap U64 (top - 4096)) s); cbn [negb orb andb]; [|reflexivity].
  destruct (rd_of s RD_state rd =? 0); cbn [negb]; [|reflexivity].
  destruct (possible_range _ _ _ I Hr Hb Hp) as (Hi & Hia & Hhalf).
  eapply bind_call; [apply rtt_walk_ok; [done|lia|lia]|]. tidy.
  destruct (walk_found rd base 3 s O ltac:(lia)) as (p & F). set (w := walk rd base 3 s) in *.
  pose proof (found_range _ _ _ _ _ F) as Hlev. use s2_aligned_ok. eapply bind_call; [apply error_rtt_ok; lia|]. tidy.
  destruct (aligned_to (w_level w) base); cbn [negb orb]; [|reflexivity].
  eapply bind_call; [apply (ripas_init_entries_ok rd base top w p); [exact F|unfold u64 in Ht; lia]|]. tidy.
  set (n := init_length w base top s). destruct (Nat.eqb_spec n 0) as [E|E].
  - rewrite E, run_end_start, Z.eqb_refl. unfold ram_made. rewrite each_below_0. reflexivity.
  - rewrite (proj2 (Z.eqb_neq _ _)) by (pose proof (run_end_later w base n E); lia). reflexivity.
Qed.

Lemma locked_is_under rd s : lock_taken (LGranule rd) s = under (gran s) (LGranule rd :: held s) (shrinking s) s.
Proof. by destruct s. Qed.

Lemma init_locked_under rd base top s : inv s -> has_state GS_RD rd s = true -> u64 base ->
  init_locked rd base top (lock_taken (LGranule rd) s) =
    (fst (init_locked rd base top s), lock_taken (LGranule rd) (snd (init_locked rd base top s))) /\
  (exists a b c d e, fst (init_locked rd base top s) = [a; b; c; d; e]) /\
  held (snd (init_locked rd base top s)) = held s /\ shrinking (snd (init_locked rd base top s)) = shrinking s /\
  staled (snd (init_locked rd base top s)) = staled s.
Proof.
  intros I Hr Hb. unfold init_locked, refused.
  change (walk rd base 3 (lock_taken (LGranule rd) s)) with (walk rd base 3 s).
  change (page_possible rd ?x (lock_taken (LGranule rd) s)) with (page_possible rd x s).
  change (rd_of (lock_taken (LGranule rd) s) RD_state rd) with (rd_of s RD_state rd).
  change (init_length (walk rd base 3 s) base top (lock_taken (LGranule rd) s)) with (init_length (walk rd base 3 s) base top s).
  destruct (page_possible rd base s) eqn:Hp; cbn [negb andb fst snd]; [|by split_and!; eauto 10].
  destruct (page_possible rd (wrap U64 (top - 4096)) s); cbn [negb fst snd]; [|by split_and!; eauto 10].
  destruct (rd_of s RD_state rd =? REALM_NEW); cbn [negb fst snd]; [|by split_and!; eauto 10].
  destruct (possible_range _ _ _ I Hr Hb Hp) as (Hi & _ & Hhalf).
  destruct (walk_at s rd base 3 I Hr) as [(p & Hpl & _ & _ & Es & _) _]; [lia|]. set (w := walk rd base 3 s) in *.
  set (n := init_length w base top s).
  destruct (negb (aligned_to (w_level w) base) || (n =? 0)%nat); cbn [fst snd]; [by split_and!; eauto 10|].
  assert (Nr : w_table w <> rd).
  { intros E. destruct (place_granule _ _ _ I Hpl) as (_ & _ & Ht). rewrite E in Ht. unfold has_state in Ht, Hr.
    destruct (gran s !! rd); [|done]. apply Z.eqb_eq in Ht, Hr. rewrite Hr in Ht. discriminate. }
  assert (H0 : 0 <= w_slot w) by (rewrite Es; apply slot_range).
  destruct (ram_made_kept rd w base n s Nr H0) as [G H S T _ _ _].
  split_and!; [|by eauto 10|done..].
  f_equal. rewrite !locked_is_under, ram_under. by rewrite G, H, S.
Qed.

Theorem rtt_init_ripas_ok rd base top s :
  inv s -> idle s -> u64 base -> u64 top ->
  core "rtt_init_ripas" [rd; base; top] s = Some (fst (init_ripas rd base top s), snd (init_ripas rd base top s)).
Proof.
  intros I (Hh & Hs & Hst) Hb Ht. unfold init_ripas. enter f_rtt_init_ripas.
  destruct (Z.leb_spec top base) as [|Hlt]; cbn [orb]; [reflexivity|]. apply bind_lock; [exact Hs|exact Hh|].
  destruct (has_state GS_RD rd s) eqn:Hr; tidy; cbn [negb]; [|reflexivity].
  eapply bind_call; [apply rtt_init_ripas_locked_ok; [by apply locked_open|done|done|done]|].
  destruct (init_locked_under rd base top s I Hr Hb) as (E & (a & b & c & d & e & El) & F1 & F2 & F3).
  rewrite E. cbn [fst snd]. rewrite El. tidy.
  apply bind_unlock; [by rewrite F1|by rewrite F2|by rewrite F3|]. tidy. reflexivity.
Qed.
