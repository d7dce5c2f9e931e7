(* SPDX-License-Identifier: Apache-2.0 *)
(* Repeats in the model what the compiled core did on the simulated machine.

   usage: replay TRACE      (hyp/tests/trace.c says what is in it)

   Each call of the core is made on the model, from the model's own state. Its primitives must be those of the
   trace, with the same arguments, results and locks held; its results the same; and after each call the model's
   state what the simulator's is: all of this CPU, VMIDs, counters and holes, and every page and granule that a
   primitive named; every 500 calls and at the end all pages and granules. What the model leaves open (time,
   cryptography, tokens, the log) is taken from the trace. While a CPU waits for a lock, others make calls.

   Exit status: 0 no difference; 1 one, which is told on standard error; 2 the trace can not be read. *)
open Model
module Z = Integer
module List = Stdlib.List
module String = Stdlib.String

(* ---- The trace ---- *)

exception Unreadable of string

let source = open_in_bin (if Array.length Sys.argv = 2 then Sys.argv.(1) else (prerr_endline "usage: replay TRACE"; exit 2))
let buffer = Bytes.create 65536
let at = ref 0
let filled = ref 0
let fill () =
  let left = !filled - !at in
  Bytes.blit buffer !at buffer 0 left;
  at := 0;
  filled := left;
  while !filled < 8 do
    let n = input source buffer !filled (Bytes.length buffer - !filled) in
    if n = 0 then raise (Unreadable "the trace ends in the middle");
    filled := !filled + n
  done
let word () =
  if !filled - !at < 8 then fill ();
  let v = Bytes.get_int64_le buffer !at in
  at := !at + 8;
  let i = Int64.to_int v in
  if i >= 0 && Int64.equal (Int64.of_int i) v then Z.of_int i else Z.of_int64_unsigned v
let int () = Z.to_int (word ())
let many n read = let rec go i = if i = n then [] else let x = read () in x :: go (i + 1) in go 0
let words () = let n = int () in many n word
let all_ones = Z.pred (Z.shift_left Z.one 64)
(* Items up to the word ~0. *)
let rec list_of item = let first = word () in if Z.equal first all_ones then [] else let x = item first in x :: list_of item
let pairs () = list_of (fun i -> (Z.to_int i, word ()))
let name () =
  let b = Buffer.create 64 in
  for _ = 1 to 8 do
    let w = word () in
    for k = 0 to 7 do
      match Z.to_int (Z.extract w (8 * k) 8) with 0 -> () | c -> Buffer.add_char b (Char.chr c)
    done
  done;
  Buffer.contents b
let names () = let n = int () in Array.of_list (many n name)

(* ---- Differences ---- *)

exception Different
let hex z = Printf.sprintf "0x%s" (Z.format "%x" z)
let hexes l = String.concat ", " (List.map hex l)
let calls = ref 0
let prims = ref 0
let chain : string list ref = ref []       (* calls that have begun *)
let recent = Queue.create ()
let saw what = Queue.push what recent; if Queue.length recent > 12 then ignore (Queue.pop recent)
let differs fmt =
  Printf.ksprintf (fun text ->
    Printf.eprintf "call %d: %s\n" !calls text;
    List.iter (Printf.eprintf "  in %s\n") !chain;
    Queue.iter (fun f -> Printf.eprintf "  before: %s\n" (f ())) recent;
    raise Different) fmt

(* ---- The simulated machine, as the trace tells it ---- *)

let dram = ref 0 and granules = ref 0 and tracked_ = ref 0 and tables = ref 0 and regions = ref 0 and device = ref 0
let pages : (int, Z.t array) Hashtbl.t = Hashtbl.create 4096
let words_of : (int, granule) Hashtbl.t = Hashtbl.create 4096
let used_vmids : (int, unit) Hashtbl.t = Hashtbl.create 16
let told_counters : (int, Z.t) Hashtbl.t = Hashtbl.create 16
let told_holes : (int, Z.t) Hashtbl.t = Hashtbl.create 16
type scratch = { e_params : Z.t array; e_run : Z.t array; e_hash : Z.t array; e_digest : Z.t array; e_live : Z.t array }
let cpus : scratch array ref = ref [||]
let el1 = 40 (* of the live registers; the simulator keeps the others in the REC *)

