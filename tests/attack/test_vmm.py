# SPDX-License-Identifier: Apache-2.0
"""A VMM in host user space (host/vmm.c) launches a realm through /dev/kcore and turns against it."""

import attacks
import pytest
from attacks import VMM_ATTEMPTS


def attack_by_vmm(arena, *options):
    """Runs the VMM: {attempt: [verdict, detail]}, and how often the realm's data was found intact."""
    status, output = (arena.m.do("prog", "/vmm", "/keeper.bin", *options, timeout=120) + [""])[:2]
    text = bytes.fromhex(output).decode(errors="replace")
    assert int(status, 16) == 0, text
    lines = [line.split() for line in text.splitlines()]
    return {line[0]: line[1:] for line in lines}, [line[0] for line in lines]


@pytest.fixture(scope="module")
def report(pool):
    arena = pool.get()
    before = arena.rmi.delegated_count(), arena.rmi.realms()
    got = attack_by_vmm(arena)
    assert arena.m.alive() and arena.victim.secret_kept()
    assert (arena.rmi.delegated_count(), arena.rmi.realms()) == before, "the realm's granules did not all come back"
    return got


@pytest.mark.parametrize("attempt", VMM_ATTEMPTS)
def test_refused(report, attempt):
    verdict, *how = report[0][attempt]
    assert verdict == "refused", how
    words, _ = VMM_ATTEMPTS[attempt]
    if words:
        assert how[0] in words, how


def test_data_is_kept_and_the_realm_goes_on(report):
    lines = report[1]
    assert lines.count("kept") == 3 and "changed" not in lines and "run-page" not in lines
    assert lines[-1] == "off"


WEAKNESSES = sorted({weak for _, weak in VMM_ATTEMPTS.values()})


@pytest.mark.parametrize("weak", [attacks.weakened(name) for name in WEAKNESSES], indirect=True, ids=WEAKNESSES)
def test_succeeds_without_the_protection(weak, request):
    name, _ = request.node.callspec.params["weak"]
    got, lines = attack_by_vmm(weak, *["forget"] if name == "host-keeps-page" else [])
    for attempt, (_, needs) in VMM_ATTEMPTS.items():
        # Of a page that is data, a fetch succeeds by failing at what it finds there.
        assert got[attempt][0] == ("got" if needs == name else "refused"), (attempt, got[attempt])
    assert ("changed" in lines) == (name == "host-keeps-page")
