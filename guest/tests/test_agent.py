# SPDX-License-Identifier: Apache-2.0
"""The agent against a broker that is an enemy, a host that is one, and disks that the host wrote."""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, os.environ["KBS_TESTS"])
import ccatoken  # noqa: E402
import jose  # noqa: E402

AGENT = os.environ["AGENT"]
KEY = bytes(range(32))


# ---- disks

def cryptsetup(*arguments, key=KEY):
    subprocess.run(["cryptsetup", "--batch-mode", *arguments], input=key, check=True, capture_output=True)


def luks_format(path, *options, key=KEY, size=17 << 20):
    with open(path, "wb") as f:
        f.truncate(size)
    cryptsetup("luksFormat", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
               "--key-file=-", *options, str(path), key=key)
    return path


@pytest.fixture(scope="session")
def disk(tmp_path_factory):
    return luks_format(tmp_path_factory.mktemp("disk") / "disk", "--cipher", "aes-xts-plain64", "--key-size", "512")


def edited(disk, path, change):
    """A copy of the disk whose metadata change() has changed, with good checksums: what a host can write."""
    data = bytearray(disk.read_bytes()[:16 << 20])
    size = struct.unpack_from(">Q", data, 8)[0]
    for at in (0, size):
        meta = json.loads(bytes(data[at + 4096:at + size]).split(b"\0")[0])
        change(meta)
        text = json.dumps(meta).encode()
        assert len(text) < size - 4096
        data[at + 4096:at + size] = text.ljust(size - 4096, b"\0")
        data[at + 0x1c0:at + 0x200] = bytes(64)
        data[at + 0x1c0:at + 0x1e0] = hashlib.sha256(data[at:at + size]).digest()
    path.write_bytes(data + bytes(1 << 20))
    return path


def set_in(*path_and_value):
    *path, last, value = path_and_value

    def change(meta):
        for p in path:
            meta = meta[p]
        meta[last] = value
    return change


def unlock(disk, tmp_path, key=KEY, environment=None):
    file = tmp_path / "key"
    file.write_bytes(key)
    return subprocess.run([AGENT, "unlock", "--check", "--disk", disk, "--key-file", file],
                          capture_output=True, text=True, timeout=60)


def test_good_disk(disk, tmp_path):
    r = unlock(disk, tmp_path)
    assert (r.returncode, r.stderr) == (0, "")


def test_argon2_disk(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"")
    os.truncate(path, 17 << 20)
    cryptsetup("luksFormat", "--type", "luks2", "--pbkdf", "argon2id", "--pbkdf-memory", "1024",
               "--pbkdf-force-iterations", "4", "--pbkdf-parallel", "1", "--key-file=-", str(path))
    r = unlock(path, tmp_path)
    assert (r.returncode, r.stderr) == (0, "")


def test_other_key(disk, tmp_path):
    r = unlock(disk, tmp_path, key=bytes(32))
    assert r.returncode == 1 and "does not open with this key" in r.stderr


def test_foreign_header(tmp_path):
    r = unlock(luks_format(tmp_path / "disk", key=b"the host's own key, as good as any"), tmp_path)
    assert r.returncode == 1 and "does not open with this key" in r.stderr


def test_short_key(disk, tmp_path):
    r = unlock(disk, tmp_path, key=b"short")
    assert r.returncode == 4 and "too short" in r.stderr


@pytest.mark.parametrize("options, word", [
    (["--cipher", "aes-ecb", "--key-size", "256"], "data cipher"),
    (["--cipher", "aes-cbc-essiv:sha256", "--key-size", "256"], "data cipher"),
    (["--cipher", "aes-xts-plain64", "--key-size", "256"], "512 bits"),
    (["--keyslot-cipher", "aes-cbc-plain64", "--keyslot-key-size", "256"], "key slot is not encrypted"),
])
def test_downgraded_cipher(tmp_path, options, word):
    r = unlock(luks_format(tmp_path / "disk", *options), tmp_path)
    assert r.returncode == 1 and "refused" in r.stderr and word in r.stderr


def test_cryptsetup_would_open_it(disk, tmp_path):
    """That a header has no encryption is for us to see: to cryptsetup it is as good as any."""
    path = edited(disk, tmp_path / "disk", set_in("segments", "0", "encryption", "cipher_null-ecb"))
    cryptsetup("luksOpen", "--test-passphrase", "--key-file=-", str(path))
    r = unlock(path, tmp_path)
    assert r.returncode == 1 and "data cipher is not aes-xts-plain64" in r.stderr


