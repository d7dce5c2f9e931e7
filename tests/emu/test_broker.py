# SPDX-License-Identifier: Apache-2.0
"""A realm whose disk is encrypted, and a key broker that gives the key to this realm and to no other."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "attest/kbs/tests"))
import attestlib  # noqa: E402
import jose  # noqa: E402
import rom  # noqa: E402

from guestlib import Console, GuestError, kcorectl, kserv, launch
from test_disk import IMAGE, cpio

GUEST_BOOT_TIMEOUT = float(os.environ.get("KCORE_GUEST_BOOT_TIMEOUT", "600"))
KCORECTL = os.path.join(kserv.cache_dir(), "build/native/kcorectl/kcorectl")
KBS = os.path.join(kserv.cache_dir(), "build/native/attest/kbs/kcore-kbs")
PORT = 8443   # of the server's loopback, as the guest reaches it: 10.0.2.2
P384_ORDER = 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973

pytestmark = pytest.mark.timeout(3000)


def start(server, name, initrd, append="", more=""):
    launch(server, name, f"--kernel /srv/guest/Image --initrd {initrd} --append \"$(cat /srv/guest/cmdline) {append}\""
           f" --disk /srv/guest/root.img --memory 512M --vcpus 2 {more}", timeout=600)
    return Console(server, name)


def refused(server, name, initrd, words, append="", more=""):
    console = start(server, name, initrd, append, more)
    try:
        console.expect(words, GUEST_BOOT_TIMEOUT)
        console.expect("stays locked", 60)
        # It powers off, without a shell on the host's console.
        try:
            console.expect(r"login:|initramfs\)|# $", 60)
            raise AssertionError("the guest goes on:\n" + console.text[-2000:])
        except GuestError:
            pass
    finally:
        console.close()
        server.run(f"kcorectl stop --force {name}", check=False)
    assert not any(g["name"] == name for g in kcorectl(server, "list")[0]["guests"])


@pytest.fixture(scope="module")
def server():
    s = kserv.Server(f"test-{os.getpid()}-disk", kserv.Config(guest_image=str(IMAGE)))
    s.start(die_with_parent=True)
    try:
        s.wait_ssh(float(os.environ.get("KCORE_BOOT_TIMEOUT", "300")))
        yield s
    finally:
        s.stop()


def platform_key(server):
    """The key that signs this machine's platform tokens, computed from its secret as KCore does."""
    code = pathlib.Path(server.config.kcore).read_bytes()
    secret = pathlib.Path(server.path("machine-secret")).read_bytes()
    cdi = rom.derive(secret, hashlib.sha512(code).digest(), b"cdi attest")
    seed = int.from_bytes(rom.derive(cdi, b"kcore", b"kcore platform key p384", 64), "big")
    return ec.derive_private_key(seed % (P384_ORDER - 1) + 1, ec.SECP384R1()).public_key()


