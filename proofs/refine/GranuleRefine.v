(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/granule.c *)
From kcore Require Export refine.TableRefine refine.RealmFacts spec.Granule.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma status_eq code index : 0 <= index < 2 ^ 56 -> 0 <= code < 256 ->
  Z.lor code (wrap U64 (Z.shiftl index 8)) = code + 256 * index.
Proof.
  intros. rewrite Z.shiftl_mul_pow2, wrap_small, Z.lor_comm by lia.
  rewrite (lor_disjoint 8); [lia|lia| |lia]. apply Z.mod_mul. lia.
Qed.

Theorem error_realm_ok index s :
  0 <= index < 2 ^ 56 -> core "error_realm" [index] s = Some ([status_realm index], s).
Proof. intros. enter f_error_realm. rewrite status_eq by lia. reflexivity. Qed.

Theorem error_rtt_ok level s : 0 <= level < 2 ^ 56 -> core "error_rtt" [level] s = Some ([status_rtt level], s).
Proof. intros. enter f_error_rtt. rewrite status_eq by lia. reflexivity. Qed.

Theorem is_granule_aligned_ok a s : core "is_granule_aligned" [a] s = Some ([b2z (is_aligned a)], s).
Proof. enter f_is_granule_aligned. rewrite (land_low 12) by lia. reflexivity. Qed.

(* The realm that owned it is locked, and nothing translates to it any more. *)
Theorem granule_scrub_ok pa s :
  may_zero pa s = true -> has_state GS_NS pa s = false ->
  core "granule_scrub" [pa] s = Some ([], scrubbed pa s).
Proof.
  intros H Hns. pose proof H as [[Hin _]%andb_true_iff Hr]%andb_true_iff.
  pose proof (unreached_zeroed s (set_granule pa (Gran (g_state (granule_at s pa)) (g_owner (granule_at s pa)) 0)
    (put_page pa zero_page s)) pa eq_refl eq_refl eq_refl eq_refl Hr) as Hz.
  unfold under_lock, tracked, has_state in *.
  destruct (gran s !! pa) as [gr|] eqn:Hg; [|discriminate].
  assert (Hat : granule_at s pa = gr) by (unfold granule_at; by rewrite Hg). rewrite Hat in *.
  open s. unfold holds in *. fields_in Hg. fields_in Hin. fields_in Hz. fields_in Hns. cbn [andb] in Hin.
  enter f_granule_scrub.
  prim; [|exact H].
  prim; [|unfold under_lock, tracked, granule_at, holds; fields; rewrite Hg; simpl; by rewrite Hin].
  prim.
  2:{ unfold may_set, under_lock, tracked, granule_at, holds, is_zero; fields.
      rewrite lookup_insert, Hg. cbn [default from_option id g_owner g_state g_refs].
      rewrite Hns, Hin, page_insert_same. rewrite bool_decide_eq_true_2 by reflexivity.
      cbn [andb orb Z.eqb GS_DELEGATED GS_NS GS_RTT]. rewrite Hz. cbn [andb orb]. by rewrite orb_true_r. }
  unfold ret, scrubbed. fields. unfold granule_at; fields. rewrite lookup_insert, Hg, insert_insert. reflexivity.
Qed.

Theorem granule_add_refs_ok pa n s :
  under_lock pa s = true -> wrap U64 (refs_of pa s + n) <= REFS_MAX ->
  core "granule_add_refs" [pa; n] s = Some ([], refs_added pa n s).
Proof.
  intros H Hn. open s.
  enter f_granule_add_refs. prim; [|exact H].
  prim; [reflexivity|]. rewrite H. apply Z.leb_le, Hn.
Qed.
