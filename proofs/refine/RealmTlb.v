(* SPDX-License-Identifier: Apache-2.0 *)
(* TLBs that hold all they may of realms: no program of guarded primitives lets a realm reach a page of another realm's, of
   KCore's, or one that is delegated. *)
From kcore Require Export spec.RealmTlb.
From kcore Require Import refine.RealmApart.
From kcore Require Import refine.Contained.
From kcore Require Import lang.Keeps.
From Coq Require Import Lia.
Local Open Scope Z_scope.

Theorem prim_apart p args : keeps (fun '(s, T) => apart s T) (prim_with_realm_tlb p args).
Proof.
  intros [s T] rs [s' T'] H A. unfold prim_with_realm_tlb in H. destruct (prim_sem p args s) as [[rs1 s1]|] eqn:E; [|discriminate].
  injection H as <- <- <-. pose proof (prim_contained _ _ _ _ _ E (ap_contained _ _ A)) as K'. apply filled_apart.
  destruct (prim_realm_step _ _ _ _ _ _ E A) as [N C | t i d q -> Hr Hp G -> | v ipa -> -> -> | v -> -> ->].
  - apply (held_same s1 T); [intros; rewrite N; tauto|]. by apply (calm_apart s T).
  - apply (held_same _ T); [intros v l b d'; cbn; split; [done|tauto]|]. by apply (write_apart s T A t i d q).
  - apply (calm_apart s T); [done|done|]. by apply tlbi_calm.
  - apply (calm_apart s T); [done|done|]. by apply tlbi_all_calm.
Qed.

(* ---- What is reached ---- *)

Lemma fits_state s rd level d pa g : leaf_fits s rd level d -> out_addr d <= pa < out_addr d + size_of level -> pa mod 4096 = 0 ->
  gran s !! pa = Some g -> g_state g = GS_DATA /\ g_owner g = rd \/ g_state g = GS_NS.
Proof.
  intros F Hp Hm Hg. destruct (F pa Hp Hm) as [H | H].
  - left. unfold own_data in H. rewrite Hg in H. by apply andb_true_iff in H as [?%Z.eqb_eq ?%Z.eqb_eq].
  - right. unfold has_state in H. rewrite Hg in H. by apply Z.eqb_eq.
Qed.

(* Every walk of a realm that may run leads to this realm's own pages, or to pages of the host's. *)
Theorem realm_walk_isolated s T rd level base t i pa g : apart s T -> rd ∈ cached s -> realm_table s rd level base t -> 0 <= i < 512 ->
  leaf_covers level (word (mem s) t i) pa = true -> pa mod 4096 = 0 -> gran s !! pa = Some g ->
  g_state g = GS_DATA /\ g_owner g = rd \/ g_state g = GS_NS.
Proof.
  intros A Hc Ht Hi Hl Hm Hg. assert (H : hot s T rd level base t).
  { clear Hi Hl. induction Ht as [n Hn | l b u j Ht IH Hi Htb]; [|by apply H_next].
    unfold rd_get, rd_word in *. rewrite !Z.add_0_r in *. by apply start_table_hot. }
  unfold leaf_covers in Hl. ands. destruct (ap_hot _ _ A _ _ _ _ H) as [_ E]. specialize (E i Hi).
  match goal with V : is_valid _ = true, N : negb (is_table _ _) = true |- _ => specialize (E V); apply negb_true_iff in N; unfold entry_fits in E; rewrite N in E end.
  apply (fits_state s rd level (word (mem s) t i) pa); [done|lia|done|done].
Qed.