def test_no_slot(disk, tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(disk.read_bytes())
    cryptsetup("luksErase", str(path))
    r = unlock(path, tmp_path)
    assert r.returncode == 1 and "exactly one key slot" in r.stderr


def test_second_slot(disk, tmp_path):
    path, new = tmp_path / "disk", tmp_path / "new"
    path.write_bytes(disk.read_bytes())
    new.write_bytes(b"the host's key")
    cryptsetup("luksAddKey", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file=-", str(path), str(new))
    r = unlock(path, tmp_path)
    assert r.returncode == 1 and "exactly one key slot" in r.stderr


@pytest.mark.parametrize("change, word", [
    (set_in("segments", "0", "encryption", "cipher_null-ecb"), "data cipher"),
    (set_in("segments", "0", "encryption", "aes-ecb"), "data cipher"),
    (set_in("segments", "0", "type", "linear"), ""),
    (set_in("segments", "0", "integrity", {"type": "hmac(sha256)", "journal_encryption": "none", "journal_integrity": "none"}), ""),
    (set_in("segments", "0", "flags", ["backup-final"]), ""),
    (set_in("segments", "0", "size", "4096"), "unusual layout"),
    (set_in("segments", "0", "iv_tweak", "8"), "unusual layout"),
    (set_in("keyslots", "0", "area", "encryption", "cipher_null-ecb"), "key slot is not encrypted"),
    (set_in("keyslots", "0", "area", "key_size", 32), "key slot is not encrypted"),
    (set_in("keyslots", "0", "kdf", {"type": "argon2id", "time": 4, "memory": 4000000, "cpus": 1, "salt": "AAAA"}), "cost"),
    (set_in("keyslots", "0", "kdf", "hash", "sha1"), "hash"),
    (set_in("config", "requirements", {"mandatory": ["online-reencrypt"]}), ""),
    (set_in("config", "flags", ["allow-discards"]), "flags"),
])
def test_edited_header(disk, tmp_path, change, word):
    r = unlock(edited(disk, tmp_path / "disk", change), tmp_path)
    assert r.returncode == 1 and "LUKS2 header" in r.stderr and word in r.stderr


def test_edited_header_as_it_was(disk, tmp_path):
    """That the edited headers are refused is not for a mistake in the editing."""
    assert unlock(edited(disk, tmp_path / "disk", lambda meta: None), tmp_path).returncode == 0


def test_no_luks(disk, tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(1 << 20))
    r = unlock(path, tmp_path)
    assert r.returncode == 1 and "no LUKS2 header" in r.stderr
    path.write_bytes(disk.read_bytes()[:10000])
    assert unlock(path, tmp_path).returncode == 1
    path.write_bytes(b"")
    assert unlock(path, tmp_path).returncode == 1
    r = unlock(tmp_path / "none", tmp_path)
    assert r.returncode == 5 and "No such file" in r.stderr


def test_luks1(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"")
    os.truncate(path, 17 << 20)
    cryptsetup("luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000", "--key-file=-", str(path))
    r = unlock(path, tmp_path)
    assert r.returncode == 1 and "no LUKS2 header" in r.stderr


def test_disk_is_not_written(disk, tmp_path):
    before = hashlib.sha256(disk.read_bytes()).digest()
    assert unlock(disk, tmp_path).returncode == 0
    assert hashlib.sha256(disk.read_bytes()).digest() == before


# ---- brokers

@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    return jose.Tls(tmp_path_factory.mktemp("tls"))


class Broker:
    """A broker that answers as change says: a function of step and answer (status, content type, headers, body)
    that returns another answer."""

    def __init__(self, tls, change=lambda step, answer: answer):
        broker = self
        self.change, self.seen = change, []
        self.session = "0123456789abcdef0123456789abcdef"
        self.nonce = base64.b64encode(os.urandom(32)).decode()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                broker.seen.append((self.command, self.path, self.headers.get("Cookie"), body))
                step, answer = broker.answer(self.path, body)
                status, kind, headers, body = broker.change(step, answer)
                self.send_response(status)
                if kind:
                    self.send_header("Content-Type", kind)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass
            do_GET = do_POST = handle_any

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *arguments):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = tls.server_context().wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path, body):
        if path == "/kbs/v0/auth":
            return "auth", (200, "application/json", [("Set-Cookie", f"kbs-session-id={self.session}; Expires=Wed, 21 Oct 2037 07:28:00 GMT")],
                            json.dumps({"nonce": self.nonce, "extra-params": ""}).encode())
        if path == "/kbs/v0/attest":
            self.attestation = json.loads(body)
            return "attest", (200, "application/json", [], b'{"token":"a.b.c"}')
        return "resource", (200, "application/json", [], jose.seal(self.attestation["runtime-data"]["tee-pubkey"], KEY))

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def kernel(tmp_path):
    d = tmp_path / "tsm"
    d.mkdir()
    k = ccatoken.Kernel(str(d), lambda challenge: b"token for " + challenge)
    yield k
    k.end()