(* Pages and granules to compare after the call. *)
let named : (int, unit) Hashtbl.t = Hashtbl.create 64
let name_address z =
  if Z.fits_int z then begin
    let a = Z.to_int z land lnot 4095 in
    if Hashtbl.mem pages a then Hashtbl.replace named a ()
  end

(* ---- What the model leaves open: as the present primitive of the trace has it ---- *)

let o_results = ref [] and o_args = ref [] and o_pages = ref [] and o_digest = ref []
let page_after pa = match List.assoc_opt (Z.to_int pa) !o_pages with
  | Some l -> l | None -> differs "the trace has no page %s" (hex pa)
let arg i = List.nth !o_args i
let result i = List.nth !o_results i
let succeeded () = not (Z.equal (result 0) Z.zero)
let slice at_ n l = List.filteri (fun i _ -> i >= at_ && i < at_ + n) l
let byte l k = Z.extract (List.nth l (k / 8)) (8 * (k mod 8)) 8
let sizes : (Z.t list, Z.t) Hashtbl.t = Hashtbl.create 64
let same_page what given brought =
  if not (List.equal Z.equal given brought) then differs "%s of another page than the core's" what

let hardware () =
  let in_gib ipa = Z.equal (Z.shift_right ipa 30) (Z.of_int (!dram lsr 30)) in
  let table n = Z.of_int (!tables + (n lsl 12)) in
  let region ipa = (Z.to_int ipa - !dram) asr 21 in
  let has_region ipa = Z.geq ipa (Z.of_int !dram) && Z.lt ipa (Z.of_int (!dram + (!granules lsl 12))) in
  let vtr = word () in
  let width0 = word () in
  let level0 = int () <> 0 in
  let log_bytes = word () in
  let ids = Array.of_list (many 128 word) in
  { host_table = (fun level ipa ->
      match Z.to_int level with
      | _ when Z.numbits ipa > 40 -> Z.zero
      | 1 -> table 0
      | 2 when Z.numbits ipa <= 30 -> table 4
      | 3 when Z.numbits ipa <= 30 -> if Z.to_int ipa lsr 21 = !device lsr 21 then table 5 else Z.zero
      | 2 when in_gib ipa -> table 1
      | 3 when in_gib ipa && has_region ipa -> table (6 + region ipa)
      | _ -> Z.zero);
    smmu_table = (fun level ipa -> if has_region ipa then table (if Z.to_int level = 1 then 2 else 3) else Z.zero);
    role_of = (fun pa ->
      if not (Z.fits_int pa) then None else
      let n = (Z.to_int pa - !tables) asr 12 and gib = Z.of_int (!dram land lnot 0x3fffffff) in
      if Z.to_int pa < !tables || Z.to_int pa land 4095 <> 0 || n >= 6 + !regions then None else
      Some (match n with
        | 0 -> Role (Some Cpu, Z.one, Z.zero)
        | 1 -> Role (Some Cpu, Z.of_int 2, gib)
        | 2 -> Role (Some Smmu, Z.one, Z.zero)
        | 3 -> Role (Some Smmu, Z.of_int 2, gib)
        | 4 -> Role (Some Cpu, Z.of_int 2, Z.zero)
        | 5 -> Role (None, Z.of_int 3, Z.of_int (!device land lnot 0x1fffff))
        | n -> Role (None, Z.of_int 3, Z.of_int (!dram + ((n - 6) lsl 21)))));
    vmid_usable = (fun v -> Z.lt v (Z.of_int 255));
    vtr; width0; level0; log_bytes;
    id_register = (fun crm op2 -> ids.(8 * Z.to_int crm + Z.to_int op2));
    time = (fun _ -> result 0);
    hash = (fun _ l _ ->
      (match !o_pages with [ (_, brought) ] -> same_page "a hash" l brought | _ -> ());
      !o_digest);
    log_text = (fun _ _ -> (result 0, result 1));
    log_byte = (fun _ _ k -> byte (page_after (arg 0)) (Z.to_int k));
    identity_size = Z.zero;
    identity_byte = (fun k -> byte (page_after (arg 0)) (Z.to_int (Z.sub k (arg 1))));
    signature_good = (fun _ _ _ _ -> succeeded ());
    key_opened = (fun _ _ ->
      if succeeded () then Some (slice (Z.to_int (rd_off RD_content_key)) 4 (page_after (arg 0))) else None);
    page_opened = (fun _ _ _ sealed _ _ ->
      same_page "a sealed page" sealed (page_after (arg 3));
      if succeeded () then Some (page_after (arg 1)) else None);
    token_claims = (fun _ _ -> slice (Z.to_int (rec_off REC_token_len)) 129 (page_after (arg 0)));
    token_signed = (fun _ ->
      if succeeded () then Some (slice (Z.to_int (rec_off REC_token_len)) 129 (page_after (arg 0))) else None);
    token_size = (fun token -> match Hashtbl.find_opt sizes token with
      | Some n -> n
      | None -> let n = result 0 in Hashtbl.replace sizes token n; n);
    token_byte = (fun _ k ->
      byte (page_after (arg 3)) (Z.to_int (Z.add (arg 4) (Z.sub k (arg 1))))) }

