# SPDX-License-Identifier: Apache-2.0
"""kcoresd is killed at moments of launch, run, attest and stop. Another one takes over what it left: it finds the
guests, and when they are stopped, nothing is left of anything. The guests are a few instructions."""

import json
import os

import pytest

from guestlib import kcorectl, memory_in_use, tiny_image

pytestmark = pytest.mark.timeout(1800)

ROUNDS, POINTS = 5, 10  # each round looks for what is left behind
SEED = int(os.environ.get("KCORE_SEED", "1"))

# Runs on the server: each point starts something, waits for a part of the time that it took undisturbed, kills the
# daemon and looks at what the next one says. One JSON line per point.
FAULTS = """
import json, os, random, signal, subprocess, sys, time
seed, points = int(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)
LAUNCH = "kcorectl launch --json --name victim --kernel /tmp/tiny --memory 64M"
STOP = "kcorectl stop --json --force victim"

def run(command):
    return subprocess.run(command.split(), capture_output=True, text=True, timeout=300)

def show(unit, what):
    return run(f"systemctl show -P {what} {unit}").stdout.strip()

def daemon():
    "The process of the daemon that answers, started if there is none."
    r = run("kcorectl list --json")
    assert r.returncode == 0, r
    return int(show("kcoresd.service", "MainPID"))

def victim():
    guests = [g for g in json.loads(run("kcorectl list --json").stdout)["guests"]
              if g["guest"]["name"] == "victim"]
    return guests[0] if guests else None

def settled():
    while (v := victim()) and v["status"] in ("starting", "stopping"):
        time.sleep(0.2)
    return v

def timed(command):
    start = time.monotonic()
    r = run(command)
    assert r.returncode == 0, r
    return time.monotonic() - start

daemon()
took = {"launch": timed(LAUNCH)}
took["run"] = timed("kcorectl show --json victim")
took["stop"] = timed(STOP)
took["attest"] = took["launch"]

for point in range(points):
    during = ("launch", "run", "attest", "stop")[point % 4]
    pid = daemon()
    alive = (v := victim()) and v["status"] == "running"
    if during == "launch" and v:
        timed(STOP)
    elif during != "launch" and not alive:
        timed(LAUNCH)
    command = {"launch": LAUNCH, "run": "kcorectl show --json victim", "stop": STOP,
               "attest": f"kcorectl attest victim --nonce {'5a' * 64} --output /dev/null"}[during]
    client = subprocess.Popen(command.split(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    delay = rng.uniform(0, took[during] * 1.1)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    if during == "attest":      # this guest has no agent that could answer
        client.terminate()
    out, err = client.communicate(timeout=300)
    other = daemon()
    state = settled()
    print(json.dumps({"point": point, "during": during, "delay": round(delay, 3), "client": client.returncode,
                      "words": (out + err)[-300:], "other": other != pid, "status": state and state["status"],
                      "reason": state and state.get("reason")}), flush=True)
if victim():
    timed(STOP)
"""


def leavings(server):
    """What guests may leave: units, files, descriptors that systemd keeps, descriptors and launches."""
    return server.run(
        "systemctl list-units --all --plain --no-legend 'kcore-guest-*'; ls -A /run/kcore/guests; pgrep -a qemu;"
        " systemctl show -P NFileDescriptorStore kcoresd;"
        " ls -l /proc/$(systemctl show -P MainPID kcoresd)/fd | grep -c kcore", check=False).stdout


@pytest.fixture(scope="module")
def seen():
    """The points of all rounds."""
    return []


@pytest.mark.parametrize("number", range(ROUNDS))
def test_killed_at_any_moment(server, seen, number):
    server.put(tiny_image(), "/tmp/tiny")
    kcorectl(server, "list")
    before, clean = memory_in_use(server), leavings(server)
    lines = server.run(f"python3 - {SEED * ROUNDS + number} {POINTS}", input=FAULTS, timeout=1500).stdout.splitlines()
    points = [json.loads(line) for line in lines]
    assert len(points) == POINTS
    seen += points
    for p in points:
        assert p["other"], p
        if p["during"] in ("run", "attest"):
            assert p["status"] == "running", p
        elif p["during"] == "launch":
            # Not begun, begun and finished by the next daemon, or failed and said so.
            assert p["status"] in (None, "running", "failed"), p
            assert p["status"] != "failed" or p["reason"], p
        else:
            assert p["status"] in (None, "running"), p
    assert leavings(server) == clean
    assert memory_in_use(server) == before
    server.run("rm -f /tmp/tiny")


def test_moments_were_spread(seen):
    """Some launches came to a guest, and some clients lost their daemon."""
    assert len(seen) == ROUNDS * POINTS, "a round failed, or did not run"
    assert {p["status"] for p in seen if p["during"] == "launch"} >= {"running"}, seen
    assert any(p["client"] for p in seen), seen
