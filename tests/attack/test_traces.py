# SPDX-License-Identifier: Apache-2.0
"""What the compiled core does on the simulated machine, beside which the proofs' model runs (./kcore test diff), it
does on the emulated machine as well: a sample of the fuzzer's calls, recorded there and repeated here."""

import copy
import itertools
import os
import pathlib
import subprocess
import sys

import attestlib
import kserv
import pytest
from conftest import ROOT, booted, build_weak
from rmi import C, PAGE

sys.path.append(str(ROOT / "image" / "tests"))
import traces  # noqa: E402

STEPS, SEED = 1500, 2


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """All that happens in the sample."""
    path = tmp_path_factory.mktemp("trace") / "trace"
    recorder = pathlib.Path(kserv.cache_dir()) / "build/native/hyp/tests/trace"
    subprocess.run([recorder, str(STEPS), str(SEED), "host"], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "KCORE_TRACE": str(path), "KCORE_TRACE_CALLS": "1"})
    return list(traces.read(path))


@pytest.fixture(scope="module")
def machine(parts, request):
    """Without a victim: nothing is delegated. request.param: a weakness."""
    weak = getattr(request, "param", None)
    with booted(parts, f"{os.getpid()}-traces-{weak}", build_weak(weak) if weak else parts.kcore) as arena:
        yield arena


def sealing_key(rmi):
    page, document, total = rmi.alloc(), b"", 1
    while len(document) < total:
        _, size, total, *_ = rmi.must("KCORE_IDENTITY_READ", page, len(document))
        document += rmi.m.read(page, PAGE)[:size]
    rmi.free(page)
    return attestlib.Identity(document).sealing


def episode_with_a_run(recording):
    """A copy of the first in which a REC runs."""
    starts = [n for n, event in enumerate(recording) if isinstance(event, traces.Reset)] + [len(recording)]
    for start, end in itertools.pairwise(starts):
        if any(isinstance(event, traces.Call) and event.ran for event in recording[start:end]):
            return copy.deepcopy(recording[start:end])
    raise AssertionError("no REC runs")


def altered(events):
    """A lie in each of three events: a result, what a run page says, and what is in a page that comes back for the
    last time."""
    calls = [e for e in events if isinstance(e, traces.Call)]
    read = next(c for c in calls if c.x[0] == C["RMI_RTT_READ_ENTRY"] and c.results[0] == 0)
    read.results[3] ^= PAGE
    ran = next(c for c in calls if c.ran)
    at = next(i for i, (_, index, _) in enumerate(ran.pages) if 0x800 <= 8 * index < 0x900)
    pa, index, value = ran.pages[at]
    ran.pages[at] = (pa, index, value ^ 8)
    back = [c for c in calls if c.x[0] == C["RMI_GRANULE_UNDELEGATE"] and c.results[0] == 0][-1]
    back.pages.append((back.x[1], 511, 1))
    return events


def test_every_command_succeeds_and_fails(recording):
    shares = traces.shares(recording)
    for name, statuses in sorted(shares.items()):
        print(f"{name:28} {', '.join(f'{status} {n}' for status, n in statuses.most_common())}")
    commands, total = set(traces.ADDRESSES), sum(statuses["SUCCESS"] for statuses in shares.values())
    assert {name for name in commands if not shares[name]["SUCCESS"]} == traces.NEED_A_REALM
    assert {name for name in commands if set(shares[name]) <= {"SUCCESS"}} == traces.NEVER_FAIL
    assert 2 * total > sum(statuses.total() for statuses in shares.values())


def test_same_results_and_memory(machine, recording):
    repeat = traces.Repeat(machine, sealing_key(machine.rmi))
    repeat.run(recording)
    assert not repeat.differences, "\n".join(repeat.differences)
    assert repeat.calls == sum(isinstance(event, traces.Call) for event in recording)


def test_each_lie_in_a_trace_is_found(machine, recording):
    repeat = traces.Repeat(machine, sealing_key(machine.rmi))
    repeat.run(altered(episode_with_a_run(recording)))
    assert [d.split(": ")[1].partition(" ")[0] for d in repeat.differences] == ["results", "page", "page"], repeat.differences


@pytest.mark.parametrize("machine", ["no-scrub"], indirect=True)
def test_a_core_that_does_not_scrub_is_found(machine, recording):
    repeat = traces.Repeat(machine, sealing_key(machine.rmi), enough=1)
    repeat.run(recording)
    assert repeat.differences
    print(repeat.differences[0])
