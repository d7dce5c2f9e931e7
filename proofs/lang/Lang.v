(* SPDX-License-Identifier: Apache-2.0 *)
(* The language of hyp/core: syntax (what proofs/tools translates to) and meaning.

   Expressions are pure and total. Calls are statements. Values are integers, truth values 0 or 1; a
   function's parameters and locals are the slots of one list, structs one slot a field. The meaning of
   a function is a state transformer that may get stuck (None); statements are given in
   continuation-passing style, so that an early return just drops the continuation. *)
From Coq Require Export ZArith String List Bool.
Export ListNotations.
Local Open Scope Z_scope.

(* ---- Syntax ---- *)

Inductive width := U32 | U64.
Inductive binop := Add | Sub | Mul | And | Or | Xor | Div | Mod | Shl | Shr.
Inductive cmpop := Eq | Ne | Lt | Le | Gt | Ge.

Inductive expr :=
| EConst (z : Z)
| EVar (n : nat)
| EBin (w : width) (o : binop) (a b : expr)
| EInv (w : width) (a : expr)            (* ~a *)
| ETrunc (a : expr)                      (* u64 to u32 *)
| EWiden (a : expr)                      (* u32 to u64 *)
| EBool (c : cond)                       (* 1 if c, else 0 *)
with cond :=
| CConst (b : bool)
| CVar (n : nat)
| CCmp (o : cmpop) (a b : expr)
| CSame (a b : cond)                     (* == of two bool *)
| CNot (a : cond)
| CAnd (a b : cond)
| COr (a b : cond).

Section syntax.
  Context {prim : Type}.
  Inductive stmt :=
  | SSkip
  | SSet (ds : list nat) (es : list expr)                (* all at once *)
  | SPrim (ds : list nat) (p : prim) (args : list expr)
  | SCall (ds : list nat) (f : string) (args : list expr)
  | SIf (c : cond) (a b : stmt)
  | SSeq (a b : stmt)
  | SFor (v : nat) (first : Z) (count : nat) (body : stmt)
  | SRet (es : list expr).
End syntax.
Arguments stmt : clear implicits.

Record fundef (prim : Type) := mkfun { f_params : nat; f_slots : nat; f_body : stmt prim }.
Arguments mkfun {prim}.
Arguments f_params {prim}.
Arguments f_slots {prim}.
Arguments f_body {prim}.

(* ---- Values ---- *)

Definition wrap (w : width) (z : Z) : Z :=
  match w with U32 => z mod 2 ^ 32 | U64 => z mod 2 ^ 64 end.
Definition ones (w : width) : Z := match w with U32 => 2 ^ 32 - 1 | U64 => 2 ^ 64 - 1 end.
Definition b2z (b : bool) : Z := if b then 1 else 0.
Definition z2b (z : Z) : bool := negb (z =? 0).

Definition binop_sem (w : width) (o : binop) (a b : Z) : Z :=
  match o with
  | Add => wrap w (a + b)
  | Sub => wrap w (a - b)
  | Mul => wrap w (a * b)
  | And => Z.land a b
  | Or => Z.lor a b
  | Xor => Z.lxor a b
  | Div => a / b
  | Mod => a mod b
  | Shl => wrap w (Z.shiftl a b)
  | Shr => Z.shiftr a b
  end.

Definition cmp_sem (o : cmpop) (a b : Z) : bool :=
  match o with
  | Eq => a =? b
  | Ne => negb (a =? b)
  | Lt => a <? b
  | Le => a <=? b
  | Gt => b <? a
  | Ge => b <=? a
  end.

Definition frame := list Z.
Fixpoint get (fr : frame) (n : nat) : Z :=
  match fr, n with
  | [], _ => 0
  | x :: _, O => x
  | _ :: fr, S n => get fr n
  end.
Fixpoint put (fr : frame) (n : nat) (v : Z) : frame :=
  match fr, n with
  | [], _ => []
  | _ :: fr, O => v :: fr
  | x :: fr, S n => x :: put fr n v
  end.
