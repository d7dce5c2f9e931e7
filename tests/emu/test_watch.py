# SPDX-License-Identifier: Apache-2.0
"""Watching guests on the server: kcorectl top, monitor, metrics and its socket unit, the journal's fields. The guest
is one instruction that branches to itself."""

import json
import re

import pytest

from guestlib import kcorectl, launch, tiny_image

pytestmark = pytest.mark.timeout(900)

SPIN = 0x14000000       # b .

SCRAPE = """
import sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen("http://127.0.0.1:9911" + sys.argv[1], timeout=60) as r:
        print(r.status, r.headers["Content-Type"], r.read().decode(), sep="\\n")
except urllib.error.HTTPError as e:
    print(e.code)
"""


@pytest.fixture
def spinner(server):
    server.put(tiny_image(SPIN), "/tmp/spin")
    launch(server, "spin", "--kernel /tmp/spin --memory 64M")
    yield server
    server.run("kcorectl stop --force spin; rm -f /tmp/spin", check=False)


def test_top(spinner):
    # Launches of other tests that failed are in the list, too.
    guest, = [g for g in kcorectl(spinner, "top --delay 3")[0]["guests"] if g["name"] == "spin"]
    assert (guest["name"], guest["status"], guest["vcpus"]) == ("spin", "running", 1)
    # The other CPUs of the server are emulated on the same cores: half of one is a lot.
    assert 20 < guest["cpuPercent"] < 200
    assert guest["exits"] > 0 and guest["exitsPerSecond"] > 0      # the host's own interrupts
    assert guest["privateBytes"] >= 4096 and guest["tableBytes"] >= 4096
    table = spinner.run("kcorectl top --delay 1 --iterations 2").stdout
    assert len(re.findall(r"^spin +running", table, re.M)) == 2


def test_metrics(spinner):
    values = dict(re.findall(r"^([a-z_]+(?:\{[^}]*\})?) ([0-9.]+)$", spinner.run("kcorectl metrics").stdout, re.M))
    assert values["kcore_up"] == "1"
    assert values['kcore_guests{status="running"}'] == "1"
    assert values['kcore_guest_vcpus{guest="spin"}'] == "1"
    assert float(values['kcore_guest_private_bytes{guest="spin"}']) >= 4096
    assert int(values["kcore_launches_total"]) >= 1
    assert int(values['kcore_core_events_total{event="recEnters"}']) > 0

    assert spinner.run("systemctl is-enabled kcore-metrics.socket", check=False).stdout.strip() == "disabled"
    spinner.run("systemctl start kcore-metrics.socket")
    try:
        status, kind, text = spinner.run("python3 - /metrics", input=SCRAPE).stdout.split("\n", 2)
        assert (status, kind) == ("200", "text/plain; version=0.0.4; charset=utf-8")
        assert 'kcore_guest_exits_total{guest="spin"}' in text
        assert spinner.run("python3 - /", input=SCRAPE).stdout.strip() == "404"
    finally:
        spinner.run("systemctl stop kcore-metrics.socket")


def test_monitor_and_journal(server):
    server.put(tiny_image(SPIN), "/tmp/spin")
    server.run("systemd-run --unit=test-monitor --property=StandardOutput=file:/tmp/events kcorectl monitor --json")
    try:
        server.run("for i in $(seq 100); do grep -q . /proc/$(systemctl show -P MainPID test-monitor)/comm && break; sleep 0.1; done; sleep 2")
        launch(server, "spin", "--kernel /tmp/spin --memory 64M")
        server.run("kcorectl stop --force spin")
    finally:
        events = server.run("sleep 1; cat /tmp/events; systemctl stop test-monitor; rm -f /tmp/events /tmp/spin", check=False).stdout
    seen = [json.loads(e) for e in events.split("\x1e") if e.strip()]
    assert [(e["event"], e["guest"]["status"]) for e in seen if e["guest"]["guest"]["name"] == "spin"] == [
        ("changed", "starting"), ("changed", "running"), ("changed", "stopping"), ("changed", "exited"), ("removed", "exited")]

    lines = [json.loads(line) for line in
             server.run("journalctl -b -o json -u kcoresd KCORE_GUEST=spin").stdout.splitlines()]
    assert [e["KCORE_GUEST_STATUS"] for e in lines[-2:]] == ["running", "exited"]
    assert lines[-1]["MESSAGE"].startswith("Guest spin ended")
    assert len(lines[-1]["KCORE_GUEST_UUID"]) == 36
