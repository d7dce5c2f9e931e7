# SPDX-License-Identifier: Apache-2.0
"""RMI calls by the attacking host, and realms made with them. Names and numbers are those of the
headers in hyp/include."""

import itertools
import pathlib
import re

from machine import Refused

HYP = pathlib.Path(__file__).resolve().parents[2] / "hyp"
PAGE = 4096


def _constants():
    found = {}
    for header in ("rmi.h", "rsi.h", "psci.h", "smccc.h", "kcore.h"):
        text = (HYP / "include" / header).read_text()
        for name, value in re.findall(r"^#define\s+(\w+)\s+(0[xX][0-9a-fA-F]+|\d+)(?:UL|U|ull)?\b", text, re.M):
            found[name] = int(value, 0)
    return found


C = _constants()
globals().update(C)

OK, INPUT, REALM, REC, RTT = range(5)   # status; the index stands above
ALL_ONES = (1 << 64) - 1


class Rmi:
    """The calls, and the pages the attacker gave away."""

    def __init__(self, machine):
        self.m = machine
        self.pages = {}   # pa -> order, of all allocations
        self.position = 0 # up to which the log was read

    def call(self, name, *args):
        fid = C[name] if isinstance(name, str) else name
        return self.m.smc(fid, *args)

    def status(self, name, *args):
        return self.call(name, *args)[0]

    def must(self, name, *args):
        x = self.call(name, *args)
        assert x[0] == OK, f"{name}({', '.join(map(hex, args))}) -> {x[0]:#x}"
        return x

    def alloc(self, order=0):
        pa = self.m.alloc(order)
        self.pages[pa] = order
        return pa

    def free(self, pa):
        self.m.free(pa, self.pages.pop(pa))

    def delegated(self, order=0):
        pa = self.alloc(order)
        for i in range(1 << order):
            self.must("RMI_GRANULE_DELEGATE", pa + i * PAGE)
        return pa

    def undelegate(self, pa):
        for i in range(1 << self.pages[pa]):
            self.must("RMI_GRANULE_UNDELEGATE", pa + i * PAGE)
        self.free(pa)

    def delegated_count(self):
        return self.must("KCORE_FEATURES", C["KCORE_FEATURE_DELEGATED"])[1]

    def realms(self):
        return self.must("KCORE_FEATURES", C["KCORE_FEATURE_REALMS"])[1]

    def counter(self, name):
        return self.must("KCORE_COUNTER_READ", C[name])[1]

    def log(self, since=0):
        """KCore's log from a position on: (text, next position)."""
        page, text = self.alloc(), b""
        while True:
            x = self.must("KCORE_LOG_READ", page, since)
            if x[1] == 0:
                break
            text += self.m.read(page, x[1])
            since = x[2]
        self.free(page)
        self.position = since
        return text.decode(errors="replace"), since

    def log_position(self):
        return self.log(self.position)[1]

    def entry(self, rd, ipa, level=3):
        """RTT_READ_ENTRY: (level, state, descriptor, ripas)."""
        return tuple(self.must("RMI_RTT_READ_ENTRY", rd, ipa, level)[1:5])


def realm_params(vmid, start):
    """Words of RmiRealmParams: 33 bits of IPA, start level 2, 8 start tables."""
    return {C["REALM_PARAMS_S2SZ"]: 33, C["REALM_PARAMS_NUM_BPS"]: 1, C["REALM_PARAMS_NUM_WPS"]: 1,
            C["REALM_PARAMS_VMID"]: vmid, C["REALM_PARAMS_RTT_BASE"]: start,
            C["REALM_PARAMS_RTT_LEVEL_START"]: 2, C["REALM_PARAMS_RTT_NUM_START"]: 8}


