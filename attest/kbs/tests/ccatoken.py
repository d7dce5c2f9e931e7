# SPDX-License-Identifier: Apache-2.0
"""Makes CCA attestation tokens, and plays the kernel that hands them out. An implementation of its own, with
Debian's cbor2 and cryptography."""

import copy
import hashlib
import os
import struct
import threading

import cbor2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

POLICY, SIGNER = -75100, -75101


def cose_key(key):
    n = key.public_key().public_numbers()
    return cbor2.dumps({1: 2, -1: 2, -2: n.x.to_bytes(48, "big"), -3: n.y.to_bytes(48, "big")})


def sign1(key, claims):
    protected = cbor2.dumps({1: -35})
    payload = cbor2.dumps(claims)
    der = key.sign(cbor2.dumps(["Signature1", protected, b"", payload]), ec.ECDSA(hashes.SHA384()))
    r, s = decode_dss_signature(der)
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, r.to_bytes(48, "big") + s.to_bytes(48, "big")]))


class Platform:
    """A machine with a platform key, and a realm in it with claims that tests change."""

    def __init__(self):
        self.cpak = ec.generate_private_key(ec.SECP384R1())
        self.rak = ec.generate_private_key(ec.SECP384R1())
        self.claims = {
            10: b"", 44235: bytes(64), 44237: cose_key(self.rak), 44236: "sha-256", 44240: "sha-256",
            265: "tag:arm.com,2023:realm#1.0.0", 44238: hashlib.sha256(b"rim").digest(), 44239: [bytes(32)] * 4,
        }
        self.platform = {
            265: "tag:arm.com,2023:cca_platform#1.0.0", 10: hashlib.sha256(cose_key(self.rak)).digest(),
            2396: hashlib.sha256(b"KCore on Armv8 without RME").digest(),
            256: b"\x01" + hashlib.sha256(cose_key(self.cpak)).digest(),
            2401: bytes(8), 2395: 0x3000, 2402: "sha-256",
            2399: [{1: "KCore", 2: hashlib.sha512(b"kcore.bin").digest(), 4: "1.0", 5: bytes(32), 6: "sha-512"}],
        }

    def copy(self):
        other = copy.copy(self)
        other.claims, other.platform = dict(self.claims), dict(self.platform)
        return other

    def pem(self):
        return self.cpak.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def add_policy(self, **changes):
        """A launch policy (docs/abi.md): 0x90 bytes, and the digest of its signer's key."""
        f = {"flags": 0, "max_vcpus": 4, "max_private": 1 << 18, "max_shared": 1 << 10, "min_version": 1, **changes}
        self.claims[POLICY] = (struct.pack("<8Q", 0x31434B4C45524F43, 1, f["flags"], f["max_vcpus"], f["max_private"],
                                           f["max_shared"], f["min_version"], 0)[:0x38] + b"\x11" * 32).ljust(0x90, b"\0")
        self.claims[SIGNER] = hashlib.sha256(b"the tenant's key").digest()

    def reference(self):
        """The reference values that the realm as it is meets."""
        c = self.platform[2399][0]
        r = {"version": 1,
             "platform": {
                 "profile": self.platform[265], "implementationId": self.platform[2396].hex(),
                 "instanceId": self.platform[256].hex(), "configuration": self.platform[2401].hex(), "lifecycle": self.platform[2395],
                 "softwareComponents": [{"type": c[1], "version": c[4], "measurement": c[2].hex(), "signerId": c[5].hex()}]},
             "realm": {
                 "profile": self.claims[265], "personalizationValue": self.claims[44235].hex(), "hashAlgorithm": self.claims[44236],
                 "initialMeasurement": self.claims[44238].hex(), "extensibleMeasurements": [m.hex() for m in self.claims[44239]]}}
        if POLICY in self.claims:
            _, _, flags, vcpus, private, shared, version = struct.unpack_from("<7Q", self.claims[POLICY])
            r["realm"]["policySigner"] = self.claims[SIGNER].hex()
            r["realm"]["policy"] = {"debug": bool(flags & 1), "snapshots": bool(flags & 2), "maxVcpus": vcpus,
                                    "maxPrivateGranules": private, "maxSharedGranules": shared, "minVersion": version,
                                    "imageId": self.claims[POLICY][0x38:0x58].hex()}
        return r

    def token(self, challenge):
        return cbor2.dumps(cbor2.CBORTag(399, {
            44234: sign1(self.cpak, self.platform),
            44241: sign1(self.rak, {**self.claims, 10: challenge}),
        }))


class Kernel(threading.Thread):
    """Serves the reports that an agent makes below directory (fake-tsm.c). token: challenge to bytes."""

    def __init__(self, directory, token, generation="1"):
        super().__init__(daemon=True)
        self.directory, self.token, self.generation = directory, token, generation
        self.challenges, self.ended = [], threading.Event()
        self.start()

    def run(self):
        done = set()
        while not self.ended.wait(0.005):
            for name in os.listdir(self.directory):
                if name in done or name.endswith(".part"):
                    continue
                done.add(name)
                d = os.path.join(self.directory, name)
                try:
                    with open(d + "/inblob", "rb") as f:
                        challenge = f.read()
                    self.challenges.append(challenge)
                    with open(d + "/generation", "w") as f:
                        f.write(self.generation + "\n")
                    with open(d + "/outblob", "wb") as f:
                        f.write(self.token(challenge))
                except (FileNotFoundError, BrokenPipeError):
                    pass  # the agent has given up

    def end(self):
        self.ended.set()
