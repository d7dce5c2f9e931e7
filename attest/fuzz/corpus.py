#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The seed corpus of the fuzzers, one directory for each, made anew. usage: corpus.py DIRECTORY"""
import base64
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import cbor2  # noqa: E402
import tokens  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402


def token_seeds():
    yield tokens.Token().encode()
    yield tokens.Token().policy().encode()
    yield tokens.Token().legacy().encode()
    cmw = tokens.Token()
    cmw.tag = 907
    yield cmw.encode()
    for curve in (ec.SECP256R1, ec.SECP521R1):
        yield tokens.Token(cpak=tokens.ec_key(3, curve), rak=tokens.ec_key(4, curve)).encode()
    sha512 = tokens.Token()
    sha512.realm.update({44236: "sha-512", 44238: bytes(64), 44239: [bytes(64)] * 4})
    sha512.platform.update({2400: "https://verifier.example", 1234: [1, {2: None}], "text": True})
    yield sha512.encode()


def identity_seeds():
    yield tokens.Identity().encode()
    alone = tokens.Identity()
    alone.entries = []
    yield alone.encode()
    bare = tokens.Identity()
    del bare.entries[1][1][tokens.CONFIGURATION]
    yield bare.encode()


def jwk(key):
    crv, _, size, _ = tokens.CURVES[key.curve.name]
    n = key.public_key().public_numbers()
    x, y = (base64.urlsafe_b64encode(v.to_bytes(size, "big")).rstrip(b"=").decode() for v in (n.x, n.y))
    return json.dumps({"kty": "EC", "crv": {1: "P-256", 2: "P-384", 3: "P-521"}[crv], "x": x, "y": y}).encode()


def key_seeds():
    for curve in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1):
        key = tokens.ec_key(5, curve)
        yield from (tokens.pem(key), jwk(key), cbor2.dumps(tokens.cose_key(key)))
    key = tokens.ed_key(1)
    yield from (tokens.pem(key), cbor2.dumps(tokens.cose_key(key)))


def reference_seeds():
    token = tokens.Token().policy()
    rows = [tokens.reference(token)]
    lists = tokens.reference(token)
    lists["realm"]["initialMeasurement"] = ["00" * 32, lists["realm"]["initialMeasurement"]]
    lists["platform"]["lifecycle"] = ["secured", 0x4001]
    lists["platform"]["instanceId"] = {"any": True}
    lists["realm"]["policy"]["maxVcpus"] = {"min": 1, "max": 8}
    rows.append(lists)
    for reference in rows:
        encoded = token.encode()
        yield len(encoded).to_bytes(2, "little") + encoded + json.dumps(reference).encode()


def main():
    out = pathlib.Path(sys.argv[1])
    for name, seeds in (("token", token_seeds), ("identity", identity_seeds), ("keyfile", key_seeds),
                        ("appraise", reference_seeds)):
        (out / name).mkdir(parents=True, exist_ok=True)
        for i, seed in enumerate(seeds()):
            (out / name / f"seed-{i:02}").write_bytes(seed)


if __name__ == "__main__":
    main()