class Exit:
    """The exit half of a run page."""

    def __init__(self, words):
        """words: offset in the exit half -> value, sparse."""
        def word(offset):
            return words.get(offset - 0x800, 0)
        self.reason, self.esr, self.far, self.hpfar = word(0x800), word(0x900), word(0x908), word(0x910)
        self.gprs = [word(0xa00 + 8 * i) for i in range(31)]
        self.ripas = word(0xd00), word(0xd08), word(0xd10) & 0xff
        self.imm = word(0xe00)
        self.ipa = (self.hpfar & ~0xf) << 8
        self.ec = self.esr >> 26
        self.words = words

    def __repr__(self):
        return (f"<exit {self.reason} esr {self.esr:#x} far {self.far:#x} ipa {self.ipa:#x} "
                f"gprs {[hex(g) for g in self.gprs[:4]]}>")


class Trap(Exception):
    """The guest took an exception at EL1."""

    def __init__(self, vector, esr, far, elr):
        super().__init__(f"vector {vector} esr {esr:#x} far {far:#x} elr {elr:#x}")
        self.vector, self.esr, self.far, self.elr = vector, esr, far, elr


class Left(Exception):
    """The guest left for the host instead of answering."""

    def __init__(self, exit_):
        super().__init__(repr(exit_))
        self.exit = exit_


class EnterFailed(Exception):
    def __init__(self, status):
        super().__init__(f"REC_ENTER -> {status:#x}")
        self.status = status


