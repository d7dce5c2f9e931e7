# SPDX-License-Identifier: Apache-2.0
"""Images and identity documents, written from docs/image.md and docs/abi.md alone: what a tenant writes and
what KCore does with it. Shares no code with image/."""

import hashlib
import hmac
import struct

import cbor2
from cryptography.exceptions import InvalidTag  # noqa: F401
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PAGE = 4096
RAM_BASE = 0x40000000
MAGIC = b"KCOREIMG"
BLOCK_MAGIC = 0x31434B4C45524F43
EDDSA = {1: -8}


def up(n, a=PAGE):
    return (n + a - 1) // a * a


def raw(key):
    """The 32 bytes of a public key."""
    public = key.public_key() if hasattr(key, "public_key") else key
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def encode(item):
    return cbor2.dumps(item, canonical=True)


# --- the file ---

class Image:
    """A file taken apart. No check but those that are needed to find things."""

    def __init__(self, data):
        magic, version, length = struct.unpack_from("<8sII", data)
        assert magic == MAGIC and version == 1, (magic, version)
        self.data = data
        self.header_bytes = data[16:16 + length]
        self.header = cbor2.loads(self.header_bytes)
        assert encode(self.header) == self.header_bytes, "not in deterministic encoding"
        self.sign1 = self.header[1].value
        assert self.header[1].tag == 18
        self.manifest = cbor2.loads(self.sign1[2])
        assert encode(self.manifest) == self.sign1[2], "not in deterministic encoding"
        self.block = self.header[2]
        self.sealed = 3 in self.header
        at = up(16 + length)
        assert not any(data[16 + length:at])
        self.places = []
        for s in self.manifest[10]:
            pages = up(s[3]) // PAGE
            tags = at + pages * PAGE if self.sealed else None
            self.places.append((at, tags, pages))
            at += pages * PAGE + (up(16 * pages) if self.sealed else 0)
        assert at == len(data), (at, len(data))

    def pages(self, k):
        """(ipa, page) of segment k, as they are in the file."""
        at, _, pages = self.places[k]
        for p in range(pages):
            yield self.manifest[10][k][2] + p * PAGE, self.data[at + p * PAGE:at + (p + 1) * PAGE]

    def tag(self, k, p):
        tags = self.places[k][1]
        return self.data[tags + 16 * p:tags + 16 * (p + 1)]


def to_be_signed(protected, payload):
    return encode(["Signature1", protected, b"", payload])


def check_signatures(image):
    """Raises InvalidSignature."""
    key = Ed25519PublicKey.from_public_bytes(image.block[0xD0:0xF0])
    key.verify(image.block[0xF0:0x130], image.block[:0xF0])
    protected, unprotected, payload, signature = image.sign1
    assert cbor2.loads(protected) == EDDSA and unprotected == {}
    key.verify(signature, to_be_signed(protected, payload))


def block_fields(block):
    magic, version, flags, vcpus, private, shared, minimum, image_id = struct.unpack_from("<7Q32s", block)
    assert (magic, version) == (BLOCK_MAGIC, 1) and len(block) == 0x130 and not any(block[0x58:0x90])
    return {"flags": flags, "vcpus": vcpus, "private": private, "shared": shared, "minimum": minimum, "id": image_id}


# --- the measurement (DEN0137, docs/abi.md) ---

def measure(image, pages):
    """The RIM of a launch: pages yields (ipa, plain page)."""
    m = image.manifest
    size = 64 if m[6] else 32
    algorithm = hashlib.sha512 if m[6] else hashlib.sha256

    def h(data):
        return algorithm(data).digest().ljust(64, b"\0")

    def extend(rim, kind, body):
        return h((struct.pack("<QQ", kind, 0x100) + rim + body).ljust(0x100, b"\0"))

    params = bytearray(PAGE)
    struct.pack_into("<QQQQ", params, 8, m[5], 0, 1, 1)
    params[0x30] = m[6]
    rim = h(bytes(params))
    if any(image.block[0xD0:0xF0]):
        page = image.block[:0x90].ljust(PAGE, b"\0")
        rim = extend(rim, 0x4B, h(page)[:64][:0x40] + image.block[0xD0:0xF0])
    base, top = RAM_BASE, RAM_BASE + m[4]
    start = 2 if m[5] <= 34 else 1 if m[5] <= 43 else 0
    while base < top:
        level = start
        while base % (1 << (39 - 9 * level)) or top - base < 1 << (39 - 9 * level):
            level += 1
        rim = extend(rim, 2, struct.pack("<QQ", base, base + (1 << (39 - 9 * level))))
        base += 1 << (39 - 9 * level)
    for ipa, page in pages:
        rim = extend(rim, 0, struct.pack("<QQ", ipa, 1) + h(page))
    rec = bytearray(PAGE)
    struct.pack_into("<Q", rec, 0, 1)
    struct.pack_into("<Q", rec, 0x200, m[7])
    struct.pack_into("<Q", rec, 0x300, m[8])
    rim = extend(rim, 1, h(bytes(rec)))
    return rim[:size].ljust(64, b"\0")


