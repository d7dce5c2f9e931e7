# SPDX-License-Identifier: Apache-2.0
"""Traces of the compiled core on the simulated machine (hyp/tests/trace.c), repeated by the host of the small attack
machine with the real kcore.bin: same calls, same pages of the host. Results and the host's memory must be the same.

    read(path)      what a host did and got, of a trace that the fuzzer made with "host"
    Repeat(...)     does it again and compares
    shares(events)  how often which command ended how

What can not be the same, all of it:

    addresses       Place has the machine's for each of the simulator's, alike in all that the core knows of it
    the sealing key content keys are encrypted to it: LAUNCH_KEY gets them encrypted to the machine's
    the CPU         feature register 0, ICH_VTR; what its GIC makes of the state: exit's gicv3_misr, gicv3_vmcr
    the machine     number of tracked granules, log size, identity document; KCORE_VERSION's bit of the SMMU
    the log         its text has times and addresses
    counters        since the machine booted, so here since the episode began
"""

import collections
import dataclasses
import mmap

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
import kci
from machine import Dead
from rmi import ALL_ONES, C, PAGE

MAGIC = 0x31656361727463
RESET, POKE, SYSREG, CALL, PRIM, RETURN, WHOLE, END = range(1, 9)
NS, TRAP_IRQ = 0, 1
WORDS = PAGE // 8
DRAM_MASK = 0x0000FFFFFFFFF000


class Unreadable(Exception):
    """Not a trace, or one of what a host can not repeat."""


# --- the trace ---------------------------------------------------------------------------------------

@dataclasses.dataclass(slots=True)
class Reset:
    """A new machine. Addresses; numbers of granules: all, those that are tracked, KCore's own at the beginning."""
    dram: int
    granules: int
    tracked: int
    core: int
    full: int       # each word of memory


@dataclasses.dataclass(slots=True)
class Poke:
    pa: int
    index: int
    value: int


@dataclasses.dataclass(slots=True)
class Call:
    """A host's call, up to where the host goes on."""
    cpu: int
    x: list         # x0-x5
    results: list   # x0-x4
    ran: bool       # a REC, until the interrupt
    pages: list     # (pa, index, value): memory that the core changed
    states: list    # (pa, state): granules whose word it changed


class _Reader:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.words = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)).cast("Q")
        self.at = 0

    def take(self, n):
        self.at += n
        return self.words[self.at - n:self.at].tolist()

    def word(self):
        self.at += 1
        return self.words[self.at - 1]

    def counted(self):
        return self.take(self.word())

    def names(self):
        return [b"".join(w.to_bytes(8, "little") for w in self.take(8)).rstrip(b"\0").decode() for _ in range(self.word())]

    def groups(self, n):
        """Of n words each, up to ~0."""
        found = []
        while self.words[self.at] != ALL_ONES:
            found.append(tuple(self.take(n)))
        self.at += 1
        return found


def read(path):
    """Reset, Poke and Call, in order, of a trace of calls only."""
    r = _Reader(path)
    if r.word() != MAGIC:
        raise Unreadable(f"{path} is no trace")
    _, entries = r.names(), r.names()
    call = None
    while True:
        kind = r.word()
        if kind == POKE:
            yield Poke(*r.take(3))
        elif kind == CALL:
            if call is not None and not call.ran:
                raise Unreadable("a call while another CPU makes one")
            cpu, entry = r.take(2)
            name, args = entries[entry], r.counted()
            if name == "core_host_smc" and call is None:
                call = Call(cpu, args, [], False, [], [])
            elif name == "core_rec_exit" and call is not None and args[1:] == [TRAP_IRQ, 0, 0, 0]:
                pass
            elif name in ("core_boot_dram", "core_boot_device"):
                call = None
            else:
                raise Unreadable(f"{name}({args}): no host can do that again")
        elif kind == RETURN:
            results, pages, states = r.counted(), r.groups(3), r.groups(4)
            if call is None:
                continue    # boot
            call.pages += pages
            call.states += [(pa, state) for pa, state, _, _ in states]
            if len(results) == 6 and results[5] != 0:
                call.ran = True
                continue    # its exit comes
            call.results = [0, 0, 0, 0, call.x[4]] if call.ran else results[:5]
            yield call
            call = None
        elif kind == RESET:
            head = r.take(13)
            r.at += 128
            yield Reset(*head[:4], r.word())
        elif kind == WHOLE:
            r.groups(3)
        elif kind == END:
            return
        else:
            raise Unreadable(f"record {kind}")


# --- places ----------------------------------------------------------------------------------------

