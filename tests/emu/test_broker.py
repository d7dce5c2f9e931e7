# SPDX-License-Identifier: Apache-2.0
"""A realm whose disk is encrypted, and a key broker that gives the key to this realm and to no other."""

import hashlib
import json
import os
import pathlib
import subprocess
import tempfile

import cbor2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import attestlib
import brokerlib
import rom
from guestlib import DISK_IMAGE as IMAGE, Console, GuestError, append_archive, cpio, kcorectl, kserv, launch

GUEST_BOOT_TIMEOUT = float(os.environ.get("KCORE_GUEST_BOOT_TIMEOUT", "600"))
KCORECTL = os.path.join(kserv.cache_dir(), "build/native/kcorectl/kcorectl")
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
def server(new_name):
    s = kserv.Server(new_name(), kserv.Config(guest_image=str(IMAGE), kcore_append="kcore token=cmw"))
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


def reference(server, rim):
    """What a guest with its key in the broker must be. KCore and machine: this very kcore.bin on this server."""
    code = pathlib.Path(server.config.kcore).read_bytes()
    return {
        "version": 1,
        "platform": {
            "profile": "tag:arm.com,2023:cca_platform#1.0.0",
            "implementationId": hashlib.sha256(b"KCore on Armv8 without RME").hexdigest(),
            "instanceId": {"any": True}, "configuration": {"any": True}, "lifecycle": "secured",
            "softwareComponents": [{"type": "KCore", "version": attestlib.KCORE_VERSION, "measurement": hashlib.sha512(code).hexdigest(),
                                    "signerId": {"any": True}}]},
        "realm": {
            "profile": "tag:arm.com,2023:realm#1.0.0", "personalizationValue": bytes(64).hex(), "hashAlgorithm": "sha-256",
            "initialMeasurement": rim, "extensibleMeasurements": [bytes(32).hex()] * 4}}


def measured(archive, append):
    """The measurement of a guest that start() starts, as its tenant computes it."""
    initrd = (IMAGE / "initrd.img").read_bytes()
    with tempfile.NamedTemporaryFile() as f:
        f.write(append_archive(initrd, archive))
        f.flush()
        done = subprocess.run(
            [KCORECTL, "--json", "measure", "--kernel", IMAGE / "Image", "--initrd", f.name, "--memory", "512M", "--vcpus", "2",
             "--append", f"{(IMAGE / 'cmdline').read_text().strip()} {append}"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["realm"]["initialMeasurement"]


@pytest.fixture(scope="module")
def broker(server, tmp_path_factory):
    b = brokerlib.Broker(tmp_path_factory.mktemp("kbs"), (IMAGE / "disk.key").read_bytes())
    b.platform("machine.pem", platform_key(server).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    tunnel = subprocess.Popen(server.ssh_command("-N", "-o", "ExitOnForwardFailure=yes", "-R", f"127.0.0.1:{PORT}:127.0.0.1:{b.port}"),
                              cwd=server.dir, stdin=subprocess.DEVNULL)
    b.append = f"ip=dhcp kcore.kbs=https://10.0.2.2:{PORT} kcore.resource={brokerlib.RESOURCE}"
    b.archive = cpio({"etc/kcore/kbs-ca.pem": b.tls.ca.read_bytes()})
    b.initrd = "/run/kbs.img"
    server.put(b.archive, "/run/kbs.cpio")
    # An archive begins at a multiple of 4.
    server.run(f"cp /srv/guest/initrd.img {b.initrd} && truncate -s %4 {b.initrd} && cat /run/kbs.cpio >>{b.initrd}")
    b.reference(reference(server, measured(b.archive, b.append)))
    yield b
    tunnel.terminate()
    tunnel.wait()
    b.close()


def judge_it(server, broker):
    """kcorectl attest and its exit codes, with the broker's reference values; and the same by way of a file."""
    reference = json.loads((broker.directory / "references/disk/guest.json").read_text())
    server.put((broker.directory / "platforms/machine.pem").read_bytes(), "/run/machine.pem")

    def attest(name, reference, code):
        server.put(json.dumps(reference).encode(), "/run/reference.json")
        out, got = kcorectl(server, f"attest {name} -r /run/reference.json -k /run/machine.pem", check=False)
        assert (got, out["exitCode"]) == (code, code), out
        return out

    assert attest("attested", reference, 0)["verdict"] == "accepted"
    other = json.loads(json.dumps(reference))
    other["realm"]["initialMeasurement"] = "00" * 32
    rejected = [c["claim"] for c in attest("attested", other, 1)["claims"] if c["verdict"] == "rejected"]
    assert rejected == ["initialMeasurement"]
    assert attest("nobody", reference, 5)["error"] == "NoSuchGuest"

    nonce = os.urandom(64).hex()
    token = server.run(f"kcorectl attest attested --nonce {nonce} --output -", text=False).stdout
    assert cbor2.loads(token).tag == 907   # as the boot option of this KCore asks for
    for expected, code in ((nonce, 0), (os.urandom(64).hex(), 1)):
        done = subprocess.run([KCORECTL, "verify", "-", "--agent", "--nonce", expected, "-r", broker.directory / "references/disk/guest.json",
                               "-k", broker.directory / "platforms/machine.pem"], input=token, capture_output=True)
        assert done.returncode == code, done.stdout


def test_key_from_the_broker(server, broker):
    console = start(server, "attested", broker.initrd, broker.append, "--network user")
    try:
        console.log_in(GUEST_BOOT_TIMEOUT)
        root = console.run("awk '$2 == \"/\" { print $1 }' /proc/mounts").split()
        assert root[-1] == "/dev/mapper/kcore-root"
        judge_it(server, broker)
    finally:
        console.close()
        server.run("kcorectl stop --force attested", check=False)
    assert [(e["event"], e["granted"]) for e in broker.audit()[-3:]] == [("challenge", True), ("attest", True), ("resource", True)]
    assert broker.audit()[-1]["subject"] == brokerlib.RESOURCE


def test_altered_guest_gets_no_key(server, broker):
    """What else may be altered: test_evidence.py."""
    refused(server, "altered", broker.initrd, "the broker refuses the attestation.*realm initialMeasurement: differs",
            broker.append + " init=/bin/sh", "--network user")
    event = broker.audit()[-1]
    assert (event["event"], event["granted"]) == ("refuse", False) and "realm initialMeasurement: differs" in event["reason"]
