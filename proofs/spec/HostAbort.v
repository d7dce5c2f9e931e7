(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/hostmem.c: stage 2 aborts of the host. *)
From kcore Require Export spec.Hostmem.
Local Open Scope Z_scope.

(* Does the host's stage 2 translate ipa now? *)
Definition translates (ipa : Z) (s : state) : bool :=
  let t2 := host_table (hw s) 2 ipa in
  let t3 := host_table (hw s) 3 ipa in
  let d2 := word (mem s) t2 (slot_of 2 ipa) in
  if (host_table (hw s) 1 ipa =? 0) || (t2 =? 0) then false
  else if negb (is_table 2 d2) || (t3 =? 0) then is_valid d2
  else is_valid (word (mem s) t3 (slot_of 3 ipa)).

(* HPFAR_EL2 and FAR_EL2 to the address; a translation fault (ESR_EL2.ISS FSC, DDI0487 D17.2.37). *)
Definition fault_ipa (hpfar far : Z) : Z := Z.lor (wrap U64 (Z.shiftl (Z.land hpfar 0xFFFFFFFFFF0) 8)) (Z.land far 0xFFF).
Definition is_translation (esr : Z) : bool := Z.land esr 0x3C =? 4.

Definition HOST_RETRY := 0.
Definition HOST_INJECT := 1.
Definition HOST_DEVICE := 2.
Definition CTR_HOST_ABORT := 9.
Definition LOG_HOST_ABORT := 1.

(* Try again what is there by now; what is no memory may be a device; otherwise it is not the host's. *)
Definition host_aborted (esr hpfar far : Z) (s : state) : Z * state :=
  let ipa := fault_ipa hpfar far in
  if is_translation esr && translates ipa s then (HOST_RETRY, s)
  else if negb (tracked s (Z.land ipa (ones U64 - 0xFFF))) && is_translation esr then (HOST_DEVICE, s)
  else (HOST_INJECT, with_logged ((LOG_HOST_ABORT, ipa, esr) :: logged s) (counted CTR_HOST_ABORT 1 s)).

(* The addresses that the machine gives as host tables are those. *)
Definition tables_known (h : hardware) : Prop :=
  forall level ipa, host_table h level ipa <> 0 -> is_Some (role_of h (host_table h level ipa)).
