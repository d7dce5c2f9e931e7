#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens and identity documents that the code makes are good for a verifier
that is not ours, and bad once anything is changed. usage: verify_token.py TOKEN_PRINT"""
import hashlib
import os
import subprocess
import sys

from cryptography.exceptions import InvalidSignature

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "tests"))
import attestlib  # noqa: E402
import rom  # noqa: E402

CHALLENGE = b"".join(bytes([i]) * 8 for i in range(1, 9))
RPV = b"".join((0x1111 * i).to_bytes(8, "little") for i in range(1, 9))


def run(handover=b"", algorithm=0, tag=399, *more):
    out = subprocess.run([sys.argv[1], str(algorithm), str(tag), *more], input=handover, stdout=subprocess.PIPE,
                         check=True)
    values = {"document": b"", "token": b"", "policy": b"", "signer": b"", "rim": [], "rem": [], "malformed": False}
    for line in out.stdout.decode().splitlines():
        name, _, digits = line.partition(" ")
        if name == "malformed":
            values[name] = True
        elif name in ("rim", "rem"):
            values[name].append(bytes.fromhex(digits))
        else:
            values[name] += bytes.fromhex(digits)
    return values


def verify(v, size):
    identity = attestlib.Identity(v["document"])
    token = attestlib.Token(v["token"], identity.platform)
    token.check(identity, CHALLENGE)
    assert token.realm[44238] == v["rim"][0][:size]
    assert token.realm[44239] == [m[:size] for m in v["rem"]]
    assert len(set(token.realm[44239])) == 4
    assert token.realm[44235] == RPV
    assert token.platform[2401] == (0x0102).to_bytes(8, "little")
    assert len(v["token"]) <= 4096 and len(v["document"]) <= 8192
    return identity, token


secret, code = b"\x5a" * 32, b"this stands for kcore.bin"
good = rom.handover(secret, code)
for algorithm, size in ((0, 32), (1, 64)):
    for tag in (399, 907):
        identity, token = verify(run(good, algorithm, tag), size)
        assert token.tag == tag and identity.lifecycle == 0x3000

# A launch policy is a claim, as is the digest of its signer's key.
for algorithm, size in ((0, 32), (1, 64)):
    v = run(good, algorithm, 399, "policy")
    identity, token = verify(v, size)
    assert len(v["policy"]) == 0x90 and token.realm[-75100] == v["policy"]
    assert len(v["signer"]) == 32 and token.realm[-75101] == hashlib.sha256(v["signer"]).digest()
    assert not {-75100, -75101} & set(verify(run(good, algorithm), size)[1].realm)

# Keys depend on the machine's secret and on the code, and on nothing else.
first = run(good)
identity, token = verify(first, 32)
assert run(good) == first
for other in (rom.handover(b"\x5b" * 32, code), rom.handover(secret, code + b"."), b""):
    v = run(other)
    assert not v["malformed"]
    identity2, token2 = verify(v, 32)
    assert identity2.platform_cose != identity.platform_cose
    assert identity2.sealing != identity.sealing
    assert token2.realm[44237] != token.realm[44237]
    assert (identity2.lifecycle == 0) == (other == b"")
    try:
        attestlib.Token(first["token"], identity2.platform)
        raise SystemExit("another platform's key verifies the token")
    except InvalidSignature:
        pass

# Not secured: debug mode, a hand-over that is none.
assert verify(run(rom.handover(secret, code, rom.MODE_DEBUG)), 32)[0].lifecycle == 0x4000
broken = run(good[:-1])
assert broken["malformed"] and verify(broken, 32)[0].lifecycle == 0

# No byte of the token or of the document can change.
for what, check in (("token", lambda d: attestlib.Token(d, identity.platform).check(identity, CHALLENGE)),
                    ("document", attestlib.Identity)):
    data = first[what]
    unchanged = []
    for i in range(len(data)):
        bad = data[:i] + bytes([data[i] ^ 0x04]) + data[i + 1:]
        try:
            check(bad)
            unchanged.append(i)
        except Exception:   # whatever: it is refused
            pass
    # The lifecycle at the document's end is not signed there; the token's is.
    assert all(what == "document" and i >= len(data) - 3 for i in unchanged), (what, unchanged)
print("tokens and identity verify with python3-cbor2 and python3-cryptography")
