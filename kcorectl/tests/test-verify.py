#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kcorectl verify and kcorectl measure: verdicts, reasons, exit codes, reference values. Tokens are those of
attest/tests/tokens.py.

usage: test-verify.py KCORECTL SOURCE
"""
import copy
import hashlib
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest

KCORECTL, SOURCE = sys.argv[1:3]
sys.path.insert(0, str(pathlib.Path(SOURCE, "attest/tests")))

import cbor2  # noqa: E402
import tokens  # noqa: E402

NONCE = bytes(range(64)).hex()
ANY = {"any": True}


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = pathlib.Path(directory.name)

    def path(self, name, content):
        if isinstance(content, (dict, list)):
            content = json.dumps(content)
        if isinstance(content, str):
            content = content.encode()
        p = self.dir / name
        p.write_bytes(content)
        return str(p)

    def run_it(self, *args, stdin=b""):
        r = subprocess.run([KCORECTL, *args], input=stdin, capture_output=True, timeout=120)
        return r.returncode, r.stdout.decode(), r.stderr.decode()

    def verify(self, token, reference, *more, key=True, nonce=NONCE, stdin=b""):
        """Exit code and JSON."""
        encoded = token if isinstance(token, bytes) else token.encode()
        args = ["verify", "--json", self.path("token", encoded), "-r", self.path("reference", reference)]
        if key:
            args += ["-k", self.path("key", tokens.pem(tokens.ec_key(1)))]
        if nonce:
            args += ["-n", nonce]
        code, out, err = self.run_it(*args, *more)
        return code, (json.loads(out) if out else err)

    def rejected(self, token, reference, *claims, **more):
        """Rejected, for exactly these claims."""
        code, out = self.verify(token, reference, **more)
        self.assertEqual((code, out["verdict"], out["exitCode"]), (1, "rejected", 1), out)
        self.assertEqual([c["claim"] for c in out["claims"] if c["verdict"] == "rejected"], list(claims))
        return out

    def accepted(self, token, reference, *more, **how):
        code, out = self.verify(token, reference, *more, **how)
        self.assertEqual(code, 0, out)
        self.assertEqual(out["verdict"], "accepted")
        self.assertFalse([c for c in out["claims"] if c["verdict"] not in ("accepted", "information")])
        return out


def leaves(value, path=()):
    """Paths of all reference values."""
    if isinstance(value, dict) and value != ANY and not set(value) <= {"min", "max"}:
        for k, v in value.items():
            yield from leaves(v, path + (k,))
    elif isinstance(value, list) and path[-1] in ("softwareComponents", "extensibleMeasurements"):
        for i, v in enumerate(value):
            yield from leaves(v, path + (i,))
    else:
        yield path


def at(value, path):
    for p in path:
        value = value[p]
    return value


def claim_of(path):
    """The name a report has for a reference value."""
    if path[1] == "extensibleMeasurements":
        return f"extensibleMeasurements[{path[2]}]"
    return ".".join(str(p) for p in path[1:] if not isinstance(p, int))


class Verify(Case):
    def test_accepted(self):
        for token in (tokens.Token(), tokens.Token().policy(), tokens.Token().legacy()):
            self.accepted(token, tokens.reference(token))

    def test_standard_input(self):
        token = tokens.Token()
        code, out, _ = self.run_it("verify", "-", "-r", self.path("r", tokens.reference(token)), "-n", NONCE,
                                   "-k", self.path("k", tokens.pem(token.cpak)), stdin=token.encode())
        self.assertEqual(code, 0, out)
        self.assertIn("The token is accepted.", out)

    def test_each_reference_value(self):
        """Each missing value rejects its claim, each other value too; any, lists and ranges are understood."""
        token = tokens.Token().policy()
        good = tokens.reference(token)
        paths = [p for p in leaves(good) if p[0] in ("platform", "realm")]
        self.assertEqual(len(paths), 25)
        for path in paths:
            where, last, claim = path[:-1], path[-1], claim_of(path)
            value = at(good, path)
            if claim == "softwareComponents.type":
                continue  # below
            if isinstance(value, bool):
                other = not value
            elif isinstance(value, int):
                other = value + 1
            elif re.fullmatch("[0-9a-f]{16,}", value):
                other = f"{int(value[:2], 16) ^ 1:02x}" + value[2:]
            else:
                other = "unknown" if last == "lifecycle" else value + "x"

            def changed(new):
                r = copy.deepcopy(good)
                at(r, where)[last] = new
                return r

            with self.subTest(path=path):
                out = self.rejected(token, changed(other), claim)
                row = next(c for c in out["claims"] if c["verdict"] == "rejected")
                self.assertEqual(row["section"], path[0])
                self.assertIn("differs", row["reason"])
                self.accepted(token, changed([other, value]))
                self.accepted(token, changed(ANY))
                if not isinstance(last, int):
                    r = copy.deepcopy(good)
                    del at(r, where)[last]
                    out = self.rejected(token, r, claim)
                    self.assertIn("no reference value", next(c for c in out["claims"] if c["verdict"] == "rejected")["reason"])
                if isinstance(value, int) and not isinstance(value, bool):
                    self.accepted(token, changed({"min": value, "max": value}))
                    self.accepted(token, changed({"max": value + 1}))
                    self.rejected(token, changed({"min": value + 1}), claim)
                    self.rejected(token, changed({"max": value - 1}), claim)

    def test_upper_case(self):
        token = tokens.Token()
        r = tokens.reference(token)
        r["realm"]["initialMeasurement"] = r["realm"]["initialMeasurement"].upper()
        self.accepted(token, r)

    def test_parts_missing(self):
        token = tokens.Token().policy()
        good = tokens.reference(token)
        for part, name in (("realm", "extensibleMeasurements"), ("realm", "policy"), ("platform", "softwareComponents")):
            r = copy.deepcopy(good)
            del r[part][name]
            code, out = self.verify(token, r)
            self.assertEqual(code, 1)
            self.assertTrue([c for c in out["claims"] if c["verdict"] == "rejected" and c["claim"].startswith(name)])
        code, out = self.verify(token, {"version": 1, "platform": {}, "realm": {}})
        self.assertEqual(code, 1)
        self.assertEqual(len([c for c in out["claims"] if c["verdict"] == "accepted"]), 2)  # signatures, challenge

    def test_components(self):
        token = tokens.Token()
        token.platform[2399].append({1: "TF-A", 2: bytes(32), 5: bytes(32)})
        r = tokens.reference(tokens.Token())
        self.rejected(token, r, "softwareComponents.type")
        firmware = {"type": "TF-A", "version": "", "measurement": "00" * 32, "signerId": "00" * 32}
        r["platform"]["softwareComponents"].append(firmware)
        self.accepted(token, r)
        self.rejected(tokens.Token(), r, "softwareComponents")
        # Two versions are good; the report compares with the one of the same type.
        r = tokens.reference(tokens.Token())
        old = dict(r["platform"]["softwareComponents"][0], measurement="11" * 64)
        r["platform"]["softwareComponents"][0]["measurement"] = [old["measurement"], r["platform"]["softwareComponents"][0]["measurement"]]
        self.accepted(tokens.Token(), r)
        r["platform"]["softwareComponents"] = [old]
        self.rejected(tokens.Token(), r, "softwareComponents.measurement")

    def test_policy(self):
        plain, policy = tokens.Token(), tokens.Token().policy()
        self.rejected(plain, tokens.reference(policy), "policy")
        out = self.rejected(policy, tokens.reference(plain), *[
            f"policy.{n}" for n in ("debug", "snapshots", "maxVcpus", "maxPrivateGranules", "maxSharedGranules",
                                    "minVersion", "imageId")], "policySigner")
        self.assertTrue(all("no reference" in c["reason"] for c in out["claims"] if c["verdict"] == "rejected"))

    def test_nonce(self):
        token = tokens.Token()
        r = tokens.reference(token)
        self.rejected(token, r, "challenge", nonce="00")
        self.rejected(token, r, "challenge", nonce=NONCE[:-2])
        token.realm[10] = b"\x01\x02".ljust(64, b"\0")
        self.accepted(token, r, nonce="0102")
        code, out = self.verify(token, r, nonce=None)
        self.assertEqual((code, out["exitCode"]), (3, 3))
        out = self.accepted(token, r, "--insecure", nonce=None)
        self.assertIn("old one", next(c for c in out["claims"] if c["claim"] == "challenge")["reason"])
        token.realm[10] = hashlib.sha512(b"KCore guest agent 1" + bytes.fromhex(NONCE)).digest()
        self.rejected(token, r, "challenge")
        self.accepted(token, r, "--agent")

    def test_signatures(self):
        token = tokens.Token()
        token.cpak = tokens.ec_key(9)
        code, out = self.verify(token, tokens.reference(token))
        self.assertEqual(code, 1)
        row = out["claims"][0]
        self.assertEqual((row["claim"], row["verdict"]), ("signature", "rejected"))
        self.assertIn("the signature is wrong", row["reason"])
        self.assertTrue(all(c["verdict"] == "notJudged" or c["verdict"] == "information" for c in out["claims"][1:]))
        token = tokens.Token()
        token.platform[10] = bytes(32)
        code, out = self.verify(token, tokens.reference(token))
        self.assertEqual(code, 1)
        self.assertIn("vouch", out["claims"][0]["reason"])

    def test_identity(self):
        token = tokens.Token()
        r = tokens.reference(token)
        identity = tokens.Identity()

        def plat(i):
            return "-p", self.path("a.kplat", i if isinstance(i, bytes) else i.encode())

        root = hashlib.sha256(cbor2.dumps(identity.root)).hexdigest()
        code, out = self.verify(token, r, *plat(identity), key=False)
        self.assertEqual(code, 1)  # whose root is not in the reference values
        self.assertEqual([c["claim"] for c in out["claims"] if c["verdict"] == "rejected"], ["identityRoot"])
        r["platform"]["identityRoot"] = root
        self.accepted(token, r, *plat(identity), key=False)
        r["platform"]["identityRoot"] = ANY
        self.accepted(token, r, *plat(identity), key=False)

        forged = tokens.Identity()
        forged.uds = tokens.ed_key(20)
        forged.root = tokens.cose_key(forged.uds)
        forged.entries[0] = (forged.uds, forged.entries[0][1])
        r["platform"]["identityRoot"] = root
        code, out = self.verify(token, r, *plat(forged), key=False)
        self.assertEqual(code, 1)
        self.assertEqual([c["claim"] for c in out["claims"] if c["verdict"] == "rejected"], ["identityRoot"])

        forged = tokens.Identity()
        forged.platform = (tokens.ed_key(21), forged.platform[1])
        code, out = self.verify(token, r, *plat(forged), key=False)
        self.assertEqual(code, 1)
        self.assertEqual(out["claims"][0]["claim"], "chain")

        alone = tokens.Identity()
        alone.entries = []
        code, out = self.verify(token, r, *plat(alone), key=False)
        self.assertEqual((code, out["error"]), (3, "no-chain"))
        self.accepted(token, r, *plat(alone), "--insecure", key=False)
        code, out = self.verify(token, r, *plat(b"\x00"), key=False)
        self.assertEqual((code, out["error"]), (4, "wrong-type"))

    def test_token_that_can_not_be_read(self):
        r = tokens.reference(tokens.Token())
        for token, code, error in (
                (b"", 1, "truncated"), (b"\xa0", 2, "unsupported-tag"), (bytes(70000), 1, "too-large"),
                (tokens.Token().encode() + b"\0", 1, "trailing-bytes")):
            got, out = self.verify(token, r)
            self.assertEqual((got, out["exitCode"], out["error"]), (code, code, error))
        future = tokens.Token()
        future.realm[265] = "tag:arm.com,2024:realm#2.0.0"
        got, out = self.verify(future, r)
        self.assertEqual((got, out["error"]), (2, "unsupported-profile"))
        self.assertIn("realm token, claim 265 (profile)", out["message"])
        self.assertEqual(out["exitCode"], 2)

    def test_bad_configuration(self):
        token = tokens.Token()
        good = tokens.reference(token)

        def reference(error, change):
            r = copy.deepcopy(good)
            r = change(r) or r
            code, out = self.verify(token, r)
            self.assertEqual((code, out["error"]), (4, error), out)

        reference("not-json", lambda r: "{")
        reference("not-json", lambda r: " ")
        reference("not-json", lambda r: json.dumps(r).encode() + b"\0")
        reference("not-json", lambda r: "[" * 100000)
        reference("bad-field", lambda r: "[]")
        reference("too-large", lambda r: b" " * (1 << 20) + b"{}")
        reference("missing-field", lambda r: r.pop("version") and None)
        reference("missing-field", lambda r: r.pop("realm") and None)
        reference("bad-field", lambda r: r.update(version=2))
        reference("unknown-field", lambda r: r.update(extra=1))
        reference("unknown-field", lambda r: r["realm"].update(initialMeasurment="00"))
        reference("unknown-field", lambda r: r["platform"]["softwareComponents"][0].update(name="x"))
        reference("duplicate-key", lambda r: json.dumps(r)[:-1] + ',"version":1}')
        for bad in (7, "00", "zz" * 32, "0" * 63, [], ["00"], {}, {"any": False}, {"any": True, "min": 1}, {"min": 1}, None, [[]]):
            reference("bad-field", lambda r: r["realm"].update(initialMeasurement=bad))
        for bad in ("safe", 65536, -1, 1.5, True, {"min": 0}):
            reference("bad-field", lambda r: r["platform"].update(lifecycle=bad))
        for bad in ({"min": -1}, {"min": "1"}, {"most": 1}, {}, "1", -1, 1.5):
            reference("bad-field", lambda r: r["realm"].update(policy={"maxVcpus": bad}))
        reference("bad-field", lambda r: r["realm"].update(policy={"debug": 0}))
        reference("bad-field", lambda r: r["realm"].update(policy=ANY["any"]))
        reference("bad-field", lambda r: r["realm"].update(extensibleMeasurements=["00" * 32] * 3))
        reference("bad-field", lambda r: r["platform"].update(softwareComponents=[]))
        reference("bad-field", lambda r: r["platform"].update(profile="x" * 256))

        code, out = self.verify(token, good, "-k", self.path("other", b"nonsense"), key=False)
        self.assertEqual((code, out["exitCode"]), (4, 4))
        code, out = self.verify(token, good, "-k", str(self.dir / "absent"), key=False)
        self.assertEqual((code, out["error"]), (4, "file"))
        for args in ([], ["token"], ["a", "b"], ["token", "-r", "x"], ["token", "-r", "x", "-k", "y", "-p", "z"],
                     ["token", "-n", "0"], ["token", "-n", "xy"], ["token", "-n", "00" * 65], ["--what"],
                     ["token", "-r", "x", "-k", "y", "-n", "00", "--agent"]):
            self.assertEqual(self.run_it("verify", *args)[0], 4, args)
        self.assertEqual(self.run_it("verify", "/absent", "-r", self.path("r", good), "-n", "00",
                                     "-k", self.path("k", tokens.pem(token.cpak)))[0], 4)

    def test_no_token_to_be_had(self):
        """Neither an accepted nor a rejected one."""
        good = ["-r", self.path("r", tokens.reference(tokens.Token())), "-k", self.path("k", tokens.pem(tokens.ec_key(1)))]
        code, out, _ = self.run_it("--json", "--socket", str(self.dir / "none"), "attest", "guest", *good)
        self.assertEqual((code, json.loads(out)["exitCode"], json.loads(out)["error"]), (5, 5, "NoDaemon"))
        for args in ([], ["a", "b", *good], ["guest", "-r", "x"], ["guest", "-o", "x"], ["guest", *good, "-n", "0"]):
            self.assertEqual(self.run_it("attest", *args)[0], 4, args)

    def test_verdict_that_can_not_be_printed(self):
        token = tokens.Token()
        args = [self.path("t", token.encode()), "-r", self.path("r", tokens.reference(token)), "-n", NONCE,
                "-k", self.path("k", tokens.pem(token.cpak))]
        self.assertEqual(self.run_it("verify", *args)[0], 0)
        for json_or_text in (["--json"], []):
            with open("/dev/full", "w", encoding="ascii") as full:
                r = subprocess.run([KCORECTL, *json_or_text, "verify", *args], stdout=full, stderr=subprocess.PIPE, timeout=120)
            self.assertEqual(r.returncode, 6, r.stderr)

    def test_table(self):
        token = tokens.Token()
        r = tokens.reference(token)
        r["realm"]["initialMeasurement"] = "ab" * 32
        r["realm"]["hashAlgorithm"] = "\x1b[31m"
        code, out, _ = self.run_it("verify", self.path("t", token.encode()), "-r", self.path("r", r), "-n", NONCE,
                                   "-k", self.path("k", tokens.pem(token.cpak)))
        self.assertEqual(code, 1)
        self.assertNotIn("\x1b", out)
        self.assertIn("    expected " + "ab" * 32, out)
        self.assertIn("    actual   " + token.realm[44238].hex(), out)
        self.assertIn("The token is rejected: 2 claims.", out)


class Schema(unittest.TestCase):
    def test_same_fields(self):
        """The published schema and the tables in C know the same names."""
        schema = json.loads(pathlib.Path(SOURCE, "docs/reference-values.schema.json").read_text())
        names = set()

        def walk(s):
            for name, inner in s.get("properties", {}).items():
                names.add(name)
                walk(inner)
            if "items" in s:
                walk(s["items"])

        walk({"properties": schema["properties"]})
        code = pathlib.Path(SOURCE, "attest/reference.c").read_text()
        known = set(re.findall(r'{ "([$a-zA-Z]+)", (?:FORM_|[a-z_]+check)', code)) | {"extensibleMeasurements"}
        self.assertEqual(names, known)


def linux_image():
    header = bytearray(64)
    header[8:32] = struct.pack("<QQQ", 0, 0x30000, 0b1010)
    header[56:60] = b"ARM\x64"
    return bytes(header) + bytes(range(256)) * 64


class Measure(Case):
    def setUp(self):
        super().setUp()
        self.kernel = self.path("Image", linux_image())
        self.initrd = self.path("initrd", os.urandom(10000))
        self.guest = ["-k", self.kernel, "-i", self.initrd, "-a", "console=ttyAMA0"]

    def measure(self, *args, code=0):
        got, out, err = self.run_it("measure", "--json", *args)
        self.assertEqual(got, code, out + err)
        return json.loads(out) if out else None

    def test_image_and_parts_agree(self):
        seen = set()
        for vcpus in ("1", "2", "8"):
            for memory in ("64M", "1G", "5G"):
                for algorithm in ("sha256", "sha512"):
                    image = str(self.dir / "a.kci")
                    options = ["-c", vcpus, "-m", memory, "--hash", algorithm]
                    self.assertEqual(self.run_it("image", "build", "-o", image, *self.guest, *options)[0], 0)
                    parts, whole = self.measure(*self.guest, *options), self.measure(image)
                    self.assertEqual(parts, whole)
                    seen.add(whole["realm"]["initialMeasurement"])
        self.assertEqual(len(seen), 18)

    def test_every_part_counts(self):
        base = self.measure(*self.guest)["realm"]["initialMeasurement"]
        self.assertEqual(self.measure(*self.guest)["realm"]["initialMeasurement"], base)
        altered = self.path("other", linux_image()[:-1] + b"\0")
        seen = {base}
        for args in (["-k", altered, *self.guest[2:]], self.guest[:2] + self.guest[4:], self.guest[:4],
                     self.guest + ["-c", "2"], self.guest + ["-m", "1G"], self.guest + ["--early-console"],
                     self.guest + ["--hash", "sha512"]):
            seen.add(self.measure(*args)["realm"]["initialMeasurement"])
        self.assertEqual(len(seen), 8)

    def test_signed(self):
        image, key = str(self.dir / "a.kci"), str(self.dir / "key.pem")
        self.run_it("image", "key", "-o", key)
        self.run_it("image", "build", "-o", image, *self.guest, "-c", "2")
        unsigned = self.measure(image)
        self.assertNotIn("policy", unsigned["realm"])
        self.assertEqual(self.run_it("image", "sign", image, "--key", key)[0], 0)
        signed = self.measure(image)
        inspected = json.loads(self.run_it("image", "inspect", image, "--json")[1])
        self.assertEqual(signed["realm"]["initialMeasurement"], inspected["measurement"])
        self.assertEqual(signed["realm"]["policySigner"], inspected["signerDigest"])
        self.assertEqual(signed["realm"]["policy"]["maxVcpus"], 2)
        self.assertEqual(signed["realm"]["policy"]["imageId"], inspected["imageId"])
        self.assertNotEqual(signed["realm"]["initialMeasurement"], unsigned["realm"]["initialMeasurement"])
        data = bytearray(pathlib.Path(image).read_bytes())
        data[-5000] ^= 1
        code, out, _ = self.run_it("measure", "--json", self.path("bad.kci", bytes(data)))
        self.assertEqual(code, 8, out)

    def test_platform(self):
        identity = tokens.Identity()
        plat = self.path("a.kplat", identity.encode())
        p = self.measure(*self.guest, "-p", plat)["platform"]
        self.assertEqual(p["identityRoot"], hashlib.sha256(cbor2.dumps(identity.root)).hexdigest())
        self.assertEqual(p["instanceId"], "01" + hashlib.sha256(cbor2.dumps(tokens.cose_key(identity.cpak))).hexdigest())
        self.assertEqual(p["softwareComponents"][0]["measurement"], hashlib.sha512(b"kcore.bin").hexdigest())
        self.assertEqual(p["softwareComponents"][0]["signerId"], p["identityRoot"])
        kcore = self.path("kcore.bin", b"kcore.bin")
        self.assertEqual(self.measure(*self.guest, "-p", plat, "--kcore", kcore)["platform"], p)
        only = self.measure(*self.guest, "--kcore", kcore)["platform"]
        self.assertEqual(only["softwareComponents"][0]["measurement"], hashlib.sha512(b"kcore.bin").hexdigest())
        self.assertNotIn("identityRoot", only)
        self.assertNotIn("softwareComponents", self.measure(*self.guest)["platform"])
        self.measure(*self.guest, "-p", plat, "--kcore", self.path("other", b"another"), code=8)
        alone = tokens.Identity()
        alone.entries = []
        self.measure(*self.guest, "-p", self.path("b.kplat", alone.encode()), code=8)

    def test_to_verify(self):
        """From measure to an accepted token, and for another guest to a rejected one."""
        identity = tokens.Identity()
        plat = self.path("a.kplat", identity.encode())
        out = str(self.dir / "reference.json")
        self.assertEqual(self.run_it("measure", *self.guest, "-p", plat, "-o", out)[0], 0)
        reference = json.loads(pathlib.Path(out).read_text())
        token = tokens.Token()
        token.platform[2399][0][5] = bytes.fromhex(reference["platform"]["identityRoot"])
        token.realm[44238] = bytes.fromhex(reference["realm"]["initialMeasurement"])
        token.realm[44239] = [bytes(32)] * 4
        args = ["verify", self.path("token", token.encode()), "-n", NONCE, "-p", plat, "-r"]
        code, text, err = self.run_it(*args, out)
        self.assertEqual(code, 0, text + err)
        self.assertEqual(self.run_it("measure", *self.guest, "-c", "2", "-p", plat, "-o", out)[0], 0)
        code, text, _ = self.run_it(*args, out)
        self.assertEqual(code, 1)
        self.assertIn("✘ realm    initialMeasurement", text)

    def test_refused(self):
        image = str(self.dir / "a.kci")
        self.run_it("image", "build", "-o", image, *self.guest)
        for args in ([], [image, "-c", "2"], [image, image], [*self.guest, image], ["--what"], [*self.guest, "-m", "x"],
                     [*self.guest, "-c", "x"], [*self.guest, "--hash", "md5"]):
            self.assertEqual(self.run_it("measure", *args)[0], 2, args)
        for args in (["/absent"], ["-k", "/absent"], [self.initrd], ["-k", self.initrd], [*self.guest, "-c", "124"],
                     [*self.guest, "-m", "63M"], [*self.guest, "-i", str(self.dir)], [*self.guest, "-p", self.initrd],
                     [*self.guest, "--kcore", "/absent"]):
            self.assertEqual(self.run_it("measure", *args)[0], 8, args)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
