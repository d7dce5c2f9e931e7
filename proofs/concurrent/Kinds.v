(* SPDX-License-Identifier: Apache-2.0 *)
(* Of which kind each primitive of the core is, and that the host's calls take before they give: computed from the core's text. *)
From kcore Require Import lang.Link.
From kcore Require Import gen.Core.
From kcore Require Import spec.KcoreCall.
From kcore Require Import spec.RmiCall.
From kcore Require Export concurrent.Phases.
From kcore Require Export lang.Order.
From Coq Require Import Lia.
Local Open Scope string_scope.
Local Open Scope list_scope.
Local Open Scope Z_scope.

(* ---- Kinds ---- *)

(* A granule that is given back, or to the host, or becomes an RD (realm_create has given back the start tables before): what others may
   read of it was kept, and is given. One that becomes a REC: others can read that from now on, and nothing need be kept before. *)
Definition set_kind (st : Z) : kind :=
  if (st =? GS_NS) || (st =? GS_DELEGATED) || (st =? GS_RD) then Giving else if st =? GS_REC then Once else ByLocks.
(* Locks and pins, a VMID, and a REC with its owner are taken, and with them what the section uses of no lock from then on: of a realm that
   is locked its VMID, pins that its tables hold, what others may read of its RD. It is kept until it is given back, or a lock is. A count
   of references is taken, as it is the first thing looked at of a claimed page of the host's: then comes what came late (see owns).
   Where a realm or a REC is not there, or a VMID is in use, that is read once, and nothing is kept. *)
Definition kind_of_call (k : call prim) : kind :=
  match c_prim k with
  | P_granule_claim | P_ns_get => if done (c_results k) then Taking else ByLocks
  | P_realm_lock | P_vmid_claim => if done (c_results k) then Taking else Once
  | P_granule_owner => match c_results k with [0] => Once | _ => Taking end
  | P_host_lock | P_granule_refs => Taking
  | P_granule_release | P_realm_unlock | P_host_unlock | P_ns_put | P_vmid_release => Giving
  | P_granule_set => match c_args k with [_; st; _] => set_kind st | _ => ByLocks end
  | _ => ByLocks
  end.
Definition core_kind (e : event) : kind := kind_of_call (e_call e).

Definition kind_takes (x : kind) : bool := match x with Taking | Once => true | _ => false end.
Definition kind_gives (x : kind) : bool := match x with Giving | Once => true | _ => false end.
Definition call_takes (k : call prim) : bool := takes_lock k || kind_takes (kind_of_call k).
Definition call_gives (k : call prim) : bool := gives_lock k || kind_gives (kind_of_call k).

(* An attempt answers 0 or 1, and a look for an owner with one value. *)
Definition proper (k : call prim) : bool :=
  match c_prim k with
  | P_granule_claim | P_ns_get | P_realm_lock | P_vmid_claim => match c_results k with [r] => (r =? 0) || (r =? 1) | _ => false end
  | P_granule_owner => match c_results k with [_] => true | _ => false end
  | _ => true
  end.

Definition way (x : kind) (rs : list known) : bool * bool * list known := (kind_takes x, kind_gives x, rs).
Definition core_ways (p : prim) (args : list known) : list (bool * bool * list known) :=
  match p with
  | P_granule_claim | P_ns_get => [way ByLocks [Exactly 0]; way Taking [Exactly 1]]
  | P_realm_lock | P_vmid_claim => [way Once [Exactly 0]; way Taking [Exactly 1]]
  | P_granule_owner => [way Once [Exactly 0]; way Taking [Except (-1) [0]]]
  | P_host_lock | P_granule_refs => [way Taking []]
  | P_granule_release | P_realm_unlock | P_host_unlock | P_ns_put | P_vmid_release => [way Giving []]
  | P_granule_set => match args with [_; Exactly st; _] => [way (set_kind st) []] | _ => [way ByLocks []; way Giving []; way Once []] end
  | _ => [way ByLocks []]
  end.

Lemma fit_nothing rs : fit_results rs [].
Proof. intros i. destruct i; reflexivity. Qed.
Lemma fit_one r a : fits r a -> fit_results [r] [a].
Proof. intros H [|i]; [exact H|destruct i; reflexivity]. Qed.

