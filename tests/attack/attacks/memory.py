# SPDX-License-Identifier: Apache-2.0
"""The host against memory, by load, store and fetch."""

from rmi import PAGE, Realm

from .arena import attack


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
