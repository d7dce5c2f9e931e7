(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c *)
From kcore Require Export refine.RecGuestRefine refine.RecLockRefine refine.IpaRefine refine.GranuleRefine refine.S2ttRefine spec.Rsi.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* A loop whose iterations change nothing but the state: what they leave is given to the hypothesis. *)
Lemma loop_fold (f : Z -> state -> state) (P : state -> Prop) body v n fr (k : cont (state := state)) s r :
  P s ->
  (forall i s, 0 <= i < Z.of_nat n -> P s -> P (f i s)) ->
  (forall i s k, 0 <= i < Z.of_nat n -> P s ->
     (forall fr' s', reset fr' v = fr -> s' = f i s -> k fr' s' = r) -> body (put fr v i) k s = r) ->
  k fr (each_below n f s) = r ->
  loop body v 0 n fr k s = r.
Proof.
  intros H0 Hp Hb Hr.
  enough (forall m j, (j + m = n)%nat -> P (each_below j f s) -> loop body v (Z.of_nat j) m fr k (each_below j f s) = r) as H.
  { apply (H n 0%nat); [lia|exact H0]. }
  induction m as [|m IH]; intros j Hj Pj; cbn [loop].
  - by replace n with j in Hr by lia.
  - apply Hb; [lia|exact Pj|]. intros fr' s' -> ->.
    replace (Z.of_nat j + 1) with (Z.of_nat (S j)) by lia. rewrite <- each_below_S.
    apply IH; [lia|]. rewrite each_below_S. apply Hp; [lia|exact Pj].
Qed.

(* What is in hand depends on the granule table, the locks, where tables are, and the REC that runs only: so through changes of the rest. *)
Lemma hand_frame pa s s' : gran s' = gran s -> held s' = held s -> places s' = places s -> in_hand pa s = true -> in_hand pa s' = true.
Proof. intros Hg Hh Hp <-. apply in_hand_same; congruence. Qed.
Lemma rec_hand_frame rec s s' : gran s' = gran s -> held s' = held s -> runs s' = runs s ->
  rec_in_hand rec s = true -> rec_in_hand rec s' = true.
Proof. unfold rec_in_hand, has_state, under_lock, tracked, granule_at, holds. intros -> -> ->. exact id. Qed.
Lemma state_frame st pa s s' : gran s' = gran s -> has_state st pa s = true -> has_state st pa s' = true.
Proof. unfold has_state. intros ->. exact id. Qed.
(* Hypotheses are found by their form: to compare two states is a long way to find that they differ. *)
Ltac known := match goal with H : ?P |- ?Q => constr_eq P Q; exact H end.
Ltac framed :=
  match goal with
  | H : in_hand ?pa _ = true |- in_hand ?pa _ = true => refine (hand_frame pa _ _ _ _ _ H); lazy; exact eq_refl
  | H : rec_in_hand ?r _ = true |- rec_in_hand ?r _ = true => refine (rec_hand_frame r _ _ _ _ _ H); lazy; exact eq_refl
  | H : has_state ?st ?pa _ = true |- has_state ?st ?pa _ = true => refine (state_frame st pa _ _ _ H); lazy; exact eq_refl
  end.
Ltac obliged :=
  lazymatch goal with
  | |- _ && _ = true => apply andb_true_intro; split; obliged
  | |- in_hand _ _ = true => first [known | framed | idtac]
  | |- rec_in_hand _ _ = true => first [known | framed | idtac]
  | |- has_state _ _ _ = true => first [known | framed | idtac]
  | |- may_read _ _ _ = true => try known
  | |- _ => first [known | reflexivity | idtac]
  end.
(* One primitive. That its meaning is a guard and an effect is said with the guard first, and prim_sem is unfolded
   before all else: or the unifier would compute the guard. *)
