(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/realm.c: RMI_REALM_DESTROY. *)
From kcore Require Export refine.Pins.
From kcore Require Export refine.RecLockRefine.
From kcore Require Export refine.RttFree.
From kcore Require Export spec.RealmDestroy.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- The tables are taken away with the lock as it is ---- *)

Lemma each_swap n (f : Z -> state -> state) (g : state -> state) s :
  (forall i s, f i (g s) = g (f i s)) -> each_below n f (g s) = g (each_below n f s).
Proof. intros Hf. induction n as [|n IH]; [reflexivity|]. by rewrite !each_below_S, IH, Hf. Qed.
Lemma each_same {A} n (f : Z -> state -> state) (g : state -> A) s :
  (forall i s, g (f i s) = g s) -> g (each_below n f s) = g s.
Proof. intros Hf. induction n as [|n IH]; [reflexivity|]. by rewrite each_below_S, Hf. Qed.

Lemma drops_locked l n base s : pins_dropped n base (lock_taken l s) = lock_taken l (pins_dropped n base s).
Proof. unfold pins_dropped. apply (each_swap n _ (lock_taken l)). reflexivity. Qed.
Lemma freed_locked l rd level t i s : ns_freed rd level t i (lock_taken l s) = lock_taken l (ns_freed rd level t i s).
Proof.
  unfold ns_freed. change (mem (lock_taken l s)) with (mem s). destruct (_ =? _); [|reflexivity].
  by rewrite drops_locked.
Qed.
Lemma dropped_locked l rd level t s : ns_dropped rd level t (lock_taken l s) = lock_taken l (ns_dropped rd level t s).
Proof. unfold ns_dropped. apply (each_swap 512 _ (lock_taken l)). intros. apply freed_locked. Qed.
Lemma scrubbed_locked l pa s : scrubbed pa (lock_taken l s) = lock_taken l (scrubbed pa s).
Proof. reflexivity. Qed.
Lemma start_freed_locked l rd level base n s :
  start_freed rd level base n (lock_taken l s) = lock_taken l (start_freed rd level base n s).
Proof.
  unfold start_freed. apply (each_swap n _ (lock_taken l)). intros i x. rewrite dropped_locked. apply scrubbed_locked.
Qed.
Lemma dropped_same {A} (g : state -> A) rd level t s :
  (forall m x, g (with_mem m x) = g x) -> (forall m x, g (with_gran m x) = g x) -> g (ns_dropped rd level t s) = g s.
Proof.
  intros Hm Hg. unfold ns_dropped. apply each_same. intros j y.
  unfold ns_freed. destruct (_ =? _); [|reflexivity]. unfold shared_added, rd_set, put_word. rewrite Hm.
  unfold pins_dropped. apply each_same. intros q z. unfold page_unpinned, with_refs, set_granule. apply Hg.
Qed.
Lemma start_freed_same {A} (g : state -> A) rd level base n s :
  (forall m x, g (with_mem m x) = g x) -> (forall m x, g (with_gran m x) = g x) -> (forall m x, g (with_places m x) = g x) ->
  g (start_freed rd level base n s) = g s.
Proof.
  intros Hm Hg Hp. unfold start_freed. apply each_same. intros i x.
  unfold scrubbed, set_granule, put_page. rewrite Hp, Hg, Hm. by apply dropped_same.
Qed.

Lemma start_freed_rest rd level base n s : let s1 := start_freed rd level base n s in
  held s1 = held s /\ shrinking s1 = shrinking s /\ staled s1 = staled s.
Proof. cbv zeta. split_and!; by apply start_freed_same. Qed.

Lemma flushed_clean vmid s : staled s = [] -> flushed vmid s = uncached vmid s.
Proof. intros H. unfold flushed, forget, uncached. rewrite H. destruct s. cbn in H. by subst. Qed.

(* ---- Nobody reaches the RD then ---- *)

Lemma rd_uncovered s rd t p i : inv s -> has_state GS_RD rd s = true -> places s !! t = Some p -> 0 <= i < 512 ->
  leaf_covers (p_level p) (word (mem s) t i) rd = false.
Proof.
  intros I Hr Hp Hi. destruct (leaf_covers _ _ _) eqn:E; [|done]. exfalso.
  pose proof (uses_entry s t p i rd (i_mem _ I) Hp Hi E) as U. destruct (has_state_inv _ _ _ Hr) as (g & Hg & Hs).
  destruct (i_gran _ I _ _ Hg) as (_ & Ha & _). rewrite uses_free in U; try done.
  - unfold is_ns. by rewrite Hg, Hs.
  - intros r. unfold own_data. by rewrite Hg, Hs.