class Place:
    """The simulator's addresses on the machine: DRAM is a block of the host's memory, KCore's own granules are
    KCore's, those that are not tracked are no DRAM; and the machine's other DRAM is none."""

    RAM, RAM_END = 0x40000000, 0x80000000

    def __init__(self, reset, block, core):
        self.reset, self.parts = reset, []
        for first, end, to in ((0, reset.core, core), (reset.core, reset.tracked, block + reset.core * PAGE),
                               (reset.tracked, reset.granules, self.RAM_END)):
            self.parts.append((reset.dram + first * PAGE, reset.dram + end * PAGE, to))

    def there(self, x):
        """An address of the machine; bits that are none are kept."""
        a = x & DRAM_MASK
        for first, end, to in self.parts:
            if first <= a < end:
                return x - a + a - first + to
        return x + (1 << 38) if self.RAM <= a < self.RAM_END else x

    def back(self, x):
        a = x & DRAM_MASK
        for first, end, to in self.parts:
            if to <= a < to + end - first:
                return x - a + a - to + first
        return x

    def tracked(self, pa):
        return self.parts[1][0] <= pa < self.parts[1][1]


# Arguments that are addresses, and results.
ADDRESSES = {
    "RMI_GRANULE_DELEGATE": (1,), "RMI_GRANULE_UNDELEGATE": (1,), "RMI_DATA_CREATE": (1, 2, 4),
    "RMI_DATA_CREATE_UNKNOWN": (1, 2), "RMI_DATA_DESTROY": (1,), "RMI_REALM_ACTIVATE": (1,), "RMI_REALM_CREATE": (1, 2),
    "RMI_REALM_DESTROY": (1,), "RMI_REC_CREATE": (1, 2, 3), "RMI_REC_DESTROY": (1,), "RMI_REC_ENTER": (1, 2),
    "RMI_RTT_CREATE": (1, 2), "RMI_RTT_DESTROY": (1,), "RMI_RTT_MAP_UNPROTECTED": (1, 4), "RMI_RTT_READ_ENTRY": (1,),
    "RMI_RTT_UNMAP_UNPROTECTED": (1,), "RMI_PSCI_COMPLETE": (1, 2), "RMI_RTT_FOLD": (1,), "RMI_REC_AUX_COUNT": (1,),
    "RMI_RTT_INIT_RIPAS": (1,), "RMI_RTT_SET_RIPAS": (1, 2), "KCORE_DELEGATE_RANGE": (1,), "KCORE_UNDELEGATE_RANGE": (1,),
    "KCORE_LOG_READ": (1,), "KCORE_IDENTITY_READ": (1,), "KCORE_LAUNCH_POLICY": (1, 2), "KCORE_LAUNCH_KEY": (1, 2),
    "KCORE_DATA_CREATE_SEALED": (1, 2, 4, 5), "RMI_VERSION": (), "RMI_FEATURES": (), "KCORE_VERSION": (),
    "KCORE_FEATURES": (), "KCORE_COUNTER_READ": (),
}
RESULTS = {"RMI_DATA_DESTROY": (1,), "RMI_RTT_DESTROY": (1,), "RMI_RTT_FOLD": (1,), "RMI_RTT_READ_ENTRY": (3,)}
NAMES = {C[name]: name for name in ADDRESSES}
# A realm asks for these first, and realms do not run here.
NEED_A_REALM = {"RMI_RTT_SET_RIPAS", "RMI_PSCI_COMPLETE"}
NEVER_FAIL = {"RMI_FEATURES", "KCORE_VERSION"}

STATUS = {0: "SUCCESS", 1: "INPUT", 2: "REALM", 3: "REC", 4: "RTT", 16: "POLICY", 17: "SIGNATURE", 18: "SEAL", 19: "RIM"}
VERSION_DMA = 1
GICS = 0xb88 // 8, 0xb90 // 8   # gicv3_misr and gicv3_vmcr in a run page
SIMULATOR_KEY = b"the sealing key of the simulator"    # private, hyp/sim/crypto.c


def status_name(x0):
    if x0 == ALL_ONES:
        return "unknown"
    return STATUS[x0 & 0xff] + (f".{x0 >> 8}" if x0 >> 8 else "")


def shares(events):
    """Command -> status -> calls."""
    found = collections.defaultdict(collections.Counter)
    for event in events:
        if isinstance(event, Call):
            found[NAMES.get(event.x[0], "others")][status_name(event.results[0])] += 1
    return found


def to_bytes(words):
    return b"".join(w.to_bytes(8, "little") for w in words)


