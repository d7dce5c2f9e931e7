(* SPDX-License-Identifier: Apache-2.0 *)
(* What the host, its devices and realms store meanwhile, at any step, goes to pages of the host's or of a realm's (tlb_isolated,
   realm_tlb_isolated): it changes nothing of what anyone reaches. *)
From kcore Require Import refine.Tlb.
From kcore Require Import refine.RealmApart.
From kcore Require Import spec.RealmTlb.
Local Open Scope Z_scope.

Definition storable (pa : Z) (s : state) : Prop := has_state GS_NS pa s = true \/ has_state GS_DATA pa s = true.

Lemma store_quiet s pa l : contained s -> storable pa s -> quiet s (put_page pa l s).
Proof. intros K [H | H]; apply (put_quiet _ K); by eapply (state_no_table _ K). Qed.

Theorem store_secure s T pa l : secure s T -> storable pa s -> secure (put_page pa l s) T.
Proof.
  intros [K HT] H. pose proof (store_quiet s pa l K H) as Q. split; [by apply (quiet_contained s)|].
  intros a level base d Hd. apply (hold_quiet s); [exact K|exact Q|by apply HT].
Qed.

Theorem store_apart s T pa l : apart s T -> storable pa s -> apart (put_page pa l s) T.
Proof.
  intros A H. pose proof (ap_contained _ _ A) as K. apply (calm_apart s T); [exact A| |].
  - apply (quiet_contained s); [exact K|by apply store_quiet].
  - destruct H as [H | H]; by eapply (object_calm _ _ A).
Qed.
