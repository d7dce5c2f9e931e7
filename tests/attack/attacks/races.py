# SPDX-License-Identifier: Apache-2.0
"""Two CPUs race the same commands."""

from rmi import C, INPUT, OK, PAGE, REC, Realm

from .arena import attack
from .registers import PATTERN


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
