(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/granule.c: several granules at once *)
From kcore Require Export refine.Loops lang.Bits spec.GranuleRange.
From kcore Require Import refine.Steps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma nth_page_eq base i n : 0 <= i < 512 -> n = wrap U64 (Z.shiftl i 12) -> wrap U64 (base + n) = nth_page base i.
Proof.
  intros Hi ->. unfold nth_page. rewrite Z.shiftl_mul_pow2 by lia. change (2 ^ 12) with 4096.
  by rewrite (wrap_small (i * 4096)) by lia.
Qed.
Lemma nth_page_inj base i j : 0 <= i < 512 -> 0 <= j < 512 -> nth_page base i = nth_page base j -> i = j.
Proof.
  unfold nth_page, wrap. intros Hi Hj E. change (2 ^ 64) with 18446744073709551616 in E.
  Z.to_euclidean_division_equations. lia.
Qed.

(* The state of the loop at each iteration is that of the fold. *)
Lemma loop_each_at (f : Z -> state -> state) body v n fr (k : cont (state := state)) s r :
  (forall j k, (j < n)%nat ->
     (forall fr' s', reset fr' v = fr -> s' = f (Z.of_nat j) (each_below j f s) -> k fr' s' = r) ->
     body (put fr v (Z.of_nat j)) k (each_below j f s) = r) ->
  k fr (each_below n f s) = r ->
  loop body v 0 n fr k s = r.
Proof.
  intros Hb Hr.
  enough (forall m j, (j + m = n)%nat -> loop body v (Z.of_nat j) m fr k (each_below j f s) = r) as H by apply (H n 0%nat eq_refl).
  induction m as [|m IH]; intros j Hj; cbn [loop].
  - by replace n with j in Hr by lia.
  - apply Hb; [lia|]. intros fr' s' -> ->.
    replace (Z.of_nat j + 1) with (Z.of_nat (S j)) by lia. rewrite <- each_below_S. apply IH. lia.
Qed.

(* ---- Claims ---- *)

