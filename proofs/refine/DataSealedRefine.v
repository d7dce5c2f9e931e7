(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/data.c: KCORE_DATA_CREATE_SEALED. *)
From kcore Require Export refine.DataCreateRefine.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem data_create_sealed_ok rd data ipa src tag s :
  inv s -> idle s -> u64 ipa -> u64 tag ->
  (has_state GS_RD rd s = true -> rd_of s RD_has_key rd = 0 \/ rd_of s RD_has_key rd = 1) ->
  core "data_create_sealed" [rd; data; ipa; src; tag] s =
  Some ([fst (create_sealed rd data ipa src tag s)], snd (create_sealed rd data ipa src tag s)).
Proof.
  intros I D Hu Ht Hkey. unfold create_sealed. enter f_data_create_sealed. change (Z.land tag 18446744073709547520) with (Z.land tag TAG_PAGE).
  rewrite (land_low 4 tag 15) by (lia || reflexivity). change (2 ^ 4) with 16.
  destruct (Z.eqb_spec (tag mod 16) 0) as [Ht16|]; cbn [negb orb]; [|reflexivity]. apply bind_pin.
  destruct (pinnable src s) eqn:Hp; tidy; cbn [negb orb]; [|reflexivity].
  destruct (pinnable_some _ _ Hp) as (x & Hx & Hns).
  assert (Hr : 0 <= g_refs x) by apply (i_gran _ I _ _ Hx).
  pose proof (inv_pinned _ _ I Hp) as I1. set (tags := Z.land tag TAG_PAGE). set (s1 := page_pinned src s) in *.
  pose proof D as (_ & _ & Hst).
  assert (Hsrc1 : pinned src s1 = true) by (by apply (pinned_page _ _ x)).
  apply bind_pin. destruct (pinnable tags s1) eqn:Hp'; tidy; cbn [negb orb].
  2:{ apply bind_put; [exact Hsrc1|exact Hst|]. unfold ret, s1. by rewrite (unpin_pin _ _ x). }
  destruct (pinnable_some _ _ Hp') as (y & Hy & Hys).
  assert (Hr' : 0 <= g_refs y) by apply (i_gran _ I1 _ _ Hy).
  set (d := Source src 1 1 tag).
  eapply bind_call; [apply (data_create_pinned_ok rd data ipa d)|].
  { by apply inv_pinned. }
  { exact D. }
  { exact Hu. }
  { split.
    - change (d_src d) with src. unfold pinned, page_pinned, with_refs, set_granule. cbn [gran with_gran].
      destruct (decide (tags = src)) as [->|N].
      + rewrite lookup_insert, (granule_at_eq _ _ _ Hy). cbn [g_state g_refs]. rewrite Hys. apply Z.ltb_lt. lia.
      + rewrite lookup_insert_ne by done. exact Hsrc1.
    - intros _. split_and!; [exact Ht16|by apply (pinned_page _ _ y)|]. intros Hrd.
      rewrite has_state_pinned in Hrd by eauto. unfold s1 in Hrd. rewrite has_state_pinned in Hrd by eauto. exact (Hkey Hrd). }
  destruct (create_pinned tags y rd data ipa d s1 I1 Hu Hy Hys) as (E1 & E2 & G & T).
  destruct (create_pinned src x rd data ipa d s I Hu Hx Hns) as (E3 & E4 & G' & T').
  fold s1 in E3, E4. rewrite E1, E2, E3. tidy.
  apply bind_put; [by apply (pinned_page _ _ y)|rewrite <- Hst; exact T|]. rewrite (unpin_pin _ _ y) by exact G.
  rewrite E4. tidy.
  apply bind_put; [by apply (pinned_page _ _ x)|rewrite <- Hst; exact T'|]. unfold ret. rewrite (unpin_pin _ _ x) by exact G'. reflexivity.
Qed.
