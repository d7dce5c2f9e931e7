(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: tables that are taken away unpin what they map of the host's. *)
From kcore Require Export refine.RttRefine.
From kcore Require Export refine.RttFill.
From kcore Require Export refine.GranuleRangeRefine.
From kcore Require Export spec.RttCommands.
From kcore Require Import refine.RecSteps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

(* ---- What unpinning leaves alone ---- *)

Record unpinned (rd : Z) (s s' : state) : Prop := Unpinned {
  un_rest : s' = with_gran (gran s') (with_mem (mem s') s);
  un_gran : forall pa, match gran s !! pa with
                       | Some g => exists r, gran s' !! pa = Some (Gran (g_state g) (g_owner g) r)
                       | None => gran s' !! pa = None
                       end;
  un_other : forall pa, is_ns (gran s) pa = false -> gran s' !! pa = gran s !! pa;
  un_page : forall t, t <> rd -> page (mem s') t = page (mem s) t;
  un_rd : forall f, f <> RD_pages_shared -> rd_of s' f rd = rd_of s f rd;
  un_mem : mem_ok (mem s) -> mem_ok (mem s');
}.

Lemma unpinned_refl rd s : unpinned rd s s.
Proof.
  constructor; try done; [by destruct s|]. intros pa. destruct (gran s !! pa) as [[a b c]|]; [|done]. by exists c.
Qed.
Lemma unpinned_ns rd s s' pa : unpinned rd s s' -> is_ns (gran s') pa = is_ns (gran s) pa.
Proof.
  intros U. pose proof (un_gran _ _ _ U pa) as H. unfold is_ns. destruct (gran s !! pa) as [x|].
  - by destruct H as [r ->].
  - by rewrite H.
Qed.
Lemma unpinned_trans rd s s1 s2 : unpinned rd s s1 -> unpinned rd s1 s2 -> unpinned rd s s2.
Proof.
  intros U V. constructor.
  - rewrite (un_rest _ _ _ V) at 1. rewrite (un_rest _ _ _ U) at 1. reflexivity.
  - intros pa. pose proof (un_gran _ _ _ U pa) as H. pose proof (un_gran _ _ _ V pa) as G.
    destruct (gran s !! pa) as [x|].
    + destruct H as [r H]. rewrite H in G. destruct G as [q G]. by exists q.
    + by rewrite H in G.
  - intros pa N. rewrite (un_other _ _ _ V), (un_other _ _ _ U); try done. by rewrite (unpinned_ns _ _ _ _ U).
  - intros t N. by rewrite (un_page _ _ _ V), (un_page _ _ _ U).
  - intros f N. by rewrite (un_rd _ _ _ V), (un_rd _ _ _ U).
  - intros M. by apply (un_mem _ _ _ V), (un_mem _ _ _ U).
Qed.
Lemma unpinned_same rd s s' : unpinned rd s s' ->
  hw s' = hw s /\ held s' = held s /\ staled s' = staled s /\ places s' = places s /\ cached s' = cached s.
Proof. intros [-> _ _ _ _ _]. done. Qed.
Lemma unpinned_under rd s s' q : unpinned rd s s' -> under_lock q s' = under_lock q s.
Proof.
  intros U. destruct (unpinned_same _ _ _ U) as (_ & Hl & _). pose proof (un_gran _ _ _ U q) as H.
  by apply under_refs.
Qed.
Lemma unpinned_hand rd s s' q : unpinned rd s s' -> in_hand q s' = in_hand q s.
Proof.
  intros U. destruct (unpinned_same _ _ _ U) as (_ & Hl & _ & Hp & _). pose proof (un_gran _ _ _ U q) as H.
  apply in_hand_refs; [done|by rewrite Hp|done].
Qed.
Lemma unpinned_read rd s s' t i : unpinned rd s s' -> may_read t i s' = may_read t i s.
Proof.
  intros U. destruct (unpinned_same _ _ _ U) as (Hw & Hl & _). unfold may_read, holds.
  by rewrite (unpinned_under _ _ _ _ U), Hw, Hl.
Qed.

Lemma unpinned_unpin rd p s : is_ns (gran s) p = true -> unpinned rd s (page_unpinned p s).
Proof.
  unfold is_ns. destruct (gran s !! p) as [x|] eqn:Hx; [|done]. intros Hs.
  unfold page_unpinned, with_refs, set_granule, granule_at. rewrite Hx. cbn [default from_option id].
  constructor; try done; cbn [gran with_gran].
  - intros pa. destruct (decide (p = pa)) as [<-|N].
    + rewrite lookup_insert, Hx. eauto.
    + rewrite lookup_insert_ne by done. destruct (gran s !! pa) as [[a b c]|]; [|done]. by exists c.
  - intros pa Hn. rewrite lookup_insert_ne; [done|]. intros <-. unfold is_ns in Hn. rewrite Hx in Hn. congruence.
Qed.
Lemma unpinned_drops rd base n s : (forall i, 0 <= i < Z.of_nat n -> is_ns (gran s) (nth_page base i) = true) ->
  unpinned rd s (pins_dropped n base s).
Proof.
  unfold pins_dropped. induction n as [|n IH]; intros H; [apply unpinned_refl|]. rewrite each_below_S.
  pose proof (IH ltac:(intros; apply H; lia)) as U. apply (unpinned_trans _ _ _ _ U), unpinned_unpin.
  rewrite (unpinned_ns _ _ _ _ U). apply H. lia.
Qed.
Lemma unpinned_shared rd n s : unpinned rd s (shared_added rd n s).
Proof.
  constructor; try done.
  - intros pa. change (gran (shared_added rd n s)) with (gran s).
    destruct (gran s !! pa) as [[a b c]|]; [|done]. by exists c.
  - intros t N. apply page_set_page. congruence.
  - intros f N. unfold rd_of, rd_get, shared_added, rd_set. cbn [mem put_word with_mem].
    apply word_set_slot; unfold rd_word; destruct f; try congruence; cbn [rd_off]; lia.
  - intros M. by apply set_word_ok.
Qed.

Lemma each_below_0 {S} (f : Z -> S -> S) s : each_below 0 f s = s.
Proof. reflexivity. Qed.

(* One pin less for each page of those, and no other. *)
Definition among (base : Z) (n : nat) (pa : Z) : bool := existsb (fun i => nth_page base i =? pa) (below n).
Lemma drops_refs base n pa s : (n <= 512)%nat ->
  refs_of pa (pins_dropped n base s) = refs_of pa s - b2z (among base n pa).
Proof.
  unfold pins_dropped, among. induction n as [|n IH]; intros Hn; [rewrite each_below_0; cbn [below seq map existsb b2z]; lia|].
  rewrite each_below_S, below_S, existsb_app. cbn [existsb]. rewrite orb_false_r.
  unfold page_unpinned at 1. unfold refs_of at 1. destruct (Z.eqb_spec (nth_page base (Z.of_nat n)) pa) as [E|N].
  - rewrite E. unfold granule_at at 1. unfold with_refs, set_granule. cbn [gran with_gran].
    rewrite lookup_insert. cbn [default from_option id g_refs]. fold (refs_of pa (each_below n (fun i s => page_unpinned (nth_page base i) s) s)).
    rewrite IH by lia. replace (existsb _ (below n)) with false; [cbn; lia|].
    symmetry. apply existsb_false. intros i Hi%below_In. apply Z.eqb_neq. intros E'. rewrite <- E in E'.
    apply nth_page_inj in E'; lia.
  - rewrite at_other by done. rewrite orb_false_r. apply IH. lia.
Qed.

(* ---- The entries of one table ---- *)

(* They map the host's pages, and those are pinned as often as they map them. *)
Record ns_counted (level table : Z) (s : state) : Prop := NsCounted {
  nc_host : forall i n, 0 <= i < 512 -> kind level (word (mem s) table i) = K_ASSIGNED_NS -> 0 <= n < pages_at level ->
      is_ns (gran s) (nth_page (out_addr (word (mem s) table i)) n) = true;
  nc_refs : forall pa, is_ns (gran s) pa = true -> leaves_for pa level (page (mem s) table) <= refs_of pa s;
}.

Lemma pages_cases level : pages_at level = 1 \/ pages_at level = 512.
Proof. unfold pages_at. destruct (level =? 3); auto. Qed.
Lemma pages_size level : 0 <= level <= 3 -> pages_at level * 4096 <= size_of level.
Proof. intros H. assert (level = 0 \/ level = 1 \/ level = 2 \/ level = 3) as [->|[->|[->| ->]]] by lia; done. Qed.

Lemma ns_entry level d : u64 d -> kind level d = K_ASSIGNED_NS ->
  is_valid d = true /\ is_table level d = false /\ 0 <= out_addr d < 2 ^ 48.
Proof.
  intros [Hd _] H. pose proof (out_addr_range d Hd). unfold kind in H.
  destruct (is_table level d); [discriminate|]. destruct (is_valid d); [done|].
  destruct (has_ns_bit d); [discriminate|]. destruct (has_assigned_bit d); discriminate.
Qed.
Lemma ns_page level d n : 0 <= level <= 3 -> u64 d -> kind level d = K_ASSIGNED_NS -> 0 <= n < pages_at level ->
  nth_page (out_addr d) n = out_addr d + n * 4096 /\ leaf_covers level d (out_addr d + n * 4096) = true.
Proof.
  intros Hl Hd Hk Hn. destruct (ns_entry _ _ Hd Hk) as (V & T & R). pose proof (pages_size level Hl).
  destruct (pages_cases level) as [E|E]; rewrite E in *.
  all: split; [unfold nth_page; rewrite wrap_small by lia; reflexivity|].
  all: unfold leaf_covers; rewrite V, T; cbn [negb andb]; apply andb_true_iff; split; [apply Z.leb_le|apply Z.ltb_lt]; lia.
Qed.
Lemma among_covers level d pa : 0 <= level <= 3 -> u64 d -> kind level d = K_ASSIGNED_NS ->
  among (out_addr d) (Z.to_nat (pages_at level)) pa = true -> leaf_covers level d pa = true.
Proof.
  intros Hl Hd Hk (i & Hi%below_In & E%Z.eqb_eq)%existsb_exists.
  destruct (ns_page level d i Hl Hd Hk) as [E' H]; [destruct (pages_cases level); lia|]. by rewrite <- E, E'.
Qed.

Lemma leaves_drop m table level pa j : mem_ok m -> (j < 512)%nat ->
  leaves_for pa level (drop j (page m table)) =
  (if leaf_covers level (word m table (Z.of_nat j)) pa then 1 else 0) + leaves_for pa level (drop (S j) (page m table)).
Proof.
  intros Hm Hj. pose proof (page_word m table (Z.of_nat j) Hm ltac:(lia)) as H. rewrite Nat2Z.id in H.
  rewrite (drop_S _ _ _ H). unfold leaves_for. by rewrite count_cons.
Qed.

Section drop.
  Context (rd level table : Z) (s : state).
  Context (Hl : 0 <= level <= 3) (Hm : mem_ok (mem s)) (Hw : forall i, 0 <= i < 512 -> u64 (word (mem s) table i)) (Hne : table <> rd).
  Context (Hc : ns_counted level table s).
  Notation at_ j := (each_below j (ns_freed rd level table) s).

  Lemma drop_step s' i : unpinned rd s s' -> 0 <= i < 512 ->
    let d := word (mem s) table i in
    word (mem s') table i = d /\
    (kind level d = K_ASSIGNED_NS -> forall n, 0 <= n < pages_at level -> is_ns (gran s') (nth_page (out_addr d) n) = true).
  Proof.
    intros U Hi d. split; [unfold d, word; by rewrite (un_page _ _ _ U)|].
    intros Hk n Hn. rewrite (unpinned_ns _ _ _ _ U). by apply (nc_host _ _ _ Hc).
  Qed.
  (* Of each of the host's pages, what the entries from j on map is still pinned. *)
  Lemma drops_so_far j : (j <= 512)%nat -> unpinned rd s (at_ j) /\
    (forall pa, refs_of pa s <= refs_of pa (at_ j) + leaves_for pa level (page (mem s) table) - leaves_for pa level (drop j (page (mem s) table))).
  Proof.
    induction j as [|j IH]; intros Hj.
    { split; [apply unpinned_refl|]. intros pa. rewrite drop_0, each_below_0. lia. }
    destruct (IH ltac:(lia)) as [U R]. clear IH. rewrite each_below_S.
    generalize dependent (at_ j). intros s' U R.
    destruct (drop_step s' (Z.of_nat j) U ltac:(lia)) as [Ed Hns]. cbv zeta in Hns. specialize (Hw (Z.of_nat j) ltac:(lia)).
    assert (L : forall pa, leaves_for pa level (drop j (page (mem s) table)) = _) by (intros; apply leaves_drop; [done|lia]).
    unfold ns_freed. rewrite Ed. set (d := word (mem s) table (Z.of_nat j)) in *.
    destruct (Z.eqb_spec (kind level d) K_ASSIGNED_NS) as [Hk|_].
    - specialize (Hns Hk). set (n := Z.to_nat (pages_at level)).
      assert (Hn : (n <= 512)%nat) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
      assert (V : unpinned rd s' (pins_dropped n (out_addr d) s')).
      { apply unpinned_drops. intros i Hi. apply Hns. unfold n in Hi. lia. }
      split; [by eapply unpinned_trans; [exact U|eapply unpinned_trans; [exact V|apply unpinned_shared]]|].
      intros pa. change (refs_of pa (shared_added rd _ ?x)) with (refs_of pa x). rewrite (drops_refs _ _ _ _ Hn).
      specialize (R pa). rewrite L in R. pose proof (among_covers level d pa Hl Hw Hk) as A. fold n in A.
      destruct (among (out_addr d) n pa); [rewrite A in R by done; cbn; lia|].
      destruct (leaf_covers level d pa); cbn [b2z]; lia.
    - split; [done|]. intros pa. specialize (R pa). rewrite L in R. destruct (leaf_covers level d pa); lia.
  Qed.
End drop.

Lemma ns_dropped_unpinned rd level table s : 0 <= level <= 3 -> mem_ok (mem s) -> (forall i, 0 <= i < 512 -> u64 (word (mem s) table i)) ->
  table <> rd -> ns_counted level table s -> unpinned rd s (ns_dropped rd level table s) /\
  (forall pa, refs_of pa s <= refs_of pa (ns_dropped rd level table s) + leaves_for pa level (page (mem s) table)).
Proof.
  intros Hl Hm Hw N C. destruct (drops_so_far rd level table s Hl Hm Hw N C 512 ltac:(lia)) as [U R].
  split; [exact U|]. intros pa. specialize (R pa). unfold ns_dropped.
  pose proof (count_range (fun d => leaf_covers level d pa) (drop 512 (page (mem s) table))). unfold leaves_for in *. lia.
Qed.

Lemma shared_wrap rd n s : shared_added rd (wrap U64 (0 - n)) s = shared_added rd (- n) s.
Proof. unfold shared_added, wrap. rewrite Zplus_mod_idemp_r. by rewrite Z.sub_0_l. Qed.

Theorem rtt_drop_ns_ok rd level table s :
  0 <= level <= 3 -> in_hand rd s = true -> (forall i, 0 <= i < 512 -> may_read table i s = true) -> table <> rd -> mem_ok (mem s) ->
  (forall i, 0 <= i < 512 -> u64 (word (mem s) table i)) -> staled s = [] -> ns_counted level table s ->
  core "rtt_drop_ns" [rd; level; table] s = Some ([], ns_dropped rd level table s).
Proof.
  intros Hl Hin Hread N Hm Hw Hst C. enter f_rtt_drop_ns. use ns_pages_ok.
  apply (loop_each_at (ns_freed rd level table)).
  - intros j k Hj next. destruct (drops_so_far rd level table s Hl Hm Hw N C j ltac:(lia)) as [U R].
    generalize dependent (each_below j (ns_freed rd level table) s). intros s' next U R. tidy.
    destruct (drop_step rd level table s N C s' (Z.of_nat j) U ltac:(lia)) as [Ed Hns]. cbv zeta in Hns.
    destruct (unpinned_same _ _ _ U) as (_ & _ & Es & _).
    apply bind_read; [rewrite (unpinned_read _ _ _ _ _ U); apply Hread; lia|]. tidy.
    use s2_kind_ok. use s2_pa_ok. change 3 with K_ASSIGNED_NS. specialize (Hw (Z.of_nat j) ltac:(lia)).
    destruct (Z.eqb_spec (kind level (word (mem s') table (Z.of_nat j))) K_ASSIGNED_NS) as [Hk|Hk].
    + rewrite Ed in Hk. specialize (Hns Hk). set (n := Z.to_nat (pages_at level)).
      assert (En : pages_at level = Z.of_nat n) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
      assert (Hn : (n <= 512)%nat) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
      destruct (ns_entry _ _ Hw Hk) as (_ & _ & Ho).
      rewrite Ed. rewrite En at 1. eapply bind_call.
      { apply ns_put_pages_ok; [by rewrite Es|unfold u64; lia|done|]. intros i Hi. rewrite <- En in Hi.
        specialize (Hns i Hi). destruct (ns_page level _ i Hl Hw Hk Hi) as [Ep Hcov].
        assert (Href : 0 < refs_of (nth_page (out_addr (word (mem s) table (Z.of_nat j))) i) s').
        { rewrite (unpinned_ns _ _ _ _ U) in Hns. pose proof (nc_refs _ _ _ C _ Hns) as Q.
          specialize (R (nth_page (out_addr (word (mem s) table (Z.of_nat j))) i)).
          rewrite (leaves_drop (mem s) table level _ j Hm) in R by lia. rewrite Ep in *. rewrite Hcov in R.
          pose proof (count_range (fun d => leaf_covers level d (out_addr (word (mem s) table (Z.of_nat j)) + i * 4096)) (drop (S j) (page (mem s) table))).
          unfold leaves_for in *. lia. }
        unfold pinned, is_ns, refs_of, granule_at in *. destruct (gran s' !! _) as [x|]; [|done].
        cbn [default from_option id] in Href. rewrite Hns. by apply Z.ltb_lt. }
      tidy. eapply bind_call.
      { apply rtt_add_shared_ok. rewrite (unpinned_hand rd s' _ rd); [by rewrite (unpinned_hand _ _ _ _ U)|].
        apply unpinned_drops. intros i Hi. apply Hns. lia. }
      tidy. apply next; [reflexivity|]. unfold ns_freed. rewrite Ed, Hk, shared_wrap. reflexivity.
    + apply next; [reflexivity|]. unfold ns_freed. by rewrite (proj2 (Z.eqb_neq _ _) Hk).
  - tidy. reflexivity.
Qed.
