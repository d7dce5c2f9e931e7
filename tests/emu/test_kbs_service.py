# SPDX-License-Identifier: Apache-2.0
"""The key broker as its package runs it: systemd starts it, as a user of its own, shut in."""

import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "attest/kbs/tests"))
import jose  # noqa: E402

UNITS = "kcore-kbs.service kcoresd.service kcoresd.socket kcore-agent.service"
CONFIGURATION = "/etc/kcore-kbs"

# Asks for a challenge as a guest does; prints status and answer.
ASK = f"""
import http.client, json, ssl
c = http.client.HTTPSConnection("localhost", 8080, timeout=60, context=ssl.create_default_context(cafile="{CONFIGURATION}/ca.pem"))
c.request("POST", "/kbs/v0/auth", json.dumps({{"version": "0.4.0", "tee": "cca", "extra-params": {{}}}}),
          {{"Content-Type": "application/json"}})
r = c.getresponse()
print(json.dumps([r.status, json.loads(r.read())]))
"""


@pytest.fixture
def configured(server, tmp_path):
    tls = jose.Tls(tmp_path)
    server.run(f"mkdir -p {CONFIGURATION}/platforms {CONFIGURATION}/references {CONFIGURATION}/resources")
    for source, name in ((tls.certificate, "tls-certificate.pem"), (tls.key, "tls-key.pem"), (tls.ca, "ca.pem")):
        server.put(source.read_bytes(), f"{CONFIGURATION}/{name}")
    server.run(f"chgrp kcore-kbs {CONFIGURATION}/tls-key.pem && chmod 640 {CONFIGURATION}/tls-key.pem")
    yield
    server.run(f"systemctl stop kcore-kbs; rm -rf {CONFIGURATION} /var/lib/kcore-kbs /var/log/kcore-kbs", check=False)


def unit(server, name):
    return server.run(f"systemctl show -P {name} kcore-kbs").stdout.strip()


def test_units_are_well_formed(server):
    """systemd knows every directive in them."""
    r = server.run(f"systemd-analyze verify --man=no {UNITS} 2>&1", check=False)
    said = [line for line in r.stdout.splitlines() if "kcore" in line]
    assert said == []


def test_not_started_without_configuration(server):
    server.run("systemctl start kcore-kbs")
    assert (unit(server, "ActiveState"), unit(server, "ConditionResult")) == ("inactive", "no")


def test_service(server, configured):
    server.run("systemctl start kcore-kbs", timeout=300)   # returns when it is ready to serve
    assert unit(server, "ActiveState") == "active"
    pid = unit(server, "MainPID")
    assert server.run(f"stat -c %U /proc/{pid}").stdout.strip() == "kcore-kbs"
    status = server.run(f"cat /proc/{pid}/status").stdout
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    assert server.run(f"grep 'Max core file size' /proc/{pid}/limits").stdout.split()[4] == "0"

    status, answer = json.loads(server.run("python3 -", input=ASK, timeout=300).stdout)
    assert status == 200 and set(answer) == {"nonce", "extra-params"}
    assert server.run("stat -c '%U %a' /var/log/kcore-kbs/audit.jsonl").stdout.split() == ["kcore-kbs", "640"]
    event = json.loads(server.run("tail -n 1 /var/log/kcore-kbs/audit.jsonl").stdout)
    assert (event["event"], event["granted"]) == ("challenge", True)
    key = server.run("stat -c '%U %a %i' /var/lib/kcore-kbs/token-key.pem").stdout.split()
    assert key[:2] == ["kcore-kbs", "600"]

    server.run("systemctl restart kcore-kbs", timeout=300)
    assert server.run("stat -c '%U %a %i' /var/lib/kcore-kbs/token-key.pem").stdout.split() == key   # it keeps its key
    server.run("systemctl stop kcore-kbs", timeout=300)
    assert (unit(server, "ActiveState"), unit(server, "Result")) == ("inactive", "success")