Lemma way_call k rs l : In (way (kind_of_call k) rs) l -> (takes_lock k = true -> kind_takes (kind_of_call k) = true) ->
  (gives_lock k = true -> kind_gives (kind_of_call k) = true) -> In (call_takes k, call_gives k, rs) l.
Proof.
  intros H T G.
  replace (call_takes k) with (kind_takes (kind_of_call k)) by (unfold call_takes; destruct (takes_lock k); [by rewrite T|reflexivity]).
  by replace (call_gives k) with (kind_gives (kind_of_call k)) by (unfold call_gives; destruct (gives_lock k); [by rewrite G|reflexivity]).
Qed.
Lemma lock_kinds k :
  (takes_lock k = true -> kind_takes (kind_of_call k) = true) /\ (gives_lock k = true -> kind_gives (kind_of_call k) = true).
Proof.
  destruct k as [p args rs]. unfold takes_lock, gives_lock, locked_by, unlocked_by, kind_of_call. cbn [c_prim c_args c_results].
  destruct p; try (split; discriminate); destruct args as [|a0 [|a1 [|a2 args]]]; try (split; discriminate);
    try (by destruct (done rs)); done.
Qed.

Theorem core_ways_sound : ways_sound call_takes call_gives proper core_ways.
Proof.
  intros k l P F. destruct (lock_kinds k) as [T G].
  enough (exists rs, In (way (kind_of_call k) rs) (core_ways (c_prim k) l) /\ fit_results (c_results k) rs) as (rs & I & R)
    by (exists rs; split; [by apply way_call|exact R]).
  clear T G. destruct k as [p args rs]. unfold proper, kind_of_call, core_ways in *. cbn [c_prim c_args c_results] in *.
  assert (B : forall a b, match rs with [r] => (r =? 0) || (r =? 1) | _ => false end = true ->
    exists x, In (way (if done rs then a else b) x) [way b [Exactly 0]; way a [Exactly 1]] /\ fit_results rs x).
  { intros a b. destruct rs as [|r [|? ?]]; try discriminate. intros [->%Z.eqb_eq | ->%Z.eqb_eq]%orb_true_iff.
    - exists [Exactly 0]. split; [by left|by apply fit_one].
    - exists [Exactly 1]. split; [by right; left|by apply fit_one]. }
  destruct p; try (by apply B); try (exists []; split; [by left|apply fit_nothing]).
  - assert (Q : exists x, In (way (match args with [_; st; _] => set_kind st | _ => ByLocks end) x)
      [way ByLocks []; way Giving []; way Once []] /\ fit_results rs x).
    { exists []. split; [|apply fit_nothing]. destruct args as [|? [|st [|? [|? ?]]]]; try (by left). unfold set_kind.
      destruct (_ || _); [by right; left|]. destruct (st =? GS_REC); [by right; right; left|by left]. }
    destruct l as [|? [|[st|? ?] [|? [|? ?]]]]; try exact Q. inversion F as [|? ? ? ? _ F1]; subst. inversion F1 as [|? ? ? ? E F2]; subst.
    inversion F2 as [|? ? ? ? _ F3]; subst. inversion F3; subst. cbn [fits] in E. subst. exists []. split; [by left|apply fit_nothing].
  - destruct rs as [|r [|? ?]]; try discriminate P. destruct r as [|r|r].
    + exists [Exactly 0]. split; [by left|by apply fit_one].
    + exists [Except (-1) [0]]. split; [by right; left|by apply fit_one].
    + exists [Except (-1) [0]]. split; [by right; left|by apply fit_one].
Qed.

