# SPDX-License-Identifier: Apache-2.0
"""A key broker (kcore-kbs) on this machine, and its protocol spoken by hand (docs/key-broker.md)."""

import hashlib
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys

from cryptography.hazmat.primitives.asymmetric import ec

import kserv

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "attest/kbs/tests"))
import jose  # noqa: E402

KBS = os.path.join(kserv.cache_dir(), "build/native/attest/kbs/kcore-kbs")
RESOURCE = "disk/key/root"


class Broker:
    """Gives key to whom it has reference values for: references/disk/."""

    def __init__(self, directory, key):
        self.directory = directory
        for d in ("platforms", "references/disk", "resources/disk/key", "state", "tls"):
            (directory / d).mkdir(parents=True)
        (directory / "resources" / RESOURCE).write_bytes(key)
        self.tls = jose.Tls(directory / "tls")
        d = directory
        self.process = subprocess.Popen(
            [KBS, "--listen", "127.0.0.1", "--port", "0", "--certificate", d / "tls/certificate.pem", "--key", d / "tls/key.pem",
             "--platforms", d / "platforms", "--references", d / "references", "--resources", d / "resources", "--state", d / "state",
             "--audit", d / "audit.jsonl", "--challenge-seconds", "3600"], stderr=subprocess.PIPE, text=True)
        self.port = int(re.match(r"kcore-kbs: listening on \S+ port (\d+)$", self.process.stderr.readline())[1])

    def platform(self, name, data):
        (self.directory / "platforms" / name).write_bytes(data)

    def reference(self, values):
        (self.directory / "references/disk/guest.json").write_text(json.dumps(values))

    def audit(self):
        return [json.loads(line) for line in (self.directory / "audit.jsonl").read_text().splitlines()]

    def close(self):
        self.process.terminate()
        self.process.communicate()


class Session:
    """A guest's side of one exchange."""

    def __init__(self, broker):
        self.broker, self.cookie = broker, None
        self.key = ec.generate_private_key(ec.SECP256R1())
        status, reply = self.request("POST", "auth", {"version": "0.4.0", "tee": "cca", "extra-params": {}})
        assert status == 200, reply
        self.nonce = json.loads(reply)["nonce"]

    def request(self, method, path, body=None):
        c = http.client.HTTPSConnection("localhost", self.broker.port, timeout=60, context=self.broker.tls.client_context())
        headers = {"Content-Type": "application/json", **({"Cookie": f"kbs-session-id={self.cookie}"} if self.cookie else {})}
        c.request(method, "/kbs/v0/" + path, body=body and json.dumps(body), headers=headers)
        r = c.getresponse()
        m = re.match(r"kbs-session-id=([0-9a-f]{32}); ", r.getheader("Set-Cookie") or "")
        if m:
            self.cookie = m[1]
        data = r.read()
        c.close()
        return r.status, data

    def jwk(self):
        return {**jose.public_jwk(self.key), "alg": "ECDH-ES+A256KW"}

    def challenge(self):
        runtime = {"additional-evidence": "", "nonce": self.nonce, "tee-pubkey": self.jwk()}
        return hashlib.sha384(json.dumps(runtime, sort_keys=True, separators=(",", ":")).encode()).digest() + bytes(16)

    def attest(self, token):
        """Status and answer."""
        status, data = self.request("POST", "attest", {
            "runtime-data": {"nonce": self.nonce, "tee-pubkey": self.jwk()},
            "tee-evidence": {"primary_evidence": {"token": list(token)}, "additional_evidence": ""}})
        return status, json.loads(data)

    def resource(self):
        """Status, and the resource or the answer."""
        status, data = self.request("GET", "resource/" + RESOURCE)
        return status, jose.unseal(self.key, data) if status == 200 else json.loads(data)
