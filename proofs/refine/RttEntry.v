(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: changing one entry of a realm's tables, and what is done under the realm's lock. *)
From kcore Require Export refine.RttFree.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- The entry that a walk found ---- *)

Record found (rd ipa : Z) (w : walked) (p : place) (s : state) : Prop := Found {
  fd_open : open_realm rd s;
  fd_ipa : 0 <= ipa < rd_of s RD_ipa_size rd;
  fd_place : places s !! w_table w = Some p;
  fd_rd : p_rd p = rd;
  fd_level : p_level p = w_level w;
  fd_slot : 0 <= w_slot w < 512;
  fd_at : w_slot w = slot_of (w_level w) ipa;
  fd_base : p_base p + w_slot w * size_of (w_level w) = floor_of (w_level w) ipa;
  fd_desc : word (mem s) (w_table w) (w_slot w) = w_desc w;
}.
Lemma walk_found rd ipa level s : open_realm rd s -> 0 <= ipa < rd_of s RD_ipa_size rd ->
  exists p, found rd ipa (walk rd ipa level s) p s.
Proof.
  intros O Hi. pose proof O as [I Hr _]. destruct (walk_at s rd ipa level I Hr Hi) as [(p & Hp & Er & El & Es & Ef & Ed) _].
  exists p. constructor; try done. rewrite Es. apply slot_range.
Qed.

