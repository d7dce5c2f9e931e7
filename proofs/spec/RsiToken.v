(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: fetching an attestation token (DEN0137 B5.3.1, B5.3.2). *)
From kcore Require Export spec.RsiRealm.
Local Open Scope Z_scope.

Definition TOKEN_NONE := 0.
Definition TOKEN_CLAIMED := 1.
Definition TOKEN_SIGNED := 2.
Definition TOKEN_MAX := 4096.

(* RSI_ATTESTATION_TOKEN_INIT: what the token will say is put down. *)
Definition token_begun (rec : Z) (s : state) : state :=
  answered rec RSI_SUCCESS TOKEN_MAX 0 (rec_set REC_token_done rec 0 0 (rec_set REC_token_state rec 0 TOKEN_CLAIMED
    (with_token rec (token_claims (hw s) (challenge_of rec s) (told (realm_of rec s) s)) s))).

(* Is the buffer, x1 to x3, a part of one page of the protected half? *)
Definition token_buffer (rec : Z) (s : state) : bool :=
  is_aligned (gpr rec 1 s) && (gpr rec 2 s <? 4096) && (gpr rec 3 s <=? 4096 - gpr rec 2 s) &&
  in_par (realm_of rec s) (gpr rec 1 s) s.

(* Signed unless it is signed. *)
Definition token_finished (rec : Z) (s : state) : Z * state :=
  if rec_get REC_token_state rec 0 s =? TOKEN_NONE then (RSI_ERROR_STATE, s)
  else if rec_get REC_token_state rec 0 s =? TOKEN_CLAIMED then
    match token_signed (hw s) (token_of rec s) with
    | Some l => (RSI_SUCCESS, rec_set REC_token_state rec 0 TOKEN_SIGNED (with_token rec l s))
    | None => (RSI_ERROR_UNKNOWN, rec_set REC_token_state rec 0 TOKEN_NONE s)
    end
  else (RSI_SUCCESS, s).

(* RSI_ATTESTATION_TOKEN_CONTINUE: the next piece, at most as much as the buffer holds, goes to page pa at x2. *)
Definition token_left (rec : Z) (s : state) : Z := token_total rec s - rec_get REC_token_done rec 0 s.
Definition token_piece (rec pa : Z) (s : state) : Z * state :=
  let n := Z.min (gpr rec 3 s) (token_left rec s) in
  (n, put_page pa (bytes_put (page (mem s) pa) (gpr rec 2 s) n (token_byte (hw s) (token_of rec s))
                     (rec_get REC_token_done rec 0 s)) s).
(* With the last one the token is gone. *)
Definition token_counted (rec n : Z) (s : state) : state :=
  let done := rec_get REC_token_done rec 0 s + n in
  let s1 := rec_set REC_token_done rec 0 done s in
  if done =? token_total rec s then answered rec RSI_SUCCESS n 0 (rec_set REC_token_state rec 0 TOKEN_NONE s1)
  else answered rec RSI_INCOMPLETE n 0 s1.
Definition token_continued (rec : Z) (s : state) : Z * state :=
  if token_buffer rec s then
    let (status, s1) := token_finished rec s in
    if status =? RSI_SUCCESS
    then with_page rec (gpr rec 1 s)
           (fun pa => let (n, s2) := token_piece rec pa s1 in (BACK, token_counted rec n s2)) s1
    else (BACK, answered rec status 0 0 s1)
  else refused_call rec s.
