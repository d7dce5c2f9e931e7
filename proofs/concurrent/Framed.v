(* SPDX-License-Identifier: Apache-2.0 *)
(* A primitive changes what it touches and nothing else, and what it gives and changes follows from that and from what is its
   CPU's alone: in two states that agree there it does the same. *)
From kcore Require Export concurrent.Cells.
From Coq Require Import Lia.
Local Open Scope Z_scope.

Lemma ok_guarded g r x : guarded g r = Some x -> g = true /\ r = x.
Proof. destruct g; [|discriminate]. intros [= ->]. auto. Qed.

Lemma untouched c l x : existsb (covers c) l = false -> In x l -> covers c x = false.
Proof.
  intros H Hx. destruct (covers c x) eqn:E; [|reflexivity]. rewrite <- H. symmetry. apply existsb_exists. eauto.
Qed.
Lemma touched_by c l x : In x l -> covers c x = true -> existsb (covers c) l = true.
Proof. intros. apply existsb_exists. eauto. Qed.

(* ---- Nothing else ---- *)

Lemma frame_page c l pa q s s' : gran s' = gran s -> mem s' = <[pa := q]> (mem s) -> holes s' = holes s -> vmids s' = vmids s ->
  existsb (covers c) l = false -> In (Page pa) l -> read c s' = read c s.
Proof.
  intros A B C D H Hx. rewrite (read_page c pa q s s') by assumption. pose proof (untouched _ _ _ H Hx) as E.
  destruct c; try reflexivity. cbn [covers] in E. by rewrite E.
Qed.
Lemma frame_word c l pa i v s s' : gran s' = gran s -> mem s' = set_word (mem s) pa i v -> holes s' = holes s -> vmids s' = vmids s ->
  existsb (covers c) l = false -> In (One (CWord pa (Z.to_nat i))) l -> read c s' = read c s.
Proof.
  intros A B C D H Hx. rewrite (read_word c pa i v s s') by assumption. pose proof (untouched _ _ _ H Hx) as E.
  cbn [covers] in E. by rewrite E.
Qed.

Lemma tracked_read s pa : tracked s pa = true ->
  read (CState pa) s = Some (g_state (granule_at s pa), g_owner (granule_at s pa)) /\ read (CRefs pa) s = Some (g_refs (granule_at s pa), 0) /\
  read (CPublic pa) s = Some (if public (g_state (granule_at s pa)) then g_state (granule_at s pa) else 0,
                              if g_state (granule_at s pa) =? GS_REC then g_owner (granule_at s pa) else 0).
Proof. unfold tracked, granule_at. cbn [read]. destruct (gran s !! pa); [auto|discriminate]. Qed.

Lemma under_tracked pa s : under_lock pa s = true -> tracked s pa = true.
Proof. unfold under_lock. intros [H _]%andb_true_iff. exact H. Qed.
Lemma pinned_tracked pa s : pinned pa s = true -> tracked s pa = true.
Proof. unfold pinned, tracked. destruct (gran s !! pa); [reflexivity|discriminate]. Qed.
Lemma has_tracked st pa s : has_state st pa s = true -> tracked s pa = true.
Proof. unfold has_state, tracked. destruct (gran s !! pa); [reflexivity|discriminate]. Qed.

Lemma set_tracked pa st o s : may_set pa st o s = true -> tracked s pa = true.
Proof. unfold may_set, under_lock. intros G. repeat apply andb_true_iff in G as [G _]. exact G. Qed.

Lemma refs_read c pa n s : tracked s pa = true -> read c (with_refs pa n s) = if bool_decide (c = CRefs pa) then Some (n, 0) else read c s.
Proof.
  intros Ht. destruct (tracked_read s pa Ht) as (A & B & D). unfold with_refs.
  erewrite (read_granule c pa) by reflexivity. destruct c as [q|q|q| | |]; try (rewrite bool_decide_eq_false_2 by done; reflexivity);
    destruct (Z.eqb_spec q pa) as [->|N]; cbn [g_state g_owner g_refs].
  - by rewrite bool_decide_eq_false_2.
  - by rewrite bool_decide_eq_false_2 by congruence.
  - by rewrite bool_decide_eq_true_2.
  - by rewrite bool_decide_eq_false_2 by congruence.
  - by rewrite bool_decide_eq_false_2.
  - by rewrite bool_decide_eq_false_2 by congruence.
Qed.

Lemma owner_read c pa st o s : tracked s pa = true ->
  read c (with_owner pa st o s) =
  if bool_decide (c = CState pa) then Some (st, o) else
  if bool_decide (c = CPublic pa) then Some (if public st then st else 0, if st =? GS_REC then o else 0) else read c s.
Proof.
  intros Ht. destruct (tracked_read s pa Ht) as (A & B & D). unfold with_owner.
  erewrite (read_granule c pa) by reflexivity.
  destruct c as [q|q|q| | |]; try (rewrite !bool_decide_eq_false_2 by done; reflexivity);
    destruct (Z.eqb_spec q pa) as [->|N]; cbn [g_state g_owner g_refs].
  - by rewrite bool_decide_eq_true_2.
  - by rewrite !bool_decide_eq_false_2 by congruence.
  - by rewrite !bool_decide_eq_false_2.
  - by rewrite !bool_decide_eq_false_2 by congruence.
  - by rewrite bool_decide_eq_false_2, bool_decide_eq_true_2.
  - by rewrite !bool_decide_eq_false_2 by congruence.
Qed.

Ltac in_parts := cbn [touched In at_word]; repeat (first [left; reflexivity | right]).

Lemma prim_frame p args s rs s' c : prim_sem p args s = Some (rs, s') -> touching p args rs s c = false -> read c s' = read c s.
Proof.
  intros H Hn. unfold touching in Hn.
  destruct p; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; try discriminate H;
    cbv beta iota delta [prim_sem] in H; try (apply ok_guarded in H as [G E]).
  all: try (injection E as <- <-).
  all: try (apply read_mem; reflexivity).
  all: try (eapply frame_page; [reflexivity..|exact Hn|solve [in_parts]]).
  all: try (eapply frame_word; [reflexivity..|exact Hn|solve [in_parts]]).
  (* granules *)
  - destruct (claimable a1 a0 s); injection E as <- <-; reflexivity.
  - apply set_tracked in G. rewrite owner_read by exact G.
    pose proof (untouched _ _ (One (CState a0)) Hn ltac:(in_parts)) as T1. cbn [covers] in T1. rewrite T1. clear T1.
    case_bool_decide as E; [|reflexivity]. subst c. cbn [touched] in Hn.
    destruct (public a1 || public (g_state (granule_at s a0))) eqn:P.
    { pose proof (untouched _ _ (One (CPublic a0)) Hn ltac:(right; left; reflexivity)) as T2. cbn [covers] in T2.
      by rewrite bool_decide_eq_true_2 in T2. }
    apply orb_false_iff in P as [P1 P2]. rewrite P1. destruct (tracked_read s a0 G) as (_ & _ & ->). rewrite P2.
    unfold public in P1, P2. apply orb_false_iff in P1 as [_ ->]. by apply orb_false_iff in P2 as [_ ->].
  - apply andb_true_iff in G as [G _]. rewrite refs_read by (by apply under_tracked).
    pose proof (untouched _ _ (One (CRefs a0)) Hn ltac:(in_parts)) as T1. cbn [covers] in T1. by rewrite T1.
  - destruct (claimable GS_NS a0 s && _) eqn:C; injection E as <- <-; [|reflexivity].
    apply andb_true_iff in C as [C _]. unfold claimable in C. apply andb_true_iff in C as [C _]. rewrite refs_read by (by eapply has_tracked).
    pose proof (untouched _ _ (One (CRefs a0)) Hn ltac:(cbn [touched done In]; tauto)) as T1. cbn [covers] in T1. by rewrite T1.
  - apply andb_true_iff in G as [G _]. rewrite refs_read by (by apply pinned_tracked).
    pose proof (untouched _ _ (One (CRefs a0)) Hn ltac:(in_parts)) as T1. cbn [covers] in T1. by rewrite T1.
  - destruct (has_state GS_RD a0 s); injection E as <- <-; reflexivity.
  - pose proof (untouched _ _ (One (CVmid a0)) Hn ltac:(in_parts)) as T1. cbn [covers] in T1. apply bool_decide_eq_false in T1.
    destruct (vmid_usable _ _ && _); injection E as <- <-; [|reflexivity]. destruct c as [| | | | |v]; try reflexivity. cbn [read with_vmids vmids].
    assert (v <> a0) by congruence. do 2 case_bool_decide; try reflexivity; set_solver.
  - pose proof (untouched _ _ (One (CVmid a0)) Hn ltac:(in_parts)) as T1. cbn [covers] in T1. apply bool_decide_eq_false in T1.
    destruct c as [| | | | |v]; try reflexivity. cbn [read with_vmids vmids].
    assert (v <> a0) by congruence. do 2 case_bool_decide; try reflexivity; set_solver.
  (* memory *)
  - destruct (opened a0 a2 a3 a4 s); injection E as <- <-; [|reflexivity].
    eapply frame_page; [reflexivity..|exact Hn|solve [in_parts]].
  - unfold after_write. destruct (role_of (hw s) a0); (eapply frame_word; [reflexivity..|exact Hn|solve [in_parts]]).
  - pose proof (untouched _ _ (One (CHole (floor_of 2 a0))) Hn ltac:(in_parts)) as T1. cbn [covers] in T1. apply bool_decide_eq_false in T1.
    destruct c as [| | | |b|]; try reflexivity. cbn [read with_holes holes]. rewrite lookup_insert_ne by congruence. reflexivity.
  - destruct (key_opened _ _ _); injection E as <- <-; [|reflexivity]. eapply frame_page; [reflexivity..|exact Hn|solve [in_parts]].
  - unfold el1_set. destruct (loaded s =? a0); [reflexivity|]. eapply frame_word; [reflexivity..|exact Hn|solve [in_parts]].
  - destruct (token_signed _ _); injection E as <- <-; [|reflexivity]. eapply frame_page; [reflexivity..|exact Hn|solve [in_parts]].
  - destruct (log_text (hw s) (logged s) a1) as [n next]. apply ok_guarded in H as [G E]. injection E as <- <-.
    eapply frame_page; [reflexivity..|exact Hn|solve [in_parts]].
  - destruct f; (eapply frame_word; [reflexivity..|exact Hn|solve [in_parts]]).
  - destruct f; (eapply frame_word; [reflexivity..|exact Hn|solve [in_parts]]).
Qed.

(* ---- And from nothing else ---- *)

(* The answers that the rest decides: whether an attempt fails is for others to say; log and counters are not looked at. *)
Definition settled (p : prim) (args rs : list Z) (S : state) : Prop :=
  match p, args with
  | P_granule_claim, [pa; _] | P_ns_get, [pa] => others S (LGranule pa) = negb (done rs)
  | P_granule_owner, [_; st] => st = GS_REC
  | P_log_read, _ | P_counter_read, _ => False
  | _, _ => True
  end.

Lemma det_page c pa q s s' S S' : gran s' = gran s -> mem s' = <[pa := q]> (mem s) -> holes s' = holes s -> vmids s' = vmids s ->
  gran S' = gran S -> mem S' = <[pa := q]> (mem S) -> holes S' = holes S -> vmids S' = vmids S -> read c s = read c S -> read c s' = read c S'.
Proof.
  intros. rewrite (read_page c pa q s s') by assumption. rewrite (read_page c pa q S S') by assumption.
  destruct c; try assumption. destruct (_ =? _); [reflexivity|assumption].
Qed.
Lemma det_word c pa i v s s' S S' : gran s' = gran s -> mem s' = set_word (mem s) pa i v -> holes s' = holes s -> vmids s' = vmids s ->
  gran S' = gran S -> mem S' = set_word (mem S) pa i v -> holes S' = holes S -> vmids S' = vmids S -> read c s = read c S -> read c s' = read c S'.
Proof.
  intros ? ? ? ? ? ? ? ? E. rewrite (read_word c pa i v s s') by assumption. rewrite (read_word c pa i v S S') by assumption.
  rewrite E. reflexivity.
Qed.

Lemma alone_fields s S : alone s = alone S <->
  hw s = hw S /\ (dom (gran s) : gset Z) = dom (gran S) /\ held s = held S /\ shrinking s = shrinking S /\ clock s = clock S /\
  params s = params S /\ run s = run S /\ hash_page s = hash_page S /\ digest s = digest S /\ runs s = runs S /\ loaded s = loaded S /\
  live s = live S /\ vtimer_masked s = vtimer_masked S.
Proof.
  unfold alone. split; [intros [= ]; repeat split; assumption|].
  intros (-> & -> & -> & -> & -> & -> & -> & -> & -> & -> & -> & -> & ->). reflexivity.
Qed.

Lemma prim_det p args s rs s' S rs2 S' :
  prim_sem p args s = Some (rs, s') -> prim_sem p args S = Some (rs2, S') -> alone s = alone S ->
  (forall c, touching p args rs s c = true -> read c s = read c S) -> settled p args rs S ->
  rs = rs2 /\ alone s' = alone S' /\ others S' = others S /\ (forall c, touching p args rs s c = true -> read c s' = read c S').
Proof.
  intros H H2 Ha Hc Hs. pose proof Ha as Hf.
  apply alone_fields in Hf as (Fh & Fd & Fl & Fs & Fk & Fp & Fr & Fg & Fi & Fu & Fo & Fv & Fm).
  assert (Fw : forall pa i, In (One (CWord pa (Z.to_nat i))) (touched p args rs s) -> word (mem s) pa i = word (mem S) pa i).
  { intros pa i Hi. apply same_word, Hc. apply (touched_by _ _ _ Hi). cbn [covers]. by apply bool_decide_eq_true_2. }
  assert (Fq : forall pa, In (Page pa) (touched p args rs s) -> page (mem s) pa = page (mem S) pa).
  { intros pa Hi. apply same_page. intros i. apply Hc. apply (touched_by _ _ _ Hi). cbn [covers]. apply Z.eqb_refl. }
  assert (F1 : forall d, In (One d) (touched p args rs s) -> read d s = read d S).
  { intros d Hi. apply Hc. apply (touched_by _ _ _ Hi). cbn [covers]. by apply bool_decide_eq_true_2. }
  destruct p; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; try discriminate H; cbn [settled] in Hs; try contradiction;
    cbv beta iota delta [prim_sem] in H, H2; try (apply ok_guarded in H as [G E]); try (apply ok_guarded in H2 as [G2 E2]).
  all: try (injection E as <- <-; injection E2 as <- <-).
  all: unfold rd_get, rec_get, rd_set, el1_get, run_in, token_total, token_of, challenge_of, told, opened, policy_of, with_key, with_token,
    rec_loaded, rec_unloaded, run_out in *.
  all: repeat match goal with
    | |- context [page (mem ?x) ?a] => rewrite (Fq a) by (solve [in_parts])
    | |- context [word (mem ?x) ?a ?i] => first [rewrite (Fw a i) by (solve [in_parts]) |
        change (word (mem x) a i) with (nth_word (page (mem x) a) i); rewrite (Fq a) by (solve [in_parts])]
    end.
  all: rewrite ?Fh, ?Fl, ?Fs, ?Fk, ?Fp, ?Fr, ?Fg, ?Fi, ?Fu, ?Fo, ?Fv, ?Fm.
  all: try (split; [reflexivity|]; split; [first [exact Ha | apply alone_fields; cbn [hw gran held shrinking clock params run hash_page digest
      runs loaded live vtimer_masked put_page put_word with_mem with_params with_run with_hash_page with_digest with_loaded with_masked with_clock
      with_held with_staled with_places with_cached with_holes with_vmids with_counters with_logged lock_taken lock_dropped forget flushed];
      rewrite ?Fh, ?Fl, ?Fs, ?Fk, ?Fp, ?Fr, ?Fg, ?Fi, ?Fu, ?Fo, ?Fv, ?Fm; repeat split; first [assumption | reflexivity]]|];
    split; [reflexivity|]; intros c T; pose proof (Hc c T) as R;
    first [destruct c; exact R | eapply (det_page c _ _ s _ S); [reflexivity..|exact R] | eapply (det_word c _ _ _ s _ S); [reflexivity..|exact R]]).
  (* granules *)
  - assert (T : tracked s a0 = tracked S a0).
    { unfold tracked. assert (D : a0 ∈ (dom (gran s) : gset Z) <-> a0 ∈ (dom (gran S) : gset Z)) by (by rewrite Fd).
      rewrite !elem_of_dom in D. destruct (gran s !! a0) eqn:A, (gran S !! a0) eqn:B; try reflexivity; exfalso;
        [destruct (proj1 D (mk_is_Some _ _ eq_refl)) as [? [=]] | destruct (proj2 D (mk_is_Some _ _ eq_refl)) as [? [=]]]. }
    rewrite T. auto.
  - unfold claimable in *. destruct (has_state a1 a0 s && free (LGranule a0) s) eqn:C; injection E as <- <-.
    + apply andb_true_iff in C as [C1 C2]. rewrite (same_has s S) in C1 by (apply F1; cbn [touched done In]; tauto).
      unfold free, holds in *. rewrite <- Fl in E2. apply andb_true_iff in C2 as [C2 _]. rewrite C1, C2, Hs in E2. injection E2 as <- <-.
      split; [reflexivity|]. split; [apply alone_fields; cbn; rewrite Fl, Fs; tauto|]. split; [reflexivity|].
      intros c T. pose proof (Hc c T) as R. destruct c; exact R.
    + unfold free in E2. rewrite Hs, !andb_false_r in E2. injection E2 as <- <-. auto.
  - destruct (same_state s S a0) as [-> _]; [apply F1; in_parts|]. auto.
  - split; [reflexivity|]. split.
    { apply alone_fields; cbn. rewrite !dom_insert_L, Fd. tauto. }
    split; [reflexivity|]. intros c T. pose proof (Hc c T) as R. apply set_tracked in G, G2. rewrite !owner_read by assumption.
    by rewrite R.
  - rewrite (same_refs s S a0) by (apply F1; in_parts). auto.
  - split; [reflexivity|]. split.
    { apply alone_fields; cbn. rewrite !dom_insert_L, Fd. tauto. }
    split; [reflexivity|]. intros c T. pose proof (Hc c T) as R. apply andb_true_iff in G as [G _], G2 as [G2 _].
    rewrite !refs_read by (by apply under_tracked). by rewrite R.
  - subst a1. destruct (same_public s S a0) as [_ ->]; [apply F1; in_parts|]. auto.
  - unfold claimable in *. destruct (has_state GS_NS a0 s && free (LGranule a0) s && _) eqn:C; injection E as <- <-.
    + apply andb_true_iff in C as [C C3]. apply andb_true_iff in C as [C1 C2]. pose proof C1 as C0.
      rewrite (same_has s S) in C1 by (apply F1; cbn [touched done In]; tauto).
      rewrite (same_refs s S a0) in * by (apply F1; cbn [touched done In]; tauto).
      unfold free, holds in *. rewrite <- Fl in E2. apply andb_true_iff in C2 as [C2 _]. rewrite C1, C2, Hs, C3 in E2. injection E2 as <- <-.
      split; [reflexivity|]. split; [apply alone_fields; cbn; rewrite !dom_insert_L, Fd; tauto|]. split; [reflexivity|].
      intros c T. pose proof (Hc c T) as R. rewrite !refs_read by (by eapply has_tracked). by rewrite R.
    + unfold free in E2. rewrite Hs, !andb_false_r in E2. injection E2 as <- <-. auto.
  - rewrite (same_refs s S a0) by (apply F1; in_parts). split; [reflexivity|]. split.
    { apply alone_fields; cbn. rewrite !dom_insert_L, Fd. tauto. }
    split; [reflexivity|]. intros c T. pose proof (Hc c T) as R. apply andb_true_iff in G as [G _], G2 as [G2 _].
    rewrite !refs_read by (by apply pinned_tracked). by rewrite R.
  - destruct (has_state GS_RD a0 s) eqn:C; injection E as <- <-.
    + rewrite (same_has s S) in C by (apply F1; cbn [touched done In]; tauto). rewrite C in E2. injection E2 as <- <-.
      split; [reflexivity|]. split; [apply alone_fields; cbn; rewrite Fl, Fs; tauto|]. split; [reflexivity|].
      intros c T. pose proof (Hc c T) as R. destruct c; exact R.
    + destruct (same_public s S a0) as [P _]; [apply F1; cbn [touched done In]; tauto|]. rewrite <- P, C in E2. injection E2 as <- <-. auto.
  - rewrite (same_vmid s S a0), ?Fh in E by (apply F1; in_parts). rewrite ?Fh in E2.
    destruct (vmid_usable _ _ && _); injection E as <- <-; injection E2 as <- <-; [|auto].
    split; [reflexivity|]. split; [exact Ha|]. split; [reflexivity|]. intros c T. pose proof (Hc c T) as R.
    destruct c as [| | | | |v]; try exact R. apply same_vmid in R. cbn [read with_vmids vmids].
    destruct (decide (v = a0)) as [->|N]; [rewrite !bool_decide_eq_true_2 by set_solver; reflexivity|].
    replace (bool_decide (v ∈ {[a0]} ∪ vmids s)) with (bool_decide (v ∈ vmids s)) by (apply bool_decide_ext; set_solver).
    replace (bool_decide (v ∈ {[a0]} ∪ vmids S)) with (bool_decide (v ∈ vmids S)) by (apply bool_decide_ext; set_solver). by rewrite R.
  - split; [reflexivity|]. split; [exact Ha|]. split; [reflexivity|]. intros c T. pose proof (Hc c T) as R.
    destruct c as [| | | | |v]; try exact R. apply same_vmid in R. cbn [read with_vmids vmids].
    destruct (decide (v = a0)) as [->|N]; [rewrite !bool_decide_eq_false_2 by set_solver; reflexivity|].
    replace (bool_decide (v ∈ vmids s ∖ {[a0]})) with (bool_decide (v ∈ vmids s)) by (apply bool_decide_ext; set_solver).
    replace (bool_decide (v ∈ vmids S ∖ {[a0]})) with (bool_decide (v ∈ vmids S)) by (apply bool_decide_ext; set_solver). by rewrite R.
  (* memory *)
  - rewrite Fh, (Fq a0), (Fq a3), (Fq (Z.land a4 TAG_PAGE)) in E by (in_parts). cbv zeta in E, E2.
    destruct (page_opened _ _ _ _ _ _ _); injection E as <- <-; injection E2 as <- <-; [|auto].
    split; [reflexivity|]. split; [exact Ha|]. split; [reflexivity|]. intros c T. pose proof (Hc c T) as R.
    eapply (det_page c _ _ s _ S); [reflexivity..|exact R].
  - unfold after_write. rewrite Fh. split; [reflexivity|]. split.
    { destruct (role_of (hw S) a0); (apply alone_fields; cbn; tauto). }
    split; [by destruct (role_of (hw S) a0)|]. intros c T. pose proof (Hc c T) as R.
    destruct (role_of (hw S) a0); (eapply (det_word c a0 a1 a2 s _ S); [reflexivity..|exact R]).
  - rewrite (same_hole s S) by (apply F1; in_parts). auto.
  - split; [reflexivity|]. split; [exact Ha|]. split; [reflexivity|]. intros c T. pose proof (Hc c T) as R.
    destruct c as [| | | |b|]; try exact R. cbn [read with_holes holes] in *.
    destruct (decide (b = floor_of 2 a0)) as [->|N]; [by rewrite !lookup_insert|]. by rewrite !lookup_insert_ne by congruence.
  - rewrite Fh, Fp, (Fq a0) in E by (in_parts).
    destruct (key_opened _ _ _); injection E as <- <-; injection E2 as <- <-; [|auto].
    split; [reflexivity|]. split; [exact Ha|]. split; [reflexivity|]. intros c T. pose proof (Hc c T) as R.
    eapply (det_page c _ _ s _ S); [reflexivity..|exact R].
  - unfold rec_get. rewrite (Fw a0 (rec_word REC_el1 a1)) by in_parts. auto.
  - unfold el1_set. rewrite Fo, Fv. split; [reflexivity|]. split.
    { destruct (loaded S =? a0); [apply alone_fields; cbn; tauto|exact Ha]. }
    split; [by destruct (loaded S =? a0)|]. intros c T. pose proof (Hc c T) as R.
    destruct (loaded S =? a0); [destruct c; exact R|]. eapply (det_word c _ _ _ s _ S); [reflexivity..|exact R].
  - rewrite Fh, (Fq a0) in E by (in_parts).
    destruct (token_signed _ _); injection E as <- <-; injection E2 as <- <-; [|auto].
    split; [reflexivity|]. split; [exact Ha|]. split; [reflexivity|]. intros c T. pose proof (Hc c T) as R.
    eapply (det_page c _ _ s _ S); [reflexivity..|exact R].
  - rewrite <- !(size_dom (D := gset Z)), Fd. auto.
  - split; [reflexivity|]. split; [destruct f; try exact Ha; apply alone_fields; cbn; tauto|]. split; [by destruct f|].
    intros c T. pose proof (Hc c T) as R. destruct f; (eapply (det_word c _ _ _ s _ S); [reflexivity..|exact R]).
  - split; [reflexivity|]. split; [destruct f; try exact Ha; apply alone_fields; cbn; tauto|]. split; [by destruct f|].
    intros c T. pose proof (Hc c T) as R. destruct f; (eapply (det_word c _ _ _ s _ S); [reflexivity..|exact R]).
Qed.

(* ---- What never changes ---- *)

Lemma prim_fixed p args s rs s' : prim_sem p args s = Some (rs, s') -> hw s' = hw s /\ (dom (gran s') : gset Z) = dom (gran s).
Proof.
  intros H.
  assert (D : forall pa g, tracked s pa = true -> (dom (<[pa := g]> (gran s)) : gset Z) = dom (gran s)).
  { intros pa g T. rewrite dom_insert_L. unfold tracked in T. destruct (gran s !! pa) eqn:E; [|discriminate].
    assert (pa ∈ (dom (gran s) : gset Z)) by (apply elem_of_dom; eauto). set_solver. }
  destruct p; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; try discriminate H;
    cbv beta iota delta [prim_sem] in H; try (apply ok_guarded in H as [G E]).
  all: try (injection E as <- <-; split; reflexivity).
  all: try (match type of E with (if ?c then _ else _) = _ => destruct c end; injection E as <- <-; split; reflexivity).
  all: try (match type of E with (match ?o with _ => _ end) = _ => destruct o end; injection E as <- <-; split; reflexivity).
  - injection E as <- <-. split; [reflexivity|]. apply D. eapply set_tracked, G.
  - injection E as <- <-. split; [reflexivity|]. apply D. apply andb_true_iff in G as [G _]. by apply under_tracked.
  - destruct (claimable GS_NS a0 s && _) eqn:C; injection E as <- <-; [|auto]. split; [reflexivity|]. apply D.
    apply andb_true_iff in C as [C _]. unfold claimable in C. apply andb_true_iff in C as [C _]. by eapply has_tracked.
  - injection E as <- <-. split; [reflexivity|]. apply D. apply andb_true_iff in G as [G _]. by apply pinned_tracked.
  - injection E as <- <-. unfold after_write. destruct (role_of (hw s) a0); split; reflexivity.
  - injection E as <- <-. unfold el1_set. destruct (loaded s =? a0); split; reflexivity.
  - destruct (log_text (hw s) (logged s) a1) as [n next]. apply ok_guarded in H as [G E]. injection E as <- <-. split; reflexivity.
  - injection E as <- <-. destruct f; split; reflexivity.
  - injection E as <- <-. destruct f; split; reflexivity.
Qed.
