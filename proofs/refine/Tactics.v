(* SPDX-License-Identifier: Apache-2.0 *)
(* The meaning of hyp/core, and the tactics by which functions are evaluated.

   Never cbn, simpl or a bare reflexivity near a denotation: they unfold everything. `enter` unfolds one
   function with a list of what may be unfolded; calls and primitives stay, and are taken one at a time by
   `call` (a theorem about a function) and `prim` (the primitive's definition, guards left as goals). *)
From kcore Require Export lang.Link machine.Machine gen.Core.
Local Open Scope string_scope.
Local Open Scope Z_scope.

Definition core : env state := link prim_sem program.

Lemma program_wf : wf program = true.
Proof. vm_compute. reflexivity. Qed.

Lemma core_fix f d :
  fun_of program f = Some d -> forall args s, core f args s = denote prim_sem core d args s.
Proof. intros; apply link_fix; [apply program_wf | assumption]. Qed.

(* Or conversion would compute it. *)
Global Opaque core.

Lemma bind_eq {A B} (m : M state A) (k : A -> M state B) s a s' :
  m s = Some (a, s') -> bind m k s = k a s'.
Proof. unfold bind. intros ->. reflexivity. Qed.

Lemma guarded_eq g r : g = true -> guarded g r = Some r.
Proof. intros ->. reflexivity. Qed.

Lemma z2b_b2z b : z2b (b2z b) = b.
Proof. destruct b; reflexivity. Qed.

Lemma bind_guarded {B} p args (k : list Z -> M state B) s g r :
  prim_sem p args s = guarded g r -> g = true -> bind (prim_sem p args) k s = k (fst r) (snd r).
Proof. intros H ->. unfold bind. rewrite H. destruct r; reflexivity. Qed.

(* Frames, results and states, once they are known. A state is worked on as a constructor (destruct it
   first): projections of a variable would be unfolded to matches. *)
Ltac norm :=
  cbv beta iota delta [get put puts putr reset evals eval test binop_sem cmp_sem fst snd
    hw gran mem held shrinking others staled holes vmids clock params run
    hash_page digest runs loaded live vtimer_masked counters logged places cached
    with_gran with_mem with_held with_staled with_holes with_vmids with_clock with_params with_run
    with_hash_page with_digest with_runs with_loaded with_masked with_counters with_logged with_places with_cached
    lock_taken set_granule with_owner with_refs put_page put_word];
  rewrite ?z2b_b2z.
Ltac fields_in H := cbv beta iota delta [hw gran mem held shrinking others staled holes vmids clock params run
    hash_page digest runs loaded live vtimer_masked counters logged places cached
    with_gran with_mem with_held with_staled with_holes with_vmids with_clock with_params with_run
    with_hash_page with_digest with_runs with_loaded with_masked with_counters with_logged with_places with_cached
    lock_taken set_granule with_owner with_refs put_page put_word] in H.
Ltac open s := destruct s as [h g m hl sh ot st ho vm ck pr rn hp dg rs ld lv vt ct lg pl ca].
Tactic Notation "fields" := cbv beta iota delta [hw gran mem held shrinking others staled holes vmids clock params run
    hash_page digest runs loaded live vtimer_masked counters logged places cached
    with_gran with_mem with_held with_staled with_holes with_vmids with_clock with_params with_run
    with_hash_page with_digest with_runs with_loaded with_masked with_counters with_logged with_places with_cached
    lock_taken set_granule with_owner with_refs put_page put_word].

Ltac enter f :=
  lazymatch goal with
  | |- core ?name _ _ = _ =>
      rewrite (core_fix name f (ltac:(vm_compute; reflexivity)));
      cbv beta iota zeta delta [denote f f_body f_params f_slots Nat.sub fresh app exec get put puts putr
        reset evals eval test binop_sem cmp_sem];
      rewrite ?z2b_b2z
  end.

(* One primitive: its guard becomes a goal, unless it is trivial. *)
Ltac prim :=
  lazymatch goal with
  | |- bind (prim_sem ?p ?args) ?k ?s = _ =>
      let r := eval cbv beta iota delta [prim_sem] in (prim_sem p args s) in
      lazymatch r with
      | guarded ?g ?x =>
          rewrite (bind_guarded p args k s g x eq_refl); [norm | try reflexivity]
      | _ => fail "primitive" p "has no definition, or another number of arguments:" args
      end
  end.

(* One call, by a theorem core f args s = Some (..). *)
Ltac call H :=
  erewrite bind_eq; [| apply H]; norm.

(* The value of a function without effect. *)
Lemma ret_eq {A} (a : A) (s : state) : ret a s = Some (a, s).
Proof. reflexivity. Qed.