(* ---- The model ---- *)

let prim_names = ref [||] and entry_names = ref [||]
let privates : state array ref = ref [||]  (* what each CPU had when another began to act *)
let cur = ref 0
let zeros n = List.init n (fun _ -> Z.zero)

let switch s cpu =
  !privates.(!cur) <- s;
  cur := cpu;
  let p = !privates.(cpu) in
  { s with held = p.held; shrinking = p.shrinking; params = p.params; run = p.run; hash_page = p.hash_page;
           digest = p.digest; runs = p.runs; loaded = p.loaded; live = p.live; vtimer_masked = p.vtimer_masked;
           others = (fun l ->
             let found = ref false in
             Array.iteri (fun i q -> if i <> cpu && List.exists (lock_eqb l) q.held then found := true) !privates;
             !found) }

let loaded_by s cpu = if cpu = !cur then s.loaded else !privates.(cpu).loaded
let live_by s cpu = if cpu = !cur then s.live else !privates.(cpu).live
let set_live s cpu i v =
  let set l = List.mapi (fun k x -> if k = i then v else x) l in
  if cpu = !cur then { s with live = set s.live }
  else (!privates.(cpu) <- { !privates.(cpu) with live = set !privates.(cpu).live }; s)
(* The CPU that runs this REC. *)
let runner s pa = let found = ref None in
  Array.iteri (fun i _ -> if Z.equal (loaded_by s i) pa then found := Some i) !privates; !found
let rec_el1 = Z.to_int (rec_off REC_el1)
let rec_gic = Z.to_int (rec_off REC_ich_hcr)
let gic_words = Z.to_int (Z.add (rec_off REC_fp) (rec_len REC_fp)) - rec_gic
let is_gic i = i >= rec_gic && i < rec_gic + gic_words

