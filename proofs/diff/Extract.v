(* SPDX-License-Identifier: Apache-2.0 *)
(* The meaning of hyp/core as an OCaml program, for replay.ml: the very definitions that the theorems are about.

   Trusted by the test alone, not by a theorem: integers become Zarith's (integer.ml), natural numbers OCaml's (they count
   below 4096, and readings of a counter), strings OCaml's; the functions named below become the library's, because
   those of Coq go bit by bit. Maps, pages, states and all of lang/ and machine/ are extracted as they are. *)
From Coq Require Import Extraction ExtrOcamlBasic ExtrOcamlNatInt ExtrOcamlNativeString ZArith.
From kcore Require Import lang.Link machine.Machine gen.Core.

Extraction Blacklist Z String List.

Extract Inductive positive => "Integer.t"
  [ "Integer.twice_and_one" "Integer.twice" "Integer.one" ]
  "Integer.positive_case".
Extract Inductive Z => "Integer.t" [ "Integer.zero" "" "Integer.neg" ]
  "Integer.case".
Extract Inductive N => "Integer.t" [ "Integer.zero" "" ] "(fun zero pos n -> if Integer.sign n = 0 then zero () else pos n)".
Extract Inductive comparison => "int" [ "0" "(-1)" "1" ]
  "(fun eq lt gt c -> if c = 0 then eq () else if c < 0 then lt () else gt ())".

Extract Constant Pos.succ => "Integer.succ".
Extract Constant Pos.add => "Integer.add".
Extract Constant Pos.mul => "Integer.mul".
Extract Constant Pos.compare => "Integer.compare".
Extract Constant Pos.eqb => "Integer.equal".
Extract Constant Pos.eq_dec => "Integer.equal".
Extract Constant Z.add => "Integer.add".
Extract Constant Z.sub => "Integer.sub".
Extract Constant Z.mul => "Integer.mul".
Extract Constant Z.opp => "Integer.neg".
Extract Constant Z.succ => "Integer.succ".
Extract Constant Z.pred => "Integer.pred".
Extract Constant Z.compare => "Integer.compare".
Extract Constant Z.eqb => "Integer.equal".
Extract Constant Z.leb => "Integer.leq".
Extract Constant Z.ltb => "Integer.lt".
Extract Constant Z.geb => "Integer.geq".
Extract Constant Z.gtb => "Integer.gt".
Extract Constant Z.max => "Integer.max".
Extract Constant Z.min => "Integer.min".
Extract Constant Z.eq_dec => "Integer.equal".
Extract Constant Z.div => "(fun a b -> if Integer.sign b = 0 then Integer.zero else Integer.fdiv a b)".
Extract Constant Z.modulo => "(fun a b -> if Integer.sign b = 0 then a else Integer.sub a (Integer.mul b (Integer.fdiv a b)))".
Extract Constant Z.pow => "(fun a b -> if Integer.sign b < 0 then Integer.zero else Integer.pow a (Integer.to_int b))".
Extract Constant Z.land => "Integer.logand".
Extract Constant Z.lor => "Integer.logor".
Extract Constant Z.lxor => "Integer.logxor".
Extract Constant Z.shiftl =>
  "(fun a b -> let n = Integer.to_int b in if n < 0 then Integer.shift_right a (- n) else Integer.shift_left a n)".
Extract Constant Z.shiftr =>
  "(fun a b -> let n = Integer.to_int b in if n < 0 then Integer.shift_left a (- n) else Integer.shift_right a n)".
Extract Constant Z.to_nat => "(fun z -> if Integer.sign z < 0 then 0 else Integer.to_int z)".
Extract Constant Z.of_nat => "Integer.of_int".

(* The program with any meaning of the primitives: the replay looks at each on the way to prim_sem. *)
Definition run_core (psem : prim -> list Z -> M state (list Z)) : env state := link psem program.
Definition map_of {A} (l : list (Z * A)) : gmap Z A := list_to_map l.
Definition pages_of (m : gmap Z (list Z)) : list (Z * list Z) := map_to_list m.
Definition granules_in (g : gmap Z granule) : list (Z * granule) := map_to_list g.
Definition set_of (l : list Z) : gset Z := list_to_set l.
Definition elements_of (v : gset Z) : list Z := elements v.
Definition at_number (m : gmap Z Z) (i : Z) : Z := default 0%Z (m !! i).

Extraction "model.ml" run_core prim_sem map_of pages_of granules_in set_of elements_of at_number page granule_at put_word
  rd_off rec_off rec_len with_owner.