# --- HPKE (RFC 9180), base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305 ---

def _extract(suite, salt, label, ikm):
    return hmac.digest(salt, b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(suite, prk, label, info, length):
    info, out, t = struct.pack(">H", length) + b"HPKE-v1" + suite + label + info, b"", b""
    for n in range(1, (length + 31) // 32 + 1):
        t = hmac.digest(prk, t + info + bytes([n]), "sha256")
        out += t
    return out[:length]


def _schedule(dh, enc, public, info):
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"
    shared = _expand(kem, _extract(kem, b"", b"eae_prk", dh), b"shared_secret", enc + public, 32)
    context = b"\0" + _extract(suite, b"", b"psk_id_hash", b"") + _extract(suite, b"", b"info_hash", info)
    secret = _extract(suite, shared, b"secret", b"")
    return _expand(suite, secret, b"key", context, 32), _expand(suite, secret, b"base_nonce", context, 12)


def hpke_open(private, enc, info, aad, ct):
    dh = private.exchange(X25519PublicKey.from_public_bytes(enc))
    key, nonce = _schedule(dh, enc, raw(private), info)
    return ChaCha20Poly1305(key).decrypt(nonce, ct, aad)


def hpke_seal(public, info, aad, plain):
    ephemeral = X25519PrivateKey.generate()
    dh = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    key, nonce = _schedule(dh, raw(ephemeral), public, info)
    return raw(ephemeral), ChaCha20Poly1305(key).encrypt(nonce, plain, aad)


# --- what KCore does ---

def page_secrets(image_id, ipa):
    return bytes(4) + struct.pack("<Q", ipa), image_id + struct.pack("<Q", ipa)


def content_key(image, private):
    me = hashlib.sha256(raw(private)).digest()
    for key, enc, ct in image.header[3][1]:
        if key == me:
            info = b"kcore image key 1" + image.block[0x38:0x58]
            return hpke_open(private, enc, info, image.block[:0xF0], ct)
    raise KeyError("not sealed to this platform")


def open_pages(image, private):
    """(ipa, plain page) of all pages. Raises InvalidTag."""
    aead = ChaCha20Poly1305(content_key(image, private))
    for k in range(len(image.places)):
        for p, (ipa, page) in enumerate(image.pages(k)):
            nonce, aad = page_secrets(image.block[0x38:0x58], ipa)
            yield ipa, aead.decrypt(nonce, page + image.tag(k, p), aad)


# --- writing ---

DEFAULTS = {1: "test", 2: bytes(range(32)), 3: 1, 4: 64 << 20, 5: 33, 6: 0}


def make_block(manifest, rim=bytes(64), signer=bytes(32)):
    policy = manifest[9]
    head = struct.pack("<7Q32s", BLOCK_MAGIC, 1, policy[1], policy[2], policy[3], policy[4], policy[5], manifest[2])
    return head.ljust(0x90, b"\0") + rim + signer


def make(segments=None, changes=None, key=None, edit=None, sealed_to=None):
    """A whole file. segments: (kind, ipa, bytes); changes: to the manifest; key: signs; edit: a function that
    may change the header, a dictionary, before it is encoded; sealed_to: public keys."""
    segments = segments or [(1, RAM_BASE + 0x200000, b"k" * 5000), (3, RAM_BASE + 0x400000, b"d" * 100)]
    padded = [s.ljust(up(len(s)), b"\0") for _, _, s in segments]
    m = dict(DEFAULTS)
    m[7] = segments[0][1]
    m[8] = segments[-1][1]
    m[9] = {1: 0, 2: 1, 3: m[4] // PAGE, 4: m[4] // PAGE, 5: 0x10000}
    m[10] = [{1: kind, 2: ipa, 3: len(s), 4: hashlib.sha256(p).digest()} for (kind, ipa, s), p in zip(segments, padded)]
    for k, v in (changes or {}).items():
        m[k] = v
    header = {1: cbor2.CBORTag(18, [b"", {}, b"", b""]), 2: make_block(m) + bytes(64)}
    if key:
        block = make_block(m, bytes(64), raw(key))
        header[2] = block
        header[1].value[2] = encode(m)
        probe = Image.__new__(Image)
        probe.manifest, probe.block = m, block
        pages = [(ipa + at, p[at:at + PAGE]) for (_, ipa, _), p in zip(segments, padded) for at in range(0, len(p), PAGE)]
        m[11] = measure(probe, pages)
        block = make_block(m, m[11], raw(key))
        header[2] = block + key.sign(block)
        header[1].value[0] = encode(EDDSA)
        header[1].value[3] = key.sign(to_be_signed(encode(EDDSA), encode(m)))
    header[1].value[2] = encode(m)
    data = b""
    if sealed_to:
        content = bytes(range(1, 33))
        info = b"kcore image key 1" + m[2]
        header[3] = {1: [[hashlib.sha256(p).digest(), *hpke_seal(p, info, header[2][:0xF0], content)] for p in sealed_to]}
        for (_, ipa, _), plain in zip(segments, padded):
            tags = b""
            for at in range(0, len(plain), PAGE):
                nonce, aad = page_secrets(m[2], ipa + at)
                ct = ChaCha20Poly1305(content).encrypt(nonce, plain[at:at + PAGE], aad)
                data += ct[:PAGE]
                tags += ct[PAGE:]
            data += tags.ljust(up(len(tags)), b"\0")
    else:
        data = b"".join(padded)
    if edit:
        header = edit(header) or header
    return file_of(header if isinstance(header, bytes) else encode(header), data)


def file_of(header, data):
    prefix = MAGIC + struct.pack("<II", 1, len(header)) + header
    return prefix.ljust(up(len(prefix)), b"\0") + data


# --- identity documents ---

class Platform:
    """A machine with KCore. seed: its number; chain: does its firmware hand one over?"""

    def __init__(self, seed=1, chain=True):
        keys = [hashlib.sha512(bytes([seed, n])).digest()[:32] for n in range(4)]
        self.uds, self.dice = (Ed25519PrivateKey.from_private_bytes(k) for k in keys[:2])
        self.attestation = ec.derive_private_key(int.from_bytes(keys[2]), ec.SECP384R1())
        self.sealing = X25519PrivateKey.from_private_bytes(keys[3])
        self.chain = chain

    @staticmethod
    def cose_key(key):
        public = key.public_key()
        if isinstance(public, ec.EllipticCurvePublicKey):
            n = public.public_numbers()
            return {1: 2, -1: 2, -2: n.x.to_bytes(48), -3: n.y.to_bytes(48)}
        return {1: 1, -1: 6 if isinstance(public, Ed25519PublicKey) else 4, -2: raw(public)}

    def certificate(self, issuer_key, issuer, subject, key, usage, more=None):
        payload = encode({1: issuer, 2: subject, -4670552: encode(self.cose_key(key)), -4670553: bytes([usage])} | (more or {}))
        return [encode(EDDSA), {}, payload, issuer_key.sign(to_be_signed(encode(EDDSA), payload))]

    def root(self):
        return hashlib.sha256(encode(self.cose_key(self.uds))).hexdigest()

    def document(self):
        boot = {-4670545: hashlib.sha512(b"kcore.bin").digest(), -4670551: b"\1",
                -4670548: encode({-70002: "kcore", -70003: "1.0", -70005: 1})}
        chain = [self.cose_key(self.uds), self.certificate(self.uds, "rom", "kcore", self.dice, 0x20, boot)]
        return encode({1: chain if self.chain else [], 2: self.certificate(self.dice, "kcore", "platform", self.attestation, 0x01),
                       3: self.certificate(self.dice, "kcore", "sealing", self.sealing, 0x10), 4: 0x3000 if self.chain else 0})


if __name__ == "__main__":
    # kci.py FILE KEY: an identity document and its sealing key, for tests in other languages.
    import pathlib
    import sys
    pathlib.Path(sys.argv[1]).write_bytes(Platform().document())
    pathlib.Path(sys.argv[2]).write_bytes(raw(Platform().sealing))