let reset () =
  dram := int (); granules := int (); tracked_ := int ();
  let own = int () in
  tables := int (); regions := int ();
  let n_cpus = int () in
  device := int ();
  let host_vmid = int () in
  if host_vmid <> 255 then raise (Unreadable "the host's VMID");
  let hw = hardware () in
  let full = word () in
  List.iter Hashtbl.reset [ named; used_vmids ];
  Hashtbl.reset pages; Hashtbl.reset words_of; Hashtbl.reset told_counters; Hashtbl.reset told_holes; Hashtbl.reset sizes;
  for n = 0 to !granules - 1 do Hashtbl.replace pages (!dram + (n lsl 12)) (Array.make 512 full) done;
  for n = 0 to 6 + !regions - 1 do Hashtbl.replace pages (!tables + (n lsl 12)) (Array.make 512 Z.zero) done;
  for n = 0 to !tracked_ - 1 do
    let g_state = if n < own then Z.of_int 6 else Z.zero in
    Hashtbl.replace words_of (!dram + (n lsl 12)) { g_state; g_owner = Z.zero; g_refs = Z.zero }
  done;
  for r = 0 to !regions - 1 do Hashtbl.replace told_holes r Z.zero done;
  let a n = Array.make n Z.zero in
  cpus := Array.init n_cpus (fun _ -> { e_params = a 512; e_run = a 512; e_hash = a 512; e_digest = a 8; e_live = a el1 });
  let filled = List.init 512 (fun _ -> full) in
  let s = { hw;
    gran = map_of (Hashtbl.fold (fun pa g l -> (Z.of_int pa, g) :: l) words_of []);
    mem = map_of (List.init !granules (fun n -> (Z.of_int (!dram + (n lsl 12)), filled)));
    held = []; shrinking = false; others = (fun _ -> false); staled = []; holes = map_of []; vmids = set_of [];
    clock = 0; params = zero_page; run = zero_page; hash_page = zero_page; digest = zeros 8; runs = Z.zero;
    loaded = Z.zero; live = []; vtimer_masked = false; counters = map_of []; logged = []; places = map_of [];
    cached = set_of [] } in
  privates := Array.make n_cpus s;
  cur := 0;
  s

(* ---- Comparing states ---- *)

let compare_page s pa =
  let told = Hashtbl.find pages pa in
  let here = runner s (Z.of_int pa) in
  let live = match here with Some cpu -> Array.of_list (live_by s cpu) | None -> [||] in
  let rec go i = function
    | [] -> if i <> 512 then differs "page %x has %d words" pa i
    | w :: l ->
        (match here with
         | Some _ when i >= rec_el1 && i < rec_el1 + el1 -> () (* stale, and poisoned by the simulator *)
         | Some _ when is_gic i ->
             if not (Z.equal live.(el1 + i - rec_gic) told.(i)) then
               differs "live word %d of REC %x: model %s, core %s" i pa (hex live.(el1 + i - rec_gic)) (hex told.(i))
         | _ -> if not (Z.equal w told.(i)) then differs "page %x word %d: model %s, core %s" pa i (hex w) (hex told.(i)));
        go (i + 1) l in
  go 0 (page s.mem (Z.of_int pa))

let compare_granule s pa =
  match Hashtbl.find_opt words_of pa with
  | None -> ()
  | Some g ->
      let m = granule_at s (Z.of_int pa) in
      if not (Z.equal m.g_state g.g_state && Z.equal m.g_owner g.g_owner && Z.equal m.g_refs g.g_refs) then
        differs "granule %x: model %s, core %s" pa (hexes [ m.g_state; m.g_owner; m.g_refs ])
          (hexes [ g.g_state; g.g_owner; g.g_refs ])

let compare_words what l told =
  let n = Array.length told in
  let rec go i l = match l with
    | [] -> if i < n then differs "%s: the model has %d words" what i
    | w :: l -> if i < n then (if not (Z.equal w told.(i)) then
        differs "%s word %d: model %s, core %s" what i (hex w) (hex told.(i)); go (i + 1) l) in
  go 0 l

let compare_all s =
  Hashtbl.iter (fun pa _ -> compare_page s pa; compare_granule s pa) pages;
  List.iter (fun (pa, _) -> if not (Hashtbl.mem pages (Z.to_int pa)) then differs "the model has a page at %s" (hex pa))
    (pages_of s.mem);
  if List.length (granules_in s.gran) <> !tracked_ then differs "the model has other granules"