Qed.

Lemma rd_scrubbable rd c s s1 s2 n :
  inv s -> has_state GS_RD rd s = true -> holds (LGranule rd) s = true -> (n <= Z.to_nat (rd_of s RD_num_start rd))%nat ->
  freeing rd c s n s1 -> rd ∉ c -> cached s2 = cached s1 ->
  hw s2 = hw s1 -> held s2 = held s1 -> staled s2 = staled s1 -> gran s2 = gran s1 -> mem s2 = mem s1 -> places s2 = places s1 ->
  may_zero rd s2 = true /\ has_state GS_NS rd s2 = false.
Proof.
  intros I Hr Hh Hn F Nc E0 E1 E2 E3 E4 E5 E6. destruct (fr_rest _ _ _ _ _ F) as (Eh & El & Es & Ec).
  pose proof Hr as (x & Hx & Hs)%has_state_inv.
  assert (Rn : forall q, has_state GS_RTT q s = false -> gone rd s n q = false) by (intros q; by apply gone_rtt).
  pose proof (rd_not_rtt rd s Hr) as Nrd.
  pose proof (fr_gran _ _ _ _ _ F rd (Rn rd Nrd)) as Gr. rewrite Hx in Gr. destruct Gr as [r Gr].
  assert (Pg : forall q p, places s1 !! q = Some p -> places s !! q = Some p /\ page (mem s1) q = page (mem s) q).
  { intros q p Hq. rewrite (fr_places _ _ _ _ _ F) in Hq. destruct (gone rd s n q) eqn:E; [done|]. split; [done|].
    apply (fr_page _ _ _ _ _ F); [|done]. intros ->. destruct (place_granule _ _ _ I Hq) as (_ & _ & H). congruence. }
  split; [|unfold has_state; by rewrite E4, Gr, Hs].
  unfold may_zero. apply andb_true_iff; split; [apply andb_true_iff; split|].
  - unfold under_lock, tracked. rewrite E4, Gr. unfold holds in *. rewrite E2, El, Hh. reflexivity.
  - apply (not_hosts_unreachable s s2 rd x); try done; try (by rewrite Hs); [congruence|congruence|].
    intros t ro Hro. rewrite E5.
    assert (N : forall st, st <> GS_CORE -> has_state st t s = false).
    { intros st Nst. unfold has_state. destruct (gran s !! t) as [y|] eqn:Hy; [|done].
      rewrite (i_host _ I _ _ _ Hy Hro). by apply Z.eqb_neq. }
    apply (fr_page _ _ _ _ _ F); [|by apply Rn, N]. intros ->. rewrite N in Hr; done.
  - unfold no_realm_reaches. rewrite (had_none rd s2), E0, Ec, bool_decide_eq_false_2 by congruence. cbn [andb negb]. rewrite E6. apply andb_true_iff. split.
    + apply negb_true_iff, existsb_false. intros [t p] Hin%places_In. destruct (Pg _ _ Hin) as [Hp Hm].
      unfold mapped_by. cbn [fst snd]. rewrite E5, Hm.
      destruct (existsb _ _) eqn:E; [|apply andb_false_r]. exfalso.
      apply existsb_exists in E as (d & Hin'%elem_of_list_In & Hc).
      apply elem_of_list_lookup in Hin' as [i Hi]. apply page_lookup in Hi as [Hi ->]; [|apply (i_mem _ I)].
      rewrite (rd_uncovered s) in Hc; done || lia.
    + rewrite (fr_places _ _ _ _ _ F), (Rn rd Nrd), (not_placed s rd I Nrd). reflexivity.
Qed.

Theorem realm_destroy_ok rd s :
  inv s -> idle s -> core "realm_destroy" [rd] s = Some ([fst (destroy_realm rd s)], snd (destroy_realm rd s)).
Proof.
  intros I (Hh & Hs & Hst). unfold destroy_realm. enter f_realm_destroy. apply bind_lock; [exact Hs|exact Hh|].
  destruct (has_state GS_RD rd s) eqn:Hr; tidy; [|reflexivity]. cbn [negb].
  pose proof (hand_realm _ _ Hr) as Hd.
  assert (I' : inv (locked rd s)) by (by apply (inv_same s)).
  assert (Hl : holds (LGranule rd) (locked rd s) = true) by (unfold holds; cbn; by rewrite Z.eqb_refl).
  assert (O : open_realm rd (locked rd s)) by (constructor; [exact I'|exact Hr|exact Hl]).
  step. eapply bind_call; [apply rtt_start_unused_ok, O|]. tidy.
  change (rd_get RD_rec_count rd 0 (locked rd s)) with (rd_of s RD_rec_count rd).
  change (rd_of (locked rd s) RD_num_start rd) with (rd_of s RD_num_start rd).
  change (start_refs rd (locked rd s)) with (start_refs rd s).
  assert (Eu : negb (rd_of s RD_rec_count rd =? 0) || negb (start_refs rd s (Z.to_nat (rd_of s RD_num_start rd)) =? 0)
    = negb (realm_unused rd s)) by (unfold realm_unused; by rewrite negb_andb).
  rewrite Eu. destruct (realm_unused rd s) eqn:U; cbn [negb fst snd].
  2:{ eapply bind_call; [apply error_realm_ok; lia|]. tidy. apply bind_unlock; [exact Hh|exact Hs|exact Hst|]. reflexivity. }
  clear Eu. apply andb_true_iff in U as [Uc%Z.eqb_eq _].
  step. change (rd_get RD_vmid rd 0 (locked rd s)) with (rd_of s RD_vmid rd).
  set (vmid := rd_of s RD_vmid rd).
  apply (bind_prim P_tlbi_realm_all [vmid] _ (locked rd s) (bool_decide (vmid ∈ vmids (locked rd s))) []
    (flushed vmid (locked rd s)) _ eq_refl); [tidy|apply bool_decide_eq_true_2; exact (r_vmid _ _ (i_realm _ I _ Hr))].
  rewrite (flushed_clean _ (locked rd s) Hst).
  assert (exists c, (rd ∉ c /\ forall q, q ∈ c -> q ∈ cached (locked rd s)) /\ uncached vmid s = with_cached c s /\ uncached vmid (locked rd s) = with_cached c (locked rd s))
    as (c & [Hc Hcc] & E1 & E2).
  { exists (cached (uncached vmid s)). split; [|split; reflexivity].
    unfold uncached. cbn [cached with_cached]. split; [|intros q; by intros [_ Q]%elem_of_filter]. rewrite elem_of_filter. intros [E _]. unfold runs_no_more, has_vmid in E.
    change (word (mem s) rd (rd_off RD_vmid)) with vmid in E.
    change (word (mem s) rd (rd_off RD_rec_count)) with (rd_of s RD_rec_count rd) in E.
    rewrite Z.eqb_refl, Uc in E. discriminate. }
  rewrite E2. unfold realm_gone. fold vmid. rewrite E1.
  eapply bind_call; [apply (rtt_free_start_ok rd c (locked rd s) I' Hr Hl Hst Hc Hcc)|]. tidy.
  pose proof (freeing_all rd c (locked rd s) I' Hr Hl Hst Hc Hcc _ (Nat.le_refl _)) as F.
  change (rd_of (locked rd s) RD_num_start rd) with (rd_of s RD_num_start rd) in *.
  change (rd_of (locked rd s) RD_start_level rd) with (rd_of s RD_start_level rd) in *.
  change (rd_of (locked rd s) RD_rtt_base rd) with (rd_of s RD_rtt_base rd) in *.
  change (with_cached c (locked rd s)) with (locked rd (with_cached c s)) in *.
  rewrite start_freed_locked in F |- *.
  match goal with |- context [start_freed ?r ?l ?b ?n ?x] =>
    destruct (start_freed_rest r l b n x) as (K1 & K2 & K3); generalize dependent (start_freed r l b n x)
  end.
  intros s1 F K1 K2 K3.
  step. step. step.
  change (with_logged _ _) with (locked rd (log_put LOG_DESTROY rd vmid (counted CTR_REALMS (2 ^ 64 - 1) (vmid_freed vmid s1)))).
  set (s2 := log_put LOG_DESTROY rd vmid (counted CTR_REALMS (2 ^ 64 - 1) (vmid_freed vmid s1))).
  destruct (rd_scrubbable rd c (locked rd s) (locked rd s1) (locked rd s2) _ I' Hr Hl (Nat.le_refl _) F Hc)
    as [Z1 Z2]; try reflexivity.
  eapply bind_call; [apply granule_scrub_ok; [exact Z1|exact Z2]|]. tidy.
  change (scrubbed rd (locked rd s2)) with (locked rd (scrubbed rd s2)).
  apply bind_unlock; [exact (eq_trans K1 Hh)|exact (eq_trans K2 Hs)|exact (eq_trans K3 Hst)|]. reflexivity.
Qed.