Section found.
  Context (rd ipa : Z) (w : walked) (p : place) (s : state) (F : found rd ipa w p s).
  Lemma found_inv : inv s. Proof. apply F. Qed.
  Lemma found_rtt : has_state GS_RTT (w_table w) s = true.
  Proof. by destruct (table_owner _ _ _ found_inv (fd_place _ _ _ _ _ F)) as (H & _). Qed.
  Lemma found_not_rd : w_table w <> rd.
  Proof.
    intros E. pose proof found_rtt as H. rewrite E in H. destruct (fd_open _ _ _ _ _ F) as [_ Hr _].
    destruct (has_state_inv _ _ _ H) as (g & Hg & Hs), (has_state_inv _ _ _ Hr) as (g' & Hg' & Hs').
    rewrite Hg in Hg'. injection Hg' as <-. rewrite Hs in Hs'. discriminate.
  Qed.
  Lemma found_hand : under_lock (w_table w) s = true.
  Proof.
    destruct (fd_open _ _ _ _ _ F) as [_ _ Hl]. eapply table_under; [exact found_inv|apply F|]. by rewrite (fd_rd _ _ _ _ _ F).
  Qed.
  Lemma found_role : role_of (hw s) (w_table w) = None.
  Proof. eapply table_no_role; [exact found_inv|apply F]. Qed.
  Lemma found_level : rd_of s RD_start_level rd <= w_level w <= 3.
  Proof.
    destruct (i_table _ found_inv _ _ (fd_place _ _ _ _ _ F)) as [_ _ H _ _ _ _]. by rewrite (fd_rd _ _ _ _ _ F), (fd_level _ _ _ _ _ F) in H.
  Qed.
  Lemma found_range : 0 <= w_level w <= 3.
  Proof.
    pose proof found_level. destruct (fd_open _ _ _ _ _ F) as [I Hr _]. destruct (i_realm _ I _ Hr) as [_ _ (Hl & _) _ _ _ _ _ _]. lia.
  Qed.
  Lemma found_read i : 0 <= i < 512 -> may_read (w_table w) i s = true.
  Proof. intros Hi. unfold may_read. rewrite found_role, found_hand. unfold in_page. lia. Qed.
  Lemma found_word : u64 (w_desc w).
  Proof. rewrite <- (fd_desc _ _ _ _ _ F). apply (i_words _ found_inv). Qed.
  Lemma found_ipa : 0 <= ipa < 2 ^ 48.
  Proof. eapply ipa_u64; [apply F|apply F]. Qed.
  Lemma found_vmid : rd_of s RD_vmid rd ∈ vmids s.
  Proof. destruct (fd_open _ _ _ _ _ F) as [I Hr _]. by destruct (i_realm _ I _ Hr). Qed.
  Lemma found_entry : entry_ok s (w_table w) p (floor_of (w_level w) ipa) (w_desc w).
  Proof.
    pose proof (t_entry _ _ _ (i_table _ found_inv _ _ (fd_place _ _ _ _ _ F)) (w_slot w) (fd_slot _ _ _ _ _ F)) as H.
    by rewrite (fd_level _ _ _ _ _ F), (fd_base _ _ _ _ _ F), (fd_desc _ _ _ _ _ F) in H.
  Qed.
End found.

(* ---- Writing it ---- *)

Lemma entry_write s t p i d : places s !! t = Some p -> role_of (hw s) t = None -> under_lock t s = true -> 0 <= i < 512 ->
  (is_valid (word (mem s) t i) && is_valid d = false) -> (is_valid d = true -> realm_desc_ok s p i d = true) ->
  may_write t i d s = true.
Proof.
  intros Hp Hr Hh Hi Hb Hd. unfold may_write. rewrite Hr, Hp, Hh. unfold bbm. rewrite Hb. cbn [andb negb].
  unfold in_page. destruct (is_valid d); [rewrite Hd by done|]; lia.
Qed.
(* A valid entry is broken: what it was may be left in TLBs. *)
Lemma entry_broken s t p i d : places s !! t = Some p -> role_of (hw s) t = None -> staled s = [] ->
  is_valid (word (mem s) t i) = true -> is_valid d = false ->
  after_write t i d s =
  with_staled [StaleRealm (p_rd p) (p_level p) (p_base p + i * size_of (p_level p)) (word (mem s) t i)] (put_word t i d s).
Proof.
  intros Hp Hr Hst Hv Hd. unfold after_write, placed_below. rewrite Hr, Hp, Hv, Hst.
  assert (T : is_table (p_level p) d = false).
  { unfold is_table, is_valid in *. apply negb_false_iff, Z.eqb_eq in Hd. apply andb_false_iff. right. apply Z.eqb_neq.
    intros E. assert (E' : Z.land (Z.land d 3) 1 = Z.land d 1) by (rewrite <- Z.land_assoc; reflexivity).
    rewrite E, Hd in E'. discriminate. }
  rewrite T. destruct (Z.eqb_spec (word (mem s) t i) d) as [E|_]; [congruence|]. reflexivity.
Qed.
(* One that is not valid is written: nothing is left. *)
Lemma entry_made s t p i d : places s !! t = Some p -> role_of (hw s) t = None ->
  is_valid (word (mem s) t i) = false -> after_write t i d s = with_places (placed_below t i d s) (put_word t i d s).
Proof. intros Hp Hr Hv. unfold after_write. rewrite Hr, Hp, Hv. reflexivity. Qed.
Lemma leaf_made s t p i d : places s !! t = Some p -> role_of (hw s) t = None ->
  is_valid (word (mem s) t i) = false -> is_table (p_level p) d = false -> after_write t i d s = put_word t i d s.
Proof. intros Hp Hr Hv Ht. erewrite entry_made by done. unfold placed_below. rewrite Hp, Ht. reflexivity. Qed.

(* And the TLB forgets it. *)
Lemma forget_leaf s rd vmid level x ipa d : staled s = [] -> has_vmid s vmid rd = true -> is_table level d = false ->
  floor_of level ipa = x ->
  forget (gone_realm (with_staled [StaleRealm rd level x d] s) vmid ipa) (with_staled [StaleRealm rd level x d] s) = s.
Proof.
  intros Hs Hv Ht Hx. unfold forget. cbn [staled with_staled List.filter gone_realm].
  change (has_vmid (with_staled _ s) vmid rd) with (has_vmid s vmid rd). rewrite Hv, Ht, Hx, Z.eqb_refl. cbn [andb negb].
  destruct s. cbn in Hs. subst. reflexivity.
Qed.
Lemma forget_all s rd vmid level x d : staled s = [] -> has_vmid s vmid rd = true ->
  flushed vmid (with_staled [StaleRealm rd level x d] s) = uncached vmid s.
Proof.
  intros Hs Hv. unfold flushed, forget. cbn [staled with_staled List.filter gone_realm_all].
  change (has_vmid (with_staled _ s) vmid rd) with (has_vmid s vmid rd). rewrite Hv. cbn [negb].
  destruct s. cbn in Hs. subst. reflexivity.
Qed.
Lemma vmid_here s rd : has_vmid s (rd_of s RD_vmid rd) rd = true.
Proof. unfold has_vmid. apply Z.eqb_refl. Qed.
Lemma vmid_put s vmid rd t i d : t <> rd -> has_vmid (put_word t i d s) vmid rd = has_vmid s vmid rd.
Proof. intros N. unfold has_vmid. cbn [mem put_word with_mem]. by rewrite word_set_page. Qed.

(* ---- Pins of what an entry maps ---- *)

Lemma shared_pinned s t p i n : inv s -> places s !! t = Some p -> 0 <= i < 512 ->
  kind (p_level p) (word (mem s) t i) = K_ASSIGNED_NS -> 0 <= n < pages_at (p_level p) ->
  pinned (out_addr (word (mem s) t i) + n * 4096) s = true.
Proof.
  intros I Hp Hi Hk Hn. destruct (entry_shares _ _ _ _ _ I Hp Hi Hk Hn) as (Hl & _ & Hns).
  pose proof (i_words _ I t i) as Hw. destruct (ns_page (p_level p) _ n ltac:(lia) Hw Hk Hn) as [_ Hc].
  pose proof (uses_entry s t p i _ (i_mem _ I) Hp Hi Hc) as U.
  pose proof (i_pins _ I _ Hns) as H. pose proof (runs_nonneg s (out_addr (word (mem s) t i) + n * 4096)).
  unfold pinned, is_ns, granule_at in *. destruct (gran s !! _) as [x|]; [|done]. cbn [default from_option id] in H.
  rewrite Hns. apply Z.ltb_lt. lia.
Qed.

(* ---- Under the realm's lock ---- *)

Lemma each_locked rd n (f : Z -> state -> state) s : (forall i s, f i (locked rd s) = locked rd (f i s)) ->
  each_below n f (locked rd s) = locked rd (each_below n f s).
Proof. intros H. induction n as [|n IH]; [by rewrite !each_below_0|]. by rewrite !each_below_S, IH, H. Qed.
Lemma drops_locked rd n base s : pins_dropped n base (locked rd s) = locked rd (pins_dropped n base s).
Proof. unfold pins_dropped. by apply each_locked. Qed.
Lemma pins_locked rd n base s : pins_taken n base (locked rd s) = locked rd (pins_taken n base s).
Proof. unfold pins_taken. by apply each_locked. Qed.
Lemma dropped_locked rd rd' level t s : ns_dropped rd level t (locked rd' s) = locked rd' (ns_dropped rd level t s).
Proof.
  unfold ns_dropped. apply each_locked. intros i s'. unfold ns_freed. change (mem (locked rd' s')) with (mem s').
  destruct (_ =? _); [|reflexivity]. rewrite drops_locked. reflexivity.
Qed.
(* An RD is not the host's, so its lock claims nothing that could be pinned; nor anything DELEGATED. *)
Lemma claimable_locked st rd pa s : has_state GS_RD rd s = true -> st <> GS_RD ->
  claimable st pa (locked rd s) = claimable st pa s.
Proof.
  intros Hr N. unfold claimable. change (has_state st pa (locked rd s)) with (has_state st pa s).
  destruct (has_state st pa s) eqn:E; [|done]. cbn [andb]. unfold free, holds. cbn [held others lock_taken with_held existsb lock_eqb].
  replace (pa =? rd) with false; [reflexivity|]. symmetry. apply Z.eqb_neq. intros ->.
  unfold has_state in *. destruct (gran s !! rd); [|done]. apply Z.eqb_eq in Hr, E. congruence.
Qed.
