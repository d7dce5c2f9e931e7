(* SPDX-License-Identifier: Apache-2.0 *)
(* What keeps a REC current: the functions that handle its traps change its registers, the run page, counters and
   the log, but not who runs it, for which realm, or locks. *)
From kcore Require Export refine.RecGuestRefine refine.RecLockRefine.
Local Open Scope Z_scope.

Record kept (rec : Z) (s s' : state) : Prop := Kept {
  k_gran : gran s' = gran s;
  k_held : held s' = held s;
  k_shrinking : shrinking s' = shrinking s;
  k_staled : staled s' = staled s;
  k_runs : runs s' = runs s;
  k_loaded : loaded s' = loaded s;
  k_realm : realm_of rec s' = realm_of rec s;
  k_page : rec_get REC_run_page rec 0 s' = rec_get REC_run_page rec 0 s;
  k_mem : mem_ok (mem s) -> mem_ok (mem s');
}.

Lemma kept_refl rec s : kept rec s s.
Proof. by constructor. Qed.
Lemma kept_trans rec s s' s'' : kept rec s s' -> kept rec s' s'' -> kept rec s s''.
Proof. intros [] []. constructor; [congruence..|auto]. Qed.

Lemma kept_current rec s s' : kept rec s s' -> current rec s -> current rec s'.
Proof.
  intros [Hg Hh Hs Hst Hr _ Hrd Hp _] [C1 C2 C3 C4 C5 C6 C7 C8].
  constructor; unfold has_state, pinned in *; rewrite ?Hg, ?Hrd, ?Hp; try assumption; congruence.
Qed.
Lemma kept_hand rec r s s' : kept rec s s' -> rec_in_hand r s = true -> rec_in_hand r s' = true.
Proof. intros [Hg Hh _ _ Hr _ _ _ _] <-. by apply hand_same. Qed.

(* Words of a REC that say whose it is, and where the host's run page is. *)
Definition identity_word (i : Z) : bool := (i =? rec_off REC_rd) || (i =? rec_off REC_run_page).

Lemma kept_put_word rec s i v : 0 <= i -> identity_word i = false -> kept rec s (put_word rec i v s).
Proof.
  unfold identity_word. intros H [H1%Z.eqb_neq H2%Z.eqb_neq]%orb_false_iff.
  constructor; try reflexivity.
  - apply word_set_slot; [exact H|by vm_compute|exact H1].
  - apply word_set_slot; [exact H|by vm_compute|exact H2].
  - apply set_word_ok.
Qed.

Lemma kept_rec_set f rec i v s0 s :
  f <> REC_running -> 0 <= rec_word f i -> identity_word (rec_word f i) = false ->
  kept rec s0 s -> kept rec s0 (rec_set f rec i v s).
Proof.
  intros Hf Hi Hw K. eapply kept_trans; [exact K|].
  replace (rec_set f rec i v s) with (put_word rec (rec_word f i) v s) by (destruct f; reflexivity || congruence).
  by apply kept_put_word.
Qed.

Lemma off_index f i : rec_off REC_run_page < rec_off f -> 0 <= i ->
  0 <= rec_word f i /\ identity_word (rec_word f i) = false.
Proof.
  intros Hf Hi. unfold rec_word, identity_word.
  assert (0 <= rec_off REC_rd /\ rec_off REC_rd <= rec_off REC_run_page) by (vm_compute; intuition congruence).
  split; [lia|]. apply orb_false_iff. split; apply Z.eqb_neq; lia.
Qed.

Lemma kept_gpr_set rec n v s0 s : 0 <= n -> kept rec s0 s -> kept rec s0 (gpr_set rec n v s).
Proof. intros. destruct (off_index REC_gpr n eq_refl); [lia|]. by apply kept_rec_set. Qed.
Lemma kept_reg_set rec n v s0 s : 0 <= n -> kept rec s0 s -> kept rec s0 (reg_set rec n v s).
Proof. intros. unfold reg_set. destruct (n <? 31); auto using kept_gpr_set. Qed.
Lemma kept_el1_set rec i v s0 s : 0 <= i -> kept rec s0 s -> kept rec s0 (el1_set rec i v s).
Proof.
  intros Hi K. unfold el1_set. destruct (loaded s =? rec).
  - eapply kept_trans; [exact K|]. by constructor.
  - destruct (off_index REC_el1 i eq_refl); [lia|]. by apply kept_rec_set.
Qed.
Lemma kept_run_out rec f i v s0 s : kept rec s0 s -> kept rec s0 (run_out f i v s).
Proof. intros K. eapply kept_trans; [exact K|]. by constructor. Qed.
Lemma kept_counted rec i n s0 s : kept rec s0 s -> kept rec s0 (counted i n s).
Proof. intros K. eapply kept_trans; [exact K|]. by constructor. Qed.
Lemma kept_logged rec l s0 s : kept rec s0 s -> kept rec s0 (with_logged l s).
Proof. intros K. eapply kept_trans; [exact K|]. by constructor. Qed.
Lemma kept_clock rec n s0 s : kept rec s0 s -> kept rec s0 (with_clock n s).
Proof. intros K. eapply kept_trans; [exact K|]. by constructor. Qed.
Lemma kept_rd_set rec f rd i v s0 s : rd <> rec -> kept rec s0 s -> kept rec s0 (rd_set f rd i v s).
Proof. intros Hn K. eapply kept_trans; [exact K|]. constructor; try reflexivity; [by apply word_set_page..|apply set_word_ok]. Qed.
Lemma kept_if rec (c : bool) s0 s1 s2 : kept rec s0 s1 -> kept rec s0 s2 -> kept rec s0 (if c then s1 else s2).
Proof. by destruct c. Qed.

Lemma kept_skipped rec s0 s : kept rec s0 s -> kept rec s0 (skipped rec s).
Proof. intros. by apply kept_rec_set. Qed.
Lemma kept_regs_set rec x0 x1 x2 x3 s0 s : kept rec s0 s -> kept rec s0 (regs_set rec x0 x1 x2 x3 s).
Proof. intros. unfold regs_set. repeat (apply kept_gpr_set; [lia|]). assumption. Qed.
Lemma kept_returned rec x0 x1 x2 x3 s0 s : kept rec s0 s -> kept rec s0 (returned rec x0 x1 x2 x3 s).
Proof. intros. unfold returned. auto using kept_skipped, kept_regs_set. Qed.
Lemma kept_injected rec esr pc s0 s : kept rec s0 s -> kept rec s0 (injected rec esr pc s).
Proof. intros. unfold injected. do 2 (apply kept_rec_set; [discriminate|by vm_compute|reflexivity|]). repeat (apply kept_el1_set; [by vm_compute|]). assumption. Qed.
Lemma kept_sea rec esr far s0 s : kept rec s0 s -> kept rec s0 (sea_injected rec esr far s).
Proof. intros. unfold sea_injected. apply kept_injected, kept_el1_set; [by vm_compute|assumption]. Qed.

Create HintDb kept discriminated.
#[export] Hint Constants Opaque : kept.
#[export] Hint Resolve kept_refl kept_skipped kept_regs_set kept_returned kept_injected kept_sea kept_run_out kept_counted
  kept_logged kept_clock kept_if kept_reg_set : kept.
#[export] Hint Extern 2 (kept _ _ (rec_set _ _ _ _ _)) =>
  apply kept_rec_set; [discriminate|vm_compute; discriminate|reflexivity|] : kept.
#[export] Hint Extern 2 (kept _ _ (el1_set _ _ _ _)) => apply kept_el1_set; [vm_compute; discriminate|] : kept.
#[export] Hint Extern 2 (kept _ _ (gpr_set _ _ _ _)) => apply kept_gpr_set; [lia|] : kept.

(* The realm of a REC that runs is not the REC. *)
Lemma current_apart rec s : current rec s -> realm_of rec s <> rec.
Proof.
  intros C E. pose proof (c_rec _ _ C) as H1. pose proof (c_realm _ _ C) as H2. rewrite E in H2.
  unfold has_state in H1, H2. destruct (gran s !! rec) as [g|]; [|discriminate].
  apply Z.eqb_eq in H1, H2. rewrite H1 in H2. discriminate.
Qed.
