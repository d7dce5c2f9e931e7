# SPDX-License-Identifier: Apache-2.0
"""kcore-kbs over TLS: the agent gets its key, everybody else a reason."""

import base64
import copy
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

import ccatoken
import jose

KBS, AGENT = os.environ["KBS"], os.environ["AGENT"]
KEY = bytes(range(32))
RESOURCE = "/kbs/v0/resource/"


class Broker:
    def __init__(self, directory, platform, *options):
        self.directory, self.platform = directory, platform
        for d in ("platforms", "references/web", "resources/web/disk", "resources/other/disk", "state"):
            (directory / d).mkdir(parents=True)
        (directory / "platforms/machine.pem").write_bytes(platform.pem())
        (directory / "resources/web/disk/root").write_bytes(KEY)
        (directory / "resources/other/disk/root").write_bytes(b"not for the guests of web, 32 bytes")
        (directory / "tls").mkdir()
        self.tls = jose.Tls(directory / "tls")
        self.reference(platform.reference())
        self.options = options
        self.start()

    def reference(self, values, name="references/web/guest.json"):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values) if not isinstance(values, str) else values)

    def start(self):
        d = self.directory
        self.process = subprocess.Popen(
            [KBS, "--listen", "127.0.0.1", "--port", "0", "--certificate", d / "tls/certificate.pem", "--key", d / "tls/key.pem",
             "--platforms", d / "platforms", "--references", d / "references", "--resources", d / "resources", "--state", d / "state",
             "--audit", d / "audit.jsonl", *self.options], stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        m = re.match(r"kcore-kbs: listening on \S+ port (\d+)$", line)
        if not m:
            raise AssertionError(line + self.process.stderr.read())
        self.port = int(m[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        error = self.process.communicate(timeout=30)[1]
        assert (self.process.returncode, error) == (0, "")

    def audit(self):
        return [json.loads(line) for line in (self.directory / "audit.jsonl").read_text().splitlines()]

    def connect(self):
        return http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.tls.client_context())

    def request(self, method, path, body=None, cookie=None, kind="application/json", headers={}):
        """Status, parsed body, cookie."""
        c = self.connect()
        h = dict(headers)
        if kind:
            h["Content-Type"] = kind
        if cookie:
            h["Cookie"] = f"kbs-session-id={cookie}"
        c.request(method, path, body=json.dumps(body) if isinstance(body, (dict, list)) else body, headers=h)
        r = c.getresponse()
        data, set_cookie = r.read(), r.getheader("Set-Cookie") or ""
        assert r.getheader("Content-Type") == "application/json"
        c.close()
        m = re.match(r"kbs-session-id=([0-9a-f]{32}); ", set_cookie)
        return r.status, json.loads(data), m and m[1]

    def refused(self, status, word, *arguments, **keys):
        got, reply, _ = self.request(*arguments, **keys)
        assert got == status and word in reply["detail"], (got, reply)
        assert reply["type"].startswith("https://github.com/confidential-containers/kbs/errors/")
        assert self.audit()[-1]["granted"] is False and word in self.audit()[-1]["reason"]


class Guest:
    """A guest by hand, to do wrong what the agent does right."""

    def __init__(self, broker, platform=None):
        self.broker, self.platform = broker, platform or broker.platform
        self.key = ec.generate_private_key(ec.SECP256R1())

    def auth(self):
        status, reply, self.session = self.broker.request("POST", "/kbs/v0/auth", AUTH)
        assert status == 200 and set(reply) == {"nonce", "extra-params"} and self.session
        self.nonce = reply["nonce"]
        assert len(base64.b64decode(self.nonce)) == 32
        return self

    def challenge(self, nonce=None, additional=""):
        runtime = {"additional-evidence": additional, "nonce": nonce or self.nonce, "tee-pubkey": self.jwk()}
        return hashlib.sha384(json.dumps(runtime, sort_keys=True, separators=(",", ":")).encode()).digest() + bytes(16)

    def jwk(self):
        return {**jose.public_jwk(self.key), "alg": "ECDH-ES+A256KW"}

    def attestation(self, token=None, **changes):
        token = self.platform.token(self.challenge()) if token is None else token
        return {"runtime-data": {"nonce": self.nonce, "tee-pubkey": self.jwk()},
                "tee-evidence": {"primary_evidence": {"token": list(token)}, "additional_evidence": ""}, **changes}

    def attest(self, body=None):
        return self.broker.request("POST", "/kbs/v0/attest", body or self.attestation(), cookie=self.session)

    def refused(self, word, body=None, status=401):
        self.broker.refused(status, word, "POST", "/kbs/v0/attest", body or self.attestation(), cookie=self.session)


AUTH = {"version": "0.4.0", "tee": "cca", "extra-params": ""}


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """One for all that does not change it; at the end it must still serve."""
    platform = ccatoken.Platform()
    platform.add_policy()
    b = Broker(tmp_path_factory.mktemp("kbs"), platform)
    yield b
    assert Guest(b).auth().attest()[0] == 200
    b.stop()


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    path = tmp_path_factory.mktemp("disk") / "disk"
    path.write_bytes(b"")
    os.truncate(path, 17 << 20)
    subprocess.run(["cryptsetup", "--batch-mode", "luksFormat", "--type", "luks2", "--cipher", "aes-xts-plain64", "--key-size", "512",
                    "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file=-", path], input=KEY, check=True)
    return path


def run_agent(broker, platform, disk, tmp_path, resource="web/disk/root"):
    (tmp_path / "tsm").mkdir()
    kernel = ccatoken.Kernel(str(tmp_path / "tsm"), platform.token)
    r = subprocess.run([AGENT, "unlock", "--check", "--disk", disk, "--kbs", f"https://localhost:{broker.port}", "--ca", broker.tls.ca,
                        "--resource", resource, "--tsm", tmp_path / "tsm", "--wait", "0"], capture_output=True, text=True, timeout=120,
                       env={**os.environ, "FAKE_TSM": str(tmp_path / "tsm")})
    kernel.end()
    return r


# ---- the agent

def test_agent_gets_its_key(broker, disk, tmp_path):
    r = run_agent(broker, broker.platform, disk, tmp_path)
    assert (r.returncode, r.stderr) == (0, "")
    events = broker.audit()[-3:]
    assert [e["event"] for e in events] == ["challenge", "attest", "resource"]
    assert all(e["granted"] and e["peer"] == "127.0.0.1" for e in events)
    assert len({e["session"] for e in events}) == 1
    assert [e.get("subject") for e in events] == [None, "web/guest", "web/disk/root"]


def test_agent_of_another_image(broker, disk, tmp_path):
    other = broker.platform.copy()
    other.claims = {**other.claims, 44238: hashlib.sha256(b"another image").digest()}
    r = run_agent(broker, other, disk, tmp_path)
    assert r.returncode == 1 and "web/guest: realm initialMeasurement: differs from the reference value" in r.stderr
    e = broker.audit()[-1]
    assert e["event"] == "refuse" and not e["granted"] and "initialMeasurement" in e["reason"]


def test_agent_wants_anothers_key(broker, disk, tmp_path):
    r = run_agent(broker, broker.platform, disk, tmp_path, resource="other/disk/root")
    assert r.returncode == 1 and "may not read that repository" in r.stderr


# ---- what is right

def test_protocol(broker):
    g = Guest(broker).auth()
    status, reply, session = g.attest()
    assert status == 200 and session == g.session and set(reply) == {"token"}
    status, jwe, _ = broker.request("GET", RESOURCE + "web/disk/root", cookie=g.session)
    assert status == 200 and jose.unseal(g.key, json.dumps(jwe)) == KEY
    # Trustee's client writes the header anew, keys sorted, before it authenticates it.
    header = jose.unbase64url(jwe["protected"]).decode()
    assert header == json.dumps(json.loads(header), sort_keys=True, separators=(",", ":"))

    # The result, under the broker's public key.
    head, claims, signature = reply["token"].split(".")
    assert json.loads(jose.unbase64url(head)) == {"alg": "ES256", "typ": "JWT"}
    raw = jose.unbase64url(signature)
    public = serialization.load_pem_public_key((broker.directory / "state/token-key.pub.pem").read_bytes())
    public.verify(encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")),
                  f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    claims = json.loads(jose.unbase64url(claims))
    assert claims["iss"] == "kcore-kbs" and claims["exp"] - claims["iat"] == 300 and abs(claims["iat"] - time.time()) < 60
    assert claims["tee-pubkey"] == g.jwk() and claims["repositories"] == ["web"] and claims["references"] == "web/guest"
    assert (broker.directory / "state/token-key.pem").stat().st_mode & 0o777 == 0o600


def test_additional_evidence_empty_object(broker):
    g = Guest(broker).auth()
    body = g.attestation(token=g.platform.token(g.challenge(additional="{}")))
    body["tee-evidence"]["additional_evidence"] = "{}"
    assert g.attest(body)[0] == 200


def test_new_references_count_at_once(broker):
    other = broker.platform.copy()
    other.claims = {**other.claims, 44238: hashlib.sha256(b"new image").digest()}
    Guest(broker, other).auth().refused("initialMeasurement")
    broker.reference(other.reference(), "references/new/image.json")
    g = Guest(broker, other).auth()
    assert g.attest()[0] == 200
    broker.refused(401, "may not read", "GET", RESOURCE + "web/disk/root", cookie=g.session)
    (broker.directory / "references/new/image.json").unlink()
    Guest(broker, other).auth().refused("initialMeasurement")


# ---- replays

def test_nonce_is_used_once(broker):
    g = Guest(broker).auth()
    body = g.attestation()
    assert g.attest(body)[0] == 200
    g.refused("used before", body)
    # And that ended the session.
    broker.refused(401, "no such session", "GET", RESOURCE + "web/disk/root", cookie=g.session)


def test_refusal_uses_the_nonce(broker):
    g = Guest(broker).auth()
    body = g.attestation()
    bad = copy.deepcopy(body)
    bad["tee-evidence"]["primary_evidence"]["token"][-1] ^= 1
    g.refused("signature", bad)
    g.refused("no such session", body)


def test_token_of_another_session(broker):
    """A recorded token, with the nonce that it was made for, and with the new one."""
    old = Guest(broker).auth()
    recorded = old.attestation()
    assert old.attest(recorded)[0] == 200
    g = Guest(broker).auth()
    g.key = old.key
    g.refused("nonce is not the one", recorded)
    g.auth()
    again = g.attestation(token=bytes(recorded["tee-evidence"]["primary_evidence"]["token"]))
    g.refused("realm challenge", again)


def test_token_of_another_key(broker):
    """The host puts its own key in the guest's place."""
    g = Guest(broker).auth()
    body = g.attestation()
    g.key = ec.generate_private_key(ec.SECP256R1())
    body["runtime-data"]["tee-pubkey"] = g.jwk()
    g.refused("realm challenge", body)


def test_sessions(broker):
    broker.refused(401, "no cookie", "GET", RESOURCE + "web/disk/root")
    broker.refused(401, "no cookie", "POST", "/kbs/v0/attest", {})
    for cookie in ("0" * 32, "0", "f" * 100, "%00", "../../x"):
        broker.refused(401, "no such session", "GET", RESOURCE + "web/disk/root", cookie=cookie)
    g = Guest(broker).auth()
    broker.refused(401, "not attested", "GET", RESOURCE + "web/disk/root", cookie=g.session)
    # Another guest's session does not help.
    h = Guest(broker).auth()
    h.session = g.session
    h.refused("nonce is not the one")


def test_expiry(tmp_path):
    b = Broker(tmp_path, ccatoken.Platform(), "--challenge-seconds", "1", "--session-seconds", "2")
    g = Guest(b).auth()
    time.sleep(1.2)
    g.refused("expired")
    g = Guest(b).auth()
    assert g.attest()[0] == 200
    time.sleep(2.2)
    b.refused(401, "expired", "GET", RESOURCE + "web/disk/root", cookie=g.session)
    b.stop()


def test_many_sessions(broker):
    """They are bounded, and who floods the broker pushes out only who has proved nothing."""
    g = Guest(broker).auth()
    assert g.attest()[0] == 200
    waiting = Guest(broker).auth()
    c = broker.connect()
    for _ in range(300):
        c.request("POST", "/kbs/v0/auth", json.dumps(AUTH), {"Content-Type": "application/json"})
        r = c.getresponse()
        assert r.status == 200 and r.read()
    c.close()
    waiting.refused("no such session")
    assert broker.request("GET", RESOURCE + "web/disk/root", cookie=g.session)[0] == 200


# ---- tokens that are not as they should be

def claims(**changes):
    def change(platform):
        platform.claims = {**platform.claims, **{int(k): v for k, v in changes.items()}}
    return change


def platform_claims(**changes):
    def change(platform):
        platform.platform = {**platform.platform, **{int(k): v for k, v in changes.items()}}
    return change


def policy(**changes):
    return lambda platform: platform.add_policy(**changes)


def no_policy(platform):
    platform.claims = {k: v for k, v in platform.claims.items() if k not in (ccatoken.POLICY, ccatoken.SIGNER)}


def other_realm_key(platform):
    platform.rak = ec.generate_private_key(ec.SECP384R1())
    platform.claims = {**platform.claims, 44237: ccatoken.cose_key(platform.rak)}


@pytest.mark.parametrize("change, word", [
    (claims(**{"44238": hashlib.sha256(b"x").digest()}), "realm initialMeasurement"),
    (claims(**{"44239": [b"\1" * 32] + [bytes(32)] * 3}), "realm extensibleMeasurements"),
    (claims(**{"44235": b"\1" * 64}), "realm personalizationValue"),
    (policy(flags=1), "realm policy.debug"),
    (policy(flags=2), "realm policy.snapshots"),
    (policy(max_vcpus=5), "realm policy.maxVcpus"),
    (policy(max_shared=1 << 20), "realm policy.maxSharedGranules"),
    (no_policy, "realm policy"),
    (claims(**{str(ccatoken.SIGNER): bytes(32)}), "realm policySigner"),
    (platform_claims(**{"2396": bytes(32)}), "platform implementationId"),
    (platform_claims(**{"2395": 0x6000}), "platform lifecycle"),
    (platform_claims(**{"2399": [{1: "KCore", 2: bytes(64), 4: "1.0", 5: bytes(32), 6: "sha-512"}]}), "platform softwareComponents"),
    (other_realm_key, "token"),
    (lambda p: setattr(p, "cpak", ec.generate_private_key(ec.SECP384R1())), "token"),
], ids=lambda x: x.replace(" ", "-") if isinstance(x, str) else None)
def test_other_guest(broker, change, word):
    other = broker.platform.copy()
    change(other)
    Guest(broker, other).auth().refused(word)


@pytest.mark.parametrize("token", [b"\0", b"\xd9\x01\x8f\xa0", b"\xff" * 100, cbor2.dumps({}), b"\x9f" * 2000, b"\xd9\x01\x8f\xbb" + b"\xff" * 8,
                                   os.urandom(8192)])
def test_no_token(broker, token):
    g = Guest(broker).auth()
    g.refused("token", g.attestation(token=token))


def test_truncated_token(broker):
    for cut in (1, 100, 700):
        g = Guest(broker).auth()
        g.refused("token", g.attestation(token=g.platform.token(g.challenge())[:-cut]))


# ---- requests that are not as they should be

def nest(depth):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("body, status, word", [
    ("", 400, "no JSON"), ("{", 400, "ends too early"), ('{"version":"0.4.0"', 400, "ends too early"), ("[]", 400, "no JSON object"),
    ("nonsense", 400, "no JSON"), ('{"a":1}x', 400, "no JSON"), ('{"a":1}//', 400, "no JSON"), ("{}\0", 400, "zero byte"),
    ('{"a":%s}' % nest(8), 400, "nested"), (nest(30000), 400, "nested"), ("[" * 60000, 400, "nested"),
    ('{"version":"0.4.0","tee":"cca","tee":"snp","extra-params":""}', 400, "twice"),
    ('{"a":{"b":1,"b":2}}', 400, "twice"),
    (json.dumps({str(i): i for i in range(100)}), 400, "too many keys"),
    (" " * 65537, 413, "too long"), (" " * 3000000, 413, "too long"),
    ('{"tee":"cca"}', 401, "version"), ('{"version":4,"tee":"cca"}', 401, "version"), ('{"version":"0.1.0","tee":"cca"}', 401, "version"),
    ('{"version":"0.4.0"}', 401, "TEE"), ('{"version":"0.4.0","tee":"snp"}', 401, "TEE"), ('{"version":"0.4.0","tee":["cca"]}', 401, "TEE"),
    ('{"version":"0.4.0","tee":"\xff"}'.encode("latin1"), 400, "no JSON"),
])
def test_bad_auth(broker, body, status, word):
    broker.refused(status, word, "POST", "/kbs/v0/auth", body)


@pytest.mark.parametrize("kind", [None, "text/plain", "application/xml", "application/jsonx"])
def test_content_type(broker, kind):
    broker.refused(415, "content type", "POST", "/kbs/v0/auth", json.dumps(AUTH), kind=kind)


def without(*path):
    def change(body):
        for p in path[:-1]:
            body = body[p]
        body.pop(path[-1])
    return change


def with_(*path_and_value):
    *path, last, value = path_and_value

    def change(body):
        for p in path:
            body = body[p]
        body[last] = value
    return change


POINT = jose.base64url(b"\1" * 32)


@pytest.mark.parametrize("change, word", [
    (without("runtime-data"), "runtime-data"), (without("tee-evidence"), "tee-evidence"),
    (without("runtime-data", "nonce"), "nonce"), (with_("runtime-data", "nonce", ["x"]), "nonce"),
    (with_("runtime-data", "nonce", base64.b64encode(bytes(32)).decode()), "nonce"), (with_("runtime-data", "nonce", ""), "nonce"),
    (without("runtime-data", "tee-pubkey"), "tee-pubkey"), (with_("runtime-data", "tee-pubkey", "x"), "tee-pubkey"),
    (with_("runtime-data", "tee-pubkey", "kty", "RSA"), "tee-pubkey"), (with_("runtime-data", "tee-pubkey", "crv", "P-521"), "tee-pubkey"),
    (with_("runtime-data", "tee-pubkey", "alg", "RSA1_5"), "tee-pubkey"), (with_("runtime-data", "tee-pubkey", "d", "AA"), "tee-pubkey"),
    (with_("runtime-data", "tee-pubkey", "x", POINT), "no point"), (with_("runtime-data", "tee-pubkey", "y", "AA"), "no point"),
    (with_("runtime-data", "tee-pubkey", "y", POINT + "="), "no point"),
    (without("tee-evidence", "primary_evidence"), "no token"), (with_("tee-evidence", "primary_evidence", "token", "0xd9"), "no token"),
    (with_("tee-evidence", "primary_evidence", "token", []), "empty"), (with_("tee-evidence", "primary_evidence", "token", [0] * 8193), "too long"),
    (with_("tee-evidence", "primary_evidence", "token", [256]), "bytes"), (with_("tee-evidence", "primary_evidence", "token", [-1]), "bytes"),
    (with_("tee-evidence", "primary_evidence", "token", [1.5]), "bytes"), (with_("tee-evidence", "primary_evidence", "token", [[1]]), "bytes"),
    (without("tee-evidence", "additional_evidence"), "additional_evidence"),
    (with_("tee-evidence", "additional_evidence", '{"nvidia":{}}'), "additional_evidence"),
    (with_("init-data", {"format": "toml", "body": ""}), "init-data"),
])
def test_bad_attestation(broker, change, word):
    g = Guest(broker).auth()
    body = g.attestation()
    change(body)
    g.refused(word, body)
    g.refused("no such session", g.attestation())


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/", 404), ("GET", "/kbs/v0/auth", 404), ("PUT", "/kbs/v0/auth", 404), ("POST", "/kbs/v1/auth", 404),
    ("POST", RESOURCE + "web/disk/root", 404), ("DELETE", RESOURCE + "web/disk/root", 404), ("POST", "/kbs/v0/resource-policy", 404),
    ("GET", "/" + "x" * 1000, 404), ("GET", "/%ff%0a", 404),
])
def test_bad_path(broker, method, path, status):
    broker.refused(status, "", method, path, "{}" if method in ("POST", "PUT") else None)


@pytest.mark.parametrize("name", ["", "web", "web/disk", "web/disk/", "web//root", "web/disk/root/x", "web/disk/../../other/disk/root",
                                  "../resources/web/disk/root", "web/disk/%2e%2e", ".hidden/a/b", "web/disk/" + "a" * 65, "web/di%00sk/root"])
def test_bad_resource(broker, name):
    g = Guest(broker).auth()
    assert g.attest()[0] == 200
    broker.refused(404, "", "GET", RESOURCE + name, cookie=g.session)


def test_resources(broker):
    d = broker.directory / "resources/web/disk"
    (d / "link").symlink_to(broker.directory / "tls/key.pem")
    (d / "large").write_bytes(bytes(16385))
    (d / "directory").mkdir()
    (d / "empty").write_bytes(b"")
    g = Guest(broker).auth()
    assert g.attest()[0] == 200
    broker.refused(404, "no such resource", "GET", RESOURCE + "web/disk/none", cookie=g.session)
    broker.refused(404, "no such resource", "GET", RESOURCE + "web/none/root", cookie=g.session)
    for name in ("link", "large", "directory"):
        broker.refused(500, "internal error", "GET", RESOURCE + "web/disk/" + name, cookie=g.session)
    status, jwe, _ = broker.request("GET", RESOURCE + "web/disk/empty", cookie=g.session)
    assert status == 200 and jose.unseal(g.key, json.dumps(jwe)) == b""


# ---- the broker's own files

@pytest.mark.parametrize("values, word", [
    ("no JSON", "reference values"), ('{"version":1,"platform":{},"realm":{}}', "differs|no reference value"),
    ('{"version":1,"platform":{},"realm":{"initialMeasurment":"00"}}', "reference values"), ("{}", "reference values"),
])
def test_bad_reference(tmp_path, values, word):
    """A reference file that is wrong accepts nobody."""
    b = Broker(tmp_path, ccatoken.Platform())
    b.reference(values)
    status, reply, _ = Guest(b).auth().attest()
    assert status == 401 and re.search(word, reply["detail"]), reply
    b.stop()


def test_no_half_policy(tmp_path):
    """What can not be read is not left out: nobody is accepted until it can."""
    b = Broker(tmp_path, ccatoken.Platform())
    extra = tmp_path / "references/web/z.json"
    for make in (lambda: extra.symlink_to("/dev/null"), lambda: extra.mkdir(), lambda: extra.write_bytes(b" " * 65537)):
        make()
        Guest(b).auth().refused("internal error", status=500)
        extra.rmdir() if extra.is_dir() and not extra.is_symlink() else extra.unlink()
    (tmp_path / "platforms/bad.pem").write_text("no key")
    Guest(b).auth().refused("platform bad")
    (tmp_path / "platforms/bad.pem").unlink()
    for f in (tmp_path / "platforms").iterdir():
        f.unlink()
    Guest(b).auth().refused("no platform")
    b.stop()


def test_token_key_stays(tmp_path):
    b = Broker(tmp_path, ccatoken.Platform())
    before = (tmp_path / "state/token-key.pub.pem").read_bytes()
    b.stop()
    b.start()
    assert (tmp_path / "state/token-key.pub.pem").read_bytes() == before
    b.stop()
    (tmp_path / "state/token-key.pem").chmod(0o644)
    with pytest.raises(AssertionError, match="token-key.pem.*not permitted"):
        b.start()
    assert b.process.wait() == 4
    (tmp_path / "state/token-key.pem").chmod(0o600)
    (tmp_path / "state/token-key.pem").write_text("no key")
    with pytest.raises(AssertionError, match="token-key.pem"):
        b.start()
    assert b.process.wait() == 4


def test_full_audit_log(tmp_path):
    """What can not be logged is not given."""
    b = Broker(tmp_path, ccatoken.Platform(), "--audit", "/dev/full")
    assert b.request("POST", "/kbs/v0/auth", AUTH)[0] == 500
    b.stop()


# ---- clients that are no clients

def test_slow_clients(broker):
    """Who sends nothing, or a byte now and then, is cut off, and others are served meanwhile."""
    raw = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(8)]
    slow = broker.tls.client_context().wrap_socket(socket.create_connection(("127.0.0.1", broker.port)), server_hostname="localhost")
    slow.sendall(b"POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    begin = time.monotonic()
    ended = None
    while time.monotonic() - begin < 60:
        try:
            slow.sendall(b" ")
            slow.settimeout(1)
            if slow.recv(1) == b"":
                ended = time.monotonic()
                break
        except TimeoutError:
            continue
        except OSError:
            ended = time.monotonic()
            break
        if time.monotonic() - begin < 5:
            assert Guest(broker).auth().attest()[0] == 200
    assert ended and ended - begin < 55
    for s in raw:
        s.settimeout(30)
        try:
            while s.recv(100):
                pass
        except ConnectionError:
            pass
        s.close()


def test_too_many_connections(broker):
    held = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(40)]
    for s in held:
        s.close()
    deadline = time.monotonic() + 20
    while True:
        try:
            assert Guest(broker).auth().attest()[0] == 200
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.5)


