(* SPDX-License-Identifier: Apache-2.0 *)
(* RMI_RTT_MAP_UNPROTECTED and RMI_RTT_UNMAP_UNPROTECTED leave the invariant as they found it. *)
From kcore Require Export refine.LeafInv.
From kcore Require Import refine.ObjectInv.
From kcore Require Import refine.UnderFacts.
Local Open Scope Z_scope.

(* ---- Pins of several pages ---- *)

Lemma among_S base n q : among base (S n) q = among base n q || (nth_page base (Z.of_nat n) =? q).
Proof. unfold among. rewrite below_S, existsb_app. cbn [existsb]. by rewrite orb_false_r. Qed.
Lemma among_last base n : (n < 512)%nat -> among base n (nth_page base (Z.of_nat n)) = false.
Proof. intros Hn. apply existsb_false. intros i Hi%below_In. apply Z.eqb_neq. intros E. apply nth_page_inj in E; lia. Qed.
Lemma among_intro base n i : 0 <= i < Z.of_nat n -> among base n (nth_page base i) = true.
Proof. intros Hi. apply existsb_exists. exists i. split; [by apply below_In|apply Z.eqb_refl]. Qed.
Lemma refs_moved k base n s q : (n <= 512)%nat -> (forall i, 0 <= i < Z.of_nat n -> is_Some (gran s !! nth_page base i)) ->
  gran (each_below n (fun i s => with_refs (nth_page base i) (g_refs (granule_at s (nth_page base i)) + k) s) s) !! q =
  match gran s !! q with
  | Some g => Some (Gran (g_state g) (g_owner g) (g_refs g + (if among base n q then k else 0)))
  | None => None
  end.
Proof.
  revert q. induction n as [|n IH]; intros q Hn H.
  - rewrite each_below_0. change (among base 0 q) with false. cbv iota. destruct (gran s !! q) as [[a b c]|]; [|done].
    cbn [g_state g_owner g_refs]. by rewrite Z.add_0_r.
  - rewrite each_below_S, among_S. specialize (fun q => IH q ltac:(lia) ltac:(intros; apply H; lia)).
    set (s1 := each_below n _ s) in *. clearbody s1. unfold with_refs, set_granule. cbn [gran with_gran].
    destruct (Z.eqb_spec (nth_page base (Z.of_nat n)) q) as [<-|N].
    + rewrite lookup_insert, orb_true_r. destruct (H (Z.of_nat n) ltac:(lia)) as [g Hg]. specialize (IH (nth_page base (Z.of_nat n))).
      rewrite Hg, among_last in IH by lia. unfold granule_at. rewrite IH, Hg. cbn [default from_option id g_state g_owner g_refs].
      do 2 f_equal. lia.
    + rewrite lookup_insert_ne, orb_false_r by done. apply IH.
Qed.
Lemma ns_some g pa : is_ns g pa = true -> is_Some (g !! pa).
Proof. unfold is_ns. destruct (g !! pa); [eauto|done]. Qed.
Lemma taken_gran base n s q : (n <= 512)%nat -> (forall i, 0 <= i < Z.of_nat n -> is_Some (gran s !! nth_page base i)) ->
  gran (pins_taken n base s) !! q =
  match gran s !! q with
  | Some g => Some (Gran (g_state g) (g_owner g) (g_refs g + (if among base n q then 1 else 0)))
  | None => None
  end.
Proof. exact (refs_moved 1 base n s q). Qed.
Lemma dropped_gran base n s q : (n <= 512)%nat -> (forall i, 0 <= i < Z.of_nat n -> is_Some (gran s !! nth_page base i)) ->
  gran (pins_dropped n base s) !! q =
  match gran s !! q with
  | Some g => Some (Gran (g_state g) (g_owner g) (g_refs g + (if among base n q then -1 else 0)))
  | None => None
  end.
Proof. exact (refs_moved (-1) base n s q). Qed.

(* ---- An entry of the unprotected half ---- *)

