# SPDX-License-Identifier: Apache-2.0
"""Devices and other bus masters of the host against memory."""

import struct
import time

from rmi import PAGE, Refused

from .arena import attack
from .memory import ABORT

# --- A device, by DMA -----------------------------------------------------------------------------

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


# --- Other bus masters ----------------------------------------------------------------------------

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
