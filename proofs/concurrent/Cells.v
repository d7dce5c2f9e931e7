(* SPDX-License-Identifier: Apache-2.0 *)
(* What each primitive touches of the memory that CPUs share, and that it does nothing else: what it gives and changes is
   what the cells that it touches, and what is its CPU's alone, make of it. *)
From kcore Require Export machine.Machine.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- Cells ---- *)

(* Of a granule word: state and owner; references; and what others may read of it with no lock (is it an RD, and which RD
   has this REC). A word of a page. Holes of a 2 MiB. Is a VMID in use? *)
Inductive cell :=
| CState (pa : Z)
| CRefs (pa : Z)
| CPublic (pa : Z)
| CWord (pa : Z) (i : nat)
| CHole (base : Z)
| CVmid (v : Z).
Global Instance cell_eq_dec : EqDecision cell.
Proof. solve_decision. Defined.

Definition public (st : Z) : bool := (st =? GS_RD) || (st =? GS_REC).
Definition value : Type := option (Z * Z).
Definition read (c : cell) (s : state) : value :=
  match c with
  | CState pa => (fun g => (g_state g, g_owner g)) <$> gran s !! pa
  | CRefs pa => (fun g => (g_refs g, 0)) <$> gran s !! pa
  | CPublic pa => (fun g => (if public (g_state g) then g_state g else 0, if g_state g =? GS_REC then g_owner g else 0)) <$> gran s !! pa
  | CWord pa i => (fun w => (w, 0)) <$> page (mem s) pa !! i
  | CHole base => (fun n => (n, 0)) <$> holes s !! base
  | CVmid v => if bool_decide (v ∈ vmids s) then Some (1, 0) else None
  end.

(* What is a CPU's alone. Which granules there are is the same for all. Not here, as no result depends on it (but for readings of log
   and counters): what the guards keep book of (staled, places, cached), the log, the counters. *)
Record own := Own {
  o_hw : hardware; o_tracked : gset Z; o_held : list lock; o_shrinking : bool; o_clock : nat; o_params : list Z; o_run : list Z;
  o_hash_page : list Z; o_digest : list Z; o_runs : Z; o_loaded : Z; o_live : list Z; o_masked : bool;
}.
Definition alone (s : state) : own :=
  Own (hw s) (dom (gran s)) (held s) (shrinking s) (clock s) (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s)
    (vtimer_masked s).

(* ---- What a primitive touches ---- *)

Inductive part := One (c : cell) | Page (pa : Z).
Definition covers (c : cell) (x : part) : bool :=
  match x with One d => bool_decide (c = d) | Page pa => match c with CWord q _ => q =? pa | _ => false end end.
Definition at_word (pa i : Z) : list part := [One (CWord pa (Z.to_nat i))].
Definition done (rs : list Z) : bool := match rs with 1 :: _ => true | _ => false end.

