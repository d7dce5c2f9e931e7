(* SPDX-License-Identifier: Apache-2.0 *)
(* Does a function take after it gave? Calls of primitives may take something, give something, or both at once; a run takes first if
   none that takes comes after one that gives. Whether all runs do is computed from the program's text: what is known of a frame's
   slots is followed through it, apart for runs that gave nothing yet (growing) and those that did (shrinking). *)
From kcore Require Import lang.Lang.
From kcore Require Import lang.Link.
From kcore Require Import lang.Traces.
From Coq Require Import Lia.
Local Open Scope Z_scope.

(* ---- What is known of a value ---- *)

(* It is z; or these bits of it are none of zs. *)
Inductive known := Exactly (z : Z) | Except (bits : Z) (zs : list Z).
Definition Unknown : known := Except 0 [].
Definition among (z : Z) (zs : list Z) : bool := existsb (Z.eqb z) zs.
Definition fits (v : Z) (a : known) : Prop :=
  match a with Exactly z => v = z | Except bits zs => among (Z.land v bits) zs = false end.
Definition fits_all : list Z -> list known -> Prop := Forall2 fits.
(* Frames: of slots that are not listed nothing is known. *)
Inductive fits_frame : list Z -> list known -> Prop :=
| F_none vs : fits_frame vs []
| F_slot v vs k l : fits v k -> fits_frame vs l -> fits_frame (v :: vs) (k :: l).
(* Results: of those that are not listed nothing is known. *)
Definition fit_results (vs : list Z) (l : list known) : Prop := forall i, fits (get vs i) (nth i l Unknown).

Fixpoint same_list (xs ys : list Z) : bool :=
  match xs, ys with
  | [], [] => true
  | x :: xs, y :: ys => (x =? y) && same_list xs ys
  | _, _ => false
  end.
Definition same_known (a b : known) : bool :=
  match a, b with
  | Exactly x, Exactly y => x =? y
  | Except m xs, Except n ys => (m =? n) && same_list xs ys
  | _, _ => false
  end.
Definition either (a b : known) : known := if same_known a b then a else Unknown.
Fixpoint either_all (a b : list known) : list known :=
  match a, b with
  | x :: a, y :: b => either x y :: either_all a b
  | _, _ => []
  end.

Lemma same_list_eq xs : forall ys, same_list xs ys = true -> xs = ys.
Proof.
  induction xs as [|x xs IH]; intros [|y ys]; simpl; try discriminate; [reflexivity|].
  intros [->%Z.eqb_eq H]%andb_true_iff. f_equal. auto.
Qed.
Lemma same_known_eq a b : same_known a b = true -> a = b.
Proof.
  destruct a, b; simpl; try discriminate; [intros ->%Z.eqb_eq; reflexivity|].
  intros [->%Z.eqb_eq ->%same_list_eq]%andb_true_iff. reflexivity.
Qed.
Lemma either_fits v a b : fits v a \/ fits v b -> fits v (either a b).
Proof. unfold either. destruct (same_known a b) eqn:E; [apply same_known_eq in E as ->; tauto|intros _; reflexivity]. Qed.
Lemma either_left vs a b : fits_frame vs a -> fits_frame vs (either_all a b).
Proof.
  intros H. revert b. induction H; intros [|? b]; simpl; constructor; [apply either_fits; auto|]. apply IHfits_frame.
Qed.
Lemma either_right vs a b : fits_frame vs b -> fits_frame vs (either_all a b).
Proof.
  intros H. revert a. induction H; intros [|? a]; simpl; constructor; [apply either_fits; auto|]. apply IHfits_frame.
Qed.
Lemma either_nth a : forall b i, let k := nth i (either_all a b) Unknown in k = Unknown \/ k = either (nth i a Unknown) (nth i b Unknown).
Proof.
  induction a as [|x a IH]; intros [|y b] i; try (left; destruct i; reflexivity). destruct i as [|i]; simpl; [right; reflexivity|apply IH].
Qed.
Lemma either_results vs a b : fit_results vs a \/ fit_results vs b -> fit_results vs (either_all a b).
Proof.
  intros H i. destruct (either_nth a b i) as [-> | ->]; [reflexivity|]. apply either_fits. destruct H as [H | H]; [left|right]; apply H.
Qed.
Lemma fits_frame_get vs l i : fits_frame vs l -> fits (get vs i) (nth i l Unknown).
Proof. intros H. revert i. induction H; intros [|i]; simpl; auto; reflexivity. Qed.
Lemma fits_all_frame vs l : fits_all vs l -> fits_frame vs l.
Proof. induction 1; constructor; auto. Qed.

(* ---- Expressions ---- *)

Definition exactly1 (f : Z -> Z) (a : known) : known := match a with Exactly z => Exactly (f z) | Except _ _ => Unknown end.
Definition known_bin (w : width) (o : binop) (a b : known) : known :=
  match a, b with
  | Exactly x, Exactly y => Exactly (binop_sem w o x y)
  | Except bits zs, Exactly y =>
      match o with And => if Z.land y bits =? bits then Except bits zs else Unknown | _ => Unknown end
  | _, _ => Unknown
  end.