Lemma holds_dropped l l' s : l <> l' -> holds l (lock_dropped l' s) = holds l s.
Proof.
  intros Hne. unfold holds, lock_dropped. cbn. induction (held s) as [|x ls IH]; [reflexivity|]. cbn.
  destruct (lock_eqb l' x) eqn:E.
  - assert (l' = x) as <- by (destruct l', x; try discriminate; [f_equal; by apply Z.eqb_eq|reflexivity]).
    replace (lock_eqb l l') with false; [reflexivity|]. symmetry.
    destruct l, l'; try reflexivity; [|by destruct Hne]. apply Z.eqb_neq. congruence.
  - cbn. by rewrite IH.
Qed.
Lemma holds_drops base l n s : (forall i, 0 <= i < Z.of_nat n -> l <> LGranule (nth_page base i)) ->
  holds l (claims_dropped n base s) = holds l s.
Proof.
  intros H. unfold claims_dropped. induction n as [|n IH]; [reflexivity|]. rewrite each_below_S, holds_dropped.
  - apply IH. intros. apply H. lia.
  - apply H. lia.
Qed.

(* The lock that was taken first stays until all others are given back. *)
Lemma first_without l ls : first_taken ls <> l -> ls <> [] -> first_taken (without l ls) = first_taken ls /\ without l ls <> [].
Proof.
  induction ls as [|x ls IH]; [done|]. intros N _. cbn [without]. destruct ls as [|y ls].
  - cbn [first_taken] in N. destruct (lock_eqb l x) eqn:E; [|done].
    destruct N. destruct l, x; try discriminate; [f_equal; symmetry; by apply Z.eqb_eq|done].
  - destruct (lock_eqb l x); [done|]. change (first_taken (x :: y :: ls)) with (first_taken (y :: ls)) in *.
    destruct (IH N ltac:(done)) as [E1 E2]. split; [|done]. rewrite <- E1. by destruct (without l (y :: ls)).
Qed.
Lemma in_order_other l s : first_taken (held s) <> l -> in_order l s = true.
Proof.
  intros N. unfold in_order. destruct (held s) as [|x ls] eqn:E; [done|]. destruct (first_without l (x :: ls) N) as [E1 E2]; [done|].
  destruct (without l (x :: ls)) as [|y ys] eqn:W; [done|]. rewrite E1. destruct (first_taken (x :: ls)); [apply Z.eqb_refl|done].
Qed.
Lemma first_drops base n s : held s <> [] -> (forall i, 0 <= i < Z.of_nat n -> first_taken (held s) <> LGranule (nth_page base i)) ->
  first_taken (held (claims_dropped n base s)) = first_taken (held s) /\ held (claims_dropped n base s) <> [].
Proof.
  intros Hh H. unfold claims_dropped. induction n as [|n IH]; [done|]. rewrite each_below_S.
  destruct IH as [E1 E2]; [intros; apply H; lia|]. set (x := each_below n _ s) in *.
  change (held (lock_dropped ?l x)) with (without l (held x)). rewrite <- E1. apply first_without; [|done]. rewrite E1. apply H. lia.
Qed.
Lemma first_claims base n s : held s <> [] ->
  first_taken (held (claims_taken n base s)) = first_taken (held s) /\ held (claims_taken n base s) <> [].
Proof.
  intros Hh. unfold claims_taken. induction n as [|n [E1 E2]]; [done|]. rewrite each_below_S. set (x := each_below n _ s) in *.
  change (held (lock_taken ?l x)) with (l :: held x). split; [|done]. rewrite <- E1. by destruct (held x).
Qed.

Theorem granules_release_ok base n s :
  (n <= 16)%nat -> (forall i, 0 <= i < Z.of_nat n -> holds (LGranule (nth_page base i)) s = true) ->
  (forall i, 0 <= i < Z.of_nat n -> first_taken (held s) <> LGranule (nth_page base i)) ->
  core "granules_release" [base; Z.of_nat n] s = Some ([], claims_dropped n base s).
Proof.
  intros Hn Hh Hf. enter f_granules_release.
  apply (loop_each_at (fun i s => if i <? Z.of_nat n then lock_dropped (LGranule (nth_page base i)) s else s)).
  - intros j k Hj next. tidy. destruct (Z.ltb_spec (Z.of_nat j) (Z.of_nat n)) as [Hlt|Hge].
    + rewrite (nth_page_eq base (Z.of_nat j)) by (lia || reflexivity).
      step; [|apply next; [reflexivity|cbv beta; destruct (Z.ltb_spec (Z.of_nat j) (Z.of_nat n)); [reflexivity|lia]]].
      rewrite (each_below_ext j _ (fun i s => lock_dropped (LGranule (nth_page base i)) s)).
      2:{ intros i s' Hi. cbv beta. by rewrite (proj2 (Z.ltb_lt _ _)) by lia. }
      fold (claims_dropped j base s). rewrite holds_drops, in_order_other; [by rewrite Hh by lia| |].
      * assert (Hs : held s <> []) by (specialize (Hh (Z.of_nat j) ltac:(lia)); intros E; unfold holds in Hh; by rewrite E in Hh).
        destruct (first_drops base j s Hs) as [-> _]; [intros; apply Hf; lia|apply Hf; lia].
      * intros i Hi E. injection E as E. apply nth_page_inj in E; lia.
    + apply next; [reflexivity|]. cbv beta. destruct (Z.ltb_spec (Z.of_nat j) (Z.of_nat n)); [lia|reflexivity].
  - tidy. unfold ret, claims_dropped. rewrite each_below_if by lia. by rewrite Nat2Z.id.
Qed.

Lemma holds_taken base l n s : (forall i, 0 <= i < Z.of_nat n -> l <> LGranule (nth_page base i)) ->
  holds l (claims_taken n base s) = holds l s.
Proof.
  intros H. unfold claims_taken. induction n as [|n IH]; [reflexivity|]. rewrite each_below_S.
  change (holds l (lock_taken (LGranule (nth_page base (Z.of_nat n))) ?x)) with
    (lock_eqb l (LGranule (nth_page base (Z.of_nat n))) || holds l x).
  rewrite IH by (intros; apply H; lia).
  replace (lock_eqb l _) with false; [reflexivity|]. symmetry.
  specialize (H (Z.of_nat n) ltac:(lia)). destruct l; [|reflexivity]. apply Z.eqb_neq. congruence.
Qed.
Lemma held_taken base n s i : 0 <= i < Z.of_nat n -> holds (LGranule (nth_page base i)) (claims_taken n base s) = true.
Proof.
  intros Hi. unfold claims_taken. induction n as [|n IH]; [lia|]. rewrite each_below_S.
  change (holds ?l (lock_taken (LGranule (nth_page base (Z.of_nat n))) ?x)) with
    (lock_eqb l (LGranule (nth_page base (Z.of_nat n))) || holds l x).
  destruct (Z.eq_dec i (Z.of_nat n)) as [->|].
  - cbn [lock_eqb]. by rewrite Z.eqb_refl.
  - rewrite IH by lia. apply orb_true_r.
Qed.
(* Claiming changes nothing but what is held. *)
Lemma taken_same base n s :
  gran (claims_taken n base s) = gran s /\ others (claims_taken n base s) = others s /\
  shrinking (claims_taken n base s) = shrinking s.
Proof. unfold claims_taken. induction n as [|n IH]; [done|]. rewrite each_below_S. exact IH. Qed.
Lemma claimable_taken st base n s :
  (n < 512)%nat -> claimable st (nth_page base (Z.of_nat n)) (claims_taken n base s) = claimable st (nth_page base (Z.of_nat n)) s.
Proof.
  intros Hn. destruct (taken_same base n s) as (Eg & Eo & _). unfold claimable, has_state, free. rewrite Eg, Eo.
  rewrite holds_taken; [reflexivity|]. intros i Hi E. injection E as E. apply nth_page_inj in E; lia.
Qed.

Lemma leading_le ok n : (leading ok n <= n)%nat.
Proof. induction n as [|n IH]; [done|]. cbn [leading]. destruct (_ && _); lia. Qed.

Lemma leading_ok ok n i : 0 <= i < Z.of_nat (leading ok n) -> ok i = true.
Proof.
  induction n as [|n IH]; cbn [leading]; [lia|]. destruct ((leading ok n =? n)%nat && ok (Z.of_nat n)) eqn:E; [|exact IH].
  apply andb_true_iff in E as [E%Nat.eqb_eq Hn]. intros Hi.
  destruct (Z.eq_dec i (Z.of_nat n)) as [->|]; [exact Hn|]. apply IH. lia.
Qed.

Theorem granules_claim_ok base n s :
  (n <= 16)%nat -> shrinking s = false -> holds LHost s = false -> held s <> [] ->
  core "granules_claim" [base; Z.of_nat n] s = Some ([fst (claim_all n base s)], snd (claim_all n base s)).
Proof.
  intros Hn Hs Hl Hh. enter f_granules_claim.
  set (ok i := claimable GS_DELEGATED (nth_page base i) s).
  apply (loop_rule (fun j fr s' => let got := leading ok (min j n) in
    fr = [base; Z.of_nat n; Z.of_nat got; 0; 0] /\ s' = claims_taken got base s)).
  - split; reflexivity.
  - intros j fr s' k Hj [-> ->]. tidy. rewrite Z.add_0_l. pose proof (leading_le ok (min j n)) as Hle.
    destruct (Z.ltb_spec (Z.of_nat j) (Z.of_nat n)) as [Hlt|Hge]; cbn [andb].
    + rewrite !Nat.min_l by lia. rewrite Nat.min_l in Hle by lia. cbn [leading].
      destruct (Z.eqb_spec (Z.of_nat (leading ok j)) (Z.of_nat j)) as [E|N].
      * apply Nat2Z.inj in E. rewrite E, Nat.eqb_refl. cbn [andb].
        rewrite (nth_page_eq base (Z.of_nat j)) by (lia || reflexivity).
        destruct (taken_same base j s) as (_ & _ & Es).
        eexists _, _. split.
        { unfold bind. cbn [prim_sem]. rewrite Es, Hs, holds_taken, Hl by discriminate. cbn [negb andb guarded Z.eqb orb Pos.eqb].
          change (claimable 1) with (claimable GS_DELEGATED). rewrite claimable_taken by lia. fold (ok (Z.of_nat j)).
          instantiate (1 := if ok (Z.of_nat j) then claims_taken (S j) base s else claims_taken j base s).
          instantiate (1 := if ok (Z.of_nat j) then [base; Z.of_nat n; Z.of_nat (S j); Z.of_nat j; 1] else [base; Z.of_nat n; Z.of_nat j; Z.of_nat j; 0]).
          change (GS_DELEGATED =? GS_NS) with false. change (1 =? GS_NS) with false. change (1 =? GS_DELEGATED) with true. cbn [orb].
          destruct (ok (Z.of_nat j)); tidy.
          - rewrite wrap_small by lia. replace (Z.of_nat j + 1) with (Z.of_nat (S j)) by lia.
            unfold claims_taken. rewrite each_below_S. reflexivity.
          - reflexivity. }
        destruct (ok (Z.of_nat j)); split; reflexivity.
      * replace ((leading ok j =? j)%nat) with false by (symmetry; apply Nat.eqb_neq; lia). cbn [andb].
        eexists _, _. split; [reflexivity|]. split; reflexivity.
    + rewrite !Nat.min_r by lia. eexists _, _. split; [reflexivity|]. split; reflexivity.
  - intros fr s' [-> ->]. tidy. rewrite Nat.min_r by lia. unfold claim_all. fold ok. set (got := leading ok n).
    pose proof (leading_le ok n) as Hle. fold got in Hle.
    destruct (Z.eqb_spec (Z.of_nat got) (Z.of_nat n)) as [E|N].
    + apply Nat2Z.inj in E. rewrite E, Nat.eqb_refl. reflexivity.
    + rewrite (proj2 (Nat.eqb_neq got n)) by lia.
      after granules_release_ok; [lia|intros; by apply held_taken| |reflexivity].
      intros i Hi. rewrite (proj1 (first_claims base got s Hh)). intros E. pose proof (leading_ok ok n i Hi) as Ho. unfold ok, claimable, free in Ho.
      assert (F : holds (LGranule (nth_page base i)) s = true); [|rewrite F, andb_false_r in Ho; discriminate]. rewrite <- E. clear - Hh. unfold holds.
      induction (held s) as [|x ls IH]; [done|]. destruct ls as [|y ls]; [cbn [first_taken existsb]; destruct x as [z|]; [cbn [lock_eqb]; by rewrite Z.eqb_refl|done]|].
      change (first_taken (x :: y :: ls)) with (first_taken (y :: ls)). cbn [existsb] in *. rewrite IH by done. apply orb_true_r.
Qed.

(* ---- Pins ---- *)

Lemma refs_other p q r s : p <> q -> gran (with_refs p r s) !! q = gran s !! q.
Proof. intros N. unfold with_refs, set_granule. cbn. by rewrite lookup_insert_ne. Qed.
Lemma at_other p q r s : p <> q -> granule_at (with_refs p r s) q = granule_at s q.
Proof. intros N. unfold granule_at. by rewrite refs_other. Qed.

Lemma unpin_pin p s x : gran s !! p = Some x -> page_unpinned p (page_pinned p s) = s.
Proof.
  intros H. destruct s. cbn in H. unfold page_unpinned, page_pinned, with_refs, set_granule, granule_at, with_gran. cbn.
  rewrite H, lookup_insert. cbn. rewrite insert_insert, insert_id; [reflexivity|].
  rewrite H. destruct x as [a b r]. cbn. do 2 f_equal. lia.
Qed.
Lemma unpin_comm p q s : p <> q -> page_unpinned p (page_pinned q s) = page_pinned q (page_unpinned p s).
Proof.
  intros N. unfold page_unpinned, page_pinned. rewrite !at_other by congruence.
  destruct s. unfold with_refs, set_granule, granule_at, with_gran. cbn. rewrite !lookup_insert_ne by congruence.
  f_equal. by apply insert_commute.
Qed.
Lemma drops_comm base q n s : (forall i, 0 <= i < Z.of_nat n -> nth_page base i <> q) ->
  pins_dropped n base (page_pinned q s) = page_pinned q (pins_dropped n base s).
Proof.
  intros H. unfold pins_dropped. induction n as [|n IH]; [reflexivity|]. rewrite !each_below_S, IH by (intros; apply H; lia).
  apply unpin_comm. apply H. lia.
Qed.
Lemma pins_cancel base n s : (n <= 512)%nat -> (forall i, 0 <= i < Z.of_nat n -> is_Some (gran s !! nth_page base i)) ->
  pins_dropped n base (pins_taken n base s) = s.
Proof.
  induction n as [|n IH]; intros Hn H; [reflexivity|].
  unfold pins_dropped, pins_taken. rewrite !each_below_S. fold (pins_taken n base s). fold (pins_dropped n base).
  change (each_below n _ ?x) with (pins_dropped n base x).
  rewrite drops_comm by (intros i Hi E; apply nth_page_inj in E; lia).
  rewrite IH by (lia || (intros; apply H; lia)).
  destruct (H (Z.of_nat n) ltac:(lia)) as [x Hx]. by apply (unpin_pin _ _ x).
Qed.

Lemma pinned_drops base q n s : (forall i, 0 <= i < Z.of_nat n -> nth_page base i <> q) ->
  pinned q (pins_dropped n base s) = pinned q s.
Proof.
  intros H. unfold pins_dropped. induction n as [|n IH]; [reflexivity|]. rewrite each_below_S.
  unfold page_unpinned at 1, pinned at 1. rewrite refs_other by (apply H; lia). apply IH. intros. apply H. lia.
Qed.

Lemma nth_page_0 base : u64 base -> nth_page base 0 = base.
Proof. intros H. unfold nth_page. rewrite Z.add_0_r. by apply wrap_small. Qed.

(* What realms left in TLBs has nothing to do with pins. *)
Lemma staled_each n f s : (forall i s, staled (f i s) = staled s) -> staled (each_below n f s) = staled s.
Proof. intros H. induction n as [|n IH]; [reflexivity|]. by rewrite each_below_S, H. Qed.
Lemma had_none pa s : staled s = [] -> no_realm_had s pa = true.
Proof. unfold no_realm_had. by intros ->. Qed.

Theorem ns_put_pages_ok base n s :
  staled s = [] -> u64 base -> (n <= 512)%nat -> (forall i, 0 <= i < Z.of_nat n -> pinned (nth_page base i) s = true) ->
  core "ns_put_pages" [base; Z.of_nat n] s = Some ([], pins_dropped n base s).
Proof.
  intros Hst Hb Hn Hp. enter f_ns_put_pages. destruct (Z.eqb_spec (Z.of_nat n) 1) as [E|N].
  - assert (n = 1%nat) as -> by lia. pose proof (Hp 0 ltac:(lia)) as H0. rewrite nth_page_0 in H0 by exact Hb.
    pose proof (had_none base s Hst). step. unfold ret, pins_dropped. rewrite (each_below_S 0). change (Z.of_nat 0) with 0.
    rewrite nth_page_0 by exact Hb. reflexivity.
  - apply (loop_each_at (fun i s => if i <? Z.of_nat n then page_unpinned (nth_page base i) s else s)).
    + intros j k Hj next. tidy. destruct (Z.ltb_spec (Z.of_nat j) (Z.of_nat n)) as [Hlt|Hge].
      * rewrite (nth_page_eq base (Z.of_nat j)) by (lia || reflexivity).
        step; [|apply next; [reflexivity|cbv beta; destruct (Z.ltb_spec (Z.of_nat j) (Z.of_nat n)); [reflexivity|lia]]].
        apply andb_true_intro. split.
        2:{ apply had_none. rewrite staled_each; [exact Hst|]. intros. by destruct (_ <? _). }
        rewrite (each_below_ext j _ (fun i s => page_unpinned (nth_page base i) s)).
        2:{ intros i s' Hi. cbv beta. by rewrite (proj2 (Z.ltb_lt _ _)) by lia. }
        fold (pins_dropped j base s). rewrite pinned_drops; [apply Hp; lia|].
        intros i Hi E. apply nth_page_inj in E; lia.
      * apply next; [reflexivity|]. cbv beta. destruct (Z.ltb_spec (Z.of_nat j) (Z.of_nat n)); [lia|reflexivity].
    + tidy. unfold ret, pins_dropped. rewrite each_below_if by lia. by rewrite Nat2Z.id.
Qed.

Lemma taken_other base q n s : (forall i, 0 <= i < Z.of_nat n -> nth_page base i <> q) ->
  gran (pins_taken n base s) !! q = gran s !! q.
Proof.
  intros H. unfold pins_taken. induction n as [|n IH]; [reflexivity|]. rewrite each_below_S.
  unfold page_pinned at 1. rewrite refs_other by (apply H; lia). apply IH. intros. apply H. lia.
Qed.
Lemma taken_locks base n s :
  held (pins_taken n base s) = held s /\ others (pins_taken n base s) = others s.
Proof. unfold pins_taken. induction n as [|n IH]; [done|]. rewrite each_below_S. exact IH. Qed.
Lemma pinnable_taken base n s : (n < 512)%nat ->
  pinnable (nth_page base (Z.of_nat n)) (pins_taken n base s) = pinnable (nth_page base (Z.of_nat n)) s /\
  granule_at (pins_taken n base s) (nth_page base (Z.of_nat n)) = granule_at s (nth_page base (Z.of_nat n)).
Proof.
  intros Hn. destruct (taken_locks base n s) as [Eh Eo].
  assert (E : gran (pins_taken n base s) !! nth_page base (Z.of_nat n) = gran s !! nth_page base (Z.of_nat n)).
  { apply taken_other. intros i Hi E. apply nth_page_inj in E; lia. }
  unfold pinnable, claimable, has_state, free, holds, granule_at. by rewrite E, Eh, Eo.
Qed.
Lemma pinned_now p s : pinnable p s = true -> 0 <= g_refs (granule_at s p) -> pinned p (page_pinned p s) = true.
Proof.
  intros [[Hs _]%andb_true_iff _]%andb_true_iff Hr. unfold has_state in Hs. unfold granule_at in Hr.
  unfold pinned, page_pinned, with_refs, set_granule, granule_at. cbn [gran with_gran]. rewrite lookup_insert.
  destruct (gran s !! p); [|discriminate]. cbn in *. rewrite Hs. apply Z.ltb_lt. lia.
Qed.
Lemma pinned_taken base n s i :
  (n <= 512)%nat -> 0 <= i < Z.of_nat n -> pinnable (nth_page base i) s = true -> 0 <= g_refs (granule_at s (nth_page base i)) ->
  pinned (nth_page base i) (pins_taken n base s) = true.
Proof.
  intros Hn Hi Hp Hr. induction n as [|n IH]; [lia|]. unfold pins_taken. rewrite each_below_S. fold (pins_taken n base s).
  destruct (Z.eq_dec i (Z.of_nat n)) as [->|].
  - destruct (pinnable_taken base n s ltac:(lia)) as [Ep Ea]. apply pinned_now; [by rewrite Ep|by rewrite Ea].
  - unfold page_pinned at 1, pinned at 1. rewrite refs_other by (intros E; apply nth_page_inj in E; lia).
    apply IH; lia.
Qed.

Theorem ns_get_pages_ok base n s :
  staled s = [] -> u64 base -> (n <= 512)%nat -> (forall pa, 0 <= g_refs (granule_at s pa)) ->
  core "ns_get_pages" [base; Z.of_nat n] s = Some ([fst (pin_all n base s)], snd (pin_all n base s)).
Proof.
  intros Hst Hb Hn Hr. enter f_ns_get_pages. set (ok i := pinnable (nth_page base i) s).
  destruct (Z.eqb_spec (Z.of_nat n) 1) as [E|N].
  - assert (n = 1%nat) as -> by lia. unfold pin_all. fold ok. cbn [leading Nat.eqb andb]. change (Z.of_nat 0) with 0.
    unfold bind. cbn [prim_sem guarded]. fold (pinnable base s).
    assert (E0 : ok 0 = pinnable base s) by (unfold ok; by rewrite nth_page_0). rewrite E0.
    destruct (pinnable base s); [|reflexivity]. cbn [Nat.eqb fst snd]. unfold pins_taken. rewrite (each_below_S 0).
    change (Z.of_nat 0) with 0. rewrite nth_page_0 by exact Hb. reflexivity.
  - apply (loop_rule (fun j fr s' => let got := leading ok (min j n) in
      fr = [base; Z.of_nat n; Z.of_nat got; 0; 0; 0] /\ s' = pins_taken got base s)).
    + split; reflexivity.
    + intros j fr s' k Hj [-> ->]. tidy. rewrite Z.add_0_l. pose proof (leading_le ok (min j n)) as Hle.
      destruct (Z.ltb_spec (Z.of_nat j) (Z.of_nat n)) as [Hlt|Hge]; cbn [andb].
      * rewrite !Nat.min_l by lia. rewrite Nat.min_l in Hle by lia. cbn [leading].
        destruct (Z.eqb_spec (Z.of_nat (leading ok j)) (Z.of_nat j)) as [E|N'].
        -- apply Nat2Z.inj in E. rewrite E, Nat.eqb_refl. cbn [andb].
           rewrite (nth_page_eq base (Z.of_nat j)) by (lia || reflexivity).
           destruct (pinnable_taken base j s ltac:(lia)) as [Ep _].
           eexists _, _. split.
           { unfold bind. cbn [prim_sem guarded]. fold (pinnable (nth_page base (Z.of_nat j)) (pins_taken j base s)).
             rewrite Ep. fold (ok (Z.of_nat j)).
             instantiate (1 := if ok (Z.of_nat j) then pins_taken (S j) base s else pins_taken j base s).
             instantiate (1 := if ok (Z.of_nat j) then [base; Z.of_nat n; Z.of_nat (S j); 0; Z.of_nat j; 1] else [base; Z.of_nat n; Z.of_nat j; 0; Z.of_nat j; 0]).
             destruct (ok (Z.of_nat j)); tidy.
             - rewrite wrap_small by lia. replace (Z.of_nat j + 1) with (Z.of_nat (S j)) by lia.
               unfold pins_taken. rewrite each_below_S. reflexivity.
             - reflexivity. }
           destruct (ok (Z.of_nat j)); split; reflexivity.
        -- replace ((leading ok j =? j)%nat) with false by (symmetry; apply Nat.eqb_neq; lia). cbn [andb].
           eexists _, _. split; [reflexivity|]. split; reflexivity.
      * rewrite !Nat.min_r by lia. eexists _, _. split; [reflexivity|]. split; reflexivity.
    + intros fr s' [-> ->]. tidy. rewrite Nat.min_r by lia. unfold pin_all. fold ok. 
      pose proof (leading_le ok n) as Hle. pose proof (leading_ok ok n) as Hok. set (got := leading ok n) in *.
      destruct (Z.eqb_spec (Z.of_nat got) (Z.of_nat n)) as [E|N'].
      * apply Nat2Z.inj in E. rewrite E, Nat.eqb_refl. reflexivity.
      * rewrite (proj2 (Nat.eqb_neq got n)) by lia.
        after ns_put_pages_ok; [unfold pins_taken; rewrite staled_each; [exact Hst|done]|exact Hb|lia| |].
        { intros i Hi. apply pinned_taken; [lia|exact Hi|by apply Hok|apply Hr]. }
        unfold ret. rewrite pins_cancel; [reflexivity|lia|]. intros i Hi. specialize (Hok i Hi). unfold ok, pinnable, claimable, has_state in Hok.
        destruct (gran s !! nth_page base i); [eauto|discriminate].
Qed.
