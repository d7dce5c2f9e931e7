(* SPDX-License-Identifier: Apache-2.0 *)
(* What the host, its devices and realms store meanwhile goes to pages of the host's or of a realm's, or to no memory of
   anyone's (accesses_storable, realm_accesses_storable in RunIsolated.v): it changes nothing of what anyone reaches, nor of what holds
   between handlers. *)
From kcore Require Import refine.Tlb.
From kcore Require Import refine.RealmApart.
From kcore Require Import refine.RunFacts.
From kcore Require Import spec.RealmTlb.
Local Open Scope Z_scope.

Definition storable (pa : Z) (s : state) : Prop :=
  gran s !! pa = None \/ has_state GS_NS pa s = true \/ has_state GS_DATA pa s = true.

Lemma storable_no_table s pa : contained s -> storable pa s -> role_of (hw s) pa = None.
Proof.
  intros K [H | [H | H]]; [|by eapply (state_no_table _ K)..].
  destruct (role_of (hw s) pa) as [r|] eqn:E; [|done]. destruct (tc_own _ K _ _ E) as (g & Hg & _). congruence.
Qed.
Lemma store_quiet s pa l : contained s -> storable pa s -> quiet s (put_page pa l s).
Proof. intros K H. apply (put_quiet _ K). by apply storable_no_table. Qed.

Theorem store_secure s T pa l : secure s T -> storable pa s -> secure (put_page pa l s) T.
Proof.
  intros [K HT] H. pose proof (store_quiet s pa l K H) as Q. split; [by apply (quiet_contained s)|].
  intros a level base d Hd. apply (hold_quiet s); [exact K|exact Q|by apply HT].
Qed.

Theorem store_apart s T pa l : apart s T -> storable pa s -> apart (put_page pa l s) T.
Proof.
  intros A H. pose proof (ap_contained _ _ A) as K. apply (calm_apart s T); [exact A| |].
  - apply (quiet_contained s); [exact K|by apply store_quiet].
  - destruct H as [H | [H | H]]; [|by eapply (object_calm _ _ A)..].
    assert (N : forall st, has_state st pa s = false) by (intros; unfold has_state; by rewrite H).
    apply (cold_calm _ _ A).
    + intros rd lv b Hh. destruct (hot_placed _ _ A _ _ _ _ Hh) as (_ & _ & _ & _ & [S | S]); by rewrite N in S.
    + intros Hc. destruct (ap_cached _ _ A _ Hc) as [S _]. by rewrite N in S.
Qed.

Theorem store_inv s pa l : inv s -> role_of (hw s) pa = None -> storable pa s -> page_words l -> inv (put_page pa l s).
Proof.
  intros I Hr H Hl. destruct (gran s !! pa) as [x|] eqn:Hx.
  { apply (inv_put_page s pa l x); try done. unfold storable, has_state in H. rewrite Hx in H.
    destruct H as [H | [H | H]]; [done|left|right; left]; by apply Z.eqb_eq. }
  destruct (page_put_words (mem s) pa l (i_words _ I) (i_mem _ I) Hl) as [Hw Hm].
  assert (P : forall p, p <> pa -> page (mem (put_page pa l s)) p = page (mem s) p) by (intros p Hp; apply page_insert_other; congruence).
  assert (St : forall p st, has_state st p s = true -> page (mem (put_page pa l s)) p = page (mem s) p).
  { intros p st Hs. apply P. intros ->. unfold has_state in Hs. by rewrite Hx in Hs. }
  apply (inv_tended s); [done|]. constructor; try done.
  - intros p st Hs _. by apply (St p st).
  - intros t r Ht. apply P. congruence.
  - intros rec g Hg Hs. pose proof (i_rec _ I _ _ Hg Hs) as C. pose proof (St rec GS_REC (has_state_intro _ _ _ _ Hg Hs)) as E.
    split; [intros f _; unfold rec_of, rec_get, word; by rewrite E|]. apply (waits_same s); [done| |done|by apply rec_waits].
    unfold rd_of, rd_get, word. rewrite (St _ GS_RD); [done|]. apply (c_rd _ _ _ C).
  - apply (i_scratch _ I).
  - apply (i_loaded _ I).
Qed.