Definition touched (p : prim) (args rs : list Z) (s : state) : list part :=
  match p, args with
  | P_granule_claim, [pa; _] => if done rs then [One (CState pa)] else []
  | P_granule_state, [pa] => [One (CState pa)]
  | P_granule_set, [pa; st; _] =>
      One (CState pa) :: if public st || public (g_state (granule_at s pa)) then [One (CPublic pa)] else []
  | P_granule_refs, [pa] => [One (CRefs pa)]
  | P_granule_set_refs, [pa; _] => [One (CRefs pa)]
  | P_granule_owner, [pa; _] => [One (CPublic pa)]
  | P_ns_get, [pa] => if done rs then [One (CState pa); One (CRefs pa)] else []
  | P_ns_put, [pa] => [One (CRefs pa)]
  | P_realm_lock, [rd] => if done rs then [One (CState rd)] else [One (CPublic rd)]
  | P_vmid_claim, [v] | P_vmid_release, [v] => [One (CVmid v)]
  | P_zero_granule, [pa] => [Page pa]
  | P_copy_granule, [dst; src] => [Page dst; Page src]
  | P_open_granule, [rd; dst; _; src; tag] => [Page rd; Page dst; Page src; Page (Z.land tag TAG_PAGE)]
  | P_data_read, [pa; i] | P_data_write, [pa; i; _] | P_pt_read, [pa; i] | P_pt_write, [pa; i; _] => at_word pa i
  | P_host_holes, [ipa] | P_host_set_holes, [ipa; _] => [One (CHole (floor_of 2 ipa))]
  | P_params_load, [ns] | P_run_load, [ns] | P_run_store, [ns] | P_identity_read, [ns; _] | P_log_read, [ns; _] => [Page ns]
  | P_hash_granule, [_; pa] => [Page pa]
  | P_RdGet f, [rd] | P_RdSet f, [rd; _] => at_word rd (rd_word f 0)
  | P_RdGet f, [rd; i] | P_RdSet f, [rd; i; _] => at_word rd (rd_word f i)
  | P_RecGet f, [r] | P_RecSet f, [r; _] => at_word r (rec_word f 0)
  | P_RecGet f, [r; i] | P_RecSet f, [r; i; _] => at_word r (rec_word f i)
  | P_open_content_key, [rd] => [Page rd]
  | P_rec_sysreg, [r; i] | P_rec_set_sysreg, [r; i; _] => at_word r (rec_word REC_el1 i)
  | P_rec_load, [r] | P_rec_unload, [r] => [Page r]
  | P_token_claim, [r; rd] => [Page r; Page rd]
  | P_token_sign, [r] | P_token_bytes, [r] => [Page r]
  | P_token_read, [r; _; _; pa; _] => [Page r; Page pa]
  | _, _ => []
  end.
Definition touching (p : prim) (args rs : list Z) (s : state) (c : cell) : bool := existsb (covers c) (touched p args rs s).

(* ---- What changes read ---- *)

Lemma read_mem c s s' : gran s' = gran s -> mem s' = mem s -> holes s' = holes s -> vmids s' = vmids s -> read c s' = read c s.
Proof. intros A B C D. destruct c; cbn [read]; rewrite ?A, ?B, ?C, ?D; reflexivity. Qed.

Lemma read_page c pa l s s' : gran s' = gran s -> mem s' = <[pa := l]> (mem s) -> holes s' = holes s -> vmids s' = vmids s ->
  read c s' = match c with CWord q i => if q =? pa then (fun w => (w, 0)) <$> l !! i else read c s | _ => read c s end.
Proof.
  intros A B C D. destruct c; cbn [read]; rewrite ?A, ?B, ?C, ?D; try reflexivity.
  destruct (Z.eqb_spec pa0 pa) as [->|N]; [by rewrite page_insert_same|]. by rewrite page_insert_other by done.
Qed.

Lemma read_word c pa i v s s' : gran s' = gran s -> mem s' = set_word (mem s) pa i v -> holes s' = holes s -> vmids s' = vmids s ->
  read c s' = if bool_decide (c = CWord pa (Z.to_nat i)) then (fun _ => (v, 0)) <$> read c s else read c s.