#[local] Strategy expand [prim_sem].
Lemma bind_guard {B} p args (k : list Z -> M state B) s g vs s' r :
  guarded g (vs, s') = prim_sem p args s -> g = true -> k vs s' = r -> bind (prim_sem p args) k s = r.
Proof. intros H -> <-. unfold bind. rewrite <- H. reflexivity. Qed.
Ltac go :=
  lazymatch goal with
  | |- bind (prim_sem ?p ?args) ?k ?s = _ =>
      let r := eval cbv beta iota delta [prim_sem] in (prim_sem p args s) in
      lazymatch r with
      | guarded ?g (?vs, ?s') => apply (bind_guard p args k s g vs s' _ eq_refl); [obliged|tidy]
      end
  end.
Ltac after H := eapply bind_call; [apply H; obliged | tidy].

Theorem rsi_answer_ok rec status x1 x2 s :
  rec_in_hand rec s = true -> core "rsi_answer" [rec; status; x1; x2] s = Some ([BACK], answered rec status x1 x2 s).
Proof. intros H. enter f_rsi_answer. after rec_return_ok. reflexivity. Qed.

Theorem rsi_version_ok rec s : rec_in_hand rec s = true -> core "rsi_version" [rec] s = Some ([BACK], version_told rec s).
Proof.
  intros H. enter f_rsi_version. go. fold (gpr rec 1 s). unfold version_told, RSI_ABI_VERSION.
  destruct (gpr rec 1 s =? 65536); after rsi_answer_ok; reflexivity.
Qed.

Lemma hpfar_eq ipa : u64 ipa -> wrap U64 (Z.shiftl (Z.shiftr ipa 12) 4) = ipa / 4096 * 16.
Proof.
  intros H. rewrite Z.shiftl_mul_pow2, Z.shiftr_div_pow2 by lia. change (2 ^ 12) with 4096. change (2 ^ 4) with 16.
  apply wrap_small. unfold u64 in H. split; [apply Z.mul_nonneg_nonneg; [apply Z.div_pos|]; lia|].
  pose proof (Z.mul_div_le ipa 4096). lia.
Qed.

Theorem rsi_fault_ok ipa level s :
  u64 ipa -> core "rsi_fault" [ipa; level] s = Some ([LEAVE], faulted ipa level s).
Proof.
  intros H. enter f_rsi_fault. go. go. go. go. rewrite hpfar_eq by exact H. reflexivity.
Qed.

Theorem rsi_ripas_complete_ok rec reject s :
  rec_in_hand rec s = true ->
  core "rsi_ripas_complete" [rec; b2z reject] s = Some ([], ripas_completed rec reject s).
Proof.
  intros H. enter f_rsi_ripas_complete. go. go. go. go. unfold ripas_completed.
  destruct (rec_get REC_ripas_pending rec 0 s =? 0); [reflexivity|]. unfold ripas_refused, RIPAS_RAM.
  unfold regs_set, gpr_set, RSI_SUCCESS, RSI_REJECT, RSI_ACCEPT.
  destruct (_ && negb (_ =? _)).
  - do 7 go. reflexivity.
  - do 7 go. reflexivity.
Qed.

Lemma same_ripas_le n level table r i s : 0 <= same_ripas n level table r i s <= Z.of_nat n.
Proof. revert i. induction n as [|n IH]; intros i; cbn [same_ripas]; [lia|]. pose proof (IH (i + 1)). destruct (has_ripas _ _ _ _ _); lia. Qed.

Lemma same_ripas_S n level table r i s (k := same_ripas n level table r i s) :
  same_ripas (S n) level table r i s =
  if (k =? Z.of_nat n) && has_ripas level table r (i + Z.of_nat n) s then k + 1 else k.
Proof.
  subst k. revert i. induction n as [|n IH]; intros i.
  - cbn [same_ripas]. change (Z.of_nat 0) with 0. rewrite !Z.add_0_r. destruct (has_ripas _ _ _ _ _); reflexivity.
  - assert (E : same_ripas (S (S n)) level table r i s =
      if has_ripas level table r i s then 1 + same_ripas (S n) level table r (i + 1) s else 0) by reflexivity.
    rewrite E, IH. clear E IH.
    cbn [same_ripas]. replace (i + Z.of_nat (S n)) with (i + 1 + Z.of_nat n) by lia.
    destruct (has_ripas level table r i s); [|rewrite (proj2 (Z.eqb_neq 0 (Z.of_nat (S n)))) by lia; reflexivity].
    replace (1 + same_ripas n level table r (i + 1) s =? Z.of_nat (S n))
      with (same_ripas n level table r (i + 1) s =? Z.of_nat n)
      by (destruct (Z.eqb_spec (same_ripas n level table r (i + 1) s) (Z.of_nat n)); symmetry; [apply Z.eqb_eq|apply Z.eqb_neq]; lia).
    destruct (_ && _); lia.
Qed.

Theorem rsi_same_ripas_ok level table slot desc k ipa r s :
  u64 ipa -> 0 <= slot < 512 -> floor_of level ipa + 512 * size_of level < 2 ^ 64 ->
  (forall i, 0 <= i < 512 -> may_read table i s = true) ->
  core "rsi_same_ripas" [level; table; slot; desc; k; ipa; r] s = Some ([ripas_end level table slot ipa r s], s).
Proof.
  intros Hi Hs Hb Hr. enter f_rsi_same_ripas. after s2_size_ok. after s2_floor_ok.
  assert (0 <= floor_of level ipa) as Hf.
  { unfold floor_of, size_of, u64 in *. pose proof (Z.mod_le ipa (2 ^ shift_of level)).
    assert (0 < 2 ^ shift_of level) by (apply Z.pow_pos_nonneg; unfold shift_of; repeat case_match; lia). lia. }
  assert (0 < size_of level) as Hz by (unfold size_of; apply Z.pow_pos_nonneg; unfold shift_of; repeat case_match; lia).
  set (run j := same_ripas (j - Z.to_nat slot) level table r slot s).
  apply (loop_rule (fun j fr s' => s' = s /\ fr = [level; table; slot; desc; k; ipa; r; size_of level;
    floor_of level ipa + run j * size_of level; b2z (run j =? Z.of_nat (j - Z.to_nat slot)); 0; 0; 0; 0])).
  - unfold run. rewrite Nat.sub_0_l. cbn [same_ripas]. rewrite Z.add_0_r. split; reflexivity.
  - intros j fr s' k' Hj [-> ->]. rewrite Z.add_0_l. tidy.
    destruct (Z.leb_spec slot (Z.of_nat j)) as [Hle|Hgt].
    + assert (E : run (S j) = if (run j =? Z.of_nat (j - Z.to_nat slot)) && has_ripas level table r (Z.of_nat j) s
        then run j + 1 else run j).
      { unfold run. rewrite Nat.sub_succ_l by lia. rewrite same_ripas_S.
        replace (slot + Z.of_nat (j - Z.to_nat slot)) with (Z.of_nat j) by lia. reflexivity. }
      assert (0 <= run j <= Z.of_nat (j - Z.to_nat slot)) as Hrun by apply same_ripas_le.
      destruct (Z.eqb_spec (run j) (Z.of_nat (j - Z.to_nat slot))) as [He|He]; cbn [andb] in *.
      * assert (wrap U64 (floor_of level ipa + run j * size_of level + size_of level) =
                floor_of level ipa + (run j + 1) * size_of level) as Hw by (rewrite wrap_small; nia).
        exists [level; table; slot; desc; k; ipa; r; size_of level; floor_of level ipa + run (S j) * size_of level;
          b2z (has_ripas level table r (Z.of_nat j) s); Z.of_nat j; word (mem s) table (Z.of_nat j);
          kind level (word (mem s) table (Z.of_nat j)); ripas (word (mem s) table (Z.of_nat j))], s. split.
        -- go; [apply Hr; lia|]. after s2_kind_ok. after s2_ripas_ok. rewrite E. unfold has_ripas, K_UNASSIGNED, K_ASSIGNED.
           destruct (_ && _); tidy; [rewrite Hw|]; reflexivity.
        -- split; [reflexivity|]. tidy. repeat f_equal. rewrite E. destruct (has_ripas _ _ _ _ _).
           ++ symmetry. apply Z.eqb_eq. lia.
           ++ symmetry. apply Z.eqb_neq. lia.
      * eexists _, s. split; [reflexivity|]. split; [reflexivity|]. rewrite E. tidy. repeat f_equal.
        symmetry. apply Z.eqb_neq. lia.
    + rewrite andb_false_r. eexists _, s. split; [reflexivity|]. split; [reflexivity|].
      unfold run. replace (S j - Z.to_nat slot)%nat with 0%nat by lia. replace (j - Z.to_nat slot)%nat with 0%nat by lia.
      reflexivity.
  - intros fr s' [-> ->]. tidy. unfold run, ripas_end. replace (512 - Z.to_nat slot)%nat with (Z.to_nat (512 - slot)) by lia.
    reflexivity.
Qed.

(* ---- The realm's lock around what is done ---- *)

Lemma rec_set_locked f r i v rd s : rec_set f r i v (locked rd s) = locked rd (rec_set f r i v s).
Proof. destruct f; reflexivity. Qed.
Lemma rec_get_locked f r i rd s : rec_get f r i (locked rd s) = rec_get f r i s.
Proof. reflexivity. Qed.
Lemma answered_locked rec status x1 x2 rd s : answered rec status x1 x2 (locked rd s) = locked rd (answered rec status x1 x2 s).
Proof. unfold answered, returned, skipped, regs_set, gpr_set. rewrite !rec_set_locked, !rec_get_locked. reflexivity. Qed.
Lemma each_below_locked n f rd s :
  (forall i s, f i (locked rd s) = locked rd (f i s)) -> each_below n f (locked rd s) = locked rd (each_below n f s).
Proof. intros H. induction n as [|n IH]; [reflexivity|]. by rewrite !each_below_S, IH, H. Qed.
Ltac unlock C :=
  apply bind_unlock; [lazy; exact (c_held _ _ C) | lazy; exact (c_growing _ _ C) | try (lazy; exact (c_clean _ _ C)) .. | tidy].

(* RD, REC and data pages are different ones. *)
Lemma mem_rec_set f rec i v s : mem (rec_set f rec i v s) = set_word (mem s) rec (rec_word f i) v.
Proof. destruct f; reflexivity. Qed.
Lemma rd_get_rec_set f rd i g rec j v s : rd <> rec -> rd_get f rd i (rec_set g rec j v s) = rd_get f rd i s.
Proof. intros. unfold rd_get. rewrite mem_rec_set. apply word_set_page. congruence. Qed.
Lemma rd_get_put_word f rd i pa j v s : rd <> pa -> rd_get f rd i (put_word pa j v s) = rd_get f rd i s.
Proof. intros. unfold rd_get. change (mem (put_word pa j v s)) with (set_word (mem s) pa j v). apply word_set_page. congruence. Qed.
Lemma current_differ rec s : current rec s -> realm_of rec s <> rec.
Proof.
  intros C E. pose proof (c_realm _ _ C) as Hd. rewrite E in Hd. pose proof (c_rec _ _ C) as Hc.
  unfold has_state in *. destruct (gran s !! rec); [|discriminate]. unfold GS_RD, GS_REC in *. lia.
Qed.

Theorem rsi_measurement_read_ok rec s :
  current rec s -> u64 (gpr rec 1 s) -> core "rsi_measurement_read" [rec] s = Some ([BACK], measurement_read rec s).
Proof.
  intros C U. pose proof (current_hand _ _ C) as H. enter f_rsi_measurement_read. go. fold (gpr rec 1 s).
  unfold measurement_read, MEAS_SLOTS. unfold u64 in U.
  destruct (Z.leb_spec 5 (gpr rec 1 s)) as [G|G], (Z.ltb_spec (gpr rec 1 s) 5) as [G'|G']; try lia.
  - after rsi_answer_ok. reflexivity.
  - set (rd := realm_of rec s). set (slot := gpr rec 1 s) in *.
    pose proof (current_differ _ _ C : rd <> rec) as Hne.
    pose proof (hand_locked rec rd s H) as HL. pose proof (hand_realm rd s (c_realm _ _ C)) as HR.
    after rec_lock_realm_ok. fold rd. after rsi_answer_ok.
    apply (loop_fold (fun i => gpr_set rec (1 + i) (rd_get RD_meas rd (8 * slot + i) s))
      (fun s' => in_hand rd s' = true /\ rec_in_hand rec s' = true /\ forall i, rd_get RD_meas rd i s' = rd_get RD_meas rd i s)).
    + split; [framed|]. split; [framed|]. intros i. unfold answered, returned, skipped, regs_set, gpr_set.
      rewrite !rd_get_rec_set by exact Hne. reflexivity.
    + intros i s' Hi (H1 & H2 & H3). split; [framed|]. split; [framed|]. intros i'. unfold gpr_set.
      by rewrite rd_get_rec_set by exact Hne.
    + intros i s' k Hi (H1 & H2 & H3) Hk. clear HL HR H. tidy.
      assert (E : wrap U64 (wrap U64 (Z.shiftl slot 3) + i) = 8 * slot + i).
      { rewrite Z.shiftl_mul_pow2 by lia. change (2 ^ 3) with 8. rewrite (wrap_small (slot * 8)) by lia.
        rewrite wrap_small by lia. lia. }
      rewrite E. rewrite (wrap_small (1 + i)) by lia. go; [apply in_range_ok; simpl; lia|]. rewrite H3.
      go; [apply in_range_ok; simpl; lia|]. apply Hk; reflexivity.
    + rewrite answered_locked, each_below_locked by (intros; apply rec_set_locked). unlock C. reflexivity.
Qed.

Theorem rsi_config_write_ok rd pa s :
  in_hand rd s = true -> in_hand pa s = true -> has_state GS_DATA pa s = true -> rd <> pa ->
  core "rsi_config_write" [rd; pa] s = Some ([], config_written rd pa s).
Proof.
  intros Hr Hp Hd Hne. enter f_rsi_config_write. go. go. go. go.
  apply (loop_fold (fun i => put_word pa (64 + i) (rd_get RD_rpv rd i s))
    (fun s' => in_hand rd s' = true /\ in_hand pa s' = true /\ has_state GS_DATA pa s' = true /\
       forall i, rd_get RD_rpv rd i s' = rd_get RD_rpv rd i s)).
  - split; [framed|]. split; [framed|]. split; [framed|]. intros i. by rewrite !rd_get_put_word by exact Hne.
  - intros i s' Hi (H1 & H2 & H3 & H4). split; [framed|]. split; [framed|]. split; [framed|].
    intros i'. by rewrite rd_get_put_word by exact Hne.
  - intros i s' k Hi (H1 & H2 & H3 & H4) Hk. clear Hr Hp Hd. tidy. rewrite (wrap_small (64 + i)) by lia.
    go; [apply in_range_ok; simpl; lia|]. rewrite H4. go; [apply in_range_ok; lia|]. apply Hk; reflexivity.
  - reflexivity.
Qed.

Lemma offset_word offset i : 0 <= offset <= 3840 -> 0 <= i < 32 -> 0 <= offset / 8 /\ offset / 8 + i < 512.
Proof. intros. split; [apply Z.div_pos; lia|]. assert (offset / 8 <= 480) by (apply Z.div_le_upper_bound; lia). lia. Qed.

Theorem rsi_host_call_out_ok pa offset s :
  in_hand pa s = true -> has_state GS_DATA pa s = true -> 0 <= offset <= 3840 ->
  core "rsi_host_call_out" [pa; offset] s = Some ([LEAVE], host_call_told pa offset s).
Proof.
  intros Hp Hd Ho. enter f_rsi_host_call_out. rewrite shr by lia. change (2 ^ 3) with 8.
  destruct (offset_word offset 0 Ho ltac:(lia)) as [O1 O2].
  rewrite (wrap_small (offset / 8 + 0)) by lia.
  go; [apply in_range_ok; lia|]. go. go.
  apply (loop_fold (fun i => run_out OUT_gpr i (word (mem s) pa (offset / 8 + (1 + i))))
    (fun s' => in_hand pa s' = true /\ has_state GS_DATA pa s' = true /\ mem s' = mem s)).
  - split; [framed|]. split; [framed|]. reflexivity.
  - intros i s' Hi (H1 & H2 & H3). split; [framed|]. split; [framed|]. exact H3.
  - intros i s' k Hi (H1 & H2 & H3) Hk. clear Hp Hd. tidy.
    destruct (offset_word offset (1 + i) Ho ltac:(lia)) as [O3 O4].
    rewrite (wrap_small (offset / 8 + 1)), (wrap_small (offset / 8 + 1 + i)) by lia. go; [apply in_range_ok; lia|].
    go; [apply in_range_ok; simpl; lia|]. rewrite H3, <- Z.add_assoc. apply Hk; reflexivity.
  - go. reflexivity.
Qed.

Theorem rsi_host_call_in_ok pa offset s :
  in_hand pa s = true -> has_state GS_DATA pa s = true -> 0 <= offset <= 3840 ->
  core "rsi_host_call_in" [pa; offset] s = Some ([], host_call_taken pa offset s).
Proof.
  intros Hp Hd Ho. enter f_rsi_host_call_in. rewrite shr by lia. change (2 ^ 3) with 8.
  destruct (offset_word offset 0 Ho ltac:(lia)) as [O1 O2].
  apply (loop_fold (fun i => put_word pa (offset / 8 + 1 + i) (run_in IN_gpr i s))
    (fun s' => in_hand pa s' = true /\ has_state GS_DATA pa s' = true /\ run s' = run s)).
  - split; [exact Hp|]. split; [exact Hd|]. reflexivity.
  - intros i s' Hi (H1 & H2 & H3). split; [framed|]. split; [framed|]. exact H3.
  - intros i s' k Hi (H1 & H2 & H3) Hk. clear Hp Hd. tidy.
    destruct (offset_word offset (1 + i) Ho ltac:(lia)) as [O3 O4]. rewrite (wrap_small (offset / 8 + 1)), (wrap_small (offset / 8 + 1 + i)) by lia.
    go; [apply in_range_ok; simpl; lia|]. replace (run_in IN_gpr i s') with (run_in IN_gpr i s) by (unfold run_in; by rewrite H3).
    go; [apply in_range_ok; lia|]. apply Hk; reflexivity.
  - reflexivity.
Qed.

Theorem rsi_ipa_state_set_ok rec s :
  current rec s -> core "rsi_ipa_state_set" [rec] s = Some ([fst (ripas_asked rec s)], snd (ripas_asked rec s)).
Proof.
  intros C. pose proof (current_hand _ _ C) as H. enter f_rsi_ipa_state_set. go. go. go. go.
  set (rd := realm_of rec s). after rec_lock_realm_ok. fold rd.
  pose proof (hand_realm rd s (c_realm _ _ C)) as HR. after ipa_in_par_ok. clear HR. unlock C. after is_granule_aligned_ok.
  fold (gpr rec 1 s) (gpr rec 2 s) (gpr rec 3 s) (gpr rec 4 s).
  assert (E : (1 <? gpr rec 3 s) || negb (is_aligned (Z.lor (gpr rec 1 s) (gpr rec 2 s))) || (gpr rec 2 s <=? gpr rec 1 s) ||
    negb (in_par rd (wrap U64 (gpr rec 2 s - 1)) s) = negb (ripas_askable rec s)).
  { unfold ripas_askable, RIPAS_RAM. fold rd. rewrite Z.ltb_antisym, (Z.leb_antisym (gpr rec 1 s)), !negb_andb. reflexivity. }
  change (in_par rd (wrap U64 (gpr rec 2 s - 1)) (locked rd s)) with (in_par rd (wrap U64 (gpr rec 2 s - 1)) s).
  rewrite E. unfold ripas_asked. clear E. destruct (ripas_askable rec s); cbn [negb fst snd].
  - go. go. go. go. unfold ripas_told, ripas_noted, counted, CHANGE_DESTROYED, EXIT_RIPAS_CHANGE, CTR_EXIT_RIPAS.
    destruct (gpr rec 4 s =? 1); go; after rec_skip_ok; go; go; go; go; go; reflexivity.
  - after rsi_answer_ok. reflexivity.
Qed.