def fnv(words):
    total = 0xcbf29ce484222325
    for w in words:
        total = ((total ^ w) * 0x100000001b3) & ALL_ONES
    return total


# --- repeating -------------------------------------------------------------------------------------------

class Repeat:
    """Of one or more traces, on a machine of which nothing is delegated. It ends with the difference that is enough.

    differences: what is not the same, each with the calls before"""

    BATCH = 48    # calls, at most, in one line of the console

    def __init__(self, arena, sealing, enough=12):
        self.m, self.rmi, self.core, self.sealing = arena.m, arena.rmi, arena.KCORE_AT, sealing
        self.key = X25519PrivateKey.from_private_bytes(SIMULATOR_KEY)
        self.differences, self.enough = [], enough
        self.calls = self.episodes = 0
        self.block, self.place, self.cpu = None, None, None

    def run(self, events):
        try:
            for event in events:
                if len(self.differences) >= self.enough:
                    return
                self._event(event)
            self._end()
        except Dead as error:
            self._differs(f"the machine stops after these: {error}")

    def _event(self, event):
        if isinstance(event, Poke):
            if self.place:    # before: what the recorder makes images with
                self.memory[event.pa][event.index] = event.value
        elif isinstance(event, Call):
            self._call(event)
        else:
            self._end()
            self._begin(event)

    # An episode: from one new machine to the next.

    def _begin(self, reset):
        size = reset.granules * PAGE
        self.block = self.block or self._contiguous(size)
        self.place = Place(reset, self.block, self.core)
        pages = [reset.dram + n * PAGE for n in range(reset.core, reset.tracked)]
        self.memory = {pa: [reset.full] * WORDS for pa in pages}   # as the trace has it
        self.written = {pa: [reset.full] * WORDS for pa in pages}  # as it should be on the machine; None: nobody knows
        self.state = dict.fromkeys(pages, NS)
        self._fill(reset.dram, size, reset.full)
        assert self.rmi.delegated_count() == self.rmi.realms() == 0, "the machine is not as it was"
        self.base = [self.rmi.must("KCORE_COUNTER_READ", n)[1] for n in range(C["KCORE_NUM_COUNTERS"])]
        self.batch, self.before, self.policies = [], collections.deque(maxlen=6), {}
        self.episodes += 1

    def _end(self):
        """All of the pages are the host's again, and what the trace has in them."""
        if self.place is None:
            return
        self._flush()
        assert all(state == NS for state in self.state.values()), "the trace ends in the middle of an episode"
        first, expected = min(self.memory), {}
        sums = self.m.do("sums", self.place.there(first), len(self.memory) * PAGE, timeout=120)
        for n, found in enumerate(sums):
            words = self.written[first + n * PAGE]
            if words is None:
                continue
            words = tuple(words)
            if words not in expected:
                expected[words] = fnv(words)
            if int(found, 16) != expected[words]:
                self._page(first + n * PAGE)
        self.place = None

    def _contiguous(self, size):
        """A block of the host's memory, of allocations of 2 MiB."""
        order, piece, got = 9, PAGE << 9, set()
        while len(got) < 64:
            got.add(self.m.alloc(order))
            for start in got:
                wanted = {start + n * piece for n in range(size // piece)}
                if wanted <= got:
                    for pa in got - wanted:
                        self.m.free(pa, order)
                    return start
        raise MemoryError("the machine's memory is in pieces")

    # A call.

    def _call(self, call):
        name = NAMES.get(call.x[0], "others")
        if call.cpu != self.cpu:
            self._flush()
            self.cpu = call.cpu
            self.m.do("pin", self.cpu % self.m.config.cpus)
        x = list(call.x)
        for i in ADDRESSES.get(name, ()):
            x[i] = self.place.there(x[i])
            self._show(call.x[i] & DRAM_MASK, name, call)
        if name == "KCORE_LAUNCH_POLICY" and call.results[0] == 0:
            self.policies[call.x[1]] = to_bytes(self.memory[call.x[2]])[:C["LAUNCH_SIGNATURE"]]
        self.batch.append((call, name, x))
        returned = {pa for pa, state in call.states if state == NS and self.state.get(pa, NS) != NS}
        changed = {pa for pa, _, _ in call.pages if self.state.get(pa) == NS}
        self.state.update((pa, state) for pa, state in call.states if pa in self.state)
        for pa, index, value in call.pages:
            if pa in self.memory:
                self.memory[pa][index] = value
                if pa in changed and self.written[pa] is not None:
                    self.written[pa][index] = value
        for pa in returned:
            self.written[pa] = list(self.memory[pa])
        changed = {pa for pa in changed if self.state[pa] == NS}
        if changed or len(self.batch) >= self.BATCH:
            self._flush()
        for pa in changed:
            if name in ("KCORE_LOG_READ", "KCORE_IDENTITY_READ"):
                self.written[pa] = None
            else:
                self._page(pa, call)

    def _fill(self, pa, size, word):
        self.m.do("fill", self.place.there(pa) if size == PAGE else self.block, size, word & 0xff)

    def _show(self, pa, name, call):
        """The host writes what the trace has in this page, if it is not there yet."""
        if self.state.get(pa) != NS:
            return
        words = self.memory[pa]
        if name == "RMI_REALM_CREATE":
            at = C["REALM_PARAMS_RTT_BASE"] // 8
            words = [*words[:at], self.place.there(words[at]), *words[at + 1:]]
        elif name == "KCORE_LAUNCH_KEY":
            words = self._resealed(words, self.policies.get(call.x[1], b""))
        if words == self.written[pa]:
            return
        self._flush()
        if len(set(words)) == 1 and words[0] == (words[0] & 0xff) * 0x0101010101010101:
            self._fill(pa, PAGE, words[0])
        else:
            self.m.write_words(self.place.there(pa), PAGE, {8 * i: w for i, w in enumerate(words)})
        self.written[pa] = list(words)

    def _resealed(self, words, policy):
        """A page of LAUNCH_KEY for this machine, if it is one for the simulator and this policy."""
        data, info = to_bytes(words), b"kcore image key 1" + policy[C["LAUNCH_IMAGE_ID"]:C["LAUNCH_RESERVED"]]
        try:
            key = kci.hpke_open(self.key, data[:32], info, policy, data[32:C["LAUNCH_KEY_END"]])
        except (InvalidTag, ValueError):
            return words
        data = b"".join(kci.hpke_seal(self.sealing, info, policy, key)) + data[C["LAUNCH_KEY_END"]:]
        return [int.from_bytes(data[i:i + 8], "little") for i in range(0, PAGE, 8)]

    # Comparing.

    def _flush(self):
        """Makes the calls that wait."""
        batch, self.batch = self.batch, []
        if not batch:
            return
        text = " ; ".join(("irq " if call.ran else "") + " ".join(f"{w:x}" for w in x) for call, _, x in batch)
        answers = " ".join(self.m.do("calls", text)).split(";")
        for (call, name, x), answer in zip(batch, answers[:-1], strict=True):
            got = [int(w, 16) for w in answer.split()]
            self._compare(call, name, x, got + [0] * (18 - len(got)))

    def _compare(self, call, name, x, got):
        want = [*call.results, *x[5:], *[0] * 12]
        if name != "RMI_RTT_READ_ENTRY":
            want[4] = x[4]    # as it was
        if got[0] == 0:
            for i in RESULTS.get(name, ()):
                got[i] = self.place.back(got[i])
            for i in self._machines_own(name, x[1]):
                got[i] = want[i]
            if name == "KCORE_VERSION":
                got[2] &= ~VERSION_DMA
            elif name == "KCORE_COUNTER_READ":
                got[1] -= self.base[x[1]]
        self.calls += 1
        self.before.append(f"{name}({', '.join(map(hex, call.x[name != 'others':]))}) = {', '.join(map(hex, got[:5]))}")
        if got != want:
            self._differs(f"results: the trace has {', '.join(map(hex, want))}, the machine {', '.join(map(hex, got))}")

    @staticmethod
    def _machines_own(name, index):
        if name in ("KCORE_LOG_READ", "KCORE_IDENTITY_READ"):
            return 1, 2
        own = {"RMI_FEATURES": [0], "KCORE_FEATURES": [C[f"KCORE_FEATURE_{f}"] for f in ("ICH_VTR", "TRACKED", "LOG_SIZE")]}
        return (1,) if index in own.get(name, ()) else ()

    def _page(self, pa, call=None):
        found = self.m.read_words(self.place.there(pa), PAGE)
        if call is not None and call.ran:
            for i in GICS:
                self.written[pa][i] = found.get(8 * i, 0)
        wrong = [(i, want) for i, want in enumerate(self.written[pa]) if found.get(8 * i, 0) != want]
        if wrong:
            self._differs(f"page {pa:#x}: " + "; ".join(
                f"at {8 * i:#x} the trace has {want:#x}, the machine {found.get(8 * i, 0):#x}" for i, want in wrong[:4]))

    def _differs(self, text):
        self.differences.append("\n  ".join([f"episode {self.episodes}, call {self.calls}: {text}", *self.before]))
