(* SPDX-License-Identifier: Apache-2.0 *)
(* What a table counts and maps after one of its entries has changed; the invariant where no table comes or goes. *)
From kcore Require Export refine.RttInv.
Local Open Scope Z_scope.

Lemma live_step level l i d : is_page l -> 0 <= i < 512 ->
  live_entries level (set_nth l i d) = live_entries level l - b2z (is_counted level (nth_word l i)) + b2z (is_counted level d).
Proof.
  intros Hl Hi. unfold is_page in Hl. unfold live_entries, set_nth. destruct (lookup_lt_is_Some_2 l (Z.to_nat i)) as [e He]; [lia|].
  rewrite (count_insert _ _ _ _ d He). unfold nth_word. rewrite nth_lookup, He. cbn [default from_option id]. unfold b2z.
  destruct (is_counted level e), (is_counted level d); lia.
Qed.
Lemma leaves_step pa level l i d : is_page l -> 0 <= i < 512 ->
  leaves_for pa level (set_nth l i d) = leaves_for pa level l - b2z (leaf_covers level (nth_word l i) pa) + b2z (leaf_covers level d pa).
Proof.
  intros Hl Hi. unfold is_page in Hl. unfold leaves_for, set_nth. destruct (lookup_lt_is_Some_2 l (Z.to_nat i)) as [e He]; [lia|].
  rewrite (count_insert _ _ _ _ d He). unfold nth_word. rewrite nth_lookup, He. cbn [default from_option id]. unfold b2z.
  destruct (leaf_covers level e pa), (leaf_covers level d pa); lia.
Qed.

(* The leaves of the table at c, if there is one. *)
Definition leaves_at (s : state) (c pa : Z) : Z :=
  match places s !! c with Some pc => leaves_for pa (p_level pc) (page (mem s) c) | None => 0 end.
