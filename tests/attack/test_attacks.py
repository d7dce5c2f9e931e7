# SPDX-License-Identifier: Apache-2.0
"""Each attack of attacks/ is refused by KCore; and it succeeds against a KCore that lacks the
protection it runs against, so that the refusal means something."""

import re
import time

import attacks
import pytest
from rmi import Refused


def settled(arena):
    return arena.rmi.delegated_count(), arena.rmi.realms()


def settings_of(attack):
    return tuple((k, v if isinstance(v, str) else tuple(v)) for k, v in attack.machine.items())


@pytest.mark.parametrize("arena, attack", [pytest.param(settings_of(a), a, id=a.name) for a in attacks.ATTACKS],
                         indirect=["arena"])
def test_refused(arena, attack):
    before, position = settled(arena), arena.rmi.log_position()
    if attack.event and sum(lines for when, lines in arena.logged if time.monotonic() - when < 1.1) >= 8:
        time.sleep(1.1)   # KCore logs at most 16 lines of a kind per second: let those of the last tests go by
    try:
        got = attack.run(arena)
        refusal = "returned nothing"
    except Refused as error:
        got, refusal = None, str(error)
    assert not got, f"the attack succeeded: {got}"
    log, _ = arena.rmi.log(position)
    arena.logged.append((time.monotonic(), log.count("\n")))
    if attack.event:
        assert re.search(attack.event, log), f"no event in KCore's log ({refusal}):\n{log}"
    assert arena.m.alive()
    assert arena.victim.secret_kept(), "the victim's data changed"
    assert settled(arena) == before, "granules or realms are left over"


def weaknesses():
    for attack in attacks.ATTACKS:
        if attack.weak:
            yield pytest.param(attacks.weakened(attack.weak, settings_of(attack)), attack, id=f"{attack.weak}-{attack.name}")


@pytest.mark.parametrize("weak, attack", weaknesses(), indirect=["weak"])
def test_succeeds_without_the_protection(weak, attack):
    weak.new_victim()
    assert attack.run(weak), "the attack failed although the protection is gone: it proves nothing"


def test_device_dma_works_at_all(arena):
    assert attacks.dma_works(arena)


def test_exit_half_of_the_run_page_is_all_written(arena):
    """DEN0137 B4.4.9: also what has no name yet, so that the host finds nothing there that is not KCore's."""
    v, run = arena.victim, arena.victim.recs[0][1]
    arena.m.write(run + 0x800, b"\xa5" * 0x800)
    v.ask("mpidr")
    kept = [hex(o) for o, value in arena.m.read_words(run + 0x800, 0x800).items() if value == 0xa5a5a5a5a5a5a5a5]
    assert not kept, f"what the host wrote at {kept} of the exit half"


def test_everything_is_returned_at_the_end(arena):
    """The victim's granules too: the machine ends as it began."""
    before = settled(arena)
    realm = arena.realm()
    realm.keep_secret(1)
    assert arena.rmi.delegated_count() > before[0]
    realm.destroy()
    assert settled(arena) == before