Definition apart (a b : known) : bool :=
  match a, b with Exactly x, Except bits zs | Except bits zs, Exactly x => among (Z.land x bits) zs | _, _ => false end.
Definition known_cmp (o : cmpop) (a b : known) : option bool :=
  match a, b, o with
  | Exactly x, Exactly y, _ => Some (cmp_sem o x y)
  | _, _, Eq => if apart a b then Some false else None
  | _, _, Ne => if apart a b then Some true else None
  | _, _, _ => None
  end.
Definition known_truth (a : known) : option bool :=
  match a with Exactly z => Some (z2b z) | Except bits zs => if among 0 zs then Some true else None end.

Fixpoint known_value (fr : list known) (e : expr) : known :=
  match e with
  | EConst z => Exactly z
  | EVar n => nth n fr Unknown
  | EBin w o a b => known_bin w o (known_value fr a) (known_value fr b)
  | EInv w a => exactly1 (fun z => ones w - z) (known_value fr a)
  | ETrunc a => exactly1 (wrap U32) (known_value fr a)
  | EWiden a => known_value fr a
  | EBool c => match known_test fr c with Some b => Exactly (b2z b) | None => Unknown end
  end
with known_test (fr : list known) (c : cond) : option bool :=
  match c with
  | CConst b => Some b
  | CVar n => known_truth (nth n fr Unknown)
  | CCmp o a b => known_cmp o (known_value fr a) (known_value fr b)
  | CSame a b =>
      match known_test fr a, known_test fr b with Some x, Some y => Some (Bool.eqb x y) | _, _ => None end
  | CNot a => match known_test fr a with Some x => Some (negb x) | None => None end
  | CAnd a b =>
      match known_test fr a, known_test fr b with
      | Some false, _ | _, Some false => Some false
      | Some true, Some true => Some true
      | _, _ => None
      end
  | COr a b =>
      match known_test fr a, known_test fr b with
      | Some true, _ | _, Some true => Some true
      | Some false, Some false => Some false
      | _, _ => None
      end
  end.
Definition known_values (fr : list known) (es : list expr) : list known := map (known_value fr) es.

Lemma exactly1_fits f v a : fits v a -> fits (f v) (exactly1 f a).
Proof. destruct a; simpl; [intros ->; reflexivity|intros _; reflexivity]. Qed.
Lemma known_bin_fits w o v u a b : fits v a -> fits u b -> fits (binop_sem w o v u) (known_bin w o a b).
Proof.
  destruct a as [x|bits zs], b as [y|bits' zs']; intros A B; try reflexivity; [simpl in *; congruence|].
  destruct o; try reflexivity. simpl in *. destruct (Z.eqb_spec (Z.land y bits) bits) as [E|]; [|reflexivity].
  subst u. simpl. rewrite <- Z.land_assoc, E. exact A.
Qed.
Lemma apart_fits v u a b : fits v a -> fits u b -> apart a b = true -> v <> u.
Proof. destruct a, b; simpl; try discriminate; intros A B H E; congruence. Qed.
Lemma known_cmp_fits o v u a b x : fits v a -> fits u b -> known_cmp o a b = Some x -> cmp_sem o v u = x.
Proof.
  intros A B. assert (P : apart a b = true -> (v =? u) = false).
  { intros H. apply Z.eqb_neq. eapply apart_fits; eauto. }
  destruct a as [y|bits zs], b as [z|bits' zs']; cbn [known_cmp].
  - simpl in A, B. subst. congruence.
  - destruct o; try discriminate; cbn [cmp_sem]; destruct (apart _ _); try discriminate; intros [= <-]; rewrite P by reflexivity;
      reflexivity.
  - destruct o; try discriminate; cbn [cmp_sem]; destruct (apart _ _); try discriminate; intros [= <-]; rewrite P by reflexivity;
      reflexivity.
  - destruct o; discriminate.
Qed.
Lemma known_truth_fits v a x : fits v a -> known_truth a = Some x -> z2b v = x.
Proof.
  destruct a as [z|bits zs]; simpl; [congruence|]. destruct (among 0 zs) eqn:E; [|discriminate]. intros A [= <-].
  unfold z2b. destruct (Z.eqb_spec v 0) as [->|]; [|reflexivity]. rewrite Z.land_0_l in A. congruence.
Qed.

Scheme expr_both := Induction for expr Sort Prop with cond_both := Induction for cond Sort Prop.
Combined Scheme expr_cond_ind from expr_both, cond_both.
Lemma known_both :
  (forall e fr l, fits_frame fr l -> fits (eval fr e) (known_value l e)) /\
  (forall c fr l x, fits_frame fr l -> known_test l c = Some x -> test fr c = x).
