(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: boot *)
From kcore Require Export refine.HostmemRefine refine.UnderFacts spec.HostBoot.
From kcore Require Import refine.Steps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Theorem boot_link_ok ipa t1 t2 s :
  may_read t1 (slot_of 1 ipa) s = true ->
  (word (mem s) t1 (slot_of 1 ipa) = 0 -> may_write t1 (slot_of 1 ipa) (table_desc t2) s = true) ->
  core "boot_link" [ipa; t1; t2] s = Some ([], boot_linked ipa t1 t2 s).
Proof.
  intros Hr Hw. unfold boot_linked. enter f_boot_link. after s2_slot_ok. step.
  change (Z.lor t2 3) with (table_desc t2).
  destruct (Z.eqb_spec (word (mem s) t1 (slot_of 1 ipa)) 0) as [E|N]; [|reflexivity].
  after s2_make_ok; [by apply Hw|reflexivity].
Qed.

(* The table is the one for pa, and says nothing of it yet. *)
Theorem boot_page_ok pa t3 base s :
  idle s -> role_of (hw s) t3 = Some (Role None 3 base) -> base + slot_of 3 pa * 4096 = pa ->
  0 <= pa < 2 ^ 48 -> pa mod 4096 = 0 -> word (mem s) t3 (slot_of 3 pa) = 0 ->
  core "boot_page" [pa; t3] s = Some ([b2z (claimable GS_NS pa s)], boot_mapped pa t3 s).
Proof.
  intros (Hh & Hs & Hst) Hr Hb Hpa Ha Hw. unfold boot_mapped. enter f_boot_page. after s2_slot_ok.
  destruct (claimable GS_NS pa s) eqn:Hc.
  2:{ open s. fields_in Hh. fields_in Hs. fields_in Hst. subst hl sh st.
      take_claim Hc. reflexivity. }
  destruct (claimable_inv _ _ _ Hc) as (x & Hx & Hns & _).
  destruct (host_page_ok pa Hpa Ha) as (V & O & _).
  open s. fields_in Hh. fields_in Hs. fields_in Hst. fields_in Hx. fields_in Hr. fields_in Hw. subst hl sh st.
  take_claim Hc.
  prim. change (Z.lor (Z.lor pa 2044) 3) with (host_page pa).
  call s2_make_ok.
  2:{ eapply host_write_ok; [exact Hr|reflexivity|apply slot_in_page| |].
      - fields. apply bbm_make. by rewrite Hw.
      - intros _. unfold host_desc_ok. rewrite Hb, O, Z.eqb_refl. unfold hosts_or_device. fields. rewrite Hx, Hns. reflexivity. }
  erewrite after_write_invalid; [|exact Hr|fields; by rewrite Hw]. fields.
  prim. dropped. prim; [|by_holds]. dropped. reflexivity.
Qed.