let put_words l = List.iter (fun (pa, i, v) -> (Hashtbl.find pages pa).(i) <- v; Hashtbl.replace named pa ()) l
let page_changes () = list_of (fun pa -> let i = int () in (Z.to_int pa, i, word ()))

(* What the trace says after a call, and the model's state beside it. *)
let compare_state s =
  let c = !cpus.(!cur) in
  put_words (page_changes ());
  let changed = list_of (fun pa -> let g_state = word () in let g_owner = word () in
    (Z.to_int pa, { g_state; g_owner; g_refs = word () })) in
  List.iter (fun (pa, g) -> Hashtbl.replace words_of pa g; Hashtbl.replace named pa ()) changed;
  List.iter (fun (r, n) -> Hashtbl.replace told_holes r n) (pairs ());
  List.iter (fun (v, used) ->
    if Z.equal used Z.zero then Hashtbl.remove used_vmids v else Hashtbl.replace used_vmids v ()) (pairs ());
  List.iter (fun (i, n) -> Hashtbl.replace told_counters i n) (pairs ());
  let update a = List.iter (fun (i, v) -> a.(i) <- v) (pairs ()) in
  update c.e_params; update c.e_run; update c.e_hash; update c.e_digest;
  let loaded = word () in
  update c.e_live;
  let masked = int () <> 0 in
  let locks = int () in
  let realm = word () in
  Hashtbl.iter (fun pa () -> compare_page s pa; compare_granule s pa) named;
  Hashtbl.reset named;
  Hashtbl.iter (fun r n ->
    let m = at_number s.holes (Z.of_int (!dram + (r lsl 21))) in
    if not (Z.equal m n) then differs "holes of region %d: model %s, core %s" r (hex m) (hex n)) told_holes;
  let used = elements_of s.vmids in
  if List.length used <> Hashtbl.length used_vmids || not (List.for_all (fun v -> Hashtbl.mem used_vmids (Z.to_int v)) used)
  then differs "VMIDs: the model has %s" (hexes used);
  Hashtbl.iter (fun i n ->
    let m = at_number s.counters (Z.of_int i) in
    if not (Z.equal m n) then differs "counter %d: model %s, core %s" i (hex m) (hex n)) told_counters;
  compare_words "parameter page" s.params c.e_params;
  compare_words "run page" s.run c.e_run;
  compare_words "hash page" s.hash_page c.e_hash;
  compare_words "digest" s.digest c.e_digest;
  if not (Z.equal s.loaded loaded) then differs "REC loaded: model %s, core %s" (hex s.loaded) (hex loaded);
  if not (Z.equal loaded Z.zero) then compare_words "EL1 registers" s.live c.e_live;
  if s.vtimer_masked <> masked then differs "the timer is masked in one of them";
  if List.length s.held <> locks || not (Z.equal realm Z.zero) || s.held <> [] then differs "locks are held"

(* ---- Following the trace ---- *)

let t_reset = 1 and t_poke = 2 and t_sysreg = 3 and t_call = 4 and t_prim = 5 and t_return = 6 and t_whole = 7 and t_end = 8

let poke s =
  let pa = int () in
  let i = int () in
  let v = word () in
  (Hashtbl.find pages pa).(i) <- v;
  match runner s (Z.of_int pa) with
  | Some cpu when is_gic i -> set_live s cpu (el1 + i - rec_gic) v
  | _ -> put_word (Z.of_int pa) (Z.of_int i) v s

let sysreg s =
  let cpu = int () in
  let i = int () in
  let v = word () in
  !cpus.(cpu).e_live.(i) <- v;
  set_live s cpu i v

let rec take_call s =
  let outer = !cur in
  let cpu = int () in
  let entry = !entry_names.(int ()) in
  let args = words () in
  let s = switch s cpu in
  incr calls;
  let before = !chain in
  chain := Printf.sprintf "CPU %d: %s(%s)" cpu entry (hexes args) :: before;
  let s = match Lazy.force core entry args s with
    | None -> differs "the model is stuck"
    | Some (results, s) ->
        if int () <> t_return then differs "the model has returned, the core goes on";
        let told = words () in
        if not (List.equal Z.equal results told) then differs "results: model %s, core %s" (hexes results) (hexes told);
        compare_state s;
        s in
  chain := before;
  if before = [] then s else switch s outer

(* One primitive of the model: what others do before it, if it is a lock; then the same of the trace. *)
and follow p args s =
  let name = Names.prim_name p in
  let rec others s =
    match int () with
    | t when t = t_prim -> s
    | t when t = t_poke -> others (poke s)
    | t when t = t_sysreg -> others (sysreg s)
    | t when t = t_call && (name = "realm_lock" || name = "host_lock") -> others (take_call s)
    | t when t = t_return -> differs "the core has returned, the model calls %s(%s)" name (hexes args)
    | t -> differs "record %d of the trace where the model calls %s(%s)" t name (hexes args) in
  let s = others s in
  incr prims;
  let told = !prim_names.(int ()) in
  let locks = int () in
  let released = int () <> 0 in
  o_args := words ();
  o_results := words ();
  let n = int () in
  o_pages := many n (fun () -> let pa = int () in (pa, many 512 word));
  o_digest := if told = "hash_buffer" || told = "hash_granule" then many 8 word else [];
  if told <> name || not (List.equal Z.equal args !o_args) then
    differs "primitives: model %s(%s), core %s(%s)" name (hexes args) told (hexes !o_args);
  List.iter name_address args;
  let s = if name <> "identity_read" then s else
    let size = result 1 in
    if not (Z.equal s.hw.identity_size Z.zero || Z.equal s.hw.identity_size size) then differs "the identity document changes";
    { s with hw = { s.hw with identity_size = size } } in
  match prim_sem p args s with
  | None -> differs "the model is stuck at %s(%s)" name (hexes args)
  | Some (results, s) ->
      let wanted = !o_results in
      saw (fun () -> Printf.sprintf "%s(%s) = %s" name (hexes args) (hexes wanted));
      if not (List.equal Z.equal results wanted) then
        differs "%s(%s): model %s, core %s" name (hexes args) (hexes results) (hexes wanted);
      if List.length s.held <> locks || s.shrinking <> released then
        differs "after %s(%s): the model has %d locks, the core %d" name (hexes args) (List.length s.held) locks;
      Some (results, s)

and core : (string -> Z.t list -> state -> (Z.t list * state) option) Lazy.t = lazy (run_core follow)

let main () =
  if not (Z.equal (word ()) (Z.of_string "0x31656361727463")) then raise (Unreadable "this is no trace");
  prim_names := names ();
  entry_names := names ();
  let rec go s =
    match int () with
    | t when t = t_reset -> go (Some (reset ()))
    | t when t = t_end -> s
    | t ->
        match s with
        | None when t = t_poke -> ignore (many 3 word); go s (* before the first machine *)
        | None -> raise (Unreadable "no machine")
        | Some s when t = t_poke -> go (Some (poke s))
        | Some s when t = t_sysreg -> go (Some (sysreg s))
        | Some s when t = t_call -> go (Some (take_call s))
        | Some s when t = t_whole ->
            let changed = page_changes () in
            if changed <> [] then differs "%d words changed in pages that no primitive named" (List.length changed);
            compare_all s;
            go (Some s)
        | Some _ -> raise (Unreadable (Printf.sprintf "record %d" t)) in
  Option.iter compare_all (go None);
  Printf.printf "%d calls, %d primitives: no difference\n" !calls !prims

let () =
  try main () with
  | Different -> exit 1
  | Unreadable text -> prerr_endline ("replay: " ^ text); exit 2
