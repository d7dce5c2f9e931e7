# SPDX-License-Identifier: Apache-2.0
"""JOSE and TLS for the tests of agent and broker: an implementation of its own, with Debian's cryptography."""

import base64
import datetime
import hashlib
import ipaddress
import json
import os
import ssl
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from cryptography.x509.oid import NameOID

ALG, ENC = "ECDH-ES+A256KW", "A256GCM"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public_jwk(key):
    n = key.public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": base64url(n.x.to_bytes(32, "big")), "y": base64url(n.y.to_bytes(32, "big"))}


def from_jwk(jwk):
    return ec.EllipticCurvePublicNumbers(int.from_bytes(unbase64url(jwk["x"]), "big"),
                                         int.from_bytes(unbase64url(jwk["y"]), "big"), ec.SECP256R1()).public_key()


def wrapping_key(own, peer):
    z = own.exchange(ec.ECDH(), peer)
    info = struct.pack(">I", len(ALG)) + ALG.encode() + struct.pack(">III", 0, 0, 256)
    return hashlib.sha256(struct.pack(">I", 1) + z + info).digest()


def seal(jwk, plain):
    own, cek, iv = ec.generate_private_key(ec.SECP256R1()), os.urandom(32), os.urandom(12)
    protected = base64url(json.dumps({"alg": ALG, "enc": ENC, "epk": public_jwk(own)}).encode())
    text = AESGCM(cek).encrypt(iv, plain, protected.encode())
    return json.dumps({"protected": protected, "encrypted_key": base64url(aes_key_wrap(wrapping_key(own, from_jwk(jwk)), cek)),
                       "iv": base64url(iv), "ciphertext": base64url(text[:-16]), "tag": base64url(text[-16:])}).encode()


def unseal(key, jwe):
    jwe = json.loads(jwe)
    header = json.loads(unbase64url(jwe["protected"]))
    assert header["alg"] == ALG and header["enc"] == ENC
    cek = aes_key_unwrap(wrapping_key(key, from_jwk(header["epk"])), unbase64url(jwe["encrypted_key"]))
    return AESGCM(cek).decrypt(unbase64url(jwe["iv"]), unbase64url(jwe["ciphertext"]) + unbase64url(jwe["tag"]), jwe["protected"].encode())


class Tls:
    """A certificate authority and a certificate for localhost in a directory."""

    def __init__(self, directory, days=30):
        now = datetime.datetime.now(datetime.timezone.utc)
        begin, end = now - datetime.timedelta(days=60), now + datetime.timedelta(days=days)
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

        def certificate(name, issuer, public, extensions):
            b = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            b = b.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])).public_key(public.public_key())
            b = b.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
            b = b.add_extension(x509.SubjectKeyIdentifier.from_public_key(public.public_key()), False)
            b = b.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False)
            for e, critical in extensions:
                b = b.add_extension(e, critical)
            return b.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

        self.ca, self.certificate, self.key = directory / "ca.pem", directory / "certificate.pem", directory / "key.pem"
        self.ca.write_bytes(certificate("Test CA", "Test CA", ca_key, [
            (x509.BasicConstraints(True, None), True), (x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)]))
        self.certificate.write_bytes(certificate("localhost", "Test CA", key, [
            (x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("10.0.2.2"))]), False)]))
        self.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))

    def server_context(self):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(self.certificate, self.key)
        return c

    def client_context(self):
        return ssl.create_default_context(cafile=self.ca)
