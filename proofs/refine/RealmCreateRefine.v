(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/realm.c: the tables a new realm starts with. *)
From kcore Require Export refine.RttFill.
From kcore Require Export refine.GranuleRangeRefine.
From kcore Require Export spec.RealmCreate.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* A claimed granule that says nothing yet: no entry of it is valid. *)
Record start_ready (rd t : Z) (s : state) : Prop := StartReady {
  sr_fresh : fresh_table t s;
  sr_other : t <> rd;
  sr_invalid : forallb (fun d => negb (is_valid d)) (page (mem s) t) = true;
}.

Section own.
  Context (rd : Z) (s : state) (Hrd : in_hand rd s = true) (Hfirst : first_taken (held s) = LGranule rd).
  Notation base := (rd_of s RD_rtt_base rd).
  Notation level := (rd_of s RD_start_level rd).
  Notation num := (rd_of s RD_num_start rd).
  Context (Hnum : 0 <= num <= 16) (Hbase : 0 <= base < 2 ^ 48) (Halign : base mod 4096 = 0) (Hlevel : 0 <= level <= 3)
    (Hready : forall t, 0 <= t < num -> start_ready rd (base + t * 4096) s).

  Record owning (n : nat) (s' : state) : Prop := Owning {
    ow_mem : mem s' = mem s;
    ow_held : held s' = held s;
    ow_gran : forall q, (forall i, 0 <= i < Z.of_nat n -> q <> base + i * 4096) -> gran s' !! q = gran s !! q;
    ow_places : forall q, (forall i, 0 <= i < Z.of_nat n -> q <> base + i * 4096) -> places s' !! q = places s !! q;
  }.
  Lemma owning_starts n : owning n (starts_owned rd level base n s).
  Proof.
    unfold starts_owned. induction n as [|n [M H G P]]; [by constructor|]. rewrite each_below_S.
    generalize dependent (each_below n (start_owned rd level base) s). intros x M H G P.
    unfold start_owned, set_granule. constructor; cbn [mem held gran places with_places with_gran]; [exact M|exact H| |].
    - intros q N. rewrite lookup_insert_ne by (intros E; apply (N (Z.of_nat n)); [lia|by rewrite E]). apply G. intros. apply N. lia.
    - intros q N. rewrite lookup_insert_ne by (intros E; apply (N (Z.of_nat n)); [lia|by rewrite E]). apply P. intros. apply N. lia.
  Qed.

  Lemma owning_step n s' : Z.of_nat n < num -> owning n s' ->
    may_set (base + Z.of_nat n * 4096) GS_RTT rd s' = true /\
    with_owner (base + Z.of_nat n * 4096) GS_RTT rd s' = start_owned rd level base (Z.of_nat n) s'.
  Proof.
    intros Hn [M H G P]. set (t := base + Z.of_nat n * 4096).
    destruct (Hready (Z.of_nat n) ltac:(lia)) as [[Hs Hl Hp _] Hne Hv]. fold t in Hs, Hl, Hp, Hne, Hv.
    apply has_state_inv in Hs as (g & Hg & Hs).
    assert (Gt : gran s' !! t = Some g) by (rewrite G; [exact Hg|unfold t; intros; lia]).
    assert (Pt : places s' !! t = None) by (rewrite P; [exact Hp|unfold t; intros; lia]).
    assert (Gr : gran s' !! rd = gran s !! rd).
    { apply G. intros i Hi E. destruct (Hready i ltac:(lia)) as [_ N _]. congruence. }
    assert (Ir : under_lock rd s' = true).
    { rewrite (under_same rd s s') by done. by apply hand_under. }
    assert (It : under_lock t s' = true).
    { unfold under_lock, tracked, holds in *. by rewrite Gt, H, Hl. }
    assert (En : (t - base) / 4096 = Z.of_nat n).
    { unfold t. replace (base + Z.of_nat n * 4096 - base) with (Z.of_nat n * 4096) by lia. apply Z.div_mul. lia. }
    assert (Ea : t mod 4096 = 0) by (unfold t; rewrite Z.mod_add by lia; exact Halign).
    assert (Ps : place_of s' rd t = Some (Place rd level (Z.of_nat n * span level) 0)).
    { unfold place_of, start_place. rewrite Pt, Ir, M.
      change (word (mem s) rd (rd_off RD_start_level)) with level.
      change (word (mem s) rd (rd_off RD_rtt_base)) with base.
      change (word (mem s) rd (rd_off RD_num_start)) with num.
      rewrite En, Ea, (proj2 (Z.leb_le base t)), (proj2 (Z.ltb_lt (Z.of_nat n) num)) by (unfold t; lia).
      cbn [andb Z.eqb]. unfold span. by rewrite Z.mul_assoc. }
    split.
    - unfold may_set. rewrite It, Ps. unfold granule_at. rewrite Gt. cbn [default from_option id p_rd p_parent p_level].
      rewrite Hs, M, Hv, H, Hfirst, (Z.eqb_refl rd), (proj2 (Z.leb_le 0 level)), (proj2 (Z.leb_le level 3)) by lia. exact (Z.eqb_refl rd).
    - unfold with_owner. rewrite Ps. reflexivity.
  Qed.

  (* They are claimed, filled, and rd's fields say where they are. *)
  Theorem realm_own_start_ok :
    core "realm_own_start" [rd; base; num] s = Some ([], starts_owned rd level base (Z.to_nat num) s).
  Proof.
    enter f_realm_own_start.
    apply (loop_each_at (fun t s' => if t <? num then start_owned rd level base t s' else s')).
    - intros j k Hj next. tidy. destruct (Z.ltb_spec (Z.of_nat j) num) as [Hlt|Hge].
      + rewrite (each_below_ext j _ (start_owned rd level base)) in next |- *.
        2,3: intros i s' Hi; by rewrite (proj2 (Z.ltb_lt _ _)) by lia.
        fold (starts_owned rd level base j s) in next |- *.
        pose proof (owning_starts j) as O. generalize dependent (starts_owned rd level base j s). intros s' next O.
        destruct (owning_step j s' Hlt O) as [W E].
        rewrite Z.shiftl_mul_pow2 by lia. change (2 ^ 12) with 4096.
        rewrite (wrap_small (_ * 4096)), (wrap_small (_ + _)) by lia.
        apply (bind_prim P_granule_set [base + Z.of_nat j * 4096; 4; rd] _ s' (may_set (base + Z.of_nat j * 4096) GS_RTT rd s') []
          (with_owner (base + Z.of_nat j * 4096) GS_RTT rd s') _ eq_refl); [tidy|exact W].
        rewrite E. apply next; reflexivity.
      + apply next; [reflexivity|]. cbv beta. destruct (Z.ltb_spec (Z.of_nat j) num); [lia|reflexivity].
    - tidy. unfold ret, starts_owned. by rewrite each_below_if by lia.
  Qed.
End own.
