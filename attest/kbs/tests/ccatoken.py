# SPDX-License-Identifier: Apache-2.0
"""Makes CCA attestation tokens, and plays the kernel that hands them out. An implementation of its own, with
Debian's cbor2 and cryptography."""

import hashlib
import os
import threading

import cbor2
from cryptography.hazmat.primitives import hashes
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
