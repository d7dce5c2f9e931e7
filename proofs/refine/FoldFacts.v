(* SPDX-License-Identifier: Apache-2.0 *)
(* What the entries of a table say that says the same as one entry above it. *)
From kcore Require Export refine.RttInvGone.
From kcore Require Export refine.RttInvShared.
Local Open Scope Z_scope.

(* ---- The host's descriptor, from an entry and back ---- *)

Lemma host_parts host : 0 <= host < 2 ^ 64 -> Z.land host (0xFFFFFFFFFFFFFFFF - PA_MASK - 0x1C - 0xC0) = 0 ->
  host = Z.lor (Z.land host (Z.lor PA_MASK 0xC0)) (Z.land host 0x1C).
Proof.
  intros Hh H0. assert (E : Z.land host 0xFFFFFFFFFFFFFFFF = host).
  { rewrite (land_low 64) by (lia || reflexivity). apply Z.mod_small. exact Hh. }
  rewrite <- E at 1. replace 0xFFFFFFFFFFFFFFFF with
    (Z.lor (Z.lor PA_MASK 0xC0) (Z.lor 0x1C (0xFFFFFFFFFFFFFFFF - PA_MASK - 0x1C - 0xC0))) by reflexivity.
  rewrite !Z.land_lor_distr_r. rewrite H0, Z.lor_0_r. rewrite <- !Z.land_lor_distr_r. reflexivity.
Qed.
Lemma ns_ok_parts level host : ns_ok level host = true ->
  Z.land host (0xFFFFFFFFFFFFFFFF - PA_MASK - 0x1C - 0xC0) = 0 /\ out_addr host mod size_of level = 0 /\ host_memattr host <> 4.
Proof.
  unfold ns_ok, aligned_to. intros [[H1%Z.eqb_eq H2%Z.eqb_eq]%andb_true_iff H3%negb_true_iff%Z.eqb_neq]%andb_true_iff. done.
Qed.
Lemma ns_ok_make level host : Z.land host (0xFFFFFFFFFFFFFFFF - PA_MASK - 0x1C - 0xC0) = 0 -> out_addr host mod size_of level = 0 ->
  host_memattr host <> 4 -> ns_ok level host = true.
Proof.
  unfold ns_ok, aligned_to. intros -> -> H. rewrite Z.eqb_refl. cbn [andb Z.eqb]. by apply negb_true_iff, Z.eqb_neq.
Qed.
Lemma memattr_bits host : 0 <= host -> 4 * host_memattr host = Z.land host 0x1C.
Proof.
  intros Hh. unfold host_memattr. rewrite shr by lia. change (2 ^ 2) with 4.
  assert (E : Z.land host 0x1C mod 4 = 0).
  { change 4 with (2 ^ 2). rewrite <- (land_low 2 _ 3) by (lia || reflexivity). rewrite <- Z.land_assoc. apply Z.land_0_r. }
  pose proof (Z.div_mod (Z.land host 0x1C) 4). lia.
Qed.
Lemma ns_host_back level host : 0 <= host < 2 ^ 64 -> Z.land host (0xFFFFFFFFFFFFFFFF - PA_MASK - 0x1C - 0xC0) = 0 ->
  ns_host (assigned_ns level host) = host.
Proof.
  intros Hh H0. rewrite (host_parts host Hh H0) at 2. rewrite <- (memattr_bits host) by lia. pose proof (memattr_range host) as Hm.
  unfold ns_host, assigned_ns. cbv zeta. rewrite !lor3.
  set (h := Z.land host (Z.lor PA_MASK 192)).
  assert (Eh : Z.land h (Z.lor PA_MASK 192) = h) by (unfold h; rewrite <- Z.land_assoc; reflexivity).
  assert (Es : Z.shiftr h 56 = 0).
  { unfold h. rewrite Z.shiftr_land. change (Z.shiftr (Z.lor PA_MASK 192) 56) with 0. apply Z.land_0_r. }
  clearbody h.
  match goal with |- Z.lor (Z.land (Z.lor h ?R) ?M) _ = _ => assert (Z.land R M = 0 /\ Z.land (Z.shiftr R 56) 7 = host_memattr host) as [E1 E2] end.
  { assert (Hl : leaf_type level = 3 \/ leaf_type level = 1) by (unfold leaf_type; destruct (level =? 3); auto).
    assert (Hc : host_memattr host = 0 \/ host_memattr host = 1 \/ host_memattr host = 2 \/ host_memattr host = 3 \/
      host_memattr host = 4 \/ host_memattr host = 5 \/ host_memattr host = 6 \/ host_memattr host = 7) by lia.
    clear - Hl Hc. destruct Hl as [-> | ->]; destruct Hc as [->|[->|[->|[->|[->|[->|[->| ->]]]]]]]; split; reflexivity. }
  rewrite Z.land_lor_distr_l, Eh, E1, Z.lor_0_r, Z.shiftr_lor, Es, Z.lor_0_l, E2. reflexivity.
Qed.

(* ---- The entries of a table below ---- *)

Lemma ns_child host i : ns_ok 2 host = true -> 0 <= host < 2 ^ 64 -> out_addr host < 2 ^ 40 -> 0 <= i < 512 ->
  exists h, child 3 (assigned_ns 2 host) i = assigned_ns 3 h /\ ns_ok 3 h = true /\ 0 <= h < 2 ^ 64 /\ out_addr h = out_addr host + i * 4096.
Proof.
  intros Hok Hh Ho Hi. destruct (ns_ok_parts _ _ Hok) as (H0 & Ha & Hm).
  destruct (assigned_ns_facts 2 host Hh) as (O & _ & _ & K & _).
  pose proof (out_addr_range host ltac:(lia)) as Hor. pose proof (out_addr_page host) as Hp.
  set (a := out_addr host) in *.
  assert (Ea : Z.land (a + i * 4096) PA_MASK = a + i * 4096).
  { change (out_addr (a + i * 4096) = a + i * 4096). apply out_addr_aligned; [lia|]. rewrite Z.mod_add; lia. }
  set (b := Z.land host (0xFFFFFFFFFFFFFFFF - PA_MASK)).
  assert (Hb : 0 <= b < 2 ^ 64) by (apply land_u64; [lia|unfold PA_MASK; lia]).
  assert (Eo : out_addr (Z.lor (a + i * 4096) b) = a + i * 4096).
  { rewrite out_addr_lor; [exact Ea|]. unfold b. rewrite <- Z.land_assoc.
    change (Z.land (0xFFFFFFFFFFFFFFFF - PA_MASK) PA_MASK) with 0. apply Z.land_0_r. }
  exists (Z.lor (a + i * 4096) b). split_and!.
  - unfold child. change (3 - 1) with 2. rewrite K. change (K_ASSIGNED_NS =? K_ASSIGNED) with false.
    change (K_ASSIGNED_NS =? K_ASSIGNED_NS) with true. cbv iota. change (size_of 3) with 4096. rewrite O, ns_host_back by done.
    rewrite (wrap_small (i * 4096)), wrap_small by lia. reflexivity.
  - apply ns_ok_make.
    + rewrite Z.land_lor_distr_l. rewrite <- Ea at 1. rewrite <- Z.land_assoc.
      change (Z.land PA_MASK (0xFFFFFFFFFFFFFFFF - PA_MASK - 0x1C - 0xC0)) with 0. rewrite Z.land_0_r, Z.lor_0_l.
      unfold b. rewrite <- Z.land_assoc, (Z.land_comm (_ - PA_MASK)), Z.land_assoc, H0. reflexivity.
    + rewrite Eo. change (size_of 3) with 4096. rewrite Z.mod_add; lia.
    + unfold host_memattr in *. rewrite Z.land_lor_distr_l. rewrite <- Ea at 1. rewrite <- Z.land_assoc.
      change (Z.land PA_MASK 0x1C) with 0. rewrite Z.land_0_r, Z.lor_0_l. unfold b. rewrite <- Z.land_assoc. exact Hm.
  - apply lor_u64; lia.
  - apply lor_u64; lia.
  - exact Eo.
Qed.
Lemma assigned_child level q r i : 1 <= level <= 3 -> 0 <= r <= 2 -> 0 < q < 2 ^ 40 -> q mod 4096 = 0 -> 0 <= i < 512 ->
  child level (assigned (level - 1) q r) i = assigned level (q + i * size_of level) r /\ 0 < q + i * size_of level < 2 ^ 48.
Proof.
  intros Hl Hr Hq Ha Hi. destruct (assigned_ok (level - 1) q r Hr ltac:(lia) Ha) as (O & _ & _ & K & R & _).
  assert (Sb : 0 < size_of level <= 2 ^ 30) by (assert (level = 1 \/ level = 2 \/ level = 3) as [->|[->| ->]] by lia; done).
  assert (Hib : 0 <= i * size_of level <= 511 * 2 ^ 30).
  { split; [apply Z.mul_nonneg_nonneg; lia|]. apply Z.mul_le_mono_nonneg; lia. }
  split; [|lia]. unfold child. rewrite K. change (K_ASSIGNED =? K_ASSIGNED) with true. cbv iota. rewrite O, R.
  by rewrite (wrap_small (i * _)), wrap_small by lia.
Qed.
Lemma assigned_u64 level q r : 0 <= r <= 2 -> 0 < q < 2 ^ 48 -> u64 (assigned level q r).
Proof.
  intros Hr Hq. unfold assigned, u64.
  assert (Hl : 0 <= leaf_type level < 2 ^ 64) by (unfold leaf_type, S2_PAGE, S2_BLOCK; destruct (_ =? _); lia).
  destruct (r =? RIPAS_RAM); repeat match goal with |- 0 <= Z.lor _ _ < _ => apply lor_u64 end; try lia.
  all: vm_compute; split; [discriminate|reflexivity].
Qed.

(* Which pages of a level above those are. *)
Lemma part_pages level : 1 <= level <= 3 -> size_of (level - 1) / 4096 = 512 * (size_of level / 4096) /\
  size_of level = size_of level / 4096 * 4096 /\ 0 < size_of level / 4096.
Proof. intros H. assert (level = 1 \/ level = 2 \/ level = 3) as [->|[->| ->]] by lia; split_and!; reflexivity. Qed.

Section pages.
  Context (s : state) (rd t level base pp q r : Z) (I : inv s) (Hl : 1 <= level <= 3)
    (Hp : places s !! t = Some (Place rd level base pp)) (Hr : 0 <= r <= 2) (Hq : 0 < q < 2 ^ 40) (Ha : q mod size_of level = 0)
    (Hw : forall i, 0 <= i < 512 -> word (mem s) t i = child level (assigned (level - 1) q r) i).

  Lemma page_mapped n : 0 <= n < size_of (level - 1) / 4096 -> exists j y, maps s rd t j y (q + n * 4096).
  Proof using Hl Hp Hr Hq Ha Hw.
    intros Hn. destruct (parts level n Hl Hn) as (Q0 & Q1 & Q2 & Q3). cbv zeta in *.
    set (j := n / (size_of level / 4096)) in *. set (k := n mod (size_of level / 4096)) in *.
    destruct (assigned_child level q r j Hl Hr Hq (aligned_size _ _ Ha) Q1) as [E B].
    assert (Ha' : (q + j * size_of level) mod size_of level = 0) by (destruct (size_pos level); by rewrite Z.mod_add by lia).
    destruct (assigned_ok level _ r Hr B (aligned_size _ _ Ha')) as (O & _ & _ & K & _).
    exists j, (base + j * size_of level + k * 4096). constructor. exists (Place rd level base pp). cbn [p_rd p_level p_base].
    rewrite Hw, E by done. split_and!; try done; try lia. exists k. rewrite O. split_and!; try lia.
  Qed.
  Lemma mapped_page j y pa : maps s rd t j y pa -> exists n, 0 <= n < size_of (level - 1) / 4096 /\ pa = q + n * 4096.
  Proof using Hl Hp Hr Hq Ha Hw.
    intros [(p & Hp' & _ & Hj & _ & k & Hk & _ & ->)]. rewrite Hp in Hp'. injection Hp' as <-. cbn [p_level] in *.
    destruct (assigned_child level q r j Hl Hr Hq (aligned_size _ _ Ha) Hj) as [E B].
    assert (Ha' : (q + j * size_of level) mod size_of level = 0) by (destruct (size_pos level); by rewrite Z.mod_add by lia).
    destruct (assigned_ok level _ r Hr B (aligned_size _ _ Ha')) as (O & _). rewrite Hw, E, O by done.
    destruct (part_pages level Hl) as (P1 & P2 & P3). exists (j * (size_of level / 4096) + k). rewrite P1. clear P1 Ha' O E B.
    revert Hk P2 P3. generalize (size_of level / 4096). intros z Hk -> Hz. split; [nia|lia].
  Qed.
End pages.
