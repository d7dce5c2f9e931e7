(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/data.c: RMI_RTT_SET_RIPAS. *)
From kcore Require Export refine.RipasInitRefine.
From kcore Require Export refine.DataDestroyRefine.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- One entry ---- *)

(* Only entries of the walk's table before n have changed. *)
Definition set_so_far (w : walked) (n : Z) (s s' : state) : Prop :=
  exists m, s' = with_mem m s /\ (forall t, t <> w_table w -> page m t = page (mem s) t) /\
    (forall i, n <= i -> word m (w_table w) i = word (mem s) (w_table w) i).

Lemma entry_set_so_far w r i s s' : 0 <= w_slot w -> 0 <= i ->
  set_so_far w (w_slot w + i) s s' -> set_so_far w (w_slot w + (i + 1)) s (entry_set w r i s').
Proof.
  intros H0 Hi (m & -> & Hp & Hw). unfold entry_set. destruct (_ =? _).
  - exists m. split_and!; [done|done|]. intros j Hj. apply Hw. lia.
  - set (d := with_ripas _ _ _). exists (set_word m (w_table w) (w_slot w + i) d). split_and!; [done|..].
    + intros t N. rewrite page_set_page by congruence. by apply Hp.
    + intros j Hj. rewrite word_set_slot by lia. apply Hw. lia.
Qed.
Lemma ripas_set_so_far w r n s : 0 <= w_slot w -> set_so_far w (w_slot w + Z.of_nat n) s (ripas_set w r n s).
Proof.
  intros H0. unfold ripas_set. induction n as [|n IH].
  - rewrite each_below_0. exists (mem s). split_and!; [by destruct s|done|done].
  - rewrite each_below_S. replace (Z.of_nat (S n)) with (Z.of_nat n + 1) by lia. apply entry_set_so_far; [done|lia|exact IH].
Qed.

(* An entry that is not valid stays as it is when the valid bit is taken off. *)
Lemma broken_assigned level pa r : 0 < pa < 2 ^ 48 -> pa mod 4096 = 0 -> r = 0 \/ r = 2 ->
  broken (assigned level pa r) = assigned level pa r.
Proof.
  intros Hp Ha Hr. unfold broken. rewrite assigned_lor, Z.land_lor_distr_l. f_equal.
  - rewrite (land_high 1) by (lia || reflexivity). change (2 ^ 1) with 2.
    assert (pa mod 2 = 0) by (Z.to_euclidean_division_equations; lia). lia.
  - by destruct Hr as [-> | ->].
Qed.

Theorem ripas_change_ok rd base w p i r s0 s :
  found rd base w p s0 -> staled s0 = [] -> aligned_to (w_level w) base = true -> 0 <= i -> w_slot w + i < 512 ->
  set_so_far w (w_slot w + i) s0 s -> 0 <= r <= 1 ->
  kind (w_level w) (entry_from w i s0) = K_UNASSIGNED \/ kind (w_level w) (entry_from w i s0) = K_ASSIGNED ->
  core "ripas_change" [rd_of s0 RD_vmid rd; w_level w; w_table w; w_slot w; w_desc w; w_kind w; w_slot w + i; run_end w base i; r] s =
  Some ([], entry_set w r i s).
Proof.
  intros F Hst Hal Hi Hj (m & -> & Hpg & Hwd) Hr Hk. pose proof (found_inv _ _ _ _ _ F) as I.
  pose proof (fd_place _ _ _ _ _ F) as Pp. pose proof (found_role _ _ _ _ _ F) as Rr. pose proof (found_hand _ _ _ _ _ F) as Hh.
  pose proof (fd_level _ _ _ _ _ F) as Lp. pose proof (fd_rd _ _ _ _ _ F) as Er. pose proof (fd_base _ _ _ _ _ F) as Eb.
  pose proof (found_not_rd _ _ _ _ _ F) as Nr. pose proof (fd_slot _ _ _ _ _ F) as Hsl.
  destruct (size_pos (w_level w)) as [Psz _]. apply Z.eqb_eq in Hal.
  assert (Hfl : floor_of (w_level w) base = base) by (unfold floor_of; rewrite Hal; lia). rewrite Hfl in Eb.
  set (j := w_slot w + i) in *.
  assert (Eipa : p_base p + j * size_of (w_level w) = run_end w base i) by (unfold j, run_end; lia).
  assert (Hfi : floor_of (w_level w) (run_end w base i) = run_end w base i).
  { unfold floor_of, run_end. rewrite Z.mod_add, Hal by lia. lia. }
  set (d := entry_from w i s0) in *.
  assert (Ed : word m (w_table w) j = d) by (rewrite Hwd by lia; reflexivity).
  assert (He : entry_ok s0 (w_table w) p (run_end w base i) d).
  { pose proof (t_entry _ _ _ (i_table _ I _ _ Pp) j ltac:(lia)) as H. by rewrite Lp, Eipa in H. }
  enter f_ripas_change. apply bind_read; [exact (found_read _ _ _ _ _ F j ltac:(lia))|]. tidy.
  change (word (mem (with_mem m s0)) (w_table w) j) with (word m (w_table w) j). rewrite Ed.
  eapply bind_call; [apply ripas_changed_ok; lia|]. tidy. use s2_is_valid_ok.
  assert (Eset : entry_set w r i (with_mem m s0) =
    if d =? with_ripas (w_level w) d r then with_mem m s0 else put_word (w_table w) j (with_ripas (w_level w) d r) (with_mem m s0)).
  { unfold entry_set, entry_from. change (mem (with_mem m s0)) with m. fold j. by rewrite Ed. }
  rewrite Eset. clear Eset. set (d' := with_ripas (w_level w) d r) in *.
  destruct (d =? d') eqn:Ne; [reflexivity|]. apply Z.eqb_neq in Ne.
  assert (Hnew : is_table (w_level w) d' = false /\ (is_valid d' = true -> is_valid d = false /\ realm_desc_ok (with_mem m s0) p j d' = true) /\
    (is_valid d = true -> broken d' = d' /\ is_valid d' = false)).
  { destruct Hk as [Hk|Hk].
    - assert (V : is_valid d = false) by (by apply (unassigned_invalid (w_level w))).
      assert (E : d' = unassigned r) by (unfold d', with_ripas; by rewrite Hk). rewrite E, V.
      destruct (unassigned_facts (w_level w) r ltac:(lia)) as (V' & T & _). rewrite V'. by split_and!.
    - assert (E : d' = assigned (w_level w) (out_addr d) r) by (unfold d', with_ripas; by rewrite Hk).
      rewrite <- Lp in Hk. destruct (assigned_entry _ _ _ _ _ I He Hk) as (pa & r0 & Ed0 & Hr0 & Ho & _ & V0 & _ & Hpa & Hpaa & Hhalf & Hown).
      rewrite Ho in E. rewrite Lp in Ed0. destruct (assigned_ok (w_level w) pa r ltac:(lia) Hpa Hpaa) as (O & V & T & _).
      rewrite E, V. split; [done|]. split.
      + intros Er1%Z.eqb_eq. split.
        * rewrite V0. apply Z.eqb_neq. intros ->. apply Ne. by rewrite E, Ed0, Er1.
        * unfold realm_desc_ok, realm_leaf_ok. cbv zeta. rewrite Lp, T, Eipa, Er. apply forallb_forall. intros n Hn.
          rewrite O. change (protected (with_mem m s0) rd (run_end w base i)) with
            (run_end w base i <? word m rd (rd_off RD_ipa_size) / 2).
          assert (Ew : word m rd (rd_off RD_ipa_size) = rd_of s0 RD_ipa_size rd).
          { unfold word. rewrite Hpg by congruence. reflexivity. }
          rewrite Ew. change (rd_of s0 RD_ipa_size rd / 2) with (half_of s0 rd). rewrite Er in Hhalf. rewrite (proj2 (Z.ltb_lt _ _)) by exact Hhalf.
          change (own_data (with_mem m s0)) with (own_data s0). rewrite <- Er. apply Hown. rewrite Lp.
          unfold granules_of in Hn. apply in_map_iff in Hn as (x & <- & Hx%in_seq).
          pose proof (Z.div_pos (size_of (w_level w)) 4096). lia.
      + intros V1. rewrite V0 in V1. apply Z.eqb_eq in V1.
        assert (r = 0).
        { destruct (Z.eq_dec r 0); [done|]. destruct Ne. rewrite E, Ed0. f_equal. unfold RIPAS_RAM in V1. lia. }
        subst r. split; [apply broken_assigned; [done|done|by left]|reflexivity]. }
  destruct Hnew as (Ht & Hnew & Hbrk). clearbody d'.
  assert (Hw : is_valid d && is_valid d' = false -> may_write (w_table w) j d' (with_mem m s0) = true).
  { intros Hb. eapply entry_write; [exact Pp|exact Rr|exact Hh|lia| |].
    - change (mem (with_mem m s0)) with m. by rewrite Ed.
    - intros V. by apply Hnew. }
  destruct (is_valid d) eqn:V.
  - destruct (Hbrk eq_refl) as [B V'].
    eapply bind_call; [apply s2_break_ok; rewrite B; apply Hw; by rewrite V'|]. rewrite B.
    erewrite entry_broken; [|exact Pp|exact Rr|exact Hst|change (mem (with_mem m s0)) with m; by rewrite Ed|exact V'].
    change (mem (with_mem m s0)) with m. tidy. rewrite Er, Lp, Eipa, Ed.
    set (s1 := put_word (w_table w) j d' (with_mem m s0)).
    refine (bind_prim P_tlbi_realm _ _ _ _ [] s1 _ _ _ _); [| |].
    { cbn [prim_sem]. rewrite (forget_leaf s1 rd); [reflexivity|exact Hst| | |exact Hfi].
      - unfold s1. rewrite vmid_put by done. unfold has_vmid, word. change (mem (with_mem m s0)) with m.
        rewrite Hpg by congruence. apply Z.eqb_refl.
      - destruct (is_table (w_level w) d) eqn:T; [|done]. exfalso. unfold kind in Hk. rewrite T in Hk. by destruct Hk. }
    2:{ apply bool_decide_eq_true_2. exact (found_vmid _ _ _ _ _ F). }
    tidy. reflexivity.
  - eapply bind_call; [apply s2_make_ok, Hw; reflexivity|].
    erewrite leaf_made; [|exact Pp|exact Rr|change (mem (with_mem m s0)) with m; by rewrite Ed|by rewrite Lp]. tidy. reflexivity.
Qed.

(* ---- A run of them ---- *)

Theorem ripas_set_entries_ok rd rec base top w p s :
  found rd base w p s -> staled s = [] -> aligned_to (w_level w) base = true -> base <= top < 2 ^ 64 ->
  rec_in_hand rec s = true -> 0 <= rec_of s REC_ripas_value rec <= 1 ->
  core "ripas_set_entries" [rd; rec; w_level w; w_table w; w_slot w; w_desc w; w_kind w; base; top] s =
  Some ([run_end w base (Z.of_nat (set_length rec w base top s))],
    ripas_set w (rec_of s REC_ripas_value rec) (set_length rec w base top s) s).
Proof.
  intros F Hst Hal Ht Hrec Hval. pose proof (found_ipa _ _ _ _ _ F) as Hb. pose proof (fd_slot _ _ _ _ _ F) as Hsl.
  pose proof (open_hand _ _ (fd_open _ _ _ _ _ F)) as Hrd.
  destruct (size_pos (w_level w)) as [Psz _]. pose proof (size_bound (w_level w)) as Bsz.
  enter f_ripas_set_entries. step. step. step. use s2_size_ok.
  change (rd_get RD_vmid rd 0 s) with (rd_of s RD_vmid rd).
  change (rec_get REC_ripas_value rec 0 s) with (rec_of s REC_ripas_value rec).
  change (rec_get REC_ripas_destroyed rec 0 s) with (rec_of s REC_ripas_destroyed rec).
  unfold set_length, run_length.
  set (v := rec_of s REC_ripas_value rec) in *. set (flag := rec_of s REC_ripas_destroyed rec).
  set (ok i := (run_end w base (i + 1) <=? top) && changeable (w_level w) (flag =? 1) (entry_from w i s)).
  eapply (loop_rule (fun j fr s' => let m := (j - Z.to_nat (w_slot w))%nat in let n := leading ok m in
    s' = ripas_set w v n s /\
    fr = [rd; rec; w_level w; w_table w; w_slot w; w_desc w; w_kind w; base; top; rd_of s RD_vmid rd; v; flag; size_of (w_level w);
      run_end w base (Z.of_nat n); b2z (n =? m)%nat; 0; 0; 0])).
  - cbn zeta. replace (0 - Z.to_nat (w_slot w))%nat with 0%nat by lia. cbn [leading].
    split; [unfold ripas_set; by rewrite each_below_0|]. rewrite run_end_start. reflexivity.
  - intros j fr s' kk Hj. cbn zeta. set (m := (j - Z.to_nat (w_slot w))%nat). intros [-> ->].
    change (0 + Z.of_nat j) with (Z.of_nat j). tidy.
    destruct (Z.leb_spec (w_slot w) (Z.of_nat j)) as [Hsj|Hsj].
    2:{ rewrite andb_false_r. assert (Em : m = 0%nat) by lia. assert (Em' : (S j - Z.to_nat (w_slot w))%nat = 0%nat) by lia.
        rewrite Em'. rewrite Em. eexists _, _. split; [reflexivity|]. split; reflexivity. }
    assert (Em : (S j - Z.to_nat (w_slot w))%nat = S m) by lia. rewrite Em. cbn [leading]. rewrite andb_true_r.
    pose proof (leading_le ok m) as Hle.
    destruct (Nat.eqb_spec (leading ok m) m) as [En|En]; cbn [andb].
    2:{ eexists _, _. split; [reflexivity|]. split; [reflexivity|]. rewrite (proj2 (Nat.eqb_neq _ _)) by lia. reflexivity. }
    rewrite En. assert (Ej : Z.of_nat j = w_slot w + Z.of_nat m) by lia.
    pose proof (ripas_set_so_far w v m s ltac:(lia)) as K. set (y := ripas_set w v m s) in *.
    assert (Ed : word (mem y) (w_table w) (Z.of_nat j) = entry_from w (Z.of_nat m) s).
    { destruct K as (mm & E & _ & Hw). rewrite E. change (mem (with_mem mm s)) with mm. rewrite Hw by lia. unfold entry_from. by rewrite Ej. }
    pose proof (run_bound (fun i => changeable (w_level w) (flag =? 1) (entry_from w i s)) w base top m ltac:(lia) En) as Hrun.
    assert (Hread : may_read (w_table w) (Z.of_nat j) y = true).
    { destruct K as (mm & E & _). rewrite E. exact (found_read _ _ _ _ _ F (Z.of_nat j) ltac:(lia)). }
    set (dd := entry_from w (Z.of_nat m) s) in *.
    assert (Eok : changeable (w_level w) (flag =? 1) dd && (size_of (w_level w) <=? wrap U64 (top - run_end w base (Z.of_nat m))) = ok (Z.of_nat m)).
    { rewrite wrap_small by lia. rewrite run_fits, andb_comm. reflexivity. }
    destruct (ok (Z.of_nat m)) eqn:Hok.
    + pose proof Hok as [Hfit%Z.leb_le [Hk _]%andb_true_iff]%andb_true_iff. fold dd in Hk.
      apply orb_true_iff in Hk. rewrite !Z.eqb_eq in Hk.
      eexists _, _. split.
      * apply bind_read; [exact Hread|]. tidy. rewrite Ed.
        eapply bind_call; [apply (ripas_may_change_ok (w_level w) dd (flag =? 1))|]. tidy. rewrite Eok. cbv iota.
        eapply bind_call.
        { rewrite Ej. apply (ripas_change_ok rd base w p (Z.of_nat m) v s y); [exact F|exact Hst|exact Hal|lia|lia|exact K|exact Hval|exact Hk]. }
        tidy. reflexivity.
      * assert (En1 : wrap U64 (run_end w base (Z.of_nat m) + size_of (w_level w)) = run_end w base (Z.of_nat m + 1)).
        { assert (X : run_end w base (Z.of_nat m) + size_of (w_level w) = run_end w base (Z.of_nat m + 1)) by (unfold run_end; ring).
          rewrite X. apply wrap_small. lia. }
        rewrite En1. split.
        -- unfold ripas_set. rewrite each_below_S. reflexivity.
        -- rewrite Nat.eqb_refl. replace (Z.of_nat (S m)) with (Z.of_nat m + 1) by lia. reflexivity.
    + eexists _, _. split.
      * apply bind_read; [exact Hread|]. tidy. rewrite Ed.
        eapply bind_call; [apply (ripas_may_change_ok (w_level w) dd (flag =? 1))|]. tidy. rewrite Eok. cbv iota. reflexivity.
      * cbv iota. split; [reflexivity|]. rewrite (proj2 (Nat.eqb_neq m (S m))) by lia. reflexivity.
  - intros fr s'. cbn zeta. intros [-> ->]. tidy.
    replace (512 - Z.to_nat (w_slot w))%nat with (Z.to_nat (512 - w_slot w)) by lia. reflexivity.
Qed.

(* ---- The command ---- *)

Theorem rtt_set_ripas_locked_ok rd rec base top s :
  open_realm rd s -> staled s = [] -> has_state GS_REC rec s = true -> g_owner (granule_at s rec) = rd -> base < top ->
  core "rtt_set_ripas_locked" [rd; rec; base; top] s = Some (fst (set_locked rd rec base top s), snd (set_locked rd rec base top s)).
Proof.
  intros O Hst Hrec Hown Hlt. pose proof O as [I Hr Hl].
  assert (Hh : rec_in_hand rec s = true).
  { unfold rec_in_hand. by rewrite Hrec, (owned_under GS_REC rec rd s I Hr Hl Hrec Hown). }
  pose proof Hrec as (g & Hg & Hgs)%has_state_inv. rewrite (granule_at_eq _ _ _ Hg) in Hown.
  pose proof (c_ripas _ _ _ (i_rec _ I _ _ Hg Hgs)) as Hc. rewrite Hown in Hc.
  enter f_rtt_set_ripas_locked. unfold set_locked, Enter.RMI_ERROR_REC. step.
  change (rec_get REC_running rec 0 s) with (rec_of s REC_running rec).
  destruct (rec_of s REC_running rec =? 0); cbn [negb]; [|reflexivity].
  step. step. step.
  change (rec_get REC_ripas_pending rec 0 s) with (rec_of s REC_ripas_pending rec).
  change (rec_get REC_ripas_base rec 0 s) with (rec_of s REC_ripas_base rec).
  change (rec_get REC_ripas_top rec 0 s) with (rec_of s REC_ripas_top rec).
  destruct (Z.eqb_spec (rec_of s REC_ripas_pending rec) 0) as [|Np]; cbn [orb]; [reflexivity|].
  destruct (Z.eqb_spec base (rec_of s REC_ripas_base rec)) as [Eb|]; cbn [negb orb]; [|reflexivity].
  destruct (Z.ltb_spec (rec_of s REC_ripas_top rec) top) as [|Htop]; [reflexivity|].
  destruct (Hc Np) as (_ & Hhalf & _ & _ & Hval).
  destruct (ipa_size_entries _ _ (i_realm _ I _ Hr)) as (_ & _ & Ehalf & Bhalf).
  assert (H0 : 0 <= base) by (rewrite Eb; apply (i_words _ I)).
  eapply bind_call; [apply rtt_walk_ok; [done|lia|lia]|]. tidy.
  destruct (walk_found rd base 3 s O ltac:(lia)) as (p & F). set (w := walk rd base 3 s) in *.
  pose proof (found_range _ _ _ _ _ F) as Hlev. use s2_aligned_ok. eapply bind_call; [apply error_rtt_ok; lia|]. tidy.
  destruct (aligned_to (w_level w) base) eqn:Hal; cbn [negb orb]; [|reflexivity].
  eapply bind_call; [apply (ripas_set_entries_ok rd rec base top w p); [exact F|exact Hst|exact Hal|lia|exact Hh|exact Hval]|]. tidy.
  set (n := set_length rec w base top s). destruct (Nat.eqb_spec n 0) as [E|E].
  - rewrite E, run_end_start, Z.eqb_refl. unfold ripas_set. rewrite each_below_0. reflexivity.
  - rewrite (proj2 (Z.eqb_neq _ _)) by (pose proof (run_end_later w base n E); lia).
    assert (Hh' : rec_in_hand rec (ripas_set w (rec_of s REC_ripas_value rec) n s) = true).
    { destruct (ripas_set_so_far w (rec_of s REC_ripas_value rec) n s) as (m & -> & _); [apply F|exact Hh]. }
    step. reflexivity.
Qed.

Lemma entry_set_locked l w r i s : entry_set w r i (lock_taken l s) = lock_taken l (entry_set w r i s).
Proof.
  unfold entry_set. change (entry_from w i (lock_taken l s)) with (entry_from w i s). destruct (_ =? _); reflexivity.
Qed.
Lemma set_locked_under rd rec base top s :
  set_locked rd rec base top (lock_taken (LGranule rd) s) =
    (fst (set_locked rd rec base top s), lock_taken (LGranule rd) (snd (set_locked rd rec base top s))) /\
  (exists a b c d e, fst (set_locked rd rec base top s) = [a; b; c; d; e]) /\
  held (snd (set_locked rd rec base top s)) = held s /\
    shrinking (snd (set_locked rd rec base top s)) = shrinking s /\ staled (snd (set_locked rd rec base top s)) = staled s.
Proof.
  unfold set_locked, refused.
  change (walk rd base 3 (lock_taken (LGranule rd) s)) with (walk rd base 3 s).
  change (rec_of (lock_taken (LGranule rd) s)) with (rec_of s).
  set (w := walk rd base 3 s).
  change (set_length rec w base top (lock_taken (LGranule rd) s)) with (set_length rec w base top s).
  destruct (rec_of s REC_running rec =? 0); cbn [negb fst snd]; [|by split_and!; eauto 10].
  destruct ((rec_of s REC_ripas_pending rec =? 0) || _ || _); cbn [fst snd]; [by split_and!; eauto 10|].
  set (n := set_length rec w base top s). destruct (negb (aligned_to (w_level w) base) || (n =? 0)%nat); cbn [fst snd]; [by split_and!; eauto 10|].
  set (v := rec_of s REC_ripas_value rec).
  assert (Hk : held (ripas_set w v n s) = held s /\ shrinking (ripas_set w v n s) = shrinking s /\ staled (ripas_set w v n s) = staled s).
  { unfold ripas_set. generalize n. intros k. induction k as [|k IH]; [by rewrite each_below_0|]. rewrite each_below_S.
    set (z := each_below k _ s) in *. clearbody z. unfold entry_set. destruct (_ =? _); exact IH. }
  destruct Hk as (F1 & F2 & F3). split_and!; [|by eauto 10|exact F1|exact F2|exact F3].
  f_equal. unfold ripas_set. rewrite each_locked by (intros; apply entry_set_locked). reflexivity.
Qed.

Theorem rtt_set_ripas_ok rd rec base top s :
  inv s -> idle s -> core "rtt_set_ripas" [rd; rec; base; top] s =
  Some (fst (set_ripas rd rec base top s), snd (set_ripas rd rec base top s)).
Proof.
  intros I (Hh & Hs & Hst). unfold set_ripas, Enter.RMI_ERROR_REC, refused. enter f_rtt_set_ripas.
  rewrite (land_low 12 top 4095) by (lia || reflexivity). change (top mod 2 ^ 12 =? 0) with (is_aligned top).
  destruct (Z.leb_spec top base) as [|Hlt]; cbn [orb]; [reflexivity|].
  destruct (is_aligned top); cbn [negb orb]; [|reflexivity]. apply bind_lock; [exact Hs|exact Hh|].
  destruct (has_state GS_RD rd s) eqn:Hr; tidy; cbn [negb]; [|reflexivity].
  step. change (if has_state 3 rec (lock_taken (LGranule rd) s) then g_owner (granule_at (lock_taken (LGranule rd) s) rec) else 0)
    with (rec_owner rec s).
  pose proof (rd_nonzero _ _ I Hr) as Nz.
  destruct (Z.eqb_spec (rec_owner rec s) rd) as [Eo|No].
  - unfold rec_owner in Eo. destruct (has_state GS_REC rec s) eqn:Hrec; [|congruence].
    eapply bind_call; [apply rtt_set_ripas_locked_ok; [by apply locked_open|exact Hst|exact Hrec|exact Eo|exact Hlt]|].
    destruct (set_locked_under rd rec base top s) as (E & (a & b & c & d & e & El) & Fk). rewrite E. cbn [fst snd]. rewrite El. tidy.
    destruct Fk as (F1 & F2 & F3).
    apply bind_unlock; [by rewrite F1|by rewrite F2|by rewrite F3|]. tidy. reflexivity.
  - destruct (rec_owner rec s =? 0); cbn [negb]; apply bind_unlock; try done; tidy; reflexivity.
Qed.