(* ---- The core's functions ---- *)

(* Which functions are not found to take first: those that do one granule of a range after the other, at boot, too; the piece of a
   token, which locks the realm twice; and what calls these. Of core_host_smc see host_smc_order. *)
Theorem several_transactions : unordered core_ways program =
  ["granule_delegate_range"; "granule_undelegate_range"; "core_boot_dram"; "rsi_token_continue"; "rsi_call"; "exit_smc"; "exit_sync";
   "exit_trap"; "core_rec_exit"; "kcore_delegate_range"; "kcore_undelegate_range"; "kcore_call"; "core_host_smc"].
Proof. vm_compute. reflexivity. Qed.

Theorem others_take_first f d args tr rs : fun_of program f = Some d -> named f (unordered core_ways program) = false ->
  length args = f_params d ->
  performs program f args tr rs -> forallb proper tr = true -> takes_first call_takes call_gives tr.
Proof. apply (Order.others_take_first _ _ _ _ core_ways_sound). Qed.

(* Every call of the host is one transaction but for these two. *)
Definition ranges : list Z := [KCORE_DELEGATE_RANGE; KCORE_UNDELEGATE_RANGE].
Definition id_bits : Z := Z.land 0xFFFFFFFF (0xFFFFFFFFFFFFFFFF - 0x10000).

Theorem host_smc_order x0 x1 x2 x3 x4 x5 tr rs : ~ In (called_id x0) ranges ->
  performs program "core_host_smc" [x0; x1; x2; x3; x4; x5] tr rs -> forallb proper tr = true -> takes_first call_takes call_gives tr.
Proof.
  intros N. apply (found_takes_first _ _ _ _ core_ways_sound) with (ks := Except id_bits ranges :: repeat Unknown 5);
    [vm_compute; reflexivity|].
  repeat constructor. unfold called_id in N. rewrite <- Z.land_assoc in N. fold id_bits in N. cbn [fits]. unfold among.
  apply not_true_is_false.
  intros (z & I & E%Z.eqb_eq)%existsb_exists. apply N. by rewrite E.
Qed.

Theorem host_abort_order esr hpfar far tr rs : performs program "core_host_abort" [esr; hpfar; far] tr rs -> forallb proper tr = true ->
  takes_first call_takes call_gives tr.
Proof. by eapply others_take_first; [|vm_compute|]. Qed.

(* ---- Sections ---- *)

Lemma order_strays b : takes_first call_takes call_gives (map e_call b) -> one_transaction b /\ strays_in_order core_kind b.
Proof.
  intros O. assert (After : forall a e c, b = a ++ e :: c -> call_gives (e_call e) = true ->
    Forall (fun x => call_takes (e_call x) = false) c).
  { intros a e c -> G. apply List.Forall_forall. intros x Hx. apply in_split in Hx as (d & f & ->).
    destruct (call_takes (e_call x)) eqn:T; [exfalso|reflexivity].
    specialize (O (map e_call (a ++ e :: d)) (e_call x) (map e_call f)). rewrite List.Forall_forall in O.
    assert (X : call_gives (e_call e) = false); [|congruence]. apply O; [|exact T|].
    - change (a ++ e :: d ++ x :: f) with (a ++ (e :: d) ++ x :: f). by rewrite app_assoc, map_app.
    - apply in_map, in_elt. }
  split.
  - intros a e c E G _. eapply List.Forall_impl; [|apply (After a e c E)].
    + intros x X. by apply orb_false_iff in X as [X _].
    + unfold call_gives. by rewrite G.
  - intros a e c E. split; intros K.
    + assert (T : call_takes (e_call e) = true).
      { unfold call_takes. change (kind_of_call (e_call e)) with (core_kind e). apply orb_true_iff. right. by destruct K as [-> | ->]. }
      specialize (O (map e_call a) (e_call e) (map e_call c)). subst b. rewrite map_app in O. specialize (O eq_refl T).
      apply List.Forall_forall. intros x Hx. rewrite List.Forall_forall in O. apply (O (e_call x)), in_map, Hx.
    + assert (G : call_gives (e_call e) = true).
      { unfold call_gives. change (kind_of_call (e_call e)) with (core_kind e). apply orb_true_iff. right. by destruct K as [-> | ->]. }
      exact (After a e c E G).
Qed.

Lemma prim_proper p args s rs s' : prim_sem p args s = Some (rs, s') -> proper (Call p args rs) = true.
Proof.
  intros H. destruct p; try reflexivity; destruct args as [|a0 [|a1 [|a2 args]]]; try discriminate H; cbv beta iota delta [prim_sem] in H;
    apply ok_guarded in H as [_ E]; try (destruct (claimable a1 a0 s));
      try (match type of E with (if ?b then _ else _) = _ => destruct b end);
    by injection E as <- _.
Qed.
Lemma mixed_proper R l V K g V' g' : mixed R l V K g V' g' -> Forall (fun e => proper (e_call e) = true) l.
Proof.
  induction 1 as [V K g|i n k keep V V1 V2 K g g2 l Tu Un _ M IH]; constructor; [|exact IH]. cbn [e_call turn_event].
  pose proof (prim_proper _ _ _ _ _ (tu_prim _ _ _ _ _ _ Tu)) as P. by destruct k.
Qed.