class Broker:
    """kcore-kbs on this machine, which the guest reaches through the server."""

    def __init__(self, directory, server):
        self.directory, self.server = directory, server
        for d in ("platforms", "references/disk", "resources/disk/key", "state", "tls"):
            (directory / d).mkdir(parents=True)
        (directory / "platforms/machine.pem").write_bytes(platform_key(server).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        (directory / "resources/disk/key/root").write_bytes((IMAGE / "disk.key").read_bytes())
        self.tls = jose.Tls(directory / "tls")
        d = directory
        self.process = subprocess.Popen(
            [KBS, "--listen", "127.0.0.1", "--port", "0", "--certificate", d / "tls/certificate.pem", "--key", d / "tls/key.pem",
             "--platforms", d / "platforms", "--references", d / "references", "--resources", d / "resources", "--state", d / "state",
             "--audit", d / "audit.jsonl"], stderr=subprocess.PIPE, text=True)
        port = re.match(r"kcore-kbs: listening on \S+ port (\d+)$", self.process.stderr.readline())[1]
        self.tunnel = subprocess.Popen(server.ssh_command("-N", "-o", "ExitOnForwardFailure=yes",
                                                          "-R", f"127.0.0.1:{PORT}:127.0.0.1:{port}"),
                                       cwd=server.dir, stdin=subprocess.DEVNULL)

    def reference(self, **realm):
        """What a guest with its key in this broker must be. KCore and machine: this very kcore.bin on this server."""
        code = pathlib.Path(self.server.config.kcore).read_bytes()
        values = {
            "version": 1,
            "platform": {
                "profile": "tag:arm.com,2023:cca_platform#1.0.0",
                "implementationId": hashlib.sha256(b"KCore on Armv8 without RME").hexdigest(),
                "instanceId": {"any": True}, "configuration": {"any": True}, "lifecycle": "secured",
                "softwareComponents": [{"type": "KCore", "version": attestlib.KCORE_VERSION, "measurement": hashlib.sha512(code).hexdigest(),
                                        "signerId": {"any": True}}]},
            "realm": {
                "profile": "tag:arm.com,2023:realm#1.0.0", "personalizationValue": bytes(64).hex(), "hashAlgorithm": "sha-256",
                "initialMeasurement": bytes(32).hex(), "extensibleMeasurements": [bytes(32).hex()] * 4, **realm}}
        (self.directory / "references/disk/guest.json").write_text(json.dumps(values))

    def audit(self):
        return [json.loads(line) for line in (self.directory / "audit.jsonl").read_text().splitlines()]

    def close(self):
        for p in (self.tunnel, self.process):
            p.terminate()
            p.wait()


def measured(archive, append):
    """The measurement of a guest that start() starts, as its tenant computes it."""
    initrd = (IMAGE / "initrd.img").read_bytes()
    with tempfile.NamedTemporaryFile() as f:
        f.write(initrd.ljust(-(-len(initrd) // 4) * 4, b"\0") + archive)
        f.flush()
        done = subprocess.run(
            [KCORECTL, "--json", "measure", "--kernel", IMAGE / "Image", "--initrd", f.name, "--memory", "512M", "--vcpus", "2",
             "--append", f"{(IMAGE / 'cmdline').read_text().strip()} {append}"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["realm"]["initialMeasurement"]


@pytest.fixture(scope="module")
def broker(server, tmp_path_factory):
    b = Broker(tmp_path_factory.mktemp("kbs"), server)
    b.append = f"ip=dhcp kcore.kbs=https://10.0.2.2:{PORT} kcore.resource=disk/key/root"
    b.archive = cpio({"etc/kcore/kbs-ca.pem": b.tls.ca.read_bytes()})
    b.initrd = "/run/kbs.img"
    server.put(b.archive, "/run/kbs.cpio")
    # An archive begins at a multiple of 4.
    server.run(f"cp /srv/guest/initrd.img {b.initrd} && truncate -s %4 {b.initrd} && cat /run/kbs.cpio >>{b.initrd}")
    b.reference(initialMeasurement=measured(b.archive, b.append))
    yield b
    b.close()


def test_key_from_the_broker(server, broker):
    console = start(server, "attested", broker.initrd, broker.append, "--network user")
    try:
        console.log_in(GUEST_BOOT_TIMEOUT)
        root = console.run("awk '$2 == \"/\" { print $1 }' /proc/mounts").split()
        assert root[-1] == "/dev/mapper/kcore-root"
    finally:
        console.close()
        server.run("kcorectl stop --force attested", check=False)
    assert [(e["event"], e["granted"]) for e in broker.audit()[-3:]] == [("challenge", True), ("attest", True), ("resource", True)]
    assert broker.audit()[-1]["subject"] == "disk/key/root"


@pytest.mark.parametrize("append, more", [("init=/bin/sh", ""), ("", "--vcpus 1")], ids=["command line", "vCPUs"])
def test_altered_guest_gets_no_key(server, broker, append, more):
    refused(server, "altered", broker.initrd, "the broker refuses the attestation.*realm initialMeasurement: differs",
            broker.append + " " + append, "--network user " + more)
