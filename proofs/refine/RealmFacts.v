(* SPDX-License-Identifier: Apache-2.0 *)
(* What no realm reaches. *)
From kcore Require Export refine.TableRefine spec.Inv.
From kcore Require Export refine.HandFacts.
Local Open Scope Z_scope.

Lemma existsb_false {A} (f : A -> bool) l : existsb f l = false <-> forall x, In x l -> f x = false.
Proof.
  split.
  - intros H x Hx. destruct (f x) eqn:E; [|done]. rewrite <- H. symmetry. apply existsb_exists. eauto.
  - intros H. destruct (existsb f l) eqn:E; [|done]. apply existsb_exists in E as (x & Hx & E). by rewrite H in E.
Qed.

Lemma places_In (pl : gmap Z place) t p : In (t, p) (map_to_list pl) <-> pl !! t = Some p.
Proof. rewrite <- elem_of_list_In. apply elem_of_map_to_list. Qed.

Lemma table_desc_nonzero t : Z.lor t S2_TABLE <> 0.
Proof. intros E. apply Z.lor_eq_0_iff in E as [_ E]. discriminate. Qed.

Lemma zero_page_word i : nth_word zero_page i = 0.
Proof.
  unfold nth_word, zero_page. rewrite nth_lookup. destruct (replicate 512 0 !! Z.to_nat i) eqn:E; [|done].
  by apply lookup_replicate in E as [-> _].
Qed.
Lemma zero_covers level pa : existsb (fun d => leaf_covers level d pa) zero_page = false.
Proof. apply existsb_false. intros d Hd. apply elem_of_list_In, elem_of_replicate in Hd as [-> _]. reflexivity. Qed.

(* Of the state it depends on tables, what they say, and what is left in TLBs. *)
Lemma unreached_same s s' pa :
  places s' = places s -> cached s' = cached s -> no_realm_had s' pa = true ->
  (forall t p, places s !! t = Some p -> page (mem s') t = page (mem s) t) ->
  (forall t p, places s !! t = Some p -> p_parent p <> 0 -> page (mem s') (p_parent p) = page (mem s) (p_parent p)) ->
  no_realm_reaches s pa = true -> no_realm_reaches s' pa = true.
Proof.
  intros Ep Ec Hh Hm Hp H. unfold no_realm_reaches in *. rewrite Hh, Ep, Ec.
  apply andb_true_iff in H as [[[_ Hc]%andb_true_iff H]%andb_true_iff Ho]. rewrite Hc. cbn [andb].
  assert (St : forall t p, places s !! t = Some p -> stands s' t p = stands s t p).
  { intros t p E. unfold stands. destruct (Z.eqb_spec (p_parent p) 0); [done|]. cbn [orb]. unfold word.
    by rewrite (Hp t p). }
  apply andb_true_iff. split.
  - apply negb_true_iff in H. apply negb_true_iff.
    apply existsb_false. intros [t p] Hin.
    rewrite existsb_false in H. specialize (H _ Hin). apply places_In in Hin. unfold mapped_by in *. cbn [fst snd] in *.
    rewrite (St t p), (Hm t p) by done. exact H.
  - destruct (places s !! pa) as [p|] eqn:E; [|done]. by rewrite (St pa p).
Qed.

(* Wiping the granule itself takes nothing more. *)
Lemma unreached_zeroed s s' pa :
  places s' = places s -> cached s' = cached s -> staled s' = staled s -> mem s' = <[pa := zero_page]> (mem s) ->
  no_realm_reaches s pa = true -> no_realm_reaches s' pa = true.
Proof.
  intros Ep Ec Es Em H. unfold no_realm_reaches, no_realm_had in *. rewrite Ep, Ec, Es.
  apply andb_true_iff in H as [[[Hh Hc]%andb_true_iff H]%andb_true_iff Ho]. rewrite Hh, Hc. cbn [andb].
  assert (St : forall t p, stands s' t p = true -> stands s t p = true).
  { intros t p. unfold stands. destruct (p_parent p =? 0); [done|]. cbn [orb]. rewrite Em. unfold word.
    destruct (decide (pa = p_parent p)) as [<-|].
    - rewrite page_insert_same, zero_page_word. intros E%Z.eqb_eq. symmetry in E. by apply table_desc_nonzero in E.
    - by rewrite page_insert_other. }
  apply andb_true_iff. split.
  - apply negb_true_iff in H. apply negb_true_iff. apply existsb_false. intros [t p] Hin.
    rewrite existsb_false in H. specialize (H _ Hin). unfold mapped_by in *. cbn [fst snd] in *.
    destruct (stands s' t p) eqn:E; [|done]. rewrite (St _ _ E) in H. cbn [andb] in *. rewrite Em.
    destruct (decide (pa = t)) as [<-|]; [rewrite page_insert_same; apply zero_covers|by rewrite page_insert_other].
  - destruct (places s !! pa) as [p|]; [|done]. destruct (p_parent p =? 0); [done|].
    destruct (stands s' pa p) eqn:E; [|done]. by rewrite (St _ _ E) in Ho.
Qed.