Fixpoint puts (fr : frame) (ds : list nat) (vs : list Z) : frame :=
  match ds, vs with
  | d :: ds, v :: vs => puts (put fr d v) ds vs
  | _, _ => fr
  end.
(* Result i of a call. By index, so that evaluation does not wait for the list. *)
Fixpoint putr (fr : frame) (ds : list nat) (vs : list Z) (i : nat) : frame :=
  match ds with
  | [] => fr
  | d :: ds => putr (put fr d (get vs i)) ds vs (S i)
  end.
(* Slots from n on are of no more use: 0. *)
Fixpoint reset (fr : frame) (n : nat) : frame :=
  match fr, n with
  | [], _ => []
  | _ :: fr, O => 0 :: reset fr O
  | x :: fr, S n => x :: reset fr n
  end.
Fixpoint fresh (n : nat) : frame := match n with O => [] | S n => 0 :: fresh n end.

Fixpoint eval (fr : frame) (e : expr) : Z :=
  match e with
  | EConst z => z
  | EVar n => get fr n
  | EBin w o a b => binop_sem w o (eval fr a) (eval fr b)
  | EInv w a => ones w - eval fr a
  | ETrunc a => wrap U32 (eval fr a)
  | EWiden a => eval fr a
  | EBool c => b2z (test fr c)
  end
with test (fr : frame) (c : cond) : bool :=
  match c with
  | CConst b => b
  | CVar n => z2b (get fr n)
  | CCmp o a b => cmp_sem o (eval fr a) (eval fr b)
  | CSame a b => Bool.eqb (test fr a) (test fr b)
  | CNot a => negb (test fr a)
  | CAnd a b => test fr a && test fr b
  | COr a b => test fr a || test fr b
  end.

Fixpoint evals (fr : frame) (es : list expr) : list Z :=
  match es with [] => [] | e :: es => eval fr e :: evals fr es end.

(* ---- State transformers ---- *)

Section denotation.
  Context {prim state : Type}.
  Definition M (A : Type) := state -> option (A * state).
  Definition ret {A} (a : A) : M A := fun s => Some (a, s).
  Definition bind {A B} (m : M A) (k : A -> M B) : M B :=
    fun s => match m s with Some (a, s') => k a s' | None => None end.

  Definition env := string -> list Z -> M (list Z).
  Context (psem : prim -> list Z -> M (list Z)).

  Section statements.
    Context (E : env).
    Definition cont := frame -> M (list Z).

    Fixpoint loop (body : frame -> cont -> M (list Z)) (v : nat) (i : Z) (n : nat)
        (fr : frame) (k : cont) : M (list Z) :=
      match n with
      | O => k fr
      | S n => body (put fr v i) (fun fr' => loop body v (i + 1) n (reset fr' v) k)
      end.

    Fixpoint exec (s : stmt prim) (fr : frame) (k : cont) : M (list Z) :=
      match s with
      | SSkip => k fr
      | SSet ds es => k (puts fr ds (evals fr es))
      | SPrim ds p args => bind (psem p (evals fr args)) (fun vs => k (putr fr ds vs 0))
      | SCall ds f args => bind (E f (evals fr args)) (fun vs => k (putr fr ds vs 0))
      | SIf c a b => if test fr c then exec a fr k else exec b fr k
      | SSeq a b => exec a fr (fun fr' => exec b fr' k)
      | SFor v first count body => loop (fun fr' k' => exec body fr' k') v first count fr k
      | SRet es => ret (evals fr es)
      end.

    Definition denote (d : fundef prim) (args : list Z) : M (list Z) :=
      exec (f_body d) (args ++ fresh (f_slots d - f_params d)) (fun _ => ret []).
  End statements.
End denotation.
Arguments M state A : clear implicits.
Arguments env state : clear implicits.
