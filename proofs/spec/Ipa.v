(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rtt.c: a realm's addresses. The lower half of them is protected (DEN0137 A5.2). *)
From kcore Require Export machine.Machine.
Local Open Scope Z_scope.

Definition in_bounds (rd ipa : Z) (s : state) : bool := ipa <? rd_get RD_ipa_size rd 0 s.
Definition in_par (rd ipa : Z) (s : state) : bool := ipa <? rd_get RD_ipa_size rd 0 s / 2.
