# SPDX-License-Identifier: Apache-2.0
"""KCore's identity: what the machine's ROM hands over becomes keys that no
other machine and no other KCore has, and is gone before Linux runs. Tokens of
a guest are in test_guest.py."""

import hashlib
import os
import shutil

import cbor2
import pytest

import attestlib
import rom
from guestlib import read_identity

pytestmark = pytest.mark.timeout(1800)

SMALL = {"cpus": 1, "memory": "1G", "guest_image": ""}


def secret_of(server):
    return rom.machine_secret(server.path("machine-secret"))


def code_of(server):
    with open(server.config.kcore, "rb") as f:
        return f.read()


def test_identity_is_that_of_this_machine_and_code(server):
    identity = attestlib.Identity(read_identity(server))
    assert identity.lifecycle == 0x3000
    assert identity.uds == rom.cose_key(rom.ed25519(secret_of(server), b"", b"uds key pair"))
    assert identity.code_hash == hashlib.sha512(code_of(server)).digest()


def test_nothing_of_the_handover_is_left(server, tmp_path):
    """Neither node nor secrets, in the first 256 MiB of memory, where the firmware put everything."""
    nodes = server.run("find /sys/firmware/devicetree/base/reserved-memory; grep -rl open-dice "
                       "/sys/firmware/devicetree/base || true").stdout
    assert "dice" not in nodes
    handover = rom.handover(secret_of(server), code_of(server))
    dump = server.path("memory")
    try:
        server.qmp("pmemsave", val=0x40000000, size=0x10000000, filename="memory")
        with open(dump, "rb") as f:
            memory = f.read()
    finally:
        if os.path.exists(dump):
            os.unlink(dump)
    parts = cbor2.loads(handover)
    assert rom.raw_public(rom.ed25519(secret_of(server), b"", b"uds key pair")) in memory   # it is there to look at
    for cdi in parts[1], parts[2]:
        assert cdi not in memory
    # The platform key's and the DICE key's seeds went with them.
    assert rom.derive(parts[1], b"kcore dice", b"kcore dice key pair ed25519") not in memory


def test_other_machine_or_other_core_has_other_keys(boot, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(32))
    first = boot(**SMALL, machine_secret=str(secret))
    base = attestlib.Identity(read_identity(first))
    first.stop()

    again = boot(**SMALL, machine_secret=str(secret))
    assert read_identity(again) is not None
    same = attestlib.Identity(read_identity(again))
    again.stop()
    assert (same.platform_cose, same.sealing, same.chain) == (base.platform_cose, base.sealing, base.chain)

    altered = tmp_path / "kcore.bin"
    shutil.copy(first.config.kcore, altered)
    with open(altered, "ab") as f:
        f.write(bytes(8))
    for settings in ({"machine_secret": str(secret), "kcore": str(altered)}, {"machine_secret": ""}):
        other = boot(**SMALL, **settings)
        identity = attestlib.Identity(read_identity(other))
        other.stop()
        assert identity.lifecycle == 0x3000
        assert identity.platform_cose != base.platform_cose and identity.sealing != base.sealing
        assert (identity.uds == base.uds) == ("kcore" in settings)
        assert (identity.code_hash == base.code_hash) == ("kcore" not in settings)


def test_without_a_rom_nothing_is_secured(boot):
    server = boot(**SMALL, rom=False)
    assert "identity: not secured" in server.run("kcorectl log").stdout
    identity = attestlib.Identity(read_identity(server))
    assert identity.lifecycle == 0 and identity.chain == []
