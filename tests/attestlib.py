# SPDX-License-Identifier: Apache-2.0
"""Verifies KCore's identity documents and attestation tokens with Debian's
python3-cbor2 and python3-cryptography alone: none of the project's code. Every
function raises when something is not as it must be."""

import hashlib
import pathlib
import re

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

ES384, EDDSA = -35, -8


def _kcore_version():
    header = (pathlib.Path(__file__).resolve().parents[1] / "hyp/include/kcore.h").read_text()
    version = int(re.search(r"^#define KCORE_ABI_VERSION (0x[0-9a-f]+)UL$", header, re.M)[1], 16)
    return f"{version >> 16}.{version & 0xffff}"


KCORE_VERSION = _kcore_version()


def require(condition, what):
    if not condition:
        raise AssertionError(what)


def ed25519_key(cose):
    require(cose[1] == 1 and cose[-1] == 6 and len(cose[-2]) == 32, f"not an Ed25519 key: {cose}")
    return ed25519.Ed25519PublicKey.from_public_bytes(cose[-2])


def p384_key(cose):
    require(cose[1] == 2 and cose[-1] == 2 and len(cose[-2]) == len(cose[-3]) == 48, f"not a P-384 key: {cose}")
    return ec.EllipticCurvePublicNumbers(
        int.from_bytes(cose[-2], "big"), int.from_bytes(cose[-3], "big"), ec.SECP384R1()).public_key()


def verify_sign1(message, key):
    """The payload of a COSE_Sign1 [protected, unprotected, payload, signature] by this key."""
    protected, unprotected, payload, signature = message
    require(unprotected == {}, "unprotected header is not empty")
    tbs = cbor2.dumps(["Signature1", protected, b"", payload])
    header = cbor2.loads(protected)
    if isinstance(key, ed25519.Ed25519PublicKey):
        require(header == {1: EDDSA}, f"protected header {header}")
        key.verify(signature, tbs)
    else:
        require(header == {1: ES384} and len(signature) == 96, f"protected header {header}")
        der = utils.encode_dss_signature(int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big"))
        key.verify(der, tbs, ec.ECDSA(hashes.SHA384()))
    return payload


def canonical(data):
    """Deterministic CBOR (RFC 8949, 4.2.1), decoded."""
    value = cbor2.loads(data)
    require(cbor2.dumps(value, canonical=True) == data or deterministic(value) == data, "not deterministic CBOR")
    return value


def deterministic(value):
    """cbor2's canonical=True sorts keys by length first (RFC 7049); this is RFC 8949's order."""
    def head(major, n):
        return bytes([major << 5 | cbor2.dumps(n)[0] & 31]) + cbor2.dumps(n)[1:]
    if isinstance(value, dict):
        items = sorted((deterministic(k), deterministic(v)) for k, v in value.items())
        return head(5, len(items)) + b"".join(k + v for k, v in items)
    if isinstance(value, (list, tuple)):
        return head(4, len(value)) + b"".join(deterministic(v) for v in value)
    if isinstance(value, cbor2.CBORTag):
        return head(6, value.tag) + deterministic(value.value)
    return cbor2.dumps(value)


class Identity:
    """A verified identity document."""

    def __init__(self, document):
        d = canonical(document)
        require(set(d) == {1, 2, 3, 4}, f"keys of the document: {set(d)}")
        self.lifecycle = d[4]
        self.chain = d[1]
        self.uds = self.code_hash = None
        issuer, key = None, None
        if self.chain:
            self.uds = self.chain[0]
            key = ed25519_key(self.uds)
            for entry in self.chain[1:]:
                claims = cbor2.loads(verify_sign1(entry, key))
                require(issuer is None or claims[1] == issuer, "issuer is not the one before")
                issuer = claims[2]
                self.code_hash = claims[-4670545]
                key = ed25519_key(cbor2.loads(claims[-4670552]))
        # Without a chain nothing says who signed these: their content only.
        self.dice = key
        self.platform_cose = self._certificate(d[2], key, issuer, b"\x01")
        self.sealing_cose = self._certificate(d[3], key, issuer, b"\x10")
        self.platform = p384_key(canonical(self.platform_cose))
        sealing = canonical(self.sealing_cose)
        require(sealing[1] == 1 and sealing[-1] == 4 and len(sealing[-2]) == 32, "sealing key is not X25519")
        self.sealing = sealing[-2]

    @staticmethod
    def _certificate(entry, key, issuer, usage):
        claims = canonical(verify_sign1(entry, key) if key else entry[2])
        require(issuer is None or claims[1] == issuer, "issuer is not KCore")
        require(claims[2] == hashlib.sha256(claims[-4670552]).hexdigest()[:40], "subject is not the key's name")
        require(claims[-4670553] == usage, "key usage")
        return claims[-4670552]


class Token:
    """A token whose signatures and binding hold under this platform key."""

    def __init__(self, data, platform):
        outer = cbor2.loads(data)
        self.tag = outer.tag
        require(set(outer.value) == {44234, 44241}, f"keys {set(outer.value)}")
        parts = [outer.value[44234], outer.value[44241]]
        if self.tag == 907:
            require(all(p[0] == 263 and len(p) == 2 for p in parts), "content format")
            parts = [p[1] for p in parts]
        else:
            require(self.tag == 399, f"tag {self.tag}")
        require(deterministic(outer) == data, "not deterministic CBOR")
        signed = [cbor2.loads(p) for p in parts]
        require(all(s.tag == 18 for s in signed), "not COSE_Sign1")
        self.platform = canonical(verify_sign1(signed[0].value, platform))
        # The binding: the platform vouches for the realm's key, which vouches for the realm.
        realm = cbor2.loads(signed[1].value[2])
        require(realm[44240] == "sha-256", "hash of the realm's key")
        require(self.platform[10] == hashlib.sha256(realm[44237]).digest(), "realm key is not bound to the platform")
        self.realm = canonical(verify_sign1(signed[1].value, p384_key(canonical(realm[44237]))))

    def check(self, identity, challenge):
        """All claims that a verifier can know beforehand."""
        p, r = self.platform, self.realm
        require(set(p) == {10, 256, 265, 2395, 2396, 2399, 2401, 2402}, f"platform claims {set(p)}")
        require(p[265] == "tag:arm.com,2023:cca_platform#1.0.0", p[265])
        require(p[256] == b"\1" + hashlib.sha256(identity.platform_cose).digest(), "instance id")
        require(p[2396] == hashlib.sha256(b"KCore on Armv8 without RME").digest(), "implementation id")
        require(p[2395] == identity.lifecycle, "lifecycle")
        require(p[2402] == "sha-256" and len(p[2401]) == 8, "configuration")
        signer = hashlib.sha256(deterministic(identity.uds)).digest() if identity.uds else bytes(32)
        require(p[2399] == [{1: "KCore", 2: identity.code_hash or bytes(64), 4: KCORE_VERSION, 5: signer, 6: "sha-512"}],
                f"components {p[2399]}")
        require(set(r) - {-75100, -75101} == {10, 265, 44235, 44236, 44237, 44238, 44239, 44240},
                f"realm claims {set(r)}")
        require(r[265] == "tag:arm.com,2023:realm#1.0.0", r[265])
        require(r[10] == challenge, "challenge")
        size = {"sha-256": 32, "sha-512": 64}[r[44236]]
        require(len(r[44235]) == 64 and len(r[44238]) == size, "sizes")
        require(len(r[44239]) == 4 and all(len(m) == size for m in r[44239]), "REMs")
