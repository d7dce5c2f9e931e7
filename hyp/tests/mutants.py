#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Take one protection after the other out of the core: a test or the fuzzer must notice each.

usage: mutants.py [NUMBER...]        (in the source tree; needs gcc, cmocka, libcrypto, the toolbox's
                                    sources of HACL*; minutes)

Each mutant replaces one piece of text in one file of hyp/core.  Survivors are
missing tests.  A piece that is no longer found counts as a survivor, too.
proofs/mutate holds the proofs against the same list.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

HYP = pathlib.Path(__file__).resolve().parent.parent
CORE = """granule hostmem s2tt rtt measure launch realm data rec vgic vtimer psci rsi
exit rmi""".split()
TESTS = "granule rtt launch realm data rec vgic vtimer psci rsi exit rmi".split()
FLAGS = ["-std=gnu17", "-O1"] + [f"-I{HYP / d}" for d in ("core", "include", "mach", "sim")]
FUZZ = ["40000", "3"]
SOURCES = pathlib.Path(os.environ.get("KCORE_SOURCES", "/usr/src/kcore"))
HACL_NSS = "Chacha20 Chacha20Poly1305_32 Curve25519_51 Ed25519 P384 Poly1305_32".split()

# What is wrong with it, file, text, its replacement.
MUTANTS = [
    ('a page that a realm maps is delegated', 'hostmem',
     '\tif (refs != 0) {\n\t\tgranule_release(pa);',
     '\tif (refs != 0 && refs == 0) {\n\t\tgranule_release(pa);'),
    ("the SMMU's TLB is forgotten", 'hostmem',
     '\tsmmu_tlbi(pa);\n',
     '\t\n'),
    ("the host's TLB is forgotten", 'hostmem',
     '\tif (table) {\n\t\ttlbi_host(pa);\n\t} else',
     '\tif (table) {\n\t} else'),
    ('a delegated page is not wiped', 'hostmem',
     '\thost_unlock();\n\tzero_granule(pa);',
     '\thost_unlock();\n'),
    ('a returned page is not wiped', 'granule',
     '\tzero_granule(pa);\n',
     ''),
    ('a table with live entries is destroyed', 'rtt',
     '\tif (refs != 0) {\n\t\terror = error_rtt(level);',
     '\tif (refs == 513) {\n\t\terror = error_rtt(level);'),
    ('a host page is unpinned before the TLB forgets it', 'rtt',
     '\ttlbi_realm(vmid, ipa);\n\tns_put_pages',
     '\tns_put_pages'),
    ('a host page is mapped unpinned', 'rtt',
     '\tok = ns_get_pages(pa, pages);\n\tif (!ok) {\n\t\treturn RMI_ERROR_INPUT;\n\t}\n',
     ''),
    ("a table's pins are lost", 'rtt',
     '\trtt_drop_ns(rd, level, child);\n\tgranule_scrub(child);',
     '\tgranule_scrub(child);'),
    ('the host maps a page in the protected half', 'rtt',
     '\treturn bounded && !protected && aligned && level >= start;',
     '\treturn bounded && aligned && level >= start && (protected || !protected);'),
    ('a table that is not uniform is folded', 'rtt',
     '\tbool same = rtt_uniform(child, level, parent);',
     '\tbool same = true;'),
    ('a block that is not aligned is folded', 'rtt',
     '\tif (!aligned && (kind == S2K_ASSIGNED',
     '\tif (false && !aligned && (kind == S2K_ASSIGNED'),
    ('a block is split without invalidation', 'rtt',
     '\tif (valid) {\n\t\ts2_break(w.table, w.slot, 0);\n\t\ttlbi_realm(vmid, ipa);\n\t}\n',
     '\tif (valid) {\n\t\ts2_break(w.table, w.slot, 0);\n\t}\n'),
    ('a table is unlinked without invalidation', 'rtt',
     '\ts2_break(w.table, w.slot, 0);\n\ttlbi_realm_all(vmid);\n',
     '\ts2_break(w.table, w.slot, 0);\n'),
    ("a realm's page is put anywhere", 'data',
     '\treturn protected && aligned;',
     '\treturn aligned && (protected || !protected);'),
    ("a page is taken while in the realm's TLB", 'data',
     '\t\ts2_break(w.table, w.slot, left);\n\t\ttlbi_realm(vmid, ipa);',
     '\t\ts2_break(w.table, w.slot, left);'),
    ('RIPAS changes while the REC runs', 'data',
     '\tif (running != 0) {',
     '\tif (running == 7) {'),
    ('a page is not counted', 'data',
     '\tgranule_add_refs(w.table, 1);\n',
     ''),
    ("another realm's REC is used", 'data',
     '\tif (owner == rd) {\n\t\tr = rtt_set',
     '\tif (owner != 0) {\n\t\tr = rtt_set'),
    ('a page is added to a running realm', 'data',
     'return state == REALM_NEW && (s.sealed',
     'return state < 9 && (s.sealed'),
    ('a realm with RECs is destroyed', 'realm',
     '\tif (recs != 0 || !unused) {',
     '\tif (recs != 0 && !unused) {'),
    ('two realms have one VMID', 'realm',
     '\tok = vmid_claim(p.vmid);\n',
     '\tok = vmid_claim(p.vmid);\n\tok = true;\n'),
    ('start tables are not aligned', 'realm',
     '\tif ((p.rtt_base & ((tables << 12) - 1)) != 0) {',
     '\tif (false) {'),
    ('a running REC is destroyed', 'rec',
     '\tif (running != 0) {\n\t\trealm_unlock(rd);',
     '\tif (running == 7) {\n\t\trealm_unlock(rd);'),
    ('a REC is used that has changed hands', 'rec',
     '\tif (owner != rd) {\n\t\trealm_unlock',
     '\tif (owner == 1) {\n\t\trealm_unlock'),
    ('any list register is allowed', 'vgic',
     '\tif ((lr & (ICH_LR_HW | ',
     '\tif ((lr & (0 | '),
    ('one interrupt twice', 'vgic',
     '\treturn !seen;',
     '\treturn seen || !seen;'),
    ('any ICH_HCR is allowed', 'vgic',
     '\tbool good = (hcr & ~ICH_HCR_HOST) == 0;',
     '\tbool good = hcr == hcr;'),
    ('a fault shows a register', 'exit',
     '\tcounter_add(KCORE_CTR_EXIT_FAULT, 1);',
     '\thpfar = rec_get_gpr(rec, 20);\n\trun_out_gpr(0, hpfar);\n\tcounter_add(KCORE_CTR_EXIT_FAULT, 1);'),
    ('the host emulates a protected access', 'exit',
     '\trec_set_last_esr(rec, esr & ESR_SHOW);',
     '\trec_set_last_esr(rec, esr);'),
    ('a REC runs that waits for PSCI', 'exit',
     '\tif (runnable == 0 || pending != 0) {',
     '\tif (runnable == 0) {'),
    ('the run page stays pinned', 'exit',
     '\tns_put(run);\n}\n\n/* Leave with',
     '}\n\n/* Leave with'),
    ('PSCI_COMPLETE with the wrong target', 'psci',
     '\tif (pending == 0 || want != index) {',
     '\tif (pending == 0) {'),
    ("PSCI_COMPLETE with another realm's REC", 'psci',
     '\tif (owner == rd) {\n\t\tresult = psci',
     '\tif (owner != 0) {\n\t\tresult = psci'),
    ('PSCI_COMPLETE of a running caller', 'psci',
     '\tif (busy != 0) {',
     '\tif (busy == 7) {'),
    ('a RIPAS request leaves the protected half', 'rsi',
     '\tif (ripas > RMI_RIPAS_RAM || !aligned || top <= base || !inside) {',
     '\tif (ripas > RMI_RIPAS_RAM || !aligned || top <= base) {'),
    ('the configuration goes to no page', 'rsi',
     '\tif (page.result == IPA_OK) {\n\t\trsi_config_write',
     '\tif (page.result != IPA_EMPTY) {\n\t\trsi_config_write'),
    ('a token goes past the end of its page', 'rsi',
     ' || size > GRANULE_SIZE - offset) {',
     ') {'),
    ('a token buffer outside the protected half', 'rsi',
     '\treturn protected;',
     '\treturn protected || ipa != 0;'),
    ('a token that nobody asked for', 'rsi',
     '\tif (state == TOKEN_NONE) {\n\t\treturn RSI_ERROR_STATE;\n\t}\n',
     ''),
    ('a token is fetched twice', 'rsi',
     '\t\trec_set_token_state(rec, TOKEN_NONE);\n\t\tstatus = RSI_SUCCESS;',
     '\t\tstatus = RSI_SUCCESS;'),
    ('a new token starts where the last one stopped', 'rsi',
     '\trec_set_token_done(rec, 0);\n',
     ''),
    ('a host call is answered twice', 'rsi',
     '\trec_set_host_call(rec, 0);\n',
     ''),
    ('a policy that nobody signed', 'launch',
     '\tif (!ok) {\n\t\treturn KCORE_ERROR_SIGNATURE;\n\t}\n',
     ''),
    ('a second policy', 'launch',
     ' && has_policy == 0',
     ' && has_policy < 2'),
    ('a policy for a realm with pages', 'launch',
     ' && private == 0 && shared == 0',
     ' && private < 9 && shared < 9'),
    ('a policy that is not measured', 'launch',
     '\tmeasure_policy(rd);\n',
     ''),
    ('a signer who is not measured', 'measure',
     '\t\thash_put(DESC_BODY + MEAS_WORDS + i, word);\n',
     '\t\thash_put(DESC_BODY + MEAS_WORDS, 0);\n'),
    ('a key for a realm that can be anything', 'launch',
     '\tif (!ok) {\n\t\treturn KCORE_ERROR_POLICY;\n\t}\n\t/* Is it sealed',
     '\t/* Is it sealed'),
    ('a realm runs with another RIM', 'realm',
     '\tif (!ok) {\n\t\treturn KCORE_ERROR_RIM;\n\t}\n',
     ''),
    ('the content key stays', 'realm',
     '\tlaunch_forget_key(rd);\n',
     ''),
    ('a sealed page without a key', 'data',
     ' && (s.sealed == 0 || has_key != 0)',
     ' && (s.sealed < 2 || has_key != 0)'),
    ('a page that does not open', 'data',
     '\tif (!ok) {\n\t\treturn KCORE_ERROR_SEAL;\n\t}\n',
     ''),
    ('a page more than allowed', 'data',
     '\treturn private < max;',
     '\treturn private <= max;'),
    ('a page that is gone counts', 'data',
     '\tdata_add_private(rd, ~0UL);\n',
     ''),
    ('more host pages than allowed', 'rtt',
     'shared + pages > max',
     'shared > max'),
    ("a table's host pages count when it is gone", 'rtt',
     '\t\t\trtt_add_shared(rd, 0UL - pages);\n',
     ''),
    ('a REC more than allowed', 'rec',
     'if (index >= max) {',
     'if (index > max) {'),
    ('a granule that the host uses becomes its own again', 'hostmem',
     'granule_claim(pa, GS_DELEGATED);\n\tif (!ok) {\n\t\treturn RMI_ERROR_INPUT;\n\t}\n\n\thost_lock();',
     'granule_claim(pa, GS_NS);\n\tif (!ok) {\n\t\treturn RMI_ERROR_INPUT;\n\t}\n\n\thost_lock();'),
    ('another code for a granule that is not delegated', 'hostmem',
     'granule_claim(pa, GS_DELEGATED);\n\tif (!ok) {\n\t\treturn RMI_ERROR_INPUT;',
     'granule_claim(pa, GS_DELEGATED);\n\tif (!ok) {\n\t\treturn RMI_ERROR_REALM;'),
    ("the host's tables change without their lock", 'hostmem',
     '\thost_lock();\n\thost_unmap(pa);\n\thost_unlock();\n',
     '\thost_unmap(pa);\n'),
    ('a delegated granule stays mapped', 'hostmem',
     '\thost_lock();\n\thost_unmap(pa);\n\thost_unlock();\n',
     ''),
    ('a granule stays claimed', 'hostmem',
     '\tcounter_add(KCORE_CTR_DELEGATED, 1);\n\tgranule_release(pa);\n',
     '\tcounter_add(KCORE_CTR_DELEGATED, 1);\n'),
    ('delegated granules are not counted', 'hostmem',
     '\tcounter_add(KCORE_CTR_DELEGATED, 1);\n',
     ''),
    ('a granule is mapped before it is the host\'s', 'hostmem',
     '\tgranule_set(pa, GS_NS, 0);\n\thost_map(pa);\n',
     '\thost_map(pa);\n\tgranule_set(pa, GS_NS, 0);\n'),
    ('a granule of a range too many', 'hostmem',
     'count == 0 || count > KCORE_RANGE_MAX',
     'count > KCORE_RANGE_MAX'),
    ('a range goes on after a failure', 'hostmem',
     'if (i < count && status == RMI_SUCCESS) {\n\t\t\tstatus = granule_delegate(',
     'if (i < count) {\n\t\t\tstatus = granule_delegate('),
    ('references stay on a granule that is given back', 'granule',
     '\tgranule_set_refs(pa, 0);\n',
     ''),
    ('a returned page is free before it is wiped', 'granule',
     '\tzero_granule(pa);\n\tgranule_set_refs(pa, 0);\n\tgranule_set(pa, GS_DELEGATED, 0);\n',
     '\tgranule_set_refs(pa, 0);\n\tgranule_set(pa, GS_DELEGATED, 0);\n\tzero_granule(pa);\n'),
    ('a page too few is pinned', 'granule',
     '\t\tif (i < n && got == i) {\n\t\t\tbool ok = ns_get(',
     '\t\tif (i + 1 < n && got == i) {\n\t\t\tbool ok = ns_get('),
    ('pins stay when one fails', 'granule',
     '\tns_put_pages(pa, got);\n',
     ''),
    ('claims stay when one fails', 'granule',
     '\tgranules_release(base, got);\n',
     ''),
    ('a block where there should be a page', 's2tt',
     '\tif (level == 3) {\n\t\treturn S2_PAGE;\n\t}\n',
     '\tif (level == 2) {\n\t\treturn S2_PAGE;\n\t}\n'),
    ('an entry without the host\'s mark', 's2tt',
     ' | S2_XN | S2_NS_BIT | type',
     ' | S2_XN | type'),
    ('a host page that the realm executes', 's2tt',
     ' | S2_SH_INNER | S2_XN | ',
     ' | S2_SH_INNER | '),
    ('unknown bits of the host\'s descriptor', 's2tt',
     '(host & ~(S2_PA_MASK | NS_MEMATTR_MASK | NS_S2AP_MASK)) != 0',
     '(host & ~(S2_PA_MASK | NS_MEMATTR_MASK | NS_S2AP_MASK)) == 1'),
    ('a reserved memory type', 's2tt',
     'return aligned && memattr != NS_MEMATTR_RESERVED;',
     'return aligned && memattr <= NS_MEMATTR_RESERVED;'),
    ('a page of a split block goes to the first one', 's2tt',
     'uint64_t pa = first + i * size;',
     'uint64_t pa = first + (i & ~1UL) * size;'),
    ('an empty entry counts as live', 's2tt',
     'kind == S2K_TABLE || kind == S2K_ASSIGNED ||',
     'kind == S2K_TABLE || kind == S2K_ASSIGNED || kind == S2K_UNASSIGNED ||'),
    ('a timer that is off asserts', 'vtimer',
     'if (ctl == (CTL_ENABLE | CTL_ISTATUS)) {',
     'if ((ctl & CTL_ISTATUS) != 0) {'),
    ('the physical timer\'s change is not told', 'vtimer',
     'return line_v != told_v || line_p != told_p;',
     'return line_v != told_v;'),
    ('the timer is not masked', 'vtimer',
     '\tvtimer_mask(told == 1);\n',
     '\tvtimer_mask(told == 2);\n'),
    ('a timer value of 31 bits', 'vtimer',
     'return (cval - now) & 0xFFFFFFFFUL;',
     'return (cval - now) & 0x7FFFFFFFUL;'),
    ('a guest sets the timer\'s status', 'vtimer',
     'rec_set_cntp_ctl(rec, value & (CTL_ENABLE | CTL_IMASK));',
     'rec_set_cntp_ctl(rec, value);'),
    ('a list register too many', 'vgic',
     '\tuint64_t num = (vtr & 0x1F) + 1;\n\n\tif (num > ICH',
     '\tuint64_t num = (vtr & 0x1F) + 2;\n\n\tif (num > ICH'),
    ('a priority that the CPU does not have', 'vgic',
     '\tif (bits == 5) {\n\t\treturn 0x07UL << 48;',
     '\tif (bits == 5) {\n\t\treturn 0x03UL << 48;'),
    ('an interrupt number that does not exist', 'vgic',
     '\tif (intid < 8192) {\n\t\treturn false;',
     '\tif (intid < 4096) {\n\t\treturn false;'),
]


