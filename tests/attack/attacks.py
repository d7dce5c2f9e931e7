# SPDX-License-Identifier: Apache-2.0
"""What a malicious host, device and guest try.

Each attack is a function of an Arena: a machine, the RMI calls, and a victim realm with a secret. It
returns something true if it got what it wanted, or a false value (or raises Refused) if it was refused.
`weak` names the file weak/NAME.patch that takes away the protection it runs against; without it the
attack must succeed. `event` is a pattern that KCore's log must show afterwards."""

import dataclasses
import itertools
import random
import re
import struct
import time

from rmi import ALL_ONES, C, EnterFailed, INPUT, Left, OK, PAGE, REC, Realm, Refused, Trap, realm_params

ATTACKS = []


@dataclasses.dataclass
class Attack:
    run: object
    name: str
    weak: str
    event: str
    machine: dict   # settings of the weak machine


def attack(weak=None, event=None, **machine):
    def register(function):
        ATTACKS.append(Attack(function, function.__name__, weak, event, machine))
        return function
    return register


_weakened = {}


def weakened(name, settings=()):
    """The parameter of the fixture weak: weak/NAME.patch, machine settings. Equal ones are the same object,
    which is what pytest goes by when it decides whether the fixture can stay."""
    return _weakened.setdefault((name, settings), (name, settings))


@dataclasses.dataclass
class Arena:
    m: object
    rmi: object
    puppet: bytes
    wild: bytes
    kcore: bytes        # kcore.bin
    victim: Realm = None
    logged: list = dataclasses.field(default_factory=list)   # of each attack: when it was over, lines in the log

    KCORE_AT = 0x40200000

    def realm(self, **settings):
        return Realm(self.rmi, self.puppet, **settings)

    def secret(self):
        """The victim's data page: PA, and the bytes in it."""
        first = self.victim.secret
        return self.victim.data[Realm.DATA], b"".join((first + i).to_bytes(8, "little") for i in range(512))

    def new_victim(self):
        self.victim = self.realm()
        self.victim.keep_secret(random.getrandbits(60))
        return self.victim


# --- The host, by load, store and fetch ------------------------------------------------------------

def _reads(a, how):
    pa, secret = a.secret()
    return a.m.read(pa, 64, how) == secret[:64]


def _writes(a, how):
    pa, secret = a.secret()
    a.m.write(pa + 8, b"\xee" * 8, how)
    return a.m.physical(pa, PAGE) != secret and not a.victim.secret_kept()


CODE = 0xd65f03c0d280bd80   # mov x0, #0x5ec; ret


def _executes(a, how):
    page = Realm.DATA + PAGE
    a.victim.ask("store", page, CODE)
    return a.m.execute(a.victim.data[page], how) == 0x5ec


ABORT = r"host: access refused"


@attack(weak="host-keeps-page", event=ABORT)
def user_space_reads_realm_memory(a):
    return _reads(a, "u")


@attack(weak="host-keeps-page", event=ABORT)
def user_space_writes_realm_memory(a):
    return _writes(a, "u")


@attack(weak="host-keeps-page", event=ABORT)
def user_space_executes_realm_memory(a):
    return _executes(a, "u")


@attack(weak="host-keeps-page", event=ABORT)
def kernel_reads_realm_memory(a):
    return _reads(a, "l")


@attack(weak="host-keeps-page", event=ABORT)
def kernel_writes_realm_memory(a):
    return _writes(a, "l")


@attack(weak="host-keeps-page", event=ABORT)
def kernel_executes_realm_memory(a):
    return _executes(a, "l")


@attack(weak="host-keeps-page", event=ABORT)
def kernel_reads_translation_table_of_realm(a):
    table = a.victim.tables[0]
    return a.m.read(table, 64) == a.m.physical(table, 64)


@attack(weak="host-keeps-page", event=ABORT)
def dev_mem_reads_realm_memory(a):
    pa, secret = a.secret()
    return bytes.fromhex(a.m.do("file", "/dev/mem", pa, 64)[0]) == secret[:64]


@attack(weak="host-maps-core", event=ABORT)
def host_reads_core_memory(a):
    at = a.KCORE_AT + 0x1000
    return a.m.read(at, 64, "u") == a.kcore[0x1000:0x1040]


@attack(weak="host-maps-core", event=ABORT)
def host_writes_core_memory(a):
    at = a.KCORE_AT + 0x20   # reserved words of the Image header: nothing depends on them
    a.m.write(at, b"\xee" * 8, "u")
    return a.m.physical(at, 8) == b"\xee" * 8


@attack(weak="cpu-without-stage2", event=ABORT)
def late_cpu_reads_realm_memory(a):
    """A CPU that was off while the page was given away."""
    a.m.do("cpu", 1, 0)
    pa = a.rmi.delegated()
    try:
        a.m.do("cpu", 1, 1)
        a.m.do("pin", 1)
        return a.m.read(pa, 8, "l") is not None
    finally:
        a.m.do("pin", 0)
        a.rmi.undelegate(pa)


@attack(weak="cpu-without-stage2", event=ABORT)
def late_cpu_reads_core_memory(a):
    a.m.do("cpu", 1, 0)
    a.m.do("cpu", 1, 1)
    a.m.do("pin", 1)
    try:
        return a.m.read(a.KCORE_AT + 0x1000, 64, "u") == a.kcore[0x1000:0x1040]
    finally:
        a.m.do("pin", 0)


# --- A device, by DMA ------------------------------------------------------------------------------

DMA_EVENT = r"smmu: DMA refused"


def _dma_reads(a, pa, expected):
    a.m.device_start()
    buffer = a.rmi.alloc()
    a.m.dma_copy(pa, buffer, 64)
    got = a.m.read(buffer, 64)
    a.rmi.free(buffer)
    return got == expected


def _dma_writes(a, pa):
    a.m.device_start()
    buffer = a.rmi.alloc()
    a.m.write(buffer, b"\xee" * 8)
    a.m.dma_copy(buffer, pa, 8)
    a.rmi.free(buffer)
    return a.m.physical(pa, 8) == b"\xee" * 8