Lemma assigned_ns_u64 level host : u64 host -> u64 (assigned_ns level host).
Proof.
  intros Hh. unfold assigned_ns.
  assert (Hm : 0 <= host_memattr host < 8).
  { unfold host_memattr. rewrite shr by lia. destruct Hh as [Hh _].
    assert (0 <= Z.land 28 host < 2 ^ 5) by (apply land_range; lia).
    rewrite Z.land_comm. change (2 ^ 2) with 4. change (2 ^ 5) with 32 in *.
    split; [apply Z.div_pos; lia|]. apply Z.div_lt_upper_bound; lia. }
  assert (Hma : 0 <= memattr_of (host_memattr host) < 2 ^ 64).
  { unfold memattr_of, MEM_NORMAL. destruct (_ <? _); [lia|]. destruct (_ =? _); lia. }
  assert (Hl : 0 <= leaf_type level < 2 ^ 64) by (unfold leaf_type, S2_PAGE, S2_BLOCK; destruct (_ =? _); lia).
  assert (Hs : 0 <= host_memattr host * 2 ^ 56 < 2 ^ 64).
  { change (2 ^ 56) with 72057594037927936. change (2 ^ 64) with 18446744073709551616. lia. }
  assert (Hp : 0 <= Z.land host (Z.lor PA_MASK 0xC0) < 2 ^ 64).
  { apply land_u64; [apply Hh|]. vm_compute. split; [discriminate|reflexivity]. }
  unfold u64. revert Hp Hs Hma Hl. generalize (Z.land host (Z.lor PA_MASK 0xC0)) (host_memattr host * 2 ^ 56) (memattr_of (host_memattr host)) (leaf_type level).
  intros a b c l Ha Hb Hc Hl. repeat match goal with |- 0 <= Z.lor _ _ < _ => apply lor_u64 end; try assumption.
  all: vm_compute; split; [discriminate|reflexivity].
Qed.

Lemma shared_added_inv rd n s : inv s -> has_state GS_RD rd s = true -> inv (shared_added rd n s).
Proof.
  intros I H. unfold shared_added. apply inv_rd_set; [done|done| |apply Z.mod_pos_bound; lia].
  unfold free_word, rd_word. cbn [rd_off]. lia.
Qed.

