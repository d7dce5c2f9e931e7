#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens made by tokens.py are accepted by the library; altered ones are refused, each with the error it is for.

usage: test_token.py ATTEST_CHECK
"""
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import unittest

import cbor2
import tokens
from cbor2 import CBORTag
from cryptography.hazmat.primitives.asymmetric import ec
from tokens import Token, collection, sign1, tagged

CHECK = sys.argv[1]

PLATFORM_CLAIMS = {265: str, 10: bytes, 2396: bytes, 256: bytes, 2401: bytes, 2395: int, 2402: str, 2399: list}
REALM_CLAIMS = {10: bytes, 44235: bytes, 44237: bytes, 44236: str, 44240: str, 44238: bytes, 44239: list}


def check(mode, *cases, key=None):
    """What the library says of each encoding: (error, claim, where)."""
    with tempfile.TemporaryDirectory() as d:
        files = []
        for i, case in enumerate(cases):
            files.append(pathlib.Path(d, str(i)))
            files[-1].write_bytes(case)
        args = [CHECK, mode]
        if mode == "token":
            name = pathlib.Path(d, "key")
            name.write_bytes(key or tokens.pem(tokens.ec_key(1)))
            args.append(name)
        out = subprocess.run([*args, *files], check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
    lines = out.splitlines()
    assert len(lines) == len(cases), out
    return [tuple(line.split(" ", 2)) for line in lines]


def map_with_pairs(pairs):
    """A CBOR map of encoded pairs, which may repeat a key."""
    assert len(pairs) < 24
    return bytes([0xA0 | len(pairs)]) + b"".join(k + v for k, v in pairs)


def duplicated(claims, key):
    pairs = [(cbor2.dumps(k), cbor2.dumps(v)) for k, v in claims.items()]
    return map_with_pairs(pairs + [(cbor2.dumps(key), cbor2.dumps(claims[key]))])


WRONG = {str: 7, bytes: "text", int: b"\x01", list: {}}


class Accepted(unittest.TestCase):
    def accept(self, *good, key=None):
        for i, got in enumerate(check("token", *[t.encode() for t in good], key=key)):
            self.assertEqual(got[0], "ok", (i, got))

    def test_forms(self):
        cmw = Token()
        cmw.tag = 907
        sha512 = Token()
        sha512.realm.update({44236: "sha-512", 44238: bytes(64), 44239: [bytes(64)] * 4})
        unknown = Token()
        unknown.platform.update({99999: {1: [2, None]}, "vendor": b"x"})
        unknown.realm.update({-99999: [[[]]], "vendor": True})
        service = Token()
        service.platform[2400] = "https://verifier.example"
        several = Token()
        several.platform[2399] = several.platform[2399] * 32
        self.accept(Token(), Token().policy(), Token().legacy(), cmw, sha512, unknown, service, several)

    def test_binding_hashes(self):
        made = []
        for name, python in (("sha-256", "sha256"), ("sha-384", "sha384"), ("sha-512", "sha512")):
            t = Token()
            t.realm[44240] = name
            t.platform[10] = hashlib.new(python, t.key_claim).digest()
            made.append(t)
        self.accept(*made)

    def test_algorithms(self):
        for curve in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1):
            cpak = tokens.ec_key(3, curve)
            for form in (tokens.pem(cpak), cbor2.dumps(tokens.cose_key(cpak))):
                self.accept(Token(cpak=cpak), Token(cpak=cpak, rak=tokens.ec_key(4, curve)), key=form)

    def test_cmw_key_that_names_the_collection(self):
        p, r = Token().members()
        encoded = cbor2.dumps(CBORTag(907, {"__cmwc_t": "tag:x", 44234: [263, p], 44241: [263, r, 4]}))
        self.assertEqual(check("token", encoded)[0][0], "ok")


class Refused(unittest.TestCase):
    def refuse(self, cases, key=None):
        """cases: (what, encoding, error, claim or None)"""
        got = check("token", *[c[1] for c in cases], key=key)
        for (what, _, error, claim), have in zip(cases, got):
            self.assertEqual(have[0], error, (what, have))
            if claim is not None:
                self.assertEqual(int(have[1]), claim, (what, have))

    # ---- claims ----

    def claims(self, part, table):
        cases = []

        def case(what, error, key, change):
            t = Token()
            change(getattr(t, part))
            cases.append((f"{part} {key} {what}", t.encode(), error, key))

        for key, kind in table.items():
            case("missing", "missing-claim", key, lambda c: c.pop(key))
            case("wrong type", "wrong-type", key, lambda c: c.update({key: WRONG[kind]}))
            case("null", "wrong-type", key, lambda c: c.update({key: None}))
            if kind is str:
                case("unknown", "unsupported-profile" if key == 265 else "unsupported-hash", key,
                     lambda c: c.update({key: "sha-257"}))
                case("empty", "wrong-size", key, lambda c: c.update({key: ""}))
                case("long", "wrong-size", key, lambda c: c.update({key: "x" * 256}))
                case("control", "bad-text", key, lambda c: c.update({key: "sha\x1b[31m"}))
            if kind is bytes and key != 2401:
                if key != 44237:
                    case("long", "wrong-size", key, lambda c: c.update({key: bytes(65)}))
                    case("short", "wrong-size", key, lambda c: c.update({key: bytes(31)}))
                case("empty", "wrong-size", key, lambda c: c.update({key: b""}))
            t = Token()
            claims = duplicated(getattr(t, part), key)
            members = list(t.members())
            signer = t.cpak if part == "platform" else t.rak
            members[0 if part == "platform" else 1] = tagged(sign1(signer, claims))
            cases.append((f"{part} {key} twice", collection(*members), "duplicate-key", 0))
        self.refuse(cases)

    def test_platform_claims(self):
        self.claims("platform", PLATFORM_CLAIMS)

    def test_realm_claims(self):
        self.claims("realm", REALM_CLAIMS)

    def test_values(self):
        cases = []

        def case(what, error, claim, part, changes):
            t = Token().policy()
            for k, v in changes.items():
                if v is None:
                    del getattr(t, part)[k]
                else:
                    getattr(t, part)[k] = v
            cases.append((what, t.encode(), error, claim))

        case("lifecycle", "wrong-value", 2395, "platform", {2395: 0x10000})
        case("instance id", "wrong-value", 256, "platform", {256: b"\x02" + bytes(32)})
        case("challenge of no hash's size", "wrong-size", 10, "platform", {10: bytes(40)})
        case("configuration", "wrong-size", 2401, "platform", {2401: bytes(1025)})
        case("service", "wrong-type", 2400, "platform", {2400: b"x"})
        case("no component", "wrong-size", 2399, "platform", {2399: []})
        case("33 components", "wrong-size", 2399, "platform", {2399: [{2: bytes(32), 5: bytes(32)}] * 33})
        case("65 components", "too-many", 0, "platform", {2399: [{2: bytes(32), 5: bytes(32)}] * 65})
        case("component", "wrong-type", 0, "platform", {2399: [7]})
        case("its measurement", "missing-claim", 2, "platform", {2399: [{5: bytes(32)}]})
        case("its measurement's size", "wrong-size", 2, "platform", {2399: [{2: bytes(64), 5: bytes(32)}]})
        case("its hash", "unsupported-hash", 6, "platform", {2399: [{2: bytes(32), 5: bytes(32), 6: "md5"}]})
        case("its hash's type", "wrong-type", 6, "platform", {2399: [{2: bytes(32), 5: bytes(32), 6: 1}]})
        case("its signer", "missing-claim", 5, "platform", {2399: [{2: bytes(32)}]})
        case("its signer's size", "wrong-size", 5, "platform", {2399: [{2: bytes(32), 5: bytes(33)}]})
        case("its type", "bad-text", 1, "platform", {2399: [{1: "\u202e", 2: bytes(32), 5: bytes(32)}]})
        case("its version", "wrong-type", 4, "platform", {2399: [{4: 1, 2: bytes(32), 5: bytes(32)}]})
        case("profile 2", "unsupported-profile", 265, "platform", {265: "tag:arm.com,2024:cca_platform#2.0.0"})
        case("realm profile 2", "unsupported-profile", 265, "realm", {265: "tag:arm.com,2024:realm#2.0.0"})
        case("realm profile's type", "wrong-type", 265, "realm", {265: 1})
        case("RIM not of the hash", "wrong-size", 44238, "realm", {44238: bytes(64)})
        case("3 REMs", "wrong-size", 44239, "realm", {44239: [bytes(32)] * 3})
        case("5 REMs", "wrong-size", 44239, "realm", {44239: [bytes(32)] * 5})
        case("REM not of the hash", "wrong-size", 44239, "realm", {44239: [bytes(32)] * 3 + [bytes(64)]})
        case("REM's type", "wrong-type", 44239, "realm", {44239: [bytes(32)] * 3 + ["x"]})
        case("policy without signer", "missing-claim", -75101, "realm", {-75101: None})
        case("signer without policy", "missing-claim", -75100, "realm", {-75100: None})
        case("policy's size", "wrong-size", -75100, "realm", {-75100: bytes(0x8F)})
        case("policy's magic", "bad-policy", -75100, "realm", {-75100: bytes(0x90)})
        case("policy's flags", "bad-policy", -75100, "realm", {-75100: tokens.policy_bytes(flags=4)})
        case("policy's vCPUs", "bad-policy", -75100, "realm", {-75100: tokens.policy_bytes(max_vcpus=0)})
        case("signer's size", "wrong-size", -75101, "realm", {-75101: bytes(31)})
        self.refuse(cases)

    def test_realm_key(self):
        good = tokens.cose_key(tokens.ec_key(2))
        off = dict(good)
        off[-3] = bytes(47) + b"\x01"
        cases = []
        for what, claim, error in (
                ("not CBOR", b"\x1c", "malformed"),
                ("trailing", cbor2.dumps(good) + b"\0", "trailing-bytes"),
                ("no map", cbor2.dumps([1]), "bad-key"),
                ("no curve", cbor2.dumps({1: 2, -2: good[-2], -3: good[-3]}), "bad-key"),
                ("unknown curve", cbor2.dumps({**good, -1: 8}), "bad-key"),
                ("other curve", cbor2.dumps({**good, -1: 1}), "bad-key"),
                ("short x", cbor2.dumps({**good, -2: good[-2][1:]}), "bad-key"),
                ("compressed", cbor2.dumps({**good, -3: True}), "bad-key"),
                ("not on the curve", cbor2.dumps(off), "bad-key"),
                ("another algorithm", cbor2.dumps({**good, 3: -7}), "bad-key"),
                ("private", cbor2.dumps({**good, -4: bytes(48)}), "bad-key"),
                ("bare point with a profile", tokens.raw_point(tokens.ec_key(2)), "trailing-bytes"),
        ):
            t = Token()
            t.realm[44237] = claim
            t.platform[10] = hashlib.sha256(claim).digest()
            cases.append((what, t.encode(), error, 44237))
        legacy = Token().legacy()
        legacy.realm[44237] = cbor2.dumps(good)
        cases.append(("COSE_Key without a profile", legacy.encode(), "bad-key", 44237))
        legacy = Token().legacy()
        legacy.realm[44237] = legacy.realm[44237][:-1] + bytes([legacy.realm[44237][-1] ^ 1])
        cases.append(("bare point not on the curve", legacy.encode(), "bad-key", 44237))
        self.refuse(cases)

    # ---- CBOR and COSE ----

    def test_encoding(self):
        good = Token().encode()
        p, r = Token().members()
        deep = b"\x81" * 9 + b"\x00"
        pairs = [(b"\x19\xac\xca", cbor2.dumps(p)), (b"\x19\xac\xd1", cbor2.dumps(r))]
        tag = b"\xd9\x01\x8f"
        cases = [
            ("empty", b"", "truncated", 0),
            ("trailing", good + b"\0", "trailing-bytes", 0),
            ("twice", good + good, "trailing-bytes", 0),
            ("not CBOR", b"\xff" + good, "not-canonical", 0),
            ("reserved", b"\xdc", "malformed", 0),
            ("too large", good + bytes(65536), "too-large", 0),
            ("largest", b"\x59\xff\xfd" + bytes(65533), "unsupported-tag", 0),
            ("huge string", b"\x5b" + b"\xff" * 8, "truncated", 0),
            ("huge array", b"\x9b" + b"\xff" * 8, "too-many", 0),
            ("huge map", b"\xbb\x80" + bytes(7), "too-many", 0),
            ("deep", deep, "too-deep", 0),
            ("tags in tags", b"\xc1" * 9 + b"\x00", "too-deep", 0),
            ("long tag", b"\xda\x00\x00\x01\x8f" + good[3:], "not-canonical", 0),
            ("indefinite map", tag + b"\xbf" + pairs[0][0] + pairs[0][1] + pairs[1][0] + pairs[1][1] + b"\xff",
             "not-canonical", 0),
            ("float", b"\xf9\x3c\x00", "not-canonical", 0),
            ("member twice", tag + map_with_pairs(pairs + pairs[:1]), "duplicate-key", 0),
            ("map as key", tag + map_with_pairs([(b"\xa0", b"\x00")] + pairs), "bad-map-key", 0),
            ("no tag", good[3:], "unsupported-tag", 0),
            ("other tag", collection(p, r, 400), "unsupported-tag", 0),
            ("array", cbor2.dumps(CBORTag(399, [p, r])), "wrong-type", 0),
            ("no platform", cbor2.dumps(CBORTag(399, {44241: r})), "missing-claim", 0),
            ("no realm", cbor2.dumps(CBORTag(399, {44234: p})), "missing-claim", 0),
            ("member of 907 in 399", cbor2.dumps(CBORTag(399, {44234: [263, p], 44241: r})), "wrong-type", 0),
            ("member of 399 in 907", cbor2.dumps(CBORTag(907, {44234: p, 44241: [263, r]})), "wrong-type", 0),
            ("content format", cbor2.dumps(CBORTag(907, {44234: [264, p], 44241: [263, r]})), "wrong-value", 0),
        ]
        self.refuse(cases)

    def test_truncated(self):
        good = Token().policy().encode()
        cases = [(f"first {n} bytes", good[:n], "truncated", 0) for n in range(0, len(good), 7)]
        self.refuse(cases)

    def test_sign1(self):
        t = Token()
        p, r = t.members()
        elements = sign1(t.cpak, t.platform)
        payload = cbor2.dumps(t.platform)

        def case(what, member, error):
            return (what, collection(member, r), error, 0)

        self.refuse([
            case("no tag", cbor2.dumps(elements), "unsupported-tag"),
            case("tag 17", tagged(elements, 17), "unsupported-tag"),
            case("trailing", p + b"\0", "trailing-bytes"),
            case("three elements", tagged(elements[:3]), "wrong-type"),
            case("five elements", tagged(elements + [b""]), "wrong-type"),
            case("protected", tagged([{}] + elements[1:]), "wrong-type"),
            case("unprotected", tagged([elements[0], b""] + elements[2:]), "wrong-type"),
            case("detached", tagged(elements[:2] + [None] + elements[3:]), "wrong-type"),
            case("signature", tagged(elements[:3] + ["x"]), "wrong-type"),
            case("signature's size", tagged(elements[:3] + [elements[3] + b"\0"]), "wrong-size"),
            case("empty header", tagged(sign1(t.cpak, payload, protected=b"")), "missing-claim"),
            case("no algorithm", tagged(sign1(t.cpak, payload, protected={})), "missing-claim"),
            case("header is no map", tagged(sign1(t.cpak, payload, protected=b"\x00")), "wrong-type"),
            case("header trailing", tagged(sign1(t.cpak, payload, protected=b"\xa1\x01\x38\x22\x00")), "trailing-bytes"),
            case("unknown algorithm", tagged(sign1(t.cpak, payload, protected={1: -999})), "unsupported-algorithm"),
            case("huge algorithm", tagged(sign1(t.cpak, payload, protected={1: -(2**63)})), "unsupported-algorithm"),
            case("MAC", tagged(sign1(t.cpak, payload, protected={1: 5})), "unsupported-algorithm"),
            case("algorithm as text", tagged(sign1(t.cpak, payload, protected={1: "ES384"})), "unsupported-algorithm"),
            case("critical", tagged(sign1(t.cpak, payload, protected={1: -35, 2: [99]})), "unsupported-header"),
            case("unprotected algorithm", tagged(sign1(t.cpak, payload, unprotected={1: -35})), "unsupported-header"),
            case("of another curve", tagged(sign1(t.cpak, payload, protected={1: -7})), "key-mismatch"),
            case("EdDSA", tagged(sign1(t.cpak, payload, protected={1: -8})), "key-mismatch"),
            case("payload is no map", tagged(sign1(t.cpak, b"\x80")), "wrong-type"),
            case("payload trailing", tagged(sign1(t.cpak, payload + b"\0")), "trailing-bytes"),
        ])

    # ---- signatures and binding ----

    def test_signatures(self):
        t = Token()
        p, r = t.members()
        other = tokens.ec_key(7)
        elements = sign1(t.cpak, t.platform)
        cases = [
            ("platform key of another", collection(tagged(sign1(other, t.platform)), r), "bad-signature", 0),
            ("realm key of another", collection(p, tagged(sign1(other, t.realm))), "bad-signature", 0),
            ("swapped", collection(r, p), "missing-claim", None),
            ("zero signature", collection(tagged(elements[:3] + [bytes(96)]), r), "bad-signature", 0),
            ("s and r", collection(tagged(elements[:3] + [elements[3][48:] + elements[3][:48]]), r), "bad-signature", 0),
            ("signature with all ones", collection(tagged(elements[:3] + [b"\xff" * 96]), r), "bad-signature", 0),
        ]
        for i in range(0, 96, 5):
            bad = bytearray(elements[3])
            bad[i] ^= 1
            cases.append((f"byte {i} of the signature", collection(tagged(elements[:3] + [bytes(bad)]), r),
                          "bad-signature", 0))
        # A payload that still parses, under a signature for another.
        changed = dict(t.platform)
        changed[2395] = 0x3001
        cases.append(("changed claim", collection(tagged([elements[0], {}, cbor2.dumps(changed), elements[3]]), r),
                      "bad-signature", 0))
        realm = sign1(t.rak, t.realm)
        changed = dict(t.realm)
        changed[10] = bytes(64)
        cases.append(("changed challenge", collection(p, tagged([realm[0], {}, cbor2.dumps(changed), realm[3]])),
                      "bad-signature", 0))
        self.refuse(cases)
        wrong = [("another platform's key", t.encode(), "bad-signature", 0)]
        self.refuse(wrong, key=tokens.pem(other))
        wrong = [("a key of another curve", t.encode(), "key-mismatch", 0)]
        self.refuse(wrong, key=tokens.pem(tokens.ec_key(1, ec.SECP256R1)))

    def test_binding(self):
        foreign = Token(rak=tokens.ec_key(8))
        t = Token()
        p, _ = t.members()
        _, r = foreign.members()
        other_hash = Token()
        other_hash.realm[44240] = "sha-512"
        truncated = Token()
        truncated.realm[44240] = "sha-512"
        truncated.platform[10] = hashlib.sha512(truncated.key_claim).digest()[:32]
        point = Token()
        point.platform[10] = hashlib.sha256(tokens.raw_point(point.rak)).digest()
        self.refuse([
            ("realm of another platform token", collection(p, r), "bad-binding", 10),
            ("other hash", other_hash.encode(), "bad-binding", 10),
            ("half a hash", truncated.encode(), "bad-binding", 10),
            ("hash of the point", point.encode(), "bad-binding", 10),
        ])

    def test_every_bit(self):
        """No change of one bit anywhere passes."""
        good = bytearray(Token().policy().encode())
        cases = []
        for i in range(0, len(good)):
            bad = bytearray(good)
            bad[i] ^= 1 << (i % 8)
            cases.append(bytes(bad))
        for i, got in enumerate(check("token", *cases)):
            self.assertNotEqual(got[0], "ok", f"byte {i}")


class Keys(unittest.TestCase):
    def test_kinds(self):
        for curve, name in ((ec.SECP256R1, "P-256"), (ec.SECP384R1, "P-384"), (ec.SECP521R1, "P-521")):
            key = tokens.ec_key(5, curve)
            cose = cbor2.dumps(tokens.cose_key(key))
            want = ("ok", name, hashlib.sha256(cose).hexdigest())
            for got in check("key", cose, tokens.pem(key)):
                self.assertEqual(got, want)
        cose = cbor2.dumps(tokens.cose_key(tokens.ed_key(1)))
        for got in check("key", cose, tokens.pem(tokens.ed_key(1))):
            self.assertEqual(got, ("ok", "Ed25519", hashlib.sha256(cose).hexdigest()))

    def test_refused(self):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        private = tokens.ec_key(1).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        good = tokens.pem(tokens.ec_key(1))
        jwk = b'{"kty":"EC","crv":"P-256","x":"%s","y":"%s"}'
        cases = [
            (b"", "truncated"), (b"text", "truncated"), (bytes(16385), "too-large"), (private, "bad-key"),
            (good[:60], "bad-key"), (tokens.pem(rsa.generate_private_key(65537, 2048)), "bad-key"),
            (tokens.pem(tokens.ec_key(1, ec.SECP256K1)), "bad-key"), (b"{", "bad-key"), (b"{}", "bad-key"),
            (jwk % (b"A" * 43, b"A" * 43), "bad-key"), (jwk % (b"A" * 42, b"A" * 43), "bad-key"),
            (jwk % (b"+" * 43, b"A" * 43), "bad-key"), (b'{"kty":"EC","crv":"P-256","d":"AA"}', "bad-key"),
        ]
        for (case, want), got in zip(cases, check("key", *[c[0] for c in cases])):
            self.assertEqual(got[0], want, case[:40])


class Identities(unittest.TestCase):
    def refuse(self, cases):
        for (what, _, error), got in zip(cases, check("identity", *[c[1] for c in cases])):
            self.assertEqual(got[0], error, (what, got))

    def test_good(self):
        one = tokens.Identity()
        one.entries = [(one.uds, one.entries[1][1])]
        for got in check("identity", tokens.Identity().encode(), one.encode()):
            self.assertEqual(got[0], "ok", got)

    def test_key_for_tokens(self):
        with tempfile.TemporaryDirectory() as d:
            plat, token = pathlib.Path(d, "a.kplat"), pathlib.Path(d, "token")
            plat.write_bytes(tokens.Identity().encode())
            token.write_bytes(Token().encode())
            out = subprocess.run([CHECK, "token", plat, token], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertTrue(out.startswith("ok "), out)

    def test_refused(self):
        cases = []

        def case(what, error, change):
            i = tokens.Identity()
            change(i)
            cases.append((what, i.encode(), error))

        def document(what, error, change):
            d = tokens.Identity().document()
            d = change(d) or d
            cases.append((what, cbor2.dumps(d), error))

        def entry(n, key, value):
            def change(i):
                if value is None:
                    del i.entries[n][1][key]
                else:
                    i.entries[n][1][key] = value
            return change

        case("no chain", "no-chain", lambda i: setattr(i, "entries", []))
        case("root of another", "bad-signature", lambda i: setattr(i, "root", tokens.cose_key(tokens.ed_key(9))))
        case("entry by another", "bad-signature", lambda i: i.entries.__setitem__(1, (i.dice, i.entries[1][1])))
        case("wrong order", "bad-signature", lambda i: i.entries.reverse())
        case("issuer", "bad-issuer", entry(1, 1, "another"))
        case("usage", "bad-usage", entry(0, tokens.KEY_USAGE, b"\x01"))
        case("mode", "not-normal", entry(0, tokens.MODE, b"\x02"))
        case("mode of the last", "not-normal", entry(1, tokens.MODE, b"\x00"))
        case("no mode", "missing-claim", entry(1, tokens.MODE, None))
        case("mode's size", "wrong-size", entry(1, tokens.MODE, b"\x01\x01"))
        case("no code hash", "missing-claim", entry(1, tokens.CODE_HASH, None))
        case("code hash's size", "wrong-size", entry(1, tokens.CODE_HASH, bytes(32)))
        case("configuration", "trailing-bytes", entry(1, tokens.CONFIGURATION, b"\xa0\x00"))
        case("configuration's type", "wrong-type", entry(1, tokens.CONFIGURATION, "x"))
        case("configuration's name", "wrong-type", entry(1, tokens.CONFIGURATION, cbor2.dumps({-70002: 1})))
        case("no issuer", "missing-claim", entry(1, 1, None))
        case("subject's type", "wrong-type", entry(1, 2, 7))
        case("no key", "missing-claim", entry(1, tokens.SUBJECT_KEY, None))
        case("key of another kind", "bad-key", entry(
            1, tokens.SUBJECT_KEY, cbor2.dumps(tokens.cose_key(tokens.ec_key(1)))))
        case("platform key by another", "bad-signature", lambda i: setattr(
            i, "platform", (i.stage, i.platform[1])))
        case("platform key's issuer", "bad-issuer", lambda i: i.platform[1].update({1: "x"}))
        case("platform key's usage", "bad-usage", lambda i: i.platform[1].update({tokens.KEY_USAGE: b"\x10"}))
        case("platform key's kind", "bad-key", lambda i: setattr(
            i, "platform", (i.dice, i.sealing[1])))
        case("sealing key by another", "bad-signature", lambda i: setattr(i, "sealing", (i.stage, i.sealing[1])))
        case("sealing key's usage", "bad-usage", lambda i: i.sealing[1].update({tokens.KEY_USAGE: b"\x01"}))
        case("sealing key's kind", "bad-key", lambda i: setattr(i, "sealing", (i.dice, i.platform[1])))
        document("root alone", "wrong-size", lambda d: d.update({1: d[1][:1]}))
        document("long chain", "too-many", lambda d: d.update({1: d[1] + d[1][1:] * 8}))
        document("root's kind", "bad-key", lambda d: d[1].__setitem__(0, tokens.cose_key(tokens.ec_key(1))))
        document("no lifecycle", "missing-claim", lambda d: d.pop(4) and d)
        document("lifecycle", "wrong-value", lambda d: d.update({4: 65536}))
        document("lifecycle's type", "wrong-type", lambda d: d.update({4: "secured"}))
        # Nobody signs it, so it must be what the signed chain says.
        for lifecycle in (0, 0x3001, 0x4000, 0x6000):
            document(f"lifecycle {lifecycle:#x} of a normal chain", "wrong-value", lambda d: d.update({4: lifecycle}))
        document("secured without a chain", "wrong-value", lambda d: d.update({1: []}))

        def debug_as_secured(i):
            i.entries[0][1][tokens.MODE] = b"\x02"
            i.lifecycle = 0x3000
        case("secured with a stage in debug mode", "wrong-value", debug_as_secured)
        document("no platform key", "missing-claim", lambda d: d.pop(2) and {1: d[1], 3: d[3], 4: d[4]})
        document("no sealing key", "missing-claim", lambda d: d.pop(3) and {1: d[1], 2: d[2], 4: d[4]})
        document("no map", "wrong-type", lambda d: [d])
        good = tokens.Identity().encode()
        cases.append(("trailing", good + b"\0", "trailing-bytes"))
        cases.append(("too large", good + bytes(8192), "too-large"))
        cases += [(f"first {n} bytes", good[:n], "truncated") for n in range(0, len(good), 13)]
        self.refuse(cases)

    def test_every_bit(self):
        good = tokens.Identity().encode()
        cases = []
        for i in range(len(good)):
            bad = bytearray(good)
            bad[i] ^= 1 << (i % 8)
            cases.append(bytes(bad))
        for i, got in enumerate(check("identity", *cases)):
            self.assertNotEqual(got[0], "ok", f"byte {i}")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
