# SPDX-License-Identifier: Apache-2.0
"""Tokens, identity documents and keys as the documents describe them, made with cbor2 and cryptography: nothing
here is shared with the library or with KCore."""

import hashlib

import cbor2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils, x25519

PROFILE_PLATFORM = "tag:arm.com,2023:cca_platform#1.0.0"
PROFILE_REALM = "tag:arm.com,2023:realm#1.0.0"
IMPLEMENTATION_ID = hashlib.sha256(b"KCore on Armv8 without RME").digest()

# curve: COSE curve, algorithm, bytes of a coordinate, hash
CURVES = {
    "secp256r1": (1, -7, 32, hashes.SHA256),
    "secp384r1": (2, -35, 48, hashes.SHA384),
    "secp521r1": (3, -36, 66, hashes.SHA512),
}


def ec_key(number, curve=ec.SECP384R1):
    """A key that is the same at each run."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha512(b"key %d" % number).digest()[:31], "big"), curve())


def ed_key(number):
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"ed %d" % number).digest())


def cose_key(key):
    """COSE_Key of a private or public key, as a map in deterministic order."""
    if hasattr(key, "public_key"):
        key = key.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        crv, _, size, _ = CURVES[key.curve.name]
        n = key.public_numbers()
        return {1: 2, -1: crv, -2: n.x.to_bytes(size, "big"), -3: n.y.to_bytes(size, "big")}
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {1: 1, -1: 6 if isinstance(key, ed25519.Ed25519PublicKey) else 4, -2: raw}


def raw_point(key):
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def algorithm(key):
    return CURVES[key.curve.name][1] if isinstance(key, ec.EllipticCurvePrivateKey) else -8


def sign(key, message):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    _, _, size, digest = CURVES[key.curve.name]
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(digest())))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def sign1(key, payload, protected=None, unprotected=None):
    """The four elements of a COSE_Sign1; payload and protected header may be given as bytes."""
    if not isinstance(payload, bytes):
        payload = cbor2.dumps(payload)
    if protected is None:
        protected = {1: algorithm(key)}
    if not isinstance(protected, bytes):
        protected = cbor2.dumps(protected)
    message = cbor2.dumps(["Signature1", protected, b"", payload])
    return [protected, unprotected or {}, payload, sign(key, message)]


def platform_claims(realm_key_claim, cpak, hash_name="sha256"):
    return {
        265: PROFILE_PLATFORM,
        10: hashlib.new(hash_name, realm_key_claim).digest(),
        2396: IMPLEMENTATION_ID,
        256: b"\x01" + hashlib.sha256(cbor2.dumps(cose_key(cpak))).digest(),
        2401: (1).to_bytes(8, "little"),
        2395: 0x3000,
        2402: "sha-256",
        2399: [{1: "KCore", 2: hashlib.sha512(b"kcore.bin").digest(), 4: "1.0", 5: hashlib.sha256(b"uds").digest(),
                6: "sha-512"}],
    }


def realm_claims(realm_key_claim):
    return {
        10: bytes(range(64)),
        44235: bytes(64),
        44237: realm_key_claim,
        44236: "sha-256",
        44240: "sha-256",
        265: PROFILE_REALM,
        44238: hashlib.sha256(b"rim").digest(),
        44239: [bytes(32), hashlib.sha256(b"rem").digest(), bytes(32), bytes(32)],
    }


def policy_bytes(flags=0, max_vcpus=2):
    fields = (0x31434B4C45524F43, 1, flags, max_vcpus, 1 << 18, 1 << 16, 0x10000)
    return b"".join(f.to_bytes(8, "little") for f in fields).ljust(0x38, b"\0") + b"\x11" * 32 + bytes(0x38)


def collection(platform, realm, tag=399):
    """The token from the encodings of its two members."""
    if tag == 907:
        return cbor2.dumps(cbor2.CBORTag(907, {44234: [263, platform], 44241: [263, realm]}))
    return cbor2.dumps(cbor2.CBORTag(tag, {44234: platform, 44241: realm}))


def tagged(elements, tag=18):
    return cbor2.dumps(cbor2.CBORTag(tag, elements))


class Token:
    """A good token, whose parts a test changes before it is made."""

    def __init__(self, cpak=None, rak=None):
        self.cpak = cpak or ec_key(1)
        self.rak = rak or ec_key(2)
        self.key_claim = cbor2.dumps(cose_key(self.rak))
        self.platform = platform_claims(self.key_claim, self.cpak)
        self.realm = realm_claims(self.key_claim)
        self.tag = 399

    def policy(self):
        self.realm[-75100] = policy_bytes()
        self.realm[-75101] = hashlib.sha256(b"signer").digest()
        return self

    def legacy(self):
        """As before profile 1.0.0: no realm profile, the realm's key as a bare point."""
        self.key_claim = raw_point(self.rak)
        self.platform[10] = hashlib.sha256(self.key_claim).digest()
        self.realm[44237] = self.key_claim
        del self.realm[265]
        return self

    def members(self):
        return (tagged(sign1(self.cpak, self.platform)), tagged(sign1(self.rak, self.realm)))

    def encode(self):
        return collection(*self.members(), self.tag)


