(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rmi.c: KCORE_LOG_READ and KCORE_IDENTITY_READ. *)
From kcore Require Export refine.HostmemRangeRefine refine.RecSteps spec.RmiRead.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma unpinned_again ns n f from s : inv s -> staled s = [] -> pinnable ns s = true ->
  let s1 := with_refs ns (g_refs (granule_at s ns) + 1) s in
  pinned ns s1 = true /\
  prim_sem P_ns_put [ns] (page_told ns n f from s1) = Some ([], page_told ns n f from s).
Proof.
  intros I Hst E s1. apply andb_true_iff in E as [Ec Er]. unfold claimable, has_state in Ec.
  destruct (gran s !! ns) as [g|] eqn:G; [|discriminate]. apply andb_true_iff in Ec as [Ec _].
  assert (Hg : granule_at s ns = g) by (unfold granule_at; by rewrite G). destruct (i_gran _ I _ _ G) as (_ & _ & R & _).
  assert (P : pinned ns s1 = true).
  { unfold pinned, s1, with_refs, set_granule. cbn [gran with_gran]. rewrite lookup_insert. cbn [g_state g_refs]. rewrite Hg, Ec.
    apply Z.ltb_lt. lia. }
  split; [exact P|]. cbv beta iota delta [prim_sem].
  assert (Q : no_realm_had (page_told ns n f from s1) ns = true).
  { unfold no_realm_had, page_told, s1, with_refs, set_granule, put_page. cbn [staled with_mem with_gran]. rewrite Hst. reflexivity. }
  change (pinned ns (page_told ns n f from s1)) with (pinned ns s1). rewrite P, Q. cbn [andb guarded].
  f_equal. f_equal. unfold page_told. change (mem s1) with (mem s). generalize (bytes_put (page (mem s) ns) 0 n f from).
  intros l. unfold with_refs, set_granule. change (gran (put_page ns l s1)) with (<[ns := Gran (g_state (granule_at s ns)) (g_owner (granule_at s ns)) (g_refs (granule_at s ns) + 1)]> (gran s)).
  change (granule_at (put_page ns l s1) ns) with (default (Gran GS_CORE 0 0) (<[ns := Gran (g_state (granule_at s ns)) (g_owner (granule_at s ns)) (g_refs (granule_at s ns) + 1)]> (gran s) !! ns)).
  rewrite lookup_insert, insert_insert. cbn [default from_option id g_state g_owner g_refs]. rewrite Hg.
  replace (g_refs g + 1 - 1) with (g_refs g) by lia. rewrite insert_id by (rewrite G; by destruct g).
  unfold s1, put_page, with_refs, set_granule. destruct s. reflexivity.
Qed.
Theorem kcore_log_read_ok ns seq s : inv s -> idle s -> core "kcore_log_read" [ns; seq] s = Some (log_told ns seq s).
Proof.
  intros I (_ & _ & Hst). enter f_kcore_log_read. unfold bind at 1. cbv beta iota delta [prim_sem guarded]. unfold log_told.
  change (claimable GS_NS ns s && (g_refs (granule_at s ns) <? REFS_MAX)) with (pinnable ns s).
  destruct (pinnable ns s) eqn:E; tidy; [|reflexivity]. set (s1 := with_refs ns _ s).
  unfold bind at 1. cbv beta iota delta [prim_sem]. change (log_text (hw s1) (logged s1) seq) with (log_text (hw s) (logged s) seq).
  destruct (log_text (hw s) (logged s) seq) as [n next].
  destruct (unpinned_again ns n (log_byte (hw s) (logged s) seq) 0 s I Hst E) as [P Q]. fold s1 in P, Q. rewrite P. cbv beta iota delta [guarded]. tidy.
  eapply bind_call; [exact Q|]. tidy. reflexivity.
Qed.

Theorem kcore_identity_read_ok ns offset s : inv s -> idle s ->
  core "kcore_identity_read" [ns; offset] s = Some (identity_told ns offset s).
Proof.
  intros I (_ & _ & Hst). enter f_kcore_identity_read. unfold bind at 1. cbv beta iota delta [prim_sem guarded]. unfold identity_told.
  change (claimable GS_NS ns s && (g_refs (granule_at s ns) <? REFS_MAX)) with (pinnable ns s).
  destruct (pinnable ns s) eqn:E; tidy; [|reflexivity]. set (s1 := with_refs ns _ s).
  unfold bind at 1. cbv beta iota zeta delta [prim_sem]. change (hw s1) with (hw s).
  set (n := document offset (identity_size (hw s))).
  destruct (unpinned_again ns n (identity_byte (hw s)) offset s I Hst E) as [P Q]. fold s1 in P, Q. rewrite P.
  cbv beta iota delta [guarded]. tidy. eapply bind_call; [exact Q|]. tidy. reflexivity.
Qed.
