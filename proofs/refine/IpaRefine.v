(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: a realm's addresses. *)
From kcore Require Export refine.RecSteps spec.Ipa.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem ipa_in_bounds_ok rd ipa s :
  in_hand rd s = true -> core "ipa_in_bounds" [rd; ipa] s = Some ([b2z (in_bounds rd ipa s)], s).
Proof. intros H. enter f_ipa_in_bounds. step. reflexivity. Qed.

Theorem ipa_in_par_ok rd ipa s :
  in_hand rd s = true -> core "ipa_in_par" [rd; ipa] s = Some ([b2z (in_par rd ipa s)], s).
Proof. intros H. enter f_ipa_in_par. step. rewrite shr by lia. reflexivity. Qed.
