(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: the calls that look at memory of the realm. Where they give an address that is not there, the realm
   is left as if it had touched it, and repeats the call. Results: answered, or left to the host; and the state. *)
From kcore Require Export spec.Rsi spec.Rtt.
Local Open Scope Z_scope.

Definition refused_call (rec : Z) (s : state) : Z * state := (BACK, answered rec RSI_ERROR_INPUT 0 0 s).

(* With the page of ipa; without, the host is told, unless it is RIPAS EMPTY. *)
Definition with_page (rec ipa : Z) (done : Z -> Z * state) (s : state) : Z * state :=
  let '(result, pa, level) := translate (realm_of rec s) ipa s in
  if result =? IPA_OK then done pa
  else if result =? IPA_EMPTY then refused_call rec s
  else (LEAVE, faulted ipa level s).

(* RSI_REALM_CONFIG: x1, a protected page. *)
Definition config_asked (rec : Z) (s : state) : Z * state :=
  let ipa := gpr rec 1 s in
  if is_aligned ipa && in_par (realm_of rec s) ipa s
  then with_page rec ipa (fun pa => (BACK, answered rec RSI_SUCCESS 0 0 (config_written (realm_of rec s) pa s))) s
  else refused_call rec s.

(* RSI_HOST_CALL: x1, a structure aligned to its size. *)
Definition host_called (rec : Z) (s : state) : Z * state :=
  let ipa := gpr rec 1 s in
  if (Z.land ipa 0xFF =? 0) && in_par (realm_of rec s) ipa s
  then with_page rec ipa (fun pa =>
         (LEAVE, skipped rec (rec_set REC_host_call_ipa rec 0 ipa (rec_set REC_host_call rec 0 1
                   (host_call_told pa (Z.land ipa 0xFFF) s))))) s
  else refused_call rec s.

(* RSI_IPA_STATE_GET: x1 to x2. The RIPAS at x1, and how far it reaches. *)
Definition ripas_read (rec : Z) (s : state) : state :=
  let base := gpr rec 1 s in
  let top := gpr rec 2 s in
  let w := walk (realm_of rec s) base 3 s in
  let r := ripas (w_desc w) in
  if is_aligned (Z.lor base top) && (base <? top) && in_par (realm_of rec s) (wrap U64 (top - 1)) s
  then answered rec RSI_SUCCESS (Z.min (ripas_end (w_level w) (w_table w) (w_slot w) base r s) top) r s
  else answered rec RSI_ERROR_INPUT 0 0 s.

(* The REC enters again after a host call, its realm locked: the host's registers go into the structure. false: its
   page is away, the run page says so, and the call stays pending. *)
Definition host_call_ended (rec status : Z) (s : state) : state :=
  rec_set REC_host_call_ipa rec 0 0 (rec_set REC_host_call rec 0 0 (regs_set rec status 0 0 0 s)).
Definition host_call_completed (rec rd : Z) (s : state) : bool * state :=
  if rec_get REC_host_call rec 0 s =? 0 then (true, s) else
  let ipa := rec_get REC_host_call_ipa rec 0 s in
  let '(result, pa, level) := translate rd ipa s in
  if result =? IPA_OK then (true, host_call_ended rec RSI_SUCCESS (host_call_taken pa (Z.land ipa 0xFFF) s))
  else if result =? IPA_EMPTY then (true, host_call_ended rec RSI_ERROR_INPUT s)
  else (false, faulted ipa level s).