Proof.
  intros A B C D. rewrite (read_page c pa (set_nth (page (mem s) pa) i v) s s' A B C D).
  destruct c as [| | |q j| |]; try (rewrite bool_decide_eq_false_2 by done; reflexivity).
  destruct (Z.eqb_spec q pa) as [->|N]; [|rewrite bool_decide_eq_false_2 by congruence; reflexivity].
  unfold set_nth. cbn [read]. case_bool_decide as E.
  - injection E as ->. destruct (page (mem s) pa !! Z.to_nat i) as [w|] eqn:L; cbn.
    + rewrite list_lookup_insert by (by eapply lookup_lt_Some). reflexivity.
    + apply lookup_ge_None in L. rewrite list_insert_ge by exact L. apply lookup_ge_None in L. by rewrite L.
  - rewrite list_lookup_insert_ne by congruence. reflexivity.
Qed.

Lemma read_granule c pa g s s' : gran s' = <[pa := g]> (gran s) -> mem s' = mem s -> holes s' = holes s -> vmids s' = vmids s ->
  read c s' = match c with
  | CState q => if q =? pa then Some (g_state g, g_owner g) else read c s
  | CRefs q => if q =? pa then Some (g_refs g, 0) else read c s
  | CPublic q => if q =? pa then Some (if public (g_state g) then g_state g else 0, if g_state g =? GS_REC then g_owner g else 0)
      else read c s
  | _ => read c s
  end.
Proof.
  intros A B C D. destruct c; cbn [read]; rewrite ?A, ?B, ?C, ?D; try reflexivity;
    (destruct (Z.eqb_spec pa0 pa) as [->|N]; [by rewrite lookup_insert|by rewrite lookup_insert_ne by congruence]).
Qed.

(* ---- What equal cells tell ---- *)

Section same.
  Context (s S : state).
  Definition same (c : cell) : Prop := read c s = read c S.
  Lemma same_state pa : same (CState pa) ->
    g_state (granule_at s pa) = g_state (granule_at S pa) /\ g_owner (granule_at s pa) = g_owner (granule_at S pa).
  Proof.
    unfold same. cbn [read]. unfold granule_at. destruct (gran s !! pa), (gran S !! pa); cbn; intros [=]; auto.
  Qed.
  Lemma same_has st pa : same (CState pa) -> has_state st pa s = has_state st pa S.
  Proof. unfold same, has_state. cbn [read]. destruct (gran s !! pa), (gran S !! pa); cbn; intros [=]; congruence. Qed.
  Lemma same_refs pa : same (CRefs pa) -> g_refs (granule_at s pa) = g_refs (granule_at S pa).
  Proof. unfold same. cbn [read]. unfold granule_at. destruct (gran s !! pa), (gran S !! pa); cbn; intros [=]; auto. Qed.
  Lemma same_page pa : (forall i, same (CWord pa i)) -> page (mem s) pa = page (mem S) pa.
  Proof.
    intros H. apply list_eq. intros i. specialize (H i). unfold same in H. cbn [read] in H.
    destruct (page (mem s) pa !! i), (page (mem S) pa !! i); cbn in H; congruence.
  Qed.
  Lemma same_word pa i : same (CWord pa (Z.to_nat i)) -> word (mem s) pa i = word (mem S) pa i.
  Proof.
    unfold same, word, nth_word. cbn [read]. rewrite !nth_lookup.
    destruct (page (mem s) pa !! _), (page (mem S) pa !! _); cbn; congruence.
  Qed.
  Lemma same_public pa : same (CPublic pa) ->
    has_state GS_RD pa s = has_state GS_RD pa S /\
    (if has_state GS_REC pa s then g_owner (granule_at s pa) else 0) = (if has_state GS_REC pa S then g_owner (granule_at S pa) else 0).
  Proof.
    intros H. unfold same in H. cbn [read] in H. unfold has_state, granule_at.
    destruct (gran s !! pa) as [[st o r]|], (gran S !! pa) as [[st' o' r']|]; try discriminate H; [|auto].
    cbn [fmap option_fmap option_map default from_option id g_state g_owner] in *. injection H as A B. split; [|exact B]. clear B.
    unfold public in A. destruct (Z.eqb_spec st GS_RD), (Z.eqb_spec st GS_REC), (Z.eqb_spec st' GS_RD), (Z.eqb_spec st' GS_REC);
      cbn [orb] in A; unfold GS_RD, GS_REC in *; first [reflexivity | exfalso; lia].
  Qed.
  Lemma same_hole b : same (CHole b) -> holes s !! b = holes S !! b.
  Proof. unfold same. cbn [read]. destruct (holes s !! b), (holes S !! b); cbn; congruence. Qed.
  Lemma same_vmid v : same (CVmid v) -> bool_decide (v ∈ vmids s) = bool_decide (v ∈ vmids S).
  Proof. unfold same. cbn [read]. do 2 case_bool_decide; congruence. Qed.
End same.
