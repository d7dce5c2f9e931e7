(* SPDX-License-Identifier: Apache-2.0 *)
(* From boot on, whatever the host calls, its devices and realms store, and TLBs take up and drop: the invariant holds between
   handlers, none gets stuck, and at every moment nobody reaches what is not his. *)
From kcore Require Import refine.HostSmcInv.
From kcore Require Import refine.RealmTlb.
From kcore Require Import refine.RealmApart.
From kcore Require Import refine.Tlb.
From kcore Require Import refine.RecInv.
From kcore Require Import refine.Stores.
From kcore Require Import refine.RunsKept.
From kcore Require Import refine.Initial.
From kcore Require Import lang.Keeps.
From kcore Require Import lang.Traces.
From kcore Require Import gen.Core.
From kcore Require Export spec.Run.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Definition secured (m : machine) : Prop := secure (m_state m) (m_tlb m) /\ apart (m_state m) (m_realm_tlb m).

(* ---- The core ---- *)

Lemma prim_secured p args : keeps secured (prim_with_tlbs p args).
Proof.
  intros m rs m' H [S A]. unfold prim_with_tlbs in H.
  destruct (prim_with_tlb p args (m_state m, m_tlb m)) as [[rs1 [s T]]|] eqn:E1; [|discriminate].
  destruct (prim_with_realm_tlb p args (m_state m, m_realm_tlb m)) as [[rs2 [s2 R]]|] eqn:E2; [|discriminate].
  injection H as <- <-. pose proof (prim_secure p args _ _ _ E1 S) as S'. pose proof (prim_apart p args _ _ _ E2 A) as A'.
  split; [exact S'|]. cbn. enough (s2 = s) as <- by exact A'.
  unfold prim_with_tlb, prim_with_realm_tlb in *. destruct (prim_sem p args (m_state m)) as [[r x]|]; [|discriminate].
  congruence.
Qed.
(* Whatever function of the core runs, from whatever arguments, and whatever walks others make meanwhile. *)
Theorem core_secured f args m rs m' : link prim_with_tlbs program f args m = Some (rs, m') -> secured m -> secured m'.
Proof. exact (link_keeps prim_with_tlbs secured prim_secured program f args m rs m'). Qed.

(* With TLBs it does what it does without. *)
Theorem core_with_tlbs f args m rs s' : link prim_sem program f args (m_state m) = Some (rs, s') ->
  exists m', link prim_with_tlbs program f args m = Some (rs, m') /\ m_state m' = s'.
Proof.
  intros H. apply (link_follows prim_sem prim_with_tlbs (fun s m => m_state m = s)) with (a := m_state m); [|exact H|reflexivity].
  intros p a s1 rs1 s2 m1 H1 <-. unfold prim_with_tlbs, prim_with_tlb, prim_with_realm_tlb. rewrite H1. eauto.
