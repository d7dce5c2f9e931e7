(* SPDX-License-Identifier: Apache-2.0 *)
(* hyp/core/rec.c: creating RECs (DEN0137 B4.3: RMI_REC_CREATE). *)
From kcore Require Export spec.Measure spec.Granule spec.GranuleRange spec.Hostmem.
Local Open Scope Z_scope.

Definition KCORE_ERROR_POLICY := 16.
Definition RECS_LIMIT := 1023.

(* MPIDR as RMI has it, Aff3 to Aff0, of Aff0 four bits: to the REC's index, and as the guest reads it. *)
Definition MPIDR_MASK := 0xFFFFFF0F.
Definition mpidr_index (m : Z) : Z := Z.lor (Z.land m 0xF) (Z.land (Z.shiftr m 4) 0xFFFFFF0).
Definition vmpidr (m : Z) : Z := Z.lor (Z.lor (Z.land m 0xFFFFFF) (256 * Z.land m 0xFF000000)) 0x80000000.

(* RmiRecParams: flags, mpidr, pc. *)
Definition REC_FLAGS := 0.
Definition REC_MPIDR := 0x20.
Definition REC_PC := 0x40.
Definition REC_GPRS := 0x60.

(* Saved registers of a REC that starts: SCTLR_EL1 (MMU and caches off), MDSCR_EL1 (TDCC), VMPIDR_EL2; EL1h, DAIF. *)
Definition SCTLR := 0.
Definition MDSCR := 23.
Definition VMPIDR := 26.
Definition SCTLR_RESET := 0x30D50878.
Definition MDSCR_RESET := 0x1000.
Definition PSTATE_RESET := 0x3C5.

Definition rec_filled (rd rec index flags : Z) (s : state) : state :=
  rec_set REC_el1 rec VMPIDR (vmpidr (param REC_MPIDR s)) (rec_set REC_el1 rec MDSCR MDSCR_RESET
    (rec_set REC_el1 rec SCTLR SCTLR_RESET (rec_set REC_pstate rec 0 PSTATE_RESET (rec_set REC_pc rec 0 (param REC_PC s)
      (each (fun i s => rec_set REC_gpr rec i (param (REC_GPRS + i) s) s)
        (rec_set REC_vmid rec 0 (rd_get RD_vmid rd 0 s) (rec_set REC_rtt_base rec 0 (rd_get RD_rtt_base rd 0 s)
          (rec_set REC_start_level rec 0 (rd_get RD_start_level rd 0 s) (rec_set REC_s2sz rec 0 (rd_get RD_s2sz rd 0 s)
            (rec_set REC_runnable rec 0 (Z.land flags 1) (rec_set REC_index rec 0 index (rec_set REC_rd rec 0 rd s)))))))))))).

(* Create: the realm is NEW and may have one more, by DEN0137 and by its policy, and this is the next in order. *)
Definition create_check (rd : Z) (s : state) : Z :=
  let m := param REC_MPIDR s in
  if (RECS_LIMIT <=? rd_get RD_rec_count rd 0 s) || negb (rd_get RD_state rd 0 s =? 0) then status_realm 0
  else if rd_get RD_max_vcpus rd 0 s <=? rd_get RD_rec_index rd 0 s then KCORE_ERROR_POLICY
  else if negb (Z.land m (ones U64 - MPIDR_MASK) =? 0) || negb (mpidr_index m =? rd_get RD_rec_index rd 0 s)
  then RMI_ERROR_INPUT
  else RMI_SUCCESS.
(* A runnable REC is measured. *)
Definition rec_created (rd rec : Z) (s : state) : state :=
  let flags := param REC_FLAGS s in
  let index := rd_get RD_rec_index rd 0 s in
  let s' := rd_set RD_rec_index rd 0 (wrap U64 (index + 1))
    (rd_set RD_rec_count rd 0 (wrap U64 (rd_get RD_rec_count rd 0 s + 1))
      (rec_filled rd rec index flags (with_owner rec GS_REC rd s))) in
  if Z.land flags 1 =? 0 then s' else rec_measured rd s'.

(* RMI_REC_CREATE: the parameters are a page of the host's that can be pinned, and ask for no auxiliary granules; rd
   is an RD; rec is delegated; then as above. The parameters stay in this CPU's parameter page. *)
Definition params_loaded (ns : Z) (s : state) : state := with_params (page (mem s) ns) s.
Definition REC_NUM_AUX := 0x100.
Definition create_with (rd rec : Z) (s : state) : Z * state :=
  if negb (param REC_NUM_AUX s =? 0) then (RMI_ERROR_INPUT, s)
  else if negb (has_state GS_RD rd s) then (RMI_ERROR_INPUT, s)
  else if negb (claimable GS_DELEGATED rec s) then (RMI_ERROR_INPUT, s)
  else (create_check rd s, if create_check rd s =? RMI_SUCCESS then rec_created rd rec s else s).
Definition create_rec (rd rec ns : Z) (s : state) : Z * state :=
  if pinnable ns s then create_with rd rec (params_loaded ns s) else (RMI_ERROR_INPUT, s).
