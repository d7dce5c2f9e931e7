(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: services that a realm asks for (DEN0137 B5). A call is answered in the registers of the REC, or
   left to the host: then the run page says why. *)
From kcore Require Export lang.Seq spec.RecGuest spec.RecLock spec.Hostmem spec.S2tt spec.Ipa spec.Granule.
Local Open Scope Z_scope.

Definition RSI_SUCCESS := 0.
Definition RSI_ERROR_INPUT := 1.
Definition RSI_ERROR_STATE := 2.
Definition RSI_INCOMPLETE := 3.
Definition RSI_ERROR_UNKNOWN := 4.
Definition RSI_ABI_VERSION := 0x10000. (* 1.0 *)

(* Answered to the REC, or left to the host. *)
Definition BACK := 0.
Definition LEAVE := 1.

Definition answered (rec status x1 x2 : Z) (s : state) : state := returned rec status x1 x2 0 s.

(* Exit reasons (DEN0137 B4.4.18), and what is counted. *)
Definition EXIT_SYNC := 0.
Definition EXIT_RIPAS_CHANGE := 4.
Definition EXIT_HOST_CALL := 5.
Definition CTR_EXIT_FAULT := 1.
Definition CTR_EXIT_RIPAS := 6.
Definition CTR_EXIT_HOST_CALL := 7.

(* RSI_VERSION: the one version there is, whatever is asked for. *)
Definition version_told (rec : Z) (s : state) : state :=
  answered rec (if gpr rec 1 s =? RSI_ABI_VERSION then RSI_SUCCESS else RSI_ERROR_INPUT) RSI_ABI_VERSION RSI_ABI_VERSION s.

(* RSI_MEASUREMENT_READ: the eight words of a slot, in x1 to x8. *)
Definition MEAS_SLOTS := 5.
Definition measurement_told (rec slot : Z) (s : state) : state :=
  each_below 8 (fun i => gpr_set rec (1 + i) (rd_get RD_meas (realm_of rec s) (8 * slot + i) s))
    (answered rec RSI_SUCCESS 0 0 s).
Definition measurement_read (rec : Z) (s : state) : state :=
  if gpr rec 1 s <? MEAS_SLOTS then measurement_told rec (gpr rec 1 s) s else answered rec RSI_ERROR_INPUT 0 0 s.

(* A page of the realm that a call needs is not there: as if the realm had touched it, a translation fault at this
   level of the walk. *)
Definition ESR_TRANSLATION := 0x90000004. (* data abort from a lower level; FSC: translation fault, level 0 *)
Definition faulted (ipa level : Z) (s : state) : state :=
  counted CTR_EXIT_FAULT 1
    (run_out OUT_hpfar 0 (ipa / 4096 * 16)
      (run_out OUT_esr 0 (Z.lor ESR_TRANSLATION level) (run_out OUT_reason 0 EXIT_SYNC s))).

(* RsiRealmConfig (DEN0137 B5.4.4), in a page of the realm: IPA width, hash algorithm, personalization. *)
Definition config_written (rd pa : Z) (s : state) : state :=
  each_below 8 (fun i => put_word pa (64 + i) (rd_get RD_rpv rd i s))
    (put_word pa 1 (rd_get RD_hash_algo rd 0 s) (put_word pa 0 (rd_get RD_s2sz rd 0 s) s)).

(* ---- IPA state ---- *)

(* RSI_IPA_STATE_SET: base, top, RIPAS, flags. A range of the protected half, and EMPTY or RAM: the host is asked. *)
Definition CHANGE_DESTROYED := 1.
Definition ripas_askable (rec : Z) (s : state) : bool :=
  (gpr rec 3 s <=? RIPAS_RAM) && is_aligned (Z.lor (gpr rec 1 s) (gpr rec 2 s)) && (gpr rec 1 s <? gpr rec 2 s) &&
  in_par (realm_of rec s) (wrap U64 (gpr rec 2 s - 1)) s.
Definition ripas_noted (rec : Z) (s : state) : state :=
  rec_set REC_ripas_destroyed rec 0 (if gpr rec 4 s =? CHANGE_DESTROYED then 1 else 0)
    (rec_set REC_ripas_value rec 0 (gpr rec 3 s) (rec_set REC_ripas_top rec 0 (gpr rec 2 s)
      (rec_set REC_ripas_base rec 0 (gpr rec 1 s) (rec_set REC_ripas_pending rec 0 1 s)))).
Definition ripas_told (base top value : Z) (s : state) : state :=
  counted CTR_EXIT_RIPAS 1 (run_out OUT_ripas_value 0 value (run_out OUT_ripas_top 0 top
    (run_out OUT_ripas_base 0 base (run_out OUT_reason 0 EXIT_RIPAS_CHANGE s)))).
Definition ripas_asked (rec : Z) (s : state) : Z * state :=
  if ripas_askable rec s
  then (LEAVE, ripas_told (gpr rec 1 s) (gpr rec 2 s) (gpr rec 3 s) (skipped rec (ripas_noted rec s)))
  else (BACK, answered rec RSI_ERROR_INPUT 0 0 s).

(* The REC enters again: it gets the first address that the host did not change, and whether the host refused. *)
Definition RSI_ACCEPT := 0.
Definition RSI_REJECT := 1.
Definition ripas_refused (rec : Z) (reject : bool) (s : state) : bool :=
  reject && (rec_get REC_ripas_value rec 0 s =? RIPAS_RAM) &&
  negb (rec_get REC_ripas_base rec 0 s =? rec_get REC_ripas_top rec 0 s).
Definition ripas_completed (rec : Z) (reject : bool) (s : state) : state :=
  if rec_get REC_ripas_pending rec 0 s =? 0 then s else
  rec_set REC_ripas_top rec 0 0 (rec_set REC_ripas_base rec 0 0 (rec_set REC_ripas_pending rec 0 0
    (regs_set rec RSI_SUCCESS (rec_get REC_ripas_base rec 0 s) (if ripas_refused rec reject s then RSI_REJECT else RSI_ACCEPT)
       0 s))).

(* How many entries from slot i on, n at most, are of the protected half and have this RIPAS. *)
Definition has_ripas (level table r i : Z) (s : state) : bool :=
  let d := word (mem s) table i in
  ((kind level d =? K_UNASSIGNED) || (kind level d =? K_ASSIGNED)) && (ripas d =? r).
Fixpoint same_ripas (n : nat) (level table r i : Z) (s : state) : Z :=
  match n with
  | O => 0
  | S n => if has_ripas level table r i s then 1 + same_ripas n level table r (i + 1) s else 0
  end.
(* Where the RIPAS of the entry for ipa ends in its table. *)
Definition ripas_end (level table slot ipa r : Z) (s : state) : Z :=
  floor_of level ipa + same_ripas (Z.to_nat (512 - slot)) level table r slot s * size_of level.

(* ---- Host call ---- *)

(* RsiHostCall (DEN0137 B5.4.3), 256 bytes: imm, then 31 registers. *)
Definition host_call_told (pa offset : Z) (s : state) : state :=
  let at_ i := word (mem s) pa (offset / 8 + i) in
  counted CTR_EXIT_HOST_CALL 1
    (each_below 31 (fun i => run_out OUT_gpr i (at_ (1 + i)))
      (run_out OUT_imm 0 (Z.land (at_ 0) 0xFFFFFFFF) (run_out OUT_reason 0 EXIT_HOST_CALL s))).
Definition host_call_taken (pa offset : Z) (s : state) : state :=
  each_below 31 (fun i => put_word pa (offset / 8 + 1 + i) (run_in IN_gpr i s)) s.