Proof.
  apply expr_cond_ind; simpl; intros.
  - reflexivity.
  - apply fits_frame_get. assumption.
  - apply known_bin_fits; auto.
  - apply (exactly1_fits (fun z => ones w - z)). auto.
  - apply (exactly1_fits (wrap U32)). auto.
  - auto.
  - destruct (known_test l c) as [x|] eqn:E; [|reflexivity]. simpl. f_equal. eauto.
  - congruence.
  - eapply known_truth_fits; [|eassumption]. apply fits_frame_get. assumption.
  - eapply known_cmp_fits; [| |eassumption]; auto.
  - destruct (known_test l a) as [y|] eqn:A, (known_test l b) as [z|] eqn:B; try discriminate.
    rewrite (H _ _ _ H1 A), (H0 _ _ _ H1 B). congruence.
  - destruct (known_test l a) as [y|] eqn:A; [|discriminate]. rewrite (H _ _ _ H0 A). congruence.
  - destruct (known_test l a) as [[]|] eqn:A, (known_test l b) as [[]|] eqn:B; try discriminate; injection H2 as <-;
      rewrite ?(H _ _ _ H1 A), ?(H0 _ _ _ H1 B), ?andb_false_r; reflexivity.
  - destruct (known_test l a) as [[]|] eqn:A, (known_test l b) as [[]|] eqn:B; try discriminate; injection H2 as <-;
      rewrite ?(H _ _ _ H1 A), ?(H0 _ _ _ H1 B), ?orb_true_r; reflexivity.
Qed.
Lemma known_values_fit fr l es : fits_frame fr l -> fits_all (evals fr es) (known_values l es).
Proof. intros H. induction es; simpl; constructor; [apply known_both; exact H|assumption]. Qed.

(* ---- Frames ---- *)

Fixpoint learn (l : list known) (n : nat) (a : known) : list known :=
  match l, n with
  | [], _ => []
  | _ :: l, O => a :: l
  | x :: l, S n => x :: learn l n a
  end.
Fixpoint learns (l : list known) (ds : list nat) (vs : list known) : list known :=
  match ds with
  | [] => l
  | d :: ds => learns (learn l d (hd Unknown vs)) ds (tl vs)
  end.
Fixpoint known_reset (l : list known) (n : nat) : list known :=
  match l, n with
  | [], _ => []
  | _ :: l, O => Exactly 0 :: known_reset l O
  | x :: l, S n => x :: known_reset l n
  end.
(* What holds of the frame where a test of a slot against a constant came out so. *)
Definition assume (c : cond) (b : bool) (l : list known) : list known :=
  match c, b with
  | CCmp Eq (EVar n) (EConst z), false | CCmp Ne (EVar n) (EConst z), true =>
      match nth n l Unknown with Except _ [] => learn l n (Except (-1) [z]) | _ => l end
  | _, _ => l
  end.

Lemma learn_fits fr l n v a : fits_frame fr l -> fits v a -> fits_frame (put fr n v) (learn l n a).
Proof. intros H Ha. revert n. induction H; intros [|n]; simpl; constructor; auto. Qed.
Lemma learn_same fr l n a : fits_frame fr l -> fits (get fr n) a -> fits_frame fr (learn l n a).
Proof. intros H. revert n. induction H; intros [|n]; simpl; intros A; constructor; auto. Qed.
Lemma learns_nothing ds : forall fr l, fits_frame fr l -> fits_frame fr (learns l ds []).
Proof. induction ds as [|d ds IH]; simpl; intros fr l H; [exact H|]. apply IH, learn_same; [exact H|reflexivity]. Qed.
Lemma learns_puts ds : forall fr l vs ks, fits_frame fr l -> fits_all vs ks -> fits_frame (puts fr ds vs) (learns l ds ks).
Proof.
  induction ds as [|d ds IH]; intros fr l vs ks H K; [destruct vs; exact H|]. destruct K; [apply (learns_nothing (d :: ds)), H|].
  apply IH; [apply learn_fits; assumption|assumption].
Qed.
Lemma learns_putr ds vs : forall i fr l ks, fits_frame fr l -> (forall j, fits (get vs (i + j)) (nth j ks Unknown)) ->
  fits_frame (putr fr ds vs i) (learns l ds ks).
Proof.
  induction ds as [|d ds IH]; simpl; intros i fr l ks H K; [exact H|]. apply IH.
  - apply learn_fits; [exact H|]. specialize (K 0%nat). rewrite Nat.add_0_r in K. destruct ks; exact K.
  - intros j. specialize (K (S j)). rewrite Nat.add_succ_r in K. destruct ks; [destruct j; exact K|exact K].
Qed.
Lemma known_reset_fits fr l n : fits_frame fr l -> fits_frame (reset fr n) (known_reset l n).
Proof. intros H. revert n. induction H; intros [|n]; simpl; constructor; try reflexivity; auto. Qed.
Lemma assume_fits fr l c : fits_frame fr l -> fits_frame fr (assume c (test fr c) l).
Proof.
  intros H. destruct c as [| |o a b| | | |]; try exact H. unfold assume.
  assert (N : forall n z, get fr n <> z -> fits (get fr n) (Except (-1) [z])).
  { intros n z E. simpl. rewrite Z.land_m1_r, orb_false_r. apply Z.eqb_neq, E. }
  destruct o; try exact H; destruct a; try exact H; destruct b; try exact H; simpl; destruct (Z.eqb_spec (get fr n) z) as [|E]; try exact H;
    simpl; (destruct (nth n l Unknown) as [|m [|]]; [exact H| |exact H]; apply learn_same; [exact H|apply N, E]).
