(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rsi.c: fetching an attestation token (DEN0137 B5.3.1, B5.3.2). *)
From kcore Require Export spec.Rsi.
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
