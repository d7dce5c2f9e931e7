# SPDX-License-Identifier: Apache-2.0
"""Tokens of realms, taken to a key broker: the realm that the broker has reference values for gets the key. One
that differs in any one thing, or runs under another KCore, does not.

The realm is evidence/guest.c, launched from an image like any guest; this machine speaks the broker's protocol for
it, with its tokens. That the protocol is that of a real guest's agent is test_broker.py's matter."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "image/tests"))
import kci  # noqa: E402

import brokerlib  # noqa: E402
from guestlib import Console, kserv, memory_in_use, read_identity  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
KCORECTL = os.path.join(kserv.cache_dir(), "build/native/kcorectl/kcorectl")
CROSS = "aarch64-linux-gnu-"
KEY = os.urandom(32)
TIMEOUT = float(os.environ.get("KCORE_GUEST_BOOT_TIMEOUT", "600"))
SHAPE = {"kernel": "kernel", "initrd": "initrd", "append": "quiet", "memory": "64M", "vcpus": 1, "image-id": "17" * 32}

pytestmark = pytest.mark.timeout(1800)


def tenant(*arguments):
    subprocess.run([KCORECTL, *map(str, arguments)], stdin=subprocess.DEVNULL, check=True, capture_output=True)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A tenant's directory: keys, kernels and initrds."""
    d = tmp_path_factory.mktemp("evidence")
    src = HERE / "evidence"
    for command in (
            [CROSS + "gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-ffreestanding", "-fno-stack-protector", "-mgeneral-regs-only",
             "-mstrict-align", "-fno-pic", "-nostdlib", "-static", "-Wl,--no-warn-rwx-segments,--build-id=none", "-T", src / "guest.lds",
             src / "start.S", src / "guest.c", "-o", d / "guest.elf"],
            [CROSS + "objcopy", "-O", "binary", "--set-section-flags", ".bss=alloc,load,contents", d / "guest.elf", d / "kernel"]):
        subprocess.run(command, check=True)
    kernel = bytearray((d / "kernel").read_bytes())
    kernel[-1] ^= 1    # of what it writes before it reads
    (d / "other-kernel").write_bytes(kernel)
    (d / "initrd").write_bytes(b"what the guest is to do" * 1000)
    (d / "other-initrd").write_bytes(b"what the host wants it to do" * 1000)
    tenant("image", "key", "-o", d / "tenant.pem")
    tenant("image", "key", "-o", d / "other.pem")
    return d


def image(work, *flags, sign="tenant.pem", **changes):
    """The tenant's image, with changes; the path of its file."""
    path = work / "guest.kci"
    path.unlink(missing_ok=True)
    shape = {**SHAPE, **changes}
    for name in ("kernel", "initrd"):
        shape[name] = work / shape[name]
    tenant("image", "build", "-o", path, *[w for k, v in shape.items() for w in ("--" + k, v)], *flags)
    if sign:
        tenant("image", "sign", path, "--key", work / sign)
    return path


def other_device_tree(work):
    """One byte of the device tree is another: who owns the machine's name could own more. Signed by the tenant's key,
    so that nothing but the measurement can tell."""
    plain = kci.Image(image(work, sign=None).read_bytes())
    kinds = [s[1] for s in plain.manifest[10]]
    segments = [(s[1], s[2], b"".join(page for _, page in plain.pages(k))[:s[3]]) for k, s in enumerate(plain.manifest[10])]
    at = kinds.index(3)
    kind, ipa, tree = segments[at]
    assert b"linux,dummy-virt" in tree
    segments[at] = kind, ipa, tree.replace(b"linux,dummy-virt", b"linux,dummy-vird", 1)
    key = load_pem_private_key((work / "tenant.pem").read_bytes(), None)
    path = work / "tree.kci"
    path.write_bytes(kci.make(segments, {k: plain.manifest[k] for k in (1, 2, 3, 4, 5, 6, 7, 8, 9)}, key))
    return path


