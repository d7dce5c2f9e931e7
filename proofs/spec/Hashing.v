(* SPDX-License-Identifier: Apache-2.0 *)
(* What the hashing primitives change. *)
From kcore Require Export machine.Machine.
Local Open Scope Z_scope.

Definition hash_put (i v : Z) (s : state) : state := with_hash_page (set_nth (hash_page s) i v) s.
Definition hash_cleared (s : state) : state := with_hash_page zero_page s.
Definition hashed (alg len : Z) (s : state) : state := with_digest (hash (hw s) alg (hash_page s) len) s.
Definition granule_hashed (alg pa : Z) (s : state) : state := with_digest (hash (hw s) alg (page (mem s) pa) 4096) s.
Definition digest_word (i : Z) (s : state) : Z := nth_word (digest s) i.
