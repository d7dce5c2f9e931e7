(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: the host's pages in the unprotected half. *)
From kcore Require Export refine.RttEntry.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Lemma unprotected_facts rd ipa level s : unprotected_ok rd ipa level s = true ->
  ipa < rd_of s RD_ipa_size rd /\ half_of s rd <= ipa /\ ipa mod size_of level = 0 /\ rd_of s RD_start_level rd <= level.
Proof.
  unfold unprotected_ok, in_bounds, in_par, aligned_to.
  intros [[[H1%Z.ltb_lt H2%negb_true_iff%Z.ltb_ge]%andb_true_iff H3%Z.eqb_eq]%andb_true_iff H4%Z.leb_le]%andb_true_iff. done.
Qed.
Lemma floor_aligned level ipa : ipa mod size_of level = 0 -> floor_of level ipa = ipa.
Proof. unfold floor_of. lia. Qed.

(* ---- RMI_RTT_MAP_UNPROTECTED ---- *)

Lemma pins_facts base n s : pin_all n base s = (1, pins_taken n base s) \/ pin_all n base s = (0, s).
Proof. unfold pin_all. destruct (_ =? _)%nat; auto. Qed.
Lemma pin_all_pinned base n s i : (n <= 512)%nat -> fst (pin_all n base s) = 1 -> (forall pa, 0 <= refs_of pa s) ->
  0 <= i < Z.of_nat n -> pinned (nth_page base i) (pins_taken n base s) = true.
Proof.
  intros Hn H Hr Hi. unfold pin_all in H. destruct (Nat.eqb_spec (leading (fun i => pinnable (nth_page base i) s) n) n) as [E|]; [|done].
  apply pinned_taken; [done|done| |apply Hr]. apply (leading_ok (fun i => pinnable (nth_page base i) s) n). by rewrite E.
Qed.
Lemma pins_rest base n s : exists g, pins_taken n base s = with_gran g s.
Proof.
  unfold pins_taken. induction n as [|n [g IH]]; [exists (gran s); rewrite each_below_0; by destruct s|].
  rewrite each_below_S, IH. eexists. reflexivity.
Qed.
Lemma pins_under base n q s : under_lock q s = true -> under_lock q (pins_taken n base s) = true.
Proof.
  unfold pins_taken. induction n as [|n IH]; [by rewrite each_below_0|]. intros H. rewrite each_below_S. specialize (IH H).
  generalize dependent (each_below n (fun i s => page_pinned (nth_page base i) s) s). intros s' IH. clear H.
  unfold under_lock, tracked, page_pinned, with_refs, set_granule, granule_at, holds in *. cbn [gran with_gran held] in *.
  destruct (decide (nth_page base (Z.of_nat n) = q)) as [<-|N].
  - rewrite lookup_insert. destruct (gran s' !! _) as [x|]; [exact IH|discriminate].
  - by rewrite lookup_insert_ne.
Qed.
Lemma pins_hand base n q s : in_hand q s = true -> in_hand q (pins_taken n base s) = true.
Proof.
  unfold pins_taken. induction n as [|n IH]; [by rewrite each_below_0|]. intros H. rewrite each_below_S. specialize (IH H).
  generalize dependent (each_below n (fun i s => page_pinned (nth_page base i) s) s). intros s' IH. clear H.
  unfold in_hand, is_placed, has_state, under_lock, tracked, page_pinned, with_refs, set_granule, granule_at, holds in *.
  cbn [gran with_gran held places] in *.
  destruct (decide (nth_page base (Z.of_nat n) = q)) as [<-|N].
  - rewrite lookup_insert. destruct (gran s' !! _) as [x|]; [exact IH|discriminate].
  - by rewrite lookup_insert_ne.
Qed.
Lemma refs_nonneg s pa : inv s -> 0 <= refs_of pa s <= REFS_MAX.
Proof.
  intros I. unfold refs_of, granule_at. destruct (gran s !! pa) as [g|] eqn:E; [|done]. by destruct (i_gran _ I _ _ E) as (_ & _ & H).
Qed.

(* Pages that are pinned may be mapped. *)
Lemma shared_leaf s rd level ipa d : protected s rd ipa = false -> 0 <= level <= 3 ->
  (forall n, 0 <= n < size_of level / 4096 -> pinned (out_addr d + n * 4096) s = true) -> realm_leaf_ok s rd level ipa d = true.
Proof.
  intros Hp Hl H. unfold realm_leaf_ok. rewrite Hp. apply forallb_forall. intros n Hn. apply H.
  unfold granules_of in Hn. apply in_map_iff in Hn as (k & <- & Hk%in_seq). destruct (size_pos level). lia.
Qed.
Lemma pages_exact level : 2 <= level <= 3 -> size_of level / 4096 = pages_at level.
Proof. intros H. assert (level = 2 \/ level = 3) as [->| ->] by lia; reflexivity. Qed.

Theorem rtt_map_locked_ok rd ipa level host s :
  open_realm rd s -> staled s = [] -> 0 <= ipa -> 2 <= level <= 3 -> u64 host ->
  core "rtt_map_locked" [rd; ipa; level; host] s = Some ([fst (map_locked rd ipa level host s)], snd (map_locked rd ipa level host s)).
Proof.
  intros O Hst Hi Hl Hhost. pose proof (open_hand _ _ O) as Hh. enter f_rtt_map_locked. unfold map_locked.
  use s2_ns_ok_ok. destruct (ns_ok level host); cbn [negb orb]; [|reflexivity].
  use rtt_unprotected_ok_ok. destruct (unprotected_ok rd ipa level s) eqn:Hu; cbn [negb orb]; [|reflexivity].
  destruct (unprotected_facts _ _ _ _ Hu) as (Hb & Hhalf & Ha & Hstart).
  eapply bind_call; [apply rtt_walk_ok; [done|lia|lia]|]. tidy.
  destruct (walk_found rd ipa level s O ltac:(lia)) as (p & F). set (w := walk rd ipa level s) in *.
  pose proof (found_range _ _ _ _ _ F) as Hr. eapply bind_call; [apply error_rtt_ok; lia|]. tidy.
  change K_UNASSIGNED_NS with 2. destruct (Z.eqb_spec (w_level w) level) as [El|]; cbn [negb orb]; [|reflexivity].
  destruct (Z.eqb_spec (w_kind w) 2) as [Ek|]; cbn [negb orb]; [|reflexivity].
  use ns_pages_ok. step. step.
  change (rd_get RD_pages_shared rd 0 s) with (rd_of s RD_pages_shared rd).
  change (rd_get RD_max_shared rd 0 s) with (rd_of s RD_max_shared rd).
  destruct (rd_of s RD_max_shared rd <? wrap U64 (rd_of s RD_pages_shared rd + pages_at level)); [reflexivity|].
  use s2_pa_ok. set (n := Z.to_nat (pages_at level)).
  assert (En : pages_at level = Z.of_nat n) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
  assert (Hn : (n <= 512)%nat) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
  pose proof (found_inv _ _ _ _ _ F) as I. pose proof (out_addr_range host ltac:(destruct Hhost; lia)) as Ho.
  rewrite En at 1. eapply bind_call; [apply ns_get_pages_ok; [done|unfold u64; lia|done|intros; apply (refs_nonneg _ _ I)]|]. tidy.
  pose proof (pin_all_pinned (out_addr host) n s) as Hpin.
  destruct (pins_facts (out_addr host) n s) as [E|E]; rewrite E in *; cbn [fst snd] in *; [|reflexivity].
  change (z2b 1) with true. cbn [negb Z.eqb].
  destruct (pins_rest (out_addr host) n s) as [g Eg]. pose proof (pins_under (out_addr host) n (w_table w) s (found_hand _ _ _ _ _ F)) as Hht.
  pose proof (pins_hand (out_addr host) n rd s Hh) as Hhr.
  assert (Hpin' : forall i, 0 <= i < Z.of_nat n -> pinned (nth_page (out_addr host) i) (pins_taken n (out_addr host) s) = true).
  { intros i Hi'. apply Hpin; [done|done|intros; apply (refs_nonneg _ _ I)|done]. }
  clear Hpin. set (s1 := pins_taken n (out_addr host) s) in *. clearbody s1.
  assert (Em : mem s1 = mem s) by by rewrite Eg. assert (Ep : places s1 = places s) by by rewrite Eg.
  assert (Eh : hw s1 = hw s) by by rewrite Eg.
  destruct (assigned_ns_facts level host ltac:(unfold u64 in Hhost; lia)) as (Od & Vd & Td & Kd & _).
  assert (V0 : is_valid (word (mem s1) (w_table w) (w_slot w)) = false).
  { rewrite Em, (fd_desc _ _ _ _ _ F). unfold w_kind, kind in Ek.
    destruct (is_table (w_level w) (w_desc w)); [discriminate|]. destruct (is_valid (w_desc w)); [|done]. destruct (has_ns_bit (w_desc w)); discriminate. }
  assert (Pp : places s1 !! w_table w = Some p) by (rewrite Ep; apply F).
  assert (Rr : role_of (hw s1) (w_table w) = None) by (rewrite Eh; eapply found_role; exact F).
  use s2_assigned_ns_ok. eapply bind_call.
  { apply s2_make_ok. eapply entry_write; [exact Pp|exact Rr|exact Hht|apply F|by rewrite V0|]. intros _.
    unfold realm_desc_ok. rewrite (fd_level _ _ _ _ _ F), El, Td, (fd_rd _ _ _ _ _ F).
    rewrite <- El at 2. rewrite (fd_base _ _ _ _ _ F), El, (floor_aligned _ _ Ha).
    apply shared_leaf; [|lia|].
    - unfold protected. rewrite Em. apply Z.ltb_ge. exact Hhalf.
    - intros i Hi'. rewrite pages_exact in Hi' by done. rewrite Od.
      assert (Ep' : nth_page (out_addr host) i = out_addr host + i * 4096).
      { unfold nth_page. apply wrap_small. destruct (pages_cases level) as [E'|E']; rewrite E' in Hi'; lia. }
      rewrite <- Ep'. apply Hpin'. lia. }
  erewrite leaf_made; [|exact Pp|exact Rr|exact V0|by rewrite (fd_level _ _ _ _ _ F), El]. tidy.
  eapply bind_call; [apply rtt_add_shared_ok; exact Hhr|]. tidy. reflexivity.
Qed.

Lemma map_locked_under rd ipa level host s : has_state GS_RD rd s = true ->
  map_locked rd ipa level host (locked rd s) = (fst (map_locked rd ipa level host s), locked rd (snd (map_locked rd ipa level host s))).
Proof.
  intros Hr. unfold map_locked. change (unprotected_ok rd ipa level (locked rd s)) with (unprotected_ok rd ipa level s).
  destruct (_ || _); [reflexivity|]. change (walk rd ipa level (locked rd s)) with (walk rd ipa level s).
  destruct (_ || _); [reflexivity|]. change (rd_of (locked rd s)) with (rd_of s). destruct (_ <? _); [reflexivity|].
  assert (E : pin_all (Z.to_nat (pages_at level)) (out_addr host) (locked rd s) =
    (fst (pin_all (Z.to_nat (pages_at level)) (out_addr host) s), locked rd (snd (pin_all (Z.to_nat (pages_at level)) (out_addr host) s)))).
  { unfold pin_all. replace (leading _ _) with (leading (fun i => pinnable (nth_page (out_addr host) i) s) (Z.to_nat (pages_at level))).
    2:{ generalize (Z.to_nat (pages_at level)). intros n. induction n as [|n IH]; [done|]. cbn [leading]. rewrite IH. unfold pinnable.
        rewrite (claimable_locked GS_NS rd) by done. reflexivity. }
    destruct (_ =? _)%nat; [|reflexivity]. cbn [fst snd]. by rewrite pins_locked. }
  rewrite E. destruct (pin_all _ _ s) as [ok s']. cbn [fst snd]. destruct (ok =? 0); reflexivity.
Qed.

Theorem rtt_map_unprotected_ok rd ipa level host s :
  inv s -> idle s -> 0 <= ipa -> u64 level -> u64 host ->
  core "rtt_map_unprotected" [rd; ipa; level; host] s =
  Some ([fst (map_unprotected rd ipa level host s)], snd (map_unprotected rd ipa level host s)).
Proof.
  intros I (Hh & Hs & Hst) Hi Hl Hhost. enter f_rtt_map_unprotected. unfold map_unprotected.
  destruct (Z.ltb_spec level 2); cbn [orb]; [reflexivity|]. destruct (Z.ltb_spec 3 level); cbn [orb]; [reflexivity|].
  apply bind_lock; [done..|]. destruct (has_state GS_RD rd s) eqn:Hr; cbn [negb]; tidy; [|reflexivity].
  eapply bind_call; [apply rtt_map_locked_ok; [by apply locked_open|done|done|lia|done]|].
  rewrite map_locked_under by done. cbn [fst snd].
  assert (K : held (snd (map_locked rd ipa level host s)) = [] /\ shrinking (snd (map_locked rd ipa level host s)) = false /\
    staled (snd (map_locked rd ipa level host s)) = []).
  { unfold map_locked. destruct (_ || _); [done|]. destruct (_ || _); [done|]. destruct (_ <? _); [done|].
    destruct (pins_facts (out_addr host) (Z.to_nat (pages_at level)) s) as [-> | ->]; [|done]. cbn [Z.eqb snd].
    destruct (pins_rest (out_addr host) (Z.to_nat (pages_at level)) s) as [g ->]. done. }
  destruct K as (K1 & K2 & K3). tidy. apply bind_unlock; [done..|]. tidy. reflexivity.
Qed.

(* ---- RMI_RTT_UNMAP_UNPROTECTED ---- *)

Theorem rtt_unmap_locked_ok rd ipa level s :
  open_realm rd s -> staled s = [] -> 0 <= ipa -> 0 <= level <= 3 ->
  core "rtt_unmap_locked" [rd; ipa; level] s = Some (fst (unmap_locked rd ipa level s), snd (unmap_locked rd ipa level s)).
Proof.
  intros O Hst Hi Hl. pose proof (open_hand _ _ O) as Hh. enter f_rtt_unmap_locked. unfold unmap_locked. step.
  change (rd_get RD_vmid rd 0 s) with (rd_of s RD_vmid rd).
  use rtt_unprotected_ok_ok. destruct (unprotected_ok rd ipa level s) eqn:Hu; cbn [negb]; [|reflexivity].
  destruct (unprotected_facts _ _ _ _ Hu) as (Hb & Hhalf & Ha & Hstart).
  eapply bind_call; [apply rtt_walk_ok; [done|lia|lia]|]. tidy.
  destruct (walk_found rd ipa level s O ltac:(lia)) as (p & F). set (w := walk rd ipa level s) in *.
  pose proof (found_range _ _ _ _ _ F) as Hr. eapply bind_call; [apply error_rtt_ok; lia|]. tidy.
  pose proof (found_inv _ _ _ _ _ F) as I. pose proof (found_ipa _ _ _ _ _ F) as Hu48.
  eapply bind_call; [apply rtt_walk_top_ok; [apply (i_mem _ I)|intros; by eapply found_read|apply F|done]|]. tidy.
  assert (Ew : Walked (w_level w) (w_table w) (w_slot w) (w_desc w) = w) by by destruct w. rewrite Ew.
  change K_ASSIGNED_NS with 3. destruct (Z.eqb_spec (w_level w) level) as [El|]; cbn [negb orb]; [|reflexivity].
  destruct (Z.eqb_spec (w_kind w) 3) as [Ek|]; cbn [negb orb]; [|reflexivity].
  use s2_pa_ok. use ns_pages_ok. use s2_unassigned_ns_ok.
  pose proof (fd_place _ _ _ _ _ F) as Pp. pose proof (found_role _ _ _ _ _ F) as Rr. pose proof (fd_desc _ _ _ _ _ F) as Ed.
  pose proof (found_word _ _ _ _ _ F) as Hw. unfold w_kind in Ek.
  destruct (ns_entry _ _ Hw Ek) as (V & T & Ro). pose proof (found_not_rd _ _ _ _ _ F) as Nr.
  eapply bind_call.
  { apply s2_break_ok. eapply entry_write; [exact Pp|exact Rr|by eapply found_hand|apply F|apply andb_false_r|discriminate]. }
  change (broken unassigned_ns) with unassigned_ns. erewrite entry_broken; [|exact Pp|exact Rr|exact Hst|by rewrite Ed|reflexivity].
  rewrite (fd_rd _ _ _ _ _ F), (fd_level _ _ _ _ _ F), (fd_base _ _ _ _ _ F), Ed. fold (entry_put w unassigned_ns s). tidy.
  set (s1 := entry_put w unassigned_ns s).
  refine (bind_prim P_tlbi_realm _ _ _ _ [] s1 _ _ _ _); [| |].
  { cbn [prim_sem]. rewrite (forget_leaf s1 rd); [reflexivity|done| |done|done].
    unfold s1, entry_put. rewrite vmid_put by done. apply vmid_here. }
  2:{ apply bool_decide_eq_true_2. exact (found_vmid _ _ _ _ _ F). }
  set (n := Z.to_nat (pages_at level)). tidy.
  assert (En : pages_at level = Z.of_nat n) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
  assert (Hn : (n <= 512)%nat) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
  assert (Hpin : forall i, 0 <= i < Z.of_nat n -> pinned (nth_page (out_addr (w_desc w)) i) s1 = true).
  { intros i Hi'. rewrite <- En, <- El in Hi'. destruct (ns_page (w_level w) _ i Hr Hw Ek Hi') as [-> _].
    change (pinned ?x s1) with (pinned x s). rewrite <- Ed. eapply shared_pinned; [done|exact Pp|apply F| |].
    - by rewrite Ed, (fd_level _ _ _ _ _ F).
    - by rewrite (fd_level _ _ _ _ _ F). }
  rewrite En at 1. eapply bind_call; [apply ns_put_pages_ok; [done|unfold u64; lia|done|exact Hpin]|]. tidy.
  assert (U : unpinned rd s1 (pins_dropped n (out_addr (w_desc w)) s1)).
  { apply unpinned_drops. intros i Hi'. specialize (Hpin i Hi'). unfold pinned, is_ns in *.
    destruct (gran s1 !! _); [|done]. by apply andb_true_iff in Hpin as [-> _]. }
  eapply bind_call; [apply rtt_add_shared_ok; rewrite (unpinned_hand _ _ _ _ U); exact Hh|]. tidy. rewrite shared_wrap.
  fold (unmapped rd level w s).
  assert (U2 : unpinned rd s1 (unmapped rd level w s)) by (eapply unpinned_trans; [exact U|apply unpinned_shared]).
  eapply bind_call.
  { apply rtt_walk_top_ok; [apply (un_mem _ _ _ U2); apply set_word_ok, (i_mem _ I)| |apply F|done].
    intros i Hi'. rewrite (unpinned_read _ _ _ _ _ U2). change (may_read (w_table w) i s = true). by eapply found_read. }
  tidy. rewrite Ew. reflexivity.
Qed.

Lemma unmap_locked_under rd ipa level s :
  unmap_locked rd ipa level (locked rd s) = (fst (unmap_locked rd ipa level s), locked rd (snd (unmap_locked rd ipa level s))).
Proof.
  unfold unmap_locked. change (unprotected_ok rd ipa level (locked rd s)) with (unprotected_ok rd ipa level s).
  change (walk rd ipa level (locked rd s)) with (walk rd ipa level s).
  assert (E : unmapped rd level (walk rd ipa level s) (locked rd s) = locked rd (unmapped rd level (walk rd ipa level s) s)).
  { unfold unmapped. change (entry_put ?w ?d (locked rd s)) with (locked rd (entry_put w d s)). by rewrite drops_locked. }
  rewrite E. destruct (negb _); [reflexivity|]. destruct (_ || _); reflexivity.
Qed.

Lemma pins_dropped_rest base n s : exists g, pins_dropped n base s = with_gran g s.
Proof.
  unfold pins_dropped. induction n as [|n [g IH]]; [exists (gran s); rewrite each_below_0; by destruct s|].
  rewrite each_below_S, IH. eexists. reflexivity.
Qed.

Theorem rtt_unmap_unprotected_ok rd ipa level s :
  inv s -> idle s -> 0 <= ipa -> u64 level ->
  core "rtt_unmap_unprotected" [rd; ipa; level] s =
  Some (fst (unmap_unprotected rd ipa level s), snd (unmap_unprotected rd ipa level s)).
Proof.
  intros I (Hh & Hs & Hst) Hi Hl. enter f_rtt_unmap_unprotected. unfold unmap_unprotected.
  destruct (Z.ltb_spec level 1); cbn [orb]; [reflexivity|]. destruct (Z.ltb_spec 3 level); cbn [orb]; [reflexivity|].
  apply bind_lock; [done..|]. destruct (has_state GS_RD rd s) eqn:Hr; cbn [negb]; tidy; [|reflexivity].
  eapply bind_call; [apply rtt_unmap_locked_ok; [by apply locked_open|done|done|lia]|].
  rewrite unmap_locked_under. cbn [fst snd].
  assert (K : (exists a b c d e, fst (unmap_locked rd ipa level s) = [a; b; c; d; e]) /\
    held (snd (unmap_locked rd ipa level s)) = [] /\ shrinking (snd (unmap_locked rd ipa level s)) = false /\
    staled (snd (unmap_locked rd ipa level s)) = []).
  { unfold unmap_locked, refused. destruct (negb _); [split; [eauto 10|done]|]. destruct (_ || _); [split; [eauto 10|done]|].
    split; [eauto 10|]. cbn [snd]. unfold unmapped.
    destruct (pins_dropped_rest (out_addr (w_desc (walk rd ipa level s))) (Z.to_nat (pages_at level)) (entry_put (walk rd ipa level s) unassigned_ns s)) as [g ->].
    done. }
  destruct K as ((a & b & c & d & e & ->) & K1 & K2 & K3). tidy. apply bind_unlock; [done..|]. tidy. reflexivity.
Qed.