class Realm:
    """A realm of 2 MiB with the puppet (guest/puppet.S) in it. IPAs: code 0, host call page 0x1000,
    data from 0x2000 on. s2sz 33: start level 2, 8 start tables, shared alias 0x1_0000_0000."""

    CODE, CALLS, DATA = 0, 0x1000, 0x2000
    SHARED = 1 << 32
    OPS = {name: i + 1 for i, name in enumerate(
        "load store smc call sum fill hvc spin wfi sgi regs counter vtimer pair mpidr".split())}
    vmids = itertools.count(2)

    def __init__(self, rmi, puppet, recs=1, data_pages=2, activate=True, vmid=None):
        self.rmi, self.m = rmi, rmi.m
        self.tables, self.data, self.recs, self.shared = {}, {}, [], {}
        self.vmid = next(Realm.vmids) % 200 + 2 if vmid is None else vmid
        self.rd = rmi.delegated()
        self.start = rmi.delegated(3)
        params = rmi.alloc()
        self.m.write_words(params, PAGE, realm_params(self.vmid, self.start))
        rmi.must("RMI_REALM_CREATE", self.rd, params)
        rmi.free(params)
        self.table(0)
        rmi.must("RMI_RTT_INIT_RIPAS", self.rd, 0, 0x200000)
        self.load(self.CODE, puppet)
        self.load(self.CALLS, bytes(PAGE))
        for i in range(data_pages):
            self.load(self.DATA + i * PAGE, bytes(PAGE))
        for i in range(recs):
            self.rec(i)
        if activate:
            rmi.must("RMI_REALM_ACTIVATE", self.rd)

    def table(self, ipa):
        pa = self.rmi.delegated()
        self.rmi.must("RMI_RTT_CREATE", self.rd, pa, ipa, 3)
        self.tables[ipa] = pa
        return pa

    def load(self, ipa, content):
        """A measured page."""
        source, pa = self.rmi.alloc(), self.rmi.delegated()
        if any(content):
            self.m.write(source, content)
        self.rmi.must("RMI_DATA_CREATE", self.rd, pa, ipa, source, 1)
        self.rmi.free(source)
        self.data[ipa] = pa
        return pa

    def load_unknown(self, ipa):
        pa = self.rmi.delegated()
        self.rmi.must("RMI_DATA_CREATE_UNKNOWN", self.rd, pa, ipa)
        self.data[ipa] = pa
        return pa

    def rec(self, index, pc=None, x0=None):
        params, rec = self.rmi.alloc(), self.rmi.delegated()
        pc = self.CODE if pc is None else pc
        x0 = self.CALLS + 0x100 * index if x0 is None else x0
        self.m.write_words(params, PAGE, {C["REC_PARAMS_FLAGS"]: 1, C["REC_PARAMS_MPIDR"]: index,
                                          C["REC_PARAMS_PC"]: pc, C["REC_PARAMS_GPRS"]: x0})
        self.rmi.must("RMI_REC_CREATE", self.rd, rec, params)
        self.rmi.free(params)
        self.recs.append((rec, self.rmi.alloc()))
        return rec

    def share(self, ipa, pa=None):
        """Maps a page of the host's into the shared half."""
        ipa |= self.SHARED
        base = ipa & ~0x1fffff
        if base not in self.tables:
            self.table(base)
        pa = self.rmi.alloc() if pa is None else pa
        self.rmi.must("RMI_RTT_MAP_UNPROTECTED", self.rd, ipa, 3, pa | 0x18 | 0xc0)
        self.shared[ipa] = pa
        return pa

    # --- running -------------------------------------------------------------------

    def set_entry(self, flags=0, gprs=(), index=0, hcr=0, lrs=()):
        words = {0: flags, 0x300: hcr}
        words |= {0x200 + 8 * i: g & ALL_ONES for i, g in enumerate(gprs)}
        words |= {0x308 + 8 * i: lr for i, lr in enumerate(lrs)}
        self.m.write_words(self.recs[index][1], 0x388, words)

    def enter(self, milliseconds=5000, index=0, run=None):
        """Enters until the guest leaves for something but an interrupt."""
        rec, own = self.recs[index]
        status, _, self.exits = (int(v, 16) for v in self.m.do("run", rec, run or own, milliseconds,
                                                               timeout=milliseconds / 1000 + 60))
        if status:
            raise EnterFailed(status)
        return Exit(self.m.read_words(own + 0x800, 0x800))

    def ask(self, operation, *args, index=0, raw=False):
        """The puppet does an operation; its results. Raises Trap or Left."""
        if not hasattr(self, "asked"):
            self.asked = set()
        if index not in self.asked:   # the first run goes from the entry point to the first question
            self.set_entry(index=index)
            first = self.enter(index=index)
            assert first.reason == C["REC_EXIT_HOST_CALL"], first
            self.asked.add(index)
        self.set_entry(gprs=[self.OPS[operation], *args], index=index)
        return self.answer(self.enter(index=index), raw)

    def answer(self, exit_, raw=False):
        if exit_.reason != C["REC_EXIT_HOST_CALL"]:
            raise Left(exit_)
        g = exit_.gprs
        if g[0] & 0x100 and not raw:
            raise Trap(g[0] & 0xff, g[1], g[2], g[3])
        assert g[0] == 0 or raw, f"puppet says {g[0]:#x}"
        return g[1:]

    def smc(self, *x, index=0):
        return self.ask("smc", *x, index=index)[:11]

    # --- the secret ------------------------------------------------------------------

    def keep_secret(self, first):
        """The realm makes words in its data page that the host never had."""
        self.ask("fill", self.DATA, 512, first)
        self.secret = first
        return self.data[self.DATA]

    def secret_kept(self):
        total = 0
        for i in range(512):
            total ^= self.secret + i
        return self.ask("sum", self.DATA, 512)[0] == total

    # --- the end ---------------------------------------------------------------------

    def destroy(self):
        """All of it back to the host; every step must work."""
        rmi = self.rmi
        for rec, run in self.recs:
            rmi.must("RMI_REC_DESTROY", rec)
            rmi.undelegate(rec)
            rmi.free(run)
        for ipa, pa in self.shared.items():
            rmi.must("RMI_RTT_UNMAP_UNPROTECTED", self.rd, ipa, 3)
            if pa in rmi.pages:
                rmi.free(pa)
        for ipa, pa in self.data.items():
            assert rmi.must("RMI_DATA_DESTROY", self.rd, ipa)[1] == pa
            rmi.undelegate(pa)
        for ipa, pa in self.tables.items():
            assert rmi.must("RMI_RTT_DESTROY", self.rd, ipa, 3)[1] == pa
            rmi.undelegate(pa)
        rmi.must("RMI_REALM_DESTROY", self.rd)
        rmi.undelegate(self.start)
        rmi.undelegate(self.rd)


__all__ = ["ALL_ONES", "C", "EnterFailed", "Exit", "INPUT", "Left", "OK", "PAGE", "REALM", "REC", "RTT",
           "Realm", "Refused", "Rmi", "Trap", "realm_params"]
