# SPDX-License-Identifier: Apache-2.0
"""What a server's boot ROM does before KCore runs, for the emulated server: it
measures kcore.bin, derives KCore's compound device identifiers (CDI) from a
secret of the machine, and hands them over with a certificate chain in the
memory of a "google,open-dice" node (Open Profile for DICE).

On real hardware the secret is in fuses and firmware stages do this one after
the other; here one layer stands for all of them.
"""

import hashlib
import os

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

REGION_SIZE = 0x4000

MODE_NORMAL, MODE_DEBUG = 1, 2
KEY_CERT_SIGN = b"\x20"   # KeyUsage of X.509


def machine_secret(path):
    """The machine's secret, made when the machine is new."""
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        secret = os.urandom(32)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
            f.write(secret)
        return secret


def derive(secret, salt, info, length=32):
    return HKDF(hashes.SHA512(), length, salt, info).derive(secret)


def ed25519(secret, salt, info):
    return Ed25519PrivateKey.from_private_bytes(derive(secret, salt, info))


def raw_public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def cose_key(key):
    return {1: 1, -1: 6, -2: raw_public(key)}


def name(key):
    """What issuer and subject call a key."""
    return hashlib.sha256(raw_public(key)).hexdigest()[:40]


def certificate(issuer, subject, code_hash, mode=MODE_NORMAL):
    """One entry of the chain: COSE_Sign1 by issuer over claims about subject."""
    protected = cbor2.dumps({1: -8})
    payload = cbor2.dumps({
        1: name(issuer),
        2: name(subject),
        -4670545: code_hash,
        -4670548: cbor2.dumps({-70002: "kcore", -70005: 1}),
        -4670551: bytes([mode]),
        -4670552: cbor2.dumps(cose_key(subject)),
        -4670553: KEY_CERT_SIGN,
    })
    tbs = cbor2.dumps(["Signature1", protected, b"", payload])
    return [protected, {}, payload, issuer.sign(tbs)]


def handover(secret, code, mode=MODE_NORMAL):
    """The bytes of the hand-over for a machine secret and the code to be started."""
    code_hash = hashlib.sha512(code).digest()
    cdi_attest = derive(secret, code_hash, b"cdi attest")
    cdi_seal = derive(secret, code_hash, b"cdi seal")
    uds = ed25519(secret, b"", b"uds key pair")
    kcore = ed25519(cdi_attest, b"kcore dice", b"kcore dice key pair ed25519")
    return cbor2.dumps({1: cdi_attest, 2: cdi_seal,
                        3: [cose_key(uds), certificate(uds, kcore, code_hash, mode)]})