Qed.
Lemma tlbs_with_core f args m rs m' : link prim_with_tlbs program f args m = Some (rs, m') ->
  link prim_sem program f args (m_state m) = Some (rs, m_state m').
Proof.
  intros H. destruct (link_follows prim_with_tlbs prim_sem (fun m s => m_state m = s)) with (p := program) (f := f) (args := args)
    (a := m) (rs := rs) (a' := m') (b := m_state m) as (s' & E & <-); [|exact H|reflexivity|exact E].
  intros p a m1 rs1 m2 s1 H1 <-. unfold prim_with_tlbs, prim_with_tlb, prim_with_realm_tlb in H1.
  destruct (prim_sem p a (m_state m1)) as [[r x]|]; [|discriminate]. injection H1 as <- <-. eauto.
Qed.

(* ---- What is reached ---- *)

Lemma accesses_hosts m a ipa pa : secured m -> accesses m a ipa pa -> hosts_or_device (m_state m) (floor_of 3 pa) = true.
Proof.
  intros [[K HT] _] (level & base & d & H & Ht & Hi & ->).
  pose proof (filled_held _ K _ HT _ _ _ _ H) as Hh. destruct (hold_leaf _ _ _ _ _ _ Hh Ht Hi) as [-> E]. exact E.
Qed.
Lemma realm_accesses_own m vmid ipa pa : secured m -> realm_accesses m vmid ipa pa -> exists rd,
  rd ∈ cached (m_state m) /\ shape RD_vmid rd (m_state m) = vmid /\
  (forall rd', rd' ∈ cached (m_state m) -> shape RD_vmid rd' (m_state m) = vmid -> rd' = rd) /\
  (own_data (m_state m) rd (floor_of 3 pa) = true \/ has_state GS_NS (floor_of 3 pa) (m_state m) = true).
Proof.
  intros [_ A] (level & base & d & H & Ht & Hi & ->).
  destruct (filled_well _ _ A _ _ _ _ H) as (rd & Hc & Hv & _ & F & _). exists rd. split; [exact Hc|]. split; [exact Hv|].
  split; [intros rd' Hc' Hv'; apply (ap_vmid _ _ A); congruence|]. apply F; [exact Ht| |].
  - pose proof (page_address d). unfold floor_of. change (size_of 3) with 4096. pose proof (size_page level).
    Z.to_euclidean_division_equations. lia.
  - unfold floor_of. change (size_of 3) with 4096. rewrite Zminus_mod_idemp_r, Z.sub_diag. reflexivity.
Qed.
Theorem secured_isolated m : secured m -> isolated m.
Proof.
  intros S. constructor.
  - intros a ipa pa g H Hg. pose proof (accesses_hosts _ _ _ _ S H) as E. unfold hosts_or_device in E. rewrite Hg in E. by apply Z.eqb_eq.
  - intros vmid ipa pa H. by apply (realm_accesses_own m vmid ipa pa).
Qed.

(* ---- What others do ---- *)

Lemma accesses_storable m a ipa pa : secured m -> accesses m a ipa pa -> storable (floor_of 3 pa) (m_state m).
Proof.
  intros S H. pose proof (accesses_hosts _ _ _ _ S H) as E. unfold storable, hosts_or_device, has_state in *.
  destruct (gran (m_state m) !! floor_of 3 pa); auto.
Qed.
Lemma realm_accesses_storable m vmid ipa pa : secured m -> realm_accesses m vmid ipa pa -> storable (floor_of 3 pa) (m_state m).
Proof.
  intros S H. destruct (realm_accesses_own _ _ _ _ S H) as (rd & _ & _ & _ & [O | O]); right; [right|by left].
  unfold own_data, has_state in *. destruct (gran (m_state m) !! floor_of 3 pa); [|done]. by apply andb_true_iff in O as [? _].
Qed.

Lemma store_secured m pa v : secured m -> storable (floor_of 3 pa) (m_state m) -> secured (on (store pa v) m).
Proof. intros [S A] H. split; [by apply store_secure|by apply store_apart]. Qed.

(* The TLBs hold less: what is left has its reason in the tables, or in what is listed as broken. *)
Lemma hot_reason s T rd level base t : apart s T -> hot s T rd level base t ->
  hot s (fun _ _ _ _ => False) rd level base t \/ exists l b e, In (StaleRealm rd l b e) (staled s) /\ is_table l e = true.
Proof.
  intros A. assert (L : exists n, (Z.to_nat level < n)%nat) by (exists (S (Z.to_nat level)); lia). destruct L as [n L].
  revert rd level base t L. induction n as [|n IH]; intros rd level base t L H; [lia|].
  destruct (hot_placed _ _ A _ _ _ _ H) as (_ & _ & Hl & _).
  destruct H as [t p Hp H0 | rd level base t i H Hi Htb | rd level base d Hc H Htb]; [by left; apply H_root|..].
  - destruct (hot_placed _ _ A _ _ _ _ H) as (_ & _ & Hl' & _).
    destruct (IH rd level base t ltac:(lia) H) as [H1 | H1]; [left; by apply H_next|by right].
  - destruct (ap_tlb _ _ A _ _ _ _ H) as (rd' & Hc' & Hv & _ & _ & W). assert (rd' = rd) as -> by (by apply (ap_vmid _ _ A)).
    destruct W as [(b & u & i & Hu & Hi & E & ->) | [W | W]]; [|right; eauto|by right].
    destruct (hot_placed _ _ A _ _ _ _ Hu) as (_ & _ & Hl' & _).
    destruct (IH rd level b u ltac:(lia) Hu) as [H1 | H1]; [|by right]. left. subst d. by apply H_next.
Qed.
Lemma fewer_hot s T T1 rd l b t : (forall v l b d, T v l b d -> T1 v l b d) -> hot s T rd l b t -> hot s T1 rd l b t.
Proof. intros Hs. apply hot_kept; auto. Qed.
Lemma fewer_apart s T T1 : (forall v level base d, T1 v level base d -> T v level base d) -> apart s T -> apart s T1.
Proof.
  intros Hs A. pose proof A as [A1 A2 A3 A4 A5 A6 A7 A8]. constructor; try assumption.
  - intros rd l b t H. apply A7. by apply (fewer_hot s T1).
  - intros v l b d H. destruct (A8 _ _ _ _ (Hs _ _ _ _ H)) as (rd & C1 & C2 & C3 & C4 & W). exists rd. split_and!; try done.
    destruct W as [(b0 & t & i & W & W') | W]; [|by right].
    destruct (hot_reason _ _ _ _ _ _ A W) as [W1 | W1]; [|by right; right]. left. exists b0, t, i. split; [|exact W'].
    by apply (fewer_hot s (fun _ _ _ _ => False)).
Qed.

(* Nothing of what isolation is about. *)
Lemma aside_secured m f : hw (f (m_state m)) = hw (m_state m) -> gran (f (m_state m)) = gran (m_state m) ->
  mem (f (m_state m)) = mem (m_state m) -> held (f (m_state m)) = held (m_state m) -> runs (f (m_state m)) = runs (m_state m) ->
  loaded (f (m_state m)) = loaded (m_state m) -> staled (f (m_state m)) = staled (m_state m) ->
  places (f (m_state m)) = places (m_state m) -> cached (f (m_state m)) = cached (m_state m) -> secured m -> secured (on f m).
Proof.
  intros E1 E2 E3 E4 E5 E6 E7 E8 E9 [[K HT] A].
  assert (Q : quiet (m_state m) (f (m_state m))) by (by apply (same_quiet _ K)). pose proof (quiet_contained _ _ K Q) as K'.
  split; [split; [exact K'|]|].
  - intros a level base d Hd. apply (hold_quiet (m_state m)); [exact K|exact Q|by apply HT].
  - apply (calm_apart _ _ _ _ A K'). apply (same_calm _ _ A); try assumption. cbn. by rewrite E7.
Qed.

Lemma meanwhile_secured m m' : meanwhile m m' -> secured m -> secured m'.
Proof.
  intros H S. destruct H as [a ipa pa v H _ | vmid ipa pa v H _ | f i v rec R F _ | i v rec _ _ | n _ | T R HT HR].
  - apply store_secured; [exact S|by eapply accesses_storable].
  - apply store_secured; [exact S|by eapply realm_accesses_storable].
  - destruct S as [[K HT] A].
    assert (E : rec_set f rec i v (m_state m) = put_page rec (set_nth (page (mem (m_state m)) rec) (rec_word f i) v) (m_state m))
      by (by destruct F as [[-> _] | [[-> | ->] _]]).
    assert (Q : quiet (m_state m) (rec_set f rec i v (m_state m))) by (rewrite E; apply (put_quiet _ K); by apply (state_no_table _ K GS_REC)).
    pose proof (quiet_contained _ _ K Q) as K'. split; [split; [exact K'|]|].
    + intros a level base d Hd. apply (hold_quiet (m_state m)); [exact K|exact Q|by apply HT].
    + apply (calm_apart _ _ _ _ A K'). cbn [m_state on m_realm_tlb]. rewrite E. by apply (object_calm _ _ A GS_REC).
  - by apply aside_secured.
  - by apply aside_secured.
  - destruct S as [[K HK] A]. split.
    + split; [exact K|]. intros a level base d Hd. apply (filled_held _ K _ HK). by apply HT.
    + apply (fewer_apart _ (realm_filled (m_state m) (m_realm_tlb m))); [exact HR|by apply filled_apart].
Qed.

Lemma meanwhile_between m m' : meanwhile m m' -> secured m -> between (m_state m) -> between (m_state m').
Proof.
  intros H S (I & D & L). pose proof (proj1 (proj1 S)) as K.
  assert (Rw : forall s', runs s' = runs (m_state m) -> loaded s' = loaded (m_state m) -> cached s' = cached (m_state m) ->
    (runs s' <> 0 -> rec_get REC_rd (runs s') 0 s' = rec_get REC_rd (runs s') 0 (m_state m)) -> runs_well s').
  { intros s' E1 E2 E3 E4. destruct (Z.eq_dec (runs s') 0) as [N|N]; [by left|]. right. rewrite E4 by done. rewrite E1, E2, E3 in *.
    by destruct L as [L|L]. }
  assert (St : forall pa v, storable (floor_of 3 pa) (m_state m) -> u64 v -> between (store pa v (m_state m))).
  { intros pa v Hp Hv. split; [|split; [done|]].
    - unfold store, put_word. apply (store_inv _ (floor_of 3 pa)); [done|by apply storable_no_table|done|].
      apply RunFacts.set_nth_words; [by apply RunFacts.page_is_words|done].
    - apply Rw; try done. intros N. destruct (i_runs _ I N) as [R _]. apply word_set_page. intros E.
      unfold storable, has_state in *. rewrite E in Hp. change (runs (store pa v (m_state m))) with (runs (m_state m)) in Hp.
      destruct (gran (m_state m) !! runs (m_state m)) as [g|]; [|done]. apply Z.eqb_eq in R. rewrite R in Hp. by destruct Hp as [Hp|[Hp|Hp]]. }
  destruct H as [a ipa pa v H Hv | vmid ipa pa v H Hv | f i v rec R F Hv | i v rec R Hv | n _ | T R _ _].
  - apply St; [by eapply accesses_storable|done].
  - apply St; [by eapply realm_accesses_storable|done].
  - assert (E : rec_set f rec i v (m_state m) = put_word rec (rec_word f i) v (m_state m)) by (by destruct F as [[-> _] | [[-> | ->] _]]).
    assert (W : plain_word (rec_word f i) = true) by (destruct F as [[-> F] | [[-> | ->] ->]]; [plain_now|by vm_compute..]).
    cbn [m_state on]. rewrite E. split; [|split; [done|]].
    + apply (so_inv rec). apply sound_word; [done|done|by constructor].
    + apply Rw; try done. intros _. unfold rec_get. change (runs (put_word _ _ _ _)) with (runs (m_state m)).
      change (mem (put_word rec (rec_word f i) v (m_state m))) with (set_word (mem (m_state m)) rec (rec_word f i) v).
      destruct (Z.eq_dec rec (runs (m_state m))) as [->|N]; [|by apply word_set_page].
      apply word_set_slot; [|by vm_compute|]; destruct F as [[-> F] | [[-> | ->] ->]]; unfold rec_word; cbn [rec_off]; lia.
  - split; [|split; [done|by apply Rw]]. destruct (i_scratch _ I) as (_ & H2 & _ & _ & _ & H6).
    apply (so_inv rec). apply (sound_other rec (m_state m)); try reflexivity; try assumption; [..|by constructor].
    + cbn. unfold set_nth. by rewrite length_insert.
    + by apply RecInv.set_nth_words.
  - split; [|split; [done|by apply Rw]]. by apply (inv_same (m_state m)).
  - done.
Qed.

(* ---- Runs ---- *)

Theorem moves_secured m m' : rtc moves m m' -> secured m -> secured m'.
Proof.
  intros H. induction H as [m|m m1 m2 [p args rs m1' H | m1' H] _ IH]; intros S; [done|apply IH..].
  - by apply (prim_secured p args m rs).
  - by apply (meanwhile_secured m).
Qed.

(* Steps are moves: what the core does is primitives. *)
Lemma plays_moves tr m m' : plays prim_with_tlbs tr m m' -> rtc moves m m'.
Proof. intros H. induction H as [m|c tr m m1 m2 H _ IH]; [constructor|]. eapply rtc_l; [|exact IH]. by eapply M_prim. Qed.
Theorem step_moves m m' : step m m' -> rtc moves m m'.
Proof.
  intros [e rs m1 _ _ H | m1 H]; [|by apply rtc_once, M_meanwhile].
  apply link_plays in H as (tr & _ & H). by eapply plays_moves.
Qed.

(* The core deals with whatever comes. *)
Lemma event_handled m e : between (m_state m) -> possible e (m_state m) -> registers e ->
  exists rs m', handled e m = Some (rs, m') /\ between (m_state m').
Proof.
  intros B P U. destruct (event_safe e _ B P U) as (rs & s' & H & B'). rewrite core_link in H.
  destruct (core_with_tlbs _ _ m _ _ H) as (m' & H' & E). exists rs, m'. split; [exact H'|by rewrite E].
Qed.
Theorem steps_safe m m' : rtc step m m' -> secured m -> between (m_state m) -> secured m' /\ between (m_state m').
Proof.
  intros H. induction H as [m|m m1 m2 H _ IH]; intros S B; [done|]. apply IH.
  - apply (moves_secured m); [by apply step_moves|exact S].
  - destruct H as [e rs m1 P U H | m1 H]; [|by apply (meanwhile_between m)].
    destruct (event_handled m e B P U) as (rs' & m' & H' & B'). congruence.
Qed.

(* ---- From boot on ---- *)

Definition boot : machine := Machine initial (fun _ _ _ _ => False) (fun _ _ _ _ => False).
Lemma boot_secured : secured boot.
Proof. split; [exact initial_secure|exact initial_apart]. Qed.

(* Between handlers; and the core deals with whatever comes then. *)
Theorem initial_safe m : rtc step boot m ->
  between (m_state m) /\ isolated m /\
  forall e, possible e (m_state m) -> registers e -> exists rs m', handled e m = Some (rs, m').
Proof.
  intros H. destruct (steps_safe _ _ H boot_secured) as [S B].
  { split; [exact initial_inv|]. split; [by split_and!|by left]. }
  split; [exact B|]. split; [by apply secured_isolated|]. intros e P U. destruct (event_handled m e B P U) as (rs & m' & E & _). eauto.
Qed.
(* At every moment, also while a handler runs, and whatever runs. *)
Theorem initial_isolated m : rtc moves boot m -> isolated m.
Proof. intros H. apply secured_isolated. by apply (moves_secured boot); [|exact boot_secured]. Qed.
Theorem steps_moves m m' : rtc step m m' -> rtc moves m m'.
Proof. intros H. induction H as [m|m m1 m2 H _ IH]; [constructor|]. etransitivity; [by apply step_moves|exact IH]. Qed.