def test_no_tls(broker):
    for text in (b"GET /kbs/v0/auth HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(1000), b"\x16\x03\x01\xff\xff" + bytes(100)):
        s = socket.create_connection(("127.0.0.1", broker.port))
        s.sendall(text)
        s.settimeout(30)
        try:
            assert b"HTTP/1.1 200" not in s.recv(1000)
        except ConnectionError:
            pass
        s.close()
    assert Guest(broker).auth().attest()[0] == 200


def test_at_once(broker):
    """Several guests at the same time."""
    results = []

    def one():
        g = Guest(broker).auth()
        status = g.attest()[0]
        _, jwe, _ = broker.request("GET", RESOURCE + "web/disk/root", cookie=g.session)
        results.append((status, jose.unseal(g.key, json.dumps(jwe))))
    threads = [threading.Thread(target=one) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [(200, KEY)] * 6


# ---- the rest

def test_no_secret_in_the_log(broker):
    text = (broker.directory / "audit.jsonl").read_bytes()
    g = Guest(broker).auth()
    for secret in (KEY, KEY.hex().encode(), base64.b64encode(KEY), g.session.encode(), g.nonce.encode()):
        assert secret not in text + (broker.directory / "audit.jsonl").read_bytes()
    for e in broker.audit():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["time"])


def test_no_core_dump(broker):
    limits = pathlib.Path(f"/proc/{broker.process.pid}/limits").read_text()
    assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]


def test_usage(tmp_path):
    for arguments, status in ((["--help"], 0), (["--version"], 0), (["--nonsense"], 2), (["x"], 2), (["--port", "70000"], 2),
                              (["--port", "x"], 2), (["--session-seconds", "0"], 2), (["--certificate", tmp_path / "none"], 4)):
        r = subprocess.run([KBS, *arguments], capture_output=True, text=True)
        assert r.returncode == status, (arguments, r)


def test_bad_configuration(tmp_path):
    b = Broker(tmp_path, ccatoken.Platform())
    b.stop()
    for options in (["--references", tmp_path / "none"], ["--listen", "nowhere"], ["--audit", tmp_path], ["--key", tmp_path / "tls/ca.pem"],
                    ["--state", tmp_path / "none"]):
        b.options = options
        with pytest.raises(AssertionError, match="kcore-kbs: "):
            b.start()
        assert b.process.wait() == 4, options