Lemma uses_step s s' t p i d c pa : mem_ok (mem s) -> places s !! t = Some p -> 0 <= i < 512 -> c <> t ->
  page (mem s') t = set_nth (page (mem s) t) i d ->
  (forall q, q <> c -> places s' !! q = places s !! q) ->
  (forall q pq, places s !! q = Some pq -> q <> t -> q <> c -> page (mem s') q = page (mem s) q) ->
  uses s' pa = uses s pa - b2z (leaf_covers (p_level p) (word (mem s) t i) pa) + b2z (leaf_covers (p_level p) d pa)
    - leaves_at s c pa + leaves_at s' c pa.
Proof.
  intros Hm Hp Hi N Et Ep Eq. unfold uses.
  rewrite (sum_split _ (places s') t), (sum_split _ (delete t (places s')) c).
  rewrite (sum_split _ (places s) t), (sum_split _ (delete t (places s)) c).
  unfold term. rewrite !lookup_delete_ne by done. rewrite (Ep t) by done. rewrite Hp, Et.
  assert (Er : delete c (delete t (places s')) = delete c (delete t (places s))).
  { apply map_eq. intros q. destruct (decide (c = q)) as [<-|Nc]; [by rewrite !lookup_delete|]. rewrite !(lookup_delete_ne _ c) by done.
    destruct (decide (t = q)) as [<-|Nt]; [by rewrite !lookup_delete|]. rewrite !(lookup_delete_ne _ t) by done. by apply Ep. }
  rewrite Er.
  rewrite (sum_ext (fun t p => leaves_for pa (p_level p) (page (mem s') t)) (fun t p => leaves_for pa (p_level p) (page (mem s) t))).
  2:{ intros q pq Hq. apply lookup_delete_Some in Hq as [N1 Hq]. apply lookup_delete_Some in Hq as [N2 Hq]. by rewrite (Eq q pq). }
  rewrite leaves_step by (done || by apply page_ok). unfold leaves_at, word. lia.
Qed.

(* An entry changes that is no table before or after: it maps the same pages of the realm's, or none, and what it maps of
   the host's is pinned. *)
Lemma leaf_tree_step rd t p i d e s s' : inv s -> word (mem s) t i = e ->
  hw s' = hw s -> holes s' = holes s -> vmids s' = vmids s -> (forall r, r ∈ cached s' -> r ∈ cached s) ->
  runs s' = runs s /\ loaded s' = loaded s /\ live s' = live s ->
  page_words (params s') /\ page_words (run s') /\ page_words (hash_page s') /\ length (digest s') = 8%nat /\ Forall u64 (digest s') ->
  mem_ok (mem s') -> words_u64 (mem s') ->
  places s !! t = Some p -> p_rd p = rd -> 0 <= i < 512 -> page (mem s') t = set_nth (page (mem s) t) i d ->
  is_table (p_level p) e = false -> is_table (p_level p) d = false ->
  (kind (p_level p) d = K_ASSIGNED <-> kind (p_level p) e = K_ASSIGNED) ->
  (kind (p_level p) d = K_ASSIGNED -> out_addr d = out_addr e) ->
  gran s' !! t = gran s !! t ->
  entry_ok s' t p (p_base p + i * size_of (p_level p)) d ->
  (forall f, In f rd_told -> rd_of s' f rd = rd_of s f rd) ->
  (forall q, q <> t -> q <> rd -> page (mem s') q = page (mem s) q) ->
  (forall q, q <> t -> match gran s !! q with
     | Some g => exists r, gran s' !! q = Some (Gran (g_state g) (g_owner g) r) /\
                 (if g_state g =? GS_NS then r <= REFS_MAX else r = g_refs g)
     | None => gran s' !! q = None
     end) ->
  places s' = places s ->
  (forall pa, is_ns (gran s) pa = true ->
     b2z (leaf_covers (p_level p) d pa) + refs_of pa s <= b2z (leaf_covers (p_level p) e pa) + refs_of pa s') ->
  tree_step rd t p i d 0 s s'.
Proof.
  intros I Ee Ehw Eho Ev Eca Eru Esc Em Ew Pt Prd Hi Epg Te Td Ka Oa Gt Een Etl Eot Egr Epl Pin.
  destruct (place_granule _ _ _ I Pt) as (P & A & Ht).
  assert (Z0 : gran s !! 0 = None).
  { destruct (gran s !! 0) as [g|] eqn:E; [|done]. destruct (i_gran _ I _ _ E) as (Q & _). lia. }
  assert (N0 : places s !! 0 = None).
  { destruct (places s !! 0) as [q|] eqn:E; [|done]. destruct (place_granule _ _ _ I E) as (Q & _). lia. }
  assert (Cd : is_counted (p_level p) d = is_counted (p_level p) e).
  { unfold is_counted. assert (forall x, is_table (p_level p) x = false -> (kind (p_level p) x =? K_TABLE) = false) as K.
    { intros x Hx. unfold kind. rewrite Hx. destruct (is_valid x), (has_ns_bit x), (has_assigned_bit x); reflexivity. }
    rewrite !K by done. cbn [orb]. destruct (Z.eqb_spec (kind (p_level p) d) K_ASSIGNED), (Z.eqb_spec (kind (p_level p) e) K_ASSIGNED); tauto. }
  assert (We : word (mem s') t i = d).
  { unfold word. rewrite Epg. apply nth_set_same; [apply page_ok, (i_mem _ I)|done]. }
  (* What is mapped at this entry. *)
  assert (M : forall r x pa, maps s' r t i x pa <-> maps s r t i x pa).
  { intros r x pa. split; intros [(q & Hq & Hr & Hj & Hk & Hn)]; constructor; exists q; rewrite Epl in *.
    all: rewrite Pt in Hq; injection Hq as <-; rewrite ?We, ?Ee in *; split_and!; try done; try lia; try (by apply Ka).
    - rewrite (Oa Hk) in Hn. exact Hn.
    - rewrite (Oa (proj2 Ka Hk)). exact Hn. }
  assert (NM : forall r t' i' x pa, near t i 0 t' i' -> maps s r t' i' x pa \/ maps s' r t' i' x pa -> t' = t /\ i' = i).
  { intros r t' i' x pa [->|N] H; [exfalso|done]. destruct H as [[(q & Hq & _)]|[(q & Hq & _)]]; [|rewrite Epl in Hq]; congruence. }
  assert (NN : forall pa, near_maps rd t i 0 s' pa <-> near_maps rd t i 0 s pa).
  { intros pa. split; intros (t' & i' & x & N & Q);
    [destruct (NM _ _ _ _ _ N (or_intror Q)) as [-> ->]|destruct (NM _ _ _ _ _ N (or_introl Q)) as [-> ->]];
    exists t, i, x; (split; [done|by apply M]). }
  constructor; try done.
  - destruct (t_gran _ _ _ (i_table _ I _ _ Pt)) as ([gs go gr] & Hg & Hs & Ho & Hr). cbn [g_state g_owner g_refs] in *.
    rewrite Gt, Hg, Hs, Ho, Prd, Hr, Epg. rewrite live_step by (done || apply page_ok, (i_mem _ I)). fold (word (mem s) t i). rewrite Ee, Cd. do 2 f_equal. lia.
  - intros q Nt _ Nr. by apply Eot.
  - intros q Nt _. by apply Egr.
  - intros q _. by rewrite Epl.
  - unfold turns. cbn [Z.eqb]. pose proof (Egr 0 ltac:(lia)) as H. by rewrite Z0 in H.
  - intros pc H. congruence.
  - intros H. congruence.
  - intros pc H. rewrite Epl in H. congruence.
  - unfold has_state. pose proof (Egr 0 ltac:(lia)) as H. rewrite Z0 in H. by rewrite H.
  - intros pa H [Q|Q]; [by apply NN|]. subst. unfold has_state in H. pose proof (Egr 0 ltac:(lia)) as H0. rewrite Z0 in H0. by rewrite H0 in H.
  - intros pa Q. left. by apply NN.
  - intros t1 i1 x1 t2 i2 x2 pa N1 N2 M1 M2. destruct (NM _ _ _ _ _ N1 (or_intror M1)) as [-> ->]. destruct (NM _ _ _ _ _ N2 (or_intror M2)) as [-> ->]. done.
  - unfold has_state. by rewrite Z0.
  - intros pa Hn.
    assert (Pg : forall q pq, places s !! q = Some pq -> q <> t -> q <> 0 -> page (mem s') q = page (mem s) q).
    { intros q pq Hq Nq _. apply Eot; [done|]. intros ->. destruct (place_granule _ _ _ I Hq) as (_ & _ & H).
      pose proof (t_rd _ _ _ (i_table _ I _ _ Pt)) as H'. rewrite Prd in H'.
      destruct (has_state_inv _ _ _ H) as (g & Hg & Hgs), (has_state_inv _ _ _ H') as (g' & Hg' & Hgs').
      rewrite Hg in Hg'. injection Hg' as <-. rewrite Hgs in Hgs'. discriminate. }
    rewrite (uses_step s s' t p i d 0 pa (i_mem _ I) Pt Hi ltac:(lia) Epg ltac:(intros; by rewrite Epl) Pg).
    unfold leaves_at. rewrite Epl, N0. specialize (Pin pa Hn). rewrite Ee. lia.
Qed.