class Realm:
    """A realm that runs the image, until the end of the block."""

    def __init__(self, server, path):
        self.server = server
        server.put(path.read_bytes(), "/run/evidence.kci")
        server.run("kcorectl launch --name evidence /run/evidence.kci", timeout=TIMEOUT)
        self.console = Console(server, "evidence")

    def __enter__(self):
        self.console.expect("ready\n", TIMEOUT)
        return self

    def __exit__(self, *_):
        self.console.close()
        self.server.run("kcorectl stop --force evidence", timeout=TIMEOUT)

    def token(self, challenge):
        self.console.send(challenge.hex() + "\n")
        return bytes.fromhex(self.console.expect(r"token ([0-9a-f]+)\n", TIMEOUT)[1])

    def granted(self, broker):
        """The broker gives it the key. Returns its token."""
        session = brokerlib.Session(broker)
        token = self.token(session.challenge())
        status, answer = session.attest(token)
        assert status == 200, answer
        assert session.resource() == (200, KEY)
        assert [(e["event"], e["granted"]) for e in broker.audit()[-3:]] == [("challenge", True), ("attest", True), ("resource", True)]
        return token

    def refused(self, broker, words):
        session = brokerlib.Session(broker)
        status, answer = session.attest(self.token(session.challenge()))
        assert status == 401 and words in answer["detail"], (status, answer)
        event = broker.audit()[-1]
        assert (event["event"], event["granted"]) == ("refuse", False) and words in event["reason"], event
        assert session.resource()[0] == 401


@pytest.fixture(scope="module")
def broker(boot_shared, work, tmp_path_factory):
    """Knows the shared server and the tenant's image. Its reference values are what "kcorectl measure" made."""
    server = boot_shared()
    b = brokerlib.Broker(tmp_path_factory.mktemp("kbs"), KEY)
    (work / "server.kplat").write_bytes(read_identity(server))
    b.platform("server.kplat", (work / "server.kplat").read_bytes())
    tenant("measure", image(work), "-o", b.directory / "references/disk/guest.json", "--platform", work / "server.kplat",
           "--kcore", server.config.kcore)
    yield b
    b.close()


@pytest.fixture
def reference(broker):
    """The reference values, for a test that changes them."""
    path = broker.directory / "references/disk/guest.json"
    text = path.read_text()
    yield json.loads(text)
    path.write_text(text)


def test_right_guest(server, broker, work):
    before = memory_in_use(server)
    with Realm(server, image(work)) as realm:
        realm.granted(broker)
    assert memory_in_use(server) == before


@pytest.mark.parametrize("make, more", [
    (lambda w: image(w, kernel="other-kernel"), None),
    (lambda w: image(w, initrd="other-initrd"), None),
    (lambda w: image(w, append="quiet init=/bin/sh"), None),
    (other_device_tree, None),
    (lambda w: image(w, vcpus=2), "realm policy.maxVcpus: differs from the reference value; it is 2"),
    (lambda w: image(w, "--allow-debug"), "realm policy.debug: differs from the reference value; it is yes"),
    (lambda w: image(w, sign="other.pem"), "realm policySigner: differs from the reference value"),
    (lambda w: image(w, sign=None), "realm policy: the realm was launched without a policy"),
], ids=["kernel", "initrd", "command line", "device tree", "vCPUs", "policy", "signer", "no policy"])
def test_altered_guest(server, broker, work, reference, make, more):
    """more: what the broker says even where any measurement will do."""
    with Realm(server, make(work)) as realm:
        realm.refused(broker, "realm initialMeasurement: differs from the reference value")
        reference["realm"]["initialMeasurement"] = {"any": True}
        broker.reference(reference)
        if more:
            realm.refused(broker, more)
        else:
            realm.granted(broker)   # nothing else is wrong with it


def test_another_kcore(boot, broker, work, reference, tmp_path):
    """The tenant's image, unaltered, on a machine whose KCore is another. Its tokens have the form of a CMW."""
    kcore = tmp_path / "kcore.bin"
    shutil.copy(kserv.Config().kcore, kcore)
    with open(kcore, "ab") as f:
        f.write(bytes(8))
    server = boot(cpus=1, memory="1G", guest_image="", kcore=str(kcore), kcore_append="kcore token=cmw")
    other = broker.directory / "platforms/other.kplat"
    platform = reference["platform"]
    with Realm(server, image(work)) as realm:
        realm.refused(broker, "the token: platform token, signature: the signature is wrong")
        # Somebody vouches for that machine, too, but its software is not the one that is expected.
        other.write_bytes(read_identity(server))
        try:
            realm.refused(broker, "identity identityRoot: differs from the reference value")
            platform["identityRoot"] = platform["instanceId"] = {"any": True}
            broker.reference(reference)
            realm.refused(broker, "platform softwareComponents.measurement: differs from the reference value")
            platform["softwareComponents"][0].update(measurement={"any": True}, signerId={"any": True})
            broker.reference(reference)
            assert cbor2.loads(realm.granted(broker)).tag == 907
        finally:
            other.unlink()