def compile_to(directory, name, source, *more):
    target = directory / f"{name}.o"
    subprocess.run(["gcc", *FLAGS, *more, "-w", "-c", source, "-o", target], check=True)
    return target


def compile_trusted(directory):
    """The simulator, and identity, tokens and cryptography, which it shares with the hardware: name -> object."""
    sha2 = SOURCES / "python3.13" / "Modules" / "_hacl"
    nss = SOURCES / "nss" / "nss" / "lib" / "freebl" / "verified"
    include = ["-DHACL_CAN_COMPILE_UINT128=1", f"-I{HYP}/crypto/hacl"]
    include_sha2 = [*include, f"-I{sha2}", f"-I{sha2}/include"]
    include_nss = [*include, f"-I{nss}", f"-I{nss}/karamel/include", f"-I{nss}/karamel/krmllib/dist/minimal"]
    files = [(f, []) for part in ("sim", "attest") for f in sorted((HYP / part).glob("*.c"))]
    files += [(f, include_sha2) for f in (sha2 / "Hacl_Hash_SHA2.c", HYP / "crypto" / "sha2.c")]
    files += [(f, include_nss) for f in sorted((HYP / "crypto").glob("*.c")) if f.name != "sha2.c"]
    files += [(nss / f"Hacl_{name}.c", include_nss) for name in HACL_NSS]
    return {f"{f.stem}_trusted": compile_to(directory, f"{f.stem}_trusted", f, *more) for f, more in files}


