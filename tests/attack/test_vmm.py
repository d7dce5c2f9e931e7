# SPDX-License-Identifier: Apache-2.0
"""A VMM in host user space (host/vmm.c) launches a realm through /dev/kcore and turns against it."""

import pytest

# Attempt -> how it may be refused.
ATTEMPTS = {
    "own-read": {"SIGBUS"}, "own-write": {"SIGBUS"}, "own-exec": {"SIGBUS"},
    "proc-mem-read": {"EIO", "EFAULT"}, "proc-mem-write": {"EIO", "EFAULT"},
    "process-vm-readv": {"EFAULT", "EIO"}, "process-vm-writev": {"EFAULT", "EIO"},
    "kernel-copy": {"EFAULT"},
    "ptrace-read": {"EIO", "EFAULT"}, "ptrace-write": {"EIO", "EFAULT"},
    "core-dump": {"nothing-in-it", "no-file"},
    "registers": None,
}


def attack_by_vmm(arena):
    """Runs the VMM: {attempt: [verdict, detail]}, and how often the realm's data was found intact."""
    status, output = (arena.m.do("prog", "/vmm", "/keeper.bin", timeout=120) + [""])[:2]
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


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_refused(report, attempt):
    verdict, *how = report[0][attempt]
    assert verdict == "refused", how
    if ATTEMPTS[attempt]:
        assert how[0] in ATTEMPTS[attempt], how


def test_data_is_kept_and_the_realm_goes_on(report):
    lines = report[1]
    assert lines.count("kept") == 3 and "changed" not in lines and "run-page" not in lines
    assert lines[-1] == "off"


@pytest.mark.parametrize("weak", [("host-keeps-page", ())], indirect=True, ids=["host-keeps-page"])
def test_succeeds_without_the_protection(weak):
    got, lines = attack_by_vmm(weak)
    # /proc, ptrace and the like are stopped by KServ before they touch the page: it is untrusted, but it
    # knows that the access would only fail.
    for attempt in ("own-read", "own-write", "kernel-copy"):
        assert got[attempt][0] == "got", (attempt, got[attempt])
    assert "changed" in lines