def dma_works(a):
    """The device does DMA to the host's own pages: a refusal elsewhere means something."""
    page = a.rmi.alloc()
    a.m.write(page, b"\x5a" * 64)
    ok = _dma_reads(a, page, b"\x5a" * 64) and _dma_writes(a, page)
    a.rmi.free(page)
    return ok


@attack(weak="smmu-bypass", event=DMA_EVENT)
def device_reads_realm_memory(a):
    pa, secret = a.secret()
    return _dma_reads(a, pa, secret[:64])


@attack(weak="smmu-bypass", event=DMA_EVENT)
def device_writes_realm_memory(a):
    return _dma_writes(a, a.secret()[0])


@attack(weak="smmu-bypass", event=DMA_EVENT)
def device_reads_core_memory(a):
    return _dma_reads(a, a.KCORE_AT + 0x1000, a.kcore[0x1000:0x1040])


@attack(weak="smmu-bypass", event=DMA_EVENT)
def device_writes_core_memory(a):
    return _dma_writes(a, a.KCORE_AT + 0x20)


@attack(weak="smmu-stale-tlb", event=DMA_EVENT)
def device_uses_a_translation_from_before(a):
    """The device has just used the page, so that its translation is cached, when it is given away."""
    a.m.device_start()
    page, buffer = a.rmi.alloc(), a.rmi.alloc()
    a.m.write(buffer, b"\xee" * 8)
    a.m.dma_copy(buffer, page + 64, 8)
    assert a.m.word(page + 64) == 0xeeeeeeeeeeeeeeee
    a.rmi.must("RMI_GRANULE_DELEGATE", page)
    a.m.dma_copy(buffer, page, 8)
    changed = a.m.physical(page, 8) != bytes(8)
    a.rmi.free(buffer)
    a.rmi.undelegate(page)
    return changed


SMMU = 0x09050000


@attack(weak="devices-all-mapped", event=ABORT)
def host_reads_smmu_registers(a):
    return a.m.read(SMMU, 4, "d")


@attack(weak="devices-all-mapped", event=ABORT)
def host_turns_smmu_off(a):
    pa, secret = a.secret()
    try:
        a.m.write(SMMU + 0x20, bytes(4), "d")                         # CR0: off
        a.m.write(SMMU + 0x44, struct.pack("<I", 1 << 31), "d")       # GBPA: bypass
    except Refused:
        assert not _dma_reads(a, pa, secret[:64])
        raise
    return _dma_reads(a, pa, secret[:64])


@attack(weak="devices-all-mapped", event=ABORT)
def host_moves_smmu_stream_table(a):
    base = a.m.read(SMMU + 0x80, 8, "d")
    a.m.write(SMMU + 0x80, bytes(8), "d")
    return base


# --- Other bus masters ------------------------------------------------------------------------------

#
# Of the core it is the Image header that they write to, which nobody needs any more.

@attack(weak="devices-all-mapped", event=ABORT)
def fw_cfg_dma_writes_realm_memory(a):
    return _fw_cfg_writes(a, a.secret()[0])


@attack(weak="devices-all-mapped", event=ABORT)
def fw_cfg_dma_writes_core_memory(a):
    return _fw_cfg_writes(a, a.KCORE_AT + 0x20)


def _fw_cfg_writes(a, pa):
    order = a.rmi.alloc()
    a.m.write(order, struct.pack(">IIQ", 0x0000 << 16 | 0x08 | 0x02, 4, pa))   # select 0, read 4 bytes
    try:
        a.m.write(0x09020010, struct.pack(">Q", order), "d")
    finally:
        a.rmi.free(order)
    return a.m.physical(pa, 4) == b"QEMU"


@attack(weak="devices-all-mapped", event=ABORT, devices=["virtio-rng-device"])
def virtio_mmio_writes_realm_memory(a):
    return _virtio_mmio_writes(a, a.secret()[0])


@attack(weak="devices-all-mapped", event=ABORT, devices=["virtio-rng-device"])
def virtio_mmio_writes_core_memory(a):
    return _virtio_mmio_writes(a, a.KCORE_AT)