Qed.
Lemma fresh_fits n : fits_all (fresh n) (repeat (Exactly 0) n).
Proof. induction n; simpl; constructor; [reflexivity|assumption]. Qed.
Lemma unknown_fits vs l : fits_all vs l -> fits_all vs (repeat Unknown (length l)).
Proof. induction 1; simpl; constructor; [reflexivity|assumption]. Qed.

(* ---- Where a run may be ---- *)

(* What is known of a frame, or of results, where nothing was given yet, and where something was; None where no run gets. *)
Definition points : Type := option (list known) * option (list known).
Definition nowhere : points := (None, None).
Definition at_phase (gave : bool) (p : points) : option (list known) := if gave then snd p else fst p.
Definition only (gave : bool) (l : list known) : points := if gave then (None, Some l) else (Some l, None).
Definition either_point (a b : option (list known)) : option (list known) :=
  match a, b with Some x, Some y => Some (either_all x y) | None, b => b | a, None => a end.
Definition either_points (p q : points) : points := (either_point (fst p) (fst q), either_point (snd p) (snd q)).
Definition map_points (f : list known -> list known) (p : points) : points := (option_map f (fst p), option_map f (snd p)).
Fixpoint same_knowns (a b : list known) : bool :=
  match a, b with
  | [], [] => true
  | x :: a, y :: b => same_known x y && same_knowns a b
  | _, _ => false
  end.
Definition same_point (a b : option (list known)) : bool :=
  match a, b with Some x, Some y => same_knowns x y | None, None => true | _, _ => false end.
Definition same_points (p q : points) : bool := same_point (fst p) (fst q) && same_point (snd p) (snd q).

