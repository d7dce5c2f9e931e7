# SPDX-License-Identifier: Apache-2.0
"""The host against registers of the realm, and the guest against the core."""

import itertools
import struct

from rmi import ALL_ONES, C, EnterFailed, Left, PAGE, REC, Realm, Trap

from .arena import attack

# --- Registers ------------------------------------------------------------------------------------

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


# --- The guest ------------------------------------------------------------------------------------

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