def _virtio_mmio_writes(a, pa):
    """A transport with a device behind it (the last one gets it) fills the page."""
    base, before = 0x0a003e00, a.m.physical(pa, 64)

    def register(offset, value):
        a.m.write(base + offset, struct.pack("<I", value), "d")

    if a.m.read(base, 4, "d") != b"virt":
        return False
    queue = a.rmi.alloc(2)
    a.m.write(queue, struct.pack("<QIHH", pa, 64, 2, 0))       # descriptor 0: the device writes
    a.m.write(queue + 8 * 16, struct.pack("<HHH", 0, 1, 0))    # available ring: one, descriptor 0
    register(0x70, 0)
    register(0x70, 3)
    register(0x28, PAGE)
    register(0x30, 0)
    register(0x38, 8)
    register(0x3c, PAGE)
    register(0x40, queue // PAGE)
    register(0x70, 7)
    register(0x50, 0)
    for _ in range(20):
        if a.m.physical(pa, 64) != before:
            return True
        time.sleep(0.1)
    return False


@attack(weak="devices-all-mapped", event=ABORT, machine="its=on")
def its_writes_realm_memory(a):
    return _its_writes(a, a.secret()[0])


@attack(weak="devices-all-mapped", event=ABORT, machine="its=on")
def its_writes_core_memory(a):
    return _its_writes(a, a.KCORE_AT)


def _its_writes(a, pa):
    """The interrupt translation table of a device is put there."""
    base, before = 0x08080000, a.m.physical(pa, PAGE)

    def register(offset, value):
        a.m.write(base + offset, struct.pack("<Q", value), "d")

    a.m.write(base, bytes(4), "d")   # off: its registers can be written
    devices, collections, queue = a.rmi.alloc(4), a.rmi.alloc(4), a.rmi.alloc(4)
    valid = 1 << 63
    kind = struct.unpack("<Q", a.m.read(base + 0x100, 8, "d"))[0]
    register(0x100, valid | kind & (7 << 56) | devices | 15)
    kind = struct.unpack("<Q", a.m.read(base + 0x108, 8, "d"))[0]
    register(0x108, valid | kind & (7 << 56) | collections | 15)
    register(0x80, valid | queue | 15)
    a.m.write(base, struct.pack("<I", 1), "d")
    commands = [
        (0x09, 0, valid, 0),                                   # MAPC collection 0 to CPU 0
        (0x08, 0, 0, 0),                                       # fields below
        (0x0a, 0, 0, 0),
    ]
    words = [list(c) for c in commands]
    words[1] = [0x08 | 1 << 32, 4, valid | pa, 0]              # MAPD device 1, 5 event bits, ITT at pa
    words[2] = [0x0a | 1 << 32, 8192 << 32 | 0, 0, 0]          # MAPTI device 1, event 0, LPI 8192
    a.m.write(queue, b"".join(struct.pack("<4Q", *w) for w in words))
    register(0x88, 32 * len(words))
    return a.m.physical(pa, PAGE) != before


@attack(weak="redistributor-unmediated", machine="its=on")
def lpi_tables_in_realm_memory(a):
    return _lpi_tables(a, a.secret()[0] & ~0xffff, 1)


@attack(weak="redistributor-unmediated", machine="its=on")
def lpi_tables_in_core_memory(a):
    return _lpi_tables(a, a.KCORE_AT, 0)   # enabled, they would end the weakened core before it can be asked


def _lpi_tables(a, pa, enable):
    """The redistributor is the host's, but its LPI tables must not exist."""
    base = 0x080a0000
    try:
        a.m.write(base + 0x70, struct.pack("<Q", pa | 15), "d")
        a.m.write(base + 0x78, struct.pack("<Q", pa), "d")
        a.m.write(base, struct.pack("<I", enable), "d")
        return a.m.word(base + 0x70, "d") & ~0xfff == pa
    except Refused:
        return False


# --- The host, by RMI --------------------------------------------------------------------------------

def samples(a):
    """One address of each kind, of what the attacker might pass."""
    v = a.victim
    return {
        "RD": v.rd, "REC": v.recs[0][0], "RTT": v.tables[0], "DATA": v.data[Realm.DATA],
        "start table": v.start, "core": a.KCORE_AT, "device": 0x09000000, "nothing": 0x30000000,
        "beyond": 1 << 40, "top": ALL_ONES - 0xfff, "ones": ALL_ONES, "zero": 0,
        "unaligned RD": v.rd + 8, "unaligned DATA": v.data[Realm.DATA] + 0x800, "high": v.rd | 1 << 52,
    }


@attack(weak="claim-any-state")
def wild_addresses_to_every_command(a):
    """Each address argument of each command in turn is of every kind but the right one."""
    rmi, v = a.rmi, a.victim
    ns, free, other = rmi.alloc(), rmi.delegated(), rmi.delegated()
    rec = v.recs[0][0]
    params = rmi.alloc()
    a.m.write_words(params, PAGE, realm_params(250, free))
    hole, shared = 0x100000, Realm.SHARED
    calls = [   # the argument to replace is (right kind, right value)
        ("RMI_GRANULE_DELEGATE", ("NS", ns)),
        ("RMI_GRANULE_UNDELEGATE", ("FREE", free)),
        ("RMI_DATA_CREATE", ("RD", v.rd), free, hole, ns, 0),
        ("RMI_DATA_CREATE", v.rd, ("FREE", free), hole, ns, 0),
        ("RMI_DATA_CREATE", v.rd, free, hole, ("NS", ns), 0),
        ("RMI_DATA_CREATE_UNKNOWN", ("RD", v.rd), free, hole),
        ("RMI_DATA_CREATE_UNKNOWN", v.rd, ("FREE", free), hole),
        ("RMI_DATA_DESTROY", ("RD", v.rd), hole),
        ("RMI_REALM_ACTIVATE", ("RD", v.rd)),
        ("RMI_REALM_CREATE", ("FREE", other), params),
        ("RMI_REALM_CREATE", other, ("NS", params)),
        ("RMI_REALM_DESTROY", ("RD", v.rd)),
        ("RMI_REC_CREATE", ("RD", v.rd), free, ns),
        ("RMI_REC_CREATE", v.rd, ("FREE", free), ns),
        ("RMI_REC_CREATE", v.rd, free, ("NS", ns)),
        ("RMI_REC_DESTROY", ("REC", rec)),
        ("RMI_REC_ENTER", ("REC", rec), ns),
        ("RMI_REC_ENTER", rec, ("NS", ns)),
        ("RMI_RTT_CREATE", ("RD", v.rd), free, 0x200000, 3),
        ("RMI_RTT_CREATE", v.rd, ("FREE", free), 0x200000, 3),
        ("RMI_RTT_DESTROY", ("RD", v.rd), 0, 3),
        ("RMI_RTT_FOLD", ("RD", v.rd), 0, 3),
        ("RMI_RTT_READ_ENTRY", ("RD", v.rd), 0, 3),
        ("RMI_RTT_MAP_UNPROTECTED", ("RD", v.rd), shared, 2, 0),
        ("RMI_RTT_UNMAP_UNPROTECTED", ("RD", v.rd), shared, 2),
        ("RMI_RTT_INIT_RIPAS", ("RD", v.rd), 0, 0x200000),
        ("RMI_RTT_SET_RIPAS", ("RD", v.rd), rec, 0, PAGE),
        ("RMI_RTT_SET_RIPAS", v.rd, ("REC", rec), 0, PAGE),
        ("RMI_PSCI_COMPLETE", ("REC", rec), free, 0),
        ("RMI_PSCI_COMPLETE", rec, ("REC", rec), 0),
        ("RMI_REC_AUX_COUNT", ("RD", v.rd)),
        ("KCORE_LOG_READ", ("NS", ns), 0),
        ("KCORE_LAUNCH_POLICY", ("RD", v.rd), ns),
        ("KCORE_LAUNCH_POLICY", v.rd, ("NS", ns)),
        ("KCORE_LAUNCH_KEY", ("RD", v.rd), ns),
        ("KCORE_LAUNCH_KEY", v.rd, ("NS", ns)),
        ("KCORE_DATA_CREATE_SEALED", ("RD", v.rd), free, hole, ns, ns),
        ("KCORE_DATA_CREATE_SEALED", v.rd, ("FREE", free), hole, ns, ns),
        ("KCORE_DATA_CREATE_SEALED", v.rd, free, hole, ("NS", ns), ns),
        ("KCORE_DATA_CREATE_SEALED", v.rd, free, hole, ns, ("NS", ns)),
    ]
    missing = {name for name in C if re.fullmatch(r"RMI_[A-Z_]+", name) and
               C["RMI_FID_FIRST"] <= C[name] <= C["RMI_FID_LAST"]} - {call[0] for call in calls} - {
                   "RMI_FID_FIRST", "RMI_FID_LAST", "RMI_VERSION", "RMI_FEATURES"}   # no address
    assert not missing, missing
    kinds = samples(a) | {"NS": ns, "FREE": free}
    before = rmi.delegated_count()
    for name, *args in calls:
        at = next(i for i, arg in enumerate(args) if isinstance(arg, tuple))
        right = args[at][0]
        for kind, pa in kinds.items():
            if kind == right:
                continue
            values = [arg[1] if isinstance(arg, tuple) else arg for arg in args]
            values[at] = pa
            status = rmi.status(name, *values)
            if status == OK:
                return name, at, kind
            assert status == INPUT, (name, at, kind, hex(status))
    assert rmi.delegated_count() == before
    for first in samples(a).values():
        x = rmi.call("KCORE_DELEGATE_RANGE", first, 4)
        assert x[1] == 0 and x[0] == INPUT, hex(first)
        x = rmi.call("KCORE_UNDELEGATE_RANGE", first, 4)
        assert x[1] == 0 and x[0] == INPUT, hex(first)
    assert rmi.delegated_count() == before
    rmi.undelegate(free)
    rmi.undelegate(other)
    rmi.free(ns)
    rmi.free(params)
    return False


@attack(weak="rtt-any-ipa")
def wild_levels_and_ipas(a):
    rmi, v = a.rmi, a.victim
    spare, page = rmi.delegated(), rmi.alloc()
    before = rmi.delegated_count()
    levels = [ALL_ONES, 0, 1, 2, 4, 5, 63, 1 << 31, 1 << 32 | 3, 1 << 63]
    ipas = [1, 0x800, 0x1000, 0x201000, 1 << 33, (1 << 33) - PAGE, 1 << 47, 1 << 48, 1 << 63, ALL_ONES, ALL_ONES - 0xfff]
    for level in levels:
        assert rmi.status("RMI_RTT_READ_ENTRY", v.rd, 0, level) == (OK if level == 2 else INPUT)
        for ipa in [0, Realm.SHARED]:
            for name, args in (("RMI_RTT_CREATE", (v.rd, spare, ipa, level)), ("RMI_RTT_DESTROY", (v.rd, ipa, level)),
                               ("RMI_RTT_FOLD", (v.rd, ipa, level))):
                status = rmi.status(name, *args)
                if status == OK:
                    return name, level
                assert status == INPUT, (name, hex(level), hex(status))
        for name, args in (("RMI_RTT_MAP_UNPROTECTED", (page | 0xd8,)), ("RMI_RTT_UNMAP_UNPROTECTED", ())):
            if rmi.status(name, v.rd, Realm.SHARED, level, *args) == OK:
                return name, level
    for ipa in ipas:
        for name, args in (("RMI_RTT_CREATE", (v.rd, spare, ipa, 3)), ("RMI_RTT_DESTROY", (v.rd, ipa, 3)),
                           ("RMI_RTT_FOLD", (v.rd, ipa, 3)), ("RMI_DATA_CREATE_UNKNOWN", (v.rd, spare, ipa | 1)),
                           ("RMI_DATA_DESTROY", (v.rd, ipa | 1)), ("RMI_RTT_READ_ENTRY", (v.rd, ipa | 1, 3)),
                           ("RMI_RTT_MAP_UNPROTECTED", (v.rd, ipa & (Realm.SHARED - 1), 3, page | 0xd8)),
                           ("RMI_RTT_UNMAP_UNPROTECTED", (v.rd, ipa & (Realm.SHARED - 1), 3)),
                           ("RMI_RTT_INIT_RIPAS", (v.rd, ipa, ipa + PAGE & ALL_ONES)),
                           ("RMI_RTT_SET_RIPAS", (v.rd, v.recs[0][0], ipa, ipa + PAGE & ALL_ONES))):
            status = rmi.status(name, *args)
            if status == OK:
                return name, ipa
    assert rmi.delegated_count() == before
    rmi.undelegate(spare)
    rmi.free(page)
    return False


@attack(weak="map-protected")
def host_page_mapped_where_realm_expects_its_own(a):
    """An unprotected mapping in the protected half: the realm would use memory the host sees."""
    page = a.rmi.alloc()
    status = a.rmi.status("RMI_RTT_MAP_UNPROTECTED", a.victim.rd, 0x100000, 3, page | 0xd8)
    if status == OK:
        a.victim.ask("store", 0x100000, 0x5ec2e7)
        return a.m.word(page) == 0x5ec2e7
    a.rmi.free(page)
    return False


@attack(weak="claim-any-state")
def page_mapped_twice_in_one_realm(a):
    return a.rmi.status("RMI_DATA_CREATE_UNKNOWN", a.victim.rd, a.victim.data[Realm.DATA], 0x100000) == OK


@attack(weak="claim-any-state")
def page_mapped_into_two_realms(a):
    spy = a.realm()
    pa, secret = a.secret()
    if a.rmi.status("RMI_DATA_CREATE_UNKNOWN", spy.rd, pa, 0x100000) == OK:
        return spy.ask("load", 0x100000)[0] == int.from_bytes(secret[:8], "little")
    spy.destroy()
    return False


@attack(weak="ns-any-state")
def page_mapped_into_second_realm_as_shared(a):
    """There is no hardware check of the target: the core must look who owns it."""
    spy = a.realm()
    pa, secret = a.secret()
    base = 0x200000 | Realm.SHARED
    spy.table(base)
    if a.rmi.status("RMI_RTT_MAP_UNPROTECTED", spy.rd, base, 3, pa | 0xd8) == OK:
        return spy.ask("load", base)[0] == int.from_bytes(secret[:8], "little")
    spy.destroy()
    return False


@attack(weak="ns-any-state")
def realm_page_inside_a_shared_block(a):
    """As above, among 511 pages of the host's in a block of 2 MiB."""
    spy = a.realm()
    pa, secret = a.secret()
    base = 0x400000 | Realm.SHARED
    if a.rmi.status("RMI_RTT_MAP_UNPROTECTED", spy.rd, base, 2, pa & ~0x1fffff | 0xd8) == OK:
        return spy.ask("load", base | pa & 0x1fffff)[0] == int.from_bytes(secret[:8], "little")
    spy.destroy()
    return False


@attack(weak="ns-any-state")
def realm_page_shared_with_its_own_realm(a):
    """The realm's own page at a second address, where it expects the host's."""
    pa, secret = a.secret()
    base = 0x200000 | Realm.SHARED
    a.victim.table(base)
    if a.rmi.status("RMI_RTT_MAP_UNPROTECTED", a.victim.rd, base, 3, pa | 0xd8) == OK:
        return a.victim.ask("load", base)[0] == int.from_bytes(secret[:8], "little")
    a.rmi.must("RMI_RTT_DESTROY", a.victim.rd, base, 3)
    a.rmi.undelegate(a.victim.tables.pop(base))
    return False


@attack(weak="ns-any-state")
def core_mapped_into_realm_as_shared(a):
    spy = a.realm()
    base = 0x200000 | Realm.SHARED
    spy.table(base)
    pa = a.KCORE_AT + 0x1000
    if a.rmi.status("RMI_RTT_MAP_UNPROTECTED", spy.rd, base, 3, pa | 0xd8) == OK:
        return spy.ask("load", base)[0] == int.from_bytes(a.kcore[0x1000:0x1008], "little")
    for bad in (0x09050000, 0x09020000, 1 << 40):   # SMMU, fw_cfg, nothing
        assert a.rmi.status("RMI_RTT_MAP_UNPROTECTED", spy.rd, base, 3, bad | 0xd8) == INPUT
    spy.destroy()
    return False


@attack(weak="delegate-while-shared")
def shared_page_is_donated(a):
    """A page that a malicious realm still reaches becomes another realm's."""
    spy = a.realm()
    page = spy.share(0x200000)
    if a.rmi.status("RMI_GRANULE_DELEGATE", page) != OK:
        spy.destroy()
        return False
    a.rmi.must("RMI_DATA_CREATE_UNKNOWN", a.victim.rd, page, 0x100000)
    a.victim.ask("store", 0x100000, 0x5ec2e7)
    return spy.ask("load", 0x200000 | Realm.SHARED)[0] == 0x5ec2e7


@attack(weak="claim-any-state")
def live_page_is_undelegated(a):
    for pa in (a.victim.rd, a.victim.recs[0][0], a.victim.tables[0], a.victim.start, a.secret()[0]):
        status = a.rmi.status("RMI_GRANULE_UNDELEGATE", pa)
        if status == OK:
            return True
        assert status == INPUT
    return False


@attack(weak="no-scrub")
def destroyed_realm_leaves_data_behind(a):
    """Everything a realm had is zero when the host gets it back."""
    realm = a.realm()
    realm.keep_secret(0x5ec2e70000000000)
    pages = [*realm.data.values(), *realm.tables.values(), realm.rd, realm.recs[0][0], realm.start]
    free, a.rmi.free = a.rmi.free, lambda pa: None
    try:
        realm.destroy()
    finally:
        a.rmi.free = free
    return [hex(pa) for pa in pages if a.m.read(pa, PAGE) != bytes(PAGE)]


@attack(weak="ns-any-state")
def realm_page_is_source_of_another_realms_data(a):
    spy = a.realm(activate=False)
    pa, secret = a.secret()
    page = a.rmi.delegated()
    status = a.rmi.status("RMI_DATA_CREATE", spy.rd, page, 0x100000, pa, 0)
    if status == OK:
        a.rmi.must("RMI_REALM_ACTIVATE", spy.rd)
        return spy.ask("load", 0x100000)[0] == int.from_bytes(secret[:8], "little")
    assert status == INPUT
    a.rmi.undelegate(page)
    spy.destroy()
    return False


@attack(weak="ns-any-state")
def exit_is_written_into_realm_memory(a):
    """The run page is the victim's: the core itself would write there."""
    spy = a.realm()
    pa = a.victim.data[Realm.DATA + PAGE]
    before = a.m.physical(pa, PAGE)
    status = a.rmi.status("RMI_REC_ENTER", spy.recs[0][0], pa)
    if status != OK:
        assert status == INPUT
        spy.destroy()
    return a.m.physical(pa, PAGE) != before


@attack(weak="ns-any-state")
def log_is_written_into_realm_memory(a):
    pa, secret = a.secret()
    a.rmi.status("KCORE_LOG_READ", pa, 0)
    return a.m.physical(pa, PAGE) != secret


@attack(weak="vmid-shared")
def two_realms_share_a_vmid(a):
    try:
        spy = a.realm(vmid=a.victim.vmid)
    except AssertionError as refusal:
        assert "RMI_REALM_CREATE" in str(refusal), refusal
        # What the constructor had taken so far.
        for pa, order in list(a.rmi.pages.items())[-3:]:
            if order == 3 or a.rmi.status("RMI_GRANULE_UNDELEGATE", pa) == OK:
                if order == 3:
                    a.rmi.undelegate(pa)
                else:
                    a.rmi.free(pa)
        return False
    return spy


# --- Registers ------------------------------------------------------------------------------------------

PATTERN = 0x5ec2e75ec2e75ec2


@attack(weak="exit-shows-registers")
def host_finds_registers_in_the_run_page(a):
    """Whatever makes the realm leave, the host sees no register but those the exit is about."""
    v = a.victim
    shown = []
    for why, address in (("wfi", 0), ("unprotected load", Realm.SHARED | 0x10000000)):
        for _ in range(20):   # WFI does nothing while an interrupt of the host's is pending
            v.ask("mpidr")
            v.set_entry(flags=C["REC_ENTRY_TRAP_WFI"], gprs=[Realm.OPS["regs"], PATTERN, address])
            exit_ = v.enter()
            if exit_.reason != C["REC_EXIT_HOST_CALL"]:
                break
        assert exit_.reason == C["REC_EXIT_SYNC"], exit_
        if PATTERN in exit_.words.values():
            shown.append(why)
        v.set_entry(flags=C["REC_ENTRY_EMUL_MMIO"] if address else 0)
        v.answer(v.enter())
    return shown


@attack(weak="entry-sets-registers")
def host_sets_registers_at_entry(a):
    """After an exit that is not a host call, gprs of the run page must go nowhere but Rt."""
    v = a.victim
    v.ask("mpidr")
    v.set_entry(gprs=[Realm.OPS["load"], Realm.SHARED | 0x10000000])
    assert v.enter().reason == C["REC_EXIT_SYNC"]
    v.set_entry(flags=C["REC_ENTRY_EMUL_MMIO"], gprs=[0x1234] + [PATTERN] * 30)
    g = v.enter().gprs
    return g[0] != 0 or g[1] != 0x1234


@attack(weak="emulate-protected")
def realm_memory_is_passed_off_as_a_device(a):
    """The host lets the realm read RAM that is not there, and answers as if it were a device."""
    v = a.victim
    hole = 0x180000
    try:
        v.ask("load", hole)
        assert False, "the page was there"
    except Left as left:
        e = left.exit
        assert e.reason == C["REC_EXIT_SYNC"] and e.ipa == hole and e.far == 0
        assert not e.esr >> 24 & 1 and not e.esr >> 16 & 0x1f, "the syndrome names a register"
    got = None
    for flags in (C["REC_ENTRY_EMUL_MMIO"], C["REC_ENTRY_INJECT_SEA"]):
        v.set_entry(flags=flags, gprs=[0x5ec2e7])
        try:
            got = v.answer(v.enter())[0]
            break
        except EnterFailed as e:
            assert e.status == REC, hex(e.status)
    if got is None:
        v.load_unknown(hole)
        v.set_entry()
        assert v.answer(v.enter())[0] == 0
        a.rmi.must("RMI_DATA_DESTROY", v.rd, hole)
        a.rmi.undelegate(v.data.pop(hole))
    return got == 0x5ec2e7


@attack(weak="list-registers-unchecked")
def host_gives_list_registers_it_must_not(a):
    """A hardware interrupt in a list register would let the realm deactivate a physical one."""
    v = a.victim
    v.ask("mpidr")
    bad = [
        (0, [1 << 63 | 1 << 61 | 1 << 60 | 27 << 32 | 27]),                # HW
        (0, [1 << 62 | 1 << 60 | 40, 1 << 62 | 1 << 60 | 40]),             # the same twice
        (0, [1 << 62 | 1 << 60 | 1020]),                                   # special number
        (1, []), (1 << 0 | 1 << 10, []), (1 << 63, []),                    # not the host's bits
    ]
    for hcr, lrs in bad:
        v.set_entry(gprs=[Realm.OPS["mpidr"]], hcr=hcr, lrs=lrs)
        try:
            v.enter()
            return hcr, lrs
        except EnterFailed as e:
            assert e.status == REC, hex(e.status)
    v.set_entry(gprs=[Realm.OPS["mpidr"]])
    v.answer(v.enter())
    return False


# --- The guest ---------------------------------------------------------------------------------------------

@attack(weak="guest-buffer-unchecked")
def guest_names_memory_that_is_not_its_own(a):
    """Buffers of RSI calls: unaligned, shared, beyond its address space."""
    g = a.realm()
    page = g.share(0x200000)
    for fid in ("RSI_REALM_CONFIG", "RSI_HOST_CALL"):
        for ipa in (Realm.SHARED | 0x200000, 0x2008, 1 << 33, 1 << 47, ALL_ONES & ~0xfff, ALL_ONES):
            try:
                x = g.smc(C[fid], ipa)
            except Left as left:
                return fid, ipa, left
            if x[0] != C["RSI_ERROR_INPUT"]:
                return fid, ipa
    assert a.m.read(page, PAGE) == bytes(PAGE)
    g.destroy()
    return False


@attack(weak="guest-calls-host")
def guest_calls_what_is_the_hosts(a):
    """RMI, KCore's vendor calls and the firmware are not there for a guest."""
    g = a.realm()
    for fid in itertools.chain(range(C["RMI_FID_FIRST"], C["RMI_FID_FIRST"] + 0x40), range(0xC6004B00, 0xC6004B10),
                               [0x8600FF01, 0x84000050, 0xC4000500, 0, 0xFFFFFFFF]):
        x = g.smc(fid, a.victim.rd, a.victim.data[Realm.DATA], 0, 3)
        if x[0] != ALL_ONES:
            return hex(fid), hex(x[0])
    try:
        g.ask("hvc")
        return "HVC"
    except Trap as trap:
        assert trap.esr >> 26 == 0
    g.destroy()
    return False


@attack(weak="guest-calls-host")
def guest_runs_wild(a):
    """guest/wild.c, with the host doing only what it must. Seeds are fixed: a failure repeats."""
    return _run_wild(a, 1) or _run_wild(a, 2)


def _run_wild(a, seed):
    """What the guest got that it must not, or None."""
    image = a.wild.ljust((len(a.wild) + PAGE - 1) // PAGE * PAGE, b"\0")
    dtb = (b"\xd0\x0d\xfe\xed" + struct.pack(">I", 128) + b" seed=%d rounds=600 " % seed).ljust(PAGE, b"\0")
    g = a.realm(recs=0, data_pages=0, activate=False)
    for i in range(0, len(image), PAGE):
        g.load(0x40000 + i, image[i:i + PAGE])
    g.load(0x80000, dtb)
    rec = g.rec(0, pc=0x40000, x0=0x80000)
    a.rmi.must("RMI_REALM_ACTIVATE", g.rd)
    text, flags, gprs = "", 0, ()
    for _ in range(5000):
        g.set_entry(flags=flags, gprs=gprs)
        flags, gprs = 0, ()
        exit_ = g.enter(milliseconds=20000)
        if exit_.reason == C["REC_EXIT_PSCI"] and exit_.gprs[0] == C["PSCI_SYSTEM_OFF"]:
            break
        if exit_.reason == C["REC_EXIT_SYNC"] and exit_.ec in (0x20, 0x24) and exit_.ipa < Realm.SHARED:
            page = exit_.ipa & ~0xfff   # RAM that was not there yet
            assert page not in g.data, f"the guest can not go on: {exit_}"
            if page & ~0x1fffff not in g.tables:
                g.table(page & ~0x1fffff)
            g.load_unknown(page)
        elif exit_.reason == C["REC_EXIT_SYNC"] and exit_.ec == 0x24:
            flags = C["REC_ENTRY_EMUL_MMIO"] if exit_.esr >> 24 & 1 else C["REC_ENTRY_INJECT_SEA"]
        elif exit_.reason == C["REC_EXIT_RIPAS_CHANGE"]:
            base, top, _ = exit_.ripas
            a.rmi.status("RMI_RTT_SET_RIPAS", g.rd, rec, base, top)
            flags = C["REC_ENTRY_RIPAS_REJECT"]
        elif exit_.reason == C["REC_EXIT_HOST_CALL"]:
            gprs = [ALL_ONES, 1, 2]
        elif exit_.reason == C["REC_EXIT_PSCI"]:
            pass
        elif exit_.reason != C["REC_EXIT_IRQ"]:
            raise AssertionError(f"the guest can not go on: {exit_}")
    text = bytes.fromhex((a.m.do("uart") or [""])[0]).decode(errors="replace")
    assert f"WILD seed={seed:x}" in text and "WILD DONE" in text, text[-2000:]
    if "bad=0" not in text:
        return text[text.find("BAD"):]
    assert "BAD" not in text, text
    g.destroy()
    return None


# --- Races -------------------------------------------------------------------------------------------------

def _total(counts, status):
    return sum(c.get(status, 0) for thread in counts for c in thread)


#
# First each CPU has one call that only one of them may win, many times over; then both do and undo it for a
# while, and what was done and undone must balance. The weak cores widen the window: a CPU waits in it for the other.

def _once(a, one, two):
    """Both CPUs make their call at the same time, and for a moment again. How often each succeeded."""
    counts = a.m.race(1, (0, [one]), (1, [two]))
    return [thread[0].get(OK, 0) for thread in counts]


@attack(weak="claim-not-atomic")
def two_cpus_take_the_same_page(a):
    """Both delegate and undelegate it: each success needs its own undelegate."""
    page = a.rmi.alloc()
    calls = [[C["RMI_GRANULE_DELEGATE"], page], [C["RMI_GRANULE_UNDELEGATE"], page]]
    before = a.rmi.delegated_count()
    for _ in range(50):
        won = _once(a, calls[0], calls[0])
        if sum(won) != 1 or a.rmi.delegated_count() != before + 1:
            return won
        a.rmi.must("RMI_GRANULE_UNDELEGATE", page)
    counts = a.m.race(2000, (0, calls), (1, calls))
    given = sum(thread[0].get(OK, 0) for thread in counts)
    taken = sum(thread[1].get(OK, 0) for thread in counts)
    assert all(status in (OK, INPUT) for thread in counts for call in thread for status in call), counts
    if a.rmi.status("RMI_GRANULE_UNDELEGATE", page) == OK:
        taken += 1
    if given != taken or a.rmi.delegated_count() != before:
        return counts
    assert given > 100
    a.m.write(page, b"\x11" * 8)
    a.rmi.free(page)
    return False


@attack(weak="claim-not-atomic")
def two_realms_take_the_same_page(a):
    """The same delegated page as data of two realms at once."""
    one, two = a.realm(), a.realm()
    page, ipa = a.rmi.delegated(), 0x100000

    def calls(realm):
        return [[C["RMI_DATA_CREATE_UNKNOWN"], realm.rd, page, ipa], [C["RMI_DATA_DESTROY"], realm.rd, ipa]]

    for _ in range(50):
        won = _once(a, calls(one)[0], calls(two)[0])
        entries = [a.rmi.entry(r.rd, ipa) for r in (one, two)]
        holders = [e for e in entries if e[1] == C["RMI_ASSIGNED"]]
        if sum(won) != 1 or len(holders) != 1:
            return won, entries
        for r in (one, two):
            a.rmi.status("RMI_DATA_DESTROY", r.rd, ipa)
    counts = a.m.race(2000, (0, calls(one)), (1, calls(two)))
    made = sum(thread[0].get(OK, 0) for thread in counts)
    gone = sum(thread[1].get(OK, 0) for thread in counts)
    if made != gone:
        return counts
    a.rmi.undelegate(page)
    one.destroy()
    two.destroy()
    return False


@attack(weak="realm-lock-open")
def two_cpus_build_and_fold_the_same_tables(a):
    realm = a.realm()
    one, two = a.rmi.delegated(), a.rmi.delegated()
    ipa = 0x400000

    def calls(table):
        return [[C["RMI_RTT_CREATE"], realm.rd, table, ipa, 3], [C["RMI_RTT_FOLD"], realm.rd, ipa, 3],
                [C["RMI_RTT_CREATE"], realm.rd, table, ipa, 3], [C["RMI_RTT_DESTROY"], realm.rd, ipa, 3]]

    for _ in range(20):
        won = _once(a, calls(one)[0], calls(two)[0])
        if sum(won) != 1:
            return won
        a.rmi.must("RMI_RTT_DESTROY", realm.rd, ipa, 3)
    counts = a.m.race(2000, (0, calls(one)), (1, calls(two)))
    made = sum(t[i].get(OK, 0) for t in counts for i in (0, 2))
    gone = sum(t[i].get(OK, 0) for t in counts for i in (1, 3))
    if a.rmi.status("RMI_RTT_DESTROY", realm.rd, ipa, 3) == OK:
        gone += 1
    if made != gone:
        return made, gone, counts
    assert made > 100, counts
    a.rmi.undelegate(one)
    a.rmi.undelegate(two)
    realm.destroy()
    return False


@attack(weak="pin-not-atomic")
def sharing_races_with_donation(a):
    """One CPU maps the page for a realm, another gives it away."""
    spy = a.realm()
    base = 0x200000 | Realm.SHARED
    spy.table(base)
    page = a.rmi.alloc()
    share = [[C["RMI_RTT_MAP_UNPROTECTED"], spy.rd, base, 3, page | 0xd8],
             [C["RMI_RTT_UNMAP_UNPROTECTED"], spy.rd, base, 3]]
    donate = [[C["RMI_GRANULE_DELEGATE"], page], [C["RMI_GRANULE_UNDELEGATE"], page]]
    for _ in range(50):
        won = _once(a, share[0], donate[0])
        if won == [1, 1]:
            # Given to the victim, and still mapped for the spy.
            a.rmi.must("RMI_DATA_CREATE_UNKNOWN", a.victim.rd, page, 0x100000)
            a.victim.ask("store", 0x100000, 0x5ec2e7)
            return spy.ask("load", base)[0] == 0x5ec2e7
        assert sum(won) == 1, won
        a.rmi.must(*("RMI_RTT_UNMAP_UNPROTECTED", spy.rd, base, 3) if won[0] else ("RMI_GRANULE_UNDELEGATE", page))
    counts = a.m.race(2000, (0, share), (1, donate))
    assert counts[0][0].get(OK, 0) > 10 and counts[1][0].get(OK, 0) > 10, counts
    assert counts[0][0].get(OK, 0) == counts[0][1].get(OK, 0), counts
    assert counts[1][0].get(OK, 0) == counts[1][1].get(OK, 0), counts
    a.rmi.must("RMI_GRANULE_DELEGATE", page)
    a.rmi.must("RMI_GRANULE_UNDELEGATE", page)
    a.rmi.free(page)
    spy.destroy()
    return False


@attack(weak="rec-runs-twice")
def two_cpus_enter_the_same_rec(a):
    """The guest spins, so each entry lasts until an interrupt; the second CPU must be turned away."""
    realm = a.realm()
    realm.ask("mpidr")
    rec, run = realm.recs[0]
    other = a.rmi.alloc()
    realm.set_entry(gprs=[Realm.OPS["spin"]])
    counts = a.m.race(1000, (0, [[C["RMI_REC_ENTER"], rec, run]]), (1, [[C["RMI_REC_ENTER"], rec, other]]))
    seen = set(status for thread in counts for status in thread[0])
    if REC not in seen:   # whatever else came: nobody was turned away because the REC runs
        return counts
    assert seen == {OK, REC}, counts
    a.rmi.free(other)
    realm.destroy()
    return False


@attack(weak="rec-destroyed-running")
def rec_is_destroyed_while_it_runs(a):
    """What the CPU saves of the guest at its next exit must not go into a page that is given back."""
    realm = a.realm(recs=3)
    for index, (rec, run) in enumerate(realm.recs):
        realm.ask("mpidr", index=index)
        realm.set_entry(gprs=[Realm.OPS["spin"], PATTERN], index=index)
        counts = a.m.race(200, (0, [[C["RMI_REC_ENTER"], rec, run]]),
                          (1, [[0, 20000]] + [[C["RMI_REC_DESTROY"], rec]] * 7))
        assert set(counts[0][0]) <= {OK, INPUT}, counts
        if not any(OK in call for call in counts[1][1:]):   # it may meet the moment between two entries
            a.rmi.must("RMI_REC_DESTROY", rec)
        left = a.m.physical(rec, PAGE)
        if left != bytes(PAGE):
            return f"{left.count(PATTERN.to_bytes(8, 'little'))} registers of the guest"
        a.rmi.undelegate(rec)
        a.rmi.free(run)
    realm.recs = []
    realm.destroy()
    return False


@attack(weak="destroy-in-use")
def realm_is_destroyed_while_it_runs(a):
    realm = a.realm()
    realm.ask("mpidr")
    rec, run = realm.recs[0]
    realm.set_entry(gprs=[Realm.OPS["spin"]])
    counts = a.m.race(
        1000,
        (0, [[C["RMI_REC_ENTER"], rec, run]]),
        (1, [[C["RMI_REALM_DESTROY"], realm.rd], [C["RMI_GRANULE_UNDELEGATE"], rec],
             [C["RMI_GRANULE_UNDELEGATE"], realm.rd]]))
    if any(OK in call for call in counts[1]):
        return counts
    assert set(counts[0][0]) == {OK}, counts
    realm.destroy()
    return False


# --- A VMM against its own realm (test_vmm.py, host/vmm.c) ------------------------------------------------

# Attempt -> how it may be refused, and the weakened core against which it succeeds.
VMM_ATTEMPTS = {
    "own-read": ({"SIGBUS"}, "host-keeps-page"), "own-write": ({"SIGBUS"}, "host-keeps-page"),
    "own-exec": ({"SIGBUS"}, "host-keeps-page"),
    "proc-mem-read": ({"EIO", "EFAULT"}, "host-keeps-page"), "proc-mem-write": ({"EIO", "EFAULT"}, "host-keeps-page"),
    "process-vm-readv": ({"EFAULT", "EIO"}, "host-keeps-page"),
    "process-vm-writev": ({"EFAULT", "EIO"}, "host-keeps-page"),
    "kernel-copy": ({"EFAULT"}, "host-keeps-page"),
    "ptrace-read": ({"EIO", "EFAULT"}, "host-keeps-page"), "ptrace-write": ({"EIO", "EFAULT"}, "host-keeps-page"),
    "core-dump": ({"nothing-in-it", "no-file"}, "host-keeps-page"),
    "registers": (None, "exit-shows-registers"),
}
