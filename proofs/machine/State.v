(* SPDX-License-Identifier: Apache-2.0 *)
(* The machine as one CPU's handler sees it: what every primitive of hyp/mach/mach.h reads and changes.

   Granules and pages are keyed by their physical address. A page is 512 words; one that was never written
   is zero. RD, REC and translation tables are pages: their fields and descriptors are words
   (gen/Prims.v has the offsets, made from fields.h). What is not here: caches and memory order (the
   primitives include the barriers of their contracts), time, the general registers of guests outside a
   REC, devices other than as agents that walk the host's tables. *)
From stdpp Require Export base gmap list.
From kcore Require Export lang.Lang gen.Prims.
Local Open Scope Z_scope.

(* ---- Constants of mach.h ---- *)

Definition GS_NS := 0.
Definition GS_DELEGATED := 1.
Definition GS_RD := 2.
Definition GS_REC := 3.
Definition GS_RTT := 4.
Definition GS_DATA := 5.
Definition GS_CORE := 6.
Definition REFS_MAX := 0xFFFF.

Definition u64 (z : Z) : Prop := 0 <= z < 2 ^ 64.

(* ---- Parts ---- *)

Record granule := Gran { g_state : Z; g_owner : Z; g_refs : Z }.

Inductive lock := LGranule (pa : Z) | LHost.
Definition lock_eqb (a b : lock) : bool :=
  match a, b with
  | LGranule x, LGranule y => x =? y
  | LHost, LHost => true
  | _, _ => false
  end.

(* Who walks the host's tables. *)
Inductive agent := Cpu | Smmu.
Definition agent_eqb (a b : agent) : bool :=
  match a, b with Cpu, Cpu | Smmu, Smmu => true | _, _ => false end.

(* What may still be cached although no walk gives it any more: a page, a block of 2 MiB, or the entry that
   points to a table (DDI0487 D8.13, caching of translation table walks); of the host's regime, by agent and
   address, or of a realm's, by RD, level, the first address that the entry translated, and the descriptor. *)
Inductive reach := RPage | RBlock | RTable.
Definition reach_eqb (a b : reach) : bool :=
  match a, b with RPage, RPage | RBlock, RBlock | RTable, RTable => true | _, _ => false end.
Inductive stale :=
| StaleHost (a : agent) (r : reach) (ipa : Z)
| StaleRealm (rd level ipa desc : Z).

(* Where a realm's table stands: whose it is, its level, the first address it translates, and the table that
   has the entry for it (0: it is a start table). Nothing of the machine stores this; pt_write and granule_set
   keep it, for the guards and the invariant. *)
Record place := Place { p_rd : Z; p_level : Z; p_base : Z; p_parent : Z }.

(* What does not change while the machine runs. role says of a table's address which host table it is:
   who walks it (the level 3 tables are shared), its level, and the first address it translates. *)
Inductive role := Role (who : option agent) (level base : Z).
Record hardware := Hardware {
  host_table : Z -> Z -> Z;              (* level, ipa *)
  smmu_table : Z -> Z -> Z;
  role_of : Z -> option role;
  vmid_usable : Z -> bool;
  vtr : Z;
  width : Z;
  level0 : bool;
  id_register : Z -> Z -> Z;
  time : nat -> Z;                       (* what the n-th reading of the counter gives *)
  hash : Z -> list Z -> Z -> list Z;     (* algorithm, words, bytes of them: eight words *)
  log_bytes : Z;
  log_text : list (Z * Z * Z) -> Z -> Z * Z;   (* events, newest first, and position: bytes, next position *)
  log_byte : list (Z * Z * Z) -> Z -> Z -> Z;  (* and the bytes *)
  identity_size : Z;                     (* this KCore's identity document *)
  identity_byte : Z -> Z;
  (* Cryptography: functions of what goes in, and nothing else is said of them. Secrets of this KCore, and
     what is a fresh key or nonce, are in the function. Words in and out. *)
  signature_good : list Z -> Z -> Z -> Z -> bool;            (* page, length, key, signature *)
  key_opened : list Z -> list Z -> option (list Z);          (* page, policy: the content key *)
  page_opened : list Z -> list Z -> Z -> list Z -> Z -> Z -> option (list Z);
                                         (* key, image id, ipa, page, tag's two words: the plain page *)
  token_claims : list Z -> list Z -> list Z;                 (* challenge, realm: REC_token_len and _token *)
  token_signed : list Z -> option (list Z);                  (* claims: the same words with the realm token *)
  token_size : list Z -> Z;                                  (* of the whole token *)
  token_byte : list Z -> Z -> Z;
}.

Record state := State {
  hw : hardware;
  gran : gmap Z granule;                 (* tracked granules *)
  mem : gmap Z (list Z);
  held : list lock;                      (* by this CPU *)
  shrinking : bool;                      (* it released one already: two-phase locking *)
  others : lock -> bool;                 (* held by other CPUs *)
  staled : list stale;
  holes : gmap Z Z;                      (* by address of the 2 MiB *)
  vmids : gset Z;
  clock : nat;                           (* readings of the counter *)
  params : list Z;                       (* scratch pages of this CPU *)
  run : list Z;
  hash_page : list Z;
  digest : list Z;
  runs : Z;                              (* the REC that this CPU runs, or 0 *)
  loaded : Z;                            (* the REC whose registers are on this CPU, or 0 *)
  live : list Z;                         (* and those registers: EL1, then the virtual GIC interface and FP *)
  vtimer_masked : bool;
  counters : gmap Z Z;
  logged : list (Z * Z * Z);             (* newest first *)
  places : gmap Z place;                 (* of the realms' tables *)
  cached : gset Z;                       (* RDs of which some TLB may hold what a walk gives, or gave once *)
}.

(* The state with other contents in one field. *)
Definition with_gran x s := State (hw s) x (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_mem x s := State (hw s) (gran s) x (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_held x y s := State (hw s) (gran s) (mem s) x y (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_staled x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) x (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_holes x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) x (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_vmids x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) x (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_clock x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) x
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_params x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  x (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_run x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) x (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_hash_page x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) x (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_digest x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) x (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_runs x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) x (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_loaded x y s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) x y (vtimer_masked s) (counters s) (logged s) (places s) (cached s).
Definition with_masked x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) x (counters s) (logged s) (places s) (cached s).
Definition with_counters x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) x (logged s) (places s) (cached s).
Definition with_logged x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) x (places s) (cached s).
Definition with_places x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) x (cached s).
Definition with_cached x s := State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) x.

Lemma state_eta s : State (hw s) (gran s) (mem s) (held s) (shrinking s) (others s) (staled s) (holes s) (vmids s) (clock s)
  (params s) (run s) (hash_page s) (digest s) (runs s) (loaded s) (live s) (vtimer_masked s) (counters s) (logged s) (places s) (cached s) = s.
Proof. destruct s. reflexivity. Qed.

(* ---- Words of pages ---- *)

Definition nth_word (l : list Z) (i : Z) : Z := nth (Z.to_nat i) l 0.
Definition set_nth (l : list Z) (i : Z) (v : Z) : list Z := <[Z.to_nat i := v]> l.
Definition zero_page : list Z := replicate 512 0.
Definition page (m : gmap Z (list Z)) (pa : Z) : list Z := default zero_page (m !! pa).
Definition word (m : gmap Z (list Z)) (pa i : Z) : Z := nth_word (page m pa) i.
Definition set_word (m : gmap Z (list Z)) (pa i v : Z) : gmap Z (list Z) := <[pa := set_nth (page m pa) i v]> m.

Definition is_page (l : list Z) : Prop := length l = 512%nat.
Definition mem_ok (m : gmap Z (list Z)) : Prop := forall pa l, m !! pa = Some l -> is_page l.

Lemma page_ok m pa : mem_ok m -> is_page (page m pa).
Proof.
  intros H. unfold page. destruct (m !! pa) eqn:E; simpl; [eauto|].
  unfold is_page, zero_page. apply length_replicate.
Qed.

Lemma nth_set_same l i v : is_page l -> 0 <= i < 512 -> nth_word (set_nth l i v) i = v.
Proof.
  unfold is_page, nth_word, set_nth. intros Hl Hi. rewrite nth_lookup.
  rewrite list_lookup_insert by lia. done. Qed.

Lemma nth_set_other l i j v : 0 <= i -> 0 <= j -> i <> j -> nth_word (set_nth l i v) j = nth_word l j.
Proof.
  unfold nth_word, set_nth. intros. rewrite !nth_lookup. rewrite list_lookup_insert_ne by lia. done.
Qed.

Lemma set_nth_page l i v : is_page l -> is_page (set_nth l i v).
Proof. unfold is_page, set_nth. by rewrite length_insert. Qed.

Lemma set_nth_twice l i v w : set_nth (set_nth l i v) i w = set_nth l i w.
Proof. apply list_insert_insert. Qed.

Lemma set_nth_same l i : is_page l -> 0 <= i < 512 -> set_nth l i (nth_word l i) = l.
Proof.
  unfold is_page, set_nth, nth_word. intros Hl Hi. apply list_insert_id.
  rewrite nth_lookup. destruct (l !! Z.to_nat i) eqn:E; [done|].
  apply lookup_ge_None in E. lia.
Qed.

Lemma page_insert_same m pa l : page (<[pa := l]> m) pa = l.
Proof. unfold page. by rewrite lookup_insert. Qed.
Lemma page_insert_other m pa pa' l : pa <> pa' -> page (<[pa := l]> m) pa' = page m pa'.
Proof. intros. unfold page. by rewrite lookup_insert_ne. Qed.

Lemma word_set_same m pa i v : mem_ok m -> 0 <= i < 512 -> word (set_word m pa i v) pa i = v.
Proof. intros. unfold word, set_word. rewrite page_insert_same. by apply nth_set_same; [apply page_ok|]. Qed.
Lemma word_set_slot m pa i j v : 0 <= i -> 0 <= j -> i <> j -> word (set_word m pa i v) pa j = word m pa j.
Proof. intros. unfold word, set_word. rewrite page_insert_same. by apply nth_set_other. Qed.
Lemma word_set_page m pa pa' i j v : pa <> pa' -> word (set_word m pa i v) pa' j = word m pa' j.
Proof. intros. unfold word, set_word. by rewrite page_insert_other. Qed.
Lemma page_set_page m pa pa' i v : pa <> pa' -> page (set_word m pa i v) pa' = page m pa'.
Proof. intros. unfold set_word. by rewrite page_insert_other. Qed.
Lemma set_word_ok m pa i v : mem_ok m -> mem_ok (set_word m pa i v).
Proof.
  intros H pa' l. unfold set_word. destruct (decide (pa = pa')) as [->|].
  - rewrite lookup_insert. intros [= <-]. apply set_nth_page, page_ok, H.
  - rewrite lookup_insert_ne by done. apply H.
Qed.
Lemma set_word_twice m pa i v w : set_word (set_word m pa i v) pa i w = set_word m pa i w.
Proof. unfold set_word. rewrite page_insert_same, insert_insert, set_nth_twice. done. Qed.
Lemma set_word_same m pa i v : mem_ok m -> 0 <= i < 512 -> word m pa i = v -> v <> 0 -> set_word m pa i v = m.
Proof.
  intros Hm Hi <- Hv. unfold set_word, word. rewrite set_nth_same by (auto using page_ok).
  apply insert_id. unfold page. destruct (m !! pa) eqn:E; [done|]. exfalso. apply Hv.
  unfold word, page. rewrite E. simpl. unfold nth_word, zero_page. rewrite nth_lookup.
  destruct (replicate 512 0 !! Z.to_nat i) eqn:E'; [|done]. by apply lookup_replicate in E' as [-> _].
Qed.
Lemma set_word_comm m pa pa' i j v w :
  pa <> pa' -> set_word (set_word m pa i v) pa' j w = set_word (set_word m pa' j w) pa i v.
Proof.
  intros. unfold set_word. rewrite (page_insert_other _ pa), (page_insert_other _ pa') by done.
  by apply insert_commute.
Qed.