Section order.
  Context {prim : Type} (takes gives : call prim -> bool) (proper : call prim -> bool).
  (* What may be known of a primitive's answer, with what may be known of its arguments: for each way that it goes, does it take, does
     it give, and the results. *)
  Context (ways : prim -> list known -> list (bool * bool * list known)).
  Definition ways_sound : Prop := forall k l, proper k = true -> fits_all (c_args k) l ->
    exists rs, In (takes k, gives k, rs) (ways (c_prim k) l) /\ fit_results (c_results k) rs.

  (* Nothing is taken once something was given. *)
  Definition takes_first (tr : list (call prim)) : Prop :=
    forall a k b, tr = a ++ k :: b -> takes k = true -> Forall (fun x => gives x = false) a.

  (* ---- The analysis ---- *)

  (* None: something might be taken after something was given. Otherwise, where it may go on, and where it may return, with the results. *)
  Definition outcome : Type := option (points * points).
  Definition both_outcomes (a b : outcome) : outcome :=
    match a, b with
    | Some (p, r), Some (q, t) => Some (either_points p q, either_points r t)
    | _, _ => None
    end.
  Definition from (walk : bool -> list known -> outcome) (p : points) : outcome :=
    let there gave := match at_phase gave p with Some l => walk gave l | None => Some (nowhere, nowhere) end in
    both_outcomes (there false) (there true).
  Definition also_returned (r : points) (o : outcome) : outcome :=
    match o with Some (p, r') => Some (p, either_points r r') | None => None end.
  Definition then_ (o : outcome) (walk : bool -> list known -> outcome) : outcome :=
    match o with Some (p, r) => also_returned r (from walk p) | None => None end.

  Fixpoint take_ways (gave : bool) (l : list (bool * bool * list known)) : option points :=
    match l with
    | [] => Some nowhere
    | (t, g, rs) :: l =>
        if gave && t then None
        else match take_ways gave l with Some p => Some (either_points (only (gave || g) rs) p) | None => None end
    end.
  Definition answered (ds : list nat) (l : list known) (rs : option points) : outcome :=
    match rs with Some p => Some (map_points (learns l ds) p, nowhere) | None => None end.

  (* Points that one more turn of a loop adds nothing to. *)
  Fixpoint settle (n : nat) (turn : bool -> list known -> outcome) (p : points) : outcome :=
    match n with
    | O => None
    | S n =>
        match from turn p with
        | None => None
        | Some (next, r) => let q := either_points p next in if same_points q p then Some (p, r) else settle n turn q
        end
    end.
  Definition turns_at_most : nat := 40.

  Definition summaries : Type := string -> bool -> list known -> option points.

  Section statements.
    Context (A : summaries).
    Fixpoint walk (s : stmt prim) (gave : bool) (l : list known) : outcome :=
      match s with
      | SSkip => Some (only gave l, nowhere)
      | SSet ds es => Some (only gave (learns l ds (known_values l es)), nowhere)
      | SPrim ds p args => answered ds l (take_ways gave (ways p (known_values l args)))
      | SCall ds f args => answered ds l (A f gave (known_values l args))
      | SIf c a b =>
          match known_test l c with
          | Some true => walk a gave l
          | Some false => walk b gave l
          | None => both_outcomes (walk a gave (assume c true l)) (walk b gave (assume c false l))
          end
      | SSeq a b => then_ (walk a gave l) (walk b)
      | SFor v _ _ body =>
          settle turns_at_most
            (fun gave l =>
              match walk body gave (learn l v Unknown) with
              | Some (p, r) => Some (map_points (fun l => known_reset l v) p, r)
              | None => None
              end)
            (only gave l)
      | SRet es => Some (nowhere, only gave (known_values l es))
      end.

    Definition summary (d : fundef prim) (gave : bool) (args : list known) : option points :=
      match walk (f_body d) gave (args ++ repeat (Exactly 0) (f_slots d - f_params d)) with
      | Some (p, r) => Some (either_points (map_points (fun _ => []) p) r)
      | None => None
      end.
  End statements.

  Definition no_summaries : summaries := fun _ _ _ => None.
  (* First with nothing known of the arguments, which needs no second look; where that does not do, with what is known. *)
  Definition summarize (A : summaries) (f : string) (d : fundef prim) : summaries :=
    let growing := summary A d false (repeat Unknown (f_params d)) in
    let shrinking := summary A d true (repeat Unknown (f_params d)) in
    fun g gave args =>
      if String.eqb g f then
        match (if Nat.eqb (length args) (f_params d) then if gave then shrinking else growing else None) with
        | Some p => Some p
        | None => summary A d gave args
        end
      else A g gave args.
  Fixpoint summaries_from (A : summaries) (p : list (string * fundef prim)) : summaries :=
    match p with
    | [] => A
    | (f, d) :: p => summaries_from (summarize A f d) p
    end.
  Definition summaries_of (p : list (string * fundef prim)) : summaries := summaries_from no_summaries p.
  (* Found to take first, where this is known of its arguments. *)
  Definition found (p : list (string * fundef prim)) (f : string) (args : list known) : bool :=
    match summaries_of p f false args with Some _ => true | None => false end.
  (* The functions that are not, where nothing is known of their arguments. *)
  Definition unordered (p : list (string * fundef prim)) : list string :=
    let A := summaries_of p in
    List.filter (fun f => match fun_of p f with
      | Some d => match A f false (repeat Unknown (f_params d)) with Some _ => false | None => true end
      | None => false
      end) (map fst p).

  (* ---- The machine that has answers, and minds what is taken and given ---- *)

  Definition pace (x : option bool) (k : call prim) : option bool :=
    match x with Some gave => if gave && takes k then None else Some (gave || gives k) | None => None end.
  Definition minding : Type := list (list Z) * option bool.
  Definition minded (p : prim) (args : list Z) : M minding (list Z) := fun '(answers, x) =>
    match answers with
    | rs :: answers => if proper (Call p args rs) then Some (rs, (answers, pace x (Call p args rs))) else None
    | [] => None
    end.

  Lemma minded_plays tr : forallb proper tr = true -> forall x, plays minded tr (map c_results tr, x) ([], fold_left pace tr x).
  Proof.
    induction tr as [|k tr IH]; cbn [forallb map fold_left]; [constructor|]. intros [P Q]%andb_true_iff x.
    apply (P_call _ _ _ _ (map c_results tr, pace x k)); [|apply IH, Q]. destruct k as [p args rs]. unfold minded. cbn in *. rewrite P.
    reflexivity.
  Qed.

  Lemma paced_none tr : fold_left pace tr None = None.
  Proof. induction tr; auto. Qed.
  Lemma paced_gave tr gave : fold_left pace tr (Some true) = Some gave -> Forall (fun k => takes k = false) tr.
  Proof.
    induction tr as [|k tr IH]; cbn [fold_left pace andb orb]; [constructor|]. destruct (takes k) eqn:T.
    - rewrite paced_none. discriminate.
    - intros H. constructor; auto.
  Qed.
  Lemma paced_order tr gave : fold_left pace tr (Some false) = Some gave -> takes_first tr.
  Proof.
    intros H a k b -> T. revert H. generalize (Some false). induction a as [|y a IH]; [constructor|].
    cbn [fold_left app]. intros x H. constructor; [|exact (IH _ H)]. destruct (gives y) eqn:G; [exfalso|reflexivity].
    destruct x as [x|]; cbn [pace] in H; [|rewrite paced_none in H; discriminate].
    destruct (x && takes y); [rewrite paced_none in H; discriminate|]. rewrite G, orb_true_r in H.
    apply paced_gave, Forall_app in H as [_ H]. inversion H; subst. congruence.
  Qed.

  (* ---- It is sound ---- *)

  (* From this phase the run ends in one, and with results, of these points. *)
  Definition fine (gave : bool) (m : M minding (list Z)) (out : points) : Prop := forall o rs o' x,
    m (o, Some gave) = Some (rs, (o', x)) -> exists gave' l, x = Some gave' /\ at_phase gave' out = Some l /\ fit_results rs l.
  (* So it does from each of these points. *)
  Definition goes_on (p : points) (k : frame -> M minding (list Z)) (out : points) : Prop :=
    forall gave l fr, at_phase gave p = Some l -> fits_frame fr l -> fine gave (k fr) out.
  Definition within (R : list Z -> list known -> Prop) (p q : points) : Prop :=
    forall gave l vs, at_phase gave p = Some l -> R vs l -> exists l', at_phase gave q = Some l' /\ R vs l'.

  Lemma within_left R p q : (forall vs a b, R vs a -> R vs (either_all a b)) -> within R p (either_points p q).
  Proof.
    intros HR gave l vs H K. exists (match at_phase gave q with Some l' => either_all l l' | None => l end).
    destruct gave; cbn in *; rewrite H; [destruct (snd q)|destruct (fst q)]; cbn; auto.
  Qed.
  Lemma within_right R p q : (forall vs a b, R vs b -> R vs (either_all a b)) -> within R q (either_points p q).
  Proof.
    intros HR gave l vs H K. exists (match at_phase gave p with Some l' => either_all l' l | None => l end).
    destruct gave; cbn in *; rewrite H; [destruct (snd p)|destruct (fst p)]; cbn; auto.
  Qed.
  Lemma within_trans R p q r : within R p q -> within R q r -> within R p r.
  Proof. intros A B gave l vs H K. destruct (A _ _ _ H K) as (l' & H' & K'). exact (B _ _ _ H' K'). Qed.
  (* Frames, and results. *)
  Definition part (p q : points) : Prop := within fits_frame p q /\ within fit_results p q.
  Lemma part_left p q : part p (either_points p q).
  Proof. split; apply within_left; [apply either_left|intros; apply either_results; auto]. Qed.
  Lemma part_right p q : part q (either_points p q).
  Proof. split; apply within_right; [apply either_right|intros; apply either_results; auto]. Qed.
  Lemma part_trans p q r : part p q -> part q r -> part p r.
  Proof. intros [A B] [C D]. split; eapply within_trans; eauto. Qed.
  Lemma part_refl p : part p p.
  Proof. split; intros gave l vs H K; exists l; auto. Qed.

  Lemma goes_on_part p q k out : part p q -> goes_on q k out -> goes_on p k out.
  Proof. intros [P _] H gave l fr E K. destruct (P _ _ _ E K) as (l' & E' & K'). exact (H _ _ _ E' K'). Qed.
  Lemma at_only gave l : at_phase gave (only gave l) = Some l.
  Proof. destruct gave; reflexivity. Qed.
  Lemma at_map f gave p : at_phase gave (map_points f p) = option_map f (at_phase gave p).
  Proof. destruct gave; reflexivity. Qed.

  Lemma both_parts a b p r : both_outcomes a b = Some (p, r) ->
    exists pa ra pb rb, a = Some (pa, ra) /\ b = Some (pb, rb) /\ part pa p /\ part ra r /\ part pb p /\ part rb r.
  Proof.
    destruct a as [[pa ra]|], b as [[pb rb]|]; cbn; try discriminate. intros [= <- <-]. exists pa, ra, pb, rb.
    auto 10 using part_left, part_right.
  Qed.
  Lemma from_part w p q r gave l : from w p = Some (q, r) -> at_phase gave p = Some l ->
    exists q' r', w gave l = Some (q', r') /\ part q' q /\ part r' r.
  Proof.
    intros H E. apply both_parts in H as (pa & ra & pb & rb & A & B & H1 & H2 & H3 & H4). cbn [at_phase] in A, B.
    destruct gave; cbn [at_phase] in E; [rewrite E in B; exists pb, rb|rewrite E in A; exists pa, ra]; auto.
  Qed.

  Lemma same_knowns_eq a : forall b, same_knowns a b = true -> a = b.
  Proof.
    induction a as [|x a IH]; intros [|y b]; cbn; try discriminate; [reflexivity|].
    intros [->%same_known_eq H]%andb_true_iff. f_equal. auto.
  Qed.
  Lemma same_points_eq p q : same_points p q = true -> p = q.
  Proof.
    destruct p as [a b], q as [c d]. unfold same_points. cbn [fst snd].
    intros [H K]%andb_true_iff. f_equal; [destruct a, c; try discriminate H|destruct b, d; try discriminate K]; try reflexivity;
      f_equal; apply same_knowns_eq; assumption.
  Qed.
  Lemma settle_part n turn : forall p q r, settle n turn p = Some (q, r) ->
    part p q /\ exists next, from turn q = Some (next, r) /\ part next q.
  Proof.
    induction n as [|n IH]; cbn [settle]; intros p q r H; [discriminate|]. destruct (from turn p) as [[next r']|] eqn:F; [|discriminate].
    destruct (same_points (either_points p next) p) eqn:S.
    - injection H as <- <-. apply same_points_eq in S. split; [apply part_refl|]. exists next. split; [exact F|].
      pose proof (part_right p next) as K. rewrite S in K. exact K.
    - apply IH in H as [H K]. split; [|exact K]. eapply part_trans; [apply part_left|exact H].
  Qed.

  Lemma bind_fine gave m k mid out : fine gave m mid ->
    (forall gave' l vs, at_phase gave' mid = Some l -> fit_results vs l -> fine gave' (k vs) out) -> fine gave (bind m k) out.
  Proof.
    intros Hm Hk o rs o' x H. unfold bind in H. destruct (m (o, Some gave)) as [[vs [o1 x1]]|] eqn:E; [|discriminate].
    destruct (Hm _ _ _ _ E) as (gave1 & l1 & -> & A & F). exact (Hk _ _ _ A F _ _ _ _ H).
  Qed.

  Lemma take_ways_part gave l p t g rs : take_ways gave l = Some p -> In (t, g, rs) l -> gave && t = false /\ part (only (gave || g) rs) p.
  Proof.
    revert p. induction l as [|[[t' g'] rs'] l IH]; cbn [take_ways]; intros p H; [intros []|].
    destruct (gave && t') eqn:B; [discriminate|]. destruct (take_ways gave l) as [q|]; [|discriminate]. injection H as <-.
    intros [E | I]; [injection E as -> -> ->; split; [exact B|apply part_left]|]. destruct (IH _ eq_refl I) as [C D].
    split; [exact C|]. eapply part_trans; [exact D|apply part_right].
  Qed.

  Context (Hways : ways_sound).
  Lemma minded_fine gave p args ks mid : fits_all args ks -> take_ways gave (ways p ks) = Some mid -> fine gave (minded p args) mid.
  Proof using Hways.
    intros F H o rs o' x E. destruct o as [|rs0 o]; [discriminate|]. unfold minded in E. destruct (proper _) eqn:P; [|discriminate].
    injection E as -> <- <-. destruct (Hways (Call p args rs) ks P F) as (l & I & R).
    destruct (take_ways_part _ _ _ _ _ _ H I) as [B [_ Q]]. destruct (Q _ l rs (at_only _ l) R) as (l' & A & R').
    exists (gave || gives (Call p args rs)), l'. cbn [pace]. rewrite B. auto.
  Qed.

  Definition sound (E : env minding) (A : summaries) : Prop :=
    forall f gave args ks p, A f gave ks = Some p -> fits_all args ks -> fine gave (E f args) p.

  Section statement.
    Context (E : env minding) (A : summaries) (HE : sound E A).

    Lemma answered_fine gave ds l fr m o p r k out : fits_frame fr l -> answered ds l o = Some (p, r) ->
      (forall q, o = Some q -> fine gave m q) -> goes_on p k out -> fine gave (bind m (fun vs => k (putr fr ds vs 0))) out.
    Proof using Type.
      intros F H Hm Hk. destruct o as [q|]; [|discriminate]. injection H as <- <-. apply (bind_fine _ _ _ q); [auto|].
      intros gave' l' vs E' R. apply (Hk gave' (learns l ds l')); [rewrite at_map, E'; reflexivity|]. apply learns_putr; [exact F|exact R].
    Qed.

    Lemma walk_fine s : forall gave l fr k p r out, fits_frame fr l -> walk A s gave l = Some (p, r) -> within fit_results r out ->
      goes_on p k out -> fine gave (exec minded E s fr k) out.
    Proof using Hways HE.
      induction s; cbn [walk exec]; intros gave l fr k p0 r out F H Hr Hk.
      - injection H as <- <-. apply (Hk _ l); [apply at_only|exact F].
      - injection H as <- <-. apply (Hk _ _ _ (at_only _ _)). apply learns_puts; [exact F|]. apply known_values_fit, F.
      - eapply answered_fine; [exact F|exact H| |exact Hk]. intros q. apply minded_fine. apply known_values_fit, F.
      - eapply answered_fine; [exact F|exact H| |exact Hk]. intros q Q. apply (HE _ _ _ _ _ Q). apply known_values_fit, F.
      - destruct (known_test l c) as [x|] eqn:T.
        + rewrite (proj2 known_both _ _ _ _ F T). destruct x; [eapply IHs1|eapply IHs2]; eauto.
        + apply both_parts in H as (pa & ra & pb & rb & Ha & Hb & P1 & P2 & P3 & P4). pose proof (assume_fits fr l c F) as F'.
          destruct (test fr c).
          * eapply IHs1; [exact F'|exact Ha|eapply within_trans; [apply P2|exact Hr]|eapply goes_on_part; eauto].
          * eapply IHs2; [exact F'|exact Hb|eapply within_trans; [apply P4|exact Hr]|eapply goes_on_part; eauto].
      - unfold then_ in H. destruct (walk A s1 gave l) as [[p1 r1]|] eqn:W; [|discriminate]. unfold also_returned in H.
        destruct (from (walk A s2) p1) as [[p2 r2]|] eqn:W2; [|discriminate]. injection H as <- <-.
        eapply IHs1; [exact F|exact W|eapply within_trans; [apply part_left|exact Hr]|]. intros gave' l' fr' E' F'.
        destruct (from_part _ _ _ _ _ _ W2 E') as (q & t & W' & P1 & P2).
        eapply IHs2; [exact F'|exact W'| |eapply goes_on_part; eauto].
        eapply within_trans; [apply P2|]. eapply within_trans; [apply part_right|exact Hr].
      - apply settle_part in H as [P0 (next & Hn & Pn)]. destruct (proj1 P0 _ _ _ (at_only _ _) F) as (l' & E' & F').
        clear P0 F. revert first gave l' fr E' F'. induction count as [|n IHn]; intros i gave' l' fr E' F'; cbn [loop];
          [exact (Hk _ _ _ E' F')|].
        destruct (from_part _ _ _ _ _ _ Hn E') as (q & t & W & P1 & P2).
        destruct (walk A s gave' (learn l' v Unknown)) as [[q1 t1]|] eqn:W1; [|discriminate]. injection W as <- <-.
        eapply IHs; [exact (learn_fits _ _ v i Unknown F' eq_refl)|exact W1|eapply within_trans; [apply P2|exact Hr]|].
        intros g' l1 fr1 E1 F1.
        assert (E2 : at_phase g' (map_points (fun l => known_reset l v) q1) = Some (known_reset l1 v)) by (rewrite at_map, E1; reflexivity).
        destruct (proj1 (part_trans _ _ _ P1 Pn) _ _ _ E2 (known_reset_fits _ _ v F1)) as (l2 & E3 & F3). exact (IHn _ _ _ _ E3 F3).
      - injection H as <- <-. intros o rs o' x [= <- <- <-].
        destruct (Hr _ _ (evals fr es) (at_only _ _)) as (l' & E' & R'); [|exists gave, l'; auto].
        intros i. apply fits_frame_get, fits_all_frame, known_values_fit, F.
    Qed.

    Lemma summary_fine d gave args ks p : summary A d gave ks = Some p -> fits_all args ks -> fine gave (denote minded E d args) p.
    Proof using Hways HE.
      unfold summary. intros H F. destruct (walk _ _ _ _) as [[q r]|] eqn:W; [|discriminate]. injection H as <-. unfold denote.
      eapply walk_fine; [|exact W|apply part_right|].
      - apply fits_all_frame, Forall2_app; [exact F|apply fresh_fits].
      - intros gave' l fr E' _ o rs o' x [= <- <- <-].
        destruct (proj2 (part_left (map_points (fun _ => []) q) r) gave' [] []) as (l' & E2 & R2).
        + rewrite at_map, E'. reflexivity.
        + intros i. destruct i; reflexivity.
        + exists gave', l'. auto.
    Qed.
  End statement.

  Lemma summarize_sound E A f d : sound E A -> sound (define minded E f d) (summarize A f d).
  Proof using Hways.
    intros H g gave args ks p. unfold define, summarize. destruct (String.eqb g f); [|apply H].
    set (first := if Nat.eqb (length ks) (f_params d) then _ else _).
    destruct first as [q|] eqn:Q; [|intros K F; eapply summary_fine; eauto].
    subst first. intros [= ->] F. destruct (Nat.eqb_spec (length ks) (f_params d)) as [N|]; [|discriminate].
    eapply (summary_fine _ _ H d gave _ (repeat Unknown (f_params d))); [destruct gave; exact Q|]. rewrite <- N. apply (unknown_fits _ _ F).
  Qed.
  Lemma summaries_sound p : sound (link minded p) (summaries_of p).
  Proof using Hways.
    unfold link, summaries_of. assert (H : sound nothing no_summaries) by (intros f gave args ks q; discriminate).
    revert H. generalize (nothing (state := minding)) as E, no_summaries as A.
    induction p as [|[f d] p IH]; intros E A H; [exact H|]. apply IH, summarize_sound, H.
  Qed.

  (* Whatever a function's primitives answer: what is found is so. *)
  Theorem found_takes_first p f args ks tr rs : found p f ks = true -> fits_all args ks -> performs p f args tr rs ->
    forallb proper tr = true -> takes_first tr.
  Proof using Hways.
    unfold found. intros H F Hp Pr. destruct (summaries_of p f false ks) as [out|] eqn:S; [|discriminate].
    assert (L : link minded p f args (map c_results tr, Some false) = Some (rs, ([], fold_left pace tr (Some false))))
      by (apply link_plays; exists tr; split; [exact Hp|apply minded_plays, Pr]).
    destruct (summaries_sound p f false args ks out S F _ _ _ _ L) as (gave & _ & E & _). exact (paced_order _ _ E).
  Qed.

  Theorem others_take_first p f d args tr rs : fun_of p f = Some d -> named f (unordered p) = false -> length args = f_params d ->
    performs p f args tr rs -> forallb proper tr = true -> takes_first tr.
  Proof using Hways.
    intros Hf U N. apply (found_takes_first _ _ _ (repeat Unknown (f_params d)));
      [|rewrite <- N; clear; induction args; repeat constructor; assumption].
    unfold found. destruct (summaries_of p f false _) as [out|] eqn:S; [reflexivity|].
    enough (In f (unordered p)) as I by (apply named_In in I; congruence).
    unfold unordered. apply filter_In. rewrite Hf, S. split; [|reflexivity]. clear - Hf. induction p as [|[g d'] p IH]; [discriminate|].
    simpl in *.
    destruct (String.eqb_spec f g); [left; congruence|right; auto].
  Qed.
End order.
