(* SPDX-License-Identifier: Apache-2.0 *)
(* Which REC a CPU runs: only rec_enter and core_rec_exit change it. Of which realms TLBs may know something: no trap changes it. *)
From kcore Require Export refine.Tactics.
From kcore Require Import lang.Keeps.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Definition sets_running (p : prim) : bool := match p with P_RecSet REC_running => true | _ => false end.

Lemma guarded_some g r (x : list Z * state) : guarded g r = Some x -> g = true /\ r = x.
Proof. unfold guarded. destruct g; [|done]. by intros [= ->]. Qed.
Definition sets_cached (p : prim) : bool := match p with P_rec_load | P_tlbi_realm_all => true | _ => false end.

Ltac other_field H N :=
  lazymatch type of H with
  | (if ?c then _ else _) = _ => destruct c; injection H as _ <-; reflexivity
  | match ?c with Some _ => _ | None => _ end = _ => destruct c; injection H as _ <-; reflexivity
  | (_, after_write ?t ?i ?d ?s) = _ => injection H as _ <-; unfold after_write; destruct (role_of (hw s) t); reflexivity
  | (_, el1_set ?q _ _ ?s) = _ => injection H as _ <-; unfold el1_set; destruct (loaded s =? q); reflexivity
  | (_, rec_set ?f _ _ _ _) = _ => injection H as _ <-; destruct f; reflexivity || discriminate N
  | _ => destruct (log_text _ _ _); apply guarded_some in H as [_ H]; injection H as _ <-; reflexivity
  end.
Ltac each_prim p args H N :=
  destruct p; try discriminate N; destruct args as [|a0 [|a1 [|a2 [|a3 [|a4 [|a5 args]]]]]]; try discriminate H;
  cbv beta iota delta [prim_sem] in H; try (apply guarded_some in H as [_ H]);
  try (injection H as _ <-; reflexivity); other_field H N.
Lemma runs_kept r p args : sets_running p = false -> keeps (fun s => runs s = r) (prim_sem p args).
Proof. intros N s rs s' H Hr. rewrite <- Hr. clear Hr. each_prim p args H N. Qed.
Lemma cached_kept c p args : sets_cached p = false -> keeps (fun s => cached s = c) (prim_sem p args).
Proof. intros N s rs s' H Hr. rewrite <- Hr. clear Hr. each_prim p args H N. Qed.

(* By name: to compute the list takes a while, and conversion would do it. *)
Notation runs_nothing := (functions_without sets_running [] program).

Lemma core_link f args s : core f args s = link prim_sem program f args s.
Proof. with_strategy transparent [core] (unfold core). reflexivity. Qed.
Theorem core_runs f args s rs s' :
  named f runs_nothing = true -> core f args s = Some (rs, s') -> runs s' = runs s.
Proof.
  intros Hf H. rewrite core_link in H.
  pose proof (link_without prim_sem (fun x => runs x = runs s) sets_running (runs_kept (runs s)) program f args Hf) as K.
  exact (K s rs s' H eq_refl).
Qed.
Lemma rmi_call_runs s args r s' : core "rmi_call" args s = Some (r, s') -> runs s' = runs s.
Proof. apply core_runs. vm_compute. reflexivity. Qed.
Lemma kcore_call_runs s args r s' : core "kcore_call" args s = Some (r, s') -> runs s' = runs s.
Proof. apply core_runs. vm_compute. reflexivity. Qed.
Lemma trap_cached s args r s' : core "core_rec_exit" args s = Some (r, s') -> cached s' = cached s.
Proof.
  intros H. rewrite core_link in H.
  exact (link_without prim_sem (fun x => cached x = cached s) sets_cached (cached_kept (cached s)) program "core_rec_exit" args
    ltac:(vm_compute; reflexivity) s r s' H eq_refl).
Qed.
