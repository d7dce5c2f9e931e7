# SPDX-License-Identifier: Apache-2.0
"""The host, by RMI."""

import re

from rmi import ALL_ONES, C, INPUT, OK, PAGE, Realm, realm_params

from .arena import attack


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