def fetch(broker_url, tls, disk, kernel, *options, ca=None, resource="default/disk/root", environment={}):
    return subprocess.run(
        [AGENT, "unlock", "--check", "--disk", disk, "--kbs", broker_url, "--ca", ca or tls.ca, "--resource", resource,
         "--tsm", kernel.directory, "--wait", "0", *options],
        capture_output=True, text=True, timeout=60, env={**os.environ, "FAKE_TSM": kernel.directory, **environment})


def run_broker(change, tls, disk, kernel, **keys):
    broker = Broker(tls, change)
    try:
        return broker, fetch(broker.url, tls, disk, kernel, **keys)
    finally:
        broker.close()


def test_broker(tls, disk, kernel):
    broker, r = run_broker(lambda step, answer: answer, tls, disk, kernel)
    assert (r.returncode, r.stderr) == (0, "")
    assert [(m, p) for m, p, _, _ in broker.seen] == [
        ("POST", "/kbs/v0/auth"), ("POST", "/kbs/v0/attest"), ("GET", "/kbs/v0/resource/default/disk/root")]
    assert json.loads(broker.seen[0][3]) == {"version": "0.4.0", "tee": "cca", "extra-params": {}}
    assert [c for _, _, c, _ in broker.seen] == [None] + [f"kbs-session-id={broker.session}"] * 2
    # As Trustee computes it.
    runtime = broker.attestation["runtime-data"]
    assert runtime["nonce"] == broker.nonce
    assert set(runtime["tee-pubkey"]) == {"kty", "crv", "alg", "x", "y"}
    canonical = json.dumps({**runtime, "additional-evidence": ""}, sort_keys=True, separators=(",", ":")).encode()
    challenge = hashlib.sha384(canonical).digest() + bytes(16)
    assert kernel.challenges == [challenge]
    assert bytes(broker.attestation["tee-evidence"]["primary_evidence"]["token"]) == b"token for " + challenge
    assert broker.attestation["tee-evidence"]["additional_evidence"] == ""
    # No report is left behind.
    assert os.listdir(kernel.directory) == []


def body(step, text, **other):
    def change(s, answer):
        status, kind, headers, old = answer
        if s != step:
            return answer
        new = text(old) if callable(text) else text
        return other.get("status", status), other.get("kind", kind), other.get("headers", headers), new
    return change


def jwe_with(**members):
    def change(old):
        jwe = json.loads(old)
        for name, value in members.items():
            if value is None:
                jwe.pop(name)
            else:
                jwe[name] = value(jwe[name]) if callable(value) else value
        return json.dumps(jwe).encode()
    return change


def header_with(**members):
    def change(protected):
        header = json.loads(jose.unbase64url(protected))
        for name, value in members.items():
            if value is None:
                header.pop(name)
            else:
                header[name] = value
        return jose.base64url(json.dumps(header).encode())
    return change


def flip(text):
    return ("A" if text[0] != "A" else "B") + text[1:]