def link(program, objects, *libraries):
    subprocess.run(["gcc", *objects, *libraries, "-o", program], check=True)


def fails(command):
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


def noticed(directory, core, common):
    """The tests that fail with these objects of the core."""
    found = []
    program = directory / "program"
    link(program, [common["fuzz"], common["tenant"], *core], "-lcrypto")
    if fails([program, *FUZZ]):
        found.append("fuzz")
    for test in TESTS:
        link(program, [common[test], common["util"], common["tenant"], *core], "-lcmocka", "-lcrypto")
        if fails([program]):
            found.append(test)
    return found


def main():
    numbers = [int(n) for n in sys.argv[1:]] or range(len(MUTANTS))
    survivors = 0
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        core = {c: compile_to(directory, c + "_core", HYP / "core" / f"{c}.c") for c in CORE}
        core |= compile_trusted(directory)
        common = {t: compile_to(directory, t, HYP / "tests" / f"test_{t}.c") for t in TESTS}
        common["fuzz"] = compile_to(directory, "fuzz", HYP / "tests" / "fuzz.c")
        common["tenant"] = compile_to(directory, "tenant", HYP / "tests" / "tenant.c")
        common["util"] = compile_to(directory, "util", HYP / "tests" / "util.c")
        if noticed(directory, core.values(), common):
            print("the core itself fails its tests")
            return 1
        for number in numbers:
            what, file, old, new = MUTANTS[number]
            text = (HYP / "core" / f"{file}.c").read_text(encoding="ascii")
            found = []
            if old in text:
                source = directory / "mutant.c"
                source.write_text(text.replace(old, new, 1), encoding="ascii")
                mutant = compile_to(directory, "mutant", source)
                found = noticed(directory, [mutant if c == file else o for c, o in core.items()], common)
            survivors += not found
            print(f"{number:2} {file:8} {what}: {', '.join(found) or 'SURVIVED'}", flush=True)
    print(f"{len(numbers) - survivors} noticed, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