def reference(token):
    """Reference values that this token meets."""
    p, r = token.platform, token.realm
    out = {
        "version": 1,
        "platform": {
            "profile": p[265],
            "implementationId": p[2396].hex(),
            "instanceId": p[256].hex(),
            "configuration": p[2401].hex(),
            "lifecycle": "secured",
            "softwareComponents": [
                {"type": c[1], "version": c[4], "measurement": c[2].hex(), "signerId": c[5].hex()} for c in p[2399]],
        },
        "realm": {
            "profile": r.get(265, ""),
            "personalizationValue": r[44235].hex(),
            "hashAlgorithm": r[44236],
            "initialMeasurement": r[44238].hex(),
            "extensibleMeasurements": [m.hex() for m in r[44239]],
        },
    }
    if -75100 in r:
        policy = r[-75100]
        flags, vcpus, private, shared, version = (int.from_bytes(policy[i:i + 8], "little") for i in range(16, 56, 8))
        out["realm"]["policy"] = {
            "debug": bool(flags & 1), "snapshots": bool(flags & 2), "maxVcpus": vcpus, "maxPrivateGranules": private,
            "maxSharedGranules": shared, "minVersion": version, "imageId": policy[56:88].hex()}
        out["realm"]["policySigner"] = r[-75101].hex()
    return out


# ---- Identity documents ----

CODE_HASH, CONFIGURATION, MODE, SUBJECT_KEY, KEY_USAGE = -4670545, -4670548, -4670551, -4670552, -4670553


def certificate(issuer, subject, key, usage, **more):
    claims = {1: issuer, 2: subject, SUBJECT_KEY: cbor2.dumps(cose_key(key)), KEY_USAGE: bytes([usage])}
    claims.update(more.get("claims", {}))
    return claims


class Identity:
    """A good identity: root (1), one boot stage (2), KCore (3)."""

    def __init__(self):
        self.uds, self.stage, self.dice = ed_key(1), ed_key(2), ed_key(3)
        self.cpak = ec_key(1)
        self.seal = x25519.X25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.root = cose_key(self.uds)
        self.entries = [
            (self.uds, certificate("rom", "stage", self.stage, 0x20, claims={
                CODE_HASH: hashlib.sha512(b"stage").digest(), MODE: b"\x01"})),
            (self.stage, certificate("stage", "kcore", self.dice, 0x20, claims={
                CODE_HASH: hashlib.sha512(b"kcore.bin").digest(), MODE: b"\x01",
                CONFIGURATION: cbor2.dumps({-70002: "kcore", -70003: "1.0", -70005: 1})})),
        ]
        self.platform = (self.dice, certificate("kcore", "platform", self.cpak, 0x01))
        self.sealing = (self.dice, certificate("kcore", "sealing", self.seal, 0x10))
        self.lifecycle = None    # what follows from the entries

    def document(self):
        chain = [self.root] + [sign1(key, claims) for key, claims in self.entries] if self.entries else []
        lifecycle = self.lifecycle
        if lifecycle is None:
            normal = all(claims.get(MODE) == b"\x01" for _, claims in self.entries)
            lifecycle = 0 if not self.entries else 0x3000 if normal else 0x4000
        return {1: chain, 2: sign1(*self.platform), 3: sign1(*self.sealing), 4: lifecycle}

    def encode(self):
        return cbor2.dumps(self.document())
