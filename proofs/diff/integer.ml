(* SPDX-License-Identifier: Apache-2.0 *)
(* Zarith, by a name that no module of the model has; and what stands for the constructors of Coq's integers. *)
include Z

let twice p = shift_left p 1
let twice_and_one p = succ (shift_left p 1)
let positive_case odd even unit p =
  if equal p one then unit () else let q = shift_right p 1 in if is_odd p then odd q else even q
let case nothing positive negative z =
  let s = sign z in if s = 0 then nothing () else if s > 0 then positive z else negative (neg z)