BAD = {
    "refusal": (body("attest", b'{"type":"x","detail":"RIM is another"}', status=401), 1, "RIM is another"),
    "refusal that is no JSON": (body("attest", b"no\x1b[31m", status=500), 1, "HTTP status 500"),
    "terminal escapes": (body("attest", b'{"detail":"\\u001b[31mred"}', status=401), 1, "?[31mred"),
    "redirect": (body("auth", b"", status=302, headers=[("Location", "https://localhost:1/")]), 1, "HTTP status 302"),
    "content type": (body("auth", lambda old: old, kind="text/html"), 1, "content type"),
    "no content type": (body("auth", lambda old: old, kind=None), 1, "content type"),
    "no session": (body("auth", lambda old: old, headers=[]), 1, "no session"),
    "long session": (body("auth", lambda old: old, headers=[("Set-Cookie", "kbs-session-id=" + "a" * 500)]), 1, "cookie"),
    "empty": (body("auth", b""), 1, "JSON"),
    "no JSON": (body("auth", b"{nonce}"), 1, "no JSON"),
    "comment": (body("auth", b'{"nonce":"aaaaaaaaaaaaaaaaaaaaaaaa"/*x*/}'), 1, "no JSON"),
    "truncated": (body("auth", lambda old: old[:-2]), 1, "ends too early"),
    "duplicate key": (body("auth", b'{"nonce":"aaaaaaaaaaaaaaaaaaaaaaaa","nonce":"bbbbbbbbbbbbbbbbbbbbbbbb"}'), 1, "twice"),
    "deep": (body("auth", b"[" * 1000 + b"]" * 1000), 1, "too deeply"),
    "oversized": (body("auth", b" " * 70000), 1, "too long"),
    "huge": (body("auth", b" " * 50000000), 1, "too long"),
    "no nonce": (body("auth", b"{}"), 1, "nonce"),
    "nonce is a number": (body("auth", b'{"nonce":1}'), 1, "nonce"),
    "short nonce": (body("auth", b'{"nonce":"a"}'), 1, "nonce"),
    "long nonce": (body("auth", b'{"nonce":"' + b"a" * 200 + b'"}'), 1, "nonce"),
    "quote in nonce": (body("auth", b'{"nonce":"aaaaaaaaaaaaaaaaaaaaaa\\"}"}'), 1, "nonce"),
    "JWE empty": (body("resource", b"{}"), 1, "JWE"),
    "JWE no object": (body("resource", b'["protected"]'), 1, "JWE"),
    "JWE without tag": (body("resource", jwe_with(tag=None)), 1, "JWE"),
    "JWE other tag": (body("resource", jwe_with(tag=flip)), 1, "does not open"),
    "JWE short tag": (body("resource", jwe_with(tag=lambda t: t[:11])), 1, "JWE"),
    "JWE other key": (body("resource", jwe_with(encrypted_key=flip)), 1, "does not open"),
    "JWE other text": (body("resource", jwe_with(ciphertext=flip)), 1, "does not open"),
    "JWE padding": (body("resource", jwe_with(iv=lambda t: t + "=")), 1, "JWE"),
    "JWE other aad": (body("resource", lambda old: json.dumps({**json.loads(old), "aad": "eA"}).encode()), 1, "does not open"),
    "JWE dir": (body("resource", jwe_with(protected=header_with(alg="dir"))), 1, "algorithm"),
    "JWE RSA1_5": (body("resource", jwe_with(protected=header_with(alg="RSA1_5"))), 1, "algorithm"),
    "JWE A128GCM": (body("resource", jwe_with(protected=header_with(enc="A128GCM"))), 1, "algorithm"),
    "JWE zip": (body("resource", jwe_with(protected=header_with(zip="DEF"))), 1, "algorithm"),
    "JWE no epk": (body("resource", jwe_with(protected=header_with(epk=None))), 1, "ephemeral"),
    "JWE epk off the curve": (body("resource", jwe_with(protected=header_with(
        epk={"kty": "EC", "crv": "P-256", "x": jose.base64url(b"\1" * 32), "y": jose.base64url(b"\1" * 32)}))), 1, "no point"),
    "JWE header changed": (body("resource", jwe_with(protected=header_with(kid="x"))), 1, "does not open"),
    "wrong key inside": (lambda step, a: a if step != "resource" else (*a[:3], None), 1, "does not open with this key"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_broker(tls, disk, kernel, name):
    change, status, word = BAD[name]
    if name == "wrong key inside":
        broker = Broker(tls)
        broker.change = lambda step, a: a if step != "resource" else (
            *a[:3], jose.seal(broker.attestation["runtime-data"]["tee-pubkey"], bytes(32)))
        r = fetch(broker.url, tls, disk, kernel)
        broker.close()
    else:
        broker, r = run_broker(change, tls, disk, kernel)
    assert r.returncode == status and word in r.stderr, r.stderr
    assert "Sanitizer" not in r.stderr and KEY.hex() not in r.stderr and "\x1b" not in r.stderr


def test_no_certificate_of_the_ca(tls, disk, kernel, tmp_path):
    """A broker whose certificate another authority has signed, under the right name."""
    (tmp_path / "other").mkdir()
    other = jose.Tls(tmp_path / "other")
    broker, r = run_broker(lambda s, a: a, other, disk, kernel, ca=tls.ca)
    assert r.returncode == 5 and "TLS" in r.stderr and broker.seen == []


def test_other_host_name(tls, disk, kernel):
    broker = Broker(tls)
    r = fetch(broker.url.replace("localhost", "127.0.0.2"), tls, disk, kernel)
    broker.close()
    assert r.returncode == 5 and broker.seen == []


def test_expired_certificate(disk, kernel, tmp_path):
    """A realm's clock is its host's: the time in a certificate is not looked at."""
    (tmp_path / "old").mkdir()
    old = jose.Tls(tmp_path / "old", days=-1)
    broker, r = run_broker(lambda s, a: a, old, disk, kernel)
    assert (r.returncode, r.stderr) == (0, "")


@pytest.mark.parametrize("url", ["http://localhost:1", "https://", "https://user@localhost", "https://localhost/x", "file:///etc/passwd", "https://a b"])
def test_bad_url(tls, disk, kernel, url):
    r = fetch(url, tls, disk, kernel)
    assert r.returncode == 4 and "https://HOST" in r.stderr


@pytest.mark.parametrize("resource", ["", "a", "a/b", "a/b/c/d", "a//c", "../b/c", "a/b/c?x", "a/b/" + "c" * 100])
def test_bad_resource(tls, disk, kernel, resource):
    r = fetch("https://localhost:1", tls, disk, kernel, resource=resource)
    assert r.returncode == 4 and "REPOSITORY/TYPE/TAG" in r.stderr


def test_no_broker(tls, disk, kernel):
    r = fetch("https://localhost:1", tls, disk, kernel)
    assert r.returncode == 5 and "localhost:1" in r.stderr


def test_broker_comes_later(tls, disk, kernel):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    broker = Broker(tls)
    proxy = socket.socket()
    proxy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def later():
        time.sleep(1.5)
        proxy.bind(("127.0.0.1", port))
        proxy.listen()
        for _ in range(3):
            a, _ = proxy.accept()
            b = socket.create_connection(broker.server.server_address)
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=pump, args=(x, y), daemon=True).start()

    def pump(x, y):
        try:
            while data := x.recv(65536):
                y.sendall(data)
            y.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    threading.Thread(target=later, daemon=True).start()
    r = fetch(f"https://localhost:{port}", tls, disk, kernel, "--wait", "20")
    broker.close()
    proxy.close()
    assert (r.returncode, r.stderr) == (0, "")


# ---- the kernel's side

def get_token(kernel, challenge=bytes(range(64)), environment={}):
    return subprocess.run([AGENT, "token", "--challenge", challenge.hex(), "--tsm", kernel.directory], capture_output=True,
                          timeout=60, env={**os.environ, "FAKE_TSM": kernel.directory, **environment})


def test_token(kernel):
    r = get_token(kernel)
    assert (r.returncode, r.stdout, r.stderr) == (0, b"token for " + bytes(range(64)), b"")
    assert os.listdir(kernel.directory) == []


def test_token_generation(kernel):
    kernel.generation = "2"
    r = get_token(kernel)
    assert r.returncode == 5 and b"at the same time" in r.stderr and r.stdout == b""
    assert os.listdir(kernel.directory) == []


def test_token_provider(kernel):
    r = get_token(kernel, environment={"FAKE_TSM_PROVIDER": "sev_guest\n"})
    assert r.returncode == 5 and b"arm_cca_guest" in r.stderr and r.stdout == b""


def test_token_too_long(kernel):
    kernel.token = lambda challenge: bytes(8193)
    r = get_token(kernel)
    assert r.returncode == 5 and b"too long" in r.stderr and r.stdout == b""


def test_token_empty(kernel):
    kernel.token = lambda challenge: b""
    r = get_token(kernel)
    assert r.returncode == 5 and b"no token" in r.stderr


def test_no_tsm(tmp_path):
    r = subprocess.run([AGENT, "token", "--challenge", "00" * 64, "--tsm", tmp_path / "none"], capture_output=True)
    assert r.returncode == 5 and b"is this a realm" in r.stderr


# ---- the host's port

class Port:
    """A terminal in raw mode in place of the virtio-serial port."""

    def __init__(self, kernel):
        import tty
        self.fd, slave = os.openpty()
        tty.setraw(slave)
        tty.setraw(self.fd)
        name = os.ttyname(slave)
        self.slave = slave
        self.process = subprocess.Popen([AGENT, "serve", "--port", name, "--tsm", kernel.directory], stderr=subprocess.PIPE,
                                        env={**os.environ, "FAKE_TSM": kernel.directory})

    def send(self, data):
        os.write(self.fd, data)

    def read(self, n, seconds=10):
        import select
        data = b""
        end = time.monotonic() + seconds
        while len(data) < n and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                data += os.read(self.fd, n - len(data))
        return data

    def frame(self):
        h = self.read(16)
        assert len(h) == 16 and h[:4] == b"KAG1" and h[5:8] == bytes(3), h
        length, number = struct.unpack_from("<II", h, 8)
        return h[4], number, self.read(length)

    def close(self):
        self.process.terminate()
        error = self.process.communicate(timeout=20)[1]
        os.close(self.fd)
        os.close(self.slave)
        assert (self.process.returncode, error) == (0, b"")


@pytest.fixture
def port(kernel):
    p = Port(kernel)
    yield p
    p.close()


def request(number, nonce):
    return b"KAG1" + bytes([1, 0, 0, 0]) + struct.pack("<II", len(nonce), number) + nonce


def test_port(port, kernel):
    nonce = os.urandom(64)
    port.send(request(7, nonce))
    challenge = hashlib.sha512(b"KCore guest agent 1" + nonce).digest()
    assert port.frame() == (2, 7, b"token for " + challenge)
    # Byte by byte, and the next right behind it.
    for b in request(8, nonce):
        port.send(bytes([b]))
    port.send(request(9, bytes(64)))
    assert port.frame() == (2, 8, b"token for " + challenge)
    assert port.frame()[:2] == (2, 9)
    assert os.listdir(kernel.directory) == []


def test_port_can_not_choose_a_challenge(port, kernel):
    """The host asks for the very challenge that a broker would accept."""
    challenge = hashlib.sha384(b"runtime data of the host's own key").digest() + bytes(16)
    port.send(request(1, challenge))
    port.frame()
    assert challenge not in kernel.challenges and len(kernel.challenges) == 1


@pytest.mark.parametrize("junk", [
    b"GET / HTTP/1.1\r\n\r\n", bytes(16), b"KAG2" + bytes(12), request(1, bytes(64))[:8] + struct.pack("<II", 1 << 31, 1),
    request(1, bytes(63)), request(1, bytes(65)), b"KAG1" + bytes([2, 0, 0, 0]) + struct.pack("<II", 5, 1) + b"hello",
    b"KAG1" + bytes([1, 1, 0, 0]) + struct.pack("<II", 64, 1) + bytes(64), os.urandom(5000),
])
def test_port_junk(port, kernel, junk):
    port.send(junk)
    kind, _, text = port.frame()
    assert kind == 3 and b"no request" in text
    time.sleep(0.3)
    while port.read(1, 0.2):
        pass
    nonce = os.urandom(64)
    port.send(request(3, nonce))
    assert port.frame()[:2] == (2, 3)


def test_port_half_a_frame(port, kernel):
    port.send(request(1, bytes(64))[:40])
    kind, _, text = port.frame()
    assert kind == 3 and b"in time" in text
    port.send(request(2, bytes(64)))
    assert port.frame()[:2] == (2, 2)


def test_port_error(port, kernel):
    kernel.generation = "3"
    port.send(request(5, bytes(64)))
    kind, number, text = port.frame()
    assert (kind, number) == (3, 5) and b"at the same time" in text


# ---- the rest

def test_usage():
    for arguments, status in ((["--help"], 0), (["--version"], 0), ([], 2), (["fly"], 2), (["token"], 2),
                              (["token", "--challenge", "00"], 2), (["unlock"], 2), (["unlock", "--disk", "x"], 2),
                              (["unlock", "--disk", "x", "--key-file", "k", "--kbs", "u"], 2), (["--nonsense"], 2),
                              (["unlock", "--disk", "x", "--key-file", "k", "--name", "../x"], 2),
                              (["unlock", "--wait", "x"], 2)):
        assert subprocess.run([AGENT, *arguments], capture_output=True).returncode == status, arguments


def test_not_dumpable(kernel, port):
    """No core dump, no other process that reads its memory."""
    def core_limits():
        limits = pathlib.Path(f"/proc/{port.process.pid}/limits").read_text()
        return [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")]

    # The program may have only begun.
    end = time.monotonic() + 30
    while core_limits() != [["0", "0"]] and time.monotonic() < end:
        time.sleep(0.1)
    assert core_limits() == [["0", "0"]]
    status = pathlib.Path(f"/proc/{port.process.pid}").stat()
    assert status.st_uid == 0