(* An entry that maps nothing, or the host's pages, changes to such a one, with the pins. *)
Lemma shared_step rd ipa w s p d e g (s' := entry_put w d (with_gran g s)) : inv s -> has_state GS_RD rd s = true ->
  places s !! w_table w = Some p -> p_rd p = rd -> p_level p = w_level w -> 0 <= w_slot w < 512 ->
  p_base p + w_slot w * size_of (w_level w) = ipa -> word (mem s) (w_table w) (w_slot w) = e -> u64 d ->
  kind (w_level w) e = K_UNASSIGNED_NS \/ kind (w_level w) e = K_ASSIGNED_NS ->
  kind (w_level w) d = K_UNASSIGNED_NS \/ kind (w_level w) d = K_ASSIGNED_NS ->
  entry_ok s (w_table w) p ipa d ->
  (forall q, match gran s !! q with
     | Some x => exists r, g !! q = Some (Gran (g_state x) (g_owner x) r) /\ (if g_state x =? GS_NS then r <= REFS_MAX else r = g_refs x)
     | None => g !! q = None
     end) ->
  (forall pa x y, is_ns (gran s) pa = true -> gran s !! pa = Some x -> g !! pa = Some y ->
     b2z (leaf_covers (w_level w) d pa) + g_refs x <= b2z (leaf_covers (w_level w) e pa) + g_refs y) ->
  inv s'.
Proof.
  intros I Hr Hp Er El Hi Hb He Hd Ke Kd Hen Hg Hpin.
  assert (NT : forall x, kind (w_level w) x = K_UNASSIGNED_NS \/ kind (w_level w) x = K_ASSIGNED_NS ->
    is_table (w_level w) x = false /\ kind (w_level w) x <> K_ASSIGNED).
  { intros x Hx. split; [|by destruct Hx as [-> | ->]]. unfold kind in Hx. destruct (is_table (w_level w) x); [|done]. by destruct Hx. }
  destruct (NT e Ke) as [Te Ne], (NT d Kd) as [Td Nd].
  destruct (place_granule _ _ _ I Hp) as (P & _ & Ht).
  assert (Ntr : w_table w <> rd).
  { intros E. rewrite E in Ht. destruct (has_state_inv _ _ _ Ht) as (x & Hx & Hs), (has_state_inv _ _ _ Hr) as (y & Hy & Hs').
    rewrite Hx in Hy. injection Hy as <-. rewrite Hs in Hs'. discriminate. }
  assert (Erd : forall f, rd_of s' f rd = rd_of s f rd).
  { intros f. unfold rd_of, rd_get. apply word_set_page. done. }
  assert (Ens : forall q, is_ns g q = is_ns (gran s) q).
  { intros q. specialize (Hg q). unfold is_ns. destruct (gran s !! q); [by destruct Hg as (r & -> & _)|by rewrite Hg]. }
  assert (Hsame : gran s' !! w_table w = gran s !! w_table w).
  { change (gran s') with g. specialize (Hg (w_table w)). destruct (has_state_inv _ _ _ Ht) as ([a b c] & Hx & Hs). rewrite Hx in *.
    destruct Hg as (r & -> & Hrr). cbn [g_state g_owner g_refs] in *. rewrite Hs in *. by rewrite Hrr. }
  eapply inv_tree; [exact I|]. eapply (leaf_tree_step rd (w_table w) p (w_slot w) d e); try done; rewrite ?El; try done.
  - pose proof (i_scratch _ I) as (? & ? & ? & ? & ? & _). done.
  - apply set_word_ok, (i_mem _ I).
  - apply words_set; [exact (i_words _ I)|done].
  - change (mem s') with (set_word (mem s) (w_table w) (w_slot w) d). unfold set_word. by rewrite page_insert_same.
  - rewrite Hb. destruct Hen as [r H1 H2|q r H1 H2 H3 H4 H5 H6|H1|host H1 H2 H3 H4 H5|child H1 H2 H3|H1].
    + destruct (unassigned_facts (w_level w) r H1) as (_ & _ & K & _). rewrite K in Kd. by destruct Kd.
    + rewrite El in *. destruct (assigned_ok (w_level w) q r H1 H4 (aligned_size _ _ H5)) as (_ & _ & _ & K & _). congruence.
    + constructor. unfold half_of in *. rewrite Er, Erd in *. done.
    + constructor; try done; [unfold half_of in *; by rewrite Er, Erd in *|]. intros n Hn. change (gran s') with g. rewrite Ens. by apply H5.
    + destruct (place_granule _ _ _ I H3) as (Q & A & _). destruct (table_desc_ok child Q A) as (_ & T & _). rewrite T in Td; [done|]. lia.
    + unfold kind, is_table in Kd. rewrite andb_false_r in Kd. by destruct Kd.
  - intros q Nq Nr. apply page_set_page. congruence.
  - intros q _. change (gran s') with g. exact (Hg q).
  - intros pa Hn. unfold refs_of, granule_at. change (gran s') with g. pose proof (Hpin pa) as H. specialize (Hg pa).
    unfold is_ns in Hn. destruct (gran s !! pa) as [x|] eqn:Hx; [|done]. destruct Hg as (r & Ey & _). rewrite Ey in *.
    cbn [default from_option id g_refs] in *. apply (H x (Gran (g_state x) (g_owner x) r)); try done. unfold is_ns. by rewrite Hx.
Qed.

(* ---- The commands ---- *)

Theorem map_locked_inv rd ipa level host s : inv s -> has_state GS_RD rd s = true -> 0 <= ipa -> 2 <= level <= 3 -> u64 host ->
  inv (snd (map_locked rd ipa level host s)).
Proof.
  intros I Hr Hi Hl Hh. unfold map_locked. destruct (ns_ok level host) eqn:Hok; [|exact I]. cbn [negb orb].
  destruct (unprotected_ok rd ipa level s) eqn:Hu; [|exact I]. cbn [negb orb].
  destruct (unprotected_facts _ _ _ _ Hu) as (Hb & Hhalf & Ha & Hstart).
  destruct (walk_at s rd ipa level I Hr ltac:(lia)) as [(p & Hp & Er & El & Es & Ef & Ed) _].
  set (w := walk rd ipa level s) in *. destruct (Z.eqb_spec (w_level w) level) as [Ew|]; cbn [negb orb]; [|exact I].
  destruct (Z.eqb_spec (w_kind w) K_UNASSIGNED_NS) as [Ek|]; cbn [negb orb]; [|exact I].
  destruct (rd_of s RD_max_shared rd <? _); [exact I|].
  set (n := Z.to_nat (pages_at level)). assert (En : pages_at level = Z.of_nat n) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
  assert (Hn : (n <= 512)%nat) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
  unfold pin_all. destruct (Nat.eqb_spec (leading (fun i => pinnable (nth_page (out_addr host) i) s) n) n) as [E|]; [|exact I].
  assert (Pin : forall i, 0 <= i < Z.of_nat n -> pinnable (nth_page (out_addr host) i) s = true).
  { intros i Hi'. apply (leading_ok (fun i => pinnable (nth_page (out_addr host) i) s) n). by rewrite E. }
  cbn [Z.eqb snd]. apply shared_added_inv.
  2:{ destruct (pins_rest (out_addr host) n s) as [g Eg]. pose proof (taken_gran (out_addr host) n s rd Hn) as G. rewrite Eg in *.
      unfold has_state in *. cbn [gran entry_put put_word with_mem with_gran] in *. rewrite G.
      - destruct (gran s !! rd); done.
      - intros i Hi'. destruct (pinnable_some _ _ (Pin i Hi')) as (x & -> & _). eauto. }
  destruct (pins_rest (out_addr host) n s) as [g Eg]. pose proof (fun q => taken_gran (out_addr host) n s q Hn) as G. rewrite Eg in *. cbn [gran with_gran] in G.
  assert (Gq : forall q, g !! q = match gran s !! q with
    | Some g => Some (Gran (g_state g) (g_owner g) (g_refs g + (if among (out_addr host) n q then 1 else 0))) | None => None end).
  { intros q. apply G. intros i Hi'. destruct (pinnable_some _ _ (Pin i Hi')) as (x & -> & _). eauto. }
  clear G Eg. pose proof (out_addr_range host ltac:(destruct Hh; lia)) as Hor.
  assert (Np : forall i, 0 <= i < Z.of_nat n -> nth_page (out_addr host) i = out_addr host + i * 4096).
  { intros i Hi'. unfold nth_page. apply wrap_small. lia. }
  destruct (assigned_ns_facts level host ltac:(unfold u64 in Hh; lia)) as (Od & Vd & Td & Kd & _).
  assert (Am : forall q x, gran s !! q = Some x -> among (out_addr host) n q = true -> g_state x = GS_NS /\ g_refs x < REFS_MAX).
  { intros q x Hx (i & Hi'%below_In & <-%Z.eqb_eq)%existsb_exists. specialize (Pin i Hi').
    unfold pinnable, claimable, has_state, granule_at in Pin. rewrite Hx in Pin. cbn [default from_option id] in Pin.
    apply andb_true_iff in Pin as [[Q _]%andb_true_iff R%Z.ltb_lt]. apply Z.eqb_eq in Q. done. }
  rewrite Es in *.
  apply (shared_step rd ipa w s p _ (w_desc w)); try done.
  - rewrite Es. apply slot_range.
  - rewrite Es, Ef, Ew. by apply floor_aligned.
  - by rewrite Es.
  - by apply assigned_ns_u64.
  - by left.
  - rewrite Ew. by right.
  - rewrite <- El in Ew. rewrite <- Ew. apply E_assigned_ns; rewrite ?Er, ?Ew.
    + lia.
    + lia.
    + exact Hok.
    + unfold u64 in Hh. lia.
    + intros i Hi'. rewrite pages_exact in Hi' by done. rewrite <- Np by lia. destruct (pinnable_some _ _ (Pin i ltac:(lia))) as (x & Hx & Hs).
      unfold is_ns. by rewrite Hx, Hs.
  - intros q. rewrite Gq. destruct (gran s !! q) as [x|] eqn:Hx; [|done]. eexists. split; [done|].
    destruct (among (out_addr host) n q) eqn:Ea.
    + destruct (Am q x Hx Ea) as [-> R]. change (GS_NS =? GS_NS) with true. cbv iota. lia.
    + destruct (i_gran _ I _ _ Hx) as (_ & _ & R). destruct (_ =? _); lia.
  - intros pa x y Hns Hx Hy. rewrite Gq, Hx in Hy. injection Hy as <-. cbn [g_refs]. rewrite Ew.
    assert (Cov : leaf_covers level (assigned_ns level host) pa = true -> among (out_addr host) n pa = true).
    { intros Hc. destruct (i_gran _ I _ _ Hx) as (_ & A & _).
      destruct (leaf_covers_page _ _ _ Hc A (out_addr_page _)) as (i & Hi' & ->). rewrite pages_exact in Hi' by done.
      rewrite Od. rewrite <- Np by lia. apply among_intro. lia. }
    unfold b2z. destruct (leaf_covers level (assigned_ns level host) pa); [rewrite Cov by done|]; destruct (leaf_covers level (w_desc w) pa), (among _ _ _); lia.
Qed.
Theorem map_unprotected_inv rd ipa level host s : inv s -> idle s -> 0 <= ipa -> u64 host ->
  inv (snd (map_unprotected rd ipa level host s)).
Proof.
  intros I _ Hi Hh. unfold map_unprotected. destruct (Z.ltb_spec level 2); [exact I|]. destruct (Z.ltb_spec 3 level); [exact I|]. cbn [orb].
  destruct (has_state GS_RD rd s) eqn:Hr; [|exact I]. cbn [negb]. apply map_locked_inv; done || lia.
Qed.
Theorem map_unprotected_idle rd ipa level host s : idle s -> idle (snd (map_unprotected rd ipa level host s)).
Proof.
  intros H. unfold map_unprotected, map_locked. destruct (_ || _); [exact H|]. destruct (_ || _); [exact H|].
  destruct (_ || _); [exact H|]. destruct (_ <? _); [exact H|].
  destruct (pins_facts (out_addr host) (Z.to_nat (pages_at level)) s) as [-> | ->]; [|exact H]. cbn [Z.eqb snd].
  destruct (pins_rest (out_addr host) (Z.to_nat (pages_at level)) s) as [g ->]. exact H.
Qed.

Theorem unmap_locked_inv rd ipa level s : inv s -> has_state GS_RD rd s = true -> 0 <= ipa -> 1 <= level <= 3 ->
  inv (snd (unmap_locked rd ipa level s)).
Proof.
  intros I Hr Hi Hl. unfold unmap_locked.
  destruct (unprotected_ok rd ipa level s) eqn:Hu; [|exact I]. cbn [negb orb].
  destruct (unprotected_facts _ _ _ _ Hu) as (Hb & Hhalf & Ha & Hstart).
  destruct (walk_at s rd ipa level I Hr ltac:(lia)) as [(p & Hp & Er & El & Es & Ef & Ed) _].
  set (w := walk rd ipa level s) in *. destruct (Z.eqb_spec (w_level w) level) as [Ew|]; cbn [negb orb]; [|exact I].
  destruct (Z.eqb_spec (w_kind w) K_ASSIGNED_NS) as [Ek|]; cbn [negb orb]; [|exact I]. cbn [snd].
  set (n := Z.to_nat (pages_at level)). assert (En : pages_at level = Z.of_nat n) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
  assert (Hn : (n <= 512)%nat) by (unfold n; destruct (pages_cases level) as [-> | ->]; lia).
  assert (Hw : u64 (w_desc w)) by (rewrite Ed; apply (i_words _ I)).
  assert (Sl : 0 <= w_slot w < 512) by (rewrite Es; apply slot_range).
  assert (Sh : forall i, 0 <= i < Z.of_nat n -> is_ns (gran s) (nth_page (out_addr (w_desc w)) i) = true).
  { intros i Hi'. rewrite <- En, <- Ew in Hi'. destruct (ns_page (w_level w) _ i ltac:(lia) Hw Ek Hi') as [-> _]. rewrite Ed.
    apply (entry_shares s (w_table w) p (w_slot w) i I Hp Sl); rewrite ?El; [by rewrite <- Ed|done]. }
  unfold unmapped. fold n. apply shared_added_inv.
  2:{ destruct (pins_dropped_rest (out_addr (w_desc w)) n (entry_put w unassigned_ns s)) as [g Eg].
      pose proof (dropped_gran (out_addr (w_desc w)) n (entry_put w unassigned_ns s) rd Hn) as G. rewrite Eg in *.
      unfold has_state in *. cbn [gran entry_put put_word with_mem with_gran] in *. rewrite G.
      - destruct (gran s !! rd); done.
      - intros i Hi'. exact (ns_some _ _ (Sh i Hi')). }
  destruct (pins_dropped_rest (out_addr (w_desc w)) n (entry_put w unassigned_ns s)) as [g Eg].
  pose proof (fun q => dropped_gran (out_addr (w_desc w)) n (entry_put w unassigned_ns s) q Hn) as G. rewrite Eg in *. cbn [gran with_gran entry_put put_word with_mem] in G.
  assert (Gq : forall q, g !! q = match gran s !! q with
    | Some x => Some (Gran (g_state x) (g_owner x) (g_refs x + (if among (out_addr (w_desc w)) n q then -1 else 0))) | None => None end).
  { intros q. apply G. intros i Hi'. exact (ns_some _ _ (Sh i Hi')). }
  clear G Eg. change (with_gran g (entry_put w unassigned_ns s)) with (entry_put w unassigned_ns (with_gran g s)).
  assert (Am : forall q x, gran s !! q = Some x -> among (out_addr (w_desc w)) n q = true -> g_state x = GS_NS).
  { intros q x Hx (i & Hi'%below_In & <-%Z.eqb_eq)%existsb_exists. specialize (Sh i Hi'). unfold is_ns in Sh. rewrite Hx in Sh. by apply Z.eqb_eq. }
  apply (shared_step rd ipa w s p _ (w_desc w)); try done.
  - rewrite Ef, Ew. by apply floor_aligned.
  - by right.
  - left. by destruct (unassigned_ns_facts (w_level w)) as (_ & _ & K).
  - constructor. rewrite Er. done.
  - intros q. rewrite Gq. destruct (gran s !! q) as [x|] eqn:Hx; [|done]. eexists. split; [done|].
    destruct (i_gran _ I _ _ Hx) as (_ & _ & R). destruct (among (out_addr (w_desc w)) n q) eqn:Ea.
    + rewrite (Am q x Hx Ea). change (GS_NS =? GS_NS) with true. cbv iota. lia.
    + destruct (_ =? _); lia.
  - intros pa x y Hns Hx Hy. rewrite Gq, Hx in Hy. injection Hy as <-. cbn [g_refs].
    change (leaf_covers (w_level w) unassigned_ns pa) with false. cbn [b2z].
    destruct (among (out_addr (w_desc w)) n pa) eqn:Ea; [|unfold b2z; destruct (leaf_covers _ _ _); lia].
    unfold n in Ea. rewrite <- Ew in Ea. rewrite (among_covers (w_level w) (w_desc w) pa ltac:(lia) Hw Ek Ea). cbn [b2z]. lia.
Qed.
Theorem unmap_unprotected_inv rd ipa level s : inv s -> idle s -> 0 <= ipa -> inv (snd (unmap_unprotected rd ipa level s)).
Proof.
  intros I _ Hi. unfold unmap_unprotected. destruct (Z.ltb_spec level 1); [exact I|]. destruct (Z.ltb_spec 3 level); [exact I|]. cbn [orb].
  destruct (has_state GS_RD rd s) eqn:Hr; [|exact I]. cbn [negb]. apply unmap_locked_inv; done || lia.
Qed.
Theorem unmap_unprotected_idle rd ipa level s : idle s -> idle (snd (unmap_unprotected rd ipa level s)).
Proof.
  intros H. unfold unmap_unprotected, unmap_locked. destruct (_ || _); [exact H|]. destruct (negb _); [exact H|].
  destruct (_ || _); [exact H|]. cbn [snd]. unfold unmapped.
  destruct (pins_dropped_rest (out_addr (w_desc (walk rd ipa level s))) (Z.to_nat (pages_at level)) (entry_put (walk rd ipa level s) unassigned_ns s)) as [g ->].
  exact H.
Qed.
